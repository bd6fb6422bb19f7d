"""Which versions governed an event: the process and the policies that its work item was pinned to when it happened."""

from collections.abc import Iterable

import msgspec

from attorn.contracts.envelope import Recorded
from attorn.contracts.ids import Pinned
from attorn.contracts.work import WorkDefined
from attorn.projections.directory import Directory, Stamp


class Governing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version that held: `published` is where in the log it was, absent where nobody has published it."""

    kind: str
    id: str
    version: int
    published: Stamp | None = None


def governing(item: Iterable[Recorded], position: int, directory: Directory) -> tuple[Governing, ...]:
    """What governed the event at `position`, given all events of its work item, in the order of the log.

    The item's first definition pins them, for good; a review says by which version it was asked for.
    """
    pins: dict[str, Pinned | None] = {}
    for recorded in item:
        if recorded.position > position:
            break
        data = recorded.event.data
        if isinstance(data, WorkDefined) and not pins:
            pins = {"process": data.process, "review": data.review_policy, "escalation": data.escalation_policy}
        if recorded.position == position and isinstance(own := getattr(data, "policy", None), Pinned):
            pins = pins | {"review": own}
    return tuple(
        Governing(kind=kind, id=pin.id, version=pin.version, published=_published(kind, pin, directory))
        for kind, pin in pins.items()
        if pin is not None
    )


def _published(kind: str, pin: Pinned, directory: Directory) -> Stamp | None:
    if kind == "process":
        process = directory.processes.get(pin.id)
        stamps = (f.stamp for f in (process.versions if process else ()) if f.value.version == pin.version)
    else:
        stamps = (f.stamp for f in directory.policies.get(pin.id, ()) if f.value.version == pin.version)
    return next(stamps, None)
