"""Handover: the work passes from one executor to another, who has to accept it first.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar

import msgspec

from attorn.contracts.ids import Id, ParticipantId, Ref, Text, Timestamp


class HandoverOffered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`to` was asked to go on with the work, and given what they need. The executor has not changed."""

    type: ClassVar[str] = "attorn.handover.offered.v1"

    handover_id: Id
    to: ParticipantId
    from_: ParticipantId | None = msgspec.field(default=None, name="from")
    context: tuple[Ref, ...] = ()
    open_questions: tuple[Text, ...] = ()
    respond_by: Timestamp | None = None


class HandoverAccepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`to` goes on with the work from this position on. Who answers for it has not changed."""

    type: ClassVar[str] = "attorn.handover.accepted.v1"

    handover_id: Id
    to: ParticipantId
    from_: ParticipantId | None = msgspec.field(default=None, name="from")


class HandoverDeclined(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whoever was asked will not go on with the work; it stays where it was."""

    type: ClassVar[str] = "attorn.handover.declined.v1"

    handover_id: Id
    by: ParticipantId | None = None
    reason: Text = ""


class HandoverExpired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nobody answered in time; the work stays where it was."""

    type: ClassVar[str] = "attorn.handover.expired.v1"

    handover_id: Id
