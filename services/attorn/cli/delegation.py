"""`attorn delegation`: entrust somebody with part of the work, within bounds; take it on, take it back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.inputs import command, fresh, pairs
from attorn.cli.options import From, Given, Id, Reason, Text, Texts, When, Work
from attorn.cli.output import Column, write_list
from attorn.cli.state import folded, only
from attorn.cli.telling import tell
from attorn.contracts.delegation import (
    AcceptDelegation,
    Budget,
    Condition,
    DeclineDelegation,
    DelegateWork,
    ExpectedOutput,
    OnViolation,
    RevokeDelegation,
)
from attorn.contracts.ids import Autonomy, Ref

app = App(name="delegation", help="Entrust somebody with part of the work, within bounds.")

Delegation = Annotated[
    str | None, Parameter(metavar="ID", help="Which delegation; needed only where it could be more than one.")
]

COLUMNS = (
    Column("DELEGATION", "delegation_id", "id"),
    Column("STATUS", "status", "id"),
    Column("FROM", "delegator", "id"),
    Column("TO", "delegate", "id"),
    Column("UNTIL", "valid_until", "time"),
    Column("MAY", lambda d: [d.get("autonomy", "suggest"), *d.get("activities", ())]),
)


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
    autonomy: Annotated[Autonomy | None, Parameter(help="How far they may go by themselves.")] = None,
    valid_from: Annotated[When | None, Parameter(help="From when on.")] = None,
    until: Annotated[When | None, Parameter(help="Until when.")] = None,
    max_uses: Annotated[int | None, Parameter(metavar="N", help="How often it may be used.")] = None,
    max_actions: Annotated[int | None, Parameter(metavar="N", help="How many actions it is good for.")] = None,
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
        "budget": Budget(actions=max_actions, elapsed=elapsed) if max_actions is not None or elapsed else None,
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
async def revoke(work: Work, /, *, delegation: Delegation = None, reason: Reason = None, options: Given) -> None:
    """Take back what was entrusted, and all that was passed on from it, at once.

    Example: attorn delegation revoke W-1 --reason "it went too far"
    """
    await _answer(RevokeDelegation, work, delegation, reason, options, ("granted", "accepted", "suspended"), mine=False)


@app.command
async def ls(work: Work, /, *, options: Given) -> None:
    """List the delegations of a work item, and what each allows.

    Example: attorn delegation ls W-1
    """
    async with connected(options) as attorn:
        state = await folded(attorn, work)
    found = [msgspec.to_builtins(held.terms) | {"status": held.status} for held in state.delegations.values()]
    write_list(options, found, COLUMNS, id="delegation_id", nothing=f"nobody is entrusted with work/{work}")


async def _answer(
    shape: Callable[..., AcceptDelegation | DeclineDelegation | RevokeDelegation],
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
            state = await folded(attorn, work)
            found = [
                id
                for id, held in state.delegations.items()
                if held.status in statuses and (not mine or held.terms.delegate == options.actor)
            ]
            what = f"delegation to {options.actor} that waits for an answer" if mine else "delegation to take back"
            delegation = only(found, what, work, "--delegation", "delegation ls")
        await tell(attorn, shape(work_id=work, delegation_id=delegation, reason=reason or ""), id=delegation)
