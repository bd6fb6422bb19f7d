"""Service reviews: the regular sitting in which people go through what the agents did, and decide what changes.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar

import msgspec

from attorn.contracts.ids import Digest, Id, Name, Text


class ServiceReviewOpened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The review of this period is due; the figures that it will look at are fixed by their digest."""

    type: ClassVar[str] = "attorn.service_review.opened.v1"

    service_review_id: Id
    period: Name
    scope: Text = ""
    metrics_digest: Digest | None = None


class ServiceReviewHeld(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """People looked at these figures, and this is what they decided."""

    type: ClassVar[str] = "attorn.service_review.held.v1"

    service_review_id: Id
    period: Name | None = None
    scope: Text = ""
    metrics_digest: Digest | None = None
    decisions: tuple[Text, ...] = ()
    actions: tuple[Text, ...] = ()


class ServiceReviewClosed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The review is over; what was to be done is done, or has become work."""

    type: ClassVar[str] = "attorn.service_review.closed.v1"

    service_review_id: Id
    period: Name | None = None
    scope: Text = ""
    metrics_digest: Digest | None = None
    decisions: tuple[Text, ...] = ()
    actions: tuple[Text, ...] = ()


class OpenServiceReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Call the review of a process for a period; the figures that it will look at are fixed by their digest."""

    verb: ClassVar[str] = "service_review.open"

    process_id: Id
    service_review_id: Id
    period: Name
    scope: Text = ""
    metrics_digest: Digest | None = None


class HoldServiceReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say what was decided in a review, and what is to be done."""

    verb: ClassVar[str] = "service_review.hold"

    process_id: Id
    service_review_id: Id
    metrics_digest: Digest | None = None
    decisions: tuple[Text, ...] = ()
    actions: tuple[Text, ...] = ()


class CloseServiceReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that what a review wanted done is done, or has become work."""

    verb: ClassVar[str] = "service_review.close"

    process_id: Id
    service_review_id: Id
    decisions: tuple[Text, ...] = ()
    actions: tuple[Text, ...] = ()
