"""What else there is of participants: who is away, what teams are made of, the keys with which they sign."""

from datetime import datetime

import msgspec

from attorn.contracts.ids import Timestamp
from attorn.contracts.participant import Covers
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import Limit, last_recorded_at


class AskAbsences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`at`: those that are not over by then, as by default by when the last event was recorded. `after`: a participant.

    A page ends with the participant who makes it full, so that it may be longer than `limit`.
    """

    at: Timestamp | None = None
    after: str = ""
    limit: Limit = 100


class AskTeams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: str = ""
    limit: Limit = 100


class AskKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after`: a participant. A page ends with all the keys of one."""

    after: str = ""
    limit: Limit = 100


class Absent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An absence that lasts or is ahead, and who was named to stand in."""

    id: str
    name: str
    from_: datetime = msgspec.field(name="from")
    until: datetime
    substitute: str | None
    covers: tuple[Covers, ...]


class Absences(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of absences, in order of the participants' ids."""

    position: int
    absences: tuple[Absent, ...] = ()
    next: str | None = None


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """A team, its `members`, and `all` the people and agents whom these bring along."""

    id: str
    name: str
    members: tuple[str, ...]
    all: tuple[str, ...]


class Teams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of the teams that are here, in order of their ids."""

    position: int
    count: int
    teams: tuple[Team, ...] = ()
    next: str | None = None


class Signing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A public key speaks for `id` from position `valid_from` on, and up to but without `until`."""

    id: str
    key_id: str
    public_key: str
    valid_from: int
    until: int | None = None


class Keys(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of keys, in order of the participants' ids."""

    position: int
    keys: tuple[Signing, ...] = ()
    next: str | None = None


def absences(rows: Rows, directory: Directory, asked: AskAbsences) -> Absences:
    """Who is away, or will be, and who stands in."""
    at = asked.at or last_recorded_at(rows)
    away = sorted(id for id, who in directory.participants.items() if who.absences and id > asked.after)
    found: list[Absent] = []
    if at is None:
        return Absences(position=rows.position)
    for id in away:
        if len(found) >= asked.limit:
            return Absences(position=rows.position, absences=tuple(found), next=found[-1].id)
        found += (
            Absent(id=id, name=directory.name(id), from_=said.from_, until=said.until, substitute=said.substitute,
                   covers=said.covers)
            for fact in directory.participants[id].absences
            if (said := fact.value).ended is None and said.until >= at and fact.stamp.position <= rows.position
        )  # fmt: skip
    return Absences(position=rows.position, absences=tuple(found))


def teams(rows: Rows, directory: Directory, asked: AskTeams) -> Teams:
    """The teams, their members, and all whom these bring along."""
    asof = AsOf(position=rows.position)
    ids = sorted(id for id, who in directory.participants.items() if who.kind == "team" and directory.is_here(id, asof))
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    found = (
        Team(id=id, name=directory.name(id), members=directory.participants[id].members, all=directory.members(id))
        for id in page[: asked.limit]
    )
    return Teams(position=rows.position, count=len(ids), teams=tuple(found),
                 next=page[asked.limit - 1] if len(page) > asked.limit else None)  # fmt: skip


def keys(rows: Rows, directory: Directory, asked: AskKeys) -> Keys:
    """The keys with which participants sign, and from where to where in the log each speaks for its owner."""
    found: list[Signing] = []
    for id in sorted(id for id, who in directory.participants.items() if who.keys and id > asked.after):
        if len(found) >= asked.limit:
            return Keys(position=rows.position, keys=tuple(found), next=found[-1].id)
        found += (
            Signing(id=id, key_id=key.key_id, public_key=key.public_key, valid_from=key.valid_from, until=key.until)
            for key in directory.participants[id].keys
        )
    return Keys(position=rows.position, keys=tuple(found))
