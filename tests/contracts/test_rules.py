"""The list of rules is closed: what a refusal or a finding names is on it, and nothing is on it in vain."""

import ast
import re
from pathlib import Path

import pytest

from attorn.contracts.rules import RULES

ROOT = Path(__file__).parents[2]
# An import is a client of the doors: it passes on what they refused.
SERVICES = [path for path in (ROOT / "services/attorn/services").rglob("*.py") if "imports" not in path.parts]


def broken() -> dict[str, str]:
    """Each code that a Breach is made with, and one place where it is."""
    found: dict[str, str] = {}
    for path in SERVICES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Breach":
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                rule = next((keyword.value for keyword in node.keywords if keyword.arg == "rule"), None)
                assert isinstance(rule, ast.Constant), f"{place}: the code is written out, so that it can be found"
                found.setdefault(str(rule.value), place)
    return found


def test_every_rule_that_is_broken_somewhere_is_listed() -> None:
    assert {code: place for code, place in broken().items() if code not in RULES} == {}


def test_every_rule_that_is_listed_can_be_broken() -> None:
    assert RULES.keys() - broken().keys() == set()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_has_a_code_an_invariant_and_one_sentence(rule: object) -> None:
    code, invariant, sentence = rule  # type: ignore[misc]
    assert RULES[code] is rule
    # A finding's id is <code>@<position>.
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code) and len(code) <= 64
    assert re.fullmatch(r"(I([1-9]|1[0-5]))?", invariant)
    assert re.fullmatch(r"[A-Z][^.]*\.", sentence)
