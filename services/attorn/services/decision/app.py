"""Decision commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.decision import AnswerRecommendation, MakeDecision, MakeRecommendation, RequestDecision
from attorn.services.command_door import Clock, serve
from attorn.services.decision import model
from attorn.services.transact import Streams

COMMANDS: Final = (
    MakeRecommendation,
    AnswerRecommendation,
    RequestDecision,
    MakeDecision,
)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one work stream."""
    serve(broker, streams, clock, "work", model.decide, COMMANDS)
