"""`attorn participant`: the humans, agents, teams and systems that take part."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import not_found, visible
from attorn.cli.inputs import command
from attorn.cli.options import From, Given, Id, Limit, Reason, Text, Texts, When, Who
from attorn.cli.output import NAME, Column, bold, facts, shown, width, write_list, write_one
from attorn.cli.paging import listed, one, others
from attorn.cli.telling import tell_plainly
from attorn.contracts.ids import ParticipantKind
from attorn.contracts.participant import (
    ChangeManager,
    DeactivateParticipant,
    GiveAttestation,
    GrantRole,
    Model,
    RegisterParticipant,
    ResumeParticipant,
    RevokeRole,
    Role,
    SuspendParticipant,
    UpdateParticipant,
)

app = App(name="participant", help="The humans, agents, teams and systems that take part.")

Participant = Annotated[str, Parameter(metavar="WHO", help="The id of the participant.")]
Scope = Annotated[str | None, Parameter(metavar="STREAM", help="Where, as in process/refunds; by default everywhere.")]

SHOWN: Final = 20


def now(member: Mapping[str, Any]) -> Iterator[str]:
    """Why somebody does nothing now, in a word each."""
    if member.get("left_position") is not None:
        yield "left"
    if member.get("suspended"):
        yield "suspended"
    if member.get("away"):
        yield "away"


COLUMNS = (
    Column("ID", "id", "id"),
    Column("KIND", "kind", "id"),
    Column("NOW", lambda member: " ".join(now(member)), "id"),
    Column("ANSWERS FOR", "answers_for", "number"),
    Column("CARRIES OUT", "executing", "number"),
    Column("SPONSOR", "sponsor", "id"),
    Column("SUCCESSOR", "successor", "id"),
    NAME,
    Column("ROLES", "roles"),
)


@app.command
async def register(
    participant: Participant,
    kind: Annotated[ParticipantKind, Parameter(metavar="KIND", help="What it is.")] = "human",
    /,
    *,
    name: Annotated[Text | None, Parameter(help="How it is called; by default its id.")] = None,
    sponsor: Annotated[Who | None, Parameter(help="The person behind it; an agent or a system has one.")] = None,
    unit: Annotated[Text | None, Parameter(help="Where it belongs.")] = None,
    reports_to: Annotated[Who | None, Parameter(help="Whom it reports to.")] = None,
    capability: Annotated[Texts, Parameter(help="What it can do; once for each.")] = None,
    model: Annotated[str | None, Parameter(metavar="PROVIDER/NAME", help="What an agent runs on.")] = None,
    from_: From = None,
    options: Given,
) -> None:
    """Let somebody, or something, take part.

    Example: attorn participant register refunds-bot agent --name "Refunds" --sponsor ana
    """
    provider, _, model_name = (model or "").partition("/")
    said = {
        "participant_id": participant,
        "kind": kind,
        "display_name": name or (participant if from_ is None else None),
        "sponsor": sponsor,
        "org_unit": unit,
        "reports_to": reports_to,
        "capabilities": capability,
        "model": Model(provider=provider, name=model_name or provider) if model else None,
    }
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(RegisterParticipant, said, from_), f"{participant} takes part, as {kind}")


@app.command
async def update(
    participant: Participant,
    /,
    *,
    name: Annotated[Text | None, Parameter(help="How it is called.")] = None,
    sponsor: Annotated[Who | None, Parameter(help="The person behind it.")] = None,
    unit: Annotated[Text | None, Parameter(help="Where it belongs.")] = None,
    external_party: Annotated[Text | None, Parameter(help="The house that it is of, if it is not of ours.")] = None,
    capability: Annotated[Texts, Parameter(help="All that it can do; once for each.")] = None,
    from_: From = None,
    options: Given,
) -> None:
    """Change what is known of a participant; what is not said stays as it is.

    Example: attorn participant update refunds-bot --capability payments --capability french
    """
    said = {
        "participant_id": participant,
        "display_name": name,
        "sponsor": sponsor,
        "org_unit": unit,
        "external_party": external_party,
        "capabilities": capability,
    }
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(UpdateParticipant, said, from_), f"{participant} is as you say")


@app.command
async def manager(
    participant: Participant,
    new: Annotated[Who | None, Parameter(help="Whom it reports to from now on; nobody if left out.")] = None,
    /,
    *,
    options: Given,
) -> None:
    """Let a participant report to somebody else; an agent that reports to nobody is led by its sponsor.

    Example: attorn participant manager refunds-bot ben
    """
    asked = command(ChangeManager, {"participant_id": participant, "new": new})
    async with connected(options) as attorn:
        await tell_plainly(attorn, asked, f"{participant} reports to {new or 'nobody'}")


@app.command
async def suspend(participant: Participant, /, *, scope: Scope = None, reason: Reason = None, options: Given) -> None:
    """Stop a participant at once: it does nothing, and what it was entrusted with rests.

    Example: attorn participant suspend refunds-bot --reason "paid twice"
    """
    said = {"participant_id": participant, "scope": scope, "reason": reason}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(SuspendParticipant, said), f"{participant} is suspended{_where(scope)}")


@app.command
async def resume(participant: Participant, /, *, scope: Scope = None, reason: Reason = None, options: Given) -> None:
    """Let a participant that was stopped go on.

    Example: attorn participant resume refunds-bot --reason "cause found"
    """
    said = {"participant_id": participant, "scope": scope, "reason": reason}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(ResumeParticipant, said), f"{participant} may go on{_where(scope)}")


@app.command
async def attest(
    subject: Annotated[str, Parameter(metavar="STREAM", help="What: process/refunds, participant/refunds-bot.")],
    statement: Annotated[Text, Parameter(help="What you vouch for, in your own words.")],
    /,
    *,
    until: Annotated[When | None, Parameter(help="Until when the word counts.")] = None,
    options: Given,
) -> None:
    """Vouch, in your own name, for a process, a policy or an agent as it is.

    Example: attorn participant attest process/refunds "this is how we still do it" --until 2026-09-01
    """
    said = {"participant_id": options.actor, "subject": subject, "statement": statement, "valid_until": until}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(GiveAttestation, said), f"{options.actor} vouches for {subject}")


@app.command
async def deactivate(
    participant: Participant,
    /,
    *,
    successor: Annotated[Who | None, Parameter(help="The person who answers for what was theirs, from now on.")] = None,
    reason: Reason = None,
    options: Given,
) -> None:
    """Let a participant go. A person names a successor, who answers for everything that was theirs.

    Example: attorn participant deactivate ana --successor ben --reason "retires"
    """
    said = {"participant_id": participant, "successor": successor, "reason": reason}
    succeeds = f"; {successor} succeeds" if successor is not None else ""
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(DeactivateParticipant, said), f"{participant} has left{succeeds}")


@app.command
async def grant(
    participant: Participant,
    role: Annotated[Role, Parameter(metavar="ROLE", help="In which role.")],
    /,
    *,
    scope: Scope = None,
    until: Annotated[When | None, Parameter(help="Until when.")] = None,
    options: Given,
) -> None:
    """Let a participant act in a role.

    Example: attorn participant grant ben reviewer --scope process/refunds
    """
    said = {"participant_id": participant, "role": role, "scope": scope, "valid_until": until}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(GrantRole, said), f"{participant} is {role}{_where(scope)}")


@app.command
async def revoke(
    participant: Participant,
    role: Annotated[Role, Parameter(metavar="ROLE", help="Which role.")],
    /,
    *,
    scope: Scope = None,
    reason: Reason = None,
    options: Given,
) -> None:
    """Take a role away again.

    Example: attorn participant revoke ben reviewer --scope process/refunds
    """
    said = {"participant_id": participant, "role": role, "scope": scope, "reason": reason}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(RevokeRole, said), f"{participant} is no longer {role}{_where(scope)}")


@app.command
async def ls(
    *,
    kind: Annotated[ParticipantKind | None, Parameter(help="Only of this kind.")] = None,
    all: Annotated[bool, Parameter(help="Also those who have left.")] = False,
    after: Annotated[Id | None, Parameter(help="Begin behind this id.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List who takes part, what each answers for and carries out.

    Example: attorn participant ls --kind agent
    """
    asked = {"kind": kind, "here": None if all else True, "away_at": datetime.now(UTC)}
    async with connected(options) as attorn:
        found, more = await listed(attorn, "participants", "participants", limit, after, **asked)
    write_list(options, found, COLUMNS, id="id", nothing="nobody takes part", more=others(more))


@app.command(alias="get")
async def show(participant: Participant, /, *, options: Given) -> None:
    """Show a participant, and everything that they answer for now.

    Example: attorn participant show ana
    """
    async with connected(options) as attorn:
        member = await one(attorn, "participants", "participants", participant, away_at=datetime.now(UTC))
        if member is None:
            raise not_found(f"{participant} is not registered", "`attorn participant ls --all` says who is")
        held = await attorn.ask("answers_for", person=participant, limit=SHOWN)
    found = member | {"held": list(held.get("items", ())), "held_count": held.get("count", 0)}
    write_one(options, found, lambda: _described(found), id=participant)


def _described(found: dict[str, Any]) -> Iterator[str]:
    from attorn.cli.output import table

    yield bold(f"{found['id']} ({visible(found['name'])}), {found['kind']}")
    left = found.get("left_position")
    yield from facts(
        [
            ("registered", f"at position {found['position']}"),
            ("left", f"at position {left}; {found.get('successor') or 'nobody'} succeeds" if left is not None else ""),
            ("suspended", "does nothing until resumed" if found.get("suspended") else ""),
            ("away", _away(found.get("away"))),
            ("sponsor", _sponsor(found)),
            ("unit", shown(found.get("org_unit"))),
            ("reports to", shown(found.get("reports_to"))),
            ("roles", shown(found.get("roles"))),
            ("carries out", f"{found['executing']:,} not ended"),
            ("answers for", f"{found['held_count']:,} not ended"),
        ],
        width(),
    )
    if found["held"]:
        columns = (
            Column("WORK", "work", "id"),
            Column("STATE", "state", "id"),
            Column("AS", "basis"),
            Column("TITLE", "title"),
        )
        yield ""
        yield from table([[column.value(row) for column in columns] for row in found["held"]], columns, width())
        if found["held_count"] > len(found["held"]):
            yield f"and {found['held_count'] - len(found['held'])} more; `attorn work ls --accountable {found['id']}`"


def _away(away: Mapping[str, Any] | None) -> str:
    if not away:
        return ""
    stands_in = f"{away.get('substitute') or 'nobody'} stands in for {shown(away['covers'])}"
    return f"until {shown(away['until'], 'time')}; {stands_in}"


def _sponsor(found: Mapping[str, Any]) -> str:
    named, sponsor = found.get("named_sponsor"), found.get("sponsor")
    if named is None:
        return shown(sponsor)
    return f"{sponsor or 'nobody'}, as {named} is not here"


def _where(scope: str | None) -> str:
    return f" for {scope}" if scope else ""
