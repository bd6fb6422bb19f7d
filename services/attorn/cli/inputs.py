"""What commands take in beside their options: files of TOML or JSON, `id=text` pairs, fresh ids."""

import secrets
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attorn.cli.errors import misused

if TYPE_CHECKING:
    import msgspec

T = TypeVar("T", bound="msgspec.Struct")


def command(shape: type[T], said: Mapping[str, Any], path: str | None = None) -> T:
    """A command of what was said on the line, and for the rest in the file `path`, where there is one.

    Without a file the service is the one to judge it; what comes from a file is held against the shape here already, so
    that an error names the file.
    """
    from attorn.contracts import door
    from attorn.contracts.refusal import Unreadable

    said = {name: value for name, value in said.items() if value is not None}
    if path is None:
        return shape(**said)
    import msgspec

    found = document(path)
    if not isinstance(found, dict):
        raise misused(f"{path}: it has no fields; a table of TOML or an object of JSON has")
    # The fields of a command are named in files as they are on the wire.
    wire = {field.name: field.encode_name for field in msgspec.structs.fields(shape)}
    given = {wire[name]: value for name, value in said.items()}
    try:
        return door.command(msgspec.json.encode(found | given), shape)
    except Unreadable as error:
        raise misused(f"{path}: {error}") from error


def document(path: str) -> Any:
    """What is in a TOML or JSON file; `-` is standard input. Raises Failed, naming the file and the place."""
    import json
    import tomllib

    text = read(path).decode("utf-8")
    as_json = (
        text.lstrip()[:1] in ("{", "[") if path == "-" or not path.endswith((".json", ".toml")) else path[-4:] == "json"
    )
    try:
        # `[table]` begins a line of TOML, and an array of JSON.
        return json.loads(text) if as_json else tomllib.loads(text)
    except json.JSONDecodeError as error:
        if not path.endswith(".json") and text.lstrip()[:1] == "[":
            try:
                return tomllib.loads(text)
            except tomllib.TOMLDecodeError:
                pass
        raise misused(f"{path}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except tomllib.TOMLDecodeError as error:
        raise misused(f"{path}: not TOML: {error}") from None


def read(path: str) -> bytes:
    """The bytes of a file, or of standard input for `-`."""
    if path == "-":
        if sys.stdin.isatty():
            print("reading from the terminal; Ctrl-D ends it", file=sys.stderr)
        with _interruptible():
            return sys.stdin.buffer.read()
    return Path(path).read_bytes()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends what blocks here. asyncio would take note of it, and wait until something is awaited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def pairs(texts: Sequence[str] | None, option: str, *, number: str = "") -> Iterator[tuple[str, str]]:
    """`amount=the amount is right` taken apart. Without an id, and with `number`, it is numbered: `c1`, `c2`."""
    from attorn.contracts.ids import is_token

    for place, text in enumerate(texts or (), 1):
        id, equals, rest = text.partition("=")
        if equals and is_token(id):
            yield id, rest
        elif number:
            yield f"{number}{place}", text
        else:
            raise misused(f"{option} {text!r}: it is ID=…, as in reply=reply.txt")


def digest_of(text: str) -> str:
    """`sha256:…` as it stands; else that of the file of this name."""
    if text.startswith("sha256:"):
        return text
    from hashlib import file_digest

    with open(text, "rb") as file:
        return f"sha256:{file_digest(file, 'sha256').hexdigest()}"


def fresh(kind: str) -> str:
    """An id that is nobody else's, short enough to be typed: `E-7f3k2m9q4xwc`."""
    return f"{kind}-" + "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(12))
