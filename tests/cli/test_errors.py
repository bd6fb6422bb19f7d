"""What went wrong is told in the words of whoever typed it: which argument, what belongs there, what comes first."""

import inspect
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from attorn.cli import commands
from attorn.cli.commands import in_order, output_of
from attorn.cli.errors import Exit
from attorn.cli.imports import interrupted
from attorn.cli.main import main
from attorn.cli.typed import NAMED
from cli.instance import ATTORN, Ran, Run, attorn, environment

NOWHERE = "nats://127.0.0.1:9"


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("finding accept work/C.03 hidden-work@3 --reason r", "is KIND/ID, as in work/W-1."),
        ("finding accept work/C-03 hidden --reason r", "say which finding, as in hidden-work@12."),
        ("activity ana --day 21.11.2026", "--day is a day, as in 2026-03-02."),
        ("work delegate W-1 bot --max-actions -3", "--max-actions is an integer, at least 0."),
        ("work delegate W-1 bot --max-money 01EUR", "--max-money is a decimal number in a string"),
        ("work delegate W-1 bot --max-money 1,50EUR", "'1,50EUR' is not an amount such as 200.00EUR"),
        ("work define W.1 x", "WORK: an identifier is 1 to 64 letters"),
    ],
)
def test_what_does_not_fit_is_told_of_the_argument_that_made_it(given: Run, argv: str, said: str) -> None:
    ran = given(*argv.split())
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert said in ran.err and ran.err.count("\n") == 1
    assert "regex" not in ran.err and "`int`" not in ran.err


def test_a_length_of_time_in_a_file_is_told_with_its_place(given: Run) -> None:
    policy = """
    policy_id = "slow"
    kind = "escalation"
    [[rules.escalation.ladder]]
    rung = 1
    targets = ["ana"]
    ack_within = "1 hour"
    """
    ran = given("policy", "publish", "-", stdin=policy)
    assert ran.code == Exit.USAGE
    assert 'rules.escalation.ladder[0].ack_within: is a length of time, as in "PT1H"' in ran.err


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize(
    ("argv", "near", "place"),
    [
        ("team add bem ana", "did you mean ben?", "(TEAM)"),
        ("absence declare --who anna --until 2099-01-01 --substitute ben", "did you mean ana?", "(--who)"),
        ("work define W-near x --candidate bto", "did you mean bot?", "(--candidate)"),
        ("work note W-near hello --as xyzzy", "`attorn participant ls` says who there is", "not registered"),
    ],
)
def test_who_is_not_registered_is_named_with_the_nearest_who_is(given: Run, argv: str, near: str, place: str) -> None:
    ran = given(*argv.split())
    assert ran.code == Exit.REFUSED
    head, *rules = ran.err.splitlines()
    assert near in head
    assert any(place in line for line in rules if "is not registered" in line)


def test_an_agent_without_oversight_is_told_which_options_make_it(given: Run, cast: None) -> None:
    ran = given("agent", "deploy", "bot", "refunds")
    assert "(--review-every and --sample-rate)" in ran.err and "(--heartbeat)" in ran.err


def test_what_comes_too_early_is_told_what_is_first(given: Run, done: Run, cast: None, tmp_path: Path) -> None:
    (tmp_path / "reply").write_text("x")
    done("work", "define", "W-early", "Early", "--criterion", "right=it is right", by="ana")
    done("work", "assign", "W-early", "ben", by="ana")
    started = given("work", "submit", "W-early", by="ben")
    assert "Hint: first `attorn execution start W-early`" in started.err
    done("execution", "start", "W-early", by="ben")
    done("execution", "report", "W-early", "--out", f"reply={tmp_path / 'reply'}", by="ben")
    done("work", "submit", "W-early", by="ben")
    early = given("work", "complete", "W-early", by="ana")
    assert early.code == Exit.REFUSED
    assert "Hint: first `attorn work verify W-early --passed right`" in early.err


def test_a_condition_that_ends_too_early_is_told_so(given: Run, done: Run, cast: None) -> None:
    done("work", "define", "W-cel", "x", by="ana")
    ran = given("work", "delegate", "W-cel", "bot", "--condition", "action.amount <= 200 &&", by="ana")
    assert ran.code == Exit.REFUSED
    assert ran.err.splitlines()[1].endswith("condition k1 cannot be read: it ends after &&  (--condition)")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("delegation accept C-11 D-11", "'D-11' is more than attorn delegation accept takes, which is WORK; "),
        ("delegation accept C-11 D-11", "did you mean --delegation D-11?"),
        ("escalation ack C-08 E-1", "did you mean --escalation E-1?"),
        ("work verify C-04 right=passed", "did you mean --passed right?"),
        ("who C-01 C-02", "'C-02' is more than attorn who takes, which is WORK. Hint: attorn who --help."),
        ("policy publish --bogus four-eyes.toml", "there is no option --bogus"),
        ("facts publish --source erp --sauce erp", "there is no option --sauce"),
        ("status now please", "'now please' is more than attorn status takes, which is only options."),
    ],
)
def test_a_word_too_many_is_told_what_is_taken(argv: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv.split()) == Exit.USAGE
    assert said in capsys.readouterr().err


def test_every_name_that_a_field_has_on_the_line_is_there() -> None:
    def parameters(app: App) -> Iterator[str]:
        if app.default_command is not None:
            yield from inspect.signature(app.default_command).parameters
        for name in app:
            if not name.startswith("-"):
                yield from parameters(app[name])

    there = set(parameters(commands.app))
    assert {name for names in NAMED.values() for name in names} <= there


# ---- for programs


def test_a_program_that_asked_for_json_reads_what_went_wrong_in_json(given: Run, cast: None) -> None:
    for argv, code in (
        (("who", "W-nowhere", "-o", "json"), Exit.NOT_FOUND),
        (("work", "complete", "W-nowhere", "-o", "jsonl"), Exit.NOT_FOUND),
        (("work", "ls", "--state", "banana", "--output=json"), Exit.USAGE),
        (("work", "lss", "-o", "json"), Exit.USAGE),
    ):
        ran = given(*argv)
        problem = json.loads(ran.err)
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
        assert (problem["kind"], problem["exit"]) == ("problem", code) and problem["detail"]
    refused = json.loads(given("team", "add", "bem", "ana", ATTORN_OUTPUT="json").err)
    assert refused["rules"] == [{"rule": "unregistered-actor", "detail": "bem is not registered"}]
    assert "did you mean ben?" in refused["hint"]
    assert given("who", "W-nowhere", "-o", "id").err.startswith("attorn: ")


def test_how_the_answer_is_written_may_be_said_anywhere(done: Run, cast: None) -> None:
    fact = {
        "specversion": "1.0",
        "id": "anywhere-1",
        "source": "/anywhere",
        "type": "attorn.note.added.v1",
        "subject": "work/W-anywhere",
        "time": "2026-03-02T09:00:00Z",
        "data": {"text": "x"},
    }
    body = json.dumps(fact)
    for argv in (
        ("facts", "publish", "--source", "anywhere", "-o", "json"),
        ("facts", "publish", "-o", "json", "--source", "anywhere", "-"),
        ("facts", "publish", "-", "--source", "anywhere", "-o=json"),
        ("-o", "json", "facts", "publish", "--source", "anywhere"),
    ):
        assert done(*argv, stdin=body).json["event_id"] == "anywhere-1"


def test_what_holds_for_every_command_is_taken_off_the_line_first() -> None:
    assert in_order(["facts", "publish", "-o", "json", "-", "--as=ana"]) == [
        "-o", "json", "--as=ana", "facts", "publish", "-",
    ]  # fmt: skip
    assert in_order(["work", "note", "W-1", "--", "-o", "json"]) == ["work", "note", "W-1", "--", "-o", "json"]
    assert in_order(["work", "ls", "-o"]) == ["work", "ls", "-o"]


def test_the_form_of_the_answer_is_known_of_a_line_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTORN_OUTPUT", "id")
    assert output_of(["no", "such"]) == "id"
    assert output_of(["no", "-o", "json"]) == "json"
    assert output_of(["no", "--output=jsonl"]) == "jsonl"
    assert output_of(["no", "--", "-o", "json"]) == "id"


# ---- which attorn


def test_a_data_directory_that_is_named_answers_or_nobody_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ATTORN_NATS_URL", "ATTORN_DATA"):
        monkeypatch.delenv(name, raising=False)
    assert main(["work", "ls", "--data", str(tmp_path)]) == Exit.UNREACHABLE
    err = capsys.readouterr().err
    assert err.startswith(f"attorn: no attorn runs on {tmp_path}. Hint: start it with `attorn up --data {tmp_path}`")
    monkeypatch.setenv("ATTORN_DATA", str(tmp_path))
    assert main(["work", "cancel", "W-1"]) == Exit.UNREACHABLE
    assert f"no attorn runs on {tmp_path}" in capsys.readouterr().err
    assert main(["work", "ls", "--nats-url", NOWHERE]) == Exit.UNREACHABLE
    assert "no attorn answers at" in capsys.readouterr().err


# ---- terminals


def test_a_terminal_that_knows_only_ascii_is_given_the_rest(instance: str, done: Run, cast: None) -> None:
    done("work", "define", "W-ascii", "Ümläut", by="ana")

    def foreign(*argv: str) -> Ran:
        plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
        return attorn(*argv, timeout=30, stdin="", ATTORN_NATS_URL=instance, ATTORN_AS="ana", **plain)

    ran = foreign("work", "show", "W-ascii")
    assert (ran.code, ran.err) == (0, "") and "?ml?ut" in ran.out
    assert foreign("work", "show", "W-ascii", "-o", "json").json["item"]["title"] == "Ümläut"
    # What is typed there is UTF-8 all the same.
    assert foreign("work", "note", "W-ascii", "größer").code == 0
    assert "größer" in done("work", "timeline", "W-ascii").out


def test_an_error_is_folded_on_a_terminal_and_one_line_in_a_pipe() -> None:
    argv = [*ATTORN, "work", "ls", "--state", "banana"]
    typed = on_a_terminal(argv)
    assert len(typed) > 1 and max(map(len, typed)) <= 80
    piped = subprocess.run(argv, capture_output=True, text=True, env=environment(COLUMNS="80"), timeout=30)
    assert piped.stderr.count("\n") == 1
    assert " ".join(" ".join(typed).split()) == " ".join(piped.stderr.split())


def test_one_ctrl_c_ends_a_command_that_reads_from_a_terminal() -> None:
    for argv in (["facts", "publish", "--source", "pay"], ["policy", "publish", "-"]):
        ours, theirs = pty.openpty()
        process = subprocess.Popen([*ATTORN, *argv], stdin=theirs, stdout=theirs, stderr=theirs, env=environment())
        os.close(theirs)
        try:
            said = b""
            while b"Ctrl-D ends it" not in said:
                said += os.read(ours, 1024)
            # It says so just before it reads.
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == Exit.INTERRUPTED
        finally:
            process.kill()
            process.wait()
            os.close(ours)


def on_a_terminal(argv: list[str]) -> list[str]:
    """The lines that a command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    script = [sys.executable, "-c", RESIZED, *argv]
    process = subprocess.Popen(script, stdin=theirs, stdout=theirs, stderr=theirs, env=environment())
    os.close(theirs)
    said = b""
    try:
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux says so where nobody has the other end any more
                break
            if not part:
                break
            said += part
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return said.decode().replace("\r\n", "\n").splitlines()


RESIZED = """
import fcntl, os, struct, sys, termios
fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"reading": 100}, "stopped; nothing is recorded yet. The same command goes on with the rest"),
        (
            {"reading": 9, "recording": 1234},
            "stopped; at least 1,234 facts are recorded. The same command goes on",
        ),
    ],
)
def test_ctrl_c_in_an_import_says_how_far_it_got(
    stages: dict[str, int], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), interrupted() as told:
        told |= stages
        raise KeyboardInterrupt
    assert said in capsys.readouterr().err


# ---- help


def test_delegating_is_explained_under_work_as_it_is_under_delegation(capsys: pytest.CaptureFixture[str]) -> None:
    told = {}
    for argv in (["work", "delegate", "--help"], ["delegation", "give", "--help"]):
        assert main(argv) == 0
        own = capsys.readouterr().out.partition("╭─ With every command")[0].partition("\n")[2]
        told[argv[0]] = " ".join(own.replace("│", " ").split())
    assert told["work"] == told["delegation"]
    assert "Example: attorn work delegate W-1" in told["work"]
    assert "--max-actions" in told["work"] and "by default suggest" in told["work"]
