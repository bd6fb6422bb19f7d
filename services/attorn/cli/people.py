"""The directory as a command reads it: folded from the log itself, whether the views are up or not."""

from typing import TYPE_CHECKING

from attorn.cli.connect import Attorn
from attorn.cli.reading import pages

if TYPE_CHECKING:
    from attorn.contracts.envelope import Recorded
    from attorn.projections.directory import Directory


async def directory(attorn: Attorn) -> "Directory":
    """Who and what there is at the end of the log."""
    from attorn.projections.directory import KINDS, Directory

    found = Directory()
    async for page in pages(attorn, kinds=KINDS):
        for recorded in page.recorded:
            found.evolve(recorded)
    return found


async def at_position(attorn: Attorn, position: int) -> "Recorded":
    """The event at a place that the log has."""
    async for page in pages(attorn, position - 1, to_end=False):
        if page.recorded:
            return page.recorded[0]
    raise AssertionError(f"the log has a position {position}, and reading it ended before")
