"""Events together with the position that they were made from, in one atomic batch: processed exactly once."""

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import ProcessRecorder, StoredEvent

from attorn.eventsourcing.recorder import JetStreamApplicationRecorder
from attorn.eventsourcing.stream import Stream
from attorn.eventsourcing.tracking import JetStreamTrackingRecorder


class JetStreamProcessRecorder(JetStreamTrackingRecorder, JetStreamApplicationRecorder, ProcessRecorder):
    """Positions stand between the events on the same stream, so that notification ids have gaps there."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        return self.insert_tracked(stored_events, kwargs.get("tracking"))
