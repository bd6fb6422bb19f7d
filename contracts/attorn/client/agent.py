"""Working as an agent: take what is entrusted to one, say what one does, ask, hand in.

    async with connect(participant="refunds-bot") as attorn:
        async for task in Agent(attorn).tasks():
            async with task:                                   # accepted and started; failed when the block raises
                found = await look_up(task.work)
                await task.act("lookup", target=found.uri)
                answer = await task.ask("ana", "Refund in full?", kind="approval")
                await task.hand_in(Output(output_id="letter", dig=found.dig), confidence=0.9)

An agent that is killed is given the same task again: the ids of all that it says derive from the delegation and from
the order in which it says it, so what was recorded already is not recorded twice, and a question that was asked is not
asked again.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Final

from attorn.client.attorn import Attorn
from attorn.client.feed import ACK_WAIT_S, Delivered, Held
from attorn.contracts.delegation import AcceptDelegation, WorkDelegated
from attorn.contracts.escalation import EscalateWork, EscalationContext
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionInputProvided,
    ProgressExecution,
    RecordAction,
    RequireInput,
    StartExecution,
)
from attorn.contracts.output import Output
from attorn.contracts.refusal import Receipt, Refused

DELEGATED: Final = "attorn.feed.work.delegated.>"
ANSWERED: Final = "attorn.feed.execution.input_provided"


class Agent:
    """One participant that carries out what is delegated to it, one task after the other.

    `durable` is the consumer that remembers what was handed out; another name begins with all that is on the feed.
    Where a broker with permissions lets nobody make consumers, the administrator makes it (deploy/nats/consumer.py,
    filter DELEGATED), and another, `<durable>-answers`, with the filter ANSWERED and `.>`. Then one process of the
    agent runs at a time: two would take each other's answers.
    """

    def __init__(self, attorn: Attorn, *, durable: str = "") -> None:
        self.attorn = attorn
        self.durable = durable or f"agent-{attorn.participant}"

    async def tasks(self) -> AsyncGenerator["Task", None]:
        """What is delegated to this participant, each until its block has ended; without end."""
        async with aclosing(self.attorn.follow_durably(self.durable, DELEGATED)) as held:
            async for each in held:
                terms = each.delivered.event.data
                if isinstance(terms, WorkDelegated) and terms.delegate == self.attorn.participant:
                    task = Task(self.attorn, each, terms, answers=f"{self.durable}-answers")
                    async with _kept(each):
                        yield task
                    await each.done()
                    # After the task: an agent that is killed before finds its answers again.
                    await task.forget_answers()
                else:
                    await each.done()


class Task:
    """One delegation and the execution under it. As a context it accepts, starts, and says so when the block fails.

    `over` is whether the task can be worked on no more: it was revoked, has expired, or is done. Its block then ends
    with the first thing that is said in it.
    """

    def __init__(self, attorn: Attorn, held: Held, terms: WorkDelegated, answers: str = "") -> None:
        self.attorn, self.terms = attorn, terms
        self._answers, self._heard = answers, list[Held]()
        self.work = held.delivered.stream.partition("/")[2]
        self._held = held
        self.execution_id = f"E-{terms.delegation_id}"[:64]
        self.over = False
        self._said = 0

    async def __aenter__(self) -> "Task":
        try:
            await self._tell(AcceptDelegation(work_id=self.work, delegation_id=self.terms.delegation_id))
            await self._tell(
                StartExecution(
                    work_id=self.work, execution_id=self.execution_id, delegation_id=self.terms.delegation_id
                )
            )
        except Refused:
            # Somebody took it back, or its time was over, before this agent came to it.
            self.over = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, reason: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(reason, Refused) and self.over:
            return True
        if isinstance(reason, Exception) and not self.over:
            failed = ExecuteWork(
                work_id=self.work,
                execution_id=self.execution_id,
                result="failed",
                error_class=type(reason).__name__,
                retryable=True,
            )
            with suppress(Refused):
                await self._tell(failed)
            # It is on the log that it failed, and people decide what follows; the same task is not tried for ever.
            await self._held.done()
        return False

    async def progress(self, percent: int | None = None, note: str = "") -> Receipt:
        """Say how far it has come."""
        return await self._tell(
            ProgressExecution(work_id=self.work, execution_id=self.execution_id, percent=percent, note=note)
        )

    async def act(self, tool: str, *, target: str | None = None, side_effect: bool = False, **more: Any) -> Receipt:
        """Say what is done with a tool; `more` are the other fields of RecordAction.

        Raises Refused beyond the mandate: say it before an effect that may be forbidden, and leave that undone.
        """
        action = RecordAction(
            work_id=self.work,
            execution_id=self.execution_id,
            action_id=self._id("a"),
            tool=tool,
            target=target,
            side_effect=side_effect,
            **more,
        )
        return await self._tell(action)

    async def ask(
        self, whom: str, question: str, *, timeout: float | None = None, **more: Any
    ) -> ExecutionInputProvided:
        """Ask, and wait for the answer: for `timeout` seconds, then TimeoutError; without one, for as long as it takes.

        `more` are the other fields of RequireInput: `kind`, `options`, `respond_by`, `schema`.
        """
        request_id = self._id("q")
        asked = await self._tell(
            RequireInput(
                work_id=self.work,
                execution_id=self.execution_id,
                from_=whom,
                question=question,
                request_id=request_id,
                **more,
            )
        )
        async with asyncio.timeout(timeout), aclosing(self._answered(asked.position)) as answers:
            async for delivered in answers:
                answer = delivered.event.data
                if isinstance(answer, ExecutionInputProvided) and answer.request_id == request_id:
                    return answer
        raise AssertionError("the feed has no end")

    async def _answered(self, after: int) -> AsyncGenerator[Delivered, None]:
        """The answers to what was asked in this work, by the durable consumer for them, where there is one."""
        if not self._answers or not await self.attorn.has_durable(self._answers):
            async with aclosing(self.attorn.follow(f"{ANSWERED}.work.{self.work}", after=after)) as found:
                async for delivered in found:
                    yield delivered
            return
        async with aclosing(self.attorn.follow_durably(self._answers, f"{ANSWERED}.>")) as held:
            async for each in held:
                if each.delivered.stream != f"work/{self.work}":
                    await each.done()
                    continue
                self._heard.append(each)
                yield each.delivered

    async def forget_answers(self) -> None:
        """The task is over, and nobody has to hear its answers again."""
        for each in self._heard:
            await each.done()
        self._heard.clear()

    async def escalate(self, summary: str, question: str, *, reason: str = "exception", **more: Any) -> Receipt:
        """Ask for somebody with more say; `more` are the other fields of EscalateWork: `severity`, `blocking`."""
        return await self._tell(
            EscalateWork(
                work_id=self.work,
                escalation_id=self._id("x"),
                reason=reason,  # type: ignore[arg-type]
                context=EscalationContext(summary=summary, question=question),
                **more,
            )
        )

    async def hand_in(self, *outputs: Output, **more: Any) -> Receipt:
        """It is done, and these came of it; `more` are the other fields of ExecuteWork: `cost`, `confidence`."""
        done = ExecuteWork(
            work_id=self.work, execution_id=self.execution_id, result="completed", outputs=outputs, **more
        )
        receipt = await self._tell(done)
        self.over = True
        return receipt

    async def _tell(self, command: Any) -> Receipt:
        # What is said first is said first again by an agent that was killed and begins anew.
        self._said += 1
        id = f"{self.terms.delegation_id}\0{self._said}\0{type(command).__name__}".encode()
        return await self.attorn.tell(command, id=hashlib.sha256(id).hexdigest()[:40])

    def _id(self, kind: str) -> str:
        return f"{self.execution_id[:52]}-{kind}{self._said + 1}"


@asynccontextmanager
async def _kept(held: Held) -> AsyncIterator[None]:
    """Keep the broker from handing it out again while the block runs."""

    async def say() -> None:
        while True:
            await asyncio.sleep(ACK_WAIT_S / 3)
            await held.working()

    saying = asyncio.create_task(say())
    try:
        yield
    finally:
        saying.cancel()


def outputs(made: Sequence[tuple[str, bytes]]) -> tuple[Output, ...]:
    """An Output each for pairs of an id and its bytes; attorn keeps the digest, you keep the bytes."""
    return tuple(Output(output_id=id, dig=f"sha256:{hashlib.sha256(data).hexdigest()}") for id, data in made)
