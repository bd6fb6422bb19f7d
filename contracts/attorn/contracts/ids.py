"""The words that every message is made of: identifiers, instants, amounts, digests, references.

Each is a plain type with its constraint attached, so that a decoder refuses what does not fit and the
JSON Schema says the same thing.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

# `$` alone also matches before a trailing newline in Python; the look-ahead shuts that door, in ECMAScript too.
TOKEN = r"^[A-Za-z0-9_-]{1,64}(?!\n)$"
"""What an identifier may be: one literal NATS subject token, never a wildcard, never a dot."""

_token = re.compile(TOKEN)

Id: TypeAlias = Annotated[str, Meta(pattern=TOKEN, description="An identifier: one subject token.")]
ParticipantId: TypeAlias = Annotated[
    str, Meta(pattern=TOKEN, description="A participant: human, agent, team or system.")
]
WorkId: TypeAlias = Annotated[str, Meta(pattern=TOKEN, description="A work item.")]

ParticipantOrRole: TypeAlias = Annotated[
    str, Meta(pattern=TOKEN, description="A participant, or a role that is resolved to persons when it is needed.")
]
ResourceKey: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512, description="What at most one may work on.")]

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Text: TypeAlias = Annotated[str, Meta(max_length=16_384)]
Uri: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2_048)]
Cel: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2_048, description="A condition, in CEL.")]

Timestamp: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""An instant, RFC 3339 with its offset."""

Duration: TypeAlias = timedelta
"""A length of time, ISO 8601 (`PT15M`, `P7D`)."""

Digest: TypeAlias = Annotated[
    str, Meta(pattern=r"^sha256:[0-9a-f]{64}(?!\n)$", description="sha256: and 64 hexadecimal digits.")
]
Decimal: TypeAlias = Annotated[str, Meta(pattern=r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?(?!\n)$")]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Version: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1, description="Counted from 1.")]
Position: TypeAlias = Annotated[int, Meta(ge=1, le=2**53 - 1, description="A place in the log, counted from 1.")]
Ratio: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Percent: TypeAlias = Annotated[float, Meta(ge=0, le=100)]

ParticipantKind: TypeAlias = Literal["human", "agent", "team", "system"]
Autonomy: TypeAlias = Literal["suggest", "act_with_approval", "act_then_review", "act"]
RiskTier: TypeAlias = Literal["minimal", "limited", "high"]
Recoverable: TypeAlias = Literal["yes", "partial", "no"]
Severity: TypeAlias = Literal["low", "medium", "high", "critical"]
Priority: TypeAlias = Literal["low", "normal", "high", "critical"]


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount in one currency; a decimal string, so that no cent is lost to binary fractions."""

    amount: Decimal
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}(?!\n)$", description="ISO 4217.")]


class Ref(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something kept elsewhere, with the digest of what it was when it was referred to."""

    uri: Uri
    dig: Digest | None = None


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a policy or a process, fixed at the moment it was named."""

    id: Id
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]


def is_token(text: str) -> bool:
    """Whether `text` may stand as an identifier, and so as a subject token."""
    return _token.fullmatch(text) is not None
