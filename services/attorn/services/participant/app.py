"""Participant commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.participant import DeactivateParticipant, GrantRole, RegisterParticipant, RevokeRole
from attorn.services.command_door import Clock, serve
from attorn.services.participant import model
from attorn.services.transact import Streams

COMMANDS: Final = (
    RegisterParticipant,
    DeactivateParticipant,
    GrantRole,
    RevokeRole,
)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one participant stream."""
    serve(broker, streams, clock, "participant", model.decide, COMMANDS)
