"""When a projector is ready to be asked, and what it measures of its views."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from attorn.services import health, metrics
from attorn.services.health import Check, Sample
from attorn.services.ledger.wire import Wire
from attorn.services.projector.project import Projector
from attorn.services.projector.status import Status

LAG_S_MAX: Final = 5.0
"""How old an event may be that is not folded yet; whoever asks older views is better served by another process."""


def checks(projector: Projector, wire: Wire, clock: Callable[[], datetime]) -> dict[str, Check]:
    """That the broker answers, that the views are there, and that they are not far behind the log."""

    async def filled() -> str | None:
        missing = [f"{view.NAME} v{view.VERSION}" for view in projector.store.missing]
        return f"{', '.join(missing)}: being folded for the first time" if missing else None

    async def caught_up() -> str | None:
        lag = await projector.lag(clock())
        if lag.head is None or lag.seconds is None:
            return "the log does not answer"
        if lag.seconds <= LAG_S_MAX:
            return None
        return f"{lag.events:,} events behind the log, the oldest of them {lag.seconds:.1f} s old"

    return {"broker": health.round_trip(wire), "views": filled, "lag": caught_up}


def sample(status: Callable[[], Awaitable[Status]]) -> Sample:
    """Sets the numbers of the views; their names are ours."""

    async def set_all() -> None:
        found = await status()
        if found.head is not None:
            metrics.head.set(found.head)
        for view in found.views:
            metrics.view_position.labels(view.name).set(view.position)
            metrics.view_rows.labels(view.name).set(view.rows)
            metrics.view_poison.labels(view.name).set(view.poison)
            if view.lag_events is not None and view.lag_seconds is not None:
                metrics.view_behind.labels(view.name).set(view.lag_events)
                metrics.view_lag.labels(view.name).set(view.lag_seconds)

    return set_all
