"""The five layers that make work clear: why, what, who, when, how; what answers each of them, and what is missing.

A process says in its definition of ready which of them must be answered before work under it is taken up. An entry is a
layer (`why`), a field of the definition (`due_at`), or any sentence; a sentence holds when somebody says that the work
is ready. After a colon an entry may go on in words: `how: the handbook is linked`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args

import msgspec

from attorn.contracts.work import Layer, WorkDefined, WorkReadied

LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)
_FIELDS: Final = frozenset(WorkDefined.__struct_fields__)


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of each layer, None where nothing is; `clarity` is how much of what is required is answered."""

    why: str | None
    what: str | None
    who: str | None
    when: str | None
    how: str | None
    missing: tuple[str, ...]
    clarity: float


def stack(
    defined: WorkDefined | None,
    readied: WorkReadied | None = None,
    required: Sequence[str] = (),
    answers: str | None = None,
) -> Stack:
    """The layers of a work item; without `required`, all five are.

    `answers`: who answers for it now, whoever its definition names.
    """
    said = {layer: _said(layer, defined, readied) for layer in LAYERS}
    if answers is not None and said["who"] is not None and not (readied is not None and readied.who):
        said["who"] = answers
    wanted = tuple(required) or LAYERS
    missing = tuple(unmet(wanted, defined, readied))
    return Stack(**said, missing=missing, clarity=1 - len(missing) / len(wanted))


def unmet(required: Sequence[str], defined: WorkDefined | None, readied: WorkReadied | None) -> Iterator[str]:
    """The entries of a definition of ready that do not hold."""
    for entry in required:
        word = entry.partition(":")[0].strip().lower()
        if word in LAYERS:
            holds = _said(word, defined, readied) is not None
        elif word in _FIELDS:
            holds = defined is not None and bool(getattr(defined, word))
        else:
            holds = readied is not None
        if not holds:
            yield entry


def missing(defined: WorkDefined | None, readied: WorkReadied | None = None) -> tuple[Layer, ...]:
    """The layers of which nothing is said."""
    return tuple(layer for layer in LAYERS if _said(layer, defined, readied) is None)


def _said(layer: Layer | str, defined: WorkDefined | None, readied: WorkReadied | None) -> str | None:
    answer: str = getattr(readied, layer) if readied is not None else ""
    if answer or defined is None:
        return answer or None
    return _text(_DEFINED[layer](defined)) or None


def _text(answers: Sequence[Any]) -> str:
    return "; ".join(str(answer) for answer in answers if answer)


_DEFINED: Final[dict[str, Any]] = {
    "why": lambda d: (d.purpose.why, d.purpose.outcome_id),
    "what": lambda d: (*d.scope.included, *d.requirements, *(c.text for c in d.acceptance_criteria)),
    "who": lambda d: (d.accountable,),
    "when": lambda d: tuple(time.isoformat() for time in (d.start_by, d.due_at) if time is not None),
    "how": lambda d: (d.method.instructions.uri if d.method.instructions is not None else "", *d.method.tools),
}
