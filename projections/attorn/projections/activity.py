"""Visibility: what each participant did, day by day, people and agents alike; and each execution with what it used.

What somebody did is counted under them and the day. What a system reports of an execution, its actions and outputs, is
counted under the execution and the day: it was done by whoever carries that out, and the event does not say who; the
two are added when they are asked for.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts import (
    accountability,
    context,
    decision,
    delegation,
    escalation,
    execution,
    handover,
    output,
    review,
    work,
)
from attorn.contracts.envelope import Event, Recorded
from attorn.contracts.ids import Money

NAME = "activity"
VERSION = 2
INDEXES = (("who", "until"),)

Kind: TypeAlias = Literal["execution", "in execution", "day"]


class Ran(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An execution: under what it was begun, how it ended, what it used up. `tokens` are those in and out together."""

    begun_time: datetime | None = None
    process_version: int | None = None
    instructions_dig: str | None = None
    agent_version: str | None = None
    ended_position: int = 0
    ended_time: datetime | None = None
    result: str | None = None
    error_class: str | None = None
    tokens: int = 0
    human_seconds: int = 0
    money: Money | None = None


class Row(msgspec.Struct, frozen=True, gc=False):
    """An execution, `W-1/x/x-1`; what was done in it on one day, `W-1/x/x-1/2026-01-05`; or what somebody did on one.

    `day` is that day in UTC, of an execution the one on which it began; `until` the last on which anything happened in
    it. `did` counts by what was done, and `outputs` by who made them: human, ai, ai_assisted, mixed or unsaid.
    `reported`: a system reported what was done in it.
    """

    key: str
    kind: Kind
    who: str | None
    day: str
    until: str
    did: dict[str, int] | None = None
    outputs: dict[str, int] | None = None
    work: str | None = None
    delegation: str | None = None
    begun_position: int = 0
    reported: bool = False
    ran: Ran | None = None


IN_EXECUTION: Final[dict[type, str]] = {
    execution.ExecutionActionRecorded: "action",
    execution.ExecutionAdapted: "adaptation",
    output.OutputProduced: "output produced",
    execution.WorkExecuted: "execution ended",
}
"""What is counted under the execution that it belongs to."""

BY: Final[dict[type, tuple[str, str]]] = {
    execution.ExecutionStarted: ("execution started", "executor"),
    execution.ExecutionProgressed: ("progress", "by"),
    execution.ExecutionGuided: ("guidance", "by"),
    execution.ExecutionInputRequired: ("question", "by"),
    execution.ExecutionInputProvided: ("answer", "by"),
    output.OutputValidated: ("validation", ""),
    output.OutputReleased: ("release", ""),
    output.OutputWithdrawn: ("withdrawal", ""),
    decision.RecommendationMade: ("recommendation", ""),
    decision.RecommendationAnswered: ("recommendation answered", ""),
    decision.DecisionRequested: ("decision requested", ""),
    decision.DecisionMade: ("decision", "decider"),
    review.WorkReviewed: ("review", "reviewer"),
    work.WorkDefined: ("definition", ""),
    work.WorkClarified: ("clarification", ""),
    work.WorkAssigned: ("assignment", ""),
    work.WorkSubmitted: ("submission", "by"),
    work.WorkVerified: ("verification", ""),
    work.WorkCompleted: ("completion", "by"),
    work.WorkReopened: ("reopening", ""),
    delegation.WorkDelegated: ("delegation", "delegator"),
    handover.HandoverOffered: ("handover offered", "from_"),
    handover.HandoverAccepted: ("handover accepted", "to"),
    accountability.AccountabilityTransferred: ("accountability taken", "accepted_by"),
    escalation.WorkEscalated: ("escalation", "raised_by"),
    escalation.EscalationAcknowledged: ("escalation taken up", "by"),
    escalation.EscalationAnswered: ("escalation answered", "by"),
    escalation.EscalationResolved: ("escalation resolved", "by"),
    context.ContextShared: ("context", ""),
    context.NoteAdded: ("note", ""),
}
"""What it is called, and the field that says who did it, where the event does; else who was authenticated did it."""

_FIELD: Final[dict[type, str]] = {event: field for event, (_, field) in BY.items()}
_CALLED: Final[dict[type, str]] = IN_EXECUTION | {event: name for event, (name, _) in BY.items()}

EVENTS: Final[frozenset[type]] = frozenset({*IN_EXECUTION, *BY})

DID: Final = {event.type: name for event, name in (*IN_EXECUTION.items(), *((e, n) for e, (n, _) in BY.items()))}  # type: ignore[attr-defined]
"""What an event of that type is counted as."""


def keys(recorded: Recorded) -> tuple[str, ...]:
    """The participant and the day, or the execution and the day; and the execution, where it begins or goes on."""
    event = recorded.event
    data: Any = event.data
    if not event.subject.startswith("work/"):
        return ()
    field = _FIELD.get(data.__class__)
    if field is not None:
        by = (getattr(data, field) if field else None) or event.authid
        named = (f"{by}/{_day(event.time)}",) if by else ()
        if data.__class__ is execution.ExecutionStarted:
            return (*named, f"{event.subject[5:]}/x/{data.execution_id}")
        return named
    kind = data.__class__
    if kind not in IN_EXECUTION:
        return ()
    by = None if event.authtype == "system" else event.authid
    if data.execution_id is None or (by is not None and kind is not execution.WorkExecuted):
        return (f"{by or event.authid}/{_day(event.time)}",) if event.authid else ()
    key = f"{event.subject[5:]}/x/{data.execution_id}"
    return (key, f"{by or key}/{_day(event.time)}")


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """What was done until after the event."""
    event = recorded.event
    data = event.data
    if row is None:
        row = _first(event, key)
    if row.kind != "execution":
        return _counted(row, data)
    day = _day(event.time)
    if data.__class__ is execution.ExecutionStarted:
        return _begun_again(row) if row.begun_position else _begun(row, recorded, data)
    until, reported = max(day, row.until), row.reported or event.authtype == "system"
    if data.__class__ is execution.WorkExecuted:
        return _ended(row, recorded, data, until, reported)
    return row if until == row.until and reported == row.reported else _replace(row, until=until, reported=reported)


def _first(event: Event, key: str) -> Row:
    first, _, rest = key.partition("/")
    day = _day(event.time)
    if not rest.startswith("x/"):
        return Row(key, "day", first, day, day)
    if rest.count("/") == 2:
        return Row(key, "in execution", None, day, day)
    # What is done in an execution that nobody began is by whoever reports it, as far as anybody knows.
    return Row(key, "execution", event.authid, day, day, work=first)


def _counted(row: Row, data: Any) -> Row:
    kind = data.__class__
    name = _CALLED[kind]
    outputs = row.outputs
    if kind is execution.WorkExecuted:
        outputs = _with(outputs, data.outputs)
    elif kind is output.OutputProduced:
        outputs = _with(outputs, (data.output,))
    did = row.did or {}
    did = {**did, name: did.get(name, 0) + 1}
    return Row(row.key, row.kind, row.who, row.day, row.until, did, outputs)


def _with(counted: dict[str, int] | None, made: Sequence[output.Output]) -> dict[str, int] | None:
    if not made:
        return counted
    outputs = dict(counted or {})
    for one in made:
        outputs[one.contribution or "unsaid"] = outputs.get(one.contribution or "unsaid", 0) + 1
    return outputs


def _begun(row: Row, recorded: Recorded, data: execution.ExecutionStarted) -> Row:
    time = recorded.event.time
    day, under = _day(time), data.delegation_id
    ran = Ran(time, data.process_version, data.instructions_dig, data.agent_version)
    if row.ran is not None:  # it was told first how it ended
        ran = _replace(row.ran, begun_time=time, process_version=data.process_version,
                       instructions_dig=data.instructions_dig, agent_version=data.agent_version)  # fmt: skip
    return Row(row.key, "execution", data.executor, day, max(day, row.until), None, None, row.work,
               f"{row.work}/{under}" if under is not None else None, recorded.position, row.reported, ran)  # fmt: skip


def _begun_again(row: Row) -> Row:
    """It stays with whom it began with; where it was over, it is under way again."""
    ran = row.ran
    if ran is None or ran.ended_position < row.begun_position:
        return row
    return _replace(row, ran=_replace(ran, ended_position=0, ended_time=None, result=None, error_class=None))


def _ended(row: Row, recorded: Recorded, data: execution.WorkExecuted, until: str, reported: bool) -> Row:
    before = row.ran or Ran()
    if before.ended_position > row.begun_position:
        return _replace(row, until=until, reported=reported)  # how it ended first stands
    cost = data.cost or execution.Cost()
    ran = _replace(
        before,
        ended_position=recorded.position,
        ended_time=recorded.event.time,
        result=data.result,
        error_class=data.error_class,
        tokens=(cost.tokens_in or 0) + (cost.tokens_out or 0),
        human_seconds=cost.human_seconds or 0,
        money=cost.money,
    )
    return _replace(row, until=until, reported=reported, ran=ran)


def _day(time: datetime) -> str:
    return _named((time if time.tzinfo is UTC else time.astimezone(UTC)).toordinal())


@lru_cache(maxsize=4_096)
def _named(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


_replace: Final = msgspec.structs.replace
