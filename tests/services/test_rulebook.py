"""The rulebook asks only the slices that an event concerns: it must come to the same as asking every slice."""

from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, Final

import pytest

from attorn.contracts import codec
from attorn.contracts.envelope import Event, Recorded, Unknown, sequence
from attorn.contracts.examples import EVENT_EXAMPLES
from attorn.contracts.work import WorkDefined
from attorn.projections.directory import KINDS, Directory
from attorn.services.concern import looks_at
from attorn.services.rulebook import RULES

BEGIN: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
WORK: Final[Any] = RULES["work"]
PAYLOADS: Final = list(EVENT_EXAMPLES.values())


def event(payload: Any, version: int, stream: str = "work/W-1042") -> Event:
    return codec.event(
        payload,
        id=f"e-{version}",
        source="/attorn/participant/ana",
        subject=stream,
        time=BEGIN + timedelta(minutes=version),
        sequence=sequence(version),
        authid="ana",
        authtype="user",
    )


def directory() -> Directory:
    """Everybody and everything that the examples speak of."""
    found = Directory()
    for position, payload in enumerate(PAYLOADS, 1):
        for kind in KINDS:
            told = event(payload, position, f"{kind}/{kind}-1")
            found.evolve(Recorded(position, told.time, told, codec.encode(told)))
    return found


def states() -> list[Any]:
    """What a work item looks like as every example happens to it, one after the other, twice, in both directions."""
    found = [WORK.initial]
    for version, payload in enumerate((*PAYLOADS, *reversed(PAYLOADS)), 1):
        found.append(_by_all(found[-1], event(payload, version)))
    return found


def _by_all(state: Any, told: Event) -> Any:
    for slice_ in WORK.evolving:
        state = slice_.evolve(state, told)
    return state


DIRECTORY: Final = directory()
STATES: Final = states()


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_a_slice_that_is_not_asked_has_nothing_to_say(payload: Any) -> None:
    told = event(payload, 999)
    for state in STATES[::7]:
        asked = list(WORK.check(state, told, DIRECTORY))
        everybody = [breach for slice_ in WORK.checking for breach in slice_.check(state, told, DIRECTORY)]
        assert asked == everybody
        assert WORK.evolve(state, told) == _by_all(state, told)


def test_what_nobody_knows_is_shown_to_whoever_wants_to_see_it() -> None:
    told = event(WorkDefined(title="x", accountable="ana"), 1)
    unknown = Event(specversion="1.0", id="e", source="/s", subject=told.subject, time=BEGIN,
                    data=Unknown(type="erp.thing.v1", raw=b"{}", reason="not known"))  # fmt: skip

    assert {breach.rule for breach in WORK.check(WORK.initial, unknown, DIRECTORY)} >= {"hidden-work"}
    assert WORK.evolve(WORK.initial, unknown) == _by_all(WORK.initial, unknown)


def slice_of(code: str) -> ModuleType:
    """A slice with this code."""
    module = ModuleType("attorn.services.made_up.model")
    exec(compile(code, "<made up>", "exec"), vars(module))
    return module


def test_what_a_slice_looks_at_is_found_wherever_it_is_named() -> None:
    found = looks_at(slice_of("""
from attorn.contracts.work import WorkDefined, WorkReadied, WorkAssigned, WorkSubmitted, WorkCompleted, WorkFailed
TABLE = {WorkReadied: "a"}
GROUP = WorkAssigned | WorkSubmitted
def _deeper(event):
    return [each for each in [event] if isinstance(each.data, GROUP)]
class Seen:
    @property
    def it(self):
        return WorkFailed
def check(state, event, directory):
    if isinstance(event.data, WorkDefined):
        yield _deeper(event)
def evolve(state, event):
    if type(event.data) in TABLE:
        return (lambda data: isinstance(data, WorkCompleted))(event.data) or Seen().it
    return state
"""))  # fmt: skip

    assert found is not None
    assert {payload.__name__ for payload in found} == {
        "WorkDefined", "WorkReadied", "WorkAssigned", "WorkSubmitted", "WorkCompleted", "WorkFailed"
    }  # fmt: skip


@pytest.mark.parametrize("code", ['getattr(event.data, "by", None)', 'hasattr(event.data, "by")'])
def test_a_slice_whose_code_does_not_tell_is_asked_about_everything(code: str) -> None:
    made_up = slice_of(f"def check(state, event, directory):\n    yield {code}\ndef evolve(state, event): return state")

    assert looks_at(made_up) is None


def test_most_slices_are_spared_most_events() -> None:
    """Else a decision costs half as much again."""
    told = [looks_at(slice_) for slice_ in WORK.evolving]

    assert sum(payloads is not None and len(payloads) < len(PAYLOADS) / 4 for payloads in told) >= 4
