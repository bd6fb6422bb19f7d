"""Processes: how a kind of work is meant to flow, in versions, each with a person who owns it."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.ids import Pinned
from attorn.contracts.process import ProcessPublished, ProcessRetired, PublishProcess, RetireProcess
from attorn.contracts.refusal import Breach, Refused
from attorn.projections.directory import Directory
from attorn.services.transact import Context

ProcessCommand: TypeAlias = PublishProcess | RetireProcess


class Process(msgspec.Struct, frozen=True, tag="process"):
    newest: ProcessPublished | None = None
    retired: bool = False


initial = Process()
state_type = Process


def decide(process: Process, command: ProcessCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Publishing the newest version again records nothing."""
    match command:
        case PublishProcess():
            said = {name: getattr(command, name) for name in ProcessPublished.__struct_fields__ if name != "version"}
            for field in ("review_policy", "escalation_policy"):
                said[field] = _pin(said[field], field, context.directory)
            version = process.newest.version if process.newest is not None else 0
            if process.newest is not None and process.newest == ProcessPublished(version=version, **said):
                return []
            return [ProcessPublished(version=version + 1, **said)]
        case RetireProcess(version=version, successor=successor):
            return [] if process.retired else [ProcessRetired(version=version, successor=successor)]


def check(process: Process, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules about processes `event` breaks."""
    match event.data:
        case ProcessPublished() as data:
            if not directory.is_person(data.owner):
                yield Breach(rule="owner-human", detail=f"{data.owner} is not a person who is here", field="data.owner")
            for field in ("review_policy", "escalation_policy"):
                pinned: Pinned | None = getattr(data, field)
                if pinned is not None and directory.policy(pinned.id, pinned.version) is None:
                    detail = f"policy {pinned.id} has no version {pinned.version}"
                    yield Breach(rule="unpublished", detail=detail, field=f"data.{field}")
                if pinned is None and data.risk_tier == "high":
                    yield Breach(
                        rule="controls-missing", detail=f"risk is high and there is no {field}", field=f"data.{field}"
                    )
        case ProcessRetired():
            if process.newest is None:
                yield Breach(rule="unpublished", detail=f"{event.subject} was never published")
        case _:
            pass


def evolve(process: Process, event: Event) -> Process:
    """What is true of the process afterwards."""
    match event.data:
        case ProcessPublished() as published:
            return Process(published)
        case ProcessRetired():
            return msgspec.structs.replace(process, retired=True)
        case _:
            return process


def attributes(process: Process, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}


def _pin(policy: str | None, field: str, directory: Directory) -> Pinned | None:
    if policy is None:
        return None
    published = directory.policy(policy)
    if published is None:
        raise Refused(Breach(rule="unpublished", detail=f"no policy {policy} is published", field=field))
    return Pinned(id=policy, version=published.version)
