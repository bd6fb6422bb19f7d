"""Delegation: entrusting somebody with part of the work, within bounds, and taking it back."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.delegation import (
    AcceptDelegation,
    Budget,
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
from attorn.contracts.execution import (
    ExecutionActionRecorded,
    ExecutionInputRequired,
    ExecutionProgressed,
    ExecutionStarted,
    WorkExecuted,
)
from attorn.contracts.ids import Money
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.transact import Context
from attorn.services.work.state import Delegation, DelegationStatus, Execution, Work

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
_OVER: Final = frozenset({"declined", "revoked", "expired", "exhausted"})

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
            stands = known is not None and known.terms == granted and known.status not in _OVER
            return [] if stands else [granted]
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
            if held is None or held.status in _OVER:
                detail = f"delegation {id} is {_status(work, id)}; there is nothing to revoke"
                yield Breach(rule="delegation-open", detail=detail)
            elif by is not None and not _may_revoke(work, held, by, event.time, directory):
                detail = f"{by} neither granted {id} nor answers for {event.subject}"
                yield Breach(rule="delegation-open", detail=detail)
        case ExecutionStarted(executor=executor, delegation_id=id):
            yield from _check_start(work, executor, id, event, directory)
        case ExecutionProgressed(execution_id=id) | ExecutionInputRequired(execution_id=id):
            yield from _check_hand(work, id, event)
        case ExecutionActionRecorded(execution_id=id) as action:
            yield from _check_hand(work, id, event)
            running = work.executions.get(id)
            if running is not None and running.delegation_id is not None:
                yield from _check_action(work, running, action, event, directory)
            elif running is not None and directory.kind(running.executor) == "agent":
                yield _undelegated(running.executor, event)
        case WorkExecuted(execution_id=id) as done:
            yield from _check_hand(work, id, event)
            running = work.executions.get(id)
            if running is not None and done.result == "completed":
                yield from _check_result(work, running, done, event, directory)
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
    touched = {data.delegation_id}
    if status in ("revoked", "expired", "suspended"):
        # Whoever was entrusted by the delegate loses it at this same position.
        touched = _descendants(work, data.delegation_id)
    # What is over stays so, whatever news of it comes late: nobody gets a mandate back by an old acceptance.
    changed = {
        id: msgspec.structs.replace(work.delegations[id], status=status)
        for id in touched
        if work.delegations[id].status not in _OVER
    }
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
        state = _status(work, terms.delegation_id)
        detail = f"delegation {terms.delegation_id} exists already and is {state}; use a new id"
        yield Breach(rule="delegation-open", detail=detail, field="data.delegation_id")
    if not directory.is_here(terms.delegate):
        detail = f"{terms.delegate} is not registered or has left"
        yield Breach(rule="unregistered-actor", detail=detail, field="data.delegate")
    if terms.parent_id is None:
        if not directory.is_person(terms.delegator):
            detail = (
                f"{terms.delegator} is not a person who is here; name the delegation that is passed on as parent_id"
            )
            yield Breach(rule="delegation-chain", detail=detail, field="data.delegator")
        elif terms.delegator != work.executor and not work.has_authority(terms.delegator, directory, at):
            # Otherwise anybody could widen what an agent may do in work that is none of theirs.
            answers = work.answers(directory).person or "nobody"
            detail = f"{terms.delegator} neither carries it out nor has authority over it; {answers} answers for it"
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
    if parent.valid_from is not None and (child.valid_from is None or child.valid_from < parent.valid_from):
        yield f"valid before {parent.valid_from.isoformat()}"
    if AUTONOMY.index(child.autonomy) > AUTONOMY.index(parent.autonomy):
        yield f"autonomy {child.autonomy}, where it has {parent.autonomy}"
    for field in ("exclusions", "conditions", "escalate_when"):
        if not set(getattr(parent, field)) <= set(getattr(child, field)):
            yield f"without its {field.replace('_', ' ')}"
    if parent.max_uses is not None and (child.max_uses is None or child.max_uses > parent.max_uses):
        yield f"more than {parent.max_uses} uses"
    for field in ("tokens", "actions", "elapsed", "money"):
        most, asked = _limit(parent.budget, field), _limit(child.budget, field)
        if most is not None and (asked is None or asked[0] > most[0] or asked[1] != most[1]):
            yield f"a budget of more {field}"


def _limit(budget: Budget | None, field: str) -> tuple[Any, str] | None:
    """What may be spent at most, and the unit that makes two limits comparable; None when there is no limit."""
    most = getattr(budget, field) if budget is not None else None
    if isinstance(most, Money):
        return Decimal(most.amount), most.currency
    return (most, "") if most is not None else None


def _check_start(work: Work, executor: str, id: str | None, event: Event, directory: Directory) -> Iterator[Breach]:
    actor = event.authid or ""
    if event.authtype == "service_account" and actor != executor:
        detail = f"{actor} starts in the name of {executor}; an agent starts its own executions only"
        yield Breach(rule="undelegated-execution", detail=detail, field="data.executor")
    if id is None:
        if directory.kind(executor) == "agent" and work.mandate(executor, event.time) is None:
            yield _undelegated(executor, event)
        return
    held = work.delegations.get(id)
    if held is None or held.terms.delegate != executor:
        detail = f"{id} is no delegation of {event.subject} to {executor}"
        yield Breach(rule="undelegated-execution", detail=detail, field="data.delegation_id")
    else:
        yield from _check_live(held, event, directory)


def _undelegated(executor: str, event: Event) -> Breach:
    detail = f"{executor} is an agent and has no live delegation for {event.subject}; a person delegates it first"
    return Breach(rule="undelegated-execution", detail=detail, field="data.delegation_id")


def _check_hand(work: Work, execution: str, event: Event) -> Iterator[Breach]:
    """An agent speaks for its own executions only; a person may report what anybody did."""
    running, actor = work.executions.get(execution), event.authid or ""
    if running is not None and event.authtype == "service_account" and actor != running.executor:
        detail = f"execution {execution} is carried out by {running.executor}; {actor} has no part in it"
        yield Breach(rule="undelegated-execution", detail=detail, field="data.execution_id")


def _check_live(held: Delegation, event: Event, directory: Directory) -> Iterator[Breach]:
    terms = held.terms
    if not held.is_live(event.time):
        since = f" from {terms.valid_from.isoformat()}" if terms.valid_from is not None else ""
        until = f" until {terms.valid_until.isoformat()}" if terms.valid_until is not None else ""
        valid = f" and valid{since}{until}" if since or until else ""
        detail = f"delegation {terms.delegation_id} is {held.status}{valid}: not live at {event.time.isoformat()}"
        yield Breach(rule="delegation-violated", detail=detail)
    if directory.is_suspended(terms.delegate):
        detail = f"{terms.delegate} is suspended; what it was entrusted with rests until it is resumed"
        yield Breach(rule="delegation-violated", detail=detail)


def _check_action(
    work: Work, running: Execution, action: ExecutionActionRecorded, event: Event, directory: Directory
) -> Iterator[Breach]:
    """An action is within the delegation that it is done under, and within all that this one descends from."""
    for held in work.lineage(running.delegation_id or ""):
        yield from _check_live(held, event, directory)
        yield from _check_bounds(held.terms, action)


def _check_bounds(terms: WorkDelegated, action: ExecutionActionRecorded) -> Iterator[Breach]:
    id = terms.delegation_id
    if terms.activities and action.tool not in terms.activities:
        detail = f"{action.tool} is not among the activities of {id}: {', '.join(terms.activities)}"
        yield Breach(rule="delegation-violated", detail=detail, field="data.tool")
    for field, named in (("data.tool", action.tool), ("data.target", action.target)):
        if named and _matches(named, terms.exclusions):
            yield Breach(rule="delegation-violated", detail=f"{named} is excluded by {id}", field=field)
    if terms.resource_keys and action.target and not _matches(action.target, terms.resource_keys):
        detail = f"{action.target} is not among the resources of {id}: {', '.join(terms.resource_keys)}"
        yield Breach(rule="delegation-violated", detail=detail, field="data.target")
    if terms.resource_keys and action.side_effect and not action.target:
        detail = f"{action.tool} changes something and does not say what; {id} is for {', '.join(terms.resource_keys)}"
        yield Breach(rule="delegation-violated", detail=detail, field="data.target")
    if terms.autonomy == "suggest" and action.side_effect:
        detail = f"{action.tool} changes something; {id} allows suggestions only"
        yield Breach(rule="delegation-violated", detail=detail, field="data.side_effect")


def _check_result(
    work: Work, running: Execution, done: WorkExecuted, event: Event, directory: Directory
) -> Iterator[Breach]:
    """Who hands in a result may do so still, and hands in everything that was expected."""
    if running.delegation_id is None:
        if directory.kind(running.executor) == "agent" and work.mandate(running.executor, event.time) is None:
            yield _undelegated(running.executor, event)
        return
    chain = work.lineage(running.delegation_id)
    for held in chain:
        yield from _check_live(held, event, directory)
    names = {output.name for output in done.outputs} | {output.output_id for output in done.outputs}
    for expected in chain[0].terms.expected_outputs if chain else ():
        if expected.required and expected.name not in names:
            detail = f"delegation {running.delegation_id} expects the output {expected.name!r}"
            yield Breach(rule="delegation-violated", detail=detail, field="data.outputs")


def _may_revoke(work: Work, held: Delegation, by: str, at: datetime, directory: Directory) -> bool:
    """Who granted it, or whatever it descends from, and who has authority over the work."""
    granted = {d.terms.delegator for d in work.lineage(held.terms.delegation_id)}
    return by in granted or work.has_authority(by, directory, at)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether `name` is one of `patterns`, in which `*` stands for anything."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
