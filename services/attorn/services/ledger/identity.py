"""What a ledger tells entries by: their place in their stream, and the id under which it knows a fact again."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from attorn.contracts.envelope import Event
from attorn.contracts.ledger import BATCH_MAX, Append
from attorn.contracts.refusal import Breach, Refused


def require_appendable(appends: Sequence[Append]) -> None:
    """AssertionError when an author of ours broke the port's contract; better here than on the log for ever."""
    assert appends and all(append.entries for append in appends), "an append records at least one entry"
    assert sum(len(append.entries) for append in appends) <= BATCH_MAX, f"at most {BATCH_MAX} entries in one append"
    assert len({append.stream for append in appends}) == len(appends), "at most one Append a stream"
    for append in appends:
        for version, entry in enumerate(append.entries, append.expected + 1):
            assert entry.event.subject == append.stream, f"an event of {entry.event.subject} is not for {append.stream}"
            assert entry.event.version == version, f"{append.stream}: version {entry.event.version} is not {version}"


def fact_id(event: Event) -> str | None:
    """The id under which the log knows an event again: principal, source and id in 32 hexadecimal digits.

    The authenticated principal is part of it, so that nobody can use up another's ids. None where there is none.
    """
    if event.authid is None:
        return None
    text = "\0".join((event.authid, event.source, event.id))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def require_distinct(events: Iterable[Event]) -> None:
    """Raises Refused when two facts of one append claim the same id."""
    seen: dict[str, Event] = {}
    for event in events:
        id = fact_id(event)
        if id is None:
            continue
        if id in seen:
            raise Refused(used_before(event, f"for {seen[id].subject} in the same append"))
        seen[id] = event


def used_before(event: Event, where: str) -> Breach:
    """The breach of a fact whose id is taken, with the words for where."""
    return Breach(rule="conflict", detail=f"{event.source} used the id {event.id!r} before, {where}", field="id")
