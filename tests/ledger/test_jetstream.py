"""What the ledger on JetStream does when answers are lost, servers die and others are faster: on a real nats-server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.ledger import Append
from attorn.contracts.refusal import Conflict, Refused, Unavailable
from attorn.services.ledger.follow import LogDamaged
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.provision import provision
from attorn.services.supervise.server import HOST, Broker
from configured import configured
from sample_log import ask, connected, entries, entry, everything, fact, pages_until

pytest_plugins = ["broker"]


@pytest_asyncio.fixture(loop_scope="session")
async def fresh_log(fresh_nats: Broker) -> Broker:
    """A server of your own with an empty log."""
    nc = await nats.connect(fresh_nats.url)
    await provision(nc)
    await nc.close()
    return fresh_nats


@pytest.fixture
def log(jetstream: JetStreamLedger) -> JetStreamLedger:
    return jetstream


@pytest.fixture
def admin(empty_nats: Client) -> Client:
    return empty_nats


@pytest.fixture
def url(log_server: Broker) -> str:
    return log_server.url


@asynccontextmanager
async def frozen(broker: Broker, seconds: float) -> AsyncIterator[None]:
    """The server is stopped in its tracks as the block begins, and goes on `seconds` later, or at the block's end."""
    broker.freeze()
    thawing = asyncio.get_running_loop().call_later(seconds, broker.thaw)
    try:
        yield
    finally:
        thawing.cancel()
        broker.thaw()


def bodies(recorded: list[Recorded]) -> list[bytes]:
    return [each.body for each in recorded]


async def test_an_append_whose_answer_was_lost_succeeds_and_is_stored_once(fresh_log: Broker) -> None:
    async with connected(fresh_log.url, timeout=0.2) as (_, ledger):
        await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1))
        async with frozen(fresh_log, 0.7):
            position = await ledger.append("work/W-1", 1, entries("work/W-1", 2, 2))

        assert position == 2
        assert bodies(await everything(ledger)) == [each.body for each in entries("work/W-1", 1, 2)]


async def test_a_fact_whose_answer_was_lost_succeeds_and_is_stored_once(fresh_log: Broker) -> None:
    async with connected(fresh_log.url, timeout=0.2) as (_, ledger):
        await ledger.last()
        async with frozen(fresh_log, 0.7):
            assert await ledger.append("work/W-1", 0, [fact("work/W-1", 1, "7")]) == 1

        assert await ledger.last() == 1


async def test_a_batch_whose_answer_was_lost_succeeds_and_is_stored_once(fresh_log: Broker) -> None:
    appends = [Append(f"work/W-{number}", 0, tuple(entries(f"work/W-{number}", 1, 2))) for number in range(50)]
    async with connected(fresh_log.url, timeout=0.2) as (_, ledger):
        await ledger.last()
        async with frozen(fresh_log, 0.7):
            ends = await ledger.append_all(appends)

        assert ends == list(range(2, 101, 2))
        assert await ledger.last() == 100


async def test_of_two_whose_answers_were_lost_one_succeeds_and_one_is_told_of_the_conflict(fresh_log: Broker) -> None:
    async with (
        connected(fresh_log.url, timeout=0.2) as (_, one),
        connected(fresh_log.url, timeout=0.2) as (_, other),
    ):
        await asyncio.gather(one.last(), other.last())
        async with frozen(fresh_log, 0.7):
            outcomes = await asyncio.gather(
                one.append("work/W-1", 0, [entry("work/W-1", 1, "One")]),
                other.append("work/W-1", 0, [entry("work/W-1", 1, "Other")]),
                return_exceptions=True,
            )

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "int"]
        winner = "One" if outcomes[0] == 1 else "Other"
        assert [recorded.event.data.title for recorded in await one.read("work/W-1")] == [winner]


async def test_an_outcome_that_stays_unknown_is_said_to_be_and_asking_again_tells(fresh_log: Broker) -> None:
    async with connected(fresh_log.url, timeout=0.2, patience=0.5) as (_, ledger):
        await ledger.last()
        async with frozen(fresh_log, 60):
            with pytest.raises(Unavailable) as unavailable:
                await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1))
        assert unavailable.value.recorded == "unknown"

        assert await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1)) == 1
        # Whatever was under way has arrived by now.
        await ledger.append("work/W-2", 0, entries("work/W-2", 1, 1))
        assert await ledger.last() == 2


async def test_without_a_connection_it_is_said_at_once_that_nothing_was_recorded(fresh_log: Broker) -> None:
    async with connected(fresh_log.url) as (nc, ledger):
        await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1))
        await fresh_log.kill()
        await until(lambda: not nc.is_connected)

        started = time.monotonic()
        with pytest.raises(Unavailable, match="not connected") as unavailable:
            await ledger.append("work/W-1", 1, entries("work/W-1", 2, 2))
        with pytest.raises(Unavailable, match="not connected"):
            await ledger.read("work/W-1")
        assert unavailable.value.recorded == "no"
        assert time.monotonic() - started < 0.1

        await fresh_log.restart()
        await until(lambda: nc.is_connected)
        await asyncio.sleep(0.1)
        assert await ledger.last() == 1


async def test_every_acknowledged_event_is_there_once_after_kills(fresh_log: Broker) -> None:
    async with connected(fresh_log.url) as (_, ledger):
        acknowledged: dict[str, int] = {}
        is_over = False

        async def write(writer: int) -> None:
            version = 0
            while not is_over:
                stream = f"work/W-{writer}-{version // 20}"
                place = version % 20
                if writer % 2:
                    batch = entries(stream, place + 1, place + 5)
                else:
                    batch = entries(stream, place + 1, place + 1)
                try:
                    end = await ledger.append(stream, place, batch)
                except Unavailable:
                    await asyncio.sleep(0.02)
                    continue
                for back, each in enumerate(reversed(batch)):
                    acknowledged[each.body.decode()] = end - back
                version += len(batch)

        writers = [asyncio.create_task(write(writer)) for writer in range(6)]
        for _ in range(3):
            await asyncio.sleep(0.25)
            await fresh_log.kill()
            await fresh_log.restart()
        await asyncio.sleep(0.25)
        is_over = True
        await asyncio.gather(*writers)

        stored = await everything(ledger)
        assert len(acknowledged) > 100
        assert {recorded.body.decode(): recorded.position for recorded in stored} == acknowledged
        assert len(stored) == len(acknowledged)


async def test_what_one_ledger_remembers_of_a_stream_another_may_have_changed(log: JetStreamLedger, url: str) -> None:
    async with connected(url) as (_, other):
        await log.append("work/W-1", 0, entries("work/W-1", 1, 1))
        assert await other.append("work/W-1", 1, entries("work/W-1", 2, 2)) == 2

        with pytest.raises(Conflict, match="is at 2, not 1"):
            await log.append("work/W-1", 1, [entry("work/W-1", 2, "Late")])
        assert await log.append("work/W-1", 2, entries("work/W-1", 3, 3)) == 3
        # Another process recorded the very same: that is no conflict.
        assert await other.append("work/W-1", 2, entries("work/W-1", 3, 3)) == 3
        assert await other.append("work/W-1", 3, entries("work/W-1", 4, 4)) == 4


async def test_only_so_many_heads_are_remembered(log: JetStreamLedger, url: str) -> None:
    async with connected(url, heads=2) as (_, ledger):
        for version in (1, 2):
            for number in range(5):
                stream = f"work/W-{number}"
                await ledger.append(stream, version - 1, entries(stream, version, version))

    assert await log.last() == 10


async def test_a_fact_refused_by_its_id_can_be_recorded_where_it_is(log: JetStreamLedger, url: str) -> None:
    await log.append("work/W-1", 0, [fact("work/W-1", 1, "7")])
    async with connected(url) as (_, other):
        # The other process knows neither stream: the log itself does.
        with pytest.raises(Refused, match="position 1 in work/W-1"):
            await other.append_all(
                [Append("work/W-2", 0, (fact("work/W-2", 1, "7"),)), Append("work/W-3", 0, (fact("work/W-3", 1, "8"),))]
            )
        assert await other.append("work/W-1", 0, [fact("work/W-1", 1, "7")]) == 1
    assert await log.last() == 1


async def test_a_publish_that_is_not_permitted_says_so_at_once(tmp_path: Path) -> None:
    permissions = """
        authorization { users: [
            { user: admin, password: a }
            { user: service, password: s, permissions: { publish: { allow: [">"], deny: ["attorn.ev.policy.>"] } } }
            { user: reader, password: r, permissions: { publish: { deny: ["$JS.API.CONSUMER.CREATE.>"] } } }
        ] }
    """
    async with configured(tmp_path, permissions) as port:
        nc = await nats.connect(f"nats://admin:a@{HOST}:{port}")
        await provision(nc)
        await nc.close()
        async with connected(f"nats://service:s@{HOST}:{port}") as (_, ledger):
            started = time.monotonic()
            with pytest.raises(Unavailable, match=r"not permitted to publish to attorn\.ev\.policy\.") as unavailable:
                await ledger.append("policy/P-1", 0, entries("policy/P-1", 1, 1))
            assert unavailable.value.recorded == "no"
            with pytest.raises(Unavailable, match="not permitted"):
                await ledger.append_all(
                    [Append(stream, 0, tuple(entries(stream, 1, 1))) for stream in ("policy/P-1", "work/W-1")]
                )
            assert time.monotonic() - started < 1
            assert await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1)) == 1
        async with connected(f"nats://reader:r@{HOST}:{port}") as (_, ledger):
            with pytest.raises(Unavailable, match=r"not permitted to publish to \$js\.api\.consumer\.create"):
                await everything(ledger)


async def test_a_log_without_room_says_so_and_a_torn_batch_is_completed_when_there_is(tmp_path: Path) -> None:
    def batch(number: int) -> list[Entry]:
        return [entry(f"work/W-{number}", version, "x" * 200) for version in range(1, 101)]

    full = 0
    async with (
        configured(tmp_path, "", jetstream="max_file_store: 1MB") as port,
        connected(f"nats://{HOST}:{port}", timeout=0.3) as (nc, ledger),
    ):
        await provision(nc)
        with pytest.raises(Unavailable, match="the log refused: insufficient resources") as unavailable:
            for full in range(100):
                await ledger.append(f"work/W-{full}", 0, batch(full))
        # The server stored a part of the last one and did not answer; nobody is told that nothing was recorded.
        assert unavailable.value.recorded == "unknown"
        assert 100 * full < await ledger.last() < 100 * (full + 1)
        with pytest.raises(Unavailable, match="the log refused: insufficient resources") as unavailable:
            await ledger.append("work/W-other", 0, entries("work/W-other", 1, 1))
        assert unavailable.value.recorded == "no"
    async with configured(tmp_path, "") as port, connected(f"nats://{HOST}:{port}") as (nc, ledger):
        assert await ledger.append(f"work/W-{full}", 0, batch(full)) == 100 * (full + 1)
        assert bodies(list(await ledger.read(f"work/W-{full}"))) == [each.body for each in batch(full)]


async def test_without_the_stream_readers_and_writers_are_told_to_provision(fresh_nats: Broker) -> None:
    async with connected(fresh_nats.url, timeout=0.2, patience=0.5) as (_, ledger):
        with pytest.raises(Unavailable, match="there is no stream ATTORN"):
            await everything(ledger)
        with pytest.raises(Unavailable, match=r"stream not found|nobody answers") as unavailable:
            await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1))
        assert unavailable.value.recorded == "no"


async def test_a_follower_outlives_its_consumer(log: JetStreamLedger, admin: Client) -> None:
    following = asyncio.create_task(pages_until(log, 600))
    for version in range(1, 601):
        await log.append("work/W-1", version - 1, entries("work/W-1", version, version))
        if version % 150 == 0:
            await delete_consumers(admin)

    async with asyncio.timeout(10):
        assert positions(await following) == list(range(1, 601))


async def test_an_idle_follower_outlives_its_consumer(log: JetStreamLedger, admin: Client) -> None:
    await log.append("work/W-1", 0, entries("work/W-1", 1, 1))
    async with aclosing(log.follow()) as pages:
        await anext(pages)
        waiting = asyncio.ensure_future(anext(pages))
        await asyncio.sleep(0.1)
        await delete_consumers(admin)
        await asyncio.sleep(0.1)
        await log.append("work/W-1", 1, entries("work/W-1", 2, 2))
        async with asyncio.timeout(5):
            assert [recorded.position for recorded in (await waiting).recorded] == [2]


async def test_followers_outlive_the_server_and_miss_nothing(fresh_log: Broker) -> None:
    async with connected(fresh_log.url) as (_, writer), connected(fresh_log.url) as (_, reader):
        following = asyncio.create_task(pages_until(reader, 400))
        for version in range(1, 401):
            while True:
                try:
                    await writer.append("work/W-1", version - 1, entries("work/W-1", version, version))
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
            if version == 100:
                await fresh_log.kill()
                await fresh_log.restart()
            elif version == 200:
                await fresh_log.restart()
            elif version == 300:
                fresh_log.freeze()
                await asyncio.sleep(2)
                fresh_log.thaw()

        async with asyncio.timeout(10):
            assert positions(await following) == list(range(1, 401))


async def test_a_follower_that_starts_before_the_server_waits_for_it(fresh_log: Broker) -> None:
    async with connected(fresh_log.url) as (nc, ledger):
        await ledger.append("work/W-1", 0, entries("work/W-1", 1, 3))
        await fresh_log.kill()
        await until(lambda: not nc.is_connected)
        following = asyncio.create_task(pages_until(ledger, 3))
        await asyncio.sleep(0.2)
        await fresh_log.restart()

        async with asyncio.timeout(5):
            assert positions(await following) == [1, 2, 3]


async def test_a_follower_goes_on_though_its_process_is_busy_over_and_over(log: JetStreamLedger) -> None:
    """Longer than an answer is waited for, and than a heartbeat may be missing."""
    await log.append_all([Append("work/W-1", 0, tuple(entries("work/W-1", 1, 300)))])

    async def be_busy() -> None:
        while True:
            time.sleep(2.3)  # noqa: ASYNC251 - that is what it is about
            for _ in range(8):
                await asyncio.sleep(0)

    busy = asyncio.create_task(be_busy())
    try:
        async with asyncio.timeout(25):
            assert positions(await pages_until(log, 300)) == list(range(1, 301))
    finally:
        busy.cancel()


async def test_a_follower_whose_connection_is_closed_for_good_says_so(log: JetStreamLedger, url: str) -> None:
    async with connected(url) as (nc, ledger):
        following = asyncio.create_task(pages_until(ledger, 1))
        await asyncio.sleep(0.1)
        await nc.close()
        with pytest.raises(Unavailable, match="closed"):
            async with asyncio.timeout(3):
                await following


@pytest.mark.slow
async def test_a_slow_follower_misses_nothing_and_holds_little(log: JetStreamLedger) -> None:
    for first in range(1, 12_001, 1000):
        await log.append("work/W-1", first - 1, entries("work/W-1", first, first + 999))

    seen: list[int] = []
    async with aclosing(log.follow()) as pages:
        async for page in pages:
            seen += [recorded.position for recorded in page.recorded]
            assert len(page.recorded) <= 2_000
            # Longer than heartbeats are waited for, and once with everything else stopped too.
            if len(seen) == 4_000:
                await asyncio.sleep(2)
            elif len(seen) == 6_000:
                time.sleep(2)  # noqa: ASYNC251 - a reader that hogs the loop is what this is about
            if not page.pending:
                break

    assert seen == list(range(1, 12_001))


async def test_large_events_are_followed_within_bounds(log: JetStreamLedger) -> None:
    for number in range(60):
        stream = f"work/W-{number}"
        [small] = entries(stream, 1, 1)
        large = small.body[:-1] + b',"padding":"' + b"x" * 900_000 + b'"}'
        await log.append(stream, 0, [type(small)(small.event, large)])

    assert [recorded.position for recorded in await everything(log)] == list(range(1, 61))


async def test_a_follower_refuses_a_log_that_ends_before_its_position(log: JetStreamLedger) -> None:
    await log.append("work/W-1", 0, entries("work/W-1", 1, 3))

    with pytest.raises(LogDamaged, match="ends at position 3, and its reader is at 7 already") as damaged:
        await everything(log, after=7)
    assert (damaged.value.reader, damaged.value.log) == (7, 3)


@pytest.mark.parametrize(("missing", "position"), [((1, 2), 3), ((3,), 4)])
async def test_a_follower_refuses_a_log_with_a_hole(
    log: JetStreamLedger, admin: Client, missing: tuple[int, ...], position: int
) -> None:
    await ask(admin, "STREAM.DELETE.ATTORN")
    await ask(admin, "STREAM.CREATE.ATTORN", {"name": "ATTORN", "subjects": ["attorn.ev.>"], "allow_direct": True})
    for number in range(1, 6):
        await log.append(f"work/W-{number}", 0, entries(f"work/W-{number}", 1, 1))
    for each in missing:
        await ask(admin, "STREAM.MSG.DELETE.ATTORN", {"seq": each})

    with pytest.raises(LogDamaged) as damaged:
        await pages_until(log, 5)
    assert (damaged.value.reader, damaged.value.log) == (missing[0] - 1, position)


async def test_a_follower_leaves_no_consumer_behind(log: JetStreamLedger, admin: Client) -> None:
    await log.append("work/W-1", 0, entries("work/W-1", 1, 3))
    await everything(log)

    async with asyncio.timeout(2):
        while (await ask(admin, "CONSUMER.NAMES.ATTORN"))["consumers"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def positions(pages: list[Any]) -> list[int]:
    return [recorded.position for page in pages for recorded in page.recorded]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for sets no Event
            await asyncio.sleep(0.01)


async def delete_consumers(admin: Client) -> None:
    for name in (await ask(admin, "CONSUMER.NAMES.ATTORN"))["consumers"] or ():
        await ask(admin, f"CONSUMER.DELETE.ATTORN.{name}")
