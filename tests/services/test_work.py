"""Work and who answers for it; and of every command, what asking twice does."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from attorn.contracts.accountability import (
    AccountabilityOffered,
    AccountabilityTransferred,
    OfferAccountability,
    TransferAccountability,
)
from attorn.contracts.claim import AcquireClaim, ReleaseClaim, RenewClaim, RevokeClaim
from attorn.contracts.context import AddNote, ShareContext
from attorn.contracts.deadline import SetDeadline
from attorn.contracts.decision import AnswerRecommendation, MakeDecision, MakeRecommendation, RequestDecision
from attorn.contracts.delegation import (
    AcceptDelegation,
    DeclineDelegation,
    DelegateWork,
    ExpireDelegation,
    NarrowDelegation,
    ResumeDelegation,
    RevokeDelegation,
    SuspendDelegation,
)
from attorn.contracts.dependency import AddDependency, BlockWork, BreakDependency, SatisfyDependency, UnblockWork
from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    AdvanceEscalation,
    AnswerEscalation,
    CancelEscalation,
    EscalateWork,
    EscalationContext,
    ReassignEscalation,
    ReopenEscalation,
    ResolveEscalation,
    Rung,
    UnacknowledgeEscalation,
)
from attorn.contracts.execution import (
    AdaptExecution,
    ExecuteWork,
    ExecutionStarted,
    GuideExecution,
    ProgressExecution,
    ProvideInput,
    RecordAction,
    RequireInput,
    StartExecution,
)
from attorn.contracts.finding import AcceptFinding, DismissFinding, RemediateFinding
from attorn.contracts.handover import AcceptHandover, DeclineHandover, OfferHandover
from attorn.contracts.ids import Ref
from attorn.contracts.outcome import DefineOutcome, RecordBaseline, UpdateOutcome
from attorn.contracts.output import Output, ProduceOutput, ReleaseOutput, ValidateOutput, WithdrawOutput
from attorn.contracts.participant import (
    AddTeamMember,
    AgentDeployed,
    ChangeManager,
    DeactivateParticipant,
    DeclareAbsence,
    DeployAgent,
    EndAbsence,
    GiveAttestation,
    GrantRole,
    Oversight,
    ParticipantDeactivated,
    RegisterKey,
    RegisterParticipant,
    RemoveTeamMember,
    ResumeParticipant,
    RevokeKey,
    RevokeRole,
    SuspendParticipant,
    UndeployAgent,
    UpdateParticipant,
)
from attorn.contracts.policy import EscalationRules, PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import MapProcess, PublishProcess, RetireProcess
from attorn.contracts.refusal import Unreadable
from attorn.contracts.review import ClaimReview, RequestReview, ReviewWork, UnclaimReview, WithdrawReview
from attorn.contracts.service_review import CloseServiceReview, HoldServiceReview, OpenServiceReview
from attorn.contracts.source import RegisterSource
from attorn.contracts.work import (
    AcceptanceCriterion,
    AssignWork,
    CancelWork,
    Change,
    ClarifyWork,
    CompleteWork,
    CriterionVerdict,
    DeclineWork,
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    ReprioritizeWork,
    ResumeWork,
    SubmitWork,
    SupersedeWork,
    SuspendWork,
    UnassignWork,
    VerifyWork,
    WorkClarified,
    WorkCompleted,
    WorkDefined,
    WorkReadied,
    WorkReopened,
    WorkVerified,
)
from story import BEGIN, CAST, DECIDERS, Story

W: Final = {"work_id": "W-1"}
SOON: Final = BEGIN + timedelta(days=1)
DIG: Final = "sha256:" + "a" * 64
DEFINE: Final = DefineWork(**W, title="Refund", accountable="ana")
CHECK: Final = PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules()))
STUCK: Final = EscalationContext(summary="Stuck")


def defined() -> Story:
    return Story().given(DEFINE)


def running() -> Story:
    return defined().given(StartExecution(**W, execution_id="E-1"))


def submitted() -> Story:
    return running().given(ExecuteWork(**W, execution_id="E-1", result="completed"))


def made() -> Story:
    outputs = (Output(output_id="O-1", dig=DIG),)
    return running().given(ExecuteWork(**W, execution_id="E-1", result="completed", outputs=outputs))


def entrusted() -> Story:
    return defined().given(DelegateWork(**W, delegation_id="D-1", delegate="bot"))


def asking() -> Story:
    return running().given(RequireInput(**W, execution_id="E-1", request_id="Q-1", from_="ana", question="Which?"))


def escalated() -> Story:
    return defined().given(EscalateWork(**W, escalation_id="X-1", reason="manual", context=STUCK))


def in_review() -> Story:
    return made().given(RequestReview(**W, review_id="R-1", output_id="O-1", output_dig=DIG))


UNCLAIM: Final = UnclaimReview(**W, review_id="R-1")


def taken_up() -> Story:
    return escalated().given(AcknowledgeEscalation(**W, escalation_id="X-1"))


def settled() -> Story:
    return escalated().given(ResolveEscalation(**W, escalation_id="X-1", outcome="returned"))


def process() -> Story:
    return Story().given(PublishProcess(process_id="refunds", owner="ana"))


def assigned() -> Story:
    return defined().given(AssignWork(**W, executor="ben"))


def offered() -> Story:
    return assigned().given(OfferHandover(**W, to="carla", handover_id="H-1"), by="ben")


def waiting() -> Story:
    return defined().given(AddDependency(**W, on="W-2"))


def claimed() -> Story:
    return Story().given(ORDER, by="ben")


ORDER: Final = AcquireClaim(key="order/7", claim_id="C-1", lease=timedelta(hours=1))


# Every command, given a past in which it is carried out; who gives it is Ana unless said otherwise.
KEY: Final = RegisterKey(participant_id="ana", key_id="K-1", public_key="abc")
MEMBER: Final = AddTeamMember(team_id="crew", member="ben")
AWAY: Final = DeclareAbsence(participant_id="ben", from_=BEGIN, until=BEGIN + timedelta(days=9), substitute="carla")
CALL: Final = OpenServiceReview(process_id="refunds", service_review_id="R-03", period="2026-03")
HOLD: Final = HoldServiceReview(process_id="refunds", service_review_id="R-03", decisions=("go on",))
TRUST: Final = DefineOutcome(outcome_id="trust", statement="Customers come back.")


LADDER: Final = (Rung(rung=1, targets=("ben",), ack_within=timedelta(hours=1)),)
ASKED: Final = PolicyRules(escalation=EscalationRules(ladder=LADDER))
DEPLOY: Final = DeployAgent(
    participant_id="bot",
    process_id="refunds",
    heartbeat=timedelta(minutes=5),
    oversight=Oversight(review_every=timedelta(days=30)),
)


def may_be_deployed() -> Story:
    return Story().given(
        PublishPolicy(policy_id="help", kind="escalation", rules=ASKED),
        MapProcess(process_id="refunds", origin="mined"),
        PublishProcess(process_id="refunds", owner="ana", escalation_policy="help"),
        GrantRole(participant_id="carla", role="agent_manager"),
    )


def at_work() -> Story:
    story = Story()
    story.fact(AgentDeployed(process_id="refunds"), on="participant/bot")
    return story


TWICE: Final[dict[type, tuple[Callable[[], Story], Any, str]]] = {
    type(command): (given, command, by)
    for given, command, by in (
        (Story, DEFINE, "ana"),
        (defined, ClarifyWork(**W, changes={"title": "Refund order 7", "due_at": "2026-04-01T10:00:00+02:00"}), "ana"),
        (defined, ReadyWork(**W, why="The customer waits"), "ana"),
        (defined, AssignWork(**W, executor="bot"), "ana"),
        (running, SubmitWork(**W), "ana"),
        (submitted, VerifyWork(**W), "ana"),
        (lambda: submitted().given(VerifyWork(**W)), CompleteWork(**W), "ana"),
        (submitted, ReopenWork(**W, reason="wrong"), "ana"),
        (defined, CancelWork(**W), "ana"),
        (defined, FailWork(**W), "ana"),
        (defined, OfferAccountability(**W, to="ben"), "ana"),
        (lambda: defined().given(OfferAccountability(**W, to="ben")), TransferAccountability(**W, to="ben"), "ben"),
        (defined, DelegateWork(**W, delegation_id="D-1", delegate="bot", activities=("look",)), "ana"),
        (entrusted, AcceptDelegation(**W, delegation_id="D-1"), "bot"),
        (entrusted, DeclineDelegation(**W, delegation_id="D-1"), "bot"),
        (entrusted, RevokeDelegation(**W, delegation_id="D-1"), "ana"),
        (entrusted, NarrowDelegation(**W, delegation_id="D-1", activities=("look",)), "ana"),
        (entrusted, SuspendDelegation(**W, delegation_id="D-1"), "ana"),
        (
            lambda: entrusted().given(SuspendDelegation(**W, delegation_id="D-1")),
            ResumeDelegation(**W, delegation_id="D-1"),
            "ana",
        ),
        (
            lambda: (
                defined().given(DelegateWork(**W, delegation_id="D-1", delegate="bot", valid_until=SOON)).later(days=2)
            ),
            ExpireDelegation(**W, delegation_id="D-1"),
            "ana",
        ),
        (defined, StartExecution(**W, execution_id="E-1"), "ana"),
        (running, RequireInput(**W, execution_id="E-1", request_id="Q-1", from_="ana", question="Which?"), "ana"),
        (asking, ProvideInput(**W, request_id="Q-1", response="respond", answer={"order": 7}), "ana"),
        (running, ExecuteWork(**W, execution_id="E-1", result="completed"), "ana"),
        (running, ProduceOutput(**W, output=Output(output_id="O-1", dig=DIG)), "ana"),
        (
            lambda: made().given(ClarifyWork(**W, changes={"acceptance_criteria": [{"id": "C-1", "text": "right"}]})),
            ValidateOutput(**W, output_id="O-1", criterion_id="C-1", result="passed"),
            "ana",
        ),
        (defined, MakeRecommendation(**W, recommendation_id="M-1", recommendation="Pay"), "bot"),
        (
            lambda: defined().given(MakeRecommendation(**W, recommendation_id="M-1", recommendation="Pay"), by="bot"),
            AnswerRecommendation(**W, recommendation_id="M-1", answer="accepted"),
            "ana",
        ),
        (defined, RequestDecision(**W, decision_id="N-1", question="How much?"), "ana"),
        (
            lambda: defined().given(RequestDecision(**W, decision_id="N-1", question="How much?")),
            MakeDecision(**W, decision_id="N-1", chosen="All"),
            "ana",
        ),
        (made, RequestReview(**W, review_id="R-1", output_id="O-1", output_dig=DIG), "ana"),
        (
            in_review,
            ReviewWork(**W, review_id="R-1", output_id="O-1", output_dig=DIG, verdict="approved"),
            "ben",
        ),
        (in_review, ClaimReview(**W, review_id="R-1"), "ben"),
        (lambda: in_review().given(ClaimReview(**W, review_id="R-1"), by="ben"), UNCLAIM, "ben"),
        (in_review, WithdrawReview(**W, review_id="R-1"), "ana"),
        (made, ReleaseOutput(**W, output_id="O-1"), "ana"),
        (made, WithdrawOutput(**W, output_id="O-1"), "ana"),
        (defined, EscalateWork(**W, escalation_id="X-1", reason="manual", context=STUCK), "bot"),
        (escalated, AcknowledgeEscalation(**W, escalation_id="X-1"), "ana"),
        (taken_up, UnacknowledgeEscalation(**W, escalation_id="X-1", cause="ill"), "ana"),
        (escalated, ReassignEscalation(**W, escalation_id="X-1", to="carla"), "ana"),
        (settled, ReopenEscalation(**W, escalation_id="X-1"), "ana"),
        (escalated, AnswerEscalation(**W, escalation_id="X-1", decision="Go on"), "ana"),
        (escalated, ResolveEscalation(**W, escalation_id="X-1", outcome="returned"), "ana"),
        (escalated, CancelEscalation(**W, escalation_id="X-1"), "ana"),
        (defined, ReprioritizeWork(**W, priority="high"), "ana"),
        (defined, SetDeadline(**W, new=SOON), "ana"),
        (assigned, UnassignWork(**W), "ana"),
        (assigned, DeclineWork(**W), "ben"),
        (defined, SuspendWork(**W), "ana"),
        (lambda: defined().given(SuspendWork(**W)), ResumeWork(**W), "ana"),
        (defined, SupersedeWork(**W, duplicate_of="W-2"), "ana"),
        (defined, ShareContext(**W, ref=Ref(uri="https://shop.example/7")), "ana"),
        (assigned, OfferHandover(**W, to="carla", handover_id="H-1"), "ben"),
        (offered, AcceptHandover(**W, handover_id="H-1"), "carla"),
        (offered, DeclineHandover(**W, handover_id="H-1"), "carla"),
        (defined, AddDependency(**W, on="W-2"), "ana"),
        (waiting, SatisfyDependency(**W, on="W-2"), "ana"),
        (waiting, BreakDependency(**W, on="W-2"), "ana"),
        (defined, BlockWork(**W, reason="parts"), "ana"),
        (lambda: defined().given(BlockWork(**W)), UnblockWork(**W), "ana"),
        (Story, ORDER, "ben"),
        (claimed, ReleaseClaim(key="order/7", claim_id="C-1"), "ben"),
        (claimed, RevokeClaim(key="order/7", claim_id="C-1"), "root"),
        (Story, RegisterParticipant(participant_id="dana", kind="human", display_name="Dana"), "ana"),
        (Story, DeactivateParticipant(participant_id="ben", successor="carla"), "root"),
        (Story, GrantRole(participant_id="ben", role="reviewer"), "ana"),
        (
            lambda: Story().given(GrantRole(participant_id="ben", role="reviewer")),
            RevokeRole(participant_id="ben", role="reviewer"),
            "ana",
        ),
        (Story, UpdateParticipant(participant_id="bot", org_unit="After-sales"), "ana"),
        (Story, SuspendParticipant(participant_id="bot"), "ana"),
        (
            lambda: Story().given(SuspendParticipant(participant_id="bot")),
            ResumeParticipant(participant_id="bot"),
            "ana",
        ),
        (Story, ChangeManager(participant_id="bot", new="ben"), "ana"),
        (Story, KEY, "ana"),
        (lambda: Story().given(KEY), RevokeKey(participant_id="ana", key_id="K-1"), "ana"),
        (Story, MEMBER, "ana"),
        (lambda: Story().given(MEMBER), RemoveTeamMember(team_id="crew", member="ben"), "ana"),
        (Story, AWAY, "root"),
        (lambda: Story().given(AWAY), EndAbsence(participant_id="ben"), "ana"),
        (may_be_deployed, DEPLOY, "ana"),
        (at_work, UndeployAgent(participant_id="bot", process_id="refunds"), "ana"),
        (Story, MapProcess(process_id="refunds", origin="mined"), "ana"),
        (Story, PublishProcess(process_id="refunds", owner="ana", purpose="Money back"), "ana"),
        (Story, CALL, "ana"),
        (lambda: Story().given(CALL), HOLD, "ana"),
        (
            lambda: Story().given(CALL, HOLD),
            CloseServiceReview(process_id="refunds", service_review_id="R-03"),
            "ana",
        ),
        (Story, TRUST, "ana"),
        (lambda: Story().given(TRUST), UpdateOutcome(outcome_id="trust", target="40 %"), "ana"),
        (lambda: Story().given(TRUST), RecordBaseline(outcome_id="trust", metric="minutes", value="22"), "ana"),
        (process, RetireProcess(process_id="refunds"), "ana"),
        (Story, CHECK, "ana"),
        (Story, RegisterSource(source_id="erp", uri="https://erp.example", custodian="ana"), "ana"),
    )
}

EACH_IS_AN_EVENT: Final = {
    AddNote: "the same words may be meant twice",
    AdvanceEscalation: "each asks the next rung",
    ProgressExecution: "still at 40 percent is news",
    GiveAttestation: "the same words again say that it still is so",
    RecordAction: "the same tool may be used twice",
    GuideExecution: "the same words may be meant twice",
    AdaptExecution: "a plan may come back to what it was",
    RenewClaim: "each keeps it a while longer",
    AcceptFinding: "whoever looks at it again says so again",
    RemediateFinding: "what was put right may have to be put right again",
    DismissFinding: "whoever looks at it again says so again",
}
"""Commands that record whenever they are given: who asks again after a lost reply does so with the same id."""


def test_of_every_command_it_is_said_what_asking_twice_does() -> None:
    assert TWICE.keys() | EACH_IS_AN_EVENT.keys() == DECIDERS.keys()


@pytest.mark.parametrize("command", TWICE, ids=lambda command: command.verb)
def test_asking_twice_for_what_is_so_already_records_nothing(command: type) -> None:
    given, body, by = TWICE[command]
    story = given()
    first = story.when(body, by=by)
    assert first.recorded, first.breaches

    again = story.later(minutes=5).when(body, by=by)

    again.then_nothing()
    assert again.receipt == first.receipt


# ---- who answers


def test_who_answers_passes_when_it_was_offered_and_the_taker_accepts() -> None:
    story = defined()
    story.when(OfferAccountability(**W, to="ben")).then(AccountabilityOffered(to="ben", from_="ana"))
    assert story.answers() == "ana"
    story.when(TransferAccountability(**W, to="ben"), by="ben").then(
        AccountabilityTransferred(to="ben", from_="ana", accepted_by="ben")
    )
    assert story.answers() == "ben"


def test_nobody_takes_what_somebody_else_answers_for() -> None:
    story = defined()
    story.when(OfferAccountability(**W, to="ben"), by="ben").refused_only("accountability-chain")
    story.when(OfferAccountability(**W, to="ben"), by="bot").refused_only("accountability-chain")
    story.when(TransferAccountability(**W, to="ben"), by="ben").refused_only("accountability-chain")
    story.when(TransferAccountability(**W, to="ben", basis="authority"), by="carla").refused("accountability-chain")
    story.when(TransferAccountability(**W, to="ben", basis="authority"), by="erp").refused("accountability-chain")
    assert story.answers() == "ana"


@pytest.mark.parametrize("giver", ["ana", "root", "carla"])
def test_who_has_the_authority_passes_it_on(giver: str) -> None:
    story = defined().granted("carla", "admin")
    story.when(TransferAccountability(**W, to="ben", basis="authority"), by=giver).then(AccountabilityTransferred)
    assert story.answers() == "ben"


@pytest.mark.parametrize("to", ["bot", "crew", "erp", "zed"])
def test_nobody_but_a_person_who_is_here_is_given_it(to: str) -> None:
    defined().when(OfferAccountability(**W, to=to)).refused_only("accountable-human")
    defined().when(TransferAccountability(**W, to=to, basis="authority")).refused_only("accountable-human")


def test_a_transfer_that_does_not_say_from_whom_is_no_breach() -> None:
    transferred = AccountabilityTransferred(to="ben", basis="authority")
    defined().fact(transferred).finds_nothing()


def test_work_of_somebody_who_leaves_is_their_successors_at_once() -> None:
    story = defined().given(DeactivateParticipant(participant_id="ana", successor="ben"), by="root")
    assert story.answers() == "ben"
    story.when(OfferAccountability(**W, to="carla"), by="ben").then(AccountabilityOffered(to="carla", from_="ben"))


def test_who_answers_goes_on_doing_so_when_the_work_is_done() -> None:
    story = submitted().given(VerifyWork(**W), CompleteWork(**W))
    assert story.answers() == "ana"
    story.given(ParticipantDeactivated(successor="carla"), on="participant/ana")
    assert story.answers() == "carla"


# ---- defining and clarifying


def test_work_that_was_discovered_can_be_defined_however_far_it_has_come() -> None:
    story = Story()
    story.fact(ExecutionStarted(execution_id="E-1", executor="erp")).finds_only(
        "hidden-work", "accountability-defaulted"
    )
    assert story.answers() == "root"

    story.when(DEFINE).then(WorkDefined)
    assert story.state().life.state == "in_progress"
    assert story.answers() == "ana"


def test_work_is_pinned_to_the_versions_in_force_and_keeps_them() -> None:
    story = Story().given(
        CHECK,
        PublishProcess(process_id="refunds", owner="ben", review_policy="check", risk_tier="limited"),
        DefineWork(**W, title="Refund", accountable="ana", process="refunds"),
        PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules(reviewers_required=2))),
        PublishProcess(process_id="refunds", owner="ben", review_policy="check"),
        DefineWork(work_id="W-2", title="Refund", accountable="ana", process="refunds"),
    )
    first, second = story.state("work/W-1").definition, story.state("work/W-2").definition

    assert (first.process.version, first.review_policy.version, first.risk_tier) == (1, 1, "limited")
    assert (second.process.version, second.review_policy.version) == (2, 2)


def test_no_work_begins_under_a_process_that_is_retired() -> None:
    story = process().given(RetireProcess(process_id="refunds"))
    story.when(DefineWork(**W, title="Refund", accountable="ana", process="refunds")).refused_only("unpublished")


def test_a_policy_of_another_kind_is_no_review_policy() -> None:
    story = Story().given(CHECK)
    story.when(DefineWork(**W, title="Refund", accountable="ana", escalation_policy="check")).refused_only(
        "unpublished"
    )


def test_a_clarification_says_what_was_and_what_is() -> None:
    story = defined()
    story.when(ClarifyWork(**W, changes={"title": "Refund order 7", "priority": "high", "requirements": []})).then(
        WorkClarified(changes={"title": Change(old="Refund", new="Refund order 7"), "priority": Change(new="high")})
    )
    assert story.state().definition.priority == "high"
    story.when(ClarifyWork(**W, changes={"priority": "normal"})).then(WorkClarified)
    assert story.state().definition.priority == "normal"


@pytest.mark.parametrize("field", ["accountable", "process", "review_policy", "escalation_policy", "colour"])
def test_what_is_pinned_is_not_clarified(field: str) -> None:
    with pytest.raises(Unreadable, match=f"changes.{field}"):
        defined().when(ClarifyWork(**W, changes={field: None}))


def test_a_clarification_with_a_field_that_is_none_says_which_and_clears_nothing() -> None:
    with pytest.raises(Unreadable, match=r"changes\.purpose\.wy"):
        defined().when(ClarifyWork(work_id="W-1", changes={"purpose": {"wy": "to be fair"}}), by="ana")


def test_a_reported_clarification_neither_moves_who_answers_nor_lifts_the_review() -> None:
    story = Story().given(CHECK, DefineWork(**W, title="Refund", accountable="ana", review_policy="check"))
    story.fact(WorkClarified(changes={"accountable": Change(old="ana", new="ben")})).finds_only("accountability-chain")
    story.fact(WorkClarified(changes={"review_policy": Change(new=None)})).finds_only("control-bypassed")

    assert story.answers() == "ana"
    assert story.state().definition.review_policy is not None


def test_readying_says_what_is_missing() -> None:
    defined().when(ReadyWork(**W, why="The customer waits")).then(
        WorkReadied(why="The customer waits", missing=("what", "when", "how"))
    )


# ---- completing


def test_a_verdict_on_a_criterion_that_there_is_not_is_a_finding() -> None:
    story = submitted()
    story.fact(WorkVerified(criteria=(CriterionVerdict(id="C-9", result="passed"),))).finds_only("criteria-open")


def test_work_is_completed_when_every_criterion_has_its_verdict() -> None:
    criteria = tuple(AcceptanceCriterion(id=f"C-{n}", text="It holds") for n in (1, 2))
    story = Story().given(
        DefineWork(**W, title="Refund", accountable="ana", acceptance_criteria=criteria),
        StartExecution(**W, execution_id="E-1"),
        ExecuteWork(**W, execution_id="E-1", result="completed"),
    )
    passed = CriterionVerdict(id="C-1", result="passed")
    story.when(CompleteWork(**W)).refused("criteria-open")
    story.when(VerifyWork(**W, criteria=(passed,))).refused_only("criteria-open")
    beside = CriterionVerdict(id="C-9", result="passed")
    both = (passed, CriterionVerdict(id="C-2", result="passed"))
    story.when(VerifyWork(**W, criteria=(*both, beside))).refused_only("criteria-open")
    failed = CriterionVerdict(id="C-2", result="failed")
    story.when(VerifyWork(**W, criteria=(passed, failed))).refused_only("criteria-open")
    waived = CriterionVerdict(id="C-2", result="waived")
    story.given(VerifyWork(**W, criteria=(passed, waived)), CompleteWork(**W))
    assert story.state().verdicts == {"C-1": "passed", "C-2": "waived"}


def test_work_is_not_completed_while_a_blocking_escalation_is_open() -> None:
    story = submitted().given(
        EscalateWork(**W, escalation_id="X-1", reason="manual", context=STUCK, blocking=True), VerifyWork(**W)
    )
    story.when(CompleteWork(**W)).refused_only("criteria-open")
    story.given(ResolveEscalation(**W, escalation_id="X-1", outcome="returned"))
    story.when(CompleteWork(**W)).then(WorkCompleted(cycle=1))


def test_reopened_work_is_verified_anew() -> None:
    story = submitted().given(VerifyWork(**W), CompleteWork(**W))
    story.when(ReopenWork(**W, reason="wrong")).then(WorkReopened(cycle=2, reason="wrong"))
    assert (story.state().verdicts, story.state().executor) == ({}, None)


@pytest.mark.parametrize(
    "command",
    [
        AssignWork(**W, executor="scout"), CancelWork(**W), FailWork(**W), ReadyWork(**W),
        ClarifyWork(**W, changes={"title": "Another"}),
    ],
    ids=lambda command: command.verb,
)  # fmt: skip
def test_an_agent_moves_no_work_that_nobody_entrusted_it_with(command: Any) -> None:
    defined().when(command, by="bot").refused_only("undelegated-execution")
    assert entrusted().when(command, by="bot").receipt is not None


def test_an_agent_may_always_ask_and_note() -> None:
    story = defined()
    story.given(AddNote(**W, text="Two orders have this number"), by="bot")
    story.given(EscalateWork(**W, reason="ambiguity", context=STUCK), by="bot")


def test_the_cast_is_registered_without_a_finding() -> None:
    assert Story().findings() == {}
    assert len(CAST) == 7
