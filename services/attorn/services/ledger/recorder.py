"""The ledger on a recorder of the eventsourcing library: objects in memory (POPO), SQLite, PostgreSQL.

For a log without a broker: in a notebook, a test, a place where there is a database already. What is safe, and when:
an append is one insert of the recorder, all or nothing, and holds the next row of a chain that every append continues
("@log"). So of two that append at once, in one process or in two, one continues the chain and the other looks again.

The rows and their fields here are the stored format. Add a field with a default at the end; never rename, never remove.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
from eventsourcing.persistence import ApplicationRecorder, IntegrityError, PersistenceError, StoredEvent
from eventsourcing.popo import POPOApplicationRecorder
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from attorn.contracts import subjects
from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.ledger import Append, Page
from attorn.contracts.refusal import Conflict, Refused, Unavailable
from attorn.services.ledger.follow import LogDamaged
from attorn.services.ledger.identity import fact_id, require_appendable, require_distinct, used_before
from attorn.services.ledger.lookup import at, recorded
from attorn.services.ledger.outcome import is_begun

PAGE: Final = 2_000
POLL_S: Final = 0.1
"""How often a follower that has caught up looks for what other processes have appended."""

TRIES_MAX: Final = 100
"""How often an append looks again after somebody else was faster; each time somebody else has got on."""

LOG: Final = "@log"
FACT: Final = "@fact/"
_NOWHERE: Final = 2**63
_SPECIAL_MAX: Final = 2
"""In front of an event there may be the chain's row and that of its fact, no more."""

T = TypeVar("T")


class _Link(msgspec.Struct, frozen=True, array_like=True):
    """The newest row of the chain: the log's last position, of each kind how many events and the last position."""

    end: int = 0
    counts: dict[str, int] = {}
    lasts: dict[str, int] = {}


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """An event's place and bytes; `counts` is how many events of each kind the log has up to here."""

    position: int
    nanoseconds: int
    counts: dict[str, int]
    body: bytes


class _Fact(msgspec.Struct, frozen=True, array_like=True):
    """Where the log holds a fact's id."""

    position: int
    stream: str


class _Seen(NamedTuple):
    """How far a follower is: the next notification to look at, the last position, the events of each kind so far."""

    next_id: int
    position: int
    counts: Mapping[str, int]


_encode: Final = msgspec.msgpack.Encoder().encode
_link: Final = msgspec.msgpack.Decoder(_Link)
_place: Final = msgspec.msgpack.Decoder(_Place)
_fact: Final = msgspec.msgpack.Decoder(_Fact)


class RecorderLedger:
    """Appends and reads over `recorder`, which keeps strings as ids and nothing but this log."""

    def __init__(self, recorder: ApplicationRecorder) -> None:
        self._recorder = recorder
        self._appending = asyncio.Lock()
        self._grown = asyncio.Event()

    async def append(self, stream: str, expected: int, entries: Sequence[Entry]) -> int:
        [position] = await self.append_all([Append(stream, expected, tuple(entries))])
        return position

    async def append_all(self, appends: Sequence[Append]) -> list[int]:
        require_appendable(appends)
        require_distinct(appends)
        for append in appends:
            subjects.event(append.stream)
        async with self._appending:
            ends = await _in_thread(lambda: self._append(appends))
        self._grown.set()
        self._grown = asyncio.Event()
        return ends

    async def read(self, stream: str) -> Sequence[Recorded]:
        subjects.event(stream)
        return await _in_thread(lambda: [_recorded(stream, place) for place in self._places(stream)])

    async def last(self, kind: str = "") -> int:
        subjects.events(kind)
        _, link = await _in_thread(self._newest)
        return link.lasts.get(kind, 0) if kind else link.end

    async def follow(self, after: int = 0, kinds: Sequence[str] = ()) -> AsyncGenerator[Page, None]:
        for kind in kinds:
            subjects.events(kind)
        seen, is_first = await _in_thread(lambda: self._start(after)), True
        while True:
            grown = self._grown
            found, seen, pending = await _in_thread(lambda seen=seen: self._page(seen, kinds))  # type: ignore[misc]
            if found or (is_first and not pending):
                yield Page(found, pending)
            is_first = is_first and not found and bool(pending)
            if not pending:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await grown.wait()

    def close(self) -> None:
        """Close what the recorder holds open."""
        if (datastore := getattr(self._recorder, "datastore", None)) is not None:
            datastore.close()

    def _append(self, appends: Sequence[Append]) -> list[int]:
        for _ in range(TRIES_MAX):
            try:
                return self._try(appends)
            except IntegrityError:
                # Somebody else was faster, or it was our own insert, whose answer was lost and which the library sent
                # again. Nothing of this try is recorded: the next one looks what is.
                continue
        raise Unavailable(f"others were faster {TRIES_MAX} times")

    def _try(self, appends: Sequence[Append]) -> list[int]:
        number, link = self._newest()
        # The ids before the places: of a rival who is recorded between the two, the place tells.
        held = self._held(entry for append in appends for entry in append.entries)
        standing = [self._standing(append) for append in appends]
        rest = [
            (append, entry)
            for append, place in zip(appends, standing, strict=True)
            for entry in append.entries[len(place) :]
        ]
        if not rest:
            return [place[-1].position for place in standing]
        if breaches := [
            used_before(entry.event, f"at position {holder.position} in {holder.stream}")
            for _, entry in rest
            if (holder := held.get(fact_id(entry.event) or ""))
        ]:
            raise Refused(*breaches)
        now = time.time_ns()
        position, counts, lasts = link.end, dict(link.counts), dict(link.lasts)
        rows: list[StoredEvent] = []
        ends = {append.stream: place[-1].position for append, place in zip(appends, standing, strict=True) if place}
        for append, entry in rest:
            position += 1
            kind = subjects.stream(append.stream).kind
            counts[kind] = counts.get(kind, 0) + 1
            lasts[kind] = ends[append.stream] = position
            if id := fact_id(entry.event):
                rows.append(StoredEvent(FACT + id, 1, "@fact", _encode(_Fact(position, append.stream))))
            place = _encode(_Place(position, now, counts, entry.body))
            rows.append(StoredEvent(append.stream, entry.event.version, entry.event.type, place))
        chained = StoredEvent(LOG, number + 1, LOG, _encode(_Link(position, counts, lasts)))
        self._recorder.insert_events([chained, *rows])
        return [ends[append.stream] for append in appends]

    def _standing(self, append: Append) -> list[Recorded]:
        """What of the append stands at its place already. Raises Conflict when something else does."""
        end = append.expected + len(append.entries)
        places = self._places(append.stream, gt=append.expected, lte=end)
        found = [_recorded(append.stream, place) for place in places]
        newest = self._recorder.select_events(append.stream, desc=True, limit=1)
        version = newest[0].originator_version if newest else 0
        if is_begun(found, append.entries) and version >= append.expected:
            # What was appended behind a whole append is no matter; behind a part of one, it is in the way of the rest.
            if len(found) == len(append.entries) or version == append.expected + len(found):
                return found
        raise Conflict(append.stream, append.expected, version)

    def _held(self, entries: Iterable[Entry]) -> dict[str, _Fact]:
        """Those of the facts' ids that the log holds already, and where."""
        ids = [id for entry in entries if (id := fact_id(entry.event))]
        return {id: _fact.decode(row.state) for id in ids for row in self._recorder.select_events(FACT + id)}

    def _newest(self) -> tuple[int, _Link]:
        rows = self._recorder.select_events(LOG, desc=True, limit=1)
        return (rows[0].originator_version, _link.decode(rows[0].state)) if rows else (0, _Link())

    def _places(self, stream: str, *, gt: int | None = None, lte: int | None = None) -> list[_Place]:
        return [_place.decode(row.state) for row in self._recorder.select_events(stream, gt=gt, lte=lte)]

    def _start(self, after: int) -> _Seen:
        """Where a follower begins. Ids of notifications have gaps and rows between, and only ever grow."""
        _, link = self._newest()
        if link.end < after:
            finding = f"the log ends at position {link.end}, and its reader is at {after} already"
            raise LogDamaged(after, link.end, finding)
        if after == 0:
            return _Seen(1, 0, {})
        ids = range(after, (self._recorder.max_notification_id() or 0) + 1)
        id = ids[bisect_left(ids, after, key=self._position_from)]
        rows = self._recorder.select_notifications(id, 1 + _SPECIAL_MAX)
        [place, *_] = [_place.decode(row.state) for row in rows if _is_event(row)]
        return _Seen(id, after, place.counts)

    def _position_from(self, id: int) -> int:
        rows = self._recorder.select_notifications(id, 1 + _SPECIAL_MAX)
        return next((_place.decode(row.state).position for row in rows if _is_event(row)), _NOWHERE)

    def _page(self, seen: _Seen, kinds: Sequence[str]) -> tuple[list[Recorded], _Seen, int]:
        """At most PAGE events of those kinds, how far they reach, and how many more there are."""
        found: list[Recorded] = []
        next_id, position, counts = seen
        is_more = True
        while is_more and not found:
            rows = self._recorder.select_notifications(next_id, PAGE)
            is_more = len(rows) == PAGE
            for row in rows:
                next_id = row.id + 1
                if not _is_event(row):
                    continue
                place = _place.decode(row.state)
                if place.position <= position:
                    continue
                if place.position != position + 1:
                    finding = f"the log has no event at position {position + 1}, where its reader goes on, but at "
                    raise LogDamaged(position, place.position, f"{finding}{place.position}")
                position, counts = place.position, place.counts
                stream = str(row.originator_id)
                if not kinds or stream.partition("/")[0] in kinds:
                    found.append(_recorded(stream, place))
        _, link = self._newest()
        pending = sum(link.counts.get(kind, 0) - counts.get(kind, 0) for kind in set(kinds or link.counts))
        return found, _Seen(next_id, position, counts), pending


def in_memory() -> RecorderLedger:
    """Objects of this process, gone with it."""
    return RecorderLedger(POPOApplicationRecorder())


def on_sqlite(path: Path) -> RecorderLedger:
    """A file, made where it is missing."""
    recorder = SQLiteApplicationRecorder(SQLiteDatastore(str(path), originator_id_type="text"))
    recorder.create_table()
    return RecorderLedger(recorder)


def on_postgres(url: str, *, table: str = "attorn_log", patience: float = 10.0) -> RecorderLedger:
    """A table, made where it is missing; `url` as libpq has it: postgresql://user:password@host:port/database.

    `patience`: how long a database that is not there is waited for, in seconds.
    """
    from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
    from psycopg.conninfo import conninfo_to_dict

    said = {"dbname": "attorn", "host": "localhost", "port": "5432", "user": "attorn", "password": ""}
    said |= {name: str(value) for name, value in conninfo_to_dict(url).items() if name in said}
    recorder = PostgresApplicationRecorder(
        # The library tries ten times.
        PostgresDatastore(**said, connect_timeout=patience / 10, pool_size=2, originator_id_type="text"),  # type: ignore[arg-type]
        events_table_name=table,
    )
    recorder.create_table()
    return RecorderLedger(recorder)


async def _in_thread(work: Callable[[], T]) -> T:
    """The library waits for its database; the event loop does not."""
    try:
        return await asyncio.to_thread(work)
    except PersistenceError as error:
        # What the library could not do may have been done by the database: asking again with the same entries tells.
        raise Unavailable(f"the database of the log: {error}", "unknown") from error


def _is_event(row: StoredEvent) -> bool:
    return not str(row.originator_id).startswith("@")


def _recorded(stream: str, place: _Place) -> Recorded:
    return recorded(place.position, at(place.nanoseconds), stream, place.body)
