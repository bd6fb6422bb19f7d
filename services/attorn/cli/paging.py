"""Answers that come in pages, read as one list."""

from typing import Any, Final

from attorn.cli.connect import Attorn
from attorn.cli.errors import misused
from attorn.cli.known import require

PAGE: Final = 1_000


async def listed(
    attorn: Attorn, question: str, field: str, limit: int, after: Any = None, **parameters: Any
) -> tuple[list[dict[str, Any]], bool]:
    """Up to `limit` things (0: all) that the views answer with in `field`, and whether there are more.

    Some questions end a page with all that belongs together, and answer with more than they were asked for. Raises
    Failed where there are none because a parameter names what is not there.
    """
    if limit < 0:
        raise misused(f"--limit is {limit}; it is at least 1, or 0 for all")
    found: list[dict[str, Any]] = []
    while True:
        size = min(PAGE, limit - len(found)) if limit else PAGE
        page = await attorn.ask(question, after=after, limit=size, **parameters)
        found += page.get(field, ())
        after = page.get("next")
        if after is None and not found:
            await require(attorn, **parameters)
        if after is None or (limit and len(found) >= limit):
            return (found[:limit], after is not None or len(found) > limit) if limit else (found, False)


async def whole(attorn: Attorn, question: str, field: str, **parameters: Any) -> dict[str, Any]:
    """An answer with all that its pages have in `field`; what else it says is said by the first of them."""
    found: dict[str, Any] = await attorn.ask(question, **parameters)
    after = found.pop("next", None)
    while after is not None:
        page = await attorn.ask(question, after=after, **parameters)
        found[field] = [*found.get(field, ()), *page.get(field, ())]
        after = page.get("next")
    return found


async def one(attorn: Attorn, question: str, field: str, id: str, **parameters: Any) -> dict[str, Any] | None:
    """The thing with this id, out of a question that lists all of them in the order of their ids."""
    # No id comes between this and the one that is looked for: `~` is behind every character of an id.
    before = id[:-1] + chr(ord(id[-1]) - 1) + "~" if id else ""
    page = await attorn.ask(question, after=before, limit=1, **parameters)
    return next((each for each in page.get(field, ()) if each["id"] == id), None)


def others(more: bool) -> str:
    return "there are more; --limit 0 shows all" if more else ""
