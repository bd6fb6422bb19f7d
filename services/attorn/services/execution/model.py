"""Execution: somebody carries the work out; what they did, what they had to ask, how it ended."""

from collections.abc import Iterator, Sequence
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
from attorn.projections.directory import Directory
from attorn.services.transact import Context
from attorn.services.work.state import Execution, Made, Work

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
            said = {n: getattr(command, n) for n in ExecutionInputRequired.__struct_fields__}
            return [ExecutionInputRequired(**{**said, "request_id": command.request_id or context.new_id})]
        case ProvideInput(request_id=id, response=response, answer=answer):
            return [ExecutionInputProvided(request_id=id, response=response, answer=answer, by=context.actor)]
        case ExecuteWork():
            return _execute(work, command, context)


def check(work: Work, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules of carrying work out `event` breaks."""
    match event.data:
        case ExecutionStarted(executor=executor, execution_id=id):
            if not directory.is_here(executor):
                yield Breach(rule="unregistered-actor", detail=f"{executor} is not registered", field="data.executor")
            if id in work.executions:
                yield Breach(rule="execution-unknown", detail=f"execution {id} has started before; use a new id")
        case ExecutionProgressed(execution_id=id) | ExecutionActionRecorded(execution_id=id):
            yield from _check_running(work, id)
        case ExecutionInputRequired(execution_id=id, request_id=request):
            yield from _check_running(work, id)
            if work.questions.get(request):
                yield Breach(rule="input-unasked", detail=f"question {request} is open already; use a new id")
        case ExecutionInputProvided(request_id=request):
            if not work.questions.get(request):
                state = "has its answer" if request in work.questions else "was never asked"
                yield Breach(rule="input-unasked", detail=f"question {request} {state}", field="data.request_id")
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
        case ExecutionInputRequired(request_id=request):
            return replace(work, questions={**work.questions, request: True})
        case ExecutionInputProvided(request_id=request):
            return replace(work, questions={**work.questions, request: False})
        case OutputProduced(output=output, execution_id=id):
            return _make(work, (output,), id)
        case WorkExecuted(execution_id=id, outputs=outputs):
            running = work.executions.get(id)
            if running is not None:
                work = replace(work, executions={**work.executions, id: replace(running, running=False)})
            return _make(work, outputs, id)
        case WorkReviewed(new_output=Output() as output, reviewer=reviewer):
            return replace(work, outputs={**work.outputs, output.output_id: Made(output, reviewer)})
        case OutputReleased(output_id=output_id) if output_id in work.outputs:
            return replace(work, outputs={**work.outputs, output_id: replace(work.outputs[output_id], released=True)})
        case OutputWithdrawn(output_id=output_id) if output_id in work.outputs:
            return replace(work, outputs={**work.outputs, output_id: replace(work.outputs[output_id], released=False)})
        case _:
            return work


def _start(work: Work, command: StartExecution, context: Context) -> Sequence[msgspec.Struct]:
    executor = command.executor or context.actor
    held = work.mandate(executor, context.at)
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
    return [] if running is not None and running.running and running.executor == executor else [started]


def _instructions(work: Work, delegation: str | None) -> str | None:
    """The digest of the instructions that stand: the delegation's, else the work's own."""
    held = work.delegations.get(delegation or "")
    told = held.terms.instructions if held is not None else None
    if told is None and work.definition is not None:
        told = work.definition.method.instructions
    return told.dig if told is not None else None


def _execute(work: Work, command: ExecuteWork, context: Context) -> Sequence[msgspec.Struct]:
    said = {name: getattr(command, name) for name in WorkExecuted.__struct_fields__}
    events: list[msgspec.Struct] = [WorkExecuted(**said)]
    running, defined = work.executions.get(command.execution_id), work.definition
    if command.result != "completed" or running is None or defined is None or defined.review_policy is None:
        return events
    pinned = defined.review_policy
    policy = context.directory.policy(pinned.id, pinned.version)
    rules = policy.rules.review if policy is not None else None
    for number, output in enumerate(command.outputs, start=1):
        excluded = (running.executor,) if rules is None or rules.exclude_executor else ()
        request = ReviewRequested(
            review_id=f"{command.execution_id}-R{number}"[-64:],
            output_id=output.output_id,
            output_dig=output.dig,
            policy=pinned,
            required=rules.reviewers_required if rules is not None else 1,
            candidates=tuple(
                c for c in (rules.candidates if rules is not None else ()) if context.directory.is_here(c)
            ),
            excluded=(*excluded, *(rules.excluded if rules is not None else ())),
            respond_by=context.at + rules.respond_within if rules is not None and rules.respond_within else None,
        )
        events.append(request)
    return events


def _check_running(work: Work, id: str) -> Iterator[Breach]:
    found = work.executions.get(id)
    if found is None:
        yield Breach(rule="execution-unknown", detail=f"no execution {id} has started", field="data.execution_id")
    elif not found.running:
        yield Breach(rule="execution-unknown", detail=f"execution {id} is over", field="data.execution_id")


def _make(work: Work, outputs: Sequence[Output], execution: str | None) -> Work:
    running = work.executions.get(execution or "")
    by = running.executor if running is not None else work.executor
    made = {output.output_id: Made(output, by) for output in outputs}
    return msgspec.structs.replace(work, outputs={**work.outputs, **made}) if made else work
