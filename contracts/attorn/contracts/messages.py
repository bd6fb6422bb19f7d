"""Every message there is: the events that the log may hold, the commands that the services take, by class and by name.

A new event or command is added here, in the order of the catalogue, and nowhere else.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

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
    ClaimAcquired,
    ClaimExpired,
    ClaimReleased,
    ClaimRenewed,
    ClaimRevoked,
)
from attorn.contracts.context import (
    AddNote,
    ContextShared,
    NoteAdded,
)
from attorn.contracts.deadline import (
    DeadlineMissed,
    DeadlineSet,
)
from attorn.contracts.decision import (
    DecisionMade,
    DecisionRequested,
    RecommendationAnswered,
    RecommendationMade,
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
    DelegationRevoked,
    DelegationSuspended,
    RevokeDelegation,
    WorkDelegated,
)
from attorn.contracts.dependency import (
    DependencyAdded,
    DependencyBroken,
    DependencySatisfied,
    WorkBlocked,
    WorkUnblocked,
)
from attorn.contracts.escalation import (
    AcknowledgeEscalation,
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
    ResolveEscalation,
    WorkEscalated,
)
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionAdapted,
    ExecutionGuided,
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionProgressed,
    ExecutionStarted,
    ProgressExecution,
    ProvideInput,
    RecordAction,
    RequireInput,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.finding import (
    FindingAccepted,
    FindingDismissed,
    FindingRemediated,
)
from attorn.contracts.handover import (
    HandoverAccepted,
    HandoverDeclined,
    HandoverExpired,
    HandoverOffered,
)
from attorn.contracts.outcome import (
    BaselineRecorded,
    OutcomeDefined,
    OutcomeUpdated,
)
from attorn.contracts.output import (
    OutputProduced,
    OutputReleased,
    OutputValidated,
    OutputWithdrawn,
    ReleaseOutput,
    WithdrawOutput,
)
from attorn.contracts.participant import (
    AbsenceDeclared,
    AbsenceEnded,
    AgentDeployed,
    AgentUndeployed,
    AttestationGiven,
    DeactivateParticipant,
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
    RegisterParticipant,
    RevokeRole,
    RoleGranted,
    RoleRevoked,
    TeamMemberAdded,
    TeamMemberRemoved,
)
from attorn.contracts.policy import (
    PolicyPublished,
    PublishPolicy,
)
from attorn.contracts.process import (
    ProcessMapped,
    ProcessPublished,
    ProcessRetired,
    PublishProcess,
    RetireProcess,
)
from attorn.contracts.review import (
    RequestReview,
    ReviewClaimed,
    ReviewExpired,
    ReviewInvalidated,
    ReviewRequested,
    ReviewWithdrawn,
    ReviewWork,
    WorkReviewed,
)
from attorn.contracts.service_review import (
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
    DefineWork,
    FailWork,
    ReadyWork,
    ReopenWork,
    SubmitWork,
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
    | ReviewClaimed
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
    | DeactivateParticipant
    | GrantRole
    | RevokeRole
    | PublishProcess
    | RetireProcess
    | PublishPolicy
    | RegisterSource
    | DefineWork
    | ClarifyWork
    | ReadyWork
    | AssignWork
    | OfferAccountability
    | TransferAccountability
    | DelegateWork
    | AcceptDelegation
    | DeclineDelegation
    | RevokeDelegation
    | StartExecution
    | ProgressExecution
    | RecordAction
    | RequireInput
    | ProvideInput
    | ExecuteWork
    | ReleaseOutput
    | WithdrawOutput
    | RequestReview
    | ReviewWork
    | SubmitWork
    | VerifyWork
    | CompleteWork
    | ReopenWork
    | FailWork
    | CancelWork
    | EscalateWork
    | AcknowledgeEscalation
    | AnswerEscalation
    | ResolveEscalation
    | CancelEscalation
    | AddNote
)
"""What somebody may ask for."""

EVENTS: tuple[type[Payload], ...] = (
    ParticipantRegistered,
    ParticipantUpdated,
    ParticipantKeyRegistered,
    ParticipantKeyRevoked,
    ParticipantSuspended,
    ParticipantResumed,
    ParticipantDeactivated,
    ParticipantManagerChanged,
    TeamMemberAdded,
    TeamMemberRemoved,
    RoleGranted,
    RoleRevoked,
    AbsenceDeclared,
    AbsenceEnded,
    AgentDeployed,
    AgentUndeployed,
    LivenessLost,
    LivenessRestored,
    AttestationGiven,
    ProcessMapped,
    ProcessPublished,
    ProcessRetired,
    PolicyPublished,
    OutcomeDefined,
    OutcomeUpdated,
    BaselineRecorded,
    SourceRegistered,
    ServiceReviewOpened,
    ServiceReviewHeld,
    ServiceReviewClosed,
    WorkDefined,
    WorkClarified,
    WorkReadied,
    WorkReprioritized,
    DeadlineSet,
    WorkAssigned,
    WorkUnassigned,
    WorkDeclined,
    AccountabilityOffered,
    AccountabilityTransferred,
    HandoverOffered,
    HandoverAccepted,
    HandoverDeclined,
    HandoverExpired,
    DependencyAdded,
    DependencySatisfied,
    DependencyBroken,
    WorkBlocked,
    WorkUnblocked,
    WorkDelegated,
    DelegationAccepted,
    DelegationDeclined,
    DelegationNarrowed,
    DelegationSuspended,
    DelegationRevoked,
    DelegationExpired,
    DelegationExhausted,
    ExecutionStarted,
    ExecutionProgressed,
    ExecutionActionRecorded,
    ExecutionGuided,
    ExecutionAdapted,
    ExecutionInputRequired,
    ExecutionInputProvided,
    WorkExecuted,
    OutputProduced,
    OutputValidated,
    OutputReleased,
    OutputWithdrawn,
    RecommendationMade,
    RecommendationAnswered,
    DecisionRequested,
    DecisionMade,
    ReviewRequested,
    ReviewClaimed,
    ReviewExpired,
    ReviewInvalidated,
    ReviewWithdrawn,
    WorkReviewed,
    WorkSubmitted,
    WorkVerified,
    WorkCompleted,
    WorkReopened,
    WorkSuspended,
    WorkResumed,
    WorkFailed,
    WorkCancelled,
    WorkSuperseded,
    WorkEscalated,
    EscalationNotified,
    EscalationAcknowledged,
    EscalationUnacknowledged,
    EscalationAdvanced,
    EscalationReassigned,
    EscalationAnswered,
    EscalationExhausted,
    EscalationResolved,
    EscalationCancelled,
    EscalationReopened,
    DeadlineMissed,
    FindingAccepted,
    FindingRemediated,
    FindingDismissed,
    ContextShared,
    NoteAdded,
    ClaimAcquired,
    ClaimRenewed,
    ClaimReleased,
    ClaimExpired,
    ClaimRevoked,
    LedgerCheckpointed,
    LedgerAnchored,
    LedgerPayloadErased,
    ExportIssued,
    LedgerAdminObserved,
)

COMMANDS: tuple[type[Command], ...] = (
    RegisterParticipant,
    DeactivateParticipant,
    GrantRole,
    RevokeRole,
    PublishProcess,
    RetireProcess,
    PublishPolicy,
    RegisterSource,
    DefineWork,
    ClarifyWork,
    ReadyWork,
    AssignWork,
    OfferAccountability,
    TransferAccountability,
    DelegateWork,
    AcceptDelegation,
    DeclineDelegation,
    RevokeDelegation,
    StartExecution,
    ProgressExecution,
    RecordAction,
    RequireInput,
    ProvideInput,
    ExecuteWork,
    ReleaseOutput,
    WithdrawOutput,
    RequestReview,
    ReviewWork,
    SubmitWork,
    VerifyWork,
    CompleteWork,
    ReopenWork,
    FailWork,
    CancelWork,
    EscalateWork,
    AcknowledgeEscalation,
    AnswerEscalation,
    ResolveEscalation,
    CancelEscalation,
    AddNote,
)

EVENT_BY_TYPE: Mapping[str, type[Payload]] = MappingProxyType({event.type: event for event in EVENTS})
COMMAND_BY_VERB: Mapping[str, type[Command]] = MappingProxyType({command.verb: command for command in COMMANDS})
