"""Which subject an event gets on the feed: what subscribers choose by.

Pure: the same log yields the same subjects, whoever asks and after however many restarts.
"""

import re
from functools import lru_cache
from typing import Final

import msgspec

from attorn.contracts import subjects
from attorn.contracts.envelope import Event, Unknown
from attorn.contracts.escalation import WorkEscalated
from attorn.contracts.ids import is_token
from attorn.contracts.work import WorkDefined

NOBODY_SAID: Final = "-"
"""Stands for the process of work under none, and for the severity of an escalation that nobody raised."""

_ESCALATED: Final = ("work", "escalated")
# The same few types over and over; bounded, since publishers may make up as many as they like.
_family_and_fact: Final = lru_cache(maxsize=1_024)(subjects.family_and_fact)
_SUBJECT: Final = re.compile(r"attorn(\.[A-Za-z0-9_-]{1,64}){5}")


class About(msgspec.Struct, frozen=True):
    """What an escalation's later events do not say themselves: of one work item, folded from its own stream."""

    process: str | None = None
    """None until the work is defined, then `-` when it is under no process."""
    severities: dict[str, str] = {}


class _Said(msgspec.Struct, frozen=True):
    """What can be told of an escalation of a version that we do not know."""

    escalation_id: str = ""
    severity: str = NOBODY_SAID


def evolve(about: About, event: Event) -> About:
    """What is known of the work item after `event`; as in its rules, what is said first stands."""
    match event.data:
        case WorkDefined(process=process) if about.process is None:
            return msgspec.structs.replace(about, process=process.id if process is not None else NOBODY_SAID)
        case WorkEscalated(escalation_id=id, severity=severity) if id not in about.severities:
            return msgspec.structs.replace(about, severities={**about.severities, id: severity})
        case _:
            return about


def is_escalation(event: Event) -> bool:
    """Whether the event belongs under `attorn.escalation.>`, and so needs About for its subject."""
    family, fact = _family_and_fact(event.type)
    return (family == "escalation" or (family, fact) == _ESCALATED) and event.subject.startswith("work/")


def subject(event: Event, about: About) -> str:
    """Where subscribers find the event; `about` is what was known of its work item just before it.

    `attorn.escalation.<severity>.<process>.<work>.<fact>` for what happens to an escalation, with `-` for what nobody
    has said; `attorn.feed.<family>.<fact>.<kind>.<id>` for everything else.
    """
    if is_escalation(event):
        _, fact = _family_and_fact(event.type)
        _, _, work = event.subject.partition("/")
        severity = _severity(event, about)
        found = subjects.escalation(severity, about.process or NOBODY_SAID, work, fact)
    else:
        found = subjects.feed(event.type, event.subject)
    # Only what a reader could not make out at all fails this; on the wire, a space in a subject would be a command.
    return found if _SUBJECT.fullmatch(found) else subjects.feed("", f"other/{NOBODY_SAID}")


def _severity(event: Event, about: About) -> str:
    data = event.data
    if isinstance(data, WorkEscalated):
        return data.severity
    id = getattr(data, "escalation_id", "")
    if isinstance(data, Unknown):
        try:
            said = msgspec.json.decode(data.raw, type=_Said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return NOBODY_SAID
        if _family_and_fact(data.type) == _ESCALATED:
            return said.severity if is_token(said.severity) else NOBODY_SAID
        id = said.escalation_id
    return about.severities.get(id, NOBODY_SAID)
