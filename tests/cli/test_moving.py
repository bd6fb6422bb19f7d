"""Work that waits, passes from hand to hand and rests; claims and findings: as people and agents type it."""

import pytest

from cli.instance import Run

pytestmark = pytest.mark.usefixtures("cast")


def test_work_waits_for_other_work_and_goes_on_by_itself(done: Run, given: Run) -> None:
    done("work", "define", "M-2", "Get the lamp back", by="ana")
    done("work", "define", "M-1", "Refund", "--depends-on", "M-2", by="ana")
    assert done("dependency", "ls", "M-1", "-o", "json").json == [{"on": "M-2", "status": "open"}]
    circle = given("dependency", "add", "M-2", "M-1", by="ana")
    assert circle.code == 5 and "relation-cycle" in circle.err
    assert "blocked" in given("work", "show", "M-1").out

    for verb in (("execution", "start"), ("work", "submit"), ("work", "verify"), ("work", "complete")):
        done(*verb, "M-2", by="ana")
    done("dependency", "block", "M-1", "--reason", "the bank is closed", by="ana")
    said = done("dependency", "unblock", "M-1", "--reason", "it is open", by="ana")
    assert "M-1 is defined" in said.out

    done("dependency", "add", "M-1", "M-3", by="ana")
    done("dependency", "break", "M-1", "M-3", "--reason", "lost", by="ana")
    assert "M-1 is defined" in done("dependency", "satisfy", "M-1", "M-3", by="ana").out


def test_work_passes_when_whoever_was_asked_takes_it(done: Run, given: Run) -> None:
    done("work", "define", "M-4", "Refund", by="ana")
    done("work", "assign", "M-4", "ana", by="ana")
    offered = done("handover", "offer", "M-4", "ben", "--question", "who packed it?", "-o", "id", by="ana")
    [told] = done("handover", "ls", "M-4", "-o", "json").json
    assert (told["handover_id"], told["status"], told["to"]) == (offered.out.strip(), "open", "ben")
    assert given("handover", "accept", "M-4", by="bot").code == 5
    assert "ben carries it out" in done("handover", "accept", "M-4", by="ben").out
    done("handover", "offer", "M-4", "ana", by="ben")
    assert "ben carries it out" in done("handover", "decline", "M-4", "--reason", "no", by="ana").out
    assert given("handover", "accept", "M-4", by="ana").code == 3


@pytest.mark.requirement("001-09")
def test_five_layers_say_what_is_answered_and_how_clear_the_work_is(done: Run) -> None:
    done("work", "define", "M-7", "Refund", "--include", "order 1042", by="ana")
    stack = done("work", "stack", "M-7", "-o", "json").json
    layers = {layer: stack[layer] for layer in ("why", "what", "who", "when", "how")}
    assert layers == {"why": None, "what": "order 1042", "who": "ana", "when": None, "how": None}
    assert (stack["missing"], stack["clarity"]) == (["why", "when", "how"], 0.4)
    done("work", "due", "M-7", "2099-03-06T12:00", by="ana")
    done("work", "ready", "M-7", "--why", "the customer waits", "--how", "as the handbook says", by="ana")
    assert done("work", "stack", "M-7", "-o", "json").json["clarity"] == 1.0
    assert "nobody has said" not in done("work", "stack", "M-7").out


def test_work_is_moved_on_from_hand_to_hand(done: Run, given: Run) -> None:
    done("work", "define", "M-5", "Refund", "--candidate", "ben", by="ana")
    done("work", "reprioritize", "M-5", "high", by="ana")
    assert "ben carries it out" in done("work", "assign", "M-5", "--mode", "route", by="ana").out
    assert given("work", "decline", "M-5", by="bot").code == 5
    done("work", "decline", "M-5", "--reason", "no time", by="ben")
    done("work", "assign", "M-5", "ana", by="ana")
    assert "M-5 is ready" in done("work", "unassign", "M-5", by="ana").out
    assert "M-5 is suspended" in done("work", "suspend", "M-5", "--until", "2026-03-09", by="ana").out
    assert "M-5 is ready" in done("work", "resume", "M-5", by="ana").out
    done("work", "share", "M-5", "https://shop.example/photo.jpg", "--note", "as it arrived", by="ben")
    [known] = done("work", "context", "M-5", "-o", "json").json
    assert known["ref"]["uri"] == "https://shop.example/photo.jpg"
    assert "M-5 is superseded" in done("work", "supersede", "M-5", "M-4", by="ana").out


def test_a_claim_is_taken_kept_and_let_go_of(done: Run, given: Run) -> None:
    key = "order/4711"
    held = done("claim", "acquire", key, "--lease", "15m", "-o", "json", by="bot").json
    assert (held["holder"], held["fence"]) == ("bot", 1)
    second = given("claim", "acquire", key, by="ben")
    assert second.code == 5 and "bot holds order/4711 until" in second.err
    done("claim", "renew", key, "--lease", "1h", by="bot")
    assert "bot holds order/4711" in done("claim", "show", key).out
    assert "is free" in done("claim", "release", key, by="bot").out
    assert given("claim", "release", key, by="bot").code == 3
    done("claim", "acquire", key, by="bot")
    assert "its last fence is 2" in done("claim", "revoke", key, by="ana").out


def test_a_finding_is_decided_about_where_it_was_found(done: Run, given: Run) -> None:
    event = (
        '{"specversion":"1.0","id":"m-6","source":"/crm","type":"attorn.note.added.v1","subject":"work/M-6",'
        '"time":"2026-03-02T09:00:00Z","data":{"text":"Somebody works on this"}}'
    )
    done("source", "register", "crm", "--uri", "https://crm.example", by="ana")
    done("facts", "publish", "-", "--source", "crm", stdin=event)
    found = done("audit", "findings", "-o", "json").json
    [hidden] = [f for f in found if f["rule"] == "hidden-work" and f["stream"] == "work/M-6"]
    assert given("finding", "dismiss", "work/M-6", "hidden-work@1", "--reason", "no", by="ana").code == 5
    done("finding", "accept", "work/M-6", hidden["id"], "--reason", "agreed by telephone", by="ana")
    done("finding", "remediate", "work/M-6", hidden["id"], "--reason", "it is known now", by="ana")
    done("finding", "dismiss", "work/M-6", hidden["id"], "--reason", "it was none", by="ana")
