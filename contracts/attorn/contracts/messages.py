"""Every message there is: the events that the log may hold, the commands that the services take, by class and by name.

A new event or command is added here, in the order of the catalogue, and nowhere else.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias, get_args

from attorn.contracts import subjects
from attorn.contracts.accountability import (
    AccountabilityOffered,
    AccountabilityTransferred,
    OfferAccountability,
    TransferAccountability,
)
from attorn.contracts.checkpoint import (
    ExportIssued,
    LedgerAdminObserved,
    LedgerAnchored,
    LedgerCheckpointed,
    LedgerPayloadErased,
)
from attorn.contracts.claim import (
    AcquireClaim,
    ClaimAcquired,
    ClaimExpired,
    ClaimReleased,
    ClaimRenewed,
    ClaimRevoked,
    ReleaseClaim,
    RenewClaim,
    RevokeClaim,
)
from attorn.contracts.context import (
    AddNote,
    ContextShared,
    NoteAdded,
    ShareContext,
)
from attorn.contracts.deadline import (
    DeadlineMissed,
    DeadlineSet,
    SetDeadline,
)
from attorn.contracts.decision import (
    AnswerRecommendation,
    DecisionMade,
    DecisionRequested,
    MakeDecision,
    MakeRecommendation,
    RecommendationAnswered,
    RecommendationMade,
    RequestDecision,
)
from attorn.contracts.delegation import (
    AcceptDelegation,
    DeclineDelegation,
    DelegateWork,
    DelegationAccepted,
    DelegationDeclined,
    DelegationExhausted,
    DelegationExpired,
    DelegationNarrowed,
    DelegationResumed,
    DelegationRevoked,
    DelegationSuspended,
    ExpireDelegation,
    NarrowDelegation,
    ResumeDelegation,
    RevokeDelegation,
    SuspendDelegation,
    WorkDelegated,
)
from attorn.contracts.dependency import (
    AddDependency,
    BlockWork,
    BreakDependency,
    DependencyAdded,
    DependencyBroken,
    DependencySatisfied,
    SatisfyDependency,
    UnblockWork,
    WorkBlocked,
    WorkUnblocked,
)
from attorn.contracts.escalation import (
    AcknowledgeEscalation,
    AdvanceEscalation,
    AnswerEscalation,
    CancelEscalation,
    EscalateWork,
    EscalationAcknowledged,
    EscalationAdvanced,
    EscalationAnswered,
    EscalationCancelled,
    EscalationExhausted,
    EscalationNotified,
    EscalationReassigned,
    EscalationReopened,
    EscalationResolved,
    EscalationUnacknowledged,
    ReassignEscalation,
    ReopenEscalation,
    ResolveEscalation,
    UnacknowledgeEscalation,
    WorkEscalated,
)
from attorn.contracts.execution import (
    AdaptExecution,
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionAdapted,
    ExecutionGuided,
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionProgressed,
    ExecutionStarted,
    GuideExecution,
    ProgressExecution,
    ProvideInput,
    RecordAction,
    RequireInput,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.finding import (
    AcceptFinding,
    DismissFinding,
    FindingAccepted,
    FindingDismissed,
    FindingRemediated,
    RemediateFinding,
)
from attorn.contracts.handover import (
    AcceptHandover,
    DeclineHandover,
    HandoverAccepted,
    HandoverDeclined,
    HandoverExpired,
    HandoverOffered,
    OfferHandover,
)
from attorn.contracts.outcome import (
    BaselineRecorded,
    DefineOutcome,
    OutcomeDefined,
    OutcomeUpdated,
    RecordBaseline,
    UpdateOutcome,
)
from attorn.contracts.output import (
    OutputProduced,
    OutputReleased,
    OutputValidated,
    OutputWithdrawn,
    ProduceOutput,
    ReleaseOutput,
    ValidateOutput,
    WithdrawOutput,
)
from attorn.contracts.participant import (
    AbsenceDeclared,
    AbsenceEnded,
    AddTeamMember,
    AgentDeployed,
    AgentUndeployed,
    AttestationGiven,
    ChangeManager,
    DeactivateParticipant,
    DeclareAbsence,
    DeployAgent,
    EndAbsence,
    GiveAttestation,
    GrantRole,
    LivenessLost,
    LivenessRestored,
    ParticipantDeactivated,
    ParticipantKeyRegistered,
    ParticipantKeyRevoked,
    ParticipantManagerChanged,
    ParticipantRegistered,
    ParticipantResumed,
    ParticipantSuspended,
    ParticipantUpdated,
    RegisterKey,
    RegisterParticipant,
    RemoveTeamMember,
    ResumeParticipant,
    RevokeKey,
    RevokeRole,
    RoleGranted,
    RoleRevoked,
    SuspendParticipant,
    TeamMemberAdded,
    TeamMemberRemoved,
    UndeployAgent,
    UpdateParticipant,
)
from attorn.contracts.policy import (
    PolicyPublished,
    PublishPolicy,
)
from attorn.contracts.process import (
    MapProcess,
    ProcessMapped,
    ProcessPublished,
    ProcessRetired,
    PublishProcess,
    RetireProcess,
)
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
)
from attorn.contracts.service_review import (
    CloseServiceReview,
    HoldServiceReview,
    OpenServiceReview,
    ServiceReviewClosed,
    ServiceReviewHeld,
    ServiceReviewOpened,
)
from attorn.contracts.source import (
    RegisterSource,
    SourceRegistered,
)
from attorn.contracts.work import (
    AssignWork,
    CancelWork,
    ClarifyWork,
    CompleteWork,
    DeclineWork,
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    ReprioritizeWork,
    ResumeWork,
    SubmitWork,
    SupersedeWork,
    SuspendWork,
    UnassignWork,
    VerifyWork,
    WorkAssigned,
    WorkCancelled,
    WorkClarified,
    WorkCompleted,
    WorkDeclined,
    WorkDefined,
    WorkFailed,
    WorkReadied,
    WorkReopened,
    WorkReprioritized,
    WorkResumed,
    WorkSubmitted,
    WorkSuperseded,
    WorkSuspended,
    WorkUnassigned,
    WorkVerified,
)

Payload: TypeAlias = (
    ParticipantRegistered
    | ParticipantUpdated
    | ParticipantKeyRegistered
    | ParticipantKeyRevoked
    | ParticipantSuspended
    | ParticipantResumed
    | ParticipantDeactivated
    | ParticipantManagerChanged
    | TeamMemberAdded
    | TeamMemberRemoved
    | RoleGranted
    | RoleRevoked
    | AbsenceDeclared
    | AbsenceEnded
    | AgentDeployed
    | AgentUndeployed
    | LivenessLost
    | LivenessRestored
    | AttestationGiven
    | ProcessMapped
    | ProcessPublished
    | ProcessRetired
    | PolicyPublished
    | OutcomeDefined
    | OutcomeUpdated
    | BaselineRecorded
    | SourceRegistered
    | ServiceReviewOpened
    | ServiceReviewHeld
    | ServiceReviewClosed
    | WorkDefined
    | WorkClarified
    | WorkReadied
    | WorkReprioritized
    | DeadlineSet
    | WorkAssigned
    | WorkUnassigned
    | WorkDeclined
    | AccountabilityOffered
    | AccountabilityTransferred
    | HandoverOffered
    | HandoverAccepted
    | HandoverDeclined
    | HandoverExpired
    | DependencyAdded
    | DependencySatisfied
    | DependencyBroken
    | WorkBlocked
    | WorkUnblocked
    | WorkDelegated
    | DelegationAccepted
    | DelegationDeclined
    | DelegationNarrowed
    | DelegationSuspended
    | DelegationResumed
    | DelegationRevoked
    | DelegationExpired
    | DelegationExhausted
    | ExecutionStarted
    | ExecutionProgressed
    | ExecutionActionRecorded
    | ExecutionGuided
    | ExecutionAdapted
    | ExecutionInputRequired
    | ExecutionInputProvided
    | WorkExecuted
    | OutputProduced
    | OutputValidated
    | OutputReleased
    | OutputWithdrawn
    | RecommendationMade
    | RecommendationAnswered
    | DecisionRequested
    | DecisionMade
    | ReviewRequested
    | ReviewSkipped
    | ReviewClaimed
    | ReviewUnclaimed
    | ReviewExpired
    | ReviewInvalidated
    | ReviewWithdrawn
    | WorkReviewed
    | WorkSubmitted
    | WorkVerified
    | WorkCompleted
    | WorkReopened
    | WorkSuspended
    | WorkResumed
    | WorkFailed
    | WorkCancelled
    | WorkSuperseded
    | WorkEscalated
    | EscalationNotified
    | EscalationAcknowledged
    | EscalationUnacknowledged
    | EscalationAdvanced
    | EscalationReassigned
    | EscalationAnswered
    | EscalationExhausted
    | EscalationResolved
    | EscalationCancelled
    | EscalationReopened
    | DeadlineMissed
    | FindingAccepted
    | FindingRemediated
    | FindingDismissed
    | ContextShared
    | NoteAdded
    | ClaimAcquired
    | ClaimRenewed
    | ClaimReleased
    | ClaimExpired
    | ClaimRevoked
    | LedgerCheckpointed
    | LedgerAnchored
    | LedgerPayloadErased
    | ExportIssued
    | LedgerAdminObserved
)
"""What an event may say."""

Command: TypeAlias = (
    RegisterParticipant
    | UpdateParticipant
    | SuspendParticipant
    | ResumeParticipant
    | ChangeManager
    | RegisterKey
    | RevokeKey
    | AddTeamMember
    | RemoveTeamMember
    | DeactivateParticipant
    | GrantRole
    | RevokeRole
    | DeclareAbsence
    | EndAbsence
    | DeployAgent
    | UndeployAgent
    | GiveAttestation
    | MapProcess
    | PublishProcess
    | RetireProcess
    | OpenServiceReview
    | HoldServiceReview
    | CloseServiceReview
    | PublishPolicy
    | DefineOutcome
    | UpdateOutcome
    | RecordBaseline
    | RegisterSource
    | DefineWork
    | ClarifyWork
    | ReadyWork
    | ReprioritizeWork
    | SetDeadline
    | AssignWork
    | UnassignWork
    | DeclineWork
    | OfferAccountability
    | TransferAccountability
    | OfferHandover
    | AcceptHandover
    | DeclineHandover
    | AddDependency
    | SatisfyDependency
    | BreakDependency
    | BlockWork
    | UnblockWork
    | DelegateWork
    | AcceptDelegation
    | DeclineDelegation
    | RevokeDelegation
    | NarrowDelegation
    | SuspendDelegation
    | ResumeDelegation
    | ExpireDelegation
    | StartExecution
    | ProgressExecution
    | RecordAction
    | GuideExecution
    | AdaptExecution
    | RequireInput
    | ProvideInput
    | ExecuteWork
    | ProduceOutput
    | ValidateOutput
    | ReleaseOutput
    | WithdrawOutput
    | MakeRecommendation
    | AnswerRecommendation
    | RequestDecision
    | MakeDecision
    | RequestReview
    | ClaimReview
    | UnclaimReview
    | WithdrawReview
    | ReviewWork
    | SubmitWork
    | VerifyWork
    | CompleteWork
    | ReopenWork
    | SuspendWork
    | ResumeWork
    | FailWork
    | CancelWork
    | SupersedeWork
    | EscalateWork
    | AcknowledgeEscalation
    | UnacknowledgeEscalation
    | AdvanceEscalation
    | ReassignEscalation
    | AnswerEscalation
    | ResolveEscalation
    | CancelEscalation
    | ReopenEscalation
    | AddNote
    | ShareContext
    | AcceptFinding
    | RemediateFinding
    | DismissFinding
    | AcquireClaim
    | RenewClaim
    | ReleaseClaim
    | RevokeClaim
)
"""What somebody may ask for."""

EVENTS: tuple[type[Payload], ...] = get_args(Payload)

COMMANDS: tuple[type[Command], ...] = get_args(Command)

EVENT_BY_TYPE: Mapping[str, type[Payload]] = MappingProxyType({event.type: event for event in EVENTS})
KIND_BY_EVENT: Mapping[type, str] = MappingProxyType({event: subjects.kind(event.type) for event in EVENTS})
"""The kind of stream in which each event belongs. What is decided about findings may stand in any."""

COMMAND_BY_VERB: Mapping[str, type[Command]] = MappingProxyType({command.verb: command for command in COMMANDS})
