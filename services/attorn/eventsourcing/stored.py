"""How an application's events stand on its stream: what a message holds, and on which subject it is.

The order of the fields and the subjects here are the stored format. Add a field with a default at the end; never
rename a subject, never reorder, never remove.
"""

from typing import Final, NamedTuple
from urllib.parse import quote, unquote
from uuid import UUID

import msgspec
from eventsourcing.persistence import DataError, ProgrammingError

from attorn.contracts.ids import is_token

SUBJECT_LENGTH_MAX: Final = 1_024


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One message, as a MessagePack array: an event, a snapshot, or a position in another application.

    `author` is drawn anew for each insert: it tells our own try, whose answer was lost, from the same event of somebody
    else. `newest` is for snapshots, which need not come in order: the highest version among an aggregate's so far.
    Of a position, `version` is the notification's id.
    """

    version: int
    topic: str
    state: bytes
    author: bytes
    newest: int = 0


class Head(NamedTuple):
    """The newest message of a subject, and its position on the stream; all 0 when there is none."""

    version: int
    newest: int
    position: int


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Line)


def encode(line: Line) -> bytes:
    return _encoder.encode(line)


def decode(body: bytes) -> Line:
    """Raises DataError for what no recorder of ours wrote."""
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise DataError(f"a message on the stream is no stored event: {error}") from error


def subjects(stream: str) -> str:
    return f"es.{stream}.>"


def all_events(stream: str) -> str:
    return f"es.{stream}.event.>"


def event(stream: str, originator_id: UUID | str) -> str:
    """One literal subject for each aggregate, so that the guard on it holds on one server and on three."""
    kind = "uuid" if isinstance(originator_id, UUID) else "text"
    return _bounded(f"es.{stream}.event.{kind}.{_token(str(originator_id))}")


def tracking(stream: str, application_name: str) -> str:
    return _bounded(f"es.{stream}.tracking.{_token(application_name)}")


def originator_id(subject: str) -> UUID | str:
    _, _, _, kind, token = subject.split(".")
    return UUID(token) if kind == "uuid" else unquote(token)


def require_name(stream: str) -> str:
    """`stream` itself. Raises ProgrammingError when no stream of an application may be called that."""
    if not is_token(stream):
        raise ProgrammingError(f"{stream!r} cannot name a stream: use 1 to 64 letters, digits, '-' or '_'")
    if stream.split("_")[0] == "ATTORN":
        raise ProgrammingError(f"stream {stream} is attorn's own: read its log with attorn.eventsourcing.log")
    return stream


def _token(text: str) -> str:
    if not text:
        raise ProgrammingError("an empty string cannot name an aggregate or an application")
    try:
        return quote(text, safe="").replace(".", "%2E")
    except UnicodeEncodeError as error:
        raise DataError(f"{text!r} is no text: {error.reason}") from error


def _bounded(subject: str) -> str:
    # A much longer one would cost us the connection.
    if len(subject) > SUBJECT_LENGTH_MAX:
        raise DataError(f"{subject[:80]}… is longer than the {SUBJECT_LENGTH_MAX} characters that a subject may have")
    return subject
