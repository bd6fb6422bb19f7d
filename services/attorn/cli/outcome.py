"""`attorn outcome`: what the work is for, and where it stood before."""

from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import not_found
from attorn.cli.inputs import command
from attorn.cli.options import Given, Text, Who
from attorn.cli.output import Column, bold, facts, shown, width, write_list, write_one
from attorn.cli.reading import pages
from attorn.cli.telling import tell_plainly
from attorn.contracts.outcome import DefineOutcome, RecordBaseline, UpdateOutcome

app = App(name="outcome", help="What the work is for, and where it stood before.")

Outcome = Annotated[str, Parameter(metavar="OUTCOME", help="The id of the outcome.")]
Measure = Annotated[Text | None, Parameter(help="How one sees how far we are.")]
Target = Annotated[Text | None, Parameter(help="Where we want to be.")]
Owner = Annotated[Who | None, Parameter(help="The person who owns it.")]

COLUMNS = (
    Column("OUTCOME", "id", "id"),
    Column("OWNER", "owner", "id"),
    Column("TARGET", "target"),
    Column("STATEMENT", "statement"),
    Column("BASELINES", lambda o: [f"{b['metric']} {b['value']}" for b in o["baselines"]]),
)


@app.command
async def define(
    outcome: Outcome,
    statement: Annotated[Text, Parameter(help="What is worth reaching, in a sentence.")],
    /,
    *,
    measure: Measure = None,
    target: Target = None,
    owner: Owner = None,
    options: Given,
) -> None:
    """Say what is worth reaching.

    Example: attorn outcome define trust "customers come back" --measure "second order in a year" --target "40 %"
    """
    said = {"outcome_id": outcome, "statement": statement, "measure": measure, "target": target, "owner": owner}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(DefineOutcome, said), f"{outcome} is what we want to reach")


@app.command
async def update(
    outcome: Outcome,
    /,
    *,
    statement: Annotated[Text | None, Parameter(help="What is worth reaching.")] = None,
    measure: Measure = None,
    target: Target = None,
    owner: Owner = None,
    options: Given,
) -> None:
    """Change what is to be reached; what is not said stays as it is.

    Example: attorn outcome update trust --target "45 %"
    """
    said = {"outcome_id": outcome, "statement": statement, "measure": measure, "target": target, "owner": owner}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(UpdateOutcome, said), f"{outcome} is as you say")


@app.command
async def baseline(
    outcome: Outcome,
    metric: Annotated[Text, Parameter(help="What is measured, with its unit.")],
    value: Annotated[str, Parameter(metavar="NUMBER", allow_leading_hyphen=True, help="As a decimal.")],
    /,
    *,
    origin: Annotated[Text | None, Parameter(help="Where the number is from.")] = None,
    options: Given,
) -> None:
    """Say where a metric stood before anything was changed.

    Example: attorn outcome baseline trust "human minutes an item" 22.5 --origin "a week of notes"
    """
    said = {"outcome_id": outcome, "metric": metric, "value": value, "origin": origin}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(RecordBaseline, said), f"{metric} stood at {value}")


@app.command
async def ls(*, options: Given) -> None:
    """List the outcomes, with where each stood before.

    Example: attorn outcome ls
    """
    async with connected(options) as attorn:
        found = await _outcomes(attorn)
    write_list(options, found, COLUMNS, id="id", nothing="no outcome is defined")


@app.command(alias="get")
async def show(outcome: Outcome, /, *, options: Given) -> None:
    """Show an outcome as it is now.

    Example: attorn outcome show trust
    """
    async with connected(options) as attorn:
        found = next((each for each in await _outcomes(attorn) if each["id"] == outcome), None)
    if found is None:
        raise not_found(f"no outcome {outcome} is defined", "`attorn outcome ls` says which are")
    write_one(options, found, lambda: _described(found), id=outcome)


async def _outcomes(attorn: Attorn) -> list[dict[str, Any]]:
    import msgspec

    from attorn.services.outcome import model

    states: dict[str, model.Outcome] = {}
    async for page in pages(attorn, kinds=("outcome",)):
        for each in page.recorded:
            id = each.stream.partition("/")[2]
            states[id] = model.evolve(states.get(id, model.initial), each.event)
    return [
        {"id": id, "baselines": [msgspec.to_builtins(each) for each in state.baselines.values()]}
        | (msgspec.to_builtins(state.now) if state.now is not None else {})
        for id, state in sorted(states.items())
    ]


def _described(found: dict[str, Any]) -> Iterator[str]:
    yield bold(f"{found['id']}: {found.get('statement', '')}")
    said = [(name, shown(found.get(name))) for name in ("measure", "target", "owner")]
    before = [(each["metric"], f"{each['value']} before ({each.get('origin', '')})") for each in found["baselines"]]
    yield from facts([*said, *before], width())
