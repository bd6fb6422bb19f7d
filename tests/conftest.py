"""Says with each test's report which rows of the requirements it proves; fixtures live in files of their own."""

import pytest

pytest_plugins = ["broker", "attorn_services", "javascript", "postgres", "running"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # As properties of the test, so that JUnit reports carry them too; tools/requirements_table.py prints them.
    for item in items:
        for marker in item.iter_markers("requirement"):
            item.user_properties.extend(("requirement", row) for row in marker.args)
