"""A PostgreSQL of its own for tests, started once; `pytest_plugins = ["postgres"]` loads it."""

from collections.abc import Iterator

import pytest
from postgresql import NotInstalled, server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of one for the whole session, shared: make tables of your own in it. No commit is waited for."""
    try:
        with server(fsync=False) as running:
            yield running.url
    except NotInstalled as missing:
        # A newcomer's machine has python3 and make; the rest of the suite does not need more.
        pytest.skip(str(missing))
