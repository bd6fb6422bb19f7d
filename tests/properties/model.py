"""What must be true of any log, written a second time: small, slow, and without a line of the product's folds.

It takes the events as they stand on the log and keeps just enough to say who answers, who may act, whose verdict
counts and what is still open. Where a rule leaves room it is lenient: it speaks only of what is certainly wrong, and
whoever asks demands that a finding says so, or that the command was refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from attorn.contracts import (
    accountability,
    claim,
    delegation,
    escalation,
    execution,
    finding,
    output,
    participant,
    policy,
    process,
    review,
    source,
    subjects,
    work,
)
from attorn.contracts.envelope import Event, Recorded

AUTONOMY: Final = ["suggest", "act_with_approval", "act_then_review", "act"]


@dataclass
class Mandate:
    """A delegation: `ended` by which event, `rests` while it is suspended by a word of its own."""

    terms: delegation.WorkDelegated
    until: datetime | None
    ended: str = ""
    rests: bool = False


@dataclass
class Made:
    """An output: which bytes it is now, and who had a hand in it or in what it replaces."""

    dig: str
    makers: set[str]


@dataclass
class Asked:
    """A review, with the consent that each person gave to which bytes, and by which word it was waived."""

    request: review.ReviewRequested
    consent: dict[str, str] = field(default_factory=dict)
    waived: review.WorkReviewed | None = None


@dataclass
class Raised:
    """An escalation: whether a service raised it, and whether it is over."""

    said: escalation.WorkEscalated
    by_service: bool
    over: bool = False
    blocking: bool = False


@dataclass
class Item:
    """A work item."""

    named: str | None = None
    process: str | None = None
    source: str | None = None
    defined: work.WorkDefined | None = None
    parent: str | None = None
    ended: bool = False
    mandates: dict[str, Mandate] = field(default_factory=dict)
    executors: dict[str, str] = field(default_factory=dict)
    under: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    outputs: dict[str, Made] = field(default_factory=dict)
    reviews: dict[str, Asked] = field(default_factory=dict)
    spared: dict[str, review.ReviewSkipped] = field(default_factory=dict)
    escalations: dict[str, Raised] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    changed: bool = False


class Model:
    """Feed it every event in order. `expected` says, before that, what an event breaks for certain."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.kinds: dict[str, str] = {}
        self.left: dict[str, str | None] = {}
        self.above: dict[str, str | None] = {}
        self.sponsors: dict[str, str | None] = {}
        self.stopped: dict[str, bool] = {}
        self.custodians: list[tuple[str, bool]] = []
        self.owners: dict[str, str] = {}
        self.keepers: dict[str, str] = {}
        self.word: dict[str, tuple[str, ...]] = {}
        self.policies: dict[tuple[str, int], policy.PolicyPublished] = {}
        self.fences: dict[str, int] = {}
        self.held: dict[str, claim.ClaimAcquired] = {}
        self.claims: dict[str, claim.ClaimAcquired] = {}
        self.newest: dict[str, int] = {}

    # ---- I1, I2: who answers

    def answers(self, id: str) -> str | None:
        """The person who answers for a work item."""
        item = self.items[id]
        for candidate in (item.named, self.owners.get(item.process or ""), self.keepers.get(item.source or "")):
            person = self.follow(candidate)
            if person is not None:
                return person
        line = self.line_of_custodians()
        return next((person for who in reversed(line) if (person := self.follow(who))), line[-1] if line else None)

    def follow(self, who: str | None) -> str | None:
        """The person who is here that the successions lead to from `who`."""
        passed: set[str] = set()
        while who is not None and who not in passed and self.kinds.get(who) == "human":
            if who not in self.left:
                return who
            passed.add(who)
            who = self.left[who]
        return None

    def line_of_custodians(self) -> list[str]:
        line: list[str] = []
        for who, granted in self.custodians:
            if self.kinds.get(who) != "human":
                continue
            if granted:
                line = [*(other for other in line if other != who), who]
            elif line != [who]:
                line = [other for other in line if other != who]
        return line

    def is_here(self, who: str) -> bool:
        return who in self.kinds and who not in self.left

    # ---- I3: mandates

    def lineage(self, item: Item, id: str | None) -> list[Mandate]:
        found: list[Mandate] = []
        while id is not None and id in item.mandates and item.mandates[id] not in found:
            found.append(item.mandates[id])
            id = found[-1].terms.parent_id
        return found

    def is_live(self, item: Item, id: str, at: datetime, *, spent: bool = False) -> bool:
        """Whether a delegation, and everything that it descends from, is in force; `spent`: used up is good enough."""
        chain = self.lineage(item, id)
        return bool(chain) and all(
            (not m.ended or (spent and m.ended == "DelegationExhausted"))
            and not m.rests
            and (m.terms.valid_from is None or m.terms.valid_from <= at)
            and (m.until is None or at <= m.until)
            for m in chain
        )

    def may_act(self, item: Item, agent: str, at: datetime, *, spent: bool = False) -> bool:
        held = (id for id, m in item.mandates.items() if m.terms.delegate == agent)
        return not self.stopped.get(agent) and any(self.is_live(item, id, at, spent=spent) for id in held)

    # ---- whose word counts

    def counts(self, kind: str, event: Event) -> bool:
        """Whether it is for a system to say this; a ledger here always has a custodian."""
        if kind not in ("participant", "process", "policy", "source"):
            return True
        if _is_misplaced(kind, event):
            return False
        if event.authtype != "system" or not self.custodians:
            return True
        says_nothing = isinstance(
            event.data, finding.FindingAccepted | finding.FindingRemediated | finding.FindingDismissed
        )
        stops_itself = isinstance(event.data, participant.ParticipantSuspended) and event.subject.endswith(
            f"/{event.authid}"
        )
        introduces = isinstance(event.data, participant.ParticipantRegistered) and event.authid in self.word
        return says_nothing or stops_itself or introduces or kind in self.word.get(event.authid or "", ())

    # ---- what is certainly wrong

    def expected(self, recorded: Recorded) -> Iterator[tuple[str, set[str]]]:
        """What this event breaks: a sentence, and the rules of which one at least must have been found."""
        event, data = recorded.event, recorded.event.data
        kind, _, id = recorded.stream.partition("/")
        if _is_misplaced(kind, event):
            yield f"{type(data).__name__} is not about what {recorded.stream} is about", {"misplaced-event"}
        elif not self.counts(kind, event):
            yield f"{event.authid} was not given the word for {recorded.stream}", {"source-authority"}
        if kind == "participant":
            yield from self._of_people(id, event)
        elif kind == "claim":
            yield from self._of_claims(id, event)
        elif kind == "work":
            item = self.items.get(id, Item())
            if id not in self.items and not isinstance(data, work.WorkDefined):
                yield "unknown work", {"hidden-work"}
            yield from self._of_mandates(item, event)
            yield from self._of_executions(item, event)
            yield from self._of_reviews(item, event)
            if isinstance(data, work.WorkDefined | accountability.AccountabilityTransferred):
                named = data.accountable if isinstance(data, work.WorkDefined) else data.to
                if not self.is_here(named) or self.kinds[named] != "human":
                    yield f"{named} is no person who is here", {"accountable-human"}
            if isinstance(data, work.WorkCompleted):
                yield from self._of_the_end(id, item)

    def _of_people(self, id: str, event: Event) -> Iterator[tuple[str, set[str]]]:
        match event.data:
            case participant.ParticipantRegistered(participant_id=who, kind="agent" | "system", sponsor=sponsor):
                if who == id and not self._is_person(sponsor):
                    yield f"{who} has no person as its sponsor", {"sponsor-human"}
            case participant.ParticipantManagerChanged(new=new) if new is not None and self.is_here(id):
                if not self._leads_to_a_person(id, new):
                    yield f"the line above {id} ends at nobody", {"manager-human"}
            case participant.ParticipantDeactivated(successor=successor) if self.kinds.get(id) == "human":
                if id not in self.left and (successor == id or not self._is_person(successor)):
                    yield f"{id} leaves without a person to succeed", {"successor-human"}
            case _:
                pass

    def _is_person(self, who: str | None) -> bool:
        return who is not None and self.is_here(who) and self.kinds[who] == "human"

    def _leads_to_a_person(self, id: str, new: str) -> bool:
        passed, who, last = {id}, new, ""
        while who:
            if who in passed or who not in self.kinds:
                return False
            passed.add(who)
            last = who
            gone = self.left.get(who)
            above = self.above.get(who)
            who = gone or above or (self.sponsors.get(who) if self.kinds[who] in ("agent", "system") else None) or ""
        return self._is_person(last)

    def _of_claims(self, stream: str, event: Event) -> Iterator[tuple[str, set[str]]]:
        match event.data:
            case claim.ClaimAcquired(fence=fence) as acquired:
                if not _counts(f"claim/{stream}", acquired):
                    yield f"claim/{stream} is not where {acquired.key} is claimed", {"claim-open", "claim-fence"}
                if fence <= self.fences.get(stream, 0):
                    yield f"the fence {fence} does not grow", {"claim-fence"}
                held = self.held.get(stream)
                if held is not None and (held.lease_until is None or event.time < held.lease_until):
                    yield f"{held.holder} holds it", {"claim-held"}
            case _:
                pass

    def _of_mandates(self, item: Item, event: Event) -> Iterator[tuple[str, set[str]]]:
        data, at = event.data, event.time
        without = {"undelegated-execution", "delegation-violated", "execution-unknown", "actor-suspended"}
        who: str | None = None
        spent = False
        match data:
            case delegation.WorkDelegated(parent_id=None, delegator=delegator):
                if not self._is_person(delegator):
                    yield f"{delegator}, no person, begins a chain", {"delegation-chain"}
            case delegation.WorkDelegated(parent_id=str(id)):
                parent = item.mandates.get(id)
                if parent is None or parent.terms.delegate != data.delegator or not self.is_live(item, id, at):
                    yield f"nothing to pass on under {id}", {"delegation-chain"}
                elif (more := next(_beyond(data, parent), None)) is not None:
                    yield f"beyond {id}: {more}", {"delegation-chain"}
            case execution.ExecutionStarted(executor=executor):
                who = executor
            case execution.ExecutionActionRecorded(execution_id=id):
                who = item.executors.get(id)
            case execution.WorkExecuted(execution_id=id, result="completed"):
                who, spent = item.executors.get(id), True
            case output.OutputReleased() | work.WorkSubmitted() | work.WorkCompleted() | work.WorkCancelled():
                who = event.authid if event.authtype == "service_account" else None
            case _:
                pass
        if who is not None and self.kinds.get(who) == "agent" and not self.may_act(item, who, at, spent=spent):
            yield f"{who} acts without a mandate", without

    def _of_executions(self, item: Item, event: Event) -> Iterator[tuple[str, set[str]]]:
        match event.data:
            case execution.ExecutionStarted(process_version=None) if item.process is not None:
                yield "an execution names no version of the process", {"version-unnamed"}
            case execution.ExecutionActionRecorded(execution_id=id) if id in item.under:
                named, fence = item.under[id]
                acquired = self.claims.get(named)
                if acquired is not None and (acquired.fence if fence is None else fence) < self.newest[acquired.key]:
                    yield f"{id} works under the stale fence {fence}", {"stale-fence"}
            case _:
                pass

    def _of_reviews(self, item: Item, event: Event) -> Iterator[tuple[str, set[str]]]:
        match event.data:
            case review.WorkReviewed(verdict="approved" | "edited") as verdict:
                made, asked = item.outputs.get(verdict.output_id), item.reviews.get(verdict.review_id)
                if made is not None and verdict.reviewer in made.makers:
                    yield f"{verdict.reviewer} made {verdict.output_id}", {"self-review"}
                elif asked is not None and verdict.reviewer in asked.request.excluded:
                    yield f"{verdict.reviewer} is excluded", {"reviewer-excluded", "self-review", "review-open"}
                if made is not None and made.dig != verdict.output_dig:
                    yield f"{verdict.output_id} has other bytes by now", {"review-digest"}
            case output.OutputReleased(output_id=id):
                why = self._kept_in(item, id, event.time)
                if why is not None:
                    yield why, {"control-bypassed"}
            case _:
                pass

    def _kept_in(self, item: Item, id: str, at: datetime) -> str | None:
        """Why an output may not go out: its pinned policy asks for more consent to these bytes than there is."""
        made = item.outputs.get(id)
        if made is None:
            return f"there is no output {id}"
        pinned = item.defined.review_policy if item.defined is not None else None
        found = self.policies.get((pinned.id, pinned.version)) if pinned is not None else None
        rules = found.rules.review if found is not None else None
        if pinned is None or (rules is not None and rules.reviewers_required == 0):
            return None
        wanted = max(1, rules.reviewers_required) if rules is not None else 1
        for asked in item.reviews.values():
            if asked.request.output_id != id:
                continue
            if asked.waived is not None:
                return None  # by whom it may be waived is not for this model to say
            consent = {who for who, dig in asked.consent.items() if dig == made.dig}
            if rules is None or rules.human_required:
                consent = {who for who in consent if self.kinds.get(who) == "human"}
            if len(consent) >= min(wanted, asked.request.required or 1):
                return None
        skipped = item.spared.get(id)
        return None if skipped is not None and skipped.output_dig == made.dig else f"nobody consented to {id}"

    def _of_the_end(self, id: str, item: Item) -> Iterator[tuple[str, set[str]]]:
        missing = [] if item.defined is None or item.changed else [
            c.id for c in item.defined.acceptance_criteria if item.verdicts.get(c.id) not in ("passed", "waived")
        ]  # fmt: skip
        parts = [part for part, other in self.items.items() if other.parent == id and not other.ended]
        halted = [x for x, raised in item.escalations.items() if raised.said.blocking and not raised.over]
        if missing or parts or halted:
            yield f"completed with {missing}, {parts}, {halted} open", {"criteria-open"}

    # ---- the fold

    def take(self, recorded: Recorded) -> None:
        """Take in one event."""
        kind, _, id = recorded.stream.partition("/")
        data = recorded.event.data
        if not self.counts(kind, recorded.event):
            return
        if isinstance(data, claim.ClaimAcquired) and _counts(recorded.stream, data):
            known = self.claims.get(data.claim_id)
            if known is None or (known.key == data.key and data.fence > self.newest[data.key]):
                self.claims[data.claim_id] = data
            self.newest[data.key] = max(data.fence, self.newest.get(data.key, 0))
        match kind:
            case "participant":
                self._take_of_people(id, recorded.event.data)
            case "process" if isinstance(recorded.event.data, process.ProcessPublished):
                self.owners[id] = recorded.event.data.owner
            case "policy" if isinstance(recorded.event.data, policy.PolicyPublished):
                self.policies[id, recorded.event.data.version] = recorded.event.data
            case "source" if isinstance(recorded.event.data, source.SourceRegistered):
                self.keepers[id], self.word[id] = recorded.event.data.custodian, recorded.event.data.speaks_of
            case "claim":
                self._take_of_claims(id, recorded.event.data)
            case "work":
                if id not in self.items:
                    reported = recorded.event.authid if recorded.event.authtype == "system" else None
                    self.items[id] = Item(source=reported)
                self._take_of_work(self.items[id], recorded.event)
            case _:
                pass

    def _take_of_people(self, id: str, data: Any) -> None:
        match data:
            case participant.ParticipantRegistered() if id not in self.kinds:
                self.kinds[id] = data.kind
                self.above[id], self.sponsors[id] = data.reports_to, data.sponsor
            case participant.ParticipantUpdated(sponsor=str(sponsor)) if id in self.kinds:
                self.sponsors[id] = sponsor
            case participant.ParticipantManagerChanged(new=new) if id in self.kinds:
                self.above[id] = new
            case participant.ParticipantDeactivated(successor=successor) if id in self.kinds:
                self.left.setdefault(id, successor)
            case participant.ParticipantSuspended(scope="") if id in self.kinds:
                self.stopped[id] = True
            case participant.ParticipantResumed(scope=""):
                self.stopped[id] = False
            case participant.RoleGranted(role="custodian", scope=""):
                self.custodians.append((id, True))
            case participant.RoleRevoked(role="custodian", scope=""):
                self.custodians.append((id, False))
            case _:
                pass

    def _take_of_claims(self, stream: str, data: Any) -> None:
        held = self.held.get(stream)
        match data:
            case claim.ClaimAcquired(fence=fence) if fence > self.fences.get(stream, 0) and _counts(
                f"claim/{stream}", data
            ):
                self.fences[stream], self.held[stream] = fence, data
            case claim.ClaimRenewed(claim_id=id, lease_until=until) if held is not None and held.claim_id == id:
                self.held[stream] = claim.ClaimAcquired(
                    claim_id=id, key=held.key, holder=held.holder, fence=held.fence, lease_until=until
                )
            case claim.ClaimReleased(claim_id=id) | claim.ClaimExpired(claim_id=id) | claim.ClaimRevoked(claim_id=id):
                if held is not None and held.claim_id == id:
                    del self.held[stream]
            case _:
                pass

    def _take_of_work(self, item: Item, event: Event) -> None:
        data = event.data
        self._take_mandate(item, event)
        match data:
            case work.WorkDefined() if item.defined is None:
                item.defined, item.named, item.parent = data, data.accountable, data.parent_id
                item.process = data.process.id if data.process is not None else None
            case work.WorkClarified():
                item.changed = True
            case accountability.AccountabilityTransferred(to=to):
                item.named = to
            case work.WorkVerified(criteria=criteria):
                item.verdicts |= {verdict.id: verdict.result for verdict in criteria}
            case work.WorkCompleted() | work.WorkFailed() | work.WorkCancelled() | work.WorkSuperseded():
                item.ended = True
            case work.WorkReopened():
                item.ended, item.verdicts = False, {}
            case execution.ExecutionStarted(execution_id=id, executor=executor):
                item.executors[id] = executor
                if data.claim_id is not None:
                    item.under[id] = (data.claim_id, data.fence)
            case output.OutputProduced(output=made, execution_id=id):
                self._make(item, made, item.executors.get(id or ""))
            case execution.WorkExecuted(execution_id=id, outputs=outputs):
                for made in outputs:
                    self._make(item, made, item.executors.get(id))
            case review.ReviewRequested() as request:
                item.reviews.setdefault(request.review_id, Asked(request))
            case review.ReviewSkipped(output_id=id):
                item.spared[id] = data
            case review.WorkReviewed() as verdict:
                self._judge(item, verdict)
            case escalation.WorkEscalated(escalation_id=id) if id not in item.escalations:
                item.escalations[id] = Raised(data, event.authtype != "system")
            case escalation.EscalationResolved(escalation_id=id) | escalation.EscalationCancelled(escalation_id=id):
                if id in item.escalations:
                    item.escalations[id].over = True
            case (
                escalation.EscalationReopened(escalation_id=id)
                | escalation.EscalationAcknowledged(escalation_id=id)
                | escalation.EscalationUnacknowledged(escalation_id=id)
                | escalation.EscalationAdvanced(escalation_id=id)
                | escalation.EscalationReassigned(escalation_id=id)
                | escalation.EscalationAnswered(escalation_id=id)
                | escalation.EscalationExhausted(escalation_id=id)
            ) if id in item.escalations:
                # Who is told that somebody is at it takes their word for it, and has found that it was over.
                item.escalations[id].over = False
            case _:
                pass

    def _take_mandate(self, item: Item, event: Event) -> None:
        data = event.data
        match data:
            case delegation.WorkDelegated(delegation_id=id) if id not in item.mandates:
                item.mandates[id] = Mandate(data, data.valid_until)
            case delegation.DelegationNarrowed(delegation_id=id, valid_until=until) if id in item.mandates:
                # Of a fact it is not known here whether it narrows anything.
                if event.authtype != "system" and until is not None:
                    item.mandates[id].until = until
            case (
                delegation.DelegationDeclined(delegation_id=id)
                | delegation.DelegationRevoked(delegation_id=id)
                | delegation.DelegationExpired(delegation_id=id)
                | delegation.DelegationExhausted(delegation_id=id)
            ) if id in item.mandates:
                item.mandates[id].ended = item.mandates[id].ended or type(data).__name__
            case delegation.DelegationSuspended(delegation_id=id) if id in item.mandates:
                chain = self.lineage(item, id)
                item.mandates[id].rests = item.mandates[id].rests or not any(m.rests or m.ended for m in chain)
            case delegation.DelegationResumed(delegation_id=id) if id in item.mandates:
                item.mandates[id].rests = False
            case _:
                pass

    def _make(self, item: Item, made: output.Output, by: str | None) -> None:
        before = [item.outputs.pop(id) for id in {made.supersedes, made.output_id} if id in item.outputs]
        makers = {maker for each in before for maker in each.makers} | ({by} if by is not None else set())
        item.outputs[made.output_id] = Made(made.dig, makers)

    def _judge(self, item: Item, verdict: review.WorkReviewed) -> None:
        asked, made, new = item.reviews.get(verdict.review_id), item.outputs.get(verdict.output_id), verdict.new_output
        own = made is not None and verdict.reviewer in made.makers
        if verdict.verdict == "edited" and new is not None:
            makers = item.outputs[new.output_id].makers if new.output_id in item.outputs else set()
            item.outputs[new.output_id] = Made(new.dig, {*makers, verdict.reviewer})
        if asked is None:
            return
        if verdict.verdict == "waived":
            asked.waived = verdict
        elif verdict.verdict in ("approved", "edited") and not own and verdict.reviewer not in asked.request.excluded:
            asked.consent[verdict.reviewer] = new.dig if new is not None else verdict.output_dig


def _beyond(child: delegation.WorkDelegated, parent: Mandate) -> Iterator[str]:
    """In what the child may do more than its parent may."""
    terms = parent.terms
    if not terms.may_subdelegate or child.max_depth >= terms.max_depth:
        yield "depth"
    if terms.activities and (not child.activities or set(child.activities) - set(terms.activities)):
        yield "activities"
    if terms.resource_keys and not child.resource_keys:
        yield "resources"
    if parent.until is not None and (child.valid_until is None or child.valid_until > parent.until):
        yield "time"
    if AUTONOMY.index(child.autonomy) > AUTONOMY.index(terms.autonomy):
        yield "autonomy"
    if set(terms.exclusions) - set(child.exclusions):
        yield "exclusions"
    if terms.max_uses is not None and (child.max_uses is None or child.max_uses > terms.max_uses):
        yield "uses"
    if terms.budget is not None and terms.budget.actions is not None:
        allowed = child.budget.actions if child.budget is not None else None
        if allowed is None or allowed > terms.budget.actions:
            yield "actions"


def _is_misplaced(kind: str, event: Event) -> bool:
    """Whether what is said here belongs in a stream of another kind; decisions about findings belong everywhere."""
    family = type(event.data).__module__.rpartition(".")[2]
    if family == "finding" or (family, kind) == ("claim", "work"):
        return False
    home = {"service_review": "process", "checkpoint": "ledger"}.get(family, family)
    return (home if home in subjects.KINDS else "work") != kind


def _counts(stream: str, acquired: claim.ClaimAcquired) -> bool:
    """Whether what is said of a key is said where it belongs, with a fence that others can follow."""
    return stream == subjects.named("claim", acquired.key) and acquired.fence <= 2**52
