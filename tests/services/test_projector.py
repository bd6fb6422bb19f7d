"""The projector keeps views at the log's end, answers questions, rebuilds views while it serves, and dies well."""

import asyncio
import copy
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import nats
import pytest
from msgspec import Meta
from nats.aio.client import Client

import sample_views as sample
from attorn.contracts.envelope import Entry
from attorn.contracts.examples import EVENT_EXAMPLES
from attorn.contracts.ledger import Append, Ledger, Page
from attorn.contracts.refusal import Breach, Problem, Refused, Unavailable
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows, View
from attorn.projections.store.sqlite import MEMORY, SQLiteViews
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.memory import MemoryLedger
from attorn.services.projector.changes import telling
from attorn.services.projector.compose import LONG as LONG_QUESTIONS
from attorn.services.projector.compose import QUESTIONS as ALL_QUESTIONS
from attorn.services.projector.project import LogWentBack, Projector, open_views, pinned
from attorn.services.projector.rebuild import Busy, Maintenance, rebuild, verify
from attorn.services.projector.status import Job
from attorn.services.provision import provision
from attorn.services.query.app import Desk, answering, refusal
from attorn.services.supervise.server import Broker
from sample_story import Story
from sample_views import Kind, Line, Tally

pytest_plugins = ["broker"]

ENTRIES = list(sample.entries(3_000, works=200))
NAMES = ("tally", "lines", "notes", "kinds", "crowd")


class Type(msgspec.Struct, frozen=True):
    """How often did a type occur, and how many people are known?"""

    type: Annotated[str, Meta(min_length=1)] = "all"
    fail: bool = False


class Counted(msgspec.Struct, frozen=True):
    count: int
    people: int


def counted(rows: Rows, directory: Directory, asked: Type) -> Counted:
    if asked.fail:
        raise LookupError("secret")
    kind = rows.get(Kind, asked.type)
    if kind is None:
        raise Refused(Breach(rule="hidden-work", detail=f"there is no {asked.type}"))
    return Counted(kind.count, len(directory.participants))


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    stream: str


BUSY = threading.Event()
BEGUN = threading.Semaphore(0)


def slow(rows: Rows, directory: Directory, asked: Stream) -> Counted:
    """Counts until it is allowed to end, or its rows are taken away; then, whether anything has moved meanwhile."""
    lines, people = rows.count(Line), len(directory.participants)
    BEGUN.release()
    while not BUSY.wait(0.002):
        assert rows.count(Line) == lines and len(directory.participants) == people
    assert (rows.count(Line), directory.position) == (lines, rows.position)
    return Counted(lines, people)


QUESTIONS = {
    "kinds": (Type, counted),
    "tally": (Stream, lambda rows, directory, asked: rows.get(Tally, asked.stream)),
    "lines": (Stream, lambda rows, directory, asked: rows.select(Line, order="key")),
    "slow": (Stream, slow),
}
LONG = ("slow",)


def now() -> datetime:
    return datetime.now(UTC)


async def append(ledger: Ledger, entries: Sequence[Entry]) -> int:
    """Record `entries`, hundreds at once."""
    last = 0
    for start in range(0, len(entries), 500):
        streams: dict[str, list[Entry]] = {}
        for entry in entries[start : start + 500]:
            streams.setdefault(entry.event.subject, []).append(entry)
        appends = [Append(stream, own[0].event.version - 1, tuple(own)) for stream, own in streams.items()]
        last = max(await ledger.append_all(appends))
    return last


async def recorded(count: int = len(ENTRIES)) -> MemoryLedger:
    ledger = MemoryLedger()
    await append(ledger, ENTRIES[:count])
    return ledger


def digests(store: SQLiteViews) -> dict[str, str]:
    return {name: store.digest(name) for name in NAMES}


async def uninterrupted(ledger: Ledger) -> dict[str, str]:
    """What the views are after one fold without a break."""
    directory = Directory()
    store = SQLiteViews(MEMORY, sample.views(directory), directory)
    head = await ledger.last()
    async with aclosing(ledger.follow()) as pages:  # type: ignore[type-var]
        async for page in pages:
            store.apply(page.recorded)
            if store.position == head:
                break
    found = digests(store)
    store.close()
    return found


@asynccontextmanager
async def projecting(
    ledger: Ledger, path: str | Path = MEMORY, compose: Callable[[Directory], Sequence[View]] = sample.views
) -> AsyncIterator[Projector]:
    projector = await open_views(ledger, path, compose)
    loop = asyncio.create_task(projector.follow())
    try:
        yield projector
    finally:
        loop.cancel()
        await asyncio.wait([loop])
        if not loop.cancelled():
            loop.result()
        projector.close()


async def test_what_is_recorded_is_folded_and_then_what_comes() -> None:
    ledger = await recorded(2_000)
    async with projecting(ledger) as projector:
        await projector.until(2_000, 10)
        await append(ledger, ENTRIES[2_000:])
        await projector.until(3_000, 10)
        assert digests(projector.store) == await uninterrupted(ledger)


@pytest.mark.parametrize("stops", [(1,), (1, 499, 500, 501, 2_999), tuple(range(37, 3_000, 611))])
async def test_stopped_anywhere_and_begun_again_it_ends_the_same(stops: tuple[int, ...], tmp_path: Path) -> None:
    ledger = MemoryLedger()
    done = 0
    for stop in (*stops, len(ENTRIES)):
        await append(ledger, ENTRIES[done:stop])
        done = stop
        async with projecting(ledger, tmp_path / "views.sqlite") as projector:
            await projector.until(stop, 10)
            # The directory is not kept: it is folded again, and is that of the views' position.
            assert projector.store.directory is not None
            people = sum(entry.event.subject.startswith("participant/") for entry in ENTRIES[:stop])
            assert len(projector.store.directory.participants) == people
            assert projector.store.directory.position == stop
    async with projecting(ledger, tmp_path / "views.sqlite") as projector:
        assert projector.position == 3_000
        assert digests(projector.store) == await uninterrupted(ledger)


async def test_the_directory_stops_where_the_views_are(tmp_path: Path) -> None:
    ledger = await recorded(500)
    async with projecting(ledger, tmp_path / "views.sqlite") as projector:
        await projector.until(500, 10)
    await append(ledger, ENTRIES[500:])
    projector = await open_views(ledger, tmp_path / "views.sqlite", sample.views)
    with projector.reading() as (rows, directory):
        assert (rows.position, directory.position, len(directory.participants)) == (500, 500, 6)
    projector.close()


async def test_a_log_that_went_back_is_refused_and_both_positions_are_named(tmp_path: Path) -> None:
    async with projecting(await recorded(500), tmp_path / "views.sqlite") as projector:
        await projector.until(500, 10)
    with pytest.raises(LogWentBack, match="the log ends at position 400, and the views are at 500"):
        await open_views(await recorded(400), tmp_path / "views.sqlite", sample.views)
    with pytest.raises(LogWentBack, match="the log ends at position 0, and the views are at 500"):
        await open_views(MemoryLedger(), tmp_path / "views.sqlite", sample.views)


async def test_another_log_of_the_same_length_is_refused_too(tmp_path: Path) -> None:
    async with projecting(await recorded(500), tmp_path / "views.sqlite") as projector:
        await projector.until(500, 10)
    other = MemoryLedger()
    for entry in ENTRIES[:600]:
        await append(other, [entry])
    with pytest.raises(LogWentBack, match="the event at position 500 of the log is not the one"):
        await open_views(other, tmp_path / "views.sqlite", sample.views)


async def test_waiting_for_a_position_ends_with_a_sentence() -> None:
    ledger = await recorded(10)
    async with projecting(ledger) as projector:
        await projector.until(10, 5)
        with pytest.raises(Unavailable, match="at position 10, and not yet at 11"):
            await projector.until(11, 0.05)


class Behind(MemoryLedger):
    """Hands out no page as long as it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = asyncio.Event()
        self.flow.set()

    async def follow(self, after: int = 0, kinds: Sequence[str] = ()) -> AsyncIterator[Page]:
        async for page in super().follow(after, kinds):
            if after == 0:
                await self.flow.wait()
            yield page


async def test_lag_is_said_in_events_and_in_the_age_of_the_oldest() -> None:
    ledger = Behind()
    await append(ledger, ENTRIES[:100])
    async with projecting(ledger) as projector:
        await projector.until(100, 5)
        assert await projector.lag(now()) == (100, 0, 0.0)
        ledger.flow.clear()
        await append(ledger, ENTRIES[100:160])
        at = ledger._log[100].recorded_at
        assert await projector.lag(at + timedelta(seconds=90)) == (160, 60, 90.0)
        assert (
            await projector.lag(at - timedelta(seconds=5))
        ).seconds == 0.0  # the broker's clock may be ahead of ours
        ledger.flow.set()
        await projector.until(160, 5)
        assert await projector.lag(now()) == (160, 0, 0.0)


class Mute(MemoryLedger):
    is_mute = False

    async def last(self, kind: str = "") -> int:
        if self.is_mute:
            raise Unavailable("not connected to the log")
        return await super().last(kind)


async def test_while_the_log_does_not_answer_the_views_still_do() -> None:
    ledger = Mute()
    await append(ledger, ENTRIES[:100])
    async with projecting(ledger) as projector:
        await projector.until(100, 5)
        ledger.is_mute = True
        assert await projector.lag(now()) == (None, None, None)
        status = (await asked(projector, "status"))["result"]
        assert status["head"] is None and status["views"][0]["lag_events"] is None and status["position"] == 100


def desk(projector: Projector, maintenance: Maintenance | None = None) -> Desk:
    async def quarantined() -> int | None:
        return 3

    return Desk(projector, maintenance or Maintenance(projector, now), QUESTIONS, now, quarantined)


async def asked(projector: Projector, name: str, body: bytes = b"", maintenance: Maintenance | None = None) -> Any:
    return msgspec.json.decode(await desk(projector, maintenance).answer(name, body, 1_000_000))


@pytest.mark.parametrize("path", [MEMORY, "views.sqlite"])
async def test_a_rebuild_serves_and_follows_meanwhile_and_ends_with_equal_views(path: str, tmp_path: Path) -> None:
    ledger = await recorded(2_000)
    path = path if path == MEMORY else str(tmp_path / path)
    async with projecting(ledger, path) as projector:
        await projector.until(2_000, 10)
        maintenance = Maintenance(projector, now)
        before = projector.store
        job = maintenance.start("rebuild")
        assert maintenance.start("rebuild") is job
        with pytest.raises(Busy, match="a rebuild is running") as busy:
            await asked(projector, "projector.verify", maintenance=maintenance)
        assert refusal(busy.value).status == 409
        answers = 0
        for start in range(2_000, 3_000, 50):
            position = await append(ledger, ENTRIES[start : start + 50])
            reply = await asked(projector, "kinds", b'{"wait_for": %d}' % position)
            assert reply["position"] == position and reply["result"]["count"] == position
            answers += job.state == "running"
        assert answers > 0
        await maintenance.wait(job, 20)
        assert (job.state, job.error, len(job.views)) == ("done", "", 6)
        assert all(found.equal and found.live == found.rebuilt for found in job.views)
        assert projector.store is not before
        await projector.until(3_000, 10)
        assert digests(projector.store) == await uninterrupted(ledger)
        assert projector.store.directory is not None and projector.store.directory.position == 3_000
    if path != MEMORY:
        assert [file.name for file in tmp_path.iterdir()] == ["views.sqlite"]
        async with projecting(ledger, path) as projector:
            assert projector.position == 3_000 and digests(projector.store) == await uninterrupted(ledger)


async def test_rows_that_are_not_what_the_log_says_are_found_by_verify_and_mended_by_rebuild(tmp_path: Path) -> None:
    ledger = await recorded(1_000)
    async with projecting(ledger, tmp_path / "views.sqlite") as projector:
        await projector.until(1_000, 10)
        job = Job(kind="verify", started_at=now())
        await verify(projector, job)
        assert [found.equal for found in job.views] == [True] * 6 and job.views[0].position == 1_000

        with projector.store._database.transaction() as cursor:
            cursor.execute("UPDATE kinds_v1 SET count = count + 1 WHERE key = 'all'")
        await verify(projector, job)
        assert [found.view for found in job.views if not found.equal] == ["kinds"]
        assert await asked(projector, "kinds") == {"position": 1_000, "result": {"count": 1_001, "people": 11}}

        await rebuild(projector, job)
        assert [found.view for found in job.views if not found.equal] == ["kinds"]
        assert await asked(projector, "kinds") == {"position": 1_000, "result": {"count": 1_000, "people": 11}}
        assert digests(projector.store) == await uninterrupted(ledger)
        assert [file.name for file in tmp_path.iterdir() if "-" not in file.name] == ["views.sqlite"]


async def test_a_directory_that_is_not_as_the_log_says_is_found_by_verify_and_mended_by_rebuild(tmp_path: Path) -> None:
    ledger = await recorded(1_000)
    path = tmp_path / "views.sqlite"
    async with projecting(ledger, path) as projector:
        await projector.until(1_000, 10)
        kept = projector.store.directory
        assert kept is not None and kept.participants
        # Kept as it is from here on, and taken for right at the next start.
        who = next(iter(kept.participants))
        kept.participants[who] = msgspec.structs.replace(kept.participants[who], name="Somebody else")
    async with projecting(ledger, path) as projector:
        await projector.until(1_000, 10)
        assert projector.store.directory is not None
        assert projector.store.directory.participants[who].name == "Somebody else"
        job = Job(kind="verify", started_at=now())
        for run in (verify, rebuild):
            await run(projector, job)
            assert [(found.view, found.position) for found in job.views if not found.equal] == [("directory", 1_000)]
        assert projector.store.directory.participants[who].name != "Somebody else"
        await verify(projector, job)
        assert all(found.equal for found in job.views)


async def test_verify_is_about_one_position_though_the_views_move_on(tmp_path: Path) -> None:
    ledger = await recorded(1_000)
    async with projecting(ledger, tmp_path / "views.sqlite") as projector:
        await projector.until(1_000, 10)
        maintenance = Maintenance(projector, now)
        job = maintenance.start("verify")
        while job.state == "running" and await ledger.last() < 3_000:
            start = await ledger.last()
            await projector.until(await append(ledger, ENTRIES[start : start + 20]), 10)
        await maintenance.wait(job, 20)
        assert job.state == "done" and all(found.equal for found in job.views)
        assert len({found.position for found in job.views}) == 1 and projector.position > job.views[0].position


async def test_a_view_of_a_new_version_is_filled_while_the_others_serve(tmp_path: Path) -> None:
    ledger = await recorded()
    async with projecting(ledger, tmp_path / "views.sqlite") as projector:
        await projector.until(3_000, 10)

    def second(directory: Directory) -> tuple[View, ...]:
        return (sample.tally(2), *sample.views(directory)[1:])

    async with projecting(ledger, tmp_path / "views.sqlite", second) as projector:
        assert [view.NAME for view in projector.store.missing] == ["tally"]
        maintenance = Maintenance(projector, now)
        job = maintenance.start("rebuild")
        status = (await asked(projector, "status", maintenance=maintenance))["result"]
        [tally] = [view for view in status["views"] if view["name"] == "tally"]
        assert (tally["state"], tally["version"], tally["rows"]) == ("filling", 2, 0)
        with pytest.raises(Unavailable, match="is being filled"):
            await asked(projector, "tally", b'{"stream": "work/W-1"}')
        assert (await asked(projector, "kinds"))["result"]["count"] == 3_000
        await maintenance.wait(job, 20)
        assert job.state == "done" and {found.view for found in job.views} == {*NAMES, "directory"} - {"tally"}
        assert projector.store.missing == ()
        assert (await asked(projector, "tally", b'{"stream": "work/W-1"}'))["result"]["key"] == "work/W-1"
        assert digests(projector.store) == await uninterrupted(ledger)


async def test_a_rebuild_that_fails_leaves_the_views_as_they_were(tmp_path: Path) -> None:
    ledger = await recorded(1_000)
    async with projecting(ledger, tmp_path / "views.sqlite") as projector:
        await projector.until(1_000, 10)
        maintenance = Maintenance(projector, now)
        (tmp_path / "views.sqlite.next").mkdir()
        job = await maintenance.wait(maintenance.start("rebuild"), 20)
        assert job.state == "failed" and job.error and job.ended_at is not None
        (tmp_path / "views.sqlite.next").rmdir()
        # What a process that was killed has left is in nobody's way.
        (tmp_path / "views.sqlite.next").write_text("half of something")
        job = await maintenance.wait(maintenance.start("rebuild"), 20)
        assert job.state == "done"
        job = maintenance.start("rebuild")
        await asyncio.sleep(0)
        await maintenance.stop()
        assert sorted(file.name for file in tmp_path.iterdir() if "-" not in file.name) == ["views.sqlite"]
        assert (await asked(projector, "kinds"))["result"]["count"] == 1_000


async def test_status_says_where_each_view_is_and_what_it_could_not_take_in() -> None:
    ledger = await recorded(300)

    def compose(directory: Directory) -> tuple[View, ...]:
        return (*sample.views(directory), sample.broken(range(100, 110), where="apply"))

    async with projecting(ledger, MEMORY, compose) as projector:
        await projector.until(300, 10)
        reply = await asked(projector, "status")
        status = reply["result"]
        assert (reply["position"], status["head"], status["position"], status["quarantined"]) == (300, 300, 300, 3)
        views = {view["name"]: view for view in status["views"]}
        assert views["lines"] | {"last_poison": []} == {
            "name": "lines", "version": 1, "state": "live", "rows": 300, "position": 300, "lag_events": 0,
            "lag_seconds": 0.0, "poison": 0, "last_poison": []}  # fmt: skip
        assert views["broken"]["poison"] == 10
        assert [poison["position"] for poison in views["broken"]["last_poison"]] == [109, 108, 107, 106, 105]
        assert status["rebuild"] is None and status["verify"] is None


@asynccontextmanager
async def doors(url: str, projector: Projector) -> AsyncIterator[Client]:
    """Who asks; the projector's queries are answered on the same server."""
    server, client = await nats.connect(url), await nats.connect(url)
    maintenance = Maintenance(projector, now)
    try:
        async with answering(server, projector, maintenance, QUESTIONS, now, LONG):
            yield client
    finally:
        await maintenance.stop()
        await client.close()
        await server.close()


async def test_questions_are_answered_with_their_position(fresh_nats: Broker) -> None:
    ledger = await recorded(100)
    async with projecting(ledger) as projector, doors(fresh_nats.url, projector) as client:
        await projector.until(100, 5)
        reply = await client.request("attorn.q.kinds", b'{"type": "attorn.work.defined.v1"}', 2)
        assert msgspec.json.decode(reply.data) == {"position": 100, "result": {"count": 98, "people": 2}}
        assert not reply.headers
        # Those who wait keep nobody else waiting, and read what they wrote.
        waiting = [asyncio.create_task(client.request("attorn.q.kinds", b'{"wait_for": 101}', 6)) for _ in range(20)]
        await client.flush()
        assert msgspec.json.decode((await client.request("attorn.q.kinds", b"", 1)).data)["position"] == 100
        await append(ledger, ENTRIES[100:101])
        assert {msgspec.json.decode((await one).data)["result"]["count"] for one in waiting} == {101}


async def test_a_long_question_stops_neither_the_fold_nor_other_questions(fresh_nats: Broker, tmp_path: Path) -> None:
    ledger = await recorded(500)
    BUSY.clear()
    path = tmp_path / "views.sqlite"
    async with projecting(ledger, path) as projector, doors(fresh_nats.url, projector) as client:
        await projector.until(500, 5)
        long = [asyncio.create_task(client.request("attorn.q.slow", b'{"stream": "-"}', 10)) for _ in range(3)]
        for _ in range(2):
            await asyncio.to_thread(BEGUN.acquire)
        await append(ledger, ENTRIES[500:])
        await projector.until(len(ENTRIES), 5)
        assert msgspec.json.decode((await client.request("attorn.q.kinds", b"", 1)).data)["position"] == 3_000
        # Not before they are through can another file take the place of the one that they read.
        maintenance = Maintenance(projector, now)
        job = maintenance.start("rebuild")
        await asyncio.sleep(0.3)
        assert job.state == "running" and not any(one.done() for one in long)
        BUSY.set()
        answers = [msgspec.json.decode((await one).data) for one in long]
        # Two are answered at once, the third was begun when one of them had ended.
        assert [answer["position"] for answer in answers] == [500, 500, 3_000]
        assert [answer["result"]["count"] for answer in answers] == [500, 500, 3_000]
        await maintenance.wait(job, 5)
        assert job.state == "done" and all(found.equal for found in job.views)


async def test_a_long_question_is_taken_its_rows_when_the_projector_ends(fresh_nats: Broker, tmp_path: Path) -> None:
    BUSY.clear()
    async with projecting(await recorded(100), tmp_path / "views.sqlite") as projector:
        await projector.until(100, 5)
        async with doors(fresh_nats.url, projector) as client:
            asking = asyncio.create_task(client.request("attorn.q.slow", b'{"stream": "-"}', 10))
            await asyncio.to_thread(BEGUN.acquire)
            begun = time.monotonic()
        assert time.monotonic() - begun < 1.5
        asking.cancel()
        # Its thread is free for the next.
        assert await projector.asking(lambda rows, directory: rows.count(Line)) == 100


def test_a_directory_that_is_pinned_stays_whatever_is_evolved() -> None:
    story = Story()
    for number, example in enumerate(EVENT_EXAMPLES.values()):
        for stream in ("work/W-1", "participant/ana", "process/refunds", "policy/refunds", "claim/k"):
            story.tell(stream, example, id=f"{number}-{stream}")
    directory = Directory()
    for recorded_ in story.log:
        directory.evolve(recorded_)
    before, there = copy.deepcopy(directory), pinned(directory)
    assert there == before
    for recorded_ in story.log:
        directory.evolve(recorded_)
    assert directory != there == before


def test_only_questions_that_there_are_are_called_long() -> None:
    assert LONG_QUESTIONS <= set(ALL_QUESTIONS)


async def test_what_changes_in_the_views_is_told_once_and_what_was_there_before_is_not(
    fresh_nats: Broker, tmp_path: Path
) -> None:
    ledger = await recorded(100)
    heard: list[tuple[str, Any]] = []

    async def hear(message: nats.aio.msg.Msg) -> None:
        heard.append((message.subject, msgspec.json.decode(message.data)))

    server, client = await nats.connect(fresh_nats.url), await nats.connect(fresh_nats.url)
    await client.subscribe("attorn.view.>", cb=hear)
    await client.flush()
    for there in (100, 102):
        projector = await open_views(ledger, tmp_path / "views.sqlite", sample.views)
        loop = asyncio.create_task(projector.follow(telling(server)))
        await projector.until(there, 5)
        await append(ledger, ENTRIES[there : there + 1])
        await projector.until(there + 1, 5)
        await server.flush()
        loop.cancel()
        await asyncio.wait([loop])
        projector.close()
        # What is recorded while there is no projector is there when the next one begins.
        await append(ledger, ENTRIES[101:102] if there == 100 else [])
    await server.flush()
    await client.flush()
    lines = [(subject, said) for subject, said in heard if said["view"] == "lines"]
    assert [(subject, said["key"], said["position"]) for subject, said in lines] == [
        (f"attorn.view.lines.{number:010d}", f"{number:010d}", number) for number in (101, 103)
    ]
    assert lines[0][1]["row"]["stream"] == ENTRIES[100].event.subject
    tallies = [(subject, said) for subject, said in heard if said["view"] == "tally"]
    assert [said["key"] for _, said in tallies] == [ENTRIES[100].event.subject, ENTRIES[102].event.subject]
    # A key that is no identifier stands in the subject as its digest.
    assert all(len(subject.split(".")) == 4 and len(subject.split(".")[3]) == 52 for subject, _ in tallies)
    await client.close()
    await server.close()


async def test_of_very_many_changes_it_is_only_said_that_there_are_many(fresh_nats: Broker) -> None:
    server, client = await nats.connect(fresh_nats.url), await nats.connect(fresh_nats.url)
    messages = await client.subscribe("attorn.view.lines")
    await client.flush()
    rows = [(f"{n}", Line(key=f"{n}", stream="work/W-1", type="x", at=sample.BEGIN)) for n in range(301)]
    await telling(server)(7, [(sample.LINES, rows)])
    await server.flush()
    said = msgspec.json.decode((await messages.next_msg(2)).data)
    assert said == {"view": "lines", "position": 7, "changed": 301, "many": True}
    await client.close()
    await server.close()


@pytest.mark.parametrize(
    ("name", "body", "status", "detail"),
    [
        ("kinds", b"{", "400", "not JSON"),
        ("kinds", b'{"typ": "all"}', "400", "typ: is not a field"),
        ("kinds", b'{"type": 7}', "400", "type: is a string, not an integer"),
        ("kinds", b'{"type": "all", "type": "all"}', "400", "stands twice"),
        ("kinds", b'{"wait_for": -1}', "400", "wait_for"),
        ("kinds", b'{"wait_for": 999}', "503", "at position 100, and not yet at 999; ask again"),
        ("kinds", b'{"type": "none"}', "404", "there is no none"),
        ("kinds", b'{"fail": true}', "500", "an error of ours"),
        ("tally", b"", "400", "stream"),
        ("status", b'{"a": 1}', "400", "a: is not a field"),
        ("projector.verify", b'{"wait": 601}', "400", "wait"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_told_why(
    fresh_nats: Broker, name: str, body: bytes, status: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attorn.services.query.app.WAIT_FOR_S_MAX", 0.05)
    async with projecting(await recorded(100)) as projector, doors(fresh_nats.url, projector) as client:
        await projector.until(100, 5)
        reply = await client.request(f"attorn.q.{name}", body, 2)
        problem = msgspec.json.decode(reply.data, type=Problem)
        assert (str(problem.status), reply.headers) == (
            status,
            {"Nats-Service-Error": problem.title, "Nats-Service-Error-Code": status},
        )
        assert detail in problem.detail and "secret" not in reply.data.decode()


async def test_an_answer_that_the_broker_would_not_carry_is_a_problem_and_no_silence() -> None:
    async with projecting(await recorded(3_000)) as projector:
        await projector.until(3_000, 10)
        with pytest.raises(Exception, match="the most is 10,000; ask for less"):
            await desk(projector).answer("lines", b'{"stream": "all"}', 10_000)


async def test_verify_and_rebuild_are_asked_for_over_the_broker(fresh_nats: Broker, tmp_path: Path) -> None:
    ledger = await recorded()
    async with (
        projecting(ledger, tmp_path / "views.sqlite") as projector,
        doors(fresh_nats.url, projector) as client,
    ):
        await projector.until(3_000, 10)
        at_once = msgspec.json.decode((await client.request("attorn.q.projector.rebuild", b"", 2)).data)["result"]
        assert at_once["kind"] == "rebuild" and at_once["ended_at"] is None
        reply = await client.request("attorn.q.projector.rebuild", b'{"wait": 20}', 25)
        assert msgspec.json.decode(reply.data)["result"]["state"] == "done"
        reply = await client.request("attorn.q.projector.verify", b'{"wait": 20}', 25)
        job = msgspec.json.decode(reply.data)["result"]
        assert job["state"] == "done" and [view["equal"] for view in job["views"]] == [True] * 6
        status = msgspec.json.decode((await client.request("attorn.q.status", b"", 2)).data)["result"]
        assert (status["verify"]["position"], status["verify"]["target"]) == (3_000, 3_000)
        assert status["rebuild"]["state"] == "done" and status["quarantined"] is None


# ---- the process

PROCESS = (
    sys.executable,
    "-c",
    "import sys, sample_views\n"
    "from attorn.services.projector.main import main\n"
    "sys.exit(main(sys.argv[1:], sample_views.views, {}))",
)


@asynccontextmanager
async def process(url: str, path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A projector that has said READY."""
    running = await asyncio.create_subprocess_exec(
        *PROCESS,
        *("--nats-url", url, "--views", str(path)),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stdout is not None
    try:
        async with asyncio.timeout(20):
            line = await running.stdout.readline()
            while line.strip() != b"READY":
                assert line, (await running.communicate())[1].decode()
                line = await running.stdout.readline()
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def status(client: Client) -> Any:
    return msgspec.json.decode((await client.request("attorn.q.status", b"", 3)).data)["result"]


async def until(client: Client, is_so: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(30):
        while not is_so(found := await status(client)):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)
        return found


@pytest.fixture
async def log_on_nats(fresh_nats: Broker) -> AsyncIterator[tuple[Broker, Client, JetStreamLedger]]:
    client = await nats.connect(fresh_nats.url)
    await provision(client)
    yield fresh_nats, client, JetStreamLedger(client)
    await client.close()


LogOnNats = tuple[Broker, Client, JetStreamLedger]


@pytest.mark.faults
async def test_a_projector_that_is_killed_again_and_again_has_each_event_once(
    log_on_nats: LogOnNats, tmp_path: Path
) -> None:
    broker, client, ledger = log_on_nats
    entries = list(sample.entries(20_000, works=900))
    path = tmp_path / "views.sqlite"
    positions = [0]
    for head in range(5_000, 20_001, 5_000):
        await append(ledger, entries[head - 5_000 : head])
        async with process(broker.url, path) as projector:
            await until(client, lambda s: s["position"] > positions[-1])
            projector.send_signal(signal.SIGKILL)
            assert await projector.wait() == -signal.SIGKILL
        store = SQLiteViews(path, sample.views(Directory()))
        positions.append(store.position)
        store.close()
    assert positions == sorted(positions)
    assert any(position < head for position, head in zip(positions[1:], range(5_000, 20_001, 5_000), strict=True))
    async with process(broker.url, path) as projector:
        await until(client, lambda s: s["position"] == 20_000)
        reply = await client.request("attorn.q.projector.verify", b'{"wait": 60}', 65)
        job = msgspec.json.decode(reply.data)["result"]
        assert job["state"] == "done" and [view["equal"] for view in job["views"]] == [True] * 6
        projector.send_signal(signal.SIGTERM)
        assert await projector.wait() == 0
    store = SQLiteViews(path, sample.views(Directory()))
    assert digests(store) == await uninterrupted(ledger)
    store.close()


@pytest.mark.slow
async def test_sigterm_ends_it_within_a_second_in_the_middle_of_a_fold_and_of_a_rebuild(
    log_on_nats: LogOnNats, tmp_path: Path
) -> None:
    broker, client, ledger = log_on_nats
    await append(ledger, list(sample.entries(30_000, works=2_000)))
    for is_rebuilding in (False, True):
        async with process(broker.url, tmp_path / "views.sqlite") as projector:
            if is_rebuilding:
                await until(client, lambda s: s["position"] == 30_000)
                await client.request("attorn.q.projector.rebuild", b"", 2)
                await until(client, lambda s: s["rebuild"]["position"] > 3_000)
            else:
                await until(client, lambda s: s["position"] > 500)
            began = time.monotonic()
            projector.send_signal(signal.SIGTERM)
            assert await projector.wait() == 0
            assert time.monotonic() - began < 1
            position = SQLiteViews(tmp_path / "views.sqlite", sample.views(Directory()))
            assert is_rebuilding or 500 < position.position < 30_000
            position.close()


async def test_a_projector_outlives_a_restart_of_the_server(log_on_nats: LogOnNats, tmp_path: Path) -> None:
    broker, client, ledger = log_on_nats
    await append(ledger, ENTRIES[:500])
    async with process(broker.url, tmp_path / "views.sqlite") as projector:
        await until(client, lambda s: s["position"] == 500)
        await broker.kill()
        await broker.restart()
        async with asyncio.timeout(20):
            while not client.is_connected:  # noqa: ASYNC110 - nats-py sets no Event
                await asyncio.sleep(0.05)
        await append(ledger, ENTRIES[500:1_000])
        async with asyncio.timeout(20):
            while True:
                try:
                    if (await status(client))["position"] == 1_000:
                        break
                except (nats.errors.Error, TimeoutError):
                    await asyncio.sleep(0.05)
        assert projector.returncode is None


async def test_without_a_server_it_waits_for_one_and_can_be_ended(tmp_path: Path) -> None:
    running = await asyncio.create_subprocess_exec(
        *PROCESS,
        *("--nats-url", "nats://127.0.0.1:1", "--views", str(tmp_path / "views.sqlite")),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None
    try:
        async with asyncio.timeout(20):
            assert b"no connection yet, trying on" in await running.stderr.readline()
            running.terminate()
            assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def test_a_projector_whose_log_went_back_ends_with_a_sentence(log_on_nats: LogOnNats, tmp_path: Path) -> None:
    broker, _, ledger = log_on_nats
    await append(ledger, ENTRIES[:10])
    async with projecting(await recorded(500), tmp_path / "views.sqlite") as ahead:
        await ahead.until(500, 10)
    running = await asyncio.create_subprocess_exec(
        *PROCESS,
        *("--nats", broker.url, "--data", str(tmp_path)),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(running.communicate(), 20)
    assert (running.returncode, out) == (1, b"")
    assert b"the log ends at position 10, and the views are at 500" in errors and b"Traceback" not in errors


@pytest.mark.parametrize("arguments", [[], ["--views"], ["--nats-url", "nats://127.0.0.1:1"], ["--what", "x"]])
async def test_what_it_was_not_asked_properly_it_does_not_do(arguments: list[str]) -> None:
    running = await asyncio.create_subprocess_exec(
        *PROCESS,
        *arguments,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(running.communicate(), 20)
    assert running.returncode == 2 and errors.startswith(b"usage: ")
