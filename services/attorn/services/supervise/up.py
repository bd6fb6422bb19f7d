"""`attorn up`: one attorn on this machine, from nothing to ready, until it is told to stop.

The data directory is locked, nats-server is started, streams are provisioned, then the services and the projector are
started together. SIGINT, SIGTERM and SIGHUP end it: the projector first, nats-server last, all within three seconds.
What was acknowledged is on the disk before it is acknowledged, so nothing is lost however it ends.

Says at most ten lines to become ready; later one line when a process dies and one when it is back.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from attorn.services.supervise.instance import Instance, announce, lock, withdraw
from attorn.services.supervise.server import Server, configure, free_port, require_port
from attorn.services.supervise.supervisor import Child, Supervisor

SERVICES = (sys.executable, "-m", "attorn.services.main", "--nats-url", "{nats_url}", "--data", "{data}")
PROJECTOR = (sys.executable, "-m", "attorn.services.projector.main", "--nats-url", "{nats_url}", "--data", "{data}")


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """What an operator may choose.

    `provision` gets the URL of NATS and makes the streams. In `services` and `projector` (command lines; empty for
    none), `{nats_url}` and `{data}` are replaced; both processes also get them as ATTORN_NATS_URL and ATTORN_DATA, and
    print READY when they are. `metrics`, a host and a port, is where the services say how they are, the projector at
    the next port, both at free ones when it is 0. `log_format` is text or json. `port` 0 is any free one.
    `monitor_port` turns the HTTP monitoring of nats-server on.
    `sync_interval` other than `always` loses acknowledged events in a power cut.
    """

    provision: Callable[[str], Awaitable[None]]
    data: Path = Path(".attorn")
    ephemeral: bool = False
    port: int = 4222
    monitor_port: int | None = None
    sync_interval: str = "always"
    metrics: tuple[str, int] | None = None
    log_format: str | None = None
    services: Sequence[str] = SERVICES
    projector: Sequence[str] = PROJECTOR


async def up(options: UpOptions, say: Callable[[str], None], *, stop: asyncio.Event | None = None) -> int:
    """Run until a signal (or `stop`) comes; return 0.

    Raises CannotStart (DataInUse, PortTaken, ChildFailed) or what `provision` raises, with everything ended again.
    """
    stop = stop or asyncio.Event()
    with _signals(stop), _directory(options) as data, lock(data) as held:
        began = time.monotonic()
        # After a SIGKILL an old note is still here, and with the lock held again it would be believed.
        withdraw(data)
        port = options.port or free_port()
        await require_port(port)
        server = configure(data, port=port, monitor_port=options.monitor_port, sync_interval=options.sync_interval)
        started = datetime.now(UTC)
        is_ready = False

        def note() -> None:
            # Only then: whoever finds the note may expect an answer.
            if is_ready:
                pids = {"attorn": os.getpid(), **supervisor.pids}
                announce(data, Instance(nats_url=server.url, pids=pids, started=started))

        supervisor = Supervisor(data / "logs", say=say, changed=note)
        try:
            say(f"data in {data}{', forgotten at the end' if options.ephemeral else ''}")
            starting = asyncio.ensure_future(_start(options, supervisor, server, held, data, say))
            stopping = asyncio.ensure_future(stop.wait())
            try:
                await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    starting.result()
                    is_ready = True
                    note()
                    say(f"ready in {time.monotonic() - began:.1f} s; Ctrl-C stops it")
                    await stopping
            finally:
                starting.cancel()
                stopping.cancel()
                await asyncio.gather(starting, stopping, return_exceptions=True)
        finally:
            began = time.monotonic()
            withdraw(data)
            killed = await supervisor.stop()
    say(f"stopped in {time.monotonic() - began:.1f} s{''.join(f'; {name} had to be killed' for name in killed)}")
    return 0


async def _start(
    options: UpOptions, supervisor: Supervisor, server: Server, held: int, data: Path, say: Callable[[str], None]
) -> None:
    await supervisor.start(server.child(descriptors=(held,)))
    say(f"NATS at {server.url}")
    await options.provision(server.url)
    parts = {"services": options.services, "projector": options.projector}
    seen = observed([name for name, argv in parts.items() if argv], options.metrics, options.log_format)
    for line in told(options.metrics, list(seen)):
        say(line)
    await supervisor.start(*(child(name, parts[name], more, server.url, data) for name, more in seen.items()))


def child(name: str, argv: Sequence[str], more: Sequence[str], nats_url: str, data: Path) -> Child:
    """One of attorn's own processes, as `services` and `projector` of the options have its command line."""
    return Child(
        name=name,
        argv=[*(word.replace("{nats_url}", nats_url).replace("{data}", str(data)) for word in argv), *more],
        environment={"ATTORN_NATS_URL": nats_url, "ATTORN_DATA": str(data), "PYTHONUNBUFFERED": "1"},
    )


def observed(names: Sequence[str], metrics: tuple[str, int] | None, log_format: str | None) -> dict[str, list[str]]:
    """What each process is told besides: where it says how it is, at a port of its own, and how it writes its log."""
    found: dict[str, list[str]] = {}
    for number, name in enumerate(names):
        found[name] = ["--log-format", log_format] if log_format is not None else []
        if metrics is not None:
            host, port = metrics
            found[name] += ["--metrics", f"{host}:{port + number if port else 0}"]
    return found


def told(metrics: tuple[str, int] | None, names: Sequence[str]) -> list[str]:
    """Where an operator finds what `observed` has made."""
    if metrics is None:
        return []
    host, port = metrics
    if not port:
        return ["metrics at free ports; the log of each process says which"]
    return ["metrics at " + ", ".join(f"http://{host}:{port + n}/metrics ({name})" for n, name in enumerate(names))]


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # Only the main thread hears signals; in another, `stop` is what ends it.
    taken = numbers if threading.current_thread() is threading.main_thread() else ()
    for number in taken:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


@contextmanager
def _directory(options: UpOptions) -> Iterator[Path]:
    if not options.ephemeral:
        yield options.data.absolute()
        return
    data = Path(tempfile.mkdtemp(prefix="attorn-"))
    try:
        yield data
    finally:
        shutil.rmtree(data, ignore_errors=True)
