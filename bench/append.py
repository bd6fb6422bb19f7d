"""Validated, durable commands a second: attorn against the library `eventsourcing` on SQLite (FULL) and on PostgreSQL.

    make bench-append                                   # or: .venv/bin/python bench/append.py [--quick] [--json]

attorn carries out commands (define, note, clarify, alternating, on many items): loaded, decided, checked against every
rule, appended at the version that was judged, on a real nats-server with `sync_interval: always`, with 1, 64 and 512
commands in flight on as many items; first in this process, then through the command door of a services process, where
each is a request and a reply over NATS. The peer has the same commands as methods of an aggregate, and saves each
event with Application.save; for its best it may use threads, and PostgreSQL also the functions that the library brings
for it. Everybody's events are of one size, and are on the disk before they are answered (fsync). All of it runs in
turn, in one run, on one machine; the result is the median of the rounds.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import peers
import uvloop
from measure import Measured, Stopwatch, Target, say, tell
from nats.aio.client import Client
from postgresql import NotInstalled

from attorn.contracts import subjects
from attorn.contracts.context import AddNote
from attorn.contracts.participant import RegisterParticipant
from attorn.contracts.refusal import Receipt, Reply
from attorn.contracts.work import ClarifyWork, DefineWork
from attorn.services import connection, garbage
from attorn.services.custody import ensure_custodian
from attorn.services.directory import LiveDirectory
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.wire import Wire
from attorn.services.participant import model as participant
from attorn.services.provision import provision
from attorn.services.rulebook import RULES
from attorn.services.supervise.server import Broker, embedded
from attorn.services.supervise.supervisor import Child, spawn, until_ready
from attorn.services.transact import Command, Streams, transact
from attorn.services.work import model as work

IN_FLIGHT: Final = (1, 64, 512)
COMMANDS_AN_ITEM: Final = 9
FILLER: Final = "The customer was charged twice for order 4711 on the second of March and asks for the money back. " * 3
"""What each event says, so that all are about the size of a real one: 600 to 700 bytes on attorn's log."""

WORKERS: Final = {"SQLite": (1, 4), "PostgreSQL": (1, 4, 8)}
"""How many threads the peers are tried with when more than one command is in flight; more of them were slower."""

ANSWER_S: Final = 30.0

_reply: Final[msgspec.json.Decoder[Reply]] = msgspec.json.Decoder(Reply)


class InProcess:
    """`transact` over the JetStream ledger, in this process."""

    name = "attorn, in process"

    def __init__(self, streams: Streams, server: Sequence[int]) -> None:
        self.pid, self.server = None, server
        self._streams = streams

    async def carry_out(self, body: msgspec.Struct, number: str) -> None:
        command = Command(
            stream=f"work/{body.work_id}",  # type: ignore[attr-defined]
            body=body,
            actor="ana",
            at=datetime.now(UTC),
            id=number,
            source="/attorn/participant/ana",
        )
        await transact(self._streams, command, work.decide)

    async def settle(self) -> None:
        """Nobody else is at work on this log."""


class Door:
    """The same commands, each a request on `attorn.cmd.ana.<verb>` to a services process of its own."""

    name = "attorn, command door"

    def __init__(self, wire: Wire, nc: Client, pid: int, server: Sequence[int]) -> None:
        self.pid, self.server = pid, server
        self._wire, self._nc = wire, nc

    async def carry_out(self, body: msgspec.Struct, number: str) -> None:
        verb: str = body.verb  # type: ignore[attr-defined]
        subject = subjects.command("ana", verb)
        [msg] = await self._wire.ask(subject, msgspec.json.encode(body), {"Nats-Msg-Id": number}, timeout=ANSWER_S)
        reply = _reply.decode(msg.data)
        assert isinstance(reply, Receipt), reply

    async def settle(self) -> None:
        """Wait until the feed has everything, so that the next round is not disturbed."""
        behind = True
        while behind:
            await asyncio.sleep(0.05)
            found = [await self._nc.jetstream().stream_info(name) for name in (subjects.LOG, subjects.FEED)]
            behind = found[0].state.last_seq != found[1].state.last_seq


async def carry_out(door: InProcess | Door, in_flight: int, seconds: float, run: int) -> list[float]:
    """Keep so many commands in flight for so long; the latency of each."""
    clock = time.perf_counter
    until = clock() + seconds
    latencies: list[float] = []

    async def work_on(worker: int) -> None:
        for item in count():
            name = f"W-{run}-{worker}-{item}"
            for step in range(COMMANDS_AN_ITEM):
                begun = clock()
                if begun >= until:
                    return
                await door.carry_out(_body(name, step), f"{name}-{step}")
                latencies.append(clock() - begun)

    await asyncio.gather(*map(work_on, range(in_flight)))
    return latencies


def _body(item: str, step: int) -> msgspec.Struct:
    if step == 0:
        return DefineWork(work_id=item, title=item, accountable="ana", requirements=(FILLER,))
    if step % 2:
        return AddNote(work_id=item, text=FILLER)
    return ClarifyWork(work_id=item, changes={"title": f"Refund {step}"}, reason=FILLER)


@asynccontextmanager
async def in_process() -> AsyncIterator[InProcess]:
    """A log, and this process at work on it, alone."""
    async with AsyncExitStack() as stack:
        broker, _, ledger = await _log(stack)
        directory = await stack.enter_async_context(LiveDirectory(ledger).following())
        streams = Streams(ledger, RULES, directory)
        register = Command(
            stream="participant/ana",
            body=RegisterParticipant(participant_id="ana", kind="human", display_name="Ana"),
            actor="root",
            at=datetime.now(UTC),
            id="register-ana",
            source="/attorn/participant/root",
        )
        await transact(streams, register, participant.decide)
        yield InProcess(streams, [broker.pid])


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    """Another log, and a services process at work on it, as `attorn up` runs it: it relays every event to the feed."""
    async with AsyncExitStack() as stack:
        broker, nc, _ = await _log(stack)
        child = Child(name="services", argv=(sys.executable, "-m", "attorn.services.main", "--nats-url", broker.url))
        process = await spawn(child, broker.data / "logs")
        stack.push_async_callback(process.kill)
        await until_ready(child, process)
        wire = Wire(nc)
        body = {"participant_id": "ana", "kind": "human", "display_name": "Ana"}
        [msg] = await wire.ask(subjects.command("root", "participant.register"), msgspec.json.encode(body), timeout=10)
        assert isinstance(_reply.decode(msg.data), Receipt), msg.data
        yield Door(wire, nc, process.pid, [broker.pid])


async def _log(stack: AsyncExitStack) -> tuple[Broker, Client, JetStreamLedger]:
    broker = await stack.enter_async_context(embedded())
    nc = await connection.connect(broker.url, "bench")
    stack.push_async_callback(nc.close)
    ledger = JetStreamLedger(nc)
    await provision(nc)
    await ensure_custodian(ledger, "root", "Root", datetime.now(UTC))
    return broker, nc, ledger


async def measure(rounds: int, seconds: float) -> tuple[list[Measured], list[Target]]:
    """Every contestant, `rounds` times in turn, after a round that does not count."""
    async with AsyncExitStack() as stack:
        say("starting nats-server and services")
        doors = (await stack.enter_async_context(in_process()), await stack.enter_async_context(door()))
        rivals, servers = await asyncio.to_thread(_rivals, stack.enter_context(ExitStack()))
        measured = {(each.name, load): Measured(each.name, _load(load)) for load in IN_FLIGHT for each in doors}
        measured |= {(rival.name, rival.workers): Measured(rival.name, "") for rival in rivals}
        numbers = count(1)
        for number in range(rounds + 1):
            say(f"round {number} of {rounds}" if number else "warming up")
            for each in doors:
                for in_flight in IN_FLIGHT:
                    with Stopwatch(each.pid, each.server) as watch:
                        latencies = await carry_out(each, in_flight, seconds, next(numbers))
                    await each.settle()
                    if number:
                        measured[each.name, in_flight].rounds.append(watch.round(len(latencies), latencies))
            for rival in rivals:
                # In a thread, so that our connections stay alive meanwhile; the loop has nothing else to do.
                with Stopwatch(None, servers(rival)) as watch:
                    saved = await asyncio.to_thread(rival.run, seconds, COMMANDS_AN_ITEM)
                if number:
                    measured[rival.name, rival.workers].rounds.append(watch.round(saved))
    return _result(measured, rivals)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    rounds, seconds = (2, 0.4) if options.quick else (5, 1.0)
    garbage.look_seldom()  # as a services process does
    rows, targets = uvloop.run(measure(rounds, seconds))
    about = {
        "rounds": f"{rounds} of {seconds:g} s each, in turn; medians",
        "durability": "sync_interval always, synchronous FULL, fsync on",
        "load": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end; ours needs a core beside the server's",
    }
    tell(rows, targets, as_json=options.json, about=about)
    return 0


def _rivals(stack: ExitStack) -> tuple[list[peers.Peer], Callable[[peers.Peer], Sequence[int]]]:
    """The peers in all their configurations, and which processes beside this one work for each."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attorn-sqlite-")))
    rivals = [peers.sqlite(directory, workers, FILLER) for workers in WORKERS["SQLite"]]
    database: peers.Database | None = None
    try:
        say("starting PostgreSQL")
        database = stack.enter_context(peers.database())
    except NotInstalled as missing:
        say(f"without PostgreSQL: {missing}")
    if database is not None:
        rivals += [
            peers.postgresql(database, workers, FILLER, functions=functions)
            for functions in (False, True)
            for workers in WORKERS["PostgreSQL"]
        ]
    for rival in rivals:
        stack.callback(rival.close)

    def servers(rival: peers.Peer) -> Sequence[int]:
        return database.pids() if database is not None and "PostgreSQL" in rival.name else ()

    return rivals, servers


def _result(
    measured: dict[tuple[str, int], Measured], rivals: Sequence[peers.Peer]
) -> tuple[list[Measured], list[Target]]:
    rows: list[Measured] = []
    targets: list[Target] = []
    for in_flight in IN_FLIGHT:
        ours = measured[InProcess.name, in_flight]
        best: dict[str, Measured] = {}
        for rival in rivals:
            if in_flight == 1 and rival.workers > 1:
                continue
            found = measured[rival.name, rival.workers]
            if rival.name not in best or found.per_s > best[rival.name].per_s:
                threads = f", {rival.workers} threads" if rival.workers > 1 else ""
                best[rival.name] = Measured(rival.name + threads, _load(in_flight), found.rounds)
        rows += [ours, measured[Door.name, in_flight], *best.values()]
        for name, factor in _WANTED[in_flight]:
            if name in best:
                targets.append(Target(ours=ours, theirs=best[name], factor=factor))
    return rows, targets


_WANTED: Final = {
    1: (("eventsourcing on PostgreSQL", 1.5),),
    64: (("eventsourcing on SQLite", 2.0), ("eventsourcing on PostgreSQL", 8.0)),
    512: (("eventsourcing on SQLite", 4.0),),
}
"""What was promised, by commands in flight: so many times the peer's best."""


def _load(in_flight: int) -> str:
    return f"{in_flight} in flight"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench append", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: for a look, not for a figure")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
