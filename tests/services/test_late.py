"""What comes late is recorded, and found; what it can no longer have an effect on it does not move, in any view."""

from collections.abc import Sequence
from typing import Any, Final

import pytest

from attorn.contracts import codec
from attorn.contracts.claim import AcquireClaim, ClaimAcquired, ReleaseClaim
from attorn.contracts.delegation import (
    AcceptDelegation,
    DelegateWork,
    DelegationAccepted,
    DelegationExhausted,
    DelegationResumed,
    DelegationSuspended,
    RevokeDelegation,
    SuspendDelegation,
)
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionStarted,
    RecordAction,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.output import Output, OutputProduced
from attorn.contracts.refusal import Receipt
from attorn.contracts.work import (
    AssignWork,
    CompleteWork,
    DefineWork,
    ReopenWork,
    SubmitWork,
    VerifyWork,
    WorkAssigned,
    WorkCompleted,
    WorkDefined,
    WorkSubmitted,
    WorkVerified,
)
from attorn.projections import activity, board, delegations, holding, timeline
from attorn.projections.lifecycle import OVER_MAX
from attorn.services.transact import Fact, record
from story import Story, at_once

A, B = ("sha256:" + letter * 64 for letter in "ab")
DEFINE: Final = DefineWork(work_id="W-1", title="Refund", accountable="ana")
START: Final = StartExecution(work_id="W-1", execution_id="E-1")
DONE: Final = ExecuteWork(work_id="W-1", execution_id="E-1", result="completed")
LATE: Final = WorkExecuted(execution_id="E-1", result="completed")
END: Final = (SubmitWork(work_id="W-1"), VerifyWork(work_id="W-1"), CompleteWork(work_id="W-1"))


def begun(*then: Any) -> Story:
    """Ben is at it; then it goes on by ana's word, who answers for it, but for what he says of his own execution."""
    story = Story().given(DEFINE, DelegateWork(work_id="W-1", delegate="ben", autonomy="act")).given(START, by="ben")
    for said in then:
        story.given(said, by="ben" if isinstance(said, ExecuteWork) else "ana")
    return story


def seen(story: Story) -> list[tuple[str, str | None]]:
    """The state of W-1 and who carries it out, as the rules, the board, the timeline and the holdings have it."""
    row: board.Row | None = None
    held: holding.Row | None = None
    told: list[timeline.Row] = []
    for recorded in story.log():
        if recorded.stream != "work/W-1":
            continue
        row = board.apply(row, recorded, "W-1")
        if holding.keys(recorded):
            held = holding.apply(held, recorded, "work/W-1")
        event = timeline.apply(None, recorded, recorded.position)
        assert event is not None
        told.append(event)
    work, then = story.state(), timeline.standing(told)
    assert row is not None
    found: list[tuple[str, str | None]] = [
        (work.life.state, work.executor), (row.state, row.executor), (then.state, then.executor),
    ]  # fmt: skip
    if held is not None:
        found.append((row.state, held.holder))
        assert {*held.running} == {*work.life.executions}
    return found


GONE_ON: Final[list[tuple[Sequence[Any], str, str | None]]] = [
    ((DONE, *END[1:2]), "verified", "ben"),
    ((ExecuteWork(work_id="W-1", execution_id="E-1", result="failed"),), "in_progress", "ben"),
    ((WorkAssigned(executor="carla"),), "claimed", "carla"),
    ((WorkSubmitted(), WorkVerified()), "verified", "ben"),
    ((DONE, *END[1:], ReopenWork(work_id="W-1")), "ready", None),
]


@pytest.mark.parametrize("late", ["completed", "failed", "aborted"])
@pytest.mark.parametrize(("then", "state", "executor"), GONE_ON)
def test_the_end_of_an_execution_that_is_over_moves_no_work(
    late: Any, then: Sequence[Any], state: str, executor: str | None
) -> None:
    story = begun(*then)
    again = ExecuteWork(work_id="W-1", execution_id="E-1", result=late, error_class="late")
    story.when(again, by="ben").refused("execution-unknown")
    story.fact(WorkExecuted(execution_id="E-1", result=late, error_class="late")).finds("execution-unknown")

    assert {*seen(story)} == {(state, executor)}


@pytest.mark.parametrize("id", ["E-1", "E-7"])
def test_nothing_that_was_carried_out_before_leads_work_out_of_its_end(id: str) -> None:
    story = begun(DONE, *END[1:])
    story.fact(WorkExecuted(execution_id=id, result="completed")).finds("execution-unknown", "illegal-transition")

    assert {state for state, _ in seen(story)} == {"completed"}
    assert "W-1" in story.directory.view.relations.ended


def test_who_is_at_it_now_is_not_interrupted_by_the_end_of_what_was_before_them() -> None:
    story = begun(WorkAssigned(executor="carla"))
    story.given(StartExecution(work_id="W-1", execution_id="E-2"), by="carla")
    story.fact(LATE).finds("execution-unknown")

    assert {*seen(story)} == {("in_progress", "carla")}
    story.given(ExecuteWork(work_id="W-1", execution_id="E-2", result="completed"), by="carla")
    assert {*seen(story)} == {("submitted", "carla")}


def test_an_end_of_which_nobody_told_the_beginning_is_news_once() -> None:
    story = Story().given(DEFINE)
    story.fact(LATE).finds("execution-unknown", "illegal-transition")
    assert {state for state, _ in seen(story)} == {"submitted"}

    story.given(VerifyWork(work_id="W-1")).fact(LATE).finds("execution-unknown", "illegal-transition")
    assert {state for state, _ in seen(story)} == {"verified"}


def test_what_is_begun_under_the_id_of_what_is_over_is_under_way() -> None:
    story = begun(WorkAssigned(executor="carla"))
    story.when(START, by="carla").refused_only("execution-unknown")
    story.fact(ExecutionStarted(execution_id="E-1", executor="carla")).finds_only("execution-unknown")

    assert {*seen(story)} == {("in_progress", "carla")}
    assert story.state().executions["E-1"].executor == "carla"
    story.fact(LATE).finds_nothing()
    assert {*seen(story)} == {("submitted", "carla")}


def test_of_very_many_executions_the_last_that_are_over_are_known() -> None:
    story = Story().given(DEFINE)
    for number in range(OVER_MAX + 1):
        story.fact(WorkExecuted(execution_id=f"E-{number}", result="aborted"))

    assert story.state().life.over == tuple(f"E-{number}" for number in range(1, OVER_MAX + 1))


def test_how_an_execution_ended_first_is_what_the_activity_shows() -> None:
    story = begun(DONE)
    story.fact(WorkExecuted(execution_id="E-1", result="failed")).finds("execution-unknown")
    row: activity.Row | None = None
    for recorded in story.log():
        if "W-1/x/E-1" in activity.keys(recorded):
            row = activity.apply(row, recorded, "W-1/x/E-1")

    assert row is not None and row.ran is not None
    assert row.ran.result == story.state().executions["E-1"].ended.result == "completed"


def test_bytes_that_come_late_are_there_and_want_a_look_of_their_own() -> None:
    paper = Output(output_id="O-1", name="letter", dig=A, media_type="text/plain")
    story = begun(ExecuteWork(work_id="W-1", execution_id="E-1", result="completed", outputs=(paper,)))
    changed = Output(output_id="O-1", name="letter", dig=B, media_type="text/plain")
    story.fact(OutputProduced(output=changed, execution_id="E-1")).finds_only("execution-unknown")

    assert story.state().outputs["O-1"].output.dig == B
    assert {state for state, _ in seen(story)} == {"submitted"}


def test_a_change_that_is_told_of_late_is_not_made_once_more() -> None:
    did = ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay", args_dig=A, side_effect=True)
    again = RecordAction(work_id="W-1", execution_id="E-2", tool="pay", args_dig=A, side_effect=True)
    story = begun(DONE).fact(did).finds_only("execution-unknown")
    assert {*seen(story)} == {("submitted", "ben")}

    story.given(ReopenWork(work_id="W-1"), AssignWork(work_id="W-1", executor="ben"))
    story.given(StartExecution(work_id="W-1", execution_id="E-2"), by="ben")
    story.when(again, by="ben").refused_only("duplicate-effort")


# ---- claims that nobody made


def test_nobody_works_under_a_claim_that_nobody_made() -> None:
    story = Story().given(DEFINE)
    named = StartExecution(work_id="W-1", execution_id="E-1", claim_id="C-1", fence=1)
    story.when(named, by="ben").refused_only("stale-fence")
    told = story.fact(ExecutionStarted(execution_id="E-1", executor="ben", claim_id="C-1", fence=1))
    told.finds_only("stale-fence")
    [breach] = told.receipt.warnings
    assert breach.detail.startswith("there is no claim C-1;") and breach.field == "data.claim_id"

    # What is done under it is not found once more; the claim may yet be told of.
    acted = ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="look")
    story.fact(acted).finds_nothing()
    story.given(AcquireClaim(key="order-7", claim_id="C-1"), ReleaseClaim(key="order-7", claim_id="C-1"), by="ben")
    story.fact(acted).finds_only("stale-fence")


def test_nobody_is_warned_of_a_claim_that_was_told_of_together_with_what_is_done_under_it() -> None:
    story = Story().given(DEFINE)
    told = (
        (ClaimAcquired(claim_id="C-1", key="order-7", holder="ben", fence=1), "claim/order-7"),
        (ExecutionStarted(execution_id="E-1", executor="ben", claim_id="C-1", fence=1), "work/W-1"),
    )
    facts = [codec.event(payload, id=on, source="/erp", subject=on, time=story.now) for payload, on in told]
    said = [Fact(event=fact, body=codec.encode(fact), source="erp") for fact in facts]
    receipts = at_once(record(story.streams, said))

    assert all(isinstance(receipt, Receipt) and not receipt.warnings for receipt in receipts), receipts
    assert story.findings() == {}


def test_who_claims_the_item_itself_works_under_that_claim() -> None:
    story = Story().given(DEFINE)
    story.fact(ClaimAcquired(claim_id="C-1", key="W-1", holder="ben", fence=1)).finds_nothing()
    story.fact(ExecutionStarted(execution_id="E-1", executor="ben", claim_id="C-1", fence=1)).finds_nothing()


# ---- parts of what is completed


def test_nothing_becomes_a_part_of_completed_work() -> None:
    story = begun(DONE, *END[1:])
    story.when(DefineWork(work_id="W-2", title="Post it", accountable="ana", parent_id="W-1")).refused_only(
        "criteria-open"
    )
    part = WorkDefined(title="Post it", accountable="ana", parent_id="W-1")
    story.fact(part, on="work/W-2").finds_only("criteria-open")
    story.fact(WorkCompleted(), on="work/W-3")
    story.fact(part, on="work/W-3").finds_nothing()  # it is completed as well

    story.given(ReopenWork(work_id="W-1"))
    story.when(DefineWork(work_id="W-4", title="Post it", accountable="ana", parent_id="W-1")).then(WorkDefined)


# ---- who joins


def test_who_joins_work_that_others_are_at_lends_a_hand_and_has_no_more_of_a_say() -> None:
    story = begun()
    story.given(StartExecution(work_id="W-1", execution_id="E-2"), by="carla")
    assert {*seen(story)} == {("in_progress", "ben")}
    assert story.state().executions["E-2"].executor == "carla"

    passed_on = DelegateWork(work_id="W-1", delegation_id="D-2", delegate="bot")
    story.when(passed_on, by="carla").refused("delegation-chain")
    story.fact(ExecutionStarted(execution_id="E-3", executor="erp")).finds_nothing()
    assert {*seen(story)} == {("in_progress", "ben")}


def test_whoever_begins_when_nobody_is_at_it_any_more_carries_it_out() -> None:
    story = begun(ExecuteWork(work_id="W-1", execution_id="E-1", result="failed"))
    story.given(StartExecution(work_id="W-1", execution_id="E-2"), by="carla")

    assert {*seen(story)} == {("in_progress", "carla")}


# ---- delegations that are over


@pytest.mark.parametrize("late", [DelegationAccepted, DelegationSuspended, DelegationResumed, DelegationExhausted])
def test_a_delegation_that_is_over_stays_so_whatever_comes_late(late: Any) -> None:
    story = Story().given(DEFINE, DelegateWork(work_id="W-1", delegation_id="D-1", delegate="ben"))
    story.given(RevokeDelegation(work_id="W-1", delegation_id="D-1"))
    story.fact(late(delegation_id="D-1")).finds_only("delegation-open")

    assert (story.state().delegations["D-1"].status, shown(story)) == ("revoked", "revoked")


def test_a_delegation_is_accepted_once_and_is_in_use_from_when_it_was_used() -> None:
    story = begun()
    [id] = story.state().delegations
    story.given(AcceptDelegation(work_id="W-1", delegation_id=id), by="ben")
    assert (story.state().delegations[id].status, shown(story)) == ("accepted", "active")

    story.given(SuspendDelegation(work_id="W-1", delegation_id=id))
    story.fact(DelegationAccepted(delegation_id=id, by="ben")).finds_only("delegation-open")
    assert (story.state().delegations[id].status, shown(story)) == ("suspended", "suspended")


def shown(story: Story) -> str | None:
    """The state of the delegation of W-1, as the view has it."""
    row: delegations.Row | None = None
    for recorded in story.log():
        for key in delegations.keys(recorded):
            row = delegations.apply(row, recorded, key)
    return row.state if row is not None else None
