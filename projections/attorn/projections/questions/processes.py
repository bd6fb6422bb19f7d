"""Audit: how much of the work runs under published processes, what these promise, and where agents collide."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec

from attorn.contracts.process import ProcessPublished
from attorn.projections import accountability, activity, board, effects, holding, timeline
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.questions import controls
from attorn.projections.questions.paging import PAGE, Limit, each
from attorn.projections.workforce import Outdated, deployments, line, outdated

VISIBLE_WITHIN: Final = timedelta(seconds=2)
"""An act that was on the log later than this after it happened was not visible in time."""


class AskProcessCoverage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what was first heard of between these times, the first included; of all work without them."""

    from_time: datetime | None = None
    until_time: datetime | None = None


class AskBadges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    process: str | None = None
    after: str = ""
    limit: Limit = 20


class AskOutdated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    process: str | None = None


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


class ProcessCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much work there is, by unit and in all; and the processes in which agents are at work, and those without."""

    position: int
    all: Unit
    units: tuple[Unit, ...]
    with_agents: tuple[str, ...]
    without_agents: tuple[str, ...]


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


class OutdatedAgents(msgspec.Struct, frozen=True, kw_only=True):
    """The agents at work that are pinned to another version of their process than its newest."""

    position: int
    agents: tuple[Outdated, ...]


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
    asof = AsOf(position=rows.position)
    sound = {one.process for one in _controls(rows, directory) if not one.holes}
    counts: dict[str | None, Counter[str]] = {}
    total = Counter[str]()
    for row in each(rows, board.Row, "1=1", ()):
        if asked.from_time is not None and row.first_time < asked.from_time:
            continue
        if asked.until_time is not None and row.first_time >= asked.until_time:
            continue
        person = directory.answerable(row.named, row.process, row.source, asof).person
        who = directory.participants.get(person or "")
        version = row.process_version
        published = version is not None and directory.process(row.process or "", version, asof) is not None
        for told in (total, counts.setdefault(who.org_unit if who is not None else None, Counter())):
            told.update(items=1, published=published, controlled=published and row.process in sound)
    at_work = {one.said.process_id for one in deployments(directory, asof)}
    known = [id for id in sorted(directory.processes) if directory.process(id, asof=asof) is not None]
    return ProcessCoverage(
        position=rows.position,
        all=_unit(None, total),
        units=tuple(_unit(unit, counts[unit]) for unit in sorted(counts, key=lambda unit: unit or "")),
        with_agents=tuple(id for id in known if id in at_work),
        without_agents=tuple(id for id in known if id not in at_work),
    )


def badges(rows: Rows, directory: Directory, asked: AskBadges) -> BadgePage:
    """Whether each process is structured, visible and accountable, and what is against it."""
    asof = AsOf(position=rows.position)
    ids = [
        id
        for id in sorted(directory.processes)
        if id > asked.after and asked.process in (None, id) and directory.process(id, asof=asof) is not None
    ]
    return BadgePage(
        position=rows.position,
        processes=tuple(_badges(rows, directory, id) for id in ids[: asked.limit]),
        next=ids[asked.limit - 1] if len(ids) > asked.limit else None,
    )


def outdated_agents(rows: Rows, directory: Directory, asked: AskOutdated) -> OutdatedAgents:
    """The agents at work by an older version of their process than its newest."""
    agents = outdated(directory, AsOf(position=rows.position), asked.process)
    return OutdatedAgents(position=rows.position, agents=agents)


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


def _badges(rows: Rows, directory: Directory, id: str) -> Badges:
    published = directory.process(id, asof=AsOf(position=rows.position))
    assert published is not None
    items = late = unanswered = 0
    worst, slowest = timedelta(), ""
    for row in each(rows, board.Row, "process = ?", (id,)):
        items += 1
        for told in _told(rows, row.key):
            lag = told.recorded_at - told.time
            late += lag > VISIBLE_WITHIN
            if lag > worst:
                worst, slowest = lag, told.event_id
        for interval in accountability.intervals(rows, directory, row.key):
            unanswered += interval.person is None or not directory.is_person(
                interval.person, AsOf(position=interval.from_position)
            )
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


def _told(rows: Rows, work: str) -> Iterator[timeline.Row]:
    after = 0
    while True:
        where = "stream = ? AND position > ?"
        page = rows.select(timeline.Row, where, (f"work/{work}", after), "position", PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].position


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
