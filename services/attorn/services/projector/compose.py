"""Which views there are, and which questions may be asked of them."""

from typing import Final

from attorn.projections import questions
from attorn.services.projector.views import views
from attorn.services.query.app import Questions

__all__ = ["LONG", "QUESTIONS", "views"]

QUESTIONS: Final[Questions] = questions.QUESTIONS

LONG: Final = frozenset(
    {
        "absences",
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
        "keys",
        "known",
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
        "teams",
    }
)
"""The questions that may look at every row of a view."""
