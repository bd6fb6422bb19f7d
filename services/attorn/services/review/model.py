"""Review: a verdict on exactly these bytes, by somebody other than their maker, before they go out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.execution import WorkExecuted
from attorn.contracts.ids import Pinned
from attorn.contracts.output import OutputProduced, OutputReleased, OutputWithdrawn, ReleaseOutput, WithdrawOutput
from attorn.contracts.refusal import Breach
from attorn.contracts.review import (
    ClaimReview,
    RequestReview,
    ReviewClaimed,
    ReviewExpired,
    ReviewInvalidated,
    ReviewRequested,
    ReviewSkipped,
    ReviewUnclaimed,
    ReviewWithdrawn,
    ReviewWork,
    UnclaimReview,
    WithdrawReview,
    WorkReviewed,
    draw,
)
from attorn.contracts.work import WorkCompleted, WorkSubmitted
from attorn.projections.directory import Directory
from attorn.services.review.request import candidates, dangling, excluded, overtaken, renewed, rules_of
from attorn.services.transact import Context
from attorn.services.work.state import Looking, Review, ReviewStatus, Work, requires_person
from attorn.services.work.tables import Changes, Checks

ReviewCommand: TypeAlias = (
    RequestReview | ClaimReview | UnclaimReview | WithdrawReview | ReviewWork | ReleaseOutput | WithdrawOutput
)

SUSPECT: Final = 4
"""Consent in less than this part of the time that the policy gives a look with care is suspected to be none."""

_ENDS: Final[Mapping[type, ReviewStatus]] = {
    ReviewInvalidated: "invalidated",
    ReviewWithdrawn: "withdrawn",
    ReviewExpired: "expired",
}

_replace: Final = msgspec.structs.replace


def decide(work: Work, command: ReviewCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case RequestReview():
            return _request(work, command, context)
        case ClaimReview(review_id=id, claim_until=until):
            review, about = _about(work, id)
            known = review.claims.get(context.actor) if review is not None else None
            claimed = ReviewClaimed(**about, reviewer=context.actor, claim_until=until)
            return [] if known is not None and known.until == until and known.is_live(context.at) else [claimed]
        case UnclaimReview(review_id=id, reviewer=reviewer):
            review, about = _about(work, id)
            who = reviewer or context.actor
            gone = review is not None and who not in review.claims
            return [] if gone else [ReviewUnclaimed(**about, reviewer=who, cause="released")]
        case WithdrawReview(review_id=id, reason=reason):
            review, about = _about(work, id)
            withdrawn = review is not None and review.status == "withdrawn"
            return [] if withdrawn else [ReviewWithdrawn(**about, reason=reason)]
        case ReviewWork(review_id=id):
            review, _ = _about(work, id)
            pinned = review.request.policy if review is not None else None
            said = {n: getattr(command, n) for n in WorkReviewed.__struct_fields__ if n not in ("reviewer", "policy")}
            verdict = WorkReviewed(**said, reviewer=context.actor, policy=pinned)
            if review is not None and verdict in review.verdicts:
                return []
            edited = (command.new_output,) if command.new_output is not None else ()
            others = (other for other in overtaken(work, edited) if other.review_id != id)
            return [verdict, *others, *renewed(work, edited, context, but=id)]
        case ReleaseOutput(output_id=output_id, output_dig=dig, to=to, channel=channel):
            made = work.outputs.get(output_id)
            dig = dig or (made.output.dig if made is not None else None)
            released = OutputReleased(output_id=output_id, output_dig=dig, to=to, channel=channel)
            return [] if made is not None and made.released and made.output.dig == dig else [released]
        case WithdrawOutput(output_id=output_id, reason=reason):
            made = work.outputs.get(output_id)
            return [] if made is not None and made.withdrawn else [OutputWithdrawn(output_id=output_id, reason=reason)]


def observe(event: Event, directory: Directory) -> Iterator[Breach]:
    """What a request shows to be wrong, and is nobody's fault who caused it: work is handed to busy reviewers, too."""
    for busy in directory.reviewing.overloaded(event.data.candidates):
        detail = f"{busy.person} has {busy.waiting} reviews to give, and room for {busy.room}"
        yield Breach(rule="reviewer-overload", detail=detail, field="data.candidates")


def _request(work: Work, command: RequestReview, context: Context) -> Sequence[msgspec.Struct]:
    pinned = work.definition.review_policy if work.definition is not None else None
    rules = rules_of(pinned, context.directory)
    made = work.outputs.get(command.output_id)
    makers = made.makers if made is not None and (rules is None or rules.exclude_executor) else ()
    barred = dict.fromkeys((*command.excluded, *makers, *excluded(rules, context.directory)))
    request = ReviewRequested(
        review_id=command.review_id or context.new_id,
        output_id=command.output_id,
        output_dig=command.output_dig,
        policy=pinned,
        required=max(1, rules.reviewers_required) if rules is not None else 1,
        candidates=command.candidates or candidates(work, rules, tuple(barred), context.directory),
        excluded=tuple(barred),
        respond_by=command.respond_by,
    )
    known = work.reviews.get(request.review_id)
    # Whom the request excludes may have grown since; that somebody asks for it again is nothing new.
    same = known is not None and _replace(request, excluded=known.request.excluded) == known.request
    return [] if same else [*dangling(work), request]


def _about(work: Work, id: str) -> tuple[Review | None, dict[str, str]]:
    """A review, and the words by which events name it and what it is about."""
    review = work.reviews.get(id)
    output, dig = (review.request.output_id, review.request.output_dig) if review is not None else ("", "")
    return review, {"review_id": id, "output_id": output, "output_dig": dig}


def _check_request(work: Work, request: ReviewRequested, event: Event, directory: Directory) -> Iterator[Breach]:
    if request.review_id in work.reviews:
        detail = f"review {request.review_id} was asked for before; use a new id"
        yield Breach(rule="review-open", detail=detail, field="data.review_id")
    yield from _check_object(work, request.output_id, request.output_dig)
    pinned = work.definition.review_policy if work.definition is not None else None
    rules = rules_of(pinned, directory)
    if request.policy != pinned and work.wants_review(directory):
        detail = f"the work is pinned to {_named(pinned)}, the review is under {_named(request.policy)}"
        yield Breach(rule="review-policy", detail=detail, field="data.policy")
    elif rules is not None and request.required < rules.reviewers_required:
        detail = f"{_named(pinned)} asks for {rules.reviewers_required} reviewers, not for {request.required}"
        yield Breach(rule="review-policy", detail=detail, field="data.required")
    for candidate in request.candidates:
        if not directory.is_here(candidate):
            detail = f"{candidate} is not registered or has left"
            yield Breach(rule="unregistered-actor", detail=detail, field="data.candidates")
        elif (
            rules is not None
            and rules.candidates
            and not _is_asked(candidate, work, rules.candidates, event, directory)
        ):
            detail = f"{candidate} is not among those whom {_named(pinned)} asks: {', '.join(rules.candidates)}"
            yield Breach(rule="review-policy", detail=detail, field="data.candidates")
    drawn = request.sampling
    if drawn is not None and drawn.seed is not None and drawn.drawn != draw(drawn.seed, request.output_dig):
        detail = f"the seed {drawn.seed} does not draw {drawn.drawn} for {request.output_dig[:19]}…"
        yield Breach(rule="review-sampling", detail=detail, field="data.sampling")


def _check_object(work: Work, output_id: str, dig: str) -> Iterator[Breach]:
    made = work.outputs.get(output_id)
    if made is None or made.output.dig != dig:
        detail = f"{output_id} is not an output with the digest {dig[:19]}…"
        yield Breach(rule="review-digest", detail=detail, field="data.output_dig")


def _check_skip(work: Work, skipped: ReviewSkipped, event: Event, directory: Directory) -> Iterator[Breach]:
    yield from _check_object(work, skipped.output_id, skipped.output_dig)
    if not _drawn_here(event) or not work.may_skip(skipped, directory):
        detail = f"the pinned policy and this draw do not spare {skipped.output_id} a review"
        yield Breach(rule="review-sampling", detail=detail, field="data.sampling")


def _check_claim(work: Work, data: ReviewClaimed, event: Event, directory: Directory) -> Iterator[Breach]:
    id, reviewer = data.review_id, data.reviewer
    review = work.reviews.get(id)
    if review is None or review.status not in ("open", "expired"):
        yield _not_open(id, review)
        return
    yield from _check_object(work, data.output_id, data.output_dig)
    yield from _check_reviewer(work, review, reviewer, event, directory)
    if review.is_taken(reviewer, event.time):
        yield _taken(id, review)


def _check_unclaim(work: Work, data: ReviewUnclaimed, event: Event, directory: Directory) -> Iterator[Breach]:
    id, reviewer = data.review_id, data.reviewer
    review = work.reviews.get(id)
    if review is None or reviewer not in review.claims:
        detail = f"{reviewer} is not looking at what {id} is about"
        yield Breach(rule="review-claimed", detail=detail, field="data.reviewer")
    elif (by := _actor(event)) not in (None, reviewer) and not work.has_authority(by, directory, event.time):
        detail = f"{by} is not {reviewer}, and has no authority over the work"
        yield Breach(rule="review-claimed", detail=detail, field="data.reviewer")


def _check_end(
    work: Work, data: ReviewWithdrawn | ReviewExpired, event: Event, directory: Directory
) -> Iterator[Breach]:
    id = data.review_id
    review = work.reviews.get(id)
    if review is None or review.status not in ("open", "expired"):
        yield _not_open(id, review)
    elif isinstance(data, ReviewWithdrawn) and not _may_withdraw(work, review, event, directory):
        detail = f"{_actor(event)} has not asked for {id}, and has no authority over the work"
        yield Breach(rule="review-open", detail=detail, field="data.review_id")


def _check_invalidation(work: Work, data: ReviewInvalidated, event: Event, directory: Directory) -> Iterator[Breach]:
    id, cause = data.review_id, data.cause
    review = work.reviews.get(id)
    if review is None or review.status in ("withdrawn", "sent_back"):
        yield _not_open(id, review)
    if cause == data.output_dig or cause not in {made.output.dig for made in work.outputs.values()}:
        detail = f"{cause[:19]}… is not what the output of {id} is now"
        yield Breach(rule="review-digest", detail=detail, field="data.cause")


def _check_verdict(work: Work, verdict: WorkReviewed, event: Event, directory: Directory) -> Iterator[Breach]:
    reviewer = verdict.reviewer
    made, review = work.outputs.get(verdict.output_id), work.reviews.get(verdict.review_id)
    if made is None or made.output.dig != verdict.output_dig:
        now = f"is now {made.output.dig[:19]}…" if made is not None else "is not there"
        detail = f"{verdict.output_id} {now}; the verdict is about {verdict.output_dig[:19]}…"
        yield Breach(rule="review-digest", detail=detail, field="data.output_dig")
    new = verdict.new_output
    if (verdict.verdict == "edited") != (new is not None) or (new is not None and new.output_id != verdict.output_id):
        detail = f"the verdict edited, and no other, says what {verdict.output_id} is now (new_output)"
        yield Breach(rule="review-digest", detail=detail, field="data.new_output")
    if verdict.verdict == "waived":
        yield from _check_waiver(work, verdict, event, directory)
    else:
        yield from _check_maker(work, verdict.output_id, reviewer)
    if review is None or review.status not in ("open", "expired"):
        if not directory.is_here(reviewer):
            yield _unregistered(reviewer)
        yield _not_open(verdict.review_id, review)
        return
    request = review.request
    if request.output_id != verdict.output_id or request.output_dig != verdict.output_dig:
        detail = f"the review {verdict.review_id} is about {request.output_id} {request.output_dig[:19]}…"
        yield Breach(rule="review-digest", detail=detail, field="data.output_dig")
    yield from _check_reviewer(work, review, reviewer, event, directory, waives=verdict.verdict == "waived")
    if reviewer in review.approved_by:
        yield Breach(rule="review-open", detail=f"{reviewer} has given a verdict in {verdict.review_id} already")
    elif review.is_taken(reviewer, event.time) and not work.has_authority(reviewer, directory, event.time):
        yield _taken(verdict.review_id, review)
    if verdict.policy != request.policy:
        detail = f"{verdict.review_id} is under {_named(request.policy)}, the verdict under {_named(verdict.policy)}"
        yield Breach(rule="review-policy", detail=detail, field="data.policy")
    yield from _check_care(review, verdict, event, directory)


def _check_reviewer(
    work: Work, review: Review, reviewer: str, event: Event, directory: Directory, *, waives: bool = False
) -> Iterator[Breach]:
    """Whether `reviewer` may look at it; who waives does not judge, and may have made it."""
    request = review.request
    made = work.outputs.get(request.output_id)
    if not directory.is_here(reviewer):
        yield _unregistered(reviewer)
    if isinstance(event.data, ReviewClaimed):
        yield from _check_maker(work, request.output_id, reviewer)
    # Who made it is told that already.
    if reviewer in request.excluded and not waives and not (made is not None and reviewer in made.makers):
        detail = f"{reviewer} is excluded from the review {request.review_id}"
        yield Breach(rule="reviewer-excluded", detail=detail, field="data.reviewer")
    rules = rules_of(request.policy, directory)
    # A request that names nobody asks those whom its policy names.
    asked = request.candidates or (rules.candidates if rules is not None else ())
    if asked and not _is_asked(reviewer, work, asked, event, directory):
        detail = f"{reviewer} is not among those asked for {request.review_id}: {', '.join(asked)}"
        yield Breach(rule="reviewer-excluded", detail=detail, field="data.reviewer")
    if not directory.is_person(reviewer) and directory.is_here(reviewer) and requires_person(request, directory):
        detail = f"{reviewer} is of kind {directory.kind(reviewer)}; a person reviews {request.output_id}"
        yield Breach(rule="reviewer-human", detail=detail, field="data.reviewer")


def _is_asked(who: str, work: Work, asked: Sequence[str], event: Event, directory: Directory) -> bool:
    """Whether `who` is one of those whom these lead to, stands in for one, or has authority over the work."""
    if who in asked:
        return True
    named = {id for target in asked for id in directory.leads_to(target)}
    stands_in = any(directory.substitute(id, "review", event.time) == who for id in named)
    return who in named or stands_in or work.has_authority(who, directory, event.time)


def _check_maker(work: Work, output_id: str, reviewer: str) -> Iterator[Breach]:
    made = work.outputs.get(output_id)
    if made is not None and reviewer in made.makers:
        detail = f"{reviewer} made {output_id}, or what it replaces; somebody else reviews it"
        yield Breach(rule="self-review", detail=detail, field="data.reviewer")


def _check_waiver(work: Work, verdict: WorkReviewed, event: Event, directory: Directory) -> Iterator[Breach]:
    if not _may_waive(verdict.reviewer, work, event, directory):
        detail = (
            f"{verdict.reviewer} has no authority to waive a review; the owner of the process has, an admin, "
            "and whom a policy of kind authority names"
        )
        yield Breach(rule="control-bypassed", detail=detail, field="data.verdict")
    if not (verdict.authority or "").strip():
        detail = f"a waiver says on what ground {verdict.output_id} goes out unreviewed"
        yield Breach(rule="control-bypassed", detail=detail, field="data.authority")


def _check_care(review: Review, verdict: WorkReviewed, event: Event, directory: Directory) -> Iterator[Breach]:
    consents = verdict.verdict in ("approved", "edited")
    rules = rules_of(review.request.policy, directory) if consents else None
    if rules is None or not rules.seconds_min:
        return
    claim = review.claims.get(verdict.reviewer)
    spent: float | None = verdict.seconds_spent
    # What stands on the log counts before what somebody says of themselves.
    if claim is not None:
        watched = (event.time - claim.since).total_seconds()
        spent = watched if spent is None else min(spent, watched)
    if spent is not None and spent * SUSPECT < rules.seconds_min:
        detail = (
            f"{verdict.reviewer} looked at {verdict.output_id} for {spent:.0f} s; "
            f"a look with care takes {rules.seconds_min} s"
        )
        yield Breach(rule="rubber-stamp-suspected", detail=detail, field="data.seconds_spent")


def _check_release(work: Work, data: OutputReleased, event: Event, directory: Directory) -> Iterator[Breach]:
    dig, made = data.output_dig, work.outputs.get(data.output_id)
    why = work.unreviewed(data.output_id, directory)
    if why is None and made is not None and dig is not None and dig != made.output.dig:
        why = f"{dig[:19]}… is not what {data.output_id} is now"
    if why is not None:
        yield Breach(rule="control-bypassed", detail=why, field="data.output_id")


def _check_withdrawal(work: Work, data: OutputWithdrawn, event: Event, directory: Directory) -> Sequence[Breach]:
    if data.output_id in work.outputs:
        return ()
    detail = f"there is no output {data.output_id}"
    return (Breach(rule="control-bypassed", detail=detail, field="data.output_id"),)


def _check_submission(work: Work, data: WorkSubmitted, event: Event, directory: Directory) -> Iterable[Breach]:
    return _unreviewed(work, data.outputs, directory)


def _check_completion(work: Work, data: WorkCompleted, event: Event, directory: Directory) -> Iterable[Breach]:
    return _unreviewed(work, (), directory)


def _unreviewed(work: Work, named: Sequence[str], directory: Directory) -> Iterator[Breach]:
    """Each result of the work, and each output that is named, which nobody has approved of as it is."""
    for output_id, made in work.outputs.items():
        if output_id in named or (made.handed_over and not made.withdrawn):
            why = work.unreviewed(output_id, directory)
            if why is not None:
                yield Breach(rule="control-bypassed", detail=why, field="data.outputs")


CHECKS: Final[Checks] = {
    ReviewRequested: _check_request,
    ReviewSkipped: _check_skip,
    ReviewClaimed: _check_claim,
    ReviewUnclaimed: _check_unclaim,
    ReviewWithdrawn: _check_end,
    ReviewExpired: _check_end,
    ReviewInvalidated: _check_invalidation,
    WorkReviewed: _check_verdict,
    OutputReleased: _check_release,
    OutputWithdrawn: _check_withdrawal,
    WorkSubmitted: _check_submission,
    WorkCompleted: _check_completion,
}


def _unregistered(reviewer: str) -> Breach:
    return Breach(rule="unregistered-actor", detail=f"{reviewer} is not registered or has left", field="data.reviewer")


def _not_open(id: str, review: Review | None) -> Breach:
    state = review.status.replace("_", " ") if review is not None else "not asked for"
    return Breach(rule="review-open", detail=f"review {id} is {state}", field="data.review_id")


def _taken(id: str, review: Review) -> Breach:
    others = ", ".join(dict.fromkeys((*review.approved_by, *review.claims)))
    detail = f"{id} wants {review.request.required}, and has {others} already"
    return Breach(rule="review-claimed", detail=detail, field="data.reviewer")


def _actor(event: Event) -> str | None:
    """Who asked for it at a command door; of a fact nobody knows."""
    return event.authid if event.authtype in ("user", "service_account") else None


def _drawn_here(event: Event) -> bool:
    """Whether a service drew, as it does for a command. Who reports a draw may have tried seeds until one suited."""
    ours = event.authtype != "system" or event.onbehalfof is not None  # which no publisher may say
    return ours and event.source == f"/attorn/participant/{event.authid}"


def _may_withdraw(work: Work, review: Review, event: Event, directory: Directory) -> bool:
    by = _actor(event)
    asked = by is not None and by == review.asked_by and directory.is_person(by)
    return by is None or asked or work.has_authority(by, directory, event.time)


def _may_waive(reviewer: str, work: Work, event: Event, directory: Directory) -> bool:
    process = directory.process(work.process.id) if work.process is not None else None
    owns = process is not None and reviewer in (process.owner, directory.successor(process.owner))
    named = {
        person
        for id in directory.policies
        if (policy := directory.policy_in_force(id, event.time)) is not None and policy.rules.authority is not None
        for target in policy.rules.authority.may_waive_review
        for person in directory.persons(target)
    }
    may = owns or reviewer in named or directory.holds(reviewer, "admin", at=event.time)
    return directory.is_person(reviewer) and may


def _named(policy: Pinned | None) -> str:
    return f"{policy.id} version {policy.version}" if policy is not None else "no policy"


# ---- what an event changes


def _ask(work: Work, data: ReviewRequested, event: Event) -> Work:
    if data.review_id in work.reviews:
        return work
    return _replace(work, reviews={**work.reviews, data.review_id: Review(data, asked_by=_actor(event))})


def _skip(work: Work, data: ReviewSkipped, event: Event) -> Work:
    return _replace(work, skipped={**work.skipped, data.output_id: data}) if _drawn_here(event) else work


def _look(work: Work, data: ReviewClaimed, event: Event) -> Work:
    review = work.reviews.get(data.review_id)
    if review is None:
        return work
    claims = {**review.claims, data.reviewer: Looking(event.time, data.claim_until)}
    return _with(work, _replace(review, claims=claims))


def _leave(work: Work, data: ReviewUnclaimed, event: Event) -> Work:
    review = work.reviews.get(data.review_id)
    return _with(work, _unclaimed(review, data.reviewer)) if review is not None else work


def _judge(work: Work, data: WorkReviewed, event: Event) -> Work:
    review = work.reviews.get(data.review_id)
    if review is not None:
        work = _with(work, _judged(work, _unclaimed(review, data.reviewer), data))
    return _overtake(work, data, event) if data.new_output is not None else work


def _counts(work: Work, review: Review, verdict: WorkReviewed) -> bool:
    """Whether this word of consent may let the output go: a fact that broke the rules is on the log, and does not."""
    made, request = work.outputs.get(verdict.output_id), review.request
    judged = made is not None and (made.output.dig == verdict.output_dig or verdict.verdict == "edited")
    own = made is not None and verdict.reviewer in made.makers[: -1 if verdict.verdict == "edited" else None]
    same = request.output_id == verdict.output_id and request.output_dig == verdict.output_dig
    return judged and same and not own and verdict.reviewer not in request.excluded


def _judged(work: Work, review: Review, verdict: WorkReviewed) -> Review:
    review = _replace(review, verdicts=(*review.verdicts, verdict))
    if verdict.verdict in ("approved", "edited") and not _counts(work, review, verdict):
        return review
    match verdict.verdict:
        case "changes_requested" | "rejected":
            return _replace(review, status="sent_back")
        case "waived":
            return _replace(review, status="waived")
        case "approved" | "edited":
            request, approved = review.request, (*review.approved_by, verdict.reviewer)
            if verdict.verdict == "edited" and verdict.new_output is not None:
                # What the reviewer made of it is what was approved.
                request = _replace(request, output_dig=verdict.new_output.dig)
            met = len(set(approved)) >= request.required
            return _replace(review, request=request, status="met" if met else "open", approved_by=approved)


def _unclaimed(review: Review, reviewer: str) -> Review:
    if reviewer not in review.claims:
        return review
    return _replace(review, claims={id: looking for id, looking in review.claims.items() if id != reviewer})


def _overtake(work: Work, data: WorkExecuted | OutputProduced | WorkReviewed, event: Event) -> Work:
    """Whoever reported it said nothing of the reviews: of bytes that are no more, they say nothing any more."""
    for review in work.reviews.values():
        made = work.outputs.get(review.request.output_id)
        if review.stands and (made is None or made.output.dig != review.request.output_dig):
            work = _with(work, _replace(review, status="invalidated"))
    return work


def _end(work: Work, data: ReviewInvalidated | ReviewWithdrawn | ReviewExpired, event: Event) -> Work:
    review = work.reviews.get(data.review_id)
    return _with(work, _replace(review, status=_ENDS[type(data)])) if review is not None else work


def _with(work: Work, review: Review) -> Work:
    # At the end, so that the reviews stand in the order in which they were decided.
    others = {id: other for id, other in work.reviews.items() if id != review.request.review_id}
    return _replace(work, reviews={**others, review.request.review_id: review})


CHANGES: Final[Changes] = {
    ReviewRequested: _ask,
    ReviewSkipped: _skip,
    ReviewClaimed: _look,
    ReviewUnclaimed: _leave,
    WorkReviewed: _judge,
    WorkExecuted: _overtake,
    OutputProduced: _overtake,
    **dict.fromkeys(_ENDS, _end),
}
