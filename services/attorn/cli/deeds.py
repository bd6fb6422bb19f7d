"""What a command did, as whoever gave it wants to read it back: to whom, what, within which bounds, until when.

How the work stands after it is said beside that; where the state says all of it, as of `work submit`, there is nothing
to add.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attorn.cli.output import shown
from attorn.cli.words import amounts

if TYPE_CHECKING:
    from attorn.contracts.messages import Command

Said: TypeAlias = Mapping[str, Any]


def deed(command: "Command") -> str:
    """`bot is entrusted with read_order, at most 5 actions, until 2026-03-31`; empty where the state says it all."""
    import msgspec

    told = _DEEDS.get(command.verb)
    return told(msgspec.to_builtins(command)) if told is not None else ""


def _delegated(said: Said) -> str:
    what = shown(said.get("activities")) or "anything"
    may = shown(said.get("autonomy") or "suggest").replace("_", " ")
    return f"{shown(said['delegate'])} is entrusted with {what} ({_bounds(said, may)})"


def _narrowed(said: Said) -> str:
    may = shown(said["autonomy"]).replace("_", " ") if said.get("autonomy") else ""
    what = f"to {shown(said['activities'])}" if said.get("activities") else ""
    bounds = _bounds(said, may)
    return " ".join(word for word in ("narrowed", what, f"({bounds})" if bounds else "") if word)


def _bounds(said: Said, may: str) -> str:
    budget, uses = amounts(said.get("budget") or {}), said.get("max_uses")
    found = [
        may,
        f"on {shown(said['resource_keys'])}" if said.get("resource_keys") else "",
        f"not {shown(said['exclusions'])}" if said.get("exclusions") else "",
        f"only if {' and '.join(each['expr'] for each in said['conditions'])}" if said.get("conditions") else "",
        f"at most {budget}" if budget else "",
        f"used {uses:,} times at most" if uses else "",
        f"from {shown(said['valid_from'], 'time')}" if said.get("valid_from") else "",
        f"until {shown(said['valid_until'], 'time')}" if said.get("valid_until") else "",
        "may be passed on" if said.get("may_subdelegate") else "",
    ]
    return shown([each for each in found if each])


def _due(said: Said) -> str:
    what = "to be started" if said.get("kind") == "start" else "due"
    return f"{what} by {shown(said['new'], 'time')}" if said.get("new") else f"no time by which it is {what}"


def _executed(said: Said) -> str:
    result = said["result"]
    if result != "completed":
        why = f" ({shown(said['error_class'])})" if said.get("error_class") else ""
        return f"the execution {'failed' if result == 'failed' else 'was broken off'}{why}"
    made = [output["output_id"] for output in said.get("outputs", ())]
    return f"the execution is completed, with {shown(made) if made else 'no output'}"


def _acted(said: Said) -> str:
    on = f" on {shown(said['target'])}" if said.get("target") else ""
    went = f", {shown(said['result'])}" if said.get("result") else ""
    return f"{shown(said['tool'])}{on} is recorded{went}"


def _progressed(said: Said) -> str:
    return f"{said['percent']:g} % done" if said.get("percent") is not None else "its progress is recorded"


def _input(said: Said) -> str:
    answer = said.get("answer")
    return f"answered: {shown(answer)}" if answer is not None else f"the question is answered with {said['response']}"


def _answered(said: Said) -> str:
    words = [said.get("option_id"), said.get("decision"), said.get("instructions")]
    return f"answered: {'; '.join(shown(word) for word in words if word)}"


def _reviewed(said: Said) -> str:
    verdict = said["verdict"].replace("_", " ")
    return f"{shown(said.get('output_id'))}: {verdict}"


def _verified(said: Said) -> str:
    verdicts = [f"{each['id']} {each['result']}" for each in said.get("criteria", ())]
    return shown(verdicts) if verdicts else ""


def _released(said: Said) -> str:
    to = f" to {shown(said['to'])}" if said.get("to") else ""
    by = f" by {shown(said['channel'])}" if said.get("channel") else ""
    return f"{shown(said['output_id'])} is released{to}{by}"


def _clarified(said: Said) -> str:
    return f"said anew: {shown(list(said['changes']))}"


_DEEDS: Final[Mapping[str, Callable[[Said], str]]] = {
    "accountability.offer": lambda said: f"{shown(said['to'])} is asked to answer for it",
    "context.share": lambda said: f"{shown(said['ref']['uri'])} is shared",
    "deadline.set": _due,
    "decision.make": lambda said: f"says {shown(said['chosen'])}",
    "delegation.accept": lambda said: "taken on",
    "delegation.decline": lambda said: "not taken on",
    "delegation.expire": lambda said: "its time is over",
    "delegation.narrow": _narrowed,
    "delegation.resume": lambda said: "may be used again",
    "delegation.revoke": lambda said: "taken back, with all that was passed on from it",
    "delegation.suspend": lambda said: "rests, with all that was passed on from it",
    "dependency.add": lambda said: f"depends on {shown(said['on'])} now",
    "dependency.break": lambda said: f"{shown(said['on'])} will not come",
    "dependency.satisfy": lambda said: f"{shown(said['on'])} is there",
    "escalation.acknowledge": lambda said: "taken up",
    "escalation.advance": lambda said: "passed up to the next rung",
    "escalation.answer": _answered,
    "escalation.cancel": lambda said: "called off",
    "escalation.reassign": lambda said: f"{shown(said['to'])} is asked instead",
    "escalation.reopen": lambda said: "open again",
    "escalation.resolve": lambda said: f"settled, {shown(said['outcome']).replace('_', ' ')}",
    "escalation.unacknowledge": lambda said: "let go",
    "execution.adapt": lambda said: "the plan is another now",
    "execution.guide": lambda said: "guidance is recorded",
    "execution.progress": _progressed,
    "execution.provide_input": _input,
    "execution.record_action": _acted,
    "execution.require_input": lambda said: f"{shown(said.get('from_', said.get('from')))} is asked",
    "handover.accept": lambda said: "taken over",
    "handover.decline": lambda said: "not taken over",
    "handover.offer": lambda said: f"offered to {shown(said['to'])}, who has to take it",
    "note.add": lambda said: "noted",
    "output.produce": lambda said: f"{shown(said['output']['output_id'])} is shown",
    "output.release": _released,
    "output.validate": lambda said: f"{shown(said['criterion_id'])} {shown(said.get('result'))}".rstrip(),
    "output.withdraw": lambda said: f"{shown(said['output_id'])} is withdrawn",
    "recommendation.answer": lambda said: shown(said["answer"]),
    "review.claim": lambda said: "is being looked at",
    "review.request": lambda said: f"{shown(said.get('output_id'))} is to be looked at",
    "review.unclaim": lambda said: "left to somebody else",
    "review.withdraw": lambda said: "withdrawn",
    "work.clarify": _clarified,
    "work.delegate": _delegated,
    "work.execute": _executed,
    "work.reprioritize": lambda said: f"priority {shown(said['priority'])}",
    "work.review": _reviewed,
    "work.verify": _verified,
}
"""By the command's verb, from its payload."""
