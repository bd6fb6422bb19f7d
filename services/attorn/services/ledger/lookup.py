"""What stands on the log at one place: the head of a stream, a position, a whole stream."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from nats.aio.msg import Msg

from attorn.contracts import codec, subjects
from attorn.contracts.envelope import Recorded
from attorn.services.ledger.wire import Error, Undone, Wire

PAGE: Final = 1_000
NOT_FOUND: Final = 10037

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Head(NamedTuple):
    """The newest event of a stream: its version, its position; both 0 when there is none."""

    version: int
    position: int


class Kept(msgspec.Struct, frozen=True):
    """A message of the log as the leader gives it."""

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
    return _EPOCH + timedelta(microseconds=nanoseconds // 1_000)


def recorded(position: int, when: datetime, stream: str, body: bytes) -> Recorded:
    return Recorded(position, when, codec.decode(body, stream, when), body)


class Lookup:
    """Raises Silent or Undone when the log does not answer within `timeout` seconds."""

    def __init__(self, wire: Wire, timeout: float) -> None:
        self._wire = wire
        self._timeout = timeout

    async def head(self, stream: str) -> Head:
        """From whichever replica answers first: it may be behind the leader, never ahead."""
        msg = await self._newest(subjects.event(stream))
        if msg is None:
            return Head(0, 0)
        return Head(await self._version(stream, msg.data), _position(msg))

    async def last(self, kind: str) -> int:
        msg = await self._newest(subjects.events(kind))
        return _position(msg) if msg else 0

    async def leader_head(self, stream: str) -> Head:
        """From the leader: nothing that it has acknowledged is missing."""
        kept = await self._ask_leader({"last_by_subj": subjects.event(stream)})
        return Head(await self._version(stream, kept.data), kept.seq) if kept else Head(0, 0)

    async def position(self, position: int) -> Kept | None:
        return await self._ask_leader({"seq": position})

    async def stream(self, stream: str, *, after: int = 0, up_to: int = 0) -> list[Recorded]:
        """The events of one stream behind the position `after`.

        Direct Get may be answered by a replica that is behind; what is missing up to the position `up_to`, where an
        event of the stream is known to be, is asked of the leader.
        """
        subject = subjects.event(stream)
        found: list[Recorded] = []
        position, pending = after, 1
        while pending:
            question = {"seq": position + 1, "next_by_subj": subject, "batch": PAGE}
            *page, end = await self._wire.ask(
                f"$JS.API.DIRECT.GET.{subjects.LOG}",
                msgspec.json.encode(question),
                timeout=self._timeout,
                until=lambda msg: bool(msg.headers and "Status" in msg.headers),
            )
            for msg in page:
                assert msg.headers is not None
                when = datetime.fromisoformat(msg.headers["Nats-Time-Stamp"])
                found.append(recorded(_position(msg), when, stream, msg.data))
            position = found[-1].position if found else after
            pending = _pending(end)
        while position < up_to:
            kept = await self._ask_leader({"seq": position + 1, "next_by_subj": subject})
            if kept is None:
                break
            found.append(recorded(kept.seq, kept.time, stream, kept.data))
            position = kept.seq
        return found

    async def _newest(self, subject: str) -> Msg | None:
        question = msgspec.json.encode({"last_by_subj": subject})
        [msg] = await self._wire.ask(f"$JS.API.DIRECT.GET.{subjects.LOG}", question, timeout=self._timeout)
        status = msg.headers.get("Status") if msg.headers else None
        if status == "404":
            return None
        if status is not None:
            raise Undone(f"the log answered {status} {_description(msg)}")
        return msg

    async def _ask_leader(self, question: dict[str, Any]) -> Kept | None:
        answer = await self._wire.ask_json(
            f"$JS.API.STREAM.MSG.GET.{subjects.LOG}", question, _Answer, timeout=self._timeout
        )
        if answer.error is not None and answer.error.err_code != NOT_FOUND:
            raise Undone(f"the log answered {answer.error.code} {answer.error.description}")
        return answer.message

    async def _version(self, stream: str, body: bytes) -> int:
        try:
            return int(msgspec.json.decode(body, type=_Placed).sequence)
        except (msgspec.DecodeError, ValueError):
            # Nobody but us writes here, and we write the version into each body. Of a damaged one, the place says it.
            return len(await self.stream(stream))


def _position(msg: Msg) -> int:
    assert msg.headers is not None
    return int(msg.headers["Nats-Sequence"])


def _pending(end: Msg) -> int:
    assert end.headers is not None
    match end.headers["Status"]:
        case "204":
            return int(end.headers.get("Nats-Num-Pending", "0"))
        case "404":
            return 0
        case status:
            raise Undone(f"the log answered {status} {_description(end)}")


def _description(msg: Msg) -> str:
    return (msg.headers or {}).get("Description", "")
