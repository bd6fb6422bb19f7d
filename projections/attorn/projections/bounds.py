"""What a delegation allows: compared with one that it descends from, with a policy, and with one action.

The rules go by it, and the views say it: both ask here what a delegation allows once it was narrowed.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, Protocol, TypeVar

import msgspec

from attorn.contracts.delegation import Budget, WorkDelegated
from attorn.contracts.execution import ExecutionActionRecorded
from attorn.contracts.ids import Money
from attorn.contracts.policy import DelegationRules

AUTONOMY: Final = ("suggest", "act_with_approval", "act_then_review", "act")
LIMITS: Final = {name: attrgetter(name) for name in ("tokens", "actions", "elapsed", "money")}
_BOUNDS: Final = {
    name: attrgetter(name)
    for name in ("activities", "resource_keys", "exclusions", "budget", "valid_until", "max_uses", "autonomy")
}


class Bounds(Protocol):
    """What bounds a delegation, as it is granted, as it is narrowed, or as a view keeps it."""

    @property
    def activities(self) -> tuple[str, ...] | None: ...
    @property
    def resource_keys(self) -> tuple[str, ...] | None: ...
    @property
    def exclusions(self) -> tuple[str, ...] | None: ...
    @property
    def budget(self) -> Budget | None: ...
    @property
    def valid_until(self) -> datetime | None: ...
    @property
    def max_uses(self) -> int | None: ...
    @property
    def autonomy(self) -> str | None: ...


class Granted(Bounds, Protocol):
    """The bounds of a delegation that holds from some time on."""

    @property
    def valid_from(self) -> datetime | None: ...


G = TypeVar("G", bound=Granted)


def excess(child: WorkDelegated, parent: WorkDelegated) -> Iterator[str]:
    """In what the child allows more than its parent."""
    if not parent.may_subdelegate or parent.max_depth < 1:
        yield "it may not be passed on"
    elif child.max_depth >= parent.max_depth:
        yield f"it may be passed on {parent.max_depth - 1} more times, not {child.max_depth}"
    yield from wider(child, parent)
    if not set(parent.conditions) <= set(child.conditions):
        yield "without its conditions"
    if not set(parent.escalate_when) <= set(child.escalate_when):
        yield "without what it has to ask about"


def wider(terms: Granted, before: Granted) -> Iterator[str]:
    """Which bounds of `terms` leave more room than those of `before`."""
    if before.activities and not (terms.activities and set(terms.activities) <= set(before.activities)):
        yield f"activities other than {', '.join(before.activities)}"
    if before.resource_keys and not (
        terms.resource_keys and all(matches(key, before.resource_keys) for key in terms.resource_keys)
    ):
        yield f"resources other than {', '.join(before.resource_keys)}"
    if before.valid_until is not None and (terms.valid_until is None or terms.valid_until > before.valid_until):
        yield f"valid after {before.valid_until.isoformat()}"
    if before.valid_from is not None and (terms.valid_from is None or terms.valid_from < before.valid_from):
        yield f"valid before {before.valid_from.isoformat()}"
    if AUTONOMY.index(terms.autonomy or AUTONOMY[0]) > AUTONOMY.index(before.autonomy or AUTONOMY[0]):
        yield f"autonomy {terms.autonomy}, where it has {before.autonomy}"
    if not set(before.exclusions or ()) <= set(terms.exclusions or ()):
        yield "without its exclusions"
    if before.max_uses is not None and (terms.max_uses is None or terms.max_uses > before.max_uses):
        yield f"more than {before.max_uses} uses"
    for field in LIMITS:
        most, asked = limit(before.budget, field), limit(terms.budget, field)
        if most is not None and (asked is None or asked[0] > most[0] or asked[1] != most[1]):
            yield f"a budget of more {field}"


def outside(terms: WorkDelegated, rules: DelegationRules, at: datetime) -> Iterator[str]:
    """In what a delegation that is given at that time allows more than a policy says may be given."""
    begins = terms.valid_from if terms.valid_from is not None and terms.valid_from > at else at
    lasts = terms.valid_until - begins if terms.valid_until is not None else None
    if rules.max_duration is not None and (lasts is None or lasts > rules.max_duration):
        yield f"valid for longer than {rules.max_duration}"
    if terms.may_subdelegate and not rules.may_subdelegate:
        yield "it may be passed on"
    if rules.max_depth is not None and terms.max_depth > rules.max_depth:
        yield f"it may be passed on {terms.max_depth} times, where {rules.max_depth} is the most"
    widest = WorkDelegated(
        delegation_id=terms.delegation_id,
        delegator=terms.delegator,
        delegate=terms.delegate,
        activities=rules.activities or (),
        resource_keys=rules.resource_keys or (),
        exclusions=rules.exclusions,
        budget=rules.max_budget,
        autonomy=rules.max_autonomy,
    )
    yield from wider(terms, widest)
    if not set(rules.conditions) <= set(terms.conditions):
        yield f"without the conditions {', '.join(condition.id for condition in rules.conditions)}"
    if not set(rules.escalate_when) <= set(terms.escalate_when):
        yield "without what it has to ask about"


def narrowed(terms: G, said: Bounds) -> G:
    """The terms as `said` puts them; of a budget, what is not named stays. They may leave more room: see `wider`."""
    changes: dict[str, Any] = {name: bound for name, of in _BOUNDS.items() if (bound := of(said)) is not None}
    if said.budget is not None and terms.budget is not None:
        parts = {name: most for name, of in LIMITS.items() if (most := of(said.budget)) is not None}
        changes["budget"] = msgspec.structs.replace(terms.budget, **parts)
    return msgspec.structs.replace(terms, **changes)  # type: ignore[type-var]


def after_narrowing(terms: G, said: Bounds) -> G:
    """The terms that hold afterwards: whatever is reported as a narrowing, nobody may do more after it."""
    less = narrowed(terms, said)
    return terms if any(wider(less, terms)) else less


def beyond(terms: WorkDelegated, action: ExecutionActionRecorded) -> Iterator[tuple[str, str]]:
    """In what an action is beyond the terms: a sentence, and the field that says it."""
    id = terms.delegation_id
    if terms.activities and action.tool not in terms.activities:
        yield f"{action.tool} is not among the activities of {id}: {', '.join(terms.activities)}", "data.tool"
    if terms.exclusions:
        for field, named in (("data.tool", action.tool), ("data.target", action.target)):
            if named and matches(named, terms.exclusions):
                yield f"{named} is excluded by {id}", field
    if terms.resource_keys and action.target and not matches(action.target, terms.resource_keys):
        yield f"{action.target} is not among the resources of {id}: {', '.join(terms.resource_keys)}", "data.target"
    if terms.resource_keys and action.side_effect and not action.target:
        resources = ", ".join(terms.resource_keys)
        yield f"{action.tool} changes something and does not say what; {id} is for {resources}", "data.target"
    if terms.autonomy == "suggest" and action.side_effect:
        yield f"{action.tool} changes something; {id} allows suggestions only", "data.side_effect"


def limit(budget: Budget | None, field: str) -> tuple[Any, str] | None:
    """What may be spent at most, and the unit that makes two limits comparable; None when there is no limit."""
    most = LIMITS[field](budget) if budget is not None else None
    if isinstance(most, Money):
        return Decimal(most.amount), most.currency
    return (most, "") if most is not None else None


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether `name` is one of `patterns`, in which `*` stands for anything, and no other sign for more than itself.

    So a pattern that is a name among `patterns` leads to nothing that they do not lead to: a bound is narrowed by it.
    """
    return any(_matches(name, pattern) for pattern in patterns)


def _matches(name: str, pattern: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        # The first place is the best one: it leaves the most for what comes after.
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
