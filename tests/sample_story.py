"""A log that a test tells event by event, and the views of it: who did what, when it happened, when it was recorded."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from attorn.contracts import codec
from attorn.contracts.envelope import Recorded
from attorn.contracts.participant import ParticipantDeactivated, ParticipantRegistered, RoleGranted
from attorn.projections.directory import Directory
from attorn.projections.findings import Rules
from attorn.projections.questions import QUESTIONS
from attorn.projections.store.sqlite import MEMORY, Snapshot, SQLiteViews
from attorn.services.projector.compose import views

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)


def day(number: float) -> datetime:
    """The instant so many days after the story begins."""
    return BEGIN + timedelta(days=number)


class Story:
    """Events in the order in which they are recorded, one an hour unless said otherwise."""

    def __init__(self, rules: Mapping[str, Rules] | None = None) -> None:
        self.log: list[Recorded] = []
        self._rules = rules or {}

    def tell(
        self,
        stream: str,
        payload: msgspec.Struct,
        *,
        at: datetime | None = None,
        recorded: datetime | None = None,
        by: str = "ana",
        system: bool = False,
        id: str | None = None,
        source: str | None = None,
    ) -> int:
        """Record one event; return its position. `at` is when it happened, by default when it is recorded."""
        position = len(self.log) + 1
        recorded = recorded or max([BEGIN + timedelta(hours=position), *(r.recorded_at for r in self.log[-1:])])
        event = codec.event(
            payload,
            id=id or f"e-{position}",
            source=source or ("jira" if system else "attorn"),
            subject=stream,
            time=at or recorded,
            authid=by,
            authtype="system" if system else "user",
        )
        entry = codec.seal(event, sum(r.stream == stream for r in self.log) + 1)
        self.log.append(Recorded(position, recorded, codec.decode(entry.body), entry.body))
        return position

    def people(self, *ids: str) -> None:
        for id in ids:
            self.tell(f"participant/{id}", ParticipantRegistered(
                participant_id=id, kind="human", display_name=id.capitalize()))  # fmt: skip

    def agent(self, id: str, sponsor: str = "ana") -> None:
        self.tell(f"participant/{id}", ParticipantRegistered(
            participant_id=id, kind="agent", display_name=id, sponsor=sponsor))  # fmt: skip

    def custodian(self, id: str) -> int:
        """`id` is custodian of the ledger from now on."""
        return self.tell(f"participant/{id}", RoleGranted(role="custodian"))

    def granted(self, id: str, role: Any) -> int:
        """`id` holds this role everywhere from now on."""
        return self.tell(f"participant/{id}", RoleGranted(role=role))

    def leaves(self, id: str, successor: str | None, **attributes: Any) -> int:
        return self.tell(f"participant/{id}", ParticipantDeactivated(successor=successor), **attributes)

    def folded(self, page: int = 1_000) -> "Told":
        return Told(self.log, self._rules, page)


class Told:
    """The views of a log, and the directory, as far as it goes."""

    def __init__(self, log: Sequence[Recorded], rules: Mapping[str, Rules], page: int) -> None:
        self.directory = Directory()
        self.store = SQLiteViews(MEMORY, views(self.directory, rules), self.directory)
        for start in range(0, len(log), page):
            poison = self.store.apply(log[start : start + page])
            assert not poison, poison

    @property
    def rows(self) -> Snapshot:
        with self.store.reading() as rows:
            return rows

    def ask(self, question: str, **parameters: Any) -> Any:
        """The answer, as it is after the way through JSON that every caller's parameters take."""
        shape, answer = QUESTIONS[question]
        asked = msgspec.json.decode(msgspec.json.encode(parameters), type=shape)
        found = answer(self.rows, self.directory, asked)
        msgspec.json.encode(found)
        return found
