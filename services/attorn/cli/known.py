"""Whether what was named is there at all: an empty list would say of what never was that it has nothing."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from attorn.cli.errors import Failed, not_found

if TYPE_CHECKING:
    from attorn.cli.connect import Attorn

KINDS: Final[Mapping[str, str]] = {
    "work": "work",
    "process": "process",
    **dict.fromkeys(
        ("accountable", "agent", "candidate", "delegate", "delegator", "executor", "participant", "person",
         "raised_by", "under", "waiting_on", "who"),
        "participant",
    ),
}  # fmt: skip
"""The parameters of questions that name something, and what."""

LISTED: Final = {"work": "work ls", "process": "process ls", "participant": "participant ls --all"}


async def require(attorn: "Attorn", **named: Any) -> None:
    """Raises Failed for the first of these parameters that names what is not there; others than KINDS name nothing."""
    from typing import get_args

    from attorn.contracts.participant import Role

    for parameter, id in named.items():
        kind = KINDS.get(parameter)
        # Where somebody is waited for, a role may be named as well.
        if kind is None or not isinstance(id, str) or (kind == "participant" and id in get_args(Role)):
            continue
        found = await attorn.ask("known", kind=kind, id=id)
        if not found["known"]:
            raise missing(kind, id, found.get("near", ()))


def missing(kind: str, id: str, near: Iterable[str] = (), listed: str | None = None) -> Failed:
    """That there is no such thing, what may have been meant, and what lists them."""
    meant = ", ".join(near)
    what = {"work": f"{id} is not on the log", "participant": f"{id} is not registered"}
    hint = f"`attorn {listed or LISTED[kind]}` says {'who' if kind == 'participant' else 'what'} is"
    return not_found(what.get(kind, f"there is no {kind} {id}"), f"did you mean {meant}? {hint}" if meant else hint)
