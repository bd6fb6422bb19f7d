"""Bad messages, one table: what is wrong, the bytes, the field that a refusal names, and some words of its reason.

Every door is held against it: the parser here, and the doors of running services (tests/services/test_poison.py).
"""

import json
from typing import Any

from attorn.contracts.door import BODY_BYTES_MAX, DEPTH_MAX
from attorn.contracts.envelope import SERVICE_ATTRIBUTES

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
        (f"the time {time!r}", fact(time=time), "time", "is an instant with its offset, as in")
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
    ("a bad time of a foreign type", fact(type="com.acme.x", time="2026-03-02T25:00:00Z"), "time", "is an instant"),
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
    ("data that is null", fact(data=None), "data", "is an object with"),
    ("data that is an array", fact(data=[]), "data", "is an object with"),
    ("data that is a string", fact(data="x"), "data", "is an object with"),
    (
        "an unknown field",
        fact(data={"by": "ana", "mood": 1}),
        "data.mood",
        "is not a field of attorn.work.cancelled.v1",
    ),
    ("the stream's id as a field", fact(data={"work_id": "W-1"}), "data.work_id", "is not a field"),
    ("a field of the wrong type", fact(data={"by": 7}), "data.by", "is a string, not an integer"),
    ("a missing field", fact(type="attorn.work.defined.v1", data={"title": "x"}), "data.accountable", "is required"),
    *(
        (f"the participant {id!r}", defined(accountable=id), "data.accountable", IDENTIFIER)
        for id in ("", "*", ">", "a.b", "a b", "ana\n", "ana\u2028", "ä", "x" * 65)
    ),
    ("an empty title", defined(title=""), "data.title", "is empty"),
    ("an over-long title", defined(title="x" * 201), "data.title", "has at most 200 characters"),
    ("an over-long text", fact(data={"reason": "x" * 16_385}), "data.reason", "has at most 16,384 characters"),
    (
        "a word that is none of those",
        defined(priority="urgent"),
        "data.priority",
        "is one of critical, high, low, normal, not 'urgent'",
    ),
    (
        "a due date without offset",
        defined(due_at="2026-03-02T09:00:00"),
        "data.due_at",
        "is an instant with its offset",
    ),
    (
        "a version of 0",
        defined(process={"id": "refunds", "version": 0}),
        "data.process.version",
        "is an integer, at least 1",
    ),
    (
        "a version that is a string",
        defined(process={"id": "refunds", "version": "1"}),
        "data.process.version",
        "is an integer, not a string",
    ),
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
    (
        "an amount without a currency",
        fact(
            type="attorn.execution.action_recorded.v1",
            data={"execution_id": "E", "action_id": "a", "tool": "pay", "amount": "9"},
        ),
        "data.amount",
        'is an object, as in {"amount": "99.00", "currency": "EUR"}, not a string',
    ),
    ("an item of the wrong type", defined(candidates=["ana", 7]), "data.candidates[1]", "is a string, not an integer"),
    ("one where there are many", defined(candidates="ana"), "data.candidates", "is an array, not a string"),
    ("a digest in capitals", defined(context=[{"uri": "/a", "dig": "SHA256:00"}]), "data.context[0].dig", "sha256:"),
]


def define(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (WORK | changes).items() if value is not MISSING}).encode()


BAD_COMMANDS: list[tuple[str, bytes, str | None, str]] = [
    ("an array", b"[]", None, "a command is a JSON object"),
    ("a scalar", b"true", None, "a command is a JSON object"),
    ("a CloudEvent", fact(), None, ""),
    ("an unknown field", define(mood="calm"), "mood", "is not a field of DefineWork"),
    ("an unknown field named like an error", define(priority="unknown field"), "priority", "is one of critical"),
    ("an unknown field in a field", define(purpose={"whom": "x"}), "purpose.whom", "is not a field of DefineWork"),
    ("no id", define(work_id=MISSING), "work_id", "is required"),
    ("a null id", define(work_id=None), "work_id", "is a string, not null"),
    *(
        (f"the id {id!r}", define(work_id=id), "work_id", IDENTIFIER)
        for id in ("", "*", ">", "W.1", "W 1", "W-1\n", "W/1", "x" * 65)
    ),
    ("no title", define(title=MISSING), "title", "is required"),
    ("a title that is a number", define(title=7), "title", "is a string, not an integer"),
    ("an over-long title", define(title="x" * 201), "title", "has at most 200 characters"),
    ("a date only", define(due_at="2026-03-02"), "due_at", "is an instant"),
    ("a pinned policy", define(review_policy={"id": "x", "version": 1}), "review_policy", "is a string, not an object"),
    ("nothing in it", b"{}", "work_id", "is required"),
]


# The question is about one item: {"work": "W-1"}.
BAD_QUESTIONS: list[tuple[str, bytes, str | None, str]] = [
    ("nothing in it", b"{}", "work", "is required"),
    ("an array", b"[]", None, "a command is a JSON object"),
    ("a number as work", b'{"work": 7}', "work", "is a string"),
    ("an unknown parameter", b'{"work": "W-1", "colour": "red"}', "colour", "is not a field"),
    ("a position that is a word", b'{"work": "W-1", "wait_for": "now"}', "wait_for", "is an integer"),
    ("a position before the first", b'{"work": "W-1", "wait_for": -1}', "wait_for", ""),
]
