"""Which process this is, and in which versions: for its first line in the log, and for whoever asks for its status."""

import os
import platform
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import msgspec
from nats.aio.client import Client


class About(msgspec.Struct, frozen=True, kw_only=True):
    """A process: what it does, its versions and those of what it runs on, and since when.

    `nats_server` is the version of the server to which it was connected last.
    """

    process: str
    pid: int
    started_at: datetime
    attorn: str
    python: str
    nats_server: str


def about(process: str, nc: Client, started_at: datetime) -> About:
    server = nc.connected_server_version
    return About(
        process=process,
        pid=os.getpid(),
        started_at=started_at,
        attorn=attorn_version(),
        python=platform.python_version(),
        nats_server=f"{server.major}.{server.minor}.{server.patch}",
    )


@cache
def attorn_version() -> str:
    """As it is installed; `unknown` for a checkout that is not."""
    try:
        return version("attorn")
    except PackageNotFoundError:
        return "unknown"
