"""`attorn agent`: agents at work in processes, and who looks after them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import Exit
from attorn.cli.inputs import command, digest_of, pairs
from attorn.cli.options import At, From, Given, Id, Reason, Text, When, as_of
from attorn.cli.output import Column, write_list
from attorn.cli.people import directory
from attorn.cli.telling import tell_plainly
from attorn.contracts.participant import DeployAgent, Oversight, StepInstructions, UndeployAgent, VolumeFloor

app = App(name="agent", help="Agents at work in processes, and who looks after them.")


def length(type_: Any, tokens: Sequence[Any]) -> timedelta:
    """`5m`, `4h`, `30d`, or as ISO 8601 has it, `PT5M`."""
    import msgspec

    text = tokens[0].value
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdecimal() and text[-1] in units:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        return msgspec.convert(text, timedelta, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"{text!r} is not a length of time such as 5m, 4h, 30d or PT5M") from None


Length = Annotated[timedelta, Parameter(converter=length, metavar="TIME")]
Agent = Annotated[str, Parameter(metavar="AGENT", help="The id of the agent.")]
Process = Annotated[str, Parameter(metavar="PROCESS", help="The id of the process.")]
Environment = Annotated[Text | None, Parameter(help="Which of several installations; by default production.")]

COLUMNS = (
    Column("AGENT", "agent", "id"),
    Column("PROCESS", "process", "id"),
    Column("VERSION", "version", "number"),
    Column("NEWEST", lambda d: d["newest"] if d["newest"] != d["version"] else None, "number"),
    Column("ENVIRONMENT", "environment", "id"),
    Column("SINCE", "since", "time"),
    Column("LED BY", "person", "id"),
    Column("AGENT VERSION", "agent_version"),
)
STUCK = (
    Column("PROCESS", "process", "id"),
    Column("RUNG", "rung", "number"),
    Column("ASKED", "persons"),
    Column("WITHIN", "within"),
    Column("NAMED", "targets"),
    Column("PROBLEM", "problem"),
)
UNATTESTED = (Column("WHAT", "subject", "id"), Column("LAST BY", "by", "id"), Column("AT", "at", "time"))


@app.command
async def deploy(
    agent: Agent,
    process: Process,
    /,
    *,
    heartbeat: Annotated[Length | None, Parameter(help="How often it shows that it is alive.")] = None,
    review_every: Annotated[Length | None, Parameter(help="How often people look at the agent itself.")] = None,
    sample_rate: Annotated[float, Parameter(metavar="SHARE", help="Which share of its outputs is reviewed.")] = 1.0,
    version: Annotated[int | None, Parameter(metavar="N", help="Of the process; by default that in force.")] = None,
    environment: Environment = None,
    agent_version: Annotated[Text | None, Parameter(help="Which version of the agent.")] = None,
    instructions: Annotated[
        tuple[str, ...] | None,
        Parameter(metavar="STEP=FILE", help="What it goes by in a step; the file's digest is pinned. Once for each."),
    ] = None,
    at_least: Annotated[int | None, Parameter(metavar="N", help="The least that it gets done in --per.")] = None,
    per: Annotated[Length | None, Parameter(help="The time for --at-least.")] = None,
    from_: From = None,
    options: Given,
) -> None:
    """Let an agent work in a process.

    Refused, with all that is missing, unless the process is mapped, published and not retired and says who is asked
    when work is stuck, and the agent has a sponsor who is here, a heartbeat, a plan of oversight, what its steps need
    among its capabilities, and somebody who is agent_manager there.

    Example: attorn agent deploy refunds-bot refunds --heartbeat 5m --review-every 30d --sample-rate 0.2
    """
    said = {
        "participant_id": agent,
        "process_id": process,
        "process_version": version,
        "environment": environment,
        "agent_version": agent_version,
        "heartbeat": heartbeat,
        "oversight": Oversight(sample_rate=sample_rate, review_every=review_every) if review_every else None,
        "volume_floor": VolumeFloor(count=at_least, per=per) if at_least is not None else None,
        "instructions": tuple(
            StepInstructions(step=step, dig=digest_of(file), uri=None if file.startswith("sha256:") else file)
            for step, file in pairs(instructions, "--instructions")
        )
        or None,
    }
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(DeployAgent, said, from_), f"{agent} works in {process}")


@app.command
async def undeploy(
    agent: Agent, process: Process, /, *, environment: Environment = None, reason: Reason = None, options: Given
) -> None:
    """Take an agent out of a process.

    Example: attorn agent undeploy refunds-bot refunds --reason "replaced"
    """
    said = {"participant_id": agent, "process_id": process, "environment": environment, "reason": reason}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(UndeployAgent, said), f"{agent} no longer works in {process}")


@app.command
async def ls(
    *,
    process: Annotated[Id | None, Parameter(help="Only in this process.")] = None,
    outdated: Annotated[bool, Parameter(help="Only those that work by an older version of their process.")] = False,
    at: At = None,
    options: Given,
) -> None:
    """List the agents at work: where, by which version, led by whom; now or on a day.

    Example: attorn agent ls --outdated
    """
    from attorn.projections.directory import AsOf
    from attorn.projections.workforce import deployments, line

    async with connected(options) as attorn:
        people = await directory(attorn)
    asof = AsOf(**as_of(at, None, None))
    found: list[dict[str, Any]] = []
    for each in deployments(people, asof, process):
        newest = people.process(each.said.process_id, asof=asof)
        version = each.said.process_version
        found.append(
            {
                "agent": each.agent,
                "process": each.said.process_id,
                "version": version,
                "newest": newest.version if newest is not None else None,
                "environment": each.said.environment,
                "since": each.since.time,
                "person": line(people, each.agent, asof).person,
                "agent_version": each.said.agent_version,
            }
        )
    if outdated:
        found = [each for each in found if each["version"] != each["newest"]]
    nothing = "every agent works by the newest version" if outdated else "no agent is deployed"
    write_list(options, found, COLUMNS, id="agent", nothing=nothing)


@app.command
async def stuck(
    agent: Agent, /, *, at: Annotated[When | None, Parameter(help="At this time; by default now.")] = None,
    options: Given,
) -> int:  # fmt: skip
    """Say what happens when an agent is stuck: who is asked, in this order, by name. Exits 7 when nobody is.

    Example: attorn agent stuck refunds-bot
    """
    from attorn.projections.workforce import when_stuck

    async with connected(options) as attorn:
        people = await directory(attorn)
    helps = when_stuck(people, agent, at or datetime.now(UTC))
    found: list[dict[str, Any]] = []
    for help_ in helps:
        for rung in help_.rungs:
            found.append({"process": help_.process, "rung": rung.rung, "persons": list(rung.persons),
                          "within": str(rung.ack_within), "targets": list(rung.targets)})  # fmt: skip
        if help_.problem is not None:
            found.append({"process": help_.process, "problem": help_.problem})
    write_list(options, found, STUCK, id="process", nothing=f"{agent} is not deployed; nobody would be asked")
    return Exit.CHECK_FAILED if not helps or any(help_.problem for help_ in helps) else 0


@app.command
async def unattested(
    *,
    within: Annotated[Length, Parameter(help="How long a word counts.")] = timedelta(days=90),
    at: Annotated[When | None, Parameter(help="At this time; by default now.")] = None,
    options: Given,
) -> int:
    """List the processes and agents that nobody has vouched for lately. Exits 7 when there are any.

    Example: attorn agent unattested --within 30d
    """
    import msgspec

    from attorn.projections.workforce import unattested as find

    async with connected(options) as attorn:
        people = await directory(attorn)
    found = [msgspec.to_builtins(each) for each in find(people, at or datetime.now(UTC), within)]
    write_list(options, found, UNATTESTED, id="subject", nothing="somebody has vouched for everything lately")
    return Exit.CHECK_FAILED if found else 0
