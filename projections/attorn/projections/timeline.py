"""The audit trail: every event, with who did it, to whom, and one sentence that a manager can read.

The rows keep what the state machine needs of an event, so that where any item stood at any time can be folded from
them. An event is never changed, and so is its row: it is written once, and never looked for before.
"""

from binascii import crc32, crc_hqx
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from attorn.contracts import (
    accountability,
    checkpoint,
    claim,
    context,
    deadline,
    decision,
    delegation,
    dependency,
    escalation,
    execution,
    finding,
    handover,
    outcome,
    output,
    participant,
    policy,
    process,
    review,
    service_review,
    source,
    work,
)
from attorn.contracts.envelope import Recorded
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.projections.fold import Rows
from attorn.projections.lifecycle import Lifecycle, step

NAME = "timeline"
VERSION = 7
EVENTS: Final[frozenset[type] | None] = None
INDEXES = (("stream",), ("type",), ("actor",), ("named",))
NEW = True

SUMMARY_MAX = 160


class Row(msgspec.Struct, frozen=True, gc=False):
    """One event.

    `actor` is who did it, by the event's own word, else as the broker authenticated them; `about` whom it was done to;
    `team` where it lay then.
    `state` is where the event leads a work item by itself; null where that depends on what was before. `waiting_on` is
    who has to answer. `reference` and `detail` are the id and the word that the state machine goes by: a request's,
    an escalation's, a review's; a result, a verdict, a number of verdicts. `named` is a checksum of who published it,
    its source and its id: a source that uses an id twice makes two events of one checksum, wherever they are.
    """

    position: int
    named: int
    stream: str
    version: int
    time: datetime
    recorded_at: datetime
    type: str
    actor: str | None
    authid: str | None
    about: str | None
    team: str | None
    state: str | None
    waiting_on: str | None
    reference: str | None
    detail: str | None
    summary: str
    source: str
    event_id: str
    correlationid: str | None = None

    @property
    def kind(self) -> str:
        """What kind of thing the stream is about."""
        return self.stream.partition("/")[0]

    @property
    def id(self) -> str:
        """The id of that thing; for one of kind `work`, the item's."""
        return self.stream.partition("/")[2]


def keys(recorded: Recorded) -> Sequence[int]:
    """The event's position, which no other event has."""
    return (recorded.position,)


def apply(row: Row | None, recorded: Recorded, key: int) -> Row | None:
    """The event's row."""
    event = recorded.event
    data = event.data
    stream, source, id, authid = event.subject, event.source, event.id, event.authid
    actor = about = team = waiting_on = reference = detail = state = None
    told = _READ.get(data.__class__)
    if told is None:
        type = data.type
        summary = f"something that this version cannot read: {type or 'no type'}"
    else:
        type, sentence, acting, whom, which, what, waits, words, has_team, leads = told
        if acting:
            actor = getattr(data, acting)
        if has_team:
            team = data.team
        if whom:
            about = getattr(data, whom)
            if waits:
                waiting_on = about
        if which:
            reference = getattr(data, which)
        if what and (said := getattr(data, what)) is not None:
            detail = words[said] if said.__class__ is bool else str(said)
        if leads is not None and stream.startswith("work/"):
            state = leads if leads.__class__ is str else leads.get(detail or "")
        summary = sentence(data, stream.partition("/")[2])
    if len(summary) > SUMMARY_MAX:
        summary = summary[: SUMMARY_MAX - 1] + "…"
    return Row(recorded.position, _named(authid, source, id), stream, event.version, event.time, recorded.recorded_at,
               type, actor or authid, authid, about, team, state, waiting_on, reference, detail, summary, source, id,
               event.correlationid)  # fmt: skip


def _named(authid: str | None, source: str, id: str) -> int:
    name = f"{authid or ''}\x00{source}\x00{id}".encode()
    # Two checksums of 48 bits together, a quarter of what a hash costs: whoever finds two alike looks at the names.
    return crc32(name) << 16 | crc_hqx(name, 0)


# ---- ids that were used again


def again(rows: Rows, stream: str | None = None) -> Iterator[tuple[Row, Row]]:
    """Each event whose source had used its id before, behind the first that did; of one stream, or of all."""
    if stream is not None:
        some = f"SELECT named FROM {_TABLE} WHERE stream = ?"
    else:
        some = f"SELECT named FROM {_TABLE} GROUP BY named HAVING count(*) > 1"
    parameters = (stream,) if stream is not None else ()
    yield from _again(rows.select(Row, f"named IN ({some})", parameters, "position"), stream)


def repeats(rows: Rows, told: Sequence[Row]) -> dict[int, list[Row]]:
    """The events that use the id of one of `told` again, by the position of the first that did."""
    sums = sorted({row.named for row in told})
    found: dict[int, list[Row]] = {}
    for first, other in _again(rows.select(Row, f"named IN ({', '.join('?' * len(sums))})", sums, "position")):
        found.setdefault(first.position, []).append(other)
    return found


def _again(found: Iterable[Row], stream: str | None = None) -> Iterator[tuple[Row, Row]]:
    # What has one checksum is looked at: two that nobody would take for each other may have the same.
    first: dict[tuple[str | None, str, str], Row] = {}
    for row in found:
        before = first.setdefault((row.authid, row.source, row.event_id), row)
        if before is not row and stream in (None, row.stream):
            yield before, row


_TABLE: Final = f"{NAME}_v{VERSION}"


# ---- where an item stood


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an item stood: its state, who carried it out, whom it waited for."""

    state: str
    cycle: int
    executor: str | None
    waiting_on: str | None


def standing(rows: Iterable[Row]) -> Standing:
    """Where the item stood after the events in `rows`, which are in the order to be gone by."""
    life = Lifecycle()
    executor: str | None = None
    asked: dict[str, str | None] = {}
    for row in rows:
        payload = restore(row)
        executor = executes(payload, executor, life)
        life = step(life, payload).after
        if row.waiting_on is not None and row.reference is not None:
            asked[row.reference] = row.waiting_on
    waiting_on = asked.get(life.inputs[-1]) if life.state == "waiting_input" and life.inputs else None
    return Standing(state=life.state, cycle=life.cycle, executor=executor, waiting_on=waiting_on)


def executes(payload: Any, executor: str | None, life: Lifecycle) -> str | None:
    """Who carries the work out after an event, when `executor` did before it, and it stood at `life`."""
    taker = _TAKERS.get(payload.__class__, "")
    if taker is None:
        return None
    if payload.__class__ is execution.ExecutionStarted and life.executions:
        return executor  # what is under way stays with whom it began with, whoever joins them
    return getattr(payload, taker) if taker else executor


def restore(row: Row) -> Any:
    """The event's payload, as far as the state machine goes by it; None for a type that is not ours."""
    payload = EVENT_BY_TYPE.get(row.type)
    told = _TELLING.get(payload) if payload is not None else None
    if payload is None or told is None:
        return None
    said: dict[str, Any] = {}
    if told.about:
        said[told.about] = row.about
    if told.reference:
        said[told.reference] = row.reference
    if told.detail and row.detail is not None:
        said[told.detail] = int(row.detail) if row.detail.isdigit() else _TRUTH.get(row.detail, row.detail)
    return msgspec.structs.replace(_blank(payload), **said)


# ---- what is told of each event

_ADVISORY: Final = ("advisory", "blocking")
_FOLLOWED: Final = ("not followed", "followed")
_TRUTH: Final = {word: bool(truth) for words in (_ADVISORY, _FOLLOWED) for truth, word in enumerate(words)}


class _Told(msgspec.Struct, frozen=True):
    """How an event is told: its sentence, and which of its fields say who, to whom, about which and what.

    `words` are what is written for a detail that is false, and for one that is true.
    """

    summary: Callable[[Any, str], str]
    actor: str = "by"
    about: str = ""
    reference: str = ""
    detail: str = ""
    waits: bool = False
    words: tuple[str, str] = _ADVISORY


def _q(text: str, length: int = 80) -> str:
    text = " ".join(text.split())
    return f"“{text if len(text) <= length else text[: length - 1] + '…'}”"


def _why(reason: str) -> str:
    return f": {_q(reason)}" if reason else ""


def _by(who: str | None) -> str:
    return f" by {who}" if who else ""


def _to(who: str | None) -> str:
    return f" to {who}" if who else ""


def _on(day: datetime | None) -> str:
    return f"{day:%Y-%m-%d %H:%M}" if day is not None else "no time"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _under(delegation_id: str | None) -> str:
    return f" under {delegation_id}" if delegation_id else ""


_ENDS: Final = {"start": "started", "completion": "completed"}

_DELEGATION: Final = {
    delegation.DelegationAccepted: "was accepted",
    delegation.DelegationDeclined: "was declined",
    delegation.DelegationNarrowed: "was narrowed",
    delegation.DelegationSuspended: "was suspended",
    delegation.DelegationResumed: "was resumed",
    delegation.DelegationRevoked: "was revoked",
    delegation.DelegationExpired: "has expired",
    delegation.DelegationExhausted: "is used up",
}


def _of_delegation(data: Any, id: str) -> str:
    said = _DELEGATION[type(data)]
    return f"Delegation {data.delegation_id} {said}{_by(data.by) if said.startswith('was') else ''}{_why(data.reason)}"


_TELLING: Final[dict[type, _Told]] = {
    # participants
    participant.ParticipantRegistered: _Told(
        lambda d, id: f"{d.display_name} takes part as {id} ({d.kind})"
        + (f", sponsored by {d.sponsor}" if d.sponsor else ""), about="participant_id"),
    participant.ParticipantUpdated: _Told(lambda d, id: f"What is known of {id} was changed"),
    participant.ParticipantKeyRegistered: _Told(lambda d, id: f"Key {d.key_id} speaks for {id}"),
    participant.ParticipantKeyRevoked: _Told(
        lambda d, id: f"Key {d.key_id} no longer speaks for {id}{_why(d.reason)}"),
    participant.ParticipantSuspended: _Told(lambda d, id: f"{id} is stopped{_why(d.reason)}"),
    participant.ParticipantResumed: _Told(lambda d, id: f"{id} may go on{_why(d.reason)}"),
    participant.ParticipantDeactivated: _Told(
        lambda d, id: f"{id} left; "
        + (f"{d.successor} answers for what was theirs" if d.successor else "nobody succeeds") + _why(d.reason),
        about="successor"),
    participant.ParticipantManagerChanged: _Told(
        lambda d, id: f"{id} reports to {d.new or 'nobody'}" + (f", no longer to {d.old}" if d.old else ""),
        about="new"),
    participant.TeamMemberAdded: _Told(lambda d, id: f"{d.member} joined {id}", about="member"),
    participant.TeamMemberRemoved: _Told(lambda d, id: f"{d.member} is no longer in {id}", about="member"),
    participant.RoleGranted: _Told(
        lambda d, id: f"{id} is {d.role} {'for ' + d.scope if d.scope else 'everywhere'}", detail="role"),
    participant.RoleRevoked: _Told(
        lambda d, id: f"{id} is no longer {d.role}{' for ' + d.scope if d.scope else ''}{_why(d.reason)}",
        detail="role"),
    participant.AbsenceDeclared: _Told(
        lambda d, id: f"{id} is away from {_on(d.from_)} until {_on(d.until)}; {d.substitute or 'nobody'} stands in",
        about="substitute"),
    participant.AbsenceEnded: _Told(lambda d, id: f"{id} is back"),
    participant.AgentDeployed: _Told(
        lambda d, id: f"{id} {d.agent_version or ''} works in {d.process_id} ({d.environment})".replace("  ", " ")),
    participant.AgentUndeployed: _Told(lambda d, id: f"{id} no longer works in {d.process_id}{_why(d.reason)}"),
    participant.LivenessLost: _Told(lambda d, id: f"{id} has gone silent; last seen {_on(d.last_seen)}"),
    participant.LivenessRestored: _Told(lambda d, id: f"{id} shows signs of life again"),
    participant.AttestationGiven: _Told(lambda d, id: f"{id} vouches for {d.subject}: {_q(d.statement)}"),
    # processes, policies, outcomes, sources
    process.ProcessMapped: _Told(lambda d, id: f"Process {id} was mapped as it is today: {len(d.steps)} steps"),
    process.ProcessPublished: _Told(
        lambda d, id: f"Process {id} version {d.version} is in force; {d.owner} owns it", about="owner"),
    process.ProcessRetired: _Told(
        lambda d, id: f"Process {id}{f' version {d.version}' if d.version else ''} takes no new work"),
    policy.PolicyPublished: _Told(lambda d, id: f"{d.kind.capitalize()} policy {id} version {d.version} is in force"),
    outcome.OutcomeDefined: _Told(lambda d, id: f"Outcome {id} is to be reached: {_q(d.statement)}", about="owner"),
    outcome.OutcomeUpdated: _Told(lambda d, id: f"Outcome {id} was changed", about="owner"),
    outcome.BaselineRecorded: _Told(lambda d, id: f"Before any change, {d.metric} stood at {d.value}"),
    source.SourceRegistered: _Told(
        lambda d, id: f"System {id} may report facts; {d.custodian} is its custodian", about="custodian"),
    service_review.ServiceReviewOpened: _Told(lambda d, id: f"The review of {d.period} is due"),
    service_review.ServiceReviewHeld: _Told(
        lambda d, id: f"Review held; decisions: {len(d.decisions)}, actions: {len(d.actions)}"),
    service_review.ServiceReviewClosed: _Told(lambda d, id: "Review closed"),
    # work
    work.WorkDefined: _Told(
        lambda d, id: f"{_q(d.title)} was defined; {d.accountable} answers for it", about="accountable"),
    work.WorkClarified: _Told(lambda d, id: f"Said more exactly: {_list(list(d.changes))}{_why(d.reason)}"),
    work.WorkReadied: _Told(
        lambda d, id: f"Ready to be taken up{', without ' + _list(d.missing) if d.missing else ''}"),
    work.WorkReprioritized: _Told(lambda d, id: f"Priority is {d.new} now{_why(d.reason)}", detail="new"),
    deadline.DeadlineSet: _Told(lambda d, id: f"To be {_ENDS[d.kind]} by {_on(d.new)}{_why(d.reason)}", detail="kind"),
    work.WorkAssigned: _Told(lambda d, id: f"{d.executor} is to carry it out{_why(d.reason)}", about="executor"),
    work.WorkUnassigned: _Told(
        lambda d, id: f"{d.executor or 'The executor'} was taken off it{_why(d.reason)}", about="executor"),
    work.WorkDeclined: _Told(
        lambda d, id: f"{d.executor or 'The executor'} declined{_why(d.reason)}", actor="executor"),
    accountability.AccountabilityOffered: _Told(
        lambda d, id: f"{d.to} was asked to answer for it{_why(d.reason)}", actor="from_", about="to"),
    accountability.AccountabilityTransferred: _Told(
        lambda d, id: f"{d.to} answers for it now{', no longer ' + d.from_ if d.from_ else ''} ({d.basis})"
        + _why(d.reason), actor="accepted_by", about="to", detail="basis"),
    handover.HandoverOffered: _Told(
        lambda d, id: f"{d.to} was asked to take it over{' from ' + d.from_ if d.from_ else ''}",
        actor="from_", about="to", reference="handover_id"),
    handover.HandoverAccepted: _Told(
        lambda d, id: f"{d.to} took it over{' from ' + d.from_ if d.from_ else ''}",
        actor="to", about="to", reference="handover_id"),
    handover.HandoverDeclined: _Told(
        lambda d, id: f"The handover was declined{_by(d.by)}{_why(d.reason)}", actor="by", reference="handover_id"),
    handover.HandoverExpired: _Told(lambda d, id: "Nobody answered the handover in time", reference="handover_id"),
    dependency.DependencyAdded: _Told(lambda d, id: f"Waits for {d.on}{_why(d.reason)}", reference="on"),
    dependency.DependencySatisfied: _Told(lambda d, id: f"Need not wait for {d.on} any more", reference="on"),
    dependency.DependencyBroken: _Told(lambda d, id: f"{d.on} will not be done{_why(d.reason)}", reference="on"),
    work.WorkSuspended: _Told(
        lambda d, id: f"Rests{' until ' + _on(d.until) if d.until else ''}{_why(d.reason)}"),
    work.WorkResumed: _Told(lambda d, id: f"Goes on{_why(d.reason)}"),
    dependency.WorkBlocked: _Told(
        lambda d, id: f"Blocked{' by ' + d.on if d.on else ''}{_why(d.reason)}", reference="on"),
    dependency.WorkUnblocked: _Told(lambda d, id: f"No longer blocked{_why(d.reason)}", reference="on"),
    # delegations
    delegation.WorkDelegated: _Told(
        lambda d, id: f"{d.delegator} entrusted {d.delegate} with {_list(d.activities) or 'it'} ({d.autonomy})",
        actor="delegator", about="delegate", reference="delegation_id"),
    **{event: _Told(_of_delegation, actor="by", reference="delegation_id") for event in _DELEGATION},
    # executions
    execution.ExecutionStarted: _Told(
        lambda d, id: f"{d.executor} began{f', attempt {d.attempt}' if d.attempt > 1 else ''}{_under(d.delegation_id)}",
        actor="executor", about="executor", reference="execution_id"),
    execution.ExecutionProgressed: _Told(
        lambda d, id: f"Progress{f' {d.percent:g} %' if d.percent is not None else ''}{_why(d.note)}",
        reference="execution_id"),
    execution.ExecutionActionRecorded: _Told(
        lambda d, id: f"{d.tool}{' on ' + d.target if d.target else ''} {d.result}"
        + (" (changed something)" if d.side_effect else ""), reference="execution_id", detail="result"),
    execution.ExecutionGuided: _Told(
        lambda d, id: f"Told how to go on{_by(d.by)}: {_q(d.text)}", actor="by", reference="execution_id"),
    execution.ExecutionAdapted: _Told(
        lambda d, id: f"The plan was changed{_why(d.reason)}", reference="execution_id"),
    execution.ExecutionInputRequired: _Told(
        lambda d, id: f"Waits for {d.from_}: {_q(d.question)}", about="from_", reference="request_id", waits=True),
    execution.ExecutionInputProvided: _Told(
        lambda d, id: f"Question {d.request_id} was answered{_by(d.by)}: {d.response}",
        actor="by", reference="request_id"),
    execution.WorkExecuted: _Told(
        lambda d, id: f"Execution {d.execution_id} {d.result}"
        + (f" with {len(d.outputs)} output{'s' if len(d.outputs) > 1 else ''}" if d.outputs else "")
        + (f" ({d.error_class})" if d.error_class else ""), reference="execution_id", detail="result"),
    # outputs, recommendations, decisions
    output.OutputProduced: _Told(
        lambda d, id: f"Output {d.output.output_id} {_q(d.output.name)} was produced", reference="execution_id"),
    output.OutputValidated: _Told(
        lambda d, id: f"Output {d.output_id} {d.result} criterion {d.criterion_id} ({d.method})",
        reference="output_id", detail="result"),
    output.OutputReleased: _Told(
        lambda d, id: f"Output {d.output_id} was released{_to(d.to)}", reference="output_id"),
    output.OutputWithdrawn: _Told(
        lambda d, id: f"Output {d.output_id} was taken back{_why(d.reason)}", reference="output_id"),
    decision.RecommendationMade: _Told(
        lambda d, id: f"Recommended: {_q(d.recommendation)}", reference="recommendation_id"),
    decision.RecommendationAnswered: _Told(
        lambda d, id: f"Recommendation {d.recommendation_id} was {d.answer}{_why(d.reason)}",
        about="recommended_by", reference="recommendation_id", detail="answer"),
    decision.DecisionRequested: _Told(
        lambda d, id: f"A choice for {d.from_ or 'somebody else'}: {_q(d.question)}",
        about="from_", reference="decision_id"),
    decision.DecisionMade: _Told(
        lambda d, id: f"{d.decider} chose {_q(d.chosen, 40)}{_why(d.rationale)}",
        actor="decider", about="recommended_by", reference="decision_id", detail="followed", words=_FOLLOWED),
    # reviews
    review.ReviewRequested: _Told(
        lambda d, id: f"Output {d.output_id} waits for {d.required} reviewer{'s' if d.required != 1 else ''}"
        + (f" of {_list(d.candidates)}" if d.candidates else ""), reference="review_id", detail="required"),
    review.ReviewClaimed: _Told(
        lambda d, id: f"{d.reviewer} is looking at output {d.output_id}", actor="reviewer", reference="review_id"),
    review.ReviewUnclaimed: _Told(
        lambda d, id: f"{d.reviewer} is no longer looking at output {d.output_id}", actor="reviewer",
        reference="review_id"),
    review.ReviewSkipped: _Told(
        lambda d, id: f"Output {d.output_id} was not drawn for review: the policy looks at {d.sampling.rate:.0%}",
        reference="output_id"),
    review.ReviewExpired: _Told(
        lambda d, id: f"Nobody reviewed output {d.output_id} in time{_why(d.reason)}", reference="review_id"),
    review.ReviewInvalidated: _Told(
        lambda d, id: f"Output {d.output_id} changed, so its review counts no more", reference="review_id"),
    review.ReviewWithdrawn: _Told(
        lambda d, id: f"The review of output {d.output_id} is not wanted any more{_why(d.reason)}",
        reference="review_id"),
    review.WorkReviewed: _Told(
        lambda d, id: f"{d.reviewer}: {d.verdict.replace('_', ' ')}, output {d.output_id}{_why(d.comment)}",
        actor="reviewer", reference="review_id", detail="verdict"),
    work.WorkSubmitted: _Told(
        lambda d, id: f"Handed in{': ' + _list(d.outputs) if d.outputs else ''}{_why(d.note)}"),
    work.WorkVerified: _Told(
        lambda d, id: f"Held against its criteria: {sum(c.result != 'failed' for c in d.criteria)} of "
        f"{len(d.criteria)} hold"),
    work.WorkCompleted: _Told(lambda d, id: f"Completed{_why(d.note)}"),
    work.WorkReopened: _Told(
        lambda d, id: f"Open again{f', time round {d.cycle}' if d.cycle else ''}{_why(d.reason)}"),
    work.WorkFailed: _Told(
        lambda d, id: f"Failed{' (' + d.error_class + ')' if d.error_class else ''}{_why(d.reason)}"),
    work.WorkCancelled: _Told(lambda d, id: f"Cancelled{_by(d.by)}{_why(d.reason)}", actor="by"),
    work.WorkSuperseded: _Told(
        lambda d, id: f"Other work takes its place{': ' + d.duplicate_of if d.duplicate_of else ''}{_why(d.reason)}",
        reference="duplicate_of"),
    # escalations
    escalation.WorkEscalated: _Told(
        lambda d, id: f"{d.raised_by} escalated ({d.severity}, {d.reason.replace('_', ' ')}): {_q(d.context.summary)}",
        actor="raised_by", reference="escalation_id", detail="blocking"),
    escalation.EscalationNotified: _Told(
        lambda d, id: f"Rung {d.rung}: {_list(d.persons) or 'nobody'} told", reference="escalation_id"),
    escalation.EscalationAcknowledged: _Told(
        lambda d, id: f"{d.by} took the escalation up", actor="by", reference="escalation_id"),
    escalation.EscalationUnacknowledged: _Told(
        lambda d, id: f"Nobody has the escalation any more{_why(d.cause)}", reference="escalation_id"),
    escalation.EscalationAdvanced: _Told(
        lambda d, id: f"Escalated further, from rung {d.from_} to {d.to} ({d.cause.replace('_', ' ')})",
        reference="escalation_id"),
    escalation.EscalationReassigned: _Told(
        lambda d, id: f"The escalation was given to {d.to}{_why(d.reason)}",
        actor="from_", about="to", reference="escalation_id"),
    escalation.EscalationAnswered: _Told(
        lambda d, id: f"Decided{_by(d.by)}: {_q(d.decision or d.option_id or d.instructions)}",
        actor="by", reference="escalation_id"),
    escalation.EscalationExhausted: _Told(
        lambda d, id: f"Everybody on the ladder was told, round {d.round}, and nobody took it up",
        reference="escalation_id"),
    escalation.EscalationResolved: _Told(
        lambda d, id: f"Escalation resolved{_by(d.by)}: {d.outcome.replace('_', ' ')}{_why(d.note)}",
        actor="by", reference="escalation_id", detail="outcome"),
    escalation.EscalationCancelled: _Told(
        lambda d, id: f"Escalation withdrawn{_by(d.by)}{_why(d.reason)}", actor="by", reference="escalation_id"),
    escalation.EscalationReopened: _Told(
        lambda d, id: f"Escalation open again{_by(d.by)}{_why(d.reason)}",
        actor="by", reference="escalation_id", detail="blocking"),
    deadline.DeadlineMissed: _Told(
        lambda d, id: f"Missed: {d.kind} was due {_on(d.due_at)}", reference="concerns", detail="kind"),
    finding.FindingAccepted: _Told(
        lambda d, id: f"Finding {d.finding_id} stands{_by(d.by)}{_why(d.reason)}", actor="by", reference="finding_id"),
    finding.FindingRemediated: _Told(
        lambda d, id: f"Finding {d.finding_id} was put right{_by(d.by)}{_why(d.reason)}",
        actor="by", reference="finding_id"),
    finding.FindingDismissed: _Told(
        lambda d, id: f"Finding {d.finding_id} was dismissed{_by(d.by)}{_why(d.reason)}",
        actor="by", reference="finding_id"),
    context.ContextShared: _Told(lambda d, id: f"Shared {d.ref.uri[:100]}{_why(d.note)}"),
    context.NoteAdded: _Told(lambda d, id: f"Note: {_q(d.text, 140)}"),
    # claims
    claim.ClaimAcquired: _Told(
        lambda d, id: f"{d.holder} holds {d.key[:60]}{' until ' + _on(d.lease_until) if d.lease_until else ''}",
        actor="holder", about="holder", reference="claim_id"),
    claim.ClaimRenewed: _Told(lambda d, id: f"Held on, until {_on(d.lease_until)}", reference="claim_id"),
    claim.ClaimReleased: _Told(
        lambda d, id: f"Let go{', offered to ' + _list(d.candidates) if d.candidates else ''}{_why(d.reason)}",
        reference="claim_id"),
    claim.ClaimExpired: _Told(
        lambda d, id: f"The lease ran out{', offered to ' + _list(d.candidates) if d.candidates else ''}",
        reference="claim_id"),
    claim.ClaimRevoked: _Told(
        lambda d, id: f"{d.by} took the claim away{_why(d.reason)}", actor="by", reference="claim_id"),
    # the ledger itself
    checkpoint.LedgerCheckpointed: _Told(lambda d, id: f"The first {d.tree_size:,} events were sealed"),
    checkpoint.LedgerAnchored: _Told(lambda d, id: f"{d.witness} signed the seal as well"),
    checkpoint.LedgerPayloadErased: _Told(
        lambda d, id: f"The content of event{'s' if len(d.positions) > 1 else ''} "
        f"{_list(tuple(map(str, d.positions[:5])))}{' and more' if len(d.positions) > 5 else ''} was erased: "
        f"{_q(d.legal_basis)}"),
    checkpoint.ExportIssued: _Told(lambda d, id: f"{d.to} was given the log up to {d.position}: {_q(d.query)}"),
    checkpoint.LedgerAdminObserved: _Told(
        lambda d, id: f"The broker reports {d.advisory}{' on ' + d.stream if d.stream else ''}"),
}  # fmt: skip


def _blank(payload: type[Any]) -> Any:
    """An event of this class with nothing in it, to be filled with what a row keeps."""
    blank = _BLANKS.get(payload)
    if blank is None:
        required = [field.name for field in msgspec.structs.fields(payload) if field.required]
        blank = _BLANKS[payload] = payload(**dict.fromkeys(required, ""))
    return blank


_BLANKS: Final[dict[type, Any]] = {}

_TAKERS: Final[dict[type, str | None]] = {
    work.WorkAssigned: "executor",
    execution.ExecutionStarted: "executor",
    claim.ClaimAcquired: "holder",
    handover.HandoverAccepted: "to",
    claim.ClaimReleased: None,
    claim.ClaimExpired: None,
    claim.ClaimRevoked: None,
    work.WorkDeclined: None,
    work.WorkUnassigned: None,
    work.WorkReopened: None,
}
"""The field of an event that says who carries the work out from then on; None where nobody does."""

TAKING: Final = frozenset(_TAKERS)
"""What changes who carries the work out."""

_LEADS: Final[dict[type, str | dict[str, str]]] = {
    work.WorkDefined: "defined",
    work.WorkReadied: "ready",
    work.WorkAssigned: "claimed",
    claim.ClaimAcquired: "claimed",
    execution.ExecutionStarted: "in_progress",
    claim.ClaimReleased: "ready",
    claim.ClaimExpired: "ready",
    work.WorkDeclined: "ready",
    work.WorkUnassigned: "ready",
    handover.HandoverAccepted: "claimed",
    execution.ExecutionInputRequired: "waiting_input",
    work.WorkSuspended: "suspended",
    dependency.WorkBlocked: "blocked",
    execution.WorkExecuted: {"completed": "submitted", "failed": "in_progress", "aborted": "claimed"},
    review.ReviewRequested: "in_review",
    review.WorkReviewed: {
        "approved": "submitted",
        "edited": "submitted",
        "waived": "submitted",
        "changes_requested": "in_progress",
        "rejected": "in_progress",
    },
    work.WorkSubmitted: "submitted",
    work.WorkVerified: "verified",
    work.WorkCompleted: "completed",
    work.WorkFailed: "failed",
    work.WorkCancelled: "cancelled",
    work.WorkSuperseded: "superseded",
    work.WorkReopened: "ready",
}
"""Where an event leads an item by itself. What really became of it, `standing` says."""


class _Reading(NamedTuple):
    """The same of one class of events, with all that can be known of it before there is an event."""

    type: str
    summary: Callable[[Any, str], str]
    actor: str
    about: str
    reference: str
    detail: str
    waits: bool
    words: tuple[str, str]
    has_team: bool
    leads: Any


def _reading(event: type[Any], told: _Told) -> _Reading:
    fields = event.__struct_fields__
    return _Reading(event.type, told.summary, told.actor if told.actor in fields else "", told.about, told.reference,
                    told.detail, told.waits, told.words, "team" in fields, _LEADS.get(event))  # fmt: skip


_READ: Final = {event: _reading(event, told) for event, told in _TELLING.items()}
