"""`attorn dependency`: what the work waits for, other work or anything else."""

from typing import Annotated

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.inputs import command
from attorn.cli.options import Given, Reason, Work
from attorn.cli.output import Column, write_list
from attorn.cli.state import folded
from attorn.cli.telling import tell
from attorn.contracts.dependency import AddDependency, BlockWork, BreakDependency, SatisfyDependency, UnblockWork

app = App(name="dependency", help="What the work waits for, other work or anything else.")

On = Annotated[str, Parameter(metavar="OTHER", help="The work that has to be done first.")]

COLUMNS = (Column("WAITS FOR", "on", "id"), Column("STATUS", "status", "id"))


@app.command
async def add(work: Work, on: On, /, *, reason: Reason = None, options: Given) -> None:
    """Have the work wait until other work is completed. Refused where that leads in a circle.

    Example: attorn dependency add W-1 W-2 --reason "the lamp has to be back first"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(AddDependency, {"work_id": work, "on": on, "reason": reason}))


@app.command
async def satisfy(work: Work, on: On, /, *, reason: Reason = None, options: Given) -> None:
    """Say that the work need not wait for the other any more. When that is completed, this happens by itself.

    Example: attorn dependency satisfy W-1 W-2 --reason "we go on without"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(SatisfyDependency, {"work_id": work, "on": on, "reason": reason}))


@app.command(name="break")
async def break_(work: Work, on: On, /, *, reason: Reason = None, options: Given) -> None:
    """Say that the other work will not be done. When it fails or is cancelled, this happens by itself.

    Example: attorn dependency break W-1 W-2 --reason "the parcel was lost"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(BreakDependency, {"work_id": work, "on": on, "reason": reason}))


@app.command
async def block(work: Work, /, *, reason: Reason = None, options: Given) -> None:
    """Say that something outside the work keeps it from going on.

    Example: attorn dependency block W-1 --reason "the bank is closed"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(BlockWork, {"work_id": work, "reason": reason}))


@app.command
async def unblock(work: Work, /, *, reason: Reason = None, options: Given) -> None:
    """Say that what kept the work from going on is out of the way.

    Example: attorn dependency unblock W-1 --reason "the bank is open"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(UnblockWork, {"work_id": work, "reason": reason}))


@app.command
async def ls(work: Work, /, *, options: Given) -> None:
    """List what a work item waits for, and what it has waited for.

    Example: attorn dependency ls W-1
    """
    async with connected(options) as attorn:
        state = await folded(attorn, work)
    found = [{"on": on, "status": status} for on, status in state.dependencies.items()]
    write_list(options, found, COLUMNS, id="on", nothing=f"work/{work} waits for no other work")
