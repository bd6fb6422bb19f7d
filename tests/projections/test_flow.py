"""What is next, what stands still, where the time of work goes; and what all of it was for."""

from datetime import timedelta
from typing import Any

from attorn.contracts.escalation import EscalationContext, EscalationResolved, WorkEscalated
from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.contracts.ids import Pinned
from attorn.contracts.outcome import OutcomeDefined
from attorn.contracts.participant import ParticipantRegistered, TeamMemberAdded
from attorn.contracts.process import ProcessPublished
from attorn.contracts.work import (
    Change,
    Purpose,
    WorkClarified,
    WorkCompleted,
    WorkDefined,
    WorkReadied,
    WorkReopened,
    WorkReprioritized,
    WorkVerified,
)
from sample_story import Story, day


def begun(*works: str, **said: Any) -> Story:
    story = Story()
    story.people("ana", "ben")
    story.agent("bot")
    story.agent("scout")
    for work in works:
        story.tell(f"work/{work}", WorkDefined(title="Refund", accountable="ana", **said))
    return story


def names(answer: Any) -> list[str]:
    return [item.work for item in answer.items]


# ---- what is next


def test_what_came_first_is_next_among_equals_and_pages_follow_each_other() -> None:
    story = begun("W-3", "W-1", "W-2")
    story.tell("work/W-2", WorkReprioritized(old="normal", new="high"))
    told = story.folded()
    first = told.ask("queue", limit=2)
    assert (names(first), first.count, first.next) == (["W-2", "W-3"], 3, "W-3")
    second = told.ask("queue", limit=2, after=first.next)
    assert (names(second), second.next) == (["W-1"], None)


def test_who_is_a_candidate_or_is_in_a_team_that_is_one_may_take_it_up_and_what_names_none_anybody_may() -> None:
    story = begun("W-1")
    story.tell("participant/crew", ParticipantRegistered(participant_id="crew", kind="team", display_name="Crew"))
    story.tell("participant/crew", TeamMemberAdded(member="ben"))
    for work, candidates in (("W-2", ("crew",)), ("W-3", ("scout",)), ("W-4", ("ben",))):
        story.tell(f"work/{work}", WorkDefined(title="Refund", accountable="ana", candidates=candidates))
    told = story.folded()
    assert names(told.ask("queue", candidate="ben")) == ["W-1", "W-2", "W-4"]
    assert names(told.ask("queue", candidate="ben", limit=1, after="W-1")) == ["W-2"]
    assert names(told.ask("queue", candidate="bot")) == ["W-1"]


# ---- what stands still


def test_what_has_stood_still_is_told_as_of_any_time_and_what_ended_is_not() -> None:
    story = begun("W-1", "W-2")
    story.tell("work/W-1", WorkReadied(), at=day(10))
    story.tell("work/W-2", WorkCompleted(), at=day(1))
    told = story.folded()
    expected = {"expected_s": 24 * 3_600.0}
    assert names(told.ask("stalled", at=day(3).isoformat(), **expected)) == ["W-1"]
    assert names(told.ask("stalled", at=day(3).isoformat(), times=3, **expected)) == []
    assert names(told.ask("stalled", at=day(10.5).isoformat(), **expected)) == []
    [still] = told.ask("stalled", at=day(12).isoformat(), **expected).items
    assert (still.work, still.last_time, still.idle) == ("W-1", day(10), 2.0)
    assert Story().folded().ask("stalled").items == ()


# ---- where the time goes


def test_an_end_stops_the_clock_until_it_is_opened_again() -> None:
    story = begun()
    context = EscalationContext(summary="Stuck.")
    for number, payload in (
        (0, WorkDefined(title="Refund", accountable="ana")),
        (1, ExecutionStarted(execution_id="x", executor="bot")),
        (2, WorkEscalated(escalation_id="e", reason="exception", raised_by="bot", blocking=True, context=context)),
        (4, EscalationResolved(escalation_id="e", outcome="returned")),
        (5, WorkExecuted(execution_id="x", result="completed")),
        (6, WorkCompleted()),
        (16, WorkReopened(cycle=2)),
        (18, WorkReadied()),
    ):
        story.tell("work/W-1", payload, at=day(number))
    [spent] = story.folded().ask("bottleneck", work="W-1").items
    days = {place: seconds / 86_400 for place, seconds in spent.seconds.items()}
    assert days == {"unclear": 1, "working": 2, "escalated": 2, "in_review": 1, "waiting_assignment": 2}
    assert sum(spent.shares.values()) == 1.0 and spent.elapsed_s == 8 * 86_400
    [spent] = story.folded().ask("bottleneck", work="W-1", until=day(20).isoformat()).items
    assert spent.seconds["waiting_assignment"] == 4 * 86_400 and spent.worst == "waiting_assignment"
    [spent] = story.folded().ask("bottleneck", work="W-1", until=day(3).isoformat()).items
    assert spent.seconds["escalated"] == 86_400


# ---- what it was for


def test_an_outcome_goes_with_the_purpose_of_the_work() -> None:
    story = begun("W-1", purpose=Purpose(outcome_id="fast"))
    for outcome in ("fast", "cheap"):
        story.tell(f"outcome/{outcome}", OutcomeDefined(statement="Money is back."))
    assert story.folded().ask("outcomes").unserved == ("cheap",)
    story.tell("work/W-1", WorkClarified(changes={"purpose": Change(new={"outcome_id": "cheap"})}))
    assert story.folded().ask("outcomes").unserved == ("fast",)
    story.tell("work/W-1", WorkClarified(changes={"purpose": Change(new=None)}))
    found = story.folded().ask("outcomes")
    assert (found.unserved, found.aimless, found.works) == (("cheap", "fast"), 1, ("W-1",))
    story.tell("work/W-1", WorkClarified(changes={"purpose": Change(new=7)}))
    assert story.folded().ask("outcomes").aimless == 1


def test_who_completes_ranks_before_who_is_busy_and_the_last_cycle_counts() -> None:
    story = begun("W-1", "W-2")
    for work, who in (("W-1", "bot"), ("W-2", "scout")):
        story.tell(f"work/{work}", ExecutionStarted(execution_id="x", executor=who), by=who)
    for number in range(5):
        action = ExecutionActionRecorded(execution_id="x", action_id=f"{number}", tool="look")
        story.tell("work/W-2", action, by="erp", system=True)
    for time in (day(1), day(40)):
        story.tell("work/W-1", WorkVerified(), at=time)
    found = story.folded().ask("completions")
    assert [(one.of, one.verified, one.actions) for one in found.ranked] == [("bot", 1, 0), ("scout", 0, 5)]
    assert found.months == {"2026-02": 1} and found.people == {"2026-02": 1}
    story.tell("work/W-1", WorkReopened(cycle=2))
    assert story.folded().ask("completions").verified == 0


def test_work_is_covered_by_the_version_that_was_published_not_by_one_that_is_only_named() -> None:
    story = begun()
    story.tell("process/refunds", ProcessPublished(version=1, owner="ana"))
    for work, version in (("W-1", 1), ("W-2", 7)):
        pinned = Pinned(id="refunds", version=version)
        story.tell(f"work/{work}", WorkDefined(title="Refund", accountable="ana", process=pinned))
    found = story.folded().ask("process_coverage").all
    assert (found.items, found.published, found.share, found.controlled) == (2, 1, 0.5, 0)


def test_the_badge_of_visibility_turns_red_two_seconds_after_and_not_before() -> None:
    story = begun()
    story.tell("process/refunds", ProcessPublished(version=1, owner="ana"))
    pinned = Pinned(id="refunds", version=1)
    for seconds, green in ((2, True), (2.001, False)):
        at = day(1) + timedelta(days=seconds)
        story.tell("work/W-1", WorkDefined(title="R", accountable="ana", process=pinned), at=at,
                   recorded=at + timedelta(seconds=seconds))  # fmt: skip
        [badges] = story.folded().ask("badges").processes
        assert (badges.visible.green, badges.accountable.green) == (green, True)
