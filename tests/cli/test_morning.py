"""What somebody who looks after agents asks in the morning: what failed, what waits, what stalls, what it cost."""

import json
from typing import Any

import pytest

from attorn.cli.deeds import deed
from attorn.contracts import examples
from cli.instance import Run

pytestmark = pytest.mark.usefixtures("cast")


def process(id: str, owner: str) -> str:
    steps = [{"step_id": "a", "name": "A", "raci": {"A": owner}}]
    said = {"process_id": id, "owner": owner, "review_policy": "four-eyes", "escalation_policy": "help"}
    return json.dumps(said | {"steps": steps})


@pytest.fixture(scope="module")
def told() -> dict[str, bool]:
    return {}


@pytest.fixture(autouse=True)
def story(done: Run, told: dict[str, bool]) -> None:
    """Two items of Mo's that an agent of Mo's carries out, one of which failed; and one that nobody has taken up."""
    if told:
        return
    told["once"] = True
    for who in ("mo", "may"):
        done("participant", "register", who)
    done("participant", "register", "mo-bot", "agent", "--sponsor", "mo")
    done("process", "publish", "-", stdin=process("mornings", "mo"))
    for work in ("R-1", "R-2"):
        done("work", "define", work, f"Item {work}", "--process", "mornings", by="mo")
        done("work", "delegate", work, "mo-bot", "--id", f"D-{work}", by="mo")
        done("delegation", "accept", work, by="mo-bot")
        done("execution", "start", work, "--id", f"x-{work}", by="mo-bot")
    done("work", "define", "R-3", "Nobody's yet", "--process", "mornings", "--priority", "high", by="mo")
    done("execution", "report", "R-2", "failed", "--error-class", "ValueError", by="mo-bot")


def test_a_failed_execution_is_seen_without_looking_for_it(done: Run) -> None:
    shown = done("work", "show", "R-2")
    assert shown.lines[0].endswith("mo answers, mo-bot's execution failed")
    [failed] = [line for line in shown.lines if line.startswith("failed")]
    assert "x-R-2 of mo-bot" in failed and "ValueError" in shown.out
    assert "R-2" in done("work", "ls", "--failed", "-o", "id").lines
    assert "(failed)" in done("work", "ls", "--executor", "mo-bot").out
    [agent] = done("org", "agents", "mo", "-o", "json").json
    assert "failed" in agent["exceptions"]
    [waits] = done("inbox", "mo", "--kind", "failure", "-o", "json").json
    assert (waits["work"], waits["id"], waits["asked_by"], waits["text"]) == ("R-2", "x-R-2", "mo-bot", "ValueError")
    assert "left after a failure" in done("status").out
    assert done("status", "-o", "json").json["failed"] >= 1
    assert "left after failure" in done("top", "--once", "--every", "0.2").out


def test_what_is_next_is_said_short_and_all_that_is_possible_to_who_asks(done: Run) -> None:
    shown = done("work", "show", "R-1").out
    assert "mo-bot: execution report" in shown and "possible" not in shown
    assert "mo: work delegate, work assign" in " ".join(done("work", "show", "R-2").out.split())
    assert "mo: work ready" in done("work", "show", "R-3").out
    every = " ".join(done("work", "show", "R-1", "--possible").out.split())
    listed = every.partition("possible ")[2].split(", ")
    assert len(listed) > 10 and listed == sorted(listed) and "escalation unack" not in listed


def test_what_was_done_is_read_back(done: Run) -> None:
    given = done("work", "delegate", "R-3", "mo-bot", "--id", "D-R-3", "--activity", "pay", "--max-actions", "3",
                 "--until", "2099-01-01", "--autonomy", "act", by="mo", COLUMNS="200")  # fmt: skip
    assert given.out.startswith(
        "D-R-3: mo-bot is entrusted with pay (act, at most 3 actions, until 2099-01-01 00:00Z); R-3 is defined"
    )
    assert done("work", "note", "R-3", "hello", by="mo").out.startswith("noted; R-3 is")
    assert done("work", "due", "R-3", "2099-01-01", by="mo").out.startswith("due by 2099-01-01 00:00Z; R-3")
    narrowed = done("delegation", "narrow", "R-3", "--max-actions", "1", by="mo")
    assert narrowed.out.startswith("D-R-3: narrowed (at most 1 action); R-3 is")


@pytest.mark.parametrize("command", examples.COMMAND_EXAMPLES.values(), ids=lambda command: command.verb)
def test_every_command_of_the_examples_can_be_read_back(command: Any) -> None:
    said = deed(command)
    assert "None" not in said and "{" not in said and "_" not in said.partition("(")[0].replace("read_order", "")


def test_an_id_of_nobody_is_an_error_everywhere_and_not_an_empty_list(given: Run, done: Run) -> None:
    for argv in (
        ("work", "ls", "--accountable", "moe"),
        ("work", "ls", "--process", "mornigns"),
        ("work", "ls", "--executor", "moe", "--position", "1"),
        ("work", "queue", "--candidate", "moe"),
        ("work", "stats", "--process", "mornigns"),
        ("holding", "moe"),
        ("holding", "--work", "R-99"),
        ("activity", "moe"),
        ("inbox", "moe"),
        ("delegation", "ls", "R-99"),
        ("audit", "findings", "--work", "R-99"),
        ("audit", "findings", "--process", "mornigns"),
        ("org", "agents", "moe"),
        ("events", "ls", "--by", "moe"),
        ("events", "ls", "--type", "work.definde"),
        ("outcome", "costs", "--who", "moe"),
        ("outcome", "served", "--process", "mornigns"),
        ("audit", "scorecard", "moe"),
        ("audit", "duplicates", "--who", "moe"),
        ("escalation", "ls", "--work", "R-99"),
    ):
        ran = given(*argv)
        assert (ran.code, ran.out) == (3, ""), argv
        assert "Hint: " in ran.err, argv
    assert "did you mean mornings?" in given("work", "ls", "--process", "mornigns").err
    assert "did you mean work.defined?" in given("events", "ls", "--type", "work.definde").err
    # Who is there and has nothing is another matter.
    assert done("holding", "may").err == "may holds nothing\n"
    assert done("work", "ls", "--accountable", "may", "-o", "id").out == ""
    assert done("work", "ls", "--waiting-on", "auditor", "-o", "id").out == ""


def test_a_position_that_the_log_has_not_come_to_is_not_answered_as_of_now(given: Run) -> None:
    for argv in (("who", "R-1"), ("work", "ls"), ("work", "count"), ("work", "context", "R-1")):
        ran = given(*argv, "--position", "99999999")
        assert ran.code == 3 and "the log ends at position" in ran.err, argv


def test_who_answered_for_what_then_is_listed(done: Run) -> None:
    now = done("status", "-o", "json").json["log"]
    found = done("work", "ls", "--position", str(now), "--accountable", "mo", "-o", "json").json
    assert {item["work"] for item in found} >= {"R-1", "R-2", "R-3"} and {i["accountable"] for i in found} == {"mo"}
    assert "ANSWERED" in done("work", "ls", "--position", str(now)).out


def test_what_waits_stalls_and_takes_time_is_listed(done: Run) -> None:
    queue = done("work", "queue", "--process", "mornings", "-o", "json").json
    assert [(item["work"], item["priority"]) for item in queue] == [("R-3", "high")]
    later = ("--at", "2098-01-01")
    assert {"R-1", "R-2"} <= set(done("work", "stalled", "--process", "mornings", *later, "-o", "id").lines)
    assert done("work", "stalled", "--process", "mornings").err.startswith("something happened to all open work")
    assert done("work", "bottleneck", "R-1", "-o", "json").json[0]["worst"] in ("working", "unclear")
    assert "of these together: " in done("work", "bottleneck", "--process", "mornings").err
    stats = done("work", "stats", "--process", "mornings")
    assert stats.lines[0].split(None, 1)[1].startswith("3 items, 3 open")
    assert done("handover", "stats", "--process", "mornings").err


def test_numbers_for_a_report_are_listed(done: Run, given: Run) -> None:
    [cost] = done("outcome", "costs", "--who", "mo-bot", "-o", "json").json
    assert (cost["executions"], cost["process"]) == (1, "mornings")
    assert done("outcome", "completions", "--by", "process").code == 0
    assert "serve none of them" in done("outcome", "served", "--process", "mornings").err
    [badge] = done("process", "badges", "mornings", "-o", "json").json
    assert badge["items"] == 3
    assert done("process", "coverage").lines[-1].startswith("all ")
    assert done("audit", "overlaps", "nowhere/").err == "no two agents are at the same resources\n"
    types = {each["type"]: each["events"] for each in done("events", "stats", "-o", "json").json}
    assert types["attorn.work.defined.v1"] >= 3
    assert given("agent", "unmanaged").code in (0, 7)


def test_findings_come_newest_first_narrowed_counted_and_are_decided_by_what_is_printed(done: Run, given: Run) -> None:
    for number in (1, 2, 3):
        fact = {"specversion": "1.0", "id": f"m-{number}", "source": "/mornings", "type": "attorn.note.added.v1"}
        fact |= {"time": f"2026-01-0{number}T08:00:00Z", "subject": f"work/stray-{number}"}
        said = json.dumps(fact | {"data": {"text": "x"}})
        done("facts", "publish", "-", "--source", "mornings-crm", stdin=said)
    found = done("audit", "findings", "--rule", "hidden-work", "-o", "json").json
    positions = [finding["position"] for finding in found]
    assert positions == sorted(positions, reverse=True) and found[0]["stream"] == "work/stray-3"
    every = done("audit", "findings", "--limit", "0", "-o", "json").json
    assert [f["position"] for f in every] == sorted((f["position"] for f in every), reverse=True)
    assert "STATUS" in done("audit", "findings").lines[0]
    since = found[0]["time"]
    later = done("audit", "findings", "--since", "2098-01-01").err
    assert later == "nothing was found\n" and since
    assert done("audit", "findings", "--process", "mornings", "--rule", "hidden-work", "-o", "id").out == ""
    counts = {one["rule"]: one for one in done("audit", "findings", "--counts", "-o", "json").json}
    assert counts["hidden-work"]["open"] >= 3
    assert given("audit", "findings", "--counts", "--rule", "hidden-work").code == 2
    [last, second, *_] = done("audit", "findings", "--rule", "hidden-work", "--status", "open", "-o", "id").lines
    done("finding", "accept", last, second, "--reason", "known")
    done("finding", "dismiss", "stray-1", "hidden-work" + found[2]["id"][11:], "--reason", "none")
    after = done("audit", "findings", "--rule", "hidden-work", "-o", "json").json
    assert [finding["status"] for finding in after[:3]] == ["accepted", "accepted", "dismissed"]
    assert given("finding", "accept", "hidden-work@99999999", "--reason", "x").code == 3


def test_nothing_is_said_of_who_left_as_if_they_were_here(done: Run) -> None:
    done("participant", "register", "lea")
    done("participant", "register", "lea-bot", "agent", "--sponsor", "lea")
    leas = process("leas", "lea")
    done("process", "publish", "-", stdin=leas)
    done("work", "define", "L-1", "Left", by="lea")
    done("participant", "deactivate", "lea", "--successor", "may")
    assert "may answers for L-1" in done("who", "L-1").out
    stack = {line.split()[0]: line.split(None, 1)[1] for line in done("work", "stack", "L-1").lines}
    assert stack["who"] == "may"
    assert "may, as lea is not here" in done("participant", "show", "lea-bot").out
    [bot] = [
        each for each in done("participant", "ls", "--kind", "agent", "-o", "json").json if each["id"] == "lea-bot"
    ]
    assert (bot["sponsor"], bot["named_sponsor"]) == ("may", "lea")
    again = done("process", "publish", "-", stdin=leas).out
    assert "lea owns it, and may answers in their place" in " ".join(again.split())
    done("absence", "declare", "--until", "2099-01-01", "--substitute", "mo", by="may")
    assert "may answers for L-1, and is away until 2099-01-01 00:00Z" in done("who", "L-1").out
    assert "mo stands in" in done("participant", "show", "may").out and "away" in done("participant", "ls").out
    done("absence", "end", by="may")
    assert "is here" not in done("participant", "suspend", "lea-bot").out
    assert "does nothing until resumed" in done("participant", "show", "lea-bot").out
