"""Lines for a terminal: how wide it is, how wide a text is there, and where a line that is too long is broken."""

import os
import re
from collections.abc import Iterator
from typing import Final, TextIO

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")
_INDENT: Final = 4

COLUMNS: Final = 80
COLUMNS_MIN: Final = 20


def terminal(stream: TextIO) -> int | None:
    """How wide the terminal is that `stream` goes to; None where it goes to a file or a program."""
    if not stream.isatty():
        return None
    try:
        # One that was never told how wide it is says 0.
        return _said() or max(COLUMNS_MIN, os.get_terminal_size(stream.fileno()).columns or COLUMNS)
    except OSError:
        return COLUMNS


def width(stream: TextIO) -> int | None:
    """As `terminal`, or what COLUMNS says, also where the lines go to a file."""
    return _said() or terminal(stream)


def _said() -> int | None:
    said = os.environ.get("COLUMNS", "")
    return max(COLUMNS_MIN, int(said)) if said.isdecimal() and int(said) else None


def cells(text: str) -> int:
    """How wide `text` is on a terminal."""
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fold(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken between words where that can be."""
    lines, line = list[str](), ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        line = word
        while cells(line) > width:
            part = len(line)
            while cells(line[:part]) > width:
                part -= 1
            lines.append(line[:part])
            line = line[part:]
    return [*lines, line]


def wrapped(line: str, width: int | None) -> Iterator[str]:
    """`line` as it is where it fits; else broken between words, going on under its beginning, a little to the right.

    An id, an address or a command's word that is longer than a line stays in one piece: the terminal may break it.
    """
    if width is None or cells(line) <= width:
        yield line
        return
    text = line.lstrip(" ")
    start = len(line) - len(text)
    further = " " * min(start + _INDENT, width // 2)
    now = ""
    for word in re.findall(r" *[^ ]+", line):
        if now.strip() and cells(now) + cells(word) > width:
            yield now
            now = further + word.lstrip(" ")
        else:
            now += word
    yield now
