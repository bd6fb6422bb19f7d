"""Processes, policies, outcomes and sources: versions, the people behind them, what has to be said before AI acts."""

from datetime import timedelta
from time import process_time
from typing import Any, Final

import msgspec
import pytest

from attorn.contracts import door
from attorn.contracts.delegation import Condition
from attorn.contracts.escalation import Rung
from attorn.contracts.ids import Money, Pinned
from attorn.contracts.outcome import (
    BaselineRecorded,
    DefineOutcome,
    OutcomeDefined,
    OutcomeUpdated,
    RecordBaseline,
    UpdateOutcome,
)
from attorn.contracts.participant import AddTeamMember, GrantRole, RevokeRole
from attorn.contracts.policy import (
    AuthorityLimit,
    AuthorityRules,
    DelegationRules,
    EscalationRules,
    PolicyPublished,
    PolicyRules,
    PublishPolicy,
    RetentionRules,
    ReviewRules,
)
from attorn.contracts.process import (
    Collaboration,
    MapProcess,
    ProcessMapped,
    ProcessPublished,
    ProcessRetired,
    PublishProcess,
    Raci,
    RetireProcess,
    Step,
)
from attorn.contracts.refusal import Unreadable
from attorn.contracts.service_review import (
    CloseServiceReview,
    HoldServiceReview,
    OpenServiceReview,
    ServiceReviewClosed,
    ServiceReviewHeld,
    ServiceReviewOpened,
)
from attorn.contracts.source import RegisterSource, SourceRegistered
from attorn.services.process.lint import lint
from story import BEGIN, Story

HOUR: Final = timedelta(hours=1)
CHECK: Final = PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules()))


def help_(*targets: str) -> PublishPolicy:
    rungs = tuple(Rung(rung=n, targets=(target,), ack_within=HOUR) for n, target in enumerate(targets, 1))
    rules = PolicyRules(escalation=EscalationRules(ladder=rungs))
    return PublishPolicy(policy_id="help", kind="escalation", rules=rules)


def publish(**said: Any) -> PublishProcess:
    return PublishProcess(process_id="refunds", owner="ana", **said)


def test_every_publication_is_the_next_version_with_the_policies_pinned() -> None:
    story = Story().given(CHECK)
    story.when(publish(review_policy="check")).then(
        ProcessPublished(version=1, owner="ana", review_policy=Pinned(id="check", version=1))
    )
    story.when(publish(review_policy="check")).then_nothing()
    story.given(PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules(sample_rate=0.5))))
    story.when(publish(review_policy="check")).then(
        ProcessPublished(version=2, owner="ana", review_policy=Pinned(id="check", version=2))
    )


@pytest.mark.parametrize("owner", ["bot", "crew", "erp", "zed"])
def test_a_process_is_owned_by_a_person(owner: str) -> None:
    Story().when(PublishProcess(process_id="refunds", owner=owner)).refused_only("owner-human")


def test_high_risk_wants_a_reviewer_and_somebody_to_ask() -> None:
    story = Story().given(CHECK, help_("ben"))
    lacking = story.when(publish(risk_tier="high"))
    lacking.refused_only("controls-missing")
    assert [breach.field for breach in lacking.breaches] == ["data.review_policy", "data.escalation_policy"]
    story.when(publish(risk_tier="high", review_policy="check")).refused_only("controls-missing")
    story.when(publish(risk_tier="high", review_policy="check", escalation_policy="help")).then(ProcessPublished)


def test_a_process_names_policies_that_are_published_and_in_force_and_of_the_kind() -> None:
    story = Story().given(CHECK)
    story.when(publish(review_policy="unheard-of")).refused_only("unpublished")
    story.when(publish(escalation_policy="check")).refused_only("unpublished")
    later = PublishPolicy(
        policy_id="later", kind="review", rules=PolicyRules(review=ReviewRules()), effective_at=BEGIN + HOUR
    )
    story.given(later)
    story.when(publish(review_policy="later")).refused_only("unpublished")
    story.later(hours=2).when(publish(review_policy="later")).then(ProcessPublished)


def test_a_process_is_retired_and_comes_back_as_a_new_version() -> None:
    story = Story().given(publish())
    story.when(RetireProcess(process_id="refunds", version=1)).then(ProcessRetired)
    story.when(RetireProcess(process_id="refunds", version=1)).then_nothing()
    story.when(publish()).then(ProcessPublished(version=2, owner="ana"))
    story.when(RetireProcess(process_id="refunds")).then(ProcessRetired)


def test_what_was_never_published_is_not_retired() -> None:
    Story().when(RetireProcess(process_id="refunds")).refused_only("unpublished")
    Story().given(publish()).when(RetireProcess(process_id="refunds", version=2)).refused_only("unpublished")


def test_a_policy_has_versions_and_says_what_its_kind_says() -> None:
    story = Story().given(CHECK)
    story.when(CHECK).then_nothing()
    story.when(
        PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules(sample_rate=0)))
    ).then(PolicyPublished(version=2, kind="review", rules=PolicyRules(review=ReviewRules(sample_rate=0))))
    with pytest.raises(Unreadable, match=r"rules\.review"):
        story.when(PublishPolicy(policy_id="check", kind="review", rules=PolicyRules()))


@pytest.mark.parametrize("last", ["bot", "crew", "zed", "reviewer"])
def test_a_ladder_ends_at_a_person_or_at_a_role_that_one_holds(last: str) -> None:
    Story().when(help_("scout", last)).refused("ladder-human")
    Story().granted("ben", "reviewer").when(help_("bot", "reviewer")).then(PolicyPublished)
    Story().when(help_()).refused_only("ladder-human")


def test_a_source_has_a_person_as_its_custodian_and_may_get_another() -> None:
    def source(custodian: str) -> RegisterSource:
        return RegisterSource(source_id="crm", uri="https://crm.example", custodian=custodian)

    story = Story()
    story.when(source("bot")).refused_only("custodian-human")
    story.when(source("ana")).then(SourceRegistered)
    story.when(source("ben")).then(SourceRegistered)
    assert story.people().custodian("crm") == "ben"


# ---- what a process says


TOGETHER: Final = Collaboration(
    participation="AI decides small refunds.",
    accountability="Ana answers for every refund.",
    collaboration="What AI cannot decide goes to Ben.",
    visibility="Every action is recorded.",
)


def step(id: str, *next: str, **said: Any) -> Step:
    return Step(step_id=id, name=id, next=next, **({"raci": Raci(A="ana", R="ben")} | said))


def sound(**said: Any) -> PublishProcess:
    """A process of two steps, in one of which AI acts, against which nothing can be said."""
    return PublishProcess(
        **{
            "process_id": "refunds",
            "owner": "ana",
            "purpose": "Money back",
            "entry_criteria": ("the order exists",),
            "exit_criteria": ("the customer has an answer",),
            "steps": (step("decide", "reply", ai_mode="act_then_review"), step("reply")),
            "review_policy": "check",
            "escalation_policy": "help",
            "ai_work": TOGETHER,
        }
        | said
    )


def published(command: PublishProcess, version: int = 1) -> ProcessPublished:
    said = {name: getattr(command, name) for name in ProcessPublished.__struct_fields__ if name != "version"}
    for field in ("review_policy", "escalation_policy"):
        said[field] = Pinned(id=said[field], version=1) if said[field] is not None else None
    return ProcessPublished(version=version, **said)


def ready() -> Story:
    return Story().given(CHECK, help_("ben"))


def test_nothing_is_said_against_a_process_that_says_all() -> None:
    assert lint(sound()) == ()
    ready().when(sound()).then(published(sound()))


def test_every_step_has_one_who_answers_and_leads_to_a_person() -> None:
    with pytest.raises(Unreadable, match=r"raci\.A"):
        door.command(msgspec.json.encode(sound()).replace(b'"A":"ana"', b'"A":["ana","ben"]'), PublishProcess)
    for raci in (Raci(R="bot"), Raci(A="bot"), Raci(A="crew"), Raci(A="zed"), Raci(A="reviewer")):
        command = sound(steps=(step("decide", raci=raci),))
        refused = ready().when(command)
        refused.refused_only("step-accountable")
        assert [breach.field for breach in refused.breaches] == ["data.steps[decide].raci"]
        ready().fact(published(command), on="process/refunds").finds_only("step-accountable")
    ready().granted("ben", "reviewer").when(sound(steps=(step("decide", raci=Raci(A="reviewer")),))).then(
        ProcessPublished
    )


@pytest.mark.parametrize("missing", Collaboration.__struct_fields__)
def test_a_process_with_a_step_for_ai_says_how_people_and_ai_work_together(missing: str) -> None:
    command = sound(ai_work=msgspec.structs.replace(TOGETHER, **{missing: " "}))
    refused = ready().when(command)
    refused.refused_only("collaboration-unsaid")
    assert [breach.field for breach in refused.breaches] == [f"data.ai_work.{missing}"]
    ready().fact(published(command), on="process/refunds").finds_only("collaboration-unsaid")
    ready().when(sound(ai_work=None)).refused_only("collaboration-unsaid")
    by_people = sound(ai_work=None, steps=(step("decide"),))
    ready().when(by_people).then(ProcessPublished)


@pytest.mark.parametrize("mode", ["none", "suggest", "act_with_approval", "act_then_review", "act"])
def test_where_a_failure_cannot_be_undone_ai_acts_only_with_approval(mode: Any) -> None:
    command = sound(recoverable="no", steps=(step("decide", ai_mode=mode),))
    if mode in ("act_then_review", "act"):
        ready().when(command).refused_only("autonomy-unrecoverable")
        ready().fact(published(command), on="process/refunds").finds_only("autonomy-unrecoverable")
    else:
        ready().when(command).then(ProcessPublished)
    ready().when(msgspec.structs.replace(command, recoverable="partial")).then(ProcessPublished)


def test_a_process_with_steps_says_who_is_asked_when_work_is_stuck() -> None:
    command = sound(escalation_policy=None)
    ready().when(command).refused_only("controls-missing")
    ready().fact(published(command), on="process/refunds").finds_only("controls-missing")
    ready().when(help_("ben", "bot")).refused_only("ladder-human")


def test_steps_have_ids_of_their_own_and_lead_to_steps_that_there_are() -> None:
    for steps in ((step("a", "b"),), (step("a"), step("a"))):
        ready().when(sound(steps=steps)).refused_only("process-unsound")
        ready().fact(published(sound(steps=steps)), on="process/refunds").finds_only("process-unsound")
        Story().when(MapProcess(process_id="refunds", origin="mined", steps=steps)).refused_only("process-unsound")


def test_lint_names_what_is_missing_and_where() -> None:
    command = sound(
        escalation_policy=None,
        review_policy=None,
        entry_criteria=(),
        exit_criteria=(),
        steps=(
            step("a", "b", "c", raci=Raci(A="ana")),
            step("b", ai_mode="act"),
            step("c", "d"),
            step("d", "c"),
            step("e", may_end=True),
            step("f"),
        ),
    )
    found = {(flaw.code, flaw.field) for flaw in lint(command, has_owner=False)}
    assert found == {
        ("missing-owner", "owner"),
        ("missing-escalation-path", "escalation_policy"),
        ("missing-entry-criteria", "entry_criteria"),
        ("missing-exit-criteria", "exit_criteria"),
        ("no-role", "steps[a].raci"),
        ("ai-unreviewed", "review_policy"),
        ("dead-end", "steps[a].next"),
        ("dead-end", "steps[b].next"),
        ("dead-end", "steps[c].next"),
        ("dead-end", "steps[d].next"),
        ("unreachable", "steps[e].next"),
        ("unreachable", "steps[f].next"),
    }


def test_lint_fails_without_a_beginning_and_an_end() -> None:
    assert [flaw.field for flaw in lint(sound(entry_criteria=()))] == ["entry_criteria"]
    assert [flaw.field for flaw in lint(sound(exit_criteria=()))] == ["exit_criteria"]


def test_what_is_wrong_with_a_very_long_process_is_said_in_a_short_time_and_a_short_answer() -> None:
    steps = tuple(step(f"s{n}", f"s{n + 1}", "nowhere", raci=Raci()) for n in range(5_000))
    began = process_time()
    refused = Story().when(sound(steps=steps, review_policy=None, escalation_policy=None))
    assert process_time() - began < 2
    refused.refused("process-unsound")
    assert len(refused.breaches) <= 100
    assert max(len(breach.detail) for breach in refused.breaches) < 200


# ---- versions, and who publishes them


def test_versions_only_grow() -> None:
    story = ready().given(sound())
    story.fact(published(sound(), 1), on="process/refunds").finds_only("version-increasing")
    story.fact(published(sound(), 5), on="process/refunds").finds_nothing()
    story.when(sound(purpose="Other")).then(published(sound(purpose="Other"), 6))
    again = PolicyPublished(version=1, kind="review", rules=PolicyRules(review=ReviewRules()))
    story.fact(again, on="policy/check").finds_only("version-increasing")


def test_once_there_is_a_workflow_architect_only_one_publishes_and_retires() -> None:
    story = Story().given(publish(), by="ben")
    story.given(GrantRole(participant_id="carla", role="workflow_architect", scope="process/claims"), by="root")
    story.given(publish(purpose="more"), by="ben")
    story.given(GrantRole(participant_id="carla", role="workflow_architect"), by="root")

    for person in ("ana", "ben", "root"):
        story.when(publish(purpose="other"), by=person).refused_only("architect-only")
        story.when(RetireProcess(process_id="refunds"), by=person).refused_only("architect-only")
    story.fact(ProcessPublished(version=3, owner="ana"), on="process/refunds").finds_only("architect-only")
    story.when(publish(purpose="other"), by="carla").then(ProcessPublished)

    story.given(RevokeRole(participant_id="carla", role="workflow_architect"), by="root")
    story.when(publish(purpose="again"), by="ana").then(ProcessPublished)


def test_an_architect_whose_time_is_over_or_who_has_left_locks_nothing() -> None:
    story = Story()
    until = BEGIN + HOUR
    story.given(GrantRole(participant_id="carla", role="workflow_architect", valid_until=until), by="root")
    story.when(publish()).refused_only("architect-only")
    story.later(hours=2).when(publish()).then(ProcessPublished)


def test_a_process_is_mapped_before_and_after_it_is_published() -> None:
    story = Story()
    mapped = MapProcess(process_id="refunds", origin="documented", steps=(step("a"),), judgment="low")
    story.when(mapped).then(ProcessMapped)
    story.when(mapped).then_nothing()
    story.when(MapProcess(process_id="refunds", origin="mined")).then(ProcessMapped)


def test_a_process_that_succeeds_another_is_in_force() -> None:
    story = Story().given(publish())
    story.when(RetireProcess(process_id="refunds", successor="unheard-of")).refused_only("unpublished")
    story.when(RetireProcess(process_id="refunds", successor="refunds")).refused_only("unpublished")
    story.given(PublishProcess(process_id="payback", owner="ana"))
    story.when(RetireProcess(process_id="refunds", successor="payback")).then(ProcessRetired(successor="payback"))


# ---- policies that can be followed


def rules(kind: Any, **said: Any) -> PublishPolicy:
    return PublishPolicy(policy_id="p", kind=kind, rules=PolicyRules(**said))


def ladder(*rungs: tuple[int, tuple[str, ...], timedelta]) -> PublishPolicy:
    steps = tuple(Rung(rung=rung, targets=targets, ack_within=within) for rung, targets, within in rungs)
    return rules("escalation", escalation=EscalationRules(ladder=steps))


CEL: Final = "action.amount <= 200"
BAD: Final = "action.amount <="
UNSOUND: Final = {
    "too few reviewers": rules("review", review=ReviewRules(reviewers_required=2, candidates=("ben",))),
    "reviewers excluded": rules("review", review=ReviewRules(candidates=("ben",), excluded=("ben",))),
    "nobody there": rules("review", review=ReviewRules(candidates=("bne",))),
    "one of them not there": rules("review", review=ReviewRules(candidates=("ben", "bne"))),
    "a team of nobody": rules("review", review=ReviewRules(candidates=("crew",))),
    "a role that nobody holds": rules("review", review=ReviewRules(candidates=("reviewer",))),
    "nobody there to exclude": rules("review", review=ReviewRules(excluded=("bne",))),
    "agents where people review": rules("review", review=ReviewRules(candidates=("bot", "scout"))),
    "no time to review": rules("review", review=ReviewRules(respond_within=timedelta(0))),
    "a condition nobody can read": rules("review", review=ReviewRules(when=BAD)),
    "rungs out of order": ladder((2, ("ben",), HOUR), (1, ("ana",), HOUR)),
    "a rung that asks nobody": ladder((1, (), HOUR), (2, ("ana",), HOUR)),
    "a rung that asks who is not there": ladder((1, ("bne",), HOUR), (2, ("ana",), HOUR)),
    "a rung without time": ladder((1, ("ana",), timedelta(0))),
    "two conditions of one name": rules("delegation", delegation=DelegationRules(
        conditions=(Condition(id="c", expr=CEL), Condition(id="c", expr=CEL)))),
    "a bad condition": rules("delegation", delegation=DelegationRules(conditions=(Condition(id="c", expr=BAD),))),
    "a bad trigger": rules("delegation", delegation=DelegationRules(escalate_when=(BAD,))),
    "a delegation of no length": rules("delegation", delegation=DelegationRules(max_duration=timedelta(0))),
    "less than nothing": rules("authority", authority=AuthorityRules(
        limits=(AuthorityLimit(who="ana", up_to=Money(amount="-1", currency="EUR")),))),
    "a bad limit": rules("authority", authority=AuthorityRules(limits=(AuthorityLimit(who="ana", when=BAD),))),
    "more conditions than anybody reads": rules("delegation", delegation=DelegationRules(escalate_when=(CEL,) * 101)),
    "more limits than anybody reads": rules("authority", authority=AuthorityRules(
        limits=(AuthorityLimit(who="ana"),) * 101)),
    "more rungs than anybody climbs": ladder(*((n, ("ana",), HOUR) for n in range(1, 101)), (100, ("ana",), HOUR)),
    "nothing kept": rules("retention", retention=RetentionRules(keep_for=timedelta(0))),
}  # fmt: skip


@pytest.mark.parametrize("which", UNSOUND)
def test_a_policy_that_nobody_could_follow_is_not_published(which: str) -> None:
    command = UNSOUND[which]
    refused = Story().when(command)
    refused.refused_only("policy-unsound")
    assert all(breach.field and breach.field.startswith("data.rules.") for breach in refused.breaches)
    said = PolicyPublished(version=1, kind=command.kind, rules=command.rules)
    Story().fact(said, on="policy/p").finds_only("policy-unsound")


def test_a_policy_keeps_its_kind() -> None:
    story = Story().given(CHECK)
    other = PublishPolicy(policy_id="check", kind="retention", rules=PolicyRules(retention=RetentionRules()))
    story.when(other).refused_only("policy-unsound")
    story.fact(PolicyPublished(version=2, kind="retention", rules=PolicyRules()), on="policy/check").finds_only(
        "policy-unsound"
    )


def test_policies_of_every_kind_that_can_be_followed_are_published() -> None:
    story = Story().given(AddTeamMember(team_id="crew", member="ana"))
    for name, command in {
        "r": rules("review", review=ReviewRules(reviewers_required=2, candidates=("ben", "carla"), sample_rate=0.1,
                                                when="output.confidence < 0.8")),
        "t": rules("review", review=ReviewRules(reviewers_required=3, candidates=("crew", "reviewer"))),
        "d": rules("delegation", delegation=DelegationRules(conditions=(Condition(id="c", expr=CEL),))),
        "a": rules("authority", authority=AuthorityRules(
            limits=(AuthorityLimit(who="ana", up_to=Money(amount="5000.00", currency="EUR")),))),
        "k": rules("retention", retention=RetentionRules(keep_for=timedelta(days=3650))),
    }.items():  # fmt: skip
        story.when(msgspec.structs.replace(command, policy_id=name)).then(PolicyPublished)


# ---- outcomes


def test_an_outcome_is_defined_once_and_changed_after() -> None:
    story = Story()
    outcome = DefineOutcome(outcome_id="trust", statement="Customers come back", owner="ana")
    story.when(UpdateOutcome(outcome_id="trust", target="40 %")).refused_only("outcome-once")
    story.when(RecordBaseline(outcome_id="trust", metric="minutes", value="22")).refused_only("outcome-once")
    story.when(outcome).then(OutcomeDefined)
    story.when(outcome).then_nothing()
    story.when(DefineOutcome(outcome_id="trust", statement="Other")).refused_only("outcome-once")
    story.when(UpdateOutcome(outcome_id="trust", target="40 %", owner="ana")).then(OutcomeUpdated(target="40 %"))
    story.when(UpdateOutcome(outcome_id="trust", target="40 %")).then_nothing()
    story.when(RecordBaseline(outcome_id="trust", metric="minutes", value="22")).then(BaselineRecorded)
    story.when(RecordBaseline(outcome_id="trust", metric="minutes", value="22")).then_nothing()
    story.fact(OutcomeDefined(statement="Again"), on="outcome/trust").finds_only("outcome-once")
    assert story.state("outcome/trust").now.target == "40 %"


@pytest.mark.parametrize("owner", ["bot", "crew", "zed"])
def test_an_outcome_is_owned_by_a_person_or_by_nobody(owner: str) -> None:
    story = Story()
    story.when(DefineOutcome(outcome_id="trust", statement="x", owner=owner)).refused_only("owner-human")
    story.fact(OutcomeDefined(statement="x", owner=owner), on="outcome/trust").finds_only("owner-human")
    story.when(UpdateOutcome(outcome_id="trust", target="40 %"), by="bot").refused("undelegated-execution")
    story.when(DefineOutcome(outcome_id="speed", statement="x")).then(OutcomeDefined)


# ---- service reviews


FIGURES: Final = "sha256:" + "a" * 64
CALL: Final = OpenServiceReview(
    process_id="refunds", service_review_id="R-03", period="2026-03", scope="bot", metrics_digest=FIGURES
)
HOLD: Final = HoldServiceReview(
    process_id="refunds", service_review_id="R-03", decisions=("go on",), actions=("train",)
)
CLOSE: Final = CloseServiceReview(process_id="refunds", service_review_id="R-03")


def test_a_service_review_is_opened_held_over_its_figures_and_closed() -> None:
    story = Story()
    for early in (HOLD, CLOSE):
        story.when(early).refused_only("service-review-open")
    story.when(CALL).then(ServiceReviewOpened)
    story.when(CALL).then_nothing()
    story.when(msgspec.structs.replace(CALL, period="2026-04")).refused_only("service-review-open")
    story.when(CLOSE).refused_only("service-review-open")
    story.when(msgspec.structs.replace(HOLD, metrics_digest="sha256:" + "b" * 64)).refused_only("service-review-open")
    story.when(HOLD).then(ServiceReviewHeld)
    story.when(HOLD).then_nothing()
    story.when(CLOSE).then(
        ServiceReviewClosed(service_review_id="R-03", period="2026-03", scope="bot", metrics_digest=FIGURES,
                            decisions=("go on",), actions=("train",))
    )  # fmt: skip
    story.when(CLOSE).then_nothing()
    story.when(msgspec.structs.replace(HOLD, decisions=("stop",))).refused_only("service-review-open")
    story.fact(ServiceReviewClosed(service_review_id="R-04"), on="process/refunds").finds_only("service-review-open")
