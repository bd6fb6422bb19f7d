"""One view's table: its statements, and those of its rows that are in memory, where pages of the log are folded."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, itemgetter
from types import ModuleType
from typing import Any, Final, TypeAlias

from attorn.contracts.envelope import Recorded
from attorn.projections.fold import View
from attorn.projections.store.columns import Columns

Fetch: TypeAlias = Callable[[str, Sequence[Any]], list[Sequence[Any]]]
Many: TypeAlias = Callable[[str, Sequence[Sequence[Any]]], int]
"""Runs one statement for each of many rows of values; returns how many rows were changed."""

Touched: TypeAlias = tuple[Recorded, Sequence[Any]]
"""An event, and the keys of the rows that it touches."""

More: TypeAlias = Callable[[Any, Recorded], Sequence[Any]]
"""By what a row says, which others an event touches."""

Failed: TypeAlias = "Callable[[Table, Recorded, Exception], None]"
"""Is told of an event that a view could not take in."""

_KEYS_PER_SELECT: Final = 500

_ROWS_PER_INSERT: Final = 50
"""To begin and to end a statement costs as much as a row: one that takes many at once pays for it once."""


class Unwritten(Exception):
    """A table's rows of this page could not be written: it is to be folded again, event by event."""

    def __init__(self, table: "Table") -> None:
        self.table = table


class Table:
    """The table of `view`, of which at most about `rows_max` rows stay in memory between pages.

    Rows in memory are of two generations: the young ones were used by the pages since the last change of generations,
    the old ones by those before it. When the young are many, they become the old, and what was old and not used goes.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.row: type[Any] = view.Row
        self.name = f"{view.NAME}_v{view.VERSION}"
        assert self.name.isidentifier(), self.name
        self.events = view.EVENTS
        # A module has nothing but its rows; what else a view has may change from event to event, as the directory does.
        self.is_alone = isinstance(view, ModuleType)
        self.columns = Columns(view.Row)
        self.is_new: bool = getattr(view, "NEW", False)
        self._more: More | None = getattr(view, "more", None)
        # True while every row that there is is in memory: then a key that is not there is nowhere.
        self.is_whole = False
        self._rows: dict[Any, Any] = {}
        self._old: dict[Any, Any] = {}
        self._before: dict[Any, Any] = {}
        # Of new rows only what is to be written, the values of one row behind those of the other.
        self._made: list[Any] = []
        self._check: Callable[[Any, Any], Any] | None = None

        names = [name for name, _ in self.columns.declared]
        key = names[0]
        listed = ", ".join(f'"{name}"' for name in names)
        marks = ", ".join("?" * len(names))
        (_, key_type), *others = self.columns.declared
        declared = ", ".join((f'"{key}" {key_type} PRIMARY KEY', *(f'"{name}" {type}' for name, type in others)))
        # Where rows are small, the tree of the keys has them in it; a number is where its row is in any case.
        is_one_tree = key_type == "BLOB" or (key_type == "TEXT" and not self.columns.has_json)
        self.create = f"CREATE TABLE {self.name} ({declared}){' WITHOUT ROWID' if is_one_tree else ''}"
        self.create_indexes = [self._indexing(index) for index in view.INDEXES]
        self.select = f"SELECT {listed} FROM {self.name}"
        self.key = f'"{key}"'
        self._width = len(names)
        self._insert = f"INSERT OR {'IGNORE' if self.is_new else 'REPLACE'} INTO {self.name} VALUES ({marks})"
        self._insert_some = self._insert + f", ({marks})" * (_ROWS_PER_INSERT - 1)
        self._delete = f"DELETE FROM {self.name} WHERE {self.key} = ?"
        # SQLite writes an index anew whenever a statement names one of its columns, whether the value changes or not.
        indexed = sorted({column for index in view.INDEXES for column in index} - {key})
        plain = [name for name in names[1:] if name not in indexed]
        self._indexed = attrgetter(*indexed) if indexed else None
        self._plain = itemgetter(*map(names.index, plain), 0) if plain else None
        self._every = itemgetter(*range(1, len(names)), 0) if len(names) > 1 else None
        self._update_plain, self._update = self._updating(plain), self._updating(names[1:])

    def is_about(self, kind: type) -> bool:
        """Whether the view is to be asked about events whose payload is of this class."""
        return self.events is None or kind in self.events

    def load(self, touched: Sequence[Touched], wanted: Iterable[Any], fetch: Fetch) -> None:
        """Take the rows with the keys `wanted`, which are those that are touched, into memory."""
        self._take(wanted, fetch)
        if self._more is not None:
            # What a row will say when its event is folded, it says now, or is told of in this page: that is loaded.
            more, rows = self._more, self._rows
            self._take({key for recorded, keys in touched for key in more(rows.get(keys[0]), recorded)}, fetch)

    def fold(self, touched: Iterable[Touched], failed: Failed) -> None:
        """Apply each event to its rows, to all or, when it raises, to none."""
        # This is where a replay spends its time: what need not be looked up for each event is looked up here.
        rows, changed, apply, check = self._rows, self._before, self.view.apply, self._check
        for recorded, keys in touched if self._more is None else self._with_more(touched, self._more):
            try:
                if len(keys) > 1:
                    self._fold_many(recorded, keys)
                    continue
                key = keys[0]
                before = rows.get(key)
                after = apply(before, recorded, key)
                if after is not before:
                    if check is not None and after is not None:
                        after = check(after, key)
                    if key not in changed:
                        changed[key] = before
                    rows[key] = after
            except MemoryError:
                raise
            except Exception as error:
                failed(self, recorded, error)

    def make(self, page: Iterable[Recorded], failed: Failed) -> None:
        """Make the rows of each event, where rows are new as a rule (`is_new`): none is looked for, or kept."""
        made, keys_of, apply, values_of = self._made, self.view.keys, self.view.apply, self.columns.values
        for recorded in page:
            try:
                values: list[Any] = []
                for key in keys_of(recorded):
                    row = apply(None, recorded, key)
                    if row is not None:
                        values += values_of(row)
                made += values
            except MemoryError:
                raise
            except Exception as error:
                failed(self, recorded, error)

    def _with_more(self, touched: Iterable[Touched], more: "More") -> Iterator[Touched]:
        for recorded, keys in touched:
            yield recorded, (*keys, *more(self._rows.get(keys[0]), recorded))

    def _fold_many(self, recorded: Recorded, keys: Sequence[Any]) -> None:
        rows, changed, apply, check = self._rows, self._before, self.view.apply, self._check
        done: list[tuple[Any, Any]] = []
        try:
            for key in keys:
                before = rows.get(key)
                after = apply(before, recorded, key)
                if after is not before:
                    if check is not None and after is not None:
                        after = check(after, key)
                    done.append((key, before))
                    rows[key] = after
        except BaseException:
            for key, before in reversed(done):
                rows[key] = before
            raise
        for key, before in done:
            if key not in changed:
                changed[key] = before

    def _take(self, keys: Iterable[Any], fetch: Fetch) -> None:
        rows, old = self._rows, self._old
        unknown = []
        for key in keys:
            if key not in rows:
                row = old.get(key)
                if row is None:
                    unknown.append(key)
                else:
                    rows[key] = row
        if self.is_whole:
            return
        for start in range(0, len(unknown), _KEYS_PER_SELECT):
            some = unknown[start : start + _KEYS_PER_SELECT]
            for values in fetch(f"{self.select} WHERE {self.key} IN ({', '.join('?' * len(some))})", some):
                rows[values[0]] = self.columns.row(values)

    def changed(self) -> list[tuple[Any, Any]]:
        """Each key whose row this page has changed, with the row; None where it is gone."""
        new = (self.columns.row(self._made[at : at + self._width]) for at in range(0, len(self._made), self._width))
        return [(key, self._rows[key]) for key in self._before] + [(getattr(row, self.columns.key), row) for row in new]

    def write(self, many: Many) -> None:
        """Write what the page has changed. Raises Unwritten when that is possible only event by event."""
        rows, before, indexed = self._rows, self._before, self._indexed
        canonical, values = self.columns.canonical, self.columns.values
        inserts: list[Any] = self._made if self.is_new else []
        updates, moved, removed = [], [], []
        try:
            # In the order of the keys, so that neighbours are written together.
            for key in sorted(before):
                row, old = rows[key], before[key]
                if row is None:
                    if old is not None:
                        removed.append((key,))
                    continue
                row = rows[key] = canonical(row, key)
                if old is None:
                    inserts += values(row)
                elif self._plain is not None and (indexed is None or indexed(old) == indexed(row)):
                    updates.append(self._plain(values(row)))
                elif self._every is not None:
                    moved.append(self._every(values(row)))
            if inserts and self._insert_all(inserts, many) * self._width != len(inserts):
                # Some were there already: of those that are new as a rule, these are not.
                raise Unwritten(self)
            if updates:
                many(self._update_plain, updates)
            if moved:
                many(self._update, moved)
            if removed:
                many(self._delete, removed)
        except (TypeError, ValueError, OverflowError, RecursionError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
            raise Unwritten(self) from None

    def _insert_all(self, values: list[Any], many: Many) -> int:
        """Insert rows, given as their values one behind the other; return how many were not there yet."""
        one, some = self._width, self._width * _ROWS_PER_INSERT
        rest = len(values) - len(values) % some
        inserted = many(self._insert_some, [values[at : at + some] for at in range(0, rest, some)]) if rest else 0
        return inserted + many(self._insert, [values[at : at + one] for at in range(rest, len(values), one)])

    def _indexing(self, index: Sequence[str]) -> str:
        columns = ", ".join(f'"{name}"' for name in index)
        # Nobody asks for the rows where the first of them is null: those need not be in it.
        some = f' WHERE "{index[0]}" IS NOT NULL' if index[0] in self.columns.optional else ""
        return f"CREATE INDEX IF NOT EXISTS {'_'.join((self.name, *index))} ON {self.name} ({columns}){some}"

    def _updating(self, names: Sequence[str]) -> str:
        assignments = ", ".join(f'"{name}" = ?' for name in names)
        return f"UPDATE {self.name} SET {assignments} WHERE {self.key} = ?"

    def again(self) -> None:
        """Forget what the page has changed, and be careful to its end: look for the rows, and try whether each fits."""
        assert self._check is None, f"{self.name} cannot be written"
        for key, row in self._before.items():
            self._rows[key] = row
        self.is_new = False
        self._before, self._made = {}, []
        self._check = self.columns.storable

    def settle(self, rows_max: int) -> None:
        """What the page has changed is in the file now."""
        self._before, self._made = {}, []
        self._check = None
        self.is_new = getattr(self.view, "NEW", False)
        if self.is_new:
            self._rows = {}
        elif len(self._rows) > rows_max // 2:
            self._old = self._rows if len(self._rows) <= rows_max else {}
            self._rows = {}
            self.is_whole = False


def touched(tables: Sequence[Table], page: Iterable[Recorded], failed: Failed) -> tuple[list[Touched], set[Any]]:
    """The events of `page` that touch a row, each with its keys, and all of these keys.

    The views of `tables` are about every event of `page`, and find its keys in the same way: they are found once.
    """
    found: list[Touched] = []
    wanted: set[Any] = set()
    keys_of = tables[0].view.keys
    for recorded in page:
        try:
            keys = keys_of(recorded)
            if keys:
                wanted.update(keys)
                found.append((recorded, keys))
        except MemoryError:
            raise
        except Exception as error:
            for table in tables:
                failed(table, recorded, error)
    return found, wanted
