"""`attorn holding`: who carries out what and holds which claim."""

from typing import Annotated

from cyclopts import Parameter

from attorn.cli.connect import connected
from attorn.cli.options import Given, Id, Limit
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others

COLUMNS = (
    Column("WHO", "holder", "id"),
    Column("HOLDS", lambda h: h.get("resource") or h["thing"], "id"),
    Column("AS", "basis", "id"),
    Column("SINCE", "since_time", "time"),
    Column("UNTIL", "lease_until", "time"),
    Column("FENCE", "fence", "number"),
    Column("STATE", "state", "id"),
    Column("TITLE", "title"),
)


async def holding(
    who: Annotated[str | None, Parameter(metavar="WHO", help="Only what they hold.")] = None,
    /,
    *,
    work: Annotated[Id | None, Parameter(help="Only who carries this item out.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List who carries out which work, and who holds which claim, since when and until when.

    Example: attorn holding refunds-bot
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "holding", "holdings", limit, participant=who, work=work)
    nothing = f"{who} holds nothing" if who else f"nobody carries {work} out" if work else "nothing is held"
    write_list(options, found, COLUMNS, id="thing", nothing=nothing, more=others(more))
