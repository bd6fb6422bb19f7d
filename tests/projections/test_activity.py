"""What each participant did, day by day, people and agents alike; and who contributed what to one item."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from attorn.contracts.context import NoteAdded
from attorn.contracts.execution import (
    ExecutionActionRecorded,
    ExecutionGuided,
    ExecutionProgressed,
    ExecutionStarted,
    WorkExecuted,
)
from attorn.contracts.output import Contribution, Output, OutputProduced
from attorn.contracts.review import WorkReviewed
from attorn.contracts.work import WorkAssigned, WorkDefined
from attorn.projections import activity
from sample_story import BEGIN, Story, day

TODAY, TOMORROW = day(0).date().isoformat(), day(1).date().isoformat()


def begun(executor: str = "bot", **said: Any) -> Story:
    story = Story()
    story.people("ana", "ben")
    story.agent("bot")
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="ana"))
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor=executor), by=executor, **said)
    return story


def made(id: str, contribution: Contribution | None) -> Output:
    return Output(output_id=id, dig="sha256:" + "a" * 64, contribution=contribution)


def acted(id: str, **said: Any) -> ExecutionActionRecorded:
    return ExecutionActionRecorded(execution_id="x", action_id=id, tool="read", **said)


def did(story: Story, who: str, **asked: Any) -> dict[str, dict[str, int]]:
    return {found.day: found.did for found in story.folded().ask("activity", who=who, **asked).days}


def test_the_same_things_are_counted_for_a_person_and_for_an_agent() -> None:
    counts = []
    for who in ("ben", "bot"):
        story = begun(who)
        story.tell("work/W-1", acted("a"), by=who)
        story.tell(
            "work/W-1", WorkExecuted(execution_id="x", result="completed", outputs=(made("o", "mixed"),)), by=who
        )
        counts.append(did(story, who))
    assert counts[0] == counts[1] == {TODAY: {"execution started": 1, "action": 1, "execution ended": 1}}


def test_what_a_system_reports_of_an_execution_was_done_by_whoever_carries_it_out() -> None:
    story = begun(system=True)
    story.tell("work/W-1", acted("a"), by="jira", system=True)
    story.tell("work/W-1", OutputProduced(output=made("o", "ai"), execution_id="x"), by="jira", system=True)
    assert did(story, "bot") == {TODAY: {"execution started": 1, "action": 1, "output produced": 1}}
    assert did(story, "jira") == {}
    [found] = story.folded().ask("activity", who="bot").days
    assert (found.outputs, found.total) == ({"ai": 1}, 3)


def test_each_day_is_counted_by_itself_the_latest_first_and_in_pages() -> None:
    story = begun()
    story.tell("work/W-1", acted("a"), by="bot", at=day(1))
    story.tell("work/W-1", acted("b"), by="jira", system=True, at=day(1))
    story.tell("work/W-1", NoteAdded(text="n"), by="bot", at=day(2))
    assert [(d, sum(n.values())) for d, n in did(story, "bot").items()] == [
        (day(2).date().isoformat(), 1), (TOMORROW, 2), (TODAY, 1)]  # fmt: skip
    assert list(did(story, "bot", from_day=TOMORROW, until_day=TOMORROW)) == [TOMORROW]
    told = story.folded()
    first = told.ask("activity", who="bot", limit=1)
    second = told.ask("activity", who="bot", limit=5, after=first.next)
    assert [d.day for d in second.days] == [TOMORROW, TODAY] and second.next is None


_ACTS = st.sampled_from(["action", "progress", "guide", "note", "output", "review", "reported"])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(_ACTS, st.sampled_from(["ana", "ben", "bot"]), st.integers(0, 2)), max_size=25))
def test_the_counts_of_every_participant_and_day_are_those_of_the_log(acts: list[tuple[str, str, int]]) -> None:
    story, counted = begun(), Counter[tuple[str, str]]()
    counted["ana", TODAY] += 1
    counted["bot", TODAY] += 1
    for number, (act, who, on) in enumerate(acts):
        payload: Any = {
            "action": acted(str(number)),
            "reported": acted(str(number)),
            "progress": ExecutionProgressed(execution_id="x"),
            "guide": ExecutionGuided(execution_id="x", text="so", by=who),
            "note": NoteAdded(text="n"),
            "output": OutputProduced(output=made(f"o{number}", "ai"), execution_id="x"),
            "review": WorkReviewed(review_id="r", output_id="o", output_dig="sha256:" + "a" * 64, verdict="approved",
                                   reviewer=who),
        }[act]  # fmt: skip
        is_reported = act == "reported"
        story.tell("work/W-1", payload, by="jira" if is_reported else who, system=is_reported, at=day(on))
        counted["bot" if is_reported else who, day(on).date().isoformat()] += 1
    told = story.folded(page=7)
    for who in ("ana", "ben", "bot"):
        found = {d.day: d.total for d in told.ask("activity", who=who).days}
        assert found == {on: n for (one, on), n in counted.items() if one == who}
        for on, total in found.items():
            assert len(told.ask("activity_events", who=who, day=on, limit=1000).events) == total


def test_the_events_behind_a_count_come_in_pages_in_log_order() -> None:
    story = begun()
    for number in range(5):
        story.tell("work/W-1", acted(str(number)), by="jira" if number % 2 else "bot", system=bool(number % 2))
    told = story.folded()
    first = told.ask("activity_events", who="bot", day=TODAY, limit=4)
    rest = told.ask("activity_events", who="bot", day=TODAY, limit=4, after=first.next)
    assert [deed.position for deed in (*first.events, *rest.events)] == [5, 6, 7, 8, 9, 10]
    assert first.events[1].did == "action" and rest.next is None


# ---- contributions


def test_every_contributor_is_listed_with_their_events_and_the_shares_cover_all_outputs() -> None:
    story = begun()
    outputs = (made("o-1", "ai"), made("o-2", None))
    story.tell("work/W-1", WorkExecuted(execution_id="x", result="completed", outputs=outputs), by="bot")
    story.tell("work/W-1", ExecutionStarted(execution_id="y", executor="ben"), by="ben")
    more = (made("o-3", "human"), made("o-4", "mixed"))
    story.tell("work/W-1", WorkExecuted(execution_id="y", result="completed", outputs=more), by="jira", system=True)
    story.tell("work/W-1", NoteAdded(text="well done"), by="ana")
    found = story.folded().ask("contributions", work="W-1")
    by = {c.who: c for c in found.contributors}
    assert found.outputs == {"ai": 1, "unsaid": 1, "human": 1, "mixed": 1}
    assert {who: c.outputs for who, c in by.items()} == {"ana": (), "bot": ("o-1", "o-2"), "ben": ("o-3", "o-4")}
    assert sum(c.share for c in by.values()) == 1.0
    assert by["ana"].events == ("e-4", "e-9") and by["ben"].events == ("e-7", "e-8")
    assert story.folded().ask("contributions", work="W-9").problem == "W-9 is not on the log"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["bot", "jira"]), st.booleans()), max_size=12))
def test_help_from_an_ai_never_changes_who_carries_the_work_out_or_who_answers(helped: list[tuple[str, bool]]) -> None:
    story = Story()
    story.people("ana", "ben")
    story.agent("bot")
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="ana"))
    story.tell("work/W-1", WorkAssigned(executor="ben"))
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor="ben"), by="ben")
    for number, (by, effect) in enumerate(helped):
        story.tell("work/W-1", acted(str(number), assist=True, side_effect=effect), by=by, system=by == "jira")
    told = story.folded()
    item = told.ask("work", work="W-1").item
    assert (item.executor, item.accountable) == ("ben", "ana")
    assert [h.holder for h in told.ask("holding", work="W-1").holdings] == ["ben"]


def test_every_counted_type_is_one_that_the_view_asks_for() -> None:
    assert set(activity.DID) == {event.type for event in activity.EVENTS}  # type: ignore[attr-defined]
    assert BEGIN.date().isoformat() == TODAY
