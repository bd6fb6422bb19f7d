"""Outcomes: what the work is for, how it is measured, and what it measured before.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar

import msgspec

from attorn.contracts.ids import Decimal, Id, Name, ParticipantId, Text


class OutcomeDefined(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This is worth reaching; `measure` says how far we are and `target` where we want to be."""

    type: ClassVar[str] = "attorn.outcome.defined.v1"

    statement: Text
    measure: Text = ""
    target: Text = ""
    owner: ParticipantId | None = None


class OutcomeUpdated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be reached has changed; a field that is absent stays as it was."""

    type: ClassVar[str] = "attorn.outcome.updated.v1"

    statement: Text | None = None
    measure: Text | None = None
    target: Text | None = None
    owner: ParticipantId | None = None


class BaselineRecorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Before anything was changed, `metric` stood at `value`, and this is where that number is from."""

    type: ClassVar[str] = "attorn.baseline.recorded.v1"

    metric: Name
    value: Decimal
    origin: Text = ""


class DefineOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say what is worth reaching, and how one sees that it is reached."""

    verb: ClassVar[str] = "outcome.define"

    outcome_id: Id
    statement: Text
    measure: Text = ""
    target: Text = ""
    owner: ParticipantId | None = None


class UpdateOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Change what is to be reached; a field that is absent stays as it is."""

    verb: ClassVar[str] = "outcome.update"

    outcome_id: Id
    statement: Text | None = None
    measure: Text | None = None
    target: Text | None = None
    owner: ParticipantId | None = None


class RecordBaseline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say where a metric stood before anything was changed."""

    verb: ClassVar[str] = "baseline.record"

    outcome_id: Id
    metric: Name
    value: Decimal
    origin: Text = ""
