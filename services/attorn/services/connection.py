"""Connections to NATS as every process of attorn makes them: they never give up, and say what happens to them.

Who a process is for NATS is said in its environment: `attorn.client.login`.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import nats
from nats.aio.client import Client

from attorn.client.login import login

log = logging.getLogger("attorn.nats")

OPTIONS: Final[dict[str, Any]] = {
    "max_reconnect_attempts": -1,
    "reconnect_time_wait": 0.1,
    "connect_timeout": 2,
    "ping_interval": 5,
    "max_outstanding_pings": 2,
}
"""Once its attempts run out, a client is closed for good and its readers wait for ever; so they never run out."""


async def connect(url: str, name: str, on_error: Callable[[Exception], None] | None = None) -> Client:
    """A connection that outlives restarts of the server. `on_error` hears what the server refuses."""

    made: Client | None = None
    told = set[str]()

    async def error(reason: Exception) -> None:
        # Before the connection is made nobody has asked anything, and who is to hear of it may not be there yet either.
        if made is not None and on_error is not None:
            on_error(reason)
        if made is None and str(reason) not in told:  # once, not with every try
            told.add(str(reason))
            log.warning("no connection yet, trying on", extra={"connection": name, "reason": str(reason)})
        log.debug("connection error", extra={"connection": name, "reason": str(reason)})

    async def disconnected() -> None:
        if made is None or not made.is_closed:  # whoever closes it has not lost it
            log.warning("connection lost", extra={"connection": name})

    async def reconnected() -> None:
        log.info("connected again", extra={"connection": name})

    made = await nats.connect(
        url,
        name=name,
        error_cb=error,
        disconnected_cb=disconnected,
        reconnected_cb=reconnected,
        **OPTIONS,
        **login(url),
    )
    return made
