"""`attorn status`: whether attorn runs, where its log is, what waits."""

import time
from collections.abc import Iterator
from typing import Any

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import Exit, Failed, visible
from attorn.cli.options import Given
from attorn.cli.output import bold, facts, shown, width, write_one
from attorn.cli.processes import relay_behind, services, wrong


async def status(*, options: Given) -> int:
    """Say whether attorn runs: the log, each process, the views, what waits, and what is wrong.

    Exit code 6 when a part does not answer, 7 when one says that something is wrong.

    Example: attorn status
    """
    from attorn.services.about import attorn_version
    from attorn.services.supervise.instance import running

    here = running(options.data)
    async with connected(options) as attorn:
        found: dict[str, Any] = {"nats_url": options.url, "log": await attorn.ledger.last()}
        if here is not None and here.nats_url == options.url:
            found |= {"data": str(options.data), "pids": here.pids, "started": f"{here.started:%FT%TZ}"}
        server = attorn.nc.connected_server_version
        found["versions"] = {
            "attorn": attorn_version(),
            "nats_server": f"{server.major}.{server.minor}.{server.patch}",
        }
        attorn.patient = False
        found["services_ms"] = await _services(attorn)
        found["services"] = await services(attorn)
        try:
            found["views"] = await attorn.ask("status")
            found["work"] = await attorn.ask("board_counts")
            found["failed"] = (await attorn.ask("board", failed=True, limit=1))["count"]
            found["escalations"] = len((await attorn.ask("escalations", limit=1000)).get("escalations", ()))
            found["findings"] = await attorn.ask("finding_counts")
        except Failed as failed:
            if failed.code not in (Exit.UNREACHABLE, Exit.TIMED_OUT):
                raise
            found.setdefault("views", None)
    found["wrong"] = wrong(found["services"], found["views"])
    up = found["services_ms"] is not None and found["views"] is not None
    write_one(options, found, lambda: _lines(found), id=options.url)
    if not up:
        return Exit.UNREACHABLE
    return Exit.CHECK_FAILED if found["wrong"] else Exit.OK


async def _services(attorn: Attorn) -> float | None:
    """How many milliseconds they take to say that an empty command is none; None when nobody says so."""
    from attorn.contracts import subjects

    began = time.perf_counter()
    try:
        await attorn.request(subjects.command(attorn.options.actor, "note.add"), b"{}")
    except (Failed, TimeoutError):
        return None
    return round((time.perf_counter() - began) * 1e3, 1)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    views, work, findings = found["views"], found.get("work"), found.get("findings")
    ms = found["services_ms"]
    state = "attorn runs in part" if ms is None or views is None else "attorn runs"
    yield bold(f"{state}, and something is wrong" if found["wrong"] else state)
    yield from (visible(f"  {each}") for each in found["wrong"])
    behind = max((view["lag_events"] or 0 for view in views["views"]), default=0) if views is not None else 0
    late = max((view["lag_seconds"] or 0 for view in views["views"]), default=0) if views is not None else 0
    poison = sum(view["poison"] for view in views["views"]) if views is not None else 0
    at = f"at position {views['position']:,}, {behind:,} behind" if views is not None else "do not answer"
    at += f" ({late:.1f} s)" if behind else ""
    feed = relay_behind(found["services"])
    broken = f"{findings['found']:,}, {findings['open']:,} open" if findings is not None else ""
    if findings is not None and findings["found"]:
        broken += " (`attorn audit findings`)"
    failed = found.get("failed")
    quarantined = views["quarantined"] if views is not None else None
    yield from facts(
        [
            ("NATS", shown(found["nats_url"])),
            ("data", shown(found.get("data"))),
            ("since", shown(found.get("started"), "time")),
            ("processes", ", ".join(f"{name} {pid}" for name, pid in found.get("pids", {}).items())),
            ("log", f"{found['log']:,} events"),
            ("services", f"answer in {ms} ms" if ms is not None else "do not answer"),
            ("relay", f"{feed:,} behind" if feed is not None else ""),
            ("views", at + (f"; {poison} events not taken in (`attorn projection ls`)" if poison else "")),
            ("work", f"{work['items']:,} items, {work['open']:,} open" if work is not None else ""),
            ("failed", f"{found['failed']:,} left after a failure (`attorn work ls --failed`)" if failed else ""),
            ("escalations", f"{found['escalations']:,} open" if found.get("escalations") else ""),
            ("findings", broken),
            ("quarantine", f"{quarantined:,} messages (`attorn quarantine ls`)" if quarantined else ""),
            ("versions", ", ".join(_versions(found))),
        ],
        width(),
    )


def _versions(found: dict[str, Any]) -> Iterator[str]:
    """Of every process; those of the same versions are said together."""
    yield f"this command {found['versions']['attorn']}"
    yield f"nats-server {found['versions']['nats_server']}"
    said = [one["about"] for one in found["services"]]
    if found["views"] is not None and found["views"].get("about"):
        said.append(found["views"]["about"])
    for version in dict.fromkeys((about["attorn"], about["python"]) for about in said):
        names = dict.fromkeys(a["process"] for a in said if (a["attorn"], a["python"]) == version)
        yield f"{' and '.join(names)} {version[0]} on Python {version[1]}"
