"""`attorn contracts`: what events and commands look like, and whether a file of events is in order. Needs no server."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from attorn.cli.errors import Exit, misused, not_found
from attorn.cli.inputs import read
from attorn.cli.options import Events, Given
from attorn.cli.output import Column, say, write_json, write_lines, write_list

app = App(name="contracts", help="What events and commands look like; whether a file of events is in order.")

COLUMNS: Final = (Column("NAME", "name", "id"), Column("STREAM", "stream", "id"), Column("SAYS", "says"))


@app.command
def ls(
    *,
    commands: Annotated[bool, Parameter(help="The commands instead of the events.")] = False,
    options: Given,
) -> None:
    """List every type of event, or every command, with what it says.

    Example: attorn contracts ls --commands
    """
    from attorn.contracts import subjects
    from attorn.contracts.messages import COMMANDS, EVENTS

    if commands:
        found = [{"name": one.verb, "stream": "", "says": _sentence(one)} for one in COMMANDS]
    else:
        found = [{"name": one.type, "stream": subjects.kind(one.type), "says": _sentence(one)} for one in EVENTS]
    write_list(options, found, COLUMNS, id="name", nothing="there are none")


@app.command
def schema(
    name: Annotated[str, Parameter(metavar="TYPE|VERB", help="As in attorn.work.defined.v1, or in work.define.")],
    /,
    *,
    options: Given,
) -> None:
    """Print the JSON Schema (2020-12) of an event as a whole, or of the body of a command.

    Example: attorn contracts schema attorn.work.executed.v1
    """
    from attorn.services import documents

    schemas = documents.event_schemas() | documents.command_schemas()
    if name not in schemas:
        near = _near(name, schemas)
        raise not_found(
            f"there is no event or command {name}", f"{near} is the nearest" if near else "attorn contracts ls"
        )
    write_json(schemas[name])


@app.command
def asyncapi(*, options: Given) -> None:
    """Print the AsyncAPI 3 document: every subject, what goes over it, and who may publish there.

    YAML; with -o json, JSON.

    Example: attorn contracts asyncapi
    """
    from attorn.contracts import codec

    if options.output in ("json", "jsonl"):
        from attorn.services import documents

        write_json(documents.asyncapi())
        return
    there = Path(codec.__file__).with_name("asyncapi.yaml")
    write_lines(there.read_text(encoding="utf-8").splitlines())


@app.command
def validate(
    file: Events = "-",
    /,
    *,
    options: Given,
) -> int:
    """Hold a file of events against the contracts: what a fact door would not take, line by line, and how to mend it.

    Ends with 7 when something is wrong. What is only odd is said, and is no fault.

    Example: attorn contracts validate orders.jsonl
    """
    content = read(file)
    if not content.strip():
        name = "standard input" if file == "-" else file
        raise misused(f"{name}: there is nothing in it", 'a fact is a CloudEvent: {"specversion": "1.0", …}')
    bodies = list(located(content))
    remarks = list(judged(bodies))
    wrong = {remark["line"] for remark in remarks if remark["wrong"]}
    match options.output:
        case "json":
            write_json(remarks)
        case "jsonl":
            import json

            write_lines(json.dumps(remark, ensure_ascii=False) for remark in remarks)
        case "id":
            write_lines(str(line) for line in sorted(wrong))
        case "table":
            write_lines(map(_told, remarks))
            in_order = len(bodies) - len(wrong)
            many = "event" if len(bodies) == 1 else "events"
            say(f"{len(bodies):,} {many}: {in_order:,} in order, {len(wrong):,} not")
    return Exit.CHECK_FAILED if wrong else Exit.OK


def located(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The events in a file, each with the line that it begins on and its bytes to the letter."""
    import msgspec

    text = content.strip()
    first = content[: content.index(text[:1])].count(b"\n") + 1
    try:
        if text[:1] != b"[":
            msgspec.json.decode(text, type=msgspec.Raw)
            yield first, text
            return
        at = content.index(b"[") + 1
        for raw in msgspec.json.decode(text, type=list[msgspec.Raw]):
            body = bytes(raw)
            at = content.index(body, at)
            yield content.count(b"\n", 0, at) + 1, body
            at += len(body)
    except (msgspec.DecodeError, RecursionError):
        if text[:1] == b"[":
            yield first, text  # an array that cannot be taken apart is one fault
            return
        for number, line in enumerate(content.split(b"\n"), 1):
            if line.strip():
                yield number, line.strip()


def judged(bodies: list[tuple[int, bytes]]) -> Iterator[dict[str, Any]]:
    """What there is to say about each event, in order; nothing about one that is as it should be."""
    from hashlib import sha256

    from attorn.contracts import door
    from attorn.contracts.refusal import Unreadable

    used: dict[tuple[str, str], tuple[int, bytes]] = {}
    for line, body in bodies:
        try:
            event = door.fact(body)
        except Unreadable as unreadable:
            said = _head(body)
            fix = _fix(said.get("type"), unreadable.field)
            yield _remark(line, said, unreadable.field, unreadable.reason, fix, wrong=True)
            continue
        said = {"id": event.id, "type": _head(body).get("type"), "source": event.source}
        digest = sha256(body).digest()
        before = used.setdefault((event.source, event.id), (line, digest))
        if before[1] != digest:
            reason = f"{event.id} stands on line {before[0]} already, with other content"
            yield _remark(line, said, "id", reason, "an id is used once by its source, for ever", wrong=True)
        yield from _odd(line, said, event.subject)


def _odd(line: int, said: Mapping[str, Any], subject: str) -> Iterator[dict[str, Any]]:
    """What a door takes, and a publisher did hardly mean."""
    from attorn.contracts import subjects
    from attorn.contracts.door import shape_of
    from attorn.contracts.upcast import UPCASTERS
    from attorn.services import documents

    type = str(said["type"])
    if shape_of(type) is None:
        ours = type.startswith("attorn.")
        near = _near(type, [*documents.event_schemas()]) if ours else None
        fix = f"did you mean {near}?" if near else "it is kept and shown, and means nothing here"
        yield _remark(line, said, "type", f"{type} is no type of event that attorn knows", fix, wrong=ours)
        return
    if type in UPCASTERS:
        yield _remark(line, said, "type", f"{type} is an old version", "it is read as the newest; send that one")
    kind = subjects.kind(type)
    if not subject.startswith(f"{kind}/"):
        yield _remark(line, said, "subject", f"{type} belongs in a stream {kind}/<id>, not in {subject}", "")


def _remark(
    line: int, said: Mapping[str, Any], field: str | None, reason: str, fix: str, *, wrong: bool = False
) -> dict[str, Any]:
    return {"line": line, "id": said.get("id"), "type": said.get("type"), "field": field, "reason": reason, "fix": fix,
            "wrong": wrong}  # fmt: skip


def _told(remark: Mapping[str, Any]) -> str:
    from attorn.cli.errors import visible

    about = f"{remark['field']} " if remark["field"] else ""
    odd = "" if remark["wrong"] else "odd, but no fault: "
    fix = f" ({remark['fix']})" if remark["fix"] else ""
    return visible(f"line {remark['line']}: {odd}{about}{remark['reason']}{fix}")


def _head(body: bytes) -> dict[str, Any]:
    """As much as can be read of who an event says that it is."""
    import json

    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name in ("id", "type", "source") if isinstance(value := found.get(name), str)}


def _fix(type: str | None, field: str | None) -> str:
    """What would stand there in an event that is in order."""
    import json

    import msgspec

    from attorn.contracts import codec
    from attorn.contracts.door import shape_of
    from attorn.services import documents

    if field is None:
        return ""
    shape = shape_of(type or "") or shape_of("attorn.work.defined.v1")
    assert shape is not None
    place: Any = msgspec.json.decode(codec.encode(documents.fact_example(shape)))
    for name in field.replace("[", ".[").split("."):
        if isinstance(place, list):
            place = place[0] if place else None
        elif isinstance(place, dict) and name in place:
            place = place[name]
        else:
            return ""
    shown = json.dumps(place, ensure_ascii=False)
    return f"for example {shown if len(shown) <= 100 else f'{shown[:99]}…'}"


def _near(name: str, names: Any) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(names), n=1)), None)


def _sentence(shape: type[Any]) -> str:
    return (shape.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")
