"""What conditions are held against: what is known when an execution starts, at an action, and at its result."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from attorn.contracts.delegation import Condition
from attorn.contracts.escalation import EscalationReason
from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.contracts.ids import Money
from attorn.contracts.output import Output
from attorn.services import expressions
from attorn.services.delegation import budget
from attorn.services.work.state import Delegation, Execution, Work

Facts = dict[str, Any]


class Unmet(NamedTuple):
    """A condition that does not hold, of which delegation, and why."""

    condition: Condition
    delegation: str
    why: str


class Due(NamedTuple):
    """What a delegation said to ask about, by the `id` under which it is asked, and for which reason."""

    expression: str
    delegation: str
    id: str
    reason: EscalationReason
    why: str


def unmet(work: Work, data: Any, at: datetime) -> Iterator[Unmet]:
    """The conditions that `data` does not meet; one that cannot be evaluated is not met.

    A result without which the work ends has met them all: there is nothing that could be good enough.
    """
    if _fails(data):
        return
    seen: set[Condition] = set()
    for held, occasions in _occasions(work, data, at):
        # A child carries its parent's conditions; each is held against what is known once.
        for condition in (c for c in held.terms.conditions if c not in seen):
            seen.add(condition)
            found = _answered(condition.expr, occasions, wanted=False)
            if found is not None:
                yield Unmet(condition, held.terms.delegation_id, found.missing or found.why)


def due(work: Work, data: Any, at: datetime, *, counted: bool = False) -> Iterator[Due]:
    """What has to be asked because of `data`; where that cannot be told, it is asked.

    Of a result that failed nobody has to say how sure they are of it: what is missing is not low.

    `counted`: what it uses up is counted in `work` already.
    """
    seen: set[str] = set()
    for held, occasions in _occasions(work, data, at, counted):
        for expression in (e for e in held.terms.escalate_when if e not in seen):
            seen.add(expression)
            found = _answered(expression, occasions, wanted=True)
            if found is None or (found.unknown and _fails(data) and _CONFIDENCE.issuperset(found.unknown)):
                continue
            digest = hashlib.sha256(expression.encode()).hexdigest()[:8]
            id = f"{held.terms.delegation_id[:48]}-{digest}"
            reason = _reason(expression) if not found.unknown else "policy_required"
            yield Due(expression, held.terms.delegation_id, id, reason, found.why)


def applies_somewhere(expression: str) -> bool:
    """Whether there is any occasion on which all that a condition speaks of is known."""
    common = {"work", "delegation", "execution", "at"}
    return any(expressions.applies(expression, common | more) for more in (set(), {"action"}, {"result", "output"}))


def of_work(work: Work) -> Facts:
    """What conditions may know of a work item."""
    defined, life = work.definition, work.life
    process = work.process
    return {
        "title": defined.title if defined is not None else None,
        "state": life.state,
        "cycle": life.cycle,
        "priority": defined.priority if defined is not None else None,
        "risk_tier": defined.risk_tier if defined is not None else None,
        "recoverable": defined.recoverable if defined is not None else None,
        "trigger": defined.trigger if defined is not None else None,
        "process": process.id if process is not None else None,
        "process_version": process.version if process is not None else None,
        "accountable": work.named,
    }


def of_output(output: Output, confidence: float | None = None) -> Facts:
    """What conditions may know of an output; `confidence` is how sure its maker is of the result that it is part of."""
    return {
        "id": output.output_id,
        "name": output.name,
        "media_type": output.media_type,
        "contribution": output.contribution,
        "supersedes": output.supersedes,
        "confidence": confidence,
    }


def _occasions(
    work: Work, data: Any, at: datetime, counted: bool = False
) -> Iterator[tuple[Delegation, Sequence[Facts]]]:
    """Each delegation that `data` is done under, with what is known: once, and once more with each output.

    Spending is as it is with this.
    """
    match data:
        case ExecutionStarted(execution_id=id, executor=executor, delegation_id=delegation):
            held = work.delegations.get(delegation) if delegation is not None else work.mandate(executor, at)
            running = Execution(executor, held.terms.delegation_id if held is not None else None, None, data, at)
        case ExecutionActionRecorded(execution_id=id) | WorkExecuted(execution_id=id) if id in work.executions:
            running = work.executions[id]
        case _:
            return
    chain = work.lineage(running.delegation_id or "")
    if not any(held.terms.conditions or held.terms.escalate_when for held in chain):
        return
    more: list[Facts] = [{}]
    if isinstance(data, ExecutionActionRecorded):
        more = [{"action": _of_action(data)}]
    elif isinstance(data, WorkExecuted):
        result = _of_result(data)
        more = [{"result": result}]
        more += [{"result": result, "output": of_output(output, data.confidence)} for output in data.outputs]
    charged = work if counted else budget.charge(work, data, at)
    known = {"work": of_work(work), "execution": _of_execution(id, running), "at": at}
    for depth, held in enumerate(charged.lineage(running.delegation_id or "")):
        facts = known | {"delegation": _of_delegation(charged, held, len(chain) - depth, at)}
        yield held, [facts | each for each in more]


class _Answer(NamedTuple):
    """Why an expression counts as holding, or as not; where that could not be told for what is unknown, which it is."""

    why: str
    missing: str = ""
    unknown: tuple[str, ...] = ()


_CONFIDENCE: Final = frozenset({"result.confidence", "output.confidence"})


def _fails(data: Any) -> bool:
    return isinstance(data, WorkExecuted) and data.result != "completed"


def _answered(expression: str, occasions: Sequence[Facts], *, wanted: bool) -> _Answer | None:
    """Why the expression counts as `wanted` on one of the occasions that it is about; None when it does on none."""
    # What speaks of outputs is held against each; all else is known before any is looked at.
    about_outputs = "output" in expressions.compiled(expression).variables
    for facts in occasions if about_outputs else occasions[:1]:
        if not expressions.applies(expression, facts):
            continue
        holds, why = expressions.evaluate(expression, facts)
        if holds is None:
            unknown = expressions.unknown(expression, facts)
            return (
                _Answer(f"{expression} cannot be told: {why}", why, unknown)
                if unknown
                else _Answer(f"{expression} {why}")
            )
        if holds is wanted:
            return _Answer(f"{expression} {'holds' if wanted else 'does not hold'}")
    return None


def _reason(expression: str) -> EscalationReason:
    if "confidence" in expression:
        return "low_confidence"
    spending = ("delegation.spent", "delegation.left", "delegation.uses", "delegation.exhausted")
    return "budget_exhausted" if any(word in expression for word in spending) else "policy_required"


def _of_delegation(work: Work, held: Delegation, depth: int, at: datetime) -> Facts:
    terms = held.terms
    return {
        "id": terms.delegation_id,
        "delegator": terms.delegator,
        "delegate": terms.delegate,
        "depth": depth,
        "autonomy": terms.autonomy,
        "valid_until": terms.valid_until,
        "uses": held.spent.uses,
        "uses_left": terms.max_uses - held.spent.uses if terms.max_uses is not None else None,
        "exhausted": any(budget.reaches(work, held, at)),
        **budget.spent_facts(work, held, at),
    }


def _of_execution(id: str, running: Execution) -> Facts:
    started = running.started
    return {
        "id": id,
        "executor": running.executor,
        "started_at": running.started_at,
        "attempt": started.attempt if started is not None else None,
        "step_id": started.step_id if started is not None else None,
        "process_version": started.process_version if started is not None else None,
        "instructions_dig": started.instructions_dig if started is not None else None,
        "agent_version": started.agent_version if started is not None else None,
    }


def _of_action(action: ExecutionActionRecorded) -> Facts:
    return {
        "tool": action.tool,
        "target": action.target,
        "side_effect": action.side_effect,
        "args_dig": action.args_dig,
        "idempotency_key": action.idempotency_key,
        "result": action.result,
        "error_class": action.error_class,
        "assist": action.assist,
        **_of_money(action.amount),
    }


def _of_result(done: WorkExecuted) -> Facts:
    cost = done.cost
    return {
        "result": done.result,
        "confidence": done.confidence,
        "error_class": done.error_class,
        "retryable": done.retryable,
        "outputs": len(done.outputs),
        "tokens": (cost.tokens_in or 0) + (cost.tokens_out or 0) if cost is not None else None,
        "human_seconds": cost.human_seconds if cost is not None else None,
        **_of_money(cost.money if cost is not None else None),
    }


def _of_money(money: Money | None) -> Facts:
    # A fraction is near enough to compare with; what is spent is counted in decimals.
    return {
        "amount": float(money.amount) if money is not None else None,
        "currency": money.currency if money is not None else None,
    }
