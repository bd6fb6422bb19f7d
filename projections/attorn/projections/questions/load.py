"""What is going on right now: who has how much to do, and what presses."""

from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta

from attorn.contracts.ids import Severity
from attorn.projections import board, escalations, inbox
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import carried_out

PARTICIPANTS_MAX: Final = 1_000
"""Whose inbox is looked into for one answer, a few microseconds each."""


class AskLoad(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`top`: how many are named of those who have most to do."""

    top: Annotated[int, Meta(ge=1, le=100)] = 10


class Busy(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, and how many things they have."""

    who: str
    name: str
    count: int


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """`escalations` are those open by severity; `waiting` who has most in their inbox, addressed to them by name.

    `failed` is how many items there are after whose failed execution nothing goes on.

    `busy` are the agents who carry out open work, most first, of `agents` who are here. Of more than 1,000 participants
    the first by id are looked at: then it is not `complete`.
    """

    position: int
    failed: int
    escalations: dict[str, int]
    waiting: tuple[Busy, ...]
    agents: int
    agents_busy: int
    busy: tuple[Busy, ...]
    complete: bool


def load(rows: Rows, directory: Directory, asked: AskLoad) -> Load:
    """Open escalations by severity, who has most waiting for them, and which agents are at work."""
    asof = AsOf(position=rows.position)
    here = [id for id in sorted(directory.participants) if directory.is_here(id, asof)]
    waiting, busy = list[Busy](), list[Busy]()
    agents = [id for id in here if directory.kind(id, asof) == "agent"]
    for id in here[:PARTICIPANTS_MAX]:
        # Who is only a member of those addressed together has a row that has no turn.
        if count := rows.count(inbox.Row, "addressed = ? AND turn > ''", (id,)):
            waiting.append(Busy(who=id, name=directory.name(id), count=count))
    for id in agents[:PARTICIPANTS_MAX]:
        if count := carried_out(rows, id):
            busy.append(Busy(who=id, name=directory.name(id), count=count))
    severities = {each: rows.count(escalations.Row, "open AND severity = ?", (each,)) for each in _SEVERITIES}
    return Load(
        position=rows.position,
        failed=rows.count(board.Row, "failed_position IS NOT NULL"),
        escalations={severity: count for severity, count in severities.items() if count},
        waiting=tuple(sorted(waiting, key=lambda one: (-one.count, one.who))[: asked.top]),
        agents=len(agents),
        agents_busy=len(busy),
        busy=tuple(sorted(busy, key=lambda one: (-one.count, one.who))[: asked.top]),
        complete=len(here) <= PARTICIPANTS_MAX,
    )


_SEVERITIES: Final[tuple[str, ...]] = tuple(reversed(get_args(Severity)))
