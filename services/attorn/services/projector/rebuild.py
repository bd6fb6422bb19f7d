"""Folding the views anew beside those that serve: to take their place, or only to see whether they are right.

A rebuild folds into `<path>.next` from the first event on. Once that has caught up, the two are compared at equal
position, and the file is put in the place of the old one between two pages. Whenever this ends too early, the old file
is as it was.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal, TypeAlias

from attorn.contracts.envelope import Recorded
from attorn.contracts.ledger import Page
from attorn.projections.directory import VERSION, Directory
from attorn.projections.store import remembered
from attorn.projections.store.sqlite import MEMORY, Snapshot, SQLiteViews, remove
from attorn.services.projector.project import (
    BATCH,
    Filling,
    Projector,
    adopt,
    folded_apart,
    following,
    give_way,
    index,
    pinned,
    secure,
    tell_of,
)
from attorn.services.projector.status import Comparison, Job

Kind: TypeAlias = Literal["rebuild", "verify"]

log = logging.getLogger("attorn.projector")


class Busy(Exception):
    """Only one fold runs beside the serving one."""


async def rebuild(projector: Projector, job: Job) -> None:
    """Fold the views anew and go on with the result, whatever the old ones said: the log is right."""
    async with _refolding(projector, ".next", job) as refold:
        await refold.to(lambda: projector.position)
        await refold.index()
        await refold.to(lambda: projector.position)
        # Nothing is awaited before both are pinned, so they are of the same position.
        with projector.store.snapshot() as old, refold.store.snapshot() as new:
            live, rebuilt = _pinned(projector.store), _pinned(refold.store)
            job.views = (*await _compare(old, new), await _compare_directories(await _directory_digest(live), rebuilt))
        # Whoever reads the old file in another thread would be in the way.
        async with projector.unasked():
            await refold.to(lambda: projector.position)
            projector.replace(refold.store)


async def verify(projector: Projector, job: Job) -> None:
    """Fold the views anew up to where they are now, compare, and forget the result."""
    with projector.store.snapshot() as old:
        position = old.position
        live = await _directory_digest(_pinned(projector.store))
        async with _refolding(projector, ".verify", job, scratch=True) as refold:
            await refold.to(lambda: position)
            with refold.store.snapshot() as new:
                rebuilt = _pinned(refold.store)
                job.views = (*await _compare(old, new), await _compare_directories(live, rebuilt))


class Maintenance:
    """Runs one rebuild or verification at a time, beside the loop; `jobs` are the last of each kind."""

    def __init__(self, projector: Projector, clock: Callable[[], datetime]) -> None:
        self.jobs: dict[Kind, Job] = {}
        self._projector = projector
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._running: Job | None = None

    def start(self, kind: Kind) -> Job:
        """Begin, or join what runs already. Raises Busy while the other kind runs, and while there is nothing yet."""
        if self._projector.filling is not None:
            raise Busy(f"the views are folded for the first time; ask for a {kind} when that has ended")
        if self._running is not None:
            if self._running.kind != kind:
                raise Busy(f"a {self._running.kind} is running; ask again when it has ended")
            return self._running
        job = self._running = self.jobs[kind] = Job(kind=kind, started_at=self._clock())
        self._task = asyncio.create_task(self._run(job), name=kind)
        return job

    async def wait(self, job: Job, timeout: float) -> Job:
        """The job when it has ended, or as it is after `timeout` seconds."""
        if self._task is not None and job is self._running and timeout > 0:
            await asyncio.wait([self._task], timeout=timeout)
        return job

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, job: Job) -> None:
        try:
            await (rebuild if job.kind == "rebuild" else verify)(self._projector, job)
            job.state = "done"
            for found in job.views:
                if not found.equal:
                    log.error("view differs from the log", extra={"view": found.view, "position": found.position})
            log.info("views folded anew", extra={"kind": job.kind, "position": job.position})
        except Exception as error:
            job.state, job.error = "failed", str(error) or type(error).__name__
            log.exception("folding anew failed", extra={"kind": job.kind})
        finally:
            job.ended_at = self._clock()
            self._running = None


class _Refold:
    """A second fold of the same log."""

    def __init__(self, store: SQLiteViews, pages: AsyncIterator[Page], job: Job, filling: Filling | None) -> None:
        self.store = store
        self._pages = pages
        self._job = job
        self._filling = filling
        self._ahead: Sequence[Recorded] = ()

    async def to(self, target: Callable[[], int]) -> None:
        """Fold on until the store is at `target()`, which it never passes; on return it is there at that moment."""
        while True:
            # To where the views that are folded apart end, and on from there with all of them.
            behind = (target() if self._filling is None else self._filling.until) - self.store.position
            if behind <= 0 and self._filling is None:
                return
            if behind <= 0:
                await self._adopt()
                continue
            self._job.target = target()
            if not self._ahead:
                self._ahead = (await anext(self._pages)).recorded
                continue
            some, self._ahead = self._ahead[: min(BATCH, behind)], self._ahead[min(BATCH, behind) :]
            if self._filling is not None:
                await self._filling.take(some)
            tell_of(self.store.apply(some, later=True))
            self._job.position = self.store.position
            await give_way()

    async def _adopt(self) -> None:
        assert self._filling is not None
        await self._filling.finished()
        await adopt(self.store, self._filling.path)
        self._filling = None
        await secure(self.store)

    async def index(self) -> None:
        """Make the indexes, all at once, and while the serving fold goes on."""
        await index(self.store)


@asynccontextmanager
async def _refolding(projector: Projector, suffix: str, job: Job, *, scratch: bool = False) -> AsyncIterator[_Refold]:
    """A fold from the first event on, in a file beside the views; the file is gone afterwards, unless it took over."""
    live = projector.store.path
    path = live if live == MEMORY else f"{live}{suffix}"
    if path != MEMORY:
        remove(path)  # what a process that was killed has left
    directory = Directory()
    filling = projector.fill(path, projector.position) if projector.fill is not None and path != MEMORY else None
    apart = filling.views if filling is not None else ()
    store = SQLiteViews(path, projector.compose(directory), directory, scratch=scratch, indexed=False, apart=apart)
    try:
        async with following(projector.ledger, 0) as pages, folded_apart(filling):
            yield _Refold(store, pages, job, filling)
    finally:
        if projector.store is not store:
            store.close()
            if path != MEMORY:
                remove(path)


async def _compare(old: Snapshot, new: Snapshot) -> tuple[Comparison, ...]:
    assert old.position == new.position, (old.position, new.position)
    both = {(view.NAME, view.VERSION) for view in old.views}
    found = []
    for view in new.views:
        if (view.NAME, view.VERSION) in both:
            live, rebuilt = await _digest(old.digesting(view.NAME)), await _digest(new.digesting(view.NAME))
            found.append(
                Comparison(
                    view=view.NAME,
                    version=view.VERSION,
                    position=new.position,
                    live=live,
                    rebuilt=rebuilt,
                    equal=live == rebuilt,
                )
            )
    return tuple(found)


def _pinned(store: SQLiteViews) -> Directory:
    assert store.directory is not None and store.directory.position == store.position, store.path
    return pinned(store.directory)


async def _directory_digest(directory: Directory) -> str:
    return await _digest(remembered.digesting(directory))


async def _compare_directories(live: str, new: Directory) -> Comparison:
    """The directory is kept from one start to the next as the rows are, and can be as wrong as they."""
    rebuilt = await _directory_digest(new)
    return Comparison(view="directory", version=VERSION, position=new.position, live=live, rebuilt=rebuilt,
                      equal=live == rebuilt)  # fmt: skip


async def _digest(steps: Generator[None, None, str]) -> str:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value)
        await asyncio.sleep(0)
