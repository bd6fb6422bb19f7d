"""Outputs: shown before the end, held against what they were declared to be, and kept in when they are not that."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts.delegation import WorkDelegated
from attorn.contracts.envelope import Event
from attorn.contracts.output import (
    Output,
    OutputProduced,
    OutputReleased,
    OutputValidated,
    ProduceOutput,
    ValidateOutput,
)
from attorn.contracts.refusal import Breach, Refused, Unreadable
from attorn.contracts.work import WorkCompleted, WorkDefined, WorkVerified
from attorn.projections.bounds import AUTONOMY
from attorn.projections.directory import Directory
from attorn.services.output import schema
from attorn.services.review import request
from attorn.services.transact import Context
from attorn.services.work.state import Made, Work
from attorn.services.work.tables import Changes, Checks

OutputCommand: TypeAlias = ProduceOutput | ValidateOutput

_UNFINISHED: Final = frozenset({"failed", "cancelled", "superseded"})
"""Work that ended, and not because it was done."""


def decide(work: Work, command: OutputCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case ProduceOutput(output=output, execution_id=execution):
            running = [id for id, each in work.executions.items()
                       if each.ended is None and each.executor == context.actor]  # fmt: skip
            if execution is None and len(running) == 1:
                execution = running[0]
            known = work.outputs.get(output.output_id)
            if known is not None and known.output == output and known.execution_id == execution:
                return []
            made, now = OutputProduced(output=output, execution_id=execution), (output,)
            # Reviews that somebody waits for are asked for again: otherwise nobody would look at the new bytes.
            return [made, *request.overtaken(work, now), *request.renewed(work, now, context)]
        case ValidateOutput(output_id=id, criterion_id=criterion, content=content):
            known = work.outputs.get(id)
            checked = _held(work, command, context) if content is not None else _reported(work, command, context)
            return [] if known is not None and known.checks.get(criterion) == checked else [checked]


def declared(work: Work, output: Output) -> Mapping[str, dict[str, Any]]:
    """The schemas that an output has to be held against, by criterion, or by the delegation that expects it."""
    expected = [(d.terms.delegation_id, each) for d in work.delegations.values() for each in d.terms.expected_outputs]
    criteria = work.definition.acceptance_criteria if work.definition is not None else ()
    mine = [(id, each) for id, each in expected if each.name in (output.output_id, output.name)]
    found = {id: each.json_schema for id, each in mine if each.json_schema is not None}
    schemas = [(c.id, c.json_schema) for c in criteria if c.json_schema is not None]
    if not schemas:
        return found
    served = {criterion for _, each in expected for criterion in each.criteria}
    serves = {criterion for _, each in mine for criterion in each.criteria}
    is_json = output.media_type.partition(";")[0].strip().endswith(("/json", "+json"))
    for id, said in schemas:
        # A criterion that some output is expected to serve is about that one; any other is about all that is JSON.
        about = id in serves if id in served else is_json
        if about:
            found[id] = said
    return found


def _held(work: Work, command: ValidateOutput, context: Context) -> OutputValidated:
    """The result of holding the content against the declared schema, here and now."""
    id, criterion, content = command.output_id, command.criterion_id, command.content or ""
    made = work.outputs.get(id)
    if command.result is not None or command.method not in (None, "schema"):
        raise Unreadable("what is found is the result of a schema; leave result and method out", "content")
    found = declared(work, made.output).get(criterion) if made is not None else None
    if made is None or found is None:
        detail = f"no JSON Schema is declared for {id} under {criterion}; report what was found elsewhere as result"
        raise Refused(Breach(rule="check-claimed", detail=detail, field="criterion_id"))
    dig = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
    if dig != made.output.dig:
        detail = f"the content has the digest {dig[:19]}…; {id} is {made.output.dig[:19]}…"
        raise Refused(Breach(rule="check-claimed", detail=detail, field="content"))
    try:
        faults = schema.faults(found, content)
    except schema.TooMuch as error:
        detail = f"the schema of {criterion} {error}; hold it against {id} elsewhere, and report the result"
        raise Refused(Breach(rule="check-claimed", detail=detail, field="criterion_id")) from None
    return OutputValidated(
        output_id=id,
        criterion_id=criterion,
        result="failed" if faults else "passed",
        method="schema",
        output_dig=dig,
        by=context.actor,
        checked="here",
        schema_dig=schema.digest(found),
        detail="; ".join(faults),
    )


def _reported(work: Work, command: ValidateOutput, context: Context) -> OutputValidated:
    """What somebody, or a tool of theirs, found elsewhere; they vouch for it."""
    if command.result is None:
        raise Unreadable("is missing: say what was found, or give the content to be held against the schema", "result")
    made = work.outputs.get(command.output_id)
    person = context.directory.kind(context.actor) == "human"
    return OutputValidated(
        output_id=command.output_id,
        criterion_id=command.criterion_id,
        result=command.result,
        method=command.method or ("human" if person else "rule"),
        output_dig=command.output_dig or (made.output.dig if made is not None else None),
        by=context.actor,
        detail=command.detail,
    )


def _check_criteria(work: Work, data: WorkDefined, event: Event, directory: Directory) -> Iterator[Breach]:
    for criterion in data.acceptance_criteria:
        yield from _check_schema(criterion.json_schema, f"criterion {criterion.id}", "data.acceptance_criteria")


def _check_expected(work: Work, data: WorkDelegated, event: Event, directory: Directory) -> Iterator[Breach]:
    for each in data.expected_outputs:
        yield from _check_schema(each.json_schema, f"the expected output {each.name!r}", "data.expected_outputs")


def _check_schema(found: dict[str, Any] | None, name: str, field: str) -> Iterator[Breach]:
    problem = schema.problem(found) if found is not None else None
    if problem is not None:
        yield Breach(rule="condition-unsound", detail=f"the schema of {name} {problem}", field=field)


def _check_shown(work: Work, data: OutputProduced, event: Event, directory: Directory) -> Iterator[Breach]:
    id = data.execution_id
    if id is None:
        return
    running = work.executions.get(id)
    if running is None or running.ended is not None or id not in work.life.executions:
        state = "is over" if running is not None else "has not started"
        yield Breach(rule="execution-unknown", detail=f"execution {id} {state}", field="data.execution_id")
    elif event.authtype == "service_account" and event.authid != running.executor:
        detail = f"execution {id} is carried out by {running.executor}; {event.authid} has no part in it"
        yield Breach(rule="undelegated-execution", detail=detail, field="data.execution_id")


def _check_validation(work: Work, data: OutputValidated, event: Event, directory: Directory) -> Iterator[Breach]:
    made, id = work.outputs.get(data.output_id), data.output_id
    if made is None:
        yield Breach(rule="check-claimed", detail=f"there is no output {id}", field="data.output_id")
    elif data.output_dig not in (None, made.output.dig):
        detail = f"{id} is now {made.output.dig[:19]}…; what was checked is {str(data.output_dig)[:19]}…"
        yield Breach(rule="check-claimed", detail=detail, field="data.output_dig")
    elif _contradicts(made, data):
        detail = f"these bytes of {id} were held against {data.criterion_id} here, and failed; other bytes may pass"
        yield Breach(rule="check-claimed", detail=detail, field="data.result")
    criteria = {c.id for c in work.definition.acceptance_criteria} if work.definition is not None else set()
    # Where none was said, whoever checks it has one of their own.
    if criteria and data.criterion_id not in criteria | work.delegations.keys():
        detail = f"there is no criterion {data.criterion_id}; there are {', '.join(sorted(criteria))}"
        yield Breach(rule="check-claimed", detail=detail, field="data.criterion_id")
    if _is_false_claim(data, event):
        detail = f"{event.authid} says that this service checked {id}; what it checks, it is asked to by command"
        yield Breach(rule="check-claimed", detail=detail, field="data.checked")
    by = data.by or (event.authid if event.authtype in ("user", "service_account") else None)
    if by is None:
        return
    if not directory.is_here(by):
        yield Breach(rule="unregistered-actor", detail=f"{by} is not registered or has left", field="data.by")
    elif directory.kind(by) == "agent":
        if data.method == "human":
            detail = f"{by} is an agent; that a person looked at {id} is for that person to say"
            yield Breach(rule="check-claimed", detail=detail, field="data.method")
        if work.mandate(by, event.time) is None:
            detail = f"{by} is an agent and has no live delegation for {event.subject}; a person delegates it first"
            yield Breach(rule="undelegated-execution", detail=detail, field="data.by")


def _is_false_claim(data: OutputValidated, event: Event) -> bool:
    # A fact is another system's word. Ours is recorded by the command door, which people and agents come to.
    return data.checked == "here" and event.authtype == "system"


def _contradicts(made: Made, data: OutputValidated) -> bool:
    """Whether somebody's word is set against what was found here, in these same bytes."""
    known = made.checks.get(data.criterion_id)
    failed_here = known is not None and known.checked == "here" and known.result == "failed"
    return failed_here and data.checked != "here" and data.result == "passed"


def _vouched(made: Made, directory: Directory) -> set[str]:
    """The criteria under which there is a result that counts: not the word of an agent, or of who made it."""
    return {
        criterion for criterion, found in made.checks.items()
        if found.checked == "here" or found.by is None
        or (directory.kind(found.by) != "agent" and found.by not in made.makers)
    }  # fmt: skip


def _check_release(work: Work, data: OutputReleased, event: Event, directory: Directory) -> Iterator[Breach]:
    if work.life.state in _UNFINISHED:
        detail = f"{event.subject} is {work.life.state}; what it made does not go out"
        yield Breach(rule="illegal-transition", detail=detail)
    made = work.outputs.get(data.output_id)
    if made is not None:
        yield from _check_sound(work, made, directory)
        yield from _check_autonomy(work, made, event, directory)


def _check_completion(work: Work, data: WorkCompleted, event: Event, directory: Directory) -> Iterator[Breach]:
    for made in _results(work):
        yield from _check_sound(work, made, directory)
        yield from _check_looked_at(work, made)


def _check_verdicts(work: Work, data: WorkVerified, event: Event, directory: Directory) -> Iterator[Breach]:
    for made in _results(work):
        for verdict in data.criteria if made.checks else ():
            found = made.checks.get(verdict.id)
            if verdict.result == "passed" and found is not None and found.result == "failed":
                detail = f"{made.output.output_id} was held against {verdict.id} as it is, and failed"
                yield Breach(rule="output-unsound", detail=detail, field="data.criteria")


def _results(work: Work) -> Sequence[Made]:
    return [made for made in work.outputs.values() if made.handed_over and not made.withdrawn]


def _check_sound(work: Work, made: Made, directory: Directory) -> Iterator[Breach]:
    id = made.output.output_id
    for criterion, found in made.checks.items():
        if found.result == "failed":
            why = f": {found.detail.rstrip('. ')}" if found.detail else ""
            detail = f"{id} as it is now was held against {criterion}, and failed{why}"
            yield Breach(rule="output-unsound", detail=detail, field="data.output_id")
    wanted = declared(work, made.output)
    for criterion in sorted(wanted.keys() - _vouched(made, directory)) if wanted else ():
        detail = f"{id} as it is now has not been held against the schema of {criterion}; validate it first"
        yield Breach(rule="output-unsound", detail=detail, field="data.output_id")


def _check_autonomy(work: Work, made: Made, event: Event, directory: Directory) -> Iterator[Breach]:
    """How far whoever made it, and whoever lets it go, may go by themselves."""
    yield from _check_looked_at(work, made)
    actor, id = event.authid or "", made.output.output_id
    held = work.mandate(actor, event.time) if directory.kind(actor) == "agent" else None
    if held is None or _is_consented(work, made):
        return
    least = min((d.terms.autonomy for d in work.lineage(held.terms.delegation_id)), key=AUTONOMY.index)
    if least == "suggest":
        detail = f"{held.terms.delegation_id} allows {actor} suggestions only; a person consents to {id} first"
        yield Breach(rule="delegation-violated", detail=detail, field="data.output_id")
    elif least == "act_with_approval":
        detail = f"{held.terms.delegation_id} asks for approval before {actor} releases {id}; ask for a review of it"
        yield Breach(rule="approval-missing", detail=detail, field="data.output_id")


def _check_looked_at(work: Work, made: Made) -> Sequence[Breach]:
    running = work.executions.get(made.execution_id or "")
    chain = work.lineage(running.delegation_id) if running is not None and running.delegation_id is not None else ()
    by = [held.terms.delegation_id for held in chain if held.terms.autonomy == "act_then_review"]
    if not by or _is_consented(work, made):
        return ()
    detail = f"{made.output.output_id} was made under {by[0]}, to be reviewed after; nobody has consented to it yet"
    return (Breach(rule="control-bypassed", detail=detail, field="data.output_id"),)


def _is_consented(work: Work, made: Made) -> bool:
    """Whether somebody else has said yes to these bytes."""
    now = (made.output.output_id, made.output.dig)
    return any(r.status in ("met", "waived") and (r.request.output_id, r.request.output_dig) == now
               for r in work.reviews.values())  # fmt: skip


CHECKS: Final[Checks] = {
    WorkDefined: _check_criteria,
    WorkDelegated: _check_expected,
    OutputProduced: _check_shown,
    OutputValidated: _check_validation,
    OutputReleased: _check_release,
    WorkCompleted: _check_completion,
    WorkVerified: _check_verdicts,
}


def _hold(work: Work, data: OutputValidated, event: Event) -> Work:
    made = work.outputs.get(data.output_id)
    if made is None or data.output_dig not in (None, made.output.dig):
        return work
    if _is_false_claim(data, event) or _contradicts(made, data):
        return work
    made = msgspec.structs.replace(made, checks={**made.checks, data.criterion_id: data})
    return msgspec.structs.replace(work, outputs={**work.outputs, data.output_id: made})


CHANGES: Final[Changes] = {OutputValidated: _hold}
