"""One task of an agent: a delegation to it, and the execution under it.

The ids of all that it says derive from the delegation and from the order in which it says it, so what was recorded
already is not recorded twice when its block runs again, and a question that was asked is not asked again.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, overload

import msgspec
from uuid_utils import uuid7

from attorn.client.attorn import Attorn
from attorn.client.feed import Delivered, Held
from attorn.contracts.delegation import AcceptDelegation, WorkDelegated
from attorn.contracts.escalation import (
    EscalateWork,
    EscalationAnswered,
    EscalationCancelled,
    EscalationContext,
    EscalationReason,
    EscalationResolved,
)
from attorn.contracts.execution import (
    ExecuteWork,
    ExecutionInputProvided,
    ProgressExecution,
    RecordAction,
    RequireInput,
    StartExecution,
)
from attorn.contracts.messages import Command
from attorn.contracts.output import Output
from attorn.contracts.refusal import Breach, Receipt, Refused, Unavailable, Unreadable

log = logging.getLogger("attorn.agent")

ANSWERED: Final = "attorn.feed.execution.input_provided"
SETTLED: Final = tuple(f"attorn.escalation.*.*.*.{fact}" for fact in ("answered", "resolved", "cancelled"))
HEARD: Final = (f"{ANSWERED}.>", *SETTLED)
"""What is told of what agents have asked: the filters of an agent's consumer for answers."""

LOOK_S: Final = 30.0
"""How often who waits for an answer looks whether there is anything left to wait for."""

OVER: Final = frozenset({"exhausted", "expired", "revoked", "declined"})
"""The states of a delegation under which nothing is begun any more."""

ENDED: Final = frozenset({"completed", "failed", "cancelled", "superseded"})
"""The states of work in which nothing is left to do."""

HALTED: Final = frozenset({"suspended", "blocked", "waiting_input"})
"""The states of work out of which somebody leads back to where it was."""

Said: TypeAlias = tuple[Command, str]
"""A command with the id that it was told under."""

T = TypeVar("T")


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """How an escalation ended, and by whom: `outcome` says what became of the work, or that it was `cancelled`.

    What was decided is one of the options that were offered, or said in words; all is empty where nobody answered.
    """

    outcome: str
    by: str | None = None
    option_id: str | None = None
    decision: str = ""
    instructions: str = ""
    note: str = ""


class _Unsaid(NamedTuple):
    """How a block ended, which could not be said: what it was refused, where it ended so, and that it failed."""

    refused: Said | None
    failed: Said


class _Standing(NamedTuple):
    """How the delegation and its work stand."""

    delegation: str
    work: str

    def why_over(self, over: frozenset[str]) -> str | None:
        """Why nothing can come of it any more, where `over` are the ends of a delegation."""
        if self.work in ENDED:
            return f"the work is {self.work}"
        return f"the delegation is {self.delegation}" if self.delegation in over else None

    def halts(self, rules: frozenset[str]) -> bool:
        """Whether these rules were broken for as long as it rests or waits, and not for good."""
        rests = self.delegation == "suspended" and "delegation-violated" in rules
        return rests or (self.work in HALTED and "illegal-transition" in rules)


class Task:
    """What one delegation entrusts an agent with. As a context it reports what its block raises, and the agent goes on.

    `terms` are those of the delegation, `execution_id` what is done under it. `over` is whether it can be worked on no
    more: it was handed in, has failed, or was taken back. `put_off` is why it is to be worked on later, if it is.
    """

    def __init__(
        self,
        attorn: Attorn,
        work: str,
        terms: WorkDelegated,
        *,
        held: Held | None = None,
        answers: str = "",
        resumes: bool = True,
    ) -> None:
        self.attorn, self.work, self.terms = attorn, work, terms
        self.execution_id = f"E-{terms.delegation_id}"[:64]
        self.over = False
        self.put_off: Refused | Unavailable | Unreadable | None = None
        self.held = held
        self._answers, self._heard = answers, list[Held]()
        # Whether an execution that runs under its name is its own: another process of the agent may have begun it.
        self._resumes = resumes
        self._said = 0
        self._refused: tuple[Refused, Said] | None = None
        self._unsaid: _Unsaid | None = None

    @property
    def key(self) -> str:
        """The delegation, by its work: `W-1/D-1`."""
        return f"{self.work}/{self.terms.delegation_id}"

    async def begin(self) -> bool:
        """Accept it and start, or go on where it was left; whether it may be worked on. If not, see `over`, `put_off`.

        Raises Unavailable only when the connection is closed for good.
        """
        self.over, self.put_off, self._said = False, None, 0
        try:
            if self._unsaid is not None and not await self._say_again():
                return False
            await self._tell(AcceptDelegation(work_id=self.work, delegation_id=self.terms.delegation_id))
            self.over = not await self._start()
        except Refused as refused:
            stands = None if _is_of_the_past(refused) else await self._stands()
            self.over = _is_of_the_past(refused) or (stands is not None and stands.why_over(OVER) is not None)
            self.put_off = None if self.over else refused
        except (Unavailable, Unreadable) as lost:
            self._later(lost)
        return not self.over and self.put_off is None

    async def __aenter__(self) -> "Task":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, reason: BaseException | None, trace: TracebackType | None
    ) -> bool:
        # Who is cancelled, or told to end, ends: the task comes again, as to an agent that was killed.
        if not isinstance(reason, Exception):
            return False
        if isinstance(reason, Unavailable) and self.attorn.nc.is_closed:
            return False
        if self.over:
            log.error("%s was over when its block failed", self.key, exc_info=reason)
        elif isinstance(reason, Unavailable):
            self.put_off = reason
        elif isinstance(reason, Refused) and _is_of_the_past(reason):
            log.warning("%s was taken away from under %s: %s", self.key, self.attorn.participant, reason)
            self.over = True
        elif isinstance(reason, Refused) and await self._rests(reason):
            self._unsaid, self.put_off = self._ended_by(reason), reason
        else:
            log.error("%s has failed: %s: %s", self.key, type(reason).__name__, reason, exc_info=reason)
            await self._fail(reason)
        return True

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

        `more` are the other fields of RequireInput: `kind`, `options`, `respond_by`, `schema`. Raises Refused when the
        task ends meanwhile, since nobody answers then.
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

        def answer(told: Any) -> ExecutionInputProvided | None:
            return told if isinstance(told, ExecutionInputProvided) and told.request_id == request_id else None

        return await self._hear(f"{ANSWERED}.work.{self.work}", asked.position, answer, timeout)

    @overload
    async def escalate(
        self,
        summary: str,
        question: str,
        *,
        reason: EscalationReason = ...,
        blocking: Literal[False] = ...,
        **more: Any,
    ) -> Receipt: ...
    @overload
    async def escalate(
        self,
        summary: str,
        question: str,
        *,
        reason: EscalationReason = ...,
        blocking: Literal[True],
        timeout: float | None = ...,
        **more: Any,
    ) -> Settled: ...
    async def escalate(
        self,
        summary: str,
        question: str,
        *,
        reason: EscalationReason = "exception",
        blocking: bool = False,
        timeout: float | None = None,
        **more: Any,
    ) -> Receipt | Settled:
        """Ask for somebody with more say; `more` are the other fields of EscalateWork, such as `severity`.

        A `blocking` one halts the work: as with `ask`, it is waited for until somebody has settled it, and what they
        decided is returned. Raises Refused when the task ends meanwhile.
        """
        if blocking:
            await self._hears_of_escalations()
        id = self._id("x")
        raised = await self._tell(
            EscalateWork(
                work_id=self.work,
                escalation_id=id,
                reason=reason,
                context=EscalationContext(summary=summary, question=question),
                blocking=blocking,
                **more,
            )
        )
        if not blocking:
            return raised
        said: list[EscalationAnswered] = []

        def end(told: Any) -> Settled | None:
            if getattr(told, "escalation_id", None) != id:
                return None
            if isinstance(told, EscalationAnswered):
                said[:] = [told]
            if not isinstance(told, EscalationResolved | EscalationCancelled):
                return None
            answer = said[0] if said else EscalationAnswered(escalation_id=id)
            settled = Settled(
                outcome="cancelled",
                by=answer.by or told.by,
                option_id=answer.option_id,
                decision=answer.decision,
                instructions=answer.instructions,
            )
            if isinstance(told, EscalationCancelled):
                return msgspec.structs.replace(settled, note=told.reason)
            return msgspec.structs.replace(settled, outcome=told.outcome, note=told.note)

        return await self._hear(f"attorn.escalation.*.*.{self.work}.*", raised.position, end, timeout)

    async def hand_in(self, *outputs: Output, **more: Any) -> Receipt:
        """It is done, and these came of it; `more` are the other fields of ExecuteWork: `cost`, `confidence`."""
        done = ExecuteWork(
            work_id=self.work, execution_id=self.execution_id, result="completed", outputs=outputs, **more
        )
        receipt = await self._tell(done)
        self.over = True
        return receipt

    async def let_go(self, later_s: float | None = None) -> None:
        """Have it, and the answers to it, handed out again after so many seconds, or never."""
        # The answers after the task: an agent that is killed before finds them again.
        for each in (*((self.held,) if self.held is not None else ()), *self._heard):
            await (each.done() if later_s is None else each.later(later_s))
        self._heard.clear()

    async def _start(self) -> bool:
        """Whether it is this agent's to work on; raises Refused when it has ended, or cannot begin."""
        # The id is a new one each time: under one that was used before, the answer would be that of that time. That
        # nothing runs twice is for the execution's own id to see to.
        id = str(uuid7())
        try:
            begun = await self.attorn.tell(self._beginning(), id=id)
        except Unavailable as lost:
            # It may run now, and then it was begun here.
            self._resumes = self._resumes or lost.recorded == "unknown"
            raise
        self._said += 1
        self._resumes = self._resumes or begun.event_id == id
        return self._resumes

    def _beginning(self) -> StartExecution:
        return StartExecution(work_id=self.work, execution_id=self.execution_id, delegation_id=self.terms.delegation_id)

    async def _fail(self, reason: Exception) -> None:
        self._unsaid = self._ended_by(reason)
        try:
            await self._report()
        except (Unavailable, Unreadable) as lost:
            self._later(lost)

    def _ended_by(self, reason: Exception) -> _Unsaid:
        failed = ExecuteWork(
            work_id=self.work,
            execution_id=self.execution_id,
            result="failed",
            error_class=type(reason).__name__,
            retryable=True,
        )
        refused = self._refused[1] if self._refused is not None and self._refused[0] is reason else None
        return _Unsaid(refused, (failed, self._next_id(failed)))

    async def _report(self) -> None:
        """Say that it failed, or put it off until that can be said."""
        assert self._unsaid is not None
        try:
            await self._again(self._unsaid.failed)
        except Refused as refused:
            self.over = _is_of_the_past(refused)
            self.put_off = None if self.over else refused
        else:
            self.over = True

    async def _say_again(self) -> bool:
        """Say what could not be said when the block had ended; whether the block is to run again."""
        assert self._unsaid is not None
        refused = self._unsaid.refused
        if refused is not None:
            try:
                await self._again(refused)
            except Refused as still:
                if await self._rests(still):
                    self.put_off = still
                    return False
            else:
                # It was refused because everything rested. The block goes on behind it, or that was its end.
                self._unsaid, self.over = None, isinstance(refused[0], ExecuteWork)
                return not self.over
        await self._report()
        return False

    async def _rests(self, refused: Refused) -> bool:
        """Whether something is refused for as long as somebody lets the agent, the delegation or the work rest."""
        rules = frozenset(breach.rule for breach in refused.breaches)
        if _is_of_the_past(refused):
            return False
        if "actor-suspended" in rules:
            return True
        try:
            # To begin what runs records nothing, and says how far the views have to be to know why it was refused.
            stands = await self._stands((await self.attorn.tell(self._beginning())).position)
        except Refused:
            return False
        except (Unavailable, Unreadable) as lost:
            self._later(lost)
            return True
        return stands is None or stands.halts(rules)

    async def _hear(self, filter: str, after: int, wanted: Callable[[Any], T | None], timeout: float | None) -> T:
        """The first that is `wanted` of what is told of this work behind `after`."""
        async with asyncio.timeout(timeout), aclosing(self._told(filter, after)) as told:
            coming = asyncio.ensure_future(anext(told))
            try:
                while True:
                    done, _ = await asyncio.wait({coming}, timeout=LOOK_S)
                    if not done:
                        stands = await self._stands()
                        # What was spent to its limit may still be handed in.
                        why = stands.why_over(OVER - {"exhausted"}) if stands is not None else None
                        if why is not None:
                            raise Refused(Breach(rule="delegation-open", detail=f"{why}; nobody answers any more"))
                        continue
                    found = wanted(coming.result().event.data)
                    if found is not None:
                        return found
                    coming = asyncio.ensure_future(anext(told))
            finally:
                # While it is being waited for, the generator cannot be closed.
                coming.cancel()
                await asyncio.wait({coming})

    async def _told(self, filter: str, after: int) -> AsyncGenerator[Delivered, None]:
        """What the filter matches, or by the durable consumer for answers, where there is one, all of this work."""
        if not self._answers or await self.attorn.durable(self._answers) is None:
            async with aclosing(self.attorn.follow(filter, after=after)) as found:
                async for delivered in found:
                    yield delivered
            return
        async with aclosing(self.attorn.follow_durably(self._answers, *HEARD)) as held:
            async for each in held:
                if each.delivered.stream != f"work/{self.work}":
                    await each.done()
                    continue
                self._heard.append(each)
                yield each.delivered

    async def _hears_of_escalations(self) -> None:
        """Raises Unavailable where an administrator has made the consumer for answers, and not for those."""
        made = await self.attorn.durable(self._answers) if self._answers else None
        if made is not None and not set(SETTLED) <= set(made.config.filter_subjects or ()):
            lacks = f"the consumer {self._answers} does not hear how escalations end"
            raise Unavailable(f"{lacks}; its administrator makes it again with {', '.join(HEARD)}")

    async def _stands(self, wait_for: int | None = None) -> _Standing | None:
        """How it stands, as far as the views know; None where they do not answer, or have not heard of it."""
        id = self.terms.delegation_id
        try:
            asked = self.attorn.ask("delegation", work=self.work, delegation=id, limit=1, wait_for=wait_for)
            links = (await asked).get("links", ())
            item = (await self.attorn.ask("work", work=self.work)).get("item")
        except (Unavailable, Refused, Unreadable):
            return None
        if not links or item is None:
            return None
        until = links[-1].get("terms", {}).get("valid_until")
        past = until is not None and datetime.fromisoformat(until) <= datetime.now(UTC)
        state = links[-1]["state"]
        return _Standing("expired" if past and state not in OVER else state, item["state"])

    async def _tell(self, command: Command) -> Receipt:
        said = command, self._next_id(command)
        try:
            return await self._again(said)
        except Refused as refused:
            self._refused = refused, said
            raise

    async def _again(self, said: Said) -> Receipt:
        command, id = said
        return await self.attorn.tell(command, id=id)

    def _next_id(self, command: Command) -> str:
        # What is said first is said first again by an agent that was killed and begins anew.
        self._said += 1
        id = f"{self.terms.delegation_id}\0{self._said}\0{type(command).__name__}".encode()
        return hashlib.sha256(id).hexdigest()[:40]

    def _id(self, kind: str) -> str:
        return f"{self.execution_id[:52]}-{kind}{self._said + 1}"

    def _later(self, lost: Unavailable | Unreadable) -> None:
        if self.attorn.nc.is_closed:
            raise lost
        self.put_off = lost


def _is_of_the_past(refused: Refused) -> bool:
    """Whether the execution that something was said in, or that was to begin, is over."""
    return any(breach.rule == "execution-unknown" for breach in refused.breaches)
