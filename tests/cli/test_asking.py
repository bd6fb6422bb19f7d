"""`attorn review` and `attorn escalation`: what people do about the work of others, typed, and seen on the timeline."""

from pathlib import Path

import pytest

from attorn.cli.errors import Exit
from cli.instance import Run

pytestmark = pytest.mark.usefixtures("cast")


def stuck(done: Run, work: str) -> None:
    """Work of Ana's under the process of these tests, which bot carries out."""
    done("work", "define", work, "Refund", "--process", "refunds", by="ana")
    done("work", "delegate", work, "bot", by="ana")
    done("execution", "start", work, by="bot")


@pytest.mark.requirement("004-26")
def test_what_happens_when_it_gets_stuck_is_told_with_the_people_as_they_are_now(given: Run, done: Run) -> None:
    done("participant", "register", "frida")
    stuck(done, "A-ladder")
    steps = done("-o", "json", "escalation", "ladder", "A-ladder").json
    assert (steps[0]["rung"], steps[0]["persons"]) == (1, ["ana"])
    for person in {person for step in steps for person in step["persons"]}:
        shown = done("-o", "json", "participant", "show", person).json
        assert shown["kind"] == "human"
    assert steps[-1]["persons"], "the last rung is always a person"
    # The same of everything that an agent has in hand.
    assert "A-ladder" in done("-o", "id", "escalation", "ladder", "--agent", "bot", "--limit", "0").lines
    table = done("escalation", "ladder", "A-ladder").out
    assert "Ana Lopez" in table and "15 min" in table
    assert given("escalation", "ladder").code == Exit.USAGE
    assert given("escalation", "ladder", "W-nowhere").code == Exit.NOT_FOUND


def test_an_escalation_goes_its_whole_way_and_the_timeline_tells_it(given: Run, done: Run) -> None:
    work = "A-whole-way"
    stuck(done, work)
    asked = ("escalation", "raise", work, "the bank refuses")
    without = given(*asked, by="bot")
    assert without.code == Exit.REFUSED and "context-missing" in without.err
    done(*asked, "--question", "by cheque?", "--id", "X-way", by="bot")
    done("escalation", "ack", work, by="ana")
    done("escalation", "unack", work, "--reason", "ill", by="ana")
    done("escalation", "reassign", work, "ben", "--reason", "he knows the bank", by="ana")
    done("escalation", "answer", work, "by cheque, then", by="ben")
    done("escalation", "resolve", work, "returned", by="ben")
    done("escalation", "reopen", work, "--reason", "the cheque came back", by="ben")
    assert given("escalation", "advance", work, "--decline", by="ben").code in (Exit.OK, Exit.REFUSED)
    done("escalation", "resolve", work, "denied", by="ben")
    told = done("work", "timeline", work, COLUMNS="300").out
    for words in ("the bank refuses", "ill", "he knows the bank", "by cheque, then", "the cheque came back", "denied"):
        assert words in told
    assert given("escalation", "reopen", work, "--escalation", "X-none", by="ben").code == Exit.REFUSED


def test_who_looks_at_an_output_guides_refines_or_lets_it_stand_and_the_timeline_tells_who_when_and_why(
    given: Run, done: Run, tmp_path: Path
) -> None:
    work, reply, better = "A-review", tmp_path / "reply.txt", tmp_path / "better.txt"
    reply.write_text("12 euros")
    better.write_text("120 euros")
    stuck(done, work)
    done("execution", "report", work, "completed", "--out", f"reply={reply}", by="bot")
    done("review", "claim", work, by="ben")
    [review] = [each for each in done("-o", "json", "review", "ls", work).json if each["status"] == "open"]
    assert review["claimed_by"] == ["ben"]
    assert given("review", "claim", work, by="ana").code == Exit.REFUSED
    done("review", "unclaim", work, by="ben")
    done("review", "send-back", work, "--comment", "120, not 12", by="ana")
    done("execution", "start", work, by="bot")
    done("execution", "report", work, "completed", "--out", f"reply={reply}", by="bot")
    done("review", "approve", work, "--edited", str(better), "--comment", "one nought more", by="ben")
    done("review", "request", work, "reply", "--id", "R-again", "--candidate", "ana", by="ana")
    done("review", "withdraw", work, "--reason", "not needed after all", by="ana")
    told = done("-o", "json", "work", "timeline", work).json
    entries = told["events"] if isinstance(told, dict) else told
    by = {entry["type"]: entry for entry in entries}
    for type, actor in (
        ("attorn.review.claimed.v1", "ben"),
        ("attorn.review.unclaimed.v1", "ben"),
        ("attorn.work.reviewed.v1", "ben"),
        ("attorn.review.withdrawn.v1", "ana"),
    ):
        assert by[type]["actor"] == actor and by[type]["time"], type
    table = done("work", "timeline", work, COLUMNS="300").out
    for words in ("120, not 12", "one nought more", "not needed after all", "is looking at output reply"):
        assert words in table
