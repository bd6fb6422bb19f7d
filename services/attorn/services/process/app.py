"""Process commands arrive on NATS, are carried out, and are answered."""

from typing import Final, get_args

from faststream.nats import NatsBroker

from attorn.services.command_door import Clock, serve
from attorn.services.process import model
from attorn.services.transact import Streams

COMMANDS: Final = get_args(model.ProcessCommand)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one process stream."""
    serve(broker, streams, clock, "process", model.decide, COMMANDS)
