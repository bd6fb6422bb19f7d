"""Numbers of all items and of the log: how long, how often, how many."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from statistics import median
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.claim import ClaimAcquired
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.work import WorkAssigned
from attorn.projections import board, timeline
from attorn.projections.directory import Directory, Participant
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import PAGE, Limit, each_values, marks


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
    items = is_open = told = reopened = directly = 0
    long: dict[str, bool] = {}
    columns = ("key", "events", "state", "reopened", "reopened_directly", "first_time", "last_time", "disordered")
    for work, events, state, again, at_once, first, last, disordered in _of_process(rows, columns, asked.process):
        items += 1
        told += events
        is_open += state not in board.FINISHED
        reopened += again > 0
        directly += at_once > 0
        lasted = last - first
        durations.append(lasted.total_seconds())
        # Where all of it took no longer than a gap, there is none.
        if lasted > board.GAP:
            long[work] = disordered
    gaps, longest, longest_work = 0, 0.0, None
    for work, lengths in _gaps(rows, long):
        gaps += len(lengths)
        if lengths and max(lengths) > longest:
            longest, longest_work = max(lengths), work
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
    known = _Known(directory)
    found = [_handed(work, told, known) for work, told in _byitem(rows, asked.process)]
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
    parts, parts_of_work = Counter[str](), 0
    for _, type, stream in each_values(rows, timeline.Row, ("position", "type", "stream"),
                                       f"{_PART} AND {of_source}", parameters):  # fmt: skip
        parts[type] += 1
        parts_of_work += stream.startswith("work/")
    once = {type: counted - parts[type] for type, counted in by_type.items()}
    events = count("1=1")
    return LogStats(
        position=rows.position,
        events=events,
        happenings=events - parts.total(),
        happenings_of_work=count(_OF_WORK) - parts_of_work,
        unreadable=events - sum(by_type.values()),
        items=rows.count(board.Row),
        participants=len(directory.participants),
        processes=len(directory.processes),
        policies=len(directory.policies),
        sources=len(directory.sources),
        by_type=by_type,
        happenings_by_type={type: counted for type, counted in once.items() if counted},
    )


_AT_ONCE: Final = 500
_PART: Final = "event_id LIKE '%.%'"
_OF_WORK: Final = "stream > 'work/' AND stream < 'work0'"
"""The streams of work items, as a range of their names."""
_NAMES_IN: Final = {
    WorkAssigned.type,
    ExecutionStarted.type,
    HandoverAccepted.type,
    ClaimAcquired.type,
}
"""The types of events that say who has the item from then on."""


_TOLD: Final = ("stream", "position", "type", "actor", "about", "team", "event_id")
"""What an event says of who has an item."""

_Told: TypeAlias = Sequence[Any]
"""The values of these columns."""


def _handed(work: str, told: Sequence[_Told], known: "_Known") -> Handed:
    participants = names = units = returns = once = 0
    before, name, unit, had = None, None, None, set[str]()
    teams = any(team is not None for _, _, _, _, _, team, _ in told)
    for _, _, type, actor, about, team, event_id in told:
        once += "." not in event_id
        id = about if type in _NAMES_IN else actor
        who = known[id]
        if who is not None and id != before:
            participants += before is not None
            names += before is not None and who.name != name
            before, name = id, who.name
        lies_with = team if teams else who.org_unit if who is not None else None
        if lies_with is not None and lies_with != unit:
            units += unit is not None
            returns += lies_with in had
            had.add(lies_with)
            unit = lies_with
    return Handed(work=work, events=len(told), happenings=once, participant_changes=participants, name_changes=names,
                  unit_changes=units, unit_returns=returns)  # fmt: skip


class _Known(dict[str | None, Participant | None]):
    """The participants by their ids; of a source, and of who is unknown, None."""

    def __init__(self, directory: Directory) -> None:
        super().__init__((id, who) for id, who in directory.participants.items() if id not in directory.sources)

    def __missing__(self, id: str | None) -> None:
        return None


def _byitem(rows: Rows, process: str | None) -> Iterator[tuple[str, list[_Told]]]:
    """Each item's events in log order, item by item."""
    wanted = None if process is None else {f"work/{key}" for (key,) in _of_process(rows, ("key",), process)}
    stream, position, told = "work/", 0, list[_Told]()
    while True:
        behind = f"(stream, position) > (?, ?) AND {_OF_WORK}"
        page = rows.values(timeline.Row, _TOLD, behind, (stream, position), "stream, position", PAGE)
        for of, some in groupby(page, itemgetter(0)):
            if told and told[0][0] != of:
                yield told[0][0][5:], told
                told = []
            if wanted is None or of in wanted:
                told += some
        if len(page) < PAGE:
            if told:
                yield told[0][0][5:], told
            return
        stream, position = page[-1][0], page[-1][1]


def _of_process(rows: Rows, columns: Sequence[str], process: str | None) -> Iterator[Sequence[Any]]:
    where, parameters = ("1=1", ()) if process is None else ("process = ?", (process,))
    return each_values(rows, board.Row, columns, where, parameters)


def _gaps(rows: Rows, disordered: Mapping[str, bool]) -> Iterator[tuple[str, Sequence[float]]]:
    """Each of these items, and its gaps in seconds, as they are kept; of what is disordered, they are found anew."""
    works = list(disordered)
    for start in range(0, len(works), _AT_ONCE):
        some = works[start : start + _AT_ONCE]
        for work, kept in rows.values(board.Row, ("key", "kept"), f"key IN ({marks(some)})", some, "key"):
            yield work, _gaps_in_order(rows, work) if disordered[work] else kept.gaps_s


def _gaps_in_order(rows: Rows, work: str) -> list[float]:
    """An item's gaps in seconds, its events taken in the order in which they happened."""
    times = [row.time for row in rows.select(timeline.Row, "stream = ?", (f"work/{work}",), "time, position")]
    return [(b - a).total_seconds() for a, b in pairwise(times) if b - a > board.GAP]
