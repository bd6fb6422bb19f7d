"""`attorn work`: define work, move it on, hand it over, see where it stands."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from cyclopts import App, Group, Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import misused, not_found
from attorn.cli.inputs import command, document, pairs
from attorn.cli.options import (
    At,
    From,
    Given,
    Id,
    Ids,
    KnownAt,
    Limit,
    Note,
    Position,
    Reason,
    Text,
    Texts,
    When,
    Who,
    Work,
    as_of,
)
from attorn.cli.output import Column, bold, facts, shown, table, width, write_list, write_one
from attorn.cli.paging import listed, others
from attorn.cli.state import folded
from attorn.cli.telling import sentence, tell
from attorn.contracts.accountability import OfferAccountability, TransferAccountability, TransferBasis
from attorn.contracts.context import AddNote
from attorn.contracts.ids import Priority
from attorn.contracts.output import ReleaseOutput, WithdrawOutput
from attorn.contracts.work import (
    AcceptanceCriterion,
    AssignmentMode,
    AssignWork,
    CancelWork,
    ClarifyWork,
    CompleteWork,
    CriterionResult,
    CriterionVerdict,
    DefineWork,
    FailWork,
    Purpose,
    ReadyWork,
    ReopenWork,
    Scope,
    SubmitWork,
    VerifyWork,
)

SEEING = Group("See", sort_key=1)
MOVING = Group("Define and move on", sort_key=2)
HANDING = Group("Hand over", sort_key=3)

app = App(name="work", help="Define work, move it on, hand it over; see where it stands.")

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


@app.command(group=MOVING)
async def define(
    work: Work,
    title: Annotated[str | None, Parameter(metavar="TITLE", help="What it is, in a few words.")] = None,
    /,
    *,
    accountable: Annotated[
        str | None, Parameter(metavar="WHO", help="The person who answers for it; by default who acts.")
    ] = None,
    process: Annotated[Id | None, Parameter(help="The process that it runs under.")] = None,
    why: Annotated[Text | None, Parameter(help="Why it is worth doing.")] = None,
    criterion: Annotated[
        tuple[str, ...] | None,
        Parameter(metavar="[ID=]TEXT", help="Something that must hold before it is done; once for each."),
    ] = None,
    requirement: Annotated[Texts, Parameter(help="Something that it needs; once for each.")] = None,
    include: Annotated[Texts, Parameter(help="What belongs to it; once for each.")] = None,
    exclude: Annotated[Texts, Parameter(help="What expressly does not; once for each.")] = None,
    candidate: Annotated[Ids, Parameter(help="Who may carry it out; once for each.")] = None,
    priority: Annotated[Priority | None, Parameter(help="How urgent it is.")] = None,
    due: Annotated[When | None, Parameter(help="When it has to be done.")] = None,
    parent: Annotated[Id | None, Parameter(help="The work item that this is a part of.")] = None,
    review_policy: Annotated[Id | None, Parameter(help="Instead of the process's own.")] = None,
    escalation_policy: Annotated[Id | None, Parameter(help="Instead of the process's own.")] = None,
    from_: From = None,
    options: Given,
) -> None:
    """Define a work item: what it is, and the one person who answers for it.

    Example: attorn work define W-1 "Refund order 1042" --accountable ana --criterion amount="the amount is right"
    """
    said: dict[str, Any] = {
        "work_id": work,
        "title": title,
        "accountable": accountable,
        "process": process,
        "purpose": Purpose(why=why) if why is not None else None,
        "scope": Scope(included=include or (), excluded=exclude or ()) if include or exclude else None,
        "requirements": requirement,
        "acceptance_criteria": tuple(
            AcceptanceCriterion(id=id, text=text) for id, text in pairs(criterion, "--criterion", number="c")
        )
        or None,
        "candidates": candidate,
        "priority": priority,
        "due_at": due,
        "parent_id": parent,
        "review_policy": review_policy,
        "escalation_policy": escalation_policy,
    }
    if from_ is None:
        if title is None:
            raise misused("a work item has a title", 'attorn work define W-1 "Refund order 1042"')
        said["accountable"] = accountable or options.actor
    async with connected(options) as attorn:
        await tell(attorn, command(DefineWork, said, from_))


@app.command(group=MOVING)
async def clarify(
    work: Work,
    /,
    *,
    set: Annotated[
        tuple[str, ...] | None,
        Parameter(metavar="FIELD=VALUE", help="The new value of a field, as JSON or as plain text; once for each."),
    ] = None,
    reason: Reason = None,
    from_: Annotated[
        str | None,
        Parameter(
            name="--from",
            metavar="FILE",
            allow_leading_hyphen=True,
            help="The fields from a TOML or JSON file; - is standard input.",
        ),
    ] = None,
    options: Given,
) -> None:
    """Say more exactly what the work is.

    Example: attorn work clarify W-1 --set priority=high --set due_at=2026-03-01T12:00:00Z --reason "customer waits"
    """
    changes = document(from_) if from_ is not None else {}
    if not isinstance(changes, dict):
        raise misused(f"{from_}: it has no fields")
    changes |= {field: _value(text) for field, text in pairs(set, "--set")}
    if not changes:
        raise misused("nothing is to be clarified", "attorn work clarify W-1 --set priority=high")
    async with connected(options) as attorn:
        await tell(attorn, command(ClarifyWork, {"work_id": work, "changes": changes, "reason": reason}))


@app.command(group=MOVING)
async def ready(
    work: Work,
    /,
    *,
    why: Text | None = None,
    what: Text | None = None,
    who: Text | None = None,
    when: Text | None = None,
    how: Text | None = None,
    options: Given,
) -> None:
    """Open the work to be taken up. What its definition leaves open can be said here; what is missing is noted.

    Example: attorn work ready W-1 --how "as the refund handbook says"
    """
    said = {"work_id": work, "why": why, "what": what, "who": who, "when": when, "how": how}
    async with connected(options) as attorn:
        await tell(attorn, command(ReadyWork, said))


@app.command(group=MOVING)
async def assign(
    work: Work,
    executor: Annotated[str, Parameter(metavar="WHO", help="Who is to carry it out.")],
    /,
    *,
    mode: Annotated[AssignmentMode | None, Parameter(help="Assigned; only nominated; or on a route.")] = None,
    reason: Reason = None,
    options: Given,
) -> None:
    """Have somebody carry the work out. Who answers for it does not change.

    Example: attorn work assign W-1 refunds-bot
    """
    said = {"work_id": work, "executor": executor, "mode": mode, "reason": reason}
    async with connected(options) as attorn:
        await tell(attorn, command(AssignWork, said))


@app.command(group=MOVING)
async def submit(
    work: Work,
    outputs: Annotated[
        tuple[str, ...] | None, Parameter(metavar="OUTPUT", help="Which outputs; by default all.")
    ] = None,
    /,
    *,
    note: Note = None,
    options: Given,
) -> None:
    """Hand the outputs over to be judged.

    Example: attorn work submit W-1 reply
    """
    async with connected(options) as attorn:
        await tell(attorn, command(SubmitWork, {"work_id": work, "outputs": outputs, "note": note}))


@app.command(group=MOVING)
async def verify(
    work: Work,
    /,
    *,
    passed: Annotated[Ids, Parameter(help="An acceptance criterion that holds; once for each.")] = None,
    failed: Annotated[Ids, Parameter(help="One that does not.")] = None,
    waived: Annotated[Ids, Parameter(help="One that is not insisted on.")] = None,
    note: Note = None,
    options: Given,
) -> None:
    """Hold the work against its acceptance criteria, a verdict on each.

    Example: attorn work verify W-1 --passed amount --passed tone
    """
    said: tuple[tuple[CriterionResult, tuple[str, ...] | None], ...]
    said = (("passed", passed), ("failed", failed), ("waived", waived))
    criteria = tuple(CriterionVerdict(id=id, result=result) for result, ids in said for id in ids or ())
    async with connected(options) as attorn:
        definition = (await folded(attorn, work)).definition
        known = [criterion.id for criterion in definition.acceptance_criteria] if definition is not None else []
        for verdict in criteria:
            if verdict.id not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise misused(f"work/{work} has no acceptance criterion {verdict.id!r}; {has}")
        await tell(attorn, command(VerifyWork, {"work_id": work, "criteria": criteria, "note": note}))


@app.command(group=MOVING)
async def complete(work: Work, /, *, note: Note = None, options: Given) -> None:
    """Say that the work is done. Who answers for it goes on answering.

    Example: attorn work complete W-1
    """
    async with connected(options) as attorn:
        await tell(attorn, command(CompleteWork, {"work_id": work, "note": note}))


@app.command(group=MOVING)
async def reopen(work: Work, /, *, reason: Reason = None, options: Given) -> None:
    """Open work once more that had ended; the earlier cycle stays as it was.

    Example: attorn work reopen W-1 --reason "the customer wrote again"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(ReopenWork, {"work_id": work, "reason": reason}))


@app.command(group=MOVING)
async def cancel(work: Work, /, *, reason: Reason = None, options: Given) -> None:
    """End the work because it is no longer wanted.

    Example: attorn work cancel W-1 --reason "ordered twice"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(CancelWork, {"work_id": work, "reason": reason}))


@app.command(group=MOVING)
async def fail(
    work: Work,
    /,
    *,
    error_class: Annotated[Text | None, Parameter(help="What kind of failure it is.")] = None,
    retryable: Annotated[bool, Parameter(help="Trying again could help.")] = False,
    reason: Reason = None,
    options: Given,
) -> None:
    """End the work without its result.

    Example: attorn work fail W-1 --reason "the bank refuses" --retryable
    """
    said = {"work_id": work, "error_class": error_class, "retryable": retryable, "reason": reason}
    async with connected(options) as attorn:
        await tell(attorn, command(FailWork, said))


@app.command(group=MOVING)
async def release(
    work: Work,
    output: Annotated[str, Parameter(metavar="OUTPUT", help="The id of the output.")],
    /,
    *,
    to: Annotated[Text | None, Parameter(help="Who gets it.")] = None,
    channel: Annotated[Text | None, Parameter(help="How they get it.")] = None,
    options: Given,
) -> None:
    """Let an output go to whoever waits for it. Refused until its review policy is met, or waived.

    Example: attorn work release W-1 reply --to "the customer" --channel mail
    """
    said = {"work_id": work, "output_id": output, "to": to, "channel": channel}
    async with connected(options) as attorn:
        await tell(attorn, command(ReleaseOutput, said))


@app.command(group=MOVING)
async def withdraw(
    work: Work,
    output: Annotated[str, Parameter(metavar="OUTPUT", help="The id of the output.")],
    /,
    *,
    reason: Reason = None,
    options: Given,
) -> None:
    """Take an output back; whoever has it must not rely on it.

    Example: attorn work withdraw W-1 reply --reason "wrong customer"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(WithdrawOutput, {"work_id": work, "output_id": output, "reason": reason}))


@app.command(group=MOVING)
async def note(
    work: Work, text: Annotated[str, Parameter(metavar="TEXT", help="What to write down.")], /, *, options: Given
) -> None:
    """Write something down for the others.

    Example: attorn work note W-1 "the customer prefers mail"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(AddNote, {"work_id": work, "text": text}))


# ---- hand over


@app.command(group=HANDING)
async def offer(
    work: Work,
    to: Annotated[str, Parameter(metavar="WHO", help="Who is asked to answer for it.")],
    /,
    *,
    reason: Reason = None,
    options: Given,
) -> None:
    """Ask somebody to answer for the work. Until they accept with `work transfer`, nothing has changed.

    Example: attorn work offer W-1 ben --reason "I am away in March"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(OfferAccountability, {"work_id": work, "to": to, "reason": reason}))


@app.command(group=HANDING)
async def transfer(
    work: Work,
    to: Annotated[str | None, Parameter(metavar="WHO", help="Who answers from now on; by default who acts.")] = None,
    /,
    *,
    basis: Annotated[TransferBasis | None, Parameter(help="Why it passes: by default because it was accepted.")] = None,
    reason: Reason = None,
    options: Given,
) -> None:
    """Answer for the work from now on: accept what was offered; or, with authority, say who does.

    Example: attorn work transfer W-1 --as ben
    """
    said = {"work_id": work, "to": to or options.actor, "basis": basis, "reason": reason}
    async with connected(options) as attorn:
        await tell(attorn, command(TransferAccountability, said))


app.command(
    "attorn.cli.delegation:give", name="delegate", group=HANDING, help="Entrust somebody with part of the work."
)


# ---- see


@app.command(group=SEEING)
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


@app.command(group=SEEING)
async def count(*, at: At = None, known_at: KnownAt = None, position: Position = None, options: Given) -> None:
    """Count work items by state, and what they wait for: as they are now, or as they were.

    Example: attorn work count --at 2026-03-01
    """
    async with connected(options) as attorn:
        found = await attorn.ask("board_counts", **as_of(at, known_at, position))
    write_one(options, found, lambda: _counted(found), id=str(found["items"]))


@app.command(group=SEEING, alias="get")
async def show(work: Work, /, *, options: Given) -> None:
    """Show one work item: where it stands, who answers and why, what can be done to it, what was found.

    Example: attorn work show W-1
    """
    async with connected(options) as attorn:
        found = await attorn.ask("work", work=work)
    if found.get("item") is None:
        raise not_found(found.get("problem", f"{work} is not on the log"), "`attorn work ls` says what is")
    write_one(options, found, lambda: _described(found), id=work)


@app.command(group=SEEING)
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


def _value(text: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


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
    "accountability.offer": "work offer",
    "accountability.transfer": "work transfer",
    "escalation.acknowledge": "escalation ack",
    "execution.provide_input": "execution answer",
    "execution.record_action": "execution action",
    "execution.require_input": "execution ask",
    "note.add": "work note",
    "output.release": "work release",
    "output.withdraw": "work withdraw",
    "work.escalate": "escalation raise",
    "work.execute": "execution report",
    "work.review": "review approve",
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
