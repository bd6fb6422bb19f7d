"""Policy commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.policy import PublishPolicy
from attorn.services.command_door import Clock, serve
from attorn.services.policy import model
from attorn.services.transact import Streams

COMMANDS: Final = (PublishPolicy,)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one policy stream."""
    serve(broker, streams, clock, "policy", model.decide, COMMANDS)
