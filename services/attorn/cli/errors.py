"""What went wrong, as one line and an exit code; a traceback only for who asks for it with ATTORN_DEBUG=1.

On a terminal the line is folded; a program that asked for JSON gets a problem in JSON, on standard error as well.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

from attorn.cli.wrapping import terminal, wrapped


class Exit(IntEnum):
    """How a command ended, for scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    REFUSED = 5
    UNREACHABLE = 6
    CHECK_FAILED = 7
    TIMED_OUT = 8
    INTERRUPTED = 130


OF_STATUS = {
    400: Exit.USAGE,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    422: Exit.REFUSED,
    503: Exit.UNREACHABLE,
    504: Exit.TIMED_OUT,
}
"""The exit code of a problem by its HTTP status; any other is FAILED."""

UP = "start one with `attorn up`, or name another with --nats-url"


Broken: TypeAlias = tuple[str, str, str | None]
"""A rule that would be broken: its code, a sentence, the field of the message."""


class Failed(Exception):
    """Why a command did not do what it was asked: one sentence, what to do about it, and lines with the particulars.

    `field` is the place in the message that the sentence is about, `rules` those that would be broken. `typed` says how
    that place is called on the command line, once somebody knows which command it was.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: Exit = Exit.FAILED,
        lines: Sequence[str] = (),
        field: str | None = None,
        rules: Sequence[Broken] = (),
    ) -> None:
        super().__init__(message)
        self.message, self.hint, self.code, self.lines = message, hint, code, tuple(lines)
        self.field, self.rules = field, tuple(rules)
        self.typed: Callable[[str | None, str], str | None] = lambda field, sentence: None


def not_found(what: str, hint: str = "") -> Failed:
    return Failed(what, hint=hint, code=Exit.NOT_FOUND)


def misused(message: str, hint: str = "") -> Failed:
    return Failed(message, hint=hint, code=Exit.USAGE)


def report(error: BaseException, output: str = "table") -> int:
    """Say on standard error what went wrong, in the form of the `output` that was asked for; return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED  # whoever typed Ctrl-C knows
    failed = explained(error)
    if os.environ.get("ATTORN_DEBUG") not in (None, "", "0"):
        import traceback

        traceback.print_exception(error)
    if output in ("json", "jsonl"):
        import json

        print(json.dumps(_problem(failed)), file=sys.stderr)
        return failed.code
    width = terminal(sys.stderr)
    said = (headline(failed), *(f"  {line}" for line in _particulars(failed)))
    print("\n".join(part for line in said for part in wrapped(line, width)), file=sys.stderr)
    return failed.code


def headline(failed: Failed) -> str:
    """`attorn: work/W-9 is not on the log. Hint: …`, on one line."""
    message = visible(failed.message).rstrip(". ")
    named = failed.typed(failed.field, message) if failed.field else None
    if named is not None:
        sentence = message.removeprefix(f"{failed.field}: ")
        message = f"{named}{'' if sentence.startswith(('is ', 'has ')) else ':'} {sentence}"
    if message[-1:] not in "?!":
        message += "."
    return f"attorn: {message}" + (f" Hint: {visible(failed.hint).rstrip('. ')}." if failed.hint else "")


def _particulars(failed: Failed) -> Iterator[str]:
    """Each broken rule on a line of its own: its code, a sentence, what was typed there; then the other lines."""
    wide = max((len(rule) for rule, _, _ in failed.rules), default=0)
    for rule, sentence, field in failed.rules:
        place = failed.typed(field, sentence) or field
        yield visible(f"{rule:<{wide}}  {sentence}{f'  ({place})' if place else ''}")
    yield from map(visible, failed.lines)


def _problem(failed: Failed) -> dict[str, Any]:
    """What went wrong, for a program: a problem as the doors have it, with the exit code."""
    rules = [
        {"rule": rule, "detail": detail, **({"field": field} if field else {})} for rule, detail, field in failed.rules
    ]
    found = {"detail": failed.message, "field": failed.field, "rules": rules, "hint": failed.hint}
    said = {name: value for name, value in (found | {"lines": list(failed.lines)}).items() if value}
    return {"kind": "problem", "exit": int(failed.code), **said}


def visible(text: str) -> str:
    """`text` on one line, with what could drive a terminal made visible: much of it was written by strangers."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\n\t\r" else ascii(c)[1:-1] for c in text)


def explained(error: BaseException) -> Failed:
    """The error in the words of whoever typed the command."""
    match error:
        case Failed():
            return error
        case ModuleNotFoundError(name=str(name)) if name.split(".")[0] in ("eventsourcing", "faststream", "uvloop"):
            return Failed(f"{name} is not installed", hint="pip install 'attorn[server]' brings it")
        case FileNotFoundError() | IsADirectoryError() | PermissionError() if error.filename is not None:
            return misused(f"{error.filename}: {(error.strerror or str(error)).lower()}")
        case UnicodeDecodeError():
            return misused(f"byte {error.start} of the input is not UTF-8")
        case _:
            return _of_usage(error) or _of_attorn(error) or _of_nats(error) or _of_us(error)


def _of_usage(error: BaseException) -> Failed | None:
    from cyclopts import CycloptsError, UnknownCommandError, UnusedCliTokensError

    if not isinstance(error, CycloptsError):
        return None
    chain = " ".join(("attorn", *(error.command_chain or ())))
    hint = f"{chain} --help"
    if isinstance(error, UnknownCommandError) and not error.command_chain:
        from difflib import get_close_matches

        from attorn.cli.commands import NAMES

        # cyclopts would load every command there is to list them.
        word = (error.unused_tokens or [""])[0]
        near = get_close_matches(word, NAMES, n=1)
        return misused(f"there is no command {word!r}{f'; did you mean {near[0]!r}?' if near else ''}", hint)
    if isinstance(error, UnusedCliTokensError):
        from attorn.cli.typed import beyond

        return misused(beyond(error.target, error.unused_tokens or (), chain), hint)
    error.verbose = False
    # cyclopts goes on with as many commands as it finds room for; the help that is hinted at has all of them.
    return misused(str(error).partition(" Available commands: ")[0], hint)


def _of_attorn(error: BaseException) -> Failed | None:
    from attorn.contracts.refusal import Conflict, Refused, Unavailable, Unreadable
    from attorn.services.supervise.instance import CannotStart, DataInUse

    match error:
        case Unreadable():
            return misused(str(error))
        case Refused(breaches=breaches):
            return refused(str(error), [(each.rule, each.detail, each.field) for each in breaches])
        case Conflict():
            return Failed(str(error), hint="somebody was faster; look again and ask again", code=Exit.CONFLICT)
        case Unavailable(recorded="unknown"):
            return Failed(str(error), hint="it may have been recorded; look before you ask again", code=Exit.TIMED_OUT)
        case Unavailable():
            return Failed(str(error), hint=UP, code=Exit.UNREACHABLE)
        case CannotStart():
            # Another module's class for a port that is taken: loading it costs more than its name.
            taken = isinstance(error, DataInUse) or type(error).__name__ == "PortTaken"
            first, *rest = str(error).splitlines()
            code = Exit.CONFLICT if taken else Exit.FAILED
            return Failed(first, hint=error.hint, code=code, lines=[line.strip() for line in rest])
        case _ if type(error).__name__ == "ProvisionRefused":
            hint = "nothing was changed; see `attorn provision --dry-run`"
            return Failed(str(error), hint=hint, code=Exit.REFUSED)
        case _ if type(error).__name__ == "LogDamaged":
            return Failed(str(error), hint="restore the log from a copy", code=Exit.CHECK_FAILED)
        case _ if type(error).__name__ in ("UnreadableLog", "Unmapped", "BadMapping"):
            return misused(str(error), hint="nothing of it was recorded")
        case _ if type(error).__name__ == "Rejected":
            return Failed(str(error))
        case _:
            return None


def _of_nats(error: BaseException) -> Failed | None:
    if isinstance(error, TimeoutError):
        return Failed("there was no answer in time", hint="--timeout gives it more", code=Exit.TIMED_OUT)
    if isinstance(error, OSError):
        return Failed(str(error))
    if "nats" not in sys.modules:
        return None
    from nats import errors

    if isinstance(error, errors.NoRespondersError):
        return Failed("nobody answers there", hint=UP, code=Exit.UNREACHABLE)
    if isinstance(error, errors.Error):
        return Failed(f"NATS: {error}", hint=UP, code=Exit.UNREACHABLE)
    return None


def _of_us(error: BaseException) -> Failed:
    return Failed(f"an error of ours: {type(error).__name__}: {error}", hint="ATTORN_DEBUG=1 shows where it is from")


def refused(detail: str, rules: Sequence[Broken], code: Exit = Exit.REFUSED) -> Failed:
    """A refusal, with the rules that would be broken."""
    if not rules:
        return Failed(f"refused: {detail}", code=code)
    count = "one rule" if len(rules) == 1 else f"{len(rules)} rules"
    return Failed(f"refused, nothing was recorded: {count} would be broken", code=code, rules=rules)
