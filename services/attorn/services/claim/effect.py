"""Effects: what an execution does counts while its claim does, and a change is made once.

An execution may name the claim that it works under. When somebody has claimed the key anew since, or the claim is over,
what comes late of it is refused; what is reported all the same is a finding. So is a change that was made already.
"""

from collections.abc import Sequence

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.contracts.output import OutputProduced
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.work.state import Work


def check(work: Work, event: Event, directory: Directory) -> Sequence[Breach]:
    """Whether what is done still counts, and was not done before."""
    match event.data:
        case ExecutionActionRecorded(execution_id=id) as action:
            stale = _stale(*work.fences[id], directory) if id in work.fences else ()
            return (*stale, *_repeated(work, action)) if action.side_effect else stale
        case ExecutionStarted(claim_id=str(claim), fence=fence):
            return _stale(claim, fence, directory)
        case OutputProduced(execution_id=str(id)) | WorkExecuted(execution_id=id) if id in work.fences:
            return _stale(*work.fences[id], directory)
        case _:
            return ()


def evolve(work: Work, event: Event) -> Work:
    """Which claims the executions stand under, and what has been changed."""
    match event.data:
        case ExecutionStarted(execution_id=id, claim_id=str(claim), fence=fence) if id not in work.life.executions:
            return msgspec.structs.replace(work, fences={**work.fences, id: (claim, fence)})
        case ExecutionActionRecorded(side_effect=True) as action if (change := _change(action)) is not None:
            return msgspec.structs.replace(work, changed={**work.changed, change: action.result})
        case _:
            return work


def _stale(claim: str, fence: int | None, directory: Directory) -> Sequence[Breach]:
    why = directory.relations.stale(claim, fence)
    if why is None:
        return ()
    return (Breach(rule="stale-fence", detail=f"{why}; claim it anew, and start again under that claim"),)


def _repeated(work: Work, action: ExecutionActionRecorded) -> Sequence[Breach]:
    change = _change(action)
    before = work.changed.get(change) if change is not None else None
    if before == "succeeded":
        detail = f"{action.tool} was done with the same arguments before, and succeeded"
    elif before == "failed" and action.idempotency_key is None:
        # Nobody knows how much of it was done; with a key of its own, whoever receives it does.
        detail = f"{action.tool} failed with the same arguments before; change them, or give an idempotency key"
    else:
        return ()
    return (Breach(rule="duplicate-effort", detail=detail, field="data.args_dig"),)


def _change(action: ExecutionActionRecorded) -> str | None:
    """What is changed and how, as one word; None where the action does not say it."""
    if action.args_dig is not None:
        return f"{action.tool} {action.args_dig} {action.target or ''}"
    return f"{action.tool} {action.idempotency_key}" if action.idempotency_key is not None else None
