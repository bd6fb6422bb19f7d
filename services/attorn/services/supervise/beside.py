"""One module of ours run in a process of its own for as long as it takes, and no longer than who started it."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from attorn.services.supervise import tether


async def run(
    module: str, arguments: Sequence[str], hear: Callable[[str], None], begun: Callable[[int], None] = lambda pid: None
) -> int:
    """The status with which it ends; `hear` is given each line that it says, `begun` its process id.

    Tethered to this process; killed when this is cancelled. What it writes to standard error is ours.
    """
    tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), sys.executable, "-m", module, *arguments]
    child = await asyncio.create_subprocess_exec(*tethered, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    begun(child.pid)
    try:
        async for line in child.stdout:
            hear(line.decode(errors="replace").rstrip("\n"))
        return await child.wait()
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
