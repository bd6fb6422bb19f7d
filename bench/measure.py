"""How everything in bench is measured and told: rounds in turn, medians, the CPU of every process, one table or JSON.

The machine is shared and never quiet, so no figure stands alone: everything that is compared runs in the same minutes,
one after the other, several times over, and what is read is the ratio of the medians.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

_TICKS_S: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def say(text: str) -> None:
    """Progress, on standard error: standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round yielded: so many events in so many seconds, and the CPU seconds that they took.

    `own` is the CPU of the process that does the work, `server` that of the broker or database beside it. `latencies`
    are seconds from asking to the answer, where they were taken.
    """

    events: int
    seconds: float
    own: float
    server: float
    latencies: Sequence[float] = ()


@dataclass
class Measured:
    """All rounds of one contestant under one load."""

    name: str
    load: str
    rounds: list[Round] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        return median(each.events / each.seconds for each in self.rounds)

    @property
    def own_us(self) -> float:
        """CPU microseconds an event, of the process that does the work."""
        return median(each.own / each.events for each in self.rounds) * 1e6

    @property
    def server_us(self) -> float:
        return median(each.server / each.events for each in self.rounds) * 1e6

    def latency_ms(self, share: float) -> float | None:
        """The time that `share` of all answers took at most, in milliseconds."""
        taken = sorted(one for each in self.rounds for one in each.latencies)
        return taken[min(len(taken) - 1, int(share * len(taken)))] * 1e3 if taken else None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "load": self.load,
            "per_s": round(self.per_s, 1),
            "cpu_us": round(self.own_us, 1),
            "server_cpu_us": round(self.server_us, 1),
            "p50_ms": _rounded(self.latency_ms(0.5)),
            "p99_ms": _rounded(self.latency_ms(0.99)),
            "rounds_per_s": [round(each.events / each.seconds, 1) for each in self.rounds],
        }


@dataclass(frozen=True, kw_only=True)
class Target:
    """What was promised: `ours` is at least `factor` times `theirs`."""

    ours: Measured
    theirs: Measured
    factor: float

    @property
    def ratio(self) -> float:
        return self.ours.per_s / self.theirs.per_s

    @property
    def is_met(self) -> bool:
        return self.ratio >= self.factor

    def __str__(self) -> str:
        verdict = "met" if self.is_met else "MISSED"
        return f"{verdict:6}  {self.ours.load}: {self.ratio:.2f} × {self.theirs.name}, wanted {self.factor:g} ×"

    def as_json(self) -> dict[str, Any]:
        return {
            "load": self.ours.load,
            "against": self.theirs.name,
            "wanted": self.factor,
            "ratio": round(self.ratio, 3),
            "met": self.is_met,
        }


def cpu_s(pids: Iterable[int]) -> float:
    """The CPU seconds that these processes, and their children that have ended, took so far (/proc; elsewhere 0)."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / _TICKS_S


def family(pid: int) -> list[int]:
    """A process and its living descendants."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += parents.get(found[-1], ())
    return found


class Stopwatch:
    """Takes the time and CPU of a block. `own` is the process that works, this one if None, `server` those beside."""

    def __init__(self, own: int | None, server: Sequence[int]) -> None:
        self._own, self._server = own, server

    def __enter__(self) -> "Stopwatch":
        self._begin = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = self._now()

    def round(self, events: int, latencies: Sequence[float] = ()) -> Round:
        own, server, seconds = (end - begin for begin, end in zip(self._begin, self._end, strict=True))
        return Round(events=events, seconds=seconds, own=own, server=server, latencies=latencies)

    def _now(self) -> tuple[float, float, float]:
        own = time.process_time() if self._own is None else cpu_s([self._own])
        return own, cpu_s(self._server), time.perf_counter()


def table(rows: Sequence[Measured]) -> str:
    """Loads as they come, their contestants fastest first, each with its ratio to the first of its load in `rows`."""
    lines = [("load", "", "events/s", "ratio", "CPU µs/event", "server's", "p50 ms", "p99 ms")]
    first: dict[str, Measured] = {}
    for row in rows:
        ours = first.setdefault(row.load, row)
        p50, p99 = row.latency_ms(0.5), row.latency_ms(0.99)
        lines.append(
            (
                row.load,
                row.name,
                f"{row.per_s:,.0f}",
                f"{ours.per_s / row.per_s:.2f}",
                f"{row.own_us:,.0f}",
                f"{row.server_us:,.0f}",
                f"{p50:.2f}" if p50 is not None else "",
                f"{p99:.2f}" if p99 is not None else "",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column < 2 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )  # fmt: skip


def tell(rows: Sequence[Measured], targets: Sequence[Target], *, as_json: bool, about: Mapping[str, Any]) -> None:
    """The result, on standard output."""
    if as_json:
        found = {
            "about": dict(about),
            "measured": [row.as_json() for row in rows],
            "targets": [target.as_json() for target in targets],
        }
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print(table(rows))
    print()
    for name, value in about.items():
        print(f"{name}: {value}")
    if targets:
        print()
    for target in targets:
        print(target)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
