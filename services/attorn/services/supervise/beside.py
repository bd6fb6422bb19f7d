"""One module of ours run in a process of its own for as long as it takes, and no longer than who started it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import BinaryIO

from attorn.services.supervise import tether


class Beside:
    """A process that runs. `given` is its standard input, to be written to by a thread."""

    def __init__(self, process: asyncio.subprocess.Process, given: BinaryIO) -> None:
        self.pid = process.pid
        self.given = given
        self._process = process

    async def said(self) -> AsyncIterator[str]:
        """Each line that it writes to its standard output, until there are no more."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            yield line.decode(errors="replace").rstrip("\n")

    async def wait(self) -> int:
        """The status with which it has ended."""
        return await self._process.wait()


@asynccontextmanager
async def beside(module: str, arguments: Sequence[str]) -> AsyncIterator[Beside]:
    """Run `module` in a process that is tethered to this one, and killed with the block; what is given then fails.

    Its standard error is ours.
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
        yield Beside(child, given)
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        with suppress(OSError):  # what was not written yet
            given.close()
