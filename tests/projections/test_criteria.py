"""What work was held against, and whether it was escalated when it should have been."""

from typing import Literal

from attorn.contracts.escalation import EscalationContext, WorkEscalated
from attorn.contracts.output import OutputValidated
from attorn.contracts.work import CriterionVerdict, WorkVerified
from sample_story import Story

ASKS, RIGHT = "asks-when-it-should", "right"


def held(story: Story, work: str, criterion: str, result: Literal["passed", "failed"]) -> None:
    story.tell(
        f"work/{work}", OutputValidated(output_id="o", criterion_id=criterion, result=result, method="rule"), by="erp"
    )


def escalate(story: Story, work: str, id: str = "e") -> None:
    context = EscalationContext(summary="Unsure", question="What now?")
    payload = WorkEscalated(escalation_id=id, reason="exception", raised_by="bot", severity="low", context=context)
    story.tell(f"work/{work}", payload, by="bot")


def test_what_was_found_last_of_a_criterion_counts_and_how_often_it_failed_is_kept() -> None:
    story = Story()
    held(story, "W-1", RIGHT, "failed")
    held(story, "W-1", RIGHT, "passed")
    held(story, "W-2", RIGHT, "failed")
    verdicts = (CriterionVerdict(id=RIGHT, result="waived", by="ana"), CriterionVerdict(id="letter", result="passed"))
    story.tell("work/W-3", WorkVerified(criteria=verdicts), by="ben")
    told = story.folded()
    found = told.ask("criteria", criterion=RIGHT)
    assert (found.items, found.passed, found.failed, found.waived) == (3, 1, 1, 1)
    first, second, third = found.verdicts
    assert (first.work, first.result, first.verdicts, first.failures, first.method) == ("W-1", "passed", 2, 1, "rule")
    assert (second.output, third.output, third.by) == ("o", None, "ana")
    assert [each.criterion for each in told.ask("criteria", work="W-3").verdicts] == ["letter", RIGHT]
    assert told.ask("criteria", work="W-3").verdicts[0].by == "ben"
    assert [each.work for each in told.ask("criteria", result="failed").verdicts] == ["W-2"]
    page = told.ask("criteria", criterion=RIGHT, limit=2)
    assert [each.work for each in told.ask("criteria", criterion=RIGHT, after=page.next).verdicts] == ["W-3"]


def test_an_escalation_that_was_not_wanted_is_over_and_one_that_was_not_raised_is_missed() -> None:
    story = Story()
    for work, escalated, asked_rightly, right in (
        ("confirmed", True, "passed", "failed"),
        ("over-1", True, "failed", "passed"),
        ("over-2", True, "failed", "failed"),
        ("missed", False, "failed", "failed"),
        ("fine", False, "passed", "passed"),
    ):
        if escalated:
            escalate(story, work)
        held(story, work, ASKS, asked_rightly)  # type: ignore[arg-type]
        held(story, work, RIGHT, right)  # type: ignore[arg-type]
    escalate(story, "over-1", "again")
    escalate(story, "not-judged")
    told = story.folded()
    found = told.ask("escalation_accuracy", criterion=ASKS, success=RIGHT)
    assert (found.items, found.raised, found.wanted) == (5, 3, 2)
    assert (found.confirmed, found.over, found.missed, found.raised_and_right) == (1, 2, 1, 1)
    assert (found.precision, found.recall) == (1 / 3, 1 / 2)
    assert [(each.work, each.judged) for each in found.found] == [
        ("missed", "missed"),
        ("over-1", "over"),
        ("over-2", "over"),
    ]
    [only] = told.ask("escalation_accuracy", criterion=ASKS, judged="confirmed").found
    assert only.work == "confirmed"
    page = told.ask("escalation_accuracy", criterion=ASKS, limit=2)
    assert [each.work for each in told.ask("escalation_accuracy", criterion=ASKS, after=page.next).found] == ["over-2"]


def test_where_nothing_was_judged_there_is_nothing_to_divide_by() -> None:
    found = Story().folded().ask("escalation_accuracy", criterion=ASKS)
    assert (found.items, found.precision, found.recall, found.raised_and_right) == (0, None, None, None)
