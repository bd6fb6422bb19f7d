"""Real nats-servers for tests: file storage, acknowledged means on the disk, a port of their own, gone afterwards.

Loaded from conftest.py with `pytest_plugins = ["broker"]`.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from attorn.services.supervise.server import Broker, embedded


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    """One for the whole session, shared: make streams of your own in it, and leave it running."""
    async with embedded(tmp_path_factory.mktemp("nats"), ephemeral=True) as broker:
        yield broker


@pytest_asyncio.fixture(loop_scope="session")
async def fresh_nats(tmp_path: Path) -> AsyncIterator[Broker]:
    """One of your own: empty, yours to kill, freeze and restart."""
    async with embedded(tmp_path / "nats", ephemeral=True) as broker:
        yield broker
