"""Visibility: what waits for whom, by deadline: reviews, questions, decisions, escalations, handovers, offers.

A row is there while its thing waits, and goes when it is settled, or when the item comes to its end: only escalations
and offers of accountability outlive that. Things are found by whom they are addressed to, so
that a page of one person's costs the same however much waits for others. Who comes in for somebody, by role, as
successor or as substitute, is resolved through the directory when it is asked.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts import escalation, review
from attorn.contracts.accountability import AccountabilityOffered, AccountabilityTransferred
from attorn.contracts.decision import DecisionMade, DecisionRequested
from attorn.contracts.delegation import (
    DelegationAccepted,
    DelegationDeclined,
    DelegationExpired,
    DelegationRevoked,
    WorkDelegated,
)
from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import ExecutionInputProvided, ExecutionInputRequired
from attorn.contracts.handover import HandoverAccepted, HandoverDeclined, HandoverExpired, HandoverOffered
from attorn.contracts.work import WorkCancelled, WorkCompleted, WorkFailed, WorkSuperseded

NAME = "inbox"
VERSION = 2
INDEXES = (("addressed", "turn"),)

Kind: TypeAlias = Literal[
    "review", "input", "decision", "escalation", "handover", "accountability", "delegation", "member", "item"
]

ANYBODY: Final = "reviewer"
"""To whom a review is addressed that names no candidates: whoever holds this role."""

ANSWERING: Final = "?"
"""To whom a decision or an escalation is addressed that names nobody: whoever answers for the work."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One thing that waits; or, under `member/…`, that somebody is among several who are addressed together.

    Under `item/…` are the keys of what has begun to wait and ends with the item at the latest, as `to`; some of it may
    be settled already. `addressed` is a participant or a role, or a digest of several, each of whom has a `member` row
    that leads there; null is nobody.
    `turn` is the place in line: the deadline, then the position. `to` is everybody who could act, whoever has claimed
    it meanwhile, null where that is `addressed` itself; `rungs` are those of an escalation's ladder. `required`
    verdicts are still wanted of a review, by nobody in `excluded`.
    """

    key: str
    kind: Kind
    addressed: str | None
    turn: str = ""
    member: str | None = None
    work: str | None = None
    id: str | None = None
    position: int = 0
    time: datetime | None = None
    due_at: datetime | None = None
    text: str | None = None
    asked_by: str | None = None
    claimed_by: str | None = None
    to: tuple[str, ...] | None = None
    excluded: tuple[str, ...] | None = None
    rungs: tuple[tuple[str, ...], ...] | None = None
    required: int = 1


TEXT_MAX: Final = 200


@lru_cache(maxsize=4_096)
def together(to: tuple[str, ...]) -> str:
    """The name under which these are addressed: their own when it is one, else a digest of all."""
    names = sorted(set(to))
    if len(names) == 1:
        return names[0]
    return "*" + blake2b(" ".join(names).encode(), digest_size=12).hexdigest()


def addressees(row: Row) -> tuple[str, ...]:
    """Everybody who could act, participants and roles."""
    return row.to if row.to is not None else (row.addressed or "",)


def turn(due_at: datetime | None, position: int) -> str:
    """Where a thing stands in line, as text: earlier deadlines first, then what waits longer; what has none is last."""
    if due_at is None:
        return f"~{position:015d}"
    return f"{(due_at - _EPOCH) // _MICROSECOND:017d}{position:015d}"


def keys(recorded: Recorded) -> tuple[str, ...]:
    """The thing that begins or ceases to wait, with its item, and the members of those whom it is addressed to."""
    event = recorded.event
    if event.data.__class__ in _ENDING:
        return (f"item/{event.subject[5:]}",) if event.subject.startswith("work/") else ()
    found = _ABOUT.get(event.data.__class__)
    if found is None or not event.subject.startswith("work/"):
        return ()
    kind, thing = found[0], _thing(recorded)
    item = () if kind in _OUTLIVING else (f"item/{event.subject[5:]}",)
    groups = _GROUPS.get(event.data.__class__)
    if groups is None:
        return (*item, thing)
    return (*item, thing, *(key for to in groups(event.data) for key in _members(to)))


def _thing(recorded: Recorded) -> str:
    kind, field = _ABOUT[recorded.event.data.__class__]
    thing = f"{recorded.event.subject[5:]}/{kind}"
    return f"{thing}/{getattr(recorded.event.data, field)}" if field else thing


def more(row: Row | None, recorded: Recorded) -> tuple[str, ...]:
    """What ends with the item."""
    return row.to or () if row is not None and recorded.event.data.__class__ in _ENDING else ()


@lru_cache(maxsize=4_096)
def _members(to: tuple[str, ...]) -> tuple[str, ...]:
    names = dict.fromkeys(to)
    return tuple(f"member/{one}/{together(to)}" for one in names) if len(names) > 1 else ()


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """The thing after the event; None when nobody need do anything any more."""
    if key.startswith("member/"):
        if row is not None:
            return row
        _, member, group = key.split("/")
        return Row(key, "member", group, member=member)
    data = recorded.event.data
    if data.__class__ in _ENDING:
        return None
    if key.startswith("item/"):
        return _item(row, recorded, key)
    begun = _BEGUN.get(data.__class__)
    if begun is not None:
        return begun(key, recorded, data)
    goes_on = _GOES_ON.get(data.__class__)
    return goes_on(row, data) if row is not None and goes_on is not None else None


def _item(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    data = recorded.event.data
    thing = _thing(recorded)
    waiting = row.to or () if row is not None else ()
    if data.__class__ in _BEGUN:
        return row if thing in waiting else Row(key, "item", None, to=(*waiting, thing))
    if data.__class__ in _GOES_ON or thing not in waiting:
        return row
    left = tuple(one for one in waiting if one != thing)
    return Row(key, "item", None, to=left) if left else None


# ---- what begins to wait


def _waiting(
    key: str,
    recorded: Recorded,
    kind: Kind,
    id: str,
    to: tuple[str, ...],
    due_at: datetime | None,
    text: str,
    asked_by: str | None = None,
    excluded: tuple[str, ...] | None = None,
    rungs: tuple[tuple[str, ...], ...] | None = None,
    required: int = 1,
) -> Row:
    event, position = recorded.event, recorded.position
    kept = to if len(to) > 1 or kind == "escalation" else None
    return Row(key, kind, together(to), turn(due_at, position), None, event.subject[5:], id, position, event.time,
               due_at, text[:TEXT_MAX], asked_by or event.authid, None, kept, excluded, rungs, required)  # fmt: skip


def _review(key: str, recorded: Recorded, data: review.ReviewRequested) -> Row:
    return _waiting(key, recorded, "review", data.review_id, data.candidates or (ANYBODY,), data.respond_by,
                    f"output {data.output_id}", excluded=data.excluded or None, required=data.required)  # fmt: skip


def _input(key: str, recorded: Recorded, data: ExecutionInputRequired) -> Row:
    return _waiting(key, recorded, "input", data.request_id, (data.from_,), data.respond_by, data.question, data.by)


def _decision(key: str, recorded: Recorded, data: DecisionRequested) -> Row:
    return _waiting(key, recorded, "decision", data.decision_id, (data.from_ or ANSWERING,), data.respond_by,
                    data.question)  # fmt: skip


def _escalation(key: str, recorded: Recorded, data: escalation.WorkEscalated) -> Row:
    rungs = tuple(rung.targets for rung in data.ladder)
    return _waiting(key, recorded, "escalation", data.escalation_id, rungs[0] if rungs else (ANSWERING,),
                    data.next_rung_at, data.context.question or data.context.summary, data.raised_by,
                    rungs=rungs or None)  # fmt: skip


def _handover(key: str, recorded: Recorded, data: HandoverOffered) -> Row:
    return _waiting(key, recorded, "handover", data.handover_id, (data.to,), data.respond_by,
                    " ".join(data.open_questions), data.from_)  # fmt: skip


def _offer(key: str, recorded: Recorded, data: AccountabilityOffered) -> Row:
    return _waiting(key, recorded, "accountability", data.to, (data.to,), None, data.reason, data.from_)


def _delegation(key: str, recorded: Recorded, data: WorkDelegated) -> Row:
    return _waiting(key, recorded, "delegation", data.delegation_id, (data.delegate,), data.valid_until,
                    ", ".join(data.activities), data.delegator)  # fmt: skip


_BEGUN: Final[dict[type, Callable[[str, Recorded, Any], Row]]] = {
    review.ReviewRequested: _review,
    ExecutionInputRequired: _input,
    DecisionRequested: _decision,
    escalation.WorkEscalated: _escalation,
    HandoverOffered: _handover,
    AccountabilityOffered: _offer,
    WorkDelegated: _delegation,
}


# ---- what goes on waiting, for somebody else or for somebody in particular


def _for(row: Row, to: tuple[str, ...], due_at: datetime | None = None) -> Row:
    to = to or addressees(row)
    return _replace(row, to=to, addressed=together(to), claimed_by=None, due_at=due_at,
                    turn=turn(due_at, row.position))  # fmt: skip


def _claimed(row: Row, data: review.ReviewClaimed) -> Row:
    return _replace(row, claimed_by=data.reviewer)


def _unclaimed(row: Row, data: Any) -> Row:
    return _replace(row, claimed_by=None)


def _reviewed(row: Row, data: review.WorkReviewed) -> Row | None:
    if row.required <= 1 or data.verdict in ("changes_requested", "rejected", "waived"):
        return None
    return _replace(row, required=row.required - 1, excluded=(*(row.excluded or ()), data.reviewer), claimed_by=None)


def _notified(row: Row, data: escalation.EscalationNotified) -> Row:
    return _for(row, data.persons, data.next_rung_at)


def _advanced(row: Row, data: escalation.EscalationAdvanced) -> Row:
    rungs = row.rungs or ()
    return _for(row, rungs[data.to - 1] if data.to <= len(rungs) else ())


def _reassigned(row: Row, data: escalation.EscalationReassigned) -> Row:
    return _for(row, (data.to,))


def _taken_up(row: Row, data: escalation.EscalationAcknowledged) -> Row:
    # Whoever takes it up need not be among those who were told; it waits for them alone, until they let it go.
    return _replace(row, addressed=data.by, claimed_by=data.by, due_at=data.ack_until,
                    turn=turn(data.ack_until, row.position))  # fmt: skip


def _let_go(row: Row, data: escalation.EscalationUnacknowledged) -> Row:
    return _for(row, ())


def _settled(row: Row, data: Any) -> Row:
    # An escalation can be opened again, and then waits for whom it waited for: its row stays, addressed to nobody.
    return _replace(row, addressed=None, claimed_by=None)


def _reopened(row: Row, data: escalation.EscalationReopened) -> Row:
    return _for(row, row.rungs[0] if row.rungs else ())


_GOES_ON: Final[dict[type, Callable[[Row, Any], Row | None]]] = {
    review.ReviewClaimed: _claimed,
    review.ReviewUnclaimed: _unclaimed,
    review.WorkReviewed: _reviewed,
    escalation.EscalationNotified: _notified,
    escalation.EscalationAcknowledged: _taken_up,
    escalation.EscalationUnacknowledged: _let_go,
    escalation.EscalationAdvanced: _advanced,
    escalation.EscalationReassigned: _reassigned,
    escalation.EscalationResolved: _settled,
    escalation.EscalationCancelled: _settled,
    escalation.EscalationReopened: _reopened,
}
_ABOUT: Final[dict[type, tuple[Kind, str]]] = {
    **dict.fromkeys(
        (
            review.ReviewRequested,
            review.ReviewClaimed,
            review.ReviewUnclaimed,
            review.WorkReviewed,
            review.ReviewInvalidated,
            review.ReviewWithdrawn,
        ),
        ("review", "review_id"),
    ),
    **dict.fromkeys((ExecutionInputRequired, ExecutionInputProvided), ("input", "request_id")),
    **dict.fromkeys((DecisionRequested, DecisionMade), ("decision", "decision_id")),
    **dict.fromkeys(
        (HandoverOffered, HandoverAccepted, HandoverDeclined, HandoverExpired), ("handover", "handover_id")
    ),
    # One offer of accountability stands at a time, and whoever takes it over ends it.
    **dict.fromkeys((AccountabilityOffered, AccountabilityTransferred), ("accountability", "")),
    **dict.fromkeys(
        (WorkDelegated, DelegationAccepted, DelegationDeclined, DelegationRevoked, DelegationExpired),
        ("delegation", "delegation_id"),
    ),
    escalation.WorkEscalated: ("escalation", "escalation_id"),
    **dict.fromkeys((e for e in _GOES_ON if e.__module__ == escalation.__name__), ("escalation", "escalation_id")),
}
"""The kind of thing that an event is about, and the field with its id."""

_GROUPS: Final[dict[type, Callable[[Any], Iterable[tuple[str, ...]]]]] = {
    review.ReviewRequested: lambda data: (data.candidates,),
    escalation.WorkEscalated: lambda data: (rung.targets for rung in data.ladder),
    escalation.EscalationNotified: lambda data: (data.persons,),
}
"""Who is addressed together."""

_ENDING: Final = frozenset({WorkCompleted, WorkFailed, WorkCancelled, WorkSuperseded})
_OUTLIVING: Final = frozenset({"escalation", "accountability"})

EVENTS: Final[frozenset[type]] = frozenset(_ABOUT) | _ENDING

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_replace: Final = msgspec.structs.replace
