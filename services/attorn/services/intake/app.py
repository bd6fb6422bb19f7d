"""The fact doors: requests with a receipt on `attorn.fact.<source>`, store and forward on `attorn.in.<source>`.

What is in quarantine is sent again on `attorn.resubmit.<who>.<number>`, in the name of its source, which is the
quarantine's word and not that of whoever asks; what is recorded says who it was. Each message is taken again once.

A source that cannot wait publishes to `attorn.in.<source>`, where JetStream acknowledges; what is there is recorded in
the order in which it came. Both doors take one CloudEvent or a JSON array of them.
"""

import asyncio
import contextlib
import logging
import re
from typing import Final, Literal, NamedTuple, TypeVar

from faststream.nats import NatsBroker, NatsResponse
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import APIError, NotFoundError

from attorn.contracts import subjects
from attorn.contracts.ids import is_token
from attorn.contracts.refusal import Breach, Problem, Receipt, Refused, Unavailable, Unreadable, problem
from attorn.services import metrics, traces
from attorn.services.command_door import CODEC, Clock, Request, refusal, reply
from attorn.services.intake import again
from attorn.services.intake.admit import admit, digest, split
from attorn.services.intake.again import NOBODY, Kept
from attorn.services.ledger.outcome import WRONG_LAST
from attorn.services.transact import Streams

Told = TypeVar("Told", Problem, Receipt | Problem | list[Receipt | Problem])

log = logging.getLogger("attorn.intake")

RETRY_S: Final = 0.5
DURABLE: Final = "intake"
FETCH_S: Final = 1.0
HEADERS_BYTES_MAX: Final = 4_096
ATTEMPTS_MAX: Final = 5

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")

CONSUMER: Final = ConsumerConfig(
    name=DURABLE,
    durable_name=DURABLE,
    filter_subject="attorn.in.>",
    ack_policy=AckPolicy.EXPLICIT,
    # How long a fact, and all behind it, waits when the process that had it was killed.
    ack_wait=5,
    max_ack_pending=1,
)


class Mark(NamedTuple):
    """That bytes with this digest take the place of a message in quarantine; `revision` is the mark's own number."""

    revision: int
    digest: str
    by: str


class Quarantine:
    """Keeps what could not be recorded on `attorn.quarantine.<source>`, with the reason in headers.

    Of bytes for which there is no room beside the headers, the end is cut off; `Attorn-Bytes` says how many there were.
    """

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._js = nc.jetstream(timeout=5)

    async def __call__(self, source: str, body: bytes, why: Problem) -> None:
        headers = {
            # The same bytes from the same source, for the same reason, are kept once in the window of a retry.
            "Nats-Msg-Id": f"{source}-{digest(body)}-{why.status}",
            "Attorn-Status": str(why.status),
            "Attorn-Reason": why.detail.encode("ascii", "backslashreplace").decode().replace("\n", " ")[:1_000],
            "Attorn-Digest": digest(body),
        }
        field = why.field or next((rule.field for rule in why.rules if rule.field), None)
        if field is not None:
            headers["Attorn-Field"] = field.encode("ascii", "backslashreplace").decode().replace("\n", " ")[:200]
        # More would make the server close the connection for good, and stored in `attorn.in` again after each restart.
        most = self._nc.max_payload - HEADERS_BYTES_MAX
        if len(body) > most:
            headers["Attorn-Bytes"] = str(len(body))
            body = body[:most]
        try:
            await self._js.publish(subjects.quarantine(source), body, headers=headers)
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"quarantine did not answer: {error}", "unknown") from error
        metrics.quarantined.labels(metrics.outcome(why)).inc()

    async def find(self, number: int) -> Kept | None:
        """The message of this number, if there is one. Raises Unavailable."""
        try:
            message = await self._js.get_msg(subjects.QUARANTINE, number)
        except NotFoundError:
            return None
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"quarantine did not answer: {error}") from error
        source = (message.subject or "").removeprefix("attorn.quarantine.")
        if "." in source:
            return None  # a mark
        return Kept(number, source, message.data or b"", "Attorn-Bytes" in (message.headers or {}))

    async def take(self, number: int, body: bytes, who: str) -> Mark:
        """Say that `body` takes the place of message `number`, before it is recorded.

        Whoever says so first is right: who is killed before it is recorded, or does not hear that it was, sends the
        same again, and it is recorded once. Raises Refused with `conflict` when other bytes have taken the place.
        """
        known = digest(body.strip())
        for _ in range(ATTEMPTS_MAX):
            last = await self._last(number)
            if last is not None and last.digest == known:
                return last
            if last is not None and last.digest:
                detail = f"message {number} was taken again before, as {last.by} sent it; that it was other bytes"
                raise Refused(Breach(rule="conflict", detail=f"{detail} cannot be undone, its source reports anew"))
            revision = await self._mark(number, last.revision if last is not None else 0, known, who)
            if revision is not None:
                return Mark(revision, known, who)
        raise Unavailable(f"others were faster {ATTEMPTS_MAX} times with message {number}")

    async def release(self, number: int, mark: Mark) -> None:
        """Let something else take the place: nothing of what was marked can ever be recorded."""
        await self._mark(number, mark.revision, "", mark.by)

    async def _last(self, number: int) -> Mark | None:
        try:
            message = await self._js.get_last_msg(subjects.QUARANTINE, subjects.taken(number))
        except NotFoundError:
            return None
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"quarantine did not answer: {error}") from error
        said = message.headers or {}
        return Mark(message.seq or 0, said.get("Attorn-Digest", ""), said.get("Attorn-Taken-By", ""))

    async def _mark(self, number: int, after: int, known: str, who: str) -> int | None:
        """The revision of the mark that was set; None when somebody else has set one behind `after`."""
        headers = {"Nats-Expected-Last-Subject-Sequence": str(after), "Attorn-Taken-By": who, "Attorn-Digest": known}
        try:
            return (await self._js.publish(subjects.taken(number), b"", headers=headers)).seq
        except APIError as error:
            if error.err_code in WRONG_LAST:
                return None
            raise Unavailable(f"quarantine did not answer: {error}") from error
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"quarantine did not answer: {error}") from error


def build(broker: NatsBroker, streams: Streams, quarantine: Quarantine, clock: Clock) -> None:
    """Open the doors that answer; `take_in` is the other one."""

    @broker.subscriber("attorn.fact.*", queue="attorn.intake", codec=CODEC)
    async def with_receipt(request: Request) -> NatsResponse:
        source = subjects.actor(request.subject)
        with traces.span("facts", request.traceparent, **{"attorn.subject": request.subject}):
            try:
                return reply(_counted("receipt", await _take(streams, quarantine, source, request.body)))
            except Exception as error:
                return reply(_counted("receipt", refusal(error, request.subject)))

    @broker.subscriber("attorn.resubmit.*.*", queue="attorn.intake", codec=CODEC)
    async def resubmitted(request: Request) -> NatsResponse:
        with traces.span("resubmit", request.traceparent, **{"attorn.subject": request.subject}):
            try:
                return reply(_counted("resubmit", await _take_again(streams, quarantine, request, clock)))
            except Exception as error:
                return reply(_counted("resubmit", refusal(error, request.subject)))


async def take_in(nc: Client, streams: Streams, quarantine: Quarantine) -> None:
    """Record what is stored on `attorn.in.<source>`, in the order in which it came, without end.

    One at a time, each acknowledged when it is recorded. Killed in between, it is delivered again, and known again by
    its source and id. Several processes share the work, and still only one fact is under way.
    """
    js = nc.jetstream(timeout=5)
    while True:
        try:
            await js.add_consumer(subjects.INBOX, CONSUMER)
            inbox = await js.pull_subscribe_bind(DURABLE, subjects.INBOX)
            try:
                while True:
                    try:
                        [message] = await inbox.fetch(1, timeout=FETCH_S)
                    except TimeoutError:
                        await asyncio.sleep(0.01)  # some refusals come as time-outs, and at once
                    else:
                        await _take_stored(message, streams, quarantine)
            finally:
                with contextlib.suppress(NatsError):
                    await inbox.unsubscribe()
        except (NatsError, Unavailable, OSError) as error:
            # The server is gone, or somebody has deleted the consumer: it is made again, and nothing was in it.
            log.warning("facts are left where they are", extra={"reason": str(error) or type(error).__name__})
            await asyncio.sleep(RETRY_S)


async def _take_stored(message: Msg, streams: Streams, quarantine: Quarantine) -> None:
    source = message.subject.removeprefix("attorn.in.")
    while True:
        try:
            if is_token(source):
                _counted("inbox", await _take(streams, quarantine, source, message.data))
            else:
                nobody = problem(Unreadable(f"{message.subject} names no source"))
                await quarantine(NOBODY, message.data, _counted("inbox", nobody))
            break
        except Unavailable as unavailable:
            log.warning("log does not answer", extra={"reason": unavailable.reason})
            await message.in_progress()
            await asyncio.sleep(RETRY_S)
        except NatsError:
            raise
        except Exception as error:
            # A fault of ours with this one must not keep the others waiting; it is kept, to be sent again when mended.
            await quarantine(source, message.data, _counted("inbox", refusal(error, message.subject)))
            break
    await message.ack()


def _counted(door: Literal["receipt", "inbox", "resubmit"], told: Told) -> Told:
    for each in told if isinstance(told, list) else (told,):
        metrics.facts.labels(door, metrics.outcome(each)).inc()
    return told


async def _take_again(
    streams: Streams, quarantine: Quarantine, request: Request, clock: Clock
) -> Receipt | Problem | list[Receipt | Problem]:
    who, number = subjects.actor(request.subject), request.subject.rpartition(".")[2]
    subjects.token(who, "participant")
    # What another process recorded a moment ago decides who this is, and what they may do.
    await streams.directory.catch_up()
    directory = streams.directory.view
    again.check_sender(who, directory)
    kept = await quarantine.find(int(number)) if _NUMBER.fullmatch(number) else None
    if kept is None:
        return Problem(title="not found", status=404, detail=f"nothing in quarantine has the number {number[:80]}")
    if kept.source == NOBODY:
        raise Unreadable(
            f"message {number} came on a subject that names no source, and nobody can be said to have sent it"
        )
    subjects.token(kept.source, "source")
    if kept.is_cut and not request.body:
        raise Unreadable(f"message {number} was cut off, and its source has the whole; send that in its place")
    body = request.body or kept.body
    is_mended = body != kept.body
    bodies = split(body)
    events = again.facts(kept, body, bodies)
    if is_mended:
        again.check_mended(kept, events, who, clock(), directory)
    mark = await quarantine.take(kept.number, body, who)
    log.info("sent again", extra={"source": kept.source, "number": kept.number, "by": who, "mended": is_mended})

    async def keep(source: str, body: bytes, why: Problem) -> None:
        """It is in quarantine already, as its source had sent it; who mended it reads why it is wrong still."""

    answers = await admit(streams, kept.source, [body] if bodies is None else bodies, keep, resubmitted_by=who)
    if all(isinstance(answer, Problem) for answer in answers):
        # All of it stands under ids that mean other bytes, and ever will: another try may be better. Killed here, the
        # mark stays, until the same bytes are sent once more.
        with contextlib.suppress(Unavailable):
            await quarantine.release(kept.number, mark)
    return answers if bodies is not None else answers[0]


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
