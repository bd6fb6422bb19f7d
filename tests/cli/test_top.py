"""`attorn top`: one page of 80×24 whatever there is, live until Ctrl-C, once where nobody looks."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from attorn.cli.errors import Exit
from attorn.cli.top import HEIGHT, WIDTH, page
from attorn.cli.wrapping import cells
from cli.instance import ATTORN, Run, environment

STATES = (
    "discovered",
    "defined",
    "ready",
    "claimed",
    "in_progress",
    "waiting_input",
    "blocked",
    "suspended",
    "in_review",
)


def view(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": "live", "lag_events": 0, "lag_seconds": 0.0, "poison": 0, **more}


def seen(**more: Any) -> dict[str, Any]:
    names = [f"{'x' * 60}-{n}" for n in range(9)]
    many = [{"who": name, "name": name, "count": 1_234_567} for name in names]
    return {
        "nats_url": "nats://127.0.0.1:4222",
        "position": 1_234_567_890,
        "services": [{}, {}, {}],
        "views": {"position": 1_234_567_890, "quarantined": 99, "views": [view(f"view-{n}") for n in range(14)]},
        "work": {"open": 9_999_999, "by_state": dict.fromkeys((*STATES, "completed"), 11_111)},
        "load": {
            "escalations": dict.fromkeys(("critical", "high", "medium", "low"), 100_000),
            "waiting": many,
            "agents": 1_000,
            "agents_busy": 999,
            "busy": many,
        },
        "wrong": [],
        "relay_behind": 12,
        "per_second": {"events": 12_345.6, "commands": {"recorded": 100.0, "refused": 0.4}, "facts": {}},
        **more,
    }


def test_the_page_fits_whatever_there_is() -> None:
    lines = [line for line, _ in page(seen())]
    assert len(lines) <= HEIGHT - 1
    assert max(map(cells, lines)) <= WIDTH, max(lines, key=cells)
    told = "\n".join(lines)
    for each in ("12,346", "recorded 100  refused <1", "quarantine 99", "AGENTS 999 OF 1,000", *STATES):
        assert each in told
    assert "completed" not in told, "what is done is no open work"


def test_what_is_wrong_stands_on_the_page_and_cannot_drive_the_terminal() -> None:
    lines = page(seen(wrong=["relay: \x1b[31mgone", "two", "three", "four"]), "no answer")
    told = [line for line, style in lines if style == "red"]
    assert told == ["! no answer", "! relay: \\x1b[31mgone", "! two", "! and 2 more (`attorn status`)"]


def test_a_view_that_is_not_with_the_others_says_so() -> None:
    views: dict[str, Any] = {
        "position": 7,
        "quarantined": 0,
        "views": [view("board", poison=2, lag_events=3, lag_seconds=1.5)],
    }
    views["views"].append(view("inbox", state="filling", lag_events=900))
    told = "\n".join(line for line, _ in page(seen(views=views)))
    assert "VIEWS at 7, 3 behind, 1.5 s" in told and "board 2 not taken in, inbox filling, 900 behind" in told


def test_where_nobody_looks_it_is_written_once(done: Run, cast: None) -> None:
    found = done("top", "--every", "0.2", "-o", "json").json
    assert found["position"] >= 2 and found["load"]["agents"] >= 1 and found["wrong"] == []
    assert found["per_second"].keys() == {"events", "commands", "facts"}
    assert done("top", "--every", "0.2").lines[0].startswith("attorn at nats://")


def test_how_often_is_bounded(given: Run) -> None:
    ran = given("top", "--every", "0")
    assert (ran.code, ran.err) == (Exit.USAGE, "attorn: --every is 0; it is seconds, 0.2 to 3600.\n")


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal of its own, as Linux has it")
def test_it_goes_on_until_ctrl_c_and_leaves_the_terminal_as_it_was(instance: str) -> None:
    ours, theirs = pty.openpty()
    argv = [*ATTORN, "top", "--every", "0.2", "--nats-url", instance]
    told = environment(TERM="xterm", COLUMNS="80", LINES="24")
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=told) as process:
        os.close(theirs)
        out, until = b"", time.monotonic() + 15
        while out.count(b"OPEN WORK") < 3 and time.monotonic() < until:
            if select.select([ours], [], [], 0.2)[0]:
                out += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        while select.select([ours], [], [], 2)[0]:
            try:
                out += os.read(ours, 65_536)
            except OSError:
                break  # nobody has the terminal any more
        _, errors = process.communicate(timeout=10)
    os.close(ours)
    assert out.count(b"OPEN WORK") >= 3
    assert out.rindex(b"\x1b[?1049l") > out.rindex(b"OPEN WORK"), "the page that was there before is back"
    assert (process.returncode, errors) == (Exit.INTERRUPTED, b"")


def test_the_load_is_of_one_position_and_names_who_has_most(done: Run, cast: None) -> None:
    for work in ("T-1", "T-2"):
        done("work", "define", work, "x", "--accountable", "ana")
        done("work", "assign", work, "bot", by="ana")
    found = json.loads(done("top", "--every", "0.2", "-o", "json").out)["load"]
    assert found["agents_busy"] >= 1 and {"bot"} <= {one["who"] for one in found["busy"]}
    assert found["complete"]
