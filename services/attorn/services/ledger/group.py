"""Group commit: what is in flight at one moment goes to the log together, as one atomic batch.

One server writes a single message to its disk before it takes the next one, and a batch of a thousand as fast as four
single ones. So while one batch is on its way, what comes meanwhile is gathered for the next. There is no timer: a
lone append never waits for company.

    BREAK_EVEN appends or more     one batch, each append behind its own guard
    fewer                          one publish each, all at once, without waiting for one another

A batch is sent as it comes together, CHUNK messages at a time, so that the server takes in its beginning while the rest
is still being decided on; its last message commits it. A batch is stored whole or not at all. When one of its appends
is refused, it is halved until that one stands alone, so that it alone fails: the others are recorded. Nobody learns
here what became of an append whose answer is lost; each author finds out by reading the place (outcome.py).
"""

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from nats.aio.msg import Msg

from attorn.contracts.ledger import BATCH_MAX
from attorn.services.ledger import measures
from attorn.services.ledger.outcome import Repeated, acknowledged, concerns_one
from attorn.services.ledger.wire import Denied, Silent, Undone, Waiting, Wire, publish
from attorn.services.patience import left

BREAK_EVEN: Final = 12
"""From so many messages on, one batch is faster than a publish for each."""

BATCHES_MAX: Final = 2
"""How many batches are on their way at once: while the server commits one, the next is made. More are no faster."""

CHUNK: Final = 16
"""So many messages that wait begin a batch, or go on with it, although more may come in this very turn of the loop."""

EAGER: Final = 256
"""A batch of so many is committed although more may come: the server stores them while the next is made."""

BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
"""One append that is larger goes alone."""

BATCH_HEADER_BYTES: Final = 120
"""What the headers of a batch add to a message, at most."""


class Message(NamedTuple):
    """One message to store. `headers` are lines that end in CRLF: its guard, its id; it may have none."""

    subject: str
    headers: str
    body: bytes


class Parcel:
    """The messages of one append, to be stored together or not at all, and the position of the last as it comes."""

    __slots__ = ("bytes_", "messages", "position")

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.bytes_ = 0
        for message in messages:
            self.bytes_ += len(message.body) + len(message.headers)
        self.position: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def fail(self, why: Exception) -> None:
        if not self.position.done():
            self.position.set_exception(why)


_Batch: TypeAlias = list[Parcel]


class _Open:
    """A batch that has begun, and can still be added to: nothing of it is stored before its last message is there."""

    __slots__ = ("batch", "bytes_", "id", "messages", "reply", "subjects", "waiting")

    def __init__(self, id: str, reply: str) -> None:
        self.id, self.reply = id, reply
        self.batch: _Batch = []
        self.subjects: list[str] = []
        self.messages = self.bytes_ = 0
        self.waiting: Waiting | None = None


class Group:
    """Sends what its callers hand in over `wire`; an answer is waited for `timeout` seconds."""

    def __init__(self, wire: Wire, timeout: float) -> None:
        self._wire, self._timeout = wire, timeout
        self._waiting: deque[Parcel] = deque()
        self._messages = 0
        self._halves: deque[_Batch] = deque()
        self._batches = self._singles = 0
        self._is_due = False
        self._open: _Open | None = None
        self._ids = (f"{secrets.token_urlsafe(6)}.{number}" for number in itertools.count(1))

    async def store(self, messages: Sequence[Message]) -> int:
        """The position of the last of `messages`. Raises Undone, Repeated, or Silent: then they may be stored."""
        parcel = Parcel(messages)
        if parcel.bytes_ + BATCH_HEADER_BYTES > self._wire.message_bytes_max:
            for message in messages:
                self._wire.require_small(len(message.body) + len(message.headers) + BATCH_HEADER_BYTES)
        if not self._wire.is_open:
            await self._wire.open()
        self._waiting.append(parcel)
        self._messages += len(messages)
        if not self._is_due:
            # Whoever was answered in this turn of the loop asks again in it, and comes along.
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._due)
        elif self._messages >= CHUNK:
            self._stream()
        patience = left(self._timeout)
        if patience == self._timeout:
            return await parcel.position
        # The others in its batch wait as long as they like; its author has less time.
        late = Silent(f"no answer from the log within {patience:g} s")
        alarm = asyncio.get_running_loop().call_later(patience, parcel.fail, late)
        try:
            return await parcel.position
        finally:
            alarm.cancel()

    def _due(self) -> None:
        self._is_due = False
        self._pump()

    def _pump(self) -> None:
        """Send as much of what waits as makes sense now."""
        if self._open is not None:
            self._commit(self._open)
        while self._halves and self._batches < BATCHES_MAX:
            self._send(self._halves.popleft())
        while self._waiting and not self._halves:
            if self._messages >= BREAK_EVEN or len(self._waiting[0].messages) > 1:
                if self._batches >= BATCHES_MAX:
                    return
                self._send(self._next_batch())
            elif self._batches or self._singles + self._messages > BREAK_EVEN:
                # They would wait at the server for what is on its way; when that is back, there may be more of them.
                return
            else:
                self._send(self._next_batch())

    def _stream(self) -> None:
        """Send what waits, but for the last, as the beginning of a batch: the server takes it in meanwhile."""
        open = self._open
        if open is None:
            if self._halves or self._batches >= BATCHES_MAX:
                return
            open = _Open(next(self._ids), self._wire.new_reply())
        kept = self._waiting.pop()
        self._messages -= len(kept.messages)
        added = self._fill(open, BATCH_MAX // 2)
        self._waiting.append(kept)
        self._messages += len(kept.messages)
        if added:
            self._send_on(open, added, is_last=False)
            if self._open is open and open.messages >= EAGER:
                self._commit(open)

    def _commit(self, open: _Open) -> None:
        self._open = None
        if added := self._fill(open, BATCH_MAX):
            self._send_on(open, added, is_last=True)
            return
        # Who was to be its last has gone, or does not fit in. It is never committed, and goes again as another.
        if open.waiting is not None:
            self._wire.forget(open.waiting)
        self._batches -= 1
        self._halves.append(open.batch)

    def _send_on(self, open: _Open, added: _Batch, *, is_last: bool) -> None:
        reply = open.reply if is_last else ""
        frames = _batch_frames(added, open.id, reply, open.messages - sum([len(each.messages) for each in added]))
        try:
            if open.waiting is None:
                self._batches += 1
                self._open = open
                open.waiting = self._wire.post(
                    frames, open.reply, open.subjects, lambda told: self._told(open, told), timeout=self._timeout
                )
            else:
                self._wire.send(b"".join(frames))
        except Undone as undone:
            # Without its end it is nothing.
            if open.waiting is not None:
                self._wire.forget(open.waiting)
            self._told(open, undone)

    def _told(self, open: _Open, outcome: list[Msg] | Exception) -> None:
        if self._open is open:
            self._open = None  # something came in between, and it was never committed
        self._batches -= 1
        self._settle(open.batch, outcome)
        if self._waiting or self._halves:
            self._pump_soon()

    def _next_batch(self) -> _Batch:
        """The first that wait, as many as one batch holds."""
        open = _Open("", "")
        self._fill(open, BATCH_MAX)
        return open.batch

    def _fill(self, open: _Open, messages_max: int) -> _Batch:
        """Move into `open` the first that wait, and return them; of each subject one, since only one can be guarded."""
        added: _Batch = []
        passed_over: list[Parcel] = []
        taken = set(open.subjects)
        while self._waiting:
            parcel = self._waiting.popleft()
            count = len(parcel.messages)
            if parcel.position.done():
                self._messages -= count  # its author has gone
                continue
            is_full = open.messages + count > messages_max or open.bytes_ + parcel.bytes_ > BATCH_BYTES_MAX
            if open.batch and is_full:
                self._waiting.appendleft(parcel)
                break
            subjects = [message.subject for message in parcel.messages]
            if not taken.isdisjoint(subjects):
                passed_over.append(parcel)
                continue
            taken.update(subjects)
            open.subjects += subjects
            open.batch.append(parcel)
            added.append(parcel)
            open.messages += count
            open.bytes_ += parcel.bytes_
            self._messages -= count
        self._waiting.extendleft(reversed(passed_over))
        return added

    def _send(self, batch: _Batch) -> None:
        count = sum([len(parcel.messages) for parcel in batch])
        if count == len(batch) < BREAK_EVEN:
            for parcel in batch:
                self._post([parcel], is_batch=False)
        elif batch:
            self._post(batch, is_batch=True)

    def _post(self, batch: _Batch, *, is_batch: bool) -> None:
        reply = self._wire.new_reply()
        frames = _batch_frames(batch, next(self._ids), reply, 0) if is_batch else _single_frame(batch[0], reply)

        def tell(outcome: list[Msg] | Exception) -> None:
            if is_batch:
                self._batches -= 1
            else:
                self._singles -= 1
            self._settle(batch, outcome)
            if self._waiting or self._halves:
                self._pump_soon()

        subjects = [message.subject for parcel in batch for message in parcel.messages]
        try:
            self._wire.post(frames, reply, subjects, tell, timeout=self._timeout)
        except Undone as undone:
            _fail(batch, undone)
            return
        if is_batch:
            self._batches += 1
        else:
            self._singles += 1

    def _pump_soon(self) -> None:
        # Those who have just been told ask again at once, if they do, and come along.
        if not self._is_due:
            self._is_due = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._due)

    def _settle(self, batch: _Batch, outcome: list[Msg] | Exception) -> None:
        try:
            last = _position(outcome, batch)
        except Denied as denied:
            # A batch that lacks a message is never committed: the others go again, without what is not permitted.
            others = [parcel for parcel in batch if not _has(parcel, denied.subject)]
            _fail([parcel for parcel in batch if _has(parcel, denied.subject)], denied)
            if others:
                self._halves.append(others)
        except (Undone, Repeated) as refusal:
            if len(batch) > 1 and concerns_one(refusal):
                half = len(batch) // 2
                self._halves += (batch[:half], batch[half:])
            else:
                _fail(batch, refusal)
        except Silent as silent:
            _fail(batch, silent)
        else:
            count = sum([len(parcel.messages) for parcel in batch])
            for tell in measures.batch:
                tell(count)
            position = last - count
            for parcel in batch:
                position += len(parcel.messages)
                if not parcel.position.done():
                    parcel.position.set_result(position)


def _position(outcome: list[Msg] | Exception, batch: _Batch) -> int:
    """The position of the last message of `batch`."""
    if isinstance(outcome, Exception):
        raise outcome
    [msg] = outcome
    if msg.headers and msg.headers.get("Status") == "503":
        raise Undone(f"nobody answers on {batch[-1].messages[-1].subject}")
    return acknowledged(msg)


def _has(parcel: Parcel, subject: str) -> bool:
    return any(message.subject.lower() == subject for message in parcel.messages)


def _fail(batch: _Batch, why: Exception) -> None:
    for parcel in batch:
        # An exception of one's own for each: who raises it adds to its traceback.
        parcel.fail(why.with_traceback(None) if len(batch) == 1 else _copy(why))


def _copy(why: Exception) -> Exception:
    match why:
        case Denied(subject=subject):
            return Denied(subject)
        case Undone():
            return Undone(str(why), is_final=why.is_final, code=why.code)
        case Repeated():
            return Repeated(why.position)
        case _:
            return Silent(str(why))


def _single_frame(parcel: Parcel, reply: str) -> list[bytes]:
    [(subject, headers, body)] = parcel.messages
    return [publish(subject, reply, f"NATS/1.0\r\n{headers}\r\n" if headers else "", body)]


def _batch_frames(batch: _Batch, id: str, reply: str, before: int) -> list[bytes]:
    """The messages of `batch` behind the first `before` of it; with `reply`, the last one commits it."""
    messages = [message for parcel in batch for message in parcel.messages]
    frames = [
        publish(
            subject,
            "",
            f"NATS/1.0\r\nNats-Batch-Id: {id}\r\nNats-Batch-Sequence: {number}\r\n{headers}\r\n",
            body,
        )
        for number, (subject, headers, body) in enumerate(messages, before + 1)
    ]
    if reply:
        subject, headers, body = messages[-1]
        number = before + len(messages)
        above = f"NATS/1.0\r\nNats-Batch-Id: {id}\r\nNats-Batch-Sequence: {number}\r\nNats-Batch-Commit: 1\r\n"
        frames[-1] = publish(subject, reply, f"{above}{headers}\r\n", body)
    return frames
