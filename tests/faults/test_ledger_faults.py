"""The ledger's whole conformance suite once more, while its server is killed, frozen and restarted under it.

An append that the fault hit is asked for again, as the port says that it may be, until it is answered; everything else
is as on a quiet day: each claim holds, nothing is lost, and nothing is there twice.
"""

import asyncio
import gc
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.ledger import Append, Ledger, Page
from attorn.contracts.refusal import Unavailable
from attorn.services import connection
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.watchdog import SILENCE_S_MAX
from attorn.services.provision import provision, streams
from attorn.services.supervise.server import Broker, embedded
from ledger import test_ledger
from sample_log import ask, connected, entry, everything

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

CLAIMS: Final = {name: claim for name, claim in vars(test_ledger).items() if name.startswith("test_")}
FAULT_EVERY: Final = 4
"""One in so many calls of the ledger has a fault."""

T = TypeVar("T")

# nats-py drops what it had begun with a server that never greets, without closing it.
LEFT_OPEN: Final = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


async def killed(broker: Broker) -> None:
    await broker.kill()
    await broker.restart()


async def frozen(broker: Broker) -> None:
    broker.freeze()
    await asyncio.sleep(0.6)
    broker.thaw()


async def restarted(broker: Broker) -> None:
    await broker.restart()


FAULTS: Final[dict[str, Callable[[Broker], Awaitable[None]]]] = {
    "killed": killed,
    "frozen": frozen,
    "restarted": restarted,
}


class Struck:
    """A ledger whose server is struck while it is asked, and whose callers do not give up."""

    def __init__(self, ledger: JetStreamLedger, broker: Broker, fault: Callable[[Broker], Awaitable[None]]) -> None:
        self.strikes = 0
        self._ledger, self._broker, self._fault = ledger, broker, fault
        self._calls = 0
        self._striking: asyncio.Task[None] | None = None

    async def append(self, stream: str, expected: int, entries: Sequence[Entry]) -> int:
        return await self._insistently(lambda: self._ledger.append(stream, expected, entries))

    async def append_all(self, appends: Sequence[Append]) -> list[int]:
        return await self._insistently(lambda: self._ledger.append_all(appends))

    async def read(self, stream: str) -> Sequence[Recorded]:
        return await self._insistently(lambda: self._ledger.read(stream))

    async def last(self, kind: str = "") -> int:
        return await self._insistently(lambda: self._ledger.last(kind))

    def follow(self, after: int = 0, kinds: Sequence[str] = ()) -> AsyncGenerator[Page, None]:
        return self._ledger.follow(after, kinds)

    async def settled(self) -> None:
        if self._striking is not None:
            await self._striking

    async def _insistently(self, call: Callable[[], Awaitable[T]]) -> T:
        self._calls += 1
        if self._calls % FAULT_EVERY == 1 and (self._striking is None or self._striking.done()):
            self.strikes += 1
            self._striking = asyncio.create_task(self._strike())
        async with asyncio.timeout(30):
            while True:
                try:
                    return await call()
                except Unavailable:
                    await asyncio.sleep(0.02)

    async def _strike(self) -> None:
        await self._fault(self._broker)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    async with embedded(tmp_path_factory.mktemp("struck"), ephemeral=True) as broker:
        yield broker


async def empty(url: str) -> None:
    nc = await nats.connect(url)
    for name in streams():
        await ask(nc, f"STREAM.DELETE.{name}")
    async with asyncio.timeout(10):
        while True:
            try:
                await provision(nc)
                break
            except Unavailable:
                await asyncio.sleep(0.05)
    await nc.close()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("claim", CLAIMS)
async def test_every_claim_holds_while_the_server_is(claim: str, fault: str, server: Broker) -> None:
    await empty(server.url)
    async with connected(server.url, timeout=0.5) as (_, ledger):
        struck = Struck(ledger, server, FAULTS[fault])
        try:
            held: Ledger = struck
            await CLAIMS[claim](held)
        finally:
            await struck.settled()


@pytest.mark.parametrize("fault", FAULTS)
async def test_whoever_appends_together_is_recorded_once_while_the_server_is(fault: str, fresh_nats: Broker) -> None:
    async with connected(fresh_nats.url, timeout=0.5) as (nc, ledger):
        await provision(nc)
        recorded: Counter[bytes] = Counter()
        is_over = False

        async def write(writer: int) -> None:
            version = 0
            while not is_over:
                one = entry(f"work/W-{writer}", version + 1)
                try:
                    await ledger.append(f"work/W-{writer}", version, [one])
                except Unavailable:
                    await asyncio.sleep(0.01)
                    continue
                recorded[one.body] += 1
                version += 1

        writers = [asyncio.create_task(write(writer)) for writer in range(100)]
        for _ in range(4):
            await asyncio.sleep(0.4)
            await FAULTS[fault](fresh_nats)
        await asyncio.sleep(0.4)
        is_over = True
        await asyncio.gather(*writers)

        stored = Counter(each.body for each in await everything(ledger))
        assert len(recorded) > 1_000
        assert stored == recorded


@LEFT_OPEN
async def test_a_server_that_is_frozen_for_long_is_left_and_nothing_waits_for_it_for_ever(
    fresh_nats: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    nc = await connection.connect(fresh_nats.url, "test", lambda error: ledger.on_error(error))
    ledger = JetStreamLedger(nc)
    try:
        await provision(nc)
        await ledger.append("work/W-1", 0, [entry("work/W-1", 1)])
        fresh_nats.freeze()
        started = time.monotonic()
        with caplog.at_level(logging.WARNING), pytest.raises(Unavailable) as unavailable:
            await ledger.append("work/W-1", 1, [entry("work/W-1", 2)])
        waited = time.monotonic() - started
        assert unavailable.value.recorded == "unknown"
        assert "no answer from the log, connecting anew" in caplog.text
        assert waited < 10.5

        # Who asks while there is no connection is told at once.
        assert not nc.is_connected
        started = time.monotonic()
        with pytest.raises(Unavailable, match="not connected"):
            await ledger.append("work/W-2", 0, [entry("work/W-2", 1)])
        assert time.monotonic() - started < 0.1

        fresh_nats.thaw()
        async with asyncio.timeout(10):
            while not nc.is_connected:  # noqa: ASYNC110 - the client sets no Event
                await asyncio.sleep(0.02)
        assert await ledger.append("work/W-1", 1, [entry("work/W-1", 2)]) == 2
        assert await ledger.last() == 2
    finally:
        fresh_nats.thaw()
        await nc.close()
        gc.collect()


@LEFT_OPEN
async def test_of_two_servers_the_one_that_does_not_answer_is_left_for_the_other(tmp_path: Path) -> None:
    async with embedded(tmp_path / "one", ephemeral=True) as one, embedded(tmp_path / "two", ephemeral=True) as two:
        for broker in (one, two):
            await empty(broker.url)
        nc: Client = await nats.connect(
            servers=[one.url, two.url], dont_randomize=True, max_reconnect_attempts=-1, reconnect_time_wait=0.05
        )
        ledger = JetStreamLedger(nc)
        try:
            await ledger.append("work/W-1", 0, [entry("work/W-1", 1)])
            here, there = (one, two) if str(nc.connected_url and nc.connected_url.port) == str(one.port) else (two, one)
            here.freeze()
            started = time.monotonic()
            # The other has another log here, so that it is seen which one answered; in a cluster it is the same.
            await ledger.append("work/W-2", 0, [entry("work/W-2", 1)])
            assert SILENCE_S_MAX - 0.5 < time.monotonic() - started < SILENCE_S_MAX + 5
            assert nc.connected_url is not None and nc.connected_url.port == there.port
        finally:
            here.thaw()
            await nc.close()
            gc.collect()


def test_there_is_a_claim() -> None:
    names: list[Any] = list(CLAIMS)
    assert len(names) > 25
