"""Imports the runs of an agent as tau-bench keeps them, as facts, through attorn.client.

    report = await run(Path("gpt-4o-airline.json.gz"), attorn, custodian="ana")

The format is that of tau-bench's historical trajectories: a JSON array of runs, each with `task_id`, `trial`, `reward`,
the messages of the dialogue (`traj`) and the reference solution (`info.task.actions`). One run is one work item:

- a call of a tool is an action; its digest is of the arguments as the agent wrote them, byte for byte;
- `transfer_to_human_agents` is an escalation, its summary the context; that it was taken is its resolution;
- the reward is a verdict of a rule on the output, the dialogue itself;
- whether the reference hands over to a human is a second verdict: passed when the agent did the same.

There are no times in the data. They are logical: the runs follow each other by the hour, the messages of a run by the
second; each item has a note that says so.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from attorn.client.attorn import Attorn
from attorn.contracts import codec
from attorn.contracts.context import NoteAdded
from attorn.contracts.envelope import Event
from attorn.contracts.escalation import EscalationContext, EscalationResolved, WorkEscalated
from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted, WorkExecuted
from attorn.contracts.output import Output, OutputValidated
from attorn.contracts.participant import Model, ParticipantRegistered
from attorn.contracts.refusal import Problem, Receipt, Unreadable
from attorn.contracts.source import RegisterSource

Progress = Callable[[str, int, int], None]

SOURCE: Final = "tau-bench"
AGENT: Final = "gpt-4o-airline"
TRANSFER: Final = "transfer_to_human_agents"
WRITES: Final = frozenset(
    {
        "book_reservation",
        "cancel_reservation",
        "send_certificate",
        "update_reservation_baggages",
        "update_reservation_flights",
        "update_reservation_passengers",
    }
)
"""The tools of the airline domain that change something."""

REWARD: Final = "reward"
HANDOVER: Final = "hands-over-as-the-reference"
"""The two criteria of a run: that it reached the state that it should, and that it asked a human when it should."""

BEGIN: Final = datetime(2024, 5, 15, 20, tzinfo=UTC)
"""What the agent's instructions call now, in UTC."""

LOGICAL: Final = "Times are logical: the data has none. Runs follow each other by the hour, messages by the second."
BATCH: Final = 500


class Call(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True):
    function: Call


class Message(msgspec.Struct, frozen=True):
    role: str
    content: str | None = None
    tool_calls: list[ToolCall] | None = None


class Step(msgspec.Struct, frozen=True):
    name: str


class Task(msgspec.Struct, frozen=True):
    actions: list[Step]


class Info(msgspec.Struct, frozen=True):
    task: Task


class Trial(msgspec.Struct, frozen=True):
    """One run: a task, tried for the `trial`-th time, its dialogue, and what it was worth."""

    task_id: int
    trial: int
    reward: float
    traj: list[Message]
    info: Info


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did: each of `facts` was `recorded`, or was `there` already."""

    source: str
    runs: int
    facts: int
    recorded: int
    there: int
    problems: tuple[str, ...]


def read(path: Path) -> list[Trial]:
    """The runs in the file, plain or gzip. Raises Unreadable, naming the place."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return msgspec.json.decode(data, type=list[Trial])
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"cannot be read: {error}", str(path)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"is not a list of runs of tau-bench: {error}", str(path)) from error


async def run(path: Path, attorn: Attorn, *, custodian: str, progress: Progress | None = None) -> Report:
    """Import the runs at `path`; `custodian` answers for them, since nobody in the data does.

    Nothing is recorded of a file that cannot be read to its end. Imported again, nothing is recorded twice.
    Raises Unreadable, Refused, Unavailable.
    """
    runs = read(path)
    said = [fact for number, each in enumerate(runs) for fact in facts(each, number)]
    await attorn.tell(RegisterSource(source_id=SOURCE, uri=f"/{SOURCE}", custodian=custodian))
    head = (await attorn.ask_at("status")).result["head"] or 0
    answers = await attorn.publish_all([_envelope("agent", f"participant/{AGENT}", BEGIN, _agent(custodian))])
    for start in range(0, len(said), BATCH):
        answers += await attorn.publish_all(said[start : start + BATCH])
        if progress is not None:
            progress("recording", min(start + BATCH, len(said)), len(said))
    receipts = [answer for answer in answers if isinstance(answer, Receipt)]
    recorded = sum(receipt.position > head for receipt in receipts)
    return Report(
        source=SOURCE,
        runs=len(runs),
        facts=len(answers),
        recorded=recorded,
        there=len(receipts) - recorded,
        problems=tuple(answer.detail for answer in answers if isinstance(answer, Problem)),
    )


def facts(run: Trial, number: int) -> Iterator[Event]:
    """What one run means, in order; `number` is its place in the file."""
    item, begin = f"tau-{run.task_id}-{run.trial}", BEGIN + timedelta(hours=number)
    execution, dialogue = f"E-{run.task_id}-{run.trial}", _digest(msgspec.json.encode(run.traj))
    output = Output(output_id="dialogue", dig=dialogue, name="dialogue", contribution="ai")

    def at(second: int, index: int, payload: msgspec.Struct) -> Event:
        return _envelope(f"{item}-{second}-{index}", f"work/{item}", begin + timedelta(seconds=second), payload)

    model = Model(provider="openai", name="gpt-4o")
    yield at(0, 0, ExecutionStarted(execution_id=execution, executor=AGENT, model=model))
    yield at(0, 1, NoteAdded(text=LOGICAL))
    handed_over = False
    for second, message in enumerate(run.traj):
        for index, call in enumerate(message.tool_calls or ()):
            result = run.traj[second + 1].content or "" if second + 1 < len(run.traj) else ""
            yield at(second, 2 * index, _action(execution, f"a{second}-{index}", call.function, result))
            if call.function.name == TRANSFER and not handed_over:
                handed_over = True
                yield at(second, 2 * index + 1, _escalation(call.function))
    end = len(run.traj)
    yield at(end, 0, WorkExecuted(execution_id=execution, result="completed", outputs=(output,)))
    if handed_over:
        # The simulation takes every transfer, and the dialogue is over with it.
        taken = EscalationResolved(escalation_id="X-1", outcome="taken_over", note="Transfer successful.")
        yield at(end, 1, taken)
    wanted = any(step.name == TRANSFER for step in run.info.task.actions)
    for index, (criterion, passed) in enumerate(((REWARD, run.reward == 1), (HANDOVER, handed_over == wanted)), 2):
        verdict = OutputValidated(
            output_id="dialogue",
            criterion_id=criterion,
            result="passed" if passed else "failed",
            method="rule",
            output_dig=dialogue,
        )
        yield at(end, index, verdict)


def _action(execution: str, id: str, call: Call, result: str) -> ExecutionActionRecorded:
    failed = result.startswith("Error")
    return ExecutionActionRecorded(
        execution_id=execution,
        action_id=id,
        tool=call.name,
        args_dig=_digest(call.arguments.encode()),
        target=_target(_arguments(call)),
        side_effect=call.name in WRITES,
        result="failed" if failed else "succeeded",
        error_class=_class(result) if failed else None,
    )


def _escalation(call: Call) -> WorkEscalated:
    summary = str(_arguments(call).get("summary") or "The agent handed over and did not say why.")
    return WorkEscalated(
        escalation_id="X-1",
        reason="out_of_scope",
        raised_by=AGENT,
        severity="medium",
        context=EscalationContext(summary=summary, question="Can a human agent take over?"),
    )


def _arguments(call: Call) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(call.arguments)
    except msgspec.DecodeError:  # what a model writes need not be JSON; its digest stands all the same
        return {}
    return found if isinstance(found, dict) else {}


def _target(arguments: Mapping[str, Any]) -> str | None:
    # What is written to is the reservation, or the user where there is none yet.
    for name in ("reservation_id", "user_id"):
        if isinstance(found := arguments.get(name), str):
            return f"{name.removesuffix('_id')}/{found}"
    return None


def _class(result: str) -> str:
    """`Error: payment method not found` as a word: payment-method-not-found, without the values in it."""
    words = re.findall(r"[a-z]+", re.sub(r"\S*[\d_]\S*", "", result.removeprefix("Error:")).lower())
    return "-".join(words)[:64] or "error"


def _agent(custodian: str) -> ParticipantRegistered:
    return ParticipantRegistered(
        participant_id=AGENT,
        kind="agent",
        display_name="GPT-4o, airline",
        sponsor=custodian,
        model=Model(provider="openai", name="gpt-4o"),
    )


def _envelope(id: str, subject: str, time: datetime, payload: msgspec.Struct) -> Event:
    return codec.event(payload, id=id, source=f"/{SOURCE}", subject=subject, time=time)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
