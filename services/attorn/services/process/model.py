"""Processes: how a kind of work is meant to flow, in versions, each with a person who owns it."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.process import (
    MapProcess,
    ProcessMapped,
    ProcessPublished,
    ProcessRetired,
    PublishProcess,
    RetireProcess,
)
from attorn.contracts.refusal import Breach
from attorn.contracts.service_review import (
    CloseServiceReview,
    HoldServiceReview,
    OpenServiceReview,
    ServiceReviewClosed,
    ServiceReviewHeld,
    ServiceReviewOpened,
)
from attorn.projections.directory import Directory
from attorn.services.participant.authority import check_actor, check_architect
from attorn.services.process import lint, service_review
from attorn.services.process.service_review import Sitting
from attorn.services.transact import Context
from attorn.services.work.model import check_policy, pin

ProcessCommand: TypeAlias = (
    MapProcess | PublishProcess | RetireProcess | OpenServiceReview | HoldServiceReview | CloseServiceReview
)


class Process(msgspec.Struct, frozen=True, tag="process"):
    """`retired` are the versions that were retired since the newest was published; None stands for all."""

    newest: ProcessPublished | None = None
    retired: tuple[int | None, ...] = ()
    mapped: ProcessMapped | None = None
    sittings: dict[str, Sitting] = {}


initial = Process()
state_type = Process


def decide(process: Process, command: ProcessCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Publishing the newest version again records nothing."""
    match command:
        case MapProcess():
            mapped = ProcessMapped(**{name: getattr(command, name) for name in ProcessMapped.__struct_fields__})
            return [] if process.mapped == mapped else [mapped]
        case PublishProcess():
            said = {name: getattr(command, name) for name in ProcessPublished.__struct_fields__ if name != "version"}
            for field in ("review_policy", "escalation_policy"):
                said[field] = pin(said[field], field, context) if said[field] is not None else None
            version = process.newest.version if process.newest is not None else 0
            retired = None in process.retired or version in process.retired
            if process.newest is not None and not retired:
                if process.newest == ProcessPublished(version=version, **said):
                    return []
            return [ProcessPublished(version=version + 1, **said)]
        case RetireProcess(version=version, successor=successor):
            retired = None in process.retired or version in process.retired
            return [] if retired else [ProcessRetired(version=version, successor=successor)]
        case OpenServiceReview() | HoldServiceReview() | CloseServiceReview():
            return service_review.decide(process.sittings, command)


def check(process: Process, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules about processes `event` breaks."""
    yield from check_actor(event, directory)
    match event.data:
        case ProcessMapped(steps=steps):
            yield from islice((f.breach for f in lint.flow(steps) if f.breach is not None), lint.BREACHES_MAX)
        case ProcessPublished() as data:
            yield from check_architect(event, directory)
            yield from _check_publication(process, data, event, directory)
        case ProcessRetired(version=version, successor=successor):
            yield from check_architect(event, directory)
            newest = process.newest.version if process.newest is not None else 0
            if newest == 0 or (version is not None and version > newest):
                which = f"version {version} of {event.subject}" if newest else event.subject
                yield Breach(rule="unpublished", detail=f"{which} was never published", field="data.version")
            if successor is not None and (
                f"process/{successor}" == event.subject or directory.process_in_force(successor, event.time) is None
            ):
                detail = f"{successor} is to succeed {event.subject}, and is not a process in force; publish it first"
                yield Breach(rule="unpublished", detail=detail, field="data.successor")
        case ServiceReviewOpened() | ServiceReviewHeld() | ServiceReviewClosed() as data:
            yield from service_review.check(process.sittings, data)
        case _:
            pass


def evolve(process: Process, event: Event) -> Process:
    """What is true of the process afterwards."""
    replace = msgspec.structs.replace
    match event.data:
        case ProcessMapped() as mapped:
            return replace(process, mapped=mapped)
        case ProcessPublished() as published:
            return replace(process, newest=published, retired=())
        case ProcessRetired(version=version):
            return replace(process, retired=(*process.retired, version))
        case ServiceReviewOpened() | ServiceReviewHeld() | ServiceReviewClosed() as data:
            return replace(process, sittings=service_review.evolve(process.sittings, data))
        case _:
            return process


def _check_publication(
    process: Process, data: ProcessPublished, event: Event, directory: Directory
) -> Iterator[Breach]:
    if not directory.is_person(data.owner):
        detail = f"{data.owner} is not a person who is here; {event.subject} needs one as its owner"
        yield Breach(rule="owner-human", detail=detail, field="data.owner")
    if process.newest is not None and data.version <= process.newest.version:
        detail = f"{event.subject} is at version {process.newest.version} already; the next is higher"
        yield Breach(rule="version-increasing", detail=detail, field="data.version")
    for field in ("review_policy", "escalation_policy"):
        yield from check_policy(getattr(data, field), field, directory)
    yield from lint.breaches(data)
    nobodies = (s for s in data.steps if s.raci.A is not None and not directory.names_person(s.raci.A))
    for step in islice(nobodies, lint.BREACHES_MAX):
        detail = f"{step.raci.A} answers for step {step.step_id}, and leads to no person who is here; name one"
        yield Breach(rule="step-accountable", detail=detail, field=f"data.steps[{step.step_id}].raci")


def attributes(process: Process, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}
