"""A running attorn as those who work with it see it: they give commands, report facts, and ask what is so.

    async with office(url) as at:
        await at.done("ana", "work.define", work_id="W-1", title="Refund", accountable="ana")
        told = await at.fact("work/W-1", "note.added", source="crm", text="The customer called.")
        item = (await at.ask("work", work="W-1"))["item"]

Whoever asks reads what was told before: a question waits for the position of the last receipt.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import nats
from nats.aio.client import Client
from uuid_utils import uuid7

from attorn.contracts import subjects
from attorn.contracts.ledger import BATCH_MAX
from attorn.contracts.refusal import Problem, Receipt, Reply

DIG: Final = "sha256:" + "a" * 64
_reply: Final[msgspec.json.Decoder[Reply]] = msgspec.json.Decoder(Reply)


class Office:
    """One connection, on which everybody speaks: the broker of a demo lets everybody be anybody."""

    def __init__(self, nc: Client) -> None:
        self.nc = nc
        self.position = 0

    async def reply(self, who: str, verb: str, **body: Any) -> Reply:
        """The answer to a command."""
        said = await self.nc.request(subjects.command(who, verb), msgspec.json.encode(body), timeout=10)
        answer = _reply.decode(said.data)
        if isinstance(answer, Receipt):
            self.position = max(self.position, answer.position)
        return answer

    async def done(self, who: str, verb: str, **body: Any) -> Receipt:
        """The receipt of a command that must not be refused."""
        answer = await self.reply(who, verb, **body)
        assert isinstance(answer, Receipt), f"{verb} by {who}: {answer}"
        return answer

    async def refused(self, who: str, verb: str, *rules: str, **body: Any) -> Problem:
        """The problem that answers a command, for these reasons among others."""
        answer = await self.reply(who, verb, **body)
        assert isinstance(answer, Problem), f"{verb} by {who} was carried out: {answer}"
        assert {breach.rule for breach in answer.rules} >= set(rules), answer
        return answer

    async def fact(
        self,
        stream: str,
        type: str,
        *,
        source: str,
        at: datetime | None = None,
        id: str | None = None,
        correlationid: str | None = None,
        **data: Any,
    ) -> Receipt:
        """The receipt of a fact: `source` reports that this happened, now unless `at` says when."""
        event = {"specversion": "1.0", "id": id or str(uuid7()), "source": f"/{source}", "type": f"attorn.{type}.v1",
                 "subject": stream, "time": (at or datetime.now(UTC)).isoformat(), "data": data}  # fmt: skip
        if correlationid is not None:
            event["correlationid"] = correlationid
        said = await self.nc.request(subjects.fact(source), msgspec.json.encode(event), timeout=10)
        answer = _reply.decode(said.data)
        assert isinstance(answer, Receipt), answer
        self.position = max(self.position, answer.position)
        return answer

    async def facts(self, source: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Report these, each of which must be recorded."""
        for start in range(0, len(events), BATCH_MAX):
            body = msgspec.json.encode(events[start : start + BATCH_MAX])
            said = await self.nc.request(subjects.fact(source), body, timeout=10)
            for answer in msgspec.json.decode(said.data, type=list[Reply]):
                assert isinstance(answer, Receipt), answer
                self.position = max(self.position, answer.position)

    async def ask(self, question: str, **parameters: Any) -> Any:
        """What the views answer, from the position of the last receipt on."""
        asked = {"wait_for": self.position, **parameters}
        said = await self.nc.request(subjects.query(question), msgspec.json.encode(asked), timeout=10)
        answer = msgspec.json.decode(said.data)
        assert "result" in answer, answer
        return answer["result"]

    async def people(self, *ids: str, **said: Any) -> None:
        for id in ids:
            await self.done("root", "participant.register", participant_id=id, kind="human", display_name=id, **said)

    async def agents(self, sponsor: str, *ids: str, kind: str = "agent", **said: Any) -> None:
        for id in ids:
            body = {"participant_id": id, "kind": kind, "display_name": id, "sponsor": sponsor}
            await self.done("root", "participant.register", **body, **said)

    async def entrusted(self, work: str, who: str, *, by: str, **said: Any) -> None:
        """`work`, which `by` answers for, is defined and delegated to `who`, as far as they need no more asking."""
        await self.done(by, "work.define", work_id=work, title="Refund", accountable=by, **said)
        delegation = {"work_id": work, "delegation_id": f"D-{work}"}
        await self.done(by, "work.delegate", **delegation, delegate=who, autonomy="act")
        await self.done(who, "delegation.accept", **delegation)

    async def carried_out(self, work: str, who: str, *, by: str, dig: str = DIG, **start: Any) -> None:
        """`who` begins, acts once, and hands in one output, `o-1`."""
        await self.entrusted(work, who, by=by, **start.pop("define", {}))
        await self.handed_in(work, who, f"x-{work}", dig=dig, **start)

    async def handed_in(
        self, work: str, who: str, execution: str, *, dig: str = DIG, contribution: str = "ai", actions: int = 1,
        cost: dict[str, Any] | None = None, **start: Any,
    ) -> None:  # fmt: skip
        x = {"work_id": work, "execution_id": execution}
        await self.done(who, "execution.start", **x, **start)
        for number in range(actions):
            await self.done(who, "execution.record_action", **x, action_id=f"{execution}-{number}", tool="look")
        made = [{"output_id": "o-1", "dig": dig, "contribution": contribution}]
        more = {"cost": cost} if cost is not None else {}
        await self.done(who, "work.execute", **x, result="completed", outputs=made, **more)

    async def events(self, work: str) -> list[Any]:
        """What the timeline says of one item."""
        return (await self.ask("timeline", work=work, limit=1_000))["events"]  # type: ignore[no-any-return]


@asynccontextmanager
async def office(url: str) -> AsyncIterator[Office]:
    nc = await nats.connect(url)
    try:
        yield Office(nc)
    finally:
        await nc.close()
