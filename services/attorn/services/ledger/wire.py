"""Questions to the broker over one inbox, and every way to hear that no answer will come.

nats-py's own `request` knows one: waiting. That the broker denies a publish, or that the connection broke, comes here
through `on_error`, and those who wait are told at once. A server that keeps its connections and answers nothing is left
by the watchdog.
"""

import asyncio
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from attorn.services.ledger.watchdog import Watchdog
from attorn.services.patience import left

DENIED: Final = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE)
"""How the server says that somebody may not do what, and where."""

HELD_UP_S: Final = 0.1
"""An alarm that comes later than this says that the loop was held up."""

T = TypeVar("T")


class Silent(Exception):
    """No answer; what became of the question is not known."""


class Undone(Exception):
    """The question came to nothing, certainly. `is_final`: asking again will not help.

    `code` is JetStream's, where it was JetStream that said so.
    """

    def __init__(self, reason: str, *, is_final: bool = False, code: int = 0) -> None:
        super().__init__(reason)
        self.is_final, self.code = is_final, code


class Denied(Undone):
    """The broker does not let us publish to `subject`, which it names in lower case."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"not permitted to publish to {subject}", is_final=True)
        self.subject = subject.lower()


class Error(msgspec.Struct, frozen=True):
    """How JetStream says no."""

    code: int = 0
    err_code: int = 0
    description: str = ""


def size(body: bytes, headers: Mapping[str, str] | None) -> int:
    """How many bytes a message is to the server, which has a limit for them."""
    return len(body) + (len(_head(headers)) if headers else 0)


def publish(subject: str, reply: str, head: str, body: bytes) -> bytes:
    """A publish as it goes over the wire (NATS client protocol, PUB and HPUB); `head` is empty or begins NATS/1.0."""
    to = f"{subject} {reply}" if reply else subject
    if not head:
        return b"PUB %b %d\r\n%b\r\n" % (to.encode(), len(body), body)
    above = head.encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (to.encode(), len(above), len(above) + len(body), above, body)


def _head(headers: Mapping[str, str]) -> str:
    """`NATS/1.0`, each header on a line of its own, an empty line."""
    return "NATS/1.0\r\n" + "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) + "\r\n"


class Waiting:
    """Somebody who waits for an answer, and is told it, or why there is none: once, and then no more."""

    __slots__ = ("_is_answer", "_tell", "alarm", "concerning", "heard", "reply")

    def __init__(
        self,
        reply: str,
        concerning: Sequence[str],
        tell: Callable[[list[Msg] | Exception], None],
        is_answer: Callable[[Msg], bool] | None,
    ) -> None:
        self.reply, self.concerning = reply, concerning
        self.heard: list[Msg] = []
        self.alarm: asyncio.TimerHandle | None = None
        self._tell: Callable[[list[Msg] | Exception], None] | None = tell
        self._is_answer = is_answer

    def hear(self, msg: Msg) -> None:
        self.heard.append(msg)
        if self._is_answer is None or self._is_answer(msg):
            self.tell(self.heard)

    def tell(self, outcome: list[Msg] | Exception) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(outcome)


class Wire:
    """Asks over `nc`. Its owner passes on what the connection's error_cb hears."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._inbox = ""
        self._opening = asyncio.Lock()
        self._waiting: dict[str, Waiting] = {}
        self._numbers = itertools.count(1)
        self._watchdog = Watchdog(nc)

    async def ask(
        self,
        subject: str,
        payload: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        timeout: float,
        before: Sequence[tuple[str, bytes, dict[str, str]]] = (),
        until: Callable[[Msg], bool] | None = None,
    ) -> list[Msg]:
        """Publish, wait for the answer: the messages up to the one for which `until` holds.

        `before` is published first, in one go. Raises Undone or Silent.
        """
        await self.open()
        answer: asyncio.Future[list[Msg]] = asyncio.get_running_loop().create_future()

        def tell(outcome: list[Msg] | Exception) -> None:
            if answer.done():
                return  # who asked has been cancelled
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        reply = self.new_reply()
        messages = [
            *(publish(to, "", _head(its) if its else "", body) for to, body, its in before),
            publish(subject, reply, _head(headers) if headers else "", payload),
        ]
        for body, its in ((payload, headers), *((body, its) for _, body, its in before)):
            self.require_small(size(body, its))
        concerning = (subject, *(to for to, _, _ in before))
        waiting = self.post(messages, reply, concerning, tell, timeout=left(timeout), until=until)
        try:
            heard = await answer
        finally:
            self.forget(waiting)
        if heard[0].headers and heard[0].headers.get("Status") == "503":
            raise Undone(f"nobody answers on {subject}")
        return heard

    async def ask_json(self, subject: str, question: Mapping[str, Any] | None, answer: type[T], *, timeout: float) -> T:
        """The same with JSON on both sides, as the JetStream API has it."""
        payload = b"" if question is None else msgspec.json.encode(question)
        [msg] = await self.ask(subject, payload, timeout=timeout)
        return msgspec.json.decode(msg.data, type=answer)

    async def is_healthy(self) -> bool:
        """Whether the broker passes on a message to ourselves within a second.

        nats-py's flush would ask the same, but when it times out, the late PONG finds a cancelled future and ends the
        connection's read loop for good, while `is_connected` stays true (2.16).
        """
        echo: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def tell(outcome: list[Msg] | Exception) -> None:
            if not echo.done():
                echo.set_result(not isinstance(outcome, Exception))

        try:
            await self.open()
            reply = self.new_reply()
            waiting = self.post([publish(reply, "", "", b"")], reply, (), tell, timeout=1.0)
        except Undone:
            return False
        try:
            return await echo
        finally:
            self.forget(waiting)

    def on_error(self, error: Exception) -> None:
        """What the connection's error_cb was called with."""
        if (denied := DENIED.search(str(error))) and denied[1].lower() == "publish":
            # nats-py gives the subject in lower case.
            subject = denied[2].lower()
            self._fail_all(
                Denied(denied[2]),
                lambda waiting: any(each.lower() == subject for each in waiting.concerning),
            )
        elif isinstance(error, errors.UnexpectedEOF | errors.StaleConnectionError | OSError):
            self._watchdog.heard()
            self._fail_all(Silent("the connection was lost"), lambda waiting: True)

    # ---- what asking is made of, for those who ask for many at once

    async def open(self) -> None:
        """Make the inbox. Raises Undone."""
        if self._inbox:
            return
        async with self._opening:
            if not self._inbox:
                inbox = self._nc.new_inbox()
                try:
                    await self._nc.subscribe(f"{inbox}.*", cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
                except errors.Error as error:
                    raise Undone(f"not sent: {error}") from error
                self._inbox = inbox

    @property
    def is_open(self) -> bool:
        return bool(self._inbox)

    def new_reply(self) -> str:
        """Where one answer is to go."""
        return f"{self._inbox}.{next(self._numbers)}"

    @property
    def message_bytes_max(self) -> int:
        """The largest message that the broker takes, its headers among it."""
        return self._nc.max_payload

    def require_small(self, bytes_: int) -> None:
        """Raises Undone when a message of that size is more than the broker takes.

        The server counts the headers too, nats-py does not: it would send this, and the server would close the
        connection, for good and for everybody who is on it.
        """
        most = self._nc.max_payload
        if bytes_ > most:
            raise Undone(f"a message is larger than the broker takes ({most:,} bytes)", is_final=True)

    def post(
        self,
        messages: Iterable[bytes],
        reply: str,
        concerning: Sequence[str],
        tell: Callable[[list[Msg] | Exception], None],
        *,
        timeout: float,
        until: Callable[[Msg], bool] | None = None,
    ) -> Waiting:
        """Send `messages`, return at once; `tell` is called once with what came on `reply`, or with Silent or Denied.

        `concerning` are the subjects that were published to. Raises Undone when nothing was sent.
        """
        self.send(b"".join(messages))
        waiting = self._waiting[reply] = Waiting(reply, concerning, tell, until)
        self._watchdog.asked()
        loop = asyncio.get_running_loop()
        due = loop.time() + timeout

        def expire() -> None:
            if loop.time() > due + HELD_UP_S and waiting.alarm is alarm:
                # What held up the loop held up the answer too, which may be here, unread. Once more then, but shortly:
                # else a process that is busy over and over would hear nothing, for ever.
                waiting.alarm = loop.call_later(HELD_UP_S, expire)
                return
            self.forget(waiting)
            waiting.tell(Silent(f"no answer from the log within {timeout:g} s"))

        waiting.alarm = alarm = loop.call_at(due, expire)
        return waiting

    def forget(self, waiting: Waiting) -> None:
        """Wait no longer: an answer finds nobody."""
        if waiting.alarm is not None:
            waiting.alarm.cancel()
        self._waiting.pop(waiting.reply, None)

    def send(self, data: bytes) -> None:
        """Hand `data` to the connection behind all that waits there, and the whole to the kernel.

        This is what nats-py's publish and its flusher do between them, without a task, a queue and a turn of the loop
        for each message; the subscription of the inbox, which may still wait, goes out first. What is sent without a
        connection would be kept, and stored long after its author was told that it was not: that raises Undone.
        """
        nc = self._nc
        transport = nc._transport
        if not nc.is_connected or transport is None:
            raise Undone("not connected to the log")
        pending = nc._pending
        pending.append(data)
        nc._pending, nc._pending_data_size = [], 0
        nc.stats["out_msgs"] += 1
        nc.stats["out_bytes"] += len(data)
        try:
            transport.writelines(pending)
        except (OSError, RuntimeError) as error:
            raise Undone(f"not sent: {error}") from error

    async def _hear(self, msg: Msg) -> None:
        self._watchdog.heard()
        # An answer that comes too late finds nobody: who asked has looked for themselves since.
        if waiting := self._waiting.get(msg.subject):
            waiting.hear(msg)

    def _fail_all(self, why: Exception, whom: Callable[[Waiting], bool]) -> None:
        for waiting in [each for each in self._waiting.values() if whom(each)]:
            self.forget(waiting)
            waiting.tell(why)
