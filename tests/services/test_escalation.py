"""Escalation: whom it reaches, who may settle it, and that it stays open until somebody has."""

from datetime import timedelta
from typing import Any, Final

import pytest

from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    AnswerEscalation,
    CancelEscalation,
    EscalateWork,
    EscalationAcknowledged,
    EscalationAnswered,
    EscalationCancelled,
    EscalationContext,
    EscalationReopened,
    EscalationResolved,
    ResolveEscalation,
    Rung,
    WorkEscalated,
)
from attorn.contracts.participant import DeactivateParticipant
from attorn.contracts.policy import EscalationRules, PolicyRules, PublishPolicy
from attorn.contracts.work import CancelWork, DefineWork
from story import Story

W: Final = {"work_id": "W-1"}
HOUR: Final = timedelta(hours=1)
CONTEXT: Final = EscalationContext(summary="Paid twice", question="Take it back?")
X: Final = {"work_id": "W-1", "escalation_id": "X-1"}


def raised(*targets: str, blocking: bool = False) -> Story:
    """bot has raised X-1; the ladder is Ana's, or has a rung for each of `targets`."""
    story = Story()
    if targets:
        ladder = tuple(Rung(rung=n, targets=(target,), ack_within=HOUR) for n, target in enumerate(targets, 1))
        rules = PolicyRules(escalation=EscalationRules(ladder=ladder))
        story.given(PublishPolicy(policy_id="help", kind="escalation", rules=rules))
    policy = "help" if targets else None
    return story.given(DefineWork(**W, title="Refund", accountable="ana", escalation_policy=policy)).given(
        escalate(blocking=blocking), by="bot"
    )


def escalate(**said: Any) -> EscalateWork:
    return EscalateWork(**X, reason="exception", context=CONTEXT, severity="high", **said)


def ladder(story: Story) -> list[tuple[str, ...]]:
    return [rung.targets for rung in story.state().escalations["X-1"].raised.ladder]


def test_without_a_policy_whoever_answers_is_asked() -> None:
    assert ladder(raised()) == [("ana",)]


def test_with_a_policy_its_ladder_is_pinned() -> None:
    assert ladder(raised("scout", "ben")) == [("scout",), ("ben",)]
    event = raised("ben").log()[-1].event
    assert (event.severitytext, event.severitynumber) == ("high", 17)


def test_an_agent_that_is_stuck_is_never_told_that_there_is_nobody_to_ask() -> None:
    story = raised("ben").given(DeactivateParticipant(participant_id="ben", successor="carla"))
    story.when(EscalateWork(**W, escalation_id="X-2", reason="manual", context=CONTEXT), by="bot").then(WorkEscalated)
    assert [rung.targets for rung in story.state().escalations["X-2"].raised.ladder] == [("ben",), ("ana",)]


def test_it_is_acknowledged_answered_and_resolved() -> None:
    story = raised(blocking=True)
    story.when(AcknowledgeEscalation(**X)).then(EscalationAcknowledged(escalation_id="X-1", by="ana"))
    story.when(AnswerEscalation(**X, decision="Yes")).then(
        EscalationAnswered(escalation_id="X-1", decision="Yes", by="ana")
    )
    story.when(ResolveEscalation(**X, outcome="returned")).then(
        EscalationResolved(escalation_id="X-1", outcome="returned", by="ana")
    )
    story.when(ResolveEscalation(**X, outcome="returned")).then_nothing()


def test_somebody_else_may_take_it_up_and_decide_otherwise_and_is_not_silently_ignored() -> None:
    story = raised().given(AcknowledgeEscalation(**X), AnswerEscalation(**X, decision="Yes"))
    story.when(AcknowledgeEscalation(**X), by="carla").then(EscalationAcknowledged)
    story.when(AnswerEscalation(**X, decision="No"), by="carla").then(EscalationAnswered)
    assert story.state().escalations["X-1"].answered.decision == "No"


def test_what_is_settled_is_settled() -> None:
    story = raised().given(ResolveEscalation(**X, outcome="returned"))
    story.when(ResolveEscalation(**X, outcome="denied")).refused_only("escalation-open")
    story.when(AcknowledgeEscalation(**X)).refused_only("escalation-open")
    story.when(CancelEscalation(**X)).refused_only("escalation-open")
    # Raising the same again is raising something new.
    story.when(escalate(), by="bot").refused_only("escalation-open")


def test_what_was_never_raised_is_not_settled() -> None:
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"))
    story.when(ResolveEscalation(**X, outcome="returned")).refused_only("escalation-open")


def test_what_had_been_settled_can_turn_out_not_to_be() -> None:
    story = raised().given(ResolveEscalation(**X, outcome="returned"))
    story.fact(EscalationReopened(escalation_id="X-1")).finds_nothing()
    story.fact(EscalationReopened(escalation_id="X-1")).finds_only("escalation-open")
    story.when(ResolveEscalation(**X, outcome="denied")).then(EscalationResolved)


@pytest.mark.parametrize(
    "command",
    [
        AcknowledgeEscalation(**X),
        AnswerEscalation(**X, decision="Yes"),
        ResolveEscalation(**X, outcome="approved"),
        CancelEscalation(**X),
    ],
    ids=lambda command: command.verb,
)
def test_no_agent_settles_what_it_raised_or_is_not_asked(command: Any) -> None:
    raised(blocking=True).when(command, by="bot").refused_only("ladder-human")
    raised("bot", "ben", blocking=True).when(command, by="bot").refused_only("ladder-human")
    raised().when(command, by="scout").refused_only("ladder-human")
    assert raised("scout", "ben").when(command, by="scout").recorded


def test_an_agent_takes_back_what_halts_nobody() -> None:
    raised().when(CancelEscalation(**X), by="bot").then(EscalationCancelled)


def test_work_that_has_ended_is_not_escalated_and_what_is_open_on_it_can_be_settled() -> None:
    story = raised(blocking=True).given(CancelWork(**W))
    story.when(EscalateWork(**W, reason="manual", context=CONTEXT)).refused_only("illegal-transition")
    story.when(ResolveEscalation(**X, outcome="work_cancelled")).then(EscalationResolved)
