"""The feed: every event of the log once more, at its own position, whatever is killed and whoever else writes."""

import asyncio
import random
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from attorn.contracts import codec, subjects
from attorn.contracts.envelope import Entry, Event, Recorded
from attorn.contracts.escalation import (
    EscalationAcknowledged,
    EscalationContext,
    EscalationResolved,
    WorkEscalated,
)
from attorn.contracts.ids import Pinned, Severity
from attorn.contracts.ledger import Append
from attorn.contracts.participant import ParticipantRegistered
from attorn.contracts.work import WorkDefined, WorkReadied
from attorn.services.connection import connect
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.provision import provision, streams
from attorn.services.relay import app as relay
from attorn.services.relay.feed import About, evolve, subject
from attorn.services.supervise.server import Broker
from attorn.services.supervise.supervisor import ChildFailed
from attorn_services import Services, until
from sample_log import everything

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def entry(payload: msgspec.Struct, stream: str, version: int, *, by: str = "ana") -> Entry:
    attributes = {"source": "/test", "subject": stream, "time": AT, "authid": by, "authtype": "user"}
    return codec.seal(codec.event(payload, id=f"{stream}-{version}".replace("/", "-"), **attributes), version)


def defined(process: str | None = None) -> WorkDefined:
    return WorkDefined(title="Refund", accountable="ana", process=Pinned(id=process, version=1) if process else None)


def raised(id: str, severity: Severity = "medium") -> WorkEscalated:
    context = EscalationContext(summary="The amount is above the limit")
    return WorkEscalated(escalation_id=id, reason="exception", raised_by="ana", severity=severity, context=context)


def story(work: str, process: str | None = "refunds", severity: Severity = "critical") -> Append:
    """A work item with an escalation from beginning to end: five events."""
    stream = f"work/{work}"
    payloads = (
        defined(process),
        WorkReadied(),
        raised("E-1", severity),
        EscalationAcknowledged(escalation_id="E-1", by="ana"),
        EscalationResolved(escalation_id="E-1", outcome="returned"),
    )
    return Append(stream, 0, tuple(entry(payload, stream, number) for number, payload in enumerate(payloads, 1)))


class Place:
    """A nats-server with the streams of attorn, a ledger on it, and what the feed holds."""

    def __init__(self, nc: Client, ledger: JetStreamLedger) -> None:
        self.nc, self.ledger = nc, ledger

    async def last(self) -> int:
        """The feed's last sequence number; -1 when there is no feed."""
        try:
            info = await self.nc.jetstream().stream_info(subjects.FEED)
        except NotFoundError:
            return -1
        return info.state.last_seq

    async def caught_up(self, within_s: float = 20.0) -> None:
        async def is_there() -> bool:
            return await self.last() == await self.ledger.last()

        await until(is_there, within_s)

    async def feed(self, filter: str = ">", after: int = 0) -> list[Msg]:
        """What the feed holds now, as a subscriber gets it."""
        js = self.nc.jetstream()
        start = (DeliverPolicy.BY_START_SEQUENCE, after + 1) if after else (DeliverPolicy.ALL, None)
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=start[0], opt_start_seq=start[1])
        consumer = await js.pull_subscribe(filter, stream=subjects.FEED, config=config)
        found: list[Msg] = []
        pending = (await consumer.consumer_info()).num_pending or 0
        while len(found) < pending:
            found += await consumer.fetch(min(1_000, pending - len(found)), timeout=5)
        await consumer.unsubscribe()
        return found

    async def assert_feed_is_log(self) -> None:
        """The same bytes at the same places, each under the subject that the log alone makes it have."""
        log, feed = await everything(self.ledger), await self.feed()
        assert [msg.metadata.sequence.stream for msg in feed] == [recorded.position for recorded in log]
        assert [msg.headers and msg.headers["Attorn-Position"] for msg in feed] == [str(r.position) for r in log]
        assert [msg.data for msg in feed] == [recorded.body for recorded in log]
        assert [msg.subject for msg in feed] == expected_subjects(log)


def expected_subjects(log: Sequence[Recorded]) -> list[str]:
    abouts: dict[str, About] = defaultdict(About)
    found: list[str] = []
    for recorded in log:
        found.append(subject(recorded.event, abouts[recorded.stream]))
        abouts[recorded.stream] = evolve(abouts[recorded.stream], recorded.event)
    return found


@asynccontextmanager
async def place(url: str) -> AsyncIterator[Place]:
    ledger: JetStreamLedger
    nc = await connect(url, "test", lambda error: ledger.on_error(error))
    ledger = JetStreamLedger(nc)
    try:
        await provision(nc)
        yield Place(nc, ledger)
    finally:
        await nc.close()


@asynccontextmanager
async def relaying(url: str) -> AsyncIterator[Client]:
    """A relay in this process; its connection, until the block ends."""
    ledger: JetStreamLedger
    ledger_nc = await connect(url, "relay's ledger", lambda error: ledger.on_error(error))
    ledger = JetStreamLedger(ledger_nc)
    nc = await connect(url, "relay")
    running = asyncio.create_task(relay.run(ledger, nc))
    try:
        yield nc
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await nc.close()
        await ledger_nc.close()


# -- which subject an event gets


def event(payload: msgspec.Struct, stream: str = "work/W-1") -> Event:
    return entry(payload, stream, 1).event


def test_an_event_is_found_by_its_type_and_its_stream() -> None:
    assert subject(event(defined()), About()) == "attorn.feed.work.defined.work.W-1"
    registered = ParticipantRegistered(participant_id="ana", kind="human", display_name="Ana")
    assert (
        subject(event(registered, "participant/ana"), About()) == "attorn.feed.participant.registered.participant.ana"
    )


def test_an_escalation_is_found_by_severity_and_process_to_its_end() -> None:
    about = evolve(evolve(About(), event(defined("refunds"))), event(raised("E-1", "critical")))
    resolved = EscalationResolved(escalation_id="E-1", outcome="returned")
    assert subject(event(raised("E-1", "critical")), about) == "attorn.escalation.critical.refunds.W-1.escalated"
    assert subject(event(resolved), about) == "attorn.escalation.critical.refunds.W-1.resolved"


def test_each_of_several_escalations_of_an_item_keeps_its_own_severity() -> None:
    about = About()
    for payload in (raised("E-1", "low"), raised("E-2", "high"), raised("E-1", "critical")):
        about = evolve(about, event(payload))
    acknowledged = [EscalationAcknowledged(escalation_id=id, by="ana") for id in ("E-1", "E-2")]
    assert [subject(event(each), about) for each in acknowledged] == [
        "attorn.escalation.low.-.W-1.acknowledged",
        "attorn.escalation.high.-.W-1.acknowledged",
    ]


def test_the_process_is_that_of_the_first_definition_as_it_is_for_the_rules() -> None:
    about = evolve(evolve(About(), event(defined())), event(defined("refunds")))
    assert subject(event(raised("E-1")), about) == "attorn.escalation.medium.-.W-1.escalated"


def test_an_escalation_that_nobody_raised_is_with_the_escalations_all_the_same() -> None:
    resolved = EscalationResolved(escalation_id="E-9", outcome="returned")
    assert subject(event(resolved), About()) == "attorn.escalation.-.-.W-1.resolved"


@pytest.mark.parametrize(
    ("type", "data", "found"),
    [
        ("com.acme.order.placed", "{}", "attorn.feed.other.com_acme_order_placed.work.W-1"),
        ("attorn.weather.turned.v3", "{}", "attorn.feed.weather.turned.work.W-1"),
        ("attorn.work.escalated.v2", '{"severity":"critical"}', "attorn.escalation.critical.refunds.W-1.escalated"),
        ("attorn.work.escalated.v2", '{"severity":"a b"}', "attorn.escalation.-.refunds.W-1.escalated"),
        ("attorn.work.escalated.v2", "7", "attorn.escalation.-.refunds.W-1.escalated"),
        ("attorn.escalation.paged.v1", '{"escalation_id":"E-1"}', "attorn.escalation.high.refunds.W-1.paged"),
    ],
)
def test_what_this_version_does_not_know_is_found_by_what_it_says(type: str, data: str, found: str) -> None:
    about = evolve(evolve(About(), event(defined("refunds"))), event(raised("E-1", "high")))
    body = (
        f'{{"specversion":"1.0","id":"1","source":"/x","type":"{type}","subject":"work/W-1","time":"{AT.isoformat()}",'
    )
    assert subject(codec.decode(f'{body}"data":{data}}}'.encode()), about) == found


@pytest.mark.parametrize(
    "body", [b"\xff", b"{}", b'{"specversion":"1.0","id":"1","source":"/x","type":"attorn.work.escalated.v1"}']
)
def test_what_nobody_can_read_is_on_the_feed_too(body: bytes) -> None:
    assert subject(codec.decode(body, "work/W-1", AT), About()) == "attorn.feed.other._.work.W-1"


def test_no_event_can_put_a_command_of_the_wire_into_its_subject() -> None:
    body = codec.encode(event(defined(), "work/W-1 5\r\nPUB x"))
    assert subject(codec.decode(body), About()) == "attorn.feed.other._.other.-"


# -- what is on the feed


async def test_the_feed_is_the_log_once_more_position_for_position(fresh_nats: Broker) -> None:
    async with place(fresh_nats.url) as here:
        await here.ledger.append_all([story(f"W-{n}") for n in range(150)])
        async with relaying(fresh_nats.url):
            await here.ledger.append_all([story("late", None, "low")])
            await here.caught_up()
            await here.assert_feed_is_log()
            found = await here.feed("attorn.escalation.critical.refunds.>")
            assert len(found) == 3 * 150
            assert [msg.subject for msg in await here.feed("attorn.escalation.>", after=750)] == [
                f"attorn.escalation.low.-.late.{fact}" for fact in ("escalated", "acknowledged", "resolved")
            ]


async def test_after_a_restart_an_escalation_is_still_under_its_severity_and_process(fresh_nats: Broker) -> None:
    async with place(fresh_nats.url) as here:
        [stream, _, entries] = msgspec.structs.astuple(story("W-1"))
        for number, one in enumerate(entries):
            await here.ledger.append(stream, number, [one])
            async with relaying(fresh_nats.url):
                await here.caught_up()
        await here.assert_feed_is_log()
        assert [msg.subject.split(".")[2:4] for msg in await here.feed("attorn.escalation.>")] == [
            ["critical", "refunds"]
        ] * 3


async def test_what_becomes_known_later_changes_no_subject(fresh_nats: Broker) -> None:
    """The item is defined under a process behind its escalation: read as a whole, the stream would say otherwise."""
    async with place(fresh_nats.url) as here:
        stream = "work/W-1"
        payloads = (WorkReadied(), raised("E-1"), defined("refunds"))
        await here.ledger.append(stream, 0, [entry(payloads[0], stream, 1)])
        async with relaying(fresh_nats.url):
            await here.caught_up()
        await here.ledger.append(stream, 1, [entry(p, stream, n) for n, p in enumerate(payloads[1:], 2)])
        async with relaying(fresh_nats.url):
            await here.caught_up()
        assert (await here.feed())[1].subject == "attorn.escalation.medium.-.W-1.escalated"


async def test_what_the_feed_has_forgotten_does_not_come_again(fresh_nats: Broker) -> None:
    async with place(fresh_nats.url) as here:
        await here.ledger.append_all([story("W-1")])
        async with relaying(fresh_nats.url):
            await here.caught_up()
        # As its age does.
        await here.nc.jetstream().purge_stream(subjects.FEED)
        await here.ledger.append_all([story("W-2")])
        async with relaying(fresh_nats.url):
            await here.caught_up()
        assert [msg.metadata.sequence.stream for msg in await here.feed()] == [6, 7, 8, 9, 10]


async def test_a_feed_that_was_deleted_is_written_again_from_the_beginning(
    fresh_nats: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LOOK_S", 0.5)
    async with place(fresh_nats.url) as here, relaying(fresh_nats.url):
        await here.ledger.append_all([story("W-1")])
        await here.caught_up()
        await here.nc.jetstream().delete_stream(subjects.FEED)
        # Nothing happens that would need the feed, and yet it is missed.
        await asyncio.sleep(1)
        await provision(here.nc)
        await here.caught_up()
        await here.assert_feed_is_log()


async def test_a_feed_that_is_provisioned_to_begin_later_is_written_from_there(fresh_nats: Broker) -> None:
    async with place(fresh_nats.url) as here:
        await here.ledger.append_all([story(f"W-{n}") for n in range(4)])
        await here.nc.jetstream().delete_stream(subjects.FEED)
        config = {"name": subjects.FEED, **streams()[subjects.FEED], "first_seq": 13}
        await here.nc.request(f"$JS.API.STREAM.CREATE.{subjects.FEED}", msgspec.json.encode(config))
        async with relaying(fresh_nats.url):
            await here.caught_up()
        found = await here.feed()
        assert [msg.metadata.sequence.stream for msg in found] == list(range(13, 21))
        # Its beginning is not on the feed, and yet known.
        assert found[0].subject == "attorn.escalation.critical.refunds.W-2.escalated"


async def test_a_feed_that_is_ahead_of_the_log_ends_the_process_with_a_sentence(fresh_nats: Broker) -> None:
    async with place(fresh_nats.url) as here:
        await here.ledger.append_all([story("W-1"), story("W-2")])
        async with relaying(fresh_nats.url):
            await here.caught_up()
        await here.nc.jetstream().delete_stream(subjects.LOG)
        await provision(here.nc)
        await here.ledger.append_all([story("W-1")])
        sentence = "the feed ATTORN_FEED ends at position 10 and the log ATTORN at 5: the log has gone back"
        with pytest.raises(relay.NotItsFeed, match=sentence):
            async with asyncio.timeout(20):
                await relay.run(here.ledger, here.nc)


async def test_a_log_that_is_another_one_is_noticed_even_when_it_is_longer(fresh_nats: Broker) -> None:
    async with place(fresh_nats.url) as here:
        await here.ledger.append_all([story("W-1")])
        async with relaying(fresh_nats.url):
            await here.caught_up()
        await here.nc.jetstream().delete_stream(subjects.LOG)
        await provision(here.nc)
        await here.ledger.append_all([story("W-7"), story("W-8")])
        with pytest.raises(relay.NotItsFeed, match="another event at position 5 than the log"):
            async with asyncio.timeout(20):
                await relay.run(here.ledger, here.nc)


# -- who else writes, and what is killed


async def test_two_relays_do_no_harm_and_the_second_one_idles_until_it_is_needed(fresh_nats: Broker) -> None:
    async with place(fresh_nats.url) as here, relaying(fresh_nats.url) as one:
        await here.ledger.append_all([story("W-0")])
        await here.caught_up()
        async with relaying(fresh_nats.url) as other:
            for n in range(1, 20):
                await here.ledger.append_all([story(f"W-{n}")])
            await here.caught_up()
            before = one.stats["out_msgs"], other.stats["out_msgs"]
            await asyncio.sleep(2)
            sent = [
                now - then for now, then in zip((one.stats["out_msgs"], other.stats["out_msgs"]), before, strict=True)
            ]
            # The one that stands by looks at the feed once a second, when nothing happens.
            assert max(sent) <= 8, sent
        await here.ledger.append_all([story("W-20")])
        await here.caught_up()
        await here.assert_feed_is_log()


async def test_a_relay_that_stands_by_takes_over(fresh_nats: Broker) -> None:
    async with place(fresh_nats.url) as here, relaying(fresh_nats.url), relaying(fresh_nats.url):
        async with relaying(fresh_nats.url):
            for n in range(50):
                await here.ledger.append_all([story(f"W-{n}")])
        await here.ledger.append_all([story("W-50")])
        await here.caught_up()
        await here.assert_feed_is_log()


async def _killed(services: Services, times: int) -> list[int]:
    """SIGKILL the services while they write the feed of a long log; how far they had come each time."""
    here, chance, reached = Place(services.nc, services.ledger), random.Random(times), [0]
    await services.kill()
    for n in range(times):
        for k in range(8):
            await here.ledger.append_all([story(f"W-{n}-{k}-{i}") for i in range(200)])
        starting = asyncio.create_task(services.start())

        async def has_begun() -> bool:
            return await here.last() > reached[-1]

        await until(has_begun)
        await asyncio.sleep(chance.uniform(0, 0.3))
        await services.kill()
        await asyncio.gather(starting, return_exceptions=True)
        reached.append(await here.last())
    await services.start()
    await here.caught_up(60)
    await here.assert_feed_is_log()
    assert await here.last() == 2 + times * 8_000
    return reached[1:]


@pytest.mark.faults
async def test_every_event_is_on_the_feed_once_though_the_relay_is_killed(services: Services) -> None:
    await _killed(services, 1)


@pytest.mark.faults
async def test_every_event_is_on_the_feed_once_though_the_relay_is_killed_ten_times(services: Services) -> None:
    reached = await _killed(services, 10)
    assert any(position < (n + 1) * 8_000 for n, position in enumerate(reached)), "no kill hit it at work"


async def test_a_feed_that_a_killed_server_has_lost_is_back_without_a_new_event(fresh_nats: Broker) -> None:
    async with place(fresh_nats.url) as here, relaying(fresh_nats.url):
        for n in range(20):
            await here.ledger.append_all([story(f"W-{n}-{k}") for k in range(40)])
        await fresh_nats.kill()
        [lost] = fresh_nats.data.rglob(subjects.FEED)
        shutil.rmtree(lost)
        await fresh_nats.restart()

        async def is_connected() -> bool:
            return here.nc.is_connected

        await until(is_connected)
        await provision(here.nc)
        await here.caught_up()
        await here.assert_feed_is_log()


async def test_a_feed_ahead_of_its_log_ends_the_services_with_that_sentence(services: Services) -> None:
    here = Place(services.nc, services.ledger)
    await here.caught_up()
    await services.stop()
    await services.nc.jetstream().delete_stream(subjects.LOG)
    await provision(services.nc)
    starting = asyncio.create_task(services.start())
    async with asyncio.timeout(20):
        with suppress(ChildFailed):  # it may have said READY before
            await starting
        assert await services.process.wait() == 1
    assert "the feed ATTORN_FEED ends at position 2 and the log ATTORN at 0" in services.log()
