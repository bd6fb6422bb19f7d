"""The proof over the whole log holds where it should, says the same as the views, and catches every mutation."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from attorn.contracts import codec
from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.context import NoteAdded
from attorn.contracts.envelope import Recorded
from attorn.contracts.ids import Pinned
from attorn.contracts.participant import ParticipantDeactivated, ParticipantRegistered, RoleGranted, RoleRevoked
from attorn.contracts.process import ProcessPublished
from attorn.contracts.source import SourceRegistered
from attorn.contracts.work import WorkDefined
from attorn.projections import accountability, board
from attorn.projections.audit import Auditor, Result, compare
from sample_story import Story


def proof(log: Sequence[Recorded]) -> Auditor:
    auditor = Auditor()
    auditor.feed(log)
    return auditor


def result(story: Story) -> Result:
    return proof(story.log).result()


@pytest.fixture
def story() -> Story:
    """Two items handed on twice each, one that nobody defined, one succession."""
    story = Story()
    story.people("ana", "bob", "cy", "dora")
    story.custodian("ana")
    story.agent("bot")
    story.tell("source/jira", SourceRegistered(uri="https://jira.example", custodian="bob"))
    for work in ("W-1", "W-2"):
        story.tell(f"work/{work}", WorkDefined(title="Refund", accountable="ana"))
        story.tell(f"work/{work}", transfer("ana", "bob"))
        story.tell(f"work/{work}", transfer("bob", "cy"))
    story.tell("work/W-3", NoteAdded(text="x"), by="jira", system=True)
    story.leaves("bob", "dora")
    story.tell("work/W-1", NoteAdded(text="x"))
    return story


def transfer(from_: str, to: str) -> AccountabilityTransferred:
    return AccountabilityTransferred(from_=from_, to=to, accepted_by=to)


def again(log: Sequence[Recorded]) -> list[Recorded]:
    """The log as somebody would write it who hides what they did: positions and versions follow each other again."""
    versions: dict[str, int] = {}
    written = []
    for position, recorded in enumerate(log, 1):
        version = versions[recorded.stream] = versions.get(recorded.stream, 0) + 1
        entry = codec.seal(recorded.event, version)
        written.append(Recorded(position, recorded.recorded_at, entry.event, entry.body))
    return written


@pytest.mark.requirement("000-09")
def test_a_log_on_which_exactly_one_person_always_answers_is_proved(story: Story) -> None:
    found = result(story)
    assert found.holds and found.places == ()
    assert (found.gaps, found.overlaps, found.non_human, found.breaks) == (0, 0, 0, 0)
    assert (found.positions, found.items, found.tenures, found.intervals) == (len(story.log), 3, 7, 8)


def test_the_proof_in_pages_is_the_proof_at_once(story: Story) -> None:
    auditor = Auditor()
    for recorded in story.log:
        auditor.feed([recorded])
    assert auditor.result() == result(story)


@pytest.mark.requirement("000-09")
def test_every_transfer_that_is_removed_is_caught_even_where_the_rest_was_written_anew(story: Story) -> None:
    transfers = [n for n, r in enumerate(story.log) if isinstance(r.event.data, AccountabilityTransferred)]
    for n in transfers:
        without = [*story.log[:n], *story.log[n + 1 :]]
        assert proof(without).result().breaks > 0
        hidden = proof(again(without)).result()
        assert hidden.breaks == 0 and hidden.digest != result(story).digest
        is_last_of_item = story.log[n].event.data.to == "cy"
        assert hidden.overlaps == (0 if is_last_of_item else 1), "a chain without its end is still a chain"


@pytest.mark.requirement("000-09")
def test_two_transfers_that_change_places_are_caught(story: Story) -> None:
    first, second = [n for n, r in enumerate(story.log) if r.stream == "work/W-1"][1:3]
    log = list(story.log)
    log[first], log[second] = log[second], log[first]
    assert proof(log).result().breaks > 0
    hidden = proof(again(log)).result()
    assert (hidden.breaks, hidden.overlaps) == (0, 2)
    assert hidden.places[0].endswith("W-1 passes from bob to cy, but ana answered for it")


@pytest.mark.requirement("000-09")
@pytest.mark.parametrize("stranger", ["bot", "nobody-registered"])
def test_an_agent_or_a_stranger_that_is_named_is_caught_though_a_person_answers(story: Story, stranger: str) -> None:
    for n, recorded in enumerate(story.log):
        if not isinstance(recorded.event.data, WorkDefined | AccountabilityTransferred):
            continue
        field = "accountable" if isinstance(recorded.event.data, WorkDefined) else "to"
        data = msgspec.structs.replace(recorded.event.data, **{field: stranger})
        log = list(story.log)
        log[n] = msgspec.structs.replace(recorded, event=msgspec.structs.replace(recorded.event, data=data))
        found = proof(log).result()
        assert found.non_human == 1 and not found.holds
        assert found.gaps == 0, "somebody stands in"
        assert stranger in found.places[0]


def test_a_version_that_comes_twice_is_caught(story: Story) -> None:
    last = story.log[-1]
    doubled = [*story.log, msgspec.structs.replace(last, position=last.position + 1)]
    found = proof(doubled).result()
    assert found.breaks == 1 and "goes on with version 4 after 4" in found.places[0]


def test_an_item_that_is_defined_twice_for_two_people_is_caught(story: Story) -> None:
    story.tell("work/W-1", WorkDefined(title="x", accountable="dora"))
    assert result(story).overlaps == 1


def test_the_proof_knows_nobody_of_whom_only_a_stream_of_another_kind_says_that_they_are_there(story: Story) -> None:
    eve = ParticipantRegistered(participant_id="eve", kind="agent", display_name="Eve", sponsor="ana")
    story.tell("policy/eve", eve, by="jira", system=True)
    story.tell("policy/bob", RoleGranted(role="custodian"))
    story.tell("participant/jira", SourceRegistered(uri="https://jira.example", custodian="cy"))
    story.tell("source/refunds", ProcessPublished(version=1, owner="cy"))
    story.people("eve")
    story.tell("work/W-6", WorkDefined(title="x", accountable="eve"))
    auditor, told = proof(story.log), story.folded()
    assert auditor.result().holds
    assert told.directory.kind("eve") == "human" and told.directory.root_custodian() == "ana"
    assert compare(auditor.result(), told.rows, told.directory, auditor.assignment).equal


def test_a_ledger_without_a_custodian_has_gaps_and_says_where() -> None:
    story = Story()
    story.people("ana")
    story.tell("work/W-1", NoteAdded(text="x"))
    story.tell("work/W-1", transfer("ana", "ana"))
    story.leaves("ana", None)
    found = result(story)
    assert (found.gaps, found.overlaps) == (2, 1)
    assert found.places[0] == "from position 2 on nobody answers for W-1"


def test_a_transfer_is_held_against_who_answered_not_against_who_was_named(story: Story) -> None:
    story.tell("work/W-4", WorkDefined(title="x", accountable="bob"))
    story.tell("work/W-4", transfer("dora", "cy"))
    assert result(story).holds, "dora succeeded bob, and handed over"
    story.tell("work/W-5", WorkDefined(title="x", accountable="bob"))
    story.tell("work/W-5", transfer("bob", "cy"))
    assert result(story).overlaps == 1


def test_the_view_says_the_same_as_the_proof(story: Story) -> None:
    auditor, told = proof(story.log), story.folded()
    found = compare(auditor.result(), told.rows, told.directory, auditor.assignment)
    assert found.equal and found.items == 3 and found.differences == ()


def test_a_view_that_differs_or_is_behind_is_not_equal_and_it_says_where(story: Story) -> None:
    auditor, told = proof(story.log), story.folded()
    story.tell("work/W-1", transfer("cy", "ana"))
    ahead = proof(story.log).result()
    assert compare(ahead, told.rows, told.directory).differences == (
        f"the view is at position {len(story.log) - 1}, the proof at {len(story.log)}",
    )
    assert compare(auditor.result(), story.folded().rows, story.folded().directory).equal, "a view may be ahead"
    auditor.assignment["W-2"].pop()
    changed = auditor.result()
    found = compare(changed, told.rows, told.directory, auditor.assignment)
    assert not found.equal and found.differences[0].startswith("W-2: by the log ana from")


@pytest.mark.parametrize("seed", range(40))
def test_on_any_log_the_view_says_the_same_as_the_proof(seed: int) -> None:
    """Everything that moves who answers, in any order: leavers, circles, agents, owners, custodians, late names."""
    dice = random.Random(seed)
    story = Story()
    people = [f"p-{n}" for n in range(7)]
    systems = ["jira", "trello"]
    if seed % 4:
        story.people("p-0")
        story.custodian("p-0")

    def anybody() -> str:
        return dice.choice([*people, "bot", "ghost"])

    acts: list[Any] = [
        lambda: story.people(dice.choice(people)),
        lambda: story.agent("bot"),
        lambda: story.leaves(dice.choice(people), dice.choice([*people, "bot", None])),
        lambda: story.custodian(anybody()),
        lambda: story.tell(f"participant/{anybody()}", RoleRevoked(role="custodian")),
        lambda: story.tell(f"process/{dice.choice(['a', 'b'])}",
                           ProcessPublished(version=dice.randint(1, 3), owner=anybody())),
        lambda: story.tell(f"source/{dice.choice(systems)}", SourceRegistered(
            uri="x:y", custodian=anybody(), speaks_of=dice.choice([(), ("participant",), ("participant", "process")])),
            by=dice.choice(systems), system=dice.random() < 0.2),
        # What belongs in a stream of another kind is about nobody.
        lambda: story.tell(f"{dice.choice(['policy', 'process', 'source', 'participant', 'claim'])}/{anybody()}",
                           dice.choice([ParticipantRegistered(participant_id="bot", kind="human", display_name="x"),
                                        ParticipantDeactivated(successor=anybody()), RoleGranted(role="custodian"),
                                        SourceRegistered(uri="x:y", custodian=anybody(), speaks_of=("participant",)),
                                        ProcessPublished(version=1, owner=anybody())]),
                           by=dice.choice(systems), system=dice.random() < 0.5),
        # Systems say of people and processes what counts only where they were given the word.
        *[lambda: story.tell(f"participant/{dice.choice(people)}", ParticipantDeactivated(
            successor=dice.choice(people)), by=dice.choice(systems), system=True),
          lambda: story.tell(f"participant/{anybody()}", RoleGranted(role="custodian"), by=dice.choice(systems),
                             system=True),
          lambda: story.tell(f"participant/{(who := anybody())}", ParticipantRegistered(
              participant_id=who, kind="human", display_name=who), by=dice.choice([*systems, "erp"]), system=True),
          lambda: story.tell("process/a", ProcessPublished(version=1, owner=anybody()), by=dice.choice(systems),
                             system=True)],
        lambda: story.tell("participant/bot", ParticipantRegistered(
            participant_id="bot", kind="human", display_name="not so")),
        *[lambda: story.tell(f"work/W-{dice.randint(1, 6)}", WorkDefined(
            title="x", accountable=anybody(), process=dice.choice([None, Pinned(id="a", version=1)])),
            by=dice.choice(systems), system=dice.random() < 0.5)] * 3,
        *[lambda: story.tell(f"work/W-{dice.randint(1, 6)}", transfer(anybody(), anybody()))] * 3,
        *[lambda: story.tell(f"work/W-{dice.randint(1, 6)}", NoteAdded(text="x"),
                             by=dice.choice(systems), system=dice.random() < 0.8)] * 2,
    ]  # fmt: skip
    for _ in range(120):
        dice.choice(acts)()
    auditor, told = proof(story.log), story.folded()
    found = compare(auditor.result(), told.rows, told.directory, auditor.assignment)
    assert found.equal, found.differences
    half = proof(story.log[:60])
    assert compare(half.result(), told.rows, told.directory, half.assignment).equal
    for item in told.rows.select(board.Row):
        row = told.rows.get(accountability.Row, item.key)
        assert row is not None
        assert (item.named, item.process, item.source) == (row.named, row.process, row.source)
    for work, intervals in auditor.assignment.items():
        assert told.ask("who", work=work).person == intervals[-1][1]
        for who in {person for _, person in intervals if person is not None}:
            page = told.ask("answers_for", person=who, ended=True, limit=1_000)
            assert (work in {held.work for held in page.items}) == (who == intervals[-1][1])
