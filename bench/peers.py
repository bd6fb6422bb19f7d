"""What attorn is measured against: the library `eventsourcing`, on SQLite and PostgreSQL, with every save on the disk.

PostgreSQL is Debian's (`apt install postgresql`). It is started here, on a port and in a directory of its own, with
fsync on, and is gone afterwards.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from measure import family
from postgresql import Server, server

from attorn.services.supervise.server import HOST


class Item(Aggregate):
    """A work item as one would write it with the library: the same three commands, each validated, each one event."""

    @event("Defined")
    def __init__(self, title: str, accountable: str, text: str) -> None:
        if not title:
            raise ValueError("a work item has a title")
        self.title, self.accountable, self.text = title, accountable, text
        self.notes = 0

    @staticmethod
    def create_id(title: str, accountable: str, text: str) -> UUID:
        return uuid5(NAMESPACE_URL, title)

    def note(self, author: str, text: str) -> None:
        if not text:
            raise ValueError("a note says something")
        self.noted(author, text)

    @event("Noted")
    def noted(self, author: str, text: str) -> None:
        self.notes += 1

    def clarify(self, author: str, title: str, text: str) -> None:
        if title == self.title:
            raise ValueError("nothing to clarify")
        self.clarified(author, title, text)

    @event("Clarified")
    def clarified(self, author: str, title: str, text: str) -> None:
        self.title = title


class Peer:
    """The library's Application in one configuration. `workers` threads save at once, each on items of its own."""

    def __init__(self, name: str, environment: dict[str, str], workers: int, filler: str) -> None:
        self.name, self.workers = name, workers
        self._filler = filler
        self._made = 0
        self.application: Application[UUID] = Application(env=environment)
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    def run(self, seconds: float, commands_an_item: int) -> int:
        """Save for so long; how many events were saved."""
        until = time.perf_counter() + seconds
        self._made += 1
        if self._pool is None:
            return self._save(until, commands_an_item, f"{self._made}")
        tasks = [
            self._pool.submit(self._save, until, commands_an_item, f"{self._made}-{number}")
            for number in range(self.workers)
        ]
        return sum(task.result() for task in tasks)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self.application.close()

    def _save(self, until: float, commands_an_item: int, name: str) -> int:
        saved = number = 0
        save, filler = self.application.save, self._filler
        while True:
            number += 1
            # As in attorn, who works on an item has it at hand; nothing is read back.
            item = Item(f"{self.name} {self.workers} {name} {number}", "ana", filler)
            for step in range(commands_an_item):
                if step % 2:
                    item.note("ana", filler)
                elif step:
                    item.clarify("ana", f"Refund {step}", filler)
                save(item)
                saved += 1
                if time.perf_counter() >= until:
                    return saved


def sqlite(directory: Path, workers: int, filler: str) -> Peer:
    """Raises AssertionError when a commit would not be on the disk."""
    peer = Peer("eventsourcing on SQLite", _environment("sqlite", SQLITE_DBNAME=str(directory / f"events{workers}.db")),
                workers, filler)  # fmt: skip
    recorder: Any = peer.application.recorder
    with recorder.datastore.transaction(commit=False) as cursor:
        cursor.execute("PRAGMA synchronous")
        synchronous = cursor.fetchone()[0]
        assert synchronous == 2, f"SQLite is at synchronous={synchronous}, not FULL"
    return peer


def postgresql(database: "Database", workers: int, filler: str, *, functions: bool) -> Peer:
    """`functions`: with the stored functions that the library can install in the database, one round trip a save."""
    name = "eventsourcing on PostgreSQL" + (", its functions" if functions else "")
    schema = f"attorn{workers}{'f' if functions else ''}"
    database.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    environment = _environment(
        "postgres",
        POSTGRES_DBNAME="postgres",
        POSTGRES_HOST=HOST,
        POSTGRES_PORT=str(database.port),
        POSTGRES_USER="postgres",
        POSTGRES_PASSWORD="attorn",
        POSTGRES_SCHEMA=schema,
        POSTGRES_POOL_SIZE=str(workers),
        POSTGRES_MAX_OVERFLOW=str(workers),
        POSTGRES_MAX_WAITING=str(workers),
        POSTGRES_ENABLE_DB_FUNCTIONS="yes" if functions else "no",
    )
    return Peer(name, environment, workers, filler)


def _environment(module: str, **more: str) -> dict[str, str]:
    return {"PERSISTENCE_MODULE": f"eventsourcing.{module}"} | more


class Database:
    """A PostgreSQL that runs."""

    def __init__(self, running: Server) -> None:
        self.port = running.port
        self._running = running

    def pids(self) -> Sequence[int]:
        return family(self._running.pid)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self._running.url, autocommit=True) as link:
            link.execute(statement.encode())


@contextmanager
def database() -> Iterator[Database]:
    """PostgreSQL for as long as the block runs, with every commit on the disk. Raises NotInstalled."""
    with server(max_connections=300, shared_buffers="256MB") as running:
        yield Database(running)
