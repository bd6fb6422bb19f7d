"""Ownership: for every work item, whom the log names to answer for it, by which event; and so who answers, and why.

The rows hold only what the log says of the item itself. Who answers is resolved when it is asked, through the
directory: so a succession, a new process owner or a new custodian holds for all work at once, and an earlier position
is answered as it was then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.envelope import Recorded
from attorn.contracts.work import WorkDefined
from attorn.projections import timeline
from attorn.projections.directory import NOW, Answer, AsOf, Away, Directory, Process, Stamp
from attorn.projections.fold import Rows, item

NAME = "accountability"
VERSION = 1
EVENTS: Final[frozenset[type] | None] = None
INDEXES = (("named",),)
keys: Final = item


class Tenure(msgspec.Struct, frozen=True, kw_only=True):
    """Who is named from one event on: `named` is None where nobody is, `source` is the system that reported the item.

    `basis` is how it came about: `defined`, `discovered`, or the basis of a transfer.
    """

    named: str | None
    process: str | None
    source: str | None
    stamp: Stamp
    type: str
    event_id: str
    basis: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One work item: its tenures in log order, with the words of the last one as columns.

    `earliest` are the events that happened before everything recorded ahead of them; the item's first is the first.
    """

    key: str
    named: str | None
    process: str | None
    source: str | None
    first_position: int
    tenures: tuple[Tenure, ...]
    earliest: tuple[Stamp, ...]


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """The item after the event; the very same row when the event says nothing about who answers."""
    event = recorded.event
    data = event.data
    if row is not None and event.time < row.earliest[-1].time:
        stamp = Stamp(recorded.position, event.time, recorded.recorded_at)
        row = msgspec.structs.replace(row, earliest=(*row.earliest, stamp))
    named: str | None
    process: str | None
    match data:
        case WorkDefined():
            # The first definition stands: a second one is a finding and moves nobody.
            if row is not None and any(tenure.basis == "defined" for tenure in row.tenures):
                return row
            named, basis = data.accountable, "defined"
            process = data.process.id if data.process is not None else None
        case AccountabilityTransferred():
            named, basis = data.to, data.basis
            process = row.process if row is not None else None
        case _ if row is None:
            named, basis, process = None, "discovered", None
        case _:
            return row

    stamp = Stamp(recorded.position, event.time, recorded.recorded_at)
    reported_by = event.authid if event.authtype == "system" else None
    source = row.source if row is not None else reported_by
    tenure = Tenure(named=named, process=process, source=source, stamp=stamp, type=event.type,
                    event_id=event.id, basis=basis)  # fmt: skip
    if row is None:
        return Row(key=key, named=named, process=process, source=source, first_position=recorded.position,
                   tenures=(tenure,), earliest=(stamp,))  # fmt: skip
    return msgspec.structs.replace(row, named=named, process=process, tenures=(*row.tenures, tenure))


# ---- who answers


class Who(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who answers for a work item, and why; or, as `problem`, why there is no answer.

    `steps` are sentences that lead from the event that names somebody to the person. `since` is where in the log, and
    when, this person's time began. `position` is how far the log was folded when this was asked. `away` does not change
    who answers: whoever stands in may take the work over.
    """

    work: str
    position: int
    person: str | None = None
    name: str | None = None
    away: Away | None = None
    basis: str | None = None
    named: str | None = None
    steps: tuple[str, ...] = ()
    since: Stamp | None = None
    problem: str | None = None


class Interval(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From this position on, up to but without `until`, this person answered; None is to date."""

    person: str | None
    basis: str
    from_position: int
    until_position: int | None
    from_time: datetime
    until_time: datetime | None
    steps: tuple[str, ...]
    name: str | None = None


def who(
    rows: Rows,
    directory: Directory,
    work: str,
    *,
    position: int | None = None,
    at: datetime | None = None,
    known_at: datetime | None = None,
    away_at: datetime | None = None,
) -> Who:
    """Who answers for `work`: at a position of the log, at a time, as it was known at another; without any, now.

    Between events the order of the log decides; with `at` the order in which they happened. Whether this person is away
    is told as of `away_at`, by default `at`, or when the last event that counts was recorded.
    """
    row = rows.get(Row, work)
    if row is None:
        return Who(work=work, position=rows.position, problem=f"{work} is not on the log")
    asof = _within(rows, AsOf(position=position, at=at, known_at=known_at))
    tenure = standing(row, asof)
    if tenure is None:
        return Who(work=work, position=rows.position, problem=_absence(row, asof))
    answer = _resolve(directory, tenure, asof)
    away = _away(rows, directory, answer.person, asof, away_at)
    return Who(
        work=work,
        position=rows.position,
        person=answer.person,
        name=directory.name(answer.person) if answer.person is not None else None,
        away=away,
        basis=answer.basis,
        named=tenure.named,
        steps=(_naming(work, tenure), *answer.steps, *_conclusion(tenure, answer, away)),
        since=_since(directory, row, asof, answer.person),
    )


def answered(rows: Rows, directory: Directory, works: Sequence[str], asof: AsOf) -> dict[str, str | None]:
    """Who answered for each of these items as of `asof`; without those that were not there then."""
    within, persons = _within(rows, asof), dict[tuple[Any, ...], str | None]()
    found: dict[str, str | None] = {}
    for row in rows.select(Row, f"key IN ({', '.join('?' * len(works))})", works):
        tenure = standing(row, within)
        if tenure is not None:
            said = (tenure.named, tenure.process, tenure.source)
            if said not in persons:
                persons[said] = _resolve(directory, tenure, within).person
            found[row.key] = persons[said]
    return found


def intervals(rows: Rows, directory: Directory, work: str, *, position: int | None = None) -> tuple[Interval, ...]:
    """Who answered for `work` from its first event to `position`, split wherever the person or the reason changed."""
    row = rows.get(Row, work)
    return assignment(directory, row, _within(rows, AsOf(position=position))) if row is not None else ()


def assignment(
    directory: Directory, row: Row, asof: AsOf, shared: Mapping[int, Stamp] | None = None
) -> tuple[Interval, ...]:
    """The intervals of one row up to a position; `shared` is `custodianship(directory)`, for who asks for many rows."""
    found: list[tuple[Stamp, Answer, Tenure]] = []
    for stamp in _changes(directory, row, asof, custodianship(directory) if shared is None else shared):
        then = AsOf(position=stamp.position)
        tenure = standing(row, then)
        if tenure is None:
            continue
        answer = _resolve(directory, tenure, then)
        if not found or (found[-1][1].person, found[-1][1].basis) != (answer.person, answer.basis):
            found.append((stamp, answer, tenure))
    if not found:
        return ()  # it was not there yet
    ends = [stamp for stamp, _, _ in found[1:]]
    return tuple(
        Interval(
            person=answer.person,
            name=directory.name(answer.person) if answer.person is not None else None,
            basis=answer.basis,
            from_position=stamp.position,
            until_position=end.position if end is not None else None,
            from_time=stamp.time,
            until_time=end.time if end is not None else None,
            steps=(_naming(row.key, tenure), *answer.steps),
        )
        for (stamp, answer, tenure), end in zip(found, [*ends, None], strict=True)
    )


def standing(row: Row, asof: AsOf) -> Tenure | None:
    """The tenure that stands as of `asof`; None when the item was not there yet, or not known."""
    covered = [tenure for tenure in row.tenures if asof.covers(tenure.stamp)]
    if covered:
        # What happened last decides at a time, what was recorded last at a position: the same, but for late news.
        return covered[-1] if asof.at is None else max(covered, key=lambda t: (t.stamp.time, t.stamp.position))
    if any(asof.covers(stamp) for stamp in row.earliest):
        # It was there, by an event that came late; who answered is what was known of it first.
        return next((tenure for tenure in row.tenures if asof.knows(tenure.stamp)), None)
    return None


def answers(directory: Directory, person: str, asof: AsOf = NOW) -> tuple[str, list[Any]]:
    """What one person answers for; whoever asks about many persons makes an `Answering` once."""
    return Answering(directory, asof).of(person)


class Answering:
    """Who answers for what, as conditions: every name is followed once, however many persons are asked about."""

    def __init__(self, directory: Directory, asof: AsOf = NOW) -> None:
        owners = ((id, p.owner) for id in directory.processes if (p := directory.process(id, asof=asof)) is not None)
        custodians = ((id, c) for id in directory.sources if (c := directory.custodian(id, asof)) is not None)
        self._led = (
            ("source", _led(custodians, directory, asof)),
            ("process", _led(owners, directory, asof)),
            ("named", _led(((id, id) for id in directory.participants), directory, asof)),
        )
        self._last = directory.answerable(None, asof=asof).person

    def of(self, person: str) -> tuple[str, list[Any]]:
        """The SQL condition, on the columns `named`, `process` and `source`, for what `person` answers for, and its
        parameters.

        Exact, and so fit for counting: named, or named through a succession; or nobody who is here is named, and the
        person stands in as process owner, as custodian of the source or of the ledger, in this order.
        """
        where, parameters = "1=1" if self._last == person else "1=0", list[Any]()
        for column, led in self._led:
            mine = led.get(person, [])
            if where == "1=0":
                # Who stands in for nobody is found by their own names alone, and by the index that these have.
                where, parameters = _among(column, mine), [*mine]
            else:
                anybody = [key for to, keys in led.items() if to is not None for key in keys]
                beyond, values = _beyond(column, anybody)
                where = f"({_among(column, mine)} OR ({beyond} AND {where}))"
                parameters = [*mine, *values, *parameters]
        return where, parameters


def custodianship(directory: Directory) -> dict[int, Stamp]:
    """The events by which the ledger's custodian may have changed, by position."""
    grants = [f for f in directory.roles if f.value.role == "custodian" and f.value.scope == ""]
    found = {fact.stamp.position: fact.stamp for fact in grants}
    return found | _comings_and_goings(directory, (fact.value.participant for fact in grants))


def _changes(directory: Directory, row: Row, asof: AsOf, shared: Mapping[int, Stamp]) -> list[Stamp]:
    """The events that could change who answers for the item, from its first on, in log order."""
    found, ids = dict(shared), set[str]()
    for process in {tenure.process for tenure in row.tenures if tenure.process is not None}:
        for version in directory.processes.get(process, Process(process)).versions:
            found[version.stamp.position] = version.stamp
            ids.add(version.value.owner)
    for source in {tenure.source for tenure in row.tenures if tenure.source is not None}:
        for registered in directory.sources.get(source, ()):
            found[registered.stamp.position] = registered.stamp
            ids.add(registered.value.custodian)
    for tenure in row.tenures:
        found[tenure.stamp.position] = tenure.stamp
        if tenure.named is not None:
            ids.add(tenure.named)
    found |= _comings_and_goings(directory, ids)
    first = row.tenures[0].stamp.position
    return [stamp for position, stamp in sorted(found.items()) if position >= first and asof.knows(stamp)]


def _comings_and_goings(directory: Directory, ids: Iterable[str]) -> dict[int, Stamp]:
    found, reached, pending = dict[int, Stamp](), set[str](), list(ids)
    while pending:
        id = pending.pop()
        who = directory.participants.get(id)
        if id in reached or who is None:
            continue
        reached.add(id)
        found[who.stamp.position] = who.stamp
        for departure in who.left:
            found[departure.stamp.position] = departure.stamp
            if departure.value.successor is not None:
                pending.append(departure.value.successor)
    return found


def _since(directory: Directory, row: Row, asof: AsOf, person: str | None) -> Stamp | None:
    since: Stamp | None = None
    for stamp in _changes(directory, row, asof, custodianship(directory)):
        then = AsOf(position=stamp.position, at=asof.at, known_at=asof.known_at)
        tenure = standing(row, then)
        if tenure is None or _resolve(directory, tenure, then).person != person:
            since = None
        elif since is None:
            since = stamp
    return since


def _within(rows: Rows, asof: AsOf) -> AsOf:
    """`asof`, and no further than the rows: the directory may be ahead of them."""
    position = rows.position if asof.position is None else min(asof.position, rows.position)
    return AsOf(position=position, at=asof.at, known_at=asof.known_at)


def _resolve(directory: Directory, tenure: Tenure, asof: AsOf) -> Answer:
    return directory.answerable(tenure.named, tenure.process, tenure.source, asof)


def _naming(work: str, tenure: Tenure) -> str:
    match tenure.basis:
        case "discovered":
            reported = f" by {tenure.source}" if tenure.source is not None else ""
            return f"at position {tenure.stamp.position} {work} was first reported{reported}, and nobody is named"
        case "defined":
            return f"at position {tenure.stamp.position} {work} was defined, and names {tenure.named}"
        case basis:
            return f"at position {tenure.stamp.position} it passed to {tenure.named} ({basis})"


def _away(rows: Rows, directory: Directory, person: str | None, asof: AsOf, away_at: datetime | None) -> Away | None:
    who = directory.participants.get(person or "")
    if who is None or not who.absences:
        return None
    at = away_at or asof.at
    if at is None:
        covered, parameters = "position <= ?", list[Any]([asof.position])
        if asof.known_at is not None:
            covered, parameters = f"{covered} AND recorded_at <= ?", [*parameters, asof.known_at]
        last = rows.values(timeline.Row, ("recorded_at",), covered, parameters, "position DESC", 1)
        at = last[0][0] if last else None
    return directory.away(who.id, at, AsOf(position=asof.position, known_at=asof.known_at)) if at is not None else None


def _conclusion(tenure: Tenure, answer: Answer, away: Away | None) -> Iterator[str]:
    match answer.basis:
        case _ if answer.person is None:
            yield "nobody answers"
        case "named":
            yield f"{answer.person} {'has not left' if away is not None else 'is here'}, and answers"
        case "successor":
            yield f"{answer.person} succeeds, and answers"
        case "process owner":
            yield f"{answer.person} owns the process {tenure.process}, and answers"
        case "source custodian":
            yield f"{answer.person} is custodian of the source {tenure.source}, and answers"
        case _:
            yield f"{answer.person} is custodian of the ledger, and answers"
    if away is not None:
        stands_in = f"{away.substitute} stands in" if away.substitute is not None else "nobody stands in"
        yield f"{answer.person} is away until {told(away.until)}; {stands_in} for {', '.join(away.covers)}"


def told(time: datetime) -> str:
    """A time in a sentence, in UTC, to the minute."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%MZ}"


def _absence(row: Row, asof: AsOf) -> str:
    first = row.earliest[0]
    if asof.position is not None and asof.position < first.position:
        return f"{row.key} is on the log from position {first.position} on, not at {asof.position}"
    if asof.known_at is not None and asof.known_at < first.recorded_at:
        recorded = first.recorded_at.isoformat()
        return f"{row.key} was not known at {asof.known_at.isoformat()}; it was recorded first at {recorded}"
    earliest = min((s for s in row.earliest if asof.knows(s)), key=lambda s: s.time)
    at = asof.at.isoformat() if asof.at is not None else ""
    return f"{row.key} did not exist at {at}; the first that is known of it happened at {earliest.time.isoformat()}"


def _led(pairs: Iterable[tuple[str, str]], directory: Directory, asof: AsOf) -> dict[str | None, list[str]]:
    """Of pairs of a key and who stands for it: the keys by the person to whom they lead, None where to nobody."""
    led: dict[str | None, list[str]] = {}
    for key, id in pairs:
        led.setdefault(directory.successor(id, asof), []).append(key)
    return led


def _among(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join('?' * len(values))})" if values else "1=0"


def _beyond(column: str, values: Sequence[str]) -> tuple[str, list[Any]]:
    # A statement takes no more than so many values, and there may be more people than that: they are given as one.
    if not values:
        return "1=1", []
    within = f"{column} NOT IN (SELECT value FROM json_each(?))"
    return f"({column} IS NULL OR {within})", [msgspec.json.encode(values).decode()]
