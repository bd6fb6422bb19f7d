"""What stands on a stream at one place, and on the log: the head of a stream of events, a position, all of a stream."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from nats.aio.msg import Msg

from attorn.contracts import codec, subjects
from attorn.contracts.envelope import Recorded
from attorn.services.ledger.wire import Error, Undone, Wire

PAGE: Final = 1_000
NOT_FOUND: Final = 10037


class Head(NamedTuple):
    """The newest event of a stream: its version, its position; both 0 when there is none."""

    version: int
    position: int


class Kept(msgspec.Struct, frozen=True):
    """A message of a stream with its place there."""

    subject: str
    seq: int
    time: datetime
    data: bytes = b""

    @property
    def stream(self) -> str:
        return subjects.event_stream(self.subject)


class _Answer(msgspec.Struct, frozen=True):
    message: Kept | None = None
    error: Error | None = None


class _Placed(msgspec.Struct, frozen=True):
    sequence: str


def at(nanoseconds: int) -> datetime:
    """The broker's clock as an instant; what is below a microsecond is cut off."""
    # A double holds the microseconds of this century to the last one, and this is twice as fast as adding a timedelta.
    return datetime.fromtimestamp(nanoseconds // 1_000 / 1e6, UTC)


def recorded(position: int, when: datetime, stream: str, body: bytes) -> Recorded:
    return Recorded(position, when, codec.decode(body, stream, when), body)


class Store:
    """The stream `name` of JetStream, asked for what it holds.

    Raises Silent or Undone when it does not answer within `timeout` seconds.
    """

    def __init__(self, wire: Wire, name: str, timeout: float) -> None:
        self.name = name
        self._wire = wire
        self._timeout = timeout

    async def newest(self, subject: str) -> Kept | None:
        """From whichever replica answers first: it may be behind the leader, never ahead."""
        [msg] = await self._direct({"last_by_subj": subject}, until=lambda _: True)
        match msg.headers.get("Status") if msg.headers else None:
            case None:
                return _kept(msg)
            case "404":
                return None
            case status:
                raise Undone(f"stream {self.name} answered {status} {_description(msg)}")

    async def leader_newest(self, subject: str) -> Kept | None:
        """From the leader: nothing that it has acknowledged is missing."""
        return await self._ask_leader({"last_by_subj": subject})

    async def position(self, position: int) -> Kept | None:
        return await self._ask_leader({"seq": position})

    async def next(self, subject: str, after: int) -> Kept | None:
        """The first message of `subject` behind the position `after`, from the leader."""
        return await self._ask_leader({"seq": after + 1, "next_by_subj": subject})

    async def read(self, subject: str, *, after: int = 0, limit: int | None = None, up_to: int = 0) -> list[Kept]:
        """The messages of `subject` behind the position `after`, at most `limit`.

        Direct Get may be answered by a replica that is behind; what is missing up to the position `up_to`, where a
        message is known to be, is asked of the leader.
        """
        found: list[Kept] = []
        position, pending = after, 1
        while pending and (limit is None or len(found) < limit):
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            question = {"seq": position + 1, "next_by_subj": subject, "batch": size}
            *page, end = await self._direct(question, until=_has_status)
            found.extend(map(_kept, page))
            position = found[-1].seq if found else after
            pending = self._pending(end)
        while position < up_to and (limit is None or len(found) < limit):
            kept = await self.next(subject, position)
            if kept is None:
                break
            found.append(kept)
            position = kept.seq
        return found

    async def _direct(self, question: dict[str, Any], until: Callable[[Msg], bool]) -> list[Msg]:
        payload = msgspec.json.encode(question)
        return await self._wire.ask(f"$JS.API.DIRECT.GET.{self.name}", payload, timeout=self._timeout, until=until)

    async def _ask_leader(self, question: dict[str, Any]) -> Kept | None:
        answer = await self._wire.ask_json(
            f"$JS.API.STREAM.MSG.GET.{self.name}", question, _Answer, timeout=self._timeout
        )
        if answer.error is not None and answer.error.err_code != NOT_FOUND:
            raise Undone(f"stream {self.name} answered {answer.error.code} {answer.error.description}")
        return answer.message

    def _pending(self, end: Msg) -> int:
        assert end.headers is not None
        match end.headers["Status"]:
            case "204":
                return int(end.headers.get("Nats-Num-Pending", "0"))
            case "404":
                return 0
            case status:
                raise Undone(f"stream {self.name} answered {status} {_description(end)}")


class Lookup:
    """The log's streams of events. Raises Silent or Undone when the log does not answer within `timeout` seconds."""

    def __init__(self, wire: Wire, timeout: float) -> None:
        self._store = Store(wire, subjects.LOG, timeout)

    async def head(self, stream: str) -> Head:
        """From whichever replica answers first: it may be behind the leader, never ahead."""
        return await self._head(stream, await self._store.newest(subjects.event(stream)))

    async def leader_head(self, stream: str) -> Head:
        """From the leader: nothing that it has acknowledged is missing."""
        return await self._head(stream, await self._store.leader_newest(subjects.event(stream)))

    async def last(self, kind: str) -> int:
        kept = await self._store.newest(subjects.events(kind))
        return kept.seq if kept else 0

    async def position(self, position: int) -> Kept | None:
        return await self._store.position(position)

    async def stream(self, stream: str, *, after: int = 0, up_to: int = 0) -> list[Recorded]:
        """The events of one stream behind the position `after`, all those up to the position `up_to` among them."""
        found = await self._store.read(subjects.event(stream), after=after, up_to=up_to)
        return [recorded(kept.seq, kept.time, stream, kept.data) for kept in found]

    async def _head(self, stream: str, kept: Kept | None) -> Head:
        if kept is None:
            return Head(0, 0)
        try:
            return Head(int(msgspec.json.decode(kept.data, type=_Placed).sequence), kept.seq)
        except (msgspec.DecodeError, ValueError):
            # Nobody but us writes here, and we write the version into each body. Of a damaged one, the place says it.
            return Head(len(await self.stream(stream)), kept.seq)


def _kept(msg: Msg) -> Kept:
    assert msg.headers is not None
    when = datetime.fromisoformat(msg.headers["Nats-Time-Stamp"])
    return Kept(msg.headers["Nats-Subject"], int(msg.headers["Nats-Sequence"]), when, msg.data)


def _has_status(msg: Msg) -> bool:
    return bool(msg.headers and "Status" in msg.headers)


def _description(msg: Msg) -> str:
    return (msg.headers or {}).get("Description", "")
