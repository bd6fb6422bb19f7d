"""Decision commands arrive on NATS, are carried out, and are answered."""

from typing import Final, get_args

from faststream.nats import NatsBroker

from attorn.services.command_door import Clock, serve
from attorn.services.decision import model
from attorn.services.transact import Streams

COMMANDS: Final = get_args(model.DecisionCommand)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one work stream."""
    serve(broker, streams, clock, "work", model.decide, COMMANDS)
