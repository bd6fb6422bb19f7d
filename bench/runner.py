"""What the projector is measured against: the library's ProjectionRunner, one simple view, as its documentation has it.

The view counts what happened to an item, one row an item; each event is one transaction, rows and position together.
The library's recorder for SQLite cannot be subscribed to, so beside a view in SQLite the events are in memory, which
is the best there is for the runner; PostgreSQL has both.
"""

import json
import sys
import time
from abc import abstractmethod
from collections.abc import Mapping
from functools import singledispatchmethod
from typing import Any, ClassVar
from uuid import UUID

import peers
from eventsourcing.application import Application
from eventsourcing.persistence import ApplicationRecorder, Tracking, TrackingRecorder
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteTrackingRecorder
from eventsourcing.utils import get_topic
from measure import Round

EVENTS_AN_ITEM = 9
FILLER = "The customer was charged twice for order 4711 on the second of March. " * 3
UNTIL_S_MAX = 600.0

_COUNT = "INSERT INTO notes (item, notes) VALUES ({}) ON CONFLICT (item) DO UPDATE SET notes = notes.notes + 1"
_TABLE = "CREATE TABLE IF NOT EXISTS notes (item TEXT PRIMARY KEY, notes BIGINT)"


class Items(Application[UUID]):
    """Work items, as in `bench append`. Those in memory are in one memory, whoever constructs the application."""

    name = "items"
    _memory: ClassVar[ApplicationRecorder | None] = None

    def construct_recorder(self) -> ApplicationRecorder:
        if "popo" not in self.env["PERSISTENCE_MODULE"]:
            return super().construct_recorder()
        Items._memory = Items._memory or super().construct_recorder()
        return Items._memory


class NotesView(TrackingRecorder):
    """How many notes each item has."""

    @abstractmethod
    def count(self, item: str, tracking: Tracking) -> None: ...


class SQLiteNotes(SQLiteTrackingRecorder, NotesView):
    """The view in a SQLite file."""

    def create_table(self) -> None:
        super().create_table()
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(_TABLE)

    def count(self, item: str, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(_COUNT.format("?, 1"), (item,))


class PostgresNotes(PostgresTrackingRecorder, NotesView):
    """The view in PostgreSQL."""

    def create_table(self) -> None:
        super().create_table()
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(_TABLE)

    def count(self, item: str, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(_COUNT.format("%s, 1"), (item,))


class Notes(Projection[NotesView]):
    """Counts what happened to each item."""

    name = "notes"
    topics = tuple(get_topic(event) for event in (peers.Item.Defined, peers.Item.Noted, peers.Item.Clarified))  # type: ignore[attr-defined]

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.count(str(domain_event.originator_id), tracking)


def fill(environment: Mapping[str, str], events: int) -> int:
    """Save so many events of items; return the number of the last."""
    application = Items(env=dict(environment))
    last = 0
    for number in range(events // EVENTS_AN_ITEM):
        item = peers.Item(f"Refund {number}", "ana", FILLER)
        for _ in range(EVENTS_AN_ITEM - 1):
            item.note("ana", FILLER)
        last = application.save(item)[-1].notification.id
    if Items._memory is None:
        application.close()
    return last


def replay(environment: Mapping[str, str], view: type[NotesView], last: int) -> Round:
    """Project all of it from the first event on, into a view that has nothing yet."""
    own, begun = time.process_time(), time.perf_counter()
    with ProjectionRunner(
        application_class=Items, projection_class=Notes, view_class=view, env=dict(environment)
    ) as runner:
        runner.wait(last, timeout=UNTIL_S_MAX)
        return Round(events=last, seconds=time.perf_counter() - begun, own=time.process_time() - own, server=0.0)


def main(arguments: list[str]) -> None:
    """In a process of its own, so that its CPU and its threads are its own: the environment, and how many events."""
    environment, events = json.loads(arguments[0]), int(arguments[1])
    last = fill(environment, events)
    found = replay(environment, SQLiteNotes if "NOTES_SQLITE_DBNAME" in environment else PostgresNotes, last)
    print(json.dumps({"events": found.events, "seconds": found.seconds, "own": found.own}))


if __name__ == "__main__":
    main(sys.argv[1:])
