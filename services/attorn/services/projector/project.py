"""The loop of the projector: the log is followed from the views' own position on, and folded into them page by page.

All of it runs in one thread. Between two pages, and only there, questions are answered and a rebuilt file takes the
place of the old one, so rows, directory and position are always those of the same event. A question that may be long is
begun there too, and answered by another thread from rows and a directory that stay as they were.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from attorn.contracts.envelope import Recorded
from attorn.contracts.ledger import Ledger, Page
from attorn.contracts.refusal import Unavailable
from attorn.projections.directory import Directory
from attorn.projections.fold import View
from attorn.projections.store.sqlite import MEMORY, Poison, Snapshot, SQLiteViews, evolve, remove, take_over
from attorn.services import traces

BATCH: Final = 1_000
"""How many events are folded at once: some 20 to 50 ms, in which nothing else is done."""

FILLED: Final = 2_000
"""And how many while nobody can ask yet: each batch costs something by itself."""

LONG_QUESTIONS_MAX: Final = 2
"""How many long questions are answered at once; the others wait for their turn."""

HEAD_S_MAX: Final = 2.0
INTERRUPT_S_MAX: Final = 0.3

T = TypeVar("T")

Changes: TypeAlias = Sequence[tuple[View, Sequence[tuple[Any, Any]]]]
"""By view, the keys whose rows a page has changed, with the rows; None where one is gone."""

Tell: TypeAlias = Callable[[int, Changes], Awaitable[None]]
"""Is told of each page that is folded live: its last position, and what it has changed."""


class Filling(Protocol):
    """Some views that another process folds up to a position: see projector/apart.py."""

    @property
    def views(self) -> Collection[str]: ...
    @property
    def path(self) -> str: ...
    @property
    def until(self) -> int: ...
    @property
    def position(self) -> int: ...
    def start(self) -> None: ...
    async def take(self, page: Sequence[Recorded], /) -> None: ...
    async def finished(self) -> None: ...
    async def end(self) -> None: ...


Fill: TypeAlias = Callable[[str, int], Filling | None]
"""Given the file of the views and the last position of the log: how some are folded apart, where that pays."""

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


async def open_views(ledger: Ledger, path: str | Path, compose: Compose, fill: Fill | None = None) -> "Projector":
    """The views in the file `path`, with the directory of the position where they are.

    `fill` folds some of the views in a process of its own, where there is no file yet and that pays.
    Raises LogWentBack when they are not of this log, Unavailable when the log does not answer.
    """
    directory = Directory()
    if path != MEMORY:
        if Path(f"{path}.apart").exists():
            remove(path)  # who began to fill it did not come to the end
        for left in (".apart", ".next", ".next.apart", ".verify", ".verify.apart"):
            remove(f"{path}{left}")  # by a process that was killed
    is_new = path != MEMORY and not Path(path).exists()
    filling = fill(str(path), await ledger.last()) if fill is not None and is_new else None
    apart = filling.views if filling is not None else ()
    # Indexes are made when the end of the log is reached: all at once they cost a third of what they do row by row.
    store = SQLiteViews(path, compose(directory), directory, indexed=False, apart=apart)
    try:
        head = await _require_same_log(ledger, store)
        store.recall()
        await fold_directory(ledger, directory, store.position)
    except BaseException:
        store.close()
        raise
    if filling is not None:
        head = filling.until  # what comes later is news
    return Projector(ledger, store, compose, head, fill, filling)


class Projector:
    """Views that follow a ledger; `open_views` makes one."""

    def __init__(
        self,
        ledger: Ledger,
        store: SQLiteViews,
        compose: Compose,
        head: int,
        fill: Fill | None = None,
        filling: Filling | None = None,
    ) -> None:
        self.ledger = ledger
        self.store = store
        self.compose = compose
        self._ahead: Sequence[Recorded] = ()
        self._moved = asyncio.Event()
        self._head = head
        self._whole = asyncio.Event()
        self.fill = fill
        self.filling = filling
        self._is_secure = True
        self._turns = asyncio.Semaphore(LONG_QUESTIONS_MAX)
        self._threads = ThreadPoolExecutor(LONG_QUESTIONS_MAX, "question")

    @property
    def position(self) -> int:
        return self.store.position

    async def follow(self, tell: Tell | None = None) -> None:
        """Fold what is recorded, and then what comes; ends by being cancelled, always between two transactions.

        `tell` hears of what comes, never of what was there when the views were opened: that is a replay, and no news.
        """
        async with following(self.ledger, self.position) as pages, folded_apart(self.filling):
            if self.position >= self._head:
                await self._complete()
            async for page in pages:
                self._ahead = page.recorded
                while self._ahead:
                    is_news = self.position >= self._head
                    batch = BATCH if self.filling is None else FILLED
                    some = self._ahead[: batch if is_news else min(batch, self._head - self.position)]
                    self.store.changes = [] if is_news and tell is not None else None
                    if self.filling is not None:
                        await self.filling.take(some)
                    self._fold(some, later=not is_news)
                    self._ahead = self._ahead[len(some) :]
                    # What a crash, or an end, keeps from being told here is never told: the rows are in the file.
                    if tell is not None and self.store.changes:
                        await tell(self.position, self.store.changes)
                    if not is_news and self.position >= self._head:
                        await self._complete()
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

    async def asking(self, find: Callable[[Snapshot, Directory], T]) -> T:
        """What `find` finds in the rows and the directory of one position, in a thread, while the fold goes on."""
        async with self._turns:
            with self.store.snapshot() as rows:
                assert self.store.directory is not None
                directory = pinned(self.store.directory)
                found = asyncio.get_running_loop().run_in_executor(self._threads, find, rows, directory)
                try:
                    return await asyncio.shield(found)
                except asyncio.CancelledError:
                    # The thread has the rows: they are taken from it before they are closed.
                    rows.interrupt()
                    await asyncio.wait((found,), timeout=INTERRUPT_S_MAX)
                    raise

    @asynccontextmanager
    async def unasked(self) -> AsyncIterator[None]:
        """While the block runs, no long question is answered; those that are, are waited for."""
        async with AsyncExitStack() as turns:
            for _ in range(LONG_QUESTIONS_MAX):
                await turns.enter_async_context(self._turns)
            yield

    async def answerable(self, timeout: float) -> None:
        """Return when there is something to ask: where some views are folded apart, that is when all are there.

        Raises Unavailable when it is not so after `timeout` seconds.
        """
        if self.filling is None:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._whole.wait()
        except TimeoutError:
            done = f"{self.position:,} of {self._head:,} events are in them"
            raise Unavailable(f"the views are folded for the first time: {done}; ask again in a moment") from None

    async def whole(self) -> None:
        """Return once the views are where the log ended when they were opened: all of them, with their indexes."""
        await self._whole.wait()

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
        self._threads.shutdown(wait=False, cancel_futures=True)
        if not self._is_secure:
            self.store.secure()
        self.store.close()
        if self.filling is not None:
            remove(self.store.path)  # it is not whole, and the next fills it sooner by two processes than this one was

    async def _complete(self) -> None:
        await self._index()  # while another process still folds what it has to
        if self.filling is not None:
            await self.filling.finished()
            await adopt(self.store, self.filling.path)
            await self._index()
            filled, self.filling, self._is_secure = self.filling, None, False
            self._whole.set()
            await secure(self.store)
            self._is_secure = True
            await filled.end()
        self._whole.set()

    async def _index(self) -> None:
        async with self._turns:
            await index(self.store)

    def _fold(self, page: Sequence[Recorded], *, later: bool) -> None:
        began = time_ns() if traces.is_on() else 0
        poison = self.store.apply(page, later=later)
        if began:
            for each in page:
                about = {"attorn.position": each.position, "attorn.type": each.event.type}
                traces.mark("fold", each.event.traceparent, began, time_ns(), **about)
        tell_of(poison)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


def pinned(directory: Directory) -> Directory:
    """The directory as it is now, for another thread: whatever is evolved meanwhile, it stays."""
    copied: Directory = _copied(directory)
    return copied


def _copied(value: Any) -> Any:
    # What a directory is made of are numbers, immutable entries, and what holds them; only what holds them is evolved.
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()} if _holds(value) else value.copy()
    if isinstance(value, set | list):
        return value.copy()
    if isinstance(value, msgspec.Struct) and not value.__struct_config__.frozen:
        return type(value)(**{name: _copied(getattr(value, name)) for name in value.__struct_fields__})
    return value


def _holds(value: dict[Any, Any]) -> bool:
    # All that is in one dictionary is of one kind.
    first = next(iter(value.values()), None)
    return isinstance(first, dict | set | list) or (
        isinstance(first, msgspec.Struct) and not first.__struct_config__.frozen
    )


def tell_of(poison: Sequence[Poison]) -> None:
    """Say in the log what a page's views could not take in."""
    if poison:
        first, others = poison[0], len(poison) - 1
        said = {"view": first.view, "position": first.position, "error": first.error, "others": others}
        log.error("event not taken in", extra=said)


async def index(store: SQLiteViews) -> None:
    """Make the indexes of `store` in a thread; nothing is to be folded into it meanwhile."""
    store.write()
    if store.path == MEMORY:
        store.index()
    else:
        await _in_a_thread(store, store.index)


async def adopt(store: SQLiteViews, path: str) -> None:
    """Copy the views that are missing in `store` from the file `path`, in a thread; nothing is to be folded into it."""
    store.write()
    await _in_a_thread(store, partial(store.adopt, path))


async def secure(store: SQLiteViews) -> None:
    """Have the disk keep what was adopted, in a thread."""
    await _in_a_thread(store, store.secure)


async def _in_a_thread(store: SQLiteViews, write: Callable[[], None]) -> None:
    writing = asyncio.create_task(asyncio.to_thread(write))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        store.interrupt()
        # Nobody asks any more how it ended.
        writing.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        await asyncio.wait((writing,), timeout=INTERRUPT_S_MAX)
        raise


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


@asynccontextmanager
async def folded_apart(filling: Filling | None) -> AsyncIterator[None]:
    """Have some views folded by another process, if any, while the block runs."""
    if filling is None:
        yield
        return
    filling.start()
    try:
        yield
    finally:
        await filling.end()


async def fold_directory(ledger: Ledger, directory: Directory, position: int) -> None:
    """Fold `directory` from where it is up to `position`: participants and the like, and how items are related."""
    if position > directory.position:
        async with following(ledger, directory.position) as pages:
            async for page in pages:
                for recorded in page.recorded:
                    if recorded.position <= position:
                        evolve(directory, recorded, [])
                if page.recorded and page.recorded[-1].position >= position:
                    break


async def _require_same_log(ledger: Ledger, store: SQLiteViews) -> int:
    head = await ledger.last()
    if head < store.position:
        raise LogWentBack(store.position, head)
    if store.position:
        there = await _event(ledger, store.position)
        if hashlib.sha256(there.body).hexdigest() != store.tip:
            raise LogWentBack(store.position, head)
    return head


async def _event(ledger: Ledger, position: int) -> Recorded:
    """The event at `position`, which is on the log."""
    async with following(ledger, position - 1) as pages:
        async for page in pages:
            if page.recorded:
                return page.recorded[0]
    raise AssertionError("following the log has no end")
