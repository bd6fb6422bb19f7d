"""`attorn output`: show what came out of the work before it ends, and hold it against what it was declared to be."""

from typing import Annotated

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.inputs import command, digest_of, read
from attorn.cli.options import Given, Id, Note, Text, Work
from attorn.cli.output import Column, write_list
from attorn.cli.state import folded
from attorn.cli.telling import tell
from attorn.contracts.output import CheckMethod, CheckResult, Contribution, Output, ProduceOutput, ValidateOutput

app = App(name="output", help="What came out of the work: show it early, hold it against its criteria.")

Made = Annotated[str, Parameter(metavar="OUTPUT", help="The id of the output.")]

COLUMNS = (
    Column("OUTPUT", "output_id", "id"),
    Column("MADE BY", "makers"),
    Column("CHECKED", lambda each: [f"{id} {found['result']}" for id, found in each["checks"].items()]),
    Column("OUT", lambda each: "withdrawn" if each["withdrawn"] else "released" if each["released"] else None),
)


@app.command
async def produce(
    work: Work,
    output: Made,
    content: Annotated[str, Parameter(metavar="FILE|DIGEST", help="What it is; only its digest is kept.")],
    /,
    *,
    name: Annotated[Text | None, Parameter(help="What it is called; by default its id.")] = None,
    media_type: Annotated[Text | None, Parameter(help="Its media type, such as application/json.")] = None,
    uri: Annotated[Text | None, Parameter(help="Where it is kept.")] = None,
    contribution: Annotated[Contribution | None, Parameter(help="Whose work it is.")] = None,
    execution: Annotated[Id | None, Parameter(help="What it came out of; by default your own.")] = None,
    options: Given,
) -> None:
    """Show an output before the execution ends.

    Example: attorn output produce W-1 reply reply.txt --as refunds-bot
    """
    more = {"media_type": media_type, "uri": uri, "contribution": contribution}
    known = {field: value for field, value in more.items() if value is not None}
    made = Output(output_id=output, name=name or output, dig=digest_of(content), **known)  # type: ignore[arg-type]
    async with connected(options) as attorn:
        await tell(attorn, command(ProduceOutput, {"work_id": work, "output": made, "execution_id": execution}))


@app.command
async def validate(
    work: Work,
    output: Made,
    criterion: Annotated[str, Parameter(metavar="CRITERION", help="The acceptance criterion, or the delegation.")],
    /,
    *,
    content: Annotated[
        str | None, Parameter(metavar="FILE", help="The output itself, to be held against the declared JSON Schema.")
    ] = None,
    result: Annotated[CheckResult | None, Parameter(help="What was found elsewhere, instead.")] = None,
    method: Annotated[CheckMethod | None, Parameter(help="How that was found.")] = None,
    note: Note = None,
    options: Given,
) -> None:
    """Hold an output against a criterion, or say what was found elsewhere.

    Example: attorn output validate W-1 booking amount --content booking.json
    """
    text = read(content).decode("utf-8") if content is not None else None
    said = {
        "work_id": work,
        "output_id": output,
        "criterion_id": criterion,
        "content": text,
        "result": result,
        "method": method,
        "detail": note,
    }
    async with connected(options) as attorn:
        await tell(attorn, command(ValidateOutput, said), id=output)


@app.command
async def ls(work: Work, /, *, options: Given) -> None:
    """List the outputs of a work item, and what was found in them.

    Example: attorn output ls W-1
    """
    import msgspec

    async with connected(options) as attorn:
        state = await folded(attorn, work)
    found = [msgspec.to_builtins(made) | {"output_id": id} for id, made in state.outputs.items()]
    write_list(options, found, COLUMNS, id="output_id", nothing=f"nothing came out of work/{work} yet")
