"""The loop of the projector: the log is followed from the views' own position on, and folded into them page by page.

All of it runs in one thread. Between two pages, and only there, questions are answered and a rebuilt file takes the
place of the old one, so rows, directory and position are always those of the same event.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from attorn.contracts.envelope import Recorded
from attorn.contracts.ledger import Ledger, Page
from attorn.contracts.refusal import Unavailable
from attorn.projections import relations
from attorn.projections.directory import KINDS, Directory
from attorn.projections.fold import View
from attorn.projections.store.sqlite import Snapshot, SQLiteViews, evolve, take_over

BATCH: Final = 500
"""How many events are one transaction: some 20 to 40 ms, in which nothing else is done."""

HEAD_S_MAX: Final = 2.0

Compose: TypeAlias = Callable[[Directory], Sequence[View]]
"""Makes the views; those that look beyond their rows look into the directory that they are given here."""

log = logging.getLogger("attorn.projector")


class LogWentBack(Exception):
    """The log is not the one that the views are folded from: it ends before them, or has another event there."""

    def __init__(self, position: int, head: int) -> None:
        what = (
            f"the log ends at position {head}, and the views are at {position}"
            if head < position
            else f"the event at position {position} of the log is not the one that the views have there"
        )
        super().__init__(
            f"{what}: events were lost, or this is another log; "
            "restore the log, or remove the views' file to fold them anew from what there is"
        )
        self.position, self.head = position, head


class Lag(NamedTuple):
    """How far behind the log's end; each None while the log does not answer."""

    head: int | None
    events: int | None
    seconds: float | None


async def open_views(ledger: Ledger, path: str | Path, compose: Compose) -> "Projector":
    """The views in the file `path`, with the directory of the position where they are.

    Raises LogWentBack when they are not of this log, Unavailable when the log does not answer.
    """
    directory = Directory()
    store = SQLiteViews(path, compose(directory), directory)
    try:
        await _require_same_log(ledger, store)
        await fold_directory(ledger, directory, store.position)
    except BaseException:
        store.close()
        raise
    return Projector(ledger, store, compose)


class Projector:
    """Views that follow a ledger; `open_views` makes one."""

    def __init__(self, ledger: Ledger, store: SQLiteViews, compose: Compose) -> None:
        self.ledger = ledger
        self.store = store
        self.compose = compose
        self._ahead: Sequence[Recorded] = ()
        self._moved = asyncio.Event()

    @property
    def position(self) -> int:
        return self.store.position

    async def follow(self) -> None:
        """Fold what is recorded, and then what comes; ends by being cancelled, always between two transactions."""
        async with following(self.ledger, self.position) as pages:
            async for page in pages:
                self._ahead = page.recorded
                while self._ahead:
                    self._fold(self._ahead[:BATCH])
                    self._ahead = self._ahead[BATCH:]
                    await give_way()

    async def until(self, position: int, timeout: float) -> None:
        """Return once the views are at `position`; raises Unavailable when they are not after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while self.position < position:
                    await self._moved.wait()
        except TimeoutError:
            raise Unavailable(f"the views are at position {self.position}, and not yet at {position}") from None

    @contextmanager
    def reading(self) -> Iterator[tuple[Snapshot, Directory]]:
        """Rows and directory of one position. Nothing may be awaited inside the block."""
        assert self.store.directory is not None
        with self.store.reading() as rows:
            yield rows, self.store.directory

    def replace(self, rebuilt: SQLiteViews) -> None:
        """Go on with `rebuilt`, which is at the same position. Raises Unavailable when its file cannot take over."""
        assert rebuilt.position == self.position, (rebuilt.position, self.position)
        self.store = take_over(self.store, rebuilt)

    async def lag(self, now: datetime) -> Lag:
        try:
            async with asyncio.timeout(HEAD_S_MAX):
                head = await self.ledger.last()
                position, ahead = self.position, self._ahead
                if head <= position:
                    return Lag(head, 0, 0.0)
                # Where no page is at hand, the fold may be stuck: then the log itself knows what is waiting.
                oldest = ahead[0] if ahead else await _event(self.ledger, position + 1)
        except (TimeoutError, Unavailable):
            return Lag(None, None, None)
        return Lag(head, head - position, max(0.0, (now - oldest.recorded_at).total_seconds()))

    def close(self) -> None:
        self.store.close()

    def _fold(self, page: Sequence[Recorded]) -> None:
        poison = self.store.apply(page)
        if poison:
            first = poison[0]
            log.error(
                "event not taken in",
                extra={"view": first.view, "position": first.position, "error": first.error, "others": len(poison) - 1},
            )
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


async def give_way() -> None:
    """Between two pages: let those who ask, and whoever else folds, have their turn."""
    # From the socket to the answer and back, a request takes this many turns of the loop; were there but one for each
    # page, it would wait for as many pages.
    for _ in range(8):
        await asyncio.sleep(0)


@asynccontextmanager
async def following(ledger: Ledger, after: int, kinds: Sequence[str] = ()) -> AsyncIterator[AsyncIterator[Page]]:
    """`ledger.follow`, ended with the block and not when it happens to be collected."""
    pages = ledger.follow(after, kinds)
    try:
        yield pages
    finally:
        if isinstance(pages, AsyncGenerator):
            await pages.aclose()


async def fold_directory(ledger: Ledger, directory: Directory, position: int) -> None:
    """Fold `directory` from the first event up to `position`: participants and the like, and how items are related."""
    kinds = (*KINDS, *relations.KINDS)
    last = max(await asyncio.gather(*(ledger.last(kind) for kind in kinds))) if position else 0
    if last:
        async with following(ledger, 0, kinds) as pages:
            async for page in pages:
                for recorded in page.recorded:
                    if recorded.position <= position:
                        evolve(directory, recorded, [])
                if page.recorded and page.recorded[-1].position >= min(position, last):
                    break
    directory.position = position


async def _require_same_log(ledger: Ledger, store: SQLiteViews) -> None:
    head = await ledger.last()
    if head < store.position:
        raise LogWentBack(store.position, head)
    if store.position:
        there = await _event(ledger, store.position)
        if hashlib.sha256(there.body).hexdigest() != store.tip:
            raise LogWentBack(store.position, head)


async def _event(ledger: Ledger, position: int) -> Recorded:
    """The event at `position`, which is on the log."""
    async with following(ledger, position - 1) as pages:
        async for page in pages:
            if page.recorded:
                return page.recorded[0]
    raise AssertionError("following the log has no end")
