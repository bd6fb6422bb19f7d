"""Participants, processes, policies and sources, against a real attorn."""

import json
from pathlib import Path

import pytest

from cli.conftest import PROCESS
from cli.instance import ROOT, Run

pytestmark = pytest.mark.usefixtures("cast")


def test_participants_are_registered_with_what_they_have(done: Run, given: Run) -> None:
    done("participant", "register", "fay", "--name", "Fay Ray", "--unit", "Claims", "--reports-to", "ana")
    shown = done("participant", "show", "fay")
    assert shown.lines[0] == "fay (Fay Ray), human" and "Claims" in shown.out
    agents = done("participant", "ls", "--kind", "agent", "-o", "id").lines
    assert "bot" in agents and not {"ana", "fay"} & set(agents)
    without = given("participant", "register", "bot-2", "agent")
    assert without.code == 5 and "sponsor-human" in without.err
    assert given("participant", "register", "fay", "--name", "Somebody else").code == 5


def test_roles_are_granted_and_revoked(done: Run) -> None:
    done("participant", "grant", "ben", "reviewer", "--scope", "process/refunds", "--until", "2099-01-01")
    assert "reviewer for process/refunds" in done("participant", "show", "ben").out
    done("participant", "revoke", "ben", "reviewer", "--scope", "process/refunds")
    assert "reviewer" not in done("participant", "show", "ben").out


def test_a_process_is_published_in_versions(done: Run, given: Run, tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    file.write_text(PROCESS.replace('"refunds"', '"claims"'))
    first = done("process", "publish", str(file))
    assert first.out.startswith("claims is published; ana owns it (position ")
    assert done("process", "publish", str(file)).out == first.out
    file.write_text(json.dumps(json.loads(file.read_text()) | {"purpose": "Settle claims."}))
    done("process", "publish", str(file))
    shown = done("process", "show", "claims")
    assert shown.lines[0] == "claims version 2; ana owns it"
    assert "four-eyes v1" in shown.out and "Look at the order" in shown.out
    assert done("process", "show", "claims", "-o", "json").json["published"]["purpose"] == "Settle claims."
    assert {"claims", "refunds"} <= set(done("process", "ls", "-o", "id").lines)
    done("process", "retire", "claims", "--successor", "refunds")
    assert "retired" in done("process", "show", "claims").out
    nobody = given("process", "publish", str(file), "--id", "other", "--owner", "bot")
    assert nobody.code == 5 and "owner-human" in nobody.err


def test_a_policy_is_published_from_toml(done: Run, given: Run, tmp_path: Path) -> None:
    file = tmp_path / "ladder.toml"
    file.write_text(
        'policy_id = "ladder"\nkind = "escalation"\n[[rules.escalation.ladder]]\nrung = 1\ntargets = ["ana"]\n'
        'ack_within = "PT15M"\n'
    )
    done("policy", "publish", str(file))
    shown = done("policy", "show", "ladder")
    assert "ana, within 15 min" in shown.out
    behind = done("policy", "ls", "--kind", "escalation", "--after", "help", "-o", "id").lines
    assert "ladder" in behind and not {"help", "four-eyes"} & set(behind)
    assert "reviewers required  1" in done("policy", "show", "four-eyes").out
    file.write_text(file.read_text().replace('"ana"', '"bot"'))
    refused = given("policy", "publish", str(file))
    assert refused.code == 5 and "ladder-human" in refused.err


def test_a_source_has_a_custodian(done: Run, given: Run) -> None:
    done("source", "register", "erp", "--uri", "https://erp.example/", "--custodian", "ana")
    assert "erp" in done("source", "ls", "-o", "id").lines
    done("source", "register", "hr", "--uri", "/hr", "--speaks-of", "participant", "--speaks-of", "process", by="root")
    assert "participant, process" in done("source", "ls").out
    strange = given("source", "register", "hr", "--uri", "/hr", "--speaks-of", "participant", by="ana")
    assert strange.code == 5 and "source-authority" in strange.err
    assert given("source", "register", "crm", "--uri", "/crm", "--custodian", "bot").code == 5


def test_a_source_keeps_its_word_until_it_is_said_that_it_has_none(done: Run, given: Run) -> None:
    register = ("source", "register", "shop", "--uri", "/shop")
    done(*register, "--speaks-of", "participant", by="root")
    for nothing in ("none", "null", "[]"):
        ran = given(*register, "--speaks-of", nothing, by="root")
        assert ran.code == 2 and f'Invalid value "{nothing}" for --speaks-of' in ran.err
    both = given(*register, "--speaks-of", "policy", "--speaks-of-nothing", by="root")
    assert both.code == 2 and "say one of them" in both.err
    done(*register, "--custodian", "ana", by="root")
    assert _word(done, "shop") == ["participant"]
    assert given(*register, "--speaks-of-nothing", by="ana").code == 5
    done(*register, "--speaks-of-nothing", by="root")
    assert _word(done, "shop") == []


def _word(done: Run, source: str) -> list[str]:
    [found] = [found for found in done("source", "ls", "-o", "json").json if found["source_id"] == source]
    word: list[str] = found["speaks_of"]
    return word


def test_the_examples_are_published(done: Run) -> None:
    examples = ROOT / "examples"
    for name in ("four-eyes", "ladder"):
        done("policy", "publish", str(examples / f"{name}.toml"), "--id", name)
    done("process", "publish", str(examples / "refunds.toml"), by="ana")
    assert "ladder v" in done("process", "show", "refunds").out
    assert "15 min" in done("policy", "ls").out
    assert "PT" not in done("policy", "ls").out


def test_a_field_that_is_none_names_those_that_are(given: Run) -> None:
    document = json.loads(PROCESS)
    document["steps"][0]["raci"] = {"responsible": "bot"}
    ran = given("process", "publish", "-", stdin=json.dumps(document))
    assert ran.code == 2
    assert "steps[0].raci.responsible: is not a field of PublishProcess; here it has A, R, C, I." in ran.err
