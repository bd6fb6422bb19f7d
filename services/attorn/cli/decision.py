"""`attorn decision`: ask for a choice that is somebody's to make, and make it."""

from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import misused
from attorn.cli.inputs import command, fresh, pairs
from attorn.cli.options import Given, Id, Text, When, Work
from attorn.cli.output import Column, write_list
from attorn.cli.state import folded, only
from attorn.cli.telling import tell
from attorn.contracts.decision import MakeDecision, Option, RequestDecision
from attorn.contracts.ids import Money

app = App(name="decision", help="Ask for a choice that is somebody's to make, and make it.")

Amount = Annotated[
    str | None, Parameter(metavar="AMOUNT", help="The sum that it is about, such as 120.00EUR; limits go by it.")
]

COLUMNS = (
    Column("DECISION", "decision_id", "id"),
    Column("QUESTION", lambda each: each["asked"]["question"]),
    Column("CHOSEN", lambda each: (each["made"] or {}).get("chosen")),
    Column("BY", lambda each: (each["made"] or {}).get("decider") or each["asked"].get("from"), "id"),
)


@app.command
async def request(
    work: Work,
    question: Annotated[str, Parameter(metavar="QUESTION", help="What has to be decided.")],
    /,
    *,
    of: Annotated[str | None, Parameter(metavar="WHO", help="By default the work's decision authority.")] = None,
    option: Annotated[tuple[str, ...] | None, Parameter(metavar="ID=LABEL", help="A way out; once for each.")] = None,
    execution: Annotated[Id | None, Parameter(help="The execution that waits for it.")] = None,
    activity: Annotated[Text | None, Parameter(help="What kind of decision it is.")] = None,
    amount: Amount = None,
    respond_by: Annotated[When | None, Parameter(help="Until when it is needed.")] = None,
    id: Annotated[Id | None, Parameter(help="Its id; by default a new one.")] = None,
    options: Given,
) -> None:
    """Ask for a decision. What is above the limits of whoever is asked goes to the next authority.

    Example: attorn decision request W-1 "How much do we pay back?" --option all=All --option half=Half --amount 120EUR
    """
    id = id or fresh("N")
    said: dict[str, Any] = {
        "work_id": work,
        "decision_id": id,
        "question": question,
        "from_": of,
        "options": tuple(Option(id=each, label=label) for each, label in pairs(option, "--option")) or None,
        "execution_id": execution,
        "activity": activity,
        "amount": money(amount),
        "respond_by": respond_by,
    }
    async with connected(options) as attorn:
        await tell(attorn, command(RequestDecision, said), id=id)


@app.command
async def make(
    work: Work,
    chosen: Annotated[str, Parameter(metavar="CHOSEN", help="The id of an option, or what is decided.")],
    /,
    *,
    why: Annotated[Text | None, Parameter(help="Why.")] = None,
    amount: Amount = None,
    recommendation: Annotated[Id | None, Parameter(help="The recommendation that was considered.")] = None,
    decision: Annotated[Id | None, Parameter(help="Which decision; needed only where more than one is open.")] = None,
    options: Given,
) -> None:
    """Decide. What is above the limits of who decides is escalated instead.

    Example: attorn decision make W-1 half --why "the lamp still works"
    """
    async with connected(options) as attorn:
        if decision is None:
            waiting = [id for id, each in (await folded(attorn, work)).decisions.items() if each.made is None]
            decision = only(waiting, "decision that waits", work, "--decision", "decision ls")
        said = {
            "work_id": work,
            "decision_id": decision,
            "chosen": chosen,
            "rationale": why,
            "recommendation_id": recommendation,
            "amount": money(amount),
        }
        await tell(attorn, command(MakeDecision, said), id=decision)


@app.command
async def ls(work: Work, /, *, options: Given) -> None:
    """List the decisions of a work item, made and waited for.

    Example: attorn decision ls W-1
    """
    async with connected(options) as attorn:
        state = await folded(attorn, work)
    found = [msgspec.to_builtins(each) | {"decision_id": id} for id, each in state.decisions.items()]
    write_list(options, found, COLUMNS, id="decision_id", nothing=f"nothing was to be decided in work/{work}")


def money(text: str | None) -> Money | None:
    """`120.00EUR` as an amount; None where nothing was said."""
    if text is None:
        return None
    try:
        return msgspec.convert({"amount": text[:-3].strip(), "currency": text[-3:].upper()}, Money)
    except msgspec.ValidationError:
        raise misused(f"{text!r} is no amount such as 120.00EUR") from None
