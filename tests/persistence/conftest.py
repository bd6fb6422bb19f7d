"""One nats-server for the library's own test cases, which are synchronous, and a name that no other test has."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import nats
import pytest

from attorn.services.provision import provision
from attorn.services.supervise.server import Broker, embedded

T = TypeVar("T")


class Server:
    """A nats-server for code without an event loop: what its Broker can do is done on a loop of its own."""

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self.broker, self.url = broker, broker.url
        self._loop = loop
        self._names = count(1)

    def name(self) -> str:
        return f"T{next(self._names)}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = AsyncExitStack()
    path: Path = tmp_path_factory.mktemp("persistence")

    async def start() -> Broker:
        broker = await stack.enter_async_context(embedded(path, ephemeral=True))
        nc = await nats.connect(broker.url)
        await provision(nc)
        await nc.close()
        return broker

    broker = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    yield Server(broker, loop)
    asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture
def on_server(request: pytest.FixtureRequest, server: Server) -> None:
    """For the library's unittest classes, which take no arguments."""
    request.cls.server = server
