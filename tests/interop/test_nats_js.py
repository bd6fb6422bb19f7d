"""A plain NATS client in another language: it reports facts and follows escalations, with nothing of attorn's own."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.errors import NoRespondersError

from attorn.contracts.refusal import Receipt, Reply
from attorn.projections import timeline
from attorn_services import Services, until
from javascript import node_itself
from sample_log import everything

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def scripts(node_packages: Path) -> Path:
    """The scripts, with the packages that they name beside them."""
    for file in HERE.glob("*.mjs"):
        shutil.copy(file, node_packages)
    return node_packages


async def node(scripts: Path, script: str, *arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *(node_itself(), str(scripts / script), *arguments),
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.STDOUT,
        cwd=scripts,
    )


async def publish(scripts: Path, url: str, source: str, events: list[dict[str, Any]]) -> list[Reply]:
    """The answers that the publisher prints to `events`."""
    publisher = await node(scripts, "publisher.mjs", url, source)
    try:
        async with asyncio.timeout(30):
            said, _ = await publisher.communicate("".join(json.dumps(event) + "\n" for event in events).encode())
        assert publisher.returncode == 0, said.decode()
        return [msgspec.json.decode(line, type=Reply) for line in said.splitlines()]
    finally:
        with suppress(ProcessLookupError):
            publisher.kill()


class Subscriber:
    """The subscriber under one name, over as many of its lives as it takes; `heard` is all that it ever printed."""

    def __init__(self, scripts: Path, *arguments: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self._scripts, self._arguments = scripts, arguments

    async def start(self) -> None:
        self._process = await node(self._scripts, "subscriber.mjs", *self._arguments)
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            line = await self._process.stdout.readline()
        assert line == b"READY\n", line + await self._process.stdout.read()
        self._listening = asyncio.create_task(self._listen(self._process.stdout))

    async def stop(self) -> None:
        self._process.terminate()
        async with asyncio.timeout(20):
            assert await self._process.wait() == 0
            await self._listening

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _listen(self, said: asyncio.StreamReader) -> None:
        async for line in said:
            self.heard.append(json.loads(line))


def fact(id: str, source: str, work: str, type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    named = {"specversion": "1.0", "id": id, "source": f"/{source}", "type": type, "subject": f"work/{work}"}
    return named | {"time": "2026-11-21T12:00:00Z", "data": data}


def escalated(number: int, severity: str) -> dict[str, Any]:
    data = {
        "escalation_id": f"E-{number}",
        "reason": "exception",
        "raised_by": "crm",
        "severity": severity,
        "context": {"summary": "The order was paid twice", "question": "Refund which payment?"},
    }
    return fact(f"esc-{number}", "crm", f"X-{number}", "attorn.work.escalated.v1", data)


async def test_a_plain_client_reports_a_fact_and_gets_its_receipt(services: Services, scripts: Path) -> None:
    event = fact("1", "crm", "X-1", "attorn.execution.started.v1", {"execution_id": "e1", "executor": "crm"})
    receipt, again, conflict, unreadable = await publish(
        scripts, services.url, "crm", [event, event, event | {"time": "2026-11-21T13:00:00Z"}, event | {"id": ""}]
    )
    assert isinstance(receipt, Receipt)
    assert (receipt.stream, receipt.event_id) == ("work/X-1", "1")
    assert msgspec.structs.replace(receipt, warnings=()) == again
    assert [getattr(problem, "status", None) for problem in (conflict, unreadable)] == [409, 400]
    [recorded] = await services.ledger.read("work/X-1")
    assert recorded.position == receipt.position
    assert recorded.event.authid == "crm"
    assert recorded.body.endswith(json.dumps(event)[1:].encode())


async def test_escalations_are_followed_durably_none_missed_none_twice(services: Services, scripts: Path) -> None:
    """While escalations come in by both doors, the relay is killed twice and the subscriber ends and begins once."""
    await services.people("ana")
    await publish(scripts, services.url, "crm", [escalated(0, "low")])
    # What the escalations view says that it is at: what came before is in the view, and does not come again.
    position = await services.ledger.last()
    subscriber = Subscriber(scripts, services.url, "pager", str(position + 1))
    services.answer_s = 1.0  # nobody answers what a killed process had heard
    await subscriber.start()
    rounds = 60
    try:
        raising = [
            asyncio.create_task(_raise_by_command(services, rounds)),
            asyncio.create_task(_raise_by_fact(services, rounds)),
        ]
        for heard in (20, 60):
            await _until_heard(subscriber, heard)
            await services.kill()
            await asyncio.sleep(0.2)
            await services.start()
        await _until_heard(subscriber, 90)
        await subscriber.stop()
        await subscriber.start()
        await asyncio.gather(*raising)
        raised = [
            recorded
            for recorded in await everything(services.ledger, after=position)
            if recorded.event.type == "attorn.work.escalated.v1" or ".escalation." in recorded.event.type
        ]
        # By a command it is raised, somebody is told, and it is resolved; by facts it is raised and resolved.
        assert len(raised) == (3 + 2) * rounds
        with suppress(TimeoutError):
            await _until_heard(subscriber, len(raised))
        await subscriber.stop()
    finally:
        subscriber.kill()

    assert [one["position"] for one in subscriber.heard] == [recorded.position for recorded in raised]
    assert [one["header"] for one in subscriber.heard] == [str(recorded.position) for recorded in raised]
    assert [(one["type"], one["id"]) for one in subscriber.heard] == [(r.event.type, r.event.id) for r in raised]
    # Each is found by the severity with which its escalation was raised, the resolutions too.
    assert {one["on"].split(".")[2] for one in subscriber.heard if one["subject"].startswith("work/W-")} == {"critical"}
    assert {one["on"].split(".")[2] for one in subscriber.heard if one["subject"].startswith("work/X-")} == {"high"}


async def _until_heard(subscriber: Subscriber, count: int) -> None:
    async def has() -> bool:
        return len(subscriber.heard) >= count

    await until(has, 30)


async def _patiently(ask: Callable[[], Awaitable[Reply]]) -> None:
    """Ask until it is answered; that it is asked again with the same id records nothing twice."""
    async with asyncio.timeout(30):
        while True:
            try:
                answer = await ask()
            except (NoRespondersError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            assert isinstance(answer, Receipt), answer
            return


async def _raise_by_command(services: Services, rounds: int) -> None:
    for n in range(1, rounds + 1):
        work, escalation = {"work_id": f"W-{n}"}, {"work_id": f"W-{n}", "escalation_id": f"E-{n}"}
        context = {"summary": "The amount is above the limit", "question": "Pay it?"}
        for verb, body in (
            ("work.define", work | {"title": "Refund", "accountable": "ana"}),
            ("work.escalate", escalation | {"reason": "exception", "severity": "critical", "context": context}),
            ("escalation.resolve", escalation | {"outcome": "returned"}),
        ):
            await _patiently(partial(services.command, "ana", verb, body, id=f"{verb.replace('.', '-')}-{n}"))


async def _raise_by_fact(services: Services, rounds: int) -> None:
    for n in range(1, rounds + 1):
        resolved = {"escalation_id": f"E-{n}", "outcome": "returned"}
        for event in (
            escalated(n, "high"),
            fact(f"res-{n}", "crm", f"X-{n}", "attorn.escalation.resolved.v1", resolved),
        ):
            await _patiently(partial(services.fact, "crm", event))


@pytest.mark.requirement("001-02a")
async def test_five_producers_in_two_languages_make_one_timeline(services: Services, scripts: Path) -> None:
    count = 20

    def reports(source: str) -> list[dict[str, Any]]:
        return [fact(f"{source}-{n}", source, "W-1", "attorn.note.added.v1", {"text": f"{n}"}) for n in range(count)]

    async def in_python(source: str) -> list[Reply]:
        return [await services.fact(source, event) for event in reports(source)]

    answers = await asyncio.gather(
        *(publish(scripts, services.url, source, reports(source)) for source in ("crm", "erp", "shop")),
        *(in_python(source) for source in ("desk", "bank")),
    )
    receipts = [answer for source in answers for answer in source]
    assert all(isinstance(receipt, Receipt) for receipt in receipts), receipts

    rows = [timeline.apply(None, recorded, recorded.position) for recorded in await everything(services.ledger)]
    told = [row for row in rows if row is not None and row.stream == "work/W-1"]
    assert [row.version for row in told] == list(range(1, 5 * count + 1))
    assert {row.source for row in told} == {"/crm", "/erp", "/shop", "/desk", "/bank"}
    for source in ("crm", "erp", "shop", "desk", "bank"):
        assert [row.event_id for row in told if row.authid == source] == [f"{source}-{n}" for n in range(count)]
