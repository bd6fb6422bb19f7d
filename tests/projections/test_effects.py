"""What was changed more than once, within one work item, and what had been changed when somebody asked for help."""

from typing import Any, Literal

import pytest

from attorn.contracts.escalation import EscalationContext, EscalationResolved, WorkEscalated
from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted
from sample_story import Story

ARGUMENTS, OTHERS = "sha256:" + "a" * 64, "sha256:" + "b" * 64

Result = Literal["succeeded", "failed"]


def begun(work: str = "W-1", story: Story | None = None) -> Story:
    story = story or Story()
    story.tell(f"work/{work}", ExecutionStarted(execution_id="x", executor="bot"), by="bot")
    return story


def change(story: Story, result: Result = "succeeded", work: str = "W-1", **said: Any) -> int:
    action: dict[str, Any] = {"tool": "refund", "args_dig": ARGUMENTS, "target": "order/7", "side_effect": True}
    payload = ExecutionActionRecorded(execution_id="x", action_id="a", result=result, **action | said)
    return story.tell(f"work/{work}", payload, by="erp", system=True)


def escalate(story: Story, work: str = "W-1", by: str = "bot") -> int:
    context = EscalationContext(summary="Paid twice?", question="Which is right?")
    payload = WorkEscalated(escalation_id="e", reason="exception", raised_by=by, severity="high", context=context)
    return story.tell(f"work/{work}", payload, by=by)


@pytest.mark.parametrize(
    ("results", "retries", "doubles", "failed"),
    [
        (("succeeded",), 0, 0, 0),
        (("failed",), 0, 0, 1),
        (("failed", "succeeded"), 1, 0, 1),
        (("succeeded", "succeeded"), 0, 1, 0),
        (("failed", "failed", "succeeded", "failed"), 2, 1, 3),
    ],
)
def test_the_same_again_is_a_retry_after_an_error_and_a_double_after_a_success(
    results: tuple[Result, ...], retries: int, doubles: int, failed: int
) -> None:
    story = begun()
    for result in results:
        change(story, result)
    found = story.folded().ask("duplicates")
    assert (found.tries, found.failed) == (len(results), failed)
    assert (found.repeats, found.retries, found.doubles) == (len(results) - 1, retries, doubles)
    assert [(each.work, each.tries) for each in found.changes] == [("W-1", len(results))] * (len(results) > 1)


def test_other_arguments_another_target_another_tool_or_another_item_are_no_repeat() -> None:
    story = begun()
    change(story)
    change(story, args_dig=OTHERS)
    change(story, target="order/8")
    change(story, tool="send")
    change(begun("W-2", story), work="W-2")
    change(story, side_effect=False)
    found = story.folded().ask("duplicates")
    assert (found.tries, found.repeats, found.changes) == (5, 0, ())


def test_a_retry_that_names_a_key_is_not_blind_and_without_arguments_the_key_says_what_is_the_same() -> None:
    story = begun()
    change(story, "failed", idempotency_key="7")
    change(story, idempotency_key="7")
    change(story, tool="send", args_dig=None, idempotency_key="8")
    change(story, tool="send", args_dig=None, idempotency_key="8")
    change(story, tool="send", args_dig=None)
    change(story, tool="send", args_dig=None)
    found = story.folded().ask("duplicates")
    assert (found.tries, found.repeats, found.retries, found.keyed, found.doubles) == (6, 2, 0, 1, 1)


def test_it_can_be_asked_of_one_participant_or_one_item_and_comes_in_pages() -> None:
    story = begun()
    story.tell("work/W-9", ExecutionStarted(execution_id="x", executor="ana"))
    for work in ("W-1", "W-9"):
        for tool in ("refund", "send", "cancel"):
            change(story, work=work, tool=tool)
            change(story, work=work, tool=tool)
    told = story.folded()
    assert told.ask("duplicates").doubles == 6
    mine = told.ask("duplicates", who="bot")
    assert (mine.tries, mine.doubles, {each.work for each in mine.changes}) == (6, 3, {"W-1"})
    assert told.ask("duplicates", work="W-9").doubles == 3
    first = told.ask("duplicates", limit=4)
    rest = told.ask("duplicates", limit=4, after=first.next)
    assert (first.doubles, rest.doubles, len(first.changes), len(rest.changes)) == (6, 6, 4, 2) and rest.next is None


def test_who_escalates_after_a_change_leaves_something_half_done() -> None:
    story = begun()
    change(story, "failed")
    change(story, tool="look", side_effect=False)
    raised = escalate(story)
    change(story, tool="send")
    escalate(begun("W-2", story), "W-2", by="scout")
    change(story, work="W-2")
    [found] = story.folded().ask("half_done").escalations
    assert (found.escalation.work, found.escalation.raised_position) == ("W-1", raised)
    assert [(each.tool, each.tries, each.failed) for each in found.changes] == [("refund", 1, 1)]
    assert story.folded().ask("half_done", raised_by="scout").count == 0


def test_what_was_left_half_done_comes_in_pages_open_or_not() -> None:
    story = Story()
    for number in range(3):
        change(begun(f"W-{number}", story), work=f"W-{number}")
        escalate(story, f"W-{number}")
    story.tell("work/W-0", EscalationResolved(escalation_id="e", outcome="taken_over"))
    told = story.folded()
    first = told.ask("half_done", limit=2)
    rest = told.ask("half_done", limit=2, after=first.next)
    works = [each.escalation.work for page in (first, rest) for each in page.escalations]
    assert (works, first.count, rest.next) == (["W-0", "W-1", "W-2"], 3, None)
    assert (told.ask("half_done", open=True).count, told.ask("half_done", open=False).count) == (2, 1)
