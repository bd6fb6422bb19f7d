"""Facts, the log, imports, the audit and the views, against a real attorn."""

import gzip
import hashlib
import json
import signal
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cli.instance import ATTORN, Run, attorn, environment

pytestmark = pytest.mark.usefixtures("cast")


def fact(id: str, work: str = "W-fact", **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": "/erp",
        "type": "attorn.note.added.v1",
        "subject": f"work/{work}",
        "time": "2026-01-01T00:00:00Z",
        "data": {"text": "seen"},
    } | more


def test_one_fact_is_recorded_with_a_receipt_and_its_findings(done: Run) -> None:
    ran = done("facts", "publish", "--source", "erp", stdin=json.dumps(fact("one"), indent=2))
    assert ran.lines[0].startswith("1 fact recorded (position ")
    assert any("hidden-work@" in line for line in ran.lines)
    again = done("facts", "publish", "-", "--source", "erp", "-o", "json", stdin=json.dumps(fact("one"), indent=2))
    assert again.json["event_id"] == "one"


def test_facts_come_as_an_array_or_one_a_line(done: Run, tmp_path: Path) -> None:
    array, by_line = tmp_path / "facts.json", tmp_path / "facts.jsonl"
    array.write_text(json.dumps([fact(f"a{n}") for n in range(3)]))
    by_line.write_text("\n".join(json.dumps(fact(f"l{n}")) for n in range(1200)) + "\n\n")
    assert done("facts", "publish", str(array), "--source", "erp", "-o", "id").lines == ["a0", "a1", "a2"]
    assert (
        done("facts", "publish", str(by_line), "--source", "erp")
        .lines[0]
        .startswith("1,200 facts recorded (positions ")
    )


def test_the_same_id_with_other_bytes_is_a_conflict(done: Run, given: Run) -> None:
    done("facts", "publish", "-", "--source", "erp", stdin=json.dumps(fact("same")))
    ran = given("facts", "publish", "-", "--source", "erp", stdin=json.dumps(fact("same", data={"text": "other"})))
    assert ran.code == 4 and ran.err.startswith("attorn: fact 1 was not recorded: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "there is nothing in it"),
        ("hello", "not JSON"),
        ('{"specversion": "1.0"', "line 1"),
        (json.dumps(fact("x")) + "\n{broken\n", "line 2"),
        (json.dumps({**fact("x"), "specversion": "0.3"}), "specversion"),
        (json.dumps({**fact("x"), "subject": "job/1"}), "subject"),
        (json.dumps({**fact("x"), "data": {"txt": "seen"}}), "data"),
    ],
)
def test_what_is_no_fact_is_said_with_the_place(content: str, said: str, given: Run) -> None:
    ran = given("facts", "publish", "-", "--source", "erp", stdin=content)
    assert ran.code == 2 and said in ran.err and ran.err.count("\n") == 1


def test_the_log_is_listed_and_each_event_shown(done: Run) -> None:
    receipt = done("work", "define", "W-log", "On the log", "-o", "json", by="ana").json
    position = str(receipt["position"])
    assert done("events", "ls", "--stream", "work/W-log", "-o", "id").lines == [position]
    assert done("events", "ls", "--from", position, "--limit", "1", "-o", "json").json[0]["stream"] == "work/W-log"
    listed = done("events", "ls", "--from", position, "--type", "work.defined", "--by", "ana", "--kind", "work")
    assert listed.lines[0].split() == ["POSITION", "RECORDED", "STREAM", "VERSION", "TYPE", "BY"]
    assert "work.defined" in listed.lines[1]
    shown = done("events", "get", position)
    assert shown.lines[0] == f"position {position}: work.defined in work/W-log"
    assert "On the log" in shown.out
    assert done("events", "get", position, "-o", "id").out.strip() == receipt["event_id"]
    assert len(done("events", "ls", "--last", "3", "-o", "id").lines) == 3


def test_the_stored_bytes_come_out_unchanged(done: Run, instance: str) -> None:
    body = '{"specversion":"1.0" ,  "id":"odd","source":"/erp","type":"com.example.odd","subject":"work/W-odd",'
    body += '"time":"2026-01-01T00:00:00.000Z","data":{"z":1,"a":"\\u00fc"}}'
    position = done("facts", "publish", "-", "--source", "erp", "-o", "json", stdin=body).json["position"]
    argv = [*ATTORN, "events", "get", str(position), "-o", "json"]
    ran = subprocess.run(argv, capture_output=True, timeout=30, env=environment(ATTORN_NATS_URL=instance))
    assert ran.stdout.endswith(body.encode()[1:]), "the publisher's own bytes, behind what the service says"
    assert json.loads(ran.stdout)["authid"] == "erp"
    again = subprocess.run(argv, capture_output=True, timeout=30, env=environment(ATTORN_NATS_URL=instance))
    assert hashlib.sha256(again.stdout).digest() == hashlib.sha256(ran.stdout).digest()


def test_the_log_is_followed_from_a_position(done: Run) -> None:
    first = done("work", "define", "W-tail", "Tail", "-o", "json", by="ana").json["position"]
    done("work", "note", "W-tail", "one", by="ana")
    ran = done("events", "tail", "--from", str(first), "--stream", "work/W-tail", "--count", "2", "-o", "jsonl")
    assert [json.loads(line)["type"] for line in ran.lines] == ["attorn.work.defined.v1", "attorn.note.added.v1"]
    assert done("events", "tail", "--from", str(first), "--count", "1").lines[0].endswith("work.defined  ana")


def test_following_ends_with_ctrl_c(instance: str) -> None:
    argv = [*ATTORN, "events", "tail", "--from", "1"]
    env = environment(ATTORN_NATS_URL=instance)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, "")


def test_a_reader_that_has_seen_enough_is_no_error(instance: str) -> None:
    command = " ".join([*ATTORN, "events", "tail", "--from", "1", "-o", "jsonl", "--count", "1000"])
    ran = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -n 1"],
        capture_output=True, text=True, timeout=30, env=environment(ATTORN_NATS_URL=instance),
    )  # fmt: skip
    assert ran.stdout.count("\n") == 1 and ran.stderr == ""


XES = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <trace><string key="concept:name" value="case-{n}"/>
    <event><string key="concept:name" value="look"/><string key="lifecycle:transition" value="complete"/>
      <string key="org:resource" value="Somebody"/><date key="time:timestamp" value="2026-01-01T00:00:00Z"/></event>
    <event><string key="concept:name" value="pay"/><string key="lifecycle:transition" value="complete"/>
      <string key="org:resource" value="Somebody"/><date key="time:timestamp" value="2026-01-02T00:00:00Z"/></event>
  </trace>
</log>
"""


def test_a_log_of_another_system_is_taken_in_once(done: Run, tmp_path: Path) -> None:
    file = tmp_path / "tickets.xes.gz"
    file.write_bytes(gzip.compress(XES.replace("{n}", "1").encode()))
    first = done("import", "xes", str(file), "-o", "json").json
    assert (first["cases"], first["source_events"]) == (1, 2) and first["recorded"] == first["facts"] > 2
    again = done("import", "xes", str(file))
    assert again.lines[0].startswith(f"0 facts recorded, {first['facts']} were there")
    assert "default" in done("import", "mappings", "-o", "id").lines


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (gzip.compress(XES.encode())[:-40], ""),
        (b"no xml at all", "neither XML nor gzip"),
        (XES.replace("</trace>", "").encode(), "line"),
    ],
)
def test_a_log_that_cannot_be_read_is_named_and_nothing_recorded(
    content: bytes, said: str, given: Run, done: Run, tmp_path: Path
) -> None:
    file = tmp_path / "broken.xes"
    file.write_bytes(content)
    last = done("status", "-o", "json").json["log"]
    ran = given("import", "xes", str(file))
    assert ran.code == 2 and str(file) in ran.err and said in ran.err and ran.err.count("\n") == 1
    assert done("status", "-o", "json").json["log"] == last


def test_a_mapping_that_is_not_there_is_named(given: Run, tmp_path: Path) -> None:
    file = tmp_path / "tickets.xes"
    file.write_text(XES)
    ran = given("import", "xes", str(file), "--mapping", "none")
    assert ran.code == 2 and "none" in ran.err and ran.err.count("\n") == 1


@pytest.mark.requirement("000-09")
def test_accountability_is_proved_over_every_position(done: Run) -> None:
    done("work", "define", "W-proved", "Proved")
    done("facts", "publish", "--source", "elsewhere", stdin=json.dumps(fact("proved", work="W-unheard-of")))
    ran = done("audit", "accountability")
    found = done("audit", "accountability", "-o", "json").json
    assert ran.lines[0] == (f"positions {found['positions']}  items {found['items']}  gaps 0  overlaps 0  non-human 0")
    assert found["holds"] and found["views"] == "equal" and found["items"] >= 2
    assert ran.lines[1] == "the views say the same of every item"


def test_a_history_of_many_pages_is_told_and_audited_as_a_whole(done: Run, given: Run) -> None:
    before = done("status", "-o", "json").json["log"]
    done("work", "define", "W-often", "Often", "--accountable", "ana")
    passed_on = [
        fact(f"on{n}", "W-often", type="attorn.accountability.transferred.v1",
             data={"from": ("ana", "ben")[n % 2], "to": ("ben", "ana")[n % 2], "reason": "a shift ended"})
        for n in range(1_050)
    ]  # fmt: skip
    done("facts", "publish", "--source", "erp", stdin="\n".join(map(json.dumps, passed_on)))
    # The audit waits for the views to have all of it.
    assert done("audit", "accountability", "-o", "json").json["views"] == "equal"
    told = done("who", "W-often", "--history", "-o", "json").json
    assert [one["person"] for one in told[:3]] == ["ana", "ben", "ana"] and len(told) == 1_051
    assert all(one["until_position"] == then["from_position"] for one, then in pairwise(told))
    ran = given("who", "W-often", "--history", "--position", str(before))
    first = told[0]["from_position"]
    assert ran.code == 3 and f"W-often is on the log from position {first} on, not at {before}" in ran.err


def test_whatever_broke_the_bounds_of_a_delegation_is_shown(done: Run) -> None:
    done("work", "define", "W-bound", "Bound", "--accountable", "ana")
    told: list[tuple[str, dict[str, Any]]] = [
        ("work.delegated", {"delegator": "ana", "delegate": "bot", "delegation_id": "D", "activities": ["read"]}),
        ("delegation.accepted", {"delegation_id": "D"}),
        ("execution.started", {"execution_id": "X", "executor": "bot", "delegation_id": "D"}),
    ]
    told += [
        ("execution.action_recorded", {"execution_id": "X", "action_id": f"a{n}", "tool": "wire_money"})
        for n in range(1_005)
    ]
    facts = [fact(f"b{n}", "W-bound", type=f"attorn.{type}.v1", data=data) for n, (type, data) in enumerate(told)]
    done("facts", "publish", "--source", "erp", stdin="\n".join(map(json.dumps, facts)))
    done("audit", "accountability")  # it waits for the views to have all of it
    shown = done("delegation", "show", "W-bound", "D", "-o", "json").json
    positions = [violation["position"] for violation in shown["violations"]]
    assert len(set(positions)) >= 1_005 and positions == sorted(positions) and "next" not in shown


def test_the_views_are_made_anew_and_are_the_same(done: Run) -> None:
    names = done("projection", "ls", "-o", "id").lines
    assert {"accountability", "board", "escalations", "timeline", "findings"} <= set(names)
    assert "what the log makes of them" in done("projection", "verify").out
    job = done("projection", "rebuild", "-o", "json").json
    assert job["state"] == "done" and all(view["equal"] for view in job["views"])


def test_the_status_says_what_runs(done: Run, instance: str) -> None:
    ran = done("status")
    assert ran.lines[0] == "attorn runs" and instance in ran.out
    found = done("status", "-o", "json").json
    assert found["views"]["head"] == found["log"] and found["services_ms"] > 0


def test_the_default_participant_is_who_is_logged_in(instance: str) -> None:
    ran = attorn("work", "define", "W-login", "x", "--accountable", "ana", "-o", "json", ATTORN_NATS_URL=instance)
    assert ran.code == 0
    shown = attorn("events", "ls", "--stream", "work/W-login", "-o", "json", ATTORN_NATS_URL=instance)
    from attorn.cli.options import login

    assert shown.json[0]["by"] == login()


def test_findings_are_listed_by_work_rule_and_status(done: Run, given: Run) -> None:
    done("facts", "publish", "--source", "erp", stdin=json.dumps(fact("hidden", work="W-found")))
    listed = done("audit", "findings", "--work", "W-found", "-o", "json").json
    assert {each["rule"] for each in listed} == {"hidden-work", "accountability-defaulted"}
    [one] = done("audit", "findings", "--work", "W-found", "--rule", "hidden-work", "-o", "id").lines
    assert one == f"hidden-work@{listed[0]['position']}"
    assert "work/W-found is not defined" in done("audit", "findings", "--work", "W-found").out
    assert len(done("audit", "findings", "--limit", "1", "-o", "id").lines) == 1
    assert "--limit 0 shows all" in done("audit", "findings", "--limit", "1").err
    assert done("audit", "findings", "--work", "W-found", "--status", "dismissed").err == "nothing was found\n"
    wrong = given("audit", "findings", "--rule", "hiden-work")
    assert wrong.code == 2 and "did you mean 'hidden-work'?" in wrong.err


def test_a_type_that_is_misspelt_is_kept_and_said(done: Run) -> None:
    ran = done("facts", "publish", "--source", "erp", stdin=json.dumps(fact("typo", type="attorn.note.addd.v1")))
    assert "attorn.note.addd.v1 is no type of event that this attorn knows" in ran.err
    foreign = done("facts", "publish", "--source", "erp", stdin=json.dumps(fact("own", type="com.example.seen")))
    assert foreign.err == ""
