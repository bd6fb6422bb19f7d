"""The directory as a service keeps it: folded from the log, and brought up to date before anything is refused."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from attorn.contracts.envelope import Recorded
from attorn.contracts.ledger import Ledger
from attorn.contracts.refusal import Unavailable
from attorn.projections.directory import KINDS, Directory
from attorn.services.patience import left
from attorn.services.relations import LiveRelations


class LiveDirectory:
    """Follows the ledger's participants, sources, processes and policies; `view` is the fold so far."""

    def __init__(self, ledger: Ledger) -> None:
        self.view = Directory()
        self.relations = LiveRelations(ledger, self.view.relations)
        self._ledger = ledger
        self._moved = asyncio.Condition()

    @asynccontextmanager
    async def following(self) -> AsyncIterator["LiveDirectory"]:
        """Keep `view` up to date while the block runs; entered once what was there has been read."""
        # In a group, so that a reader that fails takes the service down with it: rules judged by an old directory
        # would be worse than a restart.
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._follow(), name="directory")
            relations = group.create_task(self.relations.follow(), name="relations")
            await self.catch_up()
            yield self
            reader.cancel()
            relations.cancel()

    async def catch_up(self, timeout: float = 10.0) -> bool:
        """Wait until `view` has all that is recorded now; whether it had to wait.

        Raises Unavailable when it does not get there within `timeout` seconds.
        """
        target = max(await asyncio.gather(*(self._ledger.last(kind) for kind in KINDS)))
        if self.view.position >= target:
            return False
        try:
            async with asyncio.timeout(left(timeout)), self._moved:
                await self._moved.wait_for(lambda: self.view.position >= target)
        except TimeoutError:
            raise Unavailable(
                f"the directory is at position {self.view.position}, the log's participants at {target}"
            ) from None
        return True

    async def _follow(self) -> None:
        head = await self._read()
        async for page in self._ledger.follow(after=head, kinds=KINDS):
            await self._take(page.recorded)

    async def _read(self) -> int:
        """Take in what is there, up to the position that is returned.

        Kind by kind: a server that has to look for several at once looks at every event of a long log, for seconds.
        """
        head = await self._ledger.last()
        found = [recorded for kind in KINDS for recorded in await self._of(kind, head)]
        await self._take(sorted(found, key=lambda recorded: recorded.position))
        return head

    async def _of(self, kind: str, head: int) -> list[Recorded]:
        last, found = min(await self._ledger.last(kind), head), list[Recorded]()
        if last <= self.view.position:
            return found
        async with aclosing(self._ledger.follow(after=self.view.position, kinds=(kind,))) as pages:
            async for page in pages:
                found += (recorded for recorded in page.recorded if recorded.position <= head)
                if page.recorded and page.recorded[-1].position >= last:
                    return found
        return found

    async def _take(self, some: Sequence[Recorded]) -> None:
        for recorded in some:
            self.view.evolve(recorded)
        async with self._moved:
            self._moved.notify_all()
