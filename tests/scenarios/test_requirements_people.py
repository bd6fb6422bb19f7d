"""Rows of the requirements about people, agents at work, and what processes say, against services on a real server."""

import tomllib
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from attorn.contracts.envelope import Recorded
from attorn.contracts.ids import Pinned
from attorn.contracts.refusal import Problem, Receipt
from attorn.projections.directory import AsOf, Directory, fold
from attorn.projections.findings import Findings
from attorn.projections.workforce import deployments, line, outdated, unattested, unmanaged, when_stuck
from attorn.services.process.lint import lint
from attorn.services.process.mine import History, draft
from attorn.services.process.template import NAMES, filled
from attorn.services.rulebook import RULES
from attorn.services.supervise.server import embedded
from attorn_services import Services, serving
from sample_story import Told

T0: Final = "2026-03-02T09:00:00Z"
DIG: Final = "sha256:" + "a" * 64
TOGETHER: Final = dict.fromkeys(("participation", "accountability", "collaboration", "visibility"), "said")
DECIDE: Final = {"step_id": "decide", "name": "Decide", "ai_mode": "act_then_review", "needs": ["payments"],
                 "raci": {"A": "ana", "R": "bot"}}  # fmt: skip
OVERSIGHT: Final = {"sample_rate": 0.2, "review_every": "P30D"}
LADDER: Final = [{"rung": 1, "targets": ["ben"], "ack_within": "PT15M"},
                 {"rung": 2, "targets": ["carla"], "ack_within": "PT1H"}]  # fmt: skip


def sound(process: str, **said: Any) -> dict[str, Any]:
    """A process with a step for AI, against which nothing can be said."""
    body = {"process_id": process, "owner": "ana", "purpose": "Money back", "entry_criteria": ["paid"],
            "exit_criteria": ["told"], "steps": [DECIDE], "review_policy": "check", "escalation_policy": "help",
            "ai_work": TOGETHER} | said  # fmt: skip
    return {name: value for name, value in body.items() if value is not None}


def deploy(process: str, agent: str = "bot", **said: Any) -> dict[str, Any]:
    body = {"participant_id": agent, "process_id": process, "heartbeat": "PT5M", "oversight": OVERSIGHT} | said
    return {name: value for name, value in body.items() if value is not None}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attorn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """One attorn for the file: people, agents, policies, a manager of agents; each test has processes of its own."""
    async with embedded(tmp_path_factory.mktemp("nats"), ephemeral=True) as broker, serving(broker) as services:
        await services.people("ana", "ben", "carla", "dana")
        for id in ("bot", "scout"):
            body = {"participant_id": id, "kind": "agent", "display_name": id.title(), "sponsor": "ana",
                    "capabilities": ["payments"]}  # fmt: skip
            await services.done("root", "participant.register", body)
        for id, kind, rules in (
            ("check", "review", {"reviewers_required": 1}),
            ("help", "escalation", {"ladder": LADDER}),
        ):
            await services.done("ana", "policy.publish", {"policy_id": id, "kind": kind, "rules": {kind: rules}})
        await services.done("root", "role.grant", {"participant_id": "carla", "role": "agent_manager"})
        # What crm reports is a finding where it breaks a rule, and counts: it was given the word.
        word = {
            "source_id": "crm",
            "uri": "/crm",
            "custodian": "ana",
            "speaks_of": ["participant", "process", "policy"],
        }
        await services.done("root", "source.register", word)
        yield services


async def refused(attorn: Services, who: str, verb: str, body: dict[str, Any], *rules: str) -> Problem:
    """The problem that answers a command, by just these rules; nothing was recorded."""
    last = await attorn.ledger.last()
    answer = await attorn.command(who, verb, body)
    assert isinstance(answer, Problem), f"{verb} by {who} was carried out: {answer}"
    assert {breach.rule for breach in answer.rules} == set(rules), answer
    assert answer.status == 422
    assert await attorn.ledger.last() == last
    return answer


async def found(attorn: Services, subject: str, type: str, data: dict[str, Any], *rules: str) -> None:
    """The same as a fact: it is recorded, and these rules among others are its findings."""
    position = await attorn.ledger.last() + 1
    event = {"specversion": "1.0", "id": f"f-{position}", "source": "/crm", "type": f"attorn.{type}.v1",
             "subject": subject, "time": datetime.now(UTC).isoformat(), "data": data}  # fmt: skip
    told = await attorn.fact("crm", event)
    assert isinstance(told, Receipt), told
    assert {breach.rule for breach in told.warnings} >= set(rules), told.warnings
    events = await log(attorn)
    directory, rows = Directory(), dict[str, Any]()
    view = Findings(RULES, directory)
    for each in events:
        for key in view.keys(each):
            rows[key] = view.apply(rows.get(key), each, key)
        directory.evolve(each)
    seen = {finding.rule for finding in rows[subject].findings if finding.position == told.position}
    assert seen >= set(rules), seen


async def log(attorn: Services) -> list[Recorded]:
    """Every event on the log."""
    events: list[Recorded] = []
    async with aclosing(attorn.ledger.follow()) as pages:
        async for page in pages:
            events += page.recorded
            if not page.pending:
                break
    return events


async def people(attorn: Services) -> Directory:
    return fold(await log(attorn))


async def ask(attorn: Services, question: str, **asked: Any) -> Any:
    """The answer of the views, folded from the log as it is now."""
    return Told(await log(attorn), {}, 1_000).ask(question, **asked)


# ---- what a process says


@pytest.mark.requirement("003-03")
async def test_every_step_has_one_who_answers_and_leads_to_a_person_when_it_is_published(attorn: Services) -> None:
    for raci in ({"R": "bot"}, {"A": "bot"}, {"A": "zed"}, {"A": "auditor"}):
        body = sound("raci", steps=[DECIDE | {"raci": raci}])
        problem = await refused(attorn, "ana", "process.publish", body, "step-accountable")
        assert problem.rules[0].field == "data.steps[decide].raci"
    two = await attorn.command(
        "ana", "process.publish", sound("raci", steps=[DECIDE | {"raci": {"A": ["ana", "ben"]}}])
    )
    assert isinstance(two, Problem) and two.status == 400 and "raci.A" in (two.field or "")

    await attorn.done("root", "role.grant", {"participant_id": "dana", "role": "auditor"})
    await attorn.done("ana", "process.publish", sound("raci", steps=[DECIDE | {"raci": {"A": "auditor"}}]))
    said = {"version": 1, "owner": "ana", "steps": [DECIDE | {"raci": {"A": "bot"}}]}
    await found(attorn, "process/raci-2", "process.published", said, "step-accountable")


@pytest.mark.requirement("003-08")
async def test_a_process_with_a_step_for_ai_that_leaves_out_any_of_the_four_is_refused(attorn: Services) -> None:
    for missing in TOGETHER:
        said = {name: text for name, text in TOGETHER.items() if name != missing}
        problem = await refused(attorn, "ana", "process.publish", sound("four", ai_work=said), "collaboration-unsaid")
        assert [breach.field for breach in problem.rules] == [f"data.ai_work.{missing}"]
    by_people = [DECIDE | {"ai_mode": "none"}]
    await attorn.done("ana", "process.publish", sound("four", ai_work=None, steps=by_people))
    await attorn.done("ana", "process.publish", sound("four"))
    await found(attorn, "process/four-2", "process.published",
                {"version": 1, "owner": "ana", "steps": [DECIDE]}, "collaboration-unsaid")  # fmt: skip


@pytest.mark.requirement("003-02")
@pytest.mark.requirement("001-07")
async def test_lint_reports_all_that_is_missing_and_what_is_refused_for_it_is(attorn: Services) -> None:
    steps = [DECIDE | {"next": ["trap"]}, {"step_id": "trap", "name": "Trap", "next": ["decide"], "raci": {"A": "ana"}},
             {"step_id": "island", "name": "Island", "raci": {"A": "ana", "R": "ben"}}]  # fmt: skip
    draft = sound("draft", steps=steps, escalation_policy=None, review_policy=None, entry_criteria=[], exit_criteria=[])
    flaws = lint(msgspec.convert(draft, _shape(), strict=False), has_owner=False)
    assert {flaw.code for flaw in flaws} == {
        "missing-owner", "missing-escalation-path", "missing-entry-criteria", "missing-exit-criteria", "dead-end",
        "unreachable", "no-role", "ai-unreviewed",
    }  # fmt: skip
    rules = {flaw.rule for flaw in flaws if flaw.rule is not None and flaw.rule != "owner-human"}
    await refused(attorn, "ana", "process.publish", draft, *(rule for rule in rules if rule is not None))


@pytest.mark.requirement("004-24")
async def test_where_a_failure_cannot_be_undone_ai_acts_only_with_approval(attorn: Services) -> None:
    for mode in ("act_then_review", "act"):
        body = sound("undone", recoverable="no", steps=[DECIDE | {"ai_mode": mode}])
        await refused(attorn, "ana", "process.publish", body, "autonomy-unrecoverable")
    for mode in ("none", "suggest", "act_with_approval"):
        await attorn.done(
            "ana", "process.publish", sound("undone", recoverable="no", steps=[DECIDE | {"ai_mode": mode}])
        )
    await attorn.done("ana", "process.publish", sound("undone", recoverable="partial"))
    said = {"version": 9, "owner": "ana", "recoverable": "no", "steps": [DECIDE]}
    await found(attorn, "process/undone", "process.published", said, "autonomy-unrecoverable")


@pytest.mark.requirement("004-16e")
async def test_nothing_is_published_or_deployed_without_an_escalation_path_that_ends_at_a_person(
    attorn: Services,
) -> None:
    await refused(attorn, "ana", "process.publish", sound("path", escalation_policy=None), "controls-missing")
    to_agents = {"ladder": [{"rung": 1, "targets": ["bot"], "ack_within": "PT1H"}]}
    body = {"policy_id": "agents", "kind": "escalation", "rules": {"escalation": to_agents}}
    await refused(attorn, "ana", "policy.publish", body, "ladder-human")

    # A process without steps has no place where work gets stuck; an agent in it would.
    await attorn.done("ana", "process.publish", {"process_id": "path", "owner": "ana"})
    await attorn.done("ana", "process.map", {"process_id": "path", "origin": "documented"})
    problem = await refused(attorn, "ana", "agent.deploy", deploy("path"), "deployment-controls")
    assert [breach.field for breach in problem.rules] == ["escalation_policy"]


@pytest.mark.requirement("004-21")
async def test_every_template_passes_lint_and_is_published(attorn: Services) -> None:
    assert set(NAMES) >= {"ap-invoice", "order-exception", "prior-auth", "customer-onboarding", "data-enrichment",
                          "ticket-triage"}  # fmt: skip
    for name in NAMES:
        values = {"id": name, "owner": "ana", "review_policy": "check", "escalation_policy": "help"}
        body = tomllib.loads(filled(name, values))
        assert lint(msgspec.convert(body, _shape(), strict=False)) == ()
        await attorn.done("ana", "process.publish", body)


@pytest.mark.requirement("002-10")
async def test_which_version_of_a_policy_governed_an_event_is_said_of_every_position(attorn: Services) -> None:
    async def publish(within: str) -> None:
        rules = {"review": {"reviewers_required": 1, "respond_within": within}}
        await attorn.done("ana", "policy.publish", {"policy_id": "governs", "kind": "review", "rules": rules})

    pins, positions = [], []
    for within in ("PT1H", "PT2H"):
        await publish(within)
        work = f"G-{within}"
        body = {"work_id": work, "title": "Refund", "accountable": "ana", "review_policy": "governs"}
        await attorn.done("ana", "work.define", body)
        [defined, *_] = await attorn.ledger.read(f"work/{work}")
        pins.append(defined.event.data.review_policy)
        noted = await attorn.done("ana", "note.add", {"work_id": work, "text": "seen"})
        positions.append((work, (defined.position, noted.position)))
    assert [pin.version for pin in pins] == [1, 2]

    # Whatever is published since: the pinned words are still there to be read.
    directory = await people(attorn)
    governing_ = [directory.policy(pin.id, pin.version) for pin in pins]
    hours = [policy.rules.review.respond_within for policy in governing_ if policy and policy.rules.review]
    assert hours == [timedelta(hours=1), timedelta(hours=2)]
    for (work, told), version in zip(positions, (1, 2), strict=True):
        for position in told:
            ruled = await ask(attorn, "governing", event=position)
            assert (ruled.stream, ruled.pinned) == (f"work/{work}", (Pinned(id="governs", version=version),))
    said = {"version": 1, "kind": "review", "rules": {"review": {"reviewers_required": 9}}}
    await found(attorn, "policy/governs", "policy.published", said, "version-increasing")


# ---- who leads whom


@pytest.mark.requirement("004-14")
async def test_the_chart_at_a_day_has_no_cycle_and_every_agent_ends_at_a_person_who_is_here(attorn: Services) -> None:
    for id, party in (("helper", "Bots & Co"), ("clerk", None)):
        body = {"participant_id": id, "kind": "agent", "display_name": id.title(), "sponsor": "ana"}
        await attorn.done("root", "participant.register", body | ({"external_party": party} if party else {}))
    for id, new in (("helper", "ben"), ("ben", "dana"), ("clerk", "helper")):
        await attorn.done("root", "manager.change", {"participant_id": id, "new": new})
    day = datetime.now(UTC)
    await refused(attorn, "root", "manager.change", {"participant_id": "dana", "new": "helper"}, "manager-human")
    await refused(attorn, "root", "manager.change", {"participant_id": "dana", "new": "dana"}, "manager-human")
    await attorn.done("root", "manager.change", {"participant_id": "helper", "new": "carla"})

    then = {node.id: node for node in (await ask(attorn, "org", at=day)).nodes}
    now = {node.id: node for node in (await ask(attorn, "org")).nodes}
    assert (then["helper"].path, now["helper"].path) == (("ben", "dana"), ("carla",))
    assert (then["clerk"].path, now["clerk"].path) == (("helper", "ben", "dana"), ("helper", "carla"))
    assert now["helper"].external_party == "Bots & Co"
    for chart in (then, now):
        for node in chart.values():
            assert node.id not in node.path and node.problem is None
            assert node.kind not in ("agent", "system") or chart[node.top or ""].kind == "human"


# ---- agents at work


@pytest.mark.requirement("004-25")
async def test_what_an_agent_lacks_to_be_deployed_is_listed_all_at_once(attorn: Services) -> None:
    await attorn.done("ana", "process.publish", {"process_id": "bare", "owner": "ana"})
    await attorn.done("ana", "process.map", {"process_id": "bare", "origin": "documented"})
    problem = await refused(attorn, "ana", "agent.deploy", {"participant_id": "bot", "process_id": "bare"},
                            "deployment-controls", "unmanaged-agent")  # fmt: skip
    assert [breach.field for breach in problem.rules] == ["data.heartbeat", "escalation_policy", "data.oversight"]
    await found(attorn, "participant/bot", "agent.deployed", {"process_id": "bare"}, "deployment-controls",
                "unmanaged-agent")  # fmt: skip
    await attorn.done("ana", "process.publish", sound("monitored"))
    await attorn.done("ana", "agent.deploy", deploy("monitored"))


@pytest.mark.requirement("004-23")
async def test_an_agent_is_not_deployed_on_a_process_that_nobody_has_mapped(attorn: Services) -> None:
    body = {"process_id": "unmapped", "owner": "ana", "escalation_policy": "help"}
    await attorn.done("ana", "process.publish", body)
    await refused(attorn, "ana", "agent.deploy", deploy("unmapped"), "deployment-process")
    await refused(attorn, "ana", "agent.deploy", deploy("unheard-of"), "deployment-process")

    # What happened to work under it drafts the map: twice straight on, once with a step in between.
    for work, steps in (("M-1", "ab"), ("M-2", "ab"), ("M-3", "acb")):
        w = {"work_id": work}
        await attorn.done("ana", "work.define", {**w, "title": "T", "accountable": "ana", "process": "unmapped"})
        for step in steps:
            begun = {**w, "execution_id": f"E-{step}", "step_id": step}
            await attorn.done("ana", "execution.start", begun)
            await attorn.done("ana", "work.execute", {**w, "execution_id": f"E-{step}", "result": "failed"})
    history = History()
    for each in await log(attorn):
        if each.stream.startswith("work/"):
            history.take(each.event, "unmapped")
    mapped = draft(history, 0.3)
    flow = {step.step_id: set(step.next) for step in mapped.steps}
    assert mapped.steps[0].step_id == "work-defined" and flow["work-defined"] == {"a"}
    assert flow["a"] == {"work-executed"} and flow["work-executed"] >= {"b"}
    assert {step.step_id for step in mapped.steps if step.may_end} == {"work-executed"}
    assert "c" not in {step.step_id for step in draft(history, 0.5).steps}
    body = msgspec.to_builtins(mapped)
    body.pop("type", None)
    await attorn.done("ana", "process.map", {"process_id": "unmapped", **body})
    await attorn.done("ana", "agent.deploy", deploy("unmapped"))


@pytest.mark.requirement("004-02")
async def test_all_deployments_as_of_a_day_and_none_on_a_process_that_is_retired(attorn: Services) -> None:
    await attorn.done("ana", "process.publish", sound("staffed"))
    before = datetime.now(UTC)
    await attorn.done("ana", "agent.deploy", deploy("staffed", instructions=[{"step": "decide", "dig": DIG}]))
    await attorn.done("ana", "agent.deploy", deploy("staffed", "scout", environment="test"))
    during = datetime.now(UTC)
    await attorn.done("ana", "agent.undeploy", {"participant_id": "bot", "process_id": "staffed"})
    await attorn.done("ana", "process.retire", {"process_id": "staffed"})
    await refused(attorn, "ana", "agent.deploy", deploy("staffed"), "deployment-process")

    directory = await people(attorn)
    listed = [[each.agent for each in deployments(directory, asof, "staffed")]
              for asof in (AsOf(at=before), AsOf(at=during), AsOf())]  # fmt: skip
    assert listed == [[], ["bot", "scout"], ["scout"]]
    [bot, _] = deployments(directory, AsOf(at=during), "staffed")
    assert bot.said.process_version == 1 and bot.said.instructions[0].dig == DIG


async def test_an_agent_that_lacks_a_capability_is_not_deployed(attorn: Services) -> None:
    needy = [DECIDE | {"needs": ["payments", "french"]}]
    await attorn.done("ana", "process.publish", sound("needy", steps=needy))
    problem = await refused(attorn, "ana", "agent.deploy", deploy("needy"), "capability-missing")
    assert "needs french" in problem.rules[0].detail
    await attorn.done("ana", "participant.update", {"participant_id": "scout", "capabilities": ["payments", "french"]})
    by_scout = [DECIDE | {"raci": {"A": "ana", "R": "scout"}, "needs": ["payments", "french"]}]
    await attorn.done("ana", "process.publish", sound("needy", steps=by_scout))
    await attorn.done("ana", "agent.deploy", deploy("needy", "scout"))


@pytest.mark.requirement("004-07")
@pytest.mark.requirement("004-16b")
async def test_an_agent_without_a_plan_and_a_scope_without_a_manager_are_findings(attorn: Services) -> None:
    await attorn.done("ana", "process.publish", sound("watched"))
    for oversight in (None, {"sample_rate": 1.0}):
        await refused(attorn, "ana", "agent.deploy", deploy("watched", oversight=oversight), "unmanaged-agent")
    said = {"process_id": "watched", "process_version": 1, "heartbeat": "PT5M"}
    await found(attorn, "participant/bot", "agent.deployed", said, "unmanaged-agent")

    await attorn.done("root", "role.revoke", {"participant_id": "carla", "role": "agent_manager"})
    try:
        problem = await refused(attorn, "ana", "agent.deploy", deploy("watched"), "unmanaged-agent")
        assert "agent_manager for process/watched" in problem.rules[0].detail
        await found(attorn, "participant/bot", "agent.deployed", said | {"oversight": OVERSIGHT}, "unmanaged-agent")
        assert "watched" in unmanaged(await people(attorn), datetime.now(UTC))
        # The manager may be of another house: a participant like any other, with the house that they are of.
        outside = {"participant_id": "mel", "kind": "human", "display_name": "Mel", "external_party": "Managed AI Ltd"}
        await attorn.done("root", "participant.register", outside)
        await attorn.done("root", "role.grant",
                          {"participant_id": "mel", "role": "agent_manager", "scope": "process/watched"})  # fmt: skip
        await attorn.done("ana", "agent.deploy", deploy("watched"))
        assert "watched" not in unmanaged(await people(attorn), datetime.now(UTC))
    finally:
        await attorn.done("root", "role.grant", {"participant_id": "carla", "role": "agent_manager"})


async def test_a_new_version_lists_every_agent_that_is_pinned_to_the_old_one(attorn: Services) -> None:
    await attorn.done("ana", "process.publish", sound("moving"))
    await attorn.done("ana", "agent.deploy", deploy("moving"))
    assert outdated(await people(attorn), process="moving") == ()
    await attorn.done("ana", "process.publish", sound("moving", change_summary="Other steps"))
    [late] = outdated(await people(attorn), process="moving")
    assert (late.agent, late.version, late.newest) == ("bot", 1, 2)


@pytest.mark.requirement("004-26")
async def test_what_happens_when_an_agent_is_stuck_is_told_in_names_of_people_who_are_here(attorn: Services) -> None:
    ladder = [{"rung": 1, "targets": ["eve"], "ack_within": "PT1H"},
              {"rung": 2, "targets": ["reviewer"], "ack_within": "PT1H"}]  # fmt: skip
    rules = {"escalation": {"ladder": ladder}}
    await attorn.people("eve")
    await attorn.done("root", "role.grant", {"participant_id": "ben", "role": "reviewer"})
    await attorn.done("ana", "policy.publish", {"policy_id": "ask-eve", "kind": "escalation", "rules": rules})
    await attorn.done("ana", "process.publish", sound("asking", escalation_policy="ask-eve"))
    await attorn.done("ana", "agent.deploy", deploy("asking"))

    async def asked(at: datetime) -> Any:
        directory = await people(attorn)
        return next(each for each in when_stuck(directory, "bot", at) if each.process == "asking"), directory

    now = datetime.now(UTC)
    help_, directory = await asked(now)
    assert [rung.persons for rung in help_.rungs] == [("eve",), ("ben",)] and help_.problem is None
    assert all(directory.is_person(person) for rung in help_.rungs for person in rung.persons)

    body = {"participant_id": "eve", "from": now.isoformat(), "until": (now + timedelta(days=9)).isoformat(),
            "substitute": "dana", "covers": ["escalation"]}  # fmt: skip
    await attorn.done("eve", "absence.declare", body)
    help_, _ = await asked(now + timedelta(days=1))
    assert [rung.persons for rung in help_.rungs] == [("dana",), ("ben",)]

    await attorn.done("root", "participant.deactivate", {"participant_id": "eve", "successor": "carla"})
    help_, directory = await asked(now)
    assert [rung.persons for rung in help_.rungs] == [("carla",), ("ben",)]
    assert all(directory.is_person(person) for rung in help_.rungs for person in rung.persons)

    # The last rung is a role that nobody holds any more: nobody is deployed on that, and who says so is found.
    await attorn.done("root", "role.revoke", {"participant_id": "ben", "role": "reviewer"})
    help_, _ = await asked(now)
    assert help_.problem == "the last rung leads to no person who is here"
    await refused(attorn, "ana", "agent.deploy", deploy("asking", "scout"), "deployment-controls")
    said = {"process_id": "asking", "process_version": 1, "heartbeat": "PT5M", "oversight": OVERSIGHT}
    await found(attorn, "participant/scout", "agent.deployed", said, "deployment-controls")


async def test_what_nobody_has_vouched_for_in_so_many_days_is_listed(attorn: Services) -> None:
    await attorn.done("ana", "process.publish", sound("vouched"))
    now, month = datetime.now(UTC), timedelta(days=30)
    assert "process/vouched" in {each.subject for each in unattested(await people(attorn), now, month)}
    body = {"participant_id": "ana", "subject": "process/vouched", "statement": "still so"}
    await attorn.done("ana", "attestation.give", body)
    await refused(attorn, "ben", "attestation.give", body, "attestation-own")
    now, directory = datetime.now(UTC), await people(attorn)
    assert "process/vouched" not in {each.subject for each in unattested(directory, now, month)}
    late = {each.subject: each.by for each in unattested(directory, now + timedelta(days=31), month)}
    assert late["process/vouched"] == "ana"


# ---- the last of the file, since from here on not everybody may publish


async def test_an_agent_without_a_person_above_it_is_not_possible_whoever_leaves(attorn: Services) -> None:
    for sponsor in (None, "scout", "zed"):
        body = {"participant_id": "stray", "kind": "agent", "display_name": "Stray", "sponsor": sponsor}
        await refused(attorn, "root", "participant.register",
                      {name: value for name, value in body.items() if value}, "sponsor-human")  # fmt: skip
    await attorn.people("gus")
    body = {"participant_id": "led", "kind": "agent", "display_name": "Led", "sponsor": "gus", "reports_to": "gus"}
    await attorn.done("root", "participant.register", body)
    await refused(attorn, "root", "participant.deactivate", {"participant_id": "gus"}, "successor-human")
    await attorn.done("root", "participant.deactivate", {"participant_id": "gus", "successor": "dana"})
    directory = await people(attorn)
    assert line(directory, "led").person == directory.successor("gus") == "dana"
    for node in (await ask(attorn, "org")).nodes:
        if node.kind in ("agent", "system"):
            assert node.problem is None and directory.is_person(node.top or "")


async def test_once_there_is_a_workflow_architect_only_one_publishes(attorn: Services) -> None:
    await attorn.done("ana", "process.publish", sound("drawn"))
    await attorn.done("root", "role.grant", {"participant_id": "dana", "role": "workflow_architect"})
    for who in ("ana", "root"):
        await refused(attorn, who, "process.publish", sound("drawn", purpose="Other"), "architect-only")
        await refused(attorn, who, "process.retire", {"process_id": "drawn"}, "architect-only")
    await found(attorn, "process/drawn", "process.published", sound_fact(), "architect-only")
    await attorn.done("dana", "process.publish", sound("drawn", purpose="Other"))


def sound_fact() -> dict[str, Any]:
    return {"version": 2, "owner": "ana"}


def _shape() -> Any:
    from attorn.contracts.process import PublishProcess

    return PublishProcess
