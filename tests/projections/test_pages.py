"""Whatever the order of the events, and however the log is cut into pages, the views take it in and are the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from attorn.contracts.examples import EVENT_EXAMPLES
from attorn.projections import activity, controls, criteria, delegations, effects, holding, inbox
from sample_story import Story

EVENTS = tuple(EVENT_EXAMPLES.values())
NAMES = [view.NAME for view in (holding, inbox, activity, delegations, effects, criteria, controls)]


@settings(max_examples=12, deadline=None)
@given(st.permutations(range(len(EVENTS))), st.booleans())
def test_every_event_there_is_in_any_order_and_any_pages_makes_the_same_rows(order: list[int], system: bool) -> None:
    story = Story()
    story.people("ana", "ben")
    for number in order[:60]:
        payload = EVENTS[number]
        story.tell("work/W-1", payload, by="jira" if system else "ana", system=system)
    whole, piecemeal = story.folded(), story.folded(page=3)
    assert {name: whole.rows.digest(name) for name in NAMES} == {name: piecemeal.rows.digest(name) for name in NAMES}
