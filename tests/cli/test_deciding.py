"""Mandates that narrow and rest, outputs that are checked, choices that are made: as people and agents type it."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from cli.instance import Run

pytestmark = pytest.mark.usefixtures("cast")

LETTERS: Final = {
    "process_id": "letters",
    "owner": "ana",
    "purpose": "Answer letters.",
    "review_policy": "four-eyes",
    "escalation_policy": "help",
    "grace": "PT0S",
    "ai_work": dict.fromkeys(("participation", "accountability", "collaboration", "visibility"), "said"),
    "steps": [{"step_id": "reply", "name": "Reply", "ai_mode": "act_then_review", "raci": {"A": "ana", "R": "bot"}}],
}


def entrusted(done: Run, work: str, *terms: str) -> None:
    done("work", "define", work, "Refund", by="ana")
    done("work", "delegate", work, "bot", "--autonomy", "act", *terms, by="ana")


def test_a_mandate_narrows_rests_and_goes_on(done: Run, given: Run) -> None:
    entrusted(done, "V-1", "--activity", "look", "--activity", "pay", "--condition", "small=action.amount <= 200.0")
    done("execution", "start", "V-1", by="bot")
    refused = given("execution", "action", "V-1", "pay", "--amount", "500EUR", by="bot")
    assert refused.code == 5
    assert "condition small of" in " ".join(refused.err.split())
    done("execution", "action", "V-1", "pay", "--amount", "120.00EUR", "--key", "refund-1", by="bot")
    assert given("execution", "action", "V-1", "pay", "--amount", "much", by="bot").code == 2
    done("delegation", "narrow", "V-1", "--activity", "look", "--max-actions", "5", by="ana")
    assert given("delegation", "narrow", "V-1", "--activity", "pay", by="ana").code == 5
    done("delegation", "suspend", "V-1", "--reason", "until the cause is known", by="ana")
    assert given("execution", "action", "V-1", "look", by="bot").code == 5
    done("delegation", "resume", "V-1", by="ana")
    done("execution", "guide", "V-1", "use the new tariff", by="ben")
    done("execution", "adapt", "V-1", "there are two tariffs", "--before", "pay", "--after", "ask", by="bot")
    assert given("delegation", "expire", "V-1", by="ana").code == 5
    [held] = done("delegation", "ls", "V-1", "-o", "json").json
    assert (held["state"], held["terms"]["activities"], held["terms"]["budget"]["actions"]) == ("active", ["look"], 5)


def test_a_mandate_expires_on_the_log_too(done: Run) -> None:
    until = datetime.now(UTC) + timedelta(seconds=2)
    entrusted(done, "V-2", "--until", until.isoformat())
    time.sleep(max(0, (until - datetime.now(UTC)).total_seconds()))
    done("delegation", "expire", "V-2", by="ana")
    assert done("delegation", "ls", "V-2", "-o", "json").json[0]["state"] == "expired"


def test_an_output_is_shown_and_held_against_its_schema(done: Run, given: Run, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"amount": {"maximum": 200}}}
    criterion = {"id": "amount", "text": "at most 200", "check": "schema", "json_schema": schema}
    define = {"title": "Refund", "accountable": "ana", "acceptance_criteria": [criterion]}
    done("work", "define", "V-3", "--from", "-", by="ana", stdin=json.dumps(define))
    done("execution", "start", "V-3", by="ana")
    booking = tmp_path / "booking.json"
    booking.write_text('{"amount": 900}')
    done("output", "produce", "V-3", "booking", str(booking), "--media-type", "application/json", by="ana")
    done("output", "validate", "V-3", "booking", "amount", "--content", str(booking), by="ana")
    [listed] = done("output", "ls", "V-3", "-o", "json").json
    assert (listed["checks"]["amount"]["result"], listed["checks"]["amount"]["checked"]) == ("failed", "here")
    assert "amount failed" in " ".join(done("output", "ls", "V-3").out.split())
    assert given("work", "release", "V-3", "booking", by="ana").code == 5
    assert given("output", "validate", "V-3", "booking", "amount", by="ana").code == 2


def test_what_is_recommended_a_person_decides(done: Run, given: Run) -> None:
    entrusted(done, "V-4")
    options = ("--option", "all=All", "--option", "half=Half")
    done("decision", "request", "V-4", "How much?", *options, "--amount", "9EUR", by="bot")
    done("recommendation", "make", "V-4", "pay it", "--option", "all", "--confidence", "0.8", by="bot")
    assert given("recommendation", "answer", "V-4", "rejected", by="ana").code == 5
    done("recommendation", "answer", "V-4", "rejected", "--reason", "the lamp works", by="ana")
    assert given("decision", "make", "V-4", "all", by="bot").code == 5
    done("decision", "make", "V-4", "half", "--why", "the lamp works", by="ana")
    [made] = done("decision", "ls", "V-4", "-o", "json").json
    assert (made["made"]["chosen"], made["made"]["decider"]) == ("half", "ana")
    assert given("decision", "make", "V-4", "half", by="ana").code == 3


@pytest.mark.requirement("004-09")
def test_who_works_by_an_old_version_is_listed_before_it_does_harm_and_found_when_it_does(done: Run) -> None:
    done("process", "map", "letters", "--volume", "100", "--judgment", "low", "--recoverable", "yes")
    done("process", "publish", "-", stdin=json.dumps(LETTERS))
    done("participant", "grant", "ana", "agent_manager", "--scope", "process/letters")
    done("agent", "deploy", "bot", "letters", "--heartbeat", "5m", "--review-every", "P30D", "--sample-rate", "0.2")
    works = [f"V-5{number}" for number in range(3)]
    for work in works:
        done("work", "define", work, "Letter", "--process", "letters", by="ana")
        done("work", "delegate", work, "bot", "--autonomy", "act", by="ana")
    assert done("agent", "ls", "--process", "letters", "--outdated", "-o", "json").json == []

    done("process", "publish", "-", stdin=json.dumps(LETTERS | {"purpose": "Answer letters within a day."}))
    published, outdated = time.monotonic(), []
    while not outdated and time.monotonic() - published < 1.0:
        outdated = done("agent", "ls", "--process", "letters", "--outdated", "-o", "json").json
    assert [(each["agent"], each["version"], each["newest"]) for each in outdated] == [("bot", 1, 2)]

    for work in works:
        done("execution", "start", work, by="bot")
        found = done("audit", "findings", "--work", work, "-o", "json").json
        assert [finding["rule"] for finding in found] == ["drift"]
