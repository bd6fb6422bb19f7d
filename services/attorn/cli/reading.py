"""The log, read from one end to where it ends now, or on and on."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from attorn.cli.connect import Attorn
from attorn.cli.errors import misused, not_found

if TYPE_CHECKING:
    from attorn.contracts.envelope import Recorded
    from attorn.contracts.ledger import Page


async def pages(
    attorn: Attorn, after: int = 0, kinds: Sequence[str] = (), *, to_end: bool = True
) -> AsyncIterator["Page"]:
    """Everything behind `after`; with `to_end` up to what is there now, else without an end."""
    async with aclosing(attorn.ledger.follow(after, kinds)) as following:
        async for page in following:
            yield page
            if to_end and not page.pending:
                return


def require_position(position: int) -> None:
    """Raises Failed for what is no place of any log; to be asked before there is a connection."""
    if position < 1:
        raise misused(f"position {position}: positions count from 1")


async def at_position(attorn: Attorn, position: int) -> "Recorded":
    """The event at a place of the log. Raises Failed where there is none."""
    require_position(position)
    last = await attorn.ledger.last()
    if position > last:
        raise not_found(f"the log ends at position {last}", "`attorn events ls` shows what is there")
    async for page in pages(attorn, position - 1, to_end=False):
        if page.recorded:
            return page.recorded[0]
    raise AssertionError(f"the log has a position {position}, and reading it ended before")


def as_item(recorded: "Recorded") -> dict[str, Any]:
    """An event with its place, for a table and for JSON; the event's own bytes stay as they are."""
    import msgspec

    return {
        "position": recorded.position,
        "recorded_at": msgspec.to_builtins(recorded.recorded_at),
        "stream": recorded.stream,
        "version": recorded.version,
        "type": recorded.event.type,
        "event": msgspec.Raw(recorded.body),
    }
