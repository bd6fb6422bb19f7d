"""What a projector says of itself: where its views are, what they could not take in, how a rebuild goes on."""

from datetime import datetime
from typing import Literal

import msgspec

from attorn.projections.store.sqlite import Poison
from attorn.services.about import About


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One view as it is asked, and as it is when folded anew from the first event to the same position."""

    view: str
    version: int
    position: int
    live: str
    rebuilt: str
    equal: bool


class Job(msgspec.Struct, kw_only=True):
    """A rebuild or a verification: `position` of `target` events are folded anew so far."""

    kind: Literal["rebuild", "verify"]
    state: Literal["running", "done", "failed"] = "running"
    position: int = 0
    target: int = 0
    started_at: datetime
    ended_at: datetime | None = None
    views: tuple[Comparison, ...] = ()
    error: str = ""


class ViewStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One view. While it is being filled for the first time it has no rows, and its position is that of the filling.

    `lag_events` are recorded and not folded; `lag_seconds` is the age of the oldest of them, 0 when there is none. Both
    are None while the log does not answer. `last_poison` are the newest of `poison` events that it could not take in.
    """

    name: str
    version: int
    state: Literal["live", "filling"]
    rows: int
    position: int
    lag_events: int | None
    lag_seconds: float | None
    poison: int = 0
    last_poison: tuple[Poison, ...] = ()


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`head` is the position of the log's last event, None while it does not answer.

    `quarantined`: how many messages of others wait in quarantine; None where there is no quarantine. `about` is the
    process that answers.
    """

    head: int | None
    position: int
    views: tuple[ViewStatus, ...]
    directory_poison: int = 0
    rebuild: Job | None = None
    verify: Job | None = None
    quarantined: int | None = None
    about: About | None = None
