"""The ledger as its readers and writers see it: append with a version, read, follow. The one port of the system."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from attorn.contracts.envelope import Entry, Recorded

BATCH_MAX = 1_000
"""How many events one atomic append may hold (JetStream's limit for an atomic batch)."""


class Append(msgspec.Struct, frozen=True, gc=False):
    """Entries for one stream. `expected` is the version that their author decided on, 0 for a new stream."""

    stream: str
    expected: int
    entries: tuple[Entry, ...]


class Page(msgspec.Struct, frozen=True):
    """Some of the log in order. `pending` events more match and are recorded already; 0 is the end for now."""

    recorded: Sequence[Recorded]
    pending: int


class Ledger(Protocol):
    """An append-only log of streams of events; versions and positions count from 1 and have no gaps."""

    async def append(self, stream: str, expected: int, entries: Sequence[Entry]) -> int:
        """Record all of `entries` or none; return the position of the last.

        `expected` is the version that the caller decided on, 0 for a new stream. Entries that are already there at just
        this place, byte for byte (an earlier try whose answer was lost), count as recorded by this call.
        Raises Conflict when the stream has moved on, Unavailable when the log did not answer.
        """
        ...

    async def append_all(self, appends: Sequence[Append]) -> list[int]:
        """Record everything in `appends`, of several streams, or nothing; return each one's last position.

        At most BATCH_MAX entries and one Append a stream. Raises Conflict for the first stream that has moved on.
        """
        ...

    async def read(self, stream: str) -> Sequence[Recorded]:
        """Every event of one stream, oldest first; empty when there is none."""
        ...

    async def last(self, kind: str = "") -> int:
        """The position of the newest event of a kind of streams, or of all; 0 when there is none."""
        ...

    def follow(self, after: int = 0, kinds: Sequence[str] = ()) -> AsyncGenerator[Page, None]:
        """Every event with a position greater than `after`, in order, and then as they come; an end only by cancelling.

        With `kinds`, only events of those kinds of streams. What is there already comes in large pages.
        """
        ...
