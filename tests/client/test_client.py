"""attorn.client against a real attorn: what a program outside of it can say, ask and follow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from attorn.client.agent import Agent
from attorn.client.attorn import Attorn, connect
from attorn.client.feed import ESCALATIONS
from attorn.client.task import Task
from attorn.contracts.context import NoteAdded
from attorn.contracts.delegation import DelegateWork
from attorn.contracts.escalation import EscalationContext, WorkEscalated
from attorn.contracts.execution import ExecutionInputRequired, ProvideInput
from attorn.contracts.output import Output
from attorn.contracts.participant import RegisterParticipant
from attorn.contracts.refusal import Problem, Receipt, Refused, Unavailable, Unreadable
from attorn.contracts.source import RegisterSource
from attorn.contracts.work import DefineWork

DIGEST = "sha256:" + "0" * 64


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def root(instance: str) -> AsyncIterator[Attorn]:
    """The custodian's connection; anabel, the agent clerk and the source till are registered."""
    async with connect(instance, participant="root", source="till") as attorn:
        await attorn.tell(RegisterParticipant(participant_id="anabel", kind="human", display_name="Anabel"))
        clerk = RegisterParticipant(participant_id="clerk", kind="agent", display_name="Clerk", sponsor="anabel")
        await attorn.tell(clerk)
        till = RegisterParticipant(participant_id="till", kind="system", display_name="Till", sponsor="anabel")
        await attorn.tell(till)
        await attorn.tell(RegisterSource(source_id="till", uri="/till", custodian="anabel"))
        yield attorn


def escalated(id: str) -> WorkEscalated:
    context = EscalationContext(summary="The till is open.", question="Close it?")
    return WorkEscalated(escalation_id=id, reason="exception", raised_by="till", severity="critical", context=context)


async def test_a_command_is_carried_out_once_however_often_it_is_told(root: Attorn) -> None:
    define = DefineWork(work_id="CL-1", title="Count the till", accountable="anabel")
    first = await root.tell(define, id="cl-1-define")
    assert await root.tell(define, id="cl-1-define") == first


async def test_a_refusal_names_every_broken_rule(root: Attorn) -> None:
    with pytest.raises(Refused) as refused:
        await root.tell(DefineWork(work_id="CL-2", title="Count", accountable="clerk"))
    assert [breach.rule for breach in refused.value.breaches] == ["accountable-human"]


async def test_what_cannot_be_read_is_told_with_its_field(root: Attorn) -> None:
    with pytest.raises(Unreadable) as unreadable:
        await root.publish(b'{"specversion": "1.0", "id": "x"}')
    assert unreadable.value.field


async def test_more_than_the_broker_takes_is_told_and_the_connection_lives_on(root: Attorn) -> None:
    with pytest.raises(Unreadable, match="send less at once"):
        await root.publish(b" " * root.nc.max_payload)
    assert await root.ask("status")


async def test_a_fact_is_recorded_once_and_its_breaches_are_warnings(root: Attorn) -> None:
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    note = root.fact(NoteAdded(text="The drawer jams."), "work/CL-unheard-of", id="till-1", time=at)
    first = await root.publish(note)
    assert "hidden-work" in {warning.rule for warning in first.warnings}
    again = await root.publish(note)
    assert (again.position, again.event_id) == (first.position, "till-1")


async def test_of_many_facts_each_has_an_answer(root: Attorn) -> None:
    notes = [root.fact(NoteAdded(text=f"Coin {n}"), "work/CL-coins", id=f"coin-{n}") for n in range(1_500)]
    other = root.fact(NoteAdded(text="another"), "work/CL-coins", id="coin-0")
    answers = await root.publish_all([*notes, other])
    positions = [answer.position for answer in answers[:-1] if isinstance(answer, Receipt)]
    assert len(positions) == 1_500 and positions == sorted(positions)
    assert isinstance(answers[-1], Problem) and answers[-1].status == 409


async def test_a_fact_that_is_left_at_the_door_is_recorded_soon(root: Attorn) -> None:
    note = root.fact(NoteAdded(text="Left at the door."), "work/CL-left", id="left-1")
    async with aclosing(root.follow("attorn.feed.note.added.work.CL-left")) as events:
        await root.forward(note)
        async with asyncio.timeout(10):
            found = await anext(events)
    assert found.event.id == "left-1"


async def test_one_reads_what_one_has_written(root: Attorn) -> None:
    receipt = await root.tell(DefineWork(work_id="CL-3", title="Close the till", accountable="anabel"))
    answer = await root.ask_at("who", work="CL-3", wait_for=receipt.position)
    assert answer.position >= receipt.position
    assert answer.result["person"] == "anabel"


async def test_a_question_that_cannot_be_read_says_why(root: Attorn) -> None:
    with pytest.raises(Unreadable, match="nonsense"):
        await root.ask("who", work="CL-3", nonsense=1)


async def test_escalations_are_followed_from_a_position_each_once(root: Attorn) -> None:
    begin = await root.publish(root.fact(escalated("X-1"), "work/CL-4"))
    await root.publish(root.fact(NoteAdded(text="not an escalation"), "work/CL-4"))
    end = await root.publish(root.fact(escalated("X-2"), "work/CL-4"))
    found = []
    async with asyncio.timeout(10), aclosing(root.follow(ESCALATIONS, after=begin.position - 1)) as events:
        async for delivered in events:
            found.append((delivered.position, delivered.event.data.escalation_id))
            if delivered.position >= end.position:
                break
    assert found == [(begin.position, "X-1"), (end.position, "X-2")]


async def test_a_durable_follower_goes_on_behind_what_it_has_done(root: Attorn) -> None:
    first = await root.publish(root.fact(escalated("X-3"), "work/CL-5"))
    second = await root.publish(root.fact(escalated("X-4"), "work/CL-5"))
    seen = []
    for _ in range(2):
        async with asyncio.timeout(10):
            follower = root.follow_durably("on-call", "attorn.escalation.*.*.CL-5.>")
            async with aclosing(follower) as held:
                each = await anext(held)
                seen.append(each.delivered.position)
                await each.done()
    assert seen == [first.position, second.position]


async def test_nobody_there_is_told_at_once() -> None:
    with pytest.raises(Unavailable):
        async with connect("nats://127.0.0.1:9"):
            raise AssertionError("nobody is there")


async def test_an_agent_takes_a_task_asks_and_hands_in(root: Attorn, instance: str) -> None:
    await root.tell(DefineWork(work_id="CL-6", title="Refund", accountable="anabel"))
    async with connect(instance, participant="anabel") as anabel, connect(instance, participant="clerk") as clerk:
        granted = DelegateWork(work_id="CL-6", delegation_id="D-6", delegate="clerk", autonomy="act")
        await anabel.tell(granted)
        done = asyncio.create_task(_carry_out(Agent(clerk)))
        async with asyncio.timeout(20), aclosing(anabel.follow("attorn.feed.execution.input_required.>")) as questions:
            async for delivered in questions:
                asked = delivered.event.data
                if isinstance(asked, ExecutionInputRequired) and delivered.stream == "work/CL-6":
                    await anabel.tell(
                        ProvideInput(work_id="CL-6", request_id=asked.request_id, response="accept", answer="in full")
                    )
                    break
        task = await asyncio.wait_for(done, 20)
    receipt = await root.publish(root.fact(NoteAdded(text="done"), "work/CL-6"))
    item = await root.ask("work", work="CL-6", wait_for=receipt.position)
    assert task.over and item["item"]["state"] == "submitted"


async def _carry_out(agent: Agent) -> Task:
    async with aclosing(agent.tasks()) as tasks:
        async for task in tasks:
            async with task:
                await task.progress(10)
                answer = await task.ask("anabel", "Refund in full?", kind="approval")
                assert answer.answer == "in full"
                await task.hand_in(Output(output_id="letter", dig=DIGEST))
            return task
    raise AssertionError("no task came")
