"""What is in quarantine is sent again in the name of its source, as it was or mended, and the log says by whom."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from attorn.contracts import subjects
from attorn.contracts.refusal import Problem, Receipt, Reply
from attorn.services.supervise.server import embedded
from attorn_services import Services, serving


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doors() -> AsyncIterator[Services]:
    """The services, shared: each test is a source of its own and reports on work of its own."""
    async with embedded(ephemeral=True) as broker, serving(broker) as running:
        yield running


def note(source: str, id: str = "1", text: Any = "seen") -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": f"/{source}",
        "type": "attorn.note.added.v1",
        "subject": f"work/{source}",
        "time": "2026-11-21T12:00:00Z",
        "data": {"text": text},
    }


async def kept(doors: Services, source: str) -> list[int]:
    """The numbers of what is in quarantine of a source."""
    js = doors.nc.jetstream()
    last = (await js.stream_info(subjects.QUARANTINE)).state.last_seq
    messages = [await js.get_msg(subjects.QUARANTINE, number) for number in range(1, last + 1)]
    return [each.seq or 0 for each in messages if each.subject == subjects.quarantine(source)]


async def again(doors: Services, number: int | str, body: Mapping[str, Any] | bytes = b"", who: str = "olga") -> Any:
    subject = f"attorn.resubmit.{who}.{number}"
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    data = (await doors.nc.request(subject, content, timeout=5)).data
    return msgspec.json.decode(data, type=list[Reply] if data[:1] == b"[" else Reply)


async def refused(doors: Services, source: str, body: bytes | dict[str, Any]) -> int:
    """Send what is refused; its number in quarantine."""
    assert isinstance(await doors.fact(source, body), Problem)
    return (await kept(doors, source))[-1]


async def test_what_was_mended_is_the_source_s_and_says_who_sent_it_again(doors: Services) -> None:
    number = await refused(doors, "shop", note("shop", text=7))
    receipt = await again(doors, number, note("shop"))
    assert isinstance(receipt, Receipt) and receipt.stream == "work/shop"
    [recorded] = await doors.ledger.read("work/shop")
    event = recorded.event
    assert (event.authid, event.authtype, event.resubmittedby) == ("shop", "system", "olga")
    assert json.loads(recorded.body) == note("shop") | {
        "sequence": "0000000001",
        "authid": "shop",
        "authtype": "system",
        "resubmittedby": "olga",
    }
    # Whoever sends the same again, the source among them, gets the first receipt.
    for answer in (
        await again(doors, number, note("shop"), "ben"),
        await doors.fact("shop", note("shop")),
    ):
        assert isinstance(answer, Receipt) and answer.position == receipt.position
    assert len(await doors.ledger.read("work/shop")) == 1


async def test_what_is_still_wrong_is_answered_and_stands_in_quarantine_once(doors: Services) -> None:
    number = await refused(doors, "mill", note("mill", text=7))
    for body in (b"", msgspec.json.encode(note("mill", text=8)), b"{", b"[]", b"[7"):
        answer = await again(doors, number, body)
        assert isinstance(answer, Problem) and answer.status == 400
    assert await kept(doors, "mill") == [number]
    assert await doors.ledger.read("work/mill") == []


async def test_as_it_was_it_is_recorded_when_a_fault_of_ours_had_kept_it_out(doors: Services) -> None:
    js = doors.nc.jetstream()
    body = msgspec.json.encode(note("farm"))
    stored = await js.publish(subjects.quarantine("farm"), body, headers={"Attorn-Status": "500"})
    assert isinstance(await again(doors, stored.seq), Receipt)
    [recorded] = await doors.ledger.read("work/farm")
    assert recorded.body.endswith(body[1:]) and recorded.event.resubmittedby == "olga"


async def test_several_facts_may_take_the_place_of_one_message(doors: Services) -> None:
    number = await refused(doors, "port", b"[")
    batch = msgspec.json.encode([note("port", "1"), note("port", "2", 7), note("port", "3")])
    answers = await again(doors, number, batch)
    assert [getattr(each, "status", 200) for each in answers] == [200, 400, 200]
    assert [each.event.resubmittedby for each in await doors.ledger.read("work/port")] == ["olga", "olga"]


async def test_of_what_was_cut_off_the_whole_is_asked_for(doors: Services) -> None:
    number = await refused(doors, "quay", b"x" * (doors.nc.max_payload - 100))
    answer = await again(doors, number)
    assert isinstance(answer, Problem) and answer.status == 400 and "its source has the whole" in answer.detail
    assert isinstance(await again(doors, number, note("quay")), Receipt)


@pytest.mark.parametrize("number", ["0", "-1", "x", "999999", "1e3", "٣", "9" * 19, "9" * 400])
async def test_what_is_not_there_is_not_found(doors: Services, number: str) -> None:
    answer = await again(doors, number, note("nobody"))
    assert isinstance(answer, Problem) and answer.status == 404 and "nothing in quarantine" in answer.detail
    assert len(answer.detail) < 200


async def test_other_bytes_under_an_id_that_was_used_are_a_conflict_as_at_every_door(doors: Services) -> None:
    assert isinstance(await doors.fact("yard", note("yard")), Receipt)
    number = await refused(doors, "yard", note("yard", text="something else"))
    answer = await again(doors, number)
    assert isinstance(answer, Problem) and answer.status == 409
    assert await kept(doors, "yard") == [number]


async def test_no_publisher_can_say_that_somebody_sent_it_again(doors: Services) -> None:
    answer = await doors.fact("fair", note("fair") | {"resubmittedby": "olga"})
    assert isinstance(answer, Problem) and answer.field == "resubmittedby"
