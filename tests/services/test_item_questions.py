"""What no view keeps is answered from the item's own events: asked like any other question, of the views' position."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attorn.contracts.context import ContextShared
from attorn.contracts.envelope import Entry, Recorded
from attorn.contracts.execution import ExecutionStarted
from attorn.contracts.ids import Pinned, Ref
from attorn.contracts.process import ProcessPublished
from attorn.contracts.refusal import Unavailable, Unreadable
from attorn.contracts.work import Purpose, WorkDefined, WorkReadied
from attorn.projections.questions import QUESTIONS
from attorn.projections.store.sqlite import MEMORY
from attorn.services.ledger.memory import MemoryLedger
from attorn.services.projector import compose
from attorn.services.projector.project import Projector, open_views
from attorn.services.projector.rebuild import Maintenance
from attorn.services.query import item
from attorn.services.query.app import Desk, refusal
from sample_story import Story

DOCS = (Path(__file__).parents[2] / "docs" / "views.md").read_text(encoding="utf-8")


class Ledger(MemoryLedger):
    """Reads as a replica does that has not heard of the last `behind` events."""

    behind = 0

    async def read(self, stream: str) -> Sequence[Recorded]:
        found = await super().read(stream)
        return found[: len(found) - self.behind]


@asynccontextmanager
async def projected(story: Story) -> AsyncIterator[tuple[Projector, Ledger]]:
    ledger = Ledger()
    for each in story.log:
        await ledger.append(each.stream, each.version - 1, [Entry(each.event, each.body)])
    projector = await open_views(ledger, MEMORY, compose.views)
    following = asyncio.create_task(projector.follow())
    try:
        await projector.until(len(story.log), 5)
        yield projector, ledger
    finally:
        following.cancel()
        await asyncio.wait([following])
        projector.close()


async def asked(projector: Projector, name: str, **parameters: Any) -> Any:
    def now() -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC)

    async def quarantined() -> int | None:
        return 0

    desk = Desk(projector, Maintenance(projector, now), QUESTIONS, now, quarantined, items=item.QUESTIONS)
    return msgspec.json.decode(await desk.answer(name, msgspec.json.encode(parameters), 1_000_000))


def photo(number: int) -> Ref:
    return Ref(uri=f"https://shop.example/{number}.jpg")


def refund(*context: Ref) -> Story:
    story = Story()
    story.people("ana")
    story.tell(
        "process/refunds",
        ProcessPublished(version=1, owner="ana", definition_of_ready=("why", "how: the handbook")),
    )
    story.tell(
        "work/W-1",
        WorkDefined(
            title="Refund",
            accountable="ana",
            purpose=Purpose(why="they wait"),
            process=Pinned(id="refunds", version=1),
            context=context,
        ),
    )
    return story


async def test_the_layers_are_answered_with_what_the_process_wants_and_of_the_position_of_the_views() -> None:
    story = refund()
    async with projected(story) as (projector, ledger):
        answer = await asked(projector, "stack", work="W-1")
        assert (answer["position"], answer["result"]["required"]) == (3, ["why", "how: the handbook"])
        layers = answer["result"]["stack"]
        assert (layers["why"], layers["who"], layers["how"]) == ("they wait", "ana", None)
        assert (layers["missing"], layers["clarity"]) == (["how: the handbook"], 0.5)
        story.tell("work/W-1", WorkReadied(how="as the handbook says"))
        said = story.log[-1]
        await ledger.append("work/W-1", 1, [Entry(said.event, said.body)])
        answer = await asked(projector, "stack", work="W-1", wait_for=4)
        assert answer["position"] == 4 and answer["result"]["stack"]["clarity"] == 1.0


async def test_what_is_recorded_behind_the_views_position_is_left_out() -> None:
    story = refund(photo(1))
    async with projected(story) as (projector, ledger):
        story.tell("work/W-1", ContextShared(ref=photo(2)))
        said = story.log[-1]
        await ledger.append("work/W-1", 1, [Entry(said.event, said.body)])
        # Nothing was awaited since that the fold could have used: the views do not know of it.
        answer = await asked(projector, "context", work="W-1")
        assert answer["position"] == 3 and [each["ref"]["uri"][-5:] for each in answer["result"]["known"]] == ["1.jpg"]
        answer = await asked(projector, "context", work="W-1", wait_for=4)
        assert answer["position"] == answer["result"]["known"][-1]["position"] == 4


async def test_what_was_given_comes_in_pages_that_end_with_an_event_and_by_execution() -> None:
    story = refund(photo(1), photo(2))
    story.tell("work/W-1", ContextShared(ref=photo(3)))
    story.tell("work/W-1", ExecutionStarted(execution_id="E-1", executor="ana"))
    story.tell("work/W-1", ContextShared(ref=photo(4)))
    async with projected(story) as (projector, _):

        async def known(**parameters: Any) -> tuple[list[str], int | None]:
            found = (await asked(projector, "context", work="W-1", **parameters))["result"]
            return [each["ref"]["uri"][-5] for each in found["known"]], found.get("next")

        assert await known() == (["1", "2", "3", "4"], None)
        assert await known(limit=1) == (["1", "2"], 3)
        assert await known(limit=1, after=3) == (["3"], 4)
        assert await known(limit=1, after=4) == (["4"], None)
        assert await known(execution="E-1") == await known(position=5) == (["1", "2", "3"], None)
        unheard = (await asked(projector, "context", work="W-1", execution="E-2"))["result"]
        assert unheard == {"work": "W-1", "problem": "W-1 has no execution E-2"}
        for name in item.QUESTIONS:
            answer = (await asked(projector, name, work="W-2"))["result"]
            assert answer == {"work": "W-2", "problem": "W-2 is not on the log"}


@pytest.mark.parametrize("name", item.QUESTIONS)
async def test_a_replica_that_is_behind_the_views_is_no_answer(name: str) -> None:
    story = refund()
    story.tell("work/W-1", WorkReadied(how="as the handbook says"))
    async with projected(story) as (projector, ledger):
        for ledger.behind in (1, 2):
            with pytest.raises(Unavailable, match="has not heard of position 4 yet") as late:
                await asked(projector, name, work="W-1")
            assert refusal(late.value).status == 503
        ledger.behind = 0
        assert (await asked(projector, name, work="W-1"))["position"] == 4


@pytest.mark.parametrize("name", item.QUESTIONS)
async def test_an_id_outside_of_the_grammar_is_refused_before_the_log_is_read(name: str) -> None:
    async with projected(refund()) as (projector, _):
        for id in ("", "W 1", "W.1", "*", ">", "W-1/x", "x" * 65):
            with pytest.raises(Unreadable, match="work"):
                await asked(projector, name, work=id)


@pytest.mark.parametrize("name", item.QUESTIONS)
def test_a_question_stands_in_the_docs_with_what_it_asks_and_its_parameters(name: str) -> None:
    assert name not in QUESTIONS
    question = item.QUESTIONS[name]
    [row] = [line for line in DOCS.splitlines() if line.startswith(f"| `attorn.q.{name}` |")]
    asks = inspect.getdoc(question.answer)
    fields = msgspec.structs.fields(question.parameters)
    said = [f"`{field.encode_name}`{' (required)' if field.required else ''}" for field in fields]
    assert row == f"| `attorn.q.{name}` | {asks} | {', '.join(said)} |"
