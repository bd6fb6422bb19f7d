"""The state machine of a work item, written once: the services refuse by it, the views fold by it.

`step` says where an event leads and whether the table allows it from here. At the command door what is not allowed is
refused; a fact that is not allowed is a finding, and the fold takes the fact's word for the new state.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased
from attorn.contracts.dependency import WorkBlocked, WorkUnblocked
from attorn.contracts.escalation import EscalationCancelled, EscalationResolved, WorkEscalated
from attorn.contracts.execution import (
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionStarted,
    WorkExecuted,
)
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
    WorkUnassigned,
    WorkVerified,
)

State: TypeAlias = Literal[
    "",
    "discovered",
    "defined",
    "ready",
    "claimed",
    "in_progress",
    "waiting_input",
    "blocked",
    "suspended",
    "in_review",
    "submitted",
    "verified",
    "completed",
    "failed",
    "cancelled",
    "superseded",
]

ENDED: Final = frozenset({"completed", "failed", "cancelled", "superseded"})
"""Nothing is left to do; only reopening leads out, and not of what was cancelled or superseded."""

# Work that nothing holds back can be taken up as soon as it is defined, or known of.
_IDLE: Final = frozenset({"discovered", "defined", "ready"})
_HELD: Final = frozenset({"claimed", "in_progress"})
_OPEN: Final = _IDLE | _HELD | {"waiting_input", "blocked", "suspended", "in_review", "submitted", "verified"}


class Lifecycle(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a work item stands, and what it must remember to go on from there.

    `back` is the state that it returns to from suspended or blocked; `inputs` and `blockers` are the open questions and
    the open blocking escalations; `reviews` the open reviews with the number of verdicts that each still needs.
    """

    state: State = ""
    cycle: int = 0
    back: State = ""
    inputs: tuple[str, ...] = ()
    blockers: tuple[str, ...] = ()
    reviews: tuple[tuple[str, int], ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the item is neither submitted nor ended."""
        return self.state not in ENDED and self.state not in ("submitted", "verified")


class Step(msgspec.Struct, frozen=True):
    """What an event does to a lifecycle; `allowed` is the table's word for it."""

    after: Lifecycle
    allowed: bool


def step(life: Lifecycle, payload: Any) -> Step:
    """Where `payload` leads from `life`."""
    if not life.state:
        # The first event of an item: it is defined, or it was there before anybody told us.
        if isinstance(payload, WorkDefined):
            return Step(Lifecycle("defined", 1), True)
        life = Lifecycle("discovered", 1)
    move = _MOVES.get(type(payload))
    return Step(life, True) if move is None else move(life, payload)


def _to(state: State, allowed: frozenset[str]) -> Callable[[Lifecycle, Any], Step]:
    def move(life: Lifecycle, payload: Any) -> Step:
        return Step(_replace(life, state=state, back="", inputs=(), blockers=()), life.state in allowed)

    return move


def _replace(life: Lifecycle, **changes: Any) -> Lifecycle:
    return msgspec.structs.replace(life, **changes)


def _defined(life: Lifecycle, payload: Any) -> Step:
    known = life.state != "discovered"
    return Step(life if known else _replace(life, state="defined"), not known)


def _pause(state: State) -> Callable[[Lifecycle, Any], Step]:
    def move(life: Lifecycle, payload: Any) -> Step:
        if life.state == state:
            return Step(life, False)
        # Resting work that is blocked as well goes back to what it was before either.
        back = life.back or life.state
        return Step(_replace(life, state=state, back=back), life.state in _OPEN)

    return move


def _resume(state: State) -> Callable[[Lifecycle, Any], Step]:
    def move(life: Lifecycle, payload: Any) -> Step:
        return Step(_replace(life, state=life.back or "ready", back=""), life.state == state)

    return move


def _ask(life: Lifecycle, payload: ExecutionInputRequired) -> Step:
    inputs = (*(i for i in life.inputs if i != payload.request_id), payload.request_id)
    return Step(
        _replace(life, state="waiting_input", back="", inputs=inputs), life.state in ("in_progress", "waiting_input")
    )


def _answer(life: Lifecycle, payload: ExecutionInputProvided) -> Step:
    inputs = tuple(i for i in life.inputs if i != payload.request_id)
    return _go_on(_replace(life, inputs=inputs), life.state == "waiting_input")


def _escalate(life: Lifecycle, payload: WorkEscalated) -> Step:
    if not payload.blocking:
        return Step(life, life.state in _OPEN)
    blockers = (*life.blockers, payload.escalation_id)
    waits = life.state in ("in_progress", "waiting_input")
    return Step(_replace(life, blockers=blockers, state="waiting_input" if waits else life.state), life.state in _OPEN)


def _settle(life: Lifecycle, payload: EscalationResolved | EscalationCancelled) -> Step:
    if payload.escalation_id not in life.blockers:
        return Step(life, True)
    return _go_on(_replace(life, blockers=tuple(b for b in life.blockers if b != payload.escalation_id)), True)


def _go_on(life: Lifecycle, allowed: bool) -> Step:
    waits = life.state == "waiting_input" and (life.inputs or life.blockers)
    if life.state != "waiting_input" or waits:
        return Step(life, allowed)
    return Step(_replace(life, state="in_progress"), allowed)


def _execute(life: Lifecycle, payload: WorkExecuted) -> Step:
    ends: dict[str, State] = {"completed": "submitted", "failed": "in_progress", "aborted": "claimed"}
    return Step(_replace(life, state=ends[payload.result], back=""), life.state == "in_progress")


def _request(life: Lifecycle, payload: ReviewRequested) -> Step:
    reviews = (*(r for r in life.reviews if r[0] != payload.review_id), (payload.review_id, payload.required))
    allowed = life.state in ("in_progress", "in_review", "submitted")
    return Step(_replace(life, state="in_review", reviews=reviews, back=""), allowed)


def _review(life: Lifecycle, payload: WorkReviewed) -> Step:
    allowed = life.state == "in_review"
    if payload.verdict in ("changes_requested", "rejected"):
        return Step(_replace(life, state="in_progress", reviews=(), back=""), allowed)
    # A waiver stands for all the verdicts that were still wanted.
    left = tuple(
        (id, needed - 1 if id == payload.review_id else needed)
        for id, needed in life.reviews
        if id != payload.review_id or (needed > 1 and payload.verdict != "waived")
    )
    return Step(_replace(life, state="in_review" if left else "submitted", reviews=left, back=""), allowed)


def _drop(life: Lifecycle, payload: ReviewInvalidated | ReviewWithdrawn) -> Step:
    return Step(_replace(life, reviews=tuple(r for r in life.reviews if r[0] != payload.review_id)), True)


def _reopen(life: Lifecycle, payload: WorkReopened) -> Step:
    allowed = life.state in ("submitted", "verified", "completed", "failed")
    return Step(Lifecycle("ready", life.cycle + 1), allowed)


_MOVES: Final[dict[type, Callable[[Lifecycle, Any], Step]]] = {
    WorkDefined: _defined,
    WorkReadied: _to("ready", frozenset({"discovered", "defined"})),
    WorkAssigned: _to("claimed", _IDLE | {"claimed"}),
    ClaimAcquired: _to("claimed", _IDLE),
    ExecutionStarted: _to("in_progress", _IDLE | _HELD),
    ClaimReleased: _to("ready", _HELD),
    ClaimExpired: _to("ready", _HELD),
    WorkDeclined: _to("ready", _HELD),
    WorkUnassigned: _to("ready", _HELD),
    HandoverAccepted: _to("claimed", _HELD),
    ExecutionInputRequired: _ask,
    ExecutionInputProvided: _answer,
    WorkEscalated: _escalate,
    EscalationResolved: _settle,
    EscalationCancelled: _settle,
    WorkSuspended: _pause("suspended"),
    WorkResumed: _resume("suspended"),
    WorkBlocked: _pause("blocked"),
    WorkUnblocked: _resume("blocked"),
    WorkExecuted: _execute,
    ReviewRequested: _request,
    WorkReviewed: _review,
    ReviewInvalidated: _drop,
    ReviewWithdrawn: _drop,
    WorkSubmitted: _to("submitted", frozenset({"in_progress", "submitted"})),
    WorkVerified: _to("verified", frozenset({"submitted"})),
    WorkCompleted: _to("completed", frozenset({"verified"})),
    WorkFailed: _to("failed", _OPEN),
    WorkCancelled: _to("cancelled", _OPEN),
    WorkSuperseded: _to("superseded", _OPEN),
    WorkReopened: _reopen,
}
