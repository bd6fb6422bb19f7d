"""The ledger in memory: the reference for what the others do, and the log of tests."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

from attorn.contracts import codec, subjects
from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.ledger import Append, Page
from attorn.contracts.refusal import Conflict, Refused
from attorn.services.ledger.identity import fact_id, require_appendable, require_distinct, used_before

PAGE = 2_000


class MemoryLedger:
    """A list. It forgets with the process, and it knows a fact again for ever."""

    def __init__(self) -> None:
        self._log: list[Recorded] = []
        self._streams: dict[str, list[Recorded]] = {}
        self._facts: dict[str, Recorded] = {}
        self._newest: dict[str, int] = {}
        self._grown = asyncio.Event()

    async def append(self, stream: str, expected: int, entries: Sequence[Entry]) -> int:
        [position] = await self.append_all([Append(stream, expected, tuple(entries))])
        return position

    async def append_all(self, appends: Sequence[Append]) -> list[int]:
        require_appendable(appends)
        require_distinct(appends)
        rest = [(append, append.entries[self._done(append) :]) for append in appends]
        taken = [
            used_before(entry.event, f"at position {holder.position} in {holder.stream}")
            for _, entries in rest
            for entry in entries
            if (holder := self._facts.get(fact_id(entry.event) or ""))
        ]
        if taken:
            raise Refused(*taken)
        return [self._record(append, entries) for append, entries in rest]

    def _done(self, append: Append) -> int:
        """How many of the entries stand at their place already. Raises Conflict when something else does."""
        subjects.event(append.stream)
        stream = self._streams.get(append.stream, [])
        place = stream[append.expected :][: len(append.entries)]
        is_begun = [each.body for each in place] == [entry.body for entry in append.entries[: len(place)]]
        if is_begun and (len(place) == len(append.entries) or len(stream) == append.expected + len(place)):
            return len(place)
        raise Conflict(append.stream, append.expected, len(stream))

    def _record(self, append: Append, rest: Sequence[Entry]) -> int:
        stream = self._streams.setdefault(append.stream, [])
        for entry in rest:
            now = datetime.now(UTC)
            # Read back from the bytes, as every other ledger does: what cannot be read shows here already.
            event = codec.decode(entry.body, append.stream, now)
            recorded = Recorded(len(self._log) + 1, now, event, entry.body)
            self._log.append(recorded)
            stream.append(recorded)
            self._newest[append.stream.partition("/")[0]] = recorded.position
            if id := fact_id(entry.event):
                self._facts[id] = recorded
        self._grown.set()
        self._grown = asyncio.Event()
        return stream[append.expected + len(append.entries) - 1].position

    async def read(self, stream: str) -> Sequence[Recorded]:
        subjects.event(stream)
        return tuple(self._streams.get(stream, ()))

    async def last(self, kind: str = "") -> int:
        subjects.events(kind)
        return self._newest.get(kind, 0) if kind else len(self._log)

    async def follow(self, after: int = 0, kinds: Sequence[str] = ()) -> AsyncGenerator[Page, None]:
        wanted = tuple(f"{kind}/" for kind in kinds)
        position, is_first = after, True
        while True:
            grown, end = self._grown, len(self._log)
            found = [recorded for recorded in self._log[position:end] if recorded.stream.startswith(wanted or "")]
            for start in range(0, len(found), PAGE):
                yield Page(found[start : start + PAGE], max(len(found) - start - PAGE, 0))
            if is_first and not found:
                yield Page((), 0)
            position, is_first = end, False
            await grown.wait()
