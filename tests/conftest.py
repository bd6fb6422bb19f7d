"""Says with each test's report which rows of the requirements it proves, and at the end of a run which of the
eventsourcing library's own test cases passed; fixtures live in files of their own."""

from collections import Counter

import pytest

pytest_plugins = ["broker", "attorn_services", "javascript", "postgres", "running"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # As properties of the test, so that JUnit reports carry them too; tools/requirements_table.py prints them.
    for item in items:
        for marker in item.iter_markers("requirement"):
            item.user_properties.extend(("requirement", row) for row in marker.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    shipped = Counter(
        report.nodeid.split("::")[1].removeprefix("Test")
        for report in terminalreporter.stats.get("passed", ())
        if "test_shipped.py::Test" in report.nodeid
    )
    if shipped:
        terminalreporter.section("the eventsourcing library's own test cases, passed on JetStream")
        for name, passed in sorted(shipped.items()):
            terminalreporter.line(f"{name}: {passed}")
