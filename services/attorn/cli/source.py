"""`attorn source`: the systems that report facts, and the person who looks after what each reports."""

from typing import Annotated

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import misused
from attorn.cli.inputs import command
from attorn.cli.options import Given, Limit, Text, Who
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others
from attorn.cli.telling import tell_plainly
from attorn.contracts.source import RegisterSource, Spoken

app = App(name="source", help="The systems that report facts, and their custodians.")

COLUMNS = (
    Column("SOURCE", "source_id", "id"),
    Column("CUSTODIAN", "custodian", "id"),
    Column("ANSWERS", lambda s: s["answers"] if s["answers"] != s["custodian"] else None, "id"),
    Column("SPEAKS OF", "speaks_of"),
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
    speaks_of: Annotated[
        tuple[Spoken, ...],
        Parameter(
            json_list=False,
            negative=(),
            show_default=False,
            help="What it may speak of with effect, beside work; the ledger's custodian or an admin says so.",
        ),
    ] = (),
    speaks_of_nothing: Annotated[bool, Parameter(negative=(), help="Take from it the word that it was given.")] = False,
    options: Given,
) -> None:
    """Let a system report facts. Registered again, it has another custodian from then on.

    Its word it keeps, until another is said, or `--speaks-of-nothing`.

    Example: attorn source register hr --uri https://hr.example --custodian ana --speaks-of participant
    """
    if speaks_of and speaks_of_nothing:
        raise misused("--speaks-of says what it may speak of, --speaks-of-nothing that it may not; say one of them")
    who = custodian or options.actor
    word = () if speaks_of_nothing else speaks_of or None
    asked = command(RegisterSource, {"source_id": source, "uri": uri, "custodian": who, "speaks_of": word})
    async with connected(options) as attorn:
        await tell_plainly(attorn, asked, f"{source} may report facts; {who} is custodian")


@app.command
async def ls(*, limit: Limit = 100, options: Given) -> None:
    """List the sources, each as it was registered last.

    Example: attorn source ls
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "sources", "sources", limit)
    write_list(options, found, COLUMNS, id="source_id", nothing="no source is registered", more=others(more))
