"""Findings: every rule that a recorded event broke, by the same rules that refuse commands, folded over the log.

They are derived, never stored on the log: a rebuild, or a changed rule, yields them anew. Only what people decided
about a finding is an event; it names the finding by its id, `<rule>@<position>`, and may stand in any stream.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

from attorn.contracts.envelope import Event, Recorded
from attorn.contracts.finding import FindingAccepted, FindingDismissed, FindingRemediated
from attorn.contracts.refusal import Breach
from attorn.projections import timeline
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows

Status: TypeAlias = Literal["open", "accepted", "remediated", "dismissed"]


class Rules(Protocol):
    """What one kind of stream obeys. `state_type` is the class of its state: from that it is read back."""

    @property
    def initial(self) -> Any: ...
    @property
    def state_type(self) -> Any: ...
    def check(self, state: Any, event: Event, directory: Directory, /) -> Iterable[Breach]: ...
    def evolve(self, state: Any, event: Event, /) -> Any: ...


class Disposition(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided about a finding: it stands, it was put right, or it was none."""

    status: Status
    by: str | None
    reason: str
    position: int
    time: datetime


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule that one event broke; `id` is `<rule>@<position>`, and stays the same however often it is found."""

    id: str
    rule: str
    detail: str
    position: int
    time: datetime
    event_id: str
    type: str
    field: str | None = None
    status: Status = "open"
    disposition: Disposition | None = None


_NO_STATE: Final = msgspec.Raw(b"null")


class Row(msgspec.Struct, frozen=True):
    """One stream with its findings and the state that its rules go by; or, under `finding/<id>`, a disposition.

    `found` and `open` are how many findings there are, and how many of them wait for somebody to decide;
    `last_position` is that of the last event of this stream that broke a rule. `state` is
    what the rules make of the stream; read back, it is JSON, since each kind of stream has a state of its own class.
    """

    key: str
    kind: str
    version: int
    found: int
    open: int
    findings: tuple[Finding, ...] = ()
    disposition: Disposition | None = None
    state: msgspec.Raw = _NO_STATE
    last_position: int | None = None


_Row: TypeAlias = Row


class Findings:
    """The view, with the rules of each kind of stream, and the directory that they look into.

    The directory is the one that is folded along: at each event it is as it was before that event.
    """

    NAME: str = "findings"
    VERSION: int = 5
    EVENTS: frozenset[type] | None = None
    INDEXES: tuple[tuple[str, ...], ...] = (("found",), ("open",), ("last_position",))
    Row: type[Any] = _Row

    def __init__(self, rules: Mapping[str, Rules], directory: Directory) -> None:
        self._rules = rules
        self._directory = directory
        # What is found and refuses nobody: not every kind of stream has such rules.
        self._observing: dict[str, Any] = {kind: getattr(of, "observing", {}) for kind, of in rules.items()}
        self._states = {kind: msgspec.json.Decoder(of.state_type) for kind, of in rules.items()}

    def keys(self, recorded: Recorded) -> Sequence[str]:
        """The stream of the event; for a disposition also the finding that it names."""
        event = recorded.event
        data: Any = event.data
        stream = event.subject
        streams = (stream,) if stream[: stream.find("/")] in self._rules else ()
        return (*streams, f"finding/{data.finding_id}") if event.data.__class__ in _STATUS else streams

    def apply(self, row: _Row | None, recorded: Recorded, key: str) -> _Row | None:
        """The stream after the event: what the event broke, and the state that the next one is judged by."""
        event = recorded.event
        data: Any = event.data
        of = data.__class__
        findings: tuple[Finding, ...] = ()
        is_open, last = 0, None
        state: Any
        if row is None:
            kind = key[: key.find("/")]
            if kind == "finding":
                return _Row(key, kind, 0, 0, 0, disposition=_disposition(recorded))
            rules = self._rules[kind]
            state = rules.initial
        elif row.kind == "finding":
            return _Row(key, "finding", 0, 0, 0, disposition=_disposition(recorded))
        else:
            kind, findings, is_open, state, last = row.kind, row.findings, row.open, row.state, row.last_position
            rules = self._rules[kind]
            if state.__class__ is msgspec.Raw:
                state = self._states[kind].decode(state)
        breaches = [*rules.check(state, event, self._directory)]
        if (observe := self._observing[kind].get(of)) is not None:
            breaches += observe(event, self._directory)
        if breaches:
            broken = tuple(_merged(breaches, recorded))
            findings, is_open, last = (*findings, *broken), is_open + len(broken), recorded.position
        if of in _STATUS:
            told = {data.finding_id: _disposition(recorded)}
            findings = tuple(_settled(finding, told) for finding in findings)
            is_open = sum(finding.status == "open" for finding in findings)
        version = min(event.version, _VERSION_MAX)
        state = rules.evolve(state, event) if self._directory.hears(event) else state
        return _Row(key, kind, version, len(findings), is_open, findings, None, state, last)


_VERSION_MAX: Final = 2**63 - 1


def found(rows: Rows, stream: str) -> tuple[Finding, ...]:
    """What the events of one stream broke, with what people decided about it since."""
    row = rows.get(Row, stream)
    own = row.findings if row is not None else ()
    used_twice = (finding for _, finding in conflicts(rows, stream))
    return decided(rows, sorted((*own, *used_twice), key=lambda finding: finding.position))


def every(rows: Rows, after: str = "") -> Iterator[tuple[str, tuple[Finding, ...]]]:
    """Each stream that has findings, behind `after` in the order of the streams' names, and what was found."""
    used_twice: dict[str, list[Finding]] = {}
    for stream, finding in conflicts(rows):
        if stream > after:
            used_twice.setdefault(stream, []).append(finding)
    while True:
        page = rows.select(Row, "found > 0 AND key > ?", (after,), "key", _PAGE)
        last = page[-1].key if len(page) == _PAGE else None
        streams = {row.key: [*row.findings] for row in page}
        for stream in [s for s in used_twice if last is None or s <= last]:
            streams.setdefault(stream, []).extend(used_twice.pop(stream))
        dispositions = _dispositions(rows, (f for findings in streams.values() for f in findings))
        for stream, findings in sorted(streams.items()):
            yield stream, tuple(_settled(f, dispositions) for f in sorted(findings, key=lambda f: f.position))
        if last is None:
            return
        after = last


def newest(rows: Rows, before: int = _VERSION_MAX, since: int = 0) -> Iterator[tuple[str, Finding]]:
    """Each finding at a position from `since` on and before `before`, with its stream, the newest first.

    What is read is what has broken a rule last: a stream's earlier findings wait until it is their turn.
    """
    waiting: list[tuple[int, int, str, Finding]] = []
    numbers = count()

    def wait(stream: str, found: Iterable[Finding]) -> None:
        for finding in found:
            if since <= finding.position < before:
                heappush(waiting, (-finding.position, next(numbers), stream, finding))

    for stream, finding in conflicts(rows):
        wait(stream, decided(rows, [finding]))
    last = _VERSION_MAX
    while True:
        page = rows.select(Row, "last_position < ? AND last_position >= ?", (last, since), "last_position DESC", _PAGE)
        dispositions = _dispositions(rows, (finding for row in page for finding in row.findings))
        for row in page:
            wait(row.key, (_settled(finding, dispositions) for finding in row.findings))
        last = page[-1].last_position or 0 if len(page) == _PAGE else 0
        while waiting and -waiting[0][0] >= last:
            _, _, stream, finding = heappop(waiting)
            yield stream, finding
        if not last:
            return


def conflicts(rows: Rows, stream: str | None = None) -> Iterator[tuple[str, Finding]]:
    """Each time that a source used an id again, and the stream in which it did; in one stream, or in all."""
    for first, row in timeline.again(rows, stream):
        detail = (
            f"{first.source} had used the id {first.event_id} at position {first.position} already, in {first.stream}"
        )
        finding = Finding(id=f"conflict@{row.position}", rule="conflict", detail=detail, position=row.position,
                          time=row.time, event_id=row.event_id, type=row.type)  # fmt: skip
        yield row.stream, finding


def decided(rows: Rows, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """`findings` with the dispositions that stand in other streams."""
    dispositions = _dispositions(rows, findings)
    return tuple(_settled(finding, dispositions) for finding in findings)


_PAGE: Final = 500


def _dispositions(rows: Rows, findings: Iterable[Finding]) -> dict[str, Disposition]:
    keys = [f"finding/{finding.id}" for finding in findings if finding.status == "open"]
    said: dict[str, Disposition] = {}
    for start in range(0, len(keys), _PAGE):
        some = keys[start : start + _PAGE]
        for row in rows.select(Row, f"key IN ({', '.join('?' * len(some))})", some):
            if row.disposition is not None:
                said[row.key.partition("/")[2]] = row.disposition
    return said


def _merged(breaches: Iterable[Breach], recorded: Recorded) -> Iterator[Finding]:
    """One finding for each rule that the event broke, however often it broke it."""
    by_rule: dict[str, list[Breach]] = {}
    for breach in breaches:
        by_rule.setdefault(breach.rule, []).append(breach)
    for rule, broken in by_rule.items():
        yield Finding(
            id=f"{rule}@{recorded.position}",
            rule=rule,
            detail="; ".join(dict.fromkeys(breach.detail for breach in broken)),
            position=recorded.position,
            time=recorded.event.time,
            event_id=recorded.event.id,
            type=recorded.event.type,
            field=next((breach.field for breach in broken if breach.field is not None), None),
        )


def _settled(finding: Finding, dispositions: Mapping[str, Disposition]) -> Finding:
    said = dispositions.get(finding.id)
    return finding if said is None else msgspec.structs.replace(finding, status=said.status, disposition=said)


_STATUS: Final[dict[type, Status]] = {
    FindingAccepted: "accepted",
    FindingRemediated: "remediated",
    FindingDismissed: "dismissed",
}


def _disposition(recorded: Recorded) -> Disposition:
    data = recorded.event.data
    return Disposition(status=_STATUS[type(data)], by=data.by or recorded.event.authid, reason=data.reason,
                       position=recorded.position, time=recorded.event.time)  # fmt: skip
