"""Whether a process lives, whether it is ready, and what it measures: over HTTP, from a thread of its own.

    GET /livez    200 while the event loop turns; 503 when it has not for LOOP_S
    GET /readyz   200 when every check passes; 503 with a sentence for each that does not
    GET /metrics  for Prometheus

The thread answers when the loop cannot, which is when it matters. A check asks what the process needs in order to do
its work, each time anew: a broker that is frozen or gone fails it, however well the connection looks.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import TimeoutError as LoopBusy
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple, TypeAlias

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from attorn.contracts.refusal import Unavailable, Unreadable
from attorn.services import metrics

log = logging.getLogger("attorn.health")

Check: TypeAlias = Callable[[], Awaitable[str | None]]
"""None when it passes, else a sentence that says what is wrong."""

LOOP_S: Final = 2.0
CHECK_S: Final = 1.5
"""A check that takes longer has failed: whoever asks wants to know now."""


class Address(NamedTuple):
    host: str
    port: int


def address(text: str) -> Address:
    """`127.0.0.1:9464`, or `9464` on this machine only. Raises Unreadable."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise Unreadable(f"{text!r} is not HOST:PORT or PORT, as in 127.0.0.1:9464", "--metrics")
    return Address(host or "127.0.0.1", int(port))


async def readiness(checks: Mapping[str, Check]) -> dict[str, str | None]:
    """What each check says, all of them asked at once, within CHECK_S."""

    async def passes(check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_S):
                return await check()
        except TimeoutError:
            return f"no answer within {CHECK_S:g} s"
        except Unavailable as unavailable:
            return unavailable.reason

    return dict(zip(checks, await asyncio.gather(*map(passes, checks.values())), strict=True))


@contextmanager
def serving(where: Address | None, checks: Mapping[str, Check]) -> Iterator[int | None]:
    """Answer on `where` while the block runs; yields the port, None where nobody asked for it.

    Raises Unavailable when the port is taken. To be entered on the event loop that the checks run on.
    """
    if where is None:
        yield None
        return
    loop = asyncio.get_running_loop()

    class Handler(_Handler):
        pass

    Handler.loop, Handler.checks = loop, checks
    try:
        server = ThreadingHTTPServer(where, Handler)
    except OSError as error:
        raise Unavailable(f"--metrics {where.host}:{where.port}: {error.strerror or error}") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="health", daemon=True)
    thread.start()
    log.info("metrics served", extra={"host": where.host, "port": server.server_port})
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    loop: asyncio.AbstractEventLoop
    checks: Mapping[str, Check]
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._say(200, generate_latest(metrics.REGISTRY), CONTENT_TYPE_LATEST)
            case "/livez":
                turns = self._on_loop(_turn())
                self._tell(200 if turns else 503, {"alive": bool(turns)})
            case "/readyz":
                found = self._on_loop(readiness(self.checks)) or {"loop": f"it has not turned for {LOOP_S:g} s"}
                wrong = {name: why for name, why in found.items() if why is not None}
                self._tell(503 if wrong else 200, {"ready": not wrong, "checks": found})
            case _:
                self._tell(404, {"detail": "there are /livez, /readyz and /metrics"})

    def _on_loop(self, asked: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(asked, self.loop)
        try:
            return future.result(LOOP_S)
        except LoopBusy:
            future.cancel()
            return None

    def _tell(self, status: int, said: Mapping[str, Any]) -> None:
        self._say(status, json.dumps(said).encode() + b"\n", "application/json")

    def _say(self, status: int, body: bytes, type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Who scrapes every few seconds is no news."""


async def _turn() -> bool:
    return True
