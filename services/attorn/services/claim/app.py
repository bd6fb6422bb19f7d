"""Claim commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.claim import AcquireClaim, ReleaseClaim, RenewClaim, RevokeClaim
from attorn.services.claim import model
from attorn.services.command_door import Clock, serve
from attorn.services.transact import Streams

COMMANDS: Final = (AcquireClaim, ReleaseClaim, RenewClaim, RevokeClaim)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one claim stream."""
    serve(broker, streams, clock, "claim", model.decide, COMMANDS)
