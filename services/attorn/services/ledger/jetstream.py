"""The ledger on NATS JetStream: every stream of events is one literal subject of the stream ATTORN.

What is safe, and when: a publish carries the position after which its author decided (the guard), so it is stored there
or nowhere, however often it is sent and however late it arrives. That is why a try whose answer was lost may be
repeated, and why reading the place afterwards tells for certain whether it was ours that got there.
"""

import asyncio
import itertools
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from nats.aio.client import Client

from attorn.contracts import subjects
from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.ledger import Append, Page
from attorn.contracts.refusal import Breach, Conflict, Refused, Unavailable
from attorn.services.ledger.follow import follow
from attorn.services.ledger.identity import fact_id, require_appendable, require_distinct, used_before
from attorn.services.ledger.lookup import Head, Lookup
from attorn.services.ledger.outcome import Repeated, acknowledged, same
from attorn.services.ledger.wire import Silent, Undone, Wire

GUARD: Final = "Nats-Expected-Last-Subject-Sequence"
MESSAGE_ID: Final = "Nats-Msg-Id"
BATCHES_MAX: Final = 16
"""Batches that one ledger has open at once. The server takes 50 a stream, and more at once are no faster."""

T = TypeVar("T")


class _Moved(NamedTuple):
    """A stream that is at the version `actual` already; `position` when it was by these very entries, else 0."""

    actual: int
    position: int


class _There(NamedTuple):
    """All of it is on the log already."""

    positions: list[int]


class JetStreamLedger:
    """Appends and reads over the connection `nc`, whose error_cb passes on to `on_error`.

    `timeout`: how long one answer is waited for, `patience`: how long an append goes on trying, both in seconds.
    `heads`: of how many streams the newest version is remembered.
    """

    def __init__(self, nc: Client, *, timeout: float = 2.0, patience: float = 10.0, heads: int = 65_536) -> None:
        self._nc = nc
        self._wire = Wire(nc)
        self._lookup = Lookup(self._wire, timeout)
        self._timeout, self._patience = timeout, patience
        self._heads: OrderedDict[str, Head] = OrderedDict()
        self._heads_max = heads
        self._batches = asyncio.Semaphore(BATCHES_MAX)
        self._batch_ids = (f"{secrets.token_urlsafe(6)}.{number}" for number in itertools.count(1))

    def on_error(self, error: Exception) -> None:
        """To be called by the connection's error_cb: only there it says that a publish is not permitted."""
        self._wire.on_error(error)

    async def append(self, stream: str, expected: int, entries: Sequence[Entry]) -> int:
        [position] = await self.append_all([Append(stream, expected, tuple(entries))])
        return position

    async def append_all(self, appends: Sequence[Append]) -> list[int]:
        require_appendable(appends)
        require_distinct(entry.event for append in appends for entry in append.entries)
        self._require_connected()
        if sum(len(append.entries) for append in appends) == 1:
            return await self._append_patiently(appends)
        async with self._batches:
            return await self._append_patiently(appends)

    async def read(self, stream: str) -> Sequence[Recorded]:
        return await self._patiently(lambda: self._read(stream))

    async def last(self, kind: str = "") -> int:
        return await self._patiently(lambda: self._lookup.last(kind))

    def follow(self, after: int = 0, kinds: Sequence[str] = ()) -> AsyncIterator[Page]:
        return follow(self._nc, self._wire, after, kinds)

    async def _append_patiently(self, appends: Sequence[Append]) -> list[int]:
        now = asyncio.get_running_loop().time
        until, pause = now() + self._patience, 0.0
        heads: list[Head] | None = None
        repeated: Repeated | None = None
        # Whether a try may have been recorded, or may be still: what is sent while the connection breaks is kept by the
        # client, and stored when it is back.
        in_doubt = False
        while True:
            try:
                if not self._nc.is_connected:
                    raise Undone("not connected to the log")
                standing = await self._standing(appends, heads)
                if isinstance(standing, _There):
                    return standing.positions
                heads = standing
                if repeated is not None:
                    await self._require_unused(appends, heads, repeated)
                    repeated = None
                return self._placed(appends, await self._publish(appends, heads))
            except Repeated as known:
                repeated, reason = known, str(known)
            except Undone as undone:
                reason = str(undone)
                if undone.is_final:
                    break
            except Silent as silent:
                in_doubt, reason = True, str(silent)
            if now() + pause > until:
                break
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, 0.01), 0.5)
        if in_doubt and await self._wire.is_healthy():
            reason += ", though the broker is there: its disk may be full"
        raise Unavailable(reason, "unknown" if in_doubt else "no")

    async def _standing(self, appends: Sequence[Append], tried: Sequence[Head] | None) -> list[Head] | _There:
        """The head that each append goes behind, or the positions where all of them are already.

        Before the first try what is remembered will do, since the guard finds out when it is wrong; after one, `tried`
        are the heads that it went behind, and the leader is asked. Raises Conflict for the first stream that has moved
        on.
        """
        found: list[Head | _Moved | None] = [self._believed(append) if tried is None else None for append in appends]
        asked = [number for number, head in enumerate(found) if head is None]
        if asked:
            answers = await asyncio.gather(
                *(self._stands(appends[number], tried[number] if tried else None) for number in asked),
                return_exceptions=True,
            )
            for number, answer in zip(asked, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                found[number] = answer
        moved = [stands for stands in found if isinstance(stands, _Moved)]
        if moved and all(isinstance(stands, _Moved) and stands.position for stands in found):
            return _There([stands.position for stands in moved])
        for append, stands in zip(appends, found, strict=True):
            if isinstance(stands, _Moved):
                raise Conflict(append.stream, append.expected, stands.actual)
        return [stands for stands in found if isinstance(stands, Head)]

    def _believed(self, append: Append) -> Head | None:
        # Of a stream that should be new nothing needs to be known: the guard is 0.
        head = self._heads.get(append.stream) or (Head(0, 0) if append.expected == 0 else None)
        return head if head and head.version == append.expected else None

    async def _stands(self, append: Append, tried: Head | None) -> Head | _Moved:
        stream, expected = append.stream, append.expected
        if tried is None and stream not in self._heads:
            head = await self._lookup.head(stream)
            if head.version == expected:
                return self._remember(stream, head)
        head = self._remember(stream, await self._lookup.leader_head(stream))
        if head.version == expected:
            return head
        if head.version > expected:
            after, skip = (tried.position, 0) if tried else (0, expected)
            place = (await self._lookup.stream(stream, after=after, up_to=head.position))[skip:][: len(append.entries)]
            if same(place, append.entries):
                return _Moved(head.version, place[-1].position)
        return _Moved(head.version, 0)

    async def _publish(self, appends: Sequence[Append], heads: Sequence[Head]) -> int:
        """The position of the last entry. Raises Undone, Silent, Repeated."""
        messages: list[tuple[str, bytes, dict[str, str]]] = []
        for append, head in zip(appends, heads, strict=True):
            subject = subjects.event(append.stream)
            # Within a batch only the first message of a subject carries a guard. The server refuses one on the second
            # (10164, whatever it says), and the first one's holds for all, since a batch is stored in one piece.
            guard = {GUARD: str(head.position)}
            for entry in append.entries:
                id = fact_id(entry.event)
                messages.append((subject, entry.body, guard | {MESSAGE_ID: id} if id else guard))
                guard = {}
        if len(messages) > 1:
            batch = next(self._batch_ids)
            messages = [
                (subject, body, {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)} | headers)
                for number, (subject, body, headers) in enumerate(messages, 1)
            ]
            messages[-1][2]["Nats-Batch-Commit"] = "1"
        *before, (subject, body, headers) = messages
        [answer] = await self._wire.ask(subject, body, headers, timeout=self._timeout, before=before)
        return acknowledged(answer)

    def _placed(self, appends: Sequence[Append], end: int) -> list[int]:
        position = end - sum(len(append.entries) for append in appends)
        positions: list[int] = []
        for append in appends:
            position += len(append.entries)
            positions.append(position)
            self._remember(append.stream, Head(append.expected + len(append.entries), position))
        return positions

    async def _require_unused(self, appends: Sequence[Append], heads: Sequence[Head], repeated: Repeated) -> None:
        """Raises Refused when the log holds one of the facts' ids elsewhere."""
        facts = [
            (entry.event, id, append.stream, head)
            for append, head in zip(appends, heads, strict=True)
            for entry in append.entries
            if (id := fact_id(entry.event))
        ]
        holders = (
            await asyncio.gather(*(self._holder(stream, id) for _, id, stream, _ in facts))
            if repeated.position is None
            else [repeated.position]
        )
        breaches: list[Breach] = []
        for (event, _, stream, head), position in zip(facts, holders, strict=True):
            kept = await self._lookup.position(position) if position else None
            if kept is None or (kept.stream == stream and kept.seq > head.position):
                continue  # it has just come to stand where it should: the next look will find it
            breaches.append(used_before(event, f"at position {kept.seq} in {kept.stream}"))
        if breaches:
            raise Refused(*breaches)

    async def _holder(self, stream: str, id: str) -> int | None:
        """The position at which the log holds this id, if it still knows it.

        Asked by a publish that is never stored: the server looks for the id first, and then for a last id that no
        message has.
        """
        headers = {MESSAGE_ID: id, "Nats-Expected-Last-Msg-Id": "none"}
        [answer] = await self._wire.ask(subjects.event(stream), b"", headers, timeout=self._timeout)
        try:
            position = acknowledged(answer)
        except Repeated as known:
            return known.position
        except Undone:
            return None
        raise AssertionError(f"a question was stored at position {position}")

    async def _read(self, stream: str) -> Sequence[Recorded]:
        known = self._heads.get(stream)
        found = await self._lookup.stream(stream, up_to=known.position if known else 0)
        self._remember(stream, Head(len(found), found[-1].position) if found else Head(0, 0))
        return found

    async def _patiently(self, question: Callable[[], Awaitable[T]]) -> T:
        until, pause = asyncio.get_running_loop().time() + self._patience, 0.01
        while True:
            self._require_connected()
            try:
                return await question()
            except (Silent, Undone) as why:
                if asyncio.get_running_loop().time() + pause > until or (isinstance(why, Undone) and why.is_final):
                    raise Unavailable(str(why)) from why
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)

    def _require_connected(self) -> None:
        if not self._nc.is_connected:
            raise Unavailable("not connected to the log")

    def _remember(self, stream: str, head: Head) -> Head:
        self._heads[stream] = head
        self._heads.move_to_end(stream)
        if len(self._heads) > self._heads_max:
            self._heads.popitem(last=False)
        return head
