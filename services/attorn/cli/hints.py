"""What leads on from a refusal, as far as its words say so."""

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from attorn.cli.errors import Broken

_NOT_YET: Final = re.compile(r"work/(\S+) is (\w+); [\w.]+ follows only ([\w, ]+)")
_NO_VERDICT: Final = re.compile(r"criterion (\S+) .* has no verdict")
_UNREGISTERED: Final = re.compile(r"(\S+) is not registered( or has left)?\b")

STEPS: Final = MappingProxyType(
    {
        ("defined", "in_progress"): "execution start",
        ("ready", "in_progress"): "execution start",
        ("claimed", "in_progress"): "execution start",
        ("in_progress", "submitted"): "work submit",
        ("submitted", "verified"): "work verify",
        ("verified", "completed"): "work complete",
        ("suspended", "in_progress"): "work resume",
        ("suspended", "submitted"): "work resume",
        ("blocked", "in_progress"): "dependency unblock",
        ("completed", "in_progress"): "work reopen",
        ("failed", "in_progress"): "work reopen",
    }
)
"""The command that leads from one state to another in one step."""


def next_step(rules: Sequence[Broken]) -> str:
    """`first attorn work verify C-04 --passed right`, where one command leads to what has to be; else empty."""
    for rule, sentence, _ in rules:
        found = _NOT_YET.match(sentence) if rule == "illegal-transition" else None
        if found is None:
            continue
        work, now, wanted = found[1], found[2], found[3].split(", ")
        for state in wanted:
            command = STEPS.get((now, state))
            if command == "work verify":
                open_ = [each[1] for _, other, _ in rules if (each := _NO_VERDICT.match(other))]
                command = " ".join([command, work, *(f"--passed {id}" for id in open_)])
                return f"first `attorn {command}`"
            if command is not None:
                return f"first `attorn {command} {work}`"
    return ""


def unregistered(rules: Sequence[Broken]) -> str:
    """Who is named and not registered; empty where nobody is."""
    found = (_UNREGISTERED.match(sentence) for rule, sentence, _ in rules if rule == "unregistered-actor")
    return next((each[1] for each in found if each), "")
