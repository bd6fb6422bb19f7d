"""Which views there are, and which questions may be asked of them."""

from collections.abc import Mapping
from typing import Final

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
    questions,
    timeline,
)
from attorn.projections.directory import Directory
from attorn.projections.findings import Findings, Rules
from attorn.projections.fold import View
from attorn.services.query.app import Questions
from attorn.services.rulebook import RULES

QUESTIONS: Final[Questions] = questions.QUESTIONS

LONG: Final = frozenset(
    {
        "activity_events",
        "agents",
        "answers_for",
        "badges",
        "board_counts",
        "board_then",
        "bottleneck",
        "completions",
        "contributions",
        "control_coverage",
        "controls",
        "costs",
        "finding_counts",
        "findings",
        "handovers",
        "last_look",
        "load",
        "log_stats",
        "outcomes",
        "overlaps",
        "participants",
        "process_coverage",
        "processes",
        "queue",
        "recommendations",
        "scorecard",
        "span",
        "stalled",
        "stats",
    }
)
"""The questions that may look at every row of a view."""


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
