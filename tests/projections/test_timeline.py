"""Every event has one row and one sentence; an id used twice is noticed; where work stood can be folded anew."""

import itertools
from typing import Any

import msgspec
import pytest

from attorn.contracts import codec
from attorn.contracts.context import NoteAdded
from attorn.contracts.envelope import Recorded
from attorn.contracts.examples import EVENT_EXAMPLES as EXAMPLES
from attorn.contracts.execution import ExecutionInputRequired, ExecutionStarted, WorkExecuted
from attorn.contracts.messages import EVENTS
from attorn.contracts.participant import ParticipantRegistered
from attorn.contracts.work import WorkAssigned, WorkDefined
from attorn.projections import timeline
from attorn.projections.lifecycle import _MOVES, Lifecycle, step
from sample_story import Story


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=lambda example: example.type)
def test_every_event_is_told_in_one_short_sentence(example: Any) -> None:
    story = Story()
    story.tell("work/W-1", example)
    [row] = story.folded().ask("timeline").events
    assert row.summary and len(row.summary) <= 160 and "\n" not in row.summary and "None" not in row.summary
    assert not row.summary.endswith(" ") and "  " not in row.summary, row.summary
    assert row.type == type(example).type


def test_every_event_there_is_has_a_sentence() -> None:
    assert set(timeline._TELLING) == set(EXAMPLES) == set(EVENTS)


def test_a_row_says_who_did_it_to_whom_and_from_whom_an_answer_is_awaited() -> None:
    story = Story()
    story.tell("work/W-1", WorkDefined(title="Refund order 17", accountable="ana"), by="bob")
    story.tell("work/W-1", WorkAssigned(executor="cy"), by="ana")
    story.tell("work/W-1", ExecutionStarted(execution_id="x-1", executor="cy"), by="jira", system=True)
    story.tell("work/W-1", ExecutionInputRequired(
        execution_id="x-1", request_id="q-1", from_="dora", question="Which account?"), by="cy")  # fmt: skip
    defined, assigned, started, asked = story.folded().ask("timeline", work="W-1").events
    assert (defined.actor, defined.about, defined.state) == ("bob", "ana", "defined")
    assert defined.summary == "“Refund order 17” was defined; ana answers for it"
    assert (assigned.actor, assigned.about, assigned.state) == ("ana", "cy", "claimed")
    assert (started.actor, started.authid, started.state) == ("cy", "jira", "in_progress")
    assert (asked.waiting_on, asked.reference, asked.state) == ("dora", "q-1", "waiting_input")
    assert asked.summary == "Waits for dora: “Which account?”"


def test_a_long_text_is_cut_and_its_lines_are_joined() -> None:
    story = Story()
    story.tell("work/W-1", NoteAdded(text="one\ntwo " + "x" * 500))
    [row] = story.folded().ask("timeline").events
    assert row.summary.startswith("Note: “one two x") and len(row.summary) <= 160


def test_an_event_of_a_type_that_nobody_knows_has_a_row_like_any_other() -> None:
    story = Story()
    story.tell("work/W-1", NoteAdded(text="hello"))
    body = story.log[0].body.replace(b"attorn.note.added.v1", b"com.example.thing")
    story.log[0] = Recorded(1, story.log[0].recorded_at, codec.decode(body), body)
    [row] = story.folded().ask("timeline").events
    assert (row.type, row.summary) == (
        "com.example.thing",
        "something that this version cannot read: com.example.thing",
    )


def test_where_a_source_uses_an_id_again_is_told_of_the_first_event() -> None:
    story = Story()
    story.tell("work/W-1", NoteAdded(text="one"), id="same", source="jira")
    story.tell("work/W-2", NoteAdded(text="two"), id="same", source="jira")
    story.tell("work/W-3", NoteAdded(text="three"), id="same", source="trello")
    told = story.folded()
    first, again, other = told.ask("timeline").events
    assert [(place.position, place.stream) for place in first.repeats] == [(2, "work/W-2")]
    assert again.position == 2 and again.repeats == other.repeats == ()


def test_an_id_that_somebody_else_used_first_hides_no_event() -> None:
    story = Story()
    story.tell("work/W-1", NoteAdded(text="not the ERP"), id="7", source="/erp", by="jira", system=True)
    story.tell("work/W-2", NoteAdded(text="the ERP"), id="7", source="/erp", by="erp", system=True)
    events = story.folded().ask("timeline").events
    assert [(row.position, row.authid, row.repeats) for row in events] == [(1, "jira", ()), (2, "erp", ())]


def test_the_timeline_of_one_item_or_of_all_is_read_page_by_page_forwards_and_backwards() -> None:
    story = Story()
    for n in range(7):
        story.tell(f"work/W-{n % 2}", NoteAdded(text=str(n)))
    told = story.folded()
    for parameters in ({}, {"work": "W-1"}, {"stream": "work/W-0"}, {"newest_first": True}):
        whole = [row.position for row in told.ask("timeline", **parameters).events]
        paged, after = list[int](), 0
        while True:
            page = told.ask("timeline", **parameters, after=after, limit=2)
            paged += [row.position for row in page.events]
            if page.next is None:
                break
            after = page.next
        assert paged == whole
    assert [row.position for row in told.ask("timeline", work="W-1").events] == [2, 4, 6]
    assert told.ask("timeline", newest_first=True, limit=1).events[0].position == 7


def test_the_state_machine_finds_in_the_rows_what_it_finds_in_the_events() -> None:
    payloads = [example for example in EXAMPLES.values() if type(example) in _moving()]
    for pair in itertools.product(payloads, repeat=2):
        story = Story()
        life = Lifecycle()
        for payload in (EXAMPLES[WorkDefined], *pair):
            story.tell("work/W-1", payload)
            life = step(life, payload).after
        rows = [timeline.apply(None, recorded, recorded.position) for recorded in story.log]
        then = timeline.standing(row for row in rows if row is not None)
        assert (then.state, then.cycle) == (life.state, life.cycle), [type(p).__name__ for p in pair]


def test_where_an_event_leads_by_itself_is_where_the_state_machine_leads_it() -> None:
    before = [Lifecycle("in_progress", 1), Lifecycle("ready", 1), Lifecycle("completed", 1)]
    for event, leads in timeline._LEADS.items():
        for detail, state in leads.items() if isinstance(leads, dict) else [("", leads)]:
            payload: Any = EXAMPLES[event]
            field = timeline._TELLING[event].detail
            if detail:
                payload = msgspec.structs.replace(payload, **{field: detail})
            starts = [Lifecycle()] if event is WorkDefined else before
            if event is WorkExecuted:
                starts = before[:-1]  # of what has ended nothing is executed any more
            assert {step(life, payload).after.state for life in starts} == {state}, event


def test_people_and_things_are_told_of_by_the_id_of_their_stream() -> None:
    story = Story()
    story.tell("participant/ana", ParticipantRegistered(participant_id="ana", kind="human", display_name="Ana Ruiz"))
    [row] = story.folded().ask("timeline", stream="participant/ana").events
    assert (row.kind, row.id, row.summary) == ("participant", "ana", "Ana Ruiz takes part as ana (human)")
    assert row.state is None


def _moving() -> set[type]:
    return set(_MOVES)
