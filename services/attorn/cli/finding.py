"""`attorn finding`: decide what becomes of a rule that was broken; `attorn audit findings` lists what was found."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import misused
from attorn.cli.inputs import command
from attorn.cli.options import Given
from attorn.cli.reading import at_position
from attorn.cli.telling import tell_plainly
from attorn.contracts.finding import AcceptFinding, DismissFinding, RemediateFinding

if TYPE_CHECKING:
    from attorn.cli.options import Options

app = App(name="finding", help="Decide what becomes of a rule that was broken.")

Findings = Annotated[
    tuple[str, ...],
    Parameter(
        metavar="FINDING",
        help="Its id, as in hidden-work@12, or several. Before it may stand what it is decided about, as in work/W-1; "
        "by default, that is what the event at its position is about.",
    ),
]
Why = Annotated[str, Parameter(metavar="TEXT", help="Why; a person has to say.")]


@app.command
async def accept(findings: Findings, /, *, reason: Why, options: Given) -> None:
    """Let a finding stand, or several.

    Example: attorn finding accept hidden-work@12 --reason "it was agreed by telephone"
    """
    await _decide(options, AcceptFinding, findings, reason, "stands")


@app.command
async def remediate(findings: Findings, /, *, reason: Why, options: Given) -> None:
    """Say how it was put right.

    Example: attorn finding remediate hidden-work@12 --reason "it is defined now"
    """
    await _decide(options, RemediateFinding, findings, reason, "was put right")


@app.command
async def dismiss(findings: Findings, /, *, reason: Why, options: Given) -> None:
    """Say why nothing is wrong there; of many, `attorn audit findings -o id` lists them for xargs.

    Example: attorn finding dismiss stale-fence@377 stale-fence@381 --reason "the agent's clock was wrong"
    """
    await _decide(options, DismissFinding, findings, reason, "is dismissed")


async def _decide(options: "Options", shape: Any, words: tuple[str, ...], reason: str, what: str) -> None:
    named = list(_named(words))
    async with connected(options) as attorn:
        for stream, finding in named:
            where = stream or await _stream(attorn, finding)
            asked = command(shape, {"stream": where, "finding_id": finding, "reason": reason})
            await tell_plainly(attorn, asked, f"{finding} in {where} {what}")


def _named(words: tuple[str, ...]) -> Iterator[tuple[str | None, str]]:
    """Each finding, and the stream that was said before it; a word without `/` is a work item."""
    stream: str | None = None
    named = 0
    for word in words:
        if "@" not in word:
            stream = word if "/" in word else f"work/{word}"
            continue
        named += 1
        yield stream, word
        stream = None
    if not named:
        raise misused("say which finding, as in hidden-work@12", "`attorn audit findings -o id` lists them")


async def _stream(attorn: Attorn, finding: str) -> str:
    """What the event is about that broke the rule."""
    position = finding.rpartition("@")[2]
    if not position.isdecimal() or int(position) < 1:
        raise misused(f"{finding} is no finding's id", "it is RULE@POSITION, as in hidden-work@12")
    return (await at_position(attorn, int(position))).stream
