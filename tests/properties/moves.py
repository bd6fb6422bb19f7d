"""What somebody would do next: messages that have a chance to be carried out, which most that are random have not.

They are read from the state that the rules go by. That is only to propose them; what comes of it the model judges.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from attorn.contracts.accountability import OfferAccountability, TransferAccountability
from attorn.contracts.claim import AcquireClaim, ReleaseClaim, RenewClaim, RevokeClaim
from attorn.contracts.delegation import (
    AcceptDelegation,
    Budget,
    DelegateWork,
    ExpireDelegation,
    NarrowDelegation,
    ResumeDelegation,
    RevokeDelegation,
    SuspendDelegation,
    WorkDelegated,
)
from attorn.contracts.dependency import AddDependency, SatisfyDependency
from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    AdvanceEscalation,
    AnswerEscalation,
    EscalateWork,
    EscalationContext,
    ReopenEscalation,
    ResolveEscalation,
    UnacknowledgeEscalation,
)
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionStarted,
    ProvideInput,
    RecordAction,
    RequireInput,
    StartExecution,
)
from attorn.contracts.handover import AcceptHandover, OfferHandover
from attorn.contracts.output import Output, OutputReleased, ProduceOutput, ReleaseOutput, WithdrawOutput
from attorn.contracts.participant import (
    AddTeamMember,
    ChangeManager,
    DeactivateParticipant,
    GrantRole,
    ResumeParticipant,
    SuspendParticipant,
)
from attorn.contracts.review import ClaimReview, RequestReview, ReviewWork, WorkReviewed
from attorn.contracts.work import (
    AcceptanceCriterion,
    AssignWork,
    CancelWork,
    CompleteWork,
    CriterionVerdict,
    DeclineWork,
    DefineWork,
    ReadyWork,
    ReopenWork,
    ResumeWork,
    SubmitWork,
    SuspendWork,
    UnassignWork,
    VerifyWork,
    WorkCompleted,
    WorkDefined,
)
from properties.messages import AGENTS, DIGESTS, KEYS, PEOPLE

Move = tuple[msgspec.Struct, str]
"""A command with who gives it; or an event, with the source that reports it."""

CONTEXT: Final = EscalationContext(summary="Paid twice", question="Take it back?")
CRITERION: Final = AcceptanceCriterion(id="q-1", text="The customer is content")
_OPEN: Final = ("granted", "accepted")


def moves(id: str, work: Any, at: datetime) -> list[list[Move]]:
    """What may well be done next to a work item, by concern; `work` is its state, None of an item that there is not."""
    w: dict[str, Any] = {"work_id": id}
    if work is None or work.definition is None:
        return [[*_of_definition(w)]]
    found = (
        _of_people(w),
        _of_delegations(w, work, at),
        _of_executions(w, work),
        _of_outputs(w, work),
        _of_reviews(w, work),
        _of_reviews(w, work),
        _of_escalations(w, work),
        _of_itself(w, work),
        _of_itself(w, work),
    )
    return [concern for each in found if (concern := [*each])]


def happy(by_whom: str = "bot") -> Iterator[Move]:
    """How it goes when all goes well, from the definition to the end."""
    w: dict[str, Any] = {"work_id": "W-1"}
    made = Output(output_id="O-1", dig=DIGESTS[0], name="refund")
    yield DefineWork(**w, title="Refund", accountable="ana", process="refunds", acceptance_criteria=(CRITERION,)), "ana"
    wide = DelegateWork(**w, delegation_id="D-1", delegate=by_whom, autonomy="act", may_subdelegate=True, max_depth=2)
    yield wide, "ana"
    yield StartExecution(**w, execution_id="E-1"), by_whom
    yield ExecuteWork(**w, execution_id="E-1", result="completed", outputs=(made,)), by_whom
    verdict: dict[str, Any] = {"review_id": "E-1-R1", "output_id": "O-1", "output_dig": DIGESTS[0]}
    yield ReviewWork(**w, **verdict, verdict="approved"), "ben"
    yield VerifyWork(**w, criteria=(CriterionVerdict(id="q-1", result="passed"),)), "ana"
    yield ReleaseOutput(**w, output_id="O-1"), "ana"
    yield CompleteWork(**w), "ana"


def _of_definition(w: dict[str, Any]) -> Iterator[Move]:
    whats: tuple[dict[str, Any], ...] = (
        {"process": "refunds"}, {"review_policy": "check"}, {"parent_id": "W-1"}, {"dedup_key": "same"},
        {"depends_on": ("W-1",)},
    )  # fmt: skip
    for what in whats:
        yield DefineWork(**w, title="Refund", accountable="ana", acceptance_criteria=(CRITERION,), **what), "ana"
        yield WorkDefined(title="Refund", accountable="ben"), "erp"


def _of_itself(w: dict[str, Any], work: Any) -> Iterator[Move]:
    for on in work.dependencies:
        yield SatisfyDependency(**w, on=on), "ana"
    yield (ResumeWork(**w) if "suspended" in work.life.pauses else SuspendWork(**w)), "ana"
    match work.life.state:
        case "defined" | "ready":
            yield ReadyWork(**w), "ana"
            yield AssignWork(**w, executor="bot"), "ana"
            yield AddDependency(**w, on="W-3"), "ana"
        case "claimed":
            yield DeclineWork(**w), "bot"
            yield UnassignWork(**w), "ana"
        case "in_progress":
            yield SubmitWork(**w), "ana"
        case "submitted":
            yield VerifyWork(**w, criteria=(CriterionVerdict(id="q-1", result="passed"),)), "ana"
            yield VerifyWork(**w), "ana"
        case "verified":
            yield CompleteWork(**w), "ana"
            yield WorkCompleted(), "erp"
        case "completed" | "failed":
            yield ReopenWork(**w), "ana"
        case _:
            yield CancelWork(**w), "bot"


def _of_claims(key: str) -> Iterator[Move]:
    for claim, who in (("C-1", "bot"), ("C-2", "ben")):
        yield AcquireClaim(key=key, claim_id=claim, lease=timedelta(seconds=30)), who
        yield AcquireClaim(key=key, claim_id="C-3", lease=timedelta(seconds=30)), who
        yield RenewClaim(key=key, claim_id=claim), who
        yield ReleaseClaim(key=key, claim_id=claim), who
    yield RevokeClaim(key=key, claim_id="C-3"), "root"


def _of_participants() -> Iterator[Move]:
    for agent in AGENTS:
        yield SuspendParticipant(participant_id=agent), "root"
        yield ResumeParticipant(participant_id=agent), "root"
    yield AddTeamMember(team_id="crew", member="ben"), "ana"
    yield GrantRole(participant_id="ben", role="reviewer"), "root"
    for who, successor in (("ana", "ben"), ("ben", "carla"), ("carla", "root"), ("root", "carla")):
        yield ChangeManager(participant_id=who, new=successor), "root"
        yield DeactivateParticipant(participant_id=who, successor=successor), "root"


BESIDE: Final = (*([*_of_claims(key)] for key in KEYS), [*_of_participants()])
"""What may be done besides, to claims and to those who take part."""


def _of_people(w: dict[str, Any]) -> Iterator[Move]:
    for to in PEOPLE[1:]:
        yield OfferAccountability(**w, to=to), "ana"
        yield TransferAccountability(**w, to=to), to
        yield TransferAccountability(**w, to=to, basis="authority"), "root"
    yield OfferHandover(**w, to="ben", handover_id="H-1"), "ana"
    yield AcceptHandover(**w, handover_id="H-1"), "ben"


def _of_delegations(w: dict[str, Any], work: Any, at: datetime) -> Iterator[Move]:
    for id in ("D-1", "D-2", "D-3"):
        held = work.delegations.get(id)
        if held is None:
            for agent in AGENTS:
                wide: dict[str, Any] = {"delegate": agent, "delegation_id": id, "autonomy": "act"}
                yield DelegateWork(**w, **wide, may_subdelegate=True, max_depth=2), "ana"
                until = at + timedelta(seconds=30)
                yield DelegateWork(**w, **wide, valid_until=until, may_subdelegate=True, max_depth=1), "ana"
                yield DelegateWork(**w, **wide, budget=Budget(actions=1), max_uses=1), "ana"
            continue
        other, by = ("scout", "bot") if held.terms.delegate == "bot" else ("bot", "scout")
        for child in ("D-2", "D-3"):
            if child not in work.delegations:
                passed: dict[str, Any] = {"delegate": other, "delegation_id": child, "parent_id": id}
                yield DelegateWork(**w, **passed), by
                yield DelegateWork(**w, **passed, autonomy="act"), by
                yield WorkDelegated(delegator=by, autonomy="act", **passed), "erp"
        named: dict[str, Any] = {**w, "delegation_id": id}
        if held.status in _OPEN:
            yield AcceptDelegation(**named), held.terms.delegate
            yield SuspendDelegation(**named), "ana"
            yield RevokeDelegation(**named), "ana"
            yield ExpireDelegation(**named), "ana"
            yield NarrowDelegation(**named, valid_until=at + timedelta(seconds=20)), "ana"
        yield ResumeDelegation(**named), "ana"


def _of_executions(w: dict[str, Any], work: Any) -> Iterator[Move]:
    for id in ("E-1", "E-2", "E-3"):
        running = work.executions.get(id)
        if running is None:
            for who in (*AGENTS, "ben"):
                yield StartExecution(**w, execution_id=id), who
                yield ExecutionStarted(execution_id=id, executor=who), "erp"
            for claim in ("C-1", "C-2"):
                yield StartExecution(**w, execution_id=id, claim_id=claim), "bot"
        elif running.ended is None:
            e: dict[str, Any] = {**w, "execution_id": id}
            for dig in DIGESTS:
                made = Output(output_id="O-1", dig=dig, name="refund")
                yield ExecuteWork(**e, result="completed", outputs=(made,)), running.executor
                yield ProduceOutput(work_id=w["work_id"], output=made, execution_id=id), running.executor
            yield ExecuteWork(**e, result="failed"), running.executor
            yield RecordAction(**e, tool="refund", side_effect=True), running.executor
            yield RequireInput(**e, request_id="I-1", from_="ana", question="Really?"), running.executor
            yield ProvideInput(work_id=w["work_id"], request_id="I-1", response="accept"), "ana"


def _of_outputs(w: dict[str, Any], work: Any) -> Iterator[Move]:
    for id, made in work.outputs.items():
        o: dict[str, Any] = {"output_id": id, "output_dig": made.output.dig}
        yield ReleaseOutput(**w, output_id=id), "ana"
        yield OutputReleased(output_id=id), "erp"
        yield WithdrawOutput(**w, output_id=id), "ana"
        yield RequestReview(**w, **o, review_id="R-1"), "ana"


def _of_reviews(w: dict[str, Any], work: Any) -> Iterator[Move]:
    for review, asked in work.reviews.items():
        id = asked.request.output_id
        if asked.status != "open" or id not in work.outputs:
            continue
        dig = work.outputs[id].output.dig
        r: dict[str, Any] = {"review_id": review, "output_id": id, "output_dig": dig}
        new = Output(output_id=id, dig=DIGESTS[dig == DIGESTS[0]])
        for who in ("ben", "carla", *work.outputs[id].makers, *asked.request.excluded):
            yield ReviewWork(**w, **r, verdict="approved"), who
            yield WorkReviewed(**r, verdict="approved", reviewer=who, policy=asked.request.policy), "erp"
            yield ReviewWork(**w, **r, verdict="edited", new_output=new), who
        yield ReviewWork(**w, **r, verdict="waived", authority="agreed"), "carla"
        yield ReviewWork(**w, **r, verdict="changes_requested"), "ben"
        yield ClaimReview(**w, review_id=review), "ben"


def _of_escalations(w: dict[str, Any], work: Any) -> Iterator[Move]:
    x: dict[str, Any] = {**w, "escalation_id": "X-1"}
    known = work.escalations.get("X-1")
    if known is None:
        for blocking in (True, False):
            yield EscalateWork(**x, reason="exception", context=CONTEXT, blocking=blocking), "bot"
        yield EscalateWork(**x, reason="decision_needed", context=CONTEXT), "ana"
    elif known.is_open:
        yield AcknowledgeEscalation(**x), "ben"
        yield UnacknowledgeEscalation(**x), "ana"
        yield AdvanceEscalation(**x), "ana"
        yield AnswerEscalation(**x, decision="Take it back"), "ana"
        yield ResolveEscalation(**x, outcome="returned"), "ana"
    else:
        yield ReopenEscalation(**x), "ana"
