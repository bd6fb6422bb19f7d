"""What may be said with every command: where attorn is, who acts, how the answer is written."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from attorn.cli.errors import Exit, Failed, misused

Format: TypeAlias = Literal["table", "json", "jsonl", "id"]

DEFAULT_URL = "nats://127.0.0.1:4222"


@dataclass(frozen=True, kw_only=True)
class Options:
    """`nats_url` None is that of the attorn that runs on `data`; `timeout`: seconds to wait for one answer.

    `data_named`: somebody said which data directory, and wants no other attorn than the one that runs on it.
    """

    actor: str
    nats_url: str | None = None
    data: Path = Path(".attorn")
    data_named: bool = False
    output: Format = "table"
    timeout: float = 5.0

    @property
    def url(self) -> str:
        """Where NATS is: as said, else where the attorn on `data` announced it, else the usual place.

        Raises Failed when none runs on a data directory that was named: another one would answer in its place.
        """
        if self.nats_url:
            return self.nats_url
        from attorn.services.supervise.instance import running

        found = running(self.data)
        if found is None and self.data_named:
            hint = f"start it with `attorn up --data {self.data}`, or name one with --nats-url"
            raise Failed(f"no attorn runs on {self.data}", hint=hint, code=Exit.UNREACHABLE)
        return found.nats_url if found is not None else DEFAULT_URL


Given: TypeAlias = Annotated[Options, Parameter(parse=False)]
"""The last parameter of a command: main fills it in."""


def login() -> str:
    """The name of who is logged in, as an identifier: who acts, and who is custodian of a new ledger, by default."""
    import getpass

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no such user in this container
        name = str(os.getuid())
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:64] or "somebody"


def when(type_: Any, tokens: Sequence[Any]) -> datetime:
    """`2026-03-01`, `2026-03-01T12:00`, `2026-03-01T12:00:00+01:00`; UTC where no offset is said."""
    text = tokens[0].value
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time such as 2026-03-01T12:00:00Z") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def length(type_: Any, tokens: Sequence[Any]) -> timedelta:
    """`5m`, `4h`, `30d`, or as ISO 8601 has it, `PT5M`."""
    import msgspec

    text = tokens[0].value
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdecimal() and text[-1] in units:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        return msgspec.convert(text, timedelta, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"{text!r} is not a length of time such as 5m, 4h, 30d or PT5M") from None


Length: TypeAlias = Annotated[timedelta, Parameter(converter=length, metavar="TIME")]


def a_file(type_: Any, value: str | None) -> None:
    """Where `-` may be said for a file, what else begins so is an option that there is not."""
    if value is not None and value.startswith("-") and value != "-":
        raise ValueError(f"there is no option {value}")


When: TypeAlias = Annotated[datetime, Parameter(converter=when, metavar="TIME")]
At: TypeAlias = Annotated[When | None, Parameter(name="--at", help="At this time, by when things happened.")]
KnownAt: TypeAlias = Annotated[
    When | None, Parameter(name="--known-at", help="As it was known at this time, by when things were recorded.")
]
Position: TypeAlias = Annotated[
    int | None, Parameter(name="--position", metavar="N", help="As of this position of the log.")
]
Work: TypeAlias = Annotated[str, Parameter(metavar="WORK", help="The id of the work item.")]
Reason: TypeAlias = Annotated[str | None, Parameter(metavar="TEXT", help="Why.")]
Note: TypeAlias = Annotated[str | None, Parameter(metavar="TEXT", help="A word to go with it.")]
Text: TypeAlias = Annotated[str, Parameter(metavar="TEXT")]
Id: TypeAlias = Annotated[str, Parameter(metavar="ID")]
Who: TypeAlias = Annotated[str, Parameter(metavar="WHO")]
Ids: TypeAlias = Annotated[tuple[str, ...] | None, Parameter(metavar="ID")]
Texts: TypeAlias = Annotated[tuple[str, ...] | None, Parameter(metavar="TEXT")]
Limit: TypeAlias = Annotated[int, Parameter(metavar="N", help="At most so many; 0 is all.")]
From: TypeAlias = Annotated[
    str | None,
    Parameter(
        name="--from",
        metavar="FILE",
        allow_leading_hyphen=True,
        validator=a_file,
        help="The rest from a TOML or JSON file, its fields named as `attorn contracts schema` has them; "
        "- is standard input.",
    ),
]

Document: TypeAlias = Annotated[
    str,
    Parameter(metavar="FILE", allow_leading_hyphen=True, validator=a_file, help="TOML or JSON; - is standard input."),
]
Events: TypeAlias = Annotated[
    str,
    Parameter(
        metavar="FILE",
        allow_leading_hyphen=True,
        validator=a_file,
        help="One event, an array, or one a line; - is standard input.",
    ),
]


def as_of(at: datetime | None, known_at: datetime | None, position: int | None) -> dict[str, Any]:
    """Which part of history a question is about, as its parameters; empty for now."""
    if position is not None and position < 1:
        raise misused(f"--position is {position}; positions count from 1")
    said = {"at": at, "known_at": known_at, "position": position}
    return {name: value for name, value in said.items() if value is not None}
