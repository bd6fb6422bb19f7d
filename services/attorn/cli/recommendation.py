"""`attorn recommendation`: say what you would do; take it, or turn it down and say why."""

from typing import Annotated

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.inputs import command, fresh
from attorn.cli.options import Given, Id, Limit, Reason, Who, Work
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others
from attorn.cli.state import folded, only
from attorn.cli.telling import tell
from attorn.contracts.decision import AnswerRecommendation, MakeRecommendation, RecommendationAnswer

app = App(name="recommendation", help="Say what you would do; take it, or turn it down and say why.")

RATES = (
    Column("BY", "by", "id"),
    Column("MADE", "made", "number"),
    Column("ACCEPTED", "accepted", "number"),
    Column("REJECTED", "rejected", "number"),
    Column("DECIDED", "decided", "number"),
    Column("FOLLOWED", "followed", "number"),
    Column("FOLLOW RATE", lambda told: f"{told['follow_rate']:.0%}" if "follow_rate" in told else None, "number"),
)


@app.command
async def make(
    work: Work,
    text: Annotated[str, Parameter(metavar="TEXT", help="What you would do.")],
    /,
    *,
    option: Annotated[Id | None, Parameter(help="The option of the decision that it is.")] = None,
    confidence: Annotated[float | None, Parameter(metavar="0…1", help="How sure you are.")] = None,
    decision: Annotated[Id | None, Parameter(help="The decision that it is for.")] = None,
    execution: Annotated[Id | None, Parameter(help="The execution that it comes from.")] = None,
    id: Annotated[Id | None, Parameter(help="Its id; by default a new one.")] = None,
    options: Given,
) -> None:
    """Say what you would do. Nothing is decided by it.

    Example: attorn recommendation make W-1 "pay all of it back" --confidence 0.8 --as refunds-bot
    """
    id = id or fresh("M")
    said = {
        "work_id": work,
        "recommendation": text,
        "recommendation_id": id,
        "option_id": option,
        "confidence": confidence,
        "decision_id": decision,
        "execution_id": execution,
    }
    async with connected(options) as attorn:
        await tell(attorn, command(MakeRecommendation, said), id=id)


@app.command
async def answer(
    work: Work,
    answer: Annotated[RecommendationAnswer, Parameter(metavar="ANSWER", help="Whether it is taken.")],
    /,
    *,
    reason: Reason = None,
    recommendation: Annotated[Id | None, Parameter(help="Which; needed only where more than one is open.")] = None,
    options: Given,
) -> None:
    """Take a recommendation, or turn it down; who turns one down says why.

    Example: attorn recommendation answer W-1 rejected --reason "the lamp still works"
    """
    async with connected(options) as attorn:
        if recommendation is None:
            made = (await folded(attorn, work)).recommendations
            waiting = [id for id, each in made.items() if each.answered is None]
            recommendation = only(waiting, "recommendation without an answer", work, "--recommendation")
        said = {"work_id": work, "recommendation_id": recommendation, "answer": answer, "reason": reason}
        await tell(attorn, command(AnswerRecommendation, said), id=recommendation)


@app.command
async def rates(
    *,
    by: Annotated[Who | None, Parameter(help="Only what this participant recommended.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List how often what somebody recommended was accepted, and how often a decision followed it.

    Example: attorn recommendation rates --by refunds-bot
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "recommendations", "by", limit, by=by)
    write_list(options, found, RATES, id="by", nothing="nobody has recommended anything", more=others(more))
