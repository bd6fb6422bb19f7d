"""What stands in a stream of another kind than it is about counts for nothing. That it does is found.

No command makes such an event; a source that reports one has most often mistaken the stream.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attorn.contracts.envelope import Event
from attorn.contracts.finding import FindingAccepted, FindingDismissed, FindingRemediated
from attorn.contracts.messages import KIND_BY_EVENT
from attorn.contracts.refusal import Breach
from attorn.contracts.subjects import KINDS
from attorn.projections.directory import Directory
from attorn.services.work.tables import Checks

_ANYWHERE: Final = frozenset({FindingAccepted, FindingRemediated, FindingDismissed})
"""What is decided about a finding is said where it was found."""

_AS_WELL: Final = {("claim", "work")}
"""Who claims a work item as a whole says so in the item's own stream."""


def _check(state: Any, data: Any, event: Event, directory: Directory) -> Sequence[Breach]:
    home = KIND_BY_EVENT[type(data)]
    detail = f"it is about {home}, and belongs in a stream {home}/<id>; in {event.subject} it counts for nothing"
    return (Breach(rule="misplaced-event", detail=detail, field="subject"),)


CHECKS: Final[Mapping[str, Checks]] = {
    kind: {
        event: _check
        for event, home in KIND_BY_EVENT.items()
        if home != kind and (home, kind) not in _AS_WELL and event not in _ANYWHERE
    }
    for kind in KINDS
}
"""By kind of stream, the payloads that are misplaced in it. What is of a type that nobody knows never is."""
