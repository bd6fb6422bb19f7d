"""Delegation: who may entrust whom with what, what is done within it, and how it ends."""

from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attorn.contracts.accountability import AccountabilityOffered, OfferAccountability
from attorn.contracts.context import AddNote
from attorn.contracts.delegation import (
    AcceptDelegation,
    Budget,
    Condition,
    DeclineDelegation,
    DelegateWork,
    DelegationAccepted,
    DelegationDeclined,
    DelegationExhausted,
    DelegationExpired,
    DelegationNarrowed,
    DelegationResumed,
    DelegationRevoked,
    DelegationSuspended,
    ExpectedOutput,
    ExpireDelegation,
    NarrowDelegation,
    ResumeDelegation,
    RevokeDelegation,
    SuspendDelegation,
    WorkDelegated,
)
from attorn.contracts.escalation import (
    EscalateWork,
    EscalationContext,
    EscalationNotified,
    ResolveEscalation,
    WorkEscalated,
)
from attorn.contracts.execution import (
    AdaptExecution,
    Cost,
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionProgressed,
    ExecutionStarted,
    ProgressExecution,
    ProvideInput,
    RecordAction,
    RequireInput,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.handover import AcceptHandover, HandoverOffered, OfferHandover
from attorn.contracts.ids import Money
from attorn.contracts.output import Output, OutputReleased, ReleaseOutput
from attorn.contracts.participant import (
    AddTeamMember,
    DeactivateParticipant,
    ParticipantSuspended,
    ResumeParticipant,
    SuspendParticipant,
)
from attorn.contracts.policy import DelegationRules, PolicyRules, PublishPolicy
from attorn.contracts.process import PublishProcess
from attorn.contracts.review import ReviewRequested, ReviewWork
from attorn.contracts.work import (
    AssignWork,
    CancelWork,
    CompleteWork,
    DefineWork,
    FailWork,
    SupersedeWork,
    VerifyWork,
    WorkAssigned,
    WorkSubmitted,
)
from attorn.projections import bounds
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


DONE: Final = (StartExecution(**W, execution_id="E-1"), ExecuteWork(**W, execution_id="E-1", result="completed"),
               VerifyWork(**W), CompleteWork(**W))  # fmt: skip


@pytest.mark.parametrize("end", [(CancelWork(**W),), (FailWork(**W),), (SupersedeWork(**W),), DONE],
                         ids=lambda end: end[-1].verb)  # fmt: skip
def test_nobody_is_entrusted_with_work_that_has_ended(end: Any) -> None:
    story = entrusted().given(*end)
    story.when(DelegateWork(**W, delegation_id="D-2", delegate="scout")).refused_only("illegal-transition")
    told = WorkDelegated(delegation_id="D-3", delegator="ana", delegate="scout")
    story.fact(told).finds_only("illegal-transition")


WIDEST: Final = DelegationRules(
    activities=("look", "draft"),
    exclusions=("orders/vip",),
    max_budget=Budget(tokens=100),
    max_duration=8 * HOUR,
    max_depth=1,
    max_autonomy="act_with_approval",
)
ALLOWED: Final[dict[str, Any]] = {
    "activities": ("look",),
    "exclusions": ("orders/vip", "orders/1"),
    "budget": Budget(tokens=50),
    "valid_until": BEGIN + 8 * HOUR,
    "autonomy": "suggest",
}


@pytest.mark.parametrize(
    "more",
    [
        {"activities": ("look", "pay")},
        {"activities": ()},
        {"exclusions": ()},
        {"budget": Budget(tokens=101)},
        {"budget": None},
        {"valid_until": BEGIN + 9 * HOUR},
        {"valid_until": None},
        {"may_subdelegate": True, "max_depth": 2},
        {"autonomy": "act"},
    ],
)
def test_nobody_gives_more_than_a_policy_in_force_says_may_be_given(more: dict[str, Any]) -> None:
    policy = PublishPolicy(policy_id="bounds", kind="delegation", rules=PolicyRules(delegation=WIDEST))
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), policy)
    story.when(DelegateWork(**W, delegate="bot", **ALLOWED | more)).refused_only("delegation-chain")
    wide = WorkDelegated(delegation_id="D-1", delegator="ana", delegate="bot", **ALLOWED | more)
    story.fact(wide).finds_only("delegation-chain")
    story.when(DelegateWork(**W, delegation_id="D-2", delegate="bot", **ALLOWED)).then(WorkDelegated)
    later = msgspec.structs.replace(policy, effective_at=BEGIN + 99 * HOUR)
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), later)
    story.when(DelegateWork(**W, delegate="bot", **ALLOWED | more)).then(WorkDelegated)


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


def test_what_would_be_over_before_it_is_given_is_not_given() -> None:
    past = BEGIN - HOUR
    asked = entrusted().when(DelegateWork(**W, delegation_id="D-2", delegate="bot", valid_until=past))
    asked.refused_only("deadline-past")
    assert [breach.field for breach in asked.breaches] == ["data.valid_until"]
    told = WorkDelegated(delegation_id="D-2", delegator="ana", delegate="bot", valid_until=past)
    entrusted().fact(told).finds_only("deadline-past")
    entrusted().fact(told, at=past - HOUR).finds_nothing()
    narrow = NarrowDelegation(**W, delegation_id="D-1", valid_until=past)
    entrusted().when(narrow).refused_only("deadline-past")
    entrusted().fact(DelegationNarrowed(delegation_id="D-1", by="ana", valid_until=past)).finds_only("deadline-past")


def test_a_team_is_nobody_who_acts_so_one_of_it_is_entrusted_or_it_is_assigned_the_work() -> None:
    story = entrusted().given(
        AddTeamMember(team_id="crew", member="ben"), AddTeamMember(team_id="crew", member="carla")
    )
    asked = story.when(DelegateWork(**W, delegate="crew"))
    asked.refused_only("delegation-chain")
    assert "delegate to one of it (ben, carla), or assign the work to crew" in asked.breaches[0].detail
    told = WorkDelegated(delegation_id="D-2", delegator="ana", delegate="crew")
    story.fact(told).finds_only("delegation-chain")
    # What a team is assigned, a member begins with.
    story.when(AssignWork(**W, executor="crew")).then(WorkAssigned)
    story.when(StartExecution(**W, execution_id="E-1"), by="ben").then(ExecutionStarted)


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
    story.when(act(), by="bot").refused_only("actor-suspended")
    # Nor does anybody else, in its name.
    story.when(act(), by="ana").refused_only("delegation-violated")


def test_who_is_suspended_takes_nothing_on_and_is_given_nothing() -> None:
    story = entrusted().given(OfferHandover(**W, handover_id="H-1", to="ben"), by="ana")
    story.given(SuspendParticipant(participant_id="bot"), SuspendParticipant(participant_id="ben"))
    story.when(AcceptDelegation(**W, delegation_id="D-1"), by="bot").refused_only("actor-suspended")
    story.fact(DelegationAccepted(delegation_id="D-1", by="bot")).finds_only("actor-suspended")
    story.when(AddNote(**W, text="hm"), by="bot").refused_only("actor-suspended")
    story.when(AcceptHandover(**W, handover_id="H-1"), by="ben").refused("actor-suspended")
    named = {"from_": "ana", "to": "ben"}
    told = WorkDelegated(delegation_id="D-3", delegator="ana", delegate="bot")
    for command, fact, field in (
        (DelegateWork(**W, delegate="bot"), told, "data.delegate"),
        (AssignWork(**W, executor="bot"), WorkAssigned(executor="bot"), "data.executor"),
        (OfferHandover(**W, to="ben"), HandoverOffered(handover_id="H-2", **named), "data.to"),
        (OfferAccountability(**W, to="ben"), AccountabilityOffered(**named), "data.to"),
        (DefineWork(work_id="W-2", title="Refund", accountable="ben"), None, "data.accountable"),
    ):
        asked = story.when(command)
        asked.refused_only("actor-suspended")
        [breach] = asked.breaches
        assert breach.field == field and "resume them first" in breach.detail
        if fact is not None:
            story.fact(fact).finds("actor-suspended")


def test_who_is_suspended_may_stop_and_ask_for_help() -> None:
    story = running(escalate_when=('result.result == "failed"',))
    story.given(SuspendParticipant(participant_id="bot"))
    story.when(ExecuteWork(**W, execution_id="E-1", result="completed"), by="bot").refused_only("actor-suspended")
    help_ = EscalationContext(summary="I was stopped", question="What now?")
    story.when(EscalateWork(**W, reason="exception", context=help_), by="bot").then(WorkEscalated, EscalationNotified)
    failed = ExecuteWork(**W, execution_id="E-1", result="failed", error_class="stopped")
    story.when(failed, by="bot").then(WorkExecuted, WorkEscalated, EscalationNotified)


def test_a_suspension_that_names_a_process_stops_the_delegations_in_it_and_no_others() -> None:
    in_it = {"work_id": "W-2", "delegation_id": "D-2"}
    story = running().given(
        PublishProcess(process_id="refunds", owner="ana"),
        DefineWork(work_id="W-2", title="Refund", accountable="ana", process="refunds"),
        DelegateWork(**in_it, delegate="bot", autonomy="act"),
        SuspendParticipant(participant_id="bot", scope="process/refunds"),
    )
    story.when(act(), by="bot").then(ExecutionActionRecorded)
    story.when(StartExecution(work_id="W-2", execution_id="E-2"), by="bot").refused_only("actor-suspended")
    started = ExecutionStarted(execution_id="E-2", executor="bot", process_version=1)
    story.fact(started, on="work/W-2").finds_only("delegation-violated")
    story.given(ResumeParticipant(participant_id="bot"))
    story.when(StartExecution(work_id="W-2", execution_id="E-3"), by="bot").then(ExecutionStarted)


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


def test_nobody_else_takes_it_back_or_lets_it_rest() -> None:
    entrusted().when(RevokeDelegation(**W, delegation_id="D-1"), by="carla").refused_only("delegation-open")
    entrusted().when(SuspendDelegation(**W, delegation_id="D-1"), by="carla").refused_only("delegation-open")
    entrusted().fact(DelegationSuspended(delegation_id="D-1", by="carla")).finds_only("delegation-open")


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


NAMES: Final = st.sampled_from(("a", "b", "a/1", "a/2", "b/1", "*", "a/*", "*/1", "a*1"))
BOUNDS: Final = st.fixed_dictionaries(
    {
        "activities": st.sets(st.sampled_from(("look", "draft", "pay")), max_size=2).map(tuple),
        "resource_keys": st.lists(NAMES, max_size=2).map(tuple),
        "exclusions": st.lists(NAMES, max_size=1).map(tuple),
        "autonomy": st.sampled_from(bounds.AUTONOMY),
        "budget": st.none() | st.builds(Budget, actions=st.integers(0, 3), tokens=st.none() | st.integers(0, 3)),
        "may_subdelegate": st.booleans(),
        "max_depth": st.integers(0, 2),
    }
)


@settings(max_examples=300, deadline=None)
@given(BOUNDS, BOUNDS, st.sampled_from(("look", "draft", "pay")), st.none() | NAMES, st.booleans())
def test_whatever_a_child_allows_its_parent_allows(
    parent: dict[str, Any], child: dict[str, Any], tool: str, target: str | None, side_effect: bool
) -> None:
    above = WorkDelegated(delegation_id="D-1", delegator="ana", delegate="bot", **parent)
    below = WorkDelegated(delegation_id="D-2", delegator="bot", delegate="scout", parent_id="D-1", **child)
    action = ExecutionActionRecorded(
        execution_id="E-1", action_id="A-1", tool=tool, target=target, side_effect=side_effect
    )
    if not any(bounds.excess(below, above)) and not any(bounds.beyond(below, action)):
        assert not list(bounds.beyond(above, action))


@pytest.mark.parametrize(
    "name, pattern, fits",
    [
        ("orders/7", "orders/*", True),
        ("orders/7", "*", True),
        ("orders/7", "*/7", True),
        ("orders/7", "o*s*7", True),
        ("orders", "orders*", True),
        ("orders/7", "orders/?", False),
        ("orders/7", "orders/[0-9]", False),
        ("aba", "ab*ba", False),
        ("orders/7", "orders", False),
        ("a" * 500 + "b", "*a" * 200 + "c", False),
    ],
)
def test_a_star_stands_for_anything_and_nothing_else_does(name: str, pattern: str, fits: bool) -> None:
    assert bounds.matches(name, (pattern,)) is fits


# ---- narrowing it, letting it rest


def test_it_is_narrowed_by_who_granted_it() -> None:
    story = running(activities=("look", "pay"), budget=Budget(actions=5, tokens=9))
    narrow = NarrowDelegation(**W, delegation_id="D-1", activities=("look",), budget=Budget(actions=3))
    story.when(narrow, by="carla").refused_only("delegation-open")
    story.when(narrow).then(DelegationNarrowed)
    assert story.state().delegations["D-1"].terms.budget == Budget(actions=3, tokens=9)
    story.when(act("pay"), by="bot").refused_only("delegation-violated")


@pytest.mark.parametrize(
    "wider", [{"activities": ("look", "pay")}, {"activities": ()}, {"budget": Budget(actions=9)}, {"autonomy": "act"}]
)
def test_narrowing_widens_nothing_whoever_says_so(wider: dict[str, Any]) -> None:
    story = entrusted(activities=("look",), budget=Budget(actions=5), autonomy="suggest")
    before = story.state().delegations["D-1"].terms
    story.when(NarrowDelegation(**W, delegation_id="D-1", **wider)).refused_only("delegation-chain")
    story.fact(DelegationNarrowed(delegation_id="D-1", **wider)).finds_only("delegation-chain")
    assert story.state().delegations["D-1"].terms == before


def test_what_rests_is_no_mandate_until_it_is_resumed() -> None:
    story = running()
    story.when(SuspendDelegation(**W, delegation_id="D-1")).then(DelegationSuspended(delegation_id="D-1", by="ana"))
    story.when(act(), by="bot").refused_only("delegation-violated")
    story.when(ResumeDelegation(**W, delegation_id="D-1"), by="bot").refused_only("delegation-open")
    story.when(ResumeDelegation(**W, delegation_id="D-1")).then(DelegationResumed)
    story.when(act(), by="bot").then(ExecutionActionRecorded)
    story.fact(DelegationResumed(delegation_id="D-1")).finds_only("delegation-open")


def test_with_a_delegation_all_that_descends_from_it_rests_and_wakes_up() -> None:
    story = passing_on().given(CHILD, by="bot")
    story.given(SuspendDelegation(**W, delegation_id="D-1"))
    assert {d.status for d in story.state().delegations.values()} == {"suspended"}
    story.when(ResumeDelegation(**W, delegation_id="D-2")).refused_only("delegation-open")
    story.given(ResumeDelegation(**W, delegation_id="D-1"))
    assert {d.status for d in story.state().delegations.values()} == {"granted"}


def test_what_rested_before_rests_on() -> None:
    story = passing_on().given(CHILD, by="bot").given(SuspendDelegation(**W, delegation_id="D-2"))
    story.given(SuspendDelegation(**W, delegation_id="D-1"), ResumeDelegation(**W, delegation_id="D-1"))
    assert [d.status for d in story.state().delegations.values()] == ["granted", "suspended"]


def test_an_acceptance_wakes_nothing_up() -> None:
    story = entrusted().given(SuspendDelegation(**W, delegation_id="D-1"))
    story.fact(DelegationAccepted(delegation_id="D-1", by="bot")).finds_only("delegation-open")
    assert story.state().delegations["D-1"].status == "suspended"


# ---- its end


def test_it_expires_when_its_time_is_over_and_not_before() -> None:
    story = entrusted(valid_until=BEGIN + HOUR)
    story.when(ExpireDelegation(**W, delegation_id="D-1")).refused_only("delegation-open")
    story.fact(DelegationExpired(delegation_id="D-1")).finds_only("delegation-open")
    later = entrusted(valid_until=BEGIN + HOUR).later(hours=2)
    later.when(ExpireDelegation(**W, delegation_id="D-1")).then(DelegationExpired)


def test_the_last_use_is_the_last() -> None:
    story = running(max_uses=1)
    story.when(StartExecution(**W, execution_id="E-2"), by="bot").refused_only("delegation-violated")
    story.when(act(), by="bot").then(ExecutionActionRecorded)
    story.when(ExecuteWork(**W, execution_id="E-1", result="failed"), by="bot").then(
        WorkExecuted, DelegationExhausted(delegation_id="D-1", reason="1 of 1 uses")
    )
    story.when(StartExecution(**W, delegation_id="D-1"), by="bot").refused_only("delegation-violated")


def test_a_start_that_is_reported_again_is_no_second_use() -> None:
    story = running(max_uses=2)
    again = ExecutionStarted(execution_id="E-1", executor="bot", delegation_id="D-1")
    story.fact(again).finds_only("execution-unknown")
    story.when(StartExecution(**W, execution_id="E-2"), by="bot").then(ExecutionStarted)


def test_the_action_that_reaches_the_budget_is_the_last_and_the_result_is_handed_in() -> None:
    story = running(budget=Budget(actions=2))
    story.when(act(), by="bot").then(ExecutionActionRecorded)
    story.when(act(), by="bot").then(
        ExecutionActionRecorded, DelegationExhausted(delegation_id="D-1", reason="2 of 2 actions")
    )
    story.when(act(), by="bot").refused_only("delegation-violated")
    story.when(ExecuteWork(**W, execution_id="E-1", result="completed"), by="bot").then(WorkExecuted)


def test_what_is_reported_beyond_the_budget_is_a_finding() -> None:
    story = running(budget=Budget(actions=1))
    done = ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="look")
    story.fact(done).finds_nothing()
    story.fact(done).finds_only("delegation-violated")
    assert story.state().delegations["D-1"].spent.actions == 2


@pytest.mark.parametrize(
    "budget, cost, reason",
    [
        (Budget(tokens=100), Cost(tokens_in=60, tokens_out=40), "100 of 100 tokens"),
        (
            Budget(money=Money(amount="0.30", currency="EUR")),
            Cost(money=Money(amount="0.30", currency="EUR")),
            "0.30 of 0.30 money",
        ),
    ],
)
def test_what_an_execution_costs_is_spent(budget: Budget, cost: Cost, reason: str) -> None:
    def execute(result: Any, cost: Cost) -> ExecuteWork:
        return ExecuteWork(**W, execution_id="E-1", result=result, cost=cost)

    exhausted = DelegationExhausted(delegation_id="D-1", reason=reason)
    running(budget=budget).when(execute("completed", cost), by="bot").then(WorkExecuted, exhausted)
    more = Cost(tokens_in=101, money=Money(amount="0.31", currency="EUR"))
    running(budget=budget).when(execute("completed", more), by="bot").refused("delegation-violated")
    # What was spent can always be said.
    running(budget=budget).when(execute("failed", more), by="bot").then(WorkExecuted, DelegationExhausted)


def test_its_time_is_counted_over_all_executions() -> None:
    story = running(budget=Budget(elapsed=HOUR)).later(minutes=40)
    story.given(ExecuteWork(**W, execution_id="E-1", result="failed"), by="bot")
    story.given(StartExecution(**W, execution_id="E-2"), by="bot").later(minutes=30)
    later = RecordAction(**W, execution_id="E-2", tool="look")
    story.when(later, by="bot").refused_only("delegation-violated")


def test_who_passes_it_on_shares_the_budget() -> None:
    parent = msgspec.structs.replace(PARENT, budget=Budget(actions=2))
    child = msgspec.structs.replace(CHILD, budget=Budget(actions=2))
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), parent).given(child, by="bot")
    story.given(StartExecution(**W, execution_id="E-1", delegation_id="D-1"), by="bot")
    story.given(StartExecution(**W, execution_id="E-2", delegation_id="D-2"), by="scout")
    story.given(act(target="orders/1"), by="bot")
    story.when(RecordAction(**W, execution_id="E-2", tool="look"), by="scout").then(
        ExecutionActionRecorded, DelegationExhausted(delegation_id="D-1", reason="2 of 2 actions")
    )
    assert {d.status for d in story.state().delegations.values()} == {"exhausted"}


def test_nothing_is_exhausted_that_is_not_spent() -> None:
    entrusted(max_uses=3).fact(DelegationExhausted(delegation_id="D-1")).finds_only("delegation-open")


# ---- conditions

SMALL: Final = "action.amount <= 200.0"


def pay(amount: str = "500.00") -> RecordAction:
    return act("pay", amount=Money(amount=amount, currency="EUR"))


def test_a_condition_that_is_not_met_is_refused_and_found_by_its_id() -> None:
    story = running(conditions=(Condition(id="small", expr=SMALL),))
    story.when(pay("200.00"), by="bot").then(ExecutionActionRecorded)
    [breach] = story.when(pay(), by="bot").breaches
    assert (breach.rule, "condition small of D-1" in breach.detail) == ("delegation-violated", True)
    fact = ExecutionActionRecorded(
        execution_id="E-1", action_id="A-1", tool="pay", amount=Money(amount="500.00", currency="EUR")
    )
    story.fact(fact).finds_only("delegation-violated")


def test_a_condition_that_cannot_be_evaluated_is_not_met() -> None:
    story = running(conditions=(Condition(id="small", expr=SMALL),))
    [breach] = story.when(act("pay"), by="bot").breaches
    assert breach.detail == "condition small of D-1 is not met: action.amount is not known here"
    told = story.fact(ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay"))
    told.finds_only("delegation-violated")


def test_a_condition_that_flags_holds_nothing_up() -> None:
    story = running(conditions=(Condition(id="small", expr=SMALL, on_violation="flag"),))
    story.when(pay(), by="bot").then(ExecutionActionRecorded)
    assert story.findings()[story.log()[-1].position] == {"condition-flagged"}
    fact = ExecutionActionRecorded(
        execution_id="E-1", action_id="A-2", tool="pay", amount=Money(amount="500.00", currency="EUR")
    )
    story.fact(fact).finds_only("condition-flagged")


def test_a_condition_that_escalates_asks_once_and_holds_nothing_up() -> None:
    story = running(conditions=(Condition(id="small", expr=SMALL, on_violation="escalate"),))
    story.when(pay(), by="bot").then(ExecutionActionRecorded, WorkEscalated, EscalationNotified)
    raised = story.log()[-2].event
    assert (raised.data.reason, raised.data.blocking, raised.causationid) == (
        "policy_required", False, story.log()[-3].event.id,
    )  # fmt: skip
    story.when(pay(), by="bot").then(ExecutionActionRecorded)


def test_a_condition_of_the_work_or_of_the_time_is_held_against_the_start() -> None:
    conditions = (Condition(id="urgent", expr='work.priority == "high"'),)
    entrusted(conditions=conditions).when(StartExecution(**W, delegation_id="D-1"), by="bot").refused_only(
        "delegation-violated"
    )
    spring = (Condition(id="march", expr='at < timestamp("2026-04-01T00:00:00Z")'),)
    story = running(conditions=spring)
    story.later(days=60).when(act(), by="bot").refused_only("delegation-violated")


def test_a_condition_of_outputs_is_held_against_each() -> None:
    story = running(conditions=(Condition(id="own", expr='output.contribution != "human"'),))

    def hand_in(*contributions: Any) -> ExecuteWork:
        outputs = tuple(
            Output(output_id=f"O-{number}", dig=DIG, contribution=each) for number, each in enumerate(contributions)
        )
        return ExecuteWork(**W, execution_id="E-1", result="completed", outputs=outputs)

    story.when(hand_in("ai", "human"), by="bot").refused_only("delegation-violated")
    story.when(hand_in("ai", "mixed"), by="bot").then(WorkExecuted)


@pytest.mark.parametrize(
    "terms",
    [
        {"conditions": (Condition(id="c", expr="action.amount <="),)},
        {"conditions": (Condition(id="c", expr="order.open"),)},
        {"conditions": (Condition(id="c", expr="true"), Condition(id="c", expr="false"))},
        {"escalate_when": ("action.amount > result.amount",)},
    ],
)
def test_a_condition_that_is_none_is_not_granted(terms: dict[str, Any]) -> None:
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"))
    story.when(DelegateWork(**W, delegate="bot", **terms)).refused_only("condition-unsound")
    grant = WorkDelegated(delegation_id="D-1", delegator="ana", delegate="bot", **terms)
    story.fact(grant).finds_only("condition-unsound")


# ---- when they have to ask


def test_who_failed_need_not_say_how_sure_they_are_of_it() -> None:
    for expression in ("result.confidence < 0.7", "0.7 > result.confidence"):
        failed = ExecuteWork(**W, execution_id="E-1", result="failed", error_class="budget")
        running(escalate_when=(expression,)).when(failed, by="bot").then(WorkExecuted)
        told = running(escalate_when=(expression,)).fact(WorkExecuted(execution_id="E-1", result="failed"))
        told.finds_nothing().fact(ExecutionStarted(execution_id="E-2", executor="bot"), id="again").finds_nothing()
        unsure = ExecuteWork(**W, execution_id="E-1", result="failed", confidence=0.1)
        running(escalate_when=(expression,)).when(unsure, by="bot").then(
            WorkExecuted, WorkEscalated, EscalationNotified
        )
    when = ('result.result == "failed" || result.confidence < 0.7',)
    running(escalate_when=when).when(failed, by="bot").then(WorkExecuted, WorkEscalated, EscalationNotified)


def test_who_completed_and_does_not_say_how_sure_they_are_is_asked_and_not_for_being_unsure() -> None:
    story = running(escalate_when=("result.confidence < 0.7",))
    done = ExecuteWork(**W, execution_id="E-1", result="completed")
    story.when(done, by="bot").then(WorkExecuted, WorkEscalated, EscalationNotified)
    raised = story.log()[-2].event.data
    assert raised.reason == "policy_required"
    assert "result.confidence < 0.7 cannot be told: result.confidence is not known here" in raised.context.summary


def test_a_condition_is_not_held_against_what_came_of_nothing() -> None:
    sure = (Condition(id="sure", expr="result.confidence >= 0.7", on_violation="escalate"),)
    failed = ExecuteWork(**W, execution_id="E-1", result="failed")
    running(conditions=sure).when(failed, by="bot").then(WorkExecuted)


def test_little_confidence_is_escalated_with_the_result() -> None:
    story = running(escalate_when=("result.confidence < 0.7",))
    done = ExecuteWork(**W, execution_id="E-1", result="completed", confidence=0.5)
    story.when(done, by="bot").then(WorkExecuted, WorkEscalated, EscalationNotified)
    raised = story.log()[-2].event.data
    assert (raised.reason, raised.blocking, raised.raised_by) == ("low_confidence", True, "bot")
    assert raised.ladder[-1].targets == ("ana",)
    sure = ExecuteWork(**W, execution_id="E-1", result="completed", confidence=0.7)
    running(escalate_when=("result.confidence < 0.7",)).when(sure, by="bot").then(WorkExecuted)


def test_a_budget_that_is_spent_is_escalated_where_the_delegation_says_so() -> None:
    story = running(budget=Budget(actions=1), escalate_when=("delegation.exhausted",))
    story.when(act(), by="bot").then(ExecutionActionRecorded, DelegationExhausted, WorkEscalated, EscalationNotified)
    assert story.log()[-2].event.data.reason == "budget_exhausted"


def test_the_same_is_asked_again_only_when_it_was_settled() -> None:
    story = running(escalate_when=('action.tool == "pay"',))
    story.when(pay(), by="bot").then(ExecutionActionRecorded, WorkEscalated, EscalationNotified)
    first = story.log()[-2].event.data
    assert first.reason == "policy_required"
    story.when(pay(), by="bot").then(ExecutionActionRecorded)
    story.given(ResolveEscalation(**W, escalation_id=first.escalation_id, outcome="returned"))
    story.when(pay(), by="bot").then(ExecutionActionRecorded, WorkEscalated, EscalationNotified)


def test_who_had_to_ask_and_did_not_is_found() -> None:
    story = running(escalate_when=('action.tool == "pay"',))
    story.fact(ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay")).finds_nothing()
    made = WorkExecuted(execution_id="E-1", result="completed", outputs=(Output(output_id="O-1", dig=DIG),))
    story.fact(made).finds_only("escalation-due")
    # Nothing waits for that; whoever looks at the findings does.
    for command in (ReleaseOutput(**W, output_id="O-1"), VerifyWork(**W), CompleteWork(**W)):
        story.given(command)
        assert story.findings().get(story.log()[-1].position) == {"escalation-due"}


def test_what_is_handed_in_although_somebody_had_to_be_asked_is_found_as_well() -> None:
    story = running(escalate_when=('action.tool == "pay"',))
    story.fact(ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay"))
    story.fact(WorkSubmitted()).finds_only("escalation-due")


def test_who_had_to_ask_and_did_so_late_is_found_no_more() -> None:
    story = running(escalate_when=('action.tool == "pay"',))
    story.fact(ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay")).finds_nothing()
    context = EscalationContext(summary="It was paid", question="Was that right?")
    story.given(EscalateWork(**W, reason="manual", context=context), by="bot")
    story.fact(WorkExecuted(execution_id="E-1", result="completed")).finds_nothing()


# ---- how far they go by themselves


def write(**said: Any) -> RecordAction:
    return act("pay", side_effect=True, **said)


def test_who_acts_with_approval_has_it_first() -> None:
    story = running(autonomy="act_with_approval")
    story.when(act(), by="bot").then(ExecutionActionRecorded)
    story.when(write(), by="bot").refused_only("approval-missing")
    ask = RequireInput(**W, execution_id="E-1", request_id="Q-1", from_="ana", kind="approval", question="May I pay?")
    story.given(ask, by="bot")
    story.when(write(), by="bot").refused("approval-missing")
    story.given(ProvideInput(**W, request_id="Q-1", response="accept"))
    story.when(write(), by="bot").then(ExecutionActionRecorded)


def test_what_was_declined_or_only_answered_is_no_approval() -> None:
    for kind, response in (("approval", "decline"), ("information", "accept")):
        story = running(autonomy="act_with_approval")
        ask = RequireInput(**W, execution_id="E-1", request_id="Q-1", from_="ana", kind=kind, question="May I pay?")  # type: ignore[arg-type]
        story.given(ask, by="bot").given(ProvideInput(**W, request_id="Q-1", response=response))  # type: ignore[arg-type]
        story.when(write(), by="bot").refused_only("approval-missing")


def test_another_plan_wants_another_approval() -> None:
    story = running(autonomy="act_with_approval")
    ask = RequireInput(**W, execution_id="E-1", request_id="Q-1", from_="ana", kind="approval", question="May I pay?")
    story.given(ask, by="bot").given(ProvideInput(**W, request_id="Q-1", response="accept"))
    story.given(AdaptExecution(**W, execution_id="E-1", reason="another account"), by="bot")
    story.when(write(), by="bot").refused_only("approval-missing")


def handed_in(autonomy: str) -> Story:
    output = Output(output_id="O-1", dig=DIG)
    return running(autonomy=autonomy).given(
        ExecuteWork(**W, execution_id="E-1", result="completed", outputs=(output,)), by="bot"
    )


def test_who_acts_and_is_reviewed_after_releases_nothing_before() -> None:
    story = handed_in("act_then_review")
    assert isinstance(story.log()[-1].event.data, ReviewRequested)
    for by in ("ana", "bot"):
        story.when(ReleaseOutput(**W, output_id="O-1"), by=by).refused_only("control-bypassed")
    story.fact(OutputReleased(output_id="O-1")).finds_only("control-bypassed")
    approve = ReviewWork(**W, review_id="E-1-R1", output_id="O-1", output_dig=DIG, verdict="approved")
    story.given(approve).when(ReleaseOutput(**W, output_id="O-1"), by="bot").then_nothing()


def test_who_only_suggests_releases_nothing_that_nobody_consented_to() -> None:
    handed_in("suggest").when(ReleaseOutput(**W, output_id="O-1"), by="bot").refused_only("delegation-violated")
    handed_in("act_with_approval").when(ReleaseOutput(**W, output_id="O-1"), by="bot").refused_only("approval-missing")
    handed_in("suggest").when(ReleaseOutput(**W, output_id="O-1"), by="ana").then(OutputReleased)


def test_who_may_act_acts() -> None:
    story = running(autonomy="act")
    story.when(write(), by="bot").then(ExecutionActionRecorded)
    handed_in("act").when(ReleaseOutput(**W, output_id="O-1"), by="bot").then(OutputReleased)
    handed_in("act").given(VerifyWork(**W), CompleteWork(**W))


def test_who_names_no_delegation_is_held_to_the_one_that_they_have() -> None:
    story = entrusted(conditions=(Condition(id="urgent", expr='work.priority == "high"'),))
    story.fact(ExecutionStarted(execution_id="E-1", executor="bot")).finds_only("delegation-violated")
    used = running(max_uses=1)
    used.fact(ExecutionStarted(execution_id="E-2", executor="bot")).finds_only("delegation-violated")
