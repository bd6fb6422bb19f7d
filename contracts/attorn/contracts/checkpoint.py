"""Checkpoints: what the log says of itself, so that anybody can prove that it was never rewritten.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from attorn.contracts.ids import Count, Digest, Name, Position, Text


class LedgerCheckpointed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first `tree_size` events have this Merkle root, and the log's own signature stands under it in `note`."""

    type: ClassVar[str] = "attorn.ledger.checkpointed.v1"

    tree_size: Count
    root: Digest
    origin: Name
    note: Text = ""


class LedgerAnchored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A witness outside has seen the checkpoint, found that it extends the one before, and signed it too."""

    type: ClassVar[str] = "attorn.ledger.anchored.v1"

    witness: Name
    cosignature: Text
    tree_size: Count | None = None
    root: Digest | None = None


class LedgerPayloadErased(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of these events is gone, on this legal ground; their places and their digests remain."""

    type: ClassVar[str] = "attorn.ledger.payload_erased.v2"

    positions: Annotated[tuple[Position, ...], Meta(min_length=1, max_length=10_000)]
    legal_basis: Text


class ExportIssued(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody was given a part of the log: their query, up to which position, and the digest of what they got."""

    type: ClassVar[str] = "attorn.export.issued.v1"

    query: Text
    position: Position
    dig: Digest
    to: Name


class LedgerAdminObserved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody with the keys to the broker did something to the log's storage; the broker said so itself."""

    type: ClassVar[str] = "attorn.ledger.admin_observed.v1"

    advisory: Name
    stream: Name | None = None
    action: Name | None = None
    client: Text = ""
    body: Text = ""
