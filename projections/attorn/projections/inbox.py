"""Visibility: what waits for whom, by deadline: reviews, questions, decisions, escalations, handovers, failures.

A row is there while its thing waits, and goes when it is settled, or when the item comes to its end: only escalations
and offers of accountability outlive that. Things are found by whom they are addressed to, so
that a page of one person's costs the same however much waits for others. Who comes in for somebody, by role, as
successor or as substitute, is resolved through the directory when it is asked.

What waits for whoever answers for the work is found by the name that stands on the item, and moves when that does.
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
from attorn.contracts.execution import ExecutionInputProvided, ExecutionInputRequired, WorkExecuted
from attorn.contracts.handover import HandoverAccepted, HandoverDeclined, HandoverExpired, HandoverOffered
from attorn.contracts.work import WorkCancelled, WorkCompleted, WorkDefined, WorkFailed, WorkSuperseded

NAME = "inbox"
VERSION = 4
INDEXES = (("addressed", "turn"),)

Kind: TypeAlias = Literal[
    "review", "input", "decision", "escalation", "handover", "accountability", "delegation", "failure",
    "member", "item", "named", "answers",
]  # fmt: skip

ANYBODY: Final = "reviewer"
"""To whom a review is addressed that names no candidates: whoever holds this role."""

ANSWERING: Final = "?"
"""To whom a failure is addressed, and a decision or an escalation that names nobody: whoever answers for the work."""


class Open(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A thing that is addressed to whoever answers: since which position, and its turn; None while it waits for nobody,
    or for one who has taken it up."""

    thing: str
    position: int
    turn: str | None


class Row(msgspec.Struct, frozen=True, gc=False):
    """One thing that waits; or, under `member/…`, that somebody is among several who are addressed together.

    Under `item/…` are the keys of what has begun to wait and ends with the item at the latest, as `to`; some of it may
    be settled already. There is also who is `named` to answer, in the item's definition or since, and what is `open`
    that waits for whoever answers: each of that has the row `answers/<named>/<turn>/<thing>`, so that the keys of one
    name are in turn. Whoever was ever named has a row `named/<name>`.

    `addressed` is a participant or a role, or a digest of several, each of whom has a `member` row that leads there;
    null is nobody.
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
    named: str | None = None
    defined: bool = False
    open: tuple[Open, ...] | None = None


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
    """The item and the thing that begins or ceases to wait, the members of those it is addressed to, and who is named.

    The item comes first where the thing ends with it, or where it says whose name the thing is under.
    """
    event = recorded.event
    data = event.data
    if not event.subject.startswith("work/"):
        return ()
    item = f"item/{event.subject[5:]}"
    if data.__class__ in _ENDING:
        return (item,)
    if data.__class__ is WorkDefined:
        return (item, f"named/{data.accountable}")
    found = _ABOUT.get(data.__class__)
    if found is None or (data.__class__ is WorkExecuted and data.result != "failed"):
        return ()
    thing = _thing(recorded)
    if data.__class__ is AccountabilityTransferred:
        return (item, thing, f"named/{data.to}")
    if data.__class__ is AccountabilityOffered:
        return (thing,)
    groups = _GROUPS.get(data.__class__)
    if groups is None:
        return (item, thing)
    return (item, thing, *(key for to in groups(data) for key in _members(to)))


def _thing(recorded: Recorded) -> str:
    kind, field = _ABOUT[recorded.event.data.__class__]
    thing = f"{recorded.event.subject[5:]}/{kind}"
    return f"{thing}/{getattr(recorded.event.data, field)}" if field else thing


def more(row: Row | None, recorded: Recorded) -> tuple[str, ...]:
    """What ends with the item, and the rows that begin or cease to stand under the name of who answers for it."""
    kind = recorded.event.data.__class__
    ending = row.to or () if row is not None and kind in _ENDING else ()
    if kind not in _MOVING or ((row is None or not row.open) and not _opens(recorded.event.data)):
        return ending
    item = f"item/{recorded.event.subject[5:]}"
    # What stands under a name changes with nothing but that name and the thing itself: so a row that is there before
    # a page, and goes in it, is among these also by what the item says before the page.
    return (*ending, *sorted(_standing(row) ^ _standing(_item(row, recorded, item))))


def _standing(item: Row | None) -> set[str]:
    """The keys of what waits for whoever answers for the item."""
    if item is None or not item.open:
        return set()
    return {f"{answering(item.named)}{one.turn}/{one.thing}" for one in item.open if one.turn is not None}


def answering(named: str | None) -> str:
    """What the keys begin with of all that waits for whoever answers for the items that name `named`."""
    return f"answers/{named or ''}/"


@lru_cache(maxsize=4_096)
def _members(to: tuple[str, ...]) -> tuple[str, ...]:
    names = dict.fromkeys(to)
    return tuple(f"member/{one}/{together(to)}" for one in names) if len(names) > 1 else ()


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """The thing after the event; None when nobody need do anything any more."""
    if key.startswith("item/"):
        return _item(row, recorded, key)
    if key.startswith("answers/"):
        # It is touched only where it begins or ceases to be.
        return Row(key, "answers", None) if row is None else None
    if key.startswith("member/"):
        if row is not None:
            return row
        _, member, group = key.split("/")
        return Row(key, "member", group, member=member)
    if key.startswith("named/"):
        return row if row is not None else Row(key, "named", None)
    return _after(row, recorded, key)


def _after(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    data = recorded.event.data
    if data.__class__ in _ENDING:
        return None
    begun = _BEGUN.get(data.__class__)
    if begun is not None:
        return begun(key, recorded, data)
    goes_on = _GOES_ON.get(data.__class__)
    return goes_on(row, data) if row is not None and goes_on is not None else None


def _item(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    data = recorded.event.data
    before = row if row is not None else Row(key, "item", None)
    if data.__class__ is WorkDefined:
        # The first definition stands: a second one is a finding and names nobody.
        return before if before.defined else _replace(before, named=data.accountable, defined=True)
    if data.__class__ is AccountabilityTransferred:
        return before if before.named == data.to else _replace(before, named=data.to)
    to, open = before.to, before.open
    if data.__class__ in _ENDING:
        to, open = None, tuple(one for one in open or () if "/escalation/" in one.thing) or None
    else:
        kind, thing = _ABOUT[data.__class__][0], _thing(recorded)
        if kind not in _OUTLIVING:
            to = _waiting_for(to, data, thing)
        if kind in _ANSWERED:
            open = _open(open, recorded, kind, thing)
    if to is before.to and open == before.open:
        return row
    after = _replace(before, to=to, open=open)
    return after if to or open or after.named is not None else None


def _waiting_for(to: tuple[str, ...] | None, data: Any, thing: str) -> tuple[str, ...] | None:
    waiting = to or ()
    if data.__class__ in _BEGUN:
        return to if thing in waiting else (*waiting, thing)
    if data.__class__ in _GOES_ON or thing not in waiting:
        return to
    return tuple(one for one in waiting if one != thing) or None


def _opens(data: Any) -> bool:
    """Whether it begins to wait for whoever answers for the work."""
    match data:
        case DecisionRequested():
            return not data.from_
        case escalation.WorkEscalated():
            return not data.ladder
        case WorkExecuted():
            return True
        case _:
            return False


def _open(before: tuple[Open, ...] | None, recorded: Recorded, kind: Kind, thing: str) -> tuple[Open, ...] | None:
    known = next((one for one in before or () if one.thing == thing), None)
    if known is None and not _opens(recorded.event.data):
        return before
    was = None
    if known is not None:
        now = ANSWERING if known.turn is not None else None
        was = Row(thing, kind, now, known.turn or "", position=known.position, to=(ANSWERING,))
    after = _after(was, recorded, thing)
    others = tuple(one for one in before or () if one.thing != thing)
    if after is None or addressees(after) != (ANSWERING,):
        return others or None
    return (*others, Open(thing, after.position, after.turn if after.addressed == ANSWERING else None))


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


def _failed(key: str, recorded: Recorded, data: WorkExecuted) -> Row:
    text = data.error_class or "it does not say why"
    return _waiting(key, recorded, "failure", data.execution_id, (ANSWERING,), None, text)


_BEGUN: Final[dict[type, Callable[[str, Recorded, Any], Row]]] = {
    review.ReviewRequested: _review,
    ExecutionInputRequired: _input,
    DecisionRequested: _decision,
    escalation.WorkEscalated: _escalation,
    HandoverOffered: _handover,
    AccountabilityOffered: _offer,
    WorkDelegated: _delegation,
    WorkExecuted: _failed,
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
    # Of an item's failures the last counts; whether it still does, the board says.
    WorkExecuted: ("failure", ""),
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
_ANSWERED: Final = frozenset({"decision", "escalation", "failure"})
"""The kinds of things that may be addressed to whoever answers for the work."""

_MOVING: Final = frozenset(
    {WorkDefined, AccountabilityTransferred, *_ENDING, *(e for e in _ABOUT if _ABOUT[e][0] in _ANSWERED)}
)
"""The events that may move what waits for whoever answers."""

EVENTS: Final[frozenset[type]] = frozenset(_ABOUT) | _ENDING | {WorkDefined}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_replace: Final = msgspec.structs.replace
