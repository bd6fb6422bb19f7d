"""Claims: one holder at a time works on a thing, for as long as the lease lasts.

A claim stands in the stream of its key, or in the work item's own where the item itself is what is claimed.

`by` and `team` are who let go, and for which team, where a system reports what people did.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from attorn.contracts.ids import Count, Duration, Id, ParticipantId, ResourceKey, Text, Timestamp, WorkId

LEASE: Final = timedelta(minutes=15)
"""How long a claim lasts where nobody says it."""


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


class AcquireClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Claim `key` for whoever asks, or for `holder`. The fence and the end of the lease are decided by the service."""

    verb: ClassVar[str] = "claim.acquire"

    key: ResourceKey
    claim_id: Id | None = None
    holder: ParticipantId | None = None
    work_id: WorkId | None = None
    lease: Duration = LEASE


class RenewClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Keep the claim for another `lease` from now on."""

    verb: ClassVar[str] = "claim.renew"

    key: ResourceKey
    claim_id: Id
    lease: Duration = LEASE


class ReleaseClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let go of what one has claimed."""

    verb: ClassVar[str] = "claim.release"

    key: ResourceKey
    claim_id: Id
    reason: Text = ""


class RevokeClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Take a claim away from its holder."""

    verb: ClassVar[str] = "claim.revoke"

    key: ResourceKey
    claim_id: Id
    reason: Text = ""
