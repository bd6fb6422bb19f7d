"""What it costs to get events off the log: a bare nats-py pull loop, our reader without decoding, and the follower.

    .venv/bin/python bench/transport.py [EVENTS]        # 200,000 events of 600 bytes, on a server of its own

Every function reads all of the log and returns what one event cost this process in CPU, in microseconds.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime

import nats
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from attorn.contracts import codec
from attorn.contracts.envelope import Entry
from attorn.contracts.ledger import BATCH_MAX, Append
from attorn.contracts.work import WorkDefined
from attorn.services.ledger.follow import Source, pages
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.wire import Wire
from attorn.services.provision import provision
from attorn.services.supervise.server import embedded

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
BODY_BYTES = 600
STREAMS = 1_000


async def fill(ledger: JetStreamLedger, events: int) -> None:
    """As many events, BODY_BYTES each, spread over STREAMS work items."""
    for first in range(0, events, BATCH_MAX):
        numbers = range(first, min(first + BATCH_MAX, events))
        versions = [(f"work/W-{number % STREAMS}", number // STREAMS + 1) for number in numbers]
        await ledger.append_all(
            [Append(stream, version - 1, (_entry(stream, version),)) for stream, version in versions]
        )


def _entry(stream: str, version: int) -> Entry:
    def sealed(filler: str) -> Entry:
        payload = WorkDefined(title="Refund an order", accountable="mira", requirements=(filler,))
        event = codec.event(
            payload, id=f"{stream}-{version}", subject=stream, source="attorn://bench", time=AT, authid="mira",
            authtype="user",
        )  # fmt: skip
        return codec.seal(event, version)

    return sealed("x" * (BODY_BYTES - len(sealed("x").body) + 1))


async def pull_loop(nc: Client, events: int) -> float:
    """nats-py's `fetch(1000)`, and nothing is done with what comes: what the issue measures the projector against."""
    js = nc.jetstream()
    name = f"bench-{secrets.token_hex(4)}"
    await js.add_consumer("ATTORN", ConsumerConfig(name=name, ack_policy=AckPolicy.NONE, mem_storage=True))
    subscription = await js.pull_subscribe_bind(name, "ATTORN")
    begun, found = time.process_time(), 0
    while found < events:
        found += len(await subscription.fetch(1_000, timeout=5))
    spent = time.process_time() - begun
    await subscription.unsubscribe()
    await js.delete_consumer("ATTORN", name)
    return spent / found * 1e6


async def reader(nc: Client, events: int) -> float:
    """Our own reader: position checked, nothing decoded."""
    begun, found = time.process_time(), 0
    source = Source(stream="ATTORN", is_whole=True)
    async with aclosing(pages(nc, Wire(nc), source, 0, lambda position, nanoseconds, subject, body: body)) as read:
        async for page, _ in read:
            found += len(page)
            if found >= events:
                break
    return (time.process_time() - begun) / found * 1e6


async def follower(nc: Client, events: int) -> float:
    """What a projection gets: every event decoded, with its position and time."""
    begun, found = time.process_time(), 0
    async with aclosing(JetStreamLedger(nc).follow()) as read:
        async for page in read:
            found += len(page.recorded)
            if found >= events:
                break
    return (time.process_time() - begun) / found * 1e6


WAYS: dict[str, Callable[[Client, int], Awaitable[float]]] = {
    "nats-py fetch(1000)": pull_loop,
    "reader, undecoded": reader,
    "follower": follower,
}


async def measured(nc: Client, events: int, rounds: int = 3) -> dict[str, float]:
    """The least of some rounds of each way, in turn: others on the machine only ever add to it."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            found[name].append(await way(nc, events))
    return {name: min(each) for name, each in found.items()}


async def main(events: int) -> None:
    # What is read back needs no fsync; only the reading is measured.
    async with embedded(sync_interval="1m") as broker:
        nc = await nats.connect(broker.url)
        await provision(nc)
        end = await JetStreamLedger(nc).last()
        await fill(JetStreamLedger(nc), events)
        print(json.dumps({name: round(each, 2) for name, each in (await measured(nc, end + events)).items()}, indent=2))
        await nc.close()


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with suppress(ImportError):
        import uvloop

        uvloop.run(main(count))
        sys.exit(0)
    asyncio.run(main(count))
