"""`attorn delegation`: entrust somebody with part of the work, within bounds; take it on, take it back."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import not_found, visible
from attorn.cli.inputs import command, fresh, pairs
from attorn.cli.options import From, Given, Id, Limit, Position, Reason, Text, Texts, When, Who, Work, as_of
from attorn.cli.output import Column, bold, facts, width, write_list, write_one
from attorn.cli.paging import listed, others, whole
from attorn.cli.state import folded, only
from attorn.cli.telling import tell
from attorn.cli.words import amounts, bounds
from attorn.contracts.delegation import (
    AcceptDelegation,
    Budget,
    Condition,
    DeclineDelegation,
    DelegateWork,
    ExpectedOutput,
    ExpireDelegation,
    NarrowDelegation,
    OnViolation,
    ResumeDelegation,
    RevokeDelegation,
    SuspendDelegation,
)
from attorn.contracts.ids import Autonomy, Money, Ref
from attorn.projections.delegations import State

app = App(name="delegation", help="Entrust somebody with part of the work, within bounds.")

Delegation = Annotated[
    str | None, Parameter(metavar="ID", help="Which delegation; needed only where it could be more than one.")
]

COLUMNS = (
    Column("DELEGATION", "delegation", "id"),
    Column("WORK", "work", "id"),
    Column("STATE", lambda d: f"{d['state']} (rests)" if d.get("rests") else d["state"], "id"),
    Column("FROM", "delegator", "id"),
    Column("TO", "delegate", "id"),
    Column("UNTIL", lambda d: d.get("terms", {}).get("valid_until"), "time"),
    Column("MAY", lambda d: [d.get("terms", {}).get("autonomy"), *d.get("terms", {}).get("activities", ())]),
)


def money(type_: Any, tokens: Sequence[Any]) -> Money:
    """`200.00EUR`, or with a space between."""
    found = re.fullmatch(r"([0-9.]+) ?([A-Z]{3})", tokens[0].value)
    if found is None:
        raise ValueError(f"{tokens[0].value!r} is not an amount such as 200.00EUR")
    return Money(amount=found[1], currency=found[2])


@app.command
async def give(
    work: Work,
    delegate: Annotated[str, Parameter(metavar="WHO", help="Who is entrusted with it.")],
    /,
    *,
    activity: Annotated[Texts, Parameter(help="Something that they may do; once for each. Without: anything.")] = None,
    resource: Annotated[Texts, Parameter(help="What they may do it to, with * for anything; once for each.")] = None,
    exclude: Annotated[Texts, Parameter(help="What they may not touch; once for each.")] = None,
    condition: Annotated[
        tuple[str, ...] | None, Parameter(metavar="[ID=]EXPR", help="What must hold, in CEL; once for each.")
    ] = None,
    on_violation: Annotated[OnViolation, Parameter(help="What happens when a condition does not hold.")] = "refuse",
    expect: Annotated[Texts, Parameter(help="The name of an output that they are to deliver; once for each.")] = None,
    autonomy: Annotated[
        Autonomy | None,
        Parameter(
            help="How far they may go by themselves; by default suggest, which allows nothing with side effects."
        ),
    ] = None,
    valid_from: Annotated[When | None, Parameter(help="From when on.")] = None,
    until: Annotated[When | None, Parameter(help="Until when.")] = None,
    max_uses: Annotated[int | None, Parameter(metavar="N", help="How often it may be used.")] = None,
    max_actions: Annotated[int | None, Parameter(metavar="N", help="How many actions it is good for.")] = None,
    max_tokens: Annotated[int | None, Parameter(metavar="N", help="How many tokens it may use up.")] = None,
    max_money: Annotated[
        Money | None, Parameter(converter=money, metavar="AMOUNT", help="How much it may cost, as in 200.00EUR.")
    ] = None,
    max_minutes: Annotated[float | None, Parameter(metavar="MINUTES", help="How long it may take altogether.")] = None,
    subdelegate: Annotated[int | None, Parameter(metavar="DEPTH", help="How often it may be passed on.")] = None,
    escalate_when: Annotated[Texts, Parameter(help="When they have to ask, in CEL; once for each.")] = None,
    instructions: Annotated[Text | None, Parameter(metavar="URI", help="Where their instructions are.")] = None,
    parent: Annotated[Id | None, Parameter(help="The delegation that this one passes on.")] = None,
    id: Annotated[Id | None, Parameter(help="Its id; by default a new one.")] = None,
    from_: From = None,
    options: Given,
) -> None:
    """Entrust somebody with part of the work, within these bounds. Who answers for it does not change.

    Example: attorn work delegate W-1 refunds-bot --activity read_order --activity draft_reply --until 2026-03-31
    """
    id = id or fresh("D")
    elapsed = timedelta(minutes=max_minutes) if max_minutes is not None else None
    budget = Budget(money=max_money, tokens=max_tokens, actions=max_actions, elapsed=elapsed)
    conditions = [
        Condition(id=name, expr=expr, on_violation=on_violation)
        for name, expr in pairs(condition, "--condition", number="k")
    ]
    said: dict[str, Any] = {
        "work_id": work,
        "delegate": delegate,
        "delegation_id": id,
        "parent_id": parent,
        "activities": activity,
        "resource_keys": resource,
        "exclusions": exclude,
        "conditions": tuple(conditions) or None,
        "expected_outputs": tuple(ExpectedOutput(name=name) for name in expect) if expect else None,
        "budget": budget if budget != Budget() else None,
        "valid_from": valid_from,
        "valid_until": until,
        "max_uses": max_uses,
        "may_subdelegate": True if subdelegate else None,
        "max_depth": subdelegate,
        "autonomy": autonomy,
        "escalate_when": escalate_when,
        "instructions": Ref(uri=instructions) if instructions is not None else None,
    }
    async with connected(options) as attorn:
        await tell(attorn, command(DelegateWork, said, from_), id=id)


@app.command
async def accept(work: Work, /, *, delegation: Delegation = None, reason: Reason = None, options: Given) -> None:
    """Take on what was entrusted to whoever acts.

    Example: attorn delegation accept W-1 --as refunds-bot
    """
    await _answer(AcceptDelegation, work, delegation, reason, options, ("granted",), mine=True)


@app.command
async def decline(work: Work, /, *, delegation: Delegation = None, reason: Reason = None, options: Given) -> None:
    """Do not take on what was entrusted to whoever acts.

    Example: attorn delegation decline W-1 --reason "no access to the order" --as refunds-bot
    """
    await _answer(DeclineDelegation, work, delegation, reason, options, ("granted",), mine=True)


@app.command
async def narrow(
    work: Work,
    /,
    *,
    activity: Annotated[Texts, Parameter(help="What they may still do; once for each.")] = None,
    resource: Annotated[Texts, Parameter(help="What they may still do it to; once for each.")] = None,
    exclude: Annotated[Texts, Parameter(help="All that they may not touch; once for each.")] = None,
    autonomy: Annotated[Autonomy | None, Parameter(help="How far they may go by themselves.")] = None,
    until: Annotated[When | None, Parameter(help="Until when.")] = None,
    max_uses: Annotated[int | None, Parameter(metavar="N", help="How often it may be used.")] = None,
    max_actions: Annotated[int | None, Parameter(metavar="N", help="How many actions it is good for.")] = None,
    delegation: Delegation = None,
    reason: Reason = None,
    options: Given,
) -> None:
    """Let the delegate do less than before; what is not said stays as it is.

    Example: attorn delegation narrow W-1 --activity read_order --reason "one mistake too many"
    """
    async with connected(options) as attorn:
        if delegation is None:
            delegation = await _meant(attorn, work, _OPEN, "delegation to narrow")
        said: dict[str, Any] = {
            "work_id": work,
            "delegation_id": delegation,
            "activities": activity,
            "resource_keys": resource,
            "exclusions": exclude,
            "autonomy": autonomy,
            "valid_until": until,
            "max_uses": max_uses,
            "budget": Budget(actions=max_actions) if max_actions is not None else None,
            "reason": reason,
        }
        await tell(attorn, command(NarrowDelegation, said), id=delegation)


@app.command
async def suspend(work: Work, /, *, delegation: Delegation = None, reason: Reason = None, options: Given) -> None:
    """Let nothing be done under it, nor under what was passed on from it, until it is resumed.

    Example: attorn delegation suspend W-1 --reason "until the cause is known"
    """
    await _answer(SuspendDelegation, work, delegation, reason, options, ("granted", "accepted"), mine=False)


@app.command
async def resume(work: Work, /, *, delegation: Delegation = None, reason: Reason = None, options: Given) -> None:
    """Let what rests be done again.

    Example: attorn delegation resume W-1
    """
    await _answer(ResumeDelegation, work, delegation, reason, options, ("suspended",), mine=False)


@app.command
async def expire(work: Work, /, *, delegation: Delegation = None, reason: Reason = None, options: Given) -> None:
    """Say that its time is over. It ends by its time anyway; with this the log says so.

    Example: attorn delegation expire W-1
    """
    await _answer(ExpireDelegation, work, delegation, reason, options, _OPEN, mine=False)


@app.command
async def revoke(work: Work, /, *, delegation: Delegation = None, reason: Reason = None, options: Given) -> None:
    """Take back what was entrusted, and all that was passed on from it, at once.

    Example: attorn delegation revoke W-1 --reason "it went too far"
    """
    await _answer(RevokeDelegation, work, delegation, reason, options, _OPEN, mine=False)


@app.command
async def ls(
    work: Annotated[str | None, Parameter(metavar="WORK", help="Only of this work item.")] = None,
    /,
    *,
    to: Annotated[Who | None, Parameter(help="Only to this participant.")] = None,
    by: Annotated[Who | None, Parameter(name="--from-whom", help="Only from this participant.")] = None,
    state: Annotated[State | None, Parameter(help="Only those that stand so.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List who is entrusted with what, and how each delegation stands.

    Example: attorn delegation ls W-1
    """
    async with connected(options) as attorn:
        asked = {"work": work, "delegate": to, "delegator": by, "state": state}
        found, more = await listed(attorn, "delegations", "delegations", limit, **asked)
    nothing = f"nobody is entrusted with work/{work}" if work else "nobody is entrusted with anything"
    write_list(options, found, COLUMNS, id="delegation", nothing=nothing, more=others(more))


@app.command
async def show(
    work: Work,
    delegation: Annotated[str, Parameter(metavar="ID", help="Which delegation.")],
    /,
    *,
    position: Position = None,
    options: Given,
) -> None:
    """Show a delegation with all that it descends from: what each allows, what was used up, what broke its bounds.

    Example: attorn delegation show W-1 D-1 --position 120
    """
    async with connected(options) as attorn:
        asked = {"work": work, "delegation": delegation, **as_of(None, None, position)}
        found = await whole(attorn, "delegation", "violations", **asked)
    if found.get("problem"):
        raise not_found(found["problem"], f"`attorn delegation ls {work}`")
    write_one(options, found, lambda: _lines(found), id=delegation)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    root = found.get("root")
    yield bold(f"{found['delegation']} of {found['work']}, {f'begun by {root}' if root else 'begun by no person'}")
    wide = width()
    room = None if wide is None else wide - 4
    for link in found.get("links", ()):
        yield f"  {link['delegation']}: {link['delegator']} entrusted {link['delegate']}, {link['state']}"
        yield from (f"    {line}" for line in facts(list(bounds(link.get("terms", {}))), room))
    yield f"used: {amounts(found.get('used') or {}, all_of_it=True)}"
    for violation in found.get("violations", ()):
        yield f"broken: {violation['id']}: {visible(violation['detail'])}"


_OPEN: Final = ("granted", "accepted", "suspended")
_Answer: TypeAlias = (
    AcceptDelegation | DeclineDelegation | SuspendDelegation | ResumeDelegation | ExpireDelegation | RevokeDelegation
)


async def _meant(attorn: Attorn, work: str, statuses: tuple[str, ...], what: str, of: str | None = None) -> str:
    """The one delegation that can be meant: in one of `statuses`, and to `of` where that is said."""
    state = await folded(attorn, work)
    found = [
        id for id, held in state.delegations.items() if held.status in statuses and of in (None, held.terms.delegate)
    ]
    return only(found, what, work, "--delegation", "delegation ls")


async def _answer(
    shape: Callable[..., _Answer],
    work: str,
    delegation: str | None,
    reason: str | None,
    options: Given,
    statuses: tuple[str, ...],
    *,
    mine: bool,
) -> None:
    async with connected(options) as attorn:
        if delegation is None:
            of = options.actor if mine else None
            what = f"delegation to {of} that waits for an answer" if mine else f"delegation that is {statuses[0]}"
            delegation = await _meant(attorn, work, statuses, what, of)
        await tell(attorn, shape(work_id=work, delegation_id=delegation, reason=reason or ""), id=delegation)
