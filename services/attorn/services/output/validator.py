"""The library jsonschema, made to stay within bounds: each keyword that it applies is paid for."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from attorn.services import expressions
from attorn.services.output.schema import TooMuch

STEPS_MAX: Final = 10_000
PATTERN_CHARS_MAX: Final = 256
TEXT_CHARS_MAX: Final = 4_096
FAULTS_MAX: Final = 5
NOT_OFFERED: Final = frozenset({"patternProperties", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef"})

_left: ContextVar[int] = ContextVar("steps left")


def problem(schema: Any) -> str | None:
    """Why `schema` is none, to be said after its name."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"is no JSON Schema at {error.json_path}: it breaks {error.validator}"
    except RecursionError:
        return "is nested too deeply"
    return None


def faults(schema: Mapping[str, Any], instance: Any) -> list[str]:
    """The first FAULTS_MAX places where `instance` is not what the schema says. Raises TooMuch."""
    found: list[str] = []
    token = _left.set(STEPS_MAX)
    try:
        for error in _Bounded(schema, registry=Registry()).iter_errors(instance):
            found.append(_said(error))
            if len(found) == FAULTS_MAX:
                break
    except RecursionError:
        raise TooMuch("refers to itself without end") from None
    except Unresolvable as error:
        raise TooMuch(f"refers to {error.ref!r}, which is not in it") from None
    finally:
        _left.reset(token)
    return found


def _said(error: ValidationError) -> str:
    wanted = json.dumps(error.validator_value, ensure_ascii=False, default=str)
    return f"{error.json_path[:200]} is not as {error.validator} says: {wanted[:200]}"


def _counted(keyword: str, apply: Callable[..., Any]) -> Callable[..., Iterator[ValidationError]]:
    def bounded(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        barred = NOT_OFFERED & schema.keys()
        if barred:
            raise TooMuch(f"uses {min(barred)}, which is not offered")
        size = len(instance) if isinstance(instance, list | dict | str) else 0
        _spend(1 + size // 16 + (size * size // 64 if keyword == "uniqueItems" else 0))
        yield from apply(validator, value, instance, schema) or ()

    return bounded


def _pattern(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    if len(value) > PATTERN_CHARS_MAX or len(instance) > TEXT_CHARS_MAX:
        raise TooMuch(f"has a pattern of {len(value)} characters for a text of {len(instance)}")
    # Every repetition that is counted out is paid for: compiling it takes time and room.
    _spend(20 + 200 * value.count("{"))
    try:
        found = _matches().execute({"text": instance, "pattern": value})
    except Exception:
        raise TooMuch(f"has the pattern {value[:100]!r}, which cannot be matched in linear time") from None
    if not found:
        yield ValidationError("")


@lru_cache(1)
def _matches() -> Any:
    return expressions.parse("text.matches(pattern)")


def _spend(steps: int) -> None:
    left = _left.get() - steps
    _left.set(left)
    if left < 0:
        raise TooMuch(f"takes more than {STEPS_MAX} steps for this content")


_KEYWORDS: Final = dict(Draft202012Validator.VALIDATORS) | {"pattern": _pattern}
_Bounded: Final[Any] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {keyword: _counted(keyword, apply) for keyword, apply in _KEYWORDS.items()}
)
