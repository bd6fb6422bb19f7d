"""Attorn's events as the library's domain events, and back: their bytes are the log's own."""

from typing import Any, cast

from eventsourcing.persistence import Mapper, ProgrammingError, StoredEvent

from attorn.contracts import codec
from attorn.contracts.envelope import Event, Unknown


class EventMapper(Mapper[str]):
    """Knows nothing of ciphers and compressors: everybody else reads these bytes too."""

    def __init__(self, transcoder: Any = None, compressor: Any = None, cipher: Any = None) -> None:
        if compressor is not None or cipher is not None:
            raise ProgrammingError("attorn's log is neither compressed nor encrypted: unset COMPRESSOR_TOPIC, CIPHER_*")
        super().__init__(transcoder)

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        if not isinstance(domain_event, Event):
            raise ProgrammingError(f"{type(domain_event).__name__} is not one of attorn's events")
        if isinstance(domain_event.data, Unknown):
            raise ProgrammingError(f"{domain_event.type}: what was not understood cannot be written again")
        return stored_event(domain_event, codec.encode(domain_event))

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return codec.decode(stored_event.state, cast(str, stored_event.originator_id))


def stored_event(event: Event, body: bytes) -> StoredEvent:
    return StoredEvent(event.subject, event.version, event.type, body)
