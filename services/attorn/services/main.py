"""The services process: every command door, both fact doors and the relay, as one FastStream application.

    python -m attorn.services.main --nats-url nats://127.0.0.1:4222

Says READY on standard output once it answers. Ends on SIGTERM, with what it has begun answered.
"""

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from faststream import FastStream
from faststream.nats import NatsBroker
from faststream.nats.security import NatsNKey, NatsSecurity, NatsUserPassword
from faststream.nats.subscriber.usecases import CoreSubscriber
from nats.aio.subscription import Subscription

from attorn.client.login import login
from attorn.contracts import subjects
from attorn.contracts.refusal import Unavailable, Unreadable
from attorn.services import connection, expressions, garbage, health, logs, loop, metrics, traces
from attorn.services.about import about, attorn_version
from attorn.services.claim import app as claim
from attorn.services.decision import app as decision
from attorn.services.delegation import app as delegation
from attorn.services.dependency import app as dependency
from attorn.services.dependency import reactor
from attorn.services.directory import LiveDirectory
from attorn.services.escalation import app as escalation
from attorn.services.execution import app as execution
from attorn.services.finding import app as finding
from attorn.services.handover import app as handover
from attorn.services.intake import app as intake
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.wire import Wire
from attorn.services.measured import MeasuredLedger
from attorn.services.outcome import app as outcome
from attorn.services.output import app as output
from attorn.services.participant import app as participant
from attorn.services.policy import app as policy
from attorn.services.process import app as process
from attorn.services.relay import app as relay
from attorn.services.review import app as review
from attorn.services.rulebook import RULES
from attorn.services.source import app as source
from attorn.services.status import Standing, answering
from attorn.services.transact import Streams
from attorn.services.work import app as work

log = logging.getLogger("attorn.services")

SLICES = (
    participant,
    source,
    policy,
    process,
    outcome,
    work,
    dependency,
    handover,
    claim,
    finding,
    delegation,
    execution,
    output,
    decision,
    review,
    escalation,
)
DRAIN_S = 0.6


def now() -> datetime:
    """The clock of the doors; nothing that folds has one."""
    return datetime.now(UTC)


async def run(nats_url: str, metrics_at: health.Address | None = None) -> None:
    """Serve until told to stop; what is measured is served at `metrics_at`."""
    started_at = now()
    ledger_connection = await connection.connect(nats_url, "attorn services ledger", lambda e: jetstream.on_error(e))
    jetstream = JetStreamLedger(ledger_connection)
    ledger = MeasuredLedger(jetstream)
    relay_connection = await connection.connect(nats_url, "attorn relay")
    progress = relay.Progress()
    standing = Standing(ledger, progress, partial(about, "services", ledger_connection, started_at))
    async with AsyncExitStack() as stack:
        if metrics_at is not None:
            metrics.listen_to_ledgers()
            stack.enter_context(health.serving(metrics_at, standing.checks, standing.sample))
            await stack.enter_async_context(metrics.watching_the_loop())
        directory = await stack.enter_async_context(LiveDirectory(ledger).following())
        group = await stack.enter_async_context(asyncio.TaskGroup())
        streams = Streams(ledger, RULES, directory)
        broker = doors(nats_url)
        for slice_ in SLICES:
            slice_.build(broker, streams, now)
        quarantine = intake.Quarantine(ledger_connection)
        intake.build(broker, streams, quarantine, now)
        tasks = [
            group.create_task(intake.take_in(ledger_connection, streams, quarantine), name="intake"),
            group.create_task(relay.run(ledger, relay_connection, progress), name="relay"),
            group.create_task(reactor.run(streams, now), name="dependencies"),
        ]
        app = FastStream(broker, logger=None)

        @app.after_startup
        async def ready() -> None:
            # Who is told READY may ask at once: the server has to know of the subscriptions by then.
            await broker.connection.flush(10)
            # Wires of its own: whoever looks whether the broker answers waits for nobody else's answer.
            standing.begin(directory, Wire(ledger_connection), Wire(broker.connection))
            await stack.enter_async_context(answering(ledger_connection, standing.status))
            heard = [subjects.commands("*.*"), "attorn.fact.*", "attorn.in.*"]
            said = {"subjects": heard, "stream": subjects.LOG, "position": await ledger.last()}
            log.info("services ready", extra=said | {"version": attorn_version(), "slices": len(SLICES)})
            print("READY", flush=True)

        @app.on_shutdown
        async def drain() -> None:
            # FastStream drops requests that wait in its queue; those that were delivered are answered first.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await drain_requests(broker)

        await app.run()
        for task in tasks:
            task.cancel()
    await ledger_connection.close()
    await relay_connection.close()


def doors(nats_url: str) -> NatsBroker:
    """The connection on which commands and facts come in."""
    who = login(nats_url)
    security: NatsSecurity | None = None
    # FastStream has words of its own for who one is, and takes the rest as nats-py does.
    if (seed := who.pop("nkeys_seed", None)) is not None:
        security = NatsNKey.from_file(seed)
    elif (user := who.pop("user", None)) is not None:
        security = NatsUserPassword(user, who.pop("password"))
    return NatsBroker(
        nats_url,
        name="attorn services",
        logger=logs.quiet("faststream"),
        apply_types=False,
        security=security,
        **connection.OPTIONS,
        **who,
    )


async def drain_requests(broker: NatsBroker) -> None:
    """Stop taking requests, and answer those that have been delivered."""
    drains: list[Awaitable[None]] = []
    for subscriber in broker.subscribers:
        # Requests only: what is stored on a stream waits there for the next process.
        if isinstance(subscriber, CoreSubscriber) and isinstance(subscriber.subscription, Subscription):
            drain: Callable[[], Awaitable[None]] = subscriber.subscription.drain
            drains.append(drain())
            subscriber.subscription = None
    await asyncio.gather(*drains, return_exceptions=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="attorn services", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nats-url", default="nats://127.0.0.1:4222")
    parser.add_argument("--data", default=None, help="the data directory; the services keep nothing in it")
    parser.add_argument("--metrics", default=None, metavar="HOST:PORT", help="say over HTTP how it is")
    parser.add_argument("--log-format", default=None, metavar="FORMAT", help="text or json")
    options = parser.parse_args(arguments)
    try:
        logs.configure(options.log_format)
        where = health.address(options.metrics) if options.metrics is not None else None
        traces.configure("services")
    except (Unreadable, Unavailable) as wrong:
        print(f"services: {wrong}", file=sys.stderr)
        return 2
    garbage.look_seldom()
    expressions.parse("true")  # loaded now, and not while somebody waits for the first answer
    try:
        loop.run(run(options.nats_url, where))
    except KeyboardInterrupt:
        return 130
    except Unavailable as unavailable:
        log.error("services cannot go on", extra={"reason": unavailable.reason})
        return 1
    except Exception:
        log.exception("services failed")
        return 1
    finally:
        traces.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
