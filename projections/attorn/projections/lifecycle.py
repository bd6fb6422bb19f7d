"""The state machine of a work item, written once: the services refuse by it, the views fold by it.

`step` says where an event leads and whether the table allows it from here. At the command door what is not allowed is
refused; a fact that is not allowed is a finding, and the fold takes the fact's word for the new state. Only the end of
an execution that is over already moves nothing: whoever has the work by then did not do what it tells of.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRevoked
from attorn.contracts.dependency import DependencyAdded, WorkBlocked, WorkUnblocked
from attorn.contracts.escalation import EscalationCancelled, EscalationReopened, EscalationResolved, WorkEscalated
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
_UNDONE: Final = _IDLE | _HELD | {"waiting_input", "blocked", "suspended"}
_OPEN: Final = _UNDONE | {"in_review", "submitted", "verified"}

OVER_MAX: Final = 32
"""So many executions of an item that are over are known by their ids; an end of an earlier one is taken for news."""


class Lifecycle(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a work item stands, and what it must remember to go on from there.

    `back` is the state that it returns to when none of `pauses` (suspended, blocked) is left; `inputs` and `blockers`
    are the open questions and the open blocking escalations; `reviews` the open reviews with the number of verdicts
    that each still needs; `executions` those that are under way: the work moves on when the last of them has ended.
    `over` are the last of those that are over: what is told of their end once more, or too late, moves nothing.
    """

    state: State = ""
    cycle: int = 0
    back: State = ""
    inputs: tuple[str, ...] = ()
    blockers: tuple[str, ...] = ()
    reviews: tuple[tuple[str, int], ...] = ()
    pauses: tuple[State, ...] = ()
    executions: tuple[str, ...] = ()
    over: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the item is neither submitted nor ended."""
        return self.state not in ENDED and self.state not in ("submitted", "verified")


class Step(msgspec.Struct, frozen=True, gc=False):
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
    move = _MOVES.get(payload.__class__)
    return Step(life, True) if move is None else move(life, payload)


def follows(payload: Any) -> tuple[State, ...]:
    """The states from which the table allows `payload`."""
    # Its type decides, and the result of an execution: each is looked at once.
    key = (type(payload), getattr(payload, "result", None))
    found = _ALLOWED_FROM.get(key)
    if found is None:
        found = tuple(state for state in get_args(State) if state and step(_standing(state), payload).allowed)
        _ALLOWED_FROM[key] = found
    return found


_ALLOWED_FROM: Final[dict[tuple[type, Any], tuple[State, ...]]] = {}


def _standing(state: State) -> Lifecycle:
    paused = state in ("suspended", "blocked")
    return Lifecycle(state, 1, back="in_progress" if paused else "", pauses=(state,) if paused else ())


def _to(state: State, allowed: frozenset[str]) -> Callable[[Lifecycle, Any], Step]:
    def move(life: Lifecycle, payload: Any) -> Step:
        # A blocking escalation outlives every change of state but the end: nothing else settles it.
        blockers = () if state in ENDED else life.blockers
        # Nor does an execution outlive one: whoever else has the work now, or hands it in, begins or ends it anew.
        over = _over(life, life.executions)
        return Step(Lifecycle(state, life.cycle, "", (), blockers, life.reviews, over=over), life.state in allowed)

    return move


def _ready(life: Lifecycle, payload: Any) -> Step:
    if life.pauses and life.back in ("discovered", "defined"):
        # What waits for other work can be made ready meanwhile, and is when it goes on.
        return Step(_replace(life, back="ready"), True)
    return _to("ready", frozenset({"discovered", "defined"}))(life, payload)


def _start(life: Lifecycle, payload: ExecutionStarted) -> Step:
    # A blocking escalation halts nobody who has not begun, and the state stays; but nobody begins before it is settled.
    joins = bool(life.executions) and life.state == "waiting_input"
    allowed = (life.state in _IDLE or life.state in _HELD or joins) and not life.blockers
    id = payload.execution_id
    executions = (*(e for e in life.executions if e != id), id)
    inputs = life.inputs if life.executions else ()
    state = _at_work(inputs, life.blockers)
    # Who is said to be at it is at it, also under an id that was used before: it is under way again.
    over = tuple(e for e in life.over if e != id) if id in life.over else life.over
    return Step(Lifecycle(state, life.cycle, "", inputs, life.blockers, life.reviews, (), executions, over), allowed)


def _working(life: Lifecycle) -> Lifecycle:
    """Work that is carried out."""
    state = _at_work(life.inputs, life.blockers)
    return Lifecycle(state, life.cycle, "", life.inputs, life.blockers, life.reviews, (), life.executions, life.over)


def _over(life: Lifecycle, ids: tuple[str, ...]) -> tuple[str, ...]:
    """The executions that are over when these are as well."""
    return (*(e for e in life.over if e not in ids), *ids)[-OVER_MAX:] if ids else life.over


def _at_work(inputs: tuple[str, ...], blockers: tuple[str, ...]) -> State:
    """Under way, as far as no question and no blocking escalation halts it."""
    return "waiting_input" if inputs or blockers else "in_progress"


def _replace(life: Lifecycle, **changes: Any) -> Lifecycle:
    return msgspec.structs.replace(life, **changes)


def _defined(life: Lifecycle, payload: Any) -> Step:
    # Work that was discovered can be defined however far it has come; that it is defined once is another rule.
    return Step(_replace(life, state="defined") if life.state == "discovered" else life, True)


def _pause(state: State) -> Callable[[Lifecycle, Any], Step]:
    def move(life: Lifecycle, payload: Any) -> Step:
        if state in life.pauses:
            return Step(life, False)
        # Resting work can be blocked as well; it goes on when neither holds it.
        after = _replace(life, state=state, back=life.back or life.state, pauses=(*life.pauses, state))
        return Step(after, life.state in _OPEN)

    return move


def _depend(life: Lifecycle, payload: Any) -> Step:
    # One more thing to wait for: work that is blocked already stays so, and one word lifts all of it.
    after = life if "blocked" in life.pauses else _pause("blocked")(life, payload).after
    return Step(after, life.state in _UNDONE)


def _resume(state: State) -> Callable[[Lifecycle, Any], Step]:
    def move(life: Lifecycle, payload: Any) -> Step:
        if state not in life.pauses:
            # It goes on, we are told, though nobody said that it rested: then it was taken up without our knowledge.
            unknown = life.state == "discovered" or life.state in ENDED
            return Step(_replace(life, state="ready") if unknown else life, False)
        pauses = tuple(pause for pause in life.pauses if pause != state)
        if pauses:
            return Step(_replace(life, state=pauses[-1], pauses=pauses), True)
        # What it waited for may have come while it rested.
        if life.back in ("in_progress", "waiting_input"):
            return Step(_working(life), True)
        return Step(_replace(life, state=life.back or "ready", back="", pauses=()), True)

    return move


def _ask(life: Lifecycle, payload: ExecutionInputRequired) -> Step:
    # Also in an execution that is over: whom it is for has it before them, and the work waits for what they say.
    inputs = (*(i for i in life.inputs if i != payload.request_id), payload.request_id)
    return Step(_working(_replace(life, inputs=inputs)), life.state in ("in_progress", "waiting_input"))


def _answer(life: Lifecycle, payload: ExecutionInputProvided) -> Step:
    inputs = tuple(i for i in life.inputs if i != payload.request_id)
    waits = life.state == "waiting_input" or (bool(life.pauses) and life.back == "waiting_input")
    return Step(_go_on(_replace(life, inputs=inputs)), waits)


def _escalate(life: Lifecycle, payload: WorkEscalated) -> Step:
    allowed = life.state in _OPEN
    if not payload.blocking:
        return Step(life, allowed)
    after = _replace(life, blockers=(*(b for b in life.blockers if b != payload.escalation_id), payload.escalation_id))
    return Step(_working(after) if life.state in ("in_progress", "waiting_input") else after, allowed)


def _settle(life: Lifecycle, payload: EscalationResolved | EscalationCancelled) -> Step:
    if payload.escalation_id not in life.blockers:
        return Step(life, True)
    blockers = tuple(b for b in life.blockers if b != payload.escalation_id)
    return Step(_go_on(_replace(life, blockers=blockers)), True)


def _unsettle(life: Lifecycle, payload: EscalationReopened) -> Step:
    if not payload.blocking or life.state in ENDED:
        return Step(life, True)
    after = _replace(life, blockers=(*(b for b in life.blockers if b != payload.escalation_id), payload.escalation_id))
    return Step(_working(after) if life.state in ("in_progress", "waiting_input") else after, True)


def _go_on(life: Lifecycle) -> Lifecycle:
    return _working(life) if life.state == "waiting_input" else life


def _execute(life: Lifecycle, payload: WorkExecuted) -> Step:
    id = payload.execution_id
    allowed = life.state in ("in_progress", "waiting_input")
    if id in life.over or life.state in ENDED or life.back in ENDED:
        # The work has gone on since, or nothing is left to do: whose work it is now is not moved by an earlier one.
        return Step(life, allowed and (payload.result != "completed" or life.state == "in_progress"))
    others = tuple(e for e in life.executions if e != id)
    over = _over(life, (id,))
    if others:
        # Whoever else is at it goes on, and so does the work, with the questions that are open.
        return Step(_go_on(_replace(life, executions=others, over=over)), allowed)
    match payload.result:
        case "completed":
            # What others handed in before may still be looked at.
            state: State = "in_review" if life.reviews else "submitted"
            allowed = life.state == "in_progress"
        case "failed":
            # Who fails may have been waiting; its questions end with the execution, an escalation does not.
            state = _at_work((), life.blockers)
        case "aborted":
            state = "claimed"
    return Step(Lifecycle(state, life.cycle, "", (), life.blockers, life.reviews, over=over), allowed)


def _request(life: Lifecycle, payload: ReviewRequested) -> Step:
    reviews = (*(r for r in life.reviews if r[0] != payload.review_id), (payload.review_id, payload.required))
    if life.executions and life.state in ("in_progress", "waiting_input"):
        # One has handed in, and others are still at it: the work goes on, and waits for the verdict at its end.
        return Step(_replace(life, reviews=reviews), True)
    allowed = life.state in ("submitted", "in_review")
    after = Lifecycle("in_review", life.cycle, "", life.inputs, life.blockers, reviews, (), life.executions, life.over)
    return Step(after, allowed)


def _review(life: Lifecycle, payload: WorkReviewed) -> Step:
    goes_on = bool(life.executions) and life.state in ("in_progress", "waiting_input")
    allowed = life.state == "in_review" or (goes_on and any(id == payload.review_id for id, _ in life.reviews))
    if payload.verdict in ("changes_requested", "rejected"):
        return Step(_working(_replace(life, reviews=())), allowed)
    # A waiver stands for all the verdicts that were still wanted.
    left = tuple(
        (id, needed - 1 if id == payload.review_id else needed)
        for id, needed in life.reviews
        if id != payload.review_id or (needed > 1 and payload.verdict != "waived")
    )
    if goes_on:
        return Step(_replace(life, reviews=left), allowed)
    state: State = "in_review" if left else "submitted"
    after = Lifecycle(state, life.cycle, "", life.inputs, life.blockers, left, (), life.executions, life.over)
    return Step(after, allowed)


def _drop(life: Lifecycle, payload: ReviewInvalidated | ReviewWithdrawn) -> Step:
    left = tuple(review for review in life.reviews if review[0] != payload.review_id)
    if left == life.reviews:
        return Step(life, True)
    # The new bytes of an invalidated review want a review of their own; after a withdrawn one nothing is waited for.
    over = life.state == "in_review" and not left and isinstance(payload, ReviewWithdrawn)
    return Step(_replace(life, state="submitted" if over else life.state, reviews=left), True)


def _reopen(life: Lifecycle, payload: WorkReopened) -> Step:
    allowed = life.state in ("submitted", "verified", "completed", "failed")
    return Step(Lifecycle("ready", life.cycle + 1, over=_over(life, life.executions)), allowed)


_MOVES: Final[dict[type, Callable[[Lifecycle, Any], Step]]] = {
    WorkDefined: _defined,
    WorkReadied: _ready,
    WorkAssigned: _to("claimed", _IDLE | {"claimed"}),
    ClaimAcquired: _to("claimed", _IDLE),
    ExecutionStarted: _start,
    ClaimReleased: _to("ready", _HELD),
    ClaimExpired: _to("ready", _HELD),
    ClaimRevoked: _to("ready", _HELD),
    WorkDeclined: _to("ready", _HELD),
    WorkUnassigned: _to("ready", _HELD),
    HandoverAccepted: _to("claimed", _HELD),
    ExecutionInputRequired: _ask,
    ExecutionInputProvided: _answer,
    WorkEscalated: _escalate,
    EscalationResolved: _settle,
    EscalationCancelled: _settle,
    EscalationReopened: _unsettle,
    WorkSuspended: _pause("suspended"),
    WorkResumed: _resume("suspended"),
    DependencyAdded: _depend,
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

MOVING: Final = frozenset(_MOVES)
"""The events of which a lifecycle may change; none other has `step` a word on."""
