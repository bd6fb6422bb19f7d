"""Following the log without end: one pull consumer after the other, each begun behind the last event handed out.

The consumer keeps nothing that matters. Whatever goes wrong with it, with the connection or with the server, it is
forgotten and another is made; no event is missed, and none is handed out twice.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from attorn.contracts import subjects
from attorn.contracts.envelope import Recorded
from attorn.contracts.ledger import Page
from attorn.contracts.refusal import Unavailable
from attorn.services.ledger.lookup import at, recorded
from attorn.services.ledger.wire import Error, Silent, Undone, Wire

PAGE: Final = 2_000
"""How many events one pull asks for and one page holds; two pulls are in flight, so at most twice that waits here."""

PULL_BYTES_MAX: Final = 16 * 1024 * 1024
"""Two pulls stay well below the 64 MB at which the server cuts off a slow reader."""

HEARTBEAT_S: Final = 0.5
SILENCE_S_MAX: Final = 3 * HEARTBEAT_S
PULL_S: Final = 30
INACTIVE_S: Final = 60
LINGER_S: Final = 0.05
"""How long a page that is not full waits for what the server has announced."""

ANSWER_S: Final = 2.0
PAUSE_S_MIN: Final = 0.02
PAUSE_S_MAX: Final = 1.0
STREAM_NOT_FOUND: Final = 10059

_NANO: Final = 1_000_000_000

log = logging.getLogger(__name__)


class LogDamaged(Exception):
    """The log is not what its reader has seen of it: `reader` is the reader's position, `log` the log's."""

    def __init__(self, reader: int, log: int, finding: str) -> None:
        super().__init__(finding)
        self.reader, self.log = reader, log


class _Lost(Exception):
    """This consumer will not go on; the next one will."""


class _State(msgspec.Struct, frozen=True):
    first_seq: int
    last_seq: int


class _Stream(msgspec.Struct, frozen=True):
    state: _State | None = None
    error: Error | None = None


class _Made(msgspec.Struct, frozen=True):
    num_pending: int = 0
    error: Error | None = None


async def follow(nc: Client, wire: Wire, after: int, kinds: Sequence[str]) -> AsyncGenerator[Page, None]:
    """Every event behind the position `after`, and then as they come.

    Raises LogDamaged when an event is missing on the log or its end is before `after`, Unavailable when there is no log
    or no way to it: the connection is closed for good, or not permitted to read.
    """
    position, has_begun, pause = after, False, PAUSE_S_MIN
    while True:
        consumer = _Consumer(nc, wire, position, kinds)
        try:
            pending = await consumer.open(must_exist=not has_begun)
            if not has_begun and not pending:
                yield Page((), 0)
            has_begun = True
            while True:
                page = await consumer.next()
                position, pause = page.recorded[-1].position, PAUSE_S_MIN
                yield page
        except (_Lost, Silent, Undone, errors.Error, OSError) as why:
            if nc.is_closed:
                raise Unavailable("the connection to the log is closed") from why
            if isinstance(why, Undone) and why.is_final:
                raise Unavailable(str(why)) from why
            log.warning("consumer lost, another is made: position=%s reason=%s", position, why)
        finally:
            await consumer.close()
        await asyncio.sleep(pause)
        pause = min(2 * pause, PAUSE_S_MAX)


class _Consumer:
    def __init__(self, nc: Client, wire: Wire, after: int, kinds: Sequence[str]) -> None:
        self._nc, self._wire = nc, wire
        self._position = after
        self._delivered = 0
        self._filters = [subjects.events(kind) for kind in kinds]
        self._name = f"follow-{secrets.token_hex(8)}"
        self._inbox = nc.new_inbox()
        self._subscription: Subscription | None = None
        self._reconnects = nc.stats["reconnects"]
        self._here: deque[Msg] = deque()
        self._asked = 0
        self._enough = 1
        self._wake = asyncio.Event()
        self._heard_at = 0.0
        self._ended = ""

    async def open(self, *, must_exist: bool) -> int:
        """Make it; return how many events there are to deliver."""
        if not self._nc.is_connected:
            raise _Lost("not connected")
        await self._check_log(must_exist)
        self._subscription = await self._nc.subscribe(
            self._inbox, cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        config: dict[str, Any] = {
            "name": self._name,
            "ack_policy": "none",
            # A start beyond the end would be moved back to the end in silence; _check_log has excluded it.
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._position + 1,
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": INACTIVE_S * _NANO,
        }
        if self._filters:
            config["filter_subjects"] = self._filters
        made = await self._wire.ask_json(
            f"$JS.API.CONSUMER.CREATE.{subjects.LOG}.{self._name}",
            {"stream_name": subjects.LOG, "config": config, "action": "create"},
            _Made,
            timeout=ANSWER_S,
        )
        if made.error is not None:
            raise _Lost(made.error.description)
        self._heard_at = asyncio.get_running_loop().time()
        await self._pull()
        return made.num_pending

    async def next(self) -> Page:
        """What is here; when nothing is, what comes next."""
        # Whoever reads may have been away for long: only what is not heard from here on is silence.
        self._heard_at = max(self._heard_at, asyncio.get_running_loop().time())
        await self._pull()
        while not self._here:
            if self._ended:
                raise _Lost(self._ended)
            asked_at = asyncio.get_running_loop().time()
            await self._wait(1, HEARTBEAT_S)
            now = asyncio.get_running_loop().time()
            if now > asked_at + 2 * HEARTBEAT_S:
                self._heard_at = now  # the loop was held up, and what has come since is not read yet
            self._require_alive()
            await self._pull()
        # More is on its way: one large page costs its reader less than many small ones.
        announced = _pending(self._here[-1])
        if announced and len(self._here) < PAGE:
            await self._wait(min(PAGE, len(self._here) + announced), LINGER_S)
        return self._take()

    async def close(self) -> None:
        if self._subscription is None or self._nc.is_closed:
            return
        try:
            await self._subscription.unsubscribe()
            if self._nc.is_connected:
                # Nobody waits for the answer: if it is lost, the server forgets the consumer after INACTIVE_S.
                delete = f"$JS.API.CONSUMER.DELETE.{subjects.LOG}.{self._name}"
                await self._nc.publish(delete, reply=f"{self._inbox}.deleted")
        except (errors.Error, OSError):
            pass

    async def _check_log(self, must_exist: bool) -> None:
        info = await self._wire.ask_json(f"$JS.API.STREAM.INFO.{subjects.LOG}", None, _Stream, timeout=ANSWER_S)
        if info.error is not None and info.error.err_code == STREAM_NOT_FOUND and must_exist:
            raise Unavailable(f"there is no stream {subjects.LOG} on this server: provision it")
        if info.state is None:
            raise _Lost(info.error.description if info.error else "no information on the log")
        first, last = info.state.first_seq, info.state.last_seq
        if last < self._position:
            raise LogDamaged(
                self._position, last, f"the log ends at position {last}, and its reader is at {self._position} already"
            )
        if first > self._position + 1:
            raise LogDamaged(
                self._position, first, f"the log begins at position {first}, and its reader needs {self._position + 1}"
            )

    async def _pull(self) -> None:
        while self._asked + len(self._here) <= PAGE:
            self._asked += PAGE
            question = {
                "batch": PAGE,
                "max_bytes": PULL_BYTES_MAX,
                "expires": PULL_S * _NANO,
                "idle_heartbeat": int(HEARTBEAT_S * _NANO),
            }
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.LOG}.{self._name}"
            await self._nc.publish(subject, msgspec.json.encode(question), reply=self._inbox)

    async def _hear(self, msg: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if msg.reply:
            self._asked -= 1
            self._here.append(msg)
            if len(self._here) >= self._enough:
                self._wake.set()
            return
        headers = msg.headers or {}
        status, description = headers.get("Status", ""), headers.get("Description", "")
        if status == "100":
            return
        unfilled = headers.get("Nats-Pending-Messages")
        if unfilled is not None and status in ("408", "409"):
            # One pull has run its time or has its bytes; the next is asked for.
            self._asked -= int(unfilled)
        else:
            # Consumer deleted, server shutting down, leadership changed, nobody there.
            self._ended = f"{status} {description}".strip()
        self._wake.set()

    async def _wait(self, enough: int, seconds: float) -> None:
        self._enough = enough
        if len(self._here) >= enough:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            self._enough = 1

    def _require_alive(self) -> None:
        if self._here:
            return
        if not self._nc.is_connected:
            raise _Lost("the connection was lost")
        if self._nc.stats["reconnects"] != self._reconnects:
            raise _Lost("the connection was lost and is back")
        if asyncio.get_running_loop().time() - self._heard_at > SILENCE_S_MAX:
            raise _Lost(f"no heartbeat for {SILENCE_S_MAX:g} s")

    def _take(self) -> Page:
        taken: list[Recorded] = []
        pending = 0
        while self._here and len(taken) < PAGE:
            msg = self._here[0]
            position, delivered, nanoseconds, left = _place(msg.reply)
            follows = delivered == self._delivered + 1 and (self._filters or position == self._position + 1)
            if not follows:
                if taken:
                    break
                self._miss(position, delivered)
            self._here.popleft()
            self._position, self._delivered, pending = position, delivered, left
            taken.append(recorded(position, at(nanoseconds), subjects.event_stream(msg.subject), msg.data))
        return Page(taken, pending)

    def _miss(self, position: int, delivered: int) -> None:
        if delivered == 1:
            # A consumer begun at the very event gives another one: it is not on the log.
            raise LogDamaged(
                self._position,
                position,
                f"the log has no event at position {self._position + 1}, where its reader goes on, but at {position}",
            )
        raise _Lost(f"position {position} came after {self._position}")


def _place(reply: str) -> tuple[int, int, int, int]:
    """Position, how many the consumer has delivered, nanoseconds since 1970, how many are left: of a delivery's token.

    `$JS.ACK.<stream>.<consumer>.<times>.<position>.<delivered>.<nanoseconds>.<left>`, or with a domain and an account
    behind `$JS.ACK`, and then something random at the end.
    """
    tokens = reply.split(".")
    start = 5 if len(tokens) == 9 else 7
    position, delivered, nanoseconds, left = tokens[start : start + 4]
    return int(position), int(delivered), int(nanoseconds), int(left)


def _pending(msg: Msg) -> int:
    return _place(msg.reply)[3]
