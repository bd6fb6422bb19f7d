"""The command door in the services process: commands that are in flight together, and those that are when it ends."""

import asyncio

from attorn.contracts import subjects
from attorn.contracts.refusal import Receipt, Reply
from attorn_services import Services


async def define(services: Services, number: int) -> Reply:
    body = {"work_id": f"W-{number}", "title": "Refund", "accountable": "ana"}
    return await services.command("ana", "work.define", body, id=f"c-{number}")


async def test_commands_that_are_in_flight_together_go_to_the_log_together(services: Services) -> None:
    await services.people("ana")
    answers = await asyncio.gather(*(define(services, number) for number in range(200)))

    positions = {answer.position for answer in answers if isinstance(answer, Receipt)}
    assert len(positions) == 200
    kept = [await services.nc.jetstream().get_msg(subjects.LOG, position) for position in sorted(positions)]
    assert sum("Nats-Batch-Id" in (msg.headers or {}) for msg in kept) > 100


async def test_whoever_was_heard_is_answered_when_the_services_end(services: Services) -> None:
    await services.people("ana")
    asking = [asyncio.create_task(define(services, number)) for number in range(60)]
    await asyncio.sleep(0)
    # The server has passed on the requests when it answers this.
    await services.nc.flush()
    await services.stop()
    answers = await asyncio.gather(*asking)

    assert all(isinstance(answer, Receipt) for answer in answers)
