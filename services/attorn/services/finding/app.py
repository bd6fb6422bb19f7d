"""What people decide about findings arrives on NATS; that there is such a finding is derived from the log first."""

from contextlib import aclosing
from typing import Final, get_args

from faststream.nats import NatsBroker

from attorn.contracts.refusal import Breach, Refused
from attorn.projections.directory import Directory
from attorn.services.command_door import Clock, serve
from attorn.services.finding import model
from attorn.services.transact import Command, Streams

COMMANDS: Final = get_args(model.FindingCommand)

_ELSEWHERE: Final = frozenset({"conflict"})
"""Findings that no stream by itself yields: that an id was used twice is known by looking at all of them."""


def build(broker: NatsBroker, streams: Streams, clock: Clock) -> None:
    """Answer the commands of this slice; each is about the stream that it names."""
    serve(broker, streams, clock, "", model.decide, COMMANDS, require=require)


async def require(streams: Streams, command: Command) -> None:
    """Raises Refused unless the log yields the finding that the command names, in the stream that it names.

    It is derived here once more, as of its own position: whoever decides about what is not there has mistyped it.
    """
    body = command.body
    assert isinstance(body, model.FindingCommand)
    rule, _, place = body.finding_id.partition("@")
    recorded = await streams.ledger.read(command.stream)
    found = next((each for each in recorded if each.position == int(place)), None)
    if found is None:
        detail = f"position {place} is not in {command.stream}; `attorn audit findings` lists what was found where"
        raise Refused(Breach(rule="finding-decided", detail=detail, field="finding_id"))
    if rule in _ELSEWHERE:
        return
    rules = streams.rules(command.stream)
    known = await _directory_before(streams, found.position)
    state = rules.initial
    for each in recorded:
        if each.position == found.position:
            break
        if known.hears(each.event, each.position):
            state = rules.evolve(state, each.event)
    if all(breach.rule != rule for breach in rules.check(state, found.event, known)):
        detail = f"the event at position {place} did not break {rule}; `attorn audit findings` lists what was found"
        raise Refused(Breach(rule="finding-decided", detail=detail, field="finding_id"))


async def _directory_before(streams: Streams, position: int) -> Directory:
    """Who and what there was before `position`, and what items were to each other."""
    known = Directory()
    async with aclosing(streams.ledger.follow()) as pages:
        async for page in pages:
            for recorded in page.recorded:
                if recorded.position >= position:
                    return known
                known.evolve(recorded)
            if not page.pending:
                return known
    raise AssertionError("following the log has no end")
