"""What the machine of test_everything.py has found once, each as the shortest story that tells it."""

from datetime import timedelta

from attorn.contracts.delegation import DelegateWork, RevokeDelegation, WorkDelegated
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.participant import ResumeParticipant, SuspendParticipant
from attorn.contracts.work import CancelWork, DefineWork
from story import BEGIN, Story

CHILD = WorkDelegated(delegation_id="D-2", delegator="bot", delegate="scout", parent_id="D-1", autonomy="act")


def test_a_delegation_reported_under_a_revoked_one_is_no_mandate() -> None:
    story = Story().given(DefineWork(work_id="W-1", title="Refund", accountable="ana"))
    story.given(DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", may_subdelegate=True, max_depth=1))
    story.given(RevokeDelegation(work_id="W-1", delegation_id="D-1"))

    story.fact(CHILD).finds("delegation-chain")
    story.when(CancelWork(work_id="W-1"), by="scout").refused_only("undelegated-execution")
    story.fact(ExecutionStarted(execution_id="E-1", executor="scout")).finds("undelegated-execution")


def test_a_delegation_reported_to_outlive_its_parent_does_not() -> None:
    story = Story().given(DefineWork(work_id="W-1", title="Refund", accountable="ana"))
    until = BEGIN + timedelta(hours=1)
    story.given(
        DelegateWork(
            work_id="W-1", delegation_id="D-1", delegate="bot", valid_until=until, may_subdelegate=True, max_depth=1
        )
    )
    story.fact(CHILD).finds("delegation-chain")

    story.later(hours=2).when(CancelWork(work_id="W-1"), by="scout").refused_only("undelegated-execution")
    story.fact(ExecutionStarted(execution_id="E-1", executor="scout")).finds("undelegated-execution")


def test_an_agent_that_is_suspended_moves_no_work_that_it_was_entrusted_with() -> None:
    story = Story().given(DefineWork(work_id="W-1", title="Refund", accountable="ana"))
    story.given(DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", autonomy="act"))
    story.given(SuspendParticipant(participant_id="bot"), by="root")
    story.when(CancelWork(work_id="W-1"), by="bot").refused_only("delegation-violated")

    story.given(ResumeParticipant(participant_id="bot"), by="root")
    assert story.when(CancelWork(work_id="W-1"), by="bot").receipt is not None
