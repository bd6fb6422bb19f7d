"""`attorn process`: how a kind of work is to flow, and who owns it."""

from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import not_found
from attorn.cli.inputs import command
from attorn.cli.options import Given, Id, Limit, Who
from attorn.cli.output import Column, bold, facts, shown, table, width, write_list, write_one
from attorn.cli.paging import listed, one, others
from attorn.cli.telling import tell_plainly
from attorn.contracts.process import PublishProcess, RetireProcess

app = App(name="process", help="How a kind of work is to flow, and who owns it.")

Process = Annotated[str, Parameter(metavar="PROCESS", help="The id of the process.")]

COLUMNS = (
    Column("PROCESS", "id", "id"),
    Column("VERSION", "version", "number"),
    Column("OWNER", "owner", "id"),
    Column("ANSWERS", lambda p: p.get("answers") if p.get("answers") != p["owner"] else None, "id"),
    Column("OPEN WORK", "open", "number"),
    Column("REVIEW", "review_policy"),
    Column("ESCALATION", "escalation_policy"),
    Column("RETIRED", lambda p: p.get("retired") or None),
    Column("PURPOSE", "purpose"),
)

STEPS = (
    Column("STEP", "step_id", "id"),
    Column("NAME", "name"),
    Column("BY", lambda s: s.get("raci", {}).get("R")),
    Column("ANSWERS", lambda s: s.get("raci", {}).get("A")),
    Column("AI", "ai_mode"),
    Column("NEXT", "next"),
)


@app.command
async def publish(
    file: Annotated[
        str, Parameter(metavar="FILE", allow_leading_hyphen=True, help="TOML or JSON; - is standard input.")
    ],
    /,
    *,
    id: Annotated[Id | None, Parameter(help="Its id, if the file does not say process_id.")] = None,
    owner: Annotated[Who | None, Parameter(help="Its owner, if the file does not say.")] = None,
    options: Given,
) -> None:
    """Put a process, or its next version, into force. The same again changes nothing.

    The file says process_id, owner, purpose, review_policy, escalation_policy, risk_tier (minimal, limited, high), and
    [[steps]] with step_id, name, next, ai_mode (none, suggest, act_with_approval, act_then_review, act), and raci: who
    answers (A), carries it out (R), is asked (C), is told (I), as in raci = {A = "ana", R = "refunds-bot"}.

    New work is pinned to the newest version; work that runs stays under its own.

    Example: attorn process publish examples/refunds.toml
    """
    asked = command(PublishProcess, {"process_id": id, "owner": owner}, file)
    async with connected(options) as attorn:
        await tell_plainly(attorn, asked, f"{asked.process_id} is published; {asked.owner} owns it")


@app.command
async def retire(
    process: Process,
    /,
    *,
    successor: Annotated[Id | None, Parameter(help="The process that takes its place.")] = None,
    options: Given,
) -> None:
    """Let no new work begin under a process.

    Example: attorn process retire refunds --successor refunds-2
    """
    asked = command(RetireProcess, {"process_id": process, "successor": successor})
    async with connected(options) as attorn:
        await tell_plainly(attorn, asked, f"{process} is retired")


@app.command
async def ls(
    *,
    after: Annotated[Id | None, Parameter(help="Begin behind this id.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List the processes, each in its newest version.

    Example: attorn process ls
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "processes", "processes", limit, after)
    write_list(options, found, COLUMNS, id="id", nothing="no process is published", more=others(more))


@app.command(alias="get")
async def show(process: Process, /, *, options: Given) -> None:
    """Show a process as its newest version says.

    Example: attorn process show refunds
    """
    async with connected(options) as attorn:
        found = await one(attorn, "processes", "processes", process)
        if found is None:
            raise not_found(f"no process {process} is published", "`attorn process ls` says which are")
        found |= {"published": await newest(attorn, f"process/{process}", "attorn.process.published.v1")}
    write_one(options, found, lambda: _described(found), id=process)


async def newest(attorn: Attorn, stream: str, type: str) -> dict[str, Any]:
    """What the last event of a type in a stream says, from the log itself."""
    import msgspec

    said = [each.event.data for each in await attorn.ledger.read(stream) if each.event.type == type]
    found: dict[str, Any] = msgspec.to_builtins(said[-1]) if said else {}
    return found


def _described(found: dict[str, Any]) -> Iterator[str]:
    said = found["published"]
    yield bold(f"{found['id']} version {found['version']}, {found['owner']} owns it")
    yield from facts(
        [
            ("purpose", shown(found.get("purpose"))),
            ("answers", shown(found.get("answers"))),
            ("versions", shown(found["versions"])),
            ("review", shown(found.get("review_policy"))),
            ("escalation", shown(found.get("escalation_policy"))),
            ("risk", shown(said.get("risk_tier"))),
            ("ready when", shown(said.get("definition_of_ready"))),
            ("retired", "yes" if found.get("retired") else ""),
            ("open work", shown(found["open"])),
        ],
        width(),
    )
    if said.get("steps"):
        yield ""
        yield from table([[column.value(step) for column in STEPS] for step in said["steps"]], STEPS, width())
