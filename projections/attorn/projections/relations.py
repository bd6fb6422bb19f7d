"""What work items are to each other, and who has claimed what: all that rules look up beyond an item's own stream.

Whose part an item is, what it waits for, what does the same, and the claims with their fences. Most items are alone:
they cost one look at the type of each of their events, and nothing is kept of them.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts import subjects
from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRenewed, ClaimRevoked
from attorn.contracts.dependency import DependencyAdded, DependencyBroken, DependencySatisfied
from attorn.contracts.envelope import Recorded, sequence
from attorn.contracts.work import (
    WorkCancelled,
    WorkCompleted,
    WorkDefined,
    WorkFailed,
    WorkReopened,
    WorkSuperseded,
)

KINDS: Final = ("work", "claim")
"""The kinds of streams that relations are folded from."""

FENCE_MAX: Final = 2**52
"""The highest fence that counts; as many again can follow before a number is none that every reader knows."""

_FIRST: Final = sequence(1)


class Claim(msgspec.Struct, frozen=True):
    """A claim on `key`, as its stream tells it; `over` when it was released, revoked, or has run out."""

    claim_id: str
    key: str
    holder: str
    fence: int
    work_id: str | None = None
    lease_until: datetime | None = None
    over: bool = False


class Due(msgspec.Struct, frozen=True):
    """That `work` waits for `on`, which has ended at `position`: completed, or not."""

    work: str
    on: str
    completed: bool
    position: int


class Relations(msgspec.Struct):
    """The fold: `evolve` takes events in log order; everything else is a question.

    `parents` and `parts` are one relation from both ends, and so are `needs` and `needed_by`, of what is still waited
    for, `since` which position. `over` holds the parts that have ended, `due` what somebody who waits has to be told.
    `undefined` are the items that were there before anybody defined them: of all others, the first event defines them.
    """

    parents: dict[str, str] = {}
    parts: dict[str, tuple[str, ...]] = {}
    over: set[str] = set()
    needs: dict[str, tuple[str, ...]] = {}
    needed_by: dict[str, tuple[str, ...]] = {}
    since: dict[tuple[str, str], int] = {}
    due: dict[tuple[str, str], Due] = {}
    same: dict[str, tuple[str, ...]] = {}
    dedup: dict[str, str] = {}
    claims: dict[str, Claim] = {}
    fences: dict[str, int] = {}
    undefined: set[str] = set()

    def evolve(self, recorded: Recorded) -> None:
        """Take in one event; most relate nothing."""
        event = recorded.event
        take = _TAKE.get(type(event.data))
        if take is not None or event.sequence == _FIRST:
            kind, _, id = event.subject.partition("/")
            if event.sequence == _FIRST and kind == "work" and not isinstance(event.data, WorkDefined):
                self.undefined.add(id)
            if take is not None and kind in KINDS:
                take(self, id, recorded)

    # ---- questions

    def root(self, work: str) -> str:
        """The work item at the root of what `work` is a part of; itself, when it is a part of nothing known."""
        passed = {work}
        while (parent := self.parents.get(work)) is not None and parent not in passed:
            passed.add(parent)
            work = parent
        return work

    def open_parts(self, work: str) -> tuple[str, ...]:
        """The parts of `work` that have not ended."""
        return tuple(part for part in self.parts.get(work, ()) if part not in self.over)

    def is_part_of(self, work: str, whole: str) -> bool:
        """Whether `work` is `whole`, or a part of it, or of one of its parts."""
        passed: set[str] = set()
        at: str | None = work
        while at is not None and at not in passed:
            if at == whole:
                return True
            passed.add(at)
            at = self.parents.get(at)
        return False

    def waits_for(self, work: str, on: str) -> bool:
        """Whether `work` is `on`, or waits for it, also by way of others."""
        ahead, passed = [work], set[str]()
        while ahead:
            at = ahead.pop()
            if at == on:
                return True
            if at not in passed:
                passed.add(at)
                ahead += self.needs.get(at, ())
        return False

    def duplicates(self, work: str, dedup_key: str) -> tuple[str, ...]:
        """The other work items that are to do the same, and have not ended."""
        return tuple(other for other in self.same.get(dedup_key, ()) if other != work)

    def stale(self, claim_id: str | None, fence: int | None) -> str | None:
        """Why what is done under this claim and fence has no effect any more, as a sentence; None when it has."""
        claim = self.claims.get(claim_id) if claim_id is not None else None
        if claim is None:
            return None
        newest = self.fences.get(claim.key, claim.fence)
        if (claim.fence if fence is None else fence) < newest:
            return f"the fence {claim.fence if fence is None else fence} on {claim.key[:60]} is behind {newest}"
        return f"the claim {claim.claim_id} on {claim.key[:60]} is over" if claim.over else None

    # ---- the fold

    def _relate(self, work: str, on: str, recorded: Recorded) -> None:
        if (work, on) not in self.since:
            self.since[work, on] = recorded.position
            self.needs[work] = (*self.needs.get(work, ()), on)
            self.needed_by[on] = (*self.needed_by.get(on, ()), work)

    def _settle(self, work: str, on: str) -> None:
        self.due.pop((work, on), None)
        self.since.pop((work, on), None)
        _drop(self.needs, work, on)
        _drop(self.needed_by, on, work)


def _defined(relations: Relations, id: str, recorded: Recorded) -> None:
    # The first definition stands: a second one is a finding, and relates nothing.
    if recorded.event.sequence != _FIRST and id not in relations.undefined:
        return
    relations.undefined.discard(id)
    data: WorkDefined = recorded.event.data
    if data.parent_id is not None and id not in relations.parents:
        relations.parents[id] = data.parent_id
        relations.parts[data.parent_id] = (*relations.parts.get(data.parent_id, ()), id)
    for on in data.depends_on:
        relations._relate(id, on, recorded)
    if data.dedup_key is not None and id not in relations.dedup:
        relations.dedup[id] = data.dedup_key
        relations.same[data.dedup_key] = (*relations.same.get(data.dedup_key, ()), id)


def _added(relations: Relations, id: str, recorded: Recorded) -> None:
    relations._relate(id, recorded.event.data.on, recorded)


def _settled(relations: Relations, id: str, recorded: Recorded) -> None:
    relations._settle(id, recorded.event.data.on)


def _ended(relations: Relations, id: str, recorded: Recorded) -> None:
    if id in relations.parents:
        relations.over.add(id)
    if (key := relations.dedup.get(id)) is not None:
        _drop(relations.same, key, id)
    completed = isinstance(recorded.event.data, WorkCompleted)
    for work in relations.needed_by.get(id, ()):
        relations.due[work, id] = Due(work, id, completed, recorded.position)
    for on in relations.needs.get(id, ()):
        relations._settle(id, on)  # what has ended waits for nothing


def _reopened(relations: Relations, id: str, recorded: Recorded) -> None:
    relations.over.discard(id)
    for work in relations.needed_by.get(id, ()):
        relations.due.pop((work, id), None)
    key = relations.dedup.get(id)
    if key is not None and id not in relations.same.get(key, ()):
        relations.same[key] = (*relations.same.get(key, ()), id)


def _claimed(relations: Relations, id: str, recorded: Recorded) -> None:
    data: ClaimAcquired = recorded.event.data
    known = relations.claims.get(data.claim_id)
    if data.fence > FENCE_MAX or recorded.stream != subjects.named("claim", data.key):
        return
    relations.fences[data.key] = max(data.fence, relations.fences.get(data.key, 0))
    # The first claim under an id stands: no claim on another key gives what was done under it its effect back.
    if known is None or known.key == data.key:
        relations.claims[data.claim_id] = Claim(
            data.claim_id, data.key, data.holder, data.fence, data.work_id, data.lease_until
        )


def _renewed(relations: Relations, id: str, recorded: Recorded) -> None:
    data: ClaimRenewed = recorded.event.data
    if (claim := relations.claims.get(data.claim_id)) is not None:
        relations.claims[data.claim_id] = msgspec.structs.replace(claim, lease_until=data.lease_until)


def _let_go(relations: Relations, id: str, recorded: Recorded) -> None:
    claim = relations.claims.get(recorded.event.data.claim_id)
    if claim is not None:
        relations.claims[claim.claim_id] = msgspec.structs.replace(claim, over=True)


def _drop(of: dict[str, tuple[str, ...]], key: str, value: str) -> None:
    left = tuple(each for each in of.get(key, ()) if each != value)
    if left:
        of[key] = left
    else:
        of.pop(key, None)


_Take: TypeAlias = Callable[[Relations, str, Recorded], None]

_TAKE: Final[dict[type[Any], _Take]] = {
    WorkDefined: _defined,
    DependencyAdded: _added,
    DependencySatisfied: _settled,
    DependencyBroken: _settled,
    WorkCompleted: _ended,
    WorkFailed: _ended,
    WorkCancelled: _ended,
    WorkSuperseded: _ended,
    WorkReopened: _reopened,
    ClaimAcquired: _claimed,
    ClaimRenewed: _renewed,
    ClaimReleased: _let_go,
    ClaimExpired: _let_go,
    ClaimRevoked: _let_go,
}
