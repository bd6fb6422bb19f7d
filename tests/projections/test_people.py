"""Whoever asks who answers, who stands behind an agent, who is here or away, hears the same from every question."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from attorn.contracts.context import NoteAdded
from attorn.contracts.delegation import DelegationRevoked, WorkDelegated
from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.finding import FindingAccepted
from attorn.contracts.participant import (
    AbsenceDeclared,
    AbsenceEnded,
    ParticipantKeyRegistered,
    ParticipantRegistered,
    ParticipantResumed,
    ParticipantSuspended,
    TeamMemberAdded,
)
from attorn.contracts.process import ProcessPublished
from attorn.contracts.refusal import Breach
from attorn.contracts.source import SourceRegistered
from attorn.contracts.work import WorkDefined, WorkSubmitted
from attorn.projections.directory import Directory
from attorn.services.query import item
from sample_story import Story, Told, day

PEOPLE: Final = ("root", "bea", "ben", "carla", "dan")


@pytest.fixture
def story() -> Story:
    """Carla answered for work, owned a process, was custodian of a source and sponsor of an agent; Bea succeeded."""
    story = Story()
    story.people(*PEOPLE)
    story.custodian("root")
    story.agent("bot", sponsor="carla")
    story.tell("process/claims", ProcessPublished(version=1, owner="carla"))
    story.tell("source/crm", SourceRegistered(uri="/crm", custodian="carla"))
    for number, accountable in enumerate(("carla", "ben", "carla")):
        story.tell(f"work/C-{number}", WorkDefined(title=f"Claim {number}", accountable=accountable))
    story.tell("work/C-0", ExecutionStarted(execution_id="x", executor="bot"))
    # Of this one it is only known that it happened: nobody is named.
    story.tell("work/T-0", ExecutionStarted(execution_id="x", executor="bot"), system=True, by="jira")
    story.tell("work/C-2", WorkSubmitted())
    story.leaves("carla", "bea")
    return story


def member(told: Told, id: str, **asked: Any) -> Any:
    [found] = [each for each in told.ask("participants", **asked).participants if each.id == id]
    return found


def test_after_a_succession_every_question_names_the_same_person(story: Story) -> None:
    told = story.folded()
    assert told.ask("who", work="C-0").person == "bea"
    events = [recorded for recorded in story.log if recorded.stream == "work/C-0"]
    layers = item.stack(events, told.directory, item.AskStack(work="C-0"))
    assert layers.stack is not None and layers.stack.who == "bea" and "who" not in layers.stack.missing
    bot = member(told, "bot")
    assert (bot.sponsor, bot.named_sponsor) == ("bea", "carla")
    [agent] = told.ask("agents").agents
    [node] = told.ask("org", kind="agent").nodes
    assert agent.person == node.sponsor == node.top == bot.sponsor
    [process] = told.ask("processes").processes
    [source] = told.ask("sources").sources
    assert (process.owner, process.answers) == (source.custodian, source.answers) == ("carla", "bea")
    before = len(story.log) - 1
    assert told.ask("who", work="C-0", position=before).person == "carla"
    [then] = told.ask("org", kind="agent", position=before).nodes
    assert then.sponsor == "carla"


def test_how_much_each_answers_for_is_the_same_whoever_counts(story: Story) -> None:
    told = story.folded()
    span = {load.person: (load.answers_for, load.executing) for load in told.ask("span").people}
    ended = {"completed", "failed", "cancelled", "superseded"}
    for person in ("root", "bea", "ben", "dan"):
        found = member(told, person)
        board = [each for each in told.ask("board", accountable=person).items if each.state not in ended]
        held = told.ask("answers_for", person=person)
        assert found.answers_for == held.count == len(board) == span[person][0], person
        assert (found.executing,) == span[person][1:]
    assert [span[person][0] for person in ("root", "bea", "ben", "dan")] == [1, 2, 1, 0]
    [agent] = told.ask("agents").agents
    assert agent.executing == member(told, "bot").executing == 2


def test_who_is_away_still_answers_and_every_question_says_who_stands_in(story: Story) -> None:
    story.tell("participant/ben", AbsenceDeclared(from_=day(2), until=day(9), substitute="dan"))
    told = story.folded()
    here, gone = told.ask("who", work="C-1", away_at=day(1)), told.ask("who", work="C-1", away_at=day(3))
    assert (here.person, here.away, here.steps[-1]) == ("ben", None, "ben is here, and answers")
    assert gone.person == "ben" and gone.away.substitute == "dan" and gone.away.until == day(9)
    assert gone.steps[-2:] == (
        "ben has not left, and answers",
        "ben is away until 2026-01-14 08:00Z; dan stands in for review, escalation, accountability",
    )
    assert member(told, "ben", away_at=day(3)).away == gone.away
    assert member(told, "ben", away_at=day(1)).away is None
    assert told.ask("work", work="C-1", away_at=day(3)).who.away == gone.away
    [absent] = told.ask("absences", at=day(1)).absences
    assert (absent.id, absent.substitute, absent.until) == ("ben", "dan", day(9))
    assert told.ask("absences", at=day(10)).absences == ()
    story.tell("participant/ben", AbsenceEnded(), at=day(4), recorded=day(4))
    told = story.folded()
    assert told.ask("absences").absences == () and told.ask("who", work="C-1").away is None


def test_when_nobody_says_what_time_it_is_the_last_event_does(story: Story) -> None:
    story.tell("participant/ben", AbsenceDeclared(from_=day(2), until=day(9), substitute="dan"))
    assert story.folded().ask("who", work="C-1").away is None
    position = story.tell("participant/dan", ParticipantSuspended(), recorded=day(3))
    told = story.folded()
    assert told.ask("who", work="C-1").away.substitute == "dan"
    assert told.ask("who", work="C-1", position=position - 1).away is None
    assert member(told, "ben").away.until == day(9) and member(told, "dan").suspended


def test_teams_and_keys_are_listed_page_by_page(story: Story) -> None:
    for team in ("crew", "shift"):
        registered = ParticipantRegistered(participant_id=team, kind="team", display_name=team)
        story.tell(f"participant/{team}", registered)
    story.tell("participant/crew", TeamMemberAdded(member="ben"))
    story.tell("participant/shift", TeamMemberAdded(member="crew"))
    for key in ("k1", "k2"):
        story.tell("participant/ben", ParticipantKeyRegistered(key_id=key, public_key="x"))
    told = story.folded()
    first = told.ask("teams", limit=1)
    [shift] = told.ask("teams", after=first.next).teams
    assert (first.count, shift.members, shift.all) == (2, ("crew",), ("ben",))
    assert [key.key_id for key in told.ask("keys", limit=1).keys] == ["k1", "k2"]


@pytest.mark.parametrize(
    ("kind", "id", "near"),
    [("participant", "crala", "carla"), ("process", "clams", "claims"), ("work", "C-9", "C-0")],
)
def test_an_id_that_is_nobodys_is_said_to_be_and_what_it_may_have_meant(
    story: Story, kind: str, id: str, near: str
) -> None:
    told = story.folded()
    unknown = told.ask("known", kind=kind, id=id)
    assert not unknown.known and near in unknown.near
    assert told.ask("known", kind=kind, id=near).known


def test_who_was_never_registered_and_does_things_all_the_same_is_known(story: Story) -> None:
    story.tell("work/C-1", ExecutionStarted(execution_id="y", executor="stray"))
    told = story.folded()
    assert told.ask("known", id="stray").known and told.ask("known", id="crm").known
    assert not told.ask("known", id="bot77").known


def test_a_page_of_participants_follows_every_name_once_and_not_once_for_each_on_it(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(600):
        story.people(f"p-{number:03}")
    told = story.folded()
    followed = 0
    successor = Directory.successor

    def counting(self: Directory, *arguments: Any) -> str | None:
        nonlocal followed
        followed += 1
        return successor(self, *arguments)

    monkeypatch.setattr(Directory, "successor", counting)
    assert len(told.ask("participants", limit=1_000).participants) == 606
    assert len(told.ask("span", limit=1_000).people) == 604
    assert followed < 3 * 606


def test_who_answered_for_each_item_then_is_what_who_says_of_it(story: Story) -> None:
    told = story.folded()
    for position in range(7, len(story.log) + 1):
        then = told.ask("board_then", position=position).items
        answered = {item.work: item.accountable for item in then}
        assert answered == {work: told.ask("who", work=work, position=position).person for work in answered}
        for person in PEOPLE:
            page = told.ask("board_then", position=position, accountable=person, limit=1)
            found = [item.work for item in page.items]
            while page.next is not None:
                page = told.ask("board_then", position=position, accountable=person, limit=1, after=page.next)
                found += [item.work for item in page.items]
            assert found == sorted(work for work, who in answered.items() if who == person)
    last = told.ask("board_then", at=story.log[-2].event.time).items
    assert {item.work: item.accountable for item in last} == {
        "C-0": "carla",
        "C-1": "ben",
        "C-2": "carla",
        "T-0": "root",
    }
    assert [item.work for item in told.ask("board_then", at=day(99), executor="bot").items] == ["C-0", "T-0"]


def test_what_is_entrusted_to_whom_is_suspended_is_said_to_rest(story: Story) -> None:
    story.tell("work/C-1", WorkDelegated(delegation_id="D-1", delegator="ben", delegate="bot", autonomy="act"))
    story.tell("work/C-1", WorkDelegated(delegation_id="D-2", delegator="ben", delegate="bot", autonomy="act"))
    story.tell("work/C-1", DelegationRevoked(delegation_id="D-2"))
    told = story.folded()
    assert [given.rests for given in told.ask("delegations").delegations] == [False, False]
    story.tell("participant/bot", ParticipantSuspended())
    given = story.folded().ask("delegations").delegations
    assert [(one.delegation, one.rests) for one in given] == [("D-1", True), ("D-2", False)]
    story.tell("participant/bot", ParticipantResumed())
    assert not any(one.rests for one in story.folded().ask("delegations").delegations)


class Rules:
    """Whoever notes something breaks a rule: enough to find something on an item."""

    initial: None = None
    state_type = type(None)

    def check(self, state: None, event: Event, directory: Directory) -> Iterator[Breach]:
        if isinstance(event.data, NoteAdded):
            yield Breach(rule="delegation-violated", detail="pay is not among read")

    def evolve(self, state: None, event: Event) -> None:
        return None


def test_an_agent_on_whose_work_something_was_found_needs_somebody_until_it_is_decided() -> None:
    story = Story({"work": Rules()})
    story.people("ana")
    story.agent("bot")
    story.tell("work/W-1", WorkDefined(title="x", accountable="ana"))
    story.tell("work/W-1", ExecutionStarted(execution_id="x", executor="bot"))
    [bot] = story.folded().ask("agents").agents
    assert (bot.findings, bot.exceptions) == (0, ())
    position = story.tell("work/W-1", NoteAdded(text="paid"), by="bot")
    [bot] = story.folded().ask("agents").agents
    assert (bot.findings, bot.exceptions) == (1, ("findings",))
    story.tell("work/W-1", FindingAccepted(finding_id=f"delegation-violated@{position}"))
    [bot] = story.folded().ask("agents").agents
    assert (bot.findings, bot.exceptions) == (0, ())
