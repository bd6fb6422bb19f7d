"""What is said in a stream of another kind than it is about counts for nothing, and is found, whatever the kind."""

from typing import Any, Final

import msgspec
import pytest

from attorn.contracts.checkpoint import LedgerCheckpointed
from attorn.contracts.claim import ClaimAcquired, ClaimReleased, ClaimRenewed
from attorn.contracts.context import NoteAdded
from attorn.contracts.examples import EVENT_EXAMPLES
from attorn.contracts.finding import FindingAccepted
from attorn.contracts.messages import EVENTS, KIND_BY_EVENT
from attorn.contracts.outcome import OutcomeDefined
from attorn.contracts.participant import ParticipantSuspended, RoleGranted
from attorn.contracts.policy import PolicyPublished, PolicyRules
from attorn.contracts.process import ProcessPublished
from attorn.contracts.subjects import KINDS
from attorn.contracts.work import DefineWork, WorkCompleted, WorkDefined
from attorn.projections import activity
from attorn.services import misplaced
from attorn.services.rulebook import RULES
from story import BEGIN, Story

STRAY: Final[list[tuple[str, msgspec.Struct]]] = [
    ("work/W-1", ParticipantSuspended(reason="Stop")),
    ("work/W-1", ProcessPublished(version=1, owner="ana")),
    ("work/W-1", OutcomeDefined(statement="Fewer complaints")),
    ("work/W-1", EVENT_EXAMPLES[LedgerCheckpointed]),
    ("claim/order-7", WorkDefined(title="Refund", accountable="ana")),
    ("claim/order-7", NoteAdded(text="Called twice")),
    ("participant/ben", WorkCompleted()),
    ("participant/ben", ClaimReleased(claim_id="C-1")),
    ("process/refunds", PolicyPublished(version=1, kind="review", rules=PolicyRules())),
    ("policy/check", RoleGranted(role="admin")),
    ("outcome/trust", NoteAdded(text="Called twice")),
    ("ledger/main", WorkDefined(title="Refund", accountable="ana")),
]
HELD: Final = [
    ClaimAcquired(claim_id="C-1", key="order-7", holder="ben", fence=1),
    ClaimRenewed(claim_id="C-1", lease_until=BEGIN),
    ClaimReleased(claim_id="C-1"),
]


def defined() -> Story:
    return Story().given(DefineWork(work_id="W-1", title="Refund", accountable="ana"))


@pytest.mark.parametrize(("stream", "payload"), STRAY, ids=lambda said: getattr(type(said), "__name__", None))
def test_what_is_reported_in_a_stream_of_another_kind_is_recorded_and_found_there(
    stream: str, payload: msgspec.Struct
) -> None:
    defined().fact(payload, on=stream).finds("misplaced-event")


def test_a_source_is_told_where_it_belongs() -> None:
    told = defined().fact(ParticipantSuspended(reason="Stop"), on="work/W-1")
    [breach] = told.receipt.warnings

    assert breach.field == "subject"
    assert breach.detail == (
        "it is about participant, and belongs in a stream participant/<id>; in work/W-1 it counts for nothing"
    )


def test_it_moves_nothing_where_it_stands_and_nobody_has_done_anything() -> None:
    story = defined()
    before = story.state()
    story.fact(ParticipantSuspended(reason="Stop"), on="work/W-1", source="erp").finds_only("misplaced-event")
    story.fact(WorkDefined(title="Refund", accountable="ben"), on="claim/order-7").finds_only("misplaced-event")

    assert story.state() == before and not story.people().is_suspended("erp")
    assert story.state("claim/order-7") == RULES["claim"].initial
    assert activity.keys(story.log()[-1]) == ()


@pytest.mark.parametrize("payload", HELD, ids=lambda payload: type(payload).__name__)
def test_who_claims_an_item_as_a_whole_says_so_in_its_own_stream(payload: msgspec.Struct) -> None:
    story = defined().given(HELD[0]) if payload is not HELD[0] else defined()

    assert "misplaced-event" not in story.fact(payload, on="work/W-1").warned


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_decided_about_a_finding_may_stand_in_any_stream(kind: str) -> None:
    said = FindingAccepted(finding_id="hidden-work@12", by="ana", reason="It was agreed")

    assert "misplaced-event" not in defined().fact(said, on=f"{kind}/x").warned


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_every_event_has_one_kind_of_stream_that_is_its_own(event: Any) -> None:
    elsewhere = {kind for kind in KINDS if event in misplaced.CHECKS[kind]}

    assert KIND_BY_EVENT[event] not in elsewhere
    if event.type.startswith("attorn.finding."):
        assert elsewhere == set()
    elif event.type.startswith("attorn.claim."):
        assert elsewhere == {*KINDS} - {"claim", "work"}
    else:
        assert elsewhere == {*KINDS} - {KIND_BY_EVENT[event]}
