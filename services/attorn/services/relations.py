"""The relations of work items as a service keeps them: followed on the log, beside the directory that holds them."""

import asyncio
from typing import Any, Final

import msgspec

from attorn.contracts.claim import AcquireClaim, RenewClaim
from attorn.contracts.dependency import AddDependency
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.ledger import Ledger
from attorn.contracts.participant import DeactivateParticipant
from attorn.contracts.refusal import Unavailable
from attorn.contracts.work import CompleteWork, DefineWork
from attorn.projections.relations import KINDS, Relations

RULES: Final = frozenset({"criteria-open", "relation-cycle", "duplicate-effort", "stale-fence", "work-left"})
"""The rules that look into the relations: before one of them refuses, they are brought up to date."""


def looks_beyond(command: msgspec.Struct, *, stopped: bool) -> bool:
    """Whether a command is judged by what other items are: then everything that is recorded has to be known first.

    `stopped`: whether who gives it is suspended somewhere; what they claim may be of work that they are kept from.
    """
    match command:
        case CompleteWork() | AddDependency() | DeactivateParticipant(successor=None):
            return True
        case AcquireClaim(holder=holder):
            return stopped or holder is not None
        case RenewClaim():
            return stopped
        case DefineWork(parent_id=parent, depends_on=depends_on, dedup_key=dedup):
            return parent is not None or bool(depends_on) or dedup is not None
        case _:
            return False


def is_ahead(payload: Any, known: Relations) -> bool:
    """Whether a fact names a claim that `known` does not have: it may have been recorded this very moment."""
    return payload.__class__ is ExecutionStarted and payload.claim_id is not None and not known.knows(payload.claim_id)


class LiveRelations:
    """Follows work and claims from the log's beginning; `view` is the fold so far, of everything up to `position`.

    A service answers before all of an old log is read; only commands that look beyond their item wait for that. What
    two services decide in the same moment, neither knowing of the other, the fold finds.
    """

    def __init__(self, ledger: Ledger, view: Relations) -> None:
        self.view, self.position, self.pending = view, 0, True
        self._ledger = ledger
        self._moved = asyncio.Condition()

    async def follow(self) -> None:
        """Fold what is there, and then what comes; an end only by cancelling."""
        # Work and claims are nearly all of a log, and to pick them out takes the server ten times as long as to send
        # everything.
        async for page in self._ledger.follow(after=self.position):
            for recorded in page.recorded:
                if recorded.stream.partition("/")[0] in KINDS:
                    self.view.evolve(recorded)
            if page.recorded:
                self.position = page.recorded[-1].position
            self.pending = bool(page.pending)
            async with self._moved:
                self._moved.notify_all()

    async def moved(self, after: int) -> int:
        """Wait until there is something behind position `after`, and no more is known to come; the position then."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.position > after and not self.pending)
        return self.position

    async def catch_up(self, timeout: float = 10.0) -> None:
        """Wait until `view` has all that is recorded now.

        Raises Unavailable when it does not get there within `timeout` seconds.
        """
        target = max(await asyncio.gather(*(self._ledger.last(kind) for kind in KINDS)))
        try:
            async with asyncio.timeout(timeout), self._moved:
                await self._moved.wait_for(lambda: self.position >= target)
        except TimeoutError:
            reason = f"the relations of work are known up to position {self.position}, and the log goes up to {target}"
            raise Unavailable(reason) from None
