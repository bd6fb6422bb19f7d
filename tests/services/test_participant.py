"""Participants: who takes part, who sponsors and succeeds whom, and in which roles."""

from typing import Any, Final

import pytest

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
from attorn.contracts.policy import PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import PublishProcess
from attorn.contracts.source import RegisterSource
from attorn.contracts.work import DefineWork
from story import BEGIN, Story


def register(id: str, kind: Any = "human", sponsor: str | None = None) -> RegisterParticipant:
    return RegisterParticipant(participant_id=id, kind=kind, display_name=id.title(), sponsor=sponsor)


def test_people_and_teams_need_no_sponsor() -> None:
    Story().given(register("dana"), register("night-shift", "team"))


@pytest.mark.parametrize("kind", ["agent", "system"])
@pytest.mark.parametrize("sponsor", [None, "bot", "crew", "zed"])
def test_agents_and_systems_need_a_person_as_sponsor(kind: str, sponsor: str | None) -> None:
    Story().when(register("new", kind, sponsor)).refused_only("sponsor-human")
    Story().when(register("new", kind, "ben")).then(ParticipantRegistered)


def test_an_id_is_registered_once_and_not_again_after_leaving() -> None:
    story = Story().given(DeactivateParticipant(participant_id="ben", successor="carla"))
    story.when(register("ben")).refused_only("registered-once")
    Story().when(register("bot")).refused_only("registered-once")


def test_nobody_leaves_who_was_never_here() -> None:
    leaving = ParticipantDeactivated(successor="ana")
    Story().fact(leaving, on="participant/zed").finds_only("registered-once")
    command = DeactivateParticipant(participant_id="zed", successor="ana")
    Story().when(command).refused_only("registered-once")


@pytest.mark.parametrize("successor", [None, "ben", "bot", "crew", "zed"])
def test_a_person_leaves_to_another_person_who_is_here(successor: str | None) -> None:
    Story().when(DeactivateParticipant(participant_id="ben", successor=successor)).refused_only("successor-human")


def test_nobody_succeeds_who_has_left() -> None:
    story = Story().given(DeactivateParticipant(participant_id="ben", successor="carla"))
    story.when(DeactivateParticipant(participant_id="ana", successor="ben")).refused_only("successor-human")


def test_an_agent_leaves_without_a_successor() -> None:
    Story().when(DeactivateParticipant(participant_id="bot")).then(ParticipantDeactivated)


def test_the_first_successor_stands() -> None:
    story = Story().given(DeactivateParticipant(participant_id="ben", successor="carla"))
    story.when(DeactivateParticipant(participant_id="ben", successor="ana")).refused_only("registered-once")
    assert story.people().answerable("ben").person == "carla"


def test_who_has_left_does_nothing() -> None:
    story = Story().given(DeactivateParticipant(participant_id="ben", successor="carla"))
    define = DefineWork(work_id="W-1", title="Refund", accountable="ana")
    story.when(define, by="ben").refused_only("unregistered-actor")
    story.when(define, by="zed").refused_only("unregistered-actor")
    story.when(GrantRole(participant_id="ben", role="admin")).refused_only("unregistered-actor")


def test_a_role_is_granted_for_longer_and_revoked() -> None:
    story = Story().given(GrantRole(participant_id="ben", role="reviewer", valid_until=BEGIN))
    story.when(GrantRole(participant_id="ben", role="reviewer")).then(RoleGranted)
    story.when(RevokeRole(participant_id="ben", role="reviewer")).then(RoleRevoked)
    story.when(RevokeRole(participant_id="ben", role="reviewer")).then_nothing()
    story.when(RevokeRole(participant_id="zed", role="reviewer")).refused_only("unregistered-actor")


@pytest.mark.parametrize("id", ["bot", "crew", "erp"])
def test_a_custodian_is_a_person(id: str) -> None:
    Story().when(GrantRole(participant_id=id, role="custodian")).refused_only("custodian-human")
    story = Story()
    story.fact(RoleGranted(role="custodian"), on=f"participant/{id}").finds_only("custodian-human")
    assert story.people().root_custodian() == "root"


REVIEW: Final = PolicyRules(review=ReviewRules(human_required=False))


@pytest.mark.parametrize(
    "command",
    [
        register("new", "agent", "ana"),
        DeactivateParticipant(participant_id="ben", successor="carla"),
        GrantRole(participant_id="bot", role="admin"),
        PublishPolicy(policy_id="check", kind="review", rules=REVIEW),
        PublishProcess(process_id="refunds", owner="ana"),
        RegisterSource(source_id="crm", uri="https://crm.example", custodian="ana"),
    ],
    ids=lambda command: command.verb,
)
def test_people_and_rules_are_for_people_to_change(command: Any) -> None:
    Story().when(command, by="bot").refused_only("undelegated-execution")
    assert Story().when(command, by="ana").recorded
