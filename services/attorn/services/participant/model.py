"""Participants: who takes part, who sponsors and succeeds whom, and in which roles."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.participant import (
    DeactivateParticipant,
    GrantRole,
    ParticipantDeactivated,
    ParticipantRegistered,
    RegisterParticipant,
    RevokeRole,
    RoleGranted,
    RoleRevoked,
)
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.transact import Context

ParticipantCommand: TypeAlias = RegisterParticipant | DeactivateParticipant | GrantRole | RevokeRole


class Participant(msgspec.Struct, frozen=True, tag="participant"):
    registered: ParticipantRegistered | None = None
    left: ParticipantDeactivated | None = None
    roles: tuple[RoleGranted, ...] = ()

    def role(self, role: str, scope: str) -> RoleGranted | None:
        return next((held for held in self.roles if held.role == role and held.scope == scope), None)


initial = Participant()
state_type = Participant


def decide(who: Participant, command: ParticipantCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case RegisterParticipant():
            registered = ParticipantRegistered(
                **{name: getattr(command, name) for name in ParticipantRegistered.__struct_fields__}
            )
            return [] if who.registered == registered and who.left is None else [registered]
        case DeactivateParticipant(reason=reason, successor=successor):
            gone = who.left is not None and who.left.successor == successor
            return [] if gone else [ParticipantDeactivated(reason=reason, successor=successor)]
        case GrantRole(role=role, scope=scope, valid_until=until):
            granted = RoleGranted(role=role, scope=scope, valid_until=until)
            return [] if granted in who.roles else [granted]
        case RevokeRole(role=role, scope=scope, reason=reason):
            revoked = RoleRevoked(role=role, scope=scope, reason=reason)
            return [revoked] if who.registered is None or who.role(role, scope) is not None else []


def check(who: Participant, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules about taking part `event` breaks."""
    id = event.subject.partition("/")[2]
    yield from check_actor(event)
    match event.data:
        case ParticipantRegistered(participant_id=named, kind=kind, sponsor=sponsor):
            if who.registered is not None:
                yield Breach(rule="registered-once", detail=f"{id} is registered already")
            if named != id:
                detail = f"{event.subject} registers {named}; the two are the same participant"
                yield Breach(rule="registered-once", detail=detail, field="data.participant_id")
            if kind in ("agent", "system") and (sponsor is None or not directory.is_person(sponsor)):
                detail = f"the sponsor of {id} is {sponsor or 'nobody'}; name a person who is here"
                yield Breach(rule="sponsor-human", detail=detail, field="data.sponsor")
        case ParticipantDeactivated(successor=successor):
            if who.registered is None or who.left is not None:
                state = "is not registered"
                if who.left is not None:
                    state = f"has left already, and {who.left.successor or 'nobody'} succeeded; the first word stands"
                yield Breach(rule="registered-once", detail=f"{id} {state}")
            human = who.registered is not None and who.registered.kind == "human"
            if (human or successor is not None) and (successor == id or not directory.is_person(successor or "")):
                detail = f"{id} is succeeded by {successor or 'nobody'}; name another person who is here"
                yield Breach(rule="successor-human", detail=detail, field="data.successor")
        case data:
            if who.registered is None or (who.left is not None and isinstance(data, RoleGranted)):
                detail = f"{id} {'is not registered' if who.registered is None else 'has left'}"
                yield Breach(rule="unregistered-actor", detail=detail)
            elif isinstance(data, RoleGranted) and data.role == "custodian" and who.registered.kind != "human":
                detail = f"{id} is of kind {who.registered.kind}; a custodian is a person"
                yield Breach(rule="custodian-human", detail=detail)


def evolve(who: Participant, event: Event) -> Participant:
    """What is true of the participant afterwards."""
    match event.data:
        case ParticipantRegistered() as registered if who.registered is None:
            return msgspec.structs.replace(who, registered=registered)
        case ParticipantDeactivated() as departure if who.left is None:
            return msgspec.structs.replace(who, left=departure)
        case RoleGranted() as granted:
            return msgspec.structs.replace(who, roles=(*_others(who, granted), granted))
        case RoleRevoked() as revoked:
            return msgspec.structs.replace(who, roles=_others(who, revoked))
        case _:
            return who


def check_actor(event: Event) -> Iterator[Breach]:
    """People decide who takes part, and by which rules; an agent has its mandates in work alone."""
    if event.authtype == "service_account":
        detail = f"{event.authid} is not a person; {event.subject} is for people to change"
        yield Breach(rule="undelegated-execution", detail=detail)


def _others(who: Participant, role: RoleGranted | RoleRevoked) -> tuple[RoleGranted, ...]:
    return tuple(held for held in who.roles if (held.role, held.scope) != (role.role, role.scope))


def attributes(who: Participant, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}
