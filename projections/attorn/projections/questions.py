"""What can be asked of the views, by name: the parameters of each question, and the function that answers it.

An answer is made of the rows and the directory alone, both of one position, and is data whatever it says: that there is
no such item is a sentence in the answer, not an error. An answer that comes in pages has `next`, which is the
parameter `after` of the next page; None when there is no more.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, get_args

import msgspec

from attorn.contracts.claim import ClaimAcquired
from attorn.contracts.escalation import Rung
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.ids import ParticipantKind, Pinned, Priority, Severity
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.policy import PolicyKind, PolicyRules
from attorn.contracts.work import WorkAssigned
from attorn.projections import accountability, board, escalations, findings, timeline
from attorn.projections.accountability import Interval, Who
from attorn.projections.directory import AsOf, Directory
from attorn.projections.findings import Disposition, Finding, Status
from attorn.projections.fold import Rows
from attorn.projections.lifecycle import ENDED, State

Limit: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000)]


class Question(NamedTuple):
    """One question: the Struct of its parameters, and the function that answers it and says what it asks."""

    parameters: type[msgspec.Struct]
    answer: Callable[[Rows, Directory, Any], Any]


# ---- who answers


class AskWho(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`position`: as of that place in the log. `at`: at that time. `known_at`: as it was known at that time."""

    work: str
    position: int | None = None
    at: datetime | None = None
    known_at: datetime | None = None


class AskIntervals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    work: str
    position: int | None = None


class AskAnswersFor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ended`: also what has ended, since accountability does not end with the work."""

    person: str
    ended: bool = False
    after: str = ""
    limit: Limit = 100


class Intervals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who answered for an item from its first event on, without a gap; `problem` when there is no such item."""

    work: str
    position: int
    intervals: tuple[Interval, ...] = ()
    problem: str | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item that a person answers for, and why they do."""

    work: str
    title: str | None
    state: str
    basis: str
    named: str | None = None
    due_at: datetime | None = None
    steps: tuple[str, ...] = ()


class AnswersFor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person answers for now: `count` items in all, of which these are one page."""

    person: str
    name: str
    position: int
    count: int
    items: tuple[Held, ...] = ()
    next: str | None = None
    problem: str | None = None


def who(rows: Rows, directory: Directory, asked: AskWho) -> Who:
    """Who answers for a work item, and why."""
    return accountability.who(
        rows, directory, asked.work, position=asked.position, at=asked.at, known_at=asked.known_at
    )


def intervals(rows: Rows, directory: Directory, asked: AskIntervals) -> Intervals:
    """Who has answered for a work item, from its first event on."""
    found = accountability.intervals(rows, directory, asked.work, position=asked.position)
    if found:
        return Intervals(work=asked.work, position=rows.position, intervals=found)
    problem = accountability.who(rows, directory, asked.work, position=asked.position).problem
    return Intervals(work=asked.work, position=rows.position, problem=problem)


def answers_for(rows: Rows, directory: Directory, asked: AskAnswersFor) -> AnswersFor:
    """Everything that a person answers for now: named, as successor, or because nobody else does."""
    asof = AsOf(position=rows.position)
    person = directory.name(asked.person)
    is_last = directory.answerable(None, asof=asof).person == asked.person
    if not is_last and not directory.is_person(asked.person, asof):
        problem = f"{asked.person} is not a person who is here"
        return AnswersFor(person=asked.person, name=person, position=rows.position, count=0, problem=problem)
    where, parameters = accountability.answers(directory, asked.person, asof)
    if not asked.ended:
        where, parameters = f"({where}) AND {_OPEN}", [*parameters, *_ENDED]
    page = rows.select(board.Row, f"{where} AND key > ?", [*parameters, asked.after], "key", asked.limit + 1)
    items = []
    for row in page[: asked.limit]:
        answer = directory.answerable(row.named, row.process, row.source, asof)
        items.append(Held(work=row.key, title=row.title, state=row.state, basis=answer.basis, named=row.named,
                          due_at=row.due_at, steps=answer.steps))  # fmt: skip
    return AnswersFor(
        person=asked.person,
        name=person,
        position=rows.position,
        count=rows.count(board.Row, where, parameters),
        items=tuple(items),
        next=_next(page, asked.limit),
    )


# ---- the board


class AskBoard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`accountable` answers, `named` is whom the log names; `overdue_at`: open, and due by then."""

    state: State | None = None
    open: bool | None = None
    process: str | None = None
    accountable: str | None = None
    named: str | None = None
    executor: str | None = None
    waiting_on: str | None = None
    priority: Priority | None = None
    overdue_at: datetime | None = None
    after: str = ""
    limit: Limit = 100


class AskBoardThen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    position: int | None = None
    at: datetime | None = None
    known_at: datetime | None = None
    state: State | None = None
    open: bool | None = None
    waiting_on: str | None = None
    process: str | None = None
    after: str = ""
    limit: Limit = 100


class AskBoardCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without any of these, now; with `at`, each item as it stood after what had happened to it by then."""

    position: int | None = None
    at: datetime | None = None
    known_at: datetime | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A work item as it is now. `accountable` answers for it, by `basis`; `actions` are what can be done to it."""

    work: str
    state: str
    cycle: int
    accountable: str | None
    basis: str
    first_position: int
    last_position: int
    first_time: datetime
    last_time: datetime
    events: int
    actions: tuple[str, ...]
    title: str | None = None
    accountable_name: str | None = None
    named: str | None = None
    process: str | None = None
    process_version: int | None = None
    parent_id: str | None = None
    source: str | None = None
    priority: str = "normal"
    due_at: datetime | None = None
    executor: str | None = None
    team: str | None = None
    candidates: tuple[str, ...] = ()
    waiting_on: str | None = None
    questions: tuple[board.Question, ...] = ()
    open_escalations: int = 0
    defined_at: datetime | None = None
    submitted_at: datetime | None = None
    completed_at: datetime | None = None
    ended_at: datetime | None = None
    reopened: int = 0
    executor_changes: int = 0


class Board(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`count` items match, of which these are one page, in order of their ids."""

    position: int
    count: int
    items: tuple[Item, ...] = ()
    next: str | None = None


class BoardThen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of the items as they were, in order of their ids."""

    position: int
    items: tuple[board.Then, ...] = ()
    next: str | None = None


class BoardCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many items there are; `open` are neither handed in nor ended. `waiting_on` counts those in waiting_input."""

    position: int
    items: int
    open: int
    finished: int
    by_state: dict[str, int]
    waiting_on: dict[str, int]


def board_items(rows: Rows, directory: Directory, asked: AskBoard) -> Board:
    """The work items as they are now."""
    conditions, parameters = list[str](), list[Any]()
    for column in ("state", "process", "named", "executor", "waiting_on", "priority"):
        value = getattr(asked, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    if asked.open is not None:
        conditions.append(f"state {'NOT IN' if asked.open else 'IN'} ({_marks(_FINISHED)})")
        parameters += _FINISHED
    if asked.overdue_at is not None:
        conditions.append(f"due_at <= ? AND state NOT IN ({_marks(_FINISHED)})")
        parameters += [asked.overdue_at, *_FINISHED]
    if asked.accountable is not None:
        where, more = accountability.answers(directory, asked.accountable, AsOf(position=rows.position))
        conditions.append(where)
        parameters += more
    where = " AND ".join(conditions)
    behind = " AND ".join([*conditions, "key > ?"])
    page = rows.select(board.Row, behind, [*parameters, asked.after], "key", asked.limit + 1)
    return Board(
        position=rows.position,
        count=rows.count(board.Row, where, parameters),
        items=tuple(_item(row, directory, rows.position) for row in page[: asked.limit]),
        next=_next(page, asked.limit),
    )


def board_then(rows: Rows, directory: Directory, asked: AskBoardThen) -> BoardThen:
    """The work items as they were at a position or at a time."""
    asof = AsOf(position=asked.position, at=asked.at, known_at=asked.known_at)
    found: list[board.Then] = []
    for then in board.was(rows, asof, asked.after):
        if (
            (asked.state is None or then.state == asked.state)
            and (asked.open is None or (then.state not in board.FINISHED) == asked.open)
            and (asked.waiting_on is None or then.waiting_on == asked.waiting_on)
            and (asked.process is None or then.process == asked.process)
        ):
            found.append(then)
            if len(found) > asked.limit:
                break
    items = tuple(found[: asked.limit])
    return BoardThen(position=rows.position, items=items, next=items[-1].work if len(found) > asked.limit else None)


def board_counts(rows: Rows, directory: Directory, asked: AskBoardCounts) -> BoardCounts:
    """How many items are in each state, now or then, and whom those wait for that wait."""
    by_state, waiting_on = Counter[str](), Counter[str]()
    if asked == AskBoardCounts():
        by_state.update({state: rows.count(board.Row, "state = ?", (state,)) for state in _STATES})
        for row in _each(rows, board.Row, "state = ?", ("waiting_input",)):
            waiting_on[row.waiting_on or ""] += 1
    else:
        for then in board.was(rows, AsOf(position=asked.position, at=asked.at, known_at=asked.known_at)):
            by_state[then.state] += 1
            if then.state == "waiting_input":
                waiting_on[then.waiting_on or ""] += 1
    finished = sum(by_state[state] for state in board.FINISHED)
    return BoardCounts(
        position=rows.position,
        items=by_state.total(),
        open=by_state.total() - finished,
        finished=finished,
        by_state={state: by_state[state] for state in _STATES if by_state[state]},
        waiting_on=dict(waiting_on.most_common()),
    )


# ---- one item


class AskWork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    work: str


class WorkItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the views say of one item; `problem` when there is no such item."""

    work: str
    position: int
    item: Item | None = None
    who: Who | None = None
    escalations: "tuple[Escalation, ...]" = ()
    findings: tuple[Finding, ...] = ()
    problem: str | None = None


def work(rows: Rows, directory: Directory, asked: AskWork) -> WorkItem:
    """One work item: as it is, who answers and why, what can be done, its open escalations and its findings."""
    row = rows.get(board.Row, asked.work)
    if row is None:
        return WorkItem(work=asked.work, position=rows.position, problem=f"{asked.work} is not on the log")
    raised = rows.select(escalations.Row, "work = ? AND open", (asked.work,), "raised_position")
    return WorkItem(
        work=asked.work,
        position=rows.position,
        item=_item(row, directory, rows.position),
        who=accountability.who(rows, directory, asked.work),
        escalations=tuple(_escalation(escalation, row.process) for escalation in raised),
        findings=findings.found(rows, f"work/{asked.work}"),
    )


# ---- the timeline


class AskTimeline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one item, of one stream (`participant/ana`), or of all; `newest_first` goes back from `after` or the end."""

    work: str | None = None
    stream: str | None = None
    type: str | None = None
    actor: str | None = None
    newest_first: bool = False
    after: int = 0
    limit: Limit = 100


class Timeline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of events in log order."""

    position: int
    events: tuple[timeline.Row, ...] = ()
    next: int | None = None


def events(rows: Rows, directory: Directory, asked: AskTimeline) -> Timeline:
    """What happened, event by event, one sentence each."""
    stream = f"work/{asked.work}" if asked.work is not None else asked.stream
    conditions, parameters = list[str](), list[Any]()
    for column, value in (("stream", stream), ("type", asked.type), ("actor", asked.actor)):
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    if asked.after or not asked.newest_first:
        conditions.append("position < ?" if asked.newest_first else "position > ?")
        parameters.append(asked.after)
    order = "position DESC" if asked.newest_first else "position"
    page = rows.select(timeline.Row, " AND ".join(conditions), parameters, order, asked.limit + 1)
    last = page[asked.limit - 1].position if len(page) > asked.limit else None
    return Timeline(position=rows.position, events=tuple(page[: asked.limit]), next=last)


# ---- escalations


class AskEscalations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By default what is open. To miss none: ask this, then follow the feed from `position` + 1."""

    open: bool | None = True
    work: str | None = None
    severity: Severity | None = None
    process: str | None = None
    after: int = 0
    limit: Limit = 100


class Escalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An escalation as it is now: which rung it is on, who was told, who has it, and when it goes further."""

    escalation_id: str
    work: str
    status: str
    severity: str
    reason: str
    raised_by: str
    blocking: bool
    summary: str
    raised_position: int
    raised_time: datetime
    last_position: int
    process: str | None = None
    rung: int = 0
    round: int = 1
    told: tuple[str, ...] = ()
    next_rung_at: datetime | None = None
    acknowledged_by: str | None = None
    ack_until: datetime | None = None
    answered_by: str | None = None
    decision: str | None = None
    resolved_by: str | None = None
    outcome: str | None = None
    question: str | None = None
    recommendation: str | None = None
    ladder: tuple[Rung, ...] = ()


class Escalations(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of escalations, oldest first; all that was raised up to `position` is accounted for."""

    position: int
    escalations: tuple[Escalation, ...] = ()
    next: int | None = None


def escalated(rows: Rows, directory: Directory, asked: AskEscalations) -> Escalations:
    """The escalations that are open, or all, with the position from which to follow further ones."""
    conditions, parameters = ["raised_position > ?"], list[Any]()
    if asked.open is not None:
        conditions.append("open" if asked.open else "NOT open")
    for column in ("work", "severity"):
        value = getattr(asked, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    found: list[Escalation] = []
    after = asked.after
    while len(found) <= asked.limit:
        page = rows.select(
            escalations.Row, " AND ".join(conditions), [after, *parameters], "raised_position", asked.limit + 1
        )
        for row in page:
            item = rows.get(board.Row, row.work)
            process = item.process if item is not None else None
            if asked.process is None or process == asked.process:
                found.append(_escalation(row, process))
        if len(page) <= asked.limit:
            break
        after = page[-1].raised_position
    last = found[asked.limit - 1].raised_position if len(found) > asked.limit else None
    return Escalations(position=rows.position, escalations=tuple(found[: asked.limit]), next=last)


# ---- findings


class AskFindings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` is a stream; a page ends with the stream that makes it full, so that it may be longer than `limit`."""

    rule: str | None = None
    work: str | None = None
    stream: str | None = None
    status: Status | None = None
    after: str = ""
    limit: Limit = 100


class AskFindingCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing narrows it."""


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding, and the stream in which it was found."""

    id: str
    rule: str
    stream: str
    detail: str
    position: int
    time: datetime
    event_id: str
    type: str
    status: Status
    field: str | None = None
    disposition: Disposition | None = None


class FoundPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of findings, in order of their streams, and in log order within each."""

    position: int
    findings: tuple[Found, ...] = ()
    next: str | None = None


class FindingCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many findings there are, and how many of them are open; in all, and by rule."""

    position: int
    found: int
    open: int
    found_by_rule: dict[str, int]
    open_by_rule: dict[str, int]


def finding_list(rows: Rows, directory: Directory, asked: AskFindings) -> FoundPage:
    """Which rules were broken, by which events, and what was decided about it."""
    stream = f"work/{asked.work}" if asked.work is not None else asked.stream
    streams = ((stream, findings.found(rows, stream)),) if stream is not None else findings.every(rows, asked.after)
    page: list[Found] = []
    for name, found in streams:
        if len(page) >= asked.limit:
            return FoundPage(position=rows.position, findings=tuple(page), next=page[-1].stream)
        page += (
            Found(id=f.id, rule=f.rule, stream=name, detail=f.detail, position=f.position, time=f.time,
                  event_id=f.event_id, type=f.type, status=f.status, field=f.field, disposition=f.disposition)
            for f in found
            if (asked.rule is None or f.rule == asked.rule) and (asked.status is None or f.status == asked.status)
        )  # fmt: skip
    return FoundPage(position=rows.position, findings=tuple(page))


def finding_counts(rows: Rows, directory: Directory, asked: AskFindingCounts) -> FindingCounts:
    """How many findings of each rule there are, and how many wait for somebody to decide."""
    found, still_open = Counter[str](), Counter[str]()
    for _, of_stream in findings.every(rows):
        for finding in of_stream:
            found[finding.rule] += 1
            still_open[finding.rule] += finding.status == "open"
    return FindingCounts(
        position=rows.position,
        found=found.total(),
        open=still_open.total(),
        found_by_rule=dict(found.most_common()),
        open_by_rule={rule: count for rule, count in still_open.most_common() if count},
    )


# ---- numbers


class AskStats(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    process: str | None = None


class AskHandovers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`top`: how many of the items that changed hands most often are named."""

    process: str | None = None
    top: Limit = 10


class AskLogStats(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`source`: the CloudEvents source of the events to count; all when absent."""

    source: str | None = None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of all items. A gap is a time of over seven days in which nothing happened to an item.

    `reopened_directly_items`: of those that were opened again, those where nothing else happened since their end.

    A duration is the time from the first to the last thing that happened to an item; `p95` is the nearest rank.
    """

    position: int
    items: int
    open: int
    events: int
    reopened_items: int
    reopened_directly_items: int
    gaps: int
    longest_gap_s: float
    longest_gap_work: str | None
    duration_median_s: float
    duration_p95_s: float


class Handovers(msgspec.Struct, frozen=True, kw_only=True):
    """How often items changed hands, from one event that says who to the next.

    By participant, by the participant's name, and by unit: the team that the events name, or where they name none, the
    unit of the participant. `unit_returns` are those changes of unit that led back to one that had the item before.
    """

    position: int
    items: int
    participant_changes: int
    name_changes: int
    unit_changes: int
    unit_returns: int
    top: "tuple[Handed, ...]"


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """How often one item changed hands; `happenings` are its events as its source counted them."""

    work: str
    events: int
    happenings: int
    participant_changes: int
    name_changes: int
    unit_changes: int
    unit_returns: int


class LogStats(msgspec.Struct, frozen=True, kw_only=True):
    """What is on the log. `unreadable` events are of types that this version does not know.

    `happenings` are the events as their sources counted them: where one became several facts, those have the ids
    `<id>`, `<id>.1`, `<id>.2` and so on, and count once.
    """

    position: int
    events: int
    happenings: int
    happenings_of_work: int
    unreadable: int
    items: int
    participants: int
    processes: int
    policies: int
    sources: int
    by_type: dict[str, int]
    happenings_by_type: dict[str, int]


def stats(rows: Rows, directory: Directory, asked: AskStats) -> Stats:
    """How long items take, how long nothing happens to them, how many are opened again."""
    durations: list[float] = []
    items = is_open = told = reopened = directly = gaps = 0
    longest, longest_work = 0.0, None
    for row in _of_process(rows, asked.process):
        items += 1
        told += row.events
        is_open += row.state not in board.FINISHED
        reopened += row.reopened > 0
        directly += row.reopened_directly > 0
        durations.append((row.last_time - row.first_time).total_seconds())
        lengths: Sequence[float] = _gaps(rows, row.key) if row.disordered else row.kept.gaps_s
        gaps += len(lengths)
        if lengths and max(lengths) > longest:
            longest, longest_work = max(lengths), row.key
    durations.sort()
    return Stats(
        position=rows.position,
        items=items,
        open=is_open,
        events=told,
        reopened_items=reopened,
        reopened_directly_items=directly,
        gaps=gaps,
        longest_gap_s=longest,
        longest_gap_work=longest_work,
        duration_median_s=median(durations) if durations else 0.0,
        duration_p95_s=durations[-(-95 * len(durations) // 100) - 1] if durations else 0.0,
    )


def handovers(rows: Rows, directory: Directory, asked: AskHandovers) -> Handovers:
    """How often work passes from one to another, and comes back."""
    found = [handed for work, told in _by_item(rows, asked.process) if (handed := _handed(work, told, directory))]
    worst = sorted(found, key=lambda h: (-h.unit_changes, -h.name_changes, h.work))
    return Handovers(
        position=rows.position,
        items=len(found),
        participant_changes=sum(h.participant_changes for h in found),
        name_changes=sum(h.name_changes for h in found),
        unit_changes=sum(h.unit_changes for h in found),
        unit_returns=sum(h.unit_returns for h in found),
        top=tuple(worst[: asked.top]),
    )


def log_stats(rows: Rows, directory: Directory, asked: AskLogStats) -> LogStats:
    """How many events there are of each type, and what they are about."""
    of_source, parameters = ("source = ?", (asked.source,)) if asked.source is not None else ("1=1", ())

    def count(condition: str, *values: Any) -> int:
        return rows.count(timeline.Row, f"{condition} AND {of_source}", (*values, *parameters))

    by_type = {type: counted for type in EVENT_BY_TYPE if (counted := count("type = ?", type))}
    once = {type: count(f"type = ? AND {_ONCE}", type) for type in by_type}
    events = count("1=1")
    return LogStats(
        position=rows.position,
        events=events,
        happenings=count(_ONCE),
        happenings_of_work=count(f"kind = 'work' AND {_ONCE}"),
        unreadable=events - sum(by_type.values()),
        items=rows.count(board.Row),
        participants=len(directory.participants),
        processes=len(directory.processes),
        policies=len(directory.policies),
        sources=len(directory.sources),
        by_type=by_type,
        happenings_by_type={type: counted for type, counted in once.items() if counted},
    )


# ---- who and what there is


class AskParticipants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`here`: only those who have not left, or only those who have."""

    kind: ParticipantKind | None = None
    here: bool | None = None
    after: str = ""
    limit: Limit = 100


class AskProcesses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: str = ""
    limit: Limit = 100


class AskPolicies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: PolicyKind | None = None
    after: str = ""
    limit: Limit = 100


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A participant, and what they hold: how many open items they carry out, and how many they answer for."""

    id: str
    kind: str
    name: str
    position: int
    executing: int
    answers_for: int
    org_unit: str | None = None
    reports_to: str | None = None
    sponsor: str | None = None
    suspended: bool = False
    left_position: int | None = None
    successor: str | None = None
    roles: tuple[str, ...] = ()


class Members(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of participants, in order of their ids."""

    position: int
    count: int
    participants: tuple[Member, ...] = ()
    next: str | None = None


class Published(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process in its newest version; `answers` is who answers in its owner's place, or the owner."""

    id: str
    version: int
    versions: int
    owner: str
    answers: str | None
    position: int
    open: int
    purpose: str = ""
    review_policy: Pinned | None = None
    escalation_policy: Pinned | None = None
    risk_tier: str | None = None
    retired: bool = False


class Processes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of processes, in order of their ids."""

    position: int
    count: int
    processes: tuple[Published, ...] = ()
    next: str | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A policy in its newest version."""

    id: str
    version: int
    versions: int
    kind: str
    position: int
    rules: PolicyRules


class Policies(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of policies, in order of their ids."""

    position: int
    count: int
    policies: tuple[Policy, ...] = ()
    next: str | None = None


def participants(rows: Rows, directory: Directory, asked: AskParticipants) -> Members:
    """The humans, agents, teams and systems that take part, and what each of them holds."""
    asof = AsOf(position=rows.position)
    ids = [
        id
        for id in sorted(directory.participants)
        if (kind := directory.kind(id, asof)) is not None
        and (asked.kind is None or kind == asked.kind)
        and (asked.here is None or directory.is_here(id, asof) == asked.here)
    ]
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    return Members(
        position=rows.position,
        count=len(ids),
        participants=tuple(_member(rows, directory, id, asof) for id in page[: asked.limit]),
        next=page[asked.limit - 1] if len(page) > asked.limit else None,
    )


def processes(rows: Rows, directory: Directory, asked: AskProcesses) -> Processes:
    """The published processes, who owns them, and how much open work they have."""
    asof = AsOf(position=rows.position)
    ids = [id for id in sorted(directory.processes) if directory.process(id, asof=asof) is not None]
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    found = []
    for id in page[: asked.limit]:
        versions = [fact for fact in directory.processes[id].versions if asof.knows(fact.stamp)]
        newest, retirements = versions[-1].value, directory.processes[id].retired
        found.append(
            Published(
                id=id,
                version=newest.version,
                versions=len(versions),
                owner=newest.owner,
                answers=directory.answerable(newest.owner, asof=asof).person,
                position=versions[-1].stamp.position,
                open=rows.count(board.Row, f"process = ? AND {_OPEN}", (id, *_ENDED)),
                purpose=newest.purpose,
                review_policy=newest.review_policy,
                escalation_policy=newest.escalation_policy,
                risk_tier=newest.risk_tier,
                retired=any(asof.knows(f.stamp) and f.value in (None, newest.version) for f in retirements),
            )
        )
    return Processes(position=rows.position, count=len(ids), processes=tuple(found),
                     next=page[asked.limit - 1] if len(page) > asked.limit else None)  # fmt: skip


def policies(rows: Rows, directory: Directory, asked: AskPolicies) -> Policies:
    """The published policies, each in its newest version."""
    asof = AsOf(position=rows.position)
    newest = {id: policy for id in directory.policies if (policy := directory.policy(id, asof=asof)) is not None}
    ids = sorted(id for id, policy in newest.items() if asked.kind is None or policy.kind == asked.kind)
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    found = []
    for id in page[: asked.limit]:
        versions = [fact for fact in directory.policies[id] if asof.knows(fact.stamp)]
        found.append(Policy(id=id, version=newest[id].version, versions=len(versions), kind=newest[id].kind,
                            position=versions[-1].stamp.position, rules=newest[id].rules))  # fmt: skip
    return Policies(position=rows.position, count=len(ids), policies=tuple(found),
                    next=page[asked.limit - 1] if len(page) > asked.limit else None)  # fmt: skip


QUESTIONS: Final[Mapping[str, Question]] = {
    name: Question(parameters, answer)
    for name, parameters, answer in (
        ("who", AskWho, who),
        ("intervals", AskIntervals, intervals),
        ("answers_for", AskAnswersFor, answers_for),
        ("board", AskBoard, board_items),
        ("board_then", AskBoardThen, board_then),
        ("board_counts", AskBoardCounts, board_counts),
        ("work", AskWork, work),
        ("timeline", AskTimeline, events),
        ("escalations", AskEscalations, escalated),
        ("findings", AskFindings, finding_list),
        ("finding_counts", AskFindingCounts, finding_counts),
        ("stats", AskStats, stats),
        ("handovers", AskHandovers, handovers),
        ("log_stats", AskLogStats, log_stats),
        ("participants", AskParticipants, participants),
        ("processes", AskProcesses, processes),
        ("policies", AskPolicies, policies),
    )
}


# ---- how the answers are made

_PAGE: Final = 1_000
_STATES: Final = tuple(state for state in get_args(State) if state)
_FINISHED: Final = sorted(board.FINISHED)
_ENDED: Final = sorted(ENDED)
_OPEN: Final = f"state NOT IN ({', '.join('?' * len(_ENDED))})"
_ONCE: Final = "event_id NOT LIKE '%.%'"
_NAMES_IN: Final = {
    WorkAssigned.type,
    ExecutionStarted.type,
    HandoverAccepted.type,
    ClaimAcquired.type,
}
"""The types of events that say who has the item from then on."""


def _item(row: board.Row, directory: Directory, position: int) -> Item:
    answer = directory.answerable(row.named, row.process, row.source, AsOf(position=position))
    return Item(
        work=row.key,
        state=row.state,
        cycle=row.cycle,
        accountable=answer.person,
        accountable_name=directory.name(answer.person) if answer.person is not None else None,
        basis=answer.basis,
        actions=board.actions(row),
        candidates=row.kept.candidates,
        questions=row.kept.questions,
        **{
            name: getattr(row, name)
            for name in Item.__struct_fields__
            if name in board.Row.__struct_fields__ and name not in ("state", "cycle")
        },
    )


def _escalation(row: escalations.Row, process: str | None) -> Escalation:
    said = {name: getattr(row, name) for name in Escalation.__struct_fields__ if name != "process"}
    return Escalation(process=process, **said)


def _member(rows: Rows, directory: Directory, id: str, asof: AsOf) -> Member:
    who = directory.participants[id]
    departure = next((fact for fact in who.left if asof.covers(fact.stamp)), None)
    answering = 0
    if who.kind == "human":
        where, parameters = accountability.answers(directory, id, asof)
        answering = rows.count(board.Row, f"({where}) AND {_OPEN}", [*parameters, *_ENDED])
    held: dict[str, bool] = {}
    for fact in directory.roles:
        if fact.value.participant == id and asof.knows(fact.stamp):
            role = fact.value.role + (f" for {fact.value.scope}" if fact.value.scope else "")
            held[role] = fact.value.granted
    return Member(
        id=id,
        kind=who.kind,
        name=who.name,
        position=who.stamp.position,
        executing=rows.count(board.Row, f"executor = ? AND {_OPEN}", (id, *_ENDED)),
        answers_for=answering,
        org_unit=who.org_unit,
        reports_to=who.reports_to,
        sponsor=who.sponsor,
        suspended=who.suspended,
        left_position=departure.stamp.position if departure is not None else None,
        successor=departure.value.successor if departure is not None else None,
        roles=tuple(role for role, granted in held.items() if granted),
    )


def _handed(work: str, told: Sequence[timeline.Row], directory: Directory) -> Handed:
    participants = names = units = returns = 0
    before, name, unit, had = None, None, None, set[str]()
    teams = any(row.team is not None for row in told)
    for row in told:
        id = row.about if row.type in _NAMES_IN else row.actor
        who = directory.participants.get(id) if id is not None and id not in directory.sources else None
        if who is not None and id != before:
            participants += before is not None
            names += before is not None and who.name != name
            before, name = id, who.name
        lies_with = row.team if teams else who.org_unit if who is not None else None
        if lies_with is not None and lies_with != unit:
            units += unit is not None
            returns += lies_with in had
            had.add(lies_with)
            unit = lies_with
    once = sum("." not in row.event_id for row in told)
    return Handed(work=work, events=len(told), happenings=once, participant_changes=participants, name_changes=names,
                  unit_changes=units, unit_returns=returns)  # fmt: skip


def _by_item(rows: Rows, process: str | None) -> Iterator[tuple[str, list[timeline.Row]]]:
    """Each item's events in log order, item by item."""
    wanted = None if process is None else {row.key for row in _of_process(rows, process)}
    stream, position, told = "", 0, list[timeline.Row]()
    while True:
        behind = "kind = 'work' AND (stream > ? OR (stream = ? AND position > ?))"
        page = rows.select(timeline.Row, behind, (stream, stream, position), "stream, position", _PAGE)
        for row in page:
            if told and told[0].id != row.id:
                yield told[0].id, told
                told = []
            if wanted is None or row.id in wanted:
                told.append(row)
        if len(page) < _PAGE:
            if told:
                yield told[0].id, told
            return
        stream, position = page[-1].stream, page[-1].position


def _of_process(rows: Rows, process: str | None) -> Iterator[board.Row]:
    if process is None:
        return _each(rows, board.Row, "1=1", ())
    return _each(rows, board.Row, "process = ?", (process,))


def _each(rows: Rows, row: type[board.Row], where: str, parameters: Sequence[Any]) -> Iterator[board.Row]:
    after = ""
    while True:
        page = rows.select(row, f"{where} AND key > ?", (*parameters, after), "key", _PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].key


def _gaps(rows: Rows, work: str) -> list[float]:
    """An item's gaps in seconds, its events taken in the order in which they happened."""
    times = [row.time for row in rows.select(timeline.Row, "stream = ?", (f"work/{work}",), "time, position")]
    return [(b - a).total_seconds() for a, b in pairwise(times) if b - a > board.GAP]


def _next(page: Sequence[Any], limit: int) -> str | None:
    return page[limit - 1].key if len(page) > limit else None


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
