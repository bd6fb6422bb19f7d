"""What became of a publish: what the broker's answer means, and where entries stand when there was none."""

from collections.abc import Sequence
from typing import Final

import msgspec
from nats.aio.msg import Msg

from attorn.contracts.envelope import Entry, Recorded
from attorn.services.ledger.wire import Error, Silent, Undone

WRONG_LAST: Final = frozenset({10071, 10164})
"""The guard did not hold: somebody was faster, or it was our own earlier try. On replicated streams and inside of
batches it is the second code."""

IN_PROCESS: Final = 10158
APPLYING: Final = 10163
DUPLICATE_IN_BATCH: Final = 10201
TOO_MANY_BATCHES: Final = 10210
INCOMPLETE_BATCH: Final = 10176
"""Its first messages were lost with a connection."""

FULL: Final = frozenset({10023, 10047, 10077})
"""No room. A single message is refused cleanly; a batch during which the room runs out is stored in part, without an
answer (2.15.1), which is why a part of an append that stands alone at its place is completed, not a conflict."""

_COMMON: Final = FULL | {APPLYING, TOO_MANY_BATCHES, INCOMPLETE_BATCH}
"""What is no fault of any one message in a batch."""

_PASSING: Final = WRONG_LAST | {IN_PROCESS, APPLYING, TOO_MANY_BATCHES, INCOMPLETE_BATCH}


class Repeated(Exception):
    """The log knows the id of one of the entries. `position` is where, if the broker said."""

    def __init__(self, position: int | None) -> None:
        super().__init__("the log knows the id already")
        self.position = position


class _Acknowledgement(msgspec.Struct, frozen=True):
    seq: int = 0
    duplicate: bool = False
    error: Error | None = None


def acknowledged(msg: Msg) -> int:
    """The position that the broker gave to the last message. Raises Undone, Repeated, or Silent for what is none."""
    try:
        answer = msgspec.json.decode(msg.data, type=_Acknowledgement)
    except msgspec.DecodeError as error:
        raise Silent(f"an answer that nobody understands: {error}") from error
    if answer.error is not None:
        if answer.error.err_code == DUPLICATE_IN_BATCH:
            raise Repeated(None)
        may_pass = answer.error.err_code in _PASSING or answer.error.code in (429, 503)
        may_pass &= answer.error.err_code not in FULL
        code = answer.error.err_code
        raise Undone(f"the log refused: {answer.error.description}", is_final=not may_pass, code=code)
    if answer.duplicate:
        raise Repeated(answer.seq)
    return answer.seq


def concerns_one(refusal: Undone | Repeated) -> bool:
    """Whether one message of the batch may be the reason why all of it was refused, and the others would do."""
    return isinstance(refusal, Repeated) or (refusal.code != 0 and refusal.code not in _COMMON)


def is_begun(place: Sequence[Recorded], entries: Sequence[Entry]) -> bool:
    """Whether what stands there are the first of just these entries, byte for byte, or all of them."""
    return [recorded.body for recorded in place] == [entry.body for entry in entries[: len(place)]]
