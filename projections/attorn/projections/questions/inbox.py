"""Visibility: what waits for somebody, by deadline."""

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from attorn.contracts.participant import Covers
from attorn.projections import board, inbox, timeline
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.lifecycle import ENDED
from attorn.projections.questions.paging import Limit, marks

Kind: TypeAlias = Literal["review", "input", "decision", "escalation", "handover", "accountability", "delegation"]


class AskInbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What waits for `who`. `at`: for whom they stand in at that time; by default, when the last event was recorded."""

    who: str
    kind: Kind | None = None
    at: datetime | None = None
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
    at = asked.at or _now(rows)
    own = _Own(directory, asked.who, at)
    in_turn = _by_turn(rows, own, asked.kind, asked.after, asked.limit)
    found: list[tuple[str, Waiting]] = []
    looked_at, end = 0, None
    while end is None and len(found) <= asked.limit:
        some = list(islice(in_turn, min(asked.limit + 1, _SOME)))
        looked_at += len(some)
        items = _items(rows, [row for _, _, row in some if row is not None])
        for turn, _, row in some:
            if row is None:
                end = turn
                break
            item = items.get(row.work or "")
            because = own.concerns(row, item) if item is not None and _still(row, item) else None
            if item is not None and because is not None:
                found.append((turn, _waiting(row, item, because if because != asked.who else None)))
        if not some:
            break
        if looked_at >= _LOOKED_AT_MAX and end is None:
            end = some[-1][0]
    page = found[: asked.limit]
    return Inbox(who=asked.who, name=name, position=rows.position, waiting=tuple(each for _, each in page),
                 next=page[-1][0] if len(found) > asked.limit else end)  # fmt: skip


class _Own:
    """Whom somebody acts for, besides themselves: as a role's holder, as a successor, as a substitute."""

    def __init__(self, directory: Directory, who: str, at: datetime) -> None:
        self._directory, self._who, self._at = directory, who, at
        self._roles = {f.value.role for f in directory.held.get(who, ()) if f.value.granted}
        self._stands_in: dict[str, set[Covers]] = {}
        asof = AsOf(at=None)
        for id, other in directory.participants.items():
            if id == who or not (other.left or other.absences):
                continue
            if other.left:
                if directory.successor(id, asof) == who:
                    self._stands_in[id] = {"review", "escalation", "accountability"}
                continue
            covered: set[Covers] = {what for what in _COVERS if directory.substitute(id, what, at) == who}
            if covered:
                self._stands_in[id] = covered

    def addresses(self, rows: Rows) -> list[str]:
        """Under what everything is addressed that may be theirs."""
        names = [self._who, *self._stands_in, *sorted(self._roles)]
        for id in self._stands_in:
            names += sorted({f.value.role for f in self._directory.held.get(id, ()) if f.value.granted})
        found = list(dict.fromkeys(names))
        groups: dict[str, None] = {}
        for name in found:
            within = (f"member/{name}/", f"member/{name}/~")
            groups |= {
                group: None for (group,) in rows.values(inbox.Row, ("addressed",), "key > ? AND key < ?", within)
            }
        return [*found, *groups]

    @property
    def may_answer(self) -> bool:
        """Whether it could be they who answer for something: a person, or who stands in for one."""
        return any(self._directory.kind(id) == "human" for id in (self._who, *self._stands_in))

    def answers(self, named: str | None, process: str | None, source: str | None) -> bool:
        """Whether they, or somebody whom they stand in for, answer for such an item."""
        person = self._directory.answerable(named, process, source).person
        return person == self._who or person in self._stands_in

    def concerns(self, row: inbox.Row, item: "_Item") -> str | None:
        """To whom it is addressed, a participant or a role, that makes a thing theirs; None when nothing does."""
        if self._who in (row.excluded or ()):
            return None
        if row.claimed_by is not None:
            return row.claimed_by if row.claimed_by == self._who or self._covers(row.claimed_by, row) else None
        return next((one for one in inbox.addressees(row) if self._means(one, row, item)), None)

    def _means(self, one: str, row: inbox.Row, item: "_Item") -> bool:
        if one == self._who or self._covers(one, row):
            return True
        if one == inbox.ANSWERING:
            answer = self._directory.answerable(item.named, item.process, item.source)
            return answer.person == self._who or self._covers(answer.person or "", row)
        persons = (self._who, *(id for id in self._stands_in if self._covers(id, row)))
        scope = f"process/{item.process}"
        return any(
            self._directory.holds(id, one, "", at=self._at) or self._directory.holds(id, one, scope, at=self._at)
            for id in persons
        )

    def _covers(self, id: str, row: inbox.Row) -> bool:
        what: Covers = (
            "review" if row.kind == "review" else "escalation" if row.kind == "escalation" else "accountability"
        )
        return what in self._stands_in.get(id, ())


_COVERS: Final[tuple[Covers, ...]] = ("review", "escalation", "accountability")
_SOME: Final = 64
_LOOKED_AT_MAX: Final = 512
"""How many things are looked at for one page, to find those that still wait, and for this participant."""

_OF_NOBODY_MAX: Final = 1_024
"""How many things that are addressed to whoever answers for their work are looked at for one page."""

_InTurn: TypeAlias = tuple[str, str, inbox.Row | None]
"""Turn, key, and row; without a row, it is the place up to which was looked."""


class _Item(NamedTuple):
    """What a page shows of a work item, and what it takes to find out who answers."""

    key: str
    title: str | None
    state: str
    process: str | None
    priority: str
    named: str | None
    source: str | None
    last_time: datetime
    kept: board.Kept


def _by_turn(rows: Rows, own: _Own, kind: str | None, after: str, limit: int) -> Iterator[_InTurn]:
    """What is addressed to them, in turn, each once: every address is read from its own place in the index."""
    narrowed, more = (" AND kind = ?", (kind,)) if kind is not None else ("", ())
    addressed_to = f"addressed = ? AND turn > ? AND kind <> 'member'{narrowed}"
    addresses = own.addresses(rows)

    def to(address: str) -> Iterator[_InTurn]:
        # Most addresses have little: each begins with its share of the page, and is then read in larger steps.
        behind, size = after, 8 + limit // len(addresses)
        while True:
            page = rows.select(inbox.Row, addressed_to, (address, behind, *more), "turn", size)
            yield from ((row.turn, row.key, row) for row in page)
            if len(page) < size:
                return
            behind, size = page[-1].turn, min(2 * size, limit + 1)

    def to_whoever_answers() -> Iterator[_InTurn]:
        behind, known = after, dict[tuple[Any, ...], bool]()
        for _ in range(0, _OF_NOBODY_MAX, _AT_ONCE):
            page = rows.values(
                inbox.Row, ("key", "work", "turn"), addressed_to, (inbox.ANSWERING, behind, *more), "turn", _AT_ONCE
            )
            works = sorted({work for _, work, _ in page})
            theirs = set()
            for work, *said in rows.values(board.Row, _ANSWERED_BY, f"key IN ({marks(works)})", works):
                of = tuple(said)
                if of not in known:
                    known[of] = own.answers(*of)
                if known[of]:
                    theirs.add(work)
            for key, work, turn in page:
                if work in theirs and (row := rows.get(inbox.Row, key)) is not None:
                    yield turn, key, row
            if len(page) < _AT_ONCE:
                return
            behind = page[-1][2]
        yield behind, "", None

    last = ""
    ways = [*map(to, addresses), *([to_whoever_answers()] if own.may_answer else [])]
    for one in heapq.merge(*ways, key=itemgetter(0)):
        if one[1] != last or one[2] is None:
            last = one[1]
            yield one


_AT_ONCE: Final = 512
_ANSWERED_BY: Final = ("key", "named", "process", "source")


def _items(rows: Rows, some: list[inbox.Row]) -> dict[str, _Item]:
    works = sorted({row.work for row in some if row.work is not None})
    found = rows.values(board.Row, _Item._fields, f"key IN ({marks(works)})", works)
    return {values[0]: _Item(*values) for values in found}


def _still(row: inbox.Row, item: _Item) -> bool:
    """Whether the item still waits for it: what ends an item, or takes it from who asked, ends its questions too."""
    match row.kind:
        case "review":
            return any(id == row.id for id, _ in item.kept.life.reviews)
        case "input":
            return row.id in item.kept.life.inputs
        case "decision" | "handover" | "delegation":
            return item.state not in ENDED
        case _:
            return True


def _waiting(row: inbox.Row, item: _Item, because: str | None) -> Waiting:
    return Waiting(
        kind=row.kind,
        work=item.key,
        id=row.id or "",
        text=row.text or "",
        position=row.position,
        since=row.time or item.last_time,
        state=item.state,
        priority=item.priority,
        actions=_ACTIONS[row.kind],
        due_at=row.due_at,
        title=item.title,
        process=item.process,
        asked_by=row.asked_by,
        claimed_by=row.claimed_by,
        because="whoever answers for it" if because == inbox.ANSWERING else because,
    )


_ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "review": ("review.claim", "work.review"),
    "input": ("execution.provide_input",),
    "decision": ("decision.make",),
    "escalation": ("escalation.acknowledge", "escalation.answer", "escalation.resolve"),
    "handover": ("handover.accept", "handover.decline"),
    "accountability": ("accountability.transfer",),
    "delegation": ("delegation.accept", "delegation.decline"),
}
"""The commands by which a thing is settled."""


def _now(rows: Rows) -> datetime:
    """When the last event was recorded: the views have no other clock."""
    [last] = rows.select(timeline.Row, "position <= ?", (rows.position,), "position DESC", 1)
    return last.recorded_at
