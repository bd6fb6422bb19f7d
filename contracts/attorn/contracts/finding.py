"""Findings: what people decided about a rule that was broken. The findings themselves are derived, never stored.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import Annotated, ClassVar, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.ids import ParticipantId, Text

FindingId: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}@[1-9][0-9]{0,15}(?!\n)$", description="<rule>@<position>.")
]


class FindingAccepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person knows of it and lets it stand, for this reason."""

    type: ClassVar[str] = "attorn.finding.accepted.v1"

    finding_id: FindingId
    by: ParticipantId | None = None
    reason: Text = ""


class FindingRemediated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person put it right, and says how."""

    type: ClassVar[str] = "attorn.finding.remediated.v1"

    finding_id: FindingId
    by: ParticipantId | None = None
    reason: Text = ""


class FindingDismissed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person looked at it and found nothing wrong, for this reason."""

    type: ClassVar[str] = "attorn.finding.dismissed.v1"

    finding_id: FindingId
    by: ParticipantId | None = None
    reason: Text = ""
