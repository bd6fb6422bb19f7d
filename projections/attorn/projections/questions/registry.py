"""Who and what there is: participants, processes and policies."""

import msgspec

from attorn.contracts.ids import ParticipantKind, Pinned
from attorn.contracts.policy import PolicyKind, PolicyRules
from attorn.projections import accountability, board
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import ENDED, OPEN, Limit


class AskParticipants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`here`: only those who have not left, or only those who have."""

    kind: ParticipantKind | None = None
    here: bool | None = None
    after: str = ""
    limit: Limit = 100


class AskProcesses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: str = ""
    limit: Limit = 100


class AskPolicies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: PolicyKind | None = None
    after: str = ""
    limit: Limit = 100


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A participant, and what they hold: how many open items they carry out, and how many they answer for."""

    id: str
    kind: str
    name: str
    position: int
    executing: int
    answers_for: int
    org_unit: str | None = None
    reports_to: str | None = None
    sponsor: str | None = None
    suspended: bool = False
    left_position: int | None = None
    successor: str | None = None
    roles: tuple[str, ...] = ()


class Members(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of participants, in order of their ids."""

    position: int
    count: int
    participants: tuple[Member, ...] = ()
    next: str | None = None


class Published(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process in its newest version; `answers` is who answers in its owner's place, or the owner."""

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
    return Members(
        position=rows.position,
        count=len(ids),
        participants=tuple(_member(rows, directory, id, asof) for id in page[: asked.limit]),
        next=page[asked.limit - 1] if len(page) > asked.limit else None,
    )


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
                open=rows.count(board.Row, f"process = ? AND {OPEN}", (id, *ENDED)),
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


def _member(rows: Rows, directory: Directory, id: str, asof: AsOf) -> Member:
    who = directory.participants[id]
    departure = next((fact for fact in who.left if asof.covers(fact.stamp)), None)
    answering = 0
    if who.kind == "human":
        where, parameters = accountability.answers(directory, id, asof)
        answering = rows.count(board.Row, f"({where}) AND {OPEN}", [*parameters, *ENDED])
    held: dict[str, bool] = {}
    for fact in directory.roles:
        if fact.value.participant == id and asof.knows(fact.stamp):
            role = fact.value.role + (f" for {fact.value.scope}" if fact.value.scope else "")
            held[role] = fact.value.granted
    return Member(
        id=id,
        kind=who.kind,
        name=who.name,
        position=who.stamp.position,
        executing=rows.count(board.Row, f"executor = ? AND {OPEN}", (id, *ENDED)),
        answers_for=answering,
        org_unit=who.org_unit,
        reports_to=who.reports_to,
        sponsor=who.sponsor,
        suspended=who.suspended,
        left_position=departure.stamp.position if departure is not None else None,
        successor=departure.value.successor if departure is not None else None,
        roles=tuple(role for role, granted in held.items() if granted),
    )
