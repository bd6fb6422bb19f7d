"""Every list that can grow comes in pages: together they are the whole, nothing is said twice, nothing left out."""

import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.delegation import DelegationAccepted, WorkDelegated
from attorn.contracts.execution import Cost, ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.contracts.ids import Pinned
from attorn.contracts.participant import AgentDeployed
from attorn.contracts.process import ProcessPublished
from attorn.contracts.source import SourceRegistered
from attorn.contracts.work import WorkCompleted, WorkDefined, WorkVerified
from attorn.projections import accountability
from attorn.projections.directory import AsOf
from attorn.services.rulebook import RULES
from sample_story import Story, Told, day

PEOPLE = ("ana", "ben", "cleo", "dan")


@pytest.fixture(scope="module")
def told() -> Told:
    """Three agents at work in three processes, over months; one item that passed from hand to hand."""
    story = Story(RULES)
    story.people(*PEOPLE)
    story.custodian("ana")
    for agent in ("bot", "scout", "drone"):
        story.agent(agent)
    for process in ("buying", "moving", "refunds"):
        story.tell(f"process/{process}", ProcessPublished(version=1, owner="ben"))
    for number, (agent, process) in enumerate(
        (agent, process) for agent in ("bot", "scout", "drone") for process in ("buying", "moving")
    ):
        pinned, work = Pinned(id=process, version=1), f"W-{number}"
        deployed = AgentDeployed(process_id=process, process_version=1)
        story.tell(f"participant/{agent}", deployed)
        story.tell(f"work/{work}", WorkDefined(title="Refund", accountable=PEOPLE[number % 4], process=pinned))
        story.tell(f"work/{work}", ExecutionStarted(execution_id="x", executor=agent), by=agent)
        ended = WorkExecuted(execution_id="x", result="completed", cost=Cost(tokens_in=number))
        story.tell(f"work/{work}", ended, at=day(20 * number), by=agent)
        for end in (WorkVerified(), WorkCompleted()) if number % 3 else ():
            story.tell(f"work/{work}", end, at=day(20 * number))
    for process in ("buying", "moving"):
        story.tell(f"process/{process}", ProcessPublished(version=2, owner="ben"))
    for to in ("ben", "cleo", "ana", "dan"):
        story.tell("work/W-0", AccountabilityTransferred(to=to))
    story.tell("work/W-0", WorkDelegated(delegation_id="D", delegator="dan", delegate="bot", activities=("read",)))
    story.tell("work/W-0", DelegationAccepted(delegation_id="D"), by="bot")
    story.tell("work/W-0", ExecutionStarted(execution_id="y", executor="bot", delegation_id="D"), by="bot")
    for action in ("a", "b", "c"):
        done = ExecutionActionRecorded(execution_id="y", action_id=action, tool="wire_money")
        story.tell("work/W-0", done, by="bot")
    return story.folded()


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize(
    ("question", "listed", "asked", "count"),
    [
        ("completions", "ranked", {}, 3),
        ("completions", "ranked", {"by": "accountable"}, 3),
        ("costs", "costs", {}, 6),
        ("outdated", "agents", {}, 6),
        ("process_coverage", "with_agents", {}, 2),
        ("process_coverage", "without_agents", {}, 1),
        ("intervals", "intervals", {"work": "W-0"}, 5),
        ("delegation", "violations", {"work": "W-0", "delegation": "D"}, 3),
    ],
)
def test_the_pages_together_are_the_whole(
    told: Told, question: str, listed: str, asked: dict[str, Any], count: int, limit: int
) -> None:
    whole = told.ask(question, **asked, limit=1_000)
    found, more = list[Any](), {}
    while True:
        page = told.ask(question, **asked, **more, limit=limit)
        said = getattr(page, listed)
        assert len(said) <= limit and replaced(page, listed) == replaced(whole, listed), "all else is of the whole"
        found += said
        if page.next is None:
            break
        more = {"after": page.next}
    assert tuple(found) == getattr(whole, listed) and len(found) == count and whole.next is None


def replaced(answer: Any, listed: str) -> Any:
    lists = {"with_agents": (), "without_agents": ()} if listed.startswith("with") else {listed: ()}
    return msgspec.structs.replace(answer, next=None, **lists)


@pytest.mark.parametrize("seed", range(6))
def test_a_badge_counts_every_stretch_of_the_log_in_which_nobody_who_was_here_answered(seed: int) -> None:
    chance, story = random.Random(seed), Story()
    story.people(*PEOPLE[:3])
    story.agent("bot")
    if chance.random() < 0.7:
        story.custodian("ana")
    story.tell("source/jira", SourceRegistered(uri="https://jira.example", custodian=chance.choice(PEOPLE)))
    for version in range(1, 4):
        for _ in range(12):
            work = f"work/W-{chance.randrange(9)}"
            pinned = Pinned(id="flow", version=1)
            named = chance.choice((*PEOPLE, "bot", "ghost"))
            what = chance.choice((WorkDefined(title="R", accountable=named, process=pinned),
                                  AccountabilityTransferred(to=named)))  # fmt: skip
            story.tell(work, what, by="jira", system=chance.random() < 0.4)
        story.tell("process/flow", ProcessPublished(version=version, owner=chance.choice(PEOPLE)))
        story.leaves(chance.choice(PEOPLE[:3]), chance.choice((None, *PEOPLE)))
        if version == 2:
            story.people("dan")
    told = story.folded()
    directory, unanswered = told.directory, 0
    for row in told.rows.select(accountability.Row, "process = 'flow'"):
        for interval in accountability.intervals(told.rows, directory, row.key):
            person, then = interval.person, AsOf(position=interval.from_position)
            unanswered += person is None or not directory.is_person(person, then)
    [badges] = told.ask("badges").processes
    expected = (f"for {unanswered} stretches of the log nobody answered for an item of it",) if unanswered else ()
    assert badges.accountable.reasons == expected


def test_a_custodian_who_stays_though_they_have_left_is_nobody_who_was_here_for_what_begins_then() -> None:
    story = Story()
    story.people("ana")
    story.custodian("ana")
    story.tell("process/flow", ProcessPublished(version=1, owner="ghost"))
    defined = WorkDefined(title="R", accountable="ghost", process=Pinned(id="flow", version=1))
    story.tell("work/W-1", defined)
    story.leaves("ana", None)
    assert story.folded().ask("badges").processes[0].accountable.green
    story.tell("work/W-2", defined)
    [badges] = story.folded().ask("badges").processes
    assert badges.accountable.reasons == ("for 1 stretches of the log nobody answered for an item of it",)


def test_the_badge_of_visibility_names_what_came_last_of_all_that_came_late() -> None:
    story = Story()
    story.people("ana")
    story.tell("process/flow", ProcessPublished(version=1, owner="ana"))
    late = (0, 3, 9, 1, 9)
    for number, seconds in enumerate(late):
        at = day(1 + number)
        what = WorkDefined(title="R", accountable="ana", process=Pinned(id="flow", version=1))
        story.tell(f"work/W-{number % 2}", what, at=at, recorded=at + timedelta(seconds=seconds), id=f"n-{number}")
    [badges] = story.folded().ask("badges").processes
    assert badges.visible.reasons == (
        "3 events were on the log more than 2 s after they happened, the latest of them, n-2 9 s",
    )
