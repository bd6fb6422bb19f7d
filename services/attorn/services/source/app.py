"""Source commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.source import RegisterSource
from attorn.services.command_door import Clock, serve
from attorn.services.source import model
from attorn.services.transact import Streams

COMMANDS: Final = (RegisterSource,)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one source stream."""
    serve(broker, streams, clock, "source", model.decide, COMMANDS)
