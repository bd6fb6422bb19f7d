"""`attorn up`: one attorn on this machine, until it is told to stop."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from attorn.cli.errors import misused
from attorn.cli.options import Given, Options, login
from attorn.cli.output import write_lines

Custodian = Annotated[
    str | None,
    Parameter(
        name="--custodian",
        metavar="ID[:NAME]",
        env_var="ATTORN_CUSTODIAN",
        help="Who answers when nobody else does, on a new log; by default who is logged in.",
    ),
]

Metrics = Annotated[
    str | None,
    Parameter(
        name="--metrics",
        metavar="[HOST:]PORT",
        env_var="ATTORN_METRICS",
        help="Where the services say how they are, for Prometheus; the projector does at the next port.",
    ),
]
LogFormat = Annotated[
    Literal["text", "json"] | None,
    Parameter(name="--log-format", env_var="ATTORN_LOG_FORMAT", help="How the processes write their logs."),
]


async def up_command(
    *,
    port: Annotated[int, Parameter(metavar="PORT", help="Where NATS listens; 0 is any free port.")] = 4222,
    ephemeral: Annotated[bool, Parameter(help="Forget everything at the end.")] = False,
    custodian: Custodian = None,
    monitor_port: Annotated[int | None, Parameter(metavar="PORT", help="HTTP monitoring of nats-server.")] = None,
    metrics: Metrics = None,
    log_format: LogFormat = None,
    options: Given,
) -> int:
    """Start attorn on this machine: nats-server, services and views, kept running until Ctrl-C.

    The log is in the data directory, .attorn unless --data or ATTORN_DATA says another; commands given in the same
    directory find it there. What is acknowledged is on the disk.

    Example: attorn up --custodian ana:"Ana Lopez"
    """
    from attorn.services.supervise.up import UpOptions, up

    if not 0 <= port < 65536:
        raise misused(f"--port is {port}; a port is 0 to 65535")
    id, name = custodian_of(custodian)

    async def provision(url: str) -> None:
        made = await prepare(url, id, name)
        write_lines([f"log is new; {id} answers when nobody else does" if made else "log is there, with its events"])

    chosen = UpOptions(
        provision=provision,
        data=options.data,
        ephemeral=ephemeral,
        port=port,
        monitor_port=monitor_port,
        metrics=metrics_at(metrics),
        log_format=log_format,
    )
    return await up(chosen, lambda line: write_lines([line]))


def metrics_at(text: str | None) -> tuple[str, int] | None:
    """`127.0.0.1:9464`, or `9464` on this machine only."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    # The processes take one port each, one after the other.
    if not (port.isascii() and port.isdigit() and int(port) <= 65_534) or " " in host:
        raise misused(f"--metrics is {text!r}; it is HOST:PORT or PORT, as in 127.0.0.1:9464")
    return host or "127.0.0.1", int(port)


async def prepare(url: str, id: str, name: str) -> bool:
    """Make the streams, and a custodian where the log has nobody; whether it was so."""
    from attorn.cli.connect import connected
    from attorn.services.custody import ensure_custodian
    from attorn.services.provision import provision

    async with connected(Options(actor=id, nats_url=url)) as attorn:
        await provision(attorn.nc)
        return await ensure_custodian(attorn.ledger, id, name, datetime.now(UTC))


def custodian_of(text: str | None) -> tuple[str, str]:
    """The id and the name in `ana:Ana Lopez`."""
    from attorn.contracts.ids import is_token

    id, _, name = (text or login()).partition(":")
    if not is_token(id):
        raise misused(
            f"--custodian: {id!r} is not an identifier; use letters, digits, '-' or '_', as in ana:\"Ana Lopez\""
        )
    return id, name or id
