"""What can be asked of the views, by name: the parameters of each question, and the function that answers it.

An answer is made of the rows and the directory alone, both of one position, and is data whatever it says: that there is
no such item is a sentence in the answer, not an error. An answer that comes in pages has `next`, which is the
parameter `after` of the next page; None when there is no more.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.questions import (
    activity,
    board,
    controls,
    criteria,
    delegations,
    effects,
    escalations,
    findings,
    flow,
    holding,
    inbox,
    ladders,
    load,
    numbers,
    outcomes,
    ownership,
    people,
    processes,
    recommendations,
    registry,
    timeline,
    work,
    workforce,
)


class Question(NamedTuple):
    """One question: the Struct of its parameters, and the function that answers it and says what it asks."""

    parameters: type[msgspec.Struct]
    answer: Callable[[Rows, Directory, Any], Any]


QUESTIONS: Final[Mapping[str, Question]] = {
    name: Question(parameters, answer)
    for name, parameters, answer in (
        # ownership
        ("who", ownership.AskWho, ownership.who),
        ("intervals", ownership.AskIntervals, ownership.intervals),
        ("answers_for", ownership.AskAnswersFor, ownership.answers_for),
        ("holding", holding.AskHolding, holding.holdings),
        ("executor", holding.AskExecutor, holding.executor),
        ("org", holding.AskOrg, holding.org),
        ("span", holding.AskSpan, holding.span),
        ("agents", holding.AskAgents, holding.agents),
        ("deployments", workforce.AskDeployments, workforce.at_work),
        ("unmanaged", workforce.AskUnmanaged, workforce.unmanaged),
        ("when_stuck", workforce.AskWhenStuck, workforce.when_stuck),
        ("ladder", ladders.AskLadder, ladders.ladder),
        # visibility
        ("board", board.AskBoard, board.board_items),
        ("board_then", board.AskBoardThen, board.board_then),
        ("board_counts", board.AskBoardCounts, board.board_counts),
        ("work", work.AskWork, work.work),
        ("queue", flow.AskQueue, flow.queue),
        ("stalled", flow.AskStalled, flow.stalled),
        ("bottleneck", flow.AskBottleneck, flow.bottleneck),
        ("outcomes", outcomes.AskOutcomes, outcomes.outcomes),
        ("completions", outcomes.AskCompletions, outcomes.completions),
        ("costs", outcomes.AskCosts, outcomes.costs),
        ("inbox", inbox.AskInbox, inbox.waits),
        ("load", load.AskLoad, load.load),
        ("activity", activity.AskActivity, activity.days),
        ("activity_events", activity.AskActivityEvents, activity.deeds),
        ("contributions", activity.AskContributions, activity.contributions),
        ("escalations", escalations.AskEscalations, escalations.escalated),
        ("stats", numbers.AskStats, numbers.stats),
        ("handovers", numbers.AskHandovers, numbers.handovers),
        ("recommendations", recommendations.AskRecommendations, recommendations.recommendations),
        # audit
        ("timeline", timeline.AskTimeline, timeline.events),
        ("findings", findings.AskFindings, findings.finding_list),
        ("finding_counts", findings.AskFindingCounts, findings.finding_counts),
        ("delegations", delegations.AskDelegations, delegations.delegated),
        ("delegation", delegations.AskDelegation, delegations.chain),
        ("governing", delegations.AskGoverning, delegations.governing),
        ("duplicates", effects.AskDuplicates, effects.duplicates),
        ("half_done", effects.AskHalfDone, effects.half_done),
        ("criteria", criteria.AskCriteria, criteria.held),
        ("escalation_accuracy", criteria.AskEscalationAccuracy, criteria.escalation_accuracy),
        ("controls", controls.AskControls, controls.controlled),
        ("control_coverage", controls.AskCoverage, controls.coverage),
        ("process_coverage", processes.AskProcessCoverage, processes.process_coverage),
        ("badges", processes.AskBadges, processes.badges),
        ("outdated", processes.AskOutdated, processes.outdated_agents),
        ("unattested", workforce.AskUnattested, workforce.unattested),
        ("overlaps", processes.AskOverlaps, processes.overlaps),
        ("last_look", controls.AskLooks, controls.last_look),
        ("scorecard", controls.AskScorecard, controls.scorecard),
        ("log_stats", numbers.AskLogStats, numbers.log_stats),
        # who and what there is
        ("participants", registry.AskParticipants, registry.participants),
        ("absences", people.AskAbsences, people.absences),
        ("teams", people.AskTeams, people.teams),
        ("keys", people.AskKeys, people.keys),
        ("sources", registry.AskSources, registry.sources),
        ("known", registry.AskKnown, registry.known),
        ("processes", registry.AskProcesses, registry.processes),
        ("policies", registry.AskPolicies, registry.policies),
    )
}
