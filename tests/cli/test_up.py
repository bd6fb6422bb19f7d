"""`attorn up` and `attorn serve`: from nothing to ready, found by other commands, and gone without a trace."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from attorn.services.supervise.server import free_port
from cli.instance import ATTORN, attorn, environment


class Started:
    """An `attorn up` that is ready."""

    def __init__(self, process: "subprocess.Popen[str]", lines: list[str], seconds: float) -> None:
        self.process, self.lines, self.seconds = process, lines, seconds
        self.url = next((line.split()[2] for line in lines if line.startswith("NATS at ")), "")

    def stop(self, number: signal.Signals) -> tuple[int, float, str]:
        """The exit code, how long it took, and the last lines."""
        began = time.monotonic()
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=10)
        return self.process.returncode, time.monotonic() - began, out


@contextmanager
def started(*argv: str, **more: str) -> Iterator[Started]:
    began = time.monotonic()
    with subprocess.Popen(
        [*ATTORN, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(**more)
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                if line.startswith("ready"):
                    break
            else:
                pytest.fail(f"not ready: {lines}")
            yield Started(process, lines, time.monotonic() - began)
        finally:
            if process.poll() is None:
                process.kill()


def test_from_nothing_to_ready_and_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with started("up", "--data", str(data), "--port", str(free_port()), "--custodian", "ana:Ana Lopez") as up:
        assert len(up.lines) <= 10
        assert up.lines[0] == f"data in {data}"
        assert "log is new; ana answers when nobody else does" in up.lines
        assert re.fullmatch(r"ready in \d\.\d s; Ctrl-C stops it", up.lines[-1])
        # Three seconds on a machine that has nothing else to do; the other tests are at work here too.
        assert up.seconds < 10

        # Whoever names the same data directory finds it.
        status = attorn("status", "--data", str(data))
        assert status.code == 0 and up.url in status.out and "nats-server" in status.out
        shown = attorn("participant", "show", "ana", ATTORN_DATA=str(data))
        assert shown.lines[0] == "ana (Ana Lopez), human"
        assert attorn("work", "define", "W-1", "x", "--as", "ana", "--data", str(data)).code == 0

        second = attorn("up", "--data", str(data), "--port", "0")
        assert second.code == 4 and "is in use by" in second.err and str(up.process.pid) in second.err

        code, seconds, out = up.stop(signal.SIGTERM)
    assert (code, out.startswith("stopped in")) == (0, True)
    assert seconds < 3
    assert attorn("work", "ls", "--data", str(data), ATTORN_NATS_URL="nats://127.0.0.1:9").code == 6

    # Everything is there the next time.
    with started("up", "--data", str(data), "--port", "0") as up:
        assert "log is there, with its events" in up.lines
        assert attorn("who", "W-1", "-o", "id", "--data", str(data)).out == "ana\n"
        code, seconds, _ = up.stop(signal.SIGINT)
    assert code == 0 and seconds < 3


def test_an_ephemeral_attorn_leaves_nothing(tmp_path: Path) -> None:
    with started("up", "--ephemeral", "--port", "0", TMPDIR=str(tmp_path)) as up:
        assert up.lines[0].endswith(", forgotten at the end")
        up.stop(signal.SIGTERM)
    assert list(tmp_path.iterdir()) == []


def test_who_holds_the_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = attorn("up", "--ephemeral", "--port", str(port))
    assert ran.code == 4
    assert ran.err.startswith(f"attorn: port {port} is taken by pid {os.getpid()}") and ran.err.count("\n") == 1


def test_services_and_views_run_against_a_nats_that_is_there(tmp_path: Path) -> None:
    with started("up", "--ephemeral", "--port", "0", "--custodian", "root") as up:
        # A second set of services shares the work with the first.
        with started("serve", "--nats-url", up.url, "--data", str(tmp_path / "more"), "--only", "services") as served:
            assert served.lines[0] == f"NATS at {up.url}"
            assert attorn("work", "define", "W-1", "x", "--as", "root", "--nats-url", up.url).code == 0
            code, seconds, out = served.stop(signal.SIGTERM)
            assert (code, out) == (0, "stopped\n") and seconds < 3
        with started("serve", "--nats-url", up.url, "--data", str(tmp_path / "views")) as served:
            assert attorn("who", "W-1", "-o", "id", "--nats-url", up.url).out == "root\n"
            assert served.stop(signal.SIGINT)[0] == 0
        up.stop(signal.SIGTERM)


def test_services_without_a_nats_say_so_at_once(tmp_path: Path) -> None:
    ran = attorn("serve", "--nats-url", "nats://127.0.0.1:9", "--data", str(tmp_path))
    assert ran.code == 6 and ran.err.count("\n") == 1


def test_a_command_waits_for_the_services_that_are_started_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with started("up", "--data", str(data), "--port", "0", "--custodian", "root:Root") as up:
        at = ("--data", str(data), "--as", "root")
        assert attorn("work", "define", "W-1", "x", *at).code == 0
        pids = json.loads(attorn("status", "-o", "json", *at).out)["pids"]
        os.kill(pids["services"], signal.SIGKILL)
        os.kill(pids["projector"], signal.SIGKILL)
        told = attorn("work", "note", "W-1", "after", *at)
        assert (told.code, told.err) == (0, "")
        assert up.stop(signal.SIGTERM)[0] == 0
