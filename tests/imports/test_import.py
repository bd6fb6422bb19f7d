"""What an import makes of a log: which facts, in which order, by whom; all of it recorded once, or nothing."""

import asyncio
import gzip
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attorn.contracts import codec
from attorn.contracts.envelope import Event
from attorn.contracts.refusal import Refused, Unavailable
from attorn.projections.lifecycle import Lifecycle, step
from attorn.services.imports.facts import Fact, Reading, Unmapped
from attorn.services.imports.mapping import Mapping, load
from attorn.services.imports.run import BATCH_FACTS, NatsDoors, Report, run
from attorn.services.imports.xes import UnreadableLog, read
from attorn_services import CUSTODIAN, Services

REAL = Path(__file__).parents[2].parent / "shared/data/bpic2013_incidents.xes.gz"
real = pytest.mark.skipif(not REAL.exists(), reason=f"{REAL.name} is not beside this checkout, in ../shared/data")

BEGIN = datetime(2012, 5, 10, 12, tzinfo=UTC)
INCIDENTS = load("bpic2013-incidents")
DEFAULT = load("default")

Said = tuple[str | None, ...]
"""An event of a log: its name, its transition, its resource, its group; None is an absent attribute."""


def xes(*cases: tuple[str | None, Sequence[Said]], timed: bool = True) -> str:
    def attributes(event: Said, hour: int) -> Iterator[str]:
        keys = ("concept:name", "lifecycle:transition", "org:resource", "org:group")
        for key, value in zip(keys, event, strict=False):
            if value is not None:
                yield f'<string key="{key}" value="{value}"/>'
        if timed:
            yield f'<date key="time:timestamp" value="{(BEGIN + timedelta(hours=hour)).isoformat()}"/>'

    traces = ""
    for name, events in cases:
        called = f'<string key="concept:name" value="{name}"/>' if name is not None else ""
        lines = "".join(f"<event>{''.join(attributes(event, hour))}</event>" for hour, event in enumerate(events))
        traces += f"<trace>{called}{lines}</trace>"
    return f"<log>{traces}</log>"


def saved(tmp_path: Path, content: str | bytes, name: str = "log.xes") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


class Told:
    """What a log of one source means."""

    def __init__(self, path: Path, mapping: Mapping, **options: Any) -> None:
        reading = Reading(mapping, "s", "ana", **options)
        self.facts: list[Fact] = [fact for trace in read(path) for fact in reading.facts(trace)]
        self.events: list[Event] = [codec.decode(fact.body) for fact in self.facts]
        self.participants = {e.data.participant_id: e.data for e in map(decoded, reading.participants())}

    @property
    def types(self) -> list[str]:
        return [short(event) for event in self.events]

    def one(self, type: str) -> Any:
        [data] = self.all(type)
        return data

    def all(self, type: str) -> list[Any]:
        return [event.data for event in self.events if short(event) == type]

    def states(self) -> list[str]:
        """The state after each event of the log, by all of its facts."""
        life, states = Lifecycle(), dict[str, str]()
        for event in self.events:
            life = step(life, event.data).after
            states[event.id.partition(".")[0]] = life.state
        return list(states.values())


def decoded(fact: Fact) -> Event:
    return codec.decode(fact.body)


def short(event: Event) -> str:
    return event.type.removeprefix("attorn.").removesuffix(".v1")


def incident(tmp_path: Path, *events: Said) -> Told:
    return Told(saved(tmp_path, xes(("1-1", events))), INCIDENTS)


def any_log(tmp_path: Path, *events: Said, **options: Any) -> Told:
    return Told(saved(tmp_path, xes(("1", events))), DEFAULT, **options)


PROGRESS = ("Accepted", "In Progress")
ASSIGNED = ("Accepted", "Assigned")
QUEUED = ("Queued", "Awaiting Assignment")
RESOLVED = ("Completed", "Resolved")
UNMATCHED = ("Unmatched", "Unmatched")


# The incident log, rule by rule


@pytest.mark.parametrize(
    ("status", "fact", "state"),
    [
        (PROGRESS, "execution.started", "in_progress"),
        (ASSIGNED, "work.assigned", "claimed"),
        (QUEUED, "claim.released", "ready"),
        (RESOLVED, "work.submitted", "submitted"),
        (("Completed", "Closed"), "work.completed", "completed"),
        (("Completed", "In Call"), "work.completed", "completed"),
        (("Completed", "Cancelled"), "work.cancelled", "cancelled"),
        (("Accepted", "Wait"), "work.suspended", "suspended"),
        (("Accepted", "Wait - User"), "execution.input_required", "waiting_input"),
        (("Accepted", "Wait - Vendor"), "execution.input_required", "waiting_input"),
        (("Accepted", "Wait - Customer"), "execution.input_required", "waiting_input"),
        (("Accepted", "Wait - Implementation"), "execution.input_required", "waiting_input"),
        (UNMATCHED, "note.added", "discovered"),
    ],
)
def test_each_status_is_one_fact_with_who_set_it_and_for_which_team(
    tmp_path: Path, status: tuple[str, str], fact: str, state: str
) -> None:
    told = incident(tmp_path, (*status, "Ana", "G97"))
    assert told.types == [fact]
    assert told.states() == [state]
    [event] = told.events
    assert (event.id, event.source, event.subject, event.time) == ("1-1-0", "xes:s", "work/1-1", BEGIN)
    who = told.participants[getattr(event.data, "executor", None) or event.data.by]
    assert (who.display_name, who.org_unit, who.kind) == ("Ana", "G97", "human")
    assert told.participants[event.data.team].display_name == "G97"


def test_work_that_is_queued_is_offered_to_the_team(tmp_path: Path) -> None:
    told = incident(tmp_path, (*QUEUED, "Ana", "G97"))
    [team] = told.one("claim.released").candidates
    assert (told.participants[team].kind, told.participants[team].display_name) == ("team", "G97")


def test_a_wait_is_a_question_to_the_party_that_the_next_status_answers(tmp_path: Path) -> None:
    told = incident(tmp_path, (*PROGRESS, "Ana", "G"), ("Accepted", "Wait - User", "Ana", "G"), (*QUEUED, "Ana", "G"))
    assert told.types == ["execution.started", "execution.input_required", "execution.input_provided", "claim.released"]
    asked, answered = told.one("execution.input_required"), told.one("execution.input_provided")
    assert (asked.from_, asked.execution_id) == ("user", told.one("execution.started").execution_id)
    assert answered.request_id == asked.request_id
    assert answered.by is None and answered.answer.startswith("derived: ")
    assert told.participants["user"].external_party
    assert [event.id for event in told.events] == ["1-1-0", "1-1-1", "1-1-2.1", "1-1-2"]


def test_a_plain_wait_rests_until_the_next_status(tmp_path: Path) -> None:
    told = incident(tmp_path, (*PROGRESS, "Ana", "G"), ("Accepted", "Wait", "Ana", "G"), (*PROGRESS, "Ana", "G"))
    assert told.types == ["execution.started", "work.suspended", "work.resumed", "execution.started"]
    assert told.one("work.resumed").reason.startswith("derived: ")
    assert told.states() == ["in_progress", "suspended", "in_progress"]


def test_another_name_takes_over_and_the_same_name_in_another_team_does_not(tmp_path: Path) -> None:
    told = incident(tmp_path, (*PROGRESS, "Ana", "G"), (*PROGRESS, "Ben", "G"), (*PROGRESS, "Ben", "H"))
    assert told.types == ["execution.started", "handover.accepted", "execution.started", "execution.started"]
    handover, (first, second, third) = told.one("handover.accepted"), told.all("execution.started")
    assert (handover.from_, handover.to) == (first.executor, second.executor)
    assert third.executor != second.executor
    assert told.states() == ["in_progress"] * 3


def test_a_system_is_one_participant_in_every_team_and_the_custodian_sponsors_it(tmp_path: Path) -> None:
    told = incident(tmp_path, (*QUEUED, "Siebel", "G"), ("Completed", "Closed", "Siebel", "H"))
    assert told.one("claim.released").by == told.one("work.completed").by == "siebel"
    assert told.one("claim.released").team != told.one("work.completed").team
    siebel = told.participants["siebel"]
    assert (siebel.kind, siebel.sponsor, siebel.org_unit) == ("system", "ana", None)


def test_a_move_up_a_support_line_escalates_and_a_move_down_returns_it(tmp_path: Path) -> None:
    told = incident(
        tmp_path, (*QUEUED, "Ana", "G"), (*QUEUED, "Ana", "G 2nd"), (*QUEUED, "Ana", "H 3rd"), (*QUEUED, "Ana", "G")
    )
    raised, advanced = told.one("work.escalated"), told.one("escalation.advanced")
    assert (raised.reason, raised.raised_by, raised.blocking) == ("exception", told.all("claim.released")[0].by, False)
    assert (advanced.escalation_id, advanced.from_, advanced.to) == (raised.escalation_id, 2, 3)
    resolved = told.one("escalation.resolved")
    assert (resolved.escalation_id, resolved.outcome) == (raised.escalation_id, "returned")


def test_a_move_within_a_support_line_is_no_escalation(tmp_path: Path) -> None:
    assert "work.escalated" not in incident(tmp_path, (*QUEUED, "Ana", "G 2nd"), (*QUEUED, "Ana", "H 2nd")).types


def test_no_escalation_stays_open_behind_the_end_of_the_work(tmp_path: Path) -> None:
    told = incident(tmp_path, (*QUEUED, "Ana", "G"), (*PROGRESS, "Ana", "G 2nd"), (*RESOLVED, "Ana", "G 2nd"))
    assert told.types[-2:] == ["work.submitted", "escalation.resolved"]
    assert told.one("escalation.resolved").outcome == "taken_over"
    assert told.states()[-1] == "submitted"


@pytest.mark.parametrize("status", [PROGRESS, ASSIGNED, QUEUED, ("Accepted", "Wait - User")])
@pytest.mark.parametrize("end", ["Resolved", "Closed", "In Call", "Cancelled"])
def test_work_that_is_taken_up_after_its_end_is_reopened(tmp_path: Path, end: str, status: tuple[str, str]) -> None:
    told = incident(tmp_path, (*PROGRESS, "Ana", "G"), ("Completed", end, "Ana", "G"), (*status, "Ana", "G"))
    reopened = told.one("work.reopened")
    assert reopened.cycle == 2
    assert reopened.reason == f"derived: {'/'.join(status)} follows Completed/{end}"
    assert told.types.index("work.reopened") == len(told.types) - 2


def test_an_end_after_an_end_is_no_reopening(tmp_path: Path) -> None:
    assert "work.reopened" not in incident(tmp_path, (*RESOLVED, "Ana", "G"), ("Completed", "Closed", "Ana", "G")).types


def test_a_reopening_that_is_not_direct_says_so(tmp_path: Path) -> None:
    told = incident(tmp_path, (*RESOLVED, "Ana", "G"), (*UNMATCHED, "Ana", "G"), (*PROGRESS, "Ana", "G"))
    assert told.one("work.reopened").reason.endswith(", with another status between")


def test_a_status_for_which_there_is_no_rule_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(Unmapped, match=r"trace index 0 \('1-1'\), event index 1: no rule .*'Lost'") as refused:
        incident(tmp_path, (*PROGRESS, "Ana", "G"), ("Accepted", "Lost", "Ana", "G"))
    assert "\n" not in str(refused.value)


# Any log, by the standard lifecycle


@pytest.mark.parametrize(
    ("transition", "fact", "state"),
    [
        ("schedule", "work.readied", "ready"),
        ("assign", "work.assigned", "claimed"),
        ("reassign", "work.assigned", "claimed"),
        ("start", "execution.started", "in_progress"),
        ("START", "execution.started", "in_progress"),
        ("suspend", "work.suspended", "suspended"),
        ("withdraw", "work.cancelled", "cancelled"),
        ("ate_abort", "work.failed", "failed"),
        ("pi_abort", "work.cancelled", "cancelled"),
        ("manualskip", "note.added", "discovered"),
        ("paused-by-moon", "note.added", "discovered"),
    ],
)
def test_the_standard_lifecycle_is_understood(tmp_path: Path, transition: str, fact: str, state: str) -> None:
    told = any_log(tmp_path, ("Check", transition, "Ana"))
    assert (told.types[-1], told.states()) == (fact, [state])


def test_an_activity_from_start_to_end_completes_a_case_that_ends_with_it(tmp_path: Path) -> None:
    told = any_log(
        tmp_path,
        ("Check", "start", "Ana"),
        ("Check", "suspend", "Ana"),
        ("Check", "resume", "Ana"),
        ("Check", "complete", "Ana"),
    )
    plain = [short(event) for event in told.events if "." not in event.id]
    assert plain == ["execution.started", "work.suspended", "work.resumed", "execution.progressed"]
    assert told.types[-1] == "work.completed"
    assert told.one("work.completed").note.startswith("derived: ")
    assert told.states() == ["in_progress", "suspended", "in_progress", "completed"]


def test_a_log_that_has_only_the_ends_of_activities_says_who_did_them(tmp_path: Path) -> None:
    told = any_log(tmp_path, ("Check", "complete", "Ana"), ("Pay", None, "Ben"))
    started = told.all("execution.started")
    assert [told.participants[each.executor].display_name for each in started] == ["Ana", "Ben"]
    assert [each.step_id for each in started] == ["Check", "Pay"]
    assert told.one("handover.accepted").to == started[1].executor
    assert "work.reopened" not in told.types
    assert told.states() == ["in_progress", "completed"]


def test_without_resources_there_is_no_executor_and_nobody_is_invented(tmp_path: Path) -> None:
    told = any_log(tmp_path, ("Check", "start"), ("Check", "complete"), ("Pay", "assign"))
    assert told.types == ["note.added"] * (len(told.types))
    assert told.participants == {}


def test_a_longer_export_of_the_same_log_repeats_its_facts_to_the_letter(tmp_path: Path) -> None:
    events = [("Check", "complete", "Ana"), ("Pay", "start", "Ben"), ("Pay", "complete", "Ben")]
    before = {event.id: fact.body for event, fact in zip_facts(any_log(tmp_path, *events[:1]))}
    after = {event.id: fact.body for event, fact in zip_facts(any_log(tmp_path, *events))}
    assert all(after[id] == body for id, body in before.items() if id in after)
    assert {id for id in before if "." not in id} <= after.keys()


def zip_facts(told: Told) -> Iterator[tuple[Event, Fact]]:
    return zip(told.events, told.facts, strict=True)


def test_events_without_a_time_are_refused_unless_logical_time_is_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, xes(("1", [("Check", "start", "Ana"), ("Check", "complete", "Ana")]), timed=False))
    with pytest.raises(Unmapped, match=r"trace index 0 \('1'\), event index 0: there is no time:timestamp"):
        Told(path, DEFAULT)
    told = Told(path, DEFAULT, logical_time=True)
    times = [event.time for event in told.events]
    assert times == sorted(times)
    assert all(b'"timebasis":"logical"' in fact.body for fact in told.facts)


def test_cases_of_the_same_name_are_two_items_and_cases_without_one_are_counted(tmp_path: Path) -> None:
    event = ("Check", "start", "Ana")
    told = Told(saved(tmp_path, xes(("A", [event]), ("A", [event]), (None, [event]))), DEFAULT)
    assert list(dict.fromkeys(event.subject for event in told.events)) == ["work/s-A", "work/s-A-2", "work/s-2"]


@pytest.mark.parametrize("name", ["Order 17/4", "ä", "*.>", "x" * 300, ".", "日本"])
def test_any_name_of_a_case_becomes_an_identifier_and_is_kept(tmp_path: Path, name: str) -> None:
    escaped = name.replace(">", "&gt;")
    told = Told(saved(tmp_path, xes((escaped, [("Check", "start", escaped)]))), DEFAULT)
    assert all(isinstance(event.data, msgspec.Struct) and event.version == 0 for event in told.events)
    assert name[:200] in told.one("note.added").text
    msgspec.json.decode(msgspec.json.encode(told.one("execution.started")), type=type(told.one("execution.started")))
    [who] = told.participants.values()
    assert who.display_name == name[:200]


def test_names_that_read_alike_are_different_participants(tmp_path: Path) -> None:
    told = any_log(tmp_path, ("A", "start", "Jörg"), ("A", "start", "Jorg"), ("A", "start", "jorg"))
    assert len(told.participants) == 3


# Through the doors


async def imported(services: Services, path: Path, mapping: Mapping = DEFAULT, **options: Any) -> Report:
    return await run(path, mapping, NatsDoors(services.nc), **{"actor": CUSTODIAN, "source": "s", **options})


async def test_a_log_is_recorded_once_however_often_it_is_imported(services: Services, tmp_path: Path) -> None:
    many = [(("A", "B")[n % 2], "start", "Ana") for n in range(BATCH_FACTS + 20)]
    path = saved(tmp_path, xes(("1", [("Check", "start", "Ana"), ("Check", "complete", "Ben")]), ("2", many)))
    seen: list[tuple[str, int, int]] = []
    first = await imported(services, path, progress=lambda *step: seen.append(step))
    assert (first.cases, first.source_events, first.participants) == (2, len(many) + 2, 2)
    assert (first.recorded, first.there, first.conflicts, first.rejected) == (first.facts, 0, 0, 0)
    assert first.warnings["hidden-work"] == first.warnings["accountability-defaulted"] == 2
    assert seen[-1] == ("recording", first.facts, first.facts)
    head = await services.ledger.last()
    assert first.last_position == head
    again = await imported(services, path)
    assert (again.recorded, again.there, again.facts) == (0, first.facts, first.facts)
    assert (again.first_position, again.last_position) == (first.first_position, first.last_position)
    assert await services.ledger.last() == head
    events = [recorded.event for recorded in await services.ledger.read("work/s-2")]
    assert [event.id for event in events if "." not in event.id] == [f"s-2-{n}" for n in range(len(many))]


async def test_whoever_imports_is_custodian_and_the_work_is_discovered(services: Services, tmp_path: Path) -> None:
    await services.people("ana")
    report = await imported(services, saved(tmp_path, xes(("1", [("A", "start", "Ben")]))), actor="ana")
    [source] = await services.ledger.read("source/s")
    assert (source.event.data.custodian, source.event.data.uri, source.event.authid) == ("ana", "xes:s", "ana")
    [started] = await services.ledger.read("work/s-1")
    assert (started.event.authid, started.event.authtype) == ("s", "system")
    assert report.warnings == {"hidden-work": 1, "accountability-defaulted": 1}


async def test_an_empty_log_records_no_facts(services: Services, tmp_path: Path) -> None:
    report = await imported(services, saved(tmp_path, "<log/>"))
    assert (report.cases, report.facts, report.first_position) == (0, 0, None)


async def test_times_that_are_out_of_order_are_recorded_as_they_are(services: Services, tmp_path: Path) -> None:
    log = xes(("1", [("A", "start", "Ana"), ("B", "start", "Ana")]))
    later, earlier = (BEGIN + timedelta(hours=hour) for hour in (0, 1))
    path = saved(tmp_path, log.replace(later.isoformat(), (earlier + timedelta(days=1)).isoformat()))
    await imported(services, path)
    times = [recorded.event.time for recorded in await services.ledger.read("work/s-1")]
    assert times == [earlier + timedelta(days=1), earlier]


@pytest.mark.parametrize(
    ("content", "failure"),
    [
        (b"", UnreadableLog),
        (b"PK\x03\x04", UnreadableLog),
        (gzip.compress(xes(("1", [("A", "start", "Ana")] * 50)).encode())[:-20], UnreadableLog),
        (xes(("1", [("A", "start", "Ana")] * 50)).encode()[:-30], UnreadableLog),
        (xes(("1", [("A", "start", "Ana")]), timed=False).encode(), Unmapped),
    ],
    ids=["empty", "zip", "truncated gzip", "truncated", "no times"],
)
async def test_a_broken_log_ends_in_one_line_and_nothing_is_recorded(
    services: Services, tmp_path: Path, content: bytes, failure: type[Exception]
) -> None:
    head = await services.ledger.last()
    path = saved(tmp_path, content)
    with pytest.raises(failure) as refused:
        await imported(services, path)
    assert str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)
    assert await services.ledger.last() == head


async def test_a_log_whose_custodian_is_no_person_is_refused_before_anything_is_recorded(
    services: Services, tmp_path: Path
) -> None:
    head = await services.ledger.last()
    with pytest.raises(Refused, match="custodian-human"):
        await imported(services, saved(tmp_path, xes(("1", [("A", "start", "Ana")]))), custodian="nobody")
    assert await services.ledger.last() == head


async def test_other_facts_under_the_same_ids_are_conflicts_and_said_to_be(services: Services, tmp_path: Path) -> None:
    await imported(services, saved(tmp_path, xes(("1", [("A", "start", "Ana")]))))
    report = await imported(services, saved(tmp_path, xes(("1", [("B", "start", "Ana")]))))
    assert (report.recorded, report.there, report.conflicts) == (0, 1, 1)
    assert "'s-1-0'" in report.mentioned[0]


@pytest.mark.faults
async def test_an_import_goes_on_when_the_services_are_killed_meanwhile(services: Services, tmp_path: Path) -> None:
    cases = [(str(n), [("A", "start", "Ana"), ("A", "complete", "Ana")]) for n in range(2_000)]
    restarts: list[asyncio.Task[None]] = []

    def kill(stage: str, done: int, total: int) -> None:
        if stage == "recording" and done > total // 4 and not restarts:
            services.process.signal(signal.SIGKILL)
            restarts.append(asyncio.create_task(services.restart()))

    doors = NatsDoors(services.nc, timeout=2.0)
    report = await run(saved(tmp_path, xes(*cases)), DEFAULT, doors, kill, actor=CUSTODIAN, source="s")
    await asyncio.gather(*restarts)
    assert len(restarts) == 1
    assert (report.recorded, report.there, report.conflicts) == (report.facts, 0, 0)


async def test_without_an_answer_an_import_gives_up_and_can_be_run_again(services: Services, tmp_path: Path) -> None:
    path = saved(tmp_path, xes(("1", [("A", "start", "Ana")])))
    await services.stop()
    with pytest.raises(Unavailable):
        await imported(services, path, patience_s=0.3)
    await services.start()
    report = await imported(services, path)
    assert report.recorded == report.facts


# The real log


@pytest.mark.slow
@real
def test_the_real_log_yields_the_facts_that_were_counted_independently() -> None:
    reading = Reading(INCIDENTS, "bpic2013-incidents", "ana")
    facts = [fact for trace in read(REAL) for fact in reading.facts(trace)]
    assert sum(not fact.derived for fact in facts) == reading.events == 65_533
    types = Counter(short(decoded(fact)) for fact in facts)
    assert types["execution.started"] == 30_239
    assert types["handover.accepted"] == 20_649
    assert types["claim.released"] == 11_544
    assert types["note.added"] == 5
    # The first of every pair of a question and its answer, a rest and its end; the log ends with five unanswered.
    assert (types["execution.input_required"], types["execution.input_provided"]) == (5_124, 5_119)
    assert types["work.suspended"] == types["work.resumed"] == 1_533
    reopened = [event for fact in facts if short(event := decoded(fact)) == "work.reopened"]
    direct = {event.subject for event in reopened if "between" not in event.data.reason}
    assert (len(direct), len({event.subject for event in reopened})) == (510, 514)
    kinds = Counter(decoded(fact).data.kind for fact in reading.participants())
    assert kinds == {"human": 7_005, "system": 1, "team": 653}


@real
@pytest.mark.slow
async def test_the_real_log_is_recorded_whole_and_once(services: Services) -> None:
    async def once() -> Report:
        return await run(REAL, INCIDENTS, NatsDoors(services.nc), actor=CUSTODIAN)

    first = await once()
    assert (first.cases, first.source_events) == (7_554, 65_533)
    assert (first.recorded, first.conflicts, first.rejected) == (first.facts, 0, 0)
    assert "unregistered-actor" not in first.warnings
    assert first.seconds < 90
    own: Counter[str] = Counter()
    async for page in services.ledger.follow():
        own.update(r.stream.partition("/")[0] for r in page.recorded if "." not in r.event.id)
        if page.pending == 0:
            break
    assert own["work"] == 65_533
    again = await once()
    assert (again.recorded, again.there) == (0, first.facts)
