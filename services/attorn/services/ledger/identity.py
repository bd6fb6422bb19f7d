"""What a ledger tells entries by: their place in their stream, and the id under which it knows a fact again."""

from collections.abc import Sequence
from hashlib import blake2b

from attorn.contracts.envelope import Event
from attorn.contracts.ledger import BATCH_MAX, Append
from attorn.contracts.refusal import Breach, Refused


def require_appendable(appends: Sequence[Append]) -> None:
    """AssertionError when an author of ours broke the port's contract; better here than on the log for ever."""
    count = 0
    for append in appends:
        stream, version = append.stream, append.expected
        for entry in append.entries:
            event, version = entry.event, version + 1
            assert event.subject == stream, f"an event of {event.subject} is not for {stream}"
            assert event.version == version, f"{stream}: version {event.version} is not {version}"
        assert version > append.expected, "an append records at least one entry"
        count += len(append.entries)
    assert 0 < count <= BATCH_MAX, f"at least one entry in one append, at most {BATCH_MAX}"
    if len(appends) > 1:
        assert len({append.stream for append in appends}) == len(appends), "at most one Append a stream"


def fact_id(event: Event) -> str | None:
    """The id under which the log knows an event again: principal, source and id in 32 hexadecimal digits.

    The authenticated principal is part of it, so that nobody can use up another's ids. None where there is none.
    """
    if event.authid is None:
        return None
    text = "\0".join((event.authid, event.source, event.id))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def require_distinct(appends: Sequence[Append]) -> None:
    """Raises Refused when two facts of one append claim the same id."""
    if len(appends) == 1 and len(appends[0].entries) == 1:
        return
    seen: dict[str, Event] = {}
    for append in appends:
        for entry in append.entries:
            event = entry.event
            id = fact_id(event)
            if id is None:
                continue
            if id in seen:
                raise Refused(used_before(event, f"for {seen[id].subject} in the same append"))
            seen[id] = event


def used_before(event: Event, where: str) -> Breach:
    """The breach of a fact whose id is taken, with the words for where."""
    return Breach(rule="conflict", detail=f"{event.source} used the id {event.id!r} before, {where}", field="id")
