"""Which rules were broken, by which events, and what was decided about it."""

from collections import Counter
from datetime import datetime

import msgspec

from attorn.projections import findings
from attorn.projections.directory import Directory
from attorn.projections.findings import Disposition, Status
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import Limit


class AskFindings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` is a stream; a page ends with the stream that makes it full, so that it may be longer than `limit`."""

    rule: str | None = None
    work: str | None = None
    stream: str | None = None
    status: Status | None = None
    after: str = ""
    limit: Limit = 100


class AskFindingCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing narrows it."""


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding, and the stream in which it was found."""

    id: str
    rule: str
    stream: str
    detail: str
    position: int
    time: datetime
    event_id: str
    type: str
    status: Status
    field: str | None = None
    disposition: Disposition | None = None


class FoundPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of findings, in order of their streams, and in log order within each."""

    position: int
    findings: tuple[Found, ...] = ()
    next: str | None = None


class FindingCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many findings there are, and how many of them are open; in all, and by rule."""

    position: int
    found: int
    open: int
    found_by_rule: dict[str, int]
    open_by_rule: dict[str, int]


def finding_list(rows: Rows, directory: Directory, asked: AskFindings) -> FoundPage:
    """Which rules were broken, by which events, and what was decided about it."""
    stream = f"work/{asked.work}" if asked.work is not None else asked.stream
    streams = ((stream, findings.found(rows, stream)),) if stream is not None else findings.every(rows, asked.after)
    page: list[Found] = []
    for name, found in streams:
        if len(page) >= asked.limit:
            return FoundPage(position=rows.position, findings=tuple(page), next=page[-1].stream)
        page += (
            Found(id=f.id, rule=f.rule, stream=name, detail=f.detail, position=f.position, time=f.time,
                  event_id=f.event_id, type=f.type, status=f.status, field=f.field, disposition=f.disposition)
            for f in found
            if (asked.rule is None or f.rule == asked.rule) and (asked.status is None or f.status == asked.status)
        )  # fmt: skip
    return FoundPage(position=rows.position, findings=tuple(page))


def finding_counts(rows: Rows, directory: Directory, asked: AskFindingCounts) -> FindingCounts:
    """How many findings of each rule there are, and how many wait for somebody to decide."""
    found, still_open = Counter[str](), Counter[str]()
    for _, of_stream in findings.every(rows):
        for finding in of_stream:
            found[finding.rule] += 1
            still_open[finding.rule] += finding.status == "open"
    return FindingCounts(
        position=rows.position,
        found=found.total(),
        open=still_open.total(),
        found_by_rule=dict(found.most_common()),
        open_by_rule={rule: count for rule, count in still_open.most_common() if count},
    )
