"""A work item as its rules see it, folded here from its own events: exact, and there before any view has it."""

from typing import TYPE_CHECKING

from attorn.cli.connect import Attorn
from attorn.cli.errors import not_found

if TYPE_CHECKING:
    from attorn.services.work.state import Work


async def folded(attorn: Attorn, work: str) -> "Work":
    """The state of a work item. Raises Failed when there is none."""
    from attorn.contracts import subjects
    from attorn.services.rulebook import RULES

    rules = RULES["work"]
    state: Work = rules.initial
    recorded = await attorn.ledger.read(f"work/{subjects.token(work, 'WORK')}")
    for each in recorded:
        state = rules.evolve(state, each.event)
    if not recorded:
        raise not_found(f"work/{work} is not on the log", "`attorn work ls` says what is")
    return state


def only(found: list[str], what: str, work: str, option: str, shown_by: str = "work show") -> str:
    """The one id that can be meant. Raises Failed when there is none, or more than one; `shown_by` lists them."""
    from attorn.cli.errors import Exit, Failed

    match found:
        case [id]:
            return id
        case []:
            raise not_found(f"work/{work} has no {what}", f"`attorn {shown_by} {work}` says what it has")
        case _:
            named = ", ".join(found[:10])
            raise Failed(
                f"work/{work} has {len(found)} of them: {named}", hint=f"say which, with {option}", code=Exit.USAGE
            )
