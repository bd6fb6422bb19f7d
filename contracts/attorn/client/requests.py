"""One request and its reply, within a deadline: asked again where that is safe, and never left in the dark."""

import asyncio
from typing import Any, Final, TypeVar

import msgspec
from nats import errors
from nats.aio.client import Client

from attorn.contracts.refusal import Breach, Problem, Receipt, Refused, Unavailable, Unreadable

ANSWER_S: Final = 2.0
"""How long one try waits; what is repeatable is then tried again, as long as there is time."""

PAUSE_S: Final = 0.1
HEADERS_BYTES_MAX: Final = 1_024

T = TypeVar("T")


async def request(
    nc: Client, subject: str, body: bytes, timeout: float, headers: dict[str, str] | None = None
) -> bytes:
    """The bytes of the reply. It is asked for again until `timeout` seconds are up, so asking twice must do no harm.

    Raises Unavailable: `no` where nobody has taken it, `unknown` where somebody may have. Raises Unreadable for more
    bytes than the broker takes.
    """
    if len(body) + HEADERS_BYTES_MAX > nc.max_payload:
        # The server would close the connection for good, and with it all that others wait for on it.
        most = nc.max_payload - HEADERS_BYTES_MAX
        raise Unreadable(f"the message has {len(body):,} bytes, and the broker takes {most:,}; send less at once")
    clock = asyncio.get_running_loop().time
    until, reason, in_doubt = clock() + timeout, "there was no time to ask", False
    while (left := until - clock()) > 0:
        try:
            return (await nc.request(subject, body, min(left, max(ANSWER_S, timeout / 4)), headers=headers)).data
        except errors.NoRespondersError:
            reason = f"nobody answers on {subject}"
        except (TimeoutError, errors.TimeoutError):
            in_doubt, reason = True, f"no answer on {subject} within {timeout:g} s"
        except (errors.Error, OSError) as broken:
            in_doubt, reason = True, f"the connection broke: {str(broken) or type(broken).__name__}"
        if nc.is_closed:
            break
        await asyncio.sleep(max(0.0, min(PAUSE_S, until - clock())))
    raise Unavailable(reason, "unknown" if in_doubt else "no")


def decoded(reply: bytes, shape: type[T] | Any) -> T:
    """`reply` as `shape`. Raises Unavailable for what is none: then it is not attorn that answers."""
    try:
        found: T = msgspec.json.decode(reply, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(f"an answer that is none of attorn's: {error}", "unknown") from error
    return found


def receipt(reply: Receipt | Problem) -> Receipt:
    """`reply` where it is a receipt; raises `error(reply)` where it is a problem."""
    if isinstance(reply, Problem):
        raise error(reply)
    return reply


def error(problem: Problem) -> Exception:
    """The problem as the error that it was on the other side: Refused, Unreadable, or Unavailable."""
    match problem:
        case Problem(rules=[_, *_]):
            return Refused(*problem.rules)
        case Problem(status=400):
            return Unreadable(problem.detail.removeprefix(f"{problem.field}: "), problem.field)
        case Problem(status=404 | 422):
            return Refused(Breach(rule=problem.title, detail=problem.detail, field=problem.field))
        case Problem(status=409 | 503):
            # Others were faster time and again, or the log was away: asking again is all that there is to do.
            return Unavailable(problem.detail, "no")
        case _:
            return Unavailable(problem.detail, "unknown")
