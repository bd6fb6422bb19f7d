"""How answers are cut into pages: the parameters that say where a page begins and how long it is, and what is open."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

from attorn.projections import board, holding, timeline
from attorn.projections.directory import NOW, AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.lifecycle import ENDED as ENDED_STATES

Limit: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
"""How many things a page holds at most."""

PAGE: Final = 1_000
_VALUES: Final = 5_000
ENDED: Final = sorted(ENDED_STATES)
FINISHED: Final = sorted(board.FINISHED)
NOT_ENDED: Final = f"state NOT IN ({', '.join('?' * len(ENDED))})"
"""As a condition on the board; its parameters are ENDED."""
OPEN: Final = f"state NOT IN ({', '.join('?' * len(FINISHED))})"
"""Neither handed in nor ended, as a condition on the board; its parameters are FINISHED."""

R = TypeVar("R", bound=msgspec.Struct)


def each(rows: Rows, row: type[R], where: str, parameters: Sequence[Any]) -> Iterator[R]:
    """Every row for which `where` holds, in order of the keys, a page of them in memory at a time."""
    after = ""
    while True:
        page = rows.select(row, f"{where} AND key > ?", (*parameters, after), "key", PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].key  # type: ignore[attr-defined]


def each_values(
    rows: Rows, row: type[Any], columns: Sequence[str], where: str, parameters: Sequence[Any] = ()
) -> Iterator[Sequence[Any]]:
    """As `each`, but of each row these columns alone, as values; the first of them is the key, whatever its type."""
    key, behind = columns[0], list[Any]()
    while True:
        within = where if not behind else f"{where} AND {key} > ?"
        page = rows.values(row, columns, within, (*parameters, *behind), key, _VALUES)
        yield from page
        if len(page) < _VALUES:
            return
        behind = [page[-1][0]]


def as_of(rows: Rows, directory: Directory) -> AsOf:
    """What the rows cover, of a directory that may be ahead of them: what is answered goes no further than they do."""
    # Where both are of one position, which is the rule, nothing has to be looked for among what was before.
    return NOW if directory.position <= rows.position else AsOf(position=rows.position)


def last_recorded_at(rows: Rows) -> datetime | None:
    """When the last event was recorded: the views have no other clock. None on an empty log."""
    last = rows.values(timeline.Row, ("recorded_at",), "position <= ?", (rows.position,), "position DESC", 1)
    return last[0][0] if last else None


def position_since(rows: Rows, since: datetime | None) -> int:
    """The position of the first event that was recorded at that time or later; behind all, where none was."""
    if since is None:
        return 0
    # What is recorded later stands later in the log.
    first, behind = 1, rows.position + 1
    while first < behind:
        middle = (first + behind) // 2
        told = rows.values(timeline.Row, ("recorded_at",), "position >= ?", (middle,), "position", 1)
        if told and told[0][0] < since:
            first = middle + 1
        else:
            behind = middle
    return first


def carried_out(rows: Rows, who: str) -> int:
    """How many items they carry out; an end lets go of an item."""
    return rows.count(holding.Row, "holder = ? AND key BETWEEN 'work/' AND 'work/~'", (who,))


def next_key(page: Sequence[Any], limit: int) -> str | None:
    """The key after which the next page begins; `page` was read one row longer than `limit`, to know."""
    return page[limit - 1].key if len(page) > limit else None


def marks(values: Sequence[Any]) -> str:
    """As many `?` as there are values."""
    return ", ".join("?" * len(values))
