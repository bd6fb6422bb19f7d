"""The durable consumer of a subscriber on the feed, made by the administrator, since subscribers may only read theirs.

    ATTORN_NATS_USER=admin ATTORN_NATS_PASSWORD=… python consumer.py on-call 'attorn.escalation.>' [POSITION]

It begins at the position, or with the first event that the feed still has. Run again, it changes nothing.
"""

import asyncio
import logging
import os
import sys

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from attorn.contracts import subjects
from attorn.services.connection import connect


async def main(name: str, filter: str, position: int | None = None) -> None:
    """Raises an Error of nats-py when there is another consumer of that name."""
    nc = await connect(os.environ.get("ATTORN_NATS_URL", "nats://127.0.0.1:4222"), "consumer")
    try:
        made = await nc.jetstream().add_consumer(
            subjects.FEED,
            ConsumerConfig(
                name=name,
                durable_name=name,
                filter_subject=filter,
                ack_policy=AckPolicy.EXPLICIT,
                deliver_policy=DeliverPolicy.ALL if position is None else DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=position,
            ),
        )
        print(f"{made.name}: {made.num_pending} messages wait under {filter}")
    finally:
        await nc.close()


if __name__ == "__main__":
    logging.getLogger("attorn").setLevel(logging.ERROR)  # that the connection ends, at the end, is no news
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None))
