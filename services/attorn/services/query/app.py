"""Questions to the views: each is a request on `attorn.q.<question>`, with its parameters as JSON.

The reply is `{"position": 17, "result": …}`, all of it of that one position, or a problem. `"wait_for": 17` beside the
parameters waits until the views are there, so that whoever holds a receipt reads what they wrote.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from attorn.contracts import door, subjects
from attorn.contracts.ids import Count
from attorn.contracts.refusal import Problem, Unavailable, problem
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.services.about import About
from attorn.services.projector.project import Projector
from attorn.services.projector.rebuild import Busy, Maintenance
from attorn.services.projector.status import Job, Status, ViewStatus
from attorn.services.query.item import ItemQuestion, own_events

Question: TypeAlias = tuple[type[msgspec.Struct], Callable[[Rows, Directory, Any], Any]]
"""The shape of the parameters, and what finds the answer in the rows."""

Questions: TypeAlias = Mapping[str, Question]

PositionOrNone: TypeAlias = Count | None

WAIT_FOR_S_MAX: Final = 5.0
IN_FLIGHT_MAX: Final = 1_000
LAST_POISON: Final = 5
DRAIN_S: Final = 0.3
QUEUE: Final = "attorn.q"

log = logging.getLogger("attorn.query")


class Nothing(msgspec.Struct, frozen=True):
    """The parameters of a question that has none."""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """How many seconds to wait for the end of what is begun; without, the answer comes at once, and `status` tells."""

    wait: Annotated[float, Meta(ge=0, le=600)] = 0


class Answer(msgspec.Struct, frozen=True):
    position: int
    result: Any


class _TooLarge(Exception):
    pass


Endpoint: TypeAlias = tuple[type[msgspec.Struct], Callable[[Any], Awaitable[Answer]]]


@asynccontextmanager
async def answering(
    nc: Client,
    projector: Projector,
    maintenance: Maintenance,
    questions: Questions,
    clock: Callable[[], datetime],
    long: Collection[str] = (),
    about: Callable[[], About] | None = None,
    items: Mapping[str, ItemQuestion] = {},
) -> AsyncIterator["Desk"]:
    """Answer while the block runs; at its end, what has been asked is answered yet, within `DRAIN_S`.

    `long` are the questions whose answers may take as long as there are rows, whatever is asked; of others, the
    parameters may say so, as `is_long`. The fold does not wait for those. `items` are answered from one item's events.
    """
    desk = Desk(projector, maintenance, questions, clock, lambda: _quarantined(nc), long, about, items)
    waiting: set[asyncio.Task[None]] = set()

    def heard(name: str) -> Callable[[Msg], Awaitable[None]]:
        async def hear(message: Msg) -> None:
            # In a task of its own: one who waits for a position keeps nobody else waiting.
            task = asyncio.create_task(_reply(nc, desk, name, message, is_busy=len(waiting) >= IN_FLIGHT_MAX))
            waiting.add(task)
            task.add_done_callback(waiting.discard)

        return hear

    subscriptions = [await nc.subscribe(subjects.query(name), QUEUE, heard(name)) for name in desk.endpoints]
    # nats-py writes the PING of a flush before what waits to be written: only the second one comes after the
    # subscriptions, and says that the server has them.
    await nc.flush(2)
    await nc.flush(2)
    try:
        yield desk
    finally:
        with suppress(errors.Error, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                # What was delivered is answered first: it waits in the subscriptions' queues, then in `waiting`.
                await asyncio.gather(*(one.drain() for one in subscriptions))  # type: ignore[no-untyped-call]
                if waiting:
                    await asyncio.wait(waiting)
                await nc.flush()
        for task in waiting:
            task.cancel()


class Desk:
    """Finds the answers; `endpoints` are all that can be asked, by the last part of their subject."""

    def __init__(
        self,
        projector: Projector,
        maintenance: Maintenance,
        questions: Questions,
        clock: Callable[[], datetime],
        quarantined: Callable[[], Awaitable[int | None]],
        long: Collection[str] = (),
        about: Callable[[], About] | None = None,
        items: Mapping[str, ItemQuestion] = {},
    ) -> None:
        self._projector = projector
        self._maintenance = maintenance
        self._clock = clock
        self._quarantined = quarantined
        self._about = about
        self.endpoints: dict[str, Endpoint] = {
            **{name: self._endpoint(*question, is_long=name in long) for name, question in questions.items()},
            **{name: self._item_endpoint(question) for name, question in items.items()},
            "status": (Nothing, self._status),
            "projector.rebuild": (Wait, lambda asked: self._job("rebuild", asked)),
            "projector.verify": (Wait, lambda asked: self._job("verify", asked)),
        }

    async def answer(self, name: str, body: bytes, bytes_max: int) -> bytes:
        """The reply to a request. Raises what `refusal` turns into a problem."""
        shape, find = self.endpoints[name]
        reply = msgspec.json.encode(await find(door.command(body.strip() or b"{}", shape)))
        if len(reply) > bytes_max:
            raise _TooLarge(f"the answer has {len(reply):,} bytes, the most is {bytes_max:,}; ask for less at once")
        return reply

    def _endpoint(
        self, shape: type[msgspec.Struct], find: Callable[[Rows, Directory, Any], Any], *, is_long: bool
    ) -> Endpoint:
        async def answer(asked: Any) -> Answer:
            await self._wait_for(asked)
            if is_long or getattr(asked, "is_long", False):
                return await self._projector.asking(
                    lambda rows, directory: Answer(rows.position, find(rows, directory, asked))
                )
            with self._projector.reading() as (rows, directory):
                return Answer(rows.position, find(rows, directory, asked))

        return _waiting(shape), answer

    def _item_endpoint(self, question: ItemQuestion) -> Endpoint:
        async def answer(asked: Any) -> Answer:
            await self._wait_for(asked)
            position, events = await own_events(self._projector, asked.work)
            with self._projector.reading() as (_, directory):
                return Answer(position, question.answer(events, directory, asked))

        return _waiting(question.parameters), answer

    async def _wait_for(self, asked: Any) -> None:
        await self._projector.answerable(WAIT_FOR_S_MAX)
        if asked.wait_for is not None:
            await self._projector.until(asked.wait_for, WAIT_FOR_S_MAX)

    async def _job(self, kind: Any, asked: Wait) -> Answer:
        job = await self._maintenance.wait(self._maintenance.start(kind), asked.wait)
        return Answer(self._projector.position, job)

    async def _status(self, asked: Nothing) -> Answer:
        status = await self.status()
        return Answer(status.position, status)

    async def status(self) -> Status:
        """Where the views are, what they could not take in, and how a rebuild goes on."""
        now = self._clock()
        lag, quarantined = await asyncio.gather(self._projector.lag(now), self._quarantined())
        jobs = self._maintenance.jobs
        store = self._projector.store
        with store.reading() as rows:
            position = rows.position
            live = [
                ViewStatus(
                    name=view.NAME,
                    version=view.VERSION,
                    state="live",
                    rows=rows.count(view.Row),
                    position=position,
                    lag_events=None if lag.head is None else max(0, lag.head - position),
                    lag_seconds=lag.seconds,
                    poison=rows.poison_count(view.NAME),
                    last_poison=tuple(rows.poison(view.NAME, LAST_POISON)),
                )
                for view in store.views
            ]
            directory_poison = rows.poison_count("directory")
        return Status(
            head=lag.head,
            position=position,
            views=(*live, *self._filling(lag.head, now)),
            directory_poison=directory_poison,
            rebuild=jobs.get("rebuild"),
            verify=jobs.get("verify"),
            quarantined=quarantined,
            about=self._about() if self._about is not None else None,
        )

    def _filling(self, head: int | None, now: datetime) -> list[ViewStatus]:
        """The views that only the rebuilt file will have."""
        job = self._maintenance.jobs.get("rebuild") or Job(kind="rebuild", started_at=now)
        filling = self._projector.filling
        position = filling.position if filling is not None else job.position
        return [
            ViewStatus(
                name=view.NAME,
                version=view.VERSION,
                state="filling",
                rows=0,
                position=position,
                lag_events=None if head is None else max(0, head - position),
                lag_seconds=(now - job.started_at).total_seconds(),
            )
            for view in self._projector.store.missing
        ]


def _waiting(shape: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The shape of a question together with `wait_for`."""
    wait_for = ("wait_for", PositionOrNone, None)
    return msgspec.defstruct(shape.__name__, [wait_for], bases=(shape,), frozen=True, kw_only=True)


async def _reply(nc: Client, desk: Desk, name: str, message: Msg, *, is_busy: bool) -> None:
    headers = None
    try:
        if is_busy:
            raise Unavailable(f"{IN_FLIGHT_MAX} questions are being answered; ask again in a moment")
        body = await desk.answer(name, message.data, nc.max_payload)
    except Exception as error:
        found = refusal(error)
        if found.status == 500:
            log.exception("question failed", extra={"subject": message.subject})
        body = msgspec.json.encode(found)
        headers = {"Nats-Service-Error": found.title, "Nats-Service-Error-Code": str(found.status)}
    if message.reply:
        # Who asked may be gone, and so may the connection: they ask again.
        with suppress(errors.Error):
            await nc.publish(message.reply, body, headers=headers)


def refusal(error: Exception) -> Problem:
    """What to tell who asked."""
    match error:
        case Unavailable():
            return Problem(title="unavailable", status=503, detail=f"{error}; ask again")
        case Busy():
            return Problem(title="busy", status=409, detail=str(error))
        case _TooLarge():
            return Problem(title="too large", status=413, detail=str(error))
        case _:
            return problem(error)


async def _quarantined(nc: Client) -> int | None:
    """How many messages of others are in quarantine, None when nobody can say."""
    try:
        state = (await nc.jetstream(timeout=1).stream_info(subjects.QUARANTINE, subjects.taken("*"))).state
        return state.messages - sum((state.subjects or {}).values())
    except (errors.Error, TimeoutError):
        return None
