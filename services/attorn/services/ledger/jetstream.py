"""The ledger on NATS JetStream: every stream of events is one literal subject of the stream ATTORN.

What is safe, and when: a publish carries the position after which its author decided (the guard), so it is stored there
or nowhere, however often it is sent and however late it arrives. That is why a try whose answer was lost may be
repeated, and why reading the place afterwards tells for certain whether it was ours that got there.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar

from nats.aio.client import Client

from attorn.contracts import subjects
from attorn.contracts.envelope import Entry, Event, Recorded
from attorn.contracts.ledger import Append, Page
from attorn.contracts.refusal import Breach, Conflict, Refused, Unavailable
from attorn.services.ledger.follow import follow
from attorn.services.ledger.group import Group, Message
from attorn.services.ledger.identity import fact_id, require_appendable, require_distinct, used_before
from attorn.services.ledger.lookup import Head, Lookup
from attorn.services.ledger.outcome import Repeated, acknowledged, is_begun
from attorn.services.ledger.wire import Silent, Undone, Wire
from attorn.services.patience import left

NOTHING: Final = Head(0, 0)
GUARD: Final = "Nats-Expected-Last-Subject-Sequence"
MESSAGE_ID: Final = "Nats-Msg-Id"
OWN_MAX: Final = 16_384
"""Of so many events that were appended here it is known what they are, until whoever follows the log comes to them."""

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
        self._group = Group(self._wire, timeout)
        self._timeout, self._patience = timeout, patience
        self._heads: OrderedDict[str, Head] = OrderedDict()
        self._heads_max = heads
        # What is appended while somebody follows: who follows need not decode it.
        self._own: dict[bytes, Event] | None = None

    def on_error(self, error: Exception) -> None:
        """To be called by the connection's error_cb: only there it says that a publish is not permitted."""
        self._wire.on_error(error)

    async def append(self, stream: str, expected: int, entries: Sequence[Entry]) -> int:
        [position] = await self.append_all((Append(stream, expected, tuple(entries)),))
        return position

    async def append_all(self, appends: Sequence[Append]) -> list[int]:
        require_appendable(appends)
        require_distinct(appends)
        self._require_connected()
        heads = self._believed(appends)
        if heads is None:
            return await self._append_patiently(appends)
        if self._own is not None:
            if len(self._own) > OWN_MAX:
                self._own.clear()  # nobody follows these
            for each in appends:
                for entry in each.entries:
                    self._own[entry.body] = entry.event
        # Nearly always this is all: what is remembered is right, and what is sent is recorded.
        begun_at = asyncio.get_running_loop().time()
        try:
            last = await self._group.store(_messages(appends, heads))
        except (Undone, Silent, Repeated) as why:
            return await self._append_patiently(appends, begun_at, heads, why)
        return self._placed(appends, last)

    async def read(self, stream: str) -> Sequence[Recorded]:
        return await self._patiently(lambda: self._read(stream))

    async def last(self, kind: str = "") -> int:
        return await self._patiently(lambda: self._lookup.last(kind))

    def follow(self, after: int = 0, kinds: Sequence[str] = ()) -> AsyncGenerator[Page, None]:
        if self._own is None:
            self._own = {}
        return follow(self._nc, self._wire, after, kinds, self._own)

    async def _append_patiently(
        self,
        appends: Sequence[Append],
        begun_at: float | None = None,
        tried: Sequence[Head] | None = None,
        why: Undone | Silent | Repeated | None = None,
    ) -> list[int]:
        """Append until it is recorded, or known that it is not; `tried` are the heads of a try that ended in `why`."""
        now = asyncio.get_running_loop().time
        until = (now() if begun_at is None else begun_at) + self._patience
        until, pause = min(until, now() + left(self._patience)), 0.0
        repeated: Repeated | None = None
        # Whether a try may have been recorded, or may be still: what is sent while the connection breaks may arrive.
        in_doubt = False
        while True:
            match why:
                case Repeated():
                    repeated = why
                case Silent():
                    in_doubt = True
                case Undone(is_final=True):
                    break
                case _:
                    pass
            if why is not None:
                if now() + pause >= until:
                    break
                await asyncio.sleep(pause)
                pause = min(max(2 * pause, 0.01), 0.5)
            try:
                if not self._nc.is_connected:
                    raise Undone("not connected to the log")
                standing = await self._standing(appends, tried)
                tried = [each.head for each in standing]
                # Nearly always all of it. A batch that met a full disk is on the log in part, and is completed here.
                rest = [
                    (number, Append(append.stream, append.expected + each.done, append.entries[each.done :]), each.head)
                    for number, (append, each) in enumerate(zip(appends, standing, strict=True))
                    if each.done < len(append.entries)
                ]
                ends = [each.end for each in standing]
                if rest:
                    if repeated is not None:
                        await self._require_unused(rest, repeated)
                        repeated = None
                    parts = [append for _, append, _ in rest]
                    last = await self._group.store(_messages(parts, [head for _, _, head in rest]))
                    for (number, _, _), end in zip(rest, self._placed(parts, last), strict=True):
                        ends[number] = end
                return ends
            except (Undone, Silent, Repeated) as error:
                why = error
        reason = str(why)
        if in_doubt and left(1.0) and await self._wire.is_healthy():
            reason += ", though the broker is there: its disk may be full"
        raise Unavailable(reason, "unknown" if in_doubt else "no")

    async def _standing(self, appends: Sequence[Append], tried: Sequence[Head] | None) -> list[_Standing]:
        """How much of each append is on the log. Raises Conflict for the first stream that has moved on.

        Before the first try what is remembered will do, since the guard finds out when it is wrong; after one, `tried`
        are the heads that it went behind, and the leader is asked.
        """
        answers = await asyncio.gather(
            *(self._look(append, tried[number] if tried else None) for number, append in enumerate(appends)),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if isinstance(answer, _Standing)]

    def _believed(self, appends: Sequence[Append]) -> list[Head] | None:
        """The head that each goes behind as far as is remembered; None when one is not, or is another."""
        heads: list[Head] = []
        for append in appends:
            # Of a stream that should be new nothing needs to be known: the guard is 0.
            head = self._heads.get(append.stream) or (NOTHING if append.expected == 0 else None)
            if head is None or head.version != append.expected:
                return None
            heads.append(head)
        return heads

    async def _look(self, append: Append, tried: Head | None) -> _Standing:
        stream, expected = append.stream, append.expected
        if tried is None:
            head = self._heads.get(stream) or (NOTHING if expected == 0 else None)
            if head is not None and head.version == expected:
                return _Standing(0, head, 0)
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

    def _placed(self, appends: Sequence[Append], last: int) -> list[int]:
        """Where each ends that were stored together, up to the position `last`."""
        position = last - sum([len(append.entries) for append in appends])
        ends: list[int] = []
        for append in appends:
            count = len(append.entries)
            position += count
            self._remember(append.stream, Head(append.expected + count, position))
            ends.append(position)
        return ends

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
        until, pause = asyncio.get_running_loop().time() + left(self._patience), 0.01
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


def _messages(appends: Sequence[Append], heads: Sequence[Head]) -> list[Message]:
    """What to store for each of `appends` behind its head.

    Within a batch only the first message of a subject carries a guard. The server refuses one on the second (10164,
    whatever it says), and the first one's holds for all, since a batch is stored in one piece.
    """
    messages: list[Message] = []
    for append, head in zip(appends, heads, strict=True):
        subject = subjects.event(append.stream)
        headers = f"{GUARD}: {head.position}\r\n"
        for entry in append.entries:
            id = fact_id(entry.event)
            messages.append(Message(subject, f"{headers}{MESSAGE_ID}: {id}\r\n" if id else headers, entry.body))
            headers = ""
    return messages
