"""attorn as another program talks to it: commands, facts, questions, the feed, over one connection to NATS.

    async with connect("nats://127.0.0.1:4222", participant="ana", source="billing") as attorn:
        receipt = await attorn.tell(DefineWork(work_id="W-1", title="Refund", accountable="ana"))
        await attorn.publish(attorn.fact(NoteAdded(text="The customer called."), "work/W-1"))
        who = await attorn.ask("who", work="W-1", wait_for=receipt.position)
        async for event in attorn.follow(ESCALATIONS, after=receipt.position):
            ...

Every call ends within its deadline, in a result or in one of four errors: Refused (you may not; it names every rule),
Unreadable (it names the field), Unavailable (`recorded` says whether it may have been recorded all the same), and
AssertionError for a mistake of ours. A reply that was lost is asked for again, under the same id: nothing is recorded
twice.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import nats
from nats import errors
from nats.aio.client import Client
from nats.js.api import ConsumerInfo
from nats.js.errors import Error as JetStreamError
from uuid_utils import uuid7

from attorn.client import feed
from attorn.client.login import login
from attorn.client.requests import decoded, error, receipt, request
from attorn.contracts import codec, subjects
from attorn.contracts.envelope import Event
from attorn.contracts.ledger import BATCH_MAX
from attorn.contracts.messages import Command
from attorn.contracts.refusal import Problem, Receipt, Reply, Unavailable

TIMEOUT_S: Final = 10.0
CONNECT_S: Final = 2.0


class Answer(msgspec.Struct, frozen=True):
    """What the views say, all of it as of one position of the log."""

    position: int
    result: Any


class Attorn:
    """One connection; `connect` makes it.

    `participant` is who asks and acts, `source` whose facts are published, the participant's own where it is not said;
    the broker lets nobody be somebody else.
    `timeout` is the deadline of a call that names none, in seconds.
    """

    def __init__(
        self,
        nc: Client,
        *,
        participant: str = "",
        source: str = "",
        timeout: float = TIMEOUT_S,
        api_prefix: str = "$JS.API",
    ) -> None:
        self.nc = nc
        self.participant, self.source, self.timeout = participant, source or participant, timeout
        self._js = nc.jetstream(timeout=min(timeout, 5.0), prefix=api_prefix)

    async def tell(self, command: Command, *, id: str | None = None, timeout: float | None = None) -> Receipt:
        """Have `command` carried out, once; a second call with the same `id` yields the same receipt.

        Raises Refused with every broken rule, Unreadable, Unavailable.
        """
        return receipt(await self.reply(command, id=id, timeout=timeout))

    async def reply(self, command: Command, *, id: str | None = None, timeout: float | None = None) -> Reply:
        """As `tell`, with a problem as it came in place of an error. Raises Unavailable."""
        subject = subjects.command(self.participant, command.verb)
        headers = {"Nats-Msg-Id": id or str(uuid7())}
        body = msgspec.json.encode(command)
        answer: Reply = decoded(await request(self.nc, subject, body, timeout or self.timeout, headers), Reply)
        return answer

    def fact(
        self, payload: msgspec.Struct, subject: str, *, id: str | None = None, time: datetime | None = None, **more: Any
    ) -> Event:
        """`payload` as an event of this source about the stream `subject` ("work/W-1").

        `time` is when it happened, now where nobody says. An `id` that is derived from what it reports makes
        reporting it twice harmless. `more` are other attributes of the envelope, `correlationid` for instance.
        """
        at = datetime.now(UTC) if time is None else time
        said = {"id": id or str(uuid7()), "source": f"/{self.source}", "subject": subject, "time": at}
        return codec.event(payload, **(said | more))

    async def publish(self, event: Event | bytes, *, timeout: float | None = None) -> Receipt:
        """Record what has happened; the rules that it broke are the receipt's warnings.

        Raises Refused with `conflict` when other bytes were published under its source and id, Unreadable, Unavailable.
        """
        reply = await request(self.nc, subjects.fact(self.source), _bytes(event), timeout or self.timeout)
        return receipt(decoded(reply, Reply))

    async def publish_all(
        self, events: Sequence[Event | bytes], *, timeout: float | None = None
    ) -> list[Receipt | Problem]:
        """Record all of `events`, in order, and answer for each; one that cannot be recorded keeps no other back.

        At most BATCH_MAX go in one request, and each request has `timeout` seconds. Raises Unavailable, and then
        publishing all of them again records nothing twice.
        """
        answers: list[Receipt | Problem] = []
        for start in range(0, len(events), BATCH_MAX):
            body = b"[" + b",".join(_bytes(event) for event in events[start : start + BATCH_MAX]) + b"]"
            reply = await request(self.nc, subjects.fact(self.source), body, timeout or self.timeout)
            # Where the batch itself cannot be read, there is one answer for all of it.
            found: Problem | list[Reply] = decoded(reply, Problem | list[Reply])
            if isinstance(found, Problem):
                raise error(found)
            answers += found
        return answers

    async def forward(self, event: Event | bytes) -> None:
        """Leave a fact to be recorded as soon as somebody does; returns when the broker has stored it.

        Nobody answers for what is in it: what cannot be read goes to quarantine. Raises Unavailable.
        """
        try:
            await self._js.publish(subjects.inbox(self.source), _bytes(event))
        except (errors.Error, TimeoutError, OSError) as lost:
            # Published again it is stored twice, and recorded once: the services know it by its source and id.
            raise Unavailable(f"the fact may not be stored: {lost}", "unknown") from lost

    async def ask(self, question: str, *, timeout: float | None = None, **parameters: Any) -> Any:
        """What the views answer to `question`; parameters that are None are left out.

        `wait_for`: a position that the views must have reached, a receipt's for instance, so that one reads what one
        has written. Raises Refused, Unreadable, Unavailable.
        """
        return (await self.ask_at(question, timeout=timeout, **parameters)).result

    async def ask_at(self, question: str, *, timeout: float | None = None, **parameters: Any) -> Answer:
        """As `ask`, with the position of the log that the answer is of."""
        asked = {name: value for name, value in parameters.items() if value is not None}
        reply = await request(self.nc, subjects.query(question), msgspec.json.encode(asked), timeout or self.timeout)
        if decoded(reply, _Kind).kind == "problem":
            raise error(decoded(reply, Problem))
        answer: Answer = decoded(reply, Answer)
        return answer

    def follow(self, *filters: str, after: int = 0) -> AsyncGenerator[feed.Delivered, None]:
        """Every event behind the position `after` that a filter matches, each once, and then as they come; without end.

        A filter is a subject of the feed, with wildcards: `attorn.escalation.critical.>`, `attorn.feed.work.*.>`.
        """
        return feed.from_position(self._js, after, filters or (feed.EVERYTHING,))

    def follow_durably(self, name: str, *filters: str, after: int | None = None) -> AsyncGenerator[feed.Held, None]:
        """What the durable consumer `name` has not been told the end of; say `await held.done()` of each.

        The broker remembers how far it is. What was handed out and not done when a program ended comes again; keep its
        position with your results where once more would do harm.
        """
        return feed.of_durable(self._js, name, filters or (feed.EVERYTHING,), after)

    def turns(self, name: str, *filters: str) -> AsyncGenerator[feed.Held | None, None]:
        """As `follow_durably`, with None at the beginning, and again each second in which nothing came."""
        return feed.turns(self._js, name, filters or (feed.EVERYTHING,), None)

    async def durable(self, name: str) -> ConsumerInfo | None:
        """The durable consumer `name` as the broker describes it; None where nobody made it for this participant."""
        try:
            made: ConsumerInfo = await self._js.consumer_info(subjects.FEED, name)
        except (errors.Error, JetStreamError, TimeoutError):
            return None
        return made


@asynccontextmanager
async def connect(
    url: str = "nats://127.0.0.1:4222",
    *,
    participant: str = "",
    source: str = "",
    timeout: float = TIMEOUT_S,
    api_prefix: str = "$JS.API",
    **options: Any,
) -> AsyncIterator[Attorn]:
    """A connection to a running attorn that outlives restarts of the broker. Raises Unavailable when there is none.

    Who this is for the broker is said in the environment (attorn.client.login), or as `options` of nats-py.
    `api_prefix`: where the feed's broker has accounts, what its JetStream is called in this one (deploy/nats).
    """
    reasons: list[Exception] = []

    async def heard(reason: Exception) -> None:
        reasons.append(reason)
        del reasons[:-1]

    said = login(url) | {"name": f"attorn client {participant or source}".strip(), "error_cb": heard} | options
    try:
        nc = await nats.connect(url, connect_timeout=CONNECT_S, allow_reconnect=False, max_reconnect_attempts=1, **said)
    except (errors.Error, OSError, TimeoutError) as failure:
        raise Unavailable(f"no attorn at {url}: {reasons[-1] if reasons else failure}") from failure
    # The first connection is tried once, so that a wrong address is told at once; from here on it never gives up.
    nc.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1, "reconnect_time_wait": 0.1}
    try:
        yield Attorn(nc, participant=participant, source=source, timeout=timeout, api_prefix=api_prefix)
    finally:
        with suppress(errors.Error, TimeoutError, OSError):
            await nc.close()


class _Kind(msgspec.Struct, frozen=True):
    """Whether a reply to a question is an answer or a problem."""

    kind: str = "answer"


def _bytes(event: Event | bytes) -> bytes:
    return event if isinstance(event, bytes) else codec.encode(event)
