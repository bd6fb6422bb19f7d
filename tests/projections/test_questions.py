"""The questions as a whole: each is described, and none can ask for more than a page."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from attorn.contracts.work import WorkDefined
from attorn.projections.questions import QUESTIONS
from attorn.services.query.item import QUESTIONS as ITEM_QUESTIONS
from sample_story import Story, Told

DOCS = (Path(__file__).parents[2] / "docs" / "views.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_stands_in_the_docs_with_what_it_asks_and_its_parameters(name: str) -> None:
    question = QUESTIONS[name]
    [row] = [line for line in DOCS.splitlines() if line.startswith(f"| `attorn.q.{name}` |")]
    asks = " ".join((inspect.getdoc(question.answer) or "").split("\n\n")[0].split())
    fields = msgspec.structs.fields(question.parameters)
    said = [f"`{field.encode_name}`{' (required)' if field.required else ''}" for field in fields]
    assert row == f"| `attorn.q.{name}` | {asks} | {', '.join(said) or 'none'} |"


@pytest.mark.parametrize("name", [name for name, q in QUESTIONS.items() if "limit" in q.parameters.__struct_fields__])
def test_a_page_has_a_length_that_is_bounded_and_a_beginning(name: str) -> None:
    parameters = QUESTIONS[name].parameters
    said = {field.name: field for field in msgspec.structs.fields(parameters)}
    assert 1 <= said["limit"].default <= 1_000 and "after" in said
    required = {field.encode_name: "2026-01-01" for field in said.values() if field.required}
    with pytest.raises(msgspec.ValidationError, match="limit"):
        msgspec.convert({**required, "limit": 1_001}, parameters)


REQUIRED: Final = {"day": "2026-01-01", "event": 1}
"""Of the parameters that a question cannot do without, those that are no ids."""

NUMBERS: Final = ("-9223372036854775809", "-9223372036854775808", "-1", "0", "9007199254740991", "9007199254740992",
                  "9223372036854775807", "9223372036854775808", "1e308")  # fmt: skip
TIMES: Final = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-03-01T00:00:00")


@pytest.fixture(scope="module")
def told() -> Told:
    story = Story()
    story.people("ana", "ben")
    story.custodian("ana")
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="ben"))
    return story.folded()


def required(parameters: type[msgspec.Struct]) -> dict[str, Any]:
    names = [field.encode_name for field in msgspec.structs.fields(parameters) if field.required]
    said = {name: REQUIRED.get(name, "W-1") for name in names}
    msgspec.convert(said, parameters)
    return said


def strange(parameters: type[msgspec.Struct]) -> Iterator[tuple[str, msgspec.Struct]]:
    """The question with every number and every time that it does not refuse, in each of its fields."""
    said = required(parameters)
    for field in msgspec.structs.fields(parameters):
        rest = msgspec.json.encode({name: value for name, value in said.items() if name != field.encode_name})
        for value in (*NUMBERS, *(f'"{time}"' for time in TIMES), '"P999999999D"', '"-P999999999D"'):
            body = rest[:-1] + b"," * (rest != b"{}") + f'"{field.encode_name}":{value}}}'.encode()
            try:
                yield f"{field.encode_name} = {value}", msgspec.json.decode(body, type=parameters)
            except msgspec.ValidationError:
                continue  # which is told to who asked


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_with_the_strangest_numbers_and_times_is_refused_or_answered(name: str, told: Told) -> None:
    parameters, answer = QUESTIONS[name]
    for said, asked in strange(parameters):
        try:
            msgspec.json.encode(answer(told.rows, told.directory, asked))
        except Exception as error:
            raise AssertionError(f"{name} with {said}: {error}") from error


@pytest.mark.parametrize("parameters", [q.parameters for q in (*QUESTIONS.values(), *ITEM_QUESTIONS.values())])
def test_a_number_that_is_asked_for_is_one_that_every_reader_knows_and_a_time_has_an_offset(
    parameters: type[msgspec.Struct],
) -> None:
    wrong: dict[str, tuple[Any, ...]] = {
        "integer": (-(2**63) - 1, -(2**63), -1, 2**53, 2**63),
        "date-time": ("2026-03-01T00:00:00",),
    }
    described: dict[str, Any] = msgspec.json.schema(parameters)["$defs"][parameters.__name__]["properties"]
    for name, field in described.items():
        for kind in field.get("anyOf", [field]):
            for value in wrong.get(kind.get("format", kind.get("type", "")), ()):
                with pytest.raises(msgspec.ValidationError, match=name):
                    msgspec.convert({**required(parameters), name: value}, parameters)
