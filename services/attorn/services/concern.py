"""Which events a slice's rules look at, read from the rules' own code, so that no list of them can be forgotten.

A work item has many slices, and most of them have nothing to do with most events: asking all of them about each costs
more than all the rest of a decision. A rule that looks at an event names the class of its payload, in a `case`, an
`isinstance` or a table; so what none of a slice's functions names, directly or through what they call, the slice does
not look at. Where the code cannot be followed, the slice is asked about everything.

The price is a rule of style: `check` and `evolve` tell events apart by the classes of their payloads, never by a name
in a string, by what attributes they have, or by a last `case _` that does something. tests/services/test_rulebook.py
compares with asking every slice.
"""

from collections.abc import Collection, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, get_args

from attorn.contracts.envelope import Unknown
from attorn.contracts.messages import EVENT_BY_TYPE

_PAYLOADS: Final = frozenset({*EVENT_BY_TYPE.values(), Unknown})
_OPAQUE: Final = frozenset({"getattr", "hasattr", "vars", "globals", "EVENT_BY_TYPE", "__struct_fields__"})
"""Who uses these may tell events apart without naming any."""


def looks_at(slice_: ModuleType) -> frozenset[type] | None:
    """The payloads that `check` and `evolve` of a slice look at; None for all that there are."""
    named: set[type] = set()
    seen: set[object] = set()
    left: list[FunctionType] = [slice_.check, slice_.evolve]
    while left:
        function = left.pop()
        if function in seen:
            continue
        seen.add(function)
        for name in _names(function.__code__):
            if name in _OPAQUE:
                return None
            for value in _values(name, function):
                named |= set(_payloads(value))
                left += _functions(value)
    return frozenset(named)


def _names(code: CodeType) -> Iterator[str]:
    """Every global and attribute that a function and what is defined in it names."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _values(name: str, function: FunctionType) -> Iterator[Any]:
    scope = function.__globals__
    if name in scope:
        yield scope[name]
    # `request.check(...)`: the attribute of a module of ours that the function names.
    for module in _names(function.__code__):
        if isinstance(found := scope.get(module), ModuleType) and _is_ours(found.__name__) and hasattr(found, name):
            yield getattr(found, name)


def _payloads(value: Any) -> Iterator[type]:
    if isinstance(value, type):
        if value in _PAYLOADS:
            yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _payloads(key)
            yield from _payloads(each)
    elif isinstance(value, Collection) and not isinstance(value, str | bytes):
        for each in value:
            yield from _payloads(each)
    else:
        for each in get_args(value):  # a union of payloads
            yield from _payloads(each)


def _functions(value: Any) -> Iterator[FunctionType]:
    value = getattr(value, "__wrapped__", value)
    if isinstance(value, FunctionType) and _is_ours(value.__module__):
        yield value
    elif isinstance(value, type) and _is_ours(value.__module__) and value not in _PAYLOADS:
        for each in vars(value).values():
            yield from _functions(each.fget if isinstance(each, property) else getattr(each, "__func__", each))


def _is_ours(module: str | None) -> bool:
    # A contract is data, and what a projection's class does it does with what it was given.
    return module is not None and module.startswith("attorn.") and not module.startswith("attorn.contracts.")
