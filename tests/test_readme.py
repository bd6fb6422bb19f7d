"""Every command block of the README is run, in its order, as a newcomer would: what it promises is true."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from attorn.services.supervise.server import free_port
from javascript import node_itself

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
HEADINGS = (
    "What it is",
    "Two commands",
    "What you saw",
    "Publish a fact, from any language",
    "Subscribe to escalations",
    "Ask who answers",
    "Replay and prove",
    "What it is not",
    "What it trusts",
)


BLOCK = re.compile(
    r"^##[ ](?P<heading>[^\n]+)$"
    r"|(?:^<!--[ ](?P<note>[^\n]+)[ ]-->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A code block: what a comment above it says of it, its language, its text, and the heading it stands under."""

    note: str
    language: str
    text: str
    heading: str


def blocks() -> Iterator[Block]:
    heading = ""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if found["heading"]:
            heading = found["heading"]
        else:
            yield Block(found["note"] or "", found["language"], found["text"], heading)


def test_the_readme_tells_its_story_in_order() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == HEADINGS


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {block.language for block in blocks()} == {"sh", "js", "python", "text"}
    assert all(block.note.startswith("node ") for block in blocks() if block.language == "js")


def test_the_two_commands_are_there_and_the_first_tells_its_story(tmp_path: Path) -> None:
    commands = [block.text.strip() for block in blocks() if block.heading == "Two commands"]
    assert commands == ["make demo", "make test"]
    # This very environment is taken for the one that make would set up.
    made = subprocess.run(
        ["make", "--no-print-directory", "demo", f"VENV={BIN.parent}", "-o", f"{BIN.parent}/.installed"],
        cwd=ROOT, capture_output=True, text=True, timeout=100, env=environment(),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    told = made.stdout
    assert "gaps 0, overlaps 0, non-human 0" in told and "different" not in told
    for line in next(block.text for block in blocks() if block.heading == "What you saw").splitlines():
        assert line.strip() in told.replace(" \n", "\n"), f"the README shows what the demo does not: {line}"
    tested = subprocess.run(
        ["make", "-n", "test", f"VENV={BIN.parent}", "-o", f"{BIN.parent}/.installed"],
        cwd=ROOT, capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert "-m pytest" in tested.stdout


@pytest.mark.timeout(240)
def test_every_block_after_up_does_what_it_says(tmp_path: Path, node_packages: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".venv").symlink_to(BIN.parent)
    told: dict[str, str] = {}
    running: subprocess.Popen[str] | None = None
    port = free_port()
    try:
        for block in blocks():
            if block.heading == "Two commands" or block.language == "text":
                continue
            if block.note == "background":
                command = f"exec {block.text.strip()} --port {port}"
                running = subprocess.Popen(
                    ["bash", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment()
                )
                until_ready(running)
            elif block.language == "js":
                script = node_packages / block.note.removeprefix("node ")
                script.write_text(block.text, encoding="utf-8")
                told[script.name] = run([node_itself(), str(script)], node_packages, port)
            elif block.language == "python":
                told[block.text] = run([sys.executable, "-c", block.text], tmp_path, port)
            else:
                for line in re.split(r"\n(?=\S)", block.text.strip()):
                    told[line] = run(["bash", "-c", line], tmp_path, port)
    finally:
        if running is not None:
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=10)

    assert "position:" in told["publish.mjs"]
    assert "critical" in told["follow.mjs"] and "wrong customer" in told["follow.mjs"]
    assert "custodian" in told["attorn who INV-4711"]
    assert "ana (Ana) answers for W-1" in told["attorn who W-1"]
    assert "gaps 0" in told["attorn audit accountability"]
    assert "X-1" in told["attorn escalation ls"]
    [history] = [printed for block, printed in told.items() if "Application" in block]
    assert "attorn.work.escalated.v1 billing" in history and "attorn.note.added.v1 crm" in history


def run(command: list[str], place: Path, port: int) -> str:
    ran = subprocess.run(
        command, cwd=place, capture_output=True, text=True, timeout=60,
        env={**environment(), "NATS_URL": f"nats://127.0.0.1:{port}"},
    )  # fmt: skip
    assert ran.returncode == 0, f"{command[-1]}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ATTORN_")}
    return {
        **ours,
        "PATH": path,
        "PYTHONPATH": os.pathsep.join(str(ROOT / r) for r in ("contracts", "projections", "services")),
    }


def until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    end = time.monotonic() + 30
    said = []
    while time.monotonic() < end:
        said.append(process.stdout.readline())
        if said[-1].startswith("ready"):
            return
        assert process.poll() is None, said
    raise AssertionError(said)


assert shutil.which("bash"), "the blocks are for a shell"
