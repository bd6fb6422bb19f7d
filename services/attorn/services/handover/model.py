"""Handover: the work is offered to another executor, with what they need, and passes when they accept.

Who answers for the work does not change by it, whoever hands over to whom.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.handover import (
    AcceptHandover,
    DeclineHandover,
    HandoverAccepted,
    HandoverDeclined,
    HandoverExpired,
    HandoverOffered,
    OfferHandover,
)
from attorn.contracts.refusal import Breach, Refused
from attorn.projections.directory import Directory
from attorn.services.participant.authority import check_given
from attorn.services.transact import Context
from attorn.services.work.state import Handover, HandoverStatus, Work
from attorn.services.work.tables import Changes, Checks

HandoverCommand: TypeAlias = OfferHandover | AcceptHandover | DeclineHandover


def decide(work: Work, command: HandoverCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    match command:
        case OfferHandover(to=to, handover_id=asked):
            id = asked or context.new_id
            offered = HandoverOffered(
                handover_id=id,
                to=to,
                from_=work.executor,
                context=command.context,
                open_questions=tuple(dict.fromkeys((*command.open_questions, *_unanswered(work)))),
                respond_by=command.respond_by,
            )
            known = work.handovers.get(id)
            return [] if known is not None and known.offered == offered and known.status == "open" else [offered]
        case AcceptHandover(handover_id=id):
            offered = _offered(work, id)
            accepted = HandoverAccepted(handover_id=id, to=offered.to, from_=work.executor, by=context.actor)
            return [] if work.handovers[id].status == "accepted" else [accepted]
        case DeclineHandover(handover_id=id, reason=reason):
            declined = HandoverDeclined(handover_id=id, by=context.actor, reason=reason)
            known = work.handovers.get(id)
            return [] if known is not None and known.status == "declined" else [declined]


def _offered(work: Work, id: str) -> HandoverOffered:
    known = work.handovers.get(id)
    if known is None:
        detail = f"there is no handover {id}; {', '.join(work.handovers) or 'none'} was offered"
        raise Refused(Breach(rule="handover-open", detail=detail, field="handover_id"))
    return known.offered


def _unanswered(work: Work) -> Iterator[str]:
    """What the executor has asked and was not told yet: whoever goes on needs to know that it is open."""
    for id in work.life.inputs:
        if id in work.questions:
            yield work.questions[id].asked.question


def _check_offer(work: Work, data: HandoverOffered, event: Event, directory: Directory) -> Iterator[Breach]:
    id, to = data.handover_id, data.to
    if not directory.is_here(to):
        detail = f"{to} is not registered or has left; offer it to somebody who is here"
        yield Breach(rule="unregistered-actor", detail=detail, field="data.to")
    yield from check_given(to, work.scope, "data.to", directory)
    if id in work.handovers:
        detail = f"handover {id} was offered before; use a new id"
        yield Breach(rule="handover-open", detail=detail, field="data.handover_id")
    actor = event.authid or ""
    if to == work.executor:
        yield Breach(rule="handover-open", detail=f"{to} carries {event.subject} out already", field="data.to")
    if event.authtype == "system" and actor != work.executor:
        return  # a system reports what people did
    if not _speaks_for(actor, work.executor, directory) and not work.has_authority(actor, directory, event.time):
        detail = f"{actor} does not carry {event.subject} out; {work.executor or 'nobody'} does"
        yield Breach(rule="handover-open", detail=detail)


def _check_acceptance(work: Work, data: HandoverAccepted, event: Event, directory: Directory) -> Iterator[Breach]:
    id, to = data.handover_id, data.to
    known = work.handovers.get(id)
    # What a system reports as handed over need not have been offered here; what was, is answered as it was.
    if known is not None or event.authtype != "system":
        yield from _check_open(work, event, id)
    if known is not None and known.offered.to != to:
        detail = f"{id} was offered to {known.offered.to}, not to {to}"
        yield Breach(rule="handover-open", detail=detail, field="data.to")
    elif known is not None and known.is_open(event.time) and known.offered.from_ != work.executor:
        detail = f"{id} was offered by {known.offered.from_}; {work.executor or 'nobody'} carries it out now"
        yield Breach(rule="handover-open", detail=detail, field="data.from")
    yield from _check_answer(known, data.by, directory)


def _check_refusal(work: Work, data: HandoverDeclined, event: Event, directory: Directory) -> Iterator[Breach]:
    yield from _check_open(work, event, data.handover_id)
    yield from _check_answer(work.handovers.get(data.handover_id), data.by, directory)


def _check_expiry(work: Work, data: HandoverExpired, event: Event, directory: Directory) -> Sequence[Breach]:
    # Its time is over: that is what the event says.
    status = _status(work, data.handover_id)
    if status == "open":
        return ()
    return (Breach(rule="handover-open", detail=f"handover {data.handover_id} is {status}, not open"),)


def _check_open(work: Work, event: Event, id: str) -> Iterator[Breach]:
    known = work.handovers.get(id)
    if known is None or not known.is_open(event.time):
        late = known is not None and known.status == "open"
        detail = f"handover {id} is {'past its time' if late else _status(work, id)}; offer it anew"
        yield Breach(rule="handover-open", detail=detail, field="data.handover_id")


def _check_answer(known: Handover | None, by: str | None, directory: Directory) -> Iterator[Breach]:
    if known is not None and by is not None and not _speaks_for(by, known.offered.to, directory):
        detail = f"{known.offered.handover_id} was offered to {known.offered.to}, and is not for {by} to answer"
        yield Breach(rule="handover-open", detail=detail, field="data.by")


def _speaks_for(who: str, executor: str | None, directory: Directory) -> bool:
    """Whether it is for `who` to say what `executor` does: themselves; of a team a member; of a system its sponsor."""
    if executor is None:
        return False
    sponsor = directory.participants[executor].sponsor if directory.kind(executor) == "system" else None
    return who in (executor, sponsor) or who in directory.members(executor)


def _status(work: Work, id: str) -> str:
    known = work.handovers.get(id)
    return known.status if known is not None else "unknown"


CHECKS: Final[Checks] = {
    HandoverOffered: _check_offer,
    HandoverAccepted: _check_acceptance,
    HandoverDeclined: _check_refusal,
    HandoverExpired: _check_expiry,
}


# ---- what an event changes; the executor is the work's own affair


def _offer(work: Work, data: HandoverOffered, event: Event) -> Work:
    if data.handover_id in work.handovers:
        return work
    return msgspec.structs.replace(work, handovers={**work.handovers, data.handover_id: Handover(data)})


def _settle(work: Work, data: HandoverAccepted | HandoverDeclined | HandoverExpired, event: Event) -> Work:
    known = work.handovers.get(data.handover_id)
    if known is None or known.status != "open":
        return work
    settled = msgspec.structs.replace(known, status=_ENDS[type(data)])
    return msgspec.structs.replace(work, handovers={**work.handovers, data.handover_id: settled})


_ENDS: Final[Mapping[type, HandoverStatus]] = {
    HandoverAccepted: "accepted",
    HandoverDeclined: "declined",
    HandoverExpired: "expired",
}

CHANGES: Final[Changes] = {HandoverOffered: _offer, **dict.fromkeys(_ENDS, _settle)}
