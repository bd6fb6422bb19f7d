"""Participants: who takes part, who leads and succeeds whom, in which roles and teams, who is away, who is at work."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.participant import (
    AbsenceDeclared,
    AbsenceEnded,
    AddTeamMember,
    AgentDeployed,
    AgentUndeployed,
    AttestationGiven,
    ChangeManager,
    DeactivateParticipant,
    DeclareAbsence,
    DeployAgent,
    EndAbsence,
    GiveAttestation,
    GrantRole,
    ParticipantDeactivated,
    ParticipantKeyRegistered,
    ParticipantKeyRevoked,
    ParticipantManagerChanged,
    ParticipantRegistered,
    ParticipantResumed,
    ParticipantSuspended,
    ParticipantUpdated,
    RegisterKey,
    RegisterParticipant,
    RemoveTeamMember,
    ResumeParticipant,
    RevokeKey,
    RevokeRole,
    RoleGranted,
    RoleRevoked,
    SuspendParticipant,
    TeamMemberAdded,
    TeamMemberRemoved,
    UndeployAgent,
    UpdateParticipant,
)
from attorn.contracts.refusal import LISTED_MAX, Breach
from attorn.projections.directory import Directory
from attorn.projections.workforce import line
from attorn.services.participant import deployment
from attorn.services.participant.authority import check_actor, check_over, check_role
from attorn.services.transact import Context

_MENTIONED_MAX: Final = 5

ParticipantCommand: TypeAlias = (
    RegisterParticipant
    | UpdateParticipant
    | SuspendParticipant
    | ResumeParticipant
    | ChangeManager
    | RegisterKey
    | RevokeKey
    | AddTeamMember
    | RemoveTeamMember
    | DeactivateParticipant
    | GrantRole
    | RevokeRole
    | DeclareAbsence
    | EndAbsence
    | DeployAgent
    | UndeployAgent
    | GiveAttestation
)


class Participant(msgspec.Struct, frozen=True, tag="participant"):
    """`registered` is as it was first, `profile` as it is now; `keys` and `revoked` are ids of keys."""

    registered: ParticipantRegistered | None = None
    profile: ParticipantRegistered | None = None
    left: ParticipantDeactivated | None = None
    roles: tuple[RoleGranted, ...] = ()
    stopped: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    keys: tuple[ParticipantKeyRegistered, ...] = ()
    revoked: tuple[str, ...] = ()
    absences: tuple[AbsenceDeclared, ...] = ()
    deployments: tuple[AgentDeployed, ...] = ()
    attestations: tuple[AttestationGiven, ...] = ()

    def role(self, role: str, scope: str) -> RoleGranted | None:
        return next((held for held in self.roles if held.role == role and held.scope == scope), None)

    def key(self, key_id: str) -> ParticipantKeyRegistered | None:
        return next((key for key in self.keys if key.key_id == key_id), None)


initial = Participant()
state_type = Participant

_FOR_WHO_IS_HERE: Final = (
    ParticipantUpdated,
    ParticipantManagerChanged,
    ParticipantKeyRegistered,
    TeamMemberAdded,
    RoleGranted,
    AbsenceDeclared,
    AgentDeployed,
    AttestationGiven,
)
"""What is not for who has left. To take something away from them is."""

_OF_WHO_IS_OVER_THEM: Final = (ParticipantSuspended, ParticipantDeactivated, ParticipantManagerChanged, AbsenceDeclared)
"""What takes somebody out of their place, for a while or for good, or puts somebody else over them."""


def decide(who: Participant, command: ParticipantCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    known = who.registered is not None
    match command:
        case RegisterParticipant():
            registered = ParticipantRegistered(
                **{name: getattr(command, name) for name in ParticipantRegistered.__struct_fields__}
            )
            return [] if registered in (who.registered, who.profile) and who.left is None else [registered]
        case UpdateParticipant():
            return _update(who, command)
        case SuspendParticipant(reason=reason, scope=scope):
            return [] if {"", scope} & {*who.stopped} else [ParticipantSuspended(reason=reason, scope=scope)]
        case ResumeParticipant(reason=reason, scope=scope):
            stands = scope in who.stopped if scope else bool(who.stopped)
            return [ParticipantResumed(reason=reason, scope=scope)] if stands or not known else []
        case ChangeManager(new=new):
            old = who.profile.reports_to if who.profile is not None else None
            return [] if known and old == new else [ParticipantManagerChanged(old=old, new=new)]
        case RegisterKey(key_id=key_id, public_key=public, valid_from=valid_from):
            key = ParticipantKeyRegistered(key_id=key_id, public_key=public, valid_from=valid_from)
            return [] if who.key(key_id) == key and key_id not in who.revoked else [key]
        case RevokeKey(key_id=key_id, valid_from=valid_from, reason=reason):
            gone = key_id in who.revoked
            return [] if gone else [ParticipantKeyRevoked(key_id=key_id, valid_from=valid_from, reason=reason)]
        case AddTeamMember(member=member):
            return [] if member in who.members else [TeamMemberAdded(member=member)]
        case RemoveTeamMember(member=member):
            return [TeamMemberRemoved(member=member)] if member in who.members or not known else []
        case DeactivateParticipant(reason=reason, successor=successor):
            gone = who.left is not None and who.left.successor == successor
            return [] if gone else [ParticipantDeactivated(reason=reason, successor=successor)]
        case GrantRole(role=role, scope=scope, valid_until=until):
            granted = RoleGranted(role=role, scope=scope, valid_until=until)
            return [] if granted in who.roles else [granted]
        case RevokeRole(role=role, scope=scope, reason=reason):
            revoked = RoleRevoked(role=role, scope=scope, reason=reason)
            return [] if known and who.role(role, scope) is None else [revoked]
        case DeclareAbsence(from_=from_, until=until, substitute=substitute, covers=covers):
            absence = AbsenceDeclared(from_=from_, until=until, substitute=substitute, covers=covers)
            return [] if absence in who.absences else [absence]
        case EndAbsence(reason=reason):
            return [AbsenceEnded(reason=reason)] if who.absences or not known else []
        case DeployAgent() | UndeployAgent():
            return deployment.decide(who.deployments, command, context)
        case GiveAttestation(subject=subject, statement=statement, valid_until=until):
            # The same words again are news: they say that it still is so.
            return [AttestationGiven(subject=subject, statement=statement, valid_until=until)]


def check(who: Participant, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules about taking part `event` breaks."""
    id, data = event.subject.partition("/")[2], event.data
    yield from check_actor(event, directory)
    if isinstance(data, ParticipantRegistered):
        yield from _check_registration(who, id, data, event, directory)
        return
    if isinstance(data, _OF_WHO_IS_OVER_THEM):
        yield from check_over(id, event, directory)
    if isinstance(data, ParticipantDeactivated):
        yield from _check_departure(who, id, data, directory)
        return
    if who.profile is None or (who.left is not None and isinstance(data, _FOR_WHO_IS_HERE)):
        yield Breach(rule="unregistered-actor", detail=f"{id} {'is not registered' if not who.profile else 'has left'}")
        return
    match data:
        case ParticipantUpdated(sponsor=str(sponsor)):
            yield from _check_sponsor(id, who.profile.kind, sponsor, directory)
        case ParticipantResumed() if event.authid == id:
            yield Breach(rule="actor-suspended", detail=f"{id} is suspended; somebody else resumes them")
        case ParticipantManagerChanged(new=new):
            yield from _check_superior(id, new, "data.new", directory)
        case ParticipantKeyRegistered(key_id=key_id) if who.key(key_id) is not None:
            detail = f"{id} has registered a key {key_id} before; give the new one an id of its own"
            yield Breach(rule="key-known", detail=detail, field="data.key_id")
        case ParticipantKeyRevoked(key_id=key_id) if who.key(key_id) is None or key_id in who.revoked:
            state = "has been revoked" if key_id in who.revoked else "was never registered"
            yield Breach(rule="key-known", detail=f"the key {key_id} of {id} {state}", field="data.key_id")
        case TeamMemberAdded(member=member):
            yield from _check_member(who.profile, id, member, directory)
        case RoleGranted(role=role, scope=scope):
            if role == "custodian" and who.profile.kind != "human":
                detail = f"{id} is of kind {who.profile.kind}; a custodian is a person"
                yield Breach(rule="custodian-human", detail=detail)
            yield from check_role(role, scope, event, who.roles, directory)
        case RoleRevoked(role=role, scope=scope):
            yield from check_role(role, scope, event, who.roles, directory)
        case AbsenceDeclared():
            yield from _check_absence(who.profile, id, data, directory)
            yield from _check_overlap(who.absences, id, data)
        case AgentDeployed():
            yield from deployment.check(who.profile, id, data, event, directory)
        case AttestationGiven():
            yield from _check_attestation(id, data, event, directory)
        case _:
            pass


def evolve(who: Participant, event: Event) -> Participant:
    """What is true of the participant afterwards."""
    replace = msgspec.structs.replace
    match event.data:
        case ParticipantRegistered() as registered if who.registered is None:
            keys = (
                ParticipantKeyRegistered(key_id=key.key_id, public_key=key.public_key, valid_from=key.valid_from)
                for key in registered.signing_keys
            )
            return replace(who, registered=registered, profile=registered, keys=tuple(keys))
        case ParticipantUpdated() as updated if who.profile is not None:
            said = {name: getattr(updated, name) for name in _UPDATABLE if getattr(updated, name) is not None}
            return replace(who, profile=replace(who.profile, **said))
        case ParticipantManagerChanged(new=new) if who.profile is not None:
            return replace(who, profile=replace(who.profile, reports_to=new))
        case ParticipantSuspended(scope=scope):
            return replace(who, stopped=(*(s for s in who.stopped if s != scope), scope))
        case ParticipantResumed(scope=scope):
            return replace(who, stopped=tuple(s for s in who.stopped if scope and s != scope))
        case ParticipantKeyRegistered() as key if who.key(key.key_id) is None:
            return replace(who, keys=(*who.keys, key))
        case ParticipantKeyRevoked(key_id=key_id) if key_id not in who.revoked:
            return replace(who, revoked=(*who.revoked, key_id))
        case TeamMemberAdded(member=member) if member not in who.members:
            return replace(who, members=(*who.members, member))
        case TeamMemberRemoved(member=member):
            return replace(who, members=tuple(m for m in who.members if m != member))
        case ParticipantDeactivated() as departure if who.left is None:
            return replace(who, left=departure, deployments=())
        case RoleGranted() as granted:
            return replace(who, roles=(*_others(who, granted), granted))
        case RoleRevoked() as revoked:
            return replace(who, roles=_others(who, revoked))
        case AbsenceDeclared() as absence:
            return replace(who, absences=(*who.absences, absence))
        case AbsenceEnded():
            ahead = tuple(absence for absence in who.absences if absence.from_ > event.time)
            return replace(who, absences=() if ahead == who.absences else ahead)
        case AgentDeployed() | AgentUndeployed():
            return replace(who, deployments=deployment.evolve(who.deployments, event.data))
        case AttestationGiven(subject=subject) as given:
            others = tuple(said for said in who.attestations if said.subject != subject)
            return replace(who, attestations=(*others, given))
        case _:
            return who


_UPDATABLE: Final = tuple(name for name in ParticipantUpdated.__struct_fields__ if name != "was")


def _update(who: Participant, command: UpdateParticipant) -> Sequence[msgspec.Struct]:
    before = who.profile
    said = {name: getattr(command, name) for name in _UPDATABLE if getattr(command, name) is not None}
    changed = {name: new for name, new in said.items() if before is None or getattr(before, name) != new}
    if not changed and before is not None:
        return []
    was = {name: msgspec.to_builtins(getattr(before, name)) for name in changed} if before is not None else {}
    return [ParticipantUpdated(**changed, was=was)]


def _check_registration(
    who: Participant, id: str, data: ParticipantRegistered, event: Event, directory: Directory
) -> Iterator[Breach]:
    if who.registered is not None:
        yield Breach(rule="registered-once", detail=f"{id} is registered already")
    if data.participant_id != id:
        detail = f"{event.subject} registers {data.participant_id}; the two are the same participant"
        yield Breach(rule="registered-once", detail=detail, field="data.participant_id")
    yield from _check_sponsor(id, data.kind, data.sponsor, directory)
    yield from _check_superior(id, data.reports_to, "data.reports_to", directory)


def _check_sponsor(id: str, kind: str, sponsor: str | None, directory: Directory) -> Iterator[Breach]:
    if kind in ("agent", "system") and (sponsor is None or not directory.is_person(sponsor)):
        detail = f"the sponsor of {id} is {sponsor or 'nobody'}; name a person who is here"
        yield Breach(rule="sponsor-human", detail=detail, field="data.sponsor")


def _check_superior(id: str, superior: str | None, field: str, directory: Directory) -> Iterator[Breach]:
    # Reporting to nobody is for the head of the house, and for an agent, whose sponsor then leads it.
    if superior is None:
        return
    above = line(directory, superior)
    if superior == id or id in above.path:
        detail = f"{id} would report to {superior}, who reports to {id}; name somebody who does not"
        yield Breach(rule="manager-human", detail=detail, field=field)
    elif above.problem is not None or not directory.is_here(superior):
        problem = above.problem or f"{superior} has left"
        detail = f"{problem}; name somebody whose line ends at a person who is here"
        yield Breach(rule="manager-human", detail=detail, field=field)


def _check_departure(who: Participant, id: str, data: ParticipantDeactivated, directory: Directory) -> Iterator[Breach]:
    if who.registered is None or who.left is not None:
        state = "is not registered"
        if who.left is not None:
            state = f"has left already, and {who.left.successor or 'nobody'} succeeded; the first word stands"
        yield Breach(rule="registered-once", detail=f"{id} {state}")
    # A person's open work needs somebody who answers for it: the successor does, for all of it, from here on.
    human, successor = who.registered is not None and who.registered.kind == "human", data.successor
    if (human or successor is not None) and (successor == id or not directory.is_person(successor or "")):
        detail = f"{id} is succeeded by {successor or 'nobody'}; name another person who is here"
        yield Breach(rule="successor-human", detail=detail, field="data.successor")
        if human and who.left is None:
            yield from _check_left_behind(id, directory)


def _check_left_behind(id: str, directory: Directory) -> Iterator[Breach]:
    # By name, also by way of somebody whom the leaver succeeded; what falls to the leaver by rule falls on by rule.
    persons = {id, *(who for who in directory.participants if directory.successor(who) == id)}
    items = sorted(directory.relations.naming(persons))
    if items:
        some = ", ".join(items[:_MENTIONED_MAX]) + (", …" if len(items) > _MENTIONED_MAX else "")
        detail = f"{id} answers for open work, {len(items)} in all: {some}; name a successor, or hand it over first"
        yield Breach(rule="work-left", detail=detail, field="data.successor", items=tuple(items[:LISTED_MAX]))


def _check_member(team: ParticipantRegistered, id: str, member: str, directory: Directory) -> Iterator[Breach]:
    if team.kind != "team":
        yield Breach(rule="team-member", detail=f"{id} is of kind {team.kind}; only a team has members")
    if not directory.is_here(member):
        detail = f"{member} is not registered or has left; name somebody who is here"
        yield Breach(rule="team-member", detail=detail, field="data.member")
    elif directory.kind(member) == "system":
        detail = f"{member} is a system; a team is made of people, agents and teams"
        yield Breach(rule="team-member", detail=detail, field="data.member")
    elif member == id or id in directory.teams_in(member):
        detail = f"{id} is one of {member}; a team is not made of itself"
        yield Breach(rule="team-member", detail=detail, field="data.member")


def _check_absence(
    profile: ParticipantRegistered, id: str, data: AbsenceDeclared, directory: Directory
) -> Iterator[Breach]:
    if profile.kind != "human":
        detail = f"{id} is of kind {profile.kind}; people are away, others are suspended"
        yield Breach(rule="absence-covered", detail=detail)
    if data.from_ >= data.until:
        detail = f"the absence of {id} is over before it begins; say until when"
        yield Breach(rule="absence-covered", detail=detail, field="data.until")
    if not data.covers:
        detail = "say what is covered: review, escalation, accountability"
        yield Breach(rule="absence-covered", detail=detail, field="data.covers")
    if data.substitute is None or data.substitute == id or not directory.is_person(data.substitute):
        detail = f"{data.substitute or 'nobody'} stands in for {id}; name another person who is here"
        yield Breach(rule="absence-covered", detail=detail, field="data.substitute")


def _check_overlap(absences: Sequence[AbsenceDeclared], id: str, data: AbsenceDeclared) -> Iterator[Breach]:
    """Whether it is clear who stands in: of two absences at one time, each covers something else."""
    for other in absences:
        both = [what for what in data.covers if what in other.covers]
        if both and other.from_ <= data.until and data.from_ <= other.until:
            when = f"from {other.from_.isoformat(timespec='seconds')} until {other.until.isoformat(timespec='seconds')}"
            detail = (
                f"{id} is away {when} already, and {other.substitute} stands in for {', '.join(both)}; end that first"
            )
            yield Breach(rule="absence-covered", detail=detail, field="data.from")


def _check_attestation(id: str, data: AttestationGiven, event: Event, directory: Directory) -> Iterator[Breach]:
    if directory.kind(id) != "human" or (event.authtype != "system" and event.authid != id):
        detail = f"{event.authid} vouches as {id}; people vouch, each in their own name"
        yield Breach(rule="attestation-own", detail=detail)
    kind, _, subject = data.subject.partition("/")
    among: Mapping[str, Container[str]] = {
        "process": directory.processes,
        "policy": directory.policies,
        "participant": directory.participants,
    }
    if subject not in among.get(kind, ()):
        detail = f"there is no {data.subject}; name a stream, as in process/refunds or participant/refunds-bot"
        yield Breach(rule="attestation-own", detail=detail, field="data.subject")


def _others(who: Participant, role: RoleGranted | RoleRevoked) -> tuple[RoleGranted, ...]:
    return tuple(held for held in who.roles if (held.role, held.scope) != (role.role, role.scope))


def attributes(who: Participant, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}
