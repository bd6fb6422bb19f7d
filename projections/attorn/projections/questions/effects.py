"""Audit: what was changed more than once, and what had been changed already when somebody was asked for help."""

from typing import Any, Final

import msgspec

from attorn.contracts.ids import Count
from attorn.projections import activity, board, effects, escalations
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.escalations import Escalation, described
from attorn.projections.questions.paging import PAGE, Limit


class AskDuplicates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`who` carried it out. The numbers are of all that is asked about, whatever the page."""

    who: str | None = None
    work: str | None = None
    after: str = ""
    limit: Limit = 100


class AskHalfDone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`open`: only escalations that are, or are not, open."""

    raised_by: str | None = None
    open: bool | None = None
    after: Count = 0
    limit: Limit = 100


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change, within one work item: the same tool with the same arguments on the same target.

    It was tried so often, and `failed` so often. Tried again after it had failed it is among the `retries`, or, with an
    idempotency key, among `keyed`; after it had succeeded among the `doubles`.
    """

    work: str
    tool: str
    tries: int
    failed: int
    first_position: int
    last_position: int
    target: str | None = None
    args_dig: str | None = None
    retries: int = 0
    keyed: int = 0
    doubles: int = 0


class Duplicates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of `tries` to change something, `failed` failed, and `repeats` were the same as one before in the same work.

    Repeats are blind `retries` after an error, `keyed` ones that whoever receives them knows again, and `doubles` after
    a success. `changes` is one page of what was tried more than once. `complete` is False where there is more of that
    than was added up: ask for one participant or one work item.
    """

    position: int
    tries: int
    failed: int
    repeats: int
    retries: int
    keyed: int
    doubles: int
    changes: tuple[Change, ...] = ()
    next: str | None = None
    complete: bool = True


class HalfDone(msgspec.Struct, frozen=True, kw_only=True):
    """An escalation, and the first hundred changes that were begun before it was raised, counted up to now."""

    escalation: Escalation
    changes: tuple[Change, ...]


class HalfDonePage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of such escalations, the oldest first; there are `count` of them in all."""

    position: int
    count: int
    escalations: tuple[HalfDone, ...] = ()
    next: int | None = None


def duplicates(rows: Rows, directory: Directory, asked: AskDuplicates) -> Duplicates:
    """What was tried again with the same arguments: blind retries after an error, doubles after a success."""
    conditions, parameters = ["1=1"], list[Any]()
    if asked.work is not None:
        conditions.append("key > ? AND key < ?")
        parameters += _changes_of(asked.work)
    if asked.who is not None:
        conditions.append(f"execution IN (SELECT key FROM {_EXECUTIONS} WHERE who = ?)")
        parameters.append(asked.who)
    where = " AND ".join(conditions)
    changed = rows.count(effects.Row, where, parameters)
    failed = rows.count(effects.Row, f"failed > 0 AND {where}", parameters)
    repeats = retries = keyed = doubles = 0
    page: list[effects.Row] = []
    after, complete = "", False
    for _ in range(_PAGES_READ):
        some = rows.select(effects.Row, f"again = 1 AND key > ? AND {where}", [after, *parameters], "key", PAGE)
        repeats += sum(row.tries - 1 for row in some)
        failed += sum(max(row.failed - 1, 0) for row in some)
        retries += sum(row.retries for row in some)
        keyed += sum(row.keyed for row in some)
        doubles += sum(row.doubles for row in some)
        page += [row for row in some if row.key > asked.after][: asked.limit + 1 - len(page)]
        complete = len(some) < PAGE
        if complete:
            break
        after = some[-1].key
    return Duplicates(
        position=rows.position,
        tries=changed + repeats,
        failed=failed,
        repeats=repeats,
        retries=retries,
        keyed=keyed,
        doubles=doubles,
        changes=tuple(map(_change, page[: asked.limit])),
        next=page[asked.limit - 1].key if len(page) > asked.limit else None,
        complete=complete,
    )


def half_done(rows: Rows, directory: Directory, asked: AskHalfDone) -> HalfDonePage:
    """Escalations that were raised when their work had begun to change things: who takes over finds these half done."""
    conditions, parameters = [_AFTER_A_CHANGE], list[Any]()
    if asked.open is not None:
        conditions.append("open" if asked.open else "NOT open")
    if asked.raised_by is not None:
        conditions.append("raised_by = ?")
        parameters.append(asked.raised_by)
    where = " AND ".join(conditions)
    page = rows.select(
        escalations.Row, f"{where} AND raised_position > ?", [*parameters, asked.after], "raised_position",
        asked.limit + 1,
    )  # fmt: skip
    found = page[: asked.limit]
    return HalfDonePage(
        position=rows.position,
        count=rows.count(escalations.Row, where, parameters),
        escalations=tuple(HalfDone(escalation=_described(rows, row), changes=_before(rows, row)) for row in found),
        next=found[-1].raised_position if len(page) > asked.limit else None,
    )


def _described(rows: Rows, row: escalations.Row) -> Escalation:
    item = rows.get(board.Row, row.work)
    return described(row, item.process if item is not None else None)


def _before(rows: Rows, row: escalations.Row) -> tuple[Change, ...]:
    where = "key > ? AND key < ? AND first_position < ?"
    tried = rows.select(
        effects.Row, where, (*_changes_of(row.work), row.raised_position), "first_position", _CHANGES_MAX
    )
    return tuple(map(_change, tried))


def _change(row: effects.Row) -> Change:
    return Change(**{name: getattr(row, name) for name in Change.__struct_fields__})


def _changes_of(work: str) -> tuple[str, str]:
    return f"{work}/c/", f"{work}/c0"


_PAGES_READ: Final = 20
_CHANGES_MAX: Final = 100
_EXECUTIONS: Final = f"{activity.NAME}_v{activity.VERSION}"
_EFFECTS: Final = f"{effects.NAME}_v{effects.VERSION}"
_ESCALATIONS: Final = f"{escalations.NAME}_v{escalations.VERSION}"
_AFTER_A_CHANGE: Final = (
    f"EXISTS (SELECT 1 FROM {_EFFECTS} e WHERE e.key > {_ESCALATIONS}.work || '/c/' "
    f"AND e.key < {_ESCALATIONS}.work || '/c0' AND e.first_position < {_ESCALATIONS}.raised_position)"
)
"""The changes of an item are a range of their keys."""
