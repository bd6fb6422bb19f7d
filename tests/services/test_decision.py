"""Decisions: what an agent recommends a person decides, as far as their authority goes, and the work goes on by it."""

from typing import Any, Final

import pytest

from attorn.contracts.decision import (
    AnswerRecommendation,
    DecisionMade,
    DecisionRequested,
    MakeDecision,
    MakeRecommendation,
    Option,
    RecommendationAnswered,
    RecommendationMade,
    RequestDecision,
)
from attorn.contracts.delegation import DelegateWork
from attorn.contracts.escalation import EscalationNotified, EscalationResolved, WorkEscalated
from attorn.contracts.execution import ExecutionInputProvided, ExecutionInputRequired, ProvideInput, StartExecution
from attorn.contracts.ids import Money
from attorn.contracts.participant import ParticipantRegistered
from attorn.contracts.policy import AuthorityLimit, AuthorityRules, PolicyRules, PublishPolicy
from attorn.contracts.work import DefineWork
from story import CAST, Story

W: Final = {"work_id": "W-1"}
OPTIONS: Final = (Option(id="all", label="All of it"), Option(id="half", label="Half of it"))


def eur(amount: str) -> Money:
    return Money(amount=amount, currency="EUR")


def begun(**defined: Any) -> Story:
    """bot carries out E-1 for ana."""
    return (
        Story()
        .given(DefineWork(**W, title="Refund", accountable="ana", **defined))
        .given(DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act"))
        .given(StartExecution(**W, execution_id="E-1"), by="bot")
    )


def ask(**said: Any) -> RequestDecision:
    return RequestDecision(**W, decision_id="N-1", question="How much do we pay back?", **said)


def choose(chosen: str = "all", **said: Any) -> MakeDecision:
    return MakeDecision(**W, decision_id="N-1", chosen=chosen, **said)


def recommend(option: str | None = "all", **said: Any) -> MakeRecommendation:
    return MakeRecommendation(**W, recommendation_id="M-1", recommendation="Pay it", option_id=option, **said)


# ---- recommending


def test_a_recommendation_is_taken_by_a_person() -> None:
    story = begun()
    story.when(recommend(), by="bot").then(RecommendationMade)
    accept = AnswerRecommendation(**W, recommendation_id="M-1", answer="accepted")
    story.when(accept, by="scout").refused_only("decision-authority")
    story.when(accept, by="ana").then(
        RecommendationAnswered(recommendation_id="M-1", answer="accepted", by="ana", recommended_by="bot")
    )


def test_who_turns_one_down_says_why() -> None:
    story = begun().given(recommend(), by="bot")
    story.when(AnswerRecommendation(**W, recommendation_id="M-1", answer="rejected")).refused_only(
        "recommendation-open"
    )
    story.fact(RecommendationAnswered(recommendation_id="M-1", answer="rejected", reason=" ")).finds_only(
        "recommendation-open"
    )
    other = begun().given(recommend(), by="bot")
    other.given(AnswerRecommendation(**W, recommendation_id="M-1", answer="rejected", reason="The lamp works."))


def test_a_recommendation_is_made_once_and_answered_once() -> None:
    story = begun().given(recommend(), by="bot")
    story.when(recommend("half"), by="bot").refused_only("recommendation-open")
    accept = AnswerRecommendation(**W, recommendation_id="M-1", answer="accepted")
    story.given(accept)
    again = AnswerRecommendation(**W, recommendation_id="M-1", answer="rejected", reason="No.")
    story.when(again).refused_only("recommendation-open")
    assert story.state().recommendations["M-1"].answered.answer == "accepted"


@pytest.mark.parametrize("chosen, followed", [("all", True), ("half", False)])
def test_whether_it_was_followed_is_derived(chosen: str, followed: bool) -> None:
    story = begun().given(ask(options=OPTIONS), by="bot").given(recommend(decision_id="N-1"), by="bot")
    story.given(choose(chosen))
    made = story.log()[-1].event.data
    assert (made.recommendation_id, made.followed, made.recommended_by) == ("M-1", followed, "bot")
    lie = DecisionMade(decision_id="N-1", decider="ana", chosen=chosen, recommendation_id="M-1", followed=not followed)
    fresh = begun().given(ask(options=OPTIONS), by="bot").given(recommend(decision_id="N-1"), by="bot")
    fresh.fact(lie).finds_only("recommendation-open")


# ---- deciding


def test_who_has_the_authority_decides_and_nobody_else() -> None:
    story = begun(decision_authority="ben").given(ask(), by="bot")
    for by in ("bot", "carla"):
        story.when(choose(), by=by).refused_only("decision-authority")
    story.when(choose(), by="ben").then(DecisionMade)
    other = begun(decision_authority="ben").given(ask(), by="bot")
    other.fact(DecisionMade(decision_id="N-1", decider="bot", chosen="all")).finds_only("decision-authority")


def test_the_holder_of_a_role_decides_and_so_does_who_answers() -> None:
    for by in ("ben", "ana"):
        story = begun(decision_authority="reviewer").granted("ben", "reviewer").given(ask(), by="bot")
        story.when(choose(), by="carla").refused_only("decision-authority")
        story.when(choose(), by=by).then(DecisionMade)


def test_another_system_may_report_what_was_decided() -> None:
    story = begun().given(ask(), by="bot")
    story.fact(DecisionMade(decision_id="N-1", decider="ana", chosen="all")).finds_nothing()
    assert story.state().decisions["N-1"].made.decider == "ana"


def test_a_decision_is_made_once_among_what_there_is() -> None:
    story = begun().given(ask(options=OPTIONS), by="bot")
    story.when(choose("double")).refused_only("decision-open")
    story.given(choose("half"))
    story.when(choose("all")).refused_only("decision-open")
    story.fact(DecisionMade(decision_id="N-1", decider="ana", chosen="all")).finds_only("decision-open")
    assert story.state().decisions["N-1"].made.chosen == "half"
    story.when(ask(options=OPTIONS[:1]), by="bot").refused_only("decision-open")


def test_what_is_asked_of_nobody_is_not_asked() -> None:
    begun().when(ask(from_="auditor"), by="bot").refused_only("decision-authority")
    begun().fact(DecisionRequested(decision_id="N-1", question="?", from_="auditor")).finds_only("decision-authority")


def test_the_decision_lands_in_the_execution_that_waits_for_it() -> None:
    story = begun()
    story.when(ask(execution_id="E-1", options=OPTIONS), by="bot").then(DecisionRequested, ExecutionInputRequired)
    assert story.state().life.state == "waiting_input"
    story.when(choose("half", rationale="The lamp works.")).then(DecisionMade, ExecutionInputProvided)
    decided, landed = (recorded.event for recorded in story.log()[-2:])
    assert (landed.causationid, landed.data.request_id, landed.data.answer) == (decided.id, "N-1", "half")
    assert landed.data.execution_id == "E-1"
    assert story.state().life.state == "in_progress"


# ---- how far authority goes


def limited(*limits: AuthorityLimit) -> Story:
    """Emil, who decides in this work, reports to Carl, he to Dora; the limits are in force."""
    people = (
        ParticipantRegistered(participant_id="dora", kind="human", display_name="Dora"),
        ParticipantRegistered(participant_id="carl", kind="human", display_name="Carl", reports_to="dora"),
        ParticipantRegistered(participant_id="emil", kind="human", display_name="Emil", reports_to="carl"),
    )
    rules = PolicyRules(authority=AuthorityRules(limits=limits))
    return (
        Story((*CAST, *people))
        .given(PublishPolicy(policy_id="money", kind="authority", rules=rules))
        .given(DefineWork(**W, title="Refund", accountable="ana", decision_authority="emil"))
        .given(DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act"))
        .given(StartExecution(**W, execution_id="E-1"), by="bot")
    )


LIMITS: Final = (
    AuthorityLimit(who="emil", up_to=eur("100")),
    AuthorityLimit(who="carl", up_to=eur("500")),
    AuthorityLimit(who="dora"),
)


def test_what_is_within_the_limit_is_decided() -> None:
    story = limited(*LIMITS).given(ask(amount=eur("100.00")), by="bot")
    story.when(choose(), by="emil").then(DecisionMade)


@pytest.mark.parametrize("amount, above", [("100.01", "carl"), ("500.01", "dora")])
def test_what_is_above_it_goes_to_the_next_authority_on_the_org_chart(amount: str, above: str) -> None:
    story = limited(*LIMITS).given(ask(), by="bot")
    story.when(choose(amount=eur(amount)), by="emil").then(WorkEscalated, EscalationNotified, DecisionRequested)
    raised, told, asked = (recorded.event.data for recorded in story.log()[-3:])
    assert (raised.reason, raised.ladder[0].targets, told.persons) == ("authorization_needed", (above,), (above,))
    assert (asked.from_, asked.amount, asked.escalation_id) == (above, eur(amount), raised.escalation_id)
    assert story.state().decisions["N-1"].made is None
    story.when(choose(), by="emil").refused("decision-authority")
    story.when(choose(), by=above).then(DecisionMade, EscalationResolved)


def test_it_goes_there_at_once_when_it_is_asked_for() -> None:
    story = limited(*LIMITS)
    story.when(ask(amount=eur("300"), execution_id="E-1"), by="bot").then(
        DecisionRequested, ExecutionInputRequired, WorkEscalated, EscalationNotified, DecisionRequested
    )
    story.when(choose(), by="carl").then(DecisionMade, ExecutionInputProvided, EscalationResolved)
    assert story.state().life.state == "in_progress"


def test_what_was_decided_above_the_limit_elsewhere_is_a_finding() -> None:
    story = limited(*LIMITS).given(ask(amount=eur("50")), by="bot")
    made = DecisionMade(decision_id="N-1", decider="emil", chosen="all", amount=eur("101"))
    story.fact(made).finds_only("decision-authority")


def test_where_the_chart_ends_nobody_is_asked_and_it_is_refused() -> None:
    story = limited(*LIMITS[:2]).given(ask(), by="bot")
    story.when(choose(amount=eur("501")), by="emil").refused_only("decision-authority")


def test_a_limit_is_of_a_kind_of_decision_and_may_have_a_condition() -> None:
    refund = AuthorityLimit(who="emil", activities=("refund",), up_to=eur("100"), when='work.priority == "normal"')
    story = limited(refund).given(ask(activity="refund", amount=eur("50")), by="bot")
    story.when(choose(), by="emil").then(DecisionMade)
    urgent = AuthorityLimit(who="emil", activities=("refund",), when='work.priority == "high"')
    story = limited(urgent).given(ask(activity="refund"), by="bot")
    story.when(choose(), by="emil").refused_only("decision-authority")
    # Of another kind the policy says nothing.
    story = limited(urgent).given(ask(activity="letter", amount=eur("900")), by="bot")
    story.when(choose(), by="emil").then(DecisionMade)


def test_money_in_another_currency_is_not_compared() -> None:
    story = limited(*LIMITS[:1]).given(ask(amount=Money(amount="900", currency="JPY")), by="bot")
    story.when(choose(), by="emil").then(DecisionMade)


def test_an_execution_that_waits_for_a_decision_is_not_answered_past_who_decides() -> None:
    story = limited(*LIMITS).given(ask(amount=eur("300"), execution_id="E-1"), by="bot")
    past = ProvideInput(**W, request_id="N-1", response="respond", answer="all")
    story.when(past, by="emil").refused_only("decision-open")
    fact = ExecutionInputProvided(request_id="N-1", response="respond", answer="all", by="emil")
    story.fact(fact).finds_only("decision-open")
