"""A work item as its rules see it: one state, in which every slice finds what it needs.

Folded from the item's own stream alone; who is a person, and who answers after whom, is the directory's.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from attorn.contracts.decision import DecisionMade, DecisionRequested, RecommendationAnswered, RecommendationMade
from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.escalation import EscalationAcknowledged, EscalationAnswered, EscalationResolved, WorkEscalated
from attorn.contracts.execution import (
    ActionResult,
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionStarted,
    WorkExecuted,
)
from attorn.contracts.handover import HandoverOffered
from attorn.contracts.ids import Pinned, Ref
from attorn.contracts.output import Output, OutputValidated
from attorn.contracts.review import ReviewRequested, ReviewSkipped, WorkReviewed, draw
from attorn.contracts.work import WorkDefined, WorkReadied
from attorn.projections.directory import Answer, Directory
from attorn.projections.lifecycle import Lifecycle

DelegationStatus: TypeAlias = Literal["granted", "accepted", "declined", "suspended", "revoked", "expired", "exhausted"]
ReviewStatus: TypeAlias = Literal["open", "met", "sent_back", "waived", "invalidated", "withdrawn", "expired"]
HandoverStatus: TypeAlias = Literal["open", "accepted", "declined", "expired"]
DependencyStatus: TypeAlias = Literal["open", "satisfied", "broken"]
EscalationStatus: TypeAlias = Literal["open", "acknowledged", "answered", "resolved", "cancelled"]


class Spent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was used up under a delegation, and under all that descend from it; money by currency.

    `elapsed` is the time of the executions that are over.
    """

    uses: int = 0
    actions: int = 0
    tokens: int = 0
    money: dict[str, Decimal] = {}
    elapsed: timedelta = timedelta()


class Delegation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was entrusted; while it rests, `rests_since` is what it was before, and `rests_with` what it rests with."""

    terms: WorkDelegated
    status: DelegationStatus = "granted"
    spent: Spent = Spent()
    rests_since: DelegationStatus | None = None
    rests_with: str | None = None

    def is_live(self, at: datetime) -> bool:
        """Whether the delegate may act under it at that time."""
        return self.status in ("granted", "accepted") and self.is_timely(at)

    def is_timely(self, at: datetime) -> bool:
        """Whether it was given for that time."""
        terms = self.terms
        return (terms.valid_from is None or terms.valid_from <= at) and (
            terms.valid_until is None or at <= terms.valid_until
        )

    @property
    def is_limited(self) -> bool:
        """Whether anything that is used up under it is counted against a limit."""
        return self.terms.budget is not None or self.terms.max_uses is not None


class Execution(msgspec.Struct, frozen=True):
    """Somebody at work; over when `ended` says how.

    `approved` is the question by which a person approved of the plan as it is; `due` are the conditions that said
    that somebody had to be asked, and nobody was yet. `outdated` are the questions from before the plan was changed.
    """

    executor: str
    delegation_id: str | None = None
    ended: WorkExecuted | None = None
    started: ExecutionStarted | None = None
    started_at: datetime | None = None
    approved: str | None = None
    due: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an execution asked, and its answer."""

    asked: ExecutionInputRequired
    answered: ExecutionInputProvided | None = None


class Made(msgspec.Struct, frozen=True):
    """An output as it is now, and all who made it so.

    `handed_over`: it is a result of the work, not a draft or what a failed execution left behind. `checks` are the
    newest results, by criterion, of holding these bytes against it.
    """

    output: Output
    makers: tuple[str, ...] = ()
    handed_over: bool = False
    released: bool = False
    withdrawn: bool = False
    execution_id: str | None = None
    checks: dict[str, OutputValidated] = {}

    @property
    def now(self) -> str:
        """How a sentence names it, as it is and nothing else."""
        return f"output {self.output.output_id} as it is now ({self.output.dig[:19]}…)"


class Recommendation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody would do, and what was said to that."""

    made: RecommendationMade
    by: str | None = None
    answered: RecommendationAnswered | None = None


class Decision(msgspec.Struct, frozen=True):
    """A choice that is somebody's to make, and how they made it."""

    asked: DecisionRequested
    made: DecisionMade | None = None


class Looking(msgspec.Struct, frozen=True, omit_defaults=True):
    """Since when somebody looks at an output, and until when nobody else need to."""

    since: datetime
    until: datetime | None = None

    def is_live(self, at: datetime) -> bool:
        return self.until is None or at <= self.until


class Review(msgspec.Struct, frozen=True, omit_defaults=True):
    """A review that was asked for, with who has approved so far, and every verdict that was given.

    `claims` are those who look at the output, `asked_by` is who asked for the review.
    """

    request: ReviewRequested
    status: ReviewStatus = "open"
    approved_by: tuple[str, ...] = ()
    verdicts: tuple[WorkReviewed, ...] = ()
    claims: dict[str, Looking] = {}
    asked_by: str | None = None

    @property
    def stands(self) -> bool:
        """Whether it would say something about the output, or will, as long as the output stays what it is."""
        return self.status in ("open", "expired", "met", "waived")

    def is_taken(self, reviewer: str, at: datetime) -> bool:
        """Whether as many as are wanted, and `reviewer` not among them, look at the output or have approved it."""
        others = {id for id, looking in self.claims.items() if looking.is_live(at)} | set(self.approved_by)
        return reviewer not in others and len(others) >= self.request.required


class Escalation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was raised, and the newest word of each kind about it.

    `rung` is the step of the ladder that it is on, 0 before anybody was told; `asked` are all who were told, and
    `told` those who were told last. While it is open, `next_rung_at` says when something happens next.
    """

    raised: WorkEscalated
    status: EscalationStatus = "open"
    acknowledged: EscalationAcknowledged | None = None
    answered: EscalationAnswered | None = None
    resolved: EscalationResolved | None = None
    rung: int = 0
    round: int = 1
    told: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    next_rung_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.status not in ("resolved", "cancelled")


class Handover(msgspec.Struct, frozen=True, omit_defaults=True):
    """An offer to go on with the work, and what became of it."""

    offered: HandoverOffered
    status: HandoverStatus = "open"

    def is_open(self, at: datetime) -> bool:
        """Whether it can be answered at that time."""
        by = self.offered.respond_by
        return self.status == "open" and (by is None or at <= by)


class Work(msgspec.Struct, frozen=True, omit_defaults=True, tag="work"):
    """`named` is who answers by the item's own events; `source` is who reported an item that nobody defined.
    `executor` carries it out, or was the first to begin; `assigned` is whom it was given to, a team perhaps.

    `readied` is what was said when it was made ready in this cycle. `blocked`: somebody said so, beside what it depends
    on. `claims` are those on the item itself, by its own events. `fences` are, of executions under a claim, the claim
    and the fence; `changed` is how each change of something outside ended last, by what was done with what.
    """

    life: Lifecycle = Lifecycle()
    definition: WorkDefined | None = None
    named: str | None = None
    source: str | None = None
    offered_to: str | None = None
    executor: str | None = None
    assigned: str | None = None
    verdicts: dict[str, str] = {}
    delegations: dict[str, Delegation] = {}
    executions: dict[str, Execution] = {}
    questions: dict[str, Question] = {}
    recommendations: dict[str, Recommendation] = {}
    decisions: dict[str, Decision] = {}
    outputs: dict[str, Made] = {}
    reviews: dict[str, Review] = {}
    skipped: dict[str, ReviewSkipped] = {}
    escalations: dict[str, Escalation] = {}
    declined_by: tuple[str, ...] = ()
    readied: WorkReadied | None = None
    blocked: bool = False
    dependencies: dict[str, DependencyStatus] = {}
    handovers: dict[str, Handover] = {}
    context: tuple[Ref, ...] = ()
    claims: tuple[str, ...] = ()
    fences: dict[str, tuple[str, int | None]] = {}
    changed: dict[str, ActionResult] = {}

    @property
    def process(self) -> Pinned | None:
        return self.definition.process if self.definition is not None else None

    @property
    def scope(self) -> str:
        """The stream of the process that the work follows, which roles and suspensions name; "" without one."""
        process = self.process
        return f"process/{process.id}" if process is not None else ""

    def answers(self, directory: Directory) -> Answer:
        """Who answers for this work now."""
        return directory.answerable(self.named, self.process.id if self.process else None, self.source)

    def mandate(self, participant: str, at: datetime) -> Delegation | None:
        """The newest delegation under which `participant` may act at that time: live, and all that it descends from."""
        for held in reversed(self.delegations.values()):
            if held.terms.delegate == participant and self._is_live(held, at):
                return held
        return None

    def lineage(self, delegation_id: str) -> list[Delegation]:
        """A delegation and those that it descends from, the first one last."""
        held = self.delegations.get(delegation_id)
        if held is None:
            return []
        if held.terms.parent_id is None:
            return [held]
        found = {delegation_id: held}
        while (above := held.terms.parent_id) is not None and above not in found and above in self.delegations:
            held = found[above] = self.delegations[above]
        return [*found.values()]

    def _is_live(self, held: Delegation, at: datetime) -> bool:
        if held.terms.parent_id is None:
            return held.is_live(at)
        return all(each.is_live(at) for each in self.lineage(held.terms.delegation_id))

    def root(self, terms: WorkDelegated) -> str:
        """The human at the root of the chain of delegations that `terms` stands in."""
        chain = self.lineage(terms.delegation_id)
        return chain[-1].terms.delegator if chain else terms.delegator

    def authorities(self, directory: Directory) -> tuple[str, ...]:
        """The persons who may decide over the work by what they are to it: who answers, who owns its process, the
        custodian of the ledger; each once."""
        process = directory.process(self.process.id) if self.process is not None else None
        owner = directory.successor(process.owner) if process is not None else None
        named = (self.answers(directory).person, owner, directory.root_custodian())
        return tuple(dict.fromkeys(who for who in named if who is not None and directory.is_person(who)))

    def has_authority(self, who: str, directory: Directory, at: datetime) -> bool:
        """Whether `who` may decide over who answers: who does now, the process owner, the custodian, an admin."""
        if not directory.is_person(who):
            return False
        if who == self.answers(directory).person:
            return True
        process = directory.process(self.process.id) if self.process is not None else None
        owns = process is not None and who == process.owner
        return owns or who == directory.root_custodian() or directory.holds(who, "admin", at=at)

    def wants_review(self, directory: Directory) -> bool:
        """Whether the pinned policy asks for reviews; one that nobody knows asks for them too."""
        pinned = self.definition.review_policy if self.definition is not None else None
        policy = directory.policy(pinned.id, pinned.version) if pinned is not None else None
        rules = policy.rules.review if policy is not None else None
        return pinned is not None and (rules is None or rules.reviewers_required > 0)

    def unreviewed(self, output_id: str, directory: Directory) -> str | None:
        """Why this output may not go out yet, as a sentence; None when it may."""
        made = self.outputs.get(output_id)
        if made is None:
            return f"there is no output {output_id}"
        # In the order in which they were decided; those that are still open come with them, or after.
        about = [r for r in self.reviews.values()
                 if r.request.output_id == output_id and r.request.output_dig == made.output.dig
                 and r.status not in ("withdrawn", "invalidated")]  # fmt: skip
        waiting = [r.request.review_id for r in about if r.status == "open"]
        if waiting:
            return f"{made.now} waits for a verdict in the review {waiting[0]}"
        if not about:
            wanted = self.wants_review(directory) and not self.was_spared(made.output, directory)
            return f"{made.now} has no approved review; ask for one" if wanted else None
        last = about[-1]
        match last.status:
            case "met":
                pinned = self.definition.review_policy if self.definition is not None else None
                policy = directory.policy(pinned.id, pinned.version) if pinned is not None else None
                rules = policy.rules.review if policy is not None else None
                if last.request.policy != pinned and self.wants_review(directory):
                    return f"{last.request.review_id} was not asked for under the policy that is pinned"
                approved = {*last.approved_by}
                if rules is not None and len(approved) < rules.reviewers_required:
                    return f"the pinned policy asks for {rules.reviewers_required} to approve {output_id}"
                persons = [id for id in approved if directory.kind(id) == "human"]
                met = len(persons) >= last.request.required or not requires_person(last.request, directory)
                return None if met else f"{last.request.review_id} asks for {last.request.required} persons to approve"
            case "waived":
                by = next(v.reviewer for v in reversed(last.verdicts) if v.verdict == "waived")
                allowed = self.may_ever_waive(by, directory)
                return None if allowed else f"{by}, who waived the review of {output_id}, has no authority to"
            case _:
                return f"{made.now} has no approved review: {last.request.review_id} is {last.status.replace('_', ' ')}"

    def was_spared(self, output: Output, directory: Directory) -> bool:
        """Whether the pinned policy's sample left these bytes out, by a draw that comes out the same again."""
        skipped = self.skipped.get(output.output_id)
        return skipped is not None and skipped.output_dig == output.dig and self.may_skip(skipped, directory)

    def may_skip(self, skipped: ReviewSkipped, directory: Directory) -> bool:
        """Whether the policy that is pinned to this work, and that draw, leave these bytes without a review."""
        pinned = self.definition.review_policy if self.definition is not None else None
        policy = directory.policy(pinned.id, pinned.version) if pinned is not None else None
        rules, drawn = policy.rules.review if policy is not None else None, skipped.sampling
        return (
            rules is not None
            and skipped.policy == pinned
            and drawn.rate == rules.sample_rate
            and drawn.seed is not None
            and rules.sample_rate <= draw(drawn.seed, skipped.output_dig) == drawn.drawn
        )

    def may_ever_waive(self, who: str, directory: Directory) -> bool:
        """Whether `who` is a person who has, or had, the authority to waive a review of this work.

        What was waived by right stays so when the process has another owner by now.
        """
        process = directory.processes.get(self.process.id) if self.process is not None else None
        owned = process is not None and any(fact.value.owner == who for fact in process.versions)
        roles = {f.value.role for f in directory.roles if f.value.participant == who and f.value.granted}
        named = {target for versions in directory.policies.values() for fact in versions if fact.value.rules.authority
                 for target in fact.value.rules.authority.may_waive_review}  # fmt: skip
        return directory.kind(who) == "human" and (owned or "admin" in roles or bool(named & {who, *roles}))


def requires_person(request: ReviewRequested, directory: Directory) -> bool:
    """Whether only persons may give verdicts in this review; so it is unless its policy says otherwise."""
    policy = directory.policy(request.policy.id, request.policy.version) if request.policy is not None else None
    return policy is None or policy.rules.review is None or policy.rules.review.human_required
