"""The services and a projector on a real server, each with a port at which it says how it is.

async with observed(broker, "--log-format", "json") as both:
    … both.services, both.at, both.projector, both.projector_at
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attorn.services.supervise.server import Broker, free_port
from attorn.services.supervise.supervisor import Child, Process, spawn, until_ready
from attorn_services import ROOTS, Services, serving


class Observed:
    """Services and a projector, each with a port at which it says how it is."""

    def __init__(self, services: Services, ports: tuple[int, int], projector: Process) -> None:
        self.services, self.projector = services, projector
        self.at, self.projector_at = ports


@asynccontextmanager
async def observed(broker: Broker, *more: str, **environment: str) -> AsyncIterator[Observed]:
    ports = free_port(), free_port()
    async with serving(broker) as services:
        await services.stop()
        argv = (sys.executable, "-m", "attorn.services.main", "--nats-url", broker.url, "--metrics", str(ports[0]))
        services._child = Child(name="services", argv=(*argv, *more), environment={"PYTHONPATH": ROOTS, **environment})
        await services.start()
        child = projector_child(broker, "--metrics", str(ports[1]), *more, **environment)
        projector = await spawn(child, broker.data / "logs")
        try:
            await until_ready(child, projector)
            yield Observed(services, ports, projector)
        finally:
            await projector.kill()


def projector_child(broker: Broker, *more: str, **environment: str) -> Child:
    argv = (sys.executable, "-m", "attorn.services.projector.main", "--nats-url", broker.url)
    return Child(
        name="projector",
        argv=(*argv, "--data", str(broker.data / "views"), *more),
        environment={"PYTHONPATH": ROOTS, **environment},
    )
