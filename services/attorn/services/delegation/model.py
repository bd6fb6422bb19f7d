"""Delegation: entrusting somebody with part of the work, within bounds, and taking it back."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

import msgspec

from attorn.contracts.delegation import (
    AcceptDelegation,
    DeclineDelegation,
    DelegateWork,
    DelegationAccepted,
    DelegationDeclined,
    DelegationExhausted,
    DelegationExpired,
    DelegationNarrowed,
    DelegationRevoked,
    DelegationSuspended,
    RevokeDelegation,
    WorkDelegated,
)
from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.transact import Context
from attorn.services.work.state import Delegation, DelegationStatus, Work

DelegationCommand: TypeAlias = DelegateWork | AcceptDelegation | DeclineDelegation | RevokeDelegation

AUTONOMY: Final = ("suggest", "act_with_approval", "act_then_review", "act")

_ENDS: Final[dict[type, DelegationStatus]] = {
    DelegationAccepted: "accepted",
    DelegationDeclined: "declined",
    DelegationSuspended: "suspended",
    DelegationRevoked: "revoked",
    DelegationExpired: "expired",
    DelegationExhausted: "exhausted",
}

initial = Work()


def decide(work: Work, command: DelegationCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case DelegateWork(delegation_id=asked):
            id = asked or context.new_id
            said = {
                n: getattr(command, n)
                for n in WorkDelegated.__struct_fields__
                if n not in ("delegation_id", "delegator")
            }
            if said["process_version"] is None and work.process is not None:
                said["process_version"] = work.process.version
            granted = WorkDelegated(delegation_id=id, delegator=context.actor, **said)
            known = work.delegations.get(id)
            return [] if known is not None and known.terms == granted else [granted]
        case AcceptDelegation(delegation_id=id, reason=reason):
            accepted = DelegationAccepted(delegation_id=id, by=context.actor, reason=reason)
            return [] if _status(work, id) == "accepted" else [accepted]
        case DeclineDelegation(delegation_id=id, reason=reason):
            declined = DelegationDeclined(delegation_id=id, by=context.actor, reason=reason)
            return [] if _status(work, id) == "declined" else [declined]
        case RevokeDelegation(delegation_id=id, reason=reason):
            revoked = DelegationRevoked(delegation_id=id, by=context.actor, reason=reason)
            return [] if _status(work, id) == "revoked" else [revoked]


def check(work: Work, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which bounds `event` oversteps, and which rule of delegating it breaks."""
    match event.data:
        case WorkDelegated() as terms:
            yield from _check_grant(work, terms, event.time, directory)
        case DelegationAccepted(delegation_id=id, by=by) | DelegationDeclined(delegation_id=id, by=by):
            held = work.delegations.get(id)
            if held is None or held.status != "granted":
                yield Breach(rule="delegation-open", detail=f"delegation {id} is {_status(work, id)}, not granted")
            elif by is not None and by != held.terms.delegate:
                yield Breach(rule="delegation-open", detail=f"{id} is for {held.terms.delegate} to take on, not {by}")
        case DelegationRevoked(delegation_id=id, by=by):
            held = work.delegations.get(id)
            if held is None or held.status in ("declined", "revoked", "expired", "exhausted"):
                yield Breach(
                    rule="delegation-open", detail=f"delegation {id} is {_status(work, id)}; nothing to revoke"
                )
            elif by is not None and by not in (held.terms.delegator, work.answers(directory).person):
                detail = f"{by} neither granted {id} nor answers for {event.subject}"
                yield Breach(rule="delegation-open", detail=detail)
        case ExecutionStarted(executor=executor, delegation_id=id):
            yield from _check_start(work, executor, id, event, directory)
        case ExecutionActionRecorded() as action:
            running = work.executions.get(action.execution_id)
            if running is not None and running.delegation_id is not None:
                yield from _check_action(work, running.delegation_id, action, event.time)
        case WorkExecuted(execution_id=id, result="completed") as done:
            running = work.executions.get(id)
            held = work.delegations.get(running.delegation_id or "") if running is not None else None
            names = {output.name or output.output_id for output in done.outputs} | {o.output_id for o in done.outputs}
            for expected in held.terms.expected_outputs if held is not None else ():
                if expected.required and expected.name not in names:
                    detail = f"delegation {held.terms.delegation_id} expects the output {expected.name!r}"  # type: ignore[union-attr]
                    yield Breach(rule="delegation-violated", detail=detail, field="data.outputs")
        case _:
            pass


def evolve(work: Work, event: Event) -> Work:
    """What is true of the work's delegations afterwards."""
    data = event.data
    if isinstance(data, WorkDelegated):
        if data.delegation_id in work.delegations:
            return work
        return msgspec.structs.replace(work, delegations={**work.delegations, data.delegation_id: Delegation(data)})
    if isinstance(data, DelegationNarrowed):
        held = work.delegations.get(data.delegation_id)
        if held is None:
            return work
        bounds = ("activities", "resource_keys", "budget", "valid_until", "max_uses", "autonomy")
        said = {name: getattr(data, name) for name in bounds if getattr(data, name) is not None}
        narrowed = msgspec.structs.replace(held, terms=msgspec.structs.replace(held.terms, **said))
        return msgspec.structs.replace(work, delegations={**work.delegations, data.delegation_id: narrowed})
    status = _ENDS.get(type(data))
    if status is None or data.delegation_id not in work.delegations:
        return work
    ended = {data.delegation_id}
    if status in ("revoked", "expired", "suspended"):
        # Whoever was entrusted by the delegate loses it at this same position.
        ended = _descendants(work, data.delegation_id)
    changed = {id: msgspec.structs.replace(work.delegations[id], status=status) for id in ended}
    return msgspec.structs.replace(work, delegations={**work.delegations, **changed})


def _status(work: Work, id: str) -> str:
    held = work.delegations.get(id)
    return held.status if held is not None else "unknown"


def _descendants(work: Work, id: str) -> set[str]:
    found, grown = {id}, True
    while grown:
        more = {d for d, held in work.delegations.items() if held.terms.parent_id in found} - found
        found |= more
        grown = bool(more)
    return found


def _check_grant(work: Work, terms: WorkDelegated, at: datetime, directory: Directory) -> Iterator[Breach]:
    if terms.delegation_id in work.delegations:
        yield Breach(rule="delegation-open", detail=f"delegation {terms.delegation_id} exists already")
    if not directory.is_here(terms.delegate):
        yield Breach(rule="unregistered-actor", detail=f"{terms.delegate} is not registered", field="data.delegate")
    if terms.parent_id is None:
        if not directory.is_person(terms.delegator):
            detail = (
                f"{terms.delegator} is not a person; a delegation of theirs names the one it comes from (parent_id)"
            )
            yield Breach(rule="delegation-chain", detail=detail, field="data.delegator")
        return
    parent = work.delegations.get(terms.parent_id)
    if parent is None or not parent.is_live(at) or parent.terms.delegate != terms.delegator:
        detail = f"{terms.delegator} has no live delegation {terms.parent_id} to pass on"
        yield Breach(rule="delegation-chain", detail=detail, field="data.parent_id")
    else:
        for excess in _excess(terms, parent.terms):
            yield Breach(rule="delegation-chain", detail=f"beyond {terms.parent_id}: {excess}")


def _excess(child: WorkDelegated, parent: WorkDelegated) -> Iterator[str]:
    """In what the child allows more than its parent."""
    if not parent.may_subdelegate or parent.max_depth < 1:
        yield "it may not be passed on"
    elif child.max_depth >= parent.max_depth:
        yield f"it may be passed on {parent.max_depth - 1} more times, not {child.max_depth}"
    if parent.activities and not (child.activities and set(child.activities) <= set(parent.activities)):
        yield f"activities other than {', '.join(parent.activities)}"
    if parent.resource_keys and not (
        child.resource_keys and all(_matches(key, parent.resource_keys) for key in child.resource_keys)
    ):
        yield f"resources other than {', '.join(parent.resource_keys)}"
    if parent.valid_until is not None and (child.valid_until is None or child.valid_until > parent.valid_until):
        yield f"valid after {parent.valid_until.isoformat()}"
    if AUTONOMY.index(child.autonomy) > AUTONOMY.index(parent.autonomy):
        yield f"autonomy {child.autonomy}, where it has {parent.autonomy}"


def _check_start(work: Work, executor: str, id: str | None, event: Event, directory: Directory) -> Iterator[Breach]:
    if id is None:
        if directory.kind(executor) == "agent" and work.mandate(executor, event.time) is None:
            detail = f"{executor} is an agent and has no live delegation for {event.subject}"
            yield Breach(rule="undelegated-execution", detail=detail, field="data.delegation_id")
        return
    held = work.delegations.get(id)
    if held is None or held.terms.delegate != executor:
        yield Breach(
            rule="undelegated-execution", detail=f"{id} is no delegation to {executor}", field="data.delegation_id"
        )
    elif not held.is_live(event.time):
        until = f", valid until {held.terms.valid_until.isoformat()}" if held.terms.valid_until else ""
        yield Breach(rule="delegation-violated", detail=f"delegation {id} is {held.status}{until}: not live")


def _check_action(work: Work, id: str, action: ExecutionActionRecorded, at: datetime) -> Iterator[Breach]:
    held = work.delegations.get(id)
    if held is None:
        return
    terms = held.terms
    if not held.is_live(at):
        yield Breach(
            rule="delegation-violated", detail=f"delegation {id} is {held.status} or over; {action.tool} came after"
        )
    if terms.activities and action.tool not in terms.activities:
        detail = f"{action.tool} is not among the activities of {id}: {', '.join(terms.activities)}"
        yield Breach(rule="delegation-violated", detail=detail, field="data.tool")
    for named in (action.tool, action.target):
        if named and _matches(named, terms.exclusions):
            yield Breach(rule="delegation-violated", detail=f"{named} is excluded by {id}", field="data.target")
    if action.target and terms.resource_keys and not _matches(action.target, terms.resource_keys):
        detail = f"{action.target} is not among the resources of {id}: {', '.join(terms.resource_keys)}"
        yield Breach(rule="delegation-violated", detail=detail, field="data.target")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether `name` is one of `patterns`, in which `*` stands for anything."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
