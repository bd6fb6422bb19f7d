"""A ledger that is measured, and remembers how its last append went: the same port around any other."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from time import perf_counter
from typing import Final, TypeVar

from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.ledger import Append, Ledger, Page
from attorn.contracts.refusal import Conflict, Refused, Unavailable
from attorn.services import metrics

FAILED_S: Final = 10.0
"""For how long one failed append speaks against the log: where nobody dares to try, nobody would find out."""

T = TypeVar("T")


class MeasuredLedger:
    """Appends to `ledger`, and says in `wrong` whether it takes them."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = perf_counter) -> None:
        self._ledger, self._clock = ledger, clock
        self._failed_at = float("-inf")
        self._reason = ""

    @property
    def wrong(self) -> str | None:
        """Why the last append was not recorded, when the log was to blame for it and it was just now."""
        ago = self._clock() - self._failed_at
        return f"an append {ago:.1f} s ago was not recorded: {self._reason}" if ago < FAILED_S else None

    async def append(self, stream: str, expected: int, entries: Sequence[Entry]) -> int:
        return await self._measured(self._ledger.append(stream, expected, entries))

    async def append_all(self, appends: Sequence[Append]) -> list[int]:
        return await self._measured(self._ledger.append_all(appends))

    async def read(self, stream: str) -> Sequence[Recorded]:
        return await self._ledger.read(stream)

    async def last(self, kind: str = "") -> int:
        return await self._ledger.last(kind)

    def follow(self, after: int = 0, kinds: Sequence[str] = ()) -> AsyncGenerator[Page, None]:
        return self._ledger.follow(after, kinds)

    async def _measured(self, appending: Awaitable[T]) -> T:
        began, outcome = perf_counter(), "failed"
        try:
            recorded = await appending
            outcome, self._failed_at = "recorded", float("-inf")
            return recorded
        except Conflict:
            outcome = "conflict"
            raise
        except Refused:
            outcome = "refused"
            raise
        except Unavailable as unavailable:
            outcome = "unknown" if unavailable.recorded == "unknown" else "unavailable"
            self._failed_at, self._reason = self._clock(), unavailable.reason
            raise
        finally:
            metrics.appends.labels(outcome).observe(perf_counter() - began)
