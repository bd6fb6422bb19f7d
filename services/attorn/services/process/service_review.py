"""Service reviews: the regular sitting over a process and the agents in it, from its call to its end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from attorn.contracts.refusal import Breach
from attorn.contracts.service_review import (
    CloseServiceReview,
    HoldServiceReview,
    OpenServiceReview,
    ServiceReviewClosed,
    ServiceReviewHeld,
    ServiceReviewOpened,
)

ServiceReviewCommand: TypeAlias = OpenServiceReview | HoldServiceReview | CloseServiceReview
ServiceReviewEvent: TypeAlias = ServiceReviewOpened | ServiceReviewHeld | ServiceReviewClosed


class Sitting(msgspec.Struct, frozen=True):
    """A service review as far as it has come."""

    opened: ServiceReviewOpened
    held: ServiceReviewHeld | None = None
    closed: ServiceReviewClosed | None = None


def decide(sittings: Mapping[str, Sitting], command: ServiceReviewCommand) -> Sequence[msgspec.Struct]:
    """Translate intent into facts; what was opened with its period and scope is held and closed with them."""
    id = command.service_review_id
    known = sittings.get(id)
    match command:
        case OpenServiceReview(period=period, scope=scope, metrics_digest=digest):
            opened = ServiceReviewOpened(service_review_id=id, period=period, scope=scope, metrics_digest=digest)
            return [] if known is not None and known.opened == opened else [opened]
        case HoldServiceReview(decisions=decisions, actions=actions):
            opened_digest = known.opened.metrics_digest if known is not None else None
            held = ServiceReviewHeld(
                service_review_id=id,
                period=known.opened.period if known is not None else None,
                scope=known.opened.scope if known is not None else "",
                metrics_digest=command.metrics_digest or opened_digest,
                decisions=decisions,
                actions=actions,
            )
            return [] if known is not None and known.held == held else [held]
        case CloseServiceReview(decisions=decisions, actions=actions):
            held_ = known.held if known is not None else None
            closed = ServiceReviewClosed(
                service_review_id=id,
                period=known.opened.period if known is not None else None,
                scope=known.opened.scope if known is not None else "",
                metrics_digest=held_.metrics_digest if held_ is not None else None,
                decisions=decisions or (held_.decisions if held_ is not None else ()),
                actions=actions or (held_.actions if held_ is not None else ()),
            )
            return [] if known is not None and known.closed is not None else [closed]


def check(sittings: Mapping[str, Sitting], data: ServiceReviewEvent) -> Iterator[Breach]:
    """Whether the review is as far as it has to be for what is said of it."""
    id, field = data.service_review_id, "data.service_review_id"
    known = sittings.get(id)
    problem: str | None = None
    match data:
        case ServiceReviewOpened() if known is not None:
            problem = f"the service review {id} was opened before; give the new one an id of its own"
        case ServiceReviewHeld() if known is None or known.closed is not None:
            problem = f"the service review {id} {'was never opened' if known is None else 'is closed'}"
        case ServiceReviewClosed() if known is None or known.held is None or known.closed is not None:
            state = "was never opened" if known is None else "is closed" if known.closed else "was not held yet"
            problem = f"the service review {id} {state}"
        case _:
            pass
    if problem is not None:
        yield Breach(rule="service-review-open", detail=problem, field=field)
    if isinstance(data, ServiceReviewHeld) and known is not None:
        seen = known.opened.metrics_digest
        if seen is not None and data.metrics_digest != seen:
            detail = f"the service review {id} was called over the figures {seen}; it looks at those"
            yield Breach(rule="service-review-open", detail=detail, field="data.metrics_digest")


def evolve(sittings: Mapping[str, Sitting], data: ServiceReviewEvent) -> dict[str, Sitting]:
    """The reviews afterwards; the first word of each kind stands."""
    id, replace = data.service_review_id, msgspec.structs.replace
    known = sittings.get(id)
    after = dict(sittings)
    match data:
        case ServiceReviewOpened() if known is None:
            after[id] = Sitting(data)
        case ServiceReviewHeld() if known is not None and known.closed is None:
            after[id] = replace(known, held=data)
        case ServiceReviewClosed() if known is not None and known.closed is None:
            after[id] = replace(known, closed=data)
        case _:
            pass
    return after
