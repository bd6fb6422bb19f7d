"""Who and what there is: participants, sources, processes and policies, and what was known of them when.

Every rule that looks beyond one work item looks here. Each entry keeps the place and both times of the event it
came from, so that the directory of any earlier position, or of any earlier state of knowledge, is a look-up.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import msgspec

from attorn.contracts import subjects
from attorn.contracts.envelope import Event, Recorded, Unknown
from attorn.contracts.finding import FindingAccepted, FindingDismissed, FindingRemediated
from attorn.contracts.ids import ParticipantKind
from attorn.contracts.messages import KIND_BY_EVENT
from attorn.contracts.participant import (
    AbsenceDeclared,
    AbsenceEnded,
    AgentDeployed,
    AgentUndeployed,
    AttestationGiven,
    Covers,
    ParticipantDeactivated,
    ParticipantKeyRegistered,
    ParticipantKeyRevoked,
    ParticipantManagerChanged,
    ParticipantRegistered,
    ParticipantResumed,
    ParticipantSuspended,
    ParticipantUpdated,
    RoleGranted,
    RoleRevoked,
    TeamMemberAdded,
    TeamMemberRemoved,
)
from attorn.contracts.policy import PolicyPublished
from attorn.contracts.process import ProcessMapped, ProcessPublished, ProcessRetired
from attorn.contracts.source import SourceRegistered
from attorn.projections.relations import FIRST, RELATING, Relations
from attorn.projections.reviewing import REVIEWED, Reviewing

VERSION: Final = 3
"""Higher whenever the same events make another directory, or other relations, than before."""

KINDS = ("participant", "process", "policy", "source")
"""The kinds of streams that the directory is folded from."""

_SAYS_NOTHING: Final = frozenset({Unknown, FindingAccepted, FindingRemediated, FindingDismissed})
"""What may stand in any stream, and is nothing about those whose stream it is."""

T = TypeVar("T")
V = TypeVar("V", ProcessPublished, PolicyPublished)


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


class Absence(msgspec.Struct, frozen=True):
    """When somebody is away, and who stands in; `ended` is when they said that they were back."""

    from_: datetime
    until: datetime
    substitute: str | None
    covers: tuple[Covers, ...]
    ended: Stamp | None = None

    def covers_at(self, what: Covers, at: datetime) -> bool:
        until = self.until if self.ended is None else min(self.until, self.ended.time)
        return what in self.covers and self.from_ <= at <= until


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is away until then; `substitute` is the person who is here and stands in, None when nobody does."""

    until: datetime
    substitute: str | None
    covers: tuple[Covers, ...]


class Deployment(msgspec.Struct, frozen=True):
    """An agent at work in a process, from `since` on, and `until` it was taken out or deployed anew."""

    agent: str
    said: AgentDeployed
    since: Stamp
    until: Stamp | None = None


class Key(msgspec.Struct, frozen=True):
    """A public key speaks for its owner from position `valid_from` on, and up to but without `until`."""

    key_id: str
    public_key: str
    valid_from: int
    until: int | None = None


class Attestation(msgspec.Struct, frozen=True):
    by: str
    statement: str
    valid_until: datetime | None = None


class Participant(msgspec.Struct, frozen=True):
    """One participant as registered first; `left` are the departures in log order, of which the first counts.

    `superiors` and `sponsors` are all who ever were, in log order; `stopped` are the scopes in which it is suspended.
    """

    id: str
    kind: ParticipantKind
    name: str
    stamp: Stamp
    org_unit: str | None = None
    reports_to: str | None = None
    sponsor: str | None = None
    external_party: str | None = None
    capabilities: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    left: tuple[Fact[Departure], ...] = ()
    superiors: tuple[Fact[str | None], ...] = ()
    sponsors: tuple[Fact[str | None], ...] = ()
    members: tuple[str, ...] = ()
    absences: tuple[Fact[Absence], ...] = ()
    deployments: tuple[Deployment, ...] = ()
    keys: tuple[Key, ...] = ()

    @property
    def suspended(self) -> bool:
        """Whether it was stopped, everywhere or somewhere, and may not go on yet."""
        return bool(self.stopped)


class Role(msgspec.Struct, frozen=True):
    participant: str
    role: str
    scope: str
    granted: bool
    valid_until: datetime | None = None


class Process(msgspec.Struct, frozen=True):
    """A process with the events that mapped it, and those that published and retired its versions."""

    id: str
    versions: tuple[Fact[ProcessPublished], ...] = ()
    retired: tuple[Fact[int | None], ...] = ()
    maps: tuple[Fact[ProcessMapped], ...] = ()


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
    # The same once more, as it is looked up: by who holds it, by its name, and the custodianship of the ledger.
    held: dict[str, tuple[Fact[Role], ...]] = {}
    holders: dict[str, tuple[str, ...]] = {}
    custodians: tuple[Fact[Role], ...] = ()
    attestations: dict[str, tuple[Fact[Attestation], ...]] = {}
    relations: Relations = msgspec.field(default_factory=Relations)
    # Where only some kinds of streams are followed, as at the doors, it is empty.
    reviewing: Reviewing = msgspec.field(default_factory=Reviewing)

    def evolve(self, recorded: Recorded) -> None:
        """Take in one event; events that the directory is not about only move its position."""
        self.position = recorded.position
        event = recorded.event
        # Most events are about none of it, and to look here is cheaper than to ask.
        if event.data.__class__ in RELATING or event.sequence == FIRST:
            self.relations.evolve(recorded)
        if event.data.__class__ not in REVIEWED and event.subject.startswith("work/"):
            return
        kind, _, id = event.subject.partition("/")
        # What stands in a stream of another kind is about nobody here, whoever said it.
        if KIND_BY_EVENT.get(event.data.__class__) != kind or not self.hears(event):
            return
        if event.data.__class__ in REVIEWED:
            # The first registration stands, and with it the room that it said.
            if event.data.__class__ is not ParticipantRegistered or id not in self.participants:
                self.reviewing.evolve(recorded)
        if kind not in KINDS:
            return
        stamp = Stamp(recorded.position, recorded.event.time, recorded.recorded_at)
        replace = msgspec.structs.replace
        match recorded.event.data:
            case RoleGranted(role=role, scope=scope, valid_until=until):
                self._take_role(Fact(stamp, Role(id, role, scope, True, until)))
            case RoleRevoked(role=role, scope=scope):
                self._take_role(Fact(stamp, Role(id, role, scope, False)))
            case AttestationGiven(subject=subject, statement=statement, valid_until=until):
                said = Fact(stamp, Attestation(id, statement, until))
                self.attestations[subject] = (*self.attestations.get(subject, ()), said)
            case SourceRegistered() as source:
                self.sources[id] = (*self.sources.get(id, ()), Fact(stamp, source))
            case ProcessPublished() as published:
                process = self.processes.get(id, Process(id))
                self.processes[id] = replace(process, versions=(*process.versions, Fact(stamp, published)))
            case ProcessMapped() as mapped:
                process = self.processes.get(id, Process(id))
                self.processes[id] = replace(process, maps=(*process.maps, Fact(stamp, mapped)))
            case ProcessRetired(version=version):
                process = self.processes.get(id, Process(id))
                self.processes[id] = replace(process, retired=(*process.retired, Fact(stamp, version)))
            case PolicyPublished() as policy:
                self.policies[id] = (*self.policies.get(id, ()), Fact(stamp, policy))
            case data if kind == "participant":
                who = self.participants.get(id)
                after = _registered(id, data, stamp) if who is None else _changed(who, data, stamp)
                if after is not None:
                    self.participants[id] = after

    def hears(self, event: Event, before: int | None = None) -> bool:
        """Whether `event` counts here, or is nothing but said; `before`, by what there was before that position.

        Authority is decided by what is known of people, processes and policies. A person who changes that was judged
        at the command door; of what a system says, nobody was asked. So its word counts where the custodian of the
        ledger or an admin has given it: where its source was registered to speak of this kind of stream. Without that,
        a registered source, for which a person answers, may introduce who was not known, as any person may: that takes
        nothing from anybody, and lends no power. Sources are registered by people alone. While the ledger has no
        custodian there is nobody to give the word, and everything counts.
        """
        if event.subject.startswith("work/"):
            return True
        kind, _, id = event.subject.partition("/")
        if kind not in KINDS or type(event.data) in _SAYS_NOTHING:
            return True
        if event.authtype != "system":
            return True
        source = self._registered_source(event.authid or "", before)
        if source is not None and (kind in source.speaks_of or isinstance(event.data, ParticipantRegistered)):
            return True
        # Whoever stops themselves does so before they are stopped.
        if isinstance(event.data, ParticipantSuspended) and id == event.authid:
            return True
        return self.root_custodian(NOW if before is None else AsOf(position=before - 1)) is None

    def apart(self) -> "Directory":
        """What there is now, to be led on by itself with what is said of people, processes, policies and sources.

        The relations stay shared, since none of that moves them; how many reviews wait for whom it does not know.
        """
        return msgspec.structs.replace(
            self,
            participants={**self.participants},
            sources={**self.sources},
            processes={**self.processes},
            policies={**self.policies},
            held={**self.held},
            holders={**self.holders},
            attestations={**self.attestations},
            reviewing=Reviewing(),
        )

    def _registered_source(self, id: str, before: int | None) -> SourceRegistered | None:
        said = reversed(self.sources.get(id, ()))
        return next((fact.value for fact in said if before is None or fact.stamp.position < before), None)

    def _take_role(self, fact: Fact[Role]) -> None:
        id, role = fact.value.participant, fact.value.role
        self.roles = (*self.roles, fact)
        self.held[id] = (*self.held.get(id, ()), fact)
        if id not in self.holders.get(role, ()):
            self.holders[role] = (*self.holders.get(role, ()), id)
        if role == "custodian" and not fact.value.scope:
            self.custodians = (*self.custodians, fact)

    # ---- participants

    def kind(self, id: str, asof: AsOf = NOW) -> ParticipantKind | None:
        """What sort of participant `id` is; None when nobody knows it."""
        who = self.participants.get(id)
        return who.kind if who is not None and (asof is NOW or asof.knows(who.stamp)) else None

    def is_here(self, id: str, asof: AsOf = NOW) -> bool:
        """Whether `id` is registered and has not left."""
        who = self.participants.get(id)
        if who is None or asof is NOW:
            return who is not None and not who.left
        return asof.knows(who.stamp) and self._departure(who, asof) is None

    def is_person(self, id: str, asof: AsOf = NOW) -> bool:
        """Whether `id` is a human who is here."""
        who = self.participants.get(id)
        return who is not None and who.kind == "human" and self.is_here(id, asof)

    def departure(self, id: str, asof: AsOf = NOW) -> Departure | None:
        """How `id` left; None while they are here, or were never."""
        who = self.participants.get(id)
        found = self._departure(who, asof) if who is not None else None
        return found.value if found is not None else None

    def name(self, id: str) -> str:
        who = self.participants.get(id)
        return who.name if who is not None else id

    def is_suspended(self, id: str, scope: str = "") -> bool:
        """Whether `id` was stopped everywhere, or in `scope`, a stream such as process/refunds, and may not go on."""
        who = self.participants.get(id)
        return who is not None and bool(who.stopped) and ("" in who.stopped or scope in who.stopped)

    def holds(self, id: str, role: str, scope: str | None = None, asof: AsOf = NOW, at: datetime | None = None) -> bool:
        """Whether `id` holds `role`, in `scope` or any; with `at`, whether it had not lapsed by then either."""
        if id not in self.held:
            return False
        held: dict[str, Role] = {}
        for fact in self.held[id]:
            said = fact.value
            if said.role == role and scope in (None, said.scope) and asof.covers(fact.stamp):
                held[said.scope] = said
        at = at or asof.at
        return any(r.granted and (at is None or r.valid_until is None or at <= r.valid_until) for r in held.values())

    def has_role(self, id: str, role: str, scope: str, at: datetime) -> bool:
        """Whether `id` is here and holds `role` at that time, everywhere or in `scope`."""
        return self.is_here(id) and (self.holds(id, role, "", at=at) or self.holds(id, role, scope, at=at))

    def somebody_is(self, role: str, scope: str, at: datetime) -> bool:
        """Whether anybody who is here holds `role` at that time, everywhere or in `scope`."""
        return any(self.has_role(id, role, scope, at) for id in self.holders.get(role, ()))

    def persons(self, target: str) -> tuple[str, ...]:
        """The persons who are here that `target`, a role or a participant, leads to. A role of that name wins."""
        found = tuple(id for id in self.holders.get(target, ()) if self.is_person(id) and self.holds(id, target))
        return found or ((target,) if self.is_person(target) else ())

    def leads_to(self, target: str) -> tuple[str, ...]:
        """Those who are here whom `target` means, where it names who is to be asked.

        Persons by name, by role or as members of a team, or the successor of who has left; and agents that are named.
        Nobody who is suspended, as long as a person is left.
        """
        found = self.persons(target)
        if not found and (successor := self.successor(target)) is not None:
            found = (successor,)
        if not found and self.kind(target) == "team":
            found = tuple(member for member in self.members(target) if self.is_person(member))
        if found:
            return tuple(id for id in found if not self.is_suspended(id)) or found
        is_asked = self.kind(target) != "team" and self.is_here(target) and not self.is_suspended(target)
        return (target,) if is_asked else ()

    def members(self, team: str) -> tuple[str, ...]:
        """The people and agents who are here that a team is made of, also by way of teams in it, each once."""
        found: dict[str, None] = {}
        passed, pending = set[str](), [team]
        while pending:
            who = self.participants.get(pending.pop())
            if who is None or who.id in passed or who.left:
                continue
            passed.add(who.id)
            if who.kind == "team":
                pending += reversed(who.members)
            else:
                found[who.id] = None
        return tuple(found)

    def teams_of(self, id: str) -> tuple[str, ...]:
        """The teams that are here which somebody is in, also by way of teams in them."""
        teams = [who for who in self.participants.values() if who.members and not who.left]
        found = dict.fromkeys(who.id for who in teams if id in who.members)
        for within in [*found]:
            found |= dict.fromkeys(who.id for who in teams if within in self.teams_in(who.id))
        return tuple(found)

    def teams_in(self, team: str) -> tuple[str, ...]:
        """The teams that a team is made of, and they in turn; not itself, unless it is made of itself."""
        found: dict[str, None] = {}
        pending = [team]
        while pending:
            who = self.participants.get(pending.pop())
            for member in who.members if who is not None else ():
                if member not in found and self.kind(member) == "team":
                    found[member] = None
                    pending.append(member)
        return tuple(found)

    def substitute(self, id: str, what: Covers, at: datetime) -> str | None:
        """The person who is here that stands in for `id` at that time; themselves while they are not away.

        None while they are away and nobody who is here, and is not away as well, stands in.
        """
        passed: set[str] = set()
        person: str | None = id
        while person is not None and person not in passed:
            passed.add(person)
            who = self.participants.get(person)
            if who is None:
                return None
            away = [f.value for f in who.absences if f.value.covers_at(what, at)]
            if not away:
                return person if self.is_person(person) else None
            person = away[-1].substitute
        return None

    def away(self, id: str, at: datetime, asof: AsOf = NOW) -> Away | None:
        """That `id` is away at that time, and who stands in; None when they are not away."""
        who = self.participants.get(id)
        # At the very time at which somebody says that they are back, they are.
        lasting = [f.value for f in (who.absences if who is not None else ())
                   if asof.knows(f.stamp) and any(f.value.covers_at(what, at) for what in f.value.covers)
                   and (f.value.ended is None or at < f.value.ended.time)]  # fmt: skip
        if not lasting:
            return None
        said = lasting[-1]
        return Away(until=said.until, substitute=self.substitute(id, said.covers[0], at), covers=said.covers)

    def key(self, id: str, key_id: str, position: int) -> str | None:
        """The public key that speaks for `id` under `key_id` at a position of the log; None when none does."""
        who = self.participants.get(id)
        for key in who.keys if who is not None else ():
            if key.key_id == key_id and key.valid_from <= position and (key.until is None or position < key.until):
                return key.public_key
        return None

    def successor(self, id: str, asof: AsOf = NOW) -> str | None:
        """The person who is here that `id` leads to: themselves, or whoever succeeded them; None when nobody."""
        return self._here(id, asof, [])

    def sponsor(self, id: str, asof: AsOf = NOW) -> str | None:
        """The person who is here that stands behind an agent or a system: who is named, or whoever succeeded them."""
        named = self.named_sponsor(id, asof)
        return self.successor(named, asof) if named is not None else None

    def named_sponsor(self, id: str, asof: AsOf = NOW) -> str | None:
        """Who is named as the person behind `id`, whether they are here or not."""
        who = self.participants.get(id)
        if who is None or asof is NOW:
            return who.sponsor if who is not None else None
        return next((fact.value for fact in reversed(who.sponsors) if asof.covers(fact.stamp)), None)

    def names_person(self, target: str) -> bool:
        """Whether `target`, a participant or a role, leads to a person who is here."""
        return bool(self.persons(target))

    def root_custodian(self, asof: AsOf = NOW) -> str | None:
        """Who answers when nobody else does: the last person who was made custodian of the ledger, and still is."""
        if asof is NOW and self.custodians:
            newest = self.custodians[-1].value
            if newest.granted and self.is_person(newest.participant):
                return newest.participant
        grants = [f for f in self.custodians if asof.knows(f.stamp) and self.kind(f.value.participant, asof) == "human"]
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
        found = self.processes.get(id)
        if found is None:
            return None
        if asof is NOW:
            return _version(found.versions, version)
        known = [f for f in found.versions
                 if asof.knows(f.stamp) and (version is None or f.value.version == version)]  # fmt: skip
        covered = [f for f in known if asof.covers(f.stamp)] or known[:1]
        return covered[-1].value if covered else None

    def process_in_force(self, id: str, at: datetime) -> ProcessPublished | None:
        """The version of a process under which new work begins at that time."""
        process = self.processes.get(id)
        for fact in reversed(process.versions) if process is not None else ():
            version = fact.value
            if (version.effective_at is None or version.effective_at <= at) and not self.is_retired(
                id, version.version, at
            ):
                return version
        return None

    def is_retired(self, id: str, version: int, at: datetime) -> bool:
        """Whether no new work begins under this version of a process at that time."""
        process = self.processes.get(id)
        if process is None or not process.retired:
            return False
        published = max((f.stamp.position for f in process.versions if f.value.version == version), default=0)
        return any(f.value in (None, version) and f.stamp.position > published and f.stamp.time <= at
                   for f in process.retired)  # fmt: skip

    def policy(self, id: str, version: int | None = None, asof: AsOf = NOW) -> PolicyPublished | None:
        """The published version `version` of a policy, or its newest."""
        if asof is NOW:
            return _version(self.policies.get(id, ()), version)
        found = [f.value for f in self.policies.get(id, ())
                 if asof.knows(f.stamp) and (version is None or f.value.version == version)]  # fmt: skip
        return found[-1] if found else None

    def policy_in_force(self, id: str, at: datetime) -> PolicyPublished | None:
        """The version of a policy that work is pinned to at that time."""
        return next((f.value for f in reversed(self.policies.get(id, ()))
                     if f.value.effective_at is None or f.value.effective_at <= at), None)  # fmt: skip

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
        if asof is NOW and named is not None and self.is_person(named):
            return Answer(person=named, basis="named")
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


def _version(versions: Sequence[Fact[V]], version: int | None) -> V | None:
    for fact in reversed(versions):
        if version is None or fact.value.version == version:
            return fact.value
    return None


def _registered(id: str, data: Any, stamp: Stamp) -> Participant | None:
    if not isinstance(data, ParticipantRegistered):
        return None
    keys = (Key(key.key_id, key.public_key, key.valid_from or stamp.position) for key in data.signing_keys)
    return Participant(
        id,
        data.kind,
        data.display_name,
        stamp,
        data.org_unit,
        data.reports_to,
        data.sponsor,
        data.external_party,
        data.capabilities,
        superiors=(Fact(stamp, data.reports_to),),
        sponsors=(Fact(stamp, data.sponsor),),
        keys=tuple(keys),
    )


def _changed(who: Participant, data: Any, stamp: Stamp) -> Participant | None:
    """The participant after an event of its own; None when nothing about it has changed."""
    replace = msgspec.structs.replace
    match data:
        case ParticipantDeactivated(successor=successor, reason=reason):
            # Whoever leaves is at work nowhere.
            at_work = tuple(d if d.until is not None else replace(d, until=stamp) for d in who.deployments)
            departure = Fact(stamp, Departure(successor, reason or ""))
            return replace(who, left=(*who.left, departure), deployments=at_work)
        case ParticipantUpdated():
            return _updated(who, data, stamp)
        case ParticipantSuspended(scope=scope):
            return replace(who, stopped=(*(s for s in who.stopped if s != scope), scope))
        case ParticipantResumed(scope=scope):
            # To be resumed everywhere ends whatever stopped it anywhere.
            return replace(who, stopped=tuple(s for s in who.stopped if scope and s != scope))
        case ParticipantManagerChanged(new=new):
            return replace(who, reports_to=new, superiors=(*who.superiors, Fact(stamp, new)))
        case TeamMemberAdded(member=member):
            return None if member in who.members else replace(who, members=(*who.members, member))
        case TeamMemberRemoved(member=member):
            return replace(who, members=tuple(m for m in who.members if m != member))
        case AbsenceDeclared():
            absence = Absence(data.from_, data.until, data.substitute, data.covers)
            return replace(who, absences=(*who.absences, Fact(stamp, absence)))
        case AbsenceEnded():
            # Whoever comes back from one absence may have another ahead; who is not away calls off what is ahead.
            begun = any(f.value.from_ <= stamp.time and f.value.ended is None for f in who.absences)
            ended = (Fact(f.stamp, replace(f.value, ended=stamp))
                     if f.value.ended is None and (not begun or f.value.from_ <= stamp.time) else f
                     for f in who.absences)  # fmt: skip
            return replace(who, absences=tuple(ended))
        case AgentDeployed(process_id=process, environment=environment):
            others = _undeployed(who.deployments, process, environment, stamp)
            return replace(who, deployments=(*others, Deployment(who.id, data, stamp)))
        case AgentUndeployed(process_id=process, environment=environment):
            return replace(who, deployments=_undeployed(who.deployments, process, environment, stamp))
        case ParticipantKeyRegistered(key_id=key_id, public_key=public, valid_from=valid_from):
            return replace(who, keys=(*who.keys, Key(key_id, public, valid_from or stamp.position)))
        case ParticipantKeyRevoked(key_id=key_id, valid_from=until):
            revoked = (replace(k, until=until or stamp.position) if k.key_id == key_id and k.until is None else k
                       for k in who.keys)  # fmt: skip
            return replace(who, keys=tuple(revoked))
        case _:
            # The first registration stands: a second one cannot make an agent a person.
            return None


def _updated(who: Participant, data: ParticipantUpdated, stamp: Stamp) -> Participant:
    new = {"name": data.display_name, "org_unit": data.org_unit, "sponsor": data.sponsor,
           "external_party": data.external_party, "capabilities": data.capabilities}  # fmt: skip
    after = msgspec.structs.replace(who, **{name: said for name, said in new.items() if said is not None})
    if data.sponsor is None:
        return after
    return msgspec.structs.replace(after, sponsors=(*who.sponsors, Fact(stamp, data.sponsor)))


def _undeployed(
    deployments: tuple[Deployment, ...], process: str, environment: str, stamp: Stamp
) -> tuple[Deployment, ...]:
    ends = (d.until is None and (d.said.process_id, d.said.environment) == (process, environment) for d in deployments)
    return tuple(
        msgspec.structs.replace(d, until=stamp) if end else d for d, end in zip(deployments, ends, strict=True)
    )


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


assert set(KINDS) <= set(subjects.KINDS)
