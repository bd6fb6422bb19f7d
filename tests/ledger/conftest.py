"""One nats-server for each file of tests of the ledger, and an empty log on it for each test."""

from collections.abc import AsyncIterator

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from attorn.contracts.ledger import Ledger
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.memory import MemoryLedger
from attorn.services.provision import provision, streams
from attorn.services.supervise.server import Broker, embedded
from sample_log import ask, connected


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def log_server() -> AsyncIterator[Broker]:
    async with embedded() as broker:
        yield broker


@pytest_asyncio.fixture(loop_scope="session")
async def empty_nats(log_server: Broker) -> AsyncIterator[Client]:
    """A connection to a server that has none of our streams."""
    nc = await nats.connect(log_server.url)
    for name in streams():
        await ask(nc, f"STREAM.DELETE.{name}")
    yield nc
    await nc.close()


@pytest_asyncio.fixture(loop_scope="session")
async def jetstream(log_server: Broker, empty_nats: Client) -> AsyncIterator[JetStreamLedger]:
    await provision(empty_nats)
    async with connected(log_server.url) as (_, ledger):
        yield ledger


@pytest.fixture
def memory() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture(params=["memory", "jetstream"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Every ledger there is, empty, one after the other."""
    found: Ledger = request.getfixturevalue(request.param)
    return found
