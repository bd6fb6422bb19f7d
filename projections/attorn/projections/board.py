"""Visibility: every work item as it is, by state, process, person, priority and due time; and as it was at any time.

Where an item stands comes from the one state machine of `lifecycle`. The rows also keep what is counted over all
items: how often each was reopened or changed hands, and how long nothing happened to it.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.claim import ClaimExpired, ClaimReleased
from attorn.contracts.deadline import DeadlineSet
from attorn.contracts.envelope import Recorded
from attorn.contracts.escalation import EscalationCancelled, EscalationReopened, EscalationResolved, WorkEscalated
from attorn.contracts.execution import ExecutionInputRequired
from attorn.contracts.ids import Priority
from attorn.contracts.work import WorkClarified, WorkCompleted, WorkDefined, WorkReopened, WorkReprioritized
from attorn.projections import timeline
from attorn.projections.directory import NOW, AsOf
from attorn.projections.fold import Rows
from attorn.projections.lifecycle import ENDED, Lifecycle, step

NAME = "board"
VERSION = 1
INDEXES = (("state", "process"), ("process",), ("named",), ("executor",), ("due_at",))

GAP = timedelta(days=7)
"""A longer time in which nothing happened to an item is kept as a gap."""

FINISHED: Final = ENDED | {"submitted", "verified"}
"""The states of work that is not open: handed in, or ended."""

T = TypeVar("T")


class Question(msgspec.Struct, frozen=True):
    """An open question of an item, and who has to answer it."""

    request_id: str
    of: str
    question: str
    respond_by: datetime | None


class Row(msgspec.Struct, frozen=True):
    """One work item. Times are those at which things happened.

    `named`, `process` and `source` are what it takes to resolve who answers. `executor` carries it out, `waiting_on`
    has to answer before it goes on. `gaps_s` are the seconds of each time longer than GAP in which nothing happened.
    `disordered` says that something was recorded after what happened later.
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
    executor: str | None = None
    last_executor: str | None = None
    executor_changes: int = 0
    waiting_on: str | None = None
    open_inputs: int = 0
    open_escalations: int = 0
    candidates: tuple[str, ...] = ()
    defined_at: datetime | None = None
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    completed_at: datetime | None = None
    reopened: int = 0
    gaps_s: tuple[int, ...] = ()
    life: Lifecycle = Lifecycle()
    questions: tuple[Question, ...] = ()
    escalations: tuple[str, ...] = ()


def keys(recorded: Recorded) -> Sequence[str]:
    """The work item that the event is about."""
    subject = recorded.event.subject
    return (subject[5:],) if subject.startswith("work/") else ()


def apply(row: Row | None, recorded: Recorded, key: str) -> Row:
    """The item after the event."""
    event = recorded.event
    data, time = event.data, event.time
    if row is None:
        before = Row(key, "", 0, recorded.position, recorded.position, time, time, recorded.recorded_at, events=0,
                     source=event.authid if event.authtype == "system" else None)  # fmt: skip
    else:
        before = row
    changes: dict[str, Any] = {
        "events": before.events + 1,
        "last_position": recorded.position,
        "last_recorded_at": recorded.recorded_at,
    }
    if time > before.last_time:
        changes["last_time"] = time
        if time - before.last_time > GAP:
            changes["gaps_s"] = (*before.gaps_s, round((time - before.last_time).total_seconds()))
    elif time < before.last_time:
        changes["disordered"] = True
        if time < before.first_time:
            changes["first_time"] = time

    life = step(before.life, data).after
    if life is not before.life:
        changes["life"] = life
        if life.state != before.state:
            _moved(before, life, time, changes)
        if life.inputs != before.life.inputs:
            changes["open_inputs"] = len(life.inputs)
        if life.cycle != before.cycle:
            changes["cycle"] = life.cycle
    executor = timeline.executes(data, before.executor)
    if executor != before.executor:
        changes["executor"] = executor
        if executor is not None and executor != before.last_executor:
            changes["last_executor"] = executor
            changes["executor_changes"] = before.executor_changes + (before.last_executor is not None)
    taken = _TAKEN.get(type(data))
    if taken is not None:
        taken(before, data, time, changes)
    if life is not before.life:
        questions = changes.get("questions", before.questions)
        if questions:
            questions = tuple(q for q in questions if q.request_id in life.inputs)
            changes["questions"] = questions
        waits = life.state == "waiting_input" and questions
        changes["waiting_on"] = questions[-1].of if waits else None
    return msgspec.structs.replace(before, **changes)


def _moved(before: Row, life: Lifecycle, time: datetime, changes: dict[str, Any]) -> None:
    changes["state"] = life.state
    if life.state == "submitted":
        changes["submitted_at"] = time
    if life.state in ENDED:
        changes["ended_at"] = time
    elif before.ended_at is not None:
        changes["ended_at"] = changes["completed_at"] = None


# ---- what else an event says of the item


def _defined(row: Row, data: WorkDefined, time: datetime, changes: dict[str, Any]) -> None:
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
    changes["candidates"] = data.candidates


def _clarified(row: Row, data: WorkClarified, time: datetime, changes: dict[str, Any]) -> None:
    if row.defined_at is None:
        return
    for field, type in _CLARIFIED.items():
        change = data.changes.get(field)
        if change is not None:
            try:
                changes[field] = msgspec.convert(change.new, type)
            except msgspec.ValidationError:
                continue  # a fact may say what no definition could; it is a finding and changes nothing


_CLARIFIED: Final[dict[str, Any]] = {
    "title": str,
    "priority": Priority,
    "due_at": datetime | None,
    "candidates": tuple[str, ...],
}


def _transferred(row: Row, data: AccountabilityTransferred, time: datetime, changes: dict[str, Any]) -> None:
    changes["named"] = data.to


def _reprioritized(row: Row, data: WorkReprioritized, time: datetime, changes: dict[str, Any]) -> None:
    changes["priority"] = data.new


def _due(row: Row, data: DeadlineSet, time: datetime, changes: dict[str, Any]) -> None:
    if data.kind == "completion":
        changes["due_at"] = data.new


def _offered(row: Row, data: ClaimReleased | ClaimExpired, time: datetime, changes: dict[str, Any]) -> None:
    if data.candidates:
        changes["candidates"] = data.candidates


def _asked(row: Row, data: ExecutionInputRequired, time: datetime, changes: dict[str, Any]) -> None:
    question = Question(data.request_id, data.from_, data.question[:500], data.respond_by)
    changes["questions"] = (*(q for q in row.questions if q.request_id != data.request_id), question)


def _escalated(row: Row, data: WorkEscalated | EscalationReopened, time: datetime, changes: dict[str, Any]) -> None:
    if data.escalation_id not in row.escalations:
        changes["escalations"] = (*row.escalations, data.escalation_id)
        changes["open_escalations"] = len(row.escalations) + 1


def _settled(
    row: Row, data: EscalationResolved | EscalationCancelled, time: datetime, changes: dict[str, Any]
) -> None:
    if data.escalation_id in row.escalations:
        changes["escalations"] = tuple(e for e in row.escalations if e != data.escalation_id)
        changes["open_escalations"] = len(row.escalations) - 1


def _completed(row: Row, data: WorkCompleted, time: datetime, changes: dict[str, Any]) -> None:
    changes["completed_at"] = time


def _reopened(row: Row, data: WorkReopened, time: datetime, changes: dict[str, Any]) -> None:
    changes["reopened"] = row.reopened + 1
    changes["submitted_at"] = None


_TAKEN: Final[dict[type, Callable[[Row, Any, datetime, dict[str, Any]], None]]] = {
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


# ---- what can be done, and how it was


def actions(row: Row) -> tuple[str, ...]:
    """The verbs of the commands that the state machine has a way for now; who may give them is another question."""
    verbs = [*_ACTIONS[row.state], *_ALWAYS]
    if row.state not in ENDED:
        verbs += _WHILE_OPEN
        if row.defined_at is None:
            verbs.append("work.define")
        if row.open_inputs:
            verbs.append("execution.provide_input")
    if row.open_escalations:
        verbs += ("escalation.acknowledge", "escalation.answer", "escalation.resolve", "escalation.cancel")
    return tuple(sorted(set(verbs)))


_ALWAYS: Final = ("accountability.offer", "accountability.transfer", "note.add")
_WHILE_OPEN: Final = ("work.cancel", "work.clarify", "work.delegate", "work.escalate", "work.fail")
_EXECUTING: Final = (
    "execution.progress",
    "execution.record_action",
    "execution.require_input",
    "review.request",
    "work.execute",
    "work.submit",
)
_ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "": (),
    "discovered": ("work.ready", "work.assign", "execution.start"),
    "defined": ("work.ready", "work.assign", "execution.start"),
    "ready": ("work.assign", "execution.start"),
    "claimed": ("work.assign", "execution.start"),
    "in_progress": ("execution.start", *_EXECUTING),
    "waiting_input": ("execution.require_input",),
    "blocked": (),
    "suspended": (),
    "in_review": ("review.request", "work.review"),
    "submitted": ("output.release", "review.request", "work.reopen", "work.submit", "work.verify"),
    "verified": ("output.release", "work.complete", "work.reopen"),
    "completed": ("output.release", "work.reopen"),
    "failed": ("work.reopen",),
    "cancelled": (),
    "superseded": (),
}


class Then(msgspec.Struct, frozen=True, kw_only=True):
    """An item as it was."""

    work: str
    state: str
    cycle: int
    process: str | None
    executor: str | None
    waiting_on: str | None


def was(rows: Rows, asof: AsOf = NOW) -> Iterator[Then]:
    """Every item that was there as of `asof`, as it was, in order of its id.

    Each item's events are taken in the order in which they happened, then in the order of the log. Most items are done
    by then, or as they are now, and cost one row; only the others are folded again, from the timeline.
    """
    position = rows.position if asof.position is None else min(asof.position, rows.position)
    there, there_parameters = _until(asof, position, "first_position", "first_time", None)
    after = ""
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


def _folded(
    rows: Rows, works: Sequence[str], asof: AsOf, position: int
) -> Iterator[tuple[str, timeline.Standing]]:
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


def _until(
    asof: AsOf, position: int, place: str, happened: str, recorded: str | None
) -> tuple[str, list[Any]]:
    conditions, parameters = [f"{place} <= ?"], list[Any]([position])
    if asof.at is not None:
        conditions.append(f"{happened} <= ?")
        parameters.append(asof.at)
    if asof.known_at is not None and recorded is not None:
        conditions.append(f"{recorded} <= ?")
        parameters.append(asof.known_at)
    return " AND ".join(conditions), parameters
