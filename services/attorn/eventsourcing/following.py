"""Following a stream without end: one pull consumer after the other, each begun behind the last message handed out.

The consumer keeps nothing that matters. When it is lost, with the connection or the server, another is made; no message
is missed, and none is handed out twice.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import msgspec
from nats import errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from attorn.contracts.refusal import Unavailable
from attorn.eventsourcing.stream import Message, Stream
from attorn.services.ledger.follow import HEARTBEAT_S, INACTIVE_S, PAUSE_S_MAX, PAUSE_S_MIN, PULL_S, SILENCE_S_MAX
from attorn.services.ledger.wire import Error, Silent, Undone

PULL: Final = 500
"""How many messages one pull asks for; the next one is sent when half of it is used, so at most three halves wait."""

_NANO: Final = 1_000_000_000

log = logging.getLogger(__name__)


class _Lost(Exception):
    """This consumer will not go on; the next one will."""


class _Made(msgspec.Struct, frozen=True):
    error: Error | None = None


async def pages(stream: Stream, subject: str, after: int) -> AsyncGenerator[list[Message], None]:
    """The messages of `subject` behind the position `after`, and then as they come.

    Raises Unavailable when the connection is closed for good, or not permitted to read.
    """
    position, pause = after, PAUSE_S_MIN
    while True:
        consumer = _Consumer(stream, subject, position)
        try:
            await consumer.open()
            while True:
                page = await consumer.next()
                # A start beyond the end was moved back to the end by the server.
                page = [message for message in page if message.position > position]
                if page:
                    position, pause = page[-1].position, PAUSE_S_MIN
                    yield page
        except (_Lost, Silent, Undone, errors.Error, OSError) as why:
            if stream.datastore.nc.is_closed:
                raise Unavailable("the connection to NATS is closed") from why
            if isinstance(why, Undone) and why.is_final:
                raise Unavailable(str(why)) from why
            log.warning("consumer lost, another is made: stream=%s position=%s reason=%s", stream.name, position, why)
        finally:
            await consumer.close()
        await asyncio.sleep(pause)
        pause = min(2 * pause, PAUSE_S_MAX)


class _Consumer:
    def __init__(self, stream: Stream, subject: str, after: int) -> None:
        self._stream, self._subject, self._after = stream, subject, after
        self._nc, self._wire = stream.datastore.nc, stream.datastore.wire
        self._name = f"es-{secrets.token_hex(8)}"
        self._inbox = self._nc.new_inbox()
        self._subscription: Subscription | None = None
        self._reconnects = self._nc.stats["reconnects"]
        self._here: deque[Msg] = deque()
        self._asked = self._delivered = 0
        self._wake = asyncio.Event()
        self._heard_at = 0.0
        self._ended = ""

    async def open(self) -> None:
        if not self._nc.is_connected:
            raise _Lost("not connected")
        self._subscription = await self._nc.subscribe(
            self._inbox, cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        config: Mapping[str, Any] = {
            "name": self._name,
            "ack_policy": "none",
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._after + 1,
            "filter_subject": self._subject,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": INACTIVE_S * _NANO,
        }
        name = self._stream.name
        made = await self._wire.ask_json(
            f"$JS.API.CONSUMER.CREATE.{name}.{self._name}.{self._subject}",
            {"stream_name": name, "config": config, "action": "create"},
            _Made,
            timeout=self._stream.datastore.timeout,
        )
        if made.error is not None:
            raise _Lost(made.error.description)
        self._heard_at = asyncio.get_running_loop().time()
        await self._pull()

    async def next(self) -> list[Message]:
        """What is here; when nothing is, what comes next."""
        # Whoever reads may have been away for long: only what is not heard from here on is silence.
        self._heard_at = max(self._heard_at, asyncio.get_running_loop().time())
        while not self._here:
            if self._ended:
                raise _Lost(self._ended)
            await self._pull()
            self._wake.clear()
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                self._require_alive()
        page = [self._placed(self._here.popleft()) for _ in range(len(self._here))]
        await self._pull()
        return page

    async def close(self) -> None:
        if self._subscription is None or self._nc.is_closed:
            return
        try:
            await self._subscription.unsubscribe()
            if self._nc.is_connected:
                # Nobody waits for the answer: if it is lost, the server forgets the consumer after INACTIVE_S.
                delete = f"$JS.API.CONSUMER.DELETE.{self._stream.name}.{self._name}"
                await self._nc.publish(delete, reply=f"{self._inbox}.deleted")
        except (errors.Error, OSError):
            pass

    async def _pull(self) -> None:
        if self._asked + len(self._here) > PULL // 2:
            return
        self._asked += PULL
        question = {"batch": PULL, "expires": PULL_S * _NANO, "idle_heartbeat": int(HEARTBEAT_S * _NANO)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream.name}.{self._name}"
        await self._nc.publish(subject, msgspec.json.encode(question), reply=self._inbox)

    async def _hear(self, msg: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        headers = msg.headers or {}
        if msg.reply:
            self._asked -= 1
            self._here.append(msg)
        elif headers.get("Status") == "100":
            return
        elif (unfilled := headers.get("Nats-Pending-Messages")) is not None:
            # One pull has run its time or has its bytes; the next is asked for.
            self._asked -= int(unfilled)
        else:
            self._ended = f"{headers.get('Status', '')} {headers.get('Description', '')}".strip()
        self._wake.set()

    def _placed(self, msg: Msg) -> Message:
        place = msg.metadata.sequence
        self._delivered += 1
        if place.consumer != self._delivered:
            raise _Lost(f"delivery {place.consumer} came in place of {self._delivered}")
        return Message(place.stream, msg.subject, msg.data)

    def _require_alive(self) -> None:
        if not self._nc.is_connected:
            raise _Lost("the connection was lost")
        if self._nc.stats["reconnects"] != self._reconnects:
            raise _Lost("the connection was lost and is back")
        if asyncio.get_running_loop().time() - self._heard_at > SILENCE_S_MAX:
            raise _Lost(f"no heartbeat for {SILENCE_S_MAX:g} s")
