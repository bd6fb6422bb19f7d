"""From an environment to recorders: what `PERSISTENCE_MODULE=attorn.eventsourcing` gives an application."""

from typing import Literal, TypeVar, cast

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    ProcessRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool

from attorn.eventsourcing.datastore import JetStreamDatastore
from attorn.eventsourcing.loop import wait
from attorn.eventsourcing.process import JetStreamProcessRecorder
from attorn.eventsourcing.recorder import JetStreamAggregateRecorder, JetStreamApplicationRecorder
from attorn.eventsourcing.snapshots import JetStreamSnapshotRecorder
from attorn.eventsourcing.stored import require_name
from attorn.eventsourcing.stream import Stream
from attorn.eventsourcing.tracking import JetStreamTrackingRecorder

T = TypeVar("T")


class JetStreamFactory(InfrastructureFactory[JetStreamTrackingRecorder]):
    """Each variable may be said for one application only, in front of it its name: BANK_NATS_STREAM."""

    NATS_URL = "NATS_URL"
    NATS_STREAM = "NATS_STREAM"
    NATS_STORAGE = "NATS_STORAGE"
    NATS_REPLICAS = "NATS_REPLICAS"
    CREATE_TABLE = "CREATE_TABLE"

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.stream = require_name(self.env.get(self.NATS_STREAM) or self.env.name or required(self.env, "NATS_STREAM"))
        self.datastore = JetStreamDatastore(required(self.env, self.NATS_URL))

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        if purpose == "events":
            return JetStreamAggregateRecorder(self._stream())
        return JetStreamSnapshotRecorder(self._stream(f"_{purpose.upper()}"))

    def application_recorder(self) -> ApplicationRecorder:
        return self._class(self.APPLICATION_RECORDER_TOPIC, JetStreamApplicationRecorder)(self._stream())

    def tracking_recorder(
        self, tracking_recorder_class: type[JetStreamTrackingRecorder] | None = None
    ) -> JetStreamTrackingRecorder:
        found = tracking_recorder_class or self._class(self.TRACKING_RECORDER_TOPIC, JetStreamTrackingRecorder)
        assert issubclass(found, JetStreamTrackingRecorder), found
        # Nothing here is recorded together with events, so it may have a stream that keeps only what counts.
        return found(self._stream("_TRACKING", last_only=True))

    def process_recorder(self) -> ProcessRecorder:
        return self._class(self.PROCESS_RECORDER_TOPIC, JetStreamProcessRecorder)(self._stream())

    def close(self) -> None:
        self.datastore.close()

    def _class(self, topic: str, default: type[T]) -> type[T]:
        name = self.env.get(topic)
        found = resolve_topic(name) if name else default
        assert issubclass(found, default), f"{topic}: {name} is no {default.__name__}"
        return cast(type[T], found)

    def _stream(self, suffix: str = "", *, last_only: bool = False) -> Stream:
        storage = self.env.get(self.NATS_STORAGE) or "file"
        if storage not in ("file", "memory"):
            raise OSError(f"{self.NATS_STORAGE} is {storage!r}; it is 'file' or 'memory'")
        replicas = self.env.get(self.NATS_REPLICAS) or "1"
        if replicas not in ("1", "3", "5"):
            raise OSError(f"{self.NATS_REPLICAS} is {replicas!r}; it is 1, 3 or 5")
        stream = Stream(
            self.datastore,
            require_name(self.stream + suffix),
            storage=cast(Literal["file", "memory"], storage),
            replicas=int(replicas),
            last_only=last_only,
        )
        wait(stream.make() if strtobool(self.env.get(self.CREATE_TABLE) or "y") else stream.check())
        return stream


def required(env: Environment, key: str) -> str:
    """Raises OSError when nothing says it, as the library's other factories do."""
    if value := env.get(key):
        return value
    raise OSError(f"{key!r} not found in environment with keys: {', '.join(env.create_keys(key))}")
