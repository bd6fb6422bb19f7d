"""The event loop of every process of attorn: uvloop's where there is one, asyncio's own elsewhere."""

import asyncio
from collections.abc import Coroutine
from typing import Any


def run(process: Coroutine[Any, Any, None]) -> None:
    """Run to its end, in a new loop."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(process)
    else:
        uvloop.run(process)
