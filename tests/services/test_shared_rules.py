"""A rule that many events share holds for each of them: what one tells is never missed because others are found."""

from typing import Any, Final

import pytest

from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRevoked
from attorn.contracts.deadline import DeadlineSet, SetDeadline
from attorn.contracts.delegation import DelegateWork
from attorn.contracts.dependency import (
    AddDependency,
    BlockWork,
    BreakDependency,
    DependencyAdded,
    DependencyBroken,
    DependencySatisfied,
    SatisfyDependency,
    UnblockWork,
    WorkBlocked,
    WorkUnblocked,
)
from attorn.contracts.escalation import (
    EscalateWork,
    EscalationCancelled,
    EscalationContext,
    EscalationExhausted,
    EscalationNotified,
    EscalationResolved,
    EscalationUnacknowledged,
    UnacknowledgeEscalation,
)
from attorn.contracts.examples import EVENT_EXAMPLES
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionStarted,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.finding import (
    AcceptFinding,
    DismissFinding,
    FindingAccepted,
    FindingDismissed,
    FindingRemediated,
    RemediateFinding,
)
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.output import Output, OutputWithdrawn
from attorn.contracts.policy import PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import PublishProcess
from attorn.contracts.review import ReviewRequested, WorkReviewed
from attorn.contracts.work import (
    AssignWork,
    CancelWork,
    CompleteWork,
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    ReprioritizeWork,
    SubmitWork,
    SupersedeWork,
    SuspendWork,
    VerifyWork,
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkDeclined,
    WorkDefined,
    WorkFailed,
    WorkReadied,
    WorkReopened,
    WorkReprioritized,
    WorkResumed,
    WorkSubmitted,
    WorkSuperseded,
    WorkSuspended,
    WorkUnassigned,
    WorkVerified,
)
from story import BEGIN, Story

W: Final = {"work_id": "W-1"}
X: Final = {"escalation_id": "X-1"}
DIG: Final = "sha256:" + "a" * 64
NEW: Final = "sha256:" + "b" * 64


def defined(**said: Any) -> Story:
    return Story().given(DefineWork(**W, title="Refund", accountable="ana", **said))


def name(message: Any) -> str:
    return str(getattr(message, "verb", "") or getattr(message, "type", ""))


# ---- where the work stands


@pytest.mark.parametrize(
    "payload",
    [
        WorkReadied, WorkAssigned, ClaimAcquired, ExecutionStarted, ClaimReleased, ClaimExpired, ClaimRevoked,
        WorkDeclined, WorkUnassigned, HandoverAccepted, ExecutionInputRequired, ExecutionInputProvided, WorkSuspended,
        WorkResumed, DependencyAdded, WorkBlocked, WorkUnblocked, WorkExecuted, ReviewRequested, WorkReviewed,
        WorkSubmitted, WorkVerified, WorkCompleted, WorkFailed, WorkCancelled, WorkSuperseded, WorkReopened,
    ],
    ids=name,
)  # fmt: skip
def test_whatever_is_told_of_cancelled_work_that_it_goes_on_is_found(payload: Any) -> None:
    story = defined().given(CancelWork(**W))
    story.fact(EVENT_EXAMPLES[payload]).finds("illegal-transition")


@pytest.mark.parametrize(
    "command",
    [
        ReadyWork(**W), AssignWork(**W, executor="ana"), StartExecution(**W, executor="ana"), SuspendWork(**W),
        BlockWork(**W), AddDependency(**W, on="W-2"), SubmitWork(**W), VerifyWork(**W), CompleteWork(**W),
        FailWork(**W), SupersedeWork(**W, duplicate_of="W-2"), ReopenWork(**W),
    ],
    ids=name,
)  # fmt: skip
def test_whatever_would_move_cancelled_work_is_refused(command: Any) -> None:
    defined().given(CancelWork(**W)).when(command).refused("illegal-transition")


# ---- who moves it


@pytest.mark.parametrize(
    "payload",
    [
        DeadlineSet, DependencyBroken, DependencySatisfied, OutputWithdrawn, ReviewRequested, WorkReopened,
        WorkCompleted, WorkResumed, WorkReprioritized, WorkSuperseded, WorkSuspended, WorkUnassigned, WorkUnblocked,
        WorkVerified, WorkSubmitted,
    ],
    ids=name,
)  # fmt: skip
def test_whatever_an_agent_tells_of_work_that_nobody_entrusted_it_with_is_found(payload: Any) -> None:
    defined().fact(EVENT_EXAMPLES[payload], source="bot").finds("undelegated-execution")


@pytest.mark.parametrize(
    "command",
    [
        SetDeadline(**W, new=BEGIN.replace(year=2027)), BreakDependency(**W, on="W-2"),
        SatisfyDependency(**W, on="W-2"), ReopenWork(**W), CompleteWork(**W), ReprioritizeWork(**W, priority="high"),
        SupersedeWork(**W, duplicate_of="W-2"), SuspendWork(**W), VerifyWork(**W), SubmitWork(**W),
    ],
    ids=name,
)  # fmt: skip
def test_nothing_of_it_is_done_at_the_word_of_an_agent(command: Any) -> None:
    defined(depends_on=("W-2",)).when(command, by="bot").refused("undelegated-execution")


def test_who_has_no_part_in_the_work_does_not_say_that_it_waits_no_longer() -> None:
    story = defined(depends_on=("W-2",))
    story.when(SatisfyDependency(**W, on="W-2"), by="carla").refused_only("work-authority")
    story.fact(DependencySatisfied(on="W-2"), source="carla").finds_only("work-authority")


# ---- what it waits for


def test_what_a_reported_definition_waits_for_is_waited_for() -> None:
    story = Story().given(WorkDefined(title="Refund", accountable="ana", depends_on=("W-2",)))
    story.when(StartExecution(**W)).refused("dependency-open")
    story.fact(ExecutionStarted(execution_id="E-1", executor="ana")).finds("dependency-open")


def test_what_was_unblocked_can_be_blocked_again() -> None:
    story = defined().given(BlockWork(**W), UnblockWork(**W))
    story.when(BlockWork(**W)).then(WorkBlocked)


def test_what_is_reopened_is_not_blocked_any_more() -> None:
    story = defined().given(BlockWork(**W), WorkCompleted(), ReopenWork(**W))
    story.when(BlockWork(**W)).then(WorkBlocked)


# ---- results and their reviews


def shown() -> Story:
    """bot has made O-1; its process wants each result reviewed."""
    policy = PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules()))
    return (
        Story()
        .given(policy, PublishProcess(process_id="refunds", owner="carla", review_policy="check"))
        .given(DefineWork(**W, title="Refund", accountable="ana", process="refunds"))
        .given(DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act"))
        .given(StartExecution(**W, execution_id="E-1"), made("E-1", DIG), by="bot")
    )


def made(execution: str, dig: str) -> ExecuteWork:
    output = Output(output_id="O-1", dig=dig)
    return ExecuteWork(**W, execution_id=execution, result="completed", outputs=(output,))


def test_a_review_says_nothing_of_the_bytes_that_another_execution_reports() -> None:
    story = shown().given(ExecutionStarted(execution_id="E-2", executor="bot"))
    output = Output(output_id="O-1", dig=NEW)
    story.given(WorkExecuted(execution_id="E-2", result="completed", outputs=(output,)))
    assert story.state().reviews["E-1-R1"].status == "invalidated"


def test_what_nobody_has_approved_of_is_not_handed_in() -> None:
    story = shown()
    story.when(SubmitWork(**W, outputs=("O-1",))).refused("control-bypassed")
    story.fact(WorkSubmitted(outputs=("O-1",))).finds("control-bypassed")


# ---- escalations and findings


def raised(**said: Any) -> Story:
    context = EscalationContext(summary="Paid twice", question="Take it back?")
    return defined().given(EscalateWork(**W, **X, reason="exception", severity="high", context=context, **said))


@pytest.mark.parametrize(
    "payload",
    [
        EscalationNotified(**X, rung=1, persons=("ana",)),
        EscalationUnacknowledged(**X),
        EscalationExhausted(**X, round=1),
    ],
    ids=name,
)
def test_nothing_happens_any_more_to_an_escalation_that_is_over(payload: Any) -> None:
    story = raised().given(EscalationResolved(**X, outcome="returned", by="ana"))
    story.when(UnacknowledgeEscalation(**W, **X)).refused("escalation-open")
    story.fact(payload).finds_only("escalation-open")


def test_nobody_is_told_on_a_rung_that_there_is_not() -> None:
    raised().fact(EscalationNotified(**X, rung=9, persons=("ana",))).finds_only("escalation-rung")


@pytest.mark.parametrize("payload", [EscalationCancelled(**X), EscalationResolved(**X, outcome="returned")], ids=name)
def test_a_system_that_tells_of_a_settlement_says_whose_it_is(payload: Any) -> None:
    raised().fact(payload).finds_only("resolver-missing")


@pytest.mark.parametrize(
    ("command", "payload"),
    [(AcceptFinding, FindingAccepted), (RemediateFinding, FindingRemediated), (DismissFinding, FindingDismissed)],
    ids=name,
)
def test_a_finding_is_settled_in_no_way_without_a_reason(command: Any, payload: Any) -> None:
    story = Story().given(WorkCompleted())
    story.when(command(stream="work/W-1", finding_id="hidden-work@9")).refused_only("finding-decided")
    story.fact(payload(finding_id="hidden-work@9", by="ana")).finds_only("finding-decided")
