"""The projector process: views of the log in a SQLite file, kept at its end, and asked about on `attorn.q.<view>`.

    python -m attorn.services.projector.main --nats-url nats://127.0.0.1:4222 --views .attorn/views.sqlite

`--nats` is short for `--nats-url`; `--data DIR` instead of `--views` means DIR/views.sqlite. Says READY on standard
output once it answers, which may be before the views have caught up. Ends on SIGTERM, between two transactions.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from attorn.contracts.refusal import Unavailable
from attorn.projections.store.sqlite import Gap
from attorn.services import connection, logs
from attorn.services.ledger.follow import LogDamaged
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.projector import compose
from attorn.services.projector.changes import telling
from attorn.services.projector.project import Compose, LogWentBack, open_views
from attorn.services.projector.rebuild import Maintenance
from attorn.services.query.app import Questions, answering

USAGE: Final = "usage: python -m attorn.services.projector.main [--nats-url URL] (--views FILE | --data DIRECTORY)"

log = logging.getLogger("attorn.projector")


def now() -> datetime:
    return datetime.now(UTC)


async def run(nats_url: str, path: Path, views: Compose, questions: Questions) -> None:
    """Project and answer until told to stop."""
    stop = asyncio.Event()
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
        opening = asyncio.create_task(open_views(ledger, path, views))
        if not await _either(opening, stop):
            return
        projector = opening.result()
        maintenance = Maintenance(projector, now)
        try:
            async with answering(nc, projector, maintenance, questions, now, compose.LONG):
                if projector.store.missing:
                    maintenance.start("rebuild")
                named = [f"{view.NAME} v{view.VERSION}" for view in projector.store.views]
                log.info("projector ready", extra={"position": projector.position, "views": named, "file": str(path)})
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


def _run(process: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(process)
    else:
        uvloop.run(process)


def main(arguments: Sequence[str], views: Compose = compose.views, questions: Questions = compose.QUESTIONS) -> int:
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    nats_url = options.pop("--nats-url", None) or options.pop("--nats", None)
    data, file = options.pop("--data", None), options.pop("--views", None)
    if options or len(arguments) % 2 or (data is None and file is None):
        print(USAGE, file=sys.stderr)
        return 2
    logs.configure()
    path = Path(file) if file is not None else Path(data or "", "views.sqlite")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.umask(0o077)
    # What is imported stays: a collection need not look at it again with every page of events. What a page leaves behind
    # has no cycles and goes by itself; looking for some after every 700 objects would take a tenth of a replay.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    # While another thread answers a long question, the loop gets its turn after this time, not after five milliseconds.
    sys.setswitchinterval(0.000_5)
    try:
        _run(run(nats_url or "nats://127.0.0.1:4222", path, views, questions))
    except (LogWentBack, LogDamaged, Gap, Unavailable, OSError) as error:
        log.error("projector cannot go on", extra={"reason": str(error)})
        return 1
    except Exception:
        log.exception("projector failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
