"""Outputs: what came out of the work, what was checked, who received it.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar, Literal, TypeAlias

import msgspec

from attorn.contracts.ids import Digest, Id, Text, Uri, WorkId

Contribution: TypeAlias = Literal["human", "ai", "ai_assisted", "mixed"]
CheckMethod: TypeAlias = Literal["human", "schema", "rule"]
CheckResult: TypeAlias = Literal["passed", "failed"]


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
    """The output was held against one acceptance criterion."""

    type: ClassVar[str] = "attorn.output.validated.v1"

    output_id: Id
    criterion_id: Id
    result: CheckResult
    method: CheckMethod = "human"
    output_dig: Digest | None = None


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
