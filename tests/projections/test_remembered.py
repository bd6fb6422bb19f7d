"""Whoever opens the views again goes on from the directory that is kept beside them, and knows what a fold would."""

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attorn.contracts.claim import AcquireClaim
from attorn.contracts.dependency import AddDependency
from attorn.contracts.envelope import Event, Recorded, sequence
from attorn.contracts.participant import DeactivateParticipant, DeclareAbsence
from attorn.contracts.process import PublishProcess
from attorn.contracts.work import DefineWork, FailWork, WorkDefined
from attorn.projections.directory import Directory, fold
from attorn.projections.store import remembered
from attorn.projections.store.sqlite import SQLiteViews, take_over
from attorn.services.projector.compose import views
from attorn.services.projector.project import fold_directory, pinned
from story import BEGIN, Story, at_once


def told() -> Story:
    """People who leave and are away, processes, work that waits for other work or has ended, and claims."""
    return Story().given(
        PublishProcess(process_id="refunds", owner="ana"),
        DefineWork(work_id="W-1", title="Refund", accountable="ana", process="refunds", dedup_key="order-7"),
        DefineWork(work_id="W-2", title="Part", accountable="ben", parent_id="W-1"),
        DefineWork(work_id="W-3", title="Other", accountable="ben"),
        AddDependency(work_id="W-1", on="W-3"),
    ).given(FailWork(work_id="W-2"), by="ben").given(
        AcquireClaim(key="order/7", work_id="W-1"),
        AcquireClaim(key="order/8"),
        DeclareAbsence(participant_id="ana", from_=BEGIN, until=BEGIN.replace(year=2027), substitute="carla",
                       covers=("review",)),
        DeactivateParticipant(participant_id="ben", successor="carla"),
    )  # fmt: skip


def defined(work: str) -> Event:
    # As it is read from the log: each event has a name of its own in memory.
    data = WorkDefined(title="Refund", accountable="".join(("an", "a")))
    return Event(specversion="1.0", id=work, source="urn:test", subject=f"work/{work}", time=BEGIN, data=data,
                 sequence=sequence(1), authid="ana", authtype="user")  # fmt: skip


def put(store: SQLiteViews, body: bytes | str) -> None:
    """What stands there is what was meant to be kept, by its digest."""
    data = body if isinstance(body, bytes) else body.encode()
    with store._database.transaction() as cursor:
        cursor.execute("UPDATE remembered SET body = ?, sha256 = ?", (body, sha256(data).hexdigest()))


def digest(directory: Directory) -> str:
    steps = remembered.digesting(directory)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value)


def opened(path: Path) -> tuple[SQLiteViews, Directory]:
    directory = Directory()
    return SQLiteViews(path, views(directory), directory), directory


def test_a_file_that_was_closed_has_the_directory_of_its_position(tmp_path: Path) -> None:
    story = told()
    store, _ = opened(tmp_path / "views")
    store.apply(story.log())
    store.close()

    again, directory = opened(tmp_path / "views")
    again.recall()
    assert directory == story.people() and directory.position == again.position == len(story.log())
    # And it goes on from there as if nothing had been between.
    story.given(DefineWork(work_id="W-4", title="Next", accountable="carla"))
    again.apply(story.log())
    assert directory == story.people()
    again.close()


def test_after_a_crash_only_what_came_since_is_folded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "EVERY", 5)
    story = told()
    log = story.log()
    killed, _ = opened(tmp_path / "views")
    for recorded in log[:-2]:
        killed.apply([recorded])

    store, directory = opened(tmp_path / "views")
    store.recall()
    assert len(log) - 8 < directory.position <= store.position == len(log) - 2
    assert directory == fold(log[: directory.position])
    at_once(fold_directory(story.ledger, directory, store.position))
    assert directory == fold(log[:-2])
    for each in (store, killed):
        each.close()


def test_what_another_version_has_kept_or_nobody_can_read_is_folded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = told()
    store, _ = opened(tmp_path / "views")
    store.apply(story.log())
    store.close()

    with monkeypatch.context() as changed:
        changed.setattr(remembered, "VERSION", remembered.VERSION + 1)
        store, directory = opened(tmp_path / "views")
        store.recall()
        assert directory == Directory()
        at_once(fold_directory(story.ledger, directory, store.position))
        assert directory == story.people()
    [(body,)] = store._database.fetch("SELECT body FROM remembered")
    torn = (b"torn", body[:-1], body.replace(b"carla", b"c\xff\xfela"), body + b"\0", "text")
    for bytes_ in torn:
        put(store, bytes_)
        fresh = Directory()
        remembered.recall(store._database.fetch, fresh, store.position)
        assert fresh == Directory(), bytes_
    store.close()


def test_what_is_by_its_digest_not_what_was_kept_is_folded_anew(tmp_path: Path) -> None:
    story = told()
    store, _ = opened(tmp_path / "views")
    store.apply(story.log())
    store.close()
    store, directory = opened(tmp_path / "views")
    [(body,)] = store._database.fetch("SELECT body FROM remembered")
    with store._database.transaction() as cursor:
        cursor.execute("UPDATE remembered SET body = ?", (body.replace(b"carla", b"clara"),))
    store.recall()
    assert directory == Directory()
    with store._database.transaction() as cursor:
        cursor.execute("UPDATE remembered SET body = ?, position = position - 1", (body,))
    store.recall()
    assert directory == Directory()
    store.close()


def test_what_was_kept_before_there_were_digests_is_folded_anew_and_kept_as_it_is_now(tmp_path: Path) -> None:
    story = told()
    store, directory = opened(tmp_path / "views")
    store.apply(story.log())
    with store._database.transaction() as cursor:
        cursor.execute("CREATE TABLE remembered (version INTEGER, position INTEGER, body BLOB)")
        cursor.execute("INSERT INTO remembered VALUES (?, 1, ?)", (remembered.VERSION, b""))
    fresh = Directory()
    remembered.recall(store._database.fetch, fresh, store.position)
    assert fresh == Directory()
    store.close()
    store, directory = opened(tmp_path / "views")
    store.recall()
    assert directory == story.people()
    store.close()


def test_names_that_stand_on_many_items_are_in_memory_once_also_after_a_restart(tmp_path: Path) -> None:
    story = told()
    log = story.log()
    items = [Recorded(len(log) + n, log[-1].recorded_at, defined(f"A-{n}"), b"{}") for n in range(1, 101)]
    store, _ = opened(tmp_path / "views")
    store.apply([*log, *items])
    store.close()
    again, directory = opened(tmp_path / "views")
    again.recall()
    same = [directory.relations.open[f"A-{n}"] for n in range(1, 101)]
    assert len({id(item.named) for item in same}) == 1 and same[0].named == "ana"
    again.close()


def test_two_folds_of_one_log_have_one_digest_and_it_is_of_all_that_is_in_them(tmp_path: Path) -> None:
    story = told()
    store, _ = opened(tmp_path / "views")
    store.apply(story.log())
    store.close()
    again, directory = opened(tmp_path / "views")
    again.recall()
    again.close()
    assert digest(directory) == digest(story.people()) == digest(pinned(directory))

    def changed(of: Any) -> Iterator[Any]:
        for name in of.__struct_fields__:
            value = getattr(of, name)
            if isinstance(value, msgspec.Struct):
                for each in changed(value):
                    yield msgspec.structs.replace(of, **{name: each})
            elif isinstance(value, dict):
                yield msgspec.structs.replace(of, **{name: {**value, "other": ()}})
            elif isinstance(value, set):
                yield msgspec.structs.replace(of, **{name: {*value, "other"}})
            else:
                yield msgspec.structs.replace(of, **{name: value + (1 if isinstance(value, int) else ("other",))})

    others = [digest(other) for other in changed(directory)]
    assert len({digest(directory), *others}) == len(others) + 1 > 20


def test_a_file_that_is_about_to_be_replaced_keeps_no_directory(tmp_path: Path) -> None:
    story = told()
    old, _ = opened(tmp_path / "views")
    new, _ = opened(tmp_path / "next")
    for store in (old, new):
        store.apply(story.log())
    (tmp_path / "old").hardlink_to(tmp_path / "views")
    store = take_over(old, new)
    store.recall()
    assert store.directory == story.people()
    store.close()
    before = sqlite3.connect(tmp_path / "old")
    assert before.execute("SELECT name FROM sqlite_master WHERE name IN ('tracking', 'remembered')").fetchall() == [
        ("tracking",)
    ]
    before.close()


def test_nothing_is_kept_of_a_directory_that_is_elsewhere_than_the_rows(tmp_path: Path) -> None:
    story = told()
    store, directory = opened(tmp_path / "views")
    store.apply(story.log())
    directory.position -= 1
    store.close()
    again, directory = opened(tmp_path / "views")
    again.recall()
    assert directory == Directory()
    again.close()
