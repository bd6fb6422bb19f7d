"""Runs the tests that carry `@pytest.mark.requirement("000-15")` and prints the rows that they prove.

A row is proved when at least one of its tests passes and none fails. The concept of a row comes from requirements.md
beside the checkout where that is present; where it is not, the id stands alone. Ends with 1 when a test fails or names
a row that is not there.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT.parent / "shared" / "requirements.md"


class Outcomes:
    """A pytest plugin: the outcome of every test, by the rows that it names."""

    def __init__(self) -> None:
        self.by_row: dict[str, dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Of a test's three phases, the call counts; set-up and tear-down only when they fail or skip it.
        if report.when != "call" and report.passed:
            return
        test = report.nodeid.split("[")[0]
        for name, row in report.user_properties:
            # One test of many parameters is one test: a single failure is what it comes to.
            if name == "requirement":
                so_far = self.by_row[str(row)].get(test, "skipped")
                self.by_row[str(row)][test] = max(so_far, report.outcome, key=["skipped", "passed", "failed"].index)


def concepts(text: str) -> Mapping[str, str]:
    """Row id to concept, from the tables of `text`."""
    rows = re.findall(r"^\| *(\d{3}-\d{2}[a-z]?) *\| *((?:[^|\\]|\\.)*?) *\|", text, flags=re.MULTILINE)
    return {row: re.sub(r"[*`]|\\(?=\|)", "", concept) for row, concept in rows}


def proved(tests: Mapping[str, str]) -> bool:
    return "passed" in tests.values() and "failed" not in tests.values()


def main() -> int:
    outcomes = Outcomes()
    code = pytest.main(["-m", "requirement", "-q", "--rootdir", str(ROOT), *sys.argv[1:]], plugins=[outcomes])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        return int(code)
    known = concepts(REQUIREMENTS.read_text(encoding="utf-8")) if REQUIREMENTS.is_file() else {}
    strangers = sorted(outcomes.by_row.keys() - known.keys()) if known else []
    named = {row: tests for row, tests in sorted(outcomes.by_row.items()) if row not in strangers}
    rows = {row: tests for row, tests in named.items() if proved(tests)}
    print()
    for row, tests in rows.items():
        print(f"{row:8} {known.get(row, '')}".rstrip())
        for test in sorted(tests):
            print(f"{'':8} {test}" + ("" if tests[test] == "passed" else f" ({tests[test]})"))
    unproved = [row for row in named if row not in rows]
    if rows:
        print()
    print(f"{len(rows)} rows have a passing test" + (f", of {len(known)}" if known else ""))
    if unproved:
        print(f"not proved by the tests that name them: {', '.join(unproved)}")
    if strangers:
        print(f"no such row in {REQUIREMENTS.name}: {', '.join(strangers)}")
    return 1 if code == pytest.ExitCode.TESTS_FAILED or strangers else 0


if __name__ == "__main__":
    sys.exit(main())
