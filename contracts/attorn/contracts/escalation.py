"""Escalation: the work needs somebody with more say; who was told, who took it up, what they decided.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.decision import Option
from attorn.contracts.ids import (
    Count,
    Duration,
    Id,
    Name,
    ParticipantId,
    ParticipantOrRole,
    Ref,
    Severity,
    Text,
    Timestamp,
    WorkId,
)

EscalationReason: TypeAlias = Literal[
    "exception",
    "ambiguity",
    "out_of_scope",
    "low_confidence",
    "policy_required",
    "decision_needed",
    "authorization_needed",
    "deadline_start",
    "deadline_completion",
    "review_overdue",
    "no_eligible_executor",
    "stalled",
    "liveness_lost",
    "drift",
    "duplicate",
    "control_bypassed",
    "budget_exhausted",
    "manual",
]
AdvanceCause: TypeAlias = Literal["ack_timeout", "declined", "manual"]
EscalationOutcome: TypeAlias = Literal[
    "returned", "taken_over", "reassigned", "redefined", "approved", "denied", "work_cancelled"
]
RungNumber: TypeAlias = Annotated[int, Meta(ge=1, le=100, description="A step of the ladder, counted from 1.")]


class Rung(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a ladder: who is told, over which channels, and how long they have to take it up."""

    rung: RungNumber
    targets: tuple[ParticipantOrRole, ...]
    ack_within: Duration
    channels: tuple[Name, ...] = ()


class DefaultAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is done when nobody has decided after so long: take `option`, or just go on asking."""

    after: Duration
    option: Id | None = None


class EscalationContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody needs to decide without asking back: what happened, what was tried, what could be done."""

    summary: Text
    question: Text = ""
    attempts: tuple[Text, ...] = ()
    evidence: tuple[Ref, ...] = ()
    options: tuple[Option, ...] = ()
    recommendation: Text | None = None


class WorkEscalated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work needs somebody with more say; a `blocking` escalation halts it until it is resolved."""

    type: ClassVar[str] = "attorn.work.escalated.v1"

    escalation_id: Id
    reason: EscalationReason
    raised_by: ParticipantId
    context: EscalationContext
    severity: Severity = "medium"
    blocking: bool = False
    ladder: tuple[Rung, ...] = ()
    repeat: Count = 0
    default_action: DefaultAction | None = None
    next_rung_at: Timestamp | None = None


class EscalationNotified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """These persons were told; unless one of them takes it up, the next step is due at `next_rung_at`."""

    type: ClassVar[str] = "attorn.escalation.notified.v1"

    escalation_id: Id
    rung: RungNumber
    persons: tuple[ParticipantId, ...] = ()
    next_rung_at: Timestamp | None = None


class EscalationAcknowledged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`by` has taken it up, and means to have an answer by `ack_until`."""

    type: ClassVar[str] = "attorn.escalation.acknowledged.v1"

    escalation_id: Id
    by: ParticipantId
    ack_until: Timestamp | None = None


class EscalationUnacknowledged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whoever had taken it up no longer has it; it waits for somebody again."""

    type: ClassVar[str] = "attorn.escalation.unacknowledged.v1"

    escalation_id: Id
    cause: Text = ""


class EscalationAdvanced(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """It went up the ladder, from one rung to the next."""

    type: ClassVar[str] = "attorn.escalation.advanced.v1"

    escalation_id: Id
    from_: RungNumber = msgspec.field(name="from")
    to: RungNumber
    cause: AdvanceCause = "ack_timeout"


class EscalationReassigned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """It was given to somebody else, outside the ladder's order."""

    type: ClassVar[str] = "attorn.escalation.reassigned.v1"

    escalation_id: Id
    to: ParticipantId
    from_: ParticipantId | None = msgspec.field(default=None, name="from")
    reason: Text = ""


class EscalationAnswered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody decided, and said how the work is to go on."""

    type: ClassVar[str] = "attorn.escalation.answered.v1"

    escalation_id: Id
    option_id: Id | None = None
    decision: Text = ""
    instructions: Text = ""
    by: ParticipantId | None = None


class EscalationExhausted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everybody on the ladder was told and nobody took it up; this was round number `round`."""

    type: ClassVar[str] = "attorn.escalation.exhausted.v1"

    escalation_id: Id
    round: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1


class EscalationResolved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """It is over: `outcome` says what became of the work."""

    type: ClassVar[str] = "attorn.escalation.resolved.v1"

    escalation_id: Id
    outcome: EscalationOutcome
    by: ParticipantId | None = None
    note: Text = ""


class EscalationCancelled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nobody needs to decide any more."""

    type: ClassVar[str] = "attorn.escalation.cancelled.v1"

    escalation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""


class EscalationReopened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What had been settled is not; somebody has to look again, and the work waits again where it is `blocking`."""

    type: ClassVar[str] = "attorn.escalation.reopened.v1"

    escalation_id: Id
    by: ParticipantId | None = None
    reason: Text = ""
    blocking: bool = False


class EscalateWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask for somebody with more say. Whom, and how long they have, the policy decides."""

    verb: ClassVar[str] = "work.escalate"

    work_id: WorkId
    reason: EscalationReason
    context: EscalationContext
    escalation_id: Id | None = None
    severity: Severity = "medium"
    blocking: bool = False


class AcknowledgeEscalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take it up."""

    verb: ClassVar[str] = "escalation.acknowledge"

    work_id: WorkId
    escalation_id: Id
    ack_until: Timestamp | None = None


class UnacknowledgeEscalation(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Give it back: those who were asked before are asked again."""

    verb: ClassVar[str] = "escalation.unacknowledge"

    work_id: WorkId
    escalation_id: Id
    cause: Text = ""


class AdvanceEscalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take it up the ladder now, without waiting for the time to run out."""

    verb: ClassVar[str] = "escalation.advance"

    work_id: WorkId
    escalation_id: Id
    cause: AdvanceCause = "manual"


class ReassignEscalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask this person instead, outside the ladder's order."""

    verb: ClassVar[str] = "escalation.reassign"

    work_id: WorkId
    escalation_id: Id
    to: ParticipantId
    reason: Text = ""


class ReopenEscalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that what had been settled is not."""

    verb: ClassVar[str] = "escalation.reopen"

    work_id: WorkId
    escalation_id: Id
    reason: Text = ""


class AnswerEscalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Decide, and say how the work is to go on."""

    verb: ClassVar[str] = "escalation.answer"

    work_id: WorkId
    escalation_id: Id
    option_id: Id | None = None
    decision: Text = ""
    instructions: Text = ""


class ResolveEscalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Settle it, and say what became of the work."""

    verb: ClassVar[str] = "escalation.resolve"

    work_id: WorkId
    escalation_id: Id
    outcome: EscalationOutcome
    note: Text = ""


class CancelEscalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take back the request for somebody with more say."""

    verb: ClassVar[str] = "escalation.cancel"

    work_id: WorkId
    escalation_id: Id
    reason: Text = ""
