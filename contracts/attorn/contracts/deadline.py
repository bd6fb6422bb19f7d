"""Deadlines: by when something has to have happened, and that it had not.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar, Literal, TypeAlias

import msgspec

from attorn.contracts.ids import Id, Text, Timestamp, WorkId

DeadlineKind: TypeAlias = Literal["start", "completion", "review", "ack", "input"]


class DeadlineSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work is to be started, or completed, by another time than before; without `new` there is no such time."""

    type: ClassVar[str] = "attorn.deadline.set.v1"

    kind: Literal["start", "completion"] = "completion"
    old: Timestamp | None = None
    new: Timestamp | None = None
    reason: Text = ""


class DeadlineMissed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The time is over and it has not happened; `concerns` names the review, escalation or request that was due."""

    type: ClassVar[str] = "attorn.deadline.missed.v1"

    kind: DeadlineKind
    due_at: Timestamp | None = None
    concerns: Id | None = None


class SetDeadline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say by when the work is to be started, or completed; without `new` there is no such time any more."""

    verb: ClassVar[str] = "deadline.set"

    work_id: WorkId
    new: Timestamp | None = None
    kind: Literal["start", "completion"] = "completion"
    reason: Text = ""
