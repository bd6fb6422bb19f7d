"""What the rules look up beyond one item is what is so: which work is open, and which ids were claims."""

import random
from datetime import timedelta
from typing import Any, Final

import pytest

from attorn.contracts import codec, subjects
from attorn.contracts.accountability import AccountabilityTransferred, TransferAccountability
from attorn.contracts.claim import AcquireClaim, ClaimAcquired
from attorn.contracts.context import NoteAdded
from attorn.contracts.dependency import AddDependency, WorkBlocked, WorkUnblocked
from attorn.contracts.envelope import Recorded
from attorn.contracts.examples import EVENT_EXAMPLES
from attorn.contracts.execution import ExecutionStarted, StartExecution
from attorn.contracts.participant import DeactivateParticipant, ParticipantDeactivated
from attorn.contracts.work import (
    CancelWork,
    CompleteWork,
    DefineWork,
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkDefined,
    WorkFailed,
    WorkReopened,
    WorkResumed,
    WorkSuperseded,
    WorkSuspended,
)
from attorn.projections import relations
from attorn.projections.lifecycle import ENDED, MOVING, Lifecycle, step
from attorn.projections.relations import RELATING, Due, Relations
from story import BEGIN, Story

W: Final = {"work_id": "W-1"}
STARTED: Final = ExecutionStarted(execution_id="E-1", executor="bot")
LEAVES: Final = DeactivateParticipant(participant_id="carla")
LEFT: Final = {"on": "participant/carla"}
DEFINED: Final = WorkDefined(title="Refund", accountable="carla")


def cancelled(*works: str) -> Story:
    """Carla answered for them, until they were cancelled."""
    story = Story()
    for work in works:
        story.given(DefineWork(work_id=work, title="Refund", accountable="carla"), CancelWork(work_id=work), by="carla")
    return story


def leaves_nothing_behind(story: Story) -> None:
    story.when(LEAVES).refused_only("successor-human")
    told = story.fact(ParticipantDeactivated(), **LEFT)
    told.finds("successor-human")
    assert "work-left" not in told.warned


def leaves_work_behind(story: Story) -> None:
    story.when(LEAVES).refused_only("successor-human", "work-left")
    story.fact(ParticipantDeactivated(), **LEFT).finds("successor-human", "work-left")


# ---- what is open


def discovered_and_ended() -> Story:
    return Story().given(NoteAdded(text="Known of"), WorkCancelled())


def test_what_was_over_before_anybody_defined_it_is_not_open() -> None:
    story = discovered_and_ended().given(DEFINED)
    assert story.state().life.state == "cancelled"
    leaves_nothing_behind(story)


def test_what_was_over_before_anybody_defined_it_is_open_when_it_goes_on() -> None:
    leaves_work_behind(discovered_and_ended().given(DEFINED, WorkReopened()))
    leaves_work_behind(discovered_and_ended().given(WorkReopened(), DEFINED))


def test_what_was_over_before_anybody_defined_it_is_in_nobodys_way() -> None:
    part = WorkDefined(title="Part", accountable="carla", parent_id="W-1", dedup_key="order-7", depends_on=("W-8",))
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"))
    story.given(NoteAdded(text="Known of"), WorkCompleted(), part, on="work/W-2")
    found = story.people().relations
    assert (found.open_parts("W-1"), found.duplicates("W-9", "order-7"), found.since) == ((), (), {})
    again = DefineWork(work_id="W-9", title="Refund", accountable="ana", dedup_key="order-7")
    story.when(again).then(WorkDefined)
    # When it goes on, it is all that again.
    story.fact(WorkReopened(), on="work/W-2")
    story.when(CompleteWork(**W)).refused("criteria-open")
    story.fact(WorkCompleted()).finds("criteria-open")


def test_what_somebody_is_named_for_after_its_end_opens_nothing_however_long_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relations, "ENDED_MAX", 2)
    story = Story()
    for number in range(1, 5):
        story.given(DefineWork(work_id=f"W-{number}", title="Refund", accountable="ben"))
        story.given(CancelWork(work_id=f"W-{number}"), by="ben")
    for work in ("W-1", "W-4"):
        story.given(TransferAccountability(work_id=work, to="carla", basis="authority"), by="root")
    story.fact(AccountabilityTransferred(to="carla"), on="work/W-2")
    leaves_nothing_behind(story)


def test_who_is_named_after_the_end_answers_when_it_goes_on() -> None:
    story = cancelled("W-1").given(AccountabilityTransferred(to="ben"), STARTED)
    leaves_nothing_behind(story)
    story.when(DeactivateParticipant(participant_id="ben")).refused_only("successor-human", "work-left")


@pytest.mark.parametrize("out", [STARTED, WorkAssigned(executor="bot"), WorkBlocked(), WorkSuspended()],
                         ids=lambda out: out.type)  # fmt: skip
def test_what_a_fact_leads_out_of_its_end_is_open(out: Any) -> None:
    story = cancelled("W-1", "W-2")
    leaves_nothing_behind(cancelled("W-1", "W-2"))
    story.fact(out).finds("illegal-transition")
    leaves_work_behind(story)


def test_what_goes_on_from_a_rest_after_its_end_is_over_again() -> None:
    rests = cancelled("W-1").given(WorkSuspended(), WorkBlocked(), WorkResumed())
    leaves_nothing_behind(cancelled("W-1").given(WorkSuspended(), WorkBlocked(), WorkResumed(), WorkUnblocked()))
    leaves_work_behind(rests)


def test_who_waits_for_what_rests_after_its_end_is_told_when_it_is_over_again() -> None:
    story = Story().given(
        *(DefineWork(work_id=work, title="Refund", accountable="ana") for work in ("W-1", "W-2")),
        AddDependency(work_id="W-2", on="W-1"),
        WorkCompleted(),
    )
    assert [due.completed for due in story.people().relations.due.values()] == [True]
    story.given(WorkSuspended())
    assert story.people().relations.due == {}
    story.given(WorkResumed())
    assert story.people().relations.due == {("W-2", "W-1"): Due("W-2", "W-1", True, len(story.log()))}


PAYLOADS: Final = [payload for payload in EVENT_EXAMPLES.values() if type(payload) in MOVING]
ENDS: Final = [payload for payload in PAYLOADS if isinstance(payload, WorkCompleted | WorkFailed | WorkCancelled |
                                                             WorkSuperseded)]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_an_item_is_open_here_as_long_as_it_is_by_the_table_whatever_is_told_of_it(seed: int) -> None:
    drawn = random.Random(seed)
    found, life = Relations(), Lifecycle()
    rest = [payload for payload in PAYLOADS if isinstance(payload, WorkSuspended | WorkBlocked | WorkResumed |
                                                          WorkUnblocked)]  # fmt: skip
    for number in range(1, 120):
        payload = drawn.choice(drawn.choice([PAYLOADS, ENDS, rest]))
        assert type(payload) in RELATING
        life = step(life, payload).after
        event = codec.event(payload, id=f"e-{number}", source="erp", subject="work/W-1", time=BEGIN)
        body = codec.seal(event, number).body
        found.evolve(Recorded(number, BEGIN, codec.decode(body), body))
        assert ("W-1" in found.open) == (life.state not in ENDED), (number, payload, life)
        assert ("W-1" in found.ended) == (life.state in ENDED)


# ---- which ids were claims

STREAM: Final = subjects.named("claim", "k")
HOUR: Final = timedelta(hours=1)


@pytest.mark.parametrize("fence", [1, 2**52 + 1])
def test_an_id_that_was_told_of_too_late_is_still_to_be_had(fence: int) -> None:
    story = Story().given(
        AcquireClaim(key="k", claim_id="C-0", lease=HOUR),
        DefineWork(**W, title="Refund", accountable="ana"),
    )
    story.fact(ClaimAcquired(claim_id="C-7", key="k", holder="ben", fence=fence), on=STREAM).finds("claim-fence")
    # Until somebody has it, nothing counts that is done under it.
    start = StartExecution(**W, execution_id="E-1", executor="ben", claim_id="C-7", fence=fence)
    late = ExecutionStarted(execution_id="E-2", executor="ben", claim_id="C-7", fence=fence)
    story.when(start).refused("stale-fence")
    story.fact(late).finds("stale-fence")

    story.when(AcquireClaim(key="other", claim_id="C-7", lease=HOUR), by="carla").then(ClaimAcquired)
    assert story.people().relations.claims["C-7"].holder == "carla"
    again = ClaimAcquired(claim_id="C-8", key="k", holder="ben", fence=fence)
    story.fact(again, on=STREAM).finds("claim-fence")
    told = ClaimAcquired(claim_id="C-8", key="third", holder="ben", fence=1, lease_until=BEGIN + HOUR)
    story.fact(told, on=subjects.named("claim", "third")).finds_nothing()


def test_of_an_id_that_is_somebodys_nothing_told_late_is_kept() -> None:
    story = Story().given(AcquireClaim(key="k", claim_id="C-0", lease=HOUR))
    story.fact(ClaimAcquired(claim_id="C-7", key="k", holder="ben", fence=1), on=STREAM)
    assert len(story.people().relations.late) == 1
    story.given(AcquireClaim(key="other", claim_id="C-7", lease=HOUR), by="carla")
    assert story.people().relations.late == set()
