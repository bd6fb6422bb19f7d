"""Whether the log would take an append now: asked by one that it must refuse, so that nothing is ever stored.

Reading goes on when there is no room for more, and a publish whose guard does not hold is refused before anybody looks
for room. A batch is another matter: the server puts its messages aside on the disk as they come, and looks at their
guards when it is committed. So a batch is sent of which no guard can hold. That the guard was the trouble means that
there was room, in `max_file_store` and on the disk; every other answer says what is wrong.
"""

import asyncio
import secrets
from typing import Final

from attorn.contracts import subjects
from attorn.services.ledger.outcome import INCOMPLETE_BATCH, TOO_MANY_BATCHES, WRONG_LAST, acknowledged
from attorn.services.ledger.wire import Silent, Undone, Wire

SUBJECT: Final = subjects.event("ledger/probe")
NEVER: Final = 2**53 - 1
"""The guard: no log will ever have so many events."""

ROOM: Final = bytes(16 * 1024)
"""What is put aside, and dropped again: a disk that has no room for a large event fails."""

EVERY_S: Final = 5.0
"""For how long one answer does for whoever asks: a batch holds up the appends that come with it."""

TROUBLED_S: Final = 1.0
"""The same while the log would not take an append: then there are none to hold up, and its end is waited for."""


class Probe:
    """Asks the log over `wire` for everybody who wants to know: one batch at a time, and one in `every_s` seconds.

    Nobody asks, no batch. `timeout` is that of `trouble`, in seconds.
    """

    def __init__(self, wire: Wire, *, timeout: float, every_s: float = EVERY_S) -> None:
        self._wire, self._timeout, self._every_s = wire, timeout, every_s
        self._asking: asyncio.Task[str | None] | None = None
        self._ended_at = 0.0

    async def trouble(self) -> str | None:
        """None when the log would take an append, or would have within the last `every_s` seconds; else why not."""
        if self._asking is None or self._is_old(self._asking):
            self._asking = asyncio.create_task(self._ask())
        # Who gives up waiting takes the answer from nobody else.
        return await asyncio.shield(self._asking)

    def _is_old(self, asked: "asyncio.Task[str | None]") -> bool:
        if not asked.done():
            return False
        if asked.cancelled() or asked.exception() is not None:
            return True
        does_for = self._every_s if asked.result() is None else min(self._every_s, TROUBLED_S)
        return asyncio.get_running_loop().time() >= self._ended_at + does_for

    async def _ask(self) -> str | None:
        try:
            return await trouble(self._wire, timeout=self._timeout)
        finally:
            self._ended_at = asyncio.get_running_loop().time()


async def trouble(wire: Wire, *, timeout: float) -> str | None:
    """None when the log would take an append, else why not. An answer is waited for `timeout` seconds."""
    batch, guard = secrets.token_hex(8), {"Nats-Expected-Last-Subject-Sequence": str(NEVER)}
    first = {**guard, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": "1"}
    last = {**guard, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"}
    try:
        [answer] = await wire.ask(SUBJECT, b"", last, before=((SUBJECT, ROOM, first),), timeout=timeout)
        position = acknowledged(answer)
    except Undone as refused:
        match refused.code:
            case code if code in WRONG_LAST:
                return None
            case code if code == TOO_MANY_BATCHES:
                return None  # so many are being appended just now
            case code if code == INCOMPLETE_BATCH:
                return "the log put no batch aside: its disk may be full"
            case _:
                return str(refused)
    except Silent as silent:
        return str(silent)
    raise AssertionError(f"what no guard allowed was stored at position {position}")
