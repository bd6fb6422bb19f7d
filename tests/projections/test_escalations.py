"""The open escalations, each with its rung, who was told and who has it, and the position from which to follow on."""

from datetime import timedelta
from typing import Any, Final

import pytest

from attorn.contracts.decision import Option
from attorn.contracts.escalation import (
    EscalationAcknowledged,
    EscalationAdvanced,
    EscalationAnswered,
    EscalationCancelled,
    EscalationContext,
    EscalationExhausted,
    EscalationNotified,
    EscalationReassigned,
    EscalationReopened,
    EscalationResolved,
    EscalationUnacknowledged,
    Rung,
    WorkEscalated,
)
from attorn.contracts.ids import Pinned, Severity
from attorn.contracts.work import WorkDefined
from sample_story import Story, day

QUARTER: Final = timedelta(minutes=15)


def raised(id: str = "esc-1", severity: Severity = "high") -> WorkEscalated:
    return WorkEscalated(
        escalation_id=id,
        reason="decision_needed",
        raised_by="bot",
        severity=severity,
        blocking=True,
        context=EscalationContext(
            summary="Two accounts match", question="Which?", options=(Option(id="a", label="A"),)
        ),
        ladder=(Rung(rung=1, targets=("ana",), ack_within=QUARTER),),
    )


def after(*payloads: Any) -> Any:
    """The escalation after these events, open or not."""
    story = Story()
    for payload in (raised(), *payloads):
        story.tell("work/W-1", payload, by="ana")
    [found] = story.folded().ask("escalations", open=None).escalations
    return found


def test_an_escalation_is_open_from_when_it_is_raised_with_all_that_it_takes_to_decide() -> None:
    found = after()
    assert (found.status, found.rung, found.blocking, found.raised_by) == ("open", 0, True, "bot")
    assert (found.summary, found.question, found.ladder[0].targets) == ("Two accounts match", "Which?", ("ana",))


def test_it_goes_up_the_ladder_until_somebody_takes_it_up() -> None:
    told = EscalationNotified(escalation_id="esc-1", rung=1, persons=("ana", "bob"), next_rung_at=day(1))
    taken = EscalationAcknowledged(escalation_id="esc-1", by="ana", ack_until=day(2))
    assert (after(told).told, after(told).next_rung_at) == (("ana", "bob"), day(1))
    found = after(told, taken)
    assert (found.status, found.acknowledged_by, found.ack_until, found.next_rung_at) == (
        "acknowledged",
        "ana",
        day(2),
        day(2),
    )
    found = after(told, taken, EscalationUnacknowledged(escalation_id="esc-1"))
    assert (found.status, found.acknowledged_by, found.rung) == ("open", None, 1)
    found = after(told, EscalationAdvanced(escalation_id="esc-1", from_=1, to=2))
    assert (found.status, found.rung, found.next_rung_at) == ("open", 2, day(found.last_position / 24) + QUARTER)
    assert after(told, EscalationReassigned(escalation_id="esc-1", to="cy")).told == ("cy",)
    assert (after(told, EscalationExhausted(escalation_id="esc-1", round=2)).status) == "exhausted"


@pytest.mark.parametrize(
    "happens",
    [
        EscalationAcknowledged(escalation_id="esc-1", by="ana"),
        EscalationAnswered(escalation_id="esc-1", decision="Take A", by="ana"),
        EscalationExhausted(escalation_id="esc-1"),
        EscalationReassigned(escalation_id="esc-1", to="cy"),
    ],
    ids=lambda event: event.type,
)
def test_while_it_is_open_it_goes_on_by_itself_and_then_no_more(happens: Any) -> None:
    assert after().next_rung_at == after().raised_time + QUARTER
    found = after(happens)
    assert found.next_rung_at == day(found.last_position / 24) + QUARTER
    resolved = EscalationResolved(escalation_id="esc-1", outcome="returned", by="ana")
    assert after(happens, resolved).next_rung_at is None
    found = after(happens, resolved, EscalationReopened(escalation_id="esc-1"))
    assert found.next_rung_at == day(found.last_position / 24) + QUARTER


def test_only_resolved_and_cancelled_end_it_and_reopening_undoes_that() -> None:
    answered = EscalationAnswered(escalation_id="esc-1", decision="Take A", by="ana")
    resolved = EscalationResolved(escalation_id="esc-1", outcome="returned", by="ana")
    assert (after(answered).status, after(answered).answered_by, after(answered).decision) == (
        "answered",
        "ana",
        "Take A",
    )
    found = after(answered, resolved)
    assert (found.status, found.resolved_by, found.outcome) == ("resolved", "ana", "returned")
    assert after(EscalationCancelled(escalation_id="esc-1")).resolved_by == "ana", "by who was authenticated"
    found = after(resolved, EscalationReopened(escalation_id="esc-1"))
    assert (found.status, found.outcome, found.resolved_by) == ("open", None, None)


def test_the_same_id_in_two_works_is_two_escalations() -> None:
    story = Story()
    story.tell("work/W-1", raised())
    story.tell("work/W-2", raised())
    story.tell("work/W-1", EscalationResolved(escalation_id="esc-1", outcome="returned"))
    [found] = story.folded().ask("escalations").escalations
    assert found.work == "W-2"


def test_what_happens_to_one_that_nobody_raised_makes_no_row() -> None:
    story = Story()
    story.tell("work/W-1", EscalationResolved(escalation_id="esc-1", outcome="returned"))
    assert story.folded().ask("escalations", open=None).escalations == ()


def test_the_open_set_comes_with_its_position_narrowed_and_in_pages() -> None:
    story = Story()
    for n in range(6):
        story.tell(f"work/W-{n}", WorkDefined(
            title="x", accountable="ana", process=Pinned(id="refunds" if n % 2 else "claims", version=1)))  # fmt: skip
        story.tell(f"work/W-{n}", raised(f"esc-{n}", "critical" if n % 3 == 0 else "low"))
    last = story.tell("work/W-5", EscalationCancelled(escalation_id="esc-5"))
    told = story.folded()

    def works(**parameters: Any) -> list[str]:
        found, after = list[str](), 0
        while after is not None:
            page = told.ask("escalations", **parameters, after=after, limit=2)
            assert page.position == last
            found += [e.work for e in page.escalations]
            after = page.next
        return found

    assert works() == ["W-0", "W-1", "W-2", "W-3", "W-4"]
    assert works(severity="critical") == ["W-0", "W-3"]
    assert works(process="refunds") == ["W-1", "W-3"]
    assert works(open=False) == ["W-5"]
    assert works(work="W-4") == ["W-4"]
    assert told.ask("work", work="W-1").escalations[0].process == "refunds"
    assert len({story.folded(page).store.digest("escalations") for page in (1, 4, 100)}) == 1
