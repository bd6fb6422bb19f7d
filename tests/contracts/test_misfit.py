"""What does not fit is told in words: whoever sent it reads what belongs there, and no pattern of ours."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, inspect

from attorn.contracts.delegation import DelegateWork
from attorn.contracts.finding import AcceptFinding
from attorn.contracts.ids import Digest, Money
from attorn.contracts.messages import COMMANDS, EVENTS
from attorn.contracts.misfit import PATTERNS, told
from attorn.projections.questions import QUESTIONS


class Shape(msgspec.Struct, kw_only=True):
    text: Annotated[str, Meta(min_length=1, max_length=3)] = "x"
    number: Annotated[int, Meta(ge=0, le=9)] = 0
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    items: Annotated[tuple[str, ...], Meta(max_length=1)] = ()
    word: Literal["low", "normal", "high"] | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None
    lasts: timedelta | None = None
    dig: Digest | None = None
    money: Money | None = None
    flag: bool = False
    named: dict[str, Money] = {}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("text", "", "is empty, and must not be"),
        ("text", "long", "has at most 3 characters"),
        ("text", None, "is a string, not null"),
        ("number", -1, "is an integer, at least 0"),
        ("number", 10, "is an integer, at most 9"),
        ("number", "7", "is an integer, not a string"),
        ("share", 0, "is a number, more than 0.0"),
        ("share", 1, "is a number, less than 1.0"),
        ("items", ["a", "b"], "has at most 1 items"),
        ("word", "hihg", "is one of high, low, normal, not 'hihg'; did you mean high?"),
        ("at", "tomorrow", "is an instant with its offset, as in 2026-03-02T09:00:00Z (RFC 3339)"),
        ("at", "2026-03-02T09:00:00", "is an instant with its offset, as in 2026-03-02T09:00:00Z (RFC 3339)"),
        ("lasts", "1 hour", 'is a length of time, as in "PT1H" or "P7D" (ISO 8601)'),
        ("dig", "x", "is sha256: and 64 hexadecimal digits"),
        ("money", "99.00", 'is an object, as in {"amount": "99.00", "currency": "EUR"}, not a string'),
        ("flag", "yes", "is true or false, not a string"),
    ],
)
def test_what_is_wrong_is_told_in_words(field: str, value: Any, said: str) -> None:
    assert told(wrong({field: value}), Shape) == (said, field)


@pytest.mark.parametrize(
    ("body", "place", "said"),
    [
        ({"money": {"amount": "1"}}, "money.currency", "is required"),
        ({"money": {"amount": "1", "currency": "euro"}}, "money.currency", "is a currency in three capitals"),
        ({"named": {"a": "1"}}, "named[...]", 'is an object, as in {"amount": "99.00", "currency": "EUR"}'),
        ({"items": [1]}, "items[0]", "is a string, not an integer"),
    ],
)
def test_the_place_is_told_however_deep_it_is(body: Any, place: str, said: str) -> None:
    sentence, where = told(wrong(body), Shape)
    assert (where, sentence[: len(said)]) == (place, said)


@pytest.mark.parametrize(
    ("shape", "body", "said"),
    [
        (AcceptFinding, {"stream": "C-03", "finding_id": "X@1"}, ("is KIND/ID, as in work/W-1", "stream")),
        (
            DelegateWork,
            {"work_id": "W-1", "delegate": "bot", "delegation_id": "D-1", "budget": {"actions": -3}},
            ("is an integer, at least 0", "budget.actions"),
        ),
    ],
)
def test_a_command_s_own_shape_says_what_belongs_there(
    shape: type[msgspec.Struct], body: Any, said: tuple[str, str]
) -> None:
    assert told(wrong(body, shape), shape) == said


def test_without_a_shape_it_is_told_as_far_as_the_decoder_knows() -> None:
    assert told("Invalid enum value 'x' - at `$.word`") == ("'x' is none of those that there are", "word")
    assert told("Expected `object | null`, got `str` - at `$.data.amount`") == (
        "is an object, not a string",
        "data.amount",
    )


def test_every_pattern_that_a_sender_can_meet_has_its_words() -> None:
    shapes = [*EVENTS, *COMMANDS, *(question.parameters for question in QUESTIONS.values())]
    met = {pattern for shape in shapes for pattern in patterns(inspect.type_info(shape))}
    assert met <= PATTERNS.keys()
    for pattern, (_, example) in PATTERNS.items():
        assert msgspec.convert(example, Annotated[str, Meta(pattern=pattern)]) == example


def wrong(body: Any, shape: type[Any] = Shape) -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(msgspec.json.encode(body), type=shape)
    return str(caught.value)


def patterns(info: inspect.Type) -> Iterator[str]:
    match info:
        case inspect.StrType(pattern=str(pattern)):
            yield pattern
        case inspect.Metadata(type=inner):
            yield from patterns(inner)
        case inspect.StructType(fields=fields):
            for field in fields:
                yield from patterns(field.type)
        case inspect.UnionType(types=types):
            for each in types:
                yield from patterns(each)
        case inspect.CollectionType(item_type=item) | inspect.VarTupleType(item_type=item):
            yield from patterns(item)
        case inspect.DictType(key_type=key, value_type=value):
            yield from patterns(key)
            yield from patterns(value)
        case _:
            pass
