"""Escalation: the work needs somebody with more say; who is asked, who took it up, what they decided."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.decision import DecisionMade, DecisionRequested
from attorn.contracts.envelope import Event
from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    AdvanceEscalation,
    AnswerEscalation,
    CancelEscalation,
    EscalateWork,
    EscalationAcknowledged,
    EscalationAdvanced,
    EscalationAnswered,
    EscalationCancelled,
    EscalationContext,
    EscalationExhausted,
    EscalationNotified,
    EscalationReason,
    EscalationReassigned,
    EscalationReopened,
    EscalationResolved,
    EscalationUnacknowledged,
    ReassignEscalation,
    ReopenEscalation,
    ResolveEscalation,
    UnacknowledgeEscalation,
    WorkEscalated,
)
from attorn.contracts.ids import Severity
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.projections.ladder import DEFAULT_ACK_WITHIN, Step, after, climb, next_due, reached, rules, within
from attorn.services.transact import Context
from attorn.services.work.state import Escalation, EscalationStatus, Work
from attorn.services.work.tables import Changes, Checks

EscalationCommand: TypeAlias = (
    EscalateWork
    | AcknowledgeEscalation
    | UnacknowledgeEscalation
    | AdvanceEscalation
    | ReassignEscalation
    | AnswerEscalation
    | ResolveEscalation
    | CancelEscalation
    | ReopenEscalation
)

_FOLLOWS: Final[dict[type, EscalationStatus | None]] = {
    EscalationNotified: None,
    EscalationAcknowledged: "acknowledged",
    EscalationUnacknowledged: "open",
    EscalationAdvanced: "open",
    EscalationReassigned: "open",
    EscalationAnswered: "answered",
    EscalationExhausted: "open",
    EscalationResolved: "resolved",
    EscalationCancelled: "cancelled",
    EscalationReopened: "open",
}
"""What each event makes of an escalation; None leaves it as it is."""


def decide(work: Work, command: EscalationCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    if isinstance(command, EscalateWork):
        return _raise(work, command, context)
    id, by = command.escalation_id, context.actor
    known = work.escalations.get(id)
    match command:
        case AcknowledgeEscalation(ack_until=until):
            held = known.acknowledged if known is not None and known.status == "acknowledged" else None
            if held is not None and held.by == by and until in (None, held.ack_until):
                return []
            until = until or after(context.at, _patience(known))
            return [EscalationAcknowledged(escalation_id=id, by=by, ack_until=until)]
        case UnacknowledgeEscalation(cause=cause):
            given_back = EscalationUnacknowledged(escalation_id=id, cause=cause)
            if known is None or not known.is_open:
                return [given_back]
            return [given_back, *_tell(known, known.rung, context)] if known.status == "acknowledged" else []
        case AdvanceEscalation(cause=cause):
            rung = known.rung if known is not None else 0
            above = [step for step in _steps(known, context) if step.rung > rung and step.persons]
            to = above[0].rung if above else rung
            advanced = EscalationAdvanced(escalation_id=id, from_=max(rung, 1), to=max(to, 1), cause=cause)
            return [advanced, *(_tell(known, to, context) if known is not None and above else ())]
        case ReassignEscalation(to=to, reason=reason):
            holder = known.acknowledged.by if known is not None and known.acknowledged is not None else None
            if known is not None and known.is_open and known.told == (to,) and known.status == "open":
                return []
            reassigned = EscalationReassigned(escalation_id=id, to=to, from_=holder, reason=reason)
            told = EscalationNotified(
                escalation_id=id, rung=max(known.rung, 1) if known is not None else 1, persons=(to,),
                next_rung_at=after(context.at, _patience(known)),
            )  # fmt: skip
            return [reassigned, told]
        case AnswerEscalation(option_id=option, decision=decision, instructions=instructions):
            answered = EscalationAnswered(
                escalation_id=id, option_id=option, decision=decision, instructions=instructions, by=by
            )
            if known is not None and known.status == "answered" and known.answered == answered:
                return []
            return [answered, *_decided(work, known, answered, by)]
        case ResolveEscalation(outcome=outcome, note=note):
            resolved = EscalationResolved(escalation_id=id, outcome=outcome, by=by, note=note)
            stands = known is not None and known.status == "resolved" and known.resolved == resolved
            return [] if stands else [resolved]
        case CancelEscalation(reason=reason):
            cancelled = EscalationCancelled(escalation_id=id, by=by, reason=reason)
            return [] if known is not None and known.status == "cancelled" else [cancelled]
        case ReopenEscalation(reason=reason):
            if known is not None and known.is_open:
                return []
            blocking = known is not None and known.raised.blocking
            reopened = EscalationReopened(escalation_id=id, by=by, reason=reason, blocking=blocking)
            return [reopened, *(_tell(known, known.rung, context) if known is not None else ())]


def raised(
    work: Work,
    context: Context,
    *,
    id: str,
    reason: EscalationReason,
    situation: EscalationContext,
    severity: Severity = "medium",
    blocking: bool = False,
) -> tuple[msgspec.Struct, ...]:
    """Raise an escalation under the work's policy: its ladder is pinned, and the first who can be reached are told."""
    pinned = work.definition.escalation_policy if work.definition is not None else None
    said = rules(pinned, work.answers(context.directory).person, context.directory)
    first = next((step for step in climb(said.ladder, context.directory, context.at) if step.persons), None)
    due = after(context.at, first.ack_within if first is not None else DEFAULT_ACK_WITHIN)
    event = WorkEscalated(
        escalation_id=id,
        reason=reason,
        raised_by=context.actor,
        context=situation,
        severity=severity,
        blocking=blocking,
        ladder=said.ladder,
        repeat=said.repeat,
        default_action=said.default_action,
        next_rung_at=due,
    )
    asked: list[msgspec.Struct] = []
    if reason == "decision_needed":
        # The same choice, as those who look for decisions find it; its answer is one.
        question = situation.question or situation.summary
        by = first.persons[0] if first is not None else None
        asked.append(
            DecisionRequested(
                decision_id=id, question=question, options=situation.options, from_=by, respond_by=due, escalation_id=id
            )
        )
    if first is not None:
        told = EscalationNotified(escalation_id=id, rung=first.rung, persons=first.persons, next_rung_at=due)
        asked.append(told)
    return event, *asked


def _raise(work: Work, command: EscalateWork, context: Context) -> Sequence[msgspec.Struct]:
    id = command.escalation_id or context.new_id
    events = raised(
        work,
        context,
        id=id,
        reason=command.reason,
        situation=command.context,
        severity=command.severity,
        blocking=command.blocking,
    )
    known = work.escalations.get(id)
    if known is None or not known.is_open:
        return events
    # The same is asked again; only the time is another.
    again = msgspec.structs.replace(events[0], next_rung_at=known.raised.next_rung_at)
    return [] if again == known.raised else events


def _decided(work: Work, known: Escalation | None, answered: EscalationAnswered, by: str) -> Sequence[msgspec.Struct]:
    """What the work goes on by, where a decision was asked for; its cause is the answer."""
    if known is None or known.raised.reason != "decision_needed":
        return ()
    id, offered = known.raised.escalation_id, known.raised.context.options
    decision = work.decisions.get(id)
    if decision is not None and decision.made is not None:
        return ()  # the first decision stands; this is a word about it
    chosen = answered.option_id or answered.decision or answered.instructions
    rationale = (answered.decision if answered.option_id else "") or answered.instructions
    # Who answers in words chooses none of the options; who was not asked first is asked now.
    among = offered if answered.option_id is not None else ()
    events: list[msgspec.Struct] = []
    if decision is None or decision.asked.from_ != by or decision.asked.options != among:
        question = known.raised.context.question or known.raised.context.summary
        events.append(DecisionRequested(decision_id=id, question=question, options=among, from_=by, escalation_id=id))
    rationale = "" if rationale == chosen else rationale
    return [*events, DecisionMade(decision_id=id, decider=by, chosen=chosen, rationale=rationale, options=among)]


def _tell(known: Escalation, rung: int, context: Context) -> Sequence[msgspec.Struct]:
    """Ask those on a rung, as they are now; nobody, when the ladder reaches nobody."""
    steps = [step for step in _steps(known, context) if step.persons]
    step = next((step for step in steps if step.rung >= rung), steps[-1] if steps else None)
    if step is None:
        return ()
    due = after(context.at, step.ack_within)
    id = known.raised.escalation_id
    return (EscalationNotified(escalation_id=id, rung=step.rung, persons=step.persons, next_rung_at=due),)


def _steps(known: Escalation | None, context: Context) -> tuple[Step, ...]:
    return climb(known.raised.ladder, context.directory, context.at) if known is not None else ()


def _check_raised(work: Work, data: WorkEscalated, event: Event, directory: Directory) -> Iterator[Breach]:
    if data.escalation_id in work.escalations:
        detail = f"escalation {data.escalation_id} was raised before; use a new id"
        yield Breach(rule="escalation-open", detail=detail, field="data.escalation_id")
    if not directory.is_here(data.raised_by):
        detail = f"{data.raised_by} is not registered or has left"
        yield Breach(rule="unregistered-actor", detail=detail, field="data.raised_by")
    if data.ladder and not any(directory.names_person(target) for target in data.ladder[-1].targets):
        named = ", ".join(data.ladder[-1].targets) or "empty"
        detail = f"nobody on the last rung is a person who is here: {named}"
        yield Breach(rule="ladder-human", detail=detail, field="data.ladder")
    if not data.context.summary.strip():
        detail = f"{data.escalation_id} does not say what happened"
        yield Breach(rule="context-missing", detail=detail, field="data.context.summary")
    pinned = work.definition.escalation_policy if work.definition is not None else None
    if not data.context.question.strip() and rules(pinned, None, directory).question_required:
        detail = f"{data.escalation_id} does not say what has to be decided"
        yield Breach(rule="context-missing", detail=detail, field="data.context.question")
    yield from _check_due(data.next_rung_at, event.time, "data.next_rung_at")


def _check_reopened(work: Work, data: EscalationReopened, event: Event, directory: Directory) -> Iterator[Breach]:
    known = work.escalations.get(data.escalation_id)
    if known is None or known.is_open:
        detail = f"escalation {data.escalation_id} is {_status(known)}, not over"
        yield Breach(rule="escalation-open", detail=detail, field="data.escalation_id")
    else:
        yield from _check_actor(work, known, event, directory)


def _check_followed(work: Work, data: Any, event: Event, directory: Directory) -> Iterator[Breach]:
    """Nothing happens any more to what is over; of what is open, each event has a rule of its own."""
    known = work.escalations.get(data.escalation_id)
    if known is None or not known.is_open:
        detail = f"escalation {data.escalation_id} is {_status(known)}; raise another"
        yield Breach(rule="escalation-open", detail=detail, field="data.escalation_id")
        return
    yield from _check_actor(work, known, event, directory)
    rule = _CHECKS_OPEN.get(type(data))
    if rule is not None:
        yield from rule(known, data, event, directory)


def _check_notified(
    known: Escalation, data: EscalationNotified, event: Event, directory: Directory
) -> Iterator[Breach]:
    yield from _check_rung(known, data.rung, "data.rung")
    yield from _check_due(data.next_rung_at, event.time, "data.next_rung_at")


def _check_acknowledged(
    known: Escalation, data: EscalationAcknowledged, event: Event, directory: Directory
) -> Iterator[Breach]:
    return _check_due(data.ack_until, event.time, "data.ack_until")


def _check_advanced(
    known: Escalation, data: EscalationAdvanced, event: Event, directory: Directory
) -> Iterator[Breach]:
    id = data.escalation_id
    yield from _check_rung(known, data.to, "data.to")
    if known.rung and data.from_ != known.rung:
        detail = f"{id} is on rung {known.rung}, not on rung {data.from_}"
        yield Breach(rule="escalation-rung", detail=detail, field="data.from")
    elif data.to <= data.from_:
        detail = f"there is nobody to ask above rung {data.from_} of {id}; reassign it"
        yield Breach(rule="escalation-rung", detail=detail, field="data.to")


def _check_reassigned(
    known: Escalation, data: EscalationReassigned, event: Event, directory: Directory
) -> Sequence[Breach]:
    if directory.is_person(data.to):
        return ()
    detail = f"{data.to} is not a person who is here; somebody who can decide is asked"
    return (Breach(rule="ladder-human", detail=detail, field="data.to"),)


def _check_answered(
    known: Escalation, data: EscalationAnswered, event: Event, directory: Directory
) -> Iterator[Breach]:
    id, option = data.escalation_id, data.option_id
    offered = {option.id for option in known.raised.context.options}
    if option is not None and offered and option not in offered:
        detail = f"{option} is not among the options of {id}: {', '.join(sorted(offered))}"
        yield Breach(rule="escalation-option", detail=detail, field="data.option_id")
    if option is None and not data.decision.strip() and not data.instructions.strip():
        detail = f"the answer to {id} says neither what is decided nor how to go on"
        yield Breach(rule="escalation-option", detail=detail, field="data.decision")


def _check_settled(
    known: Escalation, data: EscalationResolved | EscalationCancelled, event: Event, directory: Directory
) -> Sequence[Breach]:
    if data.by is not None or event.authtype != "system":
        return ()
    detail = f"nobody is named who settled {data.escalation_id}; say who, in `by`"
    return (Breach(rule="resolver-missing", detail=detail, field="data.by"),)


_CHECKS_OPEN: Final[Mapping[type, Callable[[Escalation, Any, Event, Directory], Iterable[Breach]]]] = {
    EscalationNotified: _check_notified,
    EscalationAcknowledged: _check_acknowledged,
    EscalationAdvanced: _check_advanced,
    EscalationReassigned: _check_reassigned,
    EscalationAnswered: _check_answered,
    EscalationResolved: _check_settled,
    EscalationCancelled: _check_settled,
}


def _check_actor(work: Work, known: Escalation, event: Event, directory: Directory) -> Iterator[Breach]:
    data, id = event.data, known.raised.escalation_id
    who = event.authid if event.authtype in ("user", "service_account") else None
    match data:
        case EscalationNotified() | EscalationExhausted():
            return  # the clock's own events
        case EscalationAcknowledged(by=str(by)) | EscalationAnswered(by=str(by)) | EscalationResolved(by=str(by)):
            who = by
        case EscalationCancelled(by=str(by)) | EscalationReopened(by=str(by)):
            who = by
        case _:
            pass
    if who is None:
        return
    if not directory.is_here(who):
        detail = f"{who} is not registered or has left"
        yield Breach(rule="unregistered-actor", detail=detail, field="data.by")
    elif not directory.is_person(who):
        if not _may_settle(known, data, who):
            detail = f"{who} is of kind {directory.kind(who)}; whom the ladder of {id} names decides"
            yield Breach(rule="ladder-human", detail=detail, field="data.by")
    elif not _was_asked(work, known, data, who, event.time, directory):
        detail = f"{who} was not asked about {id}, and has no authority over the work"
        yield Breach(rule="escalation-asked", detail=detail, field="data.by")


def _may_settle(known: Escalation, data: Any, agent: str) -> bool:
    """An agent acts on an escalation when the ladder names it, never on its own; it may take back what halts nobody."""
    raised = known.raised
    if raised.raised_by == agent:
        return isinstance(data, EscalationCancelled) and not raised.blocking
    return any(agent in rung.targets for rung in raised.ladder)


def _was_asked(work: Work, known: Escalation, data: Any, who: str, at: datetime, directory: Directory) -> bool:
    """Who was told, whom the ladder leads to now, who has authority; and, to take it back, who raised it."""
    own = known.raised.raised_by == who and isinstance(data, EscalationCancelled | EscalationReopened)
    targets = [target for rung in known.raised.ladder for target in rung.targets]
    asked = who in known.asked or who in reached(targets, directory, at)
    return own or asked or work.has_authority(who, directory, at)


def _check_rung(known: Escalation, rung: int, field: str) -> Iterator[Breach]:
    numbers = [each.rung for each in known.raised.ladder]
    if numbers and rung not in numbers:
        detail = f"the ladder of {known.raised.escalation_id} has no rung {rung}"
        yield Breach(rule="escalation-rung", detail=detail, field=field)


def _check_due(due: datetime | None, at: datetime, field: str) -> Iterator[Breach]:
    if due is not None and due <= at:
        detail = f"{due.isoformat()} is not after {at.isoformat()}, when this happened"
        yield Breach(rule="escalation-deadline", detail=detail, field=field)


def _patience(known: Escalation | None) -> timedelta:
    """How long those have who are asked now."""
    return within(known.raised.ladder, known.rung) if known is not None else DEFAULT_ACK_WITHIN


def _status(known: Escalation | None) -> str:
    return known.status if known is not None else "unknown"


CHECKS: Final[Checks] = {
    WorkEscalated: _check_raised,
    **dict.fromkeys(_FOLLOWS, _check_followed),
    EscalationReopened: _check_reopened,
}


# ---- what an event changes


def _open(work: Work, data: WorkEscalated, event: Event) -> Work:
    if data.escalation_id in work.escalations:
        return work
    raised = Escalation(data, next_rung_at=next_due(data, data.ladder, 0, event.time))
    return msgspec.structs.replace(work, escalations={**work.escalations, data.escalation_id: raised})


def _follow(work: Work, data: Any, event: Event) -> Work:
    known = work.escalations.get(data.escalation_id)
    if known is None:
        return work
    status = _FOLLOWS[type(data)] or known.status
    said = _said(known, data)
    rung = said.get("rung", known.rung)
    due = None if status in ("resolved", "cancelled") else next_due(data, known.raised.ladder, rung, event.time)
    changed = msgspec.structs.replace(known, **({"status": status, "next_rung_at": due} | said))
    return msgspec.structs.replace(work, escalations={**work.escalations, data.escalation_id: changed})


def _said(known: Escalation, data: Any) -> dict[str, Any]:
    match data:
        case EscalationNotified(rung=rung, persons=persons):
            return {"rung": rung, "told": persons, "asked": tuple(dict.fromkeys((*known.asked, *persons)))}
        case EscalationAcknowledged():
            return {"acknowledged": data}
        case EscalationUnacknowledged() | EscalationReopened():
            return {"acknowledged": None}
        case EscalationAdvanced(to=to):
            return {"rung": to, "acknowledged": None}
        case EscalationReassigned(to=to):
            return {"told": (to,), "asked": tuple(dict.fromkeys((*known.asked, to))), "acknowledged": None}
        case EscalationAnswered():
            return {"answered": data}
        case EscalationExhausted(round=round):
            return {"round": round + 1, "acknowledged": None}
        case EscalationResolved():
            return {"resolved": data}
        case _:
            return {}


CHANGES: Final[Changes] = {WorkEscalated: _open, **dict.fromkeys(_FOLLOWS, _follow)}
