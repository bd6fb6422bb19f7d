"""What ledgers tell whoever measures them: a list of listeners for each thing, all empty as long as nobody does.

The command line reads the log with the same ledger and without a library for metrics.
"""

from collections.abc import Callable
from typing import Final

batch: Final[list[Callable[[int], None]]] = []
"""Hear how many events one publish has stored: 1, or those of an atomic batch."""

follower_lost: Final[list[Callable[[], None]]] = []
"""Hear that a reader of the log had to begin anew where it was."""
