"""Following the feed: every event from a position on, or what a durable consumer has not acknowledged yet.

The feed's sequence numbers are the positions of the log. So whoever keeps the position of what they have done with
their own results, in one transaction, misses nothing and does nothing twice, whatever is restarted when.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Final

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from attorn.contracts import codec, subjects
from attorn.contracts.envelope import Event
from attorn.contracts.refusal import Unavailable

EVERYTHING: Final = "attorn.>"
ESCALATIONS: Final = "attorn.escalation.>"

PAGE: Final = 200
FETCH_S: Final = 1.0
"""A fetch that is under way when the server goes away waits for all of this time."""

INACTIVE_S: Final = 60.0
PAUSE_S_MAX: Final = 2.0
ACK_WAIT_S: Final = 30.0


class Delivered(msgspec.Struct, frozen=True):
    """An event as the feed delivers it: `position` is its place on the log, `body` its bytes, to the letter."""

    position: int
    event: Event
    body: bytes

    @property
    def stream(self) -> str:
        return self.event.subject


class Held(msgspec.Struct, frozen=True):
    """What a durable consumer handed out, and waits to hear of: acknowledge it when it is done."""

    delivered: Delivered
    message: Msg

    async def done(self) -> None:
        """It is not handed out again. Waits until the broker has said so, or is gone: then it may be once more."""
        with suppress(errors.Error, TimeoutError):
            await self.message.ack_sync(timeout=2)

    async def working(self) -> None:
        """It takes longer: ACK_WAIT_S more before it is handed out again."""
        with suppress(errors.Error):
            await self.message.in_progress()

    async def later(self, within_s: float) -> None:
        """Not now: it is handed out again after so many seconds, to whoever asks then."""
        with suppress(errors.Error):
            await self.message.nak(within_s)


async def from_position(js: JetStreamContext, after: int, filters: Sequence[str]) -> AsyncGenerator[Delivered, None]:
    """Every event behind the position `after` whose subject matches a filter, in order, and then as they come.

    Each once, whatever restarts in between: the consumer keeps nothing, and is made again behind the last one.
    """
    last, pause = after, 0.05
    while True:
        config = ConsumerConfig(
            filter_subjects=list(filters),
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=last + 1,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=INACTIVE_S,
            mem_storage=True,
        )
        try:
            made = await js.add_consumer(subjects.FEED, config)
            consumer = await js.pull_subscribe_bind(made.name, subjects.FEED)
            try:
                while True:
                    for message in await _fetched(consumer):
                        found = delivered(message)
                        if found.position > last:
                            last = found.position
                            yield found
                    pause = 0.05
            finally:
                with suppress(errors.Error):
                    await consumer.unsubscribe()
                with suppress(errors.Error, JetStreamError, TimeoutError):
                    await js.delete_consumer(subjects.FEED, made.name)
        except (errors.Error, JetStreamError, TimeoutError, OSError) as error:
            await _lost(error, js, pause)
            pause = min(2 * pause, PAUSE_S_MAX)


async def of_durable(
    js: JetStreamContext, name: str, filters: Sequence[str], after: int | None
) -> AsyncGenerator[Held, None]:
    """What the durable consumer `name` has not acknowledged yet, one after the other, and then what comes.

    It is made where it is not, from behind `after` on, or from the first event that is still on the feed. One that is
    there goes on where it is; a broker with permissions may let its owner use it, and not make it.
    """
    async with aclosing(turns(js, name, filters, after)) as found:
        async for each in found:
            if each is not None:
                yield each


async def turns(
    js: JetStreamContext, name: str, filters: Sequence[str], after: int | None
) -> AsyncGenerator[Held | None, None]:
    """As `of_durable`, with None at the beginning, and for each second in which nothing came: time for other things."""
    pause = 0.05
    while True:
        try:
            try:
                await js.consumer_info(subjects.FEED, name)
            except NotFoundError:
                start = DeliverPolicy.ALL if after is None else DeliverPolicy.BY_START_SEQUENCE
                config = ConsumerConfig(
                    durable_name=name,
                    filter_subjects=list(filters),
                    deliver_policy=start,
                    opt_start_seq=None if after is None else after + 1,
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=ACK_WAIT_S,
                )
                await js.add_consumer(subjects.FEED, config)
            consumer = await js.pull_subscribe_bind(name, subjects.FEED)
            try:
                yield None
                while True:
                    fetched = await _fetched(consumer, 1)
                    for message in fetched:
                        yield Held(delivered(message), message)
                    if not fetched:
                        yield None
                    pause = 0.05
            finally:
                with suppress(errors.Error):
                    await consumer.unsubscribe()
        except (errors.Error, JetStreamError, TimeoutError, OSError) as error:
            await _lost(error, js, pause)
            pause = min(2 * pause, PAUSE_S_MAX)


def delivered(message: Msg) -> Delivered:
    """A message of the feed as an event with its position."""
    metadata = message.metadata
    at = metadata.timestamp.astimezone(UTC) if isinstance(metadata.timestamp, datetime) else None
    return Delivered(metadata.sequence.stream, codec.decode(message.data, recorded_at=at), message.data)


async def _fetched(consumer: JetStreamContext.PullSubscription, most: int = PAGE) -> list[Msg]:
    try:
        fetched = await consumer.fetch(most, timeout=FETCH_S)
    except TimeoutError:
        await asyncio.sleep(0.01)  # some refusals come as time-outs, and at once
        # Time-outs are also how a consumer that somebody deleted looks; asking for it tells.
        await consumer.consumer_info()
        fetched = []
    # Before Python 3.12 asyncio.wait_for, which the fetch is made of, loses a cancellation that comes together with a
    # message (python/cpython#86296): whoever was told to end would go on for ever.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    return fetched


async def _lost(error: BaseException, js: JetStreamContext, pause: float) -> None:
    nc: Client = js._nc
    if nc.is_closed:
        raise Unavailable("the connection is closed") from error
    if isinstance(error, JetStreamError) and not isinstance(error, NotFoundError) and getattr(error, "code", 0) == 400:
        raise Unavailable(f"the feed refuses: {error}") from error
    await asyncio.sleep(pause)
