"""Five ways in which people and agents work together, each told from beginning to end, with what the views then say."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from office import DIG, Office, office

NEW = "sha256:" + "b" * 64

pytestmark = pytest.mark.requirement("002-09")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def at(instance: str) -> AsyncIterator[Office]:
    """Mona manages; paul and rita are people; planner, watcher and runner are agents of mona's."""
    async with office(instance) as found:
        await found.people("mona", "paul", "rita")
        await found.agents("mona", "planner", "watcher", "runner")
        review = {"review": {"reviewers_required": 1, "candidates": ["rita"]}}
        await found.done("mona", "policy.publish", policy_id="five-look", kind="review", rules=review)
        yield found


async def test_an_agent_prepares_a_plan_and_a_person_reviews_it(at: Office) -> None:
    await at.entrusted("F-plan", "planner", by="mona", review_policy="five-look")
    await at.handed_in("F-plan", "planner", "x-1")
    [asked] = (await at.ask("inbox", who="rita", kind="review"))["waiting"]
    assert (asked["work"], asked["actions"]) == ("F-plan", ["review.claim", "work.review"])
    verdict = {"work_id": "F-plan", "output_id": "o-1", "review_id": asked["id"]}
    await at.refused("planner", "work.review", "self-review", **verdict, output_dig=DIG, verdict="approved")
    await at.done("rita", "work.review", **verdict, output_dig=DIG, verdict="changes_requested", comment="No dates.")
    await at.handed_in("F-plan", "planner", "x-2", dig=NEW)
    [asked] = (await at.ask("inbox", who="rita", kind="review"))["waiting"]
    await at.done("rita", "work.review", **verdict | {"review_id": asked["id"]}, output_dig=NEW, verdict="approved")
    await at.done("mona", "output.release", work_id="F-plan", output_id="o-1")
    await at.done("mona", "work.verify", work_id="F-plan")
    await at.done("mona", "work.complete", work_id="F-plan")

    item = (await at.ask("work", work="F-plan"))["item"]
    assert (item["state"], item["accountable"]) == ("completed", "mona")
    [output] = (await at.ask("controls", work="F-plan"))["outputs"]
    assert (output["executor"], output["reviewer"], output["first"], output["last"], output["released"]) == (
        "planner", "rita", "changes_requested", "approved", "reviewed"
    )  # fmt: skip
    assert "waiting" not in await at.ask("inbox", who="rita", kind="review")
    found = await at.ask("findings", work="F-plan")
    assert found.get("findings", []) == []


async def test_an_agent_watches_the_work_and_escalates(at: Office) -> None:
    await at.entrusted("F-watch", "watcher", by="mona")
    x = {"work_id": "F-watch", "execution_id": "x-1"}
    await at.done("watcher", "execution.start", **x)
    await at.done("watcher", "execution.progress", **x, percent=40, note="The carrier is late.")
    context = {"summary": "Carrier 7 is two days late.", "question": "Another carrier?",
               "options": [{"id": "wait", "label": "Wait"}, {"id": "other", "label": "Another carrier"}]}  # fmt: skip
    e = {"work_id": "F-watch", "escalation_id": "X-watch"}
    await at.done("watcher", "work.escalate", **e, reason="exception", blocking=True, context=context)
    [waits] = (await at.ask("inbox", who="mona", kind="escalation"))["waiting"]
    assert (waits["work"], waits["asked_by"], waits["state"]) == ("F-watch", "watcher", "waiting_input")
    await at.done("mona", "escalation.acknowledge", **e)
    await at.done("mona", "escalation.answer", **e, option_id="other")
    await at.done("mona", "escalation.resolve", **e, outcome="returned")
    await at.done("watcher", "work.execute", **x, result="completed")

    item = (await at.ask("work", work="F-watch"))["item"]
    assert (item["state"], item["executor"], item.get("open_escalations", 0)) == ("submitted", "watcher", 0)
    [one] = (await at.ask("escalations", work="F-watch", open=False))["escalations"]
    assert (one["raised_by"], one["outcome"], one["acknowledged_by"]) == ("watcher", "returned", "mona")
    [spent] = (await at.ask("bottleneck", work="F-watch"))["items"]
    assert 0 < spent["shares"]["escalated"] < 1 and sum(spent["shares"].values()) == pytest.approx(1, abs=1e-12)


async def test_a_manager_assigns_work(at: Office) -> None:
    for work, who, priority in (("F-ask-1", "paul", "normal"), ("F-ask-2", "runner", "high")):
        await at.done("mona", "work.define", work_id=work, title="Call back", accountable="mona", priority=priority)
        await at.done("mona", "work.assign", work_id=work, executor=who)
    await at.done("mona", "work.delegate", work_id="F-ask-2", delegation_id="D-2", delegate="runner", autonomy="act")
    await at.refused("runner", "execution.start", work_id="F-ask-1", execution_id="x-0")
    for work, who in (("F-ask-1", "paul"), ("F-ask-2", "runner")):
        await at.done(who, "execution.start", work_id=work, execution_id="x-1")

    held = {one["work"]: one["holder"] for who in ("paul", "runner")
            for one in (await at.ask("holding", participant=who))["holdings"]}  # fmt: skip
    assert held.items() >= {("F-ask-1", "paul"), ("F-ask-2", "runner")}
    for work in ("F-ask-1", "F-ask-2"):
        item = (await at.ask("work", work=work))["item"]
        assert (item["accountable"], item["state"]) == ("mona", "in_progress")
    [load] = [one for one in (await at.ask("span", limit=1_000))["people"] if one["person"] == "mona"]
    assert load["agents"] == 3 and load["answers_for"] >= 2


async def test_an_agent_coordinates_what_comes_every_day(at: Office) -> None:
    await at.done("mona", "work.define", work_id="F-day", title="The daily run", accountable="mona", trigger="schedule")
    terms = {"work_id": "F-day", "delegation_id": "D-day"}
    await at.done(
        "mona", "work.delegate", **terms, delegate="runner", autonomy="act", may_subdelegate=True, max_depth=1
    )
    await at.done("runner", "delegation.accept", **terms)
    await at.done("runner", "execution.start", work_id="F-day", execution_id="x-1")
    for part, who in (("F-day-1", "watcher"), ("F-day-2", "paul")):
        await at.done("mona", "work.define", work_id=part, title="A part", accountable="mona", parent_id="F-day",
                      trigger="agent")  # fmt: skip
        await at.done("mona", "work.delegate", work_id=part, delegation_id=f"D-{part}", delegate=who, autonomy="act")
        await at.done(who, "execution.start", work_id=part, execution_id="x-1")
    await at.done("watcher", "work.execute", work_id="F-day-1", execution_id="x-1", result="completed")
    handover = {"work_id": "F-day-2", "handover_id": "H-1"}
    await at.done("paul", "handover.offer", **handover, to="rita", open_questions=["Which dock?"])
    await at.done("rita", "handover.accept", **handover)
    await at.done("rita", "execution.start", work_id="F-day-2", execution_id="x-2")
    await at.done("rita", "work.execute", work_id="F-day-2", execution_id="x-2", result="completed")
    for part in ("F-day-1", "F-day-2"):
        await at.done("mona", "work.verify", work_id=part)
        await at.done("mona", "work.complete", work_id=part)
    await at.done("runner", "work.execute", work_id="F-day", execution_id="x-1", result="completed")
    await at.done("mona", "work.verify", work_id="F-day")
    await at.done("mona", "work.complete", work_id="F-day")

    items = {work: (await at.ask("work", work=work))["item"] for work in ("F-day", "F-day-1", "F-day-2")}
    assert {item["state"] for item in items.values()} == {"completed"}
    assert {item["accountable"] for item in items.values()} == {"mona"}
    assert items["F-day-2"]["executor_changes"] == 1
    trace = await at.ask("timeline", correlationid="F-day", limit=1_000)
    assert {"work/F-day", "work/F-day-1", "work/F-day-2"} <= {event["stream"] for event in trace["events"]}


async def test_people_and_an_agent_contribute_to_one_result(at: Office) -> None:
    await at.entrusted("F-both", "planner", by="mona", contributors=["paul"])
    x = {"work_id": "F-both", "execution_id": "x-1"}
    await at.done("planner", "execution.start", **x)
    question = {"request_id": "q-1", "from": "paul", "question": "Which tone?"}
    await at.done("planner", "execution.require_input", **x, **question)
    await at.done("paul", "execution.provide_input", work_id="F-both", request_id="q-1", response="respond",
                  answer="Friendly.")  # fmt: skip
    await at.done("mona", "execution.guide", **x, text="Shorter.")
    await at.done("planner", "work.execute", **x, result="completed",
                  outputs=[{"output_id": "o-1", "dig": DIG, "contribution": "mixed"}])  # fmt: skip
    await at.done("mona", "work.verify", work_id="F-both")
    await at.done("mona", "work.complete", work_id="F-both")

    found = await at.ask("contributions", work="F-both")
    did = {one["who"]: one["did"] for one in found["contributors"]}
    assert did["paul"]["answer"] == 1 and did["mona"]["guidance"] == 1 and did["planner"]["question"] == 1
    assert found["outputs"] == {"mixed": 1}
    item = (await at.ask("work", work="F-both"))["item"]
    assert (item["state"], item["accountable"], item.get("questions", [])) == ("completed", "mona", [])
    who = await at.ask("intervals", work="F-both")
    assert [one["person"] for one in who["intervals"]] == ["mona"]
