"""Delegation commands arrive on NATS, are carried out, and are answered."""

from typing import Final

from faststream.nats import NatsBroker

from attorn.contracts.delegation import (
    AcceptDelegation,
    DeclineDelegation,
    DelegateWork,
    ExpireDelegation,
    NarrowDelegation,
    ResumeDelegation,
    RevokeDelegation,
    SuspendDelegation,
)
from attorn.services.command_door import Clock, serve
from attorn.services.delegation import model
from attorn.services.transact import Streams

COMMANDS: Final = (
    DelegateWork,
    AcceptDelegation,
    DeclineDelegation,
    NarrowDelegation,
    SuspendDelegation,
    ResumeDelegation,
    RevokeDelegation,
    ExpireDelegation,
)


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about one work stream."""
    serve(broker, streams, clock, "work", model.decide, COMMANDS)
