"""What waits for whom, by deadline: for people, for the holders of roles, for who succeeds or stands in."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from attorn.contracts.accountability import AccountabilityOffered, AccountabilityTransferred
from attorn.contracts.decision import DecisionMade, DecisionRequested
from attorn.contracts.delegation import DelegationAccepted, WorkDelegated
from attorn.contracts.escalation import (
    EscalationAcknowledged,
    EscalationAdvanced,
    EscalationContext,
    EscalationNotified,
    EscalationReassigned,
    EscalationReopened,
    EscalationResolved,
    EscalationUnacknowledged,
    Rung,
    WorkEscalated,
)
from attorn.contracts.execution import (
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionStarted,
    WorkExecuted,
)
from attorn.contracts.handover import HandoverDeclined, HandoverOffered
from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output
from attorn.contracts.participant import AbsenceDeclared, AbsenceEnded, Covers, ParticipantDeactivated, RoleGranted
from attorn.contracts.process import ProcessPublished
from attorn.contracts.review import (
    ReviewClaimed,
    ReviewRequested,
    ReviewUnclaimed,
    ReviewWithdrawn,
    Verdict,
    WorkReviewed,
)
from attorn.contracts.source import SourceRegistered
from attorn.contracts.work import (
    WorkCancelled,
    WorkCompleted,
    WorkDefined,
    WorkFailed,
    WorkReopened,
    WorkSubmitted,
    WorkSuperseded,
)
from attorn.projections import board, inbox
from attorn.projections.lifecycle import ENDED
from attorn.projections.store import sqlite
from sample_story import Story, Told, day

DIG = "sha256:" + "a" * 64


def begun(*, work: str = "W-1", story: Story | None = None) -> Story:
    if story is None:
        story = Story()
        story.people("ana", "ben", "cleo")
        story.agent("bot")
    story.tell(f"work/{work}", WorkDefined(title="Refund", accountable="ana"))
    story.tell(f"work/{work}", ExecutionStarted(execution_id="x", executor="bot"))
    return story


def waits(story: Story, who: str, **asked: Any) -> list[str]:
    return [f"{each.kind} {each.id}" for each in story.folded().ask("inbox", who=who, **asked).waiting]


def in_review(story: Story, work: str = "W-1", **said: Any) -> ReviewRequested:
    output = Output(output_id="o", dig=DIG)
    story.tell(f"work/{work}", WorkExecuted(execution_id="x", result="completed", outputs=(output,)))
    request = ReviewRequested(review_id="r", output_id="o", output_dig=DIG, **said)
    story.tell(f"work/{work}", request)
    return request


def verdict(by: str, verdict: Verdict = "approved") -> WorkReviewed:
    return WorkReviewed(review_id="r", output_id="o", output_dig=DIG, verdict=verdict, reviewer=by)


def test_a_review_waits_for_each_candidate_and_then_for_who_has_claimed_it() -> None:
    story = begun()
    in_review(story, candidates=("ben", "cleo"), respond_by=day(3))
    assert waits(story, "ben") == waits(story, "cleo") == ["review r"] and waits(story, "ana") == []
    claim = ReviewClaimed(review_id="r", output_id="o", output_dig=DIG, reviewer="cleo")
    story.tell("work/W-1", claim)
    assert waits(story, "ben") == [] and waits(story, "cleo") == ["review r"]
    story.tell("work/W-1", ReviewUnclaimed(review_id="r", output_id="o", output_dig=DIG, reviewer="cleo"))
    [found] = story.folded().ask("inbox", who="ben").waiting
    assert (found.due_at, found.title, found.actions) == (day(3), "Refund", ("review.claim", "work.review"))


def test_a_review_that_two_must_give_goes_on_waiting_for_who_has_not_given_theirs() -> None:
    story = begun()
    in_review(story, candidates=("ben", "cleo"), required=2)
    story.tell("work/W-1", verdict("ben"))
    assert waits(story, "ben") == [] and waits(story, "cleo") == ["review r"]
    story.tell("work/W-1", verdict("cleo"))
    assert waits(story, "cleo") == []


@pytest.mark.parametrize("end", [verdict("ben", "rejected"), verdict("ben", "waived"),
                                 ReviewWithdrawn(review_id="r", output_id="o", output_dig=DIG)])  # fmt: skip
def test_a_review_that_is_over_waits_for_nobody(end: Any) -> None:
    story = begun()
    in_review(story, candidates=("ben", "cleo"), required=2)
    story.tell("work/W-1", end)
    assert waits(story, "ben") == waits(story, "cleo") == []


def test_whoever_is_excluded_is_not_asked_to_review() -> None:
    story = begun()
    in_review(story, candidates=("ben", "cleo"), excluded=("ben",))
    assert waits(story, "ben") == [] and waits(story, "cleo") == ["review r"]


def test_a_review_without_candidates_waits_for_whoever_is_a_reviewer_there() -> None:
    story = begun()
    in_review(story)
    story.tell("participant/ben", RoleGranted(role="reviewer"))
    story.tell("participant/cleo", RoleGranted(role="reviewer", scope="process/other"))
    assert waits(story, "ben") == ["review r"] and waits(story, "cleo") == []


def test_three_questions_at_once_wait_for_whom_each_was_asked_until_each_is_answered() -> None:
    story = begun()
    for id, of in (("q1", "ben"), ("q2", "cleo"), ("q3", "ben")):
        story.tell("work/W-1", ExecutionInputRequired(execution_id="x", request_id=id, from_=of, question="Which?"))
    assert waits(story, "ben") == ["input q1", "input q3"] and waits(story, "cleo") == ["input q2"]
    story.tell("work/W-1", ExecutionInputProvided(request_id="q1", response="respond"))
    assert waits(story, "ben") == ["input q3"] and waits(story, "cleo") == ["input q2"]


def test_what_ends_the_work_ends_its_questions() -> None:
    story = begun()
    story.tell("work/W-1", ExecutionInputRequired(execution_id="x", request_id="q", from_="ben", question="Which?"))
    story.tell("work/W-1", DecisionRequested(decision_id="d", question="Refund?", from_="ben"))
    story.tell("work/W-1", WorkCancelled())
    assert waits(story, "ben") == []


@pytest.mark.parametrize("end", [WorkCompleted(), WorkFailed(), WorkCancelled(), WorkSuperseded()])
def test_what_ends_the_work_leaves_no_row_of_what_waited_but_of_its_escalations(end: Any) -> None:
    story = begun()
    story.tell("work/W-1", ExecutionInputRequired(execution_id="x", request_id="q", from_="ben", question="Which?"))
    story.tell("work/W-1", DecisionRequested(decision_id="d", question="Refund?", from_="ben"))
    story.tell("work/W-1", WorkDelegated(delegation_id="g", delegator="ana", delegate="bot"))
    story.tell("work/W-1", HandoverOffered(handover_id="h", from_="bot", to="ben"))
    in_review(story, candidates=("ben",))
    story.tell("work/W-1", WorkEscalated(escalation_id="e", reason="manual", raised_by="bot",
                                         context=EscalationContext(summary="stuck")))  # fmt: skip
    for page in (1, 1_000):
        told = story.folded(page)
        assert told.rows.count(inbox.Row, "kind NOT IN ('member', 'item', 'named', 'answers')") == 6
    story.tell("work/W-1", end)
    for page in (1, 4, 1_000):
        told = story.folded(page)
        keys = ["W-1/escalation/e", "answers/ana/~000000000000013/W-1/escalation/e", "item/W-1", "named/ana"]
        assert [row.key for row in told.rows.select(inbox.Row, order="key")] == keys


@pytest.mark.parametrize("cached", [0, 3, 10_000])
def test_what_ends_with_the_work_is_found_whether_or_not_its_rows_are_in_memory(
    cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "ROWS_CACHED_MAX", cached)
    story = Story()
    for number in range(12):
        for id in ("d1", "d2"):
            asked = DecisionRequested(decision_id=id, question="Refund?", from_="ben")
            story.tell(f"work/W-{number}", asked)
    for number in range(0, 12, 2):
        story.tell(f"work/W-{number}", WorkCompleted())
    kept = {f"W-{number}/decision/{id}" for number in range(1, 12, 2) for id in ("d1", "d2")}
    for page in (1, 5, 1_000):
        assert {row.key for row in story.folded(page).rows.select(inbox.Row, "kind = 'decision'")} == kept


def test_what_is_settled_is_forgotten_of_the_item_too() -> None:
    story = begun()
    story.tell("work/W-1", WorkDelegated(delegation_id="g", delegator="ana", delegate="bot"))
    story.tell("work/W-1", DelegationAccepted(delegation_id="g"))
    [item] = story.folded().rows.select(inbox.Row, "kind <> 'named'")
    assert (item.key, item.to, item.open) == ("item/W-1", None, None)


def all_pages(story: Story, who: str) -> tuple[list[str], int]:
    told, found, after, pages = story.folded(), list[str](), "", 0
    while after is not None:
        page = told.ask("inbox", who=who, after=after, limit=40)
        found += [each.id for each in page.waiting]
        after, pages = page.next, pages + 1
    return found, pages


def test_a_page_that_finds_little_among_much_that_is_over_is_short_and_the_next_goes_on() -> None:
    story = begun()
    story.tell("work/W-2", WorkCancelled())
    # What is reported when its work has ended already waits for nobody, and yet is looked at.
    for number in range(600):
        late = number % 300 != 299
        story.tell("work/W-2" if late else "work/W-1", DecisionRequested(decision_id=f"d{number}", question="Refund?",
                                                                         from_="ben"))  # fmt: skip
    assert all_pages(story, "ben") == (["d299", "d599"], 2)


def test_what_is_asked_of_nobody_in_particular_is_found_among_much_that_others_answer_for() -> None:
    story = begun()
    story.tell("work/W-2", WorkDefined(title="Other", accountable="cleo"))
    for number in range(1_100):
        mine = number % 550 == 549
        question = DecisionRequested(decision_id=f"d{number}", question="Refund?")
        story.tell("work/W-1" if mine else "work/W-2", question)
    assert all_pages(story, "ana") == (["d549", "d1099"], 1)
    assert all_pages(story, "bot") == ([], 1)


def test_a_decision_that_names_nobody_waits_for_who_answers_for_the_work() -> None:
    story = begun()
    story.tell("work/W-1", DecisionRequested(decision_id="d", question="Refund?"))
    [found] = story.folded().ask("inbox", who="ana").waiting
    assert (found.kind, found.because) == ("decision", "whoever answers for it")
    assert waits(story, "ben") == []
    story.tell("work/W-1", DecisionMade(decision_id="d", decider="ana", chosen="yes"))
    assert waits(story, "ana") == []


def test_what_waits_for_who_answers_moves_with_the_name_on_the_work() -> None:
    story = begun()
    story.tell("work/W-1", DecisionRequested(decision_id="d", question="Refund?", respond_by=day(4)))
    story.tell("work/W-1", WorkEscalated(escalation_id="e", reason="manual", raised_by="bot",
                                         context=EscalationContext(summary="stuck")))  # fmt: skip
    assert waits(story, "ana") == ["decision d", "escalation e"] and waits(story, "ben") == []
    story.tell("work/W-1", AccountabilityTransferred(to="ben"))
    assert waits(story, "ben") == ["decision d", "escalation e"] and waits(story, "ana") == []
    story.tell("work/W-1", EscalationAcknowledged(escalation_id="e", by="cleo"))
    assert waits(story, "ben") == ["decision d"] and waits(story, "cleo") == ["escalation e"]
    story.tell("work/W-1", AccountabilityTransferred(to="ana"))
    story.tell("work/W-1", EscalationUnacknowledged(escalation_id="e"))
    assert waits(story, "ana") == ["decision d", "escalation e"] and waits(story, "ben") == waits(story, "cleo") == []
    story.leaves("ana", "cleo")
    assert waits(story, "cleo") == ["decision d", "escalation e"]


def test_what_nobody_who_is_here_is_named_for_waits_for_who_owns_the_process_and_else_for_the_custodian() -> None:
    story = Story()
    story.people("ana", "ben", "cleo")
    story.custodian("cleo")
    story.tell("process/flow", ProcessPublished(version=1, owner="ben"))
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="ana", process=Pinned(id="flow", version=1)))
    story.tell("work/W-2", WorkDefined(title="Refund", accountable="ghost"))
    for number in (1, 2):
        story.tell(f"work/W-{number}", DecisionRequested(decision_id=f"d{number}", question="Refund?"))
    story.tell("work/W-3", DecisionRequested(decision_id="d3", question="Refund?"))
    assert waits(story, "ana") == ["decision d1"] and waits(story, "ben") == []
    assert waits(story, "cleo") == ["decision d2", "decision d3"]
    story.leaves("ana", None)
    assert waits(story, "ben") == ["decision d1"] and waits(story, "cleo") == ["decision d2", "decision d3"]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_found_is_what_looking_through_everything_finds(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    # Of half of them, hardly a row is still in memory when the next page comes.
    monkeypatch.setattr(sqlite, "ROWS_CACHED_MAX", 2 if seed % 2 else 10_000)
    story = anything(chance)
    told = story.folded(chance.choice((1, 7, 1_000)))
    at = day(chance.randrange(8))
    for who in (*PEOPLE, "bot"):
        if not told.directory.is_here(who):
            continue
        for kind in (None, "decision", "escalation"):
            everything = looked_through(told, who, at, kind)
            found, after = list[str](), ""
            while after is not None:
                page = told.ask("inbox", who=who, at=at, kind=kind, after=after, limit=3)
                found += [f"{each.work}/{each.kind}/{each.id}" for each in page.waiting]
                after = page.next
            assert found == everything, (who, kind)


PEOPLE = ("ana", "ben", "cleo", "dan", "eve", "fay")


def anything(chance: random.Random) -> Story:
    """People who come, go, stand in and own processes, and what waits for them or for whoever answers, in any order."""
    story = Story()
    story.people(*PEOPLE)
    story.agent("bot")
    story.custodian(chance.choice(PEOPLE))
    anybody = (*PEOPLE, "bot", "ghost")
    works = [f"W-{number}" for number in range(12)]
    for number in range(3):
        story.tell(f"process/flow-{number}", ProcessPublished(version=1, owner=chance.choice(PEOPLE)))
    story.tell("source/jira", SourceRegistered(uri="https://jira.example", custodian=chance.choice(PEOPLE)))
    ladder = (Rung(rung=1, targets=("ben", "reviewer"), ack_within=timedelta(hours=1)),)
    context = EscalationContext(summary="stuck")

    def somebody() -> str:
        return chance.choice(anybody)

    def moment() -> datetime | None:
        return chance.choice((None, day(chance.randrange(9))))

    happenings: list[Callable[[], msgspec.Struct]] = [
        *[lambda: WorkDefined(title="Refund", accountable=somebody(),
                              process=Pinned(id=f"flow-{chance.randrange(4)}", version=1))] * 3,
        lambda: AccountabilityTransferred(to=somebody()),
        lambda: AccountabilityOffered(to=somebody()),
        *[lambda: DecisionRequested(decision_id=f"d{chance.randrange(3)}", question="Refund?", respond_by=moment(),
                                    from_=chance.choice((None, None, somebody())))] * 5,
        lambda: DecisionMade(decision_id=f"d{chance.randrange(3)}", decider="ana", chosen="yes"),
        *[lambda: WorkEscalated(escalation_id=f"e{chance.randrange(2)}", reason="manual", raised_by="bot",
                                context=context, next_rung_at=moment(), ladder=chance.choice(((), (), ladder)))] * 3,
        lambda: EscalationNotified(escalation_id=f"e{chance.randrange(2)}", rung=1, next_rung_at=moment(),
                                   persons=chance.choice(((), ("cleo", "dan")))),
        lambda: EscalationAcknowledged(escalation_id=f"e{chance.randrange(2)}", by=somebody(), ack_until=moment()),
        lambda: EscalationUnacknowledged(escalation_id=f"e{chance.randrange(2)}"),
        lambda: EscalationAdvanced(escalation_id=f"e{chance.randrange(2)}", from_=1, to=1),
        lambda: EscalationReassigned(escalation_id=f"e{chance.randrange(2)}", to=somebody()),
        lambda: EscalationResolved(escalation_id=f"e{chance.randrange(2)}", outcome="returned"),
        lambda: EscalationReopened(escalation_id=f"e{chance.randrange(2)}"),
        lambda: chance.choice((WorkCompleted(), WorkReopened())),
    ]  # fmt: skip
    for _ in range(150):
        told = chance.choice(happenings)()
        story.tell(f"work/{chance.choice(works)}", told, by="jira", system=chance.random() < 0.3)
        if chance.random() < 0.1:
            who = chance.choice(PEOPLE[1:])
            covers: tuple[Covers, ...] = chance.choice((("review",), ("escalation", "accountability")))
            away = AbsenceDeclared(from_=day(0), until=day(chance.randrange(1, 9)), covers=covers,
                                   substitute=chance.choice(PEOPLE))  # fmt: skip
            gone = ParticipantDeactivated(successor=chance.choice((None, *PEOPLE)))
            story.tell(f"participant/{who}", chance.choice((away, away, gone, RoleGranted(role="reviewer"))))
    return story


def looked_through(told: Told, who: str, at: datetime, kind: str | None) -> list[str]:
    """The keys of all that waits for `who`, in turn, by looking at every thing and at everybody."""
    directory, items = told.directory, {item.key: item for item in told.rows.select(board.Row)}

    def acts_for(id: str | None, row: inbox.Row) -> bool:
        what: Covers = "escalation" if row.kind == "escalation" else "accountability"
        if id is None or id == who or id not in directory.participants:
            return id == who
        if directory.participants[id].left:
            return directory.successor(id) == who
        return directory.substitute(id, what, at) == who

    def means(one: str, row: inbox.Row) -> bool:
        item = items[row.work or ""]
        if one == inbox.ANSWERING:
            return acts_for(directory.answerable(item.named, item.process, item.source).person, row)
        return acts_for(one, row) or any(
            acts_for(id, row) and directory.holds(id, one, "", at=at) for id in directory.participants
        )

    found = []
    for row in told.rows.select(inbox.Row, "work IS NOT NULL AND addressed IS NOT NULL"):
        ended = items[row.work or ""].state in ENDED and row.kind == "decision"
        meant = (row.claimed_by,) if row.claimed_by is not None else inbox.addressees(row)
        if kind in (None, row.kind) and not ended and any(means(one or "", row) for one in meant):
            found.append((row.turn, f"{row.work}/{row.kind}/{row.id}"))
    return [key for _, key in sorted(found)]


def test_an_escalation_waits_for_the_rung_that_it_is_on_then_for_who_took_it_up() -> None:
    story = begun()
    ladder = (Rung(rung=1, targets=("ben", "cleo"), ack_within=timedelta(hours=1)),
              Rung(rung=2, targets=("ana",), ack_within=timedelta(hours=1)))  # fmt: skip
    story.tell("work/W-1", WorkEscalated(escalation_id="e", reason="manual", raised_by="bot", ladder=ladder,
                                         context=EscalationContext(summary="stuck", question="How?")))  # fmt: skip
    assert waits(story, "ben") == waits(story, "cleo") == ["escalation e"] and waits(story, "ana") == []
    story.tell("work/W-1", EscalationNotified(escalation_id="e", rung=1, persons=("cleo",), next_rung_at=day(2)))
    assert waits(story, "ben") == [] and waits(story, "cleo") == ["escalation e"]
    story.tell("work/W-1", EscalationAdvanced(escalation_id="e", from_=1, to=2))
    assert waits(story, "cleo") == [] and waits(story, "ana") == ["escalation e"]
    story.tell("work/W-1", EscalationAcknowledged(escalation_id="e", by="ben", ack_until=day(3)))
    [found] = story.folded().ask("inbox", who="ben").waiting
    assert (found.text, found.due_at, found.claimed_by) == ("How?", day(3), "ben") and waits(story, "ana") == []
    story.tell("work/W-1", EscalationUnacknowledged(escalation_id="e"))
    assert waits(story, "ben") == [] and waits(story, "ana") == ["escalation e"]
    story.tell("work/W-1", EscalationReassigned(escalation_id="e", to="cleo"))
    assert waits(story, "cleo") == ["escalation e"]
    story.tell("work/W-1", EscalationResolved(escalation_id="e", outcome="returned"))
    assert waits(story, "cleo") == []
    story.tell("work/W-1", EscalationReopened(escalation_id="e"))
    assert waits(story, "ben") == waits(story, "cleo") == ["escalation e"]


def test_offers_wait_for_whom_they_were_made_to() -> None:
    story = begun()
    story.tell("work/W-1", HandoverOffered(handover_id="h", to="ben", respond_by=day(2)))
    story.tell("work/W-1", AccountabilityOffered(to="ben"))
    story.tell("work/W-1", WorkDelegated(delegation_id="D", delegator="ana", delegate="bot"))
    assert waits(story, "ben") == ["handover h", "accountability ben"] and waits(story, "bot") == ["delegation D"]
    story.tell("work/W-1", HandoverDeclined(handover_id="h"))
    story.tell("work/W-1", AccountabilityTransferred(to="ben"))
    story.tell("work/W-1", DelegationAccepted(delegation_id="D"))
    assert waits(story, "ben") == waits(story, "bot") == []


def test_what_was_meant_for_who_left_waits_for_their_successor() -> None:
    story = begun()
    story.tell("work/W-1", ExecutionInputRequired(execution_id="x", request_id="q", from_="ben", question="Which?"))
    story.leaves("ben", "cleo")
    [found] = story.folded().ask("inbox", who="cleo").waiting
    assert (found.id, found.because) == ("q", "ben")
    assert story.folded().ask("inbox", who="ben").problem == "ben is not a participant who is here"


@pytest.mark.parametrize(("covers", "seen"), [(("review",), True), (("escalation",), False)])
def test_a_substitute_sees_what_the_absence_covers_while_it_lasts(covers: tuple[Covers, ...], seen: bool) -> None:
    story = begun()
    in_review(story, candidates=("ben",))
    story.tell("participant/ben", AbsenceDeclared(from_=day(2), until=day(4), substitute="cleo", covers=covers))
    assert waits(story, "cleo", at=day(1)) == waits(story, "cleo", at=day(5)) == []
    assert waits(story, "cleo", at=day(3)) == (["review r"] if seen else [])
    assert waits(story, "ben", at=day(3)) == ["review r"]
    story.tell("participant/ben", AbsenceEnded(), at=day(2.5))
    assert waits(story, "cleo", at=day(3)) == []


def test_the_earliest_deadline_comes_first_page_by_page_and_what_has_none_last() -> None:
    story = begun()
    due = [None, day(3), day(1), None, day(2)]
    for number, at in enumerate(due):
        story.tell("work/W-1", ExecutionInputRequired(execution_id="x", request_id=f"q{number}", from_="ben",
                                                      question="Which?", respond_by=at))  # fmt: skip
    assert waits(story, "ben") == [f"input q{number}" for number in (2, 4, 1, 0, 3)]
    told, after, found = story.folded(), "", list[str]()
    while after is not None:
        page = told.ask("inbox", who="ben", limit=2, after=after)
        found += [each.id for each in page.waiting]
        after = page.next
    assert found == ["q2", "q4", "q1", "q0", "q3"]
    assert waits(story, "ben", kind="review") == []


def test_somebody_who_is_addressed_by_name_and_by_role_is_asked_once() -> None:
    story = begun()
    story.tell("participant/ben", RoleGranted(role="reviewer"))
    in_review(story, candidates=("ben", "reviewer"))
    assert waits(story, "ben") == ["review r"]


def test_work_that_was_handed_in_without_an_execution_can_be_reviewed_too() -> None:
    story = Story()
    story.people("ana", "ben")
    story.tell("work/W-1", WorkDefined(title="Refund", accountable="ana"))
    story.tell("work/W-1", WorkSubmitted(outputs=("o",)))
    story.tell("work/W-1", ReviewRequested(review_id="r", output_id="o", output_dig=DIG, candidates=("ben",)))
    assert waits(story, "ben") == ["review r"]
