"""`attorn projection`: the views, which are made of the log and can be made of it again."""

import asyncio
from collections.abc import Iterator
from typing import Any

from cyclopts import App

from attorn.cli.connect import connected
from attorn.cli.errors import Exit, Failed, visible
from attorn.cli.options import Given
from attorn.cli.output import Column, progress, table, width, write_list, write_one

app = App(name="projection", help="The views: where they are, whether they are right, made anew.")

COLUMNS = (
    Column("VIEW", "name", "id"),
    Column("VERSION", "version", "number"),
    Column("STATE", "state", "id"),
    Column("ROWS", "rows", "number"),
    Column("POSITION", "position", "number"),
    Column("BEHIND", "lag_events", "number"),
    Column("SECONDS", "lag_seconds"),
    Column("POISON", "poison", "number"),
)

DIGESTS = (
    Column("VIEW", "view", "id"),
    Column("POSITION", "position", "number"),
    Column("EQUAL", "equal", "id"),
    Column("LIVE", lambda c: c["live"][:19], "id"),
    Column("ANEW", lambda c: c["rebuilt"][:19], "id"),
)

STEP_S = 0.2


@app.command
async def ls(*, options: Given) -> None:
    """List the views: how many rows, how far behind the log, how many events they could not take in.

    Example: attorn projection ls
    """
    async with connected(options) as attorn:
        status = await attorn.ask("status")
    write_list(options, status["views"], COLUMNS, id="name", nothing="there are no views")


@app.command
async def rebuild(*, options: Given) -> int:
    """Make the views anew from the first event on, beside those that serve, and put them in their place.

    Example: attorn projection rebuild
    """
    return await _job("rebuild", options)


@app.command
async def verify(*, options: Given) -> int:
    """Make the views anew and compare, digest by digest; exit code 7 when one differs.

    Example: attorn projection verify
    """
    return await _job("verify", options)


async def _job(kind: str, options: Given) -> int:
    async with connected(options, patient=True) as attorn:
        job = await attorn.ask(f"projector.{kind}")
        began = job["started_at"]
        with progress(kind) as advance:
            while job["state"] == "running":
                await asyncio.sleep(STEP_S)
                status = await attorn.ask("status")
                job = status.get(kind) or job
                if job["started_at"] != began:
                    raise Failed("the projector was started again meanwhile", hint=f"attorn projection {kind}")
                advance(job["position"], job["target"] or None)
    if job["state"] == "failed":
        raise Failed(f"{kind} failed: {job['error']}", hint="the log of the projector says more")
    write_one(options, job, lambda: _lines(kind, job), id=kind)
    equal = all(each["equal"] for each in job["views"])
    # A rebuild has put right what was wrong; to verify is to find out.
    return Exit.OK if equal or kind == "rebuild" else Exit.CHECK_FAILED


def _lines(kind: str, job: dict[str, Any]) -> Iterator[str]:
    views = job["views"]
    yield from table([[column.value(view) for column in DIGESTS] for view in views], DIGESTS, width())
    different = [view["view"] for view in views if not view["equal"]]
    if not different:
        yield f"all {len(views)} views are what the log makes of them"
    elif kind == "rebuild":
        yield visible(f"{', '.join(different)} had been otherwise, and are right now")
    else:
        yield visible(f"{', '.join(different)} are not what the log makes of them; `attorn projection rebuild`")
