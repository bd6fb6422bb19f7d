"""What the processes of attorn say of themselves, and what is wrong with that: for `attorn status` and `attorn top`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

from attorn.cli.connect import Attorn
from attorn.contracts import subjects

Said: TypeAlias = Mapping[str, Any]

FIRST_S: Final = 2.5
MORE_S: Final = 0.15
"""How long the first services process may take to look at itself, and how much later than it the others may be."""

LAG_S_MAX: Final = 5.0
"""How old an event may be that a view has not folded; the projector says the same of its readiness."""


async def services(attorn: Attorn) -> list[Said]:
    """What each services process says of itself; empty when there is none. Who is frozen says nothing."""
    import msgspec
    from nats import errors

    said: list[Said] = []
    inbox = attorn.nc.new_inbox()
    answers = await attorn.nc.subscribe(inbox)
    try:
        await attorn.nc.publish(subjects.query("services"), b"", reply=inbox)
        with suppress(errors.TimeoutError):
            while True:
                within = MORE_S if said else min(FIRST_S, attorn.options.timeout)
                message = await answers.next_msg(timeout=within)
                if message.headers and message.headers.get("Status") == "503":
                    break
                said.append(msgspec.json.decode(message.data)["result"])
    finally:
        with suppress(errors.Error):
            await answers.unsubscribe()
    return sorted(said, key=lambda one: one["about"]["started_at"])


def wrong(services: Sequence[Said], views: Said | None) -> list[str]:
    """A sentence for everything that an operator should look into; what others sent is not among it."""
    return [*_wrong_with_services(services), *(_wrong_with_views(views) if views is not None else ())]


def _wrong_with_services(services: Sequence[Said]) -> Iterator[str]:
    for one in services:
        who = "services" if len(services) == 1 else f"services {one['about']['pid']}"
        yield from (f"{who}: {check}: {why}" for check, why in one["checks"].items() if why is not None)
        if one["relay"]["trouble"]:
            yield f"relay: {one['relay']['trouble']}"
    if services and not any(one["relay"]["writes"] for one in services) and (relay_behind(services) or 0) > 0:
        yield "relay: nobody writes the feed"


def _wrong_with_views(views: Said) -> Iterator[str]:
    if views["head"] is None:
        yield "views: the log does not answer them"
    for view in views["views"]:
        if view["state"] == "live" and (view["lag_seconds"] or 0) > LAG_S_MAX:
            yield f"{view['name']}: {view['lag_events']:,} behind, the oldest {view['lag_seconds']:.1f} s old"
        if view["poison"]:
            yield f"{view['name']}: {view['poison']:,} events not taken in (`attorn projection ls -o json`)"
    if views.get("directory_poison"):
        yield f"directory: {views['directory_poison']:,} events not taken in"
    for kind in ("rebuild", "verify"):
        job = views.get(kind) or {}
        if job.get("state") == "failed":
            yield f"{kind} failed: {job['error']}"
    verified = (views.get("verify") or {}).get("views", ())
    different = [each["view"] for each in verified if not each["equal"]]
    if different and not _rebuilt_since(views):
        yield f"{', '.join(different)}: not what the log makes of them (`attorn projection rebuild`)"


def _rebuilt_since(views: Said) -> bool:
    rebuild, verify = views.get("rebuild") or {}, views["verify"]
    return rebuild.get("state") == "done" and (rebuild.get("ended_at") or "") > verify["started_at"]


def relay_behind(services: Sequence[Said]) -> int | None:
    """How many events the feed lacks, by who writes it; None when nobody can say."""
    known = [(one["head"], one["relay"]["position"]) for one in services if one["head"] is not None]
    return min((max(0, head - position) for head, position in known), default=None)
