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
from attorn.services.work.state import Review, ReviewStatus, Work, requires_person

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
            verdict = WorkReviewed(**said, reviewer=context.actor, policy=pinned)
            return [] if review is not None and verdict in review.verdicts else [verdict]
        case ReleaseOutput(output_id=output_id, output_dig=dig, to=to, channel=channel):
            made = work.outputs.get(output_id)
            dig = dig or (made.output.dig if made is not None else None)
            released = OutputReleased(output_id=output_id, output_dig=dig, to=to, channel=channel)
            return [] if made is not None and made.released and made.output.dig == dig else [released]
        case WithdrawOutput(output_id=output_id, reason=reason):
            made = work.outputs.get(output_id)
            return [] if made is not None and made.withdrawn else [OutputWithdrawn(output_id=output_id, reason=reason)]


def check(work: Work, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules of review `event` breaks."""
    match event.data:
        case ReviewRequested(output_id=output_id, output_dig=dig):
            made = work.outputs.get(output_id)
            if made is None or made.output.dig != dig:
                detail = f"{output_id} is not an output with the digest {dig[:19]}…"
                yield Breach(rule="review-digest", detail=detail, field="data.output_dig")
        case WorkReviewed() as verdict:
            yield from _check_verdict(work, verdict, event, directory)
        case OutputReleased(output_id=output_id, output_dig=dig):
            why = work.unreviewed(output_id, directory)
            made = work.outputs.get(output_id)
            if why is None and made is not None and dig is not None and dig != made.output.dig:
                why = f"{dig[:19]}… is not what {output_id} is now"
            if why is not None:
                yield Breach(rule="control-bypassed", detail=why, field="data.output_id")
        case OutputWithdrawn(output_id=output_id) if output_id not in work.outputs:
            yield Breach(rule="control-bypassed", detail=f"there is no output {output_id}", field="data.output_id")
        case WorkSubmitted() | WorkCompleted():
            named = event.data.outputs if isinstance(event.data, WorkSubmitted) else ()
            for output_id, made in work.outputs.items():
                why = work.unreviewed(output_id, directory)
                if why is not None and (output_id in named or (made.handed_over and not made.withdrawn)):
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
            return work if review is None else _with(work, _judged(work, review, verdict))
        case ReviewInvalidated(review_id=id):
            return _end(work, id, "invalidated")
        case ReviewWithdrawn(review_id=id):
            return _end(work, id, "withdrawn")
        case ReviewExpired(review_id=id):
            return _end(work, id, "expired")
        case _:
            return work


def _check_verdict(work: Work, verdict: WorkReviewed, event: Event, directory: Directory) -> Iterator[Breach]:
    reviewer = verdict.reviewer
    made, review = work.outputs.get(verdict.output_id), work.reviews.get(verdict.review_id)
    if not directory.is_here(reviewer):
        detail = f"{reviewer} is not registered or has left"
        yield Breach(rule="unregistered-actor", detail=detail, field="data.reviewer")
    made_it = made is not None and reviewer in made.makers
    if made_it and verdict.verdict != "waived":
        detail = f"{reviewer} made {verdict.output_id}; somebody else reviews it"
        yield Breach(rule="self-review", detail=detail, field="data.reviewer")
    if made is None or made.output.dig != verdict.output_dig:
        now = f"is now {made.output.dig[:19]}…" if made is not None else "is not there"
        detail = f"{verdict.output_id} {now}; the verdict is about {verdict.output_dig[:19]}…"
        yield Breach(rule="review-digest", detail=detail, field="data.output_dig")
    new = verdict.new_output
    if (verdict.verdict == "edited") != (new is not None) or (new is not None and new.output_id != verdict.output_id):
        detail = f"the verdict edited, and no other, says what {verdict.output_id} is now (new_output)"
        yield Breach(rule="review-digest", detail=detail, field="data.new_output")
    if review is None or review.status not in ("open", "expired"):
        state = review.status if review is not None else "not asked for"
        yield Breach(rule="review-open", detail=f"review {verdict.review_id} is {state}", field="data.review_id")
        return
    request = review.request
    if request.output_id != verdict.output_id or request.output_dig != verdict.output_dig:
        detail = f"the review {verdict.review_id} is about {request.output_id} {request.output_dig[:19]}…"
        yield Breach(rule="review-digest", detail=detail, field="data.output_dig")
    # Who made it is told that already; who waives does not judge.
    if reviewer in request.excluded and not made_it and verdict.verdict != "waived":
        detail = f"{reviewer} is excluded from the review {verdict.review_id}"
        yield Breach(rule="reviewer-excluded", detail=detail, field="data.reviewer")
    asked = request.candidates
    if asked and reviewer not in asked and not work.has_authority(reviewer, directory, event.time):
        detail = f"{reviewer} is not among those asked for {verdict.review_id}: {', '.join(asked)}"
        yield Breach(rule="reviewer-excluded", detail=detail, field="data.reviewer")
    if reviewer in review.approved_by:
        yield Breach(rule="review-open", detail=f"{reviewer} has given a verdict in {verdict.review_id} already")
    if verdict.policy != request.policy:
        detail = f"{verdict.review_id} is under {_named(request.policy)}, the verdict under {_named(verdict.policy)}"
        yield Breach(rule="review-policy", detail=detail, field="data.policy")
    if requires_person(request, directory) and directory.is_here(reviewer) and not directory.is_person(reviewer):
        detail = f"{reviewer} is of kind {directory.kind(reviewer)}; a person reviews {verdict.output_id}"
        yield Breach(rule="reviewer-human", detail=detail, field="data.reviewer")
    if verdict.verdict == "waived" and not _may_waive(reviewer, work, event, directory):
        detail = f"{reviewer} has no authority to waive a review; the owner of the process has, or an admin"
        yield Breach(rule="control-bypassed", detail=detail, field="data.verdict")


def _may_waive(reviewer: str, work: Work, event: Event, directory: Directory) -> bool:
    process = directory.process(work.process.id) if work.process is not None else None
    owns = process is not None and reviewer in (process.owner, directory.successor(process.owner))
    return directory.is_person(reviewer) and (owns or directory.holds(reviewer, "admin", at=event.time))


def _counts(work: Work, review: Review, verdict: WorkReviewed) -> bool:
    """Whether this word of consent may let the output go: a fact that broke the rules is on the log, and does not."""
    made, request = work.outputs.get(verdict.output_id), review.request
    judged = made is not None and (made.output.dig == verdict.output_dig or verdict.verdict == "edited")
    own = made is not None and verdict.reviewer in made.makers[: -1 if verdict.verdict == "edited" else None]
    same = request.output_id == verdict.output_id and request.output_dig == verdict.output_dig
    return judged and same and not own and verdict.reviewer not in request.excluded


def _judged(work: Work, review: Review, verdict: WorkReviewed) -> Review:
    replace = msgspec.structs.replace
    review = replace(review, verdicts=(*review.verdicts, verdict))
    if verdict.verdict in ("approved", "edited") and not _counts(work, review, verdict):
        return review
    match verdict.verdict:
        case "changes_requested" | "rejected":
            return replace(review, status="sent_back")
        case "waived":
            return replace(review, status="waived")
        case "approved" | "edited":
            request, approved = review.request, (*review.approved_by, verdict.reviewer)
            if verdict.verdict == "edited" and verdict.new_output is not None:
                # What the reviewer made of it is what was approved.
                request = replace(request, output_dig=verdict.new_output.dig)
            met = len(set(approved)) >= request.required
            return replace(review, request=request, status="met" if met else "open", approved_by=approved)


def _with(work: Work, review: Review) -> Work:
    # At the end, so that the reviews stand in the order in which they were decided.
    others = {id: other for id, other in work.reviews.items() if id != review.request.review_id}
    return msgspec.structs.replace(work, reviews={**others, review.request.review_id: review})


def _end(work: Work, id: str, status: ReviewStatus) -> Work:
    review = work.reviews.get(id)
    return work if review is None else _with(work, msgspec.structs.replace(review, status=status))


def _named(policy: object) -> str:
    id, version = getattr(policy, "id", None), getattr(policy, "version", None)
    return f"{id} version {version}" if id is not None else "no policy"
