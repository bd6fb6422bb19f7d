"""A real `attorn up` for the tests of the command line, started once, and commands given to it."""

import io
import json
import os
import sys
from typing import Any, Final

import pytest

from attorn.cli.main import main
from cli.instance import ROOT, Ran, Run, attorn


@pytest.fixture
def given(instance: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Gives commands to the session's attorn, in this process; `by` is who acts."""

    def give(*argv: str, by: str = "root", stdin: str | None = None, **more: str) -> Ran:
        for name in [name for name in os.environ if name.startswith("ATTORN_")]:
            monkeypatch.delenv(name)
        for name, value in {"ATTORN_NATS_URL": instance, "ATTORN_AS": by, "COLUMNS": "80", **more}.items():
            monkeypatch.setenv(name, value)
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = main(argv)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    return give


@pytest.fixture
def done(given: Run) -> Run:
    """As `given`, for what has to succeed."""

    def give(*argv: str, **more: Any) -> Ran:
        ran = given(*argv, **more)
        assert ran.code == 0, (argv, ran)
        return ran

    return give


@pytest.fixture(scope="session")
def cast(instance: str) -> None:
    """Three people, an agent, a policy and a process: who and what there is in these tests."""
    for argv in (
        ("participant", "register", "ana", "--name", "Ana Lopez"),
        ("participant", "register", "ben"),
        ("participant", "register", "bot", "agent", "--sponsor", "ana", "--model", "example/one"),
        ("policy", "publish", "-"),
        ("policy", "publish", str(ROOT / "examples" / "ladder.toml"), "--id", "help"),
        ("process", "publish", "-"),
    ):
        stdin = {"policy": POLICY, "process": PROCESS}.get(argv[0], "")
        ran = attorn(*argv, stdin=stdin, ATTORN_NATS_URL=instance, ATTORN_AS="root")
        assert ran.code == 0, ran


POLICY: Final = """
policy_id = "four-eyes"
kind = "review"
[rules.review]
reviewers_required = 1
"""
PROCESS: Final = json.dumps(
    {
        "process_id": "refunds",
        "owner": "ana",
        "purpose": "Give money back.",
        "review_policy": "four-eyes",
        "escalation_policy": "help",
        "ai_work": dict.fromkeys(("participation", "accountability", "collaboration", "visibility"), "said"),
        "steps": [
            {"step_id": "look", "name": "Look at the order", "raci": {"A": "ana", "R": "bot"}, "next": ["reply"]},
            {"step_id": "reply", "name": "Reply", "ai_mode": "act_then_review", "raci": {"A": "ana"}},
        ],
    }
)
