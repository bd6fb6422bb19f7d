"""What those who work on an item could know, and when: every reference that was given to them, in order."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from attorn.contracts.context import ContextShared
from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.envelope import Recorded
from attorn.contracts.escalation import WorkEscalated
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.handover import HandoverOffered
from attorn.contracts.ids import Ref
from attorn.contracts.work import WorkDefined


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A reference, by which event it came, at which position, and whom it was given to; None is everybody."""

    ref: Ref
    by: str
    position: int
    time: datetime
    to: str | None = None


def known(events: Iterable[Recorded], position: int | None = None) -> tuple[Known, ...]:
    """What was known of the item whose events these are, up to and with `position`; by default of all of them."""
    found: list[Known] = []
    for recorded in events:
        if position is not None and recorded.position > position:
            break
        event = recorded.event
        for ref, to in _given(event.data):
            given = Known(ref=ref, by=event.type, position=recorded.position, time=event.time, to=to)
            found.append(given)
    return tuple(found)


def known_at_start(events: Iterable[Recorded], execution_id: str) -> tuple[Known, ...]:
    """What the executor of an execution could know when it started: what everybody was given, and what it was.

    Empty when there is no such execution.
    """
    events = tuple(events)
    for recorded in events:
        data = recorded.event.data
        if isinstance(data, ExecutionStarted) and data.execution_id == execution_id:
            return tuple(each for each in known(events, recorded.position) if each.to in (None, data.executor))
    return ()


def _given(data: object) -> Iterator[tuple[Ref, str | None]]:
    match data:
        case WorkDefined(context=context, method=method):
            yield from ((ref, None) for ref in context)
            if method.instructions is not None:
                yield method.instructions, None
        case WorkDelegated(instructions=Ref() as instructions, delegate=delegate):
            yield instructions, delegate
        case ContextShared(ref=ref):
            yield ref, None
        case HandoverOffered(context=context, to=to):
            yield from ((ref, to) for ref in context)
        case WorkEscalated(context=situation):
            yield from ((ref, None) for ref in situation.evidence)
        case _:
            pass
