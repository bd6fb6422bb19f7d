"""Visibility: what became of what somebody recommended, by who did: how often people went by it."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from attorn.contracts.decision import DecisionMade, RecommendationAnswered, RecommendationMade
from attorn.projections import timeline
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import PAGE, Limit


class AskRecommendations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    by: str | None = None
    after: str = ""
    limit: Limit = 100


class Advised(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the recommendations of one participant.

    Of `made`, some were `accepted` or `rejected` in so many words; in `decided` somebody chose with one before them,
    and `followed` it or not. `accepted_rate` is accepted / (accepted + rejected), `follow_rate` is followed / decided;
    each is None where there is nothing to divide by.
    """

    by: str
    kind: str | None = None
    made: int = 0
    accepted: int = 0
    rejected: int = 0
    decided: int = 0
    followed: int = 0
    accepted_rate: float | None = None
    follow_rate: float | None = None


class Recommendations(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of those who recommended anything, in order of their ids."""

    position: int
    count: int
    by: tuple[Advised, ...] = ()
    next: str | None = None


def recommendations(rows: Rows, directory: Directory, asked: AskRecommendations) -> Recommendations:
    """How often what somebody recommended was accepted, and how often a decision followed it, by who recommended."""
    makers: dict[tuple[str, str | None], str] = {}
    counts: dict[str, Counter[str]] = {}
    for row in _told(rows, RecommendationMade.type):
        # An id that is used again is about the first, as the rules have it.
        if row.actor is not None and (row.stream, row.reference) not in makers:
            makers[row.stream, row.reference] = row.actor
            counts.setdefault(row.actor, Counter()).update(made=1)
    for row in _told(rows, RecommendationAnswered.type):
        maker = makers.pop((row.stream, row.reference), None)
        if maker is not None and row.detail is not None:
            counts[maker].update({row.detail: 1})
    for row in _told(rows, DecisionMade.type):
        if row.about is not None and row.detail is not None:
            counts.setdefault(row.about, Counter()).update(decided=1, followed=int(row.detail == "followed"))
    ids = sorted(id for id in counts if asked.by in (None, id))
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    return Recommendations(
        position=rows.position,
        count=len(ids),
        by=tuple(_advised(directory, id, counts[id]) for id in page[: asked.limit]),
        next=page[asked.limit - 1] if len(page) > asked.limit else None,
    )


def _told(rows: Rows, type: str) -> Iterator[timeline.Row]:
    after = 0
    while True:
        page = rows.select(timeline.Row, "type = ? AND position > ?", (type, after), "position", PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].position


def _advised(directory: Directory, id: str, told: Counter[str]) -> Advised:
    answered = told["accepted"] + told["rejected"]
    return Advised(
        by=id,
        kind=directory.kind(id),
        made=told["made"],
        accepted=told["accepted"],
        rejected=told["rejected"],
        decided=told["decided"],
        followed=told["followed"],
        accepted_rate=told["accepted"] / answered if answered else None,
        follow_rate=told["followed"] / told["decided"] if told["decided"] else None,
    )
