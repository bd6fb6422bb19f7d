"""By which version of a process, and by which instructions, work is carried out: those that it names, and in force."""

from collections.abc import Iterator
from datetime import datetime

from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.ids import Ref
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.projections.ladder import after
from attorn.services.work.state import Work


def check(work: Work, started: ExecutionStarted, event: Event, directory: Directory) -> Iterator[Breach]:
    """Whether an execution names what it runs under, and whether that still is what stands."""
    process = work.process
    if process is not None and started.process_version is None:
        detail = (
            f"{event.subject} is under version {process.version} of {process.id}; {started.execution_id} names none"
        )
        yield Breach(rule="version-unnamed", detail=detail, field="data.process_version")
    stands = instructions(work, started, directory)
    if stands is not None and stands.dig is not None:
        if started.instructions_dig is None:
            detail = f"{started.execution_id} does not say which instructions it follows; they are {stands.uri}"
            yield Breach(rule="version-unnamed", detail=detail, field="data.instructions_dig")
        elif started.instructions_dig != stands.dig:
            detail = (
                f"{started.execution_id} follows {started.instructions_dig[:19]}…; {stands.uri} is {stands.dig[:19]}…"
            )
            yield Breach(rule="drift", detail=detail, field="data.instructions_dig")
    version = started.process_version or (process.version if process is not None else None)
    if process is not None and version is not None:
        over = superseded(process.id, version, event.time, directory)
        if over is not None:
            yield Breach(rule="drift", detail=over, field="data.process_version")


def instructions(work: Work, started: ExecutionStarted, directory: Directory) -> Ref | None:
    """The instructions that stand for an execution: its delegation's, else the work's own, else its step's."""
    held = work.delegations.get(started.delegation_id or "")
    if held is not None and held.terms.instructions is not None:
        return held.terms.instructions
    if work.definition is not None and work.definition.method.instructions is not None:
        return work.definition.method.instructions
    process = work.process
    version = started.process_version or (process.version if process is not None else None)
    published = directory.process(process.id, version) if process is not None else None
    steps = published.steps if published is not None else ()
    return next((step.instructions for step in steps if step.step_id == started.step_id), None)


def superseded(id: str, version: int, at: datetime, directory: Directory) -> str | None:
    """Since when a version of a process is no longer in force, as a sentence; None while it is.

    A later version ends the earlier ones after its grace. Without one, what was begun under them is finished so.
    """
    process = directory.processes.get(id)
    for fact in process.versions if process is not None else ():
        later = fact.value
        if later.version <= version or later.grace is None:
            continue
        ends = after(max(later.effective_at or fact.stamp.time, fact.stamp.time), later.grace)
        if at > ends:
            return (
                f"version {version} of {id} was superseded by version {later.version}, and its grace ended {ends:%F %T}"
            )
    return None
