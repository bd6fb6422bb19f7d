"""`attorn process`: how a kind of work is to flow, and who owns it."""

from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import Exit, misused, not_found
from attorn.cli.inputs import command, document
from attorn.cli.options import Document, From, Given, Id, Limit, Who
from attorn.cli.output import Column, bold, facts, shown, table, width, write_list, write_one
from attorn.cli.paging import listed, one, others
from attorn.cli.reading import pages
from attorn.cli.telling import tell_plainly
from attorn.contracts.ids import Recoverable
from attorn.contracts.process import Judgment, MapProcess, Origin, PublishProcess, RetireProcess
from attorn.services.process.template import Template

app = App(name="process", help="How a kind of work is to flow, and who owns it.")

Process = Annotated[str, Parameter(metavar="PROCESS", help="The id of the process.")]

COLUMNS = (
    Column("PROCESS", "id", "id"),
    Column("VERSION", "version", "number"),
    Column("OWNER", "owner", "id"),
    Column("ANSWERS", lambda p: p.get("answers") if p.get("answers") != p["owner"] else None, "id"),
    Column("OPEN WORK", "open", "number"),
    Column("REVIEW", "review_policy"),
    Column("ESCALATION", "escalation_policy"),
    Column("RETIRED", lambda p: p.get("retired") or None),
    Column("PURPOSE", "purpose"),
)

STEPS = (
    Column("STEP", "step_id", "id"),
    Column("NAME", "name"),
    Column("BY", lambda s: s.get("raci", {}).get("R")),
    Column("ANSWERS", lambda s: s.get("raci", {}).get("A")),
    Column("AI", "ai_mode"),
    Column("NEXT", "next"),
)


BADGES_OF = ("structured", "visible", "accountable")
BADGES = (
    Column("PROCESS", "process", "id"),
    Column("VERSION", "version", "number"),
    Column("ITEMS", "items", "number"),
    Column("STRUCTURED", lambda each: shown(each["structured"]["green"]), "id"),
    Column("VISIBLE", lambda each: shown(each["visible"]["green"]), "id"),
    Column("ACCOUNTABLE", lambda each: shown(each["accountable"]["green"]), "id"),
    Column("AGAINST IT", lambda each: [why for name in BADGES_OF for why in each[name].get("reasons", ())]),
)
UNITS = (
    Column("UNIT", lambda unit: unit.get("unit") or "of no unit"),
    Column("ITEMS", "items", "number"),
    Column("UNDER A PROCESS", lambda unit: f"{unit['share']:.0%}"),
    Column("WITH ALL CONTROLS", lambda unit: f"{unit['coverage']:.0%}"),
)
FLAWS = (
    Column("WHAT", "code", "id"),
    Column("WHERE", "field", "id"),
    Column("REFUSED BY", "rule", "id"),
    Column("DETAIL", "detail"),
)


@app.command
async def publish(
    file: Document,
    /,
    *,
    id: Annotated[Id | None, Parameter(help="Its id, if the file does not say process_id.")] = None,
    owner: Annotated[Who | None, Parameter(help="Its owner, if the file does not say.")] = None,
    options: Given,
) -> None:
    """Put a process, or its next version, into force. The same again changes nothing.

    The file says process_id, owner, purpose, review_policy, escalation_policy, risk_tier (minimal, limited, high), and
    [[steps]] with step_id, name, next, ai_mode (none, suggest, act_with_approval, act_then_review, act), and raci: who
    answers (A), carries it out (R), is asked (C), is told (I), as in raci = {A = "ana", R = "refunds-bot"}. Where AI
    takes part, [ai_work] says participation, accountability, collaboration and visibility.

    New work is pinned to the newest version; work that runs stays under its own.

    Example: attorn process publish examples/refunds.toml
    """
    asked = command(PublishProcess, {"process_id": id, "owner": owner}, file)
    async with connected(options) as attorn:
        await tell_plainly(attorn, asked, lambda: _published(attorn, asked))


@app.command
async def lint(
    file: Document,
    /,
    *,
    options: Given,
) -> int:
    """Say what is wrong with a process as it is written, and what is missing. Exits 7 when there is anything.

    What has a rule is refused when the process is published; the rest is advice. Nobody is asked for it: whether there
    are the people and the policies that it names is seen when it is published.

    Example: attorn process lint examples/refunds.toml
    """
    from attorn.services.process.lint import lint as find

    said = document(file)
    if not isinstance(said, dict):
        raise misused(f"{file}: it has no fields; a table of TOML or an object of JSON has")
    # A draft may lack what a publication cannot: that is for lint to say, with all the rest.
    draft = {"process_id": "draft", "owner": "nobody"} | said
    flaws = find(_read(draft, file), has_owner="owner" in said)
    found = [{"code": f.code, "field": f.field, "rule": f.rule, "detail": f.detail} for f in flaws]
    write_list(options, found, FLAWS, id="code", nothing="nothing is wrong with it")
    return Exit.CHECK_FAILED if found else 0


@app.command
def init(
    *,
    template: Annotated[Template, Parameter(help="Which one to begin with.")],
    id: Annotated[Id | None, Parameter(help="Its id; by default the template's name.")] = None,
    owner: Annotated[Who | None, Parameter(help="The person who owns it; by default who acts.")] = None,
    review_policy: Annotated[Id, Parameter(help="The policy of its reviews.")] = "four-eyes",
    escalation_policy: Annotated[Id, Parameter(help="The policy of its escalations.")] = "ladder",
    options: Given,
) -> None:
    """Write a process to begin with, as TOML, to standard output.

    Example: attorn process init --template ap-invoice --owner ana
    """
    from attorn.services.process.template import filled

    said = {"id": id or template, "owner": owner or options.actor, "review_policy": review_policy,
            "escalation_policy": escalation_policy}  # fmt: skip
    print(filled(template, said), end="")


@app.command
async def mine(
    *,
    process: Annotated[
        Id | None, Parameter(help="Only from work under this process; by default from all work.")
    ] = None,
    share: Annotated[float, Parameter(metavar="SHARE", help="Leave out what fewer of the items went through.")] = 0.05,
    options: Given,
) -> None:
    """Draft a map of a process from what happened to work, as JSON on standard output.

    Look through it, give it to `attorn process map --from`, and to people: who answers for a step no history says.

    Example: attorn process mine --process refunds
    """
    import msgspec

    from attorn.services.process.mine import History, draft

    if not 0 <= share <= 1:
        raise misused(f"--share is {share:g}; it is from 0 to 1")
    history = History()
    async with connected(options) as attorn:
        async for page in pages(attorn, kinds=("work",)):
            for recorded in page.recorded:
                history.take(recorded.event, process)
    # Of a payload the tag is no field that a command has.
    said = {name: each for name, each in msgspec.to_builtins(draft(history, share)).items() if name != "type"}
    print(msgspec.json.format(msgspec.json.encode(said)).decode())


@app.command(name="map")
async def map_(
    process: Process,
    /,
    *,
    origin: Annotated[Origin, Parameter(help="Whether somebody wrote it down, or a log shows it.")] = "documented",
    volume: Annotated[int | None, Parameter(metavar="N", help="How many a month.")] = None,
    judgment: Annotated[Judgment | None, Parameter(help="How much of it is judgment.")] = None,
    recoverable: Annotated[Recoverable | None, Parameter(help="Whether a failure can be undone.")] = None,
    from_: From = None,
    options: Given,
) -> None:
    """Write down how the work flows today, before anything of it is handed to AI.

    The file has [[steps]], as `attorn process publish --help` says.

    Example: attorn process map refunds --volume 3400 --judgment low --recoverable partial --from steps.toml
    """
    said = {"process_id": process, "origin": origin, "volume_per_month": volume, "judgment": judgment,
            "recoverable": recoverable}  # fmt: skip
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(MapProcess, said, from_), f"{process} is mapped")


@app.command
async def retire(
    process: Process,
    /,
    *,
    successor: Annotated[Id | None, Parameter(help="The process that takes its place.")] = None,
    options: Given,
) -> None:
    """Let no new work begin under a process.

    Example: attorn process retire refunds --successor refunds-2
    """
    asked = command(RetireProcess, {"process_id": process, "successor": successor})
    async with connected(options) as attorn:
        await tell_plainly(attorn, asked, f"{process} is retired")


@app.command
async def ls(
    *,
    after: Annotated[Id | None, Parameter(help="Begin behind this id.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List the processes, each in its newest version.

    Example: attorn process ls
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "processes", "processes", limit, after)
    write_list(options, found, COLUMNS, id="id", nothing="no process is published", more=others(more))


@app.command
async def badges(
    process: Annotated[str | None, Parameter(metavar="PROCESS", help="Only this one.")] = None,
    /,
    *,
    limit: Limit = 20,
    options: Given,
) -> None:
    """List whether each process is structured, visible and accountable, and what is against it.

    Example: attorn process badges refunds
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "badges", "processes", limit, process=process)
    write_list(options, found, BADGES, id="process", nothing="no process is published", more=others(more))


@app.command
async def coverage(*, options: Given) -> None:
    """List how much of the work runs under a published process, and under one with all controls, by unit.

    `attorn audit coverage` lists which controls each process has.

    Example: attorn process coverage
    """
    async with connected(options) as attorn:
        found = await attorn.ask("process_coverage", limit=1)
    units = [*found.get("units", ()), found["all"] | {"unit": "all"}] if found["all"]["items"] else []
    write_list(options, units, UNITS, id="unit", nothing="there is no work")


@app.command(alias="get")
async def show(process: Process, /, *, options: Given) -> None:
    """Show a process as its newest version says.

    Example: attorn process show refunds
    """
    async with connected(options) as attorn:
        found = await one(attorn, "processes", "processes", process)
        if found is None:
            raise not_found(f"no process {process} is published", "`attorn process ls` says which are")
        found |= {"published": await newest(attorn, f"process/{process}", "attorn.process.published.v1")}
    write_one(options, found, lambda: _described(found), id=process)


async def _published(attorn: Attorn, asked: PublishProcess) -> str:
    """What is so now: the owner that a publication names may have left since."""
    found = await one(attorn, "processes", "processes", asked.process_id)
    return f"{asked.process_id} is published; {_owner(found) if found is not None else f'{asked.owner} owns it'}"


def _owner(found: dict[str, Any]) -> str:
    owner, answers = found["owner"], found.get("answers")
    return f"{owner} owns it" + ("" if answers == owner else f", and {answers or 'nobody'} answers in their place")


def _read(said: dict[str, Any], file: str) -> PublishProcess:
    import msgspec

    from attorn.contracts import door
    from attorn.contracts.refusal import Unreadable

    try:
        return door.command(msgspec.json.encode(said), PublishProcess)
    except Unreadable as error:
        raise misused(f"{file}: {error}") from error


async def newest(attorn: Attorn, stream: str, type: str) -> dict[str, Any]:
    """What the last event of a type in a stream says, from the log itself."""
    import msgspec

    said = [each.event.data for each in await attorn.ledger.read(stream) if each.event.type == type]
    found: dict[str, Any] = msgspec.to_builtins(said[-1]) if said else {}
    return found


def _described(found: dict[str, Any]) -> Iterator[str]:
    said = found["published"]
    yield bold(f"{found['id']} version {found['version']}; {_owner(found)}")
    yield from facts(
        [
            ("purpose", shown(found.get("purpose"))),
            ("versions", shown(found["versions"])),
            ("review", shown(found.get("review_policy"))),
            ("escalation", shown(found.get("escalation_policy"))),
            ("risk", shown(said.get("risk_tier"))),
            ("ready when", shown(said.get("definition_of_ready"))),
            ("retired", "yes" if found.get("retired") else ""),
            ("open work", shown(found["open"])),
        ],
        width(),
    )
    if said.get("steps"):
        yield ""
        yield from table([[column.value(step) for column in STEPS] for step in said["steps"]], STEPS, width())
