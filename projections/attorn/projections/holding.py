"""Ownership: who carries out each work item, and who holds which claim, since when and until when.

A row is there for as long as somebody holds the thing; what was held earlier is the timeline's to tell. Who stands
where among the participants is the directory's.
"""

from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

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

NAME = "holding"
VERSION = 2
INDEXES = (("holder", "key"),)

Basis: TypeAlias = Literal["assigned", "started", "handed over", "claimed"]


class Row(msgspec.Struct, frozen=True, gc=False):
    """What somebody holds; the key is the stream, `work/W-1` for the item itself, `claim/K` for another thing.

    `basis` is how they came to hold it. `fence` and `lease_until` are the claim's, where there is one.
    """

    key: str
    holder: str
    basis: str
    since_position: int
    since_time: datetime
    work: str | None = None
    resource: str | None = None
    claim_id: str | None = None
    fence: int | None = None
    lease_until: datetime | None = None


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
    return (event.subject,) if event.data.__class__ in EVENTS else ()


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """Who holds the thing after the event."""
    data = recorded.event.data
    taken = _TAKEN.get(data.__class__)
    if taken is not None:
        holder: str = getattr(data, taken[0])
        if row is not None and row.holder == holder:
            return row  # it was theirs already, and still is since then
        return Row(key, holder, taken[1], recorded.position, recorded.event.time, _work(key, data))
    if row is not None and row.claim_id is not None and _comes_late(row, data):
        return row
    if data.__class__ in _LEFT:
        return None
    if isinstance(data, ClaimAcquired):
        return Row(key, data.holder, "claimed", recorded.position, recorded.event.time, _work(key, data),
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


def _work(key: str, data: Any) -> str | None:
    return key[5:] if key.startswith("work/") else getattr(data, "work_id", None)
