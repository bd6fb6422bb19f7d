"""Execution: somebody carries the work out; what they did, what they had to ask, how it ended.

`by` and `team` are who did it, and for which team, where a system reports what people did.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.decision import Option
from attorn.contracts.ids import (
    Count,
    Digest,
    Id,
    Money,
    Name,
    ParticipantId,
    ParticipantOrRole,
    Percent,
    Ratio,
    Text,
    Timestamp,
    Uri,
    Version,
    WorkId,
)
from attorn.contracts.output import Output
from attorn.contracts.participant import Model

ExecutionResult: TypeAlias = Literal["completed", "failed", "aborted"]
ActionResult: TypeAlias = Literal["succeeded", "failed"]
InputKind: TypeAlias = Literal["information", "approval", "authorization", "decision"]
InputResponse: TypeAlias = Literal["accept", "edit", "respond", "ignore", "decline"]


class Cost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an execution used up; what is absent was not measured."""

    money: Money | None = None
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    human_seconds: Count | None = None


class ExecutionStarted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`executor` has begun: under which delegation, with which claim, following which instructions, on which model."""

    type: ClassVar[str] = "attorn.execution.started.v1"

    execution_id: Id
    executor: ParticipantId
    step_id: Id | None = None
    attempt: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1
    delegation_id: Id | None = None
    claim_id: Id | None = None
    fence: Count | None = None
    process_version: Version | None = None
    instructions_dig: Digest | None = None
    agent_version: Name | None = None
    model: Model | None = None
    team: ParticipantId | None = None


class ExecutionProgressed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The execution has come this far."""

    type: ClassVar[str] = "attorn.execution.progressed.v1"

    execution_id: Id
    percent: Percent | None = None
    note: Text = ""
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class ExecutionActionRecorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing was done with one tool; `side_effect`: it changed something, `assist`: it helped a human who works.

    `amount` is what it moved, where it moved money.
    """

    type: ClassVar[str] = "attorn.execution.action_recorded.v1"

    execution_id: Id
    action_id: Id
    tool: Name
    args_dig: Digest | None = None
    target: Uri | None = None
    side_effect: bool = False
    idempotency_key: Name | None = None
    result: ActionResult = "succeeded"
    error_class: Name | None = None
    assist: bool = False
    amount: Money | None = None


class ExecutionGuided(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody told the executor, while it worked, how to go on."""

    type: ClassVar[str] = "attorn.execution.guided.v1"

    execution_id: Id
    text: Text
    by: ParticipantId | None = None


class ExecutionAdapted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The executor changed its plan, for this reason."""

    type: ClassVar[str] = "attorn.execution.adapted.v1"

    execution_id: Id
    before: tuple[Text, ...] = ()
    after: tuple[Text, ...] = ()
    reason: Text = ""


class ExecutionInputRequired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The execution waits for an answer that only `from` can give."""

    type: ClassVar[str] = "attorn.execution.input_required.v1"

    execution_id: Id
    request_id: Id
    from_: ParticipantOrRole = msgspec.field(name="from")
    kind: InputKind = "information"
    question: Text
    schema: dict[str, Any] | None = None
    options: tuple[Option, ...] = ()
    respond_by: Timestamp | None = None
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class ExecutionInputProvided(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The question has its answer, and the execution can go on."""

    type: ClassVar[str] = "attorn.execution.input_provided.v1"

    request_id: Id
    response: InputResponse
    answer: Any = None
    execution_id: Id | None = None
    by: ParticipantId | None = None


class WorkExecuted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The execution is over: how it ended, what it produced, what it cost."""

    type: ClassVar[str] = "attorn.work.executed.v1"

    execution_id: Id
    result: ExecutionResult
    outputs: tuple[Output, ...] = ()
    cost: Cost | None = None
    confidence: Ratio | None = None
    error_class: Name | None = None
    retryable: bool | None = None


class StartExecution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Begin to carry the work out; who asks is the executor unless another is named."""

    verb: ClassVar[str] = "execution.start"

    work_id: WorkId
    execution_id: Id | None = None
    executor: ParticipantId | None = None
    step_id: Id | None = None
    attempt: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    delegation_id: Id | None = None
    claim_id: Id | None = None
    fence: Count | None = None
    process_version: Version | None = None
    instructions_dig: Digest | None = None
    agent_version: Name | None = None
    model: Model | None = None


class ProgressExecution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say how far the execution has come."""

    verb: ClassVar[str] = "execution.progress"

    work_id: WorkId
    execution_id: Id
    percent: Percent | None = None
    note: Text = ""


class RecordAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say what was done with a tool."""

    verb: ClassVar[str] = "execution.record_action"

    work_id: WorkId
    execution_id: Id
    tool: Name
    action_id: Id | None = None
    args_dig: Digest | None = None
    target: Uri | None = None
    side_effect: bool = False
    idempotency_key: Name | None = None
    result: ActionResult = "succeeded"
    error_class: Name | None = None
    assist: bool = False
    amount: Money | None = None


class GuideExecution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Tell the executor, while it works, how to go on."""

    verb: ClassVar[str] = "execution.guide"

    work_id: WorkId
    execution_id: Id
    text: Text


class AdaptExecution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say how the plan changed, and why. What was approved of the plan before has to be approved again."""

    verb: ClassVar[str] = "execution.adapt"

    work_id: WorkId
    execution_id: Id
    reason: Text
    before: tuple[Text, ...] = ()
    after: tuple[Text, ...] = ()


class RequireInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask somebody for what the execution cannot go on without."""

    verb: ClassVar[str] = "execution.require_input"

    work_id: WorkId
    execution_id: Id
    from_: ParticipantOrRole = msgspec.field(name="from")
    question: Text
    request_id: Id | None = None
    kind: InputKind = "information"
    schema: dict[str, Any] | None = None
    options: tuple[Option, ...] = ()
    respond_by: Timestamp | None = None


class ProvideInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Answer what the execution asked."""

    verb: ClassVar[str] = "execution.provide_input"

    work_id: WorkId
    request_id: Id
    response: InputResponse
    answer: Any = None


class ExecuteWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Report that the execution is over, and what came of it."""

    verb: ClassVar[str] = "work.execute"

    work_id: WorkId
    execution_id: Id
    result: ExecutionResult
    outputs: tuple[Output, ...] = ()
    cost: Cost | None = None
    confidence: Ratio | None = None
    error_class: Name | None = None
    retryable: bool | None = None
