"""`attorn team`: groups of people and agents, who are candidates for the same work."""

from typing import Annotated

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.inputs import command
from attorn.cli.options import Given, Limit, Who
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others
from attorn.cli.telling import tell_plainly
from attorn.contracts.participant import AddTeamMember, RemoveTeamMember

app = App(name="team", help="Groups of people and agents, who are candidates for the same work.")

Team = Annotated[str, Parameter(metavar="TEAM", help="The id of the team, a participant of that kind.")]

Member = Annotated[Who, Parameter(help="A participant, who may be a team as well.")]

COLUMNS = (Column("TEAM", "id", "id"), Column("NAME", "name"), Column("MEMBERS", "members"), Column("ALL", "all"))


@app.command
async def add(team: Team, member: Member, /, *, options: Given) -> None:
    """Make somebody one of a team.

    Example: attorn team add after-sales ben
    """
    async with connected(options) as attorn:
        asked = command(AddTeamMember, {"team_id": team, "member": member})
        await tell_plainly(attorn, asked, f"{member} is one of {team}")


@app.command
async def remove(team: Team, member: Member, /, *, options: Given) -> None:
    """Let somebody be one of a team no longer.

    Example: attorn team remove after-sales ben
    """
    async with connected(options) as attorn:
        asked = command(RemoveTeamMember, {"team_id": team, "member": member})
        await tell_plainly(attorn, asked, f"{member} is no longer one of {team}")


@app.command
async def ls(*, limit: Limit = 100, options: Given) -> None:
    """List the teams: their members, and all whom their teams bring along.

    Example: attorn team ls
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "teams", "teams", limit)
    write_list(options, found, COLUMNS, id="id", nothing="there is no team", more=others(more))
