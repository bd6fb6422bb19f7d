"""The directory as it was at a position, kept beside the rows: whoever opens the file again folds on from there.

The rows are in the file, and the directory is not: without this it is folded again from the first event on, which of a
long log is most of a restart. It is only a way to be there sooner. What cannot be read, is by its digest not what was
kept, or was made by another version of the fold, is left where it is, and all is folded as if it were not there.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from typing import Any, Final

import msgspec

from attorn.projections.directory import VERSION, Directory
from attorn.projections.relations import Open
from attorn.projections.store.table import Fetch
from attorn.projections.store.tracking import TrackedDatabase

EVERY: Final = 100_000
"""After so many events it is kept anew, and when the file is closed; after a crash so many are folded again at most."""

_PER_STEP: Final = 1_000


class _Kept(msgspec.Struct, array_like=True):
    """A directory, and apart from it what is said of its items, each once, since few names stand on many items."""

    directory: Directory
    said: list[Open]
    open: dict[str, int]
    ended: dict[str, int]


_decoder: Final = msgspec.msgpack.Decoder(_Kept)
_canonical: Final = msgspec.msgpack.Encoder(order="deterministic")


def remember(database: TrackedDatabase, directory: Directory) -> None:
    """Keep `directory`, in one transaction; what was kept before is gone then."""
    body = msgspec.msgpack.encode(_packed(directory))
    with database.transaction() as cursor:
        cursor.execute("DROP TABLE IF EXISTS remembered")
        cursor.execute("CREATE TABLE remembered (version INTEGER, position INTEGER, body BLOB, sha256 TEXT)")
        kept = (VERSION, directory.position, body, sha256(body).hexdigest())
        cursor.execute("INSERT INTO remembered VALUES (?, ?, ?, ?)", kept)


def recall(fetch: Fetch, directory: Directory, until: int, *, schema: str = "main") -> None:
    """Make `directory` what was kept, where that is whole, of this version and of a position up to `until`.

    `schema` is SQLite's name of the database that has it.
    """
    if not fetch("SELECT 1 FROM pragma_table_info('remembered', ?) WHERE name = 'sha256'", (schema,)):
        return
    kept = fetch(
        f"SELECT position, CAST(body AS BLOB), sha256 FROM {schema}.remembered "
        "WHERE version = ? AND position > ? AND position <= ?",
        (VERSION, directory.position, until),
    )
    for position, body, digest in kept:
        if sha256(body).hexdigest() != digest:
            continue
        # Bytes that are no text are no DecodeError, and a number may lead nowhere: of none of it a start may fail.
        with suppress(msgspec.DecodeError, UnicodeDecodeError, IndexError):
            found = _unpacked(_decoder.decode(body))
            if found.position != position:
                continue
            # In its place, since the views look into this very directory.
            for name in Directory.__struct_fields__:
                setattr(directory, name, getattr(found, name))


def digesting(directory: Directory) -> Generator[None, None, str]:
    """`sha256:…` over all that is in `directory`, in steps of some milliseconds; two folds of one log have the same.

    Meanwhile it must not be evolved.
    """
    whole = sha256()
    for name, value in _parts("directory", directory):
        whole.update(name.encode() + b"\n")
        if isinstance(value, set):
            # A set has no order: the digests of what is in it are added up.
            added = 0
            for some in _steps(value):
                added += sum(int.from_bytes(sha256(_canonical.encode(each)).digest()) for each in some)
                yield
            whole.update(_canonical.encode((len(value), str(added))))
        elif isinstance(value, dict):
            for some in _steps(value.items()):
                whole.update(_canonical.encode(some))
                yield
        else:
            whole.update(_canonical.encode(value))
    return f"sha256:{whole.hexdigest()}"


def _packed(directory: Directory) -> _Kept:
    relations, said = directory.relations, dict[Open, int]()
    open, ended = (
        {id: said.setdefault(item, len(said)) for id, item in items.items()}
        for items in (relations.open, relations.ended)
    )
    rest = msgspec.structs.replace(relations, open={}, ended={})
    return _Kept(msgspec.structs.replace(directory, relations=rest), [*said], open, ended)


def _unpacked(kept: _Kept) -> Directory:
    for items, numbers in (
        (kept.directory.relations.open, kept.open),
        (kept.directory.relations.ended, kept.ended),
    ):
        items.update((id, kept.said[number]) for id, number in numbers.items())
    return kept.directory


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a fold is made of, by name: its fields, and those of the folds that are in it."""
    if isinstance(value, msgspec.Struct) and not value.__struct_config__.frozen:
        for field in value.__struct_fields__:
            yield from _parts(f"{name}.{field}", getattr(value, field))
    else:
        yield name, value


def _steps(values: Iterable[Any]) -> Iterator[list[Any]]:
    waiting = iter(values)
    while some := list(islice(waiting, _PER_STEP)):
        yield some
