"""One module of ours run in a process of its own for as long as it takes, and no longer than who started it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from attorn.services.supervise import tether


@asynccontextmanager
async def beside(module: str, arguments: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that runs `module`, with pipes to its standard input and from its output; killed with the block.

    Tethered to this process. What it writes to standard error is ours.
    """
    tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), sys.executable, "-m", module, *arguments]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*tethered, stdin=pipe, stdout=pipe)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
