"""The library's aggregate and application recorders on a stream: gapless versions, positions as notification ids."""

import secrets
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
    Tracking,
)

from attorn.eventsourcing import stored
from attorn.eventsourcing.loop import wait
from attorn.eventsourcing.stored import Head, Line
from attorn.eventsourcing.stream import Draft, Message, Stream
from attorn.eventsourcing.subscription import JetStreamSubscription
from attorn.services.ledger.lookup import PAGE


class JetStreamAggregateRecorder(AggregateRecorder):
    """Versions of one aggregate follow each other by one; the first may be any."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        self.insert_tracked(stored_events)
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        subject = stored.event(self.stream.name, originator_id)
        only_last = desc and limit == 1 and lte is None
        messages = wait(self._read(subject, gt=gt, only_last=only_last))
        return selected(map(_stored_event, messages), gt=gt, lte=lte, desc=desc, limit=limit)

    def insert_tracked(
        self, stored_events: Sequence[StoredEvent], tracking: Tracking | None = None
    ) -> list[int] | None:
        """The positions of the events; None when there are none."""
        if not stored_events and tracking is None:
            return None
        author = secrets.token_bytes(8)
        events = [
            (
                stored.event(self.stream.name, each.originator_id),
                Line(each.originator_version, each.topic, each.state, author),
            )
            for each in stored_events
        ]
        positions = wait(self._append(events, _tracked(self.stream.name, tracking, author)))
        return positions[: len(events)] or None

    async def _append(self, events: Sequence[tuple[str, Line]], tracked: tuple[str, Line] | None) -> list[int]:
        try:
            return await self._try(events, tracked, believing=True)
        except IntegrityError:
            # What was remembered may be wrong: somebody else has appended since. Nothing of ours is recorded, so it
            # is tried behind what the leader says.
            return await self._try(events, tracked, believing=False)

    async def _try(
        self, events: Sequence[tuple[str, Line]], tracked: tuple[str, Line] | None, *, believing: bool
    ) -> list[int]:
        versions: dict[str, list[int]] = {}
        for subject, line in events:
            versions.setdefault(subject, []).append(line.version)
        guards: dict[str, int] = {}
        for subject, its in versions.items():
            if any(after != before + 1 for before, after in pairwise(its)):
                raise IntegrityError(f"{subject}: versions {its} do not follow each other")
            head = self._believed(subject, its[0]) if believing else None
            if head is None:
                head = await self.stream.head(subject)
            if head.position and its[0] != head.version + 1:
                raise IntegrityError(f"{subject} is at version {head.version}; {its[0]} does not follow it")
            guards[subject] = head.position
        everything = list(events)
        if tracked is not None:
            subject, line = tracked
            head = (self.stream.believed(subject) if believing else None) or await self.stream.head(subject)
            if head.position and line.version <= head.version:
                raise IntegrityError(f"{subject} is at {head.version} already; {line.version} is not after it")
            guards[subject] = head.position
            everything.append(tracked)
        return await self.stream.append([Draft(subject, stored.encode(line)) for subject, line in everything], guards)

    def _believed(self, subject: str, version: int) -> Head | None:
        known = self.stream.believed(subject)
        # Of an aggregate that should be new nothing needs to be known: the guard is 0.
        return Head(0, 0, 0) if known is None and version <= 1 else known

    async def _read(self, subject: str, *, gt: int | None, only_last: bool) -> Sequence[Message]:
        if only_last:
            last = await self.stream.last(subject)
            return [last] if last else []
        known = self.stream.believed(subject)
        # Who has the newest that we know of asks for what came since; it need not be read again.
        after = known.position if known and known.version == gt else 0
        found = await self.stream.read(subject, after=after, up_to=known.position if known else 0)
        if found:
            self.stream.remember(found[-1])
        return found


class JetStreamApplicationRecorder(JetStreamAggregateRecorder, ApplicationRecorder):
    """Notification ids are positions on the stream: in the order of recording, without gaps."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        return self.insert_tracked(stored_events)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = first(start, inclusive_of_start) - 1
        return wait(self._notifications(after, limit, stop, topics))

    def max_notification_id(self) -> int | None:
        last = wait(self.stream.last(stored.all_events(self.stream.name)))
        return last.position if last else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return JetStreamSubscription(self, gt, topics, self._follow(gt or 0))

    async def _follow(self, after: int) -> AsyncGenerator[list[Notification], None]:
        async with aclosing(self.stream.follow(stored.all_events(self.stream.name), after)) as found:
            async for page in found:
                yield list(map(notification, page))

    async def _notifications(
        self, after: int, limit: int, stop: int | None, topics: Sequence[str]
    ) -> Sequence[Notification]:
        found: list[Notification] = []
        subject = stored.all_events(self.stream.name)
        while len(found) < limit:
            # Of what is filtered by topic, more must be looked at than is wanted.
            size = PAGE if topics else limit - len(found)
            page = await self.stream.read(subject, after=after, limit=size, up_to=min(self.stream.end, stop or 2**63))
            here = [each for each in page if stop is None or each.position <= stop]
            found.extend(each for each in map(notification, here) if not topics or each.topic in topics)
            if len(here) < size:
                break
            after = here[-1].position
        return found[:limit]


def notification(message: Message) -> Notification:
    line = stored.decode(message.body)
    return Notification(
        id=message.position,
        originator_id=stored.originator_id(message.subject),
        originator_version=line.version,
        topic=line.topic,
        state=line.state,
    )


def first(start: int | None, inclusive: bool) -> int:
    """The first position that is asked for."""
    return 1 if start is None else max(1, start if inclusive else start + 1)


def selected(
    events: Iterable[StoredEvent], *, gt: int | None, lte: int | None, desc: bool, limit: int | None
) -> list[StoredEvent]:
    found = [
        each
        for each in events
        if (gt is None or each.originator_version > gt) and (lte is None or each.originator_version <= lte)
    ]
    if desc:
        found.reverse()
    return found[:limit]


def _stored_event(message: Message) -> StoredEvent:
    line = stored.decode(message.body)
    return StoredEvent(stored.originator_id(message.subject), line.version, line.topic, line.state)


def _tracked(stream: str, tracking: Tracking | None, author: bytes) -> tuple[str, Line] | None:
    if tracking is None:
        return None
    line = Line(tracking.notification_id, "", b"", author)
    return stored.tracking(stream, tracking.application_name), line
