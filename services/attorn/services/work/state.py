"""A work item as its rules see it: one state, in which every slice finds what it needs.

Folded from the item's own stream alone; who is a person, and who answers after whom, is the directory's.
"""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.escalation import WorkEscalated
from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output
from attorn.contracts.review import ReviewRequested
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
    executor: str
    delegation_id: str | None = None
    running: bool = True


class Made(msgspec.Struct, frozen=True):
    """An output as it is now, and who made it so."""

    output: Output
    by: str | None = None
    released: bool = False


class Review(msgspec.Struct, frozen=True):
    """A review that was asked for, with who has approved so far."""

    request: ReviewRequested
    status: ReviewStatus = "open"
    approved_by: tuple[str, ...] = ()


class Escalation(msgspec.Struct, frozen=True):
    raised: WorkEscalated
    status: EscalationStatus = "open"


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
    questions: dict[str, bool] = {}
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

    def root(self, terms: WorkDelegated) -> str:
        """The human at the root of the chain of delegations that `terms` stands in."""
        passed: set[str] = set()
        while terms.parent_id in self.delegations and terms.delegation_id not in passed:
            passed.add(terms.delegation_id)
            terms = self.delegations[terms.parent_id].terms
        return terms.delegator

    def unreviewed(self, output_id: str) -> str | None:
        """Why this output may not go out yet, as a sentence; None when it may."""
        made = self.outputs.get(output_id)
        if made is None:
            return f"there is no output {output_id}"
        about = [r for r in self.reviews.values() if r.request.output_id == output_id]
        wanted = self.definition is not None and self.definition.review_policy is not None
        if not wanted and not about:
            return None
        if any(r.status in ("met", "waived") and r.request.output_dig == made.output.dig for r in about):
            return None
        return f"output {output_id} as it is now ({made.output.dig[:19]}…) has no approved review"
