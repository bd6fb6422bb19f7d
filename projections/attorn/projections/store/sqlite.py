"""Views in one SQLite file: pages of the log are folded into tables, each exactly once, and asked about meanwhile.

    store = SQLiteViews(path, views, directory)
    store.apply(page)                                 # rows and position in one transaction
    with store.reading() as rows:                     # all of one position
        rows.select(board.Row, "state = ?", ["open"])

A view of NAME `board` and VERSION 3 has the table `board_v3`. `:memory:` is a database of one connection, for tests.
"""

import hashlib
import os
import sqlite3
import traceback
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from attorn.contracts.envelope import Recorded
from attorn.contracts.refusal import Unavailable
from attorn.projections.directory import Directory
from attorn.projections.fold import View
from attorn.projections.store import remembered
from attorn.projections.store.columns import bound
from attorn.projections.store.table import Fetch, Table, Touched, Unwritten, touched
from attorn.projections.store.tracking import APPLICATION, HASTY, SCRATCH, WRITING, TrackedDatabase

MEMORY: Final = ":memory:"
ROWS_CACHED_MAX: Final = 4_000
"""How many rows of one view stay in memory between pages."""

UNWRITTEN_MAX: Final = 20_000
"""How many events are folded at most before their rows are written."""

UNWRITTEN_BYTES_MAX: Final = 8 * 1024 * 1024
"""And how many bytes of events: read, they take up some five times as much memory."""

_ROWS_PER_DIGEST_STEP: Final = 1_000
_ERROR_MAX: Final = 500

R = TypeVar("R", bound=msgspec.Struct)

_canonical_json: Final = msgspec.json.Encoder(order="deterministic")


class Poison(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a view, or the `directory`, could not take in: there all is as if the event were not."""

    view: str
    position: int
    type: str
    error: str


class Gap(AssertionError):
    """A page of the log does not go on where the views are."""

    def __init__(self, position: int, found: int) -> None:
        super().__init__(f"the views are at position {position}, and the log goes on at {found}, not {position + 1}")
        self.position, self.found = position, found


class SQLiteViews:
    """`views` in the file `path`, which is made where it is not; `directory` is evolved between event and event.

    `missing` are the views that the file has no table for, or one of another shape: a file that has a position already
    cannot fill them from the first event on, so they are left out here, and a new file takes its place. So are those
    whose names are in `apart`, where the file is new: `adopt` brings them, and the directory with them, which is not
    evolved until then. Such a file is to be made anew after a power cut that comes before it is made `secure`. A
    `scratch` file is for its digests only, or to be adopted from: it has no indexes, and is not to be opened again.
    """

    def __init__(
        self,
        path: str | Path,
        views: Sequence[View],
        directory: Directory | None = None,
        *,
        scratch: bool = False,
        indexed: bool = True,
        apart: Collection[str] = (),
    ) -> None:
        self.path = str(path)
        self.directory = directory
        self._settings: Sequence[str] = SCRATCH if scratch else WRITING
        self._database = TrackedDatabase(self.path, self._settings)
        try:
            self.position = self._database.position
            tables = [Table(view) for view in views]
            assert len({table.row for table in tables}) == len(tables), "two views share a Row"
            self._tables = self._open(tables, indexed=indexed and not scratch, apart=apart)
            self.missing = tuple(table.view for table in tables if table not in self._tables)
            self._reader = None if self.path == MEMORY else _reader(self.path)
        except BaseException:
            self._database.close()
            raise
        self._arrange()
        # Who folds the views that look into it evolves it, and hands it over with them.
        self._evolved = None if any(view.NAME in apart for view in self.missing) else directory
        assert self._evolved is directory or all(table.is_alone for table in self._tables), apart
        if self._evolved is not directory:
            self._write_as(HASTY)
        self._has_failed = False
        self._remembers = directory is not None and not scratch and self.path != MEMORY
        self._remembered = self.position
        self._unwritten: list[Recorded] = []
        self._unwritten_bytes = 0
        self._poison: list[Poison] = []
        self._told: list[Poison] = []
        self._writing: sqlite3.Connection | None = None
        # Who sets it to a list finds there, after each page, the rows that the page has changed, view by view.
        self.changes: list[tuple[View, list[tuple[Any, Any]]]] | None = None

    @property
    def views(self) -> tuple[View, ...]:
        """The views that are here."""
        return tuple(table.view for table in self._tables)

    def apply(self, page: Sequence[Recorded], *, later: bool = False) -> Sequence[Poison]:
        """Fold `page` in one transaction, without the events that are here already; return what could not be taken in.

        With `later`, the rows may be written with those of pages to come: an item of which much is told in little time
        is written once. They are written before anybody reads, and what could not be taken in is told then.
        Raises Gap, before anything is done, when events between are missing. After any other error the store is not to
        be used again: what is in memory may be ahead of the file.
        """
        fresh = self._fresh(page)
        if fresh:
            with self._failing():
                self._fold(fresh)
                self._unwritten.extend(fresh)
                self._unwritten_bytes += sum(len(recorded.body) for recorded in fresh)
                self.position = fresh[-1].position
        if not later or len(self._unwritten) >= UNWRITTEN_MAX or self._unwritten_bytes >= UNWRITTEN_BYTES_MAX:
            self.write()
        told, self._told = self._told, []
        return told

    def write(self) -> None:
        """Write what is folded, all in one transaction."""
        if not self._unwritten:
            return
        with self._failing():
            while True:
                try:
                    self._write(self._unwritten[-1])
                    break
                except Unwritten as unwritten:
                    # Nothing is written. Of this one view all is folded again, and who is at fault is found.
                    table = unwritten.table
                    table.again()
                    self._poison = [found for found in self._poison if found.view != table.view.NAME]
                    mine = [recorded for recorded in self._unwritten if table.is_about(recorded.event.data.__class__)]
                    found, wanted = touched([table], mine, self._failed)
                    table.load(found, wanted, self._database.fetch)
                    table.fold(found, self._failed)
            if self.changes is not None:
                self.changes = [(table.view, table.changed()) for table in self._tables]
            for table in self._tables:
                table.settle(ROWS_CACHED_MAX)
            self._told += sorted(self._poison, key=lambda found: found.position)
            self._poison, self._unwritten, self._unwritten_bytes = [], [], 0
        if self._remembers and self.position - self._remembered >= remembered.EVERY:
            self.remember()

    def recall(self) -> None:
        """Make the directory what it was at the last position, up to this one, where the file has kept it."""
        if self._remembers and self.directory is not None:
            remembered.recall(self._database.fetch, self.directory, self.position)

    def remember(self) -> None:
        """Keep the directory as it is now, for `recall`, or for who adopts from this file."""
        self.write()
        if self.directory is not None and self.directory.position == self.position:
            remembered.remember(self._database, self.directory)
        self._remembered = self.position

    def adopt(self, path: str) -> None:
        """Copy the views that are missing here from the file `path`, whose position must be this one, all or none.

        With them comes the directory, where it was not evolved here; `secure` is to be called then. Let no page be
        applied meanwhile; another thread may do it, when what is folded is written. Raises AssertionError, with nothing
        done, when the file is at another position, or lacks one of them or the directory.
        """
        adopted = [Table(view) for view in self.missing]
        names = [table.view.NAME for table in adopted]
        with self._beside() as connection:
            connection.execute("ATTACH DATABASE ? AS apart", (path,))
            at = "SELECT notification_id, sha256 FROM {0}.tracking, {0}.tip"
            there, here = (connection.execute(at.format(name)).fetchall() for name in ("apart", "main"))
            assert there == here, (there, here)
            connection.execute("BEGIN IMMEDIATE")
            for table in adopted:
                connection.execute(f"DROP TABLE IF EXISTS main.{table.name}")
                connection.execute(table.create)
                copied = f"SELECT * FROM apart.{table.name} ORDER BY {table.key}"
                connection.execute(f"INSERT INTO main.{table.name} {copied}")
            if self._evolved is None and self.directory is not None:
                names.append("directory")
                remembered.recall(_fetching(connection), self.directory, self.position, schema="apart")
                assert self.directory.position == self.position, self.directory.position
            marks = ", ".join("?" * len(names))
            connection.execute(f"INSERT INTO main.poison SELECT * FROM apart.poison WHERE view IN ({marks})", names)
            connection.execute("COMMIT")
        self._tables = [*self._tables, *adopted]
        self._arrange()
        if self._evolved is not self.directory:
            self._evolved = self.directory
            self._write_as(WRITING)
        self.missing = ()

    def index(self) -> None:
        """Make the indexes that are not there yet, on a connection of its own; let no page be applied meanwhile.

        Another thread may do it, when what is folded is written.
        """
        statements = [statement for table in self._tables for statement in table.create_indexes]
        if self.path == MEMORY:
            with self._database.transaction() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            return
        with self._beside() as connection:
            for statement in statements:
                connection.execute(statement)

    def secure(self) -> None:
        """Wait for the disk to have all that was adopted, and all that was written before; in a thread, as `adopt`."""
        with self._beside() as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        # What the write-ahead log was moved to before, the disk was not waited for.
        file = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def _write_as(self, settings: Sequence[str]) -> None:
        self._settings = settings
        self._database.set(settings)

    @contextmanager
    def _beside(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, for a thread that writes while nothing is folded; `interrupt` ends what it does."""
        assert self.path != MEMORY, "a database in memory has one connection"
        self._writing = connection = sqlite3.connect(self.path, isolation_level=None, timeout=60)
        try:
            for setting in self._settings:
                connection.execute(f"PRAGMA {setting}")
            yield connection
        finally:
            self._writing = None
            connection.close()

    @contextmanager
    def reading(self) -> Iterator["Snapshot"]:
        """The rows as they are now. Let no page be applied inside the block: `snapshot` is for that."""
        self.write()
        if self._reader is None:
            yield Snapshot(self._database.fetch, self._by_row)
        else:
            with _transaction(self._reader) as fetch:
                yield Snapshot(fetch, self._by_row)

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """The rows as they are now, for as long as the block runs, whatever is applied meanwhile.

        Another thread may use them, one at a time; `Snapshot.interrupt` ends what it is doing.
        """
        self.write()
        connection = self._database.copy() if self.path == MEMORY else _reader(self.path)
        try:
            with _transaction(connection) as fetch:
                yield Snapshot(fetch, self._by_row, connection.interrupt)
        finally:
            connection.close()

    def digest(self, name: str) -> str:
        """What `Snapshot.digest` says of the view `name` now."""
        with self.reading() as rows:
            return rows.digest(name)

    @property
    def tip(self) -> str:
        """The SHA-256 of the bytes of the event at `position`, in hexadecimal; empty at position 0."""
        with self.reading() as rows:
            return rows.tip

    def interrupt(self) -> None:
        """End `index` or `adopt`, which runs in another thread; what is not made yet is made the next time."""
        if self._writing is not None:
            self._writing.interrupt()

    def close(self, *, remember: bool = True) -> None:
        self.interrupt()
        if not self._has_failed:
            self.write()
            if remember and self._remembers and self.position > self._remembered:
                self.remember()
        # The reader first: the last to close moves the write-ahead log into the file, and a reader may not write.
        if self._reader is not None:
            self._reader.close()
        self._database.close()

    def _arrange(self) -> None:
        """How the tables are found, by their rows, and by the events that their views are about."""
        self._by_row: Mapping[type[Any], Table] = {table.row: table for table in self._tables}
        # Views that are about the same events, and have the same function for their keys, are asked for them once.
        alike: dict[Any, tuple[list[Table], list[Recorded]]] = {}
        for table in self._tables:
            alike.setdefault((table.view.keys, table.events, table.is_new), ([], []))[0].append(table)
        self._alike = tuple(alike.values())
        self._wanting = _Wanting(self._alike)

    def _open(self, tables: Sequence[Table], *, indexed: bool, apart: Collection[str]) -> list[Table]:
        with self._database.transaction() as cursor:
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS poison "
                "(view TEXT, position INTEGER, type TEXT, error TEXT, PRIMARY KEY (view, position))"
            )
            cursor.execute("CREATE TABLE IF NOT EXISTS tip AS SELECT '' AS sha256")
            present = []
            for table in tables:
                cursor.execute(f"SELECT name, type FROM pragma_table_info('{table.name}')")
                columns = [tuple(column) for column in cursor.fetchall()]
                if not columns and self.position == 0:
                    if table.view.NAME in apart:
                        continue
                    cursor.execute(table.create)
                elif columns != table.columns.declared:
                    continue
                for statement in table.create_indexes if indexed else ():
                    cursor.execute(statement)
                table.is_whole = self.position == 0 and not table.is_new
                present.append(table)
            return present

    def _fresh(self, page: Sequence[Recorded]) -> Sequence[Recorded]:
        if not page:
            return page
        first = page[0].position
        for position, recorded in enumerate(page, first):
            if recorded.position != position:
                raise Gap(position - 1, recorded.position)
        if first > self.position + 1:
            raise Gap(self.position, first)
        return page[self.position + 1 - first :]

    @contextmanager
    def _failing(self) -> Iterator[None]:
        assert not self._has_failed, f"a page failed at position {self.position}: open the views again"
        self._has_failed = True
        yield
        self._has_failed = False

    def _failed(self, table: Table, recorded: Recorded, error: Exception) -> None:
        # One view's mistake about one event: the other views and the other events go on.
        self._poison.append(_poison(table.view.NAME, recorded, error))

    def _fold(self, page: Sequence[Recorded]) -> None:
        for recorded in page:
            for put in self._wanting[recorded.event.data.__class__]:
                put(recorded)
        looking: list[tuple[Table, list[Touched]]] = []
        for tables, events in self._alike:
            if tables[0].is_new:
                for table in tables:
                    table.make(events, self._failed)
                events.clear()
                continue
            found, wanted = touched(tables, events, self._failed)
            events.clear()
            for table in tables:
                table.load(found, wanted, self._database.fetch)
                if table.is_alone or self._evolved is None:
                    table.fold(found, self._failed)
                else:
                    looking.append((table, found))
        if self._evolved is None:
            return
        if len(looking) == 1:
            [(table, found)] = looking
            table.fold(self._evolving(self._evolved, page, found), self._failed)
            return
        at: dict[int, list[tuple[Table, Touched]]] = {}
        for table, found in looking:
            for one in found:
                at.setdefault(one[0].position, []).append((table, one))
        for recorded in page:
            if at:
                for table, one in at.get(recorded.position, ()):
                    table.fold((one,), self._failed)
            evolve(self._evolved, recorded, self._poison)

    def _evolving(self, directory: Directory, page: Sequence[Recorded], found: Sequence[Touched]) -> Iterator[Touched]:
        """Each of `found` while the directory is as it was before that event; at the end it has all of `page`."""
        waiting = iter(found)
        one = next(waiting, None)
        for recorded in page:
            if one is not None and one[0] is recorded:
                yield one
                one = next(waiting, None)
            evolve(directory, recorded, self._poison)

    def _write(self, last: Recorded) -> None:
        # Position and rows are one transaction: a crash before its end leaves both as they were, one after it neither.
        poison = self._poison
        with self._database.transaction(last.position) as cursor:

            def many(statement: str, rows: Sequence[Sequence[Any]]) -> int:
                cursor.executemany(statement, rows)
                return cursor.sqlite_cursor.rowcount

            for table in self._tables:
                table.write(many)
            if poison:
                rows = [(p.view, p.position, p.type, p.error) for p in poison]
                cursor.executemany("INSERT OR REPLACE INTO poison VALUES (?, ?, ?, ?)", rows)
            cursor.execute("UPDATE tip SET sha256 = ?", (hashlib.sha256(last.body).hexdigest(),))


class _Wanting(dict[type, tuple[Callable[[Recorded], None], ...]]):
    """By the class of its payload, where an event is put for the views that are about it; asked of each class once."""

    def __init__(self, alike: Sequence[tuple[Sequence[Table], list[Recorded]]]) -> None:
        self._alike = alike

    def __missing__(self, kind: type) -> tuple[Callable[[Recorded], None], ...]:
        self[kind] = found = tuple(events.append for tables, events in self._alike if tables[0].is_about(kind))
        return found


class Snapshot:
    """The rows of one position; satisfies `Rows`."""

    def __init__(
        self, fetch: Fetch, tables: Mapping[type[Any], Table], interrupt: Callable[[], None] | None = None
    ) -> None:
        self._read = fetch
        self._tables = tables
        self._stop = interrupt
        self._is_over = False
        self._position: int | None = None

    def interrupt(self) -> None:
        """Let whoever reads these rows in another thread fail at once, or when they ask for the next."""
        self._is_over = True
        if self._stop is not None:
            self._stop()

    def _fetch(self, statement: str, parameters: Sequence[Any]) -> list[Sequence[Any]]:
        if self._is_over:
            raise Unavailable("nobody waits for this answer any more")
        return self._read(statement, parameters)

    @property
    def views(self) -> tuple[View, ...]:
        return tuple(table.view for table in self._tables.values())

    @property
    def position(self) -> int:
        if self._position is None:
            found = self._fetch("SELECT notification_id FROM tracking WHERE application_name = ?", (APPLICATION,))
            self._position = int(found[0][0]) if found else 0
        return self._position

    @property
    def tip(self) -> str:
        return str(self._fetch("SELECT sha256 FROM tip", ())[0][0])

    def get(self, row: type[R], key: Any) -> R | None:
        found = self.select(row, f"{self._table(row).key} = ?", (key,))
        return found[0] if found else None

    def select(
        self, row: type[R], where: str = "", parameters: Sequence[Any] = (), order: str = "", limit: int | None = None
    ) -> list[R]:
        table = self._table(row)
        read = table.columns.row
        return [read(found) for found in self._found(table.select, where, parameters, order, limit)]

    def values(
        self,
        row: type[R],
        columns: Sequence[str],
        where: str = "",
        parameters: Sequence[Any] = (),
        order: str = "",
        limit: int | None = None,
    ) -> list[Sequence[Any]]:
        table = self._table(row)
        listed = ", ".join(f'"{column}"' for column in columns)
        statement = f"SELECT {listed} FROM {table.name}"
        return table.columns.some(columns, self._found(statement, where, parameters, order, limit))

    def _found(
        self, statement: str, where: str, parameters: Sequence[Any], order: str, limit: int | None
    ) -> list[Sequence[Any]]:
        values = [bound(parameter) for parameter in parameters]
        if where:
            statement += f" WHERE {where}"
        if order:
            statement += f" ORDER BY {order}"
        if limit is not None:
            statement += " LIMIT ?"
            values.append(limit)
        return self._fetch(statement, values)

    def count(self, row: type[R], where: str = "", parameters: Sequence[Any] = (), limit: int | None = None) -> int:
        counted = self._table(row).name + (f" WHERE {where}" if where else "")
        if limit is not None:
            counted = f"(SELECT 1 FROM {counted} LIMIT {limit})"
        statement = f"SELECT count(*) FROM {counted}"
        return int(self._fetch(statement, [bound(parameter) for parameter in parameters])[0][0])

    def digest(self, name: str) -> str:
        """`sha256:…` over every row of the view `name`, in the order of the keys; equal logs have equal digests."""
        steps = self.digesting(name)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return str(end.value)

    def digesting(self, name: str) -> Generator[None, None, str]:
        """The digest, in steps of some milliseconds, for those who have other things to do in between."""
        table = next(table for table in self._tables.values() if table.view.NAME == name)
        sha256, where = hashlib.sha256(), ""
        after: list[Any] = []
        while True:
            found = self._fetch(f"{table.select} {where} ORDER BY {table.key} LIMIT {_ROWS_PER_DIGEST_STEP}", after)
            for values in found:
                sha256.update(_canonical_json.encode(table.columns.row(values)) + b"\n")
            if len(found) < _ROWS_PER_DIGEST_STEP:
                return f"sha256:{sha256.hexdigest()}"
            where, after = f"WHERE {table.key} > ?", [found[-1][0]]
            yield

    def poison_count(self, name: str) -> int:
        return int(self._fetch("SELECT count(*) FROM poison WHERE view = ?", (name,))[0][0])

    def poison(self, name: str, limit: int = 5) -> list[Poison]:
        """The last events that the view `name` could not take in, newest first."""
        statement = "SELECT position, type, error FROM poison WHERE view = ? ORDER BY position DESC LIMIT ?"
        found = self._fetch(statement, (name, limit))
        return [Poison(view=name, position=position, type=type, error=error) for position, type, error in found]

    def _table(self, row: type[Any]) -> "Table":
        try:
            return self._tables[row]
        except KeyError:
            raise Unavailable(f"the view with the rows {row.__module__}.{row.__name__} is being filled") from None


def take_over(old: SQLiteViews, new: SQLiteViews) -> SQLiteViews:
    """Close both and put the file of `new` in the place of that of `old`; return it opened there.

    Raises Unavailable, with nothing done, while somebody else reads one of the files.
    """
    if old.path == MEMORY:
        old.close()
        return new
    # A write-ahead log left behind would be taken for that of the other file. So both are emptied first: wherever we
    # crash from here on, the file in the old place is one of the two, whole.
    for store in (old, new):
        store.write()
        if not store._database.checkpoint():
            raise Unavailable(f"{store.path} is being read by another process")
    old.close(remember=False)  # all of it is about to be removed
    new.close()
    remove(old.path, but_itself=True)
    os.replace(new.path, old.path)
    remove(new.path, but_itself=True)
    return SQLiteViews(old.path, new.views, new.directory)


def remove(path: str | Path, *, but_itself: bool = False) -> None:
    """Remove a database that nobody has open, with what SQLite keeps beside it."""
    for suffix in ("-wal", "-shm") if but_itself else ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def evolve(directory: Directory, recorded: Recorded, poison: list[Poison]) -> None:
    """Take `recorded` into the directory; what it cannot take in is poison like any other."""
    try:
        directory.evolve(recorded)
    except MemoryError:
        raise
    except Exception as error:
        poison.append(_poison("directory", recorded, error))


def _poison(view: str, recorded: Recorded, error: Exception) -> Poison:
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    sentence = f"{type(error).__name__}: {error}".encode(errors="replace").decode()
    return Poison(
        view=view, position=recorded.position, type=recorded.event.type, error=sentence[: _ERROR_MAX - len(at)] + at
    )


def _reader(path: str) -> sqlite3.Connection:
    """A connection that cannot write, and stays with one state of the file for the length of a transaction."""
    address = f"file:{quote(path)}?mode=ro"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=5, check_same_thread=False)


def _fetching(connection: sqlite3.Connection) -> Fetch:
    def fetch(statement: str, parameters: Sequence[Any]) -> list[Sequence[Any]]:
        return connection.execute(statement, parameters).fetchall()

    return fetch


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[Fetch]:
    fetch = _fetching(connection)
    connection.execute("BEGIN")
    try:
        # A transaction begins with its first reading, not with its BEGIN.
        fetch("SELECT 1 FROM tracking", ())
        yield fetch
    finally:
        connection.execute("ROLLBACK")
