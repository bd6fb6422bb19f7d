"""Bytes to events and back: nothing is lost, nothing is rewritten, and reading never raises."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attorn.contracts import codec, door
from attorn.contracts.envelope import Event, Unknown, sequence
from attorn.contracts.messages import EVENT_BY_TYPE, EVENTS
from attorn.contracts.work import WorkCancelled, WorkDefined
from attorn.services.documents import fact_example, recorded_example

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def sent(**changes: Any) -> bytes:
    """A fact as a publisher sends it; `changes` are attributes of it."""
    return json.dumps(json.loads(codec.encode(fact_example(WorkCancelled))) | changes).encode()


@pytest.mark.parametrize("shape", EVENTS, ids=lambda shape: shape.type)
@pytest.mark.parametrize("example", [fact_example, recorded_example])
def test_what_is_written_reads_back_the_same(shape: type[msgspec.Struct], example: Any) -> None:
    event = example(shape)
    read = codec.decode(codec.encode(event))
    assert read == event
    assert type(read.data) is shape
    assert codec.encode(read) == codec.encode(event)


def test_an_event_of_an_unknown_type_is_kept_with_its_bytes() -> None:
    body = sent(type="com.acme.parcel.lost.v3", data={"a": [1, {"b": None}]}, sequence="0000000003", authid="shop")
    event = codec.decode(body)
    assert isinstance(event.data, Unknown)
    assert event.data.type == event.type == "com.acme.parcel.lost.v3"
    assert event.data.raw == b'{"a": [1, {"b": null}]}'
    assert event.data.reason == "a type that this version does not know"
    assert (event.subject, event.version, event.authid) == ("work/W-1042", 3, "shop")
    assert event.time == AT


def test_an_event_of_an_unknown_type_keeps_every_attribute_that_we_know() -> None:
    whole = json.loads(codec.encode(recorded_example(EVENT_BY_TYPE["attorn.work.escalated.v1"])))
    event = codec.decode(json.dumps(whole | {"type": "attorn.work.escalated.v9", "dataschema": "urn:x"}).encode())
    assert {name: getattr(event, name) for name in whole if name not in ("type", "data", "time")} == {
        name: value for name, value in whole.items() if name not in ("type", "data", "time")
    }
    assert event.dataschema == "urn:x"


def test_a_field_that_a_later_version_added_is_passed_over_on_reading() -> None:
    event = codec.decode(sent(data={"by": "ana", "mood": "calm"}, partition="7"))
    assert event.data == WorkCancelled(by="ana")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"by": 7}, "data.by"),
        ({"by": "not one token"}, "data.by"),
        ([], "data"),
        (None, "data"),
    ],
)
def test_data_that_does_not_fit_its_type_is_kept_with_the_reason(data: Any, reason: str) -> None:
    event = codec.decode(sent(data=data))
    assert isinstance(event.data, Unknown)
    assert event.type == WorkCancelled.type
    assert json.loads(event.data.raw) == data
    assert f"`$.{reason}`" in event.data.reason


DEEP = 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"type":5}',
        b'{"type":"attorn.work.cancelled.v1"}',
        b'{"type":"\\ud800"}',
        b"[" * DEEP,
        b'{"type":"com.acme.x","id":"1","source":"/x","time":"2026-03-02T09:00:00Z","data":' + b"[" * DEEP,
        b'{"type":"attorn.work.cancelled.v1","data":{"by":' + b'{"a":' * DEEP,
        b'{"type":"com.acme.x","id":"\xff","source":"/x","time":"2026-03-02T09:00:00Z"}',
        b'{"type":"com.acme.x","id":"1","source":"/x","time":"2026-03-02"}',
    ],
    ids=lambda body: repr(body[:60]),
)
def test_garbage_reads_as_unknown_under_the_stream_and_time_that_the_log_says(body: bytes) -> None:
    event = codec.decode(body, "work/W-7", AT)
    assert isinstance(event.data, Unknown)
    assert event.data.raw == body
    assert event.data.reason
    assert (event.subject, event.time, event.type) == ("work/W-7", AT, "")


def test_garbage_is_read_without_being_told_anything_too() -> None:
    assert codec.decode(b"?").subject == ""


@pytest.mark.parametrize("foreign", ["x", "9" * 5_000, "-", "1.5"])
def test_a_sequence_that_is_no_number_is_no_version(foreign: str) -> None:
    assert codec.decode(sent(sequence=foreign)).version == 0


def test_versions_are_ten_digits_so_that_they_sort_as_text() -> None:
    assert sequence(7) == "0000000007"
    assert sorted(map(sequence, (10, 9, 100))) == [sequence(9), sequence(10), sequence(100)]


def test_an_event_has_no_version_before_it_is_placed() -> None:
    event = fact_example(WorkCancelled)
    assert (event.sequence, event.version) == (None, 0)
    placed = codec.seal(event, 12)
    assert (placed.event.sequence, placed.event.version) == ("0000000012", 12)
    assert codec.decode(placed.body) == placed.event
    assert (placed.event.originator_id, placed.event.originator_version) == ("work/W-1042", 12)


UNUSUAL = (
    '  {\n\t"data" : {"reason":"caf\\u00e9 \\/ ☎", "by" :"ana"},"x1":"kept", "time":"2026-03-02T10:00:00.10+01:00",\r\n'
    ' "subject":"work/W-1042","comacmetenant":7,"flag":true,"gone":null,"source":"/erp",'
    '"type":"attorn.work.cancelled.v1","id":"1" ,"specversion":"1.0"  }\n'
).encode()


def test_a_publishers_bytes_are_kept_to_the_letter() -> None:
    entry = codec.stamp(door.fact(UNUSUAL), UNUSUAL, 3, authid="erp", authtype="system")
    theirs = UNUSUAL.strip()[1:].strip()
    assert entry.body == b'{"sequence":"0000000003","authid":"erp","authtype":"system",' + theirs
    assert codec.published_part(entry) == codec.published(UNUSUAL) == theirs

    read = codec.decode(entry.body)
    assert read == entry.event
    assert (read.version, read.authid, read.data) == (3, "erp", WorkCancelled(by="ana", reason="café / ☎"))
    whole = json.loads(entry.body)
    assert (whole["x1"], whole["comacmetenant"], whole["flag"], whole["gone"]) == ("kept", 7, True, None)


def test_what_a_publisher_sent_is_found_again_whatever_the_service_said_of_it() -> None:
    said = {"severitytext": "high", "onbehalfof": "ana", "authtype": "system", "severitynumber": 17, "authid": "erp"}
    for body in (UNUSUAL, sent(), sent(type="com.acme.x", data=[1])):
        entry = codec.stamp(door.fact(body), body, 3, **said)
        assert codec.published_part(entry) == codec.published(body)
        reread = msgspec.structs.replace(entry, event=codec.decode(entry.body))
        assert codec.published_part(reread) == codec.published(body)


def test_what_the_service_has_nothing_to_say_of_is_left_out() -> None:
    entry = codec.stamp(door.fact(sent()), sent(), 3, authid="erp", onbehalfof=None)
    assert entry.body.startswith(b'{"sequence":"0000000003","authid":"erp","type"')
    assert codec.published_part(entry) == codec.published(sent())


def test_no_attribute_of_the_publisher_is_said_twice() -> None:
    with pytest.raises(AssertionError):
        codec.stamp(door.fact(sent()), sent(), 3, correlationid="W-1")


def test_of_our_own_events_all_is_ours() -> None:
    entry = codec.seal(recorded_example(WorkDefined), 4)
    assert codec.published_part(entry) == entry.body


# ---- whatever the bytes are

EXAMPLES = [codec.encode(recorded_example(shape)) for shape in EVENTS]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(body: bytes) -> Event:
    event = codec.decode(body, "work/W-1", AT)
    assert isinstance(event.type, str)
    assert isinstance(event.version, int)
    assert event.time.tzinfo is not None or isinstance(event.data, Unknown)
    return event


@quick
@given(st.binary(max_size=300))
def test_reading_arbitrary_bytes_never_raises(body: bytes) -> None:
    read(body)


@quick
@given(st.sampled_from(EXAMPLES), st.data())
def test_reading_a_damaged_example_never_raises(body: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    read(body[:start] + data.draw(st.binary(max_size=12)) + body[end:])


@quick
@given(st.sampled_from(EXAMPLES), st.data())
def test_reading_an_example_with_another_value_somewhere_never_raises(body: bytes, data: st.DataObject) -> None:
    document = json.loads(body)
    within = document if data.draw(st.booleans()) else document["data"]
    if within:
        within[data.draw(st.sampled_from(sorted(within)))] = data.draw(JSON)
    read(json.dumps(document).encode("utf-8", "surrogatepass"))


@quick
@given(st.sampled_from(EXAMPLES), st.dictionaries(st.text(max_size=12), st.integers() | st.text(), max_size=3))
def test_what_a_later_version_adds_to_the_data_changes_nothing(body: bytes, added: dict[str, Any]) -> None:
    document = json.loads(body)
    document["data"] = added | document["data"]
    optional = set(EVENT_BY_TYPE[document["type"]].__struct_encode_fields__)
    if optional & added.keys() - json.loads(body)["data"].keys():
        return
    assert read(json.dumps(document).encode()) == codec.decode(body)
