"""Visibility: every work item as it is, by state, process, person, priority and due time; and as it was at any time.

Where an item stands comes from the one state machine of `lifecycle`. The rows also keep what is counted over all
items: how often each was reopened or changed hands, and how long nothing happened to it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.claim import ClaimExpired, ClaimReleased
from attorn.contracts.deadline import DeadlineSet
from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.dependency import DependencyAdded, WorkBlocked, WorkUnblocked
from attorn.contracts.envelope import Recorded
from attorn.contracts.escalation import (
    EscalationCancelled,
    EscalationContext,
    EscalationReopened,
    EscalationResolved,
    WorkEscalated,
)
from attorn.contracts.execution import (
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionStarted,
    WorkExecuted,
)
from attorn.contracts.ids import Priority
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.review import ReviewRequested, WorkReviewed
from attorn.contracts.work import (
    Purpose,
    WorkAssigned,
    WorkCancelled,
    WorkClarified,
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
from attorn.projections import timeline
from attorn.projections.directory import NOW, AsOf
from attorn.projections.fold import Rows, item
from attorn.projections.lifecycle import ENDED, MOVING, Lifecycle, State, step

NAME = "board"
VERSION = 5
EVENTS: Final[frozenset[type] | None] = None
# A page is in order of the keys: with the key in the index, it is read from its own place, however many there are.
INDEXES = (
    ("state", "key", "process"),
    ("process", "key", "state"),
    ("named", "key", "state"),
    ("executor", "key", "state"),
    ("due_at",),
    ("failed_position", "key"),
)
keys: Final = item

GAP = timedelta(days=7)
"""A longer time in which nothing happened to an item is kept as a gap."""

FINISHED: Final = ENDED | {"submitted", "verified"}
"""The states of work that is not open: handed in, or ended."""


class Question(msgspec.Struct, frozen=True, gc=False):
    """An open question of an item, and who has to answer it."""

    request_id: str
    of: str
    question: str
    respond_by: datetime | None


class Failure(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An execution that failed, and whose it was; `retryable` is what was said of trying again, None where nothing."""

    execution_id: str
    by: str | None
    position: int
    time: datetime
    error_class: str | None = None
    retryable: bool | None = None


class Kept(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the fold has to remember of an item beside its columns.

    `gaps_s` are the seconds of each time longer than GAP in which nothing happened. `closed`: what happened last
    brought the item to its end.
    """

    life: Lifecycle = Lifecycle()
    questions: tuple[Question, ...] = ()
    escalations: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    gaps_s: tuple[int, ...] = ()
    last_executor: str | None = None
    closed: bool = False
    failure: Failure | None = None


class Row(msgspec.Struct, frozen=True, gc=False):
    """One work item. Times are those at which things happened.

    `named`, `process` and `source` are what it takes to resolve who answers. `executor` carries it out, `team` is where
    it lies, `waiting_on` has to answer before it goes on. `disordered` says that something was recorded after what
    happened later; `reopened_directly` counts the times that nothing else happened between the end and the reopening.
    `failed_position` is where an execution failed after which nothing was begun, and the item was given to nobody:
    `kept` has what is known of it.
    """

    key: str
    state: str
    cycle: int
    first_position: int
    last_position: int
    first_time: datetime
    last_time: datetime
    last_recorded_at: datetime
    events: int = 1
    disordered: bool = False
    title: str | None = None
    process: str | None = None
    process_version: int | None = None
    parent_id: str | None = None
    priority: str = "normal"
    due_at: datetime | None = None
    named: str | None = None
    source: str | None = None
    team: str | None = None
    executor: str | None = None
    executor_changes: int = 0
    waiting_on: str | None = None
    open_inputs: int = 0
    open_escalations: int = 0
    defined_at: datetime | None = None
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    completed_at: datetime | None = None
    reopened: int = 0
    reopened_directly: int = 0
    outcome: str | None = None
    failed_position: int | None = None
    kept: Kept = Kept()


def apply(row: Row | None, recorded: Recorded, key: str) -> Row:
    """The item after the event."""
    event = recorded.event
    data, time = event.data, event.time
    if row is None:
        source = event.authid if event.authtype == "system" else None
        at = recorded.position
        row = Row(key, "", 0, at, at, time, time, recorded.recorded_at, events=0, source=source)
    kept = row.kept
    if (
        data.__class__ not in _TELLING
        and row.failed_position is None
        and row.state
        and not kept.closed
        and row.last_time <= time <= row.last_time + GAP
    ):
        # Half of all events, and of the item they say no more than that they happened.
        return _replace(row, events=row.events + 1, last_position=recorded.position, last_time=time,
                        last_recorded_at=recorded.recorded_at)  # fmt: skip
    changes: dict[str, Any] = {
        "events": row.events + 1,
        "last_position": recorded.position,
        "last_recorded_at": recorded.recorded_at,
    }
    keeps: dict[str, Any] = {}
    if time > row.last_time:
        changes["last_time"] = time
        if time - row.last_time > GAP:
            keeps["gaps_s"] = (*kept.gaps_s, round((time - row.last_time).total_seconds()))
    elif time < row.last_time:
        changes["disordered"] = True
        if time < row.first_time:
            changes["first_time"] = time

    life = step(kept.life, data).after
    if life is not kept.life and life != kept.life:
        keeps["life"] = life
        if life.state != row.state:
            _moved(row, life, time, changes)
        changes["cycle"] = life.cycle
        changes["open_inputs"] = len(life.inputs)
    executor = timeline.executes(data, row.executor, kept.life)
    if executor != row.executor:
        changes["executor"] = executor
        if executor is not None and executor != kept.last_executor:
            keeps["last_executor"] = executor
            changes["executor_changes"] = row.executor_changes + (kept.last_executor is not None)
    team = getattr(data, "team", None)
    if team is not None:
        changes["team"] = team
    taken = _TAKEN.get(data.__class__)
    if taken is not None:
        taken(row, data, time, changes, keeps)
    if data.__class__ is WorkExecuted or row.failed_position is not None:
        failure = _failure(row, recorded, life)
        if failure is not kept.failure:
            keeps["failure"] = failure
            changes["failed_position"] = failure.position if failure is not None else None
    questions = keeps.get("questions", kept.questions)
    if questions:
        questions = tuple(question for question in questions if question.request_id in life.inputs)
        keeps["questions"] = questions
        waits = questions and life.state == "waiting_input"
        changes["waiting_on"] = questions[-1].of if waits else None
    # What an import concludes from an event beside it, with an id such as `7.1`, is not one more that happened.
    if "." not in event.id or data.__class__ in _CLOSING:
        closed = data.__class__ in _CLOSING and life.state in FINISHED
        if closed is not kept.closed:
            keeps["closed"] = closed
    if keeps:
        changes["kept"] = _replace(kept, **keeps)
    return _replace(row, **changes)


_replace: Final = msgspec.structs.replace


def _moved(row: Row, life: Lifecycle, time: datetime, changes: dict[str, Any]) -> None:
    changes["state"] = life.state
    if life.state == "submitted":
        changes["submitted_at"] = time
    if life.state in ENDED:
        changes["ended_at"] = time
    elif row.ended_at is not None:
        changes["ended_at"] = changes["completed_at"] = None


def _failure(row: Row, recorded: Recorded, life: Lifecycle) -> Failure | None:
    """The failed execution after which nothing goes on, until something does, or the item is handed in or ended."""
    data: Any = recorded.event.data
    if life.state in FINISHED or life.executions or data.__class__ in _GOING_ON:
        return None
    if data.__class__ is not WorkExecuted or data.execution_id in row.kept.life.over:
        return row.kept.failure  # of what was over before, nothing new is said
    if data.result != "failed":
        return None
    return Failure(
        data.execution_id, row.executor, recorded.position, recorded.event.time, data.error_class, data.retryable
    )


# ---- what else an event says of the item: changes of columns, and of what is kept

_Changes: TypeAlias = dict[str, Any]


def _defined(row: Row, data: WorkDefined, time: datetime, changes: _Changes, keeps: _Changes) -> None:
    # The first definition stands: a second one is a finding and changes nothing.
    if row.defined_at is not None:
        return
    changes["defined_at"] = time
    changes["title"] = data.title
    if data.process is not None:
        changes["process"], changes["process_version"] = data.process.id, data.process.version
    changes["parent_id"] = data.parent_id
    changes["priority"] = data.priority
    changes["due_at"] = data.due_at
    changes["named"] = data.accountable
    changes["outcome"] = data.purpose.outcome_id
    keeps["candidates"] = data.candidates


def _clarified(row: Row, data: WorkClarified, time: datetime, changes: _Changes, keeps: _Changes) -> None:
    if row.defined_at is None:
        return
    for field, type, into in (
        ("title", str, changes),
        ("priority", Priority, changes),
        ("due_at", datetime | None, changes),
        ("candidates", tuple[str, ...], keeps),
    ):
        change = data.changes.get(field)
        if change is not None:
            # A fact may say what no definition could; that is a finding and changes nothing.
            with suppress(msgspec.ValidationError):
                into[field] = msgspec.convert(change.new, type)
    if "purpose" in data.changes:
        with suppress(msgspec.ValidationError):
            changes["outcome"] = msgspec.convert(data.changes["purpose"].new or {}, Purpose).outcome_id


def _transferred(row: Row, data: AccountabilityTransferred, time: datetime, changes: _Changes, keeps: _Changes) -> None:
    changes["named"] = data.to


def _reprioritized(row: Row, data: WorkReprioritized, time: datetime, changes: _Changes, keeps: _Changes) -> None:
    changes["priority"] = data.new


def _due(row: Row, data: DeadlineSet, time: datetime, changes: _Changes, keeps: _Changes) -> None:
    if data.kind == "completion":
        changes["due_at"] = data.new


def _offered(row: Row, data: ClaimReleased | ClaimExpired, time: datetime, changes: _Changes, keeps: _Changes) -> None:
    if data.candidates:
        keeps["candidates"] = data.candidates


def _asked(row: Row, data: ExecutionInputRequired, time: datetime, changes: _Changes, keeps: _Changes) -> None:
    question = Question(data.request_id, data.from_, data.question[:500], data.respond_by)
    keeps["questions"] = (*(q for q in row.kept.questions if q.request_id != data.request_id), question)


def _escalated(
    row: Row, data: WorkEscalated | EscalationReopened, time: datetime, changes: _Changes, keeps: _Changes
) -> None:
    if data.escalation_id not in row.kept.escalations:
        keeps["escalations"] = (*row.kept.escalations, data.escalation_id)
        changes["open_escalations"] = row.open_escalations + 1


def _settled(
    row: Row, data: EscalationResolved | EscalationCancelled, time: datetime, changes: _Changes, keeps: _Changes
) -> None:
    if data.escalation_id in row.kept.escalations:
        keeps["escalations"] = tuple(e for e in row.kept.escalations if e != data.escalation_id)
        changes["open_escalations"] = row.open_escalations - 1


def _completed(row: Row, data: WorkCompleted, time: datetime, changes: _Changes, keeps: _Changes) -> None:
    changes["completed_at"] = time


def _reopened(row: Row, data: WorkReopened, time: datetime, changes: _Changes, keeps: _Changes) -> None:
    changes["reopened"] = row.reopened + 1
    changes["reopened_directly"] = row.reopened_directly + row.kept.closed
    changes["submitted_at"] = None


_CLOSING: Final = frozenset(
    {WorkExecuted, WorkSubmitted, WorkVerified, WorkCompleted, WorkFailed, WorkCancelled, WorkSuperseded}
)
_TAKEN: Final[dict[type, Callable[[Row, Any, datetime, _Changes, _Changes], None]]] = {
    WorkDefined: _defined,
    WorkClarified: _clarified,
    AccountabilityTransferred: _transferred,
    WorkReprioritized: _reprioritized,
    DeadlineSet: _due,
    ClaimReleased: _offered,
    ClaimExpired: _offered,
    ExecutionInputRequired: _asked,
    WorkEscalated: _escalated,
    EscalationReopened: _escalated,
    EscalationResolved: _settled,
    EscalationCancelled: _settled,
    WorkCompleted: _completed,
    WorkReopened: _reopened,
}
_TELLING: Final = frozenset(
    {
        *MOVING,
        *timeline.TAKING,
        *_TAKEN,
        *_CLOSING,
        *(event for event in EVENT_BY_TYPE.values() if "team" in event.__struct_fields__),
    }
)
"""What may say more of an item than that something happened."""

_GOING_ON: Final = timeline.TAKING | {WorkDelegated}
"""By what somebody sees to an item whose execution failed."""


# ---- what can be done, and how it was


def actions(row: Row) -> tuple[str, ...]:
    """The verbs of the commands that the state machine has a way for now; who may give them is another question."""
    return possible(row.kept.life, row.defined_at is not None, bool(row.open_inputs), bool(row.open_escalations))


def possible(life: Lifecycle, is_defined: bool, is_asked: bool, is_escalated: bool) -> tuple[str, ...]:
    """The same, of an item of which no more than this is known."""
    # What is allowed depends on whether anything is open, not on what it is: all items have few answers between them.
    return _actions(life.state, life.back, not life.inputs, not life.blockers, not life.reviews, life.pauses,
                    not life.executions, is_defined, is_asked, is_escalated)  # fmt: skip


_ANY: Final = ("any",)
_ANY_REVIEW: Final = (("any", 1),)


@lru_cache(maxsize=4_096)
def _actions(
    state: State,
    back: State,
    no_inputs: bool,
    no_blockers: bool,
    no_reviews: bool,
    pauses: tuple[State, ...],
    no_executions: bool,
    is_defined: bool,
    is_asked: bool,
    is_escalated: bool,
) -> tuple[str, ...]:
    life = Lifecycle(state, 1, back, () if no_inputs else _ANY, () if no_blockers else _ANY,
                     () if no_reviews else _ANY_REVIEW, pauses, () if no_executions else _ANY)  # fmt: skip
    verbs = {verb for verb, payload in _LEADING.items() if step(life, payload).allowed}
    verbs |= _ALWAYS
    if life.state not in ENDED:
        verbs |= _WHILE_OPEN
    if life.state in ("claimed", "in_progress"):
        verbs |= _WHILE_HELD
    if life.state == "in_progress":
        verbs |= _WHILE_WORKING
    if life.state in ("submitted", "verified", "completed"):
        verbs.add("output.release")
    if life.reviews:
        verbs |= _WHILE_REVIEWED
    if not is_defined:
        verbs.add("work.define")
    if not is_asked:
        verbs.discard("execution.provide_input")
    if is_escalated:
        verbs |= _WHILE_ESCALATED
    return tuple(sorted(verbs))


_ALWAYS: Final = frozenset({"accountability.offer", "accountability.transfer", "context.share", "note.add"})
_WHILE_OPEN: Final = frozenset({"work.clarify", "work.delegate", "work.reprioritize", "deadline.set"})
_WHILE_HELD: Final = frozenset({"handover.offer", "handover.accept", "handover.decline"})
_WHILE_WORKING: Final = frozenset({"execution.progress", "execution.record_action"})
_WHILE_REVIEWED: Final = frozenset({"review.claim", "review.unclaim", "review.withdraw"})
_WHILE_ESCALATED: Final = frozenset(
    {
        "escalation.acknowledge",
        "escalation.advance",
        "escalation.answer",
        "escalation.cancel",
        "escalation.reassign",
        "escalation.resolve",
        "escalation.unacknowledge",
    }
)
_LEADING: Final[dict[str, Any]] = {
    "work.ready": WorkReadied(),
    "work.assign": WorkAssigned(executor=""),
    "work.unassign": WorkUnassigned(),
    "work.decline": WorkDeclined(),
    "dependency.add": DependencyAdded(on=""),
    "work.block": WorkBlocked(),
    "work.unblock": WorkUnblocked(),
    "work.suspend": WorkSuspended(),
    "work.resume": WorkResumed(),
    "execution.start": ExecutionStarted(execution_id="", executor=""),
    "execution.require_input": ExecutionInputRequired(execution_id="", request_id="", from_="", question=""),
    "execution.provide_input": ExecutionInputProvided(request_id="", response="respond"),
    "work.execute": WorkExecuted(execution_id="", result="completed"),
    "review.request": ReviewRequested(review_id="", output_id="", output_dig=""),
    "work.review": WorkReviewed(review_id="", output_id="", output_dig="", verdict="approved", reviewer=""),
    "work.submit": WorkSubmitted(),
    "work.verify": WorkVerified(),
    "work.complete": WorkCompleted(),
    "work.reopen": WorkReopened(),
    "work.fail": WorkFailed(),
    "work.cancel": WorkCancelled(),
    "work.supersede": WorkSuperseded(),
    "work.escalate": WorkEscalated(
        escalation_id="", reason="manual", raised_by="", context=EscalationContext(summary="")
    ),
}
"""The event that each command leads to, as far as the state machine looks at it."""


class Then(msgspec.Struct, frozen=True, kw_only=True):
    """An item as it was."""

    work: str
    state: str
    cycle: int
    process: str | None
    executor: str | None
    waiting_on: str | None


def was(rows: Rows, asof: AsOf = NOW, after: str = "") -> Iterator[Then]:
    """Every item that was there as of `asof`, as it was, in order of its id, and behind `after`.

    Each item's events are taken in the order in which they happened, then in the order of the log. Most items are done
    by then, or as they are now, and cost one row; only the others are folded again, from the timeline.
    """
    position = rows.position if asof.position is None else min(asof.position, rows.position)
    there, there_parameters = _until(asof, position, "first_position", "first_time", None)
    while True:
        page = rows.select(Row, f"key > ? AND {there}", [after, *there_parameters], "key", _PAGE)
        moved = [r.key for r in page if not _settled_by(r, asof, position)]
        folded = dict(_folded(rows, moved, asof, position))
        for row in page:
            then = folded.get(row.key)
            if then is not None:
                yield Then(work=row.key, state=then.state, cycle=then.cycle, process=row.process,
                           executor=then.executor, waiting_on=then.waiting_on)  # fmt: skip
            elif row.key not in moved:
                yield Then(work=row.key, state=row.state, cycle=row.cycle, process=row.process,
                           executor=row.executor, waiting_on=row.waiting_on)  # fmt: skip
        if len(page) < _PAGE:
            return
        after = page[-1].key


_PAGE: Final = 500


def _settled_by(row: Row, asof: AsOf, position: int) -> bool:
    """Whether everything there is of the item is covered, and in order: then it was as it is."""
    return (
        row.last_position <= position
        and (asof.known_at is None or row.last_recorded_at <= asof.known_at)
        and (asof.at is None or (row.last_time <= asof.at and not row.disordered))
    )


def _folded(rows: Rows, works: Sequence[str], asof: AsOf, position: int) -> Iterator[tuple[str, timeline.Standing]]:
    if not works:
        return
    covered, parameters = _until(asof, position, "position", "time", "recorded_at")
    streams = [f"work/{work}" for work in works]
    within = f"stream IN ({', '.join('?' * len(streams))})"
    order = "stream, position" if asof.at is None else "stream, time, position"
    found: dict[str, list[timeline.Row]] = {}
    for row in rows.select(timeline.Row, f"{within} AND {covered}", [*streams, *parameters], order):
        found.setdefault(row.id, []).append(row)
    for work, events in found.items():
        yield work, timeline.standing(events)


def _until(asof: AsOf, position: int, place: str, happened: str, recorded: str | None) -> tuple[str, list[Any]]:
    conditions, parameters = [f"{place} <= ?"], list[Any]([position])
    if asof.at is not None:
        conditions.append(f"{happened} <= ?")
        parameters.append(asof.at)
    if asof.known_at is not None and recorded is not None:
        conditions.append(f"{recorded} <= ?")
        parameters.append(asof.known_at)
    return " AND ".join(conditions), parameters
