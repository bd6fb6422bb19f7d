"""Which attorn runs on a data directory: the lock that keeps a second one out, the note by which it is found.

`<data>/lock` is held with flock and never removed (removing a lock file lets two holders each believe in their own).
The descriptor is also handed to nats-server, so that the directory stays locked for as long as anything writes to the
store, whatever became of the supervisor. `<data>/attorn.json` is a note only: it can be stale after a SIGKILL, so it is
believed only while the lock is held.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec

LOCK_S_MAX = 1.0
"""How long a starting attorn waits: the nats-server of a supervisor that was killed needs a moment to go."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A running attorn: where its NATS is, and the processes by name (`attorn` is the supervisor itself)."""

    nats_url: str
    pids: dict[str, int]
    started: datetime


class CannotStart(Exception):
    """attorn, or one of its processes, cannot start; the message is one sentence, `hint` says what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class DataInUse(CannotStart):
    """Another attorn runs on the same data directory; `pid` is its supervisor's, None when it left no name."""

    def __init__(self, data: Path, pid: int | None) -> None:
        who = "another attorn" if pid is None else described(pid)
        super().__init__(f"{data} is in use by {who}", hint="stop that one first, or choose another data directory")
        self.pid = pid


def described(pid: int) -> str:
    """`pid 4711 (nats-server -c …)`, as far as it can be known."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 0)
            return f"pid {pid}"
        return f"what pid {pid} left running"
    words = line.replace(b"\0", b" ").decode(errors="replace").strip()
    words = " ".join(words.split())
    return f"pid {pid} ({words[:117] + '…' if len(words) > 118 else words})" if words else f"pid {pid}"


@contextmanager
def lock(data: Path, *, wait_s: float = LOCK_S_MAX) -> Iterator[int]:
    """Hold `data` (created where needed, for its owner only) for this process; yield the descriptor that holds it.

    Blocks for up to `wait_s`. Raises DataInUse when another process holds it.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(f"{data} cannot be used as a data directory: {error.strerror}") from error
    try:
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    name = os.pread(held, 20, 0).strip()
                    raise DataInUse(data, int(name) if name.isdigit() else None) from None
                time.sleep(0.02)
        os.ftruncate(held, 0)
        os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
        yield held
    finally:
        os.close(held)


def announce(data: Path, instance: Instance) -> None:
    """Write the note, readable by its owner only; it is there whole or not at all."""
    draft = data / "attorn.json.new"
    with suppress(FileNotFoundError):
        draft.unlink()
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as note:
        note.write(msgspec.json.format(msgspec.json.encode(instance)) + b"\n")
    draft.replace(data / "attorn.json")


def withdraw(data: Path) -> None:
    (data / "attorn.json").unlink(missing_ok=True)


def running(data: Path) -> Instance | None:
    """The attorn that runs on `data`, None when there is none. Reads two files and asks nobody."""
    try:
        note = msgspec.json.decode((data / "attorn.json").read_bytes(), type=Instance)
        held = os.open(data / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, msgspec.DecodeError):
        return None
    try:
        # Whoever starts at this very moment tries again for LOCK_S_MAX, so this glance keeps nobody out.
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return note
    finally:
        os.close(held)
    return None
