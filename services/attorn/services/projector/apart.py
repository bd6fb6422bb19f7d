"""Some views folded in a process of their own, and handed over: a long log is folded on two cores.

    python -m attorn.services.projector.apart --nats-url URL --views FILE --until POSITION VIEW…

The views of `VIEWS` take as long to fold as all the others together. So where a file of views is made from
nothing and the log is long, the projector leaves them out, and has a child fold them into `<file>.apart`, from the
first event on to where the log ends just then. Both are there at about the same time; then the rows are copied, and the
child's file is removed. A projector that dies before finds those views missing when it is back, and makes a new file.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from attorn.contracts.refusal import Unavailable
from attorn.projections.directory import Directory
from attorn.projections.store.sqlite import SQLiteViews, remove
from attorn.services import connection, garbage, logs, loop
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.projector import compose
from attorn.services.projector.project import BATCH, following
from attorn.services.supervise import beside

log = logging.getLogger("attorn.projector")

VIEWS: Final = frozenset({"activity", "controls", "findings"})
"""Such that they take a little longer than all the others, whose indexes are made meanwhile."""

EVENTS_MIN: Final = 20_000
"""Of fewer events a second process does not pay: they are folded by the time that it has begun."""


def filling(nats_url: str, path: str, head: int) -> "Filling | None":
    """The views of `VIEWS`, folded from the log behind `nats_url` for the file `path`; None where that does not pay."""
    pays = head >= EVENTS_MIN and len(os.sched_getaffinity(0)) > 1
    return Filling(nats_url, f"{path}.apart", head, VIEWS) if pays else None


class Filling:
    """A child that folds `views` up to the position `until` into the file `path`; `position` is how far it is."""

    def __init__(self, nats_url: str, path: str, until: int, views: frozenset[str]) -> None:
        self.path = path
        self.until = until
        self.views = views
        self.position = 0
        self.pid: int | None = None
        self._nats_url = nats_url
        self._running: asyncio.Task[int] | None = None

    def start(self) -> None:
        remove(self.path)  # what a process that was killed has left
        self._running = asyncio.create_task(self._run(), name="fold apart")

    async def finished(self) -> None:
        """Return when all is in the file. Raises Unavailable when the child has failed; it has said why."""
        assert self._running is not None, "not started"
        status = await asyncio.shield(self._running)
        if status != 0:
            raise Unavailable(f"the process that folds {', '.join(sorted(self.views))} ended with status {status}")

    async def end(self) -> None:
        """End the child, if it runs, and remove its file."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))
        remove(self.path)

    async def _run(self) -> int:
        where = ("--nats-url", self._nats_url, "--views", self.path, "--until", str(self.until))
        return await beside.run(__name__, (*where, *sorted(self.views)), self._hear, self._begun)

    def _hear(self, line: str) -> None:
        self.position = int(line)

    def _begun(self, pid: int) -> None:
        self.pid = pid


async def fold(nats_url: str, path: Path, until: int, names: Collection[str]) -> None:
    """Fold the views of those names into the new file `path`, from the first event on; say on the way how far it is."""
    nc = await connection.connect(nats_url, "attorn projector, apart")
    directory = Directory()
    views = [view for view in compose.views(directory) if view.NAME in names]
    # A file that is lost with the machine is made anew: nothing of it need be on the disk before it is read.
    store = SQLiteViews(path, views, directory, scratch=True)
    try:
        async with following(JetStreamLedger(nc), 0) as pages:
            async for page in pages:
                recorded = page.recorded
                for start in range(0, len(recorded), BATCH):
                    some = recorded[start : min(start + BATCH, until - store.position + start)]
                    store.apply(some, later=True)
                    print(store.position, flush=True)
                if store.position >= until:
                    return
    finally:
        store.close()
        await nc.close()


def main(arguments: Sequence[str]) -> int:
    options = dict(zip(arguments[:6:2], arguments[1:6:2], strict=True))
    logs.configure(None)
    os.umask(0o077)
    garbage.look_seldom()
    try:
        loop.run(fold(options["--nats-url"], Path(options["--views"]), int(options["--until"]), arguments[6:]))
    except Exception as error:
        log.error("views not folded apart", extra={"reason": str(error) or type(error).__name__})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
