"""The CloudEvents SDK for Python, which nobody here wrote: it reads what attorn publishes, attorn what it writes."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from attorn.contracts import codec, door, subjects
from attorn.contracts.envelope import SERVICE_ATTRIBUTES
from attorn.contracts.messages import EVENTS
from attorn.contracts.refusal import Problem, Receipt
from attorn.services.documents import fact_example, recorded_example
from attorn.services.supervise.server import embedded
from attorn_services import serving

sdk = JSONFormat()


def attributes(event: Any) -> dict[str, Any]:
    """The attributes of an event of ours, as CloudEvents has them."""
    document = json.loads(codec.encode(event))
    document.pop("data")
    return document | {"time": event.time}


@pytest.mark.parametrize("shape", EVENTS, ids=lambda shape: shape.type)
def test_the_sdk_reads_what_we_record(shape: type[msgspec.Struct]) -> None:
    event = recorded_example(shape)
    read = sdk.read(None, codec.encode(event))
    assert isinstance(read, CloudEvent)
    assert read.get_attributes() == attributes(event)
    assert read.get_data() == json.loads(codec.encode(event))["data"]
    assert read.get_extension("sequence") == event.sequence
    assert read.get_time() == event.time


@pytest.mark.parametrize("shape", EVENTS, ids=lambda shape: shape.type)
def test_we_read_what_the_sdk_writes(shape: type[msgspec.Struct]) -> None:
    event = fact_example(shape)
    written = sdk.write(CloudEvent(attributes(event), json.loads(codec.encode(event))["data"]))
    assert door.fact(written) == event


def test_what_the_sdk_may_write_and_a_door_does_not_take_is_refused_by_name() -> None:
    head = {"id": "1", "source": "/x", "type": "attorn.note.added.v1", "specversion": "1.0",
            "time": datetime(2026, 3, 2, 9, tzinfo=UTC)}  # fmt: skip
    for said, data, field in (
        (head, {"text": "no subject"}, "subject"),
        (head | {"subject": "work/W-1"}, b"\x00", "data_base64"),
        (head | {"subject": "work/W-1", "datacontenttype": "text/plain"}, "plain", "datacontenttype"),
        (head | {"subject": "work/W-1", "authid": "ana"}, {"text": "x"}, "authid"),
    ):
        with pytest.raises(door.Unreadable) as refused:
            door.fact(sdk.write(CloudEvent(said, data)))
        assert refused.value.field == field


async def test_through_a_running_attorn_and_back() -> None:
    written = sdk.write(
        CloudEvent(
            {"id": "n-1", "source": "/sdk", "type": "attorn.note.added.v1", "specversion": "1.0",
             "subject": "work/SDK-1", "time": datetime(2026, 3, 2, 9, tzinfo=UTC), "shade": "blue"},
            {"text": "written by the SDK"},
        )
    )  # fmt: skip
    async with embedded() as broker, serving(broker) as services:
        feed = await services.nc.jetstream().subscribe("attorn.feed.note.added.work.SDK-1", stream=subjects.FEED)
        receipt = await services.fact("sdk", written)
        assert isinstance(receipt, Receipt), receipt
        again = await services.fact("sdk", written)
        assert not isinstance(again, Problem) and again.position == receipt.position
        message = await feed.next_msg(10)
    read = sdk.read(None, message.data)
    assert read.get_id() == "n-1"
    assert read.get_data() == {"text": "written by the SDK"}
    assert (read.get_extension("shade"), read.get_extension("authid")) == ("blue", "sdk")
    assert {name for name in SERVICE_ATTRIBUTES if name in read.get_attributes()} == {"sequence", "authid", "authtype"}
