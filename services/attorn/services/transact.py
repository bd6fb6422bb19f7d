"""The two loops that every service runs: `transact` for commands, `record` for facts.

Both load the stream, judge, append at the version that they judged, and start again when somebody was faster. They
differ in what a broken rule means: a command is refused, a fact is recorded with the breach as a warning.
"""

import asyncio
import hashlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from itertools import chain, count
from math import inf
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from attorn.contracts import codec, door
from attorn.contracts.envelope import SEVERITY_NUMBERS, Entry, Event, Recorded, sequence
from attorn.contracts.escalation import WorkEscalated
from attorn.contracts.ledger import BATCH_MAX, Append, Ledger
from attorn.contracts.refusal import Breach, Conflict, Receipt, Refused, Unavailable
from attorn.contracts.rules import OBSERVED
from attorn.contracts.work import WorkDefined
from attorn.projections.directory import KINDS, Directory
from attorn.services.directory import LiveDirectory
from attorn.services.patience import left, within
from attorn.services.relations import RULES as RELATED
from attorn.services.relations import is_ahead, looks_beyond

ATTEMPTS_MAX: Final = 8
STREAMS_CACHED_MAX: Final = 4_096
IDS_CACHED_MAX: Final = 262_144
"""How many ids all cached streams may hold together, some 500 bytes each: a stream may be as long as it likes."""

CLAIMS_WITHIN_S: Final = 1.0
"""For how long it is waited for a claim that a fact names and that is not known here."""

PRESUMED_MIN: Final = 8
"""How many streams that are not cached are worth a try at presuming that they are new."""

_WHO_THERE_IS: Final = "directory"
"""Beside the streams, whose turn it is to report who and what there is."""

_encoder: Final = msgspec.json.Encoder()

S = TypeVar("S", contravariant=True)
C = TypeVar("C", contravariant=True)


class Context(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a decision may know beside the stream: who asks, what time it is, who and what there is, a fresh id."""

    actor: str
    at: datetime
    directory: Directory
    new_id: str


class Decide(Protocol[S, C]):
    """Translates a command into payloads; none when it is already so. Raises Refused when it cannot be said at all."""

    def __call__(self, state: S, command: C, context: Context, /) -> Sequence[msgspec.Struct]: ...


class Rules(Protocol):
    """What one kind of stream obeys: a module with these is one."""

    @property
    def initial(self) -> Any: ...
    @property
    def state_type(self) -> type[Any]: ...
    def check(self, state: Any, event: Event, directory: Directory, /) -> Iterable[Breach]: ...
    def evolve(self, state: Any, event: Event, /) -> Any: ...
    def attributes(self, state: Any, stream: str, actor: str, directory: Directory, /) -> dict[str, Any]:
        """What the envelope of a decision says beside who and when: `correlationid`, `onbehalfof`."""
        ...


class Command(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A command as it came: `id` is the caller's, so that asking again with it carries out once.

    `within_s` is for how many seconds its author waits, where that is known: nothing is tried for longer. `internal`:
    it comes from a service of ours, which is no participant; no door makes such a command.
    """

    stream: str
    body: msgspec.Struct
    actor: str
    at: datetime
    id: str
    source: str
    traceparent: str | None = None
    within_s: float | None = None
    internal: bool = False

    @property
    def digest(self) -> int:
        """Of what is asked for, so that its id is not taken for that of something else; of this process only."""
        return hash((type(self.body).__name__, _encoder.encode(self.body)))


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher's event as it came: the event, its bytes, and the source that the broker authenticated.

    `resubmitted_by` sent it again, out of quarantine, in the name of the source.
    """

    event: Event
    body: bytes
    source: str
    resubmitted_by: str | None = None

    @property
    def stream(self) -> str:
        return self.event.subject


class Held(msgspec.Struct, frozen=True, gc=False):
    """What a stream holds under an id: where, and the digest of the bytes that its publisher sent.

    `command` is the digest of the command that led to it, where this process carried it out; the log has none.
    """

    position: int
    digest: bytes
    time: datetime
    command: int | None = None


Key: TypeAlias = tuple[str, str, str]
"""Principal, source and id. With the principal, so that nobody can use up the ids of another."""


class Loaded(msgspec.Struct):
    """A stream as folded so far: `version` and `position` are those of its newest event."""

    state: Any
    version: int = 0
    position: int = 0
    event_id: str = ""
    time: datetime = datetime.min
    ids: dict[Key, Held] = {}
    counted: int = 0
    """How many of `ids` the cache has counted."""

    def take(
        self,
        rules: Rules,
        entry: Entry,
        position: int,
        directory: Directory,
        digest: bytes | None = None,
        command: int | None = None,
    ) -> None:
        """Fold in one event that is on the log; the digests are those of `Held`, where they are known.

        Of people, processes and policies, `directory` knows all that was recorded before it.
        """
        if directory.hears(entry.event, position):
            self.state = rules.evolve(self.state, entry.event)
        self._place(entry.event, position, _digest(entry) if digest is None else digest, command)

    def take_own(self, entries: Sequence[Entry], end: int, state: Any, command: Command) -> None:
        """Fold in the events of `command`, which are on the log up to the position `end`; `state` is what they lead to.

        What we say ourselves no publisher can say again: it has no digest.
        """
        self.state, digest = state, command.digest
        for position, entry in enumerate(entries, end - len(entries) + 1):
            self._place(entry.event, position, b"", digest)

    def _place(self, event: Event, position: int, digest: bytes, command: int | None) -> None:
        self.version, self.position = event.version, position
        self.event_id, self.time = event.id, event.time
        self.ids.setdefault((event.authid or "", event.source, event.id), Held(position, digest, event.time, command))

    def carried_out(self, command: Command) -> Receipt | None:
        """The receipt of `command`, when its events are on the log already.

        Raises Refused with `conflict` when its id is known to be another command's.
        """
        if (command.actor, command.source, command.id) not in self.ids:
            return None
        receipt: Receipt | None = None
        for id in chain([command.id], (_later(command.id, number) for number in count(1))):
            held = self.ids.get((command.actor, command.source, id))
            if held is None:
                return receipt
            if held.command is not None and held.command != command.digest:
                detail = f"{command.actor} used the id {command.id!r} before, at position {held.position}, for another"
                raise Refused(Breach(rule="conflict", detail=f"{detail} command; use a new id", field="id"))
            receipt = Receipt(position=held.position, event_id=id, stream=command.stream, time=held.time)
        raise AssertionError("an endless command")


class Streams:
    """The streams that a service works on: loaded from the ledger, cached with their version.

    A stale copy does no harm: the append at its version is refused as a conflict, and it is loaded again. In one
    process the work on one stream is done one after the other, so that only other processes can cause a conflict.
    """

    def __init__(self, ledger: Ledger, kinds: Mapping[str, Rules], directory: LiveDirectory) -> None:
        self.ledger, self.directory = ledger, directory
        self._kinds = kinds
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._ids = 0
        self._mostly_new = True
        # Who works on a stream now, with those who wait for it, in the order in which they came.
        self._turns: dict[str, deque[asyncio.Future[None]] | None] = {}

    def rules(self, stream: str) -> Rules:
        return self._kinds[stream.partition("/")[0]]

    def cached(self, stream: str) -> Loaded | None:
        """The stream as it is cached, if it is."""
        found = self._loaded.get(stream)
        if found is not None:
            self._loaded.move_to_end(stream)
        return found

    async def load(self, stream: str) -> Loaded:
        found = self.cached(stream)
        if found is not None:
            return found
        rules = self.rules(stream)
        loaded = Loaded(rules.initial)
        there = await self.ledger.read(stream)
        if there and stream.partition("/")[0] in KINDS:
            # Whether an event of theirs counts is decided by what was recorded before it, in other streams as well.
            await self.directory.catch_up()
        for recorded in there:
            loaded.take(rules, Entry(recorded.event, recorded.body), recorded.position, self.directory.view)
        self.keep(stream, loaded)
        return loaded

    async def load_all(self, streams: Iterable[str], *, may_presume: bool) -> dict[str, Loaded]:
        """Each of `streams`. With `may_presume`, many that are not cached may be taken to be new without asking.

        Whoever imports a history brings thousands of new streams, and asking for each costs more than recording it. A
        presumption that is wrong does no harm: it is a stale copy, which the append at version 0 finds out.
        """
        cached = {stream: self._loaded.get(stream) for stream in streams}
        missing = [stream for stream, found in cached.items() if found is None]
        loaded = {stream: found for stream, found in cached.items() if found is not None}
        if may_presume and self._mostly_new and len(missing) >= PRESUMED_MIN:
            return loaded | {stream: Loaded(self.rules(stream).initial) for stream in missing}
        found = await asyncio.gather(*map(self.load, missing))
        if len(missing) >= PRESUMED_MIN:
            self._mostly_new = not any(one.version for one in found)
        return loaded | dict(zip(missing, found, strict=True))

    def keep(self, stream: str, loaded: Loaded) -> None:
        """Cache what is known to be on the log."""
        if self._loaded.get(stream) is not loaded:
            self.forget(stream)
            self._loaded[stream] = loaded
            loaded.counted = 0
        self._loaded.move_to_end(stream)
        weight = len(loaded.ids)
        self._ids += weight - loaded.counted
        loaded.counted = weight
        while len(self._loaded) > STREAMS_CACHED_MAX or (self._ids > IDS_CACHED_MAX and len(self._loaded) > 1):
            self.forget(next(iter(self._loaded)))

    def forget(self, stream: str) -> None:
        """Load `stream` again next time: what is cached may not be what is on the log."""
        forgotten = self._loaded.pop(stream, None)
        if forgotten is not None:
            self._ids -= forgotten.counted

    @asynccontextmanager
    async def holding(self, streams: Iterable[str]) -> AsyncIterator[None]:
        """One after the other on each of `streams`; taken in one order, so that no two holders wait for each other."""
        held: list[str] = []
        try:
            for stream in sorted(set(streams)):
                await self.take_turn(stream)
                held.append(stream)
            yield
        finally:
            for stream in held:
                self.end_turn(stream)

    def is_mine(self, stream: str) -> bool:
        """Whether nobody works on `stream`; then it is the caller's until `end_turn`."""
        if stream in self._turns:
            return False
        self._turns[stream] = None
        return True

    async def take_turn(self, stream: str) -> None:
        """Return when nobody else works on `stream`; it is the caller's until `end_turn`.

        Raises Unavailable when that takes longer than the caller waits.
        """
        if self.is_mine(stream):
            return
        waiting = self._turns[stream]
        if waiting is None:
            waiting = self._turns[stream] = deque()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        patience = left(inf)
        try:
            async with asyncio.timeout(None if patience == inf else patience):
                try:
                    await turn
                except asyncio.CancelledError:
                    if turn.done() and not turn.cancelled():
                        self.end_turn(stream)  # it had just come, and nobody is there to take it
                    raise
        except TimeoutError:
            raise Unavailable(f"others were at work on {stream} for all of {patience:.3g} s") from None

    def end_turn(self, stream: str) -> None:
        waiting = self._turns[stream]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._turns[stream]


async def transact(streams: Streams, command: Command, decide: Decide[Any, Any]) -> Receipt:
    """Carry out one command: load, decide, check, append; on a conflict, again.

    Returns the receipt of its last event, the same however often it is asked with the same id, but for its warnings,
    which the first has: what is found and holds nothing up. When it is already so, it is the receipt of the stream's
    newest event, and nothing is recorded.
    Raises Refused with every broken rule, or when its id is another command's, Conflict after ATTEMPTS_MAX lost races,
    Unavailable when the log is.
    """
    if command.within_s is not None:
        with within(command.within_s):
            return await transact(streams, msgspec.structs.replace(command, within_s=None), decide)
    if not streams.is_mine(command.stream):
        await streams.take_turn(command.stream)
    try:
        return await _transact(streams, command, decide)
    finally:
        streams.end_turn(command.stream)


async def _transact(streams: Streams, command: Command, decide: Decide[Any, Any]) -> Receipt:
    stream, rules = command.stream, streams.rules(command.stream)
    directory = streams.directory
    conflict: Conflict | None = None
    is_fresh = False
    # A stream that is not cached is first presumed to be new: most that are asked for first are being begun. If it is
    # not, no harm is done: nobody is refused on a presumption, and an append at version 0 finds out.
    loaded = streams.cached(stream) or Loaded(rules.initial)
    actor = directory.view.participants.get(command.actor)
    if looks_beyond(command.body, stopped=actor is not None and actor.suspended):
        await directory.relations.catch_up()
    for _ in range(ATTEMPTS_MAX):
        receipt = loaded.carried_out(command)
        if receipt is not None:
            return receipt
        entries: Sequence[Entry] = ()
        observed: Sequence[Breach] = ()
        state: Any = None
        refused: Refused | None = None
        try:
            entries, state, observed = _judge(loaded, rules, command, decide, directory.view)
        except Refused as error:
            refused = error
        if not entries and not is_fresh:
            # Nobody is refused, or told that it is so already, on old news: what another process recorded a moment
            # ago, in this stream or of the people in it, may be what is missing. No append would find that out.
            is_fresh = True
            streams.forget(stream)
            _, loaded = await asyncio.gather(directory.catch_up(), streams.load(stream))
            if refused is not None and any(breach.rule in RELATED for breach in refused.breaches):
                await directory.relations.catch_up()
            continue
        if refused is not None:
            raise refused
        if not entries:
            return Receipt(position=loaded.position, event_id=loaded.event_id, stream=stream, time=loaded.time)
        try:
            position = await streams.ledger.append(stream, loaded.version, entries)
        except Conflict as lost:
            streams.forget(stream)
            conflict = lost
            loaded = await streams.load(stream)
            continue
        except BaseException:
            streams.forget(stream)  # whether it was recorded is not known here; the log says
            raise
        loaded.take_own(entries, position, state, command)
        streams.keep(stream, loaded)
        if stream.partition("/")[0] in KINDS:
            # Whoever publishes a policy and then defines work under it finds it in force.
            with suppress(Unavailable):
                await directory.catch_up()
            if not all(directory.view.hears(entry.event, position) for entry in entries):
                streams.forget(stream)  # a system that was given the word lost it this very moment
        return Receipt(
            position=position, event_id=entries[-1].event.id, stream=stream, time=command.at, warnings=tuple(observed)
        )
    assert conflict is not None
    raise conflict


async def record(streams: Streams, facts: Sequence[Fact]) -> list[Receipt | Refused]:
    """Record what happened elsewhere, in order: a receipt for each, with the rules that it broke as warnings.

    A fact that is on the log already, byte for byte, yields its first receipt again, without the warnings: the findings
    have them. Other bytes under the same (`source`, `id`) are not recorded: Refused with `conflict`. Raises Unavailable
    when the log is; then any of the facts may have been recorded, and sending them again tells.
    """
    replies: list[Receipt | Refused] = []
    for part in _parts(facts):
        try:
            replies += await _record(streams, part)
        except Unavailable as late:
            if not replies:
                raise
            raise Unavailable(late.reason, "unknown") from None  # of these nothing may be on the log, of others is
    return replies


def _parts(facts: Sequence[Fact]) -> Iterator[Sequence[Fact]]:
    """`facts` in their order, as many at a time as one append takes.

    An append has each stream once. Who and what there is decides whose word counts, also in the very next fact: what
    is said of that stands on the log in the order in which it was said, whichever streams it is in.
    """
    start, seen, last, says_who_there_is = 0, set[str](), "", False
    for index, fact in enumerate(facts):
        stream = fact.stream
        is_of_directory = not stream.startswith("work/") and stream.partition("/")[0] in KINDS
        # What comes back to a stream would stand there before what was said of others in between.
        is_back = says_who_there_is and stream != last and stream in seen
        if is_back or index - start == BATCH_MAX:
            yield facts[start:index]
            start, says_who_there_is = index, False
            seen.clear()
        seen.add(stream)
        last, says_who_there_is = stream, says_who_there_is or is_of_directory
    if facts:
        yield facts[start:]


async def _record(streams: Streams, facts: Sequence[Fact]) -> list[Receipt | Refused]:
    try:
        return await _record_together(streams, facts)
    except Refused as refused:
        # The log holds one of these ids in another stream. Halving finds which, and costs the others nothing.
        if len(facts) == 1:
            return [refused]
        half = len(facts) // 2
        return await _record(streams, facts[:half]) + await _record(streams, facts[half:])


async def _record_together(streams: Streams, facts: Sequence[Fact]) -> list[Receipt | Refused]:
    names = {fact.stream for fact in facts}
    says_who_there_is = any(name.partition("/")[0] in KINDS for name in names)
    # Two who say at the same time who there is would not know of each other, though one of them was there before.
    async with streams.holding({*names, _WHO_THERE_IS} if says_who_there_is else names):
        for attempt in range(ATTEMPTS_MAX):
            batch = _Batch()
            loaded = await streams.load_all(names, may_presume=attempt == 0)
            for fact in facts:
                batch.admit(fact, loaded[fact.stream])
            # Who and what there is by now is asked for while the facts are on their way, unless they say it themselves:
            # then they are judged by what there was before each of them, as the findings are. What another process says
            # in these very milliseconds no warning knows of; the findings do.
            asking: asyncio.Future[bool] | None = None
            before: Directory | None = None
            if batch.entries and says_who_there_is:
                await streams.directory.catch_up()
                before = streams.directory.view.apart()
            elif batch.entries:
                asking = asyncio.ensure_future(streams.directory.catch_up())
            try:
                ends = await streams.ledger.append_all(batch.appends()) if batch.entries else []
            except Conflict:
                await _abandon(asking)
                for stream in names:
                    streams.forget(stream)
                continue
            except BaseException:
                await _abandon(asking)
                for stream in names:
                    streams.forget(stream)  # whether it was recorded is not known here; the log says
                raise
            try:
                await (asking or streams.directory.catch_up())
            except Unavailable as late:
                for stream in names:
                    streams.forget(stream)
                # They are on the log; only what they broke is not known yet, and asking again tells.
                raise Unavailable(late.reason, "unknown") from None
            known = streams.directory.view.relations
            if any(is_ahead(entry.event.data, known) for entries in batch.entries.values() for entry in entries):
                # A claim of this same batch is known from the log only. For longer no receipt waits: the fold finds.
                with suppress(Unavailable):
                    await streams.directory.relations.catch_up(CLAIMS_WITHIN_S)
            return batch.settle(ends, streams, before)
        raise Unavailable(f"other writers were faster {ATTEMPTS_MAX} times on {min(names)}")


async def _abandon(asking: "asyncio.Future[bool] | None") -> None:
    if asking is not None:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


class _Batch:
    """Facts on their way to the log in one append: what each becomes, and what is answered for it."""

    def __init__(self) -> None:
        self.entries: dict[str, list[Entry]] = {}
        self._loaded: dict[str, Loaded] = {}
        # For each fact a finished answer, or the stream and index of its entry; one entry serves repeated deliveries.
        self._replies: list[Receipt | Refused | tuple[str, int]] = []
        self._admitted: dict[tuple[str, Key], tuple[int, bytes]] = {}

    def admit(self, fact: Fact, loaded: Loaded) -> None:
        stream, event = fact.stream, fact.event
        digest = _digest_of(codec.published(fact.body))
        key = (fact.source, event.source, event.id)
        held = loaded.ids.get(key)
        again = self._admitted.get((stream, key))
        if held is not None:
            same = held.digest == digest
            receipt = Receipt(position=held.position, event_id=event.id, stream=stream, time=held.time)
            self._replies.append(receipt if same else _conflict(fact, f"position {held.position}"))
        elif again is not None:
            self._replies.append((stream, again[0]) if again[1] == digest else _conflict(fact, "this same batch"))
        else:
            entries = self.entries.setdefault(stream, [])
            self._loaded[stream] = loaded
            self._admitted[stream, key] = (len(entries), digest)
            self._replies.append((stream, len(entries)))
            version = loaded.version + len(entries) + 1
            entries.append(codec.stamp(event, fact.body, version, **_attributes(fact)))

    def appends(self) -> list[Append]:
        return [Append(name, self._loaded[name].version, tuple(entries)) for name, entries in self.entries.items()]

    def settle(self, ends: Sequence[int], streams: Streams, before: Directory | None) -> list[Receipt | Refused]:
        """Fold what was recorded into the cached streams, and give each fact its answer.

        With `before`, what there was before them, each is judged by that and by those that stand before it.
        """
        receipts: dict[tuple[str, int], Receipt] = {}
        digests = {(name, index): digest for (name, *_), (index, digest) in self._admitted.items()}
        known = streams.directory.view
        for end, stream in sorted(zip(ends, self.entries, strict=True)):
            rules, loaded, entries = streams.rules(stream), self._loaded[stream], self.entries[stream]
            for index, entry in enumerate(entries):
                position = end - len(entries) + 1 + index
                broken = tuple(rules.check(loaded.state, entry.event, before or known))
                if before is not None and stream.partition("/")[0] in KINDS:
                    before.evolve(Recorded(position, entry.event.time, entry.event, entry.body))
                loaded.take(rules, entry, position, known, digests[stream, index])
                receipts[stream, index] = Receipt(
                    position=position, event_id=entry.event.id, stream=stream, time=entry.event.time, warnings=broken
                )
            streams.keep(stream, loaded)
        return [receipts[reply] if isinstance(reply, tuple) else reply for reply in self._replies]


def _judge(
    loaded: Loaded, rules: Rules, command: Command, decide: Decide[Any, Any], directory: Directory
) -> tuple[Sequence[Entry], Any, Sequence[Breach]]:
    """What carrying out `command` would record, the state that it leads to, and what is observed and holds nothing up.

    Raises Refused with every rule that it would break, Unreadable when nobody could read what would be recorded.
    """
    actor, id = command.actor, command.id
    if not command.internal and not directory.is_here(actor):
        state = "has left" if directory.kind(actor) is not None else "is not registered"
        raise Refused(Breach(rule="unregistered-actor", detail=f"{actor} {state}; register who acts first"))
    state = loaded.state
    payloads = decide(state, command.body, Context(actor=actor, at=command.at, directory=directory, new_id=id))
    if not payloads:
        return (), state, ()
    attributes = rules.attributes(state, command.stream, actor, directory)
    correlation, on_behalf_of = attributes.get("correlationid"), attributes.get("onbehalfof")
    authtype = "system" if command.internal else _authtype(actor, directory)
    entries: list[Entry] = []
    breaches: list[Breach] = []
    observed: list[Breach] = []
    for number, payload in enumerate(payloads):
        if isinstance(payload, WorkDefined) and payload.parent_id is not None:
            # What begins as a part belongs to the root of the whole from its first event on.
            correlation = directory.relations.root(payload.parent_id)
        severity = payload.severity if isinstance(payload, WorkEscalated) else None
        event = codec.ENVELOPES[type(payload)](
            specversion="1.0",
            data=payload,
            # The first has the command's id, the others derive theirs, so that a repeated command is recognised.
            id=_later(id, number) if number else id,
            causationid=id if number else None,
            source=command.source,
            subject=command.stream,
            time=command.at,
            sequence=sequence(loaded.version + number + 1),
            authid=actor,
            authtype=authtype,
            onbehalfof=on_behalf_of,
            correlationid=correlation,
            traceparent=command.traceparent,
            severitynumber=SEVERITY_NUMBERS[severity] if severity is not None else None,
            severitytext=severity,
        )
        for breach in rules.check(state, event, directory):
            (observed if breach.rule in OBSERVED else breaches).append(breach)
        state = rules.evolve(state, event)
        entries.append(Entry(event, codec.encode(event)))
    if breaches:
        raise Refused(*breaches)
    return [Entry(door.outgoing(entry.body), entry.body) for entry in entries], state, observed


def _later(id: str, number: int) -> str:
    return f"{id}.{number}"


def _authtype(id: str, directory: Directory) -> Literal["user", "service_account", "system"]:
    match directory.kind(id):
        case "human":
            return "user"
        case "system":
            return "system"
        case _:
            return "service_account"


def _attributes(fact: Fact) -> dict[str, Any]:
    again = {"resubmittedby": fact.resubmitted_by} if fact.resubmitted_by is not None else {}
    return {"authid": fact.source, "authtype": "system", **again, **_severity(fact.event.data)}


def _severity(payload: Any) -> dict[str, Any]:
    if not isinstance(payload, WorkEscalated):
        return {}
    return {"severitynumber": SEVERITY_NUMBERS[payload.severity], "severitytext": payload.severity}


def _conflict(fact: Fact, where: str) -> Refused:
    detail = f"{fact.event.source} used the id {fact.event.id!r} before, at {where}, for other bytes; use a new id"
    return Refused(Breach(rule="conflict", detail=detail, field="id"))


def _digest(entry: Entry) -> bytes:
    return _digest_of(codec.published_part(entry))


def _digest_of(published: bytes) -> bytes:
    return hashlib.blake2b(published, digest_size=16).digest()
