"""Delegation: who may entrust whom with what, what is done within it, and how it ends."""

from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attorn.contracts.delegation import (
    AcceptDelegation,
    Budget,
    Condition,
    DeclineDelegation,
    DelegateWork,
    DelegationAccepted,
    DelegationDeclined,
    DelegationNarrowed,
    DelegationRevoked,
    DelegationSuspended,
    ExpectedOutput,
    RevokeDelegation,
    WorkDelegated,
)
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionProgressed,
    ExecutionStarted,
    ProgressExecution,
    RecordAction,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.ids import Money
from attorn.contracts.output import Output
from attorn.contracts.participant import DeactivateParticipant, ParticipantSuspended
from attorn.contracts.work import AssignWork, DefineWork
from story import BEGIN, Story

W: Final = {"work_id": "W-1"}
DIG: Final = "sha256:" + "a" * 64
HOUR: Final = timedelta(hours=1)


def entrusted(**terms: Any) -> Story:
    """Ana has entrusted bot with D-1."""
    terms = {"autonomy": "act"} | terms
    return Story().given(
        DefineWork(**W, title="Refund", accountable="ana"),
        DelegateWork(**W, delegation_id="D-1", delegate="bot", **terms),
    )


def running(**terms: Any) -> Story:
    return entrusted(**terms).given(StartExecution(**W, execution_id="E-1"), by="bot")


def act(tool: str = "look", **said: Any) -> RecordAction:
    return RecordAction(**W, execution_id="E-1", tool=tool, **said)


# ---- by whom


def test_only_who_has_a_part_in_the_work_entrusts_others_with_it() -> None:
    story = entrusted()
    story.when(DelegateWork(**W, delegation_id="D-2", delegate="bot"), by="ben").refused_only("delegation-chain")
    story.fact(WorkDelegated(delegation_id="D-3", delegator="ben", delegate="bot")).finds_only("delegation-chain")
    assigned = entrusted().given(AssignWork(**W, executor="ben"))
    assigned.when(DelegateWork(**W, delegation_id="D-2", delegate="bot"), by="ben").then(WorkDelegated)


# ---- within it


def test_an_agent_works_under_the_newest_live_delegation() -> None:
    story = entrusted()
    story.when(StartExecution(**W, execution_id="E-1"), by="bot").then(
        ExecutionStarted(execution_id="E-1", executor="bot", delegation_id="D-1")
    )
    assert story.log()[-1].event.onbehalfof == "ana"


@pytest.mark.parametrize(
    "terms, action",
    [
        ({"activities": ("look",)}, act("pay")),
        ({"exclusions": ("pay*",)}, act("pay_out")),
        ({"exclusions": ("account/7",)}, act(target="account/7")),
        ({"resource_keys": ("orders/*",)}, act(target="accounts/7")),
        ({"resource_keys": ("orders/*",)}, act(side_effect=True)),
        ({"autonomy": "suggest"}, act(side_effect=True)),
    ],
)
def test_what_is_beyond_it_is_refused_and_a_finding(terms: dict[str, Any], action: RecordAction) -> None:
    running(**terms).when(action, by="bot").refused_only("delegation-violated")

    said = {field: getattr(action, field) for field in ("tool", "target", "side_effect")}
    fact = ExecutionActionRecorded(execution_id="E-1", action_id="A-1", **said)
    running(**terms).fact(fact).finds_only("delegation-violated")


@pytest.mark.parametrize(
    "terms, action",
    [
        ({}, act("pay", target="account/7", side_effect=True)),
        ({"activities": ("look",), "exclusions": ("pay*",)}, act()),
        ({"resource_keys": ("orders/*",)}, act(target="orders/7", side_effect=True)),
        ({"autonomy": "suggest"}, act()),
    ],
)
def test_what_is_within_it_is_recorded(terms: dict[str, Any], action: RecordAction) -> None:
    running(**terms).when(action, by="bot").then(ExecutionActionRecorded)


def test_it_is_over_when_its_time_is() -> None:
    story = running(valid_from=BEGIN, valid_until=BEGIN + HOUR)
    story.when(act(), by="bot").then(ExecutionActionRecorded)
    story.later(hours=2).when(act(), by="bot").refused_only("delegation-violated")
    story.when(ExecuteWork(**W, execution_id="E-1", result="completed"), by="bot").refused_only("delegation-violated")
    # That it broke off can always be said.
    story.when(ExecuteWork(**W, execution_id="E-1", result="aborted"), by="bot").then(WorkExecuted)


def test_it_does_not_begin_before_its_time() -> None:
    story = entrusted(valid_from=BEGIN + HOUR)
    story.when(StartExecution(**W), by="bot").refused_only("undelegated-execution")
    story.when(StartExecution(**W, delegation_id="D-1"), by="bot").refused_only("delegation-violated")
    story.later(hours=2).when(StartExecution(**W), by="bot").then(ExecutionStarted)


def test_what_was_expected_is_handed_in() -> None:
    terms = {"expected_outputs": (ExpectedOutput(name="decision"), ExpectedOutput(name="log", required=False))}
    story = running(**terms)
    other = Output(output_id="O-1", name="letter", dig=DIG)
    decision = Output(output_id="O-2", name="decision", dig=DIG)

    def execute(*outputs: Output) -> ExecuteWork:
        return ExecuteWork(**W, execution_id="E-1", result="completed", outputs=outputs)

    story.when(execute(other), by="bot").refused_only("delegation-violated")
    story.when(execute(other, decision), by="bot").then(WorkExecuted)


def test_an_agent_that_is_suspended_does_nothing_under_it() -> None:
    story = running().given(ParticipantSuspended(), on="participant/bot")
    story.when(act(), by="bot").refused_only("delegation-violated")


def test_an_agent_speaks_for_itself_only() -> None:
    story = running()
    story.when(StartExecution(**W, executor="ana"), by="scout").refused("undelegated-execution")
    story.when(ProgressExecution(**W, execution_id="E-1"), by="scout").refused_only("undelegated-execution")
    story.when(act(), by="scout").refused_only("undelegated-execution")
    story.when(ExecuteWork(**W, execution_id="E-1", result="completed"), by="scout").refused("undelegated-execution")
    # A person may say what anybody did.
    story.when(ProgressExecution(**W, execution_id="E-1"), by="ben").then(ExecutionProgressed)


def test_an_agent_that_began_without_a_mandate_does_not_get_one_by_going_on() -> None:
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"))
    story.fact(ExecutionStarted(execution_id="E-1", executor="bot")).finds_only("undelegated-execution")
    story.when(act(), by="bot").refused_only("undelegated-execution")
    story.when(ExecuteWork(**W, execution_id="E-1", result="completed"), by="bot").refused_only("undelegated-execution")


def test_the_delegation_of_another_is_no_mandate() -> None:
    entrusted().when(StartExecution(**W, delegation_id="D-1"), by="scout").refused_only("undelegated-execution")


# ---- taking it on, taking it back


def test_only_the_delegate_takes_it_on() -> None:
    story = entrusted()
    story.when(AcceptDelegation(**W, delegation_id="D-1"), by="scout").refused_only("delegation-open")
    story.when(AcceptDelegation(**W, delegation_id="D-1"), by="bot").then(DelegationAccepted)
    story.when(DeclineDelegation(**W, delegation_id="D-1"), by="bot").refused_only("delegation-open")


def test_what_was_declined_is_no_mandate() -> None:
    story = entrusted()
    story.when(DeclineDelegation(**W, delegation_id="D-1"), by="bot").then(DelegationDeclined)
    story.when(StartExecution(**W), by="bot").refused_only("undelegated-execution")


@pytest.mark.parametrize("by", ["ana", "root"])
def test_who_granted_it_or_has_authority_takes_it_back(by: str) -> None:
    story = running()
    story.when(RevokeDelegation(**W, delegation_id="D-1"), by=by).then(DelegationRevoked(delegation_id="D-1", by=by))
    story.when(act(), by="bot").refused_only("delegation-violated")


def test_nobody_else_takes_it_back() -> None:
    entrusted().when(RevokeDelegation(**W, delegation_id="D-1"), by="carla").refused_only("delegation-open")


def test_the_successor_of_who_answers_takes_it_back() -> None:
    story = entrusted().given(DeactivateParticipant(participant_id="ana", successor="carla"))
    story.when(RevokeDelegation(**W, delegation_id="D-1"), by="carla").then(DelegationRevoked)


def test_what_is_over_stays_over_whatever_is_reported_late() -> None:
    story = running().given(RevokeDelegation(**W, delegation_id="D-1"))
    story.fact(DelegationAccepted(delegation_id="D-1", by="bot")).finds_only("delegation-open")
    story.fact(DelegationSuspended(delegation_id="D-1"))

    assert story.state().delegations["D-1"].status == "revoked"
    story.when(act(), by="bot").refused_only("delegation-violated")


def test_what_was_taken_back_is_not_granted_again_under_its_id() -> None:
    grant = DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act")
    story = entrusted()
    story.when(grant).then_nothing()
    story.given(RevokeDelegation(**W, delegation_id="D-1"))
    story.when(grant).refused_only("delegation-open")


# ---- passing it on

PARENT: Final = DelegateWork(
    **W, delegation_id="D-1", delegate="bot", may_subdelegate=True, max_depth=1, autonomy="act_then_review",
    activities=("look", "draft"), resource_keys=("orders/*",), exclusions=("pay",), max_uses=5,
    conditions=(Condition(id="C-1", expr="true"),), escalate_when=("false",),
    valid_from=BEGIN, valid_until=BEGIN + HOUR,
    budget=Budget(tokens=100, money=Money(amount="10", currency="EUR")),
)  # fmt: skip
CHILD: Final = msgspec.structs.replace(
    PARENT, delegation_id="D-2", delegate="scout", parent_id="D-1", may_subdelegate=False, max_depth=0
)


def passing_on() -> Story:
    return Story().given(DefineWork(**W, title="Refund", accountable="ana"), PARENT)


def test_it_is_passed_on_within_its_bounds() -> None:
    passing_on().when(CHILD, by="bot").then(WorkDelegated)


@pytest.mark.parametrize(
    "wider",
    [
        {"max_depth": 1},
        {"activities": ("look", "pay")},
        {"activities": ()},
        {"resource_keys": ("accounts/*",)},
        {"resource_keys": ()},
        {"exclusions": ()},
        {"conditions": ()},
        {"escalate_when": ()},
        {"autonomy": "act"},
        {"valid_until": None},
        {"valid_until": BEGIN + 2 * HOUR},
        {"valid_from": None},
        {"max_uses": None},
        {"max_uses": 6},
        {"budget": None},
        {"budget": Budget(tokens=101, money=Money(amount="10", currency="EUR"))},
        {"budget": Budget(tokens=100, money=Money(amount="10.01", currency="EUR"))},
        {"budget": Budget(tokens=100, money=Money(amount="9", currency="USD"))},
    ],
)
def test_it_is_only_narrowed_by_passing_it_on(wider: dict[str, Any]) -> None:
    passing_on().when(msgspec.structs.replace(CHILD, **wider), by="bot").refused_only("delegation-chain")


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.sampled_from(("look", "draft", "pay"))),
    st.sampled_from(("suggest", "act_with_approval", "act_then_review", "act")),
    st.sampled_from((None, 30, 60, 90)),
    st.sampled_from((None, 1, 5, 9)),
)
def test_no_child_allows_what_its_parent_does_not(
    activities: set[str], autonomy: Any, minutes: int | None, uses: int | None
) -> None:
    until = BEGIN + timedelta(minutes=minutes) if minutes is not None else None
    child = msgspec.structs.replace(
        CHILD, activities=tuple(activities), autonomy=autonomy, valid_until=until, max_uses=uses
    )
    narrower = (
        bool(activities) and activities <= {"look", "draft"} and autonomy != "act"
        and until is not None and until <= BEGIN + HOUR and uses is not None and uses <= 5
    )  # fmt: skip
    asked = passing_on().when(child, by="bot")

    assert (asked.receipt is not None) == narrower, asked.breaches


def test_a_delegation_that_may_not_be_passed_on_is_not() -> None:
    story = entrusted()
    child = DelegateWork(**W, delegate="scout", parent_id="D-1")
    story.when(child, by="bot").refused_only("delegation-chain")


def test_nobody_passes_on_what_is_not_theirs() -> None:
    passing_on().when(CHILD, by="scout").refused_only("delegation-chain")


def test_with_a_delegation_all_that_descends_from_it_is_taken_back() -> None:
    story = passing_on().given(CHILD, by="bot").given(StartExecution(**W, execution_id="E-1"), by="scout")
    assert story.log()[-1].event.onbehalfof == "ana"
    story.given(RevokeDelegation(**W, delegation_id="D-1"))

    assert {d.status for d in story.state().delegations.values()} == {"revoked"}
    story.when(act(target="orders/7"), by="scout").refused_only("delegation-violated")


def test_what_narrows_a_delegation_binds_all_that_descends_from_it() -> None:
    story = passing_on().given(CHILD, by="bot").given(StartExecution(**W, execution_id="E-1"), by="scout")
    story.when(act("draft", target="orders/7"), by="scout").then(ExecutionActionRecorded)
    story.fact(DelegationNarrowed(delegation_id="D-1", activities=("look",)))
    story.when(act("draft", target="orders/7"), by="scout").refused_only("delegation-violated")
