"""`attorn review`: look at what came out of the work, and say whether it may stand."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import not_found
from attorn.cli.inputs import command, digest_of, fresh, pairs
from attorn.cli.options import Given, Id, Ids, Limit, Reason, Text, When, Who, Work
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others
from attorn.cli.state import folded, only
from attorn.cli.telling import tell
from attorn.contracts.output import Output
from attorn.contracts.review import (
    ClaimReview,
    RequestReview,
    ReviewItem,
    ReviewWork,
    UnclaimReview,
    Verdict,
    WithdrawReview,
)

app = App(name="review", help="Look at what came out, and say whether it may stand.")

COLUMNS = (
    Column("REVIEW", "review_id", "id"),
    Column("WORK", "work", "id"),
    Column("STATUS", "status", "id"),
    Column("OUTPUT", "output_id", "id"),
    Column("MADE BY", "makers", "id"),
    Column("LOOKED AT BY", "claimed_by", "id"),
    Column("APPROVED", lambda r: f"{len(r['approved_by'])} of {r['required']}", "id"),
    Column("RESPOND BY", "respond_by", "time"),
    Column("FOR", "candidates"),
)

Review = Annotated[str | None, Parameter(metavar="ID", help="Which review; needed only where more than one is open.")]
Digest = Annotated[
    str | None,
    Parameter(
        metavar="FILE|DIGEST", help="What was looked at; by default the output as it was when the review was asked for."
    ),
]
Comment = Annotated[str | None, Parameter(metavar="TEXT", help="What there is to say about it.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Said:
    """What is said with every verdict."""

    review: Review = None
    digest: Digest = None
    comment: Comment = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Looked(Said):
    """And with the verdict of somebody who has looked at it."""

    item: Annotated[
        tuple[str, ...] | None, Parameter(metavar="ID=passed|failed", help="A verdict on one point; once for each.")
    ] = None
    seconds: Annotated[int | None, Parameter(metavar="SECONDS", help="How long it was looked at.")] = None


SAID, LOOKED = Said(), Looked()


@app.command
async def ls(
    work: Annotated[
        str | None, Parameter(metavar="WORK", help="Only of this work item, and also what is settled.")
    ] = None,
    /,
    *,
    for_: Annotated[Who | None, Parameter(name="--for", help="Only what this participant may review.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List the reviews that wait for a verdict; of one work item, all that there were.

    Example: attorn review ls --for ana
    """
    async with connected(options) as attorn:
        if work is not None:
            found, more = [each async for each in _reviews(attorn, [work])], False
        else:
            items, more = await listed(attorn, "board", "items", limit, state="in_review")
            waiting = [item["work"] for item in items]
            found = [each async for each in _reviews(attorn, waiting) if each["status"] == "open"]
    if for_ is not None:
        # Without candidates, anybody may who did not make it and is not excluded.
        found = [r for r in found if for_ not in (*r["makers"], *r["excluded"]) and for_ in (r["candidates"] or [for_])]
    write_list(
        options,
        found,
        COLUMNS,
        id="review_id",
        nothing="no review waits" if work is None else f"work/{work} has no reviews",
        more=others(more),
    )


@app.command
async def request(
    work: Work,
    output: Annotated[str, Parameter(metavar="OUTPUT", help="The id of the output.")],
    /,
    *,
    digest: Annotated[
        str | None, Parameter(metavar="FILE|DIGEST", help="What is to be looked at; by default the output as it is.")
    ] = None,
    candidate: Annotated[Ids, Parameter(help="Who may review it; once for each.")] = None,
    exclude: Annotated[Ids, Parameter(help="Who may not; once for each.")] = None,
    respond_by: Annotated[When | None, Parameter(help="Until when it is needed.")] = None,
    id: Annotated[Id | None, Parameter(help="Its id; by default a new one.")] = None,
    options: Given,
) -> None:
    """Ask for a review beyond what the policy asks for by itself.

    Example: attorn review request W-1 reply --candidate ben
    """
    id = id or fresh("R")
    async with connected(options) as attorn:
        if digest is None:
            made = (await folded(attorn, work)).outputs.get(output)
            if made is None:
                raise not_found(
                    f"work/{work} has no output {output}", f"`attorn work timeline {work}` tells what came out"
                )
            digest = made.output.dig
        said = {
            "work_id": work,
            "review_id": id,
            "output_id": output,
            "output_dig": digest_of(digest),
            "candidates": candidate,
            "excluded": exclude,
            "respond_by": respond_by,
        }
        await tell(attorn, command(RequestReview, said), id=id)


@app.command
async def claim(
    work: Work,
    /,
    *,
    until: Annotated[When | None, Parameter(help="Until when nobody else need look at it.")] = None,
    review: Review = None,
    options: Given,
) -> None:
    """Say that one is looking at the output, so that nobody else need to.

    Example: attorn review claim W-1 --as ana
    """
    async with connected(options) as attorn:
        id = await _waiting(attorn, work, review)
        await tell(attorn, command(ClaimReview, {"work_id": work, "review_id": id, "claim_until": until}), id=id)


@app.command
async def unclaim(
    work: Work,
    /,
    *,
    of: Annotated[Who | None, Parameter(help="Who looks at it, if not who asks; that takes authority.")] = None,
    review: Review = None,
    options: Given,
) -> None:
    """Leave the output to somebody else.

    Example: attorn review unclaim W-1 --as ana
    """
    async with connected(options) as attorn:
        id = await _waiting(attorn, work, review)
        await tell(attorn, command(UnclaimReview, {"work_id": work, "review_id": id, "reviewer": of}), id=id)


@app.command
async def withdraw(work: Work, /, *, reason: Reason = None, review: Review = None, options: Given) -> None:
    """Do without a review that one has asked for. What the policy asks for is waived, not withdrawn.

    Example: attorn review withdraw W-1 --reason "ben has looked at it already" --as ana
    """
    async with connected(options) as attorn:
        id = await _waiting(attorn, work, review)
        await tell(attorn, command(WithdrawReview, {"work_id": work, "review_id": id, "reason": reason}), id=id)


async def _waiting(attorn: Attorn, work: str, review: str | None) -> str:
    """The review that is meant: as said, else the one that waits."""
    reviews = (await folded(attorn, work)).reviews
    waiting = [id for id, each in reviews.items() if each.status in ("open", "expired")]
    id = review or only(waiting, "open review", work, "--review", "review ls")
    if id not in reviews:
        raise not_found(f"work/{work} has no review {id}", f"`attorn review ls {work}` says which it has")
    return id


@app.command
async def approve(
    work: Work,
    /,
    *,
    edited: Annotated[
        str | None, Parameter(metavar="FILE|DIGEST", help="What the reviewer made of it: that is what is approved.")
    ] = None,
    said: Looked = LOOKED,
    options: Given,
) -> None:
    """Say that the output may stand; with --edited, as the reviewer changed it.

    Example: attorn review approve W-1 --comment "checked against the order" --as ana
    """
    await _judge(options, work, "edited" if edited is not None else "approved", said, edited=edited)


@app.command
async def send_back(work: Work, /, *, said: Looked = LOOKED, options: Given) -> None:
    """Ask for changes: the work goes on, and comes back with a new output.

    Example: attorn review send-back W-1 --comment "the amount is wrong" --as ana
    """
    await _judge(options, work, "changes_requested", said)


@app.command
async def reject(work: Work, /, *, said: Looked = LOOKED, options: Given) -> None:
    """Say that the output may not stand.

    Example: attorn review reject W-1 --comment "not our customer" --as ana
    """
    await _judge(options, work, "rejected", said)


@app.command
async def waive(
    work: Work,
    /,
    *,
    authority: Annotated[Text, Parameter(help="On what ground the review is done without.")],
    said: Said = SAID,
    options: Given,
) -> None:
    """Do without the review. The process's owner, admins, and whom an authority policy names may; it stays visible.

    Example: attorn review waive W-1 --authority "customer agreed in writing" --as ana
    """
    await _judge(options, work, "waived", said, authority=authority)


async def _judge(
    options: Given, work: str, verdict: Verdict, said: Said, *, edited: str | None = None, authority: str | None = None
) -> None:
    async with connected(options) as attorn:
        id = await _waiting(attorn, work, said.review)
        asked = (await folded(attorn, work)).reviews[id].request
        new = Output(output_id=asked.output_id, name=asked.output_id, dig=digest_of(edited)) if edited else None
        judged: dict[str, Any] = {
            "work_id": work,
            "review_id": id,
            "output_id": asked.output_id,
            "output_dig": digest_of(said.digest) if said.digest is not None else asked.output_dig,
            "verdict": verdict,
            "comment": said.comment,
            "new_output": new,
            "authority": authority,
        }
        if isinstance(said, Looked):
            judged |= {"items": _items(said.item), "seconds_spent": said.seconds}
        await tell(attorn, command(ReviewWork, judged), id=id)


async def _reviews(attorn: Attorn, works: list[str]) -> AsyncIterator[dict[str, Any]]:
    import msgspec

    for work in works:
        state = await folded(attorn, work)
        for review in state.reviews.values():
            made = state.outputs.get(review.request.output_id)
            said = {"candidates": [], "excluded": [], "required": 1} | msgspec.to_builtins(review.request)
            yield said | {
                "work": work,
                "status": review.status,
                "approved_by": list(review.approved_by),
                "claimed_by": list(review.claims),
                "makers": list(made.makers) if made is not None else [],
            }


def _items(texts: tuple[str, ...] | None) -> tuple[ReviewItem, ...] | None:
    return tuple(_item(id, result) for id, result in pairs(texts, "--item")) or None


def _item(id: str, result: str) -> ReviewItem:
    from attorn.cli.errors import misused

    if result not in ("passed", "failed"):
        raise misused(f"--item {id}={result}: it is passed or failed")
    return ReviewItem(id=id, result="passed" if result == "passed" else "failed")
