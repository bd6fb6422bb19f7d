"""Work from its definition to its end, as people and agents give the commands, against a real attorn."""

import json
from pathlib import Path

import pytest

from cli.instance import Run

pytestmark = pytest.mark.usefixtures("cast")

LONG = "W-" + "l" * 62


def test_a_refund_from_its_definition_to_its_release(done: Run, given: Run, tmp_path: Path) -> None:
    draft, final = tmp_path / "draft.txt", tmp_path / "final.txt"
    draft.write_text("we refund 12 euros")
    final.write_text("we refund 120 euros")
    work = "W-refund"
    said = done(
        "work", "define", work, "Refund order 1042", "--process", "refunds", "--criterion", "amount=right", by="ana"
    )
    assert said.out.startswith("W-refund is defined; ana answers (position ")
    done("work", "ready", work, "--how", "as always", by="ana")
    granted = done("work", "delegate", work, "bot", "--activity", "read_order", "-o", "id", by="ana")
    assert granted.out.startswith("D-")
    done("delegation", "accept", work, by="bot")
    assert done("delegation", "ls", work, "-o", "id").lines == [granted.out.strip()]
    done("execution", "start", work, by="bot")
    done("execution", "progress", work, "40", "--note", "order found", by="bot")

    beyond = given("execution", "action", work, "pay", by="bot")
    assert beyond.code == 5
    assert beyond.err.splitlines()[0] == "attorn: refused, nothing was recorded: one rule would be broken."
    assert beyond.err.splitlines()[1].startswith("  delegation-violated  pay is not among")
    assert beyond.err.rstrip().endswith("(TOOL)")

    done("execution", "action", work, "read_order", "--target", "order/1042", by="bot")
    asked = done("execution", "ask", work, "How much?", "--of", "ana", "--option", "all=all of it", by="bot")
    assert "it waits for ana" in asked.out
    assert "How much?" in done("work", "show", work).out
    assert "in progress" in done("execution", "answer", work, "all", by="ana").out
    done("execution", "report", work, "completed", "--out", f"reply={draft}", by="bot")

    waiting = done("review", "ls", "--for", "ana", "-o", "json").json
    assert [(r["work"], r["output_id"], r["makers"]) for r in waiting if r["work"] == work] == [
        (work, "reply", ["bot"])
    ]
    assert work not in done("review", "ls", "--for", "bot").out
    assert given("review", "approve", work, by="bot").code == 5
    assert given("work", "release", work, "reply").code == 5
    assert "in progress" in done("review", "send-back", work, "--comment", "120, not 12", by="ana").out

    done("execution", "start", work, by="bot")
    done("execution", "report", work, "--out", f"reply={final}", by="bot")
    assert "submitted" in done("review", "approve", work, "--item", "amount=passed", by="ana").out
    done("work", "release", work, "reply", "--to", "the customer", by="ana")
    done("work", "verify", work, "--passed", "amount", by="ana")
    assert "W-refund is completed; ana answers, bot carried it out" in done("work", "complete", work, by="ana").out

    told = done("work", "timeline", work, "-o", "json").json
    assert [event["type"].split(".")[1:3] for event in told][:4] == [
        ["work", "defined"],
        ["work", "readied"],
        ["work", "delegated"],
        ["delegation", "accepted"],
    ]
    assert len(told) == 19
    statuses = [review["status"] for review in done("review", "ls", work, "-o", "json").json]
    assert statuses == ["sent_back", "met"]
    assert {each["ended"]["result"] for each in done("execution", "ls", work, "-o", "json").json} == {"completed"}


def test_who_answers_is_told_at_any_time_with_the_reason(done: Run, given: Run) -> None:
    done("participant", "register", "dora")
    done("work", "define", "W-who", "Answer", "--accountable", "dora")
    first = done("who", "W-who", "-o", "json").json
    assert (first["person"], first["basis"]) == ("dora", "named")
    done("work", "offer", "W-who", "ben", by="dora")
    assert done("who", "W-who", "-o", "id").out == "dora\n"
    done("work", "transfer", "W-who", by="ben")
    assert done("who", "W-who", "-o", "id").out == "ben\n"
    assert done("who", "W-who", "--position", str(first["position"]), "-o", "id").out == "dora\n"
    assert done("who", "W-who", "--at", first["since"]["time"], "-o", "id").out == "dora\n"
    assert done("who", "W-who", "--known-at", first["since"]["recorded_at"], "-o", "id").out == "dora\n"

    explained = done("who", "W-who").lines
    assert explained[0] == "ben answers for W-who" and "accepted" in explained[1]
    history = done("who", "W-who", "--history", "-o", "json").json
    assert [each["person"] for each in history] == ["dora", "ben"]
    assert history[0]["until_position"] == history[1]["from_position"]

    before = given("who", "W-who", "--at", "2001-01-01")
    assert before.code == 3 and "did not exist" in before.err
    assert given("who", "W-nothing").code == 3


def test_who_leaves_is_succeeded(done: Run, given: Run) -> None:
    done("participant", "register", "emil")
    done("work", "define", "W-left", "Stay", "--accountable", "emil")
    alone = given("participant", "deactivate", "emil")
    assert alone.code == 4 and "successor-human" in alone.err and "W-left" in alone.err
    done("participant", "deactivate", "emil", "--successor", "ana", "--reason", "retires")
    assert done("who", "W-left", "-o", "id").out == "ana\n"
    assert "emil left at position" in done("who", "W-left").out
    answered = done("work", "ls", "--accountable", "ana", "-o", "json").json
    left = next(each for each in answered if each["work"] == "W-left")
    assert left["basis"] == "successor"
    assert "emil" not in done("participant", "ls", "-o", "id").lines
    assert "emil" in done("participant", "ls", "--all", "-o", "id").lines


def test_an_escalation_is_raised_taken_up_answered_and_resolved(done: Run, given: Run) -> None:
    done("work", "define", "W-stuck", "Stuck", by="ana")
    done("execution", "start", "W-stuck", by="ana")
    raised = done(
        "escalation", "raise", "W-stuck", "the customer threatens", "--severity", "critical", "--blocking",
        "--reason", "decision_needed", "--option", "pay=pay it", "-o", "id", by="ana",
    )  # fmt: skip
    id = raised.out.strip()
    assert id.startswith("X-")
    assert id in done("escalation", "ls", "--severity", "critical", "-o", "id").lines
    assert "waiting input" in done("work", "show", "W-stuck").lines[0]
    done("escalation", "ack", "W-stuck", by="ana")
    done("escalation", "answer", "W-stuck", "pay", "--option", "pay", by="ana")
    assert "in progress" in done("escalation", "resolve", "W-stuck", "returned", by="ana").out
    assert id not in done("escalation", "ls", "-o", "id").lines
    assert id in done("escalation", "ls", "--all", "--work", "W-stuck", "-o", "id").lines
    over = given("escalation", "ack", "W-stuck", by="ana")
    assert over.code == 3 and "no open escalation" in over.err
    again = given("escalation", "ack", "W-stuck", "--escalation", id, by="ana")
    assert again.code == 5 and "escalation-open" in again.err

    for _ in range(2):
        done("escalation", "raise", "W-stuck", "again", by="ana")
    several = given("escalation", "cancel", "W-stuck", by="ana")
    assert several.code == 2 and "--escalation" in several.err
    one = done("escalation", "ls", "--work", "W-stuck", "-o", "id").lines[0]
    done("escalation", "cancel", "W-stuck", "--escalation", one, "--reason", "said twice", by="ana")


def test_a_delegation_is_declined_and_taken_back(done: Run, given: Run) -> None:
    done("work", "define", "W-trust", "Trust", by="ana")
    done("work", "delegate", "W-trust", "bot", "--id", "D-1", by="ana")
    done("delegation", "decline", "W-trust", "--reason", "no access", by="bot")
    assert given("delegation", "accept", "W-trust", by="bot").code == 3
    done("delegation", "give", "W-trust", "bot", "--id", "D-2", "--max-actions", "3", "--until", "2099-01-01", by="ana")
    done("delegation", "revoke", "W-trust", "--reason", "went too far", by="ana")
    found = done("delegation", "ls", "W-trust", "-o", "json").json
    assert [(each["delegation"], each["state"]) for each in found] == [("D-1", "declined"), ("D-2", "revoked")]
    assert found[1]["terms"]["budget"] == {"actions": 3}
    assert [each["delegation"] for each in done("delegation", "ls", "--state", "revoked", "-o", "json").json] == ["D-2"]
    shown = done("delegation", "show", "W-trust", "D-2")
    assert shown.lines[0] == "D-2 of W-trust, begun by ana"
    assert "at most   3 actions" in shown.out and "went too far" not in shown.err
    assert given("delegation", "show", "W-trust", "D-9").code == 3


def test_work_is_clarified_assigned_failed_reopened_and_cancelled(done: Run, given: Run) -> None:
    done("work", "define", "W-turns", "Turns", "--due", "2030-01-01", by="ana")
    done("work", "clarify", "W-turns", "--set", "priority=high", "--set", "title=Turns, said better", by="ana")
    item = done("work", "show", "W-turns", "-o", "json").json["item"]
    assert (item["priority"], item["title"]) == ("high", "Turns, said better")
    wrong = given("work", "clarify", "W-turns", "--set", "accountable=ben", by="ana")
    assert wrong.code == 2 and "changes.accountable" in wrong.err
    done("work", "ready", "W-turns", by="ana")
    done("work", "assign", "W-turns", "ben", by="ana")
    assert "W-turns" in done("work", "ls", "--executor", "ben", "-o", "id").lines
    done("work", "note", "W-turns", "not today", by="ben")
    done("work", "fail", "W-turns", "--reason", "no", "--retryable", by="ben")
    assert "ready" in done("work", "reopen", "W-turns", by="ana").out
    done("work", "cancel", "W-turns", "--reason", "ordered twice", by="ana")
    assert "W-turns" not in done("work", "ls", "--open", "-o", "id").lines


def test_a_review_is_asked_for_rejected_and_waived(done: Run, given: Run, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    done("work", "define", "W-judged", "Judged", "--process", "refunds", by="ana")
    done("execution", "start", "W-judged", by="ben")
    done("execution", "report", "W-judged", "--out", f"a={tmp_path / 'a'}", by="ben")
    assert given("review", "waive", "W-judged", "--authority", "my own", by="ben").code == 5
    done("review", "reject", "W-judged", "--comment", "no", by="ana")
    done("execution", "start", "W-judged", by="ben")
    done("execution", "report", "W-judged", "--out", f"a={tmp_path / 'a'}", by="ben")
    done("review", "waive", "W-judged", "--authority", "the owner's", by="ana")
    done("review", "request", "W-judged", "a", "--candidate", "ana", "--id", "R-more", by="ana")
    assert "R-more" in done("review", "ls", "W-judged", "-o", "id").lines
    assert given("review", "request", "W-judged", "b", by="ana").code == 3


def test_the_same_command_given_twice_is_no_second_event(done: Run) -> None:
    first = done("work", "define", "W-twice", "Twice", "-o", "json", by="ana").json
    again = done("work", "define", "W-twice", "Twice", "-o", "json", by="ana").json
    assert first["position"] == again["position"] and first["kind"] == "receipt"


def test_each_broken_rule_has_a_line(given: Run) -> None:
    ran = given("work", "define", "W-broken", "x", "--accountable", "bot", "--candidate", "nobody-1")
    assert ran.code == 5 and ran.out == ""
    head, *rules = ran.err.splitlines()
    assert head.startswith("attorn: refused, nothing was recorded: 2 rules would be broken.")
    assert [line.split()[0] for line in rules] == ["accountable-human", "unregistered-actor"]
    assert [line.rpartition("  ")[2] for line in rules] == ["(--accountable)", "(--candidate)"]


def test_work_is_defined_from_a_file_and_from_standard_input(done: Run, given: Run, tmp_path: Path) -> None:
    file = tmp_path / "work.toml"
    file.write_text(
        'title = "From a file"\naccountable = "ana"\ndue_at = 2030-01-01T00:00:00Z\n'
        '[[acceptance_criteria]]\nid = "amount"\ntext = "is right"\n'
    )
    done("work", "define", "W-file", "--from", str(file), "--priority", "high")
    item = done("work", "show", "W-file", "-o", "json").json["item"]
    assert (item["title"], item["accountable"], item["priority"]) == ("From a file", "ana", "high")
    done("work", "define", "W-stdin", "--from", "-", stdin='{"title": "Said", "accountable": "ana"}')
    wrong = given(
        "work", "define", "W-file-2", "--from", "-", stdin='{"titel": "x", "title": "x", "accountable": "ana"}'
    )
    assert wrong.code == 2 and "titel" in wrong.err


def test_lists_are_written_in_four_ways(done: Run, given: Run) -> None:
    done("work", "define", "W-list-1", "One", by="ana")
    done("work", "define", "W-list-2", "Two", by="ana")
    narrowed = ("work", "ls", "--after", "W-list", "--limit", "2")
    table = done(*narrowed)
    assert table.lines[0].split() == ["WORK", "STATE", "ANSWERS", "TITLE"]
    assert "--limit 0 shows all" in table.err
    assert [item["work"] for item in done(*narrowed, "-o", "json").json] == ["W-list-1", "W-list-2"]
    assert [line[:8] for line in done(*narrowed, "-o", "jsonl").lines] == ['{"work":', '{"work":']
    assert done(*narrowed, "-o", "id").lines == ["W-list-1", "W-list-2"]
    assert done(*narrowed, ATTORN_OUTPUT="id").lines == ["W-list-1", "W-list-2"]
    nothing = done("work", "ls", "--process", "refunds", "--priority", "low")
    assert (nothing.out, nothing.err) == ("", "no such work items\n")
    assert done("work", "ls", "--process", "refunds", "--priority", "low", "-o", "json").json == []
    assert given("work", "ls", "--limit", "-1").code == 2
    assert len(done("work", "ls", "--limit", "0", "-o", "id").lines) > 2


def test_long_ids_are_whole_at_eighty_columns(done: Run) -> None:
    person = "p" * 64
    done("participant", "register", person)
    done("work", "define", LONG, "A title that is rather long, and so has to give way " * 2, "--accountable", person)
    done("escalation", "raise", LONG, "stuck, for a reason that is told at length " * 3, "--id", "E" * 64, by=person)
    for argv in (
        ("work", "ls", "--limit", "0"),
        ("work", "show", LONG),
        ("work", "timeline", LONG),
        ("who", LONG),
        ("who", LONG, "--history"),
        ("escalation", "ls"),
        ("events", "ls", "--stream", f"work/{LONG}"),
    ):
        ran = done(*argv)
        assert LONG in ran.out or argv[1] == LONG or "timeline" in argv, argv
        assert person in ran.out or argv[0] == "escalation", argv
        for line in ran.lines:
            assert len(line) <= 80 or LONG in line or person in line or "E" * 64 in line, (argv, line)
        # The sentences of a timeline are made short by the view; nothing else is.
        assert "…" not in ran.out or "timeline" in argv, argv


def test_what_a_stranger_wrote_drives_no_terminal(done: Run) -> None:
    done("work", "define", "W-strange", "red \x1b[31m title\x07", by="ana")
    assert "\x1b" not in done("work", "ls", "--accountable", "ana", "--limit", "0").out
    assert "\x1b" not in done("work", "show", "W-strange").out
    assert "\\x1b[31m" in done("work", "timeline", "W-strange").out


def test_work_that_is_not_on_the_log_is_not_found(given: Run) -> None:
    for argv in (
        ("work", "complete", "W-none"),
        ("work", "show", "W-none"),
        ("work", "timeline", "W-none"),
        ("execution", "progress", "W-none", "3"),
        ("review", "approve", "W-none"),
        ("escalation", "ack", "W-none"),
        ("delegation", "accept", "W-none"),
        ("participant", "show", "none"),
        ("process", "show", "none"),
        ("policy", "show", "none"),
        ("events", "get", "999999999"),
    ):
        ran = given(*argv)
        assert ran.code == 3, (argv, ran)
        assert ran.out == "" and ran.err.startswith("attorn: ") and ran.err.count("\n") == 1
    assert given("work", "complete", "W-none").err.startswith("attorn: work/W-none is not on the log. Hint: ")


@pytest.mark.parametrize(
    "argv",
    [
        ("work", "define", "W 1", "x"),
        ("work", "define", "W.1", "x"),
        ("work", "complete", "W*"),
        ("work", "show", ""),
        ("participant", "show", ""),
        ("participant", "register", "an a"),
        ("events", "ls", "--stream", "work"),
        ("events", "ls", "--kind", "job"),
        ("work", "ls", "--state", "nonsense"),
        ("work", "define", "W-x", "t" * 300),
        ("facts", "publish", "-", "--source", "a.b"),
        ("work", "ls", "--as", "ana lopez", "--open"),
    ],
)
def test_what_cannot_be_meant_is_no_traceback(argv: tuple[str, ...], given: Run) -> None:
    ran = given(*argv, stdin="{}")
    assert ran.code in (0, 2, 3), ran
    assert ran.code == 0 or (ran.err.startswith("attorn: ") and ran.err.count("\n") == 1)


def test_who_acts_is_an_identifier(given: Run) -> None:
    ran = given("work", "define", "W-as", "x", by="ana lopez")
    assert ran.code == 2 and "not an identifier" in ran.err


def test_the_board_is_told_as_it_was(done: Run, given: Run) -> None:
    done("work", "define", "W-then", "Then", by="ana")
    done("work", "assign", "W-then", "ben", by="ana")
    events = done("events", "ls", "--stream", "work/W-then", "-o", "json").json
    defined, assigned = (event["position"] for event in events)
    then = done("work", "ls", "--position", str(defined), "--state", "defined", "-o", "json", "--limit", "0").json
    assert [(item["state"], item["executor"]) for item in then if item["work"] == "W-then"] == [("defined", None)]
    now = done("work", "ls", "--position", str(assigned), "--state", "claimed", "-o", "id", "--limit", "0")
    assert "W-then" in now.lines
    before, after = (done("work", "count", "--position", str(at), "-o", "json").json for at in (defined, assigned))
    assert (after["by_state"]["claimed"] - before["by_state"].get("claimed", 0), after["items"]) == (1, before["items"])
    assert "work items" in done("work", "count", "--at", "2000-01-01").out
    assert given("work", "ls", "--position", "1", "--priority", "high").code == 2
    assert given("work", "count", "--position", "0").code == 2


def test_what_can_be_done_is_said_as_it_is_typed(done: Run, given: Run) -> None:
    from attorn.cli.commands import app

    done("work", "define", "W-typed", "x", by="ana")
    # Wide enough for one line.
    shown = done("work", "show", "W-typed", "--possible", COLUMNS="400")
    line = next(line for line in shown.lines if line.startswith("possible"))
    possible = [each.strip() for each in line.removeprefix("possible").split(",")]
    assert "work note" in possible and "escalation raise" in possible
    for words in possible:
        group, verb = words.split(" ")
        assert verb in app[group], words
    none = given("review", "approve", "W-typed", by="ben")
    assert none.code == 3 and "`attorn review ls W-typed`" in none.err


def test_every_verb_is_said_as_it_is_typed() -> None:
    from attorn.cli.board import _typed
    from attorn.cli.commands import app
    from attorn.contracts.messages import COMMAND_BY_VERB

    for verb in COMMAND_BY_VERB:
        group, _, typed = _typed(verb).partition(" ")
        if group != "role":
            assert typed in app[group], verb


def test_a_verdict_is_on_a_criterion_that_there_is(done: Run, given: Run) -> None:
    done("work", "define", "W-held", "x", "--criterion", "amount=it is right", by="ana")
    done("work", "define", "W-loose", "x", by="ana")
    ran = given("work", "verify", "W-held", "--passed", "amuont", by="ana")
    assert ran.code == 2 and "no acceptance criterion 'amuont'; it has amount" in ran.err
    assert "it has none" in given("work", "verify", "W-loose", "--passed", "amount", by="ana").err


def test_what_is_urgent_and_what_is_late_is_seen_in_the_list(done: Run) -> None:
    # What was due before it was known of can only be told.
    fact = {
        "specversion": "1.0",
        "id": "late-1",
        "source": "/late",
        "type": "attorn.work.defined.v1",
        "subject": "work/W-late-1",
        "time": "2026-02-01T09:00:00Z",
        "data": {"title": "Late", "accountable": "ana", "priority": "critical", "due_at": "2026-03-01T00:00:00Z"},
    }
    done("facts", "publish", "--source", "late", stdin=json.dumps(fact))
    done("work", "define", "W-late-2", "In time", "--due", "2099-03-01", by="ana")
    header, late, in_time = done("work", "ls", "--after", "W-late", "--limit", "2").lines
    assert header.split() == ["WORK", "STATE", "ANSWERS", "PRIORITY", "DUE", "LATE", "TITLE"]
    assert late.split()[3] == "critical" and late.split()[7] == "d" and int(late.split()[6]) > 200
    assert in_time.split() == ["W-late-2", "defined", "ana", "2099-03-01", "00:00Z", "In", "time"]
    done("work", "cancel", "W-late-1", by="ana")
    assert "LATE" not in done("work", "ls", "--after", "W-late", "--limit", "2").out


def test_a_delegation_is_shown_as_a_person_says_it_on_80_columns(done: Run) -> None:
    done("work", "define", "W-bounds", "x", by="ana")
    done(
        *("work", "delegate", "W-bounds", "bot", "--id", "D-bounds", "--activity", "pay", "--max-minutes", "90"),
        *("--max-money", "200.00EUR", "--max-tokens", "5000", "--until", "2099-01-01", "--subdelegate", "2"),
        *("--condition", "cheap=!has(action.amount) || action.amount == null || double(action.amount) <= 200.0"),
        *("--escalate-when", "result.result == 'failed'"),
        by="ana",
    )
    shown = done("delegation", "show", "W-bounds", "D-bounds")
    assert max(map(len, shown.lines)) <= 80
    told = dict(line.strip().split("  ", 1) for line in shown.lines if line.startswith("    ") and "  " in line.strip())
    assert {name: text.strip() for name, text in told.items()} == {
        "may do": "pay",
        "only if (cheap)": "!has(action.amount) || action.amount == null ||",
        "asks when": "result.result == 'failed'",
        "at most": "5,000 tokens, 200.00 EUR, 1 h 30 min",
        "until": "2099-01-01 00:00Z",
        "may pass on": "yes, 2 deep",
        "autonomy": "suggest",
    }
    assert "PT" not in shown.out and "valid_until" not in shown.out
    assert shown.lines[-1] == "used: 0 executions, 0 actions, 0 tokens"


def test_escalations_and_events_with_long_texts_fit_80_columns(done: Run) -> None:
    done("work", "define", "W-long", "x", "--process", "refunds", by="ana")
    summary = "The result was said with so little confidence that somebody has to look at it. " * 3
    done("escalation", "raise", "W-long", summary, "--question", "May it go on?", by="ana")
    listed = done("escalation", "ls", "--work", "W-long")
    assert max(map(len, listed.lines)) <= 80 and len(listed.lines) <= 7
    assert summary.split() == " ".join(listed.lines[3:]).split()
    position = done("events", "ls", "--stream", "work/W-long", "--type", "work.escalated", "-o", "id").out.strip()
    assert max(map(len, done("events", "get", position).lines)) <= 80
