"""Who carries out what and holds which claim; who leads to whom, people and agents alike, at any date."""

from typing import Any, Final

import pytest

from attorn.contracts import subjects
from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRenewed
from attorn.contracts.delegation import DelegationNarrowed, DelegationRevoked, WorkDelegated
from attorn.contracts.escalation import EscalationContext, EscalationNotified, WorkEscalated
from attorn.contracts.execution import ExecutionInputRequired, ExecutionStarted, WorkExecuted
from attorn.contracts.handover import HandoverAccepted, HandoverOffered
from attorn.contracts.participant import ParticipantManagerChanged, ParticipantRegistered, ParticipantUpdated
from attorn.contracts.work import (
    WorkAssigned,
    WorkCompleted,
    WorkDefined,
    WorkResumed,
    WorkSubmitted,
    WorkUnassigned,
)
from attorn.projections import holding
from sample_story import Story, day


def held(story: Story, **asked: Any) -> list[tuple[str, str, str]]:
    return [(each.thing, each.holder, each.basis) for each in story.folded().ask("holding", **asked).holdings]


def begun() -> Story:
    story = Story()
    story.people("ana", "ben")
    story.agent("bot")
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="ana"))
    return story


def test_whoever_is_assigned_holds_the_item_since_then_and_not_since_they_began() -> None:
    story = begun()
    at = story.tell("work/W-1", WorkAssigned(executor="bot"))
    story.tell("work/W-1", ExecutionStarted(execution_id="x-1", executor="bot"))
    [found] = story.folded().ask("holding", work="W-1").holdings
    assert (found.holder, found.basis, found.since_position) == ("bot", "assigned", at)
    assert (found.title, found.state, found.name) == ("Refund", "in_progress", "bot")


def test_an_offered_handover_changes_nothing_and_an_accepted_one_does() -> None:
    story = begun()
    story.tell("work/W-1", WorkAssigned(executor="ben"))
    story.tell("work/W-1", HandoverOffered(handover_id="h", to="bot"))
    assert held(story, participant="ben") == [("work/W-1", "ben", "assigned")]
    story.tell("work/W-1", HandoverAccepted(handover_id="h", to="bot"))
    assert held(story) == [("work/W-1", "bot", "handed over")]
    assert held(story, participant="ben") == []


def test_what_is_let_go_taken_away_or_completed_is_held_by_nobody() -> None:
    for end in (WorkUnassigned(), WorkCompleted(), ClaimExpired(claim_id="c")):
        story = begun()
        story.tell("work/W-1", WorkAssigned(executor="ben"))
        story.tell("work/W-1", end)
        assert held(story) == []


def test_a_claim_on_another_thing_has_a_fence_and_an_end_that_moves_when_it_is_renewed() -> None:
    story = begun()
    stream = subjects.named("claim", "order:7")
    story.tell(stream, ClaimAcquired(claim_id="c", key="order:7", holder="bot", fence=3, work_id="W-1",
                                     lease_until=day(1)))  # fmt: skip
    story.tell(stream, ClaimRenewed(claim_id="c", lease_until=day(2)))
    story.tell(stream, ClaimRenewed(claim_id="another", lease_until=day(9)))
    [found] = story.folded().ask("holding", participant="bot").holdings
    assert (found.resource, found.fence, found.lease_until, found.work) == ("order:7", 3, day(2), "W-1")
    story.tell(stream, ClaimReleased(claim_id="c"))
    assert held(story) == [] == held(story, participant="bot")


def test_what_is_under_way_stays_with_whom_it_began_with_whoever_says_to_have_begun_it() -> None:
    story = begun()
    for who in ("bot", "ben"):
        story.tell("work/W-1", ExecutionStarted(execution_id="x", executor=who))
        assert held(story) == [("work/W-1", "bot", "started")]
    for who in ("ben", "ana"):
        story.tell("work/W-1", ExecutionStarted(execution_id=f"y-{who}", executor=who))
        assert held(story) == [("work/W-1", "bot", "started")]


@pytest.mark.parametrize(
    "end", [WorkExecuted(execution_id="x", result="failed"), WorkSubmitted(), WorkAssigned(executor="bot")]
)
def test_what_is_no_longer_under_way_is_anybodys_to_begin(end: Any) -> None:
    story = begun()
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor="bot"))
    story.tell("work/W-1", end)
    assert held(story) == [("work/W-1", "bot", "started")]
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor="ben"))
    assert held(story) == [("work/W-1", "ben", "started")]


def test_whoever_claims_an_item_that_is_theirs_has_it_since_it_was_theirs_and_until_the_lease_is_over() -> None:
    story = begun()
    at = story.tell("work/W-1", WorkAssigned(executor="bot"))
    story.tell("work/W-1", ClaimAcquired(claim_id="c", key="W-1", holder="bot", fence=2, lease_until=day(1)))
    story.tell("work/W-1", ClaimRenewed(claim_id="c", lease_until=day(2)))
    [found] = story.folded().ask("holding", work="W-1").holdings
    assert (found.basis, found.since_position) == ("assigned", at)
    assert (found.claim_id, found.fence, found.lease_until) == ("c", 2, day(2))
    story.tell("work/W-1", WorkAssigned(executor="ben"))
    [found] = story.folded().ask("holding", work="W-1").holdings
    assert (found.holder, found.claim_id, found.fence, found.lease_until) == ("ben", None, None, None)


def test_what_nobody_holds_any_more_has_no_row_but_for_the_highest_fence_of_a_key() -> None:
    story = begun()
    for number in range(3):
        item, key = f"work/W-{number}", f"claim/K-{number}"
        story.tell(item, ExecutionStarted(execution_id="x", executor="bot"))
        story.tell(key, ClaimAcquired(claim_id=f"C-{number}", key=f"K-{number}", holder="bot", fence=4))
        story.tell(item, WorkCompleted())
        story.tell(key, ClaimReleased(claim_id=f"C-{number}"))
    rows = story.folded().rows.select(holding.Row)
    assert [(row.key, row.fence, row.holder, row.work) for row in rows] == [
        (f"claim/K-{number}", 4, None, None) for number in range(3)
    ]


def test_nobody_holds_an_item_that_a_fact_leads_out_of_its_end_until_somebody_is_said_to() -> None:
    story = begun()
    story.tell("work/W-1", WorkAssigned(executor="ben"))
    story.tell("work/W-1", WorkCompleted())
    story.tell("work/W-1", WorkResumed())
    assert held(story) == []
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor="bot"))
    assert held(story) == [("work/W-1", "bot", "started")]


def delegated(id: str, to: str = "bot", **terms: Any) -> WorkDelegated:
    return WorkDelegated(delegation_id=id, delegator="ana", delegate=to, autonomy="act", **terms)


def under(story: Story) -> tuple[str | None, str | None, str | None]:
    [found] = story.folded().ask("holding", work="W-1").holdings
    return found.delegation_id, found.delegator, found.delegation_state


def test_it_is_said_under_which_delegation_an_item_is_carried_out_and_until_when() -> None:
    story = begun()
    story.tell("work/W-1", WorkAssigned(executor="bot"))
    assert under(story) == (None, None, None)
    story.tell("work/W-1", delegated("D-2", valid_until=day(3)))
    story.tell("work/W-1", delegated("D-1", valid_until=day(9)))
    story.tell("work/W-1", delegated("D-3", to="ben"))
    assert under(story) == ("D-1", "ana", "granted")
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor="bot", delegation_id="D-2"))
    assert under(story) == ("D-2", "ana", "active")
    assert story.folded().ask("holding").holdings[0].valid_until == day(3)
    story.tell("work/W-1", DelegationRevoked(delegation_id="D-2", by="ana"))
    assert under(story) == ("D-2", "ana", "revoked")
    story.tell("work/W-1", ExecutionStarted(execution_id="y", executor="bot"))
    assert under(story) == ("D-2", "ana", "revoked")


def test_a_delegation_that_rests_with_what_it_descends_from_is_said_to_and_one_that_was_narrowed_ends_sooner() -> None:
    story = begun()
    story.tell("work/W-1", delegated("D-1", to="ben", may_subdelegate=True, max_depth=1))
    story.tell("work/W-1", delegated("D-2", parent_id="D-1", valid_until=day(9)))
    story.tell("work/W-1", DelegationNarrowed(delegation_id="D-2", valid_until=day(4)))
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor="bot", delegation_id="D-2"))
    assert under(story) == ("D-2", "ana", "active")
    assert story.folded().ask("holding").holdings[0].valid_until == day(4)
    story.tell("work/W-1", DelegationRevoked(delegation_id="D-1", by="ana"))
    assert under(story) == ("D-2", "ana", "revoked")
    story.tell("work/W-1", WorkExecuted(execution_id="x", result="aborted"))
    story.tell("work/W-1", ExecutionStarted(execution_id="y", executor="ben", delegation_id="D-2"))
    assert under(story) == (None, None, None)


def test_a_claim_whose_lease_is_over_is_left_out_for_who_says_when() -> None:
    story = begun()
    for number in (1, 2):
        story.tell(f"claim/K-{number}", ClaimAcquired(
            claim_id=f"C-{number}", key=f"K-{number}", holder="bot", fence=1, lease_until=day(number)))  # fmt: skip
    story.tell("claim/K-3", ClaimAcquired(claim_id="C-3", key="K-3", holder="bot", fence=1))
    story.tell("work/W-1", ClaimAcquired(claim_id="C-4", key="W-1", holder="bot", fence=1, lease_until=day(1)))
    for asked in ({}, {"participant": "bot"}):
        for at, things in ((None, (1, 2, 3)), (day(1), (2, 3)), (day(2), (3,))):
            found = [thing for thing, _, _ in held(story, live_at=at, **asked)]
            assert found == [*(f"claim/K-{number}" for number in things), "work/W-1"]


LATE: Final = {
    "an old fence": ClaimAcquired(claim_id="C-9", key="k", holder="bot", fence=1),
    "a fence that nobody can follow": ClaimAcquired(claim_id="C-9", key="k", holder="bot", fence=2**52 + 1),
    "the key of another stream": ClaimAcquired(claim_id="C-9", key="other", holder="bot", fence=9),
    "an id that is over": ClaimAcquired(claim_id="C-1", key="k", holder="bot", fence=9),
    "an assignment": WorkAssigned(executor="bot"),
}


@pytest.mark.parametrize("fact", LATE.values(), ids=LATE)
def test_no_report_that_moves_nobody_by_the_rules_shows_somebody_as_the_holder(fact: Any) -> None:
    story = begun()
    for number in (1, 2):
        story.tell("claim/k", ClaimAcquired(claim_id=f"C-{number}", key="k", holder="ben", fence=number))
        story.tell("claim/k", ClaimReleased(claim_id=f"C-{number}"))
    story.tell("claim/k", fact)
    assert held(story) == []
    story.tell("claim/k", ClaimAcquired(claim_id="C-3", key="k", holder="ana", fence=10))
    assert held(story) == [("claim/k", "ana", "claimed")]


def test_the_holdings_are_read_over_what_was_claimed_and_is_free_again() -> None:
    story = begun()
    for number in range(6):
        stream, id = f"claim/K-{number}", f"C-{number}"
        story.tell(stream, ClaimAcquired(claim_id=id, key=f"K-{number}", holder="ben", fence=1))
        if number % 2:
            story.tell(stream, ClaimReleased(claim_id=id))
    story.tell("work/W-1", WorkAssigned(executor="ben"))
    story.tell("work/W-2", WorkAssigned(executor="bot"))
    told, things, after = story.folded(), list[str](), ""
    while after is not None:
        page = told.ask("holding", limit=2, after=after)
        things += [each.thing for each in page.holdings]
        after = page.next
    assert things == ["claim/K-0", "claim/K-2", "claim/K-4", "work/W-1", "work/W-2"]


def test_the_holdings_come_in_pages() -> None:
    story = begun()
    for number in range(5):
        story.tell(f"work/P-{number}", WorkAssigned(executor="ben"))
    told = story.folded()
    first = told.ask("holding", participant="ben", limit=2)
    rest = told.ask("holding", participant="ben", limit=10, after=first.next)
    assert [h.work for h in (*first.holdings, *rest.holdings)] == [f"P-{number}" for number in range(5)]
    assert rest.next is None


def test_who_carried_it_out_at_any_position_or_time() -> None:
    story = begun()
    first = story.tell("work/W-1", WorkAssigned(executor="ben"), at=day(1))
    story.tell("work/W-1", WorkAssigned(executor="bot"), at=day(3))
    told = story.folded()
    assert told.ask("executor", work="W-1").executor == "bot"
    assert told.ask("executor", work="W-1", position=first).executor == "ben"
    assert told.ask("executor", work="W-1", at=day(2)).executor == "ben"
    assert told.ask("executor", work="W-9").problem == "W-9 was not on the log then"


# ---- the chart


def chart(story: Story, **asked: Any) -> dict[str, tuple[str, ...]]:
    return {node.id: node.path for node in story.folded().ask("org", **asked).nodes}


def test_the_way_up_of_people_and_agents_ends_at_a_person_as_of_any_date() -> None:
    story = begun()
    story.tell("participant/ben", ParticipantManagerChanged(new="ana"), at=day(5))
    story.tell("participant/bot", ParticipantUpdated(sponsor="ben"), at=day(7))
    assert chart(story) == {"ana": (), "ben": ("ana",), "bot": ("ben", "ana")}
    assert chart(story, at=day(6)) == {"ana": (), "ben": ("ana",), "bot": ("ana",)}
    assert chart(story, at=day(2)) == {"ana": (), "ben": (), "bot": ("ana",)}
    found = story.folded().ask("org")
    assert {node.top for node in found.nodes} == {"ana"} and found.broken == 0


def test_whoever_left_is_replaced_on_the_way_by_who_succeeded_them() -> None:
    story = begun()
    story.leaves("ana", "ben")
    assert chart(story) == {"ben": (), "bot": ("ben",)}


def test_an_agent_that_left_to_nobody_is_passed_over_and_the_one_below_it_is_led_by_a_person_still() -> None:
    story = begun()
    story.agent("scout", "bot")
    story.leaves("bot", None)
    assert chart(story) == {"ana": (), "ben": (), "scout": ("ana",)}
    [scout] = story.folded().ask("agents").agents
    assert (scout.id, scout.person, scout.exceptions) == ("scout", "ana", ())


def test_a_way_up_that_leads_to_nobody_or_in_a_circle_is_said_to() -> None:
    story = begun()
    story.tell("participant/ana", ParticipantManagerChanged(new="ben"))
    story.tell("participant/ben", ParticipantManagerChanged(new="ana"))
    story.tell("participant/stray", ParticipantRegistered(participant_id="stray", kind="agent", display_name="Stray"))
    found = story.folded().ask("org", broken=True)
    problems = {node.id: node.problem for node in found.nodes}
    assert problems["ana"] == "the line above ana leads back to ana" and found.broken == 4
    assert problems["stray"] == "stray is of kind agent, and reports to nobody"


def test_a_team_that_reports_to_nobody_is_no_place_without_a_head() -> None:
    story = begun()
    story.tell("participant/crew", ParticipantRegistered(participant_id="crew", kind="team", display_name="Crew"))
    assert chart(story)["crew"] == () and story.folded().ask("org").broken == 0


# ---- how much one person looks after


def test_the_people_with_most_open_escalations_come_first() -> None:
    story = begun()
    for number in range(3):
        story.agent(f"b-{number}", "ben")
    story.tell("work/W-1", WorkEscalated(escalation_id="e", reason="manual", raised_by="bot",
                                         context=EscalationContext(summary="stuck")))  # fmt: skip
    story.tell("work/W-1", EscalationNotified(escalation_id="e", rung=1, persons=("ben",)))
    first, second = story.folded().ask("span").people
    assert (first.person, first.agents, first.open_escalations, first.waiting) == ("ben", 3, 1, 1)
    assert (second.person, second.agents, second.answers_for, second.open_escalations) == ("ana", 1, 1, 0)
    page = story.folded().ask("span", limit=1)
    assert [p.person for p in story.folded().ask("span", after=page.next).people] == ["ana"]


def test_an_agent_that_needs_somebody_comes_before_a_hundred_that_do_not() -> None:
    story = begun()
    for number in range(100):
        story.agent(f"a-{number:03d}")
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor="a-077"))
    story.tell("work/W-1", ExecutionInputRequired(execution_id="x", request_id="q", from_="ana", question="Which?"))
    found = story.folded().ask("agents", person="ana", limit=50)
    assert (found.count, found.exceptions) == (101, 1)
    assert (found.agents[0].id, found.agents[0].exceptions, found.agents[0].executing) == ("a-077", ("waits",), 1)
    rest = story.folded().ask("agents", person="ana", limit=100, after=found.next)
    assert len({agent.id for agent in (*found.agents, *rest.agents)}) == 101 and rest.next is None
