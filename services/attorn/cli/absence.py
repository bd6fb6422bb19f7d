"""`attorn absence`: who is away, and who stands in."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.inputs import command
from attorn.cli.options import Given, Limit, Reason, When, Who
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others
from attorn.cli.telling import tell_plainly
from attorn.contracts.participant import Covers, DeclareAbsence, EndAbsence

app = App(name="absence", help="Who is away, and who stands in.")

Person = Annotated[str, Parameter(metavar="WHO", help="Who is away; by default who acts.")]

COLUMNS = (
    Column("WHO", "id", "id"),
    Column("SUBSTITUTE", "substitute", "id"),
    Column("FROM", "from", "time"),
    Column("UNTIL", "until", "time"),
    Column("COVERS", "covers"),
)


@app.command
async def declare(
    *,
    who: Annotated[Person | None, Parameter(name="--who")] = None,
    until: Annotated[When, Parameter(help="Until when.")],
    substitute: Annotated[Who, Parameter(help="The person who stands in.")],
    from_: Annotated[When | None, Parameter(name="--from", help="From when; by default now.")] = None,
    covers: Annotated[
        tuple[Covers, ...] | None, Parameter(metavar="WHAT", help="For what; once for each, by default for all.")
    ] = None,
    options: Given,
) -> None:
    """Say when somebody is away, and who stands in for reviews, for escalations, and for what they answer for.

    While the absence lasts, the substitute may take over work that the absent person answers for, with basis absence.

    Example: attorn absence declare --until 2026-03-20 --substitute ben
    """
    person = who or options.actor
    said = {
        "participant_id": person,
        "from_": from_ or datetime.now(UTC),
        "until": until,
        "substitute": substitute,
        "covers": covers,
    }
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(DeclareAbsence, said), f"{person} is away; {substitute} stands in")


@app.command
async def end(
    *, who: Annotated[Person | None, Parameter(name="--who")] = None, reason: Reason = None, options: Given
) -> None:
    """Say that somebody is back; before an absence has begun, that it does not happen.

    Example: attorn absence end
    """
    person = who or options.actor
    async with connected(options) as attorn:
        asked = command(EndAbsence, {"participant_id": person, "reason": reason})
        await tell_plainly(attorn, asked, f"{person} is here")


@app.command
async def ls(*, limit: Limit = 100, options: Given) -> None:
    """List who is away, or will be.

    Example: attorn absence ls
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "absences", "absences", limit, at=datetime.now(UTC))
    write_list(options, found, COLUMNS, id="id", nothing="nobody is away", more=others(more))
