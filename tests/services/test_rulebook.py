"""The rulebook puts the tables of all slices of a work item into one: no slice is forgotten, and their order stands."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from attorn.contracts import codec
from attorn.contracts.context import NoteAdded
from attorn.contracts.envelope import Event, Unknown
from attorn.contracts.examples import EVENT_EXAMPLES
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.work import CancelWork, DefineWork, WorkAssigned, WorkDefined
from attorn.projections.directory import Directory
from attorn.services import misplaced, rulebook
from attorn.services.rulebook import RULES
from story import Story

BEGIN: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
WORK: Final[Any] = RULES["work"]
PAYLOADS: Final = [*EVENT_EXAMPLES.values(), Unknown(type="erp.thing.v1", raw=b"{}", reason="not known")]

Tables = Mapping[str, Mapping[type, Callable[..., Any]]]


def slices() -> list[ModuleType]:
    """Every module of the services that says by payload what it judges in a work item."""
    folder = Path(rulebook.__file__).parent
    written = [path for path in sorted(folder.glob("*/*.py")) if "CHECKS: Final[Checks]" in path.read_text("utf-8")]
    return [import_module(f"attorn.services.{path.parent.name}.{path.stem}") for path in written]


def tables(slice_: ModuleType) -> Tables:
    """The tables of a slice that are for others to read, by name."""
    public = {name: value for name, value in vars(slice_).items() if name.isupper() and not name.startswith("_")}
    return {name: table for name, table in public.items() if isinstance(table, Mapping) and _is_by_payload(table)}


def _is_by_payload(table: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, type) for key in table) and all(callable(row) for row in table.values())


SLICES: Final = slices()


def event(payload: Any, *, by: str = "ana", kind: str = "user") -> Event:
    about: dict[str, Any] = {"id": "e", "source": "/s", "subject": "work/W-1", "time": BEGIN}
    if isinstance(payload, Unknown):
        return Event(specversion="1.0", data=payload, **about)
    return codec.event(payload, **about, authid=by, authtype=kind)


@pytest.mark.parametrize("slice_", SLICES, ids=lambda slice_: slice_.__name__)
def test_a_slice_is_about_events_that_there_are(slice_: ModuleType) -> None:
    assert {"CHECKS"} <= tables(slice_).keys() <= {"STEPS", "CHECKS", "MANDATES", "CHANGES", "MOVES"}
    for table in tables(slice_).values():
        assert table.keys() <= {*EVENT_BY_TYPE.values()}


@pytest.mark.parametrize("slice_", SLICES, ids=lambda slice_: slice_.__name__)
def test_every_row_of_a_slice_is_asked(slice_: ModuleType) -> None:
    for name, table in tables(slice_).items():
        rows = WORK.changes if name in ("CHANGES", "MOVES") else WORK.checks
        for payload, row in table.items():
            assert row in rows[payload], f"{name} of {slice_.__name__} is forgotten in the rulebook"


def test_nothing_is_asked_that_stands_in_no_slice() -> None:
    asked = sum(len(rows) for table in (WORK.checks, WORK.changes) for rows in table.values())

    assert len(SLICES) >= 11
    in_slices = sum(len(table) for slice_ in SLICES for table in tables(slice_).values())
    assert asked == in_slices + len(misplaced.CHECKS["work"])


def test_breaches_are_told_in_one_order_where_the_work_stands_who_it_is_given_to_and_who_gives_it() -> None:
    story = Story().given(DefineWork(work_id="W-1", title="Refund", accountable="ana"), CancelWork(work_id="W-1"))
    given = event(WorkAssigned(executor="nobody-known"), by="bot", kind="service_account")

    found = WORK.check(story.state(), given, story.people())
    assert [breach.rule for breach in found] == ["illegal-transition", "unregistered-actor", "undelegated-execution"]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_work_is_known_of_from_its_first_event_on_whatever_that_is(payload: Any) -> None:
    directory, first = Directory(), event(payload, by="erp", kind="system")
    found = {breach.rule for breach in WORK.check(WORK.initial, first, directory)}
    after = WORK.evolve(WORK.initial, first)

    assert after.life.state and after.life.cycle >= 1
    assert after.source == first.authid
    hidden = {"hidden-work", "accountability-defaulted"}
    assert found & hidden == (set() if isinstance(payload, WorkDefined) else hidden)
    assert not hidden & {breach.rule for breach in WORK.check(after, first, directory)}


@pytest.mark.parametrize(
    "payload", [NoteAdded(text="Called twice"), PAYLOADS[-1]], ids=lambda payload: type(payload).__name__
)
def test_what_no_slice_is_about_changes_nothing_and_breaks_nothing(payload: Any) -> None:
    story = Story().given(DefineWork(work_id="W-1", title="Refund", accountable="ana"))
    state, told = story.state(), event(payload)

    assert WORK.evolve(state, told) is state
    assert [*WORK.check(state, told, story.people())] == []
