"""Escalation: whom it reaches, who may settle it, and that it stays open until somebody has."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attorn.contracts import codec, door
from attorn.contracts.decision import DecisionMade, DecisionRequested, Option
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
    EscalationReassigned,
    EscalationReopened,
    EscalationResolved,
    EscalationUnacknowledged,
    ReassignEscalation,
    ReopenEscalation,
    ResolveEscalation,
    Rung,
    UnacknowledgeEscalation,
    WorkEscalated,
)
from attorn.contracts.execution import StartExecution
from attorn.contracts.participant import AbsenceDeclared, DeactivateParticipant, TeamMemberAdded
from attorn.contracts.policy import EscalationRules, PolicyRules, PublishPolicy
from attorn.contracts.refusal import Unreadable
from attorn.contracts.work import CancelWork, DefineWork
from attorn.projections import escalations
from attorn.services.rulebook import RULES
from story import BEGIN, Story

W: Final = {"work_id": "W-1"}
HOUR: Final = timedelta(hours=1)
CONTEXT: Final = EscalationContext(summary="Paid twice", question="Take it back?")
X: Final = {"work_id": "W-1", "escalation_id": "X-1"}


LADDER: Final = tuple(Rung(rung=n, targets=(who,), ack_within=HOUR) for n, who in ((1, "ben"), (2, "ana")))
TIMED: Final = (
    EscalationNotified(escalation_id="X-1", rung=1, persons=("ben",), next_rung_at=BEGIN + 9 * HOUR),
    EscalationAcknowledged(escalation_id="X-1", by="ben", ack_until=BEGIN + 5 * HOUR),
)
HAPPENS: Final = (
    *TIMED,
    EscalationNotified(escalation_id="X-1", rung=9),
    EscalationAcknowledged(escalation_id="X-1", by="zed"),
    EscalationUnacknowledged(escalation_id="X-1"),
    EscalationAdvanced(escalation_id="X-1", from_=1, to=2),
    EscalationReassigned(escalation_id="X-1", to="carla"),
    EscalationAnswered(escalation_id="X-1", decision="Yes"),
    EscalationExhausted(escalation_id="X-1", round=1),
    EscalationResolved(escalation_id="X-1", outcome="returned"),
    EscalationCancelled(escalation_id="X-1"),
    EscalationReopened(escalation_id="X-1"),
)
"""Everything that can happen to an escalation, by right or not."""


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
    event = next(r.event for r in raised("ben").log() if isinstance(r.event.data, WorkEscalated))
    assert (event.severitytext, event.severitynumber) == ("high", 17)


def test_an_agent_that_is_stuck_is_never_told_that_there_is_nobody_to_ask() -> None:
    story = raised("ben").given(DeactivateParticipant(participant_id="ben", successor="carla"))
    story.when(EscalateWork(**W, escalation_id="X-2", reason="manual", context=CONTEXT), by="bot").then(
        WorkEscalated, EscalationNotified
    )
    assert [rung.targets for rung in story.state().escalations["X-2"].raised.ladder] == [("ben",), ("ana",)]


def test_it_is_acknowledged_answered_and_resolved() -> None:
    story = raised(blocking=True)
    taken_up = story.when(AcknowledgeEscalation(**X))
    taken_up.then(EscalationAcknowledged(escalation_id="X-1", by="ana", ack_until=story.now + HOUR))
    story.when(AcknowledgeEscalation(**X)).then_nothing()
    story.when(AnswerEscalation(**X, decision="Yes")).then(
        EscalationAnswered(escalation_id="X-1", decision="Yes", by="ana")
    )
    story.when(ResolveEscalation(**X, outcome="returned")).then(
        EscalationResolved(escalation_id="X-1", outcome="returned", by="ana")
    )
    story.when(ResolveEscalation(**X, outcome="returned")).then_nothing()


def test_somebody_else_may_take_it_up_and_decide_otherwise_and_is_not_silently_ignored() -> None:
    story = raised("ana", "carla").given(AcknowledgeEscalation(**X), AnswerEscalation(**X, decision="Yes"))
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


@pytest.mark.parametrize(
    "command",
    [
        AcknowledgeEscalation(**X),
        AdvanceEscalation(**X),
        ReassignEscalation(**X, to="carla"),
        AnswerEscalation(**X, decision="Yes"),
        ResolveEscalation(**X, outcome="approved"),
        CancelEscalation(**X),
    ],
    ids=lambda command: command.verb,
)
def test_nobody_acts_on_it_who_was_not_asked_and_has_no_authority(command: Any) -> None:
    raised("ben", "ana").when(command, by="carla").refused_only("escalation-asked")
    for asked in ("ben", "ana"):
        assert raised("ben", "ana").when(command, by=asked).recorded
    # The ledger's custodian has authority over everything.
    assert raised("ben", "ana").when(command, by="root").recorded


def test_an_agent_takes_back_what_halts_nobody() -> None:
    raised().when(CancelEscalation(**X), by="bot").then(EscalationCancelled)


def test_work_that_has_ended_is_not_escalated_and_what_is_open_on_it_can_be_settled() -> None:
    story = raised(blocking=True).given(CancelWork(**W))
    story.when(EscalateWork(**W, reason="manual", context=CONTEXT)).refused_only("illegal-transition")
    story.when(ResolveEscalation(**X, outcome="work_cancelled")).then(EscalationResolved)


class TestLadder:
    """Whom it reaches: as the directory knows them at the moment when they are told."""

    def told(self, story: Story) -> list[tuple[int, tuple[str, ...]]]:
        return [(r.event.data.rung, r.event.data.persons) for r in story.log()
                if isinstance(r.event.data, EscalationNotified)]  # fmt: skip

    def test_a_role_reaches_those_who_hold_it(self) -> None:
        story = Story().granted("ben", "reviewer").granted("carla", "reviewer")
        assert self.told(raise_on(story, "reviewer", "ana")) == [(1, ("ben", "carla"))]

    def test_who_is_away_is_stood_in_for(self) -> None:
        story = Story()
        away = AbsenceDeclared(from_=story.now, until=story.now + timedelta(days=9), substitute="carla")
        story.given(away, on="participant/ben")
        assert self.told(raise_on(story, "ben", "ana")) == [(1, ("carla",))]
        story.when(AcknowledgeEscalation(**X), by="carla").then(EscalationAcknowledged)

    def test_who_has_left_is_succeeded(self) -> None:
        story = raise_on(Story().given(DeactivateParticipant(participant_id="ben", successor="carla")), "ben", "ana")
        assert self.told(story) == [(1, ("carla",))]

    def test_a_team_reaches_its_people(self) -> None:
        story = Story().given(TeamMemberAdded(member="ben"), TeamMemberAdded(member="bot"), on="participant/crew")
        assert self.told(raise_on(story, "crew", "ana")) == [(1, ("ben",))]

    def test_a_rung_that_reaches_nobody_is_passed_over(self) -> None:
        assert self.told(raise_on(Story(), "auditor", "ben", "ana")) == [(2, ("ben",))]

    def test_it_goes_up_by_hand_a_rung_at_a_time_and_no_further_than_its_last(self) -> None:
        story = raised("ben", "carla", "ana")
        story.when(AdvanceEscalation(**X), by="ben").then(
            EscalationAdvanced(escalation_id="X-1", from_=1, to=2, cause="manual"),
            EscalationNotified(escalation_id="X-1", rung=2, persons=("carla",), next_rung_at=story.now + HOUR),
        )
        story.given(AdvanceEscalation(**X, cause="declined"), by="carla")
        assert story.state().escalations["X-1"].told == ("ana",)
        story.when(AdvanceEscalation(**X)).refused_only("escalation-rung")

    def test_it_is_given_to_a_person_outside_the_order(self) -> None:
        story = raised("ben", "ana").given(AcknowledgeEscalation(**X), by="ben")
        story.when(ReassignEscalation(**X, to="bot"), by="ben").refused_only("ladder-human")
        story.when(ReassignEscalation(**X, to="carla", reason="She knows them"), by="ben").then(
            EscalationReassigned(escalation_id="X-1", to="carla", from_="ben", reason="She knows them"),
            EscalationNotified,
        )
        story.when(ReassignEscalation(**X, to="carla"), by="ben").then_nothing()
        story.when(ResolveEscalation(**X, outcome="reassigned"), by="carla").then(EscalationResolved)

    def test_who_gives_it_back_is_asked_again_with_the_others(self) -> None:
        story = raised("ben", "ana")
        story.when(UnacknowledgeEscalation(**X), by="ben").then_nothing()
        story.given(AcknowledgeEscalation(**X), by="ben")
        story.when(UnacknowledgeEscalation(**X, cause="Ill"), by="ben").then(
            EscalationUnacknowledged(escalation_id="X-1", cause="Ill"), EscalationNotified
        )
        assert self.told(story)[-1] == (1, ("ben",))
        assert story.state().escalations["X-1"].acknowledged is None

    def test_what_had_been_settled_is_reopened_and_asked_again(self) -> None:
        story = raised("ben", "ana").given(ResolveEscalation(**X, outcome="returned"), by="ben")
        story.when(ReopenEscalation(**X, reason="They object"), by="carla").refused_only("escalation-asked")
        story.when(ReopenEscalation(**X, reason="They object"), by="ben").then(EscalationReopened, EscalationNotified)
        story.when(ReopenEscalation(**X), by="ben").then_nothing()
        story.when(ResolveEscalation(**X, outcome="denied"), by="ben").then(EscalationResolved)

    def test_the_work_waits_again_for_what_is_reopened(self) -> None:
        story = Story().given(
            DefineWork(**W, title="Refund", accountable="ana"), StartExecution(**W, execution_id="E-1")
        )
        story.given(escalate(blocking=True), by="bot")
        assert story.state().life.state == "waiting_input"
        story.given(ResolveEscalation(**X, outcome="returned"))
        assert story.state().life.state == "in_progress"
        story.given(ReopenEscalation(**X))
        assert story.state().life.state == "waiting_input"


class TestClock:
    """I8: an open escalation always has a next deadline, whatever happened to it."""

    def due(self, story: Story) -> datetime | None:
        found: datetime | None = story.state().escalations["X-1"].next_rung_at
        return found

    def test_it_is_said_when_it_is_raised_when_somebody_is_told_and_when_it_is_taken_up(self) -> None:
        story = raised("ben", "ana")
        event = story.state().escalations["X-1"].raised
        assert event.next_rung_at == self.due(story) == story.now + HOUR
        tomorrow = story.now + timedelta(days=1)
        story.given(AcknowledgeEscalation(**X, ack_until=tomorrow), by="ben")
        assert self.due(story) == tomorrow

    @pytest.mark.parametrize(
        "happens",
        [
            EscalationNotified(escalation_id="X-1", rung=2),
            EscalationAcknowledged(escalation_id="X-1", by="ben"),
            EscalationUnacknowledged(escalation_id="X-1"),
            EscalationAdvanced(escalation_id="X-1", from_=1, to=2),
            EscalationReassigned(escalation_id="X-1", to="carla"),
            EscalationAnswered(escalation_id="X-1", decision="Yes"),
            EscalationExhausted(escalation_id="X-1", round=1),
        ],
        ids=lambda event: event.type,
    )
    def test_where_an_event_does_not_say_it_the_ladder_does(self, happens: Any) -> None:
        story = raised("ben", "ana").later(minutes=30)
        story.fact(happens).finds_nothing()
        assert self.due(story) == story.now + HOUR

    def test_what_the_clock_will_say_folds(self) -> None:
        story = raised("ben", "ana").later(hours=1)
        story.fact(EscalationAdvanced(escalation_id="X-1", from_=1, to=2, cause="ack_timeout")).finds_nothing()
        due = story.now + timedelta(minutes=5)
        story.fact(EscalationNotified(escalation_id="X-1", rung=2, persons=("ana",), next_rung_at=due)).finds_nothing()
        known = story.state().escalations["X-1"]
        assert (known.rung, known.told, known.asked, known.next_rung_at) == (2, ("ana",), ("ben", "ana"), due)
        story.fact(EscalationExhausted(escalation_id="X-1", round=1)).finds_nothing()
        known = story.state().escalations["X-1"]
        assert (known.round, known.status, known.is_open) == (2, "open", True)

    def test_an_escalation_from_elsewhere_has_one_too(self) -> None:
        story = Story().given(DefineWork(**W, title="Refund", accountable="ana"))
        story.fact(
            WorkEscalated(escalation_id="X-1", reason="manual", raised_by="bot", context=CONTEXT)
        ).finds_nothing()
        assert self.due(story) == story.now + HOUR

    def test_what_is_over_has_none(self) -> None:
        assert self.due(raised().given(ResolveEscalation(**X, outcome="returned"))) is None

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(HAPPENS), st.integers(0, 90)), max_size=12))
    def test_whatever_happens_to_it_while_it_is_open_something_happens_next(self, happens: list[Any]) -> None:
        work, at = RULES["work"].initial, BEGIN
        raised_ = WorkEscalated(escalation_id="X-1", reason="manual", raised_by="bot", context=CONTEXT, ladder=LADDER)
        for data, minutes in [(raised_, 0), *happens]:
            at += timedelta(minutes=minutes)
            event = codec.event(data, id="e", source="/clock", subject="work/W-1", time=at)
            work = RULES["work"].evolve(work, event)
            known = work.escalations["X-1"]
            assert (known.next_rung_at is not None) == known.is_open
            assert known.next_rung_at is None or known.next_rung_at >= at or data in TIMED

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from(HAPPENS), max_size=12))
    def test_the_view_says_of_it_what_the_rules_go_by(self, happens: list[Any]) -> None:
        story = raised("ben", "ana")
        for data in happens:
            story.fact(data)
        row = None
        for recorded in story.log():
            if type(recorded.event.data) in escalations.EVENTS:
                row = escalations.apply(row, recorded, "W-1/X-1")
        known = story.state().escalations["X-1"]
        assert row is not None
        assert (row.open, row.rung, row.next_rung_at) == (known.is_open, known.rung, known.next_rung_at)

    def test_a_duration_that_leads_out_of_the_calendar_never_ends(self) -> None:
        ladder = (Rung(rung=1, targets=("ana",), ack_within=timedelta(days=999_999_999)),)
        story = Story().given(DefineWork(**W, title="Refund", accountable="ana"))
        story.fact(WorkEscalated(escalation_id="X-1", reason="manual", raised_by="bot", context=CONTEXT, ladder=ladder))
        assert self.due(story) == datetime.max.replace(tzinfo=UTC)


class TestAnswers:
    OPTIONS: Final = (Option(id="pay", label="Pay"), Option(id="wait", label="Wait"))

    def asked(self) -> Story:
        story = Story().given(DefineWork(**W, title="Refund", accountable="ana"))
        context = EscalationContext(summary="Paid twice", question="Now?", options=self.OPTIONS)
        return story.given(EscalateWork(**X, reason="decision_needed", context=context), by="bot")

    def test_an_answer_is_one_of_the_options_or_in_words(self) -> None:
        self.asked().when(AnswerEscalation(**X, option_id="sue")).refused("escalation-option")
        self.asked().when(AnswerEscalation(**X, decision=" ")).refused("escalation-option")
        self.asked().when(AnswerEscalation(**X, option_id="wait")).then(EscalationAnswered, DecisionMade)
        self.asked().when(AnswerEscalation(**X, instructions="Wait a day")).then(
            EscalationAnswered, DecisionRequested, DecisionMade
        )

    def test_who_was_not_asked_first_is_asked_when_they_decide(self) -> None:
        story = self.asked().given(ReassignEscalation(**X, to="carla"))
        asked = story.when(AnswerEscalation(**X, option_id="wait"), by="carla")
        asked.then(EscalationAnswered, DecisionRequested, DecisionMade)
        assert (asked.recorded[1].data.from_, asked.recorded[2].data.decider) == ("carla", "carla")
        # The first decision stands; what is said later is a word about it.
        story.when(AnswerEscalation(**X, option_id="pay"), by="carla").then(EscalationAnswered)
        assert story.state().decisions["X-1"].made.chosen == "wait"

    def test_what_was_decided_lands_back_in_the_work_and_names_its_cause(self) -> None:
        story = self.asked()
        [asked] = [r.event.data for r in story.log() if isinstance(r.event.data, DecisionRequested)]
        assert (asked.decision_id, asked.question, asked.options) == ("X-1", "Now?", self.OPTIONS)
        answered = story.when(AnswerEscalation(**X, option_id="pay", decision="They are right"))
        answered.then(
            EscalationAnswered,
            DecisionMade(
                decision_id="X-1", decider="ana", chosen="pay", rationale="They are right", options=self.OPTIONS
            ),
        )
        answer, decision = answered.recorded
        assert (decision.causationid, decision.correlationid) == (answer.id, "W-1")

    def test_an_exception_is_closed_with_an_outcome_and_by_somebody_who_is_named(self) -> None:
        story = raised("ben", "ana", blocking=True)
        with pytest.raises(Unreadable, match="outcome"):
            door.command(b'{"work_id":"W-1","escalation_id":"X-1"}', ResolveEscalation)
        story.when(ResolveEscalation(**X, outcome="taken_over", note="I pay it"), by="ben").then(
            EscalationResolved(escalation_id="X-1", outcome="taken_over", by="ben", note="I pay it")
        )
        raised("ben").fact(EscalationResolved(escalation_id="X-1", outcome="returned")).finds_only("resolver-missing")


class TestContext:
    def test_whoever_asks_says_what_happened_and_what_has_to_be_decided_unless_the_policy_says_otherwise(self) -> None:
        def under(question_required: bool) -> Story:
            ladder = (Rung(rung=1, targets=("ben",), ack_within=HOUR),)
            rules = EscalationRules(ladder=ladder, question_required=question_required)
            policy = PublishPolicy(policy_id="help", kind="escalation", rules=PolicyRules(escalation=rules))
            return Story().given(policy, DefineWork(**W, title="R", accountable="ana", escalation_policy="help"))

        mute, bare = EscalationContext(summary=" "), EscalationContext(summary="Stuck")
        ask = EscalateWork(**X, reason="manual", context=bare)
        under(True).when(ask, by="bot").refused_only("context-missing")
        under(False).when(ask, by="bot").then(WorkEscalated, EscalationNotified)
        under(False).when(EscalateWork(**X, reason="manual", context=mute), by="bot").refused_only("context-missing")
        told = WorkEscalated(escalation_id="X-1", reason="manual", raised_by="bot", context=bare)
        under(True).fact(told).finds_only("context-missing")


def raise_on(story: Story, *targets: str) -> Story:
    """X-1 is raised by bot in a story that has begun, under a ladder with a rung for each of `targets`."""
    ladder = tuple(Rung(rung=n, targets=(target,), ack_within=HOUR) for n, target in enumerate(targets, 1))
    rules = PolicyRules(escalation=EscalationRules(ladder=ladder))
    story.given(PublishPolicy(policy_id="help", kind="escalation", rules=rules))
    return story.given(DefineWork(**W, title="Refund", accountable="ana", escalation_policy="help")).given(
        escalate(), by="bot"
    )
