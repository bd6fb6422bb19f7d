"""Whatever is told of items and of keys, in whatever order: the view of who holds what says what the rules go by."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Final

from hypothesis import given, note, settings
from hypothesis import strategies as st

from attorn.contracts import subjects
from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRenewed, ClaimRevoked
from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import ExecutionStarted, WorkExecuted
from attorn.contracts.work import WorkAssigned, WorkCompleted, WorkDefined, WorkSubmitted, WorkSuperseded, WorkVerified
from attorn.projections import board, holding, timeline
from attorn.projections.lifecycle import ENDED, MOVING
from attorn.services.rulebook import RULES
from properties import messages
from sample_story import Story

ITEM: Final = "work/W-1"
KEY: Final = subjects.named("claim", messages.KEYS[0])
CLAIMING: Final = (ClaimAcquired, ClaimRenewed, ClaimReleased, ClaimExpired, ClaimRevoked)
TOLD: Final = MOVING | holding.EVENTS | {WorkDefined, WorkDelegated}
FACTS: Final = st.lists(st.integers(0, 2**32), max_size=40)
"""A fact is drawn from each of these numbers, so that a run that fails shrinks by whole facts."""

WHO: Final = ("bot", "ana")
PLAIN: Final[list[tuple[str, Any]]] = [
    *((ITEM, WorkAssigned(executor=who)) for who in WHO),
    *((ITEM, ExecutionStarted(execution_id=id, executor=who)) for id in ("E-1", "E-2") for who in WHO),
    *((ITEM, WorkExecuted(execution_id=id, result="failed")) for id in ("E-1", "E-2")),
    *((ITEM, end) for end in (WorkSubmitted(), WorkVerified(), WorkCompleted(), WorkSuperseded())),
    *(
        (KEY, ClaimAcquired(claim_id=id, key=messages.KEYS[0], holder=who, fence=fence))
        for id, who in (("C-1", "bot"), ("C-2", "ana"))
        for fence in range(1, 5)
    ),
    *((KEY, ClaimReleased(claim_id=id)) for id in ("C-1", "C-2")),
]
"""What most logs consist of, of one item, one key and two who are at it: random facts seldom meet like that."""


def draw(numbers: Iterable[int]) -> Iterator[tuple[str, Any]]:
    """What is told, with the stream in which it is: of one item and one key, so that facts meet each other."""
    for number in numbers:
        chance = Random(number)
        if chance.random() < 0.5:
            yield chance.choice(PLAIN)
            continue
        payload, _ = messages.fact(chance)
        while type(payload) not in TOLD:
            payload, _ = messages.fact(chance)
        aside = isinstance(payload, CLAIMING) and chance.random() < 0.7
        elsewhere = chance.random() < 0.03
        yield KEY if aside is not elsewhere else ITEM, payload


class Expected:
    """What the rules' own states say of the item and of the key, after each event."""

    def __init__(self) -> None:
        self.work, self.claims = RULES["work"].initial, RULES["claim"].initial
        self.let_go = False

    def take(self, recorded: Recorded) -> None:
        kind, event = recorded.stream.partition("/")[0], recorded.event
        if kind == "claim":
            self.claims = RULES["claim"].evolve(self.claims, event)
            return
        self.work = RULES["work"].evolve(self.work, event)
        # Who had it at an end has it no longer, wherever the item is led from there, until it is given to somebody.
        ended = self.work.life.state in ENDED
        self.let_go = ended or (self.let_go and type(event.data) not in timeline.TAKING)

    @property
    def executor(self) -> str | None:
        return None if self.let_go else self.work.executor

    def holdings(self) -> list[tuple[str, str]]:
        held = self.claims.held
        found = [(KEY, held.holder)] if held is not None else []
        return [*found, (ITEM, self.executor)] if self.executor is not None else found


@settings(max_examples=1_000, deadline=None)
@given(FACTS)
def test_the_view_holds_what_the_state_of_the_work_and_of_the_claims_hold(numbers: list[int]) -> None:
    story, expected = Story(), Expected()
    item: holding.Row | None = None
    key: holding.Row | None = None
    shown: board.Row | None = None
    for stream, payload in draw(numbers):
        note(f"{stream}: {payload}")
        story.tell(stream, payload)
        recorded = story.log[-1]
        expected.take(recorded)
        for touched in holding.keys(recorded):
            if touched == ITEM:
                item = holding.apply(item, recorded, ITEM)
            else:
                key = holding.apply(key, recorded, KEY)
        for _ in board.keys(recorded):
            shown = board.apply(shown, recorded, "W-1")
        check_item(item, shown, expected)
        check_key(key, expected.claims)


def check_item(row: holding.Row | None, shown: board.Row | None, expected: Expected) -> None:
    life = expected.work.life
    assert (row.holder if row is not None else None) == expected.executor
    assert {*(row.running if row is not None else ())} == {*(() if expected.let_go else life.executions)}
    if row is not None:
        assert row.work == "W-1" and life.state not in ENDED
        assert shown is not None and (shown.executor, shown.state) == (row.holder, life.state)


def check_key(row: holding.Row | None, claims: Any) -> None:
    assert ((row.fence, row.over) if row is not None else (0, ())) == (claims.fence, claims.over)
    if claims.held is None:
        assert row is None or (row.holder, row.claim_id, row.held, row.lease_until) == (None,) * 4
    else:
        assert row is not None and (row.holder, row.claim_id) == (claims.held.holder, claims.held.claim_id)
        assert (row.resource, row.work, row.held) == (claims.held.key, claims.held.work_id, KEY)
        assert row.lease_until == claims.held.lease_until


@settings(max_examples=40, deadline=None)
@given(FACTS)
def test_whoever_asks_is_told_the_same_by_every_question(numbers: list[int]) -> None:
    story, expected = Story(), Expected()
    story.people("ana", "ben", "carla", "root")
    for agent in messages.AGENTS:
        story.agent(agent)
    for stream, payload in draw(numbers):
        story.tell(stream, payload)
        expected.take(story.log[-1])
    told = story.folded(page=7)
    answered = told.ask("holding").holdings
    assert [(one.thing, one.holder) for one in answered] == expected.holdings()
    for who in {holder for _, holder in expected.holdings()}:
        [*mine] = told.ask("holding", participant=who).holdings
        assert mine == [one for one in answered if one.holder == who]
    for one in answered:
        assert one.since_time <= story.log[-1].event.time
        if one.thing == ITEM:
            assert one.state == expected.work.life.state
            asked = told.ask("executor", work="W-1")
            assert (asked.executor, asked.state) == (one.holder, one.state)
            assert told.ask("holding", work="W-1").holdings == (one,)
    carried_out = sum(agent.executing for agent in told.ask("agents").agents)
    carried_out += sum(person.executing for person in told.ask("span").people)
    assert carried_out == sum(
        one.thing == ITEM and one.holder in (*messages.PEOPLE, *messages.AGENTS) for one in answered
    )
