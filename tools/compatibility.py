"""Hold the contracts against their snapshot: can new code read old data, and old readers new data?

    python tools/compatibility.py             name every break since the snapshot, and exit 1 when there is one
    python tools/compatibility.py --accept    take what is new into the snapshot; refuse what old data breaks on

The snapshot is `shapes.jsonl` beside the contracts: a line for each event and command, its schema without its prose. A
backward break is old data that new code does not read: never accepted, because the log is kept for ever; make a new
version of the type, and an upcaster. A forward break is new data that an old reader does not read: it reads on, with
the event as unknown; whoever accepts it says so to those readers (`--accept --forward`).

What is new and can be read by everybody is no break: a type, or a field that has a default.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
SNAPSHOT: Final = Path("contracts/attorn/contracts/shapes.jsonl")
COMMAND: Final = "command "
"""Commands are answered and not kept: no reader of tomorrow's is ever an old one."""
PROSE: Final = frozenset({"title", "description", "examples", "$id", "$schema", "deprecated", "readOnly", "default"})

# Limits: whether more of it lets more in, or less.
_MORE: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LESS: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")

Schema = Mapping[str, Any]


class Break(NamedTuple):
    """`way` is backward (old data, new code) or forward (new data, old code)."""

    way: str
    message: str
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.way} break: {self.message}: {self.field or 'the message'} {self.why}"


def shapes() -> dict[str, Schema]:
    """What the contracts say now: a schema for the data of each event, and for each command, by type or verb."""
    sys.path[:0] = [str(ROOT / root) for root in ("contracts", "projections", "services")]
    from attorn.services import documents

    events = {type: _data(schema) for type, schema in documents.event_schemas().items()}
    commands = {f"{COMMAND}{verb}": _inlined(one, one) for verb, one in documents.command_schemas().items()}
    return events | commands


def read(path: Path) -> dict[str, Schema]:
    """The snapshot; empty before there is one."""
    return parsed(path.read_text(encoding="utf-8")) if path.exists() else {}


def parsed(lines: str) -> dict[str, Schema]:
    return dict(json.loads(line) for line in lines.splitlines())


def text(found: Mapping[str, Schema]) -> str:
    """The snapshot as it is written: a line for each message, so that a change is a line in a review."""
    return "".join(f"{json.dumps([name, found[name]], sort_keys=True, ensure_ascii=False)}\n" for name in sorted(found))


def breaks(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> list[Break]:
    """Every break between two snapshots, message by message."""
    found: list[Break] = []
    for name in sorted(old):
        if name not in new:
            found.append(Break("backward", name, "", "is gone; what is stored under it is not read any more"))
        else:
            found += (Break(way, name, field, why) for way, field, why in _compare(old[name], new[name], "")
                      if way == "backward" or not name.startswith(COMMAND))  # fmt: skip
    return found


def _data(schema: Schema) -> Schema:
    found: Schema = _inlined(schema["properties"]["data"], schema)
    return found


def _inlined(part: Any, whole: Schema) -> Any:
    """`part` without prose, and with what it refers to in its place."""
    match part:
        case {"$ref": str(ref)}:
            return _inlined(whole["$defs"][ref.rpartition("/")[2]], whole)
        case {"properties": _}:
            kept = {name: _inlined(item, whole) for name, item in part.items()
                    if name not in PROSE and name not in ("properties", "$defs")}  # fmt: skip
            return kept | {"properties": {name: _inlined(item, whole) for name, item in part["properties"].items()}}
        case dict():
            return {n: _inlined(item, whole) for n, item in part.items() if n not in PROSE and n != "$defs"}
        case list():
            return [_inlined(item, whole) for item in part]
        case _:
            return part


def _compare(old: Any, new: Any, place: str) -> Iterator[tuple[str, str, str]]:
    if old == new:
        return
    old, new = _as_object(old), _as_object(new)
    olds, news = _alternatives(old), _alternatives(new)
    if len(olds) > 1 or len(news) > 1:
        yield from _compare_alternatives(olds, news, place)
        return
    if _types(old) != _types(new):
        yield from _compare_sets(_types(old), _types(new), place, "may be", "of the type")
        if not _types(old) & _types(new):
            return
    yield from _compare_values(old, new, place)
    yield from _compare_limits(old, new, place)
    if "properties" in old or "properties" in new:
        yield from _compare_fields(old, new, place)
    for inside in ("items", "additionalProperties"):
        one, other = old.get(inside), new.get(inside)
        if isinstance(one, dict) or isinstance(other, dict):
            yield from _compare(one, other, f"{place}[*]")


def _as_object(schema: Any) -> dict[str, Any]:
    return dict(schema) if isinstance(schema, Mapping) else {}


def _alternatives(schema: Schema) -> list[Schema]:
    return list(schema.get("anyOf") or schema.get("oneOf") or [schema])


def _compare_alternatives(olds: list[Schema], news: list[Schema], place: str) -> Iterator[tuple[str, str, str]]:
    by_kind_old = {_kind(each): each for each in olds}
    by_kind_new = {_kind(each): each for each in news}
    yield from _compare_sets(set(by_kind_old), set(by_kind_new), place, "may be", "of the type")
    for kind in sorted(by_kind_old.keys() & by_kind_new.keys()):
        yield from _compare(by_kind_old[kind], by_kind_new[kind], place)


def _kind(schema: Schema) -> str:
    return str(schema.get("type") or ("enum" if "enum" in schema or "const" in schema else "anything"))


def _types(schema: Schema) -> set[str]:
    said = schema.get("type")
    if said is None:
        return {"anything"} if not (schema.keys() & {"enum", "const"}) else {"enum"}
    return set(said) if isinstance(said, list) else {said}


def _compare_values(old: Schema, new: Schema, place: str) -> Iterator[tuple[str, str, str]]:
    olds = {json.dumps(value) for value in old.get("enum", [old["const"]] if "const" in old else [])}
    news = {json.dumps(value) for value in new.get("enum", [new["const"]] if "const" in new else [])}
    if olds and news:
        yield from _compare_sets(olds, news, place, "may say", "the value")
    elif olds != news:
        way = "forward" if olds else "backward"
        yield way, place, "is a closed list of values in one of the two only"


def _compare_sets(olds: set[str], news: set[str], place: str, may: str, what: str) -> Iterator[tuple[str, str, str]]:
    for gone in sorted(olds - news):
        yield "backward", place, f"{may} {gone} no more, and old data does"
    for added in sorted(news - olds):
        yield "forward", place, f"{may} {added} now, {what} that old readers do not know"


def _compare_limits(old: Schema, new: Schema, place: str) -> Iterator[tuple[str, str, str]]:
    for limit in (*_MORE, *_LESS):
        one, other = old.get(limit), new.get(limit)
        if one == other:
            continue
        wider = other is None or (one is not None and (other > one if limit in _MORE else other < one))
        way = "forward" if wider else "backward"
        yield way, place, f"has another {limit}: {_said(one)} before, {_said(other)} now"
    for rule in ("pattern", "format", "uniqueItems", "multipleOf"):
        if old.get(rule) != new.get(rule):
            # Whether one pattern lets in all that another does, nobody can tell in general: both ways are named.
            change = f"has another {rule}: {_said(old.get(rule))} before, {_said(new.get(rule))} now"
            if rule in new:
                yield "backward", place, change
            if rule in old:
                yield "forward", place, change


def _compare_fields(old: Schema, new: Schema, place: str) -> Iterator[tuple[str, str, str]]:
    olds, news = old.get("properties", {}), new.get("properties", {})
    musts, must = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(olds.keys() | news.keys()):
        where = f"{place}.{name}" if place else name
        if name not in news:
            yield "backward", where, "is gone; what old data says in it is lost"
            if name in musts:
                yield "forward", where, "is gone, and old readers require it"
            continue
        if name in must - musts:
            yield "backward", where, "is required, and old data does not have it; give it a default"
        if name in musts - must:
            yield "forward", where, "may be left out now, and old readers require it"
        if name in olds:
            yield from _compare(olds[name], news[name], where)


def _said(value: Any) -> str:
    return "none" if value is None else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accept", action="store_true", help="take what is new into the snapshot")
    parser.add_argument("--forward", action="store_true", help="with --accept: forward breaks, too")
    options = parser.parse_args()
    now, path = shapes(), ROOT / SNAPSHOT
    then = read(path)
    found = breaks(then, now)
    print(*found, sep="\n", end="\n" if found else "")
    refused = [each for each in found if each.way == "backward" or not (options.accept and options.forward)]
    if options.accept and not refused:
        path.write_text(text(now), encoding="utf-8")
        print(f"{len(now)} messages, {len(now.keys() - then.keys())} of them new")
        return 0
    if refused:
        print("the log is kept for ever: add a field with a default, or a new version with an upcaster (upcast.py)")
    elif text(now) != text(then):
        print(f"{SNAPSHOT} is not what the contracts say; run python tools/compatibility.py --accept")
        return 1
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
