"""A real `attorn up`, started once for the session: for tests of what talks to it from outside.

Loaded from conftest.py with `pytest_plugins = ["running"]`.
"""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from cli.instance import ATTORN, environment


@pytest.fixture(scope="session")
def instance() -> Iterator[str]:
    """Where the NATS of the session's attorn is; root is its custodian."""
    argv = [*ATTORN, "up", "--ephemeral", "--port", "0", "--custodian", "root:Root"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        url, said = "", list[str]()
        for line in process.stdout:
            said.append(line)
            if line.startswith("NATS at "):
                url = line.split()[2]
            if line.startswith("ready"):
                break
        else:
            pytest.fail(f"attorn up did not become ready: {said}")
        try:
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)
