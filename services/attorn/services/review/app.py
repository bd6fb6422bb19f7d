"""Review commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.output import ReleaseOutput, WithdrawOutput
from attorn.contracts.review import ClaimReview, RequestReview, ReviewWork, UnclaimReview, WithdrawReview
from attorn.services.command_door import Clock, serve
from attorn.services.review import model
from attorn.services.transact import Streams

COMMANDS: Final = (
    RequestReview,
    ClaimReview,
    UnclaimReview,
    WithdrawReview,
    ReviewWork,
    ReleaseOutput,
    WithdrawOutput,
)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one work stream."""
    serve(broker, streams, clock, "work", model.decide, COMMANDS)
