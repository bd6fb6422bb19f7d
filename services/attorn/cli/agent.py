"""`attorn agent`: agents at work in processes, and who looks after them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import Exit, not_found
from attorn.cli.inputs import command, digest_of, pairs
from attorn.cli.options import At, From, Given, Id, Length, Limit, Reason, Text, When, as_of
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others
from attorn.cli.telling import tell_plainly
from attorn.cli.words import in_words
from attorn.contracts.participant import DeployAgent, Oversight, StepInstructions, UndeployAgent, VolumeFloor

app = App(name="agent", help="Agents at work in processes, and who looks after them.")


Agent = Annotated[str, Parameter(metavar="AGENT", help="The id of the agent.")]
Process = Annotated[str, Parameter(metavar="PROCESS", help="The id of the process.")]
Environment = Annotated[Text | None, Parameter(help="Which of several installations; by default production.")]

COLUMNS = (
    Column("AGENT", "agent", "id"),
    Column("PROCESS", "process", "id"),
    Column("VERSION", "version", "number"),
    Column("NEWEST", lambda d: d.get("newest") if d.get("newest") != d.get("version") else None, "number"),
    Column("ENVIRONMENT", "environment", "id"),
    Column("SINCE", "since", "time"),
    Column("LED BY", "person", "id"),
    Column("AGENT VERSION", "agent_version"),
)
STUCK = (
    Column("PROCESS", "process", "id"),
    Column("RUNG", "rung", "number"),
    Column("ASKED", "persons"),
    Column("WITHIN", lambda rung: in_words(rung.get("ack_within", ""))),
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

    Refused, with all that is missing, unless the process has steps, is published and not retired and says who is asked
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
    limit: Limit = 100,
    options: Given,
) -> None:
    """List the agents at work: where, by which version, led by whom; now or on a day.

    Example: attorn agent ls --outdated
    """
    asked = {"process": process, "outdated": outdated or None, **as_of(at, None, None)}
    async with connected(options) as attorn:
        found, more = await listed(attorn, "deployments", "deployments", limit, **asked)
    nothing = "every agent works by the newest version" if outdated else "no agent is deployed"
    write_list(options, found, COLUMNS, id="agent", nothing=nothing, more=others(more))


@app.command
async def stuck(
    agent: Agent, /, *, at: Annotated[When | None, Parameter(help="At this time; by default now.")] = None,
    options: Given,
) -> int:  # fmt: skip
    """Say what happens when an agent is stuck: who is asked, in this order, by name. Exits 7 when nobody is.

    Example: attorn agent stuck refunds-bot
    """
    async with connected(options) as attorn:
        answer = await attorn.ask("when_stuck", agent=agent, at=at or datetime.now(UTC))
    if "help" not in answer and "not registered" in answer["problem"]:
        raise not_found(answer["problem"], "`attorn agent ls` says who is at work")
    helps = answer.get("help", ())
    found: list[dict[str, Any]] = []
    for help_ in helps:
        found += ({"process": help_["process"], **rung} for rung in help_.get("rungs", ()))
        if "problem" in help_:
            found.append({"process": help_["process"], "problem": help_["problem"]})
    nothing = f"{agent} is deployed nowhere; of its work, `attorn escalation ladder WORK` says who is asked"
    write_list(options, found, STUCK, id="process", nothing=nothing)
    return Exit.CHECK_FAILED if not helps or any("problem" in help_ for help_ in helps) else 0


@app.command
async def unmanaged(*, options: Given) -> int:
    """List the processes in which agents are at work, and nobody manages agents there. Exits 7 when there are any.

    Example: attorn agent unmanaged
    """
    async with connected(options) as attorn:
        answer = await attorn.ask("unmanaged", at=datetime.now(UTC))
    found = [{"process": process} for process in answer["processes"]]
    nothing = "wherever agents are at work, somebody manages them"
    write_list(options, found, (Column("PROCESS", "process", "id"),), id="process", nothing=nothing)
    return Exit.CHECK_FAILED if found else Exit.OK


@app.command
async def unattested(
    *,
    within: Annotated[
        Length, Parameter(help="How long a word counts.", show_default=lambda value: f"{value.days}d")
    ] = timedelta(days=90),
    at: Annotated[When | None, Parameter(help="At this time; by default now.")] = None,
    limit: Limit = 100,
    options: Given,
) -> int:
    """List the processes and agents that nobody has vouched for lately. Exits 7 when there are any.

    Example: attorn agent unattested --within 30d
    """
    async with connected(options) as attorn:
        asked = {"within": f"PT{within.total_seconds():.0f}S", "at": at or datetime.now(UTC)}
        found, more = await listed(attorn, "unattested", "unattested", limit, **asked)
    write_list(options, found, UNATTESTED, id="subject", nothing="somebody has vouched for everything lately",
               more=others(more))  # fmt: skip
    return Exit.CHECK_FAILED if found else 0
