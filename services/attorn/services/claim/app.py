"""Claim commands arrive on NATS, are carried out, and are answered."""

from typing import Final, get_args

from faststream.nats import NatsBroker

from attorn.services.claim import model
from attorn.services.command_door import Clock, serve
from attorn.services.transact import Streams

COMMANDS: Final = get_args(model.ClaimCommand)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one claim stream."""
    serve(broker, streams, clock, "claim", model.decide, COMMANDS)
