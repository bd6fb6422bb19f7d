"""Agents at work: what has to be there before one is deployed, where each works, by which version, and whom it asks."""

from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest

from attorn.contracts.escalation import Rung
from attorn.contracts.participant import (
    AgentDeployed,
    AgentUndeployed,
    DeactivateParticipant,
    DeclareAbsence,
    DeployAgent,
    GiveAttestation,
    GrantRole,
    Oversight,
    RegisterParticipant,
    RevokeRole,
    StepInstructions,
    UndeployAgent,
    UpdateParticipant,
)
from attorn.contracts.policy import EscalationRules, PolicyRules, PublishPolicy
from attorn.contracts.process import Collaboration, MapProcess, PublishProcess, Raci, RetireProcess, Step
from attorn.projections.directory import AsOf
from attorn.projections.workforce import deployments, outdated, unattested, unmanaged, when_stuck
from story import BEGIN, Story

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
DIG: Final = "sha256:" + "a" * 64
LADDER: Final = PolicyRules(
    escalation=EscalationRules(
        ladder=(
            Rung(rung=1, targets=("ben",), ack_within=HOUR),
            Rung(rung=2, targets=("reviewer", "carla"), ack_within=HOUR),
        )
    )
)
HELP: Final = PublishPolicy(policy_id="help", kind="escalation", rules=LADDER)
STEPS: Final = (
    Step(step_id="decide", name="Decide", raci=Raci(A="ana"), needs=("payments",), ai_mode="act", next=("reply",)),
    Step(step_id="reply", name="Reply", raci=Raci(A="ana", R="ben"), needs=("french",)),
)
TOGETHER: Final = Collaboration(participation="x", accountability="x", collaboration="x", visibility="x")
REFUNDS: Final = PublishProcess(
    process_id="refunds", owner="ana", steps=STEPS, escalation_policy="help", ai_work=TOGETHER
)
DEPLOY: Final = DeployAgent(
    participant_id="bot",
    process_id="refunds",
    heartbeat=timedelta(minutes=5),
    oversight=Oversight(sample_rate=0.2, review_every=timedelta(days=30)),
)


def ready() -> Story:
    """A process, a ladder, somebody who manages agents, and a bot that can pay."""
    return Story().given(
        HELP,
        REFUNDS,
        GrantRole(participant_id="carla", role="agent_manager"),
        UpdateParticipant(participant_id="bot", capabilities=("payments",)),
    )


def deployed(**said: Any) -> AgentDeployed:
    words = {name: getattr(DEPLOY, name) for name in AgentDeployed.__struct_fields__} | {"process_version": 1}
    return AgentDeployed(**(words | said))


def test_an_agent_is_deployed_once_on_the_version_in_force() -> None:
    story = ready()
    story.when(DEPLOY).then(deployed())
    story.when(DEPLOY).then_nothing()
    story.when(UndeployAgent(participant_id="bot", process_id="refunds")).then(AgentUndeployed)
    story.when(UndeployAgent(participant_id="bot", process_id="refunds")).then_nothing()
    story.when(DEPLOY, by="bot").refused("undelegated-execution")


def test_it_is_not_deployed_on_what_is_unmapped_unpublished_or_retired() -> None:
    story = ready().given(PublishProcess(process_id="drawer", owner="ana", escalation_policy="help"))
    for process in ("unheard-of", "drawer"):
        command = msgspec.structs.replace(DEPLOY, process_id=process)
        story.when(command).refused_only("deployment-process")
    story.fact(deployed(process_id="drawer"), on="participant/bot").finds_only("deployment-process")
    story.given(MapProcess(process_id="drawer", origin="mined"))
    story.when(msgspec.structs.replace(DEPLOY, process_id="drawer", environment="test")).then(AgentDeployed)

    story.given(RetireProcess(process_id="refunds"))
    story.when(DEPLOY).refused_only("deployment-process")
    story.fact(deployed(), on="participant/bot").finds_only("deployment-process")
    story.when(msgspec.structs.replace(DEPLOY, process_version=7)).refused_only("deployment-process")


def test_what_is_missing_is_listed_all_at_once() -> None:
    story = Story().given(PublishProcess(process_id="refunds", owner="ana"))
    bare = DeployAgent(participant_id="bot", process_id="refunds")
    refused = story.when(bare)
    refused.refused_only("deployment-process", "deployment-controls", "unmanaged-agent")
    assert {breach.field for breach in refused.breaches} == {
        "data.process_id", "data.heartbeat", "escalation_policy", "data.oversight"
    }  # fmt: skip
    assert "agent_manager" in " ".join(breach.detail for breach in refused.breaches)
    story.fact(AgentDeployed(process_id="refunds"), on="participant/bot").finds_only(
        "deployment-process", "deployment-controls", "unmanaged-agent"
    )


@pytest.mark.parametrize(
    ("without", "rule"),
    [
        ({"heartbeat": None}, "deployment-controls"),
        ({"heartbeat": timedelta(0)}, "deployment-controls"),
        ({"oversight": None}, "unmanaged-agent"),
        ({"oversight": Oversight(sample_rate=1.0)}, "unmanaged-agent"),
    ],
)
def test_an_agent_has_a_heartbeat_and_a_plan_of_oversight(without: dict[str, Any], rule: str) -> None:
    ready().when(msgspec.structs.replace(DEPLOY, **without)).refused_only(rule)
    ready().fact(deployed(**without), on="participant/bot").finds_only(rule)


def test_where_agents_work_somebody_manages_them() -> None:
    story = ready().given(RevokeRole(participant_id="carla", role="agent_manager"))
    story.when(DEPLOY).refused_only("unmanaged-agent")
    story.fact(deployed(), on="participant/bot").finds_only("unmanaged-agent")
    assert unmanaged(story.people(), story.now) == ("refunds",)
    story.given(GrantRole(participant_id="carla", role="agent_manager", scope="process/refunds"))
    story.when(msgspec.structs.replace(DEPLOY, environment="test")).then(AgentDeployed)
    assert unmanaged(story.people(), story.now) == ()


def test_an_agent_whose_sponsor_left_is_sponsored_by_the_successor() -> None:
    story = ready().given(DeactivateParticipant(participant_id="ana", successor="ben"), by="root")
    story.when(DEPLOY, by="ben").then(AgentDeployed)


def test_people_are_not_deployed() -> None:
    story = ready().given(UpdateParticipant(participant_id="ben", capabilities=("french",), sponsor="ana"))
    story.when(msgspec.structs.replace(DEPLOY, participant_id="ben")).refused_only("deployment-controls")
    story.when(msgspec.structs.replace(DEPLOY, participant_id="zed")).refused_only("unregistered-actor")


def test_an_agent_is_able_to_do_what_its_steps_need() -> None:
    story = ready().given(UpdateParticipant(participant_id="bot", capabilities=()))
    lacking = story.when(DEPLOY)
    lacking.refused_only("capability-missing")
    assert "decide needs payments" in lacking.breaches[0].detail
    story.fact(deployed(), on="participant/bot").finds_only("capability-missing")

    # Instructions say which steps it is for: what those need, and no more.
    reply = msgspec.structs.replace(DEPLOY, instructions=(StepInstructions(step="reply", dig=DIG),))
    story.given(UpdateParticipant(participant_id="bot", capabilities=("french",)))
    story.when(reply).then(AgentDeployed)
    unknown = msgspec.structs.replace(DEPLOY, instructions=(StepInstructions(step="settle", dig=DIG),))
    story.when(unknown).refused("capability-missing")


# ---- who works where


def test_all_deployments_are_listed_as_they_were_on_a_day() -> None:
    story = ready()
    story.given(DEPLOY)
    monday = story.now
    story.later(days=1).given(UndeployAgent(participant_id="bot", process_id="refunds"))
    tuesday = story.now
    story.later(days=1).given(msgspec.structs.replace(DEPLOY, environment="test"))

    people = story.people()
    listed = {at: [(d.agent, d.said.environment) for d in deployments(people, AsOf(at=at))]
              for at in (BEGIN, monday, tuesday, story.now)}  # fmt: skip
    assert list(listed.values()) == [[], [("bot", "production")], [], [("bot", "test")]]
    story.given(DeactivateParticipant(participant_id="bot"))
    assert deployments(story.people()) == ()


def test_a_new_version_lists_who_still_works_by_the_old_one() -> None:
    story = ready().given(DEPLOY)
    assert outdated(story.people()) == ()
    story.given(msgspec.structs.replace(REFUNDS, change_summary="Other steps"))

    [late] = outdated(story.people(), process="refunds")
    assert (late.agent, late.version, late.newest) == ("bot", 1, 2)
    story.when(DEPLOY).then(deployed(process_version=2))
    assert outdated(story.people()) == ()


def test_who_is_asked_when_an_agent_is_stuck_is_said_by_name() -> None:
    story = ready().granted("ana", "reviewer").given(DEPLOY)
    [help_] = when_stuck(story.people(), "bot", story.now)
    assert [rung.persons for rung in help_.rungs] == [("ben",), ("ana", "carla")]
    assert help_.problem is None

    during = story.now + DAY
    story.given(DeclareAbsence(participant_id="ben", from_=story.now, until=story.now + 2 * DAY, substitute="carla"))
    [help_] = when_stuck(story.people(), "bot", during)
    assert [rung.persons for rung in help_.rungs] == [("carla",), ("ana", "carla")]

    # Who has left is succeeded; a role that nobody holds any more is nobody.
    story.given(DeactivateParticipant(participant_id="carla", successor="root"), by="root")
    [help_] = when_stuck(story.people(), "bot", story.now)
    assert help_.rungs[-1].persons == ("ana", "root") and help_.problem is None
    assert when_stuck(story.people(), "scout", during) == ()


def test_a_ladder_whose_last_role_nobody_holds_any_more_leads_nowhere() -> None:
    rules = PolicyRules(escalation=EscalationRules(ladder=(Rung(rung=1, targets=("auditor",), ack_within=HOUR),)))
    story = ready().granted("ben", "auditor")
    story.given(PublishPolicy(policy_id="help", kind="escalation", rules=rules))
    story.given(msgspec.structs.replace(REFUNDS, purpose="More"), DEPLOY)
    assert when_stuck(story.people(), "bot", story.now)[0].problem is None
    story.given(RevokeRole(participant_id="ben", role="auditor"))
    assert when_stuck(story.people(), "bot", story.now)[0].problem == "the last rung leads to no person who is here"
    test = msgspec.structs.replace(DEPLOY, environment="test")
    story.when(test).refused_only("deployment-controls")
    story.fact(deployed(environment="test", process_version=2), on="participant/bot").finds_only("deployment-controls")


def test_what_nobody_has_vouched_for_lately_is_listed() -> None:
    story = ready().given(DEPLOY)
    assert {each.subject for each in unattested(story.people(), story.now, 30 * DAY)} == {
        "process/refunds", "participant/bot"
    }  # fmt: skip
    for subject in ("process/refunds", "participant/bot"):
        story.given(GiveAttestation(participant_id="ana", subject=subject, statement="seen"))
    ok = GiveAttestation(participant_id="ben", subject="participant/bot", statement="ok", valid_until=story.now + DAY)
    story.given(ok, by="ben")
    people = story.people()
    assert unattested(people, story.now, 30 * DAY) == ()
    assert [each.subject for each in unattested(people, story.now + 2 * DAY, 30 * DAY)] == ["participant/bot"]
    late = unattested(people, story.now + 31 * DAY, 30 * DAY)
    assert [(each.subject, each.by) for each in late] == [("process/refunds", "ana"), ("participant/bot", "ben")]


def test_an_agent_that_is_registered_anew_is_deployed_nowhere() -> None:
    story = ready().given(RegisterParticipant(participant_id="new", kind="agent", display_name="New", sponsor="ben"))
    assert when_stuck(story.people(), "new", story.now) == ()
