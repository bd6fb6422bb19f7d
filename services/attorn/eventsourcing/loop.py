"""One event loop in a thread of its own, and waiting for it: the library is synchronous, NATS is not."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from eventsourcing.persistence import IntegrityError, InternalError, OperationalError

from attorn.contracts.refusal import Conflict, Refused, Unavailable
from attorn.services.ledger.follow import LogDamaged
from attorn.services.ledger.wire import Silent, Undone

T = TypeVar("T")

_starting: Final = threading.Lock()
_loops: Final[dict[int, asyncio.AbstractEventLoop]] = {}


def begin(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Start it on the loop of this process."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop())


def result(begun: Future[T]) -> T:
    """Wait for it. Raises what the library expects: OperationalError, IntegrityError, InternalError."""
    try:
        return begun.result()
    except (Unavailable, Silent, Undone) as error:
        raise OperationalError(str(error)) from error
    except (Conflict, Refused) as error:
        raise IntegrityError(str(error)) from error
    except LogDamaged as error:
        raise InternalError(str(error)) from error
    except BaseException:
        # Nobody waits any longer, on Ctrl-C for one.
        begun.cancel()
        raise


def wait(coroutine: Coroutine[Any, Any, T]) -> T:
    return result(begin(coroutine))


def _loop() -> asyncio.AbstractEventLoop:
    # By process, since a thread does not survive a fork.
    with _starting:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="attorn-eventsourcing", daemon=True).start()
            _loops[os.getpid()] = loop
        return loop
