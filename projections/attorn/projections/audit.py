"""The proof of accountability: at every position of the log, exactly one human answers for every work item.

It looks at the log alone, never at a view, and resolves who answers by itself, so that a mistake in the views, or in
the directory that all services share, does not prove itself right. `compare` then holds the views against it.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec

from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.envelope import Recorded
from attorn.contracts.messages import KIND_BY_EVENT
from attorn.contracts.participant import ParticipantDeactivated, ParticipantRegistered, RoleGranted, RoleRevoked
from attorn.contracts.process import ProcessPublished
from attorn.contracts.source import SourceRegistered
from attorn.contracts.work import WorkDefined
from attorn.projections import accountability
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows

PLACES_MAX: Final = 10

Assignment: TypeAlias = dict[str, list[tuple[int, str | None]]]
"""For each work item: from which position on who answers, in log order."""

_Names: TypeAlias = tuple[str | None, str | None, str | None]
"""What who answers depends on: the person named, the process, the source."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What the proof found in the first `positions` events.

    `gaps`: times that nobody answered for an item. `overlaps`: times that two would, because an item was given away by
    somebody who did not answer for it, or was defined twice. `non_human`: times that an item named what is not a
    person. `breaks`: positions, or versions in a stream, that do not follow the one before. `places` are the first of
    all these, as sentences; `digest` is that of the whole assignment.
    """

    positions: int
    items: int
    tenures: int
    intervals: int
    gaps: int
    overlaps: int
    non_human: int
    breaks: int
    places: tuple[str, ...]
    digest: str

    @property
    def holds(self) -> bool:
        """Whether the log proves it."""
        return not (self.gaps or self.overlaps or self.non_human or self.breaks)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the accountability view says the same as the proof, over `items` items; `differences` are the first."""

    equal: bool
    items: int
    digest: str
    differences: tuple[str, ...] = ()


class _Item(msgspec.Struct):
    names: _Names
    defined: bool
    tenures: int
    intervals: list[tuple[int, str | None]]


class Auditor:
    """Feed it every event of the log, in order; `result` says what was proved of those so far."""

    def __init__(self) -> None:
        self._position = 0
        self._versions: dict[str, int] = {}
        self._items: dict[str, _Item] = {}
        self._kinds: dict[str, str] = {}
        self._left: dict[str, str | None] = {}
        self._owners: dict[str, str] = {}
        self._custodians: dict[str, str] = {}
        self._appointed: list[tuple[str, bool]] = []
        self._spoken: dict[str, frozenset[str]] = {}
        # Items that name the same are answered for by the same; what that goes back to is kept, so that an event about
        # a participant, a process or a source touches only those items that depend on it.
        self._named_alike: dict[_Names, set[str]] = {}
        self._answers: dict[_Names, str | None] = {}
        self._goes_back: dict[_Names, frozenset[str]] = {}
        self._dependents: dict[str, set[_Names]] = {}
        self._counts = {"gaps": 0, "overlaps": 0, "non_human": 0, "breaks": 0}
        self._places: list[str] = []

    @property
    def assignment(self) -> Assignment:
        """From which position on who answers, for each item."""
        return {work: item.intervals for work, item in self._items.items()}

    def feed(self, log: Iterable[Recorded]) -> None:
        """Take in the next events of the log."""
        for recorded in log:
            self._follow(recorded)
            kind, _, id = recorded.stream.partition("/")
            if kind == "work":
                self._work(id, recorded)
            elif kind in _OF_DIRECTORY and self._counts_here(kind, recorded):
                changed = self._directory(id, recorded)
                if changed is not None:
                    self._resolve_again(changed, recorded.position)

    def result(self) -> Result:
        """What was proved of the events so far."""
        return Result(
            positions=self._position,
            items=len(self._items),
            tenures=sum(item.tenures for item in self._items.values()),
            intervals=sum(len(item.intervals) for item in self._items.values()),
            places=tuple(self._places),
            digest=digest(self.assignment),
            **self._counts,
        )

    def _follow(self, recorded: Recorded) -> None:
        if recorded.position != self._position + 1:
            self._offence("breaks", f"position {recorded.position} follows {self._position}")
        self._position = max(self._position, recorded.position)
        before = self._versions.get(recorded.stream, 0)
        if recorded.version != before + 1:
            self._offence("breaks", f"at position {recorded.position}, {recorded.stream} goes on with version "
                                    f"{recorded.version} after {before}")  # fmt: skip
        self._versions[recorded.stream] = recorded.version

    def _work(self, work: str, recorded: Recorded) -> None:
        item, data, position = self._items.get(work), recorded.event.data, recorded.position
        naming = isinstance(data, WorkDefined | AccountabilityTransferred)
        if item is not None and not naming:
            return
        named, process, source = item.names if item is not None else (None, None, None)
        if item is None and recorded.event.authtype == "system":
            source = recorded.event.authid
        if isinstance(data, WorkDefined):
            if item is not None and item.defined:
                if data.accountable != named:
                    answers = item.intervals[-1][1]
                    self._offence("overlaps", f"at position {position}, {work} is defined again and names "
                                              f"{data.accountable} beside {answers}")  # fmt: skip
                return
            named, process = data.accountable, data.process.id if data.process is not None else None
        elif isinstance(data, AccountabilityTransferred):
            answers = item.intervals[-1][1] if item is not None else None
            if data.from_ is not None and data.from_ != answers:
                self._offence("overlaps", f"at position {position}, {work} passes from {data.from_} to {data.to}, but "
                                          f"{answers or 'nobody'} answered for it")  # fmt: skip
            named = data.to
        if naming and named is not None and self._kinds.get(named) != "human":
            what = self._kinds.get(named)
            self._offence("non_human", f"at position {position}, {work} names {named}, "
                                       f"{f'of kind {what}' if what else 'whom nobody registered'}")  # fmt: skip

        names = (named, process, source)
        if item is None:
            item = self._items[work] = _Item(names, False, 0, [])
        else:
            self._named_alike[item.names].discard(work)
        item.names = names
        item.defined = item.defined or isinstance(data, WorkDefined)
        item.tenures += 1
        self._named_alike.setdefault(names, set()).add(work)
        if names not in self._answers:
            self._resolve(names)
        self._answer(work, item, self._answers[names], position)

    def _counts_here(self, kind: str, recorded: Recorded) -> bool:
        """Whether it was said by a person, or by a system that a person had given the word for this kind of stream.

        Any system that is registered may introduce somebody; while the ledger has no custodian, everything counts. But
        what belongs in a stream of another kind counts nowhere, whoever said it.
        """
        event = recorded.event
        if KIND_BY_EVENT.get(type(event.data)) != kind:
            return False
        if event.authtype != "system" or not any(
            granted and self._kinds.get(id) == "human" for id, granted in self._appointed
        ):
            return True
        word = self._spoken.get(event.authid or "")
        return word is not None and (kind in word or isinstance(event.data, ParticipantRegistered))

    def _directory(self, id: str, recorded: Recorded) -> str | None:
        """Take in what there is; return what may have changed answers, as a dependency."""
        match recorded.event.data:
            case ParticipantRegistered(kind=kind) if id not in self._kinds:
                self._kinds[id] = kind
                return f"participant/{id}"
            case ParticipantDeactivated(successor=successor) if id in self._kinds and id not in self._left:
                self._left[id] = successor
                return f"participant/{id}"
            case ProcessPublished(owner=owner):
                self._owners[id] = owner
                return f"process/{id}"
            case SourceRegistered(custodian=custodian, speaks_of=spoken):
                self._custodians[id], self._spoken[id] = custodian, frozenset(spoken)
                return f"source/{id}"
            case RoleGranted(role="custodian", scope=""):
                self._appointed.append((id, True))
                return "ledger"
            case RoleRevoked(role="custodian", scope=""):
                self._appointed.append((id, False))
                return "ledger"
            case _:
                return None

    def _resolve_again(self, changed: str, position: int) -> None:
        for names in list(self._dependents.get(changed, ())):
            before = self._answers[names]
            if self._resolve(names) != before:
                for work in self._named_alike.get(names, ()):
                    self._answer(work, self._items[work], self._answers[names], position)

    def _resolve(self, names: _Names) -> str | None:
        depends: set[str] = set()
        person = next((found for found in self._stand_ins(names, depends) if found is not None), None)
        for gone in self._goes_back.get(names, frozenset()) - depends:
            self._dependents[gone].discard(names)
        for reached in depends:
            self._dependents.setdefault(reached, set()).add(names)
        self._goes_back[names] = frozenset(depends)
        self._answers[names] = person
        return person

    def _stand_ins(self, names: _Names, depends: set[str]) -> Iterator[str | None]:
        """Whoever is asked in turn, each led through successions to a person who is here; None where there is none."""
        named, process, source = names
        if named is not None:
            yield self._person(named, depends)
        if process is not None:
            depends.add(f"process/{process}")
            if process in self._owners:
                yield self._person(self._owners[process], depends)
        if source is not None:
            depends.add(f"source/{source}")
            if source in self._custodians:
                yield self._person(self._custodians[source], depends)
        depends.add("ledger")
        held: list[str] = []
        for id, granted in self._appointed:
            depends.add(f"participant/{id}")
            # The last custodian stays until another takes over, and only people ever are.
            if self._kinds.get(id) == "human" and (granted or held != [id]):
                held = [*(h for h in held if h != id), *([id] if granted else [])]
        led = [self._person(id, depends) for id in held]
        yield next((person for person in reversed(led) if person is not None), None)
        yield held[-1] if held else None

    def _person(self, id: str | None, depends: set[str]) -> str | None:
        passed: set[str] = set()
        while id is not None and id not in passed:
            passed.add(id)
            depends.add(f"participant/{id}")
            if self._kinds.get(id) != "human":
                return None
            if id not in self._left:
                return id
            id = self._left[id]
        return None

    def _answer(self, work: str, item: _Item, person: str | None, position: int) -> None:
        if item.intervals and item.intervals[-1][1] == person:
            return
        if person is None:
            self._offence("gaps", f"from position {position} on nobody answers for {work}")
        item.intervals.append((position, person))

    def _offence(self, what: str, sentence: str) -> None:
        self._counts[what] += 1
        if len(self._places) < PLACES_MAX:
            self._places.append(sentence)


_OF_DIRECTORY: Final = frozenset({"participant", "process", "policy", "source"})


def compare(result: Result, rows: Rows, directory: Directory, assignment: Assignment | None = None) -> Comparison:
    """Hold the accountability view against the proof; with `assignment`, the auditor's, say where they differ.

    The view has to have come as far as the proof: until then it is not equal.
    """
    if rows.position < result.positions:
        behind = f"the view is at position {rows.position}, the proof at {result.positions}"
        return Comparison(equal=False, items=0, digest="", differences=(behind,))
    seen = viewed(rows, directory, result.positions)
    same = digest(seen)
    differences: list[str] = []
    if assignment is not None and same != result.digest:
        for work in sorted({*seen, *assignment}):
            if seen.get(work) != assignment.get(work):
                proved, said = _told(assignment.get(work)), _told(seen.get(work))
                differences.append(f"{work}: by the log {proved}; by the view {said}")
                if len(differences) == PLACES_MAX:
                    break
    return Comparison(equal=same == result.digest, items=len(seen), digest=same, differences=tuple(differences))


def viewed(rows: Rows, directory: Directory, position: int) -> Assignment:
    """What the accountability view says of every item up to `position`."""
    asof, shared = AsOf(position=position), accountability.custodianship(directory)
    found: Assignment = {}
    after = ""
    while True:
        page = rows.select(accountability.Row, "key > ? AND first_position <= ?", (after, position), "key", _PAGE)
        for row in page:
            persons: list[tuple[int, str | None]] = []
            for interval in accountability.assignment(directory, row, asof, shared):
                if not persons or persons[-1][1] != interval.person:
                    persons.append((interval.from_position, interval.person))
            found[row.key] = persons
        if len(page) < _PAGE:
            return found
        after = page[-1].key


_PAGE: Final = 1_000


def digest(assignment: Assignment) -> str:
    """`sha256:…` over one line for each interval, in order: work, from, until, person."""
    lines = sha256()
    for work in sorted(assignment):
        intervals = assignment[work]
        untils = [*(position for position, _ in intervals[1:]), None]
        for (position, person), until in zip(intervals, untils, strict=True):
            lines.update(f"{work}\t{position}\t{until or ''}\t{person or ''}\n".encode())
    return f"sha256:{lines.hexdigest()}"


def _told(intervals: list[tuple[int, str | None]] | None) -> str:
    if not intervals:
        return "nothing"
    return ", ".join(f"{person or 'nobody'} from {position}" for position, person in intervals[:6])
