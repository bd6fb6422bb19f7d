"""An agent of attorn.client against a real attorn: no task is lost, none begun twice, and no failure ends the agent."""

import asyncio
import logging
import re
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from attorn.client import agent
from attorn.client import task as tasks
from attorn.client.agent import DELEGATED, Agent
from attorn.client.attorn import Attorn, connect
from attorn.client.task import Settled, Task
from attorn.contracts.context import AddNote
from attorn.contracts.delegation import (
    AcceptDelegation,
    DelegateWork,
    ResumeDelegation,
    RevokeDelegation,
    SuspendDelegation,
)
from attorn.contracts.dependency import AddDependency, BlockWork, SatisfyDependency, UnblockWork
from attorn.contracts.escalation import AnswerEscalation, EscalateWork, EscalationContext, ResolveEscalation
from attorn.contracts.execution import ProvideInput
from attorn.contracts.output import Output
from attorn.contracts.participant import RegisterParticipant, ResumeParticipant, SuspendParticipant
from attorn.contracts.refusal import Refused, Unavailable
from attorn.contracts.work import CancelWork, DefineWork, FailWork, ReopenWork, ResumeWork, SuspendWork
from attorn.projections import delegations, lifecycle
from attorn_services import until

LETTER: Final = Output(output_id="letter", dig="sha256:" + "0" * 64)
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "client.md"
_number: Final = count(1)


class Office:
    """Olivia, who answers for all of this work and delegates it; `bot` is the agent of one test."""

    def __init__(self, url: str, olivia: Attorn, root: Attorn, bot: str) -> None:
        self.url, self.olivia, self.root, self.bot = url, olivia, root, bot

    async def delegates(self, *, activities: tuple[str, ...] = ()) -> str:
        """Work that is delegated to the agent: its id; that of the delegation is `D-` and the same."""
        work = f"AG-{next(_number)}"
        await self.olivia.tell(DefineWork(work_id=work, title="Refund", accountable="olivia"))
        granted = DelegateWork(
            work_id=work, delegation_id=f"D-{work}", delegate=self.bot, autonomy="act", activities=activities
        )
        await self.olivia.tell(granted)
        return work

    async def told(self, work: str) -> list[str]:
        """What was recorded of the work, a word each: `execution.started`."""
        # Behind a note everything is there that was recorded before, however far the views are.
        noted = await self.root.tell(AddNote(work_id=work, text="Looked at."))
        found = await self.root.ask("timeline", work=work, wait_for=noted.position)
        return [each["type"].removeprefix("attorn.").removesuffix(".v1") for each in found["events"]]

    async def waits_for(self, work: str, word: str, times: int = 1) -> None:
        async def is_told() -> bool:
            found = await self.root.ask("timeline", work=work, type=f"attorn.{word}.v1")
            return len(found.get("events", ())) >= times

        await until(is_told)

    async def handed_out(self) -> int:
        """How many messages the agent's consumer still has to hear the end of."""
        made = await self.root.durable(f"agent-{self.bot}")
        assert made is not None
        return (made.num_ack_pending or 0) + (made.num_pending or 0)

    async def is_done_with(self) -> None:
        async def is_empty() -> bool:
            return await self.root.durable(f"agent-{self.bot}") is not None and await self.handed_out() == 0

        await until(is_empty)

    @asynccontextmanager
    async def works(self, block: Callable[[Task], Awaitable[object]]) -> AsyncIterator[asyncio.Task[None]]:
        """The agent, as a program of its own would be written, while the block of this runs."""
        async with connect(self.url, participant=self.bot) as attorn:

            async def main() -> None:
                async with aclosing(Agent(attorn).tasks()) as given:
                    async for task in given:
                        async with task:
                            await block(task)

            running = asyncio.create_task(main())
            try:
                yield running
            finally:
                running.cancel()
                await asyncio.wait({running})


@pytest_asyncio.fixture(loop_scope="session")
async def office(instance: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    monkeypatch.setattr(agent, "PUT_OFF_S", 0.1)
    async with connect(instance, participant="root") as root, connect(instance, participant="olivia") as olivia:
        with suppress(Refused):
            await root.tell(RegisterParticipant(participant_id="olivia", kind="human", display_name="Olivia"))
        bot = f"ag-bot{next(_number)}"
        await root.tell(RegisterParticipant(participant_id=bot, kind="agent", display_name=bot, sponsor="olivia"))
        yield Office(instance, olivia, root, bot)


async def hands_in(task: Task) -> None:
    await task.hand_in(LETTER)


def put_off(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "is put off" in record.getMessage()]


async def is_put_off(caplog: pytest.LogCaptureFixture) -> None:
    async def is_said() -> bool:
        return bool(put_off(caplog))

    await until(is_said)


async def test_who_was_suspended_gets_its_task_when_it_is_resumed(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    work = await office.delegates()
    await office.olivia.tell(SuspendParticipant(participant_id=office.bot))
    async with office.works(hands_in):
        await is_put_off(caplog)
        await asyncio.sleep(0.5)  # it is refused once more
        await office.olivia.tell(ResumeParticipant(participant_id=office.bot))
        await office.waits_for(work, "work.executed")
        await office.is_done_with()
    assert (await office.told(work)).count("execution.started") == 1
    assert len(put_off(caplog)) == 1 and f"{work}/D-{work}" in put_off(caplog)[0] and "suspended" in put_off(caplog)[0]


HELD_BACK: Final[list[Any]] = [
    pytest.param(
        lambda work, other: AddDependency(work_id=work, on=other),
        lambda work, other: SatisfyDependency(work_id=work, on=other),
        id="it waits for other work",
    ),
    pytest.param(
        lambda work, other: BlockWork(work_id=work, reason="no forms"),
        lambda work, other: UnblockWork(work_id=work),
        id="it is blocked",
    ),
    pytest.param(
        lambda work, other: SuspendWork(work_id=work),
        lambda work, other: ResumeWork(work_id=work),
        id="it is suspended",
    ),
    pytest.param(
        lambda work, other: EscalateWork(
            work_id=work,
            escalation_id="X-1",
            reason="exception",
            context=EscalationContext(summary="?"),
            blocking=True,
        ),
        lambda work, other: ResolveEscalation(work_id=work, escalation_id="X-1", outcome="returned"),
        id="it waits for an escalation",
    ),
]


@pytest.mark.parametrize("hold, free", HELD_BACK)
async def test_work_that_may_not_begin_yet_is_begun_when_it_may(
    office: Office, caplog: pytest.LogCaptureFixture, hold: Any, free: Any
) -> None:
    other = f"AG-{next(_number)}"
    await office.olivia.tell(DefineWork(work_id=other, title="Before", accountable="olivia"))
    work = await office.delegates()
    await office.olivia.tell(hold(work, other))
    async with office.works(hands_in):
        await is_put_off(caplog)
        await office.olivia.tell(free(work, other))
        await office.waits_for(work, "work.executed")
    assert (await office.told(work)).count("execution.started") == 1


async def test_what_was_acknowledged_and_never_begun_is_begun_at_the_next_start(office: Office) -> None:
    work = await office.delegates()
    async with connect(office.url, participant=office.bot) as bot:
        await bot.tell(AcceptDelegation(work_id=work, delegation_id=f"D-{work}"))
        async with aclosing(bot.follow_durably(f"agent-{office.bot}", DELEGATED)) as held:
            async for each in held:
                await each.done()
                if each.delivered.stream == f"work/{work}":
                    break
    async with office.works(hands_in):
        await office.waits_for(work, "work.executed")
    assert (await office.told(work)).count("execution.started") == 1


async def test_what_was_left_running_and_acknowledged_goes_on_at_the_next_start(office: Office) -> None:
    work = await office.delegates()

    async def forgets(task: Task) -> None:
        await task.act("lookup", target="order/1")

    async def remembers(task: Task) -> None:
        await forgets(task)
        await task.hand_in(LETTER)

    async with office.works(forgets):
        await office.waits_for(work, "execution.action_recorded")
        await office.is_done_with()
    async with office.works(remembers):
        await office.waits_for(work, "work.executed")
    told = await office.told(work)
    assert (told.count("execution.started"), told.count("execution.action_recorded")) == (1, 1)


async def test_what_is_done_is_not_begun_again_by_another_start(office: Office) -> None:
    first = await office.delegates()
    begun: list[str] = []

    async def notes(task: Task) -> None:
        begun.append(task.work)
        await task.hand_in(LETTER)

    async with office.works(notes):
        await office.waits_for(first, "work.executed")
        await office.is_done_with()
    second = await office.delegates()
    async with office.works(notes):
        await office.waits_for(second, "work.executed")
        await office.is_done_with()
    assert begun == [first, second]


async def test_two_processes_of_an_agent_share_its_tasks(office: Office) -> None:
    works = [await office.delegates() for _ in range(6)]
    begun: list[str] = []

    async def block(task: Task) -> None:
        begun.append(task.work)
        await asyncio.sleep(0.05)
        await task.hand_in(LETTER)

    async with office.works(block), office.works(block):
        for work in works:
            await office.waits_for(work, "work.executed")
        await office.is_done_with()
    assert sorted(begun) == sorted(works)


@pytest.mark.parametrize(
    "end",
    [
        lambda work: RevokeDelegation(work_id=work, delegation_id=f"D-{work}"),
        lambda work: CancelWork(work_id=work, reason="the customer withdrew"),
    ],
    ids=["taken back", "ended"],
)
async def test_what_can_never_begin_any_more_is_let_go(
    office: Office, caplog: pytest.LogCaptureFixture, end: Any
) -> None:
    work = await office.delegates()
    await office.olivia.tell(SuspendDelegation(work_id=work, delegation_id=f"D-{work}"))
    async with office.works(hands_in):
        await is_put_off(caplog)
        await office.olivia.tell(end(work))
        await office.is_done_with()
    assert "execution.started" not in await office.told(work)


async def test_what_was_let_go_comes_when_its_work_is_reopened(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "LOOK_S", 0.2)
    work = await office.delegates()
    await office.olivia.tell(FailWork(work_id=work, error_class="lost", reason="the letter is lost"))
    async with office.works(hands_in):
        await office.is_done_with()
        await office.olivia.tell(ReopenWork(work_id=work, reason="it was found"))
        await office.waits_for(work, "work.executed")
    assert (await office.told(work)).count("execution.started") == 1


async def test_one_task_that_fails_is_reported_and_the_next_one_comes(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    broken, slow, sound = [await office.delegates() for _ in range(3)]

    async def block(task: Task) -> None:
        if task.work == broken:
            raise ValueError("the claims system is down")
        if task.work == slow:
            await task.ask("olivia", "Refund in full?", timeout=0.1)
        await task.hand_in(LETTER)

    async with office.works(block) as running:
        await office.waits_for(sound, "work.executed")
        assert not running.done()
    failed, late = [record for record in caplog.records if "has failed" in record.getMessage()]
    assert (failed.levelno, late.levelno) == (logging.ERROR, logging.ERROR) and failed.exc_info is not None
    assert broken in failed.getMessage() and "TimeoutError" in late.getMessage()
    assert (await office.told(broken)).count("work.executed") == 1
    assert (await office.root.ask("work", work=broken))["item"]["state"] == "in_progress"


async def test_what_goes_beyond_the_mandate_ends_the_task_and_not_the_agent(office: Office) -> None:
    bold, careful = await office.delegates(activities=("lookup",)), await office.delegates(activities=("lookup",))

    async def block(task: Task) -> None:
        if task.work == bold:
            await task.act("pay", target="iban/1", side_effect=True)
        with suppress(Refused):
            await task.act("pay", target="iban/1", side_effect=True)
        await task.hand_in(LETTER)

    async with office.works(block):
        await office.waits_for(careful, "work.executed")
    assert "execution.action_recorded" not in await office.told(bold)
    assert (await office.root.ask("work", work=careful))["item"]["state"] == "submitted"
    assert (await office.root.ask("work", work=bold))["item"]["state"] == "in_progress"


RESTING: Final[list[Any]] = [
    pytest.param(
        lambda office, work: SuspendParticipant(participant_id=office.bot),
        lambda office, work: ResumeParticipant(participant_id=office.bot),
        id="the agent",
    ),
    pytest.param(
        lambda office, work: SuspendDelegation(work_id=work, delegation_id=f"D-{work}"),
        lambda office, work: ResumeDelegation(work_id=work, delegation_id=f"D-{work}"),
        id="the delegation",
    ),
]


@pytest.mark.parametrize("rest, go_on", RESTING)
async def test_who_is_suspended_at_work_goes_on_where_it_was_refused(
    office: Office, caplog: pytest.LogCaptureFixture, rest: Any, go_on: Any
) -> None:
    work = await office.delegates()
    runs: list[str] = []

    async def block(task: Task) -> None:
        runs.append(task.work)
        await task.act("lookup", target="order/1")
        if len(runs) == 1:
            await office.olivia.tell(rest(office, work))
        await task.act("refund", target="order/1", side_effect=True)
        await task.hand_in(LETTER)

    async with office.works(block):
        await is_put_off(caplog)
        await asyncio.sleep(0.5)  # it is refused once more, and the block is left alone
        assert runs == [work]
        await office.olivia.tell(go_on(office, work))
        await office.waits_for(work, "work.executed")
        await office.is_done_with()
    told = await office.told(work)
    assert (told.count("execution.started"), told.count("execution.action_recorded")) == (1, 2)
    assert (await office.root.ask("work", work=work))["item"]["state"] == "submitted"


@pytest.mark.parametrize("hold, free", HELD_BACK)
async def test_work_that_is_held_up_when_it_is_handed_in_is_handed_in_when_it_goes_on(
    office: Office, caplog: pytest.LogCaptureFixture, hold: Any, free: Any
) -> None:
    other = f"AG-{next(_number)}"
    await office.olivia.tell(DefineWork(work_id=other, title="Before", accountable="olivia"))
    work = await office.delegates()
    runs: list[str] = []

    async def block(task: Task) -> None:
        runs.append(task.work)
        await office.olivia.tell(hold(work, other))
        await task.hand_in(LETTER)

    async with office.works(block):
        await is_put_off(caplog)
        await office.olivia.tell(free(work, other))
        await office.waits_for(work, "work.executed")
        await office.is_done_with()
    assert runs == [work]
    assert (await office.root.ask("work", work=work))["item"]["state"] == "submitted"


async def test_an_attorn_that_is_away_for_a_while_costs_no_task(office: Office) -> None:
    work = await office.delegates()
    runs: list[str] = []

    async def block(task: Task) -> None:
        runs.append(task.work)
        await task.act("lookup", target="order/1")
        if len(runs) == 1:
            raise Unavailable("nobody answers")
        await task.hand_in(LETTER)

    async with office.works(block):
        await office.waits_for(work, "work.executed")
    told = await office.told(work)
    assert runs == [work, work] and told.count("execution.action_recorded") == 1
    assert (await office.root.ask("work", work=work))["item"]["state"] == "submitted"


async def test_who_is_cancelled_ends_and_says_nothing_of_its_task(office: Office) -> None:
    work = await office.delegates()
    async with office.works(lambda task: asyncio.sleep(60)) as running:
        await office.waits_for(work, "execution.started")
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()
    assert "work.executed" not in await office.told(work) and await office.handed_out() == 1


async def test_a_connection_that_is_closed_for_good_ends_the_agent(office: Office) -> None:
    work = await office.delegates()

    async def block(task: Task) -> None:
        await task.attorn.nc.close()
        await task.hand_in(LETTER)

    async with office.works(block) as running:
        await asyncio.wait({running}, timeout=20)
        assert running.done() and isinstance(running.exception(), Unavailable)
    assert "work.executed" not in await office.told(work)


async def test_who_escalates_and_halts_the_work_waits_for_what_is_decided_and_then_hands_in(office: Office) -> None:
    work = await office.delegates()
    settled: list[Settled] = []

    async def block(task: Task) -> None:
        settled.append(await task.escalate("The customer threatens.", "Refund?", severity="high", blocking=True))
        await task.hand_in(LETTER)

    async with office.works(block):
        await office.waits_for(work, "work.escalated")
        [raised] = (await office.root.ask("escalations", work=work))["escalations"]
        id = raised["escalation_id"]
        answer = AnswerEscalation(work_id=work, escalation_id=id, decision="refund it", instructions="and apologise")
        await office.olivia.tell(answer)
        assert not settled
        await office.olivia.tell(ResolveEscalation(work_id=work, escalation_id=id, outcome="approved"))
        await office.waits_for(work, "work.executed")
    expected = Settled(outcome="approved", by="olivia", decision="refund it", instructions="and apologise")
    assert settled == [expected]
    assert (await office.root.ask("work", work=work))["item"]["state"] == "submitted"
    assert (await office.told(work)).count("work.escalated") == 1


async def test_nobody_waits_for_an_answer_in_work_that_has_ended(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "LOOK_S", 0.2)
    ended, other = await office.delegates(), await office.delegates()

    async def block(task: Task) -> None:
        if task.work == ended:
            await task.ask("olivia", "Refund in full?")
        await task.hand_in(LETTER)

    async with office.works(block):
        await office.waits_for(ended, "execution.input_required")
        await office.olivia.tell(CancelWork(work_id=ended))
        await office.waits_for(other, "work.executed")


async def test_the_agent_of_the_documentation_does_as_it_says(office: Office) -> None:
    [code] = [block for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S) if "tasks()" in block]
    with suppress(Refused):
        await office.root.tell(
            RegisterParticipant(participant_id="refunds-bot", kind="agent", display_name="Refunds", sponsor="olivia")
        )
    office.bot = "refunds-bot"
    work = await office.delegates()
    names: dict[str, Any] = {}
    imports, _, body = code.partition("\n\n")
    # Ana is somebody else's in this session's attorn.
    body = body.replace("connect(", f"connect({office.url!r}, ").replace('"ana"', '"olivia"')
    exec(f"{imports}\n\nasync def main():\n{textwrap.indent(body, '    ')}", names)
    running = asyncio.create_task(names["main"]())
    try:
        await office.waits_for(work, "execution.input_required")
        [asked] = (await office.root.ask("timeline", work=work, type="attorn.execution.input_required.v1"))["events"]
        await office.olivia.tell(ProvideInput(work_id=work, request_id=asked["reference"], response="decline"))
        await office.waits_for(work, "work.escalated")
        [raised] = (await office.root.ask("escalations", work=work))["escalations"]
        settle = ResolveEscalation(work_id=work, escalation_id=raised["escalation_id"], outcome="approved")
        await office.olivia.tell(settle)
        await office.waits_for(work, "work.executed")
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait({running})
    assert (await office.root.ask("work", work=work))["item"]["state"] == "submitted"


def test_the_client_knows_what_ends_work_and_delegations() -> None:
    assert tasks.OVER == delegations.OVER and tasks.ENDED == lifecycle.ENDED
