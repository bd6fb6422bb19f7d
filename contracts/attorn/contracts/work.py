"""Work: what is to be done, why, by when, how it will be judged, and where it stands.

`by` is who did it where a system reports what people did, and `team` for which team; a command says neither, since
who gave it is the envelope's word.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.ids import (
    Id,
    Name,
    ParticipantId,
    ParticipantOrRole,
    Pinned,
    Priority,
    Recoverable,
    Ref,
    ResourceKey,
    RiskTier,
    Text,
    Timestamp,
    WorkId,
)

Trigger: TypeAlias = Literal["human", "schedule", "event", "agent"]
Layer: TypeAlias = Literal["why", "what", "who", "when", "how"]
AssignmentMode: TypeAlias = Literal["assign", "nominate", "route"]
CriterionResult: TypeAlias = Literal["passed", "failed", "waived"]
Cycle: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1, description="1 for the first time round, +1 when reopened.")]


class Purpose(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why the work is worth doing, and the outcome that it serves."""

    why: Text = ""
    outcome_id: Id | None = None


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What belongs to the work, and what expressly does not."""

    included: tuple[Text, ...] = ()
    excluded: tuple[Text, ...] = ()


class AcceptanceCriterion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that must hold before the work is done, and how that is found out.

    `schema` refers to a JSON Schema; in `json_schema` it stands itself, and the service holds outputs against it.
    """

    id: Id
    text: Text
    check: Literal["human", "schema", "rule"] = "human"
    schema: Ref | None = None
    json_schema: dict[str, Any] | None = None


class Method(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the work is to be done: the instructions to follow and the tools to use."""

    instructions: Ref | None = None
    tools: tuple[Name, ...] = ()


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a field said before, and what it says now."""

    old: Any = None
    new: Any = None


class CriterionVerdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether one acceptance criterion holds, and who says so."""

    id: Id
    result: CriterionResult
    by: ParticipantId | None = None


class WorkDefined(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of work exists, and one person answers for it from this position on."""

    type: ClassVar[str] = "attorn.work.defined.v1"

    title: Name
    accountable: ParticipantId
    process: Pinned | None = None
    parent_id: WorkId | None = None
    trigger: Trigger = "human"
    purpose: Purpose = Purpose()
    scope: Scope = Scope()
    requirements: tuple[Text, ...] = ()
    acceptance_criteria: tuple[AcceptanceCriterion, ...] = ()
    decision_authority: ParticipantOrRole | None = None
    candidates: tuple[ParticipantId, ...] = ()
    contributors: tuple[ParticipantId, ...] = ()
    priority: Priority = "normal"
    due_at: Timestamp | None = None
    start_by: Timestamp | None = None
    method: Method = Method()
    depends_on: tuple[WorkId, ...] = ()
    dedup_key: Name | None = None
    resource_keys: tuple[ResourceKey, ...] = ()
    risk_tier: RiskTier | None = None
    recoverable: Recoverable | None = None
    context: tuple[Ref, ...] = ()
    review_policy: Pinned | None = None
    escalation_policy: Pinned | None = None


class WorkClarified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the work is was said more exactly; every changed field, before and after."""

    type: ClassVar[str] = "attorn.work.clarified.v1"

    changes: dict[str, Change]
    reason: Text = ""


class WorkReadied(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work can be taken up: why, what, who, when and how are answered, but for what is `missing`."""

    type: ClassVar[str] = "attorn.work.readied.v1"

    why: Text = ""
    what: Text = ""
    who: Text = ""
    when: Text = ""
    how: Text = ""
    missing: tuple[Layer, ...] = ()
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class WorkReprioritized(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work is now more, or less, urgent than it was."""

    type: ClassVar[str] = "attorn.work.reprioritized.v1"

    new: Priority
    old: Priority | None = None
    reason: Text = ""


class WorkAssigned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`executor` is to carry the work out. Who answers for it has not changed."""

    type: ClassVar[str] = "attorn.work.assigned.v1"

    executor: ParticipantId
    mode: AssignmentMode = "assign"
    reason: Text = ""
    team: ParticipantId | None = None


class WorkUnassigned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The executor was taken off the work; it is open to its candidates again."""

    type: ClassVar[str] = "attorn.work.unassigned.v1"

    executor: ParticipantId | None = None
    reason: Text = ""


class WorkDeclined(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whoever was to carry the work out will not, and says why."""

    type: ClassVar[str] = "attorn.work.declined.v1"

    executor: ParticipantId | None = None
    reason: Text = ""


class WorkSubmitted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The executor considers the work done and hands these outputs over to be judged."""

    type: ClassVar[str] = "attorn.work.submitted.v1"

    outputs: tuple[Id, ...] = ()
    note: Text = ""
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class WorkVerified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work was held against its acceptance criteria, one verdict each."""

    type: ClassVar[str] = "attorn.work.verified.v1"

    criteria: tuple[CriterionVerdict, ...] = ()
    note: Text = ""


class WorkCompleted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every acceptance criterion has a verdict and the work is done. Accountability does not end here."""

    type: ClassVar[str] = "attorn.work.completed.v1"

    cycle: Cycle | None = None
    note: Text = ""
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class WorkReopened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Work that had ended is open again, in a new cycle; the old cycle stays as it was."""

    type: ClassVar[str] = "attorn.work.reopened.v1"

    cycle: Cycle | None = None
    reason: Text = ""


class WorkSuspended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work rests, on somebody's word, until it is resumed."""

    type: ClassVar[str] = "attorn.work.suspended.v1"

    reason: Text = ""
    until: Timestamp | None = None
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class WorkResumed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work goes on from where it rested."""

    type: ClassVar[str] = "attorn.work.resumed.v1"

    reason: Text = ""
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class WorkFailed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work ended without its result; `retryable` says whether trying again could help."""

    type: ClassVar[str] = "attorn.work.failed.v1"

    error_class: Name | None = None
    retryable: bool = False
    reason: Text = ""
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class WorkCancelled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work is no longer wanted."""

    type: ClassVar[str] = "attorn.work.cancelled.v1"

    by: ParticipantId | None = None
    reason: Text = ""
    team: ParticipantId | None = None


class WorkSuperseded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work ended because other work takes its place, often because both were the same."""

    type: ClassVar[str] = "attorn.work.superseded.v1"

    duplicate_of: WorkId | None = None
    reason: Text = ""


class DefineWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let there be this work, and let `accountable` answer for it. The versions in force are pinned by the service."""

    verb: ClassVar[str] = "work.define"

    work_id: WorkId
    title: Name
    accountable: ParticipantId
    process: Id | None = None
    parent_id: WorkId | None = None
    trigger: Trigger = "human"
    purpose: Purpose = Purpose()
    scope: Scope = Scope()
    requirements: tuple[Text, ...] = ()
    acceptance_criteria: tuple[AcceptanceCriterion, ...] = ()
    decision_authority: ParticipantOrRole | None = None
    candidates: tuple[ParticipantId, ...] = ()
    contributors: tuple[ParticipantId, ...] = ()
    priority: Priority = "normal"
    due_at: Timestamp | None = None
    start_by: Timestamp | None = None
    method: Method = Method()
    depends_on: tuple[WorkId, ...] = ()
    dedup_key: Name | None = None
    resource_keys: tuple[ResourceKey, ...] = ()
    risk_tier: RiskTier | None = None
    recoverable: Recoverable | None = None
    context: tuple[Ref, ...] = ()
    review_policy: Id | None = None
    escalation_policy: Id | None = None


class ClarifyWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say more exactly what the work is: the new value of each field; what it said before is known to the service."""

    verb: ClassVar[str] = "work.clarify"

    work_id: WorkId
    changes: dict[str, Any]
    reason: Text = ""


class ReadyWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Open the work to be taken up; what is missing is found by the service."""

    verb: ClassVar[str] = "work.ready"

    work_id: WorkId
    why: Text = ""
    what: Text = ""
    who: Text = ""
    when: Text = ""
    how: Text = ""


class AssignWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Have `executor` carry the work out. With the mode `route`, the service may find one among the candidates."""

    verb: ClassVar[str] = "work.assign"

    work_id: WorkId
    executor: ParticipantId | None = None
    mode: AssignmentMode = "assign"
    reason: Text = ""


class SubmitWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Hand the outputs over to be judged."""

    verb: ClassVar[str] = "work.submit"

    work_id: WorkId
    outputs: tuple[Id, ...] = ()
    note: Text = ""


class VerifyWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Give a verdict on the acceptance criteria."""

    verb: ClassVar[str] = "work.verify"

    work_id: WorkId
    criteria: tuple[CriterionVerdict, ...] = ()
    note: Text = ""


class CompleteWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that the work is done."""

    verb: ClassVar[str] = "work.complete"

    work_id: WorkId
    note: Text = ""


class ReopenWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Open work that had ended once more."""

    verb: ClassVar[str] = "work.reopen"

    work_id: WorkId
    reason: Text = ""


class FailWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """End the work without its result."""

    verb: ClassVar[str] = "work.fail"

    work_id: WorkId
    error_class: Name | None = None
    retryable: bool = False
    reason: Text = ""


class CancelWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """End the work because it is no longer wanted."""

    verb: ClassVar[str] = "work.cancel"

    work_id: WorkId
    reason: Text = ""


class ReprioritizeWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say how urgent the work is now; what it was before is known to the service."""

    verb: ClassVar[str] = "work.reprioritize"

    work_id: WorkId
    priority: Priority
    reason: Text = ""


class UnassignWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take the executor off the work."""

    verb: ClassVar[str] = "work.unassign"

    work_id: WorkId
    reason: Text = ""


class DeclineWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Not carry out what one was assigned; said by whoever was to carry it out."""

    verb: ClassVar[str] = "work.decline"

    work_id: WorkId
    reason: Text = ""


class SuspendWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let the work rest until it is resumed; `until` is when that is expected."""

    verb: ClassVar[str] = "work.suspend"

    work_id: WorkId
    reason: Text = ""
    until: Timestamp | None = None


class ResumeWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let the work go on from where it rested."""

    verb: ClassVar[str] = "work.resume"

    work_id: WorkId
    reason: Text = ""


class SupersedeWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """End the work because other work takes its place."""

    verb: ClassVar[str] = "work.supersede"

    work_id: WorkId
    duplicate_of: WorkId | None = None
    reason: Text = ""
