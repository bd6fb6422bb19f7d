"""Visibility: what work is for, how much of it is verifiably done, and what that cost."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts.outcome import OutcomeDefined
from attorn.contracts.work import WorkVerified
from attorn.projections import activity, board, timeline
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import ENDED, PAGE, Limit, each, next_key

Month: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d$", description="A month, in UTC.")]


class AskOutcomes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` and `limit` are of the open work that names no outcome."""

    process: str | None = None
    after: str = ""
    limit: Limit = 100


class AskCompletions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By who carried the work out, by who answers for it, or by its process; months are in UTC, both included."""

    by: Literal["executor", "accountable", "process"] = "executor"
    from_month: Month = "0001-01"
    until_month: Month = "9999-12"


class AskCosts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the executions of `who`, of a process, of what serves an outcome; months are in UTC, both included."""

    who: str | None = None
    process: str | None = None
    outcome: str | None = None
    from_month: Month = "0001-01"
    until_month: Month = "9999-12"


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome, and how much work serves it; of the `items`, so many are open, and so many verified or completed."""

    outcome: str
    items: int
    open: int
    verified: int


class Outcomes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every outcome; those that no work serves; and one page of the open work that serves none.

    `unserved` are outcomes without work. `aimless` is how many open items name no outcome, or one that nobody defined;
    `works` is one page of them.
    """

    position: int
    outcomes: tuple[Served, ...]
    unserved: tuple[str, ...]
    aimless: int
    works: tuple[str, ...] = ()
    next: str | None = None


class Completed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many items somebody brought to a verified end; `actions` is what they did for it, and ranks nobody."""

    of: str
    name: str
    verified: int
    months: dict[str, int]
    actions: int = 0
    kind: str | None = None


class Completions(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever completed most comes first, and of equals whoever did less for it.

    An item counts in the month in which its last cycle was verified. Leverage is verified completions for each person
    who answers for any work that was there in that month.
    """

    position: int
    verified: int
    ranked: tuple[Completed, ...]
    months: dict[str, int]
    people: dict[str, int]
    leverage: dict[str, float]


class Cost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the executions that ended in one month used up, of one participant, in one process, for one outcome."""

    month: str
    who: str | None
    process: str | None
    outcome: str | None
    executions: int
    tokens: int
    human_seconds: int
    money: dict[str, str]


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What executions used up, by month, participant, process and outcome; the totals are of all these together.

    `money` is by currency, as decimal numbers. An execution that was reported more than once counts as last reported.
    `verified` is how many of the items that it was spent on are verified or completed now, and `each` what one of those
    cost, by currency.
    """

    position: int
    costs: tuple[Cost, ...]
    executions: int
    tokens: int
    human_seconds: int
    money: dict[str, str]
    items: int
    verified: int
    each: dict[str, str]


def outcomes(rows: Rows, directory: Directory, asked: AskOutcomes) -> Outcomes:
    """What work is for: the outcomes that no work serves, and the open work that serves no outcome."""
    defined = dict.fromkeys(row.id for row in _told(rows, OutcomeDefined.type))
    counts: dict[str, Counter[str]] = {id: Counter() for id in defined}
    aimless = 0
    works: list[board.Row] = []
    for row in _of(rows, asked.process):
        told = counts.get(row.outcome or "")
        if told is not None:
            told.update(items=1, open=row.state not in board.FINISHED, verified=row.state in _VERIFIED)
        elif row.state not in ENDED:
            aimless += 1
            if row.key > asked.after and len(works) <= asked.limit:
                works.append(row)
    return Outcomes(
        position=rows.position,
        outcomes=tuple(
            Served(outcome=id, items=told["items"], open=told["open"], verified=told["verified"])
            for id, told in sorted(counts.items())
        ),
        unserved=tuple(id for id, told in sorted(counts.items()) if not told["items"]),
        aimless=aimless,
        works=tuple(row.key for row in works[: asked.limit]),
        next=next_key(works, asked.limit),
    )


def completions(rows: Rows, directory: Directory, asked: AskCompletions) -> Completions:
    """Who brought how much work to a verified end, most first, month by month; activity ranks nobody."""
    asof = AsOf(position=rows.position)
    at = {row.id: _month(row.time) for row in _told(rows, WorkVerified.type)}
    every = set(at.values())
    counts: dict[str, Counter[str]] = {}
    months, people = Counter[str](), dict[str, set[str]]()
    if asked.by == "executor":
        counts = {id: Counter() for id, who in directory.participants.items() if who.kind == "agent"}
    for row in _of(rows, None):
        person = directory.answerable(row.named, row.process, row.source, asof).person
        for month in _while(row, every):
            people.setdefault(month, set()).add(person or "")
        verified = at.get(row.key)
        if row.state not in _VERIFIED or verified is None or not asked.from_month <= verified <= asked.until_month:
            continue
        months[verified] += 1
        of = {"executor": row.kept.last_executor, "accountable": person, "process": row.process}[asked.by]
        counts.setdefault(of or "", Counter())[verified] += 1
    actions = _actions(rows) if asked.by == "executor" else Counter[str]()
    ranked = [
        Completed(of=id, name=directory.name(id), kind=directory.kind(id), verified=told.total(),
                  months=dict(sorted(told.items())), actions=actions[id])
        for id, told in counts.items()
    ]  # fmt: skip
    return Completions(
        position=rows.position,
        verified=months.total(),
        ranked=tuple(sorted(ranked, key=lambda one: (-one.verified, one.actions, one.of))),
        months=dict(sorted(months.items())),
        people={month: len(people[month]) for month in sorted(months)},
        leverage={month: months[month] / len(people[month]) for month in sorted(months)},
    )


def costs(rows: Rows, directory: Directory, asked: AskCosts) -> Costs:
    """What executions used up: money, tokens and people's time, by month, participant, process and outcome."""
    items = {row.key: row for row in _of(rows, asked.process)}
    lines: dict[tuple[str, str | None, str | None, str | None], _Sum] = {}
    total, works = _Sum(), set[str]()
    for row in each(rows, activity.Row, "kind = 'execution'", ()):
        ran, item = row.ran, items.get(row.work or "")
        if ran is None or ran.ended_time is None or item is None:
            continue
        month = _month(ran.ended_time)
        if not asked.from_month <= month <= asked.until_month:
            continue
        if asked.who not in (None, row.who) or asked.outcome not in (None, item.outcome):
            continue
        works.add(item.key)
        for sum_ in (total, lines.setdefault((month, row.who, item.process, item.outcome), _Sum())):
            sum_.add(ran)
    verified = sum(items[work].state in _VERIFIED for work in works)
    return Costs(
        position=rows.position,
        costs=tuple(
            Cost(month=month, who=who, process=process, outcome=outcome, executions=told.executions,
                 tokens=told.tokens, human_seconds=told.human_seconds, money=_said(told.money))
            for (month, who, process, outcome), told in sorted(lines.items(), key=lambda line: str(line[0]))
        ),
        executions=total.executions,
        tokens=total.tokens,
        human_seconds=total.human_seconds,
        money=_said(total.money),
        items=len(works),
        verified=verified,
        each=_said({currency: sum_ / verified for currency, sum_ in total.money.items()}) if verified else {},
    )  # fmt: skip


_VERIFIED: Final = ("verified", "completed")


class _Sum:
    def __init__(self) -> None:
        self.executions = self.tokens = self.human_seconds = 0
        self.money: dict[str, Decimal] = {}

    def add(self, ran: activity.Ran) -> None:
        self.executions += 1
        self.tokens += ran.tokens
        self.human_seconds += ran.human_seconds
        if ran.money is not None:
            before = self.money.get(ran.money.currency, Decimal())
            self.money[ran.money.currency] = before + Decimal(ran.money.amount)


def _said(money: dict[str, Decimal]) -> dict[str, str]:
    return {currency: f"{money[currency]:f}" for currency in sorted(money)}


def _of(rows: Rows, process: str | None) -> Iterator[board.Row]:
    where, parameters = ("1=1", ()) if process is None else ("process = ?", (process,))
    return each(rows, board.Row, where, parameters)


def _told(rows: Rows, type: str) -> Iterator[timeline.Row]:
    """Every event of one type, in log order."""
    after = 0
    while True:
        page = rows.select(timeline.Row, "type = ? AND position > ?", (type, after), "position", PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].position


def _month(time: datetime) -> str:
    return f"{time:%Y-%m}"


def _while(row: board.Row, months: set[str]) -> Iterator[str]:
    """The months of these in which an item was there, and not yet ended when they began."""
    begun, ended = _month(row.first_time), _month(row.ended_at) if row.ended_at is not None else "9999-12"
    return (month for month in months if begun <= month <= ended)


def _actions(rows: Rows) -> Counter[str]:
    """How many actions each participant took, those that systems report of them included."""
    by = {row.key: row.who for row in each(rows, activity.Row, "kind = 'execution'", ())}
    found = Counter[str]()
    for row in each(rows, activity.Row, "kind <> 'execution'", ()):
        who: Any = row.who if row.kind == "day" else by.get(row.key.rpartition("/")[0])
        if who is not None:
            found[who] += (row.did or {}).get("action", 0)
    return found
