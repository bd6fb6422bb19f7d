"""Audit: what work was held against, and whether it asked for help when it should have."""

from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts.work import CriterionResult
from attorn.projections import criteria, escalations
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import Limit, next_key

Judgement: TypeAlias = Literal["confirmed", "over", "missed"]


class AskCriteria(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    criterion: str | None = None
    work: str | None = None
    result: CriterionResult | None = None
    after: str = ""
    limit: Limit = 100


class AskEscalationAccuracy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`criterion`: the one that says whether work was escalated as it should have been, `success` the one that says
    whether it was right in the end. `judged`: only such items on the page, by default over and missed.
    """

    criterion: str
    success: str | None = None
    judged: Judgement | None = None
    after: str = ""
    limit: Limit = 100


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One criterion of one item, and what was found last."""

    work: str
    criterion: str
    result: str
    position: int
    time: datetime
    verdicts: int
    failures: int = 0
    method: str | None = None
    by: str | None = None
    output: str | None = None


class Criteria(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of verdicts, in order of the items; the numbers are of all that is asked about, whatever the page."""

    position: int
    items: int
    passed: int
    failed: int
    waived: int
    verdicts: tuple[Held, ...] = ()
    next: str | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """An item, and whether it was escalated as it should have been."""

    work: str
    judged: Judgement


class Accuracy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the `items` that were held against the criterion, so many escalations were `raised`, and so many `wanted`.

    Raised and wanted is confirmed, raised and not wanted over, wanted and not raised missed; each item counts once,
    however often it was escalated. `precision` is confirmed of raised, `recall` confirmed of wanted, None where there
    is nothing to divide by. `raised_and_right` are those that were escalated and passed the criterion `success`.
    """

    criterion: str
    position: int
    items: int
    raised: int
    wanted: int
    confirmed: int
    over: int
    missed: int
    precision: float | None
    recall: float | None
    raised_and_right: int | None = None
    found: tuple[Judged, ...] = ()
    next: str | None = None


def held(rows: Rows, directory: Directory, asked: AskCriteria) -> Criteria:
    """How many items hold each criterion that they were held against, and which do not."""
    conditions, parameters = ["1=1"], list[Any]()
    for column in ("criterion", "work", "result"):
        value = getattr(asked, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    if asked.work is not None:
        conditions.append("key > ? AND key < ?")
        parameters += (f"{asked.work}/", f"{asked.work}0")
    where = " AND ".join(conditions)

    def count(result: str) -> int:
        return rows.count(criteria.Row, f"{where} AND result = ?", [*parameters, result])

    passed, failed, waived = map(count, ("passed", "failed", "waived"))
    page = rows.select(criteria.Row, f"{where} AND key > ?", [*parameters, asked.after], "key", asked.limit + 1)
    return Criteria(
        position=rows.position,
        items=passed + failed + waived,
        passed=passed,
        failed=failed,
        waived=waived,
        verdicts=tuple(
            Held(**{name: getattr(row, name) for name in Held.__struct_fields__}) for row in page[: asked.limit]
        ),
        next=next_key(page, asked.limit),
    )


def escalation_accuracy(rows: Rows, directory: Directory, asked: AskEscalationAccuracy) -> Accuracy:
    """Whether work was escalated when it should have been: confirmed, over- and missed escalations, by a criterion."""

    def count(*conditions: str, also: tuple[str, ...] = ()) -> int:
        where = " AND ".join(("criterion = ?", *conditions))
        return rows.count(criteria.Row, where, (asked.criterion, *also))

    confirmed, over = count(_KEPT, _RAISED), count(_BROKEN, _RAISED)
    missed, rightly_not = count(_BROKEN, f"NOT {_RAISED}"), count(_KEPT, f"NOT {_RAISED}")
    which = " OR ".join(_JUDGED[each] for each in (("over", "missed") if asked.judged is None else (asked.judged,)))
    where = f"criterion = ? AND ({which}) AND work > ?"
    page = rows.select(criteria.Row, where, (asked.criterion, asked.after), "work", asked.limit + 1)
    raised, wanted = confirmed + over, confirmed + missed
    return Accuracy(
        criterion=asked.criterion,
        position=rows.position,
        items=raised + missed + rightly_not,
        raised=raised,
        wanted=wanted,
        confirmed=confirmed,
        over=over,
        missed=missed,
        precision=confirmed / raised if raised else None,
        recall=confirmed / wanted if wanted else None,
        raised_and_right=count(_RAISED, _RIGHT, also=(asked.success,)) if asked.success is not None else None,
        found=tuple(Judged(work=row.work, judged=_judged(rows, row)) for row in page[: asked.limit]),
        next=page[asked.limit - 1].work if len(page) > asked.limit else None,
    )


def _judged(rows: Rows, row: criteria.Row) -> Judgement:
    if row.result != "failed":
        return "confirmed"
    return "over" if rows.count(escalations.Row, "work = ?", (row.work,)) else "missed"


_CRITERIA: Final = f"{criteria.NAME}_v{criteria.VERSION}"
_ESCALATIONS: Final = f"{escalations.NAME}_v{escalations.VERSION}"
_KEPT: Final = "result <> 'failed'"
_BROKEN: Final = "result = 'failed'"
_RAISED: Final = f"EXISTS (SELECT 1 FROM {_ESCALATIONS} e WHERE e.work = {_CRITERIA}.work)"
_RIGHT: Final = (
    f"EXISTS (SELECT 1 FROM {_CRITERIA} c WHERE c.key = {_CRITERIA}.work || '/' || ? AND c.result = 'passed')"
)
_JUDGED: Final[dict[Judgement, str]] = {
    "confirmed": f"({_KEPT} AND {_RAISED})",
    "over": f"({_BROKEN} AND {_RAISED})",
    "missed": f"({_BROKEN} AND NOT {_RAISED})",
}
