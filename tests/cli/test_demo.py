"""How the story of `attorn demo` is laid out; that it is told, and comes true, is a test of the README's."""

import io
import signal
import subprocess

import pytest
from rich.console import Console

from attorn.cli import demo
from attorn.cli.demo import Story
from cli.instance import ATTORN, environment


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
async def test_a_line_fits_the_terminal_and_breaks_between_words(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "READ_S", 0)
    out = io.StringIO()
    console = Console(file=out, width=columns, force_terminal=True, color_system=None, soft_wrap=True)
    story = Story(None, console)  # type: ignore[arg-type]  # Nothing is asked of anybody.
    sentence = "The payment system reports that the bot paid all the same, and that nobody had allowed it to"
    await story.line(sentence, position=29)
    await story.line(sentence, before=("refused", "red"))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= min(columns, 80)
    assert lines[0].endswith(" #29") and len(lines[0]) == min(columns, 80)
    words = " ".join(lines).replace("#29", "").split()
    assert words == [*sentence.split(), "refused", *sentence.split()]


def test_ctrl_c_ends_the_story_without_a_word() -> None:
    with subprocess.Popen(
        [*ATTORN, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "takes part" in line:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, "")
