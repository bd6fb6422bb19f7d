"""Whoever opens the views again goes on from the directory that is kept beside them, and knows what a fold would."""

from pathlib import Path

import pytest

from attorn.contracts.claim import AcquireClaim
from attorn.contracts.dependency import AddDependency
from attorn.contracts.participant import DeactivateParticipant, DeclareAbsence
from attorn.contracts.process import PublishProcess
from attorn.contracts.work import DefineWork, FailWork
from attorn.projections.directory import Directory, fold
from attorn.projections.store import remembered
from attorn.projections.store.sqlite import SQLiteViews
from attorn.services.projector.compose import views
from attorn.services.projector.project import fold_directory
from story import BEGIN, Story, at_once


def told() -> Story:
    """People who leave and are away, processes, work that waits for other work or has ended, and claims."""
    return Story().given(
        PublishProcess(process_id="refunds", owner="ana"),
        DefineWork(work_id="W-1", title="Refund", accountable="ana", process="refunds", dedup_key="order-7"),
        DefineWork(work_id="W-2", title="Part", accountable="ben", parent_id="W-1"),
        DefineWork(work_id="W-3", title="Other", accountable="ben"),
        AddDependency(work_id="W-1", on="W-3"),
        FailWork(work_id="W-2"),
        AcquireClaim(key="order/7", work_id="W-1"),
        AcquireClaim(key="order/8"),
        DeclareAbsence(participant_id="ana", from_=BEGIN, until=BEGIN.replace(year=2027), substitute="carla",
                       covers=("review",)),
        DeactivateParticipant(participant_id="ben", successor="carla"),
    )  # fmt: skip


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
    store._database._execute("UPDATE remembered SET body = ?", (b"torn",))
    store.recall()
    assert directory == story.people()
    fresh = Directory()
    remembered.recall(store._database, fresh, store.position)
    assert fresh == Directory()
    store.close()


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
