"""Participants: the humans, agents, teams and systems that take part, and what each may do.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.ids import (
    Count,
    Digest,
    Duration,
    Id,
    Name,
    ParticipantId,
    ParticipantKind,
    Position,
    Ratio,
    Text,
    Timestamp,
    Uri,
    Version,
)

Role: TypeAlias = Literal["workflow_architect", "agent_manager", "reviewer", "auditor", "custodian", "admin"]
Covers: TypeAlias = Literal["review", "escalation", "accountability"]
RoleScope: TypeAlias = Annotated[
    str, Meta(max_length=200, description="A stream such as process/refunds; empty means everywhere.")
]


class Capacity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much a participant can take on: items at a time, and hours a week."""

    wip: Count
    hours: Annotated[float, Meta(ge=0, le=168)] | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The language model that an agent runs on."""

    provider: Name
    name: Name
    version: Name | None = None


class SigningKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A public key, and from which position of the log on it speaks for its owner."""

    key_id: Id
    public_key: Annotated[str, Meta(min_length=1, max_length=4_096)]
    valid_from: Position | None = None


class StepInstructions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The instructions that an agent follows in one step, by their digest."""

    step: Id
    dig: Digest
    uri: Uri | None = None


class VolumeFloor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The least that an agent at work gets done in a stretch of time; less means that something is wrong."""

    count: Count
    per: Duration | None = None


class Oversight(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How closely people look: the share of outputs that are reviewed, and how often the agent itself is."""

    sample_rate: Ratio = 1.0
    review_every: Duration | None = None


class ParticipantRegistered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A human, an agent, a team or a system takes part; an agent or a system has a human sponsor."""

    type: ClassVar[str] = "attorn.participant.registered.v1"

    participant_id: ParticipantId
    kind: ParticipantKind
    display_name: Name
    org_unit: Name | None = None
    reports_to: ParticipantId | None = None
    sponsor: ParticipantId | None = None
    external_party: Name | None = None
    capabilities: tuple[Name, ...] = ()
    capacity: Capacity | None = None
    model: Model | None = None
    signing_keys: tuple[SigningKey, ...] = ()


class ParticipantUpdated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a participant has changed; a field that is absent stays as it was.

    `was` are the words that the changed fields had before, where whoever reports it knows.
    """

    type: ClassVar[str] = "attorn.participant.updated.v1"

    display_name: Name | None = None
    org_unit: Name | None = None
    sponsor: ParticipantId | None = None
    external_party: Name | None = None
    capabilities: tuple[Name, ...] | None = None
    capacity: Capacity | None = None
    model: Model | None = None
    was: dict[str, Any] = {}


class ParticipantKeyRegistered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From `valid_from` on, what this key signed is the participant's word."""

    type: ClassVar[str] = "attorn.participant.key_registered.v1"

    key_id: Id
    public_key: Annotated[str, Meta(min_length=1, max_length=4_096)]
    valid_from: Position | None = None


class ParticipantKeyRevoked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From `valid_from` on, what this key signs counts for nothing."""

    type: ClassVar[str] = "attorn.participant.key_revoked.v1"

    key_id: Id
    valid_from: Position | None = None
    reason: Text = ""


class ParticipantSuspended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The participant is stopped: it may claim nothing, and what it was entrusted with rests."""

    type: ClassVar[str] = "attorn.participant.suspended.v1"

    reason: Text = ""
    scope: RoleScope = ""


class ParticipantResumed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The participant may go on."""

    type: ClassVar[str] = "attorn.participant.resumed.v1"

    reason: Text = ""
    scope: RoleScope = ""


class ParticipantDeactivated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The participant has left; `successor` answers for everything that was theirs from this position on."""

    type: ClassVar[str] = "attorn.participant.deactivated.v1"

    reason: Text = ""
    successor: ParticipantId | None = None


class ParticipantManagerChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The participant reports to somebody else now, or to nobody."""

    type: ClassVar[str] = "attorn.participant.manager_changed.v1"

    old: ParticipantId | None = None
    new: ParticipantId | None = None


class TeamMemberAdded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`member` is one of the team, and so a candidate for its work."""

    type: ClassVar[str] = "attorn.team.member_added.v1"

    member: ParticipantId


class TeamMemberRemoved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`member` is no longer one of the team."""

    type: ClassVar[str] = "attorn.team.member_removed.v1"

    member: ParticipantId


class RoleGranted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The participant may act in this role, within `scope`, until it is revoked or lapses."""

    type: ClassVar[str] = "attorn.role.granted.v1"

    role: Role
    scope: RoleScope = ""
    valid_until: Timestamp | None = None


class RoleRevoked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The participant may no longer act in this role."""

    type: ClassVar[str] = "attorn.role.revoked.v1"

    role: Role
    scope: RoleScope = ""
    reason: Text = ""


class AbsenceDeclared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The participant will be away, and `substitute` stands in for what the absence covers."""

    type: ClassVar[str] = "attorn.absence.declared.v1"

    from_: Timestamp = msgspec.field(name="from")
    until: Timestamp
    substitute: ParticipantId | None = None
    covers: tuple[Covers, ...] = ("review", "escalation", "accountability")


class AbsenceEnded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The participant is back."""

    type: ClassVar[str] = "attorn.absence.ended.v1"

    reason: Text = ""


class AgentDeployed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This version of the agent works in a process, under these instructions, and is expected to show signs of life."""

    type: ClassVar[str] = "attorn.agent.deployed.v1"

    process_id: Id
    process_version: Version | None = None
    environment: Name = "production"
    agent_version: Name | None = None
    instructions: tuple[StepInstructions, ...] = ()
    heartbeat: Duration | None = None
    volume_floor: VolumeFloor | None = None
    oversight: Oversight | None = None


class AgentUndeployed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The agent no longer works in the process."""

    type: ClassVar[str] = "attorn.agent.undeployed.v1"

    process_id: Id
    environment: Name = "production"
    reason: Text = ""


class LivenessLost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The agent has gone silent: it was last seen longer ago than its heartbeat allows."""

    type: ClassVar[str] = "attorn.liveness.lost.v1"

    last_seen: Timestamp | None = None
    expected_every: Duration | None = None


class LivenessRestored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The agent that had gone silent shows signs of life again."""

    type: ClassVar[str] = "attorn.liveness.restored.v1"

    last_seen: Timestamp | None = None
    expected_every: Duration | None = None


class AttestationGiven(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The participant looked at `subject` and vouches for it until `valid_until`."""

    type: ClassVar[str] = "attorn.attestation.given.v1"

    subject: Uri
    statement: Text
    valid_until: Timestamp | None = None


class RegisterParticipant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let somebody, or something, take part."""

    verb: ClassVar[str] = "participant.register"

    participant_id: ParticipantId
    kind: ParticipantKind
    display_name: Name
    org_unit: Name | None = None
    reports_to: ParticipantId | None = None
    sponsor: ParticipantId | None = None
    external_party: Name | None = None
    capabilities: tuple[Name, ...] = ()
    capacity: Capacity | None = None
    model: Model | None = None
    signing_keys: tuple[SigningKey, ...] = ()


class DeactivateParticipant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let a participant go, and say who answers for what was theirs."""

    verb: ClassVar[str] = "participant.deactivate"

    participant_id: ParticipantId
    reason: Text = ""
    successor: ParticipantId | None = None


class GrantRole(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let a participant act in a role."""

    verb: ClassVar[str] = "role.grant"

    participant_id: ParticipantId
    role: Role
    scope: RoleScope = ""
    valid_until: Timestamp | None = None


class RevokeRole(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take a role away again."""

    verb: ClassVar[str] = "role.revoke"

    participant_id: ParticipantId
    role: Role
    scope: RoleScope = ""
    reason: Text = ""


class UpdateParticipant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Change what is known of a participant; a field that is absent stays as it is."""

    verb: ClassVar[str] = "participant.update"

    participant_id: ParticipantId
    display_name: Name | None = None
    org_unit: Name | None = None
    sponsor: ParticipantId | None = None
    external_party: Name | None = None
    capabilities: tuple[Name, ...] | None = None
    capacity: Capacity | None = None
    model: Model | None = None


class SuspendParticipant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Stop a participant, everywhere or in one process."""

    verb: ClassVar[str] = "participant.suspend"

    participant_id: ParticipantId
    reason: Text = ""
    scope: RoleScope = ""


class ResumeParticipant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let a participant that was stopped go on."""

    verb: ClassVar[str] = "participant.resume"

    participant_id: ParticipantId
    reason: Text = ""
    scope: RoleScope = ""


class ChangeManager(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let a participant report to somebody else, or to nobody."""

    verb: ClassVar[str] = "manager.change"

    participant_id: ParticipantId
    new: ParticipantId | None = None


class RegisterKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let what a key signs be the participant's word, from a position on; by default from where this is recorded."""

    verb: ClassVar[str] = "key.register"

    participant_id: ParticipantId
    key_id: Id
    public_key: Annotated[str, Meta(min_length=1, max_length=4_096)]
    valid_from: Position | None = None


class RevokeKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let what a key signs count for nothing, from a position on; by default from where this is recorded."""

    verb: ClassVar[str] = "key.revoke"

    participant_id: ParticipantId
    key_id: Id
    valid_from: Position | None = None
    reason: Text = ""


class AddTeamMember(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Make somebody one of a team."""

    verb: ClassVar[str] = "team.add"

    team_id: ParticipantId
    member: ParticipantId


class RemoveTeamMember(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let somebody be one of a team no longer."""

    verb: ClassVar[str] = "team.remove"

    team_id: ParticipantId
    member: ParticipantId


class DeclareAbsence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say when somebody is away, and who stands in for what."""

    verb: ClassVar[str] = "absence.declare"

    participant_id: ParticipantId
    from_: Timestamp = msgspec.field(name="from")
    until: Timestamp
    substitute: ParticipantId
    covers: tuple[Covers, ...] = ("review", "escalation", "accountability")


class EndAbsence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that somebody is back."""

    verb: ClassVar[str] = "absence.end"

    participant_id: ParticipantId
    reason: Text = ""


class DeployAgent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let an agent work in a process; the version in force is pinned where none is named."""

    verb: ClassVar[str] = "agent.deploy"

    participant_id: ParticipantId
    process_id: Id
    process_version: Version | None = None
    environment: Name = "production"
    agent_version: Name | None = None
    instructions: tuple[StepInstructions, ...] = ()
    heartbeat: Duration | None = None
    volume_floor: VolumeFloor | None = None
    oversight: Oversight | None = None


class UndeployAgent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take an agent out of a process."""

    verb: ClassVar[str] = "agent.undeploy"

    participant_id: ParticipantId
    process_id: Id
    environment: Name = "production"
    reason: Text = ""


class GiveAttestation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Vouch, in one's own name, for a process, a policy or an agent as it is."""

    verb: ClassVar[str] = "attestation.give"

    participant_id: ParticipantId
    subject: Uri
    statement: Text
    valid_until: Timestamp | None = None
