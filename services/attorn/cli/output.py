"""How answers are written: a table for people, JSON for programs, bare ids for shells.

    table   columns that fit the width of the terminal; ids are never cut and never broken, other columns are
    json    one document; a list is an array
    jsonl   one line of JSON for each item
    id      one id a line

Nothing that a stranger wrote reaches the terminal as a control character. Where standard output is not UTF-8, what it
has no character for is `?` to a person, and escaped in JSON.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from attorn.cli import wrapping
from attorn.cli.errors import visible
from attorn.cli.options import Options
from attorn.cli.wrapping import cells, fold, terminal, wrapped

Item: TypeAlias = Mapping[str, Any]
Kind: TypeAlias = Literal["id", "text", "number", "time"]

TEXT_MIN: Final = 10
TEXT_BESIDE: Final = 24
"""Where a text would have less room than this beside the other columns, it may stand below them."""

SAMPLE: Final = 100
GAP: Final = "  "


@dataclass(frozen=True)
class Column:
    """`of` is the name of the field, or finds the value.

    Where space is short, titles are folded, then `text`, then `time`; of an `id` only a list, between its ids.
    """

    title: str
    of: str | Callable[[Item], Any]
    kind: Kind = "text"

    def value(self, item: Item) -> str:
        found = item.get(self.of) if isinstance(self.of, str) else self.of(item)
        return shown(found, self.kind)


NAME: Final = Column(
    "NAME", lambda who: None if who.get("name") in (who.get("id"), who.get("person")) else who.get("name")
)
"""How somebody is called, where that is not their id."""


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
        case datetime():
            return shown(value.astimezone(UTC).isoformat().replace("+00:00", "Z"), "time")
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
            write_told(lines())
        case "json":
            write_json(item)
        case "jsonl":
            write_lines([_json(item)])
        case "id":
            write_lines([id])


def write_told(lines: Iterable[str]) -> None:
    """Sentences and tables for a person; what is wider than the terminal goes on in the next line."""
    wide = width()
    write_lines(part for line in lines for part in wrapped(line, wide))


def write_json(value: Any) -> None:
    import msgspec

    if _foreign():
        import json

        write_lines([json.dumps(json.loads(msgspec.json.encode(value)), indent=2)])
    else:
        write_lines([msgspec.json.format(msgspec.json.encode(value)).decode()])


def write_lines(lines: Iterable[str]) -> None:
    """To standard output, as they come."""
    out = sys.stdout
    for line in lines:
        out.write(f"{line}\n")
    out.flush()


def say(line: str) -> None:
    """To standard error, where it is in nobody's way."""
    print("\n".join(wrapped(visible(line), terminal(sys.stderr))), file=sys.stderr)


def width() -> int | None:
    """How wide lines may be; None where nobody looks: a table in a file is not wrapped."""
    return wrapping.width(sys.stdout)


# ---- tables


def table(rows: Sequence[Sequence[str]], columns: Sequence[Column], width: int | None) -> Iterator[str]:
    """The rows under their titles; as records below one another where even the ids do not fit beside each other."""
    # A column without a single value says nothing.
    kept = [n for n in range(len(columns)) if not n or any(row[n] for row in rows)]
    columns, rows = [columns[n] for n in kept], [[row[n] for n in kept] for row in rows]
    every = range(len(columns))
    natural = [max(cells(column.title), *(cells(row[n]) for row in rows)) for n, column in enumerate(columns)]
    if width is None or sum(natural) + len(GAP) * (len(natural) - 1) <= width:
        return _table(rows, columns, dict(enumerate(natural)))
    texts = [n for n in every if columns[n].kind == "text"]
    others = [n for n in every if n not in texts]
    # A text keeps its place while there is room for it. Then it is squeezed there, or has lines of its own, whichever
    # takes fewer; only where neither fits, all is made as narrow as it can be.
    found = [_widths(rows, columns, every, width, TEXT_BESIDE)]
    for narrow in (False, True):
        if not any(found):
            found = [_widths(rows, columns, every, width, TEXT_MIN, narrow=narrow)]
            found += [_widths(rows, columns, others, width, narrow=narrow)] if others and texts else []
    layouts = [(widths, [n for n in every if n not in widths], width) for widths in found if widths]
    if not layouts:
        return _records(rows, columns, width)
    sample = rows[:SAMPLE] if len(layouts) > 1 else ()
    return _table(rows, columns, *min(layouts, key=lambda layout: sum(1 for _ in _table(sample, columns, *layout))))


def _widths(
    rows: Sequence[Sequence[str]],
    columns: Sequence[Column],
    chosen: Sequence[int],
    width: int,
    text_min: int = 0,
    *,
    narrow: bool = False,
) -> dict[int, int] | None:
    """How wide each of the `chosen` columns is; None where they do not fit.

    Each text has `text_min` or all that it wants, and room for its words, but for those that are longer than most are.
    Titles are folded between their words; with `narrow` so are times, between the date and the time of day, and lists.
    """
    found, wanted, least = dict[int, int](), dict[int, int](), dict[int, int]()
    for n in chosen:
        title = max(cells(word) for word in columns[n].title.split(" "))
        values = [row[n] for row in rows]
        if columns[n].kind == "text":
            wanted[n] = max(title, *map(cells, values))
            word = max(cells(word) for value in values for word in value.split(" "))
            least[n] = max(title, min(wanted[n], max(text_min, min(word, TEXT_BESIDE))))
        elif narrow and columns[n].kind != "number":
            found[n] = max(title, *(cells(word) for value in values for word in value.split(" ")))
        else:
            found[n] = max(title, *map(cells, values))
    left = width - len(GAP) * (len(chosen) - 1) - sum(found.values())
    if left < sum(least.values()):
        return None
    # Narrow columns first: what they do not need goes to the wide ones.
    for n in sorted(wanted, key=lambda n: wanted[n]):
        share = left // len(least)
        needed = least.pop(n)
        found[n] = min(wanted[n], max(share, needed), left - sum(least.values()))
        left -= found[n]
    return found


def _table(
    rows: Sequence[Sequence[str]],
    columns: Sequence[Column],
    widths: Mapping[int, int],
    below: Sequence[int] = (),
    width: int = 0,
) -> Iterator[str]:
    """The columns that have one of `widths` beside each other, and `below` each row the texts that have none."""
    beside = sorted(widths)
    for line in _lines([column.title for column in columns], columns, beside, widths):
        yield dim(line)
    if len(below) == 1:
        yield dim(f"{GAP}{columns[below[0]].title}")
    for row in rows:
        yield from _lines(row, columns, beside, widths)
        if len(below) == 1:
            yield from (f"{GAP}{line}" for line in fold(row[below[0]], width - len(GAP)) if line)
        else:
            named = [(columns[n].title, row[n]) for n in below]
            yield from (f"{GAP}{line}" for line in facts(named, width - len(GAP)))


def _lines(
    texts: Sequence[str], columns: Sequence[Column], beside: Sequence[int], widths: Mapping[int, int]
) -> Iterator[str]:
    folded = {n: fold(texts[n], widths[n]) for n in beside}
    for number in range(max(map(len, folded.values()))):
        padded = []
        for n in beside:
            text = folded[n][number] if number < len(folded[n]) else ""
            space = " " * (widths[n] - cells(text))
            padded.append(space + text if columns[n].kind == "number" else text + space)
        yield GAP.join(padded).rstrip()


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


def dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m" if _colours() else text


def bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if _colours() else text


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _json(item: Any) -> str:
    import msgspec

    encoded = msgspec.json.encode(item)
    if _foreign():
        import json

        return json.dumps(json.loads(encoded), separators=(",", ":"))
    return encoded.decode()


def _foreign() -> bool:
    """Whether standard output is in another encoding than JSON is."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") != "utf8"


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
