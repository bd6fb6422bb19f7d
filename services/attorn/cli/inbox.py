"""`attorn inbox`: what waits for somebody, by deadline."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import not_found
from attorn.cli.options import Given, Limit, When
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others
from attorn.projections.questions.inbox import Kind

COLUMNS = (
    Column("WHAT", "kind", "id"),
    Column("WORK", "work", "id"),
    Column("ID", "id", "id"),
    Column("DUE", "due_at", "time"),
    Column("FROM", "asked_by", "id"),
    Column("FOR", "because", "id"),
    Column("ABOUT", lambda w: w["text"] or w.get("title")),
)


async def inbox(
    who: Annotated[str | None, Parameter(metavar="WHO", help="Whose; by default of whoever acts.")] = None,
    /,
    *,
    kind: Annotated[Kind | None, Parameter(help="Only what is of this kind.")] = None,
    at: Annotated[
        When | None, Parameter(name="--at", help="For whom they stand in at this time; by default now.")
    ] = None,
    limit: Limit = 50,
    options: Given,
) -> None:
    """List what waits for somebody, the earliest deadline first.

    Also what waits for a role of theirs, for those whom they succeeded, and for those whom they stand in for.

    Example: attorn inbox ana --kind review
    """
    who, at = who or options.actor, at or datetime.now(UTC)
    async with connected(options) as attorn:
        problem = (await attorn.ask("inbox", who=who, limit=1)).get("problem")
        if problem:
            raise not_found(problem, "`attorn participant ls` says who is")
        found, more = await listed(attorn, "inbox", "waiting", limit, who=who, kind=kind, at=at)
    write_list(options, found, COLUMNS, id="id", nothing=f"nothing waits for {who}", more=others(more))
