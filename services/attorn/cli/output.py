"""How answers are written: a table for people, JSON for programs, bare ids for shells.

    table   columns that fit the width of the terminal; ids are never cut and never broken, other columns are
    json    one document; a list is an array
    jsonl   one line of JSON for each item
    id      one id a line

Nothing that a stranger wrote reaches the terminal as a control character.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from attorn.cli.errors import visible
from attorn.cli.options import Options

Item: TypeAlias = Mapping[str, Any]
Kind: TypeAlias = Literal["id", "text", "number", "time"]

TEXT_MIN: Final = 10
TEXT_WANTED: Final = 32
GAP: Final = "  "


@dataclass(frozen=True)
class Column:
    """`of` is the name of the field, or finds the value. Where space is short, what is `text` or `time` is folded."""

    title: str
    of: str | Callable[[Item], Any]
    kind: Kind = "text"

    def value(self, item: Item) -> str:
        found = item.get(self.of) if isinstance(self.of, str) else self.of(item)
        return shown(found, self.kind)


def shown(value: Any, kind: Kind = "text") -> str:
    """A value as a person reads it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() if kind == "number":
            return f"{value:,}"
        case float():
            return f"{value:,.3g}"
        case list() | tuple():
            return ", ".join(shown(each) for each in value)
        case dict():
            if value.keys() == {"id", "version"}:
                return f"{value['id']} v{value['version']}"
            return ", ".join(f"{name} {shown(each)}" for name, each in value.items())
        case str() if kind == "time":
            # Microseconds, and seconds that say nothing, are for programs.
            return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::00|(:\d\d))(?:\.\d+)?", r"\1 \2\3", value)
        case _:
            return visible(str(value))


def write_list(
    options: Options, items: Iterable[Item], columns: Sequence[Column], *, id: str, nothing: str, more: str = ""
) -> None:
    """Write many things. `nothing` is said to a person when there are none, `more` when there are others."""
    match options.output:
        case "table":
            rows = [[column.value(item) for column in columns] for item in items]
            if rows:
                write_lines(table(rows, columns, width()))
            if not rows or more:
                say(more if rows else nothing)
        case "json":
            write_json(list(items))
        case "jsonl":
            write_lines(_json(item) for item in items)
        case "id":
            write_lines(str(item[id]) for item in items)


def write_one(options: Options, item: Any, lines: Callable[[], Iterable[str]], *, id: str) -> None:
    """Write one thing; `lines` makes it for people, `id` names it."""
    match options.output:
        case "table":
            write_lines(lines())
        case "json":
            write_json(item)
        case "jsonl":
            write_lines([_json(item)])
        case "id":
            write_lines([id])


def write_json(value: Any) -> None:
    import msgspec

    write_lines([msgspec.json.format(msgspec.json.encode(value)).decode()])


def write_lines(lines: Iterable[str]) -> None:
    """To standard output, as they come."""
    out = sys.stdout
    for line in lines:
        out.write(f"{line}\n")
    out.flush()


def say(line: str) -> None:
    """To standard error, where it is in nobody's way."""
    print(visible(line), file=sys.stderr)


def width() -> int | None:
    """How wide lines may be; None where nobody looks: a table in a file is not wrapped."""
    if not os.environ.get("COLUMNS", "").isdigit() and not sys.stdout.isatty():
        return None
    return max(20, shutil.get_terminal_size().columns)


# ---- tables


def table(rows: Sequence[Sequence[str]], columns: Sequence[Column], width: int | None) -> Iterator[str]:
    """The rows under their titles; as records below one another where even the ids do not fit beside each other."""
    # A column without a single value says nothing.
    kept = [n for n in range(len(columns)) if not n or any(row[n] for row in rows)]
    columns, rows = [columns[n] for n in kept], [[row[n] for n in kept] for row in rows]
    widths = _widths(rows, columns, width)
    if widths is None:
        return _records(rows, columns, width or 80)
    return _table(rows, columns, widths)


def _widths(rows: Sequence[Sequence[str]], columns: Sequence[Column], width: int | None) -> list[int] | None:
    natural = [max(cells(column.title), *(cells(row[n]) for row in rows)) for n, column in enumerate(columns)]
    room = None if width is None else width - len(GAP) * (len(columns) - 1)
    if room is None or sum(natural) <= room:
        return natural
    # Rather than squeeze the text, a time goes on two lines.
    only_text = {n: min(natural[n], TEXT_WANTED) for n, column in enumerate(columns) if column.kind == "text"}
    kinds: tuple[Kind, ...] = ("text",)
    if not only_text or sum(natural) - sum(natural[n] - least for n, least in only_text.items()) > room:
        kinds = ("text", "time")
    texts = [n for n, column in enumerate(columns) if column.kind in kinds]
    left = room - sum(natural[n] for n in range(len(columns)) if n not in texts)
    # A time is folded between its date and its time of day, and nowhere else.
    least = {n: min(natural[n], TEXT_MIN) for n in texts}
    for n in texts:
        if columns[n].kind == "time":
            least[n] = natural[n] = max(cells(word) for row in rows for word in (columns[n].title, *row[n].split(" ")))
    if not texts or left < sum(least.values()):
        return None
    # Narrow columns first: what they do not need goes to the wide ones.
    for n in sorted(texts, key=lambda n: natural[n]):
        others = sum(least[m] for m in least if m != n)
        natural[n] = min(natural[n], max(least[n], min(left - others, left // len(least))))
        left -= natural[n]
        del least[n]
    return natural


def _table(rows: Sequence[Sequence[str]], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[str]:
    yield dim(_line([column.title for column in columns], columns, widths))
    for row in rows:
        folded = [
            fold(text, widths[n]) if columns[n].kind in ("text", "time") else [text] for n, text in enumerate(row)
        ]
        for number in range(max(map(len, folded))):
            yield _line([cell[number] if number < len(cell) else "" for cell in folded], columns, widths)


def _line(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = []
    for text, column, wide in zip(texts, columns, widths, strict=True):
        space = " " * (wide - cells(text))
        padded.append(space + text if column.kind == "number" else text + space)
    return GAP.join(padded).rstrip()


def _records(rows: Sequence[Sequence[str]], columns: Sequence[Column], width: int) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number:
            yield ""
        yield from facts([(column.title, text) for column, text in zip(columns, row, strict=True) if text], width)


def facts(pairs: Sequence[tuple[str, str]], width: int | None = None) -> Iterator[str]:
    """Names and what they are, one below the other; what is empty is left out."""
    pairs = [(name, text) for name, text in pairs if text]
    wide = max((cells(name) for name, _ in pairs), default=0)
    for name, text in pairs:
        first = True
        room = None if width is None else max(TEXT_MIN, width - wide - len(GAP))
        # An id longer than the line stays in one piece: the terminal may break it, we do not.
        for line in [text] if room is None or " " not in text else fold(text, room):
            label = dim(name + " " * (wide - cells(name))) if first else " " * wide
            yield f"{label}{GAP}{line}"
            first = False


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


def cells(text: str) -> int:
    """How wide `text` is on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m" if _colours() else text


def bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if _colours() else text


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _json(item: Any) -> str:
    import msgspec

    return msgspec.json.encode(item).decode()


# ---- long work

Advance: TypeAlias = Callable[[int, int | None], None]
"""Called with how much is done, and of how much, where that is known or has changed."""


@contextmanager
def progress(what: str, total: int | None = None, *, unit: str = "events") -> Iterator[Advance]:
    """A bar on standard error, if that is a terminal; else nothing at all."""
    if not sys.stderr.isatty():
        yield _silently
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=total)

        def advance(done: int, of: int | None = None) -> None:
            bars.update(task, completed=done, total=total if of is None else of)

        yield advance


def _silently(done: int, total: int | None) -> None:
    pass
