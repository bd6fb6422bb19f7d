"""A PostgreSQL of its own for benchmarks and tests, from Debian's package: a temporary directory, a free port."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from attorn.services.supervise.server import HOST, free_port

READY_S_MAX: Final = 30.0
STOP_S_MAX: Final = 10.0


class NotInstalled(Exception):
    """A program that is not on this machine; says what to install."""


class Server(NamedTuple):
    """A PostgreSQL that runs: its address, its port, and its first process."""

    url: str
    port: int
    pid: int


@contextmanager
def server(*, fsync: bool = True, **more: str | int) -> Iterator[Server]:
    """A PostgreSQL with an empty database, which ends with the block. Raises NotInstalled.

    With `fsync`, what is committed is on the disk, as Debian configures it; without, nothing is waited for. `more` are
    other settings of the server.
    """
    programs, owner = binaries(), _owner()
    directory = Path(tempfile.mkdtemp(prefix="attorn-postgresql-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        if owner:
            os.chown(directory, owner["user"], owner["group"])
        data, port = directory / "data", free_port()
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            check=True,
            capture_output=True,
            cwd=directory,
            **owner,
        )
        settings: dict[str, Any] = {"listen_addresses": HOST, "port": port, "unix_socket_directories": directory}
        on = "on" if fsync else "off"
        settings |= {"fsync": on, "synchronous_commit": on, "full_page_writes": on} | more
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
            **owner,
        )
        url = f"postgresql://postgres@{HOST}:{port}/postgres"
        _wait_for(url, process)
        yield Server(url, port, process.pid)
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(directory, ignore_errors=True)


def binaries() -> Path:
    """Where the newest PostgreSQL of this machine has its programs. Raises NotInstalled."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).parent
    raise NotInstalled("PostgreSQL is not installed: apt-get install postgresql")


def _owner() -> dict[str, Any]:
    """As whom it runs: PostgreSQL does not run as root, and as Debian installs it, there is a user for it."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise NotInstalled("PostgreSQL does not run as root, and there is no user postgres") from None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + READY_S_MAX
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise
        time.sleep(0.05)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)  # fast: whoever is connected is cut off
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
