"""Visibility: what each participant did, people and agents alike; and who contributed what to one work item."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Final, TypeAlias

import msgspec

from attorn.contracts.ids import Count
from attorn.projections import activity, board, controls, timeline
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import PAGE, Limit, marks

Date: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$", description="A day, in UTC.")]


class AskActivity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `who` did, day by day: the latest first. `from_day` and `until_day` are days, in UTC, both included."""

    who: str
    from_day: Date = "0001-01-01"
    until_day: Date = "9999-12-31"
    after: str = ""
    limit: Limit = 31


class AskActivityEvents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The events behind one day's counts, in log order, from behind position `after` on."""

    who: str
    day: Date
    after: Count = 0
    limit: Limit = 100


class AskContributions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` and `limit` are of the events that are listed; outputs and shares are always of the whole item."""

    work: str
    after: Count = 0
    limit: Limit = 1_000


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One day of one participant: what they did, how often; `outputs` by whose contribution they are."""

    day: str
    total: int
    did: dict[str, int]
    outputs: dict[str, int]


class Activity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of days on which somebody did something, the latest first.

    `complete` is False where systems report of more executions in those days than were looked at: ask for fewer days.
    """

    who: str
    name: str
    position: int
    kind: str | None = None
    days: tuple[Day, ...] = ()
    next: str | None = None
    complete: bool = True


class Deed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that somebody did."""

    position: int
    event_id: str
    time: datetime
    did: str
    stream: str
    summary: str


class Deeds(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    who: str
    day: str
    position: int
    events: tuple[Deed, ...] = ()
    next: int | None = None
    problem: str | None = None


class Contributor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who had a part in an item, by which events. `share` is that of the item's outputs which they made."""

    who: str
    name: str
    kind: str | None
    events: tuple[str, ...]
    did: dict[str, int]
    outputs: tuple[str, ...] = ()
    share: float = 0.0


class Contributions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everybody who had a part in an item; the shares add up to 1 when there is any output.

    `outputs` counts them by whose contribution they are: human, ai, ai_assisted, mixed, or unsaid.
    """

    work: str
    position: int
    contributors: tuple[Contributor, ...] = ()
    outputs: dict[str, int] = {}
    next: int | None = None
    problem: str | None = None


def days(rows: Rows, directory: Directory, asked: AskActivity) -> Activity:
    """What a participant did, day by day: outputs, actions, contributions."""
    before = min(asked.until_day, asked.after or asked.until_day)
    did: dict[str, Counter[str]] = {}
    outputs: dict[str, Counter[str]] = {}
    last = ""
    own = rows.select(
        activity.Row,
        f"who = ? AND kind = 'day' AND until >= ? AND until {'<' if asked.after else '<='} ?",
        (asked.who, asked.from_day, before),
        "until DESC",
        asked.limit + 1,
    )
    if len(own) > asked.limit:
        last = own[asked.limit - 1].day
    for row in own[: asked.limit]:
        did.setdefault(row.day, Counter()).update(row.did or {})
        outputs.setdefault(row.day, Counter()).update(row.outputs or {})
    since = max(asked.from_day, last)
    reported = _reported(rows, asked.who, since, before)
    for execution in reported[:PAGE]:
        start, end = f"{execution.key}/{since}", f"{execution.key}/{before}~"
        for row in rows.select(activity.Row, "key >= ? AND key < ?", (start, end)):
            if not asked.after or row.day < asked.after:
                did.setdefault(row.day, Counter()).update(row.did or {})
                outputs.setdefault(row.day, Counter()).update(row.outputs or {})
    found = sorted(did, reverse=True)
    page = found[: asked.limit]
    return Activity(
        who=asked.who,
        name=directory.name(asked.who),
        position=rows.position,
        kind=directory.kind(asked.who),
        days=tuple(
            Day(day=day, total=did[day].total(), did=dict(did[day].most_common()), outputs=dict(outputs.get(day, {})))
            for day in page
        ),
        next=page[-1] if len(found) > asked.limit or len(own) > asked.limit else None,
        complete=len(reported) <= PAGE,
    )


def deeds(rows: Rows, directory: Directory, asked: AskActivityEvents) -> Deeds:
    """The events behind what a participant did on one day."""
    try:
        begin = datetime.fromisoformat(f"{asked.day}T00:00:00+00:00")
    except ValueError:
        problem = f"there is no day {asked.day}"
        return Deeds(who=asked.who, day=asked.day, position=rows.position, problem=problem)
    end = datetime.fromisoformat(f"{asked.day}T23:59:59.999999+00:00")
    types = list(activity.DID)
    found: list[timeline.Row] = rows.select(
        timeline.Row,
        f"actor = ? AND position > ? AND time BETWEEN ? AND ? AND type IN ({marks(types)})",
        (asked.who, asked.after, begin, end, *types),
        "position",
        asked.limit + 1,
    )
    for execution in _reported(rows, asked.who, asked.day, asked.day):
        work, _, id = execution.key.rpartition("/x/")
        told = rows.select(
            timeline.Row,
            "stream = ? AND position > ? AND time BETWEEN ? AND ? AND reference = ?",
            (f"work/{work}", asked.after, begin, end, id),
            "position",
            asked.limit + 1,
        )
        found += [
            row
            for row in told
            if _in_execution(row) and row.actor != asked.who and _maker(rows, directory, row) == asked.who
        ]
    found.sort(key=lambda row: row.position)
    return Deeds(
        who=asked.who,
        day=asked.day,
        position=rows.position,
        events=tuple(
            Deed(position=row.position, event_id=row.event_id, time=row.time, did=activity.DID[row.type],
                 stream=row.stream, summary=row.summary)
            for row in found[: asked.limit]
        ),
        next=found[asked.limit - 1].position if len(found) > asked.limit else None,
    )  # fmt: skip


def contributions(rows: Rows, directory: Directory, asked: AskContributions) -> Contributions:
    """Everybody who had a part in a work item, by which events, and whose its outputs are."""
    if rows.get(board.Row, asked.work) is None:
        problem = f"{asked.work} is not on the log"
        return Contributions(work=asked.work, position=rows.position, problem=problem)
    where = "stream = ? AND position > ?"
    told = rows.select(timeline.Row, where, (f"work/{asked.work}", asked.after), "position", asked.limit + 1)
    who_did: dict[str, list[timeline.Row]] = {}
    for row in told[: asked.limit]:
        if row.type in activity.DID and (who := _maker(rows, directory, row)) is not None:
            who_did.setdefault(who, []).append(row)
    made: dict[str, list[str]] = {}
    kinds = Counter[str]()
    outputs = rows.select(controls.Row, "key BETWEEN ? AND ?", (f"{asked.work}/o/", f"{asked.work}/o/~"), "key")
    for output in outputs:
        execution = rows.get(activity.Row, output.execution) if output.execution is not None else None
        maker = execution.who if execution is not None and execution.who is not None else output.produced_by
        made.setdefault(maker or _NOBODY, []).append(output.output or "")
        kinds[output.contribution or "unsaid"] += 1
    return Contributions(
        work=asked.work,
        position=rows.position,
        contributors=tuple(
            Contributor(
                who=who,
                name=directory.name(who),
                kind=directory.kind(who),
                events=tuple(row.event_id for row in who_did.get(who, ())),
                did=dict(Counter(activity.DID[row.type] for row in who_did.get(who, ())).most_common()),
                outputs=tuple(made.get(who, ())),
                share=len(made.get(who, ())) / len(outputs) if outputs else 0.0,
            )
            for who in dict.fromkeys((*who_did, *made))
        ),
        outputs=dict(kinds),
        next=told[asked.limit - 1].position if len(told) > asked.limit else None,
    )


_NOBODY: Final = "?"
_SCOPED: Final = frozenset(type.type for type in activity.IN_EXECUTION)  # type: ignore[attr-defined]


def _reported(rows: Rows, who: str, since: str, until: str) -> list[activity.Row]:
    """The executions of somebody in these days of which a system reports what is done in them."""
    where = "who = ? AND reported AND kind = 'execution' AND until >= ? AND day <= ?"
    return rows.select(activity.Row, where, (who, since, until), "until DESC", PAGE + 1)


def _in_execution(row: timeline.Row) -> bool:
    return row.type in _SCOPED and row.reference is not None


def _maker(rows: Rows, directory: Directory, row: timeline.Row) -> str | None:
    """Who did it: of what a system reports of an execution, whoever carries that out."""
    if _in_execution(row) and directory.kind(row.actor or "") in (None, "system"):
        execution = rows.get(activity.Row, f"{row.id}/x/{row.reference}")
        if execution is not None and execution.who is not None:
            return execution.who
    return row.actor
