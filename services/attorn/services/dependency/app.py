"""Dependency commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.dependency import AddDependency, BlockWork, BreakDependency, SatisfyDependency, UnblockWork
from attorn.services.command_door import Clock, serve
from attorn.services.dependency import model
from attorn.services.transact import Streams

COMMANDS: Final = (AddDependency, BlockWork, BreakDependency, SatisfyDependency, UnblockWork)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one work stream."""
    serve(broker, streams, clock, "work", model.decide, COMMANDS)
