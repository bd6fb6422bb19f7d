"""The runs of a real agent (tau-bench, GPT-4o, airline) come in through the client; what the views say of them."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from attorn.client.attorn import Attorn, connect
from attorn.contracts.escalation import EscalateWork, EscalationContext, Rung
from attorn.contracts.policy import EscalationRules, PolicyRules, PublishPolicy
from attorn.contracts.refusal import Refused, Unreadable
from attorn.contracts.work import DefineWork
from attorn.services.imports import tau
from cli.instance import Ran
from cli.instance import attorn as given

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


async def test_what_a_run_was_worth_is_a_verdict_on_its_item(imported: tuple[Attorn, tau.Report, int]) -> None:
    attorn, _, position = imported
    found = (await attorn.ask_at("criteria", criterion=tau.REWARD, limit=1, wait_for=position)).result
    assert (found["items"], found["passed"], found["failed"], found["waived"]) == (200, 84, 116, 0)


@pytest.mark.requirement("002-06c")
async def test_every_transfer_to_a_human_is_an_escalation_with_its_context_open_until_it_is_resolved(
    imported: tuple[Attorn, tau.Report, int],
) -> None:
    attorn, _, position = imported
    found = await _every(attorn, "escalations", "escalations", position, open=False, raised_by=tau.AGENT)
    assert len(found) == 48
    assert all(each["summary"] and each["question"] for each in found)
    assert {(each["status"], each["outcome"], each["reason"]) for each in found} == {
        ("resolved", "taken_over", "out_of_scope")
    }
    # It was open in between: at the position before it was resolved, nothing had ended it.
    for each in found:
        told = (await attorn.ask_at("timeline", work=each["work"])).result["events"]
        said = [event["type"].split(".")[1:3] for event in told if event["position"] >= each["raised_position"]]
        assert said[0] == ["work", "escalated"] and ["escalation", "resolved"] in said[1:]
    assert await _every(attorn, "escalations", "escalations", position, open=True, raised_by=tau.AGENT) == []


@pytest.mark.requirement("004-06")
async def test_escalations_are_held_against_the_reference(imported: tuple[Attorn, tau.Report, int]) -> None:
    attorn, _, position = imported
    asked = {"criterion": tau.HANDOVER, "success": tau.REWARD}
    found = (await attorn.ask_at("escalation_accuracy", wait_for=position, limit=1, **asked)).result
    assert (found["items"], found["raised"], found["wanted"], found["confirmed"]) == (200, 48, 16, 6)
    assert (found["over"], found["missed"], found["raised_and_right"]) == (42, 10, 35)
    listed = await _every(attorn, "escalation_accuracy", "found", position, **asked)
    assert [each["judged"] for each in listed].count("over") == 42
    assert [each["judged"] for each in listed].count("missed") == 10


@pytest.mark.requirement("004-06")
async def test_who_escalates_by_command_says_what_happened_and_what_is_to_be_decided_unless_the_policy_says_otherwise(
    instance: str,
) -> None:
    async with connect(instance, participant="root") as attorn:
        ladder = (Rung(rung=1, targets=("root",), ack_within=timedelta(hours=1)),)
        for name, required in (("tau-asks", True), ("tau-terse", False)):
            rules = PolicyRules(escalation=EscalationRules(ladder=ladder, question_required=required))
            await attorn.tell(PublishPolicy(policy_id=name, kind="escalation", rules=rules))
            await attorn.tell(DefineWork(work_id=name, title="Rebook", accountable="root", escalation_policy=name))

        def asks(work: str, **context: str) -> EscalateWork:
            return EscalateWork(work_id=work, reason="exception", context=EscalationContext(**context))

        for lacking in (asks("tau-asks", summary="No seat."), asks("tau-terse", summary=" ", question="Which?")):
            with pytest.raises(Refused) as refused:
                await attorn.tell(lacking)
            assert {breach.rule for breach in refused.value.breaches} == {"context-missing"}
        await attorn.tell(asks("tau-asks", summary="No seat.", question="Which?"))
        await attorn.tell(asks("tau-terse", summary="No seat."))


@pytest.mark.requirement("004-10")
async def test_identical_writes_are_found_as_retries_after_an_error_and_doubles_after_a_success(
    imported: tuple[Attorn, tau.Report, int],
) -> None:
    attorn, _, position = imported
    found = (await attorn.ask_at("duplicates", who=tau.AGENT, wait_for=position)).result
    assert (found["tries"], found["failed"]) == (250, 73)
    assert (found["repeats"], found["retries"], found["keyed"], found["doubles"]) == (17, 16, 0, 1)
    # Each of them is a finding as well, by the rule that refuses such a command.
    rule = {"rule": "duplicate-effort"}
    works = dict.fromkeys(each["work"] for each in found["changes"])
    answers = [(await attorn.ask_at("findings", work=work, **rule)).result.get("findings", []) for work in works]
    assert sum(map(len, answers)) == 17


async def test_what_was_written_before_a_transfer_is_half_done(imported: tuple[Attorn, tau.Report, int]) -> None:
    attorn, _, position = imported
    found = await _every(attorn, "half_done", "escalations", position, raised_by=tau.AGENT)
    assert len(found) == 10 and all(each["changes"] for each in found)


async def _every(attorn: Attorn, question: str, field: str, position: int, **parameters: Any) -> list[dict[str, Any]]:
    """All pages of an answer, in pages of seven."""
    found: list[dict[str, Any]] = []
    after: Any = None
    while True:
        page = (await attorn.ask_at(question, wait_for=position, limit=7, after=after, **parameters)).result
        found += page.get(field, ())
        after = page.get("next")
        if after is None:
            return found


async def test_the_command_line_says_what_was_there_already(
    imported: tuple[Attorn, tau.Report, int], instance: str, runs: Path, tmp_path: Path
) -> None:
    def bring_in(path: Path) -> Ran:
        return given("import", "tau", str(path), "-o", "json", ATTORN_NATS_URL=instance, ATTORN_AS="root")

    ran = bring_in(runs)
    assert (ran.code, ran.json["recorded"], ran.json["there"]) == (0, 0, imported[1].recorded)
    assert bring_in(tmp_path / "none.json").code == 2
    (tmp_path / "other.json").write_text("{}")
    refused = bring_in(tmp_path / "other.json")
    assert refused.code not in (0, 1) and "list of runs" in refused.err and "Traceback" not in refused.err


def test_a_file_that_is_none_is_refused_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_bytes(b'[{"task_id": "zero"}]')
    with pytest.raises(Unreadable, match="task_id"):
        tau.read(path)
    path.write_bytes(RUNS.read_bytes()[:5_000] if RUNS.is_file() else b"\x1f\x8b")
    with pytest.raises(Unreadable, match="cannot be read"):
        tau.read(path)
