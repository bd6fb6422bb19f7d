"""Sources: the systems that report facts, and the person who looks after what they report.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar

import msgspec

from attorn.contracts.ids import Id, ParticipantId, Uri
from attorn.contracts.participant import SigningKey


class SourceRegistered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A system may report facts, and `custodian` answers for work that nobody else defined."""

    type: ClassVar[str] = "attorn.source.registered.v1"

    uri: Uri
    custodian: ParticipantId
    keys: tuple[SigningKey, ...] = ()


class RegisterSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let a system report facts."""

    verb: ClassVar[str] = "source.register"

    source_id: Id
    uri: Uri
    custodian: ParticipantId
    keys: tuple[SigningKey, ...] = ()
