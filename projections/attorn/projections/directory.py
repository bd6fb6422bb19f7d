"""Who and what there is: participants, sources, processes and policies, and what was known of them when.

Every rule that looks beyond one work item looks here. Each entry keeps the place and both times of the event it
came from, so that the directory of any earlier position, or of any earlier state of knowledge, is a look-up.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from attorn.contracts import subjects
from attorn.contracts.envelope import Recorded
from attorn.contracts.ids import ParticipantKind
from attorn.contracts.participant import (
    ParticipantDeactivated,
    ParticipantManagerChanged,
    ParticipantRegistered,
    ParticipantResumed,
    ParticipantSuspended,
    RoleGranted,
    RoleRevoked,
)
from attorn.contracts.policy import PolicyPublished
from attorn.contracts.process import ProcessPublished, ProcessRetired
from attorn.contracts.source import SourceRegistered

KINDS = ("participant", "process", "policy", "source")
"""The kinds of streams that the directory is folded from."""

T = TypeVar("T")


class Stamp(msgspec.Struct, frozen=True):
    """The place of an event in the log, when it happened and when it was recorded."""

    position: int
    time: datetime
    recorded_at: datetime


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of history a question is about; by default all of it.

    `position`: up to this position. `at`: what had happened by then. `known_at`: what was recorded by then.
    """

    position: int | None = None
    at: datetime | None = None
    known_at: datetime | None = None

    def knows(self, stamp: Stamp) -> bool:
        return (self.position is None or stamp.position <= self.position) and (
            self.known_at is None or stamp.recorded_at <= self.known_at
        )

    def covers(self, stamp: Stamp) -> bool:
        return self.knows(stamp) and (self.at is None or stamp.time <= self.at)


NOW = AsOf()


class Fact(msgspec.Struct, Generic[T], frozen=True):
    """A value, and the event that made it so."""

    stamp: Stamp
    value: T


class Departure(msgspec.Struct, frozen=True):
    successor: str | None
    reason: str = ""


class Participant(msgspec.Struct, frozen=True):
    """One participant as registered first; `left` are the departures in log order, of which the first counts."""

    id: str
    kind: ParticipantKind
    name: str
    stamp: Stamp
    org_unit: str | None = None
    reports_to: str | None = None
    sponsor: str | None = None
    suspended: bool = False
    left: tuple[Fact[Departure], ...] = ()


class Role(msgspec.Struct, frozen=True):
    participant: str
    role: str
    scope: str
    granted: bool
    valid_until: datetime | None = None


class Process(msgspec.Struct, frozen=True):
    """A process with the events that published its versions."""

    id: str
    versions: tuple[Fact[ProcessPublished], ...] = ()
    retired: tuple[Fact[int | None], ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers, and why: `basis` in a word, `steps` as sentences from the name on the work to the person."""

    person: str | None
    basis: str
    steps: tuple[str, ...] = ()


class Directory(msgspec.Struct):
    """The fold: `evolve` takes events in log order; everything else is a question."""

    position: int = 0
    participants: dict[str, Participant] = {}
    sources: dict[str, tuple[Fact[SourceRegistered], ...]] = {}
    processes: dict[str, Process] = {}
    policies: dict[str, tuple[Fact[PolicyPublished], ...]] = {}
    roles: tuple[Fact[Role], ...] = ()

    def evolve(self, recorded: Recorded) -> None:
        """Take in one event; events that the directory is not about only move its position."""
        self.position = recorded.position
        kind, _, id = recorded.stream.partition("/")
        if kind not in KINDS:
            return
        stamp = Stamp(recorded.position, recorded.event.time, recorded.recorded_at)
        replace = msgspec.structs.replace
        who = self.participants.get(id)
        match recorded.event.data:
            case ParticipantRegistered() as data:
                # The first registration stands: a second one cannot make an agent a person.
                if who is None:
                    self.participants[id] = Participant(
                        id, data.kind, data.display_name, stamp, data.org_unit, data.reports_to, data.sponsor
                    )
            case ParticipantDeactivated(successor=successor, reason=reason) if who is not None:
                departure = Fact(stamp, Departure(successor, reason or ""))
                self.participants[id] = replace(who, left=(*who.left, departure))
            case ParticipantSuspended() if who is not None:
                self.participants[id] = replace(who, suspended=True)
            case ParticipantResumed() if who is not None:
                self.participants[id] = replace(who, suspended=False)
            case ParticipantManagerChanged(new=new) if who is not None:
                self.participants[id] = replace(who, reports_to=new)
            case RoleGranted(role=role, scope=scope, valid_until=until):
                self.roles = (*self.roles, Fact(stamp, Role(id, role, scope, True, until)))
            case RoleRevoked(role=role, scope=scope):
                self.roles = (*self.roles, Fact(stamp, Role(id, role, scope, False)))
            case SourceRegistered() as source:
                self.sources[id] = (*self.sources.get(id, ()), Fact(stamp, source))
            case ProcessPublished() as published:
                process = self.processes.get(id, Process(id))
                self.processes[id] = replace(process, versions=(*process.versions, Fact(stamp, published)))
            case ProcessRetired(version=version):
                process = self.processes.get(id, Process(id))
                self.processes[id] = replace(process, retired=(*process.retired, Fact(stamp, version)))
            case PolicyPublished() as policy:
                self.policies[id] = (*self.policies.get(id, ()), Fact(stamp, policy))
            case _:
                pass

    # ---- participants

    def kind(self, id: str, asof: AsOf = NOW) -> ParticipantKind | None:
        """What sort of participant `id` is; None when nobody knows it."""
        who = self.participants.get(id)
        return who.kind if who is not None and asof.knows(who.stamp) else None

    def is_here(self, id: str, asof: AsOf = NOW) -> bool:
        """Whether `id` is registered and has not left."""
        return self.kind(id, asof) is not None and self._departure(self.participants[id], asof) is None

    def is_person(self, id: str, asof: AsOf = NOW) -> bool:
        """Whether `id` is a human who is here."""
        return self.kind(id, asof) == "human" and self.is_here(id, asof)

    def name(self, id: str) -> str:
        who = self.participants.get(id)
        return who.name if who is not None else id

    def is_suspended(self, id: str) -> bool:
        """Whether `id` was stopped and may not go on yet."""
        who = self.participants.get(id)
        return who is not None and who.suspended

    def holds(self, id: str, role: str, scope: str | None = None, asof: AsOf = NOW, at: datetime | None = None) -> bool:
        """Whether `id` holds `role`, in `scope` or any; with `at`, whether it had not lapsed by then either."""
        held: dict[str, Role] = {}
        for fact in self.roles:
            said = fact.value
            if asof.covers(fact.stamp) and said.participant == id and said.role == role and scope in (None, said.scope):
                held[said.scope] = said
        at = at or asof.at
        return any(r.granted and (at is None or r.valid_until is None or at <= r.valid_until) for r in held.values())

    def persons(self, target: str) -> tuple[str, ...]:
        """The persons who are here that `target`, a role or a participant, leads to. A role of that name wins."""
        holders = dict.fromkeys(f.value.participant for f in self.roles if f.value.role == target)
        found = tuple(id for id in holders if self.is_person(id) and self.holds(id, target))
        return found or ((target,) if self.is_person(target) else ())

    def successor(self, id: str, asof: AsOf = NOW) -> str | None:
        """The person who is here that `id` leads to: themselves, or whoever succeeded them; None when nobody."""
        return self._here(id, asof, [])

    def names_person(self, target: str) -> bool:
        """Whether `target`, a participant or a role, leads to a person who is here."""
        return bool(self.persons(target))

    def root_custodian(self, asof: AsOf = NOW) -> str | None:
        """Who answers when nobody else does: the last person who was made custodian of the ledger, and still is."""
        grants = [f for f in self.roles if f.value.role == "custodian" and f.value.scope == ""
                  and asof.knows(f.stamp) and self.kind(f.value.participant, asof) == "human"]  # fmt: skip
        # A custodian answers also for what happened before there was one: the first that is known stands in.
        held: list[str] = []
        for fact in [f for f in grants if asof.covers(f.stamp)] or grants[:1]:
            who = fact.value.participant
            if fact.value.granted:
                held = [*(h for h in held if h != who), who]
            elif held != [who]:
                # The last custodian stays until another takes over: a ledger is never without one.
                held = [h for h in held if h != who]
        # Whoever leads to nobody any more, having left without a successor, steps back behind the others.
        leading = [id for id in held if self.successor(id, asof) is not None]
        return next(reversed(leading or held), None)

    # ---- processes, policies, sources

    def process(self, id: str, version: int | None = None, asof: AsOf = NOW) -> ProcessPublished | None:
        """The published version `version` of a process, or its newest; before there was any, its first."""
        known = [f for f in self.processes.get(id, Process(id)).versions
                 if asof.knows(f.stamp) and (version is None or f.value.version == version)]  # fmt: skip
        covered = [f for f in known if asof.covers(f.stamp)] or known[:1]
        return covered[-1].value if covered else None

    def process_in_force(self, id: str, at: datetime) -> ProcessPublished | None:
        """The version of a process under which new work begins at that time."""
        found = [f.value for f in self.processes.get(id, Process(id)).versions
                 if (f.value.effective_at is None or f.value.effective_at <= at)
                 and not self.is_retired(id, f.value.version, at)]  # fmt: skip
        return found[-1] if found else None

    def is_retired(self, id: str, version: int, at: datetime) -> bool:
        """Whether no new work begins under this version of a process at that time."""
        process = self.processes.get(id, Process(id))
        published = max((f.stamp.position for f in process.versions if f.value.version == version), default=0)
        return any(f.value in (None, version) and f.stamp.position > published and f.stamp.time <= at
                   for f in process.retired)  # fmt: skip

    def policy(self, id: str, version: int | None = None, asof: AsOf = NOW) -> PolicyPublished | None:
        """The published version `version` of a policy, or its newest."""
        found = [f.value for f in self.policies.get(id, ())
                 if asof.knows(f.stamp) and (version is None or f.value.version == version)]  # fmt: skip
        return found[-1] if found else None

    def policy_in_force(self, id: str, at: datetime) -> PolicyPublished | None:
        """The version of a policy that work is pinned to at that time."""
        found = [f.value for f in self.policies.get(id, ())
                 if f.value.effective_at is None or f.value.effective_at <= at]  # fmt: skip
        return found[-1] if found else None

    def custodian(self, source: str, asof: AsOf = NOW) -> str | None:
        """Who is custodian of what `source` reports; of what happened before there was one, the first."""
        known = [f for f in self.sources.get(source, ()) if asof.knows(f.stamp)]
        covered = [f for f in known if asof.covers(f.stamp)] or known[:1]
        return covered[-1].value.custodian if covered else None

    # ---- who answers

    def answerable(
        self, named: str | None, process: str | None = None, source: str | None = None, asof: AsOf = NOW
    ) -> Answer:
        """The person who answers for work that names `named`, runs under `process` and was reported by `source`.

        The named person or, if they left, their successor; else the owner of the process, else the custodian of
        the source, else the ledger's. Only a person who is here is an answer, and every candidate can be passed on
        through successions; the last custodian of the ledger stays, even gone, until there is another. None only while
        the ledger has no custodian at all.
        """
        steps: list[str] = []
        for candidate, basis in self._candidates(named, process, source, asof):
            person = self._here(candidate, asof, steps)
            if person is not None:
                return Answer(person=person, basis="successor" if person != candidate else basis, steps=tuple(steps))
        if (root := self.root_custodian(asof)) is not None:
            # Also who left answers, as long as there is nobody else: work is never without a person.
            steps.append(f"{root} stays custodian of the ledger until another is appointed")
            return Answer(person=root, basis="ledger custodian", steps=tuple(steps))
        return Answer(person=None, basis="nobody", steps=(*steps, "the ledger has no custodian"))

    def _candidates(
        self, named: str | None, process: str | None, source: str | None, asof: AsOf
    ) -> Iterator[tuple[str, str]]:
        if named is not None:
            yield named, "named"
        if process is not None and (published := self.process(process, asof=asof)) is not None:
            yield published.owner, "process owner"
        if source is not None and (custodian := self.custodian(source, asof)) is not None:
            yield custodian, "source custodian"
        if (root := self.root_custodian(asof)) is not None:
            yield root, "ledger custodian"

    def _here(self, id: str, asof: AsOf, steps: list[str]) -> str | None:
        passed: set[str] = set()
        while id not in passed:
            passed.add(id)
            who = self.participants.get(id)
            if who is None or not asof.knows(who.stamp):
                steps.append(f"{id} is not registered")
                return None
            if who.kind != "human":
                steps.append(f"{id} is {_article(who.kind)}, not a person")
                return None
            departure = self._departure(who, asof)
            if departure is None:
                return id
            if departure.value.successor is None:
                steps.append(f"{id} left at position {departure.stamp.position} without a successor")
                return None
            steps.append(f"{id} left at position {departure.stamp.position}; {departure.value.successor} succeeds")
            id = departure.value.successor
        steps.append(f"the successions of {id} lead back to {id}")
        return None

    def _departure(self, who: Participant, asof: AsOf) -> Fact[Departure] | None:
        return next((fact for fact in who.left if asof.covers(fact.stamp)), None)


def fold(log: Sequence[Recorded]) -> Directory:
    """The directory after `log`."""
    directory = Directory()
    for recorded in log:
        directory.evolve(recorded)
    return directory


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


assert set(KINDS) <= set(subjects.KINDS)
