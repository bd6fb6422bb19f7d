"""`attorn serve`: services and views against a NATS that is there, kept running."""

import asyncio
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attorn.cli.options import Given
from attorn.cli.output import write_lines
from attorn.cli.up import Custodian, LogFormat, Metrics, custodian_of, metrics_at, prepare


async def serve(
    *,
    only: Annotated[
        str | None, Parameter(metavar="NAME", help="Only this one of them: services, or projector.")
    ] = None,
    provision: Annotated[bool, Parameter(help="Make the streams first, where they are missing.")] = False,
    custodian: Custodian = None,
    metrics: Metrics = None,
    log_format: LogFormat = None,
    options: Given,
) -> int:
    """Run the services and the projector against the NATS at --nats-url, and start again what dies.

    The views and the logs of the processes are in the data directory; nothing else is kept there.

    Example: attorn serve --nats-url nats://nats.example:4222 --data /var/lib/attorn
    """
    from attorn.cli.connect import connected
    from attorn.cli.errors import misused
    from attorn.services.supervise.instance import lock
    from attorn.services.supervise.supervisor import Supervisor
    from attorn.services.supervise.up import PROJECTOR, SERVICES, child, observed, told

    parts = {"services": SERVICES, "projector": PROJECTOR}
    if only is not None and only not in parts:
        raise misused(f"--only {only}: it is one of {', '.join(parts)}")
    where = metrics_at(metrics)
    # It brings its own data directory, and no attorn runs on that yet.
    options = replace(options, data_named=False)
    url = options.url
    if "@" in url:
        # It would be on the command lines of the processes, where everybody on this machine can read it.
        raise misused("the URL says who we are", "ATTORN_NATS_USER and ATTORN_NATS_PASSWORD say it instead")
    async with connected(options):
        pass  # says at once, and in one line, when there is no NATS
    if provision or custodian is not None:
        await prepare(url, *custodian_of(custodian))

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    data = Path(options.data).absolute()
    with lock(data):
        began = time.monotonic()
        supervisor = Supervisor(data / "logs", say=lambda line: write_lines([line]))
        write_lines([f"NATS at {url}", f"data in {data}"])
        seen = observed([name for name in parts if only in (None, name)], where, log_format)
        write_lines(told(where, list(seen)))
        children = [child(name, parts[name], more, url, data) for name, more in seen.items()]
        try:
            starting = asyncio.ensure_future(supervisor.start(*children))
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                write_lines([f"ready in {time.monotonic() - began:.1f} s; Ctrl-C stops it"])
                await stopping
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        finally:
            killed = await supervisor.stop()
    write_lines([f"stopped{''.join(f'; {name} had to be killed' for name in killed)}"])
    return 0
