"""Visibility: what work is for, how much of it is verifiably done, and what that cost."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts.outcome import OutcomeDefined
from attorn.contracts.work import WorkVerified
from attorn.projections import activity, board, timeline
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import ENDED, Limit, as_of, each_values, marks

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
    after: str = ""
    limit: Limit = 100


class AskCosts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the executions of `who`, of a process, of what serves an outcome; months are in UTC, both included."""

    who: str | None = None
    process: str | None = None
    outcome: str | None = None
    from_month: Month = "0001-01"
    until_month: Month = "9999-12"
    after: str = ""
    limit: Limit = 100


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


class Completions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whoever completed most comes first, and of equals whoever did less for it; `ranked` is one page of them.

    All else is of everybody. An item counts in the month in which its last cycle was verified. Leverage is verified
    completions for each person who answers for any work that was there in that month.
    """

    position: int
    verified: int
    ranked: tuple[Completed, ...]
    months: dict[str, int]
    people: dict[str, int]
    leverage: dict[str, float]
    next: str | None = None


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


class Costs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What executions used up, by month, participant, process and outcome, in this order; `costs` is one page of it.

    The totals are of all these together, on whatever page.

    `money` is by currency, as decimal numbers. An execution whose end was reported more than once counts as it was
    reported first. `verified` is how many of the items that it was spent on are verified or completed now, and `each`
    what one of those cost, by currency.
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
    next: str | None = None


def outcomes(rows: Rows, directory: Directory, asked: AskOutcomes) -> Outcomes:
    """What work is for: the outcomes that no work serves, and the open work that serves no outcome."""
    counts: dict[str, Counter[str]] = {id: Counter() for id, _ in _told(rows, OutcomeDefined.type)}
    aimless = 0
    works: list[str] = []
    for work, outcome, state in _of(rows, ("key", "outcome", "state"), asked.process):
        told = counts.get(outcome or "")
        if told is not None:
            told.update(items=1, open=state not in board.FINISHED, verified=state in _VERIFIED)
        elif state not in ENDED:
            aimless += 1
            if work > asked.after and len(works) <= asked.limit:
                works.append(work)
    return Outcomes(
        position=rows.position,
        outcomes=tuple(
            Served(outcome=id, items=told["items"], open=told["open"], verified=told["verified"])
            for id, told in sorted(counts.items())
        ),
        unserved=tuple(id for id, told in sorted(counts.items()) if not told["items"]),
        aimless=aimless,
        works=tuple(works[: asked.limit]),
        next=works[asked.limit - 1] if len(works) > asked.limit else None,
    )


def completions(rows: Rows, directory: Directory, asked: AskCompletions) -> Completions:
    """Who brought how much work to a verified end, most first, month by month; activity ranks nobody."""
    asof = as_of(rows, directory)
    at = {id: _month(time) for id, time in _told(rows, WorkVerified.type)}
    every = sorted(set(at.values()))
    counts: dict[str, Counter[str]] = {}
    months, people = Counter[str](), dict[str, set[str]]()
    executors = dict[str, str | None]()
    if asked.by == "executor":
        counts = {id: Counter() for id, who in directory.participants.items() if who.kind == "agent"}
        verified_now = f"state IN ({marks(_VERIFIED)})"
        kept = each_values(rows, board.Row, ("key", "kept"), verified_now, _VERIFIED)
        executors = {work: said.last_executor for work, said in kept}
    answers: dict[tuple[Any, ...], str | None] = {}
    during: dict[tuple[str | None, str, str], None] = {}
    columns = ("key", "state", "named", "process", "source", "first_time", "ended_at")
    for work, state, named, process, source, begun, ended in _of(rows, columns, None):
        if (named, process, source) not in answers:
            answers[named, process, source] = directory.answerable(named, process, source, asof).person
        person = answers[named, process, source]
        during[person, _month(begun), _month(ended) if ended is not None else "9999-12"] = None
        verified = at.get(work)
        if state not in _VERIFIED or verified is None or not asked.from_month <= verified <= asked.until_month:
            continue
        months[verified] += 1
        of = executors.get(work) if asked.by == "executor" else person if asked.by == "accountable" else process
        counts.setdefault(of or "", Counter())[verified] += 1
    # Of each person and each stretch of months once, however many items there are.
    for person, first, last in during:
        for month in every:
            if first <= month <= last:
                people.setdefault(month, set()).add(person or "")
    actions = _actions(rows) if asked.by == "executor" else Counter[str]()
    turns = sorted((_turn(told.total(), actions[id], id), id) for id, told in counts.items())
    page = [(turn, id) for turn, id in turns if turn > asked.after][: asked.limit + 1]
    return Completions(
        position=rows.position,
        verified=months.total(),
        ranked=tuple(
            Completed(of=id, name=directory.name(id), kind=directory.kind(id), verified=counts[id].total(),
                      months=dict(sorted(counts[id].items())), actions=actions[id])
            for _, id in page[: asked.limit]
        ),
        months=dict(sorted(months.items())),
        people={month: len(people[month]) for month in sorted(months)},
        leverage={month: months[month] / len(people[month]) for month in sorted(months)},
        next=page[asked.limit - 1][0] if len(page) > asked.limit else None,
    )  # fmt: skip


def costs(rows: Rows, directory: Directory, asked: AskCosts) -> Costs:
    """What executions used up: money, tokens and people's time, by month, participant, process and outcome."""
    items = {work: said for work, *said in _of(rows, ("key", "process", "outcome", "state"), asked.process)}
    lines: dict[tuple[str, str | None, str | None, str | None], _Sum] = {}
    total, works = _Sum(), set[str]()
    theirs, parameters = ("who = ? AND", (asked.who,)) if asked.who is not None else ("", ())
    columns = ("key", "who", "work", "ran")
    for _, who, work, ran in each_values(rows, activity.Row, columns, f"{theirs} kind = 'execution'", parameters):
        item = items.get(work or "")
        if ran is None or ran.ended_time is None or item is None:
            continue
        month = _month(ran.ended_time)
        if not asked.from_month <= month <= asked.until_month:
            continue
        process, outcome, _ = item
        if asked.outcome not in (None, outcome):
            continue
        works.add(work)
        for sum_ in (total, lines.setdefault((month, who, process, outcome), _Sum())):
            sum_.add(ran)
    verified = sum(items[work][2] in _VERIFIED for work in works)
    turns = sorted(("/".join(part or "" for part in line), line) for line in lines)
    page = [(turn, line) for turn, line in turns if turn > asked.after][: asked.limit + 1]
    return Costs(
        position=rows.position,
        costs=tuple(
            Cost(month=month, who=who, process=process, outcome=outcome, executions=told.executions,
                 tokens=told.tokens, human_seconds=told.human_seconds, money=_said(told.money))
            for month, who, process, outcome in (line for _, line in page[: asked.limit])
            for told in (lines[month, who, process, outcome],)
        ),
        executions=total.executions,
        tokens=total.tokens,
        human_seconds=total.human_seconds,
        money=_said(total.money),
        items=len(works),
        verified=verified,
        each=_said({currency: sum_ / verified for currency, sum_ in total.money.items()}) if verified else {},
        next=page[asked.limit - 1][0] if len(page) > asked.limit else None,
    )  # fmt: skip


_VERIFIED: Final = ("verified", "completed")


def _turn(verified: int, actions: int, of: str) -> str:
    """Where somebody stands in the ranking, as text."""
    return f"{10**12 - verified:013}/{actions:013}/{of}"


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


def _of(rows: Rows, columns: Sequence[str], process: str | None) -> Iterator[Sequence[Any]]:
    where, parameters = ("1=1", ()) if process is None else ("process = ?", (process,))
    return each_values(rows, board.Row, columns, where, parameters)


def _told(rows: Rows, type: str) -> Iterator[tuple[str, datetime]]:
    """What every event of one type is about, and when it happened, in log order."""
    for _, stream, time in each_values(rows, timeline.Row, ("position", "stream", "time"), "type = ?", (type,)):
        yield stream.partition("/")[2], time


def _month(time: datetime) -> str:
    return f"{time.year:04}-{time.month:02}"


def _actions(rows: Rows) -> Counter[str]:
    """How many actions each participant took, those that systems report of them included."""
    by: dict[str, str | None] = {}
    found = Counter[str]()
    # An execution's key begins those of its days, and so comes before them.
    for key, kind, who, did in each_values(rows, activity.Row, ("key", "kind", "who", "did"), "1=1"):
        if kind == "execution":
            by[key] = who
            continue
        acting = who if kind == "day" else by.get(key.rpartition("/")[0])
        if acting is not None and did is not None:
            found[acting] += did.get("action", 0)
    return found
