"""What somebody might try to get round a rule without breaking it: by an id, an order, a repetition, or a number."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.story import BEGIN, Story, at_once

from attorn.contracts import codec, door, subjects
from attorn.contracts.claim import AcquireClaim, ClaimAcquired
from attorn.contracts.delegation import Budget, Condition, DelegateWork
from attorn.contracts.escalation import (
    EscalateWork,
    EscalationContext,
    EscalationNotified,
    ResolveEscalation,
    WorkEscalated,
)
from attorn.contracts.execution import (
    AdaptExecution,
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionInputProvided,
    ExecutionStarted,
    ProvideInput,
    RecordAction,
    RequireInput,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output, ProduceOutput, ReleaseOutput
from attorn.contracts.policy import PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import ProcessPublished
from attorn.contracts.refusal import Receipt, Unreadable
from attorn.contracts.review import (
    RequestReview,
    ReviewRequested,
    ReviewSkipped,
    ReviewWork,
    Sampling,
    draw,
)
from attorn.contracts.work import AcceptanceCriterion, CancelWork, ClarifyWork, DefineWork, FailWork, Scope, WorkDefined
from attorn.services.delegation.occasion import due
from attorn.services.transact import Fact, record

HOUR = timedelta(hours=1)
CENTURIES = timedelta(days=9_999_999)
PAY = ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay", side_effect=True, result="succeeded")


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def output(id: str = "O-1", letter: str = "a", supersedes: str | None = None) -> Output:
    return Output(output_id=id, name="letter", dig=digest(letter), media_type="text/plain", supersedes=supersedes)


def pay(action: str = "A-1") -> RecordAction:
    return RecordAction(
        work_id="W-1", execution_id="E-1", action_id=action, tool="pay", side_effect=True, result="succeeded"
    )


def done(execution: str, *outputs: Output) -> ExecuteWork:
    return ExecuteWork(work_id="W-1", execution_id=execution, result="completed", outputs=outputs)


def defined(rules: ReviewRules | None = None) -> Story:
    """Work that ana answers for, under a review policy where there are `rules`."""
    story = Story()
    if rules is not None:
        story.given(PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=rules)))
    policy = "check" if rules is not None else None
    return story.given(DefineWork(work_id="W-1", title="Refund", accountable="ana", review_policy=policy))


# ---- claims


def late_with_the_claim(story: Story) -> Story:
    """ben works under a claim on the account that carla holds by now."""
    story.given(AcquireClaim(key="account", claim_id="C-1", work_id="W-1", lease=timedelta(minutes=1)), by="ben")
    story.given(StartExecution(work_id="W-1", execution_id="E-1", claim_id="C-1", fence=1), by="ben")
    story.later(minutes=5)
    return story.given(AcquireClaim(key="account", claim_id="C-2", work_id="W-1", lease=HOUR), by="carla")


def test_a_claim_on_something_else_gives_no_effect_back_by_its_id() -> None:
    story = late_with_the_claim(defined())
    story.when(pay(), by="ben").refused("stale-fence")
    story.when(AcquireClaim(key="elsewhere", claim_id="C-1", lease=HOUR), by="ben").refused_only("claim-open")
    stolen = ClaimAcquired(claim_id="C-1", key="elsewhere", holder="ben", fence=1, lease_until=story.now + HOUR)
    story.fact(stolen, on="claim/elsewhere").finds_only("claim-open")
    story.when(pay(), by="ben").refused("stale-fence")


def test_no_fence_leaves_the_others_none_to_follow_with() -> None:
    story = defined()
    last = ClaimAcquired(claim_id="C-9", key="account", holder="ben", fence=2**53 - 1, lease_until=story.now + HOUR)
    story.fact(last, on="claim/account").finds_only("claim-fence")
    story.when(AcquireClaim(key="account", lease=HOUR), by="carla").then(ClaimAcquired)
    assert story.state("claim/account").fence == 1


# ---- times that lead out of the calendar


def test_a_grace_of_centuries_ends_never() -> None:
    story = Story()
    published = ProcessPublished(version=1, owner="ana", purpose="Money back")
    story.fact(published, on="process/refunds")
    story.fact(WorkDefined(title="Refund", accountable="ana", process=Pinned(id="refunds", version=1)))
    later = ProcessPublished(version=2, owner="ana", purpose="Money back", grace=CENTURIES)
    story.fact(later, on="process/refunds")
    story.fact(ExecutionStarted(execution_id="E-1", executor="ben", process_version=1)).finds_nothing()


def test_reviewers_may_have_centuries() -> None:
    story = defined(ReviewRules(reviewers_required=1, respond_within=CENTURIES))
    story.given(StartExecution(work_id="W-1", execution_id="E-1"), by="ben")
    story.when(done("E-1", output()), by="ben").then(WorkExecuted, ReviewRequested)


def test_time_that_is_reported_in_millennia_is_counted_and_breaks_nothing() -> None:
    story = defined().given(
        DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", budget=Budget(elapsed=HOUR))
    )
    for number in range(280):
        id = f"E-{number}"
        story.fact(ExecutionStarted(execution_id=id, executor="bot", delegation_id="D-1"), at=BEGIN.replace(year=2))
        story.fact(WorkExecuted(execution_id=id, result="failed"), at=BEGIN.replace(year=9998))
    assert story.folded("work/W-1").delegations["D-1"].spent.elapsed == timedelta.max


# ---- samples, and who reviews


def test_a_draw_that_a_source_reports_as_ours_spares_nothing() -> None:
    story = defined(ReviewRules(reviewers_required=1, sample_rate=0.5))
    story.fact(ExecutionStarted(execution_id="E-1", executor="ben"))
    story.fact(WorkExecuted(execution_id="E-1", result="completed", outputs=(output(),)))
    seed = next(str(number) for number in range(99) if draw(str(number), digest("a")) >= 0.5)
    skipped = ReviewSkipped(
        output_id="O-1", output_dig=digest("a"), policy=Pinned(id="check", version=1),
        sampling=Sampling(rate=0.5, drawn=draw(seed, digest("a")), seed=seed),
    )  # fmt: skip
    event = codec.event(
        skipped, id="forged", source="/attorn/participant/erp", subject="work/W-1", time=story.now + HOUR
    )
    body = codec.encode(event)
    [reply] = at_once(record(story.streams, [Fact(event=door.fact(body), body=body, source="erp")]))
    assert isinstance(reply, Receipt)
    assert [breach.rule for breach in reply.warnings] == ["review-sampling"]
    story.when(ReleaseOutput(work_id="W-1", output_id="O-1")).refused("control-bypassed")


def test_what_was_picked_out_stays_so_however_often_it_is_handed_in() -> None:
    story = defined(ReviewRules(reviewers_required=1, sample_rate=0.5))
    story.given(*(StartExecution(work_id="W-1", execution_id=f"E-{letter}") for letter in "abcdef"), by="ben")
    story.fact(
        ReviewRequested(review_id="R-1", output_id="O-1", output_dig=digest("a"), policy=Pinned(id="check", version=1))
    )
    for letter in "abcdef":
        story.given(done(f"E-{letter}", output(letter=letter)), by="ben")
    assert story.state().skipped == {}
    assert [review.status for review in story.state().reviews.values()].count("open") == 1


def test_one_hands_in_for_review_while_another_is_still_at_it() -> None:
    story = defined(ReviewRules(reviewers_required=1))
    story.given(StartExecution(work_id="W-1", execution_id="E-1"), by="ben")
    story.given(StartExecution(work_id="W-1", execution_id="E-2"), by="carla")
    story.when(done("E-1", output()), by="ben").then(WorkExecuted, ReviewRequested)
    assert story.state().life.state == "in_progress"
    story.when(done("E-2", output("O-2", "b")), by="carla").then(WorkExecuted, ReviewRequested)
    assert story.state().life.state == "in_review"
    for id, review, letter in (("O-1", "E-1-R1", "a"), ("O-2", "E-2-R1", "b")):
        story.given(
            ReviewWork(work_id="W-1", review_id=review, output_id=id, output_dig=digest(letter), verdict="approved")
        )
    assert story.state().life.state == "submitted"


def test_a_verdict_while_others_are_at_it_is_not_waited_for_again() -> None:
    story = defined(ReviewRules(reviewers_required=1))
    story.given(StartExecution(work_id="W-1", execution_id="E-1"), by="ben")
    story.given(StartExecution(work_id="W-1", execution_id="E-2"), by="carla")
    story.given(done("E-1", output()), by="ben")
    story.given(
        ReviewWork(work_id="W-1", review_id="E-1-R1", output_id="O-1", output_dig=digest("a"), verdict="approved")
    )
    assert story.state().life.state == "in_progress"
    story.given(done("E-2"), by="carla")
    assert story.state().life.state == "submitted"


@pytest.mark.parametrize(
    ("policy", "required"),
    [(Pinned(id="lax", version=1), 2), (None, 2), (Pinned(id="check", version=1), 1)],
    ids=["of another policy", "of none", "by fewer"],
)
def test_a_laxer_review_than_is_pinned_lets_nothing_out(policy: Pinned | None, required: int) -> None:
    story = Story()
    lax = PolicyRules(review=ReviewRules(reviewers_required=1, human_required=False))
    story.given(PublishPolicy(policy_id="lax", kind="review", rules=lax))
    strict = PolicyRules(review=ReviewRules(reviewers_required=2))
    story.given(PublishPolicy(policy_id="check", kind="review", rules=strict))
    story.given(DefineWork(work_id="W-1", title="Refund", accountable="ana", review_policy="check"))
    story.fact(ExecutionStarted(execution_id="E-1", executor="ben"))
    story.fact(WorkExecuted(execution_id="E-1", result="completed", outputs=(output(),)))
    request = ReviewRequested(
        review_id="R-1", output_id="O-1", output_dig=digest("a"), policy=policy, required=required
    )
    story.fact(request).finds_only("review-policy")
    for who in ("ana", "carla")[:required]:
        verdict = ReviewWork(
            work_id="W-1", review_id="R-1", output_id="O-1", output_dig=digest("a"), verdict="approved"
        )
        story.given(verdict, by=who)
    story.when(ReleaseOutput(work_id="W-1", output_id="O-1")).refused("control-bypassed")


def test_nobody_reviews_their_own_bytes_under_another_id() -> None:
    story = defined()
    story.given(StartExecution(work_id="W-1", execution_id="E-1"), by="carla")
    story.given(StartExecution(work_id="W-1", execution_id="E-2"), by="ben")
    story.given(ProduceOutput(work_id="W-1", execution_id="E-1", output=output("O-1", "a")), by="carla")
    story.given(done("E-1"), by="carla")
    story.given(done("E-2", output("O-2", "a")), by="ben")
    story.given(RequestReview(work_id="W-1", output_id="O-2", output_dig=digest("a"), review_id="R-1"))
    verdict = ReviewWork(work_id="W-1", review_id="R-1", output_id="O-2", output_dig=digest("a"), verdict="approved")
    story.when(verdict, by="carla").refused("self-review")


def test_who_made_what_was_replaced_twice_at_once_reviews_nothing_of_it() -> None:
    story = defined()
    story.given(StartExecution(work_id="W-1", execution_id="E-1"), by="carla")
    story.given(StartExecution(work_id="W-1", execution_id="E-2"), by="ben")
    story.given(ProduceOutput(work_id="W-1", execution_id="E-1", output=output("O-1", "a")), by="carla")
    story.given(done("E-1"), by="carla")
    story.given(done("E-2", output("O-2", "b", supersedes="O-1"), output("O-3", "c", supersedes="O-2")), by="ben")
    assert story.state().outputs["O-3"].makers == ("carla", "ben")


# ---- what an agent has to ask before


def test_an_approval_of_the_plan_that_was_is_none_of_the_plan_that_is() -> None:
    story = defined()
    story.given(DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", autonomy="act_with_approval"))
    asked = RequireInput(
        work_id="W-1", execution_id="E-1", request_id="Q-1", from_="ana", kind="approval", question="May I write?"
    )
    changed = AdaptExecution(
        work_id="W-1", execution_id="E-1", before=("write",), after=("pay",), reason="it is quicker"
    )
    story.given(StartExecution(work_id="W-1", execution_id="E-1"), asked, changed, by="bot")
    story.given(ProvideInput(work_id="W-1", request_id="Q-1", response="accept", answer="write"))
    story.when(pay(), by="bot").refused_only("approval-missing")
    story.fact(PAY).finds_only("approval-missing")


def test_what_is_raised_beforehand_and_halts_nothing_stands_for_nothing_that_does() -> None:
    story = defined()
    asks = ("action.tool == 'pay'",)
    story.given(DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", autonomy="act", escalate_when=asks))
    story.given(StartExecution(work_id="W-1", execution_id="E-1"), by="bot")
    [foreseen] = due(story.state(), PAY, story.now)
    harmless = EscalateWork(
        work_id="W-1", escalation_id=foreseen.id, reason="manual", severity="low",
        context=EscalationContext(summary="All is well", question="Is it?"),
    )  # fmt: skip
    story.given(harmless, by="bot")
    story.when(pay(), by="bot").then(ExecutionActionRecorded, WorkEscalated, EscalationNotified)
    assert story.state().life.state == "waiting_input"


def test_what_is_said_of_a_key_where_it_does_not_belong_moves_nobody_who_holds_it() -> None:
    story = defined()
    story.given(AcquireClaim(key="account", claim_id="C-1", work_id="W-1", lease=HOUR), by="ben")
    story.given(StartExecution(work_id="W-1", execution_id="E-1", claim_id="C-1", fence=1), by="ben")
    stray = ClaimAcquired(claim_id="C-7", key="account", holder="carla", fence=77, lease_until=story.now + HOUR)
    story.fact(stray, on="claim/elsewhere").finds_only("claim-open")
    story.when(pay(), by="ben").then(ExecutionActionRecorded)
    story.when(AcquireClaim(key="elsewhere", lease=HOUR), by="ben").then(ClaimAcquired)


def test_nobody_claims_in_the_stream_of_another_key() -> None:
    story = Story()
    digest_of_another = subjects.named("claim", "the account of ben").partition("/")[2]
    story.given(AcquireClaim(key=digest_of_another, lease=HOUR), by="carla")
    story.when(AcquireClaim(key="the account of ben", lease=HOUR), by="ben").then(ClaimAcquired)


# ---- what somebody goes on with whose part is over, or who never had one


@pytest.mark.parametrize(
    "end",
    [
        CancelWork(work_id="W-1", reason="no more"),
        FailWork(work_id="W-1"),
        HandoverAccepted(handover_id="H-1", to="ben"),
    ],
    ids=lambda end: type(end).__name__,
)
def test_no_execution_outlives_the_end_of_its_part_in_the_work(end: msgspec.Struct) -> None:
    story = defined().given(DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", autonomy="act"))
    story.given(StartExecution(work_id="W-1", execution_id="E-1"), by="bot")
    story.given(end)
    story.when(pay(), by="bot").refused_only("execution-unknown")
    story.fact(PAY).finds_only("execution-unknown")
    made = ProduceOutput(work_id="W-1", execution_id="E-1", output=output())
    story.when(made, by="bot").refused_only("execution-unknown")


def test_an_agent_without_a_mandate_makes_nothing_of_what_others_made() -> None:
    story = defined().given(StartExecution(work_id="W-1", execution_id="E-1"), done("E-1", output()), by="ben")
    story.when(ProduceOutput(work_id="W-1", output=output(letter="b")), by="bot").refused_only("undelegated-execution")


@pytest.mark.parametrize(
    "changes",
    [{"scope": {"excluded": []}}, {"acceptance_criteria": []}, {"decision_authority": "bot"}, {"risk_tier": "minimal"}],
    ids=lambda changes: next(iter(changes)),
)
def test_an_agent_does_not_loosen_what_binds_it(changes: dict[str, Any]) -> None:
    criterion = AcceptanceCriterion(id="kind", text="It is kind", check="human")
    story = Story().given(
        DefineWork(
            work_id="W-1", title="Refund", accountable="ana", scope=Scope(excluded=("pay*",)),
            acceptance_criteria=(criterion,), risk_tier="high",
        ),
        DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", autonomy="act"),
    )  # fmt: skip
    clarified = ClarifyWork(work_id="W-1", changes=changes, reason="it is in the way")
    story.when(clarified, by="bot").refused_only("delegation-violated")
    story.given(clarified, by="ana")


def test_somebody_whom_nobody_knows_approves_of_nothing() -> None:
    story = defined()
    story.given(DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", autonomy="act_with_approval"))
    asked = RequireInput(
        work_id="W-1", execution_id="E-1", request_id="Q-1", from_="ghost", kind="approval", question="?"
    )
    story.given(StartExecution(work_id="W-1", execution_id="E-1"), asked, by="bot")
    story.fact(ExecutionInputProvided(request_id="Q-1", response="accept", by="ghost"))
    story.when(pay(), by="bot").refused_only("approval-missing")


def test_what_is_asked_often_has_an_id_each_time() -> None:
    condition = Condition(id="c" * 60, expr="action.tool != 'pay'", on_violation="escalate")
    granted = DelegateWork(
        work_id="W-1", delegation_id="D" * 60, delegate="bot", autonomy="act", conditions=(condition,)
    )
    story = defined().given(granted).given(StartExecution(work_id="W-1", execution_id="E-1"), by="bot")
    for number in range(12):
        story.when(pay(f"A-{number}"), by="bot").then(ExecutionActionRecorded, WorkEscalated, EscalationNotified)
        [raised] = (id for id, known in story.state().escalations.items() if known.is_open)
        story.given(ResolveEscalation(work_id="W-1", escalation_id=raised, outcome="returned"))


def test_work_waits_for_as_many_others_as_can_be_recorded_with_it() -> None:
    story = Story()
    many = tuple(f"X-{number}" for number in range(1_000))
    with pytest.raises(Unreadable, match="depends_on: names more than 999"):
        story.when(DefineWork(work_id="W-1", title="Refund", accountable="ana", depends_on=many))
    story.given(DefineWork(work_id="W-1", title="Refund", accountable="ana", depends_on=many[1:]))
