"""Whether the log would take an append is found out without one, on real nats-servers: with room and without."""

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg

from attorn.contracts import subjects
from attorn.services.about import about
from attorn.services.directory import LiveDirectory
from attorn.services.ledger import probe
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.wire import Wire
from attorn.services.measured import MeasuredLedger
from attorn.services.provision import provision
from attorn.services.relay.app import Progress
from attorn.services.status import Standing
from attorn.services.supervise.server import HOST
from attorn_services import Services, until
from configured import configured
from sample_log import connected, entries, everything


async def test_a_log_with_room_would_take_an_append_and_nothing_is_stored_by_asking(
    empty_nats: Client, jetstream: JetStreamLedger
) -> None:
    async def state() -> tuple[int, int, int]:
        state = (await empty_nats.jetstream().stream_info(subjects.LOG)).state
        return state.messages, state.last_seq, state.bytes

    before, wire = await state(), Wire(empty_nats)
    # More often than the server would keep batches open, so that what is asked leaves none behind.
    for _ in range(120):
        assert await probe.trouble(wire, timeout=2) is None
    assert await state() == before == (0, 0, 0)
    assert await jetstream.append("work/W-1", 0, entries("work/W-1", 1, 1)) == 1
    assert await probe.trouble(wire, timeout=2) is None
    assert len(await everything(jetstream)) == 1


async def test_a_full_log_is_not_ready_although_nobody_has_tried_to_append(tmp_path: Path) -> None:
    async with (
        configured(tmp_path, "", jetstream="max_file_store: 1MB") as port,
        connected(f"nats://{HOST}:{port}") as (nc, ledger),
        connected(f"nats://{HOST}:{port}") as (other, filling),
    ):
        await provision(nc)
        measured = MeasuredLedger(ledger)
        standing = Standing(measured, Progress(), partial(about, "services", nc, datetime.now(UTC)))
        async with LiveDirectory(measured).following() as directory:
            standing.begin(directory, Wire(nc), Wire(nc), probe_every_s=0)
            assert set((await standing.status()).checks.values()) == {None}
            await filling.append("work/W-1", 0, entries("work/W-1", 1, 1))
            while b'"error"' not in (await other.request("attorn.ev.work.W-2", bytes(20_000), timeout=2)).data:
                pass
            found = await standing.status()
        assert measured.wrong is None
        wrong = {name: why for name, why in found.checks.items() if why is not None}
        assert wrong == {"append": "the log refused: insufficient resources"}
        assert [each.event.subject for each in await ledger.read("work/W-1")] == ["work/W-1"]


async def test_a_log_that_is_not_there_or_does_not_answer_is_told_apart(tmp_path: Path) -> None:
    async with configured(tmp_path, "") as port, connected(f"nats://{HOST}:{port}") as (nc, _):
        assert "nobody answers" in (await probe.trouble(Wire(nc), timeout=2) or "")
        # The log's own subjects, on a stream that takes no batches: as good as none, since attorn appends in batches.
        await nc.jetstream().add_stream(name=subjects.LOG, subjects=["attorn.ev.>"])
        assert "atomic publish is disabled" in (await probe.trouble(Wire(nc), timeout=2) or "")
        await nc.jetstream().delete_stream(subjects.LOG)
        await nc.subscribe("attorn.ev.>")
        assert await probe.trouble(Wire(nc), timeout=0.1) == "no answer from the log within 0.1 s"


async def test_however_many_ask_the_log_is_probed_once_in_a_while(
    empty_nats: Client, jetstream: JetStreamLedger
) -> None:
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    await empty_nats.subscribe(probe.SUBJECT, cb=hear)
    one = probe.Probe(Wire(empty_nats), timeout=2, every_s=0.3)
    assert await asyncio.gather(*(one.trouble() for _ in range(200))) == [None] * 200
    for _ in range(200):
        assert await one.trouble() is None
    await empty_nats.flush()
    assert len(heard) == 2, "the two messages of one batch"
    await asyncio.sleep(0.3)
    assert await asyncio.gather(*(one.trouble() for _ in range(200))) == [None] * 200
    await empty_nats.flush()
    assert len(heard) == 4
    assert await jetstream.last() == 0


async def test_who_gives_up_waiting_takes_the_answer_from_nobody_else(tmp_path: Path) -> None:
    async with configured(tmp_path, "") as port, connected(f"nats://{HOST}:{port}") as (nc, _):
        await nc.subscribe("attorn.ev.>")  # nobody answers
        one = probe.Probe(Wire(nc), timeout=0.2)
        patient = asyncio.create_task(one.trouble())
        try:
            await asyncio.wait_for(one.trouble(), 0.05)
            raise AssertionError("it answered")
        except TimeoutError:
            pass
        assert await patient == await one.trouble() == "no answer from the log within 0.2 s"
        # What is wrong is asked about again soon, so that its end is seen.
        await provision(nc)
        async with asyncio.timeout(probe.TROUBLED_S + 1):
            while await one.trouble() is not None:  # noqa: ASYNC110 - the server is asked, it sets no Event
                await asyncio.sleep(0.1)


async def test_the_services_answer_all_who_ask_with_one_probe(services: Services) -> None:
    heard: list[Msg] = []
    answers: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    async def hear_answer(message: Msg) -> None:
        answers.append(message)

    inbox = services.nc.new_inbox()
    await services.nc.subscribe(probe.SUBJECT, cb=hear)
    await services.nc.subscribe(inbox, cb=hear_answer)
    for _ in range(100):
        await services.nc.publish(subjects.query("services"), b"", reply=inbox)

    async def answered() -> bool:
        return len(answers) == 100

    await until(answered)
    assert len(heard) == 2, "the two messages of one batch"
    checks = [json.loads(each.data)["result"]["checks"] for each in answers]
    assert checks == [dict.fromkeys(checks[0])] * 100
