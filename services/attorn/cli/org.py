"""`attorn org`: who reports to whom, people and agents alike, and how much each person looks after."""

from typing import Annotated

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import Exit
from attorn.cli.options import At, Given, Id, KnownAt, Limit, Position, as_of
from attorn.cli.output import NAME, Column, write_list
from attorn.cli.paging import listed, others
from attorn.contracts.ids import ParticipantKind

app = App(name="org", help="Who reports to whom, people and agents alike, and how much each looks after.")

NODES = (
    Column("ID", "id", "id"),
    Column("KIND", "kind", "id"),
    Column("WAY UP", lambda n: " > ".join(n.get("path", ()))),
    Column("PERSON", "top", "id"),
    Column("UNIT", "org_unit"),
    Column("OF", "external_party"),
    NAME,
    Column("PROBLEM", "problem"),
)
PEOPLE = (
    Column("PERSON", "person", "id"),
    Column("ESCALATIONS", "open_escalations", "number"),
    Column("WAITS", "waiting", "number"),
    Column("FAILED", lambda person: person.get("failed") or None, "number"),
    Column("AGENTS", "agents", "number"),
    Column("PEOPLE", "people", "number"),
    Column("ANSWERS FOR", "answers_for", "number"),
    Column("CARRIES OUT", "executing", "number"),
    NAME,
)
AGENTS = (
    Column("AGENT", "id", "id"),
    Column("PERSON", "person", "id"),
    Column("CARRIES OUT", "executing", "number"),
    Column("WAITS", "waiting", "number"),
    Column("ESCALATIONS", "open_escalations", "number"),
    Column("FINDINGS", lambda agent: agent.get("findings") or None, "number"),
    Column("NEEDS SOMEBODY", "exceptions"),
)


@app.command
async def chart(
    *,
    at: At = None,
    known_at: KnownAt = None,
    position: Position = None,
    kind: Annotated[ParticipantKind | None, Parameter(help="Only these.")] = None,
    under: Annotated[Id | None, Parameter(help="Only those whose way up leads through this participant.")] = None,
    broken: Annotated[bool, Parameter(help="Only those that lead to no person who is here.")] = False,
    limit: Limit = 100,
    options: Given,
) -> int:
    """List who reports to whom, and the person at whom each way up ends; now, or at any earlier time.

    With --broken, exit code 7 when there is any.

    Example: attorn org chart --kind agent --at 2026-03-01
    """
    asked = {**as_of(at, known_at, position), "kind": kind, "under": under, "broken": broken or None}
    async with connected(options) as attorn:
        found, more = await listed(attorn, "org", "nodes", limit, **asked)
    nothing = "every way up ends at a person" if broken else "nobody was here"
    write_list(options, found, NODES, id="id", nothing=nothing, more=others(more))
    return Exit.CHECK_FAILED if broken and found else Exit.OK


@app.command
async def span(*, limit: Limit = 50, options: Given) -> None:
    """List how much each person looks after: agents, people, items, escalations. Who has most comes first.

    Example: attorn org span
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "span", "people", limit)
    write_list(options, found, PEOPLE, id="person", nothing="nobody is here", more=others(more))


@app.command
async def agents(
    person: Annotated[
        str | None, Parameter(metavar="PERSON", help="Only those that lead to this person first.")
    ] = None,
    /,
    *,
    limit: Limit = 50,
    options: Given,
) -> None:
    """List the agents and what they are at. Those that need somebody come first.

    Example: attorn org agents ana
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "agents", "agents", limit, person=person)
    write_list(options, found, AGENTS, id="id", nothing="there are no agents", more=others(more))
