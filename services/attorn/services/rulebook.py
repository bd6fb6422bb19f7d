"""The rules of every kind of stream in one place: what the doors judge by, and what the findings are folded by."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from attorn.contracts.envelope import Event, Unknown
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.refusal import Breach
from attorn.contracts.review import ReviewRequested
from attorn.projections.directory import Directory
from attorn.services.claim import effect
from attorn.services.claim import model as claim
from attorn.services.concern import looks_at
from attorn.services.decision import model as decision
from attorn.services.delegation import model as delegation
from attorn.services.dependency import model as dependency
from attorn.services.escalation import model as escalation
from attorn.services.execution import model as execution
from attorn.services.finding import model as finding
from attorn.services.handover import model as handover
from attorn.services.outcome import model as outcome
from attorn.services.output import model as output
from attorn.services.participant import model as participant
from attorn.services.participant.authority import check_stopped
from attorn.services.policy import model as policy
from attorn.services.process import model as process
from attorn.services.review import model as review
from attorn.services.source import model as source
from attorn.services.transact import Rules
from attorn.services.work import model as work
from attorn.services.work.state import Work


def _by_payload(slices: Sequence[Any]) -> Mapping[type, Sequence[Any]]:
    """The slices that are to be asked about each kind of payload, in their order."""
    named = [(slice_, looks_at(slice_)) for slice_ in slices]
    return {
        payload: [slice_ for slice_, payloads in named if payloads is None or payload in payloads]
        for payload in (*EVENT_BY_TYPE.values(), Unknown)
    }


class _WorkRules:
    """A work item obeys the rules of all its slices; each looks at the state before the event."""

    state_type: type[Work] = Work
    initial: Work = Work()

    # Executions before work: a question or an output that ends a state is part of the same event as its new state.
    evolving: Final = (dependency, handover, effect, delegation, execution, output, decision, review, escalation, work)
    checking: Final = (
        work, dependency, handover, effect, delegation, execution, output, decision, review, escalation, finding,
    )  # fmt: skip

    observing: Final = {ReviewRequested: review.observe}
    """What is found in the views, and neither refused nor warned of at the doors."""

    def __init__(self) -> None:
        self._evolving = _by_payload(self.evolving)
        self._checking = _by_payload(self.checking)

    def check(self, state: Work, event: Event, directory: Directory) -> Sequence[Breach]:
        found: list[Breach] = []
        actor = directory.participants.get(event.authid or "")
        if actor is not None and actor.stopped:
            found += check_stopped(event, state.process.id if state.process is not None else None, directory)
        for slice_ in self._checking[type(event.data)]:
            found += slice_.check(state, event, directory)
        return found

    def evolve(self, state: Work, event: Event) -> Work:
        for slice_ in self._evolving[type(event.data)]:
            state = slice_.evolve(state, event)
        return state

    def attributes(self, state: Work, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
        whole = state.definition.parent_id if state.definition is not None else None
        correlation = {"correlationid": directory.relations.root(whole or stream.partition("/")[2])}
        if directory.kind(actor) not in ("agent", "system"):
            return correlation
        granted = [d.terms for d in state.delegations.values() if d.terms.delegate == actor]
        root = state.root(granted[-1]) if granted else directory.participants[actor].sponsor
        return correlation | ({"onbehalfof": root} if root is not None else {})


class _Deciding:
    """The rules of a kind of stream, and those of deciding about what was found in it."""

    def __init__(self, rules: Rules) -> None:
        self.state_type, self.initial = rules.state_type, rules.initial
        self.evolve, self.attributes = rules.evolve, rules.attributes
        self._check = rules.check

    def check(self, state: Any, event: Event, directory: Directory) -> Iterator[Breach]:
        yield from self._check(state, event, directory)
        if type(event.data) in finding.DECISIONS:
            yield from finding.check(state, event, directory)


class Silent(msgspec.Struct, frozen=True, tag="silent"):
    """The state of a kind of stream that has no rules yet."""


class _NoRules:
    state_type: type[Silent] = Silent
    initial: Silent = Silent()

    def check(self, state: Silent, event: Event, directory: Directory) -> Iterator[Breach]:
        return iter(())

    def evolve(self, state: Silent, event: Event) -> Silent:
        return state

    def attributes(self, state: Silent, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
        return {}


_BESIDE_WORK: Final[Mapping[str, Rules]] = {
    "participant": participant,
    "process": process,
    "policy": policy,
    "source": source,
    "outcome": outcome,
    "claim": claim,
    "ledger": _NoRules(),
}

RULES: Final[Mapping[str, Rules]] = {
    "work": _WorkRules(),
    **{kind: _Deciding(rules) for kind, rules in _BESIDE_WORK.items()},
}
"""What each kind of stream obeys."""
