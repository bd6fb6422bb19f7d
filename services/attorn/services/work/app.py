"""Work commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.accountability import OfferAccountability, TransferAccountability
from attorn.contracts.context import AddNote, ShareContext
from attorn.contracts.deadline import SetDeadline
from attorn.contracts.work import (
    AssignWork,
    CancelWork,
    ClarifyWork,
    CompleteWork,
    DeclineWork,
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    ReprioritizeWork,
    ResumeWork,
    SubmitWork,
    SupersedeWork,
    SuspendWork,
    UnassignWork,
    VerifyWork,
)
from attorn.services.command_door import Clock, serve
from attorn.services.transact import Streams
from attorn.services.work import model

COMMANDS: Final = (
    DefineWork,
    ClarifyWork,
    ReadyWork,
    ReprioritizeWork,
    SetDeadline,
    AssignWork,
    UnassignWork,
    DeclineWork,
    SuspendWork,
    ResumeWork,
    SubmitWork,
    VerifyWork,
    CompleteWork,
    ReopenWork,
    CancelWork,
    FailWork,
    SupersedeWork,
    OfferAccountability,
    TransferAccountability,
    ShareContext,
    AddNote,
)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one work stream."""
    serve(broker, streams, clock, "work", model.decide, COMMANDS)
