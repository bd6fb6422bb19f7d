"""Review: somebody other than the executor looks at an output and says whether it may stand.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

import hashlib
from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.ids import Count, Digest, Id, Name, ParticipantId, Pinned, Ratio, Text, Timestamp, WorkId
from attorn.contracts.output import Output

Verdict: TypeAlias = Literal["approved", "edited", "changes_requested", "rejected", "waived"]
ItemResult: TypeAlias = Literal["passed", "failed"]
UnclaimCause: TypeAlias = Literal["released", "expired"]


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why this output came up for review, or did not: the share that is looked at, and the draw that decided.

    `drawn` is made of `seed` and the output's digest alone (`draw`), so that anybody can draw again; below `rate`, the
    output is looked at.
    """

    rate: Ratio
    drawn: Ratio | None = None
    seed: Name | None = None


def draw(seed: str, output_dig: str) -> float:
    """A number from 0 up to 1, the same for ever: the first 53 bits of the SHA-256 of `<seed> <digest>`, as a share."""
    bits = int.from_bytes(hashlib.sha256(f"{seed} {output_dig}".encode()).digest()[:8], "big") >> 11
    return bits / 2**53


class ReviewItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the reviewer found on one point, often one acceptance criterion."""

    id: Id
    result: ItemResult
    comment: Text = ""


class ReviewRequested(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This output, with exactly these bytes, waits for `required` reviewers."""

    type: ClassVar[str] = "attorn.review.requested.v1"

    review_id: Id
    output_id: Id
    output_dig: Digest
    policy: Pinned | None = None
    required: Annotated[int, Meta(ge=0, le=100)] = 1
    candidates: tuple[ParticipantId, ...] = ()
    excluded: tuple[ParticipantId, ...] = ()
    respond_by: Timestamp | None = None
    sampling: Sampling | None = None


class ReviewClaimed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`reviewer` is looking at the output."""

    type: ClassVar[str] = "attorn.review.claimed.v1"

    review_id: Id
    output_id: Id
    output_dig: Digest
    reviewer: ParticipantId
    claim_until: Timestamp | None = None


class ReviewUnclaimed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`reviewer` is no longer looking at the output; somebody else may."""

    type: ClassVar[str] = "attorn.review.unclaimed.v1"

    review_id: Id
    output_id: Id
    output_dig: Digest
    reviewer: ParticipantId
    cause: UnclaimCause = "released"


class ReviewSkipped(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The policy looks at a share of the outputs, and these bytes were not drawn; they need no review."""

    type: ClassVar[str] = "attorn.review.skipped.v1"

    output_id: Id
    output_dig: Digest
    sampling: Sampling
    policy: Pinned | None = None


class ReviewExpired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nobody gave a verdict in time."""

    type: ClassVar[str] = "attorn.review.expired.v1"

    review_id: Id
    output_id: Id
    output_dig: Digest
    reason: Text = ""


class ReviewInvalidated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The output is not what it was when the review was asked for: `cause` is its new digest."""

    type: ClassVar[str] = "attorn.review.invalidated.v1"

    review_id: Id
    output_id: Id
    output_dig: Digest
    cause: Digest


class ReviewWithdrawn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The review is no longer asked for."""

    type: ClassVar[str] = "attorn.review.withdrawn.v1"

    review_id: Id
    output_id: Id
    output_dig: Digest
    reason: Text = ""


class WorkReviewed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`reviewer` gave a verdict on exactly these bytes, under this version of the policy."""

    type: ClassVar[str] = "attorn.work.reviewed.v1"

    review_id: Id
    output_id: Id
    output_dig: Digest
    verdict: Verdict
    reviewer: ParticipantId
    policy: Pinned | None = None
    comment: Text = ""
    items: tuple[ReviewItem, ...] = ()
    new_output: Output | None = None
    authority: Text | None = None
    seconds_spent: Count | None = None


class RequestReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask for a review beyond what the policy asks for by itself."""

    verb: ClassVar[str] = "review.request"

    work_id: WorkId
    output_id: Id
    output_dig: Digest
    review_id: Id | None = None
    candidates: tuple[ParticipantId, ...] = ()
    excluded: tuple[ParticipantId, ...] = ()
    respond_by: Timestamp | None = None


class ClaimReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that one is looking at the output, so that nobody else need to."""

    verb: ClassVar[str] = "review.claim"

    work_id: WorkId
    review_id: Id
    claim_until: Timestamp | None = None


class UnclaimReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Leave the output to somebody else; `reviewer` is who looks at it, where that is not who asks."""

    verb: ClassVar[str] = "review.unclaim"

    work_id: WorkId
    review_id: Id
    reviewer: ParticipantId | None = None


class WithdrawReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Do without a review that one has asked for. What the policy asks for is waived, not withdrawn."""

    verb: ClassVar[str] = "review.withdraw"

    work_id: WorkId
    review_id: Id
    reason: Text = ""


class ReviewWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Give a verdict on an output. Who asks is the reviewer."""

    verb: ClassVar[str] = "work.review"

    work_id: WorkId
    review_id: Id
    output_id: Id
    output_dig: Digest
    verdict: Verdict
    comment: Text = ""
    items: tuple[ReviewItem, ...] = ()
    new_output: Output | None = None
    authority: Text | None = None
    seconds_spent: Count | None = None
