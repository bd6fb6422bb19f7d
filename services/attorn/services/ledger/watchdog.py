"""The watchdog of a connection: a server that keeps it open and answers nothing is left for another.

A frozen server, or the leader of a log on the wrong side of a partition, holds its connections for as long as it likes,
and everything asked of it times out. Who asks again and again on the same connection waits for ever.
"""

import asyncio
import logging
from typing import Final

from nats.aio.client import Client

SILENCE_S_MAX: Final = 3.0
REST_S_MIN: Final = 10.0
"""A new connection is made at most this often: where the disk is full, no other one is better."""

log = logging.getLogger(__name__)


class Watchdog:
    """Cuts `nc` off when nothing has been heard for SILENCE_S_MAX seconds after somebody asked; it then reconnects."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._silent_since: float | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._cut_at = float("-inf")

    def asked(self) -> None:
        if self._silent_since is None:
            loop = asyncio.get_running_loop()
            self._silent_since = loop.time()
            if self._alarm is None:
                self._alarm = loop.call_later(SILENCE_S_MAX, self._look)

    def heard(self) -> None:
        """An answer came, whoever waited for it; or the connection broke by itself."""
        self._silent_since = None

    def _look(self) -> None:
        self._alarm = None
        if self._silent_since is None:
            return
        loop = asyncio.get_running_loop()
        late = loop.time() - self._silent_since
        if late < SILENCE_S_MAX:
            self._alarm = loop.call_later(SILENCE_S_MAX - late, self._look)
            return
        self._silent_since = None
        if self._nc.is_connected and loop.time() >= self._cut_at + REST_S_MIN:
            self._cut_at = loop.time()
            log.warning("no answer from the log, connecting anew", extra={"seconds": round(late, 1)})
            cut(self._nc)


def cut(nc: Client) -> None:
    """Break the connection off, so that nats-py makes another, to the next server that it knows.

    Its own `force_reconnect` first waits until all that is written has been read: by a frozen server, never.
    """
    writer = getattr(nc._transport, "_io_writer", None)
    if writer is not None:
        writer.transport.abort()
