"""People and agents as an organisation: who reports to whom, who works where by which version, whom one asks.

Questions over the directory, at any position or time. A time is always an argument: nothing here reads a clock.
"""

from datetime import datetime, timedelta

import msgspec

from attorn.contracts.policy import PolicyPublished
from attorn.projections.directory import NOW, AsOf, Departure, Deployment, Directory, Fact, Participant
from attorn.projections.ladder import Step, climb, reached


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From somebody up to the last superior: those who are here, and the first person among them.

    `problem` is why the line does not end at a person who is here.
    """

    path: tuple[str, ...]
    person: str | None = None
    problem: str | None = None


class Outdated(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that works by an older version of a process than the newest."""

    agent: str
    process: str
    environment: str
    version: int
    newest: int


class Help(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is asked when an agent is stuck in a process, in this order; `problem` is why nobody is."""

    agent: str
    process: str
    environment: str
    policy: str | None = None
    rungs: tuple[Step, ...] = ()
    problem: str | None = None


class Unattested(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What nobody has vouched for lately: `by` did last, `at` that time; nobody ever where they are absent."""

    subject: str
    by: str | None = None
    at: datetime | None = None


# ---- who reports to whom


def line(directory: Directory, id: str, asof: AsOf = NOW) -> Line:
    """The line of superiors above `id`, first `id` itself.

    An agent or a system that reports to nobody reports to its sponsor; whoever left is passed over for their successor,
    else for their own superior.
    """
    here, passed = list[Participant](), set[str]()
    current: str | None = id
    problem: str | None = None
    last: Participant | None = None
    departure: Departure | None = None
    while current is not None:
        who = directory.participants.get(current)
        if who is None or not asof.knows(who.stamp):
            problem = f"{current} is not registered"
            break
        if current in passed:
            problem = f"the line above {id} leads back to {current}"
            break
        passed.add(current)
        departure = directory.departure(current, asof)
        if departure is None:
            here.append(who)
        last, current = who, _superior(who, departure, asof)
    if problem is None and last is not None and (last.kind != "human" or departure is not None):
        state = f"is of kind {last.kind}" if departure is None else "has left"
        problem = f"{last.id} {state}, and reports to nobody"
    # Who reports to nobody, and is a person, is the one to ask.
    above = here[1:] if here and here[0].id == id and (len(here) > 1 or here[0].kind != "human") else here
    person = next((each.id for each in above if each.kind == "human"), None)
    return Line(path=tuple(each.id for each in here), person=person, problem=problem)


def _superior(who: Participant, departure: Departure | None, asof: AsOf) -> str | None:
    if departure is not None and departure.successor is not None:
        return departure.successor
    superior = _last(who.superiors, asof)
    return _last(who.sponsors, asof) if superior is None and who.kind in ("agent", "system") else superior


def _last(facts: tuple[Fact[str | None], ...], asof: AsOf) -> str | None:
    return next((fact.value for fact in reversed(facts) if asof.covers(fact.stamp)), None)


# ---- who works where


def deployments(directory: Directory, asof: AsOf = NOW, process: str | None = None) -> tuple[Deployment, ...]:
    """The agents at work as of `asof`, in one process or all, by process, agent and environment."""
    found = (
        each
        for who in directory.participants.values()
        for each in who.deployments
        if (process is None or each.said.process_id == process)
        and asof.covers(each.since)
        and (each.until is None or not asof.covers(each.until))
    )
    return tuple(sorted(found, key=lambda d: (d.said.process_id, d.agent, d.said.environment)))


def outdated(directory: Directory, asof: AsOf = NOW, process: str | None = None) -> tuple[Outdated, ...]:
    """The agents at work that are pinned to another version of their process than the newest."""
    found: list[Outdated] = []
    for each in deployments(directory, asof, process):
        newest, version = directory.process(each.said.process_id, asof=asof), each.said.process_version
        if newest is not None and version is not None and version < newest.version:
            found.append(
                Outdated(agent=each.agent, process=each.said.process_id, environment=each.said.environment,
                         version=version, newest=newest.version)
            )  # fmt: skip
    return tuple(found)


def unmanaged(directory: Directory, at: datetime, asof: AsOf = NOW) -> tuple[str, ...]:
    """The processes in which agents are at work, and nobody manages agents at that time."""
    processes = dict.fromkeys(each.said.process_id for each in deployments(directory, asof))
    return tuple(id for id in processes if not directory.somebody_is("agent_manager", f"process/{id}", at))


def when_stuck(directory: Directory, agent: str, at: datetime) -> tuple[Help, ...]:
    """Who is asked when `agent` is stuck, in each process where it is at work: the ladder, with names as of `at`."""
    who = directory.participants.get(agent)
    return tuple(_help(directory, each, at) for each in (who.deployments if who else ()) if each.until is None)


def _help(directory: Directory, each: Deployment, at: datetime) -> Help:
    said = each.said
    help_ = Help(agent=each.agent, process=said.process_id, environment=said.environment)
    version = directory.process(said.process_id, said.process_version)
    pinned = version.escalation_policy if version is not None else None
    policy = directory.policy(pinned.id, pinned.version) if pinned is not None else None
    if pinned is None or policy is None or policy.rules.escalation is None:
        return msgspec.structs.replace(help_, problem=f"process {said.process_id} names no escalation policy")
    rungs = climb(policy.rules.escalation.ladder, directory, at)
    problem = None if leads_to_somebody(policy, directory, at) else "the last rung leads to no person who is here"
    return msgspec.structs.replace(help_, policy=f"{pinned.id} {pinned.version}", rungs=rungs, problem=problem)


def leads_to_somebody(policy: PolicyPublished, directory: Directory, at: datetime) -> bool:
    """Whether the last rung of an escalation policy reaches a person who is here at that time."""
    ladder = policy.rules.escalation.ladder if policy.rules.escalation is not None else ()
    return bool(ladder) and any(map(directory.is_person, reached(ladder[-1].targets, directory, at)))


# ---- who has looked lately


def unattested(directory: Directory, at: datetime, within: timedelta) -> tuple[Unattested, ...]:
    """The processes in force and the agents at work that nobody vouched for in the time `within` before `at`.

    A word that was given until a time before `at` no longer counts, however young it is.
    """
    asof = AsOf(at=at)
    subjects = [f"process/{id}" for id in directory.processes if directory.process_in_force(id, at) is not None]
    subjects += sorted({f"participant/{each.agent}" for each in deployments(directory, asof)})
    found: list[Unattested] = []
    for subject in subjects:
        said = [fact for fact in directory.attestations.get(subject, ()) if asof.covers(fact.stamp)]
        last = max(said, key=lambda fact: fact.stamp.time, default=None)
        if last is None:
            found.append(Unattested(subject=subject))
            continue
        until = last.value.valid_until
        if last.stamp.time < at - within or (until is not None and until < at):
            found.append(Unattested(subject=subject, by=last.value.by, at=last.stamp.time))
    return tuple(found)
