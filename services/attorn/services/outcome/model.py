"""Outcomes: what the work is for, how one sees that it is reached, and where it stood before anything was changed."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.outcome import (
    BaselineRecorded,
    DefineOutcome,
    OutcomeDefined,
    OutcomeUpdated,
    RecordBaseline,
    UpdateOutcome,
)
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.participant.authority import check_actor
from attorn.services.transact import Context

OutcomeCommand: TypeAlias = DefineOutcome | UpdateOutcome | RecordBaseline


class Outcome(msgspec.Struct, frozen=True, tag="outcome"):
    """`defined` is as it was first, `now` as it is; `baselines` are the newest of each metric."""

    defined: OutcomeDefined | None = None
    now: OutcomeDefined | None = None
    baselines: dict[str, BaselineRecorded] = {}


initial = Outcome()
state_type = Outcome


def decide(outcome: Outcome, command: OutcomeCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case DefineOutcome(statement=statement, measure=measure, target=target, owner=owner):
            defined = OutcomeDefined(statement=statement, measure=measure, target=target, owner=owner)
            return [] if defined in (outcome.defined, outcome.now) else [defined]
        case UpdateOutcome():
            said = {name: getattr(command, name) for name in OutcomeUpdated.__struct_fields__}
            changed = {name: new for name, new in said.items()
                       if new is not None and getattr(outcome.now, name, None) != new}  # fmt: skip
            return [OutcomeUpdated(**changed)] if changed or outcome.now is None else []
        case RecordBaseline(metric=metric, value=value, origin=origin):
            recorded = BaselineRecorded(metric=metric, value=value, origin=origin)
            return [] if outcome.baselines.get(metric) == recorded else [recorded]


def check(outcome: Outcome, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules about outcomes `event` breaks."""
    yield from check_actor(event, directory)
    match event.data:
        case OutcomeDefined() if outcome.defined is not None:
            yield Breach(rule="outcome-once", detail=f"{event.subject} is defined already; update it")
        case OutcomeUpdated() | BaselineRecorded() if outcome.defined is None:
            yield Breach(rule="outcome-once", detail=f"{event.subject} is not defined; define it first")
        case _:
            pass
    match event.data:
        case OutcomeDefined(owner=str(owner)) | OutcomeUpdated(owner=str(owner)) if not directory.is_person(owner):
            detail = f"{owner} is not a person who is here; {event.subject} is owned by one, or by nobody"
            yield Breach(rule="owner-human", detail=detail, field="data.owner")
        case _:
            pass


def evolve(outcome: Outcome, event: Event) -> Outcome:
    """What is true of the outcome afterwards."""
    replace = msgspec.structs.replace
    match event.data:
        case OutcomeDefined() as defined if outcome.defined is None:
            return replace(outcome, defined=defined, now=defined)
        case OutcomeUpdated() as updated if outcome.now is not None:
            said = {name: getattr(updated, name) for name in OutcomeUpdated.__struct_fields__}
            now = replace(outcome.now, **{name: new for name, new in said.items() if new is not None})
            return replace(outcome, now=now)
        case BaselineRecorded() as recorded:
            return replace(outcome, baselines=outcome.baselines | {recorded.metric: recorded})
        case _:
            return outcome


def attributes(outcome: Outcome, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}
