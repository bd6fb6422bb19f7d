"""Audit: what each work item was held against, criterion by criterion, and whether it held."""

from datetime import datetime
from typing import Any, Final

import msgspec

from attorn.contracts.envelope import Recorded
from attorn.contracts.output import OutputValidated
from attorn.contracts.work import WorkVerified

NAME = "criteria"
VERSION = 1
INDEXES = (("criterion", "result", "work"),)
EVENTS: Final[frozenset[type]] = frozenset({OutputValidated, WorkVerified})


class Row(msgspec.Struct, frozen=True, gc=False):
    """One criterion of one item, `W-1/amount`: what was found last, `passed`, `failed` or `waived`, and by whom.

    `output` is what was looked at, None where it was the item as a whole. `failures` is how often it did not hold.
    """

    key: str
    work: str
    criterion: str
    result: str
    method: str | None
    by: str | None
    output: str | None
    position: int
    time: datetime
    verdicts: int = 1
    failures: int = 0


def keys(recorded: Recorded) -> tuple[str, ...]:
    """The criteria that the event is about."""
    event = recorded.event
    data, kind = event.data, event.data.__class__
    if kind not in EVENTS or not event.subject.startswith("work/"):
        return ()
    work = event.subject[5:]
    if kind is OutputValidated:
        return (f"{work}/{data.criterion_id}",)
    return tuple(dict.fromkeys(f"{work}/{verdict.id}" for verdict in data.criteria))


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """What is known of the criterion after the event."""
    event = recorded.event
    data: Any = event.data
    work, _, criterion = key.partition("/")
    output = method = None
    if data.__class__ is OutputValidated:
        result, method, by, output = data.result, data.method, data.by, data.output_id
    else:
        verdict = [one for one in data.criteria if one.id == criterion][-1]
        result, by = verdict.result, verdict.by
    verdicts, failures = (row.verdicts, row.failures) if row is not None else (0, 0)
    return Row(key, work, criterion, result, method, by or event.authid, output, recorded.position, event.time,
               verdicts + 1, failures + (result == "failed"))  # fmt: skip
