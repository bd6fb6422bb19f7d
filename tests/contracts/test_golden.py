"""What was once written can be read for ever: the exact bytes of every event and command, from when they were new."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import generator
from attorn.contracts import codec
from attorn.contracts.envelope import Unknown
from attorn.contracts.examples import COMMAND_EXAMPLES, EVENT_EXAMPLES
from attorn.contracts.messages import COMMAND_BY_VERB, COMMANDS, EVENT_BY_TYPE, EVENTS
from attorn.contracts.upcast import UPCASTERS
from attorn.services.documents import recorded_example

HOW = (
    "python tools/generate.py --golden adds a line for what has none, and leaves what is there. If an old line no "
    "longer reads, the stored format is broken: give a new field a default, or make a new version of the type."
)
FOLDER = Path(__file__).parent / "golden"


SHAPES: list[Any] = [*EVENTS, *(old.shape for old in UPCASTERS.values())]
"""What is written today, and what was written before and is read for ever."""


def lines(name: str) -> list[tuple[str, str]]:
    return [(kind, body) for kind, body in map(json.loads, (FOLDER / name).read_text(encoding="utf-8").splitlines())]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.type)
def test_an_event_is_written_to_the_byte_as_the_golden_line_says(shape: type[msgspec.Struct]) -> None:
    type = shape.type  # type: ignore[attr-defined]
    assert (type, codec.encode(recorded_example(shape)).decode()) in lines("events.jsonl"), HOW


@pytest.mark.parametrize("shape", COMMANDS, ids=lambda shape: shape.verb)
def test_a_command_is_written_to_the_byte_as_the_golden_line_says(shape: type[msgspec.Struct]) -> None:
    verb = shape.verb  # type: ignore[attr-defined]
    body = msgspec.json.encode(COMMAND_EXAMPLES[shape]).decode()  # type: ignore[index]
    assert (verb, body) in lines("commands.jsonl"), HOW


@pytest.mark.parametrize(("type", "body"), lines("events.jsonl"), ids=[type for type, _ in lines("events.jsonl")])
def test_every_golden_event_still_reads_and_is_written_the_same(type: str, body: str) -> None:
    event = codec.decode(body.encode())
    assert not isinstance(event.data, Unknown), HOW
    if type in UPCASTERS:
        # It reads as the newest version, and what it was can still be written to the byte.
        assert event.type in EVENT_BY_TYPE and event.type != type
        event = msgspec.json.decode(body, type=codec.ENVELOPES[UPCASTERS[type].shape])
    assert event.type == type
    assert codec.encode(event).decode() == body, HOW


@pytest.mark.parametrize(("verb", "body"), lines("commands.jsonl"), ids=[verb for verb, _ in lines("commands.jsonl")])
def test_every_golden_command_still_reads_and_is_written_the_same(verb: str, body: str) -> None:
    assert msgspec.json.encode(msgspec.json.decode(body, type=COMMAND_BY_VERB[verb])).decode() == body, HOW


def test_every_type_and_verb_has_its_example_and_its_golden_line() -> None:
    assert set(EVENT_EXAMPLES) == set(EVENTS) == set(EVENT_BY_TYPE.values())
    assert set(COMMAND_EXAMPLES) == set(COMMANDS) == set(COMMAND_BY_VERB.values())
    assert {type for type, _ in lines("events.jsonl")} == set(EVENT_BY_TYPE) | set(UPCASTERS)
    assert {verb for verb, _ in lines("commands.jsonl")} == set(COMMAND_BY_VERB)


class TestTheFlag:
    """`tools/generate.py --golden` adds, and never rewrites in silence."""

    path = Path("tests/contracts/golden/events.jsonl")
    note = ("attorn.note.added.v1", codec.encode(recorded_example(EVENT_BY_TYPE["attorn.note.added.v1"])).decode())

    def test_it_adds_a_line_for_what_has_none(self, tmp_path: Path) -> None:
        generate = generator.load()
        assert generate.write_golden(tmp_path, {self.path: [self.note]}, force=False) == []
        assert generate._lines(tmp_path / self.path) == [self.note]

    def test_an_example_that_has_changed_gets_one_line_more(self, tmp_path: Path) -> None:
        generate = generator.load()
        changed = (self.note[0], self.note[1].replace("telephone", "letter"))
        generate.write_golden(tmp_path, {self.path: [self.note]}, force=False)
        assert generate.write_golden(tmp_path, {self.path: [changed]}, force=False) == []
        assert set(generate._lines(tmp_path / self.path)) == {self.note, changed}

    @pytest.mark.parametrize(
        "old",
        [
            (note[0], note[1].replace('"text":', '"words":')),
            (note[0], note[1].replace('"data":{', '"data":{"gone":1,')),
            ("attorn.note.gone.v1", note[1].replace("added", "gone")),
        ],
        ids=["a field was renamed", "a field was removed", "a type was removed"],
    )
    def test_it_refuses_when_an_old_line_no_longer_reads(self, old: tuple[str, str], tmp_path: Path) -> None:
        generate = generator.load()
        there = tmp_path / self.path
        there.parent.mkdir(parents=True)
        there.write_text(json.dumps(old) + "\n")
        assert len(generate.write_golden(tmp_path, {self.path: [self.note]}, force=False)) == 1
        assert generate._lines(there) == [old]

        assert generate.write_golden(tmp_path, {self.path: [self.note]}, force=True) == []
        assert generate._lines(there) == [self.note]
