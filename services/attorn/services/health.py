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
import re
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import TimeoutError as LoopBusy
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from attorn.contracts.refusal import Unavailable, Unreadable
from attorn.services import metrics
from attorn.services.ledger.wire import Wire

log = logging.getLogger("attorn.health")

Check: TypeAlias = Callable[[], Awaitable[str | None]]
"""None when it passes, else a sentence that says what is wrong. May raise Unavailable."""

Sample: TypeAlias = Callable[[], Awaitable[None]]
"""Sets what is not counted as it happens, such as positions, when somebody looks. May raise Unavailable."""

LOOP_S: Final = 2.0
CHECK_S: Final = 1.5
"""A check that takes longer has failed: whoever asks wants to know now."""

_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}")

T = TypeVar("T")


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """`127.0.0.1:9464`, or `9464` on this machine only; 0 is any free port. Raises Unreadable."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535 and _HOST.fullmatch(host or "127.0.0.1")):
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


def round_trip(wire: Wire) -> Check:
    """Passes when the broker passes on a message to ourselves: a frozen one does not, though it is connected."""

    async def check() -> str | None:
        return None if await wire.is_healthy() else "the broker passes no message on"

    return check


@contextmanager
def serving(where: Address | None, checks: Mapping[str, Check], sample: Sample) -> Iterator[int | None]:
    """Answer on `where` while the block runs; yields the port, None where nobody asked for it.

    `checks` may be filled while it serves. Raises Unavailable when the port is taken. To be entered on the event loop
    that the checks run on.
    """
    if where is None:
        yield None
        return

    class Handler(_Handler):
        process = _Process(asyncio.get_running_loop(), checks, sample)

    try:
        server = _Server(where, Handler)
    except OSError as error:
        raise Unavailable(f"--metrics {where}: {error.strerror or error}") from error
    port: int = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="health", daemon=True)
    thread.start()
    log.info("metrics served", extra={"host": where.host, "port": port})
    try:
        yield port
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingTCPServer):
    # Not HTTPServer: that looks its own name up before it listens, which may take as long as DNS does.
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("request for metrics broke off", exc_info=True)


class _Process(NamedTuple):
    loop: asyncio.AbstractEventLoop
    checks: Mapping[str, Check]
    sample: Sample


class _Handler(BaseHTTPRequestHandler):
    process: _Process
    protocol_version = "HTTP/1.1"
    server_version = "attorn"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._on_loop(_sampled(self.process.checks, self.process.sample))
                self._say(200, generate_latest(metrics.REGISTRY), CONTENT_TYPE_LATEST)
            case "/livez":
                turns = self._on_loop(_turn())
                self._tell(200 if turns else 503, {"alive": bool(turns)})
            case "/readyz":
                found = self._on_loop(readiness(self.process.checks))
                if found is None:
                    found = {"loop": f"it has not turned for {LOOP_S:g} s"}
                is_ready = not any(found.values())
                self._tell(200 if is_ready else 503, {"ready": is_ready, "checks": found})
            case _:
                self._tell(404, {"detail": "there are /livez, /readyz and /metrics"})

    def _on_loop(self, asked: Coroutine[Any, Any, T]) -> T | None:
        """What it answers; None when the loop does not get to it in time."""
        try:
            future = asyncio.run_coroutine_threadsafe(asked, self.process.loop)
        except RuntimeError:
            asked.close()  # the loop has ended: the process is about to
            return None
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


async def _sampled(checks: Mapping[str, Check], sample: Sample) -> None:
    async def sampled() -> None:
        # What cannot be had now keeps its last value; `attorn_ready` says why.
        with suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(CHECK_S):
                await sample()

    found, _ = await asyncio.gather(readiness(checks), sampled())
    for name, wrong in found.items():
        metrics.ready.labels(name).set(wrong is None)
