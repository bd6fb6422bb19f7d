"""Templates: processes that others have drawn before, to begin with instead of an empty page."""

from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Final

from attorn.contracts.refusal import Unreadable

NAMES: Final = (
    "ap-invoice",
    "order-exception",
    "prior-auth",
    "customer-onboarding",
    "data-enrichment",
    "ticket-triage",
)
FIELDS: Final = ("id", "owner", "review_policy", "escalation_policy")
"""What is filled in: the id of the process, the person who owns it, and the policies that it holds to."""


def filled(name: str, values: Mapping[str, str]) -> str:
    """The template `name` as TOML, with `values` for each of FIELDS. Raises Unreadable when there is no such one."""
    if name not in NAMES:
        raise Unreadable(f"{name} is no template; there are {', '.join(NAMES)}", "template")
    text = files("attorn.services.process").joinpath("templates", f"{name}.toml").read_text(encoding="utf-8")
    return Template(text).substitute({field: values[field] for field in FIELDS})
