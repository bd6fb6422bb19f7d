"""Rows of the requirements about who does the work, how well, and what it costs, asked of a running attorn."""

import ast
import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import ExecutionStarted, WorkExecuted
from attorn.services.ledger.jetstream import JetStreamLedger
from office import DIG, Office, office
from sample_log import everything

NEW = "sha256:" + "b" * 64
ROOT = Path(__file__).parents[2]
CORE = sorted(
    path
    for root in ("contracts/attorn/contracts", "projections/attorn", "services/attorn/services")
    for path in (ROOT / root).rglob("*.py")
    if not {"supervise", "imports"} & set(path.parts)
)
"""What decides, records and shows; what starts attorn itself, and what reads foreign logs, is apart."""
MEANS = {"subprocess", "multiprocessing", "create_subprocess_exec", "create_subprocess_shell", "popen", "fork",
         "http.client", "urllib.request", "requests", "httpx", "aiohttp", "openai", "anthropic"}  # fmt: skip
"""By which a program has something done elsewhere."""
OLD_WAY, NEW_WAY = "sha256:" + "1" * 64, "sha256:" + "2" * 64
LADDER = {"escalation": {"ladder": [{"rung": 1, "targets": ["quinn"], "ack_within": "PT1H"}]}}
STEP = {"step_id": "decide", "name": "Decide", "raci": {"A": "quinn"}}
OVERSIGHT = {"sample_rate": 0.2, "review_every": "P30D"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def at(instance: str) -> AsyncIterator[Office]:
    """Quinn, quentin and quanah are people; quill, quota and quick are agents of quinn's; qsys is a system."""
    async with office(instance) as found:
        await found.people("quinn", org_unit="q-sales")
        await found.people("quentin", org_unit="q-stock")
        await found.people("quanah", org_unit="q-stock")
        await found.agents("quinn", "quill", "quota", "quick")
        await found.agents("quinn", "qsys", kind="system")
        await found.done("root", "source.register", source_id="qsys", uri="/qsys", custodian="quinn")
        review = {"review": {"reviewers_required": 1, "candidates": ["quentin"]}}
        await found.done("quinn", "policy.publish", policy_id="q-look", kind="review", rules=review)
        await found.done("quinn", "policy.publish", policy_id="q-help", kind="escalation", rules=LADDER)
        yield found


async def published(at: Office, process: str, **said: Any) -> None:
    body = {"process_id": process, "owner": "quinn", "purpose": "Money back.", "exit_criteria": ["told"],
            "steps": [STEP], "review_policy": "q-look", "escalation_policy": "q-help"}  # fmt: skip
    await at.done("quinn", "process.publish", **body | said)


async def reviewed(at: Office, work: str, verdict: str, *, dig: str = DIG, **said: Any) -> None:
    """Quentin's verdict on what was handed in last."""
    waiting = (await at.ask("inbox", who="quentin", kind="review"))["waiting"]
    [waits] = [one for one in waiting if one["work"] == work]
    body = {"review_id": waits["id"], "output_id": "o-1", "output_dig": dig, "verdict": verdict}
    await at.done("quentin", "work.review", work_id=work, **body, **said)


async def log(at: Office) -> list[Recorded]:
    return await everything(JetStreamLedger(at.nc))


@pytest.mark.requirement("000-01")
async def test_the_same_script_leaves_the_same_events_whoever_executes_and_only_authtype_differs(at: Office) -> None:
    await at.done("root", "participant.register", participant_id="q-crew", kind="team", display_name="Crew")
    await at.done("root", "team.add", team_id="q-crew", member="quanah")
    left: dict[str, list[dict[str, Any]]] = {}
    authtypes: dict[str, set[str | None]] = {}
    executors = {"human": "quentin", "agent": "quill", "member of a team": "quanah", "system": "qsys"}
    for number, (kind, who) in enumerate(executors.items()):
        work = f"Q-same-{number}"
        w, x = {"work_id": work}, {"work_id": work, "execution_id": "x-1"}
        await at.done("quinn", "work.define", **w, title="Refund", accountable="quinn")
        await at.done("quinn", "work.assign", **w, executor="q-crew" if who == "quanah" else who)
        await at.done("quinn", "work.delegate", **w, delegation_id="D-1", delegate=who, autonomy="act")
        await at.done(who, "delegation.accept", **w, delegation_id="D-1")
        await at.done(who, "execution.start", **x)
        await at.done(who, "execution.progress", **x, percent=50)
        await at.done(who, "execution.record_action", **x, action_id="a-1", tool="look")
        await at.done(who, "execution.require_input", **x, request_id="q-1", question="Eh?", **{"from": "quinn"})
        await at.done("quinn", "execution.provide_input", **w, request_id="q-1", response="respond", answer="Yes.")
        await at.done(who, "work.execute", **x, result="completed", outputs=[{"output_id": "o-1", "dig": DIG}])
        await at.done("quinn", "work.verify", **w)
        await at.done("quinn", "work.complete", **w)
        events = [each.event for each in await JetStreamLedger(at.nc).read(f"work/{work}")]
        left[kind] = [{"type": each.type, "by executor": each.authid == who, "root": each.correlationid == work,
                       "for": each.onbehalfof} for each in events]  # fmt: skip
        authtypes[kind] = {each.authtype for each in events if each.authid == who}
        items = (await at.ask("work", work=work))["item"]
        assert (items["accountable"], items["state"]) == ("quinn", "completed")
    types = {kind: [(each["type"], each["by executor"], each["root"]) for each in of] for kind, of in left.items()}
    assert types["human"] == types["agent"] == types["member of a team"] == types["system"]
    assert authtypes == {"human": {"user"}, "agent": {"service_account"}, "member of a team": {"user"},
                         "system": {"system"}}  # fmt: skip


@pytest.mark.requirement("000-19")
async def test_reviews_are_bound_to_content_and_how_an_agents_work_held_up_is_scored(at: Office) -> None:
    await published(at, "q-scored")
    under: dict[str, Any] = {"define": {"process": "q-scored"}}
    for number, (way, verdicts) in enumerate(
        [(OLD_WAY, ["approved"]), (OLD_WAY, ["changes_requested", "approved"]), (NEW_WAY, ["approved"])]
    ):
        work = f"Q-score-{number}"
        await at.carried_out(work, "quota", by="quinn", instructions_dig=way, **under)
        for again, verdict in enumerate(verdicts):
            if again:
                await at.handed_in(work, "quota", f"x-{work}-{again}", dig=NEW, instructions_dig=way)
            await reviewed(at, work, verdict, dig=NEW if again else DIG)
    failed = {"work_id": "Q-score-9", "execution_id": "x-9"}
    await at.entrusted("Q-score-9", "quota", by="quinn", process="q-scored")
    await at.done("quota", "execution.start", **failed, instructions_dig=NEW_WAY)
    await at.done("quota", "work.execute", **failed, result="failed")
    scores = {
        one["instructions_dig"]: one for one in (await at.ask("scorecard", agent="quota", process="q-scored"))["scores"]
    }
    old, new = scores[OLD_WAY], scores[NEW_WAY]
    assert (old["executions"], old["first_pass"], old["override"], old["rework"], old["error"]) == (3, 0.5, 0.5, 0.5, 0)
    assert (new["executions"], new["first_pass"], new["override"], new["rework"], new["error"]) == (2, 1, 0, 0, 0.5)

    # Other bytes after the approval: it is void at once, and what was approved does not go out.
    await at.done("quinn", "work.reopen", work_id="Q-score-0", reason="The amount was wrong.")
    await at.handed_in("Q-score-0", "quota", "x-again", dig=NEW, instructions_dig=NEW_WAY)
    types = [event["type"] for event in await at.events("Q-score-0")]
    executed = len(types) - 1 - types[::-1].index("attorn.work.executed.v1")
    assert "attorn.review.invalidated.v1" in types[executed:]
    await at.refused("quinn", "output.release", "control-bypassed", work_id="Q-score-0", output_id="o-1")


@pytest.mark.requirement("003-07")
async def test_work_by_ai_with_ai_and_together_lists_all_who_contributed(at: Office) -> None:
    for contribution, who in (("ai", "quill"), ("ai_assisted", "quentin"), ("mixed", "quill")):
        work = f"Q-by-{contribution}"
        await at.entrusted(work, who, by="quinn")
        await at.done("quinn", "note.add", work_id=work, text="Mind the date.")
        await at.handed_in(work, who, "x-1", contribution=contribution)
        found = await at.ask("contributions", work=work)
        by = {one["who"]: one for one in found["contributors"]}
        on_log = {event["event_id"] for event in await at.events(work)}
        assert {"quinn", who} <= set(by)
        assert all(one["events"] and set(one["events"]) <= on_log for one in by.values())
        assert sum(one.get("share", 0.0) for one in by.values()) == 1.0
        assert found["outputs"] == {contribution: 1}


@pytest.mark.requirement("001-13")
@pytest.mark.requirement("004-16d")
async def test_how_much_work_runs_under_a_published_process_is_said_by_unit(at: Office) -> None:
    begin = datetime(2025, 5, 1, tzinfo=UTC)
    await published(at, "q-held", retention="P365D")
    await published(at, "q-loose")
    await at.done("quinn", "process.map", process_id="q-held", origin="documented")
    await at.done("root", "role.grant", participant_id="quinn", role="agent_manager", scope="process/q-held")
    await at.done("quinn", "agent.deploy", participant_id="quick", process_id="q-held", heartbeat="PT5M",
                  oversight=OVERSIGHT)  # fmt: skip
    # Somebody has looked at work of the process, which is the last of the controls.
    await at.carried_out("Q-cover-0", "quick", by="quinn", define={"process": "q-held"})
    await reviewed(at, "Q-cover-0", "approved")
    said = [("quinn", "q-held"), ("quinn", "q-held"), ("quinn", "q-loose"), ("quinn", None), ("quentin", "q-held"),
            ("quentin", None), ("quentin", None)]  # fmt: skip
    for number, (person, process) in enumerate(said):
        more: dict[str, Any] = {"process": {"id": process, "version": 1}} if process is not None else {}
        await at.fact(f"work/Q-cover-{number + 1}", "work.defined", source="qsys", at=begin, title="Refund",
                      accountable=person, **more)  # fmt: skip
    period = {"from_time": begin.isoformat(), "until_time": (begin + timedelta(days=1)).isoformat()}
    found = await at.ask("process_coverage", **period)
    assert (found["all"]["items"], found["all"]["published"], found["all"]["controlled"]) == (7, 4, 3)
    assert (found["all"]["share"], found["all"]["coverage"]) == (4 / 7, 3 / 7)
    units = {one["unit"]: (one["items"], one["share"], one["coverage"]) for one in found["units"]}
    assert units == {"q-sales": (4, 3 / 4, 2 / 4), "q-stock": (3, 1 / 3, 1 / 3)}
    assert "q-held" in found["with_agents"] and "q-loose" in found["without_agents"]


@pytest.mark.requirement("002-05f")
async def test_an_agent_that_is_very_busy_and_completes_nothing_ranks_last(at: Office) -> None:
    await at.entrusted("Q-busy", "quick", by="quinn")
    await at.done("quick", "execution.start", work_id="Q-busy", execution_id="x-1")
    events = [{"execution_id": "x-1", "action_id": f"a-{n}", "tool": "look"} for n in range(1_000)]
    ledger_facts = [
        {"specversion": "1.0", "id": f"q-busy-{n}", "source": "/qsys", "type": "attorn.execution.action_recorded.v1",
         "subject": "work/Q-busy", "time": datetime.now(UTC).isoformat(), "data": data}
        for n, data in enumerate(events)
    ]  # fmt: skip
    await at.facts("qsys", ledger_facts)
    await at.carried_out("Q-calm", "quill", by="quinn")
    await at.done("quinn", "work.verify", work_id="Q-calm")
    ranked = (await at.ask("completions"))["ranked"]
    names = [one["of"] for one in ranked if one["of"] in ("quill", "quota", "quick")]
    busy, calm = (next(one for one in ranked if one["of"] == who) for who in ("quick", "quill"))
    assert (busy["verified"], busy["actions"] >= 1_000) == (0, True) and calm["verified"] >= 1
    assert names[0] == "quill" and names[-1] == "quick"


@pytest.mark.requirement("004-16f")
async def test_verified_completions_for_each_person_who_answers_are_told_month_by_month(at: Office) -> None:
    months = {"2001-03": 3, "2001-04": 6, "2001-05": 9}
    people = ("quinn", "quentin")
    for month, count in months.items():
        for number in range(count):
            begin = datetime.fromisoformat(f"{month}-10T08:00:00+00:00") + timedelta(hours=number)
            stream = f"work/Q-lever-{month}-{number}"
            await at.fact(stream, "work.defined", source="qsys", at=begin, title="R", accountable=people[number % 2])
            for hours, type in ((1, "work.submitted"), (2, "work.verified"), (3, "work.completed")):
                await at.fact(stream, type, source="qsys", at=begin + timedelta(hours=hours))
    # What was not verified is activity, and what was opened again is not done.
    begin = datetime(2024, 5, 12, tzinfo=UTC)
    await at.fact("work/Q-lever-open", "work.defined", source="qsys", at=begin, title="R", accountable="quinn")
    await at.fact("work/Q-lever-open", "work.submitted", source="qsys", at=begin)
    await at.fact("work/Q-lever-2001-05-8", "work.reopened", source="qsys", at=begin, cycle=2)
    found = await at.ask("completions", by="accountable", from_month="2001-03", until_month="2001-05")
    assert found["months"] == {"2001-03": 3, "2001-04": 6, "2001-05": 8}
    assert found["people"] == dict.fromkeys(months, 2)
    assert found["leverage"] == {"2001-03": 1.5, "2001-04": 3.0, "2001-05": 4.0}
    assert {one["of"]: one["verified"] for one in found["ranked"]} == {"quinn": 9, "quentin": 8}


@pytest.mark.requirement("004-01")
async def test_what_work_cost_adds_up_to_what_the_events_say(at: Office) -> None:
    await published(at, "q-dear")
    await at.done("quinn", "outcome.define", outcome_id="q-cheap", statement="It costs less.")
    spent = [
        ("quill", "0.10", 900, 0),
        ("quota", "0.25", 1_200, 0),
        ("quill", "0.1003", 7, 0),
        ("quanah", None, 0, 600),
    ]
    for number, (who, money, tokens, seconds) in enumerate(spent):
        work = f"Q-cost-{number}"
        cost: dict[str, Any] = {"tokens_in": tokens, "tokens_out": 1, "human_seconds": seconds}
        if money is not None:
            cost["money"] = {"amount": money, "currency": "EUR"}
        purpose = {"purpose": {"outcome_id": "q-cheap"}} if number < 2 else {}
        await at.carried_out(work, who, by="quinn", cost=cost, define={"process": "q-dear", **purpose})
        await reviewed(at, work, "approved")
    await at.done("quinn", "work.verify", work_id="Q-cost-0")
    found = await at.ask("costs", process="q-dear")

    told = [each.event for each in await log(at)
            if each.stream.startswith("work/Q-cost-") and isinstance(each.event.data, WorkExecuted)]  # fmt: skip
    costs = [each.data.cost for each in told]
    assert found["executions"] == len(told) == 4
    assert found["tokens"] == sum((cost.tokens_in or 0) + (cost.tokens_out or 0) for cost in costs)
    assert found["human_seconds"] == sum(cost.human_seconds or 0 for cost in costs) == 600
    total = sum((Decimal(cost.money.amount) for cost in costs if cost.money is not None), Decimal())
    assert Decimal(found["money"]["EUR"]) == total == Decimal("0.4503")
    month = f"{told[0].time:%Y-%m}"
    lines = {(line["month"], line.get("who"), line.get("outcome")): line["money"].get("EUR") for line in found["costs"]}
    assert lines == {(month, "quill", "q-cheap"): "0.10", (month, "quota", "q-cheap"): "0.25",
                     (month, "quill", None): "0.1003", (month, "quanah", None): None}  # fmt: skip
    assert (await at.ask("costs", process="q-dear", who="quill"))["money"] == {"EUR": "0.2003"}
    assert (await at.ask("costs", outcome="q-cheap"))["money"] == {"EUR": "0.35"}
    assert (found["items"], found["verified"], found["each"]) == (4, 1, {"EUR": "0.4503"})


@pytest.mark.requirement("004-08")
async def test_two_agents_that_change_the_same_things_are_seen_and_each_has_a_person_above_it(at: Office) -> None:
    for work, who, target, times in (
        ("Q-over-1", "quill", "q-crm://orders/4711", 2),
        ("Q-over-2", "quota", "q-crm://orders/4712", 1),
        ("Q-over-3", "quick", "q-crm://invoices/9", 1),
    ):
        await at.entrusted(work, who, by="quinn")
        x = {"work_id": work, "execution_id": "x-1"}
        await at.done(who, "execution.start", **x)
        for number in range(times):
            await at.done(who, "execution.record_action", **x, action_id=f"a-{number}", tool="update", target=target,
                          side_effect=True, args_dig="sha256:" + f"{number}" * 64)  # fmt: skip
    [overlap] = (await at.ask("overlaps", prefix="q-crm://"))["overlaps"]
    assert (overlap["prefix"], overlap["agents"]) == ("q-crm://orders", {"quill": 2, "quota": 1})
    assert overlap["people"] == ["quinn"]
    assert "overlaps" not in await at.ask("overlaps", prefix="q-crm://", depth=2)

    for sponsor in (None, "quill", "q-nobody"):
        body = {"participant_id": "q-stray", "kind": "agent", "display_name": "Stray", "sponsor": sponsor}
        said = {name: value for name, value in body.items() if value}
        await at.refused("root", "participant.register", "sponsor-human", **said)
    chart = await at.ask("org", kind="agent", limit=1_000)
    assert all(node["top"] is not None and "problem" not in node for node in chart["nodes"] if node["id"][0] == "q")


@pytest.mark.requirement("004-09")
async def test_who_works_by_an_old_version_is_listed_at_once_and_found_after_its_grace(at: Office) -> None:
    await published(at, "q-moving")
    await at.done("quinn", "process.map", process_id="q-moving", origin="documented")
    await at.done("root", "role.grant", participant_id="quinn", role="agent_manager", scope="process/q-moving")
    for agent in ("quill", "quota"):
        await at.done("quinn", "agent.deploy", participant_id=agent, process_id="q-moving", heartbeat="PT5M",
                      oversight=OVERSIGHT)  # fmt: skip
    for number in range(4):
        await at.entrusted(f"Q-move-{number}", "quill", by="quinn", process="q-moving")
    assert (await at.ask("outdated", process="q-moving"))["agents"] == []
    begun = time.monotonic()
    await published(at, "q-moving", change_summary="Other steps.", grace="PT0.2S")
    late = (await at.ask("outdated", process="q-moving"))["agents"]
    assert time.monotonic() - begun <= 1.0
    assert [(one["agent"], one["version"], one["newest"]) for one in late] == [("quill", 1, 2), ("quota", 1, 2)]
    await asyncio.sleep(0.3)
    # At the command door it is recorded all the same: what was begun under a version may be finished, and is found.
    started = [await at.done("quill", "execution.start", work_id="Q-move-3", execution_id="x-1", process_version=1)]
    for number in range(3):
        told = await at.fact(f"work/Q-move-{number}", "execution.started", source="qsys", execution_id="x-1",
                             executor="quill", delegation_id=f"D-Q-move-{number}", process_version=1)  # fmt: skip
        assert "drift" in {breach.rule for breach in told.warnings}
        started.append(told)
    found = (await at.ask("findings", rule="drift", limit=1_000))["findings"]
    assert {one["position"] for one in found} >= {each.position for each in started}


@pytest.mark.requirement("002-11")
async def test_nothing_is_carried_out_but_by_those_outside(at: Office) -> None:
    for number, who in enumerate(("quill", "quentin", "qsys")):
        await at.entrusted(f"Q-idle-{number}", who, by="quinn", method={"tools": ["shell"]}, candidates=[who])
        await at.done("quinn", "work.assign", work_id=f"Q-idle-{number}", executor=who)
    before = await JetStreamLedger(at.nc).last()
    await asyncio.sleep(1.0)
    assert await JetStreamLedger(at.nc).last() == before
    for number in range(3):
        types = {event["type"] for event in await at.events(f"Q-idle-{number}")}
        assert not {type for type in types if "execut" in type or "output" in type}
    # All that was ever begun or ended on the log, a participant who was registered did, or a source reported.
    named = {one["id"] for one in (await at.ask("participants", limit=1_000))["participants"]}
    events = [each.event for each in await log(at) if each.stream.startswith("work/Q-")]
    begun = {event.authid for event in events if isinstance(event.data, ExecutionStarted | WorkExecuted)}
    assert begun and begun <= named


@pytest.mark.requirement("002-11")
def test_the_core_has_nothing_to_carry_work_out_with() -> None:
    assert len(CORE) > 100
    for path in CORE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not (imported | called) & MEANS, path


@pytest.mark.requirement("000-03")
async def test_every_number_is_the_same_after_a_rebuild_from_the_first_event(at: Office) -> None:
    questions: list[tuple[str, dict[str, Any]]] = [
        ("stats", {}), ("handovers", {}), ("log_stats", {}), ("scorecard", {"agent": "quota"}), ("costs", {}),
        ("bottleneck", {"limit": 200}), ("completions", {}), ("process_coverage", {}), ("span", {}), ("outcomes", {}),
    ]  # fmt: skip
    before = [await at.ask(question, **asked) for question, asked in questions]
    for job in ("rebuild", "verify"):
        said = await at.nc.request(f"attorn.q.projector.{job}", b'{"wait": 60}', timeout=70)
        done = msgspec.json.decode(said.data)["result"]
        assert done["state"] == "done" and {"board", "activity", "controls"} <= {one["view"] for one in done["views"]}
        assert all(one["equal"] and one["live"] == one["rebuilt"] for one in done["views"])
    assert [await at.ask(question, **asked) for question, asked in questions] == before
