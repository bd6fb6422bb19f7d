"""Review: whose verdict counts, on which bytes; and what goes out, and what does not."""

from datetime import timedelta
from typing import Any, Final

import pytest

from attorn.contracts.delegation import DelegateWork
from attorn.contracts.execution import ExecuteWork, StartExecution, WorkExecuted
from attorn.contracts.ids import Pinned
from attorn.contracts.output import (
    Output,
    OutputProduced,
    OutputReleased,
    OutputWithdrawn,
    ReleaseOutput,
    WithdrawOutput,
)
from attorn.contracts.participant import (
    AddTeamMember,
    Capacity,
    DeactivateParticipant,
    ParticipantRegistered,
    RegisterParticipant,
    RoleRevoked,
    SuspendParticipant,
)
from attorn.contracts.policy import AuthorityRules, PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import PublishProcess
from attorn.contracts.review import (
    ClaimReview,
    RequestReview,
    ReviewClaimed,
    ReviewExpired,
    ReviewInvalidated,
    ReviewRequested,
    ReviewSkipped,
    ReviewUnclaimed,
    ReviewWithdrawn,
    ReviewWork,
    Sampling,
    UnclaimReview,
    WithdrawReview,
    WorkReviewed,
    draw,
)
from attorn.contracts.work import (
    CancelWork,
    CompleteWork,
    DefineWork,
    ReopenWork,
    SubmitWork,
    VerifyWork,
    WorkCompleted,
)
from attorn.services.rulebook import RULES
from sample_story import Told
from story import Story

W: Final = {"work_id": "W-1"}
DIG: Final = "sha256:" + "a" * 64
NEW: Final = "sha256:" + "b" * 64
CHECK: Final = Pinned(id="check", version=1)
OTHERS: Final = ("dan", "dora", "eve")


def in_review(**rules: Any) -> Story:
    """bot made O-1, which waits in the review E-1-R1; Carla owns the process."""
    policy = PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules(**rules)))
    return (
        Story()
        .given(policy, PublishProcess(process_id="refunds", owner="carla", review_policy="check"))
        .given(DefineWork(**W, title="Refund", accountable="ana", process="refunds"))
        .given(DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act"))
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
WAIVE: Final = judge("waived", authority="agreed in writing")
CLAIM: Final = ClaimReview(**W, review_id="E-1-R1")
UNCLAIM: Final = UnclaimReview(**W, review_id="E-1-R1")
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


class TestATeam:
    """Candidates that are a team, or a role: its members are asked, and nobody else; and never anybody."""

    def story(self, *members: str, **rules: Any) -> Story:
        """crew is made of `members`, dora is in no team, and bot made O-1; W-1 is ana's, and carla's process."""
        people = [RegisterParticipant(participant_id=id, kind="human", display_name=id.title()) for id in OTHERS]
        people += [RegisterParticipant(participant_id="night", kind="team", display_name="Night")]
        made = [AddTeamMember(team_id="crew", member=id) for id in members]
        policy = PublishPolicy(
            policy_id="check", kind="review",
            rules=PolicyRules(review=ReviewRules(**{"candidates": ("crew",)} | rules)),
        )  # fmt: skip
        return Story().given(
            *people, *made, policy, PublishProcess(process_id="refunds", owner="carla", review_policy="check"),
            DefineWork(**W, title="Refund", accountable="ana", process="refunds"),
        )  # fmt: skip

    def handed_in(self, story: Story, by: str = "bot") -> ReviewRequested:
        if by == "bot":
            story.given(DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act"))
        story.given(StartExecution(**W, execution_id="E-1", executor=by), hand_in("E-1", DIG), by=by)
        request: ReviewRequested = story.state().reviews["E-1-R1"].request
        return request

    def test_its_members_are_asked_and_who_is_none_of_them_is_refused(self) -> None:
        story = self.story("ben", "dan", "bot")
        assert self.handed_in(story).candidates == ("ben", "dan")
        story.when(judge(), by="dora").refused_only("reviewer-excluded")
        story.when(CLAIM, by="dora").refused_only("reviewer-excluded")
        story.fact(judged("dora")).finds_only("reviewer-excluded")
        self.handed_in(story := self.story("ben", "dan"))
        story.when(judge(), by="dan").then(WorkReviewed)

    def test_a_team_of_teams_without_who_left_and_without_who_made_it(self) -> None:
        story = self.story("ben", "night", "dora")
        story.given(AddTeamMember(team_id="night", member="dan"), AddTeamMember(team_id="night", member="eve"))
        story.given(DeactivateParticipant(participant_id="dora", reason="moved", successor="ana"))
        assert self.handed_in(story, by="ben").candidates == ("dan", "eve")

    def test_where_too_few_of_those_who_are_named_are_left_who_has_authority_is_asked_as_well(self) -> None:
        story = self.story("ben")
        assert self.handed_in(story, by="ben").candidates == ("ana",)
        story.when(judge(), by="dora").refused_only("reviewer-excluded")
        story = self.story("ben", "dan", reviewers_required=2)
        assert self.handed_in(story, by="ben").candidates == ("dan", "ana")
        story = self.story("ben", excluded=("ana", "carla", "root"))
        assert self.handed_in(story, by="ben").candidates == ("ana", "carla", "root")
        story.when(judge(), by="ana").refused_only("reviewer-excluded")
        story.when(WAIVE, by="carla").then(WorkReviewed)

    def test_who_is_suspended_is_asked_only_where_nobody_else_is(self) -> None:
        story = self.story("ben", "dan").given(SuspendParticipant(participant_id="ben"))
        assert self.handed_in(story).candidates == ("dan",)

    def test_a_request_that_names_nobody_asks_those_whom_the_policy_names(self) -> None:
        story = self.story("ben", "dan")
        self.handed_in(story)
        story.fact(ReviewRequested(review_id="R-2", output_id="O-1", output_dig=DIG, policy=CHECK)).finds_nothing()
        story.when(judge(review="R-2"), by="dora").refused_only("reviewer-excluded")
        story.when(judge(review="R-2"), by="dan").then(WorkReviewed)

    def test_a_request_asks_nobody_whom_the_policy_does_not(self) -> None:
        story = self.story("ben", "dan")
        self.handed_in(story)
        ask = {"review_id": "R-2", "output_id": "O-1", "output_dig": DIG}
        story.when(RequestReview(**W, **ask, candidates=("dora",)), by="bot").refused_only("review-policy")
        story.when(RequestReview(**W, **ask, candidates=("dan",)), by="bot").then(ReviewRequested)
        told = ReviewRequested(**ask | {"review_id": "R-3"}, policy=CHECK, candidates=("dora",))
        story.fact(told).finds_only("review-policy")
        told = ReviewRequested(**ask | {"review_id": "R-4"}, policy=CHECK, candidates=("crew",))
        story.fact(told).finds_nothing().when(judge(review="R-4"), by="dan").then(WorkReviewed)

    def test_its_members_have_it_in_their_inboxes(self) -> None:
        story = self.story("ben", "dan")
        self.handed_in(story)
        story.fact(ReviewRequested(review_id="R-2", output_id="O-1", output_dig=DIG, candidates=("crew",)))
        told = Told(story.log(), RULES, 1_000)
        for who, waiting in (("ben", {"E-1-R1", "R-2"}), ("dan", {"E-1-R1", "R-2"}), ("dora", set()), ("ana", set())):
            assert {each.id for each in told.ask("inbox", who=who, kind="review").waiting} == waiting


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
    story.when(WAIVE, by=by).then(WorkReviewed)
    story.when(RELEASE).then(OutputReleased)


@pytest.mark.parametrize("by", ["ana", "ben"])
def test_a_review_is_waived_by_nobody_else(by: str) -> None:
    in_review().when(WAIVE, by=by).refused_only("control-bypassed")


def test_a_policy_names_others_who_may_waive() -> None:
    rules = PolicyRules(authority=AuthorityRules(may_waive_review=("ben", "auditor")))
    may = PublishPolicy(policy_id="may", kind="authority", rules=rules)
    in_review().given(may).when(WAIVE, by="ben").then(WorkReviewed)
    story = in_review().given(may).granted("ana", "auditor")
    story.when(WAIVE, by="ana").then(WorkReviewed)
    # What was waived by right stays so.
    story.fact(RoleRevoked(role="auditor"), on="participant/ana")
    story.when(RELEASE).then(OutputReleased)


def test_a_waiver_says_on_what_ground() -> None:
    story = in_review()
    story.when(judge("waived", authority=" "), by="carla").refused_only("control-bypassed")
    story.fact(judged("carla", "waived")).finds_only("control-bypassed")


def test_a_waiver_stays_good_when_the_process_has_another_owner() -> None:
    story = in_review().given(WAIVE, by="carla")
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


class TestClaims:
    def test_who_looks_at_an_output_has_it_until_they_leave_it(self) -> None:
        story = in_review()
        story.when(CLAIM, by="ben").then(
            ReviewClaimed(review_id="E-1-R1", output_id="O-1", output_dig=DIG, reviewer="ben")
        )
        story.when(CLAIM, by="ben").then_nothing()
        story.when(CLAIM, by="root").refused_only("review-claimed")
        story.when(UNCLAIM, by="ben").then(ReviewUnclaimed)
        story.when(UNCLAIM, by="ben").then_nothing()
        story.when(CLAIM, by="root").then(ReviewClaimed)

    def test_nobody_else_gives_the_verdict_meanwhile_but_who_has_authority(self) -> None:
        dora = RegisterParticipant(participant_id="dora", kind="human", display_name="Dora")
        story = in_review().given(dora).given(CLAIM, by="ben")
        story.when(judge(), by="dora").refused_only("review-claimed")
        story.fact(judged("dora", "rejected")).finds_only("review-claimed")
        story = in_review().given(CLAIM, by="ben")
        story.when(judge(), by="carla").then(WorkReviewed)

    def test_there_is_room_for_as_many_as_the_policy_wants(self) -> None:
        story = in_review(reviewers_required=2).given(CLAIM, by="ben")
        story.when(CLAIM, by="ana").then(ReviewClaimed)
        story.when(CLAIM, by="root").refused_only("review-claimed")
        story.given(judge(), by="ben")
        story.when(CLAIM, by="root").refused_only("review-claimed")
        story.when(judge(), by="ana").then(WorkReviewed)
        story.when(RELEASE).then(OutputReleased)

    def test_a_claim_lapses_when_it_said_it_would(self) -> None:
        story = in_review()
        story.given(ClaimReview(**W, review_id="E-1-R1", claim_until=story.now + timedelta(hours=1)), by="ben")
        story.when(CLAIM, by="ana").refused_only("review-claimed")
        story.later(hours=2).when(CLAIM, by="ana").then(ReviewClaimed)

    def test_an_expired_claim_is_an_event_of_its_own(self) -> None:
        story = in_review().given(CLAIM, by="ben")
        unclaimed = ReviewUnclaimed(
            review_id="E-1-R1", output_id="O-1", output_dig=DIG, reviewer="ben", cause="expired"
        )
        story.fact(unclaimed).finds_nothing()
        story.when(CLAIM, by="ana").then(ReviewClaimed)

    def test_it_is_taken_away_by_who_has_authority_and_by_nobody_else(self) -> None:
        theirs = UnclaimReview(**W, review_id="E-1-R1", reviewer="ben")
        story = in_review().given(CLAIM, by="ben").granted("root", "admin")
        story.when(theirs, by="bot").refused_only("review-claimed")
        story.when(theirs, by="root").then(ReviewUnclaimed)
        story.fact(ReviewUnclaimed(review_id="E-1-R1", output_id="O-1", output_dig=DIG, reviewer="ben")).finds_only(
            "review-claimed"
        )

    @pytest.mark.parametrize(
        "by, rule",
        [("bot", "self-review"), ("scout", "reviewer-human"), ("ben", "reviewer-excluded")],
    )
    def test_who_may_not_review_may_not_claim(self, by: str, rule: str) -> None:
        story = in_review(excluded=("ben",))
        story.when(CLAIM, by=by).refused(rule)
        claimed = ReviewClaimed(review_id="E-1-R1", output_id="O-1", output_dig=DIG, reviewer=by)
        story.fact(claimed).finds(rule)

    def test_what_is_over_is_not_claimed(self) -> None:
        in_review().given(judge(), by="ben").when(CLAIM, by="ana").refused_only("review-open")
        in_review().when(ClaimReview(**W, review_id="R-9"), by="ben").refused_only("review-open")


class TestMakers:
    def test_who_made_an_earlier_version_does_not_review_the_next(self) -> None:
        story = in_review(exclude_executor=False).given(EDIT, by="ben")
        story.given(RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=NEW))
        story.given(judge("changes_requested", dig=NEW, review="R-2"), by="carla")
        third = "sha256:" + "c" * 64
        story.given(StartExecution(**W, execution_id="E-2"), hand_in("E-2", third), by="bot")
        for maker in ("ben", "bot"):
            story.when(judge(dig=third, review="E-2-R1"), by=maker).refused("self-review")
        story.when(judge(dig=third, review="E-2-R1"), by="carla").then(WorkReviewed)

    def test_who_made_what_an_output_replaces_does_not_review_it(self) -> None:
        story = in_review(exclude_executor=False, human_required=False).given(judge("changes_requested"), by="carla")
        other = Output(output_id="O-2", dig=NEW, supersedes="O-1")
        story.given(DelegateWork(**W, delegation_id="D-2", delegate="scout"))
        story.given(
            StartExecution(**W, execution_id="E-2"),
            ExecuteWork(**W, execution_id="E-2", result="completed", outputs=(other,)),
            by="scout",
        )
        assert story.state().outputs["O-2"].makers == ("bot", "scout")
        verdict = ReviewWork(**W, review_id="E-2-R1", output_id="O-2", output_dig=NEW, verdict="approved")
        story.when(verdict, by="bot").refused("self-review")


class TestInvalidation:
    def test_changing_an_output_after_its_approval_invalidates_that_in_the_same_append(self) -> None:
        story = in_review().given(judge(), by="ben").given(ReopenWork(**W))
        story.given(StartExecution(**W, execution_id="E-2"), by="bot")
        invalidated = ReviewInvalidated(review_id="E-1-R1", output_id="O-1", output_dig=DIG, cause=NEW)
        story.when(hand_in("E-2", NEW), by="bot").then(WorkExecuted, invalidated, ReviewRequested)
        assert story.state().reviews["E-1-R1"].status == "invalidated"
        story.when(RELEASE).refused_only("control-bypassed")
        story.given(judge(dig=NEW, review="E-2-R1"), by="ben")
        story.when(RELEASE).then(OutputReleased(output_id="O-1", output_dig=NEW, to="customer"))

    def test_an_edit_asks_others_again_about_the_new_bytes(self) -> None:
        second = RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=DIG, candidates=("carla",))
        story = in_review().given(second)
        invalidated = ReviewInvalidated(review_id="R-2", output_id="O-1", output_dig=DIG, cause=NEW)
        asked = story.when(EDIT, by="ben", id="edit")
        asked.then(WorkReviewed, invalidated, ReviewRequested)
        again = asked.recorded[-1].data
        assert (again.output_dig, again.candidates) == (NEW, ("carla",))
        story.when(RELEASE).refused_only("control-bypassed")
        story.given(judge(dig=NEW, review=again.review_id), by="carla")
        story.when(RELEASE).then(OutputReleased)

    def test_a_fact_that_changes_an_output_invalidates_by_the_fold_and_the_next_request_says_so(self) -> None:
        story = in_review()
        story.fact(OutputProduced(output=Output(output_id="O-1", dig=NEW))).finds_nothing()
        assert story.state().reviews["E-1-R1"].status == "invalidated"
        story.when(judge(), by="ben").refused("review-open", "review-digest")
        again = RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=NEW)
        story.when(again).then(ReviewInvalidated, ReviewRequested)
        story.given(judge(dig=NEW, review="R-2"), by="ben")
        assert story.state().life.state == "submitted"
        story.when(RELEASE).then(OutputReleased)

    def test_it_names_what_the_output_is_now(self) -> None:
        story = in_review()
        told = ReviewInvalidated(review_id="E-1-R1", output_id="O-1", output_dig=DIG, cause=NEW)
        story.fact(told).finds_only("review-digest")


class TestSampling:
    def story(self, rate: float, **rules: Any) -> Story:
        return in_review(sample_rate=rate, **rules)

    def test_what_is_not_drawn_goes_out_and_the_log_says_why(self) -> None:
        story = self.story(0.0)
        [skipped] = [r.event.data for r in story.log() if isinstance(r.event.data, ReviewSkipped)]
        assert (skipped.output_dig, skipped.policy, skipped.sampling.rate) == (DIG, CHECK, 0)
        assert skipped.sampling.drawn == draw(skipped.sampling.seed, DIG)
        assert story.state().life.state == "submitted"
        story.when(RELEASE).then(OutputReleased)

    def test_whoever_withdraws_what_was_drawn_draws_no_second_time(self) -> None:
        story = self.story(0.0, when='output.id == "O-1"').given(judge("changes_requested"), by="ben")
        story.given(WithdrawOutput(**W, output_id="O-1"))
        other = Output(output_id="O-2", dig=NEW)
        again = ExecuteWork(**W, execution_id="E-2", result="completed", outputs=(other,))
        story.given(StartExecution(**W, execution_id="E-2"), again, by="bot")
        assert [r.request.output_id for r in story.state().reviews.values() if r.status == "open"] == ["O-2"]

    def test_an_auditor_draws_again_and_comes_to_the_same(self) -> None:
        # Two hundred seeds: the share that is looked at is about what the policy says.
        drawn = [draw(f"E-{n}@2026-03-02T09:00:00+00:00", DIG) for n in range(200)]
        assert all(0 <= number < 1 for number in drawn)
        assert 30 <= sum(number < 0.25 for number in drawn) <= 70
        story = self.story(0.999999999)
        [request] = [r.event.data for r in story.log() if isinstance(r.event.data, ReviewRequested)]
        assert request.sampling.drawn == draw(request.sampling.seed, DIG) < request.sampling.rate
        story.when(RELEASE).refused_only("control-bypassed")

    def test_what_the_policy_names_is_looked_at_whatever_the_sample_says(self) -> None:
        assert list(self.story(0.0, when='output.media_type == "text/html"').state().reviews) == []
        for when in ('output.id == "O-1"', 'work.title.startsWith("Ref")', "output.confidence > 0.5"):
            # The last one cannot be told: nobody said how sure they are. Then somebody looks.
            assert list(self.story(0.0, when=when).state().reviews) == ["E-1-R1"]

    def test_a_draw_that_was_reported_spares_nothing_who_reports_it_may_have_tried_seeds(self) -> None:
        story = self.story(0.5)
        story.given(OutputProduced(output=Output(output_id="O-1", dig=NEW)))
        seed = next(seed for seed in map(str, range(100)) if draw(seed, NEW) >= 0.5)
        sampling = Sampling(rate=0.5, drawn=draw(seed, NEW), seed=seed)
        story.fact(ReviewSkipped(output_id="O-1", output_dig=NEW, policy=CHECK, sampling=sampling)).finds_only(
            "review-sampling"
        )
        story.when(RELEASE).refused_only("control-bypassed")

    def test_other_bytes_are_drawn_for_anew(self) -> None:
        story = self.story(0.0)
        story.fact(OutputProduced(output=Output(output_id="O-1", dig=NEW)))
        story.when(RELEASE).refused_only("control-bypassed")

    @pytest.mark.parametrize(
        "sampling",
        [
            Sampling(rate=0.5, drawn=0.9, seed="mine"),
            Sampling(rate=0.5),
            Sampling(rate=0.9, drawn=draw("b", NEW), seed="b"),
        ],
        ids=["not what the seed draws", "no draw", "not the policy's rate"],
    )
    def test_a_draw_that_does_not_come_out_again_is_a_finding_and_spares_nothing(self, sampling: Sampling) -> None:
        story = self.story(0.5)
        story.given(OutputProduced(output=Output(output_id="O-1", dig=NEW)))
        told = ReviewSkipped(output_id="O-1", output_dig=NEW, policy=CHECK, sampling=sampling)
        story.fact(told).finds_only("review-sampling")
        story.when(RELEASE).refused_only("control-bypassed")


class TestCare:
    """rubber-stamp-suspected: consent in less than a quarter of the time that the policy gives a look with care."""

    def test_consent_at_a_glance_is_refused_and_what_was_reported_is_a_finding(self) -> None:
        story = in_review(seconds_min=60)
        story.when(judge(seconds_spent=3), by="ben").refused_only("rubber-stamp-suspected")
        story.fact(judged("ben", seconds_spent=3)).finds_only("rubber-stamp-suspected")

    def test_what_the_log_knows_counts_before_what_is_said(self) -> None:
        story = in_review(seconds_min=60).given(CLAIM, by="ben")
        story.when(judge(seconds_spent=600), by="ben").refused_only("rubber-stamp-suspected")
        story.later(minutes=2).when(judge(), by="ben").then(WorkReviewed)

    def test_to_send_it_back_takes_no_time(self) -> None:
        in_review(seconds_min=60).when(judge("rejected", seconds_spent=1), by="ben").then(WorkReviewed)
        in_review(seconds_min=60).when(judge(seconds_spent=20), by="ben").then(WorkReviewed)


class TestEnds:
    REVIEW: Final = {"review_id": "E-1-R1", "output_id": "O-1", "output_dig": DIG}

    def test_who_asked_for_a_review_or_has_authority_withdraws_it(self) -> None:
        def asked() -> Story:
            story = in_review().given(judge(), by="ben")
            return story.given(RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=DIG), by="ben")

        withdraw = WithdrawReview(**W, review_id="R-2")
        asked().when(withdraw, by="ben").then(ReviewWithdrawn)
        asked().when(withdraw, by="carla").then(ReviewWithdrawn)
        asked().when(withdraw, by="bot").refused_only("review-open")
        story = asked().given(withdraw, by="ben")
        story.when(withdraw, by="ben").then_nothing()
        story.when(RELEASE).then(OutputReleased)

    def test_what_the_policy_asks_for_is_waived_and_not_withdrawn_by_who_hands_in(self) -> None:
        story = in_review()
        story.when(WithdrawReview(**W, review_id="E-1-R1"), by="bot").refused_only("review-open")
        story.given(WithdrawReview(**W, review_id="E-1-R1"), by="carla")
        story.when(RELEASE).refused_only("control-bypassed")

    def test_a_review_that_nobody_gave_is_expired_and_can_still_be_given(self) -> None:
        story = in_review()
        story.fact(ReviewExpired(**self.REVIEW)).finds_nothing()
        assert story.state().reviews["E-1-R1"].status == "expired"
        assert story.state().life.state == "in_review"
        story.when(RELEASE).refused_only("control-bypassed")
        story.when(judge(), by="ben").then(WorkReviewed)
        story.fact(ReviewExpired(**self.REVIEW)).finds_only("review-open")

    def test_a_review_is_asked_for_once(self) -> None:
        story = in_review().given(RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=DIG))
        story.when(RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=DIG)).then_nothing()
        story.when(RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=DIG, candidates=("ben",))).refused(
            "review-open"
        )

    def test_whoever_asks_for_a_review_asks_those_whom_the_policy_names(self) -> None:
        story = in_review(candidates=("ben", "bot"), excluded=("scout",)).given(judge(), by="ben")
        story.given(RequestReview(**W, review_id="R-2", output_id="O-1", output_dig=DIG))
        request = story.state().reviews["R-2"].request
        assert (request.candidates, request.excluded) == (("ben",), ("bot", "scout"))
        story.when(RequestReview(**W, output_id="O-1", output_dig=DIG, candidates=("zed",))).refused_only(
            "unregistered-actor"
        )


class TestLoad:
    """reviewer-overload: whoever has more reviews before them than room waves them through. Found, never refused."""

    def story(self) -> Story:
        dora = ParticipantRegistered(participant_id="dora", kind="human", display_name="Dora", capacity=Capacity(wip=2))
        policy = PublishPolicy(
            policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules(candidates=("dora", "ben")))
        )
        story = Story().given(dora, policy)
        for number in range(1, 5):
            self.hand_in(story, f"W-{number}")
        return story

    def hand_in(self, story: Story, work: str) -> int:
        """The position of the request for a review of what was handed in."""
        w = {"work_id": work}
        story.given(
            DefineWork(**w, title="Refund", accountable="ana", review_policy="check"),
            StartExecution(**w, execution_id="E-1"),
            ExecuteWork(**w, execution_id="E-1", result="completed", outputs=(Output(output_id="O-1", dig=DIG),)),
        )
        return story.log()[-1].position

    def found(self, story: Story) -> list[int]:
        return [position for position, rules in story.findings().items() if "reviewer-overload" in rules]

    def test_the_third_review_for_who_has_room_for_two_is_a_finding_and_so_is_the_fourth(self) -> None:
        story = self.story()
        requests = [r.position for r in story.log() if isinstance(r.event.data, ReviewRequested)]
        assert self.found(story) == requests[2:]

    def test_who_has_given_their_verdicts_has_room_again(self) -> None:
        story = self.story()
        before = self.found(story)
        for number in (1, 2, 3):
            verdict = ReviewWork(
                work_id=f"W-{number}", review_id="E-1-R1", output_id="O-1", output_dig=DIG, verdict="approved"
            )
            story.given(verdict, by="ben" if number < 3 else "dora")
        self.hand_in(story, "W-5")
        assert self.found(story) == before
        story.given(CancelWork(work_id="W-4"), CancelWork(work_id="W-5"))
        self.hand_in(story, "W-6")
        self.hand_in(story, "W-7")
        assert self.found(story) == before
        assert self.hand_in(story, "W-8") in self.found(story)

    def test_nothing_is_found_of_who_said_nothing_of_their_room(self) -> None:
        assert self.found(in_review(candidates=("ben",))) == []
