"""Any message there is, made from its own declaration: every field from a pool so small that messages meet each other.

A field that may be absent is absent more often than not, so that what a failing run shrinks to can be read.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from attorn.contracts import ids, subjects
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

_TIMES: Final = st.sampled_from((-3_600, 20, 60, 600, 7_200, 864_000)).map(lambda s: BEGIN + timedelta(seconds=s))
_NAMED: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "execution_id": st.sampled_from(("E-1", "E-2", "E-3")),
    "delegation_id": st.sampled_from(("D-1", "D-2", "D-3")),
    "output_id": st.sampled_from(("O-1", "O-2")),
    "supersedes": st.sampled_from(("O-1", "O-2")),
    "review_id": st.sampled_from(("R-1", "E-1-R1", "E-2-R1")),
    "escalation_id": st.sampled_from(("X-1", "X-2")),
    "claim_id": st.sampled_from(("C-1", "C-2", "C-3")),
    "handover_id": st.sampled_from(("H-1", "H-2")),
    "process_id": st.sampled_from(PROCESSES),
    "process": st.sampled_from(PROCESSES),
    "review_policy": st.just("check"),
    "escalation_policy": st.just("help"),
    "policy_id": st.sampled_from(POLICIES),
    "criterion_id": st.sampled_from(("q-1", "D-1")),
    "id": st.sampled_from(("q-1", "q-2")),
}
_LIKE: Final[Mapping[Any, st.SearchStrategy[Any]]] = {
    ids.ParticipantId: st.sampled_from(EVERYBODY),
    ids.ParticipantOrRole: st.sampled_from((*EVERYBODY, "reviewer", "admin")),
    ids.WorkId: st.sampled_from(WORKS),
    ids.ResourceKey: st.sampled_from((*KEYS, "orders/*")),
    ids.Name: st.sampled_from(("refund", "delete", "O-1")),
    ids.Text: st.sampled_from(("because", "refund", "")),
    ids.Uri: st.sampled_from(("orders/2", "process/refunds", "participant/bot")),
    ids.Cel: st.sampled_from(CONDITIONS),
    ids.Timestamp: _TIMES,
    ids.Digest: st.sampled_from(DIGESTS),
    ids.Decimal: st.sampled_from(("1", "500")),
    ids.Count: st.integers(0, 3),
    ids.Version: st.integers(1, 2),
    ids.Ratio: st.sampled_from((0.0, 0.5, 1.0)),
    RoleScope: st.sampled_from(("", "process/refunds")),
}
_SAID: Final[Mapping[tuple[type, str], st.SearchStrategy[Any]]] = {
    # An id of this name is a work item's, where it is not a delegation's.
    (ClaimAcquired, "key"): st.sampled_from(KEYS),
    (ReviewRequested, "required"): st.integers(1, 2),
    (AcceptanceCriterion, "check"): st.just("human"),
    (Rung, "rung"): st.integers(1, 2),
    (ParticipantRegistered, "participant_id"): st.just("zoe"),
}
_CHANGES: Final = st.sampled_from(
    ({"title": "Another"}, {"priority": "high"}, {"accountable": "ben"}, {"review_policy": None}, {"due_at": None})
)
_FINDINGS: Final = st.builds(
    lambda rule, position: f"{rule}@{position}",
    st.sampled_from(("hidden-work", "self-review", "undelegated-execution")),
    st.integers(10, 40),
)


@cache
def message(shape: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any message of this shape."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in msgspec.structs.fields(shape):
        found = _SAID.get((shape, field.name))
        found = _value(field.name, field.type) if found is None else found
        (required if field.required else optional)[field.name] = found
    names = st.lists(st.sampled_from(sorted(optional)), max_size=4, unique=True) if optional else st.just([])

    @st.composite
    def made(draw: st.DrawFn) -> Any:
        said = {name: draw(value) for name, value in required.items()}
        return shape(**said, **{name: draw(optional[name]) for name in draw(names)})

    return made()


commands: Final[st.SearchStrategy[Command]] = st.sampled_from(COMMANDS).flatmap(message)
facts: Final[st.SearchStrategy[Payload]] = st.sampled_from(EVENTS).flatmap(message)


@cache
def stream(payload: type) -> st.SearchStrategy[str]:
    """The streams in which an event of this class belongs; now and then another."""
    family = payload.__module__.rpartition(".")[2]
    match family:
        case "participant":
            own = [f"participant/{id}" for id in (*EVERYBODY, "crm")]
        case "process" | "service_review":
            own = [f"process/{id}" for id in PROCESSES]
        case "policy":
            own = [f"policy/{id}" for id in POLICIES]
        case "source":
            own = [f"source/{id}" for id in SYSTEMS]
        case "outcome":
            own = ["outcome/less-fraud"]
        case "checkpoint":
            own = ["ledger/main"]
        case "claim":
            own = [*(subjects.named("claim", key) for key in KEYS), *(f"work/{id}" for id in WORKS)]
        case _:
            own = [f"work/{id}" for id in WORKS]
    elsewhere = ["work/W-1", "participant/ben", "process/plain", "claim/order-1"]
    return st.sampled_from([each for each in own for _ in range(20)] + elsewhere)


def _value(name: str, hint: Any) -> st.SearchStrategy[Any]:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if len(options) > 1:
        return _value(name, next(option for option in options if option is not NoneType))
    if name == "parent_id":
        return st.sampled_from(WORKS if hint == ids.WorkId else ("D-1", "D-2"))
    if name in _NAMED and hint in (ids.Id, Annotated):
        return _NAMED[name]
    if hint in _LIKE:
        return _LIKE[hint]
    if get_origin(hint) is tuple:
        item, *_ = get_args(hint)
        return st.lists(_value(name, item), max_size=2).map(tuple)
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if name == "finding_id":
        return _FINDINGS
    if name == "stream":
        return st.sampled_from(("work/W-1", "participant/ana"))
    if name == "changes":
        of_events = Change in get_args(hint)
        return _CHANGES.map(lambda said: {key: Change(new=new) for key, new in said.items()} if of_events else said)
    return _plain(name, hint)


def _plain(name: str, hint: Any) -> st.SearchStrategy[Any]:
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return message(bare)
    if bare is bool:
        return st.booleans()
    if bare is int:
        return st.integers(1, 2)
    if bare is float:
        return st.sampled_from((0.0, 1.0))
    if bare is timedelta:
        return st.sampled_from((0, 30, 3_600)).map(lambda seconds: timedelta(seconds=seconds))
    if bare is str:
        return _NAMED.get(name, st.sampled_from(("a-1", "a-2", "EUR")))
    # What may be anything: an answer, a JSON Schema.
    return st.sampled_from(({}, {"type": "string"}))
