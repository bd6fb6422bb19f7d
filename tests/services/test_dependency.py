"""Dependencies and parts: what work waits for, that it goes on once, and that nothing leads in a circle."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import pytest

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
from attorn.contracts.execution import ExecutionStarted, StartExecution
from attorn.contracts.work import (
    CancelWork,
    CompleteWork,
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    SubmitWork,
    VerifyWork,
    WorkCompleted,
    WorkDefined,
    WorkReadied,
)
from attorn.projections.directory import Directory
from attorn.projections.relations import Relations
from attorn.services.dependency.reactor import Reactor
from attorn.services.projector.project import fold_directory
from story import Story, at_once

W: Final = {"work_id": "W-1"}


def work(*ids: str, **said: Any) -> Story:
    return Story().given(*(DefineWork(work_id=id, title="Refund", accountable="ana", **said) for id in ids))


def done(story: Story, *ids: str) -> Story:
    for id in ids:
        story.given(*(command(work_id=id) for command in (StartExecution, SubmitWork, VerifyWork, CompleteWork)))
    return story


class Told:
    """A reactor over the story's log; each of its turns begins by reading what is new."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.reactor = Reactor(story.streams, lambda: datetime(2026, 3, 3, tzinfo=UTC))

    def react(self) -> list[Any]:
        before = len(self.story.log())
        at_once(self.story.directory.relations.catch_up())
        at_once(self.reactor.react())
        return [(each.stream, each.event.data) for each in self.story.log()[before:]]


# ---- waiting


def test_work_that_depends_on_other_work_is_blocked_and_goes_on_where_it_was() -> None:
    story = work("W-1", "W-2").given(AddDependency(**W, on="W-2"))
    assert story.state().life.state == "blocked"
    story.when(SatisfyDependency(**W, on="W-2")).then(DependencySatisfied(on="W-2"), WorkUnblocked(on="W-2"))
    assert story.state().life.state == "defined"


def test_work_that_is_defined_with_dependencies_waits_for_all_of_them() -> None:
    story = Story()
    story.when(DefineWork(**W, title="Refund", accountable="ana", depends_on=("W-2", "W-3"))).then(
        WorkDefined, DependencyAdded(on="W-2"), DependencyAdded(on="W-3")
    )
    story.when(SatisfyDependency(**W, on="W-2")).then(DependencySatisfied)
    assert story.state().life.state == "blocked"
    story.when(SatisfyDependency(**W, on="W-3")).then(DependencySatisfied, WorkUnblocked)


def test_nobody_starts_what_waits_and_a_start_that_is_reported_is_a_finding() -> None:
    story = work("W-1").given(AddDependency(**W, on="W-2"))
    story.when(StartExecution(**W)).refused("dependency-open", "illegal-transition")
    story.fact(ExecutionStarted(execution_id="E-1", executor="ana")).finds("dependency-open", "illegal-transition")


def test_what_waits_can_be_made_ready_meanwhile() -> None:
    story = work("W-1").given(AddDependency(**W, on="W-2"))
    story.when(ReadyWork(**W, why="The customer waits")).then(WorkReadied)
    story.when(ReadyWork(**W, why="The customer waits")).then_nothing()
    story.given(SatisfyDependency(**W, on="W-2"))
    assert story.state().life.state == "ready"


def test_what_somebody_blocked_stays_so_when_the_last_dependency_is_satisfied() -> None:
    story = work("W-1").given(BlockWork(**W, reason="no parts"), AddDependency(**W, on="W-2"))
    story.when(UnblockWork(**W)).refused_only("dependency-open")
    story.when(SatisfyDependency(**W, on="W-2")).then(DependencySatisfied)
    assert story.state().life.state == "blocked"
    story.when(UnblockWork(**W, reason="parts came")).then(WorkUnblocked(reason="parts came"))
    assert story.state().life.state == "defined"


def test_after_a_broken_dependency_somebody_says_how_it_goes_on() -> None:
    story = work("W-1").given(AddDependency(**W, on="W-2"), BreakDependency(**W, on="W-2", reason="lost"))
    story.when(UnblockWork(**W)).refused_only("dependency-open")
    story.when(SatisfyDependency(**W, on="W-2", reason="we go on without")).then(DependencySatisfied, WorkUnblocked)


def test_what_was_never_waited_for_is_neither_satisfied_nor_broken() -> None:
    story = work("W-1")
    story.when(SatisfyDependency(**W, on="W-9")).refused_only("dependency-open")
    story.fact(DependencyBroken(on="W-9")).finds_only("dependency-open")


def test_blocking_what_is_blocked_and_lifting_what_is_not_records_nothing() -> None:
    story = work("W-1")
    story.when(UnblockWork(**W)).then_nothing()
    story.when(BlockWork(**W, reason="no parts")).then(WorkBlocked(reason="no parts"))
    story.when(BlockWork(**W)).then_nothing()


def test_an_agent_that_nobody_entrusted_neither_blocks_nor_adds_what_to_wait_for() -> None:
    for command in (BlockWork(**W), AddDependency(**W, on="W-2")):
        work("W-1").when(command, by="bot").refused_only("undelegated-execution")


# ---- circles


@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_a_circle_is_refused_however_long_and_found_when_it_is_reported(length: int) -> None:
    ids = [f"W-{n}" for n in range(1, length + 1)]
    story = work(*ids)
    for at, on in pairwise(ids):
        story.given(AddDependency(work_id=at, on=on))
    story.when(AddDependency(work_id=ids[-1], on="W-1")).refused("relation-cycle")
    story.fact(DependencyAdded(on="W-1"), on=f"work/{ids[-1]}").finds("relation-cycle")


def test_what_is_settled_closes_no_circle() -> None:
    story = work("W-1", "W-2").given(AddDependency(**W, on="W-2"), SatisfyDependency(**W, on="W-2"))
    story.when(AddDependency(work_id="W-2", on="W-1")).then(DependencyAdded(on="W-1"))


def test_a_definition_that_waits_for_itself_by_others_is_refused() -> None:
    story = work("W-2").given(AddDependency(work_id="W-2", on="W-1"))
    story.when(DefineWork(**W, title="Refund", accountable="ana", depends_on=("W-2",))).refused("relation-cycle")
    story.fact(WorkDefined(title="Refund", accountable="ana", depends_on=("W-2",))).finds("relation-cycle")


def test_no_work_is_a_part_of_its_own_part() -> None:
    story = Story().given(DefineWork(work_id="W-2", title="Part", accountable="ana", parent_id="W-1"))
    story.when(DefineWork(**W, title="Whole", accountable="ana", parent_id="W-2")).refused_only("relation-cycle")
    story.when(DefineWork(**W, title="Whole", accountable="ana", parent_id="W-1")).refused_only("relation-cycle")
    story.fact(WorkDefined(title="Whole", accountable="ana", parent_id="W-2")).finds_only("relation-cycle")


# ---- parts


def test_a_whole_is_completed_when_its_parts_have_ended() -> None:
    story = work("W-1")
    parts = [DefineWork(work_id=f"P-{n}", title="Part", accountable="ana", parent_id="W-1") for n in (1, 2)]
    story.given(*parts, StartExecution(**W), SubmitWork(**W), VerifyWork(**W))
    story.when(CompleteWork(**W)).refused_only("criteria-open")

    done(story, "P-1").given(CancelWork(work_id="P-2"))
    story.given(ReopenWork(work_id="P-1"))
    story.when(CompleteWork(**W)).refused_only("criteria-open")
    story.given(FailWork(work_id="P-1"))
    story.when(CompleteWork(**W)).then(WorkCompleted)


def test_a_whole_that_is_reported_complete_before_its_parts_is_a_finding() -> None:
    story = work("W-1").given(DefineWork(work_id="P-1", title="Part", accountable="ana", parent_id="W-1"))
    story.given(StartExecution(**W), SubmitWork(**W), VerifyWork(**W))
    story.fact(WorkCompleted()).finds_only("criteria-open")


def test_every_event_of_a_part_says_the_root_of_the_whole_from_the_first_on() -> None:
    story = work("W-1")
    story.given(DefineWork(work_id="P-1", title="Part", accountable="ana", parent_id="W-1"))
    outcome = story.when(DefineWork(work_id="P-2", title="Part of a part", accountable="ana", parent_id="P-1"))
    assert [event.correlationid for event in outcome.recorded] == ["W-1"]
    assert [event.correlationid for event in story.when(StartExecution(work_id="P-2")).recorded] == ["W-1"]
    assert [event.correlationid for event in story.when(StartExecution(**W)).recorded] == ["W-1"]


# ---- the reactor


def test_the_last_predecessor_unblocks_the_work_once_whoever_looks_how_often() -> None:
    story = work("W-2", "W-3").given(
        DefineWork(**W, title="Refund", accountable="ana", depends_on=("W-2", "W-3")),
    )
    told = Told(story)
    assert told.react() == []
    done(story, "W-2")
    assert told.react() == [("work/W-1", DependencySatisfied(on="W-2"))]
    done(story, "W-3")
    # Two of them, one that has just started and knows nothing: what is due is said once.
    first, second = Told(story), told
    assert first.react() == [
        ("work/W-1", DependencySatisfied(on="W-3")),
        ("work/W-1", WorkUnblocked(on="W-3")),
    ]
    assert second.react() == [] == first.react() == Told(story).react()
    assert story.findings() == {}
    assert story.log()[-1].event.authid == "attorn" and story.log()[-1].event.authtype == "system"


def test_whoever_comes_to_wait_for_what_has_ended_already_does_not_wait() -> None:
    story = work("W-1", "W-2")
    done(story, "W-2").given(AddDependency(**W, on="W-2"))
    told = Told(story)
    assert [data for _, data in told.react()] == [DependencySatisfied(on="W-2"), WorkUnblocked(on="W-2")]

    # Asked for once more, it is answered once more.
    story.given(AddDependency(**W, on="W-2"))
    assert [data for _, data in told.react()] == [DependencySatisfied(on="W-2"), WorkUnblocked(on="W-2")]


def test_what_will_not_be_done_breaks_the_dependency_and_the_work_stays_blocked() -> None:
    story = work("W-1", "W-2").given(AddDependency(**W, on="W-2"), CancelWork(work_id="W-2"))
    assert Told(story).react() == [("work/W-1", DependencyBroken(on="W-2", reason="W-2 has ended"))]
    assert story.state().life.state == "blocked"
    assert Told(story).react() == []


def test_what_is_reopened_before_anybody_was_told_is_waited_for() -> None:
    story = work("W-1", "W-2").given(AddDependency(**W, on="W-2"))
    done(story, "W-2").given(ReopenWork(work_id="W-2"))
    assert Told(story).react() == []


def test_work_that_has_ended_itself_is_told_nothing() -> None:
    story = work("W-1", "W-2").given(AddDependency(**W, on="W-2"), CancelWork(**W))
    done(story, "W-2")
    assert Told(story).react() == []


def test_views_that_start_again_know_the_same_relations() -> None:
    story = work("W-1", "W-2").given(
        AddDependency(**W, on="W-2"),
        DefineWork(work_id="P-1", title="Part", accountable="ana", parent_id="W-1", dedup_key="order-7"),
        CancelWork(work_id="P-1"),
    )
    again = Directory()
    at_once(fold_directory(story.ledger, again, len(story.log())))
    assert again.relations == story.people().relations != Relations()


def test_work_that_stands_alone_leaves_nothing_behind() -> None:
    story = done(work("W-1", "W-2"), "W-1", "W-2")
    at_once(story.directory.relations.catch_up())
    relations = story.directory.view.relations
    kept = (relations.parents, relations.parts, relations.over, relations.since, relations.same, relations.claims)
    assert not any(kept)
