"""What may be sent again out of quarantine, by whom, and what may take its place: pure.

Who sends it again speaks in the name of a source. So they are somebody whom the log knows, and what they send is the
fact that was kept, mended: what its source had said legibly stands. It is taken again once.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from attorn.contracts import door, subjects
from attorn.contracts.envelope import Event
from attorn.contracts.messages import EVENT_BY_TYPE
from attorn.contracts.refusal import Breach, Refused, Unreadable
from attorn.projections.directory import KINDS, Directory

NOBODY: Final = "_"
"""Whose quarantine it is when a subject names no source."""


class Kept(NamedTuple):
    """A message in quarantine; of one that `is_cut` its end was left off."""

    number: int
    source: str
    body: bytes
    is_cut: bool

    @property
    def is_batch(self) -> bool:
        return self.body.lstrip()[:1] == b"["


def check_sender(who: str, directory: Directory) -> None:
    """Raises Refused when `who` is not here, or is suspended."""
    if not directory.is_here(who):
        state = "has left" if directory.kind(who) is not None else "is not registered"
        detail = f"{who} {state}; who sends again what another sent is registered, and is here"
        raise Refused(Breach(rule="unregistered-actor", detail=detail))
    if directory.is_suspended(who):
        detail = f"{who} is suspended, and does nothing until somebody else resumes them"
        raise Refused(Breach(rule="actor-suspended", detail=detail))


def facts(kept: Kept, body: bytes, bodies: Sequence[bytes] | None) -> list[Event]:
    """The facts of `body`, which takes the place of `kept`; `bodies` are those of a batch, None for a single fact.

    Raises Unreadable unless every one can be read: of what is taken again once, nothing may be left behind.
    """
    if bodies is None:
        return [door.fact(body)]
    if not kept.is_batch:
        raise Unreadable(f"message {kept.number} is one fact and no batch; send one in its place")
    return [_located(index, each) for index, each in enumerate(bodies)]


def check_mended(kept: Kept, events: Sequence[Event], who: str, at: datetime, directory: Directory) -> None:
    """Raises Unreadable when one of `events` is not a fact that was kept, Refused when it is not for `who` to mend.

    What a system says of people, processes, policies and sources decides who may do what, so only who might say it
    themselves says what it should have been: the custodian of the ledger, and admins. As it was anybody may send it.
    """
    was = [_legible(each) for each in _read(kept.body)]
    if was and len(events) > len(was):
        raise Unreadable(f"message {kept.number} has {len(was):,} facts, and no more come in their place")
    for index, event in enumerate(events):
        field = f"[{index}]." if len(events) > 1 else ""
        differing = [_differing(each, event) for each in was]
        if differing and all(differing):
            # Of a batch, the fact that it comes closest to.
            name, said = min(differing, key=len)[0]
            detail = (
                f"was {said[:80]!r} in message {kept.number}, and stays so: what takes its place is that fact, mended"
            )
            raise Unreadable(detail, f"{field}{name}")
        if event.subject.partition("/")[0] in KINDS and not _has_the_say(who, at, directory):
            ask = f"ask {directory.root_custodian()}, the custodian of the ledger, or an admin"
            detail = (
                f"{who} does not say what {kept.source} meant to say of {event.subject}; send it as it was, or {ask}"
            )
            raise Refused(Breach(rule="source-authority", detail=detail, field=f"{field}subject"))


def _located(index: int, body: bytes) -> Event:
    try:
        return door.fact(body)
    except Unreadable as wrong:
        place = f"[{index}].{wrong.field}" if wrong.field else f"[{index}]"
        raise Unreadable(
            f"{wrong.reason}; nothing of a batch is taken again until all of it can be read", place
        ) from None


def _has_the_say(who: str, at: datetime, directory: Directory) -> bool:
    custodian = directory.root_custodian()
    if custodian is None or who in (custodian, directory.successor(custodian)):
        return True
    return any(directory.has_role(who, role, "", at) for role in ("custodian", "admin"))


def _read(body: bytes) -> list[tuple[Any, ...]]:
    """The facts in what was kept, each as its pairs of names and values; none where it is no JSON.

    More is read here than at the door, which refuses all that two readers might read differently.
    """
    try:
        found = json.loads(body.decode("utf-8", "replace"), object_pairs_hook=tuple, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return []
    return [each if isinstance(each, tuple) else () for each in (found if isinstance(found, list) else [found])]


def _legible(pairs: Sequence[Any]) -> Mapping[str, str]:
    """Who said what of which stream, under which id: as much of it as its source had said once, and in order."""
    found: dict[str, list[Any]] = {name: [] for name in ("source", "id", "type", "subject")}
    for name, value in pairs:
        if name in found:
            found[name].append(value)
    return {name: said[0] for name, said in found.items() if len(said) == 1 and _is_in_order(name, said[0])}


def _is_in_order(name: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    match name:
        case "type":
            # An event of an older type is read as the newest.
            return value in EVENT_BY_TYPE
        case "subject":
            try:
                subjects.stream(value)
            except Unreadable:
                return False
            return True
        case _:
            return 1 <= len(value) <= 512


def _differing(was: Mapping[str, str], event: Event) -> list[tuple[str, str]]:
    """The attributes that `event` has otherwise, with what they were."""
    return [(name, said) for name, said in was.items() if getattr(event, name) != said]
