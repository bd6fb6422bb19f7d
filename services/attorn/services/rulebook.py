"""The rules of every kind of stream in one place: what the doors judge by, and what the findings are folded by."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.delegation import model as delegation
from attorn.services.escalation import model as escalation
from attorn.services.execution import model as execution
from attorn.services.participant import model as participant
from attorn.services.policy import model as policy
from attorn.services.process import model as process
from attorn.services.review import model as review
from attorn.services.source import model as source
from attorn.services.transact import Rules
from attorn.services.work import model as work
from attorn.services.work.state import Work


class _WorkRules:
    """A work item obeys the rules of all its slices; each looks at the state before the event."""

    state_type: type[Work] = Work
    initial: Work = Work()

    def check(self, state: Work, event: Event, directory: Directory) -> Iterator[Breach]:
        yield from work.check(state, event, directory)
        yield from delegation.check(state, event, directory)
        yield from execution.check(state, event, directory)
        yield from review.check(state, event, directory)
        yield from escalation.check(state, event, directory)

    def evolve(self, state: Work, event: Event) -> Work:
        # Executions first: a question or an output that ends a state is part of the same event as its new state.
        for slice_ in (delegation, execution, review, escalation, work):
            state = slice_.evolve(state, event)
        return state

    def attributes(self, state: Work, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
        parent = state.definition.parent_id if state.definition is not None else None
        correlation = {"correlationid": parent or stream.partition("/")[2]}
        if directory.kind(actor) not in ("agent", "system"):
            return correlation
        granted = [d.terms for d in state.delegations.values() if d.terms.delegate == actor]
        root = state.root(granted[-1]) if granted else directory.participants[actor].sponsor
        return correlation | ({"onbehalfof": root} if root is not None else {})


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


RULES: Final[Mapping[str, Rules]] = {
    "work": _WorkRules(),
    "participant": participant,
    "process": process,
    "policy": policy,
    "source": source,
    "outcome": _NoRules(),
    "claim": _NoRules(),
    "ledger": _NoRules(),
}
