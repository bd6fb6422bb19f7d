"""Reads an event log in XES (IEEE 1849), plain or gzip, one trace at a time, in memory that does not grow with the log.

    for trace in read(Path("incidents.xes.gz")):
        print(trace.attributes["concept:name"], len(trace.events))

What is read: the attributes of traces and events, typed as XES types them. What is passed over: extensions, globals,
classifiers and the attributes of the log itself, since nothing that attorn records comes from them.

A nested attribute stands beside its outer one, under both keys: `cost` and `cost/currency`. A list or a container has
no value of its own, only members: `items/item`. A key that comes again in the same place is numbered: `items/item#2`.

The reader trusts nothing in the file. What it cannot read exactly it refuses with UnreadableLog; it never leaves out a
trace or an event. An importer calls `check` first, so that a file that breaks off in the middle is refused before
anything is published.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn, TypeAlias
from xml.parsers import expat

import msgspec

Value: TypeAlias = str | int | float | bool | datetime
OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes of the file on disk that are consumed, and with how many there are."""

CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES_MAX: Final = 4 * 1024 * 1024
"""The longest single tag or comment: expat keeps an unfinished one and, before 2.6, scans it anew with each chunk."""
NESTING_MAX: Final = 32
"""The deepest nesting of attributes: a nested key repeats its outer ones, so depth costs its square."""


class SourceEvent(msgspec.Struct, frozen=True):
    """One event as its source wrote it; `index` counts from 0 within the trace, in file order."""

    index: int
    attributes: dict[str, Value]

    @property
    def time(self) -> datetime | None:
        """Its `time:timestamp`, always with an offset; None where there is none, or one that is not of type date."""
        value = self.attributes.get("time:timestamp")
        return value if isinstance(value, datetime) else None

    @property
    def resource(self) -> str | None:
        """Its `org:resource`; None where there is none, or an empty one."""
        value = self.attributes.get("org:resource")
        return value if isinstance(value, str) and value else None


class Trace(msgspec.Struct, frozen=True):
    """One case; `index` counts from 0 within the log. The events are in file order, which need not be that of time."""

    index: int
    attributes: dict[str, Value]
    events: tuple[SourceEvent, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole log holds, all of it readable."""

    traces: int
    events: int
    first: datetime | None
    """The earliest time of any event; None in a log without times."""
    last: datetime | None
    without_time: int
    """Events that have no `time:timestamp` of type date."""
    without_resource: int
    """Events that have no `org:resource`, or an empty one."""
    out_of_order: int
    """Events that are earlier than the last event with a time before them in their trace."""
    without_offset: int
    """Dates of traces and events that name no offset, and were taken to be UTC."""


class UnreadableLog(Exception):
    """The file is not a log that can be read exactly; `line` and `column` count from 1, None before any text is."""

    def __init__(self, path: Path, line: int | None, column: int | None, reason: str, hint: str) -> None:
        super().__init__(path, line, column, reason, hint)
        self.path = path
        self.line = line
        self.column = column
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        place = "" if self.line is None else f", line {self.line}, column {self.column}"
        return f"{self.path}{place}: {self.reason}; {self.hint}."


def check(path: Path, on_progress: OnProgress | None = None) -> Summary:
    """Read all of `path` and say what it holds.

    Raises UnreadableLog when any of it cannot be read.
    """
    parsing = _Parsing(path)
    traces = events = without_time = without_resource = out_of_order = 0
    first: datetime | None = None
    last: datetime | None = None
    for trace in _traces(parsing, on_progress):
        traces += 1
        events += len(trace.events)
        before: datetime | None = None
        for event in trace.events:
            if event.resource is None:
                without_resource += 1
            time = event.time
            if time is None:
                without_time += 1
                continue
            if before is not None and time < before:
                out_of_order += 1
            before = time
            if first is None or time < first:
                first = time
            if last is None or time > last:
                last = time
    return Summary(
        traces=traces,
        events=events,
        first=first,
        last=last,
        without_time=without_time,
        without_resource=without_resource,
        out_of_order=out_of_order,
        without_offset=parsing.without_offset,
    )


def read(path: Path, on_progress: OnProgress | None = None) -> Iterator[Trace]:
    """The traces of `path`, in file order.

    Raises UnreadableLog where the reading comes to it, when traces before that place are out already; see `check`.
    """
    return _traces(_Parsing(path), on_progress)


def _traces(parsing: "_Parsing", on_progress: OnProgress | None) -> Iterator[Trace]:
    for chunk, consumed, total in _chunks(parsing):
        yield from parsing.feed(chunk)
        if on_progress is not None:
            on_progress(consumed, total)
    yield from parsing.finish()


def _chunks(parsing: "_Parsing") -> Iterator[tuple[bytes, int, int]]:
    """The unpacked content, each piece with the bytes of the file consumed so far and in all."""
    path = parsing.path
    try:
        if not path.is_file():
            parsing.refuse("is not a file" if path.exists() else "does not exist", "name one .xes or .xes.gz file")
        with path.open("rb") as disk:
            total = disk.seek(0, 2)
            if total == 0:
                parsing.refuse("the file is empty, 0 bytes", "copy or export it again")
            disk.seek(0)
            # The content decides, not the name: logs are renamed and unpacked on their way.
            zipped = disk.read(len(_GZIP)) == _GZIP
            disk.seek(0)
            content = gzip.GzipFile(fileobj=disk) if zipped else disk
            while chunk := content.read(CHUNK_BYTES):
                yield chunk, disk.tell(), total
    except EOFError:
        parsing.refuse("the gzip data breaks off before its end", "the file is incomplete, copy it again")
    except (gzip.BadGzipFile, zlib.error) as error:
        parsing.refuse(f"the gzip data is damaged ({error})", "copy the file again")
    except OSError as error:
        parsing.refuse(f"the file cannot be read ({error.strerror or error})", "check its permissions and its disk")


class _Parsing:
    """One pass over one file: the state between two calls of expat.

    expat calls `_start` and `_end` one and a half million times for a log of 40 MB, which is why they are written flat.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.without_offset = 0
        self._fed = 0
        self._chunk = b""
        self._complete: list[Trace] = []
        self._traces = 0
        self._in_log = False
        self._skipped = 0  # how many elements deep we are in something that is not read
        self._trace: dict[str, Value] | None = None
        self._events: list[SourceEvent] = []
        self._event: dict[str, Value] | None = None
        self._target: dict[str, Value] | None = None  # what attributes belong to: the open event, else the open trace
        self._keys: list[str] = []  # the keys of the attributes that are open, outermost first
        self._repeats: dict[str, int] = {}
        self._values: dict[str, Callable[[str], Value]] = {
            "string": str,
            "date": self._date,
            "int": _int,
            "float": _float,
            "boolean": _boolean,
            "id": str,
        }
        # Without expat's own namespace processing, so that a log whose prefix is declared nowhere is still readable.
        self._parser = expat.ParserCreate()
        self._parser.XmlDeclHandler = self._declaration
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, chunk: bytes) -> list[Trace]:
        """The traces that end in `chunk`."""
        if self._fed == 0:
            self._sniff(chunk)
        self._chunk = chunk
        self._fed += len(chunk)
        self._parse(chunk, final=False)
        if self._fed - max(self._parser.CurrentByteIndex, 0) > TAG_BYTES_MAX:
            self.refuse(
                f"one tag or comment is longer than {TAG_BYTES_MAX // 1024 // 1024} MiB{self._where()}", "shorten it"
            )
        complete, self._complete = self._complete, []
        return complete

    def finish(self) -> list[Trace]:
        """The traces that only the end of the file completes."""
        self._parse(b"", final=True)
        return self._complete

    def refuse(self, reason: str, hint: str) -> NoReturn:
        """Raise UnreadableLog for the place that the parser is at."""
        if self._fed == 0:
            raise UnreadableLog(self.path, None, None, reason, hint)
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1
        raise UnreadableLog(self.path, line, column, reason, hint)

    def _parse(self, chunk: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(chunk, final)
        except expat.ExpatError as error:
            reason, hint = self._fault(error.code, final)
            raise UnreadableLog(self.path, error.lineno, error.offset + 1, reason, hint) from error

    def _fault(self, code: int, final: bool) -> tuple[str, str]:
        said = expat.ErrorString(code)
        if final and code in _BREAKS_OFF:
            if not self._in_log and self._traces == 0:
                return "the file ends before any <log>", "copy or export it again"
            return f"the file breaks off{self._where()}, before </log>", "it is incomplete, copy or export it again"
        if code in _MISENCODED:
            return f"the text is not in the encoding that the file declares ({said})", "export it again as UTF-8"
        if code == _INVALID_TOKEN:
            at = self._parser.ErrorByteIndex - (self._fed - len(self._chunk))
            if 0 <= at < len(self._chunk) and self._chunk[at] >= 0x80:
                byte = f"byte 0x{self._chunk[at]:02x}"
                return f"{byte} is not valid in the file's encoding{self._where()}", "export it again as UTF-8"
        return f"the XML is not well-formed ({said}){self._where()}", "mend that place or export the log again"

    def _sniff(self, chunk: bytes) -> None:
        for magic, name in _ARCHIVES:
            if chunk.startswith(magic):
                self.refuse(f"this is {name}, not XML or gzip", "unpack it first and name the .xes file in it")
        content = chunk.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
        if content and not content.startswith(b"<"):
            self.refuse(f"this is neither XML nor gzip, it begins with {chunk[:16]!r}", "name a .xes or .xes.gz file")

    def _where(self) -> str:
        if self._trace is None:
            return f" after {self._traces} traces" if self._traces else ""
        name = self._trace.get("concept:name")
        named = "" if name is None else f" ({_shown(str(name))})"
        event = "" if self._event is None else f", event index {len(self._events)}"
        return f" in trace index {self._traces}{named}{event}"

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        # expat knows the usual encodings; pyexpat lends it any other of one byte per character and fails, in a
        # way that could be anybody's ValueError, on the rest. Here the failure still knows its cause.
        if encoding is None or encoding.lower() in _EXPAT_ENCODINGS:
            return
        try:
            readable = len(bytes(range(256)).decode(encoding, "replace")) == 256
        except (LookupError, ValueError):
            readable = False
        if not readable:
            self.refuse(f"the encoding {_shown(encoding)} is not supported", "export the log as UTF-8")

    def _doctype(self, _name: str, _system: str | None, _public: str | None, _internal: int) -> None:
        # Nothing in XES needs one, and entities are how a small file becomes a large one or reads other files.
        self.refuse(
            "the file has a DOCTYPE, and with it could declare entities, which are refused",
            "remove the <!DOCTYPE …> declaration",
        )

    def _start(self, tag: str, given: dict[str, str]) -> None:
        if ":" in tag:
            tag = tag.rpartition(":")[2]
        if self._skipped:
            if tag == "trace" or tag == "event":
                self._misplaced(tag)
            self._skipped += 1
            return
        target = self._target
        value_of = self._values.get(tag)
        if value_of is not None and target is not None:
            try:
                key = given["key"]
                text = given["value"]
            except KeyError as missing:
                self.refuse(f"a <{tag}> has no {missing.args[0]}{self._where()}", "give it a key and a value")
            if self._keys:
                key = self._nested(key)
            try:
                value = value_of(text)
            except ValueError:
                self.refuse(
                    f"{_shown(key)} is not a valid {tag}{self._where()}: {_shown(text)}",
                    f"write it like {_EXAMPLES[tag]}",
                )
            if key in target:
                key = self._numbered(target, key)
            target[key] = value
            self._keys.append(key)
        elif tag == "event":
            if self._trace is None or self._event is not None or self._keys:
                self._misplaced(tag)
            self._event = self._target = {}
            self._repeats = {}
        elif tag == "trace":
            if not self._in_log or self._trace is not None:
                self._misplaced(tag)
            self._trace = self._target = {}
            self._events = []
            self._repeats = {}
        elif not self._in_log:
            if tag != "log":
                self.refuse(f"the root element is <{_shortened(tag)}>, not <log>", "name an XES event log")
            self._in_log = True
        elif target is not None and (tag == "list" or tag == "container"):
            if "key" not in given:
                self.refuse(f"a <{tag}> has no key{self._where()}", "give it a key")
            self._keys.append(self._nested(given["key"]) if self._keys else given["key"])
        elif tag == "values" and self._keys:
            self._keys.append(self._keys[-1])
        else:
            self._skipped = 1

    def _end(self, _tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif self._keys:
            self._keys.pop()
        elif self._event is not None:
            self._events.append(SourceEvent(len(self._events), self._event))
            self._event = None
            self._target = self._trace
            self._repeats = {}
        elif self._trace is not None:
            self._complete.append(Trace(self._traces, self._trace, tuple(self._events)))
            self._trace = self._target = None
            self._traces += 1

    def _misplaced(self, tag: str) -> NoReturn:
        expected = "directly in <log>" if tag == "trace" else "directly in a <trace>"
        self.refuse(f"a <{tag}> stands elsewhere than {expected}{self._where()}", f"move it {expected}")

    def _nested(self, key: str) -> str:
        if len(self._keys) >= NESTING_MAX:
            self.refuse(f"attributes are nested more than {NESTING_MAX} deep{self._where()}", "flatten them")
        return f"{self._keys[-1]}/{key}"

    def _numbered(self, target: dict[str, Value], key: str) -> str:
        # The count is kept, so that a key repeated n times costs n and not its square.
        number = self._repeats.get(key, 1) + 1
        while f"{key}#{number}" in target:
            number += 1
        self._repeats[key] = number
        return f"{key}#{number}"

    def _date(self, text: str) -> datetime:
        text = text.strip()
        if _DATE.fullmatch(text) is None:
            raise ValueError(text)
        date = datetime.fromisoformat(text)
        if date.tzinfo is None:
            self.without_offset += 1
            return date.replace(tzinfo=UTC)
        if date.year in (1, 9999):
            _in_utc(date)
        return date


def _in_utc(date: datetime) -> datetime:
    """The same instant in UTC; a ValueError when that is outside the years 1 to 9999 and so could not be recorded."""
    try:
        return date.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(date)) from error


def _int(text: str) -> int:
    # int() alone also takes underscores and the digits of other scripts.
    if _INT.fullmatch(text) is None or not -(2**63) <= (value := int(text)) < 2**63:
        raise ValueError(text)
    return value


def _float(text: str) -> float:
    if _FLOAT.fullmatch(text) is None:
        raise ValueError(text)
    return float(text)


def _boolean(text: str) -> bool:
    match text.strip().lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            raise ValueError(text)


def _shown(text: str) -> str:
    """`text` quoted for a sentence: control characters escaped, never longer than a line."""
    return repr(_shortened(text))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


_GZIP: Final = b"\x1f\x8b"
_ARCHIVES: Final = (
    (_GZIP, "gzip within gzip"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
)

# datetime.fromisoformat takes more than XES allows: days without a time, weeks, any character for the T.
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-5][0-9])?)?"
)
_INT: Final = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_FLOAT: Final = re.compile(r"\s*([+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?INF|NaN)\s*")
_EXAMPLES: Final = {
    "date": "2012-05-10T12:00:00+02:00",
    "int": "42, between -2^63 and 2^63 - 1",
    "float": "0.25, INF or NaN",
    "boolean": "true or false",
}

_EXPAT_ENCODINGS: Final = frozenset({"utf-8", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "us-ascii"})
_INVALID_TOKEN: Final = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
_MISENCODED: Final = frozenset(
    expat.errors.codes[said]
    for said in (expat.errors.XML_ERROR_INCORRECT_ENCODING, expat.errors.XML_ERROR_UNKNOWN_ENCODING)
)
_BREAKS_OFF: Final = frozenset(
    expat.errors.codes[said]
    for said in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)
