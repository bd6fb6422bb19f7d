"""One module of ours run in a process of its own for as long as it takes, and no longer than who started it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import BinaryIO

from attorn.services.supervise import tether


@asynccontextmanager
async def beside(module: str, arguments: Sequence[str]) -> AsyncIterator[tuple[asyncio.subprocess.Process, BinaryIO]]:
    """A process that runs `module`, and a file that is its standard input: to be written to, and closed, by a thread.

    Tethered to this process, and killed with the block; what is written then fails. Standard error is ours.
    """
    tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), sys.executable, "-m", module, *arguments]
    read, write = os.pipe()
    # Whoever writes is a thread, since it must go on while the loop is busy, however little a pipe holds.
    given = os.fdopen(write, "wb")
    try:
        child = await asyncio.create_subprocess_exec(*tethered, stdin=read, stdout=asyncio.subprocess.PIPE)
    except BaseException:
        given.close()
        raise
    finally:
        os.close(read)
    try:
        yield child, given
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        with suppress(OSError):  # what was not written yet
            given.close()
