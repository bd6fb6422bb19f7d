"""Who answers, from the name on the work to a person who is here: at a position, at a time, as known at another."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import pytest

from attorn.contracts import codec
from attorn.contracts.envelope import Recorded
from attorn.contracts.participant import (
    ParticipantDeactivated,
    ParticipantRegistered,
    ParticipantResumed,
    ParticipantSuspended,
    RoleGranted,
    RoleRevoked,
)
from attorn.contracts.policy import PolicyPublished, PolicyRules
from attorn.contracts.process import ProcessPublished, ProcessRetired
from attorn.contracts.source import SourceRegistered
from attorn.projections.directory import NOW, Answer, AsOf, Directory, fold
from story import BEGIN


def day(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


class Log:
    """Events one a day, each recorded when it happens unless said otherwise."""

    def __init__(self) -> None:
        self.recorded: list[Recorded] = []
        self.register("root", "ana", "ben", "carla")
        self.say("participant/root", RoleGranted(role="custodian"))

    def register(self, *ids: str, kind: Any = "human") -> "Log":
        for id in ids:
            payload = ParticipantRegistered(participant_id=id, kind=kind, display_name=id, sponsor="ana")
            self.say(f"participant/{id}", payload)
        return self

    def leaves(self, id: str, successor: str | None = None, **when: datetime) -> "Log":
        return self.say(f"participant/{id}", ParticipantDeactivated(successor=successor), **when)

    def say(
        self, stream: str, payload: msgspec.Struct, *, at: datetime | None = None, recorded: datetime | None = None
    ) -> "Log":
        position = len(self.recorded) + 1
        recorded = recorded or day(position)
        event = codec.event(payload, id=f"e-{position}", source="/s", subject=stream, time=at or recorded)
        self.recorded.append(Recorded(position, recorded, event, b""))
        return self

    @property
    def directory(self) -> Directory:
        return fold(self.recorded)

    @property
    def position(self) -> int:
        return len(self.recorded)

    def who(self, named: str | None = None, *, process: str | None = None, source: str | None = None,
            asof: AsOf = NOW) -> Answer:  # fmt: skip
        return self.directory.answerable(named, process, source, asof)


PROCESS: Final = ProcessPublished(version=1, owner="ben")
SOURCE: Final = SourceRegistered(uri="https://erp.example", custodian="carla")


def test_the_person_who_is_named_answers() -> None:
    assert Log().who("ana") == Answer(person="ana", basis="named")


def test_whoever_leaves_is_succeeded_also_over_several_steps() -> None:
    log = Log().leaves("ana", "ben").leaves("ben", "carla")

    answer = log.who("ana")
    assert (answer.person, answer.basis) == ("carla", "successor")
    assert answer.steps == ("ana left at position 6; ben succeeds", "ben left at position 7; carla succeeds")


def test_a_leaver_who_is_named_later_is_succeeded_too() -> None:
    log = Log().leaves("ana", "ben").say("process/refunds", ProcessPublished(version=1, owner="ana"))

    assert log.who(process="refunds").person == "ben"


def test_the_first_departure_counts() -> None:
    assert Log().leaves("ana", "ben").leaves("ana", "carla").who("ana").person == "ben"


@pytest.mark.parametrize("named", ["bot", "crew", "nobody-we-know", None])
def test_only_a_person_who_is_here_answers_else_the_owner_the_custodian_of_the_source_the_ledgers(
    named: str | None,
) -> None:
    log = Log().register("bot", kind="agent").register("crew", kind="team")
    log.say("process/refunds", PROCESS).say("source/erp", SOURCE)

    assert log.who(named, process="refunds", source="erp").person == "ben"
    assert log.who(named, process="unheard-of", source="erp").person == "carla"
    assert log.who(named, source="unheard-of") == log.who(named)
    assert (log.who(named).person, log.who(named).basis) == ("root", "ledger custodian")


def test_successions_that_lead_in_a_circle_lead_to_the_next_who_answers() -> None:
    log = Log().leaves("ana", "ben").leaves("ben", "ana").say("source/erp", SOURCE)

    answer = log.who("ana", source="erp")
    assert answer.person == "carla"
    assert "the successions of ana lead back to ana" in answer.steps


def test_an_owner_and_a_custodian_are_succeeded_like_anybody() -> None:
    log = Log().say("process/refunds", PROCESS).say("source/erp", SOURCE).leaves("ben", "ana").leaves("carla", "ana")

    assert log.who(process="refunds").person == log.who(source="erp").person == "ana"


def test_a_custodian_of_a_source_is_replaced_by_the_next_registration() -> None:
    log = Log().say("source/erp", SOURCE).say("source/erp", SourceRegistered(uri="x", custodian="ana"))

    assert log.who(source="erp").person == "ana"
    assert log.who(source="erp", asof=AsOf(position=6)).person == "carla"


# ---- the custodian of the ledger


def test_the_custodian_of_the_ledger_is_replaced_and_comes_back() -> None:
    log = Log().say("participant/ana", RoleGranted(role="custodian"))
    assert log.who().person == "ana"
    log.say("participant/ana", RoleRevoked(role="custodian"))
    assert log.who().person == "root"


def test_the_last_custodian_of_the_ledger_stays_until_there_is_another() -> None:
    log = Log().say("participant/root", RoleRevoked(role="custodian"))
    assert log.who().person == "root"
    log.say("participant/ana", RoleGranted(role="custodian"))
    assert log.who().person == "ana"


def test_a_custodian_of_the_ledger_who_leaves_is_succeeded() -> None:
    assert Log().leaves("root", "ben").who().person == "ben"


def test_a_custodian_who_left_without_a_successor_steps_back_behind_the_others() -> None:
    log = Log().say("participant/ana", RoleGranted(role="custodian")).leaves("ana")
    assert log.who().person == "root"


def test_work_is_never_without_a_person_though_the_last_custodian_left() -> None:
    log = Log().leaves("root")

    answer = log.who("nobody-we-know")
    assert (answer.person, answer.basis) == ("root", "ledger custodian")
    assert answer.steps[-1] == "root stays custodian of the ledger until another is appointed"


def test_no_agent_becomes_custodian_of_the_ledger() -> None:
    log = Log().register("bot", kind="agent").say("participant/bot", RoleGranted(role="custodian"))
    assert log.who().person == "root"
    log.say("participant/root", RoleRevoked(role="custodian"))
    assert log.who().person == "root"


def test_a_role_within_a_scope_is_not_the_ledgers() -> None:
    log = Log().say("participant/ana", RoleGranted(role="custodian", scope="source/erp"))
    assert log.who().person == "root"


# ---- as of


def test_as_of_a_position_only_what_stood_there_counts() -> None:
    log = Log().leaves("ana", "ben")

    assert log.who("ana", asof=AsOf(position=log.position - 1)).person == "ana"
    assert log.who("ana", asof=AsOf(position=log.position)).person == "ben"


def test_as_of_a_time_what_had_happened_counts_though_it_was_recorded_later() -> None:
    # Ana left on day 2; we learned it on day 6.
    log = Log().leaves("ana", "ben", at=day(2), recorded=day(6))

    assert log.who("ana", asof=AsOf(at=day(1))).person == "ana"
    assert log.who("ana", asof=AsOf(at=day(3))).person == "ben"
    assert log.who("ana", asof=AsOf(at=day(3), known_at=day(5))).person == "ana"
    assert log.who("ana", asof=AsOf(known_at=day(6))).person == "ben"


def test_as_of_a_time_the_owner_of_that_time_answers() -> None:
    log = Log().say("process/refunds", PROCESS).say("process/refunds", ProcessPublished(version=2, owner="carla"))
    first, second = day(log.position - 1), day(log.position)

    assert log.who(process="refunds", asof=AsOf(at=first)).person == "ben"
    assert log.who(process="refunds", asof=AsOf(at=second)).person == "carla"
    # Work that is older than the process is the first owner's.
    assert log.who(process="refunds", asof=AsOf(at=BEGIN)).person == "ben"


def test_as_of_a_time_the_custodian_of_that_time_answers() -> None:
    log = Log().say("participant/ana", RoleGranted(role="custodian"))

    assert log.who(asof=AsOf(at=day(log.position))).person == "ana"
    assert log.who(asof=AsOf(at=day(log.position - 0.5))).person == "root"
    assert log.who(asof=AsOf(at=BEGIN)).person == "root"


# ---- roles, versions, suspensions


def test_a_role_lapses_and_is_revoked() -> None:
    log = Log().say("participant/ana", RoleGranted(role="admin", valid_until=day(20)))

    assert log.directory.holds("ana", "admin", at=day(20))
    assert not log.directory.holds("ana", "admin", at=day(21))
    log.say("participant/ana", RoleRevoked(role="admin"))
    assert not log.directory.holds("ana", "admin")
    assert log.directory.holds("ana", "admin", asof=AsOf(position=log.position - 1))


def test_a_role_that_is_revoked_in_one_scope_is_held_in_another() -> None:
    log = Log().say("participant/ana", RoleGranted(role="reviewer", scope="process/refunds"))
    log.say("participant/ana", RoleGranted(role="reviewer", scope="process/claims"))
    log.say("participant/ana", RoleRevoked(role="reviewer", scope="process/claims"))

    assert log.directory.holds("ana", "reviewer")
    assert not log.directory.holds("ana", "reviewer", "process/claims")


def test_a_role_leads_to_the_persons_who_hold_it() -> None:
    log = Log().register("bot", kind="agent")
    for id in ("ana", "ben", "bot"):
        log.say(f"participant/{id}", RoleGranted(role="reviewer"))
    log.leaves("ben", "carla")

    assert log.directory.persons("reviewer") == ("ana",)
    assert log.directory.persons("carla") == ("carla",)
    assert log.directory.persons("bot") == ()


def test_new_work_begins_under_the_version_that_is_in_force() -> None:
    log = Log().say("process/refunds", PROCESS)
    log.say("process/refunds", ProcessPublished(version=2, owner="ben", effective_at=day(30)))
    log.say("policy/check", PolicyPublished(version=1, kind="review", rules=PolicyRules(), effective_at=day(30)))

    def in_force(at: datetime) -> int | None:
        published = log.directory.process_in_force("refunds", at)
        return published.version if published is not None else None

    assert (in_force(day(20)), in_force(day(30))) == (1, 2)
    assert log.directory.policy_in_force("check", day(20)) is None
    log.say("process/refunds", ProcessRetired(version=2))
    assert in_force(day(31)) == 1
    log.say("process/refunds", ProcessRetired())
    assert in_force(day(31)) is None
    log.say("process/refunds", ProcessPublished(version=3, owner="ben"))
    assert in_force(day(31)) == 3


def test_a_participant_is_suspended_until_it_is_resumed() -> None:
    log = Log().say("participant/ana", ParticipantSuspended())
    assert log.directory.is_suspended("ana")
    log.say("participant/ana", ParticipantResumed())
    assert not log.directory.is_suspended("ana")


def test_a_second_registration_does_not_make_an_agent_a_person() -> None:
    log = Log().register("bot", kind="agent").register("bot")
    assert log.directory.kind("bot") == "agent"
    assert log.who("bot").person == "root"
