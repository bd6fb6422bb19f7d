"""Given what happened, when somebody asks, then this is recorded, or refused: tests of rules as sentences.

    story = Story()
    story.given(DefineWork(work_id="W-1", title="Refund", accountable="ana"))
    story.when(StartExecution(work_id="W-1"), by="bot").refused("undelegated-execution")
    story.fact(ExecutionStarted(execution_id="E-1", executor="bot")).finds("undelegated-execution")

It runs the two loops of the services, with the rulebook, over the ledger in memory; its sentences are plain calls. The
cast is there from the start: root (custodian of the ledger), ana, ben and carla (people), bot and scout (agents whose
sponsor is ana), crew (a team) and erp (a system, and the source of facts). What is said of people, processes and
policies comes from house, a source that root gave the word for them.
"""

import asyncio
import atexit
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, get_args

import msgspec

from attorn.contracts import codec, door, subjects
from attorn.contracts.envelope import Event, Recorded
from attorn.contracts.ledger import Ledger
from attorn.contracts.participant import (
    ChangeManager,
    DeactivateParticipant,
    DeclareAbsence,
    ParticipantRegistered,
    RoleGranted,
    SuspendParticipant,
)
from attorn.contracts.policy import PublishPolicy
from attorn.contracts.refusal import Breach, Receipt, Refused
from attorn.contracts.source import RegisterSource
from attorn.projections.directory import KINDS, Directory, fold
from attorn.projections.findings import Findings
from attorn.projections.relations import KINDS as RELATED
from attorn.projections.relations import Relations
from attorn.services.claim import model as claim
from attorn.services.custody import ensure_custodian
from attorn.services.decision import model as decision
from attorn.services.delegation import model as delegation
from attorn.services.dependency import model as dependency
from attorn.services.directory import LiveDirectory
from attorn.services.escalation import model as escalation
from attorn.services.execution import model as execution
from attorn.services.finding import model as disposition
from attorn.services.handover import model as handover
from attorn.services.ledger.memory import MemoryLedger
from attorn.services.outcome import model as outcome
from attorn.services.output import model as output
from attorn.services.participant import model as participant
from attorn.services.policy import model as policy
from attorn.services.process import model as process
from attorn.services.relations import LiveRelations
from attorn.services.review import model as review
from attorn.services.rulebook import RULES
from attorn.services.source import model as source
from attorn.services.transact import Command, Decide, Fact, Streams, record, transact
from attorn.services.work import model as work

T = TypeVar("T")

BEGIN: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
CAST: Final = (
    *(
        ParticipantRegistered(participant_id=id, kind="human", display_name=id.title())
        for id in ("ana", "ben", "carla")
    ),
    *(
        ParticipantRegistered(participant_id=id, kind=kind, display_name=id.title(), sponsor="ana")  # type: ignore[arg-type]
        for id, kind in (("bot", "agent"), ("scout", "agent"), ("erp", "system"))
    ),
    ParticipantRegistered(participant_id="crew", kind="team", display_name="Crew"),
)

HOUSE: Final = RegisterSource(
    source_id="house", uri="/house", custodian="root", speaks_of=("participant", "process", "policy")
)

DECIDERS: Final[dict[type, tuple[str, Decide[Any, Any]]]] = {
    command: (kind, decide)
    for kind, commands, decide in (
        ("work", get_args(work.WorkCommand), work.decide),
        ("work", get_args(dependency.DependencyCommand), dependency.decide),
        ("work", get_args(handover.HandoverCommand), handover.decide),
        ("claim", get_args(claim.ClaimCommand), claim.decide),
        ("", get_args(disposition.FindingCommand), disposition.decide),
        ("work", get_args(delegation.DelegationCommand), delegation.decide),
        ("work", get_args(execution.ExecutionCommand), execution.decide),
        ("work", get_args(output.OutputCommand), output.decide),
        ("work", get_args(decision.DecisionCommand), decision.decide),
        ("work", get_args(review.ReviewCommand), review.decide),
        ("work", get_args(escalation.EscalationCommand), escalation.decide),
        ("participant", get_args(participant.ParticipantCommand), participant.decide),
        ("process", get_args(process.ProcessCommand), process.decide),
        ("policy", (PublishPolicy,), policy.decide),
        ("source", (RegisterSource,), source.decide),
        ("outcome", get_args(outcome.OutcomeCommand), outcome.decide),
    )
    for command in commands
}
"""Each command with the kind of stream that it is about, and what decides it."""


OVER_OTHERS: Final = (SuspendParticipant, DeactivateParticipant, ChangeManager, DeclareAbsence)

_loop: Final = asyncio.new_event_loop()
atexit.register(_loop.close)


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, from outside any event loop."""
    return _loop.run_until_complete(work)


class PromptDirectory(LiveDirectory):
    """A directory that reads what is new when it is asked to catch up, and not before."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.relations = PromptRelations(ledger, self.view.relations)
        self._log = ledger

    async def catch_up(self, timeout: float = 10.0) -> bool:
        before = self.view.position
        async with aclosing(self._log.follow(after=before, kinds=KINDS)) as pages:
            async for page in pages:
                for recorded in page.recorded:
                    self.view.evolve(recorded)
                if not page.pending:
                    break
        return self.view.position > before


class PromptRelations(LiveRelations):
    """Relations that read what is new when they are asked to catch up, and not before."""

    def __init__(self, ledger: Ledger, view: Relations) -> None:
        super().__init__(ledger, view)
        self._log = ledger

    async def catch_up(self, timeout: float = 10.0) -> None:
        async with aclosing(self._log.follow(after=self.position, kinds=RELATED)) as pages:
            async for page in pages:
                for recorded in page.recorded:
                    self.view.evolve(recorded)
                    self.position = recorded.position
                if not page.pending:
                    break


class Story:
    def __init__(self, cast: Sequence[msgspec.Struct] = CAST) -> None:
        self.ledger = MemoryLedger()
        self.directory = PromptDirectory(self.ledger)
        self.streams = Streams(self.ledger, RULES, self.directory)
        self.now = BEGIN
        self._asked = 0
        assert at_once(ensure_custodian(self.ledger, "root", "Root", BEGIN))
        self.given(HOUSE, by="root")
        for member in cast:
            self.fact(member).finds_nothing()

    # ---- sentences

    def given(self, *messages: msgspec.Struct, by: str | None = None, on: str = "work/W-1") -> "Story":
        """All of this has happened: commands were carried out for `by`, events were recorded as facts about `on`."""
        for message in messages:
            if type(message) in DECIDERS:
                outcome = self.when(message, by=by)
                assert outcome.receipt is not None, f"{message} was refused: {outcome.breaches}"
            else:
                self.fact(message, on=on)
        return self

    def when(self, message: msgspec.Struct, by: str | None = None, id: str | None = None) -> "Asked":
        """`by` gives this command: ana where nobody is named, root what only who is over somebody may say."""
        by = by or ("root" if isinstance(message, OVER_OTHERS) else "ana")
        kind, decide = DECIDERS[type(message)]
        stream = subjects.named(kind, getattr(message, message.__struct_fields__[0]))
        self._asked += 1
        command = Command(
            stream=stream,
            body=message,
            actor=by,
            at=self._tick(),
            id=id or f"c-{self._asked}",
            source=f"/attorn/participant/{by}",
        )
        before = self.log()
        at_once(self.directory.relations.catch_up())
        try:
            return Asked(self, before, at_once(transact(self.streams, command, decide)), ())
        except Refused as refused:
            return Asked(self, before, None, refused.breaches)

    def fact(
        self, payload: msgspec.Struct, *, on: str = "work/W-1", source: str | None = None, id: str | None = None,
        at: datetime | None = None,
    ) -> "Told":  # fmt: skip
        """`source` reports that this happened: where nobody is named, who may speak of what it is about."""
        if isinstance(payload, ParticipantRegistered):
            on = f"participant/{payload.participant_id}"
        if source is None:
            source = "house" if on.partition("/")[0] in HOUSE.speaks_of else "erp"  # type: ignore[operator]
        self._asked += 1
        event = codec.event(
            payload, id=id or f"f-{self._asked}", source=f"/{source}", subject=on, time=at or self._tick()
        )
        body = codec.encode(event)
        before = self.log()
        at_once(self.directory.relations.catch_up())
        [reply] = at_once(record(self.streams, [Fact(event=door.fact(body), body=body, source=source)]))
        return Told(self, before, reply)

    def later(self, **time: float) -> "Story":
        """So much time goes by."""
        self.now += timedelta(**time)
        return self

    def granted(self, id: str, role: str) -> "Story":
        self.fact(RoleGranted(role=role), on=f"participant/{id}")  # type: ignore[arg-type]
        return self

    # ---- what is true now

    def log(self) -> list[Recorded]:
        """Every event so far, in order."""

        async def everything() -> list[Recorded]:
            found: list[Recorded] = []
            async with aclosing(self.ledger.follow()) as pages:
                async for page in pages:
                    found += page.recorded
                    if not page.pending:
                        break
            return found

        return at_once(everything())

    def state(self, stream: str = "work/W-1") -> Any:
        """What the rules go by: what is cached, which is what a fold of the ledger yields."""
        cached, folded = at_once(self.streams.load(stream)), self.folded(stream)
        assert cached.state == folded, f"{stream} is cached as {cached.state}, and folds to {folded}"
        return folded

    def folded(self, stream: str) -> Any:
        """The state of a stream, folded anew from the ledger."""
        rules, people = self.streams.rules(stream), self.people() if stream.partition("/")[0] in KINDS else None
        state = rules.initial
        for recorded in at_once(self.ledger.read(stream)):
            if people is None or people.hears(recorded.event, recorded.position):
                state = rules.evolve(state, recorded.event)
        return state

    def people(self) -> Directory:
        """The directory, folded anew from the ledger."""
        return fold(self.log())

    def answers(self, work: str = "W-1") -> str | None:
        """Who answers for a work item."""
        person: str | None = self.state(f"work/{work}").answers(self.people()).person
        return person

    def findings(self) -> dict[int, set[str]]:
        """The rules that each position broke, folded by the view of findings."""
        directory, rows = Directory(), dict[str, Any]()
        view = Findings(RULES, directory)
        for recorded in self.log():
            for key in view.keys(recorded):
                rows[key] = view.apply(rows.get(key), recorded, key)
            directory.evolve(recorded)
        found: dict[int, set[str]] = {}
        for row in rows.values():
            for finding in row.findings:
                found.setdefault(finding.position, set()).add(finding.rule)
        return found

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class Asked:
    """What became of a command."""

    def __init__(
        self, story: Story, before: Sequence[Recorded], receipt: Receipt | None, breaches: tuple[Breach, ...]
    ) -> None:
        self.story, self.receipt, self.breaches = story, receipt, breaches
        self.recorded = [recorded.event for recorded in story.log()[len(before) :]]

    @property
    def rules(self) -> set[str]:
        return {breach.rule for breach in self.breaches}

    def then(self, *expected: type | msgspec.Struct | Callable[[Event], bool]) -> Story:
        """It was carried out, and these events, or events of these types, were recorded, in this order."""
        assert self.receipt is not None, f"refused: {self.breaches}"
        payloads = [event.data for event in self.recorded]
        assert len(payloads) == len(expected), payloads
        for payload, wanted in zip(payloads, expected, strict=True):
            assert type(payload) is wanted if isinstance(wanted, type) else payload == wanted, payload
        return self.story

    def then_nothing(self) -> Story:
        """It was so already: a receipt, and nothing was recorded."""
        assert self.receipt is not None, f"refused: {self.breaches}"
        assert self.recorded == []
        return self.story

    def refused(self, *rules: str) -> Story:
        """It was refused by these rules among others, in sentences, and nothing was recorded."""
        assert self.receipt is None, f"carried out: {self.recorded}"
        assert set(rules) <= self.rules, self.breaches
        assert self.recorded == []
        assert all(len(breach.detail.split()) >= 3 for breach in self.breaches), self.breaches
        return self.story

    def refused_only(self, *rules: str) -> Story:
        """It was refused by just these rules."""
        assert self.rules == set(rules), self.breaches
        return self.refused(*rules)


class Told:
    """What became of a fact."""

    def __init__(self, story: Story, before: Sequence[Recorded], reply: Receipt | Refused) -> None:
        self.story, self.reply = story, reply
        self.recorded = [recorded.event for recorded in story.log()[len(before) :]]

    @property
    def receipt(self) -> Receipt:
        assert isinstance(self.reply, Receipt), self.reply
        return self.reply

    @property
    def warned(self) -> set[str]:
        return {breach.rule for breach in self.receipt.warnings}

    def finds(self, *rules: str) -> Story:
        """It was recorded, with these rules among its warnings, and among the findings at its position."""
        assert len(self.recorded) == 1
        assert set(rules) <= self.warned, self.receipt.warnings
        assert self.story.findings().get(self.receipt.position, set()) == self.warned
        return self.story

    def finds_only(self, *rules: str) -> Story:
        assert self.warned == set(rules), self.receipt.warnings
        return self.finds(*rules)

    def finds_nothing(self) -> Story:
        """It was recorded, and it broke no rule."""
        return self.finds_only()

    def conflicts(self) -> Story:
        """It was not recorded: its id means other bytes."""
        assert isinstance(self.reply, Refused), self.reply
        assert [breach.rule for breach in self.reply.breaches] == ["conflict"]
        assert self.recorded == []
        return self.story
