"""The command line by itself: what it says of itself and of mistakes, how it begins. Nothing has to run for it."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cyclopts import App

from attorn.cli.commands import COMMANDS, MODULES, NAMES, app
from attorn.cli.main import main
from cli.instance import PYTHONPATH, attorn

NOWHERE = "nats://127.0.0.1:9"


def commands() -> Iterator[tuple[str, str]]:
    """The words of each command, and what it says of itself."""
    for _, name, found, _ in COMMANDS:
        thing = getattr(importlib.import_module(f"attorn.cli.{MODULES.get(name, name)}"), found)
        if isinstance(thing, App):
            for verb in thing:
                if not verb.startswith("-"):
                    yield f"{name} {verb}", thing[verb].default_command.__doc__ or ""
        else:
            yield name, thing.__doc__ or ""


EVERY = dict(commands())


def test_the_first_page_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert all(re.search(rf"^│ {name} ", page, re.MULTILINE) for name in NAMES)


def test_the_first_page_fits_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("words", sorted(EVERY))
def test_every_command_says_what_it_does(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--help"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"Usage: attorn {words.replace('_', '-')}")
    assert "With every command" in page


@pytest.mark.parametrize("words", sorted(set(EVERY) - {"demo"}))
def test_the_example_of_every_command_can_be_given(words: str) -> None:
    example = EVERY[words].partition("Example: ")[2].strip()
    name, *argv = shlex.split(example)
    assert name == "attorn"
    # What holds for every command is taken off first, as `launch` does.
    command, _, ignored = app.meta.parse_args(argv, exit_on_error=False, print_error=False)
    rest = [word for n, word in enumerate(argv) if word != "--as" and (n == 0 or argv[n - 1] != "--as")]
    rest = [word for n, word in enumerate(rest) if not word.startswith("-o") and (n == 0 or rest[n - 1] != "-o")]
    if "--nats-url" in rest:
        rest = rest[: rest.index("--nats-url")] + rest[rest.index("--nats-url") + 2 :]
    if "--data" in rest:
        rest = rest[: rest.index("--data")]
    command, _, ignored = app.parse_args(rest, exit_on_error=False, print_error=False)
    assert command.__doc__ is not None and example in command.__doc__
    assert "options" in ignored


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("attorn")


def test_a_group_without_a_verb_shows_its_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["work"]) == 0
    assert "define" in capsys.readouterr().out


MISUSES = (
    (["wrok"], "did you mean 'work'"),
    (["work", "defin", "W-1"], 'Did you mean "define"'),
    (["work", "define"], "requires an argument"),
    (["work", "define", "W-1"], "a work item has a title"),
    (["work", "define", "W-1", "x", "--prio", "high"], "Did you mean --priority"),
    (["work", "define", "W-1", "x", "--priority", "highest"], "Choose from"),
    (["work", "define", "W-1", "x", "--due", "tomorrow"], "2026-03-01T12:00:00Z"),
    (["work", "define", "W-1", "x", "too", "many"], "many"),
    (["work", "clarify", "W-1"], "nothing is to be clarified"),
    (["work", "clarify", "W-1", "--set", "priority"], "--set 'priority': it is ID="),
    (["work", "ls", "--limit", "many"], "--limit"),
    (["work", "ls", "-o", "xml"], 'Choose from: "table", "json"'),
    (["work", "ls", "--timeout", "0"], "more than 0"),
    (["work", "ls", "--timeout", "soon"], "--timeout"),
    (["who"], "requires an argument"),
    (["who", "W-1", "--position", "0"], "positions count from 1"),
    (["who", "W-1", "--at", "2026-13-01"], "is not a time"),
    (["escalation", "raise", "W-1", "x", "--reason", "because"], "Choose from"),
    (["participant", "register", "ana", "robot"], "Choose from"),
    (["process", "publish", "/nowhere/refunds.toml"], "/nowhere/refunds.toml: no such file"),
    (["policy", "publish", "/"], "/: is a directory"),
    (["facts", "publish", "/nowhere/facts.json", "--source", "erp"], "no such file"),
    (["facts", "publish", "-"], "--source"),
    (["events", "get", "zero"], "zero"),
    (["events", "get", "0"], "positions count from 1"),
    (["import", "xes", "/nowhere/log.xes"], "no such file"),
    (["up", "--port", "70000"], "a port is 0 to 65535"),
    (["up", "--custodian", "ana lopez"], "is not an identifier"),
    (["serve", "--only", "gateway"], "services, projector"),
)


@pytest.mark.parametrize(("argv", "said"), MISUSES, ids=[" ".join(argv) for argv, _ in MISUSES])
def test_a_mistake_is_one_line_with_a_hint(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTORN_NATS_URL", NOWHERE)
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("attorn: ") and err.count("\n") == 1
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('policy_id = "p"\nkind = ', "not TOML"),
        ('{"policy_id": "p", ', "not JSON at line 1"),
        ('policy_id = "p"\nkind = "revue"\n[rules]', "kind"),
        ('policy_id = "p"\nkind = "review"\ncolour = "red"\n[rules]', "colour"),
        ('policy_id = "four eyes"\nkind = "review"\n[rules]', "policy_id: an identifier is"),
        ("[1, 2]", "it has no fields"),
        ("", "policy_id"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_the_place(
    content: str, said: str, tmp_path: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{tmp_path}/policy"
    with open(path, "w") as file:
        file.write(content)
    assert main(["policy", "publish", path, "--nats-url", NOWHERE]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"attorn: {path}: ") and said in err and err.count("\n") == 1


def test_without_an_attorn_it_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["work", "ls", "--nats-url", NOWHERE]) == 6
    assert capsys.readouterr().err == (
        f"attorn: no attorn answers at {NOWHERE}. Hint: start one with `attorn up`, or name another with --nats-url.\n"
    )


def test_an_error_of_ours_is_one_line_and_a_traceback_is_for_who_asks() -> None:
    ran = attorn("work", "ls", "--nats-url", "nats://[::1", ATTORN_DEBUG="")
    assert "Traceback" not in ran.err and ran.err.startswith("attorn: ") and ran.err.count("\n") == 1
    ran = attorn("work", "ls", "--nats-url", NOWHERE, ATTORN_DEBUG="1")
    assert "Traceback" in ran.err and ran.code == 6


def test_options_come_from_the_environment_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTORN_OUTPUT", "xml")
    assert main(["work", "ls", "--nats-url", NOWHERE]) == 2
    assert "ATTORN_OUTPUT" in capsys.readouterr().err
    monkeypatch.delenv("ATTORN_OUTPUT")
    monkeypatch.setenv("ATTORN_AS", "ana lopez")
    monkeypatch.setenv("ATTORN_NATS_URL", NOWHERE)
    assert main(["work", "ls"]) == 6
    assert NOWHERE in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "unneeded"),
    [
        (["--help"], {"nats", "msgspec", "asyncio", "faststream", "eventsourcing"}),
        (["work", "define", "--help"], {"nats", "asyncio", "faststream", "eventsourcing"}),
        (["work", "define"], {"nats", "asyncio", "faststream", "eventsourcing"}),
        (["work", "ls", "--nats-url", NOWHERE], {"rich", "faststream", "eventsourcing"}),
    ],
)
def test_nothing_is_loaded_that_is_not_needed(argv: list[str], unneeded: set[str]) -> None:
    program = (
        "import sys; from attorn.cli.main import main; main(sys.argv[1:]); "
        f"print(*sorted(set({sorted(unneeded)}) & sys.modules.keys()), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *argv],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ran.stderr.splitlines()[-1] == ""


@pytest.mark.parametrize("name", ["up", "status", "who", "serve", "provision"])
def test_a_command_says_all_of_itself_when_it_is_asked(name: str) -> None:
    assert f"Example: attorn {name}" in attorn(name, "--help").out


def test_a_wrong_verb_names_the_right_one_and_no_half_of_a_list() -> None:
    ran = attorn("work", "shw")
    assert ran.err == 'attorn: Unknown command "shw". Did you mean "show"? Hint: attorn work --help.\n'
    assert "one of discovered, defined, ready" in attorn("work", "ls", "--state", "nope").err


def test_help_is_folded_between_words_to_the_width_there_is() -> None:
    text = attorn("process", "publish", "--help", COLUMNS="60").out.partition("╭")[0]
    lines = [line.rstrip() for line in text.splitlines()]
    first = lines.index("The file says process_id, owner, purpose, review_policy,")
    assert all(len(line) > 40 for line in lines[first : lines.index("", first) - 1])
