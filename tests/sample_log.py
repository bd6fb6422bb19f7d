"""Entries for tests of a ledger, ways to read it to its end, and a connection to one on a real nats-server."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import nats
from nats.aio.client import Client

from attorn.contracts import codec
from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.ledger import Ledger, Page
from attorn.contracts.work import WorkDefined
from attorn.services.ledger.jetstream import JetStreamLedger

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def entry(stream: str, version: int, title: str = "Refund", **attributes: Any) -> Entry:
    """One event of `stream`, ready to append; another title makes other bytes."""
    named = {"id": f"{stream}-{version}", "source": "attorn://tests", "authid": "mira", "authtype": "user"} | attributes
    payload = WorkDefined(title=title, accountable="mira")
    return codec.seal(codec.event(payload, subject=stream, time=AT, **named), version)


def entries(stream: str, first: int, last: int) -> list[Entry]:
    return [entry(stream, version) for version in range(first, last + 1)]


def fact(stream: str, version: int, id: str, *, source: str = "jira", title: str = "Refund") -> Entry:
    """The same as a system's fact: its id may be used once."""
    return entry(stream, version, title, id=id, source=source, authid=source, authtype="system")


async def everything(ledger: Ledger, after: int = 0, kinds: tuple[str, ...] = ()) -> list[Recorded]:
    """What a follower sees until it has caught up."""
    found: list[Recorded] = []
    async with aclosing(ledger.follow(after, kinds)) as pages:
        async for page in pages:
            found.extend(page.recorded)
            if not page.pending:
                break
    return found


async def pages_until(ledger: Ledger, position: int, after: int = 0) -> list[Page]:
    """What a follower sees until it has the event at `position`."""
    found: list[Page] = []
    async with aclosing(ledger.follow(after)) as pages:
        async for page in pages:
            found.append(page)
            if page.recorded and page.recorded[-1].position >= position:
                break
    return found


@asynccontextmanager
async def connected(url: str, **options: float) -> AsyncIterator[tuple[Client, JetStreamLedger]]:
    """A connection that never gives up, and the ledger on it."""
    ledger: JetStreamLedger | None = None

    async def on_error(error: Exception) -> None:
        if ledger is not None:
            ledger.on_error(error)

    nc = await nats.connect(url, error_cb=on_error, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
    try:
        ledger = JetStreamLedger(nc, **options)  # type: ignore[arg-type]
        yield nc, ledger
    finally:
        await nc.close()


async def ask(nc: Client, verb: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JetStream API, as an administrator uses it."""
    msg = await nc.request(f"$JS.API.{verb}", b"" if body is None else json.dumps(body).encode(), timeout=5)
    answer: dict[str, Any] = json.loads(msg.data)
    return answer
