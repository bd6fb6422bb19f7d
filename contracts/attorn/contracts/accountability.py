"""Accountability: the one person who answers for the work, and how that passes to another.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar, Literal, TypeAlias

import msgspec

from attorn.contracts.ids import ParticipantId, Text, WorkId

TransferBasis: TypeAlias = Literal["accepted", "authority", "absence"]


class AccountabilityOffered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody was asked to answer for the work. Until they accept, nothing has changed."""

    type: ClassVar[str] = "attorn.accountability.offered.v1"

    to: ParticipantId
    from_: ParticipantId | None = msgspec.field(default=None, name="from")
    reason: Text = ""


class AccountabilityTransferred(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`to` answers for the work from this position on: they accepted, were told to, or stand in for somebody absent."""

    type: ClassVar[str] = "attorn.accountability.transferred.v1"

    to: ParticipantId
    from_: ParticipantId | None = msgspec.field(default=None, name="from")
    accepted_by: ParticipantId | None = None
    basis: TransferBasis = "accepted"
    reason: Text = ""


class OfferAccountability(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask `to` to answer for the work."""

    verb: ClassVar[str] = "accountability.offer"

    work_id: WorkId
    to: ParticipantId
    reason: Text = ""


class TransferAccountability(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let `to` answer for the work from now on: said by `to` to accept, or by somebody with the authority."""

    verb: ClassVar[str] = "accountability.transfer"

    work_id: WorkId
    to: ParticipantId
    basis: TransferBasis = "accepted"
    reason: Text = ""
