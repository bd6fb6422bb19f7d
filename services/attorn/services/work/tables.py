"""The shape that every slice of a work item has for the rulebook: a rule, and a change, for each payload it is about.

A slice is never asked about an event whose payload stands in none of its tables.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from attorn.contracts.envelope import Event
from attorn.contracts.refusal import Breach
from attorn.projections.directory import Directory
from attorn.services.work.state import Work

Checks: TypeAlias = Mapping[type, Callable[[Work, Any, Event, Directory], Iterable[Breach]]]
"""By payload, which rules an event breaks: asked with the work as it was before it."""

Changes: TypeAlias = Mapping[type, Callable[[Work, Any, Event], Work]]
"""By payload, what is true of the work after an event."""
