"""attorn's processes are kept running, stopped in order, and never outlive their supervisor: with real processes."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig

from attorn.services.supervise.instance import DataInUse, Instance, lock, running
from attorn.services.supervise.server import Broker, PortTaken, embedded, free_port, holder, require_port
from attorn.services.supervise.supervisor import LOG_BYTES_MAX, Child, ChildFailed, Supervisor, spawn
from attorn.services.supervise.up import UpOptions, up

pytest_plugins = ["broker"]

GOOD = (sys.executable, "-c", "import signal; print('READY', flush=True); signal.pause()")
DEAF = (
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('READY', flush=True)\n"
    "while True: signal.pause()",
)
BAD = (
    sys.executable,
    "-c",
    "import sys; print('mapping.toml, line 7: no such activity', file=sys.stderr); sys.exit(3)",
)

# What `attorn up` is, with children that only wait. Arguments: data directory (or -), port, command line of a child.
UP = """
import asyncio, json, sys
from pathlib import Path
from attorn.services.supervise.up import UpOptions, up

async def provision(url):
    pass

data, port, child = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
place = {"ephemeral": True} if data == "-" else {"data": Path(data)}
options = UpOptions(provision=provision, port=port, services=child, projector=child, **place)
sys.exit(asyncio.run(up(options, lambda line: print(line, flush=True))))
"""


async def nothing(url: str) -> None:
    pass


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def soon(claim: Callable[[], bool], *, within_s: float = 3.0) -> bool:
    until = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


async def soon_here(claim: Callable[[], bool], *, within_s: float = 5.0) -> bool:
    """The same, while the event loop of this test goes on."""
    until = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.01)
    return True


@contextmanager
def started_up(
    data: Path | str, *, port: int = 0, child: tuple[str, ...] = GOOD
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`up` in a process of its own, ready, and the lines that it said so far."""
    process = subprocess.Popen(
        [sys.executable, "-c", UP, str(data), str(port), json.dumps(child)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("ready"):
                break
        yield process, lines
    finally:
        process.kill()
        process.communicate(timeout=10)


@asynccontextmanager
async def supervised(logs: Path, *children: Child) -> AsyncIterator[tuple[Supervisor, list[str]]]:
    said: list[str] = []
    supervisor = Supervisor(logs, say=said.append)
    try:
        await supervisor.start(*children)
        yield supervisor, said
    finally:
        await supervisor.stop()


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, Child(name="services", argv=GOOD)) as (supervisor, said):
        first = supervisor.pids["services"]
        os.kill(first, signal.SIGKILL)
        assert await soon_here(lambda: supervisor.pids.get("services", first) != first and len(said) == 2)
        assert said[0] == "services ended with SIGKILL; it is started again"
        assert said[1].startswith("services is ready again after ")


async def test_a_child_that_goes_on_dying_is_started_less_and_less_often(tmp_path: Path) -> None:
    births = tmp_path / "births"
    dies_after_the_first_life = (
        "import os, signal, sys, time\n"
        f"with open({str(births)!r}, 'a+') as log:\n"
        "    log.write(f'{time.monotonic()}\\n'); log.flush(); log.seek(0); lives = len(log.readlines())\n"
        "if 1 < lives < 5: sys.exit('not yet')\n"
        "print('READY', flush=True)\n"
        "signal.pause()"
    )
    child = Child(name="services", argv=(sys.executable, "-c", dies_after_the_first_life))
    async with supervised(tmp_path, child) as (supervisor, said):
        os.kill(supervisor.pids["services"], signal.SIGKILL)
        assert await soon_here(lambda: len(said) == 2, within_s=10)
        at = [float(line) for line in births.read_text().split()]
        assert len(at) == 5
        assert [later - earlier for earlier, later in pairwise(at[1:])] >= [0.1, 0.2, 0.4]
        assert len(said) == 2, "one sentence when it goes and one when it is back, however often it tried"


async def test_a_child_that_cannot_start_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match=r"^services ended with exit code 3 before it was ready:\n.*line 7: no such"):
        async with supervised(tmp_path, Child(name="services", argv=BAD)):
            pass


async def test_a_command_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="/no/such/program: No such file or directory"):
        async with supervised(tmp_path, Child(name="services", argv=("/no/such/program",))):
            pass


async def test_a_child_that_is_never_ready_is_an_error_and_is_ended(tmp_path: Path) -> None:
    mute = Child(name="services", argv=(sys.executable, "-c", "import signal; signal.pause()"), ready_s_max=0.3)
    supervisor = Supervisor(tmp_path)
    with pytest.raises(ChildFailed, match=r"services was not ready after 0\.3 s \(it wrote nothing\)"):
        await supervisor.start(mute)
    assert supervisor.pids == {}


async def test_a_ready_line_may_come_in_pieces_and_all_output_is_in_the_log(tmp_path: Path) -> None:
    program = (
        "import os, signal, time\nfor part in (b'on', b'e\\nREA', b'DY\\ntwo'): os.write(1, part); time.sleep(0.05)"
    )
    program += "\nos.write(2, b' three\\n'); signal.pause()"
    async with supervised(tmp_path, Child(name="services", argv=(sys.executable, "-c", program))):
        assert await soon_here(lambda: (tmp_path / "services.log").read_text() == "one\nREADY\ntwo three\n")


async def test_children_are_stopped_in_reverse_order(tmp_path: Path) -> None:
    def child(name: str) -> Child:
        program = (
            "import signal, sys\n"
            f"def bye(*_): open({str(tmp_path / 'order')!r}, 'a').write({name!r} + ' '); sys.exit()\n"
            "signal.signal(signal.SIGTERM, bye); print('READY', flush=True); signal.pause()"
        )
        return Child(name=name, argv=(sys.executable, "-c", program))

    async with supervised(tmp_path, child("first"), child("second"), child("third")):
        pass
    assert (tmp_path / "order").read_text() == "third second first "


async def test_a_child_that_ignores_sigterm_is_killed_and_all_ends_in_three_seconds(tmp_path: Path) -> None:
    async with supervised(tmp_path, *(Child(name=name, argv=DEAF) for name in "abc")) as (supervisor, _):
        pids = supervisor.pids
        began = time.monotonic()
        assert await supervisor.stop() == ["c", "b", "a"]
        assert time.monotonic() - began < 3
        assert not any(map(is_alive, pids.values()))


async def test_a_frozen_child_hears_that_it_should_stop(tmp_path: Path) -> None:
    async with supervised(tmp_path, Child(name="services", argv=GOOD)) as (supervisor, _):
        os.kill(supervisor.pids["services"], signal.SIGSTOP)
        assert await supervisor.stop() == []


async def test_what_a_child_started_is_killed_with_it(tmp_path: Path) -> None:
    program = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(subprocess.Popen(['sleep', '60']).pid); print('READY', flush=True)\nwhile True: signal.pause()"
    )
    async with supervised(tmp_path, Child(name="services", argv=(sys.executable, "-c", program))) as (supervisor, _):
        grandchild = int((tmp_path / "services.log").read_text().split()[0])
        assert is_alive(grandchild)
        await supervisor.stop(0.2)
        assert await soon_here(lambda: not is_alive(grandchild))


async def test_a_long_log_is_put_aside_at_start(tmp_path: Path) -> None:
    log = tmp_path / "services.log"
    log.write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    process = await spawn(Child(name="services", argv=("true",)), tmp_path)
    assert await process.wait() == 0
    assert log.read_bytes() == b""
    assert (tmp_path / "services.log.1").stat().st_size == LOG_BYTES_MAX + 1


def test_sigkill_of_the_supervisor_leaves_no_child_and_the_directory_can_be_used_again(tmp_path: Path) -> None:
    with started_up(tmp_path) as (process, _):
        instance = running(tmp_path)
        assert instance is not None
        assert list(instance.pids) == ["attorn", "nats-server", "services", "projector"]
        assert all(map(is_alive, instance.pids.values()))
        process.kill()
        process.wait()
        assert soon(lambda: not any(map(is_alive, instance.pids.values())), within_s=1)
        assert soon(lambda: running(tmp_path) is None), "the note is stale, and is not believed"
        with started_up(tmp_path) as (_, lines):
            again = running(tmp_path)
            assert again is not None and again.pids != instance.pids
            assert lines[-1].startswith("ready in ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_in_three_seconds_with_exit_code_0(tmp_path: Path, number: signal.Signals) -> None:
    with started_up(tmp_path) as (process, _):
        instance = running(tmp_path)
        assert instance is not None
        began = time.monotonic()
        process.send_signal(number)
        last, _ = process.communicate(timeout=5)
        assert time.monotonic() - began < 3
        assert process.returncode == 0
        assert last.startswith("stopped in ")
        assert not any(map(is_alive, instance.pids.values()))
        assert not (tmp_path / "attorn.json").exists()


def test_deaf_children_do_not_delay_the_end_beyond_three_seconds(tmp_path: Path) -> None:
    with started_up(tmp_path, child=DEAF) as (process, _):
        began = time.monotonic()
        process.terminate()
        last, _ = process.communicate(timeout=5)
        assert time.monotonic() - began < 3
        assert "projector had to be killed; services had to be killed" in last
        log = (tmp_path / "logs" / "nats-server.log").read_text()
        assert "Server Exiting" in log, "nats-server still got its share of the time, and ended by itself"


def test_it_is_ready_in_three_seconds_and_says_so_in_at_most_ten_lines(tmp_path: Path) -> None:
    began = time.monotonic()
    port = free_port()
    with started_up(tmp_path, port=port) as (_, lines):
        assert time.monotonic() - began < 3
        assert len(lines) <= 10
        assert lines[0] == f"data in {tmp_path}"
        assert f"nats://127.0.0.1:{port}" in lines[1]
        assert lines[-1].startswith("ready in ") and lines[-1].endswith(" s; Ctrl-C stops it")
        assert stat.S_IMODE((tmp_path / "attorn.json").stat().st_mode) == 0o600


def test_ctrl_c_in_a_terminal_reaches_the_supervisor_alone(tmp_path: Path) -> None:
    with started_up(tmp_path):
        instance = running(tmp_path)
        assert instance is not None
        groups = {name: os.getpgid(pid) for name, pid in instance.pids.items()}
        assert len(set(groups.values())) == 4


def test_a_second_one_on_the_same_directory_is_refused_by_name_of_the_first(tmp_path: Path) -> None:
    with (
        started_up(tmp_path) as (process, _),
        pytest.raises(DataInUse, match=rf"is in use by pid {process.pid} \(.*pyt"),
    ):
        with lock(tmp_path, wait_s=0.1):
            pass


async def test_a_second_up_on_the_same_directory_is_refused_and_the_first_is_left_alone(tmp_path: Path) -> None:
    with started_up(tmp_path) as (process, _):
        with pytest.raises(DataInUse) as refused:
            await up(UpOptions(provision=nothing, data=tmp_path, port=0, services=GOOD, projector=GOOD), print)
        assert refused.value.pid == process.pid
        assert running(tmp_path) is not None


def test_the_directory_stays_locked_while_a_nats_server_writes_to_it(tmp_path: Path) -> None:
    with lock(tmp_path) as held:
        survivor = subprocess.Popen(["sleep", "60"], pass_fds=(held,))
    try:
        with pytest.raises(DataInUse), lock(tmp_path, wait_s=0.05):
            pass
    finally:
        survivor.kill()
        survivor.wait()
    with lock(tmp_path):
        pass


async def test_a_port_that_is_taken_is_refused_by_name_of_its_holder(tmp_path: Path) -> None:
    async with embedded(tmp_path / "first") as broker:
        options = UpOptions(provision=nothing, data=tmp_path / "second", port=broker.port, services=(), projector=())
        with pytest.raises(PortTaken, match=rf"^port {broker.port} is taken by pid {broker.pid} \(.*nats-server -c "):
            await up(options, print)
        assert broker.is_running


async def test_a_port_held_on_every_address_is_found_too() -> None:
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        assert holder(port)[0] == os.getpid()
        with pytest.raises(PortTaken):
            await require_port(port, wait_s=0)


def test_ephemeral_forgets() -> None:
    with started_up("-") as (process, lines):
        data = Path(lines[0].removeprefix("data in ").removesuffix(", forgotten at the end"))
        assert lines[0].endswith("forgotten at the end") and (data / "nats").is_dir()
        process.terminate()
        process.communicate(timeout=5)
        assert not data.exists()


async def test_when_provisioning_fails_everything_is_ended_and_the_reason_is_raised(tmp_path: Path) -> None:
    pids: list[int | None] = []

    async def refuse(url: str) -> None:
        pids.append(holder(int(url.rpartition(":")[2]))[0])
        raise ValueError("stream ATTORN is not what it should be")

    with pytest.raises(ValueError, match="ATTORN is not"):
        await up(UpOptions(provision=refuse, data=tmp_path, port=0, services=GOOD, projector=GOOD), print)
    assert pids[0] is not None and not is_alive(pids[0])
    assert running(tmp_path) is None


async def test_a_signal_while_it_starts_ends_it(tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def slow(url: str) -> None:
        stop.set()
        await asyncio.sleep(60)

    options = UpOptions(provision=slow, data=tmp_path, port=0, services=GOOD, projector=GOOD)
    async with asyncio.timeout(5):
        assert await up(options, print, stop=stop) == 0


async def test_a_dead_nats_server_comes_back_on_its_port_with_every_acknowledged_message(tmp_path: Path) -> None:
    with started_up(tmp_path) as (process, _):
        before = running(tmp_path)
        assert before is not None
        connection = await nats.connect(
            before.nats_url, reconnect_time_wait=0.05, max_reconnect_attempts=-1, error_cb=quiet
        )
        stream = connection.jetstream()
        await stream.add_stream(StreamConfig(name="LOG", subjects=["log"]))
        for number in range(50):
            await stream.publish("log", b"%d" % number)
        os.kill(before.pids["nats-server"], signal.SIGKILL)

        def is_back() -> bool:
            now: Instance | None = running(tmp_path)
            return now is not None and now.pids.get("nats-server") not in (None, before.pids["nats-server"])

        assert await soon_here(is_back), "and the note has its new pid"
        assert await soon_here(lambda: connection.is_connected)
        assert (await stream.stream_info("LOG")).state.messages == 50
        assert (await stream.publish("log", b"50")).seq == 51
        await connection.close()
        assert process.poll() is None


async def quiet(_: Exception) -> None:
    pass


async def count(broker: Broker, *, publish: int = 0) -> int:
    connection = await nats.connect(broker.url, allow_reconnect=False, error_cb=quiet)
    try:
        stream = connection.jetstream(timeout=2)
        await stream.add_stream(StreamConfig(name="LOG", subjects=["log"]))
        for _ in range(publish):
            await stream.publish("log", b"acknowledged")
        return (await stream.stream_info("LOG")).state.messages
    finally:
        await connection.close()


async def test_an_embedded_server_keeps_its_store_over_kill_restart_and_a_second_use(tmp_path: Path) -> None:
    async with embedded(tmp_path) as broker:
        url = broker.url
        assert await count(broker, publish=20) == 20
        await broker.kill()
        assert not broker.is_running
        await broker.restart()
        assert broker.url == url
        assert await count(broker) == 20
    async with embedded(tmp_path) as broker:
        assert await count(broker) == 20


async def test_an_embedded_ephemeral_server_leaves_nothing(tmp_path: Path) -> None:
    async with embedded(tmp_path, ephemeral=True) as broker:
        assert await count(broker, publish=1) == 1
        pid = broker.pid
    assert list(tmp_path.iterdir()) == []
    assert not is_alive(pid)


async def test_a_frozen_server_answers_nothing_until_it_is_thawed(fresh_nats: Broker) -> None:
    connection = await nats.connect(fresh_nats.url)
    fresh_nats.freeze()
    request = asyncio.ensure_future(connection.request("$JS.API.INFO", timeout=5))
    assert not (await asyncio.wait({request}, timeout=0.3))[0]
    fresh_nats.thaw()
    assert b"account_info_response" in (await request).data
    assert await count(fresh_nats) == 0
    await connection.close()


async def test_the_shared_server_syncs_always_and_takes_eight_megabytes(nats_server: Broker) -> None:
    connection = await nats.connect(nats_server.url)
    assert connection.max_payload == 8 * 1024 * 1024
    assert "sync_interval: always" in (nats_server.data / "nats-server.conf").read_text()
    await connection.close()


async def test_a_store_in_a_directory_with_an_awkward_name_works(tmp_path: Path) -> None:
    async with embedded(tmp_path / 'Über "uns" $HOME \\ #1') as broker:
        assert await count(broker, publish=1) == 1
    assert any((tmp_path / 'Über "uns" $HOME \\ #1' / "nats").rglob("*.blk"))
