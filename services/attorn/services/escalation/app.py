"""Escalation commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    AdvanceEscalation,
    AnswerEscalation,
    CancelEscalation,
    EscalateWork,
    ReassignEscalation,
    ReopenEscalation,
    ResolveEscalation,
    UnacknowledgeEscalation,
)
from attorn.services.command_door import Clock, serve
from attorn.services.escalation import model
from attorn.services.transact import Streams

COMMANDS: Final = (
    EscalateWork,
    AcknowledgeEscalation,
    UnacknowledgeEscalation,
    AdvanceEscalation,
    ReassignEscalation,
    AnswerEscalation,
    ResolveEscalation,
    CancelEscalation,
    ReopenEscalation,
)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one work stream."""
    serve(broker, streams, clock, "work", model.decide, COMMANDS)
