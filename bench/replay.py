"""All views from the first event on: the projector, the library's ProjectionRunner, and bare transport.

    make bench-replay        # or: .venv/bin/python bench/replay.py [--events 200000] [--log FILE] [--rounds 3] [--json]

The log is written through the ledger to a real nats-server: a mix of work, people and agents (bench/mix.py), and, with
`--log`, an XES file beside it, as `attorn import` maps it. The projector folds all of its views into a SQLite file, in
a process of its own, indexes and all; the peer has one view of one table, on SQLite and on PostgreSQL, as the library
documents it. nats-py's `fetch(1000)`, with nothing done with what comes, is the limit of what transport allows. All
runs in turn; the result is the median of the rounds.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import peers
import transport
import uvloop
from measure import Measured, Round, Target, cpu_s, say, tell
from mix import entries
from postgresql import NotInstalled

from attorn.contracts.envelope import Entry
from attorn.contracts.ledger import BATCH_MAX, Append
from attorn.projections.store.table import Table
from attorn.services import connection
from attorn.services.garbage import look_seldom
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.projector import apart, compose
from attorn.services.projector.project import open_views
from attorn.services.provision import provision
from attorn.services.supervise.server import HOST, embedded

PEER_EVENTS: Final = 18_000
FASTER: Final = 10.0
"""So many times the events a second of the peer with one view, by the projector with all of them."""

CPU_MAX: Final = 4.0
"""So many times the CPU of an empty pull loop, at most."""

MEMORY_MAX_MB: Final = 300

PROJECTOR: Final = "attorn, all views"
PULL: Final = "nats-py fetch(1000), empty"
FOLLOWER: Final = "attorn's follower, decoded"


async def write(url: str, log: Iterable[Entry]) -> int:
    """Record `log` in order, as fast as the ledger takes it; the position of the last."""
    nc = await connection.connect(url, "bench")
    try:
        await provision(nc)
        ledger, waiting, last = JetStreamLedger(nc), iter(log), 0
        while some := list(islice(waiting, BATCH_MAX)):
            streams: dict[str, list[Entry]] = {}
            for entry in some:
                streams.setdefault(entry.event.subject, []).append(entry)
            appends = [Append(stream, own[0].event.version - 1, tuple(own)) for stream, own in streams.items()]
            last = max(await ledger.append_all(appends))
        return last
    finally:
        await nc.close()


def imported(file: Path) -> Iterator[Entry]:
    """The facts of an XES file, sealed as the fact door would record them."""
    from attorn.contracts import codec
    from attorn.services.imports import xes
    from attorn.services.imports.facts import Reading
    from attorn.services.imports.mapping import load

    reading = Reading(load("bpic2013-incidents"), "bench-log", custodian="p-0")
    facts = [fact for trace in xes.read(file) for fact in reading.facts(trace)]
    versions: dict[str, int] = {}
    for fact in (*reading.participants(), *facts):
        event = codec.decode(fact.body)
        version = versions[event.subject] = versions.get(event.subject, 0) + 1
        yield codec.stamp(event, fact.body, version, authid="bench-log", authtype="system")


# ---- the projector, in a process of its own


async def fold(url: str, path: Path, *, dissect: bool) -> dict[str, Any]:
    """Fold the whole log into `path`, and make the indexes; what it took."""
    parts: dict[str, float] = defaultdict(float)
    nc = await connection.connect(url, "bench projector")
    own, begun = time.process_time(), time.perf_counter()
    # To see where the time goes, all of it is spent in one process.
    ledger = JetStreamLedger(nc)
    fill = None if dissect else partial(apart.filling, ledger)
    projector = await open_views(ledger, path, compose.views, fill)
    if dissect:
        _dissect(projector.store, parts)
    head = await projector.ledger.last()
    following = asyncio.create_task(projector.follow())
    whole = asyncio.create_task(projector.whole())
    await asyncio.wait((following, whole), timeout=3_600, return_when=asyncio.FIRST_COMPLETED)
    assert whole.done() and not projector.store.missing, "the views are not whole"
    seconds, own = time.perf_counter() - begun, time.process_time() - own
    if following.done():
        following.result()
    following.cancel()
    await asyncio.wait((following,))
    await nc.close()
    projector.close()
    # Of a child that has ended too: the CPU time of both, and the most memory that each of them ever had.
    child, this = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    own += child.ru_utime + child.ru_stime
    memory_mb = (this.ru_maxrss + child.ru_maxrss) / 1024  # kilobytes on Linux
    return {"events": head, "seconds": seconds, "own": own, "memory_mb": memory_mb, "parts": parts}


def _dissect(store: Any, parts: dict[str, float]) -> None:
    """Have the CPU seconds of each view's fold and of SQLite added up in `parts`."""

    def timed(run: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timing(*arguments: Any, **options: Any) -> Any:
            begun = time.process_time()
            try:
                return run(*arguments, **options)
            finally:
                parts[part] += time.process_time() - begun

        return timing

    tables: Sequence[Table] = store._tables
    for table in tables:
        for method in ("load", "fold"):
            setattr(table, method, timed(getattr(table, method), f"fold {table.view.NAME}"))
        table.write = timed(table.write, f"rows {table.view.NAME}")  # type: ignore[method-assign]
    store.apply = timed(store.apply, "apply, all of it")
    store.index = timed(store.index, "indexes")


def _projector(url: str, *, dissect: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="attorn-replay-") as directory:
        arguments = ["--fold", url, str(Path(directory, "views.sqlite")), *(["--dissect"] if dissect else [])]
        return _child(Path(__file__), arguments)


def _child(script: Path, arguments: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, script, *arguments], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# ---- everybody in turn


def measure(events: int, log: Path | None, rounds: int) -> tuple[list[Measured], list[Target], dict[str, Any]]:
    with ExitStack() as stack:
        loop = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        say("starting nats-server and writing the log")
        # What is replayed is on the disk already; whether each write was waited for says nothing about reading.
        server = embedded(sync_interval="1m")
        broker = loop.run(server.__aenter__())
        stack.callback(lambda: loop.run(server.__aexit__(None, None, None)))
        last = loop.run(write(broker.url, entries(events)))
        if log is not None:
            last = loop.run(write(broker.url, imported(log)))
        say(f"{last:,} events are on the log")
        rivals = _rivals(stack)

        names = [PROJECTOR, FOLLOWER, PULL, *(name for name, *_ in rivals)]
        measured = {name: Measured(name, "replay") for name in names}
        memory = 0.0
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            before = cpu_s([broker.pid])
            found = _projector(broker.url)
            memory = max(memory, found["memory_mb"])
            measured[PROJECTOR].rounds.append(_round(found, cpu_s([broker.pid]) - before))
            for name, way in ((PULL, transport.pull_loop), (FOLLOWER, transport.follower)):
                before = cpu_s([broker.pid])
                seconds, own = loop.run(_read(broker.url, way, last))
                measured[name].rounds.append(
                    Round(events=last, seconds=seconds, own=own, server=cpu_s([broker.pid]) - before)
                )
            for name, again in rivals:
                measured[name].rounds.append(_round(again(), 0.0))
        say("once more, to see where the time goes")
        parts = _parts(_projector(broker.url, dissect=True), measured)
    rows = list(measured.values())
    targets = [Target(ours=measured[PROJECTOR], theirs=measured[name], factor=FASTER) for name, _ in rivals[:1]]
    ratio = measured[PROJECTOR].own_us / measured[PULL].own_us
    about = {
        "events": f"{last:,}, {rounds} rounds in turn, medians; the peer {PEER_EVENTS:,} of its own",
        "CPU of the projector": f"{ratio:.2f} × an empty pull loop, wanted at most {CPU_MAX:g}: "
        + _verdict(ratio <= CPU_MAX),
        "memory of the projector": f"{memory:,.0f} MB, wanted at most {MEMORY_MAX_MB}: "
        + _verdict(memory <= MEMORY_MAX_MB),
        "load": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end",
        "where the CPU goes, µs an event": "; ".join(f"{name} {us:.1f}" for name, us in parts.items()),
    }
    return rows, targets, about


async def _read(url: str, way: Callable[..., Any], events: int) -> tuple[float, float]:
    nc = await connection.connect(url, "bench transport")
    try:
        begun = time.perf_counter()
        us: float = await way(nc, events)
        return time.perf_counter() - begun, us * events / 1e6
    finally:
        await nc.close()


def _rivals(stack: ExitStack) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """The peers, each with a log of its own; a run begins with a view that has nothing."""
    import runner

    script = Path(runner.__file__)
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attorn-runner-")))

    def on_sqlite() -> dict[str, Any]:
        view = Path(tempfile.mkdtemp(dir=directory), "notes.db")
        environment = {
            "PERSISTENCE_MODULE": "eventsourcing.popo",
            "NOTES_PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "NOTES_SQLITE_DBNAME": str(view),
        }
        return _child(script, [json.dumps(environment), str(PEER_EVENTS)])

    found = [("eventsourcing's runner, one view, SQLite", on_sqlite)]
    try:
        say("starting PostgreSQL")
        database = stack.enter_context(peers.database())
    except NotInstalled as missing:
        say(f"without PostgreSQL: {missing}")
        return found
    postgres = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": "postgres",
        "POSTGRES_HOST": HOST,
        "POSTGRES_PORT": str(database.port),
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": "attorn",
    }

    def on_postgresql() -> dict[str, Any]:
        database.execute("DROP SCHEMA public CASCADE")
        database.execute("CREATE SCHEMA public")
        return _child(script, [json.dumps(postgres), str(PEER_EVENTS)])

    return [*found, ("eventsourcing's runner, one view, PostgreSQL", on_postgresql)]


def _round(found: dict[str, Any], server: float) -> Round:
    return Round(events=found["events"], seconds=found["seconds"], own=found["own"], server=server)


def _parts(found: dict[str, Any], measured: dict[str, Measured]) -> dict[str, float]:
    """Microseconds of CPU an event, the largest first."""
    us = {name: seconds / found["events"] * 1e6 for name, seconds in found["parts"].items()}
    whole = us.pop("apply, all of it", 0.0)
    us["commits, directory and the rest of the store"] = whole - sum(us.values()) + us.get("indexes", 0.0)
    us["transport and decoding"] = measured[FOLLOWER].own_us
    return dict(sorted(us.items(), key=lambda part: -part[1]))


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench replay", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, help="how many events of the mix are written")
    parser.add_argument("--log", type=Path, help="an XES file to import beside it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--fold", nargs=2, metavar=("URL", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--dissect", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.fold is not None:
        look_seldom()
        url, path = options.fold
        print(json.dumps(uvloop.run(fold(url, Path(path), dissect=options.dissect))))
        return 0
    rows, targets, about = measure(options.events, options.log, options.rounds)
    tell(rows, targets, as_json=options.json, about=about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
