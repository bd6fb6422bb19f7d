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
    reason: Text = ""


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


class AddDependency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Have the work wait until `on` is completed."""

    verb: ClassVar[str] = "dependency.add"

    work_id: WorkId
    on: WorkId
    reason: Text = ""


class SatisfyDependency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that the work need not wait for `on` any more; where `on` is work that completes, the service says so."""

    verb: ClassVar[str] = "dependency.satisfy"

    work_id: WorkId
    on: WorkId
    reason: Text = ""


class BreakDependency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that `on` will not be done; where `on` is work that ends so, the service says it."""

    verb: ClassVar[str] = "dependency.break"

    work_id: WorkId
    on: WorkId
    reason: Text = ""


class BlockWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that something outside the work keeps it from going on."""

    verb: ClassVar[str] = "work.block"

    work_id: WorkId
    reason: Text = ""


class UnblockWork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Say that what kept the work from going on is out of the way."""

    verb: ClassVar[str] = "work.unblock"

    work_id: WorkId
    reason: Text = ""
