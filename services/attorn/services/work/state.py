"""A work item as its rules see it: one state, in which every slice finds what it needs.

Folded from the item's own stream alone; who is a person, and who answers after whom, is the directory's.
"""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.escalation import EscalationAcknowledged, EscalationAnswered, EscalationResolved, WorkEscalated
from attorn.contracts.execution import ExecutionInputProvided, ExecutionInputRequired, WorkExecuted
from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output
from attorn.contracts.review import ReviewRequested, WorkReviewed
from attorn.contracts.work import WorkDefined
from attorn.projections.directory import Answer, Directory
from attorn.projections.lifecycle import Lifecycle

DelegationStatus: TypeAlias = Literal["granted", "accepted", "declined", "suspended", "revoked", "expired", "exhausted"]
ReviewStatus: TypeAlias = Literal["open", "met", "sent_back", "waived", "invalidated", "withdrawn", "expired"]
EscalationStatus: TypeAlias = Literal["open", "acknowledged", "answered", "resolved", "cancelled"]


class Delegation(msgspec.Struct, frozen=True):
    terms: WorkDelegated
    status: DelegationStatus = "granted"

    def is_live(self, at: datetime) -> bool:
        """Whether the delegate may act under it at that time."""
        terms = self.terms
        return (
            self.status in ("granted", "accepted")
            and (terms.valid_from is None or terms.valid_from <= at)
            and (terms.valid_until is None or at <= terms.valid_until)
        )


class Execution(msgspec.Struct, frozen=True):
    """Somebody at work; over when `ended` says how."""

    executor: str
    delegation_id: str | None = None
    ended: WorkExecuted | None = None


class Question(msgspec.Struct, frozen=True):
    """What an execution asked, and its answer."""

    asked: ExecutionInputRequired
    answered: ExecutionInputProvided | None = None


class Made(msgspec.Struct, frozen=True):
    """An output as it is now, and all who made it so.

    `handed_over`: it is a result of the work, not a draft or what a failed execution left behind.
    """

    output: Output
    makers: tuple[str, ...] = ()
    handed_over: bool = False
    released: bool = False
    withdrawn: bool = False


class Review(msgspec.Struct, frozen=True):
    """A review that was asked for, with who has approved so far, and every verdict that was given."""

    request: ReviewRequested
    status: ReviewStatus = "open"
    approved_by: tuple[str, ...] = ()
    verdicts: tuple[WorkReviewed, ...] = ()


class Escalation(msgspec.Struct, frozen=True):
    """What was raised, and the newest word of each kind about it."""

    raised: WorkEscalated
    status: EscalationStatus = "open"
    acknowledged: EscalationAcknowledged | None = None
    answered: EscalationAnswered | None = None
    resolved: EscalationResolved | None = None

    @property
    def is_open(self) -> bool:
        return self.status not in ("resolved", "cancelled")


class Work(msgspec.Struct, frozen=True, tag="work"):
    """`named` is who answers by the item's own events; `source` is who reported an item that nobody defined."""

    life: Lifecycle = Lifecycle()
    definition: WorkDefined | None = None
    named: str | None = None
    source: str | None = None
    offered_to: str | None = None
    executor: str | None = None
    verdicts: dict[str, str] = {}
    delegations: dict[str, Delegation] = {}
    executions: dict[str, Execution] = {}
    questions: dict[str, Question] = {}
    outputs: dict[str, Made] = {}
    reviews: dict[str, Review] = {}
    escalations: dict[str, Escalation] = {}

    @property
    def process(self) -> Pinned | None:
        return self.definition.process if self.definition is not None else None

    def answers(self, directory: Directory) -> Answer:
        """Who answers for this work now."""
        return directory.answerable(self.named, self.process.id if self.process else None, self.source)

    def mandate(self, participant: str, at: datetime) -> Delegation | None:
        """The newest delegation under which `participant` may act at that time."""
        held = [d for d in self.delegations.values() if d.terms.delegate == participant and d.is_live(at)]
        return held[-1] if held else None

    def lineage(self, delegation_id: str) -> list[Delegation]:
        """A delegation and those that it descends from, the first one last."""
        found: list[Delegation] = []
        held = self.delegations.get(delegation_id)
        while held is not None and held not in found:
            found.append(held)
            held = self.delegations.get(held.terms.parent_id or "")
        return found

    def root(self, terms: WorkDelegated) -> str:
        """The human at the root of the chain of delegations that `terms` stands in."""
        chain = self.lineage(terms.delegation_id)
        return chain[-1].terms.delegator if chain else terms.delegator

    def has_authority(self, who: str, directory: Directory, at: datetime) -> bool:
        """Whether `who` may decide over who answers: who does now, the process owner, the custodian, an admin."""
        process = directory.process(self.process.id) if self.process is not None else None
        owner = process.owner if process is not None else None
        persons = (self.answers(directory).person, owner, directory.root_custodian())
        return directory.is_person(who) and (who in persons or directory.holds(who, "admin", at=at))

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
        now = f"output {output_id} as it is now ({made.output.dig[:19]}…)"
        # In the order in which they were decided; those that are still open come with them, or after.
        about = [r for r in self.reviews.values()
                 if r.request.output_id == output_id and r.request.output_dig == made.output.dig
                 and r.status not in ("withdrawn", "invalidated")]  # fmt: skip
        waiting = [r.request.review_id for r in about if r.status == "open"]
        if waiting:
            return f"{now} waits for a verdict in the review {waiting[0]}"
        if not about:
            return f"{now} has no approved review; ask for one" if self.wants_review(directory) else None
        last = about[-1]
        match last.status:
            case "met":
                persons = {id for id in last.approved_by if directory.kind(id) == "human"}
                met = not requires_person(last.request, directory) or len(persons) >= last.request.required
                return None if met else f"{last.request.review_id} asks for {last.request.required} persons to approve"
            case "waived":
                by = next(v.reviewer for v in reversed(last.verdicts) if v.verdict == "waived")
                allowed = self.may_ever_waive(by, directory)
                return None if allowed else f"{by}, who waived the review of {output_id}, has no authority to"
            case _:
                return f"{now} has no approved review: {last.request.review_id} is {last.status.replace('_', ' ')}"

    def may_ever_waive(self, who: str, directory: Directory) -> bool:
        """Whether `who` is a person who has, or had, the authority to waive a review of this work.

        What was waived by right stays so when the process has another owner by now.
        """
        process = directory.processes.get(self.process.id) if self.process is not None else None
        owned = process is not None and any(fact.value.owner == who for fact in process.versions)
        admin = any(f.value.participant == who and f.value.role == "admin" and f.value.granted for f in directory.roles)
        return directory.kind(who) == "human" and (owned or admin)


def requires_person(request: ReviewRequested, directory: Directory) -> bool:
    """Whether only persons may give verdicts in this review; so it is unless its policy says otherwise."""
    policy = directory.policy(request.policy.id, request.policy.version) if request.policy is not None else None
    return policy is None or policy.rules.review is None or policy.rules.review.human_required
