"""Execution: somebody carries the work out; what they did, what they had to ask, how it ended."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionProgressed,
    ExecutionStarted,
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
from attorn.contracts.work import WorkSubmitted
from attorn.projections.directory import Directory
from attorn.services.transact import Context
from attorn.services.work.state import Execution, Made, Question, Work

ExecutionCommand: TypeAlias = (
    StartExecution | ProgressExecution | RecordAction | RequireInput | ProvideInput | ExecuteWork
)

initial = Work()


def decide(work: Work, command: ExecutionCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case StartExecution():
            return _start(work, command, context)
        case ProgressExecution(execution_id=id, percent=percent, note=note):
            return [ExecutionProgressed(execution_id=id, percent=percent, note=note)]
        case RecordAction():
            said = {n: getattr(command, n) for n in ExecutionActionRecorded.__struct_fields__}
            return [ExecutionActionRecorded(**{**said, "action_id": command.action_id or context.new_id})]
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


def check(work: Work, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules of carrying work out `event` breaks."""
    match event.data:
        case ExecutionStarted(executor=executor, execution_id=id):
            if not directory.is_here(executor):
                detail = f"{executor} is not registered or has left"
                yield Breach(rule="unregistered-actor", detail=detail, field="data.executor")
            if id in work.executions:
                yield Breach(rule="execution-unknown", detail=f"execution {id} has started before; use a new id")
        case ExecutionProgressed(execution_id=id) | ExecutionActionRecorded(execution_id=id):
            yield from _check_running(work, id)
        case ExecutionInputRequired(execution_id=id, request_id=request):
            yield from _check_running(work, id)
            if request in work.questions:
                detail = f"question {request} was asked before; use a new id"
                yield Breach(rule="input-unasked", detail=detail, field="data.request_id")
        case ExecutionInputProvided(request_id=request, by=by):
            question = work.questions.get(request)
            if question is None or question.answered is not None:
                state = "was never asked" if question is None else "has its answer"
                yield Breach(rule="input-unasked", detail=f"question {request} {state}", field="data.request_id")
            elif by is not None and not _may_answer(work, question, by, event.time, directory):
                detail = f"question {request} is for {question.asked.from_} to answer, not for {by}"
                yield Breach(rule="input-unasked", detail=detail, field="data.by")
        case WorkExecuted(execution_id=id):
            yield from _check_running(work, id)
        case _:
            pass


def evolve(work: Work, event: Event) -> Work:
    """What is true of the work's executions, questions and outputs afterwards."""
    replace = msgspec.structs.replace
    match event.data:
        case ExecutionStarted(execution_id=id, executor=executor, delegation_id=delegation):
            if delegation is None:
                held = work.mandate(executor, event.time)
                delegation = held.terms.delegation_id if held is not None else None
            return replace(work, executions={**work.executions, id: Execution(executor, delegation)})
        case ExecutionInputRequired(request_id=request) as asked if request not in work.questions:
            return replace(work, questions={**work.questions, request: Question(asked)})
        case ExecutionInputProvided(request_id=request) as answer if request in work.questions:
            # The first answer stands: what the execution went on by is not changed afterwards.
            question = work.questions[request]
            if question.answered is None:
                return replace(work, questions={**work.questions, request: replace(question, answered=answer)})
            return work
        case OutputProduced(output=output, execution_id=id):
            return _make(work, (output,), id, handed_over=False)
        case WorkExecuted(execution_id=id, result=result, outputs=outputs) as ended:
            running = work.executions.get(id)
            if running is not None and running.ended is None:
                work = replace(work, executions={**work.executions, id: replace(running, ended=ended)})
            return _make(work, outputs, id, handed_over=result == "completed")
        case WorkReviewed(verdict="edited", new_output=Output() as output, reviewer=reviewer):
            before = work.outputs.get(output.output_id)
            makers = (*(before.makers if before is not None else ()), reviewer)
            return replace(work, outputs={**work.outputs, output.output_id: Made(output, makers, handed_over=True)})
        case WorkSubmitted(outputs=outputs):
            return _with(work, outputs, handed_over=True)
        case OutputReleased(output_id=output_id):
            return _with(work, (output_id,), released=True, withdrawn=False)
        case OutputWithdrawn(output_id=output_id):
            return _with(work, (output_id,), released=False, withdrawn=True)
        case _:
            return work


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
        instructions_dig=command.instructions_dig or _instructions(work, held.terms.delegation_id if held else None),
        agent_version=command.agent_version,
        model=command.model,
    )
    running = work.executions.get(started.execution_id)
    return [] if running is not None and running.ended is None and running.executor == executor else [started]


def _instructions(work: Work, delegation: str | None) -> str | None:
    """The digest of the instructions that stand: the delegation's, else the work's own."""
    held = work.delegations.get(delegation or "")
    told = held.terms.instructions if held is not None else None
    if told is None and work.definition is not None:
        told = work.definition.method.instructions
    return told.dig if told is not None else None


def _execute(work: Work, command: ExecuteWork, context: Context) -> Sequence[msgspec.Struct]:
    ended = WorkExecuted(**{name: getattr(command, name) for name in WorkExecuted.__struct_fields__})
    running, defined = work.executions.get(command.execution_id), work.definition
    if running is not None and running.ended == ended:
        return []
    events: list[msgspec.Struct] = [ended]
    if command.result != "completed" or running is None or defined is None or defined.review_policy is None:
        return events
    pinned = defined.review_policy
    policy = context.directory.policy(pinned.id, pinned.version)
    rules = policy.rules.review if policy is not None else None
    if rules is not None and rules.reviewers_required == 0:
        return events
    named = [person for target in rules.candidates for person in context.directory.persons(target)] if rules else []
    for number, output in enumerate(command.outputs, start=1):
        executor = (running.executor,) if rules is None or rules.exclude_executor else ()
        barred = dict.fromkeys((*executor, *(rules.excluded if rules is not None else ())))
        request = ReviewRequested(
            review_id=f"{command.execution_id}-R{number}"[-64:],
            output_id=output.output_id,
            output_dig=output.dig,
            policy=pinned,
            required=rules.reviewers_required if rules is not None else 1,
            candidates=tuple(c for c in dict.fromkeys(named) if c not in barred),
            excluded=tuple(barred),
            respond_by=context.at + rules.respond_within if rules is not None and rules.respond_within else None,
        )
        events.append(request)
    return events


def _check_running(work: Work, id: str) -> Iterator[Breach]:
    found = work.executions.get(id)
    if found is None:
        yield Breach(rule="execution-unknown", detail=f"no execution {id} has started", field="data.execution_id")
    elif found.ended is not None:
        detail = f"execution {id} is over ({found.ended.result}); start another"
        yield Breach(rule="execution-unknown", detail=detail, field="data.execution_id")


def _may_answer(work: Work, question: Question, by: str, at: datetime, directory: Directory) -> bool:
    """Who was asked, whoever succeeded them, who holds the role that was asked, who has authority over the work."""
    asked = question.asked.from_
    return by in (asked, directory.successor(asked), *directory.persons(asked)) or work.has_authority(by, directory, at)


def _make(work: Work, outputs: Sequence[Output], execution: str | None, handed_over: bool) -> Work:
    running = work.executions.get(execution or "")
    by = running.executor if running is not None else work.executor
    made = {output.output_id: Made(output, (by,) if by is not None else (), handed_over) for output in outputs}
    replaced = {output.supersedes for output in outputs} - made.keys()
    if not made:
        return work
    kept = {id: output for id, output in work.outputs.items() if id not in replaced}
    return msgspec.structs.replace(work, outputs={**kept, **made})


def _with(work: Work, outputs: Sequence[str], **changes: bool) -> Work:
    made = {id: msgspec.structs.replace(work.outputs[id], **changes) for id in outputs if id in work.outputs}
    return msgspec.structs.replace(work, outputs={**work.outputs, **made}) if made else work
