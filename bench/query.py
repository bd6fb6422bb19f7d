"""What a question takes from asking to the answer, over a real nats-server, while the views go on folding.

    .venv/bin/python bench/query.py [--items 100000] [--requests 2000] [--in-flight 16] [--rate 200] [--json]

The views of so many items are folded into a SQLite file, then asked by the real query service: who answers for an item,
now and as of a position, a time, and what was known; a page of the board; a page of one person's inbox. Each is asked
one after the other, of another item, page or person each time, while another process writes `--rate` events a second,
which are folded meanwhile: that is what the target is held against. Then it is asked with so many in flight, which says
how many answers a second the one thread gives, and what 99 of 100 wait at most meanwhile. For information, the same
answers are made in the process that asks, without a broker, by the clock and by CPU time, and the same rows are found
by plain SQL where one statement finds them.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import uvloop
from measure import Measured, Round, cpu_s, say, table
from mix import BEGIN, Told, sealed
from nats.aio.client import Client

from attorn.contracts import codec, subjects
from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.context import NoteAdded
from attorn.contracts.decision import DecisionRequested
from attorn.contracts.delegation import DelegationAccepted, WorkDelegated
from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.escalation import EscalationContext, WorkEscalated
from attorn.contracts.execution import ExecutionInputRequired, ExecutionStarted, WorkExecuted
from attorn.contracts.ids import Pinned
from attorn.contracts.ledger import Append
from attorn.contracts.output import Output
from attorn.contracts.participant import ParticipantDeactivated, ParticipantRegistered, RoleGranted
from attorn.contracts.process import ProcessPublished
from attorn.contracts.review import ReviewRequested, WorkReviewed
from attorn.contracts.work import WorkAssigned, WorkCompleted, WorkDefined, WorkReadied, WorkVerified
from attorn.projections import board, inbox
from attorn.projections.directory import Directory
from attorn.projections.store.sqlite import SQLiteViews
from attorn.services import connection
from attorn.services.garbage import look_seldom
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.projector import compose
from attorn.services.projector.main import now
from attorn.services.projector.project import Projector
from attorn.services.projector.rebuild import Maintenance
from attorn.services.provision import streams
from attorn.services.query.app import answering
from attorn.services.supervise.server import embedded

P99_MS_MAX: Final = 5.0
PEOPLE: Final = 200
AGENTS: Final = 50
PROCESSES: Final = 20
BUSY: Final = "p-7"
"""The participant with many items: every tenth is addressed to them."""

PAGE: Final = 50
FOLDED_AT_ONCE: Final = 5_000
WRITES_A_S: Final = 20

ONE: Final = "one at a time"
IN_PROCESS: Final = "in process, without a broker"
CPU_ALONE: Final = "in process, its CPU time alone"

# ---- the log


def entries(items: int) -> Iterator[Entry]:
    """A log of so many items, most of which are under way: everything follows from its number."""
    return sealed(chain(_people(), *(_item(n) for n in range(items))))


def _people() -> Iterator[Told]:
    for n in range(PEOPLE):
        person = ParticipantRegistered(participant_id=f"p-{n}", kind="human", display_name=f"Person {n}")
        yield f"participant/p-{n}", person, "p-0"
    yield "participant/p-0", RoleGranted(role="custodian"), "p-0"
    for n in range(20):
        yield f"participant/p-{n * 10}", RoleGranted(role="reviewer"), "p-0"
    for n in range(AGENTS):
        agent = ParticipantRegistered(participant_id=f"bot-{n}", kind="agent", display_name=f"Bot {n}", sponsor="p-1")
        yield f"participant/bot-{n}", agent, "p-0"
    for n in range(PROCESSES):
        flow = ProcessPublished(version=1, owner=f"p-{n}", purpose="Orders are refunded, or it is said why not.")
        yield f"process/flow-{n}", flow, f"p-{n}"
    for n in range(190, 195):
        # Some have left: whoever is named on a fortieth of the items is succeeded.
        yield f"participant/p-{n}", ParticipantDeactivated(successor=f"p-{n - 100}"), "p-0"


def _item(n: int) -> Iterator[Told]:
    """One item, from its definition to where it stands, some nine events; every third has ended."""
    stream, answers, bot = f"work/W-{n}", f"p-{n % PEOPLE}", f"bot-{n % AGENTS}"
    of = BUSY if n % 10 == 3 else f"p-{(n * 7 + 1) % PEOPLE}"
    due = BEGIN + timedelta(days=30, seconds=n * 7919 % 2_000_000)
    dig = f"sha256:{n:064x}"
    yield stream, WorkDefined(title=f"Refund order {4_711 + n}", accountable=answers, due_at=due,
                              process=Pinned(id=f"flow-{n % PROCESSES}", version=1)), answers  # fmt: skip
    yield stream, WorkReadied(), answers
    yield stream, WorkDelegated(delegation_id="d-1", delegator=answers, delegate=bot, activities=("refund",)), answers
    if n % 5:
        yield stream, DelegationAccepted(delegation_id="d-1"), bot
    if n % 8 == 0:
        yield stream, AccountabilityTransferred(from_=answers, to=of, accepted_by=of, basis="accepted"), of
    if n % 12 == 0:
        return
    yield stream, WorkAssigned(executor=bot), answers
    yield stream, ExecutionStarted(execution_id="x-1", executor=bot, delegation_id="d-1"), bot
    if n % 6 == 1:
        yield stream, DecisionRequested(decision_id="c-1", question="Is it refunded?", from_=of, respond_by=due), bot
    if n % 40 == 0:
        told = EscalationContext(summary="The amount is above what I may pay.")
        yield stream, WorkEscalated(escalation_id="s-1", reason="manual", raised_by=bot, context=told), bot
    if n % 4 == 1:
        yield stream, ExecutionInputRequired(execution_id="x-1", request_id="q-1", from_=of, respond_by=due,
                                             question="Which account is it paid to?"), bot  # fmt: skip
    if n % 4 == 2:
        return
    output = Output(output_id="o-1", dig=dig, name="refund.json", media_type="application/json", contribution="ai")
    if n % 4 == 3:
        yield stream, WorkExecuted(execution_id="x-1", result="completed", outputs=(output,)), bot
        yield stream, ReviewRequested(review_id="r-1", output_id="o-1", output_dig=dig, candidates=(of, "p-3", "p-4"),
                                      respond_by=due), answers  # fmt: skip
        if n % 3 == 0:
            yield stream, WorkReviewed(review_id="r-1", output_id="o-1", output_dig=dig, verdict="approved",
                                       reviewer=of), of  # fmt: skip
    if n % 3 == 0:
        yield stream, WorkVerified(), answers
        yield stream, WorkCompleted(), answers


def fold(path: Path, items: int) -> tuple[SQLiteViews, Directory]:
    """The views of the log, in the file `path`, with the directory of their position."""
    directory = Directory()
    store = SQLiteViews(path, compose.views(directory), directory, indexed=False)
    waiting, position = entries(items), 0
    while some := list(islice(waiting, FOLDED_AT_ONCE)):
        page = [
            Recorded(position + n, entry.event.time + timedelta(seconds=1), codec.decode(entry.body), entry.body)
            for n, entry in enumerate(some, 1)
        ]
        poison = store.apply(page)
        assert not poison, poison[0]
        position += len(page)
    store.index()
    return store, directory


# ---- who answers, and who writes meanwhile, each in a process of its own


async def serve(url: str, path: Path, items: int) -> None:
    """Fold the log, then answer and follow until standard input ends."""
    store, _ = fold(path, items)
    gc.collect()
    look_seldom()
    nc = await connection.connect(url, "bench projector")
    projector = Projector(JetStreamLedger(nc), store, compose.views, store.position)
    try:
        async with answering(nc, projector, Maintenance(projector, now), compose.QUESTIONS, now, compose.LONG):
            await _log_behind(nc, store.position)
            following = asyncio.create_task(projector.follow())
            print(store.position, flush=True)
            await asyncio.to_thread(sys.stdin.read)
            following.cancel()
            await asyncio.wait((following,))
    finally:
        projector.close()
        await nc.close()


async def _log_behind(nc: Client, position: int) -> None:
    """Make the log's stream, which goes on behind what was folded without it."""
    log = {**streams()[subjects.LOG], "name": subjects.LOG, "first_seq": position + 1}
    made = await nc.request(f"$JS.API.STREAM.CREATE.{subjects.LOG}", msgspec.json.encode(log), timeout=10)
    assert b'"error"' not in made.data, made.data


async def write(url: str, rate: int) -> None:
    """Record `rate` events a second on new items, until standard input ends."""
    nc = await connection.connect(url, "bench writer")
    ledger, ended = JetStreamLedger(nc), asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    versions: dict[str, int] = {}
    number = 0
    due = time.perf_counter()
    while not ended.done():
        appends = []
        for _ in range(max(1, rate // WRITES_A_S)):
            number += 1
            stream = f"work/L-{number // 2}"
            version = versions[stream] = versions.get(stream, 0) + 1
            payload = WorkDefined(title="Refund an order", accountable="p-1") if version == 1 else NoteAdded(text="So.")
            event = codec.event(payload, id=f"live-{number}", source="/bench", subject=stream, time=now(), authid="p-1",
                                authtype="user")  # fmt: skip
            appends.append(Append(stream, version - 1, (codec.seal(event, version),)))
        merged: dict[str, Append] = {}
        for one in appends:
            first = merged.get(one.stream, Append(one.stream, one.expected, ()))
            merged[one.stream] = Append(one.stream, first.expected, (*first.entries, *one.entries))
        await ledger.append_all(list(merged.values()))
        due += 1 / WRITES_A_S if rate >= WRITES_A_S else 1 / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    print(number, flush=True)
    await nc.close()


@asynccontextmanager
async def beside(*arguments: str) -> AsyncIterator[Process]:
    """A child of this script, which ends with the block."""
    child = await asyncio.create_subprocess_exec(sys.executable, __file__, *arguments, stdin=PIPE, stdout=PIPE)
    assert child.stdin is not None
    try:
        yield child
    finally:
        child.stdin.close()
        try:
            async with asyncio.timeout(10):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


# ---- what is asked


class Asking(NamedTuple):
    """One kind of question: its name, and the parameters of one after the other."""

    load: str
    name: str
    parameters: Callable[[random.Random], dict[str, Any]]


def askings(items: int, position: int) -> Sequence[Asking]:
    an_item = position / items

    def work(chance: random.Random) -> str:
        return f"W-{chance.randrange(items)}"

    def then(chance: random.Random, **asked: Callable[[int], Any]) -> dict[str, Any]:
        # Of an item that was there then: one of the first nine in ten, and a place behind its first event.
        n = chance.randrange(items * 9 // 10)
        since = min(round((n + 200) * an_item), position - 1)
        return {"work": f"W-{n}", **{name: place(chance.randrange(since, position)) for name, place in asked.items()}}

    def moment(place: int) -> str:
        return (BEGIN + timedelta(seconds=place)).isoformat()

    return (
        Asking("who, now", "who", lambda r: {"work": work(r)}),
        Asking("who, at a position", "who", lambda r: then(r, position=int)),
        Asking("who, at a time, as known", "who", lambda r: then(r, at=moment, known_at=moment)),
        Asking("board, a state of a process", "board", lambda r: {
            "state": r.choice(STATES), "process": f"flow-{r.randrange(PROCESSES)}", "after": work(r), "limit": PAGE}),
        Asking("board, a state", "board", lambda r: {"state": r.choice(STATES), "after": work(r), "limit": PAGE}),
        Asking("board, open, of a process", "board", lambda r: {
            "open": True, "process": f"flow-{r.randrange(PROCESSES)}", "limit": PAGE}),
        Asking("inbox, somebody's", "inbox", lambda r: {"who": f"p-{r.randrange(8, 150)}", "limit": PAGE}),
        Asking("inbox, with many items", "inbox", lambda r: {"who": BUSY, "limit": PAGE}),
        Asking("inbox, an agent's", "inbox", lambda r: {"who": f"bot-{r.randrange(AGENTS)}", "limit": PAGE}),
    )  # fmt: skip


STATES: Final = ("ready", "in_progress", "waiting_input", "in_review", "completed")


async def ask(nc: Client, asking: Asking, requests: int, in_flight: int, seed: int) -> list[float]:
    """Seconds from asking to each answer."""
    chance, left, taken = random.Random(seed), iter(range(requests)), list[float]()
    subject = subjects.query(asking.name)

    async def one_after_the_other() -> None:
        for _ in left:
            body = msgspec.json.encode(asking.parameters(chance))
            begun = time.perf_counter()
            answer = await nc.request(subject, body, timeout=10)
            taken.append(time.perf_counter() - begun)
            if answer.headers is not None or b'"problem"' in answer.data[:500]:
                raise AssertionError(f"{asking.load}: {body!r}: {answer.data[:500]!r}")

    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    return taken


def in_process(
    store: SQLiteViews,
    directory: Directory,
    asking: Asking,
    requests: int,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Seconds by `clock` for each answer as JSON, made here."""
    chance, taken = random.Random(seed), list[float]()
    shape, find = compose.QUESTIONS[asking.name]
    for _ in range(requests):
        body = msgspec.json.encode(asking.parameters(chance))
        begun = clock()
        with store.reading() as rows:
            msgspec.json.encode(find(rows, directory, msgspec.json.decode(body, type=shape)))
        taken.append(clock() - begun)
    return taken


PLAIN: Final = {
    "board, a state of a process": (
        f"SELECT * FROM {board.NAME}_v{board.VERSION} WHERE state = ? AND process = ? AND key > ? ORDER BY key LIMIT ?",
        ("state", "process", "after", "limit"),
    ),
    "inbox, with many items": (
        f"SELECT i.*, b.title, b.state, b.process, b.priority FROM {inbox.NAME}_v{inbox.VERSION} i"
        f" JOIN {board.NAME}_v{board.VERSION} b ON b.key = i.work WHERE i.addressed = ? ORDER BY i.turn LIMIT ?",
        ("who", "limit"),
    ),
}


def plain(path: str, asking: Asking, requests: int, seed: int) -> list[float]:
    """Seconds for the rows that one statement finds, without roles, substitutes, or who answers."""
    chance, taken = random.Random(seed), list[float]()
    statement, names = PLAIN[asking.load]
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    for _ in range(requests):
        parameters = asking.parameters(chance)
        begun = time.perf_counter()
        connection.execute(statement, [parameters[name] for name in names]).fetchall()
        taken.append(time.perf_counter() - begun)
    connection.close()
    return taken


async def measure(items: int, requests: int, in_flight: int, rate: int) -> tuple[list[Measured], dict[str, Any]]:
    rows: list[Measured] = []
    together = f"{in_flight} in flight"
    with tempfile.TemporaryDirectory(prefix="attorn-query-") as directory:
        path = Path(directory, "views.sqlite")
        async with embedded(sync_interval="1m") as broker:
            say(f"folding {items:,} items")
            async with beside("--serve", broker.url, str(path), str(items)) as projector:
                position = int(await _said(projector))
                say(f"{position:,} events are folded")
                nc = await connection.connect(broker.url, "bench")
                async with beside("--write", broker.url, str(rate)) as writer:
                    begun = time.perf_counter()
                    await asyncio.sleep(1)
                    for number, asking in enumerate(askings(items, position)):
                        for name, at_once in ((ONE, 1), (together, in_flight)):
                            await ask(nc, asking, max(20, at_once), at_once, seed=number + 1_000)
                            cpu, started = cpu_s([projector.pid]), time.perf_counter()
                            taken = await ask(nc, asking, requests, at_once, seed=number)
                            spent = Round(events=requests, seconds=time.perf_counter() - started,
                                          own=cpu_s([projector.pid]) - cpu, server=0.0, latencies=taken)  # fmt: skip
                            rows.append(Measured(name, asking.load, [spent]))
                    assert writer.stdin is not None
                    writer.stdin.close()
                    written = int(await _said(writer))
                    per_s = written / (time.perf_counter() - begun)
                await nc.close()
        say("the same in process")
        rows += _here(path, items, position, requests)
    return rows, {
        "log": f"{items:,} items, {position:,} events; {PEOPLE} people, one with a tenth of all that waits",
        "folded meanwhile": f"{per_s:,.0f} events/s, written by another process",
        "load": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end",
    }


def _here(path: Path, items: int, position: int, requests: int) -> list[Measured]:
    rows: list[Measured] = []
    directory = Directory()
    store = SQLiteViews(path, compose.views(directory), directory)
    for entry in islice(entries(0), 1_000):
        directory.evolve(Recorded(directory.position + 1, entry.event.time, entry.event, entry.body))
    directory.position = store.position
    for number, asking in enumerate(askings(items, position)):
        here = partial(in_process, store, directory, asking, requests, number)
        # On a machine that others use too, how long an answer waits for a core says nothing of the answer.
        contestants = [(IN_PROCESS, here), (CPU_ALONE, partial(here, time.thread_time))]
        if asking.load in PLAIN:
            contestants.append(("plain SQL, its rows alone", partial(plain, str(path), asking, requests, number)))
        for name, run in contestants:
            cpu, started = time.process_time(), time.perf_counter()
            taken = run()
            spent = Round(events=requests, seconds=time.perf_counter() - started, own=time.process_time() - cpu,
                          server=0.0, latencies=taken)  # fmt: skip
            rows.append(Measured(name, asking.load, [spent]))
    store.close()
    return rows


async def _said(child: Process) -> str:
    assert child.stdout is not None
    line = await child.stdout.readline()
    assert line, "the child ended"
    return line.decode().strip()


def verdicts(rows: Sequence[Measured]) -> list[dict[str, Any]]:
    """Of each question, whether 99 of 100 answers were there in time, each asked when the one before was answered."""
    return [
        {"load": row.load, "how": row.name, "p99_ms": round(p99, 3), "wanted_ms": P99_MS_MAX, "met": p99 < P99_MS_MAX}
        for row in rows
        if row.name == ONE and (p99 := row.latency_ms(0.99)) is not None
    ]


def loaded(rows: Sequence[Measured]) -> list[dict[str, Any]]:
    """Of each question, how many answers a second there were with many in flight, and what 99 of 100 took at most."""
    return [
        {"load": row.load, "how": row.name, "per_s": round(row.per_s), "p99_ms": round(p99, 3),
         "under_ms": P99_MS_MAX, "is_under": p99 < P99_MS_MAX}
        for row in rows
        if row.name.endswith("in flight") and (p99 := row.latency_ms(0.99)) is not None
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench query", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=2_000, help="how often each question is asked")
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--rate", type=int, default=200, help="how many events a second are folded meanwhile")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--serve", nargs=3, metavar=("URL", "FILE", "ITEMS"), help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=2, metavar=("URL", "RATE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    child: Coroutine[Any, Any, None] | None = None
    if options.serve is not None:
        url, path, items = options.serve
        sys.setswitchinterval(0.000_5)
        child = serve(url, Path(path), int(items))
    elif options.write is not None:
        url, rate = options.write
        child = write(url, int(rate))
    if child is not None:
        uvloop.run(child)
        return 0
    rows, about = uvloop.run(measure(options.items, options.requests, options.in_flight, options.rate))
    targets = verdicts(rows)
    if options.json:
        measured = [row.as_json() for row in rows]
        found = {"about": about, "measured": measured, "targets": targets, "in_flight": loaded(rows)}
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    loads = list(dict.fromkeys(row.load for row in rows))
    print(table(sorted(rows, key=lambda row: loads.index(row.load))))
    print()
    for name, value in about.items():
        print(f"{name}: {value}")
    print()
    for one in targets:
        print(f"{'met' if one['met'] else 'MISSED':6}  {one['load']}, {one['how']}: p99 {one['p99_ms']:.2f} ms,"
              f" wanted under {P99_MS_MAX:g} ms")  # fmt: skip
    print()
    for one in loaded(rows):
        print(f"{'under' if one['is_under'] else 'over':6}  {one['load']}, {one['how']}: {one['per_s']:,} answers/s,"
              f" p99 {one['p99_ms']:.2f} ms, {P99_MS_MAX:g} ms is not a target here")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
