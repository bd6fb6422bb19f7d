"""Review: a verdict on exactly these bytes, by somebody other than their maker, before they go out."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.output import OutputReleased, OutputWithdrawn, ReleaseOutput, WithdrawOutput
from attorn.contracts.refusal import Breach
from attorn.contracts.review import (
    RequestReview,
    ReviewExpired,
    ReviewInvalidated,
    ReviewRequested,
    ReviewWithdrawn,
    ReviewWork,
    WorkReviewed,
)
from attorn.contracts.work import WorkCompleted, WorkSubmitted
from attorn.projections.directory import Directory
from attorn.services.transact import Context
from attorn.services.work.state import Review, ReviewStatus, Work

ReviewCommand: TypeAlias = RequestReview | ReviewWork | ReleaseOutput | WithdrawOutput

initial = Work()


def decide(work: Work, command: ReviewCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case RequestReview(review_id=asked, output_id=output_id, output_dig=dig):
            pinned = work.definition.review_policy if work.definition is not None else None
            policy = context.directory.policy(pinned.id, pinned.version) if pinned is not None else None
            rules = policy.rules.review if policy is not None else None
            request = ReviewRequested(
                review_id=asked or context.new_id,
                output_id=output_id,
                output_dig=dig,
                policy=pinned,
                required=rules.reviewers_required if rules is not None else 1,
                candidates=command.candidates,
                excluded=command.excluded,
                respond_by=command.respond_by,
            )
            known = work.reviews.get(request.review_id)
            return [] if known is not None and known.request == request else [request]
        case ReviewWork(review_id=id):
            review = work.reviews.get(id)
            pinned = review.request.policy if review is not None else None
            said = {n: getattr(command, n) for n in WorkReviewed.__struct_fields__ if n not in ("reviewer", "policy")}
            return [WorkReviewed(**said, reviewer=context.actor, policy=pinned)]
        case ReleaseOutput(output_id=output_id, output_dig=dig, to=to, channel=channel):
            made = work.outputs.get(output_id)
            dig = dig or (made.output.dig if made is not None else None)
            released = OutputReleased(output_id=output_id, output_dig=dig, to=to, channel=channel)
            return [] if made is not None and made.released and made.output.dig == dig else [released]
        case WithdrawOutput(output_id=output_id, reason=reason):
            return [OutputWithdrawn(output_id=output_id, reason=reason)]


def check(work: Work, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules of review `event` breaks."""
    match event.data:
        case ReviewRequested(output_id=output_id, output_dig=dig):
            made = work.outputs.get(output_id)
            if made is None or made.output.dig != dig:
                detail = f"{output_id} is not an output with the digest {dig[:19]}…"
                yield Breach(rule="review-digest", detail=detail, field="data.output_dig")
        case WorkReviewed() as verdict:
            yield from _check_verdict(work, verdict, directory)
        case OutputReleased(output_id=output_id, output_dig=dig):
            why = work.unreviewed(output_id)
            made = work.outputs.get(output_id)
            if why is None and made is not None and dig is not None and dig != made.output.dig:
                why = f"{dig[:19]}… is not what {output_id} is now"
            if why is not None:
                yield Breach(rule="control-bypassed", detail=why, field="data.output_id")
        case WorkSubmitted() | WorkCompleted():
            for output_id in work.outputs:
                why = work.unreviewed(output_id)
                if why is not None:
                    yield Breach(rule="control-bypassed", detail=why, field="data.outputs")
        case _:
            pass


def evolve(work: Work, event: Event) -> Work:
    """What is true of the work's reviews afterwards."""
    match event.data:
        case ReviewRequested() as request:
            if request.review_id in work.reviews:
                return work
            return msgspec.structs.replace(work, reviews={**work.reviews, request.review_id: Review(request)})
        case WorkReviewed() as verdict:
            review = work.reviews.get(verdict.review_id)
            return work if review is None else _with(work, _judged(review, verdict))
        case ReviewInvalidated(review_id=id):
            return _end(work, id, "invalidated")
        case ReviewWithdrawn(review_id=id):
            return _end(work, id, "withdrawn")
        case ReviewExpired(review_id=id):
            return _end(work, id, "expired")
        case _:
            return work


def _check_verdict(work: Work, verdict: WorkReviewed, directory: Directory) -> Iterator[Breach]:
    reviewer = verdict.reviewer
    made, review = work.outputs.get(verdict.output_id), work.reviews.get(verdict.review_id)
    if not directory.is_here(reviewer):
        yield Breach(rule="unregistered-actor", detail=f"{reviewer} is not registered", field="data.reviewer")
    if made is not None and made.by == reviewer and verdict.verdict != "waived":
        yield Breach(rule="self-review", detail=f"{reviewer} made {verdict.output_id}", field="data.reviewer")
    if made is None or made.output.dig != verdict.output_dig:
        now = made.output.dig[:19] + "…" if made is not None else "not there"
        detail = f"{verdict.output_id} is {now}, the verdict is about {verdict.output_dig[:19]}…"
        yield Breach(rule="review-digest", detail=detail, field="data.output_dig")
    if review is None or review.status not in ("open", "expired"):
        state = review.status if review is not None else "not asked for"
        yield Breach(rule="review-open", detail=f"review {verdict.review_id} is {state}", field="data.review_id")
        return
    request = review.request
    if request.output_id != verdict.output_id or request.output_dig != verdict.output_dig:
        detail = f"{verdict.review_id} is about {request.output_id} {request.output_dig[:19]}…"
        yield Breach(rule="review-digest", detail=detail, field="data.output_dig")
    if reviewer in request.excluded and not (made is not None and made.by == reviewer):
        yield Breach(rule="reviewer-excluded", detail=f"{reviewer} is excluded from {verdict.review_id}")
    if reviewer in review.approved_by:
        yield Breach(rule="review-open", detail=f"{reviewer} has given a verdict in {verdict.review_id} already")
    if verdict.policy != request.policy:
        detail = f"{verdict.review_id} is under {_named(request.policy)}, the verdict under {_named(verdict.policy)}"
        yield Breach(rule="review-policy", detail=detail, field="data.policy")
    policy = directory.policy(request.policy.id, request.policy.version) if request.policy is not None else None
    human = policy is None or policy.rules.review is None or policy.rules.review.human_required
    if human and directory.is_here(reviewer) and not directory.is_person(reviewer):
        yield Breach(rule="reviewer-human", detail=f"{reviewer} is not a person", field="data.reviewer")
    if verdict.verdict == "waived" and not _may_waive(reviewer, directory, work):
        detail = f"{reviewer} has no authority to waive a review"
        yield Breach(rule="control-bypassed", detail=detail, field="data.verdict")


def _may_waive(reviewer: str, directory: Directory, work: Work) -> bool:
    process = directory.process(work.process.id) if work.process is not None else None
    owns = process is not None and process.owner == reviewer
    return directory.is_person(reviewer) and (owns or directory.holds(reviewer, "admin"))


def _judged(review: Review, verdict: WorkReviewed) -> Review:
    replace = msgspec.structs.replace
    match verdict.verdict:
        case "changes_requested" | "rejected":
            return replace(review, status="sent_back")
        case "waived":
            return replace(review, status="waived")
        case "approved" | "edited":
            approved = (*review.approved_by, verdict.reviewer)
            met = len(set(approved)) >= review.request.required
            request = review.request
            if verdict.new_output is not None:
                # What the reviewer made of it is what was approved.
                request = replace(request, output_dig=verdict.new_output.dig)
            return Review(request, "met" if met else "open", approved)


def _with(work: Work, review: Review) -> Work:
    return msgspec.structs.replace(work, reviews={**work.reviews, review.request.review_id: review})


def _end(work: Work, id: str, status: ReviewStatus) -> Work:
    review = work.reviews.get(id)
    return work if review is None else _with(work, msgspec.structs.replace(review, status=status))


def _named(policy: object) -> str:
    id, version = getattr(policy, "id", None), getattr(policy, "version", None)
    return f"{id} version {version}" if id is not None else "no policy"
