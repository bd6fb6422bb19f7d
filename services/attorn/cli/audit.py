"""`attorn audit`: prove on the whole log, trusting no view, what must always hold; list what broke a rule."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import Exit, Failed, misused, visible
from attorn.cli.options import Given, Id, Limit
from attorn.cli.output import Column, progress, write_list, write_one
from attorn.cli.paging import listed, others
from attorn.cli.reading import pages

app = App(name="audit", help="Prove on the whole log what must always hold, and list what broke a rule.")

ASKED_AT_ONCE: Final = 32
PLACES_MAX: Final = 10

FINDINGS = (
    Column("FINDING", "id", "id"),
    Column("IN", "stream", "id"),
    Column("STATUS", lambda f: f["status"] if f["status"] != "open" else None, "id"),
    Column("WHAT", "detail"),
)


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
    limit: Limit = 100,
    options: Given,
) -> None:
    """List which rules were broken by facts that were recorded all the same, stream by stream.

    A finding is named RULE@POSITION: `attorn events get POSITION` shows what broke it.

    Example: attorn audit findings --rule control-bypassed
    """
    if rule is not None:
        from difflib import get_close_matches

        from attorn.contracts.rules import RULES

        if rule not in RULES:
            near = get_close_matches(rule, RULES, n=1)
            raise misused(f"there is no rule {rule!r}{f'; did you mean {near[0]!r}?' if near else ''}")
    async with connected(options) as attorn:
        found, more = await listed(attorn, "findings", "findings", limit, work=work, rule=rule, status=status)
    # A page ends with a whole stream, and may be longer than was asked for.
    more = more or bool(limit and len(found) > limit)
    found = found[:limit] if limit else found
    write_list(options, found, FINDINGS, id="id", nothing="nothing was found", more=others(more))


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
            answers = await asyncio.gather(*(attorn.ask("intervals", work=work, position=position) for work in some))
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
