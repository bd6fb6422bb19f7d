"""Attorn's log under the eventsourcing library: written by attorn and read by the library, and the reverse."""

import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import (
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    StoredEvent,
)

from attorn.contracts import codec
from attorn.contracts.envelope import Entry, Event, Recorded
from attorn.contracts.work import WorkDefined
from attorn.eventsourcing.mapper import EventMapper, stored_event
from sample_log import connected, entries, entry, fact

GUIDE = Path(__file__).parents[2] / "docs" / "eventsourcing.md"

numbers = count(1)


@pytest.fixture
def stream() -> str:
    """A work item that nobody has appended to."""
    return f"work/L-{next(numbers)}"


@pytest.fixture
def environment(server: Any) -> dict[str, str]:
    return {"PERSISTENCE_MODULE": "attorn.eventsourcing.log", "NATS_URL": server.url}


@pytest.fixture
def reader(environment: dict[str, str]) -> Iterator[Application[str]]:
    with Application[str](environment) as app:
        yield app


@pytest.fixture
def writer(environment: dict[str, str]) -> Iterator[Application[str]]:
    with Application[str](environment | {"NATS_WRITABLE": "y"}) as app:
        yield app


def record(server: Any, *appended: Entry) -> None:
    async def work() -> None:
        async with connected(server.url) as (_, ledger):
            first = appended[0].event
            await ledger.append(first.subject, first.version - 1, appended)

    server.run(work())


def read(server: Any, stream: str) -> list[Recorded]:
    async def work() -> list[Recorded]:
        async with connected(server.url) as (_, ledger):
            return list(await ledger.read(stream))

    found: list[Recorded] = server.run(work())
    return found


def test_the_history_that_attorn_wrote_is_the_librarys_history(
    server: Any, reader: Application[str], stream: str
) -> None:
    written = entries(stream, 1, 3)
    record(server, *written)

    assert list(reader.events.get(stream)) == [each.event for each in written]
    stored = reader.recorder.select_events(stream, gt=1, lte=3, desc=True, limit=1)
    assert stored == [StoredEvent(stream, 3, "attorn.work.defined.v1", written[2].body)]


def test_a_facts_own_bytes_are_what_the_library_sees(server: Any, reader: Application[str], stream: str) -> None:
    own = codec.encode(fact(stream, 1, f"jira-{stream}").event)[1:]
    stamped = codec.stamp(fact(stream, 1, f"jira-{stream}").event, b'{ "note": 1,' + own, 1)
    record(server, stamped)

    [stored] = reader.recorder.select_events(stream)
    assert stored.state == stamped.body


def test_a_repository_folds_events_with_a_projector(server: Any, reader: Application[str], stream: str) -> None:
    record(server, *(entry(stream, version, f"title {version}") for version in (1, 2, 3)))

    def titles(state: list[str] | None, events: Iterable[Event]) -> list[str] | None:
        found = (state or []) + [each.data.title for each in events]
        return found or None

    get: Any = reader.repository.get
    assert get(stream, projector_func=titles) == ["title 1", "title 2", "title 3"]
    assert get(stream, version=2, projector_func=titles) == ["title 1", "title 2"]
    for nobody in ("work/nobody", "no stream at all"):
        with pytest.raises(AggregateNotFoundError):
            get(nobody, projector_func=titles)


def test_notifications_are_the_log_in_order_with_its_positions(
    server: Any, reader: Application[str], stream: str
) -> None:
    record(server, *entries(stream, 1, 3))
    positions = [each.position for each in read(server, stream)]

    found = reader.recorder.select_notifications(positions[0], 10)
    assert [(each.id, each.originator_id, each.originator_version) for each in found] == [
        (position, stream, version) for version, position in enumerate(positions, 1)
    ]
    assert reader.recorder.max_notification_id() == positions[-1]
    assert [each.id for each in reader.recorder.select_notifications(None, 2)] == [1, 2]
    assert reader.recorder.select_notifications(positions[-1], 10, inclusive_of_start=False) == []
    within = reader.recorder.select_notifications(
        positions[0], 10, stop=positions[1], topics=["attorn.work.defined.v1"]
    )
    assert [each.id for each in within] == positions[:2]
    assert reader.recorder.select_notifications(None, 10, topics=["attorn.work.escalated.v1"]) == []


def test_a_subscription_follows_the_log(server: Any, reader: Application[str], stream: str) -> None:
    record(server, entry(stream, 1))
    [first] = read(server, stream)
    with reader.recorder.subscribe(gt=first.position - 1) as subscription:
        assert next(subscription).id == first.position
        record(server, entry(stream, 2))
        assert next(subscription).originator_version == 2


def test_what_the_library_writes_attorns_ledger_reads_with_the_same_bytes(
    server: Any, writer: Application[str], stream: str
) -> None:
    written = entries(stream, 1, 3)
    recordings = writer.save(*(each.event for each in written))  # type: ignore[arg-type]

    found = read(server, stream)
    assert [each.body for each in found] == [each.body for each in written]
    assert [each.event for each in found] == [each.event for each in written]
    assert [each.notification.id for each in recordings] == [each.position for each in found]


def test_several_work_items_are_written_all_or_none(server: Any, writer: Application[str], stream: str) -> None:
    other = f"{stream}-b"
    record(server, entry(other, 1))
    with pytest.raises(IntegrityError, match="is at 1, not 0"):
        writer.events.put([entry(stream, 1).event, entry(other, 1, "another").event])
    assert read(server, stream) == []

    writer.events.put([entry(stream, 1).event, entry(other, 2).event, entry(stream, 2).event])
    assert [each.version for each in read(server, stream)] == [1, 2]


def test_the_same_event_written_again_is_recorded_once(server: Any, writer: Application[str], stream: str) -> None:
    first = writer.events.put([entry(stream, 1).event])
    again = writer.events.put([entry(stream, 1).event])
    assert first == again
    assert len(read(server, stream)) == 1


def test_the_log_is_read_only_unless_somebody_says_otherwise(reader: Application[str], stream: str) -> None:
    with pytest.raises(NotSupportedError, match="read only"):
        reader.save(entry(stream, 1).event)  # type: ignore[arg-type]


def test_what_is_no_event_of_attorns_is_not_written(writer: Application[str], stream: str) -> None:
    sound = stored_event(entry(stream, 1).event, entry(stream, 1).body)
    for wrong in (
        StoredEvent("work/another", 1, sound.topic, sound.state),
        StoredEvent(stream, 2, sound.topic, sound.state),
        StoredEvent(stream, 1, "attorn.work.escalated.v1", sound.state),
        StoredEvent(stream, 1, sound.topic, b"{}"),
    ):
        with pytest.raises(ProgrammingError):
            writer.recorder.insert_events([wrong])
    with pytest.raises(IntegrityError, match="does not follow"):
        writer.events.put([entry(stream, 1).event, entry(stream, 3).event])
    with pytest.raises(ProgrammingError, match="holds 1000"):
        writer.events.put([each.event for each in entries(stream, 1, 1_001)])
    assert writer.recorder.insert_events([]) is None


def test_the_mapper_takes_attorns_events_only_and_keeps_their_bytes_plain() -> None:
    mapper = EventMapper()
    written = entry("work/W-1", 1)
    assert mapper.to_stored_event(written.event).state == written.body
    with pytest.raises(ProgrammingError, match="not one of attorn's"):
        mapper.to_stored_event(WorkDefined(title="Refund", accountable="mira"))
    unknown = codec.decode(b'{"specversion":"1.0","type":"x","id":"1","source":"s","time":"2026-01-01T00:00:00Z"}')
    with pytest.raises(ProgrammingError, match="cannot be written again"):
        mapper.to_stored_event(unknown)
    with pytest.raises(ProgrammingError, match="neither compressed nor encrypted"):
        EventMapper(compressor=object())


def test_the_log_keeps_nothing_but_events(environment: dict[str, str], reader: Application[str]) -> None:
    with pytest.raises(NotSupportedError, match="nothing else"):
        Application[str](environment | {"IS_SNAPSHOTTING_ENABLED": "y"})
    for refused in (reader.factory.tracking_recorder, reader.factory.process_recorder):
        with pytest.raises(NotSupportedError):
            refused()


def test_the_example_in_the_guide_runs(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    record(server, *entries("work/W-1", 1, 2))
    [example] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    exec(example, {"url": server.url})

    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == [f"{version} attorn.work.defined.v1 mira 2026-03-02" for version in (1, 2)]
    assert "work/" in printed[2]
