"""Effects: what an execution does counts while its claim does, and a change is made once.

An execution may name the claim that it works under. When somebody has claimed the key anew since, or the claim is over,
what comes late of it is refused; what is reported all the same is a finding. So is a change that was made already.
"""

from collections.abc import Iterator

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.contracts.output import OutputProduced
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.work.state import Work


def check(work: Work, event: Event, directory: Directory) -> Iterator[Breach]:
    """Whether what is done still counts, and was not done before."""
    match event.data:
        case ExecutionStarted(claim_id=str(claim), fence=fence):
            yield from _check_fence(claim, fence, directory)
        case ExecutionActionRecorded(execution_id=id) as action:
            if id in work.fences:
                yield from _check_fence(*work.fences[id], directory)
            if action.side_effect:
                yield from _check_once(work, action)
        case OutputProduced(execution_id=str(id)) | WorkExecuted(execution_id=id):
            if id in work.fences:
                yield from _check_fence(*work.fences[id], directory)
        case _:
            pass


def evolve(work: Work, event: Event) -> Work:
    """Which claims the executions stand under, and what has been changed."""
    match event.data:
        case ExecutionStarted(execution_id=id, claim_id=str(claim), fence=fence):
            return msgspec.structs.replace(work, fences={**work.fences, id: (claim, fence)})
        case ExecutionActionRecorded(side_effect=True) as action if (change := _change(action)) is not None:
            return msgspec.structs.replace(work, changed={**work.changed, change: action.result})
        case _:
            return work


def _check_fence(claim: str, fence: int | None, directory: Directory) -> Iterator[Breach]:
    stale = directory.relations.stale(claim, fence)
    if stale is not None:
        yield Breach(rule="stale-fence", detail=f"{stale}; claim it anew, and start again under that claim")


def _check_once(work: Work, action: ExecutionActionRecorded) -> Iterator[Breach]:
    change = _change(action)
    before = work.changed.get(change) if change is not None else None
    if before == "succeeded":
        detail = f"{action.tool} was done with the same arguments before, and succeeded"
        yield Breach(rule="duplicate-effort", detail=detail, field="data.args_dig")
    elif before == "failed" and action.idempotency_key is None:
        # Nobody knows how much of it was done; with a key of its own, whoever receives it does.
        detail = f"{action.tool} failed with the same arguments before; change them, or give an idempotency key"
        yield Breach(rule="duplicate-effort", detail=detail, field="data.args_dig")


def _change(action: ExecutionActionRecorded) -> str | None:
    """What is changed and how, as one word; None where the action does not say it."""
    if action.args_dig is not None:
        return f"{action.tool} {action.args_dig} {action.target or ''}"
    return f"{action.tool} {action.idempotency_key}" if action.idempotency_key is not None else None
