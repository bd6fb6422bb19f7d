"""Rows of the requirements that the command slices prove, against the services process on a real nats-server."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Final

import pytest
import pytest_asyncio

from attorn.contracts import codec
from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import ExecutionInputProvided, ExecutionStarted
from attorn.contracts.output import Output, OutputValidated
from attorn.contracts.refusal import Problem, Receipt
from attorn.projections.audit import Auditor
from attorn.projections.directory import Directory, fold
from attorn.projections.findings import Findings
from attorn.services.rulebook import RULES
from attorn.services.supervise.server import embedded
from attorn_services import Services, serving

DIG: Final = "sha256:" + "a" * 64
NEW: Final = "sha256:" + "b" * 64
T0: Final = "2026-03-02T09:00:00Z"
PERFORMERS: Final = {"human": "ben", "agent": "bot", "system": "erp"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attorn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """One attorn for the file, with people, agents and a system in it; each test has work items of its own."""
    async with embedded(tmp_path_factory.mktemp("nats"), ephemeral=True) as broker, serving(broker) as services:
        await services.people("ana", "ben", "carla", "dana")
        agents = [(f"agent-{n}", "agent") for n in range(4)]
        for id, kind in (("bot", "agent"), ("scout", "agent"), ("erp", "system"), *agents):
            body = {"participant_id": id, "kind": kind, "display_name": id.title(), "sponsor": "ana"}
            await services.done("root", "participant.register", body)
        await services.done("root", "participant.register",
                            {"participant_id": "crew", "kind": "team", "display_name": "Crew"})  # fmt: skip
        yield services


async def refused(attorn: Services, who: str, verb: str, body: dict[str, Any], *rules: str) -> Problem:
    """The problem that answers a command; nothing was recorded."""
    last = await attorn.ledger.last()
    answer = await attorn.command(who, verb, body)
    assert isinstance(answer, Problem), f"{verb} by {who} was carried out: {answer}"
    assert {breach.rule for breach in answer.rules} >= set(rules), answer
    assert await attorn.ledger.last() == last
    return answer


async def log(attorn: Services) -> list[Recorded]:
    """Every event on the log."""
    found: list[Recorded] = []
    if not await attorn.ledger.last():
        return found
    async with aclosing(attorn.ledger.follow()) as pages:
        async for page in pages:
            found += page.recorded
            if not page.pending:
                break
    return found


async def state(attorn: Services, work: str) -> Any:
    """The state that the rules of a work item go by."""
    found = RULES["work"].initial
    for recorded in await attorn.ledger.read(f"work/{work}"):
        found = RULES["work"].evolve(found, recorded.event)
    return found


def findings(recorded: Sequence[Recorded]) -> dict[int, set[str]]:
    """The rules that each position broke."""
    directory, rows = Directory(), dict[str, Any]()
    view = Findings(RULES, directory)
    for each in recorded:
        for key in view.keys(each):
            rows[key] = view.apply(rows.get(key), each, key)
        directory.evolve(each)
    found: dict[int, set[str]] = {}
    for row in rows.values():
        for finding in row.findings:
            found.setdefault(finding.position, set()).add(finding.rule)
    return found


def reported(id: str, work: str, type: str, **data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "/crm", "type": f"attorn.{type}.v1", "subject": f"work/{work}",
            "time": T0, "data": data}  # fmt: skip


async def entrusted(attorn: Services, work: str, to: str = "bot", **said: Any) -> dict[str, str]:
    """A work item of Ana's, with which `to` is entrusted; the field that names it."""
    w = {"work_id": work}
    await attorn.done("ana", "work.define", {**w, "title": "Refund", "accountable": "ana", **said})
    await attorn.done("ana", "work.delegate", {**w, "delegation_id": f"D-{work}", "delegate": to, "autonomy": "act"})
    return w


@pytest.mark.requirement("000-05")
async def test_every_execution_by_an_agent_has_a_delegation_or_is_a_finding(attorn: Services) -> None:
    w = await entrusted(attorn, "A-1")
    await attorn.done("bot", "execution.start", w)
    await attorn.done("ana", "work.define", {"work_id": "A-2", "title": "Refund", "accountable": "ana"})
    await refused(attorn, "bot", "execution.start", {"work_id": "A-2"}, "undelegated-execution")
    for number, work in enumerate(("A-2", "A-3", "A-1")):
        told = await attorn.fact("crm", reported(f"s-{number}", work, "execution.started",
                                                 execution_id=f"crm-{number}", executor="scout"))  # fmt: skip
        assert isinstance(told, Receipt) and "undelegated-execution" in {breach.rule for breach in told.warnings}

    events = await log(attorn)
    found, people = findings(events), fold(events)
    by_agents = [each for each in events if isinstance(each.event.data, ExecutionStarted)
                 and people.kind(each.event.data.executor) == "agent"]  # fmt: skip
    assert len(by_agents) >= 4
    for each in by_agents:
        assert each.event.data.delegation_id or "undelegated-execution" in found[each.position]


@pytest.mark.requirement("000-06")
async def test_help_of_an_agent_never_changes_who_executes_or_who_answers(attorn: Services) -> None:
    w = await entrusted(attorn, "B-1", to="scout")
    await attorn.done("ben", "execution.start", {**w, "execution_id": "E-1"})
    await attorn.done("scout", "execution.start", {**w, "execution_id": "E-2", "executor": "scout"})
    await attorn.done("ben", "execution.start", {**w, "execution_id": "E-3"})
    dice = random.Random(7)
    for number in range(40):
        execution = dice.choice(("E-1", "E-2", "E-3"))
        action = {"execution_id": execution, "tool": dice.choice(("look", "draft", "sum")), "assist": True}
        if dice.random() < 0.5:
            await attorn.command("scout", "execution.record_action", {**w, **action})
        else:
            data = {**action, "action_id": f"A-{number}"}
            await attorn.fact("crm", reported(f"help-{number}", "B-1", "execution.action_recorded", **data))
        work = await state(attorn, "B-1")
        assert (work.executor, work.answers(fold(await log(attorn))).person) == ("ben", "ana")


@pytest.mark.requirement("000-08")
async def test_three_open_questions_each_get_their_own_answer(attorn: Services) -> None:
    w = await entrusted(attorn, "C-1")
    await attorn.done("bot", "execution.start", {**w, "execution_id": "E-1"})
    requests = ("Q-1", "Q-2", "Q-3", "Q-4")
    for request in requests:
        question = {"execution_id": "E-1", "request_id": request, "from": "ana", "question": f"{request}?"}
        await attorn.done("bot", "execution.require_input", {**w, **question})
    assert (await state(attorn, "C-1")).life.inputs == requests

    for request in ("Q-3", "Q-1", "Q-4", "Q-2"):
        said = {"request_id": request, "response": "respond", "answer": {"to": request}}
        await refused(attorn, "bot", "execution.provide_input", {**w, **said}, "input-unasked")
        await attorn.done("ana", "execution.provide_input", {**w, **said})
        await refused(attorn, "ana", "execution.provide_input", {**w, **said, "answer": "other"}, "input-unasked")

    answers = [each.event.data for each in await attorn.ledger.read("work/C-1")
               if isinstance(each.event.data, ExecutionInputProvided)]  # fmt: skip
    assert {a.request_id: a.answer for a in answers} == {request: {"to": request} for request in requests}
    assert (await state(attorn, "C-1")).life.state == "in_progress"


@pytest.mark.requirement("000-12")
async def test_a_process_of_high_risk_without_a_review_policy_is_not_published(attorn: Services) -> None:
    body = {"process_id": "payments", "owner": "ana", "risk_tier": "high"}
    problem = await refused(attorn, "ana", "process.publish", body, "controls-missing")

    assert problem.status == 422
    assert [breach.field for breach in problem.rules] == ["data.review_policy", "data.escalation_policy"]


@pytest.mark.requirement("001-06d")
async def test_two_items_begun_under_two_versions_follow_each_its_own(attorn: Services) -> None:
    async def publish(required: int) -> None:
        rules = {"review": {"reviewers_required": required}}
        await attorn.done("ana", "policy.publish", {"policy_id": "check", "kind": "review", "rules": rules})
        await attorn.done("ana", "process.publish", {"process_id": "refunds", "owner": "ana", "review_policy": "check"})

    async def hand_in(work: str) -> dict[str, str]:
        w = {"work_id": work}
        await attorn.done("bot", "execution.start", {**w, "execution_id": "E-1"})
        result = {"execution_id": "E-1", "result": "completed", "outputs": [{"output_id": "O-1", "dig": DIG}]}
        await attorn.done("bot", "work.execute", {**w, **result})
        return w

    verdict = {"review_id": "E-1-R1", "output_id": "O-1", "output_dig": DIG, "verdict": "approved"}
    release = {"output_id": "O-1"}
    await publish(1)
    await entrusted(attorn, "V-1", process="refunds")
    await publish(2)
    await entrusted(attorn, "V-2", process="refunds")
    first, second = await hand_in("V-1"), await hand_in("V-2")
    for w in (first, second):
        await attorn.done("ben", "work.review", {**w, **verdict})

    await attorn.done("ana", "output.release", {**first, **release})
    await refused(attorn, "ana", "output.release", {**second, **release}, "control-bypassed")
    await attorn.done("carla", "work.review", {**second, **verdict})
    await attorn.done("ana", "output.release", {**second, **release})


@pytest.mark.requirement("001-11")
async def test_an_agent_without_a_delegation_completes_and_releases_nothing(attorn: Services) -> None:
    w = await entrusted(attorn, "F-1")
    await attorn.done("bot", "execution.start", {**w, "execution_id": "E-1"})
    result = {"execution_id": "E-1", "result": "completed", "outputs": [{"output_id": "O-1", "dig": DIG}]}
    await attorn.done("bot", "work.execute", {**w, **result})

    for agent in ("scout", "agent-1"):
        await refused(attorn, agent, "output.release", {**w, "output_id": "O-1"}, "undelegated-execution")
        await refused(attorn, agent, "work.verify", w, "undelegated-execution")
    await attorn.done("ana", "work.verify", w)
    await refused(attorn, "scout", "work.complete", w, "undelegated-execution")
    # What was taken back is no delegation.
    await attorn.done("ana", "delegation.revoke", {**w, "delegation_id": "D-F-1"})
    await refused(attorn, "bot", "output.release", {**w, "output_id": "O-1"}, "undelegated-execution")
    await refused(attorn, "bot", "work.complete", w, "undelegated-execution")


@pytest.mark.requirement("002-01")
async def test_the_life_of_work_is_the_same_whoever_performs_it(attorn: Services) -> None:
    dice = random.Random(11)
    performed = ("execution.start", "execution.progress", "execution.require_input", "work.execute", "work.submit")
    managed = ("execution.provide_input", "work.ready", "work.assign", "work.verify", "work.complete", "work.reopen",
               "work.cancel", "work.escalate", "escalation.resolve")  # fmt: skip
    weights = [4, 1, 2, 4, 1, 2, 1, 1, 3, 3, 1, 0.3, 1, 1]
    reached = set[str]()
    for trial in range(12):
        script = [(verb, dice.choice(("completed", "failed", "aborted")), dice.randint(1, 3))
                  for verb in dice.choices((*performed, *managed), weights, k=14)]  # fmt: skip
        outcomes: dict[str, list[Any]] = {}
        for kind, who in PERFORMERS.items():
            w = await entrusted(attorn, f"L-{trial}-{kind}", to=who)
            for verb, result, number in script:
                body = w | _said(verb, result, number, who)
                answer = await attorn.command(who if verb in performed else "ana", verb, body)
                work = await state(attorn, w["work_id"])
                codes = {breach.rule for breach in answer.rules} if isinstance(answer, Problem) else set()
                outcomes.setdefault(kind, []).append((verb, codes, work.life))
                reached.add(work.life.state)
        assert outcomes["human"] == outcomes["agent"] == outcomes["system"]
    assert reached >= {"defined", "in_progress", "waiting_input", "submitted", "verified", "ready"}


def _said(verb: str, result: str, number: int, who: str) -> dict[str, Any]:
    execution = {"execution_id": f"E-{number}"}
    return {
        "execution.start": execution,
        "execution.progress": execution,
        "execution.require_input": {**execution, "request_id": f"Q-{number}", "from": "ana", "question": "Which?"},
        "execution.provide_input": {"request_id": f"Q-{number}", "response": "accept"},
        "work.execute": {**execution, "result": result},
        "work.assign": {"executor": who},
        "work.escalate": {"escalation_id": f"X-{number}", "reason": "manual", "blocking": True,
                          "context": {"summary": "Stuck"}},
        "escalation.resolve": {"escalation_id": f"X-{number}", "outcome": "returned"},
    }.get(verb, {})  # fmt: skip


@pytest.mark.requirement("002-03c")
async def test_completion_requires_a_verdict_on_every_criterion(attorn: Services) -> None:
    criteria = [{"id": "C-1", "text": "the amount is right", "check": "human"},
                {"id": "C-2", "text": "the letter is signed", "check": "rule"}]  # fmt: skip
    w = await entrusted(attorn, "G-1", requirements=["in two days"], acceptance_criteria=criteria)
    await attorn.done("bot", "execution.start", {**w, "execution_id": "E-1"})
    await attorn.done("bot", "work.execute", {**w, "execution_id": "E-1", "result": "completed"})

    one = [{"id": "C-1", "result": "passed"}]
    both = [*one, {"id": "C-2", "result": "waived"}]
    await refused(attorn, "ana", "work.complete", w, "criteria-open")
    problem = await refused(attorn, "ana", "work.verify", {**w, "criteria": one}, "criteria-open")
    assert "C-2" in problem.detail
    failed = [*one, {"id": "C-2", "result": "failed"}]
    await refused(attorn, "ana", "work.verify", {**w, "criteria": failed}, "criteria-open")
    await attorn.done("ana", "work.verify", {**w, "criteria": both})
    await attorn.done("ana", "work.complete", w)


@pytest.mark.requirement("002-06a")
async def test_a_person_assigns_work_to_an_agent_and_answers_for_it_still(attorn: Services) -> None:
    w = {"work_id": "H-1"}
    await attorn.done("ana", "work.define", {**w, "title": "Refund", "accountable": "ana"})
    await attorn.done("ana", "work.assign", {**w, "executor": "bot"})
    terms = {"delegation_id": "D-1", "delegate": "bot", "activities": ["look"], "exclusions": ["pay"]}
    await attorn.done("ana", "work.delegate", {**w, **terms})
    await attorn.done("bot", "delegation.accept", {**w, "delegation_id": "D-1"})
    await attorn.done("bot", "execution.start", {**w, "execution_id": "E-1"})
    action = {**w, "execution_id": "E-1"}
    await attorn.done("bot", "execution.record_action", {**action, "tool": "look"})
    await refused(attorn, "bot", "execution.record_action", {**action, "tool": "pay"}, "delegation-violated")

    work = await state(attorn, "H-1")
    assert (work.executor, work.answers(fold(await log(attorn))).person) == ("bot", "ana")
    assert (await attorn.ledger.read("work/H-1"))[-1].event.onbehalfof == "ana"


@pytest.mark.requirement("002-06d")
async def test_people_validate_what_an_agent_made(attorn: Services) -> None:
    rules = {"review": {"reviewers_required": 1}}
    await attorn.done("ana", "policy.publish", {"policy_id": "look", "kind": "review", "rules": rules})
    w = await entrusted(attorn, "I-1", review_policy="look")
    verdict = {"output_id": "O-1", "output_dig": DIG, "verdict": "changes_requested"}
    for number, dig in ((1, DIG), (2, NEW)):
        await attorn.done("bot", "execution.start", {**w, "execution_id": f"E-{number}"})
        result = {"execution_id": f"E-{number}", "result": "completed", "outputs": [{"output_id": "O-1", "dig": dig}]}
        await attorn.done("bot", "work.execute", {**w, **result})
        await refused(attorn, "ana", "output.release", {**w, "output_id": "O-1"}, "control-bypassed")
        said = {**w, **verdict, "review_id": f"E-{number}-R1", "output_dig": dig}
        if number == 2:
            said["verdict"] = "approved"
            await refused(attorn, "ben", "work.review", {**said, "output_dig": DIG}, "review-digest")
        await refused(attorn, "bot", "work.review", said, "self-review")
        await refused(attorn, "scout", "work.review", said, "reviewer-human")
        await attorn.done("ben", "work.review", said)
    checked = {"output_id": "O-1", "criterion_id": "C-1", "result": "passed", "output_dig": NEW}
    told = await attorn.fact("crm", reported("v-1", "I-1", "output.validated", **checked))
    assert isinstance(told, Receipt) and not told.warnings
    await attorn.done("ana", "output.release", {**w, "output_id": "O-1"})

    events = [each.event.data for each in await attorn.ledger.read("work/I-1")]
    assert any(isinstance(data, OutputValidated) for data in events)
    assert (await state(attorn, "I-1")).outputs["O-1"].output == Output(output_id="O-1", dig=NEW)


@pytest.mark.requirement("002-06e")
async def test_three_people_and_four_agents_work_under_one_root_with_one_who_answers_for_each(attorn: Services) -> None:
    await attorn.done("ana", "work.define", {"work_id": "R-0", "title": "Close the year", "accountable": "ana"})
    people = ("ben", "carla", "dana")
    for number in range(7):
        who = people[number] if number < 3 else f"agent-{number - 3}"
        w = {"work_id": f"R-{number + 1}"}
        accountable = people[number % 3]
        await attorn.done("ana", "work.define", {**w, "title": "A part", "accountable": accountable, "parent_id": "R-0",
                                                 "contributors": [*people, who]})  # fmt: skip
        await attorn.done(accountable, "work.delegate", {**w, "delegate": who, "autonomy": "act"})
        await attorn.done(who, "execution.start", {**w, "execution_id": "E-1"})
        # Others help on the same part at the same time.
        helper = people[(number + 1) % 3]
        await attorn.done(helper, "execution.start", {**w, "execution_id": "E-2"})
        await attorn.done(who, "work.execute", {**w, "execution_id": "E-1", "result": "completed"})

    events = await log(attorn)
    auditor, directory = Auditor(), fold(events)
    auditor.feed(events)
    result = auditor.result()
    assert (result.gaps, result.overlaps, result.non_human) == (0, 0, 0)
    for number in range(8):
        intervals = auditor.assignment[f"R-{number}"]
        assert len(intervals) == 1 and directory.is_person(intervals[0][1] or "")
    started = {each.event.data.executor for each in events
               if each.stream.startswith("work/R-") and isinstance(each.event.data, ExecutionStarted)}  # fmt: skip
    assert started >= {*people, *(f"agent-{n}" for n in range(4))}


@pytest.mark.requirement("002-03d")
async def test_at_every_position_exactly_one_person_answers_for_every_item(services: Services) -> None:
    await services.people("ana", "ben", "carla")
    bot = {"participant_id": "bot", "kind": "agent", "display_name": "Bot", "sponsor": "ana"}
    await services.done("root", "participant.register", bot)
    define = {"title": "Refund", "accountable": "ana"}
    for work in ("W-1", "W-2", "W-3"):
        await services.done("ana", "work.define", {"work_id": work, **define})
    for wrong in ("bot", "nobody"):
        await refused(services, "ana", "work.define", {**define, "work_id": "W-9", "accountable": wrong},
                      "accountable-human")  # fmt: skip
    await refused(services, "ana", "work.define", {"work_id": "W-9", "title": "Refund"}, "accountability-defaulted")
    await services.done("ana", "accountability.offer", {"work_id": "W-1", "to": "ben"})
    await services.done("ben", "accountability.transfer", {"work_id": "W-1", "to": "ben"})
    await services.fact("crm", reported("x-1", "X-1", "execution.started", execution_id="E-1", executor="bot"))
    await services.fact("crm", reported("x-2", "X-2", "note.added", text="hidden"))
    await services.done("root", "source.register", {"source_id": "crm", "uri": "https://crm.example",
                                                    "custodian": "carla"})  # fmt: skip
    await refused(services, "root", "participant.deactivate", {"participant_id": "ana"}, "successor-human")
    await services.done("root", "participant.deactivate", {"participant_id": "ana", "successor": "carla"})
    await services.done("carla", "work.cancel", {"work_id": "W-3"})
    await services.done("root", "participant.deactivate", {"participant_id": "carla", "successor": "ben"})

    events = await log(services)
    auditor, directory = Auditor(), Directory()
    items: dict[str, Any] = {}
    for each in events:
        directory.evolve(each)
        auditor.feed([each])
        if each.stream.startswith("work/"):
            before = items.get(each.stream, RULES["work"].initial)
            items[each.stream] = RULES["work"].evolve(before, each.event)
        for item in items.values():
            person = item.answers(directory).person
            assert person is not None and directory.is_person(person)
    result = auditor.result()
    assert (result.gaps, result.overlaps, result.non_human, result.items) == (0, 0, 0, 5)
    assert result.positions == len(events)
    answers = {stream: item.answers(directory).person for stream, item in items.items()}
    assert answers == dict.fromkeys(("work/W-1", "work/W-2", "work/W-3", "work/X-1", "work/X-2"), "ben")
    assert codec.decode(events[-1].body) == events[-1].event


async def test_the_same_script_records_the_same_types_whoever_executes(attorn: Services) -> None:
    authtypes, types = {}, {}
    for kind, who in PERFORMERS.items():
        w = await entrusted(attorn, f"S-{kind}", to=who)
        for verb, said in (
            ("execution.start", {"execution_id": "E-1"}),
            ("execution.progress", {"execution_id": "E-1", "percent": 50}),
            ("execution.record_action", {"execution_id": "E-1", "tool": "look"}),
            ("work.execute", {"execution_id": "E-1", "result": "completed"}),
        ):
            await attorn.done(who, verb, w | said)
        events = [each.event for each in await attorn.ledger.read(f"work/S-{kind}")]
        types[kind] = [event.type for event in events]
        authtypes[kind] = {event.authtype for event in events if event.authid == who}
    assert types["human"] == types["agent"] == types["system"]
    assert authtypes == {"human": {"user"}, "agent": {"service_account"}, "system": {"system"}}
