"""The relay: every event of the log once more, in order, the same bytes, under subjects that subscribers can choose by.

The stream ATTORN_FEED is numbered as the log is: the message with sequence number n is the event at position n (its
header `Attorn-Position` says so too), because each is stored only directly behind the one before it. So there is
nothing to remember and nothing to do twice: how far the relay has come is the feed's own last sequence number. Whatever
is killed, at whatever moment, an event that is on the feed is not stored there again, and none is left out.

How to subscribe without a race: read the `escalations` view, which says the position that it is at, and make a durable
pull consumer on ATTORN_FEED with the filter `attorn.escalation.>` and `opt_start_seq` that position + 1. The filter may
be as narrow as one likes: `attorn.escalation.critical.refunds.>` are the critical ones of one process,
`attorn.feed.work.completed.>` is all work that was completed. What a subscriber does not acknowledge is delivered
again; after a broker that was killed so may be what it had just acknowledged: the sequence number tells.

The feed is kept for a time (90 days): what is older is gone from it, and the numbers stay. It may be deleted and
provisioned again; then it is written again from position 1 on or, when provisioned with a `first_seq`, from there.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from time import time_ns
from typing import Final, TypeAlias

import msgspec
from nats import errors
from nats.aio.client import Client

from attorn.contracts import subjects
from attorn.contracts.envelope import Recorded
from attorn.contracts.ledger import Ledger
from attorn.contracts.refusal import Unavailable
from attorn.services import traces
from attorn.services.ledger.outcome import WRONG_LAST
from attorn.services.ledger.wire import Error, Silent, Undone, Wire
from attorn.services.relay.feed import About, evolve, is_escalation, subject

log = logging.getLogger("attorn.relay")

GUARD: Final = "Nats-Expected-Last-Sequence"
POSITION: Final = "Attorn-Position"

BURST_EVENTS_MAX: Final = 500
BURST_BYTES_MAX: Final = 4 * 1024 * 1024
"""What is in flight at once; the server drops what piles up beyond its own limit, and then all of it comes again."""

ANSWER_S: Final = 5.0
PAUSE_S_MIN: Final = 0.05
PAUSE_S_MAX: Final = 1.0
LOOK_S: Final = 5.0
BEHIND_S_MAX: Final = 2.0
"""How long a log that ends before the feed may be a replica that is late."""

ABOUTS_MAX: Final = 8_192
NO_MESSAGE: Final = 10037
_REMEDY: Final = "delete the feed and provision it again, then it is written anew"

_Message: TypeAlias = tuple[str, bytes, dict[str, str]]


class NotItsFeed(Exception):
    """The feed holds what the log does not."""


class _Overtaken(Exception):
    """Somebody else has written to the feed, or it has lost its end: how far it has come has to be looked up again."""


class _State(msgspec.Struct, frozen=True):
    messages: int = 0
    last_seq: int = 0


class _Kept(msgspec.Struct, frozen=True):
    data: bytes = b""


class _Answer(msgspec.Struct, frozen=True):
    """What JetStream says of a stream, of a message, or of a publish."""

    state: _State | None = None
    message: _Kept | None = None
    seq: int = 0
    error: Error | None = None


class _Reconnected(Exception):
    """The connection was lost and is back: what was acknowledged may be gone."""


class Progress:
    """How far a relay has come, for whoever looks: `trouble` is what it waits for, if it does, and cannot help.

    `writes`: it writes to the feed what comes, unless another one is faster; then it stands by.
    """

    def __init__(self) -> None:
        self.position = 0
        self.writes = False
        self.trouble = ""


async def run(ledger: Ledger, nc: Client, progress: Progress | None = None) -> None:
    """Relay without end. Raises NotItsFeed when the log is shorter than the feed, or another one than it was made from.

    Any number of these may run at once: one writes, the others look about once a second whether it still does.
    """
    progress = progress or Progress()
    relay = _Relay(ledger, nc, progress)
    pause, overtaken = PAUSE_S_MIN, False
    while True:
        begun_at = relay.position
        try:
            if overtaken:
                await relay.until_needed()
            overtaken = False
            await relay.until_overtaken()
        except _Overtaken as why:
            log.info("relay stands by", extra={"position": relay.position, "reason": str(why)})
            overtaken, progress.writes, progress.trouble = True, False, ""
            continue
        except _Reconnected:
            # No trouble: it goes on at once, from where the feed ends now.
            log.info("relay looks again, its connection is back", extra={"position": relay.position})
        except (Unavailable, Silent, Undone, errors.Error, OSError) as why:
            if nc.is_closed:
                raise
            reason = str(why) or type(why).__name__
            if relay.position != begun_at:
                pause = PAUSE_S_MIN
            if reason != progress.trouble:  # once, not every second
                log.warning("relay waits", extra={"position": relay.position, "reason": reason})
                progress.trouble = reason
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_S_MAX)


class _Relay:
    def __init__(self, ledger: Ledger, nc: Client, progress: Progress) -> None:
        self._ledger, self._nc = ledger, nc
        self._progress = progress
        self._wire = Wire(nc)
        self._abouts: OrderedDict[str, About] = OrderedDict()

    @property
    def position(self) -> int:
        return self._progress.position

    @position.setter
    def position(self, position: int) -> None:
        # Whatever it waited for has come.
        self._progress.position, self._progress.trouble = position, ""

    async def until_overtaken(self) -> None:
        """Write to the feed what it lacks, and then what comes."""
        self._require_connected()
        reconnects = self._nc.stats["reconnects"]
        self.position, last = await self._look()
        # What is known of work items may be from events behind this position, when the feed has lost its end.
        self._abouts.clear()
        self._progress.writes = True
        log.info("relay writes", extra={"position": self.position, "feed": subjects.FEED})
        writing = asyncio.create_task(self._write(last), name="relay writing")
        try:
            await self._watch(writing, reconnects)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        await writing

    async def _watch(self, writing: asyncio.Task[None], reconnects: int) -> None:
        """Return when `writing` is done. Raises _Reconnected when the feed may have lost its end, Undone when it has.

        It is not waited for on the disk: a server that was killed, or an administrator, can take away what was
        acknowledged, and subscribers need not wait for a new event to get it back.
        """
        now = asyncio.get_running_loop().time
        looked_at = now()
        while not writing.done():
            await asyncio.wait({writing}, timeout=PAUSE_S_MAX)
            if self._nc.stats["reconnects"] != reconnects:
                raise _Reconnected
            if now() > looked_at + LOOK_S and not writing.done():
                written, looked_at = self.position, now()
                feed = await self._state()
                if feed.last_seq < written:
                    raise Undone(f"stream {subjects.FEED} ends at {feed.last_seq}, and was written up to {written}")

    async def until_needed(self) -> None:
        """Stand by: return when the feed is not where the log is, and did not move from one look to the next."""
        pause, seen = PAUSE_S_MIN, -1
        while True:
            await asyncio.sleep(pause)
            self._require_connected()
            feed, end = await asyncio.gather(self._state(), self._ledger.last())
            if feed.last_seq != end and feed.last_seq == seen:
                return
            self.position = seen = feed.last_seq
            pause = min(2 * pause, PAUSE_S_MAX)

    async def _look(self) -> tuple[int, bytes | None]:
        """How far the feed has come, and its last message where there is one. Raises NotItsFeed."""
        patience = asyncio.get_running_loop().time() + BEHIND_S_MAX
        while True:
            feed = await self._state()
            end = await self._ledger.last()
            if feed.last_seq <= end:
                break
            if asyncio.get_running_loop().time() > patience:
                raise NotItsFeed(
                    f"the feed {subjects.FEED} ends at position {feed.last_seq} and the log {subjects.LOG} at {end}: "
                    f"the log has gone back, or is another one; {_REMEDY}"
                )
            await asyncio.sleep(PAUSE_S_MAX)
        if not feed.messages:
            return feed.last_seq, None
        kept = await self._ask(f"$JS.API.STREAM.MSG.GET.{subjects.FEED}", {"seq": feed.last_seq})
        if kept.error is not None and kept.error.err_code != NO_MESSAGE:
            raise Undone(f"stream {subjects.FEED}: {kept.error.description}")
        return feed.last_seq, kept.message.data if kept.message is not None else None

    async def _write(self, last: bytes | None) -> None:
        """Follow the log behind this position; `last`, the feed's last message, must be the log's event there."""
        start = self.position - 1 if last is not None else self.position
        async with aclosing(self._ledger.follow(after=start)) as pages:
            async for page in pages:
                recorded = page.recorded
                if last is not None and recorded:
                    if recorded[0].body != last:
                        raise NotItsFeed(
                            f"the feed {subjects.FEED} has another event at position {self.position} than the log "
                            f"{subjects.LOG}: the log is another one; {_REMEDY}"
                        )
                    last, recorded = None, recorded[1:]
                await self._publish(recorded)

    async def _publish(self, recorded: Sequence[Recorded]) -> None:
        for burst in _bursts(recorded):
            began = time_ns() if traces.is_on() else 0
            *before, (its_subject, body, headers) = [await self._message(each) for each in burst]
            # Each is stored only behind the one before it, so the answer to the last is the answer to all of them.
            self._require_connected()
            [msg] = await self._wire.ask(its_subject, body, headers, timeout=ANSWER_S, before=before)
            answer = msgspec.json.decode(msg.data, type=_Answer)
            if answer.error is not None:
                if answer.error.err_code in WRONG_LAST:
                    raise _Overtaken(answer.error.description)
                raise Undone(f"stream {subjects.FEED}: {answer.error.description}")
            assert answer.seq == burst[-1].position, f"position {burst[-1].position} is stored as {answer.seq}"
            self.position = answer.seq
            if began:
                for each in burst:
                    about = {"attorn.position": each.position, "attorn.type": each.event.type}
                    traces.mark("relay", each.event.traceparent, began, time_ns(), **about)

    async def _message(self, recorded: Recorded) -> _Message:
        position = recorded.position
        headers = {GUARD: str(position - 1), POSITION: str(position)}
        return subject(recorded.event, await self._about(recorded)), recorded.body, headers

    async def _about(self, recorded: Recorded) -> About:
        """What was known of its work item just before the event; nothing when its subject does not need it."""
        stream, event = recorded.stream, recorded.event
        about = self._abouts.get(stream)
        if about is None:
            if event.version == 1 and stream.startswith("work/"):
                about = About()
            elif is_escalation(event):
                about = About()
                for earlier in await self._ledger.read(stream):
                    if earlier.position < recorded.position:
                        about = evolve(about, earlier.event)
            else:
                return About()
        # Kept up to date from here on, so that an item is read once, when its beginning is long ago.
        self._abouts[stream] = evolve(about, event)
        self._abouts.move_to_end(stream)
        if len(self._abouts) > ABOUTS_MAX:
            self._abouts.popitem(last=False)
        return about

    async def _state(self) -> _State:
        answer = await self._ask(f"$JS.API.STREAM.INFO.{subjects.FEED}", None)
        if answer.state is None:
            raise Undone(f"stream {subjects.FEED}: {answer.error.description if answer.error else 'no information'}")
        return answer.state

    async def _ask(self, question_subject: str, question: dict[str, int] | None) -> _Answer:
        return await self._wire.ask_json(question_subject, question, _Answer, timeout=ANSWER_S)

    def _require_connected(self) -> None:
        # What is published without a connection is kept by the client, and sent whenever there is one again.
        if not self._nc.is_connected:
            raise Undone("not connected")


def _bursts(recorded: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
    """`recorded` in parts, none with more events or bytes than may be in flight."""
    start = size = 0
    for index, each in enumerate(recorded):
        if index > start and (index - start == BURST_EVENTS_MAX or size + len(each.body) > BURST_BYTES_MAX):
            yield recorded[start:index]
            start, size = index, 0
        size += len(each.body)
    if start < len(recorded):
        yield recorded[start:]
