"""Work itself: defining it, assigning it, moving it on, and moving who answers for it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.accountability import (
    AccountabilityOffered,
    AccountabilityTransferred,
    OfferAccountability,
    TransferAccountability,
)
from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased
from attorn.contracts.context import AddNote, NoteAdded
from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.ids import Pinned
from attorn.contracts.output import OutputReleased
from attorn.contracts.refusal import Breach, Refused, Unreadable
from attorn.contracts.work import (
    AssignWork,
    CancelWork,
    Change,
    ClarifyWork,
    CompleteWork,
    CriterionVerdict,
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    SubmitWork,
    VerifyWork,
    WorkAssigned,
    WorkCancelled,
    WorkClarified,
    WorkCompleted,
    WorkDeclined,
    WorkDefined,
    WorkFailed,
    WorkReadied,
    WorkReopened,
    WorkSubmitted,
    WorkUnassigned,
    WorkVerified,
)
from attorn.projections.directory import Directory
from attorn.projections.lifecycle import step
from attorn.services.transact import Context
from attorn.services.work.state import Work

WorkCommand: TypeAlias = (
    DefineWork
    | ClarifyWork
    | ReadyWork
    | AssignWork
    | SubmitWork
    | VerifyWork
    | CompleteWork
    | ReopenWork
    | CancelWork
    | FailWork
    | OfferAccountability
    | TransferAccountability
    | AddNote
)

CLARIFIABLE: Final = frozenset(WorkDefined.__struct_fields__) - {"accountable", "process", "parent_id", "trigger"}
"""What a clarification may change; who answers moves by a transfer, the process is pinned for good."""

initial = Work()


def decide(work: Work, command: WorkCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    life = work.life
    match command:
        case DefineWork():
            defined = _define(command, context.directory)
            return [] if work.definition == defined else [defined]
        case ClarifyWork(changes=changes, reason=reason):
            return _clarify(work, changes, reason)
        case ReadyWork(why=why, what=what, who=who, when=when, how=how):
            said = {"why": why, "what": what, "who": who, "when": when, "how": how}
            return [] if life.state == "ready" else [WorkReadied(**said, missing=_missing(work, said))]
        case AssignWork(executor=executor, mode=mode, reason=reason):
            held = life.state == "claimed" and work.executor == executor
            return [] if held else [WorkAssigned(executor=executor, mode=mode, reason=reason)]
        case SubmitWork(outputs=outputs, note=note):
            outputs = outputs or tuple(work.outputs)
            return [] if life.state == "submitted" else [WorkSubmitted(outputs=outputs, note=note)]
        case VerifyWork(criteria=criteria, note=note):
            signed = tuple(CriterionVerdict(id=c.id, result=c.result, by=c.by or context.actor) for c in criteria)
            return [] if life.state == "verified" else [WorkVerified(criteria=signed, note=note)]
        case CompleteWork(note=note):
            return [] if life.state == "completed" else [WorkCompleted(cycle=max(life.cycle, 1), note=note)]
        case ReopenWork(reason=reason):
            return [WorkReopened(cycle=life.cycle + 1, reason=reason)]
        case CancelWork(reason=reason):
            return [] if life.state == "cancelled" else [WorkCancelled(by=context.actor, reason=reason)]
        case FailWork(error_class=error_class, retryable=retryable, reason=reason):
            failed = WorkFailed(error_class=error_class, retryable=retryable, reason=reason)
            return [] if life.state == "failed" else [failed]
        case OfferAccountability(to=to, reason=reason):
            answers = work.answers(context.directory).person
            if to in (answers, work.offered_to):
                return []
            return [AccountabilityOffered(from_=answers, to=to, reason=reason)]
        case TransferAccountability(to=to, basis=basis, reason=reason):
            answers = work.answers(context.directory).person
            if to == answers == work.named:
                return []
            accepted = context.actor if basis == "accepted" else None
            return [AccountabilityTransferred(from_=answers, to=to, accepted_by=accepted, basis=basis, reason=reason)]
        case AddNote():
            return [NoteAdded(text=command.text)]


def check(work: Work, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules of work itself `event` breaks."""
    data = event.data
    if not work.life.state and not isinstance(data, WorkDefined):
        yield Breach(rule="hidden-work", detail=f"{event.subject} is not defined")
        yield Breach(rule="accountability-defaulted", detail=f"nobody is named to answer for {event.subject}")
    if not step(work.life, data).allowed:
        state = work.life.state or "discovered"
        yield Breach(rule="illegal-transition", detail=f"{event.subject} is {state}; {_fact(event)} does not follow")

    match data:
        case WorkDefined():
            yield from _check_definition(work, data, event, directory)
        case WorkAssigned(executor=executor) | ClaimAcquired(holder=executor) | HandoverAccepted(to=executor):
            if not directory.is_here(executor):
                yield Breach(
                    rule="unregistered-actor", detail=f"{executor} is not registered or has left", field="data"
                )
        case AccountabilityOffered(to=to):
            if not directory.is_person(to):
                yield Breach(rule="accountable-human", detail=f"{to} is not a person who is here", field="data.to")
        case AccountabilityTransferred():
            yield from _check_transfer(work, data, event, directory)
        case WorkVerified(criteria=criteria):
            yield from _check_criteria(work, work.verdicts | {c.id: c.result for c in criteria})
        case WorkCompleted():
            yield from _check_criteria(work, work.verdicts)
            for blocker in work.life.blockers:
                yield Breach(rule="criteria-open", detail=f"the blocking escalation {blocker} is open")
        case _:
            pass

    if isinstance(data, WorkSubmitted | WorkVerified | WorkCompleted | OutputReleased):
        actor = event.authid or ""
        if directory.kind(actor) == "agent" and work.mandate(actor, event.time) is None:
            yield Breach(rule="undelegated-execution", detail=f"{actor} has no live delegation for {event.subject}")


def evolve(work: Work, event: Event) -> Work:
    """What is true of the work afterwards."""
    replace, data = msgspec.structs.replace, event.data
    if not work.life.state and event.authtype == "system":
        work = replace(work, source=event.authid)
    after = step(work.life, data).after
    if after is not work.life:
        work = replace(work, life=after)
    match data:
        case WorkDefined(accountable=accountable):
            # The first definition stands; a second one is a finding and changes nothing.
            return work if work.definition is not None else replace(work, definition=data, named=accountable)
        case WorkClarified(changes=changes) if work.definition is not None:
            return replace(work, definition=_apply(work.definition, changes))
        case WorkAssigned(executor=executor) | ClaimAcquired(holder=executor) | HandoverAccepted(to=executor):
            return replace(work, executor=executor)
        case ExecutionStarted(executor=executor):
            return replace(work, executor=executor)
        case ClaimReleased() | ClaimExpired() | WorkDeclined() | WorkUnassigned():
            return replace(work, executor=None)
        case AccountabilityOffered(to=to):
            return replace(work, offered_to=to)
        case AccountabilityTransferred(to=to):
            return replace(work, named=to, offered_to=None)
        case WorkVerified(criteria=criteria):
            return replace(work, verdicts=work.verdicts | {c.id: c.result for c in criteria})
        case WorkReopened():
            return replace(work, executor=None, verdicts={})
        case _:
            return work


def _define(command: DefineWork, directory: Directory) -> WorkDefined:
    process = directory.process(command.process) if command.process else None
    if command.process and process is None:
        raise Refused(Breach(rule="unpublished", detail=f"no process {command.process} is published", field="process"))
    said = {name: getattr(command, name) for name in WorkDefined.__struct_fields__}
    said["process"] = Pinned(id=command.process, version=process.version) if command.process and process else None
    for name in ("review_policy", "escalation_policy"):
        asked, standing = getattr(command, name), getattr(process, name, None)
        said[name] = _pin(asked, name, directory) if asked else standing
    said["risk_tier"] = command.risk_tier or getattr(process, "risk_tier", None)
    said["recoverable"] = command.recoverable or getattr(process, "recoverable", None)
    return WorkDefined(**said)


def _pin(policy: str, field: str, directory: Directory) -> Pinned:
    published = directory.policy(policy)
    if published is None:
        raise Refused(Breach(rule="unpublished", detail=f"no policy {policy} is published", field=field))
    return Pinned(id=policy, version=published.version)


def _check_definition(work: Work, data: WorkDefined, event: Event, directory: Directory) -> Iterator[Breach]:
    if work.definition is not None:
        yield Breach(rule="defined-once", detail=f"{event.subject} is defined already")
    if not directory.is_person(data.accountable):
        detail = f"{data.accountable} is not a person who is here"
        yield Breach(rule="accountable-human", detail=detail, field="data.accountable")
    for field in ("candidates", "contributors"):
        for who in getattr(data, field):
            if not directory.is_here(who):
                yield Breach(rule="unregistered-actor", detail=f"{who} is not registered", field=f"data.{field}")
    if data.process is not None and directory.process(data.process.id, data.process.version) is None:
        detail = f"process {data.process.id} has no version {data.process.version}"
        yield Breach(rule="unpublished", detail=detail, field="data.process")
    for field in ("review_policy", "escalation_policy"):
        pinned: Pinned | None = getattr(data, field)
        if pinned is not None and directory.policy(pinned.id, pinned.version) is None:
            detail = f"policy {pinned.id} has no version {pinned.version}"
            yield Breach(rule="unpublished", detail=detail, field=f"data.{field}")


def _check_transfer(
    work: Work, data: AccountabilityTransferred, event: Event, directory: Directory
) -> Iterator[Breach]:
    answers = work.answers(directory).person
    if not directory.is_person(data.to):
        yield Breach(rule="accountable-human", detail=f"{data.to} is not a person who is here", field="data.to")
    if data.from_ != answers:
        detail = f"{data.from_ or 'nobody'} does not answer for {event.subject}; {answers or 'nobody'} does"
        yield Breach(rule="accountability-chain", detail=detail, field="data.from")
    if data.basis == "accepted":
        if data.accepted_by != data.to:
            detail = f"{data.to} has to accept, not {data.accepted_by or 'nobody'}"
            yield Breach(rule="accountability-chain", detail=detail, field="data.accepted_by")
        elif work.offered_to != data.to:
            yield Breach(rule="accountability-chain", detail=f"it was not offered to {data.to}", field="data.to")
    elif event.authtype != "system":
        process = directory.process(work.process.id) if work.process is not None else None
        owner = process.owner if process is not None else None
        actor = event.authid or ""
        if actor not in (answers, owner, directory.root_custodian()) and not directory.holds(actor, "admin"):
            detail = f"{actor} neither answers for {event.subject} nor has authority over it"
            yield Breach(rule="accountability-chain", detail=detail)


def _check_criteria(work: Work, verdicts: Mapping[str, str]) -> Iterator[Breach]:
    for criterion in work.definition.acceptance_criteria if work.definition is not None else ():
        verdict = verdicts.get(criterion.id)
        if verdict not in ("passed", "waived"):
            detail = f"criterion {criterion.id} ({criterion.text[:80]}) {'failed' if verdict else 'has no verdict'}"
            yield Breach(rule="criteria-open", detail=detail, field="data.criteria")


def _clarify(work: Work, changes: Mapping[str, Any], reason: str) -> Sequence[msgspec.Struct]:
    if work.definition is None:
        # Nothing was said yet that could be said more exactly; the rule about unknown work says the rest.
        return [WorkClarified(changes={name: Change(new=new) for name, new in changes.items()}, reason=reason)]
    before = msgspec.to_builtins(work.definition)
    for name in changes:
        if name not in CLARIFIABLE:
            raise Unreadable(f"cannot be clarified; what can is {', '.join(sorted(CLARIFIABLE))}", f"changes.{name}")
    said = {n: Change(old=before.get(n), new=new) for n, new in changes.items() if before.get(n) != new}
    try:
        _apply(work.definition, said)
    except msgspec.ValidationError as error:
        raise Unreadable(str(error).replace("$.", "$.changes."), "changes") from None
    return [WorkClarified(changes=said, reason=reason)] if said else []


def _apply(definition: WorkDefined, changes: Mapping[str, Change]) -> WorkDefined:
    said = {name: change.new for name, change in changes.items() if name in CLARIFIABLE}
    return msgspec.convert(msgspec.to_builtins(definition) | said, WorkDefined)


def _missing(work: Work, said: Mapping[str, str]) -> tuple[Any, ...]:
    defined = work.definition
    if defined is None:
        return tuple(layer for layer, answer in said.items() if not answer)
    answered = {
        "why": defined.purpose.why or defined.purpose.outcome_id,
        "what": defined.scope.included or defined.acceptance_criteria or defined.requirements,
        "who": defined.accountable,
        "when": defined.due_at or defined.start_by,
        "how": defined.method.instructions or defined.method.tools,
    }
    return tuple(layer for layer, answer in answered.items() if not answer and not said[layer])


def _fact(event: Event) -> str:
    return event.type.removeprefix("attorn.").rpartition(".v")[0]
