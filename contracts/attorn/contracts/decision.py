"""Decisions: what was recommended, what was asked, what somebody chose and why.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar, Literal, TypeAlias

import msgspec

from attorn.contracts.ids import Id, Name, ParticipantId, ParticipantOrRole, Ratio, Text, Timestamp

RecommendationAnswer: TypeAlias = Literal["accepted", "rejected"]


class Option(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way out, and what choosing it would do."""

    id: Id
    label: Name
    effect: Text = ""


class RecommendationMade(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody, often an agent, says what they would do. Nothing is decided by it."""

    type: ClassVar[str] = "attorn.recommendation.made.v1"

    recommendation_id: Id
    recommendation: Text
    confidence: Ratio | None = None
    decision_id: Id | None = None
    execution_id: Id | None = None


class RecommendationAnswered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The recommendation was taken or turned down, for this reason."""

    type: ClassVar[str] = "attorn.recommendation.answered.v1"

    recommendation_id: Id
    answer: RecommendationAnswer
    reason: Text = ""


class DecisionRequested(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work has come to a choice that is not the executor's to make."""

    type: ClassVar[str] = "attorn.decision.requested.v1"

    decision_id: Id
    question: Text
    options: tuple[Option, ...] = ()
    from_: ParticipantOrRole | None = msgspec.field(default=None, name="from")
    respond_by: Timestamp | None = None


class DecisionMade(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`decider` chose, and said why; `followed` says whether that was what had been recommended."""

    type: ClassVar[str] = "attorn.decision.made.v1"

    decision_id: Id
    decider: ParticipantId
    chosen: Text
    rationale: Text = ""
    options: tuple[Option, ...] = ()
    recommendation_id: Id | None = None
    followed: bool | None = None
