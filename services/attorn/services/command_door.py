"""The command door: a request on `attorn.cmd.<participant>.<verb>`, a receipt or a problem in reply.

Who asks is the subject's word, which the broker enforces, never the body's. The request's `Nats-Msg-Id` header is the
command's id: asking again with it, after a reply that was lost, carries the command out once. `Attorn-Within` says for
how many seconds its author waits: nothing is tried for longer.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import lru_cache
from time import perf_counter
from typing import Any, Final

import msgspec
from faststream.message import StreamMessage
from faststream.nats import NatsBroker, NatsResponse
from faststream.nats.subscriber.usecases import LogicSubscriber
from nats.errors import Error as NatsError
from uuid_utils import uuid7

from attorn.contracts import door, subjects
from attorn.contracts.ids import is_token
from attorn.contracts.refusal import Breach, Problem, Receipt, Refused, Unreadable, problem
from attorn.services import metrics, traces
from attorn.services.transact import Command, Decide, Streams, transact

log = logging.getLogger("attorn.command")

IN_FLIGHT_MAX: Final = 512
"""How many commands of one verb are carried out at once; what is in flight together goes to the log together."""

_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")

Clock = Callable[[], datetime]
Require = Callable[[Streams, Command], Awaitable[None]]
"""What is made sure of before a command is carried out. Raises Refused."""
Absent = Mapping[tuple[type[msgspec.Struct], str], Breach]
"""By command and field, the rule that is broken where the field is not there, or null."""
_NO_RULES: Final[Absent] = {}


class Request(msgspec.Struct, frozen=True):
    """A message as the broker delivered it."""

    subject: str
    body: bytes
    id: str | None = None
    traceparent: str | None = None
    within: str | None = None
    reply_to: str = ""


class RequestCodec:
    """Takes a request apart, so that FastStream neither guesses a type nor hops a thread for a header."""

    # The names and types of the parameters are those of FastStream's protocol for codecs.
    async def decode(self, msg: StreamMessage[Any]) -> Any:
        said = msg.headers.get
        subject, reply_to = msg.raw_message.subject, msg.reply_to
        return Request(subject, msg.body, said("Nats-Msg-Id"), said("traceparent"), said("Attorn-Within"), reply_to)

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str]:
        return msg, "application/json"


CODEC: Final = RequestCodec()


def serve(
    broker: NatsBroker,
    streams: Streams,
    clock: Clock,
    kind: str,
    decide: Decide[Any, Any],
    commands: Sequence[type[msgspec.Struct]],
    *,
    require: Require | None = None,
    absent: Absent = _NO_RULES,
) -> None:
    """Answer each of `commands`, for streams of `kind`; the first field of a command is its stream's id.

    Without a kind that field is the stream's whole name. `require` is asked first what no single stream knows. A field
    that is not there makes a command unreadable, but where a rule is about just that: `absent` says which it breaks.
    """
    for shape in commands:
        verb: str = shape.verb  # type: ignore[attr-defined]
        # The queue group shares the requests among however many of this service there are.
        subscriber = broker.subscriber(
            subjects.commands(verb), queue=f"attorn.{kind or 'any'}", codec=CODEC, no_reply=True
        )
        subscriber(_beginning(broker, subscriber, _answering(streams, clock, kind, decide, shape, require, absent)))


def _beginning(
    broker: NatsBroker, subscriber: LogicSubscriber[Any], answer: Callable[[Request], Awaitable[Receipt | Problem]]
) -> Callable[[Request], Awaitable[None]]:
    """A handler that begins to `answer` a request, and takes the next: so many at once as IN_FLIGHT_MAX says.

    What came in together is under way together then, in the same turn of the loop, and goes to the log as one batch.
    FastStream's own workers take requests one by one, some turns of the loop each, at several times the work.
    """
    free = asyncio.Semaphore(IN_FLIGHT_MAX)
    under_way: set[asyncio.Task[None]] = set()

    async def begin(request: Request) -> None:
        await free.acquire()
        # Held until it is answered: so long FastStream does not end.
        unanswered = ExitStack()
        unanswered.enter_context(subscriber.lock)
        task = asyncio.get_running_loop().create_task(carry_out(request, unanswered))
        under_way.add(task)
        task.add_done_callback(end)

    def end(task: asyncio.Task[None]) -> None:
        under_way.discard(task)
        free.release()

    async def carry_out(request: Request, unanswered: ExitStack) -> None:
        with unanswered:
            told = reply(await answer(request))
            try:
                if request.reply_to:
                    await broker.connection.publish(request.reply_to, told.body, headers=told.headers or None)
            except NatsError as error:
                # Its author asks again, with the same id.
                log.warning("reply not sent", extra={"subject": request.subject, "reason": str(error)})

    return begin


def _answering(
    streams: Streams,
    clock: Clock,
    kind: str,
    decide: Decide[Any, Any],
    shape: type[msgspec.Struct],
    require: Require | None,
    absent: Absent,
) -> Callable[[Request], Awaitable[Receipt | Problem]]:
    verb: str = shape.verb  # type: ignore[attr-defined]

    async def answer(request: Request) -> Receipt | Problem:
        began = perf_counter()
        with traces.span(f"command {verb}", request.traceparent, **{"attorn.subject": request.subject}) as within:
            told = await carry_out(request, within)
            outcome = metrics.outcome(told)
            traces.note(**{"attorn.outcome": outcome})
        metrics.commands.labels(verb, outcome).observe(perf_counter() - began)
        return told

    async def carry_out(request: Request, traceparent: str | None) -> Receipt | Problem:
        try:
            command = _command(request, shape, kind, clock(), traceparent, absent)
            if require is not None:
                await require(streams, command)
            return await transact(streams, command, decide)
        except Exception as error:
            return refusal(error, request.subject)

    return answer


def _command(
    request: Request,
    shape: type[msgspec.Struct],
    kind: str,
    now: datetime,
    traceparent: str | None,
    absent: Absent,
) -> Command:
    actor, source = _author(request.subject)
    id = request.id or str(uuid7())
    if not is_token(id):
        raise Unreadable("is 1 to 64 letters, digits, '-' or '_'", "Nats-Msg-Id")
    try:
        body = door.command(request.body, shape)
    except Unreadable as unreadable:
        breach = absent.get((shape, unreadable.field or ""))
        if breach is None or door.parse(request.body).get(unreadable.field) is not None:
            raise
        raise Refused(breach) from None
    stream = subjects.named(kind, getattr(body, shape.__struct_fields__[0]))
    return Command(
        stream=stream,
        body=body,
        actor=actor,
        at=now,
        id=id,
        source=source,
        traceparent=traceparent,
        within_s=_seconds(request.within) if request.within is not None else None,
    )


@lru_cache(4_096)
def _author(subject: str) -> tuple[str, str]:
    """Who asks, and as what source. Kept, because every cached stream holds on to both for each of its events."""
    actor = subjects.actor(subject)
    return actor, f"/attorn/participant/{actor}"


def _seconds(said: str) -> float:
    if not _SECONDS.fullmatch(said) or not float(said):
        raise Unreadable("is a number of seconds above 0, as in 2.5", "Attorn-Within")
    return float(said)


def refusal(error: Exception, subject: str) -> Problem:
    """What to answer for `error`; what is a fault of ours is logged where it can be mended."""
    answer = problem(error)
    if answer.status == 500:
        log.exception("request failed", extra={"subject": subject})
    return answer


def reply(answer: Receipt | Problem | Sequence[Receipt | Problem]) -> NatsResponse:
    """The reply on the wire; a problem says so in the headers that NATS services use."""
    headers = {}
    if isinstance(answer, Problem):
        headers = {"Nats-Service-Error": answer.title, "Nats-Service-Error-Code": str(answer.status)}
    return NatsResponse(msgspec.json.encode(answer), headers=headers)
