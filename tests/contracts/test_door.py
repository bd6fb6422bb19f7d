"""The door is strict: what two readers could read differently stays out, and who sent it is told where it is wrong."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attorn.contracts import codec, door
from attorn.contracts.door import BODY_BYTES_MAX, DEPTH_MAX
from attorn.contracts.envelope import SERVICE_ATTRIBUTES, Unknown
from attorn.contracts.examples import COMMAND_EXAMPLES
from attorn.contracts.execution import ExecutionInputProvided, ProvideInput
from attorn.contracts.messages import COMMANDS, EVENTS
from attorn.contracts.refusal import Unreadable, problem
from attorn.contracts.work import ClarifyWork, DefineWork, WorkCancelled, WorkDefined
from attorn.services.documents import fact_example
from poison import BAD_BODIES, BAD_COMMANDS, BAD_FACTS, FACT, defined, fact, nested, text


def refused(body: bytes, through: Any) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        through(body)
    return caught.value


def named(table: list[tuple[str, bytes, str | None, str]]) -> list[Any]:
    return [pytest.param(*row[1:], id=row[0].encode("unicode_escape").decode()) for row in table]


@pytest.mark.parametrize(("body", "field", "reason"), named(BAD_BODIES))
def test_what_readers_would_read_differently_comes_in_by_neither_door(body: bytes, field: str, reason: str) -> None:
    for through in (door.fact, lambda body: door.command(body, DefineWork)):
        why = refused(body, through)
        assert reason in why.reason
        assert why.field == field


@pytest.mark.parametrize(("body", "field", "reason"), named(BAD_FACTS))
def test_a_bad_fact_is_refused_with_its_field_named(body: bytes, field: str | None, reason: str) -> None:
    why = refused(body, door.fact)
    assert reason in why.reason
    assert why.field == field


@pytest.mark.parametrize(("body", "field", "reason"), named(BAD_COMMANDS))
def test_a_bad_command_is_refused_with_its_field_named(body: bytes, field: str | None, reason: str) -> None:
    why = refused(body, lambda body: door.command(body, DefineWork))
    assert reason in why.reason
    assert field is None or why.field == field


@pytest.mark.parametrize(
    "body",
    [
        fact(**{"x" * 900_000: "1"}),
        fact(subject="work/" + "x" * 900_000),
        fact(data={"x" * 900_000: 1}),
        defined(priority="x" * 900_000),
        text(data=f'{{"{"x" * 400_000}": 1, "{"x" * 400_000}": 2}}'),
        text(x="9" * 900_000),
        text(x="1" * 900_000 + "e999"),
        text(data='{"' + "x" * 900_000 + '": "\\u0000"}'),
    ],
    ids=["attribute", "subject", "field", "word", "field twice", "integer", "number", "a character in a field"],
)
def test_a_refusal_is_short_however_long_the_message(body: bytes) -> None:
    # The reply has to fit into a message, and the reason into a header.
    assert len(msgspec.json.encode(problem(refused(body, door.fact)))) < 2_000


@pytest.mark.parametrize("body", [row[1] for row in [*BAD_BODIES, *BAD_FACTS]], ids=lambda body: repr(body[:40]))
def test_every_refusal_can_be_sent(body: bytes) -> None:
    told = json.loads(msgspec.json.encode(problem(refused(body, door.fact))))
    assert (told["status"], "rules" in told) == (400, False)


def test_what_reaches_the_limit_is_not_beyond_it() -> None:
    room = BODY_BYTES_MAX - len(fact(type="com.acme.x", data=""))
    body = fact(type="com.acme.x", data="x" * room)
    assert len(body) == BODY_BYTES_MAX
    door.fact(body)
    door.fact(text(type='"com.acme.x"', data=nested(DEPTH_MAX - 1)))
    door.fact(text(type='"com.acme.x"', data="[" * (DEPTH_MAX - 1) + "1" + "]" * (DEPTH_MAX - 1)))


GOOD_FACTS: list[tuple[str, bytes]] = [
    ("the least", fact()),
    ("white space all around", b" \r\n\t" + fact() + b"\n"),
    ("indented", json.dumps(FACT, indent=4).encode()),
    ("the attributes in another order", json.dumps(dict(reversed(FACT.items()))).encode()),
    ("an extension that is a string", fact(tenant="north")),
    ("an extension that is an integer", fact(partition=7)),
    ("an extension that is a boolean", fact(sampled=True)),
    ("an extension that is null, and so left out", fact(tenant=None)),
    ("an extension of 20 letters", fact(**{"x" * 20: "1"})),
    ("many extensions", fact(**{f"x{n}": n for n in range(100)})),
    ("a schema", fact(dataschema="urn:attorn:schema:attorn.work.cancelled.v1")),
    ("a schema that is null, and so left out", fact(dataschema=None)),
    ("a content type", fact(datacontenttype="application/json")),
    ("a trace", fact(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate="a=b")),
    ("its own correlation", fact(correlationid="order-7", causationid="mail-9")),
    ("escapes", text(data='{"by": "\\u0061na", "reason": "\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"}')),
    ("a pair of surrogates", text(data='{"reason": "\\ud83d\\ude00"}')),
    ("an escaped backslash before a u", text(data='{"reason": "\\\\u0000 and \\\\ud800"}')),
    ("unicode as it is", text(data='{"reason": "Grüße, 你好, שלום, 😀, e\u0301, \u2028"}')),
    ("a noncharacter", text(data='{"reason": "\\uffff"}')),
    ("an offset", fact(time="2026-03-02T10:00:00+01:00")),
    ("an unknown offset", fact(time="2026-03-02T09:00:00-00:00")),
    ("a fraction of a second", fact(time="2026-03-02T09:00:00.123456789Z")),
    ("lower-case letters in the time", fact(time="2026-03-02t09:00:00z")),
    ("a long id", fact(id="é" * 512)),
    ("a URN as source", fact(source="urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66")),
    ("the longest stream id", fact(subject="work/" + "x" * 64)),
    ("another kind of stream", fact(subject="claim/order-4711")),
    ("no data to speak of", fact(data={})),
    ("a field that is null", fact(data={"by": None})),
    ("a due date", defined(due_at="2026-03-02T09:00:00+01:00")),
    ("an integer of 2^53 - 1", text(x="9007199254740991")),
    ("an integer of -(2^53 - 1)", text(x="-9007199254740991")),
    ("the longest text", fact(data={"reason": "x" * 16_384})),
    ("a foreign type", fact(type="com.acme.parcel.lost", data={"parcel": 7, "at": [1.5e3, None]})),
    ("a foreign type with text", fact(type="com.acme.note", data="hello")),
    ("a later version of a type", fact(type="attorn.work.cancelled.v2", data={"whom": "ana"})),
]


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in GOOD_FACTS])
def test_a_good_fact_comes_in(body: bytes) -> None:
    event = door.fact(body)
    document = json.loads(body)
    assert (event.id, event.source, event.type, event.subject) == tuple(
        document[name] for name in ("id", "source", "type", "subject")
    )
    # What came in is on the log with the same meaning, and one of each attribute.
    entry = codec.stamp(event, body, 1, authid="erp", authtype="system")
    assert codec.decode(entry.body) == entry.event
    pairs = json.loads(entry.body, object_pairs_hook=lambda pairs: pairs)
    assert len(pairs) == len(dict(pairs))
    assert door.parse(entry.body) == document | {"sequence": "0000000001", "authid": "erp", "authtype": "system"}


def test_escapes_and_unicode_mean_what_they_mean() -> None:
    event = door.fact(text(data='{"by": "\\u0061na", "reason": "\\ud83d\\ude00"}'))
    assert event.data == WorkCancelled(by="ana", reason="😀")


def test_a_fact_of_a_foreign_type_is_kept_as_it_is() -> None:
    event = door.fact(fact(type="com.acme.x", data={"a": 1}))
    assert isinstance(event.data, Unknown)
    assert json.loads(event.data.raw) == {"a": 1}


@pytest.mark.parametrize("shape", EVENTS, ids=lambda shape: shape.type)
def test_the_example_of_every_event_comes_in_by_the_fact_door(shape: type[msgspec.Struct]) -> None:
    example = fact_example(shape)
    assert door.fact(codec.encode(example)) == example


@pytest.mark.parametrize("shape", COMMANDS, ids=lambda shape: shape.verb)
def test_the_example_of_every_command_comes_in_by_the_command_door(shape: type[msgspec.Struct]) -> None:
    example = COMMAND_EXAMPLES[shape]  # type: ignore[index]
    assert door.command(msgspec.json.encode(example), shape) == example


@pytest.mark.parametrize("shape", EVENTS, ids=lambda shape: shape.type)
def test_no_event_takes_a_field_that_it_does_not_have(shape: type[msgspec.Struct]) -> None:
    document = json.loads(codec.encode(fact_example(shape)))
    document["data"]["zzz"] = 1
    assert refused(json.dumps(document).encode(), door.fact).field == "data.zzz"


@pytest.mark.parametrize("shape", COMMANDS, ids=lambda shape: shape.verb)
def test_no_command_takes_a_field_that_it_does_not_have(shape: type[msgspec.Struct]) -> None:
    document = msgspec.to_builtins(COMMAND_EXAMPLES[shape]) | {"zzz": 1}  # type: ignore[index]
    why = refused(json.dumps(document).encode(), lambda body: door.command(body, shape))
    assert why.field == "zzz"


def test_where_anything_goes_anything_goes() -> None:
    answer = {"amount": "100.00", "lines": [{"what": "lamp"}, None]}
    body = json.dumps({"work_id": "W-1", "request_id": "Q-1", "response": "edit", "answer": answer}).encode()
    assert door.command(body, ProvideInput).answer == answer
    body = json.dumps({"work_id": "W-1", "changes": {"anything": {"at": ["all"]}}}).encode()
    assert door.command(body, ClarifyWork).changes == {"anything": {"at": ["all"]}}


# ---- whatever the bytes are

EXAMPLES = [codec.encode(fact_example(shape)) for shape in EVENTS]
quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def at_the_doors(body: bytes) -> None:
    for through in (door.fact, lambda body: door.command(body, DefineWork)):
        try:
            through(body)
        except Unreadable as why:
            msgspec.json.encode(problem(why))


@quick
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_and_nothing_else(body: bytes) -> None:
    at_the_doors(body)


@quick
@given(st.sampled_from(EXAMPLES), st.data())
def test_a_damaged_example_comes_in_or_is_refused(body: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    at_the_doors(body[:start] + data.draw(st.binary(max_size=12)) + body[end:])


@quick
@given(st.sampled_from(EXAMPLES), st.data())
def test_an_example_with_other_words_in_it_comes_in_or_is_refused(body: bytes, data: st.DataObject) -> None:
    document = json.loads(body)
    within = document if data.draw(st.booleans()) else document["data"]
    value = data.draw(st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just({"a": 1}))
    if within:
        within[data.draw(st.sampled_from(sorted(within)))] = value
    body = json.dumps(document).encode()
    at_the_doors(body)
    try:
        event = door.fact(body)
    except Unreadable:
        return
    assert codec.decode(body) == event
    assert event.type != WorkDefined.type or isinstance(event.data, WorkDefined)


# ---- the short cut for bodies that are to the letter as we would write them


def verdict(body: bytes) -> Any:
    """The event, or the field that the refusal names."""
    try:
        return door.fact(body)
    except Unreadable as why:
        return why.field


def compact(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("body", EXAMPLES, ids=[shape.type for shape in EVENTS])
def test_a_body_as_we_would_write_it_is_the_same_event_with_a_space_before_it(body: bytes) -> None:
    assert verdict(body) == verdict(b" " + body)


@pytest.mark.parametrize(
    "changes",
    [
        *({name: value} for name in FACT for value in ("", None, 7, "x" * 513, "a\x00", "\ud800", {}, [])),
        *({name: value} for name in SERVICE_ATTRIBUTES for value in ("1", None, 7)),
        *({"subject": f"work/{id}"} for id in ("", "*", ">", "W.1", "W-1\n", "x" * 65)),
        *(
            {"time": f"{year}-01-01T00:00:00{offset}"}
            for year in ("0001", "9999")
            for offset in ("Z", "+14:00", "-14:00")
        ),
        {"datacontenttype": "text/xml"},
        {"traceparent": "a" * 900_000, "tracestate": "b" * 200_000},
        {"data": {"by": "ana", "mood": 1}},
        {"data": {"reason": "[" * 100}},
        {"tenant": "north"},
    ],
    ids=lambda changes: repr(changes)[:60].encode("unicode_escape").decode(),
)
def test_the_short_cut_lets_in_what_the_long_way_does(changes: dict[str, Any]) -> None:
    body = compact(json.loads(codec.encode(fact_example(WorkCancelled))) | changes)
    assert verdict(body) == verdict(b" " + body)


@pytest.mark.parametrize(
    "answer",
    [2**53 - 1, 2**53, -(2**53), 1e300, [2**53], {"a": 2**60}, {"a": 2**63}, 10**30, "\x00", "\ud800", {"\x00": 1}]
    + [json.loads(nested(levels)) for levels in (DEPTH_MAX - 2, DEPTH_MAX - 1, DEPTH_MAX, 200)],
    ids=repr,
)
def test_the_short_cut_looks_into_fields_that_may_hold_anything(answer: Any) -> None:
    document = json.loads(codec.encode(fact_example(ExecutionInputProvided)))
    document["data"]["answer"] = answer
    body = compact(document)
    assert verdict(body) == verdict(b" " + body)


def test_the_short_cut_does_not_pass_over_a_field_that_stands_twice() -> None:
    document = json.loads(codec.encode(fact_example(ExecutionInputProvided)))
    document["data"]["answer"] = {"a": 1, "b": 2}
    body = compact(document).replace(b'"b":2', b'"a":2')
    assert verdict(body) == "data.answer.a"


@quick
@given(st.sampled_from(EXAMPLES), st.data())
def test_the_short_cut_and_the_long_way_agree(body: bytes, data: st.DataObject) -> None:
    document = json.loads(body)
    within = document if data.draw(st.booleans()) else document["data"]
    value = data.draw(st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just({"a": 1}))
    if within:
        within[data.draw(st.sampled_from(sorted(within)))] = value
    body = compact(document)
    assert verdict(body) == verdict(b" " + body)
