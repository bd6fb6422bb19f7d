"""Visibility: what is to be done next, what nothing happens to, and where the time of work goes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts.ids import Timestamp
from attorn.projections import board, timeline
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.lifecycle import ENDED as ENDED_STATES
from attorn.projections.lifecycle import Lifecycle, step
from attorn.projections.questions.board import Item, item
from attorn.projections.questions.paging import Limit, marks, next_key

Place: TypeAlias = Literal["unclear", "waiting_assignment", "waiting_input", "in_review", "escalated", "working"]

PLACES: Final[dict[str, Place]] = {
    "discovered": "unclear",
    "defined": "unclear",
    "ready": "waiting_assignment",
    "claimed": "waiting_assignment",
    "in_progress": "working",
    "waiting_input": "waiting_input",
    "blocked": "waiting_input",
    "suspended": "waiting_input",
    "in_review": "in_review",
    "submitted": "in_review",
    "verified": "in_review",
}
"""Where time is spent, by state; while a blocking escalation is open, it is spent there."""


class AskQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`candidate`: what they, or a team of theirs, may take up; what names no candidates anybody may. `after`: an item.

    An item that is no longer there to page behind begins the queue anew.
    """

    process: str | None = None
    candidate: str | None = None
    after: str = ""
    limit: Limit = 100


class AskStalled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing happened in the time of `times` × `expected_s` seconds before `at`, a week unless said otherwise.

    `at` is, by default, when the last event was recorded: the views have no other clock.
    """

    at: Timestamp | None = None
    expected_s: Annotated[float, msgspec.Meta(gt=0, le=2**53 - 1)] = 7 * 24 * 3_600.0
    times: Annotated[float, msgspec.Meta(gt=0, le=2**53 - 1)] = 1.0
    process: str | None = None
    after: str = ""
    limit: Limit = 100


class AskBottleneck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`until`: of what has not ended, the time up to then counts; without it, up to what last happened to each."""

    work: str | None = None
    process: str | None = None
    until: Timestamp | None = None
    after: str = ""
    limit: Limit = 100


class Queue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of the items that nobody has taken up: by priority, then by due time, then by what came first."""

    position: int
    count: int
    items: tuple[Item, ...] = ()
    next: str | None = None


class Still(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item to which nothing has happened since `last_time`; `idle` is how many times the expected time that is."""

    work: str
    state: str
    last_time: datetime
    idle: float
    executor: str | None = None
    waiting_on: str | None = None
    process: str | None = None


class Stalled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of the items that were open at that time, and to which nothing had happened for so long."""

    position: int
    items: tuple[Still, ...] = ()
    next: str | None = None


class Spent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the time of one item went: seconds by place, and the share of each; the shares add up to 1."""

    work: str
    elapsed_s: float
    seconds: dict[Place, float]
    shares: dict[Place, float]
    worst: Place | None = None
    process: str | None = None


class Bottleneck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of items, in order of their ids; `seconds` and `shares` are of this page together."""

    position: int
    seconds: dict[Place, float]
    shares: dict[Place, float]
    items: tuple[Spent, ...] = ()
    next: str | None = None


def queue(rows: Rows, directory: Directory, asked: AskQueue) -> Queue:
    """What is to be taken up next: by priority, then by due time."""
    conditions, parameters = [f"state IN ({marks(_WAITING)})"], list[Any](_WAITING)
    if asked.process is not None:
        conditions.append("process = ?")
        parameters.append(asked.process)
    if asked.candidate is not None:
        mine = {asked.candidate, *(id for id in directory.participants if asked.candidate in directory.members(id))}
        found = rows.select(board.Row, " AND ".join(conditions), parameters, _TURN)
        found = [row for row in found if not row.kept.candidates or mine & set(row.kept.candidates)]
        start = next((n for n, row in enumerate(found, 1) if row.key == asked.after), 0)
        page, count = found[start : start + asked.limit + 1], len(found)
    else:
        where = " AND ".join(conditions)
        count = rows.count(board.Row, where, parameters)
        last = rows.get(board.Row, asked.after) if asked.after else None
        if last is not None:
            where += f" AND ({_TURN}) > (?, ?, ?, ?)"
            parameters += [_RANKS.index(last.priority), last.due_at or _NEVER, last.first_position, last.key]
        page = rows.select(board.Row, where, parameters, _TURN, asked.limit + 1)
    return Queue(
        position=rows.position,
        count=count,
        items=tuple(item(row, directory, rows.position) for row in page[: asked.limit]),
        next=next_key(page, asked.limit),
    )


def stalled(rows: Rows, directory: Directory, asked: AskStalled) -> Stalled:
    """The open items to which nothing has happened for so many times the time in which something was expected."""
    newest = rows.select(timeline.Row, "position <= ?", (rows.position,), "position DESC", 1)
    at = asked.at or (newest[0].recorded_at if newest else None)
    if at is None:
        return Stalled(position=rows.position)
    # No event is older than time itself, however long was asked for.
    since = at - min(at - _EVER, timedelta(seconds=min(asked.expected_s * asked.times, _SECONDS_MAX)))
    found: list[Still] = []
    for then in board.was(rows, AsOf(at=at), asked.after):
        if then.state in board.FINISHED or (asked.process is not None and then.process != asked.process):
            continue
        [last] = rows.select(
            timeline.Row, "stream = ? AND time <= ?", (f"work/{then.work}", at), "time DESC, position DESC", 1
        )
        if last.time <= since:
            found.append(
                Still(work=then.work, state=then.state, last_time=last.time, executor=then.executor,
                      waiting_on=then.waiting_on, process=then.process,
                      idle=(at - last.time).total_seconds() / asked.expected_s)
            )  # fmt: skip
            if len(found) > asked.limit:
                break
    items = tuple(found[: asked.limit])
    return Stalled(position=rows.position, items=items, next=items[-1].work if len(found) > asked.limit else None)


def bottleneck(rows: Rows, directory: Directory, asked: AskBottleneck) -> Bottleneck:
    """Where the time of work goes: unclear, waiting for somebody or an answer, in review, escalated, worked on."""
    conditions, parameters = ["key > ?"], list[Any]([asked.after])
    for column, value in (("key", asked.work), ("process", asked.process)):
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    page = rows.select(board.Row, " AND ".join(conditions), parameters, "key", asked.limit + 1)
    items = tuple(_spent(rows, row, asked.until) for row in page[: asked.limit])
    total = Counter[Place]()
    for each in items:
        total.update(each.seconds)
    return Bottleneck(
        position=rows.position,
        seconds=dict(total),
        shares=_shares(total),
        items=items,
        next=next_key(page, asked.limit),
    )


_WAITING: Final = ("discovered", "defined", "ready")
_RANKS: Final = ("critical", "high", "normal", "low")
_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
_EVER: Final = datetime.min.replace(tzinfo=UTC)
_SECONDS_MAX: Final = (_NEVER - _EVER).total_seconds()
_MICROSECOND: Final = timedelta(microseconds=1)
_TURN: Final = (
    f"CASE priority {' '.join(f'WHEN {name!r} THEN {rank}' for rank, name in enumerate(_RANKS))} END, "
    f"ifnull(due_at, {(_NEVER - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND}), first_position, key"
)


def _spent(rows: Rows, row: board.Row, until: datetime | None) -> Spent:
    told = rows.select(timeline.Row, "stream = ?", (f"work/{row.key}",), "time, position")
    spent = Counter[Place]()
    for place, time in _stays(told, until):
        spent[place] += time // _MICROSECOND
    seconds: dict[Place, float] = {place: spent[place] / 1e6 for place in spent if spent[place]}
    shares = _shares(spent)
    return Spent(
        work=row.key,
        process=row.process,
        elapsed_s=sum(spent.values()) / 1e6,
        seconds=seconds,
        shares=shares,
        worst=spent.most_common(1)[0][0] if shares else None,
    )


def _stays(told: Sequence[timeline.Row], until: datetime | None) -> Iterator[tuple[Place, timedelta]]:
    """Where an item was, and how long, one stay after the other; an end stops the clock until it is opened again."""
    life = Lifecycle()
    before: datetime | None = None
    for row in told:
        if until is not None and row.time > until:
            break
        if before is not None and life.state not in ENDED_STATES:
            yield _place(life), row.time - before
        life, before = step(life, timeline.restore(row)).after, row.time
    if until is not None and before is not None and life.state not in ENDED_STATES:
        yield _place(life), until - before


def _place(life: Lifecycle) -> Place:
    return "escalated" if life.blockers else PLACES[life.state]


def _shares(spent: Counter[Place]) -> dict[Place, float]:
    total = sum(spent.values())
    return {place: spent[place] / total for place in spent if spent[place]}
