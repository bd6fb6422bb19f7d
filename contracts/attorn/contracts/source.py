"""Sources: the systems that report facts, and the person who looks after what they report.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar, Literal, TypeAlias

import msgspec

from attorn.contracts.ids import Id, ParticipantId, Uri
from attorn.contracts.participant import SigningKey

Spoken: TypeAlias = Literal["participant", "process", "policy"]
"""What a source may be given the word for: who takes part and in which roles, how work flows, and by which rules."""


class SourceRegistered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A system may report facts, and `custodian` answers for work that nobody else defined.

    What it reports of people, processes and policies counts only where `speaks_of` names them: authority over others
    is decided by that, and so the custodian of the ledger or an admin says who may speak of it.
    """

    type: ClassVar[str] = "attorn.source.registered.v1"

    uri: Uri
    custodian: ParticipantId
    keys: tuple[SigningKey, ...] = ()
    speaks_of: tuple[Spoken, ...] = ()


class RegisterSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Let a system report facts. Without `speaks_of` it keeps the word that it was given; empty, the word is taken."""

    verb: ClassVar[str] = "source.register"

    source_id: Id
    uri: Uri
    custodian: ParticipantId
    keys: tuple[SigningKey, ...] = ()
    speaks_of: tuple[Spoken, ...] | None = None
