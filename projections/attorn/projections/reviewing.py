"""How many reviews wait for each person, and for how many they have room; with more they can only wave through.

Folded along the whole log, so that a view can say of a request that it was one too many. No door looks here: work is
handed in however busy its reviewers are.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from attorn.contracts.envelope import Recorded
from attorn.contracts.participant import ParticipantRegistered, ParticipantUpdated
from attorn.contracts.review import ReviewInvalidated, ReviewRequested, ReviewWithdrawn, WorkReviewed
from attorn.contracts.work import WorkCancelled, WorkCompleted, WorkFailed, WorkSuperseded


class Overload(NamedTuple):
    """Somebody who has `waiting` reviews before them, and room for `room`."""

    person: str
    waiting: int
    room: int


class Reviewing(msgspec.Struct):
    """`room` is whom a capacity was said of; `asked` the open reviews of a work item, with those who are asked."""

    room: dict[str, int] = {}
    waiting: dict[str, int] = {}
    asked: dict[str, dict[str, tuple[int, tuple[str, ...]]]] = {}

    def evolve(self, recorded: Recorded) -> None:
        """Take in one event; most are about no review."""
        if recorded.event.data.__class__ not in REVIEWED:
            return
        kind, _, id = recorded.stream.partition("/")
        match recorded.event.data:
            case ParticipantRegistered(capacity=capacity) | ParticipantUpdated(capacity=capacity):
                if kind == "participant" and capacity is not None:
                    self.room[id] = capacity.wip
            case ReviewRequested(review_id=review, candidates=asked, required=required):
                if kind == "work" and review not in self.asked.get(id, {}):
                    self.asked.setdefault(id, {})[review] = (required, asked)
                    self._count(asked, 1)
            case WorkReviewed(review_id=review, verdict=verdict, reviewer=reviewer) if review in self.asked.get(id, {}):
                required, asked = self.asked[id][review]
                if verdict in ("approved", "edited") and required > 1:
                    # It still waits for the others.
                    self._count([who for who in asked if who == reviewer], -1)
                    self.asked[id][review] = (required - 1, tuple(who for who in asked if who != reviewer))
                else:
                    self._settle(id, review)
            case ReviewInvalidated(review_id=review) | ReviewWithdrawn(review_id=review):
                self._settle(id, review)
            case _:
                for review in [*self.asked.get(id, {})]:
                    self._settle(id, review)

    def overloaded(self, asked: tuple[str, ...]) -> Iterator[Overload]:
        """Those of `asked` who have no room for one more review."""
        for person in dict.fromkeys(asked):
            room, waiting = self.room.get(person), self.waiting.get(person, 0) + 1
            if room is not None and waiting > room:
                yield Overload(person, waiting, room)

    def _settle(self, work: str, review: str) -> None:
        reviews = self.asked.get(work, {})
        _, asked = reviews.pop(review, (0, ()))
        self._count(asked, -1)
        if not reviews:
            self.asked.pop(work, None)

    def _count(self, persons: tuple[str, ...] | list[str], by: int) -> None:
        for person in dict.fromkeys(persons):
            left = self.waiting.get(person, 0) + by
            if left > 0:
                self.waiting[person] = left
            else:
                self.waiting.pop(person, None)


REVIEWED: Final = frozenset(
    {
        ParticipantRegistered,
        ParticipantUpdated,
        ReviewRequested,
        WorkReviewed,
        ReviewInvalidated,
        ReviewWithdrawn,
        WorkCompleted,
        WorkFailed,
        WorkCancelled,
        WorkSuperseded,
    }
)
"""The events that say who has room for reviews, or of which reviews begin or end to wait."""
