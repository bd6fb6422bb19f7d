"""Where a rule turns from yes to no: at that very instant, with that very person, for those very bytes."""

from datetime import timedelta

from attorn.contracts.claim import AcquireClaim
from attorn.contracts.delegation import DelegateWork, RevokeDelegation
from attorn.contracts.escalation import AcknowledgeEscalation, AnswerEscalation, EscalateWork, EscalationContext
from attorn.contracts.execution import ExecuteWork, ExecutionStarted, StartExecution
from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output, OutputProduced, ReleaseOutput
from attorn.contracts.participant import DeactivateParticipant, ParticipantDeactivated, RegisterParticipant
from attorn.contracts.policy import PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.review import ReviewWork, WorkReviewed
from attorn.contracts.work import (
    AcceptanceCriterion,
    CompleteWork,
    CriterionVerdict,
    DefineWork,
    ReopenWork,
    SubmitWork,
    VerifyWork,
)
from story import BEGIN, Story

W = {"work_id": "W-1"}
DEFINE = DefineWork(**W, title="Refund", accountable="ana")
DIG, NEW = ("sha256:" + letter * 64 for letter in "ab")
MINUTE = timedelta(minutes=1)


def test_a_delegation_holds_up_to_its_last_instant_and_not_beyond() -> None:
    until = BEGIN + 10 * MINUTE
    story = Story().given(DEFINE, DelegateWork(**W, delegation_id="D-1", delegate="bot", valid_until=until))

    story.fact(ExecutionStarted(execution_id="E-1", executor="bot"), at=until).finds_nothing()
    after = until + timedelta(microseconds=1)
    story.fact(ExecutionStarted(execution_id="E-2", executor="bot"), at=after).finds("undelegated-execution")


def test_a_lease_is_over_at_the_instant_at_which_it_ends() -> None:
    story = Story().given(AcquireClaim(key="order-1", lease=MINUTE), by="bot")

    story.later(seconds=58).when(AcquireClaim(key="order-1"), by="scout").refused_only("claim-held")
    # The clock of a story goes on by a second with each command: this one comes when the minute is over.
    assert story.when(AcquireClaim(key="order-1"), by="scout").receipt is not None


def test_with_a_delegation_those_that_descend_from_it_are_revoked_by_the_same_event() -> None:
    story = Story().given(DEFINE)
    story.given(DelegateWork(**W, delegation_id="D-1", delegate="bot", may_subdelegate=True, max_depth=1))
    story.given(DelegateWork(**W, delegation_id="D-2", delegate="scout", parent_id="D-1"), by="bot")

    story.given(RevokeDelegation(**W, delegation_id="D-1"))
    assert [held.status for held in story.state().delegations.values()] == ["revoked", "revoked"]


def test_a_blocking_escalation_that_somebody_has_taken_up_is_open_still() -> None:
    story = Story().given(DEFINE, StartExecution(**W, execution_id="E-1"))
    story.given(SubmitWork(**W), VerifyWork(**W))
    why = EscalationContext(summary="Paid twice", question="Take it back?")
    story.given(EscalateWork(**W, escalation_id="X-1", reason="exception", context=why, blocking=True))
    story.given(AcknowledgeEscalation(**W, escalation_id="X-1"))

    story.when(CompleteWork(**W)).refused_only("criteria-open")


def reviewed_by_agents(required: int) -> Story:
    """ben has made O-1, which waits in E-1-R1; agents may review."""
    rules = ReviewRules(reviewers_required=required, human_required=False)
    made = Output(output_id="O-1", dig=DIG)
    return Story().given(
        PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=rules)),
        DefineWork(**W, title="Refund", accountable="ana", review_policy="check"),
        StartExecution(**W, execution_id="E-1", executor="ben"),
        ExecuteWork(**W, execution_id="E-1", result="completed", outputs=(made,)),
    )


def test_who_consents_twice_is_one_who_consents() -> None:
    story, verdict = reviewed_by_agents(2), {"review_id": "E-1-R1", "output_id": "O-1", "output_dig": DIG}
    consent = WorkReviewed(**verdict, verdict="approved", reviewer="bot", policy=Pinned(id="check", version=1))
    story.fact(consent).finds_nothing()
    story.fact(consent, source="crm").finds("review-open")

    assert story.state().reviews["E-1-R1"].status == "open"
    story.when(ReleaseOutput(**W, output_id="O-1")).refused_only("control-bypassed")


def test_what_was_consented_to_is_these_bytes_only() -> None:
    story, verdict = reviewed_by_agents(1), {"review_id": "E-1-R1", "output_id": "O-1", "output_dig": DIG}
    story.given(ReviewWork(**W, **verdict, verdict="approved"), by="bot")
    story.fact(OutputProduced(output=Output(output_id="O-1", dig=NEW)))

    story.when(ReleaseOutput(**W, output_id="O-1")).refused_only("control-bypassed")


def test_who_made_what_was_replaced_does_not_review_what_replaces_it() -> None:
    story = reviewed_by_agents(1).given(RegisterParticipant(participant_id="dora", kind="human", display_name="Dora"))
    story.given(DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act"))
    story.fact(ExecutionStarted(execution_id="E-2", executor="bot"))
    story.fact(OutputProduced(output=Output(output_id="O-2", dig=NEW, supersedes="O-1"), execution_id="E-2"))

    verdict = WorkReviewed(review_id="R-9", output_id="O-2", output_dig=NEW, verdict="approved", reviewer="ben")
    story.fact(verdict).finds("self-review")


def test_reopened_work_wants_its_verdicts_once_more() -> None:
    content = AcceptanceCriterion(id="content", text="The customer is content")
    passed = VerifyWork(**W, criteria=(CriterionVerdict(id="content", result="passed"),))
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana", acceptance_criteria=(content,)))
    story.given(StartExecution(**W, execution_id="E-1"), SubmitWork(**W), passed, CompleteWork(**W), ReopenWork(**W))
    story.given(StartExecution(**W, execution_id="E-2"), SubmitWork(**W))

    story.when(VerifyWork(**W)).refused_only("criteria-open")


def test_the_first_word_about_who_succeeds_stands() -> None:
    story = Story().given(DEFINE).given(DeactivateParticipant(participant_id="ana", successor="ben"), by="root")
    story.fact(ParticipantDeactivated(successor="carla"), on="participant/ana").finds("registered-once")

    assert story.answers() == "ben"


def test_an_escalation_that_is_answered_goes_on_by_itself_until_it_is_settled() -> None:
    why = EscalationContext(summary="Paid twice", question="Take it back?")
    story = Story().given(DEFINE, EscalateWork(**W, escalation_id="X-1", reason="exception", context=why))
    story.given(AnswerEscalation(**W, escalation_id="X-1", decision="Take it back"))

    known = story.state().escalations["X-1"]
    assert known.is_open and known.next_rung_at > story.now
