"""Findings are the rules folded over the log; what people decide about them is kept; a rebuild finds the same."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest

from attorn.contracts.context import NoteAdded
from attorn.contracts.envelope import Event
from attorn.contracts.finding import FindingAccepted, FindingDismissed, FindingRemediated
from attorn.contracts.ids import Pinned
from attorn.contracts.process import ProcessPublished
from attorn.contracts.refusal import Breach
from attorn.contracts.work import WorkAssigned, WorkDefined
from attorn.projections.directory import Directory
from attorn.projections.findings import Findings
from attorn.projections.store.sqlite import Snapshot
from sample_story import Story, day


class Seen(msgspec.Struct, frozen=True):
    """A state with what is hard to read back: a time, a nested Struct, a tuple."""

    first: datetime | None = None
    definition: WorkDefined | None = None
    executors: tuple[str, ...] = ()


class Rules:
    """Work is defined before anything else, and who carries it out is here; the rule looks at each place twice."""

    initial = Seen()
    state_type = Seen

    def check(self, state: Seen, event: Event, directory: Directory) -> Iterator[Breach]:
        assert isinstance(state, Seen) and isinstance(state.executors, tuple)
        assert state.first is None or isinstance(state.first, datetime)
        if state.definition is None and not isinstance(event.data, WorkDefined):
            yield Breach(rule="hidden-work", detail=f"{event.subject} is not defined")
        if isinstance(event.data, WorkAssigned) and not directory.is_here(event.data.executor):
            who = event.data.executor
            yield Breach(rule="unregistered-actor", detail=f"{who} is not here", field="data.executor")
            yield Breach(rule="unregistered-actor", detail=f"{who} is nowhere")

    def evolve(self, state: Seen, event: Event) -> Seen:
        state = msgspec.structs.replace(state, first=state.first or event.time)
        match event.data:
            case WorkDefined() as definition:
                return msgspec.structs.replace(state, definition=definition)
            case WorkAssigned(executor=executor):
                return msgspec.structs.replace(state, executors=(*state.executors, executor))
            case _:
                return state


def story() -> Story:
    return Story({"work": Rules()})


DEFINED = WorkDefined(title="Refund", accountable="ana")


def ids(found: Any) -> list[tuple[str, str]]:
    return [(f.id, f.status) for f in found]


def test_each_rule_that_an_event_breaks_is_one_finding_by_rule_and_position() -> None:
    told = story()
    told.tell("work/W-1", WorkAssigned(executor="cy"))
    told.tell("work/W-1", DEFINED)
    told.people("cy")
    told.tell("work/W-1", WorkAssigned(executor="cy"))
    found = told.folded().ask("findings").findings
    assert ids(found) == [("hidden-work@1", "open"), ("unregistered-actor@1", "open")]
    assert (found[1].detail, found[1].field) == ("cy is not here; cy is nowhere", "data.executor")
    assert (found[1].stream, found[1].event_id, found[1].type) == ("work/W-1", "e-1", "attorn.work.assigned.v1")


def test_an_event_is_judged_by_the_directory_as_it_was_before_it() -> None:
    told = story()
    told.tell("work/W-1", DEFINED)
    told.tell("work/W-1", WorkAssigned(executor="cy"))
    told.people("cy")
    for page in (1, 2, 100):
        assert ids(told.folded(page).ask("findings").findings) == [("unregistered-actor@2", "open")]


def test_streams_of_a_kind_without_rules_have_no_findings() -> None:
    told = story()
    told.tell("claim/k-1", NoteAdded(text="x"))
    assert told.folded().ask("findings").findings == ()


def test_what_a_person_decided_stands_beside_the_finding() -> None:
    told = story()
    for n in range(3):
        told.tell(f"work/W-{n}", NoteAdded(text="x"))
    told.tell("work/W-0", FindingAccepted(finding_id="hidden-work@1", reason="known"), by="bob")
    told.tell("work/W-9", DEFINED)
    told.tell("work/W-9", FindingDismissed(finding_id="hidden-work@2", by="cy", reason="an exercise"))
    views = told.folded()
    first, second, third = [f for f in views.ask("findings").findings if f.stream != "work/W-9" and f.position < 4]
    assert (first.status, first.disposition.by, first.disposition.reason) == ("accepted", "bob", "known")
    assert (second.status, second.disposition.by, second.disposition.position) == ("dismissed", "cy", 6)
    assert third.status == "open"
    assert [f.id for f in views.ask("findings", status="dismissed").findings] == ["hidden-work@2"]
    assert [f.id for f in views.ask("findings", work="W-1").findings] == ["hidden-work@2"]


def test_the_last_decision_about_a_finding_counts() -> None:
    told = story()
    told.tell("work/W-1", NoteAdded(text="x"))
    told.tell("work/W-1", FindingAccepted(finding_id="hidden-work@1"))
    told.tell("work/W-1", FindingRemediated(finding_id="hidden-work@1"))
    assert told.folded().ask("findings", rule="hidden-work").findings[0].status == "remediated"


def test_an_id_that_is_used_twice_is_a_finding_of_the_second_event() -> None:
    told = story()
    told.tell("work/W-1", DEFINED, id="same", source="jira")
    told.tell("claim/k-1", NoteAdded(text="x"), id="same", source="jira")
    views = told.folded()
    [conflict] = views.ask("findings").findings
    assert (conflict.id, conflict.stream, conflict.detail) == (
        "conflict@2",
        "claim/k-1",
        "jira had used the id same at position 1 already, in work/W-1",
    )
    told.tell("work/W-1", FindingAccepted(finding_id="conflict@2"))
    views = told.folded()
    assert ids(views.ask("findings").findings) == [("conflict@2", "accepted")]
    assert views.ask("finding_counts").open == 0
    assert views.ask("findings", stream="claim/k-1").findings[0].status == "accepted"


def test_findings_are_counted_by_rule_and_listed_page_by_page() -> None:
    told = story()
    for n in range(1_100):
        payload = WorkAssigned(executor="cy") if n % 10 == 0 else NoteAdded(text="x")
        told.log.append(_at(n + 1, f"work/W-{n:04}", payload))
    views = told.folded()
    counts = views.ask("finding_counts")
    assert counts.found_by_rule == counts.open_by_rule == {"hidden-work": 1_100, "unregistered-actor": 110}
    assert (counts.found, counts.open) == (1_210, 1_210)
    listed, after = list[str](), ""
    while after is not None:
        page = views.ask("findings", after=after, limit=200)
        listed += [f.id for f in page.findings]
        after = page.next
    assert len(listed) == len(set(listed)) == 1_210
    assert len(views.ask("findings", rule="unregistered-actor", limit=1_000).findings) == 110


def _at(position: int, stream: str, payload: msgspec.Struct) -> Any:
    one = Story()
    one.tell(stream, payload, id=f"n-{position}")
    return msgspec.structs.replace(one.log[0], position=position)


def test_a_state_that_was_read_back_judges_like_one_in_memory() -> None:
    told = story()
    for n in range(5):
        told.tell("work/W-1", DEFINED if n == 2 else WorkAssigned(executor=f"p-{n}"))
    log = told.log
    directory = Directory()
    view = Findings({"work": Rules()}, directory)
    row: Any = None
    for recorded in log:
        row = view.apply(row, recorded, "work/W-1")
        encoded = msgspec.json.encode(row)
        row = msgspec.json.decode(encoded, type=type(row))
        assert msgspec.json.encode(row) == encoded
    [kept] = told.folded().rows.select(type(row), "kind = 'work'")
    assert msgspec.json.encode(kept) == msgspec.json.encode(row)
    assert row.open == row.found == len(row.findings) == 6


def test_rows_do_not_depend_on_how_the_log_came_in_pages() -> None:
    told = story()
    for n in range(20):
        told.tell(f"work/W-{n % 3}", DEFINED if n % 4 == 2 else WorkAssigned(executor=f"p-{n}"))
    assert len({told.folded(page).store.digest("findings") for page in (1, 7, 100)}) == 1


def interleaved() -> Story:
    """Three items and a claim take turns; each third event is a decision about what was found first."""
    told = story()
    told.people("ana")
    told.tell("process/claims", ProcessPublished(version=1, owner="ana"))
    for n in range(40):
        match n % 8:
            case 3:
                told.tell("work/W-0", FindingDismissed(finding_id=f"hidden-work@{n // 2 + 3}"))
            case 5:
                told.tell("claim/k-1", NoteAdded(text="x"), id=f"same-{n // 16}", source="jira")
            case 6:
                told.tell("work/W-9", WorkDefined(title="x", accountable="ana", process=Pinned(id="claims", version=1)))
            case 7:
                told.tell("work/W-9", WorkAssigned(executor="cy"))
            case rest:
                told.tell(f"work/W-{n % 3}", WorkAssigned(executor="cy") if rest == 4 else NoteAdded(text="x"))
    return told


def newest_first(views: Any, limit: int, **asked: Any) -> list[tuple[str, str]]:
    listed, after = list[Any](), ""
    while after is not None:
        page = views.ask("findings", newest_first=True, after=after, limit=limit, **asked)
        listed += page.findings
        after = page.next
    assert len({(f.stream, f.id) for f in listed}) == len(listed)
    assert [f.position for f in listed] == sorted((f.position for f in listed), reverse=True)
    return sorted((f.id, f.status) for f in listed)


@pytest.mark.parametrize("limit", [1, 3, 1_000])
def test_the_newest_findings_come_first_and_none_is_missing_on_any_page(limit: int) -> None:
    views = interleaved().folded()
    everything = ids(views.ask("findings", limit=1_000).findings)
    assert len(everything) > 25 and any(id.startswith("conflict") for id, _ in everything)
    assert {status for _, status in everything} == {"open", "dismissed"}
    assert newest_first(views, limit) == sorted(everything)
    for asked in ({"status": "open"}, {"rule": "unregistered-actor"}, {"work": "W-0"}, {"stream": "claim/k-1"}):
        narrowed = ids(views.ask("findings", limit=1_000, **asked).findings)
        assert narrowed and newest_first(views, limit, **asked) == sorted(narrowed), asked


def test_findings_are_narrowed_to_a_process_and_to_what_was_recorded_since() -> None:
    told = interleaved()
    views = told.folded()
    everything = views.ask("findings", limit=1_000).findings
    since = told.log[20].recorded_at
    for first in (True, False):
        later = views.ask("findings", since=since, newest_first=first, limit=1_000).findings
        assert {f.id for f in later} == {f.id for f in everything if f.position >= told.log[20].position}
        of = views.ask("findings", process="claims", newest_first=first, limit=1_000).findings
        assert {f.stream for f in of} == {"work/W-9"} and {f.id for f in of} == {
            f.id for f in everything if f.stream == "work/W-9"
        }
    counts = views.ask("finding_counts", process="claims", since=since)
    both = [f for f in of if f.position >= told.log[20].position]
    assert counts.found == len(both) > 0 and counts.found_by_rule == {"unregistered-actor": len(both)}
    assert views.ask("finding_counts", since=day(999)).found == 0


def test_the_newest_are_found_without_reading_all(monkeypatch: pytest.MonkeyPatch) -> None:
    told = story()
    for n in range(3_000):
        told.log.append(_at(n + 1, f"work/W-{n:04}", NoteAdded(text="x")))
    views = told.folded()
    read = Counter[str]()
    select = Snapshot.select

    def counting(self: Snapshot, row: Any, *arguments: Any) -> Any:
        found = select(self, row, *arguments)
        read[row.__module__] += len(found)
        return found

    monkeypatch.setattr(Snapshot, "select", counting)
    page = views.ask("findings", newest_first=True, limit=10).findings
    assert [f.position for f in page] == [*range(3_000, 2_990, -1)]
    assert read["attorn.projections.findings"] < 1_200
