"""What the recorders on JetStream guarantee beyond the library's own cases: races, lost answers, restarts, refusals."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    Notification,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)

from attorn.eventsourcing import datastore as datastore_module
from attorn.eventsourcing import stored
from attorn.eventsourcing.datastore import JetStreamDatastore
from attorn.eventsourcing.factory import JetStreamFactory
from attorn.eventsourcing.loop import wait
from attorn.eventsourcing.process import JetStreamProcessRecorder
from attorn.eventsourcing.recorder import JetStreamAggregateRecorder, JetStreamApplicationRecorder
from attorn.eventsourcing.snapshots import JetStreamSnapshotRecorder
from attorn.eventsourcing.stored import Line
from attorn.eventsourcing.stream import Stream
from attorn.eventsourcing.tracking import JetStreamTrackingRecorder
from attorn.services.supervise.server import Broker, embedded


def event(id: UUID | str, version: int, state: bytes = b"{}", topic: str = "t") -> StoredEvent:
    return StoredEvent(id, version, topic, state)


def opened(datastore: JetStreamDatastore, name: str) -> Stream:
    stream = Stream(datastore, name)
    wait(stream.make())
    return stream


def place(notifications: Sequence[Notification]) -> list[tuple[int, UUID | str, int]]:
    return [(each.id, each.originator_id, each.originator_version) for each in notifications]


@pytest.fixture
def datastore(server: Any) -> Iterator[JetStreamDatastore]:
    datastore = JetStreamDatastore(server.url)
    yield datastore
    datastore.close()


@pytest.fixture
def other(server: Any) -> Iterator[JetStreamDatastore]:
    """As another process has it: a connection of its own, and nothing remembered."""
    datastore = JetStreamDatastore(server.url)
    yield datastore
    datastore.close()


@pytest.fixture
def stream(server: Any, datastore: JetStreamDatastore) -> Stream:
    return opened(datastore, server.name())


@pytest.fixture
def recorder(stream: Stream) -> JetStreamApplicationRecorder:
    return JetStreamApplicationRecorder(stream)


@pytest.fixture
def rival(other: JetStreamDatastore, stream: Stream) -> JetStreamApplicationRecorder:
    return JetStreamApplicationRecorder(opened(other, stream.name))


class Own:
    """A server to freeze and kill, and a connection to it that does not wait long."""

    def __init__(self, server: Any, broker: Broker) -> None:
        self._server, self.broker = server, broker
        self.datastore = JetStreamDatastore(broker.url, timeout=0.2)

    def restart(self) -> None:
        self._server.run(self.broker.kill())
        self._server.run(self.broker.restart())


@pytest.fixture
def own(server: Any, tmp_path: Path) -> Iterator[Own]:
    block = embedded(tmp_path, ephemeral=True)
    own = Own(server, server.run(block.__aenter__()))
    yield own
    own.datastore.close()
    server.run(block.__aexit__(None, None, None))


def test_events_of_several_aggregates_are_recorded_all_or_none(recorder: JetStreamApplicationRecorder) -> None:
    a, b = uuid4(), uuid4()
    assert recorder.insert_events([event(a, 1), event(b, 1), event(a, 2)]) == [1, 2, 3]
    with pytest.raises(IntegrityError):
        recorder.insert_events([event(b, 2), event(a, 2)])

    assert place(recorder.select_notifications(None, 10)) == [(1, a, 1), (2, b, 1), (3, a, 2)]
    assert recorder.insert_events([event(b, 2)]) == [4]


def test_who_comes_second_is_told_and_can_go_on(
    recorder: JetStreamApplicationRecorder, rival: JetStreamApplicationRecorder
) -> None:
    a = uuid4()
    recorder.insert_events([event(a, 1)])
    rival.select_events(a)
    recorder.insert_events([event(a, 2, b"mine")])
    with pytest.raises(IntegrityError):
        rival.insert_events([event(a, 2, b"theirs")])
    rival.insert_events([event(a, 3), event(a, 4)])
    with pytest.raises(IntegrityError):
        recorder.insert_events([event(a, 3), event(a, 4)])
    # What it remembers is behind by two, and that is no conflict.
    recorder.insert_events([event(a, 5)])

    assert [each.originator_version for each in rival.select_events(a)] == [1, 2, 3, 4, 5]
    assert rival.select_events(a, gt=4) == [event(a, 5)]
    assert [each.id for each in recorder.select_notifications(None, 10)] == [1, 2, 3, 4, 5]


def test_the_same_event_of_somebody_else_is_a_conflict(
    recorder: JetStreamApplicationRecorder, rival: JetStreamApplicationRecorder
) -> None:
    a = uuid4()
    recorder.insert_events([event(a, 1)])
    with pytest.raises(IntegrityError):
        rival.insert_events([event(a, 1)])


def test_of_many_who_race_for_one_version_one_wins(
    recorder: JetStreamApplicationRecorder, rival: JetStreamApplicationRecorder
) -> None:
    a, won, start = uuid4(), [], threading.Barrier(8)

    def race(who: JetStreamApplicationRecorder) -> None:
        for version in range(1, 11):
            start.wait(10)
            try:
                who.insert_events([event(a, version)])
                won.append(version)
            except IntegrityError:
                pass

    racers = [threading.Thread(target=race, args=(who,)) for who in [recorder, rival] * 4]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(20)
    assert won == list(range(1, 11))
    assert [each.originator_version for each in recorder.select_events(a)] == won


@pytest.mark.parametrize("size", [1, 3])
def test_an_insert_whose_answer_was_lost_succeeds_and_is_stored_once(own: Own, server: Any, size: int) -> None:
    recorder = JetStreamApplicationRecorder(opened(own.datastore, "LOST"))
    a = uuid4()
    recorder.insert_events([event(a, 1)])
    own.broker.freeze()
    thawing = threading.Timer(0.7, own.broker.thaw)
    thawing.start()
    ids = recorder.insert_events([event(a, 2 + number) for number in range(size)])
    thawing.join()

    assert ids == list(range(2, 2 + size))
    assert len(recorder.select_notifications(None, 100)) == 1 + size


def test_when_nothing_answers_the_outcome_is_said_to_be_unknown(own: Own) -> None:
    own.datastore.patience = 0.3
    recorder = JetStreamApplicationRecorder(opened(own.datastore, "MUTE"))
    a = uuid4()
    recorder.insert_events([event(a, 1)])
    own.broker.freeze()
    try:
        with pytest.raises(OperationalError, match="whether the events were recorded is not known"):
            recorder.insert_events([event(a, 2)])
        with pytest.raises(OperationalError):
            recorder.select_notifications(None, 10)
    finally:
        own.broker.thaw()


def test_a_subscription_outlives_the_server_without_a_gap_or_a_repetition(own: Own) -> None:
    recorder = JetStreamApplicationRecorder(opened(own.datastore, "LIVES"))
    a = uuid4()
    recorder.insert_events([event(a, version) for version in range(1, 601)])
    heard: list[int] = []
    with recorder.subscribe() as subscription:
        for notification in subscription:
            heard.append(notification.id)
            if len(heard) in (300, 600):
                own.restart()
                recorder.insert_events([event(a, 601 if len(heard) == 300 else 602)])
            if notification.id == 602:
                break
    assert heard == list(range(1, 603))


def test_a_subscription_is_stopped_from_another_thread(recorder: JetStreamApplicationRecorder) -> None:
    subscription = recorder.subscribe()
    stopping = threading.Timer(0.2, subscription.stop)
    stopping.start()
    with subscription:
        assert list(subscription) == []
    stopping.join()


def test_a_subscription_begun_beyond_the_end_waits_for_what_is_behind(recorder: JetStreamApplicationRecorder) -> None:
    a = uuid4()
    recorder.insert_events([event(a, 1)])
    with recorder.subscribe(gt=2) as subscription:
        recorder.insert_events([event(a, 2), event(a, 3)])
        assert next(subscription).id == 3


def test_a_subscription_ends_with_its_connection(server: Any, stream: Stream) -> None:
    datastore = JetStreamDatastore(server.url)
    recorder = JetStreamApplicationRecorder(opened(datastore, stream.name))
    subscription = recorder.subscribe()
    closing = threading.Timer(0.2, datastore.close)
    closing.start()
    with pytest.raises(OperationalError, match="closed"), subscription:
        next(subscription)
    closing.join()
    with pytest.raises(OperationalError, match="closed"):
        recorder.insert_events([event(uuid4(), 1)])


def test_events_and_their_position_are_recorded_together_or_not_at_all(
    stream: Stream, other: JetStreamDatastore
) -> None:
    recorder = JetStreamProcessRecorder(stream)
    rival = JetStreamProcessRecorder(opened(other, stream.name))
    a, b = uuid4(), uuid4()
    assert recorder.insert_events([event(a, 1)], tracking=Tracking("up", 1)) == [1]
    assert rival.insert_events([event(a, 2)], tracking=Tracking("up", 2)) == [3]
    with pytest.raises(IntegrityError):
        recorder.insert_events([event(b, 1)], tracking=Tracking("up", 2))
    with pytest.raises(IntegrityError):
        recorder.insert_events([event(a, 2)], tracking=Tracking("up", 3))

    assert recorder.select_events(b) == []
    assert recorder.max_tracking_id("up") == 2
    assert recorder.insert_events([], tracking=Tracking("up", 3)) is None
    assert [each.id for each in rival.select_notifications(None, 10)] == [1, 3]
    with rival.subscribe() as subscription:
        assert [next(subscription).id for _ in range(2)] == [1, 3]


def test_a_tracking_recorders_stream_keeps_the_newest_position_only(server: Any) -> None:
    factory = JetStreamFactory({"NATS_URL": server.url, "NATS_STREAM": server.name()})
    recorder = factory.tracking_recorder()
    for position in range(1, 6):
        recorder.insert_tracking(Tracking("up.stream", position))
    assert recorder.max_tracking_id("up.stream") == 5
    assert len(wait(recorder.stream.read(recorder.stream.subjects))) == 1
    assert isinstance(recorder, JetStreamTrackingRecorder)
    factory.close()


def test_snapshots_come_in_any_order_each_version_once(stream: Stream, other: JetStreamDatastore) -> None:
    recorder = JetStreamSnapshotRecorder(stream)
    rival = JetStreamSnapshotRecorder(opened(other, stream.name))
    a = uuid4()
    for version in (5, 9, 7):
        recorder.insert_events([event(a, version)])
    with pytest.raises(IntegrityError, match="version 7 already"):
        rival.insert_events([event(a, 7)])

    for who in (recorder, rival):
        assert who.select_events(a) == [event(a, 5), event(a, 7), event(a, 9)]
        assert who.select_events(a, desc=True, limit=1) == [event(a, 9)]
        assert who.select_events(a, desc=True, limit=1, lte=8) == [event(a, 7)]
    assert rival.select_events(uuid4(), desc=True, limit=1) == []


@pytest.mark.parametrize("id", ["dog-1", "work/W-1", "a.b c*>%/é\u2028", "x" * 300])
def test_any_text_names_an_aggregate(recorder: JetStreamApplicationRecorder, id: str) -> None:
    recorder.insert_events([event(id, 1)])
    assert recorder.select_events(id) == [event(id, 1)]
    assert recorder.select_notifications(None, 1)[0].originator_id == id


def test_a_uuid_and_its_text_are_two_aggregates(recorder: JetStreamApplicationRecorder) -> None:
    a = uuid4()
    recorder.insert_events([event(a, 1, b"one"), event(str(a), 1, b"two")])
    assert recorder.select_events(a) == [event(a, 1, b"one")]
    assert [each.originator_id for each in recorder.select_notifications(None, 2)] == [a, str(a)]


def test_what_cannot_be_stored_is_refused_and_the_connection_stays(recorder: JetStreamApplicationRecorder) -> None:
    a = uuid4()
    refused: list[tuple[type[Exception], list[StoredEvent]]] = [
        (ProgrammingError, [event("", 1)]),
        (DataError, [event("\ud800", 1)]),
        (DataError, [event("x" * 2_000, 1)]),
        (ProgrammingError, [event(a, version) for version in range(1, 1_002)]),
        (OperationalError, [event(a, 1, b"x" * 9_000_000)]),
        (IntegrityError, [event(a, 1), event(a, 3)]),
    ]
    for reason, events in refused:
        with pytest.raises(reason):
            recorder.insert_events(events)
    assert recorder.insert_events([event(a, 1)]) == [1]
    with pytest.raises(IntegrityError):
        recorder.insert_events([event(a, 3)])


def test_notifications_by_topic_are_found_beyond_a_page(recorder: JetStreamApplicationRecorder) -> None:
    a = uuid4()
    for first in (0, 800, 1_600):
        recorder.insert_events([event(a, first + each, topic="rare" if each == 799 else "t") for each in range(800)])
    assert [each.id for each in recorder.select_notifications(None, 2, topics=["rare"])] == [800, 1_600]
    assert [each.id for each in recorder.select_notifications(801, 9, stop=2_399, topics=["rare"])] == [1_600]
    assert len(recorder.select_notifications(None, 2_400)) == 2_400


def test_a_message_that_no_recorder_wrote_is_told(recorder: JetStreamApplicationRecorder, stream: Stream) -> None:
    a = uuid4()

    async def intrude() -> None:
        await stream.datastore.nc.publish(stored.event(stream.name, a), b"hello")
        await stream.datastore.nc.flush()

    wait(intrude())
    with pytest.raises(DataError, match="no stored event"):
        recorder.select_events(a)


def test_the_stored_format_is_this() -> None:
    line = Line(7, "bank:Opened", b'{"a":1}', b"author.8")
    body = bytes.fromhex("9507") + b"\xabbank:Opened" + b'\xc4\x07{"a":1}' + b"\xc4\x08author.8" + b"\x00"
    assert stored.encode(line) == body
    assert stored.decode(body) == line
    assert stored.event("BANK", UUID(int=1)) == "es.BANK.event.uuid.00000000-0000-0000-0000-000000000001"
    assert stored.event("BANK", "a.b/c") == "es.BANK.event.text.a%2Eb%2Fc"
    assert stored.tracking("BANK", "Upstream") == "es.BANK.tracking.Upstream"


def test_a_stream_that_would_lose_events_is_refused(server: Any, datastore: JetStreamDatastore) -> None:
    stream = Stream(datastore, server.name())
    with pytest.raises(OperationalError, match="not found"):
        wait(stream.check())

    async def make_wrong() -> None:
        js = datastore.nc.jetstream()
        await js.add_stream(name=stream.name, subjects=[stream.subjects], max_msgs=10, allow_direct=True)

    wait(make_wrong())
    with pytest.raises(OperationalError, match="max_msgs is 10 and must be -1"):
        wait(stream.make())


def test_a_stream_is_made_once_and_found_again(server: Any, datastore: JetStreamDatastore) -> None:
    name = server.name()
    for _ in range(2):
        wait(Stream(datastore, name).make())
    wait(Stream(datastore, name, storage="memory").make())
    wait(Stream(datastore, name).check())


@pytest.mark.parametrize(
    ("wrong", "reason", "message"),
    [
        ({"NATS_URL": ""}, OSError, "'NATS_URL' not found in environment"),
        ({"NATS_STREAM": ""}, OSError, "'NATS_STREAM' not found in environment"),
        ({"NATS_STREAM": "ATTORN"}, ProgrammingError, "attorn.eventsourcing.log"),
        ({"NATS_STREAM": "ATTORN_FEED"}, ProgrammingError, "attorn.eventsourcing.log"),
        ({"NATS_STREAM": "a.>"}, ProgrammingError, "cannot name a stream"),
        ({"NATS_STORAGE": "tape"}, OSError, "it is 'file' or 'memory'"),
        ({"NATS_REPLICAS": "2"}, OSError, "it is 1, 3 or 5"),
        ({"CREATE_TABLE": "n"}, OperationalError, "stream not found"),
    ],
)
def test_an_environment_that_is_wrong_is_told(
    server: Any, wrong: dict[str, str], reason: type[Exception], message: str
) -> None:
    env = {"PERSISTENCE_MODULE": "attorn.eventsourcing", "NATS_URL": server.url, "NATS_STREAM": server.name()} | wrong
    with pytest.raises(reason, match=message):
        factory = JetStreamFactory(env)
        try:
            factory.application_recorder()
        finally:
            factory.close()


def test_an_application_has_a_stream_of_its_own_name(server: Any) -> None:
    class Bank(Application[UUID]):
        pass

    with Bank({"PERSISTENCE_MODULE": "attorn.eventsourcing", "NATS_URL": server.url}) as bank:
        assert isinstance(bank.recorder, JetStreamAggregateRecorder)
        assert bank.recorder.stream.name == "Bank"


def test_where_nobody_answers_it_is_said_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datastore_module, "CONNECT_S", 0.3)
    begun = time.monotonic()
    with pytest.raises(OperationalError, match="nobody answers at nats"):
        JetStreamDatastore("nats://127.0.0.1:1")
    assert time.monotonic() - begun < 3


def test_an_application_that_is_dropped_leaves_no_connection_behind(server: Any) -> None:
    datastore = JetStreamDatastore(server.url)
    nc = datastore.nc
    del datastore
    gc.collect()

    async def gone() -> None:
        async with asyncio.timeout(5):
            while not nc.is_closed:  # noqa: ASYNC110 - the client sets no Event
                await asyncio.sleep(0.01)

    wait(gone())
