"""Claims: one holder at a time works on a key, for as long as the lease lasts, under a fence that only grows.

A lease is over by the time of the command that asks: whoever comes then finds the key free, and says first that the
earlier claim has expired. Nothing that folds reads a clock.
"""

from collections.abc import Generator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from attorn.contracts import subjects
from attorn.contracts.claim import (
    AcquireClaim,
    ClaimAcquired,
    ClaimExpired,
    ClaimReleased,
    ClaimRenewed,
    ClaimRevoked,
    ReleaseClaim,
    RenewClaim,
    RevokeClaim,
)
from attorn.contracts.envelope import Event
from attorn.contracts.refusal import Breach, Refused
from attorn.projections.directory import Directory
from attorn.projections.relations import FENCE_MAX, OVER_MAX
from attorn.services.transact import Context

ClaimCommand: TypeAlias = AcquireClaim | RenewClaim | ReleaseClaim | RevokeClaim
_Found: TypeAlias = Generator[Breach, None, ClaimAcquired | None]
"""A check that also says which claim it is about."""


class Claims(msgspec.Struct, frozen=True, tag="claim"):
    """The claims on one key: `held` is the newest that nobody let go of, `fence` the highest there was.

    `over` are the last of the others: to recognise who asks twice, and an id that is told of once more.
    """

    held: ClaimAcquired | None = None
    key: str | None = None
    fence: int = 0
    over: tuple[str, ...] = ()

    def live(self, at: datetime) -> ClaimAcquired | None:
        """The claim that holds at that time."""
        held = self.held
        return held if held is not None and (held.lease_until is None or at < held.lease_until) else None


initial = Claims()
state_type = Claims


def decide(claims: Claims, command: ClaimCommand, context: Context) -> Sequence[msgspec.Struct]:
    """Translate intent into facts. Asking twice for what is already so records nothing."""
    if isinstance(command, AcquireClaim):
        return _acquire(claims, command, context)
    id, held = command.claim_id, claims.held
    match command:
        case RenewClaim(lease=lease):
            until = _until(context.at, lease)
            known = held is not None and held.claim_id == id and held.lease_until == until
            return [] if known else [ClaimRenewed(claim_id=id, lease_until=until)]
        case ReleaseClaim(reason=reason):
            return [] if id in claims.over else [ClaimReleased(claim_id=id, by=context.actor, reason=reason)]
        case RevokeClaim(reason=reason):
            return [] if id in claims.over else [ClaimRevoked(claim_id=id, by=context.actor, reason=reason)]


def _acquire(claims: Claims, command: AcquireClaim, context: Context) -> Sequence[msgspec.Struct]:
    if claims.key not in (None, command.key):
        detail = f"this stream is about {(claims.key or '')[:60]}, not about {command.key[:60]}"
        raise Refused(Breach(rule="claim-held", detail=detail, field="key"))
    holder, live = command.holder or context.actor, claims.live(context.at)
    if live is not None and live.holder == holder and command.claim_id in (None, live.claim_id):
        return []
    acquired = ClaimAcquired(
        claim_id=command.claim_id or context.new_id,
        key=command.key,
        holder=holder,
        fence=claims.fence + 1,
        work_id=command.work_id,
        lease_until=_until(context.at, command.lease),
    )
    if live is None and claims.held is not None:
        return [ClaimExpired(claim_id=claims.held.claim_id), acquired]
    return [acquired]


def _until(at: datetime, lease: timedelta) -> datetime:
    if lease <= timedelta():
        detail = f"a lease of {lease} would be over at once; say how long, as in PT15M"
        raise Refused(Breach(rule="claim-open", detail=detail, field="lease"))
    try:
        return at + lease
    except OverflowError:
        detail = f"a lease of {lease.days} days never ends"
        raise Refused(Breach(rule="claim-open", detail=detail, field="lease")) from None


def check(claims: Claims, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules of claims `event` breaks."""
    yield from _check_stopped(claims, event, directory)
    match event.data:
        case ClaimAcquired(holder=holder, fence=fence):
            if not directory.is_here(holder):
                detail = f"{holder} is not registered or has left"
                yield Breach(rule="unregistered-actor", detail=detail, field="data.holder")
            if event.authtype == "service_account" and event.authid != holder:
                detail = f"{event.authid} claims for {holder}; an agent claims for itself only"
                yield Breach(rule="claim-open", detail=detail, field="data.holder")
            live = claims.live(event.time)
            if live is not None:
                until = f" until {live.lease_until.isoformat()}" if live.lease_until is not None else ""
                detail = f"{live.holder} holds {live.key[:60]}{until}, with the claim {live.claim_id}"
                yield Breach(rule="claim-held", detail=detail, held_by=live.holder, until=live.lease_until)
            if event.subject != subjects.named("claim", event.data.key):
                detail = f"{event.subject} is not the stream of {event.data.key[:60]}; claims on a key are in one"
                yield Breach(rule="claim-open", detail=detail, field="data.key")
            other = directory.relations.claims.get(event.data.claim_id)
            if event.data.claim_id in claims.over or directory.relations.is_past(event.data.claim_id):
                detail = f"there was a claim {event.data.claim_id}, and it is over; use a new id"
                yield Breach(rule="claim-open", detail=detail, field="data.claim_id")
            if other is not None and other.key != event.data.key:
                detail = f"{other.claim_id} is a claim on {other.key[:60]}; use a new id"
                yield Breach(rule="claim-open", detail=detail, field="data.claim_id")
            if fence > FENCE_MAX:
                detail = f"the fence is {fence}, and {FENCE_MAX} at most, so that others can follow"
                yield Breach(rule="claim-fence", detail=detail, field="data.fence")
            if fence <= claims.fence:
                detail = f"the fence is {fence}, and there was {claims.fence} before; it grows with each claim"
                yield Breach(rule="claim-fence", detail=detail, field="data.fence")
        case ClaimRenewed(claim_id=id, lease_until=until):
            held = yield from _check_live(claims, id, event.time)
            if until <= event.time:
                detail = f"the lease would end at {until.isoformat()}, and it is {event.time.isoformat()}"
                yield Breach(rule="claim-open", detail=detail, field="data.lease_until")
            yield from _check_hand(held, event.authid, event, directory)
        case ClaimReleased(claim_id=id, by=by):
            held = yield from _check_held(claims, id)
            yield from _check_hand(held, by or event.authid, event, directory)
        case ClaimExpired(claim_id=id):
            held = yield from _check_held(claims, id)
            if held is not None and held.lease_until is not None and event.time < held.lease_until:
                detail = f"the lease of {id} lasts until {held.lease_until.isoformat()}"
                yield Breach(rule="claim-open", detail=detail)
        case ClaimRevoked(claim_id=id, by=by):
            held = yield from _check_held(claims, id)
            if held is not None and not _has_authority(held, by, event.time, directory):
                detail = f"{by} has no authority over {held.holder} or over the claims of this ledger"
                yield Breach(rule="claim-open", detail=detail, field="data.by")
        case _:
            pass


def evolve(claims: Claims, event: Event) -> Claims:
    """Who holds the key afterwards."""
    match event.data:
        case ClaimAcquired(fence=fence, key=key) as acquired:
            if fence <= claims.fence or fence > FENCE_MAX or event.subject != subjects.named("claim", key):
                # A fence from the past, from where none can follow, or of another key: it moves nobody.
                return claims
            over, held = claims.over, claims.held
            if held is not None and held.claim_id != acquired.claim_id:
                over = (*over, held.claim_id)[-OVER_MAX:]
            # Under an id that is over nobody holds anything again; whoever held the key is overtaken all the same.
            return Claims(acquired if acquired.claim_id not in over else None, key, fence, over)
        case ClaimRenewed(claim_id=id, lease_until=until) if claims.held is not None and claims.held.claim_id == id:
            return msgspec.structs.replace(claims, held=msgspec.structs.replace(claims.held, lease_until=until))
        case ClaimReleased(claim_id=id) | ClaimExpired(claim_id=id) | ClaimRevoked(claim_id=id):
            if claims.held is not None and claims.held.claim_id == id:
                return msgspec.structs.replace(claims, held=None, over=(*claims.over, id)[-OVER_MAX:])
            return claims
        case _:
            return claims


def attributes(claims: Claims, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}


def _check_stopped(claims: Claims, event: Event, directory: Directory) -> Iterator[Breach]:
    """Who is suspended claims nothing, and nothing is claimed for them; a process's suspension is for its work."""
    data = event.data
    work = data.work_id if isinstance(data, ClaimAcquired) else claims.held.work_id if claims.held is not None else None
    process = directory.relations.process(work)
    scope = f"process/{process}" if process is not None else ""
    named = data.holder if isinstance(data, ClaimAcquired) else None
    for who in dict.fromkeys(id for id in (event.authid, named) if id is not None):
        if directory.is_suspended(who, scope):
            detail = f"{who} is suspended, and claims nothing until somebody else resumes them"
            yield Breach(rule="actor-suspended", detail=detail)


def _check_held(claims: Claims, id: str) -> _Found:
    """The claim `id`, where it is the one that is held; a breach otherwise."""
    if claims.held is None or claims.held.claim_id != id:
        holds = f"{claims.held.claim_id} is held" if claims.held is not None else "nothing is held"
        detail = f"the claim {id} {'is over' if id in claims.over else 'is not held'}; {holds}"
        yield Breach(rule="claim-open", detail=detail, field="data.claim_id")
        return None
    return claims.held


def _check_live(claims: Claims, id: str, at: datetime) -> _Found:
    held = yield from _check_held(claims, id)
    if held is not None and held.lease_until is not None and claims.live(at) is None:
        detail = f"the lease of {id} was over at {held.lease_until.isoformat()}; acquire it anew"
        yield Breach(rule="claim-open", detail=detail, field="data.claim_id")
    return held


def _check_hand(held: ClaimAcquired | None, who: str | None, event: Event, directory: Directory) -> Iterator[Breach]:
    """Only the holder keeps a claim, or lets go of it; a system may report that they did."""
    reported = event.authtype == "system" and who == event.authid
    if held is not None and not reported and who != held.holder and who not in directory.members(held.holder):
        detail = f"{held.claim_id} is held by {held.holder}, not by {who}"
        yield Breach(rule="claim-open", detail=detail)


def _has_authority(held: ClaimAcquired, who: str, at: datetime, directory: Directory) -> bool:
    """A person who looks after the holder, or after agents; the custodian of the ledger, and its admins."""
    holder = directory.participants.get(held.holder)
    over = (holder.sponsor, holder.reports_to) if holder is not None else ()
    managing = any(directory.holds(who, role, at=at) for role in ("admin", "agent_manager"))
    return directory.is_person(who) and (who in over or who == directory.root_custodian() or managing)
