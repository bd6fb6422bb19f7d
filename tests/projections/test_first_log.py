"""The numbers of a real log of 65,533 events, counted independently of our code, as the views give them."""

from datetime import timedelta
from pathlib import Path

import pytest

from attorn.contracts import codec
from attorn.contracts.envelope import Recorded
from attorn.contracts.source import SourceRegistered
from attorn.projections.audit import Auditor, compare
from attorn.services.imports import xes
from attorn.services.imports.facts import Reading
from attorn.services.imports.mapping import load
from sample_story import BEGIN, Story, Told

DATA = Path(__file__).parents[3] / "shared" / "data" / "bpic2013_incidents.xes.gz"
SOURCE = "bpic2013-incidents"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason=f"the log {DATA.name} is not redistributed with the product"),
]


@pytest.fixture(scope="module")
def log() -> list[Recorded]:
    """The log as an import records it, fifty facts a millisecond."""
    story = Story()
    story.people("ana")
    story.custodian("ana")
    story.tell(f"source/{SOURCE}", SourceRegistered(uri=f"xes:{SOURCE}", custodian="ana"))
    reading = Reading(load(SOURCE), SOURCE, custodian="ana")
    facts = [fact for trace in xes.read(DATA) for fact in reading.facts(trace)]
    log, versions = story.log, {"participant/ana": 2, f"source/{SOURCE}": 1}
    for body in [fact.body for fact in (*reading.participants(), *facts)]:
        event = codec.decode(body)
        version = versions[event.subject] = versions.get(event.subject, 0) + 1
        entry = codec.stamp(event, body, version, authid=SOURCE, authtype="system")
        recorded = BEGIN + timedelta(days=1, milliseconds=len(log) // 50)
        log.append(Recorded(len(log) + 1, recorded, codec.decode(entry.body), entry.body))
    return log


@pytest.fixture(scope="module")
def told(log: list[Recorded]) -> Told:
    return Told(log, {}, 1_000)


def test_every_event_is_there(told: Told) -> None:
    found = told.ask("log_stats")
    assert (found.happenings_of_work, found.items, found.unreadable) == (65_533, 7_554, 0)
    assert found.happenings_by_type["attorn.claim.released.v1"] == 11_544
    assert found.happenings_by_type["attorn.execution.started.v1"] == 30_239


def test_how_often_work_changed_hands(told: Told) -> None:
    found = told.ask("handovers", top=1)
    assert (found.name_changes, found.unit_changes, found.unit_returns) == (20_649, 9_454, 3_286)
    [worst] = found.top
    assert (worst.work, worst.unit_changes, worst.name_changes, worst.happenings) == ("1-660915327", 31, 52, 116)


def test_how_long_it_took_and_how_often_it_came_back(told: Told) -> None:
    found = told.ask("stats")
    assert (found.items, found.reopened_directly_items, found.gaps) == (7_554, 510, 5_410)
    days = 24 * 60 * 60
    assert round(found.longest_gap_s / days, 1) == 722.3
    assert (round(found.duration_median_s / days, 2), round(found.duration_p95_s / days, 1)) == (7.55, 35.7)


@pytest.mark.parametrize(
    ("at", "is_open", "queued", "finished"),
    [
        ("2012-05-10T12:00:00+02:00", 544, 67, 7_010),
        ("2012-04-30T00:00:00+02:00", 1_997, 478, None),
        ("2012-05-22T00:00:00+02:00", 8, None, None),
    ],
)
def test_how_it_stood_at_a_time(told: Told, at: str, is_open: int, queued: int | None, finished: int | None) -> None:
    found = told.ask("board_counts", at=at)
    assert found.open == is_open
    assert queued is None or found.by_state["ready"] == queued
    assert finished is None or found.finished == finished
    if at.startswith("2012-05-10"):
        assert found.waiting_on["user"] == 254


def test_exactly_one_person_answers_at_every_position_and_the_view_says_the_same(
    log: list[Recorded], told: Told
) -> None:
    auditor = Auditor()
    auditor.feed(log)
    proof = auditor.result()
    assert proof.holds and proof.items == 7_554
    assert compare(proof, told.rows, told.directory, auditor.assignment).equal
