"""Escalations: what needs somebody with more say, how far up it has gone, and who has it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from attorn.contracts import escalation as told
from attorn.contracts.decision import Option
from attorn.contracts.envelope import Recorded
from attorn.contracts.escalation import DefaultAction, Rung
from attorn.projections.ladder import next_due

NAME = "escalations"
VERSION = 2
INDEXES = (("open", "raised_position"), ("work",), ("status",))

_OVER: Final = frozenset({"resolved", "cancelled"})


class Row(msgspec.Struct, frozen=True):
    """One escalation. Its id is the publisher's own, and so is unique within its work item only: the key has both.

    `status` is open, acknowledged, answered, exhausted, resolved or cancelled; the last two are the end, unless it is
    reopened. Until then it never rests: at `next_rung_at` it goes on by itself. `rung` is the step of the ladder that
    it is on, 0 before anybody was told; `told` are those told last.
    """

    key: str
    work: str
    escalation_id: str
    status: str
    open: bool
    severity: str
    reason: str
    raised_by: str
    blocking: bool
    summary: str
    raised_position: int
    raised_time: datetime
    last_position: int
    last_time: datetime
    rung: int = 0
    round: int = 1
    next_rung_at: datetime | None = None
    acknowledged_by: str | None = None
    ack_until: datetime | None = None
    answered_by: str | None = None
    decision: str | None = None
    resolved_by: str | None = None
    outcome: str | None = None
    reopened: int = 0
    told: tuple[str, ...] = ()
    question: str | None = None
    options: tuple[Option, ...] = ()
    recommendation: str | None = None
    ladder: tuple[Rung, ...] = ()
    repeat: int = 0
    default_action: DefaultAction | None = None


def keys(recorded: Recorded) -> Sequence[str]:
    """The escalation that the event is about: `<work>/<escalation_id>`."""
    subject = recorded.event.subject
    return (f"{subject[5:]}/{recorded.event.data.escalation_id}",) if subject.startswith("work/") else ()


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """The escalation after the event. What happens to one that nobody raised is a finding, and makes no row."""
    event = recorded.event
    data = event.data
    if row is None:
        if not isinstance(data, told.WorkEscalated):
            return None
        context = data.context
        return Row(
            key,
            key.partition("/")[0],
            data.escalation_id,
            "open",
            True,
            data.severity,
            data.reason,
            data.raised_by,
            data.blocking,
            context.summary,
            recorded.position,
            event.time,
            recorded.position,
            event.time,
            next_rung_at=next_due(data, data.ladder, 0, event.time),
            question=context.question or None,
            options=context.options,
            recommendation=context.recommendation,
            ladder=data.ladder,
            repeat=data.repeat,
            default_action=data.default_action,
        )
    changes = _changes(row, data, event.authid)
    if changes is None:
        return row
    changes["open"] = changes.get("status", row.status) not in _OVER
    rung = changes.get("rung", row.rung)
    changes["next_rung_at"] = next_due(data, row.ladder, rung, event.time) if changes["open"] else None
    return msgspec.structs.replace(row, last_position=recorded.position, last_time=event.time, **changes)


def _changes(row: Row, data: Any, actor: str | None) -> dict[str, Any] | None:
    match data:
        case told.EscalationNotified(rung=rung, persons=persons):
            return {"rung": rung, "told": persons}
        case told.EscalationAcknowledged(by=by, ack_until=ack_until):
            return {"status": "acknowledged", "acknowledged_by": by, "ack_until": ack_until}
        case told.EscalationUnacknowledged():
            return {"status": "open", "acknowledged_by": None, "ack_until": None}
        case told.EscalationAdvanced(to=to):
            return {"rung": to, "status": "open", "acknowledged_by": None, "ack_until": None}
        case told.EscalationReassigned(to=to):
            return {"told": (to,), "status": "open", "acknowledged_by": None, "ack_until": None}
        case told.EscalationAnswered(decision=decision, option_id=option, instructions=instructions, by=by):
            said = decision or option or instructions or None
            return {"status": "answered", "answered_by": by or actor, "decision": said}
        case told.EscalationExhausted(round=round):
            return {"status": "exhausted", "round": round}
        case told.EscalationResolved(outcome=outcome, by=by):
            return {"status": "resolved", "outcome": outcome, "resolved_by": by or actor}
        case told.EscalationCancelled(by=by):
            return {"status": "cancelled", "resolved_by": by or actor}
        case told.EscalationReopened():
            return {"status": "open", "outcome": None, "resolved_by": None, "acknowledged_by": None,
                    "ack_until": None, "reopened": row.reopened + 1}  # fmt: skip
        case _:
            return None


EVENTS: Final[frozenset[type] | None] = frozenset(
    {
        told.WorkEscalated,
        told.EscalationNotified,
        told.EscalationAcknowledged,
        told.EscalationUnacknowledged,
        told.EscalationAdvanced,
        told.EscalationReassigned,
        told.EscalationAnswered,
        told.EscalationExhausted,
        told.EscalationResolved,
        told.EscalationCancelled,
        told.EscalationReopened,
    }
)
