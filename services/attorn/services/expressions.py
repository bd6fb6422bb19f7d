"""Conditions in CEL: compiled once, and held against what is known on one occasion at a cost that the text bounds.

Nothing that is evaluated can be interrupted, so the text is bounded instead: no loops, no regular expressions, no
functions but those named here, so many words, so many additions. What remains takes time in proportion to its length.
There is no clock and nothing outside to ask: the same text and the same facts give the same answer for ever, which
findings need. docs/expressions.md is for those who write conditions.
"""

import re
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import cel

LENGTH_MAX: Final = 2_048
TOKENS_MAX: Final = 400
ADDITIONS_MAX: Final = 20
"""How often texts may be put together: each addition copies what was added before."""

FACT_CHARS_MAX: Final = 16_384
CACHED_MAX: Final = 1_024

VARIABLES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "action": frozenset(
            "tool target side_effect args_dig idempotency_key result error_class assist amount currency".split()
        ),
        "work": frozenset(
            "title state cycle priority risk_tier recoverable trigger process process_version accountable".split()
        ),
        "delegation": frozenset(
            "id delegator delegate depth autonomy uses uses_left spent left exhausted valid_until".split()
        ),
        "execution": frozenset(
            "id executor attempt step_id process_version instructions_dig agent_version started_at".split()
        ),
        "output": frozenset("id name media_type contribution confidence supersedes".split()),
        "result": frozenset(
            "result confidence error_class retryable outputs tokens amount currency human_seconds".split()
        ),
        "decision": frozenset("id question activity amount currency".split()),
        "at": frozenset(),
    }
)
"""What a condition may speak of: each thing with its fields; `at` is when it happened, an instant."""

FUNCTIONS: Final = frozenset({"size", "contains", "startsWith", "endsWith", "int", "double", "duration", "timestamp"})
_OPERATORS: Final = frozenset("!_ -_ _&&_ _||_ _?_:_ _==_ _!=_ _<_ _<=_ _>_ _>=_ _+_ _-_ _*_ _/_ _%_ _[_] @in".split())
_CALLED = re.compile(r"\.\s*([A-Za-z_]\w*)\s*\(")
_TOKENS = re.compile(r"\w+|[^\w\s]")
_TEXTS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_PLACE = re.compile(r"ERROR: <input>:1:(\d+): Syntax error: (.*)")
_WORD = re.compile(r"\w{1,40}|[&|=<>!]+|\S")
_ANSWERED = re.compile(r"\bhas\s*\([^()]*\)|[\w.']*\s*[!=]=\s*[\w.']*")
"""What can be told of anything, known or not: whether it is there, and what it is equal to."""

_PATHS = re.compile(r"(?<![\w.])[a-z]+(?:\s*\.\s*[A-Za-z_]\w*)+")
_FIELDS = re.compile(r"(?<![\w.])([a-z]+)\s*\.\s*([A-Za-z_]\w*)")


class Verdict(NamedTuple):
    """What came of holding a condition against the facts: None when that could not be done; `why` then says why."""

    holds: bool | None
    why: str = ""


class Compiled(NamedTuple):
    """A condition that was read, with what it speaks of; or the `problem` with it, as a sentence."""

    program: "cel.Program | None"
    variables: frozenset[str] = frozenset()
    problem: str | None = None


def parse(text: str) -> "cel.Program":
    """As the library reads it; raises what it raises.

    The library brings a command line along, which costs every process 0.2 s and 17 MB: only who needs it loads it.
    """
    import cel

    return cel.compile(text)


@lru_cache(CACHED_MAX)
def compiled(text: str) -> Compiled:
    """The condition in `text`, read once however often it is asked."""
    problem = _beyond(text)
    if problem is not None:
        return Compiled(None, problem=problem)
    try:
        program = parse(text)
        variables, functions = frozenset(program.variables()), frozenset(program.functions())
    except BaseException as error:
        return Compiled(None, problem=f"cannot be read: {_misread(text, str(_ours(error)))}")
    for name in sorted(variables - VARIABLES.keys()):
        return Compiled(None, problem=f"speaks of {name!r}; there are {', '.join(sorted(VARIABLES))}")
    for name in sorted(functions - FUNCTIONS - _OPERATORS):
        return Compiled(None, problem=f"uses {name!r}; there are {', '.join(sorted(FUNCTIONS))} and has")
    for name, field in _FIELDS.findall(_TEXTS.sub("''", text)):
        if field not in VARIABLES.get(name, {field}) and field not in FUNCTIONS:
            there = ", ".join(sorted(VARIABLES[name])) or "no fields"
            return Compiled(None, problem=f"speaks of {name}.{field}; {name} has {there}")
    return Compiled(program, variables)


def problem(text: str) -> str | None:
    """What is wrong with a condition, to be said after its name: `cannot be read: …`; None when nothing is."""
    return compiled(text).problem


def applies(text: str, known: Container[str]) -> bool:
    """Whether everything that a condition speaks of is known on an occasion. One that cannot be read always applies."""
    return all(name in known for name in compiled(text).variables)


def evaluate(text: str, facts: Mapping[str, Any]) -> Verdict:
    """Hold a condition against `facts`: for each variable of VARIABLES that is known its fields, absent ones None."""
    program, variables, wrong = compiled(text)
    if program is None:
        return Verdict(None, wrong or "")
    missing = sorted(variables - facts.keys())
    if missing:
        return Verdict(None, f"speaks of {missing[0]}, which is not known here")
    try:
        result = program.execute({name: _bounded(facts[name]) for name in variables})
    except BaseException as error:
        said = _said(_ours(error))
        nothing = unknown(text, facts)
        why = f"{' and '.join(nothing)} {'are' if nothing[1:] else 'is'} not known here"
        return Verdict(None, why if nothing else f"cannot be evaluated: {said}")
    if isinstance(result, bool):
        return Verdict(result)
    return Verdict(None, f"is a {type(result).__name__}, neither true nor false")


def unknown(text: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields, as `action.amount`, that a condition reckons with and that are null in `facts`."""
    found: dict[str, None] = {}
    for path in _PATHS.findall(_ANSWERED.sub(" ", _TEXTS.sub("''", text))):
        names = [name.strip() for name in path.split(".")]
        at: Any = facts
        for depth, name in enumerate(names, start=1):
            at = at.get(name, "") if isinstance(at, Mapping) else ""
            if at is None:
                found[".".join(names[:depth])] = None
    return tuple(found)


def _beyond(text: str) -> str | None:
    """In what a text is more than can be evaluated in bounded time."""
    if len(text) > LENGTH_MAX:
        return f"has {len(text)} characters; {LENGTH_MAX} at most"
    if not text.isprintable():
        return "has a line break or a control character; it is one line"
    # In texts too: what is mistaken for a call costs an author a word, what is overlooked costs everybody their time.
    for called in _CALLED.findall(text):
        if called not in FUNCTIONS:
            return f"calls .{called}(); there are no loops, and no functions but {', '.join(sorted(FUNCTIONS))}"
    tokens = len(_TOKENS.findall(text))
    if tokens > TOKENS_MAX:
        return f"has {tokens} words and signs; {TOKENS_MAX} at most"
    if text.count("+") > ADDITIONS_MAX:
        return f"has {text.count('+')} additions; {ADDITIONS_MAX} at most"
    return None


def _bounded(fact: Any) -> Any:
    """A fact as CEL takes it: instants in UTC, and no text longer than any field of an event is."""
    if isinstance(fact, Mapping):
        return {name: _bounded(each) for name, each in fact.items()}
    if isinstance(fact, datetime):
        return fact.astimezone(UTC)
    return fact[:FACT_CHARS_MAX] if isinstance(fact, str) else fact


def _ours(error: BaseException) -> BaseException:
    """`error` when the text or the facts are its cause; raises it when somebody wants this process to end."""
    # A panic of the library is no Exception, and says no more than that the text is beyond it.
    if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":
        raise error
    return error


def _misread(text: str, error: str) -> str:
    """Where the text stops being a condition, and what is wrong there."""
    found = _PLACE.search(error)
    if found is None:
        return _said(ValueError(error))
    column, gist = int(found[1]), found[2]
    before, here = text[: column - 1].strip(), text[column - 1 :].strip()
    where = f"at column {column}" if here else "at its end"
    if missing := re.match("missing '(.)'", gist):
        return f"{where}, {missing[1]} is missing"
    if not here:
        return f"it ends after {_WORD.findall(before)[-1]}" if before else "it is empty"
    if here[0] in "\"'":
        return f"{where}, a text begins that has no end"
    word = _WORD.findall(here)[0]
    instead = {"=": "; equal is ==", "and": "; and is &&", "or": "; or is ||", "not": "; not is !"}
    return f"{where}, {word} has no place{instead.get(word, '')}"


def _said(error: BaseException) -> str:
    """The gist of the library's error: its first sentence, without the text that it repeats."""
    if isinstance(error, KeyError):
        return f"there is no {error.args[0]}"
    line = str(error).partition("\n")[0].partition(". ")[0]
    return re.sub(r"^Failed to parse expression '.*': ERROR: <input>:1:", "at column ", line)[:200]
