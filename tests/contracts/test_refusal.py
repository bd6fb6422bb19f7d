"""What the caller is told: a problem as RFC 9457 has it, with a status that says what to do next."""

import msgspec
import pytest

from attorn.contracts.refusal import (
    Breach,
    Conflict,
    Problem,
    Receipt,
    Refused,
    Reply,
    Unavailable,
    Unreadable,
    problem,
)

HUMAN = Breach(rule="accountable-human", detail="refunds-bot is an agent", field="data.accountable")
HIDDEN = Breach(rule="hidden-work", detail="work/W-9 was never defined")


@pytest.mark.parametrize(
    ("error", "status", "title", "detail", "rules"),
    [
        (Refused(HUMAN), 422, "refused", "refunds-bot is an agent", ("accountable-human",)),
        (
            Refused(HUMAN, Breach(rule="defined-once", detail="it is defined")),
            422,
            "refused",
            "refunds-bot is an agent; it is defined",
            ("accountable-human", "defined-once"),
        ),
        (Refused(HIDDEN), 404, "not found", "work/W-9 was never defined", ("hidden-work",)),
        (Refused(HUMAN, HIDDEN), 404, "not found", "refunds-bot", ("accountable-human", "hidden-work")),
        (Refused(Breach(rule="conflict", detail="used before")), 409, "conflict", "used before", ("conflict",)),
        (Conflict("work/W-1", 3, 4), 409, "conflict", "work/W-1 is at 4, not 3; read it again", ()),
        (Unreadable("is required", "time"), 400, "unreadable", "time: is required", ()),
        (Unreadable("byte 0 is not UTF-8"), 400, "unreadable", "byte 0 is not UTF-8", ()),
        (Unavailable("the log does not answer"), 503, "unavailable", "nothing was recorded", ()),
        (Unavailable("no answer", "unknown"), 504, "outcome unknown", "ask again with the same id", ()),
        (KeyError("secret"), 500, "internal error", "an error of ours", ()),
        (AssertionError("secret"), 500, "internal error", "an error of ours", ()),
    ],
)
def test_an_error_is_told_with_its_status_and_every_rule(
    error: Exception, status: int, title: str, detail: str, rules: tuple[str, ...]
) -> None:
    told = problem(error)
    assert (told.status, told.title) == (status, title)
    assert detail in told.detail
    assert tuple(breach.rule for breach in told.rules) == rules
    assert "secret" not in str(told)


def test_a_problem_names_the_field() -> None:
    assert problem(Unreadable("is required", "time")).field == "time"
    assert problem(Refused(HUMAN)).rules == (HUMAN,)


def test_receipts_and_problems_are_told_apart_by_their_kind() -> None:
    told = msgspec.json.encode(problem(Refused(HUMAN)))
    assert b'"kind":"problem"' in told
    assert msgspec.json.decode(told, type=Reply) == Problem(
        title="refused", status=422, detail="refunds-bot is an agent", rules=(HUMAN,)
    )
    receipt = b'{"kind":"receipt","position":8,"event_id":"1","stream":"work/W-1","time":"2026-03-02T09:00:00Z"}'
    found = msgspec.json.decode(receipt, type=Reply)
    assert isinstance(found, Receipt)
    assert msgspec.json.encode(found) == receipt


def test_errors_say_what_happened_in_a_sentence() -> None:
    assert str(Conflict("work/W-1", 3, 4)) == "work/W-1 is at 4, not 3"
    assert str(Refused(HUMAN, HIDDEN)) == (
        "accountable-human: refunds-bot is an agent; hidden-work: work/W-9 was never defined"
    )
    assert str(Unreadable("is required", "time")) == "time: is required"
