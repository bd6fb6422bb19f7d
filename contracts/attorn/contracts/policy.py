"""Policies: the declarative rules, in versions, that reviews, escalations, delegations and authority follow.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.delegation import Budget, Condition
from attorn.contracts.escalation import DefaultAction, Rung
from attorn.contracts.ids import (
    Autonomy,
    Cel,
    Count,
    Duration,
    Id,
    Money,
    Name,
    ParticipantId,
    ParticipantOrRole,
    Ratio,
    ResourceKey,
    Text,
    Timestamp,
    Version,
)

PolicyKind: TypeAlias = Literal["review", "escalation", "delegation", "authority", "retention"]


class ReviewRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many look at an output, who may, and which outputs; `when` selects outputs whatever the sample says.

    `seconds_min` is how long it takes to look at an output with care; consent far below it is suspected.
    """

    reviewers_required: Annotated[int, Meta(ge=0, le=100)] = 1
    human_required: bool = True
    exclude_executor: bool = True
    sample_rate: Ratio = 1.0
    excluded: tuple[ParticipantId, ...] = ()
    candidates: tuple[ParticipantOrRole, ...] = ()
    respond_within: Duration | None = None
    when: Cel | None = None
    seconds_min: Count = 0


class EscalationRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ladder, how often it is climbed again, and what is done when nobody decides.

    `question_required`: whoever asks for help says what has to be decided, so that nobody has to ask back.
    """

    ladder: tuple[Rung, ...] = ()
    repeat: Count = 0
    default_action: DefaultAction | None = None
    question_required: bool = True


class DelegationRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The widest delegation that may be given; what is absent is not limited."""

    activities: tuple[Name, ...] | None = None
    resource_keys: tuple[ResourceKey, ...] | None = None
    exclusions: tuple[Text, ...] = ()
    conditions: tuple[Condition, ...] = ()
    max_budget: Budget | None = None
    max_duration: Duration | None = None
    max_depth: Annotated[int, Meta(ge=0, le=64)] | None = None
    may_subdelegate: bool = True
    max_autonomy: Autonomy = "act"
    escalate_when: tuple[Cel, ...] = ()


class AuthorityLimit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody may decide: these activities, up to this amount, where this holds."""

    who: ParticipantOrRole
    activities: tuple[Name, ...] = ()
    up_to: Money | None = None
    when: Cel | None = None


class AuthorityRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who may decide what, and who may waive a review or move accountability without being asked to accept it."""

    limits: tuple[AuthorityLimit, ...] = ()
    may_waive_review: tuple[ParticipantOrRole, ...] = ()
    may_transfer: tuple[ParticipantOrRole, ...] = ()


class RetentionRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long payloads are kept, and on what ground they may be erased; positions and digests stay for ever."""

    keep_for: Duration | None = None
    families: tuple[Name, ...] = ()
    legal_basis: Text = ""


class PolicyRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a policy says; the part that belongs to its kind."""

    review: ReviewRules | None = None
    escalation: EscalationRules | None = None
    delegation: DelegationRules | None = None
    authority: AuthorityRules | None = None
    retention: RetentionRules | None = None


class PolicyPublished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This version of the policy is what new work is pinned to, from `effective_at` on."""

    type: ClassVar[str] = "attorn.policy.published.v1"

    version: Version
    kind: PolicyKind
    rules: PolicyRules
    effective_at: Timestamp | None = None


class PublishPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Put a policy, or its next version, into force."""

    verb: ClassVar[str] = "policy.publish"

    policy_id: Id
    kind: PolicyKind
    rules: PolicyRules
    effective_at: Timestamp | None = None
