"""Views in SQLite hold what their fold over the log says: each event once, whatever the pages, crashes and mistakes."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from pathlib import Path

import msgspec
import pytest

import sample_views as sample
from attorn.contracts.envelope import Recorded
from attorn.contracts.refusal import Unavailable
from attorn.contracts.work import WorkDefined
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows, View
from attorn.projections.store import sqlite
from attorn.projections.store.sqlite import MEMORY, Gap, SQLiteViews, take_over
from sample_views import Crowd, Kind, Line, Notes, Tally

LOG = sample.log(600)
NAMES = ("tally", "lines", "notes", "kinds", "crowd")


def opened(path: str | Path = MEMORY, *more: View) -> SQLiteViews:
    """The sample's views in `path`, with a directory that is where they are."""
    directory = Directory()
    store = SQLiteViews(path, (*sample.views(directory), *more), directory)
    for recorded in LOG[: store.position]:
        directory.evolve(recorded)
    return store


def fold(store: SQLiteViews, log: Sequence[Recorded], page: int) -> SQLiteViews:
    for start in range(0, len(log), page):
        store.apply(log[start : start + page])
    return store


def digests(store: SQLiteViews) -> dict[str, str]:
    return {name: store.digest(name) for name in NAMES}


@pytest.fixture(scope="module")
def expected() -> Iterator[dict[str, str]]:
    store = fold(opened(), LOG, len(LOG))
    yield digests(store)
    store.close()


@pytest.mark.parametrize("page", [1, 7, 250, 599])
@pytest.mark.parametrize("cached", [0, 3, 10_000])
@pytest.mark.parametrize("unwritten", [1, 40, 10_000])
def test_the_size_of_the_pages_of_the_memory_and_of_the_transactions_changes_no_row(
    page: int,
    cached: int,
    unwritten: int,
    expected: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite, "ROWS_CACHED_MAX", cached)
    monkeypatch.setattr(sqlite, "UNWRITTEN_MAX", unwritten)
    store = opened(tmp_path / "views.sqlite")
    for start in range(0, len(LOG), page):
        store.apply(LOG[start : start + page], later=True)
    assert digests(store) == expected
    store.close()


def test_what_is_folded_can_be_asked_about() -> None:
    store = fold(opened(), LOG, 100)
    with store.reading() as rows:
        as_rows: Rows = rows
        assert as_rows.position == 600
        assert rows.count(Line) == 600
        everything = rows.get(Kind, "all")
        assert everything is not None and everything.count == 600
        assert rows.get(Kind, "none") is None
        late = rows.select(Line, "at > ?", [sample.BEGIN + timedelta(seconds=590)], order="at DESC", limit=3)
        assert [line.key for line in late] == ["0000000600", "0000000599", "0000000598"]
        few = rows.values(Line, ("key", "at"), "at > ?", [sample.BEGIN + timedelta(seconds=590)], "at DESC", 3)
        assert [tuple(values) for values in few] == [(line.key, line.at) for line in late]
        tally = rows.get(Tally, "work/W-1")
        assert tally is not None and tally.is_work is True and tally.last_at.utcoffset() == timedelta(0)
        notes = rows.get(Notes, "W-1")
        assert notes is not None and len(notes.notes) == 5 and sum(notes.seen.values()) == tally.events - 1
    store.close()


def test_each_event_meets_the_directory_of_the_event_before() -> None:
    store = fold(opened(), LOG, 600)
    with store.reading() as rows:
        for line in rows.select(Line, "type = 'attorn.work.defined.v1'"):
            before = {r.stream for r in LOG[: int(line.key) - 1] if r.stream.startswith("participant/")}
            crowd = rows.get(Crowd, line.stream[5:])
            assert crowd is not None and crowd.people == len(before)
    store.close()


def test_a_page_that_comes_twice_counts_once(expected: dict[str, str], tmp_path: Path) -> None:
    store = fold(opened(tmp_path / "views.sqlite"), LOG[:400], 100)
    store.apply(LOG[300:400])
    store.apply(LOG[350:450])
    store.close()
    store = opened(tmp_path / "views.sqlite")
    assert store.position == 450
    store.apply(LOG)
    assert digests(store) == expected
    store.close()


def test_a_page_that_leaves_events_out_is_refused_and_names_both_positions() -> None:
    store = fold(opened(), LOG[:10], 10)
    with pytest.raises(Gap, match="at position 10, and the log goes on at 12, not 11"):
        store.apply(LOG[11:20])
    with pytest.raises(Gap, match="at position 12, and the log goes on at 14"):
        store.apply([*LOG[10:12], *LOG[13:20]])
    with pytest.raises(AssertionError):
        store.apply(LOG[11:20])
    store.apply(LOG[10:20])
    assert store.position == 20
    store.close()


def test_a_crash_within_a_transaction_leaves_rows_and_position_as_they_were(
    expected: dict[str, str], tmp_path: Path
) -> None:
    store = fold(opened(tmp_path / "views.sqlite"), LOG[:200], 50)
    with sqlite3.connect(tmp_path / "views.sqlite") as other:
        # The last that is written fails: all that was written before it goes as well.
        other.execute("CREATE TRIGGER full BEFORE UPDATE ON tracking BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    other.close()
    with pytest.raises(Exception, match="disk full"):
        store.apply([*LOG[200:600]])
    with pytest.raises(AssertionError, match="open the views again"):
        store.apply(LOG[200:300])
    store.close()
    with sqlite3.connect(tmp_path / "views.sqlite") as other:
        other.execute("DROP TRIGGER full")
        assert other.execute("SELECT count(*) FROM lines_v1").fetchone() == (200,)
    other.close()
    store = fold(opened(tmp_path / "views.sqlite"), LOG, 70)
    assert digests(store) == expected
    store.close()


FOLDING = """
import sys, sample_views as sample
from attorn.projections.directory import Directory
from attorn.projections.store.sqlite import SQLiteViews
directory = Directory()
store = SQLiteViews(sys.argv[1], sample.views(directory), directory)
log = sample.log(600)
for recorded in log[:store.position]:
    directory.evolve(recorded)
print(store.position, flush=True)
for recorded in log[store.position:]:
    store.apply([recorded])
    print(recorded.position, flush=True)
"""


def test_killed_in_the_middle_it_goes_on_where_it_was(expected: dict[str, str], tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    folded = [0]
    for kill_after in (90, 170, 240):
        arguments = [sys.executable, "-c", FOLDING, str(tmp_path / "views.sqlite")]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            # What it said that it has, it has still, and at most the page that it was about to name beside it.
            assert int(process.stdout.readline()) >= folded[-1]
            for line in process.stdout:
                folded.append(int(line))
                if folded[-1] >= kill_after:
                    process.send_signal(signal.SIGKILL)
                    break
            folded.extend(int(line) for line in process.stdout if line.endswith("\n"))
        assert process.returncode == -signal.SIGKILL
    store = opened(tmp_path / "views.sqlite")
    assert folded[-1] <= store.position < 600
    fold(store, LOG, 100)
    assert digests(store) == expected
    store.close()


@pytest.mark.parametrize("where", ["keys", "apply", "row"])
@pytest.mark.parametrize("page", [1, 100])
def test_a_poison_event_costs_one_view_one_event(where: str, page: int, expected: dict[str, str]) -> None:
    store = fold(opened(MEMORY, sample.broken([30, 31, 555], where=where)), LOG, page)
    with store.reading() as rows:
        poison = rows.poison("broken", limit=2)
        assert [p.position for p in poison] == [555, 31] and rows.poison_count("broken") == 3
        assert {p.type for p in poison} <= {LOG[554].event.type, LOG[30].event.type}
        said = {"keys": "KeyError: 'no such field'", "apply": "ZeroDivisionError: division by zero", "row": "beyond 64"}
        assert all(said[where] in p.error and ".py:" in p.error for p in poison)
        assert rows.poison_count("tally") == 0
    assert digests(store) == expected
    # The rows of the broken view are those of a log without these three: also the other row that each of them touched.
    without = [r for r in LOG if r.position not in (30, 31, 555)]
    renumbered = [msgspec.structs.replace(r, position=n) for n, r in enumerate(without, 1)]
    other = fold(opened(MEMORY, sample.broken([], where=where)), renumbered, 50)
    assert store.digest("broken") == other.digest("broken")
    store.close()
    other.close()


def test_poison_is_told_to_who_applies_and_kept(tmp_path: Path) -> None:
    store = opened(tmp_path / "views.sqlite", sample.broken([3], where="apply"))
    [poison] = store.apply(LOG[:10])
    assert (poison.view, poison.position) == ("broken", 3)
    assert not store.apply(LOG[:10])
    store.close()
    store = opened(tmp_path / "views.sqlite", sample.broken([3], where="apply"))
    with store.reading() as rows:
        assert rows.poison("broken") == [poison]
    store.close()


def test_an_event_that_the_directory_cannot_take_in_is_poison_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Weak(Directory):
        def evolve(self, recorded: Recorded) -> None:
            if recorded.position == 2:
                raise LookupError("who is that")
            super().evolve(recorded)

    directory = Weak()
    store = SQLiteViews(MEMORY, sample.views(directory), directory)
    assert [(p.view, p.position) for p in store.apply(LOG[:5])] == [("directory", 2)]
    assert directory.position == 5
    store.close()


def test_rows_are_read_back_as_they_were_folded() -> None:
    class Row(msgspec.Struct, frozen=True, kw_only=True):
        key: str
        at: sample.datetime
        ratio: float
        maybe: sample.datetime | None = None
        ok: bool | None = None
        parts: tuple[sample.Note, ...] | None = None

    east = timezone(timedelta(hours=2))
    at = sample.BEGIN.astimezone(east).replace(microsecond=123_457)

    def apply(row: Row | None, recorded: Recorded, key: str) -> Row:
        return Row(key=key, at=at, ratio=1, ok=True, parts=(sample.Note("ÿ\0☎", at),))

    store = SQLiteViews(MEMORY, [sample._view("odd", Row, lambda r: ("K\u2028é",), apply)])
    store.apply(LOG[:1])
    with store.reading() as rows:
        [row] = rows.select(Row)
        assert row == apply(None, LOG[0], "K\u2028é") and type(row.ratio) is float and row.at.tzinfo is sample.UTC
        assert row.ok is True and row.maybe is None
    store.close()


def test_rows_go_when_the_view_says_so(tmp_path: Path) -> None:
    def apply(row: Kind | None, recorded: Recorded, key: str) -> Kind | None:
        return None if row and row.count == 2 else Kind(key, (row.count if row else 0) + 1)

    view = sample._view("odd", Kind, lambda r: ("x", "x") if r.position % 2 else (), apply)
    store = SQLiteViews(tmp_path / "views.sqlite", [view])
    with store.reading() as rows:
        assert rows.count(Kind) == 0
    store.apply(LOG[:1])
    with store.reading() as rows:
        assert rows.get(Kind, "x") == Kind("x", 2)
    store.apply(LOG[1:3])
    with store.reading() as rows:
        assert rows.get(Kind, "x") == Kind("x", 1)
    store.apply(LOG[3:6])
    with store.reading() as rows:
        assert rows.get(Kind, "x") is None or rows.count(Kind) == 1
    store.close()


def test_a_view_of_another_version_is_left_to_a_new_file_which_takes_the_place(
    expected: dict[str, str], tmp_path: Path
) -> None:
    fold(opened(tmp_path / "views.sqlite"), LOG, 100).close()
    now = (sample.tally(2), *sample.views(Directory())[1:])
    store = SQLiteViews(tmp_path / "views.sqlite", now)
    assert [view.NAME for view in store.missing] == ["tally"] and len(store.views) == 4
    with store.reading() as rows, pytest.raises(Unavailable, match="is being filled"):
        rows.get(Tally, "work/W-1")
    directory = Directory()
    following = SQLiteViews(tmp_path / "next", (sample.tally(2), *sample.views(directory)[1:]), directory)
    fold(following, LOG, 100)
    store = take_over(store, following)
    assert sorted(path.name for path in tmp_path.iterdir() if "-" not in path.name) == ["views.sqlite"]
    assert store.missing == () and store.position == 600 and digests(store) == expected
    store.close()


def test_a_view_of_other_columns_is_missing_even_under_the_same_version(tmp_path: Path) -> None:
    fold(SQLiteViews(tmp_path / "views.sqlite", [sample.tally()]), LOG, 100).close()
    other = sample._view("tally", Kind, lambda r: (), lambda row, r, key: row)
    store = SQLiteViews(tmp_path / "views.sqlite", [other])
    assert store.missing == (other,)
    store.close()


def test_no_file_takes_the_place_of_one_that_somebody_reads(
    expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventsourcing.sqlite.SQLITE3_DEFAULT_LOCK_TIMEOUT", 0.05)
    store = fold(opened(tmp_path / "views.sqlite"), LOG[:50], 50)
    new = fold(opened(tmp_path / "next"), LOG, 100)
    with store.snapshot() as rows:
        assert rows.count(Line) == 50
        fold(store, LOG, 100)
        with pytest.raises(Unavailable, match="is being read"):
            take_over(store, new)
    store = take_over(store, new)
    assert digests(store) == expected
    store.close()


def test_a_snapshot_stays_what_it_is_while_the_fold_goes_on(expected: dict[str, str], tmp_path: Path) -> None:
    store = fold(opened(tmp_path / "views.sqlite"), LOG[:300], 100)
    before = digests(store)
    with store.snapshot() as rows:
        fold(store, LOG, 100)
        assert rows.position == 300
        found = {name: rows.digest(name) for name in NAMES}
    assert found == before != expected == digests(store)
    store.close()


def test_two_projectors_on_one_file_do_not_fold_an_event_twice(expected: dict[str, str], tmp_path: Path) -> None:
    one, other = opened(tmp_path / "views.sqlite"), opened(tmp_path / "views.sqlite")
    one.apply(LOG[:100])
    with pytest.raises(Exception, match=r"Failed to record tracking for attorn\.views 50"):
        other.apply(LOG[:50])
    other.close()
    fold(one, LOG, 100)
    assert digests(one) == expected
    one.close()


def test_the_store_knows_the_last_event_again(tmp_path: Path) -> None:
    store = opened(tmp_path / "views.sqlite")
    assert store.tip == ""
    fold(store, LOG[:10], 3)
    assert store.tip == hashlib.sha256(LOG[9].body).hexdigest()
    store.close()


def test_a_view_sees_only_the_events_that_it_is_about() -> None:
    seen = list[type]()

    def keys(recorded: Recorded) -> Sequence[str]:
        seen.append(type(recorded.event.data))
        return ("all",)

    view = sample._view("odd", Kind, keys, lambda row, r, key: Kind(key, (row.count if row else 0) + 1))
    view.EVENTS = frozenset({WorkDefined})  # type: ignore[misc]
    store = fold(SQLiteViews(MEMORY, [view]), LOG, 100)
    defined = sum(isinstance(r.event.data, WorkDefined) for r in LOG)
    with store.reading() as rows:
        assert rows.get(Kind, "all") == Kind("all", defined)
    assert seen == [WorkDefined] * defined
    store.close()


@pytest.mark.parametrize("page", [1, 30, 600])
def test_a_key_that_comes_again_though_its_view_says_new_is_folded_with_what_was_there(page: int) -> None:
    def view(is_new: bool) -> View:
        # One key in ten comes again: within a page, and pages later.
        made = sample._view("odd", Kind, lambda r: (f"k-{r.position % 540}",),
                            lambda row, r, key: Kind(key, (row.count if row else 0) + 1))  # fmt: skip
        made.NEW = is_new  # type: ignore[attr-defined]
        return made

    stores = [fold(SQLiteViews(MEMORY, [view(is_new)]), LOG, page) for is_new in (True, False)]
    assert stores[0].digest("odd") == stores[1].digest("odd")
    with stores[0].reading() as rows:
        assert rows.count(Kind) == 540 and rows.get(Kind, "k-7") == Kind("k-7", 2)
    for store in stores:
        store.close()


@pytest.mark.parametrize("where", ["apply", "row"])
def test_an_event_that_makes_no_row_costs_a_view_of_new_rows_that_row_alone(where: str) -> None:
    def apply(row: Kind | None, recorded: Recorded, key: str) -> Kind:
        if recorded.position == 30 and where == "apply":
            raise ZeroDivisionError("division by zero")
        return Kind(key, 2**63 if recorded.position == 30 else recorded.position)

    view = sample._view("odd", Kind, lambda r: (f"k-{r.position}",), apply)
    view.NEW = True  # type: ignore[attr-defined]
    store = SQLiteViews(MEMORY, [view])
    assert [poison.position for poison in store.apply(LOG[:133])] == [30]
    with store.reading() as rows:
        expected = [n for n in range(1, 134) if n != 30]
        assert [row.count for row in rows.select(Kind, order="count")] == expected
    store.changes = []
    store.apply(LOG[133:135])
    assert store.changes == [(view, [("k-134", Kind("k-134", 134)), ("k-135", Kind("k-135", 135))])]
    store.close()


def test_views_that_share_their_keys_are_asked_once_and_each_is_told_of_keys_that_fail() -> None:
    asked = list[int]()

    def keys(recorded: Recorded) -> Sequence[str]:
        asked.append(recorded.position)
        if recorded.position == 7:
            raise KeyError("no such field")
        return ("all",)

    def row(name: str) -> type[Kind]:
        return type(name, (Kind,), {}, frozen=True)  # type: ignore[call-arg]

    def view(name: str) -> View:
        of = row(name)
        return sample._view(name, of, keys, lambda row, r, key: of(key, (row.count if row else 0) + 1))

    one, other = view("one"), view("other")
    store = SQLiteViews(MEMORY, [one, other])
    assert [(p.view, p.position) for p in store.apply(LOG[:20])] == [("one", 7), ("other", 7)]
    assert asked == [*range(1, 21)]
    with store.reading() as rows:
        assert [rows.select(view.Row) for view in (one, other)] == [[view.Row("all", 19)] for view in (one, other)]
    store.close()


def test_a_view_that_alone_looks_into_the_directory_meets_that_of_the_event_before() -> None:
    directory = Directory()
    store = fold(SQLiteViews(MEMORY, [sample.crowd(directory)], directory), LOG, 250)
    both = fold(opened(), LOG, 250)
    assert store.digest("crowd") == both.digest("crowd") and directory.position == 600
    store.close()
    both.close()


def test_indexes_that_are_made_at_the_end_are_those_that_are_made_at_the_beginning(tmp_path: Path) -> None:
    def indexes(path: Path) -> set[str]:
        with sqlite3.connect(path) as other:
            found = {sql for (sql,) in other.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql > ''")}
        other.close()
        return found

    fold(opened(tmp_path / "first"), LOG, 100).close()
    directory = Directory()
    store = SQLiteViews(tmp_path / "last", sample.views(directory), directory, indexed=False)
    fold(store, LOG, 100)
    assert indexes(tmp_path / "last") == set()
    store.index()
    store.index()
    assert indexes(tmp_path / "last") == indexes(tmp_path / "first") != set()
    store.apply([])
    store.close()


def test_who_wants_to_know_is_told_what_a_page_has_changed() -> None:
    store = opened()
    store.changes = []
    store.apply(LOG[:3])
    changed = {view.NAME: dict(rows) for view, rows in store.changes}
    assert changed["kinds"]["all"] == Kind("all", 3) and len(changed["lines"]) == 3
    store.apply(LOG[:3])
    store.close()


def test_a_snapshot_is_read_in_another_thread_until_it_is_interrupted(tmp_path: Path) -> None:
    store = fold(opened(tmp_path / "views.sqlite"), LOG[:300], 100)
    with store.snapshot() as rows, ThreadPoolExecutor(1) as other:
        counting = other.submit(lambda: rows.count(Line))
        fold(store, LOG, 100)
        assert counting.result() == 300
        rows.interrupt()
        with pytest.raises(Unavailable, match="nobody waits"):
            other.submit(lambda: rows.count(Line)).result()
    store.close()


def test_what_is_to_be_written_later_is_written_before_anybody_reads(tmp_path: Path) -> None:
    store = opened(tmp_path / "views.sqlite", sample.broken([5], where="row"))
    assert not store.apply(LOG[:10], later=True) and store.position == 10
    with store.reading() as rows:
        assert rows.position == 10 and rows.count(Line) == 10 and rows.poison_count("broken") == 1
    # What could not be taken in is told with the next page.
    assert [poison.position for poison in store.apply(LOG[10:20], later=True)] == [5]
    store.close()
    store = opened(tmp_path / "views.sqlite")
    assert store.position == 20
    store.close()


def test_large_events_are_written_before_they_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "UNWRITTEN_BYTES_MAX", sum(len(recorded.body) for recorded in LOG[:20]))
    store, written = opened(tmp_path / "views.sqlite"), list[int]()
    with sqlite3.connect(tmp_path / "views.sqlite") as other:
        for start in (0, 10):
            store.apply(LOG[start : start + 10], later=True)
            written += other.execute("SELECT count(*) FROM lines_v1").fetchone()
    other.close()
    assert written == [0, 20]
    store.close()
