"""The fact doors: what happened elsewhere is recorded, known again, or kept with the reason; nothing sent is lost."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg

from attorn.contracts import subjects
from attorn.contracts.envelope import Unknown
from attorn.contracts.refusal import Problem, Receipt, Reply
from attorn.projections import timeline
from attorn.services.supervise.server import Broker, embedded
from attorn_services import Services, serving, until
from sample_log import ask

QUIET_S = 0.3


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doors() -> AsyncIterator[Services]:
    """The services, shared: each test is a source of its own and reports on work of its own."""
    async with embedded() as broker, serving(broker) as running:
        yield running


@pytest.fixture
def source(request: pytest.FixtureRequest) -> str:
    """A source, and a work item, that no other test uses."""
    return f"{request.function.__name__[5:40]}-{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"


def note(source: str, id: str = "1", text: str = "seen", **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": f"/{source}",
        "type": "attorn.note.added.v1",
        "subject": f"work/{source}",
        "time": "2026-11-21T12:00:00Z",
        "data": {"text": text},
    } | changes


def receipt(answer: Reply) -> Receipt:
    assert isinstance(answer, Receipt), answer
    return answer


def problem(answer: Reply, status: int) -> Problem:
    assert isinstance(answer, Problem), answer
    assert answer.status == status, answer
    return answer


async def quarantined(services: Services, source: str) -> list[Msg]:
    """What is kept of a source, oldest first."""
    js = services.nc.jetstream()
    consumer = await js.subscribe(subjects.quarantine(source), stream=subjects.QUARANTINE, ordered_consumer=True)
    found: list[Msg] = []
    try:
        while True:
            found.append(await consumer.next_msg(QUIET_S))
    except TimeoutError:
        return found
    finally:
        await consumer.unsubscribe()


async def store(services: Services, source: str, body: Mapping[str, Any] | list[dict[str, Any]] | bytes) -> None:
    """Publish where nobody answers but JetStream."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    await services.nc.jetstream().publish(f"attorn.in.{source}", payload, stream=subjects.INBOX)


async def taken_in(services: Services, within_s: float = 15.0) -> None:
    async def is_empty() -> bool:
        info = await services.nc.jetstream().stream_info(subjects.INBOX)
        return info.state.messages == 0

    await until(is_empty, within_s)


async def ids(services: Services, source: str) -> list[str]:
    """The ids on the stream of a source's work item, in order."""
    return [recorded.event.id for recorded in await services.ledger.read(f"work/{source}")]


# -- the door that answers


async def test_a_fact_is_recorded_to_the_letter_behind_what_the_service_says_of_it(
    doors: Services, source: str
) -> None:
    body = b'{ "specversion":"1.0","id":"1", "source":"/x",\n"type":"attorn.note.added.v1","subject":"work/%s",' % (
        source.encode()
    )
    body += b'"time":"2026-11-21T12:00:00+01:00","data":{"text":"\\u00e9"},"shade":"blue"}'
    answer = receipt(await doors.fact("crm", body))
    [recorded] = await doors.ledger.read(f"work/{source}")
    assert (answer.position, answer.stream, answer.event_id) == (recorded.position, f"work/{source}", "1")
    assert recorded.body == b'{"sequence":"0000000001","authid":"crm","authtype":"system",' + body[1:].strip()


async def test_a_batch_has_an_answer_for_each_of_its_facts_in_order(doors: Services, source: str) -> None:
    other = f"work/{source}-2"
    events = [note(source), note(source, "2", subject=other), note(source, "3"), note(source, "4", subject=other)]
    answers = [receipt(answer) for answer in await doors.facts("crm", events)]
    assert [answer.event_id for answer in answers] == ["1", "2", "3", "4"]
    assert await ids(doors, source) == ["1", "3"]
    assert [r.position for r in await doors.ledger.read(other)] == [answers[1].position, answers[3].position]


async def test_a_thousand_facts_are_one_batch(doors: Services, source: str) -> None:
    answers = await doors.facts("crm", [note(source, str(n)) for n in range(1_000)])
    first = receipt(answers[0]).position
    assert [receipt(answer).position for answer in answers] == list(range(first, first + 1_000))
    assert problem(await doors.fact("crm", json.dumps([note(source)] * 1_001).encode()), 400)


async def test_the_same_bytes_again_have_the_same_receipt(doors: Services, source: str) -> None:
    first = receipt(await doors.fact(source, note(source)))
    assert receipt(await doors.fact(source, note(source))).position == first.position
    again = [receipt(answer).position for answer in await doors.facts(source, [note(source), note(source)])]
    assert again == [first.position] * 2
    twice = [receipt(answer).position for answer in await doors.facts(source, [note(source, "2"), note(source, "2")])]
    assert twice[0] == twice[1]
    assert await ids(doors, source) == ["1", "2"]
    assert await quarantined(doors, source) == []


async def test_other_bytes_under_the_same_id_are_a_conflict_and_kept(doors: Services, source: str) -> None:
    receipt(await doors.fact(source, note(source)))
    other = json.dumps(note(source, text="seen otherwise")).encode()
    answer = problem(await doors.fact(source, other), 409)
    assert [(rule.rule, rule.field) for rule in answer.rules] == [("conflict", "id")]
    assert await ids(doors, source) == ["1"]
    [kept] = await quarantined(doors, source)
    assert kept.data == other
    assert kept.headers is not None
    assert kept.headers["Attorn-Status"] == "409"
    assert kept.headers["Attorn-Field"] == "id"
    assert "for other bytes" in kept.headers["Attorn-Reason"]
    assert kept.headers["Attorn-Digest"].startswith("sha256:")


async def test_the_same_id_for_another_stream_is_a_conflict(doors: Services, source: str) -> None:
    receipt(await doors.fact(source, note(source)))
    problem(await doors.fact(source, note(source, subject=f"work/{source}-2")), 409)
    assert not await doors.ledger.read(f"work/{source}-2")


async def test_a_conflict_in_a_batch_costs_the_others_nothing(doors: Services, source: str) -> None:
    receipt(await doors.fact(source, note(source)))
    events = [note(source, "2"), note(source, text="otherwise"), note(source, "3"), note(source, "3", "otherwise")]
    answers = await doors.facts(source, [*events, note(source, "1", subject=f"work/{source}-2"), note(source, "4")])
    assert [getattr(answer, "status", 200) for answer in answers] == [200, 409, 200, 409, 409, 200]
    assert await ids(doors, source) == ["1", "2", "3", "4"]
    assert len(await quarantined(doors, source)) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", None),
        (b"\xff\xfe", None),
        (b"{", None),
        (b"[]", None),
        (b"[{]", None),
        (b"7", None),
        (b'{"specversion":"1.0"}', "id"),
        (json.dumps(note("x", subject="work/a b")).encode(), "subject"),
        (json.dumps(note("x", subject="nothing/x")).encode(), "subject"),
        (json.dumps(note("x", time="yesterday")).encode(), "time"),
        (json.dumps(note("x", data={"text": 7})).encode(), "data.text"),
        (json.dumps(note("x", data={"text": "a", "colour": "red"})).encode(), "data.colour"),
        (json.dumps(note("x", sequence="0000000009")).encode(), "sequence"),
        (json.dumps(note("x", authid="somebody else")).encode(), "authid"),
        (b'{"id":"1","id":"2"}', "id"),
    ],
)
async def test_what_cannot_be_read_is_answered_with_the_field_and_kept(
    doors: Services, source: str, body: bytes, field: str | None
) -> None:
    before = await doors.ledger.last()
    answer = problem(await doors.fact(source, body), 400)
    assert answer.field == field
    assert await doors.ledger.last() == before
    [kept] = await quarantined(doors, source)
    assert kept.data == body
    assert kept.headers is not None
    assert kept.headers["Attorn-Status"] == "400"
    assert kept.headers.get("Attorn-Field") == field
    assert kept.headers["Attorn-Reason"]


async def test_one_unreadable_fact_in_a_batch_costs_the_others_nothing(doors: Services, source: str) -> None:
    answers = await doors.facts(source, [note(source), note(source, "2", time="soon"), note(source, "3")])
    assert [getattr(answer, "status", 200) for answer in answers] == [200, 400, 200]
    assert await ids(doors, source) == ["1", "3"]
    [kept] = await quarantined(doors, source)
    assert json.loads(kept.data)["id"] == "2"


async def test_a_type_that_nobody_knows_is_recorded_and_counted(doors: Services, source: str) -> None:
    data = {"order": 7, "lines": [{"sku": "A"}]}
    types = ["com.acme.order.placed", "com.acme.order.placed", "attorn.weather.turned.v3"]
    events = [note(source, str(n), type=type, data=data) for n, type in enumerate(types)]
    answers = [receipt(answer) for answer in await doors.facts(source, events)]
    found = await doors.ledger.read(f"work/{source}")
    assert [recorded.position for recorded in found] == [answer.position for answer in answers]
    assert [recorded.event.type for recorded in found] == types
    assert all(isinstance(recorded.event.data, Unknown) for recorded in found)
    # The trail has each under its own type: that is where they are counted and shown.
    rows = [timeline.apply(None, recorded, timeline.keys(recorded)[0]) for recorded in found]
    assert [row.type if row else None for row in rows] == types


async def test_a_fact_that_breaks_a_rule_is_recorded_and_says_which(doors: Services, source: str) -> None:
    data = {"title": "Refund", "accountable": "refunds-bot"}
    answer = receipt(await doors.fact(source, note(source, type="attorn.work.defined.v1", data=data)))
    assert ("accountable-human", "data.accountable") in [(rule.rule, rule.field) for rule in answer.warnings]
    assert await ids(doors, source) == ["1"]
    assert await quarantined(doors, source) == []


async def test_a_fact_about_work_that_nobody_defined_makes_it_known(doors: Services, source: str) -> None:
    started = note(source, type="attorn.execution.started.v1", data={"execution_id": "E-1", "executor": "crm"})
    rules = {rule.rule for rule in receipt(await doors.fact(source, started)).warnings}
    assert {"hidden-work", "unregistered-actor"} <= rules


# -- the door where JetStream answers


async def test_what_is_stored_is_recorded_in_order_and_acknowledged(doors: Services, source: str) -> None:
    for n in range(60):
        await store(doors, source, note(source, str(n)))
    await store(doors, source, [note(source, "60"), note(source, "61")])
    await taken_in(doors)
    assert await ids(doors, source) == [str(n) for n in range(62)]


async def test_what_is_stored_twice_is_recorded_once(doors: Services, source: str) -> None:
    for _ in range(2):
        await store(doors, source, note(source))
    await taken_in(doors)
    assert await ids(doors, source) == ["1"]


async def test_what_is_stored_and_cannot_be_recorded_is_kept_and_holds_nothing_up(doors: Services, source: str) -> None:
    bodies = [json.dumps(note(source)).encode(), b"{", json.dumps(note(source, text="otherwise")).encode()]
    for body in (*bodies, json.dumps(note(source, "2")).encode()):
        await store(doors, source, body)
    await taken_in(doors)
    assert await ids(doors, source) == ["1", "2"]
    assert [kept.data for kept in await quarantined(doors, source)] == bodies[1:]


async def test_what_is_stored_under_a_subject_that_names_no_source_is_kept(doors: Services, source: str) -> None:
    await store(doors, "a.b", note(source))
    await store(doors, "é", note(source, "2"))
    await taken_in(doors)
    assert await ids(doors, source) == []
    reasons = [kept.headers["Attorn-Reason"] for kept in await quarantined(doors, "_") if kept.headers]
    assert reasons == ["attorn.in.a.b names no source", "attorn.in.\\xe9 names no source"]


async def test_a_consumer_that_was_deleted_is_made_again(doors: Services, source: str) -> None:
    await doors.nc.jetstream().delete_consumer(subjects.INBOX, "intake")
    await store(doors, source, note(source))
    await taken_in(doors)
    assert await ids(doors, source) == ["1"]


# -- kills and restarts


@pytest.mark.faults
async def test_a_fact_survives_a_kill_between_its_arrival_and_its_recording(services: Services) -> None:
    async def publish() -> None:
        for n in range(300):
            await store(services, "crm", note("W-1", str(n)))

    async def is_at_work() -> bool:
        return await services.ledger.last() > 20

    publishing = asyncio.create_task(publish())
    await until(is_at_work)
    await services.kill()
    await publishing
    recorded = len(await ids(services, "W-1"))
    assert 0 < recorded < 300
    await services.start()
    await taken_in(services, 30)
    assert await ids(services, "W-1") == [str(n) for n in range(300)]


async def test_two_processes_take_in_one_order(services: Services, fresh_nats: Broker) -> None:
    second = Services(fresh_nats, services.nc, services.ledger, name="services-2")
    await second.start()
    try:
        for n in range(150):
            await store(services, "crm", note("W-1", str(n)))
        await taken_in(services)
        assert await ids(services, "W-1") == [str(n) for n in range(150)]
    finally:
        await second.kill()


async def _forgets_ids_soon(nc: Client) -> None:
    info = await ask(nc, f"STREAM.INFO.{subjects.LOG}")
    changed = info["config"] | {"duplicate_window": 100_000_000}
    assert "error" not in await ask(nc, f"STREAM.UPDATE.{subjects.LOG}", changed)


async def test_a_fact_is_known_again_for_ever_not_for_a_window(fresh_nats: Broker) -> None:
    """Also by services that never saw it, long after the broker has forgotten its id."""
    async with serving(fresh_nats, prepare=_forgets_ids_soon) as services:
        first = receipt(await services.fact("crm", note("W-1")))
        receipt(await services.fact("crm", note("W-1", "2")))
        await asyncio.sleep(0.5)
        for is_cold in (False, True):
            if is_cold:
                await services.kill()
                await services.start()
            again = receipt(await services.fact("crm", note("W-1")))
            assert again == msgspec.structs.replace(first, warnings=())
            problem(await services.fact("crm", note("W-1", text="otherwise")), 409)
        assert await ids(services, "W-1") == ["1", "2"]


async def test_a_log_that_does_not_answer_is_said_and_nothing_is_lost(services: Services, fresh_nats: Broker) -> None:
    """What is stored waits in the broker; the server is killed under the services and comes back."""
    for n in range(50):
        await store(services, "crm", note("W-1", str(n)))
    await fresh_nats.kill()
    await asyncio.sleep(0.5)
    await fresh_nats.restart()

    async def is_connected() -> bool:
        return services.nc.is_connected

    await until(is_connected)
    await taken_in(services, 30)
    assert await ids(services, "W-1") == [str(n) for n in range(50)]
    assert services.process.status is None


# -- what is larger than there is room for


async def test_what_fills_the_largest_message_is_kept_cut_and_holds_nothing_up(doors: Services, source: str) -> None:
    """With headers beside it, it would be larger than the broker takes, which closes the connection of who tries."""
    body = b"x" * (doors.nc.max_payload - 100)
    problem(await doors.fact(source, body), 400)
    await store(doors, source, body)
    await store(doors, source, note(source))
    await taken_in(doors)
    assert await ids(doors, source) == ["1"]
    kept = (await quarantined(doors, source))[0]
    assert kept.headers is not None and kept.headers["Attorn-Bytes"] == str(len(body))
    assert kept.headers["Attorn-Digest"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert len(kept.data) < len(body) and body.startswith(kept.data)


async def test_what_is_delivered_again_is_kept_once(doors: Services, source: str) -> None:
    """As when intake is killed between keeping it and acknowledging it."""
    for _ in range(2):
        problem(await doors.fact(source, b"{"), 400)
        await asyncio.sleep(0.3)
    assert len(await quarantined(doors, source)) == 1
