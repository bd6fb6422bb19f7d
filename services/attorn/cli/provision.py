"""`attorn provision`: the streams that attorn needs on a NATS that is there."""

from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from attorn.cli.connect import connected
from attorn.cli.options import Given
from attorn.cli.output import Column, write_lines, write_list
from attorn.cli.up import Custodian, custodian_of

COLUMNS = (
    Column("STREAM", "stream", "id"),
    Column("VERDICT", "verdict", "id"),
    Column("SETTING", "setting"),
    Column("FOUND", "found"),
    Column("WANTED", "wanted"),
    Column("WHY", "reason"),
)


async def provision_command(
    *,
    dry_run: Annotated[bool, Parameter(help="Only say what is not as it should be.")] = False,
    replicas: Annotated[int, Parameter(metavar="N", help="Copies of each stream: 1, or 3 on a cluster.")] = 1,
    custodian: Custodian = None,
    options: Given,
) -> int:
    """Make the streams where they are missing, mend them where that loses nothing. Run again, it changes nothing.

    A difference that would cost messages is refused, and then nothing is changed (exit code 5).

    Example: attorn provision --nats-url nats://nats.example:4222 --custodian ana
    """
    import msgspec

    from attorn.services.custody import ensure_custodian
    from attorn.services.provision import provision

    id, name = custodian_of(custodian)
    async with connected(options) as attorn:
        found: list[dict[str, Any]] = msgspec.to_builtins(
            await provision(attorn.nc, dry_run=dry_run, replicas=replicas)
        )
        new = False if dry_run else await ensure_custodian(attorn.ledger, id, name, datetime.now(UTC))
    write_list(options, found, COLUMNS, id="stream", nothing="every stream is as it should be")
    if new and options.output == "table":
        write_lines([f"the log is new; {id} answers when nobody else does"])
    return 0
