"""Ownership: who answers for a work item, who did, and all that one person answers for."""

from datetime import datetime

import msgspec

from attorn.contracts.ids import Count, Timestamp
from attorn.projections import accountability, board
from attorn.projections.accountability import Interval, Who
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import ENDED, NOT_ENDED, Limit, next_key


class AskWho(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`position`: as of that place in the log. `at`: at that time. `known_at`: as it was known at that time.

    `away_at`: whether they are away at that time; by default `at`, or when the last event that counts was recorded.
    """

    work: str
    position: Count | None = None
    at: Timestamp | None = None
    known_at: Timestamp | None = None
    away_at: Timestamp | None = None


class AskIntervals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after`: only those that begin behind this position."""

    work: str
    position: Count | None = None
    after: Count = 0
    limit: Limit = 1_000


class AskAnswersFor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ended`: also what has ended, since accountability does not end with the work."""

    person: str
    ended: bool = False
    after: str = ""
    limit: Limit = 100


class Intervals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who answered for an item from its first event on, without a gap, a page of it; `problem` when there is no such
    item."""

    work: str
    position: int
    intervals: tuple[Interval, ...] = ()
    next: int | None = None
    problem: str | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item that a person answers for, and why they do."""

    work: str
    title: str | None
    state: str
    basis: str
    named: str | None = None
    due_at: datetime | None = None
    steps: tuple[str, ...] = ()


class AnswersFor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person answers for now: `count` items in all, of which these are one page."""

    person: str
    name: str
    position: int
    count: int
    items: tuple[Held, ...] = ()
    next: str | None = None
    problem: str | None = None


def who(rows: Rows, directory: Directory, asked: AskWho) -> Who:
    """Who answers for a work item, and why."""
    return accountability.who(
        rows,
        directory,
        asked.work,
        position=asked.position,
        at=asked.at,
        known_at=asked.known_at,
        away_at=asked.away_at,
    )


def intervals(rows: Rows, directory: Directory, asked: AskIntervals) -> Intervals:
    """Who has answered for a work item, from its first event on."""
    found = accountability.intervals(rows, directory, asked.work, position=asked.position)
    if found:
        page = [interval for interval in found if interval.from_position > asked.after][: asked.limit + 1]
        return Intervals(
            work=asked.work,
            position=rows.position,
            intervals=tuple(page[: asked.limit]),
            next=page[asked.limit - 1].from_position if len(page) > asked.limit else None,
        )
    problem = accountability.who(rows, directory, asked.work, position=asked.position).problem
    return Intervals(work=asked.work, position=rows.position, problem=problem)


def answers_for(rows: Rows, directory: Directory, asked: AskAnswersFor) -> AnswersFor:
    """Everything that a person answers for now: named, as successor, or because nobody else does."""
    asof = AsOf(position=rows.position)
    person = directory.name(asked.person)
    is_last = directory.answerable(None, asof=asof).person == asked.person
    if not is_last and not directory.is_person(asked.person, asof):
        problem = f"{asked.person} is not a person who is here"
        return AnswersFor(person=asked.person, name=person, position=rows.position, count=0, problem=problem)
    where, parameters = accountability.answers(directory, asked.person, asof)
    if not asked.ended:
        where, parameters = f"({where}) AND {NOT_ENDED}", [*parameters, *ENDED]
    page = rows.select(board.Row, f"{where} AND key > ?", [*parameters, asked.after], "key", asked.limit + 1)
    items = []
    for row in page[: asked.limit]:
        answer = directory.answerable(row.named, row.process, row.source, asof)
        items.append(Held(work=row.key, title=row.title, state=row.state, basis=answer.basis, named=row.named,
                          due_at=row.due_at, steps=answer.steps))  # fmt: skip
    return AnswersFor(
        person=asked.person,
        name=person,
        position=rows.position,
        count=rows.count(board.Row, where, parameters),
        items=tuple(items),
        next=next_key(page, asked.limit),
    )
