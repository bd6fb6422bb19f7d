"""Connections to NATS as every process of attorn makes them: they never give up, and say what happens to them.

Who a process is for NATS is said in its environment, since command lines are for everybody to see: ATTORN_NATS_USER and
ATTORN_NATS_PASSWORD, or ATTORN_NATS_NKEY_SEED, the name of a file with the seed of an nkey. A URL may say it too
(nats://ana:secret@host); the environment wins. Replies come on `_INBOX.<user>.>`, so that a broker with permissions can
let everybody hear their own only; with an nkey, ATTORN_NATS_USER says that name.
"""

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import nats
from nats.aio.client import Client

from attorn.contracts.ids import is_token
from attorn.contracts.refusal import Unavailable

log = logging.getLogger("attorn.nats")

OPTIONS: Final[dict[str, Any]] = {
    "max_reconnect_attempts": -1,
    "reconnect_time_wait": 0.1,
    "connect_timeout": 2,
    "ping_interval": 5,
    "max_outstanding_pings": 2,
}
"""Once its attempts run out, a client is closed for good and its readers wait for ever; so they never run out."""


def login(url: str) -> dict[str, Any]:
    """The options of nats-py that say who this process is, none where nobody has said so. Raises Unavailable."""
    user = os.environ.get("ATTORN_NATS_USER") or ""
    seed = os.environ.get("ATTORN_NATS_NKEY_SEED") or ""
    name = user or unquote(urlsplit(url if "//" in url else f"nats://{url}").username or "")
    inbox = {"inbox_prefix": f"_INBOX.{name}"} if is_token(name) else {}
    if seed:
        if find_spec("nkeys") is None:
            raise Unavailable("ATTORN_NATS_NKEY_SEED needs a package: pip install 'nats-py[nkeys]'")
        if not os.access(seed, os.R_OK):
            raise Unavailable(f"ATTORN_NATS_NKEY_SEED: {seed} cannot be read")
        return inbox | {"nkeys_seed": seed}
    if user:
        return inbox | {"user": user, "password": os.environ.get("ATTORN_NATS_PASSWORD") or ""}
    return inbox


async def connect(url: str, name: str, on_error: Callable[[Exception], None] | None = None) -> Client:
    """A connection that outlives restarts of the server. `on_error` hears what the server refuses."""

    is_made, told = False, set[str]()

    async def error(reason: Exception) -> None:
        # Before the connection is made nobody has asked anything, and who is to hear of it may not be there yet either.
        if is_made and on_error is not None:
            on_error(reason)
        if not is_made and str(reason) not in told:  # once, not with every try
            told.add(str(reason))
            log.warning("no connection yet, trying on", extra={"connection": name, "reason": str(reason)})
        log.debug("connection error", extra={"connection": name, "reason": str(reason)})

    async def disconnected() -> None:
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
    is_made = True
    return made
