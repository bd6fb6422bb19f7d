"""The log, read from one end to where it ends now, or on and on."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from attorn.cli.connect import Attorn

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
