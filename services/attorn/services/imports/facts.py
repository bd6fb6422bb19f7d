"""What the cases of an XES log mean as facts, by a mapping; pure, so that the same log is the same bytes for ever.

    log = Reading(mapping, "tickets", custodian="ana")
    for trace in read(path):
        facts = log.facts(trace)                # of one work item, in the order in which they are to be recorded
    facts = log.participants()                  # who appeared in them; to be recorded first

Each event of the log has exactly one fact that says what it means, with who did it and for which team:
`<item>-<index>` is its id, with the event's index in its case. What follows from it beside that has the ids
`<item>-<index>.<n>`: a handover, an escalation, the answer to a question that was open; where it is our conclusion and
not the log's word, it says that it is derived. A log that is exported again with more events at the end of its cases
yields the same facts again, and then the new ones.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from attorn.contracts import codec
from attorn.contracts.claim import ClaimReleased
from attorn.contracts.context import NoteAdded
from attorn.contracts.envelope import Event
from attorn.contracts.escalation import (
    EscalationAdvanced,
    EscalationContext,
    EscalationOutcome,
    EscalationResolved,
    WorkEscalated,
)
from attorn.contracts.execution import (
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionProgressed,
    ExecutionStarted,
)
from attorn.contracts.handover import HandoverAccepted
from attorn.contracts.ids import ParticipantKind, is_token
from attorn.contracts.participant import ParticipantRegistered
from attorn.contracts.work import (
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkFailed,
    WorkReadied,
    WorkReopened,
    WorkResumed,
    WorkSubmitted,
    WorkSuspended,
)
from attorn.services.imports.mapping import Mapping, Meaning, Rule
from attorn.services.imports.xes import SourceEvent, Trace

ITEM_CHARACTERS_MAX: Final = 48
"""Room is left in the 64 of an identifier for those that are made of an item's: `<item>-<index>`."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TICK: Final = timedelta(milliseconds=1)

_ENDS: Final = frozenset[Meaning](("submitted", "completed", "failed", "cancelled"))
_PASSIVE: Final = frozenset[Meaning](("note", "progressed"))
"""What is said of work without anybody taking it up, or on."""


class Unmapped(Exception):
    """An event that the mapping does not cover; `place` says where it is in the log."""

    def __init__(self, place: str, reason: str, hint: str) -> None:
        super().__init__(place, reason, hint)
        self.place, self.reason, self.hint = place, reason, hint

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}; {self.hint}."


class Fact(NamedTuple):
    """A fact as it is sent; `derived` is one that no event of the log says by itself."""

    body: bytes
    derived: bool


class _Known(msgspec.Struct):
    """A participant as far as the log has been read; `time` is that of its earliest event."""

    registered: ParticipantRegistered
    time: datetime
    extra: bytes


class _Item(msgspec.Struct):
    """A case as far as it has been read. `team` and `line` are where it lies, `by` and `name` who acted last.

    `holder` is who it was given to, or who began on it, last; `question` is an open one, by its id and its execution's;
    `running` are the executions by the activity that they are of; `escalation` is the open one and the line it reached.
    """

    id: str
    index: int = 0
    derived: int = 0
    label: str = ""
    time: datetime | None = None
    extra: bytes = b""
    name: str | None = None
    by: str | None = None
    team: str | None = None
    line: int = 1
    holder: str | None = None
    cycle: int = 1
    ended: str | None = None
    ended_at: int = 0
    execution: str | None = None
    question: tuple[str, str] | None = None
    suspended: bool = False
    running: dict[str, str] = {}
    escalation: str | None = None
    rung: int = 0

    @property
    def fact(self) -> str:
        return f"{self.id}-{self.index}"


class Reading:
    """One pass over one log: what is the same for all cases, and who appeared so far."""

    def __init__(
        self, mapping: Mapping, source: str, custodian: str, *, name: str = "log", logical_time: bool = False
    ) -> None:
        self.mapping, self.source, self.custodian, self.name = mapping, source, custodian, name
        self.uri = f"xes:{source}"
        self.events = 0
        self.without_time = 0
        self._logical = logical_time or mapping.time.missing == "logical"
        self._items: set[str] = set()
        self._known: dict[str, _Known] = {}
        # Asked for at every event, made once: participants by name and team, teams by name, rules by what they go by.
        self._people: dict[tuple[str, str | None], str] = {}
        self._teams: dict[str, str] = {}
        self._deciding = tuple(dict.fromkeys(name for rule in mapping.rules for name in rule.when))
        self._rules: dict[tuple[str, ...], Rule | None] = {}

    def facts(self, trace: Trace) -> list[Fact]:
        """What the case means, in order; nothing for a case without events. Raises Unmapped."""
        said = trace.attributes.get(self.mapping.item.attribute)
        name = str(trace.index) if said is None or said == "" else str(said)
        item = _Item(self._item_id(name))
        facts: list[Fact] = []
        meaning: Meaning | None = None
        for event in trace.events:
            meaning, rule = self._meaning(trace, event)
            self._turn_to(item, trace, event)
            if item.index == 0 and item.id != self._item_name(name):
                facts.append(self._derived(item, NoteAdded(text=f"Called {name[:1_000]!r} by its source.")))
            facts += self._event_facts(item, event, meaning, rule)
        if meaning == "step_completed" and self.mapping.item.ends_with_last_step:
            note = f"derived: {item.label} is the last event of this case in the log"
            facts.append(self._derived(item, WorkCompleted(cycle=item.cycle, note=note)))
        self.events += len(trace.events)
        return facts

    def participants(self) -> list[Fact]:
        """The registrations of everybody who appeared, in order of their ids."""
        facts: list[Fact] = []
        for id, known in sorted(self._known.items()):
            event = codec.event(known.registered, id=f"participant/{id}", source=self.uri,
                                subject=f"participant/{id}", time=known.time)  # fmt: skip
            facts.append(Fact(_encoded(event, known.extra), True))
        return facts

    # ---- one event

    def _event_facts(self, item: _Item, event: SourceEvent, meaning: Meaning, rule: Rule | None) -> Iterator[Fact]:
        """Everything that one event means: first what it brings to an end, last the fact that is its own."""
        name = _text(event, self.mapping.resource.attribute)
        team_name = _text(event, self.mapping.resource.team)
        team = self._team(item, team_name) if team_name else None
        by = self._person(item, name, team_name) if name else None
        label = "/".join(str(event.attributes[a]) for a in self.mapping.label if a in event.attributes)[:200]
        item.label = label or "an event without a name"
        if by is None and meaning in ("assigned", "started"):
            meaning = "note"  # nobody is named who was given it, or began: then all that is known is that it happened

        def derived(payload: msgspec.Struct) -> Fact:
            return self._derived(item, payload)

        if meaning not in _PASSIVE:
            if item.question is not None:
                request, execution = item.question
                answer = f"derived: {item.label} follows; the source keeps no answer"
                yield derived(ExecutionInputProvided(
                    request_id=request, response="respond", answer=answer, execution_id=execution))  # fmt: skip
                item.question = None
            if item.suspended and meaning != "resumed":
                yield derived(WorkResumed(reason=f"derived: {item.label} follows"))
                item.suspended = False
            if item.ended is not None and meaning not in _ENDS:
                item.cycle += 1
                reason = f"{item.label} follows {item.ended}"
                if item.ended_at != item.index - 1:
                    reason += f", {BETWEEN}"
                yield derived(WorkReopened(cycle=item.cycle, reason=f"derived: {reason}"))
                item.ended = None

        if team is not None and team_name is not None:
            yield from map(derived, self._move(item, team, team_name, by))
        handover = self.mapping.resource.handover
        takes = handover == "change" or (handover == "start" and self._begins(item, event, meaning))
        before = item.by if handover == "change" else item.holder
        # The same name in another team need not be another person, so that is no handover.
        if takes and by is not None and before is not None and before != by and name != item.name:
            yield derived(HandoverAccepted(handover_id=item.fact, from_=before, to=by))
        if by is not None:
            item.by, item.name = by, name

        yield from self._own(item, event, meaning, rule, by, team)

        if meaning in _ENDS:
            item.ended, item.ended_at = item.label, item.index
            item.running.clear()
            if item.escalation is not None:
                outcome: EscalationOutcome = "work_cancelled" if meaning == "cancelled" else "taken_over"
                note = f"derived: {item.label} at line {item.line}"
                yield derived(EscalationResolved(escalation_id=item.escalation, outcome=outcome, note=note))
                item.escalation = None

    @staticmethod
    def _begins(item: _Item, event: SourceEvent, meaning: Meaning) -> bool:
        """Whether somebody begins with the event, if it is only that what they did is over now."""
        match meaning:
            case "started":
                return True
            case "resumed":
                return not item.suspended
            case "step_completed":
                return _activity(event) not in item.running
            case _:
                return False

    def _own(
        self, item: _Item, event: SourceEvent, meaning: Meaning, rule: Rule | None, by: str | None, team: str | None
    ) -> Iterator[Fact]:
        """The fact that is the event's own, behind what has to be said for it to make sense."""
        id, label = item.fact, item.label
        who: dict[str, Any] = {"by": by, "team": team}
        match meaning:
            case "readied":
                own: msgspec.Struct = WorkReadied(what=label, **who)
            case "assigned":
                assert by is not None
                item.holder = by
                own = WorkAssigned(executor=by, reason=label, team=team)
            case "started":
                assert by is not None
                own = self._started(item, event, by, team)
            case "resumed" if by is not None and self._begins(item, event, meaning):
                own = self._started(item, event, by, team)
            case "resumed":
                item.suspended = False
                own = WorkResumed(reason=label, **who)
            case "progressed" if item.execution is not None:
                own = ExecutionProgressed(execution_id=item.execution, note=label, **who)
            case "progressed" | "note":
                own = NoteAdded(text=label, **who)
            case "step_completed":
                activity = _activity(event)
                execution = item.running.pop(activity, None)
                if execution is None and by is not None:
                    # Only the end is in the log, so it began at the latest now.
                    yield self._derived(item, self._started(item, event, by, team))
                    execution = item.running.pop(activity)
                own = (
                    ExecutionProgressed(execution_id=execution, percent=100.0, note=label, **who)
                    if execution is not None
                    else NoteAdded(text=label, **who)
                )
            case "waits":
                assert rule is not None and rule.party is not None
                self._party(item, rule.party)
                item.question = (id, item.execution or id)
                own = ExecutionInputRequired(
                    execution_id=item.question[1], request_id=id, from_=rule.party, question=label, **who
                )
            case "suspended":
                item.suspended = True
                own = WorkSuspended(reason=label, **who)
            case "released":
                item.holder = None
                own = ClaimReleased(claim_id=item.id, candidates=(team,) if team else (), reason=label, **who)
            case "submitted":
                own = WorkSubmitted(note=label, **who)
            case "completed":
                own = WorkCompleted(cycle=item.cycle, note=label, **who)
            case "failed":
                own = WorkFailed(reason=label, **who)
            case "cancelled":
                own = WorkCancelled(reason=label, **who)
        yield Fact(self._body(item, own, id), False)

    def _started(self, item: _Item, event: SourceEvent, by: str, team: str | None) -> ExecutionStarted:
        activity = _activity(event)
        item.execution = item.running[activity] = item.fact
        item.holder = by
        step = activity if is_token(activity) and not self.mapping.resource.keyed_by_team else None
        return ExecutionStarted(execution_id=item.fact, executor=by, step_id=step, team=team)

    def _move(self, item: _Item, team: str, name: str, by: str | None) -> Iterator[msgspec.Struct]:
        """What it means that the work lies with this team now: up a support line it was escalated."""
        line = self._line(name)
        if item.team is not None and team != item.team:
            raised_by = item.by or by or item.team
            if line > item.line and item.escalation is None:
                summary = f"derived: moved from support line {item.line} to line {line}, team {name}"
                item.escalation, item.rung = item.fact, line
                yield WorkEscalated(
                    escalation_id=item.fact,
                    reason="exception",
                    raised_by=raised_by,
                    context=EscalationContext(summary=summary),
                )
            elif line > item.line and item.escalation is not None and line > item.rung:
                yield EscalationAdvanced(escalation_id=item.escalation, from_=item.rung, to=line, cause="manual")
                item.rung = line
            elif line < item.line and item.escalation is not None:
                note = f"derived: went back from support line {item.line} to line {line}"
                yield EscalationResolved(escalation_id=item.escalation, outcome="returned", note=note)
                item.escalation = None
        item.team, item.line = team, line

    def _turn_to(self, item: _Item, trace: Trace, event: SourceEvent) -> None:
        """Set the place and the time of what is said next."""
        time = event.time
        item.extra = b""
        if time is None:
            self.without_time += 1
            if not self._logical:
                raise Unmapped(
                    self._place(trace, event),
                    "there is no time:timestamp",
                    "import it with --logical-time, which counts events and says so, or add the times",
                )
            time = item.time + TICK if item.time is not None else EPOCH
            item.extra = b'"timebasis":"logical",'
        item.index, item.derived, item.time = event.index, 0, time

    def _meaning(self, trace: Trace, event: SourceEvent) -> tuple[Meaning, Rule | None]:
        attributes = event.attributes
        key = tuple(str(attributes.get(name, "")).strip().casefold() for name in self._deciding)
        if key not in self._rules:
            self._rules[key] = self._rule(dict(zip(self._deciding, key, strict=True)))
        rule = self._rules[key]
        if rule is not None:
            return rule.means, rule
        if self.mapping.otherwise is None:
            said = ", ".join(f"{name} {str(attributes.get(name, ''))[:80]!r}" for name in self._deciding)
            raise Unmapped(self._place(trace, event), f"no rule of the mapping fits {said}", "add one, or `otherwise`")
        return self.mapping.otherwise, None

    def _rule(self, values: dict[str, str]) -> Rule | None:
        for rule in self.mapping.rules:
            if all(values[name] == value.strip().casefold() for name, value in rule.when.items()):
                return rule
        return None

    def _place(self, trace: Trace, event: SourceEvent) -> str:
        named = trace.attributes.get(self.mapping.item.attribute)
        return (
            f"{self.name}, trace index {trace.index}{f' ({str(named)[:80]!r})' if named is not None else ''}, "
            f"event index {event.index}"
        )

    # ---- facts

    def _derived(self, item: _Item, payload: msgspec.Struct) -> Fact:
        item.derived += 1
        return Fact(self._body(item, payload, f"{item.fact}.{item.derived}"), True)

    def _body(self, item: _Item, payload: msgspec.Struct, id: str) -> bytes:
        event = codec.event(payload, id=id, source=self.uri, subject=f"work/{item.id}", time=item.time)
        return _encoded(event, item.extra)

    # ---- identifiers

    def _item_name(self, name: str) -> str:
        return self.mapping.item.id.replace("{source}", self.source).replace("{case}", name)

    def _item_id(self, name: str) -> str:
        text = self._item_name(name)
        id = text if is_token(text) and len(text) <= ITEM_CHARACTERS_MAX else identifier(text, 36)
        # A log may have two cases of one name: they are two items.
        number = 2
        once_more = id
        while once_more in self._items:
            once_more = f"{id}-{number}"
            number += 1
        self._items.add(once_more)
        return once_more

    def _person(self, item: _Item, name: str, team: str | None) -> str:
        system = self.mapping.systems.get(name)
        key = (name, team if self.mapping.resource.keyed_by_team and system is None else None)
        id = self._people.get(key)
        if id is None:
            _, unit = key
            id = self._people[key] = system or identifier(
                " ".join(filter(None, key)), 40, self.source, name, unit or ""
            )
        kind: ParticipantKind = "system" if system is not None else "human"
        sponsor = self.custodian if system is not None else None
        return self._knows(item, id, lambda: ParticipantRegistered(
            participant_id=id, kind=kind, display_name=name[:200], org_unit=key[1][:200] if key[1] else None,
            sponsor=sponsor))  # fmt: skip

    def _team(self, item: _Item, name: str) -> str:
        id = self._teams.get(name)
        if id is None:
            id = self._teams[name] = identifier(name, 40, self.source, "team", name)
        return self._knows(
            item, id, lambda: ParticipantRegistered(participant_id=id, kind="team", display_name=name[:200])
        )

    def _party(self, item: _Item, id: str) -> None:
        party = self.mapping.parties[id]
        sponsor = self.custodian if party.kind == "system" else None
        self._knows(item, id, lambda: ParticipantRegistered(
            participant_id=id, kind=party.kind, display_name=party.name, external_party=party.name, sponsor=sponsor
        ))  # fmt: skip

    def _knows(self, item: _Item, id: str, registered: Callable[[], ParticipantRegistered]) -> str:
        assert item.time is not None
        known = self._known.get(id)
        if known is None:
            self._known[id] = _Known(registered(), item.time, item.extra)
        elif item.time < known.time:
            known.time, known.extra = item.time, item.extra
        return id

    def _line(self, team: str) -> int:
        return self.mapping.lines.get(team.rpartition(" ")[2], 1)


BETWEEN: Final = "with another status between"
"""What the reason of a reopening says at its end when it does not follow directly on the end of the work."""


def identifier(text: str, length: int, *key: str) -> str:
    """An identifier that reads like `text` and is that of `key`, by default `text` itself, and of nothing else."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:length].rstrip("-")
    digest = blake2b("\0".join(key or (text,)).encode(), digest_size=5).hexdigest()
    return f"{words}-{digest}" if words else digest


def _encoded(event: Event, extra: bytes) -> bytes:
    body = codec.encode(event)
    return b"{" + extra + body[1:] if extra else body


def _text(event: SourceEvent, attribute: str | None) -> str | None:
    value = event.attributes.get(attribute) if attribute is not None else None
    return value if isinstance(value, str) and value else None


def _activity(event: SourceEvent) -> str:
    return str(event.attributes.get("concept:name", ""))
