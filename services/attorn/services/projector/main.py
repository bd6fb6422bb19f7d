"""The projector process: views of the log in a SQLite file, kept at its end, and asked about on `attorn.q.<view>`.

    python -m attorn.services.projector.main --nats-url nats://127.0.0.1:4222 --views .attorn/views.sqlite

`--nats` is short for `--nats-url`; `--data DIR` instead of `--views` means DIR/views.sqlite. `--metrics HOST:PORT` says
over HTTP how it is, `--log-format json` makes its log one for programs. Says READY on standard output once it answers,
which may be before the views have caught up. Ends on SIGTERM, between two transactions.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from attorn.contracts import subjects
from attorn.contracts.refusal import Unavailable, Unreadable
from attorn.projections.store.sqlite import Gap
from attorn.services import connection, garbage, health, logs, loop, metrics, traces
from attorn.services.about import about, attorn_version
from attorn.services.ledger.follow import LogDamaged
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.wire import Wire
from attorn.services.projector import apart, compose, readiness
from attorn.services.projector.changes import telling
from attorn.services.projector.project import Compose, LogWentBack, open_views
from attorn.services.projector.rebuild import Maintenance
from attorn.services.query import item
from attorn.services.query.app import Questions, answering

USAGE: Final = (
    "usage: python -m attorn.services.projector.main [--nats-url URL] (--views FILE | --data DIRECTORY)"
    " [--metrics HOST:PORT] [--log-format text|json]"
)

log = logging.getLogger("attorn.projector")


def now() -> datetime:
    return datetime.now(UTC)


async def run(
    nats_url: str, path: Path, views: Compose, questions: Questions, metrics_at: health.Address | None = None
) -> None:
    """Project and answer until told to stop; what it measures is served at `metrics_at`."""
    stop, started_at = asyncio.Event(), now()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connecting = asyncio.create_task(
        connection.connect(nats_url, "attorn projector", lambda error: ledger.on_error(error))
    )
    if not await _either(connecting, stop):
        return  # there was no server yet
    nc = connecting.result()
    ledger = JetStreamLedger(nc)
    try:
        fill = partial(apart.filling, ledger) if views is compose.views else None
        opening = asyncio.create_task(open_views(ledger, path, views, fill))
        if not await _either(opening, stop):
            return
        projector = opening.result()
        maintenance = Maintenance(projector, now)
        try:
            async with AsyncExitStack() as stack:
                own = partial(about, "projector", nc, started_at)
                desk = await stack.enter_async_context(
                    answering(nc, projector, maintenance, questions, now, compose.LONG, own, item.QUESTIONS)
                )
                # A wire of its own: whoever looks whether the broker answers waits for nobody else's answer.
                checks = readiness.checks(projector, Wire(nc), now)
                stack.enter_context(health.serving(metrics_at, checks, readiness.sample(desk.status)))
                if metrics_at is not None:
                    await stack.enter_async_context(metrics.watching_the_loop())
                if projector.store.missing and projector.filling is None:
                    maintenance.start("rebuild")
                said = {
                    "subjects": [subjects.query(">")],
                    "stream": subjects.LOG,
                    "position": projector.position,
                    "version": attorn_version(),
                    "views": [f"{view.NAME} v{view.VERSION}" for view in projector.store.views],
                    "file": str(path),
                }
                log.info("projector ready", extra=said)
                print("READY", flush=True)
                following = asyncio.create_task(projector.follow(telling(nc)), name="follow")
                if await _either(following, stop):
                    following.result()
                await maintenance.stop()
        finally:
            await maintenance.stop()
            log.info("projector ends", extra={"position": projector.position})
            projector.close()
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await nc.close()


async def _either(task: "asyncio.Task[object]", stop: asyncio.Event) -> bool:
    """Wait for the end of `task` or for `stop`, then end both; whether it was the task."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
    has_ended = task.done()
    for each in (task, stopping):
        each.cancel()
    await asyncio.wait((task, stopping))
    return has_ended


def main(arguments: Sequence[str], views: Compose = compose.views, questions: Questions = compose.QUESTIONS) -> int:
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    nats_url = options.pop("--nats-url", None) or options.pop("--nats", None)
    data, file = options.pop("--data", None), options.pop("--views", None)
    metrics_at, log_format = options.pop("--metrics", None), options.pop("--log-format", None)
    if options or len(arguments) % 2 or (data is None and file is None):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        logs.configure(log_format)
        where = health.address(metrics_at) if metrics_at is not None else None
        traces.configure("projector")
    except (Unreadable, Unavailable) as wrong:
        print(f"projector: {wrong}", file=sys.stderr)
        return 2
    path = Path(file) if file is not None else Path(data or "", "views.sqlite")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.umask(0o077)
    garbage.look_seldom()
    # While another thread answers a long question, the loop gets its turn after this time, not after five milliseconds.
    sys.setswitchinterval(0.000_5)
    try:
        loop.run(run(nats_url or "nats://127.0.0.1:4222", path, views, questions, where))
    except (LogWentBack, LogDamaged, Gap, Unavailable, OSError) as error:
        log.error("projector cannot go on", extra={"reason": str(error)})
        return 1
    except Exception:
        log.exception("projector failed")
        return 1
    finally:
        traces.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
