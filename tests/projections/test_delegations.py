"""Every delegation: by what chain, within which bounds, what came of it; and what governed an event."""

from typing import Any

import pytest

from attorn.contracts.delegation import (
    Budget,
    Condition,
    DelegationAccepted,
    DelegationDeclined,
    DelegationExhausted,
    DelegationExpired,
    DelegationNarrowed,
    DelegationResumed,
    DelegationRevoked,
    DelegationSuspended,
    WorkDelegated,
)
from attorn.contracts.execution import Cost, ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.contracts.ids import Money, Pinned
from attorn.contracts.policy import DelegationRules, PolicyPublished, PolicyRules, ReviewRules
from attorn.contracts.process import ProcessPublished
from attorn.contracts.work import WorkDefined
from attorn.services.rulebook import RULES
from sample_story import Story


def begun() -> Story:
    story = Story(RULES)
    story.people("ana", "ben")
    story.agent("bot")
    story.agent("sub")
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="ana"))
    return story


def given(story: Story, id: str = "D-1", to: str = "bot", by: str = "ana", **terms: Any) -> int:
    said = WorkDelegated(delegation_id=id, delegator=by, delegate=to, **terms)
    return story.tell("work/W-1", said, by=by)


def chain(story: Story, id: str = "D-1", **asked: Any) -> Any:
    return story.folded().ask("delegation", work="W-1", delegation=id, **asked)


def state(story: Story, id: str = "D-1", **asked: Any) -> str:
    return str(chain(story, id, **asked).links[-1].state)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (DelegationAccepted(delegation_id="D-1"), "accepted"),
        (DelegationDeclined(delegation_id="D-1"), "declined"),
        (DelegationSuspended(delegation_id="D-1"), "suspended"),
        (DelegationRevoked(delegation_id="D-1"), "revoked"),
        (DelegationExpired(delegation_id="D-1"), "expired"),
        (DelegationExhausted(delegation_id="D-1"), "exhausted"),
        (ExecutionStarted(execution_id="x", executor="bot", delegation_id="D-1"), "active"),
    ],
)
def test_a_delegation_stands_as_the_last_thing_that_happened_to_it_says(event: Any, expected: str) -> None:
    story = begun()
    granted = given(story)
    story.tell("work/W-1", event, by="bot")
    assert state(story) == expected
    assert state(story, position=granted) == "granted"


def test_a_delegation_that_is_resumed_stands_as_it_stood_before_it_was_suspended() -> None:
    story = begun()
    given(story)
    story.tell("work/W-1", DelegationAccepted(delegation_id="D-1"))
    rests = story.tell("work/W-1", DelegationSuspended(delegation_id="D-1"))
    goes_on = story.tell("work/W-1", DelegationResumed(delegation_id="D-1"))
    assert state(story) == "accepted"
    story.tell("work/W-1", DelegationRevoked(delegation_id="D-1"))
    assert [state(story, position=at) for at in (rests, goes_on)] == ["suspended", "accepted"]


def test_the_chain_begins_at_a_person_and_each_link_says_what_it_allows() -> None:
    story = begun()
    given(story, activities=("read", "write"), may_subdelegate=True, max_depth=1)
    given(story, "D-2", "sub", "bot", parent_id="D-1", activities=("read",))
    found = chain(story, "D-2")
    assert found.root == "ana"
    assert [(link.delegation, link.terms.activities) for link in found.links] == [
        ("D-1", ("read", "write")),
        ("D-2", ("read",)),
    ]
    assert chain(story).children == ("D-2",)


def test_a_chain_that_begins_at_an_agent_has_no_root() -> None:
    story = begun()
    given(story, by="bot", to="sub")
    assert chain(story).root is None


def test_revoking_one_revokes_what_descends_from_it_at_the_same_position() -> None:
    story = begun()
    given(story)
    child = given(story, "D-2", "sub", "bot", parent_id="D-1")
    at = story.tell("work/W-1", DelegationRevoked(delegation_id="D-1", reason="misuse"))
    last = chain(story, "D-2").links[-1]
    assert (last.state, last.state_position) == ("revoked", at)
    assert state(story, "D-2", position=child) == "granted"


def test_an_execution_that_is_told_of_again_is_no_second_use() -> None:
    story = begun()
    given(story)
    for id in ("x-1", "x-1", "x-2"):
        story.tell("work/W-1", ExecutionStarted(execution_id=id, executor="bot", delegation_id="D-1"))
    [link] = chain(story).links
    assert link.uses == 2


def test_the_terms_of_any_position_are_those_that_were_narrowed_by_then() -> None:
    story = begun()
    before = given(story, activities=("read", "write"), max_uses=9, conditions=(Condition(id="k1", expr="true"),))
    story.tell("work/W-1", DelegationNarrowed(delegation_id="D-1", activities=("read",)))
    story.tell("work/W-1", DelegationNarrowed(delegation_id="D-1", max_uses=2))
    [now] = chain(story).links
    [then] = chain(story, position=before).links
    assert (now.terms.activities, now.terms.max_uses, now.narrowed) == (("read",), 2, 2)
    assert (then.terms.activities, then.terms.max_uses, then.narrowed) == (("read", "write"), 9, 0)
    assert [c.id for c in now.terms.conditions] == ["k1"]


def test_of_a_budget_what_a_narrowing_does_not_name_stays_and_what_would_widen_it_changes_nothing() -> None:
    story = begun()
    given(story, budget=Budget(tokens=100, actions=5), activities=("read",))
    story.tell("work/W-1", DelegationNarrowed(delegation_id="D-1", budget=Budget(tokens=50)))
    story.tell("work/W-1", DelegationNarrowed(delegation_id="D-1", budget=Budget(actions=9)))
    story.tell("work/W-1", DelegationNarrowed(delegation_id="D-1", activities=("read", "write"), max_uses=1))
    [now] = chain(story).links
    assert now.terms.budget == Budget(tokens=50, actions=5)
    assert (now.terms.activities, now.terms.max_uses) == (("read",), None)


def test_what_was_used_up_is_the_sum_of_the_executions_under_it() -> None:
    story = begun()
    given(story, budget=Budget(actions=5))
    for id, money in (("x-1", "1.10"), ("x-2", "2.20")):
        story.tell("work/W-1", ExecutionStarted(execution_id=id, executor="bot", delegation_id="D-1"), by="bot")
        for action in ("a", "b"):
            done = ExecutionActionRecorded(execution_id=id, action_id=f"{id}{action}", tool="t")
            story.tell("work/W-1", done, by="bot")
        cost = Cost(money=Money(amount=money, currency="EUR"), tokens_in=100, tokens_out=20)
        story.tell("work/W-1", WorkExecuted(execution_id=id, result="failed", cost=cost), by="bot")
    used = chain(story).used
    assert (used.executions, used.actions, used.tokens, used.elapsed_s) == (2, 4, 240, 6 * 3_600.0)
    assert used.money == (Money(amount="3.30", currency="EUR"),)


def test_what_broke_its_bounds_is_shown_with_it() -> None:
    story = begun()
    given(story, activities=("read",), autonomy="act")
    story.tell("work/W-1", DelegationAccepted(delegation_id="D-1"), by="bot")
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor="bot", delegation_id="D-1"), by="bot")
    at = story.tell("work/W-1", ExecutionActionRecorded(execution_id="x", action_id="a", tool="wire_money"), by="bot")
    [broken] = [v for v in chain(story).violations if v.position == at]
    assert broken.id == f"delegation-violated@{at}" and "wire_money" in broken.detail


def test_delegations_are_listed_by_whose_they_are_page_by_page() -> None:
    story = begun()
    for number in range(3):
        given(story, f"D-{number}")
    given(story, "D-9", "sub", "bot")
    told = story.folded()
    first = told.ask("delegations", delegate="bot", limit=2)
    rest = told.ask("delegations", delegate="bot", limit=2, after=first.next)
    assert [d.delegation for d in (*first.delegations, *rest.delegations)] == ["D-0", "D-1", "D-2"]
    assert [d.delegation for d in told.ask("delegations", delegator="bot").delegations] == ["D-9"]
    assert chain(story, "D-7").problem == "W-1 has no delegation D-7"


# ---- what governed an event


def test_an_event_was_governed_by_the_versions_that_held_there_and_not_by_later_ones() -> None:
    story = begun()
    for version in (1, 2):
        rules = PolicyRules(review=ReviewRules(seconds_min=version))
        story.tell("policy/four-eyes", PolicyPublished(version=version, kind="review", rules=rules))
    bounds = PolicyRules(delegation=DelegationRules(max_depth=1))
    story.tell("policy/bounds", PolicyPublished(version=1, kind="delegation", rules=bounds))
    story.tell("process/refunds", ProcessPublished(version=4, owner="ana",
                                                   review_policy=Pinned(id="four-eyes", version=1)))  # fmt: skip
    story.tell("work/W-2", WorkDefined(title="Refund", accountable="ana", process=Pinned(id="refunds", version=4)))
    said = WorkDelegated(delegation_id="D-2", delegator="ana", delegate="bot", activities=("read",))
    story.tell("work/W-2", said)
    start = ExecutionStarted(
        execution_id="x", executor="bot", delegation_id="D-2", instructions_dig="sha256:" + "c" * 64
    )
    story.tell("work/W-2", start, by="bot")
    acted = story.tell("work/W-2", ExecutionActionRecorded(execution_id="x", action_id="a", tool="read"), by="bot")
    story.tell("policy/bounds", PolicyPublished(version=2, kind="delegation", rules=bounds))
    story.tell("work/W-2", DelegationRevoked(delegation_id="D-2"))
    found = story.folded().ask("governing", event=acted)
    assert found.process == Pinned(id="refunds", version=4)
    assert found.pinned == (Pinned(id="four-eyes", version=1),)
    assert found.in_force == (Pinned(id="bounds", version=1),)
    assert (found.execution, found.actor, found.instructions_dig) == ("x", "bot", start.instructions_dig)
    assert [(link.delegation, link.state) for link in found.chain.links] == [("D-2", "active")]
    assert story.folded().ask("governing", event=999).problem.startswith("there is no event at position 999")
