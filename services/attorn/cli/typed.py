"""What was typed: which argument or option it was that the services, or the rules, complain of."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, get_args

from cyclopts import Parameter

from attorn.cli.errors import Failed

NAMED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "acceptance_criteria": ("criterion",),
        "activities": ("activity",),
        "actions": ("max_actions",),
        "due_at": ("due",),
        "elapsed": ("max_minutes",),
        "exclusions": ("exclude",),
        "max_depth": ("subdelegate",),
        "may_subdelegate": ("subdelegate",),
        "money": ("max_money",),
        "oversight": ("review_every", "sample_rate"),
        "participant_id": ("who", "agent", "participant"),
        "resource_keys": ("resource",),
        "tokens": ("max_tokens",),
        "valid_until": ("until",),
    }
)
"""How a field is called on the line, where that is not its own name; the first that a command has, or all of them."""

TOGETHER: Final = frozenset({"oversight"})
"""The fields that more than one option makes."""


class Typed:
    """One command as it was typed: `function` with the values of its parameters."""

    def __init__(self, function: Callable[..., Any], values: Mapping[str, Any]) -> None:
        self._parameters = inspect.signature(function).parameters
        self._values = values

    def name(self, field: str | None, sentence: str) -> str | None:
        """The argument or option that made `field`, or that said what the sentence begins with; None when unclear."""
        for part in reversed(re.split(r"[.\[\]]+", field or "")):
            short = part.removesuffix("_id")
            known = NAMED.get(part, (part, part.removesuffix("s"), f"{part}_", short, "id" if short != part else part))
            found = [name for name in known if name in self._parameters and name != "options"]
            if found:
                return " and ".join(map(self._said, found if part in TOGETHER else found[:1]))
        if not field:
            # Who is not registered is named first.
            first = sentence.partition(" ")[0]
            found = [name for name, value in self._values.items() if value == first and name != "options"]
            if len(found) == 1:
                return self._said(found[0])
        return None

    def explain(self, failed: Failed) -> Failed:
        failed.typed = self.name
        return failed

    def _said(self, name: str) -> str:
        return said(self._parameters[name])


def said(parameter: inspect.Parameter) -> str:
    """`--max-actions`, or `WORK`: how a parameter of a command is shown in its help."""
    told = [each for each in _annotations(parameter.annotation) if isinstance(each, Parameter)]
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return next((each.metavar for each in told if each.metavar), parameter.name.upper())
    names = next((tuple(each.name) for each in told if each.name), ())
    return names[0] if names else f"--{parameter.name.strip('_').replace('_', '-')}"


def beyond(function: Callable[..., Any] | None, tokens: Sequence[str], chain: str) -> str:
    """What to say of words that a command has no place for: what it takes, and the option that may be meant."""
    parameters = inspect.signature(function).parameters if function is not None else {}
    takes = [said(each) for each in parameters.values() if each.kind is each.POSITIONAL_ONLY]
    options = {said(each): name for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY}
    left, equals, right = tokens[0].partition("=")
    meant = ""
    if equals and f"--{right}" in options:
        meant = f"--{right} {left}"
    elif equals and f"--{left}" in options:
        meant = f"--{left} {right}"
    elif (group := f"--{chain.split(' ')[1]}") in options:
        meant = f"{group} {tokens[0]}"
    much = f"{' '.join(tokens)!r} is more than {chain} takes, which is {' '.join(takes) or 'only options'}"
    return much + (f"; did you mean {meant}?" if meant else "")


def _annotations(annotation: Any) -> list[Any]:
    """All that is said of a type, in it and in what it is made of, the outermost first."""
    found = list(getattr(annotation, "__metadata__", ()))
    for part in get_args(annotation):
        found += _annotations(part)
    return found
