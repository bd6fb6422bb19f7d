"""The door: what a message from outside must be before anybody acts on it.

Readers of the log are tolerant, doors are strict. Everything that JSON decoders pass over in silence is refused
here, with the field named and the fix said, so that nothing stands on the log that two readers read differently.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC
from typing import Any, Final, TypeVar

import msgspec

from attorn.contracts import misfit, subjects
from attorn.contracts.codec import UNFIT, decode, encode, known
from attorn.contracts.envelope import SERVICE_ATTRIBUTES, Event, Unknown
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.refusal import Unreadable
from attorn.contracts.upcast import UPCASTERS

BODY_BYTES_MAX: Final = 1_000_000
DEPTH_MAX: Final = 32
INTEGER_MAX: Final = 2**53 - 1

_EXTENSION: Final = re.compile(r"[a-z0-9]{1,20}")
_ATTRIBUTES: Final = frozenset(Event.__struct_fields__) | {"type"}
# msgspec also reads what RFC 3339 does not know (`+0000`, a space for the T); other readers do not.
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

# Where a field may hold anything, so may its numbers.
_LONG_NUMBER: Final = re.compile(rb"[:,\[]-?[0-9]{16}")

T = TypeVar("T", bound=msgspec.Struct)


def fact(body: bytes) -> Event:
    """The event in `body`, as a publisher sends it. Raises Unreadable, naming the field and the fix."""
    event = _verbatim(body)
    if event is not None:
        return event
    document = parse(body)
    if not isinstance(document, dict):
        raise Unreadable('a CloudEvent is a JSON object: {"specversion": "1.0", …}')
    for name in ("specversion", "id", "source", "type", "subject", "time"):
        if not isinstance(document.get(name), str) or not document[name]:
            raise Unreadable("is required, a non-empty string", name)
    if document["specversion"] != "1.0":
        raise Unreadable('must be "1.0"', "specversion")
    for name in ("id", "source", "type"):
        if len(document[name]) > 512:
            raise Unreadable("is longer than 512 characters", name)
    for name in SERVICE_ATTRIBUTES:
        if name in document:
            raise Unreadable("is said by the service that records the event; leave it out", name)
    for name, value in document.items():
        if not _EXTENSION.fullmatch(name):
            raise Unreadable("attribute names are 1 to 20 lower-case letters or digits", _brief(name))
        # In CloudEvents an attribute that is null is an attribute that is left out.
        if name not in _ATTRIBUTES:
            if value is not None and not isinstance(value, str | int):
                raise Unreadable("an extension attribute is a string, an integer or a boolean", name)
        elif name != "data" and value is not None and not isinstance(value, str):
            raise Unreadable("is a string", name)
    subjects.stream(document["subject"])
    if document.get("datacontenttype", "application/json") != "application/json":
        raise Unreadable("must be application/json", "datacontenttype")
    if "data" not in document:
        raise Unreadable("is required, an object", "data")
    if not _INSTANT.fullmatch(document["time"]):
        raise Unreadable(misfit.INSTANT, "time")

    event = decode(body)
    payload = shape_of(document["type"])
    if payload is None:
        if event.type != document["type"]:
            raise _unreadable(_reason(event))
        _universal(event)
        return event
    if isinstance(event.data, Unknown):
        raise _unreadable(event.data.reason, payload, "data")
    for field in unknown_fields(document["data"], payload, "data"):
        raise Unreadable(f"is not a field of {document['type']}; the schema lists those that are", _brief(field))
    _universal(event)
    return event


def shape_of(type: str) -> type[msgspec.Struct] | None:
    """The shape of the data of events of `type`, of old versions too; None where it is no type of ours."""
    older = UPCASTERS.get(type)
    return EVENT_BY_TYPE.get(type) if older is None else older.shape


def _verbatim(body: bytes) -> Event | None:
    """The event, when `body` is to the letter how we would write it; None says nothing about it.

    Our own encoder writes no key twice, and no field that is not the type's. So a body that is just what it would write
    needs no second look at its JSON, which is most of what the door costs.
    """
    if not _is_plain(body):
        return None
    event = decode(body)
    if isinstance(event.data, Unknown) or encode(event) != body:
        return None
    if not event.id or not event.source or len(event.id) > 512 or len(event.source) > 512:
        return None
    if any(getattr(event, name) is not None for name in SERVICE_ATTRIBUTES):
        return None
    if event.datacontenttype != "application/json" or not 1 < event.time.year < 9999:
        return None
    subjects.stream(event.subject)
    return event


def _is_plain(body: bytes) -> bool:
    """Whether nothing in `body` needs a look that its decoder does not take."""
    return (
        len(body) <= BODY_BYTES_MAX
        and b"\\u" not in body
        and body.count(b"{") + body.count(b"[") <= DEPTH_MAX
        and not _LONG_NUMBER.search(body)
    )


def command(body: bytes, shape: type[T]) -> T:
    """The command in `body`. Raises Unreadable, naming the field and the fix."""
    if _is_plain(body):
        # To the letter how we would write it, as in `_verbatim`.
        with suppress(*UNFIT):
            plain = msgspec.json.decode(body, type=shape)
            if msgspec.json.encode(plain) == body:
                return plain
    document = parse(body)
    if not isinstance(document, dict):
        raise Unreadable("a command is a JSON object")
    try:
        found = msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        # Of an unknown field msgspec does not say where it stands.
        if str(error).startswith("Object contains unknown field"):
            _refuse_strays(document, shape)
        raise _unreadable(str(error), shape) from None
    _refuse_strays(document, shape)
    return found


def _refuse_strays(document: Any, shape: type[msgspec.Struct]) -> None:
    for field, there in _strays(document, _shape(shape), ""):
        raise Unreadable(f"is not a field of {shape.__name__}; here it has {', '.join(there)}", _brief(field))


def outgoing(body: bytes) -> Event:
    """An event of our own making as it will be read; what nobody could read again is refused.

    Raises Unreadable with the field: a number, a name or a text has grown too long. Were it recorded, it would be there
    for ever, and nobody could take it in.
    """
    if len(body) > BODY_BYTES_MAX:
        raise Unreadable(f"the event would have {len(body):,} bytes; the most is {BODY_BYTES_MAX:,}")
    try:
        return known(body)
    except UNFIT as reason:
        raise _unreadable(str(reason)) from None


def parse(body: bytes) -> Any:
    """The JSON in `body`, refused where readers would disagree about it (RFC 7493, I-JSON)."""
    if len(body) > BODY_BYTES_MAX:
        most = f"{len(body):,} bytes; the most is {BODY_BYTES_MAX:,}"
        raise Unreadable(f"the message has {most}: refer to large content by uri and digest")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"byte {error.start} is not UTF-8") from None
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise Unreadable(f"nested deeper than {DEPTH_MAX} levels") from None
    except Unreadable as found:
        raise _located(text, found) from None
    # First the depth: whatever walks the document after that may recurse.
    if text.count("{") + text.count("[") > DEPTH_MAX:
        _depth(document, 1)
    if "\\u" in text:
        _characters(document, "")
    return document


def unknown_fields(value: Any, shape: Any, path: str) -> Iterator[str]:
    """The paths in `value` that the Struct `shape` has no field for."""
    for place, _ in _strays(value, _shape(shape), path):
        yield place


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Unreadable("stands twice in one object; readers differ on which one counts", _brief(name))
            seen.add(name)
    return found


def _constant(name: str) -> Any:
    raise Unreadable(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > INTEGER_MAX:
        raise Unreadable(f"the integer {digits[:40]} is beyond ±(2^53 - 1); send it as a string")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise Unreadable(f"the number {digits[:40]} is beyond what a double holds; send it as a string")
    return number


def _located(text: str, found: Unreadable) -> Unreadable:
    """`found`, with the whole path of what it is about. Only a refusal pays for looking it up."""

    def kept(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def checked(value: Any) -> Any:
            try:
                return check(value)
            except Unreadable as wrong:
                return wrong

        return checked

    def wrongs(value: Any, path: str) -> Iterator[Unreadable]:
        if isinstance(value, Unreadable):
            yield Unreadable(value.reason, _brief(".".join(filter(None, (path, value.field)))) or None)
        elif isinstance(value, dict):
            for name, item in value.items():
                yield from wrongs(item, f"{path}.{name}" if path else name)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from wrongs(item, f"{path}[{index}]")

    try:
        document = json.loads(
            text,
            object_pairs_hook=kept(_object),
            parse_constant=kept(_constant),
            parse_int=kept(_integer),
            parse_float=kept(_float),
        )
        return next(wrongs(document, ""), found)
    except (ValueError, RecursionError):
        return found


def _characters(value: Any, path: str) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise Unreadable("has the character U+0000, which databases refuse", _brief(path) or None)
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise Unreadable("has a lone surrogate, which is no character", _brief(path) or None)
    elif isinstance(value, dict):
        for name, item in value.items():
            place = f"{path}.{name}" if path else name
            _characters(name, place)
            _characters(item, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _characters(item, f"{path}[{index}]")


def _depth(value: Any, depth: int) -> None:
    """`depth` is the level that `value` is on when it is an object or an array."""
    if not isinstance(value, dict | list):
        return
    if depth > DEPTH_MAX:
        raise Unreadable(f"nested deeper than {DEPTH_MAX} levels")
    for item in value.values() if isinstance(value, dict) else value:
        _depth(item, depth + 1)


def _universal(event: Event) -> None:
    try:
        event.time.astimezone(UTC)
    except OverflowError:
        raise Unreadable("is outside the years 1 to 9999 in UTC", "time") from None


def _unreadable(reason: str, shape: type[msgspec.Struct] | None = None, within: str = "") -> Unreadable:
    """What msgspec says, in words; `shape` is what should have been at the place `within`."""
    sentence, place = misfit.told(reason, shape, within)
    return Unreadable(_brief(sentence, 400), _brief(place) or None)


def _brief(text: str, most: int = 200) -> str:
    """`text` fit for an answer: what a sender wrote may be as long as a message, and no text at all."""
    text = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\u0000")
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _reason(event: Event) -> str:
    return event.data.reason if isinstance(event.data, Unknown) else "cannot be read"


# A shape: for a Struct its fields' shapes, for a sequence or map ("*", the items' shape), None where anything goes.
_shapes: dict[Any, Any] = {}


def _shape(type_: Any) -> Any:
    if type_ not in _shapes:
        _shapes[type_] = _inspect(msgspec.inspect.type_info(type_))
    return _shapes[type_]


def _inspect(info: msgspec.inspect.Type) -> Any:
    inspect = msgspec.inspect
    match info:
        case inspect.StructType(fields=fields):
            return {field.encode_name: _inspect(field.type) for field in fields}
        case inspect.CollectionType(item_type=item) | inspect.VarTupleType(item_type=item):
            return ("*", _inspect(item))
        case inspect.DictType(value_type=item):
            return ("*", _inspect(item))
        case inspect.UnionType(types=types):
            shapes = [shape for shape in map(_inspect, types) if shape is not None]
            return shapes[0] if len(shapes) == 1 else None
        case _:
            return None


def _strays(value: Any, shape: Any, path: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Each path that there is no field for, and the fields that there are in its place."""
    if isinstance(shape, dict) and isinstance(value, dict):
        for name, item in value.items():
            place = f"{path}.{name}" if path else name
            if name not in shape:
                yield place, tuple(shape)
            else:
                yield from _strays(item, shape[name], place)
    elif isinstance(shape, tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, item in items:
            yield from _strays(item, shape[1], f"{path}[{name}]")
