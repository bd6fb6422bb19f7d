"""Tells work that what it waited for has ended: once, whatever is killed, however many of these run.

It follows the relations of all work. Where an item waits for one that has ended, it commands what a person could: that
the dependency is satisfied, or broken. The command's id is made of the positions of the two events that led to it, and
the item's own stream remembers what was carried out; so nothing is recorded twice, and a start begins from nothing.
"""

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

from attorn.contracts.dependency import BreakDependency, SatisfyDependency
from attorn.contracts.refusal import Conflict, Refused, Unavailable
from attorn.contracts.work import WorkCompleted
from attorn.projections.lifecycle import ENDED, Lifecycle, step
from attorn.projections.relations import Due
from attorn.services.command_door import Clock
from attorn.services.dependency import model
from attorn.services.transact import Command, Streams, transact

log = logging.getLogger("attorn.dependency")

ACTOR: Final = "attorn"
SOURCE: Final = "/attorn/dependency"
PAUSE_S: Final = 1.0


async def run(streams: Streams, clock: Clock) -> None:
    """Tell whoever waits, and then as it comes; an end only by cancelling."""
    reactor, position = Reactor(streams, clock), 0
    while True:
        try:
            reached = await streams.directory.relations.moved(position)
            await reactor.react()
            position = reached
        except (Unavailable, Conflict) as why:
            log.warning("dependencies wait", extra={"reason": str(why)})
            await asyncio.sleep(PAUSE_S)


class Reactor:
    def __init__(self, streams: Streams, clock: Clock) -> None:
        self._streams, self._clock = streams, clock
        # What is told already, or needs nothing; forgotten when the item does not wait any more.
        self._seen: dict[tuple[str, str], int] = {}
        self._refused: set[Due] = set()

    async def react(self) -> None:
        """Tell everything that is due by what is known now."""
        relations = self._streams.directory.view.relations
        self._seen = {pair: since for pair, since in self._seen.items() if relations.since.get(pair) == since}
        for pair, since in list(self._unseen()):
            found = await self._ended_before(*pair, since)
            if found is not None and pair in relations.since:
                relations.due.setdefault(pair, found)
            self._seen[pair] = since
        for due in sorted(relations.due.values(), key=lambda due: (due.position, due.work)):
            if due not in self._refused:
                await self._tell(due, relations.since.get((due.work, due.on), 0))

    def _unseen(self) -> Iterator[tuple[tuple[str, str], int]]:
        for pair, since in self._streams.directory.view.relations.since.items():
            if pair not in self._seen:
                yield pair, since

    async def _ended_before(self, work: str, on: str, since: int) -> Due | None:
        """That `on` had ended when `work` came to wait for it: of items that nobody waits for, nothing is kept."""
        life, last = Lifecycle(), None
        for recorded in await self._streams.ledger.read(f"work/{on}"):
            before, life = life, step(life, recorded.event.data).after
            if life.state in ENDED and life.state != before.state:
                last = Due(work, on, isinstance(recorded.event.data, WorkCompleted), recorded.position)
        return last if life.state in ENDED else None

    async def _tell(self, due: Due, since: int) -> None:
        said = SatisfyDependency(work_id=due.work, on=due.on)
        told = said if due.completed else BreakDependency(work_id=due.work, on=due.on, reason=f"{due.on} has ended")
        command = Command(
            stream=f"work/{due.work}",
            body=told,
            actor=ACTOR,
            at=self._clock(),
            id=f"ended-{due.position}-{since}",
            source=SOURCE,
            internal=True,
        )
        try:
            await transact(self._streams, command, model.decide)
        except Refused as refused:
            # Nobody reads an answer here; the item waits until a person says how it goes on.
            log.warning("a dependency was not settled", extra={"work": due.work, "on": due.on, "why": str(refused)})
            self._refused.add(due)
