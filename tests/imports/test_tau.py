"""The runs of a real agent (tau-bench, GPT-4o, airline) through the client and the doors, and what the views say of them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from attorn.client.attorn import Attorn, connect
from attorn.contracts.refusal import Unreadable
from attorn.services.imports import tau

ROOT = Path(__file__).parents[2]
RUNS = ROOT.parent / "shared" / "data" / "tau_bench_gpt4o_airline.json.gz"


@pytest.fixture(scope="module")
def runs() -> Iterator[Path]:
    if not RUNS.is_file():
        pytest.skip(f"{RUNS.name} is not beside the checkout")
    yield RUNS


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def imported(instance: str, runs: Path) -> AsyncIterator[tuple[Attorn, tau.Report, int]]:
    """The runs on the log, and the position behind them."""
    async with connect(instance, participant="root", source=tau.SOURCE) as attorn:
        report = await tau.run(runs, attorn, custodian="root")
        position = (await attorn.ask_at("status")).result["head"]
        yield attorn, report, position


async def test_every_run_is_taken_in_once(imported: tuple[Attorn, tau.Report, int], runs: Path) -> None:
    attorn, report, _ = imported
    assert (report.runs, report.there, report.problems) == (200, 0, ())
    again = await tau.run(runs, attorn, custodian="root")
    assert (again.recorded, again.there) == (0, report.recorded)


def test_a_file_that_is_none_is_refused_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_bytes(b'[{"task_id": "zero"}]')
    with pytest.raises(Unreadable, match="task_id"):
        tau.read(path)
    path.write_bytes(RUNS.read_bytes()[:5_000] if RUNS.is_file() else b"\x1f\x8b")
    with pytest.raises(Unreadable, match="cannot be read"):
        tau.read(path)
