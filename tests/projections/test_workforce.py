"""Which agents are at work where, by which version, and who is asked when one of them, or some work, is stuck."""

from datetime import timedelta
from typing import Any

import pytest

from attorn.contracts.decision import DecisionMade, RecommendationAnswered, RecommendationMade
from attorn.contracts.escalation import EscalationContext, EscalationNotified, Rung, WorkEscalated
from attorn.contracts.ids import Pinned
from attorn.contracts.participant import AgentDeployed, AgentUndeployed, AttestationGiven
from attorn.contracts.policy import EscalationRules, PolicyPublished, PolicyRules
from attorn.contracts.process import ProcessPublished
from attorn.contracts.work import WorkDefined
from sample_story import Story, day

HOUR = timedelta(hours=1)
LADDER = (Rung(rung=1, targets=("auditor",), ack_within=HOUR), Rung(rung=2, targets=("ana",), ack_within=2 * HOUR))


def at_work() -> Story:
    """bot works by version 1 of refunds, of which there is a version 2; Ben is auditor."""
    story = Story()
    story.people("ana", "ben")
    story.agent("bot")
    rules = PolicyRules(escalation=EscalationRules(ladder=LADDER))
    story.tell("policy/help", PolicyPublished(kind="escalation", version=1, rules=rules))
    story.granted("ben", "auditor")
    for version in (1, 2):
        story.tell("process/refunds", ProcessPublished(
            version=version, owner="ana", escalation_policy=Pinned(id="help", version=1)))  # fmt: skip
    story.tell("participant/bot", AgentDeployed(process_id="refunds", process_version=1))
    return story


def test_who_is_at_work_where_by_which_version_and_led_by_whom_now_and_before() -> None:
    story = at_work()
    [found] = story.folded().ask("deployments").deployments
    assert (found.agent, found.process, found.version, found.newest, found.person) == ("bot", "refunds", 1, 2, "ana")
    told = story.folded()
    assert told.ask("deployments", outdated=True).count == 1 and told.ask("deployments", outdated=False).count == 0
    assert told.ask("deployments", process="claims").count == told.ask("deployments", agent="scout").count == 0
    assert told.ask("deployments", position=found.since_position - 1).count == 0
    story.tell("participant/bot", AgentUndeployed(process_id="refunds"))
    assert story.folded().ask("deployments").count == 0
    assert story.folded().ask("deployments", at=found.since).count == 1


def test_a_process_in_which_agents_work_and_nobody_manages_them_is_named() -> None:
    story = at_work()
    assert story.folded().ask("unmanaged").processes == ("refunds",)
    story.granted("ana", "agent_manager")
    assert story.folded().ask("unmanaged").processes == ()


@pytest.mark.requirement("004-26")
def test_what_happens_when_an_agent_is_stuck_is_answered_by_the_names_of_people_who_are_here() -> None:
    story = at_work()
    found = story.folded().ask("when_stuck", agent="bot")
    [help_] = found.help
    assert [(rung.rung, rung.persons, rung.names) for rung in help_.rungs] == [
        (1, ("ben",), ("Ben",)),
        (2, ("ana",), ("Ana",)),
    ]
    assert (help_.process, help_.policy, help_.problem, found.problem) == ("refunds", "help 1", None, None)
    assert "at work in no process" in story.folded().ask("when_stuck", agent="ana").problem
    assert "not registered" in story.folded().ask("when_stuck", agent="zed").problem
    story.leaves("ana", None)
    [help_] = story.folded().ask("when_stuck", agent="bot").help
    assert help_.problem is not None


def test_what_nobody_has_vouched_for_lately_is_named_with_who_did_last() -> None:
    story = at_work()
    story.tell("participant/ana", AttestationGiven(subject="participant/bot", statement="looked"))
    assert [each.subject for each in story.folded().ask("unattested").unattested] == ["process/refunds"]
    later = story.folded().ask("unattested", within="P30D", at=day(60).isoformat())
    assert [(each.subject, each.by) for each in later.unattested] == [
        ("participant/bot", "ana"),
        ("process/refunds", None),
    ]
    page = story.folded().ask("unattested", at=day(200).isoformat(), limit=1)
    assert (page.count, page.next) == (2, "participant/bot")
    rest = story.folded().ask("unattested", at=day(200).isoformat(), after=page.next)
    assert [each.subject for each in rest.unattested] == ["process/refunds"]


def test_the_ladder_of_a_work_item_and_of_an_escalation_with_the_people_as_they_are() -> None:
    story = at_work()
    pinned = Pinned(id="help", version=1)
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="ana", escalation_policy=pinned))
    found = story.folded().ask("ladder", work="W-1")
    assert [rung.persons for rung in found.rungs] == [("ben",), ("ana",)]
    assert (found.policy, found.on, found.problem) == (pinned, None, None)
    story.tell("work/W-1", WorkEscalated(escalation_id="X-1", reason="manual", raised_by="bot", ladder=LADDER[1:],
                                         context=EscalationContext(summary="Paid twice")))  # fmt: skip
    story.tell("work/W-1", EscalationNotified(escalation_id="X-1", rung=2, persons=("ana",), next_rung_at=day(1)))
    of_it = story.folded().ask("ladder", work="W-1", escalation="X-1")
    assert ([rung.names for rung in of_it.rungs], of_it.on, of_it.next_at) == ([("Ana",)], 2, day(1))
    assert "no escalation" in story.folded().ask("ladder", work="W-1", escalation="X-9").problem
    assert "no work" in story.folded().ask("ladder", work="W-9").problem
    story.tell("work/W-2", WorkDefined(title="Claim", accountable="ben"))
    [last] = story.folded().ask("ladder", work="W-2").rungs
    assert last.persons == ("ben",), "who answers for it, where no policy says it"


def test_how_often_what_an_agent_recommends_is_taken_and_how_often_a_decision_follows_it() -> None:
    story = Story()
    story.people("ana")
    story.agent("bot")
    for n, answer in enumerate(("accepted", "accepted", "rejected", None)):
        id = f"M-{n}"
        story.tell("work/W-1", RecommendationMade(recommendation_id=id, recommendation="pay", by="bot"))
        if answer is not None:
            story.tell("work/W-1", RecommendationAnswered(
                recommendation_id=id, answer=answer, reason="so", recommended_by="bot"))  # type: ignore[arg-type]  # fmt: skip
    for n, followed in enumerate((True, False)):
        story.tell("work/W-1", DecisionMade(decision_id=f"D-{n}", decider="ana", chosen="pay", recommendation_id="M-3",
                                            followed=followed, recommended_by="bot"))  # fmt: skip
    story.tell("work/W-1", DecisionMade(decision_id="D-9", decider="ana", chosen="pay"))
    [found] = story.folded().ask("recommendations").by
    assert (found.by, found.kind, found.made, found.accepted, found.rejected) == ("bot", "agent", 4, 2, 1)
    assert (found.decided, found.followed, found.accepted_rate, found.follow_rate) == (2, 1, 2 / 3, 0.5)
    assert story.folded().ask("recommendations", by="ana").by == ()


def test_an_empty_log_answers_too() -> None:
    told: Any = Story().folded()
    assert told.ask("unmanaged").processes == told.ask("unattested").unattested == told.ask("deployments").deployments
