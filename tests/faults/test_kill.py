"""Processes are killed, ten times each at random, while a log is imported: nothing is lost, nothing is there twice."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from attorn.contracts import subjects
from attorn.projections.audit import Auditor
from attorn.services import connection
from attorn.services.custody import ensure_custodian
from attorn.services.imports.mapping import load
from attorn.services.imports.run import NatsDoors, Report, run
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.provision import provision
from attorn.services.supervise.instance import Instance, running
from attorn.services.supervise.server import free_port
from attorn.services.supervise.up import UpOptions, up

KILLS_EACH = 10
PROCESSES = ("nats-server", "services", "projector")
SEED = int(os.environ.get("ATTORN_FAULTS_SEED", "20261121"))
"""Printed with every failure; another seed kills at other moments."""


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.requirement("002-15")
async def test_thirty_kills_during_imports_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    async with attorn(tmp_path / "data") as url:
        nc = await connection.connect(url, "faults")
        killing = asyncio.create_task(kill(tmp_path / "data", dice))
        imported: list[tuple[Path, Report]] = []
        # As many logs as it takes, so that every kill falls into an import.
        while not killing.done():
            log = xes(tmp_path / f"tickets{len(imported)}.xes", traces=400, dice=dice)
            imported.append((log, await run(log, load("default"), NatsDoors(nc), actor="root", patience_s=120)))
        killed = await killing
        assert killed == dict.fromkeys(PROCESSES, KILLS_EACH), f"seed {SEED}"

        head = await settled(nc)
        ledger = JetStreamLedger(nc)
        auditor, ids, of, bodies = Auditor(), Counter[tuple[str, str]](), Counter[str | None](), list[bytes]()
        async for page in ledger.follow():
            auditor.feed(page.recorded)
            ids.update((recorded.event.source, recorded.event.id) for recorded in page.recorded)
            of.update(recorded.event.authid for recorded in page.recorded)
            bodies += [recorded.body for recorded in page.recorded]
            if not page.pending:
                break

        assert len(bodies) == head
        assert [id for id, count in ids.items() if count > 1] == [], f"recorded twice, seed {SEED}"
        for log, report in imported:
            assert (report.conflicts, report.rejected) == (0, 0), report.mentioned
            assert of[report.source] == report.facts, f"lost, seed {SEED}"
            again = await run(log, load("default"), NatsDoors(nc), actor="root", patience_s=120)
            assert (again.recorded, again.there) == (0, report.facts)
        assert auditor.result().holds, auditor.result().places
        assert await feed(nc, head) == bodies, f"the feed differs from the log, seed {SEED}"

        verified = await ask(nc, "projector.verify", wait=120)
        assert verified["views"], verified
        assert all(view["equal"] for view in verified["views"]), f"{verified}, seed {SEED}"
        await nc.close()


async def kill(data: Path, dice: random.Random) -> dict[str, int]:
    """SIGKILL each process KILLS_EACH times, in random order, at random moments; each only once it runs again."""
    order = list(PROCESSES) * KILLS_EACH
    dice.shuffle(order)
    killed: Counter[str] = Counter()
    last: dict[str, int] = {}
    for name in order:
        await asyncio.sleep(dice.uniform(0.05, 1.0))
        while True:
            last[name] = await alive(data, name, last.get(name))
            try:
                os.kill(last[name], signal.SIGKILL)
            except ProcessLookupError:
                continue  # begun while the server was gone, it had given up by itself; the next one counts
            killed[name] += 1
            break
    return dict(killed)


async def alive(data: Path, name: str, not_pid: int | None) -> int:
    """The process id under which `name` runs, which is not the one that was killed."""
    async with asyncio.timeout(30):
        while True:
            instance: Instance | None = running(data)
            pid = instance.pids.get(name) if instance is not None else None
            if pid is not None and pid != not_pid:
                return pid
            await asyncio.sleep(0.02)


@asynccontextmanager
async def attorn(data: Path) -> AsyncIterator[str]:
    """A whole attorn, supervised, for as long as the block runs."""

    async def begin(url: str) -> None:
        nc = await nats.connect(url)
        await provision(nc)
        await ensure_custodian(JetStreamLedger(nc), "root", "Root", datetime.now(UTC))
        await nc.close()

    said: list[str] = []
    stop, port = asyncio.Event(), free_port()
    task = asyncio.create_task(up(UpOptions(provision=begin, data=data, port=port), said.append, stop=stop))
    try:
        async with asyncio.timeout(30):
            while not any(line.startswith("ready") for line in said):
                assert not task.done(), (said, task.exception())
                await asyncio.sleep(0.05)
        yield f"nats://127.0.0.1:{port}"
    finally:
        stop.set()
        await task


async def settled(nc: Client) -> int:
    """The head of the log, once the views and the feed have everything."""
    async with asyncio.timeout(120):
        while True:
            try:
                head = await NatsDoors(nc).head()
                status = await ask(nc, "status")
                fed = (await nc.jetstream().stream_info(subjects.FEED)).state.last_seq
                if status["position"] == head == fed:
                    return head
            except (NatsError, TimeoutError, KeyError):
                pass
            await asyncio.sleep(0.2)


async def feed(nc: Client, head: int) -> list[bytes]:
    """The bodies in the feed, by position from 1."""
    found: list[bytes] = []
    subscription = await nc.jetstream().pull_subscribe(">", stream=subjects.FEED, durable=None)
    while len(found) < head:
        for message in await subscription.fetch(1_000, timeout=5):
            assert message.metadata.sequence.stream == len(found) + 1
            assert (message.headers or {})["Attorn-Position"] == str(len(found) + 1)
            found.append(message.data)
            await message.ack()
    return found


async def ask(nc: Client, question: str, **parameters: Any) -> Any:
    reply = await nc.request(subjects.query(question), msgspec.json.encode(parameters), timeout=130)
    return msgspec.json.decode(reply.data)["result"]


def xes(path: Path, traces: int, dice: random.Random) -> Path:
    """A log of tickets that are taken up, worked on by one or two people, and closed; some are taken up again."""
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<log xes.version="1.0">']
    for trace in range(traces):
        lines += ["<trace>", f'<string key="concept:name" value="{path.stem}-{trace}"/>']
        moves = [
            "schedule",
            "assign",
            "start",
            *dice.choices(["suspend", "resume", "reassign", "start"], k=6),
            "complete",
        ]
        for number, move in enumerate(moves):
            at += timedelta(seconds=dice.randint(1, 900))
            who = f"clerk {dice.randint(1, 30)}"
            lines.append(
                f'<event><string key="concept:name" value="step {number}"/>'
                f'<string key="lifecycle:transition" value="{move}"/><string key="org:resource" value="{who}"/>'
                f'<date key="time:timestamp" value="{at.isoformat()}"/></event>'
            )
        lines.append("</trace>")
    path.write_text("\n".join([*lines, "</log>"]), encoding="utf-8")
    return path
