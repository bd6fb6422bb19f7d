"""`attorn facts`: report what has happened, as CloudEvents."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import OF_STATUS, Exit, Failed, misused
from attorn.cli.inputs import read
from attorn.cli.options import Events, Given
from attorn.cli.output import progress, say, write_json, write_lines, write_told

app = App(name="facts", help="Report what has happened, as CloudEvents.")

BATCH: Final = 500
BATCH_BYTES: Final = 2 * 1024 * 1024
TOLD_MAX: Final = 10


@app.command
async def publish(
    file: Events = "-",
    /,
    *,
    source: Annotated[str, Parameter(metavar="SOURCE", help="The id of the system that reports them.")],
    options: Given,
) -> int:
    """Report facts: CloudEvents 1.0 as JSON, each with id, source, type, subject, time and data. Each gets a receipt.

    A fact that can be read is recorded, whatever rule it breaks; then it is a finding. Sent again, it is recorded once.

    Example: attorn facts publish orders.jsonl --source erp
    """
    from attorn.contracts import subjects
    from attorn.contracts.refusal import Problem, Receipt

    bodies = list(taken_apart(read(file), file))
    subject = subjects.fact(source)
    answers: list[Receipt | Problem] = []
    async with connected(options) as attorn:
        with progress("facts", len(bodies), unit="facts") as advance:
            for batch in batches(bodies):
                answers += await published(attorn, subject, batch)
                advance(len(answers), None)
    match options.output:
        case "json":
            write_json(answers[0] if len(answers) == 1 else answers)
        case "jsonl":
            import msgspec

            write_lines(msgspec.json.encode(answer).decode() for answer in answers)
        case "id":
            write_lines(answer.event_id for answer in answers if isinstance(answer, Receipt))
        case "table":
            write_told(_summary(answers))
            for type in _misspelt(bodies, answers):
                say(f"attorn: {type} is no type of event that this attorn knows; it is kept, and means nothing here")
    return _code(answers, told=options.output in ("json", "jsonl"))


def _misspelt(bodies: list[bytes], answers: list[Any]) -> list[str]:
    """The types of what was recorded that are called as ours are, and are none of ours."""
    import msgspec

    from attorn.contracts.door import shape_of
    from attorn.contracts.refusal import Receipt

    recorded = (body for body, answer in zip(bodies, answers, strict=True) if isinstance(answer, Receipt))
    types: dict[str, None] = dict.fromkeys(msgspec.json.decode(body)["type"] for body in recorded)
    return [type for type in types if type.startswith("attorn.") and shape_of(type) is None]


def taken_apart(content: bytes, name: str) -> Iterator[bytes]:
    """The events in a file, each with its bytes to the letter."""
    import msgspec

    name = "standard input" if name == "-" else name
    text = content.strip()
    if not text:
        raise misused(f"{name}: there is nothing in it", 'a fact is a CloudEvent: {"specversion": "1.0", …}')
    try:
        if text[:1] == b"[":
            yield from (bytes(each) for each in msgspec.json.decode(text, type=list[msgspec.Raw]))
            return
        msgspec.json.decode(text, type=msgspec.Raw)
        yield text
        return
    except msgspec.DecodeError as error:
        if text[:1] != b"{":
            raise misused(f"{name}: not JSON: {error}") from None
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            try:
                msgspec.json.decode(line, type=msgspec.Raw)
            except msgspec.DecodeError as error:
                raise misused(f"{name}, line {number}: not JSON: {error}") from None
            yield line.strip()


def batches(bodies: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Parts that are each small enough for one message."""
    batch, size = list[bytes](), 0
    for body in bodies:
        if batch and (len(batch) >= BATCH or size + len(body) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += len(body)
    if batch:
        yield batch


async def published(attorn: Attorn, subject: str, batch: list[bytes]) -> list[Any]:
    """An answer for each fact. Asked again once after a time-out: a fact is recorded once, however often it comes."""
    import msgspec

    from attorn.contracts.refusal import Problem, Reply

    body = b"[" + b",".join(batch) + b"]"
    for attempt in (1, 2):
        try:
            data = await attorn.ask_bytes(subject, body, timeout=max(attorn.options.timeout, 10))
        except TimeoutError:
            if attempt == 2:
                hint = "some may have been recorded; sending all of them again records none twice"
                raise Failed("the facts were not answered in time", hint=hint, code=Exit.TIMED_OUT) from None
            continue
        if data[:1] == b"[":
            return msgspec.json.decode(data, type=list[Reply])
        whole = msgspec.json.decode(data, type=Reply)
        if isinstance(whole, Problem) and whole.status == 504 and attempt == 1:
            continue
        return [whole] * len(batch)
    raise AssertionError("either attempt returns or raises")


def _summary(answers: list[Any]) -> Iterator[str]:
    from attorn.contracts.refusal import Receipt

    receipts = [answer for answer in answers if isinstance(answer, Receipt)]
    if receipts:
        first, last = min(r.position for r in receipts), max(r.position for r in receipts)
        where = f"position {first}" if first == last else f"positions {first} to {last}"
        yield f"{len(receipts):,} {'fact' if len(receipts) == 1 else 'facts'} recorded ({where})"
    broken = [(r.position, breach) for r in receipts for breach in r.warnings]
    for position, breach in broken[:TOLD_MAX]:
        yield f"  finding {breach.rule}@{position}: {breach.detail}"
    if len(broken) > TOLD_MAX:
        yield f"  and {len(broken) - TOLD_MAX:,} findings more"


def _code(answers: list[Any], *, told: bool) -> int:
    """The exit code, and to whoever was not `told` already, what was not recorded."""
    from attorn.contracts.refusal import Problem

    wrong = [(number, answer) for number, answer in enumerate(answers, 1) if isinstance(answer, Problem)]
    for number, answer in () if told else wrong[:TOLD_MAX]:
        say(f"attorn: fact {number} was not recorded: {answer.detail}")
    if len(wrong) > TOLD_MAX and not told:
        say(f"attorn: and {len(wrong) - TOLD_MAX:,} more were not; -o jsonl shows all answers")
    return OF_STATUS.get(wrong[0][1].status, Exit.FAILED) if wrong else Exit.OK
