"""Dependencies: what the work waits for.

Class names and field names here are the stored format. Add a field with a default, or add a new version; never rename,
never remove.
"""

from typing import ClassVar

import msgspec

from attorn.contracts.ids import Text, WorkId


class DependencyAdded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The work cannot go on before `on` is done."""

    type: ClassVar[str] = "attorn.dependency.added.v1"

    on: WorkId
    reason: Text = ""


class DependencySatisfied(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`on` is done; the work need not wait for it any more."""

    type: ClassVar[str] = "attorn.dependency.satisfied.v1"

    on: WorkId


class DependencyBroken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`on` will not be done; somebody has to say how the work goes on without it."""

    type: ClassVar[str] = "attorn.dependency.broken.v1"

    on: WorkId
    reason: Text = ""


class WorkBlocked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something outside the work keeps it from going on."""

    type: ClassVar[str] = "attorn.work.blocked.v1"

    reason: Text = ""
    on: WorkId | None = None


class WorkUnblocked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What kept the work from going on is out of the way."""

    type: ClassVar[str] = "attorn.work.unblocked.v1"

    reason: Text = ""
    on: WorkId | None = None
