"""Questions about one work item that are answered from its own events on the log, since no view keeps all they say.

They are asked, and answered, like any other, of the position at which the views are: what came since is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from attorn.contracts.envelope import Recorded
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.ids import Count, Id
from attorn.contracts.refusal import Unavailable
from attorn.projections import board, context
from attorn.projections.context import Known
from attorn.projections.directory import Directory
from attorn.projections.questions.paging import Limit
from attorn.projections.stack import Stack
from attorn.projections.stack import stack as layers
from attorn.services.rulebook import RULES
from attorn.services.work.state import Work

if TYPE_CHECKING:
    from attorn.services.projector.project import Projector


class AskStack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    work: Id


class AskContext(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`execution`: only what whoever carries it out could know when it started. `position`: only up to there."""

    work: Id
    execution: Id | None = None
    position: Count | None = None
    after: Count = 0
    limit: Limit = 100


class Layers(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`required` is what the process wants to be answered before the work is ready; nothing is all five layers."""

    work: str
    stack: Stack | None = None
    required: tuple[str, ...] = ()
    problem: str | None = None


class Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of references, in the order in which they were given; it ends with all that one event gave."""

    work: str
    count: int = 0
    known: tuple[Known, ...] = ()
    problem: str | None = None
    next: int | None = None


class ItemQuestion(NamedTuple):
    """The Struct of the parameters, `work` among them, and the function that answers from the item's events."""

    parameters: type[msgspec.Struct]
    answer: Callable[[Sequence[Recorded], Directory, Any], Any]


def stack(events: Sequence[Recorded], directory: Directory, asked: AskStack) -> Layers:
    """Why, what, who, when and how of a work item, and what of it nobody has answered."""
    if not events:
        return Layers(work=asked.work, problem=_unknown(asked.work))
    rules = RULES["work"]
    item: Work = rules.initial
    for recorded in events:
        item = rules.evolve(item, recorded.event)
    process = directory.process(item.process.id, item.process.version) if item.process is not None else None
    required = process.definition_of_ready if process is not None else ()
    answers = item.answers(directory).person
    return Layers(
        work=asked.work, stack=layers(item.definition, item.readied, required, answers), required=tuple(required)
    )


def known(events: Sequence[Recorded], directory: Directory, asked: AskContext) -> Given:
    """What those who work on an item were given: all of it, or what was known when an execution started."""
    if not events:
        return Given(work=asked.work, problem=_unknown(asked.work))
    if asked.position is not None:
        events = [recorded for recorded in events if recorded.position <= asked.position]
    if asked.execution is None:
        found = context.known(events)
    elif any(_starts(recorded, asked.execution) for recorded in events):
        found = context.known_at_start(events, asked.execution)
    else:
        return Given(work=asked.work, problem=f"{asked.work} has no execution {asked.execution}")
    rest = [each for each in found if each.position > asked.after]
    page, behind = rest[: asked.limit], rest[asked.limit :]
    page += [each for each in behind if each.position == page[-1].position]
    more = len(page) < len(rest)
    return Given(work=asked.work, count=len(found), known=tuple(page), next=page[-1].position if more else None)


QUESTIONS: Final[Mapping[str, ItemQuestion]] = {
    "stack": ItemQuestion(AskStack, stack),
    "context": ItemQuestion(AskContext, known),
}


async def own_events(projector: "Projector", work: str) -> tuple[int, Sequence[Recorded]]:
    """The position at which the views are, and the events of a work item up to there.

    Raises Unavailable when the log does not answer, or is answered for by a replica that is behind the views.
    """
    with projector.reading() as (rows, _):
        position, row = rows.position, rows.get(board.Row, work)
    events = [each for each in await projector.ledger.read(f"work/{work}") if each.position <= position]
    if row is not None and (not events or events[-1].position < row.last_position):
        raise Unavailable(f"work/{work} is read from a replica that has not heard of position {row.last_position} yet")
    return position, events


def _starts(recorded: Recorded, execution: str) -> bool:
    data = recorded.event.data
    return isinstance(data, ExecutionStarted) and data.execution_id == execution


def _unknown(work: str) -> str:
    return f"{work} is not on the log"
