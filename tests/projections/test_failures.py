"""An execution that failed is seen: on its item, at the agent, in the inbox of who answers, and in the counts."""

from typing import Any

import pytest

from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.context import NoteAdded
from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.execution import ExecutionStarted, WorkExecuted
from attorn.contracts.participant import AbsenceDeclared
from attorn.contracts.work import WorkAssigned, WorkCancelled, WorkDefined, WorkSubmitted, WorkUnassigned
from sample_story import Story, Told, day

FAILED = WorkExecuted(execution_id="x-1", result="failed", error_class="ValueError", retryable=True)


@pytest.fixture
def story() -> Story:
    """The bot's execution failed, and nothing has happened since."""
    story = Story()
    story.people("ana", "ben", "cleo")
    story.agent("bot", sponsor="ben")
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="ana"))
    story.tell("work/W-2", WorkDefined(title="Another", accountable="ana"))
    story.tell("work/W-1", ExecutionStarted(execution_id="x-1", executor="bot"))
    story.tell("work/W-1", FAILED, by="bot")
    return story


def standing(told: Told) -> list[str]:
    return [item.work for item in told.ask("board", failed=True).items]


def waits(told: Told, who: str, **asked: Any) -> list[tuple[str, str | None, str]]:
    return [(each.id, each.asked_by, each.text) for each in told.ask("inbox", who=who, kind="failure", **asked).waiting]


def test_the_item_says_whose_execution_failed_when_and_why(story: Story) -> None:
    told = story.folded()
    failure = told.ask("work", work="W-1").item.failure
    assert (failure.execution_id, failure.by, failure.error_class, failure.retryable) == (
        "x-1", "bot", "ValueError", True,
    )  # fmt: skip
    assert failure.position == len(story.log) and failure.time == story.log[-1].event.time
    assert told.ask("work", work="W-2").item.failure is None
    assert standing(told) == ["W-1"] and [i.work for i in told.ask("board", failed=False).items] == ["W-2"]
    assert told.ask("load").failed == 1


def test_the_agent_is_among_those_that_need_somebody(story: Story) -> None:
    [bot] = story.folded().ask("agents").agents
    assert (bot.failed, bot.exceptions) == (1, ("failed",))


def test_it_waits_for_whoever_answers_and_moves_with_that(story: Story) -> None:
    told = story.folded()
    assert waits(told, "ana") == [("x-1", "bot", "ValueError")]
    assert waits(told, "bot") == waits(told, "ben") == []
    assert [each.kind for each in told.ask("inbox", who="ana").waiting] == ["failure"]
    story.tell("participant/ana", AbsenceDeclared(from_=day(0), until=day(9), substitute="cleo"))
    assert waits(story.folded(), "cleo", at=day(1)) == [("x-1", "bot", "ValueError")]
    story.tell("work/W-1", AccountabilityTransferred(from_="ana", to="ben", accepted_by="ben", basis="accepted"))
    told = story.folded()
    assert waits(told, "ana") == [] and waits(told, "ben") == [("x-1", "bot", "ValueError")]
    story.leaves("ben", "cleo")
    assert waits(story.folded(), "cleo") == [("x-1", "bot", "ValueError")]


@pytest.mark.parametrize(
    "event",
    [
        ExecutionStarted(execution_id="x-2", executor="bot"),
        WorkAssigned(executor="ben"),
        WorkUnassigned(),
        WorkDelegated(delegation_id="D-2", delegator="ana", delegate="ben", autonomy="act"),
        WorkSubmitted(),
        WorkCancelled(),
        WorkExecuted(execution_id="x-3", result="completed"),
    ],
)
def test_it_is_over_when_somebody_goes_on_with_the_work_or_ends_it(story: Story, event: Any) -> None:
    story.tell("work/W-1", event)
    told = story.folded()
    assert standing(told) == [] == waits(told, "ana") and told.ask("load").failed == 0
    [bot] = told.ask("agents").agents
    assert "failed" not in bot.exceptions


def test_a_word_or_the_same_report_once_more_leaves_it_as_it_was(story: Story) -> None:
    before = story.folded().ask("work", work="W-1").item.failure
    story.tell("work/W-1", NoteAdded(text="looked at it"))
    story.tell("work/W-1", FAILED, by="bot")
    told = story.folded()
    assert told.ask("work", work="W-1").item.failure == before and len(waits(told, "ana")) == 1


def test_of_several_failures_the_last_counts_and_waits_once(story: Story) -> None:
    for number in (2, 3):
        story.tell("work/W-1", ExecutionStarted(execution_id=f"x-{number}", executor="bot"))
        story.tell("work/W-1", WorkExecuted(execution_id=f"x-{number}", result="failed"))
    assert waits(story.folded(), "ana") == [("x-3", "bot", "it does not say why")]


def test_nothing_has_failed_while_another_goes_on_with_it(story: Story) -> None:
    story.tell("work/W-2", ExecutionStarted(execution_id="a", executor="bot"))
    story.tell("work/W-2", ExecutionStarted(execution_id="b", executor="ben"))
    story.tell("work/W-2", WorkExecuted(execution_id="a", result="failed"))
    told = story.folded()
    assert standing(told) == ["W-1"] and [each[0] for each in waits(told, "ana")] == ["x-1"]


def test_what_is_folded_event_by_event_is_what_is_folded_at_once(story: Story) -> None:
    story.tell("work/W-1", AccountabilityTransferred(from_="ana", to="ben", accepted_by="ben", basis="accepted"))
    story.tell("work/W-1", ExecutionStarted(execution_id="x-2", executor="bot"))
    story.tell("work/W-1", WorkExecuted(execution_id="x-2", result="failed"))
    story.tell("work/W-2", WorkCancelled())
    one, many = story.folded(page=1), story.folded()
    assert waits(one, "ben") == waits(many, "ben") == [("x-2", "bot", "it does not say why")]
    for name in ("board", "inbox"):
        assert one.store.digest(name) == many.store.digest(name)
