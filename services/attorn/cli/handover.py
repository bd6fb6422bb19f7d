"""`attorn handover`: pass the work on to somebody else, with what they need; take it, or not."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.inputs import command, fresh
from attorn.cli.known import require
from attorn.cli.options import Given, Id, Limit, Reason, Texts, When, Work
from attorn.cli.output import Column, say, write_list
from attorn.cli.state import folded, only
from attorn.cli.telling import tell
from attorn.contracts.handover import AcceptHandover, DeclineHandover, OfferHandover
from attorn.contracts.ids import Ref

app = App(name="handover", help="Pass the work on to somebody else, who has to take it first.")

Handover = Annotated[
    str | None, Parameter(metavar="ID", help="Which handover; needed only where it could be more than one.")
]

COLUMNS = (
    Column("HANDOVER", "handover_id", "id"),
    Column("STATUS", "status", "id"),
    Column("FROM", "from", "id"),
    Column("TO", "to", "id"),
    Column("BY", "respond_by", "time"),
    Column("OPEN QUESTIONS", "open_questions"),
)
CHANGES = (
    Column("WORK", "work", "id"),
    Column("CHANGED HANDS", "participant_changes", "number"),
    Column("CHANGED UNIT", "unit_changes", "number"),
    Column("CAME BACK", "unit_returns", "number"),
)


@app.command
async def offer(
    work: Work,
    to: Annotated[str, Parameter(metavar="WHO", help="Who is asked to go on with it.")],
    /,
    *,
    context: Annotated[
        tuple[str, ...] | None, Parameter(metavar="URI", help="Something that they need; once for each.")
    ] = None,
    question: Annotated[Texts, Parameter(help="Something that is still open; once for each.")] = None,
    respond_by: Annotated[When | None, Parameter(help="By when they have to say.")] = None,
    id: Annotated[str | None, Parameter(metavar="ID", help="What the handover is called; by default a new id.")] = None,
    options: Given,
) -> None:
    """Ask somebody to go on with the work. Until they accept, nothing has changed; who answers never does.

    Example: attorn handover offer W-1 ben --question "who packed the parcel?"
    """
    said: dict[str, Any] = {
        "work_id": work,
        "to": to,
        "handover_id": id or fresh("H"),
        "context": tuple(Ref(uri=uri) for uri in context or ()) or None,
        "open_questions": question,
        "respond_by": respond_by,
    }
    async with connected(options) as attorn:
        await tell(attorn, command(OfferHandover, said), id=said["handover_id"])


@app.command
async def accept(work: Work, handover: Handover = None, /, *, options: Given) -> None:
    """Go on with the work that was offered.

    Example: attorn handover accept W-1 --as ben
    """
    async with connected(options) as attorn:
        id = handover or await _open(attorn, work)
        await tell(attorn, command(AcceptHandover, {"work_id": work, "handover_id": id}), id=id)


@app.command
async def decline(work: Work, handover: Handover = None, /, *, reason: Reason = None, options: Given) -> None:
    """Not go on with the work that was offered; it stays where it was.

    Example: attorn handover decline W-1 --as ben --reason "I packed the parcel"
    """
    async with connected(options) as attorn:
        id = handover or await _open(attorn, work)
        said = {"work_id": work, "handover_id": id, "reason": reason}
        await tell(attorn, command(DeclineHandover, said), id=id)


@app.command
async def stats(
    *,
    process: Annotated[Id | None, Parameter(help="Only of work under this process.")] = None,
    limit: Limit = 10,
    options: Given,
) -> None:
    """List the items that changed hands most often: from one to another, and back to a unit that had them before.

    Example: attorn handover stats --process refunds
    """
    async with connected(options) as attorn:
        found = await attorn.ask("handovers", process=process, top=limit or 1_000)
        if not found["items"]:
            await require(attorn, process=process)
    top = [each for each in found["top"] if each["participant_changes"] or each["unit_changes"]]
    write_list(options, top, CHANGES, id="work", nothing="no work has changed hands")
    if options.output == "table":
        changes = f"{found['participant_changes']:,} times from one to another"
        units = f"{found['unit_changes']:,} times to another unit, {found['unit_returns']:,} of them back"
        say(f"{found['items']:,} items: {changes}, {units}")


@app.command
async def ls(work: Work, /, *, options: Given) -> None:
    """List the handovers of a work item, with what goes along.

    Example: attorn handover ls W-1
    """
    from msgspec import to_builtins

    async with connected(options) as attorn:
        state = await folded(attorn, work)
    found = [{**to_builtins(each.offered), "status": each.status} for each in state.handovers.values()]
    write_list(options, found, COLUMNS, id="handover_id", nothing=f"work/{work} was never offered to anybody")


async def _open(attorn: Attorn, work: str) -> str:
    handovers = (await folded(attorn, work)).handovers
    found = [id for id, each in handovers.items() if each.status == "open"]
    return only(found, "open handover", work, "its ID", "handover ls")
