"""Processes: how a kind of work is meant to flow, in versions, each with a person who owns it."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.ids import Pinned
from attorn.contracts.process import ProcessPublished, ProcessRetired, PublishProcess, RetireProcess
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.participant.model import check_actor
from attorn.services.transact import Context
from attorn.services.work.model import check_policy, pin

ProcessCommand: TypeAlias = PublishProcess | RetireProcess


class Process(msgspec.Struct, frozen=True, tag="process"):
    """`retired` are the versions that were retired since the newest was published; None stands for all."""

    newest: ProcessPublished | None = None
    retired: tuple[int | None, ...] = ()


initial = Process()
state_type = Process


def decide(process: Process, command: ProcessCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Publishing the newest version again records nothing."""
    match command:
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


def check(process: Process, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules about processes `event` breaks."""
    yield from check_actor(event)
    match event.data:
        case ProcessPublished() as data:
            if not directory.is_person(data.owner):
                detail = f"{data.owner} is not a person who is here; {event.subject} needs one as its owner"
                yield Breach(rule="owner-human", detail=detail, field="data.owner")
            for field in ("review_policy", "escalation_policy"):
                pinned: Pinned | None = getattr(data, field)
                yield from check_policy(pinned, field, directory)
                if pinned is None and data.risk_tier == "high":
                    detail = f"the risk of {event.subject} is high; name its {field}"
                    yield Breach(rule="controls-missing", detail=detail, field=f"data.{field}")
        case ProcessRetired(version=version):
            newest = process.newest.version if process.newest is not None else 0
            if newest == 0 or (version is not None and version > newest):
                which = f"version {version} of {event.subject}" if newest else event.subject
                yield Breach(rule="unpublished", detail=f"{which} was never published", field="data.version")
        case _:
            pass


def evolve(process: Process, event: Event) -> Process:
    """What is true of the process afterwards."""
    match event.data:
        case ProcessPublished() as published:
            return Process(published)
        case ProcessRetired():
            return msgspec.structs.replace(process, retired=(*process.retired, event.data.version))
        case _:
            return process


def attributes(process: Process, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}
