"""Every subject and every stream name is built and taken apart in one place."""

import pytest

from attorn.contracts import subjects
from attorn.contracts.messages import COMMAND_BY_VERB, EVENT_BY_TYPE
from attorn.contracts.refusal import Unreadable

NOT_TOKENS = ["", "*", ">", "a.b", "a b", "a\n", "\n", "é", "a/b", "$x", "x" * 65, "a\x00", "\ud800"]


@pytest.mark.parametrize("kind", subjects.KINDS)
def test_a_stream_is_one_literal_subject_and_back(kind: str) -> None:
    stream = subjects.stream(f"{kind}/A_b-9")
    assert (stream.kind, stream.id, str(stream)) == (kind, "A_b-9", f"{kind}/A_b-9")
    assert subjects.event(str(stream)) == f"attorn.ev.{kind}.A_b-9"
    assert subjects.event_stream(subjects.event(str(stream))) == str(stream)
    assert subjects.events(kind) == f"attorn.ev.{kind}.>"
    assert subjects.events() == "attorn.ev.>"


@pytest.mark.parametrize(
    "text", ["", "work", "work/", "/W-1", "Work/W-1", "team/t", "work/W-1/x", "work.W-1", " work/W"]
)
def test_what_names_no_stream_is_refused(text: str) -> None:
    with pytest.raises(Unreadable) as refused:
        subjects.stream(text)
    assert refused.value.field == "subject"


@pytest.mark.parametrize("id", NOT_TOKENS)
def test_no_name_can_widen_a_subject(id: str) -> None:
    for build in (
        lambda: subjects.stream(f"work/{id}"),
        lambda: subjects.command(id, "work.define"),
        lambda: subjects.fact(id),
        lambda: subjects.inbox(id),
        lambda: subjects.quarantine(id),
    ):
        with pytest.raises(Unreadable):
            build()
    with pytest.raises(AssertionError):
        subjects.event(f"work/{id}")


def test_a_refusal_of_a_name_is_short_however_long_the_name() -> None:
    with pytest.raises(Unreadable) as refused:
        subjects.token("x" * 1_000_000, "source")
    assert len(refused.value.reason) < 200
    assert refused.value.field == "source"


@pytest.mark.parametrize("verb", COMMAND_BY_VERB)
def test_who_asks_is_read_from_the_subject(verb: str) -> None:
    assert subjects.command("ana", verb) == f"attorn.cmd.ana.{verb}"
    assert subjects.commands(verb) == f"attorn.cmd.*.{verb}"
    assert subjects.actor(subjects.command("ana", verb)) == "ana"


def test_who_tells_is_read_from_the_subject() -> None:
    assert subjects.actor(subjects.fact("shop")) == subjects.actor(subjects.inbox("shop")) == "shop"
    assert subjects.quarantine("shop") == "attorn.quarantine.shop"


@pytest.mark.parametrize("type", EVENT_BY_TYPE)
def test_every_type_is_found_on_the_feed_by_family_and_fact(type: str) -> None:
    _, family, fact, version = type.split(".")
    assert version[0] == "v" and int(version[1:]) >= 1
    assert subjects.family_and_fact(type) == (family, fact)
    assert subjects.feed(type, "work/W-1") == f"attorn.feed.{family}.{fact}.work.W-1"


@pytest.mark.parametrize(
    ("type", "fact"),
    [
        ("com.acme.lost", "com_acme_lost"),
        ("attorn.work.x", "attorn_work_x"),
        ("attorn.wo rk.*.v1", "attorn_wo_rk___v1"),
        ("attorn.>.x.v1", "attorn___x_v1"),
        ("", "_"),
        ("a" * 500, "a" * 64),
    ],
)
def test_a_foreign_type_is_one_token_of_the_family_other(type: str, fact: str) -> None:
    assert subjects.family_and_fact(type) == ("other", fact)


def test_an_escalation_is_found_by_severity_and_process() -> None:
    assert subjects.escalation("high", "refunds", "W-1", "escalated") == "attorn.escalation.high.refunds.W-1.escalated"
    assert subjects.escalation("high", "", "W-1", "resolved") == "attorn.escalation.high.-.W-1.resolved"


def test_a_question_is_asked_by_its_name() -> None:
    assert subjects.query("who") == "attorn.q.who"
