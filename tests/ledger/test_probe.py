"""Whether the log would take an append is found out without one, on real nats-servers: with room and without."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from nats.aio.client import Client

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
            standing.begin(directory, Wire(nc), Wire(nc))
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
