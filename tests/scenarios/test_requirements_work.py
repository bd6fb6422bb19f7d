"""Rows of the requirements about work itself, its dependencies, handovers and claims, on a real nats-server."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from attorn.contracts import codec, subjects
from attorn.contracts.claim import ClaimAcquired
from attorn.contracts.dependency import WorkUnblocked
from attorn.contracts.envelope import Recorded
from attorn.contracts.handover import HandoverAccepted, HandoverOffered
from attorn.contracts.refusal import Problem, Receipt
from attorn.contracts.work import (
    WorkAssigned,
    WorkCompleted,
    WorkDefined,
    WorkReprioritized,
    WorkSubmitted,
    WorkVerified,
)
from attorn.projections.context import known, known_at_start
from attorn.projections.directory import Directory, fold
from attorn.services.imports import tau
from attorn.services.rulebook import RULES
from attorn.services.supervise.server import embedded
from attorn_services import Services, serving, until

RUNS: Final = Path(__file__).parents[3] / "shared" / "data" / "tau_bench_gpt4o_airline.json.gz"
DIG: Final = "sha256:" + "a" * 64
KINDS: Final = ("human", "agent", "system", "team", "department")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attorn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """One attorn for the file, with two of each kind of participant; each test has work items of its own."""
    async with embedded(tmp_path_factory.mktemp("nats"), ephemeral=True) as broker, serving(broker) as services:
        await services.people("ana", "ben", "carla")
        for number in (1, 2):
            for kind in ("agent", "system"):
                body = {"participant_id": f"{kind}-{number}", "kind": kind, "display_name": kind, "sponsor": "ana"}
                await services.done("root", "participant.register", body)
            await services.people(f"human-{number}", f"member-{number}")
            for team in (f"team-{number}", f"department-{number}"):
                body = {"participant_id": team, "kind": "team", "display_name": team, "org_unit": team}
                await services.done("root", "participant.register", body)
                await services.done("root", "team.add", {"team_id": team, "member": f"member-{number}"})
        yield services


async def refused(attorn: Services, who: str, verb: str, body: dict[str, Any], *rules: str) -> Problem:
    """The problem that answers a command; nothing was recorded."""
    last = await attorn.ledger.last()
    answer = await attorn.command(who, verb, body)
    assert isinstance(answer, Problem), f"{verb} by {who} was carried out: {answer}"
    assert {breach.rule for breach in answer.rules} >= set(rules), answer
    assert await attorn.ledger.last() == last
    return answer


async def define(attorn: Services, work: str, **said: Any) -> dict[str, str]:
    await attorn.done("ana", "work.define", {"work_id": work, "title": "Refund", "accountable": "ana", **said})
    return {"work_id": work}


async def finish(attorn: Services, work: str) -> None:
    for verb in ("execution.start", "work.submit", "work.verify", "work.complete"):
        await attorn.done("ana", verb, {"work_id": work})


async def payloads(attorn: Services, stream: str, type: type) -> list[Any]:
    return [each.event.data for each in await attorn.ledger.read(stream) if isinstance(each.event.data, type)]


async def state(attorn: Services, work: str) -> Any:
    found = RULES["work"].initial
    for recorded in await attorn.ledger.read(f"work/{work}"):
        found = RULES["work"].evolve(found, recorded.event)
    return found


async def people(attorn: Services) -> Directory:
    found: list[Recorded] = []
    async for page in attorn.ledger.follow():
        found += page.recorded
        if not page.pending:
            break
    return fold(found)


@pytest.mark.requirement("001-06a")
@pytest.mark.requirement("002-03a")
async def test_what_is_not_ready_is_neither_delegated_nor_started_and_the_reasons_are_listed(attorn: Services) -> None:
    demands = {"definition_of_ready": ["why", "what", "when"], "process_id": "refunds", "owner": "ana"}
    await attorn.done("ana", "process.publish", demands)
    w = await define(attorn, "R-1", process="refunds")
    for verb, said in (("work.delegate", {"delegate": "agent-1"}), ("execution.start", {})):
        problem = await refused(attorn, "ana", verb, w | said, "not-ready")
        for reason in ("why", "what", "when"):
            assert f"'{reason}' is not answered" in problem.detail
    problem = await refused(attorn, "ana", "work.ready", w | {"what": "120 EUR", "when": "by Friday"}, "not-ready")
    assert [breach.rule for breach in problem.rules] == ["not-ready"] and "'why'" in problem.detail

    await attorn.done("ana", "work.clarify", w | {"changes": {"purpose": {"why": "The customer waits"}}})
    await attorn.done("ana", "work.ready", w | {"what": "120 EUR", "when": "by Friday"})
    await attorn.done("ana", "work.delegate", w | {"delegate": "agent-1"})
    await attorn.done("agent-1", "execution.start", w)


@pytest.mark.requirement("001-06b")
@pytest.mark.requirement("002-05b")
async def test_the_last_predecessor_unblocks_once_also_after_restarts_and_a_cycle_is_refused(
    attorn: Services,
) -> None:
    for work in ("D-2", "D-3"):
        await define(attorn, work)
    await define(attorn, "D-1", depends_on=["D-2", "D-3"])
    await refused(attorn, "ana", "execution.start", {"work_id": "D-1"}, "dependency-open")
    await refused(attorn, "ana", "dependency.add", {"work_id": "D-3", "on": "D-1"}, "relation-cycle")

    await finish(attorn, "D-2")
    await attorn.kill()
    await attorn.start()
    await finish(attorn, "D-3")

    async def unblocked() -> bool:
        return bool(await payloads(attorn, "work/D-1", WorkUnblocked))

    await until(unblocked)
    before = await attorn.ledger.last()
    # Whoever starts anew folds everything once more, and finds nothing left to say.
    await attorn.kill()
    await attorn.start()
    await define(attorn, "D-4", depends_on=["D-3"])

    async def answered() -> bool:
        return bool(await payloads(attorn, "work/D-4", WorkUnblocked))

    await until(answered)
    assert len(await payloads(attorn, "work/D-1", WorkUnblocked)) == 1
    assert {each.stream for each in (await log_after(attorn, before))} == {"work/D-4"}
    await attorn.done("ana", "execution.start", {"work_id": "D-1"})


async def log_after(attorn: Services, position: int) -> list[Recorded]:
    found: list[Recorded] = []
    async for page in attorn.ledger.follow(after=position):
        found += page.recorded
        if not page.pending:
            break
    return found


@pytest.mark.requirement("002-04")
async def test_between_all_kinds_work_passes_when_accepted_and_who_answers_stays(attorn: Services) -> None:
    speaks = {"team": "member", "department": "member"}
    latencies: list[timedelta] = []
    for giver, taker in product(KINDS, KINDS):
        holder, next_ = f"{giver}-1", f"{taker}-2"
        w = await define(attorn, f"H-{giver}-{taker}")
        await attorn.done("ana", "work.assign", w | {"executor": holder})
        offers, accepts = f"{speaks.get(giver, giver)}-1", f"{speaks.get(taker, taker)}-2"
        offer = {"to": next_, "handover_id": "H-1", "open_questions": ["Who packed it?"],
                 "context": [{"uri": "https://shop.example/photo.jpg", "dig": DIG}]}  # fmt: skip
        await attorn.done(offers, "handover.offer", w | offer)
        before = await state(attorn, w["work_id"])
        await refused(attorn, "carla", "handover.accept", w | {"handover_id": "H-1"}, "handover-open")
        await attorn.done(accepts, "handover.accept", w | {"handover_id": "H-1"})
        after = await state(attorn, w["work_id"])
        assert (before.executor, after.executor, before.named, after.named) == (holder, next_, "ana", "ana")
        times = {type(each.event.data): each.event.time for each in await attorn.ledger.read(f"work/{w['work_id']}")}
        latencies.append(times[HandoverAccepted] - times[HandoverOffered])
    assert len(latencies) == 25 and all(timedelta() < latency < timedelta(seconds=10) for latency in latencies)


@pytest.mark.requirement("004-03")
async def test_of_fifty_claimers_one_wins_each_key_and_a_stale_fence_is_refused(attorn: Services) -> None:
    w = await define(attorn, "C-1")
    claimers = [f"claimer-{n}" for n in range(50)]
    await asyncio.gather(*(
        attorn.done("root", "participant.register",
                    {"participant_id": id, "kind": "agent", "display_name": id, "sponsor": "ana"})
        for id in claimers
    ))  # fmt: skip
    await attorn.done("ana", "work.delegate", w | {"delegate": "agent-1", "autonomy": "act"})
    for key in ("order-1", "order/2 with spaces", "order-3"):
        asked = [attorn.command(id, "claim.acquire", {"key": key, "lease": "PT1H"}) for id in claimers]
        answers = await asyncio.gather(*asked)
        won = [id for id, answer in zip(claimers, answers, strict=True) if isinstance(answer, Receipt)]
        [acquired] = await payloads(attorn, subjects.named("claim", key), ClaimAcquired)
        assert won == [acquired.holder] and acquired.fence == 1
        for answer in answers:
            if isinstance(answer, Problem):
                [breach] = answer.rules
                assert (breach.rule, breach.held_by) == ("claim-held", won[0])
                assert breach.until == acquired.lease_until

    short = {"key": "order-4", "claim_id": "first", "lease": "PT0.5S"}
    await attorn.done("agent-1", "claim.acquire", short)
    await attorn.done("agent-1", "execution.start", w | {"execution_id": "E-1", "claim_id": "first", "fence": 1})
    begun = time.monotonic()
    while not isinstance(await attorn.command("agent-2", "claim.acquire", {"key": "order-4"}), Receipt):
        await asyncio.sleep(0.02)
        assert time.monotonic() - begun < 1.5  # freed within a second of its end
    stream = await payloads(attorn, "claim/order-4", ClaimAcquired)
    assert [(each.holder, each.fence) for each in stream] == [("agent-1", 1), ("agent-2", 2)]

    action = w | {"execution_id": "E-1", "tool": "pay", "side_effect": True}

    async def stale() -> bool:
        answer = await attorn.command("agent-1", "execution.record_action", action)
        return isinstance(answer, Problem) and "stale-fence" in {breach.rule for breach in answer.rules}

    # What another stream says is known a moment later; from then on the old fence has no effect.
    await until(stale, within_s=1.0)


@pytest.mark.requirement("004-10")
async def test_a_replay_finds_every_change_that_was_made_twice_and_says_why(attorn: Services) -> None:
    if not RUNS.is_file():
        pytest.skip(f"{RUNS.name} is not beside the checkout")
    told: list[Any] = []
    facts = [fact for number, run in enumerate(tau.read(RUNS)) for fact in tau.facts(run, number)]
    for start in range(0, len(facts), 500):
        told += await attorn.facts(tau.SOURCE, [codec.encode(fact) for fact in facts[start : start + 500]])
    twice = [breach.detail for receipt in told for breach in receipt.warnings if breach.rule == "duplicate-effort"]
    assert len(twice) == 17
    assert sum("failed with the same arguments before" in detail for detail in twice) == 16
    assert sum("succeeded" in detail for detail in twice) == 1

    # And before it is done: whoever says what it is about is refused the second time, while the first is open.
    await define(attorn, "Z-1", dedup_key="order-1042")
    again = {"work_id": "Z-2", "title": "Refund", "accountable": "ana", "dedup_key": "order-1042"}
    await refused(attorn, "ana", "work.define", again, "duplicate-effort")


@pytest.mark.requirement("002-03c")
@pytest.mark.requirement("002-05e")
async def test_submitted_verified_and_completed_are_three_things_and_each_criterion_has_its_verdict(
    attorn: Services,
) -> None:
    criteria = [{"id": "amount", "text": "The amount is right"}, {"id": "tone", "text": "The tone is kind"}]
    w = await define(attorn, "V-1", acceptance_criteria=criteria, contributors=["ben"])
    await attorn.done("ana", "execution.start", w)
    await attorn.done("ana", "work.submit", w)
    await refused(attorn, "ana", "work.complete", w, "criteria-open")
    passed = [{"id": "amount", "result": "passed"}]
    await refused(attorn, "ben", "work.verify", w | {"criteria": passed}, "criteria-open")
    await attorn.done("ben", "work.verify", w | {"criteria": [*passed, {"id": "tone", "result": "waived"}]})
    await attorn.done("ana", "work.complete", w)
    events = [each.event for each in await attorn.ledger.read("work/V-1")]
    ends = [event for event in events if isinstance(event.data, WorkSubmitted | WorkVerified | WorkCompleted)]
    assert [type(event.data) for event in ends] == [WorkSubmitted, WorkVerified, WorkCompleted]
    assert [event.authid for event in ends] == ["ana", "ben", "ana"]


@pytest.mark.requirement("002-03g")
@pytest.mark.requirement("002-07")
async def test_what_an_executor_knew_at_its_start_is_told_to_the_reference(attorn: Services) -> None:
    ref = lambda name: {"uri": f"https://shop.example/{name}", "dig": DIG}  # noqa: E731 - one shape, five names
    w = await define(attorn, "K-1", context=[ref("order")], contributors=["ben", "agent-1"])
    told = {"delegate": "agent-1", "instructions": ref("handbook"), "autonomy": "act"}
    await attorn.done("ana", "work.delegate", w | told)
    await attorn.done("ben", "context.share", w | {"ref": ref("photo"), "note": "as it arrived"})
    await attorn.done("agent-1", "execution.start", w | {"execution_id": "E-1"})
    await attorn.done("ben", "context.share", w | {"ref": ref("too-late")})
    await attorn.done("ben", "note.add", w | {"text": "The carrier called"})

    events = await attorn.ledger.read("work/K-1")
    names = [each.ref.uri.rpartition("/")[2] for each in known_at_start(events, "E-1")]
    assert names == ["order", "handbook", "photo"]
    assert [each.ref.dig for each in known_at_start(events, "E-1")] == [DIG] * 3
    # Everybody who works on it sees the same, as of any position.
    at = [each.position for each in events]
    shown = [[k.ref.uri.rpartition("/")[2] for k in known(events, place) if k.to is None] for place in at]
    assert shown[0] == ["order"] and shown[2] == ["order", "photo"] and shown[-1] == ["order", "photo", "too-late"]


@pytest.mark.requirement("001-05")
async def test_routed_work_reaches_a_capable_executor_or_escalates(attorn: Services) -> None:
    ladder = {"ladder": [{"rung": 1, "targets": ["ana"], "ack_within": "PT1H"}]}
    await attorn.done("ana", "policy.publish",
                      {"policy_id": "help", "kind": "escalation", "rules": {"escalation": ladder}})  # fmt: skip
    able = {"participant_id": "clerk", "kind": "agent", "display_name": "Clerk", "sponsor": "ana"}
    await attorn.done("root", "participant.register", able | {"capabilities": ["invoices"]})
    step = {"step_id": "pay", "name": "Pay", "raci": {"A": "ana"}, "needs": ["invoices"], "may_end": True}
    published = {"process_id": "invoices", "owner": "ana", "steps": [step], "escalation_policy": "help"}
    await attorn.done("ana", "process.publish", published)
    w = await define(attorn, "T-1", process="invoices", candidates=["agent-1", "clerk"])
    await attorn.done("ana", "work.assign", w | {"mode": "route"})
    [assigned] = await payloads(attorn, "work/T-1", WorkAssigned)
    assert (assigned.executor, assigned.mode) == ("clerk", "route")

    w = await define(attorn, "T-2", process="invoices", candidates=["agent-1"])
    begun = time.monotonic()
    await attorn.done("ana", "work.assign", w | {"mode": "route"})
    assert time.monotonic() - begun < 5
    [raised] = (await state(attorn, "T-2")).escalations.values()
    assert (raised.raised.reason, raised.is_open, raised.told) == ("no_eligible_executor", True, ("ana",))


@pytest.mark.requirement("004-18")
async def test_work_that_nobody_prompted_is_counted_and_has_its_person_all_the_same(attorn: Services) -> None:
    triggers = ("human", "schedule", "event", "agent")
    for trigger in triggers:
        await define(attorn, f"U-{trigger}", trigger=trigger)
    directory = await people(attorn)
    defined = {work: (await payloads(attorn, f"work/U-{work}", WorkDefined))[0] for work in triggers}
    unprompted = [each for each in defined.values() if each.trigger != "human"]
    assert len(unprompted) / len(defined) == 0.75
    for trigger in triggers:
        person = (await state(attorn, f"U-{trigger}")).answers(directory).person
        assert person == "ana" and directory.is_person(person)


async def test_a_priority_that_changes_says_what_it_was(attorn: Services) -> None:
    w = await define(attorn, "P-1")
    await attorn.done("ana", "work.reprioritize", w | {"priority": "critical", "reason": "VIP"})
    assert await payloads(attorn, "work/P-1", WorkReprioritized) == [
        WorkReprioritized(old="normal", new="critical", reason="VIP")
    ]


async def test_a_whole_is_completed_after_its_parts_and_every_part_says_its_root(attorn: Services) -> None:
    w = await define(attorn, "F-1")
    await define(attorn, "F-2", parent_id="F-1")
    await define(attorn, "F-3", parent_id="F-2")
    for verb in ("execution.start", "work.submit", "work.verify"):
        await attorn.done("ana", verb, w)

    await refused(attorn, "ana", "work.complete", w, "criteria-open")
    roots = {each.event.correlationid for id in ("F-2", "F-3") for each in await attorn.ledger.read(f"work/{id}")}
    assert roots == {"F-1"}
    await attorn.done("ana", "work.cancel", {"work_id": "F-3"})
    await attorn.done("ana", "work.cancel", {"work_id": "F-2"})
    await attorn.done("ana", "work.complete", w)


async def test_a_finding_is_settled_by_a_person_where_it_was_found(attorn: Services) -> None:
    event = {"specversion": "1.0", "id": "strange", "source": "/crm", "type": "attorn.work.completed.v1",
             "subject": "work/X-9", "time": datetime.now(UTC).isoformat(), "data": {}}  # fmt: skip
    told = await attorn.fact("crm", event)
    assert isinstance(told, Receipt)
    about = {"stream": "work/X-9", "finding_id": f"hidden-work@{told.position}", "reason": "agreed by telephone"}
    await refused(attorn, "agent-1", "finding.accept", about, "finding-decided")
    await refused(attorn, "ana", "finding.accept", about | {"finding_id": "hidden-work@1"}, "finding-decided")
    await attorn.done("ana", "finding.accept", about)
