"""Dependencies: what the work waits for, other work or anything else; and that it goes on when nothing is left.

An item's own stream knows what it waits for; whether the items lead in a circle is known from the relations of all.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec

from attorn.contracts.dependency import (
    AddDependency,
    BlockWork,
    BreakDependency,
    DependencyAdded,
    DependencyBroken,
    DependencySatisfied,
    SatisfyDependency,
    UnblockWork,
    WorkBlocked,
    WorkUnblocked,
)
from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.refusal import Breach
from attorn.contracts.work import WorkDefined, WorkReopened
from attorn.projections.directory import Directory
from attorn.services.transact import Context
from attorn.services.work.state import DependencyStatus, Work

DependencyCommand: TypeAlias = AddDependency | SatisfyDependency | BreakDependency | BlockWork | UnblockWork

initial = Work()


def decide(work: Work, command: DependencyCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case AddDependency(on=on, reason=reason):
            return [] if work.dependencies.get(on) == "open" else [DependencyAdded(on=on, reason=reason)]
        case SatisfyDependency(on=on, reason=reason):
            if work.dependencies.get(on) == "satisfied":
                return []
            satisfied = DependencySatisfied(on=on, reason=reason)
            left = [d for d, status in work.dependencies.items() if status != "satisfied" and d != on]
            goes_on = "blocked" in work.life.pauses and not left and not work.blocked
            # In one append with what it waited for: so the work is unblocked once, whoever asks, and how often.
            return [satisfied, WorkUnblocked(on=on)] if goes_on else [satisfied]
        case BreakDependency(on=on, reason=reason):
            return [] if work.dependencies.get(on) == "broken" else [DependencyBroken(on=on, reason=reason)]
        case BlockWork(reason=reason):
            return [] if work.blocked else [WorkBlocked(reason=reason)]
        case UnblockWork(reason=reason):
            return [] if work.life.state and "blocked" not in work.life.pauses else [WorkUnblocked(reason=reason)]


def check(work: Work, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules of waiting `event` breaks."""
    match event.data:
        case WorkDefined(depends_on=depends_on) if work.definition is None:
            for on in depends_on:
                yield from _check_cycle(event, on, "data.depends_on", directory)
        case DependencyAdded(on=on):
            yield from _check_cycle(event, on, "data.on", directory)
        case DependencySatisfied(on=on) | DependencyBroken(on=on):
            if on not in work.dependencies:
                detail = f"{event.subject} does not wait for {on}"
                yield Breach(rule="dependency-open", detail=detail, field="data.on")
        case WorkUnblocked() | ExecutionStarted():
            waits = [on for on, status in work.dependencies.items() if status != "satisfied"]
            if waits:
                detail = f"{event.subject} waits for {', '.join(waits[:5])}; say of each that it is satisfied first"
                yield Breach(rule="dependency-open", detail=detail)
        case _:
            pass


def evolve(work: Work, event: Event) -> Work:
    """What the work waits for afterwards."""
    match event.data:
        case WorkDefined(depends_on=depends_on) if depends_on and work.definition is None:
            return _with(work, {on: work.dependencies.get(on, "open") for on in depends_on})
        case DependencyAdded(on=on):
            return _with(work, {on: "open"})
        case DependencySatisfied(on=on) if on in work.dependencies:
            return _with(work, {on: "satisfied"})
        case DependencyBroken(on=on) if on in work.dependencies:
            return _with(work, {on: "broken"})
        case WorkBlocked():
            return msgspec.structs.replace(work, blocked=True)
        case WorkUnblocked() | WorkReopened():
            return msgspec.structs.replace(work, blocked=False)
        case _:
            return work


def _with(work: Work, changes: dict[str, DependencyStatus]) -> Work:
    return msgspec.structs.replace(work, dependencies={**work.dependencies, **changes})


def _check_cycle(event: Event, on: str, field: str, directory: Directory) -> Iterator[Breach]:
    work = event.subject.partition("/")[2]
    if directory.relations.waits_for(on, work):
        how = "is the same" if on == work else f"waits for {work} itself, if by way of others"
        yield Breach(rule="relation-cycle", detail=f"{work} cannot wait for {on}, which {how}", field=field)
