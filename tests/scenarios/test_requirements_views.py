"""Rows of the requirements that the views prove, over a log that the services wrote on a real nats-server."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from attorn.contracts.envelope import Recorded
from attorn.contracts.refusal import Problem
from attorn.projections.activity import EVENTS as COUNTED
from attorn.projections.directory import Directory
from attorn.projections.questions import QUESTIONS
from attorn.projections.store.sqlite import MEMORY, SQLiteViews
from attorn.services.projector import compose
from attorn.services.supervise.server import embedded
from attorn_services import Services, serving

DIG: Final = "sha256:" + "a" * 64
NEW: Final = "sha256:" + "b" * 64
INSTRUCTIONS: Final = "sha256:" + "1" * 64


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attorn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """One attorn for the file, with people and agents in it; each test has work items of its own."""
    async with embedded(tmp_path_factory.mktemp("nats"), ephemeral=True) as broker, serving(broker) as services:
        await services.people("ana", "ben", "carla")
        for id in ("bot", "scout"):
            body = {"participant_id": id, "kind": "agent", "display_name": id.title(), "sponsor": "ana"}
            await services.done("root", "participant.register", body)
        yield services


async def log(attorn: Services) -> list[Recorded]:
    """Every event on the log."""
    found: list[Recorded] = []
    async with aclosing(attorn.ledger.follow()) as pages:
        async for page in pages:
            found += page.recorded
            if not page.pending:
                break
    return found


async def ask(attorn: Services, question: str, **parameters: Any) -> Any:
    """The answer of the views, folded from the log as it is now."""
    directory = Directory()
    store = SQLiteViews(MEMORY, compose.views(directory), directory)
    try:
        assert not store.apply(await log(attorn))
        shape, answer = QUESTIONS[question]
        with store.reading() as rows:
            return answer(rows, directory, msgspec.convert(parameters, shape))
    finally:
        store.close()


async def carried_out(attorn: Services, work: str, who: str, *, outputs: int = 1, **start: Any) -> dict[str, str]:
    """Work of Ana's that `who` has carried out, with an action and so many outputs."""
    w = {"work_id": work}
    await attorn.done("ana", "work.define", {**w, "title": "Refund", "accountable": "ana"})
    await handed_in(attorn, work, who, outputs=outputs, **start)
    return w


async def handed_in(attorn: Services, work: str, who: str, *, outputs: int = 1, **start: Any) -> None:
    w = {"work_id": work}
    if who in ("bot", "scout"):
        await attorn.done(
            "ana", "work.delegate", {**w, "delegation_id": f"D-{work}", "delegate": who, "autonomy": "act"}
        )
        await attorn.done(who, "delegation.accept", {**w, "delegation_id": f"D-{work}"})
    x = {**w, "execution_id": f"x-{work}"}
    await attorn.done(who, "execution.start", {**x, **start})
    await attorn.done(who, "execution.record_action", {**x, "action_id": f"a-{work}", "tool": "read_order"})
    made = [
        {"output_id": f"o-{n}", "dig": DIG, "contribution": "ai" if who != "ben" else "human"} for n in range(outputs)
    ]
    await attorn.done(who, "work.execute", {**x, "result": "completed", "outputs": made})


@pytest.mark.requirement("000-02")
async def test_every_contributor_is_listed_with_event_ids_and_all_outputs_are_covered(attorn: Services) -> None:
    w = await carried_out(attorn, "V-1", "bot", outputs=3)
    await attorn.done("ben", "note.add", {**w, "text": "looks right"})
    found = await ask(attorn, "contributions", work="V-1")
    by = {each.who: each for each in found.contributors}
    assert {"ana", "ben", "bot"} <= set(by)
    on_log = {each.event.id for each in await log(attorn) if each.stream == "work/V-1"}
    assert all(set(each.events) <= on_log and each.events for each in by.values())
    assert sum(each.share for each in by.values()) == 1.0 and sum(found.outputs.values()) == 3
    assert by["bot"].outputs == ("o-0", "o-1", "o-2")


@pytest.mark.requirement("000-15")
async def test_owned_executed_and_shared_are_three_things_and_only_a_human_answers(attorn: Services) -> None:
    await attorn.done(
        "root", "participant.register", {"participant_id": "crew", "kind": "team", "display_name": "Crew"}
    )
    for wrong in ("bot", "crew", "nobody"):
        answer = await attorn.command("ana", "work.define", {"work_id": "V-2", "title": "Refund", "accountable": wrong})
        assert isinstance(answer, Problem) and answer.status == 422, answer
    for nobody in ({}, {"accountable": None}):
        answer = await attorn.command("ana", "work.define", {"work_id": "V-2", "title": "Refund", **nobody})
        assert isinstance(answer, Problem) and answer.status == 422, answer
        assert [(each.rule, each.field) for each in answer.rules] == [("accountability-defaulted", "data.accountable")]
    w = await carried_out(attorn, "V-2", "bot")
    gone = await attorn.command("root", "participant.deactivate", {"participant_id": "ana"})
    assert isinstance(gone, Problem) and gone.status == 409, gone
    [left] = [rule for rule in gone.rules if rule.rule == "work-left"]
    assert "V-2" in left.items and left.field == "data.successor"
    item = (await ask(attorn, "work", work="V-2")).item
    shares = {each.who: each.share for each in (await ask(attorn, "contributions", work=w["work_id"])).contributors}
    assert (item.accountable, item.executor) == ("ana", "bot")
    assert shares == {"ana": 0.0, "bot": 1.0}


async def test_nobody_leaves_open_work_behind_and_who_goes_with_a_successor_hands_on_all_of_it(
    attorn: Services,
) -> None:
    await attorn.people("lena")
    for work in ("V-31", "V-32", "V-33"):
        await attorn.done("lena", "work.define", {"work_id": work, "title": "Refund", "accountable": "lena"})
    await attorn.done("lena", "work.cancel", {"work_id": "V-33"})
    await attorn.done("lena", "accountability.offer", {"work_id": "V-32", "to": "ben"})
    alone = await attorn.command("root", "participant.deactivate", {"participant_id": "lena"})
    assert isinstance(alone, Problem) and alone.status == 409, alone
    assert [rule.items for rule in alone.rules if rule.rule == "work-left"] == [("V-31", "V-32")]

    await attorn.done("ben", "accountability.transfer", {"work_id": "V-32", "to": "ben"})
    alone = await attorn.command("root", "participant.deactivate", {"participant_id": "lena"})
    assert isinstance(alone, Problem)
    assert [rule.items for rule in alone.rules if rule.rule == "work-left"] == [("V-31",)]

    await attorn.done("root", "participant.deactivate", {"participant_id": "lena", "successor": "carla"})
    assert [(await ask(attorn, "who", work=work)).person for work in ("V-31", "V-32")] == ["carla", "ben"]


@pytest.mark.requirement("000-18")
@pytest.mark.requirement("003-04")
async def test_what_an_agent_or_a_person_did_on_a_day_is_counted_as_the_log_counts_it(attorn: Services) -> None:
    await carried_out(attorn, "V-3", "scout")
    await carried_out(attorn, "V-4", "ben")
    events = await log(attorn)
    day = events[-1].event.time.date().isoformat()
    for who in ("scout", "ben"):
        counted = Counter(
            each.event.type
            for each in events
            if each.event.authid == who
            and type(each.event.data) in COUNTED
            and each.event.time.date().isoformat() == day
        )
        [found] = (await ask(attorn, "activity", who=who, from_day=day)).days
        assert found.total == counted.total() and found.did["action"] >= 1 and sum(found.outputs.values()) >= 1
        deeds = (await ask(attorn, "activity_events", who=who, day=day, limit=1000)).events
        by_id = {each.event.id: each.event.type for each in events}
        assert Counter(by_id[deed.event_id] for deed in deeds) == counted
    assert "hidden-work" not in (await ask(attorn, "finding_counts")).open_by_rule


@pytest.mark.requirement("002-10")
async def test_any_event_names_the_policies_and_the_process_version_that_governed_it(attorn: Services) -> None:
    await published(attorn, "governed", seconds_min=1)
    w = {"work_id": "V-5"}
    await attorn.done("ana", "work.define", {**w, "title": "Refund", "accountable": "ana", "process": "governed"})
    await handed_in(attorn, "V-5", "bot", instructions_dig=INSTRUCTIONS)
    acted = next(each for each in await log(attorn) if each.stream == "work/V-5" and "action" in each.event.type)
    await published(attorn, "governed", seconds_min=2)
    found = await ask(attorn, "governing", event=acted.position)
    assert (found.process.id, found.process.version) == ("governed", 1)
    assert ("governed-review", 1) in [(each.id, each.version) for each in found.pinned]
    assert (found.chain.root, found.instructions_dig) == ("ana", INSTRUCTIONS)
    assert [(link.delegation, link.state) for link in found.chain.links] == [("D-V-5", "active")]


@pytest.mark.requirement("004-11")
async def test_the_holes_in_a_process_and_the_days_since_a_human_looked_are_said(attorn: Services) -> None:
    await published(attorn, "covered", seconds_min=0)
    w = {"work_id": "V-6"}
    await attorn.done("ana", "work.define", {**w, "title": "Refund", "accountable": "ana", "process": "covered"})
    await handed_in(attorn, "V-6", "scout")
    [before] = (await ask(attorn, "control_coverage", process="covered")).processes
    assert "last human look" in before.holes and before.covered < 1
    review = next(each.event.data for each in await log(attorn)
                  if each.stream == "work/V-6" and each.event.type == "attorn.review.requested.v1")  # fmt: skip
    verdict = {"review_id": review.review_id, "output_id": "o-0", "output_dig": DIG, "verdict": "approved"}
    await attorn.done("carla", "work.review", {**w, **verdict})
    end = (await log(attorn))[-1].event.time
    [after] = (await ask(attorn, "control_coverage", process="covered", at=end)).processes
    assert after.looked_by == "carla" and after.covered > before.covered and after.days_since == 0.0
    look = await ask(attorn, "last_look", agent="scout", at=end)
    assert (look.looked_by, look.work, look.days_since) == ("carla", "V-6", 0.0)


@pytest.mark.requirement("004-15")
async def test_a_hundred_agents_are_looked_after_on_one_page_and_exceptions_come_first(attorn: Services) -> None:
    for number in range(98):
        body = {"participant_id": f"h-{number:02d}", "kind": "agent", "display_name": "H", "sponsor": "carla"}
        await attorn.done("root", "participant.register", body)
    w = {"work_id": "V-7"}
    await attorn.done("ana", "work.define", {**w, "title": "Refund", "accountable": "ana"})
    await attorn.done("ana", "work.delegate", {**w, "delegation_id": "D-V-7", "delegate": "h-77", "autonomy": "act"})
    await attorn.done("h-77", "delegation.accept", {**w, "delegation_id": "D-V-7"})
    await attorn.done("h-77", "execution.start", {**w, "execution_id": "x-V-7"})
    asked = {"execution_id": "x-V-7", "request_id": "q", "from": "ana", "question": "Which?"}
    await attorn.done("h-77", "execution.require_input", {**w, **asked})
    page = await ask(attorn, "agents", limit=100)
    assert page.count == 100 and page.next is None
    assert (page.agents[0].id, page.agents[0].exceptions) == ("h-77", ("waits",))
    loads = {each.person: each for each in (await ask(attorn, "span")).people}
    assert (loads["carla"].agents, loads["ana"].agents, loads["ana"].waiting) == (98, 2, 1)


async def published(attorn: Services, process: str, *, seconds_min: int) -> None:
    """A process with a review policy and a ladder, or the next version of both."""
    for role, who in (("reviewer", "carla"), ("workflow_architect", "ana")):
        await attorn.done("root", "role.grant", {"participant_id": who, "role": role})
    review = {"reviewers_required": 1, "seconds_min": seconds_min, "candidates": ["carla"]}
    up = {"escalation": {"ladder": [{"rung": 1, "targets": ["ana"], "ack_within": "PT1H"}]}}
    await attorn.done("root", "policy.publish",
                      {"policy_id": f"{process}-review", "kind": "review", "rules": {"review": review}})  # fmt: skip
    await attorn.done("root", "policy.publish",
                      {"policy_id": f"{process}-up", "kind": "escalation", "rules": up})  # fmt: skip
    said = {"process_id": process, "owner": "ana", "purpose": "Give money back.", "review_policy": f"{process}-review",
            "escalation_policy": f"{process}-up", "change_summary": f"{seconds_min}"}  # fmt: skip
    await attorn.done("ana", "process.publish", said)
