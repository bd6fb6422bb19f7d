"""A first map of a process out of history: which steps there were, what followed what, and how often."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.process import ProcessMapped, Step
from attorn.contracts.subjects import family_and_fact
from attorn.contracts.work import WorkDefined

MONTH = timedelta(days=30)


class History(msgspec.Struct):
    """What happened to work, folded event by event in the order of the log."""

    last: dict[str, str] = {}
    processes: dict[str, str | None] = {}
    steps: Counter[str] = msgspec.field(default_factory=Counter)
    follows: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    begins: Counter[str] = msgspec.field(default_factory=Counter)
    first_at: datetime | None = None
    last_at: datetime | None = None

    def take(self, event: Event, process: str | None = None) -> None:
        """Take in one event of a work item; with `process`, only of work that is defined under it."""
        work, data = event.subject, event.data
        if isinstance(data, WorkDefined):
            self.processes[work] = data.process.id if data.process is not None else None
        if process is not None and self.processes.get(work) != process:
            return
        step = activity(event)
        before = self.last.get(work)
        if before is None:
            self.begins[step] += 1
        elif before == step:
            return  # the same again is one step that went on
        else:
            self.follows[before, step] += 1
        self.steps[step] += 1
        self.last[work] = step
        self.first_at = event.time if self.first_at is None else min(self.first_at, event.time)
        self.last_at = event.time if self.last_at is None else max(self.last_at, event.time)


def activity(event: Event) -> str:
    """What an event is a step of: the step that an execution names, else the fact itself, as in work-assigned."""
    if isinstance(event.data, ExecutionStarted) and event.data.step_id is not None:
        return event.data.step_id
    return "-".join(family_and_fact(event.type))[:64]


def draft(history: History, share: float = 0.05) -> ProcessMapped:
    """A map of what usually happened: the steps that at least `share` of the items went through, the usual way first.

    A step leads to what came after it in at least `share` of the times that it was left, and ends the process where
    that many items stood in the end. Nobody answers in it, nor is anything said of AI: that is for people to add.
    """
    items = len(history.last)
    kept = [step for step, count in history.steps.most_common() if count >= share * items]
    ends = Counter(history.last.values())
    leads = {step: _next(step, kept, history, share) for step in kept}
    ordered = _walked(sorted(kept, key=lambda step: (-history.begins[step], -history.steps[step], step)), leads)
    steps = tuple(
        Step(step_id=step, name=step.replace("-", " "), next=tuple(leads[step]),
             may_end=ends[step] >= share * max(items, 1))
        for step in ordered
    )  # fmt: skip
    months = (history.last_at - history.first_at) / MONTH if history.first_at and history.last_at else 0
    return ProcessMapped(origin="mined", steps=steps, volume_per_month=round(items / max(months, 1)) if items else None)


def _next(step: str, kept: Sequence[str], history: History, share: float) -> list[str]:
    after = [(history.follows[step, other], other) for other in kept if history.follows[step, other]]
    leaving = sum(count for (before, _), count in history.follows.items() if before == step)
    return [other for count, other in sorted(after, key=lambda each: (-each[0], each[1])) if count >= share * leaving]


def _walked(kept: Sequence[str], leads: dict[str, list[str]]) -> list[str]:
    """`kept` in the order in which one comes by them, from the usual beginning along the usual way."""
    found: dict[str, None] = {}
    for start in kept:
        pending = [start]
        while pending:
            step = pending.pop()
            if step not in found:
                found[step] = None
                pending += reversed(leads[step])
    return list(found)
