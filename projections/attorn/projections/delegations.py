"""Audit: every delegation, what it allowed, and what became of it.

The row of a delegation keeps the terms as they were granted; what narrowed them is a row of its own each time, so that
the terms of any earlier position can be told. What was used up under it is the sum of its executions (`activity`), and
what it had to be used for is its own.
"""

from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts.delegation import (
    Budget,
    Condition,
    DelegationAccepted,
    DelegationDeclined,
    DelegationExhausted,
    DelegationExpired,
    DelegationNarrowed,
    DelegationResumed,
    DelegationRevoked,
    DelegationSuspended,
    ExpectedOutput,
    WorkDelegated,
)
from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.ids import Ref

NAME = "delegations"
VERSION = 3
INDEXES = (("delegate", "key"), ("delegator", "key"))

State: TypeAlias = Literal["granted", "accepted", "active", "exhausted", "expired", "revoked", "declined", "suspended"]

_RECENT: Final = 32
"""Of so many executions it is known whether they were counted."""

OVER: Final = frozenset({"exhausted", "expired", "revoked", "declined"})
"""Nothing may be done under it any more."""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a delegation allows. As the terms of a narrowing, what is absent was left as it was."""

    activities: tuple[str, ...] | None = None
    resource_keys: tuple[str, ...] | None = None
    exclusions: tuple[str, ...] | None = None
    conditions: tuple[Condition, ...] | None = None
    expected_outputs: tuple[ExpectedOutput, ...] | None = None
    budget: Budget | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    max_uses: int | None = None
    may_subdelegate: bool = False
    max_depth: int = 0
    autonomy: str | None = None
    escalate_when: tuple[str, ...] | None = None
    instructions: Ref | None = None
    process_version: int | None = None


class Row(msgspec.Struct, frozen=True, gc=False):
    """A delegation, `W-1/D-1`, or one narrowing of it, `W-1/D-1@17`, of which the state is `narrowed`.

    `parent` is the key of the delegation that it descends from. `uses` are the executions begun under it, `recent` the
    last of them. `reason` is why it is in this state since `state_position`.
    """

    key: str
    work: str
    id: str
    delegator: str | None
    delegate: str | None
    parent: str | None
    state: str
    granted_position: int
    granted_time: datetime
    state_position: int
    state_time: datetime
    uses: int = 0
    narrowed: int = 0
    accepted: bool = False
    by: str | None = None
    reason: str | None = None
    terms: Terms = Terms()
    recent: tuple[str, ...] = ()


def keys(recorded: Recorded) -> tuple[str, ...]:
    """The delegation; and, where it is narrowed, the narrowing."""
    event = recorded.event
    data: Any = event.data
    kind = data.__class__
    if kind not in EVENTS or data.delegation_id is None or not event.subject.startswith("work/"):
        return ()
    key = f"{event.subject[5:]}/{data.delegation_id}"
    return (key, f"{key}@{recorded.position}") if isinstance(data, DelegationNarrowed) else (key,)


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """The delegation after the event. What happens to one that nobody granted makes no row."""
    event = recorded.event
    data = event.data
    if isinstance(data, WorkDelegated):
        return row or _granted(key, recorded, data)
    if isinstance(data, DelegationNarrowed) and "@" in key:
        work, _, id = key.partition("@")[0].rpartition("/")
        return Row(key, work, id, None, None, None, "narrowed", recorded.position, event.time, recorded.position,
                   event.time, by=data.by or event.authid, reason=data.reason or None, terms=_bounds(data))  # fmt: skip
    if row is None:
        return None
    if isinstance(data, ExecutionStarted):
        if data.execution_id in row.recent:
            return row  # told once more, it is no second use
        recent = (*row.recent, data.execution_id)[-_RECENT:]
        state = "active" if row.state in ("granted", "accepted") else row.state
        if state == row.state:
            return _replace(row, uses=row.uses + 1, recent=recent)
        return _replace(
            row, uses=row.uses + 1, recent=recent, state=state, state_position=recorded.position, state_time=event.time
        )
    if isinstance(data, DelegationNarrowed):
        return _replace(row, narrowed=row.narrowed + 1)
    if row.state in OVER:
        return row  # what is over stays so, whatever news of it comes late
    if isinstance(data, DelegationAccepted) and row.state != "granted":
        return row if row.accepted or row.state != "active" else _replace(row, accepted=True)
    if isinstance(data, DelegationResumed):
        state = "active" if row.uses else "accepted" if row.accepted else "granted"
    else:
        state = _LEADS[data.__class__]
    accepted = row.accepted or state == "accepted"
    return _replace(row, state=state, accepted=accepted, state_position=recorded.position, state_time=event.time,
                    by=data.by or event.authid, reason=data.reason or None)  # fmt: skip


def _granted(key: str, recorded: Recorded, data: WorkDelegated) -> Row:
    event, position = recorded.event, recorded.position
    work = event.subject[5:]
    parent = f"{work}/{data.parent_id}" if data.parent_id is not None else None
    return Row(key, work, data.delegation_id, data.delegator, data.delegate, parent, "granted", position, event.time,
               position, event.time, by=data.delegator, terms=_terms(data))  # fmt: skip


def _terms(data: WorkDelegated) -> Terms:
    return Terms(data.activities, data.resource_keys, data.exclusions or None, data.conditions or None,
                 data.expected_outputs or None, data.budget, data.valid_from, data.valid_until, data.max_uses,
                 data.may_subdelegate, data.max_depth, data.autonomy, data.escalate_when or None, data.instructions,
                 data.process_version)  # fmt: skip


def _bounds(data: DelegationNarrowed) -> Terms:
    return Terms(**{name: getattr(data, name) for name in _NARROWED})


_NARROWED: Final = tuple(set(Terms.__struct_fields__) & set(DelegationNarrowed.__struct_fields__))
_LEADS: Final[dict[type, State]] = {
    DelegationAccepted: "accepted",
    DelegationDeclined: "declined",
    DelegationSuspended: "suspended",
    DelegationRevoked: "revoked",
    DelegationExpired: "expired",
    DelegationExhausted: "exhausted",
}
EVENTS: Final[frozenset[type]] = frozenset(
    {WorkDelegated, DelegationNarrowed, DelegationResumed, ExecutionStarted, *_LEADS}
)

_replace: Final = msgspec.structs.replace
