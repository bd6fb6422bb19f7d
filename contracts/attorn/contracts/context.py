"""Context: what is shared so that others can go on with the work.

`by` and `team` are who wrote it, and for which team, where a system reports what people did.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar

import msgspec

from attorn.contracts.ids import ParticipantId, Ref, Text, WorkId


class ContextShared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everybody who works on this can now find what `ref` points to."""

    type: ClassVar[str] = "attorn.context.shared.v1"

    ref: Ref
    note: Text = ""


class NoteAdded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody wrote something down for the others."""

    type: ClassVar[str] = "attorn.note.added.v1"

    text: Text
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class AddNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Write something down for the others."""

    verb: ClassVar[str] = "note.add"

    work_id: WorkId
    text: Text


class ShareContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let everybody who works on this find what `ref` points to."""

    verb: ClassVar[str] = "context.share"

    work_id: WorkId
    ref: Ref
    note: Text = ""
