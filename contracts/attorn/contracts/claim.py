"""Claims: one holder at a time works on a thing, for as long as the lease lasts.

A claim stands in the stream of its key, or in the work item's own where the item itself is what is claimed.

`by` and `team` are who let go, and for which team, where a system reports what people did.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar

import msgspec

from attorn.contracts.ids import Count, Id, ParticipantId, ResourceKey, Text, Timestamp, WorkId


class ClaimAcquired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nobody but `holder` works on `key` until `lease_until`; `fence` is higher than any before it."""

    type: ClassVar[str] = "attorn.claim.acquired.v1"

    claim_id: Id
    key: ResourceKey
    holder: ParticipantId
    fence: Count
    work_id: WorkId | None = None
    lease_until: Timestamp | None = None


class ClaimRenewed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The holder is still at it, and keeps the claim until `lease_until`."""

    type: ClassVar[str] = "attorn.claim.renewed.v1"

    claim_id: Id
    lease_until: Timestamp


class ClaimReleased(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The holder let go; the work is offered to `candidates` next."""

    type: ClassVar[str] = "attorn.claim.released.v1"

    claim_id: Id
    candidates: tuple[ParticipantId, ...] = ()
    reason: Text = ""
    by: ParticipantId | None = None
    team: ParticipantId | None = None


class ClaimExpired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lease ran out without a word from the holder; the work is offered to `candidates` next."""

    type: ClassVar[str] = "attorn.claim.expired.v1"

    claim_id: Id
    candidates: tuple[ParticipantId, ...] = ()


class ClaimRevoked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`by` took the claim away from its holder."""

    type: ClassVar[str] = "attorn.claim.revoked.v1"

    claim_id: Id
    by: ParticipantId
    reason: Text = ""
