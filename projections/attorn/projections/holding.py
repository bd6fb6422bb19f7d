"""Ownership: who carries out each work item, and who holds which claim, since when and until when.

A row is there for as long as somebody holds the thing; what was held earlier is the timeline's to tell. An end lets go
of an item: should a fact lead out of that end, nobody holds it until somebody is said to. Of what was claimed a row
stays, held by nobody, with what the rules remember of it: the highest fence, and the last claims that are over, by
which it is known that an earlier claim is reported late. The next fence is counted in the stream of the key, not here.
Who stands where among the participants is the directory's.
"""

from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts import subjects
from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRenewed, ClaimRevoked
from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import ExecutionStarted, WorkExecuted
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.work import (
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkDeclined,
    WorkFailed,
    WorkReadied,
    WorkReopened,
    WorkSubmitted,
    WorkSuperseded,
    WorkUnassigned,
    WorkVerified,
)
from attorn.projections.relations import FENCE_MAX, OVER_MAX

NAME = "holding"
VERSION = 5
INDEXES = (("holder", "key"), ("held",))

Basis: TypeAlias = Literal["assigned", "started", "handed over", "claimed"]


class Row(msgspec.Struct, frozen=True, gc=False):
    """What somebody holds; the key is the stream, `work/W-1` for the item itself, `claim/K` for another thing.

    `basis` is how they came to hold it, and `delegation` what they began under last, where it was said. `fence` and
    `lease_until` are the claim's, where there is one. Where nobody holds what was claimed, there is no `holder` and no
    `claim_id`. `held` is the key of a claim once more, while it is held: pages of claims are read by it. `running` are
    the executions of an item that are under way, `over` the last claims on the key that are over.
    """

    key: str
    holder: str | None
    basis: str
    since_position: int
    since_time: datetime
    work: str | None = None
    resource: str | None = None
    claim_id: str | None = None
    fence: int | None = None
    lease_until: datetime | None = None
    held: str | None = None
    over: tuple[str, ...] = ()
    delegation: str | None = None
    running: tuple[str, ...] = ()


_TAKEN: Final[dict[type, tuple[str, Basis]]] = {
    WorkAssigned: ("executor", "assigned"),
    HandoverAccepted: ("to", "handed over"),
    ClaimAcquired: ("holder", "claimed"),
}
_LEFT: Final = frozenset(
    {
        WorkUnassigned,
        WorkDeclined,
        WorkReopened,
        WorkCompleted,
        WorkFailed,
        WorkCancelled,
        WorkSuperseded,
        ClaimReleased,
        ClaimExpired,
        ClaimRevoked,
    }
)
_HALTED: Final = frozenset({WorkReadied, WorkSubmitted, WorkVerified})
"""What leaves the work with whoever has it, and no execution under way."""

EVENTS: Final[frozenset[type]] = frozenset({*_TAKEN, *_LEFT, *_HALTED, ExecutionStarted, WorkExecuted, ClaimRenewed})

_replace: Final = msgspec.structs.replace


def keys(recorded: Recorded) -> tuple[str, ...]:
    """The stream: of the item, or of the claim."""
    event = recorded.event
    there = event.data.__class__ in EVENTS and event.subject.startswith(("work/", "claim/"))
    return (event.subject,) if there else ()


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """Who holds the thing after the event."""
    if key.startswith("claim/"):
        return _claimed(row, recorded, key)
    data = recorded.event.data
    if data.__class__ in _LEFT:
        return None
    taken = _TAKEN.get(data.__class__)
    if taken is not None:
        return _taken(row, recorded, key, *taken)
    if data.__class__ is ExecutionStarted:
        return _started(row, recorded, key)
    if row is None:
        return None
    match data:
        case WorkExecuted(execution_id=id):
            left = tuple(other for other in row.running if other != id)
            return _replace(row, running=left) if len(left) < len(row.running) else row
        case ClaimRenewed(claim_id=id, lease_until=until):
            return _replace(row, lease_until=until) if id == row.claim_id else row
        case _:
            return _replace(row, running=()) if row.running else row


def _taken(row: Row | None, recorded: Recorded, key: str, who: str, basis: Basis) -> Row:
    """The item is given to somebody, or claimed by them: whatever was under way is to begin anew."""
    data: Any = recorded.event.data
    holder: str = getattr(data, who)
    if row is None or row.holder != holder:
        row = Row(key, holder, basis, recorded.position, recorded.event.time, key[5:])
    elif row.running:
        row = _replace(row, running=())
    # Otherwise it was theirs already, and still is since then.
    if data.__class__ is ClaimAcquired:
        return _replace(row, resource=data.key, claim_id=data.claim_id, fence=data.fence, lease_until=data.lease_until)
    return row


def _started(row: Row | None, recorded: Recorded, key: str) -> Row:
    data: ExecutionStarted = recorded.event.data
    if row is None:
        return Row(key, data.executor, "started", recorded.position, recorded.event.time, key[5:],
                   delegation=data.delegation_id, running=(data.execution_id,))  # fmt: skip
    if data.execution_id in row.running:
        return row  # told once more
    running = (*row.running, data.execution_id)
    if row.holder == data.executor:
        return _replace(row, delegation=data.delegation_id or row.delegation, running=running)
    if row.running:
        return _replace(row, running=running)  # what is under way stays with whom it began with, whoever joins them
    return Row(key, data.executor, "started", recorded.position, recorded.event.time, key[5:],
               delegation=data.delegation_id, running=running)  # fmt: skip


def _claimed(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """The row of a key after an event of its stream: what moves nobody by the rules of claims moves nobody here."""
    data, at, time = recorded.event.data, recorded.position, recorded.event.time
    fence, held, over = (row.fence or 0, row.claim_id, row.over) if row is not None else (0, None, ())
    match data:
        case ClaimAcquired(claim_id=id):
            if not fence < data.fence <= FENCE_MAX or key != subjects.named("claim", data.key):
                return row
            if held not in (None, id):
                over = (*over, held)[-OVER_MAX:]
            if id in over:
                return Row(key, None, "claimed", at, time, fence=data.fence, over=over)
            return Row(key, data.holder, "claimed", at, time, data.work_id, data.key, id, data.fence,
                       data.lease_until, key, over)  # fmt: skip
        case ClaimRenewed(claim_id=id, lease_until=until) if row is not None and id == held:
            return _replace(row, lease_until=until)
        case ClaimReleased(claim_id=id) | ClaimExpired(claim_id=id) | ClaimRevoked(claim_id=id) if id == held:
            return Row(key, None, "claimed", at, time, fence=fence, over=(*over, id)[-OVER_MAX:])
        case _:
            return row
