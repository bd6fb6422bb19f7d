"""What is in quarantine is sent again in the name of its source, as it was or mended, once; the log says by whom."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from attorn.contracts import subjects
from attorn.contracts.refusal import Problem, Receipt, Refused, Reply
from attorn.services.intake.app import Quarantine
from attorn.services.supervise.server import embedded
from attorn_services import Services, serving


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doors() -> AsyncIterator[Services]:
    """The services, shared: each test is a source of its own and reports on work of its own."""
    async with embedded(ephemeral=True) as broker, serving(broker) as running:
        await running.people("olga", "ben")
        word = {"source_id": "hr", "uri": "/hr", "custodian": "root", "speaks_of": ["participant", "policy"]}
        await running.done("root", "source.register", word)
        yield running


def note(source: str, id: str = "1", text: Any = "seen") -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": f"/{source}",
        "type": "attorn.note.added.v1",
        "subject": f"work/{source}",
        "time": "2026-11-21T12:00:00Z",
        "data": {"text": text},
    }


async def kept(doors: Services, source: str) -> list[int]:
    """The numbers of what is in quarantine of a source."""
    js = doors.nc.jetstream()
    last = (await js.stream_info(subjects.QUARANTINE)).state.last_seq
    messages = [await js.get_msg(subjects.QUARANTINE, number) for number in range(1, last + 1)]
    return [each.seq or 0 for each in messages if each.subject == subjects.quarantine(source)]


def wrong(answer: Any, status: int, *, field: str | None = None, rule: str | None = None) -> Problem:
    assert isinstance(answer, Problem) and answer.status == status, answer
    assert field is None or field in (answer.field, *(each.field for each in answer.rules)), answer
    assert rule is None or [each.rule for each in answer.rules] == [rule], answer
    return answer


def bare(id: str, type: str, subject: str, data: dict[str, Any]) -> dict[str, Any]:
    """A fact of hr's."""
    return note("hr", id) | {"type": type, "subject": subject, "data": data}


async def again(doors: Services, number: int | str, body: Mapping[str, Any] | bytes = b"", who: str = "olga") -> Any:
    subject = f"attorn.resubmit.{who}.{number}"
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    data = (await doors.nc.request(subject, content, timeout=5)).data
    return msgspec.json.decode(data, type=list[Reply] if data[:1] == b"[" else Reply)


async def refused(doors: Services, source: str, body: bytes | dict[str, Any]) -> int:
    """Send what is refused; its number in quarantine."""
    assert isinstance(await doors.fact(source, body), Problem)
    return (await kept(doors, source))[-1]


async def test_what_was_mended_is_the_source_s_and_says_who_sent_it_again(doors: Services) -> None:
    number = await refused(doors, "shop", note("shop", text=7))
    receipt = await again(doors, number, note("shop"))
    assert isinstance(receipt, Receipt) and receipt.stream == "work/shop"
    [recorded] = await doors.ledger.read("work/shop")
    event = recorded.event
    assert (event.authid, event.authtype, event.resubmittedby) == ("shop", "system", "olga")
    assert json.loads(recorded.body) == note("shop") | {
        "sequence": "0000000001",
        "authid": "shop",
        "authtype": "system",
        "resubmittedby": "olga",
    }
    # Whoever sends the same again, the source among them, gets the first receipt.
    for answer in (
        await again(doors, number, note("shop"), "ben"),
        await doors.fact("shop", note("shop")),
    ):
        assert isinstance(answer, Receipt) and answer.position == receipt.position
    assert len(await doors.ledger.read("work/shop")) == 1


async def test_what_is_still_wrong_is_answered_and_stands_in_quarantine_once(doors: Services) -> None:
    number = await refused(doors, "mill", note("mill", text=7))
    for body in (b"", msgspec.json.encode(note("mill", text=8)), b"{", b"[]", b"[7"):
        answer = await again(doors, number, body)
        assert isinstance(answer, Problem) and answer.status == 400
    assert await kept(doors, "mill") == [number]
    assert await doors.ledger.read("work/mill") == []


async def test_as_it_was_it_is_recorded_when_a_fault_of_ours_had_kept_it_out(doors: Services) -> None:
    js = doors.nc.jetstream()
    body = msgspec.json.encode(note("farm"))
    stored = await js.publish(subjects.quarantine("farm"), body, headers={"Attorn-Status": "500"})
    assert isinstance(await again(doors, stored.seq), Receipt)
    [recorded] = await doors.ledger.read("work/farm")
    assert recorded.body.endswith(body[1:]) and recorded.event.resubmittedby == "olga"


async def test_a_batch_takes_the_place_of_a_batch_when_all_of_it_can_be_read(doors: Services) -> None:
    number = await refused(doors, "port", b"[")
    batch = [note("port", "1"), note("port", "2", 7), note("port", "3")]
    wrong(await again(doors, number, msgspec.json.encode(batch)), 400, field="[1].data.text")
    assert await doors.ledger.read("work/port") == []
    batch[1] = note("port", "2")
    answers = await again(doors, number, msgspec.json.encode(batch))
    assert [type(each) for each in answers] == [Receipt] * 3
    assert [each.event.resubmittedby for each in await doors.ledger.read("work/port")] == ["olga"] * 3
    wrong(await again(doors, number, msgspec.json.encode([note("port", "4")])), 409, rule="conflict")


async def test_of_a_batch_that_can_be_read_each_fact_is_one_that_was_kept(doors: Services) -> None:
    js = doors.nc.jetstream()
    batch = msgspec.json.encode([note("dock", "1"), note("dock", "2", 7)])
    number = (await js.publish(subjects.quarantine("dock"), batch, headers={"Attorn-Status": "500"})).seq
    mended = [note("dock", "1"), note("dock", "2")]
    wrong(await again(doors, number, msgspec.json.encode([*mended, note("dock", "1")])), 400)
    wrong(await again(doors, number, msgspec.json.encode([mended[0], note("dock", "3")])), 400, field="[1].id")
    wrong(await again(doors, number), 400, field="[1].data.text")
    assert await doors.ledger.read("work/dock") == []
    assert [type(each) for each in await again(doors, number, msgspec.json.encode(mended))] == [Receipt] * 2


async def test_of_what_was_cut_off_the_whole_is_asked_for(doors: Services) -> None:
    number = await refused(doors, "quay", b"x" * (doors.nc.max_payload - 100))
    answer = await again(doors, number)
    assert isinstance(answer, Problem) and answer.status == 400 and "its source has the whole" in answer.detail
    assert isinstance(await again(doors, number, note("quay")), Receipt)


@pytest.mark.parametrize("number", ["0", "-1", "x", "999999", "1e3", "٣", "9" * 19, "9" * 400])
async def test_what_is_not_there_is_not_found(doors: Services, number: str) -> None:
    answer = await again(doors, number, note("nobody"))
    assert isinstance(answer, Problem) and answer.status == 404 and "nothing in quarantine" in answer.detail
    assert len(answer.detail) < 200


async def test_other_bytes_under_an_id_that_was_used_are_a_conflict_as_at_every_door(doors: Services) -> None:
    assert isinstance(await doors.fact("yard", note("yard")), Receipt)
    number = await refused(doors, "yard", note("yard", text="something else"))
    answer = await again(doors, number)
    assert isinstance(answer, Problem) and answer.status == 409
    assert await kept(doors, "yard") == [number]


async def test_no_publisher_can_say_that_somebody_sent_it_again(doors: Services) -> None:
    answer = await doors.fact("fair", note("fair") | {"resubmittedby": "olga"})
    assert isinstance(answer, Problem) and answer.field == "resubmittedby"


# -- who, and what


async def test_only_who_is_registered_and_here_sends_anything_again(doors: Services) -> None:
    number = await refused(doors, "barn", note("barn", text=7))
    wrong(await again(doors, number, note("barn"), "nobody"), 422, rule="unregistered-actor")
    await doors.people("otto", "stan")
    await doors.done(
        "root", "participant.deactivate", {"participant_id": "otto", "reason": "gone", "successor": "root"}
    )
    await doors.done("root", "participant.suspend", {"participant_id": "stan", "reason": "we look into it"})
    assert "has left" in wrong(await again(doors, number, note("barn"), "otto"), 422, rule="unregistered-actor").detail
    wrong(await again(doors, number, note("barn"), "stan"), 422, rule="actor-suspended")
    assert await doors.ledger.read("work/barn") == []
    assert isinstance(await again(doors, number, note("barn")), Receipt)


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("id", "2"),
        ("source", "/elsewhere"),
        ("subject", "work/elsewhere"),
        ("type", "attorn.work.cancelled.v1"),
    ],
)
async def test_what_its_source_had_said_legibly_stays(doors: Services, field: str, other: str) -> None:
    source = f"silo-{field}"
    number = await refused(doors, source, note(source, text=7))
    mended = note(source) | {field: other}
    if field == "type":
        mended["data"] = {"reason": "no use"}
    wrong(await again(doors, number, mended), 400, field=field)
    assert await doors.ledger.read(f"work/{source}") == [] == await doors.ledger.read("work/elsewhere")
    assert isinstance(await again(doors, number, note(source)), Receipt)


async def test_what_was_not_in_order_is_mended_and_the_rest_stays(doors: Services) -> None:
    was = note("pier") | {"subject": "work/a b", "type": "attorn.note.nonsense.v1"}
    number = await refused(doors, "pier", was | {"id": "7", "NaN": 1})
    wrong(await again(doors, number, note("pier", "8")), 400, field="id")
    assert isinstance(await again(doors, number, note("pier", "7")), Receipt)
    # An id that stands there twice is none, however readers take it.
    twice = msgspec.json.encode(note("pier", "9")).replace(b'"id":"9"', b'"id":"9","id":"10"')
    number = await refused(doors, "pier", twice)
    assert isinstance(await again(doors, number, note("pier", "11")), Receipt)


async def test_one_fact_takes_the_place_of_one(doors: Services) -> None:
    number = await refused(doors, "shed", b"{")
    answer = await again(doors, number, msgspec.json.encode([note("shed", str(n)) for n in range(3)]))
    assert "send one in its place" in wrong(answer, 400).detail
    assert await doors.ledger.read("work/shed") == []


async def test_who_may_do_what_is_mended_by_who_says_so_and_by_nobody_else(doors: Services) -> None:
    """Of a system that was given the word: an operator who mends what it said must not make themselves admin."""
    number = await refused(doors, "hr", {"x": 1})
    power = bare("h1", "attorn.role.granted.v1", "participant/olga", {"role": "admin"})
    answer = wrong(await again(doors, number, power), 422, rule="source-authority", field="subject")
    assert "ask root, the custodian of the ledger" in answer.detail
    for kind in ("policy", "process", "source"):
        other = power | {"subject": f"{kind}/olga"}
        wrong(await again(doors, number, other), 422, rule="source-authority", field="subject")
    for stream in ("participant/olga", "policy/olga", "process/olga", "source/olga"):
        assert all(each.event.resubmittedby is None for each in await doors.ledger.read(stream))
    granted = {"participant_id": "ben", "role": "admin"}
    wrong(await doors.command("olga", "role.grant", granted), 422, rule="role-authority")
    # The custodian may say it, and whoever is admin then may too.
    assert isinstance(await again(doors, number, power | {"subject": "participant/ben"}, "root"), Receipt)
    number = await refused(doors, "hr", {"x": 2})
    absent = bare("h2", "attorn.role.revoked.v1", "participant/ben", {"role": "reviewer"})
    wrong(await again(doors, number, absent), 422, rule="source-authority")
    assert isinstance(await again(doors, number, absent, "ben"), Receipt)


async def test_as_it_was_a_system_s_word_of_people_is_its_own_whoever_sends_it_again(doors: Services) -> None:
    body = msgspec.json.encode(bare("h3", "attorn.role.granted.v1", "participant/ben", {"role": "reviewer"}))
    js = doors.nc.jetstream()
    stored = await js.publish(subjects.quarantine("hr"), body, headers={"Attorn-Status": "500"})
    assert isinstance(await again(doors, stored.seq), Receipt)


async def test_what_came_from_nobody_is_recorded_as_nobody_s_by_nobody(doors: Services) -> None:
    body = msgspec.json.encode(note("_"))
    stored = await doors.nc.jetstream().publish(subjects.quarantine("_"), body, headers={"Attorn-Status": "400"})
    for sent in (b"", note("_")):
        assert "names no source" in wrong(await again(doors, stored.seq, sent, "root"), 400).detail
    assert await doors.ledger.read("work/_") == []


# -- once


async def test_each_message_is_taken_again_once_whatever_could_be_read_of_it(doors: Services) -> None:
    number = await refused(doors, "cove", {"x": 1})
    first = await again(doors, number, note("cove"))
    assert isinstance(first, Receipt)
    answer = wrong(await again(doors, number, note("cove", "2"), "ben"), 409, rule="conflict")
    assert "as olga sent it" in answer.detail
    wrong(await again(doors, number), 400)
    # White space around it is nobody's word.
    same = await again(doors, number, msgspec.json.encode(note("cove")) + b"\n", "ben")
    assert isinstance(same, Receipt) and same.position == first.position
    assert [each.event.id for each in await doors.ledger.read("work/cove")] == ["1"]


async def test_of_many_who_mend_one_message_at_once_one_is_right(doors: Services) -> None:
    number = await refused(doors, "reef", {"x": 1})
    answers = await asyncio.gather(*(again(doors, number, note("reef", str(n))) for n in range(12)))
    assert sum(isinstance(each, Receipt) for each in answers) == 1
    assert {each.status for each in answers if isinstance(each, Problem)} <= {409, 503}
    assert len(await doors.ledger.read("work/reef")) == 1


async def test_killed_between_the_mark_and_the_log_the_same_bytes_are_recorded_and_no_others(doors: Services) -> None:
    number = await refused(doors, "moor", {"x": 1})
    body, other = msgspec.json.encode(note("moor")), note("moor", "2")
    await Quarantine(doors.nc).take(number, body, "olga")
    wrong(await again(doors, number, other, "ben"), 409, rule="conflict")
    assert await doors.ledger.read("work/moor") == []
    assert isinstance(await again(doors, number, body, "ben"), Receipt)


async def test_what_could_not_be_recorded_leaves_the_place_to_another_try(doors: Services) -> None:
    assert isinstance(await doors.fact("fjord", note("fjord")), Receipt)
    number = await refused(doors, "fjord", {"x": 1})
    wrong(await again(doors, number, note("fjord", text="something else")), 409)
    assert isinstance(await again(doors, number, note("fjord", "2")), Receipt)
    quarantine = Quarantine(doors.nc)
    with pytest.raises(Refused, match="taken again before"):
        await quarantine.take(number, b"other", "olga")


async def test_a_mark_is_no_message(doors: Services) -> None:
    number = await refused(doors, "weir", note("weir", text=7))
    mark = await Quarantine(doors.nc).take(number, msgspec.json.encode(note("weir")), "olga")
    wrong(await again(doors, mark.revision, note("weir")), 404)
