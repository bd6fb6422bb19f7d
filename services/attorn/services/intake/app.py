"""The fact doors: requests with a receipt on `attorn.fact.<source>`, store and forward on `attorn.in.<source>`.

A source that cannot wait publishes to `attorn.in.<source>`, where JetStream acknowledges; what is there is recorded in
the order in which it came. Both doors take one CloudEvent or a JSON array of them.
"""

import asyncio
import logging
from typing import Any, Final

from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.nats import JStream, NatsBroker, NatsResponse, PullSub
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig

from attorn.contracts import subjects
from attorn.contracts.refusal import Problem, Receipt, Unavailable, Unreadable, problem
from attorn.services.command_door import CODEC, Request, refusal, reply
from attorn.services.intake.admit import admit, digest, split
from attorn.services.transact import Streams

log = logging.getLogger("attorn.intake")

RETRY_S: Final = 0.5
DURABLE: Final = "intake"


class Quarantine:
    """Keeps what could not be recorded on `attorn.quarantine.<source>`, with the reason in headers."""

    def __init__(self, nc: Client) -> None:
        self._js = nc.jetstream(timeout=5)

    async def __call__(self, source: str, body: bytes, why: Problem) -> None:
        headers = {
            # The same bytes from the same source, for the same reason, are kept once in the window of a retry.
            "Nats-Msg-Id": f"{source}-{digest(body)}-{why.status}",
            "Attorn-Status": str(why.status),
            "Attorn-Reason": why.detail.encode("ascii", "backslashreplace").decode().replace("\n", " ")[:1_000],
            "Attorn-Digest": digest(body),
        }
        field = next((rule.field for rule in why.rules if rule.field), None)
        if field is not None:
            headers["Attorn-Field"] = field.encode("ascii", "backslashreplace").decode().replace("\n", " ")[:200]
        try:
            await self._js.publish(subjects.quarantine(source), body, headers=headers)
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"quarantine did not answer: {error}", "unknown") from error


def build(broker: NatsBroker, streams: Streams, quarantine: Quarantine) -> None:
    """Open both fact doors."""

    @broker.subscriber("attorn.fact.*", queue="attorn.intake", codec=CODEC)
    async def with_receipt(request: Request) -> NatsResponse:
        source = subjects.actor(request.subject)
        try:
            return reply(await _take(streams, quarantine, source, request.body))
        except Exception as error:
            return reply(refusal(error, request.subject))

    # Ordered: one at a time, each acknowledged when it is recorded. A log that is down leaves it where it is.
    @broker.subscriber(
        "attorn.in.*",
        stream=JStream(subjects.INBOX, declare=False),
        durable=DURABLE,
        pull_sub=PullSub(batch_size=1, timeout=1.0),
        config=ConsumerConfig(ack_wait=30, max_ack_pending=1),
        ack_policy=AckPolicy.MANUAL,
        codec=_RawCodec(),
        no_reply=True,
    )
    async def stored(message: Any) -> None:
        source = subjects.actor(message.subject)
        while True:
            try:
                await _take(streams, quarantine, source, message.data)
                await message.ack()
                return
            except Unavailable as unavailable:
                log.warning("log does not answer", extra={"reason": unavailable.reason})
                await message.in_progress()
                await asyncio.sleep(RETRY_S)


async def _take(
    streams: Streams, quarantine: Quarantine, source: str, body: bytes
) -> Receipt | Problem | list[Receipt | Problem]:
    subjects.token(source, "source")
    try:
        bodies = split(body)
    except Unreadable as unreadable:
        answer = problem(unreadable)
        await quarantine(source, body, answer)
        return answer
    answers = await admit(streams, source, [body] if bodies is None else bodies, quarantine)
    return answers if bodies is not None else answers[0]


class _RawCodec:
    async def decode(self, msg: StreamMessage[Any]) -> Any:
        return msg.raw_message

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str]:
        return msg, "application/json"
