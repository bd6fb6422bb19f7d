"""Execution: somebody carries the work out; what they did, what they had to ask, how it ended."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.escalation import WorkEscalated
from attorn.contracts.execution import (
    AdaptExecution,
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionAdapted,
    ExecutionGuided,
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionProgressed,
    ExecutionStarted,
    GuideExecution,
    ProgressExecution,
    ProvideInput,
    RecordAction,
    RequireInput,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.output import Output, OutputProduced, OutputReleased, OutputWithdrawn
from attorn.contracts.refusal import Breach
from attorn.contracts.review import ReviewRequested, WorkReviewed
from attorn.contracts.work import WorkCompleted, WorkSubmitted, WorkVerified
from attorn.projections.bounds import matches
from attorn.projections.directory import Directory
from attorn.services.delegation import occasion
from attorn.services.execution import consequence, version
from attorn.services.output import schema
from attorn.services.review import request
from attorn.services.transact import Context
from attorn.services.work.state import Execution, Made, Question, Work
from attorn.services.work.tables import Changes, Checks

ExecutionCommand: TypeAlias = (
    StartExecution
    | ProgressExecution
    | RecordAction
    | GuideExecution
    | AdaptExecution
    | RequireInput
    | ProvideInput
    | ExecuteWork
)


def decide(work: Work, command: ExecutionCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case StartExecution():
            return _start(work, command, context)
        case ProgressExecution(execution_id=id, percent=percent, note=note):
            return [ExecutionProgressed(execution_id=id, percent=percent, note=note)]
        case RecordAction():
            said = {n: getattr(command, n) for n in ExecutionActionRecorded.__struct_fields__}
            action = ExecutionActionRecorded(**{**said, "action_id": command.action_id or context.new_id})
            return [action, *consequence.of(work, action, context)]
        case GuideExecution(execution_id=id, text=text):
            return [ExecutionGuided(execution_id=id, text=text, by=context.actor)]
        case AdaptExecution(execution_id=id, before=before, after=after, reason=reason):
            return [ExecutionAdapted(execution_id=id, before=before, after=after, reason=reason)]
        case RequireInput():
            said = {n: getattr(command, n) for n in ExecutionInputRequired.__struct_fields__ if n not in ("by", "team")}
            asked = ExecutionInputRequired(**{**said, "request_id": command.request_id or context.new_id})
            known = work.questions.get(asked.request_id)
            return [] if known is not None and known.asked == asked and known.answered is None else [asked]
        case ProvideInput(request_id=id, response=response, answer=answer):
            known = work.questions.get(id)
            execution = known.asked.execution_id if known is not None else None
            provided = ExecutionInputProvided(
                request_id=id, response=response, answer=answer, execution_id=execution, by=context.actor
            )
            return [] if known is not None and known.answered == provided else [provided]
        case ExecuteWork():
            return _execute(work, command, context)


def _start(work: Work, command: StartExecution, context: Context) -> Sequence[msgspec.Struct]:
    executor = command.executor or context.actor
    held = work.delegations.get(command.delegation_id or "") or work.mandate(executor, context.at)
    started = ExecutionStarted(
        execution_id=command.execution_id or context.new_id,
        executor=executor,
        step_id=command.step_id,
        attempt=command.attempt or len(work.executions) + 1,
        delegation_id=command.delegation_id or (held.terms.delegation_id if held is not None else None),
        claim_id=command.claim_id,
        fence=command.fence,
        process_version=command.process_version or (work.process.version if work.process else None),
        instructions_dig=command.instructions_dig,
        agent_version=command.agent_version,
        model=command.model,
    )
    stands = version.instructions(work, started, context.directory) if started.instructions_dig is None else None
    if stands is not None:
        started = msgspec.structs.replace(started, instructions_dig=stands.dig)
    running = work.executions.get(started.execution_id)
    return [] if running is not None and running.ended is None and running.executor == executor else [started]


def _execute(work: Work, command: ExecuteWork, context: Context) -> Sequence[msgspec.Struct]:
    ended = WorkExecuted(**{name: getattr(command, name) for name in WorkExecuted.__struct_fields__})
    running = work.executions.get(command.execution_id)
    if running is not None and running.ended == ended:
        return []
    # What changes an output ends, in the same append, what was said about it as it was.
    events: list[msgspec.Struct] = [ended, *request.overtaken(work, command.outputs)]
    if command.result == "completed" and running is not None:
        name, by = command.execution_id, running.executor
        events += request.asked_for(work, command.outputs, context, name=name, executor=by,
                                    confidence=command.confidence)  # fmt: skip
        if not work.wants_review(context.directory) and _is_reviewed_after(work, running):
            events += _after_the_fact(work, command, by, context)
    return [*events, *consequence.of(work, ended, context)]


def _is_reviewed_after(work: Work, running: Execution) -> bool:
    return any(held.terms.autonomy == "act_then_review" for held in work.lineage(running.delegation_id or ""))


def _after_the_fact(work: Work, command: ExecuteWork, executor: str, context: Context) -> Iterator[ReviewRequested]:
    """Where no policy asks for reviews, the mandate of who acts and is reviewed after does; who answers is asked."""
    answers = work.answers(context.directory).person
    for number, output in enumerate(command.outputs, start=1):
        yield ReviewRequested(
            review_id=f"{command.execution_id}-R{number}"[-64:],
            output_id=output.output_id,
            output_dig=output.dig,
            candidates=(answers,) if answers not in (None, executor) else (),
            excluded=(executor,),
        )


def _check_start(work: Work, data: ExecutionStarted, event: Event, directory: Directory) -> Iterator[Breach]:
    executor, id = data.executor, data.execution_id
    if not directory.is_here(executor):
        detail = f"{executor} is not registered or has left"
        yield Breach(rule="unregistered-actor", detail=detail, field="data.executor")
    if id in work.executions:
        yield Breach(rule="execution-unknown", detail=f"execution {id} has started before; use a new id")
    if not _may_start(work, executor, event, directory):
        candidates = work.definition.candidates if work.definition is not None else ()
        named = work.executor or f"one of {', '.join(candidates[:10])}"
        detail = f"{named} is to carry {event.subject} out, not {executor}; assign it, or hand it over"
        yield Breach(rule="executor-only", detail=detail, field="data.executor")
    yield from version.check(work, data, event, directory)


def _may_start(work: Work, executor: str, event: Event, directory: Directory) -> bool:
    """Who the work was given to, one of that team, whom it was delegated to; and whoever has authority gives it.

    What nobody has is for its candidates to begin, where it has any.
    """
    holders = {holder for holder in (work.executor, work.assigned) if holder is not None}
    if work.life.state in ("defined", "ready") and work.definition is not None:
        holders |= {*work.definition.candidates}
    elif work.life.state != "claimed":
        return True  # where others are at it, one more may join
    return (
        not holders
        or executor in holders
        or any(executor in directory.members(holder) for holder in holders)
        or work.mandate(executor, event.time) is not None
        or directory.kind(executor) == "agent"  # without a mandate it breaks another rule
        or work.has_authority(event.authid or "", directory, event.time)
    )


def _check_running(
    work: Work, data: ExecutionProgressed | ExecutionAdapted, event: Event, directory: Directory
) -> Sequence[Breach]:
    return _not_running(work, data.execution_id)


def _not_running(work: Work, id: str) -> Sequence[Breach]:
    found = work.executions.get(id)
    if found is None:
        detail = f"no execution {id} has started"
    elif found.ended is not None:
        detail = f"execution {id} is over ({found.ended.result}); start another"
    elif id not in work.life.executions:
        # The work was ended, handed in or given to somebody else meanwhile, and no execution outlives that.
        detail = f"execution {id} is over, as the work has moved on and is {work.life.state}; start another"
    else:
        return ()
    return (Breach(rule="execution-unknown", detail=detail, field="data.execution_id"),)


def _check_action(work: Work, data: ExecutionActionRecorded, event: Event, directory: Directory) -> Iterable[Breach]:
    found = _not_running(work, data.execution_id)
    excluded = work.definition.scope.excluded if work.definition is not None else ()
    return (*found, *_outside(excluded, data)) if excluded else found


def _outside(excluded: Sequence[str], action: ExecutionActionRecorded) -> Iterator[Breach]:
    """Whoever does it, with whatever mandate: what the definition leaves out is not done in this work."""
    for field, named in (("data.target", action.target), ("data.tool", action.tool)):
        if named and matches(named, excluded):
            detail = f"{named} is outside the scope of the work, which excludes {', '.join(excluded)}"
            yield Breach(rule="scope-exceeded", detail=detail, field=field)


def _check_guidance(work: Work, data: ExecutionGuided, event: Event, directory: Directory) -> Iterator[Breach]:
    yield from _not_running(work, data.execution_id)
    if data.by is not None and not directory.is_here(data.by):
        yield Breach(rule="unregistered-actor", detail=f"{data.by} is not registered or has left", field="data.by")


def _check_question(work: Work, data: ExecutionInputRequired, event: Event, directory: Directory) -> Iterator[Breach]:
    yield from _not_running(work, data.execution_id)
    request = data.request_id
    if request in work.questions:
        detail = f"question {request} was asked before; use a new id"
        yield Breach(rule="input-unasked", detail=detail, field="data.request_id")
    problem = schema.problem(data.schema) if data.schema is not None else None
    if problem is not None:
        detail = f"the schema of question {request} {problem}"
        yield Breach(rule="condition-unsound", detail=detail, field="data.schema")


def _check_answer(work: Work, data: ExecutionInputProvided, event: Event, directory: Directory) -> Iterator[Breach]:
    request, by = data.request_id, data.by
    question = work.questions.get(request)
    if question is None or question.answered is not None:
        state = "was never asked" if question is None else "has its answer"
        yield Breach(rule="input-unasked", detail=f"question {request} {state}", field="data.request_id")
    elif data.execution_id not in (None, question.asked.execution_id):
        detail = f"question {request} was asked in {question.asked.execution_id}, not in {data.execution_id}"
        yield Breach(rule="input-unasked", detail=detail, field="data.execution_id")
    elif (decision := work.decisions.get(request)) is not None and question.asked.kind == "decision":
        if decision.made is None or by not in (None, decision.made.decider):
            detail = f"{request} is a decision; whoever makes it does so as one, and the execution gets it"
            yield Breach(rule="decision-open", detail=detail, field="data.request_id")
    elif by is not None and not _may_answer(work, question, by, event.time, directory):
        detail = f"question {request} is for {question.asked.from_} to answer, not for {by}"
        yield Breach(rule="input-unasked", detail=detail, field="data.by")
    if question is not None and question.asked.kind != "decision":
        yield from _check_fit(question.asked, data)


def _check_result(work: Work, data: WorkExecuted, event: Event, directory: Directory) -> Iterable[Breach]:
    running = work.executions.get(data.execution_id)
    asked = _not_asked(data.execution_id, running) if running is not None else ()
    return (*_not_running(work, data.execution_id), *asked)


def _check_asked(
    work: Work, data: WorkSubmitted | WorkVerified | WorkCompleted | OutputReleased, event: Event, directory: Directory
) -> Sequence[Breach]:
    return [breach for id, running in work.executions.items() for breach in _not_asked(id, running)]


def _check_fit(asked: ExecutionInputRequired, answer: ExecutionInputProvided) -> Iterator[Breach]:
    """Whoever turns a question down owes it no answer; a plain yes needs none."""
    if answer.response in ("decline", "ignore") or (answer.response == "accept" and answer.answer is None):
        return
    offered = [option.id for option in asked.options]
    if offered and answer.answer not in offered:
        detail = f"the answer to {asked.request_id} is none of its options: {', '.join(offered[:10])}"
        yield Breach(rule="input-unfit", detail=detail, field="data.answer")
    if asked.schema is None:
        return
    try:
        faults = schema.faults(asked.schema, msgspec.json.encode(answer.answer).decode())
    except schema.TooMuch as error:
        faults = [f"its schema {error}; decline, so that it is asked in another way"]
    if faults:
        detail = f"the answer to {asked.request_id} does not fit: {'; '.join(faults)}"
        yield Breach(rule="input-unfit", detail=detail, field="data.answer")


def _not_asked(id: str, running: Execution) -> Sequence[Breach]:
    return [
        Breach(
            rule="escalation-due",
            detail=f"in execution {id} somebody had to be asked, and nobody was: {why}",
            field="data.execution_id",
        )
        for why in running.due
    ]


def _may_answer(work: Work, question: Question, by: str, at: datetime, directory: Directory) -> bool:
    """Who was asked, whoever succeeded them, who holds the role that was asked, who has authority over the work."""
    asked = question.asked.from_
    return by in (asked, directory.successor(asked), *directory.persons(asked)) or work.has_authority(by, directory, at)


CHECKS: Final[Checks] = {
    ExecutionStarted: _check_start,
    ExecutionActionRecorded: _check_action,
    ExecutionProgressed: _check_running,
    ExecutionAdapted: _check_running,
    ExecutionGuided: _check_guidance,
    ExecutionInputRequired: _check_question,
    ExecutionInputProvided: _check_answer,
    WorkExecuted: _check_result,
    WorkSubmitted: _check_asked,
    WorkVerified: _check_asked,
    WorkCompleted: _check_asked,
    OutputReleased: _check_asked,
}


# ---- what an event changes


def _begin(work: Work, data: ExecutionStarted, event: Event) -> Work:
    if data.execution_id in work.life.executions:
        return work  # nobody becomes the executor of what another carries out, by its id
    delegation = data.delegation_id
    if delegation is None:
        held = work.mandate(data.executor, event.time)
        delegation = held.terms.delegation_id if held is not None else None
    begun = Execution(data.executor, delegation, None, data, event.time)
    return msgspec.structs.replace(work, executions={**work.executions, data.execution_id: begun})


def _act(work: Work, data: ExecutionActionRecorded, event: Event) -> Work:
    return _ask(work, data.execution_id, event)


def _adapt(work: Work, data: ExecutionAdapted, event: Event) -> Work:
    # What was approved of was another plan, and so is what is still being asked.
    asked = (q for q, question in work.questions.items() if question.asked.execution_id == data.execution_id)
    return _set(work, data.execution_id, approved=None, outdated=tuple(asked))


def _escalate(work: Work, data: WorkEscalated, event: Event) -> Work:
    for id in [id for id, running in work.executions.items() if running.due]:
        work = _set(work, id, due=())
    return work


def _require(work: Work, data: ExecutionInputRequired, event: Event) -> Work:
    if data.request_id in work.questions:
        return work
    return msgspec.structs.replace(work, questions={**work.questions, data.request_id: Question(data)})


def _answer(work: Work, data: ExecutionInputProvided, event: Event) -> Work:
    question = work.questions.get(data.request_id)
    # The first answer stands: what the execution went on by is not changed afterwards.
    if question is None or question.answered is not None:
        return work
    running = work.executions.get(question.asked.execution_id)
    if _approves(question, data) and running is not None and data.request_id not in running.outdated:
        work = _set(work, question.asked.execution_id, approved=data.request_id)
    answered = msgspec.structs.replace(question, answered=data)
    return msgspec.structs.replace(work, questions={**work.questions, data.request_id: answered})


def _produce(work: Work, data: OutputProduced, event: Event) -> Work:
    return _make(work, (data.output,), data.execution_id, handed_over=False)


def _end(work: Work, data: WorkExecuted, event: Event) -> Work:
    id, running = data.execution_id, work.executions.get(data.execution_id)
    if running is not None and running.ended is None:
        work = _set(_ask(work, id, event), id, ended=data)
    # Of an execution that is over, too: bytes that there are by now want a look of their own before they go out. Were
    # they forgotten, what was approved before could go out in their name.
    return _make(work, data.outputs, id, handed_over=data.result == "completed")


def _edit(work: Work, data: WorkReviewed, event: Event) -> Work:
    output = data.new_output
    if data.verdict != "edited" or output is None:
        return work
    before = work.outputs.get(output.output_id)
    makers = (*(before.makers if before is not None else ()), data.reviewer)
    by = before.execution_id if before is not None else None
    made = Made(output, makers, handed_over=True, execution_id=by)
    return msgspec.structs.replace(work, outputs={**work.outputs, output.output_id: made})


def _hand_in(work: Work, data: WorkSubmitted, event: Event) -> Work:
    return _with(work, data.outputs, handed_over=True)


def _release(work: Work, data: OutputReleased, event: Event) -> Work:
    return _with(work, (data.output_id,), released=True, withdrawn=False)


def _withdraw(work: Work, data: OutputWithdrawn, event: Event) -> Work:
    return _with(work, (data.output_id,), released=False, withdrawn=True)


def _ask(work: Work, id: str, event: Event) -> Work:
    """Remember what somebody has to be asked about, until anything of this work is escalated."""
    running = work.executions.get(id)
    if running is None or running.ended is not None or running.delegation_id is None:
        return work
    asks = [held for held in work.lineage(running.delegation_id) if held.terms.escalate_when]
    if not asks or any(known.is_open for known in work.escalations.values()):
        return work
    said = dict.fromkeys((*running.due, *(due.why for due in occasion.due(work, event.data, event.time, counted=True))))
    return _set(work, id, due=tuple(said)) if said else work


def _approves(question: Question, answer: ExecutionInputProvided) -> bool:
    approval = question.asked.kind in ("approval", "authorization")
    return approval and answer.response in ("accept", "edit")


def _set(work: Work, id: str, **changes: Any) -> Work:
    running = work.executions.get(id)
    if running is None:
        return work
    return msgspec.structs.replace(
        work, executions={**work.executions, id: msgspec.structs.replace(running, **changes)}
    )


def _make(work: Work, outputs: Sequence[Output], execution: str | None, handed_over: bool) -> Work:
    if not outputs:
        return work
    running = work.executions.get(execution or "")
    by = running.executor if running is not None else work.executor
    known = {**work.outputs}
    for output in outputs:
        id, before = output.output_id, work.outputs.get(output.output_id)
        # What was found in these same bytes before is still in them.
        checks = before.checks if before is not None and before.output.dig == output.dig else {}
        # What is handed in together may replace one another.
        makers = _makers(known, output, by)
        known[id] = Made(output, makers, handed_over, execution_id=execution, checks=checks)
    replaced = {output.supersedes for output in outputs} - {output.output_id for output in outputs}
    for id in known.keys() & replaced:
        del known[id]
    return msgspec.structs.replace(work, outputs=known)


def _makers(known: Mapping[str, Made], output: Output, by: str | None) -> tuple[str, ...]:
    """Who made an output, these same bytes, or what it replaces: none of them is somebody else when it is reviewed."""
    replaced = (output.output_id, output.supersedes)
    makers: dict[str, None] = {}
    for id, made in known.items():
        if id in replaced or made.output.dig == output.dig:
            makers |= dict.fromkeys(made.makers)
    if by is not None:
        makers[by] = None
    return tuple(makers)


def _with(work: Work, outputs: Sequence[str], **changes: bool) -> Work:
    made = {id: msgspec.structs.replace(work.outputs[id], **changes) for id in outputs if id in work.outputs}
    return msgspec.structs.replace(work, outputs={**work.outputs, **made}) if made else work


CHANGES: Final[Changes] = {
    ExecutionStarted: _begin,
    ExecutionActionRecorded: _act,
    ExecutionAdapted: _adapt,
    WorkEscalated: _escalate,
    ExecutionInputRequired: _require,
    ExecutionInputProvided: _answer,
    OutputProduced: _produce,
    WorkExecuted: _end,
    WorkReviewed: _edit,
    WorkSubmitted: _hand_in,
    OutputReleased: _release,
    OutputWithdrawn: _withdraw,
}
