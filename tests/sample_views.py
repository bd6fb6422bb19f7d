"""A log made up of work and people, and small views of it: for tests of what folds views, whatever the views are."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec

from attorn.contracts import codec
from attorn.contracts.context import NoteAdded
from attorn.contracts.envelope import Entry, Event, Recorded
from attorn.contracts.participant import ParticipantRegistered
from attorn.contracts.work import WorkDefined
from attorn.projections.directory import Directory
from attorn.projections.fold import View

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)


def entries(count: int, works: int = 50) -> Iterator[Entry]:
    """`count` events of `works` work items, now and then somebody who joins."""
    versions: dict[str, int] = {}
    for n in range(count):
        work = f"W-{(n * 7919) % works}"
        payload: msgspec.Struct
        if n % 97 == 0:
            stream = f"participant/p-{n}"
            payload = ParticipantRegistered(participant_id=f"p-{n}", kind="human", display_name=f"Pérez {n}")
        elif f"work/{work}" not in versions:
            stream, payload = f"work/{work}", WorkDefined(title=f"Refund {work}", accountable="p-0")
        else:
            stream, payload = f"work/{work}", NoteAdded(text=f"note {n}")
        version = versions[stream] = versions.get(stream, 0) + 1
        at = BEGIN + timedelta(seconds=n)
        event = codec.event(payload, id=f"e-{n}", source="sample", subject=stream, time=at, authid="p-0")
        yield codec.seal(event, version)


def log(count: int, works: int = 50) -> list[Recorded]:
    """What `entries` says, as recorded by a log."""
    return [
        Recorded(n, BEGIN + timedelta(seconds=n), codec.decode(entry.body), entry.body)
        for n, entry in enumerate(entries(count, works), 1)
    ]


class Tally(msgspec.Struct, frozen=True):
    """How much happened in a stream."""

    key: str
    events: int
    last_at: datetime
    first_at: datetime | None = None
    is_work: bool = False
    per_event: float = 0.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One event."""

    key: str
    stream: str
    type: str
    at: datetime


class Note(msgspec.Struct, frozen=True):
    text: str
    at: datetime


class Notes(msgspec.Struct, frozen=True):
    """The last notes on a work item."""

    key: str
    title: str | None = None
    notes: tuple[Note, ...] = ()
    seen: dict[str, int] = {}


class Kind(msgspec.Struct, frozen=True):
    """How often each type occurred."""

    key: str
    count: int = 0


class Crowd(msgspec.Struct, frozen=True):
    """How many participants were known when something happened first to a work item."""

    key: str
    people: int


def _tally(row: Tally | None, recorded: Recorded, key: str) -> Tally:
    at = recorded.event.time
    if row is None:
        return Tally(key, 1, at, at, key.startswith("work/"), 1)
    return msgspec.structs.replace(row, events=row.events + 1, last_at=at, per_event=1 / (row.events + 1))


def _line(row: Line | None, recorded: Recorded, key: str) -> Line:
    return Line(key=key, stream=recorded.stream, type=recorded.event.type, at=recorded.event.time)


def _notes(row: Notes | None, recorded: Recorded, key: str) -> Notes | None:
    row = row or Notes(key)
    match recorded.event.data:
        case WorkDefined(title=title):
            return msgspec.structs.replace(row, title=title)
        case NoteAdded(text=text):
            seen = {**row.seen, text[-1]: row.seen.get(text[-1], 0) + 1}
            return msgspec.structs.replace(row, notes=(*row.notes[-4:], Note(text, recorded.event.time)), seen=seen)
        case _:
            return row


def _kind(row: Kind | None, recorded: Recorded, key: str) -> Kind:
    return Kind(key, (row.count if row else 0) + 1)


def _of_work(recorded: Recorded) -> Sequence[str]:
    return (recorded.stream[5:],) if recorded.stream.startswith("work/") else ()


def _view(name: str, row: type, keys: Any, apply: Any, *, version: int = 1, indexes: Any = ()) -> View:
    # What a module with these names is; made here, since five modules of five lines would hide the tests.
    return SimpleNamespace(NAME=name, VERSION=version, Row=row, EVENTS=None, INDEXES=indexes, keys=keys, apply=apply)  # type: ignore[return-value]


def tally(version: int = 1) -> View:
    return _view(
        "tally", Tally, lambda r: (r.stream,), _tally, version=version, indexes=(("last_at",), ("events", "key"))
    )


LINES = _view("lines", Line, lambda r: (f"{r.position:010d}",), _line, indexes=(("stream",),))
NOTES = _view("notes", Notes, _of_work, _notes)
KINDS = _view("kinds", Kind, lambda r: (r.event.type, "all"), _kind)


def crowd(directory: Directory) -> View:
    def apply(row: Crowd | None, recorded: Recorded, key: str) -> Crowd:
        return row or Crowd(key, len(directory.participants))

    return _view("crowd", Crowd, _of_work, apply)


def views(directory: Directory) -> tuple[View, ...]:
    return (tally(), LINES, NOTES, KINDS, crowd(directory))


def broken(at: Sequence[int], *, where: str) -> View:
    """A tally that fails at the positions `at`: in `keys`, in `apply`, or by a row that cannot be stored."""

    class Row(Tally, frozen=True):
        pass

    def keys(recorded: Recorded) -> Sequence[str]:
        if where == "keys" and recorded.position in at:
            raise KeyError("no such field")
        return (recorded.stream, "all")

    def apply(row: Tally | None, recorded: Recorded, key: str) -> Tally:
        after = _tally(row, recorded, key)
        if recorded.position in at and key == "all":
            if where == "apply":
                raise ZeroDivisionError("division by zero")
            after = msgspec.structs.replace(after, events=2**63)
        return Row(*msgspec.structs.astuple(after))

    return _view("broken", Row, keys, apply)


def recorded(event: Event, position: int) -> Recorded:
    return Recorded(position, event.time, event, codec.encode(event))
