"""Delegation: entrusting somebody with part of the work, within bounds, and taking it back."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
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
    DelegationResumed,
    DelegationRevoked,
    DelegationSuspended,
    ExpireDelegation,
    NarrowDelegation,
    ResumeDelegation,
    RevokeDelegation,
    SuspendDelegation,
    WorkDelegated,
)
from attorn.contracts.envelope import Event
from attorn.contracts.execution import (
    ExecutionActionRecorded,
    ExecutionAdapted,
    ExecutionInputRequired,
    ExecutionProgressed,
    ExecutionStarted,
    WorkExecuted,
)
from attorn.contracts.refusal import Breach
from attorn.projections.bounds import after_narrowing, beyond, excess, narrowed, outside, wider
from attorn.projections.directory import Directory
from attorn.projections.lifecycle import ENDED
from attorn.services import expressions
from attorn.services.delegation import budget, occasion
from attorn.services.participant.authority import check_given
from attorn.services.transact import Context
from attorn.services.work.ahead import check_ahead
from attorn.services.work.state import Delegation, DelegationStatus, Execution, Work
from attorn.services.work.tables import Changes, Checks

DelegationCommand: TypeAlias = (
    DelegateWork
    | AcceptDelegation
    | DeclineDelegation
    | NarrowDelegation
    | SuspendDelegation
    | ResumeDelegation
    | RevokeDelegation
    | ExpireDelegation
)

_ENDS: Final[dict[type, DelegationStatus]] = {
    DelegationDeclined: "declined",
    DelegationRevoked: "revoked",
    DelegationExpired: "expired",
    DelegationExhausted: "exhausted",
}
_OVER: Final = frozenset(_ENDS.values())


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
        case NarrowDelegation(delegation_id=id):
            said = {n: getattr(command, n) for n in DelegationNarrowed.__struct_fields__ if n != "by"}
            less = DelegationNarrowed(**said, by=context.actor)
            held = work.delegations.get(id)
            stands = held is not None and narrowed(held.terms, less) == held.terms
            return [] if stands else [less]
        case SuspendDelegation(delegation_id=id, reason=reason):
            suspended = DelegationSuspended(delegation_id=id, by=context.actor, reason=reason)
            return [] if _status(work, id) == "suspended" else [suspended]
        case ResumeDelegation(delegation_id=id, reason=reason):
            resumed = DelegationResumed(delegation_id=id, by=context.actor, reason=reason)
            return [] if _status(work, id) in ("granted", "accepted") else [resumed]
        case RevokeDelegation(delegation_id=id, reason=reason):
            revoked = DelegationRevoked(delegation_id=id, by=context.actor, reason=reason)
            return [] if _status(work, id) == "revoked" else [revoked]
        case ExpireDelegation(delegation_id=id, reason=reason):
            expired = DelegationExpired(delegation_id=id, by=context.actor, reason=reason)
            return [] if _status(work, id) == "expired" else [expired]


def _status(work: Work, id: str) -> str:
    held = work.delegations.get(id)
    return held.status if held is not None else "unknown"


def _descendants(work: Work, id: str) -> set[str]:
    found, grown = {id} & work.delegations.keys(), True
    while grown:
        more = {d for d, held in work.delegations.items() if held.terms.parent_id in found} - found
        found |= more
        grown = bool(more)
    return found


def _check_grant(work: Work, terms: WorkDelegated, event: Event, directory: Directory) -> Iterator[Breach]:
    at = event.time
    if work.life.state in ENDED:
        detail = f"{event.subject} is {work.life.state}; there is nothing left to entrust anybody with"
        yield Breach(rule="illegal-transition", detail=detail)
    if terms.delegation_id in work.delegations:
        state = _status(work, terms.delegation_id)
        detail = f"delegation {terms.delegation_id} exists already and is {state}; use a new id"
        yield Breach(rule="delegation-open", detail=detail, field="data.delegation_id")
    if not directory.is_here(terms.delegate):
        detail = f"{terms.delegate} is not registered or has left"
        yield Breach(rule="unregistered-actor", detail=detail, field="data.delegate")
    yield from check_given(terms.delegate, work.scope, "data.delegate", directory)
    if directory.kind(terms.delegate) == "team":
        some = ", ".join(directory.members(terms.delegate)[:5]) or "nobody yet"
        detail = f"{terms.delegate} is a team; delegate to one of it ({some}), or assign the work to {terms.delegate}"
        yield Breach(rule="delegation-chain", detail=detail, field="data.delegate")
    yield from check_ahead(terms.valid_until, f"{terms.delegation_id} ends", "data.valid_until", event)
    if terms.conditions or terms.escalate_when:
        yield from _check_conditions(terms)
    yield from _check_policies(terms, at, directory)
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
    is_live = all(each.is_live(at) for each in work.lineage(terms.parent_id))
    if parent is None or not is_live or parent.terms.delegate != terms.delegator:
        detail = f"{terms.delegator} has no live delegation {terms.parent_id} to pass on"
        yield Breach(rule="delegation-chain", detail=detail, field="data.parent_id")
    else:
        for more in excess(terms, parent.terms):
            yield Breach(rule="delegation-chain", detail=f"beyond {terms.parent_id}: {more}")


def _check_policies(terms: WorkDelegated, at: datetime, directory: Directory) -> Iterator[Breach]:
    """Nobody gives more than the policies in force say may be given at all."""
    for id in directory.policies:
        policy = directory.policy_in_force(id, at)
        if policy is None or policy.rules.delegation is None:
            continue
        for more in outside(terms, policy.rules.delegation, at):
            yield Breach(rule="delegation-chain", detail=f"beyond policy {id}, version {policy.version}: {more}")


def _check_conditions(terms: WorkDelegated) -> Iterator[Breach]:
    ids = [condition.id for condition in terms.conditions]
    for twice in sorted({id for id in ids if ids.count(id) > 1}):
        detail = f"two conditions are called {twice}; give each an id of its own"
        yield Breach(rule="condition-unsound", detail=detail, field="data.conditions")
    named = [(f"condition {c.id}", c.expr, "data.conditions") for c in terms.conditions]
    named += [(f"escalate_when[{n}]", e, "data.escalate_when") for n, e in enumerate(terms.escalate_when)]
    for name, expression, field in named:
        problem = expressions.problem(expression)
        if problem is None and not occasion.applies_somewhere(expression):
            problem = "speaks of what is never known together, such as an action and a result"
        if problem is not None:
            yield Breach(rule="condition-unsound", detail=f"{name} {problem}", field=field)


def _check_change(
    work: Work,
    data: DelegationRevoked | DelegationSuspended | DelegationResumed | DelegationNarrowed,
    event: Event,
    directory: Directory,
) -> Iterator[Breach]:
    id, by = data.delegation_id, data.by
    held, status = work.delegations.get(id), _status(work, id)
    match data:
        case DelegationSuspended():
            what, fits = "suspend", status != "suspended"
        case DelegationResumed():
            what, fits = "resume", status == "suspended"
        case DelegationRevoked():
            what, fits = "revoke", True
        case DelegationNarrowed():
            what, fits = "narrow", True
    if held is None or status in _OVER or not fits:
        yield Breach(rule="delegation-open", detail=f"delegation {id} is {status}; there is nothing to {what}")
        return
    if by is not None and not _may_revoke(work, held, by, event.time, directory):
        detail = f"{by} neither granted {id} nor answers for {event.subject}"
        yield Breach(rule="delegation-open", detail=detail, field="data.by")
    if isinstance(data, DelegationResumed) and held.rests_with not in (None, id):
        detail = f"{id} rests because {held.rests_with} does; resume that"
        yield Breach(rule="delegation-open", detail=detail, field="data.delegation_id")
    if isinstance(data, DelegationNarrowed):
        yield from check_ahead(data.valid_until, f"{id} would end", "data.valid_until", event)
        for more in wider(narrowed(held.terms, data), held.terms):
            yield Breach(rule="delegation-chain", detail=f"this is no narrowing of {id}: {more}")


def _check_answer(
    work: Work, data: DelegationAccepted | DelegationDeclined, event: Event, directory: Directory
) -> Iterator[Breach]:
    id, by = data.delegation_id, data.by
    held = work.delegations.get(id)
    if held is None or held.status != "granted":
        yield Breach(rule="delegation-open", detail=f"delegation {id} is {_status(work, id)}, not granted")
    elif by is not None and by != held.terms.delegate:
        yield Breach(rule="delegation-open", detail=f"{id} is for {held.terms.delegate} to take on, not {by}")
    if isinstance(data, DelegationAccepted) and by is not None and by != event.authid:
        yield from check_given(by, work.scope, "data.by", directory)


def _check_end(
    work: Work, data: DelegationExpired | DelegationExhausted, event: Event, directory: Directory
) -> Iterator[Breach]:
    """What is said to be over by its time, or by what was spent, is."""
    id = data.delegation_id
    held = work.delegations.get(id)
    if held is None or held.status in _OVER:
        yield Breach(rule="delegation-open", detail=f"delegation {id} is {_status(work, id)}; it does not end")
        return
    until = held.terms.valid_until
    if isinstance(data, DelegationExpired):
        if until is None or event.time < until:
            valid = f"is valid until {until.isoformat()}" if until is not None else "has no end in time"
            yield Breach(rule="delegation-open", detail=f"delegation {id} {valid}; it is not expired")
    elif not any(budget.reaches(work, held, event.time)):
        yield Breach(rule="delegation-open", detail=f"nothing of delegation {id} is spent to its limit")


def _check_start(work: Work, data: ExecutionStarted, event: Event, directory: Directory) -> Sequence[Breach]:
    executor, id, actor = data.executor, data.delegation_id, event.authid or ""
    found: list[Breach] = []
    if event.authtype == "service_account" and actor != executor:
        detail = f"{actor} starts in the name of {executor}; an agent starts its own executions only"
        found.append(Breach(rule="undelegated-execution", detail=detail, field="data.executor"))
    held = work.mandate(executor, event.time) if id is None else work.delegations.get(id)
    if held is not None and held.terms.delegate == executor:
        found += _check_under(work, work.lineage(held.terms.delegation_id), event, directory)
    elif id is not None:
        detail = f"{id} is no delegation of {event.subject} to {executor}"
        found.append(Breach(rule="undelegated-execution", detail=detail, field="data.delegation_id"))
    elif directory.kind(executor) == "agent":
        found.append(_undelegated(executor, event))
    return found


def _check_under(work: Work, chain: Sequence[Delegation], event: Event, directory: Directory) -> Sequence[Breach]:
    """Whether anything may still be done under a delegation, and all that it descends from."""
    found: list[Breach] = []
    for held in chain:
        found += _not_live(work, held, event, directory)
    found += _check_spending(work, chain, event)
    found += _check_unmet(work, chain, event)
    return found


def _undelegated(executor: str, event: Event) -> Breach:
    detail = f"{executor} is an agent and has no live delegation for {event.subject}; a person delegates it first"
    return Breach(rule="undelegated-execution", detail=detail, field="data.delegation_id")


def _check_hand(
    work: Work,
    data: ExecutionProgressed | ExecutionInputRequired | ExecutionAdapted,
    event: Event,
    directory: Directory,
) -> Sequence[Breach]:
    running = work.executions.get(data.execution_id)
    return _another_hand(data.execution_id, running, event) if running is not None else ()


def _another_hand(id: str, running: Execution, event: Event) -> Sequence[Breach]:
    """An agent speaks for its own executions only; a person may report what anybody did."""
    if event.authtype != "service_account" or event.authid == running.executor:
        return ()
    detail = f"execution {id} is carried out by {running.executor}; {event.authid} has no part in it"
    return (Breach(rule="undelegated-execution", detail=detail, field="data.execution_id"),)


def _not_live(work: Work, held: Delegation, event: Event, directory: Directory) -> Sequence[Breach]:
    """Why nothing is done under a delegation at that time."""
    # What was spent to its limit was spent on something, and that may be handed in.
    hands_in = held.status == "exhausted" and isinstance(event.data, WorkExecuted)
    is_live = held.is_timely(event.time) if hands_in else held.is_live(event.time)
    delegate = directory.participants.get(held.terms.delegate)
    # What they do themselves while they are suspended, another rule says.
    stopped = delegate is not None and delegate.stopped and delegate.id != event.authid
    rests = delegate is not None and stopped and directory.is_suspended(delegate.id, work.scope)
    if is_live and not rests:
        return ()
    terms, found = held.terms, []
    if not is_live:
        since = f" from {terms.valid_from.isoformat()}" if terms.valid_from is not None else ""
        until = f" until {terms.valid_until.isoformat()}" if terms.valid_until is not None else ""
        valid = f" and valid{since}{until}" if since or until else ""
        detail = f"delegation {terms.delegation_id} is {held.status}{valid}: not live at {event.time.isoformat()}"
        found.append(Breach(rule="delegation-violated", detail=detail))
    if rests:
        detail = f"{terms.delegate} is suspended; what it was entrusted with rests until it is resumed"
        found.append(Breach(rule="delegation-violated", detail=detail))
    return found


def _check_action(work: Work, action: ExecutionActionRecorded, event: Event, directory: Directory) -> Sequence[Breach]:
    """An action is within the delegation that it is done under, and within all that this one descends from."""
    running = work.executions.get(action.execution_id)
    if running is None:
        return ()
    found = [*_another_hand(action.execution_id, running, event)]
    if running.delegation_id is None:
        if directory.kind(running.executor) == "agent":
            found.append(_undelegated(running.executor, event))
        return found
    chain = work.lineage(running.delegation_id)
    for held in chain:
        found += _not_live(work, held, event, directory)
        for detail, field in beyond(held.terms, action):
            found.append(Breach(rule="delegation-violated", detail=detail, field=field))
    if action.side_effect:
        found += _check_approval(work, action, running, chain, directory)
    found += _check_spending(work, chain, event)
    found += _check_unmet(work, chain, event)
    return found


def _check_approval(
    work: Work, action: ExecutionActionRecorded, running: Execution, chain: Sequence[Delegation], directory: Directory
) -> Sequence[Breach]:
    asks = [held.terms.delegation_id for held in chain if held.terms.autonomy == "act_with_approval"]
    if not asks or _is_approved(work, action.execution_id, running, directory):
        return ()
    detail = (
        f"{action.tool} changes something, and {asks[0]} asks for approval before; "
        f"ask for an input of kind approval in {action.execution_id}"
    )
    return (Breach(rule="approval-missing", detail=detail, field="data.side_effect"),)


def _is_approved(work: Work, id: str, running: Execution, directory: Directory) -> bool:
    """Whether a person has said yes to what this execution is about to do, or to what it has made."""
    question = work.questions.get(running.approved or "")
    if question is not None and question.answered is not None:
        by = question.answered.by
        # Where only that it was answered is reported, a role stands for the persons who hold it.
        if directory.kind(by) == "human" if by is not None else directory.names_person(question.asked.from_):
            return True
    met = {r.request.output_dig for r in work.reviews.values() if r.status == "met"}
    return any(made.execution_id == id and made.output.dig in met for made in work.outputs.values())


def _check_spending(work: Work, chain: Sequence[Delegation], event: Event) -> Iterable[Breach]:
    # That one is over is said already.
    limited = [held for held in chain if held.is_limited and held.status not in _OVER]
    return _overspent(work, limited, event) if limited else ()


def _overspent(work: Work, limited: Sequence[Delegation], event: Event) -> Iterator[Breach]:
    """What was spent to its limit allows nothing more, and nothing is spent beyond it."""
    at = event.time
    charged = budget.charge(work, event.data, at)
    for before in limited:
        passed = list(budget.overdrawn(charged, charged.delegations[before.terms.delegation_id], at))
        if not passed and not isinstance(event.data, WorkExecuted):
            # A use is no spending of tokens; who has none left does not begin.
            passed = [said for said in budget.reaches(work, before, at) if not said.endswith(" uses")]
        if passed:
            detail = f"beyond what {before.terms.delegation_id} allows: {'; '.join(passed)}"
            yield Breach(rule="delegation-violated", detail=detail)


def _check_unmet(work: Work, chain: Sequence[Delegation], event: Event) -> Iterable[Breach]:
    return _unmet(work, event) if [held for held in chain if held.terms.conditions] else ()


def _unmet(work: Work, event: Event) -> Iterator[Breach]:
    for condition, delegation, why in occasion.unmet(work, event.data, event.time):
        detail = f"condition {condition.id} of {delegation} is not met: {why}"
        if condition.on_violation == "refuse":
            yield Breach(rule="delegation-violated", detail=detail)
        else:
            yield Breach(rule="condition-flagged", detail=detail)


def _check_result(work: Work, done: WorkExecuted, event: Event, directory: Directory) -> Sequence[Breach]:
    """Who hands in a result may do so still, and hands in everything that was expected."""
    running = work.executions.get(done.execution_id)
    if running is None:
        return ()
    found = [*_another_hand(done.execution_id, running, event)]
    if done.result != "completed":
        return found
    if running.delegation_id is None:
        if directory.kind(running.executor) == "agent" and work.mandate(running.executor, event.time) is None:
            found.append(_undelegated(running.executor, event))
        return found
    chain = work.lineage(running.delegation_id)
    found += _check_under(work, chain, event, directory)
    for expected in chain[0].terms.expected_outputs if chain else ():
        if expected.required and not any(expected.name in (each.name, each.output_id) for each in done.outputs):
            detail = f"delegation {running.delegation_id} expects the output {expected.name!r}"
            found.append(Breach(rule="delegation-violated", detail=detail, field="data.outputs"))
    return found


def _may_revoke(work: Work, held: Delegation, by: str, at: datetime, directory: Directory) -> bool:
    """Who granted it, or whatever it descends from, and who has authority over the work."""
    granted = {d.terms.delegator for d in work.lineage(held.terms.delegation_id)}
    return by in granted or work.has_authority(by, directory, at)


CHECKS: Final[Checks] = {
    WorkDelegated: _check_grant,
    DelegationAccepted: _check_answer,
    DelegationDeclined: _check_answer,
    DelegationRevoked: _check_change,
    DelegationSuspended: _check_change,
    DelegationResumed: _check_change,
    DelegationNarrowed: _check_change,
    DelegationExpired: _check_end,
    DelegationExhausted: _check_end,
    ExecutionStarted: _check_start,
    ExecutionProgressed: _check_hand,
    ExecutionInputRequired: _check_hand,
    ExecutionAdapted: _check_hand,
    ExecutionActionRecorded: _check_action,
    WorkExecuted: _check_result,
}


# ---- what an event changes


def _grant(work: Work, data: WorkDelegated, event: Event) -> Work:
    return work if data.delegation_id in work.delegations else _with(work, {data.delegation_id: Delegation(data)})


def _accept(work: Work, data: DelegationAccepted, event: Event) -> Work:
    held = work.delegations.get(data.delegation_id)
    if held is None or held.status != "granted":
        return work
    return _with(work, {data.delegation_id: msgspec.structs.replace(held, status="accepted")})


def _narrow(work: Work, data: DelegationNarrowed, event: Event) -> Work:
    held = work.delegations.get(data.delegation_id)
    if held is None:
        return work
    return _with(work, {data.delegation_id: msgspec.structs.replace(held, terms=after_narrowing(held.terms, data))})


def _suspend(work: Work, data: DelegationSuspended, event: Event) -> Work:
    id = data.delegation_id
    resting = {d: work.delegations[d] for d in _descendants(work, id) if _status(work, d) in ("granted", "accepted")}
    return _with(work, {d: msgspec.structs.replace(held, status="suspended", rests_since=held.status, rests_with=id)
                        for d, held in resting.items()})  # fmt: skip


def _resume(work: Work, data: DelegationResumed, event: Event) -> Work:
    # What rested for a reason of its own rests on.
    woken = {d: held for d, held in work.delegations.items()
             if held.status == "suspended" and held.rests_with == data.delegation_id}  # fmt: skip
    awake = {"rests_since": None, "rests_with": None}
    return _with(work, {d: msgspec.structs.replace(held, status=held.rests_since or "granted", **awake)
                        for d, held in woken.items()})  # fmt: skip


def _end(
    work: Work, data: DelegationDeclined | DelegationRevoked | DelegationExpired | DelegationExhausted, event: Event
) -> Work:
    # Whoever was entrusted by the delegate loses it at this same position. What is over stays so, whatever
    # news of it comes late: nobody gets a mandate back by an old acceptance.
    ended = {d: msgspec.structs.replace(work.delegations[d], status=_ENDS[type(data)])
             for d in _descendants(work, data.delegation_id) if _status(work, d) not in _OVER}  # fmt: skip
    return _with(work, ended)


def _charge(work: Work, data: ExecutionStarted | ExecutionActionRecorded | WorkExecuted, event: Event) -> Work:
    return budget.charge(work, data, event.time)


def _with(work: Work, changed: dict[str, Delegation]) -> Work:
    return msgspec.structs.replace(work, delegations={**work.delegations, **changed}) if changed else work


CHANGES: Final[Changes] = {
    WorkDelegated: _grant,
    DelegationAccepted: _accept,
    DelegationNarrowed: _narrow,
    DelegationSuspended: _suspend,
    DelegationResumed: _resume,
    **dict.fromkeys(_ENDS, _end),
    ExecutionStarted: _charge,
    ExecutionActionRecorded: _charge,
    WorkExecuted: _charge,
}
