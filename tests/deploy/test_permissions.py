"""deploy/nats/attorn.conf on a real nats-server: attorn works with it, and nobody can do more than is theirs."""

import asyncio
import os
import re
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import nats
import pytest
import pytest_asyncio
from nats import errors
from nats.aio.client import Client

from attorn.client.agent import DELEGATED, Agent
from attorn.client.attorn import connect
from attorn.client.task import ANSWERED, HEARD
from attorn.contracts import subjects
from attorn.contracts.delegation import DelegateWork
from attorn.contracts.escalation import ResolveEscalation
from attorn.contracts.execution import ProvideInput, WorkExecuted
from attorn.contracts.participant import RegisterParticipant
from attorn.contracts.refusal import Problem, Receipt, Reply
from attorn.contracts.work import DefineWork
from attorn.services.connection import OPTIONS
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.supervise.server import find_server, free_port
from attorn.services.supervise.supervisor import Child, Process, spawn, until_ready
from attorn_services import until

ROOT: Final = Path(__file__).parents[2]
ROOTS: Final = os.pathsep.join(str(ROOT / root) for root in ("contracts", "projections", "services"))

ANA: Final = ("ana-in-this-test", "$2a$04$TcfF4PQ2F0/K6Ku5AxJew.G1A87AusjXuFdacL9Z1CUzVw4EDnzDm")
AGENT: Final = (
    "SUABRHAEZ6HT2DHLPASM2OUDTBJKX3NPVRYH4TAZT7VOB2LP6SD4ACYTKI",
    "UCFU4F5GU7Z6LPHEXK3S7CSHMVMMQM75BJ2SQ3XK325NCHHIOSQ4DLII",
)
"""A password with its hash, and a seed with its public key: of this test, and good for nothing else."""

INSIDE: Final = ("admin", "services", "projector", "operator")
WORLD: Final = ("ana", "billing", "on-call")
SUBSCRIBER: Final = "attorn.escalation.>"


class Person:
    """A connection of one user; `refusals` are what the broker has said no to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.refusals: list[str] = []
        self._refused = asyncio.Event()
        self.nc: Client

    async def hear(self, error: Exception) -> None:
        self.refusals.append(str(error))
        self._refused.set()

    async def is_refused(self, subject: str, body: bytes = b"", **more: Any) -> float:
        """Publish what must be refused; how long it took to hear so, in seconds."""
        self._refused.clear()
        began = time.monotonic()
        await self.nc.publish(subject, body, **more)
        async with asyncio.timeout(5):
            await self._refused.wait()
        # nats-py gives it in lower case.
        assert f'permissions violation for publish to "{subject}"'.lower() in self.refusals[-1].lower()
        return time.monotonic() - began

    async def is_deaf(self, subject: str) -> None:
        """Subscribe to what must be refused."""
        self._refused.clear()
        await self.nc.subscribe(subject)
        async with asyncio.timeout(5):
            await self._refused.wait()
        assert f'permissions violation for subscription to "{subject}"'.lower() in self.refusals[-1].lower()

    async def ask(self, subject: str, body: Any) -> Reply:
        answer = await self.nc.request(subject, msgspec.json.encode(body), timeout=10)
        reply: Reply = msgspec.json.decode(answer.data, type=Reply)
        return reply


class Deployment:
    """nats-server with the configuration of deploy/, services and projector as their users, and a way to be anybody."""

    def __init__(self, place: Path) -> None:
        self.place, self.port = place, free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.conf = place / "nats" / "attorn.conf"
        shutil.copytree(ROOT / "deploy" / "nats", self.conf.parent)
        self.passwords = {name: f"p{secrets.token_hex(8)}" for name in (*INSIDE, *WORLD)} | {"ana": ANA[0]}
        self.server: Process
        self._processes: list[Process] = []
        logins = {f"ATTORN_PASSWORD_{name.upper().replace('-', '_')}": word for name, word in self.passwords.items()}
        self._server = Child(
            name="nats-server",
            argv=(str(find_server()), "-c", str(self.conf)),
            ready=self._answers,
            environment={
                **logins,
                "ATTORN_PASSWORD_ANA": ANA[1],
                "ATTORN_NKEY_REFUNDS_BOT": AGENT[1],
                "ATTORN_NATS_PORT": str(self.port),
                "ATTORN_NATS_STORE": str(place / "store"),
                "ATTORN_NATS_STORE_MAX": "256MB",
            },
        )

    def environment(self, user: str) -> dict[str, str]:
        return {
            "PYTHONPATH": ROOTS,
            "ATTORN_NATS_URL": self.url,
            "ATTORN_NATS_USER": user,
            "ATTORN_NATS_PASSWORD": self.passwords[user],
            "ATTORN_AS": user,
            "ATTORN_DATA": str(self.place / "data"),
        }

    async def start_server(self) -> None:
        self.server = await self._start(self._server)

    async def start(self) -> None:
        await self.start_server()
        await self.attorn("admin", "provision", "--custodian", "ana:Ana Lopez")
        modules = {"services": "attorn.services.main", "projector": "attorn.services.projector.main"}
        for name, module in modules.items():
            argv = (sys.executable, "-m", module, "--nats-url", self.url, "--data", str(self.place / "data"))
            await self._start(Child(name=name, argv=argv, environment=self.environment(name)))

    async def stop(self) -> None:
        for process in reversed(self._processes):
            await process.stop(5.0)

    async def attorn(self, user: str, *words: str) -> str:
        """A command, as one of the users."""
        return await self.run(user, "-m", "attorn.cli.main", *words)

    async def run(self, user: str, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **self.environment(user)},
        )
        async with asyncio.timeout(30):
            said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    @asynccontextmanager
    async def person(self, name: str, **login: Any) -> AsyncIterator[Person]:
        person = Person(name)
        login = login or {"user": name, "password": self.passwords[name]}
        person.nc = await nats.connect(
            self.url,
            error_cb=person.hear,
            inbox_prefix=f"_INBOX.{name}",
            **{**OPTIONS, "max_reconnect_attempts": 3},
            **login,
        )
        try:
            yield person
        finally:
            await person.nc.close()

    def violations(self, *users: str) -> list[str]:
        """What the server has refused to these users."""
        lines = self.server.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if "Violation" in line and any(f'"{user}"' in line for user in users)]

    async def _start(self, child: Child) -> Process:
        process = await spawn(child, self.place / "logs")
        self._processes.append(process)
        await until_ready(child, process)
        return process

    async def knock(self, login: dict[str, str]) -> bytes:
        """What the server says to this login. By hand: a client that is not let in leaves its sockets open."""
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                await reader.readline()
                options = {"verbose": False, "pedantic": False, **login}
                writer.write(b"CONNECT " + msgspec.json.encode(options) + b"\r\nPING\r\n")
                return (await reader.readline()).strip()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _answers(self) -> None:
        while True:
            with suppress(OSError):
                if await self.knock({"user": "admin", "pass": self.passwords["admin"]}) == b"PONG":
                    return
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attorn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    deployment = Deployment(tmp_path_factory.mktemp("deploy"))
    try:
        await deployment.start()
        yield deployment
    finally:
        await deployment.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def as_(attorn: Deployment) -> AsyncIterator[Callable[[str], Awaitable[Person]]]:
    """Be somebody: `ana = await as_("ana")`."""
    async with AsyncExitStack() as stack:

        async def enter(name: str) -> Person:
            return await stack.enter_async_context(attorn.person(name))

        yield enter


Enter = Callable[[str], Awaitable[Person]]


async def log_end(someone: Person) -> int:
    return await JetStreamLedger(someone.nc).last()


def fact(id: str, work: str, type: str, data: dict[str, Any], source: str = "billing") -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id, "source": f"/{source}", "type": type, "subject": f"work/{work}",
        "time": "2026-03-02T09:30:00Z", "data": data,
    }  # fmt: skip


def note(id: str, work: str = "INV-1") -> dict[str, Any]:
    return fact(id, work, "attorn.note.added.v1", {"text": "The customer called."})


def escalated(id: str) -> dict[str, Any]:
    context = {"summary": "Sent to the wrong customer.", "question": "Recall it?"}
    data = {"escalation_id": id, "reason": "exception", "raised_by": "billing", "severity": "critical"}
    return fact(f"escalated-{id}", "INV-1", "attorn.work.escalated.v1", data | {"context": context})


async def test_what_attorn_does_every_day_needs_no_permission_more(attorn: Deployment, as_: Enter) -> None:
    """The first in this file: the tests behind it try on purpose what is refused."""
    billing = await as_("billing")
    assert isinstance(await billing.ask(subjects.fact("billing"), note("note-9")), Receipt)
    stored = await billing.nc.jetstream().publish(subjects.inbox("billing"), b"not a fact")
    assert stored.stream == subjects.INBOX
    assert "attorn runs\n" in await attorn.attorn("operator", "status")
    assert "gaps 0  overlaps 0  non-human 0" in await attorn.attorn("operator", "audit", "accountability")
    for words in (("projection", "verify"), ("projection", "rebuild"), ("projection", "ls"), ("events", "ls")):
        await attorn.attorn("operator", *words)
    assert "every stream is as it should be" in await attorn.attorn("admin", "provision")

    # Once more after the server was away: every reader finds back by itself.
    await attorn.server.stop(5.0)
    await attorn.start_server()

    async def records() -> bool:
        async with attorn.person("billing") as again:
            with suppress(errors.Error, TimeoutError):
                answer = await again.nc.request(
                    subjects.fact("billing"), msgspec.json.encode(note("note-10")), timeout=1
                )
                return isinstance(msgspec.json.decode(answer.data, type=Reply), Receipt)
        return False

    async def runs() -> bool:
        return "attorn runs\n" in await attorn.attorn("operator", "status")

    await until(records, within_s=20)
    await until(runs, within_s=20)
    assert attorn.violations(*INSIDE, *WORLD) == []


async def test_a_command_of_ana_is_recorded_as_hers(attorn: Deployment, as_: Enter) -> None:
    ana, operator = await as_("ana"), await as_("operator")
    body = {"work_id": "W-1", "title": "Refund order 7781", "accountable": "ana"}
    answer = await ana.ask(subjects.command("ana", "work.define"), body)
    assert isinstance(answer, Receipt), answer
    recorded = await JetStreamLedger(operator.nc).read("work/W-1")
    assert [each.event.authid for each in recorded] == ["ana"]
    assert "ana" in await attorn.attorn("ana", "who", "W-1")
    assert ana.refusals == []


async def test_ana_cannot_speak_as_ben_and_hears_so_at_once(as_: Enter) -> None:
    ana, operator = await as_("ana"), await as_("operator")
    before = await log_end(operator)
    assert await ana.is_refused(subjects.command("ben", "work.define"), b"{}", reply="_INBOX.ana.x") < 1
    assert await log_end(operator) == before


async def test_an_agent_logs_in_with_a_key_and_speaks_for_itself_only(attorn: Deployment, tmp_path: Path) -> None:
    pytest.importorskip("nkeys")
    seed = tmp_path / "refunds-bot.nk"
    seed.write_text(AGENT[0])
    async with attorn.person("refunds-bot", nkeys_seed=str(seed)) as agent:
        answer = await agent.ask(subjects.command("refunds-bot", "note.add"), {})
        assert isinstance(answer, Problem)
        await agent.is_refused(subjects.command("ana", "note.add"))


async def test_the_operator_reads_what_is_in_quarantine(attorn: Deployment, as_: Enter) -> None:
    billing = await as_("billing")
    assert isinstance(await billing.ask(subjects.fact("billing"), {"nothing": "of a fact"}), Problem)

    async def listed() -> bool:
        return "billing" in await attorn.attorn("operator", "quarantine", "ls")

    await until(listed)


async def test_the_operator_sends_again_in_the_name_of_the_source_and_nobody_else_can(
    attorn: Deployment, as_: Enter
) -> None:
    billing, operator = await as_("billing"), await as_("operator")
    wrong = note("note-again") | {"data": {"text": 7}}
    assert isinstance(await billing.ask(subjects.fact("billing"), wrong), Problem)

    async def kept() -> str:
        rows = await attorn.attorn("operator", "-o", "jsonl", "quarantine", "ls", "--source", "billing")
        found = [msgspec.json.decode(row) for row in rows.splitlines()]
        return str(next((row["number"] for row in found if row["field"] == "data.text"), ""))

    async def is_kept() -> bool:
        return bool(await kept())

    await until(is_kept)
    number = await kept()
    mended = attorn.place / "mended.json"
    mended.write_bytes(msgspec.json.encode(note("note-again")))
    who = {"participant_id": "operator", "kind": "human", "display_name": "Olga"}
    unknown = await operator.ask(subjects.resubmit("operator", int(number)), mended.read_bytes())
    assert isinstance(unknown, Problem) and [each.rule for each in unknown.rules] == ["unregistered-actor"]
    assert isinstance(await (await as_("ana")).ask(subjects.command("ana", "participant.register"), who), Receipt)
    told = await attorn.attorn("operator", "quarantine", "resubmit", number, "--fixed", str(mended))
    assert "recorded in work/INV-1" in told
    events = [each.event for each in await JetStreamLedger(operator.nc).read("work/INV-1")]
    [recorded] = [event for event in events if event.id == "note-again"]
    assert (recorded.authid, recorded.authtype, recorded.resubmittedby) == ("billing", "system", "operator")
    # The source may report it itself meanwhile: the same bytes are the same fact.
    again = await billing.ask(subjects.fact("billing"), note("note-again"))
    assert isinstance(again, Receipt) and again.event_id == "note-again"
    # The services have marked it as taken again, and the projector, which counts what is kept, leaves the mark out.
    other = await operator.ask(subjects.resubmit("operator", int(number)), note("note-again") | {"data": {"text": "x"}})
    assert isinstance(other, Problem) and other.status == 409
    last = (await (await as_("admin")).nc.jetstream().stream_info(subjects.QUARANTINE)).state.messages
    status = await operator.nc.request(subjects.query("status"), b"{}", timeout=5)
    assert msgspec.json.decode(status.data)["result"]["quarantined"] == last - 1
    for name in (*WORLD, "admin", "projector"):
        someone = await as_(name)
        await someone.is_refused(subjects.resubmit(name, int(number)))
    # Nor can the operator speak for a source, or be somebody else.
    await operator.is_refused(subjects.fact("billing"))
    await operator.is_refused(subjects.resubmit("ana", int(number)))


async def test_nobody_but_the_services_writes_events(as_: Enter) -> None:
    operator = await as_("operator")
    before = await log_end(operator)
    for name in (*INSIDE, *WORLD):
        if name != "services":
            await (await as_(name)).is_refused("attorn.ev.work.W-1", b"{}")
            await (await as_(name)).is_refused("attorn.feed.work.defined.work.W-1", b"{}")
    assert await log_end(operator) == before


ADMINISTRATION: Final[tuple[tuple[str, dict[str, Any] | None], ...]] = (
    ("STREAM.PURGE.{}", {}),
    ("STREAM.DELETE.{}", None),
    ("STREAM.UPDATE.{}", {"name": "{}", "subjects": ["attorn.ev.>"], "max_msgs": 1}),
    ("STREAM.CREATE.MINE", {"name": "MINE", "subjects": ["attorn.mine.>"]}),
    ("STREAM.MSG.DELETE.{}", {"seq": 1}),
    ("STREAM.RESTORE.{}", {}),
    ("STREAM.SNAPSHOT.{}", {}),
    ("META.LEADER.STEPDOWN", None),
)


@pytest.mark.parametrize("name", ["services", "projector", "operator", *WORLD])
async def test_nobody_but_the_administrator_can_erase_anything(as_: Enter, name: str) -> None:
    someone, admin = await as_(name), await as_("admin")
    streams = (subjects.LOG, subjects.FEED, subjects.INBOX, subjects.QUARANTINE)
    before = [(await admin.nc.jetstream().stream_info(stream)).config for stream in streams]
    for stream in streams:
        for verb, body in ADMINISTRATION:
            payload = b"" if body is None else msgspec.json.encode(body).replace(b"{}", stream.encode())
            await someone.is_refused("$JS.API." + verb.format(stream), payload, reply=f"_INBOX.{name}.x")
    assert [(await admin.nc.jetstream().stream_info(stream)).config for stream in streams] == before
    state = (await admin.nc.jetstream().stream_info(subjects.LOG)).state
    assert state.messages == state.last_seq > 0


async def test_billing_reports_its_own_facts_and_no_others(as_: Enter) -> None:
    billing, operator = await as_("billing"), await as_("operator")
    ledger = JetStreamLedger(operator.nc)
    assert isinstance(await billing.ask(subjects.fact("billing"), note("note-1")), Receipt)
    stored = await billing.nc.jetstream().publish(subjects.inbox("billing"), msgspec.json.encode(note("note-2")))
    assert stored.stream == subjects.INBOX

    async def both() -> bool:
        return {"note-1", "note-2"} <= {each.event.id for each in await ledger.read("work/INV-1")}

    await until(both)
    assert {each.event.authid for each in await ledger.read("work/INV-1")} == {"billing"}
    for subject in (
        subjects.fact("crm"),
        subjects.inbox("crm"),
        subjects.command("ana", "note.add"),
        "attorn.q.status",
    ):
        await billing.is_refused(subject, b"{}")


async def test_on_call_gets_escalations_durably_and_nothing_else(attorn: Deployment, as_: Enter) -> None:
    script = str(attorn.conf.parent / "consumer.py")
    for _ in range(2):  # the second time it is there
        assert "on-call" in await attorn.run("admin", script, "on-call", SUBSCRIBER)
    billing = await as_("billing")
    heard = []
    for id in ("X-1", "X-2"):
        assert isinstance(await billing.ask(subjects.fact("billing"), escalated(id)), Receipt)
        # A connection of its own each time: what was acknowledged does not come again.
        async with attorn.person("on-call") as on_call:
            reader = await on_call.nc.jetstream(domain="attorn").pull_subscribe_bind("on-call", subjects.FEED)
            [message] = await reader.fetch(1, timeout=5)
            await message.ack_sync(timeout=5)
            assert message.subject.startswith("attorn.escalation.critical.")
            heard.append(msgspec.json.decode(message.data)["data"]["escalation_id"])
            info = await reader.consumer_info()
            assert info.num_pending == 0 and info.num_ack_pending == 0
            assert on_call.refusals == []
    assert heard == ["X-1", "X-2"]


async def test_an_agent_takes_its_task_asks_is_answered_and_hands_in(
    attorn: Deployment, as_: Enter, tmp_path: Path
) -> None:
    pytest.importorskip("nkeys")
    script, bot = str(attorn.conf.parent / "consumer.py"), "refunds-bot"
    await attorn.run("admin", script, f"agent-{bot}", DELEGATED)
    # Made before escalations were waited for, and again since: it goes on where it is, and hears of more.
    await attorn.run("admin", script, f"agent-{bot}-answers", f"{ANSWERED}.>")
    await attorn.run("admin", script, f"agent-{bot}-answers", *HEARD)
    seed = tmp_path / "refunds-bot.nk"
    seed.write_text(AGENT[0])
    refusals: list[str] = []

    async def hear(error: Exception) -> None:
        refusals.append(str(error))

    login = {"nkeys_seed": str(seed), "inbox_prefix": f"_INBOX.{bot}", "error_cb": hear}
    hers = {"user": "ana", "password": attorn.passwords["ana"], "inbox_prefix": "_INBOX.ana"}
    prefix = "$JS.attorn.API"
    async with (
        connect(attorn.url, participant="ana", **hers) as ana,
        connect(attorn.url, participant=bot, api_prefix=prefix, **login) as agent,
        asyncio.timeout(30),
    ):
        await ana.tell(RegisterParticipant(participant_id=bot, kind="agent", display_name="Bot", sponsor="ana"))
        await ana.tell(DefineWork(work_id="W-bot", title="Refund", accountable="ana"))
        await ana.tell(DelegateWork(work_id="W-bot", delegate=bot, autonomy="act"))

        async def answers() -> None:
            waiting: Any = ()
            while not waiting:
                waiting = [
                    each for each in (await ana.ask("inbox", who="ana")).get("waiting", ()) if each["work"] == "W-bot"
                ]
                await asyncio.sleep(0.05)
            [asked] = waiting
            await ana.tell(ProvideInput(work_id="W-bot", request_id=asked["id"], response="respond", answer="yes"))
            raised: Any = ()
            while not raised:
                raised = (await ana.ask("escalations", work="W-bot")).get("escalations", ())
                await asyncio.sleep(0.05)
            id = raised[0]["escalation_id"]
            await ana.tell(ResolveEscalation(work_id="W-bot", escalation_id=id, outcome="approved"))

        async with asyncio.TaskGroup() as group, aclosing(Agent(agent).tasks()) as tasks:
            group.create_task(answers())
            async for task in tasks:
                async with task:
                    answer = await task.ask("ana", "Refund in full?")
                    assert answer.answer == "yes"
                    settled = await task.escalate("It is a large one.", "Refund it?", blocking=True)
                    assert settled.outcome == "approved"
                    await task.hand_in()
                break
        operator = await as_("operator")
        [done] = [each.event.data for each in await JetStreamLedger(operator.nc).read("work/W-bot")
                  if isinstance(each.event.data, WorkExecuted)]  # fmt: skip
        assert done.result == "completed"
    assert refusals == []


@pytest.mark.parametrize("name", WORLD)
@pytest.mark.parametrize("api", ["$JS.API", "$JS.attorn.API"])
async def test_the_log_is_not_for_the_world_to_read(as_: Enter, name: str, api: str) -> None:
    someone = await as_(name)
    for verb in (
        "DIRECT.GET.ATTORN",
        "DIRECT.GET.ATTORN.attorn.ev.work.W-1",
        "STREAM.MSG.GET.ATTORN",
        "STREAM.INFO.ATTORN",
        "STREAM.NAMES",
        "CONSUMER.CREATE.ATTORN.mine",
        "CONSUMER.CREATE.ATTORN_FEED.mine.attorn.feed.>",
        "CONSUMER.DURABLE.CREATE.ATTORN_FEED.on-call",
        "CONSUMER.MSG.NEXT.ATTORN_FEED.other",
        "CONSUMER.DELETE.ATTORN_FEED.on-call",
    ):
        await someone.is_refused(f"{api}.{verb}", b"{}", reply=f"_INBOX.{name}.x")


@pytest.mark.parametrize("name", [*WORLD, *INSIDE])
async def test_nobody_hears_what_is_for_another(as_: Enter, name: str) -> None:
    someone = await as_(name)
    others: Iterable[str] = (f"_INBOX.{other}.>" for other in ("ben", *WORLD, *INSIDE) if other != name)
    for subject in (*others, "_INBOX.>", ">", "_R_.>", "attorn.ev.>", "attorn.feed.>", "$JS.ACK.>"):
        await someone.is_deaf(subject)
    if name != "services":
        for subject in ("attorn.cmd.>", "attorn.cmd.ana.>", "attorn.fact.*"):
            await someone.is_deaf(subject)
    if name != "projector":
        await someone.is_deaf("attorn.q.>")


async def test_a_reply_goes_to_the_world_only_wherever_it_is_wanted(attorn: Deployment, as_: Enter) -> None:
    """NATS checks no reply subject: in one account, each of these stores, purges or commands."""
    operator, admin = await as_("operator"), await as_("admin")
    await attorn.run("admin", str(attorn.conf.parent / "consumer.py"), "on-call", SUBSCRIBER)
    ways = {
        "ana": (subjects.command("ana", "note.add"), subjects.query("status")),
        "billing": (subjects.fact("billing"), subjects.inbox("billing")),
        "on-call": ("$JS.attorn.API.CONSUMER.MSG.NEXT.ATTORN_FEED.on-call",),
    }
    targets = (
        "attorn.ev.work.W-66",
        "attorn.feed.work.defined.work.W-66",
        "attorn.quarantine.ana",
        subjects.command("ben", "note.add"),
        "$JS.API.STREAM.PURGE.ATTORN_QUARANTINE",
        "$JS.API.STREAM.PURGE.ATTORN_FEED",
    )
    billing = await as_("billing")
    # Something unreadable, so that there is a quarantine to lose, and an escalation to deliver.
    assert isinstance(await billing.ask(subjects.fact("billing"), {"nothing": "of a fact"}), Problem)
    assert isinstance(await billing.ask(subjects.fact("billing"), escalated("X-3")), Receipt)

    async def stored() -> list[tuple[int, int]]:
        streams = (subjects.LOG, subjects.FEED, subjects.QUARANTINE)
        states = [(await admin.nc.jetstream().stream_info(stream)).state for stream in streams]
        return [(state.messages, state.last_seq) for state in states]

    async def is_relayed() -> bool:
        log, feed, _ = await stored()
        return log == feed

    await until(is_relayed)
    before = await stored()
    for name, doors in ways.items():
        someone = await as_(name)
        for door in doors:
            body = msgspec.json.encode(escalated("X-3")) if name == "billing" else b""
            for target in targets:
                await someone.nc.publish(door, body, reply=target)
        await someone.nc.flush()
        assert someone.refusals == []
    # Behind all of it in the services' queue: once this is answered, so are those.
    assert isinstance(await billing.ask(subjects.fact("billing"), escalated("X-3")), Receipt)
    await asyncio.sleep(0.5)
    assert await JetStreamLedger(operator.nc).read("work/W-66") == []
    assert await stored() == before


async def test_a_stranger_and_a_wrong_password_are_not_let_in(attorn: Deployment) -> None:
    assert await attorn.knock({"user": "ana", "pass": ANA[0]}) == b"PONG"
    for login in ({"user": "ana", "pass": "guessed"}, {"user": "ben", "pass": ANA[0]}, {"auth_token": "x"}, {}):
        assert b"Authorization Violation" in await attorn.knock(login)


async def test_a_new_participant_is_let_in_without_a_restart(attorn: Deployment) -> None:
    runbook = (ROOT / "deploy" / "runbook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```text\n(.*?)^```$", runbook, re.MULTILINE | re.DOTALL)
    snippet, login = (block for block in blocks if "ATTORN_PASSWORD_BEN" in block)
    conf = attorn.conf.read_text(encoding="utf-8")
    place = conf.index("      # An agent, known by an nkey")
    attorn.conf.write_text(conf[:place] + snippet + conf[place:], encoding="utf-8")
    with (attorn.conf.parent / "logins.conf").open("a", encoding="utf-8") as logins:
        logins.write(re.sub(r'"[^"]*"', f'"{ANA[1]}"', login))
    attorn.server.signal(signal.SIGHUP)
    attorn.passwords["ben"] = ANA[0]

    async def let_in() -> bool:
        return await attorn.knock({"user": "ben", "pass": ANA[0]}) == b"PONG"

    await until(let_in)
    async with attorn.person("ben") as ben:
        assert isinstance(await ben.ask(subjects.command("ben", "note.add"), {}), Problem)
        await ben.is_refused(subjects.command("ana", "note.add"))
