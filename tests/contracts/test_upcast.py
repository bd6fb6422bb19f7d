"""Old versions: what was written then is read as it is said now, and its bytes stay what they were."""

from datetime import UTC, datetime
from typing import ClassVar

import msgspec
import pytest

from attorn.contracts import codec, door
from attorn.contracts.checkpoint import LedgerPayloadErased
from attorn.contracts.envelope import Entry, Event, Unknown
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.refusal import Unreadable
from attorn.contracts.upcast import UPCASTERS, LedgerPayloadErasedV1, Upcaster, upcast
from attorn.services.documents import fact_example, recorded_example
from story import Story

OLD = LedgerPayloadErasedV1(position=377, legal_basis="GDPR Art. 17(1)(a)")
NEW = LedgerPayloadErased(positions=(377,), legal_basis="GDPR Art. 17(1)(a)")


def sent(payload: msgspec.Struct = OLD) -> Event:
    return codec.event(
        payload, id="1", source="/keeper", subject="ledger/main", time=datetime(2026, 3, 2, 9, tzinfo=UTC)
    )


def test_old_bytes_read_as_the_newest_version_with_the_same_envelope() -> None:
    old = codec.encode(sent())
    assert b'"attorn.ledger.payload_erased.v1"' in old
    assert codec.decode(old) == sent(NEW)
    assert codec.decode(old).type == "attorn.ledger.payload_erased.v2"


def test_what_was_recorded_keeps_its_attributes_and_its_bytes() -> None:
    body = codec.encode(sent())
    entry = codec.stamp(door.fact(body), body, 3, authid="keeper", authtype="system")
    read = codec.decode(entry.body)
    assert (read.data, read.version, read.authid) == (NEW, 3, "keeper")
    assert codec.published_part(Entry(read, entry.body)) == body[1:]


@pytest.mark.parametrize("type", UPCASTERS)
def test_every_old_version_leads_to_one_that_is_written_today(type: str) -> None:
    event = codec.decode(codec.encode(recorded_example(UPCASTERS[type].shape)))
    assert event.type in EVENT_BY_TYPE
    assert type not in EVENT_BY_TYPE
    family, _, version = type.rpartition(".v")
    assert event.type.startswith(f"{family}.v") and int(event.type.rpartition(".v")[2]) > int(version)


def test_the_newest_version_stays_as_it_is() -> None:
    assert upcast(NEW) is NEW


def test_a_version_that_is_two_behind_is_brought_up_a_step_at_a_time() -> None:
    class Told(msgspec.Struct, frozen=True):
        type: ClassVar[str] = "told.v3"
        words: tuple[str, ...]

    class Told2(msgspec.Struct, frozen=True):
        type: ClassVar[str] = "told.v2"
        text: str

    class Told1(msgspec.Struct, frozen=True):
        type: ClassVar[str] = "told.v1"
        line: str

    steps = {
        "told.v1": Upcaster(Told1, lambda old: Told2(old.line)),
        "told.v2": Upcaster(Told2, lambda old: Told(tuple(old.text.split()))),
    }
    assert upcast(Told1("a b"), steps) == Told(("a", "b"))


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'{"position":377}', "data.legal_basis"),
        (b'{"position":0,"legal_basis":"x"}', "data.position"),
        (b'{"position":377,"legal_basis":"x","positions":[1]}', "data.positions"),
    ],
    ids=["a field is missing", "out of range", "a field of the newer version"],
)
def test_a_publisher_of_an_old_version_is_held_to_that_version(data: bytes, field: str) -> None:
    body = codec.encode(sent()).replace(b'{"position":377,"legal_basis":"GDPR Art. 17(1)(a)"}', data)
    with pytest.raises(Unreadable) as refused:
        door.fact(body)
    assert refused.value.field == field


def test_on_the_log_an_old_version_that_does_not_fit_is_unknown_and_not_fatal() -> None:
    event = codec.decode(codec.encode(sent()).replace(b'"position":377', b'"position":"x"'))
    assert isinstance(event.data, Unknown)
    assert (event.data.type, event.id) == ("attorn.ledger.payload_erased.v1", "1")
    assert "position" in event.data.reason


def test_folds_and_findings_see_the_newest_only() -> None:
    story = Story()
    story.fact(OLD, on="ledger/main").finds_nothing()
    recorded = story.log()[-1]
    assert recorded.event.data == NEW
    assert b'"attorn.ledger.payload_erased.v1"' in recorded.body
    assert story.findings() == {}


def test_who_reads_what_is_written_today_pays_nothing_for_old_versions() -> None:
    # An old tag is not in the union that the one pass is made of: it falls out of it, and only then is it looked up.
    with pytest.raises(msgspec.ValidationError, match=r"payload_erased\.v1"):
        codec._known.decode(codec.encode(sent()))
    assert codec._known.decode(codec.encode(fact_example(LedgerPayloadErased))).data.positions == (377, 401)
