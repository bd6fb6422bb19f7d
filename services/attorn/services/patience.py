"""How long the author of a request waits: all that is done for it, on however many streams and servers, ends by then.

    with within(2.5):
        receipt = await transact(...)       # what waits for an answer asks `left` how long it may

What is abandoned says what became of it as far as it is known, which a cancelled task could not.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_until: Final[ContextVar[float | None]] = ContextVar("attorn_until", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bound what is done in the block, and in the tasks that it begins; a bound that is there already only shrinks."""
    held, until = _until.get(), asyncio.get_running_loop().time() + seconds
    token = _until.set(until if held is None else min(held, until))
    try:
        yield
    finally:
        _until.reset(token)


def left(most: float) -> float:
    """For how many seconds something may be tried that would be tried for `most` by itself; 0 when it is too late."""
    until = _until.get()
    if until is None:
        return most
    return max(0.0, min(most, until - asyncio.get_running_loop().time()))
