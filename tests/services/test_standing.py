"""Who may move work: who is over it, who carries it out, whom it names; what anybody may; and whom it is refused."""

from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest

from attorn.contracts.context import AddNote, ShareContext
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
from attorn.contracts.escalation import EscalateWork, EscalationContext
from attorn.contracts.execution import (
    AdaptExecution,
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionAdapted,
    ExecutionInputRequired,
    ExecutionStarted,
    GuideExecution,
    ProgressExecution,
    RecordAction,
    RequireInput,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.ids import Ref
from attorn.contracts.output import (
    Output,
    OutputProduced,
    OutputReleased,
    OutputWithdrawn,
    ProduceOutput,
    ReleaseOutput,
    WithdrawOutput,
)
from attorn.contracts.participant import (
    AddTeamMember,
    ChangeManager,
    DeactivateParticipant,
    DeclareAbsence,
    ParticipantRegistered,
    RoleGranted,
)
from attorn.contracts.process import PublishProcess
from attorn.contracts.work import (
    AcceptanceCriterion,
    AssignWork,
    CancelWork,
    Change,
    ClarifyWork,
    CompleteWork,
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    ReprioritizeWork,
    ResumeWork,
    SubmitWork,
    SupersedeWork,
    SuspendWork,
    UnassignWork,
    VerifyWork,
    WorkAssigned,
    WorkCancelled,
    WorkClarified,
    WorkCompleted,
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
from attorn.services.work import standing
from story import BEGIN, CAST, Story

W: Final = {"work_id": "W-1"}
DIG: Final = "sha256:" + "a" * 64
MADE: Final = Output(output_id="O-1", dig=DIG)
PEOPLE: Final = tuple(
    ParticipantRegistered(participant_id=id, kind="human", display_name=id.title())
    for id in ("dan", "dora", "eve", "finn", "gus")
)


def assigned() -> Story:
    """W-1 is ana's, of carla's process; ben is to carry it out; dora a candidate, finn a contributor, dan nothing."""
    return Story((*CAST, *PEOPLE)).given(
        PublishProcess(process_id="refunds", owner="carla"),
        DefineWork(**W, title="Refund", accountable="ana", process="refunds", candidates=("dora", "ben"),
                   contributors=("finn",)),
        DefineWork(work_id="W-2", title="Other", accountable="ana"),
        AssignWork(**W, executor="ben"),
    )  # fmt: skip


def running() -> Story:
    return assigned().given(StartExecution(**W, execution_id="E-1"), by="ben")


def waiting() -> Story:
    return running().given(AddDependency(**W, on="W-2"), by="ben")


def handed_in() -> Story:
    done = ExecuteWork(**W, execution_id="E-1", result="completed", outputs=(MADE,))
    return running().given(done, by="ben")


def verified() -> Story:
    return handed_in().given(VerifyWork(**W))


OVER: Final = {
    WorkReprioritized: (assigned, ReprioritizeWork(**W, priority="high")),
    DeadlineSet: (assigned, SetDeadline(**W, new=BEGIN + timedelta(days=1))),
    WorkCancelled: (assigned, CancelWork(**W, reason="no longer")),
    WorkSuperseded: (assigned, SupersedeWork(**W, duplicate_of="W-2", reason="the same")),
}
AT_IT: Final = {
    WorkAssigned: (assigned, AssignWork(**W, executor="dora")),
    WorkUnassigned: (assigned, UnassignWork(**W)),
    WorkSuspended: (running, SuspendWork(**W, reason="later")),
    WorkResumed: (lambda: running().given(SuspendWork(**W, reason="later")), ResumeWork(**W)),
    WorkBlocked: (running, BlockWork(**W, reason="no paper")),
    WorkUnblocked: (lambda: running().given(BlockWork(**W, reason="no paper")), UnblockWork(**W)),
    DependencyAdded: (running, AddDependency(**W, on="W-2")),
    DependencySatisfied: (waiting, SatisfyDependency(**W, on="W-2")),
    DependencyBroken: (waiting, BreakDependency(**W, on="W-2")),
    ExecutionActionRecorded: (running, RecordAction(**W, execution_id="E-1", tool="pay")),
    ExecutionAdapted: (running, AdaptExecution(**W, execution_id="E-1", reason="there are two tariffs")),
    ExecutionInputRequired: (running, RequireInput(**W, execution_id="E-1", from_="ana", question="Which?")),
    WorkExecuted: (running, ExecuteWork(**W, execution_id="E-1", result="failed")),
    OutputProduced: (running, ProduceOutput(**W, execution_id="E-1", output=MADE)),
    WorkSubmitted: (running, SubmitWork(**W)),
    OutputReleased: (handed_in, ReleaseOutput(**W, output_id="O-1", to="customer")),
    OutputWithdrawn: (handed_in, WithdrawOutput(**W, output_id="O-1")),
    WorkCompleted: (verified, CompleteWork(**W)),
    WorkFailed: (running, FailWork(**W, reason="no way")),
    WorkReopened: (handed_in, ReopenWork(**W, reason="wrong amount")),
}
NAMED: Final = {
    WorkClarified: (assigned, ClarifyWork(**W, changes={"title": "Refund of April"})),
    WorkReadied: (
        lambda: Story((*CAST, *PEOPLE)).given(
            DefineWork(**W, title="Refund", accountable="ana", candidates=("ben", "dora"), contributors=("finn",))
        ),
        ReadyWork(**W, why="they wait"),
    ),
    WorkVerified: (handed_in, VerifyWork(**W)),
}
MOVES: Final[dict[type, Any]] = {**OVER, **AT_IT, **NAMED}
"""For each event that not everybody may cause: a story in which it can happen, and the command for it."""


def test_every_move_that_is_somebodys_is_tried_here() -> None:
    assert MOVES.keys() == standing.MOVERS.keys()


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
def test_who_has_no_part_in_the_work_does_not_move_it(move: type) -> None:
    story, command = MOVES[move][0](), MOVES[move][1]
    asked = story.when(command, by="dan")
    asked.refused_only("work-authority")
    assert "ana answers for work/W-1: ask them, or escalate it" in asked.breaches[0].detail
    assert story.when(command, by="ana").receipt is not None


@pytest.mark.parametrize("move", OVER, ids=lambda move: move.__name__)
def test_whether_it_is_done_at_all_is_not_the_executors_to_say(move: type) -> None:
    story, command = OVER[move]
    story().when(command, by="ben").refused_only("work-authority")
    assert story().when(command, by="carla").receipt is not None


@pytest.mark.parametrize("move", AT_IT, ids=lambda move: move.__name__)
def test_whoever_carries_it_out_moves_it_on_and_who_is_only_named_does_not(move: type) -> None:
    story, command = AT_IT[move]
    assert story().when(command, by="ben").receipt is not None
    story().when(command, by="finn").refused_only("work-authority")


@pytest.mark.parametrize("move", NAMED, ids=lambda move: move.__name__)
def test_whom_the_work_names_says_what_it_is_and_whether_it_is_good(move: type) -> None:
    story, command = NAMED[move]
    for who in ("ben", "dora", "finn"):
        assert story().when(command, by=who).receipt is not None


def test_what_is_good_enough_is_said_by_who_is_over_the_work() -> None:
    criteria = (AcceptanceCriterion(id="C-1", text="the amount is right"),)
    eased = ClarifyWork(**W, changes={"acceptance_criteria": msgspec.to_builtins(criteria)})
    for who in ("ben", "dora", "finn", "dan"):
        assigned().when(eased, by=who).refused_only("work-authority")
    assigned().when(eased, by="ana").then(WorkClarified)


def test_anybody_says_something_of_it_shows_something_guides_and_asks_for_help() -> None:
    help_ = EscalationContext(summary="It stands still", question="What now?")
    for command in (
        AddNote(**W, text="I saw this"),
        ShareContext(**W, ref=Ref(uri="https://shop.example/order", dig=DIG)),
        GuideExecution(**W, execution_id="E-1", text="Ask for the receipt"),
        ProgressExecution(**W, execution_id="E-1", percent=50),
        EscalateWork(**W, reason="stalled", context=help_),
    ):
        assert running().when(command, by="dan").receipt is not None


CANCEL: Final = CancelWork(**W, reason="no longer")


def test_over_the_work_is_who_answers_who_is_over_them_who_stands_in_the_owner_the_custodian_and_admins() -> None:
    for who in ("ana", "carla", "root"):
        assigned().when(CANCEL, by=who).then(WorkCancelled(by=who, reason="no longer"))
    above = assigned().given(
        ChangeManager(participant_id="ana", new="dan"), ChangeManager(participant_id="dan", new="eve")
    )
    above.when(CANCEL, by="finn").refused_only("work-authority")
    above.when(CANCEL, by="eve").then(WorkCancelled)
    day = {"from_": BEGIN, "until": BEGIN + timedelta(days=1), "covers": ("accountability",)}
    away = assigned().given(DeclareAbsence(participant_id="ana", substitute="dan", **day))
    away.when(CANCEL, by="dan").then(WorkCancelled)
    away.later(days=2)
    back = assigned().given(DeclareAbsence(participant_id="ana", substitute="dan", **day)).later(days=2)
    back.when(CANCEL, by="dan").refused_only("work-authority")
    succeeded = assigned().given(DeactivateParticipant(participant_id="ana", reason="moved", successor="dan"))
    succeeded.when(CANCEL, by="dan").then(WorkCancelled)
    assigned().given(RoleGranted(role="admin"), on="participant/dan").when(CANCEL, by="dan").then(WorkCancelled)


def test_at_it_is_one_of_the_team_and_who_looks_after_the_agent_that_is() -> None:
    fail = FailWork(**W, reason="no way")
    team = assigned().given(AssignWork(**W, executor="crew"), AddTeamMember(team_id="crew", member="dan"))
    team.when(fail, by="eve").refused_only("work-authority")
    team.when(fail, by="dan").then(WorkFailed)
    scouts = ParticipantRegistered(participant_id="owl", kind="agent", display_name="Owl", sponsor="dan")
    for given in (AssignWork(**W, executor="owl"), DelegateWork(**W, delegate="owl")):
        assigned().given(scouts, given).when(fail, by="dan").then(WorkFailed)
    assigned().given(DelegateWork(**W, delegate="dan")).when(fail, by="dan").then(WorkFailed)


def test_what_nobody_has_may_be_taken_and_where_there_are_candidates_by_one_of_them() -> None:
    free = Story((*CAST, *PEOPLE)).given(DefineWork(**W, title="Refund", accountable="ana"))
    free.when(AssignWork(**W, executor="eve"), by="dan").refused_only("work-authority")
    free.when(AssignWork(**W, executor="dan"), by="dan").then(WorkAssigned)
    free.when(AssignWork(**W, executor="eve"), by="eve").refused_only("work-authority")
    meant = Story((*CAST, *PEOPLE)).given(
        AddTeamMember(team_id="crew", member="eve"),
        DefineWork(**W, title="Refund", accountable="ana", candidates=("dora", "crew")),
    )
    meant.when(AssignWork(**W, executor="dan"), by="dan").refused_only("work-authority")
    meant.when(AssignWork(**W, executor="eve"), by="eve").then(WorkAssigned)


def test_what_nobody_has_is_begun_by_a_candidate_where_there_are_any() -> None:
    meant = Story((*CAST, *PEOPLE)).given(
        AddTeamMember(team_id="crew", member="eve"),
        DefineWork(**W, title="Refund", accountable="ana", candidates=("dora", "crew")),
    )
    begin = StartExecution(**W, execution_id="E-1")
    asked = meant.when(begin, by="dan")
    asked.refused_only("executor-only")
    assert "one of dora, crew is to carry work/W-1 out, not dan" in asked.breaches[0].detail
    meant.fact(ExecutionStarted(execution_id="E-0", executor="dan")).finds_only("executor-only")
    meant = Story((*CAST, *PEOPLE)).given(
        AddTeamMember(team_id="crew", member="eve"),
        DefineWork(**W, title="Refund", accountable="ana", candidates=("dora", "crew")),
    )
    meant.when(begin, by="eve").then(ExecutionStarted)


def test_who_lends_a_hand_ends_what_they_do_and_not_the_work() -> None:
    story = running().given(StartExecution(**W, execution_id="E-2"), by="dan")
    story.when(FailWork(**W, reason="no way"), by="dan").refused_only("work-authority")
    story.when(ExecuteWork(**W, execution_id="E-1", result="failed"), by="dan").refused_only("work-authority")
    story.when(ExecuteWork(**W, execution_id="E-2", result="failed"), by="dan").then(WorkExecuted)


def test_what_is_reported_counts_by_who_did_it() -> None:
    for told in (WorkCancelled(by="dan"), WorkSuspended(by="dan"), WorkFailed(by="dan")):
        running().fact(told).finds_only("work-authority")
    for told in (WorkCancelled(by="ana"), WorkSuspended(by="ben"), WorkCancelled(), WorkReprioritized(new="high")):
        running().fact(told).finds_nothing()
    # Whoever reports for themselves, and names nobody, did it.
    running().fact(WorkCancelled(), source="dan").finds_only("work-authority")
    changed = {"acceptance_criteria": Change(old=[], new=[])}
    running().fact(WorkClarified(changes=changed), source="ben").finds_only("work-authority")
