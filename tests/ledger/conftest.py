"""One nats-server for each file of tests of the ledger, and an empty log on it for each test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from attorn.contracts.ledger import Ledger
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.memory import MemoryLedger
from attorn.services.ledger.recorder import RecorderLedger, in_memory, on_postgres, on_sqlite
from attorn.services.provision import provision, streams
from attorn.services.supervise.server import Broker, embedded
from sample_log import ask, connected

tables = count(1)


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


@pytest.fixture
def popo() -> RecorderLedger:
    return in_memory()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[RecorderLedger]:
    with closing(on_sqlite(tmp_path / "log.sqlite")) as ledger:
        yield ledger


@pytest.fixture
def postgresql(postgres: str) -> Iterator[RecorderLedger]:
    with closing(on_postgres(postgres, table=f"log_{next(tables)}")) as ledger:
        yield ledger


@pytest.fixture(params=["memory", "jetstream", "popo", "sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Every ledger there is, empty, one after the other."""
    found: Ledger = request.getfixturevalue(request.param)
    return found
