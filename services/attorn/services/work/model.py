"""Work itself: defining it, assigning it, moving it on, and moving who answers for it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.accountability import (
    AccountabilityOffered,
    AccountabilityTransferred,
    OfferAccountability,
    TransferAccountability,
)
from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRevoked
from attorn.contracts.context import AddNote, NoteAdded
from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.ids import Pinned
from attorn.contracts.output import OutputReleased, OutputWithdrawn
from attorn.contracts.refusal import Breach, Refused, Unreadable
from attorn.contracts.review import ReviewRequested
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
from attorn.projections.lifecycle import follows, step
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

PINNED: Final = frozenset({"accountable", "process", "parent_id", "trigger", "review_policy", "escalation_policy"})
CLARIFIABLE: Final = frozenset(WorkDefined.__struct_fields__) - PINNED
"""What a clarification may change; who answers moves by a transfer, process and policies are pinned for good."""

initial = Work()

_MOVED_UNDER_A_MANDATE: Final = (
    WorkClarified,
    WorkReadied,
    WorkAssigned,
    WorkSubmitted,
    WorkVerified,
    WorkCompleted,
    WorkReopened,
    WorkCancelled,
    WorkFailed,
    ReviewRequested,
    OutputReleased,
    OutputWithdrawn,
)
"""What an agent may do to work only while somebody has entrusted it with the work. Anybody may escalate, or note."""


def decide(work: Work, command: WorkCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    life = work.life
    match command:
        case DefineWork():
            defined = _define(command, context)
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
            outputs = outputs or tuple(id for id, made in work.outputs.items() if not made.withdrawn)
            return [] if life.state == "submitted" else [WorkSubmitted(outputs=outputs, note=note)]
        case VerifyWork(criteria=criteria, note=note):
            signed = tuple(CriterionVerdict(id=c.id, result=c.result, by=c.by or context.actor) for c in criteria)
            return [] if life.state == "verified" else [WorkVerified(criteria=signed, note=note)]
        case CompleteWork(note=note):
            return [] if life.state == "completed" else [WorkCompleted(cycle=max(life.cycle, 1), note=note)]
        case ReopenWork(reason=reason):
            again = life.state == "ready" and life.cycle > 1
            return [] if again else [WorkReopened(cycle=life.cycle + 1, reason=reason)]
        case CancelWork(reason=reason):
            return [] if life.state == "cancelled" else [WorkCancelled(by=context.actor, reason=reason)]
        case FailWork(error_class=error_class, retryable=retryable, reason=reason):
            failed = WorkFailed(error_class=error_class, retryable=retryable, reason=reason)
            return [] if life.state == "failed" else [failed]
        case OfferAccountability(to=to, reason=reason):
            answers = work.answers(context.directory).person
            if to in (answers, work.offered_to):
                return []
            _require_no_system(context)
            return [AccountabilityOffered(from_=answers, to=to, reason=reason)]
        case TransferAccountability(to=to, basis=basis, reason=reason):
            answers = work.answers(context.directory).person
            if to == answers == work.named:
                return []
            _require_no_system(context)
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
        before = ", ".join(follows(data))
        detail = f"{event.subject} is {work.life.state or 'unknown'}; {_fact(event)} follows only {before}"
        yield Breach(rule="illegal-transition", detail=detail)

    match data:
        case WorkDefined():
            yield from _check_definition(work, data, event, directory)
        case WorkAssigned(executor=executor) | ClaimAcquired(holder=executor) | HandoverAccepted(to=executor):
            if not directory.is_here(executor):
                field = "data.to" if isinstance(data, HandoverAccepted) else "data.executor"
                field = "data.holder" if isinstance(data, ClaimAcquired) else field
                detail = f"{executor} is not registered or has left; give the work to somebody who is here"
                yield Breach(rule="unregistered-actor", detail=detail, field=field)
        case WorkClarified(changes=changes):
            yield from _check_clarification(work, changes)
        case AccountabilityOffered():
            yield from _check_offer(work, data, event, directory)
        case AccountabilityTransferred():
            yield from _check_transfer(work, data, event, directory)
        case WorkVerified():
            yield from _check_verification(work, data, event, directory)
        case WorkCompleted():
            yield from _check_criteria(work, work.verdicts)
            for id, escalation in work.escalations.items():
                if escalation.raised.blocking and escalation.is_open:
                    detail = f"the blocking escalation {id} is {escalation.status}; resolve or cancel it first"
                    yield Breach(rule="criteria-open", detail=detail)
        case _:
            pass

    if isinstance(data, _MOVED_UNDER_A_MANDATE):
        actor = event.authid or ""
        if directory.kind(actor) == "agent" and work.mandate(actor, event.time) is None:
            detail = f"{actor} is an agent and has no live delegation for {event.subject}; a person delegates it first"
            yield Breach(rule="undelegated-execution", detail=detail)


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
            return replace(work, definition=_clarified(work.definition, changes))
        case WorkAssigned(executor=executor) | ClaimAcquired(holder=executor) | HandoverAccepted(to=executor):
            return replace(work, executor=executor)
        case ExecutionStarted(executor=executor):
            return replace(work, executor=executor)
        case ClaimReleased() | ClaimExpired() | ClaimRevoked() | WorkDeclined() | WorkUnassigned():
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


def _require_no_system(context: Context) -> None:
    # A system may report that it passed, which is a fact; to pass it on is for people.
    if context.directory.kind(context.actor) == "system":
        detail = f"{context.actor} is a system; who answers is for people to decide"
        raise Refused(Breach(rule="accountability-chain", detail=detail))


def _define(command: DefineWork, context: Context) -> WorkDefined:
    directory = context.directory
    process = directory.process_in_force(command.process, context.at) if command.process else None
    if command.process and process is None:
        known = directory.process(command.process) is not None
        state = "is retired, or not yet in force" if known else "is not published"
        raise Refused(Breach(rule="unpublished", detail=f"process {command.process} {state}", field="process"))
    said = {name: getattr(command, name) for name in WorkDefined.__struct_fields__}
    said["process"] = Pinned(id=command.process, version=process.version) if command.process and process else None
    for name in ("review_policy", "escalation_policy"):
        asked, standing = getattr(command, name), getattr(process, name, None)
        said[name] = pin(asked, name, context) if asked else standing
    said["risk_tier"] = command.risk_tier or getattr(process, "risk_tier", None)
    said["recoverable"] = command.recoverable or getattr(process, "recoverable", None)
    return WorkDefined(**said)


def pin(policy: str, field: str, context: Context) -> Pinned:
    """The version of a policy that is in force now. Raises Refused when there is none."""
    published = context.directory.policy_in_force(policy, context.at)
    if published is None:
        known = context.directory.policy(policy) is not None
        detail = f"policy {policy} is {'not yet in force' if known else 'not published'}"
        raise Refused(Breach(rule="unpublished", detail=detail, field=field))
    return Pinned(id=policy, version=published.version)


def check_policy(pinned: Pinned | None, field: str, directory: Directory) -> Iterator[Breach]:
    """Whether what is named as `review_policy` or `escalation_policy` is a published policy of that kind."""
    if pinned is None:
        return
    policy = directory.policy(pinned.id, pinned.version)
    kind = field.removesuffix("_policy")
    if policy is None:
        detail = f"policy {pinned.id} has no version {pinned.version}"
        yield Breach(rule="unpublished", detail=detail, field=f"data.{field}")
    elif policy.kind != kind:
        detail = f"policy {pinned.id} is about {policy.kind}; name one about {kind}"
        yield Breach(rule="unpublished", detail=detail, field=f"data.{field}")


def _check_definition(work: Work, data: WorkDefined, event: Event, directory: Directory) -> Iterator[Breach]:
    if work.definition is not None:
        yield Breach(rule="defined-once", detail=f"{event.subject} is defined already")
    if not directory.is_person(data.accountable):
        yield Breach(rule="accountable-human", detail=_no_person(data.accountable, directory), field="data.accountable")
    for field in ("candidates", "contributors"):
        for who in getattr(data, field):
            if not directory.is_here(who):
                detail = f"{who} is not registered or has left"
                yield Breach(rule="unregistered-actor", detail=detail, field=f"data.{field}")
    if data.process is not None:
        id, version = data.process.id, data.process.version
        if directory.process(id, version) is None:
            yield Breach(rule="unpublished", detail=f"process {id} has no version {version}", field="data.process")
        elif directory.is_retired(id, version, event.time):
            yield Breach(rule="unpublished", detail=f"process {id} version {version} is retired", field="data.process")
    for field in ("review_policy", "escalation_policy"):
        yield from check_policy(getattr(data, field), field, directory)


def _check_clarification(work: Work, changes: Mapping[str, Change]) -> Iterator[Breach]:
    for name in changes:
        if name == "accountable":
            detail = "who answers is changed by a transfer, not by a clarification"
            yield Breach(rule="accountability-chain", detail=detail, field="data.changes.accountable")
        elif name == "review_policy":
            detail = "the review policy is pinned when the work is defined; a clarification does not change it"
            yield Breach(rule="control-bypassed", detail=detail, field="data.changes.review_policy")


def _check_offer(work: Work, data: AccountabilityOffered, event: Event, directory: Directory) -> Iterator[Breach]:
    if not directory.is_person(data.to):
        yield Breach(rule="accountable-human", detail=_no_person(data.to, directory), field="data.to")
    yield from _check_giver(work, data.from_, event, directory)
    actor = event.authid or ""
    if event.authtype != "system" and not work.has_authority(actor, directory, event.time):
        yield _no_authority(work, actor, event, directory)


def _check_giver(work: Work, giver: str | None, event: Event, directory: Directory) -> Iterator[Breach]:
    answers = work.answers(directory).person
    if giver is not None and giver != answers:
        detail = f"{giver} does not answer for {event.subject}; {answers or 'nobody'} does"
        yield Breach(rule="accountability-chain", detail=detail, field="data.from")


def _no_authority(work: Work, actor: str, event: Event, directory: Directory) -> Breach:
    answers = work.answers(directory).person or "nobody"
    detail = f"{actor} has no authority over who answers for {event.subject}; {answers} answers for it now"
    return Breach(rule="accountability-chain", detail=detail)


def _no_person(id: str, directory: Directory) -> str:
    kind = directory.kind(id)
    state = "is not registered" if kind is None else "has left" if kind == "human" else f"is of kind {kind}"
    return f"{id} {state}; name a person who is here"


def _check_transfer(
    work: Work, data: AccountabilityTransferred, event: Event, directory: Directory
) -> Iterator[Breach]:
    if not directory.is_person(data.to):
        yield Breach(rule="accountable-human", detail=_no_person(data.to, directory), field="data.to")
    yield from _check_giver(work, data.from_, event, directory)
    if data.basis == "accepted":
        if data.accepted_by != data.to:
            detail = f"{data.to} has to accept, not {data.accepted_by or 'nobody'}"
            yield Breach(rule="accountability-chain", detail=detail, field="data.accepted_by")
        elif work.offered_to != data.to:
            detail = f"{event.subject} was not offered to {data.to}; who answers for it offers it first"
            yield Breach(rule="accountability-chain", detail=detail, field="data.to")
    elif event.authtype != "system" and not work.has_authority(event.authid or "", directory, event.time):
        yield _no_authority(work, event.authid or "nobody", event, directory)


def _check_verification(work: Work, data: WorkVerified, event: Event, directory: Directory) -> Iterator[Breach]:
    yield from _check_criteria(work, work.verdicts | {c.id: c.result for c in data.criteria})
    criteria = work.definition.acceptance_criteria if work.definition is not None else ()
    by_persons = {criterion.id for criterion in criteria if criterion.check == "human"}
    ids = {criterion.id for criterion in criteria}
    for verdict in data.criteria:
        if work.definition is not None and verdict.id not in ids:
            detail = f"there is no criterion {verdict.id}; there are {', '.join(sorted(ids)) or 'none'}"
            yield Breach(rule="criteria-open", detail=detail, field="data.criteria")
        by = verdict.by or event.authid or ""
        if event.authtype != "system" and by != event.authid:
            detail = f"{event.authid} gives the verdict of {by} on {verdict.id}; everybody gives their own"
            yield Breach(rule="criteria-open", detail=detail, field="data.criteria")
        elif verdict.id in by_persons and directory.kind(by) == "agent":
            detail = f"criterion {verdict.id} is for a person to judge; {by} is an agent"
            yield Breach(rule="criteria-open", detail=detail, field="data.criteria")


def _check_criteria(work: Work, verdicts: Mapping[str, str]) -> Iterator[Breach]:
    for criterion in work.definition.acceptance_criteria if work.definition is not None else ():
        verdict = verdicts.get(criterion.id)
        if verdict not in ("passed", "waived"):
            state = "failed; reopen the work" if verdict else "has no verdict"
            detail = f"criterion {criterion.id} ({criterion.text[:80]}) {state}"
            yield Breach(rule="criteria-open", detail=detail, field="data.criteria")


def _clarify(work: Work, changes: Mapping[str, Any], reason: str) -> Sequence[msgspec.Struct]:
    if work.definition is None:
        # Nothing was said yet that could be said more exactly; the rule about unknown work says the rest.
        return [WorkClarified(changes={name: Change(new=new) for name, new in changes.items()}, reason=reason)]
    before = msgspec.to_builtins(work.definition)
    for name in changes:
        if name not in CLARIFIABLE:
            raise Unreadable(f"cannot be clarified; what can is {', '.join(sorted(CLARIFIABLE))}", f"changes.{name}")
    try:
        after = msgspec.to_builtins(_apply(work.definition, changes))
    except msgspec.ValidationError as error:
        raise Unreadable(str(error).replace("$.", "$.changes."), "changes") from None
    # Compared as it will stand, so that another way to write the same instant or default is no change.
    said = {n: Change(old=before.get(n), new=after.get(n)) for n in changes if before.get(n) != after.get(n)}
    return [WorkClarified(changes=said, reason=reason)] if said else []


def _apply(definition: WorkDefined, values: Mapping[str, Any]) -> WorkDefined:
    return msgspec.convert(msgspec.to_builtins(definition) | values, WorkDefined)


def _clarified(definition: WorkDefined, changes: Mapping[str, Change]) -> WorkDefined:
    """The definition with every change that fits. A fact may say anything; what does not fit leaves it as it was."""
    for name, change in changes.items():
        if name in CLARIFIABLE:
            with suppress(msgspec.ValidationError):
                definition = _apply(definition, {name: _default(name) if change.new is None else change.new})
    return definition


def _default(name: str) -> Any:
    """What a field is when it is taken away; None where it may not be absent, which then does not fit."""
    field = next(f for f in msgspec.structs.fields(WorkDefined) if f.encode_name == name)
    return None if field.default is msgspec.NODEFAULT else msgspec.to_builtins(field.default)


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
