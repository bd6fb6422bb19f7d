"""Findings: what people decide about a rule that was broken. The findings themselves are derived, never stored.

A finding is named by rule and position, and is decided about in the stream where it was found, of whatever kind.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.finding import (
    AcceptFinding,
    DismissFinding,
    FindingAccepted,
    FindingDismissed,
    FindingRemediated,
    RemediateFinding,
)
from attorn.contracts.refusal import Breach
from attorn.contracts.rules import RULES
from attorn.projections.directory import Directory
from attorn.services.transact import Context
from attorn.services.work.tables import Checks

FindingCommand: TypeAlias = AcceptFinding | RemediateFinding | DismissFinding

_EVENTS: Final[dict[type, type]] = {
    AcceptFinding: FindingAccepted,
    RemediateFinding: FindingRemediated,
    DismissFinding: FindingDismissed,
}


def decide(state: Any, command: FindingCommand, context: Context) -> Sequence[msgspec.Struct]:
    """What was decided. That there is such a finding is known to whoever asks the log (`app`)."""
    made = _EVENTS[type(command)]
    return [made(finding_id=command.finding_id, by=context.actor, reason=command.reason)]


def _check_decision(
    state: Any, data: FindingAccepted | FindingRemediated | FindingDismissed, event: Event, directory: Directory
) -> Iterator[Breach]:
    rule, who = data.finding_id.partition("@")[0], data.by or event.authid or ""
    if rule not in RULES:
        detail = f"{rule} is no rule; a finding is named as in hidden-work@12"
        yield Breach(rule="finding-decided", detail=detail, field="data.finding_id")
    if not directory.is_person(who):
        detail = f"{who or 'nobody'} is not a person who is here; what becomes of a finding is for people to decide"
        yield Breach(rule="finding-decided", detail=detail, field="data.by")
    if not data.reason.strip():
        detail = f"no reason is given; say why {data.finding_id} is settled"
        yield Breach(rule="finding-decided", detail=detail, field="data.reason")


CHECKS: Final[Checks] = dict.fromkeys(_EVENTS.values(), _check_decision)
"""For a stream of any kind. What was decided changes nothing of what it is about: that a rule was broken stays so."""
