"""`attorn who`: who answers for a work item, and why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import misused, not_found, visible
from attorn.cli.options import At, Given, KnownAt, Position, Work, as_of
from attorn.cli.output import Column, bold, shown, write_list, write_one
from attorn.cli.paging import whole

INTERVALS = (
    Column("FROM", "from_position", "number"),
    Column("TO", "until_position", "number"),
    Column("SINCE", "from_time", "time"),
    Column("ANSWERED", "person", "id"),
    Column("AS", "basis", "id"),
    Column("WHY", lambda i: "; ".join(i.get("steps", ()))),
)


async def who(
    work: Work,
    /,
    *,
    at: At = None,
    known_at: KnownAt = None,
    position: Position = None,
    history: Annotated[bool, Parameter(help="Everybody who has answered for it, from its first event on.")] = False,
    options: Given,
) -> None:
    """Say who answers for a work item, and why: the steps from the name on the work to the person.

    Without a time or a position: now. The answer comes from the log alone, so that of any earlier time is exact.

    Example: attorn who W-1 --at 2026-03-01
    """
    then = as_of(at, known_at, position)
    async with connected(options) as attorn:
        if history:
            if at is not None or known_at is not None:
                raise misused("--history goes with --position only")
            found = await whole(attorn, "intervals", "intervals", work=work, position=position)
        else:
            # Who is away now is a matter of the clock, and of an earlier time a matter of that.
            away_at = None if then else datetime.now(UTC)
            found = await attorn.ask("who", work=work, away_at=away_at, **then)
    if found.get("problem"):
        # An item that is there now was not yet there then.
        hint = f"`attorn work timeline {work}` tells when it came up" if then else "`attorn work ls` says what is"
        raise not_found(found["problem"], hint)
    if history:
        write_list(options, found["intervals"], INTERVALS, id="person", nothing="")
    else:
        write_one(options, found, lambda: _lines(found), id=found.get("person") or "")


def _lines(found: dict[str, Any]) -> Iterator[str]:
    person, name = found.get("person"), found.get("name")
    called = f" ({visible(name)})" if name and name != person else ""
    away = found.get("away")
    absent = f", and is away until {shown(away['until'], 'time')}" if away else ""
    yield bold(f"{person or 'nobody'}{called} answers for {found['work']}{absent}")
    for step in found.get("steps", ()):
        yield f"  {visible(step)}"
    since = found.get("since")
    if since is not None:
        yield f"  since position {since['position']}, {shown(since['time'], 'time')}"
