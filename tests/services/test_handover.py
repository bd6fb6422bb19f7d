"""Handovers: between everybody and everybody, with what the next one needs; who answers stays who answers."""

from datetime import timedelta
from itertools import product
from typing import Final

import pytest

from attorn.contracts.execution import RequireInput, StartExecution
from attorn.contracts.handover import (
    AcceptHandover,
    DeclineHandover,
    HandoverAccepted,
    HandoverDeclined,
    HandoverExpired,
    HandoverOffered,
    OfferHandover,
)
from attorn.contracts.ids import Ref
from attorn.contracts.participant import AddTeamMember, ParticipantRegistered
from attorn.contracts.work import AssignWork, DefineWork
from story import BEGIN, CAST, Story

W: Final = {"work_id": "W-1"}
PHOTO: Final = Ref(uri="https://shop.example/photo.jpg")

# Of each kind one who has the work and one who gets it, and who speaks for them.
FROM: Final = {"human": ("ben", "ben"), "agent": ("bot", "bot"), "system": ("erp", "erp"), "team": ("crew", "ben")}
TO: Final = {
    "human": ("carla", "carla"),
    "agent": ("scout", "scout"),
    "system": ("crm", "crm"),
    "team": ("desk", "carla"),
}


def held(by: str = "ben") -> Story:
    story = Story(
        (
            *CAST,
            ParticipantRegistered(participant_id="crm", kind="system", display_name="CRM", sponsor="ana"),
            ParticipantRegistered(participant_id="desk", kind="team", display_name="Desk"),
        )
    )
    return story.given(
        AddTeamMember(team_id="crew", member="ben"),
        AddTeamMember(team_id="desk", member="carla"),
        DefineWork(**W, title="Refund", accountable="ana"),
        AssignWork(**W, executor=by),
    )


def offered(**said: object) -> Story:
    return held().given(OfferHandover(**W, to="carla", handover_id="H-1", **said), by="ben")  # type: ignore[arg-type]


@pytest.mark.parametrize(("giver", "taker"), [*product(FROM, TO)])
def test_between_all_kinds_it_passes_when_it_is_accepted_and_who_answers_stays(giver: str, taker: str) -> None:
    (holder, offers), (next_, accepts) = FROM[giver], TO[taker]
    story = held(by=holder)
    story.when(OfferHandover(**W, to=next_, handover_id="H-1"), by=offers).then(
        HandoverOffered(handover_id="H-1", to=next_, from_=holder)
    )
    assert (story.state().executor, story.answers()) == (holder, "ana")

    story.when(AcceptHandover(**W, handover_id="H-1"), by=accepts).then(
        HandoverAccepted(handover_id="H-1", to=next_, from_=holder, by=accepts)
    )
    assert (story.state().executor, story.answers()) == (next_, "ana")
    assert story.findings() == {}


def test_what_the_next_one_needs_goes_along_and_so_do_questions_that_are_open() -> None:
    story = held().given(
        StartExecution(**W, execution_id="E-1"),
        RequireInput(**W, execution_id="E-1", request_id="Q-1", from_="ana", question="Which order?"),
        by="ben",
    )
    # Waiting for an answer, it cannot pass; but it can be offered, and everything goes along.
    offer = OfferHandover(**W, to="carla", handover_id="H-1", context=(PHOTO,), open_questions=("Who packed it?",))
    [told] = story.when(offer, by="ben").recorded
    assert told.data.context == (PHOTO,)
    assert told.data.open_questions == ("Who packed it?", "Which order?")


def test_it_stays_where_it_was_when_it_is_declined() -> None:
    story = offered()
    story.when(DeclineHandover(**W, handover_id="H-1", reason="no time"), by="carla").then(
        HandoverDeclined(handover_id="H-1", by="carla", reason="no time")
    )
    assert story.state().executor == "ben"
    story.when(AcceptHandover(**W, handover_id="H-1"), by="carla").refused_only("handover-open")


def test_whose_time_is_over_is_offered_anew() -> None:
    story = offered(respond_by=BEGIN + timedelta(hours=1)).later(hours=2)
    story.when(AcceptHandover(**W, handover_id="H-1"), by="carla").refused_only("handover-open")
    story.fact(HandoverExpired(handover_id="H-1")).finds_nothing()
    story.fact(HandoverExpired(handover_id="H-1")).finds_only("handover-open")
    assert story.state().executor == "ben"


def test_nobody_offers_what_they_do_not_carry_out_but_who_has_authority() -> None:
    held().when(OfferHandover(**W, to="ben"), by="carla").refused("handover-open")
    held().when(OfferHandover(**W, to="carla"), by="ana").then(HandoverOffered)
    held().when(OfferHandover(**W, to="zed"), by="ben").refused_only("unregistered-actor")
    held().fact(HandoverOffered(handover_id="H-1", to="zed", from_="ben")).finds_only("unregistered-actor")


def test_only_who_was_asked_answers() -> None:
    story = offered()
    story.when(AcceptHandover(**W, handover_id="H-1"), by="bot").refused_only("handover-open")
    story.when(DeclineHandover(**W, handover_id="H-1"), by="ana").refused_only("handover-open")
    story.when(AcceptHandover(**W, handover_id="H-9"), by="carla").refused_only("handover-open")
    story.fact(HandoverDeclined(handover_id="H-1", by="bot")).finds_only("handover-open")


def test_an_offer_lapses_when_somebody_else_has_the_work_by_then() -> None:
    story = offered().given(AssignWork(**W, executor="bot"))
    story.when(AcceptHandover(**W, handover_id="H-1"), by="carla").refused_only("handover-open")
    story.fact(HandoverAccepted(handover_id="H-1", to="carla")).finds_only("handover-open")


def test_an_offer_is_made_once_under_its_id() -> None:
    offered().when(OfferHandover(**W, to="bot", handover_id="H-1"), by="ben").refused_only("handover-open")


def test_what_a_system_reports_as_handed_over_need_not_have_been_offered_here() -> None:
    story = held()
    story.fact(HandoverAccepted(handover_id="H-7", from_="ben", to="carla")).finds_nothing()
    assert story.state().executor == "carla"
    story.fact(HandoverAccepted(handover_id="H-8", to="zed")).finds_only("unregistered-actor")
