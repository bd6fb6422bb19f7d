"""Some views folded in a process of their own, and handed over: a long log is folded on two cores.

    python -m attorn.services.projector.apart --nats-url URL --views FILE --until POSITION VIEW…

The views of `VIEWS` take as long to fold as all the others together. So where a file of views is made from nothing and
the log is long, the projector leaves them out, and has a child fold them into `<file>.apart`, from the first event to
where the log ends just then. Both are there at about the same time; then the rows are copied, and the child's file is
removed. Where the child fails, the projector folds them itself; a projector that dies before finds those views missing
when it is back, and makes a new file.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from attorn.contracts.ledger import Ledger
from attorn.projections.directory import Directory
from attorn.projections.store.sqlite import SQLiteViews, remove
from attorn.services import connection, garbage, logs, loop
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.projector import compose
from attorn.services.projector.project import BATCH, following, give_way, tell_of
from attorn.services.supervise import beside

log = logging.getLogger("attorn.projector")

VIEWS: Final = frozenset({"activity", "controls", "findings"})
"""Such that they take a little longer than all the others, whose indexes are made meanwhile."""

EVENTS_MIN: Final = 20_000
"""Of fewer events a second process does not pay: they are folded by the time that it has begun."""


STALLED_S: Final = 30.0
"""A child that says nothing for so long, after the other views are folded, is given up."""


def filling(ledger: Ledger, nats_url: str, path: str, head: int) -> "Filling | None":
    """The views of `VIEWS`, folded from the log behind `nats_url` for the file `path`; None where that does not pay."""
    pays = head >= EVENTS_MIN and _cores() > 1
    return Filling(ledger, nats_url, f"{path}.apart", head, VIEWS) if pays else None


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


class Filling:
    """A child that folds `views` up to the position `until` into the file `path`; `position` is how far it is.

    Where it fails, or says nothing any more, they are folded here, from `ledger`: that takes longer, and is the same.
    """

    def __init__(self, ledger: Ledger, nats_url: str, path: str, until: int, views: frozenset[str]) -> None:
        self.path = path
        self.until = until
        self.views = views
        self.position = 0
        self.pid: int | None = None
        self._ledger = ledger
        self._nats_url = nats_url
        self._running: asyncio.Task[int] | None = None

    def start(self) -> None:
        remove(self.path)
        self._running = asyncio.create_task(self._run(), name="fold apart")

    async def finished(self) -> None:
        """Return when all is in the file. Raises what reading the log raises, when they are folded here."""
        assert self._running is not None, "not started"
        heard = -1
        while not self._running.done() and heard < self.position:
            heard = self.position
            await asyncio.wait((self._running,), timeout=STALLED_S)
        await self._ended(self._running)
        if self._running.cancelled() or self._running.result() != 0:
            said = {"views": sorted(self.views), "position": self.position}
            log.error("the process that folds some views has failed: they are folded by this one", extra=said)
            remove(self.path)
            await fold(self._ledger, Path(self.path), self.until, self.views, self._hear)

    async def end(self) -> None:
        """End the child, if it runs, and remove its file."""
        if self._running is not None:
            await self._ended(self._running)
        remove(self.path)

    async def _ended(self, running: "asyncio.Task[int]") -> None:
        running.cancel()
        await asyncio.wait((running,))

    async def _run(self) -> int:
        where = ("--nats-url", self._nats_url, "--views", self.path, "--until", str(self.until))
        return await beside.run(
            __name__, (*where, *sorted(self.views)), lambda line: self._hear(int(line)), self._begun
        )

    def _hear(self, position: int) -> None:
        self.position = position

    def _begun(self, pid: int) -> None:
        self.pid = pid


async def fold(ledger: Ledger, path: Path, until: int, names: Collection[str], tell: Callable[[int], None]) -> None:
    """Fold the views of those names into the new file `path`, from the first event on; `tell` hears how far it is."""
    directory = Directory()
    views = [view for view in compose.views(directory) if view.NAME in names]
    # A file that is lost with the machine is made anew: nothing of it need be on the disk before it is read.
    store = SQLiteViews(path, views, directory, scratch=True)
    try:
        async with following(ledger, 0) as pages:
            async for page in pages:
                recorded = page.recorded
                for start in range(0, len(recorded), BATCH):
                    some = recorded[start : min(start + BATCH, until - store.position + start)]
                    tell_of(store.apply(some, later=True))
                    tell(store.position)
                    await give_way()
                if store.position >= until:
                    return
    finally:
        store.close()


async def child(nats_url: str, path: Path, until: int, names: Collection[str]) -> None:
    """The same, from the log behind `nats_url`; how far it is goes to standard output, a line each."""
    nc = await connection.connect(nats_url, "attorn projector, apart")
    try:
        await fold(JetStreamLedger(nc), path, until, names, partial(print, flush=True))
    finally:
        await nc.close()


def main(arguments: Sequence[str]) -> int:
    options = dict(zip(arguments[:6:2], arguments[1:6:2], strict=True))
    logs.configure(None)
    os.umask(0o077)
    garbage.look_seldom()
    try:
        loop.run(child(options["--nats-url"], Path(options["--views"]), int(options["--until"]), arguments[6:]))
    except Exception as error:
        log.error("views not folded apart", extra={"reason": str(error) or type(error).__name__})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
