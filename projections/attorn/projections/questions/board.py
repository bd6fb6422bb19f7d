"""Visibility: the work items as they are, as they were, and counted."""

import heapq
from collections import Counter
from datetime import datetime
from itertools import islice
from typing import Any, Final, get_args

import msgspec

from attorn.contracts.ids import Priority
from attorn.projections import accountability, board
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.lifecycle import State
from attorn.projections.questions.paging import FINISHED, Limit, each, marks, next_key


class AskBoard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`accountable` answers, `named` is whom the log names; `overdue_at`: open, and due by then."""

    state: State | None = None
    open: bool | None = None
    process: str | None = None
    accountable: str | None = None
    named: str | None = None
    executor: str | None = None
    waiting_on: str | None = None
    priority: Priority | None = None
    overdue_at: datetime | None = None
    after: str = ""
    limit: Limit = 100

    @property
    def is_long(self) -> bool:
        """Whether no index leads to just these items in order: then every one there is may be looked at."""
        return any(one is not None for one in (self.accountable, self.waiting_on, self.priority, self.overdue_at))


class AskBoardThen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    position: int | None = None
    at: datetime | None = None
    known_at: datetime | None = None
    state: State | None = None
    open: bool | None = None
    waiting_on: str | None = None
    process: str | None = None
    after: str = ""
    limit: Limit = 100


class AskBoardCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without any of these, now; with `at`, each item as it stood after what had happened to it by then."""

    position: int | None = None
    at: datetime | None = None
    known_at: datetime | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A work item as it is now. `accountable` answers for it, by `basis`; `actions` are what can be done to it."""

    work: str
    state: str
    cycle: int
    accountable: str | None
    basis: str
    first_position: int
    last_position: int
    first_time: datetime
    last_time: datetime
    events: int
    actions: tuple[str, ...]
    title: str | None = None
    accountable_name: str | None = None
    named: str | None = None
    process: str | None = None
    process_version: int | None = None
    parent_id: str | None = None
    outcome: str | None = None
    source: str | None = None
    priority: str = "normal"
    due_at: datetime | None = None
    executor: str | None = None
    team: str | None = None
    candidates: tuple[str, ...] = ()
    waiting_on: str | None = None
    questions: tuple[board.Question, ...] = ()
    open_escalations: int = 0
    defined_at: datetime | None = None
    submitted_at: datetime | None = None
    completed_at: datetime | None = None
    ended_at: datetime | None = None
    reopened: int = 0
    executor_changes: int = 0


class Board(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`count` items match, of which these are one page, in order of their ids."""

    position: int
    count: int
    items: tuple[Item, ...] = ()
    next: str | None = None


class BoardThen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of the items as they were, in order of their ids."""

    position: int
    items: tuple[board.Then, ...] = ()
    next: str | None = None


class BoardCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many items there are; `open` are neither handed in nor ended. `waiting_on` counts those in waiting_input."""

    position: int
    items: int
    open: int
    finished: int
    by_state: dict[str, int]
    waiting_on: dict[str, int]


def board_items(rows: Rows, directory: Directory, asked: AskBoard) -> Board:
    """The work items as they are now."""
    conditions, parameters = list[str](), list[Any]()
    for column in ("state", "process", "named", "executor", "waiting_on", "priority"):
        value = getattr(asked, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    if asked.open is not None:
        some = UNFINISHED if asked.open else FINISHED
        conditions.append(f"state IN ({marks(some)})")
        parameters += some
    if asked.overdue_at is not None:
        conditions.append(f"due_at <= ? AND state NOT IN ({marks(FINISHED)})")
        parameters += [asked.overdue_at, *FINISHED]
    if asked.accountable is not None:
        where, more = accountability.answers(directory, asked.accountable, AsOf(position=rows.position))
        conditions.append(where)
        parameters += more
    where = " AND ".join(conditions)
    if conditions == [f"state IN ({marks(UNFINISHED)})"] or conditions == [f"state IN ({marks(FINISHED)})"]:
        # One index has each state's items in order: the first of all are among the first of each.
        firsts = heapq.merge(*(
            (key for (key,) in rows.values(board.Row, ("key",), "state = ? AND key > ?", (state, asked.after), "key",
                                           asked.limit + 1))
            for state in parameters
        ))  # fmt: skip
        keys = list(islice(firsts, asked.limit + 1))
        page = rows.select(board.Row, f"key IN ({marks(keys)})", keys, "key")
    else:
        behind = " AND ".join([*conditions, "key > ?"])
        page = rows.select(board.Row, behind, [*parameters, asked.after], "key", asked.limit + 1)
    return Board(
        position=rows.position,
        count=rows.count(board.Row, where, parameters),
        items=tuple(item(row, directory, rows.position) for row in page[: asked.limit]),
        next=next_key(page, asked.limit),
    )


def board_then(rows: Rows, directory: Directory, asked: AskBoardThen) -> BoardThen:
    """The work items as they were at a position or at a time."""
    asof = AsOf(position=asked.position, at=asked.at, known_at=asked.known_at)
    found: list[board.Then] = []
    for then in board.was(rows, asof, asked.after):
        if (
            (asked.state is None or then.state == asked.state)
            and (asked.open is None or (then.state not in board.FINISHED) == asked.open)
            and (asked.waiting_on is None or then.waiting_on == asked.waiting_on)
            and (asked.process is None or then.process == asked.process)
        ):
            found.append(then)
            if len(found) > asked.limit:
                break
    items = tuple(found[: asked.limit])
    return BoardThen(position=rows.position, items=items, next=items[-1].work if len(found) > asked.limit else None)


def board_counts(rows: Rows, directory: Directory, asked: AskBoardCounts) -> BoardCounts:
    """How many items are in each state, now or then, and whom those wait for that wait."""
    by_state, waiting_on = Counter[str](), Counter[str]()
    if asked == AskBoardCounts():
        by_state.update({state: rows.count(board.Row, "state = ?", (state,)) for state in STATES})
        for row in each(rows, board.Row, "state = ?", ("waiting_input",)):
            waiting_on[row.waiting_on or ""] += 1
    else:
        for then in board.was(rows, AsOf(position=asked.position, at=asked.at, known_at=asked.known_at)):
            by_state[then.state] += 1
            if then.state == "waiting_input":
                waiting_on[then.waiting_on or ""] += 1
    finished = sum(by_state[state] for state in board.FINISHED)
    return BoardCounts(
        position=rows.position,
        items=by_state.total(),
        open=by_state.total() - finished,
        finished=finished,
        by_state={state: by_state[state] for state in STATES if by_state[state]},
        waiting_on=dict(waiting_on.most_common()),
    )


def item(row: board.Row, directory: Directory, position: int) -> Item:
    answer = directory.answerable(row.named, row.process, row.source, AsOf(position=position))
    return Item(
        work=row.key,
        state=row.state,
        cycle=row.cycle,
        accountable=answer.person,
        accountable_name=directory.name(answer.person) if answer.person is not None else None,
        basis=answer.basis,
        actions=board.actions(row),
        candidates=row.kept.candidates,
        questions=row.kept.questions,
        **{name: getattr(row, name) for name in _SHARED},
    )


_SHARED: Final = tuple(
    name for name in Item.__struct_fields__ if name in board.Row.__struct_fields__ and name not in ("state", "cycle")
)


STATES: Final = tuple(state for state in get_args(State) if state)
UNFINISHED: Final = [state for state in STATES if state not in FINISHED]
