"""Rows of the requirements about delegating, carrying out, outputs and decisions, on a real nats-server."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import pytest
import pytest_asyncio

from attorn.contracts.decision import DecisionMade, RecommendationAnswered
from attorn.contracts.envelope import Recorded
from attorn.contracts.refusal import Problem, Receipt
from attorn.projections.directory import Directory
from attorn.projections.findings import Findings
from attorn.services.rulebook import RULES
from attorn.services.supervise.server import embedded
from attorn_services import Services, serving

DIG: Final = "sha256:" + "a" * 64
T0: Final = "2026-03-02T09:00:00Z"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attorn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """One attorn for the file; emil reports to carl, carl to dora. Each test has work items of its own."""
    async with embedded(tmp_path_factory.mktemp("nats"), ephemeral=True) as broker, serving(broker) as services:
        await services.people("ana", "ben", "dora")
        for id, above in (("carl", "dora"), ("emil", "carl")):
            body = {"participant_id": id, "kind": "human", "display_name": id.title(), "reports_to": above}
            await services.done("root", "participant.register", body)
        for id in ("bot", "scout"):
            body = {"participant_id": id, "kind": "agent", "display_name": id.title(), "sponsor": "ana"}
            await services.done("root", "participant.register", body)
        yield services


async def refused(attorn: Services, who: str, verb: str, body: dict[str, Any], *rules: str) -> Problem:
    """The problem that answers a command; nothing was recorded."""
    last = await attorn.ledger.last()
    answer = await attorn.command(who, verb, body)
    assert isinstance(answer, Problem), f"{verb} by {who} was carried out: {answer}"
    assert {breach.rule for breach in answer.rules} >= set(rules), answer
    assert await attorn.ledger.last() == last
    return answer


async def told(attorn: Services, id: str, work: str, type: str, **data: Any) -> set[str]:
    """The rules that a reported fact broke; it is recorded, and the view of findings has them at its position."""
    event = {"specversion": "1.0", "id": id, "source": "/crm", "type": f"attorn.{type}.v1", "subject": f"work/{work}",
             "time": T0, "data": data}  # fmt: skip
    receipt = await attorn.fact("crm", event)
    assert isinstance(receipt, Receipt), receipt
    warned = {breach.rule for breach in receipt.warnings}
    assert (await findings(attorn)).get(receipt.position, set()) == warned
    return warned


async def log(attorn: Services) -> list[Recorded]:
    found: list[Recorded] = []
    async with aclosing(attorn.ledger.follow()) as pages:
        async for page in pages:
            found += page.recorded
            if not page.pending:
                break
    return found


async def findings(attorn: Services) -> dict[int, set[str]]:
    """The rules that each position broke."""
    directory, rows = Directory(), dict[str, Any]()
    view = Findings(RULES, directory)
    for each in await log(attorn):
        for key in view.keys(each):
            rows[key] = view.apply(rows.get(key), each, key)
        directory.evolve(each)
    found: dict[int, set[str]] = {}
    for row in rows.values():
        for finding in row.findings:
            found.setdefault(finding.position, set()).add(finding.rule)
    return found


async def types(attorn: Services, work: str) -> list[str]:
    """What happened to an item, without the ends that all types share."""
    recorded = await attorn.ledger.read(f"work/{work}")
    return [each.event.type.removeprefix("attorn.").removesuffix(".v1") for each in recorded]


async def begun(attorn: Services, work: str, defined: dict[str, Any] | None = None, **terms: Any) -> dict[str, str]:
    """A work item of Ana's that bot carries out in E-1, entrusted with it on these terms."""
    w = {"work_id": work}
    await attorn.done("ana", "work.define", {**w, "title": "Refund", "accountable": "ana", **(defined or {})})
    grant = {"delegation_id": "D-1", "delegate": "bot", "autonomy": "act"} | terms
    await attorn.done("ana", "work.delegate", {**w, **grant})
    await attorn.done("bot", "execution.start", {**w, "execution_id": "E-1"})
    return w


def dig(content: str) -> str:
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


@pytest.mark.requirement("000-07")
async def test_who_has_no_authority_to_decide_is_refused_or_found_and_it_is_known_what_was_followed(
    attorn: Services,
) -> None:
    w = await begun(attorn, "D-1", {"decision_authority": "ben"})
    options = [{"id": "all", "label": "All"}, {"id": "half", "label": "Half"}]
    for number, (chosen, followed) in enumerate((("all", True), ("half", False), ("all", True))):
        id = f"N-{number}"
        await attorn.done(
            "bot", "decision.request", {**w, "decision_id": id, "question": "How much?", "options": options}
        )
        said = {**w, "recommendation": "All", "option_id": "all", "decision_id": id, "recommendation_id": f"M-{number}"}
        await attorn.done("bot", "recommendation.make", said)
        for who in ("bot", "carl"):
            choice = {**w, "decision_id": id, "chosen": chosen}
            await refused(attorn, who, "decision.make", choice, "decision-authority")
        await attorn.done("ben", "decision.make", {**w, "decision_id": id, "chosen": chosen, "rationale": "So."})
        recorded = (await attorn.ledger.read("work/D-1"))[-1].event.data
        assert (recorded.decider, recorded.followed) == ("ben", followed)
    await attorn.done("bot", "decision.request", {**w, "decision_id": "N-9", "question": "How much?"})
    broken = await told(attorn, "n-9", "D-1", "decision.made", decision_id="N-9", decider="scout", chosen="all")
    assert broken == {"decision-authority"}

    made = [each.event.data for each in await log(attorn) if isinstance(each.event.data, DecisionMade)]
    about_bot = [each.followed for each in made if each.recommended_by == "bot"]
    assert about_bot.count(True) / len(about_bot) == 2 / 3


@pytest.mark.requirement("000-10")
async def test_an_output_that_breaks_its_schema_does_not_go_out_and_is_found_when_it_did(attorn: Services) -> None:
    schema = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number", "maximum": 200}}}
    criterion = {"id": "amount", "text": "at most 200", "check": "schema", "json_schema": schema}
    w = await begun(attorn, "O-1", {"acceptance_criteria": [criterion]})
    bad, good = json.dumps({"amount": 900}), json.dumps({"amount": 120})
    for content in (bad, good):
        output = {"output_id": "booking", "dig": dig(content), "media_type": "application/json"}
        await attorn.done("bot", "output.produce", {**w, "output": output})
        await refused(attorn, "ana", "output.release", {**w, "output_id": "booking"}, "output-unsound")
        check = {**w, "output_id": "booking", "criterion_id": "amount", "content": content}
        await attorn.done("bot", "output.validate", check)
        if content is bad:
            await refused(attorn, "ana", "output.release", {**w, "output_id": "booking"}, "output-unsound")
            broken = await told(attorn, "o-1", "O-1", "output.released", output_id="booking", output_dig=dig(bad))
            assert broken == {"output-unsound"}
    await attorn.done("ana", "output.release", {**w, "output_id": "booking"})


@pytest.mark.requirement("000-17")
async def test_what_is_beyond_a_condition_is_refused_or_flagged_by_its_id_and_expected_outputs_are_owed(
    attorn: Services,
) -> None:
    terms = {
        "conditions": [
            {"id": "small", "expr": "action.amount <= 200.0"},
            {"id": "daytime", "expr": 'action.tool != "call"', "on_violation": "flag"},
        ],
        "expected_outputs": [{"name": "letter"}],
        "may_subdelegate": True,
        "max_depth": 1,
        "activities": ["pay", "call"],
    }
    w = await begun(attorn, "C-1", **terms)
    paid = {**w, "execution_id": "E-1", "tool": "pay", "amount": {"amount": "500", "currency": "EUR"}}
    problem = await refused(attorn, "bot", "execution.record_action", paid, "delegation-violated")
    assert any("condition small of D-1" in breach.detail for breach in problem.rules)
    data = {"execution_id": "E-1", "action_id": "A-1", "tool": "pay", "amount": {"amount": "500", "currency": "EUR"}}
    assert await told(attorn, "c-1", "C-1", "execution.action_recorded", **data) == {"delegation-violated"}
    called = {**w, "execution_id": "E-1", "tool": "call", "amount": {"amount": "1", "currency": "EUR"}}
    receipt = await attorn.done("bot", "execution.record_action", called)
    assert (await findings(attorn))[receipt.position] == {"condition-flagged"}

    done = {**w, "execution_id": "E-1", "result": "completed"}
    await refused(attorn, "bot", "work.execute", done, "delegation-violated")
    wider = {**w, "delegate": "scout", "parent_id": "D-1", "activities": ["pay", "look"], "autonomy": "act"}
    await refused(attorn, "bot", "work.delegate", wider, "delegation-chain")
    narrower = {**wider, "activities": ["pay"], "conditions": terms["conditions"]}
    await attorn.done("bot", "work.delegate", narrower)
    await attorn.done("bot", "work.execute", {**done, "outputs": [{"output_id": "letter", "dig": DIG}]})


@pytest.mark.requirement("001-10")
async def test_each_of_the_four_modes_goes_as_far_as_it_goes(attorn: Services) -> None:
    change = {"execution_id": "E-1", "tool": "pay", "side_effect": True}
    output = {"output_id": "letter", "dig": DIG}
    done = {"execution_id": "E-1", "result": "completed", "outputs": [output]}
    release = {"output_id": "letter"}

    w = await begun(attorn, "A-1", autonomy="suggest")
    await refused(attorn, "bot", "execution.record_action", w | change, "delegation-violated")
    await attorn.done("bot", "work.execute", w | done)
    await refused(attorn, "bot", "output.release", w | release, "delegation-violated")

    w = await begun(attorn, "A-2", autonomy="act_with_approval")
    await refused(attorn, "bot", "execution.record_action", w | change, "approval-missing")
    ask = {"execution_id": "E-1", "request_id": "Q-1", "from": "ana", "kind": "approval", "question": "May I pay?"}
    await attorn.done("bot", "execution.require_input", w | ask)
    await attorn.done("ana", "execution.provide_input", w | {"request_id": "Q-1", "response": "accept"})
    await attorn.done("bot", "execution.record_action", w | change)

    w = await begun(attorn, "A-3", autonomy="act_then_review")
    await attorn.done("bot", "execution.record_action", w | change)
    await attorn.done("bot", "work.execute", w | done)
    await refused(attorn, "bot", "output.release", w | release, "control-bypassed")
    verdict = {"review_id": "E-1-R1", "output_id": "letter", "output_dig": DIG, "verdict": "approved"}
    await attorn.done("ana", "work.review", w | verdict)
    await attorn.done("bot", "output.release", w | release)

    w = await begun(attorn, "A-4", autonomy="act")
    await attorn.done("bot", "execution.record_action", w | change)
    await attorn.done("bot", "work.execute", w | done)
    await attorn.done("bot", "output.release", w | release)

    # What an agent sets going says what led there.
    w = await begun(attorn, "A-5", escalate_when=['action.tool == "pay"'])
    await attorn.done("bot", "execution.record_action", w | change)
    action, raised = [r.event for r in await attorn.ledger.read("work/A-5")][-3:-1]
    assert (raised.type, raised.causationid) == ("attorn.work.escalated.v1", action.id)


@pytest.mark.requirement("002-03b")
async def test_what_the_scope_excludes_is_not_done_in_this_work(attorn: Services) -> None:
    w = await begun(attorn, "S-1", {"scope": {"included": ["orders"], "excluded": ["accounts/*"]}})
    await attorn.done(
        "bot", "execution.record_action", {**w, "execution_id": "E-1", "tool": "pay", "target": "orders/7"}
    )
    action = {"execution_id": "E-1", "tool": "pay", "target": "accounts/7"}
    await refused(attorn, "bot", "execution.record_action", w | action, "scope-exceeded")
    broken = await told(attorn, "s-1", "S-1", "execution.action_recorded", action_id="A-1", **action)
    assert broken == {"scope-exceeded"}


@pytest.mark.requirement("002-03f")
async def test_what_is_above_the_limit_goes_to_the_next_authority_on_the_org_chart(attorn: Services) -> None:
    limits = [{"who": "emil", "up_to": {"amount": "100", "currency": "EUR"}},
              {"who": "carl", "up_to": {"amount": "500", "currency": "EUR"}}, {"who": "dora"}]  # fmt: skip
    policy = {"policy_id": "money", "kind": "authority", "rules": {"authority": {"limits": limits}}}
    await attorn.done("root", "policy.publish", policy)
    for number, (amount, decides) in enumerate((("100", "emil"), ("101", "carl"), ("501", "dora"))):
        work, euros = f"L-{number}", {"amount": amount, "currency": "EUR"}
        w = await begun(attorn, work, {"decision_authority": "emil"})
        await attorn.done("bot", "decision.request", {**w, "decision_id": "N-1", "question": "How much?"})
        await attorn.done("emil", "decision.make", {**w, "decision_id": "N-1", "chosen": "all", "amount": euros})
        made = "decision.made" in await types(attorn, work)
        assert made is (decides == "emil")
        if not made:
            raised = next(r.event.data for r in await attorn.ledger.read(f"work/{work}")
                          if r.event.type == "attorn.work.escalated.v1")  # fmt: skip
            assert (raised.reason, raised.ladder[0].targets) == ("authorization_needed", (decides,))
            await attorn.done(decides, "decision.make", {**w, "decision_id": "N-1", "chosen": "all"})
            assert (await types(attorn, work))[-2:] == ["decision.made", "escalation.resolved"]


@pytest.mark.requirement("002-05d")
async def test_a_decision_lands_in_the_execution_that_waited_for_it_and_says_what_caused_it(attorn: Services) -> None:
    w = await begun(attorn, "P-1")
    asked = {"decision_id": "N-1", "question": "How much?", "execution_id": "E-1"}
    await attorn.done("bot", "decision.request", w | asked)
    await attorn.done("ana", "decision.make", {**w, "decision_id": "N-1", "chosen": "half"})
    decided, landed = [recorded.event for recorded in await attorn.ledger.read("work/P-1")][-2:]
    assert (decided.type, landed.type) == ("attorn.decision.made.v1", "attorn.execution.input_provided.v1")
    assert (landed.causationid, landed.data.execution_id, landed.data.answer) == (decided.id, "E-1", "half")
    await attorn.done("bot", "work.execute", {**w, "execution_id": "E-1", "result": "completed"})


@pytest.mark.requirement("002-06b")
async def test_recommendations_are_counted_by_who_made_them_and_turned_down_for_a_reason(attorn: Services) -> None:
    w = await begun(attorn, "R-1")
    for number, answer in enumerate(("accepted", "rejected", "accepted", "accepted")):
        made = {"recommendation_id": f"M-{number}", "recommendation": "Pay it"}
        await attorn.done("bot", "recommendation.make", w | made)
        said = {"recommendation_id": f"M-{number}", "answer": answer}
        if answer == "rejected":
            await refused(attorn, "ana", "recommendation.answer", w | said, "recommendation-open")
            said["reason"] = "The lamp still works."
        await attorn.done("ana", "recommendation.answer", w | said)
    answered = [recorded.event.data for recorded in await attorn.ledger.read("work/R-1")
                if isinstance(recorded.event.data, RecommendationAnswered)]  # fmt: skip
    by_bot = [each.answer for each in answered if each.recommended_by == "bot"]
    assert by_bot.count("accepted") / len(by_bot) == 3 / 4
    assert [each.reason for each in answered if each.answer == "rejected"] == ["The lamp still works."]


@pytest.mark.requirement("004-19")
async def test_an_agent_adapts_its_plan_and_says_why(attorn: Services) -> None:
    w = await begun(attorn, "Q-1", autonomy="act_with_approval")
    ask = {"execution_id": "E-1", "request_id": "Q-1", "from": "ana", "kind": "approval", "question": "May I pay?"}
    await attorn.done("bot", "execution.require_input", w | ask)
    await attorn.done("ana", "execution.provide_input", w | {"request_id": "Q-1", "response": "accept"})
    plan = {"execution_id": "E-1", "before": ["pay"], "after": ["ask", "pay"], "reason": "There are two accounts."}
    await refused(attorn, "scout", "execution.adapt", w | plan, "undelegated-execution")
    await attorn.done("bot", "execution.adapt", w | plan)
    adapted = (await attorn.ledger.read("work/Q-1"))[-1].event
    assert (adapted.data.before, adapted.data.after, adapted.data.reason, adapted.authid, adapted.onbehalfof) == (
        ("pay",), ("ask", "pay"), "There are two accounts.", "bot", "ana",
    )  # fmt: skip
    # A plan that nobody has seen is not one that somebody approved of.
    change = {"execution_id": "E-1", "tool": "pay", "side_effect": True}
    await refused(attorn, "bot", "execution.record_action", w | change, "approval-missing")
    # What it cannot do by itself it asks about; an exception is a thing of its own, and settled by a person.
    escalation = {
        "escalation_id": "X-1",
        "reason": "exception",
        "context": {"summary": "Two accounts.", "question": "?"},
    }
    await attorn.done("bot", "work.escalate", w | escalation)
    settled = {"escalation_id": "X-1", "outcome": "returned"}
    await refused(attorn, "bot", "escalation.resolve", w | settled)
    await attorn.done("ana", "escalation.resolve", w | settled)
