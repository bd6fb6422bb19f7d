"""`attorn escalation`: ask for somebody with more say, and be that somebody."""

from datetime import timedelta
from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import misused, not_found
from attorn.cli.inputs import command, fresh, pairs
from attorn.cli.options import Given, Id, Limit, Note, Reason, Text, Texts, When, Who, Work
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others
from attorn.cli.state import folded, only
from attorn.cli.telling import tell
from attorn.contracts.decision import Option
from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    AdvanceEscalation,
    AnswerEscalation,
    CancelEscalation,
    EscalateWork,
    EscalationContext,
    EscalationOutcome,
    EscalationReason,
    ReassignEscalation,
    ReopenEscalation,
    ResolveEscalation,
    UnacknowledgeEscalation,
)
from attorn.contracts.ids import Severity

app = App(name="escalation", help="Ask for somebody with more say, and be that somebody.")

Escalation = Annotated[
    str | None, Parameter(metavar="ID", help="Which escalation; needed only where more than one is open.")
]

COLUMNS = (
    Column("ESCALATION", "escalation_id", "id"),
    Column("WORK", "work", "id"),
    Column("SEVERITY", "severity", "id"),
    Column("STATUS", "status", "id"),
    Column("HAS IT", "acknowledged_by", "id"),
    Column("OUTCOME", "outcome", "id"),
    Column("RAISED", "raised_time", "time"),
    Column("WHAT", "summary"),
)


STEPS = (
    Column("WORK", "work", "id"),
    Column("RUNG", "rung", "number"),
    Column("ASKS", "targets", "id"),
    Column("NOW", "persons", "id"),
    Column("WITHIN", lambda step: f"{step['minutes']:g} min", "id"),
    Column("NAMES", "names"),
)


@app.command(name="raise")
async def raise_(
    work: Work,
    summary: Annotated[str, Parameter(metavar="SUMMARY", help="What happened, in a sentence.")],
    /,
    *,
    reason: Annotated[EscalationReason, Parameter(help="Why it is raised.")] = "manual",
    severity: Annotated[Severity | None, Parameter(help="How bad it is.")] = None,
    blocking: Annotated[bool, Parameter(help="The work waits until it is resolved.")] = False,
    question: Annotated[Text | None, Parameter(help="What has to be decided.")] = None,
    attempt: Annotated[Texts, Parameter(help="What was tried; once for each.")] = None,
    option: Annotated[
        tuple[str, ...] | None, Parameter(metavar="ID=LABEL", help="What could be done; once for each.")
    ] = None,
    recommend: Annotated[Text | None, Parameter(help="What should be done, as whoever raises it sees it.")] = None,
    id: Annotated[Id | None, Parameter(help="Its id; by default a new one.")] = None,
    options: Given,
) -> None:
    """Ask for somebody with more say. Whom, and how long they have, the escalation policy decides.

    Example: attorn escalation raise W-1 "the customer threatens to sue" --severity high --reason decision_needed
    """
    id = id or fresh("X")
    context = EscalationContext(
        summary=summary,
        question=question or "",
        attempts=attempt or (),
        options=tuple(Option(id=each, label=label) for each, label in pairs(option, "--option")),
        recommendation=recommend,
    )
    said: dict[str, Any] = {
        "work_id": work,
        "escalation_id": id,
        "reason": reason,
        "context": context,
        "severity": severity,
        "blocking": blocking,
    }
    async with connected(options) as attorn:
        await tell(attorn, command(EscalateWork, said), id=id)


@app.command
async def ls(
    *,
    all: Annotated[bool, Parameter(help="Also what is over.")] = False,
    work: Annotated[Id | None, Parameter(help="Only of this work item.")] = None,
    severity: Annotated[Severity | None, Parameter(help="Only of this severity.")] = None,
    process: Annotated[Id | None, Parameter(help="Only of work under this process.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List the escalations that are open, oldest first.

    Example: attorn escalation ls --severity critical
    """
    narrowed = {"work": work, "severity": severity, "process": process}
    async with connected(options) as attorn:
        found = list[dict[str, Any]]()
        more = False
        for is_open in (False, True) if all else (True,):
            some, others_ = await listed(attorn, "escalations", "escalations", limit, open=is_open, **narrowed)
            found, more = found + some, more or others_
    found.sort(key=lambda each: each["raised_position"])
    nothing = "no escalations" if all else "no escalation is open"
    write_list(options, found, COLUMNS, id="escalation_id", nothing=nothing, more=others(more))


@app.command(alias="acknowledge")
async def ack(
    work: Work,
    /,
    *,
    escalation: Escalation = None,
    until: Annotated[When | None, Parameter(help="When there will be an answer.")] = None,
    options: Given,
) -> None:
    """Take an escalation up: whoever acts has it now.

    Example: attorn escalation ack W-1 --as ana
    """
    async with connected(options) as attorn:
        id = await _open(attorn, work, escalation)
        said = {"work_id": work, "escalation_id": id, "ack_until": until}
        await tell(attorn, command(AcknowledgeEscalation, said), id=id)


@app.command(alias="unacknowledge")
async def unack(work: Work, /, *, reason: Reason = None, escalation: Escalation = None, options: Given) -> None:
    """Give an escalation back: those who were asked before are asked again.

    Example: attorn escalation unack W-1 --reason "ill since this morning" --as ana
    """
    async with connected(options) as attorn:
        id = await _open(attorn, work, escalation)
        said = {"work_id": work, "escalation_id": id, "cause": reason}
        await tell(attorn, command(UnacknowledgeEscalation, said), id=id)


@app.command
async def advance(
    work: Work,
    /,
    *,
    decline: Annotated[bool, Parameter(help="Because whoever was asked will not.")] = False,
    escalation: Escalation = None,
    options: Given,
) -> None:
    """Take an escalation up its ladder now, without waiting for the time to run out.

    Example: attorn escalation advance W-1 --as ana
    """
    async with connected(options) as attorn:
        id = await _open(attorn, work, escalation)
        said = {"work_id": work, "escalation_id": id, "cause": "declined" if decline else "manual"}
        await tell(attorn, command(AdvanceEscalation, said), id=id)


@app.command
async def reassign(
    work: Work,
    to: Annotated[Who, Parameter(help="The person who is asked instead.")],
    /,
    *,
    reason: Reason = None,
    escalation: Escalation = None,
    options: Given,
) -> None:
    """Ask somebody else, outside the ladder's order.

    Example: attorn escalation reassign W-1 carla --reason "she knows the customer" --as ana
    """
    async with connected(options) as attorn:
        id = await _open(attorn, work, escalation)
        said = {"work_id": work, "escalation_id": id, "to": to, "reason": reason}
        await tell(attorn, command(ReassignEscalation, said), id=id)


@app.command
async def reopen(work: Work, /, *, reason: Reason = None, escalation: Escalation = None, options: Given) -> None:
    """Say that what had been settled is not: it is asked again.

    Example: attorn escalation reopen W-1 --reason "the carrier objects" --as ana
    """
    async with connected(options) as attorn:
        found = (await folded(attorn, work)).escalations
        over = [id for id, each in found.items() if not each.is_open]
        id = escalation or only(over, "settled escalation", work, "--escalation")
        said = {"work_id": work, "escalation_id": id, "reason": reason}
        await tell(attorn, command(ReopenEscalation, said), id=id)


@app.command
async def ladder(
    work: Annotated[str | None, Parameter(metavar="WORK", help="The work that would be stuck.")] = None,
    /,
    *,
    agent: Annotated[Who | None, Parameter(help="All open work that this participant carries out.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """What happens when the work gets stuck: who is asked, in which order, with the people as they are now.

    Example: attorn escalation ladder --agent refunds-bot
    """
    if (work is None) == (agent is None):
        raise misused("say which work, or whose: attorn escalation ladder W-1, or --agent refunds-bot")
    async with connected(options) as attorn:
        if work is not None:
            works, more = [work], False
        else:
            items, more = await listed(attorn, "board", "items", limit, executor=agent, open=True)
            works = [item["work"] for item in items]
        found = await _ladders(attorn, works)
    nothing = f"{agent} has no open work" if work is None else f"work/{work} has nobody to ask"
    write_list(options, found, STEPS, id="work", nothing=nothing, more=others(more))


async def _ladders(attorn: Attorn, works: list[str]) -> list[dict[str, Any]]:
    from datetime import UTC, datetime

    from msgspec import convert

    at = datetime.now(UTC)
    found: list[dict[str, Any]] = []
    for work in works:
        told = await attorn.ask("ladder", work=work, at=at)
        if "policy" not in told and "rungs" not in told and "problem" in told:
            raise not_found(told["problem"], "`attorn work ls` says what there is")
        for rung in told.get("rungs", ()):
            within = convert(rung["ack_within"], timedelta).total_seconds()
            found.append({"work": work, **rung, "minutes": within / 60})
    return found


@app.command
async def answer(
    work: Work,
    decision: Annotated[str | None, Parameter(metavar="DECISION", help="What is decided.")] = None,
    /,
    *,
    option: Annotated[Id | None, Parameter(help="Which of the options.")] = None,
    instructions: Annotated[Text | None, Parameter(help="How the work is to go on.")] = None,
    escalation: Escalation = None,
    options: Given,
) -> None:
    """Decide, and say how the work is to go on.

    Example: attorn escalation answer W-1 "refund it" --instructions "and apologise" --as ana
    """
    async with connected(options) as attorn:
        id = await _open(attorn, work, escalation)
        said = {
            "work_id": work,
            "escalation_id": id,
            "decision": decision,
            "option_id": option,
            "instructions": instructions,
        }
        await tell(attorn, command(AnswerEscalation, said), id=id)


@app.command
async def resolve(
    work: Work,
    outcome: Annotated[EscalationOutcome, Parameter(metavar="OUTCOME", help="What became of the work.")] = "returned",
    /,
    *,
    note: Note = None,
    escalation: Escalation = None,
    options: Given,
) -> None:
    """Settle an escalation, and say what became of the work.

    Example: attorn escalation resolve W-1 returned --note "goes on as decided" --as ana
    """
    async with connected(options) as attorn:
        id = await _open(attorn, work, escalation)
        said = {"work_id": work, "escalation_id": id, "outcome": outcome, "note": note}
        await tell(attorn, command(ResolveEscalation, said), id=id)


@app.command
async def cancel(work: Work, /, *, reason: Reason = None, escalation: Escalation = None, options: Given) -> None:
    """Take back the request: nobody needs to decide any more.

    Example: attorn escalation cancel W-1 --reason "the customer withdrew"
    """
    async with connected(options) as attorn:
        id = await _open(attorn, work, escalation)
        await tell(attorn, command(CancelEscalation, {"work_id": work, "escalation_id": id, "reason": reason}), id=id)


async def _open(attorn: Attorn, work: str, escalation: str | None) -> str:
    found = (await folded(attorn, work)).escalations
    if escalation is None:
        return only([id for id, each in found.items() if each.is_open], "open escalation", work, "--escalation")
    if escalation not in found:
        raise not_found(f"work/{work} has no escalation {escalation}", f"`attorn escalation ls --work {work} --all`")
    return escalation
