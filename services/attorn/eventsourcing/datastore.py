"""One connection to NATS, shared by the recorders of a factory."""

import asyncio
import weakref
from collections.abc import Callable, Sequence
from typing import Final

from nats import errors
from nats.aio.client import Client

from attorn.contracts.refusal import Unavailable
from attorn.eventsourcing.loop import begin, wait
from attorn.services import connection
from attorn.services.ledger.wire import Wire

CONNECT_S: Final = 5.0


class JetStreamDatastore:
    """`timeout`: how long one answer is waited for, `patience`: how long an insert goes on trying, both in seconds.

    Raises OperationalError when nobody answers at `url` within CONNECT_S seconds.
    """

    def __init__(self, url: str, *, timeout: float = 2.0, patience: float = 10.0) -> None:
        self.timeout, self.patience = timeout, patience
        self._hearers: list[Callable[[Exception], None]] = []
        self.nc: Client = wait(_connect(url, self._hearers))
        self.wire = Wire(self.nc)
        self.pass_errors_to(self.wire.on_error)
        # An application that is dropped without close() would keep its connection for ever.
        self._closing = weakref.finalize(self, _close, self.nc)

    def close(self) -> None:
        """Once it returns the connection is gone; what waits on it raises OperationalError."""
        if self._closing.detach() is not None:
            wait(self.nc.close())

    def pass_errors_to(self, hearer: Callable[[Exception], None]) -> None:
        """Only there it is said that a publish is not permitted."""
        self._hearers.append(hearer)

    def require_connected(self) -> None:
        # What is published while the connection is broken would be stored when it is back, long after its author
        # was told that it failed.
        if not self.nc.is_connected:
            raise Unavailable("the connection to NATS is closed" if self.nc.is_closed else "not connected to NATS")


async def _connect(url: str, hearers: Sequence[Callable[[Exception], None]]) -> Client:
    def on_error(error: Exception) -> None:
        for hear in hearers:
            hear(error)

    try:
        async with asyncio.timeout(CONNECT_S):
            return await connection.connect(url, "eventsourcing", on_error)
    except TimeoutError:
        raise Unavailable(f"nobody answers at {url} within {CONNECT_S:g} s") from None
    except (errors.Error, OSError) as error:
        raise Unavailable(f"no connection to {url}: {error}") from error


def _close(nc: Client) -> None:
    begin(nc.close())
