"""Findings: a person decides what becomes of one, says why, and names one that is there."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.finding import (
    AcceptFinding,
    DismissFinding,
    FindingAccepted,
    FindingDismissed,
    FindingRemediated,
    RemediateFinding,
)
from attorn.contracts.participant import ParticipantRegistered
from attorn.contracts.refusal import Refused
from attorn.contracts.work import CompleteWork, DefineWork, WorkCompleted
from attorn.services.finding import app
from attorn.services.transact import Command
from story import Story, at_once

COMMANDS: Final = ((AcceptFinding, FindingAccepted), (RemediateFinding, FindingRemediated),
                   (DismissFinding, FindingDismissed))  # fmt: skip


def hidden() -> tuple[Story, str]:
    """Something happened to work that nobody defined; its id as a finding."""
    story = Story()
    told = story.fact(ExecutionStarted(execution_id="E-1", executor="ana"))
    return story, f"hidden-work@{told.receipt.position}"


def require(story: Story, body: Any) -> None:
    """What the door makes sure of before it carries out the command."""
    at = datetime(2026, 3, 3, tzinfo=UTC)
    command = Command(stream=body.stream, body=body, actor="ana", at=at, id="c", source="/attorn/participant/ana")
    at_once(app.require(story.streams, command))


@pytest.mark.parametrize(("command", "event"), COMMANDS)
def test_a_person_decides_and_says_why(command: Any, event: Any) -> None:
    story, id = hidden()
    asked = command(stream="work/W-1", finding_id=id, reason="It was agreed by telephone")
    require(story, asked)
    story.when(asked, by="ben").then(event(finding_id=id, by="ben", reason="It was agreed by telephone"))


@pytest.mark.parametrize("by", ["bot", "erp", "crew"])
def test_nobody_else_decides(by: str) -> None:
    story, id = hidden()
    story.when(DismissFinding(stream="work/W-1", finding_id=id, reason="fine"), by=by).refused("finding-decided")
    story.fact(FindingDismissed(finding_id=id, by=by, reason="fine")).finds_only("finding-decided")


def test_without_a_reason_nothing_is_settled() -> None:
    story, id = hidden()
    story.when(AcceptFinding(stream="work/W-1", finding_id=id, reason=" ")).refused_only("finding-decided")
    story.fact(FindingAccepted(finding_id=id, by="ana")).finds_only("finding-decided")


def test_what_is_no_rule_is_no_finding() -> None:
    story, _ = hidden()
    story.when(AcceptFinding(stream="work/W-1", finding_id="bad-luck@3", reason="so")).refused_only("finding-decided")
    story.fact(FindingAccepted(finding_id="bad-luck@3", by="ana", reason="so")).finds_only("finding-decided")


def test_a_finding_is_named_that_is_there() -> None:
    story, id = hidden()
    place = id.partition("@")[2]
    for stream, named in (
        ("work/W-1", "hidden-work@99"),  # there is no such position
        ("work/W-2", id),  # it is in another stream
        ("work/W-1", f"self-review@{place}"),  # that event broke another rule
        ("participant/ana", "registered-once@3"),  # that event broke none
    ):
        with pytest.raises(Refused, match="finding-decided"):
            require(story, DismissFinding(stream=stream, finding_id=named, reason="fine"))


def test_a_finding_in_the_stream_of_a_participant_is_decided_about_there() -> None:
    story = Story()
    told = story.fact(ParticipantRegistered(participant_id="new", kind="agent", display_name="New", sponsor="bot"))
    body = AcceptFinding(stream="participant/new", finding_id=f"sponsor-human@{told.receipt.position}", reason="a test")
    require(story, body)
    story.when(body).then(FindingAccepted)


def test_a_finding_is_derived_as_of_its_own_position_also_where_it_looks_at_other_work() -> None:
    story = Story().given(
        DefineWork(work_id="W-1", title="Whole", accountable="ana"),
        DefineWork(work_id="P-1", title="Part", accountable="ana", parent_id="W-1"),
    )
    told = story.fact(WorkCompleted())
    story.fact(WorkCompleted(), on="work/P-1")
    require(
        story, AcceptFinding(stream="work/W-1", finding_id=f"criteria-open@{told.receipt.position}", reason="known")
    )
    assert story.when(CompleteWork(work_id="P-1")).receipt is not None
