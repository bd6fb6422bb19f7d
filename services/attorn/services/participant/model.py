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
    left: bool = False
    roles: frozenset[tuple[str, str]] = frozenset()


initial = Participant()
state_type = Participant


def decide(who: Participant, command: ParticipantCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case RegisterParticipant():
            registered = ParticipantRegistered(
                **{name: getattr(command, name) for name in ParticipantRegistered.__struct_fields__}
            )
            return [] if who.registered == registered and not who.left else [registered]
        case DeactivateParticipant(reason=reason, successor=successor):
            return [] if who.left else [ParticipantDeactivated(reason=reason, successor=successor)]
        case GrantRole(role=role, scope=scope, valid_until=until):
            return [] if (role, scope) in who.roles else [RoleGranted(role=role, scope=scope, valid_until=until)]
        case RevokeRole(role=role, scope=scope, reason=reason):
            return [RoleRevoked(role=role, scope=scope, reason=reason)] if (role, scope) in who.roles else []


def check(who: Participant, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules about taking part `event` breaks."""
    id = event.subject.partition("/")[2]
    match event.data:
        case ParticipantRegistered(participant_id=named, kind=kind, sponsor=sponsor):
            if who.registered is not None:
                yield Breach(rule="registered-once", detail=f"{id} is registered already")
            if named != id:
                detail = f"{event.subject} registers {named}; the two are the same participant"
                yield Breach(rule="registered-once", detail=detail, field="data.participant_id")
            if kind in ("agent", "system") and (sponsor is None or not directory.is_person(sponsor)):
                detail = f"{sponsor or 'nobody'} is not a person who is here; {id} needs one as sponsor"
                yield Breach(rule="sponsor-human", detail=detail, field="data.sponsor")
        case ParticipantDeactivated(successor=successor):
            if who.registered is None or who.left:
                state = "has left already" if who.left else "is not registered"
                yield Breach(rule="registered-once", detail=f"{id} {state}")
            human = who.registered is not None and who.registered.kind == "human"
            if (human or successor is not None) and (successor == id or not directory.is_person(successor or "")):
                detail = f"{successor or 'nobody'} is not another person who is here; {id} needs one as successor"
                yield Breach(rule="successor-human", detail=detail, field="data.successor")
        case _:
            if who.registered is None:
                yield Breach(rule="unregistered-actor", detail=f"{id} is not registered")


def evolve(who: Participant, event: Event) -> Participant:
    """What is true of the participant afterwards."""
    match event.data:
        case ParticipantRegistered() as registered if who.registered is None:
            return msgspec.structs.replace(who, registered=registered)
        case ParticipantDeactivated():
            return msgspec.structs.replace(who, left=True)
        case RoleGranted(role=role, scope=scope):
            return msgspec.structs.replace(who, roles=who.roles | {(role, scope)})
        case RoleRevoked(role=role, scope=scope):
            return msgspec.structs.replace(who, roles=who.roles - {(role, scope)})
        case _:
            return who


def attributes(who: Participant, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}
