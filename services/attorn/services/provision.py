"""The streams that attorn needs: made where they are missing, mended where that loses nothing.

Running it again changes nothing. What may be mended in place is mended and told. What would discard messages, or shows
that some may have been discarded, is told and left alone, and then nothing at all is changed.
"""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, Literal

import msgspec
from nats import errors
from nats.aio.client import Client

from attorn.contracts import subjects
from attorn.contracts.refusal import Unavailable

ANSWER_S: Final = 10.0
NOT_FOUND: Final = 10059

NO_STORE: Final = 10049
"""No store for a stream: it was deleted a moment ago, or there is a fault with the disk."""

GONE_S: Final = 2.0
"""How long a stream that was deleted may take until nothing is left of it."""


_SECOND: Final = 1_000_000_000
_UNLIMITED: Final[dict[str, Any]] = {
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "max_msgs_per_subject": -1,
}
_PLAIN: Final[dict[str, Any]] = {
    "retention": "limits",
    "storage": "file",
    "discard": "new",
    "persist_mode": "default",
    "allow_direct": True,
    "allow_atomic": False,
    "allow_msg_ttl": False,
    "allow_rollup_hdrs": False,
    "deny_delete": False,
    "deny_purge": False,
    "no_ack": False,
    "sealed": False,
    "mirror": None,
    "sources": None,
    "subject_transform": None,
    # The least that the server takes. Of two publishers that use the same id, the second one's message would be dropped
    # with a positive answer; who reads these streams tells a repetition by the message itself.
    "duplicate_window": _SECOND // 10,
    **_UNLIMITED,
}

_DURATIONS: Final = ("max_age", "duplicate_window")
_FIXED: Final = {
    "subjects": "it decides which messages come in",
    "retention": "it decides which messages are kept",
    "storage": "it cannot be changed without copying the messages",
    "persist_mode": "it decides when a message is on the disk, and cannot be changed",
    "no_ack": "nobody would know what was stored",
    "mirror": "messages come from elsewhere",
    "sources": "messages come from elsewhere",
    "subject_transform": "messages are stored under other subjects",
    "sealed": "nothing more can be stored, and that cannot be undone",
}
_DISCARDING: Final = {"allow_msg_ttl", "allow_rollup_hdrs"}
_GUARDS: Final = {"deny_delete", "deny_purge"}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a stream that is not as it should be, in words, and what becomes of it.

    `created` and `updated`: it was put right (with `dry_run`, it would be). `refused`: putting it right would lose
    messages, or hide that some are lost. `broken`: messages are missing from the log.
    """

    stream: str
    setting: str
    found: str
    wanted: str
    verdict: Literal["created", "updated", "refused", "broken"]
    reason: str = ""

    def __str__(self) -> str:
        if self.verdict == "created":
            return f"stream {self.stream} is new"
        if self.verdict == "updated":
            return f"stream {self.stream}: {self.setting} was {self.found} and is now {self.wanted}"
        return f"stream {self.stream}: {self.setting} is {self.found} and should be {self.wanted}: {self.reason}"


class ProvisionRefused(Exception):
    """Nothing was changed. `differences` has all that was found, also what could have been put right."""

    def __init__(self, differences: list[Difference]) -> None:
        super().__init__("; ".join(str(each) for each in differences if each.verdict in ("refused", "broken")))
        self.differences = differences


class _Error(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _State(msgspec.Struct, frozen=True):
    messages: int = 0
    first_seq: int = 0
    last_seq: int = 0


class _Answer(msgspec.Struct, frozen=True):
    config: dict[str, Any] = {}
    state: _State = _State()
    error: _Error | None = None


def streams(replicas: int = 1) -> dict[str, dict[str, Any]]:
    """How each stream should be, in the words of the JetStream API."""
    return {
        subjects.LOG: _PLAIN
        | {
            "subjects": [subjects.events()],
            "num_replicas": replicas,
            "allow_atomic": True,
            "deny_delete": True,
            "deny_purge": True,
            # How long the log itself refuses a fact's id that it holds in another stream.
            "duplicate_window": 120 * _SECOND,
        },
        subjects.FEED: _PLAIN
        | {
            "subjects": ["attorn.feed.>", "attorn.escalation.>"],
            "num_replicas": replicas,
            "discard": "old",
            "max_age": 90 * 24 * 3600 * _SECOND,
            # It can be made again from the log, so nobody waits for the disk. The server offers that to one replica.
            "persist_mode": "async" if replicas == 1 else "default",
        },
        subjects.INBOX: _PLAIN | {"subjects": ["attorn.in.>"], "num_replicas": replicas, "retention": "workqueue"},
        subjects.QUARANTINE: _PLAIN
        | {
            "subjects": ["attorn.quarantine.>"],
            "num_replicas": replicas,
            # The id is the digest of the message, so nothing else is dropped. What comes to intake again, because it
            # was killed before it acknowledged, is kept once.
            "duplicate_window": 120 * _SECOND,
        },
    }


async def provision(nc: Client, *, replicas: int = 1, dry_run: bool = False) -> list[Difference]:
    """Make every stream as it should be; return what was not.

    Raises ProvisionRefused when something must not be put right, Unavailable when JetStream does not answer. With
    `dry_run` nothing is changed and nothing refused, only told.
    """
    wanted = streams(replicas)
    found = {name: await _info(nc, name) for name in wanted}
    differences = [each for name in wanted for each in _differences(name, wanted[name], found[name])]
    if dry_run:
        return differences
    if any(each.verdict in ("refused", "broken") for each in differences):
        raise ProvisionRefused(differences)
    for name, settings in wanted.items():
        there = found[name]
        if there is None:
            await _ask(nc, f"STREAM.CREATE.{name}", {"name": name, **settings})
        elif any(each.stream == name for each in differences):
            # On top of what is there: settings that we have no opinion on stay an operator's.
            await _ask(nc, f"STREAM.UPDATE.{name}", there.config | {"name": name, **settings})
    return differences


def _differences(name: str, wanted: Mapping[str, Any], found: _Answer | None) -> Iterator[Difference]:
    if found is None:
        yield Difference(stream=name, setting="stream", found="missing", wanted="there", verdict="created")
        return
    for setting, should in wanted.items():
        default = "default" if setting == "persist_mode" else type(should)()
        value = found.config.get(setting, default)
        if sorted(value) != sorted(should) if setting == "subjects" else value != should:
            reason = _destructive(setting, value, should)
            if reason and name == subjects.FEED:
                reason += "; this stream may be deleted: it is made again from the log"
            yield Difference(
                stream=name,
                setting=setting,
                found=_words(setting, value),
                wanted=_words(setting, should),
                verdict="refused" if reason else "updated",
                reason=reason,
            )
    removed = found.state.last_seq - found.state.messages
    if name == subjects.LOG and removed:
        yield Difference(
            stream=name,
            setting="number of messages",
            found=str(found.state.messages),
            wanted=str(found.state.last_seq),
            verdict="broken",
            reason=f"{removed} were removed from the log, which begins at position {found.state.first_seq}",
        )


def _destructive(setting: str, found: Any, wanted: Any) -> str:
    """Why this difference must not simply be put right; empty when it may."""
    if setting in _FIXED:
        return _FIXED[setting]
    if setting in _UNLIMITED:
        if wanted == _UNLIMITED[setting]:
            return "it discards messages, and some may be gone"
        return "messages would be discarded" if found == _UNLIMITED[setting] or wanted < found else ""
    if setting in _DISCARDING and found:
        return "a publisher can have messages discarded"
    if setting in _GUARDS and not found:
        return "messages could be removed, and some may be gone"
    if setting == "num_replicas" and wanted < found:
        return "copies of the messages would be given up"
    return ""


def _words(setting: str, value: Any) -> str:
    if setting in _UNLIMITED and value == _UNLIMITED[setting]:
        return "unlimited"
    if setting in _DURATIONS:
        return str(timedelta(microseconds=value / 1_000))
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(value) if isinstance(value, list) else str(value)


async def _info(nc: Client, name: str) -> _Answer | None:
    answer = await _request(nc, f"STREAM.INFO.{name}", None)
    if answer.error is None:
        return answer
    if answer.error.err_code == NOT_FOUND:
        return None
    raise Unavailable(f"stream {name}: {answer.error.description}")


async def _ask(nc: Client, verb: str, config: Mapping[str, Any]) -> None:
    until = asyncio.get_running_loop().time() + GONE_S
    answer = await _request(nc, verb, config)
    while answer.error is not None and answer.error.err_code == NO_STORE and asyncio.get_running_loop().time() < until:
        # The server still clears away the files of the stream of that name that was there before. Asking again for what
        # was made changes nothing.
        await asyncio.sleep(GONE_S / 20)
        answer = await _request(nc, verb, config)
    if answer.error is not None:
        raise Unavailable(f"stream {config['name']}: {answer.error.description}")


async def _request(nc: Client, verb: str, body: Mapping[str, Any] | None) -> _Answer:
    payload = b"" if body is None else msgspec.json.encode(body)
    try:
        msg = await nc.request(f"$JS.API.{verb}", payload, timeout=ANSWER_S)
    except errors.NoRespondersError:
        raise Unavailable("JetStream is not enabled on this server") from None
    except (errors.Error, OSError) as error:
        raise Unavailable(f"JetStream did not answer: {error or type(error).__name__}") from error
    return msgspec.json.decode(msg.data, type=_Answer)
