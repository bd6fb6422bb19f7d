"""Every rule, broken at both doors: the command is refused with the rule named, the fact is recorded and found."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest

from attorn.contracts.accountability import AccountabilityTransferred, TransferAccountability
from attorn.contracts.claim import AcquireClaim, ClaimAcquired, ClaimReleased, ReleaseClaim
from attorn.contracts.context import NoteAdded
from attorn.contracts.deadline import DeadlineSet, SetDeadline
from attorn.contracts.decision import (
    AnswerRecommendation,
    DecisionMade,
    MakeDecision,
    Option,
    RecommendationAnswered,
    RequestDecision,
)
from attorn.contracts.delegation import AcceptDelegation, DelegateWork, DelegationAccepted, WorkDelegated
from attorn.contracts.dependency import AddDependency, DependencyAdded, UnblockWork, WorkUnblocked
from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    AdvanceEscalation,
    AnswerEscalation,
    EscalateWork,
    EscalationAcknowledged,
    EscalationAdvanced,
    EscalationAnswered,
    EscalationContext,
    EscalationNotified,
    EscalationResolved,
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
    RequireInput,
    StartExecution,
)
from attorn.contracts.finding import DismissFinding, FindingDismissed
from attorn.contracts.handover import AcceptHandover, HandoverAccepted, OfferHandover
from attorn.contracts.ids import Autonomy, Pinned
from attorn.contracts.outcome import OutcomeUpdated, UpdateOutcome
from attorn.contracts.output import Output, OutputReleased, OutputValidated, ReleaseOutput, ValidateOutput
from attorn.contracts.participant import (
    AbsenceDeclared,
    AddTeamMember,
    AgentDeployed,
    AttestationGiven,
    ChangeManager,
    DeactivateParticipant,
    DeclareAbsence,
    DeployAgent,
    GiveAttestation,
    GrantRole,
    ParticipantDeactivated,
    ParticipantKeyRevoked,
    ParticipantManagerChanged,
    ParticipantRegistered,
    ParticipantUpdated,
    RegisterParticipant,
    RevokeKey,
    RoleGranted,
    SuspendParticipant,
    TeamMemberAdded,
    UpdateParticipant,
)
from attorn.contracts.policy import EscalationRules, PolicyPublished, PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import ProcessPublished, PublishProcess, Step
from attorn.contracts.review import ClaimReview, ReviewClaimed, ReviewWork, WorkReviewed
from attorn.contracts.rules import OBSERVED, RULES
from attorn.contracts.service_review import CloseServiceReview, ServiceReviewClosed
from attorn.contracts.source import RegisterSource, SourceRegistered
from attorn.contracts.work import (
    AcceptanceCriterion,
    AssignWork,
    CancelWork,
    CompleteWork,
    CriterionVerdict,
    DeclineWork,
    DefineWork,
    ReadyWork,
    Scope,
    SubmitWork,
    VerifyWork,
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkDeclined,
    WorkDefined,
    WorkReadied,
    WorkVerified,
)
from story import BEGIN, Story

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


def asked_which() -> Story:
    return running().given(
        RequireInput(
            work_id="W-1", execution_id="E-1", request_id="Q-1", from_="ana", question="Which?",
            options=(Option(id="first", label="The first"), Option(id="second", label="The second")),
        ),
        by="bot",
    )  # fmt: skip


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


UNREADABLE: Final = PolicyRules(review=ReviewRules(when="output.confidence <"))
BY_AI: Final = (Step(step_id="decide", name="Decide", needs=("payments",), ai_mode="act"),)
TWICE: Final = (Step(step_id="a", name="One"), Step(step_id="a", name="Other"))


def waiting() -> Story:
    return defined().given(AddDependency(work_id="W-1", on="W-2"))


def claimed() -> Story:
    return Story().given(AcquireClaim(key="order-7", claim_id="C-1", lease=HOUR), by="ben")


def overtaken() -> Story:
    """Scout started under the claim C-1; its lease is over, and ben has claimed the order since."""
    claim = AcquireClaim(key="order-7", claim_id="C-1", lease=HOUR)
    story = defined().given(DelegateWork(work_id="W-1", delegate="scout")).given(claim, by="scout")
    story.given(StartExecution(work_id="W-1", execution_id="E-1", claim_id="C-1", fence=1), by="scout")
    return story.later(hours=2).given(AcquireClaim(key="order-7", claim_id="C-2"), by="ben")


def unready() -> Story:
    return Story().given(
        PublishProcess(process_id="refunds", owner="ana", definition_of_ready=("why",)),
        DefineWork(work_id="W-1", title="Refund", accountable="ana", process="refunds"),
    )


def careful(autonomy: Autonomy) -> Story:
    """bot has begun E-1, in work that has nothing to do with accounts."""
    define = DefineWork(work_id="W-1", title="Refund", accountable="ana", scope=Scope(excluded=("accounts/*",)))
    grant = DelegateWork(work_id="W-1", delegation_id="D-1", delegate="bot", autonomy=autonomy)
    return Story().given(define, grant).given(StartExecution(work_id="W-1", execution_id="E-1"), by="bot")


def made() -> Story:
    """ana has made O-1."""
    story = defined().given(StartExecution(work_id="W-1", execution_id="E-1"))
    output = Output(output_id="O-1", dig=DIG)
    return story.given(ExecuteWork(work_id="W-1", execution_id="E-1", result="completed", outputs=(output,)))


class Broken(msgspec.Struct, frozen=True):
    """One way to break a rule: the same intent, as a command of `by` and as a fact, each `given` the same past."""

    given: Callable[[], Story]
    command: msgspec.Struct
    fact: msgspec.Struct
    by: str = "ana"
    on: str = "work/W-1"
    source: str | None = None


def process(said: dict[str, Any], rule_given: Callable[[], Story] = bare) -> Broken:
    """A process that breaks a rule when it is published."""
    return Broken(
        rule_given,
        PublishProcess(process_id="refunds", owner="ana", **said),
        ProcessPublished(version=1, owner="ana", **said),
        on="process/refunds",
    )


def deployment(given: Callable[[], Story] = bare) -> Broken:
    """A deployment of which nothing is prepared."""
    return Broken(
        given,
        DeployAgent(participant_id="bot", process_id="refunds"),
        AgentDeployed(process_id="refunds"),
        on="participant/bot",
    )


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
    "claim-held": Broken(
        claimed,
        AcquireClaim(key="order-7"),
        ClaimAcquired(claim_id="C-2", key="order-7", holder="ana", fence=2),
        on="claim/order-7",
    ),
    "claim-open": Broken(
        claimed, ReleaseClaim(key="order-7", claim_id="C-9"), ClaimReleased(claim_id="C-9"), on="claim/order-7"
    ),
    "stale-fence": Broken(
        overtaken,
        RecordAction(work_id="W-1", execution_id="E-1", tool="pay"),
        ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay"),
        by="scout",
    ),
    "not-ready": Broken(unready, ReadyWork(work_id="W-1"), WorkReadied()),
    "dependency-open": Broken(waiting, UnblockWork(work_id="W-1"), WorkUnblocked()),
    "relation-cycle": Broken(defined, AddDependency(work_id="W-1", on="W-1"), DependencyAdded(on="W-1")),
    "executor-only": Broken(
        lambda: defined().given(AssignWork(work_id="W-1", executor="ben")),
        DeclineWork(work_id="W-1"),
        WorkDeclined(executor="carla"),
        by="carla",
    ),
    "work-authority": Broken(
        defined,
        CancelWork(work_id="W-1", reason="no longer"),
        WorkCancelled(by="ben", reason="no longer"),
        by="ben",
    ),
    "deadline-past": Broken(
        defined,
        SetDeadline(work_id="W-1", new=BEGIN),
        DeadlineSet(new=BEGIN),
    ),
    "handover-open": Broken(
        lambda: defined()
        .given(AssignWork(work_id="W-1", executor="ben"))
        .given(OfferHandover(work_id="W-1", to="bot", handover_id="H-1"), by="ben"),
        AcceptHandover(work_id="W-1", handover_id="H-1"),
        HandoverAccepted(handover_id="H-1", from_="ben", to="carla"),
        by="carla",
    ),
    "duplicate-effort": Broken(
        lambda: Story().given(DefineWork(work_id="W-2", title="Refund", accountable="ana", dedup_key="order-7")),
        DefineWork(work_id="W-1", title="Refund", accountable="ana", dedup_key="order-7"),
        WorkDefined(title="Refund", accountable="ana", dedup_key="order-7"),
    ),
    "finding-decided": Broken(
        defined,
        DismissFinding(stream="work/W-1", finding_id="hidden-work@9"),
        FindingDismissed(finding_id="hidden-work@9", by="bot", reason="It is fine"),
        by="ben",
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
    "review-claimed": Broken(
        lambda: reviewing().given(ClaimReview(work_id="W-1", review_id="E-1-R1"), by="ben"),
        ClaimReview(work_id="W-1", review_id="E-1-R1"),
        ReviewClaimed(review_id="E-1-R1", output_id="O-1", output_dig=DIG, reviewer="ana"),
    ),
    "rubber-stamp-suspected": Broken(
        lambda: reviewing(seconds_min=60), judge(seconds_spent=2), judged("ben", seconds_spent=2), by="ben"
    ),
    "control-bypassed": Broken(
        reviewing, ReleaseOutput(work_id="W-1", output_id="O-1"), OutputReleased(output_id="O-1", output_dig=DIG)
    ),
    "context-missing": Broken(
        defined,
        EscalateWork(work_id="W-1", reason="manual", context=EscalationContext(summary="")),
        WorkEscalated(escalation_id="X-1", reason="manual", raised_by="ana", context=EscalationContext(summary="")),
    ),
    "escalation-asked": Broken(
        escalated,
        ResolveEscalation(work_id="W-1", escalation_id="X-1", outcome="returned"),
        EscalationResolved(escalation_id="X-1", outcome="returned", by="ben"),
        by="ben",
    ),
    "escalation-rung": Broken(
        escalated,
        AdvanceEscalation(work_id="W-1", escalation_id="X-1"),
        EscalationAdvanced(escalation_id="X-1", from_=1, to=2),
    ),
    "escalation-deadline": Broken(
        escalated,
        AcknowledgeEscalation(work_id="W-1", escalation_id="X-1", ack_until=BEGIN),
        EscalationAcknowledged(escalation_id="X-1", by="ana", ack_until=BEGIN),
    ),
    "escalation-option": Broken(
        escalated,
        AnswerEscalation(work_id="W-1", escalation_id="X-1"),
        EscalationAnswered(escalation_id="X-1", by="ana"),
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
    "input-unfit": Broken(
        asked_which,
        ProvideInput(work_id="W-1", request_id="Q-1", response="respond", answer="third"),
        ExecutionInputProvided(request_id="Q-1", response="respond", answer="third", execution_id="E-1"),
    ),
    "execution-unknown": Broken(
        defined, ProgressExecution(work_id="W-1", execution_id="E-9"), ExecutionProgressed(execution_id="E-9")
    ),
    "team-member": Broken(
        bare, AddTeamMember(team_id="crew", member="erp"), TeamMemberAdded(member="erp"), on="participant/crew"
    ),
    "step-accountable": process({"steps": BY_AI}),
    "manager-human": Broken(
        bare,
        ChangeManager(participant_id="bot", new="crew"),
        ParticipantManagerChanged(new="crew"),
        on="participant/bot",
    ),
    "participant-authority": Broken(
        bare,
        ChangeManager(participant_id="root", new="ana"),
        ParticipantManagerChanged(new="ana"),
        on="participant/root",
        by="ana",
    ),
    "role-authority": Broken(
        bare, GrantRole(participant_id="ana", role="admin"), RoleGranted(role="admin"), on="participant/ana"
    ),
    "work-left": Broken(
        lambda: Story().given(DefineWork(work_id="W-1", title="Refund", accountable="carla")),
        DeactivateParticipant(participant_id="carla"),
        ParticipantDeactivated(),
        on="participant/carla",
        by="root",
    ),
    "source-authority": Broken(
        bare,
        RegisterSource(source_id="crm", uri="/crm", custodian="ana", speaks_of=("participant",)),
        SourceRegistered(uri="/crm", custodian="ana", speaks_of=("participant",)),
        on="source/crm",
    ),
    "absence-covered": Broken(
        bare,
        DeclareAbsence(participant_id="ben", from_=BEGIN, until=BEGIN + HOUR, substitute="bot"),
        AbsenceDeclared(from_=BEGIN, until=BEGIN + HOUR),
        on="participant/ben",
    ),
    "actor-suspended": Broken(
        lambda: Story().given(SuspendParticipant(participant_id="erp"), SuspendParticipant(participant_id="ana")),
        UpdateParticipant(participant_id="ben", org_unit="Store"),
        ParticipantUpdated(org_unit="Store"),
        on="participant/ben",
        source="erp",
    ),
    "key-known": Broken(
        bare, RevokeKey(participant_id="ben", key_id="K-1"), ParticipantKeyRevoked(key_id="K-1"), on="participant/ben"
    ),
    "attestation-own": Broken(
        bare,
        GiveAttestation(participant_id="ben", subject="participant/bot", statement="It works well."),
        AttestationGiven(subject="participant/zed", statement="It works well."),
        on="participant/ben",
    ),
    "deployment-process": deployment(),
    "deployment-controls": deployment(),
    "unmanaged-agent": deployment(),
    "capability-missing": deployment(
        lambda: Story()
        .fact(ProcessPublished(version=1, owner="ana", steps=BY_AI), on="process/refunds")
        .finds("step-accountable")
    ),
    "collaboration-unsaid": process({"steps": BY_AI}),
    "autonomy-unrecoverable": process({"steps": BY_AI, "recoverable": "no"}),
    "architect-only": process(
        {}, lambda: Story().given(GrantRole(participant_id="carla", role="workflow_architect"), by="root")
    ),
    "process-unsound": process({"steps": TWICE}),
    "policy-unsound": Broken(
        bare,
        PublishPolicy(policy_id="check", kind="review", rules=UNREADABLE),
        PolicyPublished(version=1, kind="review", rules=UNREADABLE),
        on="policy/check",
    ),
    "outcome-once": Broken(
        bare, UpdateOutcome(outcome_id="trust", target="40 %"), OutcomeUpdated(target="40 %"), on="outcome/trust"
    ),
    "service-review-open": Broken(
        bare,
        CloseServiceReview(process_id="refunds", service_review_id="R-03"),
        ServiceReviewClosed(service_review_id="R-03"),
        on="process/refunds",
    ),
    "condition-unsound": Broken(
        defined,
        DelegateWork(work_id="W-1", delegate="bot", escalate_when=("output.confidence <",)),
        WorkDelegated(delegation_id="D-9", delegator="ana", delegate="bot", escalate_when=("output.confidence <",)),
    ),
    "approval-missing": Broken(
        lambda: careful("act_with_approval"),
        RecordAction(work_id="W-1", execution_id="E-1", tool="pay", side_effect=True),
        ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay", side_effect=True),
        by="bot",
    ),
    "scope-exceeded": Broken(
        lambda: careful("act"),
        RecordAction(work_id="W-1", execution_id="E-1", tool="pay", target="accounts/7"),
        ExecutionActionRecorded(execution_id="E-1", action_id="A-1", tool="pay", target="accounts/7"),
        by="bot",
    ),
    "check-claimed": Broken(
        made,
        ValidateOutput(work_id="W-1", output_id="O-1", criterion_id="C-9", result="passed"),
        OutputValidated(output_id="O-1", criterion_id="C-1", result="passed", method="schema", checked="here"),
    ),
    "output-unsound": Broken(
        lambda: made().given(
            ValidateOutput(work_id="W-1", output_id="O-1", criterion_id="C-1", result="failed", detail="No date.")
        ),
        ReleaseOutput(work_id="W-1", output_id="O-1"),
        OutputReleased(output_id="O-1", output_dig=DIG),
    ),
    "recommendation-open": Broken(
        defined,
        AnswerRecommendation(work_id="W-1", recommendation_id="M-1", answer="accepted"),
        RecommendationAnswered(recommendation_id="M-1", answer="accepted"),
    ),
    "decision-open": Broken(
        defined,
        MakeDecision(work_id="W-1", decision_id="N-1", chosen="All"),
        DecisionMade(decision_id="N-1", decider="ana", chosen="All"),
    ),
    "decision-authority": Broken(
        lambda: defined().given(RequestDecision(work_id="W-1", decision_id="N-1", question="How much?")),
        MakeDecision(work_id="W-1", decision_id="N-1", chosen="All"),
        DecisionMade(decision_id="N-1", decider="bot", chosen="All"),
        by="carla",
    ),
}  # fmt: skip

DECIDED_BY_THE_SERVICE: Final = {
    "version-unnamed": "the service names the version and the instructions that stand",
    "claim-fence": "the service counts the fences",
    "review-policy": "the service pins the policy of the review to the verdict; a command cannot say one",
    "reviewer-overload": "work is handed in however busy its reviewers are; that they are is found, and refused nobody",
    "review-sampling": "the service draws, with a seed of its own; a command cannot say one",
    "resolver-missing": "who asks is who settles it; a command cannot leave that out",
    "misplaced-event": "the service puts what it records into the stream that it is about",
    "version-increasing": "the service counts the versions; a command cannot say one",
    "conflict": "the id of a command is recognised, and asking again is answered; other bytes exist for facts only",
}
"""Rules that no command can break, and why."""


def test_every_rule_is_broken_at_both_doors_or_says_why_not() -> None:
    # What is observed refuses nothing: tests/services/test_delegation.py and test_execution.py break it at both doors.
    assert BROKEN.keys() | DECIDED_BY_THE_SERVICE.keys() | OBSERVED == RULES.keys()
    assert not BROKEN.keys() & (DECIDED_BY_THE_SERVICE.keys() | OBSERVED)


@pytest.mark.parametrize("rule", BROKEN)
def test_a_command_that_breaks_it_is_refused_and_nothing_is_recorded(rule: str) -> None:
    broken = BROKEN[rule]

    broken.given().when(broken.command, by=broken.by).refused(rule)


@pytest.mark.parametrize("rule", BROKEN)
def test_a_fact_that_breaks_it_is_recorded_and_is_a_finding(rule: str) -> None:
    broken = BROKEN[rule]

    broken.given().fact(broken.fact, on=broken.on, source=broken.source).finds(rule)


def test_a_verdict_by_command_is_under_the_pinned_policy_whatever_is_published_since() -> None:
    story = reviewing()
    story.given(
        PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules(reviewers_required=2)))
    )

    story.when(judge(), by="ben").then(judged("ben"))


def test_a_verdict_reported_under_another_version_of_the_policy_is_a_finding() -> None:
    reviewing().fact(judged("ben", policy=Pinned(id="check", version=2))).finds_only("review-policy")


def test_a_fence_that_is_reported_again_is_a_finding_and_moves_nobody() -> None:
    story = claimed().later(hours=2)
    again = ClaimAcquired(claim_id="C-9", key="order-7", holder="carla", fence=1)
    story.fact(again, on="claim/order-7").finds_only("claim-fence")

    assert story.state("claim/order-7").held.holder == "ben"


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
    context = EscalationContext(summary="Stuck", question="What now?")

    # Ben, on the last rung, has left: whoever answers for the work stands behind him.
    story.when(EscalateWork(work_id="W-1", reason="manual", context=context), by="bot").then(
        WorkEscalated, EscalationNotified
    )
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
        VerifyWork(work_id="W-1", criteria=(msgspec.structs.replace(verdict, by="carla"),)), by="ana"
    ).refused_only("criteria-open")
    story.when(VerifyWork(work_id="W-1", criteria=(verdict,)), by="ana").then(WorkVerified)
