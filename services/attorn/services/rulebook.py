"""The rules of every kind of stream in one place: what the doors judge by, and what the findings are folded by."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.refusal import Breach
from attorn.contracts.review import ReviewRequested
from attorn.projections.directory import Directory
from attorn.services import misplaced
from attorn.services.claim import effect
from attorn.services.claim import model as claim
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
from attorn.services.work import standing
from attorn.services.work.state import Work

T = TypeVar("T")


def _rows(tables: Sequence[Mapping[type, T]]) -> Mapping[type, tuple[T, ...]]:
    """What stands in any of the tables for each payload, in their order."""
    payloads = {payload for table in tables for payload in table}
    return {payload: tuple(table[payload] for table in tables if payload in table) for payload in payloads}


class _WorkRules:
    """A work item obeys the rules of all its slices; each judges by the state before the event.

    `checks` and `changes` are the rows of all their tables, by payload, in the order in which they are judged and made.
    """

    state_type: type[Work] = Work
    initial: Work = Work()

    checks: Final = _rows((
        work.STEPS, work.CHECKS, work.MANDATES, standing.CHECKS, dependency.CHECKS, handover.CHECKS, effect.CHECKS,
        delegation.CHECKS, execution.CHECKS, output.CHECKS, decision.CHECKS, review.CHECKS, escalation.CHECKS,
        finding.CHECKS, misplaced.CHECKS["work"],
    ))  # fmt: skip

    # Executions before work: a question or an output that ends a state is part of the same event as its new state.
    changes: Final = _rows((
        dependency.CHANGES, handover.CHANGES, effect.CHANGES, delegation.CHANGES, execution.CHANGES, output.CHANGES,
        decision.CHANGES, review.CHANGES, escalation.CHANGES, work.CHANGES, work.MOVES,
    ))  # fmt: skip

    observing: Final = {ReviewRequested: review.observe}
    """What is found in the views, and neither refused nor warned of at the doors."""

    def check(self, state: Work, event: Event, directory: Directory) -> Sequence[Breach]:
        found: list[Breach] = []
        actor = directory.participants.get(event.authid or "")
        if actor is not None and actor.stopped:
            found += check_stopped(event, state.scope, directory)
        if not state.life.state:
            found += work.check_known(state, event)
        data = event.data
        for rule in self.checks.get(type(data), ()):
            found += rule(state, data, event, directory)
        return found

    def evolve(self, state: Work, event: Event) -> Work:
        if not state.life.state:
            state = work.discover(state, event)
        data = event.data
        for change in self.changes.get(type(data), ()):
            state = change(state, data, event)
        return state

    def attributes(self, state: Work, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
        whole = state.definition.parent_id if state.definition is not None else None
        correlation = {"correlationid": directory.relations.root(whole or stream.partition("/")[2])}
        if directory.kind(actor) not in ("agent", "system"):
            return correlation
        granted = [d.terms for d in state.delegations.values() if d.terms.delegate == actor]
        root = state.root(granted[-1]) if granted else directory.participants[actor].sponsor
        return correlation | ({"onbehalfof": root} if root is not None else {})


class _Beside:
    """The rules of a kind of stream, and those for every kind: of deciding about findings, and of what is misplaced."""

    def __init__(self, rules: Rules, kind: str) -> None:
        self.rows = {**finding.CHECKS, **misplaced.CHECKS[kind]}
        self.state_type, self.initial = rules.state_type, rules.initial
        self.evolve, self.attributes = rules.evolve, rules.attributes
        self._check = rules.check

    def check(self, state: Any, event: Event, directory: Directory) -> Iterator[Breach]:
        yield from self._check(state, event, directory)
        rule = self.rows.get(type(event.data))
        if rule is not None:
            yield from rule(state, event.data, event, directory)


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
    **{kind: _Beside(rules, kind) for kind, rules in _BESIDE_WORK.items()},
}
"""What each kind of stream obeys."""
