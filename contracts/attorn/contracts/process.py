"""Processes: how a kind of work is meant to flow, who owns it, and where AI may take part.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar, Literal, TypeAlias

import msgspec

from attorn.contracts.ids import (
    Count,
    Duration,
    Id,
    Name,
    ParticipantId,
    ParticipantOrRole,
    Pinned,
    Recoverable,
    Ref,
    RiskTier,
    Text,
    Timestamp,
    Version,
)

AiMode: TypeAlias = Literal["none", "suggest", "act_with_approval", "act_then_review", "act"]
Judgment: TypeAlias = Literal["low", "medium", "high"]
Origin: TypeAlias = Literal["documented", "mined"]


class Raci(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who answers for a step (A), carries it out (R), is asked (C) and is told (I)."""

    A: ParticipantOrRole | None = None
    R: ParticipantOrRole | None = None
    C: tuple[ParticipantOrRole, ...] = ()
    I: tuple[ParticipantOrRole, ...] = ()  # noqa: E741  RACI's own letters are the stored names.


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a process: who, what it takes, how far AI may go, how long it may take, what comes next.

    The first step is where the process begins; it ends in the last, and in any other that `may_end` it.
    """

    step_id: Id
    name: Name
    raci: Raci = Raci()
    needs: tuple[Name, ...] = ()
    ai_mode: AiMode = "none"
    instructions: Ref | None = None
    sla: Duration | None = None
    next: tuple[Id, ...] = ()
    may_end: bool = False


class Collaboration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How people and AI work together in a process: what AI takes part in, who answers for what it makes, how the two
    hand over to each other, and how what AI does is seen."""

    participation: Text = ""
    accountability: Text = ""
    collaboration: Text = ""
    visibility: Text = ""


class ProcessMapped(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This is how the work flows today, as somebody wrote it down or as the log shows it; a draft, not a rule."""

    type: ClassVar[str] = "attorn.process.mapped.v1"

    origin: Origin
    steps: tuple[Step, ...] = ()
    volume_per_month: Count | None = None
    judgment: Judgment | None = None
    recoverable: Recoverable | None = None


class ProcessPublished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This version says how the work is to flow, and `owner` answers for work in it that nobody else answers for."""

    type: ClassVar[str] = "attorn.process.published.v1"

    version: Version
    owner: ParticipantId
    purpose: Text = ""
    entry_criteria: tuple[Text, ...] = ()
    exit_criteria: tuple[Text, ...] = ()
    steps: tuple[Step, ...] = ()
    definition_of_ready: tuple[Text, ...] = ()
    review_policy: Pinned | None = None
    escalation_policy: Pinned | None = None
    risk_tier: RiskTier | None = None
    recoverable: Recoverable | None = None
    retention: Duration | None = None
    cadence: Name | None = None
    calendar: Name | None = None
    change_summary: Text = ""
    effective_at: Timestamp | None = None
    grace: Duration | None = None
    ai_work: Collaboration | None = None


class ProcessRetired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """No new work begins under this version, or under any where none is named."""

    type: ClassVar[str] = "attorn.process.retired.v1"

    version: Version | None = None
    successor: Id | None = None


class PublishProcess(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Put a process, or its next version, into force. The policies' versions are pinned by the service."""

    verb: ClassVar[str] = "process.publish"

    process_id: Id
    owner: ParticipantId
    purpose: Text = ""
    entry_criteria: tuple[Text, ...] = ()
    exit_criteria: tuple[Text, ...] = ()
    steps: tuple[Step, ...] = ()
    definition_of_ready: tuple[Text, ...] = ()
    review_policy: Id | None = None
    escalation_policy: Id | None = None
    risk_tier: RiskTier | None = None
    recoverable: Recoverable | None = None
    retention: Duration | None = None
    cadence: Name | None = None
    calendar: Name | None = None
    change_summary: Text = ""
    effective_at: Timestamp | None = None
    grace: Duration | None = None
    ai_work: Collaboration | None = None


class RetireProcess(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let no new work begin under a version, or under any where none is named."""

    verb: ClassVar[str] = "process.retire"

    process_id: Id
    version: Version | None = None
    successor: Id | None = None


class MapProcess(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Write down how the work flows today, before anything of it is handed to AI."""

    verb: ClassVar[str] = "process.map"

    process_id: Id
    origin: Origin
    steps: tuple[Step, ...] = ()
    volume_per_month: Count | None = None
    judgment: Judgment | None = None
    recoverable: Recoverable | None = None
