"""`attorn source`: the systems that report facts, and the person who looks after what each reports."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.inputs import command
from attorn.cli.options import Given, Text, Who
from attorn.cli.output import Column, write_list
from attorn.cli.reading import pages
from attorn.cli.telling import tell_plainly
from attorn.contracts.source import RegisterSource, SourceRegistered

app = App(name="source", help="The systems that report facts, and their custodians.")

COLUMNS = (
    Column("SOURCE", "source_id", "id"),
    Column("CUSTODIAN", "custodian", "id"),
    Column("POSITION", "position", "number"),
    Column("URI", "uri"),
)


@app.command
async def register(
    source: Annotated[str, Parameter(metavar="SOURCE", help="Its id, under which it publishes.")],
    /,
    *,
    uri: Annotated[Text, Parameter(metavar="URI", help="What it calls itself in its events.")],
    custodian: Annotated[
        Who | None, Parameter(help="The person who answers for its work; by default who acts.")
    ] = None,
    options: Given,
) -> None:
    """Let a system report facts. Registered again, it has another custodian from then on.

    Example: attorn source register erp --uri https://erp.example/refunds --custodian ana
    """
    who = custodian or options.actor
    asked = command(RegisterSource, {"source_id": source, "uri": uri, "custodian": who})
    async with connected(options) as attorn:
        await tell_plainly(attorn, asked, f"{source} may report facts; {who} is custodian")


@app.command
async def ls(*, options: Given) -> None:
    """List the sources, each as it was registered last.

    Example: attorn source ls
    """
    async with connected(options) as attorn:
        found = await _registered(attorn)
    write_list(options, found, COLUMNS, id="source_id", nothing="no source is registered")


async def _registered(attorn: Attorn) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    async for page in pages(attorn, kinds=("source",)):
        for each in page.recorded:
            data, id = each.event.data, each.stream.partition("/")[2]
            if isinstance(data, SourceRegistered):
                said = {"custodian": data.custodian, "uri": data.uri, "position": each.position}
                found[id] = {"source_id": id} | said
    return [found[id] for id in sorted(found)]
