"""`attorn holding`: who carries out what and holds which claim."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from attorn.cli.connect import connected
from attorn.cli.options import Given, Id, Limit
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others

LIVE = ("granted", "accepted", "active")


def _how(held: Mapping[str, Any]) -> str:
    """How they came to hold it, for whom, and what became of that delegation, where it no longer holds."""
    words = [held["basis"]]
    if "fence" in held:
        words.append(f"fence {held['fence']}")
    if "delegator" in held:
        state = held["delegation_state"]
        words.append(f"for {held['delegator']}" + ("" if state in LIVE else f" ({state})"))
    return ", ".join(words)


COLUMNS = (
    Column("WHO", "holder", "id"),
    Column("HOLDS", lambda h: h["resource"] if h["thing"].startswith("claim/") else h["thing"], "id"),
    Column("AS", _how),
    Column("SINCE", "since_time", "time"),
    Column("UNTIL", lambda h: h.get("lease_until") or h.get("valid_until"), "time"),
    Column("STATE", "state", "id"),
    Column("TITLE", "title"),
)


async def holding(
    who: Annotated[str | None, Parameter(metavar="WHO", help="Only what they hold.")] = None,
    /,
    *,
    work: Annotated[Id | None, Parameter(help="Only who carries this item out.")] = None,
    lapsed: Annotated[bool, Parameter(help="Also claims whose lease is over, if nobody has let go.")] = False,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List who carries out which work, and who holds which claim, for whom, since when and until when.

    Example: attorn holding refunds-bot
    """
    asked = {"participant": who, "work": work, "live_at": None if lapsed else datetime.now(UTC)}
    async with connected(options) as attorn:
        found, more = await listed(attorn, "holding", "holdings", limit, **asked)
    nothing = f"{who} holds nothing" if who else f"nobody carries {work} out" if work else "nothing is held"
    write_list(options, found, COLUMNS, id="thing", nothing=nothing, more=others(more))
