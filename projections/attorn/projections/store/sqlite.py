"""Views in one SQLite file: pages of the log are folded into tables, each exactly once, and asked about meanwhile.

    store = SQLiteViews(path, views, directory)
    store.apply(page)                                 # rows and position in one transaction
    with store.reading() as rows:                     # all of one position
        rows.select(board.Row, "state = ?", ["open"])

A view of NAME `board` and VERSION 3 has the table `board_v3`. `:memory:` is a database of one connection, for tests.
"""

import hashlib
import inspect
import os
import sqlite3
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints
from urllib.parse import quote

import msgspec

from attorn.contracts.envelope import Recorded
from attorn.contracts.refusal import Unavailable
from attorn.projections.directory import Directory
from attorn.projections.fold import View
from attorn.projections.store.tracking import APPLICATION, TrackedDatabase

MEMORY: Final = ":memory:"
ROWS_CACHED_MAX: Final = 10_000
"""How many rows of one view stay in memory between pages."""

_KEYS_PER_SELECT: Final = 500
_ROWS_PER_DIGEST_STEP: Final = 1_000
_ERROR_MAX: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

R = TypeVar("R", bound=msgspec.Struct)

_to_json: Final = msgspec.json.Encoder()
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
    cannot fill them from the first event on, so they are left out here, and a new file takes its place. A `scratch`
    file is for its digests only: it has no indexes, and is not to be opened again.
    """

    def __init__(
        self, path: str | Path, views: Sequence[View], directory: Directory | None = None, *, scratch: bool = False
    ) -> None:
        self.path = str(path)
        self.directory = directory
        self._database = TrackedDatabase(self.path, durable=not scratch)
        try:
            self.position = self._database.position
            tables = [_Table(view) for view in views]
            assert len({table.row for table in tables}) == len(tables), "two views share a Row"
            self._tables = self._open(tables, indexed=not scratch)
            self.missing = tuple(table.view for table in tables if table not in self._tables)
            self._reader = None if self.path == MEMORY else _reader(self.path)
        except BaseException:
            self._database.close()
            raise
        self._by_row: Mapping[type[Any], _Table] = {table.row: table for table in self._tables}
        self._has_failed = False

    @property
    def views(self) -> tuple[View, ...]:
        """The views that are here."""
        return tuple(table.view for table in self._tables)

    def apply(self, page: Sequence[Recorded]) -> Sequence[Poison]:
        """Fold `page` in one transaction, without the events that are here already; return what could not be taken in.

        Raises Gap, before anything is done, when events between are missing. After any other error the store is not to
        be used again: what is in memory may be ahead of the file.
        """
        fresh = self._fresh(page)
        if not fresh:
            return ()
        assert not self._has_failed, f"a page failed at position {self.position}: open the views again"
        self._has_failed = True
        poison: list[Poison] = []
        touched = [(table, self._load(table, fresh, poison)) for table in self._tables]
        for index, recorded in enumerate(fresh):
            for table, keys in touched:
                if keys[index]:
                    try:
                        table.fold(recorded, keys[index])
                    except MemoryError:
                        raise
                    except Exception as error:
                        # One view's mistake about one event: the other views and the other events go on.
                        poison.append(_poison(table.view.NAME, recorded, error))
            if self.directory is not None:
                evolve(self.directory, recorded, poison)
        # Position and rows are one transaction: a crash before its end leaves both as they were, one after it neither.
        with self._database.transaction(fresh[-1].position) as cursor:
            for table in self._tables:
                upserts, updates = table.changed()
                if upserts:
                    cursor.executemany(table.upsert, upserts)
                if updates:
                    cursor.executemany(table.update, updates)
                if removed := table.removed():
                    cursor.executemany(table.delete, removed)
            if poison:
                rows = [(p.view, p.position, p.type, p.error) for p in poison]
                cursor.executemany("INSERT OR REPLACE INTO poison VALUES (?, ?, ?, ?)", rows)
            cursor.execute("UPDATE tip SET sha256 = ?", (hashlib.sha256(fresh[-1].body).hexdigest(),))
        self.position = fresh[-1].position
        for table in self._tables:
            table.settle()
        self._has_failed = False
        return poison

    @contextmanager
    def reading(self) -> Iterator["Snapshot"]:
        """The rows as they are now. Let no page be applied inside the block: `snapshot` is for that."""
        if self._reader is None:
            yield Snapshot(self._database.fetch, self._by_row)
        else:
            with _transaction(self._reader) as fetch:
                yield Snapshot(fetch, self._by_row)

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """The rows as they are now, for as long as the block runs, whatever is applied meanwhile."""
        connection = self._database.copy() if self.path == MEMORY else _reader(self.path)
        try:
            with _transaction(connection) as fetch:
                yield Snapshot(fetch, self._by_row)
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

    def close(self) -> None:
        # The reader first: the last to close moves the write-ahead log into the file, and a reader may not write.
        if self._reader is not None:
            self._reader.close()
        self._database.close()

    def _open(self, tables: "Sequence[_Table]", *, indexed: bool) -> "list[_Table]":
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
                    cursor.execute(table.create)
                elif columns != table.columns.declared:
                    continue
                for statement in table.create_indexes if indexed else ():
                    cursor.execute(statement)
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

    def _load(self, table: "_Table", page: Sequence[Recorded], poison: list[Poison]) -> list[Sequence[str]]:
        """Take the rows that `page` touches into the table's memory; return the keys of each event."""
        touched: list[Sequence[str]] = []
        for recorded in page:
            try:
                keys = table.view.keys(recorded)
                for key in keys:
                    if not key.isascii():
                        key.encode()  # what is not a character cannot be asked for, let alone be stored
            except MemoryError:
                raise
            except Exception as error:
                poison.append(_poison(table.view.NAME, recorded, error))
                keys = ()
            touched.append(keys)
        unknown = table.take({key for keys in touched for key in keys})
        for start in range(0, len(unknown), _KEYS_PER_SELECT):
            some = unknown[start : start + _KEYS_PER_SELECT]
            where = f"WHERE key IN ({', '.join('?' * len(some))})"
            for values in self._database.fetch(f"{table.select} {where}", some):
                row = table.columns.row(values)
                table.working[row.key] = row
        table.begin()
        return touched


class Snapshot:
    """The rows of one position; satisfies `Rows`."""

    def __init__(
        self, fetch: Callable[[str, Sequence[Any]], list[Sequence[Any]]], tables: "Mapping[type[Any], _Table]"
    ) -> None:
        self._fetch = fetch
        self._tables = tables

    @property
    def views(self) -> tuple[View, ...]:
        return tuple(table.view for table in self._tables.values())

    @property
    def position(self) -> int:
        found = self._fetch("SELECT notification_id FROM tracking WHERE application_name = ?", (APPLICATION,))
        return int(found[0][0]) if found else 0

    @property
    def tip(self) -> str:
        return str(self._fetch("SELECT sha256 FROM tip", ())[0][0])

    def get(self, row: type[R], key: str) -> R | None:
        found = self.select(row, "key = ?", (key,))
        return found[0] if found else None

    def select(
        self, row: type[R], where: str = "", parameters: Sequence[Any] = (), order: str = "", limit: int | None = None
    ) -> list[R]:
        table = self._table(row)
        statement, values = table.select, [_bound(parameter) for parameter in parameters]
        if where:
            statement += f" WHERE {where}"
        if order:
            statement += f" ORDER BY {order}"
        if limit is not None:
            statement += " LIMIT ?"
            values.append(limit)
        return [table.columns.row(found) for found in self._fetch(statement, values)]

    def count(self, row: type[R], where: str = "", parameters: Sequence[Any] = ()) -> int:
        statement = f"SELECT count(*) FROM {self._table(row).name}" + (f" WHERE {where}" if where else "")
        return int(self._fetch(statement, [_bound(parameter) for parameter in parameters])[0][0])

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
        after: list[str] = []
        while True:
            found = self._fetch(f"{table.select} {where} ORDER BY key LIMIT {_ROWS_PER_DIGEST_STEP}", after)
            for values in found:
                sha256.update(_canonical_json.encode(table.columns.row(values)) + b"\n")
            if len(found) < _ROWS_PER_DIGEST_STEP:
                return f"sha256:{sha256.hexdigest()}"
            where, after = "WHERE key > ?", [found[-1][0]]
            yield

    def poison_count(self, name: str) -> int:
        return int(self._fetch("SELECT count(*) FROM poison WHERE view = ?", (name,))[0][0])

    def poison(self, name: str, limit: int = 5) -> list[Poison]:
        """The last events that the view `name` could not take in, newest first."""
        statement = "SELECT position, type, error FROM poison WHERE view = ? ORDER BY position DESC LIMIT ?"
        found = self._fetch(statement, (name, limit))
        return [Poison(view=name, position=position, type=type, error=error) for position, type, error in found]

    def _table(self, row: type[Any]) -> "_Table":
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
        if not store._database.checkpoint():
            raise Unavailable(f"{store.path} is being read by another process")
    old.close()
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


class _Table:
    """One view's table: its statements, and the rows that are in memory."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.row: type[Any] = view.Row
        self.name = f"{view.NAME}_v{view.VERSION}"
        assert self.name.isidentifier(), self.name
        self.columns = _Columns(view.Row)
        self.working: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self._changed: set[str] = set()
        self._cached: dict[str, Any] = {}
        self._apply = view.apply
        self._canonical = self.columns.canonical

        names = [name for name, _ in self.columns.declared]
        listed = ", ".join(f'"{name}"' for name in names)
        declared = ", ".join(f'"{name}" {type}' for name, type in self.columns.declared[1:])
        self.create = f"CREATE TABLE {self.name} (key TEXT PRIMARY KEY{', ' if declared else ''}{declared})"
        self.create_indexes = [
            f"CREATE INDEX IF NOT EXISTS {'_'.join((self.name, *index))} ON {self.name} "
            f"({', '.join(f'{chr(34)}{column}{chr(34)}' for column in index)})"
            for index in view.INDEXES
        ]
        self.select = f"SELECT {listed} FROM {self.name}"
        self.delete = f"DELETE FROM {self.name} WHERE key = ?"
        updates = ", ".join(f'"{name}" = excluded."{name}"' for name in names[1:])
        self.upsert = (
            f"INSERT INTO {self.name} ({listed}) VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT (key) DO {f'UPDATE SET {updates}' if updates else 'NOTHING'}"
        )
        # SQLite writes an index anew whenever a statement names one of its columns, whether the value changes or not.
        indexed = sorted({column for index in view.INDEXES for column in index} - {"key"})
        plain = [name for name in names[1:] if name not in indexed]
        self._indexed = attrgetter(*indexed) if indexed and plain else None
        self._plain = itemgetter(*map(names.index, plain), 0)
        assignments = ", ".join(f'"{name}" = ?' for name in plain)
        self.update = f"UPDATE {self.name} SET {assignments} WHERE key = ?"

    def take(self, keys: set[str]) -> list[str]:
        """Make the rows of `keys` those to work on; return the keys that are not in memory."""
        assert not self.working
        unknown = []
        for key in keys:
            row = self._cached.pop(key, None)
            if row is None:
                unknown.append(key)
            else:
                self.working[key] = row
        return unknown

    def begin(self) -> None:
        """All rows that the page touches and that there are, are in `working` now."""
        self._before = self.working.copy()

    def fold(self, recorded: Recorded, keys: Sequence[str]) -> None:
        """Apply one event to its rows, to all or, when it raises, to none."""
        working = self.working
        if len(keys) == 1:
            [key] = keys
            before = working.get(key)
            after = self._apply(before, recorded, key)
            if after is not before:
                working[key] = None if after is None else self._canonical(after, key)
                self._changed.add(key)
            return
        rows: dict[str, Any] = {}
        for key in keys:
            before = rows[key] if key in rows else working.get(key)
            after = self._apply(before, recorded, key)
            if after is not before:
                rows[key] = None if after is None else self._canonical(after, key)
        working.update(rows)
        self._changed.update(rows)

    def changed(self) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
        """What `upsert` has to write, rows that are new or stand elsewhere in an index; and `update`, the others."""
        values, working, before, indexed = self.columns.values, self.working, self._before, self._indexed
        upserts, updates = [], []
        # In the order of the keys, so that neighbours are written together.
        for key in sorted(self._changed):
            row = working[key]
            if row is None:
                continue
            old = before.get(key)
            if indexed is not None and old is not None and indexed(old) == indexed(row):
                updates.append(self._plain(values(row)))
            else:
                upserts.append(values(row))
        return upserts, updates

    def removed(self) -> list[tuple[str]]:
        return [(key,) for key in self._changed if self.working[key] is None]

    def settle(self) -> None:
        """What was worked on is in the file now; keep the rows that were used last."""
        cached = self._cached
        for key, row in self.working.items():
            if row is not None:
                cached[key] = row
        if len(cached) > ROWS_CACHED_MAX:
            for key in list(islice(cached, len(cached) - ROWS_CACHED_MAX)):
                del cached[key]
        self.working = {}
        self._before = {}
        self._changed = set()


class _Columns:
    """How a Row stands in a table: scalars as they are, instants as microseconds since 1970, all else as JSON."""

    def __init__(self, row: type[Any]) -> None:
        info = msgspec.inspect.type_info(row)
        assert isinstance(info, msgspec.inspect.StructType), row
        hints = get_type_hints(row, include_extras=True)
        assert info.fields and info.fields[0].name == "key", f"the first field of {row} is not its key"
        self.declared: list[tuple[str, str]] = []
        self._write: list[tuple[int, Callable[[Any], Any]]] = []
        self._read: list[tuple[int, Callable[[Any], Any]]] = []
        self._instants: list[str] = []
        self._floats: list[str] = []
        self._integers: list[str] = []
        for index, field in enumerate(info.fields):
            match _scalar(field.type):
                case "INSTANT":
                    self.declared.append((field.name, "INTEGER"))
                    self._instants.append(field.name)
                    self._write.append((index, _microseconds))
                    self._read.append((index, _instant))
                case "BOOLEAN":
                    self.declared.append((field.name, "INTEGER"))
                    self._read.append((index, bool))
                case "JSON":
                    self.declared.append((field.name, "TEXT"))
                    self._write.append((index, _json))
                    self._read.append((index, msgspec.json.Decoder(hints[field.name]).decode))
                case scalar:
                    self.declared.append((field.name, scalar))
                    if scalar == "INTEGER":
                        self._integers.append(field.name)
                    if scalar == "REAL":
                        self._floats.append(field.name)
        kinds = {parameter.kind for parameter in inspect.signature(row).parameters.values()}
        self._names = None if inspect.Parameter.KEYWORD_ONLY not in kinds else [name for name, _ in self.declared]
        self._row = row
        self._fields = msgspec.structs.astuple

    def canonical(self, row: Any, key: str) -> Any:
        """`row` as it will be when it is read back, so that a fold is the same with and without it in memory.

        Raises when it could not be stored: then it is the event's fault that made it so, and of no other in its page.
        """
        if type(row) is not self._row:
            raise TypeError(f"{type(row).__name__} is not the view's Row")
        if row.key != key:
            raise ValueError(f"the row has the key {row.key!r}, not {key!r}")
        _to_json.encode(row)
        for name in self._instants:
            value = getattr(row, name)
            if value is not None and value.tzinfo is not UTC:
                if value.tzinfo is None:
                    raise ValueError(f"{name} has no offset")
                row = msgspec.structs.replace(row, **{name: value.astimezone(UTC)})
        for name in self._integers:
            value = getattr(row, name)
            if value is not None and not -(2**63) <= value < 2**63:
                raise ValueError(f"{name} is {value}, beyond 64 bits")
        for name in self._floats:
            value = getattr(row, name)
            if type(value) is int:
                row = msgspec.structs.replace(row, **{name: float(value)})
            elif value is not None and value - value != 0:
                raise ValueError(f"{name} is {value}, which is no number")
        return row

    def values(self, row: Any) -> Sequence[Any]:
        if not self._write:
            plain: tuple[Any, ...] = self._fields(row)
            return plain
        values = list(self._fields(row))
        for index, write in self._write:
            if values[index] is not None:
                values[index] = write(values[index])
        return values

    def row(self, values: Sequence[Any]) -> Any:
        found = list(values)
        for index, read in self._read:
            if found[index] is not None:
                found[index] = read(found[index])
        if self._names is not None:
            return self._row(**dict(zip(self._names, found, strict=True)))
        return self._row(*found)


def _scalar(info: msgspec.inspect.Type) -> str:
    found = msgspec.inspect
    match info:
        case found.Metadata(type=inner):
            return _scalar(inner)
        case found.UnionType(types=types):
            others = [one for one in types if not isinstance(one, found.NoneType)]
            return _scalar(others[0]) if len(others) == 1 else "JSON"
        case found.StrType():
            return "TEXT"
        case found.IntType():
            return "INTEGER"
        case found.FloatType():
            return "REAL"
        case found.BoolType():
            return "BOOLEAN"
        case found.DateTimeType():
            return "INSTANT"
        case found.LiteralType(values=values) if all(isinstance(value, str) for value in values):
            return "TEXT"
        case _:
            return "JSON"


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _json(value: Any) -> str:
    return _to_json.encode(value).decode()


def _bound(parameter: Any) -> Any:
    return _microseconds(parameter) if isinstance(parameter, datetime) else parameter


def _reader(path: str) -> sqlite3.Connection:
    """A connection that cannot write, and stays with one state of the file for the length of a transaction."""
    return sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None, timeout=5)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[Callable[[str, Sequence[Any]], list[Sequence[Any]]]]:
    def fetch(statement: str, parameters: Sequence[Any] = ()) -> list[Sequence[Any]]:
        return connection.execute(statement, parameters).fetchall()

    connection.execute("BEGIN")
    try:
        # A transaction begins with its first reading, not with its BEGIN.
        fetch("SELECT 1 FROM tracking")
        yield fetch
    finally:
        connection.execute("ROLLBACK")
