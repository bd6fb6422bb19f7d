"""`attorn claim`: be the only one to work on a thing, for a while; let go of it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import Attorn, connected
from attorn.cli.errors import not_found
from attorn.cli.inputs import command
from attorn.cli.options import Given, Id, Reason, Who
from attorn.cli.output import facts, shown, write_one
from attorn.cli.telling import seen
from attorn.contracts.claim import LEASE, AcquireClaim, ReleaseClaim, RenewClaim, RevokeClaim

if TYPE_CHECKING:
    from attorn.contracts.messages import Command

app = App(name="claim", help="Be the only one to work on a thing, for as long as the lease lasts.")

Key = Annotated[str, Parameter(metavar="KEY", help="What it is, as in order/4711.")]
Claim = Annotated[str | None, Parameter(metavar="ID", help="Which claim; by default the one that is held.")]
Lease = Annotated[
    timedelta,
    Parameter(
        metavar="TIME", help="How long it lasts, as in 15m or 2h.", show_default=lambda lease: f"{lease.seconds // 60}m"
    ),
]


@app.command
async def acquire(
    key: Key,
    /,
    *,
    lease: Lease = LEASE,
    work: Annotated[Id | None, Parameter(help="The work item that it is for.")] = None,
    holder: Annotated[Who | None, Parameter(help="For whom; by default who acts.")] = None,
    id: Annotated[Id | None, Parameter(help="What the claim is called; by default a new id.")] = None,
    options: Given,
) -> None:
    """Claim a thing. The fence that is answered belongs to what is started under the claim.

    Example: attorn claim acquire order/4711 --work W-1 --lease 15m --as refunds-bot
    """
    said = {"key": key, "lease": lease, "work_id": work, "holder": holder, "claim_id": id}
    await _tell(options, key, command(AcquireClaim, said))


@app.command
async def renew(key: Key, claim: Claim = None, /, *, lease: Lease = LEASE, options: Given) -> None:
    """Keep a claim for a while longer, from now on.

    Example: attorn claim renew order/4711 --lease 15m --as refunds-bot
    """
    async with connected(options) as attorn:
        said = {"key": key, "claim_id": claim or await _held(attorn, key), "lease": lease}
    await _tell(options, key, command(RenewClaim, said))


@app.command
async def release(key: Key, claim: Claim = None, /, *, reason: Reason = None, options: Given) -> None:
    """Let go of what one has claimed.

    Example: attorn claim release order/4711 --as refunds-bot
    """
    async with connected(options) as attorn:
        said = {"key": key, "claim_id": claim or await _held(attorn, key), "reason": reason}
    await _tell(options, key, command(ReleaseClaim, said))


@app.command
async def revoke(key: Key, claim: Claim = None, /, *, reason: Reason = None, options: Given) -> None:
    """Take a claim away from its holder.

    Example: attorn claim revoke order/4711 --reason "the agent does not answer"
    """
    async with connected(options) as attorn:
        said = {"key": key, "claim_id": claim or await _held(attorn, key), "reason": reason}
    await _tell(options, key, command(RevokeClaim, said))


@app.command
async def show(key: Key, /, *, options: Given) -> None:
    """Show who holds a thing, and until when.

    Example: attorn claim show order/4711
    """
    async with connected(options) as attorn:
        found = await _claims(attorn, key)
    write_one(options, found, lambda: _lines(found), id=found["claim_id"] or key)


async def _tell(options: Given, key: str, asked: "Command") -> None:
    async with connected(options) as attorn:
        receipt = await attorn.tell(asked)
        await seen(attorn, receipt.position)
        found = {**await _claims(attorn, key), "position": receipt.position, "stream": receipt.stream}
    write_one(options, found, lambda: _lines(found), id=found["claim_id"] or key)


async def _claims(attorn: Attorn, key: str) -> dict[str, Any]:
    from msgspec import to_builtins

    from attorn.contracts import subjects
    from attorn.services.claim import model

    claims = model.initial
    for recorded in await attorn.ledger.read(subjects.named("claim", key)):
        claims = model.evolve(claims, recorded.event)
    held: dict[str, Any] = to_builtins(claims.held) if claims.held is not None else {"claim_id": None, "holder": None}
    return {**held, "key": key, "fence": claims.fence}


async def _held(attorn: Attorn, key: str) -> str:
    found: str | None = (await _claims(attorn, key))["claim_id"]
    if found is None:
        raise not_found(f"nobody has claimed {key}", "`attorn claim acquire` does")
    return found


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if found["claim_id"] is None:
        yield f"{found['key']} is free; its last fence is {found['fence']}"
        return
    yield f"{found['holder']} holds {found['key']}, until {shown(found.get('lease_until'), 'time') or 'they let go'}"
    yield from facts(
        [("claim", found["claim_id"]), ("fence", str(found["fence"])), ("for", shown(found.get("work_id")))]
    )
