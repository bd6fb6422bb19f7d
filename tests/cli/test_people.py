"""The commands about people and agents: who leads whom, who is away, who is at work, and what a process says of it."""

import json
from pathlib import Path

import pytest

from attorn.services.process.template import NAMES
from cli.instance import ROOT, Run

pytestmark = pytest.mark.usefixtures("cast")


def test_a_participant_is_changed_led_stopped_and_let_go_on(done: Run, given: Run) -> None:
    done("participant", "register", "mia")
    done("participant", "register", "mia-bot", "agent", "--sponsor", "mia")
    done("participant", "update", "mia-bot", "--name", "Mia's bot", "--capability", "french")
    done("participant", "manager", "mia-bot", "ben")
    assert given("participant", "manager", "ben", "mia-bot").code == 5
    seats = {seat["id"]: seat for seat in done("org", "chart", "-o", "json").json}
    assert seats["mia-bot"]["top"] == "ben" and seats["mia-bot"]["name"] == "Mia's bot"
    done("participant", "suspend", "mia-bot", "--reason", "odd")
    done("participant", "resume", "mia-bot")
    done("participant", "attest", "participant/mia-bot", "looked at it", by="mia")
    assert given("participant", "attest", "participant/unheard-of", "looked").code == 5
    done("participant", "deactivate", "mia-bot")


def test_a_team_and_who_is_in_it(done: Run, given: Run) -> None:
    done("participant", "register", "crew", "team")
    done("team", "add", "crew", "ben")
    done("team", "add", "crew", "bot")
    assert given("team", "add", "crew", "crew").code == 5
    done("team", "remove", "crew", "bot")
    [team] = [team for team in done("team", "ls", "-o", "json").json if team["id"] == "crew"]
    assert team["all"] == ["ben"]


def test_who_is_away_and_who_stands_in(done: Run, given: Run) -> None:
    done("absence", "declare", "--until", "2099-01-01", "--substitute", "ana", by="ben")
    assert "ben" in done("absence", "ls", "-o", "id").lines
    assert given("absence", "declare", "--until", "2099-01-01", "--substitute", "bot", by="ben").code == 5
    done("absence", "end", by="ben")
    assert "ben" not in done("absence", "ls", "-o", "id").lines


def test_a_key_is_registered_and_revoked(done: Run, given: Run, tmp_path: Path) -> None:
    file = tmp_path / "ana.pub"
    file.write_text("abc\n")
    done("key", "register", "ana", "laptop", str(file))
    assert given("key", "register", "ana", "laptop", "another").code == 5
    done("key", "revoke", "ana", "laptop", "--reason", "lost")
    [key] = done("key", "ls", "-o", "json").json
    assert key["public_key"] == "abc" and key["until"] > key["valid_from"]


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_filled_passes_lint_and_is_published(name: str, done: Run, tmp_path: Path) -> None:
    written = done("process", "init", "--template", name, "--owner", "ana", "--escalation-policy", "help").out
    file = tmp_path / f"{name}.toml"
    file.write_text(written)
    assert done("process", "lint", str(file), "-o", "json").json == []
    done("process", "publish", str(file), by="ana")


def test_lint_names_the_flaw_the_place_and_the_rule(given: Run, tmp_path: Path) -> None:
    assert given("process", "lint", str(ROOT / "examples" / "refunds.toml")).code == 0
    file = tmp_path / "bad.json"
    file.write_text(json.dumps({"process_id": "bad", "steps": [{"step_id": "a", "name": "A", "next": ["b"]}]}))
    ran = given("process", "lint", str(file), "-o", "json")
    assert ran.code == 7
    flaws = {flaw["code"]: flaw for flaw in ran.json}
    assert {"missing-owner", "missing-escalation-path", "step-unknown", "no-answer", "missing-entry-criteria"} <= set(
        flaws
    )
    assert flaws["step-unknown"]["field"] == "steps[a].next"
    assert flaws["step-unknown"]["rule"] == "process-unsound"
    file.write_text("[1]")
    assert given("process", "lint", str(file)).code == 2


def test_a_map_is_drafted_from_history_and_taken_in(done: Run, given: Run, tmp_path: Path) -> None:
    done("work", "define", "W-mine", "Refund", "--accountable", "ana", "--process", "refunds")
    done("work", "assign", "W-mine", "ben")
    file = tmp_path / "map.json"
    file.write_text(done("process", "mine", "--process", "refunds").out)
    first, *others = (step["step_id"] for step in json.loads(file.read_text())["steps"])
    assert first == "work-defined" and "work-assigned" in others
    done("process", "map", "refunds", "--origin", "mined", "--from", str(file))
    assert given("process", "mine", "--share", "7").code == 2


def test_which_versions_governed_an_event(done: Run, given: Run) -> None:
    done("work", "define", "W-ruled", "Refund", "--accountable", "ana", "--process", "refunds")
    position = done("events", "ls", "--stream", "work/W-ruled", "-o", "json").json[0]["position"]
    ruled = done("audit", "governing", str(position), "-o", "json").json
    standing = done("process", "show", "refunds", "-o", "json").json["escalation_policy"]["id"]
    assert ruled["process"]["id"] == "refunds"
    assert {each["id"] for each in ruled["pinned"]} == {"four-eyes", standing}
    assert "pinned" not in done("audit", "governing", "1", "-o", "json").json
    assert given("audit", "governing", "0").code == 2
    assert given("audit", "governing", "999999999").code == 3


def test_an_agent_is_deployed_with_all_that_takes_and_says_whom_it_asks(done: Run, given: Run) -> None:
    done("participant", "register", "relief", "agent", "--sponsor", "ana", "--model", "example/one")
    done("process", "map", "refunds", "--volume", "3400", "--judgment", "low", "--recoverable", "partial")
    refused = given("agent", "deploy", "relief", "refunds")
    assert refused.code == 5
    assert "heartbeat" in refused.err and "agent_manager" in refused.err and "oversight" in refused.err
    assert given("agent", "stuck", "relief").code == 7
    done("participant", "grant", "ana", "agent_manager", "--scope", "process/refunds")
    done("agent", "deploy", "relief", "refunds", "--heartbeat", "5m", "--review-every", "P30D", "--sample-rate", "0.2")
    [at_work] = done("agent", "ls", "--process", "refunds", "-o", "json").json
    assert (at_work["agent"], at_work["version"], at_work["person"]) == ("relief", at_work["newest"], "ana")
    assert done("agent", "ls", "--outdated", "--process", "refunds", "-o", "json").json == []
    assert done("agent", "ls", "--at", "2020-01-01", "-o", "json").json == []
    [rung] = done("agent", "stuck", "relief", "-o", "json").json
    assert rung["persons"] == ["ana"]
    assert given("agent", "unattested", "--within", "30d").code == 7
    done("agent", "undeploy", "relief", "refunds")
    assert given("agent", "deploy", "relief", "refunds", "--heartbeat", "soon").code == 2


def test_an_outcome_has_a_target_and_a_baseline(done: Run, given: Run) -> None:
    done("outcome", "define", "trust", "customers come back", "--owner", "ana")
    done("outcome", "update", "trust", "--target", "40 %")
    done("outcome", "baseline", "trust", "human minutes an item", "22.5", "--origin", "a week of notes")
    assert "22.5 before (a week of notes)" in done("outcome", "show", "trust").out
    assert done("outcome", "ls", "-o", "id").lines == ["trust"]
    assert given("outcome", "show", "unheard-of").code == 3
    assert given("outcome", "update", "unheard-of", "--target", "1").code == 5


def test_a_service_review_is_opened_held_and_closed(done: Run, given: Run, tmp_path: Path) -> None:
    figures = tmp_path / "march.json"
    figures.write_text("{}")
    assert given("service-review", "hold", "refunds", "R-03").code == 5
    done("service-review", "open", "refunds", "R-03", "2026-03", "--figures", str(figures))
    done("service-review", "hold", "refunds", "R-03", "--decision", "the agent goes on", "--action", "train it")
    done("service-review", "close", "refunds", "R-03")
    [review] = done("service-review", "ls", "-o", "json").json
    assert review["state"] == "closed" and review["actions"] == ["train it"]
