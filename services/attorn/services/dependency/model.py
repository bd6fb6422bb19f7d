"""Dependencies: what the work waits for, other work or anything else; and that it goes on when nothing is left.

An item's own stream knows what it waits for; whether the items lead in a circle is known from the relations of all.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

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
from attorn.services.work.tables import Changes, Checks

DependencyCommand: TypeAlias = AddDependency | SatisfyDependency | BreakDependency | BlockWork | UnblockWork


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


def _check_defined(work: Work, data: WorkDefined, event: Event, directory: Directory) -> Iterator[Breach]:
    for on in data.depends_on if work.definition is None else ():
        yield from _check_cycle(event, on, "data.depends_on", directory)


def _check_added(work: Work, data: DependencyAdded, event: Event, directory: Directory) -> Iterator[Breach]:
    return _check_cycle(event, data.on, "data.on", directory)


def _check_cycle(event: Event, on: str, field: str, directory: Directory) -> Iterator[Breach]:
    work = event.subject.partition("/")[2]
    if directory.relations.waits_for(on, work):
        how = "is the same" if on == work else f"waits for {work} itself, if by way of others"
        yield Breach(rule="relation-cycle", detail=f"{work} cannot wait for {on}, which {how}", field=field)


def _check_settled(
    work: Work, data: DependencySatisfied | DependencyBroken, event: Event, directory: Directory
) -> Sequence[Breach]:
    if data.on in work.dependencies:
        return ()
    return (Breach(rule="dependency-open", detail=f"{event.subject} does not wait for {data.on}", field="data.on"),)


def _check_waiting(
    work: Work, data: WorkUnblocked | ExecutionStarted, event: Event, directory: Directory
) -> Sequence[Breach]:
    waits = [on for on, status in work.dependencies.items() if status != "satisfied"]
    if not waits:
        return ()
    detail = f"{event.subject} waits for {', '.join(waits[:5])}; say of each that it is satisfied first"
    return (Breach(rule="dependency-open", detail=detail),)


CHECKS: Final[Checks] = {
    WorkDefined: _check_defined,
    DependencyAdded: _check_added,
    DependencySatisfied: _check_settled,
    DependencyBroken: _check_settled,
    WorkUnblocked: _check_waiting,
    ExecutionStarted: _check_waiting,
}


# ---- what an event changes


def _define(work: Work, data: WorkDefined, event: Event) -> Work:
    if not data.depends_on or work.definition is not None:
        return work
    return _with(work, {on: work.dependencies.get(on, "open") for on in data.depends_on})


def _add(work: Work, data: DependencyAdded, event: Event) -> Work:
    return _with(work, {data.on: "open"})


def _satisfy(work: Work, data: DependencySatisfied, event: Event) -> Work:
    return _with(work, {data.on: "satisfied"}) if data.on in work.dependencies else work


def _break(work: Work, data: DependencyBroken, event: Event) -> Work:
    return _with(work, {data.on: "broken"}) if data.on in work.dependencies else work


def _with(work: Work, changes: dict[str, DependencyStatus]) -> Work:
    return msgspec.structs.replace(work, dependencies={**work.dependencies, **changes})


def _block(work: Work, data: WorkBlocked, event: Event) -> Work:
    return msgspec.structs.replace(work, blocked=True)


def _unblock(work: Work, data: WorkUnblocked | WorkReopened, event: Event) -> Work:
    return msgspec.structs.replace(work, blocked=False)


CHANGES: Final[Changes] = {
    WorkDefined: _define,
    DependencyAdded: _add,
    DependencySatisfied: _satisfy,
    DependencyBroken: _break,
    WorkBlocked: _block,
    WorkUnblocked: _unblock,
    WorkReopened: _unblock,
}
