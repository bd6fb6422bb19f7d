"""Audit: how much of the work runs under published processes, what these promise, and where agents collide."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec

from attorn.contracts.ids import Timestamp
from attorn.contracts.process import ProcessPublished
from attorn.projections import accountability, activity, board, effects, holding, timeline
from attorn.projections.directory import AsOf, Directory, Stamp
from attorn.projections.fold import Rows
from attorn.projections.questions import controls
from attorn.projections.questions.paging import PAGE, Limit, as_of, each, each_values, marks
from attorn.projections.workforce import Outdated, deployments, line, outdated

VISIBLE_WITHIN: Final = timedelta(seconds=2)
"""An act that was on the log later than this after it happened was not visible in time."""


class AskProcessCoverage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what was first heard of between these times, the first included; of all work without them.

    `after` and `limit` are of the processes.
    """

    from_time: Timestamp | None = None
    until_time: Timestamp | None = None
    after: str = ""
    limit: Limit = 1_000


class AskBadges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    process: str | None = None
    after: str = ""
    limit: Limit = 20


class AskOutdated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    process: str | None = None
    after: str = ""
    limit: Limit = 100


class AskOverlaps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`depth`: how many parts of a resource's name count as its prefix; `orders/4711/total` has three."""

    prefix: str = ""
    depth: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    after: str = ""
    limit: Limit = 100


class Unit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work of one unit of the organisation, that of whoever answers for it.

    Of `items`, `published` run under a published version of a process, and `controlled` under one that lacks no
    control; `share` and `coverage` are these, divided by all.
    """

    items: int
    published: int
    controlled: int
    share: float
    coverage: float
    unit: str | None = None


class ProcessCoverage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much work there is, by unit and in all; and of the processes, one page: those with agents at work, and those
    without."""

    position: int
    all: Unit
    units: tuple[Unit, ...]
    with_agents: tuple[str, ...]
    without_agents: tuple[str, ...]
    next: str | None = None


class Badge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Green while there is nothing against it."""

    green: bool
    reasons: tuple[str, ...] = ()


class Badges(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a process is structured, visible and accountable, in its newest version.

    Structured: it says why, what, who, when and how. Visible: all that happened to its work was on the log within two
    seconds. Accountable: at every position one person answered for each of its items.
    """

    process: str
    version: int
    items: int
    structured: Badge
    visible: Badge
    accountable: Badge


class BadgePage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of processes, in order of their ids."""

    position: int
    processes: tuple[Badges, ...] = ()
    next: str | None = None


class OutdatedAgents(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of the agents at work that are pinned to another version of their process than its newest, by their ids.

    There are `count` of them.
    """

    position: int
    count: int
    agents: tuple[Outdated, ...]
    next: str | None = None


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix of resources that more than one agent changed or holds: how often each, and the people above them."""

    prefix: str
    agents: dict[str, int]
    claims: dict[str, int]
    people: tuple[str, ...]


class Overlaps(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of them, in order of the prefixes."""

    position: int
    count: int
    overlaps: tuple[Overlap, ...] = ()
    next: str | None = None


def process_coverage(rows: Rows, directory: Directory, asked: AskProcessCoverage) -> ProcessCoverage:
    """How much of the work runs under a published process, and under one with all controls, by unit."""
    asof = as_of(rows, directory)
    sound = {one.process for one in _controls(rows, directory) if not one.holes}
    counts: dict[str | None, Counter[str]] = {}
    total = Counter[str]()
    # Many items say the same of who answers, and under what they run: that is resolved once.
    for (named, process, version, source), items in _alike(rows, asked).items():
        person = directory.answerable(named, process, source, asof).person
        who = directory.participants.get(person or "")
        published = version is not None and directory.process(process or "", version, asof) is not None
        for told in (total, counts.setdefault(who.org_unit if who is not None else None, Counter())):
            told.update(
                items=items,
                published=items if published else 0,
                controlled=items if published and process in sound else 0,
            )
    at_work = {one.said.process_id for one in deployments(directory, asof)}
    ids = [id for id in sorted(directory.processes) if id > asked.after]
    page = [id for id in ids if directory.process(id, asof=asof) is not None][: asked.limit + 1]
    known = page[: asked.limit]
    return ProcessCoverage(
        position=rows.position,
        all=_unit(None, total),
        units=tuple(_unit(unit, counts[unit]) for unit in sorted(counts, key=lambda unit: unit or "")),
        with_agents=tuple(id for id in known if id in at_work),
        without_agents=tuple(id for id in known if id not in at_work),
        next=known[-1] if len(page) > asked.limit else None,
    )


def badges(rows: Rows, directory: Directory, asked: AskBadges) -> BadgePage:
    """Whether each process is structured, visible and accountable, and what is against it."""
    asof, answered = AsOf(position=rows.position), _Answered(rows, directory)
    ids = [
        id
        for id in sorted(directory.processes)
        if id > asked.after and asked.process in (None, id) and directory.process(id, asof=asof) is not None
    ]
    return BadgePage(
        position=rows.position,
        processes=tuple(_badges(rows, directory, id, answered) for id in ids[: asked.limit]),
        next=ids[asked.limit - 1] if len(ids) > asked.limit else None,
    )


def outdated_agents(rows: Rows, directory: Directory, asked: AskOutdated) -> OutdatedAgents:
    """The agents at work by an older version of their process than its newest."""
    agents = outdated(directory, AsOf(position=rows.position), asked.process)
    turns = sorted((f"{one.agent}/{one.process}/{one.environment}", place) for place, one in enumerate(agents))
    page = [(turn, place) for turn, place in turns if turn > asked.after][: asked.limit + 1]
    return OutdatedAgents(
        position=rows.position,
        count=len(agents),
        agents=tuple(agents[place] for _, place in page[: asked.limit]),
        next=page[asked.limit - 1][0] if len(page) > asked.limit else None,
    )


def overlaps(rows: Rows, directory: Directory, asked: AskOverlaps) -> Overlaps:
    """The resources that more than one agent changed or holds, by the beginning of their names."""
    wrote: dict[str, Counter[str]] = {}
    held: dict[str, Counter[str]] = {}
    by = {row.key: row.who for row in each(rows, activity.Row, "kind = 'execution'", ())}
    for change in each(rows, effects.Row, "target IS NOT NULL", ()):
        _count(wrote, change.target, by.get(change.execution), change.tries - change.failed, asked, directory)
    for claim in each(rows, holding.Row, "resource IS NOT NULL", ()):
        _count(held, claim.resource, claim.holder, 1, asked, directory)
    found = []
    for prefix in sorted(wrote.keys() | held.keys()):
        writers, holders = wrote.get(prefix, Counter[str]()), held.get(prefix, Counter[str]())
        agents = writers.keys() | holders.keys()
        if len(agents) > 1:
            people = {accountable for id in agents if (accountable := _person(directory, id, rows.position))}
            found.append(Overlap(prefix=prefix, agents=dict(writers.most_common()), claims=dict(holders.most_common()),
                                 people=tuple(sorted(people))))  # fmt: skip
    page = [one for one in found if one.prefix > asked.after][: asked.limit + 1]
    return Overlaps(
        position=rows.position,
        count=len(found),
        overlaps=tuple(page[: asked.limit]),
        next=page[asked.limit - 1].prefix if len(page) > asked.limit else None,
    )


def _controls(rows: Rows, directory: Directory) -> Iterator[controls.Coverage]:
    after: str | None = ""
    while after is not None:
        page = controls.coverage(rows, directory, controls.AskCoverage(after=after, limit=PAGE))
        yield from page.processes
        after = page.next


def _unit(unit: str | None, told: Counter[str]) -> Unit:
    items = told["items"]
    return Unit(
        unit=unit,
        items=items,
        published=told["published"],
        controlled=told["controlled"],
        share=told["published"] / items if items else 0.0,
        coverage=told["controlled"] / items if items else 0.0,
    )


def _alike(rows: Rows, asked: AskProcessCoverage) -> Counter[tuple[Any, ...]]:
    """How many items there are of each name, process, version and source."""
    conditions, parameters = ["1=1"], list[Any]()
    for condition, time in (("first_time >= ?", asked.from_time), ("first_time < ?", asked.until_time)):
        if time is not None:
            conditions.append(condition)
            parameters.append(time)
    columns = ("key", "named", "process", "process_version", "source")
    items = each_values(rows, board.Row, columns, " AND ".join(conditions), parameters)
    return Counter((named, process, version, source) for _, named, process, version, source in items)


def _badges(rows: Rows, directory: Directory, id: str, answered: "_Answered") -> Badges:
    published = directory.process(id, asof=AsOf(position=rows.position))
    assert published is not None
    items = late = unanswered = 0
    worst, slowest = timedelta(), ""
    works = [work for (work,) in each_values(rows, board.Row, ("key",), "process = ?", (id,))]
    for start in range(0, len(works), _AT_ONCE):
        some = works[start : start + _AT_ONCE]
        items += len(some)
        for event, time, recorded_at in _late(rows, some):
            late += 1
            if recorded_at - time > worst:
                worst, slowest = recorded_at - time, event
        for row in rows.select(accountability.Row, f"key IN ({marks(some)})", some):
            unanswered += answered.not_for(row)
    last = f"{slowest} {worst.total_seconds():.0f} s"
    of_late = f"{late} events were on the log more than 2 s after they happened, the latest of them, {last}"
    of_gaps = f"for {unanswered} stretches of the log nobody answered for an item of it"
    return Badges(
        process=id,
        version=published.version,
        items=items,
        structured=_badge(*(f"it does not say {layer}" for layer in _unsaid(published))),
        visible=_badge(*([of_late] if late else [])),
        accountable=_badge(*([of_gaps] if unanswered else [])),
    )


def _badge(*reasons: str) -> Badge:
    return Badge(green=not reasons, reasons=reasons)


def _unsaid(process: ProcessPublished) -> Iterator[str]:
    """The layers of which a process says nothing."""
    steps = process.steps
    said = {
        "why: it has no purpose": bool(process.purpose.strip()),
        "what: it has no exit criteria": bool(process.exit_criteria),
        "who: a step has nobody who answers for it": bool(steps) and all(step.raci.A for step in steps),
        "when: it has no cadence, and no step has a time": bool(process.cadence) or any(s.sla for s in steps),
        "how: it has no steps": bool(steps),
    }
    return (layer for layer, is_said in said.items() if not is_said)


_AT_ONCE: Final = 500
_LATE_US: Final = VISIBLE_WITHIN // timedelta(microseconds=1)


def _late(rows: Rows, works: Sequence[str]) -> Iterator[Sequence[Any]]:
    """What happened to these items and was not visible in time: its id, when it happened, when it was recorded."""
    streams = [f"work/{work}" for work in works]
    where = f"stream IN ({marks(streams)}) AND recorded_at - time > ?"
    columns = ("event_id", "time", "recorded_at")
    yield from rows.values(timeline.Row, columns, where, (*streams, _LATE_US), "stream, position")


class _Answered:
    """For which stretches of the log nobody answered for an item.

    Of most items one person is named for good, as for many others: from which position on that has always led to
    somebody who was here is found out once for all of them. The others are looked at stretch by stretch.
    """

    def __init__(self, rows: Rows, directory: Directory) -> None:
        self._asof, self._directory = AsOf(position=rows.position), directory
        self._shared = accountability.custodianship(directory)
        self._always: dict[tuple[Any, ...], int | None] = {}

    def not_for(self, row: accountability.Row) -> int:
        """For how many stretches nobody who was here answered."""
        for tenure in row.tenures:
            of = (tenure.named, tenure.process, tenure.source)
            if of not in self._always:
                self._always[of] = self._always_from(tenure)
            since = self._always[of]
            if since is None or tenure.stamp.position < since:
                break
        else:
            return 0
        intervals = accountability.assignment(self._directory, row, self._asof, self._shared)
        return sum(not self._is_here(interval.person, interval.from_position) for interval in intervals)

    def _always_from(self, tenure: accountability.Tenure) -> int | None:
        """The position from which on whoever is named so is, or leads to, a person who is here; None for never."""
        stamp = Stamp(1, tenure.stamp.time, tenure.stamp.recorded_at)
        whole = accountability.Row(key="", named=tenure.named, process=tenure.process, source=tenure.source,
                                   first_position=1, tenures=(msgspec.structs.replace(tenure, stamp=stamp),),
                                   earliest=(stamp,))  # fmt: skip
        since: int | None = None
        assert self._asof.position is not None
        for interval in accountability.assignment(self._directory, whole, self._asof, self._shared):
            last = self._asof.position if interval.until_position is None else interval.until_position - 1
            # Whoever leaves does not come back: who is here at both ends was here all the time.
            if not (self._is_here(interval.person, interval.from_position) and self._is_here(interval.person, last)):
                since = None
            elif since is None:
                since = interval.from_position
        return since

    def _is_here(self, person: str | None, position: int) -> bool:
        return person is not None and self._directory.is_person(person, AsOf(position=position))


def _count(
    counts: dict[str, Counter[str]], resource: str | None, who: str | None, times: int, asked: AskOverlaps,
    directory: Directory,
) -> None:  # fmt: skip
    if resource is None or who is None or not times or directory.kind(who) != "agent":
        return
    if resource.startswith(asked.prefix):
        counts.setdefault(_prefix(resource, asked.depth), Counter())[who] += times


def _prefix(resource: str, depth: int) -> str:
    """The first parts of a resource's name; of a URI, those behind its scheme."""
    scheme, separator, name = resource.rpartition("://")
    return scheme + separator + "/".join(name.split("/")[:depth])


def _person(directory: Directory, id: str, position: int) -> str | None:
    return line(directory, id, AsOf(position=position)).person
