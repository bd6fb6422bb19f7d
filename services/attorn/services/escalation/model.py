"""Escalation: the work needs somebody with more say; who is to be asked, who took it up, what they decided."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    AnswerEscalation,
    CancelEscalation,
    EscalateWork,
    EscalationAcknowledged,
    EscalationAnswered,
    EscalationCancelled,
    EscalationReopened,
    EscalationResolved,
    EscalationUnacknowledged,
    ResolveEscalation,
    Rung,
    WorkEscalated,
)
from attorn.contracts.policy import EscalationRules
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.transact import Context
from attorn.services.work.state import Escalation, EscalationStatus, Work

EscalationCommand: TypeAlias = (
    EscalateWork | AcknowledgeEscalation | AnswerEscalation | ResolveEscalation | CancelEscalation
)

DEFAULT_ACK_WITHIN: Final = timedelta(hours=1)
"""How long the person who answers for the work has, where no policy says it."""

initial = Work()

_FOLLOWS: Final[dict[type, EscalationStatus]] = {
    EscalationAcknowledged: "acknowledged",
    EscalationUnacknowledged: "open",
    EscalationAnswered: "answered",
    EscalationResolved: "resolved",
    EscalationCancelled: "cancelled",
    EscalationReopened: "open",
}


def decide(work: Work, command: EscalationCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case EscalateWork(escalation_id=asked):
            id = asked or context.new_id
            rules = _rules(work, context)
            raised = WorkEscalated(
                escalation_id=id,
                reason=command.reason,
                raised_by=context.actor,
                context=command.context,
                severity=command.severity,
                blocking=command.blocking,
                ladder=rules.ladder,
                repeat=rules.repeat,
                default_action=rules.default_action,
            )
            known = work.escalations.get(id)
            return [] if known is not None and known.is_open and known.raised == raised else [raised]
        case AcknowledgeEscalation(escalation_id=id, ack_until=until):
            acknowledged = EscalationAcknowledged(escalation_id=id, by=context.actor, ack_until=until)
            known = work.escalations.get(id)
            stands = known is not None and known.status == "acknowledged" and known.acknowledged == acknowledged
            return [] if stands else [acknowledged]
        case AnswerEscalation(escalation_id=id, option_id=option, decision=decision, instructions=instructions):
            answered = EscalationAnswered(
                escalation_id=id, option_id=option, decision=decision, instructions=instructions, by=context.actor
            )
            known = work.escalations.get(id)
            stands = known is not None and known.status == "answered" and known.answered == answered
            return [] if stands else [answered]
        case ResolveEscalation(escalation_id=id, outcome=outcome, note=note):
            resolved = EscalationResolved(escalation_id=id, outcome=outcome, by=context.actor, note=note)
            known = work.escalations.get(id)
            stands = known is not None and known.status == "resolved" and known.resolved == resolved
            return [] if stands else [resolved]
        case CancelEscalation(escalation_id=id, reason=reason):
            cancelled = EscalationCancelled(escalation_id=id, by=context.actor, reason=reason)
            return [] if _status(work, id) == "cancelled" else [cancelled]


def check(work: Work, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules of escalation `event` breaks."""
    match event.data:
        case WorkEscalated(escalation_id=id, ladder=ladder, raised_by=raised_by):
            if id in work.escalations:
                yield Breach(rule="escalation-open", detail=f"escalation {id} was raised before; use a new id")
            if not directory.is_here(raised_by):
                detail = f"{raised_by} is not registered or has left"
                yield Breach(rule="unregistered-actor", detail=detail, field="data.raised_by")
            if ladder and not any(directory.names_person(target) for target in ladder[-1].targets):
                detail = f"nobody on the last rung is a person who is here: {', '.join(ladder[-1].targets) or 'empty'}"
                yield Breach(rule="ladder-human", detail=detail, field="data.ladder")
        case EscalationReopened(escalation_id=id):
            if _status(work, id) not in ("resolved", "cancelled"):
                yield Breach(rule="escalation-open", detail=f"escalation {id} is {_status(work, id)}, not over")
        case data if type(data) in _FOLLOWS:
            if _status(work, data.escalation_id) not in ("open", "acknowledged", "answered"):
                detail = f"escalation {data.escalation_id} is {_status(work, data.escalation_id)}; raise another"
                yield Breach(rule="escalation-open", detail=detail, field="data.escalation_id")
            elif event.authtype == "service_account" and not _may_settle(work, data, event.authid or ""):
                detail = f"{event.authid} is an agent; whom the ladder of {data.escalation_id} names decides"
                yield Breach(rule="ladder-human", detail=detail, field="data.by")
        case _:
            pass


def evolve(work: Work, event: Event) -> Work:
    """What is true of the work's escalations afterwards."""
    data = event.data
    if isinstance(data, WorkEscalated):
        if data.escalation_id in work.escalations:
            return work
        return msgspec.structs.replace(work, escalations={**work.escalations, data.escalation_id: Escalation(data)})
    status = _FOLLOWS.get(type(data))
    if status is None or data.escalation_id not in work.escalations:
        return work
    changed = msgspec.structs.replace(work.escalations[data.escalation_id], status=status, **_said(data))
    return msgspec.structs.replace(work, escalations={**work.escalations, data.escalation_id: changed})


def _said(data: Any) -> dict[str, Any]:
    match data:
        case EscalationAcknowledged():
            return {"acknowledged": data}
        case EscalationAnswered():
            return {"answered": data}
        case EscalationResolved():
            return {"resolved": data}
        case _:
            return {}


def _may_settle(work: Work, data: Any, agent: str) -> bool:
    """An agent acts on an escalation when the ladder names it, never on its own; it may take back what halts nobody."""
    raised = work.escalations[data.escalation_id].raised
    if raised.raised_by == agent:
        return isinstance(data, EscalationCancelled) and not raised.blocking
    return any(agent in rung.targets for rung in raised.ladder)


def _status(work: Work, id: str) -> str:
    found = work.escalations.get(id)
    return found.status if found is not None else "unknown"


def _rules(work: Work, context: Context) -> EscalationRules:
    """What the pinned policy says; where it leads to nobody, whoever answers for the work is asked in the end."""
    pinned = work.definition.escalation_policy if work.definition is not None else None
    policy = context.directory.policy(pinned.id, pinned.version) if pinned is not None else None
    rules = policy.rules.escalation if policy is not None else None
    rules = rules if rules is not None else EscalationRules()
    if rules.ladder and any(context.directory.names_person(target) for target in rules.ladder[-1].targets):
        return rules
    # The people of the policy may have left since; who is stuck is never told that there is nobody to ask.
    person = work.answers(context.directory).person
    number = max((rung.rung for rung in rules.ladder), default=0) + 1
    last = (Rung(rung=number, targets=(person,), ack_within=DEFAULT_ACK_WITHIN),) if person is not None else ()
    return msgspec.structs.replace(rules, ladder=(*rules.ladder, *last))
