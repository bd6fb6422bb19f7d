"""Visibility: what waits for somebody, by deadline."""

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from attorn.contracts.ids import Timestamp
from attorn.contracts.participant import Covers
from attorn.projections import board, inbox
from attorn.projections.directory import Directory
from attorn.projections.fold import Rows
from attorn.projections.lifecycle import ENDED
from attorn.projections.questions.paging import Limit, last_recorded_at, marks

Kind: TypeAlias = Literal[
    "review", "input", "decision", "escalation", "handover", "accountability", "delegation", "failure"
]


class AskInbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What waits for `who`. `at`: for whom they stand in at that time; by default, when the last event was recorded."""

    who: str
    kind: Kind | None = None
    at: Timestamp | None = None
    after: str = ""
    limit: Limit = 50


class Waiting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that waits. `because` says for whom it is meant, where that is another, or a role."""

    kind: str
    work: str
    id: str
    text: str
    position: int
    since: datetime
    state: str
    priority: str
    actions: tuple[str, ...]
    due_at: datetime | None = None
    title: str | None = None
    process: str | None = None
    asked_by: str | None = None
    claimed_by: str | None = None
    because: str | None = None


class Inbox(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of what waits for somebody: the earliest deadline first, then what has waited longest.

    A page may be shorter than `limit` and still have a `next`: no more is looked at for one page than is reasonable.
    """

    who: str
    name: str
    position: int
    waiting: tuple[Waiting, ...] = ()
    next: str | None = None
    problem: str | None = None


def waits(rows: Rows, directory: Directory, asked: AskInbox) -> Inbox:
    """What waits for a participant: what is theirs, what a role of theirs is asked, and what they stand in for."""
    name = directory.name(asked.who)
    if not directory.is_here(asked.who):
        problem = f"{asked.who} is not a participant who is here"
        return Inbox(who=asked.who, name=name, position=rows.position, problem=problem)
    own = _Own(directory, asked.who, asked.at or last_recorded_at(rows) or _NEVER)
    things: dict[str, _Thing] = {}
    in_turn = _by_turn(rows, own, asked.kind, asked.after, asked.limit, things)
    found: list[tuple[str, Waiting]] = []
    looked_at, end = 0, None
    while end is None and len(found) <= asked.limit:
        some = list(islice(in_turn, min(asked.limit + 1 - len(found), _SOME)))
        if not some:
            break
        looked_at += len(some)
        _read(rows, things, [key for _, key in some if key not in things])
        items = _items(rows, [things[key] for _, key in some])
        for turn, key in some:
            thing = things[key]
            item = items.get(thing.work)
            because = own.concerns(thing, item) if item is not None and _still(thing, item) else None
            if item is not None and because is not None:
                found.append((turn, _waiting(thing, item, because if because != asked.who else None)))
        if looked_at >= _LOOKED_AT_MAX:
            end = some[-1][0]
    page = found[: asked.limit]
    return Inbox(who=asked.who, name=name, position=rows.position, waiting=tuple(each for _, each in page),
                 next=page[-1][0] if len(found) > asked.limit else end)  # fmt: skip


class _Own:
    """Whom somebody acts for, besides themselves: as one of a team, a role's holder, a successor, a substitute."""

    def __init__(self, directory: Directory, who: str, at: datetime) -> None:
        self._directory, self._who, self._at = directory, who, at
        self._roles = {f.value.role for f in directory.held.get(who, ()) if f.value.granted}
        self._stands_in: dict[str, set[Covers]] = {}
        self._succeeded: dict[str, str | None] = {}
        for id, other in directory.participants.items():
            if other.left:
                self._succeeded[id] = successor = directory.successor(id)
                if successor == who:
                    self._stands_in[id] = {"review", "escalation", "accountability"}
            elif other.absences and id != who:
                covered: set[Covers] = {what for what in _COVERS if directory.substitute(id, what, at) == who}
                if covered:
                    self._stands_in[id] = covered
        self._persons = (who, *self._stands_in)
        self._teams = {id: directory.teams_of(id) for id in self._persons}

    def addresses(self, rows: Rows) -> list[str]:
        """Under what everything is addressed that may be theirs."""
        names = [*self._persons, *sorted(self._roles), *(team for teams in self._teams.values() for team in teams)]
        for id in self._stands_in:
            names += sorted({f.value.role for f in self._directory.held.get(id, ()) if f.value.granted})
        found = dict.fromkeys(names)
        groups: dict[str, None] = {}
        for name in found:
            within = (f"member/{name}/", f"member/{name}0")
            for (key,) in rows.values(inbox.Row, ("key",), "key > ? AND key < ?", within):
                groups[key.rpartition("/")[2]] = None
        return [*found, *groups]

    def answered(self, rows: Rows) -> list[str | None]:
        """The names on items for which they, or whom they stand in for, may answer.

        Those are the names that lead to one of them; and where one of them stands in for nobody, as the owner of a
        process or as a custodian, also those that lead to nobody, and no name at all.
        """
        directory, persons = self._directory, set(self._persons)
        found: list[str | None] = [id for id in self._persons if directory.is_person(id)]
        found += [id for id, successor in self._succeeded.items() if successor in persons]
        if persons & self._answering_for_nobody():
            known = rows.values(inbox.Row, ("key",), "key > 'named/' AND key < 'named0'")
            for (key,) in known:
                who = directory.participants.get(key[6:])
                if (who is None or who.left or who.kind != "human") and directory.successor(key[6:]) is None:
                    found.append(key[6:])
            found.append(None)
        return found

    def _answering_for_nobody(self) -> set[str | None]:
        """Who stands in where nobody is named who is here: the owners of processes, and the custodians."""
        directory = self._directory
        owners = (process.owner for id in directory.processes if (process := directory.process(id)) is not None)
        custodians = (custodian for id in directory.sources if (custodian := directory.custodian(id)) is not None)
        leads = self._succeeded
        return {directory.answerable(None).person, *(leads.get(id, id) for id in (*owners, *custodians))}

    def concerns(self, thing: "_Thing", item: "_Item") -> str | None:
        """To whom it is addressed, a participant or a role, that makes a thing theirs; None when nothing does."""
        if self._who in (thing.excluded or ()):
            return None
        if thing.claimed_by is not None:
            mine = thing.claimed_by == self._who or self._covers(thing.claimed_by, thing)
            return thing.claimed_by if mine else None
        addressees = thing.to if thing.to is not None else (thing.addressed or "",)
        return next((one for one in addressees if self._means(one, thing, item)), None)

    def _means(self, one: str, thing: "_Thing", item: "_Item") -> bool:
        if one == self._who or self._covers(one, thing):
            return True
        if one == inbox.ANSWERING:
            answer = self._directory.answerable(item.named, item.process, item.source)
            return answer.person == self._who or self._covers(answer.person or "", thing)
        persons = [id for id in self._persons if id == self._who or self._covers(id, thing)]
        if any(one in self._teams[id] for id in persons):
            return True
        scope = f"process/{item.process}"
        return any(
            self._directory.holds(id, one, "", at=self._at) or self._directory.holds(id, one, scope, at=self._at)
            for id in persons
        )

    def _covers(self, id: str, thing: "_Thing") -> bool:
        covered = self._stands_in.get(id)
        if covered is None:
            return False
        what: Covers = (
            "review" if thing.kind == "review" else "escalation" if thing.kind == "escalation" else "accountability"
        )
        return what in covered


_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_COVERS: Final[tuple[Covers, ...]] = ("review", "escalation", "accountability")
_SOME: Final = 64
_LOOKED_AT_MAX: Final = 512
"""How many things are looked at for one page, to find those that still wait, and for this participant."""

_InTurn: TypeAlias = tuple[str, str]
"""A turn, and the key of what has it."""


class _Thing(NamedTuple):
    """What a page shows of a thing, and what it takes to find out whose it is."""

    turn: str
    key: str
    kind: Kind
    addressed: str | None
    work: str
    id: str
    position: int
    time: datetime
    due_at: datetime | None
    text: str
    asked_by: str | None
    claimed_by: str | None
    to: tuple[str, ...] | None
    excluded: tuple[str, ...] | None


class _Item(NamedTuple):
    """What a page shows of a work item, and what it takes to find out who answers."""

    key: str
    title: str | None
    state: str
    process: str | None
    priority: str
    named: str | None
    source: str | None
    kept: board.Kept | None = None


def _by_turn(
    rows: Rows, own: _Own, kind: str | None, after: str, limit: int, things: dict[str, _Thing]
) -> Iterator[_InTurn]:
    """What may be theirs, in turn, each once: all under one address, or under one name, is read from its own place.

    What has been read of it on the way is in `things`.
    """
    addresses = own.addresses(rows)
    names = own.answered(rows) if kind in (None, "decision", "escalation", "failure") else []
    # Most have little: each begins with its share of the page, and is then read in larger steps.
    share = 8 + limit // (len(addresses) + len(names))
    ways = [_addressed(rows, address, kind, after, share, limit, things) for address in addresses]
    ways += [_answered(rows, name, kind, after, share, limit) for name in names]
    last = ""
    for one in heapq.merge(*ways) if len(ways) > 1 else ways[0]:
        if one[1] != last:
            last = one[1]
            yield one


def _addressed(
    rows: Rows, to: str, kind: str | None, behind: str, size: int, limit: int, things: dict[str, _Thing]
) -> Iterator[_InTurn]:
    narrowed, more = (" AND kind = ?", (kind,)) if kind is not None else ("", ())
    # Who is addressed together with others has a row as their member, which has no turn.
    where = f"addressed = ? AND turn > ?{narrowed}"
    while True:
        page = list(map(_Thing._make, rows.values(inbox.Row, _Thing._fields, where, (to, behind, *more), "turn", size)))
        things |= {thing.key: thing for thing in page}
        yield from [(thing.turn, thing.key) for thing in page]
        if len(page) < size:
            return
        behind, size = page[-1].turn, min(2 * size, limit + 1)


def _answered(rows: Rows, named: str | None, kind: str | None, after: str, size: int, limit: int) -> Iterator[_InTurn]:
    under = inbox.answering(named)
    # The keys of one turn go on with a slash, which `0` is next to.
    behind, end, begin = f"{under}{after}0" if after else under, f"{under}\x7f", len(under)
    while True:
        page = rows.values(inbox.Row, ("key",), "key > ? AND key < ?", (behind, end), "key", size)
        for (key,) in page:
            turn, _, thing = key[begin:].partition("/")
            if kind is None or thing.split("/")[1] == kind:
                yield turn, thing
        if len(page) < size:
            return
        behind, size = page[-1][0], min(2 * size, limit + 1)


def _read(rows: Rows, things: dict[str, _Thing], keys: list[str]) -> None:
    if keys:
        for values in rows.values(inbox.Row, _Thing._fields, f"key IN ({marks(keys)})", keys):
            things[values[1]] = _Thing._make(values)


def _items(rows: Rows, things: Iterable[_Thing]) -> dict[str, _Item]:
    """The items of these; what is kept of an item is read only where it says whether a thing waits."""
    found: dict[str, _Item] = {}
    for fields, works in (
        (_Item._fields, sorted({thing.work for thing in things if thing.kind in _ASKED})),
        (_Item._fields[:-1], sorted({thing.work for thing in things if thing.kind not in _ASKED})),
    ):
        some = [work for work in works if work not in found]
        if some:
            page = rows.values(board.Row, fields, f"key IN ({marks(some)})", some)
            found.update((values[0], _Item(*values)) for values in page)
    return found


_ASKED: Final = ("review", "input", "failure")


def _still(thing: _Thing, item: _Item) -> bool:
    """Whether the item still waits for it: what ends an item, or takes it from who asked, ends its questions too."""
    match thing.kind:
        case "review":
            return item.kept is not None and any(id == thing.id for id, _ in item.kept.life.reviews)
        case "input":
            return item.kept is not None and thing.id in item.kept.life.inputs
        case "failure":
            failure = item.kept.failure if item.kept is not None else None
            return failure is not None and failure.execution_id == thing.id
        case "decision" | "handover" | "delegation":
            return item.state not in ENDED
        case _:
            return True


def _waiting(thing: _Thing, item: _Item, because: str | None) -> Waiting:
    return Waiting(
        kind=thing.kind,
        work=item.key,
        id=thing.id,
        text=thing.text,
        position=thing.position,
        since=thing.time,
        state=item.state,
        priority=item.priority,
        actions=_ACTIONS[thing.kind],
        due_at=thing.due_at,
        title=item.title,
        process=item.process,
        asked_by=_asked_by(thing, item),
        claimed_by=thing.claimed_by,
        because="whoever answers for it" if because == inbox.ANSWERING else because,
    )


def _asked_by(thing: _Thing, item: _Item) -> str | None:
    """Of a failure, whose it was: that may have been told by a system."""
    failure = item.kept.failure if item.kept is not None and thing.kind == "failure" else None
    return failure.by if failure is not None else thing.asked_by


_ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "review": ("review.claim", "work.review"),
    "input": ("execution.provide_input",),
    "decision": ("decision.make",),
    "escalation": ("escalation.acknowledge", "escalation.answer", "escalation.resolve"),
    "handover": ("handover.accept", "handover.decline"),
    "accountability": ("accountability.transfer",),
    "delegation": ("delegation.accept", "delegation.decline"),
    "failure": ("execution.start", "work.assign", "work.delegate", "work.fail"),
}
"""The commands by which a thing is settled."""
