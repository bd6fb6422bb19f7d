"""Where each message goes on NATS: every subject and stream name is built and taken apart here, and nowhere else.

A subject is made of identifiers, each one literal token, so that no name can widen a subscription or slip
outside a stream (JetStream accepts a guard on a subject that it does not hold).
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from attorn.contracts.ids import is_token
from attorn.contracts.refusal import Unreadable

LOG = "ATTORN"
FEED = "ATTORN_FEED"
INBOX = "ATTORN_IN"
QUARANTINE = "ATTORN_QUARANTINE"

KINDS = ("participant", "process", "policy", "outcome", "source", "work", "claim", "ledger")
"""The kinds of streams of events; closed, since each is a unit of consistency with rules of its own."""

_KIND_BY_FAMILY: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("participant", "team", "role", "absence", "agent", "liveness", "attestation"), "participant"),
        **dict.fromkeys(("process", "service_review"), "process"),
        "policy": "policy",
        **dict.fromkeys(("outcome", "baseline"), "outcome"),
        "source": "source",
        "claim": "claim",
        **dict.fromkeys(("ledger", "export"), "ledger"),
    }
)


class StreamId(NamedTuple):
    """One stream of events: `work/W-1042` in the envelope, `attorn.ev.work.W-1042` on the log."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


def token(text: str, field: str) -> str:
    """`text` itself; raises Unreadable, naming `field`, when it could not stand in a subject."""
    if not is_token(text):
        raise Unreadable(f"{text[:80]!r} is not an identifier: use 1 to 64 letters, digits, '-' or '_'", field)
    return text


def stream(text: str, field: str = "subject") -> StreamId:
    """`work/W-1042` taken apart. Raises Unreadable when it names no stream."""
    kind, slash, id = text.partition("/")
    if not slash or kind not in KINDS:
        raise Unreadable(f"{text[:80]!r} is not <kind>/<id> with kind one of {', '.join(KINDS)}", field)
    return StreamId(kind, token(id, field))


def named(kind: str, name: str) -> str:
    """The stream of `kind` that is about `name`: an identifier; or a resource key, which may be any text.

    What is no identifier stands under the base32 of its SHA-256, 52 letters and digits. Without a kind, `name` is the
    stream's whole name.
    """
    # A key that looks like such a digest has one of its own, so that nobody claims in the stream of another key.
    plain = kind != "claim" or _DIGEST.fullmatch(name) is None
    return f"{kind}/{_token_of(name, plain=plain)}" if kind else str(stream(name))


def _token_of(name: str, *, plain: bool = True) -> str:
    return name if plain and is_token(name) else _digest_of(name)


_DIGEST: Final = re.compile(r"[A-Z2-7]{52}")


def _digest_of(name: str) -> str:
    return base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().rstrip("=")


def event(stream: str) -> str:
    """Where the events of `stream` ("work/W-1042") are on the log."""
    kind, _, id = stream.partition("/")
    assert kind in KINDS and is_token(id), stream
    return f"attorn.ev.{kind}.{id}"


def events(kind: str = "") -> str:
    """Where the events of one kind are, or all of them."""
    assert not kind or kind in KINDS, kind
    return f"attorn.ev.{kind}.>" if kind else "attorn.ev.>"


def event_stream(subject: str) -> str:
    """`work/W-1042` of `attorn.ev.work.W-1042`."""
    return subject[len("attorn.ev.") :].replace(".", "/", 1)


def command(participant: str, verb: str) -> str:
    return f"attorn.cmd.{token(participant, 'participant')}.{verb}"


def commands(verb: str) -> str:
    """Where a service hears one verb from everybody."""
    return f"attorn.cmd.*.{verb}"


def actor(subject: str) -> str:
    """Who sent a command, a fact or a heartbeat: the broker let nobody else publish there."""
    return subject.split(".", 3)[2]


def fact(source: str) -> str:
    return f"attorn.fact.{token(source, 'source')}"


def inbox(source: str) -> str:
    return f"attorn.in.{token(source, 'source')}"


def quarantine(source: str) -> str:
    return f"attorn.quarantine.{token(source, 'source')}"


def taken(number: int | str) -> str:
    """Where it is marked, in quarantine, what took the place of its message `number`; `*` for all of them."""
    return f"attorn.quarantine.taken.{number}"


def resubmit(who: str, number: int) -> str:
    """Where somebody sends message `number` of quarantine again, in the name of its source."""
    return f"attorn.resubmit.{token(who, 'participant')}.{number}"


def feed(type: str, stream: str) -> str:
    """Where subscribers find an event by its type: `attorn.feed.<family>.<fact>.<kind>.<id>`."""
    family, fact = family_and_fact(type)
    kind, _, id = stream.partition("/")
    return f"attorn.feed.{family}.{fact}.{kind}.{id}"


def escalation(severity: str, process: str, work: str, fact: str) -> str:
    """Where subscribers find an escalation; `process` is `-` for work under no process."""
    return f"attorn.escalation.{severity}.{process or '-'}.{work}.{fact}"


def family_and_fact(type: str) -> tuple[str, str]:
    """`("work", "delegated")` of `attorn.work.delegated.v1`; what is not ours is `("other", …)` in one token."""
    parts = type.split(".")
    if len(parts) == 4 and parts[0] == "attorn" and is_token(parts[1]) and is_token(parts[2]):
        return parts[1], parts[2]
    return "other", "".join(c if is_token(c) else "_" for c in type)[:64] or "_"


def kind(type: str) -> str:
    """The kind of stream in which events of `type` belong: `work` of `attorn.work.defined.v1`."""
    return _KIND_BY_FAMILY.get(family_and_fact(type)[0], "work")


def query(view: str) -> str:
    return f"attorn.q.{view}"


def view(view: str, key: str = "") -> str:
    """Where changes of a view's rows are told: of one, `attorn.view.<view>.<key>`; without a key, of too many to name.

    A key that is no identifier stands under the base32 of its SHA-256, as in `named`; the body has it in full.
    """
    return f"attorn.view.{view}.{_token_of(key)}" if key else f"attorn.view.{view}"
