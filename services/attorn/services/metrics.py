"""What the processes count and measure, for Prometheus; every label has a closed set of values.

Ids, subjects and sources are chosen by others, and never labels: whoever floods a door makes numbers grow, and no new
series. All times are in seconds.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from attorn.contracts.refusal import Problem, Receipt
from attorn.services.ledger import measures

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

_FAST: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)

commands: Final = Histogram(
    "attorn_command_seconds",
    "Commands answered, by verb and outcome: from the request to its reply.",
    ("verb", "outcome"),
    buckets=_FAST,
    registry=REGISTRY,
)
facts: Final = Counter(
    "attorn_facts", "Facts taken in, by door (receipt, inbox) and outcome.", ("door", "outcome"), registry=REGISTRY
)
quarantined: Final = Counter(
    "attorn_quarantined", "What could not be recorded and is kept in quarantine, by why.", ("why",), registry=REGISTRY
)
appends: Final = Histogram(
    "attorn_append_seconds",
    "Appends to the log, by outcome: from the call to the acknowledgement.",
    ("outcome",),
    buckets=_FAST,
    registry=REGISTRY,
)
batches: Final = Histogram(
    "attorn_append_events",
    "Events in one publish to the log: 1, or those of an atomic batch.",
    buckets=_SIZES,
    registry=REGISTRY,
)
followers_lost: Final = Counter(
    "attorn_follower_restarts", "Times that a reader of the log had to begin anew where it was.", registry=REGISTRY
)
relayed: Final = Gauge("attorn_relay_position", "The position up to which the feed has the log.", registry=REGISTRY)
relay_behind: Final = Gauge(
    "attorn_relay_lag_events", "Events that are recorded, and that the feed has not.", registry=REGISTRY
)
head: Final = Gauge("attorn_log_position", "The position of the log's last event, as last seen.", registry=REGISTRY)
view_position: Final = Gauge(
    "attorn_view_position", "The position up to which a view is folded.", ("view",), registry=REGISTRY
)
view_behind: Final = Gauge(
    "attorn_view_lag_events", "Events that are recorded, and that a view has not folded.", ("view",), registry=REGISTRY
)
view_lag: Final = Gauge(
    "attorn_view_lag_seconds", "The age of the oldest event that a view has not folded.", ("view",), registry=REGISTRY
)
view_poison: Final = Gauge("attorn_view_poison", "Events that a view could not take in.", ("view",), registry=REGISTRY)
view_rows: Final = Gauge("attorn_view_rows", "How many rows a view has.", ("view",), registry=REGISTRY)
ready: Final = Gauge("attorn_ready", "1 where a check of readiness passes, else 0.", ("check",), registry=REGISTRY)
loop_late: Final = Histogram(
    "attorn_loop_late_seconds", "How late the event loop comes to what is due.", buckets=_FAST, registry=REGISTRY
)

_OUTCOMES: Final = {
    400: "unreadable",
    404: "refused",
    409: "conflict",
    422: "refused",
    503: "unavailable",
    504: "unknown",
}
TICK_S: Final = 0.5


def outcome(reply: Receipt | Problem) -> str:
    """`recorded`, `flagged` for a fact that broke a rule and is recorded, or why not.

    That is one of `refused`, `conflict`, `unreadable`, `unavailable`, `unknown`; `failed` is an error of ours.
    """
    if isinstance(reply, Problem):
        return _OUTCOMES.get(reply.status, "failed")
    return "flagged" if reply.warnings else "recorded"


def totals(counted: Histogram | Counter, label: str) -> dict[str, int]:
    """How often each value of `label` was counted since the process began."""
    found: dict[str, int] = {}
    for family in counted.collect():
        for sample in family.samples:
            if sample.name.endswith(("_count", "_total")):
                value = sample.labels[label]
                found[value] = found.get(value, 0) + int(sample.value)
    return found


def listen_to_ledgers() -> None:
    """Measure what the ledgers of this process do; they tell, and need no metrics."""
    measures.batch.append(batches.observe)
    measures.follower_lost.append(followers_lost.inc)


@asynccontextmanager
async def watching_the_loop() -> AsyncIterator[None]:
    """Measure, while the block runs, how late the event loop is."""

    async def watch() -> None:
        while True:
            due = perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            loop_late.observe(max(0.0, perf_counter() - due))

    task = asyncio.create_task(watch(), name="loop watch")
    try:
        yield
    finally:
        task.cancel()
