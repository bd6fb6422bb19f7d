"""The questions as a whole: each is described, and none can ask for more than a page."""

import inspect
from pathlib import Path

import msgspec
import pytest

from attorn.projections.questions import QUESTIONS

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
