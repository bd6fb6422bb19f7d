"""Any message there is, made from its own declaration: every field from a pool so small that messages meet each other.

A field that may be absent is absent more often than not, so that what a failing run shrinks to can be read.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from random import Random
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from attorn.contracts import ids, subjects
from attorn.contracts.checkpoint import LedgerPayloadErased
from attorn.contracts.claim import ClaimAcquired
from attorn.contracts.escalation import Rung
from attorn.contracts.messages import COMMANDS, EVENTS, Command, Payload
from attorn.contracts.participant import ParticipantRegistered, RoleScope
from attorn.contracts.review import ReviewRequested
from attorn.contracts.work import AcceptanceCriterion, Change
from story import BEGIN

PEOPLE: Final = ("ana", "ben", "carla", "root")
AGENTS: Final = ("bot", "scout")
SYSTEMS: Final = ("erp", "crm")
EVERYBODY: Final = (*PEOPLE, *AGENTS, "crew", "erp", "zoe")
"""zoe is nobody until somebody registers her; crm is a source that nobody knows."""

WORKS: Final = ("W-1", "W-2", "W-3")
KEYS: Final = ("order-1", "orders/2")
PROCESSES: Final = ("refunds", "plain")
POLICIES: Final = ("check", "help")
DIGESTS: Final = tuple("sha256:" + letter * 64 for letter in "ab")
CONDITIONS: Final = ('action.tool != "delete"', "work.cycle < 2", "result.confidence > 0.5", "not a condition (")

_TIMES: Final = tuple(BEGIN + timedelta(seconds=s) for s in (-3_600, 20, 60, 600, 7_200, 864_000))
_NAMED: Final[Mapping[str, Sequence[Any]]] = {
    "execution_id": ("E-1", "E-2", "E-3"),
    "delegation_id": ("D-1", "D-2", "D-3"),
    "output_id": ("O-1", "O-2"),
    "supersedes": ("O-1", "O-2"),
    "review_id": ("R-1", "E-1-R1", "E-2-R1"),
    "escalation_id": ("X-1", "X-2"),
    "claim_id": ("C-1", "C-2", "C-3"),
    "handover_id": ("H-1", "H-2"),
    "process_id": PROCESSES,
    "process": PROCESSES,
    "review_policy": ("check",),
    "escalation_policy": ("help",),
    "policy_id": POLICIES,
    "criterion_id": ("q-1", "D-1"),
    "id": ("q-1", "q-2"),
}
_LIKE: Final[Mapping[Any, Sequence[Any]]] = {
    ids.ParticipantId: EVERYBODY,
    ids.ParticipantOrRole: (*EVERYBODY, "reviewer", "admin"),
    ids.WorkId: WORKS,
    ids.ResourceKey: (*KEYS, "orders/*"),
    ids.Name: ("refund", "delete", "O-1"),
    ids.Text: ("because", "refund", ""),
    ids.Uri: ("orders/2", "process/refunds", "participant/bot"),
    ids.Cel: CONDITIONS,
    ids.Timestamp: _TIMES,
    ids.Digest: DIGESTS,
    ids.Decimal: ("1", "500"),
    ids.Count: range(4),
    ids.Version: (1, 2),
    ids.Ratio: (0.0, 0.5, 1.0),
    RoleScope: ("", "process/refunds"),
}
_SAID: Final[Mapping[tuple[type, str], Sequence[Any]]] = {
    (ClaimAcquired, "key"): KEYS,
    (ReviewRequested, "required"): (1, 2),
    (AcceptanceCriterion, "check"): ("human",),
    (Rung, "rung"): (1, 2),
    (ParticipantRegistered, "participant_id"): ("zoe",),
    (LedgerPayloadErased, "positions"): ((1,),),
    (ids.Money, "currency"): ("EUR",),
}
_CHANGES: Final = (
    {"title": "Another"},
    {"priority": "high"},
    {"accountable": "ben"},
    {"review_policy": None},
    {"due_at": None},
)
_FINDINGS: Final = tuple(
    f"{rule}@{at}" for rule in ("hidden-work", "self-review", "accountable-human") for at in (18, 24)
)
_OFTEN: Final = [event for event in EVENTS if event.__module__.rpartition(".")[2] in (
    "accountability", "claim", "delegation", "execution", "output", "review", "escalation", "work",
)]  # fmt: skip

_Make = Callable[[Random], Any]


def command(chance: Random) -> Command:
    """Any command."""
    made: Command = _message(chance.choice(COMMANDS))(chance)
    return made


def fact(chance: Random) -> tuple[Payload, str]:
    """Any fact, and the stream that it is reported in, where it belongs there or, now and then, not."""
    made: Payload = _message(chance.choice((*EVENTS, *_OFTEN, *_OFTEN)))(chance)
    elsewhere = ("work/W-1", "participant/ben", "process/plain", "claim/order-1")
    return made, chance.choice(elsewhere if chance.random() < 0.03 else _streams(type(made)))


@cache
def _streams(payload: type) -> Sequence[str]:
    match payload.__module__.rpartition(".")[2]:
        case "participant":
            return [f"participant/{id}" for id in (*EVERYBODY, "crm")]
        case "process" | "service_review":
            return [f"process/{id}" for id in PROCESSES]
        case "policy":
            return [f"policy/{id}" for id in POLICIES]
        case "source":
            return [f"source/{id}" for id in SYSTEMS]
        case "outcome":
            return ["outcome/less-fraud"]
        case "checkpoint":
            return ["ledger/main"]
        case "claim":
            return [*(subjects.named("claim", key) for key in KEYS), *(f"work/{id}" for id in WORKS)]
        case _:
            return [f"work/{id}" for id in (WORKS[0], *WORKS)]


@cache
def _message(shape: type[Any]) -> _Make:
    required: dict[str, _Make] = {}
    optional: dict[str, _Make] = {}
    for field in msgspec.structs.fields(shape):
        pool = _SAID.get((shape, field.name))
        found = _value(field.name, field.type) if pool is None else _one_of(pool)
        (required if field.required else optional)[field.name] = found

    def make(chance: Random) -> Any:
        often = chance.choice((0.1, 0.5))
        said = {name: of(chance) for name, of in required.items()}
        return shape(**said, **{name: of(chance) for name, of in optional.items() if chance.random() < often})

    return make


def _one_of(pool: Sequence[Any]) -> _Make:
    return lambda chance: chance.choice(pool)


def _value(name: str, hint: Any) -> _Make:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if len(options) > 1:
        return _value(name, next(option for option in options if option is not NoneType))
    if get_origin(hint) is tuple:
        one = _value(name, get_args(hint)[0])
        return lambda chance: tuple(one(chance) for _ in range(chance.randint(0, 2)))
    if name == "changes":
        return _changes if Change in get_args(hint) else _one_of(_CHANGES)
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return _message(bare)
    return _one_of(_pool(name, hint, bare))


def _changes(chance: Random) -> dict[str, Change]:
    return {name: Change(new=new) for name, new in chance.choice(_CHANGES).items()}


def _pool(name: str, hint: Any, bare: Any) -> Sequence[Any]:
    if name == "parent_id":
        return WORKS if hint == ids.WorkId else ("D-1", "D-2")
    if name in ("finding_id", "stream"):
        return _FINDINGS if name == "finding_id" else ("work/W-1", "participant/ana")
    if hint == ids.Id and name in _NAMED:
        return _NAMED[name]
    if hint in _LIKE:
        return _LIKE[hint]
    if get_origin(hint) is Literal:
        return get_args(hint)
    # The last are for what may be anything: an answer, a JSON Schema.
    plain: Mapping[Any, Sequence[Any]] = {
        bool: (True, False), int: (1, 2), float: (0.0, 1.0), str: _NAMED.get(name, ("a-1", "a-2")),
        timedelta: tuple(timedelta(seconds=seconds) for seconds in (0, 30, 3_600)),
    }  # fmt: skip
    return plain.get(bare, ({}, {"type": "string"}))
