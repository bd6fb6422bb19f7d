"""What somebody has to be to the work to move it: over it, at it, or named in it. The rest is open to everybody."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from attorn.contracts.deadline import DeadlineSet
from attorn.contracts.dependency import (
    DependencyAdded,
    DependencyBroken,
    DependencySatisfied,
    WorkBlocked,
    WorkUnblocked,
)
from attorn.contracts.envelope import Event
from attorn.contracts.execution import (
    ExecutionActionRecorded,
    ExecutionAdapted,
    ExecutionInputRequired,
    WorkExecuted,
)
from attorn.contracts.output import OutputProduced, OutputReleased, OutputWithdrawn
from attorn.contracts.refusal import Breach
from attorn.contracts.work import (
    WorkAssigned,
    WorkCancelled,
    WorkClarified,
    WorkCompleted,
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
from attorn.projections.directory import Directory
from attorn.projections.workforce import line
from attorn.services.work.state import Work
from attorn.services.work.tables import Checks

BOUNDS: Final = frozenset(
    {"scope", "acceptance_criteria", "decision_authority", "risk_tier", "recoverable", "candidates", "method"}
)
"""What holds whoever carries the work out within bounds, and says what is good enough."""

Standing: TypeAlias = Callable[[Work, Any, str, Event, Directory], bool]


class Circle(NamedTuple):
    """Who may, in words, and whether somebody is one of them; `lacks` is what is said of who is not."""

    who: str
    lacks: str
    holds: Standing


def _is_over(work: Work, data: Any, who: str, event: Event, directory: Directory) -> bool:
    """Who has authority over the work, is over who answers for it, or stands in for them."""
    if work.has_authority(who, directory, event.time):
        return True
    answers = work.answers(directory).person
    if answers is None:
        return False
    return directory.substitute(answers, "accountability", event.time) == who or who in line(directory, answers).path


def _is_at_it(work: Work, data: Any, who: str, event: Event, directory: Directory) -> bool:
    """Who carries it out, or is to, alone or in a team; who is over what does; to whom it is delegated.

    Who lends a hand in an execution of their own has a say in that, and none in the work.
    """
    named = {work.executor, work.assigned}
    if (running := work.executions.get(getattr(data, "execution_id", None) or "")) is not None:
        named.add(running.executor)
    named |= {held.terms.delegate for held in work.delegations.values() if held.is_live(event.time)}
    for id in named:
        if id is not None and (who == id or who in directory.members(id) or _looks_after(who, id, directory)):
            return True
    return _is_over(work, data, who, event, directory)


def _is_named(work: Work, data: Any, who: str, event: Event, directory: Directory) -> bool:
    """Whom the definition names in any part, and who was asked to look at what came of it."""
    if _is_at_it(work, data, who, event, directory):
        return True
    defined = work.definition
    named = {*defined.candidates, *defined.contributors} if defined is not None else set[str]()
    if defined is not None and defined.decision_authority is not None:
        named.add(defined.decision_authority)
    for review in work.reviews.values():
        named |= {*review.request.candidates, *review.approved_by}
    return who in named or any(who in directory.members(id) or who in directory.persons(id) for id in named)


def _may_take(work: Work, data: WorkAssigned, who: str, event: Event, directory: Directory) -> bool:
    """Who may give it to others; and who takes what nobody has, being a candidate where there are any."""
    if data.executor == who and work.executor is None:
        candidates = work.definition.candidates if work.definition is not None else ()
        if not candidates or any(who in (id, *directory.members(id)) for id in candidates):
            return True
    return _is_at_it(work, data, who, event, directory)


def _looks_after(who: str, id: str, directory: Directory) -> bool:
    """Whether `who` is the sponsor of what is no person, or has succeeded them."""
    participant = directory.participants.get(id)
    sponsor = participant.sponsor if participant is not None else None
    return sponsor is not None and directory.successor(sponsor) == who


OVER: Final = Circle("who is over the work", "has no authority over it", _is_over)
AT_IT: Final = Circle("who is over the work, or carries it out", "neither carries it out nor has authority over it",
                      _is_at_it)  # fmt: skip
NAMED: Final = Circle(
    "who is over the work, carries it out, or is named in it: a candidate, a contributor, a reviewer",
    "has no part in it, and no authority over it",
    _is_named,
)
TAKING: Final = Circle(
    "who is over the work, or carries it out; anybody takes what nobody has, where there are candidates one of them",
    "has no authority to give it to anybody",
    _may_take,
)

MOVERS: Final[Mapping[type, Circle]] = {
    WorkReprioritized: OVER,
    DeadlineSet: OVER,
    WorkCancelled: OVER,
    WorkSuperseded: OVER,
    WorkAssigned: TAKING,
    WorkUnassigned: AT_IT,
    WorkSuspended: AT_IT,
    WorkResumed: AT_IT,
    WorkBlocked: AT_IT,
    WorkUnblocked: AT_IT,
    DependencyAdded: AT_IT,
    DependencySatisfied: AT_IT,
    DependencyBroken: AT_IT,
    ExecutionActionRecorded: AT_IT,
    ExecutionAdapted: AT_IT,
    ExecutionInputRequired: AT_IT,
    WorkExecuted: AT_IT,
    WorkSubmitted: AT_IT,
    WorkCompleted: AT_IT,
    WorkFailed: AT_IT,
    WorkReopened: AT_IT,
    OutputProduced: AT_IT,
    OutputReleased: AT_IT,
    OutputWithdrawn: AT_IT,
    WorkClarified: NAMED,
    WorkReadied: NAMED,
    WorkVerified: NAMED,
}
"""Which of the people may move the work; of agents the delegations say it."""


def _check(work: Work, data: Any, event: Event, directory: Directory) -> Sequence[Breach]:
    # Of what is reported, it counts who did it, where it says so.
    reported = getattr(data, "by", None) if event.authtype == "system" else None
    who = reported or event.authid
    person = directory.participants.get(who or "")
    # Most is moved by whoever answers for it, or by an agent.
    if person is None or person.kind != "human" or (person.id == work.named and not person.left):
        return ()
    circle = MOVERS[type(data)]
    if isinstance(data, WorkClarified) and not BOUNDS.isdisjoint(data.changes):
        circle = OVER
    if circle.holds(work, data, person.id, event, directory):
        return ()
    answers = work.answers(directory).person or "nobody"
    detail = f"{who} {circle.lacks}; {answers} answers for {event.subject}: ask them, or escalate it"
    return (Breach(rule="work-authority", detail=detail, field="data.by" if reported is not None else None),)


CHECKS: Final[Checks] = dict.fromkeys(MOVERS, _check)
