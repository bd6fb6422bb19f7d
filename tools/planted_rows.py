"""Takes one row at a time out of the tables that go by payload, and demands that a test misses it, by an assertion.

    python tools/planted_rows.py              # every row, two at a time
    python tools/planted_rows.py claim        # those in whose table, or of whose payload, this is a part

A table is a dictionary of functions by class of event at the level of a module: what a work item is judged by and what
it becomes (CHECKS, CHANGES and their like in the slices), and the moves of its lifecycle.

Everything is imported and collected once. A first run notes which tests each row has a say in: those in which a rule
finds something, or an event changes something by that row. Then a child is forked for each row, with the row taken out,
and runs these tests, the quickest first, until one fails. No other test can miss the row, but for those that share a
fixture with one of them. Exits with 1 when nothing misses a row, or when the tests fail with all rows in place.
"""

import asyncio
import gc
import inspect
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest
from _pytest.runner import runtestprotocol

ROOT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / root) for root in ("contracts", "projections", "services")]

from attorn.contracts.messages import EVENT_BY_TYPE  # noqa: E402
from attorn.projections.lifecycle import Step  # noqa: E402
from attorn.services.rulebook import RULES  # noqa: E402

TESTS: Final = ("tests/services", "tests/scenarios", "tests/properties", "tests/projections/test_lifecycle.py")
"""Of these the plain functions: a test that talks to a server is a coroutine, and takes too long for this."""

MODULES: Final = ("attorn.services.", "attorn.projections.lifecycle")
AT_ONCE: Final = 2
SECONDS_MAX: Final = 60
"""How long a row is looked for; a test that hangs without it does not miss it by an assertion."""

ALLOWED: Final = frozenset(
    f"work.STEPS[{payload}]"
    for payload in (
        "EscalationCancelled", "EscalationReopened", "EscalationResolved", "ReviewInvalidated", "ReviewWithdrawn",
        "WorkDefined",
    )
)  # fmt: skip
"""The rows that have no say: all moves are asked whether they may be made, and these may from everywhere."""

MADE: Final = "misplaced.CHECKS"
"""What is left out: no row of it is written down, it is the same rule for whatever the contracts have elsewhere."""

PAYLOADS: Final = frozenset(EVENT_BY_TYPE.values())


class Row(NamedTuple):
    """What stands in `table` for `payload`."""

    table: str
    within: dict[type, Any]
    payload: type

    def __str__(self) -> str:
        return f"{self.table}[{self.payload.__name__}]"


class Noted(NamedTuple):
    """What the tests of a run had to do with the rows: by number of the row, by number of the test."""

    told: dict[int, list[int]]
    seconds: dict[int, float]
    failed: dict[int, str]
    """The tests that fail with all rows in place, and by what: they would miss everything."""


class Gate:
    """The plugin that runs what pytest has collected once for each row, in place of once."""

    def __init__(self, asked: Sequence[str]) -> None:
        self.asked = asked
        self.lines: list[str] = []
        self.code = 1
        self.raised: type[BaseException] | None = None
        self.tests: list[pytest.Function] = []
        self.rows: list[Row] = []
        self.running = 0

    def pytest_configure(self) -> None:
        # Not before pytest has made ready for it.
        from hypothesis import Phase, settings

        # An example that fails without a row is nothing to keep, or to make small.
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("planted", database=None, derandomize=True, phases=phases, deadline=None)
        settings.load_profile("planted")

    def pytest_exception_interact(self, call: pytest.CallInfo[Any]) -> None:
        self.raised = call.excinfo.type if call.excinfo is not None else None

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        begun = time.monotonic()
        tests = (item for item in session.items if isinstance(item, pytest.Function))
        self.tests = [item for item in tests if not inspect.iscoroutinefunction(item.function)]
        self.rows = [row for row in _rows() if all(word in str(row) for word in self.asked)]
        assert session.testsfailed == 0 and threading.active_count() == 1
        # What is imported stays where it is: no child copies a page because the collector has looked at it.
        gc.collect()
        gc.freeze()
        noted = self._noted()
        for number, raised in noted.failed.items():
            self.lines.append(f"fails with all rows in place, by {raised}: {self.tests[number].nodeid}")
        silent = {number for number, row in enumerate(self.rows) if str(row) in ALLOWED}
        for number in silent & noted.told.keys():
            self.lines.append(f"{self.rows[number]}: has a say now; take it from those that have none")
        tried = [number for number in range(len(self.rows)) if number not in silent]
        missed, given = 0, [(number, self._order(noted, number)) for number in tried]
        for (number, tests), said in _forked(self._take_out, given):
            row = self.rows[number]
            if said is None:
                self.lines.append(f"{row}: its child failed, or took longer than {SECONDS_MAX} s")
            elif said["by"]:
                missed += 1
            else:
                how = "".join(f"; {test} fails, by {raised}" for test, raised in said["otherwise"][:1])
                self.lines.append(f"{row}: {f'{len(tests)} tests do without it' if tests else 'no test knows it'}{how}")
        self.lines.append(f"{missed} of {len(tried)} rows missed, {time.monotonic() - begun:.0f} s")
        self.code = 0 if missed and len(self.lines) == 1 else 1
        return True

    # ---- in the children

    def _noted(self) -> Noted:
        files = sorted({item.path for item in self.tests})
        noted = Noted(defaultdict(list), {}, {})
        # File by file: tests of one file may share what is slow to make.
        for _, part in _forked(self._note, [files[n::AT_ONCE] for n in range(AT_ONCE)], seconds=600):
            assert part is not None, "the tests could not be run with all rows in place"
            for row, tests in part["told"]:
                noted.told[row] += tests
            noted.seconds.update(part["seconds"])
            noted.failed.update(part["failed"])
        return noted

    def _note(self, files: Sequence[Path]) -> dict[str, Any]:
        told: defaultdict[int, set[int]] = defaultdict(set)
        for number, row in enumerate(self.rows):
            _watch(row, partial(self._told, told[number]))
        chosen = [number for number, item in enumerate(self.tests) if item.path in files]
        seconds, failed = dict[int, float](), dict[int, str]()
        for number, raised, taken in self._run(chosen):
            seconds[number] = taken
            if raised is not None:
                failed[number] = raised.__name__
        return {
            "told": [(row, [*tests]) for row, tests in told.items() if tests],
            "seconds": [*seconds.items()],
            "failed": [*failed.items()],
        }

    def _told(self, tests: set[int]) -> None:
        tests.add(self.running)

    def _order(self, noted: Noted, row: int) -> list[int]:
        """The tests that may miss a row: those that it has a say in, then what shares a file and fixtures with them."""
        told = {*noted.told.get(row, ())} - noted.failed.keys()
        files = {self.tests[number].path for number in told}
        beside = {number for number, item in enumerate(self.tests) if item.path in files and _shares(item)}
        beside -= told | noted.failed.keys()
        quick = lambda number: noted.seconds[number]  # noqa: E731
        return [*sorted(told, key=quick), *sorted(beside, key=quick)]

    def _take_out(self, given: tuple[int, Sequence[int]]) -> dict[str, Any]:
        """The test that misses a row, by an assertion; and which failed otherwise, which proves nothing."""
        row, tests = given
        otherwise = list[tuple[str, str]]()
        _replace(self.rows[row], None)
        for number, raised, _ in self._run(tests):
            if raised is not None and issubclass(raised, AssertionError | pytest.fail.Exception):
                return {"by": self.tests[number].nodeid, "otherwise": otherwise}
            if raised is not None:
                otherwise.append((self.tests[number].nodeid, raised.__name__))
        return {"by": "", "otherwise": otherwise}

    def _run(self, tests: Sequence[int]) -> Iterator[tuple[int, type[BaseException] | None, float]]:
        """Each test with what it raised, and how long it took."""
        for at, number in enumerate(tests):
            item = self.tests[number]
            self.running, self.raised, begun = number, None, time.monotonic()
            behind = self.tests[tests[at + 1]] if at + 1 < len(tests) else None
            runtestprotocol(item, log=False, nextitem=behind)
            yield number, self.raised, time.monotonic() - begun


def _shares(item: pytest.Function) -> bool:
    """Whether a fixture of it may have been made ready for another test."""
    fixtures = (one for several in item._fixtureinfo.name2fixturedefs.values() for one in several)
    return any(fixture.scope in ("module", "class") for fixture in fixtures)


# ---- rows


def _rows() -> Iterator[Row]:
    for name, module in sorted(sys.modules.items()):
        for table, within in _tables(module) if name.startswith(MODULES) else ():
            if not table.startswith(MADE):
                yield from (Row(table, within, payload) for payload in sorted(within, key=lambda p: p.__name__))
    for kind, rules in sorted(RULES.items()):
        for payload in getattr(rules, "observing", ()):
            yield Row(f"rulebook.RULES[{kind!r}].observing", rules.observing, payload)  # type: ignore[attr-defined]


def _tables(module: ModuleType) -> Iterator[tuple[str, dict[type, Any]]]:
    place = module.__name__.removeprefix("attorn.").removeprefix("services.").removesuffix(".model")
    for name in module.__annotations__:
        within = vars(module).get(name)
        if isinstance(within, dict) and within.keys() <= PAYLOADS and all(map(callable, within.values())):
            yield f"{place}.{name}", within


def _replace(row: Row, by: Any) -> None:
    """Puts `by` in the place of a row, or takes the row out: of its table, and of the rules that are made of it."""
    stood = row.within[row.payload]
    for rules in RULES.values():
        for composed in (getattr(rules, name, {}) for name in ("checks", "changes")):
            rows = composed.get(row.payload, ())
            composed[row.payload] = tuple(by if each is stood else each for each in rows if each is not stood or by)
    made = [getattr(rules, "rows", {}) for rules in RULES.values()]
    for table in (row.within, *(each for each in made if each.get(row.payload) is stood)):
        if by is None:
            del table[row.payload]
        else:
            table[row.payload] = by


def _watch(row: Row, tell: Callable[[], None]) -> None:
    """Has `tell` called whenever a row has a say."""
    _replace(row, _watched(row.within[row.payload], tell))


def _watched(row: Callable[..., Any], tell: Callable[[], None]) -> Callable[..., Any]:
    @wraps(row)
    def watched(*given: Any) -> Any:
        try:
            said = row(*given)
            if isinstance(said, Iterator):
                said = (*said,)
        except BaseException:
            tell()
            raise
        if isinstance(said, Step):
            has_say = said != Step(given[0], True)
        elif type(said) is type(given[0]):
            has_say = said is not given[0] and said != given[0]
        else:
            has_say = said is None or bool(said)
        if has_say:
            tell()
        return said

    return watched


# ---- children


def _forked(
    task: Callable[[Any], Any], given: Sequence[Any], seconds: float = SECONDS_MAX
) -> Iterator[tuple[Any, Any]]:
    """What `task` returns for each, in a child of its own, some at once; None for one that failed or took too long."""
    waiting, running = [*reversed(given)], dict[int, tuple[int, Any, float, list[bytes]]]()
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            one = waiting.pop()
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                _tell_parent(task, one, writing)
            os.close(writing)
            running[reading] = child, one, time.monotonic() + seconds, []
        for reading in select.select([*running], [], [], 0.2)[0]:
            child, one, _, parts = running[reading]
            if part := os.read(reading, 1 << 16):
                parts.append(part)
                continue
            os.close(reading)
            os.waitpid(child, 0)
            del running[reading]
            yield one, json.loads(b"".join(parts)) if parts else None
        for child, _, until, _ in running.values():
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)


def _tell_parent(task: Callable[[Any], Any], one: Any, writing: int) -> None:
    try:
        # The loop that the stories run on was made when it was imported, and belongs to the parent.
        import story

        vars(story)["_loop"] = asyncio.new_event_loop()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(task(one)).encode())
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(0)


def main(asked: Sequence[str]) -> int:
    os.chdir(ROOT)
    gate = Gate(asked)
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
        options = ("-p", "no:cacheprovider", "-p", "no:terminal", "--capture=sys")
        pytest.main([*options, *TESTS], plugins=[gate])
    for line in gate.lines:
        print(line)
    return gate.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
