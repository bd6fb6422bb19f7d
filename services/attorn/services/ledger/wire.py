"""Questions to the broker over one inbox, and every way to hear that no answer will come.

nats-py's own `request` knows one: waiting. That the broker denies a publish, or that the connection broke, comes here
through `on_error`, and those who wait are told at once.
"""

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

_DENIED: Final = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)

HELD_UP_S: Final = 0.1
"""An alarm that comes later than this says that the loop was held up."""

T = TypeVar("T")


class Silent(Exception):
    """No answer; what became of the question is not known."""


class Undone(Exception):
    """The question came to nothing, certainly. `is_final`: asking again will not help."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Error(msgspec.Struct, frozen=True):
    """How JetStream says no."""

    code: int = 0
    err_code: int = 0
    description: str = ""


def size(body: bytes, headers: Mapping[str, str] | None) -> int:
    """How many bytes a message is to the server, which has a limit for them."""
    if not headers:
        return len(body)
    # `NATS/1.0`, each header on a line of its own, an empty line.
    return len(body) + 12 + sum(len(name) + len(value) + 4 for name, value in headers.items())


class _Waiting:
    def __init__(self, reply: str, concerning: Sequence[str], is_answer: Callable[[Msg], bool]) -> None:
        self.reply = reply
        self.concerning = concerning
        self.answer: asyncio.Future[list[Msg]] = asyncio.get_running_loop().create_future()
        self._is_answer = is_answer
        self._heard: list[Msg] = []

    def hear(self, msg: Msg) -> None:
        self._heard.append(msg)
        if self._is_answer(msg) and not self.answer.done():
            self.answer.set_result(self._heard)

    def fail(self, reason: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(reason)


class Wire:
    """Asks over `nc`. Its owner passes on what the connection's error_cb hears."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._inbox = ""
        self._opening = asyncio.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._numbers = itertools.count(1)

    async def ask(
        self,
        subject: str,
        payload: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        timeout: float,
        before: Sequence[tuple[str, bytes, dict[str, str]]] = (),
        until: Callable[[Msg], bool] = lambda msg: True,
    ) -> list[Msg]:
        """Publish, wait for the answer: the messages up to the one for which `until` holds.

        `before` is published first, in one go. Raises Undone or Silent.
        """
        await self._open()
        most = self._nc.max_payload
        # The server counts the headers too, nats-py does not: it would send this, and the server would close the
        # connection, for good and for everybody who is on it.
        if any(size(body, its) > most for _, body, its in (*before, (subject, payload, headers))):
            raise Undone(f"a message is larger than the broker takes ({most:,} bytes)", is_final=True)
        with self._expect([subject, *(each for each, _, _ in before)], until, timeout) as waiting:
            try:
                for each, body, its_headers in before:
                    await self._nc.publish(each, body, headers=its_headers)
                await self._nc.publish(subject, payload, reply=waiting.reply, headers=headers)
            except (errors.Error, OSError) as error:
                raise Undone(f"not sent: {error}") from error
            heard = await waiting.answer
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
        with self._expect([], lambda msg: True, 1.0) as waiting:
            try:
                await self._nc.publish(waiting.reply)
                await waiting.answer
            except (errors.Error, OSError, Silent):
                return False
        return True

    def on_error(self, error: Exception) -> None:
        """What the connection's error_cb was called with."""
        if denied := _DENIED.search(str(error)):
            # nats-py gives the subject in lower case.
            subject = denied[1].lower()
            for waiting in self._waiting.values():
                if any(each.lower() == subject for each in waiting.concerning):
                    waiting.fail(Undone(f"not permitted to publish to {denied[1]}", is_final=True))
        elif isinstance(error, errors.UnexpectedEOF | errors.StaleConnectionError | OSError):
            for waiting in self._waiting.values():
                waiting.fail(Silent("the connection was lost"))

    async def _open(self) -> None:
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

    async def _hear(self, msg: Msg) -> None:
        # An answer that comes too late finds nobody: who asked has looked for themselves since.
        if waiting := self._waiting.get(msg.subject):
            waiting.hear(msg)

    @contextmanager
    def _expect(self, concerning: Sequence[str], until: Callable[[Msg], bool], timeout: float) -> Iterator[_Waiting]:
        waiting = _Waiting(f"{self._inbox}.{next(self._numbers)}", concerning, until)
        self._waiting[waiting.reply] = waiting
        loop = asyncio.get_running_loop()
        silent = Silent(f"no answer from the log within {timeout:g} s")

        due = loop.time() + timeout
        alarm = loop.call_at(due, lambda: expire())

        def expire() -> None:
            nonlocal alarm
            if loop.time() > due + HELD_UP_S:
                # What held up the loop held up the answer too, which may be here, unread. Once more then, but shortly:
                # else a process that is busy over and over would hear nothing, for ever.
                alarm = loop.call_later(HELD_UP_S, waiting.fail, silent)
            else:
                waiting.fail(silent)

        try:
            yield waiting
        finally:
            alarm.cancel()
            del self._waiting[waiting.reply]
            # Nobody may be left to hear it: then it is no error.
            if waiting.answer.done() and not waiting.answer.cancelled():
                waiting.answer.exception()
