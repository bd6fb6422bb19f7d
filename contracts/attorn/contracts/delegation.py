"""Delegation: a human entrusts somebody with part of the work, within bounds, and can take it back.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.ids import (
    Autonomy,
    Cel,
    Count,
    Duration,
    Id,
    Money,
    Name,
    ParticipantId,
    Ref,
    ResourceKey,
    Text,
    Timestamp,
    Version,
    WorkId,
)

OnViolation: TypeAlias = Literal["refuse", "escalate", "flag"]


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must hold for everything done under a delegation, and what happens when it does not."""

    id: Id
    expr: Cel
    on_violation: OnViolation = "refuse"


class ExpectedOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that the delegate is to deliver, and the acceptance criteria that it serves.

    `schema` refers to the JSON Schema that it obeys; in `json_schema` it stands itself, and the service holds outputs
    against it.
    """

    name: Name
    media_type: Text | None = None
    schema: Ref | None = None
    criteria: tuple[Id, ...] = ()
    required: bool = True
    json_schema: dict[str, Any] | None = None


class Budget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most that may be spent; what is absent is not limited."""

    money: Money | None = None
    tokens: Count | None = None
    actions: Count | None = None
    elapsed: Duration | None = None


class WorkDelegated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`delegate` may act in the work for `delegator`, within these bounds. Who answers for it has not changed."""

    type: ClassVar[str] = "attorn.work.delegated.v1"

    delegation_id: Id
    delegator: ParticipantId
    delegate: ParticipantId
    parent_id: Id | None = None
    activities: tuple[Name, ...] = ()
    resource_keys: tuple[ResourceKey, ...] = ()
    exclusions: tuple[Text, ...] = ()
    conditions: tuple[Condition, ...] = ()
    expected_outputs: tuple[ExpectedOutput, ...] = ()
    budget: Budget | None = None
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    max_uses: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    may_subdelegate: bool = False
    max_depth: Annotated[int, Meta(ge=0, le=64)] = 0
    autonomy: Autonomy = "suggest"
    escalate_when: tuple[Cel, ...] = ()
    instructions: Ref | None = None
    process_version: Version | None = None


class DelegationAccepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The delegate took on what it was entrusted with."""

    type: ClassVar[str] = "attorn.delegation.accepted.v1"

    delegation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""


class DelegationDeclined(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The delegate would not take it on."""

    type: ClassVar[str] = "attorn.delegation.declined.v1"

    delegation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""


class DelegationNarrowed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The delegate may do less than before; a bound that is absent stays as it was."""

    type: ClassVar[str] = "attorn.delegation.narrowed.v1"

    delegation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""
    activities: tuple[Name, ...] | None = None
    resource_keys: tuple[ResourceKey, ...] | None = None
    budget: Budget | None = None
    valid_until: Timestamp | None = None
    max_uses: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    autonomy: Autonomy | None = None
    exclusions: tuple[Text, ...] | None = None


class DelegationSuspended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """For now, nothing may be done under the delegation."""

    type: ClassVar[str] = "attorn.delegation.suspended.v1"

    delegation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""


class DelegationResumed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What rested may be done again, by the delegate and by whoever rested with them."""

    type: ClassVar[str] = "attorn.delegation.resumed.v1"

    delegation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""


class DelegationRevoked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The delegation was taken back, and with it, at this same position, every one that descends from it."""

    type: ClassVar[str] = "attorn.delegation.revoked.v1"

    delegation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""


class DelegationExpired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The time for which the delegation was given is over."""

    type: ClassVar[str] = "attorn.delegation.expired.v1"

    delegation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""


class DelegationExhausted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The delegation's budget, or the number of times that it may be used, is spent."""

    type: ClassVar[str] = "attorn.delegation.exhausted.v1"

    delegation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""


class DelegateWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Entrust `delegate` with part of the work. Who asks is the delegator."""

    verb: ClassVar[str] = "work.delegate"

    work_id: WorkId
    delegate: ParticipantId
    delegation_id: Id | None = None
    parent_id: Id | None = None
    activities: tuple[Name, ...] = ()
    resource_keys: tuple[ResourceKey, ...] = ()
    exclusions: tuple[Text, ...] = ()
    conditions: tuple[Condition, ...] = ()
    expected_outputs: tuple[ExpectedOutput, ...] = ()
    budget: Budget | None = None
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    max_uses: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    may_subdelegate: bool = False
    max_depth: Annotated[int, Meta(ge=0, le=64)] = 0
    autonomy: Autonomy = "suggest"
    escalate_when: tuple[Cel, ...] = ()
    instructions: Ref | None = None
    process_version: Version | None = None


class AcceptDelegation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take on what was entrusted."""

    verb: ClassVar[str] = "delegation.accept"

    work_id: WorkId
    delegation_id: Id
    reason: Text = ""


class DeclineDelegation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Do not take on what was entrusted."""

    verb: ClassVar[str] = "delegation.decline"

    work_id: WorkId
    delegation_id: Id
    reason: Text = ""


class RevokeDelegation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take back what was entrusted, and all that descends from it."""

    verb: ClassVar[str] = "delegation.revoke"

    work_id: WorkId
    delegation_id: Id
    reason: Text = ""


class NarrowDelegation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let the delegate do less than before; a bound that is not named stays as it is."""

    verb: ClassVar[str] = "delegation.narrow"

    work_id: WorkId
    delegation_id: Id
    reason: Text = ""
    activities: tuple[Name, ...] | None = None
    resource_keys: tuple[ResourceKey, ...] | None = None
    exclusions: tuple[Text, ...] | None = None
    budget: Budget | None = None
    valid_until: Timestamp | None = None
    max_uses: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    autonomy: Autonomy | None = None


class SuspendDelegation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let nothing be done under it, nor under what descends from it, until it is resumed."""

    verb: ClassVar[str] = "delegation.suspend"

    work_id: WorkId
    delegation_id: Id
    reason: Text = ""


class ResumeDelegation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let what rested be done again."""

    verb: ClassVar[str] = "delegation.resume"

    work_id: WorkId
    delegation_id: Id
    reason: Text = ""


class ExpireDelegation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that its time is over. It ends by its time anyway; with this the log says so."""

    verb: ClassVar[str] = "delegation.expire"

    work_id: WorkId
    delegation_id: Id
    reason: Text = ""
