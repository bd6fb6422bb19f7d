"""Templates: processes that others have drawn before, to begin with instead of an empty page."""

from collections.abc import Mapping
from importlib.resources import files
from string import Template as Blank
from typing import Final, Literal, TypeAlias, get_args

from attorn.contracts.refusal import Unreadable

Template: TypeAlias = Literal[
    "ap-invoice", "order-exception", "prior-auth", "customer-onboarding", "data-enrichment", "ticket-triage"
]
NAMES: Final[tuple[str, ...]] = get_args(Template)
FIELDS: Final = ("id", "owner", "review_policy", "escalation_policy")
"""What is filled in: the id of the process, the person who owns it, and the policies that it holds to."""


def filled(name: str, values: Mapping[str, str]) -> str:
    """The template `name` as TOML, with `values` for each of FIELDS. Raises Unreadable when there is no such one."""
    if name not in NAMES:
        raise Unreadable(f"{name} is no template; there are {', '.join(NAMES)}", "template")
    text = files("attorn.services.process").joinpath("templates", f"{name}.toml").read_text(encoding="utf-8")
    return Blank(text).substitute({field: values[field] for field in FIELDS})
