"""What the ledger on a database does beyond the common suite: two processes, ids with gaps, a log opened again."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing, closing
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from postgresql import server

from attorn.contracts.ledger import Append, Ledger
from attorn.contracts.refusal import Conflict, Refused, Unavailable
from attorn.services.ledger.follow import LogDamaged
from attorn.services.ledger.recorder import RecorderLedger, on_postgres, on_sqlite
from sample_log import entries, entry, everything, fact

Open: TypeAlias = Callable[[], RecorderLedger]

numbers = count(1)


@pytest.fixture(params=["sqlite", "postgresql"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one and the same log once more, with connections of its own, as another process would."""
    table = f"shared_{next(numbers)}"
    with ExitStack() as opened:

        def open() -> RecorderLedger:
            if request.param == "sqlite":
                return opened.enter_context(closing(on_sqlite(tmp_path / "log.sqlite")))
            return opened.enter_context(closing(on_postgres(request.getfixturevalue("postgres"), table=table)))

        yield open


async def test_of_two_processes_that_append_at_once_each_event_gets_a_position_of_its_own(another: Open) -> None:
    both = another(), another()

    async def write(ledger: Ledger, writer: int) -> None:
        for number in range(40):
            stream = f"work/W-{writer}-{number}"
            await ledger.append_all([Append(stream, 0, tuple(entries(stream, 1, 2)))])

    await asyncio.gather(*(write(ledger, writer) for writer, ledger in enumerate(both)))

    found = await everything(both[0])
    assert [recorded.position for recorded in found] == list(range(1, 161))
    assert found == await everything(both[1])


async def test_of_two_processes_one_wins_each_version(another: Open) -> None:
    both = another(), another()
    for version in range(1, 21):
        outcomes = await asyncio.gather(
            *(
                ledger.append("work/W-1", version - 1, [entry("work/W-1", version, f"Rival {number}")])
                for number, ledger in enumerate(both)
            ),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "int"]
        assert version in outcomes


async def test_a_follower_sees_what_another_process_appends(another: Open) -> None:
    writer, reader = another(), another()
    async with aclosing(reader.follow()) as pages:
        assert not (await anext(pages)).recorded
        await writer.append("work/W-1", 0, entries("work/W-1", 1, 2))
        async with asyncio.timeout(5):
            assert [recorded.position for recorded in (await anext(pages)).recorded] == [1, 2]


async def test_a_log_that_is_opened_again_is_as_it_was(another: Open) -> None:
    ledger = another()
    await ledger.append("work/W-1", 0, [fact("work/W-1", 1, "7")])
    await ledger.append("participant/mira", 0, entries("participant/mira", 1, 3))
    before = await everything(ledger)

    again = another()

    assert await everything(again) == before
    assert [recorded.position for recorded in await everything(again, after=2)] == [3, 4]
    assert await again.last("work") == 1
    with pytest.raises(Refused, match="at position 1 in work/W-1"):
        await again.append("work/W-2", 0, [fact("work/W-2", 1, "7")])
    with pytest.raises(Conflict, match="participant/mira is at 3, not 0"):
        await again.append("participant/mira", 0, [entry("participant/mira", 1, "Another")])


async def test_ids_that_the_database_used_up_in_vain_leave_no_gap_in_the_log(another: Open) -> None:
    ledger = another()
    for number in range(1, 21):
        await ledger.append("work/W-1", number - 1, entries("work/W-1", number, number))
        # A failed insert, as that of a rival: PostgreSQL does not give its ids to anybody else.
        taken = StoredEvent("work/W-1", number, "t", b"")
        with pytest.raises(IntegrityError):
            ledger._recorder.insert_events([taken])

    assert [recorded.position for recorded in await everything(ledger)] == list(range(1, 21))
    for after in range(20):
        assert [recorded.position for recorded in await everything(ledger, after=after)] == list(range(after + 1, 21))


async def test_a_follower_refuses_a_log_that_ends_before_its_position(another: Open) -> None:
    ledger = another()
    await ledger.append("work/W-1", 0, entries("work/W-1", 1, 3))

    with pytest.raises(LogDamaged, match="ends at position 3, and its reader is at 7 already") as damaged:
        await everything(ledger, after=7)
    assert (damaged.value.reader, damaged.value.log) == (7, 3)


@pytest.mark.faults
async def test_a_database_that_is_gone_is_said_to_be() -> None:
    with ExitStack() as running:
        with closing(on_postgres(running.enter_context(server(fsync=False)).url, patience=1)) as ledger:
            await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1))
            running.close()
            with pytest.raises(Unavailable, match="the database of the log") as unavailable:
                await ledger.append("work/W-1", 1, entries("work/W-1", 2, 2))
    assert unavailable.value.recorded == "unknown"
