"""Rows of the requirements that a real log proves: what the views say at an instant, against the source itself.

Four hundred cases of a real incident log (BPIC 2013), in the order in which things happened; each has a deadline that
was set when it began. What is expected is computed from the source's own statuses, past all of our code but its reader.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from attorn.contracts import codec
from attorn.contracts.deadline import DeadlineSet
from attorn.contracts.envelope import Event, Recorded
from attorn.contracts.participant import ParticipantRegistered, RoleGranted
from attorn.contracts.source import SourceRegistered
from attorn.services.imports import xes
from attorn.services.imports.facts import Reading
from attorn.services.imports.mapping import load
from sample_story import Told

DATA = Path(__file__).parents[3] / "shared" / "data" / "bpic2013_incidents.xes.gz"
SOURCE = "bpic2013-incidents"
WEEK = timedelta(days=7)
INSTANTS = tuple(map(datetime.fromisoformat, (
    "2012-03-20T12:00:00+00:00", "2012-05-02T06:00:00+00:00", "2012-05-12T18:30:00+00:00"
)))  # fmt: skip

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"the log {DATA.name} is not redistributed with the product")


class Case(NamedTuple):
    """A case as its source has it: when each status was set, and the deadline that it got here."""

    id: str
    statuses: list[tuple[datetime, str]]
    due: datetime

    def then(self, at: datetime) -> list[tuple[datetime, str]]:
        return [status for status in self.statuses if status[0] <= at]

    def is_open(self, at: datetime) -> bool:
        then = self.then(at)
        return bool(then) and then[-1][1] != "Completed"


class Sample(NamedTuple):
    cases: list[Case]
    log: list[Recorded]

    def until(self, at: datetime) -> Told:
        """The views as they were at that instant, of a log on which everything was the moment it happened."""
        return Told([each for each in self.log if each.event.time <= at], {}, 1_000)


@pytest.fixture(scope="module")
def sample() -> Sample:
    reading = Reading(load(SOURCE), SOURCE, custodian="ana")
    cases, told = list[Case](), list[Event]()
    for number, trace in enumerate(islice(xes.read(DATA), 400)):
        facts = [codec.decode(fact.body) for fact in reading.facts(trace)]
        statuses = [(event.time, str(event.attributes["concept:name"])) for event in trace.events if event.time]
        due = statuses[0][0] + timedelta(days=(2, 7, 21)[number % 3], hours=number)
        set_ = codec.event(DeadlineSet(new=due), id=f"due-{number}", source="/sla", subject=facts[0].subject,
                           time=facts[0].time)  # fmt: skip
        cases.append(Case(facts[0].subject.removeprefix("work/"), statuses, due))
        told += [facts[0], set_, *facts[1:]]
    begun = min(event.time for event in told)
    first = [
        codec.event(payload, id=f"first-{n}", source="attorn", subject=stream, time=begun)
        for n, (stream, payload) in enumerate(
            [
                ("participant/ana", ParticipantRegistered(participant_id="ana", kind="human", display_name="Ana")),
                ("participant/ana", RoleGranted(role="custodian")),
                (f"source/{SOURCE}", SourceRegistered(uri=f"xes:{SOURCE}", custodian="ana")),
            ]
        )
    ]
    return Sample(cases, list(_recorded([*first, *sorted(told, key=lambda event: event.time)])))


def _recorded(events: list[Event]) -> Iterator[Recorded]:
    versions: dict[str, int] = {}
    for position, event in enumerate(events, 1):
        version = versions[event.subject] = versions.get(event.subject, 0) + 1
        entry = codec.stamp(event, codec.encode(event), version, authid=SOURCE, authtype="system")
        yield Recorded(position, event.time, codec.decode(entry.body), entry.body)


@pytest.fixture(scope="module")
def told(sample: Sample) -> Told:
    """The views of all of it."""
    return Told(sample.log, {}, 1_000)


@pytest.mark.requirement("000-04")
@pytest.mark.parametrize("at", INSTANTS, ids=lambda at: f"{at:%F}")
def test_what_is_overdue_at_an_instant_is_what_the_source_had_open_past_its_deadline(
    sample: Sample, at: datetime
) -> None:
    then = sample.until(at)
    expected = {case.id for case in sample.cases if case.is_open(at) and case.due <= at}
    found = then.ask("board", overdue_at=at.isoformat(), limit=1_000)
    assert {item.work for item in found.items} == expected and len(expected) >= 5
    assert found.count == len(expected)
    assert all(item.due_at <= at and item.accountable == "ana" for item in found.items)


@pytest.mark.requirement("002-05a")
@pytest.mark.parametrize("at", INSTANTS, ids=lambda at: f"{at:%F}")
def test_what_nothing_has_happened_to_for_so_long_is_flagged(sample: Sample, told: Told, at: datetime) -> None:
    for times in (1, 3):
        expected = {case.id for case in sample.cases if case.is_open(at) and case.then(at)[-1][0] <= at - times * WEEK}
        asked = {"at": at.isoformat(), "expected_s": WEEK.total_seconds(), "times": times}
        found = told.ask("stalled", **asked, limit=1_000)
        assert {item.work for item in found.items} == expected
        assert all(item.idle >= times for item in found.items)
    assert expected


@pytest.mark.requirement("002-05a")
def test_every_time_of_more_than_a_week_in_which_nothing_happened_is_counted(sample: Sample, told: Told) -> None:
    gaps = [
        (case.id, before, after)
        for case in sample.cases
        for (before, _), (after, _) in pairwise(case.statuses)
        if after - before > WEEK
    ]
    assert told.ask("stats").gaps == len(gaps) > 300
    open_ = [(id, before) for id, before, _ in gaps if next(c for c in sample.cases if c.id == id).is_open(before)]
    for id, before in open_[:: len(open_) // 4]:
        for at, flagged in ((before + WEEK - timedelta(seconds=1), False), (before + WEEK, True)):
            found = told.ask("stalled", at=at.isoformat(), limit=1_000)
            assert (id in {item.work for item in found.items}) is flagged
