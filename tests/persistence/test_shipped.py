"""The eventsourcing library's own test cases, on JetStream: each class here runs the one that it is named after."""

import os
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from eventsourcing.persistence import Tracking
from eventsourcing.popo import POPOTrackingRecorder
from eventsourcing.tests import application, persistence, projection
from eventsourcing.utils import Environment, get_topic

from attorn.eventsourcing.datastore import JetStreamDatastore
from attorn.eventsourcing.factory import JetStreamFactory
from attorn.eventsourcing.loop import wait
from attorn.eventsourcing.process import JetStreamProcessRecorder
from attorn.eventsourcing.recorder import JetStreamAggregateRecorder, JetStreamApplicationRecorder
from attorn.eventsourcing.stream import Stream
from attorn.eventsourcing.tracking import JetStreamTrackingRecorder

pytestmark = pytest.mark.usefixtures("on_server")


class OnJetStream:
    server: Any
    datastore: JetStreamDatastore

    def setUp(self) -> None:
        self.datastore = JetStreamDatastore(self.server.url)

    def tearDown(self) -> None:
        self.datastore.close()

    def stream(self) -> Stream:
        stream = Stream(self.datastore, self.server.name())
        wait(stream.make())
        return stream


class TestAggregateRecorderTestCase(OnJetStream, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> JetStreamAggregateRecorder:
        return JetStreamAggregateRecorder(self.stream())


class TestAggregateRecorderTestCaseWithTextIds(TestAggregateRecorderTestCase):
    def new_originator_id(self) -> str:
        return f"account/{uuid4()}.é *>"


class TestApplicationRecorderTestCase(OnJetStream, persistence.ApplicationRecorderTestCase):
    def create_recorder(self) -> JetStreamApplicationRecorder:
        return JetStreamApplicationRecorder(self.stream())

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNonInterleavingNotificationIDsBaseCase(OnJetStream, persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> JetStreamApplicationRecorder:
        return JetStreamApplicationRecorder(self.stream())


class TestTrackingRecorderTestCase(OnJetStream, persistence.TrackingRecorderTestCase):
    def create_recorder(self) -> JetStreamTrackingRecorder:
        return JetStreamTrackingRecorder(self.stream())


class TestProcessRecorderTestCase(OnJetStream, persistence.ProcessRecorderTestCase):
    def create_recorder(self) -> JetStreamProcessRecorder:
        return JetStreamProcessRecorder(self.stream())


class SpecialTrackingRecorder(JetStreamTrackingRecorder):
    pass


class TestInfrastructureFactoryTestCase(persistence.InfrastructureFactoryTestCase):
    server: Any

    def expected_factory_class(self) -> type[JetStreamFactory]:
        return JetStreamFactory

    def expected_aggregate_recorder_class(self) -> type[JetStreamAggregateRecorder]:
        return JetStreamAggregateRecorder

    def expected_application_recorder_class(self) -> type[JetStreamApplicationRecorder]:
        return JetStreamApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[JetStreamTrackingRecorder]:
        return JetStreamTrackingRecorder

    def tracking_recorder_subclass(self) -> type[JetStreamTrackingRecorder]:
        return SpecialTrackingRecorder

    def expected_process_recorder_class(self) -> type[JetStreamProcessRecorder]:
        return JetStreamProcessRecorder

    def setUp(self) -> None:
        self.env = Environment("TestCase")
        self.env["PERSISTENCE_MODULE"] = "attorn.eventsourcing"
        self.env["NATS_URL"] = self.server.url
        self.env["NATS_STREAM"] = self.server.name()
        super().setUp()


class TestExampleApplicationTestCase(application.ExampleApplicationTestCase):
    server: Any
    expected_factory_topic = get_topic(JetStreamFactory)

    def setUp(self) -> None:
        os.environ["PERSISTENCE_MODULE"] = "attorn.eventsourcing"
        os.environ["NATS_URL"] = self.server.url
        os.environ["NATS_STREAM"] = self.server.name()

    def tearDown(self) -> None:
        for name in ("PERSISTENCE_MODULE", "NATS_URL", "NATS_STREAM"):
            del os.environ[name]


class Counters(POPOTrackingRecorder, projection.EventCountersView):
    """A view in memory: what is tested is the application on JetStream that it follows."""

    def __init__(self) -> None:
        super().__init__()
        self.created = self.subsequent = 0

    def get_created_event_counter(self) -> int:
        return self.created

    def get_subsequent_event_counter(self) -> int:
        return self.subsequent

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self.insert_tracking(tracking)
        self.created += 1

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self.insert_tracking(tracking)
        self.subsequent += 1


class TestAggregateEventCountersProjectionTestCase(projection.AggregateEventCountersProjectionTestCase):
    server: Any
    view_class: type[Any] = Counters

    def setUp(self) -> None:
        self.env: ClassVar[dict[str, str]] = {  # type: ignore[misc]
            "APPLICATION_PERSISTENCE_MODULE": "attorn.eventsourcing",
            "APPLICATION_NATS_URL": self.server.url,
            "APPLICATION_NATS_STREAM": self.server.name(),
            "EVENTCOUNTERS_PERSISTENCE_MODULE": "eventsourcing.popo",
        }


class TestEventSourcedProjectionTestCase(projection.EventSourcedProjectionTestCase):
    server: Any

    def setUp(self) -> None:
        self.env: ClassVar[dict[str, str]] = {  # type: ignore[misc]
            "PERSISTENCE_MODULE": "attorn.eventsourcing",
            "NATS_URL": self.server.url,
            "APPLICATION_NATS_STREAM": self.server.name(),
            "COUNTERS_NATS_STREAM": self.server.name(),
        }
