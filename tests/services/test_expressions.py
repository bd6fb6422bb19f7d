"""Conditions: what they may say, what comes of them, and that no text whatever takes long or breaks anything."""

import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attorn.services import expressions
from attorn.services.expressions import VARIABLES, applies, evaluate, problem

FACTS: Final[dict[str, Any]] = {
    "action": dict.fromkeys(VARIABLES["action"]) | {"tool": "pay", "target": "orders/7", "amount": 12.5},
    "work": dict.fromkeys(VARIABLES["work"]) | {"priority": "high", "title": "x" * 200},
    "delegation": dict.fromkeys(VARIABLES["delegation"]) | {"spent": {"actions": 3}, "exhausted": False},
    "at": datetime(2026, 3, 2, 9, tzinfo=UTC),
}


@pytest.mark.parametrize(
    "text",
    [
        "true",
        'work.priority == "high"',
        "action.amount <= 200.0 && action.amount < 200",
        'action.tool in ["look", "pay"]',
        '!action.target.startsWith("accounts/")',
        "work.risk_tier == null",
        "size(work.title) == 200",
        "delegation.spent.actions + 1 < 5",
        'at < timestamp("2026-04-01T00:00:00Z")',
        'at - timestamp("2026-03-02T08:00:00Z") <= duration("1h")',
        'action.tool == "work.pdf" || action.tool != "a.b"',
    ],
)
def test_what_holds(text: str) -> None:
    assert problem(text) is None
    assert evaluate(text, FACTS) == (True, "")


@pytest.mark.parametrize(
    "text, why",
    [
        ("work.risk_tier < 3", "work.risk_tier is not known here"),
        ("work.risk_tier < 3 && 'a.b' != work.process", "work.risk_tier is not known here"),
        ("action.currency != null || work.cycle > 3", "work.cycle is not known here"),
        ("work.process_version + work.cycle > 3", "work.process_version and work.cycle are not known here"),
        ("!action.result.startsWith('s')", "action.result is not known here"),
        ("delegation.left.actions <= 5", "delegation.left is not known here"),
        ("action.amount / 0 > 1", "cannot be evaluated: Unsupported"),
        ("action.amount", "neither true nor false"),
        ("output.confidence < 0.5", "speaks of output, which is not known here"),
    ],
)
def test_what_cannot_be_told_is_neither_and_says_why(text: str, why: str) -> None:
    assert problem(text) is None
    holds, said = evaluate(text, FACTS)
    assert holds is None
    assert why == said if "not known" in why else why in said


@pytest.mark.parametrize(
    "text, said",
    [
        ("action.amount <", "cannot be read: it ends after <"),
        ("action.amount <= 200 &&", "cannot be read: it ends after &&"),
        ("(action.amount > 1", "cannot be read: at its end, ) is missing"),
        ("action.amount = 200", "cannot be read: at column 15, = has no place; equal is =="),
        ("true and false", "cannot be read: at column 6, and has no place; and is &&"),
        ("action.tool == 'x", "cannot be read: at column 16, a text begins that has no end"),
        ("order.amount < 5", "speaks of 'order'; there are action, at"),
        ("action.price < 5", "speaks of action.price; action has amount"),
        ("now() < at", "uses 'now'"),
        ('action.tool.matches("(a+)+$")', "calls .matches(); there are no loops"),
        ("[1, 2].all(x, x > 0)", "calls .all(); there are no loops"),
        ("[1, 2] . map (work, work)", "calls .map(); there are no loops"),
        ("[1].map(\nx, x)", "has a line break"),
        ("true" + " || true" * 300, "at most"),
        ('"a"' + ' + "a"' * 30, "additions"),
        ("x" * 3_000, "characters"),
        ("(" * 120 + "1" + ")" * 120, "cannot be read"),
    ],
)
def test_what_is_no_condition_is_told_what_to_change(text: str, said: str) -> None:
    found = problem(text)
    assert found is not None
    assert said in found
    assert evaluate(text, FACTS).holds is None


def test_a_condition_applies_where_all_that_it_speaks_of_is_known() -> None:
    assert applies("action.amount < 5 && true", FACTS)
    assert not applies("output.confidence < 0.5", FACTS)
    assert applies("nobody can read", ())


def test_an_instant_is_the_same_wherever_it_was_written() -> None:
    east = FACTS | {"at": FACTS["at"].astimezone(timezone(timedelta(hours=9)))}
    assert evaluate('at == timestamp("2026-03-02T09:00:00Z")', east).holds is True


PIECES: Final = st.sampled_from(
    [*"()[]{}+-*/%!?:.,<>=&|", "==", "&&", "||", " in ", "true", "null", "1", "2.5", '"a"', "'", "action", "work.title",
     ".amount", ".all(x, ", ".map(", "size(", "has(", "timestamp(", "at", "delegation.spent", "\\", "//", "\n", "é"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=60).map("".join), st.text(max_size=80)))
def test_no_text_breaks_anything_and_the_same_text_says_the_same(text: str) -> None:
    before = time.process_time()
    found, verdict = problem(text), evaluate(text, FACTS)
    assert evaluate(text, FACTS) == verdict
    assert verdict.holds is None or found is None
    assert time.process_time() - before < 0.5


def test_the_longest_texts_are_evaluated_in_no_time() -> None:
    facts = FACTS | {"action": FACTS["action"] | {"target": "t" * 16_384}}
    texts = ["+".join(["action.target"] * 20) + ' == ""', "!" * 399 + "true", "[" + "1," * 190 + "1] == []"]
    before = time.process_time()
    for text in texts:
        assert evaluate(text, facts).holds is not None, text[:40]
    assert time.process_time() - before < 0.5


def test_what_is_kept_of_texts_is_bounded() -> None:
    for number in range(2 * expressions.CACHED_MAX):
        problem(f"{number} > 0")
    assert expressions.compiled.cache_info().currsize <= expressions.CACHED_MAX


def test_every_variable_and_field_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text(encoding="utf-8")
    for name, fields in VARIABLES.items():
        assert f"`{name}`" in text, name
        for field in fields:
            assert f"`{name}.{field}`" in text, f"{name}.{field}"
    for name in expressions.FUNCTIONS:
        assert f"`{name}`" in text, name
