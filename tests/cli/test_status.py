"""What `attorn status` says of each process, and its exit code when something is wrong."""

import asyncio
from typing import Any

import pytest
from nats.js.errors import NotFoundError

from attorn.cli.errors import Exit
from attorn.cli.processes import relay_behind, wrong
from attorn.services.supervise.supervisor import spawn, until_ready
from attorn_services import Services, until
from cli.instance import Ran, Run
from cli.instance import attorn as run
from observed import projector_child


async def attorn(*argv: str) -> Ran:
    return await asyncio.to_thread(run, *argv)


SERVICES = {
    "about": {"process": "services", "pid": 7, "started_at": "2026-11-21T12:00:00Z"},
    "head": 10,
    "directory": 3,
    "relay": {"position": 10, "writes": True, "trouble": ""},
    "checks": {"log": None, "append": None},
    "commands": {},
    "facts": {},
}
VIEW = {"name": "board", "version": 1, "state": "live", "lag_events": 0, "lag_seconds": 0.0, "poison": 0}
VIEWS: dict[str, Any] = {"head": 10, "position": 10, "views": [VIEW], "directory_poison": 0}


def test_nothing_is_wrong_with_what_is_as_it_should_be() -> None:
    assert wrong([SERVICES], VIEWS) == []
    filling = VIEW | {"state": "filling", "lag_events": 900, "lag_seconds": 60.0}
    quarantined = VIEWS | {"views": [VIEW, filling], "quarantined": 12}
    assert wrong([SERVICES], quarantined) == [], "a view that is being made and what others sent are not our fault"


@pytest.mark.parametrize(
    ("services", "views", "said"),
    [
        ({"checks": {"append": "the disk is full"}}, {}, "services: append: the disk is full"),
        ({"relay": {"position": 10, "writes": True, "trouble": "not connected"}}, {}, "relay: not connected"),
        ({"relay": {"position": 4, "writes": False, "trouble": ""}}, {}, "relay: nobody writes the feed"),
        ({}, {"head": None}, "views: the log does not answer them"),
        (
            {},
            {"views": [VIEW | {"lag_events": 1200, "lag_seconds": 7.25}]},
            "board: 1,200 behind, the oldest 7.2 s old",
        ),
        ({}, {"views": [VIEW | {"poison": 2}]}, "board: 2 events not taken in (`attorn projection ls -o json`)"),
        ({}, {"directory_poison": 1}, "directory: 1 events not taken in"),
        ({}, {"rebuild": {"state": "failed", "error": "no room"}}, "rebuild failed: no room"),
        (
            {},
            {"verify": {"state": "done", "started_at": "1", "views": [{"view": "board", "equal": False}]}},
            "board: not what the log makes of them (`attorn projection rebuild`)",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(services: dict[str, Any], views: dict[str, Any], said: str) -> None:
    assert wrong([SERVICES | services], VIEWS | views) == [said]


def test_the_feed_is_as_far_as_the_relay_that_writes_it() -> None:
    late = SERVICES | {"head": 10, "relay": {"position": 2, "writes": False, "trouble": ""}}
    assert relay_behind([late, SERVICES]) == 0
    assert relay_behind([late]) == 8
    assert relay_behind([SERVICES | {"head": None}]) is None


def test_it_says_the_versions_of_every_process_and_how_far_each_is(done: Run) -> None:
    ran = done("status")
    assert "relay" in ran.out and "services and projector" in ran.out and "nats-server 2." in ran.out
    found = done("status", "-o", "json").json
    [services] = found["services"]
    assert services["about"]["attorn"] == found["views"]["about"]["attorn"] == found["versions"]["attorn"]
    assert set(services["checks"].values()) == {None} and found["wrong"] == []
    assert services["relay"]["position"] <= found["views"]["head"]
    assert all({"version", "position", "lag_events", "poison"} <= view.keys() for view in found["views"]["views"])


async def test_a_relay_that_cannot_write_is_said_and_ends_it_with_seven(services: Services) -> None:
    child = projector_child(services.broker)
    projector = await spawn(child, services.broker.data / "logs")
    try:
        await until_ready(child, projector)
        well = await attorn("status", "--nats-url", services.url)
        assert (well.code, well.lines[0]) == (Exit.OK, "attorn runs"), well
        await services.nc.jetstream().delete_stream("ATTORN_FEED")
        with pytest.raises(NotFoundError):
            await services.nc.jetstream().stream_info("ATTORN_FEED")
        await services.people("ana")

        async def said() -> bool:
            ran = await attorn("status", "--nats-url", services.url)
            return ran.code == Exit.CHECK_FAILED and "relay: " in ran.out and "something is wrong" in ran.lines[0]

        await until(said, 15)
    finally:
        await projector.kill()
