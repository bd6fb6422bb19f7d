"""The envelope: a CloudEvent 1.0 in structured mode, one JSON body.

Field names here are the stored format. Everything that is recorded is in the body; its bytes are what is
stored, hashed, signed and exported, and nobody rewrites them. Position and recorded time are the log's.
"""

from typing import Any, Literal

import msgspec

from attorn.contracts.ids import Timestamp

SERVICE_ATTRIBUTES = ("sequence", "authid", "authtype", "onbehalfof", "severitynumber", "severitytext", "resubmittedby")
"""What the recording service says of an event, and no publisher may say of its own."""

SEVERITY_NUMBERS = {"low": 9, "medium": 13, "high": 17, "critical": 21}
"""OpenTelemetry's severity numbers for INFO, WARN, ERROR and FATAL (CloudEvents severity extension)."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One event as it stands on the log.

    `subject` names the stream (`work/W-1042`), `sequence` is the event's version in it, ten digits from 1, so
    that versions sort as text (CloudEvents sequence extension). `authid` is who acted, as the broker
    authenticated them; `onbehalfof` the human at the root of an agent's mandate; `correlationid` the root
    work item; `causationid` the command or event that led here. `time` is when it happened. `resubmittedby` is who sent
    it again, in the name of its source, out of quarantine.
    """

    specversion: Literal["1.0"]
    id: str
    source: str
    subject: str
    time: Timestamp
    data: Any
    sequence: str | None = None
    authid: str | None = None
    authtype: Literal["user", "service_account", "system"] | None = None
    onbehalfof: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    severitynumber: int | None = None
    severitytext: str | None = None
    resubmittedby: str | None = None
    datacontenttype: str = "application/json"
    dataschema: str | None = None

    @property
    def type(self) -> str:
        """`attorn.work.delegated.v1`: the payload knows its own name."""
        name: str = self.data.type
        return name

    @property
    def version(self) -> int:
        """The event's place in its stream, from 1; 0 before it has one."""
        try:
            return int(self.sequence) if self.sequence else 0
        except ValueError:  # somebody else's sequence: reading the log never raises
            return 0

    # What the eventsourcing library asks of a domain event; these two are all of it.
    @property
    def originator_id(self) -> str:
        return self.subject

    @property
    def originator_version(self) -> int:
        return self.version


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """A payload of a type that this version does not know, or that does not fit its type.

    It is kept, counted and shown; `raw` is the JSON of its data, `reason` why it could not be read.
    """

    type: str
    raw: bytes
    reason: str


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An event with the bytes to store for it."""

    event: Event
    body: bytes


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event with the place that the log gave it.

    `position` counts from 1 over the whole log without gaps; `recorded_at` is the broker's clock.
    """

    position: int
    recorded_at: Timestamp
    event: Event
    body: bytes

    @property
    def stream(self) -> str:
        return self.event.subject

    @property
    def version(self) -> int:
        return self.event.version


def sequence(version: int) -> str:
    """`version` as the sequence attribute: ten digits, so that text order is number order."""
    return f"{version:010d}"
