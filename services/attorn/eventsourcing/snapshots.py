"""Snapshots on a stream of their own: each version of an aggregate once, in whatever order they are taken."""

from collections.abc import Sequence

import msgspec
from eventsourcing.persistence import IntegrityError

from attorn.eventsourcing import stored
from attorn.eventsourcing.recorder import JetStreamAggregateRecorder
from attorn.eventsourcing.stored import Line
from attorn.eventsourcing.stream import Draft, Message


class JetStreamSnapshotRecorder(JetStreamAggregateRecorder):
    """An aggregate's newest snapshot is found with one look, unless an older version was taken after it."""

    async def _append(self, events: Sequence[tuple[str, Line]], tracked: tuple[str, Line] | None) -> list[int]:
        drafts: list[Draft] = []
        guards: dict[str, int] = {}
        newest: dict[str, int] = {}
        taken: dict[str, set[int]] = {}
        for subject, line in events:
            if subject not in guards:
                found = await self.stream.read(subject, up_to=(await self.stream.head(subject)).position)
                guards[subject] = found[-1].position if found else 0
                taken[subject] = {stored.decode(each.body).version for each in found}
            if line.version in taken[subject]:
                raise IntegrityError(f"{subject} has a snapshot of version {line.version} already")
            taken[subject].add(line.version)
            newest[subject] = max(taken[subject])
            drafts.append(Draft(subject, stored.encode(msgspec.structs.replace(line, newest=newest[subject]))))
        return await self.stream.append(drafts, guards)

    async def _read(self, subject: str, *, gt: int | None, only_last: bool) -> Sequence[Message]:
        if only_last:
            last = await self.stream.last(subject)
            if last is None:
                return []
            line = stored.decode(last.body)
            if line.version == line.newest:
                return [last]
        known = self.stream.believed(subject)
        found = await self.stream.read(subject, up_to=known.position if known else 0)
        return sorted(found, key=lambda message: stored.decode(message.body).version)
