"""The database of the views, with its position kept by the eventsourcing library: rows and position in one transaction.

The library's SQLiteTrackingRecorder refuses a position that is not beyond the one it has, so that a second projector on
the same file cannot fold an event twice: its whole transaction is rolled back.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from eventsourcing.persistence import Tracking
from eventsourcing.sqlite import SQLiteCursor, SQLiteDatastore, SQLiteTrackingRecorder

APPLICATION: Final = "attorn.views"
"""The name under which the library keeps the position."""

WRITING: Final = ("synchronous = NORMAL", "wal_autocheckpoint = 4000")
"""The settings of every connection that writes. The disk is waited for when the write-ahead log is moved into the file,
not at every commit. A power cut then takes the newest transactions whole, rows and position alike, and they are folded
again from the log."""

HASTY: Final = ("synchronous = OFF", "wal_autocheckpoint = 4000")
"""Those while a file is filled that is thrown away where that does not come to its end: the disk is waited for then."""

SCRATCH: Final = ("journal_mode = MEMORY", "synchronous = OFF")
"""Those of a file that nobody reads while it is written, and that is lost with the process: what it holds is written
once, into the file itself."""

# A null is bound as it is. Without this, sqlite3 asks each one in vain whether it can be adapted, which costs more than
# all else about it; and what a dict without keys answers to None, without a frame of Python's, is None.
_as_it_is: Final[Callable[[None], None]] = dict[None, None]().get
sqlite3.register_adapter(type(None), _as_it_is)


class TrackedDatabase:
    """One connection that writes, and the position up to which what it wrote is folded."""

    def __init__(self, path: str, settings: Sequence[str] = WRITING) -> None:
        # One connection: there is one writer, and a database in memory has no second.
        self._datastore = SQLiteDatastore(path, pool_size=1, max_overflow=0)
        self._recorder = SQLiteTrackingRecorder(self._datastore)
        self.set(settings)
        with self._datastore.get_connection(commit=False) as connection, connection.cursor() as cursor:
            # A reader that stayed for long makes the write-ahead log grow; afterwards it is cut to this many bytes.
            cursor.execute("PRAGMA journal_size_limit = 16777216")
            cursor.execute("PRAGMA cache_size = -16384")
            cursor.execute("PRAGMA temp_store = MEMORY")
        self._recorder.create_table()

    def set(self, settings: Sequence[str]) -> None:
        """From now on this connection writes as `settings` say."""
        with self._datastore.get_connection(commit=False) as connection, connection.cursor() as cursor:
            for setting in settings:
                cursor.execute(f"PRAGMA {setting}")

    @property
    def position(self) -> int:
        return self._recorder.max_tracking_id(APPLICATION) or 0

    @contextmanager
    def transaction(self, position: int | None = None) -> Iterator[SQLiteCursor]:
        """Commit what the block writes, and `position` with it; nothing when the block raises."""
        with self._datastore.transaction(commit=True) as cursor:
            yield cursor
            if position is not None:
                self._recorder._insert_tracking(cursor, Tracking(APPLICATION, position))

    def fetch(self, statement: str, parameters: Sequence[Any] = ()) -> list[Sequence[Any]]:
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(statement, parameters)
            rows: list[Sequence[Any]] = cursor.fetchall()
            return rows

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the file, and empty it; False when a reader is in the way."""
        with self._datastore.get_connection(commit=False) as connection, connection.cursor() as cursor:
            busy: int = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return busy == 0

    def copy(self) -> sqlite3.Connection:
        """A database in memory with all that is in this one now."""
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        with self._datastore.get_connection(commit=False) as connection, connection.cursor() as cursor:
            cursor.connection.backup(copy)
        return copy

    def close(self) -> None:
        self._datastore.close()
