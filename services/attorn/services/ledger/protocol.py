"""A connection to NATS that only reads: the wire protocol, parsed a whole chunk at a time.

nats-py spends 15 µs on a message that this takes 1 µs for: a task's turn, a queue, the headers. It is for what comes in
bulk; everything else, and everything that is written for good, goes over nats-py. The connection goes where the given
nats-py client is, and in its name; when it is lost, whoever reads makes another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar, cast
from urllib.parse import ParseResult

import msgspec
from nats.aio.client import Client

from attorn.services.ledger.wire import DENIED, HELD_UP_S, Undone

CONNECT_S: Final = 2.0
LINE_BYTES_MAX: Final = 1024 * 1024
"""A line of the protocol is short; the longest is INFO, with the addresses of every server of a cluster."""

Delivery: TypeAlias = tuple[bytes, bytes, bytes]
"""Subject, reply token and body of a message that has a reply token; its headers are not looked at."""

T = TypeVar("T")

_M, _H = b"MH"


class Lost(Exception):
    """This connection, or what was made over it, will not go on; the next one may."""


class NotLetIn(Undone):
    """The server takes no connection in this name, or not now."""


class _Info(msgspec.Struct, frozen=True):
    tls_required: bool = False
    tls_available: bool = False
    nonce: str | None = None


async def connect(nc: Client, hear: Callable[[int, Mapping[str, str]], None]) -> "Reader":
    """To the server where `nc` is. `hear` is called with the status and the headers of what has no body.

    Raises Lost when nobody is there or it takes too long, NotLetIn when the server refuses.
    """
    server = nc.connected_url
    if server is None:
        raise Lost("not connected")
    if server.scheme in ("ws", "wss"):
        raise Undone(f"the log is not read over {server.scheme}://: give nats:// or tls://", is_final=True)
    reader = Reader(hear)
    try:
        await patiently(_greet(reader, nc, server), CONNECT_S, "no greeting")
    except OSError as error:
        reader.close()
        raise Lost(f"no connection to {server.hostname}:{server.port}: {error}") from error
    except BaseException:
        reader.close()
        raise
    return reader


async def _greet(reader: "Reader", nc: Client, server: ParseResult) -> None:
    loop = asyncio.get_running_loop()
    host, port = server.hostname or "", server.port or 4222
    is_tls_first = bool(nc.options.get("tls_handshake_first"))
    name = nc.options.get("tls_hostname") or (nc._current_server and nc._current_server.tls_name) or host
    at_once: dict[str, Any] = {"ssl": nc.ssl_context, "server_hostname": name} if is_tls_first else {}
    transport, _ = await loop.create_connection(lambda: reader, host, port, **at_once)
    info = await reader.info
    if server.scheme == "tls" and not (info.tls_required or info.tls_available or is_tls_first):
        raise NotLetIn(f"the URL says tls://, and {host}:{port} has no TLS", is_final=True)
    if (info.tls_required or server.scheme == "tls") and not is_tls_first:
        secret = await loop.start_tls(transport, reader, nc.ssl_context, server_hostname=name)
        if secret is None:
            raise Lost("the connection was lost while it was made secret")
        reader.connection_made(secret)
    hello = {"verbose": False, "pedantic": False, "lang": "python", "version": "attorn", "protocol": 1}
    hello |= {"headers": True, "no_responders": True, "echo": False, "name": f"{nc.options.get('name') or ''} reader"}
    reader.write(b"CONNECT " + msgspec.json.encode(hello | _login(nc, server, info.nonce)) + b"\r\nPING\r\n")
    await reader.is_let_in


def _login(nc: Client, server: ParseResult, nonce: str | None) -> dict[str, Any]:
    """What the CONNECT of `nc` says of who it is; for a key or credentials, with the signature under `nonce`."""

    def said(option: str) -> Any:
        value = nc.options.get(option)
        return value() if callable(value) else value

    if nonce is not None and nc._signature_cb is not None:
        # nats-py has read the seed or the credentials for itself, and shows them in no other way.
        login: dict[str, Any] = {"sig": bytes(nc._signature_cb(nonce)).decode()}
        if nc._user_jwt_cb is not None:
            login["jwt"] = bytes(nc._user_jwt_cb()).decode()
        else:
            login["nkey"] = nc._public_nkey
        return login | ({"auth_token": said("token")} if said("token") is not None else {})
    if said("user") is not None and said("password") is not None:
        return {"user": said("user"), "pass": said("password")}
    if said("token") is not None:
        return {"auth_token": said("token")}
    if server.username is None:
        return {}
    # As nats-py has it, which takes them as they stand in the URL.
    if server.password is None:
        return {"auth_token": server.username}
    return {"user": server.username, "pass": server.password}


async def patiently(work: Awaitable[T], seconds: float, silence: str) -> T:
    """The result of `work`; Lost when it takes longer, unless it was we who held up the loop."""
    now = asyncio.get_running_loop().time
    task = asyncio.ensure_future(work)
    try:
        due = now() + seconds
        while True:
            await asyncio.wait((task,), timeout=due - now())
            if task.done():
                return await task
            if now() <= due + HELD_UP_S:
                raise Lost(f"{silence} within {seconds:g} s")
            # What held up this alarm held up what it waits for, which may be here, unread.
            due = now() + HELD_UP_S
    finally:
        if not task.done():
            task.cancel()
            # However it ends now, its author hears why nobody waits for it any more.
            with suppress(asyncio.CancelledError, Exception):
                await task


class Reader(asyncio.Protocol):
    """`here`: what was delivered and not taken yet. `ended`: why nothing more will come. `heard_at`: on the loop's
    clock, when the server was last heard of."""

    def __init__(self, hear: Callable[[int, Mapping[str, str]], None]) -> None:
        loop = asyncio.get_running_loop()
        self.here: list[Delivery] = []
        self.ended: Exception | None = None
        self.heard_at = loop.time()
        self.info: asyncio.Future[_Info] = loop.create_future()
        self.is_let_in: asyncio.Future[bool] = loop.create_future()
        self._hear = hear
        self._now = loop.time
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._missing = 0
        self._wake = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Return when something was delivered, when a status was heard, at the end, and after `seconds`."""
        if self.here or self.ended:
            return
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def subscribe(self, subject: str) -> None:
        self.write(f"SUB {subject} 1\r\n".encode())

    def publish(self, subject: str, reply: str, body: bytes) -> None:
        self.write(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """What was written goes out still."""
        self._end(Lost("closed"))
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of it.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Lost(f"the connection was lost{f': {exc}' if exc else ''}"))

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._now()
        if self._parts:
            # A large message comes in many chunks: they are put together once it is whole.
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._parts)
            self._parts.clear()
        try:
            used, self._missing = self._parse(data)
        except (ValueError, IndexError, UnicodeDecodeError, msgspec.DecodeError) as error:
            return self._break_off(f"what came is not NATS: {error}")
        if used < len(data):
            self._parts.append(data[used:] if used else data)
            if len(data) - used > LINE_BYTES_MAX and self._missing <= 1:
                return self._break_off("what came is not NATS: a line without end")
        if self.here:
            self._wake.set()

    def _parse(self, data: bytes) -> tuple[int, int]:
        """How many bytes were used, and how many are missing at least for the next message.

        `MSG <subject> <sid> [<reply>] <bytes>`, `HMSG <subject> <sid> [<reply>] <bytes of headers> <bytes in all>`.
        """
        find, take = data.find, self.here.append
        at, end = 0, len(data)
        while True:
            line_end = find(b"\r\n", at)
            if line_end < 0:
                return at, 1
            kind = data[at]
            if kind == _H:
                words = data[at:line_end].split(b" ")
                body = line_end + 2
                behind = body + int(words[-1])
                if behind + 2 > end:
                    return at, behind + 2 - end
                if len(words) == 6:
                    take((words[1], words[3], data[body + int(words[4]) : behind]))
                else:
                    self._status(data[body : body + int(words[3])])
                at = behind + 2
            elif kind == _M:
                words = data[at:line_end].split(b" ")
                body = line_end + 2
                behind = body + int(words[-1])
                if behind + 2 > end:
                    return at, behind + 2 - end
                if len(words) == 5:
                    take((words[1], words[3], data[body:behind]))
                at = behind + 2
            else:
                self._control(data[at:line_end])
                at = line_end + 2

    def _status(self, headers: bytes) -> None:
        """`NATS/1.0 <status> <description>`, and headers on lines of their own."""
        first, *rest = headers.decode().strip().split("\r\n")
        _, status, *description = first.split(" ", 2)
        said = {name: value.strip() for name, _, value in (line.partition(":") for line in rest)}
        self._hear(int(status), said | {"Description": " ".join(description)})
        if int(status) != 100:
            self._wake.set()

    def _control(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        match word.upper():
            case b"PING":
                self.write(b"PONG\r\n")
            case b"PONG":
                if not self.is_let_in.done():
                    self.is_let_in.set_result(True)
            case b"INFO":
                if not self.info.done():
                    self.info.set_result(msgspec.json.decode(rest, type=_Info))
            case b"-ERR":
                self._end(self._refusal(rest.decode().strip("'")))
            case b"+OK":
                pass
            case other:
                raise ValueError(f"{other[:40]!r}")

    def _refusal(self, said: str) -> Exception:
        if denied := DENIED.search(said):
            verb = "publish" if denied[1].lower() == "publish" else "subscribe"
            return Undone(f"not permitted to {verb} to {denied[2]}", is_final=True)
        if not self.is_let_in.done():
            return NotLetIn(f"the broker did not let us in: {said}")
        return Lost(f"the broker ended the connection: {said}")

    def _break_off(self, reason: str) -> None:
        self._end(Lost(reason))
        if self._transport is not None:
            self._transport.abort()

    def _end(self, why: Exception) -> None:
        # The first reason counts: the rest follows from it.
        if self.ended is None:
            self.ended = why
        for greeting in (self.info, self.is_let_in):
            if not greeting.done():
                greeting.set_exception(self.ended)
                greeting.exception()  # whether or not anybody waits
        self._wake.set()
