"""Whether controls were kept: of each output, of each process, of each agent's work."""

from datetime import timedelta
from typing import Any

import pytest

from attorn.contracts.escalation import Rung
from attorn.contracts.execution import ExecutionGuided, ExecutionStarted, WorkExecuted
from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output, OutputReleased, OutputWithdrawn
from attorn.contracts.participant import AgentDeployed
from attorn.contracts.policy import EscalationRules, PolicyPublished, PolicyRules, ReviewRules
from attorn.contracts.process import ProcessPublished
from attorn.contracts.review import ReviewInvalidated, ReviewRequested, ReviewSkipped, Sampling, Verdict, WorkReviewed
from attorn.contracts.work import WorkDefined
from sample_story import Story, day

DIG, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
POLICY = Pinned(id="four-eyes", version=1)


def begun() -> Story:
    story = Story()
    story.people("ana", "ben")
    story.agent("bot")
    rules = PolicyRules(review=ReviewRules(seconds_min=30))
    story.tell("policy/four-eyes", PolicyPublished(version=1, kind="review", rules=rules))
    story.tell("process/refunds", ProcessPublished(version=1, owner="ana", review_policy=POLICY))
    return story


def produced(story: Story, work: str = "W-1", executor: str = "bot", result: Any = "completed", **said: Any) -> None:
    story.tell(f"work/{work}", WorkDefined(title="Refund", accountable="ana", process=Pinned(id="refunds", version=1)))
    story.tell(f"work/{work}", ExecutionStarted(execution_id="x", executor=executor, **said), by=executor)
    outputs = (Output(output_id="o", dig=DIG, contribution="ai"),) if result == "completed" else ()
    story.tell(f"work/{work}", WorkExecuted(execution_id="x", result=result, outputs=outputs), by=executor)


def reviewed(verdict: Verdict = "approved", by: str = "ben", dig: str = DIG, **said: Any) -> WorkReviewed:
    return WorkReviewed(
        review_id="r", output_id="o", output_dig=dig, verdict=verdict, reviewer=by, policy=POLICY, **said
    )


RELEASED = OutputReleased(output_id="o", output_dig=DIG)
SAMPLING = Sampling(rate=0.2, drawn=0.9)


@pytest.mark.parametrize(
    ("before", "released", "flags"),
    [
        ((), "unreviewed", ("released unreviewed",)),
        ((reviewed(),), "reviewed", ()),
        ((reviewed(dig=NEW),), "unreviewed", ("released unreviewed",)),
        ((reviewed("changes_requested"),), "unreviewed", ("released unreviewed",)),
        ((reviewed("waived", authority="CFO"),), "waived", ("waived",)),
        ((ReviewSkipped(output_id="o", output_dig=DIG, sampling=SAMPLING),), "not drawn", ("not drawn",)),
        ((reviewed(by="bot"),), "reviewed", ("self-reviewed",)),
        ((reviewed(seconds_spent=3),), "reviewed", ("rubber-stamp suspected",)),
        ((reviewed(seconds_spent=40),), "reviewed", ()),
        ((reviewed("rejected", seconds_spent=3), reviewed(seconds_spent=60)), "reviewed", ()),
    ],
)
def test_a_release_says_what_was_behind_it(before: tuple[Any, ...], released: str, flags: tuple[str, ...]) -> None:
    story = begun()
    produced(story)
    for payload in before:
        story.tell("work/W-1", payload)
    story.tell("work/W-1", RELEASED)
    [found] = story.folded().ask("controls", work="W-1").outputs
    assert (found.released, found.flags, found.executor, found.process) == (released, flags, "bot", "refunds")


def test_one_verdict_of_two_that_are_wanted_is_not_a_review() -> None:
    story = begun()
    produced(story)
    story.tell("work/W-1", ReviewRequested(review_id="r", output_id="o", output_dig=DIG, required=2))
    story.tell("work/W-1", reviewed())
    story.tell("work/W-1", RELEASED)
    assert story.folded().ask("controls").outputs[0].released == "unreviewed"
    story.tell("work/W-1", reviewed(by="ana"))
    story.tell("work/W-1", RELEASED)
    assert story.folded().ask("controls").outputs[0].released == "reviewed"


def test_a_waiver_names_who_gave_it_and_by_what_authority() -> None:
    story = begun()
    produced(story)
    story.tell("work/W-1", reviewed("waived", "ana", authority="policy four-eyes v1"))
    story.tell("work/W-1", RELEASED)
    story.tell("work/W-1", OutputWithdrawn(output_id="o"))
    [found] = story.folded().ask("controls", flag="waived").outputs
    assert (found.waived_by, found.authority) == ("ana", "policy four-eyes v1") and found.withdrawn_position == 11


def test_new_bytes_after_approval_are_unreviewed_again() -> None:
    story = begun()
    produced(story)
    story.tell("work/W-1", reviewed())
    story.tell("work/W-1", ReviewInvalidated(review_id="r", output_id="o", output_dig=DIG, cause=NEW))
    story.tell("work/W-1", OutputReleased(output_id="o"))
    assert story.folded().ask("controls").outputs[0].released == "unreviewed"


def test_what_a_reviewer_made_of_an_output_is_approved_by_its_making() -> None:
    story = begun()
    produced(story)
    better = Output(output_id="o-2", dig=NEW, contribution="mixed", supersedes="o")
    story.tell("work/W-1", reviewed("edited", new_output=better))
    story.tell("work/W-1", OutputReleased(output_id="o-2", output_dig=NEW))
    first, second = story.folded().ask("controls").outputs
    assert (first.edited, first.last, second.released, second.executor) == (1, "edited", "reviewed", "ben")


def test_what_is_looked_for_is_found_page_by_page_among_all_the_others() -> None:
    story = begun()
    for number in range(30):
        produced(story, f"W-{number:02d}")
        story.tell(f"work/W-{number:02d}", reviewed(by="bot" if number % 10 == 3 else "ben"))
    told = story.folded()
    found, after = list[str](), ""
    while after is not None:
        page = told.ask("controls", flag="self-reviewed", limit=2, after=after)
        found += [each.work for each in page.outputs]
        after = page.next
    assert found == ["W-03", "W-13", "W-23"]


# ---- what a process has


def test_the_holes_in_the_controls_of_a_process_are_named_and_counted() -> None:
    story = begun()
    [found] = story.folded().ask("control_coverage").processes
    assert found.holes == ("escalation path", "retention", "last human look") and found.covered == 0.5
    ladder = EscalationRules(ladder=(Rung(rung=1, targets=("ben",), ack_within=timedelta(hours=1)),))
    story.tell("policy/up", PolicyPublished(version=1, kind="escalation", rules=PolicyRules(escalation=ladder)))
    story.tell("process/refunds", ProcessPublished(version=2, owner="ana", review_policy=POLICY,
                                                   escalation_policy=Pinned(id="up", version=1),
                                                   retention=timedelta(days=365)))  # fmt: skip
    produced(story)
    story.tell("work/W-1", reviewed(), at=day(3))
    # Of these two one is handed in, and one is open.
    story.tell("work/W-2", WorkDefined(title="Another", accountable="ana", process=Pinned(id="refunds", version=2)))
    [found] = story.folded().ask("control_coverage", process="refunds", at=day(5)).processes
    assert (found.holes, found.covered, found.owner, found.ladder) == ((), 1.0, "ana", ("ben",))
    assert (found.looked_by, found.days_since, found.open) == ("ben", 2.0, 1)
    story.tell("participant/bot", AgentDeployed(process_id="refunds"))
    assert story.folded().ask("control_coverage").processes[0].holes == ("heartbeat",)


def test_only_a_human_has_looked_at_what_an_agent_does() -> None:
    story = begun()
    story.agent("checker")
    produced(story)
    assert story.folded().ask("last_look", agent="bot").looked_at is None
    story.tell("work/W-1", reviewed(by="checker"))
    assert story.folded().ask("last_look", agent="bot").looked_at is None
    story.tell("work/W-1", ExecutionGuided(execution_id="x", text="not so", by="ana"), at=day(1))
    story.tell("work/W-1", reviewed(by="checker"), at=day(2))
    found = story.folded().ask("last_look", agent="bot", at=day(4))
    assert found.looked_at is None or (found.looked_by, found.days_since) == ("ana", 3.0)


# ---- how an agent's work held up


def test_an_agents_work_is_scored_by_process_and_version_of_its_instructions() -> None:
    story = begun()
    old, new = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    verdicts: list[tuple[str, list[Verdict]]] = [
        (old, ["approved"]), (old, ["rejected", "approved"]), (old, ["edited"]),
        (new, ["approved"]), (new, [])]  # fmt: skip
    for number, (dig, said) in enumerate(verdicts):
        produced(story, f"W-{number}", instructions_dig=dig)
        for verdict in said:
            story.tell(f"work/W-{number}", reviewed(verdict))
    produced(story, "W-9", instructions_dig=new, result="failed")
    found = story.folded().ask("scorecard", agent="bot")
    first, second = found.scores
    assert (first.process, first.instructions_dig, first.executions, first.reviewed) == ("refunds", old, 3, 3)
    assert (first.first_pass, first.override, first.rework, first.error) == (1 / 3, 2 / 3, 1 / 3, 0.0)
    assert (second.executions, second.outputs, second.reviewed, second.error) == (3, 2, 1, 1 / 3)
    assert story.folded().ask("scorecard", agent="ben").scores == () and found.complete
