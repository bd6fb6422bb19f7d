"""Review: whose verdict counts, on which bytes; and what goes out, and what does not."""

from typing import Any, Final

import pytest

from attorn.contracts.delegation import DelegateWork
from attorn.contracts.execution import ExecuteWork, StartExecution
from attorn.contracts.ids import Pinned
from attorn.contracts.output import (
    Output,
    OutputProduced,
    OutputReleased,
    OutputWithdrawn,
    ReleaseOutput,
    WithdrawOutput,
)
from attorn.contracts.participant import RegisterParticipant
from attorn.contracts.policy import PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import PublishProcess
from attorn.contracts.review import (
    RequestReview,
    ReviewInvalidated,
    ReviewRequested,
    ReviewWithdrawn,
    ReviewWork,
    WorkReviewed,
)
from attorn.contracts.work import CompleteWork, DefineWork, SubmitWork, VerifyWork, WorkCompleted
from story import Story

W: Final = {"work_id": "W-1"}
DIG: Final = "sha256:" + "a" * 64
NEW: Final = "sha256:" + "b" * 64
CHECK: Final = Pinned(id="check", version=1)


def in_review(**rules: Any) -> Story:
    """bot made O-1, which waits in the review E-1-R1; Carla owns the process."""
    policy = PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules(**rules)))
    return (
        Story()
        .given(policy, PublishProcess(process_id="refunds", owner="carla", review_policy="check"))
        .given(DefineWork(**W, title="Refund", accountable="ana", process="refunds"))
        .given(DelegateWork(**W, delegation_id="D-1", delegate="bot"))
        .given(StartExecution(**W, execution_id="E-1"), hand_in("E-1", DIG), by="bot")
    )


def hand_in(execution: str, dig: str) -> ExecuteWork:
    return ExecuteWork(
        **W, execution_id=execution, result="completed", outputs=(Output(output_id="O-1", dig=dig),)
    )  # fmt: skip


def judge(verdict: Any = "approved", dig: str = DIG, review: str = "E-1-R1", **said: Any) -> ReviewWork:
    return ReviewWork(**W, review_id=review, output_id="O-1", output_dig=dig, verdict=verdict, **said)


def judged(by: str, verdict: Any = "approved", dig: str = DIG, **said: Any) -> WorkReviewed:
    return WorkReviewed(
        review_id="E-1-R1", output_id="O-1", output_dig=dig, verdict=verdict, reviewer=by, policy=CHECK, **said
    )


RELEASE: Final = ReleaseOutput(**W, output_id="O-1", to="customer")
EDIT: Final = judge("edited", new_output=Output(output_id="O-1", dig=NEW))


def test_an_output_goes_out_when_it_is_approved_and_not_before() -> None:
    story = in_review()
    story.when(RELEASE).refused_only("control-bypassed")
    story.when(judge(), by="ben").then(WorkReviewed)
    story.when(RELEASE).then(OutputReleased(output_id="O-1", output_dig=DIG, to="customer"))


def test_an_agent_releases_only_what_it_is_entrusted_with() -> None:
    story = in_review().given(judge(), by="ben")
    story.when(RELEASE, by="scout").refused_only("undelegated-execution")
    story.when(RELEASE, by="bot").then(OutputReleased)


def test_where_the_policy_says_who_is_asked_nobody_else_judges() -> None:
    dora = RegisterParticipant(participant_id="dora", kind="human", display_name="Dora")
    story = in_review(candidates=("ben",)).given(dora)
    story.when(judge(), by="dora").refused_only("reviewer-excluded")
    story.fact(judged("dora")).finds_only("reviewer-excluded")
    in_review(candidates=("ben",)).when(judge(), by="ben").then(WorkReviewed)
    # Who owns the process may step in.
    in_review(candidates=("ben",)).when(judge(), by="carla").then(WorkReviewed)


def test_as_many_as_the_policy_wants_have_to_approve() -> None:
    story = in_review(reviewers_required=2).given(judge(), by="ben")
    story.when(RELEASE).refused_only("control-bypassed")
    story.when(judge("rejected"), by="ben").refused_only("review-open")
    story.given(judge(), by="carla")
    story.when(RELEASE).then(OutputReleased)


def test_what_is_sent_back_comes_again_as_other_bytes_that_want_a_review_of_their_own() -> None:
    story = in_review().given(judge("changes_requested"), by="ben")
    story.when(RELEASE).refused_only("control-bypassed")
    story.given(StartExecution(**W, execution_id="E-2"), hand_in("E-2", NEW), by="bot")
    story.when(judge(), by="ben").refused("review-digest", "review-open")
    story.given(judge(dig=NEW, review="E-2-R1"), by="ben")
    story.when(RELEASE).then(OutputReleased(output_id="O-1", output_dig=NEW, to="customer"))


def test_approved_bytes_that_have_changed_since_do_not_go_out() -> None:
    story = in_review().given(judge(), by="ben")
    story.given(OutputProduced(output=Output(output_id="O-1", dig=NEW)))
    story.when(RELEASE).refused_only("control-bypassed")
    story.fact(OutputReleased(output_id="O-1", output_dig=DIG)).finds_only("control-bypassed")


def test_the_last_word_on_the_same_bytes_counts() -> None:
    story = in_review().given(judge(), by="ben")
    story.given(RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=DIG))
    story.when(RELEASE).refused_only("control-bypassed")
    story.given(judge("rejected", review="R-2"), by="carla")
    story.when(RELEASE).refused_only("control-bypassed")


def test_an_edit_is_approved_as_edited_and_never_by_who_made_it() -> None:
    story = in_review(reviewers_required=2, exclude_executor=False).given(EDIT, by="ben")
    assert story.state().outputs["O-1"].output.dig == NEW
    story.when(judge(dig=NEW), by="bot").refused("self-review")
    story.when(judge(dig=NEW), by="ben").refused("self-review")
    story.when(judge(), by="carla").refused("review-digest")
    story.given(judge(dig=NEW), by="carla")
    story.when(RELEASE).then(OutputReleased(output_id="O-1", output_dig=NEW, to="customer"))


@pytest.mark.parametrize(
    "verdict",
    [
        judge("edited"),
        judge("approved", new_output=Output(output_id="O-1", dig=NEW)),
        judge("edited", new_output=Output(output_id="O-2", dig=NEW)),
    ],
)
def test_only_an_edit_says_what_the_output_is_now(verdict: ReviewWork) -> None:
    in_review().when(verdict, by="ben").refused_only("review-digest")


@pytest.mark.parametrize("by", ["carla", "root"])
def test_a_review_is_waived_by_who_has_the_authority(by: str) -> None:
    story = in_review().granted("root", "admin")
    story.when(judge("waived"), by=by).then(WorkReviewed)
    story.when(RELEASE).then(OutputReleased)


@pytest.mark.parametrize("by", ["ana", "ben"])
def test_a_review_is_waived_by_nobody_else(by: str) -> None:
    in_review().when(judge("waived"), by=by).refused_only("control-bypassed")


def test_a_waiver_stays_good_when_the_process_has_another_owner() -> None:
    story = in_review().given(judge("waived"), by="carla")
    story.given(PublishProcess(process_id="refunds", owner="ben", review_policy="check"))
    story.when(RELEASE).then(OutputReleased)


@pytest.mark.parametrize(
    "verdict, rule",
    [
        (judged("bot"), "self-review"),
        (judged("scout"), "reviewer-human"),
        (judged("ben", dig=NEW), "review-digest"),
        (judged("ben", "waived"), "control-bypassed"),
    ],
)
def test_a_reported_verdict_that_broke_a_rule_is_on_the_log_and_lets_nothing_out(
    verdict: WorkReviewed, rule: str
) -> None:
    story = in_review()
    story.fact(verdict).finds(rule)
    assert story.state().life.state == "submitted"
    story.when(RELEASE).refused_only("control-bypassed")
    # The way out is a review by somebody who may.
    story.given(
        RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=DIG, candidates=("carla",), excluded=())
    )
    if story.state().reviews["E-1-R1"].status == "open":
        story.when(RELEASE).refused_only("control-bypassed")
        story.given(judge(), by="carla")
    story.given(judge(review="R-2"), by="carla")
    story.when(RELEASE).then(OutputReleased)


def test_an_agent_gives_verdicts_where_the_policy_allows_it() -> None:
    story = in_review(human_required=False).given(judge(), by="scout")
    story.when(RELEASE).then(OutputReleased)


def test_work_is_not_completed_with_results_that_nobody_reviewed() -> None:
    story = in_review().given(ReviewWithdrawn(review_id="E-1-R1", output_id="O-1", output_dig=DIG))
    story.when(SubmitWork(**W)).then_nothing()
    story.given(VerifyWork(**W))
    story.when(CompleteWork(**W)).refused_only("control-bypassed")
    story.when(WithdrawOutput(**W, output_id="O-1")).then(OutputWithdrawn)
    story.when(CompleteWork(**W)).then(WorkCompleted)


def test_an_invalidated_review_is_no_approval() -> None:
    story = in_review().given(judge(), by="ben")
    story.given(ReviewInvalidated(review_id="E-1-R1", output_id="O-1", output_dig=DIG, cause=NEW))
    story.when(RELEASE).refused_only("control-bypassed")


def test_without_a_policy_an_output_goes_out_unless_a_review_was_asked_for() -> None:
    def handed_in() -> Story:
        return Story().given(
            DefineWork(**W, title="Refund", accountable="ana"), StartExecution(**W, execution_id="E-1"),
            hand_in("E-1", DIG),
        )  # fmt: skip

    handed_in().when(RELEASE).then(OutputReleased)
    request = RequestReview(**W, review_id="R-1", output_id="O-1", output_dig=DIG)
    story = handed_in()
    story.when(request).then(ReviewRequested)
    story.when(RELEASE).refused_only("control-bypassed")
    story.given(ReviewWithdrawn(review_id="R-1", output_id="O-1", output_dig=DIG))
    story.when(RELEASE).then(OutputReleased)


@pytest.mark.parametrize("command", [RELEASE, WithdrawOutput(**W, output_id="O-1")], ids=["release", "withdraw"])
def test_what_is_not_there_is_neither_released_nor_withdrawn(command: Any) -> None:
    Story().given(DefineWork(**W, title="x", accountable="ana")).when(command).refused_only("control-bypassed")


def test_a_review_is_of_bytes_that_are_there() -> None:
    in_review().when(RequestReview(**W, output_id="O-1", output_dig=NEW)).refused_only("review-digest")
