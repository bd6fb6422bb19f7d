"""Ownership: whom a work item reaches when it is stuck, and whom an escalation of it reaches."""

from datetime import datetime

import msgspec

from attorn.contracts.ids import Pinned, Timestamp
from attorn.projections import board, controls, escalations
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.ladder import climb, rules
from attorn.projections.questions.workforce import Rung, newest_time, with_names


class AskLadder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `escalation`, the ladder that was pinned when it was raised. `at`: by default when the newest event was."""

    work: str
    escalation: str | None = None
    at: Timestamp | None = None


class Ladder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is asked, in this order. Of an escalation, `on` is the rung that it is on, and `next_at` when it goes on."""

    work: str
    position: int
    policy: Pinned | None = None
    rungs: tuple[Rung, ...] = ()
    escalation: str | None = None
    status: str | None = None
    on: int | None = None
    next_at: datetime | None = None
    problem: str | None = None


def ladder(rows: Rows, directory: Directory, asked: AskLadder) -> Ladder:
    """Who is asked when a work item is stuck, or about an escalation of it: the rungs, with the people as they are."""
    item, at = rows.get(board.Row, asked.work), asked.at or newest_time(rows)
    if item is None or at is None:
        return Ladder(work=asked.work, position=rows.position, problem=f"there is no work {asked.work}")
    pins = rows.get(controls.Row, asked.work)
    pinned = pins.escalation_policy if pins is not None else None
    raised = rows.get(escalations.Row, f"{asked.work}/{asked.escalation}") if asked.escalation is not None else None
    if asked.escalation is not None and raised is None:
        problem = f"{asked.work} has no escalation {asked.escalation}"
        return Ladder(work=asked.work, position=rows.position, policy=pinned, problem=problem)
    person = directory.answerable(item.named, item.process, item.source, AsOf(position=rows.position)).person
    steps = climb(raised.ladder if raised is not None else rules(pinned, person, directory).ladder, directory, at)
    return Ladder(
        work=asked.work,
        position=rows.position,
        policy=pinned,
        rungs=tuple(with_names(directory, step) for step in steps),
        escalation=asked.escalation,
        status=raised.status if raised is not None else None,
        on=raised.rung if raised is not None else None,
        next_at=raised.next_rung_at if raised is not None else None,
        problem=None if any(step.persons for step in steps) else f"{asked.work} has nobody to ask",
    )
