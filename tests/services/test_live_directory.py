"""The directory as a service keeps it is what a fold of the whole log makes of it, in the order of the log."""

from attorn.contracts.participant import RegisterParticipant, SuspendParticipant
from attorn.contracts.policy import PolicyPublished, PolicyRules, ReviewRules
from attorn.contracts.source import RegisterSource
from attorn.contracts.work import DefineWork
from attorn.projections.directory import Directory
from attorn.services.directory import LiveDirectory
from attorn.services.ledger.memory import MemoryLedger
from story import Story, at_once

PUBLISHED = PolicyPublished(version=1, kind="review", rules=PolicyRules(review=ReviewRules()))


def told() -> Story:
    """A source is given the word for policies only after it has used it once, and then uses it again."""
    story = Story().given(DefineWork(work_id="W-1", title="Refund", accountable="ana"))
    story.given(RegisterSource(source_id="books", uri="/books", custodian="root"), by="root")
    story.fact(PUBLISHED, on="policy/p-1", source="books")
    speaks = RegisterSource(source_id="books", uri="/books", custodian="root", speaks_of=("policy",))
    story.given(speaks, by="root")
    story.fact(PUBLISHED, on="policy/p-2", source="books")
    story.given(RegisterParticipant(participant_id="dora", kind="human", display_name="Dora"))
    story.given(SuspendParticipant(participant_id="dora", reason="leave"), by="root")
    return story


async def read(ledger: MemoryLedger) -> Directory:
    async with LiveDirectory(ledger).following() as live:
        return live.view


def test_a_service_that_starts_reads_what_is_said_of_all_kinds_in_the_order_of_the_log() -> None:
    story = told()
    known = story.people()
    assert known.policy("p-1") is None and known.policy("p-2") is not None
    live = at_once(read(story.ledger))
    for part in ("participants", "sources", "processes", "policies", "roles", "custodians"):
        assert getattr(live, part) == getattr(known, part), part
