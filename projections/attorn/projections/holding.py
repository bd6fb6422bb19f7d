"""Ownership: who carries out each work item, and who holds which claim, since when and until when.

A row is there for as long as somebody holds the thing; what was held earlier is the timeline's to tell. Of what was
claimed a row stays, held by nobody, with what the rules remember of it: the highest fence, and the last claims that are
over, by which it is known that an earlier claim is reported late. Who stands where among the participants is the
directory's.
"""

from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts import subjects
from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRenewed, ClaimRevoked
from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.work import (
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkDeclined,
    WorkFailed,
    WorkReopened,
    WorkSuperseded,
    WorkUnassigned,
)
from attorn.projections.relations import FENCE_MAX, OVER_MAX

NAME = "holding"
VERSION = 3
INDEXES = (("holder", "key"), ("held",))

Basis: TypeAlias = Literal["assigned", "started", "handed over", "claimed"]


class Row(msgspec.Struct, frozen=True, gc=False):
    """What somebody holds; the key is the stream, `work/W-1` for the item itself, `claim/K` for another thing.

    `basis` is how they came to hold it. `fence` and `lease_until` are the claim's, where there is one. Where nobody
    holds what was claimed, there is no `holder` and no `claim_id`. `held` is the key of a claim once more, while it is
    held: pages of claims are read by it. `over` are the last claims on the key that are over.
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


_TAKEN: Final[dict[type, tuple[str, Basis]]] = {
    WorkAssigned: ("executor", "assigned"),
    ExecutionStarted: ("executor", "started"),
    HandoverAccepted: ("to", "handed over"),
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
EVENTS: Final[frozenset[type]] = frozenset({*_TAKEN, *_LEFT, ClaimAcquired, ClaimRenewed})


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
    taken = _TAKEN.get(data.__class__)
    if taken is not None:
        holder: str = getattr(data, taken[0])
        if row is not None and row.holder == holder:
            return row  # it was theirs already, and still is since then
        return Row(key, holder, taken[1], recorded.position, recorded.event.time, key[5:])
    if row is not None and row.claim_id is not None and _comes_late(row, data):
        return row
    if data.__class__ in _LEFT:
        return None
    if isinstance(data, ClaimAcquired):
        return Row(key, data.holder, "claimed", recorded.position, recorded.event.time, key[5:],
                   data.key, data.claim_id, data.fence, data.lease_until)  # fmt: skip
    if row is None or row.claim_id != data.claim_id:
        return row
    return msgspec.structs.replace(row, lease_until=data.lease_until)


def _comes_late(row: Row, data: Any) -> bool:
    """Whether it is about another claim than the one that is held, and that one has the higher fence."""
    match data:
        case ClaimAcquired(fence=fence):
            return row.fence is not None and fence <= row.fence
        case ClaimReleased(claim_id=id) | ClaimExpired(claim_id=id) | ClaimRevoked(claim_id=id):
            return id != row.claim_id
        case _:
            return False


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
            return msgspec.structs.replace(row, lease_until=until)
        case ClaimReleased(claim_id=id) | ClaimExpired(claim_id=id) | ClaimRevoked(claim_id=id) if id == held:
            return Row(key, None, "claimed", at, time, fence=fence, over=(*over, id)[-OVER_MAX:])
        case _:
            return row
