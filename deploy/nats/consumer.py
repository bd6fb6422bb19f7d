"""The durable consumer of a subscriber on the feed, made by the administrator, since subscribers may only read theirs.

    ATTORN_NATS_USER=admin ATTORN_NATS_PASSWORD=… python consumer.py on-call 'attorn.escalation.>' [FILTER …] [POSITION]

It begins at the position, or with the first event that the feed still has. Run again, it changes nothing, or its
filters, where others are given.
"""

import asyncio
import logging
import os
import sys

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from attorn.contracts import subjects
from attorn.services.connection import connect


async def main(name: str, filters: list[str], position: int | None = None) -> None:
    """Raises an Error of nats-py when there is another consumer of that name."""
    nc = await connect(os.environ.get("ATTORN_NATS_URL", "nats://127.0.0.1:4222"), "consumer")
    try:
        made = await nc.jetstream().add_consumer(
            subjects.FEED,
            ConsumerConfig(
                name=name,
                durable_name=name,
                filter_subject=filters[0] if len(filters) == 1 else None,
                filter_subjects=filters if len(filters) > 1 else None,
                ack_policy=AckPolicy.EXPLICIT,
                deliver_policy=DeliverPolicy.ALL if position is None else DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=position,
            ),
        )
        print(f"{made.name}: {made.num_pending} messages wait under {', '.join(filters)}")
    finally:
        await nc.close()


if __name__ == "__main__":
    logging.getLogger("attorn").setLevel(logging.ERROR)  # that the connection ends, at the end, is no news
    filters = [word for word in sys.argv[2:] if not word.isdigit()]
    asyncio.run(main(sys.argv[1], filters, next((int(word) for word in sys.argv[2:] if word.isdigit()), None)))
