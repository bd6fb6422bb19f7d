"""`attorn outcome`: what the work is for, and where it stood before."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import not_found
from attorn.cli.inputs import command
from attorn.cli.known import require
from attorn.cli.options import Given, Id, Limit, Text, Who
from attorn.cli.output import Column, bold, facts, say, shown, width, write_list, write_one
from attorn.cli.paging import listed, others
from attorn.cli.reading import pages
from attorn.cli.telling import tell_plainly
from attorn.cli.words import seconds
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


COMPLETED = (
    Column("OF", "of", "id"),
    Column("VERIFIED", "verified", "number"),
    Column("BY MONTH", lambda each: [f"{month} {count:,}" for month, count in each["months"].items()]),
    Column("NAME", lambda each: each["name"] if each["name"] != each["of"] else None),
)
COSTS = (
    Column("MONTH", "month", "id"),
    Column("WHO", "who", "id"),
    Column("PROCESS", "process", "id"),
    Column("OUTCOME", "outcome", "id"),
    Column("EXECUTIONS", "executions", "number"),
    Column("TOKENS", "tokens", "number"),
    Column("PEOPLE'S TIME", lambda each: seconds(each["human_seconds"]) if each["human_seconds"] else None),
    Column("MONEY", lambda each: _money(each["money"])),
)
SERVED = (
    Column("OUTCOME", "outcome", "id"),
    Column("ITEMS", "items", "number"),
    Column("OPEN", "open", "number"),
    Column("VERIFIED", "verified", "number"),
)

FromMonth = Annotated[str | None, Parameter(name="--from", metavar="YYYY-MM", help="From this month on, in UTC.")]
UntilMonth = Annotated[str | None, Parameter(name="--until", metavar="YYYY-MM", help="Up to this month, in UTC.")]


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


@app.command
async def served(
    *, process: Annotated[Id | None, Parameter(help="Only work under this process.")] = None, options: Given
) -> None:
    """List how much work serves each outcome, and say how much open work serves none.

    Example: attorn outcome served
    """
    async with connected(options) as attorn:
        await require(attorn, process=process)
        found = await attorn.ask("outcomes", process=process, limit=1)
    write_list(options, found["outcomes"], SERVED, id="outcome", nothing="no outcome is defined")
    if options.output == "table":
        say(f"{found['aimless']:,} items that have not ended serve none of them")


@app.command
async def completions(
    *,
    by: Annotated[Literal["executor", "accountable", "process"], Parameter(help="Whose.")] = "executor",
    from_month: FromMonth = None,
    until_month: UntilMonth = None,
    limit: Limit = 50,
    options: Given,
) -> None:
    """List who brought how much work to a verified end, most first, month by month.

    Example: attorn outcome completions --by accountable --from 2026-01
    """
    asked = {"by": by, "from_month": from_month, "until_month": until_month}
    async with connected(options) as attorn:
        found, more = await listed(attorn, "completions", "ranked", limit, **asked)
    done = [each for each in found if each["verified"]]
    write_list(options, done, COMPLETED, id="of", nothing="no work has come to a verified end", more=others(more))


@app.command
async def costs(
    *,
    who: Annotated[Who | None, Parameter(help="Only of what they carried out.")] = None,
    process: Annotated[Id | None, Parameter(help="Only of work under this process.")] = None,
    outcome: Annotated[Id | None, Parameter(help="Only of work that serves this outcome.")] = None,
    from_month: FromMonth = None,
    until_month: UntilMonth = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List what executions used up, money, tokens and people's time: by month, participant, process and outcome.

    Example: attorn outcome costs --process refunds --from 2026-01
    """
    asked: dict[str, Any] = {"who": who, "process": process, "outcome": outcome}
    asked |= {"from_month": from_month, "until_month": until_month}
    async with connected(options) as attorn:
        found, more = await listed(attorn, "costs", "costs", limit, **asked)
        total = await attorn.ask("costs", limit=1, **asked)
    write_list(options, found, COSTS, id="month", nothing="nothing was used up", more=others(more))
    if options.output == "table" and found:
        spent = _money(total["money"]) or "no money"
        each = f"; {_money(total['each'])} for each of {total['verified']:,} verified" if total["each"] else ""
        say(f"{total['executions']:,} executions: {spent}, {total['tokens']:,} tokens{each}")


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


def _money(amounts: Mapping[str, str]) -> str:
    return ", ".join(f"{amount} {currency}" for currency, amount in amounts.items())


def _described(found: dict[str, Any]) -> Iterator[str]:
    yield bold(f"{found['id']}: {found.get('statement', '')}")
    said = [(name, shown(found.get(name))) for name in ("measure", "target", "owner")]
    before = [(each["metric"], f"{each['value']} before ({each.get('origin', '')})") for each in found["baselines"]]
    yield from facts([*said, *before], width())
