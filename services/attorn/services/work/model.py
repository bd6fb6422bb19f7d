"""Work itself: defining it, assigning it, moving it on, and moving who answers for it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts import door
from attorn.contracts.accountability import (
    AccountabilityOffered,
    AccountabilityTransferred,
    OfferAccountability,
    TransferAccountability,
)
from attorn.contracts.claim import ClaimAcquired, ClaimExpired, ClaimReleased, ClaimRevoked
from attorn.contracts.context import AddNote, ContextShared, NoteAdded, ShareContext
from attorn.contracts.deadline import DeadlineSet, SetDeadline
from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.dependency import (
    DependencyAdded,
    DependencyBroken,
    DependencySatisfied,
    WorkBlocked,
    WorkUnblocked,
)
from attorn.contracts.envelope import Event
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.ids import Pinned
from attorn.contracts.ledger import BATCH_MAX
from attorn.contracts.output import OutputProduced, OutputReleased, OutputWithdrawn
from attorn.contracts.refusal import Breach, Refused, Unreadable
from attorn.contracts.review import ReviewRequested
from attorn.contracts.work import (
    AcceptanceCriterion,
    AssignWork,
    CancelWork,
    Change,
    ClarifyWork,
    CompleteWork,
    CriterionVerdict,
    DeclineWork,
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    ReprioritizeWork,
    ResumeWork,
    SubmitWork,
    SupersedeWork,
    SuspendWork,
    UnassignWork,
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
    WorkReprioritized,
    WorkResumed,
    WorkSubmitted,
    WorkSuperseded,
    WorkSuspended,
    WorkUnassigned,
    WorkVerified,
)
from attorn.projections import stack
from attorn.projections.directory import Directory
from attorn.projections.lifecycle import MOVING, Lifecycle, follows, step
from attorn.services.participant.authority import check_given
from attorn.services.transact import Context
from attorn.services.work import route
from attorn.services.work.ahead import check_ahead
from attorn.services.work.standing import BOUNDS
from attorn.services.work.state import Work
from attorn.services.work.tables import Changes, Checks

WorkCommand: TypeAlias = (
    DefineWork
    | ClarifyWork
    | ReadyWork
    | ReprioritizeWork
    | SetDeadline
    | AssignWork
    | UnassignWork
    | DeclineWork
    | SuspendWork
    | ResumeWork
    | SubmitWork
    | VerifyWork
    | CompleteWork
    | ReopenWork
    | CancelWork
    | FailWork
    | SupersedeWork
    | OfferAccountability
    | TransferAccountability
    | ShareContext
    | AddNote
)

PINNED: Final = frozenset({"accountable", "process", "parent_id", "trigger", "review_policy", "escalation_policy"})
RELATED: Final = frozenset({"depends_on", "dedup_key"})
CLARIFIABLE: Final = frozenset(WorkDefined.__struct_fields__) - PINNED - RELATED
"""What a clarification may change; who answers moves by a transfer, process and policies are pinned for good.

What the work is to other work is not said more exactly, but changed: a dependency is added, satisfied or broken.
"""

_TIMES: Final = frozenset({"due_at", "start_by"})

DEPENDENCIES_MAX: Final = BATCH_MAX - 1
"""How many other items work may be defined to wait for: they are recorded with it, in one append."""

ABSENT: Final[Mapping[tuple[type[msgspec.Struct], str], Breach]] = {
    (DefineWork, "accountable"): Breach(
        rule="accountability-defaulted",
        detail="nobody is named to answer for the work; name a person who is here",
        field="data.accountable",
    )
}
"""What is broken by a command that lacks this field. That somebody is named is what everything here is for."""

_replace: Final = msgspec.structs.replace


def decide(work: Work, command: WorkCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    life = work.life
    match command:
        case DefineWork():
            defined = _define(command, context)
            if len(set(defined.depends_on)) > DEPENDENCIES_MAX:
                raise Unreadable(f"names more than {DEPENDENCIES_MAX}; add the others afterwards", "depends_on")
            waits = (DependencyAdded(on=on) for on in dict.fromkeys(defined.depends_on))
            return [] if work.definition == defined else [defined, *waits]
        case ClarifyWork(changes=changes, reason=reason):
            return _clarify(work, changes, reason)
        case ReadyWork(why=why, what=what, who=who, when=when, how=how):
            readied = WorkReadied(why=why, what=what, who=who, when=when, how=how)
            known = life.state == "ready" or (bool(life.pauses) and life.back == "ready")
            missing = stack.missing(work.definition, readied)
            return [] if known else [_replace(readied, missing=missing)]
        case ReprioritizeWork(priority=priority, reason=reason):
            old = work.definition.priority if work.definition is not None else None
            return [] if priority == old else [WorkReprioritized(old=old, new=priority, reason=reason)]
        case SetDeadline(kind=kind, new=new, reason=reason):
            due = _deadline(work, kind)
            same = due == new and work.definition is not None
            return [] if same else [DeadlineSet(kind=kind, old=due, new=new, reason=reason)]
        case AssignWork():
            return route.assign(work, command, context)
        case UnassignWork(reason=reason):
            free = life.state == "ready" and work.executor is None
            return [] if free else [WorkUnassigned(executor=work.executor, reason=reason)]
        case DeclineWork(reason=reason):
            free = life.state == "ready" and work.executor is None
            return [] if free else [WorkDeclined(executor=context.actor, reason=reason)]
        case SuspendWork(reason=reason, until=until):
            return [] if "suspended" in life.pauses else [WorkSuspended(reason=reason, until=until)]
        case ResumeWork(reason=reason):
            rests = not life.state or "suspended" in life.pauses
            return [WorkResumed(reason=reason)] if rests else []
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
        case SupersedeWork(duplicate_of=other, reason=reason):
            return [] if life.state == "superseded" else [WorkSuperseded(duplicate_of=other, reason=reason)]
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
        case ShareContext(ref=ref, note=note):
            return [] if ref in work.context else [ContextShared(ref=ref, note=note)]
        case AddNote():
            return [NoteAdded(text=command.text)]


def check_known(work: Work, event: Event) -> Sequence[Breach]:
    """Whether anybody has said what the work is, which whatever happens to it first is to say."""
    if work.life.state or isinstance(event.data, WorkDefined):
        return ()
    detail = f"nobody is named to answer for {event.subject}"
    return (
        Breach(rule="hidden-work", detail=f"{event.subject} is not defined"),
        Breach(rule="accountability-defaulted", detail=detail),
    )


def discover(work: Work, event: Event) -> Work:
    """The work as it is known from its first event on, before what that event says of it."""
    source = event.authid if event.authtype == "system" else work.source
    return _replace(work, life=Lifecycle("discovered", 1), source=source)


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
    scope = f"process/{data.process.id}" if data.process is not None else ""
    yield from check_given(data.accountable, scope, "data.accountable", directory)
    if data.due_at is not None or data.start_by is not None:
        yield from check_ahead(data.due_at, f"{event.subject} is due", "data.due_at", event)
        yield from check_ahead(data.start_by, f"{event.subject} is to begin", "data.start_by", event)
    if data.parent_id is not None or data.dedup_key is not None:
        yield from _check_relations(data, event.subject.partition("/")[2], directory)
    for field, named in (("candidates", data.candidates), ("contributors", data.contributors)):
        for who in named:
            if not directory.is_here(who):
                detail = f"{who} is not registered or has left"
                yield Breach(rule="unregistered-actor", detail=detail, field=f"data.{field}")
    if data.process is not None:
        id, version = data.process.id, data.process.version
        if directory.process(id, version) is None:
            yield Breach(rule="unpublished", detail=f"process {id} has no version {version}", field="data.process")
        elif directory.is_retired(id, version, event.time):
            yield Breach(rule="unpublished", detail=f"process {id} version {version} is retired", field="data.process")
    for field, pinned in (("review_policy", data.review_policy), ("escalation_policy", data.escalation_policy)):
        if pinned is not None:
            yield from check_policy(pinned, field, directory)


def _check_relations(data: WorkDefined, work: str, directory: Directory) -> Iterator[Breach]:
    if data.parent_id is not None and directory.relations.is_part_of(data.parent_id, work):
        detail = f"{work} cannot be a part of {data.parent_id}, which is a part of it"
        yield Breach(rule="relation-cycle", detail=detail, field="data.parent_id")
    # Of work that ended otherwise nobody said that all of it is done: what is left of it may go on.
    whole = directory.relations.ended.get(data.parent_id or "")
    if whole is not None and whole.completed and work not in directory.relations.ended:
        detail = f"{data.parent_id} is completed, and nothing in it is open; reopen it, or define {work} by itself"
        yield Breach(rule="criteria-open", detail=detail, field="data.parent_id")
    if data.dedup_key is not None:
        same = directory.relations.duplicates(work, data.dedup_key)
        if same:
            detail = f"{same[0]} is to do the same ({data.dedup_key}) and has not ended"
            yield Breach(rule="duplicate-effort", detail=detail, field="data.dedup_key")


def _check_executor(
    work: Work, data: WorkAssigned | ClaimAcquired | HandoverAccepted, event: Event, directory: Directory
) -> Sequence[Breach]:
    match data:
        case WorkAssigned(executor=executor):
            field = "data.executor"
        case ClaimAcquired(holder=executor):
            field = "data.holder"
        case HandoverAccepted(to=executor):
            field = "data.to"
    if not directory.is_here(executor):
        detail = f"{executor} is not registered or has left; give the work to somebody who is here"
        return (Breach(rule="unregistered-actor", detail=detail, field=field),)
    # That whoever is suspended claims nothing, the claims say.
    return () if isinstance(data, ClaimAcquired) else [*check_given(executor, work.scope, field, directory)]


def _check_readied(work: Work, data: WorkReadied, event: Event, directory: Directory) -> Sequence[Breach]:
    required = _required(work, directory)
    return [
        Breach(rule="not-ready", detail=f"{event.subject} is not ready: {entry[:200]!r} is not answered")
        for entry in (stack.unmet(required, work.definition, data) if required else ())
    ]


def _check_declined(work: Work, data: WorkDeclined, event: Event, directory: Directory) -> Iterator[Breach]:
    who = data.executor or event.authid
    if who != work.executor and who not in directory.members(work.executor or ""):
        detail = f"{who} is not to carry {event.subject} out; {work.executor or 'nobody'} is"
        yield Breach(rule="executor-only", detail=detail, field="data.executor")


def _check_superseded(work: Work, data: WorkSuperseded, event: Event, directory: Directory) -> Iterator[Breach]:
    if data.duplicate_of is not None and data.duplicate_of == event.subject.partition("/")[2]:
        detail = f"{data.duplicate_of} cannot take its own place"
        yield Breach(rule="relation-cycle", detail=detail, field="data.duplicate_of")


def _check_completion(work: Work, data: WorkCompleted, event: Event, directory: Directory) -> Iterator[Breach]:
    criteria = work.definition.acceptance_criteria if work.definition is not None else ()
    yield from _check_criteria(criteria, work.verdicts)
    parts = directory.relations.open_parts(event.subject.partition("/")[2])
    if parts:
        detail = f"{', '.join(parts[:5])}{' and more' if parts[5:] else ''}, a part of it, has not ended"
        yield Breach(rule="criteria-open", detail=detail)
    for id, escalation in work.escalations.items():
        if escalation.raised.blocking and escalation.is_open:
            detail = f"the blocking escalation {id} is {escalation.status}; resolve or cancel it first"
            yield Breach(rule="criteria-open", detail=detail)


def _check_ready(
    work: Work, data: WorkDelegated | ExecutionStarted, event: Event, directory: Directory
) -> Sequence[Breach]:
    """Whether work is ready to be taken up, where its process says what that takes."""
    # What is done once more was ready before.
    required = _required(work, directory) if work.life.cycle <= 1 else ()
    if not required:
        return ()
    reasons = [f"{entry[:80]!r} is not answered" for entry in stack.unmet(required, work.definition, work.readied)]
    if not reasons and work.readied is None:
        reasons = ["nobody has said that it is"]
    if not reasons:
        return ()
    return (Breach(rule="not-ready", detail=f"{event.subject} is not ready: {', '.join(reasons)}"),)


def _required(work: Work, directory: Directory) -> Sequence[str]:
    """The definition of ready of the version of the process that the work is pinned to."""
    pinned = work.process
    process = directory.process(pinned.id, pinned.version) if pinned is not None else None
    return process.definition_of_ready if process is not None else ()


def _check_clarification(work: Work, data: WorkClarified, event: Event, directory: Directory) -> Iterator[Breach]:
    for name in data.changes:
        if name == "accountable":
            detail = "who answers is changed by a transfer, not by a clarification"
            yield Breach(rule="accountability-chain", detail=detail, field="data.changes.accountable")
        elif name == "review_policy":
            detail = "the review policy is pinned when the work is defined; a clarification does not change it"
            yield Breach(rule="control-bypassed", detail=detail, field="data.changes.review_policy")
    for name in _TIMES & data.changes.keys():
        with suppress(msgspec.ValidationError):
            when = msgspec.convert(data.changes[name].new, datetime | None)
            yield from check_ahead(when, f"{name} would be", f"data.changes.{name}", event)
    bounds = sorted(BOUNDS & data.changes.keys())
    if bounds and directory.kind(event.authid or "") == "agent":
        detail = f"{', '.join(bounds)}: what binds an agent is for people to change"
        yield Breach(rule="delegation-violated", detail=detail, field="data.changes")


def _check_deadline(work: Work, data: DeadlineSet, event: Event, directory: Directory) -> Iterator[Breach]:
    return check_ahead(data.new, f"{event.subject} would be due", "data.new", event)


def _check_offer(work: Work, data: AccountabilityOffered, event: Event, directory: Directory) -> Iterator[Breach]:
    if not directory.is_person(data.to):
        yield Breach(rule="accountable-human", detail=_no_person(data.to, directory), field="data.to")
    yield from check_given(data.to, work.scope, "data.to", directory)
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
    yield from check_given(data.to, work.scope, "data.to", directory)
    yield from _check_giver(work, data.from_, event, directory)
    if data.basis == "accepted":
        if data.accepted_by != data.to:
            detail = f"{data.to} has to accept, not {data.accepted_by or 'nobody'}"
            yield Breach(rule="accountability-chain", detail=detail, field="data.accepted_by")
        elif work.offered_to != data.to:
            detail = f"{event.subject} was not offered to {data.to}; who answers for it offers it first"
            yield Breach(rule="accountability-chain", detail=detail, field="data.to")
        return
    if data.basis == "absence":
        answers = work.answers(directory).person or ""
        stands_in = directory.substitute(answers, "accountability", event.time)
        if stands_in == answers or stands_in != data.to:
            who = f"{stands_in or 'nobody'} stands in" if stands_in != answers else f"{answers or 'nobody'} is not away"
            detail = f"{data.to} does not stand in for {answers or 'nobody'} in what they answer for; {who}"
            yield Breach(rule="accountability-chain", detail=detail, field="data.to")
        if event.authid == data.to:
            return  # whoever was named to stand in needs nobody else's word for it
    if event.authtype != "system" and not work.has_authority(event.authid or "", directory, event.time):
        yield _no_authority(work, event.authid or "nobody", event, directory)


def _check_verification(work: Work, data: WorkVerified, event: Event, directory: Directory) -> Iterator[Breach]:
    criteria = work.definition.acceptance_criteria if work.definition is not None else ()
    if not criteria and not data.criteria:
        return
    yield from _check_criteria(criteria, work.verdicts | {c.id: c.result for c in data.criteria})
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


def _check_criteria(criteria: Sequence[AcceptanceCriterion], verdicts: Mapping[str, str]) -> Iterator[Breach]:
    for criterion in criteria:
        verdict = verdicts.get(criterion.id)
        if verdict not in ("passed", "waived"):
            state = "failed; reopen the work" if verdict else "has no verdict"
            detail = f"criterion {criterion.id} ({criterion.text[:80]}) {state}"
            yield Breach(rule="criteria-open", detail=detail, field="data.criteria")


def _check_step(work: Work, data: Any, event: Event, directory: Directory) -> Sequence[Breach]:
    """Whether the event leads on from where the work stands."""
    if step(work.life, data).allowed:
        return ()
    fact = event.type.removeprefix("attorn.").rpartition(".v")[0]
    before = ", ".join(follows(data))
    detail = f"{event.subject} is {work.life.state or 'unknown'}; {fact} follows only {before}"
    return (Breach(rule="illegal-transition", detail=detail),)


def _check_mandate(work: Work, data: Any, event: Event, directory: Directory) -> Sequence[Breach]:
    """What an agent may do to work only while somebody has entrusted it with the work."""
    actor = directory.participants.get(event.authid or "")
    if actor is None or actor.kind != "agent":
        return ()
    if work.mandate(actor.id, event.time) is None:
        detail = f"{actor.id} is an agent and has no live delegation for {event.subject}; a person delegates it first"
        return (Breach(rule="undelegated-execution", detail=detail),)
    return ()


STEPS: Final[Checks] = dict.fromkeys(MOVING, _check_step)
"""Judged before all that stands in CHECKS."""

CHECKS: Final[Checks] = {
    WorkDefined: _check_definition,
    WorkClarified: _check_clarification,
    DeadlineSet: _check_deadline,
    WorkAssigned: _check_executor,
    ClaimAcquired: _check_executor,
    HandoverAccepted: _check_executor,
    AccountabilityOffered: _check_offer,
    AccountabilityTransferred: _check_transfer,
    WorkVerified: _check_verification,
    WorkReadied: _check_readied,
    WorkDelegated: _check_ready,
    ExecutionStarted: _check_ready,
    WorkDeclined: _check_declined,
    WorkSuperseded: _check_superseded,
    WorkCompleted: _check_completion,
}

MANDATES: Final[Checks] = dict.fromkeys(
    (
        WorkClarified,
        WorkReadied,
        WorkReprioritized,
        DeadlineSet,
        WorkAssigned,
        WorkUnassigned,
        WorkSuspended,
        WorkResumed,
        WorkSubmitted,
        WorkVerified,
        WorkCompleted,
        WorkReopened,
        WorkCancelled,
        WorkFailed,
        WorkSuperseded,
        DependencyAdded,
        DependencySatisfied,
        DependencyBroken,
        WorkBlocked,
        WorkUnblocked,
        ReviewRequested,
        OutputProduced,
        OutputReleased,
        OutputWithdrawn,
    ),
    _check_mandate,
)
"""Judged after all that stands in CHECKS. Anybody may escalate, or note."""


# ---- what an event changes


def _define_first(work: Work, data: WorkDefined, event: Event) -> Work:
    # The first definition stands; a second one is a finding and changes nothing.
    return _replace(work, definition=data, named=data.accountable) if work.definition is None else work


def _say_more_exactly(work: Work, data: WorkClarified, event: Event) -> Work:
    return _replace(work, definition=_clarified(work.definition, data.changes)) if work.definition is not None else work


def _prioritize(work: Work, data: WorkReprioritized, event: Event) -> Work:
    return _redefined(work, priority=data.new)


def _set_deadline(work: Work, data: DeadlineSet, event: Event) -> Work:
    return _redefined(work, **{"due_at" if data.kind == "completion" else "start_by": data.new})


def _redefined(work: Work, **changes: Any) -> Work:
    return _replace(work, definition=_replace(work.definition, **changes)) if work.definition is not None else work


def _ready(work: Work, data: WorkReadied, event: Event) -> Work:
    return _replace(work, readied=data)


def _share(work: Work, data: ContextShared, event: Event) -> Work:
    return _replace(work, context=(*work.context, data.ref))


def _assign(work: Work, data: WorkAssigned, event: Event) -> Work:
    return _replace(work, executor=data.executor, assigned=data.executor)


def _start(work: Work, data: ExecutionStarted, event: Event) -> Work:
    # What is under way stays with whom it began with: who joins lends a hand, and has no more of a say for it.
    return _replace(work, executor=data.executor) if not work.life.executions else work


def _claim(work: Work, data: ClaimAcquired, event: Event) -> Work:
    claims = work.claims if data.claim_id in work.claims else (*work.claims, data.claim_id)
    return _replace(work, executor=data.holder, assigned=data.holder, claims=claims)


def _take_over(work: Work, data: HandoverAccepted, event: Event) -> Work:
    # Whoever is said to have taken it goes on with it, offered or not: nobody else is at it for them.
    return _replace(work, executor=data.to, assigned=data.to)


def _decline(work: Work, data: WorkDeclined, event: Event) -> Work:
    who = data.executor or work.executor or ""
    return _replace(work, executor=None, assigned=None, declined_by=(*(d for d in work.declined_by if d != who), who))


def _leave(work: Work, data: Any, event: Event) -> Work:
    return _replace(work, executor=None, assigned=None)


def _offer(work: Work, data: AccountabilityOffered, event: Event) -> Work:
    return _replace(work, offered_to=data.to)


def _transfer(work: Work, data: AccountabilityTransferred, event: Event) -> Work:
    return _replace(work, named=data.to, offered_to=None)


def _verify(work: Work, data: WorkVerified, event: Event) -> Work:
    return _replace(work, verdicts=work.verdicts | {c.id: c.result for c in data.criteria}) if data.criteria else work


def _reopen(work: Work, data: WorkReopened, event: Event) -> Work:
    return _replace(work, executor=None, assigned=None, verdicts={}, readied=None, declined_by=())


def _step(work: Work, data: Any, event: Event) -> Work:
    after = step(work.life, data).after
    return _replace(work, life=after) if after is not work.life else work


CHANGES: Final[Changes] = {
    WorkDefined: _define_first,
    WorkClarified: _say_more_exactly,
    WorkReprioritized: _prioritize,
    DeadlineSet: _set_deadline,
    WorkReadied: _ready,
    ContextShared: _share,
    WorkAssigned: _assign,
    ExecutionStarted: _start,
    ClaimAcquired: _claim,
    HandoverAccepted: _take_over,
    WorkDeclined: _decline,
    ClaimReleased: _leave,
    ClaimExpired: _leave,
    ClaimRevoked: _leave,
    WorkUnassigned: _leave,
    AccountabilityOffered: _offer,
    AccountabilityTransferred: _transfer,
    WorkVerified: _verify,
    WorkReopened: _reopen,
}

MOVES: Final[Changes] = dict.fromkeys(MOVING, _step)
"""Where the work stands: changed after all else, which goes by where it stood."""


def _clarify(work: Work, changes: Mapping[str, Any], reason: str) -> Sequence[msgspec.Struct]:
    if work.definition is None:
        # Nothing was said yet that could be said more exactly; the rule about unknown work says the rest.
        return [WorkClarified(changes={name: Change(new=new) for name, new in changes.items()}, reason=reason)]
    before = msgspec.to_builtins(work.definition)
    for name in changes:
        if name not in CLARIFIABLE:
            raise Unreadable(f"cannot be clarified; what can is {', '.join(sorted(CLARIFIABLE))}", f"changes.{name}")
    for stray in door.unknown_fields(changes, WorkDefined, "changes"):
        raise Unreadable("is not a field there", stray)
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


def _deadline(work: Work, kind: str) -> datetime | None:
    if work.definition is None:
        return None
    return work.definition.due_at if kind == "completion" else work.definition.start_by
