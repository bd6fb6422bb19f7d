"""Seeing how work flows: `attorn work queue`, `stalled`, `bottleneck` and `stats`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from attorn.cli.connect import connected
from attorn.cli.known import require
from attorn.cli.options import Given, Id, Length, Limit, When, Who
from attorn.cli.output import Column, facts, say, width, write_list, write_one
from attorn.cli.paging import listed, others
from attorn.cli.words import seconds

Process = Annotated[Id | None, Parameter(name="--process", help="Only what runs under this process.")]

QUEUE = (
    Column("WORK", "work", "id"),
    Column("PRIORITY", "priority", "id"),
    Column("DUE", "due_at", "time"),
    Column("STATE", "state", "id"),
    Column("ANSWERS", "accountable", "id"),
    Column("FOR", "candidates"),
    Column("TITLE", "title"),
)
STALLED = (
    Column("WORK", "work", "id"),
    Column("STATE", "state", "id"),
    Column("LAST", "last_time", "time"),
    Column("IDLE", lambda item: seconds(item["idle_s"])),
    Column("CARRIES OUT", "executor", "id"),
    Column("WAITS FOR", "waiting_on", "id"),
    Column("PROCESS", "process", "id"),
)
SPENT = (
    Column("WORK", "work", "id"),
    Column("TOOK", lambda item: seconds(item["elapsed_s"])),
    Column("MOST", "worst", "id"),
    Column("WHERE THE TIME WENT", lambda item: _shares(item["shares"])),
)


async def queue(
    *,
    process: Process = None,
    candidate: Annotated[Who | None, Parameter(help="Only what they, or a team of theirs, may take up.")] = None,
    limit: Limit = 50,
    options: Given,
) -> None:
    """List what nobody has taken up yet: the most urgent first, then what is due first.

    Example: attorn work queue --candidate refunds-bot
    """
    async with connected(options) as attorn:
        # What names no candidates is anybody's, also of one who is not there.
        await require(attorn, candidate=candidate)
        found, more = await listed(attorn, "queue", "items", limit, process=process, candidate=candidate)
    write_list(options, found, QUEUE, id="work", nothing="nothing waits to be taken up", more=others(more))


async def stalled(
    *,
    idle: Annotated[
        Length, Parameter(name="--for", help="For how long.", show_default=lambda value: f"{value.days}d")
    ] = timedelta(days=7),
    process: Process = None,
    at: Annotated[When | None, Parameter(name="--at", help="At this time; by default now.")] = None,
    limit: Limit = 50,
    options: Given,
) -> None:
    """List the open work to which nothing has happened for so long.

    Example: attorn work stalled --for 2d
    """
    expected_s = idle.total_seconds()
    asked = {"expected_s": expected_s, "process": process, "at": at or datetime.now(UTC)}
    async with connected(options) as attorn:
        found, more = await listed(attorn, "stalled", "items", limit, **asked)
    for item in found:
        item["idle_s"] = item["idle"] * expected_s
    nothing = f"something happened to all open work in the last {seconds(expected_s)}"
    write_list(options, found, STALLED, id="work", nothing=nothing, more=others(more))


async def bottleneck(
    work: Annotated[str | None, Parameter(metavar="WORK", help="Only of this work item.")] = None,
    /,
    *,
    process: Process = None,
    limit: Limit = 20,
    options: Given,
) -> None:
    """Say where the time of work goes: unclear, waiting for somebody or an answer, in review, escalated, worked on.

    Example: attorn work bottleneck --process refunds
    """
    asked = {"work": work, "process": process, "until": datetime.now(UTC)}
    async with connected(options) as attorn:
        found, more = await listed(attorn, "bottleneck", "items", limit, **asked)
    write_list(options, found, SPENT, id="work", nothing="there is no such work", more=others(more))
    if options.output == "table" and len(found) > 1:
        spent: dict[str, float] = {}
        for item in found:
            for place, count in item["seconds"].items():
                spent[place] = spent.get(place, 0.0) + count
        total = sum(spent.values()) or 1.0
        say(f"of these together: {_shares({place: count / total for place, count in spent.items()})}")


async def stats(*, process: Process = None, options: Given) -> None:
    """Say how long work takes, how long nothing happens to it, how often it is opened again.

    Example: attorn work stats --process refunds
    """
    async with connected(options) as attorn:
        found = await attorn.ask("stats", process=process)
        if not found["items"]:
            await require(attorn, process=process)
    write_one(options, found, lambda: facts(_stats(found), width()), id=str(found["items"]))


def _stats(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    longest = found["longest_gap_work"]
    gap = f", the longest {seconds(found['longest_gap_s'])}, of {longest}" if longest else ""
    return [
        ("work", f"{found['items']:,} items, {found['open']:,} open, {found['events']:,} events"),
        ("took", f"{seconds(found['duration_median_s'])} by the median, {seconds(found['duration_p95_s'])} at p95"),
        ("gaps", f"{found['gaps']:,} of more than seven days{gap}"),
        ("reopened", f"{found['reopened_items']:,} items, {found['reopened_directly_items']:,} of them at once"),
    ]


def _shares(shares: Mapping[str, float]) -> str:
    most_first = sorted(shares.items(), key=lambda share: -share[1])
    return ", ".join(f"{place.replace('_', ' ')} {share:.0%}" for place, share in most_first)
