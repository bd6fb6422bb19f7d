"""Agents at work in processes: what has to be there before one is deployed, and what it has to be able to do."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.ids import Pinned
from attorn.contracts.participant import (
    AgentDeployed,
    AgentUndeployed,
    DeployAgent,
    ParticipantRegistered,
    UndeployAgent,
)
from attorn.contracts.process import ProcessPublished, Step
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.projections.workforce import leads_to_somebody
from attorn.services.process.lint import BREACHES_MAX, NAMED_MAX
from attorn.services.transact import Context


def decide(
    deployments: Sequence[AgentDeployed], command: DeployAgent | UndeployAgent, context: Context
) -> Sequence[msgspec.Struct]:
    """The deployment, pinned to the version that is in force; none when it stands, or when there is none to end."""
    if isinstance(command, UndeployAgent):
        place = (command.process_id, command.environment)
        here = any((d.process_id, d.environment) == place for d in deployments)
        undeployed = AgentUndeployed(
            process_id=command.process_id, environment=command.environment, reason=command.reason
        )
        return [undeployed] if here or context.directory.kind(command.participant_id) is None else []
    said = {name: getattr(command, name) for name in AgentDeployed.__struct_fields__}
    if command.process_version is None:
        in_force = context.directory.process_in_force(command.process_id, context.at)
        said["process_version"] = in_force.version if in_force is not None else None
    deployed = AgentDeployed(**said)
    return [] if deployed in deployments else [deployed]


def check(
    who: ParticipantRegistered, id: str, data: AgentDeployed, event: Event, directory: Directory
) -> Iterator[Breach]:
    """Which rules about agents at work `data` breaks; everything that is missing is named at once."""
    if who.kind not in ("agent", "system"):
        detail = f"{id} is of kind {who.kind}; agents and systems are deployed, others are given work"
        yield Breach(rule="deployment-controls", detail=detail)
    version = directory.process(data.process_id, data.process_version)
    yield from _check_process(data, version, event, directory)
    yield from _check_controls(who, id, data, version, event, directory)
    if version is not None:
        yield from _check_capabilities(who, id, data, version)
    if data.oversight is None or data.oversight.review_every is None:
        detail = f"nobody has planned how {id} is looked after; say oversight with sample_rate and review_every"
        yield Breach(rule="unmanaged-agent", detail=detail, field="data.oversight")
    scope = f"process/{data.process_id}"
    if not directory.somebody_is("agent_manager", scope, event.time):
        detail = f"nobody is agent_manager for {scope}; grant somebody the role, there or everywhere"
        yield Breach(rule="unmanaged-agent", detail=detail, field="data.process_id")


def evolve(deployments: tuple[AgentDeployed, ...], data: AgentDeployed | AgentUndeployed) -> tuple[AgentDeployed, ...]:
    """The deployments afterwards: one for each process and environment."""
    place = (data.process_id, data.environment)
    others = tuple(d for d in deployments if (d.process_id, d.environment) != place)
    return (*others, data) if isinstance(data, AgentDeployed) else others


def _check_process(
    data: AgentDeployed, version: ProcessPublished | None, event: Event, directory: Directory
) -> Iterator[Breach]:
    id, field = data.process_id, "data.process_id"
    process = directory.processes.get(id)
    if process is None or not (process.maps or any(fact.value.steps for fact in process.versions)):
        detail = f"process {id} is not mapped; write down how the work flows before an agent takes part in it"
        yield Breach(rule="deployment-process", detail=detail, field=field)
    if version is None:
        which = f"version {data.process_version} of {id}" if data.process_version is not None else f"process {id}"
        detail = f"{which} is not published, or not in force; publish it first"
        yield Breach(rule="deployment-process", detail=detail, field=field)
    elif directory.is_retired(id, version.version, event.time):
        detail = f"process {id} version {version.version} is retired; deploy to one in force"
        yield Breach(rule="deployment-process", detail=detail, field=field)


def _check_controls(
    who: ParticipantRegistered,
    id: str,
    data: AgentDeployed,
    version: ProcessPublished | None,
    event: Event,
    directory: Directory,
) -> Iterator[Breach]:
    if who.sponsor is None or directory.successor(who.sponsor) is None:
        detail = f"{id} has no sponsor who is here; name one with `participant update`"
        yield Breach(rule="deployment-controls", detail=detail, field="sponsor")
    if data.heartbeat is None or data.heartbeat.total_seconds() <= 0:
        detail = f"nobody would notice when {id} goes silent; say heartbeat, as in PT5M"
        yield Breach(rule="deployment-controls", detail=detail, field="data.heartbeat")
    if version is None:
        return
    if directory.successor(version.owner) is None:
        detail = f"process {data.process_id} has no owner who is here; publish it with one"
        yield Breach(rule="deployment-controls", detail=detail, field="owner")
    if version.escalation_policy is None:
        detail = f"process {data.process_id} does not say whom {id} asks when it is stuck; name its escalation_policy"
        yield Breach(rule="deployment-controls", detail=detail, field="escalation_policy")
    elif not _asks_somebody(version.escalation_policy, directory, event.time):
        detail = f"the last rung of {version.escalation_policy.id} leads to no person who is here; publish it anew"
        yield Breach(rule="deployment-controls", detail=detail, field="escalation_policy")


def _asks_somebody(pinned: Pinned, directory: Directory, at: datetime) -> bool:
    policy = directory.policy(pinned.id, pinned.version)
    return policy is not None and leads_to_somebody(policy, directory, at)


def _check_capabilities(
    who: ParticipantRegistered, id: str, data: AgentDeployed, version: ProcessPublished
) -> Iterator[Breach]:
    steps = {step.step_id for step in version.steps}
    strange = [each.step for each in data.instructions if each.step not in steps]
    if strange:
        some = ", ".join(strange[:NAMED_MAX])
        detail = f"process {data.process_id} has no step {some}; `process show` says which it has"
        yield Breach(rule="capability-missing", detail=detail, field="data.instructions")
    able = frozenset(who.capabilities)
    for step in _carried_out(id, data, version)[:BREACHES_MAX]:
        lacking = [need for need in step.needs if need not in able][:NAMED_MAX]
        if lacking:
            detail = f"step {step.step_id} needs {', '.join(lacking)}, which {id} has not among its capabilities"
            yield Breach(rule="capability-missing", detail=detail, field="data.process_id")


def _carried_out(id: str, data: AgentDeployed, version: ProcessPublished) -> Sequence[Step]:
    """The steps that the agent is there for: that it has instructions for, or is named in; else all that AI is for."""
    instructed = {each.step for each in data.instructions}
    named = [step for step in version.steps if step.step_id in instructed or step.raci.R == id]
    return named or [step for step in version.steps if step.ai_mode != "none"]
