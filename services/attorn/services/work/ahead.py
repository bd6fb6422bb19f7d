"""Times by which something is due, or over: they lie ahead when they are set."""

from collections.abc import Iterator
from datetime import datetime

from attorn.contracts.envelope import Event
from attorn.contracts.refusal import Breach


def check_ahead(when: datetime | None, what: str, field: str, event: Event) -> Iterator[Breach]:
    """Whether that time, if any is said, comes after `event`; `what` is due or over then, as in `D-1 ends`."""
    if when is not None and when <= event.time:
        said, now = (each.isoformat(timespec="seconds") for each in (when, event.time))
        detail = f"{what} at {said}, and it is {now}; say a time that is ahead"
        yield Breach(rule="deadline-past", detail=detail, field=field)
