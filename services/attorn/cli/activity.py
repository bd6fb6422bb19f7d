"""`attorn activity` and `attorn contributions`: what somebody did day by day; who had a part in one item."""

from typing import Annotated, Any

from cyclopts import Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import misused, not_found
from attorn.cli.options import Given, Limit, Work
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others

DAYS = (
    Column("DAY", "day", "id"),
    Column("TOTAL", "total", "number"),
    Column("DID", "did"),
    Column("OUTPUTS", "outputs"),
)
EVENTS = (
    Column("POSITION", "position", "number"),
    Column("TIME", "time", "time"),
    Column("DID", "did"),
    Column("IN", "stream", "id"),
    Column("WHAT", "summary"),
)
CONTRIBUTORS = (
    Column("WHO", "who", "id"),
    Column("KIND", "kind", "id"),
    Column("EVENTS", lambda c: len(c["events"]), "number"),
    Column("OUTPUTS", lambda c: len(c.get("outputs", ())), "number"),
    Column("SHARE", lambda c: f"{c.get('share', 0):.0%}"),
    Column("DID", "did"),
)

Date = Annotated[str | None, Parameter(metavar="YYYY-MM-DD")]


async def activity(
    who: Annotated[str | None, Parameter(metavar="WHO", help="Whose; by default of whoever acts.")] = None,
    /,
    *,
    from_day: Annotated[Date, Parameter(name="--from", help="From this day on, in UTC.")] = None,
    until_day: Annotated[Date, Parameter(name="--until", help="Up to this day, in UTC.")] = None,
    day: Annotated[Date, Parameter(help="Every single thing of this day.")] = None,
    limit: Limit = 31,
    options: Given,
) -> None:
    """List what a person or an agent did, day by day, the latest first.

    Example: attorn activity refunds-bot --day 2026-03-01
    """
    who = who or options.actor
    if day is not None and (from_day or until_day):
        raise misused("--day is one day; --from and --until are for several")
    async with connected(options) as attorn:
        if day is not None:
            found, more = await listed(attorn, "activity_events", "events", limit, who=who, day=day)
        else:
            said = {"from_day": from_day, "until_day": until_day}
            found, more = await listed(attorn, "activity", "days", limit, who=who, **said)
    columns, id = (EVENTS, "position") if day is not None else (DAYS, "day")
    write_list(options, found, columns, id=id, nothing=f"{who} did nothing then", more=others(more))


async def contributions(work: Work, /, *, options: Given) -> None:
    """List who had a part in a work item, by which events, and whose its outputs are.

    Example: attorn contributions W-1
    """
    async with connected(options) as attorn:
        page = await attorn.ask("contributions", work=work)
        if page.get("problem"):
            raise not_found(page["problem"], "`attorn work ls` says what is")
        found: dict[str, dict[str, Any]] = {}
        while True:
            for each in page.get("contributors", ()):
                _add(found.setdefault(each["who"], each), each)
            if page.get("next") is None:
                break
            page = await attorn.ask("contributions", work=work, after=page["next"])
    write_list(options, found.values(), CONTRIBUTORS, id="who", nothing="nobody had a part in it yet")


def _add(known: dict[str, Any], more: dict[str, Any]) -> None:
    """Another page of the events of one who is known already."""
    if known is more:
        return
    known["events"] += more["events"]
    for name, count in more["did"].items():
        known["did"][name] = known["did"].get(name, 0) + count
