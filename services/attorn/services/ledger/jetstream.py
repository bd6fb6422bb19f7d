"""The ledger on NATS JetStream: every stream of events is one literal subject of the stream ATTORN.

What is safe, and when: a publish carries the position after which its author decided (the guard), so it is stored there
or nowhere, however often it is sent and however late it arrives. That is why a try whose answer was lost may be
repeated, and why reading the place afterwards tells for certain whether it was ours that got there.
"""

import asyncio
import itertools
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar

from nats.aio.client import Client

from attorn.contracts import subjects
from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.ledger import Append, Page
from attorn.contracts.refusal import Breach, Conflict, Refused, Unavailable
from attorn.services.ledger.follow import follow
from attorn.services.ledger.identity import fact_id, require_appendable, require_distinct, used_before
from attorn.services.ledger.lookup import Head, Lookup
from attorn.services.ledger.outcome import Repeated, acknowledged, is_begun
from attorn.services.ledger.wire import Silent, Undone, Wire

GUARD: Final = "Nats-Expected-Last-Subject-Sequence"
MESSAGE_ID: Final = "Nats-Msg-Id"
BATCHES_MAX: Final = 16
"""Batches that one ledger has open at once. The server takes 50 a stream, and more at once are no faster."""

T = TypeVar("T")

_Rest: TypeAlias = tuple[int, Append, Head]
"""What is left to record of one append, which one of all, and the head that it goes behind."""


class _Standing(NamedTuple):
    """How much of an append is on the log: `done` entries; the next one goes behind `head`."""

    done: int
    head: Head
    end: int
    """The position of the last of the `done` entries; 0 when there are none."""


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

    def follow(self, after: int = 0, kinds: Sequence[str] = ()) -> AsyncGenerator[Page, None]:
        return follow(self._nc, self._wire, after, kinds)

    async def _append_patiently(self, appends: Sequence[Append]) -> list[int]:
        now = asyncio.get_running_loop().time
        until, pause = now() + self._patience, 0.0
        tried: list[Head] | None = None
        repeated: Repeated | None = None
        # Whether a try may have been recorded, or may be still: what is sent while the connection breaks is kept by the
        # client, and stored when it is back.
        in_doubt = False
        while True:
            try:
                if not self._nc.is_connected:
                    raise Undone("not connected to the log")
                standing = await self._standing(appends, tried)
                tried = [each.head for each in standing]
                ends = [each.end for each in standing]
                # Nearly always all of it. A batch that met a full disk is on the log in part, and is completed here.
                rest = [
                    (number, Append(append.stream, append.expected + each.done, append.entries[each.done :]), each.head)
                    for number, (append, each) in enumerate(zip(appends, standing, strict=True))
                    if each.done < len(append.entries)
                ]
                if rest:
                    if repeated is not None:
                        await self._require_unused(rest, repeated)
                        repeated = None
                    last = await self._publish(rest)
                    for number, end in self._placed(rest, last):
                        ends[number] = end
                return ends
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

    async def _standing(self, appends: Sequence[Append], tried: Sequence[Head] | None) -> list[_Standing]:
        """How much of each append is on the log. Raises Conflict for the first stream that has moved on.

        Before the first try what is remembered will do, since the guard finds out when it is wrong; after one, `tried`
        are the heads that it went behind, and the leader is asked.
        """
        found = [self._believed(append) if tried is None else None for append in appends]
        unknown = [number for number, standing in enumerate(found) if standing is None]
        if unknown:
            answers = await asyncio.gather(
                *(self._look(appends[number], tried[number] if tried else None) for number in unknown),
                return_exceptions=True,
            )
            for number, answer in zip(unknown, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                found[number] = answer
        return [standing for standing in found if standing is not None]

    def _believed(self, append: Append) -> _Standing | None:
        # Of a stream that should be new nothing needs to be known: the guard is 0.
        head = self._heads.get(append.stream) or (Head(0, 0) if append.expected == 0 else None)
        return _Standing(0, head, 0) if head and head.version == append.expected else None

    async def _look(self, append: Append, tried: Head | None) -> _Standing:
        stream, expected = append.stream, append.expected
        if tried is None and stream not in self._heads:
            head = self._remember(stream, await self._lookup.head(stream))
            if head.version == expected:
                return _Standing(0, head, 0)
        head = self._remember(stream, await self._lookup.leader_head(stream))
        if head.version == expected:
            return _Standing(0, head, 0)
        if head.version > expected:
            if tried is not None and tried.version == expected:
                behind = await self._lookup.stream(stream, after=tried.position, up_to=head.position)
            else:
                behind = (await self._lookup.stream(stream, up_to=head.position))[expected:]
            place = behind[: len(append.entries)]
            # What was appended behind a whole append is no matter; behind a part of one, it is in the way of the rest.
            if is_begun(place, append.entries) and (len(place) == len(append.entries) or len(place) == len(behind)):
                return _Standing(len(place), Head(expected + len(place), place[-1].position), place[-1].position)
        raise Conflict(stream, expected, head.version)

    async def _publish(self, rest: Sequence[_Rest]) -> int:
        """The position of the last entry. Raises Undone, Silent, Repeated."""
        messages: list[tuple[str, bytes, dict[str, str]]] = []
        for _, append, head in rest:
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

    def _placed(self, rest: Sequence[_Rest], last: int) -> Iterator[tuple[int, int]]:
        position = last - sum(len(append.entries) for _, append, _ in rest)
        for number, append, _ in rest:
            position += len(append.entries)
            self._remember(append.stream, Head(append.expected + len(append.entries), position))
            yield number, position

    async def _require_unused(self, rest: Sequence[_Rest], repeated: Repeated) -> None:
        """Raises Refused when the log holds one of the facts' ids elsewhere."""
        facts = [
            (entry.event, id, append.stream, head)
            for _, append, head in rest
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
