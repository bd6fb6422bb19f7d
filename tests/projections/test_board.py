"""The board shows every item as it is, and as it was at any time; counts agree with lists; actions follow the state."""

from datetime import timedelta
from typing import Any, get_args

import msgspec
import pytest

from attorn.contracts.accountability import AccountabilityTransferred
from attorn.contracts.claim import ClaimReleased
from attorn.contracts.context import NoteAdded
from attorn.contracts.deadline import DeadlineSet
from attorn.contracts.escalation import EscalationContext, EscalationResolved, WorkEscalated
from attorn.contracts.execution import (
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionStarted,
    WorkExecuted,
)
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.ids import Pinned
from attorn.contracts.messages import COMMAND_BY_VERB
from attorn.contracts.participant import ParticipantRegistered
from attorn.contracts.work import (
    Change,
    WorkAssigned,
    WorkCancelled,
    WorkClarified,
    WorkCompleted,
    WorkDefined,
    WorkReadied,
    WorkReopened,
    WorkReprioritized,
    WorkResumed,
    WorkSubmitted,
    WorkSuspended,
    WorkVerified,
)
from attorn.projections import board
from attorn.projections.lifecycle import Lifecycle, State, follows
from attorn.projections.questions.board import COUNTED_MAX, AskBoard
from sample_story import Story, day

DEFINED = WorkDefined(title="Refund", accountable="ana", candidates=("cy",), due_at=day(10))
STARTED = ExecutionStarted(execution_id="x-1", executor="cy")
EXECUTED = WorkExecuted(execution_id="x-1", result="completed")


def asked(request: str, of: str = "dora") -> ExecutionInputRequired:
    return ExecutionInputRequired(execution_id="x-1", request_id=request, from_=of, question="Which?")


def given(request: str) -> ExecutionInputProvided:
    return ExecutionInputProvided(request_id=request, response="respond")


def escalated(id: str = "esc-1", blocking: bool = True) -> WorkEscalated:
    return WorkEscalated(escalation_id=id, reason="manual", raised_by="cy", blocking=blocking,
                         context=EscalationContext(summary="stuck"))  # fmt: skip


def after(*payloads: Any, **attributes: Any) -> Any:
    """The item of the board after these events."""
    story = Story()
    story.people("ana")
    for payload in payloads:
        story.tell("work/W-1", payload, **attributes)
    return story.folded().ask("work", work="W-1").item


@pytest.mark.parametrize(
    ("payloads", "state"),
    [
        ((DEFINED,), "defined"),
        ((DEFINED, WorkReadied()), "ready"),
        ((DEFINED, WorkAssigned(executor="cy")), "claimed"),
        ((DEFINED, STARTED), "in_progress"),
        ((DEFINED, STARTED, asked("q-1")), "waiting_input"),
        ((DEFINED, STARTED, asked("q-1"), asked("q-2"), given("q-1")), "waiting_input"),
        ((DEFINED, STARTED, asked("q-1"), asked("q-2"), given("q-1"), given("q-2")), "in_progress"),
        ((DEFINED, STARTED, escalated()), "waiting_input"),
        ((DEFINED, STARTED, escalated(blocking=False)), "in_progress"),
        (
            (DEFINED, STARTED, escalated(), EscalationResolved(escalation_id="esc-1", outcome="returned")),
            "in_progress",
        ),
        ((DEFINED, STARTED, WorkSuspended()), "suspended"),
        ((DEFINED, STARTED, WorkSuspended(), WorkResumed()), "in_progress"),
        ((DEFINED, WorkAssigned(executor="cy"), WorkSuspended(), WorkResumed()), "claimed"),
        ((DEFINED, STARTED, ClaimReleased(claim_id="c-1")), "ready"),
        ((DEFINED, STARTED, EXECUTED), "submitted"),
        ((DEFINED, STARTED, EXECUTED, WorkVerified(), WorkCompleted()), "completed"),
        ((DEFINED, STARTED, EXECUTED, WorkVerified(), WorkCompleted(), WorkReopened()), "ready"),
        ((DEFINED, WorkCancelled()), "cancelled"),
        ((NoteAdded(text="x"),), "discovered"),
        ((STARTED,), "in_progress"),
        ((NoteAdded(text="x"), DEFINED), "defined"),
        ((STARTED, DEFINED), "in_progress"),
    ],
)
def test_an_item_stands_where_its_events_lead(payloads: tuple[Any, ...], state: str) -> None:
    assert after(*payloads).state == state


def test_waiting_work_says_on_whom_and_what_was_asked() -> None:
    item = after(DEFINED, STARTED, asked("q-1", "dora"), asked("q-2", "bob"), given("q-2"))
    assert (item.waiting_on, [q.request_id for q in item.questions]) == ("dora", ["q-1"])
    assert after(DEFINED, STARTED, asked("q-1"), given("q-1")).waiting_on is None
    assert after(DEFINED, STARTED, asked("q-1"), WorkSubmitted()).waiting_on is None


def test_whoever_works_on_it_and_how_often_that_changed() -> None:
    item = after(DEFINED, WorkAssigned(executor="cy"), STARTED,
                 HandoverAccepted(handover_id="h-1", from_="cy", to="dora"),
                 ClaimReleased(claim_id="c-1", candidates=("team",)),
                 ExecutionStarted(execution_id="x-2", executor="dora"))  # fmt: skip
    assert (item.executor, item.executor_changes, item.candidates) == ("dora", 1, ("team",))
    assert after(DEFINED, STARTED, ClaimReleased(claim_id="c-1")).executor is None
    # What is under way stays with whom it began with, whoever says to have begun it.
    assert after(DEFINED, STARTED, ExecutionStarted(execution_id="x-1", executor="dora")).executor == "cy"


def test_what_the_work_is_follows_its_clarifications_and_only_those_that_fit() -> None:
    item = after(DEFINED, WorkClarified(changes={"title": Change(old="Refund", new="Refund twice"),
                                                 "due_at": Change(new="2026-02-01T00:00:00Z"),
                                                 "priority": Change(new="whatever"),
                                                 "candidates": Change(new=["bob", "dora"])}))  # fmt: skip
    assert (item.title, item.priority, item.candidates) == ("Refund twice", "normal", ("bob", "dora"))
    assert item.due_at is not None and item.due_at.month == 2
    item = after(DEFINED, WorkReprioritized(new="critical"), DeadlineSet(new=day(3)))
    assert (item.priority, item.due_at) == ("critical", day(3))
    assert after(DEFINED, DeadlineSet(kind="start", new=day(3))).due_at == day(10)


def test_a_second_definition_changes_nothing() -> None:
    item = after(DEFINED, WorkDefined(title="Other", accountable="bob"))
    assert (item.title, item.named) == ("Refund", "ana")


def test_the_times_are_those_at_which_it_happened_and_reopening_forgets_the_end() -> None:
    story = Story()
    for number, payload in enumerate((DEFINED, STARTED, EXECUTED, WorkVerified(), WorkCompleted()), 1):
        story.tell("work/W-1", payload, at=day(number), recorded=day(20))
    item = story.folded().ask("work", work="W-1").item
    assert (item.defined_at, item.submitted_at, item.completed_at, item.ended_at) == (day(1), day(3), day(5), day(5))
    story.tell("work/W-1", WorkReopened(), at=day(6), recorded=day(20))
    item = story.folded().ask("work", work="W-1").item
    assert (item.submitted_at, item.completed_at, item.ended_at, item.reopened, item.cycle) == (None, None, None, 1, 2)


def test_what_can_be_done_is_what_the_state_machine_has_a_way_for() -> None:
    assert "execution.start" in after(DEFINED).actions
    assert "work.complete" not in after(DEFINED).actions
    assert "execution.provide_input" in after(DEFINED, STARTED, asked("q-1")).actions
    assert {"escalation.acknowledge", "escalation.resolve"} < set(after(DEFINED, STARTED, escalated()).actions)
    assert "work.define" in after(NoteAdded(text="x")).actions
    ended = after(DEFINED, WorkCancelled()).actions
    # Accountability never ends.
    assert ended == ("accountability.offer", "accountability.transfer", "context.share", "note.add")


@pytest.mark.parametrize("state", [state for state in get_args(State) if state])
def test_every_action_is_a_command_that_the_state_machine_allows_in_that_state(state: State) -> None:
    pauses: tuple[State, ...] = (state,) if state in ("suspended", "blocked") else ()
    life = Lifecycle(state, 1, back="in_progress" if pauses else "", pauses=pauses)
    row = board.Row("W-1", state, 1, 1, 1, day(0), day(0), day(0), kept=board.Kept(life=life),
                    open_escalations=1, open_inputs=1)  # fmt: skip
    assert set(board.actions(row)) <= set(COMMAND_BY_VERB)
    for verb, payload in board._LEADING.items():
        assert (verb in board.actions(row)) == (state in follows(payload)), verb


@pytest.fixture
def board_of_many() -> Story:
    story = Story()
    story.people("ana", "bob")
    story.custodian("ana")
    for n in range(12):
        pinned = Pinned(id="refunds", version=1) if n % 2 else None
        story.tell(f"work/W-{n:02}", WorkDefined(
            title="x", accountable="bob" if n % 3 else "ana", process=pinned, due_at=day(n),
            priority="high" if n == 5 else "normal"))  # fmt: skip
        if n % 4 == 0:
            story.tell(f"work/W-{n:02}", STARTED)
        if n % 6 == 0:
            story.tell(f"work/W-{n:02}", EXECUTED)
    return story


def test_lists_are_narrowed_counted_and_paged(board_of_many: Story) -> None:
    told = board_of_many.folded()

    def works(**parameters: Any) -> list[str]:
        found, after, count = list[str](), "", None
        while after is not None:
            page = told.ask("board", **parameters, after=after, limit=2)
            found += [item.work for item in page.items]
            after, count = page.next, page.count if count is None else count
        assert count == len(found)
        return found

    assert works() == [f"W-{n:02}" for n in range(12)]
    assert works(state="in_progress") == ["W-04", "W-08"]
    assert works(process="refunds") == [f"W-{n:02}" for n in range(1, 12, 2)]
    assert works(accountable="ana") == ["W-00", "W-03", "W-06", "W-09"]
    assert works(executor="cy", open=True) == ["W-04", "W-08"]
    assert works(priority="high") == ["W-05"]
    assert works(open=False) == ["W-00", "W-06"]


def test_overdue_at_an_instant_is_what_was_due_by_then_and_is_not_done(board_of_many: Story) -> None:
    told = board_of_many.folded()
    overdue = [item.work for item in told.ask("board", overdue_at=day(6).isoformat()).items]
    done = {"W-00", "W-06"}
    assert overdue == [f"W-{n:02}" for n in range(12) if n <= 6 and f"W-{n:02}" not in done]


def test_counts_of_now_are_those_of_then_when_then_is_now(board_of_many: Story) -> None:
    board_of_many.tell("work/W-01", STARTED)
    board_of_many.tell("work/W-01", asked("q-1", "user"))
    told = board_of_many.folded()
    now = told.ask("board_counts")
    assert (now.items, now.open, now.finished) == (12, 10, 2)
    assert now.by_state == {"defined": 8 - 1, "in_progress": 2, "waiting_input": 1, "submitted": 2} and (
        now.waiting_on == {"user": 1}
    )
    assert told.ask("board_counts", position=10_000) == now
    assert told.ask("board_counts", at=day(1_000)) == now


def test_the_board_at_a_time_takes_events_in_the_order_in_which_they_happened() -> None:
    story = Story()
    story.tell("work/W-1", STARTED, at=day(2), recorded=day(2))
    story.tell("work/W-1", WorkSubmitted(), at=day(5), recorded=day(5))
    story.tell("work/W-1", asked("q-1", "user"), at=day(3), recorded=day(6))
    story.tell("work/W-2", STARTED, at=day(4), recorded=day(6))
    told = story.folded()

    def states(**asof: Any) -> dict[str, str]:
        return {item.work: item.state for item in told.ask("board_then", **asof).items}

    assert states(at=day(1)) == {}
    assert states(at=day(2)) == {"W-1": "in_progress"}
    assert states(at=day(3.5)) == {"W-1": "waiting_input"}
    assert states(at=day(4.5)) == {"W-1": "waiting_input", "W-2": "in_progress"}
    assert states(at=day(9)) == {"W-1": "submitted", "W-2": "in_progress"}
    assert states(at=day(9), known_at=day(5.5)) == {"W-1": "submitted"}
    assert states(at=day(3.5), known_at=day(5.5)) == {"W-1": "in_progress"}
    assert states(position=1) == {"W-1": "in_progress"}
    assert states() == {"W-1": "waiting_input", "W-2": "in_progress"}, "on the log the last word counts"
    assert told.ask("board_counts", at=day(3.5)).waiting_on == {"user": 1}
    assert [i.work for i in told.ask("board_then", at=day(4.5), state="waiting_input").items] == ["W-1"]


def test_the_board_of_then_is_paged() -> None:
    story = Story()
    for n in range(1_100):
        story.log.append(_recorded(n, story))
    told = story.folded()
    found, after, pages = list[str](), "", 0
    while after is not None:
        page = told.ask("board_then", at=day(1_000), after=after, limit=300)
        found += [item.work for item in page.items]
        after, pages = page.next, pages + 1
    assert (len(found), len(set(found)), pages) == (1_100, 1_100, 4)
    assert told.ask("board_counts", at=day(1_000)).by_state == {"discovered": 1_100}
    assert told.ask("board", limit=1).count == COUNTED_MAX == 1_000, "a page does not cost what all items do"


def _recorded(n: int, story: Story) -> Any:
    told = Story()
    told.tell(f"work/W-{n:04}", NoteAdded(text="x"), id=f"n-{n}")
    return msgspec.structs.replace(told.log[0], position=n + 1)


def test_numbers_count_gaps_durations_and_reopenings() -> None:
    story = Story()
    for work, days in {"W-1": (0, 8, 9), "W-2": (0, 1), "W-3": (0, 7), "W-4": (30, 1)}.items():
        for number in days:
            story.tell(f"work/{work}", NoteAdded(text="x"), at=day(number), recorded=day(40))
    story.tell("work/W-2", WorkReopened(), at=day(2), recorded=day(40))
    found = story.folded().ask("stats")
    assert (found.items, found.open, found.events, found.reopened_items) == (4, 4, 10, 1)
    assert (found.gaps, found.longest_gap_work) == (2, "W-4"), "seven days are not over seven days"
    assert timedelta(seconds=found.longest_gap_s) == timedelta(days=29)
    assert timedelta(seconds=found.duration_median_s) == timedelta(days=8)
    assert timedelta(seconds=found.duration_p95_s) == timedelta(days=29)


def test_a_reopening_is_direct_when_nothing_happened_since_the_end_but_what_follows_from_it() -> None:
    story = Story()
    story.tell("work/W-1", WorkSubmitted(), id="1")
    story.tell("work/W-1", EscalationResolved(escalation_id="esc-1", outcome="returned"), id="1.1")
    story.tell("work/W-1", WorkReopened(), id="2.1")
    story.tell("work/W-2", WorkSubmitted(), id="4")
    story.tell("work/W-2", NoteAdded(text="between"), id="5")
    story.tell("work/W-2", WorkReopened(), id="6.1")
    found = story.folded().ask("stats")
    assert (found.reopened_items, found.reopened_directly_items) == (2, 1)


def test_handovers_count_people_names_and_units_and_returns() -> None:
    story = Story()
    for id, name, unit in (("a1", "Ann", "A"), ("a2", "Ann", "B"), ("b1", "Bo", "A"), ("c1", "Cy", "C")):
        story.tell(f"participant/{id}", ParticipantRegistered(
            participant_id=id, kind="human", display_name=name, org_unit=unit))  # fmt: skip
    for n, id in enumerate(("a1", "a1", "a2", "b1", "c1", "a2")):
        story.tell("work/W-1", ExecutionStarted(execution_id=f"x-{n}", executor=id), by="src", system=True,
                   id=f"W-1-{n}")  # fmt: skip
        story.tell("work/W-1", NoteAdded(text="x"), by="src", system=True, id=f"W-1-{n}.1")
    told = story.folded()
    found = told.ask("handovers")
    assert (found.participant_changes, found.name_changes, found.unit_changes, found.unit_returns) == (4, 3, 4, 2)
    assert (found.top[0].work, found.top[0].events, found.top[0].happenings) == ("W-1", 12, 6)
    counted = told.ask("log_stats")
    assert (counted.events, counted.happenings, counted.happenings_of_work, counted.items) == (16, 10, 6, 1)
    assert counted.by_type["attorn.execution.started.v1"] == 6
    assert "attorn.note.added.v1" not in counted.happenings_by_type


def test_participants_processes_and_policies_say_what_they_hold(board_of_many: Story) -> None:
    told = board_of_many.folded()
    ana, bob = told.ask("participants").participants
    assert (ana.answers_for, bob.answers_for, ana.roles) == (4, 8, ("custodian",))
    assert told.ask("participants", limit=1).next == "ana"
    assert told.ask("processes").processes == () and told.ask("policies").policies == ()


def test_rows_do_not_depend_on_how_the_log_came_in_pages(board_of_many: Story) -> None:
    board_of_many.tell("work/W-01", AccountabilityTransferred(to="ana"))
    for view in ("board", "timeline"):
        assert len({board_of_many.folded(page).store.digest(view) for page in (1, 3, 100)}) == 1


def test_the_state_of_a_new_row_is_that_of_the_state_machine() -> None:
    assert board.Row("W-1", "", 0, 1, 1, day(0), day(0), day(0)).kept.life == Lifecycle()


def test_the_pages_of_a_board_together_are_the_board_whatever_it_is_narrowed_to(board_of_many: Story) -> None:
    told = board_of_many.folded()
    for asked in ({}, {"open": True}, {"open": False}, {"state": "defined"}, {"open": True, "named": "ana"}):
        whole = told.ask("board", **asked)
        found, after = list[str](), ""
        while after is not None:
            page = told.ask("board", after=after, limit=2, **asked)
            # Only who begins is told how many there are.
            assert len(page.items) <= 2 and page.count == (None if after else whole.count)
            found += [item.work for item in page.items]
            after = page.next
        assert found == [item.work for item in whole.items] and len(found) == whole.count, asked


def test_a_board_that_no_index_leads_to_is_answered_beside_the_fold() -> None:
    assert AskBoard(accountable="ana").is_long and AskBoard(overdue_at=day(1)).is_long
    assert not AskBoard(open=True, process="refunds").is_long and not AskBoard().is_long
