"""How far somebody's authority goes: the limits that the policies in force set, and who has more, up the org chart."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from attorn.contracts.decision import DecisionRequested
from attorn.contracts.ids import Money
from attorn.contracts.policy import AuthorityLimit
from attorn.projections.directory import Directory
from attorn.projections.workforce import line
from attorn.services import expressions
from attorn.services.delegation.occasion import of_work
from attorn.services.work.state import Work


def beyond(
    work: Work, asked: DecisionRequested, amount: Money | None, who: str, at: datetime, directory: Directory
) -> str | None:
    """Why this decision is beyond what `who` may decide, as a sentence; None when it is not.

    As soon as any limit is about a decision of this kind, or this currency, only whom one covers may decide it, as far
    as the widest that covers them. Where there is none, whoever has the decision authority decides anything.
    """
    about = list(_about(asked, amount, at, directory))
    if not about:
        return None
    mine = [limit for limit in about if who == limit.who or who in directory.persons(limit.who)]
    what = asked.activity or (f"a sum in {amount.currency}" if amount is not None else "this")
    if not mine:
        return f"{who} has no authority over {what}"
    allowed = [limit for limit in mine if _holds(limit, work, asked, amount, at)]
    if not allowed:
        return f"{who} may decide about {what} only when {' or '.join(sorted({str(limit.when) for limit in mine}))}"
    if amount is None or any(limit.up_to is None for limit in allowed):
        return None
    most = max((limit.up_to for limit in allowed if limit.up_to is not None), key=lambda money: Decimal(money.amount))
    if Decimal(amount.amount) <= Decimal(most.amount):
        return None
    return f"{who} may decide about up to {most.amount} {most.currency}; this is about {amount.amount}"


def next_above(
    work: Work, asked: DecisionRequested, amount: Money | None, who: str, at: datetime, directory: Directory
) -> str | None:
    """The first person above `who` on the org chart who may decide it; None when the chart ends before."""
    for above in line(directory, who).path:
        if above != who and directory.is_person(above) and beyond(work, asked, amount, above, at, directory) is None:
            return above
    return None


def deciders(work: Work, asked: DecisionRequested | None, directory: Directory) -> tuple[str, ...]:
    """Whom a decision is asked of: whom it names, else the work's decision authority, else who answers for it."""
    named = asked.from_ if asked is not None else None
    if named is None and work.definition is not None:
        named = work.definition.decision_authority
    if named is None:
        answers = work.answers(directory).person
        return (answers,) if answers is not None else ()
    successor = directory.successor(named)
    return directory.persons(named) or ((successor,) if successor is not None else ())


def _about(
    asked: DecisionRequested, amount: Money | None, at: datetime, directory: Directory
) -> Iterator[AuthorityLimit]:
    for id in sorted(directory.policies):
        policy = directory.policy_in_force(id, at)
        for limit in policy.rules.authority.limits if policy is not None and policy.rules.authority is not None else ():
            kind = not limit.activities or asked.activity in limit.activities
            same = limit.up_to is None or amount is None or limit.up_to.currency == amount.currency
            # A sum alone says nothing of decisions without one, unless they are of a kind that it names.
            if kind and same and (amount is not None or limit.activities):
                yield limit


def _holds(
    limit: AuthorityLimit, work: Work, asked: DecisionRequested, amount: Money | None, at: datetime
) -> bool:  # fmt: skip
    if limit.when is None:
        return True
    decision: dict[str, Any] = {
        "id": asked.decision_id,
        "question": asked.question,
        "activity": asked.activity,
        "amount": float(amount.amount) if amount is not None else None,
        "currency": amount.currency if amount is not None else None,
    }
    return expressions.evaluate(limit.when, {"work": of_work(work), "decision": decision, "at": at}).holds is True
