"""Numbers of all items and of the log: how long, how often, how many."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, Final

import msgspec

from attorn.contracts.claim import ClaimAcquired
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.work import WorkAssigned
from attorn.projections import board, timeline
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import PAGE, Limit, each


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
    top: tuple["Handed", ...]


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
    found = [handed for work, told in _byitem(rows, asked.process) if (handed := _handed(work, told, directory))]
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
        happenings_of_work=count(f"{_OF_WORK} AND {_ONCE}"),
        unreadable=events - sum(by_type.values()),
        items=rows.count(board.Row),
        participants=len(directory.participants),
        processes=len(directory.processes),
        policies=len(directory.policies),
        sources=len(directory.sources),
        by_type=by_type,
        happenings_by_type={type: counted for type, counted in once.items() if counted},
    )


_ONCE: Final = "event_id NOT LIKE '%.%'"
_OF_WORK: Final = "stream > 'work/' AND stream < 'work0'"
"""The streams of work items, as a range of their names."""
_NAMES_IN: Final = {
    WorkAssigned.type,
    ExecutionStarted.type,
    HandoverAccepted.type,
    ClaimAcquired.type,
}
"""The types of events that say who has the item from then on."""


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


def _byitem(rows: Rows, process: str | None) -> Iterator[tuple[str, list[timeline.Row]]]:
    """Each item's events in log order, item by item."""
    wanted = None if process is None else {row.key for row in _of_process(rows, process)}
    stream, position, told = "work/", 0, list[timeline.Row]()
    while True:
        behind = f"(stream, position) > (?, ?) AND {_OF_WORK}"
        page = rows.select(timeline.Row, behind, (stream, position), "stream, position", PAGE)
        for row in page:
            if told and told[0].id != row.id:
                yield told[0].id, told
                told = []
            if wanted is None or row.id in wanted:
                told.append(row)
        if len(page) < PAGE:
            if told:
                yield told[0].id, told
            return
        stream, position = page[-1].stream, page[-1].position


def _of_process(rows: Rows, process: str | None) -> Iterator[board.Row]:
    if process is None:
        return each(rows, board.Row, "1=1", ())
    return each(rows, board.Row, "process = ?", (process,))


def _gaps(rows: Rows, work: str) -> list[float]:
    """An item's gaps in seconds, its events taken in the order in which they happened."""
    times = [row.time for row in rows.select(timeline.Row, "stream = ?", (f"work/{work}",), "time, position")]
    return [(b - a).total_seconds() for a, b in pairwise(times) if b - a > board.GAP]
