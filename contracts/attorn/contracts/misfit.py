"""What does not fit a shape, in words: what belongs there and, where that helps, how it looks.

Decoders say `Expected `str` matching regex '^[a-z]…'`; who sent it reads what would be right.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import inspect

from attorn.contracts import finding, ids

_PLACE: Final = re.compile(r" - at (?:`key` in )?`\$\.?(.*)`$", re.DOTALL)
_LACKING: Final = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_STRAY: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_PATTERN: Final = re.compile(r"Expected `str` matching regex (.*)", re.DOTALL)
_TYPE: Final = re.compile(r"Expected `(.*?)`, got `(.*)`")
_BOUND: Final = re.compile(r"Expected `(\w+)` ([<>]=?) (.*)")
_LENGTH: Final = re.compile(r"Expected `(\w+)` of (?:at (?:least|most) )?length ([<>=]=?) (\d+)")
_NONE_OF: Final = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)
_STEP: Final = re.compile(r"([A-Za-z_]\w*)|\[[^\]]*\]")

INSTANT: Final = "is an instant with its offset, as in 2026-03-02T09:00:00Z (RFC 3339)"
DURATION: Final = 'is a length of time, as in "PT1H" or "P7D" (ISO 8601)'
LISTED_MAX: Final = 20


def _pattern(type_: Any) -> str:
    pattern: str = type_.__metadata__[0].pattern
    return pattern


PATTERNS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        ids.TOKEN: ("an identifier is 1 to 64 letters, digits, '-' or '_'", "W-1"),
        _pattern(ids.Digest): ("is sha256: and 64 hexadecimal digits", f"sha256:{'0' * 64}"),
        _pattern(ids.Decimal): ('is a decimal number in a string, as in "99.00"', "99.00"),
        _pattern(ids.Money.__annotations__["currency"]): ("is a currency in three capitals, as in EUR", "EUR"),
        _pattern(finding.FindingId): ("is the id of a finding, as in hidden-work@12", "hidden-work@12"),
        _pattern(finding.StreamName): ("is KIND/ID, as in work/W-1", "work/W-1"),
        r"^\d{4}-\d\d-\d\d$": ("is a day, as in 2026-03-02", "2026-03-02"),
        r"^\d{4}-\d\d$": ("is a month, as in 2026-03", "2026-03"),
    }
)
"""What a text has to be, in words, and one that is: by the pattern that says so to a machine."""

_NAMES: Final = MappingProxyType(
    {
        "str": "a string",
        "int": "an integer",
        "float": "a number",
        "bool": "true or false",
        "object": "an object",
        "array": "an array",
        "datetime": "an instant",
        "duration": "a length of time",
        "null": "null",
    }
)
_MANY: Final = MappingProxyType({"str": "characters", "array": "items", "object": "fields"})


def told(reason: str, shape: type[msgspec.Struct] | None = None, within: str = "") -> tuple[str, str]:
    """The sentence and the place, of what msgspec says about a message.

    `shape` is what stands at the place `within`; where it is known, the sentence says what would be there.
    """
    found = _PLACE.search(reason)
    place = found[1] if found else ""
    reason = reason[: found.start()] if found else reason
    if lacking := _LACKING.fullmatch(reason):
        return "is required", f"{place}.{lacking[1]}" if place else lacking[1]
    if stray := _STRAY.fullmatch(reason):
        return "is not a field", f"{place}.{stray[1]}" if place else stray[1]
    return _sentence(reason, _at(shape, place, within)), place


def _sentence(reason: str, there: list[inspect.Type]) -> str:
    if pattern := _PATTERN.fullmatch(reason):
        return PATTERNS.get(ast.literal_eval(pattern[1]), ("does not have the form that it has to have", ""))[0]
    if wrong := _TYPE.fullmatch(reason):
        wanted = [each for each in wrong[1].split(" | ") if each != "null"]
        names = " or ".join(_object(there) if each == "object" else _NAMES.get(each, each) for each in wanted)
        return f"is {names}, not {_NAMES.get(wrong[2], wrong[2])}"
    if length := _LENGTH.fullmatch(reason):
        if length[2] == ">=" and length[3] == "1":
            return "is empty, and must not be"
        most = {"<": "fewer than", "<=": "at most", ">": "more than", ">=": "at least"}.get(length[2], "exactly")
        return f"has {most} {int(length[3]):,} {_MANY.get(length[1], 'items')}"
    if bound := _BOUND.fullmatch(reason):
        most = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}[bound[2]]
        return f"is {_NAMES.get(bound[1], bound[1])}, {most} {bound[3]}"
    if none_of := _NONE_OF.fullmatch(reason):
        return _choice(none_of[1], there)
    if reason.startswith(("Invalid RFC3339", "Expected `datetime` with a timezone")):
        return INSTANT
    if reason.startswith("Invalid ISO8601"):
        return DURATION
    return reason


def _choice(said: str, there: list[inspect.Type]) -> str:
    values = [str(value) for each in there if isinstance(each, inspect.LiteralType) for value in each.values]
    if not values:
        return f"{said} is none of those that there are"
    near = get_close_matches(said.strip("'\""), values, n=1) if len(said) <= 100 else []
    listed = ", ".join(values[:LISTED_MAX]) + (", …" if len(values) > LISTED_MAX else "")
    return f"is one of {listed}, not {said}" + (f"; did you mean {near[0]}?" if near else "")


def _object(there: list[inspect.Type]) -> str:
    """`an object`, with its fields, and with an example where each of them has one."""
    struct = next((each for each in there if isinstance(each, inspect.StructType)), None)
    if struct is None:
        return "an object"
    fields = [field for field in struct.fields if field.required] or list(struct.fields)[:LISTED_MAX]
    examples = {
        field.encode_name: PATTERNS[each.pattern][1]
        for field in fields
        for each in _alternatives(field.type)
        if isinstance(each, inspect.StrType) and each.pattern is not None and each.pattern in PATTERNS
    }
    if len(examples) == len(fields):
        return f"an object, as in {msgspec.json.format(msgspec.json.encode(examples), indent=0).decode()}"
    return f"an object with {', '.join(field.encode_name for field in fields)}"


def _at(shape: type[msgspec.Struct] | None, place: str, within: str) -> list[inspect.Type]:
    """What may stand at `place`; nothing where the shape does not say."""
    if shape is None or not place.startswith(within):
        return []
    types = list(_alternatives(inspect.type_info(shape)))
    for step in _STEP.finditer(place[len(within) :].removeprefix(".")):
        types = [deeper for each in types for deeper in _step(each, step[1])]
    return types


def _step(type_: inspect.Type, name: str | None) -> Iterator[inspect.Type]:
    """What there is in `type_` under a name, or as an item of it."""
    match type_:
        case inspect.StructType(fields=fields) if name:
            for field in fields:
                if field.encode_name == name:
                    yield from _alternatives(field.type)
        case inspect.CollectionType(item_type=item) | inspect.VarTupleType(item_type=item) if not name:
            yield from _alternatives(item)
        case inspect.DictType(value_type=value):
            yield from _alternatives(value)
        case _:
            pass


def _alternatives(type_: inspect.Type) -> Iterator[inspect.Type]:
    match type_:
        case inspect.UnionType(types=types):
            for each in types:
                yield from _alternatives(each)
        case inspect.Metadata(type=inner):
            yield from _alternatives(inner)
        case _:
            yield type_
