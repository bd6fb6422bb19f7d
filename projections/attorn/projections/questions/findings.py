"""Which rules were broken, by which events, and what was decided about it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from attorn.contracts.ids import Timestamp
from attorn.projections import board, findings
from attorn.projections.directory import Directory
from attorn.projections.findings import Disposition, Finding, Status
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import Limit, marks, position_since


class AskFindings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` is a stream, and a page ends with the stream that makes it full, so that it may be longer than `limit`.

    With `newest_first`, `after` is a position, and a page ends with all that the event there broke. `since`: recorded
    from that time on. `process`: of work under that process, and of the process itself.
    """

    rule: str | None = None
    work: str | None = None
    stream: str | None = None
    status: Status | None = None
    process: str | None = None
    since: Timestamp | None = None
    newest_first: bool = False
    after: str = ""
    limit: Limit = 100

    def __post_init__(self) -> None:
        if self.newest_first and self.after and not self.after.isdecimal():
            raise ValueError("with newest_first, after is a position")


class AskFindingCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what was recorded `since` that time; of work under `process`, and of the process itself."""

    process: str | None = None
    since: Timestamp | None = None


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
    """One page of findings: in order of their streams, and in log order within each; or the newest first."""

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
    since = position_since(rows, asked.since)
    stream = f"work/{asked.work}" if asked.work is not None else asked.stream
    every: Iterable[tuple[str, Finding]]
    if asked.newest_first:
        before = int(asked.after) if asked.after else rows.position + 1
        if stream is not None:
            every = ((stream, f) for f in reversed(findings.found(rows, stream)) if f.position < before)
        else:
            every = findings.newest(rows, before, since)
    elif stream is not None:
        every = ((stream, finding) for finding in findings.found(rows, stream))
    else:
        every = ((stream, finding) for stream, found in findings.every(rows, asked.after) for finding in found)
    page: list[Found] = []
    for name, f in _of(rows, asked.process, every):
        place = str(f.position) if asked.newest_first else name
        if len(page) >= asked.limit and (asked.newest_first or stream is None):
            last = str(page[-1].position) if asked.newest_first else page[-1].stream
            if place != last:
                return FoundPage(position=rows.position, findings=tuple(page), next=last)
        if f.position >= since and asked.rule in (None, f.rule) and asked.status in (None, f.status):
            page.append(
                Found(id=f.id, rule=f.rule, stream=name, detail=f.detail, position=f.position, time=f.time,
                      event_id=f.event_id, type=f.type, status=f.status, field=f.field, disposition=f.disposition)
            )  # fmt: skip
    return FoundPage(position=rows.position, findings=tuple(page))


def finding_counts(rows: Rows, directory: Directory, asked: AskFindingCounts) -> FindingCounts:
    """How many findings of each rule there are, and how many wait for somebody to decide."""
    since = position_since(rows, asked.since)
    found, still_open = Counter[str](), Counter[str]()
    every = ((stream, finding) for stream, of_stream in findings.every(rows) for finding in of_stream)
    for _, finding in _of(rows, asked.process, every):
        if finding.position >= since:
            found[finding.rule] += 1
            still_open[finding.rule] += finding.status == "open"
    return FindingCounts(
        position=rows.position,
        found=found.total(),
        open=still_open.total(),
        found_by_rule=dict(found.most_common()),
        open_by_rule={rule: count for rule, count in still_open.most_common() if count},
    )


def _of(rows: Rows, process: str | None, every: Iterable[tuple[str, Finding]]) -> Iterator[tuple[str, Finding]]:
    """Those of work under a process, and of the process itself; all where none is named."""
    if process is None:
        yield from every
        return
    pending, known = iter(every), dict[str, bool]({f"process/{process}": True})
    while some := list(islice(pending, _SOME)):
        works = sorted({stream[5:] for stream, _ in some if stream not in known and stream.startswith("work/")})
        known |= {f"work/{work}": False for work in works}
        among = rows.values(board.Row, ("key",), f"key IN ({marks(works)}) AND process = ?", (*works, process))
        known |= {f"work/{work}": True for (work,) in among}
        yield from ((stream, finding) for stream, finding in some if known.get(stream))


_SOME: Final = 500
