"""Seeing where work stands: `attorn work ls`, `count`, `show` and `timeline`."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from cyclopts import Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import misused, not_found
from attorn.cli.options import At, Given, Id, KnownAt, Limit, Position, When, Who, Work, as_of
from attorn.cli.output import Column, bold, facts, shown, table, width, write_list, write_one
from attorn.cli.paging import listed, others
from attorn.cli.telling import sentence
from attorn.contracts.ids import Priority

COLUMNS = (
    Column("WORK", "work", "id"),
    Column("STATE", "state", "id"),
    Column("ANSWERS", "accountable", "id"),
    Column("CARRIES OUT", "executor", "id"),
    Column("WAITS FOR", "waiting_on", "id"),
    Column("DUE", "due_at", "time"),
    Column("TITLE", "title"),
)

COLUMNS_THEN = (
    Column("WORK", "work", "id"),
    Column("STATE", "state", "id"),
    Column("CARRIES OUT", "executor", "id"),
    Column("WAITS FOR", "waiting_on", "id"),
    Column("PROCESS", "process", "id"),
)

EVENTS = (
    Column("POSITION", "position", "number"),
    Column("TIME", "time", "time"),
    Column("BY", "actor", "id"),
    Column("WHAT", "summary"),
)


async def ls(
    *,
    state: Annotated[Id | None, Parameter(metavar="STATE", help="Only in this state, as in in_progress.")] = None,
    open: Annotated[bool, Parameter(help="Only what is neither handed in nor ended.")] = False,
    accountable: Annotated[Who | None, Parameter(help="Only what this person answers for.")] = None,
    executor: Annotated[Who | None, Parameter(help="Only what they carry out.")] = None,
    waiting_on: Annotated[Who | None, Parameter(help="Only what waits for them.")] = None,
    process: Annotated[Id | None, Parameter(help="Only what runs under this process.")] = None,
    priority: Annotated[Priority | None, Parameter(help="Only of this urgency.")] = None,
    overdue_at: Annotated[When | None, Parameter(help="Only what is open and due by then.")] = None,
    at: At = None,
    known_at: KnownAt = None,
    position: Position = None,
    after: Annotated[Id | None, Parameter(help="Begin behind this id.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List work items in the order of their ids: as they are now, or as they were.

    Example: attorn work ls --open --accountable ana
    """
    then = as_of(at, known_at, position)
    if state is not None:
        from typing import get_args

        from attorn.projections.lifecycle import State

        if state not in (states := get_args(State)[1:]):
            raise misused(f"--state {state!r}: it is one of {', '.join(states)}")
    narrowed: dict[str, Any] = {"state": state, "open": open or None, "waiting_on": waiting_on, "process": process}
    only_now: dict[str, Any] = {
        "accountable": accountable,
        "executor": executor,
        "priority": priority,
        "overdue_at": overdue_at,
    }
    if then and any(value is not None for value in only_now.values()):
        raise misused("of an earlier time, work is told by --state, --open, --waiting-on and --process only")
    question, columns = ("board_then", COLUMNS_THEN) if then else ("board", COLUMNS)
    async with connected(options) as attorn:
        asked = then or only_now
        items, more = await listed(attorn, question, "items", limit, after, **narrowed, **asked)
    write_list(options, items, columns, id="work", nothing="no such work items", more=others(more))


async def count(*, at: At = None, known_at: KnownAt = None, position: Position = None, options: Given) -> None:
    """Count work items by state, and what they wait for: as they are now, or as they were.

    Example: attorn work count --at 2026-03-01
    """
    async with connected(options) as attorn:
        found = await attorn.ask("board_counts", **as_of(at, known_at, position))
    write_one(options, found, lambda: _counted(found), id=str(found["items"]))


async def show(work: Work, /, *, options: Given) -> None:
    """Show one work item: where it stands, who answers and why, what can be done to it, what was found.

    Example: attorn work show W-1
    """
    async with connected(options) as attorn:
        found = await attorn.ask("work", work=work)
    if found.get("item") is None:
        raise not_found(found.get("problem", f"{work} is not on the log"), "`attorn work ls` says what is")
    write_one(options, found, lambda: _described(found), id=work)


async def timeline(
    work: Work,
    /,
    *,
    newest_first: Annotated[bool, Parameter(help="The other way round.")] = False,
    limit: Limit = 0,
    options: Given,
) -> None:
    """Tell everything that happened to a work item, one sentence each.

    Example: attorn work timeline W-1
    """
    async with connected(options) as attorn:
        events, more = await listed(attorn, "timeline", "events", limit, work=work, newest_first=newest_first or None)
        if not events:
            raise not_found(f"work/{work} is not on the log", "`attorn work ls` says what is")
    write_list(options, events, EVENTS, id="position", nothing="", more=others(more))


def _counted(found: dict[str, Any]) -> Iterator[str]:
    yield bold(f"{found['items']:,} work items, {found['open']:,} open")
    states = [(state, f"{count:,}") for state, count in found["by_state"].items()]
    yield from facts([*states, *((f"waiting for {who}", f"{count:,}") for who, count in found["waiting_on"].items())])


def _described(found: dict[str, Any]) -> Iterator[str]:
    item, who = found["item"], found.get("who") or {}
    yield bold(sentence(item))
    process = f"{item['process']} v{item.get('process_version')}" if item.get("process") else ""
    yield from facts(
        [
            ("title", shown(item.get("title"))),
            ("process", shown(process)),
            ("priority", shown(item.get("priority"))),
            ("due", shown(item.get("due_at"), "time")),
            ("part of", shown(item.get("parent_id"))),
            ("reported by", shown(item.get("source"))),
            ("candidates", shown(item.get("candidates"))),
            ("cycle", shown(item["cycle"]) if item["cycle"] > 1 else ""),
            ("events", f"{item['events']}, positions {item['first_position']} to {item['last_position']}"),
            ("why", shown("; ".join(who.get("steps", ())))),
            ("possible", ", ".join(_typed(verb) for verb in item.get("actions", ()))),
        ],
        width(),
    )
    for title, name, columns in _PARTS:
        rows = item.get(name) or found.get(name)
        if rows:
            yield ""
            yield bold(title)
            yield from table([[column.value(row) for column in columns] for row in rows], columns, width())


_TYPED: Final = {
    "attestation.give": "participant attest",
    "baseline.record": "outcome baseline",
    "context.share": "work share",
    "deadline.set": "work due",
    "accountability.offer": "work offer",
    "accountability.transfer": "work transfer",
    "escalation.acknowledge": "escalation ack",
    "escalation.unacknowledge": "escalation unack",
    "execution.provide_input": "execution answer",
    "execution.record_action": "execution action",
    "execution.require_input": "execution ask",
    "manager.change": "participant manager",
    "note.add": "work note",
    "output.release": "work release",
    "output.withdraw": "work withdraw",
    "work.escalate": "escalation raise",
    "service_review.close": "service-review close",
    "service_review.hold": "service-review hold",
    "service_review.open": "service-review open",
    "work.block": "dependency block",
    "work.execute": "execution report",
    "work.review": "review approve",
    "work.unblock": "dependency unblock",
}
"""Where the words on the line are others than those of the command."""


def _typed(verb: str) -> str:
    """A command's verb as it is typed: `work note` of `note.add`."""
    return _TYPED.get(verb, verb.replace(".", " "))


_PARTS = (
    (
        "questions",
        "questions",
        (Column("QUESTION", "request_id", "id"), Column("FOR", "of", "id"), Column("WHAT", "question")),
    ),
    (
        "open escalations",
        "escalations",
        (
            Column("ESCALATION", "escalation_id", "id"),
            Column("STATUS", "status", "id"),
            Column("SEVERITY", "severity", "id"),
            Column("WHAT", "summary"),
        ),
    ),
    (
        "findings",
        "findings",
        (
            Column("FINDING", "id", "id"),
            Column("STATUS", lambda f: f.get("status", "open"), "id"),
            Column("WHAT", "detail"),
        ),
    ),
)
