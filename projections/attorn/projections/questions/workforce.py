"""Ownership: which agents are at work where, who looks after them, and who is asked when one of them is stuck."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from attorn.contracts.ids import Count, Timestamp
from attorn.projections import timeline
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.ladder import Step
from attorn.projections.questions.paging import Limit
from attorn.projections.workforce import Unattested, deployments, line
from attorn.projections.workforce import unattested as find_unattested
from attorn.projections.workforce import unmanaged as find_unmanaged
from attorn.projections.workforce import when_stuck as find_help

QUARTER: Final = timedelta(days=90)


class AskDeployments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`outdated`: only those that work by another version of their process than its newest, or only the others."""

    process: str | None = None
    agent: str | None = None
    outdated: bool | None = None
    position: Count | None = None
    at: Timestamp | None = None
    known_at: Timestamp | None = None
    after: str = ""
    limit: Limit = 100


class AskUnmanaged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`at` is by default when the newest event happened."""

    at: Timestamp | None = None


class AskWhenStuck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`at` is by default when the newest event happened."""

    agent: str
    at: Timestamp | None = None


class AskUnattested(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`within` is how long a word counts, as in `P90D`; `at` is by default when the newest event happened."""

    within: timedelta = QUARTER
    at: Timestamp | None = None
    after: str = ""
    limit: Limit = 100


class Deployed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent at work in a process: by which version of it, since when, and the first person above it."""

    id: str
    agent: str
    process: str
    environment: str
    since: datetime
    since_position: int
    version: int | None = None
    newest: int | None = None
    person: str | None = None
    agent_version: str | None = None


class Deployments(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of them, in order of their ids: process, agent, environment."""

    position: int
    count: int
    deployments: tuple[Deployed, ...] = ()
    next: str | None = None


class Unmanaged(msgspec.Struct, frozen=True, kw_only=True):
    position: int
    processes: tuple[str, ...]


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a ladder: whom it names, and who that is now, by id and by name."""

    rung: int
    targets: tuple[str, ...]
    persons: tuple[str, ...]
    names: tuple[str, ...]
    ack_within: timedelta


class Help(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is asked when the agent is stuck in this process, in this order; `problem` is why nobody is."""

    process: str
    environment: str
    policy: str | None = None
    rungs: tuple[Rung, ...] = ()
    problem: str | None = None


class WhenStuck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry for each place where the agent is at work."""

    agent: str
    position: int
    help: tuple[Help, ...] = ()
    problem: str | None = None


class UnattestedPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of processes in force and agents at work, in order of their streams."""

    position: int
    count: int
    unattested: tuple[Unattested, ...] = ()
    next: str | None = None


def at_work(rows: Rows, directory: Directory, asked: AskDeployments) -> Deployments:
    """The agents at work: where, by which version, led by whom; now or at any earlier time."""
    asof = AsOf(position=asked.position or rows.position, at=asked.at, known_at=asked.known_at)
    found: list[Deployed] = []
    for each in deployments(directory, asof, asked.process):
        said = each.said
        published = directory.process(said.process_id, asof=asof)
        newest = published.version if published is not None else None
        is_outdated = None not in (newest, said.process_version) and newest != said.process_version
        if asked.agent in (None, each.agent) and asked.outdated in (None, is_outdated):
            found.append(
                Deployed(
                    id=f"{said.process_id}/{each.agent}/{said.environment}",
                    agent=each.agent,
                    process=said.process_id,
                    environment=said.environment,
                    since=each.since.time,
                    since_position=each.since.position,
                    version=said.process_version,
                    newest=newest,
                    person=line(directory, each.agent, asof).person,
                    agent_version=said.agent_version,
                )
            )
    found.sort(key=lambda each: each.id)
    page = [each for each in found if each.id > asked.after][: asked.limit + 1]
    return Deployments(
        position=rows.position,
        count=len(found),
        deployments=tuple(page[: asked.limit]),
        next=page[asked.limit - 1].id if len(page) > asked.limit else None,
    )


def unmanaged(rows: Rows, directory: Directory, asked: AskUnmanaged) -> Unmanaged:
    """The processes in which agents are at work, and nobody is there to manage them."""
    at = asked.at or newest_time(rows)
    processes = find_unmanaged(directory, at, AsOf(position=rows.position)) if at is not None else ()
    return Unmanaged(position=rows.position, processes=processes)


def when_stuck(rows: Rows, directory: Directory, asked: AskWhenStuck) -> WhenStuck:
    """What happens when an agent is stuck: who is asked, in which order, by name, wherever it is at work."""
    at = asked.at or newest_time(rows)
    if at is None or directory.kind(asked.agent) is None:
        return WhenStuck(agent=asked.agent, position=rows.position, problem=f"{asked.agent} is not registered")
    found = find_help(directory, asked.agent, at)
    return WhenStuck(
        agent=asked.agent,
        position=rows.position,
        help=tuple(
            Help(
                process=each.process,
                environment=each.environment,
                policy=each.policy,
                rungs=tuple(with_names(directory, step) for step in each.rungs),
                problem=each.problem,
            )
            for each in found
        ),
        problem=None if found else f"{asked.agent} is at work in no process; nobody would be asked",
    )


def unattested(rows: Rows, directory: Directory, asked: AskUnattested) -> UnattestedPage:
    """The processes in force and the agents at work that nobody has vouched for lately."""
    at = asked.at or newest_time(rows)
    found = find_unattested(directory, at, asked.within) if at is not None else ()
    found = tuple(sorted(found, key=lambda each: each.subject))
    page = [each for each in found if each.subject > asked.after][: asked.limit + 1]
    return UnattestedPage(
        position=rows.position,
        count=len(found),
        unattested=tuple(page[: asked.limit]),
        next=page[asked.limit - 1].subject if len(page) > asked.limit else None,
    )


def newest_time(rows: Rows) -> datetime | None:
    """When the newest event of the log happened; None on an empty log."""
    newest = rows.select(timeline.Row, "1=1", (), "position DESC", 1)
    return newest[0].time if newest else None


def with_names(directory: Directory, step: Step) -> Rung:
    names = tuple(directory.name(id) for id in step.persons)
    return Rung(rung=step.rung, targets=step.targets, persons=step.persons, names=names, ack_within=step.ack_within)
