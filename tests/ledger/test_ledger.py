"""What every ledger does, whatever it stands on: append with a version, read, follow."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from attorn.contracts import codec
from attorn.contracts.envelope import Entry, Unknown
from attorn.contracts.ledger import BATCH_MAX, Append, Ledger
from attorn.contracts.refusal import Conflict, Refused
from sample_log import entries, entry, everything, fact, pages_until


async def test_positions_count_over_the_log_and_versions_in_the_stream(ledger: Ledger) -> None:
    assert await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1)) == 1
    assert await ledger.append("work/W-2", 0, entries("work/W-2", 1, 2)) == 3
    assert await ledger.append("work/W-1", 1, entries("work/W-1", 2, 2)) == 4

    places = [(recorded.position, recorded.stream, recorded.version) for recorded in await everything(ledger)]

    assert places == [(1, "work/W-1", 1), (2, "work/W-2", 1), (3, "work/W-2", 2), (4, "work/W-1", 2)]


async def test_what_is_read_is_what_was_appended_byte_for_byte(ledger: Ledger) -> None:
    started = datetime.now(UTC)
    appended = entries("work/W-1", 1, 3)
    await ledger.append("work/W-1", 0, appended)

    read = await ledger.read("work/W-1")

    assert [recorded.body for recorded in read] == [each.body for each in appended]
    assert [recorded.event for recorded in read] == [each.event for each in appended]
    # The broker's clock is this machine's.
    assert all(abs(recorded.recorded_at - started) < timedelta(seconds=10) for recorded in read)
    assert list(read) == await everything(ledger)


async def test_a_stream_that_nobody_wrote_to_is_empty(ledger: Ledger) -> None:
    assert list(await ledger.read("work/W-1")) == []
    assert await ledger.last() == await ledger.last("work") == 0


async def test_a_long_stream_is_read_whole(ledger: Ledger) -> None:
    for first in (1, 1001, 2001):
        await ledger.append("work/W-1", first - 1, entries("work/W-1", first, first + 999))

    assert [recorded.version for recorded in await ledger.read("work/W-1")] == list(range(1, 3001))


async def test_the_last_position_is_known_of_each_kind(ledger: Ledger) -> None:
    await ledger.append("work/W-1", 0, entries("work/W-1", 1, 2))
    await ledger.append("participant/mira", 0, entries("participant/mira", 1, 1))

    assert await ledger.last("work") == 2
    assert await ledger.last("participant") == await ledger.last() == 3
    assert await ledger.last("claim") == 0


async def test_who_decided_on_an_older_version_is_told_the_newer(ledger: Ledger) -> None:
    await ledger.append("work/W-1", 0, entries("work/W-1", 1, 2))

    with pytest.raises(Conflict, match=r"work/W-1 is at 2, not 1"):
        await ledger.append("work/W-1", 1, [entry("work/W-1", 2, "Another")])
    with pytest.raises(Conflict, match=r"work/W-1 is at 2, not 0"):
        await ledger.append("work/W-1", 0, [entry("work/W-1", 1, "Another")])

    assert await ledger.last() == 2


async def test_who_decided_on_a_version_that_is_not_there_yet_is_told_the_older(ledger: Ledger) -> None:
    await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1))

    with pytest.raises(Conflict, match=r"work/W-1 is at 1, not 7"):
        await ledger.append("work/W-1", 7, entries("work/W-1", 8, 8))
    with pytest.raises(Conflict, match=r"work/W-2 is at 0, not 3"):
        await ledger.append("work/W-2", 3, entries("work/W-2", 4, 4))


async def test_the_same_bytes_at_the_same_place_count_as_recorded(ledger: Ledger) -> None:
    first = entries("work/W-1", 1, 2)
    await ledger.append("work/W-1", 0, first)
    await ledger.append("work/W-1", 2, entries("work/W-1", 3, 3))
    await ledger.append("work/W-2", 0, entries("work/W-2", 1, 1))

    assert await ledger.append("work/W-1", 0, first) == 2
    assert await ledger.append("work/W-1", 2, entries("work/W-1", 3, 3)) == 3
    assert await ledger.last() == 4


async def test_an_append_that_is_there_in_part_is_completed(ledger: Ledger) -> None:
    await ledger.append("work/W-1", 0, entries("work/W-1", 1, 2))

    assert await ledger.append("work/W-1", 0, entries("work/W-1", 1, 4)) == 4
    assert [recorded.version for recorded in await ledger.read("work/W-1")] == [1, 2, 3, 4]
    # Unless something else is in the way of the rest.
    with pytest.raises(Conflict, match=r"work/W-1 is at 4, not 2"):
        await ledger.append("work/W-1", 2, [*entries("work/W-1", 3, 3), entry("work/W-1", 4, "Another")])


async def test_a_batch_of_which_some_is_there_records_the_others(ledger: Ledger) -> None:
    await ledger.append("work/W-2", 0, entries("work/W-2", 1, 1))
    await ledger.append("work/W-3", 0, entries("work/W-3", 1, 2))

    ends = await ledger.append_all(
        [Append(f"work/W-{number}", 0, tuple(entries(f"work/W-{number}", 1, 2))) for number in (1, 2, 3, 4)]
    )

    assert ends == [5, 6, 3, 8]
    assert await ledger.last() == 8


async def test_of_fifty_who_append_at_once_one_wins_each_version(ledger: Ledger) -> None:
    for version in range(1, 6):
        rivals = [[entry("work/W-1", version, f"Rival {number}")] for number in range(50)]

        outcomes = await asyncio.gather(
            *(ledger.append("work/W-1", version - 1, rival) for rival in rivals), return_exceptions=True
        )

        [winner] = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, int)]
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 49
        assert outcomes[winner] == version
        assert (await ledger.read("work/W-1"))[-1].body == rivals[winner][0].body


async def test_appends_to_several_streams_are_recorded_together(ledger: Ledger) -> None:
    await ledger.append("work/W-2", 0, entries("work/W-2", 1, 1))

    ends = await ledger.append_all(
        [
            Append("work/W-1", 0, tuple(entries("work/W-1", 1, 3))),
            Append("work/W-2", 1, tuple(entries("work/W-2", 2, 3))),
            Append("participant/mira", 0, tuple(entries("participant/mira", 1, 1))),
        ]
    )

    assert ends == [4, 6, 7]
    assert [recorded.position for recorded in await ledger.read("work/W-2")] == [1, 5, 6]


async def test_one_conflict_and_nothing_of_all_is_recorded(ledger: Ledger) -> None:
    await ledger.append("work/W-2", 0, entries("work/W-2", 1, 1))
    appends = [Append(f"work/W-{number}", 0, (entry(f"work/W-{number}", 1, "Mine"),)) for number in (1, 2, 3)]

    with pytest.raises(Conflict, match=r"work/W-2 is at 1, not 0"):
        await ledger.append_all(appends)

    assert await ledger.last() == 1
    # What was refused leaves no trace: the others can be appended still.
    assert await ledger.append_all([appends[0], appends[2]]) == [2, 3]


async def test_the_same_batch_again_is_recorded_once(ledger: Ledger) -> None:
    appends = [Append(f"work/W-{number}", 0, tuple(entries(f"work/W-{number}", 1, 2))) for number in range(5)]
    ends = await ledger.append_all(appends)

    assert await ledger.append_all(appends) == ends == [2, 4, 6, 8, 10]
    assert await ledger.last() == 10


async def test_a_batch_holds_a_thousand(ledger: Ledger) -> None:
    appends = [Append(f"work/W-{number}", 0, tuple(entries(f"work/W-{number}", 1, 2))) for number in range(500)]

    assert (await ledger.append_all(appends))[-1] == BATCH_MAX
    with pytest.raises(AssertionError, match="at most 1000"):
        await ledger.append("work/X", 0, entries("work/X", 1, BATCH_MAX + 1))


async def test_many_batches_at_once_are_all_recorded(ledger: Ledger) -> None:
    batches = [
        [Append(f"work/W-{batch}-{number}", 0, (entry(f"work/W-{batch}-{number}", 1),)) for number in range(3)]
        for batch in range(80)
    ]

    await asyncio.gather(*(ledger.append_all(batch) for batch in batches))

    assert len(await everything(ledger)) == 240


async def test_an_entry_that_is_not_the_next_of_its_stream_is_an_error_of_ours(ledger: Ledger) -> None:
    with pytest.raises(AssertionError, match="version 3 is not 1"):
        await ledger.append("work/W-1", 0, [entry("work/W-1", 3)])
    with pytest.raises(AssertionError, match="is not for work/W-1"):
        await ledger.append("work/W-1", 0, [entry("work/W-2", 1)])
    with pytest.raises(AssertionError, match="at least one"):
        await ledger.append("work/W-1", 0, [])
    with pytest.raises(AssertionError, match=r"work/\*"):
        await ledger.append("work/*", 0, [entry("work/*", 1)])
    with pytest.raises(AssertionError, match="one Append a stream"):
        await ledger.append_all([Append("work/W-1", 0, (entry("work/W-1", 1),))] * 2)

    assert await ledger.last() == 0


async def test_a_fact_that_used_its_id_in_another_stream_is_refused(ledger: Ledger) -> None:
    await ledger.append("work/W-0", 0, entries("work/W-0", 1, 1))
    await ledger.append("work/W-1", 0, [fact("work/W-1", 1, "7")])

    with pytest.raises(Refused, match=r"conflict: jira used the id '7' before, at position 2 in work/W-1") as refused:
        await ledger.append("work/W-2", 0, [fact("work/W-2", 1, "7")])

    assert [(breach.rule, breach.field) for breach in refused.value.breaches] == [("conflict", "id")]
    assert await ledger.last() == 2


async def test_a_batch_with_facts_that_used_their_ids_is_refused_naming_each(ledger: Ledger) -> None:
    await ledger.append_all([Append(f"work/W-{id}", 0, (fact(f"work/W-{id}", 1, id),)) for id in "123"])

    with pytest.raises(Refused) as refused:
        await ledger.append_all(
            [
                Append(f"work/V-{id}", 0, (fact(f"work/V-{id}", 1, id), fact(f"work/V-{id}", 2, id + "b")))
                for id in "0213"
            ]
        )

    assert [breach.detail for breach in refused.value.breaches] == [
        f"jira used the id '{id}' before, at position {id} in work/W-{id}" for id in "213"
    ]
    assert await ledger.last() == 3


async def test_two_facts_of_one_append_do_not_share_an_id(ledger: Ledger) -> None:
    with pytest.raises(Refused, match="used the id '7' before, for work/W-1 in the same append"):
        await ledger.append_all([Append(f"work/W-{n}", 0, (fact(f"work/W-{n}", 1, "7"),)) for n in (1, 2)])

    assert await ledger.last() == 0


async def test_two_sources_may_use_the_same_id(ledger: Ledger) -> None:
    await ledger.append("work/W-1", 0, [fact("work/W-1", 1, "7", source="jira")])
    await ledger.append("work/W-2", 0, [fact("work/W-2", 1, "7", source="gitlab")])

    assert await ledger.last() == 2


async def test_a_fact_again_at_its_place_counts_as_recorded(ledger: Ledger) -> None:
    await ledger.append("work/W-1", 0, [fact("work/W-1", 1, "7")])
    batch = [Append(f"work/V-{id}", 0, (fact(f"work/V-{id}", 1, id),)) for id in "abc"]
    ends = await ledger.append_all(batch)

    assert await ledger.append("work/W-1", 0, [fact("work/W-1", 1, "7")]) == 1
    assert await ledger.append_all(batch) == ends
    assert await ledger.last() == 4


async def test_a_fact_that_used_its_id_earlier_in_its_stream_is_refused_and_late_news_is_a_conflict(
    ledger: Ledger,
) -> None:
    await ledger.append("work/W-1", 0, [fact("work/W-1", 1, "7")])

    with pytest.raises(Refused, match="at position 1 in work/W-1"):
        await ledger.append("work/W-1", 1, [fact("work/W-1", 2, "7")])
    # Who has not seen that the stream has moved on looks again, and finds the fact there.
    with pytest.raises(Conflict, match=r"work/W-1 is at 1, not 0"):
        await ledger.append("work/W-1", 0, [fact("work/W-1", 1, "7", title="Other bytes")])


async def test_an_event_of_an_unknown_type_survives_as_it_is(ledger: Ledger) -> None:
    body = b'{"sequence":"0000000001","specversion":"1.0","type":"com.example.tea.made.v1","source":"kettle","id":"1",'
    body += b'"subject":"work/W-1","time":"2026-03-02T09:30:00Z","colour":"green","data":{"cups":2}}'
    await ledger.append("work/W-1", 0, [Entry(codec.decode(body), body)])

    [recorded] = await ledger.read("work/W-1")

    assert recorded.body == body
    assert isinstance(recorded.event.data, Unknown)
    assert recorded.event.data.type == "com.example.tea.made.v1"
    assert await ledger.append("work/W-1", 1, entries("work/W-1", 2, 2)) == 2


async def test_a_follower_gets_what_is_there_in_large_pages_and_then_what_comes(ledger: Ledger) -> None:
    for first in range(1, 5001, 1000):
        await ledger.append("work/W-1", first - 1, entries("work/W-1", first, first + 999))

    async with aclosing(ledger.follow()) as pages:
        seen: list[int] = []
        async for page in pages:
            seen += [recorded.position for recorded in page.recorded]
            assert page.pending == 5000 - len(seen)
            if not page.pending:
                break
        assert seen == list(range(1, 5001))

        await ledger.append("work/W-2", 0, entries("work/W-2", 1, 2))
        while seen[-1] < 5002:
            seen += [recorded.position for recorded in (await anext(pages)).recorded]
        assert seen[-2:] == [5001, 5002]


async def test_a_follower_of_an_empty_log_is_told_so_first(ledger: Ledger) -> None:
    async with aclosing(ledger.follow()) as pages:
        first = await anext(pages)
        assert (list(first.recorded), first.pending) == ([], 0)

        await ledger.append("work/W-1", 0, entries("work/W-1", 1, 1))
        assert [recorded.position for recorded in (await anext(pages)).recorded] == [1]


async def test_a_follower_goes_on_where_it_was(ledger: Ledger) -> None:
    await ledger.append("work/W-1", 0, entries("work/W-1", 1, 10))

    assert [recorded.position for recorded in await everything(ledger, after=7)] == [8, 9, 10]
    assert await everything(ledger, after=10) == []


async def test_a_follower_of_some_kinds_gets_no_others(ledger: Ledger) -> None:
    for number in range(1, 4):
        for kind in ("work", "participant", "process"):
            await ledger.append(f"{kind}/X-{number}", 0, entries(f"{kind}/X-{number}", 1, 1))

    found = await everything(ledger, kinds=("participant", "process"))
    assert [recorded.position for recorded in found] == [2, 3, 5, 6, 8, 9]
    assert [recorded.position for recorded in await everything(ledger, after=5, kinds=("process",))] == [6, 9]
    assert await everything(ledger, kinds=("claim",)) == []


async def test_each_follower_goes_at_its_own_pace(ledger: Ledger) -> None:
    await ledger.append("work/W-1", 0, entries("work/W-1", 1, 3))

    async with aclosing(ledger.follow()) as slow:
        await anext(slow)
        for version in range(4, 21):
            await ledger.append("work/W-1", version - 1, entries("work/W-1", version, version))
        quick = await pages_until(ledger, 20)
        late = [recorded.position for recorded in (await anext(slow)).recorded]

    assert sum(len(page.recorded) for page in quick) == 20
    assert late[0] == 4


async def test_a_follower_that_is_cancelled_while_it_waits_leaves_quietly(ledger: Ledger) -> None:
    waiting = asyncio.create_task(pages_until(ledger, 1))
    await asyncio.sleep(0.1)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
