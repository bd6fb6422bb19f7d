"""Sources: the systems that report facts, and the person who looks after what each reports."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.refusal import Breach
from attorn.contracts.source import RegisterSource, SourceRegistered
from attorn.projections.directory import Directory
from attorn.services.participant.authority import check_actor, check_word
from attorn.services.transact import Context


class Source(msgspec.Struct, frozen=True, tag="source"):
    registered: SourceRegistered | None = None


initial = Source()
state_type = Source


def decide(source: Source, command: RegisterSource, context: Context) -> Sequence[msgspec.Struct]:
    """The registration; none when it says what stands. Another custodian, or another word, is a new registration."""
    word = command.speaks_of
    if word is None:
        word = source.registered.speaks_of if source.registered is not None else ()
    registered = SourceRegistered(uri=command.uri, custodian=command.custodian, keys=command.keys, speaks_of=word)
    return [] if source.registered == registered else [registered]


def check(source: Source, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules about sources `event` breaks."""
    yield from check_actor(event, directory)
    if not isinstance(event.data, SourceRegistered):
        return
    before = source.registered.speaks_of if source.registered is not None else ()
    if {*event.data.speaks_of} != {*before}:
        yield from check_word(event, directory)
    if not directory.is_person(event.data.custodian):
        detail = f"{event.data.custodian} is not a person who is here; {event.subject} needs one as its custodian"
        yield Breach(rule="custodian-human", detail=detail, field="data.custodian")


def evolve(source: Source, event: Event) -> Source:
    """What is true of the source afterwards."""
    return Source(event.data) if isinstance(event.data, SourceRegistered) else source


def attributes(source: Source, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}
