"""The library's subscription: notifications as they come, waited for in the caller's thread."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

from attorn.eventsourcing.loop import begin, result


class JetStreamSubscription(Subscription[ApplicationRecorder]):
    """Reads `pages` on the event loop; ends when it is stopped, from whichever thread."""

    def __init__(
        self,
        recorder: ApplicationRecorder,
        gt: int | None,
        topics: Sequence[str],
        pages: AsyncGenerator[list[Notification], None],
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._pages = pages
        self._here: list[Notification] = []
        self._next: Future[list[Notification]] | None = None
        self._stopping = threading.Lock()

    def __next__(self) -> Notification:
        while True:
            if self._has_been_stopped:
                raise StopIteration
            if self._here:
                return self._here.pop()
            with self._stopping:
                if self._has_been_stopped:
                    raise StopIteration
                coming = self._next = begin(self._page())
            try:
                page = result(coming)
            except (CancelledError, asyncio.CancelledError):
                raise StopIteration from None
            self._here = [each for each in reversed(page) if not self._topics or each.topic in self._topics]

    def stop(self) -> None:
        with self._stopping:
            if self._has_been_stopped:
                return
            super().stop()
        if self._next is not None:
            self._next.cancel()
        with suppress(CancelledError):
            begin(self._close()).result()

    async def _page(self) -> list[Notification]:
        return await anext(self._pages)

    async def _close(self) -> None:
        # A generator that is being cancelled is closing by itself; closing it twice at once is refused.
        while True:
            try:
                return await self._pages.aclose()
            except RuntimeError:
                await asyncio.sleep(0.01)
