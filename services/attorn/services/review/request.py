"""Which outputs are looked at, by whom: what the pinned policy asks for when an output is there, or is another."""

from collections.abc import Iterator, Sequence

import msgspec

from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output
from attorn.contracts.policy import ReviewRules
from attorn.contracts.review import ReviewInvalidated, ReviewRequested, ReviewSkipped, Sampling, draw
from attorn.projections.directory import Directory
from attorn.projections.ladder import after
from attorn.services import expressions
from attorn.services.delegation.occasion import of_output, of_work
from attorn.services.transact import Context
from attorn.services.work.state import Review, Work


def rules_of(pinned: Pinned | None, directory: Directory) -> ReviewRules | None:
    """What a pinned review policy says; None where there is none, or nobody knows it."""
    policy = directory.policy(pinned.id, pinned.version) if pinned is not None else None
    return policy.rules.review if policy is not None else None


def asked_for(
    work: Work,
    outputs: Sequence[Output],
    context: Context,
    *,
    name: str,
    executor: str | None,
    confidence: float | None = None,
) -> Iterator[msgspec.Struct]:
    """What the work's policy wants done about new outputs: for each a review, or the draw that spared it one.

    `name` is what the reviews' ids begin with; `executor` is who made the outputs, and `confidence` how sure of them.
    """
    pinned = work.definition.review_policy if work.definition is not None else None
    rules = rules_of(pinned, context.directory)
    if pinned is None or (rules is not None and rules.reviewers_required == 0):
        return
    for number, output in enumerate(outputs, start=1):
        sampling = None if _selected(work, rules, output, confidence, context) else _drawn(rules, output, name, context)
        if sampling is not None and sampling.drawn is not None and sampling.drawn >= sampling.rate:
            yield ReviewSkipped(output_id=output.output_id, output_dig=output.dig, policy=pinned, sampling=sampling)
            continue
        made_by = (executor,) if executor is not None and (rules is None or rules.exclude_executor) else ()
        barred = tuple(dict.fromkeys((*made_by, *excluded(rules, context.directory))))
        yield ReviewRequested(
            review_id=f"{name}-R{number}"[-64:],
            output_id=output.output_id,
            output_dig=output.dig,
            policy=pinned,
            required=rules.reviewers_required if rules is not None else 1,
            candidates=candidates(work, rules, barred, context.directory),
            excluded=barred,
            respond_by=after(context.at, rules.respond_within) if rules is not None and rules.respond_within else None,
            sampling=sampling,
        )


def reviewers(rules: ReviewRules, directory: Directory) -> tuple[str, ...]:
    """Those whom a policy names as reviewers, as they are now: roles and teams among them are whom they lead to."""
    named = dict.fromkeys(who for target in rules.candidates for who in directory.leads_to(target))
    return tuple(who for who in named if directory.is_person(who) or not rules.human_required)


def excluded(rules: ReviewRules | None, directory: Directory) -> Iterator[str]:
    """Those whom a policy keeps from reviewing; with a team, all who are in it now."""
    for who in rules.excluded if rules is not None else ():
        yield who
        if directory.kind(who) == "team":
            yield from directory.members(who)


def candidates(work: Work, rules: ReviewRules | None, barred: Sequence[str], directory: Directory) -> tuple[str, ...]:
    """Who is asked for a review: those whom the policy names, but for those who are `barred`.

    Nobody in particular only where it names nobody. Where those whom it names are too few by now, who has authority
    over the work is asked as well, whoever answers for it first.
    """
    if rules is None or not rules.candidates:
        return ()
    found = [who for who in reviewers(rules, directory) if who not in barred]
    over = (who for who in work.authorities(directory) if who not in barred and who not in found)
    for who in over:
        if len(found) >= max(1, rules.reviewers_required):
            break
        found.append(who)
    # Where every one of them is barred, who answers can still waive it; nobody stands for anybody.
    return tuple(found) or tuple(work.authorities(directory)) or rules.candidates


def overtaken(work: Work, outputs: Sequence[Output]) -> Iterator[ReviewInvalidated]:
    """The reviews that `outputs` leave without an object: what they were about has other bytes now."""
    for review, now in _replaced(work, outputs):
        yield _invalidated(review, now.dig)


def renewed(work: Work, outputs: Sequence[Output], context: Context, *, but: str = "") -> Iterator[ReviewRequested]:
    """What was still waited for, asked again of the bytes that there are now; `but` is the review that they answer."""
    waited_for = ((r, now) for r, now in _replaced(work, outputs) if r.status in ("open", "expired"))
    for number, (review, now) in enumerate(waited_for, start=1):
        if review.request.review_id != but:
            yield msgspec.structs.replace(
                review.request,
                review_id=f"{context.new_id}-R{number}"[-64:],
                output_id=now.output_id,
                output_dig=now.dig,
                sampling=None,
            )


def dangling(work: Work) -> Iterator[ReviewInvalidated]:
    """Reviews of bytes that a fact has replaced, and that the work still waits for: nobody has said so on the log."""
    waiting = {id for id, _ in work.life.reviews}
    for id, review in work.reviews.items():
        made = work.outputs.get(review.request.output_id)
        if id in waiting and review.status == "invalidated" and made is not None:
            yield _invalidated(review, made.output.dig)


def _replaced(work: Work, outputs: Sequence[Output]) -> Iterator[tuple[Review, Output]]:
    for review in work.reviews.values():
        about = review.request
        now = next((output for output in outputs if about.output_id in (output.output_id, output.supersedes)), None)
        if review.stands and now is not None and now.dig != about.output_dig:
            yield review, now


def _invalidated(review: Review, now: str) -> ReviewInvalidated:
    about = review.request
    return ReviewInvalidated(
        review_id=about.review_id, output_id=about.output_id, output_dig=about.output_dig, cause=now
    )


def _selected(
    work: Work, rules: ReviewRules | None, output: Output, confidence: float | None, context: Context
) -> bool:
    """Whether the policy wants this one looked at whatever the sample says; where that cannot be told, it does."""
    # Once it was picked out it stays so: whoever hands it in anew, as other bytes, or withdraws it and hands in
    # another, draws no second time.
    withdrawn = (id for id, made in work.outputs.items() if made.withdrawn)
    before = (output.output_id, output.supersedes, *withdrawn)
    if any(review.request.output_id in before and review.status != "withdrawn" for review in work.reviews.values()):
        return True
    if rules is None or rules.when is None:
        return False
    facts = {"work": of_work(work), "output": of_output(output, confidence), "at": context.at}
    return expressions.evaluate(rules.when, facts).holds is not False


def _drawn(rules: ReviewRules | None, output: Output, name: str, context: Context) -> Sampling | None:
    """The draw, where the policy looks at a share only.

    The seed has the service's time in it, to the microsecond: who makes an output knows its digest, not the seed.
    """
    if rules is None or rules.sample_rate >= 1:
        return None
    seed = f"{name}@{context.at.isoformat()}"
    return Sampling(rate=rules.sample_rate, drawn=draw(seed, output.dig), seed=seed)
