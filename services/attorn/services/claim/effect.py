"""Effects: what an execution does counts while its claim does, and a change is made once.

An execution may name the claim that it works under. When somebody has claimed the key anew since, or the claim is over,
what comes late of it is refused; what is reported all the same is a finding. So is a change that was made already.

An item is folded from its own stream alone, and claims are in others. So a stale fence is found, and keeps nothing out
of the item's state: what was made under it is there, and goes out only by the rules for everything that is made.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.contracts.output import OutputProduced
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.work.state import Work
from attorn.services.work.tables import Changes, Checks


def _check_action(work: Work, data: ExecutionActionRecorded, event: Event, directory: Directory) -> Sequence[Breach]:
    stale = _check_fence(work, data, event, directory)
    return (*stale, *_repeated(work, data)) if data.side_effect else stale


def _check_fence(
    work: Work, data: ExecutionActionRecorded | OutputProduced | WorkExecuted, event: Event, directory: Directory
) -> Sequence[Breach]:
    """Whether the claim under which the execution began is still the one that counts."""
    under = work.fences.get(data.execution_id or "")
    return _stale(*under, directory) if under is not None else ()


def _check_claim(work: Work, data: ExecutionStarted, event: Event, directory: Directory) -> Sequence[Breach]:
    id = data.claim_id
    if id is None:
        return ()
    stale = _stale(id, data.fence, directory)
    if stale or id in work.claims or directory.relations.knows(id):
        return stale
    # Of what is done under it nothing more is said: should the claim be reported yet, it may turn out to be in order.
    detail = f"there is no claim {id}; claim the key first, and start under that claim"
    return (Breach(rule="stale-fence", detail=detail, field="data.claim_id"),)


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


CHECKS: Final[Checks] = {
    ExecutionActionRecorded: _check_action,
    ExecutionStarted: _check_claim,
    OutputProduced: _check_fence,
    WorkExecuted: _check_fence,
}


def _begin(work: Work, data: ExecutionStarted, event: Event) -> Work:
    if data.claim_id is None or data.execution_id in work.life.executions:
        return work
    return msgspec.structs.replace(work, fences={**work.fences, data.execution_id: (data.claim_id, data.fence)})


def _act(work: Work, data: ExecutionActionRecorded, event: Event) -> Work:
    # Also of an execution that is over: what was changed out there is changed, and is not to be changed once more.
    change = _change(data) if data.side_effect else None
    return msgspec.structs.replace(work, changed={**work.changed, change: data.result}) if change is not None else work


def _change(action: ExecutionActionRecorded) -> str | None:
    """What is changed and how, as one word; None where the action does not say it."""
    if action.args_dig is not None:
        return f"{action.tool} {action.args_dig} {action.target or ''}"
    return f"{action.tool} {action.idempotency_key}" if action.idempotency_key is not None else None


CHANGES: Final[Changes] = {ExecutionStarted: _begin, ExecutionActionRecorded: _act}
