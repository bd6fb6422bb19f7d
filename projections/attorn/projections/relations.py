"""What work items are to each other, and who has claimed what: all that rules look up beyond an item's own stream.

Whose part an item is, what it waits for, what does the same, who is named to answer for it while it is open, and the
claims with their fences. Most items are alone: they cost one look at the type of each of their events, and one more at
whether the item is open where the event moves it. That is folded by the table of the lifecycle, so that it is open here
when it is open to whoever decides about it, also where a fact has led it out of its end.

What has ended is forgotten as far as it can never matter again. Of an item, after so many others have ended. Of a claim
that is over all but the digest of its id: whatever was done under it stays without effect, and so the id is never a
claim again. Of a key that nobody holds all but its digest and its highest fence: were that forgotten, an old claim that
is reported late would look like a new one, and a fence would go back. Of what came too late to be a claim the digest of
the id as well, and no longer than until somebody makes a claim under that id.
"""

import sys
from collections.abc import Callable, Container, Iterator
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts import subjects
from attorn.contracts.accountability import AccountabilityTransferred
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
from attorn.projections.lifecycle import ENDED, MOVING, Lifecycle, step

KINDS: Final = ("work", "claim")
"""The kinds of streams that relations are folded from."""

FENCE_MAX: Final = 2**52
"""The highest fence that counts; as many again can follow before a number is none that every reader knows."""

OVER_MAX: Final = 8
"""So many claims on a key that are over are known there by their ids; in the relations, all are."""

ENDED_MAX: Final = 16_384
"""Of how many items that have ended it is known who was named, and under which process, should they be reopened.

As long it is known, too, that nothing more becomes a part of what was completed.
"""

FIRST: Final = sequence(1)


class Open(msgspec.Struct, frozen=True, gc=False):
    """Who is named to answer for an item, the process that it runs under, and whether it ended by being completed."""

    named: str | None = None
    process: str | None = None
    completed: bool = False


_UNNAMED: Final = Open()


class Claim(msgspec.Struct, frozen=True):
    """A claim on `key` that nobody let go of, and that nobody has followed with a higher fence."""

    claim_id: str
    key: str
    holder: str
    fence: int
    work_id: str | None = None
    lease_until: datetime | None = None


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
    `claims` are those that nobody let go of, `holding` the same by their key; `past` are the digests of the ids that
    once held, `late` of those that came when their fence could move nobody, and `fences` has the highest fence of each
    key, by its digest. `open` are all items that have not ended, `ended` those that ended last, and `resting` the open
    ones that were told to rest after their end: going on leads them back to it.
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
    holding: dict[str, str] = {}
    past: set[int] = set()
    late: set[int] = set()
    fences: dict[int, int] = {}
    open: dict[str, Open] = {}
    ended: dict[str, Open] = {}
    resting: dict[str, Lifecycle] = {}
    undefined: set[str] = set()

    def evolve(self, recorded: Recorded) -> None:
        """Take in one event; most relate nothing."""
        event = recorded.event
        if event.data.__class__ in _MOVES_ONLY and event.subject[5:] in self.open and not self.resting:
            return  # it is open, and stays so
        if event.data.__class__ in RELATING or event.sequence == FIRST:
            kind, _, id = event.subject.partition("/")
            if event.sequence == FIRST and kind == "work" and not isinstance(event.data, WorkDefined):
                self.undefined.add(id)
                self.open[id] = _UNNAMED
            take = _TAKE[kind].get(event.data.__class__) if kind in _TAKE else None
            if take is not None:
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
        if claim_id is None:
            return None
        claim = self.claims.get(claim_id)
        if claim is None:
            if _digest(claim_id) in self.late:
                return f"the claim {claim_id} came when its fence moved nobody any more"
            return f"the claim {claim_id} is over" if self.is_past(claim_id) else None
        if fence is not None and fence < claim.fence:
            return f"the fence {fence} on {claim.key[:60]} is behind {claim.fence}"
        return None

    def knows(self, claim_id: str) -> bool:
        """Whether a claim of this id was ever told of in the stream of its key, be it over or too late."""
        return claim_id in self.claims or self.is_past(claim_id) or _digest(claim_id) in self.late

    def is_past(self, claim_id: str) -> bool:
        """Whether a claim of this id held something, and is over; it is never one again."""
        return _digest(claim_id) in self.past

    def process(self, work: str | None) -> str | None:
        """The process that an open item runs under; None where it runs under none, or nobody knows."""
        found = self.open.get(work) if work is not None else None
        return found.process if found is not None else None

    def naming(self, persons: Container[str]) -> Iterator[str]:
        """The open items that one of `persons` is named to answer for."""
        return (work for work, item in self.open.items() if item.named is not None and item.named in persons)

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

    def _keep(self, work: str, item: Open) -> None:
        self.ended[work] = item
        if len(self.ended) > ENDED_MAX:
            del self.ended[next(iter(self.ended))]

    def _end(self, work: str, completed: bool, position: int) -> None:
        if (item := self.open.pop(work, None) or self.ended.pop(work, None)) is not None:
            self._keep(work, Open(item.named, item.process, completed))
        if work in self.parents:
            self.over.add(work)
        if (key := self.dedup.get(work)) is not None:
            _drop(self.same, key, work)
        for waiting in self.needed_by.get(work, ()):
            self.due[waiting, work] = Due(waiting, work, completed, position)
        for on in self.needs.get(work, ()):
            self._settle(work, on)  # what has ended waits for nothing

    def _open(self, work: str) -> None:
        """An item goes on after its end; one that is open stays so."""
        if work in self.open:
            return
        before = self.ended.pop(work, _UNNAMED)
        self.open[work] = Open(before.named, before.process)
        self.over.discard(work)
        for waiting in self.needed_by.get(work, ()):
            self.due.pop((waiting, work), None)
        key = self.dedup.get(work)
        if key is not None and work not in self.same.get(key, ()):
            self.same[key] = (*self.same.get(key, ()), work)


def _defined(relations: Relations, id: str, recorded: Recorded) -> None:
    # The first definition stands: a second one is a finding, and relates nothing.
    first = recorded.event.sequence == FIRST
    if not first and id not in relations.undefined:
        return
    relations.undefined.discard(id)
    data: WorkDefined = recorded.event.data
    # Interned, since few names stand on many items.
    process = sys.intern(data.process.id) if data.process is not None else None
    item = Open(sys.intern(data.accountable), process)
    # Who defines what has ended already says what it was; it waits for nothing, and is in nobody's way.
    over = not first and id not in relations.open
    if over:
        before = relations.ended.get(id)
        relations._keep(id, item if before is None else msgspec.structs.replace(item, completed=before.completed))
    else:
        relations.open[id] = item
    if data.parent_id is not None and id not in relations.parents:
        relations.parents[id] = data.parent_id
        relations.parts[data.parent_id] = (*relations.parts.get(data.parent_id, ()), id)
        if over:
            relations.over.add(id)
    for on in () if over else data.depends_on:
        relations._relate(id, on, recorded)
    if data.dedup_key is not None and id not in relations.dedup:
        relations.dedup[id] = data.dedup_key
        if not over:
            relations.same[data.dedup_key] = (*relations.same.get(data.dedup_key, ()), id)


def _added(relations: Relations, id: str, recorded: Recorded) -> None:
    _moved(relations, id, recorded)
    relations._relate(id, recorded.event.data.on, recorded)


def _settled(relations: Relations, id: str, recorded: Recorded) -> None:
    relations._settle(id, recorded.event.data.on)


def _ended(relations: Relations, id: str, recorded: Recorded) -> None:
    relations.resting.pop(id, None)
    relations._end(id, isinstance(recorded.event.data, WorkCompleted), recorded.position)


def _reopened(relations: Relations, id: str, recorded: Recorded) -> None:
    relations.resting.pop(id, None)
    relations._open(id)


def _moved(relations: Relations, id: str, recorded: Recorded) -> None:
    # Nothing but a fact that the table does not allow leads out of an end without reopening.
    rests = relations.resting.get(id) if relations.resting else None
    if rests is None and id in relations.open:
        return
    completed = id in relations.ended and relations.ended[id].completed
    after = step(rests or Lifecycle("completed" if completed else "cancelled", 1), recorded.event.data).after
    if after.state not in ENDED:
        relations._open(id)
    elif rests is not None:
        relations._end(id, after.state == "completed", recorded.position)
    if after.back in ENDED:
        relations.resting[id] = after
    else:
        relations.resting.pop(id, None)


def _transferred(relations: Relations, id: str, recorded: Recorded) -> None:
    # Of what ended long ago nobody knows who was named, and it is not open for being given to somebody.
    named = sys.intern(recorded.event.data.to)
    for items in (relations.open, relations.ended):
        if id in items:
            items[id] = msgspec.structs.replace(items[id], named=named)


def _claimed(relations: Relations, id: str, recorded: Recorded) -> None:
    data: ClaimAcquired = recorded.event.data
    if recorded.stream != subjects.named("claim", data.key):
        return
    known, key = relations.claims.get(data.claim_id), _digest(data.key)
    if not relations.fences.get(key, 0) < data.fence <= FENCE_MAX:
        # It comes too late, or from where none can follow: it moves nobody, and nothing is done under it. Its id may
        # still become a claim: else who tells of one too late would take any id from whoever comes with it.
        if known is None and not relations.is_past(data.claim_id):
            relations.late.add(_digest(data.claim_id))
        return
    relations.fences[key] = data.fence
    before = relations.holding.pop(data.key, None)
    if before is not None and before != data.claim_id:
        relations.claims.pop(before)
        relations.past.add(_digest(before))
    # The first claim under an id stands, also when it is over: none gives what was done under it its effect back.
    if not relations.is_past(data.claim_id) and (known is None or known.key == data.key):
        relations.late.discard(_digest(data.claim_id))
        relations.holding[data.key] = data.claim_id
        relations.claims[data.claim_id] = Claim(
            data.claim_id, data.key, data.holder, data.fence, data.work_id, data.lease_until
        )


def _renewed(relations: Relations, id: str, recorded: Recorded) -> None:
    data: ClaimRenewed = recorded.event.data
    if (claim := _own(relations, recorded)) is not None:
        relations.claims[claim.claim_id] = msgspec.structs.replace(claim, lease_until=data.lease_until)


def _let_go(relations: Relations, id: str, recorded: Recorded) -> None:
    if (claim := _own(relations, recorded)) is not None:
        del relations.claims[claim.claim_id], relations.holding[claim.key]
        relations.past.add(_digest(claim.claim_id))


def _own(relations: Relations, recorded: Recorded) -> Claim | None:
    """The claim that an event names, where it is held, and the event stands in the stream of its key."""
    claim = relations.claims.get(recorded.event.data.claim_id)
    return claim if claim is not None and recorded.stream == subjects.named("claim", claim.key) else None


def _digest(text: str) -> int:
    """64 bits: that two of a million are the same is as likely as one in tens of millions, and then one is refused."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def _drop(of: dict[str, tuple[str, ...]], key: str, value: str) -> None:
    left = tuple(each for each in of.get(key, ()) if each != value)
    if left:
        of[key] = left
    else:
        of.pop(key, None)


_Take: TypeAlias = Callable[[Relations, str, Recorded], None]

_TAKE: Final[dict[str, dict[type[Any], _Take]]] = {
    "work": {
        **dict.fromkeys(MOVING, _moved),
        WorkDefined: _defined,
        DependencyAdded: _added,
        DependencySatisfied: _settled,
        DependencyBroken: _settled,
        WorkCompleted: _ended,
        WorkFailed: _ended,
        WorkCancelled: _ended,
        WorkSuperseded: _ended,
        WorkReopened: _reopened,
        AccountabilityTransferred: _transferred,
    },
    "claim": {
        ClaimAcquired: _claimed,
        ClaimRenewed: _renewed,
        ClaimReleased: _let_go,
        ClaimExpired: _let_go,
        ClaimRevoked: _let_go,
    },
}
"""What is done with an event, by the kind of the stream that it stands in."""

_MOVES_ONLY: Final = frozenset(type for type, take in _TAKE["work"].items() if take is _moved) - _TAKE["claim"].keys()
"""What moves items, and matters only to those that have ended: most events of a log, so it is asked first."""

RELATING: Final = frozenset(type for takes in _TAKE.values() for type in takes)
"""The events that relate something; beside them only the first event of an item does, whatever it is."""
