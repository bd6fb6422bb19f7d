"""One work item: all that the views say of it."""

import msgspec

from attorn.contracts.ids import Timestamp
from attorn.projections import accountability, board, escalations, findings
from attorn.projections.accountability import Who
from attorn.projections.directory import Directory
from attorn.projections.findings import Finding
from attorn.projections.fold import Rows
from attorn.projections.questions.board import Item, item
from attorn.projections.questions.escalations import Escalation, described


class AskWork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`away_at`: whether who answers is away at that time; by default when the last event was recorded."""

    work: str
    away_at: Timestamp | None = None


class WorkItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the views say of one item; `problem` when there is no such item."""

    work: str
    position: int
    item: Item | None = None
    who: Who | None = None
    escalations: tuple[Escalation, ...] = ()
    findings: tuple[Finding, ...] = ()
    problem: str | None = None


def work(rows: Rows, directory: Directory, asked: AskWork) -> WorkItem:
    """One work item: as it is, who answers and why, what can be done, its open escalations and its findings."""
    row = rows.get(board.Row, asked.work)
    if row is None:
        return WorkItem(work=asked.work, position=rows.position, problem=f"{asked.work} is not on the log")
    raised = rows.select(escalations.Row, "work = ? AND open", (asked.work,), "raised_position")
    return WorkItem(
        work=asked.work,
        position=rows.position,
        item=item(row, directory, rows.position),
        who=accountability.who(rows, directory, asked.work, away_at=asked.away_at),
        escalations=tuple(described(escalation, row.process) for escalation in raised),
        findings=findings.found(rows, f"work/{asked.work}"),
    )
