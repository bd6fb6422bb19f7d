"""What needs somebody with more say, and the position from which to follow what else is raised."""

from datetime import datetime
from typing import Any

import msgspec

from attorn.contracts.escalation import Rung
from attorn.contracts.ids import Count, Severity
from attorn.projections import board, escalations
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import Limit


class AskEscalations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By default what is open. To miss none: ask this, then follow the feed from `position` + 1."""

    open: bool | None = True
    work: str | None = None
    severity: Severity | None = None
    process: str | None = None
    raised_by: str | None = None
    after: Count = 0
    limit: Limit = 100


class Escalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An escalation as it is now: which rung it is on, who was told, who has it, and when it goes further."""

    escalation_id: str
    work: str
    status: str
    severity: str
    reason: str
    raised_by: str
    blocking: bool
    summary: str
    raised_position: int
    raised_time: datetime
    last_position: int
    process: str | None = None
    rung: int = 0
    round: int = 1
    told: tuple[str, ...] = ()
    next_rung_at: datetime | None = None
    acknowledged_by: str | None = None
    ack_until: datetime | None = None
    answered_by: str | None = None
    decision: str | None = None
    resolved_by: str | None = None
    outcome: str | None = None
    question: str | None = None
    recommendation: str | None = None
    ladder: tuple[Rung, ...] = ()


class Escalations(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of escalations, oldest first; all that was raised up to `position` is accounted for."""

    position: int
    escalations: tuple[Escalation, ...] = ()
    next: int | None = None


def escalated(rows: Rows, directory: Directory, asked: AskEscalations) -> Escalations:
    """The escalations that are open, or all, with the position from which to follow further ones."""
    conditions, parameters = ["raised_position > ?"], list[Any]()
    if asked.open is not None:
        conditions.append("open" if asked.open else "NOT open")
    for column in ("work", "severity", "raised_by"):
        value = getattr(asked, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    found: list[Escalation] = []
    after = asked.after
    while len(found) <= asked.limit:
        page = rows.select(
            escalations.Row, " AND ".join(conditions), [after, *parameters], "raised_position", asked.limit + 1
        )
        for row in page:
            item = rows.get(board.Row, row.work)
            process = item.process if item is not None else None
            if asked.process is None or process == asked.process:
                found.append(described(row, process))
        if len(page) <= asked.limit:
            break
        after = page[-1].raised_position
    last = found[asked.limit - 1].raised_position if len(found) > asked.limit else None
    return Escalations(position=rows.position, escalations=tuple(found[: asked.limit]), next=last)


def described(row: escalations.Row, process: str | None) -> Escalation:
    said = {name: getattr(row, name) for name in Escalation.__struct_fields__ if name != "process"}
    return Escalation(process=process, **said)
