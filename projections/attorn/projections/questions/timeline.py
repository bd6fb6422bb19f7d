"""What happened, event by event."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from attorn.contracts.ids import Count
from attorn.projections import timeline
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import Limit


class AskTimeline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one item, of one stream (`participant/ana`), of one trace, or of all.

    `newest_first` goes back from `after` or the end.
    """

    work: str | None = None
    stream: str | None = None
    type: str | None = None
    actor: str | None = None
    correlationid: str | None = None
    newest_first: bool = False
    after: Count = 0
    limit: Limit = 100


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One event: `kind` and `id` are what it happened to; all else is as in the timeline's rows.

    `repeats` are the places where its source used its id again.
    """

    position: int
    stream: str
    kind: str
    id: str
    version: int
    time: datetime
    recorded_at: datetime
    type: str
    actor: str | None
    authid: str | None
    about: str | None
    team: str | None
    state: str | None
    waiting_on: str | None
    reference: str | None
    detail: str | None
    summary: str
    source: str
    event_id: str
    correlationid: str | None
    repeats: tuple["Repeat", ...] = ()


class Repeat(msgspec.Struct, frozen=True):
    """Where the same source used the same id again."""

    position: int
    stream: str
    type: str
    time: datetime


class Timeline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of events in log order."""

    position: int
    events: tuple[Happened, ...] = ()
    next: int | None = None


def events(rows: Rows, directory: Directory, asked: AskTimeline) -> Timeline:
    """What happened, event by event, one sentence each."""
    stream = f"work/{asked.work}" if asked.work is not None else asked.stream
    conditions, parameters = list[str](), list[Any]()
    said = ("stream", stream), ("type", asked.type), ("actor", asked.actor), ("correlationid", asked.correlationid)
    for column, value in said:
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    if asked.after or not asked.newest_first:
        conditions.append("position < ?" if asked.newest_first else "position > ?")
        parameters.append(asked.after)
    order = "position DESC" if asked.newest_first else "position"
    page = rows.select(timeline.Row, " AND ".join(conditions), parameters, order, asked.limit + 1)
    last = page[asked.limit - 1].position if len(page) > asked.limit else None
    told = page[: asked.limit]
    again = timeline.repeats(rows, told)
    return Timeline(
        position=rows.position, events=tuple(_told(row, again.get(row.position, ())) for row in told), next=last
    )


def _told(row: timeline.Row, again: Sequence[timeline.Row]) -> Happened:
    happened = msgspec.convert(row, Happened, from_attributes=True)
    if not again:
        return happened
    places = tuple(Repeat(other.position, other.stream, other.type, other.time) for other in again)
    return msgspec.structs.replace(happened, repeats=places)
