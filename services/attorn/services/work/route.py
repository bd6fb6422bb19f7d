"""Who is to carry work out: assigned by name, nominated from among the candidates, or found on a route."""

from collections.abc import Iterator, Sequence

import msgspec

from attorn.contracts.escalation import EscalationContext
from attorn.contracts.refusal import Breach, Refused
from attorn.contracts.work import AssignWork, WorkAssigned
from attorn.projections.directory import Directory
from attorn.services.escalation import model as escalation
from attorn.services.transact import Context
from attorn.services.work.state import Work


def assign(work: Work, command: AssignWork, context: Context) -> Sequence[msgspec.Struct]:
    """The assignment; on a route that leads to nobody, an escalation. Who has the work already keeps it.

    Raises Refused when nobody is named, unless the work is to be routed, and when a nominee is no candidate.
    """
    executor, held = command.executor, work.life.state == "claimed"
    candidates = work.definition.candidates if work.definition is not None else ()
    if command.mode == "route" and executor is None:
        if held and work.executor in candidates:
            return []
        executor = next(_able(work, context.directory), None)
        if executor is None:
            return _nobody(work, candidates, context)
    if executor is None:
        detail = "nobody is named to carry it out; say who, or route the work to its candidates"
        raise Refused(Breach(rule="unregistered-actor", detail=detail, field="executor"))
    if command.mode == "nominate" and candidates and executor not in candidates:
        detail = f"{executor} is no candidate; there are {', '.join(candidates[:10])}"
        raise Refused(Breach(rule="executor-only", detail=detail, field="executor"))
    if held and work.executor == executor:
        return []
    return [WorkAssigned(executor=executor, mode=command.mode, reason=command.reason)]


def _able(work: Work, directory: Directory) -> Iterator[str]:
    """The candidates who have not declined it, are here, are not suspended, and can do what the process needs."""
    defined = work.definition
    process = directory.process(work.process.id, work.process.version) if work.process is not None else None
    needs = {need for step in (process.steps if process is not None else ()) for need in step.needs}
    for id in defined.candidates if defined is not None else ():
        who = directory.participants.get(id)
        able = who is not None and (who.kind == "team" or needs <= set(who.capabilities))
        stopped = not directory.is_here(id) or directory.is_suspended(id, work.scope)
        if able and id not in work.declined_by and not stopped:
            yield id


def _nobody(work: Work, candidates: Sequence[str], context: Context) -> Sequence[msgspec.Struct]:
    for known in work.escalations.values():
        if known.is_open and known.raised.reason == "no_eligible_executor":
            return []
    situation = EscalationContext(
        summary=f"None of the candidates can take it up: {', '.join(candidates[:10]) or 'there are none'}",
        question="Who is to carry it out?",
    )
    return escalation.raised(work, context, id=context.new_id, reason="no_eligible_executor", situation=situation)
