"""What the processes say of themselves: metrics that nobody can flood, readiness that is true, traces, logs."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import pytest_asyncio

import sample_views as sample
from attorn.contracts.ledger import Append
from attorn.contracts.refusal import Problem, Unavailable, Unreadable
from attorn.services import health, logs, metrics, traces
from attorn.services.connection import connect
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.memory import MemoryLedger
from attorn.services.ledger.wire import Wire
from attorn.services.measured import FAILED_S, MeasuredLedger
from attorn.services.projector import readiness
from attorn.services.projector.project import open_views
from attorn.services.provision import provision
from attorn.services.supervise.server import Broker, embedded
from attorn.services.supervise.supervisor import Child, ChildFailed, spawn, until_ready
from attorn_services import ROOTS, Services, until
from observed import Observed, observed, projector_child

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT: Final = f"00-{TRACE}-b7ad6b7169203331-01"


async def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of an answer over HTTP."""

    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


async def scraped(port: int) -> dict[str, float]:
    """Every series with its value."""
    _, body = await get(port, "/metrics")
    lines = [line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Observed]:
    async with (
        embedded(tmp_path_factory.mktemp("observed"), ephemeral=True) as broker,
        observed(broker, "--log-format", "json", OTEL_TRACES_EXPORTER="console", OTEL_BSP_SCHEDULE_DELAY="50") as both,
    ):
        await both.services.people("ana")
        yield both


# ---- metrics


async def test_a_flood_of_ids_makes_numbers_grow_and_no_series(running: Observed) -> None:
    services = running.services

    async def knock(number: int) -> None:
        body = {"work_id": f"W-{number}", "title": "x", "accountable": f"nobody-{number}"}
        await services.command(f"stranger-{number}", "work.define", body, id=f"C-{number}")
        await services.fact(f"source-{number}", b'{"specversion": "1.0"}')

    await knock(0)
    before = await scraped(running.at)
    await asyncio.gather(*(knock(number) for number in range(1, 1_000)))
    after = await scraped(running.at)
    assert after.keys() == before.keys()
    commands = 'attorn_command_seconds_count{outcome="refused",verb="work.define"}'
    facts = 'attorn_facts_total{door="receipt",outcome="unreadable"}'
    kept = 'attorn_quarantined_total{why="unreadable"}'
    for grown in (commands, facts, kept):
        assert after[grown] - before[grown] == 999, grown


async def test_what_is_recorded_is_measured_from_the_door_to_the_views(running: Observed) -> None:
    services = running.services
    before = await scraped(running.at)
    body = {"work_id": "W-measured", "title": "x", "accountable": "ana"}
    receipt = await services.done("ana", "work.define", body)

    async def folded() -> bool:
        views = await scraped(running.projector_at)
        # And the watch of the event loop has looked once, every half second.
        has_ticked = views["attorn_loop_late_seconds_count"] > 0
        return bool(has_ticked and views['attorn_view_position{view="board"}'] >= receipt.position)

    await until(folded)
    after, views = await scraped(running.at), await scraped(running.projector_at)
    for counted in (
        'attorn_command_seconds_count{outcome="recorded",verb="work.define"}',
        'attorn_append_seconds_count{outcome="recorded"}',
        "attorn_append_events_sum",
    ):
        assert after[counted] - before.get(counted, 0) == 1, counted
    assert after["attorn_log_position"] == after["attorn_relay_position"] == receipt.position
    assert after["attorn_relay_lag_events"] == views['attorn_view_lag_events{view="board"}'] == 0
    assert views['attorn_view_poison{view="board"}'] == 0 and views['attorn_view_rows{view="board"}'] >= 1
    for each in (after, views):
        assert each["process_cpu_seconds_total"] > 0 and each["process_resident_memory_bytes"] > 1e6
        assert each["attorn_loop_late_seconds_count"] > 0 and each["attorn_follower_restarts_total"] == 0


def test_every_outcome_of_a_command_has_a_name_of_a_closed_set() -> None:
    named = {status: metrics.outcome(Problem(title="", status=status, detail="")) for status in range(400, 600)}
    assert set(named.values()) == {"unreadable", "refused", "conflict", "unavailable", "unknown", "failed"}
    told = {status: named[status] for status in (422, 409, 503, 504, 500)}
    assert told == {422: "refused", 409: "conflict", 503: "unavailable", 504: "unknown", 500: "failed"}


async def test_a_port_that_is_taken_is_said_in_one_line(running: Observed) -> None:
    child = projector_child(running.services.broker, "--metrics", str(running.at))
    process = await spawn(child, running.services.broker.data / "second")
    with pytest.raises(ChildFailed) as failed:
        await until_ready(child, process)
    assert (
        f"--metrics 127.0.0.1:{running.at}: Address already in use" in failed.value.lines[-2] + failed.value.lines[-1]
    )
    assert not any("Traceback" in line for line in failed.value.lines)


@pytest.mark.parametrize("text", ["", "x", "70000", "127.0.0.1:", "a b:1", "1:2:3", "127.0.0.1:²"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="--metrics"):
        health.address(text)


def test_a_port_alone_is_on_this_machine_only() -> None:
    assert health.address("9464") == ("127.0.0.1", 9464)


# ---- liveness and readiness


async def test_a_frozen_server_is_noticed_within_three_seconds_and_so_is_its_return(fresh_nats: Broker) -> None:
    async with observed(fresh_nats) as both:
        ports = (both.at, both.projector_at)

        async def all_ready() -> bool:
            return [(await get(port, "/readyz"))[0] for port in ports] == [200, 200]

        # READY on standard output is said before the views have caught up.
        await until(all_ready)
        os.kill(fresh_nats.pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            told = await asyncio.gather(*(get(port, "/readyz") for port in ports))
            assert time.monotonic() - began < 3
            assert [status for status, _ in told] == [503, 503], told
            checks = json.loads(told[0][1])["checks"]
            assert checks["log"] and checks["doors"], checks
            # What is frozen is the server: whoever restarts the process for it helps nobody.
            assert [(await get(port, "/livez"))[0] for port in ports] == [200, 200]
            # Numbers are there also now, and say that something is wrong.
            assert (await scraped(both.projector_at))['attorn_ready{check="broker"}'] == 0
        finally:
            os.kill(fresh_nats.pid, signal.SIGCONT)
        await until(all_ready)
        await both.services.people("ben")


async def test_a_loop_that_does_not_turn_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOP_S", 0.2)

    async def nothing() -> None:
        return None

    with health.serving(health.Address("127.0.0.1", 0), {}, nothing) as port:
        assert port is not None
        assert await get(port, "/livez") == (200, '{"alive": true}\n')
        held_up = asyncio.get_running_loop().run_in_executor(None, lambda: asyncio.run(get(port, "/livez")))
        time.sleep(0.6)  # noqa: ASYNC251 - the loop is to be held up
        assert await held_up == (503, '{"alive": false}\n')
        assert (await get(port, "/livez"))[0] == 200


async def test_views_that_are_behind_are_not_ready(fresh_nats: Broker) -> None:
    ledger: JetStreamLedger
    nc = await connect(fresh_nats.url, "test", lambda error: ledger.on_error(error))
    ledger = JetStreamLedger(nc)
    try:
        await provision(nc)
        projector = await open_views(ledger, ":memory:", sample.views)
        clock = [datetime.now(UTC)]
        checks = readiness.checks(projector, Wire(nc), lambda: clock[0])
        assert set((await health.readiness(checks)).values()) == {None}
        entries = list(sample.entries(30, works=3))
        streams = {
            entry.event.subject: [e for e in entries if e.event.subject == entry.event.subject] for entry in entries
        }
        await ledger.append_all([Append(stream, 0, tuple(its)) for stream, its in streams.items()])
        clock[0] = datetime.now(UTC) + timedelta(seconds=readiness.LAG_S_MAX + 2)
        told = await health.readiness(checks)
        assert told["broker"] is None
        assert f"{len(entries)} events behind the log" in (told["lag"] or "")
        following = asyncio.create_task(projector.follow())

        async def ready() -> bool:
            return (await health.readiness(checks))["lag"] is None

        await until(ready)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        projector.close()
    finally:
        await nc.close()


class Failing(MemoryLedger):
    """A memory ledger with a disk that is full for as long as `full` says."""

    full = False

    async def append_all(self, appends: Any) -> list[int]:
        if self.full:
            raise Unavailable("the disk is full")
        return await super().append_all(appends)


async def test_a_log_that_did_not_take_the_last_append_is_not_ready() -> None:
    clock, ledger = [0.0], Failing()
    measured = MeasuredLedger(ledger, lambda: clock[0])
    first, second = list(sample.entries(2, works=1))[:2]
    append = [Append(first.event.subject, 0, (first,))]
    assert measured.wrong is None
    await measured.append_all(append)
    assert measured.wrong is None
    ledger.full = True
    with pytest.raises(Unavailable):
        await measured.append_all([Append(second.event.subject, 0, (second,))])
    assert measured.wrong == "an append 0.0 s ago was not recorded: the disk is full"
    # Where nobody dares to try any more, it is tried again.
    clock[0] = FAILED_S + 1
    assert measured.wrong is None
    with pytest.raises(Unavailable):
        await measured.append_all([Append(second.event.subject, 0, (second,))])
    ledger.full = False
    await measured.append_all([Append(second.event.subject, 0, (second,))])
    assert measured.wrong is None


# ---- status


async def test_every_services_process_says_how_it_is(running: Observed) -> None:
    services = running.services
    child = Child(
        name="services-2",
        argv=(sys.executable, "-m", "attorn.services.main", "--nats-url", services.url),
        environment={"PYTHONPATH": ROOTS},
    )
    second = await spawn(child, services.broker.data / "logs")
    try:
        await until_ready(child, second)
        # With the next event one of the two relays finds out that the other was faster.
        await services.people("eve")
        inbox = services.nc.new_inbox()
        answers = await services.nc.subscribe(inbox)
        await services.nc.publish("attorn.q.services", b"", reply=inbox)
        told = [json.loads((await answers.next_msg(timeout=3)).data)["result"] for _ in range(2)]
        await answers.unsubscribe()
        assert {one["about"]["pid"] for one in told} == {services.process.pid, second.pid}
        for one in told:
            assert set(one["checks"].values()) == {None}
            assert one["about"]["process"] == "services" and one["about"]["nats_server"].count(".") == 2
        assert any(one["relay"]["writes"] for one in told)
    finally:
        await second.kill()
    views = json.loads((await services.nc.request("attorn.q.status", b"", timeout=3)).data)["result"]
    assert views["about"]["process"] == "projector" and views["about"]["pid"] == running.projector.pid


# ---- traces


def spans(text: str) -> Iterator[Mapping[str, Any]]:
    """What the exporter for the console has written into a log."""
    decoder, place = json.JSONDecoder(), text.find('{\n    "name"')
    while place >= 0:
        found, end = decoder.raw_decode(text, place)
        yield found
        place = text.find('{\n    "name"', end)


async def test_one_trace_leads_from_the_client_to_the_view(running: Observed) -> None:
    services = running.services
    body = json.dumps({"work_id": "W-traced", "title": "x", "accountable": "ana"}).encode()
    await services.nc.request("attorn.cmd.ana.work.define", body, timeout=5, headers={"traceparent": TRACEPARENT})

    def found() -> dict[str, Mapping[str, Any]]:
        written = services.log() + running.projector.log.read_text(encoding="utf-8")
        return {one["name"]: one for one in spans(written) if one["context"]["trace_id"] == f"0x{TRACE}"}

    async def all_there() -> bool:
        return {"command work.define", "relay", "fold"} <= found().keys()

    await until(all_there)
    door, relayed, folded = (found()[name] for name in ("command work.define", "relay", "fold"))
    [recorded] = await services.ledger.read("work/W-traced")
    assert recorded.event.traceparent is not None and recorded.event.traceparent.split("-")[1] == TRACE
    assert door["parent_id"] == "0xb7ad6b7169203331"
    assert door["attributes"]["attorn.outcome"] == "recorded"
    assert relayed["parent_id"] == folded["parent_id"] == door["context"]["span_id"]
    assert folded["attributes"]["attorn.position"] == recorded.position
    assert folded["resource"]["attributes"]["service.name"] == "attorn-projector"


async def test_a_fact_is_followed_by_the_trace_that_it_carries(running: Observed) -> None:
    trace = "1" * 32
    event = {
        "specversion": "1.0",
        "id": "traced-fact",
        "source": "/erp",
        "type": "attorn.work.defined.v1",
        "subject": "work/W-traced-fact",
        "time": "2026-11-21T12:00:00Z",
        "traceparent": f"00-{trace}-{'2' * 16}-01",
        "data": {"title": "x", "accountable": "ana"},
    }
    await running.services.fact("erp", json.dumps(event).encode())

    async def all_there() -> bool:
        written = running.services.log() + running.projector.log.read_text(encoding="utf-8")
        names = {one["name"] for one in spans(written) if one["context"]["trace_id"] == f"0x{trace}"}
        return names == {"fact", "relay", "fold"}

    await until(all_there)


async def test_without_tracing_the_event_carries_on_what_the_caller_said(services: Services) -> None:
    body = b'{"work_id": "%s", "title": "x", "accountable": "root"}'
    for work, said in ((b"W-1", TRACEPARENT), (b"W-2", "no trace at all"), (b"W-3", TRACEPARENT.replace("0a", "00"))):
        await services.nc.request("attorn.cmd.root.work.define", body % work, timeout=5, headers={"traceparent": said})
    carried = [(await services.ledger.read(f"work/W-{n}"))[0].event.traceparent for n in (1, 2)]
    assert carried == [TRACEPARENT, None]


def test_nothing_of_the_tracing_library_is_loaded_when_it_is_off() -> None:
    code = (
        "import sys; from attorn.services import traces; import attorn.services.main, attorn.services.projector.main;"
        "traces.configure('test'); [traces.span('x', None).__enter__() for _ in '12'];"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=inherited | {"PYTHONPATH": ROOTS}, timeout=30
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_an_exporter_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    with pytest.raises(Unavailable, match=r"OTEL_TRACES_EXPORTER=carrier-pigeon is not installed; there is .*console"):
        traces.configure("test")


# ---- logs


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Afterwards the root logger is as it was."""
    root, nats = logging.getLogger(), logging.getLogger("nats")
    handlers, levels = root.handlers[:], (root.level, nats.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    nats.setLevel(levels[1])


def test_a_line_for_programs_keeps_every_field_and_names_the_trace(
    root_logger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("json")
    with traces.span("test", TRACEPARENT):
        logging.getLogger("attorn.test").info("command refused", extra={"stream": "work/W-1", "rules": ["ä\nb"]})
    logging.getLogger("attorn.test").error("failed", exc_info=ValueError("x"))
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["message"] == "command refused" and first["level"] == "info" and first["logger"] == "attorn.test"
    assert (first["stream"], first["rules"], first["trace"]) == ("work/W-1", ["ä\nb"], TRACE)
    assert "ValueError: x" in second["exception"] and "trace" not in second


def test_a_line_for_people_says_the_phrase_first_and_then_the_fields(
    root_logger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("text")
    logging.getLogger("attorn.test").info("command refused", extra={"stream": "work/W-1", "position": 7})
    assert capsys.readouterr().err.endswith("INFO attorn.test: command refused stream='work/W-1' position=7\n")


def test_the_environment_says_the_format_and_an_unknown_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTORN_LOG_FORMAT", "xml")
    with pytest.raises(Unreadable, match="ATTORN_LOG_FORMAT: 'xml' is not one of text, json"):
        logs.configure()
    with pytest.raises(Unreadable, match="--log-format: 'yaml' is not one of text, json"):
        logs.configure("yaml")


async def test_each_process_says_on_its_start_who_it_is(running: Observed) -> None:
    for log, phrase in (
        (running.services.log(), "services ready"),
        (running.projector.log.read_text(), "projector ready"),
    ):
        lines = [json.loads(line) for line in log.splitlines() if line.startswith('{"time"')]
        said = next(line for line in lines if line["message"] == phrase)
        assert said["stream"] == "ATTORN" and said["position"] >= 0 and said["version"] and said["subjects"]
        assert said["level"] == "info" and datetime.fromisoformat(said["time"]).tzinfo is not None
