"""`attorn service-review`: the regular sitting over a process and the agents in it."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.inputs import command, digest_of
from attorn.cli.options import Given, Text, Texts
from attorn.cli.output import Column, write_list
from attorn.cli.reading import pages
from attorn.cli.telling import tell_plainly
from attorn.contracts.service_review import (
    CloseServiceReview,
    HoldServiceReview,
    OpenServiceReview,
    ServiceReviewClosed,
    ServiceReviewHeld,
    ServiceReviewOpened,
)

app = App(name="service-review", help="The regular sitting over a process and the agents in it.")

Process = Annotated[str, Parameter(metavar="PROCESS", help="The id of the process.")]
Review = Annotated[str, Parameter(metavar="REVIEW", help="The id of the service review.")]
Figures = Annotated[str | None, Parameter(metavar="FILE", help="The figures, or their digest; the digest is recorded.")]
Decisions = Annotated[Texts, Parameter(help="What was decided; once for each.")]
Actions = Annotated[Texts, Parameter(help="What is to be done; once for each.")]

COLUMNS = (
    Column("PROCESS", "process", "id"),
    Column("REVIEW", "id", "id"),
    Column("PERIOD", "period"),
    Column("STATE", "state", "id"),
    Column("DECISIONS", "decisions"),
    Column("ACTIONS", "actions"),
)


@app.command(name="open")
async def open_(
    process: Process,
    review: Review,
    period: Annotated[str, Parameter(metavar="PERIOD", help="Which time it looks at, as in 2026-03.")],
    /,
    *,
    scope: Annotated[Text | None, Parameter(help="Which part of the process, or which agents.")] = None,
    figures: Figures = None,
    options: Given,
) -> None:
    """Call the review of a process for a period.

    Example: attorn service-review open refunds refunds-2026-03 2026-03 --figures march.json
    """
    said = {
        "process_id": process,
        "service_review_id": review,
        "period": period,
        "scope": scope,
        "metrics_digest": digest_of(figures) if figures is not None else None,
    }
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(OpenServiceReview, said), f"{review} is open")


@app.command
async def hold(
    process: Process,
    review: Review,
    /,
    *,
    decision: Decisions = None,
    action: Actions = None,
    figures: Figures = None,
    options: Given,
) -> None:
    """Say what was decided, and what is to be done.

    Example: attorn service-review hold refunds refunds-2026-03 --decision "the agent goes on"
    """
    said = {
        "process_id": process,
        "service_review_id": review,
        "metrics_digest": digest_of(figures) if figures is not None else None,
        "decisions": decision,
        "actions": action,
    }
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(HoldServiceReview, said), f"{review} was held")


@app.command
async def close(
    process: Process, review: Review, /, *, decision: Decisions = None, action: Actions = None, options: Given
) -> None:
    """Say that what was to be done is done, or has become work.

    Example: attorn service-review close refunds refunds-2026-03
    """
    said = {"process_id": process, "service_review_id": review, "decisions": decision, "actions": action}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(CloseServiceReview, said), f"{review} is closed")


@app.command
async def ls(
    *, process: Annotated[str | None, Parameter(metavar="PROCESS", help="Only of this process.")] = None, options: Given
) -> None:
    """List the service reviews, and how far each has come.

    Example: attorn service-review ls --process refunds
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    states = {ServiceReviewOpened: "open", ServiceReviewHeld: "held", ServiceReviewClosed: "closed"}
    async with connected(options) as attorn:
        async for page in pages(attorn, kinds=("process",)):
            for each in page.recorded:
                data, of = each.event.data, each.stream.partition("/")[2]
                if not isinstance(data, ServiceReviewOpened | ServiceReviewHeld | ServiceReviewClosed):
                    continue
                if process is not None and of != process:
                    continue
                known = found.setdefault((of, data.service_review_id), {"process": of, "id": data.service_review_id})
                known |= {"state": states[type(data)], "period": data.period or known.get("period")}
                if not isinstance(data, ServiceReviewOpened):
                    known |= {"decisions": list(data.decisions), "actions": list(data.actions)}
    rows = [found[key] for key in sorted(found)]
    write_list(options, rows, COLUMNS, id="id", nothing="no service review was opened")
