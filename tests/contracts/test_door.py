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

FACT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/erp",
    "type": "attorn.work.cancelled.v1",
    "subject": "work/W-1",
    "time": "2026-03-02T09:00:00Z",
    "data": {"by": "ana", "reason": "Not wanted."},
}
DEFINED = FACT | {"type": "attorn.work.defined.v1", "data": {"title": "Refund", "accountable": "ana"}}
WORK = {"work_id": "W-1", "title": "Refund", "accountable": "ana"}
MISSING = object()

IDENTIFIER = "letters, digits, '-' or '_'"


def fact(**changes: Any) -> bytes:
    document = {name: value for name, value in (FACT | changes).items() if value is not MISSING}
    return json.dumps(document).encode()


def text(**parts: str) -> bytes:
    """A fact in which the JSON of some attributes is written out by hand."""
    written = {name: json.dumps(value) for name, value in FACT.items()} | parts
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in written.items()) + "}").encode()


def defined(**data: Any) -> bytes:
    return json.dumps(DEFINED | {"data": DEFINED["data"] | data}).encode()


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


# What is wrong, the body, the field that the refusal names, and some words of its reason.
BAD_BODIES: list[tuple[str, bytes, str | None, str]] = [
    ("nothing", b"", None, "not JSON at line 1, column 1"),
    ("white space", b" \n", None, "not JSON"),
    ("no JSON", b"hello", None, "not JSON"),
    ("single quotes", b"{'id': '1'}", None, "double quotes"),
    ("cut off", fact()[:-1], None, "not JSON"),
    ("something behind it", fact() + b"x", None, "Extra data"),
    ("two documents", fact() + fact(), None, "Extra data"),
    ("a trailing comma", fact()[:-1] + b",}", None, "not JSON"),
    ("a comment", b"// hi\n" + fact(), None, "not JSON"),
    ("not UTF-8", fact().replace(b"Not", b"\xff"), None, "is not UTF-8"),
    ("Latin-1", fact().replace(b"Not", b"caf\xe9"), None, "is not UTF-8"),
    ("an encoded surrogate", fact().replace(b"Not", b"\xed\xa0\x80"), None, "is not UTF-8"),
    ("UTF-16", fact().decode().encode("utf-16"), None, "is not UTF-8"),
    ("a byte order mark", b"\xef\xbb\xbf" + fact(), None, "BOM"),
    ("a raw U+0000", fact().replace(b"Not", b"\x00"), None, "not JSON"),
    ("a raw newline in a string", fact().replace(b"Not", b"\n"), None, "not JSON"),
    ("a number with a leading zero", text(x="01"), None, "not JSON"),
    ("a hexadecimal number", text(x="0x1F"), None, "not JSON"),
    ("too large", fact(x="a" * BODY_BYTES_MAX), None, "refer to large content by uri and digest"),
    ("one level too deep", text(data='{"by":' + nested(DEPTH_MAX - 1) + "}"), None, "nested deeper than 32 levels"),
    ("very deep, with an escape", text(data='{"by":"\\u0041","x":' + nested(900) + "}"), None, "nested deeper than 32"),
    ("100,000 brackets", b"[" * 100_000, None, "nested deeper than 32 levels"),
    ("100,000 braces", b'{"a":' * 100_000, None, "nested deeper than 32 levels"),
    ("NaN", text(x="NaN"), "x", "NaN is not JSON"),
    ("NaN in the data", text(data='{"by": [1, NaN]}'), "data.by[1]", "NaN is not JSON"),
    ("Infinity", text(x="Infinity"), "x", "Infinity is not JSON"),
    ("minus Infinity", text(x="-Infinity"), "x", "-Infinity is not JSON"),
    ("an integer of 2^53", text(x=str(2**53)), "x", "beyond ±(2^53 - 1); send it as a string"),
    ("an integer of -2^53", text(data='{"a": {"b": [-9007199254740992]}}'), "data.a.b[0]", "beyond ±(2^53 - 1)"),
    ("an integer of 5,000 digits", text(x="9" * 5_000), "x", "beyond ±(2^53 - 1)"),
    ("a number beyond a double", text(x="1e999"), "x", "beyond what a double holds"),
    ("an attribute twice", text()[:-1] + b', "id": "2"}', "id", "stands twice in one object"),
    ("a field twice", text(data='{"by": "ana", "by": "ben"}'), "data.by", "stands twice in one object"),
    ("a field twice, once escaped", text(data='{"by": "ana", "\\u0062y": "ben"}'), "data.by", "stands twice"),
    ("a field twice, deep down", text(data='{"a": [{"b": 1, "b": 1}]}'), "data.a[0].b", "stands twice in one object"),
    ("a name with a lone surrogate, twice", b'{"\\ud800": 1, "\\ud800": 2}', "\\ud800", "stands twice in one object"),
    ("U+0000", text(id='"a\\u0000b"'), "id", "U+0000"),
    ("U+0000 in the data", text(data='{"by": "ana", "reason": "\\u0000"}'), "data.reason", "U+0000"),
    ("U+0000 in a name", text(data='{"a\\u0000": 1}'), "data.a\\u0000", "U+0000"),
    ("a lone surrogate", text(source='"\\ud800"'), "source", "lone surrogate"),
    ("a lone low surrogate", text(data='{"reason": "x\\udc00"}'), "data.reason", "lone surrogate"),
    ("surrogates in the wrong order", text(data='{"reason": "\\udc00\\ud800"}'), "data.reason", "lone surrogate"),
]

BAD_FACTS: list[tuple[str, bytes, str | None, str]] = [
    ("a scalar", b"7", None, "a CloudEvent is a JSON object"),
    ("null", b"null", None, "a CloudEvent is a JSON object"),
    ("a string", b'"fact"', None, "a CloudEvent is a JSON object"),
    ("an array", b"[" + fact() + b"]", None, "a CloudEvent is a JSON object"),
    *((f"no {name}", fact(**{name: MISSING}), name, "is required") for name in FACT),
    *((f"empty {name}", fact(**{name: ""}), name, "is required") for name in FACT if name != "data"),
    *((f"null {name}", fact(**{name: None}), name, "is required") for name in FACT if name != "data"),
    *((f"a number as {name}", fact(**{name: 1}), name, "is required") for name in FACT if name != "data"),
    *((f"its own {name}", fact(**{name: "1"}), name, "leave it out") for name in SERVICE_ATTRIBUTES),
    ("its own sequence, as null", fact(sequence=None), "sequence", "leave it out"),
    ("version 0.3", fact(specversion="0.3"), "specversion", 'must be "1.0"'),
    ("version 1", fact(specversion="1"), "specversion", 'must be "1.0"'),
    *(
        (f"an over-long {name}", fact(**{name: "x" * 513}), name, "longer than 512")
        for name in ("id", "source", "type")
    ),
    ("no kind of stream", fact(subject="W-1"), "subject", "is not <kind>/<id>"),
    ("an unknown kind of stream", fact(subject="invoice/1"), "subject", "is not <kind>/<id>"),
    ("a kind in capitals", fact(subject="WORK/W-1"), "subject", "is not <kind>/<id>"),
    *(
        (f"the stream id {id!r}", fact(subject=f"work/{id}"), "subject", IDENTIFIER)
        for id in ("", "*", ">", "W.1", "W 1", "W-1\n", "\nW-1", "W-1/x", "é", "W\t1", "$SYS", "x" * 65)
    ),
    *(
        (f"the time {time!r}", fact(time=time), "time", "is an instant with its offset")
        for time in (
            "yesterday",
            "2026-03-02",
            "2026-03-02T09:00:00",
            "2026-03-02T09:00Z",
            "2026-03-02 09:00:00Z",
            "20260302T090000Z",
            "2026-03-02T09:00:00+0100",
            "2026-03-02T09:00:00+01",
            "2026-03-02T09:00:00,5Z",
            "2026-03-02T09:00:00.Z",
            "2026-W10-1T09:00:00Z",
            "2026-03-02T09:00:00Z\n",
            "٢٠٢٦-03-02T09:00:00Z",
            "1772442000",
        )
    ),
    *(
        (f"the time {time!r}", fact(time=time), "time", "Invalid RFC3339")
        for time in (
            "2026-03-02T24:00:00Z",
            "2026-02-30T09:00:00Z",
            "2026-13-01T09:00:00Z",
            "2026-03-02T09:60:00Z",
            "2026-03-02T09:00:00+24:00",
            "0000-03-02T09:00:00Z",
        )
    ),
    ("a time before the year 1", fact(time="0001-01-01T00:00:00+14:00"), "time", "outside the years 1 to 9999"),
    ("a time after the year 9999", fact(time="9999-12-31T23:59:59-14:00"), "time", "outside the years 1 to 9999"),
    ("a bad time of a foreign type", fact(type="com.acme.x", time="2026-03-02T25:00:00Z"), "time", "Invalid RFC3339"),
    ("an extension in capitals", fact(tenantId="1"), "tenantId", "1 to 20 lower-case letters or digits"),
    ("an extension with a dash", fact(**{"tenant-id": "1"}), "tenant-id", "1 to 20 lower-case letters or digits"),
    ("an extension of 21 letters", fact(**{"x" * 21: "1"}), "x" * 21, "1 to 20 lower-case letters or digits"),
    ("an extension without a name", fact(**{"": "1"}), "", "1 to 20 lower-case letters or digits"),
    ("an extension with a newline", fact(**{"x\n": "1"}), "x\n", "1 to 20 lower-case letters or digits"),
    ("data in base 64", fact(data_base64="aGk="), "data_base64", "1 to 20 lower-case letters or digits"),
    ("an extension that is an object", fact(x={}), "x", "a string, an integer or a boolean"),
    ("an extension that is an array", fact(x=[1]), "x", "a string, an integer or a boolean"),
    ("an extension that is a fraction", fact(x=1.5), "x", "a string, an integer or a boolean"),
    ("a number as traceparent", fact(traceparent=7), "traceparent", "is a string"),
    ("a number as dataschema of a foreign type", fact(type="com.acme.x", dataschema=7), "dataschema", "is a string"),
    ("data in XML", fact(datacontenttype="text/xml"), "datacontenttype", "must be application/json"),
    ("data that is null", fact(data=None), "data", "Expected `object`, got `null`"),
    ("data that is an array", fact(data=[]), "data", "Expected `object`, got `array`"),
    ("data that is a string", fact(data="x"), "data", "Expected `object`, got `str`"),
    (
        "an unknown field",
        fact(data={"by": "ana", "mood": 1}),
        "data.mood",
        "is not a field of attorn.work.cancelled.v1",
    ),
    ("the stream's id as a field", fact(data={"work_id": "W-1"}), "data.work_id", "is not a field"),
    ("a field of the wrong type", fact(data={"by": 7}), "data.by", "Expected `str | null`, got `int`"),
    ("a missing field", fact(type="attorn.work.defined.v1", data={"title": "x"}), "data.accountable", "is required"),
    *(
        (f"the participant {id!r}", defined(accountable=id), "data.accountable", IDENTIFIER)
        for id in ("", "*", ">", "a.b", "a b", "ana\n", "ana\u2028", "ä", "x" * 65)
    ),
    ("an empty title", defined(title=""), "data.title", "length >= 1"),
    ("an over-long title", defined(title="x" * 201), "data.title", "length <= 200"),
    ("an over-long text", fact(data={"reason": "x" * 16_385}), "data.reason", "length <= 16384"),
    ("a word that is none of those", defined(priority="urgent"), "data.priority", "Invalid enum value 'urgent'"),
    ("a due date without offset", defined(due_at="2026-03-02T09:00:00"), "data.due_at", "timezone"),
    ("a version of 0", defined(process={"id": "refunds", "version": 0}), "data.process.version", ">= 1"),
    ("a version that is a string", defined(process={"id": "refunds", "version": "1"}), "data.process.version", "`int`"),
    ("an unknown field in a field", defined(purpose={"why": "x", "whom": "y"}), "data.purpose.whom", "is not a field"),
    (
        "an unknown field in an array",
        defined(acceptance_criteria=[{"id": "a", "text": "b"}, {"id": "c", "text": "d", "e": 1}]),
        "data.acceptance_criteria[1].e",
        "is not a field",
    ),
    (
        "a missing field in an array",
        defined(acceptance_criteria=[{"id": "a"}]),
        "data.acceptance_criteria[0].text",
        "is required",
    ),
    ("an item of the wrong type", defined(candidates=["ana", 7]), "data.candidates[1]", "Expected `str`, got `int`"),
    ("one where there are many", defined(candidates="ana"), "data.candidates", "Expected `array`, got `str`"),
    ("a digest in capitals", defined(context=[{"uri": "/a", "dig": "SHA256:00"}]), "data.context[0].dig", "sha256:"),
]


def define(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (WORK | changes).items() if value is not MISSING}).encode()


BAD_COMMANDS: list[tuple[str, bytes, str | None, str]] = [
    ("an array", b"[]", None, "a command is a JSON object"),
    ("a scalar", b"true", None, "a command is a JSON object"),
    ("a CloudEvent", fact(), None, ""),
    ("an unknown field", define(mood="calm"), "mood", "is not a field of DefineWork"),
    ("an unknown field named like an error", define(priority="unknown field"), "priority", "Invalid enum value"),
    ("an unknown field in a field", define(purpose={"whom": "x"}), "purpose.whom", "is not a field of DefineWork"),
    ("no id", define(work_id=MISSING), "work_id", "is required"),
    ("a null id", define(work_id=None), "work_id", "Expected `str`, got `null`"),
    *(
        (f"the id {id!r}", define(work_id=id), "work_id", IDENTIFIER)
        for id in ("", "*", ">", "W.1", "W 1", "W-1\n", "W/1", "x" * 65)
    ),
    ("no title", define(title=MISSING), "title", "is required"),
    ("a title that is a number", define(title=7), "title", "Expected `str`, got `int`"),
    ("an over-long title", define(title="x" * 201), "title", "length <= 200"),
    ("a date only", define(due_at="2026-03-02"), "due_at", "Invalid RFC3339"),
    ("a pinned policy", define(review_policy={"id": "x", "version": 1}), "review_policy", "Expected `str | null`"),
    ("nothing in it", b"{}", "work_id", "is required"),
]


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
