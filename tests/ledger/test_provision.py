"""Provisioning makes the streams, mends what can be mended without loss, and refuses the rest: on a real server."""

from typing import Any

import pytest
from nats.aio.client import Client

from attorn.contracts.refusal import Unavailable
from attorn.services.ledger.jetstream import JetStreamLedger
from attorn.services.provision import NO_STORE, ProvisionRefused, provision, streams
from attorn.services.supervise.server import Broker
from sample_log import ask, connected, entries

DAY = 24 * 3600 * 1_000_000_000


async def state(nc: Client) -> dict[str, Any]:
    return {name: await ask(nc, f"STREAM.INFO.{name}") for name in streams()}


async def config(nc: Client, stream: str) -> dict[str, Any]:
    found: dict[str, Any] = (await ask(nc, f"STREAM.INFO.{stream}"))["config"]
    return found


async def change(nc: Client, stream: str, **settings: Any) -> None:
    answer = await ask(nc, f"STREAM.UPDATE.{stream}", await config(nc, stream) | settings)
    assert "error" not in answer, answer


async def remake(nc: Client, stream: str, **settings: Any) -> None:
    await ask(nc, f"STREAM.DELETE.{stream}")
    answer = await ask(nc, f"STREAM.CREATE.{stream}", {"name": stream, **streams()[stream], **settings})
    assert "error" not in answer, answer


async def test_what_is_missing_is_made(empty_nats: Client) -> None:
    made = await provision(empty_nats)

    assert [str(each) for each in made] == [
        "stream ATTORN is new",
        "stream ATTORN_FEED is new",
        "stream ATTORN_IN is new",
        "stream ATTORN_QUARANTINE is new",
    ]
    log = await config(empty_nats, "ATTORN")
    assert log["deny_delete"] and log["deny_purge"] and log["allow_direct"] and log["allow_atomic"]
    assert (log["storage"], log["retention"], log["discard"]) == ("file", "limits", "new")
    assert (log["max_msgs"], log["max_bytes"], log["max_age"], log["max_msgs_per_subject"]) == (-1, -1, 0, -1)
    assert (await config(empty_nats, "ATTORN_FEED"))["persist_mode"] == "async"
    assert (await config(empty_nats, "ATTORN_IN"))["retention"] == "workqueue"


async def test_what_a_deleted_stream_leaves_behind_is_waited_for(fresh_nats: Broker) -> None:
    place = fresh_nats.data / "nats" / "jetstream" / "$G" / "streams" / "ATTORN_FEED"

    def leave() -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")

    async with connected(fresh_nats.url) as (nc, _):
        leave()
        refused = await ask(nc, "STREAM.CREATE.ATTORN_FEED", {"name": "ATTORN_FEED", **streams()["ATTORN_FEED"]})
        assert refused["error"]["err_code"] == NO_STORE, refused

        leave()
        assert "stream ATTORN_FEED is new" in [str(each) for each in await provision(nc)]
        assert not place.is_file()


async def test_a_second_time_changes_nothing(empty_nats: Client) -> None:
    await provision(empty_nats)
    before = await state(empty_nats)

    assert await provision(empty_nats) == []
    assert {name: info["config"] for name, info in (await state(empty_nats)).items()} == {
        name: info["config"] for name, info in before.items()
    }


async def test_a_dry_run_tells_and_changes_nothing(empty_nats: Client) -> None:
    assert len(await provision(empty_nats, dry_run=True)) == 4
    assert all("error" in info for info in (await state(empty_nats)).values())

    await provision(empty_nats)
    await change(empty_nats, "ATTORN", max_msgs=1)
    [difference] = await provision(empty_nats, dry_run=True)
    assert difference.verdict == "refused"


async def test_what_loses_nothing_is_mended_and_told(empty_nats: Client) -> None:
    await provision(empty_nats)
    await change(empty_nats, "ATTORN", allow_direct=False, duplicate_window=DAY // 24)
    await change(empty_nats, "ATTORN_FEED", max_age=DAY)

    assert [str(each) for each in await provision(empty_nats)] == [
        "stream ATTORN: allow_direct was off and is now on",
        "stream ATTORN: duplicate_window was 1:00:00 and is now 0:02:00",
        "stream ATTORN_FEED: max_age was 1 day, 0:00:00 and is now 90 days, 0:00:00",
    ]
    assert await provision(empty_nats) == []


async def test_what_an_operator_set_besides_stays(empty_nats: Client) -> None:
    await provision(empty_nats)
    await change(empty_nats, "ATTORN", description="the log of the refunds department", allow_direct=False)
    await provision(empty_nats)

    assert (await config(empty_nats, "ATTORN"))["description"] == "the log of the refunds department"


@pytest.mark.parametrize(
    ("stream", "settings", "sentence"),
    [
        ("ATTORN", {"max_msgs": 1}, "stream ATTORN: max_msgs is 1 and should be unlimited: it discards messages"),
        ("ATTORN", {"max_age": DAY}, "stream ATTORN: max_age is 1 day, 0:00:00 and should be unlimited"),
        ("ATTORN", {"max_msgs_per_subject": 5}, "stream ATTORN: max_msgs_per_subject is 5 and should be unlimited"),
        ("ATTORN_IN", {"max_bytes": 1000}, "stream ATTORN_IN: max_bytes is 1000 and should be unlimited"),
        ("ATTORN_FEED", {"max_age": 0}, "stream ATTORN_FEED: max_age is unlimited and should be 90 days"),
        ("ATTORN_FEED", {"max_age": 180 * DAY}, "stream ATTORN_FEED: max_age is 180 days"),
        ("ATTORN", {"subjects": ["attorn.ev.>", "other"]}, "subjects is attorn.ev.>, other and should be attorn.ev.>"),
    ],
)
async def test_a_setting_that_discards_or_lets_others_in_is_refused(
    empty_nats: Client, stream: str, settings: dict[str, Any], sentence: str
) -> None:
    await provision(empty_nats)
    await change(empty_nats, stream, **settings)

    with pytest.raises(ProvisionRefused) as refused:
        await provision(empty_nats)

    assert sentence in str(refused.value)
    assert (await config(empty_nats, stream)).items() >= settings.items()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"storage": "memory"}, "storage is memory and should be file"),
        ({"retention": "interest"}, "retention is interest and should be limits"),
        ({"deny_delete": False}, "deny_delete is off and should be on: messages could be removed"),
        ({"deny_purge": False}, "deny_purge is off and should be on"),
        ({"allow_msg_ttl": True}, "allow_msg_ttl is on and should be off: a publisher can have messages discarded"),
        ({"persist_mode": "async", "allow_atomic": False}, "persist_mode is async and should be default"),
    ],
)
async def test_a_log_of_another_make_is_refused(empty_nats: Client, settings: dict[str, Any], sentence: str) -> None:
    await remake(empty_nats, "ATTORN", **settings)

    with pytest.raises(ProvisionRefused) as refused:
        await provision(empty_nats)

    assert sentence in str(refused.value)
    # Nothing at all was done, so that the operator sees one state, not two.
    assert "error" in (await ask(empty_nats, "STREAM.INFO.ATTORN_FEED"))


async def test_a_log_whose_messages_were_removed_is_broken(empty_nats: Client, jetstream: JetStreamLedger) -> None:
    await jetstream.append("work/W-1", 0, entries("work/W-1", 1, 50))
    # With `discard: new` the limit would refuse new messages; with `old` the server erases, deny_delete or not.
    await change(empty_nats, "ATTORN", max_msgs=1, discard="old")
    await change(empty_nats, "ATTORN", max_msgs=-1, discard="new")

    with pytest.raises(ProvisionRefused, match="49 were removed from the log, which begins at position 50") as refused:
        await provision(empty_nats)
    assert [each.verdict for each in refused.value.differences] == ["broken"]


async def test_a_hole_in_the_log_is_found(empty_nats: Client, jetstream: JetStreamLedger) -> None:
    await remake(empty_nats, "ATTORN", deny_delete=False)
    await jetstream.append("work/W-1", 0, entries("work/W-1", 1, 5))
    await ask(empty_nats, "STREAM.MSG.DELETE.ATTORN", {"seq": 3})

    with pytest.raises(ProvisionRefused) as refused:
        await provision(empty_nats)
    assert [each.verdict for each in refused.value.differences] == ["refused", "broken"]
    assert "number of messages is 4 and should be 5" in str(refused.value)


async def test_more_replicas_than_there_are_servers_is_said_in_the_servers_words(empty_nats: Client) -> None:
    with pytest.raises(Unavailable, match="stream ATTORN: replicas > 1 not supported in non-clustered mode"):
        await provision(empty_nats, replicas=3)
