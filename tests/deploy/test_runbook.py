"""What an operator is told to type exists, and what systemd is given is what it understands."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
ROOTS: Final = os.pathsep.join(str(ROOT / root) for root in ("contracts", "projections", "services"))
RUNBOOK: Final = (DEPLOY / "runbook.md").read_text(encoding="utf-8")
UNITS: Final = sorted((DEPLOY / "systemd").glob("*.service"))
NEEDED: Final = ("Description", "User", "ExecStart", "Restart", "StateDirectory", "NoNewPrivileges", "ProtectSystem")


def commands() -> Iterator[str]:
    """Every command of attorn in the runbook's shell blocks."""
    for block in re.findall(r"^```sh\n(.*?)^```$", RUNBOOK, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_a_command_of_the_runbook_exists_with_its_options(command: str) -> None:
    attorn, *words = shlex.split(command)
    assert attorn == "attorn", command
    names = [word for word in words if re.fullmatch("[a-z]+", word)]
    # One level of subcommands at most; what is behind are arguments.
    for depth in (2, 1):
        ran = help_of(names[:depth])
        if ran.returncode == 0:
            break
    assert ran.returncode == 0, ran.stderr
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", ran.stdout), f"{command}: there is no {option}"


def help_of(names: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "attorn.cli.main", *names, "--help"],
        capture_output=True, text=True, timeout=20, env={**os.environ, "PYTHONPATH": ROOTS},
    )  # fmt: skip


def test_what_the_runbook_points_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", RUNBOOK)
    assert links
    assert [link for link in links if not (DEPLOY / link).exists()] == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_says_who_runs_what_and_how_little_it_may(unit: Path) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(unit, encoding="utf-8")
    assert parser.sections() == ["Unit", "Service", "Install"]
    said = {**parser["Unit"], **parser["Service"]}
    assert [name for name in NEEDED if name not in said] == []
    assert (said["NoNewPrivileges"], said["ProtectSystem"], said["Restart"]) == ("yes", "strict", "always")
    assert "PASSWORD=" not in said["ExecStart"] + said["Environment"]


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    paths = []
    for unit in UNITS:
        # It wants the programs to be there, and a template to be an instance.
        path = tmp_path / unit.name.replace("@", "@services")
        path.write_text(
            re.sub(r"/opt/attorn/bin/\S+", sys.executable, unit.read_text(encoding="utf-8")), encoding="utf-8"
        )
        paths.append(str(path))
    ran = subprocess.run([analyze, "verify", *paths], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
