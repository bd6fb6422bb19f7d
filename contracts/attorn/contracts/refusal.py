"""Why something was not done, in a form that a program can act on and a person can read."""

from typing import Final, Literal, TypeAlias

import msgspec

from attorn.contracts.ids import Timestamp

LISTED_MAX: Final = 100


class Breach(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule that did not hold.

    `rule` is a code of `rules.py`; `detail` is a sentence with its values; `field` names the place in
    the message (`data.accountable`) where there is one. Who may not have a claim is told who has it, and until when;
    who may not go yet, which open `items` are in the way, LISTED_MAX of them at most.
    """

    rule: str
    detail: str
    field: str | None = None
    held_by: str | None = None
    until: Timestamp | None = None
    items: tuple[str, ...] = ()


class Refused(Exception):
    """A command was not carried out; nothing was recorded."""

    def __init__(self, *breaches: Breach) -> None:
        super().__init__("; ".join(f"{b.rule}: {b.detail}" for b in breaches))
        self.breaches = breaches


class Conflict(Exception):
    """Somebody else appended to the stream first: load again and decide again."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"{stream} is at {actual}, not {expected}")
        self.stream, self.expected, self.actual = stream, expected, actual


class Unreadable(Exception):
    """These bytes are not a message of ours; `field` says where, `reason` why and what would be right."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.reason, self.field = reason, field


class Unavailable(Exception):
    """The log did not answer.

    `recorded` says what that means for the caller: `no`, nothing was sent; `unknown`, it may have been
    recorded, and asking again with the same id tells, without recording it twice.
    """

    def __init__(self, reason: str, recorded: Literal["no", "unknown"] = "no") -> None:
        super().__init__(reason)
        self.reason, self.recorded = reason, recorded


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="receipt", tag_field="kind"):
    """It is on the log: `position` is its place, `time` when it happened, `warnings` the rules that it broke.

    A fact is recorded whatever it breaks; a command is carried out where what it breaks holds nothing up.
    """

    position: int
    event_id: str
    stream: str
    time: Timestamp
    warnings: tuple[Breach, ...] = ()


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="problem", tag_field="kind"):
    """Why not, as RFC 9457 has it. `status` is the HTTP status code with that meaning.

    `rules` are those that would be broken; `field` is where a message cannot be read.
    """

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    rules: tuple[Breach, ...] = ()
    field: str | None = None


Reply: TypeAlias = Receipt | Problem


_STATUS: Final = {"hidden-work": ("not found", 404), "conflict": ("conflict", 409), "work-left": ("conflict", 409)}
"""Rules that are known on the web by a status of their own; every other breach is 422."""


def problem(error: Exception) -> Problem:
    """What to tell the caller about `error`; an error of our own making says no more than that."""
    match error:
        case Refused(breaches=breaches):
            title, status = next((_STATUS[b.rule] for b in breaches if b.rule in _STATUS), ("refused", 422))
            detail = "; ".join(b.detail for b in breaches)
            return Problem(title=title, status=status, detail=detail, rules=breaches)
        case Conflict():
            return Problem(title="conflict", status=409, detail=f"{error}; read it again and decide again")
        case Unreadable(field=field):
            return Problem(title="unreadable", status=400, detail=str(error), field=field)
        case Unavailable(recorded="unknown"):
            return Problem(title="outcome unknown", status=504, detail=f"{error}; ask again with the same id")
        case Unavailable():
            return Problem(title="unavailable", status=503, detail=f"{error}; nothing was recorded")
        case _:
            return Problem(title="internal error", status=500, detail="an error of ours; the log of the service has it")
