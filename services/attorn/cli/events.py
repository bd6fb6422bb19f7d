"""`attorn events`: the log itself. Works without the views, and shows what is stored, to the byte."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from attorn.cli import known
from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import Exit, Failed, misused, not_found
from attorn.cli.options import Given, Limit, Who
from attorn.cli.output import Column, bold, facts, say, shown, width, write_lines, write_list, write_told
from attorn.cli.paging import others
from attorn.cli.reading import as_item, at_position, pages, require_position

if TYPE_CHECKING:
    from attorn.contracts.envelope import Recorded

app = App(name="events", help="The log itself: read it, follow it.")

COLUMNS = (
    Column("POSITION", "position", "number"),
    Column("RECORDED", "recorded_at", "time"),
    Column("STREAM", "stream", "id"),
    Column("VERSION", "version", "number"),
    Column("TYPE", lambda each: _short(each["type"])),
    Column("BY", "by", "id"),
)

TYPES = (Column("TYPE", lambda each: _short(each["type"]), "id"), Column("EVENTS", "events", "number"))

Stream = Annotated[str | None, Parameter(metavar="KIND/ID", help="Only of this stream, as in work/W-1.")]
Kind = Annotated[str | None, Parameter(metavar="KIND", help="Only of streams of this kind, as in work.")]
Type = Annotated[
    str | None, Parameter(metavar="TYPE", help="Only of this type: attorn.work.defined.v1, or work.defined for short.")
]
By = Annotated[Who | None, Parameter(help="Only what this participant or source did.")]


@app.command
async def get(
    position: Annotated[int, Parameter(metavar="POSITION", help="Its place in the log, from 1.")], /, *, options: Given
) -> None:
    """Show one event. With -o json: the stored bytes, unchanged.

    Example: attorn events get 17
    """
    require_position(position)
    async with connected(options) as attorn:
        recorded = await at_position(attorn, position)
    match options.output:
        case "json" | "jsonl":
            sys.stdout.flush()
            sys.stdout.buffer.write(recorded.body)
            # A file gets exactly what is stored, so that its digest is the event's.
            sys.stdout.buffer.write(b"\n" if sys.stdout.isatty() or options.output == "jsonl" else b"")
            sys.stdout.buffer.flush()
        case "id":
            write_lines([recorded.event.id])
        case "table":
            write_told(_described(recorded))


@app.command
async def ls(
    *,
    stream: Stream = None,
    kind: Kind = None,
    type: Type = None,
    by: By = None,
    from_: Annotated[int, Parameter(name="--from", metavar="N", help="Begin at this position.")] = 1,
    last: Annotated[int | None, Parameter(metavar="N", help="Only the last so many positions.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List what is on the log, in its order.

    Example: attorn events ls --stream work/W-1
    """
    chosen = _Chosen(stream, kind, type, by)
    if limit < 0:
        raise misused(f"--limit is {limit}; it is at least 1, or 0 for all")
    found, more = list["Recorded"](), False
    async with connected(options) as attorn:
        if last is not None:
            from_ = max(from_, await attorn.ledger.last() - last + 1)
        if stream is not None:
            found = [each for each in await attorn.ledger.read(stream) if each.position >= from_ and chosen.takes(each)]
        else:
            async for page in pages(attorn, max(0, from_ - 1), chosen.kinds):
                found += (each for each in page.recorded if chosen.takes(each))
                if limit and len(found) > limit:
                    break
        more = bool(limit) and len(found) > limit
        if not found:
            await chosen.require(attorn)
    items = (_item(each) for each in (found[:limit] if limit else found))
    write_list(options, items, COLUMNS, id="position", nothing="no such events", more=others(more))


@app.command
async def stats(
    *,
    source: Annotated[str | None, Parameter(metavar="URI", help="Only of this CloudEvents source.")] = None,
    options: Given,
) -> None:
    """Count the events of each type.

    Example: attorn events stats
    """
    async with connected(options) as attorn:
        found = await attorn.ask("log_stats", source=source)
    types = [{"type": type, "events": count} for type, count in found["by_type"].items()]
    types.sort(key=lambda one: -one["events"])
    write_list(options, types, TYPES, id="type", nothing="there are no events")
    if options.output == "table":
        about = ("items", "participants", "processes", "policies", "sources")
        say(f"{found['events']:,} events about " + ", ".join(f"{found[name]:,} {name}" for name in about))


@app.command
async def tail(
    *,
    from_: Annotated[
        int | None,
        Parameter(name="--from", metavar="N", help="Begin at this position; by default with what comes next."),
    ] = None,
    stream: Stream = None,
    kind: Kind = None,
    type: Type = None,
    by: By = None,
    count: Annotated[int | None, Parameter(metavar="N", help="End after so many.")] = None,
    options: Given,
) -> None:
    """Follow the log: what is there from a position on, and then what comes, until Ctrl-C.

    It goes on where it was when the server was away; no event is missed, none comes twice.

    Example: attorn events tail --from 1 --type work.escalated -o jsonl
    """
    chosen = _Chosen(stream, kind, type, by)
    left = count
    async with connected(options, patient=True) as attorn:
        after = await attorn.ledger.last() if from_ is None else max(0, from_ - 1)
        async for page in pages(attorn, after, chosen.kinds, to_end=False):
            taken = [each for each in page.recorded if chosen.takes(each)][:left]
            if taken:
                write_lines(_tailed(options, taken))
            if left is not None:
                left -= len(taken)
                if left <= 0:
                    return


class _Chosen:
    """Which events are wanted."""

    def __init__(self, stream: str | None, kind: str | None, type: str | None, by: str | None) -> None:
        from attorn.contracts import subjects

        if kind is not None and kind not in subjects.KINDS:
            raise misused(f"--kind {kind}: it is one of {', '.join(subjects.KINDS)}")
        if stream is not None:
            kind = subjects.stream(stream, "--stream").kind
        self.kinds = (kind,) if kind is not None else ()
        self._stream, self._type, self._by = stream, type, by

    def takes(self, recorded: "Recorded") -> bool:
        event = recorded.event
        return (
            (self._stream is None or recorded.stream == self._stream)
            and (self._by is None or event.authid == self._by)
            and (self._type is None or self._type in (event.type, _short(event.type)))
        )

    async def require(self, attorn: Attorn) -> None:
        """Raises Failed where nothing was found because a type, or who acted, is none that there is."""
        from difflib import get_close_matches

        from attorn.contracts.messages import EVENT_BY_TYPE

        types = [*EVENT_BY_TYPE, *map(_short, EVENT_BY_TYPE)]
        if self._type is not None and self._type not in types:
            near = get_close_matches(self._type, types, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise not_found(f"there is no event of type {self._type}", f"{meant}`attorn contracts ls` says which are")
        if self._by is not None:
            try:
                await known.require(attorn, participant=self._by)
            except Failed as failed:
                # The log is read without the views: where they are down, this is left unsaid.
                if failed.code not in (Exit.UNREACHABLE, Exit.TIMED_OUT):
                    raise


def _item(recorded: "Recorded") -> dict[str, Any]:
    return as_item(recorded) | {"by": recorded.event.authid}


def _tailed(options: Given, taken: "list[Recorded]") -> Iterator[str]:
    import msgspec

    for each in taken:
        match options.output:
            case "table":
                item = _item(each)
                words = [
                    f"{each.position:>8}",
                    shown(item["recorded_at"], "time"),
                    each.stream,
                    _short(each.event.type),
                ]
                yield "  ".join([*words, shown(each.event.authid)]).rstrip()
            case "id":
                yield str(each.position)
            case _:
                # Without an end there is no array: each event is a line.
                yield msgspec.json.encode(_item(each)).decode()


def _described(recorded: "Recorded") -> Iterator[str]:
    import msgspec

    event = recorded.event
    yield bold(f"position {recorded.position}: {_short(event.type)} in {recorded.stream}")
    yield from facts(
        [
            ("happened", shown(msgspec.to_builtins(event.time), "time")),
            ("recorded", shown(msgspec.to_builtins(recorded.recorded_at), "time")),
            ("by", shown(event.authid) + (f" ({event.authtype})" if event.authtype else "")),
            ("on behalf of", shown(event.onbehalfof)),
            ("sent again by", shown(event.resubmittedby)),
            ("version", shown(recorded.version)),
            ("type", shown(event.type)),
            ("source", shown(event.source)),
            ("id", shown(event.id)),
            ("because of", shown(event.causationid)),
            ("work", shown(event.correlationid)),
            ("size", f"{len(recorded.body):,} bytes"),
        ],
        width(),
    )
    yield ""
    data = msgspec.json.decode(recorded.body).get("data")
    yield from msgspec.json.format(msgspec.json.encode(data)).decode().splitlines()


def _short(type: str) -> str:
    """`work.defined` of `attorn.work.defined.v1`; other types stay whole."""
    parts = type.split(".")
    return ".".join(parts[1:3]) if len(parts) == 4 and parts[0] == "attorn" and parts[3] == "v1" else type
