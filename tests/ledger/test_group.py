"""Group commit: what is in flight together is recorded together, who fails fails alone; on a real nats-server."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from attorn.contracts import subjects
from attorn.contracts.ledger import Append
from attorn.contracts.refusal import Conflict, Refused, Unavailable
from attorn.services.ledger import group
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.patience import left, within
from attorn.services.provision import provision
from attorn.services.supervise.server import HOST, Broker
from configured import configured
from sample_log import connected, entries, entry, everything, fact

MANY = 200


def streams(count: int = MANY) -> list[str]:
    return [f"work/W-{number}" for number in range(count)]


async def append_each(log: JetStreamLedger, names: Sequence[str], expected: int = 0) -> list[int | BaseException]:
    """One more event for each stream, all in flight at once."""
    return await asyncio.gather(
        *(log.append(name, expected, [entry(name, expected + 1)]) for name in names), return_exceptions=True
    )


async def batch_of(nc: Client, position: int) -> str | None:
    """Which batch the event at a position came in; none when it came alone."""
    msg = await nc.jetstream().get_msg(subjects.LOG, position)
    return (msg.headers or {}).get("Nats-Batch-Id")


async def test_what_is_in_flight_together_is_recorded_in_few_batches(
    jetstream: JetStreamLedger, empty_nats: Client
) -> None:
    names = streams()
    for version in (0, 1):
        ends = await append_each(jetstream, names, version)
        assert sorted(ends) == list(range(version * MANY + 1, version * MANY + MANY + 1))  # type: ignore[type-var]

    log = await everything(jetstream)
    assert len(log) == 2 * MANY
    assert {recorded.stream: recorded.position for recorded in log[MANY:]} == dict(zip(names, ends, strict=True))
    batches = Counter([await batch_of(empty_nats, position) for position in range(1, 2 * MANY + 1)])
    # The last few of each time may be too few for a batch of their own.
    assert batches.pop(None, 0) < 2 * group.BREAK_EVEN
    assert len(batches) <= 4


async def test_one_alone_is_not_kept_waiting_for_company(jetstream: JetStreamLedger, empty_nats: Client) -> None:
    for version in range(1, 4):
        position = await jetstream.append("work/W-1", version - 1, entries("work/W-1", version, version))
        assert await batch_of(empty_nats, position) is None


async def test_a_few_are_published_each_alone(jetstream: JetStreamLedger, empty_nats: Client) -> None:
    ends = await append_each(jetstream, streams(group.BREAK_EVEN - 1))

    assert [await batch_of(empty_nats, position) for position in range(1, len(ends) + 1)] == [None] * len(ends)


@pytest.mark.parametrize("late", [[0], [MANY - 1], [3, 77, 78, 150]])
async def test_a_conflict_fails_its_author_alone(
    jetstream: JetStreamLedger, log_server: Broker, late: list[int]
) -> None:
    names = streams()
    async with connected(log_server.url) as (_, other):
        for number in late:
            await other.append(names[number], 0, [entry(names[number], 1, "Faster")])
        # This ledger knows of none of them, and takes each stream to be new.
        outcomes = await append_each(jetstream, names)

    failed = {number: outcome for number, outcome in enumerate(outcomes) if not isinstance(outcome, int)}
    assert sorted(failed) == late
    assert all(isinstance(failure, Conflict) and failure.actual == 1 for failure in failed.values())
    recorded = {each.stream: each.position for each in await everything(jetstream)}
    assert len(recorded) == MANY
    assert all(recorded[names[number]] == end for number, end in enumerate(outcomes) if number not in failed)


async def test_of_two_appends_to_one_stream_in_one_moment_one_wins(jetstream: JetStreamLedger) -> None:
    names = [*streams(30), "work/W-7", "work/W-8"]
    outcomes = await asyncio.gather(
        *(jetstream.append(name, 0, [entry(name, 1, f"{number}")]) for number, name in enumerate(names)),
        return_exceptions=True,
    )

    assert [type(outcome).__name__ for outcome in outcomes] == ["int"] * 30 + ["Conflict"] * 2
    assert await jetstream.last() == 30


async def test_a_fact_whose_id_was_used_is_refused_alone(jetstream: JetStreamLedger, log_server: Broker) -> None:
    async with connected(log_server.url) as (_, other):
        await other.append("work/W-first", 0, [fact("work/W-first", 1, "id-40")])
    names = streams(60)
    outcomes = await asyncio.gather(
        *(jetstream.append(name, 0, [fact(name, 1, f"id-{number}")]) for number, name in enumerate(names)),
        jetstream.append("work/W-again", 0, [fact("work/W-again", 1, "id-3")]),
        return_exceptions=True,
    )

    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Refused)] == [40, 60]
    assert await jetstream.last() == 60


async def test_what_was_recorded_by_an_earlier_try_counts_as_recorded(
    jetstream: JetStreamLedger, log_server: Broker
) -> None:
    names = streams(50)
    async with connected(log_server.url) as (_, other):
        first = [await other.append(name, 0, [entry(name, 1)]) for name in names[:5]]

        assert (await append_each(jetstream, names))[:5] == first
    assert await jetstream.last() == 50


async def test_appends_of_several_events_stay_whole_among_the_others(jetstream: JetStreamLedger) -> None:
    whole = [Append(f"work/T-{number}", 0, tuple(entries(f"work/T-{number}", 1, 3))) for number in range(40)]
    pairs = [whole[number : number + 2] for number in range(0, 40, 2)]
    await jetstream.append("work/T-5", 0, [entry("work/T-5", 1, "Faster")])
    outcomes = await asyncio.gather(
        append_each(jetstream, streams(50)),
        *(jetstream.append_all(pair) for pair in pairs),
        return_exceptions=True,
    )

    assert [number for number, outcome in enumerate(outcomes[1:]) if isinstance(outcome, Conflict)] == [2]
    lengths = [len(await jetstream.read(f"work/T-{number}")) for number in range(40)]
    assert lengths == [3, 3, 3, 3, 0, 1] + [3] * 34
    log = [recorded.stream for recorded in await everything(jetstream)]
    for pair, ends in zip(pairs, outcomes[1:], strict=True):
        if isinstance(ends, list):
            assert log[ends[1] - 6 : ends[1]] == [pair[0].stream] * 3 + [pair[1].stream] * 3


async def test_who_gives_up_takes_nobody_along(jetstream: JetStreamLedger) -> None:
    tasks = [asyncio.create_task(jetstream.append(name, 0, [entry(name, 1)])) for name in streams(60)]
    await asyncio.sleep(0)
    for task in tasks[::7]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(outcome, int) for number, outcome in enumerate(outcomes) if number % 7)
    assert await jetstream.last() >= len([number for number in range(60) if number % 7])
    assert (await append_each(jetstream, streams(20), 1)).count(None) == 0  # type: ignore[arg-type]


async def test_a_message_that_is_too_large_is_refused_and_the_connection_stays(jetstream: JetStreamLedger) -> None:
    outcomes = await asyncio.gather(
        append_each(jetstream, streams(30)),
        jetstream.append("work/W-large", 0, [entry("work/W-large", 1, "x" * 9_000_000)]),
        return_exceptions=True,
    )

    assert isinstance(outcomes[1], Unavailable) and "larger than the broker takes" in outcomes[1].reason
    assert await jetstream.last() == 30


async def test_more_than_a_batch_holds_is_recorded_in_several(jetstream: JetStreamLedger) -> None:
    ends = await append_each(jetstream, streams(2_300))

    assert sorted(ends) == list(range(1, 2_301))  # type: ignore[type-var]


async def test_what_is_not_permitted_fails_at_once_and_the_others_are_recorded(tmp_path: Path) -> None:
    users = """
        authorization { users: [
            { user: admin, password: a }
            { user: service, password: s, permissions: { publish: { allow: [">"], deny: ["attorn.ev.policy.>"] } } }
        ] }
    """
    async with configured(tmp_path, users) as port:
        nc = await nats.connect(f"nats://admin:a@{HOST}:{port}")
        await provision(nc)
        await nc.close()
        async with connected(f"nats://service:s@{HOST}:{port}") as (_, ledger):
            await ledger.last()
            for place in (0, 20, 39):  # the first of a batch, one within, and the one that commits it
                names = [f"work/W-{place}-{number}" for number in range(40)]
                names[place] = f"policy/P-{place}"
                started = time.monotonic()
                told: list[float] = []

                async def denied(name: str, started: float = started, told: list[float] = told) -> None:
                    with pytest.raises(Unavailable, match="not permitted to publish") as unavailable:
                        await ledger.append(name, 0, [entry(name, 1)])
                    told.append(time.monotonic() - started)
                    assert unavailable.value.recorded == "no"

                others = (ledger.append(name, 0, [entry(name, 1)]) for name in names if name[0] == "w")
                await asyncio.gather(*others, denied(names[place]))
                assert told[0] < 0.1
            assert await ledger.last() == 3 * 39


async def test_nothing_is_tried_for_longer_than_its_author_waits(fresh_nats: Broker) -> None:
    async with connected(fresh_nats.url) as (nc, ledger):
        await provision(nc)
        await append_each(ledger, streams(30))
        fresh_nats.freeze()
        try:
            for names in (["work/W-1"], streams(30)):
                started = time.monotonic()
                with within(0.3):
                    outcomes = await append_each(ledger, names, 1)
                assert time.monotonic() - started < 0.8
                assert {type(outcome) for outcome in outcomes} == {Unavailable}
                assert {outcome.recorded for outcome in outcomes if isinstance(outcome, Unavailable)} == {"unknown"}
            with within(0.2), pytest.raises(Unavailable):
                await ledger.read("work/W-1")
        finally:
            fresh_nats.thaw()


async def test_a_bound_only_shrinks() -> None:
    assert left(5.0) == 5.0
    with within(1.0), within(60.0):
        assert 0.5 < left(5.0) <= 1.0
        assert left(0.1) == 0.1
    with within(-1.0):
        assert left(5.0) == 0.0
    assert left(5.0) == 5.0
