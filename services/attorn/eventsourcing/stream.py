"""One JetStream stream of an application: made where it is missing, read in order, appended to all or nothing.

What is safe, and when: the first message of each subject in an append carries the position that its author knew to be
the subject's last (the guard). So an append is stored there or nowhere, however often it is sent and however late it
arrives, and reading the place afterwards tells for certain whether it was ours that got there.
"""

import asyncio
import itertools
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from eventsourcing.persistence import IntegrityError, OperationalError, ProgrammingError

from attorn.contracts.ledger import BATCH_MAX
from attorn.contracts.refusal import Unavailable
from attorn.eventsourcing import stored
from attorn.eventsourcing.datastore import JetStreamDatastore
from attorn.eventsourcing.stored import Head
from attorn.services.ledger.follow import Source, pages
from attorn.services.ledger.jetstream import BATCHES_MAX, GUARD
from attorn.services.ledger.lookup import Kept, Store
from attorn.services.ledger.outcome import acknowledged
from attorn.services.ledger.wire import Error, Silent, Undone

HEADS_MAX: Final = 65_536
"""Of how many subjects the newest version is remembered."""

NAME_IN_USE: Final = 10058

T = TypeVar("T")

_SECOND: Final = 1_000_000_000
# Without these, events would be lost or an append could not be guarded: a stream that is otherwise is refused.
_REQUIRED: Final[dict[str, Any]] = {
    "retention": "limits",
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "allow_direct": True,
    "allow_atomic": True,
}


class Message(NamedTuple):
    """One message of a stream, with its place there."""

    position: int
    subject: str
    body: bytes


class Draft(NamedTuple):
    """One message to append."""

    subject: str
    body: bytes


class _Info(msgspec.Struct, frozen=True):
    config: dict[str, Any] = {}
    error: Error | None = None


class Stream:
    """`last_only`: keep the newest message of each subject, for what is no history."""

    def __init__(
        self,
        datastore: JetStreamDatastore,
        name: str,
        *,
        storage: Literal["file", "memory"] = "file",
        replicas: int = 1,
        last_only: bool = False,
    ) -> None:
        self.datastore = datastore
        self.name = name
        self.subjects = stored.subjects(name)
        self._wanted: dict[str, Any] = _REQUIRED | {
            "subjects": [self.subjects],
            "max_msgs_per_subject": 1 if last_only else -1,
        }
        # An operator may change these later.
        self._initial: dict[str, Any] = {
            "storage": storage,
            "num_replicas": replicas,
            "discard": "new" if not last_only else "old",
            "deny_delete": not last_only,
            "deny_purge": not last_only,
            "duplicate_window": _SECOND // 10,
        }
        self._store = Store(datastore.wire, name, datastore.timeout)
        self._heads: OrderedDict[str, Head] = OrderedDict()
        self._end = 0
        self._batches = asyncio.Semaphore(BATCHES_MAX)
        self._batch_ids = (f"{secrets.token_urlsafe(6)}.{number}" for number in itertools.count(1))

    async def make(self) -> None:
        """Raises OperationalError when there is another stream of that name, or JetStream refuses."""
        config = {"name": self.name} | self._wanted | self._initial
        made = await self._api(f"STREAM.CREATE.{self.name}", config)
        if made.error is not None and made.error.err_code == NAME_IN_USE:
            await self.check()
        elif made.error is not None:
            raise OperationalError(f"stream {self.name}: {made.error.description}")

    async def check(self) -> None:
        """Raises OperationalError when the stream is not there, or would lose events."""
        found = await self._api(f"STREAM.INFO.{self.name}", None)
        if found.error is not None:
            raise OperationalError(f"stream {self.name}: {found.error.description}")
        for setting, should in self._wanted.items():
            if (value := found.config.get(setting, type(should)())) != should:
                raise OperationalError(f"stream {self.name}: {setting} is {value} and must be {should}")

    async def read(self, subject: str, *, after: int = 0, limit: int | None = None, up_to: int = 0) -> list[Message]:
        """The messages of `subject` behind the position `after`, at most `limit`.

        Direct Get may be answered by a replica that is behind; what is missing up to the position `up_to`, where a
        message is known to be, is asked of the leader.
        """
        found = await self._patiently(partial(self._store.read, subject, after=after, limit=limit, up_to=up_to))
        return list(map(_message, found))

    async def last(self, subject: str) -> Message | None:
        """The newest message of `subject`, a wildcard perhaps, as the leader has it."""
        kept = await self._patiently(lambda: self._store.leader_newest(subject))
        return _message(kept) if kept else None

    async def follow(self, subject: str, after: int) -> AsyncGenerator[list[Message], None]:
        """The messages of `subject` behind the position `after`, and then as they come.

        Raises Unavailable when the connection is closed for good, or not permitted to read.
        """
        source = Source(stream=self.name, filters=[subject])
        datastore = self.datastore
        async with aclosing(pages(datastore.nc, datastore.wire, source, after, _delivered)) as found:
            async for page, _ in found:
                yield page

    @property
    def end(self) -> int:
        """The last position that is known here; the stream may have gone on."""
        return self._end

    def believed(self, subject: str) -> Head | None:
        """What is remembered of a subject; when it is wrong, the guard finds out."""
        return self._heads.get(subject)

    async def head(self, subject: str) -> Head:
        last = await self.last(subject)
        if last is None:
            self._heads.pop(subject, None)
            return Head(0, 0, 0)
        return self.remember(last)

    def remember(self, message: Message) -> Head:
        line = stored.decode(message.body)
        head = Head(line.version, line.newest, message.position)
        known = self._heads.get(message.subject)
        if known is not None and known.position > head.position:
            return known
        self._heads[message.subject] = head
        self._heads.move_to_end(message.subject)
        if len(self._heads) > HEADS_MAX:
            self._heads.popitem(last=False)
        self._end = max(self._end, message.position)
        return head

    async def append(self, drafts: Sequence[Draft], guards: Mapping[str, int]) -> list[int]:
        """Store all of `drafts`, or nothing; return their positions.

        `guards` says of each subject at which position its last message must be. Raises IntegrityError when a
        subject has moved on, Unavailable when it stays unknown what became of it.
        """
        if len(drafts) > BATCH_MAX:
            raise ProgrammingError(f"{len(drafts)} messages in one insert; an atomic batch holds {BATCH_MAX}")
        try:
            if len(drafts) == 1:
                placed = await self._append_patiently(drafts, dict(guards))
            else:
                async with self._batches:
                    placed = await self._append_patiently(drafts, dict(guards))
        except BaseException:
            for subject in guards:
                self._heads.pop(subject, None)
            raise
        for draft, position in zip(drafts, placed, strict=True):
            self.remember(Message(position, draft.subject, draft.body))
        return placed

    async def _append_patiently(self, drafts: Sequence[Draft], guards: dict[str, int]) -> list[int]:
        now = asyncio.get_running_loop().time
        until, pause = now() + self.datastore.patience, 0.0
        placed: dict[int, int] = {}
        is_tried = in_doubt = False
        while True:
            try:
                self.datastore.require_connected()
                if is_tried:
                    await self._look(drafts, guards, placed)
                # Nearly always all of it or nothing. A batch that met a full disk may be there in part (2.15.1), and
                # is completed.
                rest = [number for number in range(len(drafts)) if number not in placed]
                if rest:
                    is_tried = True
                    last = await self._publish([drafts[number] for number in rest], guards)
                    placed.update(zip(rest, range(last - len(rest) + 1, last + 1), strict=True))
                return [placed[number] for number in range(len(drafts))]
            except Undone as undone:
                reason = str(undone)
                if undone.is_final:
                    break
            except (Silent, Unavailable) as silent:
                in_doubt, reason = in_doubt or isinstance(silent, Silent), str(silent)
            if now() + pause > until:
                break
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, 0.01), 0.5)
        if in_doubt:
            raise Unavailable(f"{reason}; whether the events were recorded is not known", "unknown")
        raise Unavailable(reason)

    async def _look(self, drafts: Sequence[Draft], guards: dict[str, int], placed: dict[int, int]) -> None:
        """Find what an earlier try of ours has stored. Raises IntegrityError when somebody else's is in its place."""
        for subject in guards:
            for number, draft in enumerate(drafts):
                if number in placed or draft.subject != subject:
                    continue
                found = await self._store.next(subject, guards[subject])
                if found is None:
                    break
                if found.data != draft.body:
                    raise IntegrityError(f"{subject} has moved on: somebody else's is at position {found.seq}")
                placed[number] = guards[subject] = found.seq

    async def _publish(self, drafts: Sequence[Draft], guards: Mapping[str, int]) -> int:
        """The position of the last. Raises Undone, Silent."""
        headers: list[dict[str, str]] = [{} for _ in drafts]
        guarded: set[str] = set()
        for draft, its_headers in zip(drafts, headers, strict=True):
            # The server takes no second guard on a subject within a batch; the first one's holds for all of it.
            if draft.subject not in guarded:
                guarded.add(draft.subject)
                its_headers[GUARD] = str(guards[draft.subject])
        if len(drafts) > 1:
            batch = next(self._batch_ids)
            for number, its_headers in enumerate(headers, 1):
                its_headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            headers[-1]["Nats-Batch-Commit"] = "1"
        messages = [(draft.subject, draft.body, its) for draft, its in zip(drafts, headers, strict=True)]
        *before, (subject, body, last) = messages
        timeout = self.datastore.timeout
        [answer] = await self.datastore.wire.ask(subject, body, last, timeout=timeout, before=before)
        return acknowledged(answer)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        now = asyncio.get_running_loop().time
        until, pause = now() + self.datastore.patience, 0.01
        while True:
            try:
                self.datastore.require_connected()
                return await ask()
            except (Silent, Undone, Unavailable) as why:
                is_final = self.datastore.nc.is_closed or (isinstance(why, Undone) and why.is_final)
                if is_final or now() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)

    async def _api(self, verb: str, question: Mapping[str, Any] | None) -> _Info:
        self.datastore.require_connected()
        return await self.datastore.wire.ask_json(f"$JS.API.{verb}", question, _Info, timeout=self.datastore.timeout)


def _message(kept: Kept) -> Message:
    return Message(kept.seq, kept.subject, kept.data)


def _delivered(position: int, nanoseconds: int, subject: str, body: bytes) -> Message:
    return Message(position, subject, body)
