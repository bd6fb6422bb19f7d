"""`attorn quarantine`: what came in and could not be recorded, with the reason; nothing that a source sent is lost."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import OF_STATUS, UP, Exit, Failed, misused, not_found
from attorn.cli.inputs import read
from attorn.cli.options import Given, Id, Limit
from attorn.cli.output import Column, facts, say, shown, write_json, write_lines, write_list
from attorn.cli.paging import others

if TYPE_CHECKING:
    from nats.js.api import RawStreamMsg

app = App(name="quarantine", help="What came in and could not be recorded: look at it, send it again.")

COLUMNS: Final = (
    Column("NUMBER", "number", "id"),
    Column("SOURCE", "source", "id"),
    Column("STATUS", "status", "id"),
    Column("FIELD", "field", "id"),
    Column("BYTES", "bytes", "number"),
    Column("SENT AGAIN BY", "resubmitted_by", "id"),
    Column("REASON", "reason"),
)

Number = Annotated[int, Parameter(metavar="NUMBER", help="Which; `attorn quarantine ls` numbers them.")]


@app.command
async def ls(
    *,
    source: Annotated[Id | None, Parameter(help="Only from this source.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List what is in quarantine, newest first, with the reason of each, and by whom it was sent again.

    Example: attorn quarantine ls --source shop
    """
    if limit < 0:
        raise misused(f"--limit is {limit}; it is at least 1, or 0 for all")
    found: list[dict[str, Any]] = []
    taken: dict[str, str | None] = {}
    async with connected(options) as attorn:
        first, last = await _bounds(attorn)
        more = False
        for number in range(last, first - 1, -1):
            message = await _message(attorn, number)
            if message is None:
                continue
            if (marked := _marked(message)) is not None:
                # Newest first: a mark comes before the message that it is about, and the newest one counts.
                taken.setdefault(marked, _taker(message))
                continue
            if source not in (None, _source(message)):
                continue
            if limit and len(found) == limit:
                more = True
                break
            found.append(_item(message, taken.get(str(number))))
    nothing = "nothing is in quarantine" if source is None else f"nothing from {source} is in quarantine"
    write_list(options, found, COLUMNS, id="number", nothing=nothing, more=others(more))


@app.command
async def show(
    number: Number,
    /,
    *,
    raw: Annotated[bool, Parameter(help="Only the bytes, to the letter, as for a file.")] = False,
    options: Given,
) -> None:
    """Show one message in quarantine: why it is there, and its bytes.

    Example: attorn quarantine show 3 --raw
    """
    async with connected(options) as attorn:
        message = await _found(attorn, number)
        taker = await _taken_by(attorn, number)
    data = message.data or b""
    if raw:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    item = _item(message, taker) | {"body": data.decode("utf-8", "backslashreplace")}
    match options.output:
        case "table":
            names = ("number", "source", "status", "field", "reason", "digest", "bytes", "resubmitted_by")
            write_lines(facts([(name, shown(item[name])) for name in names]))
            write_lines(["", shown(item["body"])])
        case "id":
            write_lines([str(number)])
        case _:
            write_json(item)


@app.command
async def resubmit(
    number: Number,
    /,
    *,
    fixed: Annotated[
        str | None,
        Parameter(
            metavar="FILE", allow_leading_hyphen=True, help="What to send in its place, mended; - is standard input."
        ),
    ] = None,
    options: Given,
) -> int:
    """Have a message taken in again, in the name of its source: as it was, or mended.

    As it was: when a fault of ours kept it out. Mended, it is still that fact: source, id, type and subject stay as
    they were, where they were in order; what says something of people, processes, policies or sources is for the
    custodian of the ledger and admins to mend. What is recorded says who sent it again, who has to be registered.
    The message stays in quarantine, as what had come in; it is taken again once, and the same file sent twice is
    recorded once.

    Example: attorn quarantine resubmit 3 --fixed event.json
    """
    import msgspec

    from attorn.contracts import subjects
    from attorn.contracts.refusal import Problem, Reply

    body = read(fixed) if fixed is not None else b""
    if fixed is not None and not body:
        raise misused(f"{fixed}: there is nothing in it")
    async with connected(options) as attorn:
        subject = subjects.resubmit(options.actor, number)
        try:
            data = await attorn.ask_bytes(subject, body, timeout=max(options.timeout, 10))
        except TimeoutError:
            hint = "it may have been recorded; sending it again records it once"
            raise Failed("the services did not answer in time", hint=hint, code=Exit.TIMED_OUT) from None
    answers = (
        msgspec.json.decode(data, type=list[Reply]) if data[:1] == b"[" else [msgspec.json.decode(data, type=Reply)]
    )
    wrong = [answer for answer in answers if isinstance(answer, Problem)]
    if options.output in ("json", "jsonl"):
        write_json(answers[0] if len(answers) == 1 else answers)
    else:
        write_lines(
            f"recorded in {one.stream} (position {one.position})" for one in answers if not isinstance(one, Problem)
        )
    for answer in wrong:
        say(f"attorn: it was not recorded: {answer.detail}")
    return OF_STATUS.get(wrong[0].status, Exit.FAILED) if wrong else Exit.OK


def _item(message: "RawStreamMsg", taker: str | None) -> dict[str, Any]:
    headers = message.headers or {}
    return {
        "number": message.seq,
        "source": _source(message),
        "status": headers.get("Attorn-Status"),
        "field": headers.get("Attorn-Field"),
        "reason": headers.get("Attorn-Reason", ""),
        "digest": headers.get("Attorn-Digest"),
        # Of what was too large its beginning is kept, and how much there was.
        "bytes": int(headers.get("Attorn-Bytes") or len(message.data or b"")),
        "resubmitted_by": taker,
    }


def _source(message: "RawStreamMsg") -> str:
    return (message.subject or "").removeprefix("attorn.quarantine.")


def _marked(message: "RawStreamMsg") -> str | None:
    """The number of the message that `message` marks as taken again, or not; None when it is a message of a source."""
    source, _, number = _source(message).partition(".")
    return number if source == "taken" and number else None


def _taker(mark: "RawStreamMsg") -> str | None:
    """Who sent again what is marked; None when nothing could be recorded of it."""
    headers = mark.headers or {}
    return headers.get("Attorn-Taken-By") if headers.get("Attorn-Digest") else None


async def _taken_by(attorn: Attorn, number: int) -> str | None:
    from nats.js.errors import NotFoundError

    from attorn.contracts import subjects

    js = attorn.nc.jetstream(timeout=attorn.options.timeout)
    try:
        return _taker(await js.get_last_msg(subjects.QUARANTINE, subjects.taken(number)))
    except NotFoundError:
        return None


async def _bounds(attorn: Attorn) -> tuple[int, int]:
    """The numbers of the oldest and the newest message; nothing lies between 1 and 0."""
    from nats import errors
    from nats.js.errors import NotFoundError

    from attorn.contracts import subjects

    try:
        state = (await attorn.nc.jetstream(timeout=attorn.options.timeout).stream_info(subjects.QUARANTINE)).state
    except NotFoundError:
        raise Failed(f"there is no stream {subjects.QUARANTINE}", hint="`attorn provision` makes it") from None
    except (errors.Error, TimeoutError) as error:
        raise Failed(f"quarantine did not answer: {error}", hint=UP, code=Exit.UNREACHABLE) from error
    return (state.first_seq, state.last_seq) if state.messages else (1, 0)


async def _message(attorn: Attorn, number: int) -> "RawStreamMsg | None":
    from nats.js.errors import NotFoundError

    from attorn.contracts import subjects

    try:
        return await attorn.nc.jetstream(timeout=attorn.options.timeout).get_msg(subjects.QUARANTINE, number)
    except NotFoundError:
        return None


async def _found(attorn: Attorn, number: int) -> "RawStreamMsg":
    first, last = await _bounds(attorn)
    message = await _message(attorn, number) if first <= number <= last else None
    if message is None or _marked(message) is not None:
        raise not_found(f"nothing in quarantine has the number {number}", "`attorn quarantine ls` says what has")
    return message
