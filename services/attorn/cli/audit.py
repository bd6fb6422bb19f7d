"""`attorn audit`: prove on the whole log, trusting no view, what must always hold; list what broke a rule."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import Exit, Failed, misused, not_found, visible
from attorn.cli.known import require
from attorn.cli.options import Given, Id, Limit, Options, When
from attorn.cli.output import Column, bold, facts, progress, say, shown, write_list, write_one
from attorn.cli.paging import listed, others, whole
from attorn.cli.reading import pages, require_position

app = App(name="audit", help="Prove on the whole log what must always hold, and list what broke a rule.")

ASKED_AT_ONCE: Final = 32
PLACES_MAX: Final = 10

FINDINGS = (
    Column("FINDING", "id", "id"),
    Column("IN", "stream", "id"),
    Column("STATUS", "status", "id"),
    Column("WHAT", "detail"),
)
COUNTS = (Column("RULE", "rule", "id"), Column("OPEN", "open", "number"), Column("FOUND", "found", "number"))


@app.command
async def accountability(*, options: Given) -> int:
    """Prove that at every position of the log exactly one human answers for every work item.

    Reads the whole log itself, and then holds against it what the views say, if they are up. Exit code 7 when there is
    a gap, an overlap, somebody who is not a human, a missing position, or a view that says otherwise.

    Example: attorn audit accountability
    """
    from attorn.projections.audit import Auditor

    auditor = Auditor()
    async with connected(options, patient=True) as attorn:
        last = await attorn.ledger.last()
        with progress("audit", last) as advance:
            done = 0
            async for page in pages(attorn):
                auditor.feed(page.recorded)
                done += len(page.recorded)
                advance(done, done + page.pending)
        result = auditor.result()
        differences = await _differences(attorn, auditor.assignment, result.positions)
    found = _found(result) | {
        "views": "not asked" if differences is None else "equal" if not differences else "different"
    }
    found["differences"] = differences or []
    write_one(options, found, lambda: _lines(found), id=str(result.digest))
    return Exit.OK if result.holds and not differences else Exit.CHECK_FAILED


@app.command
async def findings(
    *,
    work: Annotated[Id | None, Parameter(help="Only of this work item.")] = None,
    rule: Annotated[str | None, Parameter(metavar="RULE", help="Only of this rule, as in self-review.")] = None,
    status: Annotated[
        Literal["open", "accepted", "remediated", "dismissed"] | None,
        Parameter(help="Only those of which this was decided; open: nothing yet."),
    ] = None,
    process: Annotated[Id | None, Parameter(help="Only of work under this process, and of the process itself.")] = None,
    since: Annotated[When | None, Parameter(help="Only what was recorded at this time or later.")] = None,
    counts: Annotated[bool, Parameter(help="Only how many there are of each rule.")] = False,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List which rules were broken by facts that were recorded all the same, the newest first.

    A finding is named RULE@POSITION: `attorn events get POSITION` shows what broke it, `attorn finding` decides on it.

    Example: attorn audit findings --status open --since 2026-03-01 --process refunds
    """
    if counts and (work or rule or status):
        raise misused("--counts goes with --process and --since only")
    if rule is not None:
        from difflib import get_close_matches

        from attorn.contracts.rules import RULES

        if rule not in RULES:
            near = get_close_matches(rule, RULES, n=1)
            raise misused(f"there is no rule {rule!r}{f'; did you mean {near[0]!r}?' if near else ''}")
    asked: dict[str, Any] = {"process": process, "since": since}
    if counts:
        await _count(options, asked)
        return
    # All of them come faster stream by stream, and are put in order here.
    asked |= {"work": work, "rule": rule, "status": status, "newest_first": bool(limit) or None}
    async with connected(options) as attorn:
        found, more = await listed(attorn, "findings", "findings", limit, **asked)
    found.sort(key=lambda finding: -finding["position"])
    write_list(options, found, FINDINGS, id="id", nothing="nothing was found", more=others(more))


async def _count(options: Options, asked: dict[str, Any]) -> None:
    """How many findings there are of each rule, those that most wait for somebody to decide first."""
    async with connected(options) as attorn:
        counted = await attorn.ask("finding_counts", **asked)
        if not counted["found"]:
            await require(attorn, **asked)
    still_open = counted["open_by_rule"]
    rules = [{"rule": r, "open": still_open.get(r, 0), "found": n} for r, n in counted["found_by_rule"].items()]
    rules.sort(key=lambda one: (-one["open"], -one["found"]))
    write_list(options, rules, COUNTS, id="rule", nothing="nothing was found")


CONTROLS = (
    Column("WORK", "work", "id"),
    Column("OUTPUT", "output", "id"),
    Column("RELEASED", "released", "id"),
    Column("MADE BY", "executor", "id"),
    Column("LAST VERDICT", "last", "id"),
    Column("REVIEWER", "reviewer", "id"),
    Column("SECONDS", "seconds_spent", "number"),
    Column("WHAT", "flags"),
)
COVERAGE = (
    Column("PROCESS", "process", "id"),
    Column("COVERED", lambda p: f"{p['covered']:.0%}"),
    Column("OWNER", "owner", "id"),
    Column("OPEN", "open", "number"),
    Column("LOOKED AT", "looked_at", "time"),
    Column("BY", "looked_by", "id"),
    Column("HOLES", "holes"),
)
SCORES = (
    Column("PROCESS", "process", "id"),
    Column("INSTRUCTIONS", lambda s: (s["instructions_dig"] or "")[:19], "id"),
    Column("EXECUTIONS", "executions", "number"),
    Column("REVIEWED", "reviewed", "number"),
    Column("FIRST PASS", lambda s: _share(s["first_pass"])),
    Column("OVERRIDE", lambda s: _share(s["override"])),
    Column("REWORK", lambda s: _share(s["rework"])),
    Column("ERROR", lambda s: _share(s["error"])),
)


@app.command
async def controls(
    *,
    flag: Annotated[
        Literal["released unreviewed", "self-reviewed", "waived", "not drawn", "rubber-stamp suspected"] | None,
        Parameter(help="Only outputs that this is said of."),
    ] = None,
    work: Annotated[Id | None, Parameter(help="Only of this work item.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List the outputs and what each went through before others relied on it.

    Example: attorn audit controls --flag "released unreviewed"
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "controls", "outputs", limit, flag=flag, work=work)
    write_list(options, found, CONTROLS, id="key", nothing="there is no such output", more=others(more))


DUPLICATES = (
    Column("WORK", "work", "id"),
    Column("TOOL", "tool", "id"),
    Column("ON", "target", "id"),
    Column("TRIES", "tries", "number"),
    Column("FAILED", "failed", "number"),
    Column("DOUBLES", "doubles", "number"),
    Column("LAST AT", "last_position", "number"),
)
OVERLAPS = (
    Column("RESOURCES", "prefix", "id"),
    Column("CHANGED BY", "agents"),
    Column("HELD BY", "claims"),
    Column("PEOPLE", "people"),
)
HALF_DONE = (
    Column("WORK", lambda e: e["escalation"]["work"], "id"),
    Column("ESCALATION", lambda e: e["escalation"]["escalation_id"], "id"),
    Column("STATUS", lambda e: e["escalation"]["status"], "id"),
    Column("TRIED", lambda e: sum(change["tries"] for change in e["changes"]), "number"),
    Column("FAILED", lambda e: sum(change["failed"] for change in e["changes"]), "number"),
    Column("WHAT FOR", lambda e: e["escalation"]["summary"]),
)
CRITERIA = (
    Column("WORK", "work", "id"),
    Column("CRITERION", "criterion", "id"),
    Column("RESULT", "result", "id"),
    Column("BY", "by", "id"),
    Column("AT", "position", "number"),
)
JUDGED = (Column("WORK", "work", "id"), Column("ESCALATION", "judged", "id"))


@app.command
async def duplicates(
    *,
    who: Annotated[str | None, Parameter(metavar="WHO", help="Only what this participant carried out.")] = None,
    work: Annotated[Id | None, Parameter(help="Only in this work item.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List what was changed, or tried, again with the same arguments: retries after an error, doubles after a success.

    Example: attorn audit duplicates --who refunds-bot
    """
    async with connected(options) as attorn:
        found = await attorn.ask("duplicates", who=who, work=work, limit=1)
        found["changes"], more = await listed(attorn, "duplicates", "changes", limit, who=who, work=work)
    _with_list(
        options,
        found,
        "changes",
        DUPLICATES,
        f"{found['tries']:,} tries to change something, {found['failed']:,} failed; {found['repeats']:,} repeats: "
        f"{found['retries']:,} blind retries after an error, {found['keyed']:,} with a key, "
        f"{found['doubles']:,} doubles after a success",
        more=others(more) if found.get("complete", True) else "there are more than these numbers say",
    )


@app.command(name="half-done")
async def half_done(
    *,
    raised_by: Annotated[str | None, Parameter(metavar="WHO", help="Only what this participant escalated.")] = None,
    open: Annotated[bool | None, Parameter(help="Only those that are still open.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List the escalations before which the work had begun to change things.

    Example: attorn audit half-done --open
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "half_done", "escalations", limit, raised_by=raised_by, open=open)
    for each in found:
        each["work"] = each["escalation"]["work"]
    write_list(options, found, HALF_DONE, id="work", nothing="nothing was left half done", more=others(more))


@app.command
async def overlaps(
    prefix: Annotated[str, Parameter(metavar="PREFIX", help="Only resources whose names begin so.")] = "",
    /,
    *,
    depth: Annotated[int, Parameter(metavar="N", help="How many parts of a name, between slashes, count.")] = 1,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List the resources that more than one agent changed or holds.

    Example: attorn audit overlaps orders/ --depth 2
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "overlaps", "overlaps", limit, prefix=prefix, depth=depth)
    nothing = "no two agents are at the same resources"
    write_list(options, found, OVERLAPS, id="prefix", nothing=nothing, more=others(more))


@app.command
async def criteria(
    criterion: Annotated[Id | None, Parameter(metavar="CRITERION", help="Only this one.")] = None,
    /,
    *,
    work: Annotated[Id | None, Parameter(help="Only of this work item.")] = None,
    result: Annotated[Literal["passed", "failed", "waived"] | None, Parameter(help="Only with this result.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List what work was held against, criterion by criterion, and what was found last.

    Example: attorn audit criteria amount --result failed
    """
    asked: dict[str, Any] = {"criterion": criterion, "work": work, "result": result}
    async with connected(options) as attorn:
        found = await attorn.ask("criteria", limit=1, **asked)
        found["verdicts"], more = await listed(attorn, "criteria", "verdicts", limit, **asked)
    counts = ", ".join(f"{found[result]:,} {result}" for result in ("passed", "failed", "waived"))
    numbers = f"{found['items']:,} verdicts: {counts}"
    nothing = "no work was held against such a criterion"
    _with_list(options, found, "verdicts", CRITERIA, numbers, nothing=nothing, more=others(more))


@app.command
async def escalations(
    *,
    criterion: Annotated[Id, Parameter(metavar="CRITERION", help="What says whether escalating was right.")],
    success: Annotated[Id | None, Parameter(metavar="CRITERION", help="What says whether the work was right.")] = None,
    judged: Annotated[
        Literal["confirmed", "over", "missed"] | None, Parameter(help="Only these; by default over and missed.")
    ] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """Say whether work was escalated when it should have been, by a criterion that says so; list where it was not.

    Example: attorn audit escalations --criterion asks-when-in-doubt
    """
    asked: dict[str, Any] = {"criterion": criterion, "success": success, "judged": judged}
    async with connected(options) as attorn:
        found = await attorn.ask("escalation_accuracy", limit=1, **asked)
        found["found"], more = await listed(attorn, "escalation_accuracy", "found", limit, **asked)
    right = f", {found['raised_and_right']:,} of those raised were right" if "raised_and_right" in found else ""
    numbers = (
        f"{found['items']:,} items: {found['raised']:,} raised, {found['wanted']:,} wanted, "
        f"{found['confirmed']:,} both; {found['over']:,} over, {found['missed']:,} missed{right}"
    )
    nothing = "there is none" if found["items"] else f"no work was held against {criterion}"
    _with_list(options, found, "found", JUDGED, numbers, nothing=nothing, more=others(more))


def _with_list(
    options: Options,
    found: dict[str, Any],
    field: str,
    columns: tuple[Column, ...],
    numbers: str,
    *,
    nothing: str = "there is none",
    more: str,
) -> None:
    """A list, and under it, for people, what it adds up to; all of it where one thing is asked for as JSON."""
    found.pop("next", None)
    if options.output == "json":
        write_one(options, found, lambda: (), id=numbers)
        return
    write_list(options, found[field], columns, id="work", nothing=nothing, more=more)
    if options.output == "table" and found.get("items") != 0:
        say(numbers)


@app.command
async def coverage(
    *,
    process: Annotated[Id | None, Parameter(help="Only of this process.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List which controls each process has, from its owner to a human's last look, and what is missing.

    Example: attorn audit coverage
    """
    async with connected(options) as attorn:
        asked = {"process": process, "at": datetime.now(UTC)}
        found, more = await listed(attorn, "control_coverage", "processes", limit, **asked)
    write_list(options, found, COVERAGE, id="process", nothing="no process is published", more=others(more))


@app.command
async def scorecard(
    agent: Annotated[str, Parameter(metavar="AGENT", help="Whose.")],
    /,
    *,
    process: Annotated[Id | None, Parameter(help="Only in this process.")] = None,
    options: Given,
) -> None:
    """Say how an agent's work held up, by process and version of its instructions, and when a human last looked.

    Example: attorn audit scorecard refunds-bot
    """
    async with connected(options) as attorn:
        found = await attorn.ask("scorecard", agent=agent, process=process)
        if not found["scores"]:
            await require(attorn, agent=agent, process=process)
        look = await attorn.ask("last_look", agent=agent, at=datetime.now(UTC))
    if options.output == "json":
        write_one(options, found | {"last_look": look}, lambda: (), id=agent)
        return
    more = "" if found["complete"] else "there are more executions than these"
    write_list(options, found["scores"], SCORES, id="process", nothing=f"{agent} has done nothing", more=more)
    if options.output == "table":
        by, days = look.get("looked_by"), look.get("days_since")
        say(f"{by} looked {days:.1f} days ago" if by else f"no human has looked at what {agent} does")


@app.command
async def governing(
    position: Annotated[int, Parameter(metavar="N", help="The position of an event.")], /, *, options: Given
) -> None:
    """Say under which version of the process, which policies and which delegation an event happened.

    Example: attorn audit governing 120
    """
    require_position(position)
    async with connected(options) as attorn:
        found = await attorn.ask("governing", event=position)
    if found.get("problem"):
        raise not_found(found["problem"], "`attorn events ls` says what is")
    write_one(options, found, lambda: _governed(found), id=str(position))


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.0%}"


def _governed(found: dict[str, Any]) -> Iterator[str]:
    chain = found.get("chain") or {}
    yield bold(f"{found['event']}: {found['type']} in {found['stream']}, by {found.get('actor') or 'nobody known'}")
    yield from facts(
        [
            ("process", shown(found.get("process"))),
            ("policies", shown(found.get("pinned", []))),
            ("in force", shown(found.get("in_force", []))),
            ("execution", shown(found.get("execution"))),
            ("instructions", shown(found.get("instructions_dig"))),
            ("person", shown(chain.get("root"))),
            ("delegation", " > ".join(f"{d['delegation']} ({d['state']})" for d in chain.get("links", ()))),
        ]
    )


def _found(result: Any) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(result)
    return found | {"holds": result.holds}


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield (
        f"positions {found['positions']}  items {found['items']}  gaps {found['gaps']}  overlaps {found['overlaps']}"
        f"  non-human {found['non_human']}"
    )
    if found["breaks"]:
        yield f"breaks {found['breaks']}: positions or versions that do not follow the one before"
    for place in found["places"]:
        yield f"  {visible(place)}"
    match found["views"]:
        case "not asked":
            yield "the views are not up; only the log was audited"
        case "equal":
            yield "the views say the same of every item"
        case _:
            yield "the views say otherwise; `attorn projection rebuild` makes them anew"
    for difference in found["differences"][:PLACES_MAX]:
        yield f"  {visible(difference)}"


async def _differences(
    attorn: Attorn, assignment: Mapping[str, list[tuple[int, str | None]]], position: int
) -> list[str] | None:
    """Where the views say otherwise than the log; None when they cannot be asked."""
    try:
        await attorn.ask("board_counts", wait_for=position)
    except Failed as failed:
        if failed.code in (Exit.UNREACHABLE, Exit.TIMED_OUT):
            return None
        raise
    works = sorted(assignment)
    found: dict[str, list[tuple[int, str | None]]] = {}
    with progress("views", len(works), unit="items") as advance:
        for start in range(0, len(works), ASKED_AT_ONCE):
            some = works[start : start + ASKED_AT_ONCE]
            answers = await asyncio.gather(
                *(whole(attorn, "intervals", "intervals", work=work, position=position) for work in some)
            )
            for work, answer in zip(some, answers, strict=True):
                found[work] = _persons(answer.get("intervals", ()))
            advance(len(found), None)
    return [
        f"{work}: the log says {_told(assignment[work])}, the views {_told(found[work])}"
        for work in works
        if found[work] != assignment[work]
    ]


def _persons(intervals: Any) -> list[tuple[int, str | None]]:
    """Who answered from which position on; another reason for the same person is no other interval."""
    persons: list[tuple[int, str | None]] = []
    for interval in intervals:
        if not persons or persons[-1][1] != interval["person"]:
            persons.append((interval["from_position"], interval["person"]))
    return persons


def _told(intervals: list[tuple[int, str | None]]) -> str:
    return ", ".join(f"{person or 'nobody'} from {position}" for position, person in intervals[:6]) or "nothing"
