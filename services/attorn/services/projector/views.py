"""Which views there are."""

from collections.abc import Mapping

from attorn.projections import (
    accountability,
    activity,
    board,
    controls,
    criteria,
    delegations,
    effects,
    escalations,
    holding,
    inbox,
    timeline,
)
from attorn.projections.directory import Directory
from attorn.projections.findings import Findings, Rules
from attorn.projections.fold import View
from attorn.services.rulebook import RULES


def views(directory: Directory, rules: Mapping[str, Rules] = RULES) -> tuple[View, ...]:
    """Every view, those that look beyond their rows with `directory`, which whoever folds them evolves."""
    return (
        accountability,
        holding,
        board,
        inbox,
        activity,
        escalations,
        timeline,
        delegations,
        effects,
        criteria,
        controls,
        Findings(rules, directory),
    )
