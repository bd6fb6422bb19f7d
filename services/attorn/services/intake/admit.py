"""What becomes of bytes at a fact door: recorded with a receipt, or kept in quarantine with the reason."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from time import time_ns
from typing import Final

import msgspec

from attorn.contracts import door
from attorn.contracts.refusal import Problem, Receipt, Refused, Unreadable, problem
from attorn.services import metrics, traces
from attorn.services.transact import Fact, Streams, record

BATCH_FACTS_MAX: Final = 1_000

Quarantine = Callable[[str, bytes, Problem], Awaitable[None]]
"""Keeps the bytes that a source sent, with what was wrong with them."""

_facts: Final = msgspec.json.Decoder(list[msgspec.Raw])


def split(body: bytes) -> list[bytes] | None:
    """The facts of a batch, each with its bytes to the letter; None when the body is a single fact.

    Raises Unreadable when it is an array that cannot be taken apart, or has too much in it.
    """
    if not body.lstrip()[:1] == b"[":
        return None
    try:
        parts = [bytes(part) for part in _facts.decode(body)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"the batch is not a JSON array: {error}") from None
    if not parts or len(parts) > BATCH_FACTS_MAX:
        raise Unreadable(f"a batch has 1 to {BATCH_FACTS_MAX:,} facts, this one {len(parts):,}")
    return parts


async def admit(
    streams: Streams,
    source: str,
    bodies: Sequence[bytes],
    quarantine: Quarantine,
    resubmitted_by: str | None = None,
) -> list[Receipt | Problem]:
    """Record every fact in `bodies` that can be read, in order; an answer for each.

    What cannot be read, or stands under an id that means other bytes, is kept in quarantine before it is answered:
    nothing that a source sends is lost. Raises Unavailable when the log is; then the whole batch may be sent again.
    """
    answers: list[Receipt | Problem | None] = [None] * len(bodies)
    facts: dict[int, Fact] = {}
    for index, body in enumerate(bodies):
        try:
            facts[index] = Fact(event=door.fact(body), body=body, source=source, resubmitted_by=resubmitted_by)
        except Unreadable as unreadable:
            answers[index] = problem(unreadable)
    began = time_ns() if traces.is_on() else 0
    recorded = await record(streams, list(facts.values()))
    for index, reply in zip(facts, recorded, strict=True):
        told = problem(reply) if isinstance(reply, Refused) else reply
        answers[index] = told
        if began:
            event, outcome = facts[index].event, metrics.outcome(told)
            about = {"attorn.type": event.type, "attorn.stream": event.subject, "attorn.outcome": outcome}
            traces.mark("fact", event.traceparent, began, time_ns(), **about)
    for body, answer in zip(bodies, answers, strict=True):
        if isinstance(answer, Problem):
            await quarantine(source, body, answer)
    return [answer for answer in answers if answer is not None]


def digest(body: bytes) -> str:
    """The digest by which quarantined bytes are known: the same bytes twice are kept once."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
