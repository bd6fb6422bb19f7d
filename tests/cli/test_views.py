"""What waits, who holds what, who did what, what governed it: the views from the command line, on a real attorn."""

import json
import time

import pytest

from cli.instance import Run

pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(scope="module")
def worked() -> dict[str, bool]:
    return {}


@pytest.fixture(autouse=True)
def story(done: Run, worked: dict[str, bool]) -> None:
    """An item that the bot has carried out for Ana, and a question that it asked her."""
    if worked:
        return
    done("work", "define", "W-views", "Refund order 7", "--process", "refunds", by="ana")
    done("work", "delegate", "W-views", "bot", "--id", "D-views", "--activity", "read_order", by="ana")
    done("delegation", "accept", "W-views", by="bot")
    done("execution", "start", "W-views", "--id", "x-views", by="bot")
    done("execution", "ask", "W-views", "Which order?", "--of", "ana", by="bot")
    worked["once"] = True


def test_the_inbox_says_what_waits_and_for_nobody_else(done: Run, given: Run) -> None:
    found = done("inbox", "-o", "json", by="ana").json
    mine = [each for each in found if each["work"] == "W-views"]
    assert [(each["kind"], each["text"], each["asked_by"]) for each in mine] == [("input", "Which order?", "bot")]
    assert "W-views" not in done("inbox", "ben").out
    assert mine[0]["id"] in done("inbox", "ana", "--kind", "input", "-o", "id").lines
    assert given("inbox", "nobody-there").code == 3


def test_who_holds_what_is_listed(done: Run) -> None:
    [found] = done("holding", "--work", "W-views", "-o", "json").json
    assert (found["holder"], found["state"], found["title"]) == ("bot", "waiting_input", "Refund order 7")
    assert "work/W-views" in done("holding", "bot", "-o", "id").lines
    assert (found["delegation_id"], found["delegator"], found["delegation_state"]) == ("D-views", "ana", "active")
    assert "started, for ana" in done("holding", "--work", "W-views", COLUMNS="120").out


def test_a_claim_whose_lease_is_over_is_listed_for_who_asks_for_it(done: Run) -> None:
    done("claim", "acquire", "shelf/1", "--lease", "1s", by="bot")
    done("claim", "acquire", "shelf/2", by="bot")
    time.sleep(1.1)
    for more, there in (((), {"shelf/2"}), (("--lapsed",), {"shelf/1", "shelf/2"})):
        found = done("holding", "bot", "--limit", "0", "-o", "json", *more).json
        assert {one.get("resource") for one in found} & {"shelf/1", "shelf/2"} == there


def test_the_chart_leads_from_each_agent_to_a_person_now_and_then(done: Run, given: Run) -> None:
    nodes = {node["id"]: node for node in done("org", "chart", "--limit", "0", "-o", "json").json}
    assert nodes["bot"]["path"] == ["ana"] and nodes["bot"]["top"] == "ana"
    assert done("org", "chart", "--kind", "agent", "--under", "ana", "-o", "id").lines.count("bot") == 1
    assert "bot" not in done("org", "chart", "--position", "1", "-o", "id").lines
    assert given("org", "chart", "--broken").code in (0, 7)
    assert "ana" in done("org", "span", "-o", "id").lines
    [bot] = [agent for agent in done("org", "agents", "ana", "-o", "json").json if agent["id"] == "bot"]
    assert "waits" in bot["exceptions"]


def test_what_an_agent_did_is_counted_and_listed_like_what_a_person_did(done: Run, given: Run) -> None:
    today = done("activity", "bot", "-o", "json").json[0]
    assert today["did"]["execution started"] >= 1 and today["did"]["question"] >= 1
    events = done("activity", "bot", "--day", today["day"], "--limit", "0", "-o", "json").json
    assert len(events) == today["total"]
    assert done("activity", "ana", "-o", "json").json[0]["did"]["definition"] >= 1
    assert given("activity", "bot", "--day", today["day"], "--from", today["day"]).code == 2
    assert given("activity", "bot", "--from", "yesterday").code != 0
    who = {each["who"]: each for each in done("contributions", "W-views", "-o", "json").json}
    assert who["bot"]["did"]["question"] == 1 and who["ana"]["did"]["delegation"] == 1
    assert given("contributions", "W-none").code == 3


def test_an_event_names_the_versions_and_the_delegation_that_governed_it(done: Run, given: Run) -> None:
    asked = [e for e in done("events", "ls", "--limit", "0", "-o", "jsonl").lines if "Which order?" in e]
    position = json.loads(asked[0])["position"]
    found = done("audit", "governing", str(position), "-o", "json").json
    assert found["process"]["id"] == "refunds" and found["execution"] == "x-views"
    assert found["chain"]["root"] == "ana" and found["chain"]["links"][0]["delegation"] == "D-views"
    assert "D-views (active)" in done("audit", "governing", str(position)).out
    assert given("audit", "governing", "999999").code == 3


def test_the_controls_of_processes_and_the_score_of_an_agent_are_shown(done: Run) -> None:
    [found] = done("audit", "coverage", "--process", "refunds", "-o", "json").json
    assert found["owner"] == "ana" and "retention" in found["holes"]
    score = done("audit", "scorecard", "bot", "--process", "refunds", "-o", "json").json
    assert score["scores"][0]["executions"] >= 1 and "last_look" in score
    assert done("audit", "controls", "--flag", "waived", "-o", "id").code == 0


def test_what_was_written_twice_left_half_done_and_held_against_what_is_told(done: Run, given: Run) -> None:
    assert done("audit", "duplicates", "--work", "W-views", "-o", "json").json["tries"] == 0
    arguments = "sha256:" + "a" * 64
    facts = [
        {"specversion": "1.0", "id": f"views-{n}", "source": "/erp", "subject": "work/W-views",
         "time": f"2026-01-01T00:00:0{n}Z", "type": f"attorn.{type}.v1", "data": data}
        for n, (type, data) in enumerate([
            *[("execution.action_recorded", {"execution_id": "x-views", "action_id": f"a{result}", "tool": "pay",
                                             "args_dig": arguments, "side_effect": True, "result": result})
              for result in ("failed", "succeeded")],
            ("work.escalated", {"escalation_id": "X-views", "reason": "exception", "raised_by": "bot",
                                "severity": "low", "context": {"summary": "Paid at last?", "question": "Was it?"}}),
            ("output.validated", {"output_id": "o", "criterion_id": "asks-views", "result": "failed"}),
        ])
    ]  # fmt: skip
    done("facts", "publish", "-", "--source", "erp", stdin=json.dumps(facts))
    found = done("audit", "duplicates", "--work", "W-views", "-o", "json").json
    assert (found["tries"], found["failed"], found["retries"], len(found["changes"])) == (2, 1, 1, 1)
    told = given("audit", "duplicates", "--who", "bot")
    assert "pay" in told.out and "1 blind retries after an error" in told.err
    assert "W-views" in done("audit", "half-done", "--open", "-o", "id").lines
    assert "W-views" not in done("audit", "half-done", "--raised-by", "ana", "-o", "id").lines
    assert done("audit", "criteria", "asks-views", "-o", "json").json["failed"] == 1
    assert done("audit", "criteria", "--work", "W-views", "--result", "failed", "-o", "id").lines == ["W-views"]
    over = done("audit", "escalations", "--criterion", "asks-views", "-o", "json").json
    assert (over["raised"], over["over"], over["missed"], over["found"]) == (
        1, 1, 0, [{"work": "W-views", "judged": "over"}])  # fmt: skip
    assert "1 over, 0 missed" in given("audit", "escalations", "--criterion", "asks-views").err
