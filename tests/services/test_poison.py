"""Bad messages at every door of a running attorn: refused with the field named, kept where it can be seen, and no harm.

Nothing crashes, no connection closes, and the next good message works.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
import pytest_asyncio
from nats.aio.msg import Msg

from attorn.contracts import subjects
from attorn.contracts.refusal import Problem, Receipt, Reply
from attorn.services.supervise.server import embedded
from attorn.services.supervise.supervisor import Child, spawn, until_ready
from attorn_services import ROOTS, Services, serving, until
from poison import BAD_BODIES, BAD_COMMANDS, BAD_FACTS, BAD_QUESTIONS, define, fact

Row = tuple[str, bytes, str | None, str]

AS_FACTS: Final[list[Row]] = [*BAD_BODIES, *BAD_FACTS]
ALONE: Final = [row for row in AS_FACTS if not row[1].lstrip().startswith(b"[")]
"""What stands alone at a fact door; an array is a batch."""

_reply: Final[msgspec.json.Decoder[Reply]] = msgspec.json.Decoder(Reply)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doors() -> AsyncIterator[Services]:
    """The services and the projector, on a server of their own; at the end both are still those that were started."""
    async with embedded() as broker, serving(broker) as running:
        views = os.fspath(broker.data / "views.sqlite")
        argv = (sys.executable, "-m", "attorn.services.projector.main", "--nats-url", broker.url, "--views", views)
        child = Child(name="projector", argv=argv, environment={"PYTHONPATH": ROOTS})
        projector = await spawn(child, broker.data / "logs")
        try:
            await until_ready(child, projector)
            yield running
            assert projector.status is None
            assert running.process.status is None
            assert running.nc.stats["reconnects"] == 0
            assert "Traceback" not in running.log()
        finally:
            await projector.kill()


def good(id: str, subject: str) -> bytes:
    return fact(id=id, subject=f"work/{subject}", type="attorn.note.added.v1", data={"text": "fine"})


def wrongly(rows: Sequence[Row], answers: Sequence[Any]) -> list[str]:
    """The rows that were not refused as unreadable, with their field."""
    found = []
    for (name, _, field, reason), answer in zip(rows, answers, strict=True):
        told = isinstance(answer, Problem) and answer.status == 400 and reason in answer.detail
        if not told or (field is not None and (answer.field or "") != field):
            found.append(f"{name}: {answer}")
    return found


async def quarantined(services: Services, source: str, bodies: Sequence[bytes]) -> dict[bytes, Msg]:
    """What is kept of a source, by the digest of its bytes; waits until there is as much as was sent."""
    wanted = {hashlib.sha256(body).digest() for body in bodies}
    js = services.nc.jetstream()
    consumer = await js.subscribe(subjects.quarantine(source), stream=subjects.QUARANTINE, ordered_consumer=True)
    found: dict[bytes, Msg] = {}
    async with asyncio.timeout(20):
        while wanted - found.keys():
            message = await consumer.next_msg(10)
            found[hashlib.sha256(message.data).digest()] = message
    await consumer.unsubscribe()
    return found


async def asked(services: Services, subject: str, bodies: Sequence[bytes]) -> list[Any]:
    return [_reply.decode((await services.nc.request(subject, body, timeout=10)).data) for body in bodies]


def test_the_table_is_long_enough() -> None:
    assert len(BAD_BODIES) >= 40
    assert len({body for _, body, _, _ in AS_FACTS}) >= 150


async def test_the_fact_door_refuses_each_by_its_field_and_keeps_it(doors: Services) -> None:
    answers = await asked(doors, subjects.fact("poison-1"), [row[1] for row in ALONE])
    assert wrongly(ALONE, answers) == []
    kept = await quarantined(doors, "poison-1", [row[1] for row in ALONE])
    for name, body, field, _ in ALONE:
        headers = kept[hashlib.sha256(body).digest()].headers or {}
        assert headers["Attorn-Status"] == "400" and headers["Attorn-Reason"], name
        if field is not None and field.isascii() and field.isprintable() and field:
            assert headers["Attorn-Field"] == field, name
    assert isinstance(_reply.decode((await doors.nc.request("attorn.fact.poison-1", good("g", "P-1"))).data), Receipt)


async def test_a_bad_one_in_a_batch_keeps_no_other_out(doors: Services) -> None:
    single, whole = 0, []
    for number, (name, body, _, _) in enumerate(ALONE):
        batch = b"[" + b",".join((good(f"a{number}", "P-2"), body, good(f"b{number}", "P-2"))) + b"]"
        data = (await doors.nc.request(subjects.fact("poison-2"), batch, timeout=10)).data
        if data[:1] == b"[":
            first, bad, last = msgspec.json.decode(data, type=list[Reply])
            assert isinstance(first, Receipt) and isinstance(last, Receipt), name
            assert isinstance(bad, Problem) and bad.status == 400, name
            single += 1
        else:
            # What is no JSON leaves no way to tell where one ends and the next begins.
            answer = _reply.decode(data)
            assert isinstance(answer, Problem) and answer.status == 400, name
            whole.append(batch)
    assert single > 120
    await quarantined(doors, "poison-2", whole)
    recorded = await doors.ledger.read("work/P-2")
    assert len(recorded) == 2 * single


async def test_what_is_stored_and_forwarded_is_kept_too_and_what_is_behind_it_comes_in(doors: Services) -> None:
    js = doors.nc.jetstream()
    bodies = [row[1] for row in AS_FACTS if row[0] != "an array"]
    for body in bodies:
        await js.publish("attorn.in.poison-3", body, stream=subjects.INBOX)
    await js.publish("attorn.in.poison-3", good("behind", "P-3"), stream=subjects.INBOX)

    async def has_come() -> bool:
        return bool(await doors.ledger.read("work/P-3"))

    await until(has_come, 30)
    kept = await quarantined(doors, "poison-3", bodies)
    assert all((message.headers or {}).get("Attorn-Reason") for message in kept.values())


async def test_the_command_door_refuses_each_by_its_field(doors: Services) -> None:
    rows = [*BAD_BODIES, *BAD_COMMANDS]
    answers = await asked(doors, subjects.command("root", "work.define"), [row[1] for row in rows])
    assert wrongly(rows, answers) == []
    answer = await doors.command("root", "work.define", define(work_id="P-4", accountable="root"))
    assert isinstance(answer, Receipt), answer


async def test_a_command_by_nobody_or_under_an_id_that_is_none_is_refused(doors: Services) -> None:
    body = define(work_id="P-5", accountable="root")
    for id in ("a.b", "a b", "x" * 65, ""):
        answer = await doors.command("root", "work.define", body, id=id)
        if id:
            assert isinstance(answer, Problem) and (answer.status, answer.field) == (400, "Nats-Msg-Id"), answer
    nobody = await doors.command("nobody", "work.define", body)
    assert isinstance(nobody, Problem) and nobody.rules[0].rule == "unregistered-actor"


async def test_the_query_door_refuses_each_by_its_field(doors: Services) -> None:
    # A question without a body is a question without parameters.
    rows = [*(row for row in BAD_BODIES if row[1].strip()), *BAD_QUESTIONS]
    answers = []
    for _, body, _, _ in rows:
        data = (await doors.nc.request(subjects.query("work"), body, timeout=10)).data
        answers.append(msgspec.json.decode(data, type=Problem))
    assert wrongly(rows, answers) == []
    answer = msgspec.json.decode((await doors.nc.request(subjects.query("work"), b'{"work": "P-1"}', timeout=10)).data)
    assert answer["result"]["work"] == "P-1"
