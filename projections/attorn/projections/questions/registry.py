"""Who and what there is: participants, sources, processes and policies; and whether an id is anybody's."""

from collections.abc import Iterator
from datetime import datetime
from difflib import get_close_matches
from typing import Final, Literal

import msgspec

from attorn.contracts.ids import ParticipantKind, Pinned, Timestamp
from attorn.contracts.policy import PolicyKind, PolicyRules
from attorn.projections import activity, board, timeline
from attorn.projections.accountability import Answering
from attorn.projections.directory import AsOf, Away, Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import ENDED, FINISHED, NOT_ENDED, OPEN, Limit, carried_out, last_recorded_at


class AskParticipants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`here`: only those who have not left, or only those who have.

    `away_at`: who is away is told as of that time, by default of when the last event was recorded.
    """

    kind: ParticipantKind | None = None
    here: bool | None = None
    away_at: Timestamp | None = None
    after: str = ""
    limit: Limit = 100


class AskSources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: str = ""
    limit: Limit = 100


class AskKnown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`id` is meant to be one of these."""

    id: str
    kind: Literal["participant", "process", "policy", "work"] = "participant"


class AskProcesses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: str = ""
    limit: Limit = 100


class AskPolicies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: PolicyKind | None = None
    after: str = ""
    limit: Limit = 100


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A participant, and what they hold: of the items that have not ended, how many they carry out and answer for.

    `sponsor` is the person who is here and stands behind an agent or a system; `named_sponsor` is who is named, if that
    is another.
    """

    id: str
    kind: str
    name: str
    position: int
    executing: int
    answers_for: int
    org_unit: str | None = None
    reports_to: str | None = None
    sponsor: str | None = None
    named_sponsor: str | None = None
    suspended: bool = False
    away: Away | None = None
    left_position: int | None = None
    successor: str | None = None
    roles: tuple[str, ...] = ()


class Members(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of participants, in order of their ids."""

    position: int
    count: int
    participants: tuple[Member, ...] = ()
    next: str | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source as it was registered last; `answers` is who answers in its custodian's place, or the custodian."""

    source_id: str
    custodian: str
    answers: str | None
    uri: str
    position: int
    speaks_of: tuple[str, ...] = ()


class Sources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of sources, in order of their ids."""

    position: int
    count: int
    sources: tuple[Source, ...] = ()
    next: str | None = None


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether there is anything of that id; where there is not, `near` are those that are written much like it."""

    position: int
    id: str
    known: bool
    near: tuple[str, ...] = ()


class Published(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process in its newest version; `answers` is who answers in its owner's place, or the owner.

    `open` counts its work that is neither handed in nor ended.
    """

    id: str
    version: int
    versions: int
    owner: str
    answers: str | None
    position: int
    open: int
    purpose: str = ""
    review_policy: Pinned | None = None
    escalation_policy: Pinned | None = None
    risk_tier: str | None = None
    retired: bool = False


class Processes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of processes, in order of their ids."""

    position: int
    count: int
    processes: tuple[Published, ...] = ()
    next: str | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A policy in its newest version."""

    id: str
    version: int
    versions: int
    kind: str
    position: int
    rules: PolicyRules


class Policies(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of policies, in order of their ids."""

    position: int
    count: int
    policies: tuple[Policy, ...] = ()
    next: str | None = None


def participants(rows: Rows, directory: Directory, asked: AskParticipants) -> Members:
    """The humans, agents, teams and systems that take part, and what each of them holds."""
    asof = AsOf(position=rows.position)
    ids = [
        id
        for id in sorted(directory.participants)
        if (kind := directory.kind(id, asof)) is not None
        and (asked.kind is None or kind == asked.kind)
        and (asked.here is None or directory.is_here(id, asof) == asked.here)
    ]
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    answering, at = Answering(directory, asof), asked.away_at or last_recorded_at(rows)
    return Members(
        position=rows.position,
        count=len(ids),
        participants=tuple(_member(rows, directory, id, asof, answering, at) for id in page[: asked.limit]),
        next=page[asked.limit - 1] if len(page) > asked.limit else None,
    )


def sources(rows: Rows, directory: Directory, asked: AskSources) -> Sources:
    """The systems that report facts, their custodians, and what each may speak of."""
    asof = AsOf(position=rows.position)
    ids = sorted(id for id in directory.sources if directory.custodian(id, asof) is not None)
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    found: list[Source] = []
    for id in page[: asked.limit]:
        newest = [fact for fact in directory.sources[id] if asof.knows(fact.stamp)][-1]
        said = newest.value
        found.append(Source(source_id=id, custodian=said.custodian, uri=said.uri, speaks_of=said.speaks_of,
                            answers=directory.answerable(said.custodian, asof=asof).person,
                            position=newest.stamp.position))  # fmt: skip
    return Sources(position=rows.position, count=len(ids), sources=tuple(found),
                   next=page[asked.limit - 1] if len(page) > asked.limit else None)  # fmt: skip


def known(rows: Rows, directory: Directory, asked: AskKnown) -> Known:
    """Whether an id is anybody's or anything's; and if not, which are written much like it."""
    id = asked.id
    match asked.kind:
        case "participant":
            # Who was never registered may be named all the same, and do things.
            there = id in directory.participants or id in directory.sources or any(_mentions(rows, id))
            ids = sorted(directory.participants)
        case "process":
            there = id in directory.processes or rows.count(board.Row, "process = ?", (id,), 1) > 0
            ids = sorted(directory.processes)
        case "policy":
            there, ids = id in directory.policies, sorted(directory.policies)
        case "work":
            near = (id[: len(id) - cut] for cut in range(min(len(id), _CUT_MAX + 1)))
            there = rows.get(board.Row, id) is not None
            ids = [] if there else next((found for begin in near if (found := _beginning(rows, begin))), [])
    if there:
        return Known(position=rows.position, id=id, known=True)
    return Known(position=rows.position, id=id, known=False, near=tuple(get_close_matches(id, ids, n=3)))


def _mentions(rows: Rows, id: str) -> Iterator[bool]:
    for row, column in ((board.Row, "executor"), (board.Row, "named"), (activity.Row, "who"), (timeline.Row, "actor")):
        yield rows.count(row, f"{column} = ?", (id,), 1) > 0


def _beginning(rows: Rows, begin: str) -> list[str]:
    page = rows.values(board.Row, ("key",), "key >= ? AND key < ?", (begin, f"{begin}\x7f"), "key", _NEAR_MAX)
    return [key for (key,) in page]


_CUT_MAX: Final = 3
_NEAR_MAX: Final = 1_000


def processes(rows: Rows, directory: Directory, asked: AskProcesses) -> Processes:
    """The published processes, who owns them, and how much open work they have."""
    asof = AsOf(position=rows.position)
    ids = [id for id in sorted(directory.processes) if directory.process(id, asof=asof) is not None]
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    found = []
    for id in page[: asked.limit]:
        versions = [fact for fact in directory.processes[id].versions if asof.knows(fact.stamp)]
        newest, retirements = versions[-1].value, directory.processes[id].retired
        found.append(
            Published(
                id=id,
                version=newest.version,
                versions=len(versions),
                owner=newest.owner,
                answers=directory.answerable(newest.owner, asof=asof).person,
                position=versions[-1].stamp.position,
                open=rows.count(board.Row, f"process = ? AND {OPEN}", (id, *FINISHED)),
                purpose=newest.purpose,
                review_policy=newest.review_policy,
                escalation_policy=newest.escalation_policy,
                risk_tier=newest.risk_tier,
                retired=any(asof.knows(f.stamp) and f.value in (None, newest.version) for f in retirements),
            )
        )
    return Processes(position=rows.position, count=len(ids), processes=tuple(found),
                     next=page[asked.limit - 1] if len(page) > asked.limit else None)  # fmt: skip


def policies(rows: Rows, directory: Directory, asked: AskPolicies) -> Policies:
    """The published policies, each in its newest version."""
    asof = AsOf(position=rows.position)
    newest = {id: policy for id in directory.policies if (policy := directory.policy(id, asof=asof)) is not None}
    ids = sorted(id for id, policy in newest.items() if asked.kind is None or policy.kind == asked.kind)
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    found = []
    for id in page[: asked.limit]:
        versions = [fact for fact in directory.policies[id] if asof.knows(fact.stamp)]
        found.append(Policy(id=id, version=newest[id].version, versions=len(versions), kind=newest[id].kind,
                            position=versions[-1].stamp.position, rules=newest[id].rules))  # fmt: skip
    return Policies(position=rows.position, count=len(ids), policies=tuple(found),
                    next=page[asked.limit - 1] if len(page) > asked.limit else None)  # fmt: skip


def _member(rows: Rows, directory: Directory, id: str, asof: AsOf, answering: Answering, at: datetime | None) -> Member:
    who = directory.participants[id]
    departure = next((fact for fact in who.left if asof.covers(fact.stamp)), None)
    answers_for = 0
    if who.kind == "human":
        where, parameters = answering.of(id)
        answers_for = rows.count(board.Row, f"({where}) AND {NOT_ENDED}", [*parameters, *ENDED])
    held: dict[str, bool] = {}
    for fact in directory.held.get(id, ()):
        if asof.knows(fact.stamp):
            role = fact.value.role + (f" for {fact.value.scope}" if fact.value.scope else "")
            held[role] = fact.value.granted
    return Member(
        id=id,
        kind=who.kind,
        name=who.name,
        position=who.stamp.position,
        executing=carried_out(rows, id),
        answers_for=answers_for,
        org_unit=who.org_unit,
        reports_to=who.reports_to,
        sponsor=(sponsor := directory.sponsor(id, asof)),
        named_sponsor=who.sponsor if who.sponsor != sponsor else None,
        suspended=who.suspended,
        away=directory.away(id, at, asof) if at is not None and departure is None else None,
        left_position=departure.stamp.position if departure is not None else None,
        successor=departure.value.successor if departure is not None else None,
        roles=tuple(role for role, granted in held.items() if granted),
    )
