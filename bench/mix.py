"""A log as an organisation would write it: people and agents join, and work of every kind goes its way, much at once.

Items are open beside each other, each goes through its states in order, and is told of in the order of the log: so the
events of one item stand far apart, as they do in life. Everything follows from its number; no two runs differ.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from attorn.contracts import codec
from attorn.contracts.context import NoteAdded
from attorn.contracts.delegation import DelegationAccepted, WorkDelegated
from attorn.contracts.envelope import Entry
from attorn.contracts.escalation import (
    EscalationAcknowledged,
    EscalationContext,
    EscalationResolved,
    WorkEscalated,
)
from attorn.contracts.execution import (
    ExecutionActionRecorded,
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionProgressed,
    ExecutionStarted,
    WorkExecuted,
)
from attorn.contracts.ids import Pinned
from attorn.contracts.output import Output
from attorn.contracts.participant import ParticipantRegistered
from attorn.contracts.process import ProcessPublished
from attorn.contracts.review import ReviewRequested, WorkReviewed
from attorn.contracts.work import WorkAssigned, WorkCompleted, WorkDefined, WorkReadied, WorkSubmitted, WorkVerified

PEOPLE: Final = 200
AGENTS: Final = 50
PROCESSES: Final = 5
OPEN: Final = 400
"""How many items are under way at once."""

BEGIN: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)

Told: TypeAlias = tuple[str, msgspec.Struct, str]
"""Stream, payload, and who was authenticated."""


def entries(count: int) -> Iterator[Entry]:
    """`count` events, ready to append, in the order in which they are to be recorded."""
    return sealed(islice(_events(), count))


def sealed(told: Iterable[Told]) -> Iterator[Entry]:
    """What is told as it is appended, one second after the other."""
    versions: dict[str, int] = {}
    for number, (stream, payload, by) in enumerate(told):
        version = versions[stream] = versions.get(stream, 0) + 1
        event = codec.event(
            payload,
            id=f"e-{number}",
            source="/bench",
            subject=stream,
            time=BEGIN + timedelta(seconds=number),
            authid=by,
            authtype="service_account" if by.startswith("bot-") else "user",
        )
        yield codec.seal(event, version)


def _events() -> Iterator[Told]:
    for n in range(PEOPLE):
        yield (
            f"participant/p-{n}",
            ParticipantRegistered(
                participant_id=f"p-{n}", kind="human", display_name=f"Person {n}", org_unit=f"Unit {n % 12}"
            ),
            "p-0",
        )
    for n in range(AGENTS):
        yield (
            f"participant/bot-{n}",
            ParticipantRegistered(participant_id=f"bot-{n}", kind="agent", display_name=f"Agent {n}", sponsor=f"p-{n}"),
            "p-0",
        )
    for n in range(PROCESSES):
        published = ProcessPublished(version=1, owner=f"p-{n}", purpose="Orders are refunded, or it is said why not.")
        yield f"process/flow-{n}", published, f"p-{n}"
    under_way: deque[Iterator[Told]] = deque()
    begun = 0
    while True:
        while len(under_way) < OPEN:
            under_way.append(iter(_item(begun)))
            begun += 1
        # One step of one item after the other; now and then two of the same at once.
        item = under_way.popleft()
        for _ in range(1 + begun % 2):
            told = next(item, None)
            if told is None:
                break
            yield told
        else:
            under_way.append(item)


def _item(n: int) -> Sequence[Told]:
    """The way of one item, some 16 to 26 events."""
    stream, answers, bot, reviewer = f"work/W-{n}", f"p-{n % PEOPLE}", f"bot-{n % AGENTS}", f"p-{(n * 7 + 1) % PEOPLE}"
    dig = f"sha256:{n:064x}"
    told: list[Told] = [
        (stream, WorkDefined(
            title=f"Refund order {4_711 + n}", accountable=answers,
            process=Pinned(id=f"flow-{n % PROCESSES}", version=1),
            requirements=("The customer was charged twice and asks for the money back.",),
            due_at=BEGIN + timedelta(days=30, seconds=n)), answers),
        (stream, WorkReadied(), answers),
        (stream, WorkDelegated(
            delegation_id="d-1", delegator=answers, delegate=bot, activities=("ledger.read", "refund"),
            autonomy="act_then_review"), answers),
        (stream, DelegationAccepted(delegation_id="d-1"), bot),
        (stream, WorkAssigned(executor=bot), answers),
        (stream, ExecutionStarted(
            execution_id="x-1", executor=bot, delegation_id="d-1", process_version=1), bot),
    ]  # fmt: skip
    for step in range(3 + n % 5):
        told.append((stream, ExecutionActionRecorded(
            execution_id="x-1", action_id=f"a-{step}", tool="ledger.read", target=f"erp:order/{4_711 + n}",
            side_effect=step == 2), bot))  # fmt: skip
    if n % 3 == 0:
        told.append((stream, ExecutionProgressed(execution_id="x-1", percent=60.0, note="Found both charges."), bot))
    if n % 6 == 0:
        told.append(
            (
                stream,
                ExecutionInputRequired(
                    execution_id="x-1", request_id="q-1", from_=answers, question="Which account is it paid to?"
                ),
                bot,
            )
        )
        answered = ExecutionInputProvided(request_id="q-1", response="respond", by=answers)
        told.append((stream, answered, answers))
    if n % 20 == 0:
        told.append(
            (
                stream,
                WorkEscalated(
                    escalation_id="s-1",
                    reason="manual",
                    raised_by=bot,
                    severity="high",
                    context=EscalationContext(summary="The amount is above what I may pay."),
                ),
                bot,
            )
        )
        told.append((stream, EscalationAcknowledged(escalation_id="s-1", by=answers), answers))
        resolved = EscalationResolved(escalation_id="s-1", outcome="approved", by=answers)
        told.append((stream, resolved, answers))
    if n % 4 == 0:
        told.append((stream, NoteAdded(text="The customer wrote again, and was told that it is on its way."), answers))
    output = Output(output_id="o-1", dig=dig, name="refund.json", media_type="application/json", contribution="ai")
    told += [
        (stream, WorkExecuted(execution_id="x-1", result="completed", outputs=(output,)), bot),
        (stream, ReviewRequested(review_id="r-1", output_id="o-1", output_dig=dig, candidates=(reviewer,)), answers),
        (stream, WorkReviewed(
            review_id="r-1", output_id="o-1", output_dig=dig, verdict="approved", reviewer=reviewer), reviewer),
        (stream, WorkSubmitted(outputs=("o-1",)), bot),
        (stream, WorkVerified(), answers),
        (stream, WorkCompleted(), answers),
    ]  # fmt: skip
    return told
