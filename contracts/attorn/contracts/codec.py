"""Bytes to events and back: one pass over a tagged union, and a way to keep what it does not know."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Union

import msgspec

from attorn.contracts.envelope import SERVICE_ATTRIBUTES, Entry, Event, Unknown, sequence
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.upcast import UPCASTERS, upcast


def _envelope(payload: type[msgspec.Struct]) -> type[Event]:
    # The attribute `type` tags the whole envelope, so that one pass over the bytes finds the payload's class.
    envelope: type[Event] = msgspec.defstruct(  # type: ignore[assignment]
        f"{payload.__name__}Event",
        [("data", payload)],
        bases=(Event,),
        tag_field="type",
        tag=payload.type,  # type: ignore[attr-defined]
        frozen=True,
        kw_only=True,
        omit_defaults=True,
        gc=False,
    )
    return envelope


_NEWEST: Final = tuple(EVENT_BY_TYPE.values())
ENVELOPES: Final[dict[type, type[Event]]] = {
    payload: _envelope(payload) for payload in (*_NEWEST, *(old.shape for old in UPCASTERS.values()))
}

_Front: Final = msgspec.defstruct(
    "_Front", [(name, Any, None) for name in SERVICE_ATTRIBUTES], frozen=True, omit_defaults=True, gc=False
)
"""What the service says of an event, as it goes in front of a publisher's bytes."""

_encoder: Final = msgspec.json.Encoder()
_known: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(
    Union[tuple(ENVELOPES[payload] for payload in _NEWEST)]  # noqa: UP007
)


class _Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a type that is not ours: its payload stays bytes."""

    type: str
    id: str
    source: str
    time: datetime
    data: msgspec.Raw = msgspec.Raw(b"null")
    subject: str | None = None
    sequence: str | None = None
    authid: str | None = None
    authtype: str | None = None
    onbehalfof: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    severitynumber: int | None = None
    severitytext: str | None = None
    resubmittedby: str | None = None
    dataschema: str | None = None


_foreign: Final = msgspec.json.Decoder(_Foreign)

known: Final[Callable[[bytes], Event]] = _known.decode
"""The event in a stored body of a type and a shape of today; raises one of UNFIT for any other. See `decode`."""

UNFIT: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes that are not ours, brackets without end among them."""


def event(payload: msgspec.Struct, **attributes: Any) -> Event:
    """`payload` in its envelope; `attributes` are those of Event."""
    return ENVELOPES[type(payload)](specversion="1.0", data=payload, **attributes)


def encode(event: Event) -> bytes:
    """The bytes of an event that we made ourselves. An event that came from elsewhere keeps its own."""
    return _encoder.encode(event)


def seal(event: Event, version: int) -> Entry:
    """`event` as the `version`-th of its stream, with the bytes to store."""
    placed: Event = msgspec.structs.replace(event, sequence=sequence(version))
    return Entry(placed, encode(placed))


def stamp(event: Event, body: bytes, version: int, **attributes: Any) -> Entry:
    """A publisher's event as the `version`-th of its stream.

    What the service says of it goes in front; the publisher's own bytes follow from their first attribute on, to the
    letter, so that two deliveries can be compared, and a signature over them checked, for ever.
    """
    assert attributes.keys() <= set(SERVICE_ATTRIBUTES), attributes
    placed: Event = msgspec.structs.replace(event, sequence=sequence(version), **attributes)
    return Entry(placed, _front(placed) + published(body))


def _front(event: Event) -> bytes:
    # In an order of its own, so that the front of a stored body can be told again from what is in it.
    ours = _Front(
        event.sequence,
        event.authid,
        event.authtype,
        event.onbehalfof,
        event.severitynumber,
        event.severitytext,
        event.resubmittedby,
    )
    return _encoder.encode(ours)[:-1] + b","


def published(body: bytes) -> bytes:
    """A publisher's part of a body: all behind its opening brace."""
    return body[body.index(b"{") + 1 :].strip()


def published_part(entry: Entry) -> bytes:
    """What the publisher sent of a stored event; of an event that we made ourselves, all of it."""
    front = _front(entry.event)
    return entry.body[len(front) :] if entry.body.startswith(front) else entry.body


def decode(body: bytes, stream: str = "", recorded_at: datetime | None = None) -> Event:
    """The event in a stored body. Never raises: what cannot be read is an event whose data is Unknown.

    `stream` and `recorded_at`, which the log knows, stand in for what an unreadable body does not say.
    """
    try:
        return known(body)
    except UNFIT as reason:
        return _salvage(body, stream, recorded_at, str(reason))


def _salvage(body: bytes, stream: str, recorded_at: datetime | None, reason: str) -> Event:
    try:
        found = _foreign.decode(body)
    except UNFIT as worse:
        at = recorded_at or datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        unreadable = Unknown(type="", raw=body, reason=str(worse))
        return Event(specversion="1.0", id="", source="", subject=stream, time=at, data=unreadable)
    if found.type in UPCASTERS:
        # An old version is not in the union: who reads what is written today pays nothing for it.
        try:
            return _upcasted(msgspec.json.decode(body, type=ENVELOPES[UPCASTERS[found.type].shape]))
        except UNFIT as unfit:
            reason = str(unfit)
    elif found.type not in EVENT_BY_TYPE:
        reason = "a type that this version does not know"
    attributes = {name: value for name, value in msgspec.structs.asdict(found).items() if name not in ("type", "data")}
    attributes["subject"] = found.subject or stream
    return Event(specversion="1.0", data=Unknown(type=found.type, raw=bytes(found.data), reason=reason), **attributes)


def _upcasted(event: Event) -> Event:
    said = {name: getattr(event, name) for name in Event.__struct_fields__}
    payload = upcast(said.pop("data"))
    return ENVELOPES[type(payload)](data=payload, **said)
