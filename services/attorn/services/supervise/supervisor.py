"""Keep named processes running: start again what dies, stop them in reverse order, leave none behind.

    supervisor = Supervisor(data / "logs", say=print)
    await supervisor.start(Child(name="nats-server", argv=…, ready=server.ready))
    await supervisor.start(Child(name="services", argv=…), Child(name="projector", argv=…))     # these two print READY
    …
    await supervisor.stop()

Each child leads a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which then stops the
children in order. Each is tethered (tether.py): it dies with the supervisor even when that is killed with SIGKILL.

Options, in seconds: a child that dies is started again after 0.05, then 0.1, 0.2, … 2; from 0.05 again once it has
lived for 10. All children together have `STOP_S_MAX` to end after SIGTERM, shared evenly between those that still run;
then they are killed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from attorn.services.supervise.instance import CannotStart

READY = b"READY"
RESTART_S_MIN = 0.05
RESTART_S_MAX = 2.0
SETTLED_S = 10.0
STOP_S_MAX = 2.5
LOG_BYTES_MAX = 4 * 1024 * 1024

_tether = Path(__file__).with_name("tether.py")


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process to keep running.

    `ready` returns when the child is ready to be used; without one, the child prints a line `READY` on its standard
    output. `environment` is added to the supervisor's own; `descriptors` stay open in the child.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], Awaitable[None]] | None = None
    ready_s_max: float = 20.0
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: Sequence[int] = ()


class ChildFailed(CannotStart):
    """A child ended, or said nothing, before it was ready; `lines` are the last that it wrote."""

    def __init__(self, name: str, what: str, lines: Sequence[str], log: Path) -> None:
        said = "".join(f"\n    {line}" for line in lines) or " (it wrote nothing)"
        super().__init__(f"{name} {what}{':' if lines else ''}{said}", hint=f"its log is {log}")
        self.name = name
        self.lines = tuple(lines)


class Process:
    """A child that was started, and its log `<logs>/<name>.log`; `spawn` makes one."""

    def __init__(self, process: asyncio.subprocess.Process, output: int, log: Path, log_from: int) -> None:
        self.pid = process.pid
        self.log = log
        self.started = asyncio.get_running_loop().time()
        self.said_ready = asyncio.Event()
        self._process = process
        self._output: int | None = output
        self._log_from = log_from
        self._log_file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._unfinished = b""
        asyncio.get_running_loop().add_reader(output, self._read)

    @property
    def status(self) -> int | None:
        """None while it runs; its exit code; minus the number of the signal that ended it."""
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        # Not Popen.send_signal: that polls, and can take the exit status away from the event loop's own waiting.
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        """Return its status once it has ended and all that it printed is in its log."""
        status = await self._process.wait()
        self._read()
        self._close()
        return status

    async def kill(self) -> None:
        """End it, and whatever it started in its own process group, now."""
        if self.status is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        await self.wait()

    async def stop(self, within_s: float) -> bool:
        """Ask it to end, and kill it after `within_s`; whether it ended by itself."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # a frozen process would not hear of it
        try:
            async with asyncio.timeout(within_s):
                await self.wait()
            return True
        except TimeoutError:
            await self.kill()
            return False

    def last_lines(self, count: int = 12) -> list[str]:
        """The last lines of what it wrote since it was started."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_from, size - 16_384))
            return [line.rstrip() for line in log.read().decode(errors="replace").splitlines() if line.strip()][-count:]

    def _read(self) -> None:
        while self._output is not None:
            try:
                chunk = os.read(self._output, 65_536)
            except BlockingIOError:
                return
            if not chunk:
                self._close()
                return
            with suppress(OSError):  # a full disk must not hide that the child is ready
                os.write(self._log_file, chunk)
            if not self.said_ready.is_set():
                *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
                if any(line.strip() == READY for line in lines):
                    self.said_ready.set()
                    self._unfinished = b""

    def _close(self) -> None:
        if self._output is not None:
            asyncio.get_running_loop().remove_reader(self._output)
            os.close(self._output)
            os.close(self._log_file)
            self._output = None


async def spawn(child: Child, logs: Path) -> Process:
    """Start a child, tethered to this process; all that it writes goes into its log, standard output by way of us."""
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = logs / f"{child.name}.log"
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
    errors = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    ours, theirs = os.pipe()
    try:
        os.set_blocking(ours, False)
        log_from = os.fstat(errors).st_size
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_tether), str(os.getpid()), *child.argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=errors,
            env={**os.environ, **child.environment},
            pass_fds=tuple(child.descriptors),
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
        os.close(errors)
    return Process(process, ours, log, log_from)


async def until_ready(child: Child, process: Process) -> None:
    """Return when the child is ready; raises ChildFailed when it ended before, or was not after `child.ready_s_max`."""
    ready = asyncio.ensure_future(_ready(child, process))
    ended = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait((ready, ended), timeout=child.ready_s_max, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            what = f"ended with {how(ended.result())} before it was ready"
        elif ready.done():
            return ready.result()
        else:
            what = f"was not ready after {child.ready_s_max:g} s"
        raise ChildFailed(child.name, what, process.last_lines(), process.log)
    finally:
        ready.cancel()
        ended.cancel()
        await asyncio.gather(ready, ended, return_exceptions=True)


async def _ready(child: Child, process: Process) -> None:
    await (process.said_ready.wait() if child.ready is None else child.ready())


def how(status: int) -> str:
    """`exit code 1`, or the name of the signal."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


class Supervisor:
    """Runs children. `say` hears when one dies and when it is back; `changed` is called when a pid is another."""

    def __init__(
        self, logs: Path, *, say: Callable[[str], None] = lambda _: None, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._logs = logs
        self._say = say
        self._changed = changed
        self._processes: dict[str, Process | None] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def pids(self) -> dict[str, int]:
        """Of the children that run now, in the order in which they were started."""
        return {name: one.pid for name, one in self._processes.items() if one is not None and one.status is None}

    async def start(self, *children: Child) -> None:
        """Start these at once, return when all are ready; from then on each is started again when it dies.

        Raises ChildFailed at the first that fails to become ready; the others are left to `stop`.
        """
        for child in children:
            self._processes[child.name] = None
        if not children:
            return
        starts = [asyncio.ensure_future(self._start(child)) for child in children]
        try:
            await asyncio.wait(starts, return_when=asyncio.FIRST_EXCEPTION)
            for start in starts:
                if start.done():
                    start.result()
        finally:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
        self._keepers += [asyncio.ensure_future(self._keep(child)) for child in children]
        self._changed()

    async def stop(self, within_s: float = STOP_S_MAX) -> list[str]:
        """End all, the last started first; return the names of those that had to be killed. May be called again."""
        self._stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers.clear()
        clock = asyncio.get_running_loop().time
        until = clock() + within_s
        killed: list[str] = []
        running = [(name, one) for name, one in self._processes.items() if one is not None]
        while running:
            name, process = running[-1]
            if not await process.stop(max(0.1, (until - clock()) / len(running))):
                killed.append(name)
            running.pop()
        return killed

    async def _start(self, child: Child) -> None:
        process = self._processes[child.name] = await spawn(child, self._logs)
        try:
            await until_ready(child, process)
        except ChildFailed:
            await process.kill()
            raise

    async def _keep(self, child: Child) -> None:
        clock = asyncio.get_running_loop().time
        delay = RESTART_S_MIN
        while (process := self._processes[child.name]) is not None:
            status = await process.wait()
            if self._stopping:
                return
            with suppress(OSError):  # a closed terminal or a full disk must not end the keeping
                self._say(f"{child.name} ended with {how(status)}; it is started again")
            if clock() - process.started >= SETTLED_S:
                delay = RESTART_S_MIN
            died = clock()
            while True:
                await asyncio.sleep(delay)
                delay = min(2 * delay, RESTART_S_MAX)
                try:
                    await self._start(child)
                    break
                except (ChildFailed, OSError):
                    # Whatever keeps it from starting may pass, as a full disk or a taken port does; its log says what
                    # it is.
                    continue
            with suppress(OSError):
                self._changed()
            with suppress(OSError):
                self._say(f"{child.name} is ready again after {clock() - died:.1f} s")
