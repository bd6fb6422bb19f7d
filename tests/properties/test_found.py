"""What the machine of test_everything.py has found once, each as the shortest story that tells it."""

from datetime import timedelta

import msgspec

from attorn.contracts.context import NoteAdded
from attorn.contracts.delegation import DelegateWork, RevokeDelegation, WorkDelegated
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.participant import ResumeParticipant, SuspendParticipant
from attorn.contracts.work import CancelWork, DefineWork, WorkDefined
from attorn.projections.relations import Relations
from story import BEGIN, Story, at_once

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
    story.when(CancelWork(work_id="W-1"), by="bot").refused_only("actor-suspended")

    story.given(ResumeParticipant(participant_id="bot"), by="root")
    assert story.when(CancelWork(work_id="W-1"), by="bot").receipt is not None


def test_a_child_that_outlives_its_parent_is_not_passed_on() -> None:
    story = Story().given(DefineWork(work_id="W-1", title="Refund", accountable="ana"))
    until = BEGIN + timedelta(hours=1)
    terms = DelegateWork(
        work_id="W-1", delegation_id="D-1", delegate="bot", valid_until=until, may_subdelegate=True, max_depth=2
    )
    story.given(terms)
    story.fact(msgspec.structs.replace(CHILD, may_subdelegate=True, max_depth=1)).finds("delegation-chain")

    again = DelegateWork(work_id="W-1", delegation_id="D-3", delegate="bot", parent_id="D-2", autonomy="act")
    story.later(hours=2).when(again, by="scout").refused("delegation-chain")


def test_a_second_definition_makes_an_item_a_part_of_nothing() -> None:
    story = Story().given(DefineWork(work_id="W-1", title="Refunds", accountable="ana"))
    story.given(DefineWork(work_id="W-2", title="Refund", accountable="ana"))
    second = WorkDefined(title="Refund", accountable="ana", parent_id="W-1", depends_on=("W-1",), dedup_key="order/7")
    story.fact(second, on="work/W-2").finds("defined-once")

    relations = related(story)
    assert (relations.open_parts("W-1"), relations.needs, relations.same) == ((), {}, {})


def test_work_that_was_there_before_it_was_defined_becomes_a_part_when_it_is() -> None:
    story = Story().given(DefineWork(work_id="W-1", title="Refunds", accountable="ana"))
    story.fact(NoteAdded(text="The customer called."), on="work/W-2")
    story.fact(WorkDefined(title="Refund", accountable="ana", parent_id="W-1"), on="work/W-2")

    assert related(story).open_parts("W-1") == ("W-2",)


def related(story: Story) -> Relations:
    """What the services know of how the items of the story are related."""
    at_once(story.directory.relations.catch_up())
    return story.directory.view.relations
