"""The relay: every event of the log once more, under subjects that subscribers can choose by."""

import asyncio
from attorn.contracts.ledger import Ledger
from nats.aio.client import Client


async def run(ledger: Ledger, nc: Client) -> None:
    await asyncio.Event().wait()
