"""What is said after a command: the receipt and, to a person, how the work item stands now.

Whatever is asked of the views next, by this command or by another one, they know of what was recorded here.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from attorn.cli.connect import Attorn
from attorn.cli.deeds import deed
from attorn.cli.errors import Exit, Failed
from attorn.cli.output import write_one

if TYPE_CHECKING:
    from attorn.contracts.messages import Command
    from attorn.contracts.refusal import Receipt


async def tell(attorn: Attorn, command: "Command", *, id: str | None = None) -> "Receipt":
    """Carry out a command about a work item, and say what came of it; `id` names what it was about, if not the item."""
    receipt = await attorn.tell(command)
    work = receipt.stream.partition("/")[2]
    # Also where nobody reads the sentence: who has the receipt reads what they wrote.
    item = await _item(attorn, work, receipt.position)
    write_one(attorn.options, receipt, lambda: _lines(receipt, item, id, deed(command)), id=id or work)
    return receipt


async def tell_plainly(attorn: Attorn, command: "Command", what: str | Callable[[], Awaitable[str]]) -> None:
    """Carry out a command about something else; `what` says, to a person, what is so now, or finds it out."""
    receipt = await attorn.tell(command)
    id = receipt.stream.partition("/")[2]
    await seen(attorn, receipt.position)
    said = what if isinstance(what, str) else await what()
    write_one(attorn.options, receipt, lambda: (f"{said} (position {receipt.position})",), id=id)


async def seen(attorn: Attorn, position: int) -> None:
    """Wait until the views are at `position`, as long as they may take."""
    await _asked(attorn, "policies", limit=1, wait_for=position)


async def _item(attorn: Attorn, work: str, position: int) -> dict[str, Any] | None:
    found = await _asked(attorn, "work", work=work, wait_for=position)
    return found.get("item") if found is not None else None


async def _asked(attorn: Attorn, question: str, **parameters: Any) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await attorn.ask(question, **parameters)
    except Failed as failed:
        if failed.code not in (Exit.UNREACHABLE, Exit.TIMED_OUT):
            raise
        return None  # it is on the log; that the views are late, or down, is no reason to say otherwise
    return found


def _lines(receipt: "Receipt", item: dict[str, Any] | None, id: str | None, done: str) -> Iterator[str]:
    about = (f"{id}: " if id is not None else "") + (f"{done}; " if done else "")
    if item is None:
        yield f"{about}recorded in {receipt.stream} (position {receipt.position}); the views are not there yet"
        return
    yield f"{about}{sentence(item)} (position {receipt.position})"


def sentence(item: dict[str, Any]) -> str:
    """`W-1 is in progress; ana answers, refunds-bot carries it out`."""
    words = [f"{item['accountable'] or 'nobody'} answers"]
    if failure := item.get("failure"):
        words.append(f"{failure['by']}'s execution failed" if failure["by"] else "its execution failed")
    elif item.get("executor"):
        words.append(f"{item['executor']} {'carried' if item.get('ended_at') else 'carries'} it out")
    if item.get("waiting_on"):
        words.append(f"it waits for {item['waiting_on']}")
    if item.get("open_escalations"):
        words.append(f"{item['open_escalations']} open escalation{'s' if item['open_escalations'] > 1 else ''}")
    return f"{item['work']} is {item['state'].replace('_', ' ')}; {', '.join(words)}"
