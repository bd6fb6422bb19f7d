"""Decisions: what was recommended, what was asked, what somebody chose and why.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar, Literal, TypeAlias

import msgspec

from attorn.contracts.ids import Id, Money, Name, ParticipantId, ParticipantOrRole, Ratio, Text, Timestamp, WorkId

RecommendationAnswer: TypeAlias = Literal["accepted", "rejected"]


class Option(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way out, and what choosing it would do."""

    id: Id
    label: Name
    effect: Text = ""


class RecommendationMade(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody, often an agent, says what they would do. Nothing is decided by it.

    `option_id` is the option that they would choose, where the decision offers some.
    """

    type: ClassVar[str] = "attorn.recommendation.made.v1"

    recommendation_id: Id
    recommendation: Text
    confidence: Ratio | None = None
    decision_id: Id | None = None
    execution_id: Id | None = None
    by: ParticipantId | None = None
    option_id: Id | None = None


class RecommendationAnswered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The recommendation of `recommended_by` was taken or turned down, for this reason."""

    type: ClassVar[str] = "attorn.recommendation.answered.v1"

    recommendation_id: Id
    answer: RecommendationAnswer
    reason: Text = ""
    by: ParticipantId | None = None
    recommended_by: ParticipantId | None = None


class DecisionRequested(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work has come to a choice that is not the executor's to make.

    It is about `activity`, and about `amount`, where authority has limits by kind or by sum. Requested again, with the
    escalation that led there, it goes on to somebody with more say. The execution that waits for it gets the answer.
    """

    type: ClassVar[str] = "attorn.decision.requested.v1"

    decision_id: Id
    question: Text
    options: tuple[Option, ...] = ()
    from_: ParticipantOrRole | None = msgspec.field(default=None, name="from")
    respond_by: Timestamp | None = None
    execution_id: Id | None = None
    activity: Name | None = None
    amount: Money | None = None
    escalation_id: Id | None = None


class DecisionMade(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`decider` chose, and said why; `followed` says whether that was what `recommended_by` had recommended."""

    type: ClassVar[str] = "attorn.decision.made.v1"

    decision_id: Id
    decider: ParticipantId
    chosen: Text
    rationale: Text = ""
    options: tuple[Option, ...] = ()
    recommendation_id: Id | None = None
    followed: bool | None = None
    recommended_by: ParticipantId | None = None
    activity: Name | None = None
    amount: Money | None = None


class MakeRecommendation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say what you would do."""

    verb: ClassVar[str] = "recommendation.make"

    work_id: WorkId
    recommendation: Text
    recommendation_id: Id | None = None
    option_id: Id | None = None
    confidence: Ratio | None = None
    decision_id: Id | None = None
    execution_id: Id | None = None


class AnswerRecommendation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take a recommendation, or turn it down and say why."""

    verb: ClassVar[str] = "recommendation.answer"

    work_id: WorkId
    recommendation_id: Id
    answer: RecommendationAnswer
    reason: Text = ""


class RequestDecision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask for a decision; of whom is the work's decision authority unless another is named. An execution waits for it.

    What is above the limits of whoever is asked goes to the next authority on the org chart at once.
    """

    verb: ClassVar[str] = "decision.request"

    work_id: WorkId
    question: Text
    decision_id: Id | None = None
    options: tuple[Option, ...] = ()
    from_: ParticipantOrRole | None = msgspec.field(default=None, name="from")
    respond_by: Timestamp | None = None
    execution_id: Id | None = None
    activity: Name | None = None
    amount: Money | None = None


class MakeDecision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Choose, and say why. What is above the limits of who chooses is escalated, and not decided."""

    verb: ClassVar[str] = "decision.make"

    work_id: WorkId
    decision_id: Id
    chosen: Text
    rationale: Text = ""
    recommendation_id: Id | None = None
    amount: Money | None = None
