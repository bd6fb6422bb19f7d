"""`attorn top`: what is going on, on one page, every second."""

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, Any, Final

from cyclopts import Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import Failed, misused, visible
from attorn.cli.options import Given
from attorn.cli.output import write_one
from attorn.cli.processes import relay_behind, services, wrong
from attorn.cli.wrapping import cells

Seen = Mapping[str, Any]
Line = tuple[str, str]
"""A line of the page, and how it is written: "" or a style of rich."""

WIDTH: Final = 80
HEIGHT: Final = 24
ASK_S: Final = 2.0
TOP: Final = 9
WRONG_MAX: Final = 3
COLUMNS: Final = (23, 19, 19, 19)
"""How wide the parts stand beside one another: work, escalations, who has most waiting, agents."""


async def top(
    *,
    every: Annotated[float, Parameter(metavar="SECONDS", help="How often it looks.")] = 1.0,
    once: Annotated[bool, Parameter(help="Look once, and end.")] = False,
    options: Given,
) -> None:
    """Show what is going on: events and commands a second, open work, escalations, who has most waiting, the views.

    A page that is written anew every second, until Ctrl-C; where nobody looks (a pipe, -o json), once.

    Example: attorn top
    """
    if not 0.2 <= every <= 3600:
        raise misused(f"--every is {every:g}; it is seconds, 0.2 to 3600")
    async with connected(options, patient=True) as attorn:
        attorn.patient = False
        first = await look(attorn)
        if once or options.output != "table" or not sys.stdout.isatty():
            # A rate takes two looks.
            await asyncio.sleep(every)
            seen = await look(attorn, first)
            told = {name: value for name, value in seen.items() if name not in ("counted", "clock")}
            write_one(options, told, lambda: [line.rstrip() for line, _ in page(seen)], id=str(seen["position"]))
            return
        await _live(attorn, every, first)


async def _live(attorn: Attorn, every: float, seen: Seen) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def drawn(seen: Seen, trouble: str = "") -> Text:
        size = shutil.get_terminal_size((WIDTH, HEIGHT))
        lines = page(seen, trouble)[: size.lines - 1]
        lines.append((f"every {every:g} s; Ctrl-C ends", "dim"))
        return Text("\n").join(Text(_cut(line, size.columns), style) for line, style in lines)

    console = Console(highlight=False)
    with Live(drawn(seen), console=console, screen=True, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(every)
            trouble = ""
            try:
                seen = await look(attorn, seen)
            except Failed as failed:
                # The page stays as it was: what was last known is better than nothing.
                trouble = failed.message
            live.update(drawn(seen, trouble), refresh=True)


async def look(attorn: Attorn, before: Seen | None = None) -> Seen:
    """What is going on now; rates are since `before`. Raises Failed when the views do not answer."""
    try:
        async with asyncio.timeout(max(ASK_S, attorn.options.timeout)):
            said, views, work, load = await asyncio.gather(
                services(attorn), attorn.ask("status"), attorn.ask("board_counts"), attorn.ask("load", top=TOP)
            )
    except TimeoutError:
        raise Failed("no answer") from None
    clock = time.monotonic()
    seen = {
        "nats_url": attorn.options.url,
        "position": views["head"] if views["head"] is not None else views["position"],
        "services": said,
        "views": views,
        "work": work,
        "load": load,
        "wrong": wrong(said, views),
        "relay_behind": relay_behind(said),
        "counted": {"commands": _counted(said, "commands"), "facts": _counted(said, "facts")},
        "clock": clock,
    }
    return seen | {"per_second": _rates(seen, before)}


def _counted(said: Sequence[Seen], what: str) -> dict[str, dict[str, int]]:
    """By process, so that one that was started again is not taken for one that has counted backwards."""
    return {f"{one['about']['pid']} {one['about']['started_at']}": one[what] for one in said}


def _rates(seen: Seen, before: Seen | None) -> dict[str, Any]:
    elapsed = seen["clock"] - before["clock"] if before is not None else 0.0
    if before is None or elapsed <= 0:
        return {"events": 0.0, "commands": {}, "facts": {}}
    rates: dict[str, Any] = {"events": max(0, seen["position"] - before["position"]) / elapsed}
    for what in ("commands", "facts"):
        then = before["counted"][what]
        found: dict[str, float] = {}
        for process, counts in seen["counted"][what].items():
            for outcome, count in counts.items():
                new = count - then[process].get(outcome, 0) if process in then else 0
                found[outcome] = found.get(outcome, 0.0) + new / elapsed
        rates[what] = {outcome: rate for outcome, rate in sorted(found.items()) if rate}
    return rates


# ---- the page


def page(seen: Seen, trouble: str = "") -> list[Line]:
    """The page, at most 23 lines of 80."""
    return [(visible(line), style) for line, style in _page(seen, trouble)]


def _page(seen: Seen, trouble: str) -> Iterator[Line]:
    rates, load, work, views = seen["per_second"], seen["load"], seen["work"], seen["views"]
    yield f"attorn at {seen['nats_url']}, log {seen['position']:,} events", "bold"
    said = seen["services"]
    feed = f", feed {seen['relay_behind']:,} behind" if seen["relay_behind"] is not None else ""
    held = f", quarantine {views['quarantined']:,}" if views["quarantined"] else ""
    yield f"{_plural(len(said), 'services process', 'services processes')}{feed}{held}", ""
    yield "", ""
    yield f"events/s   {rates['events']:>9,.0f}", ""
    yield f"commands/s {_rate(rates['commands'])}", ""
    yield f"facts/s    {_rate(rates['facts'])}", ""
    problems = [trouble] if trouble else []
    problems += seen["wrong"]
    for each in problems[:WRONG_MAX]:
        yield f"! {each}", "red"
    if len(problems) > WRONG_MAX:
        yield f"! and {len(problems) - WRONG_MAX} more (`attorn status`)", "red"
    yield "", ""
    titles = (
        f"OPEN WORK {work['open']:,}",
        f"ESCALATED {sum(load['escalations'].values()):,}",
        "MOST WAITING",
        f"AGENTS {load['agents_busy']:,} OF {load['agents']:,}",
    )
    yield _beside(titles), "bold"
    parts = (
        _open(work, load.get("failed", 0)),
        list(load["escalations"].items()),
        [(one["who"], one["count"]) for one in load["waiting"]],
        [(one["who"], one["count"]) for one in load["busy"]],
    )
    columns = [
        [_pair(name, count, wide - 2) for name, count in part[:TOP]] for part, wide in zip(parts, COLUMNS, strict=True)
    ]
    for row in zip_longest(*columns, fillvalue=""):
        yield _beside(row), ""
    yield "", ""
    live = [view for view in views["views"] if view["state"] == "live"]
    behind = max((view["lag_events"] or 0 for view in live), default=0)
    late = max((view["lag_seconds"] or 0 for view in live), default=0)
    yield f"VIEWS at {views['position']:,}, {behind:,} behind, {late:.1f} s", "bold"
    # They are folded together: only those that are elsewhere have more to say than their names.
    told = [_view(view, views["position"]) for view in views["views"]]
    for line in _flowing(told, WIDTH):
        yield line, ""


def _open(work: Seen, failed: int) -> list[tuple[str, int]]:
    """Open work by state; and where nobody has gone on after a failure, before all else."""
    left = [("left after failure", failed)] if failed else []
    return left + [(state, count) for state, count in work["by_state"].items() if state not in _FINISHED]


def _view(view: Seen, position: int) -> str:
    said = str(view["name"])
    if view["state"] != "live":
        said += f" filling, {view['lag_events'] or 0:,} behind"
    if view["poison"]:
        said += f" {view['poison']:,} not taken in"
    return said


def _rate(rates: Mapping[str, float]) -> str:
    each = "  ".join(f"{outcome} {rate:,.0f}" if rate >= 1 else f"{outcome} <1" for outcome, rate in rates.items())
    return f"{sum(rates.values()):>9,.0f}  {each}".rstrip()


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _pair(name: str, count: int, wide: int) -> str:
    number = f"{count:,}"
    name = _cut(name, max(1, wide - len(number) - 1))
    return name + " " * (wide - cells(name) - len(number)) + number


def _beside(texts: Sequence[str]) -> str:
    line = ""
    for text, wide in zip(texts, COLUMNS, strict=True):
        shown = _cut(text, wide)
        line += shown + " " * (wide - cells(shown))
    return line.rstrip()


def _flowing(words: Sequence[str], width: int) -> Iterator[str]:
    line = ""
    for word in words:
        joined = f"{line}, {word}" if line else word
        if cells(joined) > width:
            yield f"{line},"
            joined = word
        line = joined
    if line:
        yield line


def _cut(text: str, width: int) -> str:
    """`text` in at most `width` cells; a page has no room for the whole of every id, and `attorn inbox` has it."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


_FINISHED: Final = frozenset({"submitted", "verified", "completed", "failed", "cancelled", "superseded"})
