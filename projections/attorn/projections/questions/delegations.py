"""Audit: what was entrusted to whom, by what chain, within which bounds; and under what an event happened."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from attorn.contracts.execution import ExecutionActionRecorded, ExecutionStarted
from attorn.contracts.ids import Count, Money, Pinned
from attorn.contracts.policy import PolicyKind
from attorn.projections import activity, controls, delegations, findings, timeline
from attorn.projections.bounds import after_narrowing
from attorn.projections.delegations import Terms
from attorn.projections.directory import AsOf, Directory
from attorn.projections.findings import Finding
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import PAGE, Limit, marks, next_key


class AskDelegations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    work: str | None = None
    delegate: str | None = None
    delegator: str | None = None
    state: delegations.State | None = None
    after: str = ""
    limit: Limit = 100


class AskDelegation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`position`: its terms and its state as they were there. `after` and `limit` are of what broke its bounds."""

    work: str
    delegation: str
    position: Count | None = None
    after: Count = 0
    limit: Limit = 1_000


class AskGoverning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`event` is the position of an event in the log."""

    event: Count


class Delegation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one entrusted another with. `state` is its own, or `revoked` where one that it descends from was.

    `rests`: it is not over, and nothing is done under it, because its delegate is suspended.
    """

    work: str
    delegation: str
    delegator: str
    delegate: str
    state: str
    granted_position: int
    granted_time: datetime
    state_position: int
    uses: int = 0
    narrowed: int = 0
    rests: bool = False
    parent: str | None = None
    by: str | None = None
    reason: str | None = None
    terms: Terms = Terms()


class Delegations(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of delegations, in order of their work items."""

    position: int
    delegations: tuple[Delegation, ...] = ()
    next: str | None = None


class Used(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was used up in the executions under a delegation, its own and not those of what descends from it.

    `elapsed_s` are the seconds from the beginning to the end of each, added; one that goes on is not counted yet.
    `complete` is False where there are more executions than were looked at.
    """

    executions: int
    actions: int
    tokens: int
    elapsed_s: float
    money: tuple[Money, ...] = ()
    complete: bool = True


class Chain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A delegation with all that it descends from, the person's first, and what was done under it.

    `root` is the human at whom the chain begins, None where it begins at none. `violations` are one page of what broke
    its bounds, in log order; `next` is the position after which the next page begins. `children` are the first 1,000.
    """

    work: str
    delegation: str
    position: int
    root: str | None = None
    links: tuple[Delegation, ...] = ()
    children: tuple[str, ...] = ()
    used: Used | None = None
    violations: tuple[Finding, ...] = ()
    next: int | None = None
    problem: str | None = None


class Governing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event happened under: the process and the policies, in the versions that held, and the delegation.

    `pinned` are those that the work item is pinned to; `in_force` those that held for everybody at that position.
    """

    event: int
    position: int
    type: str | None = None
    stream: str | None = None
    time: datetime | None = None
    actor: str | None = None
    process: Pinned | None = None
    pinned: tuple[Pinned, ...] = ()
    in_force: tuple[Pinned, ...] = ()
    execution: str | None = None
    instructions_dig: str | None = None
    chain: Chain | None = None
    problem: str | None = None


def delegated(rows: Rows, directory: Directory, asked: AskDelegations) -> Delegations:
    """What was entrusted to whom, within which bounds, and how it stands."""
    conditions, parameters = ["key > ?", "state <> 'narrowed'"], list[Any]([asked.after])
    if asked.work is not None:
        conditions.append("key BETWEEN ? AND ?")
        parameters += (f"{asked.work}/", f"{asked.work}/~")
    for column in ("delegate", "delegator", "state"):
        value = getattr(asked, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    page = rows.select(delegations.Row, " AND ".join(conditions), parameters, "key", asked.limit + 1)
    found = []
    for row in page[: asked.limit]:
        links = list(_up(rows, row))
        given = _as_of(rows, links, row, rows.position)
        if given.state not in delegations.OVER and directory.is_suspended(given.delegate):
            given = msgspec.structs.replace(given, rests=True)
        found.append(given)
    return Delegations(position=rows.position, delegations=tuple(found), next=next_key(page, asked.limit))


def chain(rows: Rows, directory: Directory, asked: AskDelegation) -> Chain:
    """One delegation with all that it descends from, what was used up under it, and what broke its bounds."""
    position = rows.position if asked.position is None else min(asked.position, rows.position)
    row = rows.get(delegations.Row, f"{asked.work}/{asked.delegation}")
    if row is None or row.granted_position > position:
        there = "" if row is None else f" at position {position}"
        problem = f"{asked.work} has no delegation {asked.delegation}{there}"
        return Chain(work=asked.work, delegation=asked.delegation, position=rows.position, problem=problem)
    return _chain(rows, directory, row, position, asked.after, asked.limit)


def governing(rows: Rows, directory: Directory, asked: AskGoverning) -> Governing:
    """Under which version of the process, which policies and which delegation an event happened."""
    told = rows.select(timeline.Row, "position = ?", (asked.event,), limit=1)
    if not told:
        problem = f"there is no event at position {asked.event}, or its id had been used before"
        return Governing(event=asked.event, position=rows.position, problem=problem)
    [event] = told
    asof = AsOf(position=event.position)
    process, pinned = None, tuple[Pinned, ...]()
    execution = delegation = None
    if event.kind == "work":
        item = rows.get(controls.Row, event.id)
        if item is not None and item.process is not None and item.process_version is not None:
            process = Pinned(id=item.process, version=item.process_version)
        pinned = tuple(_pinned(item, process, directory, asof))
        execution = _execution(rows, event)
        delegation = _delegation(rows, event, execution)
    elif event.kind == "process" and (published := directory.process(event.id, asof=asof)) is not None:
        process = Pinned(id=event.id, version=published.version)
    ran = execution.ran if execution is not None else None
    return Governing(
        event=asked.event,
        position=rows.position,
        type=event.type,
        stream=event.stream,
        time=event.time,
        actor=event.actor,
        process=process,
        pinned=pinned,
        in_force=tuple(_in_force(directory, event)),
        execution=execution.key.rpartition("/")[2] if execution is not None else None,
        instructions_dig=ran.instructions_dig if ran is not None else None,
        chain=_chain(rows, directory, delegation, event.position) if delegation is not None else None,
    )


DEPTH_MAX: Final = 64


def _chain(
    rows: Rows, directory: Directory, row: delegations.Row, position: int, after: int = 0, limit: int = PAGE
) -> Chain:
    links = [row, *_up(rows, row)]
    shown = [_as_of(rows, links[place + 1 :], link, position) for place, link in enumerate(links)]
    first = shown[-1].delegator
    within = "key BETWEEN ? AND ? AND parent = ?"
    children = rows.select(delegations.Row, within, (f"{row.work}/", f"{row.work}/~", row.key), "key", PAGE)
    broken = [
        finding
        for finding in findings.found(rows, f"work/{row.work}")
        if finding.rule in ("delegation-violated", "undelegated-execution") and after < finding.position <= position
    ]
    # Two rules may be broken by one event, which stands on one page as a whole.
    under: dict[int, list[Finding]] = {}
    for finding in broken:
        if finding.position in under or (len(under) <= limit and _is_under(rows, finding.position, row)):
            under.setdefault(finding.position, []).append(finding)
    page = list(under)[:limit]
    return Chain(
        work=row.work,
        delegation=row.id,
        position=rows.position,
        root=first if directory.kind(first, AsOf(position=position)) == "human" and links[-1].parent is None else None,
        links=tuple(reversed(shown)),
        children=tuple(child.id for child in children if child.granted_position <= position),
        used=_used(rows, row),
        violations=tuple(finding for place in page for finding in under[place]),
        next=page[-1] if len(under) > limit else None,
    )


def _up(rows: Rows, row: delegations.Row) -> Iterator[delegations.Row]:
    """What a delegation descends from, the nearest first."""
    passed = {row.key}
    while row.parent is not None and row.parent not in passed and len(passed) <= DEPTH_MAX:
        passed.add(row.parent)
        above = rows.get(delegations.Row, row.parent)
        if above is None:
            return
        yield above
        row = above


def _as_of(rows: Rows, above: list[delegations.Row], row: delegations.Row, position: int) -> Delegation:
    """A delegation with its terms and its state as they were at a position."""
    terms, narrowed = row.terms, 0
    if row.narrowed:
        behind = f"{row.key}@"
        for each in rows.select(delegations.Row, "key > ? AND key < ?", (behind, f"{behind}~"), "granted_position"):
            if each.granted_position <= position:
                terms, narrowed = after_narrowing(terms, each.terms), narrowed + 1
    state, at = _state(rows, row, position)
    for link in above:
        theirs, since = _state(rows, link, position)
        if theirs in ("revoked", "suspended") and state not in delegations.OVER:
            # Revoking, or suspending, one of those it descends from does the same to it, at the same position.
            state, at = theirs, since
    return Delegation(
        work=row.work,
        delegation=row.id,
        delegator=row.delegator or "",
        delegate=row.delegate or "",
        state=state,
        granted_position=row.granted_position,
        granted_time=row.granted_time,
        state_position=at,
        uses=row.uses,
        narrowed=narrowed,
        parent=row.parent.rpartition("/")[2] if row.parent is not None else None,
        by=row.by,
        reason=row.reason,
        terms=terms,
    )


def _state(rows: Rows, row: delegations.Row, position: int) -> tuple[str, int]:
    if row.state_position <= position:
        return row.state, row.state_position
    # It has gone on since: what was said of it until then is in the timeline.
    said = rows.select(timeline.Row, "stream = ? AND position <= ? AND reference = ?",
                       (f"work/{row.work}", position, row.id), "position")  # fmt: skip
    state, at, before = "granted", row.granted_position, "granted"
    for told in said:
        word = told.type.split(".")[2]
        if told.type.startswith("attorn.delegation.") and word != "narrowed":
            before = state if state != "suspended" else before
            state, at = before if word == "resumed" else word, told.position
    if state in ("granted", "accepted"):
        begun = "key BETWEEN ? AND ? AND delegation = ? AND begun_position BETWEEN 1 AND ?"
        first = rows.select(activity.Row, begun, (*_executions(row), row.key, position), "begun_position", 1)
        if first:
            return "active", first[0].begun_position
    return state, at


def _executions(row: delegations.Row) -> tuple[str, str]:
    """Between which keys the executions of its work item stand."""
    return f"{row.work}/x/", f"{row.work}/x/~"


def _used(rows: Rows, row: delegations.Row) -> Used:
    where = "key BETWEEN ? AND ? AND delegation = ?"
    executions = rows.select(activity.Row, where, (*_executions(row), row.key), "key", PAGE + 1)
    tokens, elapsed, money = 0, 0.0, dict[str, Decimal]()
    for execution in executions[:PAGE]:
        ran = execution.ran or activity.Ran()
        tokens += ran.tokens
        if ran.money is not None:
            money[ran.money.currency] = money.get(ran.money.currency, Decimal(0)) + Decimal(ran.money.amount)
        if ran.begun_time is not None and ran.ended_time is not None:
            elapsed += (ran.ended_time - ran.begun_time).total_seconds()
    ids = [execution.key.rpartition("/")[2] for execution in executions[:PAGE]]
    # LIKE, so that the stream is what it is looked up by, and not the type, of which there are more.
    acted = f"stream = ? AND type LIKE ? AND reference IN ({marks(ids)})"
    actions = rows.count(timeline.Row, acted, (f"work/{row.work}", ExecutionActionRecorded.type, *ids))
    return Used(
        executions=row.uses,
        actions=actions,
        tokens=tokens,
        elapsed_s=elapsed,
        money=tuple(Money(amount=str(amount), currency=currency) for currency, amount in sorted(money.items())),
        complete=len(executions) <= PAGE,
    )


def _is_under(rows: Rows, position: int, row: delegations.Row) -> bool:
    told = rows.select(timeline.Row, "position = ?", (position,), limit=1)
    if not told:
        return False
    found = _delegation(rows, told[0], _execution(rows, told[0]))
    return found is not None and found.key == row.key


def _execution(rows: Rows, event: timeline.Row) -> activity.Row | None:
    """The execution that an event of a work item belongs to: the one it names, else the actor's own at that time."""
    if event.reference is not None:
        named = rows.get(activity.Row, f"{event.id}/x/{event.reference}")
        if named is not None:
            return named
    begun = rows.select(timeline.Row, "stream = ? AND position <= ? AND type LIKE ?",
                        (event.stream, event.position, ExecutionStarted.type), "position DESC", 1)  # fmt: skip
    if not begun or begun[0].reference is None:
        return None
    last = rows.get(activity.Row, f"{event.id}/x/{begun[0].reference}")
    if last is None or last.who != event.actor or (last.ran and 0 < last.ran.ended_position < event.position):
        return None
    return last


def _delegation(rows: Rows, event: timeline.Row, execution: activity.Row | None) -> delegations.Row | None:
    if execution is not None and execution.delegation is not None:
        return rows.get(delegations.Row, execution.delegation)
    if event.reference is not None and event.type.startswith(("attorn.delegation.", "attorn.work.delegated.")):
        return rows.get(delegations.Row, f"{event.id}/{event.reference}")
    return None


_KINDS: Final[tuple[PolicyKind, ...]] = ("authority", "delegation", "retention")


def _pinned(item: controls.Row | None, process: Pinned | None, directory: Directory, asof: AsOf) -> Iterator[Pinned]:
    """The item's own policies, and where it has none, those of its version of the process."""
    published = directory.process(process.id, process.version, asof) if process is not None else None
    for name in ("review_policy", "escalation_policy"):
        own = getattr(item, name) if item is not None else None
        found = own or (getattr(published, name) if published is not None else None)
        if found is not None:
            yield found


def _in_force(directory: Directory, event: timeline.Row) -> Iterator[Pinned]:
    for id, said in sorted(directory.policies.items()):
        held = [f.value for f in said if f.stamp.position <= event.position
                and (f.value.effective_at is None or f.value.effective_at <= event.time)]  # fmt: skip
        if held and held[-1].kind in _KINDS:
            yield Pinned(id=id, version=held[-1].version)
