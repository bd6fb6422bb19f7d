"""Claims: one holder at a time on a key, for as long as the lease lasts, under a fence that only grows."""

from datetime import timedelta
from typing import Any, Final

import pytest

from attorn.contracts import subjects
from attorn.contracts.claim import (
    AcquireClaim,
    ClaimAcquired,
    ClaimExpired,
    ClaimReleased,
    ClaimRenewed,
    ClaimRevoked,
    ReleaseClaim,
    RenewClaim,
    RevokeClaim,
)
from attorn.contracts.delegation import DelegateWork
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionStarted,
    RecordAction,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.output import Output, OutputProduced
from attorn.contracts.participant import SuspendParticipant
from attorn.contracts.process import PublishProcess
from attorn.contracts.work import DefineWork, FailWork, ReopenWork, WorkAssigned
from attorn.projections import holding
from attorn.projections.relations import Claim
from story import BEGIN, Story

W: Final = {"work_id": "W-1"}
HOUR: Final = timedelta(hours=1)
ARGS: Final = "sha256:" + "a" * 64
KEY: Final = "order/7"
STREAM: Final = subjects.named("claim", KEY)
CLAIM: Final = AcquireClaim(key=KEY, claim_id="C-1", lease=HOUR)


def claimed(by: str = "bot") -> Story:
    return Story().given(CLAIM, by=by)


def test_a_key_stands_under_its_own_name_or_under_its_digest() -> None:
    assert subjects.named("claim", "order-7") == "claim/order-7"
    assert subjects.named("claim", KEY) == STREAM
    assert len(STREAM) == len("claim/") + 52
    assert subjects.named("claim", "x" * 500) != subjects.named("claim", "x" * 501)


def test_who_comes_second_is_told_who_holds_it_and_until_when() -> None:
    story = claimed()
    until = story.state(STREAM).held.lease_until
    [breach] = story.when(AcquireClaim(key=KEY), by="scout").breaches
    assert (breach.rule, breach.held_by, breach.until) == ("claim-held", "bot", until)
    assert "bot holds order/7 until" in breach.detail


def test_a_lease_that_is_over_frees_the_key_and_the_fence_grows() -> None:
    story = claimed().later(hours=1)
    story.when(AcquireClaim(key=KEY, claim_id="C-2"), by="scout").then(ClaimExpired(claim_id="C-1"), ClaimAcquired)
    held = story.state(STREAM).held
    assert (held.fence, held.holder) == (2, "scout")


@pytest.mark.parametrize(("command", "by"), [(ReleaseClaim(key=KEY, claim_id="C-1"), "bot"),
                                             (RevokeClaim(key=KEY, claim_id="C-1"), "ana")])  # fmt: skip
def test_what_is_let_go_of_is_free_at_once_and_the_fence_still_grows(command: Any, by: str) -> None:
    story = claimed().given(command, by=by)
    [acquired] = story.when(AcquireClaim(key=KEY), by="scout").recorded
    assert acquired.data.fence == 2


def test_a_holder_keeps_it_by_renewing_in_time() -> None:
    story = claimed().later(minutes=50)
    story.when(RenewClaim(key=KEY, claim_id="C-1", lease=HOUR), by="bot").then(ClaimRenewed)
    story.later(minutes=50).when(AcquireClaim(key=KEY), by="scout").refused_only("claim-held")
    story.later(minutes=50).when(RenewClaim(key=KEY, claim_id="C-1"), by="bot").refused_only("claim-open")


def test_only_the_holder_keeps_it_or_lets_go_and_only_with_authority_is_it_taken_away() -> None:
    story = claimed()
    story.when(RenewClaim(key=KEY, claim_id="C-1"), by="scout").refused_only("claim-open")
    story.when(ReleaseClaim(key=KEY, claim_id="C-1"), by="scout").refused_only("claim-open")
    story.when(RevokeClaim(key=KEY, claim_id="C-1"), by="ben").refused_only("claim-open")
    story.when(RevokeClaim(key=KEY, claim_id="C-1"), by="scout").refused_only("claim-open")
    story.when(RevokeClaim(key=KEY, claim_id="C-1"), by="ana").then(ClaimRevoked)  # the sponsor of bot
    story.when(ReleaseClaim(key=KEY, claim_id="C-9"), by="bot").refused_only("claim-open")


def test_an_agent_claims_for_itself_only_and_a_person_for_who_is_here() -> None:
    Story().when(AcquireClaim(key=KEY, holder="scout"), by="bot").refused_only("claim-open")
    Story().when(AcquireClaim(key=KEY, holder="zed")).refused_only("unregistered-actor")
    Story().when(AcquireClaim(key=KEY, holder="bot")).then(ClaimAcquired)


def test_who_is_suspended_claims_nothing() -> None:
    story = Story().given(SuspendParticipant(participant_id="bot"))
    story.when(CLAIM, by="bot").refused("actor-suspended")


def test_a_lease_is_longer_than_nothing_and_ends() -> None:
    Story().when(AcquireClaim(key=KEY, lease=timedelta())).refused_only("claim-open")
    Story().when(AcquireClaim(key=KEY, lease=timedelta.max)).refused_only("claim-open")
    claimed().fact(ClaimRenewed(claim_id="C-1", lease_until=Story().now), on=STREAM).finds_only("claim-open")


@pytest.mark.parametrize(
    ("fact", "rule"),
    [
        (ClaimAcquired(claim_id="C-2", key=KEY, holder="scout", fence=2), "claim-held"),
        (ClaimAcquired(claim_id="C-2", key=KEY, holder="scout", fence=1), "claim-fence"),
        (ClaimExpired(claim_id="C-1"), "claim-open"),
        (ClaimReleased(claim_id="C-1", by="scout"), "claim-open"),
        (ClaimRevoked(claim_id="C-1", by="scout"), "claim-open"),
    ],
)
def test_what_is_reported_against_the_rules_is_a_finding(fact: Any, rule: str) -> None:
    claimed().fact(fact, on=STREAM).finds(rule)


# ---- what is reported late


@pytest.mark.parametrize(
    "fact",
    [
        ClaimReleased(claim_id="C-1", by="bot"),
        ClaimExpired(claim_id="C-1"),
        ClaimRevoked(claim_id="C-1", by="ana"),
        ClaimRenewed(claim_id="C-1", lease_until=BEGIN + 9 * HOUR),
        ClaimAcquired(claim_id="C-1", key=KEY, holder="bot", fence=1, lease_until=BEGIN + 9 * HOUR),
        ClaimAcquired(claim_id="C-3", key=KEY, holder="bot", fence=2, lease_until=BEGIN + 9 * HOUR),
    ],
    ids=lambda fact: fact.type,
)
def test_who_is_fenced_off_moves_the_claim_of_the_next_by_no_report(fact: Any) -> None:
    story = overtaken()
    before, [held], shown = story.state(STREAM), claims(story), holder(story)
    story.fact(fact, on=STREAM).finds("claim-fence" if isinstance(fact, ClaimAcquired) else "claim-open")
    assert (story.state(STREAM), claims(story), holder(story)) == (before, [held], shown) and held.claim_id == "C-2"
    # Nor does what is done under it have an effect again.
    story.when(RecordAction(**W, execution_id="E-1", tool="pay"), by="bot").refused("stale-fence")
    late = ExecutionStarted(execution_id="E-3", executor="bot", claim_id=fact.claim_id, fence=2)
    story.fact(late).finds("stale-fence")


def test_a_claim_is_let_go_of_where_its_key_is_and_nowhere_else() -> None:
    story = claimed()
    story.fact(ClaimReleased(claim_id="C-1", by="bot"), on="claim/elsewhere").finds("claim-open")
    [held] = claims(story)
    assert held.claim_id == "C-1" and story.state(STREAM).held is not None


def test_of_what_is_over_only_digests_are_kept_and_no_fence_goes_back() -> None:
    story = claimed()
    for number in range(2, 6):
        story.given(ReleaseClaim(key=KEY, claim_id=f"C-{number - 1}"), by="bot")
        story.given(AcquireClaim(key=KEY, claim_id=f"C-{number}"), by="bot")
    story.given(ReleaseClaim(key=KEY, claim_id="C-5"), by="bot")
    relations = story.people().relations
    assert (relations.claims, relations.holding) == ({}, {}) and [*relations.fences.values()] == [5]
    assert len(relations.past) == 5 and all(relations.is_past(f"C-{number}") for number in range(1, 6))

    # An old claim that is told of once more, when nobody holds the key, is none, under whatever id.
    for id, fence in (("C-1", 1), ("C-9", 3), ("C-5", 6)):
        again = ClaimAcquired(claim_id=id, key=KEY, holder="bot", fence=fence, lease_until=BEGIN + 9 * HOUR)
        story.fact(again, on=STREAM).finds("claim-open" if fence == 6 else "claim-fence")
        assert claims(story) == [] and story.people().relations.stale(id, fence) is not None
    acquired = story.later(hours=10).when(AcquireClaim(key=KEY, claim_id="C-6"), by="scout").recorded[-1]
    assert acquired.data.fence == 7


def test_the_id_of_a_claim_that_is_over_is_no_claim_again() -> None:
    story = claimed().given(ReleaseClaim(key=KEY, claim_id="C-1"), by="bot")
    for key in (KEY, "elsewhere"):
        story.when(AcquireClaim(key=key, claim_id="C-1"), by="scout").refused_only("claim-open")
        again = ClaimAcquired(claim_id="C-1", key=key, holder="scout", fence=7, lease_until=BEGIN + HOUR)
        story.fact(again, on=subjects.named("claim", key)).finds("claim-open")
    assert claims(story) == []


def told(number: int, key: str = KEY, id: str | None = None) -> ClaimAcquired:
    return ClaimAcquired(claim_id=id or f"C-{number}", key=key, holder="scout", fence=number, lease_until=BEGIN + HOUR)


@pytest.mark.parametrize(
    ("facts", "holds"),
    [
        ((told(2), ClaimReleased(claim_id="C-2"), told(1, id="C-0")), None),
        ((told(2**52 + 1),), "C-1"),
        ((told(9, key="elsewhere"),), "C-1"),
        ((told(2), told(3, id="C-1")), None),
        ((told(2), told(3, id="C-1"), told(4)), "C-4"),
        ((told(2, id="C-1"),), "C-1"),
        ((told(2, id="C-1"), ClaimRenewed(claim_id="C-1", lease_until=BEGIN + 2 * HOUR), told(3)), "C-3"),
        ((ClaimReleased(claim_id="C-1"), WorkAssigned(executor="scout"), told(1, id="C-7")), None),
    ],
)
def test_rules_relations_and_view_agree_on_who_holds_a_key_whatever_is_told(facts: Any, holds: str | None) -> None:
    story = claimed()
    for fact in facts:
        story.fact(fact, on=STREAM)
    state, row, by_key = story.state(STREAM), holder(story), story.people().relations.holding
    assert (state.held and state.held.claim_id, row.claim_id, by_key.get(KEY)) == (holds, holds, holds)
    assert (row.fence, row.over) == (state.fence, state.over)
    if holds is not None:
        assert (row.holder, row.lease_until) == (state.held.holder, state.held.lease_until)
    # Whoever asks is answered by the same: it is somebody's, or free.
    asked = story.when(AcquireClaim(key=KEY), by="bot" if holds != "C-1" else "ben")
    asked.then(ClaimAcquired) if holds is None else asked.refused_only("claim-held")


def test_who_is_suspended_in_a_process_claims_nothing_for_its_work() -> None:
    story = Story().given(
        PublishProcess(process_id="refunds", owner="ana"),
        DefineWork(**W, title="Refund", accountable="ana", process="refunds"),
        DefineWork(work_id="W-2", title="Other", accountable="ana"),
        SuspendParticipant(participant_id="bot", scope="process/refunds"),
    )
    for by, holder in (("bot", "bot"), ("ana", "bot")):
        story.when(AcquireClaim(key=KEY, holder=holder, work_id="W-1"), by=by).refused_only("actor-suspended")
    told = ClaimAcquired(claim_id="C-1", key=KEY, holder="bot", fence=1, work_id="W-1", lease_until=BEGIN + 9 * HOUR)
    story.fact(told, on=STREAM).finds_only("actor-suspended")
    story.when(RenewClaim(key=KEY, claim_id="C-1"), by="bot").refused_only("actor-suspended")
    story.when(AcquireClaim(key="other", holder="bot", work_id="W-2"), by="bot").then(ClaimAcquired)
    story.when(AcquireClaim(key="third"), by="bot").then(ClaimAcquired)
    # Also when the work is taken up again.
    story.given(FailWork(**W, reason="no time"), ReopenWork(**W, reason="not over"))
    story.when(AcquireClaim(key="fourth", work_id="W-1"), by="bot").refused_only("actor-suspended")


def claims(story: Story) -> list[Claim]:
    """The claims that are held, as the rules for work look them up."""
    return [*story.people().relations.claims.values()]


def holder(story: Story) -> Any:
    """The row of the key in the view of who holds what."""
    row: holding.Row | None = None
    for recorded in story.log():
        if STREAM in holding.keys(recorded):
            row = holding.apply(row, recorded, STREAM)
    return row


# ---- effects under a claim


def working() -> Story:
    """Bot works on W-1 under the claim C-1, with fence 1."""
    return (
        Story()
        .given(DefineWork(**W, title="Refund", accountable="ana"), DelegateWork(**W, delegate="bot", autonomy="act"))
        .given(CLAIM, StartExecution(**W, execution_id="E-1", claim_id="C-1", fence=1), by="bot")
    )


def overtaken() -> Story:
    return working().later(hours=2).given(AcquireClaim(key=KEY, claim_id="C-2"), by="scout")


def test_an_effect_counts_while_the_claim_is_the_newest() -> None:
    working().when(RecordAction(**W, execution_id="E-1", tool="pay"), by="bot").then(ExecutionActionRecorded)


@pytest.mark.parametrize(
    "command",
    [
        RecordAction(**W, execution_id="E-1", tool="pay"),
        ExecuteWork(**W, execution_id="E-1", result="completed"),
        StartExecution(**W, execution_id="E-2", claim_id="C-1", fence=1),
    ],
    ids=lambda command: command.verb,
)
def test_what_comes_late_under_an_old_fence_is_refused(command: Any) -> None:
    overtaken().when(command, by="bot").refused("stale-fence")


@pytest.mark.parametrize(
    "fact",
    [
        ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay"),
        OutputProduced(execution_id="E-1", output=Output(output_id="O-1", dig=ARGS)),
        WorkExecuted(execution_id="E-1", result="completed"),
        ExecutionStarted(execution_id="E-2", executor="bot", claim_id="C-1", fence=1),
    ],
    ids=lambda fact: fact.type,
)
def test_what_is_reported_under_an_old_fence_is_a_finding(fact: Any) -> None:
    overtaken().fact(fact).finds("stale-fence")


def test_what_comes_after_the_claim_was_let_go_of_is_refused() -> None:
    story = working().given(ReleaseClaim(key=KEY, claim_id="C-1"), by="bot")
    story.when(RecordAction(**W, execution_id="E-1", tool="pay"), by="bot").refused_only("stale-fence")


# ---- the same change twice


def paying(result: Any, **said: Any) -> RecordAction:
    return RecordAction(
        **W, execution_id="E-1", tool="pay", args_dig=ARGS, target="order/7", side_effect=True, result=result, **said
    )


def test_a_change_that_succeeded_is_not_made_again() -> None:
    story = working().given(paying("succeeded"), by="bot")
    story.when(paying("succeeded", idempotency_key="7"), by="bot").refused_only("duplicate-effort")
    again = ExecutionActionRecorded(
        execution_id="E-1", action_id="A-9", tool="pay", args_dig=ARGS, target="order/7", side_effect=True
    )
    story.fact(again).finds_only("duplicate-effort")


def test_a_change_that_failed_is_tried_again_with_a_key_of_its_own() -> None:
    story = working().given(paying("failed"), by="bot")
    story.when(paying("succeeded"), by="bot").refused_only("duplicate-effort")
    story.when(paying("succeeded", idempotency_key="7"), by="bot").then(ExecutionActionRecorded)


def test_looking_twice_changes_nothing() -> None:
    look = RecordAction(**W, execution_id="E-1", tool="look", args_dig=ARGS)
    working().given(look, by="bot").when(look, by="bot").then(ExecutionActionRecorded)
