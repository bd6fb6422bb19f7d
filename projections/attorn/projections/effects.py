"""Audit: each change that work made to something outside of it, how often it was tried, and what was done again.

A change is one tool with the same arguments on the same target, within one work item. Done again after it had succeeded
it is a double; after it had failed a retry, blind unless an idempotency key lets whoever receives it know it again.
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec

from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import ExecutionActionRecorded

NAME = "effects"
VERSION = 1
INDEXES = (("again", "key"), ("execution",))
EVENTS: Final[frozenset[type]] = frozenset({ExecutionActionRecorded})


class Row(msgspec.Struct, frozen=True, gc=False):
    """One change, `W-1/c/…`; the end of the key is a digest of what is changed and how.

    Of the `tries`, `failed` failed. All but the first are `retries`, `keyed` retries or `doubles`. `again` is set where
    there are any. `execution` is the one that tried first, `W-1/x/x-1`.
    """

    key: str
    work: str
    execution: str
    tool: str
    target: str | None
    args_dig: str | None
    tries: int
    failed: int
    first_position: int
    last_position: int
    retries: int = 0
    keyed: int = 0
    doubles: int = 0
    again: bool | None = None


def keys(recorded: Recorded) -> tuple[str, ...]:
    """The change, where the action is one. An action that says neither its arguments nor a key is like no other."""
    event = recorded.event
    action: Any = event.data
    if action.__class__ is not ExecutionActionRecorded or not action.side_effect:
        return ()
    if not event.subject.startswith("work/"):
        return ()
    how = action.args_dig or action.idempotency_key or f"{recorded.position}"
    said = "\x00".join((action.tool, how, action.target or "")).encode("utf-8", "surrogatepass")
    return (f"{event.subject[5:]}/c/{blake2b(said, digest_size=10).hexdigest()}",)


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """The change after it was tried once more."""
    action: Any = recorded.event.data
    position, failed = recorded.position, action.result != "succeeded"
    if row is None:
        work = key.partition("/")[0]
        return Row(key, work, f"{work}/x/{action.execution_id}", action.tool, action.target, action.args_dig, 1,
                   int(failed), position, position)  # fmt: skip
    was_made, has_key = row.tries > row.failed, action.idempotency_key is not None
    return msgspec.structs.replace(
        row,
        tries=row.tries + 1,
        failed=row.failed + failed,
        last_position=position,
        retries=row.retries + (not was_made and not has_key),
        keyed=row.keyed + (not was_made and has_key),
        doubles=row.doubles + was_made,
        again=True,
    )
