"""`attorn execution`: carry work out, and say so."""

from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.decision import money
from attorn.cli.inputs import command, digest_of, fresh, pairs
from attorn.cli.options import From, Given, Id, Note, Text, When, Work
from attorn.cli.output import Column, write_list
from attorn.cli.state import folded, only
from attorn.cli.telling import tell
from attorn.contracts.decision import Option
from attorn.contracts.execution import (
    ActionResult,
    AdaptExecution,
    ExecuteWork,
    ExecutionResult,
    GuideExecution,
    InputKind,
    InputResponse,
    ProgressExecution,
    ProvideInput,
    RecordAction,
    RequireInput,
    StartExecution,
)
from attorn.contracts.output import Contribution, Output

app = App(name="execution", help="Carry work out: start, say what is done, ask, report the end.")

Execution = Annotated[
    str | None, Parameter(metavar="ID", help="Which execution; needed only where more than one is running.")
]

COLUMNS = (
    Column("EXECUTION", "execution_id", "id"),
    Column("ENDED", lambda each: (each["ended"] or {}).get("result"), "id"),
    Column("BY", "executor", "id"),
    Column("UNDER", "delegation_id", "id"),
)


@app.command
async def start(
    work: Work,
    /,
    *,
    executor: Annotated[str | None, Parameter(metavar="WHO", help="Who carries it out; by default who acts.")] = None,
    step: Annotated[Id | None, Parameter(help="The step of the process.")] = None,
    delegation: Annotated[Id | None, Parameter(help="Under which delegation; by default their newest.")] = None,
    agent_version: Annotated[Text | None, Parameter(help="The version of the agent.")] = None,
    id: Annotated[Id | None, Parameter(help="Its id; by default a new one.")] = None,
    options: Given,
) -> None:
    """Begin to carry the work out. An agent needs a delegation that is live.

    Example: attorn execution start W-1 --as refunds-bot
    """
    id = id or fresh("E")
    said = {
        "work_id": work,
        "execution_id": id,
        "executor": executor,
        "step_id": step,
        "delegation_id": delegation,
        "agent_version": agent_version,
    }
    async with connected(options) as attorn:
        await tell(attorn, command(StartExecution, said), id=id)


@app.command
async def progress(
    work: Work,
    percent: Annotated[float | None, Parameter(metavar="PERCENT", help="How far it has come.")] = None,
    /,
    *,
    note: Note = None,
    execution: Execution = None,
    options: Given,
) -> None:
    """Say how far the execution has come.

    Example: attorn execution progress W-1 40 --note "order found"
    """
    async with connected(options) as attorn:
        id = await _running(attorn, work, execution)
        said = {"work_id": work, "execution_id": id, "percent": percent, "note": note}
        await tell(attorn, command(ProgressExecution, said), id=id)


@app.command
async def action(
    work: Work,
    tool: Annotated[str, Parameter(metavar="TOOL", help="What was done, or with which tool.")],
    /,
    *,
    target: Annotated[Text | None, Parameter(metavar="URI", help="What it was done to.")] = None,
    side_effect: Annotated[bool, Parameter(help="It changed something.")] = False,
    result: Annotated[ActionResult | None, Parameter(help="How it went.")] = None,
    error_class: Annotated[Text | None, Parameter(help="What kind of error it was.")] = None,
    args: Annotated[
        Text | None, Parameter(metavar="FILE|DIGEST", help="Its arguments; only their digest is kept.")
    ] = None,
    assist: Annotated[bool, Parameter(help="It helped a human who does the work.")] = False,
    amount: Annotated[
        Text | None, Parameter(metavar="AMOUNT", help="What it moved, where it moved money, such as 120.00EUR.")
    ] = None,
    key: Annotated[Text | None, Parameter(help="The idempotency key that it was done with.")] = None,
    execution: Execution = None,
    options: Given,
) -> None:
    """Say what was done with a tool. Refused when it is beyond what the delegation allows.

    Example: attorn execution action W-1 draft_reply --target order/1042 --as refunds-bot
    """
    async with connected(options) as attorn:
        id = await _running(attorn, work, execution)
        said: dict[str, Any] = {
            "work_id": work,
            "execution_id": id,
            "tool": tool,
            "target": target,
            "side_effect": side_effect,
            "result": result,
            "error_class": error_class,
            "args_dig": digest_of(args) if args is not None else None,
            "assist": assist,
            "amount": money(amount),
            "idempotency_key": key,
        }
        await tell(attorn, command(RecordAction, said), id=id)


@app.command
async def guide(
    work: Work,
    text: Annotated[str, Parameter(metavar="TEXT", help="How to go on.")],
    /,
    *,
    execution: Execution = None,
    options: Given,
) -> None:
    """Tell the executor, while it works, how to go on.

    Example: attorn execution guide W-1 "use the new tariff"
    """
    async with connected(options) as attorn:
        id = await _running(attorn, work, execution)
        await tell(attorn, command(GuideExecution, {"work_id": work, "execution_id": id, "text": text}), id=id)


@app.command
async def adapt(
    work: Work,
    reason: Annotated[str, Parameter(metavar="REASON", help="Why the plan is another now.")],
    /,
    *,
    before: Annotated[tuple[str, ...] | None, Parameter(metavar="STEP", help="What was planned; once a step.")] = None,
    after: Annotated[tuple[str, ...] | None, Parameter(metavar="STEP", help="What is planned; once a step.")] = None,
    execution: Execution = None,
    options: Given,
) -> None:
    """Say how the plan changed. What was approved of it has to be approved again.

    Example: attorn execution adapt W-1 "there are two tariffs" --after "ask about the tariff" --as refunds-bot
    """
    async with connected(options) as attorn:
        id = await _running(attorn, work, execution)
        said = {"work_id": work, "execution_id": id, "reason": reason, "before": before, "after": after}
        await tell(attorn, command(AdaptExecution, said), id=id)


@app.command
async def ask(
    work: Work,
    question: Annotated[str, Parameter(metavar="QUESTION", help="What has to be known.")],
    /,
    *,
    of: Annotated[str, Parameter(metavar="WHO", help="A participant, or a role.")],
    kind: Annotated[InputKind | None, Parameter(help="What is asked for.")] = None,
    option: Annotated[
        tuple[str, ...] | None, Parameter(metavar="ID=LABEL", help="A possible answer; once for each.")
    ] = None,
    respond_by: Annotated[When | None, Parameter(help="Until when it is needed.")] = None,
    execution: Execution = None,
    options: Given,
) -> None:
    """Ask somebody for what the execution cannot go on without; the work waits for it.

    Example: attorn execution ask W-1 "May I refund 120 euros?" --of ana --kind approval --as refunds-bot
    """
    request = fresh("Q")
    async with connected(options) as attorn:
        id = await _running(attorn, work, execution)
        said: dict[str, Any] = {
            "work_id": work,
            "execution_id": id,
            "request_id": request,
            "from_": of,
            "question": question,
            "kind": kind,
            "options": tuple(Option(id=each, label=label) for each, label in pairs(option, "--option")) or None,
            "respond_by": respond_by,
        }
        await tell(attorn, command(RequireInput, said), id=request)


@app.command
async def answer(
    work: Work,
    answer: Annotated[str | None, Parameter(metavar="ANSWER", help="The answer: JSON, or plain text.")] = None,
    /,
    *,
    response: Annotated[InputResponse, Parameter(help="What is done with the question.")] = "respond",
    request: Annotated[Id | None, Parameter(help="Which question; needed only where more than one is open.")] = None,
    options: Given,
) -> None:
    """Answer what an execution asked, so that it can go on.

    Example: attorn execution answer W-1 --response accept
    """
    async with connected(options) as attorn:
        if request is None:
            questions = (await folded(attorn, work)).questions
            request = only(
                [id for id, each in questions.items() if each.answered is None], "open question", work, "--request"
            )
        said = {"work_id": work, "request_id": request, "response": response, "answer": answer}
        await tell(attorn, command(ProvideInput, said), id=request)


@app.command
async def report(
    work: Work,
    result: Annotated[ExecutionResult, Parameter(metavar="RESULT", help="How it ended.")] = "completed",
    /,
    *,
    out: Annotated[
        tuple[str, ...] | None,
        Parameter(metavar="ID=FILE|DIGEST", help="Something that it produced; only its digest is kept. Once for each."),
    ] = None,
    contribution: Annotated[Contribution | None, Parameter(help="Whose work the outputs are.")] = None,
    confidence: Annotated[float | None, Parameter(metavar="0…1", help="How sure the executor is.")] = None,
    error_class: Annotated[Text | None, Parameter(help="What kind of error ended it.")] = None,
    retryable: Annotated[bool | None, Parameter(help="Trying again could help.")] = None,
    execution: Execution = None,
    from_: From = None,
    options: Given,
) -> None:
    """Report that the execution is over, and what came of it. A review follows where the policy asks for one.

    Example: attorn execution report W-1 completed --out reply=reply.txt --as refunds-bot
    """
    outputs = tuple(
        Output(output_id=id, name=id, dig=digest_of(where), contribution=contribution)
        for id, where in pairs(out, "--out")
    )
    async with connected(options) as attorn:
        id = await _running(attorn, work, execution)
        said: dict[str, Any] = {
            "work_id": work,
            "execution_id": id,
            "result": result,
            "outputs": outputs or None,
            "confidence": confidence,
            "error_class": error_class,
            "retryable": retryable,
        }
        await tell(attorn, command(ExecuteWork, said, from_), id=id)


@app.command
async def ls(work: Work, /, *, options: Given) -> None:
    """List the executions of a work item.

    Example: attorn execution ls W-1
    """
    async with connected(options) as attorn:
        state = await folded(attorn, work)
    found = [msgspec.to_builtins(each) | {"execution_id": id} for id, each in state.executions.items()]
    write_list(options, found, COLUMNS, id="execution_id", nothing=f"work/{work} was never begun")


async def _running(attorn: Attorn, work: str, execution: str | None) -> str:
    if execution is not None:
        return execution
    state = await folded(attorn, work)
    running = {id: each.executor for id, each in state.executions.items() if each.ended is None}
    # Who acts speaks of their own execution, where they have one.
    mine = [id for id, executor in running.items() if executor == attorn.options.actor]
    return only(mine or list(running), "running execution", work, "--execution", "execution ls")
