"""A PostgreSQL of its own for tests and benchmarks, from Debian's package: a temporary directory, a free port.

Loaded from conftest.py with `pytest_plugins = ["postgres"]`; a benchmark uses `server()`.
"""

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
from typing import Any

import psycopg
import pytest

from attorn.services.supervise.server import HOST, free_port

READY_S_MAX = 20.0
STOP_S_MAX = 10.0


def binaries() -> Path:
    """Where the newest PostgreSQL of this machine has its programs."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    return versions[-1].parent


@contextmanager
def server(*, fsync: bool = True) -> Iterator[str]:
    """The URL of a PostgreSQL with an empty database, which ends with the block.

    With `fsync`, what is committed is on the disk, as Debian configures it; without, nothing is waited for.
    """
    directory = Path(tempfile.mkdtemp(prefix="attorn-postgres-"))
    # PostgreSQL does not run as root.
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(directory, user.pw_uid, user.pw_gid)
        owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    process: subprocess.Popen[bytes] | None = None
    try:
        data, port = directory / "data", free_port()
        subprocess.run(
            [binaries() / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            check=True,
            capture_output=True,
            cwd=directory,
            **owner,
        )
        settings = {"listen_addresses": HOST, "port": port, "unix_socket_directories": directory}
        settings |= {} if fsync else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        process = subprocess.Popen(
            [binaries() / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
            **owner,
        )
        url = f"postgresql://postgres@{HOST}:{port}/postgres"
        _wait_for(url, process)
        yield url
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(directory, ignore_errors=True)


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """One for the whole session, shared: make tables of your own in it. What is lost in a power cut is no matter."""
    try:
        binaries()
    except FileNotFoundError as missing:
        # A newcomer's machine has python3 and make; the rest of the suite does not need more.
        pytest.skip(str(missing))
    with server(fsync=False) as url:
        yield url
