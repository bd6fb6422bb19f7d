"""Moving work on: when it is ready, who gets it, how urgent it is, by when; resting, and taking its place."""

from datetime import timedelta
from typing import Any, Final

import pytest

from attorn.contracts.accountability import AccountabilityTransferred, TransferAccountability
from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRevoked
from attorn.contracts.context import ContextShared, ShareContext
from attorn.contracts.deadline import DeadlineSet, SetDeadline
from attorn.contracts.delegation import DelegateWork, WorkDelegated
from attorn.contracts.escalation import EscalateWork, EscalationContext, ResolveEscalation, Rung
from attorn.contracts.execution import ExecuteWork, ExecutionStarted, StartExecution, WorkExecuted
from attorn.contracts.ids import Ref
from attorn.contracts.participant import DeclareAbsence, ParticipantRegistered, SuspendParticipant
from attorn.contracts.policy import EscalationRules, PolicyRules, PublishPolicy
from attorn.contracts.process import PublishProcess, Raci, Step
from attorn.contracts.work import (
    AssignWork,
    Change,
    ClarifyWork,
    DeclineWork,
    DefineWork,
    FailWork,
    Purpose,
    ReadyWork,
    ReopenWork,
    ReprioritizeWork,
    ResumeWork,
    SupersedeWork,
    SuspendWork,
    UnassignWork,
    WorkAssigned,
    WorkClarified,
    WorkDeclined,
    WorkDefined,
    WorkReadied,
    WorkReprioritized,
    WorkResumed,
    WorkSuperseded,
    WorkSuspended,
    WorkUnassigned,
)
from attorn.projections.stack import stack
from story import BEGIN, CAST, Story

W: Final = {"work_id": "W-1"}
DUE: Final = BEGIN + timedelta(days=3)
DEFINE: Final = DefineWork(**W, title="Refund", accountable="ana")


def defined(**said: Any) -> Story:
    return Story().given(DefineWork(**W, title="Refund", accountable="ana", **said))


def demanding(*required: str, **said: Any) -> Story:
    """W-1 runs under a process with this definition of ready."""
    return Story().given(
        PublishProcess(process_id="refunds", owner="ana", definition_of_ready=required),
        DefineWork(**W, title="Refund", accountable="ana", process="refunds", **said),
    )


# ---- ready


def test_without_a_definition_of_ready_nothing_is_demanded() -> None:
    demanding().when(StartExecution(**W)).then(ExecutionStarted)
    defined().when(ReadyWork(**W)).then(WorkReadied(missing=("why", "what", "when", "how")))


def test_what_is_not_ready_is_neither_delegated_nor_started_and_every_reason_is_listed() -> None:
    story = demanding("why", "when: the customer has a date", "the order is known")
    for command in (DelegateWork(**W, delegate="bot"), StartExecution(**W)):
        [breach] = story.when(command).refused_only("not-ready") and story.when(command).breaches
        for reason in ("'why'", "'when: the customer has a date'", "'the order is known'"):
            assert reason in breach.detail
    # To be ready is to say what is missing; a sentence holds when somebody says that the work is ready.
    assert len(story.when(ReadyWork(**W)).breaches) == 2
    story.when(ReadyWork(**W, why="The customer waits", when="by Friday")).then(WorkReadied)
    story.when(DelegateWork(**W, delegate="bot")).then(WorkDelegated)


def test_a_start_of_what_is_not_ready_that_is_reported_is_a_finding() -> None:
    story = demanding("why")
    story.fact(ExecutionStarted(execution_id="E-1", executor="ana", process_version=1)).finds_only("not-ready")
    story.fact(WorkDelegated(delegation_id="D-1", delegator="ana", delegate="bot")).finds_only("not-ready")


def test_what_is_done_once_more_was_ready_before() -> None:
    story = demanding("why").given(ReadyWork(**W, why="The customer waits"), FailWork(**W), ReopenWork(**W))
    assert story.state().readied is None
    story.when(StartExecution(**W)).then(ExecutionStarted)


def test_what_the_definition_answers_need_not_be_said_again_but_somebody_says_that_it_is_ready() -> None:
    story = demanding("why", "due_at", purpose=Purpose(why="The customer waits"), due_at=DUE)
    story.when(StartExecution(**W)).refused_only("not-ready")
    story.given(ReadyWork(**W)).when(StartExecution(**W)).then(ExecutionStarted)


def test_what_is_taken_away_afterwards_is_missing_again() -> None:
    story = demanding("due_at", due_at=DUE).given(ReadyWork(**W), ClarifyWork(**W, changes={"due_at": None}))
    story.when(StartExecution(**W)).refused_only("not-ready")


def test_each_version_of_a_process_demands_what_it_says() -> None:
    story = demanding()
    story.given(
        PublishProcess(process_id="refunds", owner="ana", definition_of_ready=("why",)),
        DefineWork(work_id="W-2", title="Refund", accountable="ana", process="refunds"),
    )
    story.when(StartExecution(**W)).then(ExecutionStarted)
    story.when(StartExecution(work_id="W-2")).refused_only("not-ready")


def test_the_stack_says_what_is_answered_and_how_much_of_what_is_required() -> None:
    story = demanding("why", "when", purpose=Purpose(why="The customer waits"))
    layers = stack(story.state().definition, None, ("why", "when"))
    assert (layers.why, layers.who, layers.when) == ("The customer waits", "ana", None)
    assert (layers.missing, layers.clarity) == (("when",), 0.5)
    assert stack(None).clarity == 0
    assert stack(story.state().definition, WorkReadied(what="x", when="y", how="z")).clarity == 1


# ---- who gets it


def routed(*candidates: str, needs: tuple[str, ...] = ()) -> Story:
    able = ParticipantRegistered(
        participant_id="clerk", kind="agent", display_name="Clerk", sponsor="ana", capabilities=("invoices",)
    )
    step = Step(step_id="S-1", name="Pay", raci=Raci(A="ana"), needs=needs)
    ladder = (Rung(rung=1, targets=("ana",), ack_within=timedelta(hours=1)),)
    return Story((*CAST, able)).given(
        PublishPolicy(
            policy_id="help", kind="escalation", rules=PolicyRules(escalation=EscalationRules(ladder=ladder))
        ),
        PublishProcess(process_id="refunds", owner="ana", steps=(step,), escalation_policy="help"),
        DefineWork(**W, title="Refund", accountable="ana", process="refunds", candidates=candidates),
    )


ROUTE: Final = AssignWork(**W, mode="route")


def test_a_route_leads_to_the_first_candidate_who_is_able_and_here() -> None:
    story = routed("scout", "bot", "clerk", needs=("invoices",))
    story.when(ROUTE).then(WorkAssigned(executor="clerk", mode="route"))
    story.when(ROUTE).then_nothing()

    story = routed("bot", "ben").given(SuspendParticipant(participant_id="bot"))
    story.when(ROUTE).then(WorkAssigned(executor="ben", mode="route"))

    story = routed("bot", "scout").given(SuspendParticipant(participant_id="bot", scope="process/refunds"))
    story.when(ROUTE).then(WorkAssigned(executor="scout", mode="route"))

    story = routed("bot", "scout").given(SuspendParticipant(participant_id="bot", scope="process/claims"))
    story.when(ROUTE).then(WorkAssigned(executor="bot", mode="route"))


def test_who_declined_is_not_asked_again_and_when_nobody_is_left_it_escalates() -> None:
    story = routed("ben", "carla").given(ROUTE).given(DeclineWork(**W, reason="no time"), by="ben")
    story.when(ROUTE).then(WorkAssigned(executor="carla", mode="route"))
    story.given(DeclineWork(**W), by="carla")
    raised = story.when(ROUTE).recorded[0].data
    assert (raised.reason, raised.context.question) == ("no_eligible_executor", "Who is to carry it out?")
    story.when(ROUTE).then_nothing()


def test_who_declined_is_asked_again_when_the_work_is_reopened() -> None:
    story = routed("ben").given(ROUTE).given(DeclineWork(**W), by="ben").given(FailWork(**W), ReopenWork(**W))
    story.when(ROUTE).then(WorkAssigned(executor="ben", mode="route"))


def test_a_nominee_is_a_candidate_and_somebody_is_named_unless_it_is_routed() -> None:
    story = defined(candidates=("ben",))
    story.when(AssignWork(**W, executor="carla", mode="nominate")).refused_only("executor-only")
    story.when(AssignWork(**W, executor="ben", mode="nominate")).then(WorkAssigned)
    defined().when(AssignWork(**W)).refused_only("unregistered-actor")


def test_who_was_assigned_declines_and_nobody_else_does() -> None:
    story = defined().given(AssignWork(**W, executor="ben"))
    story.when(DeclineWork(**W), by="carla").refused_only("executor-only")
    story.fact(WorkDeclined(executor="carla")).finds_only("executor-only")
    story = defined().given(AssignWork(**W, executor="ben"))
    story.when(DeclineWork(**W, reason="no time"), by="ben").then(WorkDeclined(executor="ben", reason="no time"))
    assert (story.state().life.state, story.state().executor) == ("ready", None)


def test_who_is_taken_off_it_has_it_no_more() -> None:
    story = defined().given(AssignWork(**W, executor="ben"))
    story.when(UnassignWork(**W)).then(WorkUnassigned(executor="ben"))
    assert (story.state().life.state, story.state().executor) == ("ready", None)


@pytest.mark.parametrize(
    "end",
    [ClaimReleased(claim_id="C-1"), ClaimExpired(claim_id="C-1"), ClaimRevoked(claim_id="C-1", by="ana")],
    ids=lambda end: end.type,
)
def test_an_item_that_is_reported_as_claimed_is_somebodys_until_the_claim_is_over(end: Any) -> None:
    story = defined()
    story.fact(ClaimAcquired(claim_id="C-1", key="W-1", holder="ben", fence=1)).finds_nothing()
    assert (story.state().life.state, story.state().executor) == ("claimed", "ben")
    story.fact(end).finds_nothing()
    assert (story.state().life.state, story.state().executor) == ("ready", None)
    story.fact(ClaimAcquired(claim_id="C-2", key="W-1", holder="zed", fence=2)).finds_only("unregistered-actor")


# ---- urgency, deadlines, rest


def test_a_new_priority_says_what_it_was() -> None:
    story = defined()
    story.when(ReprioritizeWork(**W, priority="high", reason="VIP")).then(
        WorkReprioritized(old="normal", new="high", reason="VIP")
    )
    assert story.state().definition.priority == "high"


def test_a_deadline_is_set_changed_and_taken_away() -> None:
    story, later = defined(), DUE + timedelta(days=2)
    story.when(SetDeadline(**W, new=DUE)).then(DeadlineSet(new=DUE))
    story.when(SetDeadline(**W, new=later)).then(DeadlineSet(old=DUE, new=later))
    story.when(SetDeadline(**W, kind="start", new=DUE)).then(DeadlineSet(kind="start", new=DUE))
    story.when(SetDeadline(**W)).then(DeadlineSet(old=later))
    assert (story.state().definition.due_at, story.state().definition.start_by) == (None, DUE)


def test_what_is_due_is_due_after_it_is_said() -> None:
    past = BEGIN - timedelta(days=20)
    for field in ("due_at", "start_by"):
        late = DefineWork(work_id="W-2", title="Refund", accountable="ana", **{field: past})
        asked = Story().when(late)
        asked.refused_only("deadline-past")
        assert [breach.field for breach in asked.breaches] == [f"data.{field}"]
        Story().fact(WorkDefined(title="Refund", accountable="ana", **{field: past})).finds_only("deadline-past")
        defined().when(ClarifyWork(**W, changes={field: past.isoformat()})).refused_only("deadline-past")
        change = {field: Change(new=past.isoformat())}
        defined().fact(WorkClarified(changes=change)).finds_only("deadline-past")
        defined().fact(WorkClarified(changes={field: Change(new="soon")})).finds_nothing()
    story = defined()
    story.when(SetDeadline(**W, new=past)).refused_only("deadline-past")
    story.fact(DeadlineSet(new=past)).finds_only("deadline-past")
    # What is told late was ahead when it happened.
    story.fact(DeadlineSet(new=past), at=past - timedelta(days=1)).finds_nothing()


def test_work_rests_and_goes_on_where_it_was() -> None:
    story = defined().given(AssignWork(**W, executor="ben"))
    story.when(SuspendWork(**W, reason="holidays")).then(WorkSuspended(reason="holidays"))
    story.when(StartExecution(**W), by="ben").refused("illegal-transition")
    story.when(ResumeWork(**W)).then(WorkResumed)
    story.when(ResumeWork(**W)).then_nothing()
    assert story.state().life.state == "claimed"


def test_work_that_other_work_replaces_has_ended() -> None:
    story = defined()
    story.when(SupersedeWork(**W, duplicate_of="W-1")).refused_only("relation-cycle")
    story.fact(WorkSuperseded(duplicate_of="W-1")).finds_only("relation-cycle")
    story = defined()
    story.when(SupersedeWork(**W, duplicate_of="W-2")).then(WorkSuperseded(duplicate_of="W-2"))
    story.when(ReopenWork(**W)).refused_only("illegal-transition")


def test_the_same_work_is_defined_again_when_the_first_has_ended() -> None:
    story = defined(dedup_key="order-7")
    again = DefineWork(work_id="W-2", title="Refund", accountable="ana", dedup_key="order-7")
    story.when(again).refused_only("duplicate-effort")
    story.given(SupersedeWork(**W)).given(again)


def test_what_is_shared_is_kept_with_the_work() -> None:
    story, ref = defined(), Ref(uri="https://shop.example/photo.jpg")
    story.when(ShareContext(**W, ref=ref, note="as it arrived"), by="bot").then(
        ContextShared(ref=ref, note="as it arrived")
    )
    assert story.state().context == (ref,)


# ---- in somebody's absence


def away() -> Story:
    absence = DeclareAbsence(
        participant_id="ana", from_=BEGIN, until=BEGIN + timedelta(days=9), substitute="ben", covers=("accountability",)
    )
    return Story().given(DEFINE, absence)


def test_who_stands_in_takes_over_without_being_asked() -> None:
    story = away()
    story.when(TransferAccountability(**W, to="ben", basis="absence"), by="ben").then(
        AccountabilityTransferred(from_="ana", to="ben", basis="absence")
    )
    assert story.answers() == "ben"


def test_nobody_takes_over_who_does_not_stand_in_and_nobody_while_nobody_is_away() -> None:
    absent = TransferAccountability(**W, to="carla", basis="absence")
    away().when(absent, by="carla").refused("accountability-chain")
    defined().when(TransferAccountability(**W, to="ben", basis="absence")).refused_only("accountability-chain")
    told = AccountabilityTransferred(from_="ana", to="carla", basis="absence")
    away().fact(told).finds_only("accountability-chain")


# ---- several at work, and what halts them


def test_work_moves_on_when_the_last_of_several_executions_has_ended() -> None:
    story = defined().given(StartExecution(**W, execution_id="E-1"), StartExecution(**W, execution_id="E-2"))
    story.when(ExecuteWork(**W, execution_id="E-1", result="completed")).then(WorkExecuted)
    assert story.state().life.state == "in_progress"
    story.when(ExecuteWork(**W, execution_id="E-2", result="completed")).then(WorkExecuted)
    assert story.state().life.state == "submitted"


def test_nobody_begins_while_a_blocking_escalation_is_open() -> None:
    stuck = EscalateWork(
        **W, escalation_id="X-1", reason="manual", blocking=True,
        context=EscalationContext(summary="Stuck", question="Go on?"),
    )  # fmt: skip
    story = defined().given(stuck)
    assert story.state().life.state == "defined"
    story.when(StartExecution(**W)).refused_only("illegal-transition")
    story.fact(ExecutionStarted(execution_id="E-1", executor="ana")).finds_only("illegal-transition")
    assert story.state().life.state == "waiting_input"

    story = defined().given(stuck, ResolveEscalation(**W, escalation_id="X-1", outcome="returned"))
    story.when(StartExecution(**W)).then(ExecutionStarted)
