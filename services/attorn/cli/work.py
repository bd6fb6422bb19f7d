"""`attorn work`: define work, move it on, hand it over, see where it stands."""

from typing import Annotated, Any

from cyclopts import App, Group, Parameter

from attorn.cli import board, flow
from attorn.cli.connect import connected
from attorn.cli.errors import misused, not_found
from attorn.cli.inputs import command, digest_of, document, pairs
from attorn.cli.options import (
    From,
    Given,
    Id,
    Ids,
    Limit,
    Note,
    Position,
    Reason,
    Text,
    Texts,
    When,
    Work,
    as_of,
)
from attorn.cli.output import Column, facts, shown, write_list, write_one
from attorn.cli.paging import listed, others
from attorn.cli.state import folded
from attorn.cli.telling import tell
from attorn.contracts.accountability import OfferAccountability, TransferAccountability, TransferBasis
from attorn.contracts.context import AddNote, ShareContext
from attorn.contracts.deadline import SetDeadline
from attorn.contracts.ids import Priority, Ref
from attorn.contracts.output import ReleaseOutput, WithdrawOutput
from attorn.contracts.work import (
    AcceptanceCriterion,
    AssignmentMode,
    AssignWork,
    CancelWork,
    ClarifyWork,
    CompleteWork,
    CriterionResult,
    CriterionVerdict,
    DeclineWork,
    DefineWork,
    FailWork,
    Purpose,
    ReadyWork,
    ReopenWork,
    ReprioritizeWork,
    ResumeWork,
    Scope,
    SubmitWork,
    SupersedeWork,
    SuspendWork,
    UnassignWork,
    VerifyWork,
)

SEEING = Group("See", sort_key=1)
MOVING = Group("Define and move on", sort_key=2)
HANDING = Group("Hand over", sort_key=3)

CONTEXT = (
    Column("POSITION", "position", "number"),
    Column("TIME", "time", "time"),
    Column("FOR", lambda known: known.get("to") or "everybody", "id"),
    Column("WHERE", lambda known: known["ref"]["uri"]),
)

app = App(name="work", help="Define work, move it on, hand it over; see where it stands.")


@app.command(group=MOVING)
async def define(
    work: Work,
    title: Annotated[str | None, Parameter(metavar="TITLE", help="What it is, in a few words.")] = None,
    /,
    *,
    accountable: Annotated[
        str | None, Parameter(metavar="WHO", help="The person who answers for it; by default who acts.")
    ] = None,
    process: Annotated[Id | None, Parameter(help="The process that it runs under.")] = None,
    why: Annotated[Text | None, Parameter(help="Why it is worth doing.")] = None,
    criterion: Annotated[
        tuple[str, ...] | None,
        Parameter(metavar="[ID=]TEXT", help="Something that must hold before it is done; once for each."),
    ] = None,
    requirement: Annotated[Texts, Parameter(help="Something that it needs; once for each.")] = None,
    include: Annotated[Texts, Parameter(help="What belongs to it; once for each.")] = None,
    exclude: Annotated[Texts, Parameter(help="What expressly does not; once for each.")] = None,
    candidate: Annotated[Ids, Parameter(help="Who may carry it out; once for each.")] = None,
    priority: Annotated[Priority | None, Parameter(help="How urgent it is.")] = None,
    due: Annotated[When | None, Parameter(help="When it has to be done.")] = None,
    parent: Annotated[Id | None, Parameter(help="The work item that this is a part of.")] = None,
    depends_on: Annotated[Ids, Parameter(help="Work that has to be done first; once for each.")] = None,
    dedup_key: Annotated[Text | None, Parameter(help="What it is about; nothing else open may have the same.")] = None,
    review_policy: Annotated[Id | None, Parameter(help="Instead of the process's own.")] = None,
    escalation_policy: Annotated[Id | None, Parameter(help="Instead of the process's own.")] = None,
    from_: From = None,
    options: Given,
) -> None:
    """Define a work item: what it is, and the one person who answers for it.

    Example: attorn work define W-1 "Refund order 1042" --accountable ana --criterion amount="the amount is right"
    """
    said: dict[str, Any] = {
        "work_id": work,
        "title": title,
        "accountable": accountable,
        "process": process,
        "purpose": Purpose(why=why) if why is not None else None,
        "scope": Scope(included=include or (), excluded=exclude or ()) if include or exclude else None,
        "requirements": requirement,
        "acceptance_criteria": tuple(
            AcceptanceCriterion(id=id, text=text) for id, text in pairs(criterion, "--criterion", number="c")
        )
        or None,
        "candidates": candidate,
        "priority": priority,
        "due_at": due,
        "parent_id": parent,
        "depends_on": depends_on,
        "dedup_key": dedup_key,
        "review_policy": review_policy,
        "escalation_policy": escalation_policy,
    }
    if from_ is None:
        if title is None:
            raise misused("a work item has a title", 'attorn work define W-1 "Refund order 1042"')
        said["accountable"] = accountable or options.actor
    async with connected(options) as attorn:
        await tell(attorn, command(DefineWork, said, from_))


@app.command(group=MOVING)
async def clarify(
    work: Work,
    /,
    *,
    set: Annotated[
        tuple[str, ...] | None,
        Parameter(metavar="FIELD=VALUE", help="The new value of a field, as JSON or as plain text; once for each."),
    ] = None,
    reason: Reason = None,
    from_: Annotated[
        str | None,
        Parameter(
            name="--from",
            metavar="FILE",
            allow_leading_hyphen=True,
            help="The fields from a TOML or JSON file; - is standard input.",
        ),
    ] = None,
    options: Given,
) -> None:
    """Say more exactly what the work is.

    Example: attorn work clarify W-1 --set priority=high --set due_at=2026-03-01T12:00:00Z --reason "customer waits"
    """
    changes = document(from_) if from_ is not None else {}
    if not isinstance(changes, dict):
        raise misused(f"{from_}: it has no fields")
    changes |= {field: _value(text) for field, text in pairs(set, "--set")}
    if not changes:
        raise misused("nothing is to be clarified", "attorn work clarify W-1 --set priority=high")
    async with connected(options) as attorn:
        await tell(attorn, command(ClarifyWork, {"work_id": work, "changes": changes, "reason": reason}))


@app.command(group=MOVING)
async def ready(
    work: Work,
    /,
    *,
    why: Annotated[Text | None, Parameter(help="Why it is worth doing.")] = None,
    what: Annotated[Text | None, Parameter(help="What is to come out of it.")] = None,
    who: Annotated[Text | None, Parameter(help="Who is to do it.")] = None,
    when: Annotated[Text | None, Parameter(help="By when it is needed.")] = None,
    how: Annotated[Text | None, Parameter(help="How it is to be done.")] = None,
    options: Given,
) -> None:
    """Open the work to be taken up. What its definition leaves open can be said here; what is missing is noted.

    Example: attorn work ready W-1 --how "as the refund handbook says"
    """
    said = {"work_id": work, "why": why, "what": what, "who": who, "when": when, "how": how}
    async with connected(options) as attorn:
        await tell(attorn, command(ReadyWork, said))


@app.command(group=MOVING)
async def assign(
    work: Work,
    executor: Annotated[
        str | None, Parameter(metavar="WHO", help="Who is to carry it out; not needed with --mode route.")
    ] = None,
    /,
    *,
    mode: Annotated[
        AssignmentMode | None,
        Parameter(help="Assigned; nominated from the candidates; or routed to the first of them who is able."),
    ] = None,
    reason: Reason = None,
    options: Given,
) -> None:
    """Have somebody carry the work out. Who answers for it does not change.

    Example: attorn work assign W-1 refunds-bot
    """
    said = {"work_id": work, "executor": executor, "mode": mode, "reason": reason}
    async with connected(options) as attorn:
        await tell(attorn, command(AssignWork, said))


@app.command(group=MOVING)
async def reprioritize(
    work: Work,
    priority: Annotated[Priority, Parameter(metavar="PRIORITY", help="How urgent it is now.")],
    /,
    *,
    reason: Reason = None,
    options: Given,
) -> None:
    """Say how urgent the work is now.

    Example: attorn work reprioritize W-1 high --reason "the customer travels on Friday"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(ReprioritizeWork, {"work_id": work, "priority": priority, "reason": reason}))


@app.command(group=MOVING)
async def due(
    work: Work,
    time: Annotated[When | None, Parameter(metavar="TIME", help="By when; without it, there is no deadline.")] = None,
    /,
    *,
    start: Annotated[bool, Parameter(help="The time to be started by, not that to be done by.")] = False,
    reason: Reason = None,
    options: Given,
) -> None:
    """Say by when the work has to be done, or started.

    Example: attorn work due W-1 2026-03-06T12:00 --reason "the customer travels on Friday"
    """
    said = {"work_id": work, "new": time, "kind": "start" if start else None, "reason": reason}
    async with connected(options) as attorn:
        await tell(attorn, command(SetDeadline, said))


@app.command(group=MOVING)
async def unassign(work: Work, /, *, reason: Reason = None, options: Given) -> None:
    """Take the executor off the work; it is open to its candidates again.

    Example: attorn work unassign W-1 --reason "the agent is being updated"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(UnassignWork, {"work_id": work, "reason": reason}))


@app.command(group=MOVING)
async def decline(work: Work, /, *, reason: Reason = None, options: Given) -> None:
    """Not carry out what one was assigned.

    Example: attorn work decline W-1 --as ben --reason "I packed the parcel"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(DeclineWork, {"work_id": work, "reason": reason}))


@app.command(group=MOVING)
async def suspend(
    work: Work,
    /,
    *,
    until: Annotated[When | None, Parameter(help="When it is expected to go on.")] = None,
    reason: Reason = None,
    options: Given,
) -> None:
    """Let the work rest until it is resumed.

    Example: attorn work suspend W-1 --until 2026-03-09 --reason "the customer is away"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(SuspendWork, {"work_id": work, "until": until, "reason": reason}))


@app.command(group=MOVING)
async def resume(work: Work, /, *, reason: Reason = None, options: Given) -> None:
    """Let the work go on from where it rested.

    Example: attorn work resume W-1 --reason "the customer is back"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(ResumeWork, {"work_id": work, "reason": reason}))


@app.command(group=MOVING)
async def submit(
    work: Work,
    outputs: Annotated[
        tuple[str, ...] | None, Parameter(metavar="OUTPUT", help="Which outputs; by default all.")
    ] = None,
    /,
    *,
    note: Note = None,
    options: Given,
) -> None:
    """Hand the outputs over to be judged.

    Example: attorn work submit W-1 reply
    """
    async with connected(options) as attorn:
        await tell(attorn, command(SubmitWork, {"work_id": work, "outputs": outputs, "note": note}))


@app.command(group=MOVING)
async def verify(
    work: Work,
    /,
    *,
    passed: Annotated[Ids, Parameter(help="An acceptance criterion that holds; once for each.")] = None,
    failed: Annotated[Ids, Parameter(help="One that does not.")] = None,
    waived: Annotated[Ids, Parameter(help="One that is not insisted on.")] = None,
    note: Note = None,
    options: Given,
) -> None:
    """Hold the work against its acceptance criteria, a verdict on each.

    Example: attorn work verify W-1 --passed amount --passed tone
    """
    said: tuple[tuple[CriterionResult, tuple[str, ...] | None], ...]
    said = (("passed", passed), ("failed", failed), ("waived", waived))
    criteria = tuple(CriterionVerdict(id=id, result=result) for result, ids in said for id in ids or ())
    async with connected(options) as attorn:
        definition = (await folded(attorn, work)).definition
        known = [criterion.id for criterion in definition.acceptance_criteria] if definition is not None else []
        for verdict in criteria:
            if verdict.id not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise misused(f"work/{work} has no acceptance criterion {verdict.id!r}; {has}")
        await tell(attorn, command(VerifyWork, {"work_id": work, "criteria": criteria, "note": note}))


@app.command(group=MOVING)
async def complete(work: Work, /, *, note: Note = None, options: Given) -> None:
    """Say that the work is done. Who answers for it goes on answering.

    Example: attorn work complete W-1
    """
    async with connected(options) as attorn:
        await tell(attorn, command(CompleteWork, {"work_id": work, "note": note}))


@app.command(group=MOVING)
async def reopen(work: Work, /, *, reason: Reason = None, options: Given) -> None:
    """Open work once more that had ended; the earlier cycle stays as it was.

    Example: attorn work reopen W-1 --reason "the customer wrote again"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(ReopenWork, {"work_id": work, "reason": reason}))


@app.command(group=MOVING)
async def cancel(work: Work, /, *, reason: Reason = None, options: Given) -> None:
    """End the work because it is no longer wanted.

    Example: attorn work cancel W-1 --reason "ordered twice"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(CancelWork, {"work_id": work, "reason": reason}))


@app.command(group=MOVING)
async def supersede(
    work: Work,
    other: Annotated[str | None, Parameter(metavar="OTHER", help="The work that takes its place.")] = None,
    /,
    *,
    reason: Reason = None,
    options: Given,
) -> None:
    """End the work because other work takes its place.

    Example: attorn work supersede W-1 W-7 --reason "the same order, reported twice"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(SupersedeWork, {"work_id": work, "duplicate_of": other, "reason": reason}))


@app.command(group=MOVING)
async def fail(
    work: Work,
    /,
    *,
    error_class: Annotated[Text | None, Parameter(help="What kind of failure it is.")] = None,
    retryable: Annotated[bool, Parameter(help="Trying again could help.")] = False,
    reason: Reason = None,
    options: Given,
) -> None:
    """End the work without its result.

    Example: attorn work fail W-1 --reason "the bank refuses" --retryable
    """
    said = {"work_id": work, "error_class": error_class, "retryable": retryable, "reason": reason}
    async with connected(options) as attorn:
        await tell(attorn, command(FailWork, said))


@app.command(group=MOVING)
async def release(
    work: Work,
    output: Annotated[str, Parameter(metavar="OUTPUT", help="The id of the output.")],
    /,
    *,
    to: Annotated[Text | None, Parameter(help="Who gets it.")] = None,
    channel: Annotated[Text | None, Parameter(help="How they get it.")] = None,
    options: Given,
) -> None:
    """Let an output go to whoever waits for it. Refused until its review policy is met, or waived.

    Example: attorn work release W-1 reply --to "the customer" --channel mail
    """
    said = {"work_id": work, "output_id": output, "to": to, "channel": channel}
    async with connected(options) as attorn:
        await tell(attorn, command(ReleaseOutput, said))


@app.command(group=MOVING)
async def withdraw(
    work: Work,
    output: Annotated[str, Parameter(metavar="OUTPUT", help="The id of the output.")],
    /,
    *,
    reason: Reason = None,
    options: Given,
) -> None:
    """Take an output back; whoever has it must not rely on it.

    Example: attorn work withdraw W-1 reply --reason "wrong customer"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(WithdrawOutput, {"work_id": work, "output_id": output, "reason": reason}))


@app.command(group=MOVING)
async def share(
    work: Work,
    uri: Annotated[str, Parameter(metavar="URI", help="Where it is.")],
    /,
    *,
    digest: Annotated[Text | None, Parameter(help="Its digest, sha256:…, or a file that it is made of.")] = None,
    note: Note = None,
    options: Given,
) -> None:
    """Let everybody who works on this find something that is kept elsewhere.

    Example: attorn work share W-1 https://shop.example/photo.jpg --note "as it arrived"
    """
    ref = Ref(uri=uri, dig=digest_of(digest) if digest is not None else None)
    async with connected(options) as attorn:
        await tell(attorn, command(ShareContext, {"work_id": work, "ref": ref, "note": note}))


@app.command(group=MOVING)
async def note(
    work: Work, text: Annotated[str, Parameter(metavar="TEXT", help="What to write down.")], /, *, options: Given
) -> None:
    """Write something down for the others.

    Example: attorn work note W-1 "the customer prefers mail"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(AddNote, {"work_id": work, "text": text}))


# ---- hand over


@app.command(group=HANDING)
async def offer(
    work: Work,
    to: Annotated[str, Parameter(metavar="WHO", help="Who is asked to answer for it.")],
    /,
    *,
    reason: Reason = None,
    options: Given,
) -> None:
    """Ask somebody to answer for the work. Until they accept with `work transfer`, nothing has changed.

    Example: attorn work offer W-1 ben --reason "I am away in March"
    """
    async with connected(options) as attorn:
        await tell(attorn, command(OfferAccountability, {"work_id": work, "to": to, "reason": reason}))


@app.command(group=HANDING)
async def transfer(
    work: Work,
    to: Annotated[str | None, Parameter(metavar="WHO", help="Who answers from now on; by default who acts.")] = None,
    /,
    *,
    basis: Annotated[TransferBasis | None, Parameter(help="Why it passes: by default because it was accepted.")] = None,
    reason: Reason = None,
    options: Given,
) -> None:
    """Answer for the work from now on: accept what was offered; or, with authority, say who does.

    Example: attorn work transfer W-1 --as ben
    """
    said = {"work_id": work, "to": to or options.actor, "basis": basis, "reason": reason}
    async with connected(options) as attorn:
        await tell(attorn, command(TransferAccountability, said))


app.command(
    "attorn.cli.delegation:give", name="delegate", group=HANDING, help="Entrust somebody with part of the work."
)


# ---- see

for _view in (board.ls, board.count, board.timeline, flow.queue, flow.stalled, flow.bottleneck, flow.stats):
    app.command(_view, group=SEEING)
app.command(board.show, group=SEEING, alias="get")


@app.command(group=SEEING)
async def stack(work: Work, /, *, options: Given) -> None:
    """Say why, what, who, when and how of a work item, and what of it nobody has answered.

    Example: attorn work stack W-1
    """
    from attorn.projections.stack import LAYERS

    async with connected(options) as attorn:
        found = await attorn.ask("stack", work=work)
    if "stack" not in found:
        raise not_found(found["problem"], "`attorn work ls` says what is")
    told = {"work": work, **found["stack"]}
    lines = {layer: shown(told[layer]) or "nobody has said" for layer in LAYERS}
    more = {"missing": shown(told["missing"]) or "nothing", "clear": f"{told['clarity']:.0%}"}
    write_one(options, told, lambda: facts([*lines.items(), *more.items()]), id=work)


@app.command(group=SEEING)
async def context(
    work: Work,
    /,
    *,
    execution: Annotated[Id | None, Parameter(help="Only what was known when this execution started.")] = None,
    position: Position = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List what those who work on it were given: by default up to now, and to anybody.

    Example: attorn work context W-1 --execution E-1
    """
    asked = {"work": work, "execution": execution, **as_of(None, None, position)}
    async with connected(options) as attorn:
        problem = (await attorn.ask("context", limit=1, **asked)).get("problem")
        if problem:
            raise not_found(problem, f"`attorn work timeline {work}` says what happened")
        found, more = await listed(attorn, "context", "known", limit, **asked)
    write_list(options, found, CONTEXT, id="position", nothing="nothing was shared", more=others(more))


def _value(text: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
