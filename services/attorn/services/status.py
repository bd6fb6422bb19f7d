"""How the services process stands: whether it is ready, and what it says of itself on `attorn.q.services`.

Every one of them answers there, for itself.

The reply is that of any question, `{"position": 17, "result": …}`. Across accounts of NATS only the first one comes
through; within the account of the processes whoever asks may wait for the others.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from attorn.contracts import subjects
from attorn.contracts.refusal import Unavailable
from attorn.services import health, metrics
from attorn.services.about import About
from attorn.services.directory import LiveDirectory
from attorn.services.health import Check
from attorn.services.ledger.probe import EVERY_S, Probe
from attorn.services.ledger.wire import Wire
from attorn.services.measured import MeasuredLedger
from attorn.services.relay.app import Progress

log = logging.getLogger("attorn.services")

QUESTION = "services"


CATCH_UP_S: Final = 1.0
"""How long the directory may take to have what is recorded now."""

PROBE_S: Final = 1.0
"""How long the log may take to refuse an append."""


class RelayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far the feed is. `writes`: by this process, else it stands by; `trouble` is what it waits for."""

    position: int
    writes: bool
    trouble: str = ""


class ServicesStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`head` is the position of the log's last event, None while it does not answer; `directory` that of the directory.

    `checks` are those of readiness: null, or what is wrong. `commands` and `facts` count by outcome since the start.
    """

    about: About
    head: int | None
    directory: int
    relay: RelayStatus
    checks: dict[str, str | None]
    commands: dict[str, int]
    facts: dict[str, int]


class Standing:
    """What a services process knows of itself; `checks` are those of readiness."""

    def __init__(self, ledger: MeasuredLedger, relay: Progress, about: Callable[[], About]) -> None:
        self._ledger, self._relay, self._about = ledger, relay, about
        self._directory: LiveDirectory | None = None
        self._probe: Probe | None = None
        self.checks: dict[str, Check] = {"start": self._started}

    def begin(self, directory: LiveDirectory, log: Wire, doors: Wire, *, probe_every_s: float = EVERY_S) -> None:
        """From here on it answers: over the connections `log`, on which it records, and `doors`, on which it hears.

        However many ask, the log is probed once in `probe_every_s` seconds.
        """
        self._directory, self._probe = directory, Probe(log, timeout=PROBE_S, every_s=probe_every_s)
        self.checks |= {
            "log": health.round_trip(log),
            "doors": health.round_trip(doors),
            "directory": self._caught_up,
            "append": self._appends,
        }

    async def sample(self) -> None:
        """Set the positions that are measured. Raises Unavailable."""
        head = await self._ledger.last()
        metrics.head.set(head)
        metrics.relayed.set(self._relay.position)
        metrics.relay_behind.set(max(0, head - self._relay.position))

    async def status(self) -> ServicesStatus:
        checks, head = await asyncio.gather(health.readiness(self.checks), self._head())
        return ServicesStatus(
            about=self._about(),
            head=head,
            directory=self._directory.view.position if self._directory is not None else 0,
            relay=RelayStatus(position=self._relay.position, writes=self._relay.writes, trouble=self._relay.trouble),
            checks=checks,
            commands=metrics.totals(metrics.commands, "outcome"),
            facts=metrics.totals(metrics.facts, "outcome"),
        )

    async def _head(self) -> int | None:
        try:
            async with asyncio.timeout(health.CHECK_S):
                return await self._ledger.last()
        except (TimeoutError, Unavailable):
            return None

    async def _started(self) -> str | None:
        return None if self._directory is not None else "the services are starting"

    async def _caught_up(self) -> str | None:
        assert self._directory is not None
        await self._directory.catch_up(CATCH_UP_S)
        return None

    async def _appends(self) -> str | None:
        assert self._probe is not None
        # What went wrong a moment ago speaks first: a server that ran out of disk takes no append until it is started
        # again, even when there is room once more.
        return self._ledger.wrong or await self._probe.trouble()


@asynccontextmanager
async def answering(nc: Client, status: Callable[[], Awaitable[ServicesStatus]]) -> AsyncIterator[None]:
    """Answer while the block runs."""

    async def hear(message: Msg) -> None:
        asked = asyncio.create_task(answer(message))
        waiting.add(asked)
        asked.add_done_callback(waiting.discard)

    async def answer(message: Msg) -> None:
        try:
            found = await status()
        except Exception:
            log.exception("status failed")
            return
        with suppress(errors.Error):
            await message.respond(msgspec.json.encode({"position": found.head or 0, "result": found}))

    waiting: set[asyncio.Task[None]] = set()
    subscription = await nc.subscribe(subjects.query(QUESTION), cb=hear)
    try:
        yield
    finally:
        with suppress(errors.Error):
            await subscription.unsubscribe()
        for task in waiting:
            task.cancel()
