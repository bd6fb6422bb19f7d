"""JSON Schema (Draft 2020-12), held against an output's content at a cost that is bounded before anything is evaluated.

Schemas come from whoever defines work, and content from whoever does it: neither may keep a service from its other
work. So every keyword that is applied is counted, regular expressions run in linear time, nothing is fetched from
anywhere, and what cannot be bounded is not offered (validator.py). No fault repeats what the content says: that is not
kept.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

SCHEMA_BYTES_MAX: Final = 16_384


class TooMuch(Exception):
    """The schema asks for more than can be done here; the message says for what."""


def digest(schema: Mapping[str, Any]) -> str:
    """The digest by which a result names the schema: of its JSON with sorted keys and no blanks."""
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def problem(schema: Mapping[str, Any]) -> str | None:
    """Why nothing can be held against this schema, to be said after its name; None when it can."""
    return _problem(msgspec.json.encode(schema))


def faults(schema: Mapping[str, Any], content: str) -> list[str]:
    """Where `content`, as JSON, is not what the schema says: the first few places; none when it is valid.

    Raises TooMuch.
    """
    try:
        instance = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return ["it is not JSON"]
    # Few processes ever meet a schema, and the library that knows them takes a tenth of the start of each.
    from attorn.services.output import validator

    return validator.faults(schema, instance)


@lru_cache(256)
def _problem(encoded: bytes) -> str | None:
    if len(encoded) > SCHEMA_BYTES_MAX:
        return f"has {len(encoded)} bytes; {SCHEMA_BYTES_MAX} at most"
    from attorn.services.output import validator

    return validator.problem(msgspec.json.decode(encoded))
