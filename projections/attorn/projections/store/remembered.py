"""The directory as it was at a position, kept beside the rows: whoever opens the file again folds on from there.

The rows are in the file, and the directory is not: without this it is folded again from the first event on, which of a
long log is most of a restart. It is only a way to be there sooner. What cannot be read, or was made by another version
of the fold, is left where it is, and all is folded as if it were not there.
"""

from contextlib import suppress
from typing import Final

import msgspec

from attorn.projections.directory import VERSION, Directory
from attorn.projections.store.tracking import TrackedDatabase

EVERY: Final = 100_000
"""After so many events it is kept anew, and when the file is closed; after a crash so many are folded again at most."""

_CREATE: Final = "CREATE TABLE IF NOT EXISTS remembered (version INTEGER, position INTEGER, body BLOB)"
_decoder: Final = msgspec.msgpack.Decoder(Directory)


def remember(database: TrackedDatabase, directory: Directory) -> None:
    """Keep `directory`, in one transaction; what was kept before is gone then."""
    body = msgspec.msgpack.encode(directory)
    with database.transaction() as cursor:
        cursor.execute(_CREATE)
        cursor.execute("DELETE FROM remembered")
        cursor.execute("INSERT INTO remembered VALUES (?, ?, ?)", (VERSION, directory.position, body))


def recall(database: TrackedDatabase, directory: Directory, until: int) -> None:
    """Make `directory` what was kept, where that is of this version and of a position up to `until`."""
    with database.transaction() as cursor:
        cursor.execute(_CREATE)
    kept = database.fetch(
        "SELECT body FROM remembered WHERE version = ? AND position > ? AND position <= ?",
        (VERSION, directory.position, until),
    )
    for (body,) in kept:
        with suppress(msgspec.DecodeError):
            found = _decoder.decode(body)
            # In its place, since the views look into this very directory.
            for name in Directory.__struct_fields__:
                setattr(directory, name, getattr(found, name))
