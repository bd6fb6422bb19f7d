"""Whether a policy can be followed as it is written: seen when it is published, not when work is stuck in it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, get_args

from attorn.contracts.participant import Role
from attorn.contracts.policy import (
    AuthorityRules,
    DelegationRules,
    EscalationRules,
    PolicyPublished,
    RetentionRules,
    ReviewRules,
)
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services import expressions
from attorn.services.review.request import excluded, reviewers

ROLES: Final = frozenset(get_args(Role))

CONDITIONS_MAX: Final = 100
"""How many conditions, limits or rungs one policy has at most."""


def check(policy: PolicyPublished, directory: Directory) -> Iterator[Breach]:
    """What in the rules of the policy's own kind nobody could follow."""
    kind = policy.kind
    rules = getattr(policy.rules, kind)
    if rules is None:
        yield _unsound(f"a {kind} policy says its rules here", kind)
    match rules:
        case ReviewRules():
            yield from _check_review(rules, directory)
        case EscalationRules():
            yield from _check_escalation(rules, directory)
        case DelegationRules():
            yield from _check_delegation(rules)
        case AuthorityRules():
            yield from _check_authority(rules)
        case RetentionRules(keep_for=keep_for) if keep_for is not None and keep_for.total_seconds() <= 0:
            yield _unsound("nothing would be kept; keep_for is longer than that", "retention.keep_for")
        case _:
            pass


def _check_review(rules: ReviewRules, directory: Directory) -> Iterator[Breach]:
    strange = [*_check_known(rules.candidates, "review.candidates", directory)]
    yield from strange
    for who in rules.excluded:
        if directory.kind(who) is None:
            yield _unsound(f"{who} is not a participant; name who is not to review", "review.excluded")
    if rules.candidates and not strange:
        barred = {*excluded(rules, directory)}
        kinds = {directory.kind(who) for who in rules.candidates if who not in barred}
        able = [who for who in reviewers(rules, directory) if who not in barred]
        # A role, or a team, may grow; only those who are named one by one stay too few. But somebody there has to be.
        wanted = min(1, rules.reviewers_required) if kinds & {None, "team"} else rules.reviewers_required
        if len(able) < wanted:
            detail = (
                f"reviewers_required is {rules.reviewers_required}, and of the candidates {len(able)} may; name more"
            )
            yield _unsound(detail, "review.candidates")
    if rules.respond_within is not None and rules.respond_within.total_seconds() <= 0:
        yield _unsound("a review takes time; respond_within is longer than that", "review.respond_within")
    if rules.when is not None:
        yield from _check_expression(rules.when, "review.when")


def _check_escalation(rules: EscalationRules, directory: Directory) -> Iterator[Breach]:
    if len(rules.ladder) > CONDITIONS_MAX:
        yield _unsound(f"there are {len(rules.ladder)} rungs; {CONDITIONS_MAX} at most", "escalation.ladder")
        return
    below = 0
    for index, rung in enumerate(rules.ladder):
        field = f"escalation.ladder[{index}]"
        if rung.rung <= below:
            yield _unsound(f"rung {rung.rung} comes after rung {below}; count them upwards", f"{field}.rung")
        below = rung.rung
        if not rung.targets:
            yield _unsound(f"rung {rung.rung} asks nobody; name its targets", f"{field}.targets")
        yield from _check_known(rung.targets, f"{field}.targets", directory)
        if rung.ack_within.total_seconds() <= 0:
            yield _unsound(f"rung {rung.rung} gives no time; ack_within is longer than that", f"{field}.ack_within")


def _check_delegation(rules: DelegationRules) -> Iterator[Breach]:
    written = len(rules.conditions) + len(rules.escalate_when)
    if written > CONDITIONS_MAX:
        # Each is compiled, here and wherever the policy is held against work.
        yield _unsound(f"there are {written} conditions; {CONDITIONS_MAX} at most", "delegation.conditions")
        return
    ids = Counter(condition.id for condition in rules.conditions)
    for twice in sorted(id for id, count in ids.items() if count > 1):
        yield _unsound(f"two conditions are called {twice}; give each an id of its own", "delegation.conditions")
    if rules.max_duration is not None and rules.max_duration.total_seconds() <= 0:
        yield _unsound("a delegation takes time; max_duration is longer than that", "delegation.max_duration")
    for condition in rules.conditions:
        yield from _check_expression(condition.expr, f"delegation.conditions[{condition.id}].expr")
    for index, expression in enumerate(rules.escalate_when):
        yield from _check_expression(expression, f"delegation.escalate_when[{index}]")


def _check_authority(rules: AuthorityRules) -> Iterator[Breach]:
    if len(rules.limits) > CONDITIONS_MAX:
        yield _unsound(f"there are {len(rules.limits)} limits; {CONDITIONS_MAX} at most", "authority.limits")
        return
    for index, limit in enumerate(rules.limits):
        field = f"authority.limits[{index}]"
        if limit.up_to is not None and limit.up_to.amount.startswith("-"):
            yield _unsound(f"{limit.who} may decide up to less than nothing; say an amount", f"{field}.up_to")
        if limit.when is not None:
            yield from _check_expression(limit.when, f"{field}.when")


def _check_known(named: Iterable[str], field: str, directory: Directory) -> Iterator[Breach]:
    for who in named:
        if directory.kind(who) is None and who not in ROLES:
            yield _unsound(f"{who} is neither a participant nor a role; name a person, a team or a role", field)


def _check_expression(text: str, field: str) -> Iterator[Breach]:
    problem = expressions.problem(text)
    if problem is not None:
        yield _unsound(f"the condition {text[:80]!r} {problem}", field)


def _unsound(detail: str, field: str) -> Breach:
    return Breach(rule="policy-unsound", detail=detail, field=f"data.rules.{field}")
