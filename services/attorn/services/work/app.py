"""Work commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.accountability import OfferAccountability, TransferAccountability
from attorn.contracts.context import AddNote
from attorn.contracts.work import (
    AssignWork,
    CancelWork,
    ClarifyWork,
    CompleteWork,
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    SubmitWork,
    VerifyWork,
)
from attorn.services.command_door import Clock, serve
from attorn.services.transact import Streams
from attorn.services.work import model

COMMANDS: Final = (
    DefineWork,
    ClarifyWork,
    ReadyWork,
    AssignWork,
    SubmitWork,
    VerifyWork,
    CompleteWork,
    ReopenWork,
    CancelWork,
    FailWork,
    OfferAccountability,
    TransferAccountability,
    AddNote,
)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one work stream."""
    serve(broker, streams, clock, "work", model.decide, COMMANDS)
