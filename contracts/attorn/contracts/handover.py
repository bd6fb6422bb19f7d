"""Handover: the work passes from one executor to another, who has to accept it first.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar

import msgspec

from attorn.contracts.ids import Id, ParticipantId, Ref, Text, Timestamp, WorkId


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
    by: ParticipantId | None = None


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


class OfferHandover(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask `to` to go on with the work, and give them what they need; questions that are open go along by themselves."""

    verb: ClassVar[str] = "handover.offer"

    work_id: WorkId
    to: ParticipantId
    handover_id: Id | None = None
    context: tuple[Ref, ...] = ()
    open_questions: tuple[Text, ...] = ()
    respond_by: Timestamp | None = None


class AcceptHandover(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Go on with the work that was offered."""

    verb: ClassVar[str] = "handover.accept"

    work_id: WorkId
    handover_id: Id


class DeclineHandover(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Not go on with the work that was offered."""

    verb: ClassVar[str] = "handover.decline"

    work_id: WorkId
    handover_id: Id
    reason: Text = ""
