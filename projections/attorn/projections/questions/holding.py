"""Ownership: who carries out what and holds which claim, who leads to whom, and how much somebody looks after."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from attorn.contracts.ids import Count, ParticipantKind, Timestamp
from attorn.projections import board, delegations, escalations, findings, holding, inbox, timeline
from attorn.projections.accountability import Answering
from attorn.projections.directory import AsOf, Directory, Fact
from attorn.projections.fold import Rows
from attorn.projections.questions.delegations import AskDelegations, delegated
from attorn.projections.questions.paging import (
    ENDED,
    NOT_ENDED,
    PAGE,
    Limit,
    carried_out,
    each,
    each_values,
    marks,
    next_key,
)
from attorn.projections.workforce import line


class AskHolding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `participant` holds, or who holds `work`; without either, everything that is held.

    `live_at`: without the claims on things whose lease is over by then, though nobody has said so yet. Items stay with
    whoever has them until somebody lets go.
    """

    participant: str | None = None
    work: str | None = None
    live_at: Timestamp | None = None
    after: str = ""
    limit: Limit = 100


class AskExecutor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who carried a work item out at a position, at a time, or as it was known at a time; without these, now."""

    work: str
    position: Count | None = None
    at: Timestamp | None = None
    known_at: Timestamp | None = None


class AskOrg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`kind`: only those; `under`: only those whose way up leads through that participant; `broken`: to nobody."""

    position: Count | None = None
    at: Timestamp | None = None
    known_at: Timestamp | None = None
    kind: ParticipantKind | None = None
    under: str | None = None
    broken: bool | None = None
    after: str = ""
    limit: Limit = 100


class AskSpan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever has most to look after comes first."""

    after: str = ""
    limit: Limit = 100


class AskAgents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of all agents, or of those whose way up leads to `person` first; those that need somebody come first."""

    person: str | None = None
    after: str = ""
    limit: Limit = 100


class Holding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A thing, the stream of an item or a claim, and who holds it, since when, how they came to, and until when.

    Of an item, `delegation_id` is what its holder began under, or else the newest live one that they could begin under,
    with who gave it to them, how it stands, and until when it was given.
    """

    thing: str
    holder: str
    name: str
    basis: str
    since_position: int
    since_time: datetime
    work: str | None = None
    title: str | None = None
    state: str | None = None
    due_at: datetime | None = None
    resource: str | None = None
    claim_id: str | None = None
    fence: int | None = None
    lease_until: datetime | None = None
    delegation_id: str | None = None
    delegator: str | None = None
    delegation_state: str | None = None
    valid_until: datetime | None = None


class Holdings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of what is held, in order of the things."""

    position: int
    holdings: tuple[Holding, ...] = ()
    next: str | None = None


class Executor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who carried an item out then, None when nobody did; `problem` when it was not there yet."""

    work: str
    position: int
    executor: str | None = None
    name: str | None = None
    state: str | None = None
    problem: str | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A participant and its way up: `path` from whoever is next above to `top`, the person at whom it ends.

    Whoever left is replaced on the way by who succeeded them, or else by their own superior; `sponsor` likewise is the
    person who is here. `problem` is why it leads to no person who is here.
    """

    id: str
    kind: str
    name: str
    path: tuple[str, ...] = ()
    top: str | None = None
    org_unit: str | None = None
    external_party: str | None = None
    reports_to: str | None = None
    sponsor: str | None = None
    suspended: bool = False
    problem: str | None = None


class OrgChart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of those who were here, in order of their ids; `broken` of the `count` lead to no person.

    A team that reports to nobody is not broken: it is a group of candidates.
    """

    position: int
    count: int
    broken: int
    nodes: tuple[Node, ...] = ()
    next: str | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one person has to look after now. `agents` and `people` are those of whom they are the next person above.

    `answers_for` counts the items that have not ended and for which they are who answers, for whatever reason; `failed`
    those of them after whose failed execution nothing goes on.
    """

    person: str
    name: str
    agents: int
    people: int
    answers_for: int
    executing: int
    open_escalations: int
    waiting: int
    failed: int = 0


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of the people who are here: the most open escalations first, then the most that waits for them."""

    position: int
    people: tuple[Load, ...] = ()
    next: str | None = None


class Agent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent as it stands: what it carries out, what of it waits for somebody, what it has escalated, what failed.

    `findings` are those on what it carries out of which nobody has decided. `exceptions` are what needs somebody, in a
    word each.
    """

    id: str
    name: str
    person: str | None
    executing: int
    waiting: int
    open_escalations: int
    failed: int = 0
    findings: int = 0
    exceptions: tuple[str, ...] = ()


class Agents(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of agents, those with exceptions first; `exceptions` counts them among the `count`."""

    position: int
    count: int
    exceptions: int
    agents: tuple[Agent, ...] = ()
    next: str | None = None


def holdings(rows: Rows, directory: Directory, asked: AskHolding) -> Holdings:
    """Who carries out which work and holds which claim, since when and until when."""
    live, until = "", list[Any]()
    if asked.live_at is not None:
        live, until = " AND (held IS NULL OR lease_until IS NULL OR lease_until > ?)", [asked.live_at]
    more = asked.limit + 1
    if asked.participant is None and asked.work is None:
        # Claims come before work; of the keys that were claimed and are free now there may be very many.
        page = rows.select(holding.Row, f"held > ?{live}", [asked.after, *until], "held", more)
        page += rows.select(holding.Row, "key > ?", [max(asked.after, "work/")], "key", more - len(page))
    else:
        conditions, parameters = "key > ?", list[Any]([asked.after])
        if asked.participant is not None:
            conditions += " AND holder = ?"
            parameters.append(asked.participant)
        if asked.work is not None:
            conditions += " AND key = ?"
            parameters.append(f"work/{asked.work}")
        page = rows.select(holding.Row, conditions + live, [*parameters, *until], "key", more)
    shown = page[: asked.limit]
    works = sorted({row.work for row in shown if row.work is not None})
    items = {row.key: row for row in rows.select(board.Row, f"key IN ({marks(works)})", works)}
    under = _under(rows, directory, shown)
    return Holdings(
        position=rows.position,
        holdings=tuple(_holding(row, items.get(row.work or ""), under.get(row.key), directory) for row in shown),
        next=next_key(page, asked.limit),
    )


def executor(rows: Rows, directory: Directory, asked: AskExecutor) -> Executor:
    """Who carried out a work item at a position or a time."""
    position = rows.position if asked.position is None else min(asked.position, rows.position)
    conditions, parameters = ["stream = ?", "position <= ?"], [f"work/{asked.work}", position]
    for column, until in (("time", asked.at), ("recorded_at", asked.known_at)):
        if until is not None:
            conditions.append(f"{column} <= ?")
            parameters.append(until)
    order = "position" if asked.at is None else "time, position"
    told = rows.select(timeline.Row, " AND ".join(conditions), parameters, order)
    if not told:
        there = f"{asked.work} was not on the log then"
        return Executor(work=asked.work, position=rows.position, problem=there)
    then = timeline.standing(told)
    name = directory.name(then.executor) if then.executor is not None else None
    return Executor(work=asked.work, position=rows.position, executor=then.executor, name=name, state=then.state)


def org(rows: Rows, directory: Directory, asked: AskOrg) -> OrgChart:
    """Who reports to whom, people and agents alike, and the person at whom each way up ends."""
    asof = AsOf(position=asked.position or rows.position, at=asked.at, known_at=asked.known_at)
    nodes = []
    for id in sorted(directory.participants):
        if not directory.is_here(id, asof) or not asof.covers(directory.participants[id].stamp):
            continue
        if asked.kind is not None and directory.participants[id].kind != asked.kind:
            continue
        node = _node(directory, id, asof)
        if (asked.under is None or asked.under in node.path) and asked.broken in (None, node.problem is not None):
            nodes.append(node)
    page = [node for node in nodes if node.id > asked.after][: asked.limit + 1]
    return OrgChart(
        position=rows.position,
        count=len(nodes),
        broken=sum(node.problem is not None for node in nodes),
        nodes=tuple(page[: asked.limit]),
        next=page[asked.limit - 1].id if len(page) > asked.limit else None,
    )


def span(rows: Rows, directory: Directory, asked: AskSpan) -> Span:
    """How much each person has to look after: agents, people, open items, escalations, what waits."""
    asof = AsOf(position=rows.position)
    agents, people = Counter[str](), Counter[str]()
    for id, who in directory.participants.items():
        if directory.is_here(id, asof) and (above := next_person(directory, id, asof)) is not None:
            (people if who.kind == "human" else agents)[above] += 1
    escalated = Counter[str]()
    for row in each(rows, escalations.Row, "open", ()):
        escalated.update({row.acknowledged_by} if row.acknowledged_by is not None else set(row.told))
    persons = [id for id in directory.participants if directory.is_person(id, asof)]
    answering = Answering(directory, asof)
    left = each_values(rows, board.Row, ("key", "named", "process", "source"), "failed_position IS NOT NULL")
    failed = Counter(directory.answerable(named, process, source, asof).person for _, named, process, source in left)
    waiting = {id: rows.count(inbox.Row, "addressed = ?", (id,)) for id in persons}
    turns = sorted((_turn(escalated[id], waiting[id], agents[id], id), id) for id in persons)
    page = [(turn, id) for turn, id in turns if turn > asked.after][: asked.limit + 1]
    found = []
    for _, id in page[: asked.limit]:
        where, parameters = answering.of(id)
        found.append(
            Load(
                person=id,
                name=directory.name(id),
                agents=agents[id],
                people=people[id],
                answers_for=rows.count(board.Row, f"({where}) AND {NOT_ENDED}", (*parameters, *ENDED)),
                executing=carried_out(rows, id),
                open_escalations=escalated[id],
                waiting=waiting[id],
                failed=failed[id],
            )
        )
    return Span(position=rows.position, people=tuple(found),
                next=page[asked.limit - 1][0] if len(page) > asked.limit else None)  # fmt: skip


def agents(rows: Rows, directory: Directory, asked: AskAgents) -> Agents:
    """The agents of one person, or all: those that need somebody first."""
    asof = AsOf(position=rows.position)
    raised = Counter(row.raised_by for row in each(rows, escalations.Row, "open", ()))
    failed = Counter(by for _, by in each_values(rows, board.Row, ("key", "executor"), "failed_position IS NOT NULL"))
    found: list[tuple[str, Agent]] = []
    for id, who in directory.participants.items():
        if who.kind != "agent" or not directory.is_here(id, asof):
            continue
        above = next_person(directory, id, asof)
        if asked.person is not None and above != asked.person:
            continue
        waiting = rows.count(board.Row, "executor = ? AND state = 'waiting_input'", (id,))
        said = (
            ("failed", failed[id] > 0),
            ("findings", (found_open := _open_findings(rows, id)) > 0),
            ("escalated", raised[id] > 0),
            ("waits", waiting > 0),
            ("suspended", who.suspended),
            ("leads to no person", above is None),
        )
        exceptions = tuple(word for word, holds in said if holds)
        agent = Agent(id=id, name=who.name, person=above, executing=carried_out(rows, id), waiting=waiting,
                      open_escalations=raised[id], failed=failed[id], findings=found_open,
                      exceptions=exceptions)  # fmt: skip
        found.append((_turn(len(exceptions), raised[id], waiting, id), agent))
    found.sort(key=lambda turn: turn[0])
    page = [(turn, agent) for turn, agent in found if turn > asked.after][: asked.limit + 1]
    return Agents(
        position=rows.position,
        count=len(found),
        exceptions=sum(bool(agent.exceptions) for _, agent in found),
        agents=tuple(agent for _, agent in page[: asked.limit]),
        next=page[asked.limit - 1][0] if len(page) > asked.limit else None,
    )


def _open_findings(rows: Rows, agent: str) -> int:
    """How many findings wait for somebody to decide on the items that an agent carries out."""
    count, mine = 0, "holder = ? AND key BETWEEN 'work/' AND 'work/~'"
    keys = [key for (key,) in rows.values(holding.Row, ("key",), mine, (agent,))]
    for start in range(0, len(keys), PAGE):
        some = keys[start : start + PAGE]
        count += sum(
            found for (found,) in rows.values(findings.Row, ("open",), f"key IN ({marks(some)}) AND open > 0", some)
        )
    return count


def next_person(directory: Directory, id: str, asof: AsOf) -> str | None:
    """The first person on the way up from a participant; None when it leads to none, or they are at the top."""
    return next((above for above in _node(directory, id, asof).path if directory.is_person(above, asof)), None)


MOST: Final = 999_999


def _turn(first: int, second: int, third: int, id: str) -> str:
    """Sorts as text by most, then by id: so that a page can begin behind it."""
    return "".join(f"{max(0, MOST - count):06d}" for count in (first, second, third)) + f" {id}"


_RESTS: Final = delegations.OVER | {"suspended"}
"""The states of a delegation under which nothing may be done."""


class _Under(NamedTuple):
    """A delegation of an item to its holder."""

    id: str
    delegator: str
    state: str
    valid_until: datetime | None


def _holding(row: holding.Row, item: board.Row | None, under: _Under | None, directory: Directory) -> Holding:
    assert row.holder is not None, row.key
    return Holding(
        thing=row.key,
        holder=row.holder,
        name=directory.name(row.holder),
        basis=row.basis,
        since_position=row.since_position,
        since_time=row.since_time,
        work=row.work,
        title=item.title if item is not None else None,
        state=item.state if item is not None else None,
        due_at=item.due_at if item is not None else None,
        resource=row.resource,
        claim_id=row.claim_id,
        fence=row.fence,
        lease_until=row.lease_until,
        delegation_id=under.id if under is not None else None,
        delegator=under.delegator if under is not None else None,
        delegation_state=under.state if under is not None else None,
        valid_until=under.valid_until if under is not None else None,
    )


def _under(rows: Rows, directory: Directory, shown: Sequence[holding.Row]) -> dict[str, _Under]:
    """By their keys, under which delegation items are held: the one begun under, or else the newest that is live."""
    items = {f"{row.work}/{row.delegation or ''}": row for row in shown if row.held is None}
    columns = ("key", "delegator", "delegate", "state", "terms")
    # Most are by themselves, and as they were given: then there is nothing more to look up.
    plain = f"key IN ({marks([*items])}) AND parent IS NULL AND narrowed = 0"
    found = {
        items[key].key: _Under(key.partition("/")[2], delegator, state, terms.valid_until)
        for key, delegator, delegate, state, terms in rows.values(delegations.Row, columns, plain, [*items])
        if delegate == items[key].holder
    }
    for row in items.values():
        if row.key not in found and row.work is not None:
            asked = AskDelegations(work=row.work, delegate=row.holder, limit=PAGE)
            given = delegated(rows, directory, asked).delegations
            begun = [each for each in given if each.delegation == row.delegation]
            live = [each for each in given if each.state not in _RESTS]
            if (one := max(begun or live, key=lambda each: each.granted_position, default=None)) is not None:
                found[row.key] = _Under(one.delegation, one.delegator, one.state, one.terms.valid_until)
    return found


def _node(directory: Directory, id: str, asof: AsOf) -> Node:
    who = directory.participants[id]
    above = line(directory, id, asof)
    path = above.path[1:]
    # A team that reports to nobody is a group of candidates, not a place without a head.
    problem = None if who.kind == "team" and not path else above.problem
    return Node(
        id=id,
        kind=who.kind,
        name=who.name,
        path=path,
        top=above.path[-1] if above.problem is None else None,
        org_unit=who.org_unit,
        external_party=who.external_party,
        reports_to=_last(who.superiors, asof),
        sponsor=directory.sponsor(id, asof),
        suspended=who.suspended,
        problem=problem,
    )


def _last(facts: tuple[Fact[str | None], ...], asof: AsOf) -> str | None:
    return next((fact.value for fact in reversed(facts) if asof.covers(fact.stamp)), None)
