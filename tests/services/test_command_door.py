"""The command door in the services process: commands that are in flight together, and those that are when it ends."""

import asyncio
import json

import msgspec

from attorn.contracts import subjects
from attorn.contracts.refusal import Problem, Receipt, Reply
from attorn_services import Services


async def define(services: Services, number: int) -> Reply:
    body = {"work_id": f"W-{number}", "title": "Refund", "accountable": "ana"}
    return await services.command("ana", "work.define", body, id=f"c-{number}")


async def test_two_hundred_commands_at_once_are_each_carried_out_once(services: Services) -> None:
    await services.people("ana")
    answers = await asyncio.gather(*(define(services, number) for number in range(200)))

    receipts = {answer.stream: answer.position for answer in answers if isinstance(answer, Receipt)}
    assert len(receipts) == len(set(receipts.values())) == 200
    for number in range(0, 200, 20):
        [recorded] = await services.ledger.read(f"work/W-{number}")
        assert recorded.position == receipts[f"work/W-{number}"]


async def test_whoever_was_heard_is_answered_when_the_services_end(services: Services) -> None:
    await services.people("ana")
    asking = [asyncio.create_task(define(services, number)) for number in range(60)]
    await asyncio.sleep(0)
    # The server has passed on the requests when it answers this.
    await services.nc.flush()
    await services.stop()
    answers = await asyncio.gather(*asking)

    assert all(isinstance(answer, Receipt) for answer in answers)


async def test_nothing_is_tried_for_longer_than_its_author_waits(services: Services) -> None:
    await services.people("ana")
    for said in ("0", "0.0", "-1", "soon", "1e3", "inf", "2,5"):
        wrong = await within(services, said, "W-1000")
        assert isinstance(wrong, Problem) and (wrong.status, wrong.field) == (400, "Attorn-Within"), (said, wrong)
    # The log has not answered by then; what became of it, asking again with the same id tells.
    late = await within(services, "0.000001", "W-1001")
    assert isinstance(late, Problem) and late.status == 504, late
    again = await within(services, "10", "W-1001")
    assert isinstance(again, Receipt), again
    assert [recorded.position for recorded in await services.ledger.read("work/W-1001")] == [again.position]


async def within(services: Services, said: str, work: str) -> Reply:
    body = {"work_id": work, "title": "Refund", "accountable": "ana"}
    headers = {"Nats-Msg-Id": work, "Attorn-Within": said}
    answer = await services.nc.request(
        subjects.command("ana", "work.define"), json.dumps(body).encode(), timeout=10, headers=headers
    )
    return msgspec.json.decode(answer.data, type=Reply)
