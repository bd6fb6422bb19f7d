"""The state machine of a work item: the catalogue's table row by row, and what a fact does that is not in it."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
import pytest

from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased
from attorn.contracts.context import NoteAdded
from attorn.contracts.dependency import DependencyAdded, WorkBlocked, WorkUnblocked
from attorn.contracts.escalation import EscalationCancelled, EscalationContext, EscalationResolved, WorkEscalated
from attorn.contracts.execution import ExecutionInputProvided, ExecutionInputRequired, ExecutionStarted, WorkExecuted
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.review import ReviewInvalidated, ReviewRequested, ReviewWithdrawn, WorkReviewed
from attorn.contracts.work import (
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkDeclined,
    WorkDefined,
    WorkFailed,
    WorkReadied,
    WorkReopened,
    WorkResumed,
    WorkSubmitted,
    WorkSuperseded,
    WorkSuspended,
    WorkVerified,
)
from attorn.projections.lifecycle import ENDED, Lifecycle, State, follows, step

DIG: Final = "sha256:" + "a" * 64
STATES: Final = tuple(state for state in get_args(State) if state)
IDLE: Final = ("discovered", "defined", "ready")
HELD: Final = ("claimed", "in_progress")
OPEN: Final = tuple(state for state in STATES if state not in ENDED)

# Where an item stands in each state, with what it remembers there.
STANDING: Final[Mapping[str, Lifecycle]] = {
    **{state: Lifecycle(state, 1) for state in STATES},
    "waiting_input": Lifecycle("waiting_input", 1, inputs=("Q-1",)),
    "suspended": Lifecycle("suspended", 1, back="claimed", pauses=("suspended",)),
    "blocked": Lifecycle("blocked", 1, back="ready", pauses=("blocked",)),
    "in_review": Lifecycle("in_review", 1, reviews=(("R-1", 1),)),
}

DEFINED: Final = WorkDefined(title="Refund", accountable="ana")
STARTED: Final = ExecutionStarted(execution_id="E-1", executor="bot")


def executed(result: Any) -> WorkExecuted:
    return WorkExecuted(execution_id="E-1", result=result)


def asked(request: str) -> ExecutionInputRequired:
    return ExecutionInputRequired(execution_id="E-1", request_id=request, from_="ana", question="Which?")


def answered(request: str) -> ExecutionInputProvided:
    return ExecutionInputProvided(request_id=request, response="respond", answer=1)


def escalated(id: str, blocking: bool = True) -> WorkEscalated:
    context = EscalationContext(summary="Stuck")
    return WorkEscalated(escalation_id=id, reason="manual", raised_by="bot", context=context, blocking=blocking)


def resolved(id: str) -> EscalationResolved:
    return EscalationResolved(escalation_id=id, outcome="returned")


def requested(id: str, required: int = 1) -> ReviewRequested:
    return ReviewRequested(review_id=id, output_id="O-1", output_dig=DIG, required=required)


def verdict(id: str, verdict: Any) -> WorkReviewed:
    return WorkReviewed(review_id=id, output_id="O-1", output_dig=DIG, verdict=verdict, reviewer="ben")


# Each event, and where it leads from each state in which the table allows it.
TABLE: Final[list[tuple[str, msgspec.Struct, Mapping[str, str]]]] = [
    # That work is defined once is a rule of its own; what was discovered can be defined however far it has come.
    ("work.defined", DEFINED, {state: "defined" if state == "discovered" else state for state in STATES}),
    ("work.readied", WorkReadied(), dict.fromkeys(("discovered", "defined"), "ready")),
    ("work.assigned", WorkAssigned(executor="bot"), dict.fromkeys((*IDLE, "claimed"), "claimed")),
    ("claim.acquired", ClaimAcquired(claim_id="C-1", key="k", holder="bot", fence=1), dict.fromkeys(IDLE, "claimed")),
    ("execution.started", STARTED, dict.fromkeys((*IDLE, *HELD), "in_progress")),
    ("claim.released", ClaimReleased(claim_id="C-1"), dict.fromkeys(HELD, "ready")),
    ("claim.expired", ClaimExpired(claim_id="C-1"), dict.fromkeys(HELD, "ready")),
    ("work.declined", WorkDeclined(), dict.fromkeys(HELD, "ready")),
    ("handover.accepted", HandoverAccepted(handover_id="H-1", from_="bot", to="ben"), dict.fromkeys(HELD, "claimed")),
    ("input_required", asked("Q-2"), dict.fromkeys(("in_progress", "waiting_input"), "waiting_input")),
    ("input_provided", answered("Q-1"), {"waiting_input": "in_progress"}),
    (
        "blocking escalation",
        escalated("X-1"),
        {state: "waiting_input" if state == "in_progress" else state for state in OPEN},
    ),
    ("escalation", escalated("X-1", blocking=False), {state: state for state in OPEN}),
    ("work.suspended", WorkSuspended(), {state: "suspended" for state in OPEN if state != "suspended"}),
    ("work.blocked", WorkBlocked(reason="parts"), {state: "blocked" for state in OPEN if state != "blocked"}),
    (
        "dependency.added",
        DependencyAdded(on="W-2"),
        dict.fromkeys((*IDLE, *HELD, "waiting_input", "blocked", "suspended"), "blocked"),
    ),
    ("work.resumed", WorkResumed(), {"suspended": "claimed"}),
    ("work.unblocked", WorkUnblocked(), {"blocked": "ready"}),
    ("executed, completed", executed("completed"), {"in_progress": "submitted"}),
    ("executed, failed", executed("failed"), dict.fromkeys(("in_progress", "waiting_input"), "in_progress")),
    ("executed, aborted", executed("aborted"), dict.fromkeys(("in_progress", "waiting_input"), "claimed")),
    ("review.requested", requested("R-2"), dict.fromkeys(("submitted", "in_review"), "in_review")),
    *((f"reviewed, {word}", verdict("R-1", word), {"in_review": "submitted"})
      for word in ("approved", "edited", "waived")),
    *((f"reviewed, {word}", verdict("R-1", word), {"in_review": "in_progress"})
      for word in ("changes_requested", "rejected")),
    ("work.submitted", WorkSubmitted(), dict.fromkeys(("in_progress", "submitted"), "submitted")),
    ("work.verified", WorkVerified(), {"submitted": "verified"}),
    ("work.completed", WorkCompleted(), {"verified": "completed"}),
    ("work.failed", WorkFailed(), dict.fromkeys(OPEN, "failed")),
    ("work.cancelled", WorkCancelled(), dict.fromkeys(OPEN, "cancelled")),
    ("work.superseded", WorkSuperseded(), dict.fromkeys(OPEN, "superseded")),
    ("work.reopened", WorkReopened(), dict.fromkeys(("submitted", "verified", "completed", "failed"), "ready")),
    ("note.added", NoteAdded(text="x"), {state: state for state in STATES}),
]  # fmt: skip


@pytest.mark.parametrize("payload, leads", [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table_says_from_where_and_whereto(payload: msgspec.Struct, leads: Mapping[str, str]) -> None:
    steps = {state: step(STANDING[state], payload) for state in STATES}

    assert {state: after.after.state for state, after in steps.items() if after.allowed} == dict(leads)
    assert set(follows(payload)) == set(leads)


def test_work_begins_defined_or_discovered() -> None:
    assert step(Lifecycle(), DEFINED).after == Lifecycle("defined", 1)
    assert step(Lifecycle(), NoteAdded(text="x")).after == Lifecycle("discovered", 1)
    assert step(Lifecycle(), STARTED).after.state == "in_progress"


@pytest.mark.parametrize(
    "before, payload, after",
    [
        ("defined", WorkCompleted(), "completed"),
        ("completed", STARTED, "in_progress"),
        ("cancelled", WorkReopened(), "ready"),
        ("waiting_input", executed("completed"), "submitted"),
        ("in_progress", requested("R-1"), "in_review"),
        ("completed", WorkResumed(), "ready"),
    ],
)
def test_a_fact_that_is_not_allowed_moves_the_work_all_the_same(before: str, payload: Any, after: str) -> None:
    found = step(STANDING[before], payload)

    assert not found.allowed
    assert found.after.state == after


def test_a_resumption_of_what_does_not_rest_changes_nothing() -> None:
    assert step(STANDING["in_progress"], WorkResumed()).after is STANDING["in_progress"]


def told(*payloads: msgspec.Struct) -> Lifecycle:
    """Where these lead, each allowed, from work that is carried out."""
    life = Lifecycle("in_progress", 1)
    for payload in payloads:
        found = step(life, payload)
        assert found.allowed, (life, payload)
        life = found.after
    return life


def test_work_waits_until_every_question_has_its_answer() -> None:
    questions = (asked("Q-1"), asked("Q-2"), asked("Q-3"))

    assert told(*questions, answered("Q-2"), answered("Q-1")).state == "waiting_input"
    assert told(*questions, answered("Q-2"), answered("Q-1"), answered("Q-3")) == Lifecycle("in_progress", 1)


def test_work_waits_until_every_blocking_escalation_is_over() -> None:
    assert told(escalated("X-1"), escalated("X-2"), resolved("X-1")).state == "waiting_input"
    assert told(escalated("X-1"), asked("Q-1"), resolved("X-1")).state == "waiting_input"
    assert told(escalated("X-1"), escalated("X-2"), resolved("X-1"), EscalationCancelled(escalation_id="X-2")) == told()


def test_a_blocking_escalation_of_work_that_has_not_begun_halts_it_when_it_begins() -> None:
    life = step(step(Lifecycle("ready", 1), escalated("X-1")).after, STARTED).after

    assert (life.state, life.blockers) == ("waiting_input", ("X-1",))
    assert step(life, resolved("X-1")).after.state == "in_progress"


def test_what_is_sent_back_while_an_escalation_blocks_it_waits() -> None:
    life = step(step(STANDING["in_review"], escalated("X-1")).after, verdict("R-1", "rejected")).after

    assert life.state == "waiting_input"


def test_paused_work_goes_back_to_what_it_was() -> None:
    assert told(WorkSuspended(), WorkResumed()) == told()
    assert told(WorkBlocked(reason="x"), WorkUnblocked()) == told()
    assert told(asked("Q-1"), WorkSuspended(), WorkResumed()) == told(asked("Q-1"))


def test_work_that_rests_and_is_blocked_goes_on_when_neither_holds_it() -> None:
    both = (WorkSuspended(), WorkBlocked(reason="x"))

    assert told(*both).state == "blocked"
    assert told(*both, WorkUnblocked()).state == "suspended"
    assert told(*both, WorkResumed()).state == "blocked"
    assert told(*both, WorkUnblocked(), WorkResumed()) == told(*both, WorkResumed(), WorkUnblocked()) == told()


def test_what_it_waited_for_may_come_while_it_rests() -> None:
    assert told(asked("Q-1"), WorkSuspended(), answered("Q-1"), WorkResumed()) == told()
    assert told(escalated("X-1"), WorkSuspended(), resolved("X-1"), WorkResumed()) == told()


def test_a_review_is_over_when_enough_have_approved() -> None:
    handed_in = executed("completed")
    twice = (handed_in, requested("R-1", required=2), verdict("R-1", "approved"))

    assert told(*twice).state == "in_review"
    assert told(*twice, verdict("R-1", "edited")).state == "submitted"
    assert told(handed_in, requested("R-1", required=2), verdict("R-1", "waived")).state == "submitted"


def test_every_review_has_to_be_over() -> None:
    both = (executed("completed"), requested("R-1"), requested("R-2"), verdict("R-1", "approved"))

    assert told(*both).state == "in_review"
    assert told(*both, verdict("R-2", "approved")).state == "submitted"
    assert told(*both, verdict("R-2", "changes_requested")) == Lifecycle("in_progress", 1, over=("E-1",))


def test_a_review_that_is_withdrawn_is_not_waited_for_and_an_invalidated_one_is_asked_for_again() -> None:
    review = {"review_id": "R-1", "output_id": "O-1", "output_dig": DIG}
    handed_in = (executed("completed"), requested("R-1"))

    assert told(*handed_in, ReviewWithdrawn(**review)).state == "submitted"
    assert told(*handed_in, ReviewInvalidated(**review, cause=DIG)).state == "in_review"


def test_reopened_work_is_in_a_new_cycle_with_nothing_left_over() -> None:
    life = told(executed("completed"), WorkVerified(), WorkCompleted(), WorkReopened())

    assert life == Lifecycle("ready", 2, over=("E-1",))
    assert step(step(life, STARTED).after, executed("completed")).after == Lifecycle("submitted", 2, over=("E-1",))


def after(*payloads: Any, life: Lifecycle = Lifecycle("ready", 1)) -> Lifecycle:  # noqa: B008 - it is frozen
    for payload in payloads:
        life = step(life, payload).after
    return life


def begun(id: str) -> ExecutionStarted:
    return ExecutionStarted(execution_id=id, executor="bot")


def ended(id: str, result: Any = "completed") -> WorkExecuted:
    return WorkExecuted(execution_id=id, result=result)


def test_of_several_executions_the_last_to_end_moves_the_work_on() -> None:
    for result, leads in (("completed", "submitted"), ("failed", "in_progress"), ("aborted", "claimed")):
        both = after(begun("E-1"), begun("E-2"), ended("E-1", result))
        assert (both.state, both.executions) == ("in_progress", ("E-2",))
        assert after(ended("E-2", result), life=both).state == leads


def test_a_question_of_one_execution_stays_open_while_another_ends() -> None:
    life = after(begun("E-1"), asked("Q-1"), begun("E-2"))
    assert life.state == "waiting_input" and step(life, ended("E-2")).allowed
    life = after(ended("E-2"), life=life)
    assert (life.state, life.inputs) == ("waiting_input", ("Q-1",))
    assert after(answered("Q-1"), ended("E-1"), life=life).state == "submitted"


def test_whoever_has_the_work_next_begins_anew() -> None:
    handed_over = after(begun("E-1"), HandoverAccepted(handover_id="H-1", to="ben"))
    assert (handed_over.state, handed_over.executions) == ("claimed", ())
    assert after(begun("E-2"), ended("E-2"), life=handed_over).state == "submitted"


def test_nobody_begins_before_a_blocking_escalation_is_settled() -> None:
    for state in IDLE:
        life = after(escalated("X-1"), life=Lifecycle(state, 1))
        assert life.state == state and not step(life, STARTED).allowed
        # The fold takes a fact's word that it began all the same, and the work waits.
        assert after(STARTED, life=life).state == "waiting_input"
        assert step(after(resolved("X-1"), life=life), STARTED).allowed


def test_what_is_blocked_can_be_made_ready_and_goes_on_as_ready() -> None:
    life = after(DependencyAdded(on="W-2"), DependencyAdded(on="W-3"), life=Lifecycle("defined", 1))
    ready = step(life, WorkReadied())
    assert ready.allowed and ready.after.state == "blocked"
    assert after(WorkUnblocked(), life=ready.after).state == "ready"
