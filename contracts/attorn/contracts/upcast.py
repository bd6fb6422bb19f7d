"""Old versions of events: what was written then, read as it is said now.

A type that turned out too narrow gets a new version, `.v2`, and the old one stays here, for ever readable: its bytes
are on the log as they were written. Reading turns an old payload into the newest; folds and rules know that one only.

Class names and field names here are the stored format. Nothing here is ever changed or removed.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from attorn.contracts.checkpoint import LedgerPayloadErased
from attorn.contracts.ids import Position, Text


class LedgerPayloadErasedV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of one event is gone, on this legal ground.

    Who asks to be forgotten stands in many events, and their erasure is one decision: version 2 names them all.
    """

    type: ClassVar[str] = "attorn.ledger.payload_erased.v1"

    position: Position
    legal_basis: Text


class Upcaster(NamedTuple):
    """How an old payload is read: its shape then, and what it says in the words of a newer version."""

    shape: type[msgspec.Struct]
    newer: Callable[[Any], msgspec.Struct]


def _erased(old: LedgerPayloadErasedV1) -> LedgerPayloadErased:
    return LedgerPayloadErased(positions=(old.position,), legal_basis=old.legal_basis)


UPCASTERS: Final[Mapping[str, Upcaster]] = MappingProxyType(
    {LedgerPayloadErasedV1.type: Upcaster(LedgerPayloadErasedV1, _erased)}
)
"""By the type that stands in the old bytes. A version that is two behind is brought up one step at a time."""


def upcast(payload: msgspec.Struct, upcasters: Mapping[str, Upcaster] = UPCASTERS) -> msgspec.Struct:
    """`payload` as its newest version; what is the newest already comes back as it is."""
    while (upcaster := upcasters.get(payload.type)) is not None:  # type: ignore[attr-defined]
        payload = upcaster.newer(payload)
    return payload
