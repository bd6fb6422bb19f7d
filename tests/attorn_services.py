"""The services process for tests, on a nats-server of its own: doors to knock at, a process to kill and to start again.

Loaded from conftest.py with `pytest_plugins = ["broker", "attorn_services"]`.

    async def test_…(services: Services) -> None:
        receipt = await services.command("root", "work.define", {"work_id": "W-1", …})
        await services.kill()                           # SIGKILL
        await services.restart()                        # returns when it has said READY
        recorded = await services.ledger.read("work/W-1")
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import pytest_asyncio
from nats.aio.client import Client

from attorn.contracts import subjects
from attorn.contracts.refusal import Receipt, Reply
from attorn.services.connection import connect
from attorn.services.custody import ensure_custodian
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.provision import provision
from attorn.services.supervise.server import Broker
from attorn.services.supervise.supervisor import Child, Process, spawn, until_ready

ROOT: Final = Path(__file__).parents[1]
ROOTS: Final = os.pathsep.join(str(ROOT / root) for root in ("contracts", "projections", "services"))
CUSTODIAN: Final = "root"

Body: TypeAlias = Mapping[str, Any] | msgspec.Struct | bytes

_reply: Final[msgspec.json.Decoder[Reply]] = msgspec.json.Decoder(Reply)


class Services:
    """`nc` and `ledger` are the test's own connection; `process` is what runs, or ran last.

    An answer is waited for `answer_s` seconds.
    """

    answer_s = 10.0

    def __init__(self, broker: Broker, nc: Client, ledger: JetStreamLedger, *, name: str = "services") -> None:
        self.broker, self.nc, self.ledger = broker, nc, ledger
        self.url = broker.url
        self._child = Child(
            name=name,
            argv=(sys.executable, "-m", "attorn.services.main", "--nats-url", self.url),
            environment={"PYTHONPATH": ROOTS},
        )
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process is not None, "the services were never started"
        return self._process

    def log(self) -> str:
        """All that the process has written so far, over its restarts."""
        return self.process.log.read_text(encoding="utf-8", errors="replace")

    async def start(self) -> None:
        """Start it; returns when it has said READY."""
        self._process = await spawn(self._child, self.broker.data / "logs")
        await until_ready(self._child, self._process)

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self._process is not None:
            await self._process.kill()

    async def stop(self) -> None:
        """SIGTERM; returns when it is gone."""
        await self.process.stop(5.0)

    async def restart(self) -> None:
        """Stop it if it runs, and start it; returns when it has said READY."""
        await self.stop()
        await self.start()

    async def command(self, who: str, verb: str, body: Body, *, id: str | None = None) -> Reply:
        """The answer to a command; `id` is the command's own, for asking twice."""
        headers = {"Nats-Msg-Id": id} if id is not None else None
        answer = await self.nc.request(
            subjects.command(who, verb), _bytes(body), timeout=self.answer_s, headers=headers
        )
        return _reply.decode(answer.data)

    async def done(self, who: str, verb: str, body: Body, *, id: str | None = None) -> Receipt:
        """The receipt of a command that must not be refused."""
        answer = await self.command(who, verb, body, id=id)
        assert isinstance(answer, Receipt), f"{verb} by {who}: {answer}"
        return answer

    async def fact(self, source: str, event: Body) -> Reply:
        """The answer to one fact."""
        answer = await self.nc.request(subjects.fact(source), _bytes(event), timeout=self.answer_s)
        return _reply.decode(answer.data)

    async def facts(self, source: str, events: Sequence[Body]) -> list[Reply]:
        """The answers to a batch of facts, in order."""
        batch = b"[" + b",".join(_bytes(event) for event in events) + b"]"
        answer = await self.nc.request(subjects.fact(source), batch, timeout=self.answer_s)
        return msgspec.json.decode(answer.data, type=list[Reply])

    async def people(self, *ids: str) -> None:
        """Register persons."""
        for id in ids:
            body = {"participant_id": id, "kind": "human", "display_name": id.title()}
            await self.done(CUSTODIAN, "participant.register", body)


@asynccontextmanager
async def serving(
    broker: Broker, *, prepare: Callable[[Client], Awaitable[None]] | None = None
) -> AsyncIterator[Services]:
    """The services on `broker`: streams provisioned, the person "root" custodian, ready; gone when the block ends.

    `prepare` is awaited on a connection when the streams are there and nothing is on them.
    """
    ledger: JetStreamLedger
    nc = await connect(broker.url, "test", lambda error: ledger.on_error(error))
    ledger = JetStreamLedger(nc)
    try:
        await provision(nc)
        if prepare is not None:
            await prepare(nc)
        await ensure_custodian(ledger, CUSTODIAN, "Root", datetime.now(UTC))
        services = Services(broker, nc, ledger)
        try:
            await services.start()
            yield services
        finally:
            await services.kill()
    finally:
        await nc.close()


@pytest_asyncio.fixture(loop_scope="session")
async def services(fresh_nats: Broker) -> AsyncIterator[Services]:
    """The services on a nats-server of their own; both are yours to kill and to restart."""
    async with serving(fresh_nats) as running:
        yield running


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 10.0) -> None:
    """Wait until the condition, awaited, holds; TimeoutError when it does not within that time."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - another process is asked, it sets no Event
            await asyncio.sleep(0.02)


def _bytes(body: Body) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)
