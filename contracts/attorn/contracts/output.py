"""Outputs: what came out of the work, what was checked, who received it.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.ids import Digest, Id, ParticipantId, Text, Uri, WorkId

Contribution: TypeAlias = Literal["human", "ai", "ai_assisted", "mixed"]
CheckMethod: TypeAlias = Literal["human", "schema", "rule"]
CheckResult: TypeAlias = Literal["passed", "failed"]
CheckPlace: TypeAlias = Literal["here", "elsewhere"]


class Output(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that the work produced. Its bytes are kept elsewhere; the digest says which bytes they are."""

    output_id: Id
    dig: Digest
    name: Text = ""
    media_type: Text = "application/octet-stream"
    uri: Uri | None = None
    contribution: Contribution | None = None
    supersedes: Id | None = None


class OutputProduced(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """There is something to look at already, before the execution ends."""

    type: ClassVar[str] = "attorn.output.produced.v1"

    output: Output
    execution_id: Id | None = None


class OutputValidated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The output was held against one acceptance criterion, or against what the delegation of that id expects of it.

    `by` says so. Where it was `checked` here, the service itself held these bytes against the schema with the digest
    `schema_dig`; elsewhere, `by` vouches for the result. `detail` is what was wrong.
    """

    type: ClassVar[str] = "attorn.output.validated.v1"

    output_id: Id
    criterion_id: Id
    result: CheckResult
    method: CheckMethod = "human"
    output_dig: Digest | None = None
    by: ParticipantId | None = None
    checked: CheckPlace = "elsewhere"
    schema_dig: Digest | None = None
    detail: Text = ""


class OutputReleased(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The output has left: these bytes are now with `to`, and others act on them."""

    type: ClassVar[str] = "attorn.output.released.v1"

    output_id: Id
    output_dig: Digest | None = None
    to: Text = ""
    channel: Text = ""


class OutputWithdrawn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The output was taken back; whoever has it must not rely on it."""

    type: ClassVar[str] = "attorn.output.withdrawn.v1"

    output_id: Id
    reason: Text = ""


class ProduceOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Show an output before the execution ends."""

    verb: ClassVar[str] = "output.produce"

    work_id: WorkId
    output: Output
    execution_id: Id | None = None


class ValidateOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Hold an output against a criterion.

    With `content`, the output's own bytes as text, the service holds it against the declared JSON Schema itself; it
    keeps no more than the result, and refuses bytes that have another digest. Without, `result` is what somebody, or
    a tool of theirs, found elsewhere.
    """

    verb: ClassVar[str] = "output.validate"

    work_id: WorkId
    output_id: Id
    criterion_id: Id
    content: Annotated[str, Meta(max_length=65_536)] | None = None
    result: CheckResult | None = None
    method: CheckMethod | None = None
    output_dig: Digest | None = None
    detail: Text = ""


class ReleaseOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let the output go to whoever waits for it."""

    verb: ClassVar[str] = "output.release"

    work_id: WorkId
    output_id: Id
    output_dig: Digest | None = None
    to: Text = ""
    channel: Text = ""


class WithdrawOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take an output back."""

    verb: ClassVar[str] = "output.withdraw"

    work_id: WorkId
    output_id: Id
    reason: Text = ""
