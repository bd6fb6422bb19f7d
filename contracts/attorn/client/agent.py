"""Working as an agent: take what is entrusted to one, say what one does, ask, hand in.

    async with connect(participant="refunds-bot") as attorn:
        async for task in Agent(attorn).tasks():               # accepted and started
            async with task:                                   # failed when the block raises; then comes the next
                found = await look_up(task.work)
                await task.act("lookup", target=found.uri)
                answer = await task.ask("ana", "Refund in full?", kind="approval")
                await task.hand_in(Output(output_id="letter", dig=found.dig), confidence=0.9)

An agent that is killed is given the same task again, and one that may not begin now is given it when it may.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final

import msgspec

from attorn.client.attorn import Attorn
from attorn.client.feed import ACK_WAIT_S, Held
from attorn.client.task import LOOK_S, Task
from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.output import Output
from attorn.contracts.refusal import Refused, Unavailable, Unreadable

log = logging.getLogger("attorn.agent")

DELEGATED: Final = "attorn.feed.work.delegated.>"

PUT_OFF_S: Final = 1.0
PUT_OFF_S_MAX: Final = 30.0
"""What cannot begin is tried again after a second, then after twice as long each time, up to so many."""

REST_S: Final = 600.0
"""How long what is over, and was found by looking, is not looked at again: work that has ended may be reopened."""

ASK_S: Final = 3.0
PAGE: Final = 1_000


class _PutOff(msgspec.Struct):
    """A task for later; `rules` are those that it was put off for, and `due` is by the clock of the event loop."""

    task: Task
    pause_s: float
    due: float
    rules: tuple[str, ...]


class Agent:
    """One participant that carries out what is delegated to it, one task after the other.

    `durable` is the consumer that remembers what was handed out; another name begins with all that is on the feed.
    Where a broker with permissions lets nobody make consumers, the administrator makes it (deploy/nats/consumer.py,
    filter DELEGATED), and another, `<durable>-answers`, with the filters attorn.client.task.HEARD. Then one process of
    the agent runs at a time: two would take each other's answers.
    """

    def __init__(self, attorn: Attorn, *, durable: str = "") -> None:
        self.attorn = attorn
        self.durable = durable or f"agent-{attorn.participant}"
        self._put_off: dict[str, _PutOff] = {}
        self._rests: dict[str, float] = {}

    async def tasks(self) -> AsyncGenerator[Task, None]:
        """What is delegated to this participant and may be worked on, each until its block has ended; without end.

        What is refused to begin (the agent or the work is suspended, it is not ready, waits for other work or for an
        escalation) comes when it may. Raises Unavailable when the connection is closed for good.
        """
        async with aclosing(self._offered()) as offered:
            async for task in offered:
                async with _kept(task.held):
                    begun = await task.begin()
                    if begun:
                        yield task
                await self._end(task, begun=begun)

    async def _offered(self) -> AsyncGenerator[Task, None]:
        """What the feed hands out, and in between what was put off, or was left and is handed out no more."""
        clock, look_at, is_first = asyncio.get_running_loop().time, 0.0, True
        async with aclosing(self.attorn.turns(self.durable, DELEGATED)) as turns:
            async for held in turns:
                if held is not None:
                    terms = held.delivered.event.data
                    if isinstance(terms, WorkDelegated) and terms.delegate == self.attorn.participant:
                        yield self._handed_out(held, terms)
                    else:
                        await held.done()
                for each in [each for each in self._put_off.values() if each.task.held is None]:
                    if each.due <= clock():
                        yield each.task
                if clock() >= look_at:
                    left: list[Task] = []
                    # Without the views there is what the feed hands out.
                    with suppress(Unavailable, Refused, Unreadable):
                        left, is_first = await self._left(is_first=is_first), False
                    for task in left:
                        yield task
                    look_at = clock() + LOOK_S

    def _handed_out(self, held: Held, terms: WorkDelegated) -> Task:
        work = held.delivered.stream.partition("/")[2]
        task = self._task(work, terms, held=held)
        before = self._put_off.get(task.key)
        if before is None:
            return task
        before.task.held = held
        return before.task

    def _task(self, work: str, terms: WorkDelegated, **more: Any) -> Task:
        return Task(self.attorn, work, terms, answers=f"{self.durable}-answers", **more)

    async def _left(self, *, is_first: bool) -> list[Task]:
        """What is entrusted to this agent, was acknowledged to the broker, and yet was never begun.

        So it is with what the feed keeps no more, and with work that is reopened; and, where nobody looked yet, with
        what was begun so and left by an agent that was killed.
        """
        me, now = self.attorn.participant, asyncio.get_running_loop().time()
        made = await self.attorn.durable(self.durable)
        if made is None or made.ack_floor is None:
            return []
        # What is behind this is with the broker still, which hands it out, to one process of the agent at a time.
        upto = made.ack_floor.stream_seq or 0
        idle: list[dict[str, Any]] = []
        for state in ("granted", "accepted"):
            # What descends from one that rests, or is over, does so too.
            idle += [d for d in await self._listed(upto, delegate=me, state=state) if d["state"] == state]
        running = await self._running(upto) if is_first else []
        self._rests = {key: until for key, until in self._rests.items() if until > now}
        tasks: dict[str, Task] = {}
        for each in (*idle, *running):
            if each["granted_position"] > upto:
                continue
            said = {"delegation_id": each["delegation"], "parent_id": each.get("parent")}
            said |= {name: each[name] for name in ("delegator", "delegate")} | each.get("terms", {})
            # What nobody had begun a moment ago, and runs when it is begun here, is another process's.
            task = self._task(each["work"], msgspec.convert(said, WorkDelegated), resumes=each in running)
            if task.key not in self._rests and task.key not in self._put_off:
                tasks[task.key] = task
        return list(tasks.values())

    async def _running(self, upto: int) -> list[dict[str, Any]]:
        """The delegations under which this agent began what is not over."""
        found, after = [], ""
        while True:
            page = await self._ask("holding", participant=self.attorn.participant, after=after, limit=PAGE)
            for each in page.get("holdings", ()):
                work, id = each.get("work"), each.get("delegation_id")
                if work is None or id is None:
                    continue
                begun = await self._ask("timeline", work=work, type=ExecutionStarted.type, limit=PAGE)
                # Only what was begun by this client: what was begun by other means is nothing that it could go on with.
                if any(told["reference"] == f"E-{id}"[:64] for told in begun.get("events", ())):
                    found += [d for d in await self._listed(upto, work=work) if d["delegation"] == id]
            after = page.get("next")
            if after is None:
                return found

    async def _listed(self, upto: int, **which: str) -> list[dict[str, Any]]:
        """Delegations, as of `upto` or later."""
        found, after = list[dict[str, Any]](), ""
        while True:
            page = await self._ask("delegations", after=after, limit=PAGE, wait_for=upto or None, **which)
            found += page.get("delegations", ())
            after = page.get("next")
            if after is None:
                return found

    async def _ask(self, question: str, **parameters: Any) -> Any:
        # Nothing is taken from the feed meanwhile, so views that are away are not waited for long.
        return await self.attorn.ask(question, timeout=ASK_S, **parameters)

    async def _end(self, task: Task, *, begun: bool) -> None:
        """The block of a task has ended, or was not begun: acknowledge it, or have it come again."""
        before, clock = self._put_off.pop(task.key, None), asyncio.get_running_loop().time
        why = task.put_off
        if why is None:
            if begun and not task.over:
                log.warning("the block of %s has ended, and handed nothing in", task.key)
            if task.held is None:
                self._rests[task.key] = clock() + REST_S
            await task.let_go()
            return
        pause = min(2 * before.pause_s, PUT_OFF_S_MAX) if before is not None else PUT_OFF_S
        rules = tuple(breach.rule for breach in why.breaches) if isinstance(why, Refused) else ("unavailable",)
        if before is None or before.rules != rules:
            log.warning("%s is put off, and tried again at least every %d s: %s", task.key, PUT_OFF_S_MAX, why)
        self._put_off[task.key] = _PutOff(task, pause, clock() + pause, rules)
        await task.let_go(pause)


@asynccontextmanager
async def _kept(held: Held | None) -> AsyncIterator[None]:
    """Keep the broker from handing it out again while the block runs."""

    async def say() -> None:
        while held is not None:
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
