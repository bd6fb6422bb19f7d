"""Findings: every rule that a recorded event broke, by the same rules that refuse commands, folded over the log.

They are derived, never stored on the log: a rebuild, or a changed rule, yields them anew. Only what people decided
about a finding is an event; it names the finding by its id, `<rule>@<position>`, and may stand in any stream.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
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
    def check(self, state: Any, event: Event, directory: Directory, /) -> Iterator[Breach]: ...
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


class Row(msgspec.Struct, frozen=True):
    """One stream with its findings and the state that its rules go by; or, under `finding/<id>`, a disposition.

    `found` and `open` are how many findings there are, and how many of them wait for somebody to decide.
    """

    key: str
    kind: str
    version: int
    found: int
    open: int
    findings: tuple[Finding, ...] = ()
    disposition: Disposition | None = None
    state: Any = None


_Row: TypeAlias = Row


class Findings:
    """The view, with the rules of each kind of stream, and the directory that they look into.

    The directory is the one that is folded along: at each event it is as it was before that event.
    """

    NAME: str = "findings"
    VERSION: int = 1
    INDEXES: tuple[tuple[str, ...], ...] = (("found",), ("open",))
    Row: type[Any] = _Row

    def __init__(self, rules: Mapping[str, Rules], directory: Directory) -> None:
        self._rules = rules
        self._directory = directory

    def keys(self, recorded: Recorded) -> Sequence[str]:
        """The stream of the event; for a disposition also the finding that it names."""
        event = recorded.event
        streams = (event.subject,) if event.subject.partition("/")[0] in self._rules else ()
        if isinstance(event.data, FindingAccepted | FindingRemediated | FindingDismissed):
            return (*streams, f"finding/{event.data.finding_id}")
        return streams

    def apply(self, row: _Row | None, recorded: Recorded, key: str) -> _Row | None:
        """The stream after the event: what the event broke, and the state that the next one is judged by."""
        event = recorded.event
        if key.startswith("finding/"):
            return _Row(key, "finding", 0, 0, 0, disposition=_disposition(recorded))
        kind = key.partition("/")[0]
        rules = self._rules[kind]
        if row is None:
            row = _Row(key, kind, 0, 0, 0, state=rules.initial)
        state = row.state
        if isinstance(state, dict | list):
            # As the store gives it back: plain JSON, since each kind of stream has a state of its own class.
            state = msgspec.convert(state, rules.state_type)
        broken = tuple(_merged(rules.check(state, event, self._directory), recorded))
        findings = (*row.findings, *broken) if broken else row.findings
        is_open = row.open + len(broken)
        if isinstance(event.data, FindingAccepted | FindingRemediated | FindingDismissed):
            told = {event.data.finding_id: _disposition(recorded)}
            findings = tuple(_settled(finding, told) for finding in findings)
            is_open = sum(finding.status == "open" for finding in findings)
        after = rules.evolve(state, event)
        return _Row(key, kind, event.version, len(findings), is_open, findings, None, after)


def found(rows: Rows, stream: str) -> tuple[Finding, ...]:
    """What the events of one stream broke, with what people decided about it since."""
    row = rows.get(Row, stream)
    own = row.findings if row is not None else ()
    used_twice = (finding for of, finding in conflicts(rows) if of == stream)
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


def conflicts(rows: Rows) -> Iterator[tuple[str, Finding]]:
    """Each time that a source used an id again, and the stream in which it did."""
    for row in rows.select(timeline.Row, "repeated > 0"):
        for repeat in row.repeats:
            detail = f"{row.source} had used the id {row.event_id} at position {row.position} already, in {row.stream}"
            finding = Finding(id=f"conflict@{repeat.position}", rule="conflict", detail=detail,
                              position=repeat.position, time=repeat.time, event_id=row.event_id,
                              type=repeat.type)  # fmt: skip
            yield repeat.stream, finding


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
