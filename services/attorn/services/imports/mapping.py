"""A mapping says what the events of an XES log mean as facts; it is data, a TOML file, and this is its shape.

    mapping = load("bpic2013-incidents")        # one that attorn brings along
    mapping = load("mine.toml")                 # a file

    source = "tickets"                          # who reports the facts; facts come in on attorn.fact.tickets

    [resource]
    attribute = "org:resource"

    [[rules]]                                   # the first rule that fits an event says what it means
    when = { "lifecycle:transition" = "start" }
    means = "started"

A log that says something for which there is no rule is refused before anything is recorded, unless `otherwise` says
what such an event means.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from attorn.contracts.ids import Id, Name, ParticipantId

Meaning: TypeAlias = Literal[
    "readied",
    "assigned",
    "started",
    "resumed",
    "progressed",
    "step_completed",
    "waits",
    "suspended",
    "released",
    "submitted",
    "completed",
    "failed",
    "cancelled",
    "note",
]
"""What an event of a log can mean, in the words of the facts: `waits` is execution.input_required, `released` is
claim.released. `step_completed`: one activity of the case is done, which says nothing of the case itself."""

SUFFIX: Final = ".toml"


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a case becomes a work item. `attribute` of the trace is its name, and `id` what its identifier is made of.

    `{case}` is the name, `{source}` the source; with it, two logs that count their cases alike stay apart.
    `ends_with_last_step`: a case whose last event completes a step is completed; derived, for the log does not say it.
    """

    attribute: str = "concept:name"
    id: Annotated[str, Meta(pattern=r"\{case\}")] = "{case}"
    ends_with_last_step: bool = False


class Time(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with an event that has no time: refuse the log, or go on counting milliseconds from the one before."""

    missing: Literal["refuse", "logical"] = "refuse"


class Resource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which attribute of an event says who acted, and which for what team.

    `keyed_by_team`: the same name in two teams is two participants. `handover`: what is recorded as one; a `change` of
    the name from one event to the next, a `start` by somebody else than who had it, or nothing at all.
    """

    attribute: str = "org:resource"
    team: str | None = None
    keyed_by_team: bool = False
    handover: Literal["change", "start", "never"] = "start"


class Party(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody whom work can wait for, and who does not act in the log."""

    name: Name
    kind: Literal["team", "system"] = "team"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event whose attributes have these values, in upper or lower case, means this; "" is an absent attribute.

    `party` is who is waited for.
    """

    when: Annotated[dict[str, str], Meta(min_length=1)]
    means: Meaning
    party: ParticipantId | None = None


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of it. `label` are the attributes that an event is called by in notes and reasons.

    `systems` are the resources that are no persons, with the participants that they become. `lines` are the support
    lines by the last word of a team's name; a team without one is the first line.
    """

    rules: Annotated[tuple[Rule, ...], Meta(min_length=1)]
    source: Id | None = None
    label: Annotated[tuple[str, ...], Meta(min_length=1)] = ("concept:name", "lifecycle:transition")
    otherwise: Meaning | None = None
    item: Item = Item()
    time: Time = Time()
    resource: Resource = Resource()
    systems: dict[str, ParticipantId] = {}
    parties: dict[str, Party] = {}
    lines: dict[str, Annotated[int, Meta(ge=2, le=100)]] = {}


class BadMapping(Exception):
    """The mapping cannot be used; `place` is the key in it that is wrong."""

    def __init__(self, name: str, place: str | None, reason: str, hint: str) -> None:
        super().__init__(name, place, reason, hint)
        self.name, self.place, self.reason, self.hint = name, place, reason, hint

    def __str__(self) -> str:
        return f"mapping {self.name}{f', {self.place}' if self.place else ''}: {self.reason}; {self.hint}."


def shipped() -> list[str]:
    """The names of the mappings that attorn brings along."""
    return sorted(entry.name.removesuffix(SUFFIX) for entry in _shipped().iterdir() if entry.name.endswith(SUFFIX))


def load(name: str) -> Mapping:
    """The mapping that attorn brings along under `name`, or that is in the file `name`. Raises BadMapping."""
    if name in shipped():
        return parse((_shipped() / f"{name}{SUFFIX}").read_bytes(), name)
    path = Path(name)
    if not path.is_file():
        raise BadMapping(name, None, "there is no such file", f"name a TOML file, or one of {', '.join(shipped())}")
    try:
        return parse(path.read_bytes(), name)
    except OSError as error:
        raise BadMapping(name, None, f"cannot be read ({error.strerror})", "check its permissions") from error


def parse(text: bytes, name: str) -> Mapping:
    """The mapping in `text`. Raises BadMapping, naming the key."""
    try:
        mapping = msgspec.toml.decode(text, type=Mapping)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        place = place.rstrip("`").replace("[...]", "")
        raise BadMapping(
            name, place or None, reason, "the mappings that attorn brings along show what there is"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMapping(name, None, f"not TOML ({error})", "mend that place") from error
    for number, rule in enumerate(mapping.rules):
        place = f"rules[{number}].party"
        if rule.means == "waits" and rule.party is None:
            raise BadMapping(name, place, "is required where work waits", "say for whom it waits")
        if rule.means != "waits" and rule.party is not None:
            raise BadMapping(name, place, f"has no place where an event means {rule.means!r}", "leave it out")
        if rule.party is not None and rule.party not in mapping.parties:
            raise BadMapping(name, place, f"{rule.party!r} is not one of the parties", f"add [parties.{rule.party}]")
    if mapping.otherwise == "waits":
        raise BadMapping(name, "otherwise", "cannot be 'waits', which needs a party", "write a rule for it")
    for party in mapping.parties:
        if not _is_participant(party):
            raise BadMapping(name, f"parties.{party}", "is no identifier", "use 1 to 64 letters, digits, '-' or '_'")
    return mapping


def _is_participant(text: str) -> bool:
    try:
        msgspec.convert(text, ParticipantId)
    except msgspec.ValidationError:
        return False
    return True


def _shipped() -> Traversable:
    return resources.files("attorn.services.imports") / "mappings"
