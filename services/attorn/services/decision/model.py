"""Decisions and recommendations: an agent says what it would do, and a person with the authority to decides."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count
from typing import Final, TypeAlias

import msgspec

from attorn.contracts.decision import (
    AnswerRecommendation,
    DecisionMade,
    DecisionRequested,
    MakeDecision,
    MakeRecommendation,
    RecommendationAnswered,
    RecommendationMade,
    RequestDecision,
)
from attorn.contracts.envelope import Event
from attorn.contracts.escalation import EscalationContext, EscalationNotified, EscalationResolved, Rung, WorkEscalated
from attorn.contracts.execution import ExecutionInputProvided, ExecutionInputRequired
from attorn.contracts.ids import Money
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.projections.ladder import DEFAULT_ACK_WITHIN
from attorn.services.decision.authority import beyond, deciders, next_above
from attorn.services.escalation.model import raised
from attorn.services.transact import Context
from attorn.services.work.state import Decision, Recommendation, Work
from attorn.services.work.tables import Changes, Checks

DecisionCommand: TypeAlias = MakeRecommendation | AnswerRecommendation | RequestDecision | MakeDecision

_replace: Final = msgspec.structs.replace


def decide(work: Work, command: DecisionCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case MakeRecommendation():
            recommended = RecommendationMade(
                recommendation_id=command.recommendation_id or context.new_id,
                recommendation=command.recommendation,
                confidence=command.confidence,
                decision_id=command.decision_id,
                execution_id=command.execution_id,
                by=context.actor,
                option_id=command.option_id,
            )
            known = work.recommendations.get(recommended.recommendation_id)
            return [] if known is not None and known.made == recommended else [recommended]
        case AnswerRecommendation(recommendation_id=id, answer=answer, reason=reason):
            known = work.recommendations.get(id)
            by = known.by if known is not None else None
            said = RecommendationAnswered(
                recommendation_id=id, answer=answer, reason=reason, by=context.actor, recommended_by=by
            )
            return [] if known is not None and known.answered == said else [said]
        case RequestDecision():
            return _request(work, command, context)
        case MakeDecision():
            return _make(work, command, context)


def _request(work: Work, command: RequestDecision, context: Context) -> Sequence[msgspec.Struct]:
    said = {n: getattr(command, n) for n in DecisionRequested.__struct_fields__ if n != "escalation_id"}
    asked = DecisionRequested(**{**said, "decision_id": command.decision_id or context.new_id})
    known = work.decisions.get(asked.decision_id)
    if known is not None and known.made is None:
        first = _replace(known.asked, from_=asked.from_, escalation_id=None)
        if first == asked:
            return []
    events: list[msgspec.Struct] = [asked]
    persons = deciders(work, asked, context.directory)
    if asked.execution_id is not None and persons:
        # The execution waits for the decision as for any other answer, and gets it as one.
        events.append(
            ExecutionInputRequired(
                execution_id=asked.execution_id,
                request_id=asked.decision_id,
                from_=asked.from_ or persons[0],
                kind="decision",
                question=asked.question,
                options=asked.options,
                respond_by=asked.respond_by,
            )
        )
    judged = [beyond(work, asked, asked.amount, who, context.at, context.directory) for who in persons]
    if persons and None not in judged:
        events += _passed_up(work, asked, asked.amount, persons[0], str(judged[0]), context)
    return events


def _make(work: Work, command: MakeDecision, context: Context) -> Sequence[msgspec.Struct]:
    known, directory = work.decisions.get(command.decision_id), context.directory
    asked = known.asked if known is not None else DecisionRequested(decision_id=command.decision_id, question="")
    amount = command.amount or asked.amount
    recommendation = _recommendation(work, command.decision_id, command.recommendation_id)
    made = DecisionMade(
        decision_id=command.decision_id,
        decider=context.actor,
        chosen=command.chosen,
        rationale=command.rationale,
        options=asked.options,
        recommendation_id=recommendation.made.recommendation_id if recommendation is not None else None,
        followed=_follows(command.chosen, recommendation) if recommendation is not None else None,
        recommended_by=recommendation.by if recommendation is not None else None,
        activity=asked.activity,
        amount=amount,
    )
    if known is not None and known.made == made:
        return []
    why = beyond(work, asked, amount, context.actor, context.at, directory)
    open_one = known is not None and known.made is None
    if open_one and why is not None and _may_decide(work, asked, context.actor, context.at, directory):
        above = _passed_up(work, asked, amount, context.actor, why, context)
        if above:
            return above
    events: list[msgspec.Struct] = [made]
    question = work.questions.get(command.decision_id)
    if question is not None and question.answered is None:
        # In the same append, caused by the decision: the execution goes on by what was decided, or not at all.
        events.append(
            ExecutionInputProvided(
                request_id=command.decision_id,
                response="respond",
                answer=command.chosen,
                execution_id=question.asked.execution_id,
                by=context.actor,
            )
        )
    escalation = work.escalations.get(asked.escalation_id or "")
    if escalation is not None and escalation.is_open:
        resolved = EscalationResolved(
            escalation_id=escalation.raised.escalation_id,
            outcome="returned",
            by=context.actor,
            note=f"Decided in {command.decision_id}.",
        )
        events.append(resolved)
    return events


def _passed_up(
    work: Work, asked: DecisionRequested, amount: Money | None, who: str, why: str, context: Context
) -> list[msgspec.Struct]:
    """The decision goes to the next authority on the org chart; nothing, where there is none."""
    above = next_above(work, asked, amount, who, context.at, context.directory)
    if above is None:
        return []
    names = (f"{asked.decision_id[:48]}-{number}" for number in count(1))
    id = next(name for name in names if name not in work.escalations)
    situation = EscalationContext(
        summary=f"{why}: {asked.question}" if asked.question.strip() else why,
        question=asked.question or f"What is decided in {asked.decision_id}?",
        options=asked.options,
    )
    first, *told = raised(work, context, id=id, reason="authorization_needed", situation=situation)
    if isinstance(first, WorkEscalated):
        # Who has the authority is asked first; the ladder of the policy comes after them.
        mine = Rung(rung=1, targets=(above,), ack_within=DEFAULT_ACK_WITHIN)
        rest = tuple(_replace(rung, rung=rung.rung + 1) for rung in first.ladder)
        due = context.at + DEFAULT_ACK_WITHIN
        first = _replace(first, ladder=(mine, *rest), next_rung_at=due)
        told = [EscalationNotified(escalation_id=id, rung=1, persons=(above,), next_rung_at=due)]
    again = _replace(asked, from_=above, escalation_id=id, amount=amount)
    return [first, *told, again]


def _recommendation(work: Work, decision: str, named: str | None) -> Recommendation | None:
    """The recommendation that is named, else the newest one for this decision."""
    if named is not None:
        return work.recommendations.get(named)
    about = [each for each in work.recommendations.values() if each.made.decision_id == decision]
    return about[-1] if about else None


def _follows(chosen: str, recommendation: Recommendation) -> bool:
    made = recommendation.made
    return chosen in (made.option_id, made.recommendation)


def _check_recommendation(work: Work, made: RecommendationMade, event: Event, directory: Directory) -> Iterator[Breach]:
    id, by = made.recommendation_id, made.by or _actor(event)
    if id in work.recommendations:
        detail = f"recommendation {id} was made before; use a new id"
        yield Breach(rule="recommendation-open", detail=detail, field="data.recommendation_id")
    if by is not None and not directory.is_here(by):
        yield Breach(rule="unregistered-actor", detail=f"{by} is not registered or has left", field="data.by")
    decision = work.decisions.get(made.decision_id or "")
    offered = {option.id for option in decision.asked.options} if decision is not None else set()
    if made.option_id is not None and offered and made.option_id not in offered:
        detail = f"{made.option_id} is not among the options of {made.decision_id}: {', '.join(sorted(offered))}"
        yield Breach(rule="recommendation-open", detail=detail, field="data.option_id")


def _check_answer(work: Work, said: RecommendationAnswered, event: Event, directory: Directory) -> Iterator[Breach]:
    id, by = said.recommendation_id, said.by or _actor(event)
    known = work.recommendations.get(id)
    if known is None or known.answered is not None:
        state = "was never made" if known is None else "has its answer"
        yield Breach(rule="recommendation-open", detail=f"recommendation {id} {state}", field="data.recommendation_id")
    if said.answer == "rejected" and not said.reason.strip():
        detail = f"whoever turns {id} down says why; without that nobody learns from it"
        yield Breach(rule="recommendation-open", detail=detail, field="data.reason")
    if by is not None and not directory.is_person(by):
        detail = f"{by} is not a person who is here; a recommendation is for people to take or to turn down"
        yield Breach(rule="decision-authority", detail=detail, field="data.by")


def _check_request(work: Work, asked: DecisionRequested, event: Event, directory: Directory) -> Iterator[Breach]:
    known = work.decisions.get(asked.decision_id)
    # With the escalation that led there it goes on to somebody else; else the same is asked twice.
    if known is not None and (known.made is not None or asked.escalation_id not in work.escalations):
        detail = f"decision {asked.decision_id} was asked for before; use a new id"
        yield Breach(rule="decision-open", detail=detail, field="data.decision_id")
    if asked.execution_id is not None and asked.execution_id not in work.executions:
        detail = f"no execution {asked.execution_id} has started"
        yield Breach(rule="execution-unknown", detail=detail, field="data.execution_id")
    if not deciders(work, asked, directory):
        named = asked.from_ or "the decision authority of the work"
        detail = f"{named} leads to no person who is here; ask somebody who can decide"
        yield Breach(rule="decision-authority", detail=detail, field="data.from")


def _check_decision(work: Work, made: DecisionMade, event: Event, directory: Directory) -> Iterator[Breach]:
    id, decider, at = made.decision_id, made.decider, event.time
    known = work.decisions.get(id)
    if known is None or known.made is not None:
        state = "was never asked for" if known is None else "is made"
        yield Breach(rule="decision-open", detail=f"decision {id} {state}", field="data.decision_id")
    asked = known.asked if known is not None else DecisionRequested(decision_id=id, question="", activity=made.activity)
    offered = {option.id for option in asked.options}
    if offered and made.chosen not in offered:
        detail = f"{made.chosen[:80]} is not among the options of {id}: {', '.join(sorted(offered))}"
        yield Breach(rule="decision-open", detail=detail, field="data.chosen")
    if event.authtype != "system" and event.authid != decider:
        detail = f"{event.authid} decides in the name of {decider}; everybody decides in their own"
        yield Breach(rule="decision-authority", detail=detail, field="data.decider")
    if not _may_decide(work, asked, decider, at, directory):
        named = ", ".join(deciders(work, asked, directory)) or "nobody"
        detail = f"{decider} has no authority to decide {id}; {named} has"
        yield Breach(rule="decision-authority", detail=detail, field="data.decider")
    else:
        why = beyond(work, asked, made.amount or asked.amount, decider, at, directory)
        if why is not None:
            above = next_above(work, asked, made.amount or asked.amount, decider, at, directory)
            detail = f"{why}; {above} may" if above is not None else why
            yield Breach(rule="decision-authority", detail=detail, field="data.amount")
    recommendation = work.recommendations.get(made.recommendation_id or "")
    if made.recommendation_id is not None and recommendation is None:
        detail = f"recommendation {made.recommendation_id} was never made"
        yield Breach(rule="recommendation-open", detail=detail, field="data.recommendation_id")
    elif recommendation is not None and made.followed not in (None, _follows(made.chosen, recommendation)):
        detail = f"{made.chosen[:80]} is {'not ' if made.followed else ''}what {made.recommendation_id} recommended"
        yield Breach(rule="recommendation-open", detail=detail, field="data.followed")


def _may_decide(work: Work, asked: DecisionRequested, who: str, at: datetime, directory: Directory) -> bool:
    """A person who is asked, or has authority over the work."""
    asked_of = deciders(work, asked, directory)
    return directory.is_person(who) and (who in asked_of or work.has_authority(who, directory, at))


def _actor(event: Event) -> str | None:
    """Who asked for it at a command door; of a fact nobody knows."""
    return event.authid if event.authtype in ("user", "service_account") else None


CHECKS: Final[Checks] = {
    RecommendationMade: _check_recommendation,
    RecommendationAnswered: _check_answer,
    DecisionRequested: _check_request,
    DecisionMade: _check_decision,
}


# ---- what an event changes


def _recommend(work: Work, data: RecommendationMade, event: Event) -> Work:
    if data.recommendation_id in work.recommendations:
        return work
    found = Recommendation(data, data.by or event.authid)
    return _replace(work, recommendations={**work.recommendations, data.recommendation_id: found})


def _answer(work: Work, data: RecommendationAnswered, event: Event) -> Work:
    known = work.recommendations.get(data.recommendation_id)
    if known is None or known.answered is not None:
        return work
    answered = _replace(known, answered=data)
    return _replace(work, recommendations={**work.recommendations, data.recommendation_id: answered})


def _ask(work: Work, data: DecisionRequested, event: Event) -> Work:
    known = work.decisions.get(data.decision_id)
    if known is not None and (known.made is not None or data.escalation_id not in work.escalations):
        return work
    return _replace(work, decisions={**work.decisions, data.decision_id: Decision(data)})


def _decide(work: Work, data: DecisionMade, event: Event) -> Work:
    known = work.decisions.get(data.decision_id)
    # The first decision stands: what was done by it is not undone by another.
    if known is None or known.made is not None:
        return work
    return _replace(work, decisions={**work.decisions, data.decision_id: _replace(known, made=data)})


CHANGES: Final[Changes] = {
    RecommendationMade: _recommend,
    RecommendationAnswered: _answer,
    DecisionRequested: _ask,
    DecisionMade: _decide,
}
