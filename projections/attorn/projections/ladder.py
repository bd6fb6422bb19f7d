"""Whom stuck work reaches: the ladder of its policy, rung by rung, with the people who are there now."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from attorn.contracts.escalation import EscalationAcknowledged, EscalationNotified, Rung, WorkEscalated
from attorn.contracts.ids import Pinned
from attorn.contracts.policy import EscalationRules
from attorn.projections.directory import Directory

DEFAULT_ACK_WITHIN: Final = timedelta(hours=1)
"""How long the person who answers for the work has, where no policy says it."""


class Step(msgspec.Struct, frozen=True):
    """One rung: whom it names, whom that leads to now, and how long they have."""

    rung: int
    targets: tuple[str, ...]
    persons: tuple[str, ...]
    ack_within: timedelta


def rules(pinned: Pinned | None, answers: str | None, directory: Directory) -> EscalationRules:
    """What the pinned policy says; where it leads to nobody, whoever answers for the work is asked in the end."""
    policy = directory.policy(pinned.id, pinned.version) if pinned is not None else None
    said = policy.rules.escalation if policy is not None else None
    # Work under no policy asks for no question: nobody has said what its escalations need.
    said = said if said is not None else EscalationRules(question_required=False)
    if said.ladder and any(directory.names_person(target) for target in said.ladder[-1].targets):
        return said
    # The people of the policy may have left since; who is stuck is never told that there is nobody to ask.
    number = max((rung.rung for rung in said.ladder), default=0) + 1
    last = (Rung(rung=number, targets=(answers,), ack_within=DEFAULT_ACK_WITHIN),) if answers is not None else ()
    return msgspec.structs.replace(said, ladder=(*said.ladder, *last))


def next_due(said: Any, ladder: Sequence[Rung], rung: int, at: datetime) -> datetime:
    """When an open escalation goes on by itself, after `said` was recorded at that time and left it on `rung`.

    It never rests: where the event does not say when something happens next, the ladder says how long it takes.
    """
    match said:
        case WorkEscalated(next_rung_at=datetime() as due) | EscalationNotified(next_rung_at=datetime() as due):
            return due
        case EscalationAcknowledged(ack_until=datetime() as due):
            return due
        case _:
            return after(at, within(ladder, rung))


def within(ladder: Sequence[Rung], number: int) -> timedelta:
    """How long those on a rung have, the first where nobody was told yet; without such a rung, those on the last."""
    rungs = sorted(ladder, key=lambda rung: rung.rung)
    number = number or (rungs[0].rung if rungs else 0)
    found = [rung.ack_within for rung in rungs if rung.rung == number]
    last = [rung.ack_within for rung in rungs[-1:]]
    return next(iter((*found, *last)), DEFAULT_ACK_WITHIN)


def after(at: datetime, time: timedelta) -> datetime:
    """That much later; the end of the calendar for a duration that leads out of it, and so never ends."""
    try:
        return at + time
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def climb(ladder: Iterable[Rung], directory: Directory, at: datetime) -> tuple[Step, ...]:
    """The rungs in the order in which they are asked, each with those whom it reaches at that time."""
    return tuple(
        Step(rung.rung, rung.targets, reached(rung.targets, directory, at), rung.ack_within)
        for rung in sorted(ladder, key=lambda rung: rung.rung)
    )


def reached(targets: Iterable[str], directory: Directory, at: datetime) -> tuple[str, ...]:
    """Those who are here that `targets` lead to at that time, each once.

    Persons by name, by role or as members of a team, or the successor of who has left; of who is away, the substitute,
    as long as somebody is left to ask; and agents that are named.
    """
    named = dict.fromkeys(id for target in targets for id in directory.leads_to(target))
    present = {id: directory.substitute(id, "escalation", at) if directory.is_person(id) else id for id in named}
    return tuple(dict.fromkeys(id for id in present.values() if id is not None)) or tuple(named)
