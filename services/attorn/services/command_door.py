"""The command door: a request on `attorn.cmd.<participant>.<verb>`, a receipt or a problem in reply.

Who asks is the subject's word, which the broker enforces, never the body's. The request's `Nats-Msg-Id` header is the
command's id: asking again with it, after a reply that was lost, carries the command out once.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from time import perf_counter
from typing import Any, Final

import msgspec
from faststream.message import StreamMessage
from faststream.nats import NatsBroker, NatsResponse
from uuid_utils import uuid7

from attorn.contracts import door, subjects
from attorn.contracts.ids import is_token
from attorn.contracts.refusal import Problem, Receipt, Unreadable, problem
from attorn.services import metrics, traces
from attorn.services.transact import Command, Decide, Streams, transact

log = logging.getLogger("attorn.command")

IN_FLIGHT_MAX: Final = 512
"""How many commands of one verb are carried out at once; what is in flight together goes to the log together."""

Clock = Callable[[], datetime]
Require = Callable[[Streams, Command], Awaitable[None]]
"""What is made sure of before a command is carried out. Raises Refused."""


class Request(msgspec.Struct, frozen=True):
    """A message as the broker delivered it."""

    subject: str
    body: bytes
    id: str | None = None
    traceparent: str | None = None


class RequestCodec:
    """Takes a request apart, so that FastStream neither guesses a type nor hops a thread for a header."""

    # The names and types of the parameters are those of FastStream's protocol for codecs.
    async def decode(self, msg: StreamMessage[Any]) -> Any:
        headers = msg.headers
        return Request(msg.raw_message.subject, msg.body, headers.get("Nats-Msg-Id"), headers.get("traceparent"))

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
) -> None:
    """Answer each of `commands`, for streams of `kind`; the first field of a command is its stream's id.

    Without a kind that field is the stream's whole name. `require` is asked first what no single stream knows.
    """
    for shape in commands:
        verb: str = shape.verb  # type: ignore[attr-defined]
        # The queue group shares the requests among however many of this service there are.
        subscriber = broker.subscriber(
            subjects.commands(verb), queue=f"attorn.{kind or 'any'}", codec=CODEC, max_workers=IN_FLIGHT_MAX
        )
        subscriber(_answering(streams, clock, kind, decide, shape, require))


def _answering(
    streams: Streams,
    clock: Clock,
    kind: str,
    decide: Decide[Any, Any],
    shape: type[msgspec.Struct],
    require: Require | None,
) -> Callable[[Request], Awaitable[NatsResponse]]:
    verb: str = shape.verb  # type: ignore[attr-defined]

    async def answer(request: Request) -> NatsResponse:
        began = perf_counter()
        with traces.span(f"command {verb}", request.traceparent, **{"attorn.subject": request.subject}) as within:
            told = await carry_out(request, within)
            outcome = metrics.outcome(told)
            traces.note(**{"attorn.outcome": outcome})
        metrics.commands.labels(verb, outcome).observe(perf_counter() - began)
        return reply(told)

    async def carry_out(request: Request, traceparent: str | None) -> Receipt | Problem:
        try:
            command = _command(request, shape, kind, clock(), traceparent)
            if require is not None:
                await require(streams, command)
            return await transact(streams, command, decide)
        except Exception as error:
            return refusal(error, request.subject)

    return answer


def _command(
    request: Request, shape: type[msgspec.Struct], kind: str, now: datetime, traceparent: str | None
) -> Command:
    actor = subjects.actor(request.subject)
    id = request.id or str(uuid7())
    if not is_token(id):
        raise Unreadable("is 1 to 64 letters, digits, '-' or '_'", "Nats-Msg-Id")
    body = door.command(request.body, shape)
    stream = subjects.named(kind, getattr(body, shape.__struct_fields__[0]))
    return Command(
        stream=stream,
        body=body,
        actor=actor,
        at=now,
        id=id,
        source=f"/attorn/participant/{actor}",
        traceparent=traceparent,
    )


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
