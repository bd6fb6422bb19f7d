"""Every rule, broken at both doors: the command is refused with the rule named, the fact is recorded and found."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec
import pytest

from attorn.contracts.accountability import AccountabilityTransferred, TransferAccountability
from attorn.contracts.context import NoteAdded
from attorn.contracts.delegation import AcceptDelegation, DelegateWork, DelegationAccepted, WorkDelegated
from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    EscalateWork,
    EscalationAcknowledged,
    EscalationContext,
    ResolveEscalation,
    Rung,
    WorkEscalated,
)
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionInputProvided,
    ExecutionProgressed,
    ExecutionStarted,
    ProgressExecution,
    ProvideInput,
    RecordAction,
    StartExecution,
)
from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output, OutputReleased, ReleaseOutput
from attorn.contracts.participant import (
    DeactivateParticipant,
    ParticipantDeactivated,
    ParticipantRegistered,
    RegisterParticipant,
)
from attorn.contracts.policy import EscalationRules, PolicyPublished, PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import ProcessPublished, PublishProcess
from attorn.contracts.review import ReviewWork, WorkReviewed
from attorn.contracts.rules import RULES
from attorn.contracts.source import RegisterSource, SourceRegistered
from attorn.contracts.work import (
    AcceptanceCriterion,
    AssignWork,
    CompleteWork,
    CriterionVerdict,
    DefineWork,
    SubmitWork,
    VerifyWork,
    WorkAssigned,
    WorkCompleted,
    WorkDefined,
    WorkVerified,
)
from story import Story

DIG: Final = "sha256:" + "a" * 64
OTHER: Final = "sha256:" + "b" * 64
HOUR: Final = timedelta(hours=1)
CHECK: Final = Pinned(id="check", version=1)
CRITERIA: Final = (AcceptanceCriterion(id="C-1", text="the amount is what was paid"),)


def bare() -> Story:
    return Story()


def defined() -> Story:
    return Story().given(DefineWork(work_id="W-1", title="Refund", accountable="ana", acceptance_criteria=CRITERIA))


def entrusted() -> Story:
    return defined().given(
        DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", activities=("look",), autonomy="act")
    )


def running() -> Story:
    return entrusted().given(StartExecution(work_id="W-1", execution_id="E-1"), by="bot")


def submitted() -> Story:
    return (
        defined()
        .given(StartExecution(work_id="W-1", execution_id="E-1"))
        .given(ExecuteWork(work_id="W-1", execution_id="E-1", result="completed"))
    )


def reviewing(**rules: object) -> Story:
    """bot made O-1; it waits in the review E-1-R1, under version 1 of the policy `check`."""
    review = ReviewRules(excluded=("carla",), **rules)  # type: ignore[arg-type]
    return (
        Story()
        .given(PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=review)))
        .given(DefineWork(work_id="W-1", title="Refund", accountable="ana", review_policy="check"))
        .given(DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", autonomy="act"))
        .given(StartExecution(work_id="W-1", execution_id="E-1"), by="bot")
        .given(
            ExecuteWork(
                work_id="W-1", execution_id="E-1", result="completed", outputs=(Output(output_id="O-1", dig=DIG),)
            ),
            by="bot",
        )
    )


def escalated() -> Story:
    return defined().given(
        EscalateWork(work_id="W-1", escalation_id="X-1", reason="manual", context=EscalationContext(summary="Stuck"))
    )


def judge(**said: object) -> ReviewWork:
    told = {"review_id": "E-1-R1", "output_id": "O-1", "output_dig": DIG, "verdict": "approved"} | said
    return ReviewWork(work_id="W-1", **told)  # type: ignore[arg-type]


def judged(by: str, **said: object) -> WorkReviewed:
    told = {"review_id": "E-1-R1", "output_id": "O-1", "output_dig": DIG, "verdict": "approved", "policy": CHECK} | said
    return WorkReviewed(reviewer=by, **told)  # type: ignore[arg-type]


LADDER_OF_AGENTS: Final = (Rung(rung=1, targets=("bot",), ack_within=HOUR),)
NOBODY: Final = PolicyRules(escalation=EscalationRules(ladder=LADDER_OF_AGENTS))


class Broken(msgspec.Struct, frozen=True):
    """One way to break a rule: the same intent, as a command of `by` and as a fact, each `given` the same past."""

    given: Callable[[], Story]
    command: msgspec.Struct
    fact: msgspec.Struct
    by: str = "ana"
    on: str = "work/W-1"


BROKEN: Final[dict[str, Broken]] = {
    "accountable-human": Broken(
        bare,
        DefineWork(work_id="W-1", title="Refund", accountable="bot"),
        WorkDefined(title="Refund", accountable="bot"),
    ),
    "accountability-chain": Broken(
        defined,
        TransferAccountability(work_id="W-1", to="ben"),
        AccountabilityTransferred(from_="ana", to="ben", accepted_by="ben"),
        by="ben",
    ),
    "hidden-work": Broken(bare, CompleteWork(work_id="W-1"), WorkCompleted()),
    "accountability-defaulted": Broken(bare, CompleteWork(work_id="W-1"), WorkCompleted()),
    "defined-once": Broken(
        defined,
        DefineWork(work_id="W-1", title="Another", accountable="ben"),
        WorkDefined(title="Another", accountable="ben"),
    ),
    "owner-human": Broken(
        bare,
        PublishProcess(process_id="refunds", owner="crew"),
        ProcessPublished(version=1, owner="crew"),
        on="process/refunds",
    ),
    "custodian-human": Broken(
        bare,
        RegisterSource(source_id="crm", uri="https://crm.example", custodian="bot"),
        SourceRegistered(uri="https://crm.example", custodian="bot"),
        on="source/crm",
    ),
    "delegation-chain": Broken(
        defined,
        DelegateWork(work_id="W-1", delegate="scout"),
        WorkDelegated(delegation_id="D-1", delegator="bot", delegate="scout"),
        by="bot",
    ),
    "delegation-open": Broken(
        defined,
        AcceptDelegation(work_id="W-1", delegation_id="D-9"),
        DelegationAccepted(delegation_id="D-9"),
        by="bot",
    ),
    "undelegated-execution": Broken(
        defined, StartExecution(work_id="W-1"), ExecutionStarted(execution_id="E-1", executor="bot"), by="bot"
    ),
    "delegation-violated": Broken(
        running,
        RecordAction(work_id="W-1", execution_id="E-1", tool="pay"),
        ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay"),
        by="bot",
    ),
    "sponsor-human": Broken(
        bare,
        RegisterParticipant(participant_id="new", kind="agent", display_name="New", sponsor="bot"),
        ParticipantRegistered(participant_id="new", kind="agent", display_name="New", sponsor="bot"),
    ),
    "successor-human": Broken(
        bare,
        DeactivateParticipant(participant_id="ben", successor="bot"),
        ParticipantDeactivated(successor="bot"),
        on="participant/ben",
    ),
    "registered-once": Broken(
        bare,
        RegisterParticipant(participant_id="ben", kind="human", display_name="Another Ben"),
        ParticipantRegistered(participant_id="ben", kind="human", display_name="Another Ben"),
    ),
    "self-review": Broken(reviewing, judge(), judged("bot"), by="bot"),
    "reviewer-excluded": Broken(reviewing, judge(), judged("carla"), by="carla"),
    "reviewer-human": Broken(reviewing, judge(), judged("scout"), by="scout"),
    "review-digest": Broken(reviewing, judge(output_dig=OTHER), judged("ben", output_dig=OTHER), by="ben"),
    "review-open": Broken(reviewing, judge(review_id="R-9"), judged("ben", review_id="R-9"), by="ben"),
    "control-bypassed": Broken(
        reviewing, ReleaseOutput(work_id="W-1", output_id="O-1"), OutputReleased(output_id="O-1", output_dig=DIG)
    ),
    "ladder-human": Broken(
        bare,
        PublishPolicy(policy_id="help", kind="escalation", rules=NOBODY),
        PolicyPublished(version=1, kind="escalation", rules=NOBODY),
        on="policy/help",
    ),
    "escalation-open": Broken(
        lambda: escalated().given(ResolveEscalation(work_id="W-1", escalation_id="X-1", outcome="returned")),
        AcknowledgeEscalation(work_id="W-1", escalation_id="X-1"),
        EscalationAcknowledged(escalation_id="X-1", by="ana"),
    ),
    "criteria-open": Broken(submitted, VerifyWork(work_id="W-1"), WorkVerified()),
    "unpublished": Broken(
        bare,
        DefineWork(work_id="W-1", title="Refund", accountable="ana", process="refunds"),
        WorkDefined(title="Refund", accountable="ana", process=Pinned(id="refunds", version=1)),
    ),
    "controls-missing": Broken(
        bare,
        PublishProcess(process_id="refunds", owner="ana", risk_tier="high"),
        ProcessPublished(version=1, owner="ana", risk_tier="high"),
        on="process/refunds",
    ),
    "unregistered-actor": Broken(
        defined, AssignWork(work_id="W-1", executor="zed"), WorkAssigned(executor="zed")
    ),
    "illegal-transition": Broken(defined, CompleteWork(work_id="W-1"), WorkCompleted()),
    "input-unasked": Broken(
        running,
        ProvideInput(work_id="W-1", request_id="Q-9", response="respond", answer="yes"),
        ExecutionInputProvided(request_id="Q-9", response="respond", answer="yes"),
    ),
    "execution-unknown": Broken(
        defined, ProgressExecution(work_id="W-1", execution_id="E-9"), ExecutionProgressed(execution_id="E-9")
    ),
}  # fmt: skip

DECIDED_BY_THE_SERVICE: Final = {
    "review-policy": "the service pins the policy of the review to the verdict; a command cannot say one",
    "conflict": "the id of a command is recognised, and asking again is answered; other bytes exist for facts only",
}
"""Rules that no command can break, and why."""


def test_every_rule_is_broken_at_both_doors_or_says_why_not() -> None:
    assert BROKEN.keys() | DECIDED_BY_THE_SERVICE.keys() == RULES.keys()
    assert not BROKEN.keys() & DECIDED_BY_THE_SERVICE.keys()


@pytest.mark.parametrize("rule", BROKEN)
def test_a_command_that_breaks_it_is_refused_and_nothing_is_recorded(rule: str) -> None:
    broken = BROKEN[rule]

    broken.given().when(broken.command, by=broken.by).refused(rule)


@pytest.mark.parametrize("rule", BROKEN)
def test_a_fact_that_breaks_it_is_recorded_and_is_a_finding(rule: str) -> None:
    broken = BROKEN[rule]

    broken.given().fact(broken.fact, on=broken.on).finds(rule)


def test_a_verdict_by_command_is_under_the_pinned_policy_whatever_is_published_since() -> None:
    story = reviewing()
    story.given(
        PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules(reviewers_required=2)))
    )

    story.when(judge(), by="ben").then(judged("ben"))


def test_a_verdict_reported_under_another_version_of_the_policy_is_a_finding() -> None:
    reviewing().fact(judged("ben", policy=Pinned(id="check", version=2))).finds_only("review-policy")


def test_a_source_that_uses_an_id_again_for_other_bytes_is_refused_and_its_first_word_stands() -> None:
    story = defined()
    story.fact(NoteAdded(text="one"), id="n-1", at=story.now).finds_nothing()
    story.fact(NoteAdded(text="two"), id="n-1", at=story.now).conflicts()

    # In another stream it is the ledger that knows the id again.
    story.fact(NoteAdded(text="two"), on="work/W-2", id="n-1", at=story.now).conflicts()
    notes = [recorded.event.data.text for recorded in story.log() if isinstance(recorded.event.data, NoteAdded)]
    assert notes == ["one"]


def test_a_fact_that_comes_again_byte_for_byte_gets_its_first_receipt() -> None:
    story = defined()
    first = story.fact(NoteAdded(text="one"), id="n-1", at=story.now)
    again = story.fact(NoteAdded(text="one"), id="n-1", at=story.now)

    assert again.receipt == first.receipt
    assert again.recorded == []


def test_nobody_uses_up_the_ids_of_another() -> None:
    story = defined()
    story.fact(NoteAdded(text="mine"), id="n-1", source="crm").finds_nothing()
    told = story.fact(NoteAdded(text="yours"), id="n-1", source="erp")

    told.finds_nothing()
    # Not even by reporting, in somebody's name, the id that their next command will have.
    command = story.when(SubmitWork(work_id="W-1"), id="n-1")
    assert command.breaches


def test_an_escalation_by_command_always_ends_at_a_person() -> None:
    help_ = PolicyRules(escalation=EscalationRules(ladder=(Rung(rung=1, targets=("ben",), ack_within=HOUR),)))
    story = Story().given(
        PublishPolicy(policy_id="help", kind="escalation", rules=help_),
        DefineWork(work_id="W-1", title="Refund", accountable="ana", escalation_policy="help"),
        DeactivateParticipant(participant_id="ben", successor="carla"),
    )
    context = EscalationContext(summary="Stuck")

    # Ben, on the last rung, has left: whoever answers for the work stands behind him.
    story.when(EscalateWork(work_id="W-1", reason="manual", context=context), by="bot").then(WorkEscalated)
    [raised] = [recorded.event.data for recorded in story.log() if isinstance(recorded.event.data, WorkEscalated)]
    assert [rung.targets for rung in raised.ladder] == [("ben",), ("ana",)]


def test_who_is_told_why_can_act_on_it() -> None:
    for rule, broken in BROKEN.items():
        breaches = broken.given().when(broken.command, by=broken.by).breaches
        for breach in breaches:
            assert breach.rule in RULES, rule
            assert 3 <= len(breach.detail.split()) <= 40, breach
            assert not breach.detail.endswith("."), breach


def test_a_criterion_for_a_person_is_not_judged_by_an_agent() -> None:
    verdict = CriterionVerdict(id="C-1", result="passed")
    story = submitted().given(DelegateWork(work_id="W-1", delegate="bot"))

    story.when(VerifyWork(work_id="W-1", criteria=(verdict,)), by="bot").refused_only("criteria-open")
    story.when(
        VerifyWork(work_id="W-1", criteria=(msgspec.structs.replace(verdict, by="ana"),)), by="ben"
    ).refused_only("criteria-open")
    story.when(VerifyWork(work_id="W-1", criteria=(verdict,)), by="ben").then(WorkVerified)
