"""Imports an XES log: reads all of it, and only then records what it means, as facts through the fact door.

    report = await run(Path("incidents.xes.gz"), load("bpic2013-incidents"), NatsDoors(nc), actor="ana")

Nothing is recorded of a log that cannot be read, or that the mapping does not cover, to its very end. What is sent may
be sent again: an import that was interrupted is begun anew, and what is there already is not recorded twice.
"""

import asyncio
import re
import tempfile
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final, Protocol, TypeAlias, TypeVar

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from attorn.contracts import subjects
from attorn.contracts.refusal import Problem, Receipt, Refused, Unavailable
from attorn.contracts.source import RegisterSource
from attorn.services.imports import xes
from attorn.services.imports.facts import Fact, Reading
from attorn.services.imports.mapping import Mapping

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, `reading` (in bytes, from another thread) or `recording` (in facts), how much of it
is done, and how much there is."""

BATCH_FACTS: Final = 500
BATCH_BYTES: Final = 512 * 1024
IN_FLIGHT: Final = 4
ANSWER_S: Final = 10.0
PATIENCE_S: Final = 60.0
"""How long one batch is sent again and again before the import gives up: the log or the services may be restarting."""

MENTIONED_MAX: Final = 20

T = TypeVar("T")


class Doors(Protocol):
    """The way in to attorn: its doors, and the position that its log is at."""

    async def ask(self, subject: str, body: bytes) -> bytes:
        """The reply to a request. Raises Unavailable when there is none."""
        ...

    async def head(self) -> int: ...


class NatsDoors:
    """The doors, over a connection to NATS."""

    def __init__(self, nc: Client, *, timeout: float = ANSWER_S) -> None:
        self._nc, self._timeout = nc, timeout

    async def ask(self, subject: str, body: bytes) -> bytes:
        # What is published while the connection is broken would be kept and sent later, beside what is sent again.
        if not self._nc.is_connected:
            raise Unavailable("not connected to NATS")
        try:
            reply = await self._nc.request(subject, body, timeout=self._timeout)
        except (NatsError, TimeoutError, OSError) as error:
            raise Unavailable(f"{subject}: {error or 'no answer'}", "unknown") from error
        return reply.data

    async def head(self) -> int:
        question = msgspec.json.encode({"last_by_subj": subjects.events()})
        answer = msgspec.json.decode(await self.ask(f"$JS.API.STREAM.MSG.GET.{subjects.LOG}", question), type=_Last)
        if answer.message is None and (answer.error is None or answer.error.code != 404):
            raise Unavailable(f"the log does not say where it is: {answer.error and answer.error.description}")
        return answer.message.seq if answer.message is not None else 0


class _Message(msgspec.Struct, frozen=True):
    seq: int


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    description: str = ""


class _Last(msgspec.Struct, frozen=True):
    message: _Message | None = None
    error: _Error | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did. `facts` were sent; each was `recorded`, or was `there` already, or is among the other two.

    `conflicts` are facts whose id stands on the log with other bytes, `rejected` those that the door could not read;
    both are in quarantine, and `mentioned` says why of some. `warnings` counts the recorded facts by the rules that
    they broke. The positions are the first and the last that any fact of this log has.
    """

    source: str
    cases: int
    source_events: int
    without_time: int
    participants: int
    facts: int
    recorded: int
    there: int
    conflicts: int
    rejected: int
    mentioned: tuple[str, ...]
    warnings: dict[str, int]
    first_position: int | None
    last_position: int | None
    seconds: float


class Rejected(Exception):
    """A door answered what no import can go on from."""


async def run(
    path: Path,
    mapping: Mapping,
    doors: Doors,
    progress: Progress | None = None,
    *,
    actor: str,
    source: str | None = None,
    custodian: str | None = None,
    logical_time: bool = False,
    patience_s: float = PATIENCE_S,
) -> Report:
    """Import the log at `path`.

    `actor` is the participant who imports. The source is `source`, else the mapping's, else named after the file; it is
    registered, with `custodian`, by default the actor, who answers for work that nobody else answers for.

    Raises UnreadableLog or Unmapped before anything is recorded; Refused when the source may not be registered;
    Unavailable when there was no answer for `patience_s` seconds, and then the import may be run again.
    """
    began = time.monotonic()
    source = source or mapping.source or _named_after(path)
    custodian = custodian or actor
    for id, field in ((source, "source"), (custodian, "custodian"), (actor, "actor")):
        subjects.token(id, field)
    with tempfile.TemporaryFile(prefix="attorn-import-") as file:
        reading = Reading(mapping, source, custodian, name=str(path), logical_time=logical_time)
        spool = _Spool(file)
        await asyncio.to_thread(_prepare, path, reading, spool, progress)
        sending = _Sending(doors, source, spool, progress, await _patiently(doors.head, patience_s), patience_s)
        command = RegisterSource(source_id=source, uri=reading.uri, custodian=custodian)
        await _register(doors, actor, command, patience_s)
        # Who takes part is there before anything that they did is judged.
        await sending.send(spool.participants)
        await sending.send(spool.cases)
    return Report(
        source=source,
        cases=spool.count,
        source_events=reading.events,
        without_time=reading.without_time,
        participants=sum(batch.facts for unit in spool.participants for batch in unit),
        facts=sending.done,
        recorded=sending.recorded,
        there=sending.there,
        conflicts=sending.conflicts,
        rejected=sending.rejected,
        mentioned=tuple(sending.mentioned),
        warnings=dict(sending.warnings.most_common()),
        first_position=sending.first,
        last_position=sending.last,
        seconds=time.monotonic() - began,
    )


def _named_after(path: Path) -> str:
    stem = re.sub(r"\.(xes|xml|gz|zip)", "", path.name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:40] or "log"


# ---- reading all of it


class _Batch(msgspec.Struct, frozen=True):
    """One message to the fact door: where it is in the file, and how many facts it has."""

    offset: int
    length: int
    facts: int


_Unit: TypeAlias = list[_Batch]
"""Batches that have to be recorded one after the other, since a case goes on from one to the next."""


class _Spool:
    """What is to be sent, in a file: the whole log is turned into facts before the first of them is recorded."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._end = 0
        self.count = 0
        self.cases: list[_Unit] = []
        self.participants: list[_Unit] = []

    @property
    def facts(self) -> int:
        return sum(batch.facts for units in (self.participants, self.cases) for unit in units for batch in unit)

    def write(self, groups: Iterable[list[Fact]]) -> Iterator[_Unit]:
        """Batches of whole groups; a group that is larger than a batch is a unit of several."""
        waiting: list[bytes] = []
        size = 0
        for group in groups:
            bodies = [fact.body for fact in group]
            length = sum(map(len, bodies))
            if waiting and (len(waiting) + len(bodies) > BATCH_FACTS or size + length > BATCH_BYTES):
                yield [self._batch(waiting)]
                waiting, size = [], 0
            if len(bodies) > BATCH_FACTS or length > BATCH_BYTES:
                yield [self._batch(part) for part in _parts(bodies)]
            else:
                waiting += bodies
                size += length
        if waiting:
            yield [self._batch(waiting)]

    def _batch(self, bodies: list[bytes]) -> _Batch:
        body = b"[" + b",".join(bodies) + b"]"
        self._file.write(body)
        batch = _Batch(self._end, len(body), len(bodies))
        self._end += len(body)
        return batch

    def read(self, batch: _Batch) -> bytes:
        self._file.seek(batch.offset)
        return self._file.read(batch.length)


def _parts(bodies: list[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for body in bodies:
        if part and (len(part) == BATCH_FACTS or size + len(body) > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(body)
        size += len(body)
    yield part


def _prepare(path: Path, reading: Reading, spool: _Spool, progress: Progress | None) -> None:
    def consumed(done: int, total: int) -> None:
        if progress is not None:
            progress("reading", done, total)

    def cases() -> Iterator[list[Fact]]:
        for trace in xes.read(path, consumed):
            spool.count += 1
            yield reading.facts(trace)

    spool.cases = list(spool.write(cases()))
    spool.participants = list(spool.write([fact] for fact in reading.participants()))


# ---- recording it

_Answer: TypeAlias = Receipt | Problem | list[Receipt | Problem]
_answers: Final[msgspec.json.Decoder[_Answer]] = msgspec.json.Decoder(Receipt | Problem | list[Receipt | Problem])


class _Sending:
    """Sends batches, several at a time, and counts what becomes of their facts."""

    def __init__(
        self, doors: Doors, source: str, spool: _Spool, progress: Progress | None, head: int, patience_s: float
    ) -> None:
        self._doors, self._spool, self._progress, self._patience_s = doors, spool, progress, patience_s
        self._subject = subjects.fact(source)
        self._head, self._total = head, spool.facts
        self.done = self.recorded = self.there = self.conflicts = self.rejected = 0
        self.first: int | None = None
        self.last: int | None = None
        self.warnings = Counter[str]()
        self.mentioned: list[str] = []

    async def send(self, units: list[_Unit]) -> None:
        """Record all of `units`; returns when each fact has its answer."""
        left = deque(units)

        async def work() -> None:
            while left:
                for batch in left.popleft():
                    self._count(batch, await self._answer(batch))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(IN_FLIGHT, len(units))):
                    group.create_task(work())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _answer(self, batch: _Batch) -> list[Receipt | Problem]:
        body = self._spool.read(batch)
        answer = await _ask(self._doors, self._subject, body, self._patience_s)
        if not isinstance(answer, list) or len(answer) != batch.facts:
            said = answer.detail if isinstance(answer, Problem) else "something else than an answer for each fact"
            raise Rejected(f"{self._subject} answered: {said}")
        return answer

    def _count(self, batch: _Batch, answers: list[Receipt | Problem]) -> None:
        for answer in answers:
            match answer:
                case Receipt(position=position, warnings=warnings):
                    # Recorded by this import, if by an earlier try whose answer was lost, is recorded behind the head.
                    if position > self._head:
                        self.recorded += 1
                        for rule in {breach.rule for breach in warnings}:
                            self.warnings[rule] += 1
                    else:
                        self.there += 1
                    if self.first is None or position < self.first:
                        self.first = position
                    if self.last is None or position > self.last:
                        self.last = position
                case Problem(status=status, detail=detail):
                    self.conflicts += status == 409
                    self.rejected += status != 409
                    if len(self.mentioned) < MENTIONED_MAX:
                        self.mentioned.append(detail)
        self.done += batch.facts
        if self._progress is not None:
            self._progress("recording", self.done, self._total)


async def _register(doors: Doors, actor: str, command: RegisterSource, patience_s: float) -> None:
    subject = subjects.command(actor, command.verb)
    answer = await _ask(doors, subject, msgspec.json.encode(command), patience_s)
    if isinstance(answer, Problem):
        if not answer.rules:
            raise Rejected(f"{subject}: {answer.detail}")
        raise Refused(*answer.rules)


async def _ask(doors: Doors, subject: str, body: bytes, patience_s: float) -> _Answer:
    async def once() -> _Answer:
        answer = _answers.decode(await doors.ask(subject, body))
        if isinstance(answer, Problem) and answer.status in (503, 504):
            raise Unavailable(answer.detail, "unknown")
        # The quarantine, too, may not have answered for one of them; then the batch is sent again like any other.
        if isinstance(answer, list) and any(isinstance(one, Problem) and one.status >= 500 for one in answer):
            raise Unavailable("not every fact was taken", "unknown")
        return answer

    return await _patiently(once, patience_s)


async def _patiently(ask: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """What `ask` answers; it is asked again for as long as there is no answer. Raises Unavailable."""
    until, pause = time.monotonic() + patience_s, 0.05
    while True:
        try:
            return await ask()
        except Unavailable:
            if time.monotonic() + pause > until:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, 1.0)
