"""The reader of the log: every way to be let in, and what it does with whatever bytes come, in whatever pieces."""

import asyncio
import os
import ssl
import subprocess
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import nats.errors
import nkeys
import pytest
import uvloop
from nats.aio.client import Client

from attorn.contracts import codec
from attorn.contracts.examples import EVENT_EXAMPLES
from attorn.contracts.ledger import Append
from attorn.contracts.refusal import Unavailable
from attorn.services.ledger.follow import Source, pages
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.ledger.lookup import at
from attorn.services.ledger.protocol import Lost, Reader
from attorn.services.ledger.wire import Undone, Wire
from attorn.services.provision import provision
from attorn.services.supervise.server import HOST, Broker, find_server, free_port
from configured import configured
from sample_log import AT, ask, connected, entries, entry, everything, pages_until

DELIVERED = b"$JS.ACK.ATTORN.c.1.%d.%d.1700000000123456789.0"


async def three_events(nc: Client) -> list[int]:
    """Written and followed over `nc`; their positions."""
    await provision(nc)
    ledger = JetStreamLedger(nc)
    await ledger.append("work/W-1", await ledger.last(), entries("work/W-1", 1, 3))
    async with asyncio.timeout(5):
        return [recorded.position for recorded in await everything(ledger)]


def heard(*pieces: bytes) -> tuple[Reader, list[tuple[int, Mapping[str, str]]]]:
    statuses: list[tuple[int, Mapping[str, str]]] = []
    reader = Reader(lambda status, headers: statuses.append((status, headers)))
    for piece in pieces:
        reader.data_received(piece)
    return reader, statuses


async def test_what_comes_is_the_same_in_one_piece_and_in_any_two() -> None:
    headers = b"NATS/1.0\r\nNats-Msg-Id: 7\r\n\r\n"
    status = b"NATS/1.0 409 Message Size Exceeds MaxBytes\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 0\r\n\r\n"
    body = b'{"title":"MSG a\r\nHMSG b"}'
    whole = b"".join(
        (
            b'INFO {"server_id":"x","headers":true}\r\nPONG\r\n+OK\r\n',
            b"MSG attorn.ev.work.A 1 %s %d\r\n%s\r\n" % (DELIVERED % (1, 1), len(body), body),
            b"HMSG attorn.ev.work.B 1 %s %d %d\r\n%s%s\r\n"
            % (DELIVERED % (2, 2), len(headers), len(headers) + len(body), headers, body),
            b"HMSG _INBOX.x 1 %d %d\r\n%s\r\n" % (len(status), len(status), status),
            b"MSG attorn.ev.work.C 1 %s 0\r\n\r\n" % (DELIVERED % (3, 3)),
        )
    )
    expected = [
        (b"attorn.ev.work.A", DELIVERED % (1, 1), body),
        (b"attorn.ev.work.B", DELIVERED % (2, 2), body),
        (b"attorn.ev.work.C", DELIVERED % (3, 3), b""),
    ]

    for cut in range(len(whole)):
        reader, statuses = heard(whole[:cut], whole[cut:])
        assert reader.here == expected, f"cut at {cut}"
        [(code, said)] = statuses
        assert (code, said["Nats-Pending-Messages"], said["Description"]) == (409, "3", "Message Size Exceeds MaxBytes")
    byte_by_byte, _ = heard(*(whole[place : place + 1] for place in range(len(whole))))
    assert byte_by_byte.here == expected


@pytest.mark.parametrize(
    "garbage",
    [b"HTTP/1.1 400 Bad Request\r\n", b"MSG a 1 b many\r\n", b"HMSG a 1 b 3\r\nabc\r\n", b"INFO {\r\n", b"x" * 2**21],
)
async def test_what_is_not_nats_ends_the_connection_and_says_so(garbage: bytes) -> None:
    reader, _ = heard(garbage)

    assert isinstance(reader.ended, Lost)
    assert "what came is not NATS" in str(reader.ended)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("'Permissions Violation for Publish to \"$JS.API.X\"'", "not permitted to publish to $JS.API.X"),
        ("'Permissions Violation for Subscription to \"_INBOX.x\"'", "not permitted to subscribe to _INBOX.x"),
        ("'Authorization Violation'", "the broker did not let us in: Authorization Violation"),
    ],
)
async def test_what_the_broker_refuses_is_said_in_words(said: str, meaning: str) -> None:
    reader, _ = heard(f"-ERR {said}\r\n".encode())

    assert isinstance(reader.ended, Undone)
    assert str(reader.ended) == meaning


def test_the_brokers_clock_is_read_to_the_microsecond() -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for nanoseconds in (0, 999, 1_000, 1_700_000_000_123_456_789, 1_763_000_000_999_999_999, 4_102_444_799_999_999_000):
        assert at(nanoseconds) == epoch + timedelta(microseconds=nanoseconds // 1_000)


@pytest.mark.parametrize(
    ("lines", "user", "options"),
    [
        ('authorization { user: ana, password: "geheim" }', "ana:geheim@", {}),
        ('authorization { user: ana, password: "geheim" }', "", {"user": "ana", "password": "geheim"}),
        ("authorization { token: s3cr3t }", "s3cr3t@", {}),
        ("authorization { token: s3cr3t }", "", {"token": "s3cr3t"}),
    ],
)
async def test_the_reader_is_let_in_as_who_the_client_is(
    tmp_path: Path, lines: str, user: str, options: dict[str, Any]
) -> None:
    async with configured(tmp_path, lines) as port:
        nc = await nats.connect(f"nats://{user}{HOST}:{port}", **options)
        assert await three_events(nc) == [1, 2, 3]
        await nc.close()


async def test_the_reader_is_let_in_with_an_nkey(tmp_path: Path) -> None:
    seed = tmp_path / "ana.nk"
    seed.write_bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    public = nkeys.from_seed(bytearray(seed.read_bytes())).public_key.decode()
    async with configured(tmp_path, f"authorization {{ users: [ {{ nkey: {public} }} ] }}") as port:
        nc = await nats.connect(f"nats://{HOST}:{port}", nkeys_seed=str(seed))
        assert await three_events(nc) == [1, 2, 3]
        await nc.close()


@pytest.fixture
def certified(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine that nobody else has signed, and its key."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=IP:{HOST}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


async def test_where_the_server_wants_tls_the_reader_speaks_it(tmp_path: Path, certified: tuple[Path, Path]) -> None:
    certificate, key = certified
    trust = ssl.create_default_context(cafile=str(certificate))
    lines = f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}'
    async with configured(tmp_path, lines) as port:
        for scheme in ("tls", "nats"):
            nc = await nats.connect(f"{scheme}://{HOST}:{port}", tls=trust)
            await provision(nc)
            ledger = JetStreamLedger(nc)
            await ledger.append(f"work/{scheme}", 0, entries(f"work/{scheme}", 1, 3))
            async with asyncio.timeout(5):
                assert len(await everything(ledger)) == await ledger.last()
            await nc.close()


async def test_a_reader_that_is_not_let_in_is_told_why(tmp_path: Path) -> None:
    async with configured(tmp_path, "max_connections: 1") as port:
        nc = await nats.connect(f"nats://{HOST}:{port}")
        with pytest.raises(Unavailable, match="did not let us in: maximum connections exceeded"):
            await three_events(nc)
        await nc.close()


async def test_a_reader_that_may_make_a_consumer_and_not_pull_is_told_so(tmp_path: Path) -> None:
    lines = (
        "authorization { users: [ { user: a, password: a, "
        'permissions: { publish: { deny: "$JS.API.CONSUMER.MSG.NEXT.>" } } } ] }'
    )
    async with configured(tmp_path, lines) as port:
        nc = await nats.connect(f"nats://a:a@{HOST}:{port}")
        with pytest.raises(Unavailable, match=r"not permitted to publish to \$JS\.API\.CONSUMER\.MSG\.NEXT\.ATTORN\."):
            await three_events(nc)
        await nc.close()


async def test_where_one_server_of_several_is_gone_the_reader_goes_to_another(fresh_nats: Broker) -> None:
    nc = await nats.connect([f"nats://{HOST}:9", fresh_nats.url], dont_randomize=True)
    assert await three_events(nc) == [1, 2, 3]
    await nc.close()


async def test_on_uvloop_it_is_the_same(fresh_nats: Broker) -> None:
    async def read() -> list[int]:
        nc = await nats.connect(fresh_nats.url)
        try:
            return await three_events(nc)
        finally:
            await nc.close()

    assert await asyncio.to_thread(lambda: uvloop.run(read())) == [1, 2, 3]


async def test_what_was_appended_here_is_followed_as_whoever_reads_it_sees_it(fresh_nats: Broker) -> None:
    payloads = list(EVENT_EXAMPLES.values())
    examples = [
        codec.seal(codec.event(each, id=f"e-{n}", source="attorn://tests", subject=f"work/W-{n}", time=AT), 2)
        for n, each in enumerate(payloads)
    ]
    async with connected(fresh_nats.url) as (nc, ledger), connected(fresh_nats.url) as (_, other):
        await provision(nc)
        await ledger.append_all([Append(f"work/W-{n}", 0, (entry(f"work/W-{n}", 1),)) for n in range(len(payloads))])
        await everything(ledger)  # from here on somebody follows
        await ledger.append_all([Append(f"work/W-{n}", 1, (each,)) for n, each in enumerate(examples)])
        assert len(ledger._own or ()) == len(payloads)
        assert await everything(ledger) == await everything(other)
        assert ledger._own == {}


async def test_a_stream_that_is_not_whole_is_followed_from_beyond_its_end(fresh_nats: Broker) -> None:
    nc = await nats.connect(fresh_nats.url)
    await nc.jetstream().add_stream(name="S", subjects=["s.>"])
    source = Source(stream="S", filters=["s.a", "s.b"])

    def placed(position: int, nanoseconds: int, subject: str, body: bytes) -> tuple[int, str, bytes]:
        return position, subject, body

    async with aclosing(pages(nc, Wire(nc), source, 2, placed)) as found:
        assert await anext(found) == ([], 0)
        for number, subject in enumerate(("s.a", "s.b", "s.c", "s.b", "s.a"), 1):
            await nc.jetstream().publish(subject, str(number).encode())
        seen: list[tuple[int, str, bytes]] = []
        async with asyncio.timeout(5):
            while len(seen) < 2:
                seen += (await anext(found))[0]
    assert seen == [(4, "s.b", b"4"), (5, "s.a", b"5")]
    await nc.close()


@pytest.mark.faults
async def test_on_three_servers_the_reader_misses_nothing_when_the_one_where_it_reads_is_killed(tmp_path: Path) -> None:
    async with AsyncExitStack() as running:
        servers = await clustered(tmp_path, running)
        nc = await nats.connect(
            [f"nats://{HOST}:{port}" for port in servers], max_reconnect_attempts=-1, reconnect_time_wait=0.1
        )
        running.push_async_callback(nc.close)
        await provisioned(nc)
        ledger = JetStreamLedger(nc, patience=20)
        following = asyncio.create_task(pages_until(ledger, 60))
        for version in range(1, 61):
            if version == 30:
                assert nc.connected_url is not None and nc.connected_url.port is not None
                servers[nc.connected_url.port].kill()
            await ledger.append("work/W-1", version - 1, entries("work/W-1", version, version))
        async with asyncio.timeout(20):
            seen = [recorded.position for page in await following for recorded in page.recorded]
    assert seen == list(range(1, 61))


async def clustered(directory: Path, running: AsyncExitStack) -> dict[int, asyncio.subprocess.Process]:
    """Three servers that replicate to each other, by port; they end with `running`."""
    ports = [(free_port(), free_port()) for _ in range(3)]
    routes = ", ".join(f'"nats://{HOST}:{route}"' for _, route in ports)
    servers: dict[int, asyncio.subprocess.Process] = {}
    for number, (port, route) in enumerate(ports):
        configuration = directory / f"{number}.conf"
        configuration.write_text(
            f'server_name: n{number}\nlisten: "{HOST}:{port}"\n'
            f'jetstream {{ store_dir: "{directory}/{number}", sync_interval: always }}\n'
            f'cluster {{ name: three, listen: "{HOST}:{route}", routes: [{routes}] }}\n'
        )
        process = await asyncio.create_subprocess_exec(
            find_server(), "-c", configuration, stderr=asyncio.subprocess.DEVNULL
        )
        servers[port] = process
        running.push_async_callback(ended, process)
    return servers


async def ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def provisioned(nc: Client) -> None:
    """The log on three servers, once they have chosen who leads."""
    config = {"name": "ATTORN", "subjects": ["attorn.ev.>"], "num_replicas": 3, "allow_direct": True}
    async with asyncio.timeout(30):
        while True:
            with suppress(nats.errors.Error):
                if "error" not in await ask(nc, "STREAM.CREATE.ATTORN", config | {"allow_atomic": True}):
                    return
            await asyncio.sleep(0.2)
