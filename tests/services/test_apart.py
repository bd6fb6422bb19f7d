"""A long log is folded by two processes, and what comes of it is what one would have made of it."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import sample_log as sample
from attorn.contracts.envelope import Recorded
from attorn.contracts.ledger import Append, Ledger
from attorn.contracts.refusal import Unavailable
from attorn.projections import findings
from attorn.projections.directory import Directory
from attorn.projections.store import remembered
from attorn.projections.store.sqlite import MEMORY, SQLiteViews
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.memory import MemoryLedger
from attorn.services.projector import apart, compose
from attorn.services.projector.project import Fill, Projector, open_views
from attorn.services.projector.rebuild import Busy, Kind, Maintenance, rebuild, verify
from attorn.services.projector.status import Job
from attorn.services.provision import provision
from attorn.services.supervise.server import Broker
from attorn_services import until

pytest_plugins = ["broker"]

STREAMS = 25


def filled(ledger: Ledger) -> Fill:
    """As `apart.filling`, however short the log is."""
    return lambda path, head: apart.Filling(ledger, f"{path}.apart", head, apart.VIEWS)


async def record(ledger: JetStreamLedger, first: int, last: int) -> int:
    """Events `first` to `last` of every stream; all but the first of each define what is defined already."""
    appends = [
        Append(f"work/W-{n}", first - 1, tuple(sample.entries(f"work/W-{n}", first, last))) for n in range(STREAMS)
    ]
    return max(await ledger.append_all(appends))


async def folded_at_once(ledger: JetStreamLedger) -> dict[str, str]:
    directory = Directory()
    store = SQLiteViews(MEMORY, compose.views(directory), directory)
    store.apply(await sample.everything(ledger))
    return digests(store)


def directory_of(store: SQLiteViews) -> str:
    assert store.directory is not None and store.directory.position == store.position
    steps = remembered.digesting(store.directory)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value)


def digests(store: SQLiteViews) -> dict[str, str]:
    found = {view.NAME: store.digest(view.NAME) for view in sorted(store.views, key=lambda view: view.NAME)}
    return found | {"directory": directory_of(store)}


@asynccontextmanager
async def following(projector: Projector) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(projector.follow())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
        projector.close()


async def test_two_processes_make_of_a_log_what_one_makes_of_it(fresh_nats: Broker, tmp_path: Path) -> None:
    path = tmp_path / "views.sqlite"
    async with sample.connected(fresh_nats.url) as (nc, ledger):
        await provision(nc)
        last = await record(ledger, 1, 30)
        projector = await open_views(ledger, path, compose.views, filled(ledger))
        assert {view.NAME for view in projector.store.missing} == apart.VIEWS

        async with following(projector):
            await asyncio.wait_for(projector.whole(), 10)
            assert projector.position == last
            assert digests(projector.store) == await folded_at_once(ledger)
            with projector.reading() as (rows, _):
                assert len(findings.found(rows, "work/W-7")) > 29
            # From there on one process folds all of them.
            await projector.until(await record(ledger, 31, 35), 10)
            assert digests(projector.store) == await folded_at_once(ledger)
        assert [file.name for file in tmp_path.glob("views*")] == ["views.sqlite"]
    # And the file is one like any other.
    store = SQLiteViews(path, compose.views(Directory()))
    assert not store.missing
    store.close()


@pytest.mark.parametrize(("kind", "again"), [("rebuild", rebuild), ("verify", verify)])
async def test_they_are_folded_anew_by_two_processes_too(
    kind: Kind, again: Callable[[Projector, Job], Awaitable[None]], fresh_nats: Broker, tmp_path: Path
) -> None:
    async with sample.connected(fresh_nats.url) as (nc, ledger):
        await provision(nc)
        last = await record(ledger, 1, 30)
        projector = await open_views(ledger, tmp_path / "views.sqlite", compose.views, filled(ledger))
        async with following(projector):
            await asyncio.wait_for(projector.whole(), 10)
            assert projector.position == last
            job = Job(kind=kind, started_at=sample.AT)
            await again(projector, job)
            assert len(job.views) == 13 and all(found.equal for found in job.views)
            assert digests(projector.store) == await folded_at_once(ledger)
        assert [file.name for file in tmp_path.glob("views*")] == ["views.sqlite"]


async def test_whoever_asks_before_all_views_are_there_waits_and_is_told_how_far_they_are(
    fresh_nats: Broker, tmp_path: Path
) -> None:
    async with sample.connected(fresh_nats.url) as (nc, ledger):
        await provision(nc)
        last = await record(ledger, 1, 30)
        projector = await open_views(ledger, tmp_path / "views.sqlite", compose.views, filled(ledger))
        with pytest.raises(Unavailable, match=f"folded for the first time: 0 of {last} events"):
            await projector.answerable(0.01)
        with pytest.raises(Busy, match="first time; ask for a verify"):
            Maintenance(projector, lambda: sample.AT).start("verify")
        async with following(projector):
            await projector.answerable(10)
            with projector.reading() as (rows, directory):
                assert rows.position == directory.position == last


async def test_who_is_stopped_before_the_disk_has_the_file_waits_for_it(
    fresh_nats: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured, secure = list[int](), SQLiteViews.secure

    def slowly(store: SQLiteViews) -> None:
        secured.append(store.position)
        if len(secured) == 1:
            time.sleep(0.5)
        secure(store)

    monkeypatch.setattr(SQLiteViews, "secure", slowly)
    async with sample.connected(fresh_nats.url) as (nc, ledger):
        await provision(nc)
        last = await record(ledger, 1, 30)
        projector = await open_views(ledger, tmp_path / "views.sqlite", compose.views, filled(ledger))
        async with following(projector):
            await asyncio.wait_for(projector.whole(), 10)
        assert secured == [last, last] and (tmp_path / "views.sqlite").exists()


async def begun(filling: apart.Filling) -> int:
    """The process id of the child, once there is one."""

    async def is_there() -> bool:
        return filling.child is not None

    await until(is_there)
    assert filling.child is not None
    return filling.child.pid


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_what_a_child_leaves_undone_is_done_here(
    harm: signal.Signals, fresh_nats: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "STALLED_S", 0.5)
    path = tmp_path / "views.sqlite"
    async with sample.connected(fresh_nats.url) as (nc, ledger):
        await provision(nc)
        last = await record(ledger, 1, 30)
        filling = apart.Filling(ledger, f"{path}.apart", last, apart.VIEWS)
        projector = await open_views(ledger, path, compose.views, lambda path, head: filling)
        async with following(projector):
            os.kill(await begun(filling), harm)
            await asyncio.wait_for(projector.whole(), 10)
            assert digests(projector.store) == await folded_at_once(ledger)
            await projector.until(await record(ledger, 31, 32), 10)
        assert [file.name for file in tmp_path.glob("views*")] == ["views.sqlite"]


async def test_what_a_projector_that_died_meanwhile_had_filled_is_filled_anew(
    fresh_nats: Broker, tmp_path: Path
) -> None:
    path = tmp_path / "views.sqlite"
    async with sample.connected(fresh_nats.url) as (nc, ledger):
        await provision(nc)
        last = await record(ledger, 1, 30)
        projector = await open_views(ledger, path, compose.views, filled(ledger))
        projector.store.apply(await sample.everything(ledger))
        projector.store.close()
        # What stands in a file that nobody waited for the disk with may be anything, after a power cut.
        path.write_bytes(b"no database")
        for left in (".apart", ".apart-wal", ".next.apart"):
            Path(f"{path}{left}").touch()
        projector = await open_views(ledger, path, compose.views, filled(ledger))
        assert projector.filling is not None and projector.position == 0
        assert [file.name for file in tmp_path.glob("views*") if "-" not in file.name] == ["views.sqlite"]
        async with following(projector):
            await asyncio.wait_for(projector.whole(), 10)
            assert projector.position == last and digests(projector.store) == await folded_at_once(ledger)


async def test_one_that_is_stopped_meanwhile_ends_the_child_and_complains_of_nothing(
    fresh_nats: Broker, tmp_path: Path
) -> None:
    path, complaints = tmp_path / "views.sqlite", list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: complaints.append(about))
    async with sample.connected(fresh_nats.url) as (nc, ledger):
        await provision(nc)
        last = await record(ledger, 1, 30)
        filling = apart.Filling(ledger, f"{path}.apart", last, apart.VIEWS)
        projector = await open_views(ledger, path, compose.views, lambda path, head: filling)
        async with following(projector):
            pid = await begun(filling)
        del projector
        gc.collect()
        await asyncio.sleep(0)
        asyncio.get_running_loop().set_exception_handler(None)
        assert not complaints and not Path(f"/proc/{pid}").exists()
        # Nothing is whole yet, and the next start fills it sooner.
        assert not [*tmp_path.glob("views*")]


async def test_a_file_of_another_position_is_not_adopted(tmp_path: Path) -> None:
    one, two = Directory(), Directory()
    store = SQLiteViews(tmp_path / "a.sqlite", compose.views(one), one, apart=("findings",))
    other = SQLiteViews(tmp_path / "b.sqlite", [v for v in compose.views(two) if v.NAME == "findings"], two)
    entry = sample.entry("work/W-1", 1)
    other.apply([Recorded(1, sample.AT, entry.event, entry.body)])
    other.close()
    with pytest.raises(AssertionError):
        store.adopt(str(tmp_path / "b.sqlite"))
    assert [view.NAME for view in store.missing] == ["findings"] and store.position == 0
    store.close()


async def test_views_without_the_directory_that_they_looked_into_are_not_adopted(tmp_path: Path) -> None:
    one, two = Directory(), Directory()
    store = SQLiteViews(tmp_path / "a.sqlite", compose.views(one), one, apart=("findings",))
    only = [view for view in compose.views(two) if view.NAME == "findings"]
    other = SQLiteViews(tmp_path / "b.sqlite", only, two, scratch=True)
    entry = sample.entry("work/W-1", 1)
    for views in (store, other):
        views.apply([Recorded(1, sample.AT, entry.event, entry.body)])
    other.close()
    with pytest.raises(AssertionError):
        store.adopt(str(tmp_path / "b.sqlite"))
    assert [view.NAME for view in store.missing] == ["findings"] and one.position == 0
    store.close()


def test_a_short_log_is_folded_by_one_process(tmp_path: Path) -> None:
    path, short = str(tmp_path / "views.sqlite"), apart.EVENTS_MIN - 1
    assert apart.filling(MemoryLedger(), path, short) is None
