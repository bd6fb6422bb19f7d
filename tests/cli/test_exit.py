"""How commands end when attorn is not as it should be: each with its own exit code, in one line."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from attorn.cli.errors import Exit
from attorn.contracts import codec, subjects
from attorn.contracts.participant import ParticipantRegistered
from attorn.contracts.work import WorkDefined
from attorn.services.custody import ensure_custodian
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.provision import provision
from attorn.services.supervise.server import Broker
from cli.instance import ATTORN, Ran, environment


async def attorn(*argv: str, timeout: float = 30, **more: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *ATTORN, *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=environment(**more),
    )  # fmt: skip
    async with asyncio.timeout(timeout):
        out, err = await process.communicate()
    assert process.returncode is not None and b"Traceback" not in err
    return Ran(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def log_of(broker: Broker) -> AsyncIterator[JetStreamLedger]:
    nc = await nats.connect(broker.url)
    try:
        await provision(nc)
        ledger = JetStreamLedger(nc)
        await ensure_custodian(ledger, "root", "Root", datetime.now(UTC))
        yield ledger
    finally:
        await nc.close()


async def test_without_services_or_views_it_says_which(fresh_nats: Broker) -> None:
    async with log_of(fresh_nats):
        told = await attorn("work", "define", "W-1", "x", "--nats-url", fresh_nats.url)
        assert (told.code, told.out) == (Exit.UNREACHABLE, "")
        assert told.err == (
            f"attorn: the services are not running at {fresh_nats.url}. "
            "Hint: start one with `attorn up`, or name another with --nats-url.\n"
        )
        asked = await attorn("work", "ls", "--nats-url", fresh_nats.url)
        assert asked.code == Exit.UNREACHABLE and "the views are not running" in asked.err
        status = await attorn("status", "--nats-url", fresh_nats.url)
        assert status.code == Exit.UNREACHABLE and "attorn runs in part" in status.out


async def test_the_log_is_read_and_audited_without_services_or_views(fresh_nats: Broker) -> None:
    async with log_of(fresh_nats):
        listed = await attorn("events", "ls", "-o", "id", "--nats-url", fresh_nats.url)
        assert (listed.code, listed.lines) == (0, ["1", "2"])
        audit = await attorn("audit", "accountability", "--nats-url", fresh_nats.url)
        assert audit.code == 0
        assert audit.lines == [
            "positions 2  items 0  gaps 0  overlaps 0  non-human 0",
            "the views are not up; only the log was audited",
        ]


async def test_an_audit_that_fails_ends_with_seven(fresh_nats: Broker) -> None:
    async with log_of(fresh_nats) as ledger:
        for stream, payload in (
            ("participant/bot", ParticipantRegistered(participant_id="bot", kind="agent", display_name="Bot")),
            ("work/W-1", WorkDefined(title="x", accountable="bot")),
        ):
            event = codec.event(payload, id=stream[-3:], source="/x", subject=stream, time=datetime.now(UTC))
            await ledger.append(stream, 0, [codec.seal(event, 1)])
        ran = await attorn("audit", "accountability", "--nats-url", fresh_nats.url)
    assert ran.code == Exit.CHECK_FAILED
    assert ran.lines[0] == "positions 4  items 1  gaps 0  overlaps 0  non-human 1"
    assert "at position 4, W-1 names bot" in ran.lines[1]


async def test_a_command_without_an_answer_is_sent_twice_with_one_id(fresh_nats: Broker) -> None:
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    nc = await nats.connect(fresh_nats.url)
    try:
        await nc.subscribe(subjects.commands("work.complete"), cb=hear)
        await nc.flush()
        ran = await attorn("work", "complete", "W-1", "--timeout", "0.4", "--as", "ana", "--nats-url", fresh_nats.url)
    finally:
        await nc.close()
    assert ran.code == Exit.TIMED_OUT
    assert ran.err == (
        "attorn: work.complete was not answered within 0.8 s. "
        "Hint: it may have been recorded; look before you ask again.\n"
    )
    assert [message.subject for message in heard] == ["attorn.cmd.ana.work.complete"] * 2
    assert len({message.headers["Nats-Msg-Id"] for message in heard if message.headers}) == 1


async def test_the_second_answer_to_the_same_id_counts(fresh_nats: Broker) -> None:
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)
        if len(heard) == 2:
            receipt = (
                b'{"kind":"receipt","position":7,"event_id":"e","stream":"work/W-1","time":"2026-01-01T00:00:00Z"}'
            )
            await message.respond(receipt)

    nc = await nats.connect(fresh_nats.url)
    try:
        await nc.subscribe(subjects.commands("work.complete"), cb=hear)
        await nc.flush()
        ran = await attorn("work", "complete", "W-1", "--timeout", "0.4", "--nats-url", fresh_nats.url)
    finally:
        await nc.close()
    assert (ran.code, len(heard)) == (0, 2)
    assert "recorded in work/W-1 (position 7)" in ran.out


@pytest.mark.parametrize("format", ["table", "json", "id"])
@pytest.mark.parametrize(
    ("stream", "question", "words"),
    [
        ("work/W-1", "work", ("work", "complete", "W-1")),
        ("policy/four-eyes", "policies", ("agent", "undeploy", "bot", "refunds")),
    ],
)
async def test_whoever_is_told_that_it_is_recorded_reads_it_in_the_views(
    stream: str, question: str, words: tuple[str, ...], format: str, fresh_nats: Broker
) -> None:
    asked: list[Any] = []

    async def carry_out(message: Msg) -> None:
        receipt = {"kind": "receipt", "position": 7, "event_id": "e", "stream": stream, "time": "2026-01-01T00:00:00Z"}
        await message.respond(json.dumps(receipt).encode())

    async def answer(message: Msg) -> None:
        asked.append((message.subject, json.loads(message.data)["wait_for"]))
        await message.respond(b'{"position": 7, "result": {}}')

    nc = await nats.connect(fresh_nats.url)
    try:
        await nc.subscribe("attorn.cmd.>", cb=carry_out)
        await nc.subscribe("attorn.q.>", cb=answer)
        await nc.flush()
        ran = await attorn(*words, "-o", format, "--nats-url", fresh_nats.url)
    finally:
        await nc.close()
    assert (ran.code, ran.err) == (0, "")
    assert asked == [(f"attorn.q.{question}", 7)]


async def test_a_question_without_an_answer_times_out(fresh_nats: Broker) -> None:
    async def hear(message: Msg) -> None:
        pass

    nc = await nats.connect(fresh_nats.url)
    try:
        await nc.subscribe(subjects.query("board"), cb=hear)
        await nc.flush()
        ran = await attorn("work", "ls", "--timeout", "0.3", "--nats-url", fresh_nats.url)
    finally:
        await nc.close()
    assert ran.code == Exit.TIMED_OUT and ran.err.count("\n") == 1


async def test_following_goes_on_when_the_server_is_back(fresh_nats: Broker) -> None:
    async with log_of(fresh_nats) as ledger:
        process = await asyncio.create_subprocess_exec(
            *ATTORN, "events", "tail", "--from", "1", "-o", "id", "--count", "3", "--nats-url", fresh_nats.url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(),
        )  # fmt: skip
        assert process.stdout is not None
        assert [await process.stdout.readline() for _ in range(2)] == [b"1\n", b"2\n"]
        await fresh_nats.kill()
        await fresh_nats.restart()
    async with log_of(fresh_nats) as ledger:
        event = codec.event(
            WorkDefined(title="x", accountable="root"), id="w", source="/x", subject="work/W-1", time=datetime.now(UTC)
        )
        await ledger.append("work/W-1", 0, [codec.seal(event, 1)])
        async with asyncio.timeout(20):
            out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"3\n", b"")


async def test_the_streams_are_made_checked_and_never_harmed(fresh_nats: Broker) -> None:
    dry = await attorn("provision", "--dry-run", "--nats-url", fresh_nats.url)
    assert dry.code == 0 and "created" in dry.out
    made = await attorn("provision", "--custodian", "ana:Ana", "--nats-url", fresh_nats.url)
    assert made.code == 0 and "the log is new; ana answers when nobody else does" in made.out
    again = await attorn("provision", "--nats-url", fresh_nats.url)
    assert (again.code, again.out, again.err) == (0, "", "every stream is as it should be\n")

    nc = await nats.connect(fresh_nats.url)
    try:
        js = nc.jetstream()
        await js.delete_stream(subjects.QUARANTINE)
        await js.add_stream(name=subjects.QUARANTINE, subjects=["attorn.quarantine.>"], max_msgs=5)
    finally:
        await nc.close()
    refused = await attorn("provision", "--nats-url", fresh_nats.url)
    assert refused.code == Exit.REFUSED and subjects.QUARANTINE in refused.err and refused.err.count("\n") == 1


async def test_a_data_directory_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    ran = await attorn("up", "--data", str(file), "--port", "0")
    assert ran.code == Exit.FAILED and str(file) in ran.err and ran.err.count("\n") == 1
