"""What follows, in the same append, from what was done under a delegation: it is spent, or somebody has to be asked."""

from collections.abc import Iterator

import msgspec

from attorn.contracts.escalation import EscalationContext, EscalationReason
from attorn.contracts.execution import ExecutionActionRecorded, WorkExecuted
from attorn.services.delegation import budget, occasion
from attorn.services.escalation.model import raised
from attorn.services.transact import Context
from attorn.services.work.state import Work


def of(work: Work, data: ExecutionActionRecorded | WorkExecuted, context: Context) -> Iterator[msgspec.Struct]:
    """The events that follow from `data`, of which the rules have not said that it may not be."""
    running = work.executions.get(data.execution_id)
    if running is None or running.ended is not None:
        return
    charged, ends = budget.charge(work, data, context.at), isinstance(data, WorkExecuted)
    yield from budget.exhausted(charged, running.delegation_id, context.at, data.execution_id if ends else "")
    for unmet in occasion.unmet(work, data, context.at):
        if unmet.condition.on_violation == "escalate":
            # With room for the number of the time that it is asked, within what an id may be.
            id = f"{unmet.delegation[:28]}-{unmet.condition.id[:28]}"
            yield from _asked(work, data, context, id, "policy_required", unmet.why, blocking=False)
    for due in occasion.due(work, data, context.at):
        yield from _asked(work, data, context, due.id, due.reason, due.why, blocking=True)


def _asked(
    work: Work,
    data: ExecutionActionRecorded | WorkExecuted,
    context: Context,
    id: str,
    reason: EscalationReason,
    why: str,
    *,
    blocking: bool,
) -> Iterator[msgspec.Struct]:
    """Raise it, unless the same is being asked already."""
    earlier = [known for name, known in work.escalations.items() if name == id or name.startswith(f"{id}--")]
    # What halts nothing does not stand for what does: whoever had to be halted could have raised it themselves.
    if any(known.is_open and (known.raised.blocking or not blocking) for known in earlier):
        return
    what = f"{data.tool} was done" if isinstance(data, ExecutionActionRecorded) else f"the result is {data.result}"
    situation = EscalationContext(
        summary=f"In execution {data.execution_id} {what}, and {why}",
        question="May the work go on as it is?",
    )
    name = f"{id}--{len(earlier) + 1}" if earlier else id
    yield from raised(work, context, id=name, reason=reason, situation=situation, blocking=blocking)
