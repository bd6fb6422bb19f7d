"""Exactly one person answers for every work item: named, succeeding, or standing in; now, then, and as it was known."""

from datetime import timedelta

import pytest

from attorn.contracts import codec
from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.context import NoteAdded
from attorn.contracts.envelope import Recorded, Unknown
from attorn.contracts.ids import Pinned
from attorn.contracts.participant import RoleRevoked
from attorn.contracts.process import ProcessPublished
from attorn.contracts.source import SourceRegistered
from attorn.contracts.work import WorkDefined
from attorn.projections import board
from sample_story import Story, Told, day


@pytest.fixture
def story() -> Story:
    """Four people, of whom ana is custodian of the ledger; a bot; the system jira, which bob looks after."""
    story = Story()
    story.people("ana", "bob", "cy", "dora")
    story.custodian("ana")
    story.agent("bot")
    story.tell("source/jira", SourceRegistered(uri="https://jira.example", custodian="bob"))
    return story


def defined(story: Story, work: str = "W-1", accountable: str = "cy", process: str | None = None) -> int:
    pinned = Pinned(id=process, version=1) if process else None
    return story.tell(f"work/{work}", WorkDefined(title="Refund", accountable=accountable, process=pinned))


def person(told: Told, work: str = "W-1", **asof: object) -> str | None:
    answer: str | None = told.ask("who", work=work, **asof).person
    return answer


def spans(told: Told, work: str = "W-1") -> list[tuple[str | None, int, int | None]]:
    found = told.ask("intervals", work=work).intervals
    return [(i.person, i.from_position, i.until_position) for i in found]


def test_who_is_named_in_the_definition_answers_and_it_says_why(story: Story) -> None:
    at = defined(story)
    answer = story.folded().ask("who", work="W-1")
    assert (answer.person, answer.name, answer.basis, answer.since.position) == ("cy", "Cy", "named", at)
    assert answer.steps == (f"at position {at} W-1 was defined, and names cy", "cy is here, and answers")


def test_an_item_that_is_not_on_the_log_is_an_answer_not_an_error(story: Story) -> None:
    told = story.folded()
    assert told.ask("who", work="W-9").problem == "W-9 is not on the log"
    assert told.ask("intervals", work="W-9").problem == "W-9 is not on the log"


def test_before_its_first_event_nobody_answers_and_the_answer_says_since_when_it_is_there(story: Story) -> None:
    at = defined(story)
    told = story.folded()
    assert (
        told.ask("who", work="W-1", position=at - 1).problem
        == f"W-1 is on the log from position {at} on, not at {at - 1}"
    )
    for position in (0, 1, at - 1):
        before = told.ask("intervals", work="W-1", position=position)
        assert before.intervals == () and before.problem == told.ask("who", work="W-1", position=position).problem
    early = story.log[-1].event.time - timedelta(minutes=1)
    assert "did not exist at" in told.ask("who", work="W-1", at=early).problem
    assert "was not known at" in told.ask("who", work="W-1", known_at=early).problem


def test_work_that_nobody_defined_is_answered_for_by_the_custodian_of_the_source(story: Story) -> None:
    at = story.tell("work/W-1", NoteAdded(text="hello"), by="jira", system=True)
    answer = story.folded().ask("who", work="W-1")
    assert (answer.person, answer.basis, answer.named) == ("bob", "source custodian", None)
    assert answer.steps[0] == f"at position {at} W-1 was first reported by jira, and nobody is named"


def test_work_from_a_system_that_nobody_registered_is_answered_for_by_the_custodian_of_the_ledger(story: Story) -> None:
    story.tell("work/W-1", NoteAdded(text="hello"), by="trello", system=True)
    assert person(story.folded()) == "ana"


def test_an_event_of_a_type_that_nobody_knows_discovers_work_as_well(story: Story) -> None:
    story.tell("work/W-1", NoteAdded(text="hello"), by="jira", system=True)

    body = story.log[-1].body.replace(b"attorn.note.added.v1", b"other.thing.v1")
    event = codec.decode(body, "work/W-1")
    assert isinstance(event.data, Unknown)
    story.log[-1] = Recorded(story.log[-1].position, story.log[-1].recorded_at, event, body)
    assert person(story.folded()) == "bob"


def test_a_definition_of_discovered_work_names_its_person_and_the_time_before_stays_with_the_custodian(
    story: Story,
) -> None:
    found = story.tell("work/W-1", NoteAdded(text="hello"), by="jira", system=True)
    named = defined(story)
    told = story.folded()
    assert spans(told) == [("bob", found, named), ("cy", named, None)]


def test_a_second_definition_moves_nobody(story: Story) -> None:
    at = defined(story)
    defined(story, accountable="dora")
    assert spans(story.folded()) == [("cy", at, None)]


def test_a_transfer_moves_who_answers_and_the_intervals_touch(story: Story) -> None:
    at = defined(story)
    to = story.tell("work/W-1", AccountabilityTransferred(from_="cy", to="dora", accepted_by="dora"))
    told = story.folded()
    assert spans(told) == [("cy", at, to), ("dora", to, None)]
    assert person(told, position=to - 1) == "cy"
    assert person(told, position=to) == "dora"


def test_whoever_leaves_is_succeeded_in_everything_at_once(story: Story) -> None:
    first, second = defined(story), defined(story, "W-2")
    left = story.leaves("cy", "dora")
    told = story.folded()
    assert spans(told) == [("cy", first, left), ("dora", left, None)]
    assert spans(told, "W-2") == [("cy", second, left), ("dora", left, None)]
    answer = told.ask("who", work="W-1")
    assert (answer.basis, answer.since.position) == ("successor", left)
    assert answer.steps[1:] == (f"cy left at position {left}; dora succeeds", "dora succeeds, and answers")
    assert {held.work for held in told.ask("answers_for", person="dora").items} == {"W-1", "W-2"}
    assert told.ask("answers_for", person="cy").problem == "cy is not a person who is here"


def test_work_that_names_a_leaver_later_goes_to_the_successor(story: Story) -> None:
    story.leaves("cy", "dora")
    at = defined(story)
    assert spans(story.folded()) == [("dora", at, None)]


def test_successions_chain(story: Story) -> None:
    at = defined(story)
    first = story.leaves("cy", "dora")
    second = story.leaves("dora", "bob")
    told = story.folded()
    assert spans(told) == [("cy", at, first), ("dora", first, second), ("bob", second, None)]
    assert told.ask("who", work="W-1").steps[1:3] == (
        f"cy left at position {first}; dora succeeds",
        f"dora left at position {second}; bob succeeds",
    )


def test_successions_that_lead_in_a_circle_lead_to_the_custodian(story: Story) -> None:
    at = defined(story)
    first = story.leaves("cy", "dora")
    second = story.leaves("dora", "cy")
    told = story.folded()
    assert spans(told) == [("cy", at, first), ("dora", first, second), ("ana", second, None)]
    assert [held.work for held in told.ask("answers_for", person="ana").items] == ["W-1"]


def test_an_agent_that_is_named_does_not_answer_the_process_owner_does(story: Story) -> None:
    story.tell("process/refunds", ProcessPublished(version=1, owner="dora"))
    at = defined(story, accountable="bot", process="refunds")
    told = story.folded()
    assert spans(told) == [("dora", at, None)]
    assert told.ask("who", work="W-1").steps[1:] == (
        "bot is an agent, not a person",
        "dora owns the process refunds, and answers",
    )
    assert [held.work for held in told.ask("answers_for", person="dora").items] == ["W-1"]


def test_somebody_who_is_named_before_they_are_registered_answers_from_their_registration_on(story: Story) -> None:
    at = defined(story, accountable="eve")
    story.people("eve")
    assert spans(story.folded()) == [("ana", at, at + 1), ("eve", at + 1, None)]


def test_a_new_process_owner_a_new_source_custodian_and_a_new_root_custodian_take_over_at_their_position(
    story: Story,
) -> None:
    story.tell("process/refunds", ProcessPublished(version=1, owner="dora"))
    process = defined(story, "W-1", "bot", "refunds")
    source = story.tell("work/W-2", NoteAdded(text="hello"), by="jira", system=True)
    ledger = story.tell("work/W-3", NoteAdded(text="hello"))
    owner = story.tell("process/refunds", ProcessPublished(version=2, owner="cy"))
    custodian = story.tell("source/jira", SourceRegistered(uri="https://jira.example", custodian="dora"))
    root = story.custodian("bob")
    told = story.folded()
    assert spans(told, "W-1") == [("dora", process, owner), ("cy", owner, None)]
    assert spans(told, "W-2") == [("bob", source, custodian), ("dora", custodian, None)]
    assert spans(told, "W-3") == [("ana", ledger, root), ("bob", root, None)]


def test_the_last_custodian_of_the_ledger_stays_whatever_is_revoked(story: Story) -> None:
    at = story.tell("work/W-1", NoteAdded(text="hello"))
    story.tell("participant/ana", RoleRevoked(role="custodian"))
    assert spans(story.folded()) == [("ana", at, None)]


def test_what_happened_earlier_and_was_recorded_later_is_known_from_then_on_only(story: Story) -> None:
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="cy"), at=day(1), recorded=day(1))
    story.tell("work/W-1", AccountabilityTransferred(from_="cy", to="dora", accepted_by="dora"),
               at=day(2), recorded=day(5))  # fmt: skip
    told = story.folded()
    assert person(told, at=day(3)) == "dora"
    assert person(told, at=day(3), known_at=day(4)) == "cy"
    assert person(told, at=day(1.5)) == "cy"
    assert person(told, known_at=day(4)) == "cy"


def test_late_news_of_an_earlier_transfer_does_not_undo_the_later_one_at_a_time(story: Story) -> None:
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="cy"), at=day(1), recorded=day(1))
    story.tell("work/W-1", AccountabilityTransferred(to="dora"), at=day(3), recorded=day(3))
    story.tell("work/W-1", AccountabilityTransferred(to="bob"), at=day(2), recorded=day(4))
    told = story.folded()
    assert person(told, at=day(2.5)) == "bob"
    assert person(told, at=day(3.5)) == "dora"
    assert person(told) == "bob", "on the log the last word counts, and it is a finding that nobody handed it over"


def test_somebody_answers_for_the_time_before_the_first_event_that_was_recorded(story: Story) -> None:
    story.tell("work/W-1", NoteAdded(text="second"), at=day(3), recorded=day(4), by="jira", system=True)
    story.tell("work/W-1", NoteAdded(text="first"), at=day(2), recorded=day(5), by="jira", system=True)
    told = story.folded()
    assert person(told, at=day(2.5)) == "bob"
    assert "did not exist" in told.ask("who", work="W-1", at=day(2.5), known_at=day(4.5)).problem


def test_a_succession_holds_at_the_time_at_which_it_happened(story: Story) -> None:
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="cy"), at=day(1), recorded=day(1))
    story.leaves("cy", "dora", at=day(2), recorded=day(4))
    told = story.folded()
    assert person(told, at=day(1.5)) == "cy"
    assert person(told, at=day(3)) == "dora"
    assert person(told, at=day(3), known_at=day(3.5)) == "cy"


def test_everything_that_somebody_answers_for_is_counted_paged_and_exact(story: Story) -> None:
    story.tell("process/refunds", ProcessPublished(version=1, owner="dora"))
    story.tell("process/others", ProcessPublished(version=1, owner="nobody-known"))
    story.leaves("bob", "cy")
    for n, named in enumerate(["cy", "dora", "bot", "ghost", "bob", "ana"]):
        for process in (None, "refunds", "others", "unpublished"):
            for system in ("jira", "trello", None):
                story.tell(f"work/W-{n}-{process}-{system}",
                           WorkDefined(title="x", accountable=named,
                                       process=Pinned(id=process, version=1) if process else None),
                           by=system or "ana", system=system is not None)  # fmt: skip
    story.tell("work/found", NoteAdded(text="x"), by="jira", system=True)
    told = story.folded()
    works = {row.key for row in told.rows.select(board.Row)}
    resolved = {work: person(told, work) for work in works}
    assert set(resolved.values()) == {"cy", "dora", "ana"}
    for who in ("ana", "cy", "dora"):
        held, after, count = list[str](), "", 0
        while after is not None:
            page = told.ask("answers_for", person=who, after=after, limit=7)
            held += [item.work for item in page.items]
            after, count = page.next, page.count
        assert held == sorted(work for work, to in resolved.items() if to == who)
        assert count == len(held)


def test_rows_do_not_depend_on_how_the_log_came_in_pages(story: Story) -> None:
    defined(story)
    story.tell("work/W-1", NoteAdded(text="early"), at=day(-3))
    story.tell("work/W-1", AccountabilityTransferred(from_="cy", to="dora"))
    digests = {story.folded(page).store.digest("accountability") for page in (1, 2, 100)}
    assert len(digests) == 1


def test_the_last_custodian_of_the_ledger_answers_even_when_gone_until_there_is_another(story: Story) -> None:
    at = story.tell("work/W-1", NoteAdded(text="hello"))
    story.leaves("ana", None)
    told = story.folded()
    assert spans(told) == [("ana", at, None)]
    assert [held.work for held in told.ask("answers_for", person="ana").items] == ["W-1"]
    other = story.custodian("bob")
    assert spans(story.folded()) == [("ana", at, other), ("bob", other, None)]
