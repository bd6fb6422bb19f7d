"""The change feed: after each page that is folded live, the rows that it has changed, on `attorn.view.<view>.<key>`.

It is core NATS: each change is said at most once, to whoever listens just then. Nothing is said of a replay or of a
rebuild, and nothing again after a restart; what is missed is asked for. Who needs every change follows the log's feed.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, get_type_hints

import msgspec
from nats import errors
from nats.aio.client import Client

from attorn.contracts import subjects
from attorn.projections.fold import View
from attorn.services.projector.project import Changes, Tell

ROWS_MAX: Final = 300
"""How many rows of one view are told one by one after one page; of more it is only said that they are many."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it is at `position`, without what only the fold needs; None where there is none any more."""

    view: str
    key: str | int
    position: int
    row: dict[str, Any] | None


class ManyChanges(msgspec.Struct, frozen=True, kw_only=True):
    """So many rows have changed up to `position` that whoever shows some of them asks anew."""

    view: str
    position: int
    changed: int
    many: bool = True


_encoder: Final = msgspec.json.Encoder()


def telling(nc: Client) -> Tell:
    """Tells of changes over `nc`. While it is not connected they are lost, as they are for who does not listen."""

    async def tell(position: int, changes: Changes) -> None:
        with suppress(errors.Error):
            for view, rows in changes:
                await _tell(nc, view, position, rows)

    return tell


async def _tell(nc: Client, view: View, position: int, rows: Sequence[tuple[Any, Any]]) -> None:
    if len(rows) > ROWS_MAX:
        many = ManyChanges(view=view.NAME, position=position, changed=len(rows))
        await nc.publish(subjects.view(view.NAME), _encoder.encode(many))
        return
    for key, row in rows:
        shown = None if row is None else _shown(view, row)
        body = _encoder.encode(Change(view=view.NAME, key=key, position=position, row=shown))
        if len(body) <= nc.max_payload:
            await nc.publish(subjects.view(view.NAME, str(key)), body)


def _shown(view: View, row: Any) -> dict[str, Any]:
    columns = _COLUMNS.get(view.Row)
    if columns is None:
        # What is JSON of any shape is the fold's own memory, such as the state that the rules go by.
        hints = get_type_hints(view.Row).items()
        columns = _COLUMNS[view.Row] = tuple(name for name, type in hints if type is not msgspec.Raw)
    return {name: getattr(row, name) for name in columns}


_COLUMNS: Final[dict[type, tuple[str, ...]]] = {}
