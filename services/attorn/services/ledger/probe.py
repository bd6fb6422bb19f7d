"""Whether the log would take an append now: asked by one that it must refuse, so that nothing is ever stored.

Reading goes on when there is no room for more, and a publish whose guard does not hold is refused before anybody looks
for room. A batch is another matter: the server puts its messages aside on the disk as they come, and looks at their
guards when it is committed. So a batch is sent of which no guard can hold. That the guard was the trouble means that
there was room, in `max_file_store` and on the disk; every other answer says what is wrong.
"""

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
