"""The directory as a command reads it: folded from the log itself, whether the views are up or not."""

from typing import TYPE_CHECKING

from attorn.cli.connect import Attorn
from attorn.cli.reading import pages

if TYPE_CHECKING:
    from attorn.projections.directory import Directory


async def directory(attorn: Attorn) -> "Directory":
    """Who and what there is at the end of the log."""
    from attorn.projections.directory import KINDS, Directory

    found = Directory()
    async for page in pages(attorn, kinds=KINDS):
        for recorded in page.recorded:
            found.evolve(recorded)
    return found
