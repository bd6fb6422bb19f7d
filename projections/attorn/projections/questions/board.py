"""Visibility: the work items as they are, as they were, and counted."""

import heapq
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Any, Final, get_args

import msgspec

from attorn.contracts.ids import Count, Priority, Timestamp
from attorn.projections import accountability, board
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.lifecycle import State
from attorn.projections.questions.paging import FINISHED, Limit, as_of, each, marks


class AskBoard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`accountable` answers, `named` is whom the log names; `overdue_at`: open, and due by then.

    `failed`: only those after whose failed execution nothing goes on, or only the others.
    """

    state: State | None = None
    open: bool | None = None
    process: str | None = None
    accountable: str | None = None
    named: str | None = None
    executor: str | None = None
    waiting_on: str | None = None
    priority: Priority | None = None
    overdue_at: Timestamp | None = None
    failed: bool | None = None
    after: str = ""
    limit: Limit = 100

    @property
    def is_long(self) -> bool:
        """Whether no index leads to just these items in order: then every one there is may be looked at."""
        narrowed = (self.accountable, self.waiting_on, self.priority, self.overdue_at)
        return self.failed is False or any(one is not None for one in narrowed)


class AskBoardThen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`accountable` answered then, by what is known at `known_at`; by default, by all that is known."""

    position: Count | None = None
    at: Timestamp | None = None
    known_at: Timestamp | None = None
    state: State | None = None
    open: bool | None = None
    accountable: str | None = None
    executor: str | None = None
    waiting_on: str | None = None
    process: str | None = None
    after: str = ""
    limit: Limit = 100


class AskBoardCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without any of these, now; with `at`, each item as it stood after what had happened to it by then."""

    position: Count | None = None
    at: Timestamp | None = None
    known_at: Timestamp | None = None


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """A work item as it is now. `accountable` answers for it, by `basis`; `actions` are what can be done to it.

    `failure` is the execution that failed, and after which nothing goes on.
    """

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
    failure: board.Failure | None = None


class Board(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of the items that match, in order of their ids.

    The first page says how many match, as `count`; of more than 1,000 it says 1,000, and looks no
    further. A page that goes on behind another does not count again.
    """

    position: int
    count: int | None = None
    items: tuple[Item, ...] = ()
    next: str | None = None


class ItemThen(board.Then, frozen=True, kw_only=True):
    """A work item as it was, and who answered for it."""

    accountable: str | None


class BoardThen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of the items as they were, in order of their ids."""

    position: int
    items: tuple[ItemThen, ...] = ()
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
    if asked.failed is not None:
        conditions.append(f"failed_position IS {'NOT ' if asked.failed else ''}NULL")
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
        page = rows.values(board.Row, _COLUMNS, f"key IN ({marks(keys)})", keys, "key")
    else:
        behind = " AND ".join([*conditions, "key > ?"])
        page = rows.values(board.Row, _COLUMNS, behind, [*parameters, asked.after], "key", asked.limit + 1)
    return Board(
        position=rows.position,
        count=rows.count(board.Row, where, parameters, COUNTED_MAX) if not asked.after else None,
        items=_items(page[: asked.limit], directory, as_of(rows, directory)),
        next=page[asked.limit - 1][0] if len(page) > asked.limit else None,
    )


def board_then(rows: Rows, directory: Directory, asked: AskBoardThen) -> BoardThen:
    """The work items as they were at a position or at a time."""
    asof = AsOf(position=asked.position, at=asked.at, known_at=asked.known_at)
    fitting = (
        then
        for then in board.was(rows, asof, asked.after)
        if (asked.state is None or then.state == asked.state)
        and (asked.open is None or (then.state not in board.FINISHED) == asked.open)
        and (asked.executor is None or then.executor == asked.executor)
        and (asked.waiting_on is None or then.waiting_on == asked.waiting_on)
        and (asked.process is None or then.process == asked.process)
    )
    found: list[ItemThen] = []
    # Of those that somebody answered for there may be few among many.
    size = asked.limit + 1 if asked.accountable is None else max(asked.limit + 1, _SOME)
    while len(found) <= asked.limit and (some := list(islice(fitting, size))):
        answered = accountability.answered(rows, directory, [then.work for then in some], asof)
        found += (
            ItemThen(accountable=answered.get(then.work), **msgspec.structs.asdict(then))
            for then in some
            if asked.accountable is None or answered.get(then.work) == asked.accountable
        )
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
    [found] = _items([_values(row)], directory, AsOf(position=position))
    return found


def _items(page: Sequence[Sequence[Any]], directory: Directory, asof: AsOf) -> tuple[Item, ...]:
    """Each of these, which are the values of `_COLUMNS`."""
    answers: dict[tuple[Any, ...], tuple[str | None, str | None, str]] = {}
    found = list[Item]()
    # A page is made as often as somebody looks, and in the one thread that folds too: so of each item nothing is read
    # but what it shows, and who answers is resolved once for those that say the same of it.
    for (work, state, cycle, first_position, last_position, first_time, last_time, events, title, named, process,
         version, parent, outcome, source, priority, due, executor, team, waiting_on, inputs, escalations, defined,
         submitted, completed, ended, reopened, executors, kept) in page:  # fmt: skip
        of = (named, process, source)
        answer = answers.get(of)
        if answer is None:
            resolved = directory.answerable(named, process, source, asof)
            person = resolved.person
            name = directory.name(person) if person is not None else None
            answer = answers[of] = (person, name, resolved.basis)
        actions = board.possible(kept.life, defined is not None, inputs > 0, escalations > 0)
        found.append(
            Item(work, state, cycle, answer[0], answer[2], first_position, last_position, first_time, last_time,
                 events, actions, title, answer[1], named, process, version, parent, outcome, source, priority, due,
                 executor, team, kept.candidates, waiting_on, kept.questions, escalations, defined, submitted,
                 completed, ended, reopened, executors, kept.failure)
        )  # fmt: skip
    return tuple(found)


_COLUMNS: Final = (
    "key", "state", "cycle", "first_position", "last_position", "first_time", "last_time", "events", "title", "named",
    "process", "process_version", "parent_id", "outcome", "source", "priority", "due_at", "executor", "team",
    "waiting_on", "open_inputs", "open_escalations", "defined_at", "submitted_at", "completed_at", "ended_at",
    "reopened", "executor_changes", "kept",
)  # fmt: skip
_values: Final = attrgetter(*_COLUMNS)

_SOME: Final = 500

COUNTED_MAX: Final = 1_000
"""How many items are counted at most, to say how many match."""

STATES: Final = tuple(state for state in get_args(State) if state)
UNFINISHED: Final = [state for state in STATES if state not in FINISHED]
