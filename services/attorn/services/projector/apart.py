"""Some views folded in a process of their own, and handed over: a long log is folded on two cores.

    python -m attorn.services.projector.apart --views FILE --until POSITION VIEW…

The views of `VIEWS`, with the directory that some of them look into, take as long to fold as all the others together.
So where a file of views is made from nothing and the log is long, the projector leaves them out, and a child folds them
into `<file>.apart`, from the first event to where the log ends just then. It is given the events as they are read, so
that nobody reads them twice, and needs no way to the log. Both are there at about the same time; then the rows are
copied, the directory is recalled, and the child's file is removed; until then no question is answered. Where the child
fails, the projector folds all that itself; a projector that dies before finds `<file>.apart` when it is back, and makes
both anew.
"""

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from attorn.contracts import codec
from attorn.contracts.envelope import Recorded
from attorn.contracts.ledger import Ledger
from attorn.projections.directory import Directory
from attorn.projections.store.sqlite import SQLiteViews, remove
from attorn.services import garbage, logs
from attorn.services.projector.project import BATCH, following, give_way, tell_of
from attorn.services.projector.views import views
from attorn.services.supervise.beside import Beside, beside

log = logging.getLogger("attorn.projector")

VIEWS: Final = frozenset({"activity", "controls", "delegations", "findings"})
"""Such that they take as long as all the others with their indexes."""

EVENTS_MIN: Final = 20_000
"""Of fewer events a second process does not pay: they are folded by the time that it has begun."""

STALLED_S: Final = 30.0
"""A child that says nothing for so long, while it is waited for, is given up."""

PAGES_AHEAD: Final = 32
"""So many pages are read ahead of what the child takes."""

_LENGTH: Final = 4
_decoder: Final = msgspec.msgpack.Decoder(list[tuple[int, datetime, str, bytes]])


def filling(ledger: Ledger, path: str, head: int) -> "Filling | None":
    """The views of `VIEWS`, folded from `ledger` for the file `path`; None where that does not pay."""
    return Filling(ledger, f"{path}.apart", head, VIEWS) if head >= EVENTS_MIN and _cores() > 1 else None


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


class Filling:
    """A child that folds `views` up to the position `until` into the file `path`; `position` is how far it is.

    Where it fails, or says nothing any more, they are folded here, from `ledger`: that takes longer, and is the same.
    """

    def __init__(self, ledger: Ledger, path: str, until: int, views: frozenset[str]) -> None:
        self.path = path
        self.until = until
        self.views = views
        self.position = 0
        self.child: Beside | None = None
        self._ledger = ledger
        self._running: asyncio.Task[int] | None = None
        self._begun = asyncio.Event()
        self._giving = ThreadPoolExecutor(1, "give")
        self._given: deque[asyncio.Future[None]] = deque()
        self._write: Callable[[bytes], None] | None = None

    def start(self) -> None:
        remove(self.path)
        # While it is there, the file that it is for is not whole; that is known before anything is in either.
        Path(self.path).touch(mode=0o600)
        self._running = asyncio.create_task(self._run(), name="fold apart")

    async def take(self, page: Sequence[Recorded]) -> None:
        """Give it the next events; returns when it is not far behind. One that has ended misses them."""
        assert self._running is not None, "not started"
        if self.child is None:
            begun = asyncio.create_task(self._begun.wait())
            await asyncio.wait((begun, self._running), return_when=asyncio.FIRST_COMPLETED)
            begun.cancel()
        if self._write is not None and not self._running.done():
            giving = asyncio.get_running_loop().run_in_executor(self._giving, self._write, framed(page))
            giving.add_done_callback(_taken_note_of)
            self._given.append(giving)
            await self._catch_up(PAGES_AHEAD)

    async def finished(self) -> None:
        """Return when all is in the file. Raises what reading the log raises, when they are folded here."""
        assert self._running is not None, "not started"
        await self._catch_up(0)
        heard = -1
        while not self._running.done() and heard < self.position:
            heard = self.position
            await asyncio.wait((self._running,), timeout=STALLED_S)
        await self._stop(self._running)
        if self._running.cancelled() or self._running.exception() is not None or self._running.result() != 0:
            said = {"views": sorted(self.views), "position": self.position}
            log.error("the process that folds some views has failed: they are folded by this one", extra=said)
            remove(self.path)
            await _fold_here(self._ledger, Path(self.path), self.until, self.views, self._hear)

    async def end(self) -> None:
        """End the child, if it runs, and remove its file."""
        if self._running is not None:
            await self._stop(self._running)
        self._giving.shutdown(wait=False, cancel_futures=True)
        remove(self.path)

    async def _run(self) -> int:
        arguments = ("--views", self.path, "--until", str(self.until), *sorted(self.views))
        async with beside(__name__, arguments) as child:

            def write(frame: bytes) -> None:
                child.given.write(frame)
                child.given.flush()

            self.child, self._write = child, write
            self._begun.set()
            async for line in child.said():
                self._hear(int(line))
            return await child.wait()

    def _hear(self, position: int) -> None:
        self.position = position

    async def _catch_up(self, pages: int) -> None:
        """Return when no more than so many pages wait to be given. A child that takes nothing any more is given up."""
        while len(self._given) > pages:
            giving = self._given.popleft()
            done, _ = await asyncio.wait((giving,), timeout=STALLED_S)
            if not done or giving.cancelled() or giving.exception() is not None:
                self._write = None
                assert self._running is not None
                await self._stop(self._running)  # then nobody writes for ever, either

    async def _stop(self, running: "asyncio.Task[int]") -> None:
        running.add_done_callback(_taken_note_of)
        running.cancel()
        await asyncio.wait((running,))


def _taken_note_of(ended: "asyncio.Future[Any]") -> None:
    # Who waits for it hears of its failure; nobody does once the child is given up, or the projector ends.
    _ = ended.cancelled() or ended.exception()


async def _fold_here(
    ledger: Ledger, path: Path, until: int, names: Collection[str], tell: Callable[[int], None]
) -> None:
    store = _open(path, names)
    try:
        async with following(ledger, 0) as pages:
            async for page in pages:
                for start in range(0, len(page.recorded), BATCH):
                    some = page.recorded[start : min(start + BATCH, until - store.position + start)]
                    tell_of(store.apply(some, later=True))
                    tell(store.position)
                    await give_way()
                if store.position >= until:
                    store.remember()
                    return
    finally:
        store.close()


def _open(path: Path, names: Collection[str]) -> SQLiteViews:
    directory = Directory()
    # A file that is lost with the machine is made anew: nothing of it need be on the disk before it is read.
    return SQLiteViews(path, [v for v in views(directory) if v.NAME in names], directory, scratch=True)


# ---- how events are given on: pages in MessagePack, each behind its length


def framed(page: Sequence[Recorded]) -> bytes:
    """A page as it is written to the child."""
    body = msgspec.msgpack.encode([(each.position, each.recorded_at, each.event.subject, each.body) for each in page])
    return len(body).to_bytes(_LENGTH, "big") + body


def pages(given: BinaryIO) -> Iterator[list[Recorded]]:
    """The pages that `framed` has written, until there are no more."""
    while length := given.read(_LENGTH):
        found = _decoder.decode(given.read(int.from_bytes(length, "big")))
        yield [Recorded(position, at, codec.decode(body, stream, at), body) for position, at, stream, body in found]


# ---- the child


def fold(given: BinaryIO, path: Path, until: int, names: Collection[str], tell: Callable[[int], None]) -> bool:
    """Fold the views of those names into the new file `path`; whether all came, up to the position `until`."""
    store = _open(path, names)
    try:
        for page in pages(given):
            tell_of(store.apply(page, later=True))
            tell(store.position)
            if store.position >= until:
                break
        store.remember()
        return store.position == until
    finally:
        store.close()


def main(arguments: Sequence[str]) -> int:
    options = dict(zip(arguments[:4:2], arguments[1:4:2], strict=True))
    logs.configure(None)
    os.umask(0o077)
    garbage.look_seldom()
    path, until = Path(options["--views"]), int(options["--until"])
    try:
        whole = fold(sys.stdin.buffer, path, until, arguments[4:], lambda position: print(position, flush=True))
    except Exception as error:
        log.error("views not folded apart", extra={"reason": str(error) or type(error).__name__})
        return 1
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
