"""Audit: whether the controls were kept: what each output went through before others relied on it.

A row for each output says who looked at it, and whether it was released reviewed, waived, not drawn, or without; a row
for each item says which process and policies it is pinned to. What takes a second row to say, that who reviewed had
also done the work, or that a look was too short for its policy, is found when it is asked.
"""

from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import WorkExecuted
from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output, OutputProduced, OutputReleased, OutputWithdrawn
from attorn.contracts.review import ReviewInvalidated, ReviewRequested, ReviewSkipped, WorkReviewed
from attorn.contracts.work import WorkDefined

NAME = "controls"
VERSION = 1
INDEXES = (("released", "key"),)

Release: TypeAlias = Literal["reviewed", "waived", "not drawn", "unreviewed"]
"""What an output had behind it when it was released."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One output, `W-1/o/out-1`, or one item, `W-1`, of which only what is said in the last lines is set.

    `dig` are the bytes that there are now; `approved_dig` those that were approved or waived last; `skipped_dig` those
    that were not drawn for review. `wanted` verdicts are still asked for. `first` is the first verdict, `last` the
    last; `sent_back` counts those that asked for changes or rejected, `edited` those by which the reviewer changed the
    output. `released` says what was behind the bytes that were released last.
    """

    key: str
    work: str
    output: str | None = None
    dig: str | None = None
    execution: str | None = None
    contribution: str | None = None
    produced_position: int = 0
    produced_by: str | None = None
    wanted: int = 0
    verdicts: int = 0
    first: str | None = None
    last: str | None = None
    last_position: int = 0
    reviewer: str | None = None
    seconds_spent: int | None = None
    policy: Pinned | None = None
    sent_back: int = 0
    edited: int = 0
    approved_dig: str | None = None
    waived_by: str | None = None
    authority: str | None = None
    drawn: bool = False
    skipped_dig: str | None = None
    released: str | None = None
    released_position: int = 0
    released_time: datetime | None = None
    withdrawn_position: int = 0
    process: str | None = None
    process_version: int | None = None
    review_policy: Pinned | None = None
    escalation_policy: Pinned | None = None


_OF_OUTPUT: Final = frozenset({ReviewRequested, ReviewSkipped, ReviewInvalidated, OutputReleased, OutputWithdrawn})
EVENTS: Final[frozenset[type]] = frozenset({*_OF_OUTPUT, WorkDefined, WorkReviewed, OutputProduced, WorkExecuted})


def keys(recorded: Recorded) -> tuple[str, ...]:
    """The outputs that the event is about, or the item where it is defined."""
    event = recorded.event
    data, kind = event.data, event.data.__class__
    if kind not in EVENTS or not event.subject.startswith("work/"):
        return ()
    work = event.subject[5:]
    if kind in _OF_OUTPUT:
        return (f"{work}/o/{data.output_id}",)
    if kind is WorkExecuted:
        return tuple(f"{work}/o/{id}" for id in dict.fromkeys(one.output_id for one in data.outputs))
    if kind is OutputProduced:
        return (f"{work}/o/{data.output.output_id}",)
    if kind is WorkReviewed:
        told = [data.output_id] if data.new_output is None else [data.output_id, data.new_output.output_id]
        return tuple(f"{work}/o/{id}" for id in dict.fromkeys(told))
    return (work,)


def apply(row: Row | None, recorded: Recorded, key: str) -> Row | None:
    """The output, or the item, after the event."""
    event = recorded.event
    data = event.data
    work, _, output = key.partition("/o/")
    if not output:
        return row or _item(key, data)
    row = row or Row(key, work, output)
    match data:
        case WorkExecuted():
            made = [one for one in data.outputs if one.output_id == output][-1]
            return _made(row, recorded, made, f"{work}/x/{data.execution_id}")
        case OutputProduced():
            under = f"{work}/x/{data.execution_id}" if data.execution_id is not None else None
            return _made(row, recorded, data.output, under)
        case ReviewRequested():
            drawn = row.drawn or (data.sampling is not None and data.sampling.rate < 1)
            return _replace(row, wanted=row.wanted + data.required, drawn=drawn)
        case ReviewSkipped(output_dig=dig):
            return _replace(row, skipped_dig=dig)
        case ReviewInvalidated(cause=dig):
            return _replace(row, dig=dig, wanted=0)
        case WorkReviewed():
            return _reviewed(row, recorded, data)
        case OutputReleased():
            return _released(row, recorded, data)
        case _:
            return _replace(row, withdrawn_position=recorded.position)


def _made(row: Row, recorded: Recorded, made: Output, execution: str | None) -> Row:
    if not (row.produced_position or row.verdicts or row.wanted or row.released):
        return Row(row.key, row.work, row.output, made.dig, execution, made.contribution, recorded.position,
                   recorded.event.authid)  # fmt: skip
    return _replace(row, dig=made.dig, execution=execution, contribution=made.contribution,
                    produced_position=recorded.position, produced_by=recorded.event.authid)  # fmt: skip


def _reviewed(row: Row, recorded: Recorded, data: WorkReviewed) -> Row:
    if row.output != data.output_id:
        # What the reviewer made of it: an output of their own, approved by its making.
        edited = data.new_output
        assert edited is not None
        made = _made(row, recorded, edited, None)
        return _replace(made, produced_by=data.reviewer, approved_dig=edited.dig)
    changes: dict[str, Any] = {}
    match data.verdict:
        case "approved" | "waived":
            changes["approved_dig"] = data.output_dig
        case "edited":
            changes["edited"] = row.edited + 1
            changes["approved_dig"] = data.output_dig
            if data.new_output is not None and data.new_output.output_id == row.output:
                changes["approved_dig"] = changes["dig"] = data.new_output.dig
        case _:
            changes["sent_back"] = row.sent_back + 1
            changes["wanted"] = 0
    waived = data.verdict == "waived"
    # A waiver stands for all the verdicts that were still wanted; who looks unasked takes nothing off.
    changes.setdefault("wanted", 0 if waived else max(0, row.wanted - 1))
    return _replace(
        row,
        verdicts=row.verdicts + 1,
        first=row.first or data.verdict,
        last=data.verdict,
        last_position=recorded.position,
        reviewer=data.reviewer,
        seconds_spent=data.seconds_spent,
        policy=data.policy,
        waived_by=data.reviewer if waived else None,
        authority=data.authority if waived else None,
        **changes,
    )


def _released(row: Row, recorded: Recorded, data: OutputReleased) -> Row:
    dig = data.output_dig or row.dig
    behind: Release = "unreviewed"
    if dig is not None and dig == row.approved_dig and not row.wanted:
        behind = "waived" if row.waived_by is not None else "reviewed"
    elif dig is not None and dig == row.skipped_dig:
        behind = "not drawn"
    return _replace(row, released=behind, released_position=recorded.position, released_time=recorded.event.time)


def _item(key: str, data: WorkDefined) -> Row:
    # The first definition stands, as on the board.
    named = data.process
    return Row(key, key, process=named.id if named else None, process_version=named.version if named else None,
               review_policy=data.review_policy, escalation_policy=data.escalation_policy)  # fmt: skip


_replace: Final = msgspec.structs.replace
