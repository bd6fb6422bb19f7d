"""Processes, policies and sources: versions, the people behind them, the controls that high risk wants."""

from datetime import timedelta
from typing import Any, Final

import pytest

from attorn.contracts.escalation import Rung
from attorn.contracts.ids import Pinned
from attorn.contracts.policy import EscalationRules, PolicyPublished, PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import ProcessPublished, ProcessRetired, PublishProcess, RetireProcess
from attorn.contracts.refusal import Unreadable
from attorn.contracts.source import RegisterSource, SourceRegistered
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
    Story().when(help_("scout", last)).refused_only("ladder-human")
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
