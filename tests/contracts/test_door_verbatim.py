"""The door's short cut: a fact that is to the letter as we would write it is judged as any other is, only faster."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from attorn.contracts import codec, door
from attorn.contracts.context import AddNote
from attorn.contracts.examples import COMMAND_EXAMPLES, EVENT_EXAMPLES
from attorn.contracts.refusal import Unreadable
from attorn.contracts.work import Change, ClarifyWork, WorkClarified, WorkSubmitted


def written(payload: Any, **attributes: Any) -> bytes:
    said = {"id": "1", "source": "/erp", "subject": "work/W-1", "time": datetime(2026, 3, 2, 9, tzinfo=UTC)}
    return codec.encode(codec.event(payload, **(said | attributes)))


def reformatted(body: bytes) -> bytes:
    return json.dumps(json.loads(body)).encode()


@pytest.mark.parametrize("payload", EVENT_EXAMPLES.values(), ids=lambda payload: payload.type)
def test_what_we_would_write_is_read_as_the_same_with_other_spaces(payload: Any) -> None:
    body = written(payload)
    assert door.fact(body) == door.fact(reformatted(body))


SUBMITTED = WorkSubmitted(note="done")


@pytest.mark.parametrize(
    "body",
    [
        written(SUBMITTED, id=""),
        written(SUBMITTED, id="x" * 513),
        written(SUBMITTED, source=""),
        written(SUBMITTED, subject="work/a b"),
        written(SUBMITTED, subject="nothing/W-1"),
        written(SUBMITTED, authid="ana"),
        written(SUBMITTED, sequence="0000000001"),
        written(SUBMITTED, severitynumber=9),
        written(SUBMITTED, datacontenttype="text/plain"),
        written(SUBMITTED).replace(b'"note"', b'"nota"'),
        written(SUBMITTED).replace(b'"note":"done"', b'"note":"done","note":"done"'),
        written(SUBMITTED).replace(b"done", b"\\u0000"),
        written(SUBMITTED).replace(b"+00:00", b"").replace(b"00Z", b"00"),
        written(SUBMITTED)[:-1],
        written(WorkClarified(changes={"x": Change(new=2**53)})),
        written(WorkClarified(changes={"x": Change(new=[-(2**60)])})),
        written(WorkClarified(changes={"x": Change(new=json.loads("[" * 40 + "]" * 40))})),
        written(SUBMITTED, source="x" * door.BODY_BYTES_MAX),
    ],
)
def test_what_the_door_refuses_it_refuses_however_it_is_written(body: bytes) -> None:
    with pytest.raises(Unreadable):
        door.fact(body)


@pytest.mark.parametrize("command", COMMAND_EXAMPLES.values(), ids=lambda command: command.verb)
def test_a_command_as_we_would_write_it_is_read_as_the_same_with_other_spaces(command: Any) -> None:
    body, shape = msgspec.json.encode(command), type(command)
    assert door.command(body, shape) == door.command(reformatted(body), shape) == command


NOTED = msgspec.json.encode(AddNote(work_id="W-1", text="done"))


@pytest.mark.parametrize(
    "body",
    [
        NOTED.replace(b'"text"', b'"test"'),
        NOTED.replace(b'"text":"done"', b'"text":"done","text":"done"'),
        NOTED.replace(b"done", b"\\u0000"),
        NOTED.replace(b"W-1", b"W 1"),
        NOTED.replace(b"done", b"\xff"),
        NOTED.replace(b"done", b"x" * door.BODY_BYTES_MAX),
        NOTED[:-1],
    ],
)
def test_a_command_that_the_door_refuses_it_refuses_however_it_is_written(body: bytes) -> None:
    with pytest.raises(Unreadable):
        door.command(body, AddNote)


@pytest.mark.parametrize("value", ["9007199254740992", "-1152921504606846976", "[" * 40 + "]" * 40, '{"a":1,"a":1}'])
def test_what_a_clarification_may_not_say_it_may_not_say_in_our_own_writing(value: str) -> None:
    with pytest.raises(Unreadable):
        door.command(f'{{"work_id":"W-1","changes":{{"title":{value}}},"reason":"so"}}'.encode(), ClarifyWork)
