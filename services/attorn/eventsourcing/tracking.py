"""How far another application's notifications were processed: one subject for each application, its newest message."""

from eventsourcing.persistence import Tracking, TrackingRecorder

from attorn.eventsourcing import stored
from attorn.eventsourcing.loop import wait
from attorn.eventsourcing.recorder import JetStreamAggregateRecorder
from attorn.eventsourcing.stream import Stream


class JetStreamTrackingRecorder(TrackingRecorder):
    """A position is recorded once, and only behind those before it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._positions = JetStreamAggregateRecorder(stream)

    def insert_tracking(self, tracking: Tracking) -> None:
        self._positions.insert_tracked([], tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        head = wait(self.stream.head(stored.tracking(self.stream.name, application_name)))
        return head.version if head.position else None
