"""What is used up under delegations: counted on every one that what is done descends from, up to their limits."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from attorn.contracts.delegation import DelegationExhausted
from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.projections.bounds import LIMITS, limit
from attorn.services.work.state import Delegation, Execution, Spent, Work


def charge(work: Work, data: Any, at: datetime) -> Work:
    """The work with what `data` uses up counted on the delegations that it is done under."""
    spend = _SPENDING.get(type(data))
    return spend(work, data, at) if spend is not None else work


def _act(work: Work, action: ExecutionActionRecorded, at: datetime) -> Work:
    running = _running(work, action.execution_id)
    return _spend(work, running.delegation_id, actions=1) if running is not None else work


def _begin(work: Work, started: ExecutionStarted, at: datetime) -> Work:
    return _spend(work, _entered(work, started, at), uses=1) if started.execution_id not in work.executions else work


def _end(work: Work, done: WorkExecuted, at: datetime) -> Work:
    running, cost = _running(work, done.execution_id), done.cost
    if running is None:
        return work
    tokens = (cost.tokens_in or 0) + (cost.tokens_out or 0) if cost is not None else 0
    money = cost.money if cost is not None else None
    paid = {money.currency: Decimal(money.amount)} if money is not None else None
    return _spend(work, running.delegation_id, tokens=tokens, money=paid, elapsed=_since(running, at))


_SPENDING: Final[Mapping[type, Callable[[Work, Any, datetime], Work]]] = {
    ExecutionActionRecorded: _act,
    ExecutionStarted: _begin,
    WorkExecuted: _end,
}


def _entered(work: Work, started: ExecutionStarted, at: datetime) -> str | None:
    """The delegation that an execution is begun under."""
    held = work.mandate(started.executor, at) if started.delegation_id is None else None
    return held.terms.delegation_id if held is not None else started.delegation_id


def exhausted(work: Work, delegation: str | None, at: datetime, but: str = "") -> Iterator[DelegationExhausted]:
    """What follows when a limit is reached, of a delegation or of any that it descends from.

    `work` is as it is with the spending; `but` is an execution that ends now.
    """
    for held in work.lineage(delegation or ""):
        reached = list(reaches(work, held, at, but))
        if reached and held.status in ("granted", "accepted"):
            yield DelegationExhausted(delegation_id=held.terms.delegation_id, reason="; ".join(reached))


def reaches(work: Work, held: Delegation, at: datetime, but: str = "") -> Iterator[str]:
    """The limits that are reached, as `25 of 25 actions`. The last use is over when its execution is."""
    for name, spent, most in _measured(work, held, at, but):
        if spent >= most:
            yield _said(name, spent, most)
    most_uses, uses = held.terms.max_uses, held.spent.uses
    if most_uses is not None and uses >= most_uses and not list(_under(work, held, but)):
        yield _said("uses", uses, most_uses)


def overdrawn(work: Work, held: Delegation, at: datetime) -> Iterator[str]:
    """The limits that are passed, as `26 of 25 actions`."""
    for name, spent, most in _measured(work, held, at):
        if spent > most:
            yield _said(name, spent, most)
    money = held.terms.budget.money if held.terms.budget is not None else None
    for currency in sorted(held.spent.money.keys() - ({money.currency} if money is not None else held.spent.money)):
        yield f"money in {currency}, where the budget is in {money.currency if money is not None else 'none'}"
    if held.terms.max_uses is not None and held.spent.uses > held.terms.max_uses:
        yield _said("uses", held.spent.uses, held.terms.max_uses)


def spent_facts(work: Work, held: Delegation, at: datetime) -> dict[str, Any]:
    """What conditions may ask about spending: what is spent and what is left of each limit, None where none is set."""
    money = held.terms.budget.money if held.terms.budget is not None else None
    spent: dict[str, Any] = {
        "actions": held.spent.actions,
        "tokens": held.spent.tokens,
        "amount": float(held.spent.money.get(money.currency, 0)) if money is not None else None,
        "elapsed": _together(held.spent.elapsed, *(_since(r, at) for r in _under(work, held))),
    }
    left = dict[str, Any].fromkeys(spent)
    for name, used, most in _measured(work, held, at):
        left["amount" if name == "money" else name] = float(most - used) if name == "money" else most - used
    return {"spent": spent, "left": left}


def _spend(
    work: Work, delegation: str | None, *, uses: int = 0, actions: int = 0, tokens: int = 0,
    money: Mapping[str, Decimal] | None = None, elapsed: timedelta = timedelta(),
) -> Work:  # fmt: skip
    chain = work.lineage(delegation) if delegation is not None else ()
    if not chain:
        return work
    delegations = {**work.delegations}
    for held in chain:
        before = held.spent
        paid = {c: before.money.get(c, Decimal()) + amount for c, amount in money.items()} if money else {}
        spent = Spent(
            uses=before.uses + uses,
            actions=before.actions + actions,
            tokens=before.tokens + tokens,
            money={**before.money, **paid} if paid else before.money,
            elapsed=_together(before.elapsed, elapsed) if elapsed else before.elapsed,
        )
        delegations[held.terms.delegation_id] = msgspec.structs.replace(held, spent=spent)
    return msgspec.structs.replace(work, delegations=delegations)


def _measured(work: Work, held: Delegation, at: datetime, but: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each limit of a budget with what is spent of it and how much that may be."""
    for name in LIMITS:
        found = limit(held.terms.budget, name)
        if found is None:
            continue
        most, currency = found
        match name:
            case "money":
                spent: Any = held.spent.money.get(currency, Decimal())
            case "elapsed":
                spent = _together(held.spent.elapsed, *(_since(r, at) for r in _under(work, held, but)))
            case "tokens":
                spent = held.spent.tokens
            case _:
                spent = held.spent.actions
        yield name, spent, most


def _under(work: Work, held: Delegation, but: str = "") -> Iterator[Execution]:
    """The executions that run under a delegation, or under one that descends from it."""
    for id, running in work.executions.items():
        if id != but and running.ended is None and held.terms.delegation_id in _chain(work, running):
            yield running


def _chain(work: Work, running: Execution) -> set[str]:
    return {held.terms.delegation_id for held in work.lineage(running.delegation_id or "")}


def _running(work: Work, id: str) -> Execution | None:
    found = work.executions.get(id)
    return found if found is not None and found.ended is None else None


def _since(running: Execution, at: datetime) -> timedelta:
    return max(at - running.started_at, timedelta()) if running.started_at is not None else timedelta()


def _together(*times: timedelta) -> timedelta:
    """Their sum; the longest time that there is for what is longer, as what is reported may say."""
    try:
        return sum(times, timedelta())
    except OverflowError:
        return timedelta.max


def _said(name: str, spent: Any, most: Any) -> str:
    return f"{spent} of {most} {name}"
