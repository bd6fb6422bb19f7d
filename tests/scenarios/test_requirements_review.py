"""Rows of the requirements about reviews and escalations, against the services process on a real nats-server."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import pytest
import pytest_asyncio

from attorn.contracts.decision import DecisionMade, DecisionRequested
from attorn.contracts.escalation import EscalationAnswered, EscalationNotified, EscalationResolved, WorkEscalated
from attorn.contracts.execution import WorkExecuted
from attorn.contracts.output import OutputReleased
from attorn.contracts.refusal import Problem, Receipt
from attorn.contracts.review import (
    ReviewClaimed,
    ReviewInvalidated,
    ReviewRequested,
    ReviewSkipped,
    WorkReviewed,
    draw,
)
from attorn.projections.directory import Directory
from attorn.projections.findings import Finding, Findings
from attorn.services.rulebook import RULES
from attorn.services.supervise.server import embedded
from attorn_services import Services, serving

DIG: Final = "sha256:" + "a" * 64
NEW: Final = "sha256:" + "b" * 64


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attorn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """Four people, an agent, and two processes: all of `refunds` is reviewed, of `letters` nothing is drawn."""
    async with embedded(tmp_path_factory.mktemp("nats"), ephemeral=True) as broker, serving(broker) as services:
        await services.people("ana", "ben", "carla", "dana")
        bot = {"participant_id": "bot", "kind": "agent", "display_name": "Bot", "sponsor": "ana"}
        await services.done("root", "participant.register", bot)
        ladder = [{"rung": n, "targets": [who], "ack_within": "PT1H"} for n, who in enumerate(("ben", "carla"), 1)]
        for id, kind, rules in (
            ("four-eyes", "review", {"review": {"reviewers_required": 2, "candidates": ["ben", "carla"]}}),
            ("sample", "review", {"review": {"sample_rate": 0.0}}),
            ("help", "escalation", {"escalation": {"ladder": ladder}}),
        ):
            await services.done("root", "policy.publish", {"policy_id": id, "kind": kind, "rules": rules})
        yield services


async def state(attorn: Services, work: str) -> Any:
    found = RULES["work"].initial
    for recorded in await attorn.ledger.read(f"work/{work}"):
        found = RULES["work"].evolve(found, recorded.event)
    return found


async def said(attorn: Services, work: str) -> list[Any]:
    """What stands on the stream of a work item, from the first event to the last."""
    return [recorded.event.data for recorded in await attorn.ledger.read(f"work/{work}")]


async def refused(attorn: Services, who: str, verb: str, body: dict[str, Any], *rules: str) -> None:
    last = await attorn.ledger.last()
    answer = await attorn.command(who, verb, body)
    assert isinstance(answer, Problem), f"{verb} by {who} was carried out: {answer}"
    assert {breach.rule for breach in answer.rules} == set(rules), answer
    assert await attorn.ledger.last() == last


async def handed_in(attorn: Services, work: str, policy: str, execution: str = "E-1", dig: str = DIG) -> None:
    """bot hands in O-1 with these bytes; the work is there afterwards, and it is entrusted to bot."""
    w = {"work_id": work}
    if not await attorn.ledger.read(f"work/{work}"):
        defined = {"title": "Refund", "accountable": "ana", "review_policy": policy, "escalation_policy": "help"}
        await attorn.done("ana", "work.define", w | defined)
        await attorn.done("ana", "work.delegate", w | {"delegate": "bot", "autonomy": "act"})
    await attorn.done("bot", "execution.start", w | {"execution_id": execution})
    output = {"output_id": "O-1", "dig": dig}
    done = {"execution_id": execution, "result": "completed", "outputs": [output]}
    await attorn.done("bot", "work.execute", w | done)


def verdict(work: str, review: str, dig: str = DIG, verdict: str = "approved", **more: Any) -> dict[str, Any]:
    return {"work_id": work, "review_id": review, "output_id": "O-1", "output_dig": dig, "verdict": verdict} | more


@pytest.mark.requirement("002-06d")
async def test_people_validate_what_an_agent_made_and_only_then_does_it_go_out(attorn: Services) -> None:
    await handed_in(attorn, "V-1", "four-eyes")
    release = {"work_id": "V-1", "output_id": "O-1", "to": "customer"}
    await refused(attorn, "bot", "output.release", release, "control-bypassed")
    await attorn.done("ben", "review.claim", {"work_id": "V-1", "review_id": "E-1-R1"})
    await refused(attorn, "bot", "work.review", verdict("V-1", "E-1-R1"), "self-review", "reviewer-excluded",
                  "reviewer-human")  # fmt: skip
    await refused(attorn, "dana", "work.review", verdict("V-1", "E-1-R1"), "reviewer-excluded")
    passed = [{"id": "amount", "result": "passed"}]
    await attorn.done("ben", "work.review", verdict("V-1", "E-1-R1", items=passed, seconds_spent=90))
    # Two persons have to approve, and each counts once.
    await refused(attorn, "bot", "output.release", release, "control-bypassed")
    await refused(attorn, "ben", "work.review", verdict("V-1", "E-1-R1", comment="again"), "review-open")
    await attorn.done("carla", "work.review", verdict("V-1", "E-1-R1"))
    told = {"specversion": "1.0", "id": "v-1", "source": "/checker", "type": "attorn.output.validated.v1",
            "subject": "work/V-1", "time": "2026-11-21T12:00:00Z",
            "data": {"output_id": "O-1", "criterion_id": "amount", "result": "passed", "output_dig": DIG}}  # fmt: skip
    assert isinstance(await attorn.fact("checker", told), Receipt)
    await attorn.done("bot", "output.release", release)
    found = await said(attorn, "V-1")
    assert [type(each) for each in found if isinstance(each, ReviewClaimed | WorkReviewed | OutputReleased)] == [
        ReviewClaimed, WorkReviewed, WorkReviewed, OutputReleased
    ]  # fmt: skip
    assert all(each.output_dig == DIG for each in found if isinstance(each, WorkReviewed))


async def test_changing_an_output_after_its_approval_invalidates_that_in_the_same_append(attorn: Services) -> None:
    await handed_in(attorn, "V-2", "four-eyes")
    for reviewer in ("ben", "carla"):
        await attorn.done(reviewer, "work.review", verdict("V-2", "E-1-R1"))
    await attorn.done("ana", "work.reopen", {"work_id": "V-2", "reason": "the amount"})
    await handed_in(attorn, "V-2", "four-eyes", "E-2", NEW)
    executed, invalidated, requested = (await attorn.ledger.read("work/V-2"))[-3:]
    assert isinstance(executed.event.data, WorkExecuted)
    assert isinstance(requested.event.data, ReviewRequested)
    told = ReviewInvalidated(review_id="E-1-R1", output_id="O-1", output_dig=DIG, cause=NEW)
    assert invalidated.event.data == told
    assert invalidated.event.causationid == executed.event.id
    await refused(attorn, "ana", "output.release", {"work_id": "V-2", "output_id": "O-1"}, "control-bypassed")


async def test_what_a_sample_spares_can_be_proved_by_anybody_from_the_log(attorn: Services) -> None:
    await handed_in(attorn, "V-3", "sample")
    [skipped] = [each for each in await said(attorn, "V-3") if isinstance(each, ReviewSkipped)]
    assert skipped.sampling.drawn == draw(skipped.sampling.seed or "", DIG) >= skipped.sampling.rate
    await attorn.done("ana", "output.release", {"work_id": "V-3", "output_id": "O-1"})


def raised(work: str, id: str, **more: Any) -> dict[str, Any]:
    context = {"summary": "The bank refuses", "question": "Pay by cheque?"}
    return {"work_id": work, "escalation_id": id, "reason": "exception", "context": context} | more


async def working(attorn: Services, work: str) -> None:
    w = {"work_id": work}
    await attorn.done("ana", "work.define", w | {"title": "R", "accountable": "ana", "escalation_policy": "help"})
    await attorn.done("ana", "work.delegate", w | {"delegate": "bot", "autonomy": "act"})
    await attorn.done("bot", "execution.start", w | {"execution_id": "E-1"})


@pytest.mark.requirement("002-05c")
async def test_an_exception_is_closed_with_an_outcome_by_somebody_who_may(attorn: Services) -> None:
    await working(attorn, "X-1")
    await attorn.done("bot", "work.escalate", raised("X-1", "X", blocking=True))
    assert (await state(attorn, "X-1")).life.state == "waiting_input"
    x = {"work_id": "X-1", "escalation_id": "X"}
    without = await attorn.command("ben", "escalation.resolve", x)
    assert isinstance(without, Problem) and (without.status, without.field) == (400, "outcome")
    await refused(attorn, "bot", "escalation.resolve", x | {"outcome": "returned"}, "ladder-human")
    await refused(attorn, "bot", "escalation.cancel", x, "ladder-human")
    await refused(attorn, "dana", "escalation.resolve", x | {"outcome": "returned"}, "escalation-asked")
    # Reported from elsewhere without who settled it, it is on the log, and a finding.
    await working(attorn, "X-2")
    await attorn.done("bot", "work.escalate", raised("X-2", "X"))
    fact = {"specversion": "1.0", "id": "x-2", "source": "/desk", "type": "attorn.escalation.resolved.v1",
            "subject": "work/X-2", "time": "2026-11-21T12:00:00Z",
            "data": {"escalation_id": "X", "outcome": "returned"}}  # fmt: skip
    answer = await attorn.fact("desk", fact)
    assert isinstance(answer, Receipt) and [breach.rule for breach in answer.warnings] == ["resolver-missing"]

    await attorn.done("ben", "escalation.resolve", x | {"outcome": "returned", "note": "by cheque"})
    last = (await said(attorn, "X-1"))[-1]
    assert last == EscalationResolved(escalation_id="X", outcome="returned", by="ben", note="by cheque")
    assert (await state(attorn, "X-1")).life.state == "in_progress"


@pytest.mark.requirement("002-05d")
async def test_a_decision_lands_back_in_the_work_and_names_its_cause(attorn: Services) -> None:
    await working(attorn, "X-3")
    options = [{"id": "pay", "label": "Pay"}, {"id": "wait", "label": "Wait"}]
    context = {"summary": "Paid twice", "question": "Now?", "options": options}
    asked = {"reason": "decision_needed", "blocking": True, "context": context}
    await attorn.done("bot", "work.escalate", raised("X-3", "X") | asked)
    x = {"work_id": "X-3", "escalation_id": "X"}
    await refused(attorn, "ben", "escalation.answer", x | {"option_id": "sue"}, "escalation-option", "decision-open")
    await attorn.done("ben", "escalation.answer", x | {"option_id": "pay", "instructions": "Write to them"})
    events = [recorded.event for recorded in await attorn.ledger.read("work/X-3")][-5:]
    assert [type(event.data) for event in events] == [
        WorkEscalated, DecisionRequested, EscalationNotified, EscalationAnswered, DecisionMade
    ]  # fmt: skip
    answered, decided = events[-2:]
    assert (decided.data.decision_id, decided.data.chosen, decided.data.decider) == ("X", "pay", "ben")
    assert (decided.causationid, decided.correlationid) == (answered.id, "X-3")
    await attorn.done("ben", "escalation.resolve", x | {"outcome": "returned"})
    assert (await state(attorn, "X-3")).life.state == "in_progress"


async def test_who_asks_for_help_says_what_happened_and_what_has_to_be_decided(attorn: Services) -> None:
    await working(attorn, "X-4")
    for context in ({"summary": "Stuck"}, {"summary": " ", "question": "What now?"}):
        await refused(attorn, "bot", "work.escalate", raised("X-4", "X", context=context), "context-missing")


@pytest.mark.requirement("002-02")
async def test_more_reviews_than_a_reviewer_has_room_for_are_a_finding_and_refuse_nobody(attorn: Services) -> None:
    finn = {"participant_id": "finn", "kind": "human", "display_name": "Finn", "capacity": {"wip": 2}}
    await attorn.done("root", "participant.register", finn)
    rules = {"review": {"candidates": ["finn"]}}
    await attorn.done("root", "policy.publish", {"policy_id": "by-finn", "kind": "review", "rules": rules})
    for number in range(1, 4):
        await handed_in(attorn, f"L-{number}", "by-finn")
    found = {(stream, each.rule) for stream, each in await findings(attorn)}
    assert ("work/L-3", "reviewer-overload") in found
    assert not {("work/L-1", "reviewer-overload"), ("work/L-2", "reviewer-overload")} & found
    await attorn.done("finn", "work.review", verdict("L-1", "E-1-R1"))
    await handed_in(attorn, "L-4", "by-finn")
    assert ("work/L-4", "reviewer-overload") in {(stream, each.rule) for stream, each in await findings(attorn)}
    for number in (2, 3, 4):
        await attorn.done("finn", "work.review", verdict(f"L-{number}", "E-1-R1"))
    await handed_in(attorn, "L-5", "by-finn")
    assert ("work/L-5", "reviewer-overload") not in {(stream, each.rule) for stream, each in await findings(attorn)}


async def findings(attorn: Services) -> list[tuple[str, Finding]]:
    """What the view of findings says of the whole log, each with its stream."""
    directory, rows = Directory(), dict[str, Any]()
    view = Findings(RULES, directory)
    async with aclosing(attorn.ledger.follow()) as pages:
        async for page in pages:
            for recorded in page.recorded:
                for key in view.keys(recorded):
                    rows[key] = view.apply(rows.get(key), recorded, key)
                directory.evolve(recorded)
            if not page.pending:
                break
    return [(key, finding) for key, row in rows.items() for finding in row.findings]
