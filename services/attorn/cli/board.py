"""Seeing where work stands: `attorn work ls`, `count`, `show` and `timeline`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from cyclopts import Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import misused, not_found, visible
from attorn.cli.options import At, Given, Id, KnownAt, Limit, Position, When, Who, Work, as_of
from attorn.cli.output import Column, Item, bold, facts, shown, table, width, write_list, write_one
from attorn.cli.paging import listed, others
from attorn.cli.telling import sentence
from attorn.contracts.ids import Priority

COLUMNS = (
    Column("WORK", "work", "id"),
    Column("STATE", lambda item: f"{item['state']} (failed)" if item.get("failure") else item["state"], "id"),
    Column("ANSWERS", "accountable", "id"),
    Column("CARRIES OUT", "executor", "id"),
    Column("WAITS FOR", "waiting_on", "id"),
    Column("PRIORITY", lambda item: item["priority"] if item.get("priority") != "normal" else None, "id"),
    Column("DUE", "due_at", "time"),
    Column("LATE", lambda item: _late(item), "id"),
    Column("TITLE", "title"),
)

COLUMNS_FAILED = (
    Column("WORK", "work", "id"),
    Column("ANSWERS", "accountable", "id"),
    Column("FAILED", lambda item: item["failure"]["by"], "id"),
    Column("WHEN", lambda item: item["failure"]["time"], "time"),
    Column("WHY", lambda item: item["failure"].get("error_class")),
    Column("TITLE", "title"),
)

COLUMNS_THEN = (
    Column("WORK", "work", "id"),
    Column("STATE", "state", "id"),
    Column("ANSWERED", "accountable", "id"),
    Column("CARRIED OUT", "executor", "id"),
    Column("WAITED FOR", "waiting_on", "id"),
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
    failed: Annotated[bool, Parameter(help="Only where an execution failed, and nobody has gone on since.")] = False,
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
    narrowed: dict[str, Any] = {
        "state": state,
        "open": open or None,
        "accountable": accountable,
        "executor": executor,
        "waiting_on": waiting_on,
        "process": process,
    }
    only_now: dict[str, Any] = {
        "priority": priority,
        "overdue_at": overdue_at,
        "failed": failed or None,
    }
    if then and any(value is not None for value in only_now.values()):
        raise misused("of an earlier time, work is not told by --priority, --overdue-at and --failed")
    question, columns = ("board_then", COLUMNS_THEN) if then else ("board", COLUMNS_FAILED if failed else COLUMNS)
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


async def show(
    work: Work,
    /,
    *,
    possible: Annotated[bool, Parameter(help="Also every command that its state allows.")] = False,
    options: Given,
) -> None:
    """Show one work item: where it stands, who answers and why, what is next and by whom, what was found.

    Example: attorn work show W-1
    """
    async with connected(options) as attorn:
        found = await attorn.ask("work", work=work, away_at=datetime.now(UTC))
    if found.get("item") is None:
        raise not_found(found.get("problem", f"{work} is not on the log"), "`attorn work ls` says what is")
    write_one(options, found, lambda: _described(found, possible), id=work)


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
    waits = found["waiting_on"].items()
    yield from facts([*states, *((f"waiting for {who or 'nobody named'}", f"{count:,}") for who, count in waits)])


def _described(found: dict[str, Any], possible: bool) -> Iterator[str]:
    item, who = found["item"], found.get("who") or {}
    yield bold(sentence(item))
    process = f"{item['process']} v{item.get('process_version')}" if item.get("process") else ""
    yield from facts(
        [
            ("title", shown(item.get("title"))),
            ("failed", _failed(item.get("failure"))),
            ("process", shown(process)),
            ("priority", shown(item.get("priority"))),
            ("due", shown(item.get("due_at"), "time")),
            ("part of", shown(item.get("parent_id"))),
            ("reported by", shown(item.get("source"))),
            ("candidates", shown(item.get("candidates"))),
            ("cycle", shown(item["cycle"]) if item["cycle"] > 1 else ""),
            ("events", f"{item['events']}, positions {item['first_position']} to {item['last_position']}"),
            ("why", shown("; ".join(who.get("steps", ())))),
            ("next", "; ".join(_next(item, found.get("escalations", ())))),
            ("possible", shown(_possible(item, found.get("escalations", ()))) if possible else ""),
        ],
        width(),
    )
    for title, name, columns in _PARTS:
        rows = item.get(name) or found.get(name)
        if rows:
            yield ""
            yield bold(title)
            yield from table([[column.value(row) for column in columns] for row in rows], columns, width())


def _late(item: Item) -> str:
    """By how much an open item is beyond its time: `20 d`; empty where it is not."""
    from attorn.projections.lifecycle import Lifecycle

    if not item.get("due_at") or not Lifecycle(item["state"]).is_open:
        return ""
    late = int((datetime.now(UTC) - datetime.fromisoformat(item["due_at"])).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if late >= length:
            return f"{late // length} {unit}"
    return "now" if late >= 0 else ""


def _next(item: dict[str, Any], escalations: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What leads on from where the item stands, and who is to do it: `ana: work verify, work complete`."""
    answers, executor = item.get("accountable") or "nobody", item.get("executor")
    for question in item.get("questions", ()):
        yield f"{question['of']}: execution answer"
    for escalation in escalations:
        asked = [escalation["acknowledged_by"]] if escalation.get("acknowledged_by") else escalation.get("told", ())
        what = "escalation resolve" if escalation.get("answered_by") else "escalation answer"
        yield f"{shown(asked) or answers}: {what}"
    if item["state"] in ("claimed", "in_progress") and not item.get("failure"):
        yield f"{executor or answers}: {'execution start' if item['state'] == 'claimed' else 'execution report'}"
    elif item.get("failure"):
        again = f"; {executor}: execution start" if executor else ""
        yield f"{answers}: work delegate, work assign, work fail{again}"
    elif verbs := _LEADING_ON.get(item["state"]):
        yield f"{'who is asked to look at it' if item['state'] == 'in_review' else answers}: {verbs}"


_LEADING_ON: Final = {
    "discovered": "work define",
    "defined": "work ready",
    "ready": "work delegate, work assign",
    "blocked": "dependency ls, dependency unblock",
    "suspended": "work resume",
    "in_review": "review approve, review send-back, review reject",
    "submitted": "work verify, then work complete",
    "verified": "work complete",
    "completed": "work reopen, should it not be done",
    "failed": "work reopen, to try again",
}


def _possible(item: dict[str, Any], escalations: Sequence[dict[str, Any]]) -> list[str]:
    """Every command that the state allows, as it is typed; who may give it is the rules' to say."""
    typed = {_typed(verb) for verb in item.get("actions", ())}
    if "review approve" in typed:
        typed |= {"review reject", "review send-back", "review waive"}
    if not any(escalation.get("acknowledged_by") for escalation in escalations):
        typed.discard("escalation unack")
    return sorted(typed)


def _failed(failure: dict[str, Any] | None) -> str:
    """Whose execution failed, when and why, and what was said of trying again."""
    if not failure:
        return ""
    again = {True: "; it may be tried again", False: "; trying again does not help", None: ""}[failure.get("retryable")]
    when = f"{shown(failure['time'], 'time')}, position {failure['position']}"
    why = visible(failure.get("error_class") or "it does not say why")
    return f"{failure['execution_id']} of {failure['by'] or 'nobody known'} ({when}): {why}{again}"


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
