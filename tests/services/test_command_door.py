"""The command door in the services process: commands that are in flight together, and those that are when it ends."""

import asyncio

from attorn.contracts.refusal import Receipt, Reply
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
