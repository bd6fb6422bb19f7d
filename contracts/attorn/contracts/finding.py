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
StreamName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z]{1,16}/[A-Za-z0-9_-]{1,64}(?!\n)$", description="<kind>/<id>, as in work/W-1042.")
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


class AcceptFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let a finding stand, and say why. `stream` is where it was found, as in `work/W-1`."""

    verb: ClassVar[str] = "finding.accept"

    stream: StreamName
    finding_id: FindingId
    reason: Text = ""


class RemediateFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say how it was put right. `stream` is where it was found."""

    verb: ClassVar[str] = "finding.remediate"

    stream: StreamName
    finding_id: FindingId
    reason: Text = ""


class DismissFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say why nothing is wrong there. `stream` is where it was found."""

    verb: ClassVar[str] = "finding.dismiss"

    stream: StreamName
    finding_id: FindingId
    reason: Text = ""
