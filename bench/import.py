"""How fast real logs come in: `attorn import` into a fresh `attorn up`, with every view folding beside it.

    make bench-import                                  # or: .venv/bin/python bench/import.py [--log NAME] [--json]

The logs are those of ../shared/data, which nobody of this project wrote: the incidents of Volvo IT (BPI Challenge 2013)
and the runs of an agent (tau-bench). Each is imported by the command line into an instance of its own, a nats-server
with `sync_interval: always`, the services and the projector; the time is from the first byte read to the last receipt,
and the views are waited for. All processes share the machine's cores, so the CPU that each takes for a fact says more
than the clock: what one saves, the others get.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from measure import cpu_s, family, say

from attorn.client.attorn import connect

ROOT: Final = Path(__file__).resolve().parents[1]
DATA: Final = ROOT.parent / "shared" / "data"
ATTORN: Final = (sys.executable, "-m", "attorn.cli.main")
READY_S: Final = 20.0
IMPORT_S_MAX: Final = 600.0
WANTED_S: Final = 30.0
"""What was promised of the incident log."""

PROCESSES: Final = {"nats-server": "nats-server", "services": "attorn.services.main", "projector": "projector.main"}
"""What is looked at besides the importer, by a word of its command line."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """One log: how it is imported, and what one of its events is called."""

    file: str
    arguments: tuple[str, ...]
    counted: str
    unit: str
    seconds_wanted: float | None = None


LOGS: Final = {
    "incidents": Log(
        file="bpic2013_incidents.xes.gz",
        arguments=("xes", "--mapping", "bpic2013-incidents"),
        counted="source_events",
        unit="events",
        seconds_wanted=WANTED_S,
    ),
    "tau": Log(file="tau_bench_gpt4o_airline.json.gz", arguments=("tau",), counted="runs", unit="runs"),
}


@dataclass(frozen=True, kw_only=True)
class Round:
    """One import: seconds until all had its receipt, seconds that the views took beyond, CPU seconds by process."""

    counted: int
    facts: int
    recorded: int
    seconds: float
    behind_s: float
    cpu: dict[str, float]


@dataclass
class Imported:
    """All rounds of one log."""

    name: str
    log: Log
    rounds: list[Round] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(each.seconds for each in self.rounds)

    @property
    def is_met(self) -> bool | None:
        return None if self.log.seconds_wanted is None else self.seconds < self.log.seconds_wanted

    def cpu_us(self, process: str) -> float:
        """CPU microseconds for each fact."""
        return median(each.cpu[process] / each.facts for each in self.rounds) * 1e6

    def as_json(self) -> dict[str, Any]:
        last = self.rounds[-1]
        return {
            "log": self.name,
            self.log.unit: last.counted,
            "facts": last.facts,
            "recorded": last.recorded,
            "rounds": len(self.rounds),
            "seconds": round(self.seconds, 3),
            "facts_per_s": round(median(each.facts / each.seconds for each in self.rounds), 1),
            "cpu_s": round(sum(self.cpu_us(name) for name in last.cpu) * last.facts / 1e6, 3),
            "views_behind_s": round(median(each.behind_s for each in self.rounds), 3),
            "cpu_us_per_fact": {name: round(self.cpu_us(name), 1) for name in last.cpu},
            "wanted_s": self.log.seconds_wanted,
            "met": self.is_met,
        }

    def lines(self) -> Iterator[str]:
        last, per_s = self.rounds[-1], median(each.facts / each.seconds for each in self.rounds)
        yield f"{self.name}: {last.counted:,} {self.log.unit}, {last.facts:,} facts, {last.recorded:,} recorded"
        yield (
            f"  {self.seconds:.1f} s, {per_s:,.0f} facts/s; views complete "
            f"{median(each.behind_s for each in self.rounds):.1f} s after the last receipt"
        )
        total = sum(self.cpu_us(name) for name in last.cpu)
        shares = ", ".join(f"{name} {self.cpu_us(name):,.0f}" for name in last.cpu)
        yield f"  CPU µs a fact: {shares}; together {total:,.0f}, {total * last.facts / 1e6:.1f} s of CPU in all"
        if self.is_met is not None:
            yield f"  under {self.log.seconds_wanted:g} s: {'met' if self.is_met else 'NOT met'}"


def measure(name: str, log: Log) -> Round:
    """Import the log into an instance of its own."""
    with instance() as (url, pids):
        before = {process: cpu_s(some) for process, some in pids.items()}
        report, seconds, own = bring_in(DATA / log.file, log, url)
        behind = asyncio.run(caught_up(url))
        cpu = {"importer": own} | {process: cpu_s(some) - before[process] for process, some in pids.items()}
    say(f"{name}: {report['facts']:,} facts in {seconds:.1f} s")
    return Round(
        counted=report[log.counted],
        facts=report["facts"],
        recorded=report["recorded"],
        seconds=seconds,
        behind_s=behind,
        cpu=cpu,
    )


@contextmanager
def instance() -> Iterator[tuple[str, dict[str, list[int]]]]:
    """Where the NATS of a fresh instance is, and its processes by name; gone when the block ends."""
    argv = [*ATTORN, "up", "--ephemeral", "--port", "0", "--custodian", "root:Root"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _ready(process), _processes(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=READY_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _ready(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    url = ""
    for line in process.stdout:
        if line.startswith("NATS at "):
            url = line.split()[2]
        if line.startswith("ready"):
            return url
    raise SystemExit("attorn up did not become ready; what it said is above")


def _processes(pid: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {name: [] for name in PROCESSES}
    for each in family(pid):
        said = Path(f"/proc/{each}/cmdline").read_bytes().decode(errors="replace")
        name = next((name for name, word in PROCESSES.items() if word in said), None)
        if name is not None:
            found[name].append(each)
    return found


def bring_in(file: Path, log: Log, url: str) -> tuple[dict[str, Any], float, float]:
    """What the import reported, how many seconds it took, and its CPU seconds."""
    command, *options = log.arguments
    argv = [*ATTORN, "import", command, str(file), *options, "--nats-url", url, "--as", "root", "-o", "json"]
    begun, before = time.perf_counter(), os.times()
    done = subprocess.run(argv, stdout=subprocess.PIPE, timeout=IMPORT_S_MAX, check=False)
    seconds, after = time.perf_counter() - begun, os.times()
    if done.returncode:
        raise SystemExit(f"the import ended with exit code {done.returncode}; what it said is above")
    own = after.children_user - before.children_user + after.children_system - before.children_system
    return json.loads(done.stdout), seconds, own


async def caught_up(url: str) -> float:
    """Seconds until the views have all that is on the log."""
    begun = time.perf_counter()
    async with connect(url, participant="root") as attorn:
        head = (await attorn.ask_at("status")).result["head"]
        await attorn.ask_at("policies", wait_for=head, timeout=IMPORT_S_MAX)
    return time.perf_counter() - begun


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    found: list[Imported] = []
    for name in options.log or LOGS:
        log = LOGS[name]
        if not (DATA / log.file).is_file():
            say(f"{name}: skipped, {log.file} is not in ../shared/data beside the checkout")
            continue
        imported = Imported(name, log)
        for number in range(1 if options.quick else options.rounds):
            say(f"{name}: round {number + 1}")
            imported.rounds.append(measure(name, log))
        found.append(imported)
    about = {
        "durability": "sync_interval always",
        "load": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end",
    }
    if options.json:
        told = {"about": about, "measured": [imported.as_json() for imported in found]}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return 0
    for imported in found:
        print("\n".join(imported.lines()))
    print("; ".join(f"{name}: {value}" for name, value in about.items()))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench import", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--log", action="append", choices=LOGS, help="only this one")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is imported; medians are told")
    parser.add_argument("--quick", action="store_true", help="once: for a look, not for a figure")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
