"""Work commands arrive on NATS, are carried out, and are answered."""

from typing import Final, get_args

from faststream.nats import NatsBroker

from attorn.services.command_door import Clock, serve
from attorn.services.transact import Streams
from attorn.services.work import model

COMMANDS: Final = get_args(model.WorkCommand)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one work stream."""
    serve(broker, streams, clock, "work", model.decide, COMMANDS, absent=model.ABSENT)
