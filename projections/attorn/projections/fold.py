"""What a view is: a row, the events that it is about, the keys that each touches, and a pure function."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from attorn.contracts.envelope import Recorded

R = TypeVar("R", bound=msgspec.Struct)


class View(Protocol):
    """A module, or an object, that says how one view is made from the log.

    `Row` is a frozen Struct whose fields are the columns of the view's table; the first is its key: text, a number, or
    bytes. A changed `VERSION` means other rows from the same events: the view is filled anew, from the first position
    on. `EVENTS` are the classes of payloads that it is about, all when None; it is not asked about others. `INDEXES`
    are the columns that questions are asked by; an index leaves out the rows where its first column is null. What a
    module makes of an event may depend on nothing but the row and the event; an object may look at what is evolved
    from event to event, as the directory is.

    Views that have the very same `keys`, and are about the same events, are asked for them once.

    A view may say `NEW = True`: its keys come once, as a rule. Then its rows are written without being looked for, and
    only where one is there already is the page folded once more, with what was there.

    A view may have `more(row, recorded)`: which other rows an event touches, by what the first row of its `keys` says
    before it. What it says of rows that are not there does no harm.
    """

    @property
    def NAME(self) -> str: ...
    @property
    def VERSION(self) -> int: ...
    @property
    def EVENTS(self) -> frozenset[type] | None: ...
    @property
    def Row(self) -> type[Any]: ...
    @property
    def INDEXES(self) -> tuple[tuple[str, ...], ...]: ...

    def keys(self, recorded: Recorded, /) -> Sequence[Any]:
        """The rows that this event touches; none when the view is not about it."""
        ...

    def apply(self, row: Any, recorded: Recorded, key: Any, /) -> Any:
        """The row after the event. The same object is "unchanged"; None removes the row, or does not make one.

        Pure: when a row cannot be stored, a page is folded again to find out by which event.
        """
        ...


class Rows(Protocol):
    """The rows of views, as a question sees them: all of one position."""

    @property
    def position(self) -> int:
        """The position up to which these rows are folded."""
        ...

    def get(self, row: type[R], key: Any) -> R | None: ...

    def select(
        self, row: type[R], where: str = "", parameters: Sequence[Any] = (), order: str = "", limit: int | None = None
    ) -> list[R]:
        """The rows for which the SQL condition `where` holds; columns are the Row's fields, values are `?`."""
        ...

    def values(
        self,
        row: type[R],
        columns: Sequence[str],
        where: str = "",
        parameters: Sequence[Any] = (),
        order: str = "",
        limit: int | None = None,
    ) -> list[Sequence[Any]]:
        """As `select`, but of each row only these columns, as values: for who shows few of many."""
        ...

    def count(self, row: type[R], where: str = "", parameters: Sequence[Any] = (), limit: int | None = None) -> int:
        """How many rows there are for which `where` holds; no more than `limit` are counted."""
        ...


def item(recorded: Recorded) -> Sequence[str]:
    """The work item that an event is about: the `keys` of the views that have a row an item."""
    subject = recorded.event.subject
    return (subject[5:],) if subject.startswith("work/") else ()
