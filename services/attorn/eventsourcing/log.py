"""Attorn's own log under the library: `PERSISTENCE_MODULE=attorn.eventsourcing.log`.

An originator is a stream of events ("work/W-1"), a topic is an event's type, a notification's id its position. The log
is read only, unless NATS_WRITABLE says otherwise: what the library appends passes none of the rules that attorn's
services check, and only the services may publish there.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, NoReturn
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    Mapper,
    Notification,
    NotSupportedError,
    ProcessRecorder,
    ProgrammingError,
    StoredEvent,
    Subscription,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType, strtobool

from attorn.contracts import codec
from attorn.contracts.envelope import Entry, Recorded, Unknown
from attorn.contracts.ledger import BATCH_MAX, Append
from attorn.contracts.refusal import Unreadable
from attorn.contracts.subjects import stream as stream_id
from attorn.eventsourcing import factory
from attorn.eventsourcing.datastore import JetStreamDatastore
from attorn.eventsourcing.loop import wait
from attorn.eventsourcing.mapper import EventMapper, stored_event
from attorn.eventsourcing.recorder import first, selected
from attorn.eventsourcing.subscription import JetStreamSubscription
from attorn.services.ledger.jetstream import JetStreamLedger

ONLY_EVENTS: Final = "attorn's log holds attorn's events and nothing else: keep this in a database of your own"


class LogRecorder(ApplicationRecorder):
    """Reads through attorn's own ledger, and so sees what every other reader sees."""

    def __init__(self, datastore: JetStreamDatastore, *, writable: bool = False) -> None:
        self._ledger = JetStreamLedger(datastore.nc, timeout=datastore.timeout, patience=datastore.patience)
        datastore.pass_errors_to(self._ledger.on_error)
        self._writable = writable

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """The same events at the same place again count as recorded by this call: an event of attorn has an id."""
        if not self._writable:
            raise NotSupportedError("attorn's log is read only here; send commands and facts to attorn's services")
        if not stored_events:
            return None
        appends = _appends(stored_events)
        wait(self._ledger.append_all(appends))
        positions = {
            (recorded.stream, recorded.version): recorded.position
            for append in appends
            for recorded in wait(self._ledger.read(append.stream))
        }
        return [positions[str(each.originator_id), each.originator_version] for each in stored_events]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        try:
            stream = str(stream_id(str(originator_id)))
        except Unreadable:
            return []  # nothing can be recorded there
        found = [_stored(recorded, version) for version, recorded in enumerate(wait(self._ledger.read(stream)), 1)]
        return selected(found, gt=gt, lte=lte, desc=desc, limit=limit)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        return wait(self._notifications(first(start, inclusive_of_start), limit, stop, topics))

    def max_notification_id(self) -> int | None:
        return wait(self._ledger.last()) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return JetStreamSubscription(self, gt, topics, self._follow(gt or 0))

    async def _follow(self, after: int) -> AsyncGenerator[list[Notification], None]:
        async with aclosing(self._ledger.follow(after)) as pages:
            async for page in pages:
                yield list(map(_notification, page.recorded))

    async def _notifications(
        self, start: int, limit: int, stop: int | None, topics: Sequence[str]
    ) -> Sequence[Notification]:
        found: list[Notification] = []
        last = await self._ledger.last()
        last = last if stop is None else min(last, stop)
        if start > last:
            return found
        async with aclosing(self._follow(start - 1)) as pages:
            async for page in pages:
                found.extend(each for each in page if each.id <= last and (not topics or each.topic in topics))
                if len(found) >= limit or (page and page[-1].id >= last):
                    break
        return found[:limit]


class LogFactory(InfrastructureFactory[TrackingRecorder]):
    """One stream, one mapper: of the environment only NATS_URL and NATS_WRITABLE count."""

    NATS_URL = "NATS_URL"
    NATS_WRITABLE = "NATS_WRITABLE"

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.datastore = JetStreamDatastore(factory.required(self.env, self.NATS_URL))

    def mapper(self, transcoder: Any = None, mapper_class: type[Mapper[Any]] | None = None) -> Mapper[Any]:
        return super().mapper(transcoder, mapper_class or EventMapper)

    def application_recorder(self) -> ApplicationRecorder:
        return LogRecorder(self.datastore, writable=strtobool(self.env.get(self.NATS_WRITABLE) or "n"))

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        return self.application_recorder() if purpose == "events" else _refuse()

    def tracking_recorder(self, tracking_recorder_class: type[TrackingRecorder] | None = None) -> TrackingRecorder:
        return _refuse()

    def process_recorder(self) -> ProcessRecorder:
        return _refuse()

    def close(self) -> None:
        self.datastore.close()


def _refuse() -> NoReturn:
    raise NotSupportedError(ONLY_EVENTS)


def _stored(recorded: Recorded, version: int) -> StoredEvent:
    # Of an unreadable body the place says the version.
    return StoredEvent(recorded.stream, version, recorded.event.type, recorded.body)


def _notification(recorded: Recorded) -> Notification:
    of = stored_event(recorded.event, recorded.body)
    return Notification(of.originator_id, of.originator_version, of.topic, of.state, recorded.position)


def _appends(stored_events: Sequence[StoredEvent]) -> list[Append]:
    entries: dict[str, list[Entry]] = {}
    for each in stored_events:
        entry = Entry(codec.decode(each.state), each.state)
        place = (entry.event.subject, entry.event.version, entry.event.type)
        if isinstance(entry.event.data, Unknown):
            raise ProgrammingError(f"not an event of attorn's: {entry.event.data.reason}")
        if place != (each.originator_id, each.originator_version, each.topic):
            raise ProgrammingError(f"the body says {place}, and the stored event something else")
        its = entries.setdefault(entry.event.subject, [])
        if its and entry.event.version != its[-1].event.version + 1:
            raise IntegrityError(f"{entry.event.subject}: version {entry.event.version} does not follow the one before")
        its.append(entry)
    if len(stored_events) > BATCH_MAX:
        raise ProgrammingError(f"{len(stored_events)} events in one insert; an atomic batch holds {BATCH_MAX}")
    return [Append(stream, its[0].event.version - 1, tuple(its)) for stream, its in entries.items()]
