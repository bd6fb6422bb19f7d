"""Following a stream without end: one pull consumer after the other, each begun behind the last event handed out.

The consumer keeps nothing that matters. Whatever goes wrong with it, with the connection or with the server, it is
forgotten and another is made; no event is missed, and none is handed out twice. It is made over nats-py, like every
other question; what it delivers comes over a connection of its own, which costs a tenth (protocol.py).
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from nats import errors
from nats.aio.client import Client

from attorn.contracts import codec, subjects
from attorn.contracts.envelope import Event, Recorded
from attorn.contracts.ledger import Page
from attorn.contracts.refusal import Unavailable
from attorn.services.ledger import measures
from attorn.services.ledger.lookup import at
from attorn.services.ledger.protocol import Lost, NotLetIn, Reader, connect
from attorn.services.ledger.wire import Error, Silent, Undone, Wire

PAGE: Final = 2_000
"""How many events one page holds at most."""

PULL: Final = 1_000
"""How many events one pull asks for. Two pulls are in flight, so at most twice that waits here; less that waits is
decoded faster, since it is in the processor's cache still."""

PULL_BYTES_MAX: Final = 16 * 1024 * 1024
"""Two pulls stay well below the 64 MB at which the server cuts off a slow reader."""

HEARTBEAT_S: Final = 0.5
SILENCE_S_MAX: Final = 3 * HEARTBEAT_S
PULL_S: Final = 30
INACTIVE_S: Final = 60
LINGER_S: Final = 0.05
"""How long a page that is not full waits for what the server has announced."""

ANSWER_S: Final = 2.0
CATCH_UP_S: Final = 5.0
PAUSE_S_MIN: Final = 0.02
PAUSE_S_MAX: Final = 1.0
STREAM_NOT_FOUND: Final = 10059

T = TypeVar("T")

Make: TypeAlias = Callable[[int, int, str, bytes], T]
"""From position, nanoseconds since 1970, subject and body to what a page holds."""

_NANO: Final = 1_000_000_000
_HEARTBEAT, _EXPIRED, _CONFLICT = 100, 408, 409

log = logging.getLogger(__name__)


class LogDamaged(Exception):
    """The log is not what its reader has seen of it: `reader` is the reader's position, `log` the log's."""

    def __init__(self, reader: int, log: int, finding: str) -> None:
        super().__init__(finding)
        self.reader, self.log = reader, log


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A stream to follow, and of what is on it, what matches one of `filters`; all of it where there are none.

    `is_whole`: nothing is ever missing on it, so that a gap or an end before the reader's position is damage.
    """

    stream: str
    filters: Sequence[str] = ()
    is_whole: bool = False


class _State(msgspec.Struct, frozen=True):
    first_seq: int
    last_seq: int


class _Config(msgspec.Struct, frozen=True):
    num_replicas: int = 1


class _Stream(msgspec.Struct, frozen=True):
    config: _Config = _Config()
    state: _State | None = None
    error: Error | None = None


class _Made(msgspec.Struct, frozen=True):
    num_pending: int = 0
    error: Error | None = None


async def follow(
    nc: Client, wire: Wire, after: int, kinds: Sequence[str], own: dict[bytes, Event] | None = None
) -> AsyncGenerator[Page, None]:
    """Every event of the log behind the position `after`, and then as they come. Raises what `pages` does.

    `own` are events that need not be read, by the bytes that are stored of them; each is taken from it.
    """
    source = Source(stream=subjects.LOG, filters=[subjects.events(kind) for kind in kinds], is_whole=True)
    make = partial(_recorded, own if own is not None else {})
    async with aclosing(pages(nc, wire, source, after, make)) as found:
        async for events, pending in found:
            yield Page(events, pending)


async def pages(
    nc: Client, wire: Wire, source: Source, after: int, make: Make[T]
) -> AsyncGenerator[tuple[list[T], int], None]:
    """What `source` holds behind the position `after`, in pages, each with how much more there is already.

    The first page is empty when there is nothing yet. Raises LogDamaged when something is missing on a stream that is
    whole, or its end is before `after`; Unavailable when there is no stream or no way to it: the connection is closed
    for good, or not permitted to read.
    """
    position, has_begun, pause = after, False, PAUSE_S_MIN
    while True:
        consumer = _Consumer(nc, wire, source, position, make)
        try:
            pending = await consumer.open(must_exist=not has_begun)
            if not has_begun and not pending:
                yield [], 0
            has_begun = True
            while True:
                page, pending = await consumer.next()
                position, pause = consumer.position, PAUSE_S_MIN
                yield page, pending
        except (Lost, Silent, Undone, errors.Error, OSError) as why:
            if nc.is_closed:
                raise Unavailable("the connection to NATS is closed") from why
            is_final = isinstance(why, NotLetIn) and not has_begun
            if is_final or (isinstance(why, Undone) and why.is_final):
                raise Unavailable(str(why)) from why
            said = {"stream": source.stream, "position": position, "reason": str(why)}
            log.warning("consumer lost, another is made", extra=said)
            for tell in measures.follower_lost:
                tell()
        finally:
            await consumer.close()
        await asyncio.sleep(pause)
        pause = min(2 * pause, PAUSE_S_MAX)


class _Consumer(Generic[T]):
    def __init__(self, nc: Client, wire: Wire, source: Source, after: int, make: Make[T]) -> None:
        self.position = after
        self._nc, self._wire, self._source, self._make = nc, wire, source, make
        self._after = after
        self._delivered = 0
        self._is_contiguous = source.is_whole and not source.filters
        self._name = f"follow-{secrets.token_hex(8)}"
        self._inbox = nc.new_inbox()
        self._reader: Reader | None = None
        self._asked = 0
        self._ended = ""

    async def open(self, *, must_exist: bool) -> int:
        """Make it; return how many events there are to deliver."""
        if not self._nc.is_connected:
            raise Lost("not connected")
        await self._check(must_exist)
        # Before the consumer, which nobody would delete if nobody could read from it.
        self._reader = await connect(self._nc, self._hear)
        self._reader.subscribe(self._inbox)
        config: dict[str, Any] = {
            "name": self._name,
            "ack_policy": "none",
            # A start beyond the end would be moved back to the end in silence: where nothing may be missing _check has
            # excluded it, elsewhere _take leaves out what comes.
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._after + 1,
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": INACTIVE_S * _NANO,
        }
        if self._source.filters:
            config["filter_subjects"] = list(self._source.filters)
        made = await self._wire.ask_json(
            f"$JS.API.CONSUMER.CREATE.{self._source.stream}.{self._name}",
            {"stream_name": self._source.stream, "config": config, "action": "create"},
            _Made,
            timeout=ANSWER_S,
        )
        if made.error is not None:
            raise Lost(made.error.description)
        self._pull(self._reader)
        return made.num_pending

    async def next(self) -> tuple[list[T], int]:
        """What is here; when nothing is, what comes next."""
        reader, now = self._reader, asyncio.get_running_loop().time
        assert reader is not None
        # Whoever reads may have been away for long: only what is not heard from here on is silence.
        reader.heard_at = max(reader.heard_at, now())
        page: list[T] = []
        pending, until = 1, now()
        # More is on its way: one large page costs its reader less than many small ones.
        while not page or (pending and len(page) < PAGE):
            self._pull(reader)
            if page and not reader.here:
                await reader.wait(until - now())
                if not reader.here:
                    break
            while not reader.here:
                self._require_alive(reader)
                asked_at = now()
                await reader.wait(HEARTBEAT_S)
                if now() > asked_at + 2 * HEARTBEAT_S:
                    reader.heard_at = now()  # the loop was held up, and what has come since is not read yet
                self._pull(reader)
            if not page:
                until = now() + LINGER_S
            taken, pending = self._take(reader, page)
            if not taken:
                break
        return page, pending

    async def close(self) -> None:
        if self._reader is None:
            return
        # Nobody waits for the answer: if it is lost, the server forgets the consumer after INACTIVE_S.
        delete = f"$JS.API.CONSUMER.DELETE.{self._source.stream}.{self._name}"
        self._reader.publish(delete, f"{self._inbox}.deleted", b"")
        self._reader.close()

    async def _check(self, must_exist: bool) -> None:
        config, state = await self._state(must_exist)
        if not self._source.is_whole:
            return
        until = asyncio.get_running_loop().time() + CATCH_UP_S
        while state.last_seq < self._after and config.num_replicas > 1 and asyncio.get_running_loop().time() < until:
            # A replica that has just begun to lead may have to apply what all have agreed on.
            await asyncio.sleep(PAUSE_S_MIN)
            config, state = await self._state(must_exist)
        first, last = state.first_seq, state.last_seq
        if last < self._after:
            raise LogDamaged(
                self._after, last, f"the log ends at position {last}, and its reader is at {self._after} already"
            )
        if first > self._after + 1:
            raise LogDamaged(
                self._after, first, f"the log begins at position {first}, and its reader needs {self._after + 1}"
            )

    async def _state(self, must_exist: bool) -> tuple[_Config, _State]:
        name = self._source.stream
        info = await self._wire.ask_json(f"$JS.API.STREAM.INFO.{name}", None, _Stream, timeout=ANSWER_S)
        if info.error is not None and info.error.err_code == STREAM_NOT_FOUND and must_exist:
            raise Unavailable(f"there is no stream {name} on this server: provision it")
        if info.state is None:
            raise Lost(info.error.description if info.error else f"no information on stream {name}")
        return info.config, info.state

    def _pull(self, reader: Reader) -> None:
        # What was asked for and not taken yet, whether it is here or on its way.
        while self._asked <= PULL:
            self._asked += PULL
            question = {
                "batch": PULL,
                "max_bytes": PULL_BYTES_MAX,
                "expires": PULL_S * _NANO,
                "idle_heartbeat": int(HEARTBEAT_S * _NANO),
            }
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._source.stream}.{self._name}"
            reader.publish(subject, self._inbox, msgspec.json.encode(question))

    def _hear(self, status: int, headers: Mapping[str, str]) -> None:
        if status == _HEARTBEAT:
            return
        unfilled = headers.get("Nats-Pending-Messages")
        if unfilled is not None and status in (_EXPIRED, _CONFLICT):
            # One pull has run its time or has its bytes; the next is asked for.
            self._asked -= int(unfilled)
        else:
            # Consumer deleted, server shutting down, leadership changed, nobody there.
            self._ended = f"{status} {headers['Description']}".strip()

    def _require_alive(self, reader: Reader) -> None:
        if self._ended:
            raise Lost(self._ended)
        if reader.ended is not None:
            raise reader.ended
        if self._nc.is_closed:
            raise Lost("closed")
        if asyncio.get_running_loop().time() - reader.heard_at > SILENCE_S_MAX:
            raise Lost(f"no heartbeat for {SILENCE_S_MAX:g} s")

    def _take(self, reader: Reader, page: list[T]) -> tuple[int, int]:
        """Put what is here on the page; return how many messages that were, and how many are left on the stream."""
        put, make, is_contiguous, after = page.append, self._make, self._is_contiguous, self._after
        last, counted = self.position, self._delivered
        used, pending = 0, b"0"
        for subject, reply, body in reader.here[: PAGE - len(page)]:
            position, delivered, nanoseconds, left = _place(reply)
            if delivered != counted + 1 or (is_contiguous and position != last + 1):
                if not page:
                    self._miss(position, delivered)
                # What came before the gap is handed out first.
                break
            used += 1
            counted, last, pending = delivered, position, left
            if position > after:
                put(make(position, nanoseconds, subject.decode(), body))
        del reader.here[:used]
        self._asked -= used
        self._delivered, self.position = counted, max(last, after)
        return used, int(pending)

    def _miss(self, position: int, delivered: int) -> None:
        if delivered == 1 and self._is_contiguous:
            # A consumer begun at the very event gives another one: it is not on the log.
            raise LogDamaged(
                self.position,
                position,
                f"the log has no event at position {self.position + 1}, where its reader goes on, but at {position}",
            )
        raise Lost(f"position {position} came after {self.position}")


def _place(reply: bytes) -> tuple[int, int, int, bytes]:
    """Position, how many the consumer has delivered, nanoseconds since 1970, how many are left as text: of a token.

    `$JS.ACK.<stream>.<consumer>.<times>.<position>.<delivered>.<nanoseconds>.<left>`, or with a domain and an account
    behind `$JS.ACK`, and then something random at the end.
    """
    if reply.count(b".") == 8:
        _, position, delivered, nanoseconds, left = reply.rsplit(b".", 4)
    else:
        position, delivered, nanoseconds, left = reply.split(b".")[7:11]
    return int(position), int(delivered), int(nanoseconds), left


def _recorded(own: dict[bytes, Event], position: int, nanoseconds: int, subject: str, body: bytes) -> Recorded:
    when = at(nanoseconds)
    if own and (event := own.pop(body, None)) is not None:
        return Recorded(position, when, event, body)
    try:
        event = codec.known(body)
    except codec.UNFIT:
        # Only now is it of use what the log knows of it.
        event = codec.decode(body, subjects.event_stream(subject), when)
    return Recorded(position, when, event, body)
