"""`attorn finding`: decide what becomes of a rule that was broken; `attorn audit findings` lists what was found."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.inputs import command
from attorn.cli.options import Given
from attorn.cli.telling import tell_plainly
from attorn.contracts.finding import AcceptFinding, DismissFinding, RemediateFinding

if TYPE_CHECKING:
    from attorn.cli.options import Options

app = App(name="finding", help="Decide what becomes of a rule that was broken.")

Stream = Annotated[str, Parameter(metavar="STREAM", help="Where it was found, as in work/W-1.")]
Finding = Annotated[str, Parameter(metavar="FINDING", help="Its id, as in hidden-work@12.")]
Why = Annotated[str, Parameter(metavar="TEXT", help="Why; a person has to say.")]


@app.command
async def accept(stream: Stream, finding: Finding, /, *, reason: Why, options: Given) -> None:
    """Let a finding stand.

    Example: attorn finding accept work/W-1 hidden-work@12 --reason "it was agreed by telephone"
    """
    await _decide(options, AcceptFinding, stream, finding, reason, "stands")


@app.command
async def remediate(stream: Stream, finding: Finding, /, *, reason: Why, options: Given) -> None:
    """Say how it was put right.

    Example: attorn finding remediate work/W-1 hidden-work@12 --reason "it is defined now"
    """
    await _decide(options, RemediateFinding, stream, finding, reason, "was put right")


@app.command
async def dismiss(stream: Stream, finding: Finding, /, *, reason: Why, options: Given) -> None:
    """Say why nothing is wrong there.

    Example: attorn finding dismiss work/W-1 stale-fence@377 --reason "the agent's clock was wrong"
    """
    await _decide(options, DismissFinding, stream, finding, reason, "is dismissed")


async def _decide(options: "Options", shape: Any, stream: str, finding: str, reason: str, what: str) -> None:
    asked = command(shape, {"stream": stream, "finding_id": finding, "reason": reason})
    async with connected(options) as attorn:
        await tell_plainly(attorn, asked, f"{finding} {what}")
